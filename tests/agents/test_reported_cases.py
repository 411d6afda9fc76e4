"""Three public reports of effects that happened twice: their pattern in plain code, and the same in graphengine.

The page docs/use/nothing-acts-twice.md cites them and states the counts. In each pattern what was done is saved after
the work has returned, and nothing is saved before it begins.
"""

import asyncio
import re
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from graphengine import Agent, Graph, Retry, Runner, ScriptedModel, tool
from graphengine.errors import RunIsDriven
from graphengine.models.scripted import calls
from tests.kit.runs import alone

PAGE = Path(__file__).resolve().parents[2] / "docs" / "use" / "nothing-acts-twice.md"
Acts = Callable[[str], None]


class Desk(BaseModel):
    """What a desk said."""

    said: str = ""


def desk(*turns: Any, tools: list[Any], retry: Retry | None = None, **options: Any) -> Graph[Desk]:
    """Return a graph of an agent with these tools, which must not be repeated, and these turns of its model."""
    once = [tool(each, effect="once") for each in tools]
    agent = Agent("clerk", model=ScriptedModel([*turns]), prompt="Serve.", tools=once, **options)
    return alone(Desk, agent, "said", name="desk", node="serve", result="said", retry=retry)


# -- langgraph 7417: a tool that takes long is started again from the last checkpoint while it still runs


async def long_pattern(act: Acts, _: Path) -> None:
    """Let a second worker begin at the checkpoint while the first one is in the tool."""
    checkpoint: list[str] = []
    first_is_in, second_is_done = asyncio.Event(), asyncio.Event()

    async def work(before_it_returns: Callable[[], Awaitable[object]]) -> None:
        if not checkpoint:
            act("refund")
            await before_it_returns()
            checkpoint.append("refunded")

    async def hold() -> None:
        first_is_in.set()
        await second_is_done.wait()

    first = asyncio.create_task(work(hold))
    await first_is_in.wait()
    await work(lambda: asyncio.sleep(0))
    second_is_done.set()
    await first


async def long_ours(act: Acts, folder: Path) -> None:
    """Let a second Runner resume the run while the first one is in the tool: it is refused."""
    is_in, may_return = asyncio.Event(), asyncio.Event()

    async def refund() -> str:
        """Refund."""
        act("refund")
        is_in.set()
        await may_return.wait()
        return "refunded"

    graph = desk(calls(("refund", {})), "done", tools=[refund])
    async with Runner(folder / "runs.db") as first, Runner(folder / "runs.db") as second:
        run = first.start(graph, run_id="r")
        await is_in.wait()
        with pytest.raises(RunIsDriven):
            await second.resume("r", graph).result()
        may_return.set()
        assert (await run.result()).output == "done"


# -- crewAI 5802: a task that fails after a tool has acted is retried


def failing_once() -> Callable[[str], None]:
    """Return a check of an answer that fails at first."""
    failures = [OSError("the answer was lost")]

    def check(answer: str) -> None:
        if failures:
            raise failures.pop()

    return check


async def retried_pattern(act: Acts, _: Path) -> None:
    """Do the task again after its failure."""
    check = failing_once()
    for _attempt in range(2):
        try:
            act("refund")
            check("refunded")
        except OSError:
            continue


async def retried_ours(act: Acts, _: Path) -> None:
    """Hold the conversation again after its failure: the tool's record is used."""

    def refund() -> str:
        """Refund."""
        act("refund")
        return "refunded"

    retry = Retry(attempts=2, initial_seconds=0, on=(OSError,), afresh=True)
    turns = [calls(("refund", {})), "done"]
    graph = desk(*turns, *turns, tools=[refund], check=failing_once(), retry=retry)
    async with Runner() as runner:
        assert (await runner.start(graph).result()).output == "done"


# -- agent-framework 3938: the third tool of a turn fails, and the turn is replayed from the checkpoint before it


def services(act: Acts) -> list[Callable[[], str]]:
    """Return three tools, of which the last one cannot connect at first."""
    failures = [ConnectionError("timeout")]

    def mail() -> str:
        """Send a mail."""
        act("mail")
        return "sent"

    def store() -> str:
        """Write to the database."""
        act("store")
        return "written"

    def notify() -> str:
        """Notify the channel."""
        if failures:
            raise failures.pop()
        act("notify")
        return "notified"

    return [mail, store, notify]


async def replayed_pattern(act: Acts, _: Path) -> None:
    """Replay the turn from the checkpoint before it, which is written when a turn has ended."""
    tools, checkpoint = services(act), list[str]()
    while not checkpoint:
        try:
            checkpoint = [each() for each in tools]
        except ConnectionError:
            continue


async def replayed_ours(act: Acts, folder: Path) -> None:
    """Resume the run: two tools have their records, and a person says that the third one did not act."""
    tools = services(act)
    names = [each.__name__ for each in tools]
    graph = desk(*(calls((name, {})) for name in names), "done", tools=tools)
    async with Runner(folder / "runs.db") as runner:
        (wait,) = (await runner.start(graph, run_id="r").result()).waits
        assert wait.kind == "unknown"
        await runner.answer("r", "rerun")
    async with Runner(folder / "runs.db") as runner:
        assert (await runner.resume("r", graph).result()).output == "done"


CASES = {
    "langgraph 7417": (long_pattern, long_ours),
    "crewAI 5802": (retried_pattern, retried_ours),
    "agent-framework 3938": (replayed_pattern, replayed_ours),
}


@pytest.mark.parametrize("case", CASES)
async def test_the_pattern_acts_twice_and_we_act_once(case: str, tmp_path: Path) -> None:
    """The counts are those on the page."""
    counts = []
    for way in CASES[case]:
        acts: Counter[str] = Counter()
        await way(lambda name, acts=acts: acts.update([name]), tmp_path)  # type: ignore[misc]  # bound now
        counts.append(max(acts.values()))
        assert set(acts) in ({"refund"}, {"mail", "store", "notify"})
    row = rf"^\| \[{case}\]\(https://github\.com/\S+/{case.split()[1]}\) \|.* \| (\d) \| (\d) \|$"
    found = re.search(row, PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert found is not None
    assert counts == [int(figure) for figure in found.groups()] == [2, 1]
