"""Who answered a question is recorded with the answer, and shown."""

from pathlib import Path

import pytest
from pydantic import BaseModel

from graphengine import Context, Graph, Runner, ask
from graphengine.cli.steps import answer as in_words
from graphengine.engine.steps import Answered, AnswerRecord, Node, Step
from graphengine.errors import InputError
from tests.kit.runs import alone


class Count(BaseModel):
    """A number."""

    n: int = 0


async def draw(ctx: Context) -> int:
    """Ask inside a node."""
    return await ctx.ask("How many?", int)


def asking(*, inside: bool) -> Graph[Count]:
    """Return a graph that asks for a number."""
    return alone(Count, draw if inside else ask("How many?", int), "n", name="asks", node="number")


async def answer_in(runner: Runner) -> tuple[Step, AnswerRecord]:
    """Return the step of run `r` that has an answer, and the answer."""
    for step in await runner.history("r"):
        if isinstance(step.data, (Answered, Node)) and step.data.answer is not None:
            return step, step.data.answer
    raise LookupError


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("kept", [False, True])
async def test_who_answered_is_recorded(tmp_path: Path, *, inside: bool, kept: bool) -> None:
    """With the answer, by a node that asks and inside one; also in the picture of the run in words."""
    async with Runner(tmp_path / "runs.db" if kept else None) as runner:
        await runner.start(asking(inside=inside), run_id="r").result()
        await runner.answer("r", 5, by="ada@example.org")
        assert (await runner.resume("r", asking(inside=inside)).result()).state.n == 5
        step, answer = await answer_in(runner)
    assert (answer.value, answer.by) == (5, "ada@example.org")
    assert in_words(step, 80).startswith("answered by ada@example.org")


async def test_nobody_is_named_who_was_not() -> None:
    """The step is as before."""
    async with Runner() as runner:
        await runner.start(asking(inside=True), run_id="r").result()
        await runner.answer("r", 5)
        await runner.resume("r", asking(inside=True)).result()
        step, answer = await answer_in(runner)
    assert answer.by == ""
    assert " by " not in in_words(step, 80)


async def test_a_name_that_cannot_be_stored_is_refused() -> None:
    """Before anything is recorded."""
    async with Runner() as runner:
        await runner.start(asking(inside=True), run_id="r").result()
        with pytest.raises(InputError, match="who answers"):
            await runner.answer("r", 5, by="a\0b")
