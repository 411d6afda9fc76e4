"""A question that is answered is no open one, also as long as nothing drives its run."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from graphengine import Runner, ask
from graphengine.errors import AnsweredAlready
from graphengine.history.load import Wait, find_posted, load_snapshot, waits_of
from graphengine.runner import Posted
from tests.kit.runs import SOON
from tests.kit.waiting import path, waiting

ONE = path(("q", ask("Well?", str), "word"))


async def open_waits(runner: Runner, run_id: str) -> Sequence[Wait]:
    """Return what a run waits for, with the answers that it has not taken up."""
    inbox = await runner.store.inbox([run_id])
    snapshot = await load_snapshot(runner.store, run_id, None)
    snapshot.posted = find_posted(inbox, run_id)
    return waits_of(snapshot)


async def test_a_wait_says_who_answered_it_when_and_with_what(runner: Runner) -> None:
    """Until the run takes the answer up."""
    run_id = await waiting(runner, ONE)
    (before,) = await open_waits(runner, run_id)
    assert before.answered is None
    await runner.answer(run_id, "good", by="ada", reason="it is", through="page")
    (wait,) = await open_waits(runner, run_id)
    answer = wait.answered
    assert answer is not None
    assert (answer.value, answer.by, answer.reason, answer.through) == ("good", "ada", "it is", "page")
    assert answer.at > 0
    async with asyncio.timeout(SOON):
        await runner.resume(run_id, ONE).result()
    assert await open_waits(runner, run_id) == []


async def test_a_second_answer_names_who_was_first(runner: Runner) -> None:
    """The same answer of the same person is the first one, sent again."""
    run_id = await waiting(runner, ONE)
    await runner.answer(run_id, "good", by="ada")
    assert isinstance(await runner.answer(run_id, "good", by="ada"), Posted)
    for value, by in (("bad", "ada"), ("good", "bob")):
        with pytest.raises(AnsweredAlready, match="was answered already by ada at 20"):
            await runner.answer(run_id, value, by=by)
    assert len(await runner.store.inbox([run_id])) == 1


async def test_a_watcher_sees_the_answer(runner: Runner) -> None:
    """The status changes to waits that are answered."""
    run_id = await waiting(runner, ONE)
    await runner.answer(run_id, "good", by="ada")
    (shown,) = [wait for event in [e async for e in runner.watch(run_id, wait_out=False)] for wait in _waits(event)]
    assert shown.answered is not None
    assert shown.answered.by == "ada"


def _waits(event: Any) -> Sequence[Any]:
    return event.result.waits if hasattr(event, "result") else ()
