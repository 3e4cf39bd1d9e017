"""cisco-ai-skill-scanner 2.3.2: its static analyzers, without network and without language models (edge).

Installed is the slim set: the scanner and the twelve packages that its static analyzers import, 61 MB instead of
509. On our recorded and hostile skills it finds exactly what the full set finds. What it lacks is looking into
PDF and Office files, and guessing the type of data by a model; our own checks judge files by their first bytes.
"""

from pathlib import Path
from typing import Final

from repo_server.curation.engines.confinement import interpreter_paths
from repo_server.curation.engines.engine import Engine
from repo_server.curation.engines.installing import Installable, absence_of
from repo_server.curation.engines.program import ProgramEngine
from signing.format.canonical import canonical
from signing.format.digest import sha256_of

_HERE: Final = Path(__file__).parent
_DRIVER: Final = _HERE / "driver.py"
PACKAGE: Final = "cisco-ai-skill-scanner"

CISCO: Final = Installable(name="cisco", version="2.3.2", package=PACKAGE, lock=_HERE / "requirements.txt")


def cisco(folder: Path) -> Engine:
    """Return the engine as it is, or would be, installed below ``folder``."""
    python = CISCO.python(folder)
    return ProgramEngine(
        name=CISCO.name,
        version=CISCO.version,
        # The lock decides which rules there are, the driver which analyzers run and with which options.
        policy_sha256=sha256_of(
            canonical(
                {"driver": sha256_of(_DRIVER.read_bytes()), "lock": CISCO.lock_sha256, "package": PACKAGE}
            )
        ),
        argv=(str(python), "-I", "-B", str(_DRIVER)),
        readable=(*interpreter_paths(python), _DRIVER),
        absence=lambda: absence_of(CISCO, folder),
    )
