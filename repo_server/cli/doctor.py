"""`skillrepo doctor`: what is wrong with a repository, and how it is mended."""

import click

from repo_server.cli.context import clock, open_repository
from signing.checkup import Result, could_not, examine, summed_up
from signing.console import Console, console_option
from signing.errors import HostError, SkillRepoError


@click.command()
@click.option(
    "--quiet", is_flag=True, help="Say only what is not well; for timers that mail what is printed."
)
@console_option
@click.pass_context
def doctor(ctx: click.Context, quiet: bool, console: Console) -> int:
    """Check everything that can be wrong with the repository on this machine, and say how it is mended.

    Ends with 0 when nothing is bad, with 6 otherwise. A check that cannot be made is bad.
    """
    from repo_server.doctor.checks import CHECKS, Examined

    not_made = 0
    try:
        repository = open_repository(ctx, console)
    except SkillRepoError as error:
        found: tuple[Result, ...] = (Result(check="repository", said=could_not(error)),)
        not_made = len(CHECKS)
    else:
        found = examine(CHECKS, Examined(repository=repository, now=clock()))
    text = f"{not_made} further checks were NOT made: there is no repository to check"
    document, said, well = summed_up(found, not_made=text if not_made else "", quiet=quiet)
    console.answer({**document, "not_made": not_made}, said)
    return 0 if well else HostError.exit_status
