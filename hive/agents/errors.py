"""Every way in which the hive says no to an agent, beside those of `signing.errors`.

TokenRefusedError        401   nobody whom we know
NotEntitledError         403   known, and not allowed this
NotFoundError            404   no such agent or job, as far as this agent may know
LeaseLostError           409   the job is somebody else's, or nobody's, by now
NotNowError              429, 503   later, perhaps
NotAcceptedError         400, 413   what a lane sent is not what the hive takes; on the lane's side only
"""

from typing import Any

from signing.errors import ConflictError, FormatError, PolicyError, SkillRepoError


class TokenRefusedError(PolicyError):
    """The token is of nobody, or was revoked."""

    code = "agent-token-refused"

    def __init__(self) -> None:
        super().__init__("this token is not accepted", hint="ask the operator; it may have been revoked")


class LeaseLostError(ConflictError):
    """The lease that the agent speaks of is not its own any more."""

    code = "lease-lost"

    def __init__(self, job_id: str) -> None:
        super().__init__(
            f"the lease on job {job_id} is lost", hint="stop the work; say nothing more about it"
        )


class NotNowError(SkillRepoError):
    """Nothing is wrong with the request; it may succeed in ``seconds``."""

    code = "not-now"
    exit_status = 4

    def __init__(self, message: str, *, seconds: int, too_often: bool = False, **facts: Any) -> None:
        super().__init__(message, hint=f"try again in {seconds} s, or later", **facts)
        self.seconds = seconds
        self.too_often = too_often


class TooLargeError(FormatError):
    """What was sent is larger than is read."""

    code = "too-large"


class NotAcceptedError(FormatError):
    """The hive says that what was sent is not well-formed, or too large. Sent again, it would say so again."""

    code = "not-accepted"
