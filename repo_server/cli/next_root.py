r"""`skillrepo root next` and `root publish`: another year, another online key, other people.

skillrepo --repo DIR root next FOLDER                                 # the same for another year
skillrepo --repo DIR root next FOLDER --online-key online2.pub.json   # the online key was stolen, or lost
skillrepo --repo DIR root next FOLDER --curator-key a.pub.json …      # all curators from now on
skillrepo --keys /media/rita root sign FOLDER --as rita               # each holder, on a machine of their own
skillrepo --repo DIR root publish FOLDER [--online online2.key.json]
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import click
from tuf.api.metadata import Root, Targets

from repo_server.cli.ceremony_files import read_folder, read_public, read_signatories, write_folder
from repo_server.cli.context import (
    ONLINE,
    clock,
    confirm,
    load_signer,
    open_online_signer,
    open_repository,
    read_anchor,
)
from repo_server.desk.seen import check_not_older
from repo_server.publishing.ceremony import Documents
from repo_server.publishing.next_people import targets_of
from repo_server.publishing.next_root import (
    Succession,
    accept_next_root,
    describe_next,
    draft_next,
    merge_next,
    sign_next,
)
from repo_server.publishing.seen_base import memory_in
from repo_server.repository import ANCHOR_NAME
from repo_server.storage.durable import write_durably
from signing.console import Console, console_option
from signing.errors import ConflictError, HostError, KeyAccessError, UsageError
from signing.format.moment import render_moment
from signing.keystore import KEY_SUFFIX, PUBLIC_SUFFIX, SealedKeySigner
from signing.metadata import Signatories, parse
from signing.roles import PROFILES, ROOT, SKILLS, TARGETS, TIMESTAMP, is_bin

_FILE: Final = click.Path(path_type=Path)


@click.command("next")
@click.argument("folder", metavar="FOLDER", type=_FILE)
@click.option("--root-key", "root_keys", multiple=True, type=_FILE, help="All holders of root from now on.")
@click.option("--root-threshold", type=click.IntRange(1), help="How many of them must sign.")
@click.option("--online-key", type=_FILE, help="Public half of another online key.")
@click.option("--curator-key", "curator_keys", multiple=True, type=_FILE, help="All curators from now on.")
@click.option("--curator-threshold", type=click.IntRange(1), help="How many of them must sign.")
@click.option("--operator-key", "operator_keys", multiple=True, type=_FILE, help="All operators from now on.")
@click.option("--operator-threshold", type=click.IntRange(1), help="How many of them must sign.")
@click.option(
    "--distrust",
    "distrusted",
    multiple=True,
    metavar="NAME|KEYID",
    help="A curator who leaves because their key was stolen: nothing that only it signed counts any more.",
)
@console_option
@click.pass_context
def draft(
    ctx: click.Context,
    folder: Path,
    root_keys: Sequence[Path],
    root_threshold: int | None,
    online_key: Path | None,
    curator_keys: Sequence[Path],
    curator_threshold: int | None,
    operator_keys: Sequence[Path],
    operator_threshold: int | None,
    distrusted: Sequence[str],
    console: Console,
) -> None:
    """Draft the root that follows the published one, in FOLDER; what is not named stays as it is.

    It is signed by enough of the old holders and enough of the new ones (root sign), and then published
    (root publish). Clients that trust the old one follow. Where curators or operators change, the new ones
    also sign all that the old ones had signed; reviews by curators who leave go on to count.
    """
    from repo_server.db.session import snapshot
    from repo_server.publishing.handing_over import draft_handover
    from repo_server.publishing.vouched import vouched_content

    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConflictError(f"{folder} is not an empty folder", hint="choose a new folder")
    repository = open_repository(ctx, console)
    with snapshot(repository.engine) as session:
        published = vouched_content(session, ROOT, anchor=repository.anchor)
        targets = vouched_content(session, TARGETS, anchor=repository.anchor)
        handover = draft_handover(
            repository,
            session,
            curators=_new_people("curator", targets, SKILLS, curator_keys, curator_threshold),
            operators=_new_people("operator", targets, PROFILES, operator_keys, operator_threshold),
            distrusted=distrusted,
            now=clock(),
        )
    documents = draft_next(
        published,
        root=_new_holders(published, root_keys, root_threshold),
        online=read_public(online_key) if online_key is not None else None,
        curators=handover.appointed.curators if handover.people is not None else None,
        people=handover.people,
        now=clock(),
    )
    write_folder(folder, documents)
    for pin in handover.unreviewed:
        console.note(f"warning: only a distrusted key signed the review of {pin}: clients will refuse it")
    show_next(documents, console)


@click.command("publish")
@click.argument("folder", metavar="FOLDER", type=_FILE)
@click.option(
    "--online", type=_FILE, help="Key file of the new online key; it takes the place of the old one."
)
@console_option
@click.pass_context
def publish(ctx: click.Context, folder: Path, online: Path | None, console: Console) -> None:
    """Publish the completely signed root in FOLDER, with a snapshot and a timestamp by its online key.

    Killed in between, run it again.
    """
    from repo_server.db.session import transaction
    from repo_server.publishing.projection import project

    repository = open_repository(ctx, console)
    documents = read_folder(folder)
    succession = Succession.of(documents)
    signer = load_signer(ctx, online) if online is not None else open_online_signer(ctx, repository)
    if signer.public_key.keyid not in succession.following.signed.roles[TIMESTAMP].keyids:
        raise KeyAccessError(
            "this is not the online key that the new root names", hint="name its key file by --online"
        )
    with transaction(repository.engine) as session:
        state = accept_next_root(repository, session, documents, signer, now=clock())
    if online is not None:
        write_durably(repository.keys / f"{ONLINE}{KEY_SUFFIX}", online.read_bytes(), mode=0o600)
        write_durably(repository.keys / f"{ONLINE}{PUBLIC_SUFFIX}", signer.held.render() + b"\n")
    with transaction(repository.engine) as session:
        project(repository, session)
    version = succession.following.signed.version
    said = "was published already" if state is None else "is published"
    console.answer(
        {
            "root_version": version,
            "already": state is None,
            "expires": render_moment(succession.following.signed.expires),
            "snapshot_version": state.snapshot if state is not None else None,
            "timestamp_version": state.timestamp if state is not None else None,
        },
        f"root {version} {said}; it expires {succession.following.signed.expires:%Y-%m-%d}",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownRoots:
    """The roots on a holder's own side: the anchor that they brought along, and what their key signed last."""

    anchor: Path
    last: Path

    @classmethod
    def of(cls, ctx: click.Context, keys: Path, signer: SealedKeySigner) -> Self:
        """Return where they are: beside the key, but for an anchor that is named by its option."""
        given = ctx.find_root().obj["trust_anchor"]
        return cls(
            anchor=Path(given) if given is not None else keys / ANCHOR_NAME,
            last=keys / f"{signer.held.holder}.root.json",
        )

    def check_people(self, drafted: Documents) -> None:
        """Compare what people signed, as the folder has it, with what this holder has seen published (`seen_base`).

        Raises:
            RollbackError: a role is older. CouldNotVerifyError: the memory cannot be read.
        """
        people = Succession.of(drafted).people
        if people is not None and self.anchor.exists():
            anchor = read_anchor(self.anchor)
            versions = {role: targets_of(people.before, role).version for role in people.before}
            check_not_older(memory_in(self.anchor.parent, anchor), versions, anchor=anchor)

    def read(self) -> list[bytes]:
        """Return those that are there."""
        return [read_anchor(path) for path in (self.anchor, self.last) if path.exists()]


def sign_next_root(
    folder: Path,
    drafted: Documents,
    signer: SealedKeySigner,
    console: Console,
    *,
    known: KnownRoots,
    yes: bool,
) -> None:
    """Show what changes, ask, and sign the next root in ``folder``; what `root sign` does there.

    Raises:
        NotEntitledError, BadSignatureError, FormatError: see `repo_server.publishing.next_root.sign_next`.
        CouldNotVerifyError, RollbackError: see `repo_server.publishing.known_root`.
        FormatError: the folder holds another draft than the one that was shown.
    """
    from repo_server.publishing.known_root import check_known

    holder = signer.held.holder
    # In memory: what may not be signed is not shown as if it might.
    signed = sign_next(drafted, signer, now=clock())
    check_known(drafted, signer.public_key, known=known.read())
    known.check_people(drafted)
    console.note("\n".join(describe_next(drafted)))
    confirm(f"sign this as {holder}?", console, yes=yes)
    # Somebody else may have signed meanwhile, in the same folder; or exchanged what was shown.
    signed = merge_next(read_folder(folder), signed)
    try:
        write_durably(known.last, signed[ROOT])
    except HostError as error:
        console.note(f"warning: the next signature will not know of this one: {error}")
    write_folder(folder, signed)
    console.note(f"{holder} signed the next root")
    show_next(signed, console)


def show_next(documents: Documents, console: Console) -> None:
    """Answer how far the next root has come."""
    succession = Succession.of(documents)
    found = succession.standings()
    missing = sorted({name for item in found if not item.complete for name in item.missing})
    bins = sorted((item for item in found if is_bin(item.role)), key=lambda item: len(item.signed))
    lines = [
        f"{item.role:12} {len(item.signed)} of {item.threshold}"
        + (f"  signed: {', '.join(item.signed)}" if item.signed else "")
        + (f"  missing: {', '.join(item.missing)}" if not item.complete else "")
        for item in found
        if not is_bin(item.role) or item is bins[0]
    ]
    if bins:
        lines.append(f"({len(bins)} hash bins; the one with the fewest signatures stands for all)")
    ending = f"still to sign: {', '.join(missing)}" if missing else "complete: skillrepo root publish FOLDER"
    roles: list[dict[str, Any]] = [
        {
            "role": item.role,
            "signed": list(item.signed),
            "missing": list(item.missing),
            "threshold": item.threshold,
        }
        for item in found
    ]
    console.answer(
        {
            "complete": not missing,
            "missing": missing,
            "version": succession.following.signed.version,
            "roles": roles,
        },
        "\n".join([*describe_next(documents), *lines, ending]),
    )


def _new_holders(published: bytes, keys: Sequence[Path], threshold: int | None) -> Signatories | None:
    if not keys:
        if threshold is not None:
            raise UsageError("--root-threshold needs all holders", hint="name each by --root-key FILE")
        return None
    kept = parse(published, Root, where=ROOT).signed.roles[ROOT].threshold
    return read_signatories(keys, threshold if threshold is not None else kept)


def _new_people(
    who: str, targets: bytes, role: str, keys: Sequence[Path], threshold: int | None
) -> Signatories | None:
    if not keys:
        if threshold is not None:
            raise UsageError(f"--{who}-threshold needs all {who}s", hint=f"name each by --{who}-key FILE")
        return None
    kept = parse(targets, Targets, where=TARGETS).signed.get_delegated_role(role).threshold
    return read_signatories(keys, threshold if threshold is not None else kept)
