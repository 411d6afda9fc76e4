"""Models on Bedrock, Vertex AI and Azure, against a local server."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import pytest

from graphengine import Settings
from graphengine.models import AzureModel, BedrockModel, Request, VertexModel, model_of
from graphengine.models.batches import lacks_batches
from graphengine.models.errors import ModelUnavailable, RateLimited
from tests.conformance.model_kit import question
from tests.conformance.model_scenes import Fails, Says
from tests.models.edge_server import EdgeServer

BEARER = "token-7"
VERTEX = "/v1/projects/p/locations/r/publishers/anthropic/models/claude-x@1"
MISSING = {"bedrock:m": "AWS_REGION", "vertex:m": "PROJECT_ID", "azure:m": "AZURE_OPENAI_ENDPOINT"}


@pytest.mark.parametrize("streams", [False, True])
async def test_each_cloud_is_called_by_its_own_client(edge: EdgeServer, *, streams: bool) -> None:
    """Each cloud is called at its own path with its own credentials; refusals are those of the other adapters."""
    models: list[tuple[Any, str, str]] = [
        (
            VertexModel("claude-x@1", project="p", region="r", access_token=BEARER, base_url=f"{edge.url}/v1"),
            f"{VERTEX}:{'streamRawPredict' if streams else 'rawPredict'}",
            BEARER,
        ),
        (
            AzureModel("mini", api_key="key-of-azure", base_url=edge.url),
            "/openai/deployments/mini/chat/completions?api-version=2025-04-01-preview",
            "key-of-azure",
        ),
    ]
    if find_spec("botocore") and not streams:
        bedrock = BedrockModel("claude-x", region="r", api_key="key-of-aws", base_url=edge.url)
        models.append((bedrock, "/model/claude-x/invoke", "key-of-aws"))
    for model, path, key in models:
        pieces: list[str] = []
        request = Request("a", "", [question()], on_text=pieces.append if streams else None)
        edge.play(Says("tides"), Fails("rate_limit", "slow down"))
        answer = await model.answer(request)
        call = edge.calls[-1]
        assert (answer.content, answer.input_tokens, answer.output_tokens) == ("tides", 12, 5)
        assert call.target == path
        assert key in call.headers.get("authorization", "") + call.headers.get("api-key", "")
        assert streams is False or isinstance(model, AzureModel) or pieces == ["tides"]
        with pytest.raises(RateLimited, match="slow down") as refused:
            await model.answer(request)
        assert key not in str(refused.value)
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
