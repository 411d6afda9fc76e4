"""Recorded work with the real runner: what is done once, what is repeated, and how calls are identified."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

from graphengine import Context, Runner
from tests.kit.facts import said
from tests.kit.working import one

# -- recording and returning results


async def test_equal_calls_are_identified_by_their_number(runner: Runner) -> None:
    """Three equal calls are three calls, and each gets its own record, whichever ended first."""
    made: list[int] = []
    turns = [asyncio.Event() for _ in range(4)]
    turns[3].set()

    async def draw() -> int:
        number = len(made)
        made.append(number)
        await turns[number + 1].wait()
        turns[number].set()
        return number

    async def work(ctx: Context) -> str:
        drawn = await asyncio.gather(*(ctx.call(draw) for _ in range(3)))
        await ctx.ask("Well?", str)
        return str(drawn)

    graph = one(work)
    run_id = (await runner.start(graph).result()).run_id
    recorded = [said(step)["value"] for step in await runner.history(run_id) if step.kind == "recorded"]
    assert recorded == [2, 1, 0]
    await runner.answer(run_id, "x")
    assert (await runner.resume(run_id, graph).result()).state.text == "[0, 1, 2]"
    assert made == [0, 1, 2]


def test_the_digest_of_a_set_does_not_depend_on_the_process() -> None:
    """Hashes of text differ between processes, and so does the order of a set of texts."""
    code = "from graphengine.runner.call_records import digest_of_call as of; print(of('f', [{'a', 'b', 'c'}], {}))"
    root = Path(__file__).resolve().parents[3]
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(root)},
            check=True,
            capture_output=True,
        ).stdout
        for seed in "123"
    }
    assert len(found) == 1


async def test_steps_inside_steps_are_identified_by_the_outer_one(runner: Runner) -> None:
    """Two parallel calls make equal calls inside; each keeps its own, and none of them is unused."""
    calls: list[str] = []
    first_may_go = asyncio.Event()

    async def inner(ctx: Context, name: str) -> str:
        calls.append(name)
        return name

    async def outer(name: str, ctx: Context) -> str:
        if name == "a":
            await first_may_go.wait()
        got = await ctx.call(inner, ctx, name, key="inner")
        first_may_go.set()
        return got

    async def work(ctx: Context) -> str:
        both = await asyncio.gather(*(ctx.call(outer, name, ctx, key=name) for name in "ab"))
        await ctx.ask("Well?", str)
        return " ".join(both)

    graph = one(work)
    run_id = (await runner.start(graph).result()).run_id
    assert calls == ["b", "a"]
    await runner.answer(run_id, "x")
    assert (await runner.resume(run_id, graph).result()).state.text == "a b"
    assert "unused" not in said((await runner.history(run_id))[-1])
