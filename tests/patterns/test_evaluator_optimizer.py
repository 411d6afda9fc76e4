import pytest
from pydantic import BaseModel

from graphengine import Agent, Node, value
from graphengine.patterns import Evaluation, evaluator_optimizer, voting
from tests.patterns.kits import clerk
from tests.patterns.scripted import play

WRITE = clerk("write", "{task} {draft} {evaluations[-1].feedback}")
JUDGE = Agent("judge", prompt="{draft}", output=Evaluation)


def verdict(score: int, word: str = "revise", feedback: str = "more") -> dict[str, object]:
    """Return an evaluation."""
    return {"verdict": word, "score": score, "feedback": feedback}


class Poem(BaseModel):
    topic: str
    poem: str = ""
    vote: str = ""


@pytest.mark.parametrize(
    ("script", "end"),
    [
        ([verdict(4), verdict(5), verdict(6)], "out of tries"),
        ([verdict(4), verdict(4)], "no longer improving"),
        ([verdict(10), verdict(3, feedback="accept")], "no longer improving"),
        ([verdict(1, "accept", "NOT ACCEPTED")], "accepted"),
    ],
)
async def test_the_ends_of_attempts(script: list[object], end: str) -> None:
    """Only the verdict accepts, not the score or the words; a score that does not rise ends the attempts."""
    graph = evaluator_optimizer(WRITE, JUDGE, score="evaluations[-1].score")
    played = await play(graph, {"task": "t"}, {"write": ["x"] * len(script), "judge": script})
    assert played.label == end


@pytest.mark.parametrize(
    ("judged", "output"),
    [([verdict(6), verdict(3), verdict(5)], "one"), ([verdict(6), verdict(3, "accept")], "two")],
)
async def test_the_output_is_the_best_attempt(judged: list[object], output: str) -> None:
    """A later attempt may be worse; an accepted one is the best."""
    played = await play(
        evaluator_optimizer(WRITE, JUDGE),
        {"task": "t"},
        {"write": ["one", "two", "three"][: len(judged)], "judge": judged},
    )
    assert played.output == output


async def test_an_evaluation_of_no_use_leaves_the_attempt() -> None:
    """An unusable evaluation leaves the attempt, and the label says so."""
    script = {"write": ["one"], "judge": ["fine", "NOT APPROVED", "7/10"]}
    played = await play(evaluator_optimizer(WRITE, JUDGE), {"task": "t"}, script)
    assert (played.output, played.label) == ("one", "unevaluated")


async def test_a_state_and_a_condition_of_the_callers() -> None:
    """The evaluation is a vote of several, on one draft at a time."""
    vote = voting({name: clerk(name) for name in ("ann", "bob", "cid")}, ["publish", "again"])
    graph = evaluator_optimizer(
        clerk("poet", "{topic} {poem}"),
        Node(vote, inputs={"task": "poem"}, writes="vote"),
        accept=value("vote") == "publish",
        state=Poem,
        result="poem",
    )
    script = {
        "poet": ["one", "two"],
        "ann": ["again", "Publish."],
        "bob": ["again", "publish"],
        "cid": ["publish", "again"],
    }
    played = await play(graph, {"topic": "tides"}, script)
    assert (played.output, played.label, played.state.vote) == ("two", "accepted", "publish")
    assert played.requests[1].prompt == "<task>one</task>"


async def test_attempts_may_be_attempts_of_others() -> None:
    """The outer evaluation reaches the inner generator, and each counts its own tries."""
    inner = evaluator_optimizer(WRITE, JUDGE, tries=2)
    graph = evaluator_optimizer(inner, JUDGE.but(name="outer"), tries=2)
    script = {
        "write": ["1", "2", "3", "4"],
        "judge": [verdict(2)] * 4,
        "outer": [verdict(2, feedback="shorter"), verdict(9, "accept")],
    }
    played = await play(graph, {"task": "t"}, script)
    assert (played.output, played.label, len(played.state.evaluations)) == ("4", "accepted", 2)
    third = played.asked("write")[2]
    assert "shorter" in third
