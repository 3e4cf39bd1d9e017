"""Checking a birth certificate offline: from the trust anchor to every digest in it.

    anchor ─► the metadata of that moment ─► profile ─► lock ─► one decision per item, and no other ─► the bill
    host key ─► the statement

The metadata travels with the certificate; it is judged at the moment of the birth, because that is what the host
claims: that this was vouched for then. What was revoked since is a question for a server, not for a certificate.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import InitVar, dataclass
from typing import Any, Final, final

from signing.errors import (
    BadSignatureError,
    DigestMismatchError,
    FormatError,
    NotFirstPartyError,
    WrongSubjectError,
)
from signing.format.birth import MAX_CERTIFICATE_BYTES, BirthStatement, CertificateFile
from signing.format.canonical import parse_canonical
from signing.format.digest import Sha256, check_sha256, parse_sha256, sha256_of
from signing.format.names import Pin
from signing.format.pkg.names import PackageRepo, parse_abi
from signing.format.profile import Lock, PinnedBundle, Profile
from signing.keys import HeldKey, envelope_signers
from signing.sealed import unchangeable
from signing.trusted import TrustedMetadata, verify_metadata

FIRST_PARTY: Final = "first-party"


class _Seal:
    """The one instance of this class is what makes evidence; it does not leave this module."""


_SEAL: Final = _Seal()


@unchangeable
@final
@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedBirth:
    """A birth that the host signed, and whose every item the anchor vouched for then (``own_risk`` excepted).

    ``skills`` are what must stand in the jail: pin and tree digest of each. ``signed_by`` is the host.
    """

    born: BirthStatement
    lock: Lock
    skills: tuple[tuple[Pin, Sha256], ...]
    own_risk: tuple[Pin, ...]
    signed_by: str
    bom: bytes
    seal: InitVar[_Seal]

    def __post_init__(self, seal: _Seal) -> None:
        if seal is not _SEAL:
            raise TypeError("VerifiedBirth comes from verify_birth()")


def verify_birth(data: bytes, *, anchor: bytes, host_keys: Sequence[HeldKey]) -> VerifiedBirth:
    """Return the birth that the certificate ``data`` proves.

    Args:
        data: the certificate.
        anchor: the trust anchor, which the customer has by another way than from us on that day.
        host_keys: the keys of hosts that the customer accepts; an empty list accepts none.

    Raises:
        FormatError: not a certificate.
        BadSignatureError: none of ``host_keys`` signed it.
        VerificationError: the anchor does not vouch for what it says; the class says how.
        NotFoundError: the anchor knows nothing of the profile or the release that it names.
        NotFirstPartyError: it says that a paying customer's jail holds something that is not ours.
    """
    file = CertificateFile.parse(data)
    signers = envelope_signers(file.envelope, [key.to_tuf() for key in host_keys])
    if not signers:
        raise BadSignatureError(
            "no host that you named signed this certificate",
            hint="--host-key takes the public key of the host, as its operator gave it to you",
        )
    born = BirthStatement.of(file.envelope)
    signer = next((key for key in host_keys if key.keyid == signers[0].keyid), None)
    if signer is None or (signer.holder, signer.keyid) != (born.host, born.host_keyid):
        raise WrongSubjectError(f"it says that {born.host!a} verified, and another host signed it")
    if born.activated_at < born.born_at:
        raise WrongSubjectError("it was active before it was born")
    if sha256_of(anchor) != born.anchor_sha256:
        raise WrongSubjectError(
            "this host trusted another anchor than yours", hint="get the anchor from the repository's owner"
        )
    trusted = verify_metadata(anchor, roots=file.roots, files=file.files, now=born.born_at)
    if any(trusted.versions[role] != version for role, version in born.versions.items()):
        raise WrongSubjectError("the metadata that came along is not that of the birth")
    profile = _profile(file.profile, born, trusted)
    lock, own_risk = _lock(profile, born)
    check_sha256(file.bom, born.bom_sha256, where="bill of materials")
    _check_bill(file.bom, born)
    _check_all_vouched(lock, born, trusted)
    skills = [(item.pin, item.tree_sha256) for item in lock.skills]
    skills += [
        (
            Pin.parse(_text(risk, "pin")),
            parse_sha256(_text(risk, "tree_sha256"), where="certificate.decisions"),
        )
        for risk in own_risk
    ]
    return VerifiedBirth(
        born=born,
        lock=lock,
        skills=tuple(skills),
        own_risk=tuple(Pin.parse(risk["pin"]) for risk in own_risk),
        signed_by=signer.holder,
        bom=file.bom,
        seal=_SEAL,
    )


def _profile(data: bytes, born: BirthStatement, trusted: TrustedMetadata) -> Profile:
    target = trusted.vouch(born.profile.profile_path)
    check_sha256(data, target.sha256, where="profile")
    profile = Profile.parse(data)
    if profile.pin != born.profile or sha256_of(data) != born.profile_sha256:
        raise WrongSubjectError("the profile that came along is not the one that it names")
    if born.capabilities != profile.capabilities:
        raise WrongSubjectError("it names other capabilities than its profile grants")
    return profile


def _lock(profile: Profile, born: BirthStatement) -> tuple[Lock, list[Mapping[str, Any]]]:
    """Return the lock, and the decisions at own risk: each other decision is about an item of the lock, once."""
    own_risk = [item for item in born.decisions if item.get("source") != FIRST_PARTY]
    if own_risk and born.tier != "free":
        raise NotFirstPartyError(
            f"{own_risk[0].get('pin')!a} is not first-party, and the tier is {born.tier}"
        )
    repositories = {_text(item, "repository") for item in born.decisions if item.get("kind") == "package"}
    if len(repositories) > 1:
        raise WrongSubjectError("its packages come from several repositories")
    abi = PackageRepo.parse(repositories.pop()).abi if repositories else None
    external = [(Pin.parse(_text(item, "pin")), Sha256(_text(item, "bundle_sha256"))) for item in own_risk]
    lock = Lock.of(profile, abi=parse_abi(abi) if abi is not None else None, external=external)
    if lock.sha256 != born.lock_sha256:
        raise DigestMismatchError("what it lists is not its lock")
    wanted: Counter[tuple[str, str, str, str]] = Counter(
        [
            *(("skill", str(item.pin), item.bundle_sha256, item.tree_sha256) for item in lock.skills),
            *(("soul", str(item.pin), item.bundle_sha256, item.tree_sha256) for item in lock.souls),
            *(
                ("package", str(item.pin), item.sha256, "")
                for item in (lock.packages.items if lock.packages is not None else ())
            ),
        ]
    )
    found = Counter(_key(item) for item in born.decisions if item.get("source") == FIRST_PARTY)
    if found != wanted:
        odd = next(iter((wanted - found) | (found - wanted)))
        raise WrongSubjectError(f"{odd[1]!a}: no decision, or one too many, or about other bytes")
    wrong = [
        item for item in born.decisions if item.get("tenant") != born.tenant or item.get("tier") != born.tier
    ]
    if wrong or any(item.get("verdict") != "admitted" for item in born.decisions):
        raise WrongSubjectError("it carries a decision about somebody else")
    return lock, own_risk


def _check_bill(bom: bytes, born: BirthStatement) -> None:
    """Return None when the bill lists what was decided, and nothing else: tools read it, and believe it."""
    fields = parse_canonical(bom, where="bill of materials", max_bytes=MAX_CERTIFICATE_BYTES)
    components = fields.get("components") if isinstance(fields, dict) else None
    if not isinstance(components, list):
        raise FormatError("lists no components", where="bill of materials")
    listed = Counter(_component(item) for item in components)
    wanted = Counter(_wanted_component(item) for item in born.decisions)
    if listed != wanted:
        odd = next(iter((wanted - listed) | (listed - wanted)))
        raise WrongSubjectError(f"the bill of materials says something else about {odd[0]!a}")


def _wanted_component(decision: Mapping[str, Any]) -> tuple[str, ...]:
    kind, pin = _text(decision, "kind"), _text(decision, "pin")
    if kind == "package":
        name, _, version = pin.rpartition("-")
        return f"{kind}:{pin}", name, version, _text(decision, "sha256")
    name, _, version = pin.partition("==")
    return f"{kind}:{pin}", name, version, _text(decision, "bundle_sha256")


def _component(item: object) -> tuple[str, ...]:
    hashes = item.get("hashes") if isinstance(item, dict) else None
    if not isinstance(item, dict) or not isinstance(hashes, list) or len(hashes) != 1:
        raise FormatError("a component without its one digest", where="bill of materials")
    only = hashes[0]
    if not isinstance(only, dict) or only.get("alg") != "SHA-256":
        raise FormatError("a digest that is no SHA-256", where="bill of materials")
    return (*(str(item.get(key)) for key in ("bom-ref", "name", "version")), str(only.get("content")))


def _key(decision: Mapping[str, Any]) -> tuple[str, str, str, str]:
    kind = _text(decision, "kind")
    if kind == "package":
        return kind, _text(decision, "pin"), _text(decision, "sha256"), ""
    return kind, _text(decision, "pin"), _text(decision, "bundle_sha256"), _text(decision, "tree_sha256")


def _text(decision: Mapping[str, Any], key: str) -> str:
    value = decision.get(key)
    if not isinstance(value, str):
        raise FormatError("missing, or not a text", where=f"certificate.decisions: {key}")
    return value


def _check_all_vouched(lock: Lock, born: BirthStatement, trusted: TrustedMetadata) -> None:
    """Two roles have to say the same: the profile (operators), and the role of the bundle (curators)."""
    items: tuple[PinnedBundle, ...] = (*lock.skills, *lock.souls)
    for item in items:
        bundle, review = trusted.vouch(item.pin.bundle_path), trusted.vouch(item.pin.review_path)
        if (bundle.sha256, review.sha256) != (item.bundle_sha256, item.review_sha256):
            raise DigestMismatchError(f"the curators vouched for another {item.pin}")
    if lock.packages is not None:
        index = trusted.vouch(lock.packages.repo.index_path).sha256
        said = {item.get("index_sha256") for item in born.decisions if item.get("kind") == "package"}
        if said != {index}:
            raise DigestMismatchError(f"the builder vouched for another index of {lock.packages.repo}")
