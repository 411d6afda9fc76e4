"""A talker that answers at once, and a reasoner that thinks."""

import pytest
from pydantic import BaseModel

from graphengine import END, START, Graph, Runner, ScriptedModel
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


class Phone(BaseModel):
    """Incoming calls."""

    messages: list[str] = []
    belief: str = ""
    answers: list[str] = []


async def test_it_is_a_node_like_an_agent() -> None:
    """Here one runs for each of several messages, with the beliefs of the surrounding graph."""
    graph = Graph("phone", Phone)
    talk = talker_reasoner(TALKER, REASONER)
    inputs = {"message": "message", "belief": "belief"}
    graph.add_node("talk", talk, each={"message": "messages"}, inputs=inputs, concurrency=1, writes="answers")
    graph.add_path(START, "talk", END)
    answers = {"talker": [DONE, LATER, DONE], "reasoner": ["so it is"]}
    played = await play(graph, {"messages": ["one", "two"], "belief": "all is well"}, answers)
    assert played.state.answers == ["It is 42."] * 2
    assert played.calls.total() == 1 + 3
    assert "all is well" in played.asked("reasoner")[0]


async def test_the_first_reply_comes_before_any_thought() -> None:
    """A watcher sees it as a step of its own."""
    model = ScriptedModel({"talker": [LATER, DONE], "reasoner": ["so it is"]})
    async with Runner(models={"*": model}) as runner:
        run = runner.start(talker_reasoner(TALKER, REASONER), {"message": "?"})
        await run.result()
        nodes = [step.node for step in await runner.history(run.id) if step.kind == "node"]
    assert nodes == ["talk", "reason", "talk"]


class Shop(Talk):
    """A conversation in a shop."""

    stock: str = ""


async def test_fields_of_the_callers_own_state_reach_both() -> None:
    """They are read by their names in the prompts."""
    talker, reasoner = named("talker", "{stock}", Reply), named("reasoner", "{stock}")
    answers = {"talker": [LATER, DONE], "reasoner": ["so it is"]}
    played = await play(talker_reasoner(talker, reasoner, state=Shop), {"message": "?", "stock": "tea"}, answers)
    assert all("tea" in request.prompt for request in played.model.requests)
