"""pkg's configuration inside a jail: the tenant's own upgrades come from our repository, checked by its fingerprints.

    usr/local/etc/pkg.conf                                 only our folder of repositories is read
    usr/local/etc/pkg/repos/00-public-off.conf             the public ones, off under each name that FreeBSD gave them
    usr/local/etc/pkg/repos/clawdie.conf                   ours
    usr/local/etc/pkg/fingerprints/clawdie/trusted/9c…     who signs it

``signature_type`` is written out: pkg's default accepts an unsigned repository without a word. The address names the ABI
in full, since one key signs one ABI and channel, and a jail that is upgraded must not believe it for another. This is
for comfort, not for safety: root in the jail can change all of it, and what births let in never depends on it.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from hive.jails.contained import JailRoot
from signing.errors import FormatError
from signing.format.digest import Sha256
from signing.format.pkg.names import PackageRepo
from signing.package_evidence import VerifiedPackageSet

PUBLIC_NAMES: Final = ("FreeBSD", "FreeBSD-kmods", "FreeBSD-ports", "FreeBSD-ports-kmods", "FreeBSD-base")
NAME: Final = "clawdie"
_ETC: Final = "usr/local/etc"
REPOS: Final = f"{_ETC}/pkg/repos"
FINGERPRINTS: Final = f"{_ETC}/pkg/fingerprints/{NAME}"
_CONF, _PUBLIC_OFF, _OURS = f"{_ETC}/pkg.conf", f"{REPOS}/00-public-off.conf", f"{REPOS}/{NAME}.conf"
# Nobody else's places: a package that brought one of these would decide where the tenant's upgrades come from.
FILES: Final = (_CONF, _PUBLIC_OFF, _OURS)
_MODE: Final = 0o644
_ADDRESS: Final = re.compile(r"https?://[A-Za-z0-9._:\[\]/-]+", re.ASCII)


def jail_files(packages: VerifiedPackageSet, address: str) -> Mapping[str, bytes]:
    """Return the files of a jail whose packages come from this repository, by their paths below the root.

    ``address`` is that of the package server. A repository without fingerprints is not offered to the jail's pkg, which
    would take anything from it.

    Raises:
        FormatError: the address holds something that would mean more than an address in pkg's configuration.
    """
    if not _ADDRESS.fullmatch(address):
        raise FormatError("not a plain address", where="pkg_server")
    files = {
        _CONF: f'REPOS_DIR: [ "/{REPOS}/" ]\n',
        _PUBLIC_OFF: "".join(f"{name}: {{ enabled: no }}\n" for name in PUBLIC_NAMES),
    }
    fingerprints = packages.index.fingerprints
    if fingerprints:
        files[_OURS] = _repository(packages.repo, address)
        files |= _trusted(fingerprints)
    return {path: text.encode() for path, text in sorted(files.items())}


def install_jail_files(root: JailRoot, files: Mapping[str, bytes]) -> None:
    """Put ``files`` into the jail; what stands in their places is replaced.

    Raises:
        UnsafePathError, HostError: the jail's file system does not allow it.
    """
    for path, content in files.items():
        root.install_file(path, content, mode=_MODE)
    if any(path.startswith(FINGERPRINTS) for path in files):
        root.enter(f"{FINGERPRINTS}/revoked", create=True).close()


def _repository(repo: PackageRepo, address: str) -> str:
    return (
        f"{NAME}: {{\n"
        f'  url: "{address}/{repo}",\n'
        '  mirror_type: "none",\n'
        '  signature_type: "fingerprints",\n'
        f'  fingerprints: "/{FINGERPRINTS}",\n'
        "  enabled: yes\n"
        "}\n"
    )


def _trusted(fingerprints: Sequence[Sha256]) -> dict[str, str]:
    return {
        f"{FINGERPRINTS}/trusted/{digest}": f'function: "sha256"\nfingerprint: "{digest}"\n'
        for digest in fingerprints
    }
