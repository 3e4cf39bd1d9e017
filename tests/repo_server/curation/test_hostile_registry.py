"""Whatever a registry answers, it is a skill or one of our errors, and nothing of it reaches a terminal raw."""

import json
from typing import Any, ClassVar
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from repo_server.curation.sources import FolderAddress, folder_address, parse_address
from repo_server.curation.sources.http import Answer, Web
from signing.errors import FormatError, SkillRepoError
from tests.repo_server.curation.material import CLAWHUB, fetched

CSV = "clawhub:@northwind-tools/csv-summarizer"
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["\ud800", "\x1b[2J"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)


class FakeRegistry:
    """Answers as recorded, with one place changed; stands where the network would be asked."""

    changes: ClassVar[dict[str, Any]] = {}

    @classmethod
    def answer(cls, url: str, *_: object) -> Answer:
        path = urlsplit(url).path
        kind = path.rpartition("/")[2]
        headers = {"content-type": "application/json"}
        if kind == "download" and kind not in cls.changes:
            name = "GET_api_v1_download.csv-summarizer.1.0.1.zip"
            return Answer(status=200, headers=headers, body=(CLAWHUB / name).read_bytes())
        if kind == "clawhub.json" and kind not in cls.changes:
            return Answer(status=404, headers=headers, body=b"")
        recorded = CLAWHUB / f"GET_{path.strip('/').replace('/', '_')}.json"
        status = 200 if recorded.is_file() or kind in cls.changes else 404
        document = json.loads(recorded.read_text()) if recorded.is_file() else {}
        change = cls.changes.get(kind)
        if isinstance(change, tuple):
            keys, value = change
            target = document
            for key in keys[:-1]:
                target = target[key]
            target[keys[-1]] = value
        elif kind in cls.changes:
            document = change
        return Answer(status=status, headers=headers, body=json.dumps(document).encode())


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> type[FakeRegistry]:
    monkeypatch.setattr(Web, "_one", FakeRegistry.answer)
    return FakeRegistry


PLACES = [
    *(
        (kind, None)
        for kind in (
            "csv-summarizer",
            "1.0.1",
            "download",
            "versions",
            "verify",
            "scan",
            "resolve",
            "clawhub.json",
        )
    ),
    *(("verify", [key]) for key in ("artifact", "security", "reasons", "signature", "provenance", "version")),
    ("verify", ["security", "signals"]),
    ("verify", ["artifact", "files"]),
    *(
        ("csv-summarizer", keys)
        for keys in (["owner"], ["latestVersion"], ["latestVersion", "version"], ["moderation"])
    ),
    *(("1.0.1", ["version", key]) for key in ("files", "license", "security", "version")),
]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.sampled_from(PLACES), value=VALUES)
def test_any_answer_is_a_skill_or_our_error(registry: type[FakeRegistry], place: Any, value: Any) -> None:
    kind, keys = place
    registry.changes = {kind: (keys, value) if keys else value}
    try:
        result = fetched(f"{CSV}@9.9.9" if kind == "versions" else CSV)
    except SkillRepoError as error:
        said = [error.message.encode("ascii", "backslashreplace").decode()]
        raw = [error.message]
    else:
        said = raw = [result.address, result.licence, result.publisher, *result.resolved.values()]
    assert all(text.isprintable() for text in raw)
    assert all(text.isascii() for text in said)


def test_a_version_is_checked_before_it_is_used(registry: type[FakeRegistry]) -> None:
    for version in ("1.0\x1b[2J", "../../x", "1\ud800", "\u0661"):
        registry.changes = {"csv-summarizer": (["latestVersion", "version"], version)}
        with pytest.raises(FormatError) as caught:
            fetched(CSV)
        assert str(caught.value).isprintable()


def test_a_list_of_versions_that_is_none(registry: type[FakeRegistry]) -> None:
    registry.changes = {"versions": {"items": 5}}
    with pytest.raises(FormatError, match="without a list of items"):
        fetched(f"{CSV}@9.9.9")


def test_a_path_is_never_a_marketplace() -> None:
    assert folder_address("clawhub:@o/s") == FolderAddress("clawhub:@o/s")
    for read in (folder_address, parse_address):
        with pytest.raises(FormatError, match="not UTF-8"):
            read("caf\udce9")


def test_a_file_that_is_no_archive_is_called_a_file() -> None:
    with pytest.raises(FormatError, match="is a file, and not"):
        fetched(__file__)
