"""The policy of a tool: one call at a time, where its errors go, what it reads of the state, threads of its own."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from pydantic import BaseModel

from graphengine import END, START, Agent, CompileError, Context, Graph, RunFailed, Runner, ScriptedModel, tool
from graphengine.agents import guard
from graphengine.agents.errors import GuardFailed
from graphengine.agents.tool_threads import MOST_LEFT, MOST_THREADS, CallThread, ToolThreads, threads_of
from graphengine.errors import DefinitionError
from graphengine.models.errors import ModelNotReady, ModelTransient
from graphengine.models.scripted import calls
from tests.agents.run_kits import AGAIN, one, within
from tests.agents.tool_kits import called
from tests.kit.runs import SOON, alone


async def test_a_serial_call_runs_at_the_same_time_as_no_other() -> None:
    """It begins after the calls before it, and those after it begin when it has ended; results keep their order."""
    under_way: set[str] = set()
    seen: dict[str, set[str]] = {}
    together = asyncio.Barrier(2)

    async def busy(name: str) -> str:
        under_way.add(name)
        for _ in range(20):
            for each in under_way:
                seen.setdefault(each, set()).update(under_way - {each})
            await asyncio.sleep(0)
        under_way.discard(name)
        return name

    async def look(n: int) -> str:
        """Look, while another one looks too."""
        async with asyncio.timeout(SOON):
            await together.wait()
        return await busy(f"look {n}")

    async def write(n: int) -> str:
        """Write."""
        return await busy(f"write {n}")

    order = [("look", 1), ("look", 2), ("write", 3), ("write", 4), ("look", 5), ("look", 6)]
    model = ScriptedModel([calls(*((name, {"n": n}) for name, n in order)), "done"])
    agent = Agent("writer", prompt="{task}", tools=[look, tool(write, serial=True)], model=model)
    await agent.run(task="t")
    assert [message.text for message in model.requests[1].messages[2:]] == [f"{name} {n}" for name, n in order]
    assert (seen["look 1"], seen["look 5"]) == ({"look 2"}, {"look 6"})
    assert "write 3" not in {*seen["look 1"], *seen["look 2"], *seen["write 4"]}
    assert (seen.get("write 3", set()), seen.get("write 4", set())) == (set(), set())


async def test_errors_of_a_tool_that_raises_fail_the_node_which_repeats_the_call() -> None:
    """The model gets no text; the next attempt keeps the turn, and the call keeps its idempotency key."""
    keys: list[str] = []

    def pay(ctx: Context, amount: int) -> str:
        """Pay."""
        keys.append(ctx.idempotency_key)
        if len(keys) < 3:
            raise LookupError("the bank is closed")
        return f"paid {amount}"

    model = ScriptedModel([calls(("pay", {"amount": 5})), "done"])
    agent = Agent("writer", prompt="{task}", tools=[tool(pay, on_error="raise")])
    async with Runner(models={"writer": model}) as runner:
        graph = one(agent, retry=None)
        run = runner.start(graph)
        with pytest.raises(RunFailed, match="the bank is closed") as caught:
            await within(run)
        assert isinstance(caught.value.__cause__, LookupError)
        with pytest.raises(RunFailed):
            await within(runner.resume(run.id, graph))
        assert (await within(runner.resume(run.id, graph))).state.draft == "done"
    assert len(set(keys)) == 1
    assert (len(keys), len(model.requests)) == (3, 2)
    assert model.requests[1].messages[-1].text == "paid 5"


async def test_a_timeout_and_a_cancellation_of_its_own_are_raised_too() -> None:
    """Arguments that do not fit, and errors that the function returns, still go to the model."""
    release = threading.Event()

    def hang(n: int) -> None:
        release.wait(n)

    async def give_up() -> None:
        raise asyncio.CancelledError

    with pytest.raises(TimeoutError, match=r"hang gave no result within 0\.01 seconds"):
        await called(tool(hang, timeout_seconds=0.01, on_error="raise"), {"n": SOON})
    release.set()
    assert (await called(tool(hang, on_error="raise"), {"n": "x"})).is_error
    agent = Agent(
        "writer",
        prompt="{task}",
        tools=[tool(give_up, on_error="raise")],
        model=ScriptedModel([calls(("give_up", {}))]),
    )
    with pytest.raises(RuntimeError, match="give_up was cancelled by its own code"):
        await agent.run(task="t")


@pytest.mark.parametrize("error", [ModelTransient("later"), ModelNotReady("no key")])
async def test_a_model_error_in_a_group_of_several_is_no_text_for_another_model(error: Exception) -> None:
    """Two agents that a tool asks in a task group may fail together."""

    def fail() -> None:
        raise ExceptionGroup("both", [ValueError("x"), ExceptionGroup("inner", [error])])

    with pytest.raises(type(error)):
        await called(fail)


class Customer(BaseModel):
    name: str
    level: int = 1


class Desk(BaseModel):
    task: str = "refund"
    customer: Customer = Customer(name="Ada")
    orders: list[int] = [1, 2]
    said: list[str] = []
    draft: str = ""


def look_up(order: int, who: str, shop: str, level: int = 0) -> str:
    """Look an order up."""
    return f"{order} of {who} at {shop}, level {level}"


READS = tool(look_up, inputs={"who": "customer.name", "level": "customer.level"})


async def test_a_tool_reads_fields_of_the_state_that_no_model_sees() -> None:
    """They are read by name or path, as a node's inputs are, and resources too; the schema has only the rest."""
    model = ScriptedModel({"clerk": [calls(("look_up", {"order": 7})), "done"]})
    graph = Graph("desk", Desk, resources={"shop": str})
    graph.add_node("look", Agent("clerk", tools=[READS]), inputs={"task": "task"}, writes="draft")
    graph.add_path(START, "look", END)
    async with Runner(models={"clerk": model}, resources={"shop": "north"}) as runner:
        await runner.start(graph, Desk()).result()
    (spec,) = model.requests[0].tools
    assert list(spec.schema["properties"]) == ["order"]  # type: ignore[arg-type]
    assert "Ada" not in model.requests[0].prompt
    assert model.requests[1].messages[-1].text == "7 of Ada at north, level 1"


async def test_a_tool_reads_the_item_of_a_map_and_the_inputs_of_an_agent_alone() -> None:
    """An item is a field too. Alone, the agent is given what its tools read."""

    def price(order: int) -> str:
        """Find the price."""
        return f"{order} costs {order * 10}"

    agent = Agent("clerk", prompt="{task}", tools=[tool(price, inputs=["order"])])
    graph = alone(Desk, agent, "said", name="desk", node="look", each={"order": "orders"}, concurrency=1)
    model = ScriptedModel([calls(("price", {})), "a", calls(("price", {})), "b"])
    async with Runner(models={"clerk": model}) as runner:
        assert (await runner.start(graph, Desk()).result()).state.said == ["a", "b"]
    results = [request.messages[-1].text for request in model.requests if request.messages[-1].role == "tool"]
    assert results == ["1 costs 10", "2 costs 20"]
    script = ScriptedModel([calls(("price", {})), "a"])
    assert await agent.but(model=script).run(task="t", order=3) == "a"
    assert script.requests[1].messages[-1].text == "3 costs 30"
    with pytest.raises(DefinitionError, match="was not given 'order'"):
        await agent.but(model=ScriptedModel(["a"])).run(task="t")


def test_a_field_that_does_not_exist_is_refused_at_compile() -> None:
    """The error names the nearest field, as for a node's parameter; a type that disagrees is refused too."""
    for reads, problem in (("custmer.name", "unknown field 'custmer.name'"), ("orders", "'orders' is str, but")):
        graph = Graph("desk", Desk)
        agent = Agent("clerk", prompt="{task}", tools=[tool(lambda x: x, name="look", inputs={"x": reads})])
        if reads == "orders":
            agent = Agent("clerk", prompt="{task}", tools=[tool(look_up, inputs={"who": "orders"})])
        graph.add_node("look", agent, writes="draft")
        graph.add_path(START, "look", END)
        with pytest.raises(CompileError, match=problem):
            graph.compile()


async def test_sync_tools_that_hang_hold_up_nothing_else() -> None:
    """No node and no other tool waits for a thread; a tool that hung too often is not called until a call returns."""
    release = threading.Event()

    def hang(n: int) -> int:
        """Hang."""
        release.wait()
        return n

    def look(n: int) -> str:
        """Look."""
        return f"seen {n}"

    def check(answer: str) -> None:
        """Run in a thread of the run."""

    slow = tool(hang, timeout_seconds=0.01)
    turns = [calls(*(("hang", {"n": n}) for n in range(MOST_LEFT))), calls(("hang", {"n": 0}), ("look", {"n": 1}))]
    model = ScriptedModel([*turns, "done"])
    agent = Agent("writer", prompt="{task}", tools=[slow, look], check=check)
    async with Runner(models={"writer": model}, threads=1) as runner:
        assert (await within(runner.start(one(agent, retry=AGAIN)))).state.draft == "done"
    first, *_, stuck, seen = [message.text for message in model.requests[2].messages if message.role == "tool"]
    assert first.startswith("hang gave no result within 0.01 seconds.")
    assert stuck == f"{MOST_LEFT} calls of hang that ran out of time are still running; it is not called again yet."
    assert seen == "seen 1"
    hung = [thread for thread in threading.enumerate() if thread.name == "graphengine-tool"]
    assert len(hung) >= MOST_LEFT
    assert all(thread.daemon for thread in hung)  # a program can end without them
    release.set()
    for thread in hung:
        await asyncio.to_thread(thread.join, SOON)
    assert not threads_of("hang").is_stuck
    assert (await called(tool(hang, timeout_seconds=SOON), {"n": 5})).text == "5"


async def test_only_some_calls_of_a_tool_run_at_the_same_time_and_the_others_wait() -> None:
    """A call that is made from within one of them does not wait for a thread, which would wait for it."""
    threads, release = ToolThreads(), threading.Event()
    under_way = threading.Semaphore(0)

    def work() -> bool:
        under_way.release()
        release.wait()
        return True

    futures = [asyncio.wrap_future(CallThread(threads).submit(work)) for _ in range(MOST_THREADS + 3)]
    for _ in range(MOST_THREADS):
        await asyncio.to_thread(under_way.acquire)
    assert not under_way.acquire(blocking=False)
    futures[-1].cancel()  # it has not begun
    release.set()
    assert await asyncio.gather(*futures[:-1]) == [True] * (MOST_THREADS + 2)

    def nested(depth: int) -> int:
        return 0 if not depth else 1 + CallThread(threads).submit(nested, depth - 1).result()

    assert await asyncio.wrap_future(CallThread(threads).submit(nested, MOST_THREADS + 5)) == MOST_THREADS + 5


async def test_calls_of_a_tool_and_of_all_tools_are_capped() -> None:
    """Those beyond a cap are not made, in any turn, and the model is told; a resumed run counts the same."""
    made: list[str] = []

    def look(n: int) -> str:
        """Look."""
        made.append(f"look {n}")
        return "seen"

    def write(n: int) -> str:
        """Write."""
        made.append(f"write {n}")
        return "written"

    turns = [[("write", 1), ("write", 2), ("look", 3)], [("look", 4), ("write", 5), ("look", 6)]]
    model = ScriptedModel([*(calls(*((name, {"n": n}) for name, n in turn)) for turn in turns), "done"])
    once = tool(write, max_calls=1)
    agent = Agent("writer", prompt="{task}", tools=[look, once], model=model, max_tool_calls=3)
    assert await agent.run(task="t") == "done"
    assert made == ["write 1", "look 3", "look 4"]
    told = [message.text for message in model.requests[2].messages if message.is_error]
    assert [text.partition(": ")[2] for text in told] == [
        "the most calls of write for one answer, 1, are made.",
        "the most calls of write for one answer, 1, are made.",
        "the most calls of tools for one answer, 3, are made.",
    ]


async def test_a_guard_sees_the_arguments_of_each_call() -> None:
    """It changes them, or the call is not made and the model gets the reason; with `then="fail"` the node fails."""
    paid: list[int] = []

    def pay(amount: int) -> str:
        """Pay."""
        paid.append(amount)
        return "paid"

    def modest(arguments: str) -> str:
        if "1000" in arguments:
            raise ValueError("at most 999 can be paid")
        return arguments.replace("13", "12")

    def asks(then: Any) -> tuple[ScriptedModel, Agent[str]]:
        model = ScriptedModel([calls(("pay", {"amount": 13}), ("pay", {"amount": 1000})), "done"])
        guards = [guard(modest, on="arguments", then=then)]
        return model, Agent("cashier", prompt="Pay.", tools=[pay], model=model, guards=guards)

    model, agent = asks("retry")
    assert await agent.run() == "done"
    assert (paid, model.requests[1].messages[-1].is_error) == ([12], True)
    assert model.requests[1].messages[-1].text == "This call of pay was not made: at most 999 can be paid"
    with pytest.raises(GuardFailed):
        await asks("fail")[1].run()
