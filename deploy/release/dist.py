"""Build what we ship from the last commit, twice and apart, and refuse when the two differ.

    python deploy/release/dist.py dist       dist/*.whl, *.tar.gz, *.cdx.json, SHA256SUMS

Each build has its own copy of the commit, folder, umask, time zone and locale: what gets from a builder's machine into
a file would show. Anybody with the commit and the locked build tools can make the same bytes and compare digests.
"""

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

PROJECT: Final = Path(__file__).resolve().parents[2]
_WAYS: Final = (
    {"TZ": "UTC", "LC_ALL": "C.UTF-8", "umask": "022"},
    {"TZ": "Pacific/Kiritimati", "LC_ALL": "C", "umask": "077"},
)
# What each set of locked requirements is for; a package counts for the first that names it.
_SCOPES: Final = (("run.txt", "required"), ("hive.txt", "required"), ("server.txt", "optional"))
_PINNED: Final = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s\\;]+)")
_HASH: Final = re.compile(r"--hash=sha256:(?P<digest>[0-9a-f]{64})")


def main() -> int:
    """Build; return 1 when the two builds differ."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="where to put the files; must be new or empty")
    folder: Path = parser.parse_args().folder
    if folder.exists() and any(folder.iterdir()):
        print(f"{folder} is not empty", file=sys.stderr)
        return 1
    commit, moment = _git("rev-parse", "HEAD"), _git("log", "-1", "--format=%ct")
    builds = [_built(commit, moment, way) for way in _WAYS]
    if builds[0] != builds[1]:
        for name in sorted(set(builds[0]) | set(builds[1])):
            if builds[0].get(name) != builds[1].get(name):
                print(f"{name}: two builds of one commit differ", file=sys.stderr)
        return 1
    files = dict(builds[0])
    wheel = next(name for name in files if name.endswith(".whl"))
    name, version = wheel.split("-")[:2]
    files[f"{name}-{version}.cdx.json"] = _bill(name, version, wheel, files[wheel], int(moment))
    sums = "".join(f"{hashlib.sha256(files[item]).hexdigest()}  {item}\n" for item in sorted(files))
    files["SHA256SUMS"] = sums.encode()
    folder.mkdir(parents=True, exist_ok=True)
    for item, content in files.items():
        (folder / item).write_bytes(content)
    print(f"commit {commit}, built twice, the same bytes:")
    print(sums, end="")
    return 0


def _built(commit: str, moment: str, way: dict[str, str]) -> dict[str, bytes]:
    """Return the files of one build, by name."""
    with tempfile.TemporaryDirectory(prefix=f"dist-{way['umask']}-") as place:
        source, out = Path(place, "source"), Path(place, "out")
        archive = Path(place, "source.tar")
        subprocess.run(["git", "archive", "--output", archive, commit], cwd=PROJECT, check=True)
        previous = os.umask(int(way["umask"], 8))
        try:
            source.mkdir()
            subprocess.run(["tar", "-xf", archive, "-C", source], check=True)
            environment = {
                "PATH": os.environ.get("PATH", os.defpath),
                "SOURCE_DATE_EPOCH": moment,
                "TZ": way["TZ"],
                "LC_ALL": way["LC_ALL"],
            }
            subprocess.run(
                [sys.executable, "-m", "hatchling", "build", "-d", out],
                cwd=source,
                env=environment,
                check=True,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=300,
            )
        finally:
            os.umask(previous)
        return {path.name: path.read_bytes() for path in sorted(out.iterdir())}


def _bill(name: str, version: str, wheel: str, content: bytes, moment: int) -> bytes:
    """Return our own bill of materials: CycloneDX 1.6, from the locked requirements and their hashes."""
    digest = hashlib.sha256(content).hexdigest()
    components = list(_components())
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, digest)}",
        "version": 1,
        "metadata": {
            "timestamp": _moment(moment),
            "component": {
                "type": "application",
                "bom-ref": wheel,
                "name": name,
                "version": version,
                "hashes": [{"alg": "SHA-256", "content": digest}],
            },
        },
        "components": components,
        "dependencies": [{"ref": wheel, "dependsOn": sorted(item["bom-ref"] for item in components)}],
    }
    return (json.dumps(document, indent=1, sort_keys=True) + "\n").encode()


def _components() -> Iterator[dict[str, Any]]:
    seen: set[str] = set()
    for file, scope in _SCOPES:
        for name, version, digests in _pinned((PROJECT / "requirements" / file).read_text("utf-8")):
            purl = f"pkg:pypi/{name.lower().replace('_', '-')}@{version}"
            if purl in seen:
                continue
            seen.add(purl)
            yield {
                "type": "library",
                "bom-ref": purl,
                "name": name,
                "version": version,
                "purl": purl,
                "scope": scope,
                # A package has several files (one a platform); each digest is one that our lock takes.
                "externalReferences": [
                    {
                        "type": "distribution",
                        "url": purl,
                        "hashes": [{"alg": "SHA-256", "content": digest} for digest in digests],
                    }
                ],
            }


def _pinned(text: str) -> Iterator[tuple[str, str, list[str]]]:
    for block in re.split(r"\n(?=[A-Za-z0-9])", text):
        if (found := _PINNED.match(block)) is not None:
            yield found["name"], found["version"], _HASH.findall(block)


def _moment(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _git(*words: str) -> str:
    return subprocess.run(
        ["git", *words], cwd=PROJECT, check=True, capture_output=True, text=True
    ).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
