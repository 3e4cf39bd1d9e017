"""`skillrepo pkg fingerprint`: what a client of pkg must trust, as files."""

import re
from pathlib import Path
from typing import Final

import click

from signing.console import Console, console_option
from signing.errors import NotFoundError, PolicyError, UsageError
from signing.format.digest import Sha256, parse_sha256, sha256_of

_HEX: Final = re.compile(r"[0-9a-fA-F]{64}", re.ASCII)


@click.command()
@click.option(
    "--key",
    "trusted",
    multiple=True,
    metavar="FILE|FINGERPRINT",
    help="To be trusted: NAME.pkg.pub, or 64 digits.",
)
@click.option(
    "--revoke", "revoked", multiple=True, metavar="FILE|FINGERPRINT", help="Never to be trusted again."
)
@click.option(
    "--out",
    "folder",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder with trusted/ and revoked/.",
)
@console_option
def fingerprint(trusted: tuple[str, ...], revoked: tuple[str, ...], folder: Path, console: Console) -> None:
    """Write trusted/ and revoked/ to a folder, as pkg reads them; what stands there already stays.

    A catalogue that carries any revoked signature is refused whole by every client: publish one without that key first,
    and revoke then.
    """
    from repo_server.pkgrepo.fingerprints import FingerprintAnchors, load_anchors, write_anchors

    if not trusted and not revoked:
        raise UsageError("which key?", hint="name certificates by --key or --revoke")
    try:
        before = load_anchors(folder)
    except NotFoundError:
        if (folder / "revoked").exists():
            # Half a folder: to begin anew would trust again what is revoked there.
            raise
        before = FingerprintAnchors(trusted=frozenset(), revoked=frozenset())
    gone = before.revoked | {_fingerprint(text) for text in revoked}
    added = {_fingerprint(text) for text in trusted}
    if again := sorted(added & gone):
        raise PolicyError(
            f"{again[0][:16]}… is revoked, and is not trusted again",
            hint="make a new key: skillrepo pkg key new",
        )
    kept = (before.trusted | added) - gone
    write_anchors(folder, FingerprintAnchors(trusted=frozenset(kept), revoked=frozenset(gone)))
    if not kept:
        console.note("no key is trusted any more: clients refuse everything until there is one")
    console.answer(
        {"folder": str(folder), "trusted": sorted(kept), "revoked": sorted(gone)},
        "\n".join(
            (
                *(f"trusted  {item}" for item in sorted(kept)),
                *(f"revoked  {item}" for item in sorted(gone)),
                f'clients: signature_type: "fingerprints", fingerprints: "{folder}"',
            )
        ),
    )


def _fingerprint(text: str) -> Sha256:
    """Return the fingerprint that ``text`` is, or that of the certificate in the file that it names."""
    from repo_server.pkgrepo.certificates import split_certificate
    from repo_server.pkgrepo.keys import CERTIFICATE_SUFFIX, KEY_SUFFIX, load_certificate

    if _HEX.fullmatch(text):
        return parse_sha256(text, where="fingerprint")
    # The private half is beside it; there is no need to open that one.
    path = Path(text.removesuffix(KEY_SUFFIX) + CERTIFICATE_SUFFIX if text.endswith(KEY_SUFFIX) else text)
    return sha256_of(split_certificate(load_certificate(path))[1])
