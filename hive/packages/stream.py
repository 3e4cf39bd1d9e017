"""Streaming a verified package into a running jail: `pkg add -` reads it from its standard input.

No path, cache, catalogue or network in the jail takes part, and there is no moment between check and use: pkg runs a
package's scripts before it has read the package to its end, so each piece is compared before it is handed over. When one
is not what was verified, the command is killed before it sees the end of its input: what it has is not a package.

What counts is what the host sees: the jail's exact name and number before and after, every byte taken out of the pipe, the
exit status of the host's own process. What is printed is shown to people and otherwise ignored. pkg's scripts run inside
the jail. Never done here: installing from outside into a root that a tenant has owned (reference/freebsd-pkg §1.5).
"""

from hive.packages.admitted_bytes import AdmittedBytes, check_admitted
from hive.packages.commands import CommandLimits, run_command
from hive.packages.receipts import STREAMED, Placed
from hive.packages.running import RunningJail
from signing.errors import HostError, WrongSubjectError


def stream_package(jail: RunningJail, given: AdmittedBytes, *, limits: CommandLimits | None = None) -> Placed:
    """Install an admitted package in ``jail``.

    Raises:
        TypeError: nobody admitted it.
        WrongSubjectError: it was admitted for another tenant than the one whose jail this is.
        DigestMismatchError: the file changed since it was verified; the command was killed before the end.
        HostError: the jail does not run, or is another one now; the command failed, read not all of it, took too long,
            or printed too much.
    """
    check_admitted(given)
    if given.admission.tenant.jail != jail.name:
        raise WrongSubjectError(f"{given.admission.pin} was not admitted for the jail {jail.name}")
    before = jail.number()
    run_command(jail.add_command(), given, limits=limits)
    after = jail.number()
    if after != before:
        raise HostError(
            f"the jail {jail.name} was number {before}, and is number {after} now",
            hint="somebody restarted or replaced it: look at it, then run this again",
        )
    return Placed(way=STREAMED, jail=f"{jail.name} (jid {before})")
