"""`skillrepo export-archive` and `skillrepo import-archive`: a repository for a site without a network."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from repo_server.cli.context import clock, open_repository, read_anchor
from signing.console import Console, console_option
from signing.errors import UsageError
from signing.format.moment import render_moment
from signing.format.names import Pin
from signing.format.pkg.names import PackageRepo

if TYPE_CHECKING:
    from repo_server.archiving.contents import Contents


@click.command("export-archive")
@click.argument("place", metavar="OUT", type=click.Path(path_type=Path))
@click.option(
    "--profile",
    "profiles",
    multiple=True,
    metavar="NAME==VERSION",
    help="Only what this profile pins; repeatable.",
)
@click.option(
    "--packages",
    "packages",
    multiple=True,
    metavar="ABI/CHANNEL",
    help="This package repository as a whole; repeatable. Default: all, and with --profile none.",
)
@click.option("--no-packages", is_flag=True, help="No package repository as a whole.")
@click.option("--tar", type=click.Path(path_type=Path), metavar="FILE", help="Write it to one file too.")
@console_option
@click.pass_context
def export_archive(
    ctx: click.Context,
    place: Path,
    profiles: tuple[str, ...],
    packages: tuple[str, ...],
    no_packages: bool,
    tar: Path | None,
    console: Console,
) -> None:
    """Write what is published now to the new folder OUT, complete, verified, and readable without this machine.

    It can be taken in until its timestamp ends, a day after `skillrepo refresh` at most: the answer says when.
    """
    from repo_server.archiving.exporting import export_archive as export
    from repo_server.archiving.format import Choice
    from repo_server.archiving.tape import write_tar

    if packages and no_packages:
        raise UsageError("--packages and --no-packages exclude each other")
    repos = tuple(PackageRepo.parse(item, where="--packages") for item in packages)
    choice = Choice(
        profiles=tuple(Pin.parse(item, where="--profile") for item in profiles),
        repos=repos if packages or no_packages else None,
    )
    contents = export(open_repository(ctx, console), place, choice=choice, now=clock())
    if tar is not None:
        write_tar(place, contents.index, tar)
    console.answer({**_document(contents), "archive": str(place)}, f"{place}: {_text(contents)}")


@click.command("import-archive")
@click.argument("place", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--into",
    type=click.Path(path_type=Path),
    metavar="MIRROR",
    help="Folder whose current/ a web server serves.",
)
@click.option("--check", is_flag=True, help="Verify it to the last byte, and write nothing.")
@console_option
@click.pass_context
def import_archive(ctx: click.Context, place: Path, into: Path | None, check: bool, console: Console) -> None:
    """Verify the archive in the folder DIR from your own trust anchor on, and make it the state that MIRROR serves.

    Nothing of it is visible before all of it was verified. An archive that has ended, or is older than one that was taken in
    before, is refused. Needs --trust-anchor: the first root, which you got by another way than the archive.
    """
    from repo_server.archiving.importing import check_archive
    from repo_server.archiving.importing import import_archive as take_in

    if check == (into is not None):
        raise UsageError("where to?", hint="--into MIRROR; or --check, which writes nothing")
    trust_anchor = ctx.find_root().obj["trust_anchor"]
    if trust_anchor is None:
        raise UsageError(
            "no trust anchor",
            hint="give --trust-anchor FILE or set SKILLREPO_TRUST_ANCHOR; never one from the archive",
        )
    anchor = read_anchor(trust_anchor)
    if into is None:
        contents = check_archive(place, anchor=anchor, now=clock())
        console.answer({**_document(contents), "mirror": None}, f"{place}: {_text(contents)}")
    else:
        contents = take_in(place, into, anchor=anchor, now=clock())
        console.answer({**_document(contents), "mirror": str(into)}, f"{into / 'current'}: {_text(contents)}")


def _document(contents: "Contents") -> dict[str, Any]:
    index = contents.index
    return {
        "files": len(index.files),
        "bytes": index.size,
        "ends": render_moment(index.ends),
        "versions": dict(sorted(index.versions.items())),
        "profiles": [str(pin) for pin in index.choice.profiles],
        "packages": [str(repo) for repo in index.choice.repos or ()],
    }


def _text(contents: "Contents") -> str:
    index = contents.index
    what = ", ".join(str(pin) for pin in index.choice.profiles) or "all skills"
    packages = ", ".join(str(repo) for repo in index.choice.repos or ()) or "no package repository"
    return (
        f"{len(index.files)} files, {index.size} bytes: {what}; {packages}\n"
        f"  timestamp {index.versions['timestamp']}, snapshot {index.versions['snapshot']}\n"
        f"  ends {render_moment(index.ends)}: from then on nothing of it is accepted"
    )
