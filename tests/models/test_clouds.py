"""Models on Bedrock, Vertex AI and Azure, against a local server."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.util import find_spec
from typing import Any

import pytest

from graphengine import Settings
from graphengine.models import AzureModel, BedrockModel, Request, VertexModel, model_of
from graphengine.models.batches import lacks_batches
from graphengine.models.errors import ModelUnavailable, RateLimited
from tests.conformance.model_kit import question

MESSAGE: dict[str, Any] = {
    "type": "message", "role": "assistant", "model": "claude", "stop_reason": "end_turn",
    "content": [{"type": "text", "text": "tides"}], "usage": {"input_tokens": 3, "output_tokens": 2},
}  # fmt: skip
EVENTS: list[dict[str, Any]] = [
    {"type": "message_start", "message": {**MESSAGE, "content": [], "stop_reason": None}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "tides"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
    {"type": "message_stop"},
]
COMPLETION: dict[str, Any] = {
    "model": "gpt-5-mini", "usage": {"prompt_tokens": 3, "completion_tokens": 2},
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "tides"}}],
}  # fmt: skip


BEARER = "token-7"
VERTEX = "/v1/projects/p/locations/r/publishers/anthropic/models/claude-x@1"
MISSING = {"bedrock:m": "AWS_REGION", "vertex:m": "PROJECT_ID", "azure:m": "AZURE_OPENAI_ENDPOINT"}


class Cloud:
    """A server that answers every call, or refuses it."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        self.refuses = False
        cloud = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                """Write nothing."""

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                cloud.calls.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                kind = "application/json"
                if cloud.refuses:
                    status, sent = 429, json.dumps({"error": {"message": "slow down"}}).encode()
                elif "/openai/" in self.path:
                    status, sent = 200, json.dumps(COMPLETION).encode()
                elif body.get("stream"):
                    lines = (f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in EVENTS)
                    status, kind, sent = 200, "text/event-stream", "".join(lines).encode()
                else:
                    status, sent = 200, json.dumps(MESSAGE).encode()
                self.send_response(status)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(sent)))
                self.end_headers()
                self.wfile.write(sent)

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    """Return a running server."""
    made = Cloud()
    thread = threading.Thread(target=made.server.serve_forever)
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


@pytest.mark.parametrize("streams", [False, True])
async def test_each_cloud_is_called_by_its_own_client(cloud: Cloud, *, streams: bool) -> None:
    """Each cloud is called at its own path with its own credentials; refusals are those of the other adapters."""
    models: list[tuple[Any, str, str]] = [
        (
            VertexModel("claude-x@1", project="p", region="r", access_token=BEARER, base_url=f"{cloud.url}/v1"),
            f"{VERTEX}:{'streamRawPredict' if streams else 'rawPredict'}",
            BEARER,
        ),
        (
            AzureModel("mini", api_key="key-of-azure", base_url=cloud.url),
            "/openai/deployments/mini/chat/completions?api-version=2025-04-01-preview",
            "key-of-azure",
        ),
    ]
    if find_spec("botocore") and not streams:
        bedrock = BedrockModel("claude-x", region="r", api_key="key-of-aws", base_url=cloud.url)
        models.append((bedrock, "/model/claude-x/invoke", "key-of-aws"))
    for model, path, key in models:
        pieces: list[str] = []
        request = Request("a", "", [question()], on_text=pieces.append if streams else None)
        answer = await model.answer(request)
        called, headers, _ = cloud.calls[-1]
        assert (answer.content, answer.input_tokens, answer.output_tokens) == ("tides", 3, 2)
        assert called == path
        assert key in headers.get("authorization", "") + headers.get("api-key", "")
        assert streams is False or isinstance(model, AzureModel) or pieces == ["tides"]
        cloud.refuses = True
        with pytest.raises(RateLimited, match="slow down") as refused:
            await model.answer(request)
        assert key not in str(refused.value)
        cloud.refuses = False
        await model.close()


def test_what_a_cloud_does_not_have_is_refused() -> None:
    """Batches and classes of service; `values/hosted.txt` has the tools."""
    bedrock, vertex = BedrockModel("claude-x", region="r"), VertexModel("claude-x", project="p", region="r")
    for model in (bedrock, vertex):
        assert lacks_batches(model)
        assert set(model.lacks(Settings(service_tier="auto", effort="low"))) == {"service_tier"}


@pytest.mark.real_models
async def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing setting or extra is named."""
    for name in (
        "AWS_REGION", "AWS_DEFAULT_REGION", "ANTHROPIC_VERTEX_PROJECT_ID", "GOOGLE_CLOUD_PROJECT",
        "AZURE_OPENAI_ENDPOINT",
    ):  # fmt: skip
        monkeypatch.delenv(name, raising=False)
    for name, missing in MISSING.items():
        with pytest.raises(ModelUnavailable, match=missing):
            model_of(name)
    monkeypatch.setenv("AWS_REGION", "r")
    assert model_of("bedrock:m").name == "bedrock:m"
    vertex = VertexModel("m@1", project="p", region="global")
    assert (vertex.name, hasattr(vertex, "batches")) == ("vertex:m@1", False)
    for model, module, extra in ((model_of("bedrock:m"), "botocore", "bedrock"), (vertex, "google.auth", "vertex")):
        try:
            installed = find_spec(module)
        except ModuleNotFoundError:
            installed = None
        if installed is None:
            with pytest.raises(ModelUnavailable) as caught:
                await model.answer(Request("a", "", [question()]))
            assert f"[{extra}]" in caught.value.repair
