"""What happens by itself is checked: half a day before clients notice, `skillrepo doctor` ends with 6."""

from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from repo_server.doctor.checks import CHECKS, Examined
from repo_server.doctor.spreading import check_bucket, check_renewal
from repo_server.publishing import spreading_s3
from repo_server.publishing.keeper_metrics import KeeperNumbers
from repo_server.publishing.keeping_fresh import Look
from repo_server.publishing.spreading import spread
from repo_server.storage.choose import BlobSettings
from signing.checkup import examine, summed_up
from tests.repo_server.publishing.test_spreading import Bucket
from tests.support.world import World, now


@dataclass
class Lossy(Bucket):
    """A bucket that forgets what it was told to keep."""

    def read(self, path: str) -> bytes | None:
        return None if ".probe-" in path else super().read(path)


def well_and_text(
    world: World, check: object, *, at_hours: float = 0.0, **changes: object
) -> tuple[bool, str]:
    repository = replace(world.repository, **changes)  # type: ignore[arg-type]
    examined = Examined(repository=repository, now=now() + timedelta(hours=at_hours))
    found = examine({"it": check}, examined)  # type: ignore[dict-item]
    _, text, well = summed_up(found, not_made="", quiet=False)
    return well, text


def test_an_old_timestamp_is_bad_long_before_it_ends(world: World) -> None:
    world.refresh()
    for hours, well in ((0, True), (11.5, True), (12.5, False), (23.5, False), (25, False)):
        found, text = well_and_text(world, check_renewal, at_hours=hours)
        assert found is well, (hours, text)
    assert "clients refuse this repository" in well_and_text(world, check_renewal, at_hours=25)[1]
    assert "was not renewed" in well_and_text(world, check_renewal, at_hours=13)[1]
    (world.public / "metadata/timestamp.json").unlink()
    assert not well_and_text(world, check_renewal)[0]


def test_a_bucket_is_asked_whether_it_holds_what_is_published(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert well_and_text(world, check_bucket)[0]  # there is none
    settings = BlobSettings(
        bucket="published", endpoint="http://127.0.0.1:9", region="here", credentials="/nowhere"
    )
    config = replace(world.repository.config, published=settings)
    assert not well_and_text(world, check_bucket, config=config)[0]  # no credentials: not checked is not well
    bucket: Bucket = Bucket()
    monkeypatch.setattr(spreading_s3.Bucket, "of", lambda _: bucket)
    well, text = well_and_text(world, check_bucket, config=config)
    assert (well, "does not hold what is published" in text) == (False, True)
    spread(world.repository, bucket)
    assert well_and_text(world, check_bucket, config=config)[0]
    assert not [path for path in bucket.objects if "probe" in path]
    world.refresh()
    assert not well_and_text(world, check_bucket, config=config)[0]
    bucket = Lossy(bucket.objects)
    well, text = well_and_text(world, check_bucket, config=config)
    assert (well, "does not give back" in text) == (False, True)


def test_both_are_among_the_checks() -> None:
    assert {"renewal", "bucket"} <= CHECKS.keys()


def test_looks_are_counted(world: World) -> None:
    pytest.importorskip("prometheus_client")
    numbers, at = KeeperNumbers(world.repository, now), now()
    pause = timedelta(minutes=1)
    numbers.looked(Look(state=None, problems=(), pause=pause), at=at)
    numbers.looked(
        Look(state=None, problems=("a", "b"), pause=pause, failed=True), at=at + timedelta(hours=1)
    )

    def value(name: str, **labels: str) -> float | None:
        found: float | None = numbers.registry.get_sample_value(name, labels)
        return found

    assert value("skillrepo_keeper_looks_total", result="idle") == 1
    assert value("skillrepo_keeper_looks_total", result="failed") == 1
    assert value("skillrepo_keeper_looks_total", result="signed") == 0
    assert value("skillrepo_keeper_success_timestamp_seconds") == at.timestamp()
    assert value("skillrepo_keeper_problems") == 2
    assert value("skillrepo_role_expires_seconds", role="timestamp") is not None
