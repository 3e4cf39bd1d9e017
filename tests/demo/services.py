"""The two services of the story: the repository's, and the hive's. They run until the story is over."""

import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from tests.demo.stage import DemoFailedError, Stage

_SECONDS = 30.0


def free_address() -> str:
    """Return an address of this machine on which nobody listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


@contextmanager
def repository(stage: Stage) -> Iterator[str]:
    """Run `skillrepo serve` on a free port; yield its address."""
    address = free_address()
    port = address.partition(":")[2]
    with _running(stage, "skillrepo", "serve", "--port", port, until=f"http://{address}/readyz"):
        yield f"http://{address}"


@contextmanager
def hive(stage: Stage, address: str) -> Iterator[None]:
    """Run `hive serve` where the settings say, which is ``address``."""
    with _running(stage, "hive", "serve", until=f"http://{address}/"):
        yield


@contextmanager
def _running(stage: Stage, *words: str, until: str) -> Iterator[None]:
    stage.typed(*words, more=" &")
    process = stage.spawn(*words)
    try:
        _wait(process, until)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            said = process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            said = process.communicate()
        stage.heard += b"".join(said)


def _wait(process: "subprocess.Popen[bytes]", url: str) -> None:
    """Wait until ``url`` is answered, with whatever status."""
    end = time.monotonic() + _SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=1).close()
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise DemoFailedError(f"no service answers at {url}")
