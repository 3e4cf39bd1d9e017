"""The last look before a jail is started: what stands in it is what was admitted, and nothing of ours beside it (edge)."""

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

from hive.birth.admit_all import Admitted
from hive.identity import resolve_identity
from hive.jails.compare import Expected, differences
from hive.jails.contained import JailRoot
from hive.jails.materialise import HOME, LOCK_PATH, SKILLS, SOUL_PATH
from hive.packages.receipts import UNPACKED, Receipt
from hive.vault.env_file import ENV_PATH
from repo_client.entries import MissingPathError
from repo_client.ready import ReadySet
from repo_client.syncing import sync_tree
from signing.errors import DigestMismatchError
from signing.format.canonical import canonical
from signing.format.digest import sha256_of
from signing.format.manifest import Kind


def expected_of(
    admitted: Admitted,
    record: Mapping[str, Any],
    configured: Mapping[str, bytes],
    receipts: Sequence[Receipt],
    *,
    secrets: bool,
) -> Expected:
    """Return what has to stand in a jail in which all of this was put; ``secrets`` when it has an environment file."""
    layers = [item for item in admitted.admissions if item.kind is Kind.SOUL]
    written = {SOUL_PATH: resolve_identity(layers), LOCK_PATH: canonical(dict(record)), **configured}
    return Expected(
        skills={item.pin.name: item.tree_sha256 for item in admitted.admissions if item.kind is Kind.SKILL},
        files={path: sha256_of(content) for path, content in written.items()},
        records=frozenset(item.pin.name for item in receipts if item.placed.way == UNPACKED),
        others=frozenset({ENV_PATH}) if secrets else frozenset(),
    )


def check_born(root: JailRoot, shelf: JailRoot, expected: Expected, *, ready: ReadySet | None = None) -> None:
    """Return None when exactly ``expected`` stands in the jail, and is durable.

    Nobody has lived there yet, so its home is ours too. Skills of the ``ready`` set that will be shown there were compared
    when it was taken, and are not read again.

    Raises:
        DigestMismatchError: something is missing, another one, or one too many.
        UnsafePathError, HostError: the jail cannot be read.
    """
    found = [f"{item.path} {item.what}" for item in differences(root, shelf, expected, ready=ready)]
    allowed = {
        path.removeprefix(f"{HOME}/").partition("/")[0]
        for path in (*expected.files, *expected.others, SKILLS)
    }
    with contextlib.suppress(MissingPathError), root.enter(HOME) as home:  # what is shown is not shown yet
        found += [
            f"{HOME}/{entry.name} was not admitted" for entry in home.entries() if entry.name not in allowed
        ]
    if found:
        raise DigestMismatchError(
            f"the jail is not what was admitted: {'; '.join(found)[:600]}", hint="birth again"
        )
    # Once, behind all that was written: a birth that is cut off before is made anew from its beginning.
    if ready is None:
        with contextlib.suppress(MissingPathError), shelf.enter(SKILLS) as skills:
            sync_tree(skills)
