"""docs/use/nothing-acts-twice.md: its first program runs; the one with its own database is killed at each point."""

import asyncio
import subprocess
from pathlib import Path

import pytest

from graphengine import Runner
from tests.docs.page import ROOT, blocks, names_of
from tests.kit import forks
from tests.kit.postgres import execute

PAGE = ROOT / "docs" / "use" / "nothing-acts-twice.md"
VICTIM = ROOT / "tests" / "crash" / "transaction_victim.py"
FIRST, WAITING, WIDGETS, REFUNDS = blocks(PAGE, "python")
STOCK, SHOP = blocks(PAGE, "sql")
ONCE = "effect=Once(reconcile=refund_of)"
LINES = 60


def test_the_first_program_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It refunds once."""
    monkeypatch.chdir(tmp_path)
    asyncio.run(names_of(FIRST)["main"]())
    assert capsys.readouterr().out == "It is refunded. 1\n"


async def test_the_program_that_waits_acts_after_the_answers() -> None:
    """It asks before each of its effects, and is done when both are answered."""
    graph = names_of(FIRST + WAITING)["orders"]
    async with Runner() as runner:
        result = await runner.start(graph, run_id="r").result()
        for _ in range(2):
            assert result.status == "waiting"
            await runner.answer("r", "yes")
            result = await runner.resume("r", graph).result()
    assert (result.status, result.state.paid) == ("finished", "paid 5")


def test_an_order_is_placed_once_whenever_the_program_is_killed(postgres: str, tmp_path: Path) -> None:
    """Before and after each statement of its transaction, each write of its run, and each task."""
    assert len(WIDGETS.splitlines()) <= LINES
    program = tmp_path / "widgets.py"
    program.write_text(WIDGETS, encoding="utf-8")
    base, _, schema = postgres.partition("?schema=")
    execute(postgres, f"CREATE SCHEMA IF NOT EXISTS {schema}_own")
    own = f"{base}?schema={schema}_own"
    execute(own, *STOCK.split(";")[:2], "INSERT INTO stock VALUES ('widget', 1000)")
    placed: list[tuple[object, ...]] = []

    def run(number: int, *point: str) -> list[str]:
        """Run an order in a schema of runs, killed at a point, to its end; return the points that it passed."""
        address = f"{base}?schema={schema}_runs{number}&options=-csearch_path%3D{schema}_own"
        words, loads = (str(program), *point), ["psycopg", "graphengine.databases.postgres"]
        if point:
            ended = forks.run(VICTIM, *words, folder=tmp_path, variables={"STORE": address}, loads=loads)
            assert ended.returncode == -9, (point, ended.stderr)
        ended = forks.run(VICTIM, str(program), folder=tmp_path, variables={"STORE": address}, loads=loads)
        numbers = [row for row in execute(own, "SELECT number FROM orders ORDER BY number") if row not in placed]
        assert len(numbers) == 1, (point, numbers)
        assert ended.stdout == f"order {numbers[0][0]}\n", (point, ended.stderr)
        placed.extend(numbers)
        execute(base, f"DROP SCHEMA {schema}_runs{number} CASCADE")
        return (tmp_path / "points").read_text(encoding="utf-8").splitlines()

    points = [line.rpartition(":") for line in run(0)]
    for number, (name, _, count) in enumerate(points, 1):
        run(number, name, count)
    assert {"before held execute", "after held execute", "before write"} <= {name for name, _, _ in points}
    assert execute(own, "SELECT count FROM stock") == [(1000 - 1 - len(points),)]
    execute(base, f"DROP SCHEMA {schema}_own CASCADE")


@pytest.mark.parametrize("effect", [ONCE, 'effect="idempotent"'])
def test_an_order_is_refunded_once_whenever_the_program_is_killed(effect: str, postgres: str, tmp_path: Path) -> None:
    """Before and after each statement, each commit of either database, and each task; another process ends the run."""
    assert len(REFUNDS.splitlines()) <= LINES
    assert ONCE in REFUNDS
    program = tmp_path / "refunds.py"
    program.write_text(REFUNDS.replace(ONCE, effect), encoding="utf-8")
    base, _, schema = postgres.partition("?schema=")
    shop = f"{base}?options=-csearch_path%3D{schema}"
    execute(postgres, f"CREATE SCHEMA IF NOT EXISTS {schema}", *SHOP.split(";")[:2])

    def life(folder: Path, *point: str) -> "subprocess.CompletedProcess[str]":
        words = (str(program), *point)
        return forks.run(VICTIM, *words, folder=folder, variables={"SHOP": shop}, loads=["psycopg"])

    def run(name: str, *point: str) -> Path:
        """Run it in a folder of its own, killed at a point, to the end; check what the shop has then."""
        folder = tmp_path / name
        folder.mkdir()
        execute(postgres, "TRUNCATE orders, refunds", "INSERT INTO orders VALUES ('A7', 20)")
        if point:
            assert life(folder, *point).returncode == -9, point
        ended = life(folder)
        assert ended.stdout.startswith("refund "), ended.stderr
        found = execute(postgres, "SELECT paid, (SELECT count(*) FROM refunds) FROM orders")
        assert found == [(15, 1)], point
        return folder

    passed = (run("whole") / "points").read_text(encoding="utf-8").splitlines()
    points = [line.rpartition(":") for line in passed]
    for number, (name, _, count) in enumerate(points):
        run(f"killed{number}", name, count)
    assert {"before shop execute", "after shop commit", "after commit"} <= {name for name, _, _ in points}
    execute(postgres, "DROP TABLE orders, refunds")
