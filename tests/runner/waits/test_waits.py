"""Questions, messages and sleep with the real runner, over both stores, across restarts."""

import asyncio
from collections.abc import Sequence
from typing import Any, Literal

import pytest

from graphengine import Runner, ask, choose
from graphengine.errors import AnsweredAlready, AsksNothing, DefinitionError, InputError, UnknownRun
from graphengine.runner.run_events import StepRecorded
from tests.kit.facts import said
from tests.kit.runs import SOON, Odd
from tests.kit.waiting import Verdict, forked, names, path, resume_run, shown, waiting

# -- questions as nodes


@pytest.mark.parametrize(
    ("kind", "field", "given", "expected"),
    [
        (bool, "ok", True, True),
        (bool, "ok", False, False),
        (Verdict, "verdict", Verdict(ok=True, score=7), Verdict(ok=True, score=7)),
        (Verdict, "verdict", {"ok": False, "score": 0}, Verdict(ok=False, score=0)),
        (Literal["yes", "no"], "word", "no", "no"),
        (list[str], "names", ["x", "y"], ["x", "y"]),
        (str, "word", "", ""),
    ],
)
async def test_a_question_ends_with_its_answer(
    runner: Runner, kind: Any, field: str, given: object, expected: object
) -> None:
    """The question is filled from the state; the answer is returned as a value of its type."""
    graph = path(("q", ask("Publish {title}?", kind), field))
    result = await runner.start(graph).result()
    assert result.status == "waiting"
    (wait,) = result.waits
    assert (wait.name, wait.kind, wait.question, wait.answerable) == ("q", "ask", "Publish Ants?", True)
    assert wait.schema is not None
    assert (wait.topic, wait.due_at) == (None, None)
    (same,) = await runner.waits(result.run_id)
    assert (same.name, same.schema, same.run_id) == (wait.name, wait.schema, result.run_id)
    assert (await runner.store.info(result.run_id)).status == "waiting"
    await runner.answer(result.run_id, given)
    done = await resume_run(runner, graph, result.run_id)
    assert (done.status, getattr(done.state, field), done.waits) == ("finished", expected, [])


@pytest.mark.parametrize(
    ("kind", "given", "expected"),
    [
        (bool, "maybe", "'maybe' is not yes or no"),
        (Verdict, {"ok": True, "score": 11}, "score: 11 is greater than the maximum of 10"),
        (Verdict, {"score": 1}, "ok is missing"),
        (Literal["yes", "no"], "perhaps", "'perhaps' is not yes or no"),
        (list[str], ["x", 3], "[1]: 3 is not a text"),
    ],
)
async def test_an_answer_that_the_schema_refuses_raises(
    runner: Runner, kind: Any, given: object, expected: str
) -> None:
    """The error explains what is wrong and what is expected; nothing is recorded and the wait stays open."""
    graph = path(("q", ask("Well?", kind), {"log": shown}))
    run_id = await waiting(runner, graph)
    before = len(await runner.history(run_id))
    with pytest.raises(InputError) as caught:
        await runner.answer(run_id, given)
    assert "'Well?'" in caught.value.message
    assert expected in caught.value.message
    assert caught.value.repair.startswith("answer ")
    assert len(await runner.history(run_id)) == before
    assert names(await runner.waits(run_id)) == ["q"]
    assert (await resume_run(runner, graph, run_id)).status == "waiting"


async def test_an_answer_that_only_the_type_refuses_is_recorded_as_refused(runner: Runner) -> None:
    """The run keeps waiting, and takes the next answer."""
    graph = path(("q", ask("A number?", Odd), "odd"))
    run_id = await waiting(runner, graph)
    await runner.answer(run_id, {"n": 2})
    assert (await resume_run(runner, graph, run_id)).status == "waiting"
    refused = [step for step in await runner.history(run_id) if step.kind == "refused"]
    assert [said(step)["answer"] for step in refused] == [{"n": 2}]
    assert "even" in said(refused[0])["message"]
    await runner.answer(run_id, {"n": 3})
    assert (await resume_run(runner, graph, run_id)).state.odd == Odd(n=3)


async def test_what_json_cannot_carry_is_no_answer(runner: Runner) -> None:
    """An answer that JSON cannot carry is refused, and the error names it."""
    run_id = await waiting(runner, path(("q", ask("Well?", str), "word")))
    with pytest.raises(InputError, match="JSON cannot carry the answer"):
        await runner.answer(run_id, object())


async def test_answers_find_their_run_and_wait(runner: Runner) -> None:
    """An unknown run, an unknown wait, and a run that asks nothing have different errors."""
    graph = path(("q", ask("Well?", str), "word"))
    run_id = await waiting(runner, graph)
    with pytest.raises(UnknownRun):
        await runner.answer("unknown", "x")
    with pytest.raises(InputError, match=r"has no question named 'p'[\s\S]*known: q"):
        await runner.answer(run_id, "x", question="p")
    await runner.answer(run_id, "x")
    await resume_run(runner, graph, run_id)
    with pytest.raises(AsksNothing, match="is finished and asks nothing"):
        await runner.answer(run_id, "x")
    with pytest.raises(InputError, match="is over"):
        await runner.send(run_id, "topic", 1)


async def test_a_question_is_answered_once(runner: Runner) -> None:
    """The first answer counts; another one before the run continues raises."""
    graph = path(("q", ask("Well?", str), "word"))
    run_id = await waiting(runner, graph)
    await runner.answer(run_id, "first")
    for wait in (None, "q"):
        with pytest.raises(AnsweredAlready, match="was answered already"):
            await runner.answer(run_id, "second", question=wait)
    assert (await resume_run(runner, graph, run_id)).state.word == "first"


async def test_of_two_answers_at_once_one_counts(runner: Runner) -> None:
    """The other raises, and the run uses the one that did not."""
    graph = path(("q", ask("Well?", str), "word"))
    run_id = await waiting(runner, graph)
    words = ["a", "b", "c"]
    outcomes = await asyncio.gather(*(runner.answer(run_id, word) for word in words), return_exceptions=True)
    (taken,) = [word for word, error in zip(words, outcomes, strict=True) if error is None]
    assert all("was answered already" in str(error) for error in outcomes if error is not None)
    assert (await resume_run(runner, graph, run_id)).state.word == taken


async def test_a_function_can_make_the_question() -> None:
    """It reads fields, and can be one of several questions."""
    both = choose("title", {"Ants": ask(lambda title: f"{title.upper()}?", bool), "Bees": ask("No?", bool)})
    async with Runner() as runner:
        graph = path(("q", both, "ok"))
        result = await runner.start(graph).result()
        assert result.waits[0].question == "ANTS?"
        await runner.answer(result.run_id, value=True)
        assert (await resume_run(runner, graph, result.run_id)).state.ok is True


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"default": True}, "has no timeout_seconds"),
        ({"timeout_seconds": 0}, "above 0"),
        ({"timeout_seconds": 1, "default": 12}, "does not fit the type of the answer"),
    ],
)
def test_an_invalid_question_is_refused_at_once(options: Any, expected: str) -> None:
    """The call that makes it raises, with the repair."""
    with pytest.raises(DefinitionError, match=expected):
        ask("Well?", bool, **options)


# -- several at once


@pytest.mark.parametrize("order", [("a", "b", "c"), ("c", "a", "b")])
async def test_questions_of_arms_are_answered_by_name_in_any_order(runner: Runner, order: Sequence[str]) -> None:
    """Each is answered by its own name; the join has the answers in declared order."""
    graph = forked(*((arm, ask(f"{arm}?", str), "log") for arm in "abc"))
    result = await runner.start(graph).result()
    assert (result.status, names(result.waits)) == ("waiting", ["a", "b", "c"])
    with pytest.raises(InputError, match=r"several questions[\s\S]*a, b, c"):
        await runner.answer(result.run_id, "which?")
    for done, arm in enumerate(order, 1):
        await runner.answer(result.run_id, arm.upper(), question=arm)
        result = await resume_run(runner, graph, result.run_id)
        assert len(result.waits) == 3 - done
    assert (result.status, result.state.log) == ("finished", ["A", "B", "C"])


async def test_an_arm_that_waits_is_answered_while_another_works(runner: Runner) -> None:
    """The run is driven, and the answer reaches it there."""
    begun, leave = asyncio.Event(), asyncio.Event()

    async def work() -> str:
        begun.set()
        await leave.wait()
        return "worked"

    graph = forked(("q", ask("Well?", str), "log"), ("work", work, "log"))
    run = runner.start(graph)
    await begun.wait()
    async for event in run.events():
        if isinstance(event, StepRecorded) and event.step.kind == "waiting":
            break
    assert names(await runner.waits(run.id)) == ["q"]
    await runner.answer(run.id, "answered")
    async for event in run.events():
        if isinstance(event, StepRecorded) and event.step.node == "q" and event.step.kind == "node":
            break
    leave.set()
    async with asyncio.timeout(SOON):
        assert (await run.result()).state.log == ["answered", "worked"]
