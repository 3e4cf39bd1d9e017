"""Names that mean something else to whoever makes jails are no tenants."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from hive.db.session import open_engine, transaction
from hive.tenants import OTHER_MEANINGS, Tier, list_all, register
from signing.errors import UsageError
from signing.format.names import Pin, parse_tenant_id


@pytest.mark.parametrize("name", sorted(OTHER_MEANINGS))
def test_a_name_with_another_meaning_is_not_registered(name: str, tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path}/hive.db")
    with transaction(engine) as session, pytest.raises(UsageError):
        register(
            session,
            parse_tenant_id(name),
            tier=Tier.FREE,
            profile=Pin.parse("base==1"),
            collection_id=None,
            scratch=False,
            now=datetime(2026, 11, 1, tzinfo=UTC),
        )
    with transaction(engine) as session:
        assert list_all(session) == []
    engine.dispose()
