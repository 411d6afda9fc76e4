"""Suites: the fewest recorded runs that take every edge, ending, failure and fallback, as files with one test."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from pydantic import BaseModel

from graphengine import END, START, Graph, RunFailed, Runner, failed, value
from graphengine.errors import InputError
from graphengine.records.export import BadExport
from graphengine.testing.suites import suite

FLOW = """
from pydantic import BaseModel
from graphengine import END, START, Graph, value
class Work(BaseModel):
    n: int = 0
    least: int = {least}
graph = Graph("steps", Work)
graph.add_node("more", lambda n: n + 1, writes="n")
graph.add_edge(START, "more")
graph.add_edge("more", END, when=value("n") >= {least}, label="enough")
graph.add_edge("more", "more")
"""


class Work(BaseModel):
    n: int = 0
    kind: str = ""
    done: str = ""


def work(n: int, kind: str) -> str:
    """Fail as asked."""
    if kind == "bad":
        raise ValueError("bad")
    return kind * n


def steps() -> Graph[Work]:
    """Return a graph with an edge by size, one after a failure, and an edge that no run takes."""
    graph = Graph("steps", Work)
    graph.add_node("work", work, writes="done")
    graph.add_node("mend", lambda: "mended", writes="done")
    graph.add_edge(START, "work")
    graph.add_edge("work", END, when=value("n") >= 5, label="large")
    graph.add_edge("work", END, when=value("kind") == "never", label="never")
    graph.add_edge("work", END, label="small")
    graph.add_edge("work", "mend", when=failed(ValueError))
    graph.add_edge("mend", END, label="mended")
    return graph


async def test_the_fewest_runs_take_all_that_occurred(tmp_path: Path) -> None:
    """Of twelve runs three are needed; the edge that none takes is named."""
    path, graph = tmp_path / "runs.db", steps()
    async with Runner(path) as runner:
        for number in range(4):
            for name, given in (("small", (1, "a")), ("large", (7, "a")), ("bad", (1, "bad"))):
                await runner.start(graph, {"n": given[0], "kind": given[1]}, run_id=f"{name}{number}").result()
    names = [f"{name}{number}" for number in range(4) for name in ("small", "large", "bad")]
    found = await suite(graph, names, path)
    assert (found.looked_at, sorted(each.run_id for each in found.runs)) == (12, ["bad0", "large0", "small0"])
    assert [line for line in found.missing if "never" in line] == list(found.missing)
    assert any("fails with ValueError" in mark for each in found.runs for mark in each.adds)
    assert {mark for each in found.runs for mark in each.adds if mark.startswith("ends")} == {
        "ends: end [large]",
        "ends: end [mended]",
        "ends: end [small]",
    }


async def test_limits_failures_and_fallbacks_count(tmp_path: Path) -> None:
    """They are no edges of the graph."""
    graph = Graph("one", Work)
    graph.add_node("work", work, writes="done", fallback="none")
    graph.add_path(START, "work", END)
    plain = Graph("plain", Work)
    plain.add_node("work", work, writes="done")
    plain.add_path(START, "work", END)
    path = tmp_path / "runs.db"
    async with Runner(path) as runner:
        await runner.start(graph, {"kind": "bad"}, run_id="fell").result()
        await runner.start(graph, {"kind": "good"}, run_id="good").result()
        with suppress(RunFailed):
            await runner.start(plain, {"kind": "bad"}, run_id="failed").result()
    found = await suite(graph, ["fell", "good", "none"], path)
    assert ([each.run_id for each in found.runs], list(found.unread)) == (["fell"], ["none"])
    assert "work: its fallback" in found.runs[0].adds
    assert "ends: failed" in (await suite(plain, ["failed"], path)).runs[0].adds


def test_the_written_test_passes_and_fails_with_the_graph(tmp_path: Path) -> None:
    """And `changes_in` says what differs once the graph has changed."""
    (tmp_path / "flow.py").write_text(FLOW.format(least=3))
    sys.path.insert(0, str(tmp_path))
    try:
        import flow  # type: ignore[import-not-found]  # noqa: PLC0415 - written here

        flow.graph.run_sync({}, store=tmp_path / "runs.db", run_id="long/one")
        found = asyncio.run(suite(flow.graph, ["long/one"], tmp_path / "runs.db"))
        folder = tmp_path / "recorded"
        files = asyncio.run(found.write(folder, "flow", "graph", tmp_path / "runs.db"))
        assert found.changes_in(folder, flow.graph) == []
    finally:
        sys.path.remove(str(tmp_path))
        sys.modules.pop("flow", None)
    assert [file.name for file in files if file.suffix == ".py"] == ["test_recorded_steps.py"]
    (tmp_path / "conftest.py").write_text("")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder)]
    bare = {"PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"}  # the file changes within a second, at equal size
    environment = {"PYTHONPATH": f"{tmp_path}:{Path.cwd()}", **bare}
    passed = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert passed.returncode == 0, passed.stdout
    (tmp_path / "flow.py").write_text(FLOW.format(least=2))
    refused = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (refused.returncode, "decides differently" in refused.stdout) == (1, True)


async def test_runs_that_are_decided_otherwise_are_left_out_and_named(tmp_path: Path) -> None:
    """A suite that replaces an earlier one shows what went and what came."""

    def graph(least: int) -> Graph[Work]:
        made = Graph("steps", Work)
        made.add_node("more", lambda n: n + 1, writes="n")
        made.add_edge(START, "more")
        made.add_edge("more", END, when=value("n") >= least, label="enough")
        made.add_edge("more", "more")
        return made

    path, folder = tmp_path / "runs.db", tmp_path / "recorded"
    async with Runner(path) as runner:
        await runner.start(graph(3), {}, run_id="old").result()
        await (await suite(graph(3), ["old"], path)).write(folder, "flow", "graph", path)
        await runner.start(graph(2), {}, run_id="new").result()
    found = await suite(graph(2), ["old", "new"], path)
    assert (list(found.differing), [each.run_id for each in found.runs]) == (["old"], ["new"])
    first, second = found.changes_in(folder, graph(2))
    assert first.startswith("old.json: decided otherwise today: step ")
    assert second.startswith("new.json: new: ")
    await found.write(folder, "flow", "graph", path)
    assert [file.name for file in sorted(folder.glob("*.json"))] == ["new.json"]


async def test_other_files_of_the_folder_are_not_removed(tmp_path: Path) -> None:
    """Neither a JSON file that is no run nor the suite of another graph."""
    path, folder = tmp_path / "runs.db", tmp_path / "suite"
    one, two = steps(), Graph("two", Work)
    two.add_node("work", work, writes="done")
    two.add_path(START, "work", END)
    async with Runner(path) as runner:
        await runner.start(one, {"n": 1}, run_id="one").result()
        await runner.start(two, {"n": 1}, run_id="two").result()
    await (await suite(one, ["one"], path)).write(folder, "flow", "graph", path)
    other = await suite(two, ["two"], path)
    with pytest.raises(InputError, match=r"one\.json is a run of steps, not of two"):
        await other.write(folder, "flow", "graph", path)
    assert sorted(file.name for file in folder.iterdir()) == ["one.json", "test_recorded_steps.py"]
    (tmp_path / "package.json").write_text("{}")
    with pytest.raises(BadExport):
        await other.write(tmp_path, "flow", "graph", path)
    assert (tmp_path / "package.json").exists()
