"""What pages of patterns cannot show: work in parallel, time, questions to a person, runs that are continued."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, ValidationError

from graphengine import END, START, Context, Graph, Limits, RunFailed, Runner, ScriptedModel, iterations
from graphengine.errors import DefinitionError, InputError
from graphengine.patterns import (
    Attempt,
    Board,
    Circuit,
    Critique,
    Decision,
    Desk,
    Guarded,
    Reply,
    Step,
    Subscriber,
    Thought,
    blackboard,
    circuit_breaker,
    cross_reflection,
    fan_out_fan_in,
    human_in_the_loop,
    orchestrator_workers,
    talker_reasoner,
    with_limits,
)
from graphengine.patterns.votes import option_of
from graphengine.reducers import append
from graphengine.testing import FakeClock
from tests.patterns.scripted import away, named, play


async def test_critics_run_in_parallel() -> None:
    """Each critic waits for the other here."""
    met = asyncio.Barrier(2)

    async def critic(draft: str) -> Critique:
        await met.wait()
        return Critique(verdict="accept")

    graph = cross_reflection(named("write"), {"a": critic, "b": critic})
    async with asyncio.timeout(10):
        played = await play(graph, {"task": "t"}, {"write": ["one"]})
    assert played.label == "accepted"


async def test_ready_steps_run_in_parallel() -> None:
    """Ready steps of one role and of several run in parallel: each waits here for all others."""
    met = asyncio.Barrier(3)

    async def meet(task: str) -> str:
        await met.wait()
        return task

    plan = [Step(id=name, role=role, input=name) for name, role in (("a", "one"), ("b", "one"), ("c", "two"))]
    planner = named("planner", "{task}", list[Step])
    graph = orchestrator_workers(planner, {"one": meet, "two": meet}, named("end", "{results}"))
    async with asyncio.timeout(10):
        await play(graph, {"task": "t"}, {"planner": [plan], "end": ["done"]})


@pytest.mark.parametrize("concurrency", [1, 3])
async def test_so_many_are_worked_on_at_a_time_as_allowed(concurrency: int) -> None:
    """Exactly that many run in parallel: each waits for the others."""
    running: list[int] = []
    now = 0

    async def work(item: str) -> str:
        nonlocal now
        now += 1
        running.append(now)
        for _ in range(20):
            await asyncio.sleep(0)
        now -= 1
        return item

    graph = fan_out_fan_in(work, lambda: "", concurrency=concurrency)
    await play(graph, {"items": list("abcdef")}, {})
    assert max(running) == concurrency


@pytest.mark.parametrize("kind", [Attempt, Thought])
@pytest.mark.parametrize("given", [{}, {"question": "How?", "tool": "shout", "answer": "42"}])
def test_an_attempt_and_a_thought_are_one_of_two_things(kind: type[BaseModel], given: dict[str, str]) -> None:
    """A question or a use of a tool, or an answer; not both and not neither."""
    with pytest.raises(ValidationError, match="either a"):
        kind(**given)


@pytest.mark.parametrize("answer", ["yes", "Yes.", " YES! ", '"yes"', "**Yes**", "yes\n", "\uff39es"])
def test_one_vote_in_other_clothes(answer: str) -> None:
    """Case, quotes, markup and a full stop make no difference."""
    assert option_of(answer, ["yes", "no"]) == "yes"


@pytest.mark.parametrize("answer", ["yes, but", "not yes", "yesterday", "", "y", "yes no", "-yes", 1, None])
def test_other_texts_are_not_votes(answer: object) -> None:
    """Other words, more words and no words are not votes."""
    with pytest.raises(ValueError, match="is not a vote; answer with one of yes, no"):
        option_of(answer, ["yes", "no"])


class Case(Board):
    """A board."""

    task: str = ""
    clues: str = ""
    theory: str = ""


async def test_the_time_of_an_entry_is_when_others_could_first_read_it() -> None:
    """It is the time of the round after the agent's."""
    clock = FakeClock(start=1000.0)

    def slowly(_: object) -> str:
        clock.move(60)
        return "a"

    agents = {
        name: Subscriber(named(name, f"{{{watches}}}"), watches=[watches], writes=writes)
        for name, watches, writes in (("scout", "task", "clues"), ("sage", "clues", "theory"))
    }
    async with Runner(models={"*": ScriptedModel(slowly)}, clock=clock) as runner:
        state = (await runner.start(blackboard(Case, agents), {"task": "theft"}).result()).state
    assert [entry.at for entry in state.entries] == [1060.0, 1120.0]


INSTEAD = named("instead")


class Offer(Guarded):
    """A price."""

    task: str = ""
    price: str = ""


class Shop(BaseModel):
    """Prices that are requested one after the other."""

    task: str = "tea"
    gaps: list[float] = []
    circuit: Circuit = Circuit()
    prices: Annotated[list[str], append] = []


def shop(calls: int, failures: int = 2) -> Graph[Shop]:
    """Return a graph with this many calls through one breaker, and a pause before each."""

    async def wait(gaps: list[float], ctx: Context) -> None:
        if ctx.visit <= len(gaps):
            await ctx.sleep(gaps[ctx.visit - 1])

    graph = Graph("shop", Shop, result="prices")
    breaker = circuit_breaker(Offer, named("call"), INSTEAD, answer="price", failures=failures, pause_seconds=60)
    graph.add_node("wait", wait, writes=())
    graph.add_node("ask", breaker, writes={"prices": "price", "circuit": "circuit"})
    graph.add_path(START, "wait", "ask")
    graph.add_edge("ask", END, when=iterations("ask") >= calls)
    graph.add_edge("ask", "wait")
    return graph


async def asked(graph: Graph[Shop], script: Sequence[object], gaps: Sequence[float] = ()) -> tuple[Shop, int, int]:
    """Return the result, and the number of calls of the runnable and of the fallback."""
    model = ScriptedModel({"call": script, "instead": lambda _: "old"})
    async with Runner(models={"*": model}, clock=FakeClock(start=0.0)) as runner:
        state = (await runner.start(graph, {"gaps": list(gaps)}).result()).state
    names = [request.agent for request in model.requests]
    return state, names.count("call"), names.count("instead")


@pytest.mark.parametrize("failures", [1, 2, 4])
@pytest.mark.parametrize("calls", [1, 3, 5])
async def test_after_so_many_failures_the_call_is_skipped(calls: int, failures: int) -> None:
    """After so many failures the call is skipped, and the fallback answers every time."""
    state, called, instead = await asked(shop(calls, failures), [away] * 9)
    assert (called, instead) == (min(calls, failures), calls)
    assert state.prices == ["old"] * calls


async def test_an_answer_begins_the_count_anew() -> None:
    """Only consecutive failures open the circuit."""
    state, called, _ = await asked(shop(5), [away, "2", away, "4", "5"])
    assert (state.prices, called) == (["old", "2", "old", "4", "5"], 5)


async def test_after_the_pause_one_call_is_let_through() -> None:
    """An answer closes the circuit; a failure opens it again at once."""
    state, called, _ = await asked(shop(5), [away, away, "3", "4"], [0, 0, 59, 1, 0])
    assert (state.prices, called) == (["old", "old", "old", "3", "4"], 4)
    state, called, _ = await asked(shop(5), [away, away, away, "5"], [0, 0, 60, 59, 1])
    assert (state.prices, called) == (["old", "old", "old", "old", "5"], 4)


async def test_a_resumed_run_keeps_its_circuit() -> None:
    """The circuit is in the state: a resumed run still skips what failed before."""
    graph = shop(3)
    model = ScriptedModel({"call": [away, away], "instead": lambda _: "old"})
    async with Runner(models={"*": model}, clock=FakeClock(start=0.0)) as runner:
        run = runner.start(graph, pause_before=["wait"])
        for _ in range(3):
            assert (await run.result()).status == "waiting"
            await runner.answer(run.id, True)  # noqa: FBT003 - the answer to a pause
            run = runner.resume(run.id, graph)
        result = await run.result()
    assert (result.status, [request.agent for request in model.requests].count("call")) == ("finished", 2)


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


async def test_the_next_turn_begins_with_what_was_thought() -> None:
    """A conversation is a run after a run."""
    later, done = Reply(text="Let me see.", think=True), Reply(text="It is 42.")
    reads = "{message} {belief}"
    graph = talker_reasoner(named("talker", reads, Reply), named("reasoner", reads))
    model = ScriptedModel({"talker": [later, done, done], "reasoner": ["the sum of all"]})
    async with Runner(models={"*": model}) as runner:
        first = await runner.start(graph, {"message": "one"}).result()
        second = await runner.start(graph, {"message": "two"}, after=first.run_id).result()
    assert second.state.belief == "the sum of all"
    assert "the sum of all" in model.requests[-1].prompt


class Search(BaseModel):
    """A search."""

    task: str = ""
    found: str = ""


def walk(visits: int) -> Graph[Search]:
    """Return a graph with this many agent calls."""
    graph = Graph("walk", Search, result="found")
    graph.add_node("look", named("look"), writes="found")
    graph.add_edge(START, "look")
    graph.add_edge("look", END, when=iterations("look") >= visits)
    graph.add_edge("look", "look")
    return graph


async def test_seconds_cut_off_a_function_in_its_midst() -> None:
    """The function need not end by itself."""

    async def wait(task: str) -> str:
        await asyncio.Event().wait()
        return task

    graph = with_limits(Search, wait, answer="found", limits=Limits(seconds=0.01), instead=lambda: "nothing")
    assert (await graph.run({"task": "?"})).output == "nothing"


@pytest.mark.parametrize("instead", [None, lambda: "nothing"])
async def test_a_failure_by_itself_is_no_limit(instead: Any) -> None:
    """Its failure is that of the run."""

    def fail(task: str) -> str:
        raise TimeoutError(task)

    graph = with_limits(Search, fail, answer="found", limits=Limits(seconds=60), instead=instead)
    with pytest.raises(RunFailed, match="TimeoutError"):
        await graph.run({"task": "?"})


async def test_a_limit_of_the_run_is_another_thing() -> None:
    """It stops the run, which can be resumed; the replacement does not run."""
    graph = with_limits(Search, walk(3), answer="found", limits=Limits(visits=50), instead=INSTEAD)
    async with Runner(models={"*": ScriptedModel({"look": ["a", "b", "c"]})}) as runner:
        run = runner.start(graph, {"task": "?"}, limits=Limits(visits=2))
        assert (await run.result()).status == "stopped"
        result = await runner.resume(run.id, graph, limits=Limits(visits=50)).result()
    assert (result.status, result.output) == ("finished", "c")
