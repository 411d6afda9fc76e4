"""The server of the tests gives a schema to the next test only when nothing of the last one can write into it."""

import psycopg
import pytest

from graphengine.databases.postgres import PostgresStore
from tests.kit import postgres
from tests.kit.postgres import PostgresServer


async def test_a_schema_is_not_reused_while_a_session_of_its_test_is_left(
    postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server carries out what a killed process had sent, and only then sees that it is gone."""
    address = postgres_server.empty_address()
    store = PostgresStore(address)
    await store.open()
    await store.close()
    with psycopg.connect(postgres_server.address(), application_name="graphengine"), monkeypatch.context() as patch:
        patch.setattr(postgres, "_LEFT_SECONDS", 0.1)
        postgres_server.give_back(address)
    given = {postgres_server.empty_address() for _ in range(3)}
    assert address not in given
    postgres_server.give_back(address)
    assert postgres_server.empty_address() == address
