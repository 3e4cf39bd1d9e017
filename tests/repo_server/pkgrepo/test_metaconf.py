from pathlib import Path

import pytest

from repo_server.pkgrepo.metaconf import PACKING_FORMATS, MetaConf, render_meta_conf
from repo_server.pkgrepo.ucl import parse_ucl
from signing.errors import FormatError
from tests.support.pkg_archives import DATA, repository

FILES = sorted(DATA.glob("repos/*/*/latest/meta.conf"))
PLAIN = (repository("fp-rsa") / "meta.conf").read_text()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.parts[-4] + path.parts[-3][-8:])
def test_what_pkg_wrote_is_read_and_written_again_to_the_byte(path: Path) -> None:
    conf = MetaConf.parse(path.read_bytes())
    assert conf.render() == path.read_bytes()
    assert conf.is_plain == ("fp-rsa-meta" not in path.parts)


def test_everything_that_a_meta_conf_may_say() -> None:
    conf = MetaConf.parse((repository("fp-rsa-meta") / "meta.conf").read_bytes())
    assert (conf.revision, conf.eol, conf.maintainer) == (7, 1893456000, "test@example.invalid")
    assert conf.extra == {"repo": "demo", "serial": 42}


@pytest.mark.parametrize("packing", PACKING_FORMATS)
def test_our_own_is_plain(packing: str) -> None:
    assert MetaConf.parse(render_meta_conf(packing_format=packing)).is_plain
    assert render_meta_conf().decode() == PLAIN
    with pytest.raises(FormatError):
        render_meta_conf(packing_format="zip")


@pytest.mark.parametrize(
    "text",
    [
        "",
        PLAIN.replace("version = 2", "version = 3"),
        PLAIN.replace("version = 2", 'version = "2"'),
        PLAIN.replace("version = 2", "version = true"),
        PLAIN.replace('"data"', '"../../evil"'),
        PLAIN.replace('"packagesite.yaml"', '"other.yaml"'),
        PLAIN.replace('"files"', '"/etc/passwd"', 1),
        PLAIN + 'cert { type = "rsa"; data = "x"; name = "y"; }\n',
        PLAIN + 'conflicts = "x";\n',
        PLAIN + "revision = -1;\n",
        PLAIN + "eol = 1k;\n",
        PLAIN + 'extra = "x";\n',
        PLAIN + PLAIN,
        PLAIN + '.include "/etc/passwd"\n',
        PLAIN + "source = ${HOME};\n",
        PLAIN + 'source = "unended\n',
        PLAIN + "source = <<EOT\nx\nEOT\n",
        PLAIN + "a" * (1 << 20),
        PLAIN + "extra " + "{a " * 50 + "}" * 50,
        "{" + PLAIN,
        "é" + PLAIN,
    ],
    ids=range(21),
)
def test_what_could_lead_a_client_elsewhere_is_refused(text: str) -> None:
    with pytest.raises(FormatError):
        MetaConf.parse(text.encode())


def test_the_part_of_ucl_that_is_read() -> None:
    text = b'# x\n{ a: 1, b = "\\"\\n", /* { */ "c" { d = [1, "x", true,]; e [ ] } }'
    with pytest.raises(FormatError):
        parse_ucl(text, where="x")
    assert parse_ucl(text.replace(b" e [ ]", b" e = [ ]"), where="x") == {
        "a": 1, "b": '"\n', "c": {"d": [1, "x", True], "e": []},
    }  # fmt: skip


@pytest.mark.parametrize(
    "text", [b"/*" * 50_000, b"#" * 500_000, b'"' + b"\\" * 400_001, b"a=" + b"[" * 300_000, b" " * 900_000]
)
def test_long_texts_cost_no_more_than_their_length(text: bytes) -> None:
    try:
        parse_ucl(text, where="x")
    except FormatError:
        return
    assert text[:1] in {b"#", b" "}
