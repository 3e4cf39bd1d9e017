r"""`skillrepo root`: the first metadata, signed by people who need not meet.

skillrepo root new CEREMONY --root-key a.pub.json --root-key b.pub.json --root-key c.pub.json \
        --curator-key d.pub.json --curator-key e.pub.json --operator-key f.pub.json --operator-key g.pub.json \
        --online-key online.pub.json --builder FreeBSD:14:amd64/latest=builder.pub.json
skillrepo --keys /media/alice root sign CEREMONY --as alice      # each holder, on a machine of their own
skillrepo root merge CEREMONY COPY                               # when copies were signed apart
skillrepo root status CEREMONY                                   # who is missing
skillrepo init DIR --ceremony CEREMONY --online online.key.json

`sign`, `merge` and `status` serve the folder of a next root too (`repo_server.cli.next_root`).
"""

from collections.abc import Sequence
from pathlib import Path

import click

from repo_server.cli.ceremony_files import read_folder, read_public, read_signatories, write_folder
from repo_server.cli.context import clock, confirm, load_signer
from repo_server.cli.next_root import KnownRoots, show_next, sign_next_root
from repo_server.publishing.ceremony import (
    check_draft,
    describe_draft,
    draft,
    merge,
    sign_documents,
    standings,
)
from repo_server.publishing.next_root import is_next, merge_next
from signing.console import Console, console_option
from signing.errors import ConflictError, NotEntitledError, UsageError
from signing.format.names import parse_holder_name
from signing.format.pkg.names import PackageRepo
from signing.keystore import KEY_SUFFIX
from signing.metadata import Builder, Topology
from signing.roles import ROOT, is_bin

_KEY_FILES = click.Path(path_type=Path)


@click.command("new")
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
        root=read_signatories(root_keys, root_threshold),
        curators=read_signatories(curator_keys, curator_threshold),
        operators=read_signatories(operator_keys, operator_threshold),
        online=read_public(online_key),
        bins=bins,
        builders=tuple(_builder(word) for word in builders),
    )
    write_folder(folder, draft(topology, now=clock()))
    _show(folder, console)


@click.command("sign")
@click.argument("folder", metavar="CEREMONY", type=click.Path(path_type=Path))
@click.option("--as", "holder", required=True, help="Whose key (NAME.key.json in --keys DIR).")
@click.option("--yes", is_flag=True, help="Do not ask before signing.")
@console_option
@click.pass_context
def sign(ctx: click.Context, folder: Path, holder: str, yes: bool, console: Console) -> None:
    """Show who will hold what (or what a next root changes), and sign everything in CEREMONY that this key may sign.

    Compare the key ids with those that the holders told you themselves: who is named here signs from now on.
    """
    keys = ctx.find_root().obj["keys"]
    if keys is None:
        raise UsageError("where is the key?", hint="name its folder by --keys DIR")
    signer = load_signer(ctx, Path(keys) / f"{parse_holder_name(holder)}{KEY_SUFFIX}")
    drafted = read_folder(folder)
    if is_next(drafted):
        known = KnownRoots.of(ctx, Path(keys), signer)
        sign_next_root(folder, drafted, signer, console, known=known, yes=yes)
        return
    check_draft(drafted, now=clock())
    console.note("\n".join(describe_draft(drafted)))
    confirm(f"sign this as {holder}?", console, yes=yes)
    documents, signed = sign_documents(drafted, signer, now=clock())
    if not signed:
        raise NotEntitledError(f"{holder} holds no role in this ceremony", hint="is it the right key?")
    write_folder(folder, documents)
    console.note(f"{holder} signed {_summary(signed)}")
    _show(folder, console)


@click.command("merge")
@click.argument("folder", metavar="CEREMONY", type=click.Path(path_type=Path))
@click.argument("other", metavar="COPY", type=click.Path(path_type=Path))
@console_option
def merge_copies(folder: Path, other: Path, console: Console) -> None:
    """Add the signatures of COPY, signed elsewhere, to CEREMONY."""
    ours, theirs = read_folder(folder), read_folder(other)
    write_folder(folder, merge_next(ours, theirs) if is_next(ours) else merge(ours, theirs))
    _show(folder, console)


@click.command("status")
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


def _show(folder: Path, console: Console) -> None:
    documents = read_folder(folder)
    if is_next(documents):
        show_next(documents, console)
        return
    found = standings(documents)
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
