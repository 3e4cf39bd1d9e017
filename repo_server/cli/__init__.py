"""`skillrepo`: the curator's and the repository's command."""

from pathlib import Path

import click

from signing.console import LazyGroup, run

_CURATE, _PUBLISH, _WITHDRAW, _LOOK, _KEYS = "Curate", "Publish", "Withdraw", "Look", "Set up"
_COMMANDS = {
    "import": (
        "repo_server.cli.importing:import_",
        "Bring a candidate in: folder, archive, git, marketplaces.",
        _CURATE,
    ),
    "search": ("repo_server.cli.importing:search", "Ask a marketplace what it has.", _CURATE),
    "review": ("repo_server.cli.reviewing:review", "Examine a candidate and decide; signed.", _CURATE),
    "sign": ("repo_server.cli.signing:sign", "Add your signature to a reviewed release.", _CURATE),
    "profile": ("repo_server.cli.profiles:profile", "Draft and sign pinned birth sets.", _CURATE),
    "host-policy": (
        "repo_server.cli.host_policy:host_policy",
        "Sign the policy file of a jail host.",
        _CURATE,
    ),
    "export": ("repo_server.cli.importing:export", "Write a candidate's unsigned bundle to a file.", _CURATE),
    "attest": (
        "repo_server.cli.attesting:attest",
        "Let a CI's identity stand behind a reviewed bundle.",
        _CURATE,
    ),
    "publish": ("repo_server.cli.signing:publish", "Publish what is completely signed.", _PUBLISH),
    "refresh": (
        "repo_server.cli.refreshing:refresh",
        "Renew timestamp and snapshot; complete the files.",
        _PUBLISH,
    ),
    "renew": ("repo_server.cli.signing:renew", "Sign a role for another term before it expires.", _PUBLISH),
    "pkg": ("repo_server.cli.pkg:pkg", "FreeBSD package repositories: verify, sign, publish.", _PUBLISH),
    "spread": ("repo_server.cli.spreading:spread", "Copy the published tree into a bucket.", _PUBLISH),
    "serve": ("repo_server.cli.serving:serve", "Run the Flask service.", _PUBLISH),
    "export-archive": (
        "repo_server.cli.archive:export_archive",
        "Write what is published to a folder, for a site without a network.",
        _PUBLISH,
    ),
    "import-archive": (
        "repo_server.cli.archive:import_archive",
        "Verify such a folder, and serve it on.",
        _PUBLISH,
    ),
    "replicate": (
        "repo_server.cli.copies:replicate",
        "Copy the published tree for another web server.",
        _PUBLISH,
    ),
    "resume": (
        "repo_server.cli.copies:resume",
        "Go on after a restore from a backup.",
        _PUBLISH,
    ),
    "yank": ("repo_server.cli.withdrawing:yank", "Withdraw from new use.", _WITHDRAW),
    "quarantine": ("repo_server.cli.withdrawing:quarantine", "Block while it is examined.", _WITHDRAW),
    "revoke": ("repo_server.cli.withdrawing:revoke", "Withdraw everywhere, also where installed.", _WITHDRAW),
    "reinstate": (
        "repo_server.cli.withdrawing:reinstate",
        "Lift a withdrawal, with enough curators.",
        _WITHDRAW,
    ),
    "status": (
        "repo_server.cli.looking:status",
        "What is staged, signed, published, about to expire.",
        _LOOK,
    ),
    "diff": ("repo_server.cli.diffing:diff", "What one version may do and says that another did not.", _LOOK),
    "show": ("repo_server.cli.looking:show", "One skill, release or candidate.", _LOOK),
    "log": ("repo_server.cli.looking:log", "Who did what; --verify checks the chain.", _LOOK),
    "doctor": ("repo_server.cli.doctor:doctor", "What is wrong, and how it is mended.", _LOOK),
    "gc": ("repo_server.cli.collecting:gc", "Remove blobs that nothing names.", _LOOK),
    "engine": ("repo_server.cli.engines:engine", "Install and remove other people's scanners.", _KEYS),
    "init": ("repo_server.cli.setup:init", "Make a repository.", _KEYS),
    "key": ("repo_server.cli.setup:key", "Make and show keys.", _KEYS),
    "root": ("repo_server.cli.root:root", "The ceremony, and each root that follows.", _KEYS),
    "token": ("repo_server.cli.tokens:token", "Let curators elsewhere talk to this repository.", _KEYS),
}


class RepoPlace(click.ParamType[Path | str]):
    """Where a repository is: a folder, as a path, or a URL, as text."""

    name = "DIR|URL"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Path | str:
        """Return what ``value`` names; whether it is a good URL is found out when it is used."""
        del param, ctx
        text = str(value)
        return text if text.startswith(("https://", "http://")) else Path(text)


@click.group(cls=LazyGroup, lazy=_COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--repo",
    type=RepoPlace(),
    envvar="SKILLREPO_REPO",
    help="Folder of the repository, or https://HOST of one elsewhere.",
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
@click.option(
    "--token-file",
    type=click.Path(path_type=Path),
    envvar="SKILLREPO_TOKEN_FILE",
    help="File with the token for a repository behind https (skillrepo token new).",
)
@click.option(
    "--mirror",
    type=click.Path(path_type=Path),
    envvar="SKILLREPO_MIRROR",
    help="Folder for what is fetched from a repository behind https; default: in the user's cache.",
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
