"""What a killed process drove can be ended and erased for good: there is nobody to ask."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from graphengine import Runner
from graphengine.databases.addresses import is_postgres
from graphengine.memory import erase
from tests.crash.test_leases import LONG_SECONDS, Start, start, wait_for_death

__all__ = ["start"]


def killed(database: str, start: Start) -> None:
    """Let a process be killed in a node of Ada's run."""
    dead = start(LONG_SECONDS, "start", "user=ada")
    dead.line("in second")
    dead.process.kill()
    dead.process.wait()
    wait_for_death(database)


def test_a_final_stop_ends_an_orphan_at_once(database: str, start: Start) -> None:
    """It is cancelled, and drops what was sent to it; a plain stop is left to the next process that drives it."""
    killed(database, start)

    async def stop() -> list[str]:
        async with Runner(database) as runner:
            await runner.send("r", "topic", "words")
            await runner.stop("r", "for now")
            before = (await runner.info("r")).status
            await runner.stop("r", "for good", final=True)
            assert await runner.store.inbox(["r"]) == []
            info = await runner.info("r")
            assert info.summary is not None
            return [before, info.status, info.summary.reason]

    assert asyncio.run(stop()) == ["interrupted", "cancelled", "for good"]


def test_an_orphan_is_erased_with_its_user(database: str, start: Start) -> None:
    """No stop is needed before it."""
    killed(database, start)

    async def erased() -> list[object]:
        async with Runner(database) as runner:
            done = await erase(runner, "ada")
            return [{*done.runs}, {*done.kept}, list(await runner.runs())]

    assert asyncio.run(erased()) == [{"r"}, set(), []]


def test_an_orphan_of_another_host_is_erased_once_its_lease_is_over(database: str, start: Start) -> None:
    """Until then it counts as driven, since only the lease says how its process is."""
    if is_postgres(database):
        pytest.skip("a server knows which sessions are there, whatever host they are of")
    killed(database, start)

    def change(statement: str) -> None:
        with closing(sqlite3.connect(Path(database))) as connection, connection:
            connection.execute(statement)

    async def kept() -> list[str]:
        async with Runner(database) as runner:
            return [*(await erase(runner, "ada")).kept.values()]

    change("UPDATE owners SET host = 'elsewhere'")
    (why,) = asyncio.run(kept())
    assert why.startswith("driven by ")
    change("UPDATE owners SET expires_at = 1")
    assert asyncio.run(kept()) == []
