"""What a person has decided of a call holds, whatever its tool and the tool's rule are when the run goes on.

Each case asks, is answered, and deploys a change before the run goes on in another process. What the person saw is part
of the decision: what would be done otherwise is asked again.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from graphengine import END, START, Agent, Graph, Result, Runner, ScriptedModel, tool
from graphengine.agents import Approval, Edit, Hooks, Refuse, Tool, external_tool
from graphengine.agents.tools import ToolOutcome
from graphengine.models import Request, ToolCall, calls

PAID: list[object] = []


def pay(to: str, amount: int = 5) -> str:
    """Pay."""
    PAID.append((to, amount))
    return "paid"


class Desk(BaseModel):
    """What is read, and said."""

    question: str = "go"
    said: str = ""


def told_in(request: Request) -> list[str]:
    """Return the results of tools that a model gets."""
    return [message.text for message in request.messages if message.role == "tool"]


def by_node(agent: Agent) -> Graph[Desk]:
    """Return a graph in which an agent is a node."""
    graph = Graph("desk", Desk)
    graph.add_node("work", agent, writes="said")
    graph.add_path(START, "work", END)
    return graph


def by_code(agent: Agent) -> Graph[Desk]:
    """Return a graph in which code calls it."""

    async def call(question: str) -> str:
        return await agent.run(question=question)

    graph = Graph("desk", Desk)
    graph.add_node("work", call, writes="said")
    graph.add_path(START, "work", END)
    return graph


def by_tool(agent: Agent) -> Graph[Desk]:
    """Return a graph in which an agent's tool calls it."""

    async def delegate(question: str) -> str:
        """Let another one do it."""
        return await agent.run(question=question)

    model = ScriptedModel(
        lambda request: "all done" if len(request.messages) > 1 else calls(("delegate", {"question": "go"}))
    )
    return by_node(Agent("first", model=model, prompt="{question}", tools=[delegate]))


Place = Callable[[Agent], Graph[Desk]]
PLACES: tuple[Place, ...] = (by_node, by_code, by_tool)


def agent_of(tools: list[Any], **options: Any) -> Agent:
    """Return the agent."""
    return Agent("a", prompt="{question}", tools=tools, **options)


async def asked(database: Path, graph: Graph[Desk], script: list[Any]) -> Result[Desk]:
    """Start the run, which asks."""
    async with Runner(database, models={"a": ScriptedModel(script)}) as runner:
        result = await runner.start(graph, run_id="r").result()
        assert result.status == "waiting"
        return result


async def gone_on(database: Path, graph: Graph[Desk], *answers: object) -> tuple[Result[Desk], list[str]]:
    """Answer in a process that knows no graph, and go on; return the result, and what the model was told."""
    model = ScriptedModel(["done"] * 3)
    async with Runner(database, models={"a": model}) as runner:
        for answer in answers:
            await runner.answer("r", answer)
        result = await runner.resume("r", graph).result()
    return result, [text for request in model.requests[:1] for text in told_in(request)]


def renamed(to: str, total: int) -> str:
    """Pay."""
    return pay(to, total)


def never(amount: int) -> bool:
    """Let nobody be asked."""
    return amount < 0


def broken(amount: int) -> str:
    """Fail to show."""
    raise OSError(str(amount))


NOW: dict[str, list[Any]] = {
    "the same": [tool(pay, approve=True)],
    "no approval": [pay],
    "another rule": [tool(pay, approve=never)],
    "shown otherwise": [tool(pay, approve=Approval(show=broken))],
    "once": [tool(pay, effect="once")],
    "idempotent": [tool(pay, effect="idempotent")],
    "no more calls": [tool(pay, max_calls=2, serial=True)],
    "another form": [tool(renamed, name="pay")],
    "gone": [],
}
DECISIONS: dict[str, object] = {
    "no": False,
    "no, since": Refuse("fraud"),
    "otherwise": Edit({"amount": 3}),
    "yes": True,
}


@pytest.fixture(autouse=True)
def _none_paid() -> None:
    PAID.clear()


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("now", NOW)
@pytest.mark.parametrize("decision", DECISIONS)
async def test_a_decision_holds_whatever_its_tool_is_now(decision: str, now: str, place: Place, tmp_path: Path) -> None:
    """Nothing is paid after a no, and what was allowed is paid if it can be; nobody is asked again."""
    before, after = agent_of([tool(pay, approve=True)]), agent_of(NOW[now])
    await asked(tmp_path / "r.db", place(before), [calls(("pay", {"to": "ada", "amount": 5}))])
    result, told = await gone_on(tmp_path / "r.db", place(after), DECISIONS[decision])
    can_pay = now not in ("another form", "gone")
    paid: Mapping[str, list[object]] = {"yes": [("ada", 5)], "otherwise": [("ada", 3)]}
    assert (result.status, PAID) == ("finished", paid.get(decision, []) if can_pay else [])
    if decision.startswith("no") and now != "gone":
        assert "refused it" in told[0]
        assert ("fraud" in told[0]) == (decision == "no, since")


@pytest.mark.parametrize("decision", ["no", "otherwise"])
async def test_a_decision_in_a_chat_holds(decision: str, tmp_path: Path) -> None:
    """The door of chats, which goes on by itself."""
    from graphengine.agents.runs import RunWaits  # noqa: PLC0415 - of this test alone

    model = ScriptedModel([calls(("pay", {"to": "ada", "amount": 5})), "done", "done"])
    async with Runner(tmp_path / "r.db", models=model) as runner:
        with pytest.raises(RunWaits):
            await runner.run(agent_of([tool(pay, approve=True)]), chat="x", question="go")
        await runner.answer("ge:chat:x", DECISIONS[decision])
        assert await runner.run(agent_of([pay]), chat="x") == "done"
    assert len(PAID) == (decision == "otherwise")


async def test_equal_calls_keep_their_own_decisions(tmp_path: Path) -> None:
    """The first of two equal calls is refused, the second allowed, though the code of now asks about none."""
    database, twice = tmp_path / "r.db", calls(("pay", {"to": "ada"}), ("pay", {"to": "ada"}))
    result = await asked(database, by_node(agent_of([tool(pay, approve=True)])), [twice])
    first, second = sorted(wait.name for wait in result.waits)
    async with Runner(database) as runner:
        await runner.answer("r", "no", wait=second)
    waits, _ = await gone_on(database, by_node(agent_of([pay])))
    assert (waits.status, [wait.name for wait in waits.waits], PAID) == ("waiting", [first], [])
    async with Runner(database) as runner:
        await runner.answer("r", "yes")
    ended, told = await gone_on(database, by_node(agent_of([pay])))
    assert (ended.status, PAID, sorted(text[:4] for text in told)) == ("finished", [("ada", 5)], ["A pe", "paid"])


# What the person saw.


class Order(BaseModel):
    """An order."""

    to: str
    amount: int = 5


class Later(BaseModel):
    """An order, later."""

    to: str
    amount: int = 500


def later(to: str, amount: int = 500) -> str:
    """Pay."""
    return pay(to, amount)


def of_order(order: Order) -> str:
    """Pay."""
    return pay(order.to, order.amount)


def of_later(order: Later) -> str:
    """Pay."""
    return pay(order.to, order.amount)


def declared(default: int) -> Tool:
    """Return a tool that declares its form, as those of servers do."""

    def act(arguments: dict[str, Any]) -> str:
        return pay(arguments["to"], arguments.get("amount", default))

    amount = {"type": "integer", "default": default}
    schema: dict[str, Any] = {"type": "object", "properties": {"to": {"type": "string"}, "amount": amount}}
    return tool(Tool(act, name="pay", description="Pay.", schema=schema))


FORMS: dict[str, tuple[Tool, Tool, dict[str, Any]]] = {
    "a parameter": (tool(pay), tool(later, name="pay"), {"to": "ada"}),
    "a field of a model": (tool(of_order, name="pay"), tool(of_later, name="pay"), {"order": {"to": "ada"}}),
    "a declared form": (declared(5), declared(500), {"to": "ada"}),
}


@pytest.mark.parametrize("approve", [True, False])
@pytest.mark.parametrize("form", FORMS)
async def test_a_default_that_changed_is_asked_again(form: str, tmp_path: Path, *, approve: bool) -> None:
    """The yes was for 5, whoever needs a yes now: the question says what it was, and what it is."""
    then, now, arguments = FORMS[form]
    graph = by_node(agent_of([tool(now, approve=approve)]))
    await asked(tmp_path / "r.db", by_node(agent_of([tool(then, approve=True)])), [calls(("pay", arguments))])
    result, _ = await gone_on(tmp_path / "r.db", graph, "yes")
    (wait,) = result.waits
    assert "Asked again" in wait.question
    assert "500" in wait.question
    assert PAID == []
    result, _ = await gone_on(tmp_path / "r.db", graph, "yes")
    assert (result.status, PAID) == ("finished", [("ada", 500)])


@pytest.mark.parametrize(
    ("answer", "paid"), [(False, []), (Edit({"amount": 3}), [("ada", 3)]), (Edit({"to": "bob"}), None)]
)
async def test_other_decisions_about_a_default_that_changed(answer: object, paid: Any, tmp_path: Path) -> None:
    """A no is a no, and who gave the amount saw it; who changed something else did not see 500."""
    await asked(tmp_path / "r.db", by_node(agent_of([tool(pay, approve=True)])), [calls(("pay", {"to": "ada"}))])
    result, _ = await gone_on(tmp_path / "r.db", by_node(agent_of([tool(later, name="pay")])), answer)
    assert (result.status, PAID) == ("waiting" if paid is None else "finished", paid or [])


class Doubling(Hooks):
    """A hook that pays more."""

    async def around_tool(self, call: ToolCall, make: Callable[[ToolCall], Any]) -> ToolOutcome:
        """Change the amount."""
        outcome: ToolOutcome = await make(call.model_copy(update={"arguments": '{"to": "ada", "amount": 10}'}))
        return outcome


@pytest.mark.parametrize(("second", "paid"), [(True, 10), (False, None), (Edit({"amount": 7}), 7)])
@pytest.mark.parametrize("now", ["the same", "no approval", "another rule"])
@pytest.mark.parametrize("effect", [None, "once"])
async def test_what_a_hook_changes_after_the_yes_is_asked_again(
    effect: Any, now: str, second: object, paid: int | None, tmp_path: Path
) -> None:
    """A hook that a deployment brings: the person sees what it makes of the call, and decides of that."""
    call = calls(("pay", {"to": "ada", "amount": 5}))
    await asked(tmp_path / "r.db", by_node(agent_of([tool(pay, approve=True)])), [call])
    graph = by_node(agent_of([tool(NOW[now][0], effect=effect)], hooks=[Doubling()]))
    result, _ = await gone_on(tmp_path / "r.db", graph, "yes")
    (wait,) = result.waits
    assert '"amount": 10' in wait.question
    assert PAID == []
    result, told = await gone_on(tmp_path / "r.db", graph, second)
    assert (result.status, PAID) == ("finished", [] if paid is None else [("ada", paid)])
    assert "refused" in told[0] or paid is not None


async def test_a_rule_decides_about_what_a_hook_makes_of_a_call(tmp_path: Path) -> None:
    """Nobody had to be asked about 5; of 10 somebody has."""
    careful = tool(pay, approve=lambda amount: amount > 5)
    call = calls(("pay", {"to": "ada", "amount": 5}))
    result = await asked(tmp_path / "r.db", by_node(agent_of([careful], hooks=[Doubling()])), [call])
    assert '"amount": 10' in result.waits[0].question
    ended, _ = await gone_on(tmp_path / "r.db", by_node(agent_of([careful], hooks=[Doubling()])), "yes")
    assert (ended.status, PAID) == ("finished", [("ada", 10)])


# Tools that another program executes.


def outside(**options: Any) -> Tool:
    """Return a tool that another program executes."""

    def pay(to: str, amount: int) -> str:
        raise AssertionError(to, amount)

    return external_tool(pay, **options)


def look() -> str:
    """Look."""
    return "seen"


def number(to: str, amount: int) -> int:
    """Pay."""
    raise AssertionError(to, amount)


OUTSIDE_NOW: dict[str, dict[str, Any]] = {
    "the same": {"tools": [outside()]},
    "a function": {"tools": [pay]},
    "a function with approval": {"tools": [tool(pay, approve=True)]},
    "an effect": {"tools": [tool(pay, effect="once")]},
    "another type of result": {"tools": [external_tool(number, name="pay")]},
    "gone": {"tools": []},
    "renamed": {"tools": [tool(outside(), name="other")]},
    "no more calls": {"tools": [outside()], "max_tool_calls": 1},
    "no more turns": {"tools": [outside()], "turns": 1},
}


@pytest.mark.parametrize("name", ["pay", "give"])
@pytest.mark.parametrize("now", OUTSIDE_NOW)
@pytest.mark.parametrize("answer", ["paid outside", {"error": "no money"}])
async def test_what_another_program_did_is_not_done_again(answer: Any, now: str, name: str, tmp_path: Path) -> None:
    """Its result is told, also where the tool has become a function, or is gone."""
    call = calls(("look", {}), (name, {"to": "ada", "amount": 5}))
    await asked(tmp_path / "r.db", by_node(agent_of([look, tool(outside(), name=name)])), [call])
    options = dict(OUTSIDE_NOW[now])
    if options["tools"] and now != "renamed":
        options["tools"] = [tool(options["tools"][0], name=name)]
    result, told = await gone_on(tmp_path / "r.db", by_node(agent_of(**options)), answer)
    assert (result.status, PAID) == ("finished", [])
    assert told == ["seen", "paid outside" if answer == "paid outside" else "no money"]
