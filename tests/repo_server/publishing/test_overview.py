"""What `status` knows: who is missing, what is published, what is about to end."""

from datetime import timedelta

from repo_server.db.session import snapshot
from repo_server.publishing.overview import overview, problems, releases_of, role_facts
from tests.support.world import World, now


def test_who_is_missing_is_named(world: World) -> None:
    candidate = world.import_skill("pdf-tools==1.0")
    world.review(candidate)
    world.sign(candidate, by="bob")
    with snapshot(world.repository.engine) as session:
        document = overview(session, dev=True, now=now())
    by_name = {item["name"]: item for item in document["candidates"]}
    assert by_name["pdf-tools"]["missing"] == ["alice"]
    assert by_name["pdf-tools"]["state"] == "reviewed"
    assert by_name["web-search"]["missing"] == []
    assert document["published"] == 1
    assert [(item["name"], item["state"]) for item in document["profiles"]] == [("base", "published")]
    assert document["problems"] == []
    assert document["dev"] is True


def test_bins_are_counted_out_of_the_roles(world: World) -> None:
    with snapshot(world.repository.engine) as session:
        shown = overview(session, dev=False, now=now())["roles"]
        everything = role_facts(session)
    assert set(shown) == {"root", "targets", "skills", "profiles", "revocations", "snapshot", "timestamp"}
    assert set(everything) - set(shown) == {f"skills-{number}" for number in range(4)}


def test_what_is_about_to_end_is_said(world: World) -> None:
    start = now()
    with snapshot(world.repository.engine) as session:
        assert problems(session, now=start) == []
        soon = problems(session, now=start + timedelta(days=21))
        assert any(text.startswith("timestamp expired") for text in soon)
        assert any(text.startswith("revocations expires") for text in soon)
        late = problems(session, now=start + timedelta(days=400))
    assert all(" expired at " in text for text in late)
    assert {text.split()[0] for text in late} >= {"root", "targets", "skills", "snapshot", "timestamp"}


def test_releases_are_listed_newest_first(world: World) -> None:
    for version in ("1.9", "1.10", "1.10rc1"):
        world.publish_skill(f"web-search=={version}")
    with snapshot(world.repository.engine) as session:
        found = [row.version for row in releases_of(session, "web-search")]
        assert releases_of(session, "nothing") == []
    assert found == ["1.10", "1.10rc1", "1.9", "1.0"]
