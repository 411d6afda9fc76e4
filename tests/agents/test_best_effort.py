"""Retry, then best effort: what becomes of answers that a check still refuses after the last retry."""

from collections.abc import Sequence

import pytest
from pydantic import BaseModel

from graphengine import Agent, RunFailed, Runner, ScriptedModel
from graphengine.agents.errors import BadAnswer
from graphengine.agents.guards import guard
from tests.kit.runs import alone

MANY = [["a", "x"], ["b", "y"], ["z"]]


class Finding(BaseModel):
    """What is looked for, and what is found."""

    words: list[str]
    found: list[str] = []


def known(answer: list[str], words: Sequence[str]) -> None:
    """Refuse words that are not known."""
    if wrong := [word for word in answer if word not in words]:
        message = f"not known: {wrong}"
        raise ValueError(message)


def kept(answers: Sequence[list[str]], words: Sequence[str]) -> list[str]:
    """Keep the known words of all answers."""
    if found := [word for answer in answers for word in answer if word in words]:
        return found
    message = "none is known"
    raise ValueError(message)


finder = Agent("finder", prompt="Find {words}.", output=list[str], check=known, best_effort=kept)


def asked(answers: Sequence[object]) -> Agent[list[str]]:
    """Return the agent with these answers of its model."""
    return finder.but(model=ScriptedModel(answers))


async def test_after_the_last_retry_what_passes_is_kept() -> None:
    """It gets every refused answer, the latest first, and the fields that it names."""
    assert await asked(MANY).run(words=["a", "b"]) == ["b", "a"]


async def test_an_answer_that_passes_is_the_answer() -> None:
    """Whatever was refused before."""
    assert await asked([["x"], ["a"]]).run(words=["a", "b"]) == ["a"]


async def test_if_nothing_can_be_kept_the_error_is_that_of_the_check() -> None:
    """Its function says so with a ValueError."""
    with pytest.raises(BadAnswer, match="not known"):
        await asked(MANY).run(words=["c"])


async def test_an_answer_that_does_not_fit_the_type_leaves_those_before() -> None:
    """The last retry may give nothing at all."""
    assert await asked([["a", "x"], "I am sorry.", "No."]).run(words=["a"]) == ["a"]


async def test_what_a_guard_refuses_is_never_kept() -> None:
    """It stands in front of the check."""

    def clean(text: str) -> str:
        if text == "b":
            raise ValueError(text)
        return text

    assert await asked(MANY).but(guards=[guard(clean)]).run(words=["a", "b"]) == ["a"]


async def test_what_is_kept_fits_the_type() -> None:
    """Another value is an error that says so."""
    with pytest.raises(BadAnswer, match="does not fit list"):
        await asked(MANY).but(best_effort=lambda answers: f"{len(answers)} answers").run(words=["c"])


async def test_rules_are_kept_too() -> None:
    """They are asked once, as they would answer the same again."""
    ruled = Agent("finder", by_rules=lambda words: [*words, "x"], output=list[str], check=known, best_effort=kept)
    with pytest.raises(BadAnswer):
        await ruled.but(best_effort=None).run(words=["a"])
    assert await ruled.run(words=["a"]) == ["a"]


async def test_a_run_that_stopped_behind_it_asks_nothing_again() -> None:
    """What was kept is worked out from the recorded turns."""
    model = ScriptedModel({"finder": MANY})
    failures = iter([OSError("the disk is full")])

    async def find(words: list[str]) -> list[str]:
        found = await finder.run(words=words)
        for failure in failures:
            raise failure
        return found

    graph = alone(Finding, find, "found", name="finding", node="find", result="found")
    async with Runner(models={"*": model}) as runner:
        with pytest.raises(RunFailed):
            await runner.start(graph, {"words": ["a", "b"]}, run_id="r").result()
        result = await runner.resume("r", graph).result()
    assert result.output == ["b", "a"]
    assert len(model.requests) == len(MANY)
