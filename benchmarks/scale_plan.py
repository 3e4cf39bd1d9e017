"""Ten, a thousand and a hundred thousand jail hosts, on paper: what they ask, what they write, what breaks first.

    python benchmarks/scale_plan.py            the tables of docs/scale.md, as they stand there

Nothing is measured here. `Inputs` holds what was measured and what is assumed, each with where it comes from; change one and
run it again. A test compares the page with what this prints.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, fields

HOSTS = (10, 1_000, 100_000)
DAY = 86_400


def _said(value: float, says: str) -> float:
    found: float = field(default=value, metadata={"says": says})
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What the plan rests on. Bytes, seconds, or counts a day."""

    tenants: float = _said(20, "assumed: tenants of one host")
    skills: float = _said(
        20, "assumed: different skills on one host, as in the profile of the birth benchmark"
    )
    births: float = _said(0.2, "assumed: births a day on one host: each tenant anew every hundred days")
    sweeps: float = _said(288, "default: a sweep every 5 minutes")
    publications: float = _said(20, "assumed: publications a day")
    refresh_requests: float = _said(3, "measured: next root (404), timestamp, list of withdrawals")
    refresh_bytes: float = _said(545, "measured: their bodies, with an empty list of withdrawals")
    withdrawals: float = _said(100, "assumed: entries in the list of withdrawals")
    withdrawal_bytes: float = _said(400, "estimated: one entry of that list")
    snapshot_bytes: float = _said(9_252, "measured: a snapshot with 64 bins")
    review_bytes: float = _said(8_600, "measured: a signed review of a skill of ten files, both signatures")
    birth_bytes: float = _said(
        233_663, "measured: first birth of 20 skills on a host, metadata included, without packages"
    )
    birth_requests: float = _said(79, "measured: of the same")
    package_bytes: float = _said(
        200_000_000, "assumed: packages of one profile, fetched once by each host and version"
    )
    profiles: float = _said(0.2, "assumed: new versions of a profile's packages a day")
    birth_commits: float = _said(59, "measured: transactions of one birth that write")
    birth_records: float = _said(24, "measured: records in the audit log of one birth")
    record_bytes: float = _said(952, "measured: one record")
    sweep_commits: float = _said(2, "measured: transactions that write, of one sweep that finds nothing")
    beat: float = _said(30, "default: seconds between two heartbeats of an agent, or of a host's womb")
    record_seconds: float = _said(
        0.000_27, "measured: processor time that a sweep takes for one record of the log"
    )
    postgres_commits: float = _said(
        438, "reference: durable transactions a second, PostgreSQL, 8 writers, 2 cores"
    )
    nginx_requests: float = _said(44_000, "reference: files of 4 KiB a second, nginx, 2 cores")
    link_bytes: float = _said(125_000_000, "assumed: bytes a second of the origin's line, 1 Gbit/s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What so many hosts come to."""

    hosts: int
    given: Inputs

    @property
    def host_requests(self) -> float:
        """Requests of one host, a day."""
        given = self.given
        each = given.refresh_requests + given.skills  # a sweep asks for each skill's review once
        return given.sweeps * each + given.publications + given.births * given.birth_requests

    @property
    def host_bytes(self) -> float:
        """Bytes that one host fetches without packages, a day."""
        given = self.given
        sweep = given.refresh_bytes + given.withdrawals * given.withdrawal_bytes
        sweep += given.skills * given.review_bytes
        return (
            given.sweeps * sweep
            + given.publications * given.snapshot_bytes
            + given.births * given.birth_bytes
        )

    @property
    def requests(self) -> float:
        """Requests a second, of all."""
        return self.hosts * self.host_requests / DAY

    @property
    def line(self) -> float:
        """Bytes a second of all, with packages."""
        packages = self.given.package_bytes * self.given.profiles
        return self.hosts * (self.host_bytes + packages) / DAY

    @property
    def origin(self) -> float:
        """Requests a second that a cache in front passes on: what must be asked again, each time."""
        # Names with a digest or a version are kept; the timestamp and the missing next root are asked for at the origin.
        return self.hosts * self.given.sweeps * 2 / DAY

    @property
    def commits(self) -> float:
        """Transactions a second at one shared database."""
        given = self.given
        sweeps, births = given.sweeps * given.sweep_commits, given.births * given.birth_commits
        beats = (1 + given.tenants) * DAY / given.beat
        return self.hosts * (sweeps + births + beats) / DAY

    @property
    def records(self) -> float:
        """Records of the audit log, a year."""
        return self.hosts * self.given.births * self.given.birth_records * 365

    @property
    def sweep_seconds(self) -> float:
        """Processor seconds of one sweep for the log alone, after a year."""
        return self.records * self.given.record_seconds


def inputs(given: Inputs) -> Iterator[str]:
    yield "| input | value | where from |"
    yield "|---|---|---|"
    for item in fields(given):
        yield f"| `{item.name}` | {getattr(given, item.name):,.12g} | {item.metadata['says']} |"


def table(given: Inputs) -> Iterator[str]:
    plans = [Plan(hosts=hosts, given=given) for hosts in HOSTS]
    rows = {
        "one host: requests a day": [_short(plan.host_requests) for plan in plans],
        "one host: metadata and skills a day": [_bytes(plan.host_bytes) for plan in plans],
        "all: requests a second": [_short(plan.requests) for plan in plans],
        "… of which a cache in front passes on": [_short(plan.origin) for plan in plans],
        "all: line, with packages": [f"{_bytes(plan.line)}/s" for plan in plans],
        "origin without a cache: share of one nginx": [
            _share(plan.requests, given.nginx_requests) for plan in plans
        ],
        "origin without a cache: share of its line": [_share(plan.line, given.link_bytes) for plan in plans],
        "one database: transactions a second": [_short(plan.commits) for plan in plans],
        "… share of one small PostgreSQL": [_share(plan.commits, given.postgres_commits) for plan in plans],
        "audit log: records a year": [_short(plan.records) for plan in plans],
        "audit log: size after a year": [_bytes(plan.records * given.record_bytes) for plan in plans],
        "reading it in each sweep, after a year": [f"{_short(plan.sweep_seconds)} s" for plan in plans],
    }
    yield "| | " + " | ".join(f"{plan.hosts:,} hosts" for plan in plans) + " |"
    yield "|---|" + "---|" * len(plans)
    yield from (f"| {name} | " + " | ".join(values) + " |" for name, values in rows.items())


def breaks(given: Inputs) -> Iterator[str]:
    """How many hosts each bound bears, the tightest first."""
    one = Plan(hosts=1, given=given)
    bounds = {
        "a sweep reads the whole log: 60 s of processor time after a year": 60 / one.sweep_seconds,
        "one small PostgreSQL, written by all": given.postgres_commits / one.commits,
        "the origin's line, without a cache": given.link_bytes / one.line,
        "one nginx, without a cache": given.nginx_requests / one.requests,
        "one nginx behind a cache": given.nginx_requests / one.origin,
    }
    yield "| bound | hosts |"
    yield "|---|---|"
    for name, hosts in sorted(bounds.items(), key=lambda item: item[1]):
        yield f"| {name} | {_short(hosts)} |"


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def _share(value: float, whole: float) -> str:
    return f"{100 * value / whole:,.0f} %" if value >= whole / 100 else "under 1 %"


def _bytes(value: float) -> str:
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 1000 or unit == "TB":
            return f"{_short(value)} {unit}"
        value /= 1000
    raise AssertionError


def main() -> int:
    given = Inputs()
    for part in (table(given), breaks(given), inputs(given)):
        print("\n".join(part), end="\n\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
