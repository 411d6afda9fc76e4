"""A rule-based stand-in that fails would fail the same way again: its node is not tried again for that."""

from __future__ import annotations

from typing import Any

import pytest

from graphengine import END, START, Agent, Graph, Retry, Runner
from graphengine.engine.steps import outcome_of
from graphengine.models.errors import ModelOverloaded
from graphengine.records.replay.replay import replay
from graphengine.testing import FakeClock
from tests.agents.run_kits import Work, failing, names, one, within

AGAIN = Retry(attempts=3, initial_seconds=5)


def agent(asked: list[str], error: Exception | None = None, **more: Any) -> Agent[Any]:
    """Return an agent whose rules fail, or return an answer that does not fit."""

    def rules(task: str) -> str:
        asked.append(task)
        if error is not None:
            raise error
        return "many"

    return Agent("writer", prompt="{task}", by_rules=rules, **more)


@pytest.mark.parametrize("error", [ValueError("no"), KeyError("no"), ZeroDivisionError("no")])
async def test_what_rules_raise_is_not_tried_again(error: Exception) -> None:
    """There is no delay either; the log says that the error would recur."""
    asked: list[str] = []
    graph = one(agent(asked, error), retry=AGAIN)
    async with Runner(clock=FakeClock()) as runner:
        run = runner.start(graph)
        result = await failing(run)
        steps = list(await runner.history(run.id))
    assert len(asked) == 1
    assert result.error is not None
    assert result.error.attempt == 1
    failure = outcome_of(steps[-1]).error
    assert failure is not None
    assert failure.repeats


async def test_an_answer_of_rules_that_does_not_fit_is_not_tried_again() -> None:
    """The rules would return it again."""
    asked: list[str] = []
    async with Runner(clock=FakeClock()) as runner:
        result = await failing(runner.start(one(agent(asked, output=list[str]), writes="drafts", retry=AGAIN)))
    assert len(asked) == 1
    assert result.error is not None
    assert result.error.kind == "bad_answer"


@pytest.mark.parametrize("error", [OSError("busy"), TimeoutError("late"), ModelOverloaded("busy"), RuntimeError("?")])
async def test_what_may_pass_is_tried_again(error: Exception) -> None:
    """Rules may read a file or ask a service."""
    asked: list[str] = []
    async with Runner(clock=FakeClock()) as runner:
        await failing(runner.start(one(agent(asked, error), retry=AGAIN)))
    assert len(asked) == 3


async def test_a_graph_around_it_is_tried_again() -> None:
    """Its rules may get other inputs then."""
    asked: list[str] = []
    inner = Graph("inner", Work, result="draft")
    inner.add_node("write", agent(asked, ValueError("no")), writes="draft", retry=AGAIN)
    inner.add_path(START, "write", END)
    async with Runner(clock=FakeClock()) as runner:
        run = runner.start(one(inner, retry=Retry(attempts=2, initial_seconds=0)))
        await failing(run)
        assert (await names(runner, run.id)).count("attempt") == 1
    assert len(asked) == 2


async def test_a_fallback_is_used_at_once() -> None:
    """Replaying the records makes the same decision."""
    asked: list[str] = []
    graph = one(agent(asked, ValueError("no")), retry=AGAIN, fallback="none")
    async with Runner(clock=FakeClock()) as runner:
        run = runner.start(graph)
        assert (await within(run)).state.draft == "none"
        steps = list(await runner.history(run.id))
    assert len(asked) == 1
    assert replay(graph, steps).same
