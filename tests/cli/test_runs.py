import time
from pathlib import Path

import pytest

from graphengine import Runner
from graphengine.cli.project import find
from graphengine.cli.terminal import Channel
from graphengine.records.selection import Wanted, newest
from graphengine.testing import FakeClock
from tests.cli.programs import ASKING, COUNTER, Invoke


@pytest.fixture
def recorded(invoke: Invoke, project: Path) -> Invoke:
    """The command line in a project with two runs of `counter` and a failed one of `tally`."""
    (project / "flows" / "tally.py").write_text(
        COUNTER.replace('"counter"', '"tally"').replace("return n + 1", "raise ValueError('no')")
    )
    invoke("run", "counter", "--run-id", "first", "--tag", "kept")
    invoke("run", "tally", "--run-id", "second", "--tag", "kept")
    invoke("run", "counter", "--run-id", "third")
    return invoke


async def test_age_is_that_of_the_last_step(project: Path) -> None:
    """An old run with a recent step is new, and is found even after many newer runs."""
    graph = find("counter").graph
    clock = FakeClock(time.time() - 7200)
    async with Runner("checkpoints/runs.db", clock=clock) as runner:
        await runner.start(graph, {}, run_id="old").result()
        await runner.start(graph, {}, run_id="moved", pause_before=["more"]).result()
        for number in range(3):
            await runner.start(graph, {}, run_id=f"later{number}").result()
    async with Runner("checkpoints/runs.db") as runner:
        await runner.answer("moved", value=True)
        await runner.resume("moved", graph).result()
        wanted = [Wanted(9, newer_seconds=3600), Wanted(9, older_seconds=3600)]
        new, old = [[info.id for info in await newest(runner.store, each)] for each in wanted]
    assert new == ["moved"]
    assert sorted(old) == ["later0", "later1", "later2", "old"]


@pytest.mark.parametrize("columns", [80, 40])
@pytest.mark.parametrize("words", [["runs"], ["runs", "--tree"], ["show", "水水水水"]])
def test_the_table_fits_the_terminal(
    recorded: Invoke, monkeypatch: pytest.MonkeyPatch, columns: int, words: list[str]
) -> None:
    """Expendable columns are dropped, wide characters count as two; ids are never cut."""
    recorded("branch", "third", "--at", "2", "--run-id", "水水水水")
    monkeypatch.setattr(Channel, "columns", columns)
    recorded("run", "counter")  # whose id is a long one
    lines = recorded(*words).stdout.splitlines()
    table = [line for line in lines if "  " in line.strip()]
    assert max(len(line) + line.count("水") for line in table) <= columns
    assert any("水水水水" in line for line in lines)


def test_one_long_id_hides_no_column(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal an id that is longer than the others moves only its own row."""
    for run_id in ("one", "x" * 60):
        invoke("run", "counter", "--run-id", run_id)
    monkeypatch.setattr(Channel, "columns", 80)
    heading, long, short = invoke("runs").stdout.splitlines()
    assert {"graph", "status", "last"} <= {*heading.split()}
    assert long.startswith("x" * 60 + "  counter")
    assert short.startswith("one" + " " * 19 + "counter")


@pytest.mark.parametrize("columns", [120, 80, 40])
def test_what_a_run_waits_for_is_shown_below_it_on_a_terminal(
    invoke: Invoke, project: Path, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    """All words of a question, however narrow the terminal."""
    (project / "flows" / "asking.py").write_text(ASKING.replace("TYPE", "str").replace("What?", "水 or wine? " * 9))
    invoke("run", "asking", "--run-id", "r")
    monkeypatch.setattr(Channel, "columns", columns)
    heading, row, *lines = invoke("runs").stdout.splitlines()
    assert "waits for" not in heading
    assert row.startswith("r ")
    assert " ".join(line.strip() for line in lines).endswith(("水 or wine? " * 9).strip())
    assert all(line.startswith("    ") and len(line) + line.count("水") <= columns for line in lines)
