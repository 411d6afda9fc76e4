"""Models and agents of pydantic-ai."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest

pytest.importorskip("pydantic_ai", reason="pydantic-ai is not installed")

from pydantic import BaseModel
from pydantic_ai import Agent as TheirAgent
from pydantic_ai import BinaryContent, ModelRetry, ToolReturn
from pydantic_ai.exceptions import ModelHTTPError, UserError
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ThinkingPart, ToolCallPart
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, DeltaToolCalls, FunctionModel
from pydantic_ai.models.openai import OpenAIChatModel as TheirChatModel
from pydantic_ai.models.test import TestModel as EchoModel
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.usage import RequestUsage

from graphengine import Agent, Limits, Media, Retry, Runner
from graphengine.agents import pydantic_ai_node
from graphengine.agents.live_events import AnswerReset, OfTurn, TextDelta, ToolCalled, ToolReturned
from graphengine.errors import DefinitionError, ModelUnavailable, RateLimited, UnknownModel
from graphengine.models import PydanticAIModel, Request, model_of
from graphengine.models.base import Model
from graphengine.models.pydantic_ai import translated
from graphengine.testing import FakeClock
from graphengine.testing.model_kit import question
from graphengine.testing.model_scenes import Service
from tests.agents.run_kits import add, failing, names, one, within
from tests.models.test_conformance import Ours, free_address


class TestConformance(Ours):
    """The suite of the protocol, with pydantic-ai's model of the Chat Completions API."""

    path = "/v1/chat/completions"

    def made(self, base_url: str, key: str, timeout_seconds: float) -> Model:
        """Return a model without retries of its own."""
        provider = OpenAIProvider(api_key=key, base_url=base_url)
        return PydanticAIModel(TheirChatModel("gpt-4o-mini", provider=provider), timeout_seconds=timeout_seconds)

    def make_model(self, service: Service, *, key: str, timeout_seconds: float) -> Model:
        """Return a model of the server."""
        return self.made(self.server.openai_url, key, timeout_seconds)

    def test_a_web_page_is_not_a_model(self) -> None:
        """It is an answer that cannot be read, as pydantic-ai does not report what a server has sent instead."""

    def make_lost_model(self, *, key: str) -> Model:
        """Return a model without a server."""
        return self.made(f"{free_address()}/v1", key, 5)


class Review(BaseModel):
    """An answer."""

    score: int


async def test_any_model_of_theirs_answers_our_agents() -> None:
    """With tools, a typed answer, thinking that goes back unchanged, usage, and live text."""
    seen: list[list[ModelMessage]] = []

    def speak(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        seen.append(list(messages))
        used = RequestUsage(input_tokens=10, output_tokens=5)
        if len(messages) == 1:
            assert [tool.name for tool in info.function_tools] == ["add"]
            return ModelResponse(
                [ThinkingPart("hm", signature="s"), ToolCallPart("add", {"first": 2, "second": 3})], usage=used
            )
        return ModelResponse([TextPart('{"score": 5}')], usage=used)

    model = PydanticAIModel(FunctionModel(speak))
    agent = Agent("critic", model, system="Be brief.", prompt="{task}", output=Review, tools=[add])
    answer = await agent.answer(task="2 + 3?")
    assert (answer.value, answer.usage["input_tokens"], answer.usage["output_tokens"]) == (Review(score=5), 20, 10)
    assert seen[1][1].parts[0] == ThinkingPart("hm", signature="s")
    (returned,) = seen[1][2].parts
    assert (returned.part_kind, getattr(returned, "content", "")) == ("tool-return", "5")
    assert "Be brief." in str(getattr(seen[0][0], "instructions", ""))
    pieces: list[str] = []
    echo = PydanticAIModel(EchoModel(custom_output_text="one two"))
    found = await echo.answer(Request("a", "", [question()], on_text=pieces.append))
    assert (found.content, "".join(pieces), echo.name) == ("one two", "one two", "pydantic-ai:test:test")


async def test_the_error_names_what_is_missing() -> None:
    """The provider's key, or the provider."""
    model = model_of("pydantic-ai:nobody:x")
    with pytest.raises(ModelUnavailable, match="pydantic-ai:nobody:x cannot be used"):
        await model.answer(Request("a", "", [question()]))
    with pytest.raises(DefinitionError, match="PydanticAIModel"):
        PydanticAIModel("")
    for error, kind in ((ModelHTTPError(429, "m"), RateLimited), (ModelHTTPError(404, "m"), UnknownModel)):
        assert type(translated(error, "m")) is kind
    assert "UserError" not in str(translated(UserError("no"), "m"))


class Counts:
    """Their agent, and how often its model and its tool were called."""

    def __init__(self, *, fails_once: bool = False) -> None:
        self.models = self.tools = 0
        self.fails = fails_once
        self.agent = TheirAgent(FunctionModel(self.speak), name="theirs", deps_type=str)

        @self.agent.tool_plain
        def look(word: str) -> dict[str, str]:
            self.tools += 1
            if word == "again":
                raise ModelRetry("another word, please")
            return {"found": word}

    def speak(self, messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        """Call the tool twice, then fail once if wanted, then answer."""
        self.models += 1
        turns = sum(isinstance(message, ModelResponse) for message in messages)
        used = RequestUsage(input_tokens=100, output_tokens=1)
        if turns < 2:
            return ModelResponse([ToolCallPart("look", {"word": ["again", "tides"][turns]}, f"c{turns}")], usage=used)
        if self.fails:
            self.fails = False
            raise ModelHTTPError(503, "m", "later")
        return ModelResponse([TextPart(f"about {messages[-1].parts[0].content}")], usage=used)  # type: ignore[union-attr]


def ask(task: str) -> str:
    """Return the prompt."""
    return f"Write about {task}."


async def test_their_agents_are_nodes_whose_work_is_recorded() -> None:
    """A failed call is made again by the node, and a resume repeats neither model nor tool calls; limits apply."""
    theirs = Counts(fails_once=True)
    node = pydantic_ai_node(theirs.agent, ask, deps=lambda other: other)
    async with Runner() as runner:
        run = runner.start(one(node, retry=Retry(attempts=1)), {"task": "tides"}, run_id="r")
        failed = await failing(run)
        assert (theirs.models, theirs.tools, failed.usage.calls) == (3, 2, 2)
        done = await within(runner.resume(one(node), "r"))
        recorded = await names(runner, "r")
    assert done.state.draft == "about {'found': 'tides'}"
    assert (theirs.models, theirs.tools) == (4, 2)
    assert (recorded.count("turn"), recorded.count("tool look")) == (3, 2)
    assert done.usage.input_tokens == 300
    async with Runner() as runner:
        limited = await within(runner.start(one(pydantic_ai_node(Counts().agent, ask)), limits=Limits(tokens=150)))
    assert limited.status == "stopped"
    with pytest.raises(DefinitionError, match="pydantic_ai_node"):
        pydantic_ai_node(theirs.agent, "Write.")  # type: ignore[arg-type]


async def test_watchers_see_what_their_agents_do() -> None:
    """Text, tool calls and results are live events, and a failed call takes its text back; nothing is shown twice."""
    calls = 0

    async def stream(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[str | DeltaToolCalls]:
        nonlocal calls
        calls += 1
        if calls == 1:
            yield {0: DeltaToolCall("look", '{"word": "tides"}', tool_call_id="c1")}
        else:
            yield "about "
            if calls == 2:
                raise ModelHTTPError(503, "m", "later")
            yield "tides"

    agent = TheirAgent(FunctionModel(stream_function=stream), name="theirs")
    agent.tool_plain(look)
    async with Runner(clock=FakeClock()) as runner:
        run = runner.start(one(pydantic_ai_node(agent, ask), retry=Retry(attempts=2, initial_seconds=0.001)))
        found = [event async for event in run.events() if isinstance(event, OfTurn)]
        assert (await within(run)).state.draft == "about tides"
    assert [type(event) for event in found] == [
        ToolCalled, ToolReturned, TextDelta, AnswerReset, TextDelta, TextDelta
    ]  # fmt: skip
    assert [(event.turn, event.attempt) for event in found] == [(1, 1), (1, 1), (2, 1), (2, 1), (2, 2), (2, 2)]
    assert isinstance(found[1], ToolReturned)
    assert (found[1].text, found[1].agent) == ("seen tides", "theirs")


def look(word: str) -> str:
    """Look."""
    return f"seen {word}"


PICTURE = BinaryContent(b"\x89PNG", media_type="image/png")


@pytest.mark.parametrize(
    "result",
    [
        ToolReturn("seen", content=["Look:", PICTURE], metadata={"for": "us"}),
        PICTURE,
        ["a", PICTURE],
        {"n": 1},
    ],
    ids=["return", "picture", "list", "json"],
)
async def test_results_of_their_tools_reach_the_model_as_without_a_run(result: object) -> None:
    """With media, and without what is not for the model."""
    seen: list[list[object]] = []

    def speak(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        if len(messages) == 1:
            return ModelResponse([ToolCallPart("show", {}, "c1")])
        seen.append([getattr(part, "content", None) for part in messages[-1].parts])
        return ModelResponse([TextPart("done")])

    agent = TheirAgent(FunctionModel(speak))

    @agent.tool_plain
    def show() -> object:
        return result

    await agent.run("Look.")
    async with Runner() as runner:
        await within(runner.start(one(pydantic_ai_node(agent, ask))))
    assert repr(seen[0]).replace("BinaryContent", "BinaryImage") == re.sub(r", _identifier='\w+'", "", repr(seen[1]))


async def test_a_prompt_may_be_awaited_and_show_media() -> None:
    """A list of texts and media; what is neither is an error, not its repr."""
    seen: list[ModelMessage] = []

    def speak(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        seen.extend(messages)
        return ModelResponse([TextPart("a cat")])

    async def shows(task: str) -> list[str | Media]:
        return [f"Describe {task}:", Media(data=b"%PDF-1")]

    agent = TheirAgent(FunctionModel(speak))
    async with Runner() as runner:
        assert (await within(runner.start(one(pydantic_ai_node(agent, shows))))).state.draft == "a cat"
        wrong = await failing(runner.start(one(pydantic_ai_node(agent, lambda: {"a": 1}))))
    (part,) = seen[0].parts
    text, shown = part.content  # type: ignore[misc,union-attr]
    assert (text, shown.data, shown.media_type) == ("Describe rhyme:", b"%PDF-1", "application/pdf")  # type: ignore[union-attr]
    assert "a list of texts and Media" in str(wrong.error)
