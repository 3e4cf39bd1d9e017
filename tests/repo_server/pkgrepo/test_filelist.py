import pytest

from repo_server.pkgrepo import filelist
from repo_server.pkgrepo.catalogue import read_catalogue
from repo_server.pkgrepo.filelist import parse_files, parse_filesite
from signing.errors import FormatError
from signing.format.pkg.names import PackagePin
from tests.support.pkg_archives import repository

GOOD = "0 /usr/local/bin\n11 etc\n14 /demo\n\ndemo 1.0\n>0\na\nb\n>2\nc\n\nempty 2\n\n"


def test_both_generations_say_the_same() -> None:
    new = parse_files(read_catalogue((repository("fp-rsa") / "files.pkg").read_bytes(), "files").payload)
    old = parse_filesite(
        read_catalogue((repository("fp-rsa-pkg275") / "filesite.pkg").read_bytes(), "filesite.yaml").payload
    )
    assert new == old
    assert new[PackagePin.parse("demo-base-1.0.0")][2] == "/usr/local/etc/demo/base.conf.sample"


def test_folders_are_unfolded() -> None:
    assert parse_files(GOOD.encode()) == {
        PackagePin.parse("demo-1.0"): ("/usr/local/bin/a", "/usr/local/bin/b", "/usr/local/etc/demo/c"),
        PackagePin.parse("empty-2"): (),
    }


@pytest.mark.parametrize(
    "text",
    [
        "0 /usr",
        "1 /usr\n\n",
        "0 usr\n\n",
        "0 /usr\n99 /x\n\n",
        "-1 /usr\n\n",
        "x /usr\n\n",
        "٠ /usr\n\n",
        "0 /usr/../etc\n\n",
        "0 /usr\n\ndemo 1\na\n\n",
        "0 /usr\n\ndemo 1\n>1\na\n\n",
        "0 /usr\n\ndemo 1\n>x\na\n\n",
        "0 /usr\n\ndemo 1\n>0\na/b\n\n",
        "0 /usr\n\ndemo 1\n>0\n..\n\n",
        "0 /usr\n\ndemo\n\n",
        "0 /usr\n\ndemo 1\n\ndemo 1\n\n",
        "0 /é\n2 x\n\n",
    ],
)
def test_tricks_are_refused(text: str) -> None:
    with pytest.raises(FormatError):
        parse_files(text.encode())


def test_what_unfolds_to_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filelist, "MAX_PATH_BYTES", 10_000)
    deep = f"0 /{'a' * 900}\n\ndemo 1\n>0\n" + "".join(f"{n}\n" for n in range(20))
    with pytest.raises(FormatError, match="too many"):
        parse_files(deep.encode())


@pytest.mark.parametrize(
    "payload",
    [b"x", b"{", b"[]", b'{"name":"a","version":"1"}', b'{"name":"a","version":"1","files":["x"]}', b"[" * 90_000,
     b'{"name":"a","version":"1","files":[]}' * 2, b"\xff"],
    ids=range(8),
)  # fmt: skip
def test_a_filesite_that_is_none_is_refused(payload: bytes) -> None:
    with pytest.raises(FormatError):
        parse_filesite(payload)
