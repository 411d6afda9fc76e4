"""A talker that answers at once, and a reasoner that thinks."""

import pytest

from graphengine import Runner, ScriptedModel
from graphengine.patterns import Reply, Talk, talker_reasoner
from tests.patterns.scripted import away, named, play

TALKER = named("talker", "{message}\n{belief}", Reply)
REASONER = named("reasoner", "{message}\n{belief}")
LATER, DONE = Reply(text="Let me see.", think=True), Reply(text="It is 42.")


@pytest.mark.parametrize("allowed", [1, 2, 3])
@pytest.mark.parametrize("wanted", [0, 1, 2])
async def test_every_thought_costs_two_calls(wanted: int, allowed: int) -> None:
    """The first reply costs one call; each thought that is wanted and allowed costs one thought and one reply."""
    replies = [*[LATER] * wanted, DONE][: allowed + 1]
    answers = {"talker": replies, "reasoner": ["so it is"] * min(wanted, allowed)}
    played = await play(talker_reasoner(TALKER, REASONER, thoughts=allowed), {"message": "?"}, answers)
    assert played.calls.total() == 1 + 2 * min(wanted, allowed)
    assert played.label == ("answered" if wanted <= allowed else "out of thoughts")


async def test_the_talker_reads_what_was_thought() -> None:
    """Its last reply is the output."""
    answers = {"talker": [LATER, DONE], "reasoner": ["the sum of all"]}
    played = await play(talker_reasoner(TALKER, REASONER), {"message": "?"}, answers)
    first, second = played.asked("talker")
    assert ("the sum" in first, "the sum" in second) == (False, True)
    assert played.output == "It is 42."


async def test_a_reasoner_that_fails_leaves_the_first_reply() -> None:
    """The user still gets a reply."""
    played = await play(talker_reasoner(TALKER, REASONER), {"message": "?"}, {"talker": [LATER], "reasoner": away})
    assert (played.output, played.label) == ("Let me see.", "answered without thought")


async def test_the_next_turn_begins_with_what_was_thought() -> None:
    """A conversation is a run after a run."""
    graph = talker_reasoner(TALKER, REASONER)
    model = ScriptedModel({"talker": [LATER, DONE, DONE], "reasoner": ["the sum of all"]})
    async with Runner(models={"*": model}) as runner:
        first = await runner.start(graph, {"message": "one"}).result()
        second = await runner.start(graph, {"message": "two"}, after=first.run_id).result()
    assert second.state.belief == "the sum of all"
    assert "the sum of all" in model.requests[-1].prompt


class Shop(Talk):
    """A conversation in a shop."""

    stock: str = ""


async def test_fields_of_the_callers_own_state_reach_both() -> None:
    """They are read by their names in the prompts."""
    talker, reasoner = named("talker", "{stock}", Reply), named("reasoner", "{stock}")
    answers = {"talker": [LATER, DONE], "reasoner": ["so it is"]}
    played = await play(talker_reasoner(talker, reasoner, state=Shop), {"message": "?", "stock": "tea"}, answers)
    assert all("tea" in request.prompt for request in played.model.requests)
