"""Taking a withdrawal back: the entry that is meant, the statement about it, and one more signature on that.

The half-signed statement needs no place of its own: it stands in the list, where everybody sees it, and counts for
nothing until enough curators have signed it (`signing.withdrawals`).
"""

from datetime import datetime
from typing import Final

from securesystemslib.signer import Signer
from sqlalchemy.orm import Session

from repo_server.publishing.withdrawals import Draft, curators_of, read_list
from repo_server.repository import Repository
from signing.errors import ConflictError, NotFoundError
from signing.format.envelope import Envelope, EnvelopeSignature
from signing.format.names import HolderName
from signing.format.reinstatement import Reinstatement
from signing.format.scope import Scope
from signing.format.withdrawal import Withdrawal
from signing.keys import holder_of

_SHORTEST_ID: Final = 6


def find_withdrawal(repository: Repository, session: Session, text: str, *, now: datetime) -> Withdrawal:
    """Return the entry in force that ``text`` means: the beginning of its id, or its scope as it was given.

    Raises:
        NotFoundError: there is none. ConflictError: there are several.
    """
    curators = curators_of(repository, session)
    found = [
        entry
        for entry in read_list(repository, session, now=now).entries
        if text in _spellings(entry.scope) or (len(text) >= _SHORTEST_ID and entry.id.startswith(text))
        if not curators.have_lifted(entry)
    ]
    if not found:
        raise NotFoundError(
            f"no withdrawal {text[:80]!a} is in force", hint="skillrepo status lists what is withdrawn"
        )
    if len(found) > 1:
        ids = ", ".join(f"{entry.id[:12]} ({entry.state.value})" for entry in found[:5])
        raise ConflictError(f"{text[:80]!a} means several withdrawals: {ids}", hint="write the id")
    return found[0]


def draft_reinstatement(
    repository: Repository,
    session: Session,
    entry: Withdrawal,
    *,
    reason: str | None,
    by: HolderName,
    now: datetime,
) -> tuple[Reinstatement, Envelope]:
    """Return what ``by`` is to sign so that ``entry`` is lifted: what others signed already, or a new statement.

    Raises:
        ConflictError: ``by`` signed already; or there is neither a statement that waits for signatures nor a
            reason for a new one, or both.
        FormatError: the reason is too long.
    """
    signed = [holder_of(key) for key in curators_of(repository, session).lifting(entry)]
    if by in signed:
        raise ConflictError(
            f"{by} signed this already", hint=f"another curator signs: skillrepo reinstate {entry.id[:12]}"
        )
    if entry.lifted is not None and signed:
        statement = Reinstatement.parse(entry.lifted, withdrawal=entry.id)
        if reason is not None and reason != statement.reason:
            raise ConflictError(
                f"{statement.by} gave a reason already: {statement.reason}",
                hint="leave --reason out to sign that; or begin --anew",
            )
        return statement, entry.lifted
    if reason is None or not reason.strip():
        raise ConflictError("nobody has asked for this to be lifted", hint="say why: --reason")
    statement = Reinstatement(withdrawal=entry.id, reason=reason, by=by, at=now.replace(microsecond=0))
    envelope = statement.to_envelope()
    # Read back before it is signed: what our own reader refuses would be signed in vain.
    return Reinstatement.parse(envelope, withdrawal=entry.id), envelope


def sign_reinstatement(
    repository: Repository,
    session: Session,
    entry: Withdrawal,
    envelope: Envelope,
    signer: Signer,
    *,
    now: datetime,
) -> Draft:
    """Return the list with one more signature on the reinstatement of ``entry``, as it was shown to the signer.

    Raises:
        ConflictError: somebody else signed meanwhile, for this or another reason.
    """
    known = read_list(repository, session, now=now)
    present = next((item for item in known.entries if item.id == entry.id), None)
    if present != entry:
        raise ConflictError(
            f"somebody else signed the reinstatement of {entry.scope} meanwhile",
            hint="look again; sign what stands there",
        )
    signature = signer.sign(envelope.signed_bytes)
    signed = envelope.with_signature(
        EnvelopeSignature(keyid=signature.keyid, signature=bytes.fromhex(signature.signature))
    )
    lifted = entry.with_lifting(signed)
    return Draft(entry=lifted, revocations=known.with_lifting(lifted))


def _spellings(scope: Scope) -> set[str]:
    pin = f"{scope.name}=={scope.version}" if scope.version is not None else scope.name
    given = {scope.sha256, f"sha256:{scope.sha256}" if scope.sha256 else None, pin, scope.publisher}
    if scope.package is not None:
        version = f"=={scope.package_version}" if scope.package_version is not None else ""
        given.add(f"package:{scope.package}{version}")
    return {text for text in given if text is not None}
