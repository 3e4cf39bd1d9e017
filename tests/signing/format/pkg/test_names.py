from collections.abc import Callable

import pytest

from signing.errors import FormatError
from signing.format.pkg import names
from signing.format.pkg.names import PackagePin, PackageRepo

GOOD: dict[Callable[..., object], list[str]] = {
    names.parse_abi: ["FreeBSD:14:amd64", "FreeBSD:15:aarch64", "FreeBSD:100:riscv64"],
    names.parse_channel: ["latest", "quarterly", "a", "2026-q4", "a" * 40],
    names.parse_package_name: ["pkg", "py311-foo", "g++", "gtk2", "libX11", "a_b", "0ad", "a.b"],
    names.parse_package_version: ["1", "1.2.1_1,2", "2026.11,1", "1.0~b1", "1.0+2", "r1234"],
    names.parse_origin: ["misc/demo-base", "x11/libX11", "devel/py-foo@py311", "ports-mgmt/pkg"],
    names.parse_package_abi: ["FreeBSD:14:*", "FreeBSD:*:*", "FreeBSD:14:amd64"],
    names.parse_package_path: [
        "All/demo-base-1.0.0.pkg",
        "All/Hashed/demo-skills-2026.11,1~2$4wnwqys3.pkg",
        "All/g++-1.0.pkg",
        "pkg.pkg",
    ],
    PackagePin.parse: ["demo-agent-1.2.1_1", "py311-a-b-c-0"],
    PackageRepo.parse: ["FreeBSD:14:amd64/latest"],
    PackageRepo.of_role: ["pkg-FreeBSD_14_amd64-latest", "pkg-FreeBSD_14_amd64-a-b"],
    PackageRepo.of_index_path: ["pkg/FreeBSD:14:amd64/latest/repo.json"],
}
BAD: dict[Callable[..., object], list[object]] = {
    names.parse_abi: ["", "FreeBSD:14:*", "FreeBSD:014:amd64", "freebsd:14:amd64", "FreeBSD:14:amd64\n", "FreeBSD:14", None,
                      "FreeBSD:١٤:amd64"],
    names.parse_channel: ["", "Latest", "-a", "a-", "a--b", "a" * 41, "a/b", "a\n", 7],
    names.parse_package_name: ["", "-a", ".a", "a/b", "a b", "a\n", "é", "a" * 129, None, "+a"],
    names.parse_package_version: ["", "1-2", "_1", "1 ", "1\n", "1" * 65, "1/2", None],
    names.parse_origin: ["", "misc", "a/b/c", "/a", "a/", "a b/c", "a/b\n", None],
    names.parse_package_abi: ["", "FreeBSD:14", "*:*:*", "FreeBSD:14:amd64:x", "FreeBSD:14:*\n", 3],
    names.parse_package_path: ["", "/All/x.pkg", "../x.pkg", "All/../x.pkg", "All//x.pkg", "All/.x.pkg", "All/", "a b.pkg", "a\n",
                               "a:b.pkg", "a%2fb", "/".join("a" * 9), "a" * 1025, None],
    PackagePin.parse: ["", "demo", "-1", "demo-", "demo-1/2", None],
    PackageRepo.parse: ["", "FreeBSD:14:amd64", "FreeBSD:14:amd64/a/b", "FreeBSD:14:*/latest", None],
    PackageRepo.of_role: ["", "pkg-FreeBSD_14_amd64-", "pkg-FreeBSD_0_amd64-latest", "pkg-FreeBSD_14_1amd-latest", "skills"],
    PackageRepo.of_index_path: ["", "pkg/FreeBSD:14:amd64/latest", "x/FreeBSD:14:amd64/latest/repo.json",
                                "pkg/FreeBSD:14:amd64/latest/../repo.json"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("parse", "text"), [(parse, text) for parse, texts in GOOD.items() for text in texts],
    ids=lambda value: value if isinstance(value, str) else value.__qualname__,
)  # fmt: skip
def test_names_in_their_one_spelling(parse: Callable[..., object], text: str) -> None:
    assert text in {
        str(parse(text)),
        getattr(parse(text), "role", ""),
        getattr(parse(text), "index_path", ""),
    }


@pytest.mark.parametrize(
    ("parse", "text"), [(parse, text) for parse, texts in BAD.items() for text in texts],
    ids=lambda value: ascii(value)[:30] if not callable(value) else value.__qualname__,
)  # fmt: skip
def test_other_spellings_are_refused(parse: Callable[..., object], text: object) -> None:
    with pytest.raises(FormatError):
        parse(text)


def test_the_last_hyphen_parts_name_and_version() -> None:
    assert PackagePin.parse("py311-a-b-1.0_1,2") == PackagePin(
        names.PackageName("py311-a-b"), names.PackageVersion("1.0_1,2")
    )
