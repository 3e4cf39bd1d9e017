"""The package site: exactly the paths that pkg and our own provisioner ask for.

    /FreeBSD:14:amd64/latest/meta.conf, data.pkg, …, repo.json   no-cache, dated by the build
    /FreeBSD:14:amd64/latest/All/demo-agent-1.2.1_1.pkg           no-cache
    /FreeBSD:14:amd64/latest/All/Hashed/demo-1.0~2$6uyuqndw.pkg   immutable
    /by-sha256/5d….pkg                                            immutable
    /fingerprints/FreeBSD:14:amd64/latest/trusted/…, /vuln.xml    no-cache, for everybody

A repository is a link to one of its serials. It is read once for each request, must be spelled exactly as the publisher
spells it, and everything behind it is opened through handles: no other link is followed anywhere.

Only catalogue files and the advisories answer "not modified since": those are what pkg asks that about, and their
times are the publisher's (`repo_server.pkgrepo.published`). A package has the time of its upload, which says nothing.
"""

import enum
import mmap
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from flask import Response, request
from werkzeug.http import http_date

from repo_server.desk.problems import TooManyRequestsError
from repo_server.pkgrepo.places import BY_SHA256, FINGERPRINTS, SERIALS, VULNERABILITIES, serial_of_link
from repo_server.tokens import PULL_PKG, Grant, Scope
from repo_server.web.answering import IMMUTABLE, REVALIDATE, Caching, changing_tag
from repo_server.web.files import answer_file
from repo_server.web.pkg_guard import PullGuard, refused
from repo_server.web.tree import (
    NOTHING_HERE,
    PublishedFile,
    link_below,
    open_below,
    opened_root,
    parse_tree_path,
)
from signing.errors import FormatError, NotEntitledError, NotFoundError, PolicyError
from signing.format.pkg.index import CATALOGUE_NAMES
from signing.format.pkg.names import INDEX_NAME, PackageRepo

_BLOB: Final = re.compile(r"([0-9a-f]{64})\.pkg", re.ASCII)
_HASHED: Final = re.compile(r"(?:[^/]+/)*Hashed/[^/]+~[^/]+\.pkg", re.ASCII)
_ANCHOR: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*", re.ASCII)
_SECONDS: Final = 10**9


class Kind(enum.Enum):
    """What a path of the package site is."""

    REPOSITORY = "repository"  # a file of one serial
    BLOB = "blob"  # a package by its digest
    PUBLIC = "public"  # for everybody, whatever the access


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What a path names: its kind, the repository (of a fingerprint too), and the rest of the path."""

    kind: Kind
    parts: tuple[str, ...]
    repo: PackageRepo | None = None

    @property
    def name(self) -> str:
        """The path inside the repository, or the whole path where there is none."""
        return "/".join(self.parts)


def parse_place(path: str) -> Place:
    """Return what ``path``, percent-decoded and without its leading slash, names.

    Raises:
        NotFoundError: nothing is ever published there. Serials have no addresses of their own.
    """
    match parse_tree_path(path):
        case (name,) if name == VULNERABILITIES:
            return Place(kind=Kind.PUBLIC, parts=(name,))
        case (folder, name) if folder == BY_SHA256 and _BLOB.fullmatch(name):
            return Place(kind=Kind.BLOB, parts=(folder, name))
        case (folder, abi, channel, ("trusted" | "revoked") as state, name) if (
            folder == FINGERPRINTS and _ANCHOR.fullmatch(name)
        ):
            repo = _repo(abi, channel)
            return Place(kind=Kind.PUBLIC, parts=(folder, repo.abi, repo.channel, state, name))
        case (abi, channel, *rest) if rest:
            return Place(kind=Kind.REPOSITORY, parts=tuple(rest), repo=_repo(abi, channel))
    raise NotFoundError(NOTHING_HERE)


class PkgSite:
    """Answers for one published tree; ``guard`` says who may fetch packages, None means everybody."""

    def __init__(self, root: Path, guard: PullGuard | None = None) -> None:
        self._root, self._guard = root, guard

    def answer(self, path: str) -> Response:
        """Return the answer to the present request, which is for ``path``.

        Raises:
            NotFoundError: there is no such file; a link other than a repository's is none.
        """
        place = parse_place(path)
        grant = None
        with opened_root(self._root) as root:
            if self._guard is not None and place.kind is not Kind.PUBLIC:
                try:
                    grant = self._guard.admit(request.headers.get("Authorization"), request.remote_addr or "")
                    _check_entitled(root, grant, place)
                except (PolicyError, TooManyRequestsError) as error:
                    return refused(error)
            file = _open(root, place)
        response = answer_file(path, file, caching_of(place, file, private=grant is not None))
        if grant is not None:
            response.headers["Vary"] = "Authorization"
        return response


def caching_of(place: Place, file: PublishedFile, *, private: bool = False) -> Caching:
    """Return what the answer with ``file`` says to whoever keeps it; ``private`` is for one client, not for caches."""
    blob = _BLOB.fullmatch(place.parts[-1]) if place.kind is Kind.BLOB else None
    frozen = blob is not None or (place.kind is Kind.REPOSITORY and _HASHED.fullmatch(place.name) is not None)
    control = IMMUTABLE if frozen else REVALIDATE
    if private:
        control = IMMUTABLE.replace("public", "private") if frozen else f"private, {REVALIDATE}"
    dated = place.name == VULNERABILITIES or (
        place.kind is Kind.REPOSITORY and place.name in {*CATALOGUE_NAMES, INDEX_NAME}
    )
    return Caching(
        tag=blob[1] if blob is not None else changing_tag(file),
        control=control,
        modified=http_date(file.modified_ns // _SECONDS) if dated else None,
    )


def _repo(abi: str, channel: str) -> PackageRepo:
    try:
        return PackageRepo.parse(f"{abi}/{channel}")
    except FormatError as error:
        raise NotFoundError(NOTHING_HERE) from error


def _open(root: int, place: Place) -> PublishedFile:
    if place.kind is Kind.REPOSITORY and place.repo is not None:
        return open_below(root, (*_serial_parts(root, place.repo), *place.parts))
    return open_below(root, place.parts)


def _serial_parts(root: int, repo: PackageRepo) -> tuple[str, ...]:
    """Return where the served serial of ``repo`` is: the one link that is read, and by its words only."""
    serial = serial_of_link(repo, link_below(root, (repo.abi, repo.channel)))
    if serial is None:
        raise NotFoundError(NOTHING_HERE)
    return (SERIALS, repo.abi, repo.channel, str(serial))


def _check_entitled(root: int, grant: Grant, place: Place) -> None:
    """Return None when ``grant`` is good for what is asked for.

    Raises:
        NotEntitledError: it is not. A digest counts as part of the repository whose served index names it.
    """
    if place.repo is not None:
        grant.require(Scope.parse(f"{PULL_PKG}:{place.repo}"))
        return
    kind, _, repo = grant.scope.text.partition(":")
    if kind == PULL_PKG and _is_named(root, PackageRepo.parse(repo), place.parts[-1].removesuffix(".pkg")):
        return
    raise NotEntitledError(f"the token {grant.id} is not good for this package")


def _is_named(root: int, repo: PackageRepo, digest: str) -> bool:
    try:
        file = open_below(root, (*_serial_parts(root, repo), INDEX_NAME))
    except NotFoundError:
        return False
    # An index is canonical JSON: inside of a string every quote has a backslash, so these bytes are a member.
    with file, mmap.mmap(file.descriptor, 0, access=mmap.ACCESS_READ) as index:
        return index.find(f'"sha256":"{digest}"'.encode()) >= 0
