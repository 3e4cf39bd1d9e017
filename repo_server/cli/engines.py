"""`skillrepo engine`: other people's scanners, each installed apart from everything else."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from repo_server.cli.context import open_desk
from signing.console import Console, console_option

if TYPE_CHECKING:
    from repo_server.curation.engines.installing import Installable


@click.group()
def engine() -> None:
    """Install and remove the engines that look at candidates; repository.toml says which are used."""


_folder_option = click.option(
    "--engines",
    "chosen",
    type=click.Path(path_type=Path),
    envvar="SKILLREPO_ENGINES",
    help="Folder of the engines; default: the one in repository.toml, or DIR/engines.",
)


@engine.command()
@click.argument("name")
@_folder_option
@console_option
@click.pass_context
def install(ctx: click.Context, name: str, chosen: Path | None, console: Console) -> None:
    """Install the engine NAME from its lock, in an environment of its own."""
    from repo_server.curation.engines.installing import install as install_engine

    item, folder = _installable(name), _folder(ctx, chosen, console)
    console.note(
        f"installing {item.package} {item.version} in {folder / name}; this takes up to a minute or two"
    )
    place = install_engine(item, folder)
    console.answer(
        {"engine": name, "version": item.version, "folder": str(place), "lock_sha256": item.lock_sha256},
        f'installed: {name} {item.version}\nuse it: repository.toml, [engines], use = ["{name}"]',
    )


@engine.command("list")
@_folder_option
@console_option
@click.pass_context
def list_(ctx: click.Context, chosen: Path | None, console: Console) -> None:
    """List the engines that can be installed, and how far they are confined on this machine."""
    from repo_server.curation.engines.catalogue import INSTALLABLE
    from repo_server.curation.engines.confinement import best_confinement
    from repo_server.curation.engines.installing import absence_of

    folder, confinement = _folder(ctx, chosen, console), best_confinement()
    rows = [
        {"engine": item.name, "version": item.version, "absence": absence_of(item, folder)}
        for item in INSTALLABLE.values()
    ]
    lines = [f"{row['engine']} {row['version']}  {row['absence'] or 'installed'}" for row in rows]
    lines.append(
        f"confined by {confinement.value}: network {'cut' if confinement.cuts_network else 'open'}, "
        f"other files {'out of sight' if confinement.hides_files else 'in sight'}"
    )
    console.answer(
        {
            "folder": str(folder),
            "engines": rows,
            "confinement": confinement.value,
            "cuts_network": confinement.cuts_network,
            "hides_files": confinement.hides_files,
        },
        "\n".join(lines),
    )


@engine.command()
@click.argument("name")
@_folder_option
@console_option
@click.pass_context
def remove(ctx: click.Context, name: str, chosen: Path | None, console: Console) -> None:
    """Remove the engine NAME; what it said in earlier reviews stays."""
    from repo_server.curation.engines.installing import remove as remove_engine

    item, folder = _installable(name), _folder(ctx, chosen, console)
    remove_engine(item, folder)
    console.answer({"engine": name, "folder": str(folder / name)}, f"removed: {name}")


def _installable(name: str) -> "Installable":
    from repo_server.curation.engines.catalogue import installable_named

    return installable_named(name)


def _folder(ctx: click.Context, chosen: Path | None, console: Console) -> Path:
    if chosen is not None:
        return Path(os.path.abspath(chosen))  # noqa: PTH100 - a link to another disk stays a link
    return open_desk(ctx, console).repository.engine_settings.folder
