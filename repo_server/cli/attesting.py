"""`skillrepo attest`: a CI's identity behind a reviewed bundle."""

import os
import stat
from pathlib import Path
from typing import Final

import click

from repo_server.cli.context import clock, open_desk, signers_folder
from signing.console import Console, console_option
from signing.errors import KeyAccessError, UsageError

_MAX_TOKEN: Final = 16_384
_MAX_CONFIG: Final = 2 << 20


@click.command()
@click.argument("candidate", metavar="CANDIDATE|NAME[==VERSION]")
@click.option("--ci", is_flag=True, required=True, help="Sign with an OIDC identity, through Sigstore.")
@click.option(
    "--identity-token-file",
    "token_file",
    type=click.Path(path_type=Path),
    help="File with the identity token; default: the one that the CI job can ask for.",
)
@click.option(
    "--identity-token-fd", "token_fd", type=int, help="Open descriptor to read the identity token from."
)
@click.option(
    "--trust-config",
    type=click.Path(path_type=Path),
    help="Sigstore client trust configuration (JSON); default: the public-good instance.",
)
@console_option
@click.pass_context
def attest(
    ctx: click.Context,
    candidate: str,
    ci: bool,
    token_file: Path | None,
    token_fd: int | None,
    trust_config: Path | None,
    console: Console,
) -> None:
    """Build the reviewed bundle again from the candidate, and sign that it is the same, byte for byte.

    The identity is that of the job, not of a curator's key. What was signed is verified as signing and publishing
    will, by the trusted root of the policy, before it is kept.
    """
    from repo_server.attesting.ci import ci_statement
    from repo_server.attesting.identity import ANYBODY, Anybody, ExpectedSigner
    from repo_server.attesting.kept import accept_attestation, attestable
    from repo_server.attesting.making import sign_statement
    from repo_server.attesting.roots import embedded_root
    from repo_server.curation.candidates import find
    from repo_server.db.session import snapshot, transaction
    from repo_server.policy import check_recorded, policy_for
    from signing.format.digest import Sha256

    del ci  # the only way so far; the flag says what the signature is worth
    desk = open_desk(ctx, console, to_sign=True)
    repository = desk.repository
    policy = policy_for(repository.folder, signers_folder(ctx))
    with snapshot(repository.engine) as session:
        plan = attestable(repository, session, find(session, candidate), now=clock())
    check_recorded(policy, plan.review)
    config = _read_config(trust_config) if trust_config is not None else None
    demand = policy.ci if policy is not None else None
    signer: ExpectedSigner | Anybody
    if demand is not None:
        trusted_root, signer = demand.trusted_root, demand.signer
    elif config is not None:
        trusted_root, signer = embedded_root(config), ANYBODY
        console.note("no policy says whose attestation counts: whoever signs is recorded")
    else:
        raise UsageError(
            "nothing to verify the signature by",
            hint="name a trusted root in policy.toml ([ci] trusted_root), or give --trust-config FILE",
        )
    token = _read_token(token_file, token_fd)
    console.note(f"attesting {plan.review.pin}, bundle sha256 {plan.review.bundle_sha256}")
    evidence = sign_statement(ci_statement(plan.review), token=token, trust_config=config)
    with transaction(repository.engine) as session:
        row = find(session, plan.candidate)
        kept, verified = accept_attestation(
            repository, session, row, evidence, signer=signer, trusted_root=trusted_root, now=clock()
        )
    desk.hand_in_attestation(plan.candidate, Sha256(kept.evidence_sha256))
    console.answer(
        {
            "candidate": plan.candidate,
            "pin": str(plan.review.pin),
            "bundle_sha256": kept.bundle_sha256,
            "identity": kept.identity,
            "issuer": kept.issuer,
            "source_repository": verified.signer.source_repository,
            "evidence_sha256": kept.evidence_sha256,
            "policy_sha256": plan.review.policy_sha256,
        },
        f"attested by {kept.identity} ({kept.issuer}): {plan.review.pin}",
    )


def _read_config(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(_MAX_CONFIG)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error


def _read_token(path: Path | None, descriptor: int | None) -> str | None:
    """Return the identity token, or None when none is given. Never an argument: others can read those."""
    if path is not None and descriptor is not None:
        raise UsageError("two identity tokens", hint="give --identity-token-file or --identity-token-fd")
    what = "the identity token file" if path is not None else "the descriptor of the identity token"
    try:
        if path is not None:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        if descriptor is None:
            return None
        with os.fdopen(descriptor, "rb") as stream:
            status = os.fstat(stream.fileno())
            exposed = path is not None and stat.S_ISREG(status.st_mode) and bool(status.st_mode & 0o077)
            data = stream.read(_MAX_TOKEN + 1)
        token = data.decode("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise KeyAccessError(f"cannot read {what}") from error
    if exposed:
        raise KeyAccessError(f"others may read the identity token file {path}", hint=f"chmod 600 {path}")
    if not token or len(data) > _MAX_TOKEN:
        raise KeyAccessError(f"{what} holds no token")
    return token
