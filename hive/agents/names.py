"""Names on the wire, each in its one spelling.

agent        acme            as a tenant: a tenant's own agent has the tenant's name
capability   image-render    as profiles grant them: words of lower-case letters and digits, with single hyphens or dots
kind         render          of a job: as a skill's name
job          j-4f0a…         made by us, from chance: it tells nobody how many jobs others have
"""

import re
import secrets
from typing import Final, NewType

from signing.errors import FormatError
from signing.format.names import parse_skill_name, parse_tenant_id
from signing.format.profile import parse_capability as parse_profile_capability

AgentId = NewType("AgentId", str)
Capability = NewType("Capability", str)
JobKind = NewType("JobKind", str)
JobId = NewType("JobId", str)

WOMB: Final = Capability("womb")
ABI: Final = "abi."  # before the ABI of a womb's jails, which a birth may need too
BIRTH: Final = JobKind("birth")
MAX_CAPABILITIES: Final = 64

_JOB_ID: Final = re.compile(r"j-[0-9a-f]{20}", re.ASCII)


def parse_agent_id(text: object, *, where: str = "agent") -> AgentId:
    """Return ``text`` as the id of an agent.

    Raises:
        FormatError: not ``^[a-z][a-z0-9]{0,14}$``.
    """
    return AgentId(parse_tenant_id(text, where=where))


def parse_capability(text: object, where: str = "capability") -> Capability:
    """Return ``text`` as a capability.

    Raises:
        FormatError: not in the one spelling.
    """
    return Capability(parse_profile_capability(text, where))


def parse_kind(text: object, *, where: str = "kind") -> JobKind:
    """Return ``text`` as the kind of a job.

    Raises:
        FormatError: not in the one spelling.
    """
    return JobKind(parse_skill_name(text, where=where))


def parse_job_id(text: object, *, where: str = "job") -> JobId:
    """Return ``text`` as the id of a job.

    Raises:
        FormatError: not one of ours.
    """
    if not isinstance(text, str) or not _JOB_ID.fullmatch(text):
        raise FormatError("not the id of a job", where=where)
    return JobId(text)


def new_job_id() -> JobId:
    """Return an id that nobody can guess."""
    return JobId(f"j-{secrets.token_hex(10)}")
