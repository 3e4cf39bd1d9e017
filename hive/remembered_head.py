"""Where the audit log ended when it was last looked at, kept outside of the database (edge).

    STATE/audit-head.json     {"digest":"5d…","sequence":41}

A chain does not know its own end: whoever holds the database alone can cut records off and leave a perfect chain. Each sweep
notes the end here, so what is cut off behind the last sweep at most goes unnoticed. A database that comes back from a backup
lacks records too: `hive audit resume` says so, on record.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from repo_client.entries import MissingPathError, UnsafePathError
from repo_client.handles import Directory
from signing.errors import FormatError, HostError
from signing.format.canonical import canonical, parse_canonical
from signing.format.chain import BrokenChainError, Head, Record
from signing.format.digest import parse_sha256
from signing.format.fields import Fields

_NAME: Final = "audit-head.json"
_MAX_BYTES: Final = 256


def load(state: Path) -> Head | None:
    """Return the remembered end, or None when none was noted.

    Raises:
        FormatError, UnsafePathError, HostError: the file is damaged, or cannot be read.
    """
    try:
        with Directory.open(state) as folder:
            data = folder.read_file(_NAME, max_bytes=_MAX_BYTES, single_link=True)
    except MissingPathError:
        return None
    fields = Fields.of(parse_canonical(data, where=_NAME), where=_NAME)
    found = Head(
        sequence=fields.integer("sequence", maximum=1 << 53),
        digest=parse_sha256(fields.take("digest"), where=fields.place("digest")),
    )
    fields.done()
    return found


def remember(state: Path, head: Head) -> None:
    """Note ``head``; whoever calls this has held the log against what was noted before."""
    with Directory.open(state) as folder:
        data = canonical({"sequence": head.sequence, "digest": head.digest})
        folder.write_file(_NAME, data, mode=0o600)


def missing(state: Path, records: Sequence[Record]) -> str:
    """Return what the log lacks of what is remembered; empty when it lacks nothing.

    ``records`` are all, of a chain that was checked. A note that cannot be read says nothing good either.
    """
    try:
        noted = load(state)
    except (FormatError, UnsafePathError, HostError) as error:
        return f"{_NAME} cannot be read: {error.message}"
    if noted is None or noted.sequence == 0:
        return ""
    if len(records) >= noted.sequence and records[noted.sequence - 1].head == noted:
        return ""
    return f"record {noted.sequence} with the digest {noted.digest[:16]}"


def check(state: Path, records: Sequence[Record]) -> None:
    """Return None when the log still holds the remembered end; ``records`` are all, of a chain that was checked.

    Raises:
        BrokenChainError: records were cut off, or written anew; or what is remembered cannot be read.
    """
    if lost := missing(state, records):
        raise BrokenChainError(
            f"the log has {len(records)} records, and this host remembers more of it: {lost}",
            hint="records were cut off: compare with a backup. If this database comes from one: hive audit resume",
        )
