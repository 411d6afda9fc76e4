"""Graphs whose runs the inspector shows, and a function that records some."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field

from graphengine import (
    END,
    START,
    Agent,
    Context,
    Graph,
    Limits,
    Retry,
    Runner,
    ScriptedModel,
    ask,
    tool,
    value,
)
from graphengine.errors import ChildFailed
from graphengine.models.scripted import calls
from graphengine.runner.ids import OwnId
from graphengine.runner.result import RunFailed

HOSTILE = '</textarea><img src=x onerror="window.hit=1"><script>window.hit=1</script>\'"'
"""A text that does something wherever it is used as HTML, as a template or in a quoted attribute."""

UNREADABLE = "".join(map(chr, range(0x200B, 0x2070))) + "\x1b[2J \x85 \u202eneve\u202c\r\n" + "word " * 2000 + "the end"
"""A text that is long, and that a terminal or a page would show otherwise than it was written."""

HOSTILE_ID = 'hostile<img/src=x/onerror="window.hit=1">\'&a=b/../%2F'


class Verdict(BaseModel):
    decision: Literal["publish", "revise"]
    stars: int = Field(ge=1, le=5)
    remarks: str = ""


class State(BaseModel):
    n: int = 0
    score: int = 0
    items: list[int] = []
    text: str = ""
    agreed: bool = False
    verdict: Verdict | None = None


def counter(most: int, *, seconds: float = 0) -> Graph[State]:
    """Return a graph that counts to `most`, with a detour for high scores; each visit takes so many seconds."""
    graph = Graph("counter", State, limits=Limits(visits=10 * most + 10))

    async def work(n: int) -> dict[str, int]:
        if seconds:
            await asyncio.sleep(seconds)
        return {"n": n + 1, "score": n * 7 % 11}

    def boost(score: int) -> int:
        return score + 1

    graph.add_node("work", work, writes=["n", "score"])
    graph.add_node("boost", boost, writes="score", thread=False)
    graph.add_edge(START, "work")
    graph.add_edge("work", END, when=value("n") >= most, label="enough")
    graph.add_edge("work", "boost", when=value("score") >= 7, label="high enough")
    graph.add_edge("work", "work", label="again")
    graph.add_edge("boost", "work")
    return graph


def review(question: str = "Publish this draft?") -> Graph[State]:
    """Return a graph that asks for a verdict, then whether to continue."""
    graph = Graph("review", State)
    graph.add_node("approve", ask(question, Verdict), writes="verdict")
    graph.add_node("agree", ask("Go on?", bool), writes="agreed")
    graph.add_path(START, "approve", "agree", END)
    return graph


def starting() -> Graph[State]:
    """Return a graph whose node starts a run, and waits for it."""

    async def ask_below(ctx: Context) -> int:
        return (await (await ctx.start(counter(1), {}, run_id="below")).result()).state.n

    graph = Graph("starting", State)
    graph.add_node("above", ask_below, writes="n")
    graph.add_path(START, "above", END)
    return graph


def calling() -> Graph[State]:
    """Return a graph whose agent calls a tool that fails."""

    def look() -> str:
        """Look."""
        raise ValueError("nothing to see")

    graph = Graph("calling", State)
    model = ScriptedModel([calls(("look", {})), "done"])
    graph.add_node("look", Agent("eye", prompt="Look.", tools=[look], model=model), writes="text")
    graph.add_path(START, "look", END)
    return graph


def checked() -> Graph[State]:
    """Return a graph whose agent's first answer is rejected, and that asks whether the second may be published."""

    def about_the_moon(answer: str) -> None:
        if "moon" not in answer:
            raise ValueError("no word of the moon")

    text = "# Tides\n\n- the moon pulls\n- <img src=x onerror='window.hit=1'> [more](javascript:window.hit=1)"
    model = ScriptedModel(["Water moves.", text])
    prompt = "<topic>\nTides,\nfor children.\n</topic>\n<rules>be short</rules>"
    writer = Agent("writer", system="Write for {text}.", prompt=prompt, check=about_the_moon, model=model)
    graph = Graph("checked", State)
    graph.add_node("write", writer, writes="text")
    graph.add_node("agree", ask("May it be published?", bool), writes="agreed")
    graph.add_path(START, "write", "agree", END)
    return graph


def mailing() -> Graph[State]:
    """Return a graph whose agent asks for approval of a mail."""

    def mail(to: str, text: str) -> str:
        """Send a mail."""
        return f"sent {text} to {to}"

    model = ScriptedModel([calls(("mail", {"to": "Ada", "text": "Dear Ada,\nhello"})), "done"])
    graph = Graph("mailing", State)
    graph.add_node("mail", Agent("clerk", prompt="Mail.", tools=[tool(mail, approve=True)], model=model), writes="text")
    graph.add_path(START, "mail", END)
    return graph


def flaky(message: str = "it broke") -> Graph[State]:
    """Return a graph whose first node fails twice before it succeeds, and whose second one always fails."""
    graph, tries = Graph("flaky", State), [0]

    def shaky(n: int) -> int:
        tries[0] += 1
        if tries[0] < 3:
            raise ConnectionError(f"503 at try {tries[0]}")
        return n + 1

    def boom(n: int) -> int:
        raise RuntimeError(message)

    retry = Retry(attempts=3, initial_seconds=0.001, jitter=0)
    graph.add_node("shaky", shaky, writes="n", retry=retry, thread=False)
    graph.add_node("boom", boom, writes="n", thread=False)
    graph.add_path(START, "shaky", "boom", END)
    return graph


def mapped(count: int) -> Graph[State]:
    """Return a graph with a map over so many items."""
    graph = Graph("mapped", State)

    def begin() -> list[int]:
        return list(range(count))

    def double(item: int) -> int:
        return item * 2

    graph.add_node("begin", begin, writes="items", thread=False)
    graph.add_node("double", double, each={"item": "items"}, writes="items", thread=False)
    graph.add_path(START, "begin", "double", END)
    return graph


def losing() -> Graph[State]:
    """Return a graph with a map over 300 items, of which 30 fail, and one over the others: 10 fall back, 15 recover."""
    graph, tried = Graph("losing", State), set[int]()

    def double(item: int) -> int:
        if item % 10 == 0:
            raise ValueError(f"cannot double {item}")
        return item * 2

    def send(item: int) -> int:
        if item < 24:
            raise ValueError(f"no place for {item}")
        if item < 56 and item not in tried:
            tried.add(item)
            raise ConnectionError("503")
        return item

    retry = Retry(attempts=2, initial_seconds=0.001, jitter=0, on=(ConnectionError,))
    items = {"item": "items"}
    graph.add_node("begin", lambda: list(range(300)), writes="items", thread=False)
    graph.add_node("double", double, each=items, writes="items", thread=False, on_item_error="keep")
    graph.add_node("send", send, each=items, writes="items", thread=False, retry=retry, fallback=-1)
    graph.add_path(START, "begin", "double", "send", END)
    return graph


async def record(runner: Runner, graph: Graph[State], run_id: str, tags: Sequence[str] = ()) -> None:
    """Record a run until it ends or waits."""
    with suppress(RunFailed):
        await runner.start(graph, run_id=run_id, tags=tags).result()


async def record_some(runner: Runner) -> None:
    """Record one run of each kind: `five`, its branch `other`, `asks`, `broken`, `hostile` and `items`."""
    await record(runner, counter(5), "five", tags=["nightly"])
    await runner.branch("five", counter(5), at=4, update={"n": 3, "text": "branched"}, run_id="other").result()
    await record(runner, review(), "asks")
    await record(runner, flaky(), "broken")
    await record(runner, mapped(12), "items")
    await record(runner, review(HOSTILE), OwnId(HOSTILE_ID), tags=["<b>x</b>"])
    await record(runner, flaky(HOSTILE), "hostile-failure")


def write_some(path: Path) -> None:
    """Record them into a database."""

    async def whole() -> None:
        async with Runner(path) as runner:
            await record_some(runner)

    asyncio.run(whole())


def halls(broken: str = "") -> Graph[State]:
    """Return a graph of three graphs of five nodes each, of which the last one of a hall can fail."""

    def step(n: int) -> int:
        return n + 1

    def breaks() -> int:
        raise RuntimeError("it broke")

    graph = Graph("halls", State)
    for hall in ("north", "middle", "south"):
        inner = Graph(hall, State, result="n")
        names = [f"{hall}_{number}" for number in range(5)]
        for name in names:
            inner.add_node(name, breaks if (hall, name[-1]) == (broken, "4") else step, writes="n")
        inner.add_path(START, *names, END)
        graph.add_node(hall, inner, writes="n")
    graph.add_path(START, "north", "middle", "south", END)
    return graph


class Walk(BaseModel):
    text: str = ""
    seen: list[str] = []
    round: int = 0


def walked() -> Graph[Walk]:
    """Return a graph that goes twice through a fork with a graph and a map as arms, and rewrites a text each time."""

    def write(text: str, round: int) -> dict[str, Any]:  # noqa: A002 - the name of a field
        return {"text": f"{text} Round {round + 1} of the walk goes along the river.".strip(), "round": round + 1}

    def look(item: str) -> str:
        return f"saw {item}"

    inner = Graph("inner", Walk, result="text")
    inner.add_node("draft", lambda text: f"{text} It rains.", writes="text", thread=False)
    inner.add_node("polish", lambda text: text.replace("rains", "pours"), writes="text", thread=False)
    inner.add_path(START, "draft", "polish", END)
    graph = Graph("walked", Walk)
    graph.add_node("write", write, writes=["text", "round"], thread=False)
    graph.add_node("inner", inner, writes="text")
    graph.add_node("list", lambda: ["a", "b", "c"], writes="seen", thread=False)
    graph.add_node("look", look, each={"item": "seen"}, writes="seen", thread=False)
    graph.add_node("join", lambda text: text, writes="text", thread=False)
    graph.add_edge(START, "write")
    graph.add_fork("write", ["inner", "list"], join="join")
    graph.add_edge("list", "look")
    graph.add_edge("look", "join")
    graph.add_edge("inner", "join")
    graph.add_edge("join", END, when=value("round") >= 2, label="far enough")
    graph.add_edge("join", "write", label="once more")
    return graph


class Place(BaseModel):
    name: str = ""
    found: list[str] = []


KINDS = ("survey", "region", "town", "leaf")


def survey(levels: Sequence[int] = (2, 3, 2), kinds: Sequence[str] = KINDS) -> Graph[Place]:
    """Return a graph whose runs start runs, three levels deep: two of the twelve leaves fail."""
    graph = Graph(kinds[0], Place, title="{name}")

    async def spread(name: str, ctx: Context) -> list[str]:
        found: list[str] = []
        below = survey(levels[1:], kinds[1:])
        runs = [await ctx.start(below, Place(name=f"{name}.{number}")) for number in range(levels[0])]
        for run in runs:
            try:
                found += (await run.result()).state.found
            except ChildFailed as error:
                found.append(f"lost: {error.message[:40]}")
        return found

    def look(name: str) -> list[str]:
        if name.endswith(".2.1"):
            raise ValueError(f"nothing at {name}")
        return [f"fact about {name}"]

    graph.add_node("spread", spread if levels else look, writes="found")
    graph.add_path(START, "spread", END)
    return graph
