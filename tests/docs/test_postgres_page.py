"""docs/use/postgres.md: its Python runs over a server of the tests, and its GRANTs are enough."""

import asyncio
import re
import textwrap
from pathlib import Path

import psycopg

from graphengine.databases.postgres import PostgresStore
from tests.conformance.store_kit import append, batch, new_run, step
from tests.kit.postgres import PostgresServer

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "use" / "postgres.md").read_text(encoding="utf-8")
ADDRESS = "postgresql://me@db.example/runs"


def blocks(language: str) -> list[str]:
    """Return the blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


async def test_its_python_runs(postgres: str) -> None:
    """A Runner at an address, and a store with other options."""
    names: dict[str, object] = {}
    code = "\n".join(blocks("python")).replace(ADDRESS, postgres)
    source = f"from graphengine import Runner\nasync def main():\n{textwrap.indent(code, '    ')}    return store\n"
    exec(compile(source, "postgres.md", "exec"), names)  # noqa: S102 - it is our own page
    main = names["main"]
    assert callable(main)
    store = await main()
    assert isinstance(store, PostgresStore)
    await store.open()
    await store.close()


async def test_its_grants_are_enough(postgres_server: PostgresServer) -> None:
    """The page's grants let a user other than the schema's owner do whatever a worker does."""
    address = postgres_server.new_address()
    owner = PostgresStore(address)
    await owner.open()
    (grants,) = blocks("sql")
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
