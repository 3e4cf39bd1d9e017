"""Checks of what happens by itself: the timestamp is renewed long before it ends, the bucket holds what is published (edge)."""

import secrets
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from repo_server.db.session import snapshot
from repo_server.publishing.spreading import is_current
from signing.checkup import Said, bad, ok
from signing.format.moment import render_moment

if TYPE_CHECKING:
    from repo_server.doctor.checks import Examined

# It lives for 24 hours and is renewed after 6: half of that is left when two renewals did not happen.
_SAFE: Final = timedelta(hours=12)
_PROBE: Final = "skills/.probe-"


def check_renewal(examined: "Examined") -> Iterator[Said]:
    """The published timestamp is renewed in good time; this is said half a day before clients refuse the repository."""
    from repo_server.web.health import published_expiry, timestamp_reasons  # noqa: PLC0415 - it loads Flask

    root, now = examined.repository.skills_root, examined.now
    expires = published_expiry(root)
    if reasons := timestamp_reasons(root, now=now):
        yield bad(
            f"clients refuse this repository: {reasons[0]}",
            "skillrepo refresh; and see why it was not renewed",
        )
    elif expires is not None and expires - now < _SAFE:
        yield bad(
            f"the timestamp was not renewed and ends at {render_moment(expires)}; clients refuse the repository then",
            "is skillrepo refresh --every running, and what does it say?",
        )
    else:
        yield ok("the published timestamp is renewed in good time")


def check_bucket(examined: "Examined") -> Iterator[Said]:
    """The bucket, where the tree is copied to one, takes, gives, lists and removes objects, and holds what is published."""
    repository = examined.repository
    where = repository.config.published.where
    if not repository.config.published.bucket:
        yield ok("the published tree is copied to no bucket")
        return
    from repo_server.publishing.spreading_s3 import Bucket  # noqa: PLC0415 - an extra

    bucket, data = Bucket.of(repository), secrets.token_bytes(64)
    probe = f"{_PROBE}{secrets.token_hex(8)}"
    bucket.put(probe, data)
    try:
        if bucket.read(probe) != data or bucket.sizes("skills/").get(probe) != len(data):
            yield bad(f"{where} does not give back what it was given", "do not use this store")
            return
    finally:
        bucket.remove(probe)
    if bucket.read(probe) is not None:
        yield bad(
            f"{where}: a removed object is still there",
            "what is withdrawn would stay; is the bucket versioned?",
        )
    with snapshot(repository.engine) as session:
        current = is_current(repository, session, bucket)
    if current:
        yield ok(f"{where} holds what is published; no precondition of it is relied on")
    else:
        yield bad(
            f"{where} does not hold what is published",
            "skillrepo spread; is skillrepo refresh --every running?",
        )
