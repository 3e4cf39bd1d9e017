"""`hive policy show` and `hive policy allow-unsigned`: whose word the policy of this host is."""

from pathlib import Path

import click
from sqlalchemy import Engine

from hive import policy_memory
from hive.cli.context import clock, open_client, open_database, settings
from hive.config import HiveConfig
from hive.db.session import snapshot, transaction
from hive.policy_file import HostPolicy
from hive.policy_loading import RENEW, load_host_policy, this_host
from signing.console import Console, console_option
from signing.errors import UsageError
from signing.format.moment import render_moment

_SQLITE = "sqlite:///"
_LONGEST = 500


def holding(config: HiveConfig) -> HostPolicy:
    """Return the policy that holds here now, and remember nothing of it.

    Raises:
        SkillRepoError: see `hive.policy_loading.load_host_policy`.
    """
    return load_host_policy(
        config, engine=_known_database(config), open_client=open_client, now=clock(), remembering=False
    )


def _known_database(config: HiveConfig) -> Engine | None:
    """Return the database, None where none is named or made yet: a policy can be tested before the first tenant."""
    if config.db is None:
        return None
    url = config.db_url
    if url.startswith(_SQLITE) and not Path(url.removeprefix(_SQLITE)).exists():
        return None
    return open_database(config)


@click.command("show")
@console_option
@click.pass_context
def show(ctx: click.Context, console: Console) -> None:
    """Show the policy of this host: what it demands, whether it is signed, by whom, and until when.

    A signed one is verified now, as a birth does it; nothing is remembered.
    """
    config, now = settings(ctx), clock()
    found = holding(config)
    engine = _known_database(config)
    demanded = config.policy_signatures_path is not None
    seen = None
    if engine is not None:
        with snapshot(engine) as session:
            seen = policy_memory.load(session, this_host())
    document = {
        "host": this_host(),
        "policy_file": str(config.policy_path) if config.policy_path is not None else None,
        "policy_file_sha256": found.file_sha256,
        "policy_sha256": found.policy.sha256,
        "policy": found.policy.to_json(),
        "demanded": demanded,
        "signed": policy_memory.facts_of(found.signed, found.policy) if found.signed is not None else None,
        "seen_serial": seen.serial if seen is not None else None,
    }
    lines = [
        f"policy    {found.policy.sha256}",
        f"file      {document['policy_file'] or 'none: the floor alone'}",
    ]
    if found.signed is None:
        lines.append("signed    no, and it need not be: the setting policy_signatures demands it")
    else:
        said, signed = found.signed.said, found.signed
        lines += [
            f"signed    by {', '.join(signed.signers)} ({len(signed.signers)} of at least {signed.threshold} operators)",
            f"serial    {said.serial}, for {'every host' if said.host == '*' else said.host}",
            f"until     {render_moment(said.expires_at)}",
        ]
        if said.expires_at - now < RENEW:
            lines.append("          sign it again soon, with a higher serial: skillrepo host-policy sign")
    lines += [f"demands   {key} {value}" for key, value in _demands(found).items()]
    console.answer(document, "\n".join(lines))


def _demands(found: HostPolicy) -> dict[str, str]:
    policy = found.policy
    said = {
        "reviewers": str(policy.reviewers),
        "evidence": f"not older than {int(policy.evidence_life.total_seconds()) // 60} minutes",
        "engines": ", ".join(policy.engines),
        "review policies": ", ".join(sha256[:16] for sha256 in policy.review_policies),
    }
    said |= {f"caps of {tier}": str(caps.to_json()) for tier, caps in sorted(policy.caps.items()) if caps}
    return {key: value for key, value in said.items() if value}


@click.command("allow-unsigned")
@click.option("--reason", required=True, help="Why; it stands in the audit log.")
@click.option("--yes", is_flag=True, help="Do not ask for the serial.")
@console_option
@click.pass_context
def allow_unsigned(ctx: click.Context, reason: str, yes: bool, console: Console) -> None:
    """Let this host go by an unsigned policy again, on record. The settings must not name signatures any more.

    Serials that were seen stay seen: a signed policy that is older than the last is refused also later.
    """
    config = settings(ctx)
    if not reason.strip() or len(reason) > _LONGEST:
        raise UsageError("a reason has to be given, in a few words", hint="--reason TEXT")
    if config.policy_signatures is not None:
        raise UsageError(
            "the settings still name policy_signatures, which demands them",
            hint="take that line out of the settings file first",
        )
    engine = open_database(config)
    if not yes:
        if not console.can_ask():
            raise UsageError("this ends a demand", hint="give --yes when nobody is there to ask")
        with snapshot(engine) as session:
            row = policy_memory.load(session, this_host())
        if click.prompt("type the serial of the policy seen last", err=True) != str(
            row.serial if row else ""
        ):
            raise UsageError("that is not its serial; nothing was changed")
    with transaction(engine) as session:
        serial = policy_memory.allow_unsigned(session, this_host(), reason=reason, now=clock())
    console.answer(
        {"demanded": False, "seen_serial": serial},
        f"this host goes by an unsigned policy again; signed ones up to serial {serial} were seen",
    )
