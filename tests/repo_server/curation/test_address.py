import pytest

from repo_server.curation.sources import (
    ArchiveAddress,
    ClawHubAddress,
    FolderAddress,
    GitAddress,
    parse_address,
)
from signing.errors import FormatError

C = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("skills/web-search", FolderAddress("skills/web-search")),
        (".", FolderAddress(".")),
        ("x.zip", ArchiveAddress("x.zip")),
        ("dir/X.TAR.GZ", ArchiveAddress("dir/X.TAR.GZ")),
        ("x.tgz", ArchiveAddress("x.tgz")),
        (f"git+https://h.example/r.git@{C}", GitAddress("https://h.example/r.git", C, "", local=False)),
        (
            f"git+https://h.example:8443/r@{C}#a/b",
            GitAddress("https://h.example:8443/r", C, "a/b", local=False),
        ),
        (f"git+ssh://git@h.example/r@{C}", GitAddress("ssh://git@h.example/r", C, "", local=False)),
        (f"git+/srv/r@{C}#s", GitAddress("/srv/r", C, "s", local=True)),
        (f"git+file:///srv/r@{C}", GitAddress("file:///srv/r", C, "", local=True)),
        ("clawhub:@o/s", ClawHubAddress("o", "s", None)),
        ("clawhub:@o-1/s.x@1.0.1", ClawHubAddress("o-1", "s.x", "1.0.1")),
    ],
)
def test_addresses_are_read_and_printed_again(text: str, address: object) -> None:
    assert parse_address(text) == address
    assert str(parse_address(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        *("", "a\nb", "a\u202eb", "x" * 3_000, "https://h.example/x.zip", "ftp://x", "npm:thing", "C:x"),
        *(
            "clawhub:s",
            "clawhub:o/s",
            "clawhub:@o",
            "clawhub:@o/",
            "clawhub:@o/s@",
            "clawhub:@o/../x",
            "clawhub:@\u043e/s",
        ),
        *("clawhub:@o/s?x=1", "clawhub:@o/s@1/../2", "clawhub:@o/S"),
        *("git+https://h.example/r", "git+https://h.example/r@main", f"git+https://h.example/r@{C[:12]}"),
        *(
            f"git+https://h.example/r@{C.upper()}",
            f"git+https://h.example/r@{C}0",
            f"git+http://h.example/r@{C}",
        ),
        *(
            f"git+git://h.example/r@{C}",
            f"git+ext::sh -c touch% /tmp/x@{C}",
            f"git+ext::sh@{C}",
            f"git+git@h.example:o/r@{C}",
        ),
        *(
            f"git+--upload-pack=touch@{C}",
            f"git+-x@{C}",
            f"git+https://u:p@h.example/r@{C}",
            f"git+https://u@h.example/r@{C}",
        ),
        *(
            f"git+ssh://-oProxyCommand=x/r@{C}",
            f"git+ssh://git:p@h/r@{C}",
            f"git+https:///r@{C}",
            f"git+https://h.example@{C}",
        ),
        *(
            f"git+https://h.example/r?x@{C}",
            f"git+https://h:x/r@{C}",
            f"git+https://h.example/r@{C}#../x",
            f"git+relative@{C}",
        ),
        *(
            f"git+https://h.example/r@{C}#/abs",
            f"git+https://h.example/r@{C}#a//b",
            f"git+@{C}",
            f"git+file://h/r@{C}",
        ),
    ],
)
def test_other_spellings_are_refused(text: str) -> None:
    with pytest.raises(FormatError) as caught:
        parse_address(text)
    assert caught.value.where.startswith("address")
    assert caught.value.exit_status == 10


def test_hints_say_what_to_write() -> None:
    with pytest.raises(FormatError) as caught:
        parse_address("git+https://h.example/r@main")
    assert "git ls-remote" in caught.value.hint
    with pytest.raises(FormatError) as caught:
        parse_address("clawhub:csv-summarizer")
    assert "clawhub:@owner/slug" in caught.value.hint
