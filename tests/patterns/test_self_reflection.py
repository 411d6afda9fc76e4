import pytest
from pydantic import BaseModel

from graphengine import END, START, Agent, Graph
from graphengine.patterns import Critique, SelfReflection, pipeline, self_reflection
from tests.patterns.kits import around, clerk
from tests.patterns.scripted import play

WRITE = clerk("write", "{task} {draft} {critiques[-1].flaws}")
REFLECT = Agent("reflect", prompt="{draft}", output=Critique)
AGAIN = Critique(verdict="revise", flaws=["dull"])
GOOD = Critique(verdict="accept")


class Toned(SelfReflection):
    tone: str = "plain"


async def test_a_draft_is_revised_until_its_author_accepts_it() -> None:
    """A draft is revised until its author accepts it, and the flaws reach the revision."""
    script = {"write": ["one", "two"], "reflect": [AGAIN, GOOD]}
    played = await play(self_reflection(WRITE, REFLECT), {"task": "t"}, script)
    assert (played.output, played.label) == ("two", "accepted")
    assert "dull" in played.requests[2].prompt


async def test_the_verdict_counts_and_not_the_words_next_to_it() -> None:
    """The word "accept" in a flaw accepts nothing, and "revise" in a flaw rejects nothing."""
    misleading = [Critique(verdict="revise", flaws=["accept"]), Critique(verdict="accept", flaws=["NOT accepted"])]
    played = await play(
        self_reflection(WRITE, REFLECT), {"task": "t"}, {"write": ["one", "two"], "reflect": misleading}
    )
    assert (played.output, played.label) == ("two", "accepted")


async def test_a_reflection_of_no_use_leaves_the_draft() -> None:
    """An unusable reflection leaves the draft, and the label says so."""
    script = {"write": ["one"], "reflect": ["well", "hm", "no idea"]}
    played = await play(self_reflection(WRITE, REFLECT), {"task": "t"}, script)
    assert (played.output, played.label, len(played.state.errors)) == ("one", "unreviewed", 1)


@pytest.mark.parametrize("rounds", [1, 3])
async def test_it_costs_a_draft_and_two_calls_a_round(rounds: int) -> None:
    """A run costs at most `1 + 2 · rounds` calls, and at least `2`."""
    script = {"write": [str(number) for number in range(rounds + 1)], "reflect": [AGAIN] * rounds}
    played = await play(self_reflection(WRITE, REFLECT, rounds=rounds), {"task": "t"}, script)
    assert (played.calls.total(), played.label, played.output) == (1 + 2 * rounds, "out of rounds", str(rounds))
    played = await play(
        self_reflection(WRITE, REFLECT, rounds=rounds), {"task": "t"}, {"write": ["x"], "reflect": [GOOD]}
    )
    assert played.calls.total() == 2


async def test_it_nests_in_itself_and_in_others() -> None:
    """An inner graph gets the task and the caller's fields, without the critiques around it."""
    inner = self_reflection(clerk("write", "{tone} {task}"), REFLECT, state=Toned)
    outer = self_reflection(inner, REFLECT.but(name="outer"), revise=clerk("fix", "{draft}"), state=Toned)
    script = {"write": ["one"], "reflect": [GOOD], "outer": [AGAIN, GOOD], "fix": ["two"]}
    graph = around(pipeline({"all": outer, "end": clerk("end", "{text}")}))
    played = await play(graph, {"question": "t"}, {**script, "end": ["three"]})
    assert played.output == "three"
    assert played.requests[0].prompt == "<tone>plain</tone> <task>t</task>"


async def test_a_graph_that_shares_its_bookkeeping_alone_begins_with_defaults() -> None:
    """An inner field called `draft` is not the draft around it."""

    class Piece(BaseModel):
        draft: str = "A title"

    inner = Graph("inner", Piece, result="draft")
    inner.add_node("write", lambda draft: f"{draft}, a text", writes="draft")
    inner.add_path(START, "write", END)
    played = await play(self_reflection(inner, REFLECT), {"task": "t"}, {"reflect": [AGAIN, GOOD]})
    assert played.output == "A title, a text"
