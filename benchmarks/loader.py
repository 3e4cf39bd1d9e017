"""Asks for one file again and again over 16 connections, for some seconds, and tells how many answers came in a second.

`wrk` does it where it is installed (Debian's package). Without it, two processes of ours do, which take more of the
processors from the server that they ask: ratios near 1 between fast servers are then too good to be true.
"""

import json
import re
import selectors
import shutil
import socket
import subprocess
import sys
import time

CONNECTIONS = 16
PROCESSES = 2  # of our own loader
_RATE = re.compile(r"^Requests/sec: +([\d.]+)$", re.MULTILINE)
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)


def loader() -> str:
    """Return what asks: ``wrk``, or our own."""
    return "wrk" if shutil.which("wrk") else "our own loader"


def rate(port: int, path: str, *, host: str, seconds: float) -> float:
    """Return the answers a second.

    Raises:
        RuntimeError: some were no whole 200.
    """
    if loader() == "wrk":
        return _wrk(port, path, host, seconds)
    words = [sys.executable, __file__, str(port), path, host, str(seconds)]
    asking = [subprocess.Popen(words, stdout=subprocess.PIPE) for _ in range(PROCESSES)]
    counts = [process.communicate(timeout=seconds + 30)[0] for process in asking]
    if any(process.returncode for process in asking):
        raise RuntimeError(f"{path} at port {port} was not answered whole")
    return sum(json.loads(count) for count in counts)


def _wrk(port: int, path: str, host: str, seconds: float) -> float:
    words = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{round(seconds)}s", "-H", f"Host: {host}"]
    done = subprocess.run(
        [*words, f"http://127.0.0.1:{port}{path}"],
        capture_output=True,
        check=True,
        text=True,
        timeout=seconds + 30,
    )
    found = _RATE.search(done.stdout)
    if found is None or "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        raise RuntimeError(f"{path} at port {port}: {done.stdout}")
    return float(found[1])


def ask_again_and_again(port: int, path: str, host: str, seconds: float) -> float:
    """Ask over several connections at once, and return the answers a second."""
    request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
    buffer = bytearray(1 << 20)
    left: dict[socket.socket, int] = {}  # bytes of the answer that is under way
    answers = 0
    with selectors.DefaultSelector() as chosen:
        for _ in range(CONNECTIONS // PROCESSES):
            one = socket.create_connection(("127.0.0.1", port), timeout=10)
            chosen.register(one, selectors.EVENT_READ)
            left[one] = 0
            one.sendall(request)
        begun = time.monotonic()
        while (now := time.monotonic()) < begun + seconds:
            for key, _ in chosen.select(timeout=1):
                one = key.fileobj
                assert isinstance(one, socket.socket)
                left[one] = _left(one, buffer, left[one])
                if not left[one]:
                    answers += 1
                    one.sendall(request)
    for one in left:
        one.close()
    return answers / (now - begun)


def _left(one: socket.socket, buffer: bytearray, left: int) -> int:
    """Read once, and return how many bytes of the answer are still to come.

    Raises:
        RuntimeError: it is no 200 with a length, or the connection ended.
    """
    count = one.recv_into(buffer)
    if left:
        if not count:
            raise RuntimeError("an answer ended early")
        return left - count
    head, end, body = bytes(buffer[: min(count, 8192)]).partition(b"\r\n\r\n")
    length = _LENGTH.search(head + b"\r\n")
    if not head.startswith(b"HTTP/1.1 200 ") or not end or length is None:
        raise RuntimeError(f"no 200 with a length: {head[:100]!r}")
    del body
    return int(length[1]) - (count - len(head) - len(end))


if __name__ == "__main__":
    asked_port, asked_path, asked_host, asked_seconds = sys.argv[1:]
    print(ask_again_and_again(int(asked_port), asked_path, asked_host, float(asked_seconds)))
