"""What a repository demands of a release before it is signed and published: ``policy.toml`` (edge).

    [review]
    reviewers = 2                          # curators who signed the review
    required_engines = ["cisco"]           # engines that ran to their end, named as the review names them

    [ci]
    required = true
    identity = "https://ci.example/skills/release@refs/heads/main"
    issuer = "https://token.ci.example"
    trusted_root = "ci-trusted-root.json"  # a file beside policy.toml

    [waivers]
    max_days = 90                          # 0: blocking findings cannot be waived

    [upstream]
    trusted_root = "public-good.json"      # vouches for Sigstore evidence found in what is imported
    certificates = "vendors.pem"           # vouch for signatures by certificates without transparency log

Every table and key may be left out (``[ci]`` needs all of its own); without the file everything is as if there
was no policy. A review records the policy's digest, which covers the content of the named files too. Signing
and publishing compare it, so a policy that was weakened afterwards, on the server for one, does not pass what was
reviewed under the other. A signer who keeps a ``policy.toml`` beside the own trust anchor goes by that one.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, Self

from repo_server.attesting.ci import VerifiedAttestation, review_digest
from repo_server.attesting.identity import ExpectedSigner
from repo_server.attesting.upstream import UpstreamTrust
from repo_server.curation.textsafe import excerpt
from repo_server.tomltable import Table
from signing.errors import BlockedError, FormatError, HostError, PolicyError, ThresholdError
from signing.format.canonical import canonical
from signing.format.digest import Sha256, sha256_of
from signing.format.review import Review

NAME: Final = "policy.toml"
SCHEMA: Final = "https://skills.clawdie.si/schema/policy/v1"
_MAX_POLICY_BYTES: Final = 64_000
_MAX_FILE_BYTES: Final = 1 << 20
_MAX_REVIEWERS: Final = 32
_MAX_ENGINES: Final = 20
_MAX_WAIVER_DAYS: Final = 3_650
_MAX_TEXT: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class CiPolicy:
    """Whose CI attests bundles, and by which trusted root; ``required`` makes that a condition."""

    required: bool
    signer: ExpectedSigner
    trusted_root: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What is demanded of a release."""

    reviewers: int = 1
    required_engines: tuple[str, ...] = ()
    ci: CiPolicy | None = None
    max_waiver_days: int | None = None
    upstream: UpstreamTrust = field(default_factory=UpstreamTrust)

    @property
    def digest(self) -> Sha256:
        """The sha256 of the canonical JSON of what is demanded, files by their content."""
        return sha256_of(canonical(self.to_json()))

    @property
    def waiver_life(self) -> timedelta | None:
        """How long a waiver may last; None: as long as reviewing lets it."""
        return timedelta(days=self.max_waiver_days) if self.max_waiver_days is not None else None

    def to_json(self) -> dict[str, Any]:
        """Return the policy as its digest covers it and ``--json`` answers show it."""
        ci = self.ci
        return {
            "schema": SCHEMA,
            "review": {"reviewers": self.reviewers, "required_engines": list(self.required_engines)},
            "ci": {
                "required": ci.required,
                "identity": ci.signer.identity,
                "issuer": ci.signer.issuer,
                "trusted_root_sha256": sha256_of(ci.trusted_root),
            }
            if ci is not None
            else None,
            "waivers": {"max_days": self.max_waiver_days},
            "upstream": self.upstream.to_json(),
        }

    @classmethod
    def parse(cls, text: str, files: Mapping[str, bytes]) -> Self:
        """Return the policy written as ``text``; ``files`` are those that it names.

        Raises:
            FormatError: unknown or wrong keys, or a file that is not there.
        """
        try:
            values = tomllib.loads(text)
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            raise FormatError("not TOML", where=NAME) from error
        tables = Table(values, NAME)
        review, ci = tables.table("review"), tables.table("ci")
        waivers, upstream = tables.table("waivers"), tables.table("upstream")
        tables.done()
        policy = cls(
            reviewers=review.integer("reviewers", minimum=1, maximum=_MAX_REVIEWERS, default=1),
            required_engines=review.names("required_engines"),
            ci=_ci(ci, files) if "ci" in values else None,
            max_waiver_days=waivers.integer("max_days", minimum=0, maximum=_MAX_WAIVER_DAYS, default=None),
            upstream=UpstreamTrust(
                trusted_root=_file(upstream, "trusted_root", files),
                certificates=_file(upstream, "certificates", files),
            ),
        )
        for table in (review, waivers, upstream):
            table.done()
        return policy


def load_policy(folder: Path) -> Policy | None:
    """Return the policy in ``folder``, or None when there is no ``policy.toml``.

    Raises:
        FormatError: there is one and it is not a policy, or names a file that is not beside it.
        HostError: it cannot be read; that is not the same as having none.
    """
    files = policy_files(folder)
    return Policy.parse(files[NAME].decode("utf-8"), files) if files else None


def policy_files(folder: Path) -> dict[str, bytes]:
    """Return ``policy.toml`` and those of the files that it names which are there; nothing without it.

    Raises:
        FormatError: it is not TOML. HostError: a file cannot be read.
    """
    text = _read(folder / NAME, _MAX_POLICY_BYTES)
    if text is None:
        return {}
    try:
        named = _named_files(tomllib.loads(text.decode("utf-8")))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise FormatError("not TOML in UTF-8", where=NAME) from error
    read = {name: _read(folder / name, _MAX_FILE_BYTES) for name in sorted(named)}
    return {NAME: text, **{name: content for name, content in read.items() if content is not None}}


def policy_for(repository: Path, signers_folder: Path | None) -> Policy | None:
    """Return the policy that binds whoever works here: the one from the signer's own side, if there is one.

    Raises:
        FormatError, HostError: as for `load_policy`.
    """
    own = load_policy(signers_folder) if signers_folder is not None else None
    return own if own is not None else load_policy(repository)


def check_recorded(policy: Policy | None, review: Review) -> None:
    """Return None when ``review`` was made under ``policy``.

    Raises:
        PolicyError: it was made under another one, under none, or under one that is gone.
    """
    wanted = policy.digest if policy is not None else None
    if review.policy_sha256 != wanted:
        raise PolicyError(
            f"{review.pin} was reviewed under {_shown(review.policy_sha256)}; in force is {_shown(wanted)}",
            hint=f"put back the {NAME} that it was reviewed under, or review it again under this one",
            recorded=review.policy_sha256,
            in_force=wanted,
        )


def check_policy(
    policy: Policy | None,
    *,
    review: Review,
    reviewers: Sequence[str],
    identities: Sequence[VerifiedAttestation] = (),
    now: datetime,
) -> None:
    """Return None when ``review`` meets ``policy``; without a policy, when it was made without one.

    Args:
        policy: what is in force here.
        review: the review, read from its signed statement.
        reviewers: the curators whose signatures on it were verified, by name.
        identities: CI attestations, verified against this review.
        now: the present moment.

    Raises:
        ThresholdError: fewer distinct curators signed than are demanded.
        BlockedError: a waiver lasts for too long to count.
        PolicyError: another policy, a demanded engine missing or failed, no attestation of the demanded CI.
    """
    check_recorded(policy, review)
    if policy is None:
        return
    if len(set(reviewers)) < policy.reviewers:
        raise ThresholdError("review", signed=len(set(reviewers)), threshold=policy.reviewers)
    check_engines(policy, review)
    _check_waivers(policy, review, now)
    _check_ci(policy, review, identities)


def check_engines(policy: Policy | None, review: Review) -> None:
    """Return None when every engine that ``policy`` demands ran to its end in ``review``.

    Raises:
        PolicyError: one is missing or failed.
    """
    for name in policy.required_engines if policy is not None else ():
        reports = [report for report in review.engines if report.name == name]
        if not reports:
            raise PolicyError(
                f"{review.pin} was reviewed without the engine {name!r}, which the policy demands",
                hint=f"skillrepo engine install {name}, then review it again",
                engine=name,
            )
        if failures := [report.failure for report in reports if report.failure]:
            raise PolicyError(
                f"the engine {name!r}, which the policy demands, failed: {excerpt(failures[0])}",
                hint="mend it and review again; an engine that failed has found nothing, not nothing wrong",
                engine=name,
            )


def _check_waivers(policy: Policy, review: Review, now: datetime) -> None:
    life = policy.waiver_life
    if life is None:
        return
    # From the earlier of the two: a review dated ahead would give its waivers longer lives.
    begins = min(review.reviewed_at, now)
    if late := [waiver for waiver in review.waivers if waiver.until - begins > life]:
        raise BlockedError(
            f"{review.pin} waives {len(late)} finding(s) for longer than {policy.max_waiver_days} days",
            hint="review it again; waivers then last as long as the policy allows (0 days: change the skill)",
            findings=[waiver.finding for waiver in late],
        )


def _check_ci(policy: Policy, review: Review, identities: Sequence[VerifiedAttestation]) -> None:
    ci = policy.ci
    if ci is None or not ci.required:
        return
    digest = review_digest(review)
    for item in identities:
        who = (item.signer.identity, item.signer.issuer)
        if item.review_sha256 == digest and who == (ci.signer.identity, ci.signer.issuer):
            return
    raise PolicyError(
        f"{review.pin} is not attested by {ci.signer.identity} ({ci.signer.issuer}), which the policy demands",
        hint=f"let that CI run: skillrepo attest --ci {review.pin}",
        identity=ci.signer.identity,
        issuer=ci.signer.issuer,
    )


def _ci(table: Table, files: Mapping[str, bytes]) -> CiPolicy:
    trusted_root = _file(table, "trusted_root", files)
    policy = CiPolicy(
        required=table.boolean("required"),
        signer=ExpectedSigner(identity=table.text("identity"), issuer=table.text("issuer")),
        trusted_root=trusted_root or b"",
    )
    if trusted_root is None:
        raise FormatError("missing", where=table.place("trusted_root"))
    table.done()
    return policy


def _file(table: Table, key: str, files: Mapping[str, bytes]) -> bytes | None:
    name = table.optional_text(key)
    if name is None:
        return None
    if not _is_plain(name):
        raise FormatError(
            "not the plain name of a file", where=table.place(key), hint=f"put the file beside {NAME}"
        )
    content = files.get(name)
    if content is None:
        raise FormatError(f"there is no {name} beside {NAME}", where=table.place(key))
    return content


def _named_files(values: Mapping[str, Any]) -> set[str]:
    tables = [value for value in values.values() if isinstance(value, dict)]
    named = {table.get(key) for table in tables for key in ("trusted_root", "certificates")}
    return {name for name in named if isinstance(name, str) and _is_plain(name)}


def _is_plain(name: str) -> bool:
    return 0 < len(name) <= _MAX_TEXT and name not in {".", ".."} and not set(name) & set("/\\\0")


def _read(path: Path, limit: int) -> bytes | None:
    try:
        with path.open("rb") as stream:
            data = stream.read(limit + 1)
    except FileNotFoundError as error:
        if path.is_symlink():  # it is there, and leads nowhere: not the same as having none
            raise HostError(f"cannot read {path}: a link that leads nowhere") from error
        return None
    except OSError as error:
        raise HostError(f"cannot read {path}: {error.strerror}") from error
    if len(data) > limit:
        raise FormatError(f"larger than {limit} bytes", where=path.name)
    return data


def _shown(digest: Sha256 | None) -> str:
    return f"policy {digest[:16]}…" if digest is not None else "no policy"
