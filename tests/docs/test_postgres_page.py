"""docs/use/postgres.md: its Python runs over a server of the tests, and its GRANTs are enough."""

import asyncio
import re
import textwrap
from functools import partial
from pathlib import Path
from types import ModuleType

import psycopg
import pytest

from graphengine.stores.postgres import PostgresStore
from tests.conformance.store_kit import append, batch, new_run, step
from tests.kit.postgres import PostgresServer, execute

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "use" / "postgres.md").read_text(encoding="utf-8")
ADDRESS = "postgresql://me@db.example/runs"


def blocks(language: str) -> list[str]:
    """Return the blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


async def test_its_python_runs(postgres: str) -> None:
    """A Runner at an address, and a store with other options."""
    names: dict[str, object] = {}
    code = "\n".join(block for block in blocks("python") if "procrastinate" not in block).replace(ADDRESS, postgres)
    source = f"from graphengine import Runner\nasync def main():\n{textwrap.indent(code, '    ')}    return store\n"
    exec(compile(source, "postgres.md", "exec"), names)  # noqa: S102 - it is our own page
    main = names["main"]
    assert callable(main)
    store = await main()
    assert isinstance(store, PostgresStore)
    await store.open()
    await store.close()


async def test_procrastinate_drives_runs(postgres: str) -> None:
    """Its worker drives a run to its question, and after the answer to its end; the sweep finds one without a job."""
    pytest.importorskip("procrastinate")
    base, _, schema = postgres.partition("?schema=")
    execute(base, f"CREATE SCHEMA jobs_{schema}")
    (code,) = [block for block in blocks("python") if "procrastinate" in block]
    own = f"{base}?options=-csearch_path%3Djobs_{schema}"
    page = ModuleType("shop")
    code = code.replace(f'"{ADDRESS}"', f'"{postgres}"').replace("=DB)", f'="{own}")')
    exec(compile(code, "shop", "exec"), vars(page))  # noqa: S102 - it is our own page
    jobs, runner = page.jobs, page.runner
    async with runner, jobs.open_async():
        await jobs.schema_manager.apply_schema_async()
        work = partial(jobs.run_worker_async, queues=["runs"], wait=False, install_signal_handlers=False)
        run = await page.submit(page.Order(item="tea"))
        lost = runner.start(page.orders, page.Order(item="salt"), queue="procrastinate")
        await lost.result()
        await page.sweep(0)
        await work()
        for each in (run, lost):
            assert (await runner.info(each.id)).status == "waiting"
            await page.approve(each.id)
        await work()
        results = [await runner.get(each.id, page.orders).result() for each in (run, lost)]
    assert [(result.status, result.state.approved) for result in results] == [("finished", True)] * 2


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
