"""An effect that began is what it was when it began, whatever its node, call, tool or server says of it now.

Each case begins an effect, cuts it off, deploys a change of what is said of it, and goes on in another process. The
ledger outside the run is the oracle.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from graphengine import (
    END,
    START,
    Agent,
    Context,
    EffectUnknown,
    Graph,
    NotDone,
    Once,
    Result,
    Retry,
    RunFailed,
    Runner,
    ScriptedModel,
    ask,
    tool,
)
from graphengine.agents import Tool, guard
from graphengine.agents.runs import RunWaits
from graphengine.graph.effect import Effect
from graphengine.models import ModelUnavailable, Request
from graphengine.models.scripted import calls


class State(BaseModel):
    """What was done."""

    text: str = ""
    to: str = "ada"


@dataclass
class Ledger:
    """The receiver of effects.

    Attributes:
        acts: What was done.
        hangs: How many of the next acts are cut off.
        knows: What `find` knows: whether it happened, or nothing.
    """

    acts: list[str] = field(default_factory=list)
    hangs: int = 1
    knows: bool | None = True
    begun: asyncio.Event = field(default_factory=asyncio.Event)

    async def act(self, to: str) -> str:
        """Act."""
        self.acts.append(to)
        self.hangs -= 1
        if self.hangs >= 0:
            self.begun.set()
            await asyncio.Event().wait()
        return "acted"

    def find(self) -> str:
        """Return what became of it."""
        if self.knows is None:
            raise EffectUnknown("it is at lunch")
        if not self.knows:
            raise NotDone("no such thing")
        return "found"


Form = Callable[[Ledger, Effect | None], Graph[State]]


def one(work: Any, **options: Any) -> Graph[State]:
    """Return a graph of one node."""
    graph = Graph("acting", State, result="text")
    graph.add_node("work", work, writes="text", **options)
    graph.add_path(START, "work", END)
    return graph


def said(effect: Effect | None) -> dict[str, Any]:
    """Return the options of a call with this effect."""
    return {} if effect is None else {"effect": effect}


def as_node(ledger: Ledger, effect: Effect | None) -> Graph[State]:
    """Return a graph whose node is the effect."""

    async def act(to: str) -> str:
        return await ledger.act(to)

    return one(act, effect=effect)


def as_call(ledger: Ledger, effect: Effect | None) -> Graph[State]:
    """Return a graph whose node makes a recorded call that is the effect."""

    async def work(ctx: Context, to: str) -> str:
        return await ctx.call(ledger.act, to, **said(effect))

    return one(work)


def agent_of(ledger: Ledger, effect: Effect | None, **options: Any) -> Agent:
    """Return an agent that acts, and answers with what it is told."""
    model = ScriptedModel(
        lambda request: request.messages[-1].text if len(request.messages) > 1 else calls(("act", {"to": "ada"}))
    )
    tools = [tool(ledger.act, name="act", effect=effect)]
    return Agent("clerk", **{"model": model, "prompt": "Act.", "tools": tools, **options})


def as_tool(ledger: Ledger, effect: Effect | None) -> Graph[State]:
    """Return a graph whose agent has the effect as a tool."""
    return one(agent_of(ledger, effect))


class Server:
    """A source of a tool, whose version says what the tool does, as an MCP server does by hints."""

    name = "server"

    def __init__(self, *tools: Tool) -> None:
        self._tools = tools

    async def open(self) -> Sequence[Tool]:
        """Return its tools."""
        return self._tools

    async def close(self) -> None:
        """Do nothing."""


def as_server(ledger: Ledger, effect: Effect | None) -> Graph[State]:
    """Return a graph whose agent has the effect as a tool of a server."""
    return one(agent_of(ledger, effect, tools=[Server(tool(ledger.act, name="act", effect=effect))]))


def in_graph(ledger: Ledger, effect: Effect | None) -> Graph[State]:
    """Return a graph with a graph in it whose node is the effect."""
    return one(as_node(ledger, effect), inputs=["to"])


FORMS = (as_node, as_call, as_tool, as_server, in_graph)
SAID: dict[str, Callable[[Ledger], Effect | None]] = {
    "nothing": lambda _: None,
    "read": lambda _: "read",
    "idempotent": lambda _: "idempotent",
    "once": lambda _: "once",
    "once, or fail": lambda _: Once(unknown="fail"),
    "once, found out": lambda ledger: Once(reconcile=ledger.find),
    "once, found out, or fail": lambda ledger: Once(reconcile=ledger.find, unknown="fail"),
}
ONCE = [said for said in SAID if said.startswith("once")]


async def cut_off(database: Path, graph: Graph[State], ledger: Ledger) -> None:
    """Start the run, and close its Runner once the effect has begun."""
    async with Runner(database) as runner:
        run = runner.start(graph, run_id="r")
        async with asyncio.timeout(20):
            await ledger.begun.wait()
    del run
    assert ledger.acts == ["ada"]


async def gone_on(database: Path, graph: Graph[State], *answers: object) -> Result[State] | str:
    """Resume the run, and answer what it asks; return its result, or the kind of its failure."""
    async with Runner(database) as runner:
        try:
            result = await runner.resume("r", graph).result()
            for answer in answers:
                assert [wait.kind for wait in result.waits] == ["unknown"]
                await runner.answer("r", answer)
                result = await runner.resume("r", graph).result()
        except RunFailed as error:
            return "" if error.result.error is None else error.result.error.kind
        return result


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("now", SAID)
@pytest.mark.parametrize("then", ONCE)
async def test_what_was_said_when_it_began_decides(then: str, now: str, form: Form, tmp_path: Path) -> None:
    """It is found out if something can do that now; else a person is asked, or it fails, as was said then.

    A node whose code has changed asks first, unless the earlier code had said how it can be found out.
    """
    ledger = Ledger()
    await cut_off(tmp_path / "r.db", form(ledger, SAID[then](ledger)), ledger)
    graph = form(ledger, SAID[now](ledger))
    asks = then in ("once", "once, found out") or (then.endswith("found out, or fail") and "found" not in now)
    if "found" in now:
        is_asked_first = form is as_call and then == "once" and now != then
        found = await gone_on(tmp_path / "r.db", graph, *([{"result": "found"}] if is_asked_first else []))
        assert (getattr(found, "output", found), ledger.acts) == ("found", ["ada"])
    elif not asks:
        assert await gone_on(tmp_path / "r.db", graph) == "effect_unknown"
    else:
        told = await gone_on(tmp_path / "r.db", graph, {"result": "told"})
        assert getattr(told, "output", told) == "told"
    assert ledger.acts == ["ada"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("now", SAID)
@pytest.mark.parametrize("answer", ["told", "fail", "rerun"])
async def test_what_a_person_answered_holds(answer: str, now: str, form: Form, tmp_path: Path) -> None:
    """The answer is given before the change: it happened, nobody knows, or it is to begin again."""
    ledger = Ledger(knows=None)
    before = form(ledger, "once")
    await cut_off(tmp_path / "r.db", before, ledger)
    async with Runner(tmp_path / "r.db") as runner:
        await runner.resume("r", before).result()
        await runner.answer("r", {"result": "told"} if answer == "told" else answer)
    ledger.knows = answer != "rerun"
    found = await gone_on(tmp_path / "r.db", form(ledger, SAID[now](ledger)))
    wanted = {"told": "told", "fail": "effect_unknown", "rerun": "acted"}[answer]
    assert getattr(found, "output", found) == wanted
    assert ledger.acts == ["ada"] * (2 if answer == "rerun" else 1)


def as_question(_: Ledger, __: Effect | None) -> Graph[State]:
    """Return a graph whose node is a question."""
    return one(ask("What was done?", str))


@pytest.mark.parametrize("form", [in_graph, as_question])
@pytest.mark.parametrize("answer", ["told", "fail", "rerun"])
async def test_a_node_that_is_no_code_any_more_is_found_out_too(answer: str, form: Form, tmp_path: Path) -> None:
    """It would do in other ways what the node did: that begins once a person says so, and is no effect then."""
    ledger = Ledger()
    await cut_off(tmp_path / "r.db", as_node(ledger, "once"), ledger)
    found = await gone_on(tmp_path / "r.db", form(ledger, None), {"result": "told"} if answer == "told" else answer)
    if answer == "rerun" and form is as_question:
        assert isinstance(found, Result)
        assert [wait.question for wait in found.waits] == ["What was done?"]
        async with Runner(tmp_path / "r.db") as runner:
            await runner.answer("r", "acted")
            found = await runner.resume("r", form(ledger, None)).result()
    wanted = {"told": "told", "fail": "effect_unknown", "rerun": "acted"}[answer]
    assert getattr(found, "output", found) == wanted
    assert ledger.acts == ["ada"] * (2 if answer == "rerun" and form is in_graph else 1)


@pytest.mark.parametrize("form", FORMS)
async def test_a_person_is_asked_again_of_what_begins_again(form: Form, tmp_path: Path) -> None:
    """The process dies while it runs again, and nothing is said of it any more: an answer counts for one beginning."""
    ledger = Ledger(hangs=2)
    await cut_off(tmp_path / "r.db", form(ledger, "once"), ledger)
    now = form(ledger, None)
    async with Runner(tmp_path / "r.db") as runner:
        await runner.resume("r", now).result()
        await runner.answer("r", "rerun")
        ledger.begun.clear()
        run = runner.resume("r", now)
        async with asyncio.timeout(20):
            await ledger.begun.wait()
    del run
    told = await gone_on(tmp_path / "r.db", now, {"result": "told"})
    assert (getattr(told, "output", told), ledger.acts) == ("told", ["ada", "ada"])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("now", ["nothing", "idempotent"])
async def test_a_branch_finds_what_began(now: str, form: Form, tmp_path: Path) -> None:
    """It asks too, and does not act."""
    ledger = Ledger()
    await cut_off(tmp_path / "r.db", form(ledger, "once"), ledger)
    async with Runner(tmp_path / "r.db") as runner:
        graph = form(ledger, SAID[now](ledger))
        (begun,) = [step.seq for step in await runner.history("r") if step.kind == "begun"]
        result = await runner.branch("r", graph, begun, run_id="b").result()
        assert [wait.kind for wait in result.waits] == ["unknown"]
        await runner.answer("b", {"result": "told"})
        assert (await runner.resume("b", graph).result()).output == "told"
    assert ledger.acts == ["ada"]


async def test_what_ended_is_not_done_again_in_an_attempt_that_begins_afresh(tmp_path: Path) -> None:
    """A retry forgets what was recorded, but not effects, also if nothing is said of them any more."""
    ledger, troubles = Ledger(hangs=0), [OSError("later")]

    def graph(effect: Effect | None) -> Graph[State]:
        async def work(ctx: Context, to: str) -> str:
            text: str = await ctx.call(ledger.act, to, **said(effect))
            if troubles:
                raise troubles.pop()
            return text

        return one(work, retry=Retry(attempts=1, afresh=True))

    async with Runner(tmp_path / "r.db") as runner:
        with pytest.raises(RunFailed):
            await runner.start(graph("once"), run_id="r").result()
        assert (await runner.resume("r", graph(None)).result()).output == "acted"
    assert ledger.acts == ["ada"]


async def test_the_beginning_says_what_was_promised(tmp_path: Path) -> None:
    """Its step has what is to follow, and the name of what was to find out how it ended."""
    ledger = Ledger()
    await cut_off(tmp_path / "r.db", as_call(ledger, Once(reconcile=ledger.find, unknown="fail")), ledger)
    async with Runner(tmp_path / "r.db") as runner:
        (begun,) = [step.data for step in await runner.history("r") if step.kind == "begun"]
        said = await runner.resume("r", as_call(ledger, "once")).result()
    assert (getattr(begun, "unknown", ""), getattr(begun, "reconcile", "")) == ("fail", "find")
    assert "find, which was to find that out, is gone" in said.waits[0].question


def renamed(ledger: Ledger) -> dict[str, Any]:
    """Return an agent's options with a tool of another name."""
    return {"tools": [tool(ledger.act, name="do")]}


def other(ledger: Ledger) -> dict[str, Any]:
    """Return an agent's options with a tool of another form."""

    async def act(whom: str, why: str) -> str:
        """Act."""
        return await ledger.act(f"{whom}, {why}")

    return {"tools": [act]}


def refusing(ledger: Ledger) -> dict[str, Any]:
    """Return an agent's options with a guard that lets nothing be called."""

    def never(text: str) -> str:
        raise ValueError(f"no more {text}")

    return {"guards": [guard(never, on="arguments")], "tools": [ledger.act]}


TOOLS: dict[str, Callable[[Ledger], dict[str, Any]]] = {
    "gone": lambda _: {"tools": []},
    "renamed": renamed,
    "of another form": other,
    "refused by a guard": refusing,
    "no more calls": lambda ledger: {"tools": [ledger.act], "max_tool_calls": 1, "turns": 1},
    "approved first": lambda ledger: {"tools": [tool(ledger.act, approve=True)]},
}


@pytest.mark.parametrize("now", TOOLS)
@pytest.mark.parametrize("answered", ["before", "after"])
@pytest.mark.parametrize("answer", ["told", "rerun"])
async def test_a_call_that_began_is_found_out_whatever_became_of_its_tool(
    answer: str, answered: str, now: str, tmp_path: Path
) -> None:
    """A person says what happened, and the model is told; without the tool it cannot begin again, and that is said."""
    ledger = Ledger()
    before, after = one(agent_of(ledger, "once")), one(agent_of(ledger, "once", **TOOLS[now](ledger)))
    await cut_off(tmp_path / "r.db", before, ledger)
    said: object = {"result": "told"} if answer == "told" else answer
    if answered == "before":
        async with Runner(tmp_path / "r.db") as runner:
            await runner.resume("r", before).result()
            await runner.answer("r", said)
    found = await gone_on(tmp_path / "r.db", after, *([said] if answered == "after" else []))
    assert isinstance(found, Result)
    there = now not in ("gone", "renamed", "of another form", "refused by a guard")
    assert ledger.acts == ["ada"] * (2 if answer == "rerun" and there else 1)
    if answer == "told":
        assert found.output == "told"


@pytest.mark.parametrize("door", ["a run", "a chat"])
@pytest.mark.parametrize("now", ["nothing", "idempotent"])
async def test_doors_of_an_agent_alone(now: str, door: str, tmp_path: Path) -> None:
    """A run of an agent, and a turn of a chat with it."""
    ledger = Ledger()
    key: Any = {"run_id": "r"} if door == "a run" else {"chat": "r"}
    run_id = "r" if door == "a run" else "ge:chat:r"
    async with Runner(tmp_path / "r.db") as runner:
        running = asyncio.create_task(runner.run(agent_of(ledger, "once", prompt=""), question="Act.", **key))
        async with asyncio.timeout(20):
            await ledger.begun.wait()
    await asyncio.gather(running, return_exceptions=True)
    after = agent_of(ledger, SAID[now](ledger), prompt="")
    async with Runner(tmp_path / "r.db") as runner:
        with pytest.raises(RunWaits):
            await runner.run(after, **key)
        await runner.answer(run_id, {"result": "told"})
        assert await runner.run(after, **key) == "told"
    assert ledger.acts == ["ada"]


@pytest.mark.parametrize("now", ["gone", "another", "no more turns"])
@pytest.mark.parametrize("answer", ["told", "rerun"])
async def test_what_an_agent_in_a_tool_did_is_not_lost_with_the_tool(answer: str, now: str, tmp_path: Path) -> None:
    """The agent inside has acted, and dies in its next turn: with the tool gone, a person says what became of it."""
    ledger = Ledger(hangs=0)

    def outer(name: str, troubles: int, **options: Any) -> Graph[State]:
        def answered(request: Request) -> Any:
            if len(request.messages) > 1 and troubles:
                raise ModelUnavailable("no key")
            return request.messages[-1].text if len(request.messages) > 1 else calls(("act", {"to": "ada"}))

        inner = agent_of(ledger, "once", model=ScriptedModel(answered))

        async def delegate() -> str:
            return await inner.run()

        model = ScriptedModel(
            lambda request: request.messages[-1].text if len(request.messages) > 1 else calls(("delegate", {}))
        )
        tools = [tool(delegate, name=name)] if name else []
        return one(Agent("first", model=model, prompt="Act.", tools=tools, **options))

    async with Runner(tmp_path / "r.db") as runner:
        with pytest.raises(RunFailed):
            await runner.start(outer("delegate", 9), run_id="r").result()
    graph = outer({"gone": "", "another": "other"}.get(now, "delegate"), 0, turns=1)
    there = now == "no more turns"
    found = await gone_on(
        tmp_path / "r.db", graph, *([] if there else [{"result": "told"} if answer == "told" else answer])
    )
    assert isinstance(found, Result)
    assert (
        found.output == ("acted" if there else "told") if there or answer == "told" else "no tool" in str(found.output)
    )
    assert ledger.acts == ["ada"]


async def test_another_conversation_asks_before_it_does_what_is_not_said_to_be_an_effect_any_more() -> None:
    """Its model knows nothing of the first one, which has acted."""
    ledger, troubles = Ledger(hangs=0), [OSError("later")]

    def graph(effect: Effect | None, text: str) -> Graph[State]:
        async def work(to: str) -> str:
            said = await agent_of(ledger, effect, prompt="{text}").run(text=text + to)
            if troubles:
                raise troubles.pop()
            return said

        return one(work)

    async with Runner() as runner:
        with pytest.raises(RunFailed):
            await runner.start(graph("once", "Act for "), run_id="r").result()
        result = await runner.resume("r", graph(None, "Do act for ")).result()
        assert [wait.kind for wait in result.waits] == ["unknown"]
        await runner.answer("r", "same")
        assert (await runner.resume("r", graph(None, "Do act for ")).result()).output == "acted"
    assert ledger.acts == ["ada"]
