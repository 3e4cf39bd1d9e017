"""What was taken in here before, in one durable file (edge): an older archive is refused, however well it is signed.

    {"anchor_sha256":"8c…","online":"6b…","roles":{"skills":3,"skills-0a":2,"targets":3},"root":2,
     "serials":{"FreeBSD:14:amd64/latest":{"repository":"pkg.clawdie.si","serial":7}},
     "snapshot":7,"timestamp":31,"withdrawals":{"count":3,"head":"e1…"}}

The same that a client remembers in its folder (`repo_client.memory` and the TUF library's own files), for a folder that many
clients are served from. Each role of a snapshot is remembered by itself: whoever stole the online key signs a newer snapshot that
names older targets, and the numbers of snapshot and timestamp only go up meanwhile.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from repo_server.archiving.contents import Contents
from repo_server.storage.durable import write_durably
from signing.errors import CouldNotVerifyError, RollbackError, SkillRepoError
from signing.format.canonical import canonical, parse_canonical
from signing.format.digest import Sha256, parse_sha256
from signing.format.pkg.names import PackageRepo
from signing.withdrawals import check_continues

_MAX_BYTES: Final = 1 << 20
_ROLES: Final = ("root", "snapshot", "timestamp")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The newest state that was taken in."""

    anchor_sha256: Sha256
    online: Sha256
    versions: dict[str, int]
    count: int
    head: Sha256
    serials: dict[PackageRepo, tuple[str, int]] = field(default_factory=dict)
    roles: dict[str, int] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> Self | None:
        """Return what the file ``path`` remembers; None when there is none.

        Raises:
            CouldNotVerifyError: there is one, and it cannot be read.
        """
        try:
            with path.open("rb") as stream:
                value: Any = parse_canonical(
                    stream.read(_MAX_BYTES + 1), where=path.name, max_bytes=_MAX_BYTES
                )
            return cls(
                anchor_sha256=parse_sha256(value["anchor_sha256"]),
                online=parse_sha256(value["online"]),
                versions={role: int(value[role]) for role in _ROLES},
                count=int(value["withdrawals"]["count"]),
                head=parse_sha256(value["withdrawals"]["head"]),
                serials={
                    PackageRepo.parse(repo): (str(item["repository"]), int(item["serial"]))
                    for repo, item in value["serials"].items()
                },
                # Files of older versions of this program do not say it; the next import writes it.
                roles={role: int(version) for role, version in value.get("roles", {}).items()},
            )
        except FileNotFoundError:
            return None
        except (OSError, SkillRepoError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise CouldNotVerifyError(
                f"the memory of what was taken in ({path}) is damaged",
                hint="restore it from a backup; deleting it gives up the protection against old states",
            ) from error

    def after(self, contents: Contents) -> "Seen":
        """Return what is remembered when ``contents`` were taken in too.

        Raises:
            RollbackError: they are older than what was taken in before.
            CouldNotVerifyError: they are of another repository.
        """
        if contents.index.anchor_sha256 != self.anchor_sha256:
            raise CouldNotVerifyError(
                "archives of a repository with another trust anchor were taken in here",
                hint="name another folder for another repository",
            )
        offered = contents.index.versions
        other_keys = offered["root"] > self.versions["root"] and contents.online_sha256 != self.online
        for role in ("root",) if other_keys else _ROLES:  # other online keys: their versions start anew
            if offered[role] < self.versions[role]:
                raise RollbackError(
                    f"{role} version {offered[role]} is offered, version {self.versions[role]} was taken in already",
                    hint="take in a newer archive; if this one is said to be new, ask who made it",
                )
        self._check_roles(contents.roles)
        check_continues(contents.revocations, count=self.count, head=self.head)
        for repo, (repository, serial) in contents.serials.items():
            known, highest = self.serials.get(repo, (repository, 0))
            if repository != known or serial < highest:
                raise RollbackError(
                    f"{repo}: serial {serial} of {repository} is offered, serial {highest} of {known} was taken in already",
                    hint="do not go on: the builder's key signs an older or another repository",
                )
        return remembered(contents, before=self.serials)

    def _check_roles(self, offered: Mapping[str, int]) -> None:
        """Other online keys change nothing here: people sign these roles, and what they signed stays signed."""
        for role, version in self.roles.items():
            if offered.get(role, 0) < version:
                says = f"version {offered[role]} of" if role in offered else "no"
                raise RollbackError(
                    f"{says} role {role!r} is offered, version {version} was taken in already",
                    hint="do not go on: the online key signs an older state as a new one; ask who made the archive",
                )

    def save(self, path: Path) -> None:
        """Write it to the file ``path``, whole and durably.

        Raises:
            HostError: it cannot be written.
        """
        document = {
            "anchor_sha256": self.anchor_sha256,
            "online": self.online,
            **self.versions,
            "roles": self.roles,
            "withdrawals": {"count": self.count, "head": self.head},
            "serials": {
                str(repo): {"repository": name, "serial": serial}
                for repo, (name, serial) in self.serials.items()
            },
        }
        write_durably(path, canonical(document), mode=0o600)


def remembered(contents: Contents, *, before: dict[PackageRepo, tuple[str, int]] | None = None) -> Seen:
    """Return what is remembered of ``contents``, beside the serials ``before`` of repositories that are not in them."""
    revocations = contents.revocations
    return Seen(
        anchor_sha256=contents.index.anchor_sha256,
        online=contents.online_sha256,
        versions=dict(contents.index.versions),
        count=len(revocations.entries),
        head=revocations.head(),
        serials={**(before or {}), **contents.serials},
        roles=dict(contents.roles),
    )
