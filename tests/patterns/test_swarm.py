"""Agents of equal rank that hand a task to each other."""

import pytest

from graphengine import Graph, RunFailed
from graphengine.errors import DefinitionError
from graphengine.patterns import Swarm, Turn, swarm
from tests.patterns.scripted import named, play

NAMES = ("desk", "law", "tax")


def crew(turns: int = 10) -> Graph[Swarm]:
    """Return three agents that can hand over to each other."""
    return swarm({name: named(name, "{task}\n{trail}\n{others}", Turn) for name in NAMES}, turns=turns)


def to(name: str | None, text: str = "a text") -> Turn:
    """Return a turn that hands over."""
    return Turn(text=text, to=name)


@pytest.mark.parametrize("handovers", [0, 1, 4])
async def test_every_turn_is_a_call(handovers: int) -> None:
    """There is one more call than handovers."""
    answers = {"desk": [to("law")] * ((handovers + 1) // 2), "law": [to("desk")] * (handovers // 2)}
    answers[NAMES[handovers % 2]].append(to(None, "done"))
    played = await play(crew(), {"task": "a case"}, answers)
    assert played.calls.total() == handovers + 1
    assert (played.label, played.output) == ("done", "done")
    assert [turn.by for turn in played.state.trail] == [NAMES[number % 2] for number in range(handovers + 1)]


@pytest.mark.parametrize("turns", [1, 2, 5])
async def test_a_task_that_is_handed_around_for_ever_is_stopped(turns: int) -> None:
    """It ends after that many turns, with the last text as the output."""
    played = await play(crew(turns), {"task": "a case"}, {"desk": lambda _: to("law"), "law": lambda _: to("desk")})
    assert (played.calls.total(), played.label, played.output) == (turns, "out of turns", "a text")


async def test_the_agent_with_the_task_reads_what_was_done() -> None:
    """It also reads the names of the others, without its own."""
    answers = {"desk": [to("tax", "looked it up")], "tax": [to(None)]}
    played = await play(crew(), {"task": "a case"}, answers)
    (asked,) = played.asked("tax")
    assert "looked it up" in asked
    offered = asked.partition("<others>")[2]
    assert [name in offered for name in NAMES] == [True, True, False]


async def test_a_name_that_is_not_there_goes_back_to_the_model() -> None:
    """Names are matched exactly, in case and length."""
    answers = {"desk": [to("Law"), to("desk"), to("law")], "law": [to(None)]}
    played = await play(crew(), {"task": "a case"}, answers)
    assert played.calls == {"desk": 3, "law": 1}
    assert "to must be one of law, tax" in played.asked("desk")[1]


async def test_a_function_that_names_an_unknown_agent_fails_the_run() -> None:
    """A function that names an unknown agent fails the run; the name is not guessed."""
    graph = swarm({"desk": lambda task: to("LAW"), "law": lambda task: to(None)})
    with pytest.raises(RunFailed, match="LAW"):
        await play(graph, {"task": "a case"}, {})


def test_the_first_agent_must_exist() -> None:
    """An unknown first agent is refused when the swarm is built."""
    with pytest.raises(DefinitionError, match="name one of"):
        swarm({"desk": lambda task: to(None)}, first="law")


async def test_a_swarm_can_be_nested() -> None:
    """The inner swarm has its own trail, and its result is a turn."""
    inner = swarm({"old": named("old", "{task}\n{trail}", Turn), "new": named("new", "{task}\n{trail}", Turn)})
    team = Graph("team", Swarm, result="turn")
    team.add_node("work", inner, writes={"turn": lambda result: Turn(text=result)})
    team.add_path("START", "work", "END")
    graph = swarm({"desk": named("desk", "{task}", Turn), "team": team})
    answers = {"desk": [to("team", "over to you")], "old": [to("new")], "new": [to(None, "settled")]}
    played = await play(graph, {"task": "a case"}, answers)
    assert played.output == "settled"
    assert "over to you" not in played.asked("old")[0]
    assert "a case" in played.asked("old")[0]


class Case(Swarm):
    """A task with a client."""

    client: str = ""


async def test_fields_of_the_callers_own_state_reach_the_agents() -> None:
    """They are read by their names in the prompts."""
    graph = swarm({"desk": named("desk", "{client}", Turn)}, state=Case)
    played = await play(graph, {"task": "a case", "client": "Ann"}, {"desk": [to(None)]})
    assert "Ann" in played.asked("desk")[0]
