"""No image of our memory on disk (edge): keys, tokens and values of buckets are in it."""

import contextlib
import resource
import sys
from typing import Final

# On Linux a core goes to a program (systemd-coredump, apport) whatever the limit says, 0 too; but not at 1.
_LIMIT: Final = 1 if sys.platform == "linux" else 0


def leave_no_core() -> None:
    """Have this process leave no core when it crashes, nor what it starts, unless that asks for one itself."""
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    soft = _LIMIT if hard == resource.RLIM_INFINITY else min(_LIMIT, hard)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))
