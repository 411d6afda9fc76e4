"""Settings of calls, in the wire formats of Messages, Responses and Chat Completions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from graphengine.models import (
    Message,
    NotRecorded,
    OpenAIModel,
    RecordedModel,
    Request,
    Response,
    Router,
    ScriptedModel,
    Settings,
    ToolSpec,
)
from tests.conformance.model_scenes import Says
from tests.models.adapters import PATHS, adapter
from tests.models.edge_server import EdgeServer

ASK = Message(role="user", text="hi")
ADD = ToolSpec("add", "Adds.", {"type": "object", "properties": {}})


def request(settings: Settings, *messages: Message, **more: Any) -> Request:
    """Return a question with a tool."""
    return Request("writer", "be brief", messages or [ASK], tools=[ADD], settings=settings, **more)


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("path", PATHS)
async def test_headers_and_further_fields_are_passed_on(path: str, edge: EdgeServer, *, streamed: bool) -> None:
    """Objects are merged with those of the request, lists are appended, other values are added."""
    wanted = {"type": "object", "properties": {"score": {"type": "integer"}}, "required": ["score"]}
    search = {
        "type": "web_search",
        "name": "search",
        "function": {"name": "search", "parameters": {"type": "object", "properties": {}}},
    }
    merges = dict(zip(PATHS, ("output_config", "text", "response_format"), strict=True))[path]
    model = adapter(path, edge.url, native_schema=True)
    extra: dict[str, Any] = {merges: {"verbosity": "low"}, "tools": [search], "seed": 7}
    settings = Settings(headers={"x-project": "tides", "anthropic-beta": "new-2026"}, extra=extra)
    edge.play(Says('{"score": 1}'))
    await model.answer(
        request(settings, schema=wanted, output="Review", on_text=(lambda _: None) if streamed else None)
    )
    await model.close()
    body: Mapping[str, Any] = edge.received()[-1].body
    assert body["seed"] == 7
    assert body["tools"][-1] == search
    assert len(body["tools"]) == 2
    assert body[merges].keys() > {"verbosity"}
    headers = edge.calls[-1].headers
    assert (headers["x-project"], headers["anthropic-beta"]) == ("tides", "new-2026")


def test_a_record_has_what_is_set_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Values of headers are hidden, except versions; so are values of the environment's secrets."""
    monkeypatch.setenv("MY_TOKEN", "hunter2-hunter2")
    headers = {"authorization": "Bearer x", "anthropic-beta": "b-1", "openai-version": "2"}
    settings = Settings(thinking=False, temperature=0.0, stop=["a"], headers=headers, extra={"user": "hunter2-hunter2"})
    assert settings.recorded() == {
        "thinking": False,
        "temperature": 0.0,
        "stop": ["a"],
        "headers": {"authorization": "[secret]", "anthropic-beta": "b-1", "openai-version": "2"},
        "extra": {"user": "[secret MY_TOKEN]"},
    }
    assert "Bearer" not in repr(settings)
    assert Settings().recorded() == {}


def test_a_model_over_others_lacks_what_any_of_them_lacks(tmp_path: Any) -> None:
    """A Router names the model; a RecordedModel without a model lacks nothing."""
    router = Router([ScriptedModel([]), OpenAIModel("m", base_url="http://127.0.0.1:1/v1")])
    assert router.lacks(Settings(stop=["x"])).keys() == {"stop"}
    assert "for openai:m" in router.lacks(Settings(stop=["x"]))["stop"]
    assert RecordedModel(tmp_path / "x.json").lacks(Settings(stop=["x"])) == {}
    assert RecordedModel(tmp_path / "x.json", router).lacks(Settings(stop=["x"])).keys() == {"stop"}


async def test_a_recorded_request_is_compared_by_its_settings(tmp_path: Any) -> None:
    """Headers and caching are not compared: they do not change the answer."""
    file = tmp_path / "x.json"
    asked = request(Settings(stop=["x"], headers={"authorization": "Bearer one"}, cache=True))
    await RecordedModel(file, ScriptedModel([Response("ok")])).answer(asked)
    again = request(Settings(stop=["x"], headers={"authorization": "Bearer two"}))
    assert (await RecordedModel(file).answer(again)).content == "ok"
    assert "Bearer" not in file.read_text()
    with pytest.raises(NotRecorded):
        await RecordedModel(file).answer(request(Settings(stop=["y"])))
