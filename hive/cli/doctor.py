"""`hive doctor`: what is wrong on this host, and how it is mended."""

from collections import Counter

import click

from hive.cli.context import clock, open_client, settings
from hive.cli.gates import open_gates
from hive.doctor.checkup import Outcome, Result, could_not, examine
from signing.console import Console, console_option
from signing.errors import HostError, SkillRepoError


@click.command()
@click.option("--jail-root-base", envvar="HIVE_JAIL_ROOT_BASE", help="Folder of the jails.")
@click.option(
    "--quiet", is_flag=True, help="Say only what is not well; for timers that mail what is printed."
)
@console_option
@click.pass_context
def doctor(ctx: click.Context, jail_root_base: str | None, quiet: bool, console: Console) -> int:
    """Check everything that can be wrong, and say how it is mended. Nothing is changed.

    Ends with 0 when nothing is bad, with 6 otherwise. A check that cannot be made is bad.
    """
    from hive.doctor.all_checks import CHECKS
    from hive.doctor.host import Host

    try:
        config = settings(ctx, jail_root_base=jail_root_base)
    except SkillRepoError as error:
        found: tuple[Result, ...] = (Result(check="settings", said=could_not(error)),)
        not_made = len(CHECKS) - 1
    else:
        host = Host(
            config=config,
            config_file=ctx.find_root().obj["config_file"],
            now=clock(),
            open_client=open_client,
            open_gates=open_gates,
        )
        try:
            found, not_made = examine(CHECKS, host), 0
        finally:
            host.close()
    counts = Counter(result.said.outcome for result in found)
    shown = [result for result in found if not quiet or result.said.outcome is not Outcome.OK]
    sums = {outcome.value: counts[outcome] for outcome in Outcome}
    well = not counts[Outcome.BAD]
    document = {
        "ok": well,
        "counts": sums,
        "not_made": not_made,
        "checks": [result.to_json() for result in shown],
    }
    if not well:
        document["error"] = HostError(f"{counts[Outcome.BAD]} checks are bad").to_document()
    lines = [line for result in shown for line in _lines(result)]
    if not quiet or lines:
        lines.append(", ".join(f"{number} {name}" for name, number in sums.items()))
    if not_made:
        lines.append(f"{not_made} further checks were NOT made: without settings there is nothing to check")
    console.answer(document, "\n".join(lines))
    return 0 if well else HostError.exit_status


def _lines(result: Result) -> list[str]:
    said = result.said
    name = said.outcome.value if said.outcome is Outcome.OK else said.outcome.value.upper()
    lines = [f"{name:5} {result.check:10} {said.says}"]
    return [*lines, f"{'':16} → {said.fix}"] if said.fix else lines
