"""Think, act, observe, and think again."""

import pytest
from pydantic import ValidationError

from graphengine.patterns import Observation, Reasoning, Thought, react
from tests.patterns.scripted import away, named, play

THINK = named("think", "{task}\n{trail}\n{tools}", Thought)


def use(tool: str, task: str = "a task", thought: str = "") -> Thought:
    """Return a thought that uses a tool."""
    return Thought(thought=thought, tool=tool, task=task)


DONE = Thought(answer="42")


def shout(task: str) -> str:
    """Return the task in capitals."""
    return task.upper()


async def measure(task: str) -> int:
    """Return a number instead of a text."""
    return len(task)


@pytest.mark.parametrize("actions", [0, 1, 3])
async def test_each_action_costs_a_thought_and_a_call_of_its_tool(actions: int) -> None:
    """The answer costs one more thought."""
    graph = react(THINK, {"tool": named("tool")})
    answers = {"think": [use("tool")] * actions + [DONE], "tool": ["seen"] * actions}
    played = await play(graph, {"task": "?"}, answers)
    assert played.calls.total() == 2 * actions + 1
    assert (played.label, played.output, len(played.state.trail)) == ("answered", "42", actions)


@pytest.mark.parametrize("thoughts", [1, 2, 4])
async def test_one_that_never_answers_is_stopped(thoughts: int) -> None:
    """It ends after that many thoughts, without acting on the last; there is no output."""
    graph = react(THINK, {"tool": named("tool")}, thoughts=thoughts)
    played = await play(graph, {"task": "?"}, {"think": lambda _: use("tool"), "tool": lambda _: "seen"})
    assert played.calls == {"think": thoughts, **({"tool": thoughts - 1} if thoughts > 1 else {})}
    assert (played.label, played.output) == ("out of thoughts", None)


async def test_what_a_tool_gave_is_read_by_the_next_thought() -> None:
    """The observation has the task and the thought; a result that is not a text is JSON."""
    answers = {"think": [use("shout", "ho", "be loud"), use("measure", "four"), DONE]}
    played = await play(react(THINK, {"shout": shout, "measure": measure}), {"task": "?"}, answers)
    assert played.state.trail == [
        Observation(thought="be loud", tool="shout", task="ho", result="HO"),
        Observation(thought="", tool="measure", task="four", result="4"),
    ]
    assert "HO" in played.asked("think")[1]


async def test_a_tool_that_fails_is_an_observation() -> None:
    """The failure is also kept, and the thinking continues."""
    played = await play(
        react(THINK, {"tool": named("tool")}), {"task": "?"}, {"think": [use("tool"), DONE], "tool": away}
    )
    (seen,) = played.state.trail
    assert (seen.failed, "tool is away" in seen.result) == (True, True)
    assert [failure.path for failure in played.state.errors] == ["tool"]
    assert played.output == "42"


async def test_a_tool_that_is_not_there_goes_back_to_the_model() -> None:
    """Tools are matched by their whole names."""
    answers = {"think": [use("Shout"), use("shout!"), use("shout"), DONE]}
    played = await play(react(THINK, {"shout": shout}), {"task": "?"}, answers)
    assert (len(played.state.trail), played.calls["think"]) == (1, 4)
    assert "tool must be one of shout" in played.asked("think")[1]


async def test_of_a_function_a_tool_that_is_not_there_is_an_observation() -> None:
    """The next thought can be better."""

    def think(trail: list[Observation]) -> Thought:
        return DONE if trail else use("whisper")

    played = await play(react(think, {"shout": shout}), {"task": "?"}, {})
    (seen,) = played.state.trail
    assert (seen.tool, seen.failed, played.output) == ("whisper", True, "42")


@pytest.mark.parametrize("given", [{}, {"tool": "shout", "answer": "42"}])
def test_a_thought_is_one_of_two_things(given: dict[str, str]) -> None:
    """A thought has a tool or an answer, not both and not neither."""
    with pytest.raises(ValidationError, match="either a tool"):
        Thought(**given)


async def test_a_graph_is_a_tool_and_one_that_thinks_is_another() -> None:
    """The inner one begins with its own task and an empty trail."""
    inner = react(named("inner", "{task}\n{trail}", Thought), {"shout": shout})
    answers = {
        "think": [use("shout", "first"), use("expert", "the hard part"), DONE],
        "inner": [Thought(answer="easy")],
    }
    played = await play(react(THINK, {"shout": shout, "expert": inner}), {"task": "all of it"}, answers)
    assert played.state.trail[1].result == "easy"
    (asked,) = played.asked("inner")
    assert ("the hard part" in asked, "FIRST" in asked, "all of it" in asked) == (True, False, False)


class Maths(Reasoning):
    """A task with rules."""

    rules: str = ""


async def test_fields_of_the_callers_own_state_reach_thoughts_and_tools() -> None:
    """They are read by their names."""
    tool = named("tool", "{rules}\n{task}")
    graph = react(named("think", "{rules}", Thought), {"tool": tool}, state=Maths)
    answers = {"think": [use("tool"), DONE], "tool": ["seen"]}
    played = await play(graph, {"task": "?", "rules": "no guessing"}, answers)
    assert all("no guessing" in request.prompt for request in played.requests)
