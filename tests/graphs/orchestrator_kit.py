"""Shared parts of the orchestrator tests: a task, its agents' answers, and runs of it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from graphengine import Result, RunFailed, Runner, ScriptedModel, TextFile
from graphengine.briefs.article import Fact, Findings, Review
from graphengine.patterns import Step
from graphs.orchestrator import Assignment, graph
from nodes.orchestration.handover import Verdict

SOURCE = TextFile(path="tides.md", text="The moon raises tides twice a day.\n\nThe sun raises smaller tides.\n")
GIVEN: Mapping[str, object] = {"task": "What makes tides?", "sources": [SOURCE]}
MOON = Fact(text="The moon raises tides twice a day.", file="tides.md", line=1)
FOUND = Findings(key_areas=["Tides"], facts={"Tides": [MOON]}, sources=["tides.md"])
REVIEW = Review(score=8, approved=True)
ACCEPT = Verdict(outcome="accept", score=8)
FIND = Step(id="find", role="researcher", input="What the moon does.")
WRITE = Step(id="write", role="writer", input="A paragraph.", needs=["find"])
PLAN = [FIND, WRITE]


def retry(reason: str, *redo: str) -> Verdict:
    """Return a verdict that wants another attempt."""
    return Verdict(outcome="retry", score=3, reasons=[reason], redo=list(redo))


async def run(
    script: Mapping[str, Any], given: Mapping[str, object] = GIVEN, made: Any = graph
) -> tuple[Result[Assignment], ScriptedModel]:
    """Run the workflow with scripted agents; check that every answer is used."""
    with ScriptedModel(script) as model:
        async with Runner(models={"*": model}) as runner:
            return await runner.start(made, given).result(), model


async def failing(script: Mapping[str, Any], made: Any = graph) -> tuple[Result[Assignment], ScriptedModel]:
    """Run the workflow in the same way, and expect it to fail."""
    with ScriptedModel(script) as model:
        async with Runner(models={"*": model}) as runner:
            with pytest.raises(RunFailed) as caught:
                await runner.start(made, GIVEN).result()
            return caught.value.result, model


def prompts(model: ScriptedModel, agent: str) -> list[str]:
    """Return the prompts of an agent, one text per call."""
    return [request.prompt for request in model.requests if request.agent == agent]


def label(result: Result[Any]) -> str:
    """Return the last label of a run."""
    return result.label


FIRST: Mapping[str, Sequence[object]] = {
    "planner": [[FIND, WRITE, Step(id="check", role="reviewer", input="Review it.", needs=["find", "write"])]],
    "researcher": [FOUND],
    "writer": ["# Tides\n\nTides."],
    "reviewer": [REVIEW],
    "validator": [ACCEPT],
    "synthesiser": ["The moon."],
}


async def once(database: Path, run_id: str, given: Mapping[str, object] = GIVEN) -> ScriptedModel:
    """Run the workflow from beginning to end with a Runner of its own, like a separate process."""
    with ScriptedModel(FIRST) as model:
        async with Runner(database, models={"*": model}) as runner:
            await runner.start(graph, given, run_id=run_id).result()
        return model
