"""Test modules that the tests of the plugin let pytest run."""

from typing import Final

GRAPHS: Final = """
import asyncio
from pydantic import BaseModel, SecretStr
from graphengine import END, START, Agent, Context, Graph, Retry

class State(BaseModel):
    n: int = 0
    draft: str = ""

CALLS = []

async def note(n: int) -> int:
    CALLS.append(n)
    return n

async def count(n: int, ctx: Context) -> int:
    await ctx.call(note, n)
    return n + 1

async def hang(n: int) -> int:
    await asyncio.Event().wait()

async def nap(n: int, ctx: Context) -> int:
    await ctx.sleep(3600)
    return 7

def of(*nodes, name="counting"):
    graph = Graph(name, State)
    for number, node in enumerate(nodes):
        graph.add_node(f"node{number}", node, writes="n")
    graph.add_path(START, *(f"node{number}" for number in range(len(nodes))), END)
    return graph

counting, hanging, napping = of(count, count), of(hang), of(nap)
writer = Agent("writer", model="anthropic:claude-haiku-4-5", system="be brief", prompt="{n}")
writing = Graph("writing", State)
writing.add_node("write", writer, writes="draft")
writing.add_path(START, "write", END)
"""
"""Put in front of each module."""

PLAIN: Final = """
def test_a_plain_test_enters_the_runner(runner):
    async def main():
        async with runner:
            return await runner.start(counting, {}).result()
    assert asyncio.run(main()).state.n == 2

def test_a_plain_test_may_do_without(runner, store):
    async def main():
        return await runner.start(counting, {}).result()
    assert asyncio.run(main()).state.n == 2

def test_the_clock_is_a_fake_one(clock):
    before = clock.now()
    clock.move(5)
    assert clock.now() == before + 5

def test_a_script_is_used_up(runner, scripted_model):
    runner.use(models={"*": scripted_model(["a draft"])})
    async def main():
        async with runner:
            return await runner.start(writing, {}).result()
    assert asyncio.run(main()).state.draft == "a draft"
"""

ASYNC: Final = """
async def test_an_async_test_needs_no_more(runner, store):
    assert (await runner.start(counting, {}).result()).state.n == 2
    assert "memory" in type(store).__module__ or "sqlite" in type(store).__module__
    assert runner.store is store

async def test_time_jumps(runner):
    assert (await runner.start(napping, {}).result()).state.n == 7

async def test_time_is_turned_by_hand(runner, clock):
    run = runner.start(napping, {})
    await run.begun()
    while not await runner.waits(run.id):
        await asyncio.sleep(0)
    clock.move(3600)
    assert (await run.result()).state.n == 7

async def test_a_script_is_used_up(runner, scripted_model):
    runner.use(models={"*": scripted_model(["a draft"])})
    assert (await runner.start(writing, {}).result()).state.draft == "a draft"
"""
