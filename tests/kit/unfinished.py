"""The unfinished runs that `checkpoints/` keeps: one for each kind of recorded work, which waits behind it.

`leave` records them in any store. `finish` continues them, also in a later version: what they recorded is not done
again. All that they can ask outside is `OUTSIDE`, which notes what was asked; `finish` returns that too. Leave what is
here unchanged, with its texts: names, arguments and requests are the keys under which the recorded work is found. For
a new kind of recorded work add a graph, a run and what continues it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any, Final

from pydantic import BaseModel

from graphengine import (
    END,
    START,
    Agent,
    Context,
    Graph,
    Memory,
    Message,
    Once,
    Retry,
    Run,
    Runner,
    StepRecorded,
    tool,
    value,
)
from graphengine.kernel.fake_clock import FakeClock
from graphengine.models import batches
from graphengine.models.base import Request, Response, ToolCall
from graphengine.reducers import extend

BEGAN: Final = 1_800_000_000.0


class Outside:
    """What is outside of the runs: it notes what it is asked.

    Attributes:
        asked: What was asked since the last `while_noted`.
        is_up: Whether the bank answers; a payment waits for that.
    """

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.is_up = False
        self.begun = asyncio.Event()

    def note(self, what: str) -> str:
        """Note a request, and answer it."""
        self.asked.append(what)
        return f"{what} done"

    @contextmanager
    def noted(self) -> Iterator[list[str]]:
        """Begin a new list of what is asked."""
        self.asked, self.begun = [], asyncio.Event()
        yield self.asked


OUTSIDE: Final = Outside()


class Kept(BaseModel):
    """The state of each of these runs."""

    topic: str = "bees"
    said: str = ""
    items: list[str] = ["one", "two"]
    done: str = ""
    results: list[str] = []
    messages: Annotated[list[Message], extend] = []


class Model:
    """A model whose answer follows from the request: a call of the first tool, then how many results there are."""

    name = "kept:model"

    async def answer(self, request: Request) -> Response:
        """Answer a request."""
        OUTSIDE.note(f"{request.agent} {len(request.messages)}")
        results = sum(message.role == "tool" for message in request.messages)
        if request.tools and not results:
            arguments = json.dumps({"text": request.agent})
            return Response("", (ToolCall(id="call-1", name=request.tools[0].name, arguments=arguments),))
        return Response(f"{request.agent} has {results} results", input_tokens=11, output_tokens=7, cost_usd=0.25)

    class batches:  # noqa: N801 - an attribute of a model
        """Its batches; one ends when the bank is up."""

        @staticmethod
        async def submit(name: str, requests: Mapping[str, Request]) -> str:
            """Accept a batch."""
            OUTSIDE.note(f"batch of {len(requests)}")
            return f"batch {name}"

        @staticmethod
        async def find(ticket: batches.Ticket) -> str | None:
            """Find no batch."""
            OUTSIDE.note(f"search of {ticket.batch}")
            return None

        @staticmethod
        async def ended(batch: str) -> bool:
            """Return whether a batch has ended."""
            del batch
            return OUTSIDE.is_up

        @staticmethod
        async def answers(batch: str) -> Mapping[str, Response]:
            """Return the answers to all requests that there can be."""
            name = batch.removeprefix("batch ")
            return {f"{name}_{n}": Response(f"answer {n}", cost_usd=0.5) for n in range(len(Kept().items))}


def act(what: str) -> str:
    """Do something outside."""
    return OUTSIDE.note(what)


async def go_on(ctx: Context, done: str) -> str:
    """Wait for a person, then return what was done before."""
    return done if await ctx.ask("Go on?", bool) else "ended"


# -- one node for each kind of recorded work, and what it waits for


async def called(ctx: Context) -> str:
    """Call functions, one of them after a failure."""
    await ctx.call(act, "first")
    return await go_on(ctx, await ctx.call(act, "second", key="named"))


@tool
def look_up(text: str) -> str:
    """Look a text up."""
    return act(f"look up {text}")


@tool(approve=True, effect="idempotent")
def publish(text: str, idempotency_key: str) -> str:
    """Publish a text."""
    return act(f"publish {text} as {idempotency_key}")


clerk: Final = Agent("clerk", prompt="Look up {topic}.", tools=[look_up])
editor: Final = Agent("editor", prompt="Publish {topic}.", tools=[publish])
counter: Final = Agent("counter", prompt="Count {item}.", batch=True)
friend: Final = Agent("friend", prompt="{said}", messages="messages")


async def turns(ctx: Context, topic: str) -> str:
    """Let an agent answer, which calls a tool first."""
    return await go_on(ctx, await clerk.run(topic=topic))


async def heard(ctx: Context) -> str:
    """Receive two messages."""
    first = await ctx.receive("news", str)
    await ctx.call(act, "between")
    return f"{first} {await ctx.receive('news', str)}"


async def listen(ctx: Context) -> str:
    """Receive what is said next."""
    return await ctx.receive("said", str)


async def slept(ctx: Context) -> str:
    """Sleep for an hour."""
    done = await ctx.call(act, "before the sleep")
    await ctx.sleep(3600)
    return done


async def parent(ctx: Context) -> str:
    """Start a child that ends, and one that waits."""
    ended = await (await ctx.start(CHILD, {"topic": "short"})).result()
    waits = await (await ctx.start(ASKED, {"topic": "long"})).result()
    return f"{ended.state.done} {waits.state.done}"


def short(topic: str) -> str:
    """Be the work of a child."""
    return act(f"child {topic}")


async def remembered(ctx: Context, memory: Memory) -> str:
    """Keep a value, and read another one."""
    await memory.put("users/ada", "drink", "tea")
    entry = await memory.get("users/ada", "food")
    return await go_on(ctx, str(entry and entry.value))


async def pay(idempotency_key: str) -> str:
    """Pay; while the bank is down, nobody knows how it ends."""
    OUTSIDE.note("pay")
    OUTSIDE.begun.set()
    await asyncio.Event().wait()
    return idempotency_key


async def found(idempotency_key: str) -> str:
    """Return what the bank knows of a payment."""
    return f"paid, says the bank of {idempotency_key}"


async def paid(ctx: Context) -> str:
    """Pay; the process ends meanwhile."""
    return await ctx.call(pay, effect=Once(reconcile=found))


async def deliver(item: str, idempotency_key: str) -> str:
    """Deliver an item."""
    return act(f"deliver {item} as {idempotency_key}")


async def delivered(ctx: Context, item: str) -> str:
    """Pack an item, and deliver it once a person has said so."""
    packed = await go_on(ctx, await ctx.call(act, f"pack {item}"))
    return f"{packed}, {await ctx.call(deliver, item, effect='idempotent')} by {ctx.idempotency_key}"


async def unclear() -> str:
    """Lose the connection while something is bought."""
    OUTSIDE.note("buy")
    raise ConnectionError("the connection broke")


async def bought(ctx: Context) -> str:
    """Buy; a person is asked how that ended."""
    return await ctx.call(unclear, effect="once")


async def ship(item: str, idempotency_key: str) -> str:
    """Ship an item; while the bank is down, the process ends meanwhile."""
    done = act(f"ship {item} as {idempotency_key}")
    OUTSIDE.begun.set()
    if not OUTSIDE.is_up:
        await asyncio.Event().wait()
    return done


async def shipped(ctx: Context, topic: str) -> str:
    """Ship; the effect may be repeated with the key with which it began."""
    return await ctx.call(ship, topic, effect="idempotent")


async def flaky(ctx: Context) -> str:
    """Record work, and fail until the bank is up."""
    done = await ctx.call(act, "before the failure")
    if not OUTSIDE.is_up:
        raise ConnectionError("the bank is down")
    return done


def one(name: str, work: Any, **options: Any) -> Graph[Kept]:
    """Return a graph of one node."""
    search = ["input.topic"] if name == "asked" else []
    graph = Graph(name, Kept, resources={"memory": lambda: MEMORY[0]}, search=search)
    graph.add_node("work", work, **{"writes": "done", **options})
    graph.add_path(START, "work", END)
    return graph


def talk() -> Graph[Kept]:
    """Return a conversation."""
    graph = Graph("talk", Kept)
    graph.add_node("listen", listen, writes="said")
    graph.add_node("reply", friend, writes="done")
    graph.add_edge(START, "listen")
    graph.add_edge("listen", END, when=value("said") == "bye", label="said goodbye")
    graph.add_path("listen", "reply", "listen")
    return graph


MEMORY: list[Memory] = []
"""The memory of the nodes: one in the same store when they are recorded, an empty one when they are continued."""
CHILD: Final = one("short", short)
ASKED: Final = one("asked", called)
GRAPHS: Final[Mapping[str, Graph[Kept]]] = {
    "call": ASKED,
    "turn": one("turn", turns),
    "tool": one("tool", editor),
    "chat": talk(),
    "message": one("message", heard),
    "sleep": one("sleep", slept),
    "child": one("child", parent),
    "memory": one("memory", remembered),
    "effect_begun": one("effect_begun", paid),
    "effect_asked": one("effect_asked", bought, retry=Retry(attempts=2, initial_seconds=0, on=(ConnectionError,))),
    "key_begun": one("key_begun", shipped),
    "retry": one("retry", flaky, retry=Retry(attempts=2, initial_seconds=60, on=(ConnectionError,))),
    "items": one("items", delivered, each={"item": "items"}, writes="results"),
    "batch": one("batch", counter, each={"item": "items"}, writes="results"),
}
"""The graph of each run, by the run's id."""
_ONE: Final = "deliver one as items/work:1[0]/deliver|ffca2522f37f8793cb|1"
_TWO: Final = "deliver two as items/work:1[1]/deliver|ae1e4b419b97e40458|1"
_SHIP: Final = "ship bees as key_begun/work:1/ship|a1fa9018c482ce5fac|1"
AFTER: Final[Mapping[str, tuple[str, list[str]]]] = {
    "call": ("second done", []),
    "turn": ("clerk has 1 results", []),
    "tool": ("editor has 1 results", ["publish editor as tool/work:1/publish:3e0108006a293cc67d", "editor 3"]),
    "chat": ("friend has 0 results", ["friend 3"]),
    "message": ("one two", []),
    "sleep": ("before the sleep done", []),
    "child": ("child short done second done", []),
    "memory": ("rice", []),
    "effect_begun": ("paid, says the bank of effect_begun/work:1/pay|15b33c85c6cc8cd903|1", []),
    "effect_asked": ("a person saw it", []),
    "key_begun": (f"{_SHIP} done", [_SHIP]),
    "retry": ("before the failure done", []),
    "items": (
        f"pack one done, {_ONE} done by items/work:1[0] pack two done, {_TWO} done by items/work:1[1]",
        [_ONE, _TWO],
    ),
    "batch": ("answer 0 answer 1", []),
}
"""What each run ends with, and what it asks outside until then: only what it has not recorded."""


def runner_on(store: Any, seconds: float = 0.0) -> Runner:
    """Return a Runner so long after the beginning."""
    return Runner(store, clock=FakeClock(BEGAN + seconds, jumps=False), models=Model())


async def leave(store: Any, memory: Memory) -> None:
    """Record the runs in a store, and leave each where it waits; the memory has its values there."""
    MEMORY[:] = [memory]
    OUTSIDE.is_up = False
    with OUTSIDE.noted():
        async with runner_on(store) as runner:
            await memory.put("users/ada", "food", "rice")
            for name, graph in GRAPHS.items():
                await _left(runner, runner.start(graph, Kept(), run_id=name))
                for topic, text in {"chat": ("said", "hello"), "message": ("news", "one")}.items():
                    if topic == name:
                        await runner.send(name, *text)
                        await _left(runner, runner.resume(name, graph))


async def _left(runner: Runner, run: Run[Kept, Any]) -> None:
    """Release a run once it waits, or once its effect has begun."""
    if run.id in ("effect_begun", "key_begun"):
        await OUTSIDE.begun.wait()
        OUTSIDE.begun.clear()
    elif run.id in ("sleep", "retry", "batch"):  # their result comes when they wake up
        async for event in run.events():
            if isinstance(event, StepRecorded) and event.step.kind in ("waiting", "attempt"):
                break
    else:
        assert (await run.result()).status == "waiting"
    await runner.release(run.id, now=True)


async def finish(runner: Runner, name: str, as_: str = "") -> tuple[str, list[str]]:
    """Continue a run, or a branch of it, to its end. Return what it ends with, and what it asked outside.

    The keys that a branch gives begin with its own id, and are returned as those of the run.
    """
    OUTSIDE.is_up = True
    graph, run_id = GRAPHS[name], as_ or name
    with OUTSIDE.noted() as asked:
        for text in {"chat": ("said", "again", "bye"), "message": ("news", "two")}.get(name, ())[1:]:
            await runner.send(run_id, "said" if name == "chat" else "news", text)
        if name == "child":
            (child,) = [info.id for info in await runner.store.runs() if info.starter and info.status == "waiting"]
            await runner.answer(child, value=True)
            await runner.resume(child, ASKED).result()
        answers: dict[str, object] = dict.fromkeys(("tool", "call", "turn", "memory"), True)
        answers["effect_asked"] = {"result": "a person saw it"}
        if name in answers:
            await runner.answer(run_id, answers[name])
        for wait in ("work[0]", "work[1]") if name == "items" else ():
            await runner.answer(run_id, value=True, wait=wait)
        result = await runner.resume(run_id, graph).result()
        done = result.state.done or " ".join(result.state.results)
        keys = [each.replace(f"{run_id}/", f"{name}/") for each in asked]
        return done.replace(f"{run_id}/", f"{name}/"), sorted(keys) if name == "items" else keys  # either item is first
