#!/usr/bin/env python3
"""The first routine of an agent in its jail: identity, secrets, registration, heartbeat, work.

    mother.py identity                        who I am, from SOUL.md and the lock record
    mother.py secrets                         is my environment file whole and mine alone? names only
    mother.py register                        tell the hive what I can do
    mother.py heartbeat                       tell the hive that I live; learn whether I may work
    mother.py poll [--once] -- COMMAND ...    claim a job, run COMMAND with it, answer
    mother.py run -- COMMAND ...              all of it, until SIGTERM

Answers are JSON objects, one a line, on stdout; conversation is on stderr. Exit status: 0 done, 2 usage,
3 not found, 5 unreachable, 7 secret not available, 10 malformed, 11 not verified, 12 not allowed, 1 a bug here.

What is promised: the token leaves this program in one request header and nowhere else; no redirect is
followed and no proxy used; every wait, every answer and every output has a limit; once a lease is lost the
command is killed and nothing more is said about that job. Python 3.9 or newer, standard library only.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import http.client
import ipaddress
import json
import math
import os
import queue
import random
import re
import shutil
import signal
import socket
import ssl
import stat
import subprocess
import sys
import threading
import time
import traceback
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

LOCK_RECORD = Path("/var/db/clawdie/lock.json")
IDENTITY_NAME = "SOUL.md"
MAX_LOCAL_FILE = 1 << 20  # bytes; a lock record of a large profile is a tenth of this
MAX_ANSWER = 1 << 20  # bytes of one answer of the hive
MAX_SECRETS_FILE = 1 << 16  # bytes
MINE_ALONE = 0o600
REPORT_TRIES = 5
BACKOFF_FIRST, BACKOFF_MOST = 1.0, 60.0  # seconds
GRACE = 2.0  # seconds between SIGTERM and SIGKILL for a command that is asked to stop
TICK = 0.02  # seconds between two looks at a running command

TENANT = re.compile(r"[a-z][a-z0-9]{0,14}", re.ASCII)
LABEL = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*", re.ASCII)
CAPABILITY = re.compile(r"[a-z][a-z0-9]*(?:[.-][a-z0-9]+)*", re.ASCII)
VERSION = re.compile(r"[0-9][0-9A-Za-z.!+-]{0,63}", re.ASCII)
SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
JOB_ID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*", re.ASCII)


# --- errors: each class is one exit status -------------------------------------------------------------------


class MotherError(Exception):
    """What went wrong, and in `hint` what to do next. Neither ever holds the value of a secret."""

    code, exit_status = "bug", 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(MotherError):
    """The command line cannot be understood."""

    code, exit_status = "usage", 2


class NotFoundError(MotherError):
    """A file, a command or a thing at the hive is not there."""

    code, exit_status = "not-found", 3


class UnreachableError(MotherError):
    """The hive did not give a whole answer in time."""

    code, exit_status = "unreachable", 5


class SecretError(MotherError):
    """The environment file is missing, unsafe or incomplete."""

    code, exit_status = "secret-not-available", 7


class MalformedError(MotherError):
    """A file or an answer is not in its one accepted form."""

    code, exit_status = "malformed", 10


class NotVerifiedError(MotherError):
    """A digest or a certificate does not vouch for what was found."""

    code, exit_status = "not-verified", 11


class NotAllowedError(MotherError):
    """Understood, and refused: by the hive or by this program."""

    code, exit_status = "not-allowed", 12


class LeaseLostError(NotAllowedError):
    """Status 409: the job belongs to somebody else by now."""

    code = "lease-lost"


class Stopped(Exception):  # noqa: N818 - not an error: somebody asked us to end
    """SIGTERM or SIGINT arrived during a wait that may be cut short."""


def say(message: str) -> None:
    """Write one line of conversation to stderr."""
    print(f"mother: {message}", file=sys.stderr, flush=True)


def answer(**facts: Any) -> None:
    """Write one JSON object to stdout."""
    print(json.dumps(facts, sort_keys=True, allow_nan=False), flush=True)


# --- reading with limits -------------------------------------------------------------------------------------


def read_regular(path: Path, *, limit: int, error: type[MotherError]) -> tuple[bytes, os.stat_result]:
    """Return the bytes of a regular file and the facts of the very handle they were read from.

    A link is not followed and a FIFO is not waited for.

    Raises:
        MotherError: of class ``error``, for anything but a readable regular file within ``limit`` bytes.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as problem:
        message = f"{path.name} cannot be opened in {path.parent}: {os.strerror(problem.errno or 0)}"
        raise error(message, hint="ask the operator; a link is refused too") from None
    with open(handle, "rb") as file:  # noqa: PTH123 - the handle that was opened, not the path again
        facts = os.fstat(handle)
        if not stat.S_ISREG(facts.st_mode):
            raise error(f"{path.name} is not a regular file", hint="ask the operator")
        data = file.read(limit + 1)
    if len(data) > limit:
        raise error(f"{path.name} is longer than {limit} bytes", hint="ask the operator")
    return data, facts


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = dict(pairs)
    if len(names) != len(pairs):
        raise ValueError("a name is given twice")
    return names


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is out of range")
    return number


def parse_object(data: bytes, *, what: str) -> dict[str, Any]:
    """Return the JSON object in ``data``; doubled names, NaN and other generosities are refused."""
    try:
        value = json.loads(
            data.decode("utf-8"), object_pairs_hook=_unique, parse_float=_finite, parse_constant=_finite
        )
    except (ValueError, RecursionError):
        raise MalformedError(f"{what} is not strict JSON") from None
    if not isinstance(value, dict):
        raise MalformedError(f"{what} is not a JSON object")
    return value


def text_field(record: dict[str, Any], name: str, form: re.Pattern[str], *, what: str) -> str:
    """Return a string of ``record`` that has exactly the form given."""
    value = record.get(name)
    if not isinstance(value, str) or len(value) > 64 or not form.fullmatch(value):  # noqa: PLR2004
        raise MalformedError(f"{what}: {name!r} is missing or not in its accepted form")
    return value


def list_field(record: dict[str, Any], name: str, *, what: str) -> list[Any]:
    """Return a list of ``record``."""
    value = record.get(name)
    if not isinstance(value, list):
        raise MalformedError(f"{what}: {name!r} is missing or not a list")
    return value


def labels_field(record: dict[str, Any], name: str, *, what: str) -> frozenset[str]:
    """Return a list of capability names as a set."""
    return frozenset(
        text_field({name: item}, name, CAPABILITY, what=what) for item in list_field(record, name, what=what)
    )


def seconds_field(record: dict[str, Any], name: str, *, what: str) -> float:
    """Return a number of seconds above zero and up to one day."""
    value = record.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= 86_400:  # noqa: PLR2004
        raise MalformedError(f"{what}: {name!r} is not a number of seconds")
    return float(value)


# --- who I am ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Artefact:
    """One skill or identity layer as the lock names it."""

    name: str
    version: str
    tree_sha256: str


@dataclass(frozen=True)
class Identity:
    """What the lock record and SOUL.md say about this agent."""

    agent: str
    tenant: str
    profile: str
    profile_version: str
    layers: tuple[Artefact, ...]
    skills: tuple[Artefact, ...]
    capabilities: frozenset[str]
    soul_sha256: str


def parse_artefacts(record: dict[str, Any], name: str) -> tuple[Artefact, ...]:
    """Return the ``name`` list of a lock record, in its order."""
    found: list[Artefact] = []
    for position, item in enumerate(list_field(record, name, what="lock record")):
        what = f"lock record, {name}[{position}]"
        if not isinstance(item, dict):
            raise MalformedError(f"{what} is not an object")
        found.append(
            Artefact(
                text_field(item, "name", LABEL, what=what),
                text_field(item, "version", VERSION, what=what),
                text_field(item, "tree_sha256", SHA256, what=what),
            )
        )
    return tuple(found)


def load_identity(home: Path, lock: Path) -> Identity:
    """Read SOUL.md and the lock record, and hold one against the other.

    Raises:
        NotFoundError: one of the two files is missing or is not a regular file.
        MalformedError: the lock record is not in its form.
        NotVerifiedError: SOUL.md is not the text that the lock record names.
    """
    soul, _ = read_regular(home / IDENTITY_NAME, limit=MAX_LOCAL_FILE, error=NotFoundError)
    data, _ = read_regular(lock, limit=MAX_LOCAL_FILE, error=NotFoundError)
    record = parse_object(data, what="lock record")
    soul_sha256 = hashlib.sha256(soul).hexdigest()
    if (
        "soul_sha256" in record
        and text_field(record, "soul_sha256", SHA256, what="lock record") != soul_sha256
    ):
        raise NotVerifiedError(
            f"{IDENTITY_NAME} is not the text that the lock record names",
            hint="do no work; tell the operator that this jail has drifted from its lock",
        )
    profile = record.get("profile")
    if not isinstance(profile, dict):
        raise MalformedError("lock record: 'profile' is missing or not an object")
    tenant = text_field(record, "tenant", TENANT, what="lock record")
    return Identity(
        agent=text_field(record, "agent", TENANT, what="lock record") if "agent" in record else tenant,
        tenant=tenant,
        profile=text_field(profile, "name", LABEL, what="lock record, profile"),
        profile_version=text_field(profile, "version", VERSION, what="lock record, profile"),
        layers=parse_artefacts(record, "layers"),
        skills=parse_artefacts(record, "skills"),
        capabilities=labels_field(record, "capabilities", what="lock record"),
        soul_sha256=soul_sha256,
    )


def choose_capabilities(identity: Identity, wanted: list[str]) -> frozenset[str]:
    """Return what this agent offers: all that the lock grants, or the part asked for.

    Raises:
        NotAllowedError: something is asked for that the lock does not grant.
    """
    beyond = sorted(set(wanted) - identity.capabilities)
    if beyond:
        raise NotAllowedError(
            f"the lock does not grant: {', '.join(map(repr, beyond))}",
            hint="capabilities come with the profile; ask the operator to change it",
        )
    return frozenset(wanted) if wanted else identity.capabilities


# --- secrets: checked where they lie; names may be shown, values may not -------------------------------------

SECRETS_NAME = ".env"
URL_NAME, BEARER_NAME = "HIVE_URL", "HIVE_TOKEN"
_BARE = re.compile(r"[A-Za-z0-9_./:@%+,=~^-]*", re.ASCII)
_SINGLE = re.compile(r"'([^'\x00-\x1f\x7f]*)'")
_DOUBLE = re.compile(r'"((?:[^"\\$`\x00-\x1f\x7f]|\\["\\$`])*)"')
_BEARER = re.compile(r"[\x21-\x7e]{1,1024}", re.ASCII)


def parse_value(text: str) -> str | None:
    """Return the value written as ``text``, or None if it is in none of the three accepted forms.

    Bare text of harmless characters, 'single quotes' with no escapes, or "double quotes" with only the escapes
    that a POSIX shell knows there. All three mean the same to a shell and to this program.
    """
    if _BARE.fullmatch(text):
        return text
    if single := _SINGLE.fullmatch(text):
        return single.group(1)
    if double := _DOUBLE.fullmatch(text):
        return re.sub(r"\\(.)", r"\1", double.group(1))
    return None


def parse_variables(data: bytes) -> dict[str, str]:
    """Return the variables of an environment file in the strict form.

    Every line is empty, a comment that starts with '#', or NAME=VALUE; the last line ends too (a file cut
    short is refused). Errors name the line by number only, because its text may be a secret.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise MalformedError(f"{SECRETS_NAME} is not UTF-8 text") from None
    if text and not text.endswith("\n"):
        raise MalformedError(
            f"the last line of {SECRETS_NAME} does not end", hint="it may be cut short; ask the operator"
        )
    found: dict[str, str] = {}
    for number, line in enumerate(text.split("\n")[:-1], start=1):
        if not line or line.startswith("#"):
            continue
        name, equals, written = line.partition("=")
        value = parse_value(written)
        if not equals or not VARIABLE.fullmatch(name) or value is None or name in found:
            raise MalformedError(
                f"line {number} of {SECRETS_NAME} is not in the strict form NAME=VALUE, or repeats a name",
                hint="ask the operator to provision again; do not repair it by hand",
            )
        found[name] = value
    return found


def load_secrets(home: Path) -> dict[str, str]:
    """Return the variables, if the file is safe: regular, mode 0600, mine, one link, strict, complete.

    Raises:
        SecretError: the file is missing, unsafe or lacks a needed name.
        MalformedError: it is not in the strict form.
    """
    data, facts = read_regular(home / SECRETS_NAME, limit=MAX_SECRETS_FILE, error=SecretError)
    mode = stat.S_IMODE(facts.st_mode)
    unsafe = (
        [f"its mode is {mode:04o}, not 0600"] * (mode != MINE_ALONE)
        + ["it belongs to another user"] * (facts.st_uid != os.geteuid())
        + ["it has more than one name (hard links)"] * (facts.st_nlink != 1)
    )
    if unsafe:
        raise SecretError(
            f"{SECRETS_NAME} is not safe: {'; '.join(unsafe)}",
            hint="treat its secrets as seen by others; ask the operator to rotate them",
        )
    variables = parse_variables(data)
    missing = [name for name in (URL_NAME, BEARER_NAME) if not variables.get(name)]
    if missing:
        raise SecretError(
            f"{SECRETS_NAME} lacks {' and '.join(missing)}", hint="ask the operator to provision again"
        )
    if not _BEARER.fullmatch(variables[BEARER_NAME]):
        raise MalformedError(f"{BEARER_NAME} holds characters that cannot stand in a header")
    parse_endpoint(variables[URL_NAME])
    return variables


@dataclass(frozen=True)
class Endpoint:
    """Where the hive listens: `base` for requests, and `socket_path` when that is a Unix socket."""

    base: str
    socket_path: str = ""


def parse_endpoint(text: str) -> Endpoint:
    """Return the endpoint written as an https address, as http to a loopback address, or as unix:/PATH.

    Raises:
        MalformedError: another spelling.
        NotAllowedError: plain http to a machine that is not this one.
    """
    bad = MalformedError(
        f"{URL_NAME} is neither an https address, nor http to a loopback address, nor unix:/PATH"
    )
    if not re.fullmatch(r"[\x21-\x7e]{1,512}", text):
        raise bad
    if text.startswith("unix:"):
        path = text[len("unix:") :]
        if not path.startswith("/") or len(path) > 100 or ".." in path.split("/"):  # noqa: PLR2004 - sun_path is 104
            raise bad
        return Endpoint("http://localhost", path)
    try:
        parts = urllib.parse.urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise bad from None
    if (
        parts.scheme not in {"http", "https"}
        or not host
        or parts.query
        or parts.fragment
        or "@" in parts.netloc
        or port == 0
    ):
        raise bad
    if parts.scheme == "http" and not is_loopback(host):
        raise NotAllowedError(
            f"{URL_NAME} is plain http to another machine", hint="ask the operator for an https address"
        )
    return Endpoint(text.rstrip("/"))


def is_loopback(host: str) -> bool:
    """Say whether ``host`` is written as this machine itself."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


# --- one request to the hive ---------------------------------------------------------------------------------


class _Handler(urllib.request.AbstractHTTPHandler):
    """Opens http, https and Unix-socket connections, and remembers the socket so that a wait can be cut."""

    def __init__(self, socket_path: str) -> None:
        super().__init__()
        self.socket_path = socket_path
        self.socket: socket.socket | None = None

    def _remember(self, connection: http.client.HTTPConnection) -> http.client.HTTPConnection:
        connect = connection.connect

        def connect_and_remember() -> None:
            if self.socket_path:
                connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                connection.sock.settimeout(connection.timeout)
                connection.sock.connect(self.socket_path)
            else:
                connect()
            self.socket = connection.sock

        connection.connect = connect_and_remember  # type: ignore[method-assign]
        return connection

    def http_open(self, request: urllib.request.Request) -> Any:
        return self.do_open(
            lambda host, **more: self._remember(http.client.HTTPConnection(host, **more)), request
        )

    def https_open(self, request: urllib.request.Request) -> Any:
        context = ssl.create_default_context()
        return self.do_open(
            lambda host, **more: self._remember(http.client.HTTPSConnection(host, context=context, **more)),
            request,
        )

    def cut(self) -> None:
        if self.socket is not None:
            with contextlib.suppress(OSError):
                self.socket.shutdown(socket.SHUT_RDWR)


def exchange(
    handler: _Handler, request: urllib.request.Request, *, timeout: float, deadline: float
) -> tuple[int, bytes]:
    """Send the request and return status and body.

    The opener is built by hand: no redirect handler, so a redirect is an answer like any other and its target
    is never asked; no proxy handler, so variables in the environment cannot send the token elsewhere.
    """
    opener = urllib.request.OpenerDirector()
    opener.add_handler(handler)
    try:
        with opener.open(request, timeout=timeout) as response:
            body = bytearray()
            while chunk := response.read1(1 << 16):
                body += chunk
                if len(body) > MAX_ANSWER:
                    raise MalformedError(f"the hive's answer is longer than {MAX_ANSWER} bytes")
                if time.monotonic() > deadline:
                    raise UnreachableError("the hive did not finish its answer in time")
            return response.status, bytes(body)
    except (OSError, http.client.IncompleteRead) as problem:
        reason = getattr(problem, "reason", problem)
        if isinstance(reason, ssl.SSLCertVerificationError):
            raise NotVerifiedError(
                "the hive's certificate is not one we trust", hint="tell the operator"
            ) from None
        # The class of the problem only: a library's own message may quote what it was given.
        raise UnreachableError(f"the hive did not answer ({type(reason).__name__})") from None
    except (http.client.HTTPException, ValueError):
        raise MalformedError("the hive's answer is not HTTP") from None


def interpret(status: int, body: bytes) -> dict[str, Any] | None:
    """Return the object that the hive answered, or None for 204; raise for everything else."""
    if status == 200:  # noqa: PLR2004
        return parse_object(body, what="the hive's answer")
    if status == 204:  # noqa: PLR2004
        return None
    message = f"the hive answered with status {status}"
    if status == 409:  # noqa: PLR2004
        raise LeaseLostError(message)
    if 300 <= status < 400:  # noqa: PLR2004
        raise NotAllowedError(
            f"{message}: redirects are not followed", hint=f"the operator should correct {URL_NAME}"
        )
    if status in {401, 403}:
        raise NotAllowedError(message, hint="this agent is not admitted; ask the operator")
    if status == 404:  # noqa: PLR2004
        raise NotFoundError(message, hint="the agent may have to register first")
    if status == 429 or status >= 500:  # noqa: PLR2004
        raise UnreachableError(message)
    raise MalformedError(message)


class Hive:
    """The hive API. Secrets are read again for each request: a rotated token is used, a withdrawn one ends work."""

    def __init__(self, home: Path, *, timeout: float, stop: threading.Event) -> None:
        self.home, self.timeout, self.stop = home, timeout, stop

    def call(
        self,
        path: str,
        body: dict[str, Any],
        *,
        wait: float = 0.0,
        timeout: float = 0.0,
        stoppable: bool = False,
    ) -> dict[str, Any] | None:
        """POST ``body`` and return the answer within ``wait`` plus the time limit, whatever the peer does.

        The exchange runs in a thread of its own, because no socket option limits a slow name server, a slow
        handshake and a peer that sends one byte at a time together.

        Raises:
            MotherError: see `interpret` and `exchange`.
            Stopped: ``stoppable`` and the stop signal came first.
        """
        variables = load_secrets(self.home)
        endpoint = parse_endpoint(variables[URL_NAME])
        request = urllib.request.Request(  # noqa: S310 - parse_endpoint let only http and https through
            endpoint.base + path,
            data=json.dumps(body, allow_nan=False).encode(),
            headers={"Content-Type": "application/json", "Accept": "application/json"},
            method="POST",
        )
        request.add_unredirected_header("Authorization", "Bearer " + variables[BEARER_NAME])
        limit = wait + (timeout or self.timeout)
        deadline = time.monotonic() + limit
        handler = _Handler(endpoint.socket_path)
        outcome: queue.Queue[Any] = queue.Queue(1)

        def work() -> None:
            try:
                outcome.put(exchange(handler, request, timeout=limit, deadline=deadline))
            except Exception as problem:  # noqa: BLE001 - carried to the waiting thread and raised there
                outcome.put(problem)

        threading.Thread(target=work, daemon=True).start()
        try:
            result = self._await(outcome, deadline, stoppable=stoppable)
        finally:
            handler.cut()
        if isinstance(result, Exception):
            raise result
        return interpret(*result)

    def _await(self, outcome: queue.Queue[Any], deadline: float, *, stoppable: bool) -> Any:
        while (left := deadline - time.monotonic()) > 0:
            if stoppable and self.stop.is_set():
                raise Stopped
            with contextlib.suppress(queue.Empty):
                return outcome.get(timeout=min(left, 0.1))
        raise UnreachableError("the hive did not answer in time")


# --- what the hive is asked ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Job:
    """One claimed job. `fence` is the number that proves whose lease it is."""

    id: str
    kind: str
    needs: frozenset[str]
    payload: Any
    lease_seconds: float
    fence: int


def register(hive: Hive, identity: Identity, capabilities: frozenset[str]) -> float:
    """Register and return the number of seconds between two heartbeats."""
    skills = [{"name": s.name, "version": s.version, "tree_sha256": s.tree_sha256} for s in identity.skills]
    reply = hive.call(
        "/v1/agents/register",
        {
            "agent": identity.agent,
            "tenant": identity.tenant,
            "capabilities": sorted(capabilities),
            "skills": skills,
        },
    )
    what = "the answer to register"
    if reply is None or reply.get("agent") != identity.agent:
        raise MalformedError(f"{what} names another agent")
    return seconds_field(reply, "heartbeat_seconds", what=what)


def heartbeat(hive: Hive, identity: Identity) -> str:
    """Say that this agent lives, and return its state: ``active`` or ``quarantined``."""
    state = (hive.call("/v1/agents/heartbeat", {"agent": identity.agent}) or {}).get("state")
    if state not in {"active", "quarantined"}:
        raise MalformedError("the answer to heartbeat names no known state")
    return str(state)


def claim(hive: Hive, identity: Identity, capabilities: frozenset[str], *, wait: float) -> Job | None:
    """Ask for one job, wait up to ``wait`` seconds for it, and return it or None."""
    body = {"agent": identity.agent, "capabilities": sorted(capabilities), "wait_seconds": round(wait, 3)}
    reply = hive.call("/v1/jobs/claim", body, wait=wait, stoppable=True)
    return None if reply is None else parse_job(reply.get("job"))


def parse_job(job: Any) -> Job:
    """Return the job that the hive gave out.

    Raises:
        MalformedError: it is not in its form; nothing of it is used then, least of all its id in a path.
    """
    what = "the claimed job"
    if not isinstance(job, dict) or "payload" not in job:
        raise MalformedError(f"{what} is not an object with a payload")
    fence = job.get("fence")
    if isinstance(fence, bool) or not isinstance(fence, int) or fence < 1:
        raise MalformedError(f"{what}: 'fence' is not a whole number above zero")
    return Job(
        id=text_field(job, "id", JOB_ID, what=what),
        kind=text_field(job, "kind", LABEL, what=what),
        needs=labels_field(job, "needs", what=what),
        payload=job["payload"],
        lease_seconds=seconds_field(job, "lease_seconds", what=what),
        fence=fence,
    )


# --- one command at work -------------------------------------------------------------------------------------


class Running:
    """COMMAND in a session of its own: fed the job, its output counted, its descendants ended with it."""

    def __init__(self, command: list[str], job: Job, *, output_limit: int) -> None:
        self.output = bytearray()
        self.too_much = threading.Event()
        self._room = output_limit
        self._counting = threading.Lock()
        shown = {"id": job.id, "kind": job.kind, "needs": sorted(job.needs), "payload": job.payload}
        environment = {name: value for name, value in os.environ.items() if not name.startswith("HIVE_")}
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            start_new_session=True,
        )
        self._threads = [
            threading.Thread(target=self._feed, args=(json.dumps(shown).encode() + b"\n",), daemon=True),
            threading.Thread(target=self._drain, args=(self.process.stdout, self.output.extend), daemon=True),
            threading.Thread(target=self._drain, args=(self.process.stderr, self._show), daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def _feed(self, data: bytes) -> None:
        with contextlib.suppress(OSError), self.process.stdin as pipe:  # type: ignore[union-attr]
            pipe.write(data)

    def _drain(self, pipe: Any, keep: Callable[[bytes], Any]) -> None:
        with pipe:
            while chunk := os.read(pipe.fileno(), 1 << 16):
                with self._counting:
                    self._room -= len(chunk)
                    if self._room < 0:
                        self.too_much.set()
                        return
                keep(chunk)

    @staticmethod
    def _show(chunk: bytes) -> None:
        sys.stderr.buffer.write(chunk)
        sys.stderr.buffer.flush()

    def exited(self) -> bool:
        """Say whether the command has ended, without reaping it: its process group keeps its number until `end`."""
        return os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def end(self, *, gently: bool) -> int:
        """End the command and whatever it started, and return its exit status (negative: the signal)."""
        if gently and not self.exited():
            self._signal(signal.SIGTERM)
            patience = time.monotonic() + GRACE
            while not self.exited() and time.monotonic() < patience:
                time.sleep(TICK)
        self._signal(signal.SIGKILL)
        status = self.process.wait()
        for thread in self._threads:
            thread.join(1.0)  # a descendant that left the session may hold a pipe; it is not waited for
        return status

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)


class Pulse:
    """When the next heartbeat of the agent is due, and what the last one said."""

    def __init__(self, hive: Hive, identity: Identity, *, every: float) -> None:
        self.hive, self.identity, self.every = hive, identity, every
        self.next = 0.0
        self.state = "active"

    def left(self) -> float:
        """Return the seconds until the next heartbeat is due."""
        return max(0.0, self.next - time.monotonic())

    def beat_if_due(self) -> str:
        """Send a heartbeat if it is time, and return the state."""
        if self.left() == 0:
            self.state = heartbeat(self.hive, self.identity)
            self.next = time.monotonic() + self.every
        return self.state


class Keeper(threading.Thread):
    """Renews one lease every third of its length, and the agent's heartbeat beside it.

    The lease counts as lost when the hive says so (409), when this agent may not work any more, and when no
    renewal got through for the length of the lease: somebody else may hold the job from then on.
    """

    def __init__(self, hive: Hive, job: Job, pulse: Pulse | None) -> None:
        super().__init__(daemon=True)
        self.hive, self.job, self.pulse = hive, job, pulse
        self.done = threading.Event()
        self.reason = ""
        self._renewed = time.monotonic()

    def lost(self) -> str:
        """Return why the lease is lost, or an empty string while it is ours."""
        if not self.reason and time.monotonic() - self._renewed >= self.job.lease_seconds:
            return "the lease ran out before the hive could be reached"
        return self.reason

    def run(self) -> None:
        """Renew until `done` is set or the lease is lost."""
        third = self.job.lease_seconds / 3
        due = time.monotonic() + third
        while not self.done.wait(
            max(0.0, min(due - time.monotonic(), self.pulse.left() if self.pulse else third))
        ):
            try:
                if time.monotonic() >= due:
                    due = time.monotonic() + third
                    asked = time.monotonic()
                    limit = min(self.hive.timeout, max(third, 0.2))
                    self.hive.call(
                        f"/v1/jobs/{self.job.id}/heartbeat", {"fence": self.job.fence}, timeout=limit
                    )
                    self._renewed = asked
                if self.pulse and self.pulse.beat_if_due() == "quarantined":
                    self.reason = "this agent is quarantined"
            except LeaseLostError:
                self.reason = "the hive gave the job to another agent"
            except (UnreachableError, MalformedError) as problem:
                say(f"a heartbeat did not get through: {problem}")
                if self.pulse:
                    self.pulse.next = max(self.pulse.next, time.monotonic() + third)
            except MotherError as problem:
                self.reason = str(problem)
            if self.reason:
                return


@dataclass(frozen=True)
class Limits:
    """What one command may use."""

    seconds: float
    output_bytes: int


@dataclass(frozen=True)
class Verdict:
    """How the work on one job ended: `action` is ``complete``, ``fail`` or ``lost``."""

    action: str
    body: dict[str, Any]
    reason: str = ""


def watch(running: Running, keeper: Keeper, limits: Limits, stop: threading.Event) -> Verdict:
    """Wait until the command ends or must be ended, and decide what the hive is told."""
    deadline = time.monotonic() + limits.seconds
    reason, retry = "", False
    while not running.exited():
        if lost := keeper.lost():
            running.end(gently=False)
            return Verdict("lost", {}, lost)
        if running.too_much.is_set():
            break
        if stop.is_set():
            reason, retry = "the agent is stopping", True
            break
        if time.monotonic() >= deadline:
            reason = f"the command ran longer than {limits.seconds:g} seconds"
            break
        time.sleep(TICK)
    status = running.end(gently=bool(reason))
    if running.too_much.is_set():
        reason = f"the command wrote more than {limits.output_bytes} bytes"
    if not reason and status != 0:
        reason = (
            f"the command ended with status {status}"
            if status > 0
            else f"the command was ended by signal {-status}"
        )
    if not reason:
        try:
            return Verdict("complete", {"result": parse_result(bytes(running.output))})
        except UnicodeDecodeError:
            reason = "the command's output is not UTF-8 text"
    return Verdict("fail", {"reason": reason, "retry": retry}, reason)


def parse_result(output: bytes) -> dict[str, Any]:
    """Return what the command wrote: its JSON object, or its text as ``{"text": ...}``."""
    try:
        return parse_object(output, what="the command's output")
    except MalformedError:
        return {"text": output.decode("utf-8")}


def report(hive: Hive, job: Job, verdict: Verdict, keeper: Keeper) -> None:
    """Tell the hive how the job ended; try again while the lease is held.

    Raises:
        LeaseLostError: the lease is not ours any more.
        MotherError: the hive could not be told.
    """
    for left in reversed(range(REPORT_TRIES)):
        if lost := keeper.lost():
            raise LeaseLostError(lost)
        try:
            hive.call(f"/v1/jobs/{job.id}/{verdict.action}", {"fence": job.fence, **verdict.body})
        except UnreachableError:
            if not left:
                raise
            time.sleep(min(1.0, job.lease_seconds / 10))
        else:
            return


class Worker:
    """Claims jobs and answers each exactly once."""

    def __init__(
        self, hive: Hive, identity: Identity, capabilities: frozenset[str], command: list[str], limits: Limits
    ) -> None:
        self.hive, self.identity, self.capabilities = hive, identity, capabilities
        self.command, self.limits = command, limits

    def take_one(self, *, wait: float, pulse: Pulse | None = None) -> dict[str, Any]:
        """Claim one job and see it through. Returns what is to be printed about it."""
        job = claim(self.hive, self.identity, self.capabilities, wait=wait)
        if job is None:
            return {"outcome": "idle"}
        facts: dict[str, Any] = {"job": job.id, "kind": job.kind}
        keeper = Keeper(self.hive, job, pulse)
        lacking = sorted(job.needs - self.capabilities)
        if lacking:
            reason = f"this agent did not register: {', '.join(lacking)}"
            verdict = Verdict("refuse", {"reason": reason}, reason)
        else:
            keeper.start()
        try:
            if not lacking:
                verdict = self._work(job, keeper)
            if verdict.action != "lost":
                report(self.hive, job, verdict, keeper)
        except LeaseLostError as problem:
            verdict = Verdict("lost", {}, str(problem))
        finally:
            keeper.done.set()
        outcomes = {"complete": "completed", "fail": "failed", "refuse": "refused", "lost": "lost"}
        facts["outcome"] = outcomes[verdict.action]
        if verdict.reason:
            facts["reason"] = verdict.reason
        return facts

    def _work(self, job: Job, keeper: Keeper) -> Verdict:
        try:
            running = Running(self.command, job, output_limit=self.limits.output_bytes)
        except OSError as problem:
            reason = f"the command could not be started: {os.strerror(problem.errno or 0)}"
            return Verdict("fail", {"reason": reason, "retry": True}, reason)
        try:
            return watch(running, keeper, self.limits, self.hive.stop)
        except BaseException:
            running.end(gently=False)
            raise


class Backoff:
    """Waits that double up to a minute, each shortened by chance so that agents do not return together."""

    def __init__(self, stop: threading.Event, *, first: float) -> None:
        self.stop, self.first, self.tries = stop, first, 0
        self._chance = random.SystemRandom()

    def wait(self, problem: MotherError) -> None:
        """Say what is wrong and wait, unless asked to stop."""
        most = min(BACKOFF_MOST, self.first * 2 ** min(self.tries, 10))
        self.tries += 1
        pause = self._chance.uniform(most / 2, most)
        say(f"{problem}; trying again in {pause:.1f} s")
        self.stop.wait(pause)

    def reset(self) -> None:
        """Forget earlier failures after a success."""
        self.tries = 0


# --- the commands --------------------------------------------------------------------------------------------


def do_identity(options: argparse.Namespace) -> int:
    """Print who this agent is."""
    identity = load_identity(options.home, options.lock)

    def shown(artefacts: tuple[Artefact, ...]) -> list[dict[str, str]]:
        return [{"name": a.name, "version": a.version, "tree_sha256": a.tree_sha256} for a in artefacts]

    answer(
        ok=True,
        agent=identity.agent,
        tenant=identity.tenant,
        profile={"name": identity.profile, "version": identity.profile_version},
        layers=shown(identity.layers),
        skills=shown(identity.skills),
        capabilities=sorted(identity.capabilities),
        soul_sha256=identity.soul_sha256,
    )
    return 0


def do_secrets(options: argparse.Namespace) -> int:
    """Print the names of the variables, if the file that holds them is safe."""
    answer(ok=True, names=sorted(load_secrets(options.home)))
    return 0


def do_register(options: argparse.Namespace) -> int:
    """Register once."""
    hive, identity, capabilities = prepare(options)
    every = register(hive, identity, capabilities)
    answer(ok=True, agent=identity.agent, capabilities=sorted(capabilities), heartbeat_seconds=every)
    return 0


def do_heartbeat(options: argparse.Namespace) -> int:
    """Send one heartbeat."""
    hive, identity, _ = prepare(options)
    answer(ok=True, agent=identity.agent, state=heartbeat(hive, identity))
    return 0


def do_poll(options: argparse.Namespace) -> int:
    """Take one job, or one after the other until asked to stop."""
    worker = prepare_worker(options)
    backoff = Backoff(worker.hive.stop, first=options.backoff)
    while not worker.hive.stop.is_set():
        try:
            facts = worker.take_one(wait=options.wait)
        except Stopped:
            break
        except (UnreachableError, MalformedError) as problem:
            if options.once:
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
    worker = prepare_worker(options)
    stop = worker.hive.stop
    backoff = Backoff(stop, first=options.backoff)
    pulse: Pulse | None = None
    state = ""
    while not stop.is_set():
        try:
            if pulse is None:
                every = register(worker.hive, worker.identity, worker.capabilities)
                pulse = Pulse(worker.hive, worker.identity, every=every)
                answer(ok=True, event="registered", agent=worker.identity.agent, heartbeat_seconds=every)
            if pulse.beat_if_due() != state:
                state = pulse.state
                answer(ok=True, event="state", state=state)
            if state == "active":
                facts = worker.take_one(wait=min(options.wait, max(pulse.left(), 0.1)), pulse=pulse)
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
        except (UnreachableError, MalformedError) as problem:
            backoff.wait(problem)
    answer(ok=True, event="stopped")
    return 0


def prepare(options: argparse.Namespace) -> tuple[Hive, Identity, frozenset[str]]:
    """Return what every command needs that talks to the hive."""
    identity = load_identity(options.home, options.lock)
    capabilities = choose_capabilities(identity, options.capability)
    return Hive(options.home, timeout=options.timeout, stop=threading.Event()), identity, capabilities


def prepare_worker(options: argparse.Namespace) -> Worker:
    """Return the worker for poll and run, with SIGTERM and SIGINT turned into a clean end."""
    if not options.command:
        raise UsageError(
            "no command is given", hint="put it after two hyphens: poll --once -- COMMAND ARGUMENT"
        )
    if shutil.which(options.command[0]) is None:
        raise NotFoundError(f"{options.command[0]!r} is not a command that can be run here")
    hive, identity, capabilities = prepare(options)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: hive.stop.set())
    limits = Limits(options.time_limit, options.output_limit)
    return Worker(hive, identity, capabilities, options.command, limits)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(message, hint=f"see: {self.prog} --help")


def seconds(most: float) -> Callable[[str], float]:
    """Return a reader for an option that is a number of seconds from 0 (not for 0 itself) up to ``most``."""

    def read(text: str) -> float:
        if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,3})?", text, re.ASCII) or not 0 < float(text) <= most:
            raise argparse.ArgumentTypeError(f"not a number of seconds above 0 and up to {most:g}")
        return float(text)

    return read


def size(text: str) -> int:
    """Read an option that is a number of bytes from 1 to 768 KiB, so that the answer fits the hive's limit."""
    if not re.fullmatch(r"[0-9]{1,6}", text, re.ASCII) or not 1 <= int(text) <= 768 * 1024:
        raise argparse.ArgumentTypeError("not a number of bytes from 1 to 786432")
    return int(text)


def make_parser() -> argparse.ArgumentParser:
    """Return the command line: the part before the two hyphens."""
    parser = _Parser(
        prog="mother", allow_abbrev=False, description="The first routine of an agent in its jail."
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb, does, text in (
        ("identity", do_identity, "print who this agent is"),
        ("secrets", do_secrets, "check the environment file; print names only"),
        ("register", do_register, "tell the hive what this agent can do"),
        ("heartbeat", do_heartbeat, "tell the hive that this agent lives"),
        ("poll", do_poll, "claim work and run the command after -- with it"),
        ("run", do_run, "register, then heartbeat and poll until SIGTERM"),
    ):
        one = verbs.add_parser(verb, help=text, description=text, allow_abbrev=False)
        one.set_defaults(does=does, command=[])
        if verb != "secrets":
            one.add_argument(
                "--lock", type=Path, default=LOCK_RECORD, help="lock record (default: %(default)s)"
            )
        if verb in {"identity", "secrets"}:
            continue
        one.add_argument("--timeout", type=seconds(60), default=10.0, help="seconds for one request (10)")
        one.add_argument(
            "--capability", action="append", default=[], help="offer only these of the granted ones"
        )
        if verb in {"register", "heartbeat"}:
            continue
        one.add_argument("--wait", type=seconds(60), default=20.0, help="seconds to wait for a job (20)")
        one.add_argument(
            "--time-limit", type=seconds(86_400), default=600.0, help="seconds for one job (600)"
        )
        one.add_argument(
            "--output-limit", type=size, default=256 * 1024, help="bytes of one job's output (262144)"
        )
        one.add_argument(
            "--backoff", type=seconds(60), default=BACKOFF_FIRST, help="first pause after a failure (1)"
        )
        if verb == "poll":
            one.add_argument("--once", action="store_true", help="take at most one job")
    return parser


def main(arguments: list[str]) -> int:
    """Run one command and return its exit status."""
    head, tail = arguments, []
    if "--" in arguments:
        at = arguments.index("--")
        head, tail = arguments[:at], arguments[at + 1 :]
    try:
        options = make_parser().parse_args(head)
        if tail and options.verb not in {"poll", "run"}:
            raise UsageError(f"{options.verb} takes no command")  # noqa: TRY301 - one place turns errors into answers
        options.command, options.home = tail, Path.home()
        status: int = options.does(options)
    except MotherError as problem:
        say(f"error[{problem.code}]: {problem}")
        if problem.hint:
            print(f"hint: {problem.hint}", file=sys.stderr)
        answer(ok=False, error={"code": problem.code, "message": str(problem), "hint": problem.hint})
        return problem.exit_status
    except KeyboardInterrupt:
        return 130
    except Exception as problem:  # noqa: BLE001 - a traceback could quote a value; its kind and line cannot
        line = [number for _, number in traceback.walk_tb(problem.__traceback__)][-1]
        message = f"a bug in mother.py: {type(problem).__name__}, noticed at line {line}"
        say(f"error[bug]: {message}")
        answer(ok=False, error={"code": "bug", "message": message, "hint": "tell the operator"})
        return 1
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
