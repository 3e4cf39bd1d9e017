"""Which entries of a Sigstore trusted root were valid when something was signed.

sigstore 4.5.1 reads ``validFor.end`` of a certificate authority, a log and a CT log, and then verifies with
them all the same (reference/tuf-and-signing §6.3). So a key that was retired, perhaps because it was stolen,
would go on to vouch. It is handed a trusted root from which everything is taken out that was not valid.

Whoever has a retired log key can still date things back. Take a *compromised* key out of the file; an end date
is enough only for one that was retired in peace.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from repo_server.attesting.material import parse_strictly
from signing.errors import CouldNotVerifyError, FormatError, VerificationError
from signing.format.canonical import canonical
from signing.format.moment import render_moment

MAX_ROOT_BYTES: Final = 1 << 20
_WHERE: Final = "trusted root"
_NEEDED: Final = {
    "tlogs": "transparency log",
    "certificateAuthorities": "certificate authority",
    "ctlogs": "certificate log",
}


def root_at(trusted_root: bytes, moments: Sequence[datetime]) -> bytes:
    """Return ``trusted_root`` with only those entries that were valid at all of ``moments``.

    Raises:
        VerificationError: no authority, or no log, was valid then.
        CouldNotVerifyError: this is not a trusted root.
    """
    try:
        document = parse_strictly(trusted_root, where=_WHERE, max_bytes=MAX_ROOT_BYTES)
        kept = {
            key: _valid(document, key, moments)
            for key in (*_NEEDED, "timestampAuthorities")
            if key in _NEEDED or key in document
        }
    except FormatError as error:
        raise CouldNotVerifyError(
            f"the trusted root cannot be used: {error}", hint="get a trusted_root.json of that Sigstore again"
        ) from error
    for key, what in _NEEDED.items():
        if not kept[key]:
            raise VerificationError(
                f"no {what} of the trusted root was valid at {', '.join(map(render_moment, moments))}",
                hint="signed with a retired key, or the trusted root is out of date",
            )
    return canonical({**document, **kept})


def embedded_root(trust_config: bytes) -> bytes:
    """Return the trusted root that a client trust configuration holds.

    Raises:
        FormatError: this is not such a configuration.
    """
    where = "trust configuration"
    document = parse_strictly(trust_config, where=where, max_bytes=2 * MAX_ROOT_BYTES)
    root = document.get("trustedRoot")
    if not isinstance(root, dict):
        raise FormatError("holds no trusted root", where=where)
    return canonical(root)


def _valid(document: dict[str, Any], key: str, moments: Sequence[datetime]) -> list[Any]:
    entries = document.get(key)
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise FormatError("not a list of objects", where=f"{_WHERE}.{key}")
    return [entry for entry in entries if _was_valid(entry, f"{_WHERE}.{key}", moments)]


def _was_valid(entry: dict[str, Any], where: str, moments: Sequence[datetime]) -> bool:
    holder = entry.get("publicKey", entry)
    period = holder.get("validFor") if isinstance(holder, dict) else None
    if not isinstance(period, dict):
        raise FormatError("does not say since when it is valid", where=where)
    start, end = period.get("start"), period.get("end")
    first, last = _moment(start, where), _moment(end, where) if end is not None else None
    return all(first <= moment and (last is None or moment <= last) for moment in moments)


def _moment(text: object, where: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise FormatError("not a time like 2026-11-22T12:00:00Z", where=where)
    return moment
