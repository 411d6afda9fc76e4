"""Public reports about providers' APIs, each rebuilt with an agent and a server that objects as the provider does."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from graphengine import Agent, RunFailed, Runner, tool
from graphengine.models import Message, Model, OpenAIChatModel, Request, ToolCall
from tests.conformance.model_scenes import Fails, Received, Says, Scene
from tests.kit.facts import said
from tests.models.acts import Raw
from tests.models.adapters import PATHS, adapter
from tests.models.edge_server import EdgeServer

pytestmark = pytest.mark.usefixtures("own_hosts")


class Weather(BaseModel):
    """The weather in a city."""

    city: str
    degrees: int


BERN = Weather(city="Bern", degrees=7)
GRAMMAR = "output_config.format.schema: The compiled grammar is too large. Simplify your tool schemas."


def own(edge: EdgeServer, path: str, **options: Any) -> Model:
    """Return the adapter of an API, for its provider's own host."""
    host = "api.anthropic.com" if path == PATHS[0] else "api.openai.com"
    return adapter(path, edge.url.replace("127.0.0.1", host), **options)


def chat(edge: EdgeServer, name: str, **options: Any) -> OpenAIChatModel:
    """Return a model of a server with the Chat Completions API that is not OpenAI's."""
    return OpenAIChatModel(name, base_url=edge.openai_url, **options)


async def turns(agent: Agent[Any]) -> tuple[object, list[dict[str, Any]]]:
    """Return an agent's answer in a run, and the records of its turns."""
    async with Runner() as runner:
        answer = await runner.run(agent, question="go", run_id="r")
        recorded = [said(step) for step in await runner.history("r")]
    return answer, [step["value"] for step in recorded if step.get("name") == "turn"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("streams", [False, True])
async def test_who_answered_is_recorded(edge: EdgeServer, path: str, *, streams: bool) -> None:
    """The provider's id of the answer, the model and the server, also of a streamed answer."""
    edge.play(Says("yes"))
    request = Request("a", "", [Message(role="user", text="go")], on_text=(lambda _: None) if streams else None)
    model = adapter(path, edge.url)
    found = await model.answer(request)
    assert found.id, found
    assert found.server == edge.url.removeprefix("http://"), found
    edge.play(Says("yes"))
    _, [turn] = await turns(Agent("a", model=model))  # whose Runner closes it
    assert (turn["id"], turn["server"], turn["model"]) == (found.id, found.server, found.model)


async def test_a_schema_that_is_refused_is_sent_in_words(edge: EdgeServer) -> None:
    """anthropic-sdk#1185, TanStack/ai#682: the compiled grammar is too large. The step says which form was used."""
    edge.play(Fails("bad_request", GRAMMAR), Says(BERN.model_dump_json()))
    answer, [turn] = await turns(Agent("a", output=Weather, model=own(edge, PATHS[0])))
    assert (answer, turn["form"]) == (BERN, "words")
    edge.play(Says(BERN.model_dump_json()))
    answer, [turn] = await turns(Agent("a", output=Weather, model=own(edge, PATHS[0])))
    assert (answer, turn["form"]) == (BERN, "native")


async def test_a_compatible_server_reads_the_names_of_the_type(edge: EdgeServer) -> None:
    """ollama#8162: a server that ignores the field for a schema never sees a name of the type."""
    edge.play(Says(BERN.model_dump_json()))
    answer, [turn] = await turns(Agent("a", output=Weather, model=adapter(PATHS[0], edge.url)))
    assert (answer, turn["form"]) == (BERN, "words")
    assert "degrees" in edge.received()[0].system


async def test_a_server_whose_grammar_forbids_calls_is_sent_no_schema_beside_tools(edge: EdgeServer) -> None:
    """ollama#13750, #8095: with both, the tool is never called and the answer is made up."""
    called: list[str] = []

    def thermometer(city: str) -> int:
        """Read the thermometer."""
        called.append(city)
        return 7

    def scene(received: Received) -> Scene:
        if received.schema is not None:
            return Says('{"city": "Bern", "degrees": 42}')
        if received.turns[-1].role == "tool":
            return Says(BERN.model_dump_json())
        return Says(calls=(ToolCall(id="c", name="thermometer", arguments='{"city": "Bern"}'),))

    edge.answer(scene)
    answer, _ = await turns(Agent("a", output=Weather, tools=[thermometer], model=chat(edge, "qwen3:8b")))
    assert (answer, called) == (BERN, ["Bern"])


async def test_an_answer_that_pauses_for_ever_is_asked_for_nine_times(edge: EdgeServer) -> None:
    """gsd-2#2869: its error is none that passes, so the node does not try again."""
    edge.always(Raw(body={"type": "message", "content": [], "stop_reason": "pause_turn"}))
    with pytest.raises(RunFailed, match="paused more than 8 times"):
        await turns(Agent("a", model=adapter(PATHS[0], edge.url)))
    assert len(edge.calls) == 9


async def test_a_call_that_the_server_could_not_read_is_made_again(edge: EdgeServer) -> None:
    """pydantic-ai#2759, smolagents#1119: Groq answers the model's broken call with an error."""
    failed = {"message": "Failed to call a function.", "code": "tool_use_failed"}
    broken = {"error": failed | {"failed_generation": "<function=ping={}</function>"}}
    ping = ToolCall(id="c", name="ping", arguments="null")
    edge.play(Raw(400, broken), Raw(400, broken), Says(calls=(ping,)), Says("done"))
    agent = Agent("a", tools=[tool(lambda: "pong", name="ping", description="Ping.")], model=chat(edge, "llama-3.3"))
    answer, recorded = await turns(agent)
    assert (answer, len(recorded)) == ("done", 4)
    told = [turn.text for turn in edge.received()[-1].turns if turn.role == "tool"]
    assert [text.partition(":")[0] for text in told] == ["Error", "Error", "pong"]
    assert "<function=ping" in told[0]


async def test_a_server_that_wants_all_thinking_back_gets_it(edge: EdgeServer) -> None:
    """EverMind-AI/Raven#297, LibreChat#13366: a turn with calls but without thinking carries the field too."""
    refusal = {"error": {"message": "The `reasoning_content` in the thinking mode must be passed back to the API."}}

    def scene(received: Received) -> Scene | Raw:
        sent: Any = received.body["messages"]
        calling = [each for each in sent if each.get("tool_calls")]
        if any("reasoning_content" not in each for each in calling):
            return Raw(400, refusal)
        if len(calling) == 2:
            return Says("done")
        call = {"id": f"c{len(calling)}", "type": "function", "function": {"name": "ping", "arguments": "{}"}}
        thought = {} if calling else {"reasoning_content": "first thoughts"}
        message = {"content": None, "tool_calls": [call], **thought}
        return Raw(body={"choices": [{"message": message, "finish_reason": "tool_calls"}]})

    edge.answer(scene)
    ping = tool(lambda: "pong", name="ping", description="Ping.")
    answer, _ = await turns(Agent("a", tools=[ping], model=chat(edge, "deepseek-v4-flash")))
    assert (answer, len(edge.calls)) == ("done", 3)


async def test_an_answer_of_reasoning_alone_is_asked_for_again(edge: EdgeServer) -> None:
    """openclaw#19582, openai-node#1567: its reasoning is not sent back, as nothing follows it."""
    edge.play(Says(thinking="sealed"), Says("now"))
    answer, _ = await turns(Agent("a", model=own(edge, PATHS[1])))
    assert answer == "now"


async def test_thinking_in_the_text_is_no_part_of_an_answer(edge: EdgeServer) -> None:
    """pydantic-ai and Ollama: a server that does not know the model leaves `<think>` in the text."""
    edge.play(Says("<think>\nhm\n</think>\n\nHello"))
    assert (await turns(Agent("a", model=chat(edge, "qwen3:8b"))))[0] == "Hello"
