"""docs/use/postgres.md: its Python runs over a server of the tests, and its GRANTs are enough."""

import asyncio

import psycopg

from graphengine.databases.postgres import PostgresStore
from graphengine.kernel.testing.kit import append, batch, new_run, step
from tests.docs.page import USE, blocks, names_of
from tests.kit.postgres import PostgresServer

PAGE = USE / "postgres.md"
ADDRESS = "postgresql://me@db.example/runs"


async def test_its_python_runs(postgres: str) -> None:
    """A Runner at an address, and a store with other options."""
    names = names_of("\n".join(blocks(PAGE, "python")).replace(ADDRESS, postgres))
    async with names["runner"]:
        store = names["store"]
    assert isinstance(store, PostgresStore)
    await store.open()
    await store.close()


async def test_its_grants_are_enough(postgres_server: PostgresServer) -> None:
    """The page's grants let a user other than the schema's owner do whatever a worker does."""
    address = postgres_server.new_address()
    owner = PostgresStore(address)
    await owner.open()
    (grants,) = blocks(PAGE, "sql")
    base, _, schema = address.partition("?schema=")
    with psycopg.connect(base, autocommit=True) as connection:
        connection.execute("CREATE ROLE app LOGIN")
        connection.execute(grants.replace("graphengine", schema).encode())
    worker = PostgresStore(address.replace("tester@", "app@"))
    await worker.open()
    fence = await new_run(worker)
    await asyncio.gather(append(worker, batch("r", fence, [step(1)], "finished")), worker.post("r", "a", 1, "k"))
    await worker.remove([await worker.info("r")])
    await worker.sweep()
    assert await owner.ids("") == []
    await worker.close()
    await owner.close()
