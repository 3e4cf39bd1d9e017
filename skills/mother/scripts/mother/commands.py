"""The verbs. Each prints its answers and returns an exit status."""

from __future__ import annotations

import argparse
import shutil
import signal
import threading
from collections.abc import Callable
from pathlib import Path

from mother.env_file import load_secrets
from mother.errors import MotherError, NotAllowedError, NotFoundError, Stopped
from mother.heartbeat import ACTIVE, Pulse, heartbeat
from mother.hive import Hive
from mother.identity import Identity, choose_capabilities, load_identity
from mother.pace import Backoff
from mother.registration import register
from mother.talk import answer
from mother.verdict import Limits
from mother.worker import Worker

LEAST_WAIT = 0.1  # seconds of one claim


def do_identity(options: argparse.Namespace) -> int:
    """Print who this agent is."""
    identity = load_identity(Path.home(), options.lock)
    answer(
        ok=True,
        agent=identity.agent,
        tenant=identity.tenant,
        profile={"name": identity.profile, "version": identity.profile_version},
        layers=[layer.to_json() for layer in identity.layers],
        skills=[skill.to_json() for skill in identity.skills],
        capabilities=sorted(identity.capabilities),
        soul_sha256=identity.soul_sha256,
    )
    return 0


def do_secrets(_: argparse.Namespace) -> int:
    """Print the names of the variables, if the file that holds them is safe."""
    answer(ok=True, names=sorted(load_secrets(Path.home())))
    return 0


def do_register(options: argparse.Namespace) -> int:
    """Register once."""
    hive, identity, capabilities = _prepare(options)
    every = register(hive, identity, capabilities)
    answer(ok=True, agent=identity.agent, capabilities=sorted(capabilities), heartbeat_seconds=every)
    return 0


def do_heartbeat(options: argparse.Namespace) -> int:
    """Send one heartbeat."""
    hive, identity, _ = _prepare(options)
    answer(ok=True, agent=identity.agent, state=heartbeat(hive, identity))
    return 0


def do_poll(options: argparse.Namespace) -> int:
    """Take one job, or one after the other until asked to stop."""
    worker = _prepare_worker(options)
    stop = worker.hive.stop
    backoff = Backoff(stop, first=options.backoff)
    while not stop.is_set():
        try:
            facts = worker.take_one(wait=options.wait)
        except Stopped:
            break
        except MotherError as problem:
            if options.once or not problem.passes:
                raise
            backoff.wait(problem)
            continue
        backoff.reset()
        if facts["outcome"] != "idle" or options.once:
            answer(ok=True, **facts)
        if options.once:
            return NotAllowedError.exit_status if facts["outcome"] in {"refused", "lost"} else 0
    answer(ok=True, outcome="stopped")
    return 0


def do_run(options: argparse.Namespace) -> int:
    """Register, then heartbeat and work until asked to stop. A hive that forgot this agent is told again."""
    worker = _prepare_worker(options)
    stop = worker.hive.stop
    backoff = Backoff(stop, first=options.backoff)
    pulse: Pulse | None = None
    state = ""
    while not stop.is_set():
        try:
            if pulse is None:
                pulse = _register(worker)
            if pulse.beat_if_due(stoppable=True) != state:
                state = pulse.state
                answer(ok=True, event="state", state=state)
            if state == ACTIVE:
                facts = worker.take_one(wait=min(options.wait, max(pulse.left(), LEAST_WAIT)), pulse=pulse)
                if facts["outcome"] != "idle":
                    answer(ok=True, event="job", **facts)
            else:
                stop.wait(pulse.left())
            backoff.reset()
        except Stopped:
            break
        except NotFoundError as problem:
            pulse = None
            backoff.wait(problem)
        except MotherError as problem:
            if not problem.passes:
                raise
            backoff.wait(problem)
    answer(ok=True, event="stopped")
    return 0


COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "identity": do_identity,
    "secrets": do_secrets,
    "register": do_register,
    "heartbeat": do_heartbeat,
    "poll": do_poll,
    "run": do_run,
}


def _register(worker: Worker) -> Pulse:
    every = register(worker.hive, worker.identity, worker.capabilities, stoppable=True)
    answer(ok=True, event="registered", agent=worker.identity.agent, heartbeat_seconds=every)
    return Pulse(worker.hive, worker.identity, every=every)


def _prepare(options: argparse.Namespace) -> tuple[Hive, Identity, frozenset[str]]:
    """Return what every command needs that talks to the hive."""
    identity = load_identity(Path.home(), options.lock)
    capabilities = choose_capabilities(identity, options.capability)
    return Hive(Path.home(), timeout=options.timeout, stop=threading.Event()), identity, capabilities


def _prepare_worker(options: argparse.Namespace) -> Worker:
    """Return the worker for poll and run; signals that ask for an end are turned into a clean one."""
    if shutil.which(options.command[0]) is None:
        raise NotFoundError(f"{options.command[0]!a} is not a command that can be run here")
    hive, identity, capabilities = _prepare(options)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        # When a terminal goes away too: the command has a session of its own and would outlive us. But nohup is obeyed.
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda *_: hive.stop.set())
    # Whoever started us may have it ignored: how a command ended would be lost then, and every one taken for a success.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    limits = Limits(options.time_limit, options.output_limit)
    return Worker(hive, identity, capabilities, options.command, limits)
