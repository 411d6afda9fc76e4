"""`start_or_send` and `drive`: runs that any process starts, continues and follows."""

import asyncio
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from graphengine import END, START, Context, Graph, Limits, RunFailed, Runner
from graphengine.errors import UnknownRun
from graphengine.runner.runner import lives_of
from graphengine.stores.memory import InMemoryStore
from tests.kit.runs import repeated
from tests.runner.gates import Gate, State, chat, kinds_of, one


async def test_drive_gives_a_handle_whichever_process_drives_the_run(database: Path | str) -> None:
    """Here it is driven once, elsewhere it is followed, and what nobody drives is driven here."""
    gate = Gate()
    graph = gate.graph()
    async with Runner(database) as runner, Runner(database) as other:
        run = runner.start(graph, run_id="r")
        await gate.entered.wait()
        handles = [await runner.drive("r", graph), await other.drive("r", graph)]
        gate.leave.set()
        results = await asyncio.gather(*(handle.result() for handle in (run, *handles)))
        assert {result.status for result in results} == {"finished"}
        await (await runner.start_or_send(chat(), "c", "said", "hello")).result()
        assert (await (await other.drive("c", chat())).result()).status == "waiting"
        with pytest.raises(UnknownRun):
            await (await other.drive("none", chat())).result()


async def test_a_chat_without_a_limit_of_steps_outlives_the_default_limit() -> None:
    """A chat without a step limit, as the guide advises, outlives the default limit, which allows 500 exchanges."""

    async def hear(ctx: Context) -> str:
        return await ctx.receive("said", str)

    graph = Graph("bot", State)
    graph.add_node("hear", hear, writes="text")
    graph.add_node("reply", lambda n: n + 1, writes="n", thread=False)
    graph.add_edge(START, "hear")
    graph.add_edge("hear", END, when=lambda text: text == "bye")
    graph.add_edge("hear", "reply")
    graph.add_edge("reply", "hear")
    assert list(graph.check()) == []
    async with Runner() as runner:
        endless = graph.but(limits=Limits(visits=None))
        for number in range(510):
            run = await runner.start_or_send(endless, "chat", "said", str(number))
            await run.result()
        result = await runner.get("chat", endless).result()
        assert (result.status, result.state.n, result.visits) == ("waiting", 510, 1020)


async def test_a_message_that_a_run_waits_for_is_recorded_with_its_resume() -> None:
    """No code of the graph runs between these steps, so one transaction has them; the others are taken in their order.

    A run that is stopped records the message, and does not receive it.
    """
    batches: list[list[str]] = []

    class Noting(InMemoryStore):
        def append(self, batch: Any) -> None:
            batches.append([step.kind for step in batch.steps])
            super().append(batch)

    store = Noting()
    async with Runner(store) as runner:
        await (await runner.start_or_send(chat(), "c", "said", "one")).result()
        batches.clear()
        await runner.send("c", "other", "kept")
        await runner.send("c", "said", "two")
        result = await (await runner.start_or_send(chat(), "c", "said", "three")).result()
        assert result.state.heard == ["one", "two", "three"]
        assert batches[0] == ["resumed", "message", "message", "message", "answered"]
        batches.clear()
        run = await runner.start_or_send(chat(), "c", "said", "bye")
        await run.stop()
        resumed = await runner.resume("c", chat()).result()
        assert resumed.state.heard[-1] == "bye"  # the handle of before has it only if it was received before the stop


async def test_start_or_send_by_many_callers_starts_one_run(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each message is received once, whichever of them starts the run; no handle is that of a start that failed."""
    sent = [str(number) for number in range(8)]
    start = Mock(wraps=runner.start)
    monkeypatch.setattr(runner, "start", start)
    runs = await asyncio.gather(*(runner.start_or_send(chat(), "c", "said", text) for text in sent))
    await asyncio.gather(*(run.result() for run in runs))
    start.assert_called_once()
    result = await (await runner.start_or_send(chat(), "c", "said", "bye")).result()
    assert sorted(result.state.heard[:-1]) == sent
    assert result.state.heard[-1] == "bye"


async def test_start_or_send_to_a_run_of_another_process_follows_it_there(database: Path | str) -> None:
    """That process receives the message; the handle shows its steps, and has the result that it leads to."""
    gate = Gate()

    async def hear(heard: list[str], ctx: Context) -> list[str]:
        gate.entered.set()
        await gate.leave.wait()
        return [*heard, await ctx.receive("said", str)]

    graph = repeated(State, hear, "heard", lambda heard: heard[-1] == "bye", name="listens", node="hear")
    async with Runner(database) as runner, Runner(database) as other:
        run = runner.start(graph, run_id="r")
        await gate.entered.wait()
        theirs = await other.start_or_send(graph, "r", "said", "hello")
        seen = asyncio.ensure_future(kinds_of(theirs.events()))
        again = await other.start_or_send(graph, "r", "said", "again")  # another exchange meanwhile
        gate.leave.set()
        for each in (theirs, again):
            result = await each.result()
            assert (result.status, result.state.heard) == ("waiting", ["hello", "again"])
        assert (await seen).count("node") == 2
        assert "r" not in lives_of(other).shared.driven
        last = await other.start_or_send(graph, "r", "said", "bye")
        assert (await last.result()).state.heard == ["hello", "again", "bye"]
        assert (await run.result()).state.heard[:1] == ["hello"]


async def test_start_or_send_does_not_retry_what_fails_in_another_process(database: Path | str) -> None:
    """The handle's result raises the failure, as that of the process that drove the run."""
    gate = Gate()

    async def hear(ctx: Context) -> int:
        gate.entered.set()
        await gate.leave.wait()
        return 1 // (await ctx.receive("said", int))

    graph = one("listens", hear)
    async with Runner(database) as runner, Runner(database) as other:
        run = runner.start(graph, run_id="r")
        await gate.entered.wait()
        theirs = await other.start_or_send(graph, "r", "said", 0)
        await theirs.begun()
        gate.leave.set()
        for each in (run, theirs):
            with pytest.raises(RunFailed, match="ZeroDivisionError"):
                await each.result()
        assert [step.kind for step in await runner.history("r")].count("failed") == 1


async def test_a_message_that_arrives_while_a_run_is_being_parked_is_received() -> None:
    """1. The run waits, and reads its inbox: empty. 2. A message is posted. 3. The run notices, and does not park."""

    class Late(InMemoryStore):
        """A store that posts a message while the inbox is read."""

        runner: Runner
        is_sent = False

        async def inbox(self, run_ids: Any) -> Any:
            found = await super().inbox(run_ids)
            if not self.is_sent and (await self.info("c")).status == "waiting":
                self.is_sent = True
                await self.runner.send("c", "said", "bye")
            return found

    store = Late()
    async with Runner(store) as runner:
        store.runner = runner
        result = await runner.start(chat(), run_id="c").result()
        assert (result.status, result.state.heard) == ("finished", ["bye"])
