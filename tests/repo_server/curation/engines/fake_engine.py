"""An engine that does what its first argument says; it runs as a program of its own."""

import ctypes
import json
import os
import resource
import socket
import subprocess
import sys
import time
from pathlib import Path

FINDING = {
    "rule": "SOME_RULE",
    "severity": "HIGH",
    "path": "SKILL.md",
    "line": 3,
    "message": "odd",
    "excerpt": "x",
}


def answer(*findings: object, failed: tuple[str, ...] = (), version: str = "1.0") -> None:
    print(json.dumps({"version": version, "findings": findings, "failed": failed}), flush=True)


def tell(value: object) -> None:
    """Say something about the surroundings, as a finding."""
    answer({**FINDING, "severity": "INFO", "message": json.dumps(value)[:390]})


def attempt(what: str, path: str) -> str:
    try:
        return Path(path).read_text() if what == "read" else f"wrote {Path(path).write_text('owned')}"
    except OSError as error:
        return type(error).__name__


def connect(port: int) -> str:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as stream:
            stream.sendall(b"GET /leak HTTP/1.0\r\n\r\n")
            return f"connected, {len(stream.recv(10))} bytes"
    except OSError as error:
        return type(error).__name__


def finds(_: str, folders: list[str]) -> None:
    for folder in folders:
        place = {"message": f"in {folder}/SKILL.md and {folder}", "excerpt": str(Path(folder).parent)}
        answer({**FINDING, **place})


def crashes(_: str, folders: list[str]) -> None:
    sys.stderr.write(f"Traceback\n{folders[0]}/SKILL.md: \x1b[31mboom\n")
    sys.exit(3)


def babbles(*_: object) -> None:
    while True:
        print("x" * 100_000)


def fills(*_: object) -> None:
    for number in range(10_000):
        Path(os.environ["HOME"], str(number)).write_bytes(b"x" * (1 << 20))
        time.sleep(0.01)


def litters(*_: object) -> None:
    for number in range(1_000_000):
        Path(os.environ["HOME"], str(number)).touch()


def flickers(*_: object) -> None:
    end = time.monotonic() + 1.5
    while time.monotonic() < end:
        for number in range(200):
            Path(os.environ["HOME"], str(number), "x").mkdir(parents=True)
        for number in range(200):
            Path(os.environ["HOME"], str(number), "x").rmdir()
            Path(os.environ["HOME"], str(number)).rmdir()
    tell("done")


def digs(*_: object) -> None:
    os.chdir(os.environ["HOME"])
    for _number in range(3_000):
        Path("d").mkdir()
        os.chdir("d")
    time.sleep(0.3)


def points(*_: object) -> None:
    for number in range(20):
        Path(os.environ["HOME"], str(number)).symlink_to("/")
    time.sleep(0.3)


def forks(mark: str, _: list[str]) -> None:
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)", mark], start_new_session=True)
    answer()


def shows_files(_: str, folders: list[str]) -> None:
    root = Path(folders[0])
    paths = [path for path in root.rglob("*") if path.is_file()]
    tell({str(path.relative_to(root)): [path.stat().st_mode & 0o777, path.read_text()] for path in paths})


MODES = {
    "finds": finds,
    "prints": lambda path, _: sys.stdout.buffer.write(Path(path).read_bytes()),
    "crashes": crashes,
    # A real fault: the first process of a namespace is deaf to signals that it sends itself.
    "dies": lambda *_: ctypes.string_at(0),
    "hangs": lambda *_: time.sleep(600),
    "babbles": babbles,
    "fills": fills,
    "litters": litters,
    "flickers": flickers,
    "digs": digs,
    "points": points,
    "devours": lambda *_: tell(len(bytearray(4 << 30))),
    "forks": forks,
    "connects": lambda port, _: tell(connect(int(port))),
    "write": lambda path, _: tell(attempt("write", path)),
    "read": lambda path, _: tell(attempt("read", path)),
    "variables": lambda *_: tell(dict(os.environ)),
    "limits": lambda *_: tell([resource.getrlimit(w) for w in (resource.RLIMIT_CORE, resource.RLIMIT_CPU)]),
    "files": shows_files,
    "silent": lambda *_: None,
}

if __name__ == "__main__":
    MODES[sys.argv[1]](sys.argv[2], sys.argv[3:])
