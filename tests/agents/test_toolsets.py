"""Tools that are offered in some turns alone, sets of tools, and tools that another program executes."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from graphengine import END, START, Agent, Graph, Runner, ScriptedModel, Settings, tool
from graphengine.agents import Tool, external_tool, toolset
from graphengine.agents.records import NOT_KNOWN
from graphengine.errors import CompileError, DefinitionError, InputError
from graphengine.models import Response
from graphengine.models.scripted import calls
from graphengine.testing import FakeClock
from tests.agents.test_wild_mcp import called, server


def look(word: str) -> str:
    """Look it up."""
    return f"looked for {word}"


def write(text: str) -> str:
    """Write it."""
    return f"wrote {text}"


class Seat(BaseModel):
    """A place."""

    row: int


@external_tool
def choose_seat(flight: str) -> Seat:  # type: ignore[empty-body]
    """Show the seats of a flight to the traveller."""


class Desk(BaseModel):
    """The state."""

    level: int = 1
    said: str = ""


class Listed:
    """A source of tools."""

    name = "listed"
    is_closed = False

    def __init__(self, tools: list[Any]) -> None:
        self.tools = [tool(each) for each in tools]

    async def open(self) -> list[Tool[..., object]]:
        """Return its tools."""
        return self.tools

    async def close(self) -> None:
        """Note it."""
        self.is_closed = True


def desk(model: ScriptedModel, *tools: Any) -> Graph[Desk]:
    """Return a graph of one agent with these tools."""
    graph = Graph("desk", Desk, result="said")
    graph.add_node("clerk", Agent("clerk", model=model, prompt="Serve.", tools=tools), writes="said")
    graph.add_path(START, "clerk", END)
    return graph


def results(request: Any) -> str:
    """Return the results of all calls, as an answer."""
    return " | ".join(message.text for message in request.messages if message.role == "tool")


# --- tools of a turn ----------------------------------------------------------------------------------------------


async def test_a_turn_offers_what_its_state_and_number_allow() -> None:
    """The function reads fields by name; a call of what is not offered is refused with what is."""
    offers: dict[str, Any] = {
        "look": lambda turn: turn == 1,
        "write": lambda level, turn, tool: level > 1 and turn > 1 and tool == "write",
    }
    tools = [tool(look, offered=offers["look"]), tool(write, offered=offers["write"]), tool(look, name="always")]
    for level, second in ((1, ["always"]), (2, ["write", "always"])):
        model = ScriptedModel(
            lambda request: calls(("write", {"text": "x"})) if len(request.messages) < 4 else Response(results(request))
        )
        async with Runner() as runner:
            found = await runner.start(desk(model, *tools), Desk(level=level)).result()
        assert [[each.name for each in request.tools] for request in model.requests[:2]] == [["look", "always"], second]
        assert "There is no tool 'write'. There are: look, always." in str(found.output)
        assert ("wrote x" in str(found.output)) == (level == 2)


async def test_an_offer_reads_what_the_inputs_of_its_tool_name() -> None:
    """A path of the state has a name of the tool's own there, as for its function."""

    def raise_level(rank: int = 0) -> str:
        return f"raised to {rank + 1}"

    deep = tool(raise_level, inputs={"rank": "level"}, offered=lambda rank, turn: rank > 1 and turn == 1)
    for level, offered in ((1, []), (2, ["raise_level"])):
        model = ScriptedModel(["ok"])
        async with Runner() as runner:
            await runner.start(desk(model, deep), Desk(level=level)).result()
        assert [each.name for each in model.requests[0].tools] == offered


async def test_a_recorded_turn_keeps_what_it_offered(tmp_path: Path) -> None:
    """A run that is resumed under other rules makes the calls of the turn that was recorded, and asks no rule again."""
    model = ScriptedModel(
        lambda request: calls(("write", {"text": "x"})) if len(request.messages) < 2 else Response("ok")
    )
    kept: dict[str, Any] = {"offered": True, "asked": []}

    def offered(turn: int) -> bool:
        kept["asked"].append(turn)
        return bool(kept["offered"])

    graph = desk(model, tool(write, approve=True, offered=offered))
    async with Runner(tmp_path / "runs.db") as runner:
        assert (await runner.start(graph, run_id="r").result()).status == "waiting"
    kept["offered"] = False
    async with Runner(tmp_path / "runs.db") as runner:
        await runner.answer("r", True)  # noqa: FBT003 - the answer
        assert (await runner.resume("r", graph).result()).output == "ok"
        turns = [step.data for step in await runner.history("r") if "turn" in str(getattr(step.data, "key", ""))]
    assert model.requests[-1].messages[-1].text == "wrote x"
    assert [turn.value["offered"] for turn in turns] == [["write"], []]  # type: ignore[union-attr,index]
    assert kept["asked"] == [1, 2]


async def test_a_required_choice_holds_only_for_what_is_offered() -> None:
    """A model that must call a tool, and has none, could not answer."""
    model = ScriptedModel(lambda _: Response("ok"))
    agent = Agent(
        "a", model=model, tools=[tool(look, offered=lambda: False)], settings=Settings(tool_choice="required")
    )
    assert await agent.run(question="x") == "ok"
    assert (model.requests[0].tools, model.requests[0].settings.tool_choice) == ([], None)


def test_what_says_when_a_tool_is_offered_is_checked() -> None:
    """Its fields by the compiler, itself where the tool is made."""
    graph = desk(ScriptedModel([]), tool(look, offered=lambda levle: levle > 1))
    with pytest.raises(CompileError, match="levle"):
        graph.compile()

    async def later() -> bool:
        return True

    for offered in (later, 1):
        with pytest.raises(DefinitionError, match="offered="):
            tool(look, offered=offered)  # type: ignore[arg-type]


# --- sets ---------------------------------------------------------------------------------------------------------


def test_a_set_has_some_tools_under_a_prefix() -> None:
    """Options of the tools stay."""
    first, second = toolset(tool(look, max_calls=2), write, prefix="wiki_", offered=lambda: True)
    assert isinstance(first, Tool)
    assert (first.name, first.max_calls, first.offered is None, second.name) == ("wiki_look", 2, False, "wiki_write")
    assert [each.name for each in toolset(*toolset(look, write, only=["write"]), prefix="my_")] == ["my_write"]
    with pytest.raises(DefinitionError, match="'wirte', which is not a tool"):
        toolset(look, write, only=["wirte"])


@pytest.mark.parametrize("is_nested", [False, True])
async def test_a_set_offers_no_tool_that_its_own_rule_forbids(is_nested: bool) -> None:  # noqa: FBT001 - a case
    """Both rules hold, each by the fields that it reads, of which the compiler knows."""
    model = ScriptedModel(
        lambda request: calls(("write", {"text": "x"})) if len(request.messages) < 2 else Response(results(request))
    )
    inner: Any = tool(write, offered=lambda level: level > 1)
    if is_nested:
        (inner,) = toolset(Listed([write]), offered=lambda level: level > 1)
    tools = toolset(inner, look, offered=lambda turn: turn == 1)
    for level, first in ((1, ["look"]), (2, ["look", "write"])):
        model.requests.clear()
        async with Runner() as runner:
            await runner.start(desk(model, *tools), Desk(level=level)).result()
        assert [sorted(each.name for each in request.tools) for request in model.requests] == [first, []]
    with pytest.raises(CompileError, match="levle"):
        desk(model, *toolset(*toolset(look, offered=lambda levle: levle), offered=lambda turn: turn)).compile()


async def test_a_name_that_no_source_of_a_set_has_is_refused() -> None:
    """Once all of them are opened; what a source lists may be in another one of the set."""
    agent = Agent(
        "a", model=ScriptedModel(["ok", "ok"]), tools=toolset(Listed([look]), Listed([write]), only=["write"])
    )
    assert await agent.run(question="x") == "ok"
    for sources in ([Listed([look])], [Listed([look]), Listed([write])], [Listed([]), look]):
        with pytest.raises(DefinitionError, match="'lok', which is not a tool"):
            await agent.but(tools=toolset(*sources, only=["lok"])).run(question="x")
    assert all(source.is_closed for source in sources if isinstance(source, Listed))


async def test_a_set_has_some_tools_of_a_server(tmp_path: Path) -> None:
    """A server's own name is called; its tools are offered in some turns alone too."""
    pytest.importorskip("mcp")
    file = tmp_path / "tools.json"
    source = server(file, "a.b", "c", "d")
    part = toolset(source, only=["a_b", "c"], prefix="x_", offered=lambda turn, tool: turn == 1 or tool == "x_c")
    model = ScriptedModel(
        lambda request: calls(("x_a_b", {}), ("x_d", {})) if len(request.messages) < 2 else Response(results(request))
    )
    async with Runner() as runner:
        found = await runner.start(desk(model, *part)).result()
    assert [[each.name for each in request.tools] for request in model.requests] == [["x_a_b", "x_c"], ["x_c"]]
    assert found.output == "a.b {} | There is no tool 'x_d'. There are: x_a_b, x_c."
    assert called(file) == ["a.b"]


# --- another program's tools --------------------------------------------------------------------------------------


def seats() -> Graph[Desk]:
    """Return a graph whose agent lets two seats be chosen."""
    return desk(
        ScriptedModel(
            lambda request: (
                calls(("choose_seat", {"flight": "LH1"}), ("choose_seat", {"flight": "LH2"}))
                if len(request.messages) < 2
                else Response(results(request))
            )
        ),
        choose_seat,
    )


async def test_a_call_is_a_wait_until_another_program_has_made_it(tmp_path: Path) -> None:
    """With the tool, the arguments and their schema; the result is checked, and an error is the model's."""
    async with Runner(tmp_path / "runs.db") as runner:
        waiting = await runner.start(seats(), run_id="r").result()
        first, second = waiting.waits
        assert (first.kind, first.question, first.answerable) == ("tool", 'choose_seat({"flight":"LH1"})', True)
        assert (first.facts["tool"], first.facts["arguments"]) == ("choose_seat", {"flight": "LH1"})
        assert first.facts["parameters"]["required"] == ["flight"]
        with pytest.raises(InputError, match="row"):
            await runner.answer("r", {"row": "x"}, wait=first)
        await runner.answer("r", {"row": 3}, wait=first)
    async with Runner(tmp_path / "runs.db") as runner:
        waiting = await runner.resume("r", seats()).result()
        (left,) = [wait for wait in waiting.waits if wait.answered is None]
        assert left.question == second.question
        await runner.answer("r", {"error": "sold out"}, wait=left)
    async with Runner(tmp_path / "runs.db") as runner:
        found = await runner.resume("r", seats()).result()
    assert (found.output, found.losses) == ('{"row":3} | sold out', {"failed_tools": 1})


async def test_arguments_that_do_not_fit_reach_no_other_program() -> None:
    """The model gets them back at once."""
    model = ScriptedModel(
        lambda request: calls(("choose_seat", {})) if len(request.messages) < 2 else Response(results(request))
    )
    async with Runner() as runner:
        found = await runner.start(desk(model, choose_seat)).result()
    assert "'flight' is a required property" in str(found.output)


async def test_a_call_that_nobody_makes_ends_in_time() -> None:
    """As an error that the model can react to."""
    clock = FakeClock()
    model = ScriptedModel(
        lambda request: calls(("hurry", {})) if len(request.messages) < 2 else Response(results(request))
    )
    hurry = external_tool(name="hurry", schema={"type": "object"}, timeout_seconds=60)
    graph = desk(model, hurry)
    async with Runner(clock=clock) as runner:
        assert (await runner.start(graph, run_id="r").result()).status == "waiting"
        clock.move(61)
        late = f"hurry gave no result within 60 seconds. {NOT_KNOWN}"
        assert (await runner.resume("r", graph).result()).output == late


def test_a_tool_of_another_program_is_described_by_a_function_or_a_schema() -> None:
    """As a front end may send it."""
    made = external_tool(name="show", description="Show it.", schema={"type": "object", "properties": {"a b": {}}})
    assert made.spec().schema["properties"] == {"a_b": {}}
    assert choose_seat.description == "Show the seats of a flight to the traveller."
    with pytest.raises(DefinitionError, match="needs a function, or both name= and schema=, to describe"):
        external_tool(name="show")


async def test_without_a_run_nothing_can_wait() -> None:
    """Which is an error about the program, not one for the model."""
    model = ScriptedModel(lambda _: calls(("choose_seat", {"flight": "x"})))
    with pytest.raises(DefinitionError, match="run the agent in a graph"):
        await Agent("a", model=model, tools=[choose_seat]).run(question="x")


def test_a_call_of_another_program_is_a_wait_for_the_checks() -> None:
    """It cannot wait inside an effect that must not be repeated, and needs no effect of its own: it is not repeated."""
    book = external_tool(name="book_seat", description="Book a seat.", schema={"type": "object"})
    assert not [problem for problem in desk(ScriptedModel([]), book).check() if "book_seat" in problem.message]
    graph = Graph("desk", Desk, result="said")
    agent = Agent("clerk", model=ScriptedModel([]), prompt="Serve.", tools=[book])
    graph.add_node("clerk", agent, writes="said", effect="once")
    graph.add_path(START, "clerk", END)
    (found,) = [problem for problem in graph.check() if problem.code == "waits_in_effect"]
    assert "a call of another program of book_seat" in found.message
