"""Models by name: the meaning of each form, and the errors of invalid names."""

import subprocess
import sys

import pytest

from graphengine.errors import DefinitionError
from graphengine.models import (
    Closes,
    Message,
    RecordedModel,
    Request,
    RulesModel,
    ScriptedModel,
    as_model,
    model_of,
)
from graphengine.models.errors import ModelUnavailable
from tests.conformance.model_scenes import Says
from tests.models.edge_server import EdgeServer

CHEAP = """
import sys
import graphengine
from graphengine.models import *
for name in ("rules", "recorded:x.json", "anthropic:claude-x", "openai:gpt-x", "openai-chat:m@http://127.0.0.1:1/v1"):
    model_of(name)
Router(["anthropic:claude-x", "openai:gpt-x"])
print([name for name in ("anthropic", "openai", "genai_prices", "httpx", "httpx2") if name in sys.modules])
"""


def refused(name: str) -> str:
    """Return the error of a name."""
    with pytest.raises(ModelUnavailable) as caught:
        model_of(name)
    assert caught.value.repair
    return str(caught.value)


def test_no_sdk_is_imported_to_make_a_model() -> None:
    """Making a model, or importing the package, imports no SDK; each is loaded at its first call."""
    done = subprocess.run([sys.executable, "-c", CHEAP], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_names_without_a_provider_of_their_own() -> None:
    """Rules and a file have names without a provider of their own."""
    assert isinstance(model_of("rules"), RulesModel)
    recorded = model_of(" recorded:C:/some dir/x.json ")
    assert isinstance(recorded, RecordedModel)
    assert recorded.name == "recorded:C:/some dir/x.json"


class Adapter:
    """Records the arguments of a provider's model."""

    def __init__(self, model: str, *, base_url: str | None) -> None:
        self.given = (model, base_url)


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("anthropic:claude-haiku-5-5", ("claude-haiku-5-5", None)),
        ("openai:gpt-5", ("gpt-5", None)),
        ("openai:gpt-5@https://proxy.example/v1", ("gpt-5", "https://proxy.example/v1")),
        ("openai-chat:llama3.2:3b", ("llama3.2:3b", None)),
        ("openai-chat:org/m@2:q4@http://127.0.0.1:11434/v1/", ("org/m@2:q4", "http://127.0.0.1:11434/v1")),
        ("openai-chat:m@http://a/v1@HTTP://[::1]:80/v1", ("m@http://a/v1", "HTTP://[::1]:80/v1")),
    ],
)
def test_names_of_providers(name: str, given: tuple[str, str | None], monkeypatch: pytest.MonkeyPatch) -> None:
    """The API's address begins at the last `@http`; colons, slashes and other @s belong to the model."""
    for place in ("anthropic.AnthropicModel", "openai.OpenAIModel", "openai_chat.OpenAIChatModel"):
        monkeypatch.setattr(f"graphengine.models.{place}", Adapter)
    model = model_of(name)
    assert isinstance(model, Adapter)
    assert model.given == given


@pytest.mark.parametrize("provider", ["anthropic", "openai", "openai-chat"])
async def test_a_name_leads_to_its_server(provider: str, edge: EdgeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name leads to its server with or without the /v1, which only one of the SDKs expects."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", "key-of-a-test")
    edge.play(Says("here"), Says("there"))
    urls = [edge.openai_url, edge.url] if provider == "anthropic" else [edge.openai_url, f"{edge.openai_url}/"]
    for url in urls:
        model = model_of(f"{provider}:some-model@{url}")
        assert isinstance(model, Closes)
        try:
            response = await model.answer(Request("writer", "", [Message(role="user", text="where?")]))
        finally:
            await model.close()
        assert response.content in {"here", "there"}
        assert response.model.startswith(f"{provider}:")
    assert len(edge.received()) == 2


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("claude-opus-5", "did you mean 'anthropic:claude-opus-5'?"),
        ("gpt-5.5-mini", "did you mean 'openai:gpt-5.5-mini'?"),
        ("o3", "did you mean 'openai:o3'?"),
        ("chatgpt-latest", "did you mean 'openai:chatgpt-latest'?"),
        ("anthropic/claude-opus-5", "did you mean 'anthropic:claude-opus-5'?"),
        ("OpenAI/gpt-5", "did you mean 'openai:gpt-5'?"),
        ("antropic:claude-x", "did you mean 'anthropic:claude-x'?"),
        ("Anthropic:claude-x", "did you mean 'anthropic:claude-x'?"),
        ("openai_chat:m", "did you mean 'openai-chat:m'?"),
        ("openai", "write it after the colon, as openai:MODEL"),
        ("record:x.json", "did you mean 'recorded:x.json'?"),
        ("Rules", "did you mean 'rules'?"),
        ("rules:x", "did you mean 'rules'?"),
        ("ollama:llama3.2:3b", "did you mean 'openai-chat:llama3.2:3b@http://127.0.0.1:11434/v1'?"),
        ("vLLM:org/m", "did you mean 'openai-chat:org/m@http://127.0.0.1:8000/v1'?"),
        (
            "gemini:pro",
            "vertex:MODEL, pydantic-ai:PROVIDER:MODEL, rules",
        ),
        ("mistral-large", "write one of anthropic:MODEL"),
        ("", "write one of"),
        (":", "write one of"),
        ("anthropic:", "write it after the colon, as anthropic:MODEL"),
        ("openai: ", "write it after the colon, as openai:MODEL"),
        ("recorded:", "write it after the colon, as recorded:FILE"),
        ("openai-chat:@http://127.0.0.1/v1", "write it between the colon and the @"),
        ("openai-chat:m@http://", "write @http://HOST:PORT/v1 after the model"),
        ("openai-chat:m@http:127.0.0.1", "write @http://HOST:PORT/v1 after the model"),
        ("openai-chat:m@http://127.0.0.1:port/v1", "write @http://HOST:PORT/v1 after the model"),
        ("openai-chat:m@http://a b/v1", "write @http://HOST:PORT/v1 after the model"),
    ],
)
def test_an_invalid_name_is_an_error_with_a_suggestion(name: str, meant: str) -> None:
    """The nearest name, or the known forms."""
    assert meant in refused(name)


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("sk-ant-api03-abcdefgh12345", "abcdefgh"),
        ("anthropic/sk-ant-api03-abcdefgh12345", "abcdefgh"),
        ("openai-chat:m@http://me:hunter2@127.0.0.1/v1", "hunter2"),
        ("openai-chat:m@http://hunter2@/v1", "hunter2"),
    ],
)
def test_a_key_in_a_name_is_refused_and_not_shown(name: str, secret: str) -> None:
    """A key in a name is refused and not shown, since names are recorded and printed."""
    assert secret not in refused(name)


def test_models_can_be_objects() -> None:
    """Any object with a name and `answer`; others are refused."""
    model = ScriptedModel([])
    assert as_model(model) is model
    assert isinstance(as_model("rules"), RulesModel)
    for wrong in (7, None, ScriptedModel, print):
        with pytest.raises(DefinitionError, match="is not a model"):
            as_model(wrong)  # type: ignore[arg-type]
