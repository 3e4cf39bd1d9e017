"""Which keys sign for pkg, as an option names them (edge).

builder.pkg.key                              a sealed key file
next.pkg.pub=hsm:2?label=next                a certificate, and the module or service that holds its key
next.pkg.pub=ssh:signer@keys.example         a certificate, and the host whose forced command signs
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from repo_server.cli.context import passphrase_for, read_passphrase
from signing.errors import UsageError

if TYPE_CHECKING:
    from repo_server.pkgrepo.keys import PkgSigner

_SSH: Final = "ssh:"
_DESTINATION: Final = re.compile(r"(?:[a-z_][a-z0-9_-]*@)?[A-Za-z0-9][A-Za-z0-9.-]*", re.ASCII)
# No terminal, no questions, no forwarding: a build must not hang on one, and the signer's host needs nothing of ours.
_SSH_WORDS: Final = (
    *("ssh", "-T", "-x", "-a", "-o", "BatchMode=yes", "-o", "ClearAllForwardings=yes"),
    *("-o", "ConnectTimeout=20", "-o", "StrictHostKeyChecking=yes", "--"),
)


def key_option(*, multiple: bool) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return the option ``--key``."""
    return click.option(
        "--key",
        "keys" if multiple else "key",
        metavar="KEY",
        required=True,
        multiple=multiple,
        envvar="SKILLREPO_PKG_KEY",
        help="FILE.pkg.key, or FILE.pkg.pub=URI for a key in a module, a service, or behind ssh:USER@HOST.",
    )


passphrase_option = click.option(
    "--key-passphrase-file",
    type=click.Path(path_type=Path),
    envvar="SKILLREPO_PKG_PASSPHRASE_FILE",
    help="File or pipe with this key's passphrase, when it is not that of --passphrase-file.",
)


def open_pkg_signer(ctx: click.Context, text: str, *, passphrase_file: Path | None = None) -> "PkgSigner":
    """Return the signer that ``text`` names.

    Raises:
        UsageError: not in one of the three forms.
        KeyAccessError: it cannot be used. FormatError: it is not a key, or not a certificate.
    """
    from repo_server.pkgrepo.certificates import Certificate
    from repo_server.pkgrepo.keys import load_certificate, load_key
    from repo_server.pkgrepo.keys_by_uri import UriSigner, is_key_uri
    from repo_server.pkgrepo.signing_command import CommandSigner

    def secret(name: str) -> str:
        return read_passphrase(passphrase_file) if passphrase_file else passphrase_for(ctx, name)  # type: ignore[arg-type]

    file, equals, uri = text.partition("=")
    if not equals:
        return load_key(Path(text), passphrase=secret)
    if not uri.startswith(_SSH) and not is_key_uri(uri):
        raise UsageError(f"{uri!a} names no key", hint="FILE.pkg.pub=ssh:USER@HOST, or =hsm:… and the like")
    certificate = Certificate.parse(load_certificate(Path(file)), where=Path(file).name)
    if not uri.startswith(_SSH):
        return UriSigner(uri, certificate, secret=secret)
    destination = uri.removeprefix(_SSH)
    if not _DESTINATION.fullmatch(destination):
        raise UsageError(f"{destination!a} is not USER@HOST", hint="anything more belongs into ~/.ssh/config")
    return CommandSigner([*_SSH_WORDS, destination], certificate)
