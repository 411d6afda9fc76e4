"""Models and agents of pydantic-ai."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from pydantic import BaseModel

from graphengine import Agent, Limits, Media, Retry, Runner
from graphengine.agents import pydantic_ai_node
from graphengine.agents.live_events import AnswerReset, OfTurn, TextDelta, ToolCalled, ToolReturned
from graphengine.errors import DefinitionError
from graphengine.models import PydanticAIModel, Request, model_of
from graphengine.models.base import Model
from graphengine.models.errors import AnswerTorn, ModelUnavailable, RateLimited, UnknownModel
from graphengine.models.pydantic_ai import translated
from graphengine.testing import FakeClock
from tests.agents.run_kits import add, failing, names, one, within
from tests.conformance.model_kit import question
from tests.conformance.model_scenes import Service
from tests.kit.extras import skip_without
from tests.models.test_conformance import Ours, free_address

if TYPE_CHECKING:
    from tests.models import pydantic_ai_names as theirs

skip_without("pydantic_ai")


@pytest.fixture(autouse=True, scope="module")
def _theirs() -> None:
    """Load pydantic-ai when the first of these tests runs: it takes 0.6 s, of each process that collects them."""
    global theirs  # noqa: PLW0603
    from tests.models import pydantic_ai_names as theirs  # noqa: PLC0415


class TestConformance(Ours):
    """The suite of the protocol, with pydantic-ai's model of the Chat Completions API."""

    path = "/v1/chat/completions"
    other_errors: ClassVar = {"a web page": (AnswerTorn,)}  # pydantic-ai does not report what a server has sent instead

    def made(self, base_url: str, key: str, timeout_seconds: float) -> Model:
        """Return a model without retries of its own."""
        provider = theirs.OpenAIProvider(api_key=key, base_url=base_url)
        return PydanticAIModel(
            theirs.OpenAIChatModel("gpt-4o-mini", provider=provider), timeout_seconds=timeout_seconds
        )

    def make_model(self, service: Service, *, key: str, timeout_seconds: float) -> Model:
        """Return a model of the server."""
        return self.made(self.server.openai_url, key, timeout_seconds)

    def make_lost_model(self, *, key: str) -> Model:
        """Return a model without a server."""
        return self.made(f"{free_address()}/v1", key, 5)


class Review(BaseModel):
    """An answer."""

    score: int


async def test_any_model_of_theirs_answers_our_agents() -> None:
    """Their models answer with tools, a typed answer, thinking that goes back unchanged, usage, and live text."""
    seen: list[list[theirs.ModelMessage]] = []

    def speak(messages: list[theirs.ModelMessage], info: theirs.AgentInfo) -> theirs.ModelResponse:
        seen.append(list(messages))
        used = theirs.RequestUsage(input_tokens=10, output_tokens=5)
        if len(messages) == 1:
            assert [tool.name for tool in info.function_tools] == ["add"]
            return theirs.ModelResponse(
                [theirs.ThinkingPart("hm", signature="s"), theirs.ToolCallPart("add", {"first": 2, "second": 3})],
                usage=used,
            )
        return theirs.ModelResponse([theirs.TextPart('{"score": 5}')], usage=used)

    model = PydanticAIModel(theirs.FunctionModel(speak))
    agent = Agent("critic", model=model, system="Be brief.", prompt="{task}", output=Review, tools=[add])
    answer = await agent.answer(task="2 + 3?")
    assert (answer.value, answer.usage["input_tokens"], answer.usage["output_tokens"]) == (Review(score=5), 20, 10)
    assert seen[1][1].parts[0] == theirs.ThinkingPart("hm", signature="s")
    (returned,) = seen[1][2].parts
    assert (returned.part_kind, getattr(returned, "content", "")) == ("tool-return", "5")
    assert "Be brief." in str(getattr(seen[0][0], "instructions", ""))
    pieces: list[str] = []
    echo = PydanticAIModel(theirs.EchoModel(custom_output_text="one two"))
    found = await echo.answer(Request("a", "", [question()], on_text=pieces.append))
    assert (found.content, "".join(pieces), echo.name) == ("one two", "one two", "pydantic-ai:test:test")


async def test_the_error_names_what_is_missing() -> None:
    """The error names the missing provider, or the provider's missing key."""
    model = model_of("pydantic-ai:nobody:x")
    with pytest.raises(ModelUnavailable, match="the model 'pydantic-ai:nobody:x' cannot be used"):
        await model.answer(Request("a", "", [question()]))
    with pytest.raises(DefinitionError, match="PydanticAIModel"):
        PydanticAIModel("")
    for error, kind in (
        (theirs.ModelHTTPError(429, "m"), RateLimited),
        (theirs.ModelHTTPError(404, "m"), UnknownModel),
    ):
        assert type(translated(error, "m")) is kind
    assert "UserError" not in str(translated(theirs.UserError("no"), "m"))


class Counts:
    """Their agent, and how often its model and its tool were called."""

    def __init__(self, *, fails_once: bool = False) -> None:
        self.models = self.tools = 0
        self.fails = fails_once
        self.agent = theirs.Agent(theirs.FunctionModel(self.speak), name="theirs", deps_type=str)

        @self.agent.tool_plain
        def look(word: str) -> dict[str, str]:
            self.tools += 1
            if word == "again":
                raise theirs.ModelRetry("another word, please")
            return {"found": word}

    def speak(self, messages: list[theirs.ModelMessage], info: theirs.AgentInfo) -> theirs.ModelResponse:
        """Call the tool twice, then fail once if wanted, then answer."""
        self.models += 1
        turns = sum(isinstance(message, theirs.ModelResponse) for message in messages)
        used = theirs.RequestUsage(input_tokens=100, output_tokens=1)
        if turns < 2:
            return theirs.ModelResponse(
                [theirs.ToolCallPart("look", {"word": ["again", "tides"][turns]}, f"c{turns}")], usage=used
            )
        if self.fails:
            self.fails = False
            raise theirs.ModelHTTPError(503, "m", "later")
        return theirs.ModelResponse([theirs.TextPart(f"about {messages[-1].parts[0].content}")], usage=used)  # type: ignore[union-attr]


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
        done = await within(runner.resume("r", one(node)))
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


async def test_an_answer_that_their_agent_refused_is_asked_for_again() -> None:
    """The next attempt keeps the turns before it and the results of tools."""
    seen: list[int] = []

    def speak(messages: list[theirs.ModelMessage], info: theirs.AgentInfo) -> theirs.ModelResponse:
        seen.append(len(messages))
        used = theirs.RequestUsage(input_tokens=1, output_tokens=1)
        if len(messages) == 1:
            return theirs.ModelResponse([theirs.ToolCallPart("add", {"first": 1, "second": 2}, "c")], usage=used)
        text = "three" if len(seen) > 2 else "wrong"
        return theirs.ModelResponse([theirs.TextPart(text)], usage=used)

    agent = theirs.Agent(theirs.FunctionModel(speak), name="theirs", tools=[add], retries=0)

    @agent.output_validator
    def three(answer: str) -> str:
        if answer != "three":
            raise theirs.ModelRetry("three, please")
        return answer

    graph = one(pydantic_ai_node(agent, ask))
    async with Runner() as runner:
        run = runner.start(graph)
        await failing(run)
        done = await within(runner.resume(run.id, graph))
        recorded = await names(runner, run.id)
    assert (done.state.draft, seen, recorded.count("tool add")) == ("three", [1, 3, 3], 1)


async def test_watchers_see_what_their_agents_do() -> None:
    """Text, tool calls and results are live events, and a failed call takes its text back; nothing is shown twice."""
    calls = 0

    async def stream(
        messages: list[theirs.ModelMessage], info: theirs.AgentInfo
    ) -> AsyncIterator[str | theirs.DeltaToolCalls]:
        nonlocal calls
        calls += 1
        if calls == 1:
            yield {0: theirs.DeltaToolCall("look", '{"word": "tides"}', tool_call_id="c1")}
        else:
            yield "about "
            if calls == 2:
                raise theirs.ModelHTTPError(503, "m", "later")
            yield "tides"

    agent = theirs.Agent(theirs.FunctionModel(stream_function=stream), name="theirs")
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


def picture() -> theirs.BinaryContent:
    """Return a picture of theirs."""
    return theirs.BinaryContent(b"\x89PNG", media_type="image/png")


@pytest.mark.parametrize(
    "made",
    [
        lambda: theirs.ToolReturn("seen", content=["Look:", picture()], metadata={"for": "us"}),
        picture,
        lambda: ["a", picture()],
        lambda: {"n": 1},
    ],
    ids=["return", "picture", "list", "json"],
)
async def test_results_of_their_tools_reach_the_model_as_without_a_run(made: Callable[[], object]) -> None:
    """Results of their tools reach the model as without a run, with media, and without what is not for the model."""
    seen: list[list[object]] = []
    result = made()

    def speak(messages: list[theirs.ModelMessage], info: theirs.AgentInfo) -> theirs.ModelResponse:
        if len(messages) == 1:
            return theirs.ModelResponse([theirs.ToolCallPart("show", {}, "c1")])
        seen.append([getattr(part, "content", None) for part in messages[-1].parts])
        return theirs.ModelResponse([theirs.TextPart("done")])

    agent = theirs.Agent(theirs.FunctionModel(speak))

    @agent.tool_plain
    def show() -> object:
        return result

    await agent.run("Look.")
    async with Runner() as runner:
        await within(runner.start(one(pydantic_ai_node(agent, ask))))
    assert repr(seen[0]).replace("BinaryContent", "BinaryImage") == re.sub(r", _identifier='\w+'", "", repr(seen[1]))


async def test_a_prompt_may_be_awaited_and_show_media() -> None:
    """An awaited prompt may give texts and media in a list; anything else is an error, not its repr."""
    seen: list[theirs.ModelMessage] = []

    def speak(messages: list[theirs.ModelMessage], info: theirs.AgentInfo) -> theirs.ModelResponse:
        seen.extend(messages)
        return theirs.ModelResponse([theirs.TextPart("a cat")])

    async def shows(task: str) -> list[str | Media]:
        return [f"Describe {task}:", Media(data=b"%PDF-1")]

    agent = theirs.Agent(theirs.FunctionModel(speak))
    async with Runner() as runner:
        assert (await within(runner.start(one(pydantic_ai_node(agent, shows))))).state.draft == "a cat"
        wrong = await failing(runner.start(one(pydantic_ai_node(agent, lambda: {"a": 1}))))
    (part,) = seen[0].parts
    text, shown = part.content  # type: ignore[misc,union-attr]
    assert (text, shown.data, shown.media_type) == ("Describe rhyme:", b"%PDF-1", "application/pdf")  # type: ignore[union-attr]
    assert wrong.error is not None
    assert "a list of texts and Media" in wrong.error.repair


@pytest.mark.parametrize(
    ("more", "cost_usd"),
    [
        ({}, 0.15),
        ({"provider_url": "https://api.openai.com/v1/"}, 0.15),
        ({"provider_url": "https://models.example/v1/"}, None),
        ({"provider_details": {"service_tier": "default"}}, 0.15),
        ({"provider_details": {"service_tier": "scale"}}, None),
        ({"audio": 5}, None),
    ],
)
async def test_a_price_is_known_only_if_the_tables_cover_the_call(more: dict[str, Any], cost_usd: float | None) -> None:
    """At another address, in another class of service, and for sound, the listed price does not apply."""
    usage = theirs.RequestUsage(input_tokens=1_000_000, input_audio_tokens=more.pop("audio", 0))

    def answer(*_: object) -> theirs.ModelResponse:
        return theirs.ModelResponse(
            parts=[theirs.TextPart("yes")], usage=usage, model_name="gpt-4o-mini", provider_name="openai", **more
        )

    model = PydanticAIModel(theirs.FunctionModel(answer, model_name="gpt-4o-mini"))
    response = await model.answer(Request("a", "", [question()]))
    assert response.cost_usd == cost_usd
