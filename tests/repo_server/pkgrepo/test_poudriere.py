"""What poudriere left: which build it is, whether it is whole, and that it stays the one that was opened."""

import json
import os

import pytest

from repo_server.pkgrepo.beneath import read_beneath
from repo_server.pkgrepo.poudriere import RESULT, open_source, read_build
from signing.errors import FormatError, NotFoundError, PolicyError, WrongSubjectError
from tests.repo_server.pkgrepo.poudriere_tree import MASTER, NAME, hook_environment, logs_of, make_tree
from tests.repo_server.pkgrepo.signing_keys import DATA, LATEST


@pytest.fixture
def packages(tmp_path):
    return make_tree(tmp_path / "data")


def record_of(packages, environment=None, **changes):
    path = logs_of(packages) / ".data.json"
    if changes:
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with open_source(packages) as source:
        return read_build(source, environment=environment or {}, records=logs_of(packages))


@pytest.mark.parametrize("form", ["root", "link", "folder"])
def test_each_name_of_a_build_means_the_same_folder(packages, form):
    place = {"root": packages, "link": packages / ".latest", "folder": packages / ".real_1795348800"}[form]
    real = (packages / ".real_1795348800").stat()
    with open_source(place) as source:
        assert (os.fstat(source.folder).st_dev, os.fstat(source.folder).st_ino) == (real.st_dev, real.st_ino)
        assert source.buildname() == NAME


def test_a_build_that_ends_meanwhile_changes_nothing_for_who_is_reading(packages):
    new = packages / ".real_1795999999"
    with open_source(packages) as source:
        before = read_beneath(source.folder, "data.pkg", max_bytes=1 << 20)
        (packages / ".real_1795000000").rename(new)
        (packages / ".latest.new").symlink_to(new.name)
        (packages / ".latest.new").rename(packages / ".latest")
        (packages / ".real_1795348800").rename(packages / ".gone")
        assert read_beneath(source.folder, "data.pkg", max_bytes=1 << 20) == before
    with open_source(packages) as source:
        assert read_beneath(source.folder, "data.pkg", max_bytes=1 << 20) != before


def test_a_plain_folder_with_a_catalogue_is_nobodys_build():
    with open_source(DATA / "repos" / "fp-rsa" / LATEST) as source:
        record = read_build(source, environment={})
    assert record.to_build() == {
        "system": "folder",
        "master": "unknown",
        "name": "unknown",
        "git_hash": "unknown",
    }
    record.check_whole(allow_failed=False)


@pytest.mark.parametrize(
    "target", ["../elsewhere", "/etc", ".", "..", ".building", "real_1", ".real_1/../..", ".real_", ""]
)
def test_a_latest_that_points_elsewhere_is_refused(packages, target):
    (packages / ".latest").unlink()
    if target:
        (packages / ".latest").symlink_to(target)
    else:
        (packages / ".latest").mkdir()
    with pytest.raises(FormatError):
        open_source(packages)


def test_a_latest_that_points_at_a_link_is_refused(packages):
    (packages / ".latest").unlink()
    (packages / ".latest").symlink_to(".real_7")
    (packages / ".real_7").symlink_to("/")
    with pytest.raises(NotFoundError):
        open_source(packages)


def test_no_build_is_said_so(packages, tmp_path):
    (packages / ".latest").unlink()
    (packages / ".latest").symlink_to(".real_7")
    (tmp_path / "empty").mkdir()
    for place in (packages, tmp_path / "empty", tmp_path / "missing"):
        with pytest.raises(NotFoundError):
            open_source(place)


def test_a_build_in_progress_is_refused(packages):
    (packages / ".real_1795348800").rename(packages / ".building")
    with pytest.raises(FormatError, match="not finished"):
        open_source(packages / ".building")


def open_descriptors():
    return {number for number in range(256) if _is_open(number)}


def _is_open(number):
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def test_no_descriptor_stays_open(packages, tmp_path):
    before = open_descriptors()
    with open_source(packages):
        pass
    for place in (packages / "All", tmp_path / "missing"):
        with pytest.raises(NotFoundError):
            open_source(place)
    assert open_descriptors() == before


@pytest.mark.parametrize("hook", ["bulk-done", "publish"])
def test_the_hooks_environment_names_the_build(packages, hook):
    _, environment = hook_environment(hook, packages)
    with open_source(packages) as source:
        record = read_build(source, environment=environment)
    assert record.to_build() == {
        "system": "poudriere",
        "master": MASTER,
        "name": NAME,
        "git_hash": "0123abcd",
    }
    assert record.recorded
    assert record.stats["built"] == 2


def test_a_build_with_failures_is_refused_with_its_numbers(packages):
    with pytest.raises(PolicyError) as refused:
        record_of(packages).check_whole(allow_failed=False)
    assert f"{MASTER} {NAME} is not whole: 1 failed, 1 skipped (demo-broken-0.1)" in str(refused.value)
    assert "--allow-failed" in refused.value.hint
    assert "2 built" in record_of(packages).check_whole(allow_failed=True)


GOOD = {"built": "2", "failed": "0", "skipped": "0", "ignored": "1", "fetched": "0", "queued": "3"}


def test_a_whole_build_passes_before_poudriere_says_done(packages):
    for status in ("done:", "parallel_build:", "committing:", ""):
        record = record_of(packages, stats=GOOD, status=status, ended="")
        assert (
            record.check_whole(allow_failed=False)
            == f"build {MASTER} {NAME}: 2 built, 0 failed, 1 ignored, 0 skipped, 0 fetched"
        )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"stats": GOOD | {"queued": "9"}}, "6 not reached"),
        ({"stats": GOOD | {"failed": "1"}}, "1 failed"),
        ({"stats": GOOD | {"skipped": "4"}}, "4 skipped"),
        ({"stats": GOOD, "status": "stopped:crashed:"}, "status"),
        ({"stats": GOOD, "status": "sigint:"}, "status"),
        ({"stats": {}}, "no records"),
    ],
    ids=["unreached", "failed", "skipped", "crashed", "interrupted", "empty"],
)
def test_a_build_that_is_not_whole_is_refused(packages, changes, words):
    record = record_of(packages, **changes)
    with pytest.raises(PolicyError, match=words):
        record.check_whole(allow_failed=False)
    assert record.check_whole(allow_failed=True).endswith("not whole")


def test_a_build_without_records_is_refused(packages):
    with open_source(packages) as source:
        record = read_build(source, environment={"MASTERNAME": MASTER})
    with pytest.raises(PolicyError, match="no records"):
        record.check_whole(allow_failed=False)


def test_the_numbers_of_bulk_done_count_more_than_records_that_lag_behind(packages):
    stale = {"stats": GOOD | {"built": "0", "ignored": "0"}}
    with pytest.raises(PolicyError, match="3 not reached"):
        record_of(packages, **stale).check_whole(allow_failed=False)
    record_of(packages, {RESULT: "2 0 1 0 0"}, **stale).check_whole(allow_failed=False)
    with pytest.raises(PolicyError, match="1 failed"):
        record_of(packages, {RESULT: "2 1 0 0 0"}, stats=GOOD).check_whole(allow_failed=False)


@pytest.mark.parametrize(
    "numbers", ["1", "1 2 3 4", "1 2 3 4 5 6", "a b c d e", "1  2 3 4", "-1 0 0 0 0", "1 2 3 4 ٣"]
)
def test_numbers_that_are_none_are_refused(packages, numbers):
    with pytest.raises(FormatError):
        record_of(packages, {RESULT: numbers})


def test_another_builds_records_are_refused(packages):
    with pytest.raises(WrongSubjectError, match="several builds"):
        record_of(packages, buildname="2026-11-23_00h00m00s")
    with pytest.raises(WrongSubjectError, match="several masters"):
        record_of(packages, {"MASTERNAME": "150arm64-clawdie"}, buildname=NAME)
    (packages / ".real_1795348800" / ".buildname").write_text("2026-11-24_00h00m00s\n")
    with pytest.raises(WrongSubjectError):
        record_of(packages)


@pytest.mark.parametrize(
    "changes",
    [
        {"stats": []},
        {"stats": {"failed": "many"}},
        {"stats": {"failed": -1}},
        {"stats": {"failed": "1e3"}},
        {"git_hash": "a\nb"},
        {"mastername": "../.."},
        {"buildname": 7},
    ],
    ids=["stats-list", "words", "negative", "float", "newline", "dots", "number"],
)
def test_records_that_poudriere_does_not_write_are_refused(packages, changes):
    with pytest.raises(FormatError):
        record_of(packages, **changes)


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{", b'{"a":1,"a":2}', b"[" * 5000, b'{"stats":NaN}', b"\xff"], ids=range(7)
)
def test_damaged_records_are_refused(packages, data):
    (logs_of(packages) / ".data.json").write_bytes(data)
    with pytest.raises(FormatError):
        record_of(packages)


def test_records_behind_a_link_are_not_read(packages, tmp_path):
    path = logs_of(packages) / ".data.json"
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FormatError, match="link"):
        record_of(packages)


def test_records_that_were_named_have_to_be_there(packages, tmp_path):
    with open_source(packages) as source, pytest.raises(NotFoundError):
        read_build(source, environment={}, records=tmp_path / "missing")


def test_the_small_records_are_enough(packages):
    (logs_of(packages) / ".data.json").unlink()
    assert record_of(packages).stats["failed"] == 1
