"""Databases of earlier versions, which accepted infinite times and wrote them as numbers that JSON lacks."""

import asyncio
import json
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic_core import from_json, to_json

from graphengine import Graph, Runner
from graphengine.engine.step_json import encode_step
from graphengine.engine.steps import Step
from graphengine.stores.sqlite import store as sqlite_store
from tests.cli.programs import Invoke

PROGRAM = """
import math
from pydantic import BaseModel
from graphengine import END, START, Graph, ask

class Desk(BaseModel):
    style: str = ""

graph = Graph("desk", Desk, result="style")
graph.add_node("style", ask("Which style?", str, timeout_seconds=math.inf), writes="style")
graph.add_path(START, "style", END)
"""
DATABASE = Path("checkpoints", "runs.db")


def endless(value: Any) -> Any:
    """Return a record with infinite times."""
    if isinstance(value, Mapping):
        changed = {
            name: math.inf if name in ("due", "timeout_seconds") else endless(item) for name, item in value.items()
        }
        return {**changed, "seconds": math.inf} if "steps" in changed else changed
    return [endless(item) for item in value] if isinstance(value, list) else value


def as_earlier(step: Step) -> bytes:
    """Return the bytes of a step as an earlier version wrote it."""
    return to_json(endless(from_json(encode_step(step))))


@pytest.fixture
def run_id(project: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A run that waits forever, as an earlier version recorded it."""
    (project / "flows" / "desk.py").write_text(PROGRAM)
    DATABASE.parent.mkdir()
    namespace: dict[str, Any] = {}
    exec(PROGRAM.replace("math.inf", "1000"), namespace)  # noqa: S102 - our own program
    graph: Graph[Any] = namespace["graph"]

    async def recorded() -> str:
        async with Runner() as runner:
            waiting = runner.start(graph)
            await waiting.result()
            info = await runner.store.info(waiting.id)
            steps = await runner.store.steps(waiting.id)
            outline = await runner.store.outline(info.fingerprint)
        monkeypatch.setattr(sqlite_store, "encode_step", as_earlier)
        async with Runner(DATABASE) as runner:
            fence = await runner.store.create(replace(info, due_at=math.inf), steps, endless(outline))
            await runner.store.release(waiting.id, fence)
        return waiting.id

    return asyncio.run(recorded())


@pytest.mark.parametrize("words", ["runs", "show ID", "show ID --step 2", "export ID", "doctor"])
def test_a_time_without_an_end_is_read_as_none(run_id: str, invoke: Invoke, words: str) -> None:
    """Every command reads the run, and its JSON is valid."""
    asked = [run_id if word == "ID" else word for word in words.split()]
    for more in ((), ("--json",)):
        found = invoke(*asked, *more)
        assert found.exit_code in (0, 3), found.output
        assert "inf" not in found.stdout.lower()
        if more or asked[0] == "export":
            json.loads(found.stdout, parse_constant=pytest.fail)


def test_a_wait_without_an_end_is_answered(run_id: str, invoke: Invoke) -> None:
    """The run continues on the current graph."""
    found = invoke("answer", run_id, "plain", "--json")
    assert found.exit_code == 0, found.output
    assert json.loads(found.stdout)["output"] == "plain"
