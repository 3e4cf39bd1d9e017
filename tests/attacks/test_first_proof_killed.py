"""A first proof is killed everywhere: the next one ends what it left, and then passes itself.

After each kill: if the tenant was registered, it is scratch and noted where the next proof looks; no secret of its
bucket stands in a jail that is retired; the audit chain holds. After the next proof nothing is left of either.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hive import audit
from hive.db.models import TenantRow
from hive.db.session import snapshot
from hive.proof import proving, unfinished
from hive.proof.ground import Wanted
from hive.tenants import TenantStatus
from signing.format.names import Pin
from tests.attacks.scene import open_scene
from tests.attacks.test_birth_with_a_bucket_killed import pipe
from tests.hive.proof.conftest import ground_of
from tests.support.world import World

pytestmark = pytest.mark.slow
WANTED = Wanted(profile=Pin.parse("base==1"))


def check_killed(state: Path, tenant: TenantRow | None, events: list[str]) -> None:
    """Whatever stands is known to the next proof."""
    jails = [path.name for path in (state / "jails").glob("*/root")]
    noted = unfinished.found(state)
    if tenant is None:
        assert jails == []
        assert list(state.rglob(".env")) == []
        return
    assert tenant.scratch
    if noted == []:  # it came to its end
        assert (tenant.status, events[-1]) == (TenantStatus.RETIRED, "proof.ended")
    else:
        assert noted == ["proof1"]
    if tenant.status == TenantStatus.RETIRED:
        assert jails == []
        assert list(state.rglob(".env")) == []


@pytest.mark.parametrize(("where", "stride"), [("commit", 5), ("disk", 11)])
def test_a_proof_killed_anywhere_is_ended_by_the_next(
    world: World, tmp_path: Path, where: str, stride: int
) -> None:
    with open_scene(world, tmp_path / "host") as scene:
        scene.mother.engine.dispose()
        template = scene.mother.state
        anchor = world.folder / "repo/trust-anchor.json"
        command = [sys.executable, "-m", "tests.support.kill_proof"]
        command += [str(anchor), scene.server.url, str(tmp_path / "warm"), "base==1"]
        seen: set[str | None] = set()
        number = 1
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
        ) as process:
            while True:
                state = tmp_path / f"proofs/{where}-{number}"
                shutil.copytree(template, state)
                pipe(process.stdin).write(f"{state} {where} {number}\n")
                pipe(process.stdin).flush()
                answer = pipe(process.stdout).readline().strip()
                if answer.startswith("done"):
                    break
                assert answer == "killed", f"{where} {number}"
                mother = world.mother(scene.server.url, state)
                with snapshot(mother.engine) as session:
                    audit.check(session)
                    tenant = session.get(TenantRow, "proof1")
                    events = [record.event for record in audit.read(session, tenant="proof1")]
                check_killed(state, tenant, events)
                seen.add(tenant.status if tenant is not None else None)
                document = proving.prove(ground_of(mother), WANTED)
                assert document["verdict"] == "passed"
                with snapshot(mother.engine) as session:
                    audit.check(session)
                    proofs = [row for row in session.query(TenantRow) if row.scratch]
                    assert {row.status for row in proofs} == {TenantStatus.RETIRED}
                    log = [record for record in audit.read(session) if record.event == "proof.ended"]
                assert [record.facts["tenant"] for record in log] == [row.tenant_id for row in proofs]
                assert unfinished.found(state) == []
                assert list((state / "jails").iterdir()) == []
                assert list(state.rglob("sealed.*")) == []
                mother.engine.dispose()
                shutil.rmtree(state)
                number += stride
            pipe(process.stdin).close()
            process.wait(30)
        assert number // stride > 7
        assert {
            None,
            TenantStatus.BIRTHING,
        } < seen  # before it was registered, in its birth, and on the way back
