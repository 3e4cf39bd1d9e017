"""`skillrepo init` and `skillrepo key`."""

import os
import re
import secrets
from collections.abc import Sequence
from pathlib import Path

import click

from repo_server.cli.context import DEV_PASSPHRASE, ONLINE, clock, load_signer, passphrase_for
from repo_server.config import NAME as CONFIG_NAME
from repo_server.config import RepositoryConfig
from signing.console import Console, console_option
from signing.errors import ConflictError, FormatError, HostError, UsageError
from signing.format.names import HolderName, parse_holder_name
from signing.format.pkg.names import PackageRepo
from signing.keystore import KEY_SUFFIX, PUBLIC_SUFFIX, SealCost, load_key, new_key
from signing.metadata import Builder, Signatories, Topology
from signing.roles import bits_for

_TWO = 2
_DEV_KEY = re.compile(r"(?:(?:builder|curator|operator|root)-[1-9]|online)\.(?:key|pub)\.json", re.ASCII)


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--dev", is_flag=True, help="Throw-away keys for everybody, on this machine. Never for tenants."
)
@click.option("--curators", default=2, show_default=True, help="With --dev: how many curators.")
@click.option("--bins", default=64, show_default=True, help="With --dev: hash bins, a power of two.")
@click.option(
    "--pkg",
    "repos",
    multiple=True,
    metavar="ABI/CHANNEL",
    default=["FreeBSD:14:amd64/latest"],
    show_default=True,
    help="With --dev: package repositories, each with a builder's key of its own.",
)
@click.option(
    "--ceremony", type=click.Path(path_type=Path), help="Folder of a finished ceremony (skillrepo root)."
)
@click.option("--online", type=click.Path(path_type=Path), help="Key file of the online key; it is copied.")
@click.option(
    "--source", "mirrors", multiple=True, metavar="NAME=URL", help="Where a source answers, if elsewhere."
)
@console_option
@click.pass_context
def init(
    ctx: click.Context,
    folder: Path,
    dev: bool,
    curators: int,
    bins: int,
    repos: tuple[str, ...],
    ceremony: Path | None,
    online: Path | None,
    mirrors: tuple[str, ...],
    console: Console,
) -> None:
    """Make a repository in DIR: with --dev at once, else from a finished ceremony."""
    if dev == (ceremony is not None):
        raise UsageError("how?", hint="init DIR --dev, or init DIR --ceremony FOLDER --online KEYFILE")
    config = RepositoryConfig(dev=dev, sources=_mirrors(mirrors))
    database = ctx.find_root().obj["database"]
    if dev:
        builders = [PackageRepo.parse(repo, where="--pkg") for repo in repos]
        document = _init_dev(
            folder, curators=curators, bins=bins, builders=builders, config=config, database=database
        )
        console.note(
            f"DEVELOPMENT repository: {curators} curators, 1 operator, {len(builders)} builder(s), 1 root key and the"
            " online key are throw-away\n"
            f"keys in {folder / 'keys'}. Whoever reads that folder is all of them. Never let a tenant trust it."
        )
    else:
        if ceremony is None or online is None:
            raise UsageError("the online key is needed", hint="name its key file by --online")
        document = _init_from_ceremony(ctx, folder, ceremony, online, config=config, database=database)
    console.answer(
        document,
        f"repository in {folder}\ntrust anchor: {document['trust_anchor']}  (give it to clients by a way they trust)\n"
        f"next: skillrepo --repo {folder} import PATH",
    )


def _mirrors(given: tuple[str, ...]) -> dict[str, str]:
    """Return the base URLs of ``NAME=URL`` words."""
    from repo_server.curation.sources import check_bases

    mirrors = {key: url for key, _, url in (word.partition("=") for word in given)}
    check_bases(mirrors)
    return mirrors


def _init_dev(
    folder: Path,
    *,
    curators: int,
    bins: int,
    builders: Sequence[PackageRepo],
    config: RepositoryConfig,
    database: str | None,
) -> dict[str, object]:
    from repo_server.publishing.ceremony import draft, sign_documents
    from repo_server.publishing.install import install

    try:
        bits_for(bins)  # before anything is made
    except FormatError as error:
        raise UsageError(error.message, hint="--bins 64") from error
    if not 1 <= curators <= 9:  # noqa: PLR2004
        raise UsageError("1 to 9 curators")
    if len(set(builders)) != len(builders) or len(builders) > 9:  # noqa: PLR2004
        raise UsageError(
            "up to 9 package repositories, each named once", hint="--pkg FreeBSD:14:amd64/latest"
        )
    keys = folder / "keys"
    _check_new(folder)
    _remove_leftover_keys(keys)
    try:
        keys.mkdir(mode=0o700, parents=True)
    except OSError as error:
        raise HostError(f"cannot make {keys}: {error.strerror}") from error
    passphrase = secrets.token_urlsafe(24)
    descriptor = os.open(keys / DEV_PASSPHRASE, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(passphrase + "\n")
    curator_names = [HolderName(f"curator-{number}") for number in range(1, curators + 1)]
    builder_names = [HolderName(f"builder-{number}") for number in range(1, len(builders) + 1)]
    names = [*curator_names, *builder_names, HolderName("operator-1"), HolderName("root-1"), ONLINE]
    held = {name: new_key(keys, name, passphrase=passphrase, cost=SealCost.interactive()) for name in names}
    topology = Topology(
        root=Signatories(keys=(held[HolderName("root-1")],), threshold=1),
        curators=Signatories(keys=tuple(held[name] for name in curator_names), threshold=min(_TWO, curators)),
        operators=Signatories(keys=(held[HolderName("operator-1")],), threshold=1),
        online=held[ONLINE],
        bins=bins,
        builders=tuple(
            Builder(repo=repo, key=held[name]) for repo, name in zip(builders, builder_names, strict=True)
        ),
    )
    now = clock()
    documents = draft(topology, now=now)
    signers = {
        name: load_key(keys / f"{name}{KEY_SUFFIX}", passphrase=lambda _: passphrase) for name in names
    }
    for name in names:
        documents, _ = sign_documents(documents, signers[name], now=now)
    repository = install(
        folder, config=config, documents=documents, online=signers[ONLINE], now=now, database=database
    )
    return {
        "repo": str(repository.folder),
        "dev": True,
        "trust_anchor": str(repository.folder / "trust-anchor.json"),
        "curators": [str(name) for name in curator_names],
        "curator_threshold": min(_TWO, curators),
        "operators": ["operator-1"],
        "builders": {name: str(repo) for repo, name in zip(builders, builder_names, strict=True)},
        "keys": str(repository.keys),
        "bins": bins,
    }


def _check_new(folder: Path) -> None:
    if (folder / CONFIG_NAME).exists():
        raise ConflictError(f"{folder} is a repository already", hint="choose another folder")


def _remove_leftover_keys(keys: Path) -> None:
    """Remove the throw-away keys of an `init --dev` that was killed: they signed nothing that anybody has seen.

    Raises:
        ConflictError: something else stands there; it is left alone.
    """
    if not keys.is_dir():
        return
    found = list(keys.iterdir())
    ours = all(path.name == DEV_PASSPHRASE or _DEV_KEY.fullmatch(path.name) for path in found)
    if not ours or (found and not (keys / DEV_PASSPHRASE).is_file()):
        raise ConflictError(
            f"{keys} exists already and was not left by init --dev", hint="choose another folder"
        )
    for path in sorted(
        found, key=lambda path: path.name == DEV_PASSPHRASE
    ):  # what marks the folder goes last
        path.unlink()
    keys.rmdir()


def _init_from_ceremony(
    ctx: click.Context,
    folder: Path,
    ceremony: Path,
    online: Path,
    *,
    config: RepositoryConfig,
    database: str | None,
) -> dict[str, object]:
    from repo_server.cli.ceremony_files import read_folder
    from repo_server.publishing.install import install

    signer = load_signer(ctx, online)
    repository = install(
        folder,
        config=config,
        documents=read_folder(ceremony),
        online=signer,
        now=clock(),
        database=database,
        key_files={f"{ONLINE}{KEY_SUFFIX}": online.read_bytes()},
    )
    return {
        "repo": str(repository.folder),
        "dev": False,
        "trust_anchor": str(repository.folder / "trust-anchor.json"),
    }


@click.group()
def key() -> None:
    """Make and show keys."""


@key.command("new")
@click.argument("name")
@click.option(
    "--quick", is_flag=True, help="64 MiB instead of 256 MiB of argon2id: for keys of tests and exercises."
)
@console_option
@click.pass_context
def key_new(ctx: click.Context, name: str, quick: bool, console: Console) -> None:
    """Make the key NAME.key.json (sealed by a passphrase) and NAME.pub.json (to hand out)."""
    folder = ctx.find_root().obj["keys"]
    if folder is None:
        raise UsageError(
            "where to?", hint="name a folder by --keys DIR or SKILLREPO_KEYS (best: a removable disk)"
        )
    holder = parse_holder_name(name)
    cost = SealCost.interactive() if quick else SealCost.moderate()
    held = new_key(folder, holder, passphrase=passphrase_for(ctx, holder, new=True), cost=cost)
    public = folder / f"{holder}{PUBLIC_SUFFIX}"
    console.answer(
        {
            "holder": holder,
            "keyid": held.keyid,
            "key_file": str(folder / f"{holder}{KEY_SUFFIX}"),
            "public_file": str(public),
        },
        f"{holder}: key id {held.keyid[:16]}…\nhand out {public}; keep the other file and its passphrase apart",
    )


@key.command("show")
@click.argument("file", type=click.Path(path_type=Path))
@console_option
def key_show(file: Path, console: Console) -> None:
    """Show the public key in FILE (NAME.pub.json)."""
    from repo_server.cli.ceremony_files import read_public

    held = read_public(file)
    console.answer(
        {"holder": held.holder, "keyid": held.keyid, "public": held.public},
        f"{held.holder}  key id {held.keyid}\n{'':{len(held.holder)}}  public {held.public}",
    )
