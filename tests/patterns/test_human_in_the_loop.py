"""A proposal that a person reviews."""

from collections.abc import Sequence

import pytest
from pydantic import BaseModel

from graphengine import END, START, Graph, Runner, ScriptedModel
from graphengine.errors import DefinitionError, InputError
from graphengine.patterns import Decision, Desk, human_in_the_loop
from graphengine.testing import FakeClock
from tests.patterns.scripted import named

PROPOSE = named("propose", "{task}\n{decisions}")
ACT = named("act", "{proposal}")
YES, NO, AGAIN = Decision(verdict="approve"), Decision(verdict="reject"), Decision(verdict="revise", note="shorter")


async def decided(graph: Graph[Desk], decisions: Sequence[Decision]) -> tuple[Desk, str, ScriptedModel]:
    """Run a graph with a person who gives these decisions."""
    model: ScriptedModel = ScriptedModel(
        lambda request: f"{request.agent} {sum(r.agent == request.agent for r in model.requests)}"
    )
    async with Runner(models={"*": model}) as runner:
        run = runner.start(graph, {"task": "move"})
        result = await run.result()
        for decision in decisions:
            assert result.status == "waiting"
            await runner.answer(run.id, decision)
            result = await runner.resume(run.id, graph).result()
    return result.state, result.label, model


@pytest.mark.parametrize("revisions", [0, 1, 3])
@pytest.mark.parametrize("sent_back", [0, 1, 2])
async def test_each_question_costs_a_proposal(sent_back: int, revisions: int) -> None:
    """An approved proposal is carried out once; a proposal that was sent back too often is not."""
    graph = human_in_the_loop(PROPOSE, ACT, revisions=revisions)
    allowed = sent_back <= revisions
    decisions = [AGAIN] * sent_back + [YES] if allowed else [AGAIN] * (revisions + 1)
    state, label, model = await decided(graph, decisions)
    assert len(model.requests) == min(sent_back, revisions) + 1 + allowed
    assert (label, state.output) == (("approved", "act 1") if allowed else ("out of revisions", ""))


async def test_the_note_reaches_the_next_proposal() -> None:
    """It comes with the earlier decisions."""
    _, _, model = await decided(human_in_the_loop(PROPOSE, ACT), [AGAIN, YES])
    assert ["shorter" in request.prompt for request in model.requests] == [False, True, False]
    assert "propose 2" in model.requests[-1].prompt


async def test_a_rejected_action_is_not_done() -> None:
    """`act` does not run, and there is no output."""
    state, label, model = await decided(human_in_the_loop(PROPOSE, ACT), [NO])
    assert (label, state.output, len(model.requests)) == ("rejected", "", 1)


async def test_without_act_the_proposal_is_the_output() -> None:
    """It is the output once it is approved."""
    state, label, _ = await decided(human_in_the_loop(PROPOSE), [YES])
    assert (label, state.output) == ("approved", "propose 1")


@pytest.mark.parametrize("answer", ["NOT APPROVED", "approve", {"verdict": "approved"}, True])
async def test_an_answer_that_is_not_a_decision_is_refused(answer: object) -> None:
    """It is refused when it is given; the run still waits, and nothing is done."""
    graph = human_in_the_loop(PROPOSE, ACT)
    async with Runner(models={"*": ScriptedModel(["a plan"])}) as runner:
        run = runner.start(graph, {"task": "move"})
        await run.result()
        with pytest.raises(InputError):
            await runner.answer(run.id, answer)
        result = await runner.resume(run.id, graph).result()
    assert (result.status, result.state.decisions) == ("waiting", [])


async def test_silence_is_no_approval() -> None:
    """Silence counts as a rejection after the timeout."""
    graph = human_in_the_loop(PROPOSE, ACT, timeout_seconds=3600)
    clock = FakeClock(start=0.0)
    async with Runner(models={"*": ScriptedModel(["a plan"])}, clock=clock) as runner:
        run = runner.start(graph, {"task": "move"})
        await run.result()
        clock.move(3600)
        result = await runner.resume(run.id, graph).result()
    assert (result.status, result.label) == ("finished", "rejected")
    assert result.state.decisions[0].note == "no answer in time"


def test_less_than_no_revision_is_refused() -> None:
    """It is refused when the graph is built."""
    with pytest.raises(DefinitionError, match="0 or more"):
        human_in_the_loop(PROPOSE, revisions=-1)


class Office(BaseModel):
    """Things to do."""

    tasks: list[str] = []
    done: list[str] = []


async def test_it_is_a_node_of_another_graph() -> None:
    """Here one runs for each of several tasks; each waits for its own answer, in any order."""
    office = Graph("office", Office)
    ask_first = human_in_the_loop(PROPOSE, question="{proposal}?")
    office.add_node("do", ask_first, each={"item": "tasks"}, inputs={"task": "item"}, writes="done")
    office.add_path(START, "do", END)
    model = ScriptedModel(lambda request: "to move" if "move" in request.prompt else "to stay")
    async with Runner(models={"*": model}) as runner:
        run = runner.start(office, Office(tasks=["move", "stay"]))
        waits = (await run.result()).waits
        assert [wait.question for wait in waits] == ["to move?", "to stay?"]
        await runner.answer(run.id, NO, question=waits[1].name)
        await runner.answer(run.id, YES, question=waits[0].name)
        result = await runner.resume(run.id, office).result()
    assert result.state.done == ["to move", ""]
