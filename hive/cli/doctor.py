"""`hive doctor`: what is wrong on this host, and how it is mended."""

import click

from hive.cli.context import clock, open_client, settings
from hive.cli.gates import open_gates
from signing.checkup import Result, could_not, examine, summed_up
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
    text = f"{not_made} further checks were NOT made: without settings there is nothing to check"
    document, said, well = summed_up(found, not_made=text if not_made else "", quiet=quiet)
    console.answer({**document, "not_made": not_made}, said)
    return 0 if well else HostError.exit_status
