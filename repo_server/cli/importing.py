"""`skillrepo import` and `skillrepo export`."""

from pathlib import Path

import click

from repo_server.cli.context import clock, open_repository
from repo_server.curation.sources import Fetched
from signing.console import Console, console_option
from signing.errors import FormatError, HostError, UsageError
from signing.format.manifest import Kind
from signing.format.names import Pin, parse_skill_name, parse_version


@click.command("import")
@click.argument("source", metavar="PATH|git+URL@COMMIT|clawhub:@OWNER/SLUG[@VERSION]")
@click.option("--name", help="The name to publish under, when it is not the one in the front matter.")
@click.option("--version", "version", help="The version to publish as, when it is not the upstream's.")
@click.option(
    "--kind", type=click.Choice([kind.value for kind in Kind]), default=Kind.SKILL.value, show_default=True
)
@console_option
@click.pass_context
def import_(
    ctx: click.Context, source: str, name: str | None, version: str | None, kind: str, console: Console
) -> None:
    """Bring a candidate in. It is kept by content and served to nobody until it is reviewed and signed."""
    from repo_server.curation.candidates import Origin, stage
    from repo_server.curation.checks import run_checks
    from repo_server.curation.limits import Limits
    from repo_server.curation.examination import describe
    from repo_server.curation.sources import SourceSettings, fetch, parse_address
    from repo_server.db.session import transaction

    repository = open_repository(ctx, console)
    console.note(f"fetching {source}")
    url = repository.config.clawhub_url
    fetched = fetch(
        parse_address(source),
        limits=Limits(),
        settings=SourceSettings(clawhub=url, allow_loopback_http=url.startswith("http://")),
        now=clock(),
    )
    pin = _pin(fetched, name, version)
    origin = Origin(
        source=fetched.source,
        address=fetched.address,
        resolved=fetched.resolved,
        publisher=fetched.publisher,
        licence=fetched.licence,
        observations=fetched.observations,
    )
    with transaction(repository.engine) as session:
        row = stage(repository, session, fetched.tree, pin=pin, kind=Kind(kind), origin=origin, now=clock())
        document = describe(row)
    findings = [*fetched.observations, *run_checks(fetched.tree, name=pin.name, strict=False).findings]
    document["files"] = len(fetched.tree.files)
    document["findings"] = [finding.to_json() for finding in findings]
    grave = sum(finding.severity.value == "block" for finding in findings)
    console.answer(
        document,
        f"candidate {document['candidate']}  {pin}  {document['files']} files, {len(findings)} findings"
        f" ({grave} blocking)\nnext: skillrepo review {document['candidate']}",
    )


@click.command()
@click.argument("candidate", metavar="CANDIDATE|NAME[==VERSION]")
@click.option(
    "--output", required=True, type=click.Path(path_type=Path), help="File to write; it must not exist."
)
@console_option
@click.pass_context
def export(ctx: click.Context, candidate: str, output: Path, console: Console) -> None:
    """Write a candidate's bundle, unsigned and unreviewed, to a file.

    A tenant of the free tier may opt in to such a file at its operator's own risk (hive optin); a paid tenant
    cannot.
    """
    from repo_server.curation.candidates import find, load_tree, pin_of
    from repo_server.db.session import snapshot
    from signing.format.archive import render_bundle
    from signing.format.digest import sha256_of

    repository = open_repository(ctx, console)
    with snapshot(repository.engine) as session:
        row = find(session, candidate)
        bundle = load_tree(repository, row).to_bundle(pin_of(row), Kind(row.kind))
    data = render_bundle(bundle)
    try:
        with output.open("xb") as stream:
            stream.write(data)
    except FileExistsError as error:
        raise UsageError(f"{output} exists", hint="name another file") from error
    except OSError as error:
        raise HostError(f"cannot write {output}: {error.strerror}") from error
    console.answer(
        {"file": str(output), "sha256": sha256_of(data), "tree_sha256": bundle.manifest.tree_digest},
        f"{output}  sha256 {sha256_of(data)}  (unsigned, unreviewed)",
    )


def _pin(fetched: Fetched, name: str | None, version: str | None) -> Pin:
    """Return under which name and version the tree is to be published."""
    from repo_server.curation.frontmatter import read_front_matter

    front, _ = read_front_matter(fetched.tree.skill_md)
    chosen_name = name or front.name
    if not chosen_name:
        raise FormatError("the front matter has no name", where="SKILL.md", hint="give one: --name NAME")
    chosen_version = version or fetched.suggested_version or front.metadata.get("version")
    if not chosen_version:
        raise UsageError(
            "neither the source nor the front matter names a version", hint="give one: --version 1.0"
        )
    try:
        return Pin(parse_skill_name(chosen_name), parse_version(chosen_version))
    except FormatError as error:
        flag = "--version" if error.where == "version" else "--name"
        raise FormatError(error.message, where=error.where, hint=f"choose one of ours: {flag} …") from error
