"""`skillrepo`: the curator's and the repository's command."""

from pathlib import Path

import click

from signing.console import LazyGroup, run

_CURATE, _PUBLISH, _LOOK, _KEYS = "Curate", "Publish", "Look", "Set up"
_COMMANDS = {
    "import": (
        "repo_server.cli.importing:import_",
        "Bring a candidate in: folder, archive, git, ClawHub.",
        _CURATE,
    ),
    "review": ("repo_server.cli.reviewing:review", "Examine a candidate and decide; signed.", _CURATE),
    "sign": ("repo_server.cli.signing:sign", "Add your signature to a reviewed release.", _CURATE),
    "profile": ("repo_server.cli.profiles:profile", "Draft and sign pinned birth sets.", _CURATE),
    "export": ("repo_server.cli.importing:export", "Write a candidate's unsigned bundle to a file.", _CURATE),
    "publish": ("repo_server.cli.signing:publish", "Publish what is completely signed.", _PUBLISH),
    "refresh": (
        "repo_server.cli.signing:refresh",
        "Renew timestamp and snapshot; complete the files.",
        _PUBLISH,
    ),
    "renew": ("repo_server.cli.signing:renew", "Sign a role for another term before it expires.", _PUBLISH),
    "serve": ("repo_server.cli.serving:serve", "Run the Flask service.", _PUBLISH),
    "status": (
        "repo_server.cli.looking:status",
        "What is staged, signed, published, about to expire.",
        _LOOK,
    ),
    "show": ("repo_server.cli.looking:show", "One skill, release or candidate.", _LOOK),
    "log": ("repo_server.cli.looking:log", "Who did what; --verify checks the chain.", _LOOK),
    "init": ("repo_server.cli.setup:init", "Make a repository.", _KEYS),
    "key": ("repo_server.cli.setup:key", "Make and show keys.", _KEYS),
    "root": ("repo_server.cli.ceremony:root", "The ceremony: draft, sign, merge, status.", _KEYS),
}


@click.group(cls=LazyGroup, lazy=_COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--repo", type=click.Path(path_type=Path), envvar="SKILLREPO_REPO", help="Folder of the repository."
)
@click.option(
    "--db", "database", envvar="SKILLREPO_DB", help="Database URL, when it is not DIR/repository.db."
)
@click.option(
    "--keys",
    type=click.Path(path_type=Path),
    envvar="SKILLREPO_KEYS",
    help="Folder with your key files, when they do not stand in the repository.",
)
@click.option(
    "--trust-anchor",
    type=click.Path(path_type=Path),
    envvar="SKILLREPO_TRUST_ANCHOR",
    help="The first root, from your own side; default: trust-anchor.json in --keys. What you sign is checked by it.",
)
@click.option(
    "--passphrase-file",
    type=click.Path(path_type=Path),
    envvar="SKILLREPO_PASSPHRASE_FILE",
    help="File with the passphrase of the key, for use without a terminal.",
)
@click.option(
    "--online-passphrase-file",
    type=click.Path(path_type=Path),
    envvar="SKILLREPO_ONLINE_PASSPHRASE_FILE",
    help="File with the passphrase of the online key, when it is another one.",
)
@click.option("--passphrase-fd", type=int, help="Open descriptor to read the passphrase from.")
@click.option("--json", "json_output", is_flag=True, help="Answer with one JSON object.")
@click.version_option(package_name="clawdie-skillrepo")
@click.pass_context
def cli(ctx: click.Context, /, **options: object) -> None:
    """Curate, pin, sign and publish skills and packages for agents in jails."""
    ctx.obj = options


def main() -> None:
    """Run the command (console script)."""
    run(cli, "skillrepo")
