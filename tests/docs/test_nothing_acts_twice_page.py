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
FIRST, WAITING, REFUNDS = blocks(PAGE, "python")
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


@pytest.mark.parametrize("effect", [ONCE, 'effect="idempotent"'])
def test_an_order_is_refunded_once_whenever_the_program_is_killed(effect: str, postgres: str, tmp_path: Path) -> None:
    """Before and after each statement, each commit of either database, and each task; another process ends the run."""
    assert len(REFUNDS.splitlines()) <= LINES
    assert ONCE in REFUNDS
    program = tmp_path / "refunds.py"
    program.write_text(REFUNDS.replace(ONCE, effect), encoding="utf-8")
    base, _, schema = postgres.partition("?schema=")
    shop = f"{base}?options=-csearch_path%3D{schema}"
    execute(postgres, f"CREATE SCHEMA IF NOT EXISTS {schema}", *blocks(PAGE, "sql")[0].split(";")[:2])

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
