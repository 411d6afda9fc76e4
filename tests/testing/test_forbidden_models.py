"""A test session calls no provider's model, unless a test is marked so or answers are recorded."""

import os

import pytest

from graphengine import Agent
from graphengine.models import AnthropicModel, OpenAIModel, PydanticAIModel
from graphengine.models.sdk import ModelForbidden, check_allowed
from tests.testing.plain import QUIET

pytest_plugins = ("pytester",)

SESSION = """
import os, pytest

@pytest.fixture
def seen():
    return "GRAPHENGINE_FORBID_MODELS" in os.environ

def test_first(seen): assert seen
@pytest.mark.real_models
def test_marked(seen): assert not seen and "GRAPHENGINE_FORBID_MODELS" not in os.environ
def test_last(seen): assert seen
"""


@pytest.mark.parametrize(
    "model",
    [
        AnthropicModel("claude-haiku-4-5", api_key="k"),
        OpenAIModel("gpt-5-mini", api_key="k"),
        AnthropicModel("claude-haiku-4-5", api_key="k", base_url="http://gateway.example"),
    ],
    ids=["anthropic", "openai", "an address that is not here"],
)
async def test_a_model_of_a_provider_is_not_called(model: AnthropicModel | OpenAIModel) -> None:
    """The error names what to give instead, and the marker."""
    with pytest.raises(ModelForbidden, match=r"(?s)a test called .*ScriptedModel.*@pytest\.mark\.real_models"):
        await Agent("writer", model=model, prompt="Write.").run()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_a_server_on_this_machine_may_be_called(host: str) -> None:
    """By each of its names; a host that only begins like one is elsewhere."""
    check_allowed("openai:gpt-5-mini", f"http://{host}:11434/v1")
    with pytest.raises(ModelForbidden):
        check_allowed("openai:gpt-5-mini", f"http://{host.strip('[]').replace(':', '')}.example/v1")


async def test_a_model_of_pydantic_ai_is_not_called() -> None:
    """By the address of its provider."""
    pytest.importorskip("pydantic_ai")
    openai = pytest.importorskip("pydantic_ai.models.openai")
    providers = pytest.importorskip("pydantic_ai.providers.openai")
    model = openai.OpenAIChatModel("gpt-5-mini", provider=providers.OpenAIProvider(api_key="k"))
    with pytest.raises(ModelForbidden):
        await Agent("writer", model=PydanticAIModel(model), prompt="Write.").run()


def test_a_mark_lets_one_test_call_it(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its fixtures too, and no other test; the session leaves the environment as it was."""
    monkeypatch.delenv("GRAPHENGINE_FORBID_MODELS", raising=False)
    pytester.makepyfile(SESSION)
    result = pytester.runpytest_inprocess(*QUIET, "-p", "no:asyncio", "-q", "--strict-markers")
    result.assert_outcomes(passed=3)
    assert "GRAPHENGINE_FORBID_MODELS" not in os.environ


def test_recording_asks_models(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which is what the option is for."""
    monkeypatch.delenv("GRAPHENGINE_FORBID_MODELS", raising=False)
    pytester.makepyfile("import os\ndef test_it(): assert 'GRAPHENGINE_FORBID_MODELS' not in os.environ")
    result = pytester.runpytest_inprocess(*QUIET, "-p", "no:asyncio", "-q", "--graphengine-record")
    result.assert_outcomes(passed=1)
