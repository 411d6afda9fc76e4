"""Answers that are cut and calls that fail, through each adapter's HTTP client."""

from __future__ import annotations

import pytest

from graphengine import END, START, Agent, Graph, RunFailed, Runner, Settings
from graphengine.agents.asked import asked_in
from graphengine.models.errors import AnswerCut
from tests.agents.run_kits import Work
from tests.conformance.model_scenes import Counted, Fails, Says
from tests.models.adapters import PATHS, adapter
from tests.models.edge_server import EdgeServer

CUT = Says("It rains in Ber", stop="cut", counted=Counted(input_tokens=9, output_tokens=20))


@pytest.mark.parametrize("path", PATHS)
async def test_a_model_goes_on_with_an_answer(edge: EdgeServer, path: str) -> None:
    """Each wire takes the part before as the model's own message, and what asks for the next one after it."""
    edge.play(CUT, Says("It rains in Bern."))
    model = adapter(path, edge.url)
    agent = Agent("writer", model=model, prompt="Rain?", on_cut="continue", settings=Settings(max_tokens=20))
    assert await agent.run() == "It rains in Bern."
    first, second = edge.received()
    assert [turn.role for turn in second.turns] == ["user", "assistant", "user"]
    assert second.turns[0] == first.turns[0]
    assert second.turns[1].text == "It rains in Ber"
    await model.close()


@pytest.mark.parametrize("path", PATHS)
async def test_a_cut_before_max_tokens_names_the_sum(edge: EdgeServer, path: str) -> None:
    """A server whose window is full ends an answer early: raising max_tokens would change nothing."""
    edge.play(Says("It rains", stop="cut", counted=Counted(input_tokens=2994, output_tokens=1102)))
    model = adapter(path, edge.url)
    agent = Agent("writer", model=model, prompt="Rain?", settings=Settings(max_tokens=8192))
    with pytest.raises(AnswerCut, match=r"2,994 \+ 1,102 = 4,096 tokens") as caught:
        await agent.run()
    assert "max_tokens" not in caught.value.repair
    await model.close()


@pytest.mark.parametrize("path", PATHS)
async def test_a_prompt_that_is_too_long_is_in_the_run(edge: EdgeServer, path: str) -> None:
    """The step of the failure says which model was asked what."""
    edge.play(Fails("context_full"))
    model = adapter(path, edge.url)
    graph = Graph("asks", Work)
    graph.add_node("ask", Agent("writer", model=model, system="Be brief.", prompt="On {task}."), writes="draft")
    graph.add_path(START, "ask", END)
    async with Runner() as runner:
        with pytest.raises(RunFailed):
            await runner.start(graph, run_id="r").result()
        info, steps = await runner.store.info("r"), await runner.store.steps("r")
        (asked,) = await asked_in(runner.store, info, steps[-1])
    assert (asked.agent, asked.model, asked.answer) == ("writer", model.name, None)
    assert asked.messages[0].text == "On rhyme."
