"""What is in flight is cancelled by a stop or a release with `now=True`, and at a limit of seconds.

Recorded work stays, and the rest is repeated by a resume.
"""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from graphengine import Agent, Limits, Runner, ScriptedModel
from graphengine.kernel.fake_clock import FakeClock
from graphengine.models import Request, Response
from graphengine.runner.runner import lives_of
from tests.agents.run_kits import ADD, Stuck, Work, add, one, paid, within
from tests.kit.runs import SOON, alone, arms, pass_time

HOUR = 3600.0


class Torn(Stuck):
    """A model whose n-th call never ends, and has used an unknown amount then."""

    async def answer(self, request: Request) -> Response:
        """Return the next answer, or hang."""
        if request.on_text is not None and self.calls + 1 == self.at:
            request.on_text("so")
        return await super().answer(request)


@pytest.mark.parametrize("watched", [False, True])
async def test_a_hard_stop_cuts_a_call_in_flight(*, watched: bool) -> None:
    """Its recorded turns and tool calls are kept; the call counts as one of unknown cost, and only it is repeated."""
    model = Torn([paid("", ADD), paid("3")], at=2)
    graph = one(Agent("writer", prompt="{task}", tools=[add], model=model))
    async with Runner() as runner:
        run = runner.start(graph, run_id="r")
        events = run.events() if watched else None
        async with asyncio.timeout(SOON):
            await model.reached.wait()
            await runner.stop("r", "enough", now=True)
        stopped = await within(run)
        assert stopped.ending is not None
        assert (stopped.status, stopped.ending.why) == ("stopped", "enough")
        assert (stopped.usage.calls, stopped.usage.unknown_calls, stopped.usage.cost_usd) == (2, 1, None)
        done = await within(runner.resume("r", graph))
        assert (done.status, done.state.draft, model.calls) == ("finished", "3", 3)
        assert done.usage.priced_usd == 2.0
        del events


async def test_a_hard_stop_cuts_all_nodes_in_flight_and_keeps_what_ended(tmp_path: Path) -> None:
    """Arms of a fork that have ended are recorded; another process cuts as well, and nothing is counted as a crash."""
    began, held = list[str](), asyncio.Event()

    def arm(name: str, *, quick: bool) -> Any:
        async def work() -> str:
            began.append(name)
            if not quick:
                await held.wait()
            return name

        return work

    fields = {"quick": "draft", "slow": "other", "slower": "task"}
    graph = arms(Work, *((name, arm(name, quick=name == "quick"), field) for name, field in fields.items()))
    async with Runner(tmp_path / "runs.db") as runner, Runner(tmp_path / "runs.db") as other:
        run = runner.start(graph, run_id="r")
        async with asyncio.timeout(SOON):
            while len(began) < 3 or not any(step.node == "quick" for step in await runner.history("r")):  # noqa: ASYNC110
                await asyncio.sleep(0.005)
            await other.stop("r", now=True)
            stopped = await run.result()
        assert stopped.ending is not None
        assert (stopped.status, stopped.ending.why) == ("stopped", "asked by another process")
        held.set()
        done = await within(runner.resume("r", graph))
    assert (done.state.draft, done.state.other, done.state.task) == ("quick", "slow", "slower")
    assert sorted(began) == ["quick", "slow", "slow", "slower", "slower"]


async def test_the_clock_of_the_run_decides_when_its_limit_of_seconds_is_reached() -> None:
    """On a clock that stands still no limit is reached; once it has moved, a call that hangs is cut."""
    clock, began, held = FakeClock(jumps=False), asyncio.Event(), asyncio.Event()

    async def hang() -> str:
        began.set()
        await held.wait()
        return "done"

    graph = alone(Work, hang, "draft", name="hangs", node="hang")
    async with Runner(clock=clock) as runner:
        run = runner.start(graph, limits=Limits(seconds=HOUR))
        async with asyncio.timeout(SOON):
            await began.wait()
        for moved in (0, 2 * HOUR):
            assert run.id in lives_of(runner).shared.driven
            clock.move(moved)
            pass_time(2 * HOUR)  # on the clock of the machine the limit is over
            for _ in range(3):  # turns of the event loop, in which timers that are due are called
                await asyncio.sleep(0)
        stopped = await within(run)
        assert stopped.ending is not None
        assert (stopped.ending.reason, stopped.ending.why) == ("limit", f"seconds {2 * HOUR:.3f} >= {HOUR}")
        held.set()
        done = await within(runner.resume(run.id, graph, limits=Limits(seconds=9 * HOUR)))
        assert (done.status, done.state.draft) == ("finished", "done")


async def test_a_limit_of_seconds_cuts_a_call_that_hangs() -> None:
    """The run is stopped by its limit, as between two nodes; with a higher one only the call is repeated."""
    model = Torn([paid("", ADD), paid("3")], at=2)
    graph = one(Agent("writer", prompt="{task}", tools=[add], model=model))
    async with Runner() as runner:
        stopped = await within(runner.start(graph, run_id="r", limits=Limits(seconds=0.2)))
        assert stopped.ending is not None
        assert (stopped.status, stopped.ending.reason) == ("stopped", "limit")
        assert stopped.ending.why.startswith("seconds 0.2")
        done = await within(runner.resume("r", graph, limits=Limits()))
        assert (done.status, done.state.draft, model.calls) == ("finished", "3", 3)


async def test_a_release_can_cut_too(caplog: pytest.LogCaptureFixture) -> None:
    """The run stays running, for another process, and repeats the call; the result and the log name what was cut."""
    model = Torn([paid("", ADD), paid("3")], at=2)
    graph = one(Agent("writer", prompt="{task}", tools=[add], model=model))
    async with Runner() as runner:
        run = runner.start(graph, run_id="r")
        async with asyncio.timeout(SOON):
            await model.reached.wait()
            await runner.release("r", now=True)
        released = await within(run)
        assert (released.status, released.cut_off) == ("running", ("work",))
        assert [record.levelname for record in caplog.records if "cut off: work" in record.getMessage()] == ["WARNING"]
        done = await within(runner.resume("r", graph))
        assert (done.status, done.state.draft) == ("finished", "3")


async def test_a_message_that_a_stop_overtakes_waits_for_the_chat(tmp_path: Path) -> None:
    """Its sender gets the answer, or learns that the chat is stopped; nobody asks for a message that is kept again."""
    for turns in range(6):
        agent = Agent("talker", model=ScriptedModel(["one", "two"]), prompt="{question}")
        async with Runner(tmp_path / f"{turns}.db") as runner:
            await runner.run(agent, chat="c", question="1")

            async def stop(runner: Runner = runner, turns: int = turns) -> None:
                for _ in range(turns):
                    await asyncio.sleep(0)
                await runner.stop("ge:chat:c")

            sent = runner.run(agent, chat="c", question="2", idempotency_key="k")
            said, _ = await asyncio.gather(sent, stop(), return_exceptions=True)
            assert said == "two" or "is stopped" in str(said), said
            assert await runner.run(agent, chat="c", idempotency_key="k") == "two"
