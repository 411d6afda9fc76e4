"""Tools whose calls run one at a time, hang, or have threads; `sessions/policy.txt` shows the rest of their policy."""

from __future__ import annotations

import asyncio
import threading

import pytest

from graphengine import Agent, Runner, ScriptedModel, tool
from graphengine.agents.tool_threads import MOST_LEFT, MOST_THREADS, CallThread, ToolThreads, threads_of
from graphengine.models.scripted import calls
from tests.agents.run_kits import AGAIN, one, within
from tests.agents.tool_kits import called
from tests.kit.runs import SOON


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


async def test_a_timeout_is_raised_too() -> None:
    """Of a tool whose errors are raised."""
    release = threading.Event()
    with pytest.raises(TimeoutError, match=r"hang gave no result within 0\.01 seconds"):
        await called(tool(release.wait, name="hang", timeout_seconds=0.01, on_error="raise"), {"timeout": SOON})
    release.set()


async def test_sync_tools_that_hang_hold_up_nothing_else() -> None:
    """No node and no other tool waits for a thread; a tool that hung too often is not called until a call returns."""
    release, others = threading.Event(), {*threading.enumerate()}  # those of other tests may hang for a minute

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
    hung = [each for each in threading.enumerate() if each.name == "graphengine-tool" and each not in others]
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
