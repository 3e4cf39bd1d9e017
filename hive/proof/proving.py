"""A tenant from nothing to its agent's heartbeat, and back to nothing, on this host and with its settings (edge).

    earlier proofs ended ─► bucket ─► registered ─► born ─► secrets ─► agent registered ─► heartbeat: active
                         ─► retired: token, secrets, jail, bucket are gone ─► audit log whole

Every step is the one that tenants have, by the same code; and what it made is looked at with other eyes
(`hive.proof.looking`). Whatever happens, the tenant is ended: at once, or by the next proof when this one was killed.
"""

from dataclasses import dataclass
from typing import Any, Final

from hive import audit
from hive.agents.client import HiveClient
from hive.birth.carry_out import birth
from hive.birth.undoing import OnFailure
from hive.db.session import snapshot
from hive.proof import scratch, throwaway, unfinished
from hive.proof.evidence import Evidence, Step, render
from hive.proof.ground import Ground, Wanted
from hive.proof.hearing import hearing
from hive.proof.looking import (
    TOKEN,
    is_refused,
    registration,
    see_active,
    see_registered,
    see_secrets,
    standing_of,
)
from hive.tenants import Tenant, TenantStatus
from hive.vault.bucket import Bucket
from hive.vault.provision import Standing
from hive.vault.vault import Vault
from signing.errors import SkillRepoError, UsageError
from signing.format.digest import sha256_of
from signing.format.names import TenantId

_SECONDS: Final = 30.0


def prove(ground: Ground, wanted: Wanted) -> dict[str, Any]:
    """Make the proof, and return its document: it passed.

    Raises:
        ConflictError: another proof is made just now, or the tenant that was named is not at its beginning.
        NotEntitledError: the tenant is not scratch, or the bucket is not throw-away.
        SkillRepoError: a step failed (``facts["step"]``); what could not be ended is in ``facts["left"]``.
    """
    with unfinished.alone(ground.mother.state):
        evidence = Evidence(clock=ground.mother.clock, began=ground.mother.clock())
        with evidence.step("earlier-proofs") as step:
            step.facts["ended"] = list(scratch.end_unfinished(ground))
            step.holds("no earlier proof has left anything", not unfinished.found(ground.mother.state))
        name = scratch.choose(ground, wanted)
        unfinished.begin(ground.mother.state, name)
        try:
            document = _prove(ground, wanted, name, evidence)
            scratch.end(ground, name, "passed", report_sha256=sha256_of(render(document)))
        except BaseException as error:
            _give_up(ground, name, error)
            raise
    return document


def _prove(ground: Ground, wanted: Wanted, name: TenantId, evidence: Evidence) -> dict[str, Any]:
    with evidence.step("bucket") as step:
        collection_id, vault = _vault(ground, wanted, name)
        bucket = throwaway.open_bucket(vault, name, collection_id)
        step.held.append(f"every variable in it is called {throwaway.PREFIX}…")
        step.facts["names"] = list(bucket.names)
    with evidence.step("register") as step:
        tenant = scratch.begin(ground, name, wanted, collection_id)
        step.holds("the tenant is scratch", tenant.scratch)
        step.facts |= {"tier": tenant.tier.value, "profile": str(tenant.profile)}
    course = _Course(ground=ground, vault=vault, bucket=bucket, tenant=tenant, evidence=evidence)
    try:
        course.there_and_back()
    finally:
        bucket.forget()
    with evidence.step("audit") as step, snapshot(ground.mother.engine) as session:
        head = audit.check(session)
        step.held.append("every record is chained to the one before")
        step.facts |= {"records": head.sequence, "head_sha256": head.digest}
    about = {"tenant": name, "tier": tenant.tier.value, "profile": str(tenant.profile), "scratch": True}
    return evidence.document({**about, "settings": dict(ground.settings)})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Course:
    """The way of one tenant, there and back."""

    ground: Ground
    vault: Vault
    bucket: Bucket
    tenant: Tenant
    evidence: Evidence

    @property
    def name(self) -> TenantId:
        """The tenant's name, its jail's and its agent's."""
        return self.tenant.tenant_id

    def there_and_back(self) -> None:
        """Carry the tenant to its agent's first heartbeat, and end it."""
        with self.evidence.step("birth") as step:
            self._born(step)
        with self.evidence.step("secrets") as step:
            token = self._provisioned(step)
        with hearing(self.ground) as endpoint:
            agent = HiveClient(endpoint, lambda: token, timeout=_SECONDS)
            with self.evidence.step("agent") as step:
                body = registration(self.ground.mother.host, self.name)
                see_registered(step, endpoint, agent, body, self.name)
            with self.evidence.step("heartbeat") as step:
                see_active(step, agent, self.ground.mother, self.name)
            with self.evidence.step("end") as step:
                self._ended(step, agent)

    def _born(self, step: Step) -> None:
        ground = self.ground
        receipt = birth(ground.mother_with(self.vault), self.name, on_failure=OnFailure.DESTROY)
        step.holds("it is born, and was not before", receipt["status"] == "born" and not receipt["already"])
        step.holds("its jail runs", ground.mother.host.is_running(self.name))
        step.facts |= {key: receipt[key] for key in ("jail_root", "lock_sha256", "skills", "souls")}
        step.facts["packages"] = [[item["package"], item["sha256"]] for item in receipt["packages"]]

    def _provisioned(self, step: Step) -> str:
        values = see_secrets(step, self.ground, self.name, self.bucket)
        again = self.ground.provisioner.provision(self.vault, self.name, own=self.ground.own)
        step.holds("provisioning it again writes nothing", not again.changed)
        return values[TOKEN]

    def _ended(self, step: Step, agent: HiveClient) -> None:
        ground, host = self.ground, self.ground.mother.host
        step.facts["api"] = "the running service" if ground.live is not None else "this process"
        scratch.retire(ground, self.name)
        step.holds("the agent's token is refused", is_refused(agent, self.name))
        step.holds("its secrets are withdrawn", ground.provisioner.standing(self.name) is Standing.NONE)
        gone = host.mark_of(self.name) is None and not host.exists(self.name)
        step.holds("its jail is gone, and nothing of it runs", gone and not host.is_running(self.name))
        step.holds("the tenant is retired", standing_of(ground.mother, self.name) is TenantStatus.RETIRED)
        unfinished.forget_bucket(ground.mother.state, self.name)
        if ground.vault is None:
            step.held.append("the throw-away bucket is gone")
        else:
            step.facts["bucket"] = "left in the vault, for whoever keeps it to remove"


def _vault(ground: Ground, wanted: Wanted, name: TenantId) -> tuple[str, Vault]:
    """Return the collection id of the throw-away bucket, and the vault that it is in.

    Raises:
        UsageError: it is to be named, or there is none to be named.
    """
    collection_id = scratch.collection_of(ground, name) or wanted.collection_id
    if ground.vault is not None:
        if collection_id is None:
            raise UsageError(
                "no throw-away bucket is named",
                hint="give --tenant and --collection-id, of a collection that was set aside (docs/first-proof.md)",
            )
        return collection_id, ground.vault
    if wanted.collection_id is not None:
        raise UsageError("this host's vault is the sealed one: a proof makes its own bucket")
    collection_id = collection_id or f"proof-{name}"
    folder = unfinished.folder_of(ground.mother.state, name) / unfinished.VAULT
    return collection_id, throwaway.make_sealed(folder, name, collection_id)


def _give_up(ground: Ground, name: TenantId, error: BaseException) -> None:
    """End the tenant of a proof that did not pass; what cannot be ended now is ended by the next proof."""
    known = error if isinstance(error, SkillRepoError) else SkillRepoError(type(error).__name__)
    try:
        scratch.end(ground, name, "failed", error=known.to_document())
    except SkillRepoError as problem:
        known.facts["left"] = problem.facts.get("left", scratch.left(ground.mother, name))
        known.facts["not_ended"] = str(problem)
