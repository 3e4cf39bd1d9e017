"""From an error to the answer that an agent gets: one status, and nothing that it is not to know."""

import logging
from typing import Any, Final

from hive.agents.errors import LeaseLostError, NotNowError, TokenRefusedError, TooLargeError
from signing.errors import FormatError, NotFoundError, PolicyError, SkillRepoError

_LATER: Final = 2
_log = logging.getLogger(__name__)


def status_of(error: SkillRepoError) -> int:
    """Return the status of the wire contract.

    Everything that is not the agent's doing is "not now": a busy database is no lost lease.
    """
    match error:
        case TokenRefusedError():
            return 401
        case TooLargeError():
            return 413
        case FormatError():
            return 400
        case PolicyError():
            return 403
        case NotFoundError():
            return 404
        case LeaseLostError():
            return 409
        case NotNowError():
            return 429 if error.too_often else 503
        case _:
            return 503


def answer_of(error: SkillRepoError) -> tuple[dict[str, Any], int, dict[str, str]]:
    """Return body, status and headers."""
    status = status_of(error)
    headers = {"Retry-After": str(error.seconds if isinstance(error, NotNowError) else _LATER)}
    if status == 503 and not isinstance(error, NotNowError):  # noqa: PLR2004
        # What is wrong with this host's database is for its operator, not for whoever is in a jail.
        _log.warning("cannot answer: %s: %s", error.code, error)
        return {"error": {"code": "not-now", "message": "the hive cannot answer now"}}, status, headers
    document = {"code": error.code, "message": str(error)}
    if error.hint:
        document["hint"] = error.hint
    return {"error": document}, status, headers if status in {429, 503} else {}
