"""`skillrepo-client`: a verifying client for anyone.

``init``, ``refresh`` and ``download`` keep the command-line contract of the TUF conformance suite
(reference/tuf-and-signing §7); ``get`` goes on from a verified file to a verified skill.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from signing.console import Console, LazyGroup, console_option, run
from signing.errors import UsageError

if TYPE_CHECKING:
    from repo_client.commands import Places

_COMMANDS = {
    "init": ("repo_client.cli:init", "Take the first root as trust anchor; makes no request.", "Trust"),
    "refresh": ("repo_client.cli:refresh", "Bring trusted metadata up to date.", "Trust"),
    "get": ("repo_client.cli:get", "Fetch, verify and unpack NAME==VERSION.", "Skills"),
    "download": ("repo_client.cli:download", "Fetch and verify single target files.", "Skills"),
    "verify-birth": (
        "repo_client.cli:verify_birth",
        "Check a birth certificate, offline, and a jail by it.",
        "Trust",
    ),
}


@click.group(cls=LazyGroup, lazy=_COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--metadata-dir",
    type=click.Path(path_type=Path),
    envvar="SKILLREPO_METADATA_DIR",
    help="Where trusted metadata is kept (one per host; it is the memory that stops rollback).",
)
@click.option("--server", envvar="SKILLREPO_SERVER", help="Address of the repository, for get and refresh.")
@click.option(
    "--mirror",
    "mirrors",
    multiple=True,
    envvar="SKILLREPO_MIRRORS",
    help="Another address that serves the same repository; repeatable. Not trusted, and asked when one fails.",
)
@click.option(
    "--from",
    "archive",
    type=click.Path(path_type=Path),
    help="Folder of an archive (skillrepo export-archive), in the place of a server.",
)
@click.option("--metadata-url", help="Where metadata is served, when it is not SERVER/metadata/.")
@click.option(
    "--target-name", "target_names", multiple=True, help="A target path to download; may be repeated."
)
@click.option("--target-dir", type=click.Path(path_type=Path), help="Where downloaded targets go.")
@click.option("--target-base-url", help="Where targets are served, when it is not SERVER/targets/.")
@click.option("--json", "json_output", is_flag=True, help="Answer with one JSON object.")
@click.version_option(package_name="clawdie-skillrepo")
@click.pass_context
def cli(ctx: click.Context, /, **options: object) -> None:
    """Fetch skills and check them against a trust anchor, without trusting the server."""
    ctx.obj = options


def _metadata_dir(ctx: click.Context) -> Path:
    folder = ctx.obj["metadata_dir"]
    if not isinstance(folder, Path):
        raise UsageError("no metadata folder", hint="give --metadata-dir DIR or set SKILLREPO_METADATA_DIR")
    return folder


@cli.command()
@click.argument("root", type=click.Path(path_type=Path))
@console_option
@click.pass_context
def init(ctx: click.Context, root: Path, console: Console) -> None:
    """Take the file ROOT as trust anchor. Nothing is requested from any server."""
    from repo_client.commands import take_anchor

    folder = _metadata_dir(ctx)
    version = take_anchor(folder, root)
    console.answer(
        {"metadata_dir": str(folder), "root_version": version}, f"trusting {root} (root version {version})"
    )


@cli.command()
@console_option
@click.pass_context
def refresh(ctx: click.Context, console: Console) -> None:
    """Bring trusted metadata up to date."""
    from repo_client.commands import refresh_trust

    versions = refresh_trust(_metadata_dir(ctx), _places(ctx, targets=False))
    console.answer({"versions": versions}, "\n".join(f"{role} version {n}" for role, n in versions.items()))


@cli.command("verify-birth")
@click.argument("certificate", type=click.Path(path_type=Path))
@click.option(
    "--trust-anchor",
    required=True,
    envvar="SKILLREPO_TRUST_ANCHOR",
    type=click.Path(path_type=Path),
    help="File with the first root, as you got it from the repository's owner.",
)
@click.option(
    "--host-key",
    "host_keys",
    multiple=True,
    required=True,
    type=click.Path(path_type=Path),
    help="Public key of a host that you accept (hive audit key prints it); repeatable.",
)
@click.option("--root", type=click.Path(path_type=Path), help="Root of the jail: its files are compared too.")
@click.option(
    "--bom", type=click.Path(path_type=Path), help="Write the CycloneDX bill of materials to this file."
)
@console_option
def verify_birth(
    certificate: Path,
    trust_anchor: Path,
    host_keys: tuple[Path, ...],
    root: Path | None,
    bom: Path | None,
    console: Console,
) -> None:
    """Check CERTIFICATE from the trust anchor on, without any server; with --root the jail's files by it."""
    from repo_client.births import check_birth

    document, text = check_birth(certificate, trust_anchor, host_keys, root=root, bom=bom)
    console.answer(document, text)


@cli.command()
@console_option
@click.pass_context
def download(ctx: click.Context, console: Console) -> None:
    """Fetch and verify every --target-name into --target-dir."""
    from repo_client.commands import download_targets

    names, folder = ctx.obj["target_names"], ctx.obj["target_dir"]
    if not names or folder is None:
        raise UsageError("nothing to download", hint="give --target-name PATH and --target-dir DIR")
    written = download_targets(_metadata_dir(ctx), names, folder, _places(ctx))
    console.answer({"files": [str(path) for path in written]}, "\n".join(str(path) for path in written))


@cli.command()
@click.argument("pin", metavar="NAME==VERSION")
@click.option(
    "--dest", required=True, type=click.Path(path_type=Path), help="Folder of skills; NAME is made in it."
)
@console_option
@click.pass_context
def get(ctx: click.Context, pin: str, dest: Path, console: Console) -> None:
    """Fetch NAME==VERSION, verify bundle, review and revocations, and unpack it to DEST/NAME."""
    from repo_client.commands import get_release
    from repo_client.updater import Server

    server = ctx.obj["server"]
    if ctx.obj["archive"] is not None:
        places = Server.carried(ctx.obj["archive"])
    elif server:
        places = Server.parse(server, mirrors=ctx.obj["mirrors"])
    else:
        raise UsageError("no server", hint="give --server URL or set SKILLREPO_SERVER; or --from an archive")
    document = get_release(_metadata_dir(ctx), server=places, pin=pin, dest=dest)
    for warning in document["warnings"]:
        console.note(f"WARNING: {warning}")
    console.answer(
        document,
        f"{document['path']}\n  reviewed by {', '.join(document['reviewers'])}; signed by"
        f" {', '.join(document['signers'])}\n  tree sha256 {document['tree_sha256']}",
    )


def _places(ctx: click.Context, *, targets: bool = True) -> "list[Places]":
    """Return where to ask; without ``targets``, metadata is all that is asked for."""
    from repo_client.commands import Places, places_of
    from repo_client.updater import Server

    options = ctx.obj
    if options["archive"] is not None:
        return [Places.of(Server.carried(options["archive"]))]
    metadata_url = options["metadata_url"]
    return places_of(
        server=options["server"],
        metadata_url=metadata_url,
        targets_url=options["target_base_url"] if targets else options["target_base_url"] or metadata_url,
        mirrors=options["mirrors"],
    )


def main() -> None:
    """Run the command (console script)."""
    run(cli, "skillrepo-client")
