"""Where a builder's commands hand in: the repository in a folder, or the one behind https (edge).

For one behind https the builder brings an own trust anchor, a token of the scope ``publish-pkg:ABI/CHANNEL``, and a
place for what was fetched and seen. The package site is asked too, to see what pkg will see: https://skills.HOST
has it at https://pkg.HOST, unless --pkg-site says otherwise; a service on this machine at /pkg.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import click

from repo_server.cli.context import (
    acting_as,
    load_signer,
    open_online_signer,
    open_repository,
    open_signer,
    signers_folder,
)
from repo_server.cli.remote import anchor_of, token_of
from signing.console import Console
from signing.errors import KeyAccessError, UsageError
from signing.format.names import parse_holder_name
from signing.keystore import KEY_SUFFIX

if TYPE_CHECKING:
    from repo_server.pkgrepo.served import ServedSite
    from repo_server.pkgrepo.submitting import PackageDesk
    from repo_server.repository import Repository
    from signing.format.pkg.names import PackageRepo
    from signing.keystore import SealedKeySigner

_SKILLS: Final = "skills."

pkg_site_option = click.option(
    "--pkg-site",
    metavar="URL",
    envvar="SKILLREPO_PKG_SITE",
    help="Where the packages of a repository behind https are served; default: pkg.HOST for skills.HOST.",
)


def open_package_desk(
    ctx: click.Context, console: Console, *, pkg_site: str | None
) -> "tuple[PackageDesk, Repository | None, str]":
    """Return where builds are handed in; the repository, when it is on this machine; and the package site's name.

    Raises:
        UsageError: no repository, no anchor, or an address that is none.
        KeyAccessError: no token. NotFoundError: no such repository.
    """
    if not isinstance(ctx.find_root().obj["repo"], str):
        from repo_server.pkgrepo.local_desk import LocalPackageDesk

        repository = open_repository(ctx, console, to_sign=True)
        desk = LocalPackageDesk(repository=repository, online=lambda: _online_signer(ctx, repository))
        return desk, repository, repository.config.pkg_hosts[0]
    from repo_server.desk.client import DeskAddress, DeskClient
    from repo_server.desk.mirror import MirrorPlace
    from repo_server.pkgrepo.remote_desk import RemotePackageDesk

    options = ctx.find_root().obj
    address = DeskAddress.parse(options["repo"])
    site = open_served_site(ctx, pkg_site=pkg_site)
    place = MirrorPlace.of(str(address), site.anchor, folder=options["mirror"])
    client = DeskClient(address, token_of(options["token_file"]))
    name = urlsplit(str(site.packages)).hostname or address.host
    return RemotePackageDesk(client=client, site=site, seen=place.seen), None, name


def open_served_site(ctx: click.Context, *, pkg_site: str | None) -> "ServedSite":
    """Return the sites of the repository behind https, to be believed as far as the own anchor vouches for them.

    Raises:
        UsageError: an address is none, or there is no anchor.
    """
    from repo_server.desk.client import DeskAddress
    from repo_server.desk.mirror import MirrorPlace
    from repo_server.pkgrepo.served import ServedSite
    from repo_server.storage.local import LocalBlobs

    options = ctx.find_root().obj
    if options["database"] is not None:
        raise UsageError("--db is for a repository on this machine", hint="leave it out")
    address, anchor = DeskAddress.parse(options["repo"]), anchor_of(ctx)
    place = MirrorPlace.of(str(address), anchor, folder=options["mirror"])
    return ServedSite(
        skills=str(address),
        packages=_package_site(str(address), address.host, pkg_site),
        anchor=anchor,
        kept=LocalBlobs(place.folder / "blobs"),
    )


def open_builder(
    ctx: click.Context, repository: "Repository | None", holder: str | None
) -> "tuple[str, SealedKeySigner]":
    """Return the builder's name and key; ``repository`` when that is on this machine.

    Raises:
        UsageError: nobody is named, or nobody said where the keys are. KeyAccessError: the key cannot be used.
    """
    if repository is not None:
        name = acting_as(holder, repository, "builder")
        return name, open_signer(ctx, repository, name)
    if not holder:
        raise UsageError("who are you?", hint=f"name your key by --as NAME (NAME{KEY_SUFFIX} in --keys DIR)")
    name = parse_holder_name(holder)
    return name, load_signer(ctx, keys_folder(ctx, None) / f"{name}{KEY_SUFFIX}")


def keys_folder(ctx: click.Context, repository: "Repository | None") -> Path:
    """Return where the own keys are.

    Raises:
        UsageError: the repository is elsewhere, and nobody said.
    """
    given = ctx.find_root().obj["keys"] or (
        repository.keys if repository is not None else signers_folder(ctx)
    )
    if given is None:
        raise UsageError("where is your key?", hint="name its folder by --keys DIR")
    return Path(given)


def state_folder(repo: "PackageRepo") -> Path:
    """Return where this user's locks and facts about package files are kept; they can be deleted."""
    given = os.environ.get("XDG_CACHE_HOME", "")
    cache = Path(given) if given.startswith("/") else Path.home() / ".cache"
    return cache / "skillrepo" / "packages" / repo.role


def _online_signer(ctx: click.Context, repository: "Repository") -> "SealedKeySigner":
    """Return the online key's signer; who names the folder of a repository on a build host may not expect that."""
    try:
        return open_online_signer(ctx, repository)
    except KeyAccessError as error:
        raise KeyAccessError(
            f"{error.message} (the repository is on this machine, so its online key signs here too)",
            hint="--online-passphrase-file FILE; or hand in to its service: --repo https://HOST",
        ) from error


def _package_site(address: str, host: str, given: str | None) -> str:
    if given is not None:
        return given
    if host.startswith(_SKILLS):
        return address.replace(f"//{_SKILLS}", "//pkg.", 1)
    if address.startswith("http:"):
        return f"{address}/pkg"  # this machine: one service answers for both sites
    raise UsageError(f"where does {host} serve packages?", hint="name it: --pkg-site https://HOST")
