"""What a user's function returns is a decision, or an error; nothing is decided by a guess."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from graphengine import END, START, Agent, Graph, GraphEngineError, RunFailed, Runner, ScriptedModel, tool
from graphengine.agents import Approval, Hooks, guard, result_of
from graphengine.agents.records import ToolOutcome
from graphengine.errors import DefinitionError, InputError
from graphengine.models import BadRequest, Request, Response, ToolCall, calls
from tests.agents.run_kits import Work, one, within

VALUES: dict[str, Any] = {
    "nothing": None,
    "true": True,
    "false": False,
    "a tuple": (False, "why"),
    "a text": "bad",
    "an empty text": "",
    "a number": 0,
    "a list": [],
    "an iterator": iter(()),
    "an object": object(),
    "a class": int,
    "an error": ValueError("bad"),
    "an answer": Response("fine"),
    "a result": ToolOutcome("fine"),
}
"""Kinds of return values; each is what somebody might take for a decision."""


def pay(name: str) -> str:
    """Pay somebody."""
    return f"paid {name}"


def _refuse(answer: str) -> None:
    raise ValueError("bad")


def _making(agent: Agent, function: Callable[..., Any]) -> Agent:
    """Return an agent whose answer is what a function makes of the model's."""

    def make(word: str) -> str:
        made: str = function()
        return made

    return agent.but(tools=[], model=ScriptedModel([{"word": "x"}] * 3), output=result_of(make))


def _graph(callback: str, function: Callable[..., Any]) -> Graph[Work]:
    """Return a graph that calls a function as this callback of the API."""
    turns = ScriptedModel([calls(("pay", {"name": "Ada"})), *["paid"] * 5])
    agent = Agent("clerk", prompt="{task}", model=turns, tools=[pay])
    made = {
        "check": lambda: agent.but(check=lambda answer: function()),
        "guard": lambda: agent.but(guards=[guard(lambda text: function())]),
        "history": lambda: agent.but(messages="messages", history=lambda messages: function()),
        "approve": lambda: agent.but(tools=[tool(pay, approve=lambda name: function())]),
        "when": lambda: agent.but(tools=[tool(pay, approve=Approval(when=lambda name: function()))]),
        "show": lambda: agent.but(tools=[tool(pay, approve=Approval(show=lambda name: function()))]),
        "result_of": lambda: _making(agent, function),
        "offered": lambda: agent.but(tools=[tool(pay, offered=lambda turn: function())]),
        "prompt": lambda: agent.but(prompt=lambda task: function()),
        "system": lambda: agent.but(system=lambda task: function()),
        "by_rules": lambda: agent.but(model="rules", by_rules=lambda task: function()),
        "best_effort": lambda: agent.but(check=_refuse, best_effort=lambda answers: function()),
        "around_model": lambda: agent.but(hooks=[Returns("around_model", function)]),
        "around_tool": lambda: agent.but(hooks=[Returns("around_tool", function)]),
    }
    if callback in made:
        return one(made[callback]())
    graph = Graph("g", Work)
    graph.add_node("a", lambda: "x", writes="draft")
    graph.add_edge(START, "a")
    if callback == "switch":
        graph.add_switch("a", lambda draft: function(), {True: END, "bad": END})
        return graph
    graph.add_edge("a", END, when=lambda draft: function())
    graph.add_edge("a", END)
    return graph


class Returns(Hooks):
    """A hook whose methods return what a function returns."""

    def __init__(self, what: str, function: Callable[[], Any]) -> None:
        self.what, self.function = what, function

    async def around_model(self, request: Request, call: Callable[[Request], Awaitable[Response]]) -> Response:
        found = await call(request)
        return self.function() if self.what == "around_model" else found

    async def around_tool(self, call: ToolCall, make: Callable[[ToolCall], Awaitable[ToolOutcome]]) -> ToolOutcome:
        found = await make(call)
        return self.function() if self.what == "around_tool" else found


DECIDES = {
    "around_model": {"an answer"},
    "around_tool": {"a result"},
    "check": {"nothing"},
    "guard": {"a text"},
    "history": {"a list"},
    "approve": {"true", "false"},
    "when": {"true", "false"},
    "show": {*VALUES} - {"nothing"},  # any value is shown as text
    "result_of": {"a text", "an empty text"},
    "switch": {"true", "a text"},
    "offered": {"true", "false"},
    "condition": {"true", "false"},
    "prompt": {"a text", "an empty text", "a list"},
    "system": {"a text", "an empty text"},
    "by_rules": {"a text"},
    "best_effort": {"a text"},
}
"""The callbacks, and which values are decisions of each."""


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("callback", DECIDES)
async def test_each_value_that_a_callback_returns_is_a_decision_or_an_error(callback: str, value: str) -> None:
    """No callback decides by the truth of a value of another type, or by nothing where something is asked."""
    async with Runner() as runner:
        run = runner.start(_graph(callback, lambda: VALUES[value]))
        if value in DECIDES[callback]:
            assert (await within(run)).status in ("finished", "waiting")
        else:
            with pytest.raises(RunFailed) as failed:
                await within(run)
            assert failed.value.repair


@pytest.mark.parametrize("callback", DECIDES)
async def test_an_exhausted_iterator_ends_the_run(callback: str) -> None:
    """`next()` of an empty iterator raises StopIteration, which the future of a thread cannot carry."""
    async with Runner() as runner:
        with pytest.raises(RunFailed):
            await within(runner.start(_graph(callback, lambda: next(iter(())))))


@pytest.mark.parametrize("on", ["input", "output", "arguments", "tool"])
async def test_an_exhausted_iterator_in_a_guard_is_an_error_outside_of_a_run_too(on: Any) -> None:
    """Each guard is called in a thread."""
    guards = [guard(lambda text: next(iter(())), on=on)]
    model = ScriptedModel([calls(("pay", {"name": "Ada"})), "paid"])
    agent = Agent("clerk", prompt="Pay.", model=model, tools=[pay], guards=guards)
    with pytest.raises(RuntimeError, match="raised StopIteration"):
        await asyncio.wait_for(agent.run(), 20)


async def test_a_check_is_refused_at_its_first_call_alone_too() -> None:
    """Whoever returns False from a check is told at once how a check refuses."""
    model = ScriptedModel(["a bad answer", "a good answer"])
    agent = Agent("writer", prompt="Write.", model=model, check=lambda answer: "bad" not in answer)  # type: ignore[arg-type, return-value]
    with pytest.raises(
        DefinitionError, match="returned bool, but a check must return None or raise ValueError"
    ) as raised:
        await agent.run()
    assert raised.value.repair == "raise ValueError to refuse an answer, and return None to accept the answer"
    assert len(model.requests) == 1


async def test_another_exception_of_a_check_has_the_rule_in_its_repair() -> None:
    """It fails the run as it is, since a retry may be for it; the repair says which one goes back to the model."""

    def check(answer: str) -> None:
        assert answer == "good"

    async with Runner() as runner:
        with pytest.raises(RunFailed) as failed:
            await within(runner.start(one(Agent("writer", prompt="{task}", model=ScriptedModel(["bad"]), check=check))))
        assert failed.value.repair == "fix the cause and resume the run; to refuse an answer, check raises ValueError"


@pytest.mark.parametrize("kind", [ValueError, GraphEngineError])
def test_what_a_check_may_raise_keeps_its_own_repair(kind: type[Exception]) -> None:
    """A ValueError is feedback, and an error of this library has a repair already."""

    def check(answer: str) -> None:
        raise kind("bad")

    agent = Agent("writer", prompt="Write.", model=ScriptedModel(["x"] * 3), check=check)
    with pytest.raises(GraphEngineError, match="bad"):
        asyncio.run(agent.run())


class Raises(Hooks):
    """A hook that raises an error before or after the call, or instead of the one that the call raised."""

    def __init__(self, error: Exception, *, after: bool) -> None:
        self.error, self.after = error, after

    async def around_model(self, request: Request, call: Callable[[Request], Awaitable[Response]]) -> Response:
        if self.after:
            await call(request)
        raise self.error

    async def around_tool(self, call: ToolCall, make: Callable[[ToolCall], Awaitable[ToolOutcome]]) -> ToolOutcome:
        if self.after:
            await make(call)
        raise self.error


class Passes(Hooks):
    """A hook that only calls."""

    async def around_model(self, request: Request, call: Callable[[Request], Awaitable[Response]]) -> Response:
        return await call(request)

    around_tool = around_model  # type: ignore[assignment]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("method", ["around_model", "around_tool"])
async def test_an_error_in_a_hook_names_the_hook(method: str, after: bool) -> None:  # noqa: FBT001 - a parameter
    """The error is the hook's own, so that its repair names the hook, also inside other hooks."""
    only = type("Only", (Hooks,), {method: getattr(Raises, method), "__init__": Raises.__init__})
    script = ScriptedModel([calls(("pay", {"name": "Ada"})), "paid"])
    agent = Agent("clerk", prompt="{task}", model=script, tools=[pay])
    async with Runner() as runner:
        hooked = agent.but(hooks=[Passes(), only(KeyError("lost"), after=after)])
        with pytest.raises(RunFailed, match="lost") as failed:
            await within(runner.start(one(hooked)))
        assert failed.value.repair == f"fix the hook Only.{method}, which raised this, and resume the run"


async def test_an_error_that_passes_through_a_hook_does_not_name_the_hook() -> None:
    """It is the model's; and an error of this library that a hook raises says where."""
    agent = Agent("clerk", prompt="{task}", model=ScriptedModel([BadRequest("no", repair="ask less")]))
    async with Runner() as runner:
        with pytest.raises(RunFailed) as failed:
            await within(runner.start(one(agent.but(hooks=[Passes()]))))
        assert failed.value.repair == "ask less"
        for error in (
            BadRequest("not this"),
            InputError("not this", where="column x"),
            DefinitionError("no", where="y"),
        ):
            where = f"{error.where}, the hook" if error.where else "the hook"
            raising = agent.but(hooks=[Passes(), Raises(error, after=False), Passes()])
            for _ in range(2):  # the same error object is raised again
                with pytest.raises(RunFailed, match=rf"at: work, {where} Raises\.around_model\n"):
                    await within(runner.start(one(raising)))
