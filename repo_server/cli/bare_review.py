"""`skillrepo review --path` and `--path-list`: checks on bare folders; no repository, no state, no decision."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from repo_server.cli.context import clock
from signing.console import Console
from signing.errors import BlockedError, RejectedError, SkillRepoError
from signing.format.finding import Finding, Severity

if TYPE_CHECKING:
    from repo_server.curation.sources import Fetched
    from signing.format.surface import Surface

_MAX_LINE = 4_000


def review_folder(folder: Path, console: Console, *, html: Path | None, sarif: Path | None, ci: bool) -> None:
    """Check one folder or archive and show what was found.

    Raises:
        RejectedError: it cannot be a skill. BlockedError: with ``ci``, something blocks.
    """
    from repo_server.cli.screens import paged, write_html, write_sarif
    from repo_server.curation.rendering import bare_page, render_terminal
    from repo_server.curation.rendering.words import explained

    fetched, findings, surface = _check(str(folder))
    page = bare_page(fetched, findings, surface)
    if html is not None:
        write_html(html, page)
    if sarif is not None:
        write_sarif(sarif, page)
    document = {
        "path": str(folder),
        "tree_sha256": fetched.tree.digest,
        "findings": [explained(finding) for finding in findings],
        "surface": surface.to_json(),
    }
    if not console.as_json:
        with paged(pager=False) as screen:
            render_terminal(page, screen)
    console.answer(document)
    if ci:
        check_ci(findings)


def review_list(paths: IO[str], console: Console, *, json_lines: bool, ci: bool) -> None:
    """Check every folder or archive that ``paths`` names, one a line; one answer each, in their order.

    Something that cannot be a skill at all is an answer too, with a blocking finding that says so.

    Raises:
        BlockedError: with ``ci``, something blocks.
    """
    answers, blocked = [], []
    for line in paths:
        path = line.rstrip("\r\n")[:_MAX_LINE]
        if not path:
            continue
        answer = check_path(path)
        blocked += [path] if answer["verdict"] == Severity.BLOCK.value else []
        if json_lines:
            click.echo(json.dumps(answer, ensure_ascii=True))
        elif not console.as_json:
            click.echo(
                f"{answer['verdict']:5}  {len(answer['findings']):3} findings  {json.dumps(path)[1:-1]}"
            )
        if not json_lines:
            answers.append(answer)
    if console.as_json and not json_lines:
        console.answer({"skills": answers})
    if ci and blocked:
        raise BlockedError(
            f"{len(blocked)} of them may not pass, first: {blocked[0]}", hint="skillrepo review --path DIR"
        )


def check_path(path: str) -> dict[str, Any]:
    """Return path, verdict and findings of one folder or archive; never raises what our errors can say."""
    from repo_server.curation.rendering.words import explained

    try:
        fetched, findings, _ = _check(path)
    except SkillRepoError as error:
        refused = Finding(
            check=f"import.{error.code}",
            severity=Severity.BLOCK if isinstance(error, RejectedError) else Severity.LOOK,
            path="",
            line=0,
            message=str(error)[:2_000],
        )
        return {
            "path": path,
            "verdict": refused.severity.value,
            "error": error.to_document(),
            "findings": [explained(refused)],
        }
    return {
        "path": path,
        "verdict": _verdict(findings),
        "tree_sha256": fetched.tree.digest,
        "findings": [explained(finding) for finding in findings],
    }


def check_ci(findings: Iterable[Finding]) -> None:
    """Return None when nothing blocks.

    Raises:
        BlockedError: something does; exit status 12.
    """
    blocking = [finding for finding in findings if finding.severity is Severity.BLOCK]
    if blocking:
        first = blocking[0]
        raise BlockedError(
            f"{len(blocking)} blocking finding(s) without a waiver, "
            f"first: {first.check} in {first.path}: {first.message}",
            hint="change the skill, or have a curator waive each finding in writing",
            findings=[finding.id for finding in blocking],
        )


def _check(path: str) -> "tuple[Fetched, list[Finding], Surface]":
    from repo_server.curation.checks import ParsedSkill, report_on, surface_on
    from repo_server.curation.limits import Limits
    from repo_server.curation.sources import SourceSettings, fetch, folder_address

    fetched = fetch(folder_address(path), limits=Limits(), settings=SourceSettings(), now=clock())
    skill = ParsedSkill.of(fetched.tree)
    return fetched, [*fetched.observations, *report_on(skill).findings], surface_on(skill)


def _verdict(findings: Iterable[Finding]) -> str:
    order = list(Severity)
    return min((finding.severity for finding in findings), key=order.index, default=Severity.NOTE).value
