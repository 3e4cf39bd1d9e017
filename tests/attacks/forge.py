"""What an attacker publishes who holds some of the keys: metadata of any content, signed by whomever you name.

    forge = Forge(world)
    forge.change("profiles", expire, by=["olga"])       # a role's newest version, altered, next number, signed
    forge.add("skills/…", data, custom, by=["alice"])   # a target in the bin that decides about its path
    forge.state(by=["online"])                          # snapshot and timestamp over all of it
    forge.answer(server)                                # the server says so from now on

Nothing in here checks anything; that is the point.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from securesystemslib.signer import Signer
from tuf.api.metadata import Metadata, MetaFile, Signed, Snapshot, TargetFile, Timestamp

from signing.format.archive import Bundle, SourceFile, render_bundle
from signing.format.digest import sha256_of
from signing.format.envelope import Envelope, EnvelopeSignature
from signing.format.manifest import Kind, MemberPath
from signing.format.names import REVOCATIONS_PATH, HolderName, Pin, TargetPath
from signing.format.profile import PinnedBundle, Profile
from signing.format.reinstatement import Reinstatement
from signing.format.review import Review
from signing.format.revocations import Revocations
from signing.format.scope import Scope
from signing.format.statement import PAYLOAD_TYPE, Statement
from signing.format.withdrawal import Harm, Withdrawal, Withdrawn
from signing.metadata import SERIALIZER
from signing.roles import ROOT, SKILLS, SNAPSHOT, TIMESTAMP, delegated_role_of, hashed_path
from signing.trusted import TrustedMetadata, verify_metadata
from tests.support.world import PlainServer, World, now, skill_md

CURATORS = ("alice", "bob")
PAST = timedelta(hours=-1)

Change = Callable[[Any], None]


def expire(signed: Signed, *, by: timedelta = PAST) -> None:
    signed.expires = (now() + by).replace(microsecond=0)


def at_version(version: int) -> Change:
    """Give the metadata this version (``change`` counts one up first)."""

    def set_version(signed: Signed) -> None:
        signed.version = version

    return set_version


class Forge:
    def __init__(self, world: World) -> None:
        self.world = world
        self.documents: dict[str, bytes] = {}
        self.answers: dict[str, bytes] = {}
        self.roots: list[bytes] = []
        newest: dict[str, int] = {}
        for name, data in world.metadata().items():
            number, _, rest = name.partition(".")
            role, version = (rest.removesuffix(".json"), int(number)) if number.isdigit() else (TIMESTAMP, 0)
            if version >= newest.get(role, 0):
                newest[role], self.documents[role] = version, data

    def read(self, role: str) -> Metadata[Any]:
        return Metadata.from_bytes(self.documents[role])

    def version(self, role: str) -> int:
        return self.read(role).signed.version

    def signer(self, name: str) -> Signer:
        return self.world.signers[name]

    def change(self, role: str, *changes: Change, by: Iterable[str], bump: bool = True) -> None:
        """Alter the newest version of ``role`` and have it signed by ``by`` alone."""
        metadata = self.read(role)
        if bump:
            metadata.signed.version += 1
        for change in changes:
            change(metadata.signed)
        self.put(role, metadata, by=by)

    def put(self, role: str, metadata: Metadata[Any], *, by: Iterable[str]) -> None:
        metadata.signatures.clear()
        for name in by:
            metadata.sign(self.signer(name), append=True)
        self.put_bytes(role, metadata.signed.version, metadata.to_bytes(SERIALIZER))

    def put_bytes(self, role: str, version: int, data: bytes) -> None:
        """Offer ``data`` as this version of ``role``, whatever it is."""
        self.documents[role] = data
        name = "timestamp" if role == TIMESTAMP else f"{version}.{role}"
        self.answers[f"/metadata/{name}.json"] = data
        if role == ROOT:
            self.roots.append(data)

    def owner(self, path: str) -> str:
        """Return the role that decides about ``path``."""
        role = delegated_role_of(path)
        if role != SKILLS:
            return role
        return self.read(SKILLS).signed.delegations.succinct_roles.get_role_for_target(path)

    def add(
        self,
        path: str,
        data: bytes,
        custom: Mapping[str, Any] | None = None,
        *,
        by: Iterable[str],
        role: str | None = None,
        target: TargetFile | None = None,
    ) -> TargetFile:
        """Name ``path`` in the role that owns it (or in another) and serve ``data`` for it."""
        extra = {"custom": dict(custom)} if custom is not None else None
        target = target or TargetFile(len(data), {"sha256": sha256_of(data)}, path, extra)

        def put(signed: Any) -> None:
            signed.targets[path] = target

        self.change(role or self.owner(path), put, by=by)
        digest = next(iter(target.hashes.values()))
        self.answers[f"/targets/{hashed_path(TargetPath(path), digest)}"] = data
        return target

    def state(
        self,
        *changes: Change,
        by: Iterable[str] = ("online",),
        snapshot: Sequence[Change] = (),
        timestamp: Sequence[Change] = (),
    ) -> None:
        """Sign a new snapshot over all documents and a new timestamp over it."""
        by = tuple(by)

        def renew(signed: Snapshot) -> None:
            signed.meta = {
                f"{role}.json": MetaFile(self.version(role), len(data), {"sha256": sha256_of(data)})
                for role, data in self.documents.items()
                if role not in {ROOT, SNAPSHOT, TIMESTAMP}
            }

        self.change(SNAPSHOT, renew, *changes, *snapshot, by=by)
        self.timestamp(*timestamp, by=by)

    def state_naming(self, role: str, data: bytes) -> None:
        """Sign a state in which the present version of ``role`` is ``data``, which need not be metadata."""
        version = self.version(role)
        self.answers[f"/metadata/{version}.{role}.json"] = data

        def name(signed: Snapshot) -> None:
            signed.meta[f"{role}.json"] = MetaFile(version, len(data), {"sha256": sha256_of(data)})

        self.state(snapshot=[name])

    def timestamp(self, *changes: Change, by: Iterable[str] = ("online",)) -> None:
        """Sign a new timestamp over the snapshot as it is."""
        data = self.documents[SNAPSHOT]

        def renew(signed: Timestamp) -> None:
            signed.snapshot_meta = MetaFile(self.version(SNAPSHOT), len(data), {"sha256": sha256_of(data)})

        self.change(TIMESTAMP, renew, *changes, by=by)

    def answer(self, server: PlainServer) -> None:
        server.lies.update(self.answers)

    def verify(self, at: datetime | None = None) -> TrustedMetadata:
        """Our own check of the documents, without python-tuf's updater before it."""
        files = {role: data for role, data in self.documents.items() if role != ROOT}
        return verify_metadata(self.world.anchor, roots=self.roots, files=files, now=at or now())

    # --- what is signed inside the metadata ------------------------------------------------------------

    def archive(
        self, pin: str, files: Mapping[str, bytes] | None = None, kind: Kind = Kind.SKILL
    ) -> tuple[Bundle, bytes]:
        wanted = Pin.parse(pin)
        contents = {
            MemberPath(path): SourceFile(content=data)
            for path, data in (files or {"SKILL.md": skill_md(wanted.name)}).items()
        }
        bundle = Bundle.build(pin=wanted, kind=kind, files=contents)
        return bundle, render_bundle(bundle)

    def published_review(self) -> Review:
        """The honest review of web-search==1.0: a pattern for forged ones."""
        folder = self.world.public / "targets/skills/web-search/1.0"
        envelope = Envelope.parse(next(folder.glob("*.review.dsse.json")).read_bytes())
        statement = Statement.parse(envelope.payload)
        bundle, tree = statement.subjects
        return Review.from_statement(
            statement, pin=Pin.parse("web-search==1.0"), bundle_sha256=bundle.sha256, tree_sha256=tree.sha256
        )

    def review(
        self, pin: str, bundle_sha256: str, tree_sha256: str, *, by: Iterable[str], **other: Any
    ) -> bytes:
        review = replace(
            self.published_review(),
            pin=Pin.parse(pin),
            bundle_sha256=bundle_sha256,
            tree_sha256=tree_sha256,
            **other,
        )
        envelope = Envelope(payload_type=PAYLOAD_TYPE, payload=review.to_statement().render())
        for name in by:
            envelope = self.world.signers[name].sign_envelope(envelope)
        return envelope.render()

    def release(
        self,
        pin: str,
        archive: bytes,
        tree_sha256: str,
        *,
        by: Iterable[str] = CURATORS,
        reviewed_by: Iterable[str] = ("alice",),
        custom: Mapping[str, Any] | None = None,
        review: bytes | None = None,
        role: str | None = None,
    ) -> PinnedBundle:
        """Publish ``archive`` as the release ``pin``; return what a profile would pin."""
        wanted, by = Pin.parse(pin), tuple(by)
        digest = sha256_of(archive)
        review = review if review is not None else self.review(pin, digest, tree_sha256, by=reviewed_by)
        said = {
            "name": wanted.name,
            "version": wanted.version,
            "kind": "skill",
            "tree_sha256": tree_sha256,
            "review_sha256": sha256_of(review),
            **(custom or {}),
        }
        self.add(wanted.bundle_path, archive, said, by=by, role=role)
        self.add(wanted.review_path, review, by=by, role=role)
        return PinnedBundle(
            pin=wanted, bundle_sha256=digest, tree_sha256=tree_sha256, review_sha256=sha256_of(review)
        )

    def profile(
        self, pin: str, *items: PinnedBundle, by: Iterable[str] = ("olga",), at: str | None = None
    ) -> None:
        """Publish a profile that pins ``items`` (at the path of another, when ``at`` names one)."""
        profile = Profile(
            pin=Pin.parse(pin),
            skills=tuple(sorted(items, key=lambda item: item.pin.name)),
            souls=(),
            capabilities=(),
        )
        self.add(Pin.parse(at or pin).profile_path, profile.render(), by=by)

    def revoke(
        self, *, by: Iterable[str] = ("bob",), state: Withdrawn = Withdrawn.REVOKED, **what: Any
    ) -> Withdrawal:
        """Withdraw by ``name``, ``name`` and ``version``, ``sha256`` or ``publisher``: one more entry."""
        severity = Harm.HIGH if state is Withdrawn.REVOKED else None
        kept_by = what.pop("kept_by", ())
        entry = Withdrawal(
            state=state,
            scope=Scope(**what),
            severity=severity,
            reason="leaks the query",
            by=HolderName("bob"),
            at=now().replace(microsecond=0),
            kept_by=kept_by,
        )
        self.withdrawals(*self.listed().entries, entry, by=by)
        return entry

    def listed(self) -> Revocations:
        """The list as the newest metadata names it."""
        target = self.read("revocations").signed.targets[REVOCATIONS_PATH]
        url = f"/targets/{hashed_path(REVOCATIONS_PATH, target.hashes['sha256'])}"
        known = self.answers.get(url)
        return Revocations.parse(known or (self.world.public / url.lstrip("/")).read_bytes())

    def withdrawals(self, *entries: Withdrawal, by: Iterable[str] = ("bob",)) -> None:
        """Publish a list of exactly ``entries``."""
        self.add(REVOCATIONS_PATH, Revocations(entries=entries).render(), by=by)

    def lifting(self, entry: Withdrawal, *, by: Iterable[str], about: Withdrawal | None = None) -> Withdrawal:
        """The entry with a reinstatement (of another entry, when ``about`` names one), signed by ``by``."""
        statement = Reinstatement(
            withdrawal=(about or entry).id,
            reason="a false alarm",
            by=HolderName("alice"),
            at=now().replace(microsecond=0),
        )
        envelope = statement.to_envelope()
        for name in by:
            signature = self.signer(name).sign(envelope.signed_bytes)
            envelope = envelope.with_signature(
                EnvelopeSignature(keyid=signature.keyid, signature=bytes.fromhex(signature.signature))
            )
        return entry.with_lifting(envelope)
