"""Requests to a run that goes on: each gets the reply to itself, whichever process drives the run."""

import asyncio
from typing import Any

import pytest
from pydantic import BaseModel

from graphengine import END, START, Context, Graph, RunFailed, Runner, RunRequest, iterations
from graphengine.errors import DefinitionError, InputError, NotPublished, NotPublishedYet, RequestRefused, UnknownRun
from graphengine.history.load import load_snapshot
from graphengine.runner.run_requests import Reply


class State(BaseModel):
    n: int = 0
    later: RunRequest[int] | None = None


async def serve(ctx: Context, n: int) -> int:
    """Reply to a request with whether its number is even, and refuse 13."""
    request = await ctx.receive("is_even", RunRequest[int])
    if request.value == 13:
        await ctx.refuse(request, "13 is no number that anybody asks for")
    else:
        await ctx.reply(request, request.value % 2 == 0)
    return n + 1


def shop(node: Any = serve, visits: int = 3) -> Graph[State]:
    """Return a graph that serves some requests and ends."""
    graph = Graph("shop", State)
    graph.add_node("serve", node, writes="n")
    graph.add_edge(START, "serve")
    graph.add_edge("serve", END, when=iterations("serve") >= visits)
    graph.add_edge("serve", "serve")
    return graph


async def waits_of(runner: Runner) -> set[str]:
    """Return the names and topics of what the run waits for."""
    try:
        frames = (await load_snapshot(runner.store, "r", None)).frames.values()
    except UnknownRun:  # its start is not recorded yet
        return set()
    return {each for frame in frames for name, wait in frame.waits.items() for each in (name, wait.topic or "")}


async def test_each_request_gets_its_own_reply(runner: Runner) -> None:
    """Also requests that are sent at once, and whose replies are equal."""
    run = runner.start(shop(visits=6), run_id="r")
    replies = await asyncio.gather(*(run.request("is_even", number, bool) for number in (1, 2, 3, 4, 4)))
    assert replies == [False, True, False, True, True]
    assert (await run.result()).status == "waiting"
    assert await runner.get("r", shop(visits=6)).request("is_even", 8) is True
    assert (await runner.get("r").result()).status == "finished"


async def test_a_request_that_is_sent_again_gets_the_first_reply(runner: Runner) -> None:
    """The key makes it the same request: the node sees one, also after the caller stopped waiting."""
    run = runner.start(shop(visits=2), run_id="r")
    assert await run.request("is_even", 2, bool, idempotency_key="a") is True
    assert await run.request("is_even", 3, bool, idempotency_key="a") is True
    gone = asyncio.ensure_future(run.request("is_even", 3, bool, idempotency_key="b"))
    while (await run.status()) != "finished":  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    gone.cancel()
    with pytest.raises(NotPublished):
        await Reply("r", "is_even c", bool, None).find(runner.store, await runner.info("r"), 0)
    assert await Reply("r", "is_even b", bool, None).find(runner.store, await runner.info("r"), 0) is False
    with pytest.raises(InputError, match="run r has ended"):
        await run.request("is_even", 2, bool)


async def test_a_refusal_is_an_exception(runner: Runner) -> None:
    """The node's own words, and the reason for which a message of another type cannot be read."""
    run = runner.start(shop(), run_id="r")
    with pytest.raises(RequestRefused, match="13 is no number that anybody asks for"):
        await run.request("is_even", 13)
    with pytest.raises((RequestRefused, InputError), match=r"valid integer|not a whole number"):
        await run.request("is_even", "two")
    assert await run.request("is_even", 2) is True


async def test_a_node_that_receives_something_else_refuses(runner: Runner) -> None:
    """A request that is sent before the node waits is refused when the node reads it, and the caller is told."""

    async def plain(ctx: Context, n: int) -> int:
        return n + await ctx.receive("is_even", int)

    run = runner.start(shop(plain, visits=1), run_id="r")
    with pytest.raises((RequestRefused, InputError), match=r"valid integer|not a whole number"):
        await run.request("is_even", 2)
    await run.send("is_even", 2)
    assert (await runner.resume("r", shop(plain, visits=1)).result()).state.n == 2


async def test_a_later_node_can_reply(runner: Runner) -> None:
    """The request is a value of the state meanwhile, also over a pause and in another process."""

    async def take(ctx: Context) -> RunRequest[int]:
        return await ctx.receive("is_even", RunRequest[int])

    async def tell(ctx: Context, later: RunRequest[int]) -> int:
        more = await ctx.ask("How many more?", int)
        await ctx.reply(later, later.value + more)
        return later.value

    graph = Graph("later", State)
    graph.add_node("take", take, writes="later")
    graph.add_node("tell", tell, writes="n")
    graph.add_path(START, "take", "tell", END)
    run = runner.start(graph, run_id="r")
    waits = asyncio.ensure_future(run.request("is_even", 20, int))
    while "tell" not in await waits_of(runner):  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    await runner.answer("r", 1, graph)
    assert await waits == 21


async def test_without_a_reply_it_ends(runner: Runner) -> None:
    """With the run, or with the time; a run that waits for something else keeps the request."""

    async def ignore(ctx: Context) -> int:
        await ctx.ask("Go on?")
        return 1

    graph = shop(ignore, visits=1)
    run = runner.start(graph, run_id="r")
    with pytest.raises(NotPublishedYet, match="has not replied"):
        await run.request("is_even", 1, timeout_seconds=0.05)
    waits = asyncio.ensure_future(run.request("is_even", 2))
    while len(await run.unread("is_even")) < 2:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    await runner.answer("r", "yes", graph)
    with pytest.raises(NotPublished, match=r"run r is over \(finished\)"):
        await waits


async def test_a_reply_of_another_type_is_an_error_and_is_hidden_from_lists(runner: Runner) -> None:
    """The engine publishes replies under a name of its own, which nobody else can use."""
    run = runner.start(shop(), run_id="r")
    with pytest.raises(InputError, match="the reply of run r is not of type list"):
        await run.request("is_even", 1, list[int])

    async def forge(ctx: Context) -> int:
        await ctx.publish("ge:reply", {"to": "x", "value": 1})
        return 1

    with pytest.raises(RunFailed, match="begins with 'ge:'"):
        await runner.start(shop(forge, visits=1), run_id="f").result()


async def test_the_values_of_a_run_that_fails_end_in_its_failure(runner: Runner) -> None:
    """Who iterates learns that no more values come because of a failure."""

    async def fail(ctx: Context) -> int:
        await ctx.publish("progress", 1)
        raise ValueError("no paper")

    run = runner.start(shop(fail, visits=1), run_id="r")
    found = run.publications("progress", int)
    assert (await anext(found)).value == 1
    with pytest.raises(RunFailed, match="no paper"):
        await anext(found)


async def test_the_refusal_of_another_message_is_not_that_of_the_request(runner: Runner) -> None:
    """A node that has a request and refuses a message on another topic, or a later one on the same, can still reply."""

    async def check(ctx: Context) -> int:
        request = await ctx.receive("buy", RunRequest[int])
        number = await ctx.receive("ok", int)
        await ctx.receive("buy", int)
        await ctx.reply(request, request.value + number)
        return number

    run = runner.start(shop(check, visits=1), run_id="r")
    waits = asyncio.ensure_future(run.request("buy", 40, int))
    while "ok" not in await waits_of(runner):  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    for topic, payload in (("ok", "words of another caller"), ("ok", 2), ("buy", "words"), ("buy", 1)):
        await runner.store.post("r", "message", {"topic": topic, "payload": payload}, key=f"{topic} {payload}")
    await runner.drive("r", shop(check, visits=1))
    assert await waits == 42


async def test_what_cannot_be_waited_for_is_not_sent(runner: Runner) -> None:
    """An argument that is refused leaves no message behind, so that the caller can repair it and send once."""
    run = runner.start(shop(), run_id="r")
    for wrong in ({"timeout_seconds": -1}, {"timeout_seconds": "soon"}):
        with pytest.raises(DefinitionError):
            await run.request("is_even", 2, bool, **wrong)
    assert await run.unread("is_even") == []
    assert (await runner.state_at("r"))["n"] == 0
