r"""`skillrepo root`: the first metadata, signed by people who need not meet.

skillrepo root new CEREMONY --root-key a.pub.json --root-key b.pub.json --root-key c.pub.json \
        --curator-key d.pub.json --curator-key e.pub.json --operator-key f.pub.json --operator-key g.pub.json \
        --online-key online.pub.json --builder FreeBSD:14:amd64/latest=builder.pub.json
skillrepo --keys /media/alice root sign CEREMONY --as alice      # each holder, on a machine of their own
skillrepo root merge CEREMONY COPY                               # when copies were signed apart
skillrepo root status CEREMONY                                   # who is missing
skillrepo init DIR --ceremony CEREMONY --online online.key.json
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from repo_server.cli.context import clock, confirm, load_signer
from repo_server.publishing.ceremony import (
    check_draft,
    describe_draft,
    draft,
    merge,
    sign_documents,
    standings,
)
from repo_server.storage.durable import write_durably
from signing.console import Console, console_option
from signing.errors import ConflictError, NotEntitledError, NotFoundError, UsageError
from signing.format.names import parse_holder_name
from signing.format.pkg.names import PackageRepo
from signing.keys import HeldKey
from signing.keystore import KEY_SUFFIX
from signing.metadata import MAX_METADATA_BYTES, Builder, Signatories, Topology
from signing.roles import ROOT, is_bin

_KEY_FILES = click.Path(path_type=Path)
_MAX_ROLES: Final = 20_000


@click.group()
def root() -> None:
    """The ceremony that makes the trust anchor."""


@root.command("new")
@click.argument("folder", metavar="CEREMONY", type=click.Path(path_type=Path))
@click.option("--root-key", "root_keys", multiple=True, required=True, type=_KEY_FILES)
@click.option("--root-threshold", default=2, show_default=True)
@click.option("--curator-key", "curator_keys", multiple=True, required=True, type=_KEY_FILES)
@click.option("--curator-threshold", default=2, show_default=True)
@click.option("--operator-key", "operator_keys", multiple=True, required=True, type=_KEY_FILES)
@click.option("--operator-threshold", default=2, show_default=True)
@click.option("--online-key", required=True, type=_KEY_FILES)
@click.option("--bins", default=64, show_default=True, help="Hash bins for skills, a power of two.")
@click.option(
    "--builder", "builders", multiple=True, metavar="ABI/CHANNEL=KEYFILE", help="Who builds which packages."
)
@console_option
def new(
    folder: Path,
    root_keys: Sequence[Path],
    root_threshold: int,
    curator_keys: Sequence[Path],
    curator_threshold: int,
    operator_keys: Sequence[Path],
    operator_threshold: int,
    online_key: Path,
    bins: int,
    builders: Sequence[str],
    console: Console,
) -> None:
    """Draft the first metadata in CEREMONY from public keys; nothing is signed yet."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConflictError(f"{folder} is not an empty folder", hint="choose a new folder")
    topology = Topology(
        root=_signatories(root_keys, root_threshold),
        curators=_signatories(curator_keys, curator_threshold),
        operators=_signatories(operator_keys, operator_threshold),
        online=read_public(online_key),
        bins=bins,
        builders=tuple(_builder(word) for word in builders),
    )
    write_folder(folder, draft(topology, now=clock()))
    _show(folder, console)


@root.command("sign")
@click.argument("folder", metavar="CEREMONY", type=click.Path(path_type=Path))
@click.option("--as", "holder", required=True, help="Whose key (NAME.key.json in --keys DIR).")
@click.option("--yes", is_flag=True, help="Do not ask before signing.")
@console_option
@click.pass_context
def sign(ctx: click.Context, folder: Path, holder: str, yes: bool, console: Console) -> None:
    """Show who will hold what, and sign everything in CEREMONY that this key may sign.

    Compare the key ids with those that the holders told you themselves: who is named here signs from now on.
    """
    keys = ctx.find_root().obj["keys"]
    if keys is None:
        raise UsageError("where is the key?", hint="name its folder by --keys DIR")
    signer = load_signer(ctx, Path(keys) / f"{parse_holder_name(holder)}{KEY_SUFFIX}")
    drafted = read_folder(folder)
    check_draft(drafted, now=clock())
    console.note("\n".join(describe_draft(drafted)))
    confirm(f"sign this as {holder}?", console, yes=yes)
    documents, signed = sign_documents(drafted, signer, now=clock())
    if not signed:
        raise NotEntitledError(f"{holder} holds no role in this ceremony", hint="is it the right key?")
    write_folder(folder, documents)
    console.note(f"{holder} signed {_summary(signed)}")
    _show(folder, console)


@root.command("merge")
@click.argument("folder", metavar="CEREMONY", type=click.Path(path_type=Path))
@click.argument("other", metavar="COPY", type=click.Path(path_type=Path))
@console_option
def merge_copies(folder: Path, other: Path, console: Console) -> None:
    """Add the signatures of COPY, signed elsewhere, to CEREMONY."""
    write_folder(folder, merge(read_folder(folder), read_folder(other)))
    _show(folder, console)


@root.command("status")
@click.argument("folder", metavar="CEREMONY", type=click.Path(path_type=Path))
@console_option
def status(folder: Path, console: Console) -> None:
    """Show who has signed and who is missing."""
    _show(folder, console)


def _builder(word: str) -> Builder:
    repo, equals, file = word.partition("=")
    if not equals:
        raise UsageError(
            "--builder wants ABI/CHANNEL=KEYFILE", hint="--builder FreeBSD:14:amd64/latest=b.pub.json"
        )
    return Builder(repo=PackageRepo.parse(repo, where="--builder"), key=read_public(Path(file)))


def read_public(path: Path) -> HeldKey:
    """Return the public key in the file ``path``.

    Raises:
        NotFoundError: there is none. FormatError: it is not one.
    """
    try:
        return HeldKey.parse(path.read_bytes()[:8192], where=path.name)
    except OSError as error:
        raise NotFoundError(f"cannot read {path}: {error.strerror}") from error


def read_folder(folder: Path) -> dict[str, bytes]:
    """Return the documents in a ceremony's folder."""
    paths = sorted(folder.glob("*.json"))[:_MAX_ROLES]
    if not paths:
        raise NotFoundError(f"no ceremony in {folder}", hint="skillrepo root new CEREMONY …")
    documents = {}
    for path in paths:
        with path.open("rb") as stream:
            documents[path.name.removesuffix(".json")] = stream.read(MAX_METADATA_BYTES + 1)
    return documents


def write_folder(folder: Path, documents: dict[str, bytes]) -> None:
    """Write the documents of a ceremony; those that did not change are left alone."""
    for role, data in documents.items():
        path = folder / f"{role}.json"
        if not path.exists() or path.read_bytes() != data:
            write_durably(path, data)


def _signatories(paths: Sequence[Path], threshold: int) -> Signatories:
    return Signatories(keys=tuple(read_public(path) for path in paths), threshold=threshold)


def _show(folder: Path, console: Console) -> None:
    found = standings(read_folder(folder))
    missing = sorted({name for item in found if not item.complete for name in item.missing})
    lines = [
        f"{item.role:12} {len(item.signed)} of {item.threshold}"
        + (f"  signed: {', '.join(item.signed)}" if item.signed else "")
        + (f"  missing: {', '.join(item.missing)}" if not item.complete else "")
        for item in sorted(found, key=lambda item: (item.role != ROOT, item.role))
        if not is_bin(item.role) or item.role == min(other.role for other in found if is_bin(other.role))
    ]
    bins = sum(is_bin(item.role) for item in found)
    ending = (
        f"still to sign: {', '.join(missing)}" if missing else "complete: skillrepo init DIR --ceremony …"
    )
    console.answer(
        {
            "complete": not missing,
            "missing": missing,
            "roles": [
                {
                    "role": item.role,
                    "signed": list(item.signed),
                    "missing": list(item.missing),
                    "threshold": item.threshold,
                }
                for item in found
            ],
        },
        "\n".join([*lines, f"({bins} hash bins; the first stands for all)", ending]),
    )


def _summary(roles: Sequence[str]) -> str:
    bins = [role for role in roles if is_bin(role)]
    others = [role for role in roles if not is_bin(role)]
    return ", ".join([*others, *([f"{len(bins)} hash bins"] if bins else [])])
