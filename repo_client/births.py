"""Comparing a jail's files with its birth certificate (edge).

For the customer, inside the jail or over a copy of it: what the certificate names must stand there, to the byte, and
nothing else may stand among the skills. Nothing is followed and nothing is run.

    usr/home/agent/skills/<name>/     each tree by its digest, and no other folder
    usr/home/agent/SOUL.md            the identity
    var/db/clawdie/lock.json          the lock record
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from repo_client.anchor import load_anchor
from repo_client.entries import MissingPathError
from repo_client.handles import Directory
from repo_client.trees import tree_problem
from signing.birth import VerifiedBirth, verify_birth
from signing.errors import DigestMismatchError, FormatError, NotFoundError, SkillRepoError
from signing.format.birth import MAX_CERTIFICATE_BYTES
from signing.format.digest import Sha256, sha256_of
from signing.format.moment import render_moment
from signing.format.names import Pin
from signing.keys import HeldKey

SKILLS: Final = "usr/home/agent/skills"
SOUL: Final = "usr/home/agent/SOUL.md"
LOCK: Final = "var/db/clawdie/lock.json"
_MAX_FILE: Final = 16 << 20
_MAX_KEY: Final = 4096


def check_birth(
    certificate: Path, anchor: Path, host_keys: Sequence[Path], *, root: Path | None, bom: Path | None
) -> tuple[dict[str, Any], str]:
    """Return what ``skillrepo-client verify-birth`` answers: an object, and the text for people.

    Raises:
        RejectedError: the certificate proves nothing, or the jail is not as it says.
        NotFoundError, HostError: a file cannot be read, or the bill of materials not written.
    """
    data = _read_file(certificate, MAX_CERTIFICATE_BYTES)
    keys = [HeldKey.parse(_read_file(path, _MAX_KEY), where=str(path)) for path in host_keys]
    found = verify_birth(data, anchor=load_anchor(anchor), host_keys=keys)
    born = found.born
    compared = check_jail(root, found) if root is not None else None
    if bom is not None:
        with Directory.open(bom.absolute().parent) as folder:
            folder.write_file(bom.name, found.bom, mode=0o644)
    document = {
        "tenant": born.tenant,
        "tier": born.tier,
        "host": found.signed_by,
        "born_at": render_moment(born.born_at),
        "activated_at": render_moment(born.activated_at),
        "profile": str(born.profile),
        "lock_sha256": born.lock_sha256,
        "skills": [str(pin) for pin, _ in found.skills],
        "packages": len(found.lock.packages.items) if found.lock.packages is not None else 0,
        "own_risk": [str(pin) for pin in found.own_risk],
        "jail_checked": compared is not None,
    }
    lines = [
        f"{born.tenant} ({born.tier} tier) was born by {found.signed_by} on {born.born_at:%Y-%m-%d %H:%M} UTC",
        f"  profile {born.profile}: {len(found.skills)} skills and {document['packages']} packages, vouched for then",
        *(f"  AT OWN RISK: {pin} is external" for pin in found.own_risk),
        f"  {compared} trees and files in {root} are what it says"
        if compared is not None
        else "  the jail was not looked at: --root DIR compares its files",
    ]
    return document, "\n".join(lines)


def check_jail(root: Path, birth: VerifiedBirth) -> int:
    """Return how many trees and files were compared, all of them equal.

    Raises:
        DigestMismatchError: something is another one, missing, or one too many; all of it stands in ``facts``.
    """
    with Directory.open(root) as jail:
        problems = [
            *_problem(SOUL, lambda: _check_file(jail, SOUL, birth.born.soul_sha256)),
            *_problem(LOCK, lambda: _check_file(jail, LOCK, birth.born.jail_lock_sha256)),
            *_problem(SKILLS, lambda: _check_names(jail, {pin.name for pin, _ in birth.skills})),
        ]
        for pin, digest in birth.skills:
            problems += _problem(f"{SKILLS}/{pin.name}", partial(_check_tree, jail, pin, digest))
    if problems:
        raise DigestMismatchError(
            "the jail is not as it was born: " + "; ".join(problems),
            hint="do not work in it; show this and the certificate to whoever runs the host",
            problems=problems,
        )
    return len(birth.skills) + 2


def _problem(place: str, check: Callable[[], None]) -> list[str]:
    try:
        check()
    except SkillRepoError as error:
        return [f"{place}: {error.message}"]
    return []


def _check_file(jail: Directory, path: str, digest: Sha256) -> None:
    folder, _, name = path.rpartition("/")
    with jail.descend(folder) as place:
        content = place.read_file(name, max_bytes=_MAX_FILE, single_link=True)
    if sha256_of(content) != digest:
        raise DigestMismatchError("another content")


def _check_names(jail: Directory, names: set[str]) -> None:
    try:
        with jail.descend(SKILLS) as place:
            odd = sorted({entry.name for entry in place.entries()} - names)
    except MissingPathError:
        if names:
            raise
        return  # an identity without a skill
    if odd:
        raise DigestMismatchError(f"not in the certificate: {', '.join(ascii(name) for name in odd[:20])}")


def _check_tree(jail: Directory, pin: Pin, digest: Sha256) -> None:
    with jail.descend(SKILLS) as skills:
        if problem := tree_problem(skills, pin.name, digest):
            raise DigestMismatchError(problem)


def _read_file(path: Path, max_bytes: int) -> bytes:
    try:
        with path.open("rb") as stream:
            data = stream.read(max_bytes + 1)
    except OSError as error:
        raise NotFoundError(f"cannot read {path}: {error.strerror}") from error
    if len(data) > max_bytes:
        raise FormatError(f"larger than {max_bytes} bytes", where=str(path))
    return data
