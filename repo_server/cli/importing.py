"""`skillrepo import`, `skillrepo search` and `skillrepo export`."""

import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from repo_server.cli.context import clock, open_desk
from repo_server.config import RepositoryConfig
from repo_server.curation.sources import Fetched, Hit, SourceSettings
from repo_server.curation.textsafe import excerpt
from signing.console import Console, console_option
from signing.errors import FormatError, HostError, UsageError
from signing.format.manifest import Kind
from signing.format.names import Pin, parse_skill_name, parse_version


@click.command("import")
@click.argument("source", metavar="PATH|git+URL@COMMIT|SOURCE:ID[@VERSION]")
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
    """Bring a candidate in. It is kept by content and served to nobody until it is reviewed and signed.

    SOURCE is one of those that docs/sources.md describes; `skillrepo search SOURCE QUERY` finds ids.
    """
    from repo_server.attesting.upstream import UpstreamTrust, upstream_facts
    from repo_server.curation.candidates import Origin, find, observations_of
    from repo_server.curation.checks import run_checks
    from repo_server.curation.limits import Limits
    from repo_server.curation.sources import fetch, parse_address
    from repo_server.db.session import snapshot

    address = parse_address(source)
    desk = open_desk(ctx, console)
    settings = _settings(desk.repository.config, console)
    console.note(f"fetching {source}")
    fetched = fetch(address, limits=Limits(), settings=settings, now=clock())
    pin = _pin(fetched, name, version)
    policy = desk.repository.policy
    trust = policy.upstream if policy is not None else UpstreamTrust()
    signed, evidence = upstream_facts(fetched.tree, trust=trust, now=clock())
    origin = Origin(
        source=fetched.source,
        address=fetched.address,
        resolved={**fetched.resolved, **signed},
        publisher=fetched.publisher,
        licence=fetched.licence,
        observations=(*fetched.observations, *evidence),
    )
    document = desk.stage(fetched.tree, pin=pin, kind=Kind(kind), origin=origin, now=clock())
    with snapshot(desk.repository.engine) as session:
        observations = observations_of(find(session, document["candidate"]))
    findings = [*observations, *run_checks(fetched.tree, name=pin.name, strict=False).findings]
    document["files"] = len(fetched.tree.files)
    document["findings"] = [finding.to_json() for finding in findings]
    grave = sum(finding.severity.value == "block" for finding in findings)
    console.answer(
        document,
        f"candidate {document['candidate']}  {pin}  {document['files']} files, {len(findings)} findings"
        f" ({grave} blocking)\nnext: skillrepo review {document['candidate']}",
    )


@click.command()
@click.argument("source", metavar="SOURCE")
@click.argument("query", metavar="QUERY", nargs=-1, required=True)
@click.option("--limit", type=click.IntRange(1, 200), default=20, show_default=True, help="How many at most.")
@console_option
@click.pass_context
def search(ctx: click.Context, source: str, query: Sequence[str], limit: int, console: Console) -> None:
    """Ask a marketplace what it has. Nothing is brought in, and nothing that it says is a promise.

    SOURCE is its name as in addresses, like clawhub or skills-sh.
    """
    from repo_server.curation.limits import Limits
    from repo_server.curation.sources import source_of

    named = ctx.find_root().obj["repo"] is not None  # a repository's settings may name mirrors
    config = open_desk(ctx, console).repository.config if named else RepositoryConfig()
    asked = source_of(source.removesuffix(":"))
    words = " ".join(query)
    hits = asked.search(words, limits=Limits(max_hits=limit), settings=_settings(config, console))[:limit]
    console.answer(
        {"source": asked.scheme, "query": words, "hits": [_described(hit) for hit in hits]},
        "\n".join(_table(hits)) or f"{asked.scheme} finds nothing",
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

    repository = open_desk(ctx, console).repository
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


def _settings(config: RepositoryConfig, console: Console) -> SourceSettings:
    """Return where sources are asked, with word of long downloads going to the terminal."""
    from repo_server.curation.sources import check_bases
    from repo_server.curation.sources.base import GITHUB_VARIABLE, parse_github_token

    check_bases(config.sources)
    token = parse_github_token(os.environ.get(GITHUB_VARIABLE, ""))
    return SourceSettings(bases=config.sources, tell=console.note, github_token=token)


def _described(hit: Hit) -> dict[str, str | Mapping[str, str]]:
    return {
        "address": hit.address,
        "name": hit.name,
        "summary": hit.summary,
        "publisher": hit.publisher,
        "facts": dict(hit.facts),
    }


def _table(hits: Sequence[Hit]) -> list[str]:
    """Return two lines for each hit: what to import, and what upstream says that it is."""
    lines = []
    for hit in hits:
        facts = ", ".join(f"{key} {value}" for key, value in hit.facts.items())
        lines.append(shlex.quote(hit.address) if hit.address else f"{hit.name}  (cannot be addressed)")
        said = "  ".join(word for word in (hit.publisher, facts, excerpt(hit.summary, limit=100)) if word)
        lines.append(f"    {said}")
    return lines


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
