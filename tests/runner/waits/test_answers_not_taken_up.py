"""A question that is answered is no open one, also as long as nothing drives its run."""

import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from graphengine import Runner, ask
from graphengine.errors import AnsweredAlready
from graphengine.history.load import load_now, waits_of
from graphengine.runner import Posted
from graphengine.stores.base import RunInfo, Summary
from tests.kit.runs import SOON
from tests.kit.waiting import forked, path, waiting

ONE = path(("q", ask("Well?", str), "word"))


def arms(*names: str) -> Any:
    """Return a graph that asks a question in each of these arms."""
    return forked(*[(name, ask(f"{name}?", str), "log") for name in names])


def summary(infos: Sequence[RunInfo]) -> Summary:
    """Return the summary of the one run of a list."""
    (info,) = infos
    assert info.summary is not None
    return info.summary


async def test_a_wait_says_who_answered_it_when_and_with_what(runner: Runner) -> None:
    """Until the run takes the answer up."""
    run_id = await waiting(runner, ONE)
    (before,) = waits_of(await load_now(runner.store, run_id))
    assert before.answered is None
    await runner.answer(run_id, "good", by="ada", reason="it is", through="page")
    (wait,) = waits_of(await load_now(runner.store, run_id))
    answer = wait.answered
    assert answer is not None
    assert (answer.value, answer.by, answer.reason, answer.through) == ("good", "ada", "it is", "page")
    assert answer.at > 0
    async with asyncio.timeout(SOON):
        await runner.resume(run_id, ONE).result()
    assert waits_of(await load_now(runner.store, run_id)) == []


async def test_a_list_counts_only_what_is_open(runner: Runner) -> None:
    """Of three questions of which two are answered, one counts, and is shown."""
    run_id = await waiting(runner, arms("a", "b", "c"))
    assert summary(await runner.runs(status="waiting")).waits == 3
    await runner.answer(run_id, "1", question="a")
    await runner.answer(run_id, "2", question="c")
    shown = summary(await runner.runs(status="waiting"))
    assert (shown.waits, shown.reason, shown.kind) == (1, "b: b?", "ask")
    await runner.answer(run_id, "3", question="b", by="ada")
    shown = summary(await runner.runs(status="waiting"))
    assert (shown.waits, shown.reason, shown.kind) == (0, "answered by ada, waits for a worker or a resume", "answered")


async def test_an_answer_that_the_run_refuses_opens_the_question_again(runner: Runner) -> None:
    """The log has the refusal."""
    old = path(("q", ask("Well?", str), "word"))
    run_id = await waiting(runner, old)
    await runner.answer(run_id, "good")  # by a door that does not know today's graph
    newer = path(("q", ask("Really?", str), "word"))
    async with asyncio.timeout(SOON):
        await runner.resume(run_id, newer).result()
    assert "refused" in [step.kind for step in await runner.history(run_id)]
    (wait,) = waits_of(await load_now(runner.store, run_id))
    assert (wait.question, wait.answered) == ("Really?", None)


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


async def test_of_two_processes_that_answer_at_once_one_is_first(tmp_path: Path) -> None:
    """The other one learns who was."""
    database = tmp_path / "runs.db"
    async with Runner(database) as runner:
        run_id = await waiting(runner, ONE)
        words = ("--no-resume", "--json", "--store", str(database))
        started = [
            await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "graphengine", "answer", run_id, by, "--by", by, *words),
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                cwd=tmp_path,
            )
            for by in ("ada", "bob")
        ]
        said = [json.loads((await process.communicate())[0]) for process in started]
        (first,) = [by for by, document in zip(("ada", "bob"), said, strict=True) if "answer" in document]
        (error,) = [document["error"] for document in said if "error" in document]
        assert error["code"] == "answered_already"
        assert f"already by {first} at" in error["message"]
        (wait,) = waits_of(await load_now(runner.store, run_id))
        assert wait.answered is not None
        assert wait.answered.by == first
