"""Which proofs were begun and not ended: written down before anything of them is made (edge).

    STATE/proofs/                0700   locked while a proof is made: one at a time
      proof3/                    0700   the proof that was begun with the tenant proof3
        vault/                          its throw-away bucket, where this host's vault is the sealed one

The folder comes first and goes last, so that whoever is killed in between is found by the next proof. What it says is
believed only together with the audit log: a folder alone ends no tenant.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from repo_client.entries import MissingPathError
from repo_client.handles import Directory
from repo_client.updater import locked
from signing.errors import FormatError
from signing.format.names import TenantId, parse_tenant_id

_FOLDER: Final = "proofs"
VAULT: Final = "vault"


@contextlib.contextmanager
def alone(state: Path) -> Iterator[None]:
    """Let no other proof be made with this state folder.

    Raises:
        ConflictError: one is.
    """
    with locked(state / _FOLDER, seconds=0):
        yield


def folder_of(state: Path, tenant_id: TenantId) -> Path:
    """Return the folder of a proof."""
    return state / _FOLDER / tenant_id


def begin(state: Path, tenant_id: TenantId) -> None:
    """Write down that a proof is about to begin; durable on return.

    Raises:
        HostError: it cannot be written.
    """
    with Directory.open(state / _FOLDER) as proofs:
        proofs.make_folder(tenant_id, 0o700)
        proofs.sync()


def found(state: Path) -> list[TenantId]:
    """Return the proofs that were begun and not ended, by name.

    Raises:
        HostError: the folder cannot be read.
    """
    names = []
    with contextlib.suppress(MissingPathError), Directory.open(state / _FOLDER) as proofs:
        for entry in proofs.entries():
            with contextlib.suppress(FormatError):
                names.append(parse_tenant_id(entry.name))
    return sorted(names)


def end(state: Path, tenant_id: TenantId) -> None:
    """Remove the proof's folder, and the throw-away bucket in it.

    Raises:
        HostError: it cannot be removed.
    """
    with Directory.open(state / _FOLDER) as proofs:
        proofs.remove_tree(tenant_id)
        proofs.sync()


def forget_bucket(state: Path, tenant_id: TenantId) -> None:
    """Remove the throw-away bucket of a proof that goes on to its end.

    Raises:
        HostError: it cannot be removed.
    """
    with Directory.open(state / _FOLDER) as proofs, proofs.descend(tenant_id) as folder:
        folder.remove_tree(VAULT)
        folder.sync()
