"""Tools that the provider runs: what is sent and read, what they cost, who has them, and the citations of answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest
from pydantic import BaseModel

from graphengine import (
    Agent,
    Cited,
    CompileError,
    Router,
    RunFailed,
    Runner,
    ScriptedModel,
    Settings,
    code_execution,
    tool,
    web_fetch,
    web_search,
)
from graphengine.errors import DefinitionError
from graphengine.models import (
    AnthropicModel,
    BedrockModel,
    Citation,
    OpenAIChatModel,
    OpenAIModel,
    Price,
    RecordedModel,
    Response,
    VertexModel,
    cited,
)
from graphengine.models.errors import ModelError
from graphengine.models.parts import HostedCall, HostedResult, Text
from tests.agents.run_kits import Work, add, one, within
from tests.kit.runs import alone
from tests.models.acts import Raw
from tests.models.edge_server import EdgeServer

URL: Final = "https://tides.example/a"
USAGE: Final = {"input_tokens": 1000, "output_tokens": 100}
SEARCH: Final = web_search(allowed_domains=["tides.example"], location={"country": "CH"})
TOOLS: Final[list[Any]] = [SEARCH, code_execution(), add]


def block(kind: str, **more: Any) -> dict[str, Any]:
    """Return a block of Messages."""
    return {"type": kind, **more}


SEARCHED: Final = [
    block("text", text="I search. "),
    block("server_tool_use", id="s1", name="web_search", input={"query": "tides"}),
    block(
        "web_search_tool_result",
        tool_use_id="s1",
        content=[block("web_search_result", url=URL, title="Tides", encrypted_content="…")],
    ),
]
CITATION: Final = block("web_search_result_location", url=URL, title="Tides", cited_text="They rise.")
RAN: Final = [
    block("server_tool_use", id="c1", name="bash_code_execution", input={"command": "echo 5"}),
    block(
        "bash_code_execution_tool_result",
        tool_use_id="c1",
        content=block("bash_code_execution_result", stdout="5", stderr="", return_code=0, content=[]),
    ),
    block("web_fetch_tool_result", tool_use_id="f1", content={"error_code": "url_not_allowed"}),
    block("text", text="Tides rise.", citations=[CITATION]),
]


@pytest.mark.usefixtures("own_hosts")
async def test_messages(edge: EdgeServer) -> None:
    """Anthropic's search, code and fetch are sent, continued in one container after a pause, priced, and sent back."""
    box = {"id": "box", "expires_at": "2999-01-01T00:00:00Z"}
    usage = USAGE | {"server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 0}}
    pause = block("message", content=SEARCHED, stop_reason="pause_turn", usage=usage, container=box)
    end = block("message", content=RAN, stop_reason="end_turn", usage=usage, container=box)
    edge.play(Raw(body=pause), Raw(body=end), Raw(body=end | {"content": [block("text", text="Yes.")]}))
    own = edge.url.replace("127.0.0.1", "api.anthropic.com")
    model = AnthropicModel("claude-sonnet-5-5", api_key="k", base_url=own)
    agent = Agent(
        "a", model=model, prompt="{task}", tools=[*TOOLS, web_fetch(max_uses=2)], output=Cited, memory="before"
    )
    answer = await agent.answer(task="x", before=[])
    plain = await AnthropicModel("claude-sonnet-5-5", price=Price(3, 15, search_usd=10)).price_of(2000, 200)
    await agent.answer(task="and?", before=answer.messages)
    await model.close()

    first, second, third = (call.body for call in edge.calls)
    where = {"type": "approximate", "country": "CH"}
    assert first["tools"][1:] == [
        {
            "type": "web_search_20250305",
            "name": "web_search",
            "allowed_domains": ["tides.example"],
            "user_location": where,
        },
        {"type": "code_execution_20250825", "name": "code_execution"},
        {"type": "web_fetch_20250910", "name": "web_fetch", "max_uses": 2, "citations": {"enabled": True}},
    ]
    assert "container" not in first
    assert (second["container"], second["messages"][-1]["content"]) == ("box", SEARCHED)
    assert (third["container"], third["messages"][1]["content"]) == ("box", [*SEARCHED, *RAN])

    assert plain is not None
    assert answer.usage["cost_usd"] == pytest.approx(4 * 0.01 + plain, rel=0.5)
    assert (answer.usage["cost_usd"] or 0) > 0.04
    source = Citation(text="They rise.", title="Tides", url=URL, start=10, end=21, native=CITATION)
    assert answer.value.text == "I search. Tides rise."
    assert answer.citations == (source,)
    assert answer.value.citations == (source.model_copy(update={"native": {}}),)
    assert answer.messages[-1].parts == (
        Text("I search. "),
        HostedCall("s1", "web_search", {"query": "tides"}),
        HostedResult("s1", "", ((URL, "Tides"),), native=SEARCHED[2]),
        HostedCall("c1", "bash_code_execution", {"command": "echo 5"}),
        HostedResult("c1", "5", native=RAN[1]),
        HostedResult("f1", "url_not_allowed", is_error=True, native=RAN[2]),
        Text("Tides rise."),
        source,
    )


async def test_responses(edge: EdgeServer) -> None:
    """OpenAI's tools are sent, priced and sent back; only searches cost, not the pages that are opened."""
    found: dict[str, Any] = {"type": "web_search_call", "id": "ws", "status": "completed"}
    search: Any = found | {"action": {"type": "search", "query": "tides", "sources": [{"type": "url", "url": URL}]}}
    opened = found | {"action": {"type": "open_page", "url": URL}}
    cite: dict[str, Any] = {"type": "url_citation", "url": URL, "title": "Tides", "start_index": 6, "end_index": 11}
    parts: list[dict[str, Any]] = [
        {"type": "output_text", "text": "So: ", "annotations": []},
        {"type": "output_text", "text": "Tides rise.", "annotations": [cite]},
    ]
    said = {"type": "message", "role": "assistant", "content": parts}
    code: dict[str, Any] = {
        "type": "code_interpreter_call",
        "id": "ci",
        "status": "completed",
        "code": "2+3",
        "container_id": "b",
    }
    code |= {"outputs": [{"type": "logs", "logs": "5"}]}
    usage = {"input_tokens": 1000, "output_tokens": 100}
    first: list[Any] = [search, opened, said]
    edge.play(
        Raw(body={"status": "completed", "usage": usage, "output": [*first]}),
        Raw(body={"status": "completed", "usage": usage, "output": [code, said]}),
    )
    price = Price(1, 1, search_usd=10)
    model = OpenAIModel("gpt-6", base_url=edge.openai_url, price=price)
    settings = Settings(tool_choice="code_execution")
    agent = Agent("a", model=model, prompt="{task}", tools=TOOLS, memory="before", settings=settings)
    answer = await agent.answer(task="x", before=[])
    second = await agent.answer(task="y", before=answer.messages)
    await model.close()

    sent = edge.calls[0].body
    assert sent["tools"][1:] == [
        {
            "type": "web_search",
            "filters": {"allowed_domains": ["tides.example"]},
            "user_location": {"type": "approximate", "country": "CH"},
        },
        {"type": "code_interpreter", "container": {"type": "auto"}},
    ]
    assert sent["include"] == ["web_search_call.action.sources", "code_interpreter_call.outputs"]
    assert sent["tool_choice"] == {"type": "code_interpreter"}
    assert edge.calls[1].body["input"][1:4] == first
    assert answer.usage["cost_usd"] == pytest.approx(1100 / 1e6 + 0.01)
    assert second.usage["cost_usd"] == pytest.approx(1100 / 1e6)  # a price that is given counts all of a call
    assert answer.citations == (Citation(title="Tides", url=URL, start=10, end=15, native=cite),)
    assert answer.messages[-1].parts[:2] == (
        HostedCall("ws", "web_search", {"type": "search", "query": "tides"}),
        HostedResult("ws", "", ((URL, ""),), native=search),
    )
    assert second.messages[-1].parts[:2] == (
        HostedCall("ci", "code_execution", {"code": "2+3"}),
        HostedResult("ci", "5", native=code),
    )


async def test_chat_completions(edge: EdgeServer) -> None:
    """Chat Completions has a search, of the models that are made for it."""
    note = {"type": "url_citation", "url_citation": {"url": URL, "title": "T", "start_index": 0, "end_index": 5}}
    message = {"content": "Tides rise.", "annotations": [note]}
    edge.play(Raw(body={"choices": [{"index": 0, "finish_reason": "stop", "message": message}]}))
    model = OpenAIChatModel("gpt-4o-search-preview", base_url=edge.openai_url)
    answer = await Agent("a", model=model, prompt="{task}", tools=[web_search(location={"city": "Bern"})]).answer(
        task="x"
    )
    await model.close()
    where = {"type": "approximate", "approximate": {"city": "Bern"}}
    assert edge.calls[0].body["web_search_options"] == {"user_location": where}
    assert [(each.url, each.start, each.end) for each in answer.citations] == [(URL, 0, 5)]


class Plain:
    """A model without hosted tools."""

    name = "plain"

    async def answer(self, request: Any) -> Response:
        """Return an answer."""
        raise NotImplementedError


@pytest.mark.parametrize(
    ("model", "given", "message", "repair"),
    [
        ("openai:gpt-6", web_fetch(), "openai:gpt-6 does not run web_fetch()", "anthropic:claude-sonnet-5-5 has it"),
        ("openai:gpt-4-turbo", web_search(), "does not run web_search()", "openai:gpt-5-mini have it"),
        ("openai:gpt-6", web_search(max_uses=2), "web_search(max_uses=2)", "leave out max_uses: OpenAI has no"),
        ("openai-chat:gpt-5", code_execution(), "code_execution()", "gpt-4o-search-preview"),
        ("openai-chat:qwen@http://127.0.0.1:1/v1", web_search(), "web_search()", "its server's own form"),
        ("anthropic:claude-3-haiku-20240307", web_search(), "claude-3-haiku", "anthropic:claude-sonnet-5-5"),
        (BedrockModel("claude-x", region="r"), web_search(), "bedrock:claude-x does not run", "anthropic:"),
        (VertexModel("claude-x", project="p", region="r"), code_execution(), "vertex:claude-x does not", "anthropic:"),
        (VertexModel("claude-x", project="p", region="r"), web_fetch(), "vertex:claude-x does not", "anthropic:"),
        (Plain(), code_execution(), "plain does not run", "have it"),
        (Router(["anthropic:claude-sonnet-5-5", "openai:gpt-6"]), web_fetch(), "router", "openai:gpt-6 does not"),
    ],
    ids=lambda each: getattr(each, "name", str(each))[:24],
)
def test_a_model_without_the_tool(model: Any, given: Any, message: str, repair: str) -> None:
    """The compiler names the tool, and models that have it."""
    with pytest.raises(CompileError) as caught:
        one(Agent("writer", model=model, prompt="{task}", tools=[given])).compile()
    (problem,) = (problem for problem in caught.value.problems if problem.code == "bad_tool")
    assert message in problem.message
    assert repair in problem.repair


async def test_a_replaced_model_is_checked_at_the_call() -> None:
    """A replaced model, also a Runner's, is checked at the call; an offline agent answers by rules."""
    agent = Agent("writer", prompt="{task}", tools=[web_search()], by_rules=lambda task: task)
    async with Runner() as runner:
        assert (await within(runner.start(one(agent), Work()))).state.draft == "rhyme"
    async with Runner(models={"*": Plain()}) as runner:
        run = runner.start(one(agent), Work())
        with pytest.raises(RunFailed, match=r"plain does not run web_search\(\)"):
            await within(run)


def test_invalid_arguments() -> None:
    """They are refused where they are written."""
    for make, what in (
        (lambda: web_search(max_uses=0), "max_uses=0"),
        (lambda: web_search(location={"planet": "Mars"}), "location="),
        (lambda: web_search(allowed_domains="a.example"), "allowed_domains='a.example'"),
        (lambda: web_fetch(allowed_domains=["a"], blocked_domains=["b"]), "give one of them"),
        (lambda: Agent("a", tools=[web_search(), web_search()]), "two tools are called web_search"),
        (lambda: Agent("a", tools=[web_search(), tool(add, name="web_search")]), "rename the function"),
    ):
        with pytest.raises(DefinitionError) as caught:
            make()
        assert what in str(caught.value)


class Brief(BaseModel):
    """A state with an answer and its sources."""

    task: str = "tides"
    found: Cited | None = None


async def test_citations_in_a_run(tmp_path: Path) -> None:
    """A scripted answer with sources, recorded once and replayed: in the state, the result and the log."""
    script = ScriptedModel([cited("Tides ", ("rise.", {"url": URL, "quote": "They rise."}), searches=["tides"])])
    agent = Agent("a", prompt="{task}", tools=[web_search()], output=Cited)
    graph = alone(Brief, agent, "found", name="brief", node="find", result="found")
    file = tmp_path / "answers.json"
    for model in (RecordedModel(file, model=script), RecordedModel(file)):
        async with Runner(models={"a": model}) as runner:
            found = (await runner.start(graph).result()).output
        assert isinstance(found, Cited)
        assert str(found) == "Tides rise."
        assert found.citations == (Citation(text="They rise.", url=URL, start=6, end=11),)
    assert '"name": "web_search"' in file.read_text()
    with pytest.raises(ModelError, match="no answer left"):
        await agent.but(tools=[], model=RecordedModel(file)).run(task="tides")
