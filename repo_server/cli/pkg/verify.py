"""`skillrepo pkg verify`: is this package repository good?"""

from pathlib import Path
from typing import Any, Final

import click

from repo_server.cli.context import clock
from repo_server.curation.textsafe import excerpt, visible
from signing.console import Console, console_option
from signing.errors import FormatError, RejectedError, UsageError, VerificationError

_MAX_KEY: Final = 1 << 16
_SHOWN: Final = 25


class _Place(click.ParamType[Path | str]):
    """A folder, or a URL as text."""

    name = "PATH|URL"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Path | str:
        """Return what ``value`` names."""
        del param, ctx
        text = str(value)
        return text if text.startswith(("https://", "http://")) else Path(text)


@click.command()
@click.argument("place", metavar="PATH|URL", type=_Place())
@click.option("--fingerprints", type=click.Path(path_type=Path), help="Folder with trusted/ and revoked/.")
@click.option("--pubkey", type=click.Path(path_type=Path), help="The one public key, of a pubkey repository.")
@click.option("--unsigned", is_flag=True, help="Nobody signs it: only look whether it is whole.")
@click.option(
    "--index", "index_file", type=click.Path(path_type=Path), help="Our repo.json, already verified."
)
@click.option(
    "--packages",
    type=click.Choice(["all", "none", "sample"]),
    default="all",
    show_default=True,
    help="Which package files are read; sample reads 50, chosen at random.",
)
@click.option("--files", is_flag=True, help="Also compare every file in a package with its manifest.")
@console_option
def verify(
    place: Path | str,
    fingerprints: Path | None,
    pubkey: Path | None,
    unsigned: bool,
    index_file: Path | None,
    packages: str,
    files: bool,
    console: Console,
) -> None:
    """Check a package repository as a client would, and beyond; say everything that is wrong.

    PATH is the folder that holds meta.conf and data.pkg (of poudriere: what .latest points to). Signatures are checked
    against --fingerprints or --pubkey, which come from where you trust, never from the repository itself.

    Exit: 0 good, 11 not verified, 10 damaged, 5 not reachable.
    """
    from repo_server.pkgrepo.fingerprints import load_anchors
    from repo_server.pkgrepo.reading import open_repository
    from repo_server.pkgrepo.verifying import verify_repository
    from signing.format.pkg.index import MAX_INDEX_BYTES, RepoIndex

    if (fingerprints is not None) + (pubkey is not None) + unsigned != 1:
        raise UsageError("whose signature?", hint="name one of --fingerprints DIR, --pubkey FILE, --unsigned")
    index = RepoIndex.parse(_read(index_file, MAX_INDEX_BYTES)) if index_file is not None else None
    with open_repository(place) as reader:
        verdict = verify_repository(
            reader,
            anchors=load_anchors(fingerprints) if fingerprints is not None else None,
            pubkey=_read(pubkey, _MAX_KEY) if pubkey is not None else None,
            unsigned=unsigned,
            index=index,
            packages=packages,  # type: ignore[arg-type]  # click has checked the words
            files=files,
            now=clock(),
            tell=console.note,
        )
    document = verdict.to_json()
    if verdict.accepted:
        console.answer(document, "\n".join(_lines(document)))
        return
    if not console.as_json:
        click.echo("\n".join(_lines(document)))
    raise (_DamagedError if verdict.malformed_only else _RefusedError)(
        f"{len(verdict.errors)} thing(s) are wrong with {_line(verdict.repository)}",
        verdict=document,
    )


class _RefusedError(VerificationError):
    def to_document(self) -> dict[str, Any]:
        """Return the error with the verdict beside it, as an object and not as text."""
        return _with_verdict(self)


class _DamagedError(FormatError):
    def to_document(self) -> dict[str, Any]:
        """Return the error with the verdict beside it, as an object and not as text."""
        return _with_verdict(self)


def _with_verdict(error: RejectedError) -> dict[str, Any]:
    return {"code": error.code, "message": str(error), "verdict": error.facts["verdict"]}


def _lines(document: dict[str, Any]) -> list[str]:
    facts = document["facts"]
    lines = [f"{'GOOD' if document['accepted'] else 'REFUSED'}  {_line(document['repository'])}"]
    if "index" in facts:
        index = facts["index"]
        lines.append(f"  index      {index['abi']}/{index['channel']} serial {index['serial']}")
    for name, catalogue in facts["catalogues"].items():
        lines.append(f"  {name:15} {catalogue['compression']}, {catalogue['size']} bytes")
        lines += [f"    {_signature(item, catalogue['trusted'])}" for item in catalogue["signatures"]]
        if not catalogue["signatures"]:
            lines.append("    not signed")
    if "packages" in facts:
        lines.append(
            f"  packages   {facts['packages']} for {', '.join(facts['abis'])}; "
            f"{facts.get('packages_read', 0)} read, {facts.get('packages_good', 0)} good"
        )
    if facts.get("files_checked") is not None:
        lines.append(f"  files      {facts['files_checked']} compared with their manifests")
    for problem in document["problems"][:_SHOWN]:
        lines.append(
            f"{problem['severity'].upper()}[{problem['code']}] {_line(problem['where'])}: {_line(problem['message'])}"
        )
        if problem["hint"]:
            lines.append(f"  hint: {_line(problem['hint'])}")
    if (more := len(document["problems"]) - _SHOWN) > 0:
        lines.append(f"and {more} more: --json lists them")
    return lines


def _signature(item: dict[str, Any], trusted: list[str]) -> str:
    if item["fingerprint"] is None:
        return f"{item['kind'] or 'unknown'} signature, {'good' if trusted else 'not good'}"
    worth = "trusted" if item["fingerprint"] in trusted else "not trusted" if item["good"] else "BAD"
    return f"{item['kind'] or 'unknown'} signature by {item['fingerprint']}: {worth}"


def _line(text: str) -> str:
    """Return words from outside as part of one line."""
    return excerpt(visible(text, keep=""), limit=300)


def _read(path: Path, limit: int) -> bytes:
    try:
        with path.open("rb") as stream:
            data = stream.read(limit + 1)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    if len(data) > limit:
        raise FormatError(f"larger than {limit} bytes", where=str(path))
    return data
