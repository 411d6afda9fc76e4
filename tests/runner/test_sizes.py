"""Size limits of states, updates, messages and recorded work, and what happens above them."""

import json
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import BaseModel

from graphengine import END, START, Context, Graph, Limits, RunFailed, Runner, Sizes
from graphengine.engine import size_limits as core_sizes
from graphengine.errors import InputError
from graphengine.reducers import append, extend
from tests.kit.runs import failing

KB = 1000


class Doc(BaseModel):
    n: int = 0
    text: str = ""
    maybe: str | None = None
    log: Annotated[list[str], append] = []
    rows: Annotated[list[dict[str, Any]], extend] = []
    own: Annotated[list[str], lambda old, new: [*old, new]] = []
    free: Any = None
    notes: list[str] = []


WRITES: dict[str, tuple[str, object]] = {
    "a text": ("text", "x" * 20 * KB),
    "a text of others": ("text", "é" * 6 * KB),
    "an optional text": ("maybe", "x" * 20 * KB),
    "an item of a list": ("log", "x" * 20 * KB),
    "many items": ("rows", [{"a": "b" * 100}] * 200),
    "a reducer of one's own": ("own", "x" * 20 * KB),
    "anything": ("free", {"a": ["x" * 10 * KB] * 2}),
}


def one(field: str, value: object, **options: Any) -> Graph[Doc]:
    """Return a graph whose only node writes this value."""
    graph = Graph("one", Doc)
    calls: list[int] = []

    async def write(n: int) -> object:
        calls.append(n)
        return value

    graph.add_node("write", write, writes=field, **options)
    graph.add_path(START, "write", END)
    graph.calls = calls  # type: ignore[attr-defined]
    return graph


@pytest.mark.parametrize("name", WRITES)
async def test_an_update_at_the_limit_is_written(name: str) -> None:
    """The exact size of the update as JSON counts, not its estimate."""
    field, value = WRITES[name]
    graph = one(field, value)
    async with Runner() as runner:
        await runner.start(graph, run_id="r").result()
        update = (await runner.history("r"))[-1].update
    exact = len(json.dumps(update, separators=(",", ":"), ensure_ascii=False).encode())
    async with Runner(sizes=Sizes(update_bytes=exact)) as runner:
        assert (await runner.start(graph).result()).status == "finished"
    async with Runner(sizes=Sizes(update_bytes=exact - 1)) as runner:
        with pytest.raises(RunFailed, match="too_large"):
            await runner.start(graph).result()


def growing(bytes_each: int, times: int) -> Graph[Doc]:
    """Return a graph that appends this many texts."""
    graph = Graph("growing", Doc)

    async def grow(n: int) -> dict[str, object]:
        return {"n": n + 1, "log": "x" * bytes_each}

    graph.add_node("grow", grow)
    graph.add_edge(START, "grow")
    graph.add_edge("grow", END, when=lambda n: n >= times)
    graph.add_edge("grow", "grow")
    return graph


@pytest.mark.parametrize("reopened", [False, True])
async def test_the_node_that_makes_the_state_too_large_fails(tmp_path: Path, *, reopened: bool) -> None:
    """Small updates add up; the one that passes the limit fails, and with a higher limit the run continues."""
    graph = growing(5 * KB, 30)
    path = tmp_path / "runs.db"
    async with Runner(path, sizes=Sizes(state_bytes=100 * KB)) as runner:
        if reopened:
            await runner.start(graph, run_id="r", limits=Limits(visits=7)).result()
            going = runner.resume("r", graph, limits=Limits())
        else:
            going = runner.start(graph, run_id="r")
        result = await failing(going.result())
        assert (result.error.kind, result.error.path) == ("too_large", "grow")
        assert "100,000 are allowed" in result.error.message
        assert 15 <= result.state.n <= 19
        assert "Sizes(state_bytes" in result.repair
    async with Runner(path) as runner:
        assert (await runner.resume("r", graph).result()).state.n == 30


async def test_a_state_is_measured_only_if_it_can_be_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Far from the limits nothing is written as JSON to measure its size."""
    measured: list[object] = []

    def spied(record: object) -> int:
        measured.append(record)
        return len(json.dumps(record))

    monkeypatch.setattr(core_sizes, "bytes_of", spied)
    await growing(5 * KB, 30).run()
    assert measured == []


async def test_small_writes_are_measured_now_and_then() -> None:
    """A state that only ever grows by little is found too large too."""
    graph = Graph("small", Doc)

    def more(n: int) -> dict[str, object]:
        return {"n": n + 1, "log": "x" * 100}

    graph.add_node("more", more, thread=False)
    graph.add_edge(START, "more")
    graph.add_edge("more", END, when=lambda n: n >= 5000)
    graph.add_edge("more", "more")
    async with Runner(sizes=Sizes(state_bytes=200 * KB)) as runner:
        broken = await failing(runner.start(graph, limits=Limits(visits=None)).result())
        assert broken.error.kind == "too_large"
        assert 1900 < broken.state.n < 3100


def listening() -> Graph[Doc]:
    """Return a graph that waits for an answer and for a message."""
    graph = Graph("listening", Doc)

    async def ask(ctx: Context) -> str:
        first = await ctx.ask("what?", str)
        return first + str(await ctx.receive("topic"))

    graph.add_node("ask", ask, writes="text")
    graph.add_path(START, "ask", END)
    return graph


def nested(depth: int) -> object:
    """Return nested lists of this depth."""
    value: object = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("depth", [120, 128, 129, 190, 199, 250, 5000])
async def test_every_recorded_value_can_be_read_at_any_depth(tmp_path: Path, depth: int) -> None:
    """A value that is nested too deep is refused at once, so that no log becomes unreadable."""
    value = nested(depth)
    graph = one("free", value)
    fits = depth < 128
    path = tmp_path / "runs.db"
    async with Runner(path) as runner:
        with_value = Doc.model_construct(free=value)
        for start, given in ((graph, {}), (growing(1, 1), with_value)):
            if fits:
                result = await runner.start(start, given).result()
                assert (await runner.resume(result.run_id, start).result()).state.free == value
            else:
                with pytest.raises((RunFailed, InputError)):
                    await runner.start(start, given).result()
        await runner.start(listening(), run_id="r").result()
        if depth <= 128:
            await runner.send("r", "topic", value)
        else:
            with pytest.raises(InputError):
                await runner.send("r", "topic", value)
    async with Runner(path) as runner:
        for info in await runner.store.runs():
            await runner.history(info.id)


async def test_recorded_work_must_not_be_nested_too_deep() -> None:
    """The result of `ctx.call` is refused like the result of a node."""
    for depth in (120, 150, 199):
        graph = Graph("work", Doc)
        much = partial(nested, depth)

        async def step(ctx: Context, much: Any = much) -> None:
            await ctx.call(much)

        graph.add_node("work", step, writes=())
        graph.add_path(START, "work", END)
        if depth <= 128:
            await graph.run()
        else:
            with pytest.raises(RunFailed, match="not_recordable"):
                await graph.run()
