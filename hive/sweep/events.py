"""What a sweep writes to the log of its service. Without ``names``: how many and of which kind, not whom and where."""

import logging
from collections.abc import Sequence
from typing import Any

from hive.logs import note
from hive.sweep.sweeper import Swept
from signing.errors import SkillRepoError


def note_sweep(found: Sequence[Swept], *, names: bool) -> None:
    """Log everything that is new, done and not done, then the sweep itself."""
    for item in found:
        tenant: dict[str, Any] = {"tenant": item.tenant.tenant_id} if names else {}
        for finding in item.new:
            facts = finding.to_json() if names else {"kind": finding.kind.value}
            note("sweep.found", level=logging.WARNING, **tenant, **facts)
        for action in item.done:
            note("sweep.done", level=logging.WARNING, **tenant, action=action.value)
        for problem in item.failed:
            note("sweep.failed", level=logging.ERROR, **tenant, **({"problem": problem} if names else {}))
    note("sweep", tenants=len(found), findings=sum(len(item.findings) for item in found))


def note_failure(error: SkillRepoError, *, names: bool) -> None:
    """Log that a whole sweep failed."""
    note("sweep.broken", level=logging.ERROR, code=error.code, **({"message": str(error)} if names else {}))


def note_policy(error: SkillRepoError, *, names: bool) -> None:
    """Log why a sweep goes by the policy that was verified last."""
    note("sweep.policy", level=logging.ERROR, code=error.code, **({"message": str(error)} if names else {}))
