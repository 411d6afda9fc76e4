"""Suites of recorded runs as files with one test; `suites.txt` shows which runs they choose."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import BaseModel

from graphengine import Graph, Runner, value
from graphengine.errors import InputError
from graphengine.records.export import BadExport
from graphengine.testing.suites import suite
from tests.kit.runs import repeated

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


def counting(least: int = 3, name: str = "steps") -> Graph[Work]:
    """Return a graph that counts to a number."""
    return repeated(Work, lambda n: n + 1, "n", value("n") >= least, name=name)


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
    path, folder = tmp_path / "runs.db", tmp_path / "recorded"
    async with Runner(path) as runner:
        await runner.start(counting(3), {}, run_id="old").result()
        await (await suite(counting(3), ["old"], path)).write(folder, "flow", "graph", path)
        await runner.start(counting(2), {}, run_id="new").result()
    found = await suite(counting(2), ["old", "new"], path)
    assert (list(found.differing), [each.run_id for each in found.runs]) == (["old"], ["new"])
    first, second = found.changes_in(folder, counting(2))
    assert first.startswith("old.json: decided otherwise today: step ")
    assert second.startswith("new.json: new: ")
    await found.write(folder, "flow", "graph", path)
    assert [file.name for file in sorted(folder.glob("*.json"))] == ["new.json"]


async def test_other_files_of_the_folder_are_not_removed(tmp_path: Path) -> None:
    """Neither a JSON file that is no run nor the suite of another graph."""
    path, folder = tmp_path / "runs.db", tmp_path / "suite"
    one, two = counting(), counting(name="two")
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
