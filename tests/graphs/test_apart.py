"""What pages of the bundled workflows cannot show: work in parallel, loops without end, copies, caching and costs."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from graphengine import Runner
from graphengine.agents.reading import Output
from graphengine.cli.new import files_of
from graphengine.models import Request
from graphengine.patterns import Step, Subscriber
from graphs import handoff, orchestrator
from graphs.blackboard import SPECIALISTS, research_board
from graphs.parallel_research import graph as research
from graphs.parallel_research import parallel_research
from nodes.board.agents import MOST_DRAFTS, wishes
from nodes.press.agents import writer
from nodes.review.agents import Review
from nodes.room.agents import check_outline
from tests.conformance.model_scenes import Counted, Received, Says
from tests.graphs import orchestrator_kit as kit
from tests.graphs.press_kit import CALL_USD, EDITED, GIVEN, by_role
from tests.graphs.review_kit import BRIEF, FOUND, judged
from tests.graphs.scenes import ARTICLE, OUTLINE, READ, READING, REPORT, ROOM, SENTENCES, quoted, reads
from tests.models.edge_server import EdgeServer
from tests.patterns.scripted import play


def test_it_does_not_carry_the_orchestrators_planner() -> None:
    """A copy of the line has its workers, and neither planner nor validator."""
    copied = files_of("line")
    assert "nodes/orchestration/workers.py" in copied
    assert not {"nodes/orchestration/agents.py", "graphs/orchestrator.py"} & copied.keys()


def test_a_minute_more_or_less_is_no_fault() -> None:
    """The parts may differ from the length by one."""
    check_outline(OUTLINE, 43, 4, dict.fromkeys(ROOM, "a view"))
    with pytest.raises(ValueError, match="42 minutes"):
        check_outline(OUTLINE, 44, 4, dict.fromkeys(ROOM, "a view"))


@pytest.mark.parametrize(
    ("scores", "asks"), [((4,), True), ((7,), False), ((4, 4), False), ((4, 5), True), ((2, 3, 4), False)]
)
def test_the_editor_asks_while_it_helps(scores: tuple[float, ...], asks: bool) -> None:  # noqa: FBT001 - a parameter
    """Not after a good review, one that is no better, or the third."""
    assert bool(wishes([Review(score=score, issues=["More."]) for score in scores])) == asks
    assert len(scores) <= MOST_DRAFTS


async def test_specialists_who_trigger_each_other_for_ever_are_stopped() -> None:
    """The draft so far is in the report."""
    drafts = iter(range(99))
    nag = Subscriber(lambda draft: [f"More than {draft}."], watches=["draft"], writes="wishes")
    endless = {"writer": lambda _: f"{BRIEF} {next(drafts)}", "reviewer": lambda _: judged(8)}
    made = research_board({**SPECIALISTS, "nag": nag}, rounds=9)
    played = await play(made, ARTICLE, {"researcher": [FOUND], "surveyor": [[]], **endless})
    assert played.calls["writer"] == 4
    assert played.output.startswith(f"{BRIEF} 3")


async def test_steps_that_do_not_need_each_other_are_done_at_the_same_time() -> None:
    """Both researchers are asked before the writer, whatever the order of the plan."""
    both = [kit.FIND, Step(id="sun", role="researcher", input="The sun."), kit.WRITE]
    answers = kit.team(planner=[both], researcher=[kit.FOUND, kit.FOUND])  # either may be asked first
    played = await play(orchestrator.graph, kit.GIVEN, answers)
    assert [request.agent for request in played.requests][1:4] == ["researcher", "researcher", "writer"]
    assert played.state.results["sun"].text == played.state.results["find"].text == kit.LINES


def test_the_plans_schema_has_the_workers() -> None:
    """So a model whose provider keeps to schemas cannot name another."""
    planner: Any = orchestrator.orchestrator({"cook": lambda task: task}).compile().nodes["attempt"].call
    body = planner.graph.nodes["make_plan"].call.body
    assert '"enum":["cook"]' in str(Output(body.agent.output, where="").schema).replace("'", '"').replace(" ", "")


async def test_all_readers_are_asked_before_one_is_answered() -> None:
    """They work in parallel."""
    asked = 0
    all_asked = asyncio.Event()

    async def answer(request: Request) -> object:
        nonlocal asked
        asked += 1
        if asked == len(READ):
            all_asked.set()
        async with asyncio.timeout(20):
            await all_asked.wait()
        return reads(request)

    played = await play(research, READING, {"reader": answer, "merger": [REPORT]})
    assert played.output == REPORT


async def test_one_after_the_other_is_an_option() -> None:
    """With `concurrency=1` no reader is asked before the last has answered."""
    at_once = most = 0

    async def answer(request: Request) -> object:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0)
        at_once -= 1
        return reads(request)

    await play(parallel_research(concurrency=1), READING, {"reader": answer, "merger": [REPORT]})
    assert most == 1


async def test_readers_ask_one_model_and_the_merger_another(provider: EdgeServer) -> None:
    """Each has its cap; an answer that is cut off fails only its source; tokens and cost are those of each."""
    counted = Counted(input_tokens=1000, cache_read_tokens=0, output_tokens=100)

    def answer(received: Received) -> Says:
        if "You make one report" in received.system:
            return Says(REPORT, counted=counted)
        (name,) = (name for name in READ if SENTENCES[name] in received.turns[0].text)
        if name == "neap":
            return Says('{"quotations": [', stop="cut", counted=counted)
        return Says(quoted(name).model_dump_json(), counted=counted)

    provider.answer(answer)
    models = {"*": "anthropic:claude-haiku-4-5", "merger": "anthropic:claude-opus-4-5"}
    async with Runner(models=models) as runner:
        result = await runner.start(research, READING).result()
        spent = {row.agent: row.usage for row in await runner.admin.spending(result.run_id)}
    assert "## Not read\n\n- neap.md: " in str(result.output)
    asked = [(str(each.body["model"]), each.max_tokens) for each in provider.received()]
    assert sorted(asked) == [("claude-haiku-4-5", 1024)] * 3 + [("claude-opus-4-5", 4096)]
    assert spent["merger"].get("output_tokens") == 100


async def test_through_a_server_caps_caching_and_cost(provider: EdgeServer) -> None:
    """Each call has its own token limit and requests caching of what is shared, such as a long house style."""
    provider.answer(by_role)
    style = "Write plainly. " * 400
    async with Runner(models={"*": "anthropic:claude-haiku-4-5"}) as runner:
        result = await runner.start(handoff.handoff(writer.but(system=f"{style}\n\n{writer.system}")), GIVEN).result()
        spent = {row.agent: row.usage for row in await runner.admin.spending(result.run_id)}
    assert result.output == EDITED.text
    received = provider.received()
    assert [each.max_tokens for each in received] == [8192, 4096, 4096]
    assert received[1].system.startswith(style.strip())
    assert all("cache_control" in json.dumps(each.body["system"]) for each in received)
    assert result.usage.cost_usd == pytest.approx(3 * CALL_USD)
    assert sorted(spent) == ["editor", "researcher", "writer"]
