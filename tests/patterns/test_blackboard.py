"""A board that agents watch."""

from typing import Annotated

import pytest
from pydantic import Field

from graphengine import END, START, Agent, Graph, Runner, ScriptedModel
from graphengine.errors import CompileError, DefinitionError
from graphengine.patterns import Board, Entry, Subscriber, blackboard
from graphengine.reducers import append
from graphengine.testing import FakeClock
from tests.patterns.scripted import away, named, play


class Case(Board):
    """A case to work on."""

    task: str = ""
    clues: str = ""
    theory: str = ""
    report: str = ""
    count: int = 0
    notes: Annotated[list[str], append] = Field(default_factory=list)


def watcher(name: str, watches: str, writes: str) -> Subscriber:
    """Return an agent that makes one field from another."""
    return Subscriber(named(name, "{%s}" % watches), watches=[watches], writes=writes)  # noqa: UP031 - braces


CHAIN = {
    "clerk": watcher("clerk", "theory", "report"),
    "scout": watcher("scout", "task", "clues"),
    "sage": watcher("sage", "clues", "theory"),
}


@pytest.mark.parametrize("agents", [1, 2, 3])
async def test_agents_that_watch_a_changed_field_run(agents: int) -> None:
    """In a chain each agent runs once, whatever its order, in as many rounds; then nothing changes any more."""
    names = ["scout", "sage", "clerk"][:agents]
    graph = blackboard(Case, {name: CHAIN[name] for name in sorted(names)})
    played = await play(graph, {"task": "theft"}, {name: [f"by {name}"] for name in names})
    assert played.calls == dict.fromkeys(names, 1)
    assert played.label == "nothing changes any more"
    assert [entry.author for entry in played.state.entries] == names


async def test_the_author_and_the_time_of_each_entry_are_kept() -> None:
    """The time is when the other agents could first read the entry."""
    graph = blackboard(Case, CHAIN)
    clock = FakeClock(start=1000.0)

    def slowly(text: str) -> object:
        def answer(request: object) -> str:
            clock.move(60)
            return text

        return answer

    model = ScriptedModel({"scout": [slowly("a")], "sage": [slowly("b")], "clerk": ["c"]})
    async with Runner(models={"*": model}, clock=clock) as runner:
        state = (await runner.start(graph, {"task": "theft"}).result()).state
    assert state.entries == [
        Entry(author="scout", field="clues", at=1060.0, round=1),
        Entry(author="sage", field="theory", at=1120.0, round=2),
        Entry(author="clerk", field="report", at=1120.0, round=3),
    ]


@pytest.mark.parametrize("rounds", [1, 2, 5])
async def test_agents_who_go_in_circles_are_stopped(rounds: int) -> None:
    """If agents go in circles, every agent runs at most once in every round."""
    ping = Subscriber(lambda count: count + 1, watches=["count"], writes="count")
    played = await play(blackboard(Case, {"ping": ping}, rounds=rounds, result="count"), {"count": 1}, {})
    assert (played.label, played.output) == ("out of rounds", 1 + rounds)


@pytest.mark.parametrize("given", [{}, {"task": ""}, {"count": 0}])
async def test_an_input_that_equals_its_default_is_an_input(given: dict[str, object]) -> None:
    """Those who watch what no other agent writes begin; the others run when something changed."""
    played = await play(blackboard(Case, CHAIN), given, {"scout": ["a"], "sage": ["b"], "clerk": ["c"]})
    assert ([entry.author for entry in played.state.entries], played.label) == (
        ["scout", "sage", "clerk"],
        "nothing changes any more",
    )


async def test_two_agents_that_watch_one_field_run_in_parallel() -> None:
    """Both read the board as the previous round left it, and both write to one list."""
    model = named("first", "{task} {notes}")
    both = {
        "first": Subscriber(model, watches=["task"], writes="notes"),
        "second": Subscriber(model.but(name="second"), watches=["task", "clues"], writes="notes"),
    }
    played = await play(blackboard(Case, both), {"task": "theft"}, {"first": ["one"], "second": ["two"]})
    assert played.state.notes == ["one", "two"]
    assert "one" not in played.asked("second")[0]


def test_two_who_write_one_field_need_a_reducer() -> None:
    """Two writers of one field without a reducer fail compilation, with both names."""
    graph = blackboard(Case, {"a": watcher("a", "task", "clues"), "b": watcher("b", "task", "clues")})
    with pytest.raises(CompileError, match="both write clues"):
        graph.compile()


async def test_an_agent_that_fails_writes_nothing_and_the_others_continue() -> None:
    """An agent that fails writes nothing, its failure is kept, and the others continue."""
    agents = {**CHAIN, "critic": watcher("critic", "clues", "notes")}
    answers = {"scout": ["a"], "sage": ["b"], "clerk": ["c"], "critic": away}
    played = await play(blackboard(Case, agents), {"task": "theft"}, answers)
    assert (played.state.report, played.state.notes) == ("c", [])
    assert [failure.path for failure in played.state.errors] == ["critic"]


@pytest.mark.parametrize("watches", [[], "task"])
def test_an_agent_has_to_watch_fields(watches: list[str] | str) -> None:
    """No fields, or a text instead of a list, is refused when the board is built."""
    agent = Subscriber(Agent("a", prompt="{task}"), watches=watches, writes="clues")
    with pytest.raises(DefinitionError, match="name its fields"):
        blackboard(Case, {"a": agent})


def test_a_field_that_is_not_there_is_refused() -> None:
    """The error names the nearest field."""
    graph = blackboard(Case, {"a": watcher("a", "theory", "reprot")})
    with pytest.raises(CompileError, match="report"):
        graph.compile()


async def test_a_graph_at_the_board_begins_with_its_fields_alone() -> None:
    """It does not get the entries of the surrounding board."""
    counter = Graph("counter", Case, result="theory")
    counter.add_node("count", lambda clues, entries: f"{clues}: {len(entries)}", writes="theory")
    counter.add_path(START, "count", END)
    agents = {"scout": CHAIN["scout"], "counter": Subscriber(counter, watches=["clues"], writes="theory")}
    played = await play(blackboard(Case, agents), {"task": "theft"}, {"scout": ["a clue"]})
    assert (played.state.theory, len(played.state.entries)) == ("a clue: 0", 2)
