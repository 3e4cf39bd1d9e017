"""Who let this file into that jail, and on what evidence: from a path to the records about it.

The jail is asked for nothing but bytes that are compared with digests of the host's own records: a skill's file counts as
let in when the tree's manifest, whose digest was admitted, lists exactly these bytes; a file of a package, when the list of
what this host unpacked, whose digest stands in its receipt, does.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from hive.jails.contained import JailRoot
from hive.jails.materialise import HOME, SKILLS, SOUL_PATH, is_shown
from hive.packages.receipts import UNPACKED
from hive.packages.records import MAX_RECORD_BYTES, InstalledPackage, record_path
from hive.vault.provision import Standing
from repo_client.entries import MissingPathError, UnsafePathError, check_component
from repo_client.single_files import digest_file, read_link
from signing.errors import FormatError
from signing.format.chain import Record
from signing.format.digest import Sha256, sha256_of
from signing.format.manifest import MANIFEST_NAME, MAX_FILE_BYTES, MAX_MANIFEST_BYTES, Manifest

_ENV: Final = f"{HOME}/.env"
_SECRETS: Final[Mapping[Standing | None, str]] = {
    None: "provisioned from the tenant's bucket; this host has no jail user, so nobody can say whether it is as written",
    Standing.AS_WRITTEN: "provisioned from the tenant's bucket, and as it was written",
    Standing.ALTERED: "provisioned from the tenant's bucket, and changed since: it is drift",
    Standing.MISSING: "provisioned from the tenant's bucket, and gone since: it is drift",
    Standing.UNFINISHED: "a provisioning was not finished: hive provision finishes it",
    Standing.LEFT_OVER: "the secrets were withdrawn: what stands there is the tenant's own, or drift",
    Standing.NONE: "the secrets were withdrawn, and nothing stands there",
}
_BEGINNINGS: Final = frozenset({"birth.begun", "birth.continued"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """``admitted``: these bytes were let in by ``records``. Not admitted: ``why`` says what is known."""

    path: str
    admitted: bool
    why: str
    records: tuple[Record, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Jail:
    """What is looked at: the root, where skills stand (`JailHost.open_shelf`), what this host wrote, and its secrets.

    ``written`` are the digests of the files that this host wrote itself at the birth, by path; ``secrets`` says how the
    environment file compares with what was provisioned, None when this host cannot say.
    """

    root: JailRoot
    shelf: JailRoot
    written: Mapping[str, Sha256]
    secrets: Standing | None = None


def answer_why(path: str, jail: Jail, records: Sequence[Record]) -> Answer:
    """Return who let ``path`` into ``jail``, from the audit ``records`` of its tenant.

    Args:
        path: as the tenant sees it, with or without the leading slash.
        jail: the jail.
        records: the tenant's, oldest first, of a chain that was checked.

    Raises:
        UnsafePathError: not a plain path, or a link on the way. HostError: cannot be read.
    """
    inside = path.removeprefix("/")
    for component in inside.split("/"):
        check_component(component, where="path")
    newest = _newest_birth(records)
    if inside.startswith(f"{SKILLS}/"):
        return _skill(inside, jail.shelf, newest)
    if inside in jail.written:
        place = jail.shelf if is_shown(inside) else jail.root
        return _ours(inside, place, newest, jail.written[inside])
    if inside == _ENV:
        return _secrets(inside, records, jail.secrets)
    return _package(inside, jail.root, newest)


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


def _secrets(inside: str, records: Sequence[Record], standing: Standing | None) -> Answer:
    last = tuple([r for r in records if r.event in {"secrets.provisioned", "secrets.withdrawn"}][-1:])
    why = _SECRETS[standing]
    if not last:
        why = "no secrets were provisioned here: if something stands there, it is the tenant's own, or drift"
    given = bool(last) and last[0].event == "secrets.provisioned"
    return Answer(path=inside, admitted=given and standing is Standing.AS_WRITTEN, why=why, records=last)


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
    unpacked = [r for r in installed if r.facts.get("way") == UNPACKED]
    unreadable = []
    for receipt in unpacked:
        pin = str(receipt.facts["package"])
        listed = _listed_by(root, pin, receipt)
        if listed is None:
            unreadable.append(pin)
            continue
        wrong = _wrong(root, inside, listed)
        if wrong is not None:
            admitted = _admission(records, "package", partial(_is_about, pin))
            why = f"installed from {pin}" + (f", {wrong}: it is drift" if wrong else "")
            found = tuple(r for r in (admitted, receipt) if r is not None)
            return Answer(path=inside, admitted=not wrong and admitted is not None, why=why, records=found)
    if unreadable:
        why = f"nobody can say: the list of what {', '.join(unreadable)} installed is gone or altered: it is drift"
        return Answer(path=inside, admitted=False, why=why, records=tuple(installed))
    if len(unpacked) < len(installed):
        why = (
            "no skill and nothing of ours; packages were streamed into this jail, and which files came from them only "
            "the jail itself could say, which is no evidence"
        )
        return Answer(path=inside, admitted=False, why=why, records=tuple(installed))
    return Answer(
        path=inside, admitted=False, why="nobody vouches for this: it is the tenant's own, or drift"
    )


def _listed_by(root: JailRoot, pin: str, receipt: Record) -> InstalledPackage | None:
    """Return what the package installed, by the list in the jail that has the digest of the receipt; None when none has."""
    where = record_path(pin.rpartition("-")[0])
    try:
        data = root.read_file(where, MAX_RECORD_BYTES)
        if sha256_of(data) != receipt.facts.get("record_sha256"):
            return None
        return InstalledPackage.parse(data, where=where)
    except (MissingPathError, FormatError, UnsafePathError):
        return None


def _wrong(root: JailRoot, inside: str, package: InstalledPackage) -> str | None:
    """Return how the file differs from what the package installed; empty when it does not, None when it is not its file."""
    folder, _, name = inside.rpartition("/")
    files = {file.path: file for file in package.files}
    links = {link.path: link for link in package.links}
    if inside == record_path(package.pin.name):
        return ""  # it has the digest of the receipt, or nobody had come this far
    if inside not in files and inside not in links:
        return None
    try:
        with root.enter(folder) as place:
            if inside in links:
                return "" if read_link(place, name) == links[inside].target else "and led elsewhere since"
            found = digest_file(place, name, size=files[inside].size)
    except MissingPathError:
        return "and gone since"
    except (FormatError, UnsafePathError) as error:
        return f"and replaced since ({error.message})"
    return "" if found.sha256 == files[inside].sha256 else "and changed since"


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
