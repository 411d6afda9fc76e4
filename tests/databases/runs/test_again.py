"""Recorded work when a node runs again: retries, timeouts, closed runners, crashes."""

import asyncio
import shutil
from pathlib import Path

import pytest

from graphengine import Context, Graph, Retry, Runner
from graphengine.errors import InputError
from tests.kit.facts import said
from tests.kit.working import State, failing, one


class Crash:
    """A copy of a database at a moment: what a process that died then would have left."""

    def __init__(self, here: Path) -> None:
        self.here = here / "runs.db"
        self.left = here / "left.db"

    def now(self) -> None:
        """Copy the database."""
        for file in self.here.parent.glob("runs.db*"):
            if file.suffix != ".lock" and file.is_file():
                shutil.copy(file, str(file).replace("runs.db", "left.db"))


@pytest.fixture
def crash(tmp_path: Path) -> Crash:
    """Return the copy that a crash leaves."""
    return Crash(tmp_path)


async def sent_before(crash: Crash) -> tuple[Graph[State], list[int]]:
    """Crash a run amid a node that must not be repeated; return its graph and the list of its calls."""
    sent: list[int] = []

    async def send() -> str:
        sent.append(1)
        if len(sent) == 1:
            await asyncio.to_thread(crash.now)
        return "sent"

    graph = one(send, effect="once")
    async with Runner(crash.here) as runner:
        await runner.start(graph, run_id="r").result()
    return graph, sent


@pytest.mark.parametrize(
    ("decision", "text", "calls"),
    [("rerun", "sent", 2), ({"result": "it was sent"}, "it was sent", 1)],
)
async def test_a_node_that_must_not_be_repeated_asks_after_a_crash(
    crash: Crash, decision: object, text: str, calls: int
) -> None:
    """A person decides whether it runs again, or gives its result."""
    graph, sent = await sent_before(crash)
    async with Runner(crash.left) as runner:
        result = await runner.resume("r", graph).result()
        assert result.status == "waiting"
        (wait,) = result.waits
        assert (wait.name, wait.kind, wait.answerable) == ("work", "unknown", True)
        assert "nobody knows how it ended" in wait.question
        with pytest.raises(InputError, match="rerun, fail or a JSON object with result"):
            await runner.answer("r", "perhaps")
        await runner.answer("r", decision)
        assert (await runner.resume("r", graph).result()).state.text == text
    assert len(sent) == calls


async def test_a_node_that_is_not_to_be_rerun_fails(crash: Crash) -> None:
    """The answer is effect_unknown; a resume of the failed run asks again, and runs nothing without confirmation."""
    graph, sent = await sent_before(crash)
    async with Runner(crash.left) as runner:
        await runner.resume("r", graph).result()
        await runner.answer("r", "fail")
        result = await failing(runner, graph, "r")
        assert result.error.kind == "effect_unknown"
        result = await runner.resume("r", graph).result()
        assert (result.status, [wait.kind for wait in result.waits], len(sent)) == ("waiting", ["unknown"], 1)
        await runner.answer("r", "rerun")
        assert (await runner.resume("r", graph).result()).state.text == "sent"


async def test_a_result_that_does_not_fit_is_no_answer_after_a_crash(crash: Crash) -> None:
    """It is refused and the question stays open; the node does not run for it, whatever retries it has."""
    calls: list[int] = []

    async def count() -> int:
        calls.append(1)
        await asyncio.to_thread(crash.now)
        return 1

    graph = one(count, "n", effect="once", retry=Retry(attempts=3))
    async with Runner(crash.here) as runner:
        await runner.start(graph, run_id="r").result()
    async with Runner(crash.left) as runner:
        await runner.resume("r", graph).result()
        await runner.answer("r", {"result": "no number"})
        result = await runner.resume("r", graph).result()
        assert (result.status, [wait.kind for wait in result.waits]) == ("waiting", ["unknown"])
        refused = (await runner.history("r"))[-2]
        assert (refused.kind, refused.attempt) == ("attempt", 1)
        assert "valid integer" in said(refused)["error"]["message"]
        await runner.answer("r", {"result": 7})
        assert (await runner.resume("r", graph).result()).state.n == 7
    assert len(calls) == 1


async def test_crashes_at_later_and_later_steps_are_no_crash_loop(tmp_path: Path) -> None:
    """A node whose every process dies one recorded call later is not given up."""
    crashes: list[Crash] = []
    calls: list[int] = []

    def call(n: int) -> int:
        calls.append(n)
        if n == len(crashes) - 1 and not crashes[-1].left.exists():
            crashes[-1].now()
        return n

    async def work(ctx: Context) -> int:
        return sum([await ctx.call(call, n) for n in range(5)])

    graph = one(work, "n")
    for n in range(5):
        (tmp_path / str(n)).mkdir()
        crashes.append(Crash(tmp_path / str(n)))
        if n:
            for file in crashes[n - 1].left.parent.glob("left.db*"):
                shutil.copy(file, crashes[n].here.with_name(file.name.replace("left", "runs")))
        async with Runner(crashes[n].here) as runner:
            run = runner.resume("r", graph) if n else runner.start(graph, run_id="r")
            assert (await run.result()).state.n == 10
    async with Runner(crashes[-1].left) as runner:
        assert (await runner.resume("r", graph).result()).state.n == 10
        crashed = [said(step).get("crashed") for step in await runner.history("r") if step.kind == "resumed"]
    assert crashed == [True] * 5
    assert calls == [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 1, 2, 3, 4, 2, 3, 4, 3, 4, 4]
