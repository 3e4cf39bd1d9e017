"""`skillrepo pkg sign-digest`: a signing_command for pkg and poudriere, and the forced command of ssh."""

import os
from pathlib import Path
from typing import Final

import click

from repo_server.cli.pkg.signers import key_option, open_pkg_signer, passphrase_option
from signing.console import harmless
from signing.errors import SkillRepoError, UsageError

_INPUT: Final = 0
_OUTPUT: Final = 1


@click.command("sign-digest")
@key_option(multiple=False)
@passphrase_option
@click.pass_context
def sign_digest(ctx: click.Context, key: str, key_passphrase_file: Path | None) -> None:
    """Read one sha256 line, write its signature and certificate.

    poudriere.conf: SIGNING_COMMAND="skillrepo pkg sign-digest --key FILE"; over ssh, this is the forced command, and
    SIGNING_COMMAND="ssh -T signer@host". On any failure nothing is written, and the exit status is not 0.
    """
    from repo_server.pkgrepo.signing_command import read_digest, render_answer

    try:
        if ctx.find_root().obj["json_output"]:
            raise UsageError("pkg reads no JSON", hint="leave --json out")
        # The line first: who sends anything else learns nothing of the key, not even whether it can be opened.
        digest = read_digest(_INPUT)
        answer = render_answer(open_pkg_signer(ctx, key, passphrase_file=key_passphrase_file), digest)
    except SkillRepoError as error:
        # Not by way of the usual report, which with --json is on the standard output, where pkg reads signatures.
        click.echo(harmless(f"skillrepo: error[{error.code}]: {error}"), err=True)
        if error.hint:
            click.echo(harmless(f"hint: {error.hint}"), err=True)
        ctx.exit(error.exit_status)
    while answer:
        answer = answer[os.write(_OUTPUT, answer) :]
