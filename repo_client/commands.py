"""What the verbs of `skillrepo-client` do (edge)."""

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import quote

from tuf.api.metadata import Root, TargetFile
from tuf.ngclient import Updater
from tuf.ngclient.fetcher import FetcherInterface

from repo_client.anchor import load_anchor
from repo_client.carried import FolderFetcher
from repo_client.client import RepoClient
from repo_client.fetcher import FetchLimits, Origin, StrictFetcher
from repo_client.handles import Directory
from repo_client.memory import remember, remember_withdrawals
from repo_client.mirrors import Order, check_mirror, follow_newest, try_each
from repo_client.trees import write_tree
from repo_client.updater import Server, learned_in, locked, make_durable, translated_errors, trusted_in
from signing.errors import (
    ConflictError,
    CouldNotVerifyError,
    FormatError,
    HostError,
    NotFoundError,
    UsageError,
)
from signing.evidence import VerifiedRevocations, verify_revocations
from signing.format.digest import parse_sha256
from signing.format.names import REVOCATIONS_PATH, Pin
from signing.format.revocations import MAX_LIST_BYTES
from signing.format.withdrawal import Withdrawn
from signing.metadata import parse
from signing.withdrawals import refusal

ANCHOR_NAME: Final = "trust-anchor.json"


def take_anchor(folder: Path, root: Path) -> int:
    """Keep the file ``root`` as trust anchor of ``folder`` and return its version.

    Raises:
        ConflictError: the folder trusts another anchor already.
        NotFoundError, CouldNotVerifyError, FormatError: see `load_anchor`.
    """
    data = load_anchor(root)
    with locked(folder):
        kept = folder / ANCHOR_NAME
        if kept.exists() and kept.read_bytes() != data:
            raise ConflictError(
                f"{folder} trusts another anchor already", hint="use a new folder for another repository"
            )
        with Directory.open(folder) as handle:
            handle.write_file(ANCHOR_NAME, data, mode=0o600)
        with translated_errors():
            Updater(str(folder), "http://127.0.0.1/", fetcher=_fetcher("http://127.0.0.1/"), bootstrap=data)
        make_durable(folder)
    return parse(data, Root, where="trust anchor").signed.version


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """A place where metadata and targets have addresses of their own."""

    base: str
    origin: Origin
    metadata_url: str
    targets_url: str
    folder: Path | None = None

    @classmethod
    def of(cls, server: Server) -> Self:
        """Return the place of ``server``."""
        return cls(
            base=server.base,
            origin=server.origin,
            metadata_url=server.metadata_url,
            targets_url=server.targets_url,
            folder=server.folder,
        )

    def fetcher(self) -> FetcherInterface:
        """Return what fetches from here, and from nowhere else."""
        if self.folder is not None:
            return FolderFetcher(self.folder)
        return _fetcher(self.metadata_url, self.targets_url)


def places_of(
    *, server: str | None, metadata_url: str | None, targets_url: str | None, mirrors: Sequence[str]
) -> list[Places]:
    """Return where the repository is served, and its mirrors.

    Raises:
        FormatError: an address is none of an http(s) server; or a mirror is not encrypted, and the repository is.
        UsageError: no address was given.
    """
    if not (metadata_url and targets_url) and not server:
        raise UsageError("no server", hint="give --server URL (or --metadata-url and --target-base-url)")
    known = Server.parse(server or metadata_url or "", mirrors=mirrors)
    own = Places(
        base=known.base,
        origin=Origin.of(metadata_url) if metadata_url else known.origin,
        metadata_url=metadata_url or known.metadata_url,
        targets_url=targets_url or known.targets_url,
    )
    for mirror in known.mirrors:
        check_mirror(mirror.origin, of=own.origin)
    return [own, *map(Places.of, known.mirrors)]


def refresh_trust(folder: Path, places: Sequence[Places]) -> dict[str, int]:
    """Bring the metadata in ``folder`` up to date from one of ``places`` and return the versions trusted now.

    Raises:
        VerificationError, TransportError: see `repo_client.updater`.
    """
    anchor = _anchor(folder)

    def attempt(place: Places, _: bool) -> int:  # noqa: FBT001 - the shape that follow_newest wants
        _refreshed(folder, place, anchor)
        return _version(folder / "timestamp.json")

    with locked(folder):
        follow_newest(
            places, attempt, learned=partial(learned_in, folder), limits=FetchLimits(), order=Order()
        )
        return {
            role: _version(folder / f"{role}.json") for role in ("root", "timestamp", "snapshot", "targets")
        }


def _refreshed(folder: Path, place: Places, anchor: bytes) -> Updater:
    """Bring ``folder`` up to date from ``place``, and return the updater that did."""
    with translated_errors():
        try:
            updater = Updater(
                str(folder),
                place.metadata_url,
                target_base_url=place.targets_url,
                fetcher=place.fetcher(),
                bootstrap=anchor,
            )
            updater.refresh()
        finally:
            make_durable(folder)
    remember(folder)  # a file that was cut off is no memory to python-tuf
    return updater


def download_targets(
    folder: Path, names: Sequence[str], target_dir: Path, places: Sequence[Places]
) -> list[Path]:
    """Fetch and verify the targets ``names`` into ``target_dir``, all from one of ``places``.

    A bundle is looked up in the list of withdrawals too.

    Raises:
        NotFoundError: a name is not published; VerificationError, TransportError: it cannot be trusted or had.
        RevokedError, QuarantinedError: a bundle is withdrawn; none of ``names`` is fetched then.
    """
    _make_folder(target_dir)
    order, anchor = Order(), _anchor(folder)
    updaters: dict[str, Updater] = {}  # of the place that has the newest state, and of no other

    def refresh(place: Places, _: bool) -> int:  # noqa: FBT001 - the shape that follow_newest wants
        updater = _refreshed(folder, place, anchor)
        updaters.clear()
        updaters[place.base] = updater
        return _version(folder / "timestamp.json")

    def download(place: Places, _: bool) -> list[Path]:  # noqa: FBT001 - the shape that try_each wants
        updater = updaters.pop(place.base, None) or _refreshed(folder, place, anchor)
        with translated_errors():
            return _download_by(updater, folder, names, target_dir, anchor=anchor)

    with locked(folder):
        newest = follow_newest(
            places, refresh, learned=partial(learned_in, folder), limits=FetchLimits(), order=order
        )
        others = [place for place in order.sort(places) if place is not newest]
        return try_each([newest, *others], download, order=order)


def _download_by(
    updater: Updater, folder: Path, names: Sequence[str], target_dir: Path, *, anchor: bytes
) -> list[Path]:
    """Fetch and verify the targets ``names`` from the place that ``updater`` asks, in the state that it has."""
    written = []
    try:
        bundles = {
            pin: info for name in names if (pin := _pin_of(name)) and (info := updater.get_targetinfo(name))
        }
        if bundles:
            _check_not_withdrawn(bundles, _revocations(updater, folder, anchor))
        for name in names:
            info = updater.get_targetinfo(name)
            if info is None:
                raise NotFoundError(f"{name} is not published")
            written.append(_download(updater, info, target_dir))
    finally:
        make_durable(folder)
    return written


def get_release(folder: Path, *, server: Server, pin: str, dest: Path) -> dict[str, Any]:
    """Fetch and verify ``pin`` and unpack it to ``dest/NAME``; return what vouches for it.

    What is yanked is given to whoever names exactly this version; the answer's ``warnings`` say so.

    Raises:
        RevokedError, QuarantinedError: it is withdrawn.
        ConflictError: ``dest/NAME`` exists.
        VerificationError, FormatError, NotFoundError, TransportError: it cannot be trusted or had.
    """
    wanted = Pin.parse(pin)
    client = RepoClient(
        anchor=_anchor(folder),
        server=server,
        metadata_dir=folder,
        store_dir=folder / "store",
    )
    with client.session(datetime.now(UTC)) as session:
        revocations = session.revocations()
        release = session.release(wanted)
    withdrawals = revocations.covering(
        wanted, bundle_sha256=release.bundle.target.sha256, tree_sha256=release.bundle.tree_sha256
    )
    for entry in withdrawals:
        if entry.state is not Withdrawn.YANKED:
            raise refusal(entry, wanted)
    _make_folder(dest)
    with Directory.open(dest) as parent:
        if parent.find(wanted.name) is not None:
            raise ConflictError(f"{dest / wanted.name} exists", hint="remove it, or unpack elsewhere")
        write_tree(parent, wanted.name, release.bundle.bundle, read_only=False)
    return {
        "name": wanted.name,
        "version": wanted.version,
        "path": str(dest / wanted.name),
        "tree_sha256": release.bundle.tree_sha256,
        "bundle_sha256": release.bundle.target.sha256,
        "signers": list(release.bundle.target.signers),
        "reviewers": list(release.review.reviewers),
        "role": release.bundle.target.role,
        "role_version": release.bundle.target.role_version,
        "warnings": [str(refusal(entry, wanted)) for entry in withdrawals],
    }


def _pin_of(name: str) -> Pin | None:
    """Return the release whose bundle the target ``name`` is, or None."""
    parts = name.split("/")
    try:
        pin = Pin.parse(f"{parts[1]}=={parts[2]}")
    except (FormatError, IndexError):
        return None
    return pin if pin.bundle_path == name else None


def _revocations(updater: Updater, folder: Path, anchor: bytes) -> VerifiedRevocations:
    info = updater.get_targetinfo(REVOCATIONS_PATH)
    if info is None or info.length > MAX_LIST_BYTES:
        raise CouldNotVerifyError("there is no list of withdrawals that can be read")
    trusted = trusted_in(folder, anchor=anchor, now=datetime.now(UTC))
    with tempfile.TemporaryDirectory(prefix="skillrepo-client-") as private:
        data = Path(updater.download_target(info, str(Path(private) / "list"))).read_bytes()
    found = verify_revocations(data, target=trusted.vouch(REVOCATIONS_PATH), trusted=trusted)
    remember_withdrawals(folder, found.revocations)
    return found


def _check_not_withdrawn(bundles: Mapping[Pin, TargetFile], revocations: VerifiedRevocations) -> None:
    for pin, info in bundles.items():
        bundle = parse_sha256(info.hashes.get("sha256"), where=info.path)
        tree = parse_sha256((info.custom or {}).get("tree_sha256"), where=info.path)
        for entry in revocations.covering(pin, bundle_sha256=bundle, tree_sha256=tree):
            if entry.state is not Withdrawn.YANKED:
                raise refusal(entry, pin)


def _download(updater: Updater, info: TargetFile, target_dir: Path) -> Path:
    """Download into a private folder, then write: python-tuf opens the name it is given, whatever it is."""
    if "sha256" not in info.hashes:
        raise CouldNotVerifyError(
            f"{info.path} is not named by sha256", hint="other digests are not accepted"
        )
    name = quote(info.path, safe="")  # the file name that the conformance suite looks for
    with tempfile.TemporaryDirectory(prefix="skillrepo-client-") as private:
        downloaded = Path(updater.download_target(info, str(Path(private) / "target")))
        with Directory.open(target_dir.resolve()) as folder:
            folder.write_file(name, downloaded.read_bytes(), mode=0o644)
    return target_dir / name


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HostError(f"cannot make the folder {folder}: {error.strerror}") from error


def _fetcher(*urls: str) -> StrictFetcher:
    return StrictFetcher(frozenset(Origin.of(url) for url in urls), limits=FetchLimits())


def _anchor(folder: Path) -> bytes:
    try:
        return load_anchor(folder / ANCHOR_NAME)
    except NotFoundError as error:
        raise NotFoundError(
            f"{folder} has no trust anchor",
            hint="run skillrepo-client --metadata-dir DIR init ROOT first",
        ) from error


def _version(path: Path) -> int:
    try:
        version = json.loads(path.read_bytes())["signed"]["version"]
    except (OSError, ValueError, KeyError) as error:
        raise FormatError("unreadable", where=path.name) from error
    return int(version)
