"""`skillrepo pkg key`: keys that sign catalogues for pkg."""

from pathlib import Path

import click

from repo_server.cli.context import passphrase_for
from signing.console import Console, console_option
from signing.errors import UsageError
from signing.format.names import parse_holder_name


@click.group()
def key() -> None:
    """Make and show keys that sign catalogues for pkg: one for each ABI and channel."""


@key.command("new")
@click.argument("name")
@click.option(
    "--kind",
    type=click.Choice(["rsa", "ecdsa", "eddsa"]),
    default="rsa",
    show_default=True,
    help="RSA is what every pkg, pkg(7) and poudriere understand.",
)
@console_option
@click.pass_context
def key_new(ctx: click.Context, name: str, kind: str, console: Console) -> None:
    """Make NAME.pkg.key (sealed by a passphrase) and NAME.pkg.pub (what clients see) in --keys DIR."""
    from repo_server.pkgrepo.keys import new_key
    from repo_server.pkgrepo.public_keys import KeyKind

    folder = ctx.find_root().obj["keys"]
    if folder is None:
        raise UsageError("where to?", hint="name a folder by --keys DIR or SKILLREPO_KEYS")
    holder = parse_holder_name(name)
    made = new_key(Path(folder), holder, kind=KeyKind(kind), passphrase=passphrase_for(ctx, holder, new=True))
    console.answer(
        {
            "name": holder,
            "kind": kind,
            "fingerprint": made.fingerprint,
            "key_file": str(made.key_file),
            "certificate_file": str(made.certificate_file),
        },
        f"{holder}: {kind}, fingerprint {made.fingerprint}\n"
        f"next: skillrepo pkg fingerprint --key {made.certificate_file} --out DIR   (what clients must trust)",
    )


@key.command("show")
@click.argument("file", type=click.Path(path_type=Path))
@console_option
def key_show(file: Path, console: Console) -> None:
    """Show the kind and the fingerprint of the certificate in FILE (NAME.pkg.pub)."""
    from repo_server.pkgrepo.certificates import split_certificate
    from repo_server.pkgrepo.keys import load_certificate
    from signing.format.digest import sha256_of

    kind, certificate = split_certificate(load_certificate(file))
    fingerprint = sha256_of(certificate)
    console.answer({"kind": kind.value, "fingerprint": fingerprint}, f"{kind}  fingerprint {fingerprint}")
