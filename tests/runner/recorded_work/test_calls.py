"""Recorded work with the real runner: what is done once, what is repeated, and how calls are identified."""

import asyncio
import functools
import os
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import pytest

from graphengine import Context, RunFailed, Runner
from tests.kit.facts import said
from tests.kit.runs import SOON
from tests.kit.working import Page, failing, kinds, one

# -- recording and returning results


async def test_a_step_returns_the_result_of_its_function(runner: Runner) -> None:
    """It can be an async or sync function, a method, a lambda or a partial; sync ones run in a thread."""
    here = threading.get_ident()
    threads: list[bool] = []

    def sync(n: int) -> int:
        threads.append(threading.get_ident() == here)
        return n + 1

    async def slow(n: int, *, by: int) -> int:
        await asyncio.sleep(0)
        return n * by

    async def work(ctx: Context) -> str:
        return f"{await ctx.call(sync, 1)} {await ctx.call(slow, 2, by=3)} {await ctx.call('x'.upper)}"

    run = runner.start(one(work))
    assert (await run.result()).state.text == "2 6 X"
    assert threads == [False]
    recorded = [step for step in await runner.history(run.id) if step.kind == "recorded"]
    assert [said(step)["value"] for step in recorded] == [2, 6, "X"]
    assert [said(step)["name"].rsplit(".", 1)[-1] for step in recorded] == ["sync", "slow", "upper"]
    assert {(step.path, step.visit, step.attempt) for step in recorded} == {("work", 1, 1)}


async def test_models_come_back_as_models(runner: Runner) -> None:
    """The return annotation decides how a record is read, in the first attempt as well as after an answer."""
    seen: list[object] = []

    async def fetch(url: str) -> Page:
        return Page(url=url, words=["a"])

    async def pages() -> list[Page]:
        return [Page(url="x")]

    async def pair() -> tuple[int, Page | None]:
        return 1, None

    async def work(ctx: Context) -> str:
        seen.append((await ctx.call(fetch, "u"), await ctx.call(pages), await ctx.call(pair)))
        return await ctx.ask("Well?", str)

    graph = one(work)
    run_id = (await runner.start(graph).result()).run_id
    await runner.answer(run_id, "x")
    await runner.resume(run_id, graph).result()
    assert seen == [(Page(url="u", words=["a"]), [Page(url="x")], (1, None))] * 2


async def test_without_an_annotation_a_result_is_plain_json(runner: Runner) -> None:
    """A lambda's mapping is returned unchanged; a model without an annotation is refused with the repair."""

    async def plain(ctx: Context) -> str:
        return str(await ctx.call(lambda: {"a": [1, None, 2.5]}))

    assert (await runner.start(one(plain)).result()).state.text == "{'a': [1, None, 2.5]}"

    async def untyped(ctx: Context) -> str:
        return str(await ctx.call(lambda: Page(url="u")))

    result = await failing(runner, one(untyped))
    assert result.error.kind == "not_recordable"
    assert "annotate what the function returns" in result.repair


@pytest.mark.parametrize("made", [{1, 2}, (1, 2), object(), float("nan"), {1: "a"}, b"\xff"])
async def test_a_result_that_would_change_in_json_is_refused(runner: Runner, made: object) -> None:
    """A result that would change in JSON is refused: a node would see a set before a crash and a list after it."""

    def give():  # type: ignore[no-untyped-def]  # noqa: ANN202
        return made

    async def work(ctx: Context) -> str:
        return str(await ctx.call(give))

    result = await failing(runner, one(work))
    assert result.error.kind == "not_recordable"
    assert "recorded" not in await kinds(runner, result.run_id)


@pytest.mark.parametrize(
    ("function", "make", "text"),
    [(lambda _: "used", threading.Lock, "used"), (sum, lambda: (n for n in (1, 2, 3)), "6")],
    ids=["no JSON", "an iterator, which reading would exhaust"],
)
async def test_an_argument_that_is_no_json_needs_a_key(
    runner: Runner, function: Callable[[Any], object], make: Callable[[], object], text: str
) -> None:
    """An argument without a JSON form is refused with the repair; with a key the key identifies the call."""

    async def bare(ctx: Context) -> str:
        return str(await ctx.call(function, make()))

    result = await failing(runner, one(bare))
    assert result.error.kind == "not_recordable"
    assert "key=" in result.repair

    async def keyed(ctx: Context) -> str:
        return str(await ctx.call(function, make(), key="its key"))

    assert (await runner.start(one(keyed)).result()).state.text == text


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


class Client:
    """A client that differs from others only by identity."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def fetch(self, url: str) -> str:
        """Fetch it with the method."""
        return f"{self.name}:{url}"


async def fetch(name: str, *, url: str) -> str:
    """Fetch it with the function."""
    return f"{name}:{url}"


async def crosswise(runner: Runner, *calls: Callable[[Context], Awaitable[str]]) -> Any:
    """Return the results of two parallel calls in a node that runs again, with the second begun first that time."""
    runs: list[int] = []

    async def work(ctx: Context) -> str:
        runs.append(1)
        order = [0, 1] if len(runs) == 1 else [1, 0]
        found = {n: await calls[n](ctx) for n in order}
        await ctx.ask("Well?", str)
        return f"{found[0]} {found[1]}"

    graph = one(work)
    run_id = (await runner.start(graph).result()).run_id
    await runner.answer(run_id, "x")
    return (await runner.resume(run_id, graph).result()).state.text


async def test_partials_are_identified_by_their_arguments(runner: Runner) -> None:
    """This is true at any depth, by position and by name; a partial is the call that it makes."""
    first, second = (functools.partial(functools.partial(fetch, name), url="u") for name in "ab")
    assert await crosswise(runner, lambda ctx: ctx.call(first), lambda ctx: ctx.call(second)) == "a:u b:u"
    first, second = (functools.partial(fetch, "a", url=url) for url in "uv")
    assert await crosswise(runner, lambda ctx: ctx.call(first), lambda ctx: ctx.call(second)) == "a:u a:v"


@pytest.mark.parametrize("kind", ["methods", "lambdas", "partials of methods"])
async def test_functions_that_look_alike_are_refused_without_a_key(runner: Runner, kind: str) -> None:
    """One would get the other's record. With keys each gets its own, whichever begins first."""

    def closure(name: str) -> Callable[[], Awaitable[str]]:
        return lambda: fetch(name, url="u")

    made: dict[str, Sequence[Callable[..., Awaitable[str]]]] = {
        "methods": [Client(name).fetch for name in "ab"],
        "lambdas": [closure(name) for name in "ab"],
        "partials of methods": [functools.partial(Client(name).fetch, "u") for name in "ab"],
    }
    first, second = made[kind]
    given = ["u"] if kind == "methods" else []

    async def work(ctx: Context) -> str:
        return await ctx.call(first, *given) + await ctx.call(second, *given)

    result = await failing(runner, one(work))
    assert result.error.kind == "not_recordable"
    assert "two different functions" in result.error.message
    assert "key=" in result.repair

    text = await crosswise(
        runner, lambda ctx: ctx.call(first, *given, key="a"), lambda ctx: ctx.call(second, *given, key="b")
    )
    assert text == "a:u b:u"


async def test_one_object_can_make_equal_calls(runner: Runner) -> None:
    """A method of the same object is the same function each time it is looked up."""
    client = Client("a")

    async def work(ctx: Context) -> str:
        return await ctx.call(client.fetch, "u") + await ctx.call(client.fetch, "u") + await ctx.call(client.fetch, "v")

    assert (await runner.start(one(work)).result()).state.text == "a:ua:ua:v"


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


async def test_a_class_returns_its_own_instances(runner: Runner) -> None:
    """A model's class is a function that returns that model; a sync function can be annotated with an awaitable."""

    def later() -> Awaitable[int]:
        async def three() -> int:
            return 3

        return three()

    async def work(ctx: Context) -> str:
        return f"{(await ctx.call(Page, url='u')).url} {await ctx.call(later)}"

    assert (await runner.start(one(work)).result()).state.text == "u 3"


@pytest.mark.parametrize("annotation", [threading.Event, Annotated[threading.Event, []]])
async def test_a_return_type_that_json_cannot_carry_is_refused_before_the_call(runner: Runner, annotation: Any) -> None:
    """The error names the type and the repair, and nothing is called; also if the type cannot be hashed."""
    calls: list[int] = []

    def make() -> Any:
        calls.append(1)
        return threading.Event()

    make.__annotations__["return"] = annotation

    async def work(ctx: Context) -> str:
        return str(await ctx.call(make))

    result = await failing(runner, one(work))
    assert (result.error.kind, calls) == ("not_recordable", [])
    assert "the record cannot carry what make returns, " in result.error.message


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


@pytest.mark.parametrize("kind", ["ask", "receive", "sleep"])
async def test_waiting_inside_a_step_is_a_clear_error(runner: Runner, kind: str) -> None:
    """It would wait for its own end; the error says where to wait."""

    async def inner(ctx: Context) -> str:
        if kind == "ask":
            await ctx.ask("Well?", str)
        elif kind == "receive":
            await ctx.receive("t")
        else:
            await ctx.sleep(5)
        return "x"

    async def work(ctx: Context) -> str:
        return await ctx.call(inner, ctx, key="k")

    with pytest.raises(RunFailed, match=rf"ctx.{kind} was called inside a ctx.call[\s\S]*in the node itself"):
        async with asyncio.timeout(SOON):
            await runner.start(one(work)).result()


async def test_errors_that_cause_each_other_are_handled(timed: Runner) -> None:
    """Each error in a circle of causes is visited once."""

    async def work(ctx: Context) -> str:
        await ctx.call("x".upper)
        first, second = ValueError("first"), ValueError("second")
        second.__cause__ = first
        raise first from second

    result = await failing(timed, one(work))
    assert result.error.message == "first"


async def test_a_set_is_the_same_input_each_time(runner: Runner) -> None:
    """Its order in this process does not matter."""
    names = ["b", "a", "c"] * 2
    sets = iter([frozenset(names), frozenset(reversed(names))])
    calls: list[object] = []

    async def count(what: dict[str, frozenset[str]]) -> int:
        calls.append(what)
        return len(what["names"])

    async def work(ctx: Context) -> str:
        found = await ctx.call(count, {"names": next(sets)})
        await ctx.ask("Well?", str)
        return str(found)

    graph = one(work)
    run_id = (await runner.start(graph).result()).run_id
    await runner.answer(run_id, "x")
    assert (await runner.resume(run_id, graph).result()).state.text == "3"
    assert len(calls) == 1
