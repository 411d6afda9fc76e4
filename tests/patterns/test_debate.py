import pytest

from graphengine import Agent, RunFailed, Runnable
from graphengine.errors import DefinitionError
from graphengine.patterns import Debate, Position, debate
from tests.patterns.kits import clerk
from tests.patterns.scripted import play

JUDGE = clerk("judge", "{transcript}")


class Toned(Debate):
    tone: str = "plain"


def debaters(*names: str, prompt: str = "{task} {positions}") -> dict[str, Runnable]:
    """Return agents that debate."""
    return {name: Agent(name, prompt=prompt, output=Position) for name in names}


def holds(answer: str) -> Position:
    """Return a position."""
    return Position(answer=answer, argument=f"because {answer}")


async def test_debaters_read_one_another_and_are_judged() -> None:
    """The judge reads all positions."""
    script = {"ann": [holds("yes"), holds("maybe")], "bob": [holds("no"), holds("no")], "judge": ["it depends"]}
    played = await play(debate(debaters("ann", "bob"), judge=JUDGE), {"task": "t"}, script)
    assert (played.output, played.label) == ("it depends", "judged")
    second = played.asked("ann")[1]
    assert "because no" in second
    assert [(turn.debater, turn.answer) for turn in played.state.transcript] == [
        ("ann", "yes"), ("bob", "no"), ("ann", "maybe"), ("bob", "no"),
    ]  # fmt: skip


async def test_agreement_ends_it_without_the_judge() -> None:
    """Case and full stops do not matter."""
    script = {"ann": [holds("yes"), holds("No.")], "bob": [holds("no"), holds(" NO ")]}
    played = await play(debate(debaters("ann", "bob"), judge=JUDGE, rounds=5), {"task": "t"}, script)
    assert (played.output, played.label) == ("No.", "agreed")


@pytest.mark.parametrize(("one", "other"), [("approved", "NOT APPROVED"), ("1", "-1"), ("C", "C++"), ("5", ".5")])
async def test_different_answers_are_no_agreement(one: str, other: str) -> None:
    """One answer that contains the other is still a different one."""
    script = {"ann": [holds(one)], "bob": [holds(other)]}
    played = await play(debate(debaters("ann", "bob"), rounds=1), {"task": "t"}, script)
    assert (played.output, played.label) == (one, "no agreement")


async def test_without_a_judge_most_decide() -> None:
    """Among equals the first named decides, as the previous test shows."""
    script = {"ann": [holds("yes")], "bob": [holds("no")], "cid": [holds("No.")]}
    played = await play(debate(debaters("ann", "bob", "cid"), rounds=1), {"task": "t"}, script)
    assert (played.output, played.label) == ("no", "no agreement")


async def test_a_debater_that_fails_is_silent_in_that_round() -> None:
    """It keeps its position, and the others continue."""
    answers = iter([holds("no")])

    def once(task: str) -> Position:
        return next(answers)

    graph = debate({**debaters("ann"), "once": once}, rounds=2)
    played = await play(graph, {"task": "t"}, {"ann": [holds("yes"), holds("no")]})
    assert (played.label, len(played.state.transcript)) == ("agreed", 3)
    assert [error.path for error in played.state.errors] == ["once"]


async def test_a_single_answer_is_no_agreement() -> None:
    """A single answer does not count as agreement, but still wins."""

    def broken() -> Position:
        raise OSError("no network")

    graph = debate({**debaters("ann"), "broken": broken}, rounds=2)
    played = await play(graph, {"task": "t"}, {"ann": [holds("yes"), holds("yes")]})
    assert (played.label, played.output) == ("no agreement", "yes")
    with pytest.raises(RunFailed, match="nobody spoke"):
        await play(debate({"a": broken, "b": broken}, judge=JUDGE), {"task": "t"}, {})


async def test_a_debate_is_the_judge_of_a_debate() -> None:
    """The inner debate gets the task and the caller's fields, and no positions."""
    inner = debate(debaters("cid", "dan", prompt="{tone} {task} {positions}"), rounds=1, state=Toned)
    graph = debate(debaters("ann", "bob"), judge=inner, rounds=1, state=Toned)
    script = {"ann": [holds("yes")], "bob": [holds("no")], "cid": [holds("so")], "dan": [holds("So")]}
    played = await play(graph, {"task": "t", "tone": "dry"}, script)
    assert (played.output, played.label) == ("so", "judged")
    assert "<tone>dry</tone> <task>t</task>" in played.requests[-1].prompt
    assert "yes" not in played.requests[-1].prompt


@pytest.mark.parametrize("names", [(), ("a",), ("a", "judge")])
def test_debates_that_cannot_be_are_refused(names: tuple[str, ...]) -> None:
    """They are refused when the graph is built."""
    with pytest.raises(DefinitionError, match="debate"):
        debate(debaters(*names))
