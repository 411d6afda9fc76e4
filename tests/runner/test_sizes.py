"""Size limits of states, updates, messages and recorded work, and what happens above them."""

import asyncio
import json
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import BaseModel

from graphengine import END, START, Context, Graph, Limits, Retry, RunFailed, Runner, Sizes, ask
from graphengine.engine import size_limits as core_sizes
from graphengine.errors import DefinitionError, GraphEngineError, InputError
from graphengine.reducers import append, extend
from tests.kit.runs import alone, failing

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
async def test_an_update_that_is_too_large_fails_its_node(name: str, database: Path | str) -> None:
    """The failure `too_large` has size, limit, field and repair; it is not retried, and can be resumed."""
    field, value = WRITES[name]
    graph = one(field, value, retry=Retry(attempts=3, initial_seconds=0))
    async with Runner(database, sizes=Sizes(update_bytes=12 * KB)) as runner:
        broken = await failing(runner.start(graph, run_id="r").result())
        error = broken.error
        assert (error.kind, error.path, error.attempt) == ("too_large", "write", 1)
        assert "12,000 are allowed" in error.message
        assert repr(field) in error.message
        assert "Sizes(update_bytes" in broken.repair
        assert graph.calls == [0]  # type: ignore[attr-defined]
    async with Runner(database) as runner:
        assert (await runner.resume("r", graph).result()).status == "finished"


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


async def test_the_writes_of_map_items_count_one_by_one_and_together() -> None:
    """An item that writes too much fails; items that are too large together fail their node."""
    graph = Graph("map", Doc)

    async def grow(word: str) -> str:
        return word * 1000

    graph.add_node("grow", grow, each={"word": "notes"}, writes="log")
    graph.add_path(START, "grow", END)
    for words, path in ((["long" * 4], "grow[0]"), (["ab"] * 8, "grow")):
        async with Runner(sizes=Sizes(update_bytes=12 * KB)) as runner:
            broken = await failing(runner.start(graph, Doc(notes=words)).result())
            assert (broken.error.kind, broken.error.path) == ("too_large", path)


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


async def test_a_run_does_not_begin_with_a_state_that_is_too_large() -> None:
    """A start is refused, and nothing is recorded; so is a branch with an update that is too large."""
    async with Runner(sizes=Sizes(state_bytes=100 * KB, update_bytes=20 * KB)) as runner:
        with pytest.raises(InputError, match="100,000 are allowed"):
            await runner.start(growing(1, 1), Doc(text="x" * 200 * KB), run_id="r").result()
        await runner.start(growing(1, 3), run_id="s").result()
        with pytest.raises(InputError, match="20,000 are allowed"):
            await runner.branch("s", growing(1, 3), 2, update={"text": "x" * 30 * KB}).result()
        assert [info.id for info in await runner.store.runs()] == ["s"]


async def test_the_input_of_a_subgraph_can_be_too_large() -> None:
    """The initial state of a subgraph counts like a write of its node."""
    inner = growing(1, 1)
    graph = alone(Doc, inner, "free", inputs={"text": "text"}, name="outer", node="inside")
    async with Runner(sizes=Sizes(update_bytes=20 * KB)) as runner:
        broken = await failing(runner.start(graph, Doc(text="x" * 30 * KB)).result())
        assert (broken.error.kind, broken.error.path) == ("too_large", "inside")


def listening() -> Graph[Doc]:
    """Return a graph that waits for an answer and for a message."""
    graph = Graph("listening", Doc)

    async def ask(ctx: Context) -> str:
        first = await ctx.ask("what?", str)
        return first + str(await ctx.receive("topic"))

    graph.add_node("ask", ask, writes="text")
    graph.add_path(START, "ask", END)
    return graph


async def test_an_answer_and_a_message_are_refused_by_the_call(database: Path | str) -> None:
    """Nothing of them is stored, and a smaller one is accepted."""
    graph = listening()
    async with Runner(database, sizes=Sizes(message_bytes=1000)) as runner:
        await runner.start(graph, run_id="r").result()
        with pytest.raises(InputError, match="1,000 are allowed") as caught:
            await runner.answer("r", "x" * 999)
        assert caught.value.code == "too_large"
        with pytest.raises(InputError, match="1,000 are allowed"):
            await runner.send("r", "topic", {"a": ["x" * 2000]})
        assert await runner.store.inbox(["r"]) == []
        await runner.answer("r", "x" * 998)
        await runner.send("r", "topic", "y")
        assert (await runner.resume("r", graph).result()).state.text == "x" * 998 + "y"


async def test_recorded_work_and_messages_of_a_node_can_be_too_large() -> None:
    """The call in the node raises `too_large`, and its result is not recorded."""

    async def much() -> str:
        return "x" * 5000

    async def step(ctx: Context) -> str:
        return await ctx.call(much)

    async def send(ctx: Context) -> None:
        ctx.send("topic", "x" * 5000)

    async def emit(ctx: Context) -> None:
        ctx.emit("x" * 5000, record=True)

    for node in (step, send, emit):
        graph = alone(Doc, node, "maybe", name="work")
        async with Runner(sizes=Sizes(work_bytes=1000, message_bytes=1000)) as runner:
            broken = await failing(runner.start(graph, run_id="r").result())
            assert broken.error.kind == "too_large"
            assert "x" * 200 not in repr(await runner.history("r"))


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


def test_sizes_are_bytes() -> None:
    """A size of 0, None or a text is refused."""
    for bad in (0, -1, 1.5, "1", True):
        with pytest.raises(DefinitionError):
            Sizes(update_bytes=bad)  # type: ignore[arg-type]
    with pytest.raises(GraphEngineError):
        asyncio.run(_with(5))


async def _with(sizes: Any) -> None:
    Runner(sizes=sizes)


class Old(BaseModel):
    n: int = 0
    ok: bool = False


class Grown(Old):
    blob: str = ""


def asking(state: type[BaseModel], **versions: Any) -> Graph[Any]:
    """Return a graph that waits, and then writes a little."""
    graph: Graph[Any] = Graph("asking", state, **versions)
    graph.add_node("ask", ask("Continue?", bool), writes="ok")
    graph.add_node("write", lambda: {"blob": "y" * 2 * KB} if state is Grown else {"n": 1}, thread=False)
    graph.add_path(START, "ask", "write", END)
    return graph


async def test_additions_of_a_migration_count_for_the_size_of_the_state() -> None:
    """The next node that writes fails if the migration made the state too large."""
    newer = asking(Grown, version=2, migrate={1: lambda old: {**old, "blob": "x" * 200 * KB}})
    async with Runner(sizes=Sizes(state_bytes=100 * KB)) as runner:
        await runner.start(asking(Old), run_id="r").result()
        await runner.answer("r", value=True)
        with pytest.raises(RunFailed, match="too_large: the state would take"):
            await runner.resume("r", newer).result()
        await runner.branch("r", newer, 2, run_id="b").result()
        await runner.answer("b", value=True)
        with pytest.raises(RunFailed, match="too_large: the state would take"):
            await runner.resume("b", newer).result()


async def test_the_update_of_a_branch_counts_for_the_size_of_the_state() -> None:
    """A later write can be too large together with it."""
    async with Runner(sizes=Sizes(state_bytes=100 * KB)) as runner:
        await runner.start(asking(Grown), run_id="r").result()
        await runner.branch("r", asking(Grown), 2, update={"blob": "x" * 90 * KB}, run_id="b").result()
        assert (await runner.waits("b"))[0].name == "ask"
        with pytest.raises(InputError) as caught:
            await runner.branch("r", asking(Grown), 2, update={"blob": "x" * 200 * KB}).result()
        assert caught.value.code == "too_large"


async def test_an_initial_state_that_is_too_large_has_the_code_too_large() -> None:
    """It can be given directly, or kept from an earlier run."""
    async with Runner() as runner:
        await runner.start(one("text", "x" * 200 * KB), run_id="r").result()
        store = runner.store
        small = Runner(store, sizes=Sizes(state_bytes=100 * KB))
        for run in (small.start(one("n", 1), {"text": "x" * 200 * KB}), small.start(one("n", 1), after="r")):
            with pytest.raises(InputError, match="the state takes 200,") as caught:
                await run.result()
            assert caught.value.code == "too_large"
