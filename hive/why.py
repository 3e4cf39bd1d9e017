"""Who let this file into that jail, and on what evidence: from a path to the records about it.

The jail is asked for nothing but bytes that are compared with digests of the host's own records: a skill's file counts as
let in when the tree's manifest, whose digest was admitted, lists exactly these bytes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from hive.jails.contained import JailRoot
from hive.jails.materialise import HOME, RECORDS, SKILLS, SOUL_PATH
from hive.packages.receipts import UNPACKED
from repo_client.entries import MissingPathError, UnsafePathError
from signing.errors import FormatError
from signing.format.canonical import parse_canonical
from signing.format.chain import Record
from signing.format.digest import Sha256, sha256_of
from signing.format.manifest import MANIFEST_NAME, MAX_FILE_BYTES, MAX_MANIFEST_BYTES, Manifest

_ENV: Final = f"{HOME}/.env"
_MAX_RECORD: Final = 64 << 20
_BEGINNINGS: Final = frozenset({"birth.begun", "birth.continued"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """``admitted``: these bytes were let in by ``records``. Not admitted: ``why`` says what is known."""

    path: str
    admitted: bool
    why: str
    records: tuple[Record, ...] = ()


def answer_why(
    path: str, root: JailRoot, records: Sequence[Record], *, written: Mapping[str, Sha256]
) -> Answer:
    """Return who let ``path`` into the jail at ``root``, from the audit ``records`` of its tenant.

    Args:
        path: as the tenant sees it, with or without the leading slash.
        root: the jail.
        records: the tenant's, oldest first, of a chain that was checked.
        written: digests of the files that this host wrote itself at the birth, by path.

    Raises:
        UnsafePathError: not a plain path, or a link on the way. HostError: cannot be read.
    """
    inside = path.removeprefix("/")
    newest = _newest_birth(records)
    if inside.startswith(f"{SKILLS}/"):
        return _skill(inside, root, newest)
    if inside in written:
        return _ours(inside, root, newest, written[inside])
    if inside == _ENV:
        return _secrets(inside, records)
    return _package(inside, root, newest)


def _ours(inside: str, root: JailRoot, records: Sequence[Record], digest: Sha256) -> Answer:
    """Answer for a file of this host: the identity, from its layers; everything else, from the birth."""
    if inside == SOUL_PATH:
        about = tuple(r for r in records if r.event == "admission" and r.facts.get("kind") == "soul")
    else:
        about = ()
    about = about or tuple(r for r in records if r.event in _BEGINNINGS)
    try:
        same = sha256_of(root.read_file(inside, MAX_FILE_BYTES)) == digest
    except MissingPathError:
        return Answer(path=inside, admitted=False, why="there is no such file", records=about)
    except (FormatError, UnsafePathError) as error:
        why = f"what stands there is not what this host wrote ({error.message}): it is drift"
        return Answer(path=inside, admitted=False, why=why, records=about)
    why = "written by this host at the birth"
    if not same:
        why += ", and changed since: it is drift"
    return Answer(path=inside, admitted=same and bool(about), why=why, records=about)


def _secrets(inside: str, records: Sequence[Record]) -> Answer:
    last = [r for r in records if r.event in {"secrets.provisioned", "secrets.withdrawn"}][-1:]
    if not last:
        return Answer(path=inside, admitted=False, why="no secrets were provisioned here")
    given = last[0].event == "secrets.provisioned"
    why = (
        "provisioned from the tenant's bucket; whether it is as it was written, hive sweep says"
        if given
        else "the secrets were withdrawn: what stands there is the tenant's own, or drift"
    )
    return Answer(path=inside, admitted=given, why=why, records=tuple(last))


def _skill(inside: str, root: JailRoot, records: Sequence[Record]) -> Answer:
    name, _, rest = inside.removeprefix(f"{SKILLS}/").partition("/")
    admitted = _admission(
        records, "skill", lambda facts: str(facts.get("pin", "")).partition("==")[0] == name
    )
    if admitted is None:
        return Answer(
            path=inside, admitted=False, why=f"no skill {name} was admitted for this jail: it is drift"
        )
    why = _not_listed(root, f"{SKILLS}/{name}", rest, admitted.facts)
    return Answer(
        path=inside, admitted=not why, why=why or "listed by the admitted tree", records=(admitted,)
    )


def _not_listed(root: JailRoot, tree: str, rest: str, facts: Mapping[str, Any]) -> str:
    """Return why the file is not one of the admitted tree; empty when it is."""
    try:
        listed = root.read_file(f"{tree}/{MANIFEST_NAME}", MAX_MANIFEST_BYTES)
        if sha256_of(listed) != facts.get("tree_sha256"):
            return "the tree that stands there is not the admitted one: it is drift"
        if rest == MANIFEST_NAME:
            return ""
        wanted = {str(entry.path): entry.sha256 for entry in Manifest.parse(listed).files}
        if rest not in wanted:
            return "the admitted tree has no such file: it is drift"
        found = sha256_of(root.read_file(f"{tree}/{rest}", MAX_FILE_BYTES))
    except MissingPathError:
        return "there is no such file"
    except (FormatError, UnsafePathError) as error:
        return f"what stands there is not what was admitted ({error.message}): it is drift"
    return "" if found == wanted[rest] else "the file was changed after it was let in: it is drift"


def _package(inside: str, root: JailRoot, records: Sequence[Record]) -> Answer:
    installed = [r for r in records if r.event == "package.installed"]
    for receipt in installed:
        if receipt.facts.get("way") != UNPACKED:
            continue
        pin = str(receipt.facts["package"])
        lists = _package_lists(root, pin.rpartition("-")[0], receipt.facts, inside)
        if lists is not None:
            admitted = _admission(records, "package", partial(_is_about, pin))
            found = tuple(r for r in (admitted, receipt) if r is not None)
            return Answer(
                path=inside, admitted=lists and admitted is not None, why=_said(pin, lists), records=found
            )
    if any(receipt.facts.get("way") != UNPACKED for receipt in installed):
        why = (
            "no skill and nothing of ours; packages were streamed into this jail, and which files came from them only "
            "the jail itself could say, which is no evidence"
        )
        return Answer(path=inside, admitted=False, why=why, records=tuple(installed))
    return Answer(path=inside, admitted=False, why="nobody let this in: it is the tenant's own, or drift")


def _said(pin: str, intact: bool) -> str:  # noqa: FBT001 - read where it is called
    return f"installed from {pin}" if intact else f"installed from {pin}, and changed since: it is drift"


def _package_lists(root: JailRoot, name: str, facts: Mapping[str, Any], inside: str) -> bool | None:
    """Return whether the package has this file, intact; None when it does not list it."""
    try:
        data = root.read_file(f"{RECORDS}/{name}.json", _MAX_RECORD)
        if sha256_of(data) != facts.get("record_sha256"):
            return None
        listed = parse_canonical(data, where=name, max_bytes=_MAX_RECORD)
        wanted = {str(item["path"]).removeprefix("/"): item["sha256"] for item in listed["files"]}
        if inside not in wanted:
            return None
        return bool(sha256_of(root.read_file(inside, _MAX_RECORD)) == wanted[inside])
    except MissingPathError:
        return None
    except (FormatError, UnsafePathError):
        return False


def _is_about(pin: str, facts: Mapping[str, Any]) -> bool:
    return bool(facts.get("pin") == pin)


def _newest_birth(records: Sequence[Record]) -> Sequence[Record]:
    begun = [n for n, record in enumerate(records) if record.event in _BEGINNINGS]
    return records[begun[-1] :] if begun else ()


def _admission(
    records: Sequence[Record], kind: str, wanted: Callable[[Mapping[str, Any]], bool]
) -> Record | None:
    for record in reversed(records):
        if record.event == "admission" and record.facts.get("kind") == kind and wanted(record.facts):
            return record
    return None
