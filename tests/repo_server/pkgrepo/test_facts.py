"""Facts about package files: read once, never wrong, whatever became of the cache."""

import hashlib
import json
import os
import shutil
import time

import pytest

from repo_server.pkgrepo import facts as module
from repo_server.pkgrepo.beneath import open_beneath, open_folder
from repo_server.pkgrepo.facts import FactsCache, collect_facts, read_facts
from signing.errors import ConflictError, FormatError, NotFoundError
from tests.repo_server.pkgrepo.signing_keys import DATA, LATEST

PATHS = sorted(f"All/{name}.pkg" for name in ("demo-agent-1.2.0", "demo-agent-1.2.1_1", "demo-base-1.0.0"))


class Place:
    """A folder of packages that were settled long ago, its cache, and what was really read."""

    def __init__(self, folder, monkeypatch):
        self.root = folder / "latest"
        shutil.copytree(DATA / "repos" / "fp-rsa" / LATEST, self.root)
        self.cache = folder / "state" / "facts"
        self.read = []
        self.now = time.time_ns() + 10**10
        real = module.read_facts

        def counted(descriptor, path):
            self.read.append(path)
            return real(descriptor, path)

        monkeypatch.setattr(module, "read_facts", counted)
        monkeypatch.setattr(module.time, "time_ns", lambda: self.now)

    def collect(self, paths=PATHS):
        self.read.clear()
        cache = FactsCache.load(self.cache)
        folder = open_folder(self.root)
        try:
            found = collect_facts(folder, paths, cache=cache)
        finally:
            os.close(folder)
        cache.store(self.cache)
        return found


@pytest.fixture
def place(tmp_path, monkeypatch):
    return Place(tmp_path, monkeypatch)


def test_facts_are_what_the_files_are(place):
    for path, facts in place.collect().items():
        data = (place.root / path).read_bytes()
        assert facts.size == len(data)
        assert facts.digests.sha256 == hashlib.sha256(data).hexdigest()
        assert facts.digests.blake2b == hashlib.blake2b(data).hexdigest()
        manifest = json.loads(facts.manifest)
        assert f"All/{manifest['name']}-{manifest['version']}.pkg" == path


def test_nothing_unchanged_is_read_twice(place):
    first = place.collect()
    assert sorted(place.read) == PATHS
    assert place.collect() == first
    assert place.read == []
    assert place.cache.stat().st_mode & 0o777 == 0o600


def test_a_changed_file_is_read_again(place):
    first = place.collect()
    changed = place.root / PATHS[2]
    status = changed.stat()
    shutil.copy(DATA / "repos" / "fp-rsa-pkg275" / LATEST / PATHS[2], changed)
    second = place.collect()
    assert place.read == [PATHS[2]]
    assert second[PATHS[2]].digests != first[PATHS[2]].digests
    # Same size, and its old modification time put back: ctime still tells.
    data = bytearray(changed.read_bytes())
    place.collect()
    os.utime(changed, ns=(status.st_atime_ns, status.st_mtime_ns))
    place.collect()
    assert place.read == [PATHS[2]]
    assert len(data) == changed.stat().st_size


def test_a_file_replaced_by_rename_is_read_again(place):
    place.collect()
    path = place.root / PATHS[0]
    status = path.stat()
    shutil.copy2(path, path.with_suffix(".new"))
    path.with_suffix(".new").rename(path)
    assert path.stat().st_mtime_ns == status.st_mtime_ns
    place.collect()
    assert place.read == [PATHS[0]]


def test_a_file_changed_just_now_is_not_remembered(place):
    place.now = (place.root / PATHS[0]).stat().st_ctime_ns + 10**9
    place.collect()
    place.collect()
    assert sorted(place.read) == PATHS


def damage_digest(data):
    return data.replace(b'","', b'","0', 1)


DAMAGES = {
    "empty": lambda _: b"",
    "cut": lambda data: data[: len(data) // 2],
    "cut at a line": lambda data: data[: data.index(b"\n", 100) + 1],
    "one byte": lambda data: data[:200] + bytes([data[200] ^ 1]) + data[201:],
    "no digest": lambda data: data.removesuffix(b"\n").rpartition(b"\n")[0] + b"\n",
    "more": lambda data: data + b"[]\n",
    "not text": lambda _: b"\xff\xfe" * 1000,
    "deep": lambda _: b"[" * 100_000,
    "two files": lambda data: data + data,
}


@pytest.mark.parametrize("damage", sorted(DAMAGES))
def test_a_damaged_cache_is_only_slow(place, damage):
    first = place.collect()
    place.cache.write_bytes(DAMAGES[damage](place.cache.read_bytes()))
    assert place.collect() == first
    assert sorted(place.read) == PATHS
    assert place.collect() == first
    assert place.read == []


def sealed(lines):
    body = b"".join(line + b"\n" for line in lines)
    return body + json.dumps(hashlib.sha256(body).hexdigest()).encode() + b"\n"


@pytest.mark.parametrize(
    "change",
    [
        lambda entry: entry[:-1],
        lambda entry: [*entry[:5], entry[5].upper(), *entry[6:]],
        lambda entry: [*entry[:6], "00", entry[7]],
        lambda entry: [*entry[:6], None, entry[7]],
        lambda entry: [*entry[:7], 7],
        lambda entry: [str(entry[0]), *entry[1:]],
        lambda entry: {"entry": entry},
    ],
    ids=["short", "capitals", "digits", "null", "number", "device", "object"],
)
def test_a_whole_cache_of_another_shape_is_only_slow(place, change):
    first = place.collect()
    head, *entries, _ = place.cache.read_bytes().splitlines()
    wrong = [json.dumps(change(json.loads(entry))).encode() for entry in entries]
    place.cache.write_bytes(sealed([head, *wrong]))
    assert place.collect() == first
    assert sorted(place.read) == PATHS


def test_a_cache_of_another_schema_is_only_slow(place):
    first = place.collect()
    _, *entries, _ = place.cache.read_bytes().splitlines()
    place.cache.write_bytes(sealed([b'{"schema":"other"}', *entries]))
    assert place.collect() == first
    assert sorted(place.read) == PATHS


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_cache_that_others_may_write_vouches_for_nothing(place, mode):
    place.collect()
    lines = place.cache.read_bytes().splitlines()
    forged = [json.loads(line) for line in lines[1:-1]]
    for entry in forged:
        entry[5] = "0" * 64
    place.cache.write_bytes(sealed([lines[0], *(json.dumps(entry).encode() for entry in forged)]))
    place.cache.chmod(mode)
    assert all(facts.digests.sha256 != "0" * 64 for facts in place.collect().values())
    assert sorted(place.read) == PATHS


def test_a_link_is_no_cache(place, tmp_path):
    place.collect()
    place.cache.rename(tmp_path / "elsewhere")
    place.cache.symlink_to(tmp_path / "elsewhere")
    place.collect()
    assert sorted(place.read) == PATHS


def test_what_is_gone_is_forgotten(place):
    place.collect()
    place.collect(PATHS[:1])
    assert len(place.cache.read_bytes().splitlines()) == 3


def test_a_cache_beyond_its_bound_is_not_written(place, monkeypatch):
    monkeypatch.setattr(module, "MAX_ENTRIES", 2)
    place.collect()
    assert not place.cache.exists()


def test_a_missing_file_a_link_and_what_is_no_package(place):
    with pytest.raises(NotFoundError):
        place.collect([*PATHS, "All/missing.pkg"])
    (place.root / "All" / "link.pkg").symlink_to(place.root / PATHS[0])
    (place.root / "Elsewhere").symlink_to(place.root / "All")
    for path in (
        "All/link.pkg",
        f"Elsewhere/{PATHS[0].removeprefix('All/')}",
        "../latest/data.pkg",
        "/etc/passwd",
        "All",
    ):
        with pytest.raises(FormatError):
            place.collect([path])
    with pytest.raises(FormatError):
        place.collect(["data.pkg"])


def test_a_pipe_does_not_hang(place):
    os.mkfifo(place.root / "All" / "pipe.pkg")
    with pytest.raises(FormatError, match="is not a file"):
        place.collect(["All/pipe.pkg"])


def test_a_file_that_changes_while_it_is_read_is_refused(place, monkeypatch):
    path = place.root / PATHS[0]
    real = module.read_package

    def touching(source, **options):
        path.write_bytes(path.read_bytes())
        return real(source, **options)

    monkeypatch.setattr(module, "read_package", touching)
    with pytest.raises(ConflictError, match="changed while"):
        place.collect([PATHS[0]])


def test_progress_is_told(place):
    told = []
    folder = open_folder(place.root)
    collect_facts(folder, PATHS, cache=FactsCache(), progress=lambda done, of: told.append((done, of)))
    os.close(folder)
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_one_file_is_read_in_one_pass(place):
    folder = open_folder(place.root)
    identity, facts = read_facts(folder, PATHS[0])
    descriptor = open_beneath(folder, PATHS[0])
    assert identity[1] == os.fstat(descriptor).st_ino
    assert facts.size == identity[2]
    os.close(descriptor)
    os.close(folder)
