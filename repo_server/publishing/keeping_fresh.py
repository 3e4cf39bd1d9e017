"""Renewing the timestamp for ever, and saying early what will expire (edge): ``skillrepo refresh --every 6h``.

    look ─► older than that? sign, write the tree ─► a bucket? bring it up to date ─► what expires soon, what went wrong: tell ─► wait

Any number of hosts may run it on one database: whether it is due is asked in the transaction that signs, and writers stand in
line, so the first signs and the others find nothing to do. None of them is a leader that could be missed. Where the
tree is copied to a bucket, each minute is a look: what others published is to be there soon.

What fails is tried again after a minute, then after two, four, at most thirty; the timestamp lives for a day, so there is time
for somebody to come. They are told at the first failure, and once a day of what goes on.
"""

import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from securesystemslib.signer import Signer

from repo_server.db.session import snapshot
from repo_server.publishing.online import OnlineState
from repo_server.publishing.overview import problems
from repo_server.publishing.refresh import refresh
from repo_server.publishing.spreading import Shelf, spread
from repo_server.repository import Repository
from signing.errors import SkillRepoError

SHORTEST: Final = timedelta(minutes=1)
LONGEST: Final = timedelta(hours=18)  # the timestamp lives for 24, and one failure must not be the end
_RETRY: Final = timedelta(minutes=1)
_RETRY_AT_MOST: Final = timedelta(minutes=30)
_TOLD_EVERY: Final = timedelta(hours=24)
_TELL_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What one look found: whether it signed, what is wrong, and how long to wait for the next."""

    state: OnlineState | None
    problems: tuple[str, ...]
    pause: timedelta
    failed: bool = False


@dataclass(slots=True, kw_only=True)
class Keeper:
    """Looks every so often. ``online`` opens the online key anew each time: it is not kept in memory between."""

    repository: Repository
    online: Callable[[], Signer]
    every: timedelta
    clock: Callable[[], datetime]
    shelf: Callable[[], Shelf] | None = None  # the bucket that the tree is copied to
    _failures: int = 0
    _next_renewal: datetime | None = None
    _told: dict[str, datetime] = field(default_factory=dict)

    def look(self) -> Look:
        """Renew what is due; what goes wrong is part of the answer, and never an end."""
        now, said = self.clock(), "cannot renew the timestamp"
        try:
            state = self._renewed(now)
            if self.shelf is not None:
                said = "cannot bring the bucket up to date"
                spread(self.repository, self.shelf())
            with snapshot(self.repository.engine) as session:
                found = tuple(problems(session, now=now))
        except Exception as error:  # noqa: BLE001 - the next look may succeed; an end would be nobody's renewal
            self._failures += 1
            reason = (
                str(error) if isinstance(error, SkillRepoError) else f"{type(error).__name__}, a bug of ours"
            )
            pause = min(_RETRY * 2 ** min(self._failures - 1, 10), _RETRY_AT_MOST, self.every)
            return Look(state=None, problems=(f"{said}: {reason}",), pause=pause, failed=True)
        self._failures = 0
        return Look(state=state, problems=found, pause=self._pause if self.shelf is None else SHORTEST)

    @property
    def _pause(self) -> timedelta:
        return max(self.every / 6, SHORTEST)

    def _renewed(self, now: datetime) -> OnlineState | None:
        """Renew what is due, as often as without a bucket; a clock that went back makes it due at once."""
        early = self._next_renewal is not None and timedelta(0) < self._next_renewal - now <= self._pause
        if self.shelf is not None and early:
            return None
        state = refresh(self.repository, self.online(), now=now, older_than=self.every)
        self._next_renewal = now + self._pause
        return state

    def news(self, look: Look) -> Iterator[str]:
        """Yield what people have not been told for a day. What is over is forgotten, and told anew when it returns."""
        now = self.clock()
        self._told = {said: at for said, at in self._told.items() if _kind(said) in map(_kind, look.problems)}
        known = {_kind(said): at for said, at in self._told.items()}
        for said in look.problems:
            # A clock that was ahead said it in a time that has not come yet: that is no silence for a year.
            if _kind(said) not in known or not timedelta(0) <= now - known[_kind(said)] < _TOLD_EVERY:
                self._told = {old: at for old, at in self._told.items() if _kind(old) != _kind(said)}
                self._told[said] = now
                yield said


def tell(program: Path, said: tuple[str, ...]) -> str:
    """Give ``said`` to a program, as JSON on its standard input; return what went wrong with that, or nothing."""
    try:
        done = subprocess.run(
            [str(program)],
            input=json.dumps({"service": "skillrepo", "problems": list(said)}).encode(),
            env={"PATH": "/usr/bin:/bin:/usr/local/bin"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_TELL_SECONDS,
            check=False,
            start_new_session=True,
        )
    except subprocess.TimeoutExpired:
        return f"{program} did not end in {_TELL_SECONDS:.0f} seconds"
    except OSError as error:
        return f"cannot run {program}: {error.strerror}"
    return "" if done.returncode == 0 else f"{program} ended with {done.returncode}"


def _kind(said: str) -> str:
    """Return what a problem is about: the reason why it cannot be renewed may be another each time."""
    return said.partition(":")[0]
