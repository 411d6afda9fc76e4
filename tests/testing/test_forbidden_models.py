"""A test session calls no provider's model, unless a test is marked so or answers are recorded."""

import pytest

from graphengine import Agent
from graphengine.models import AnthropicModel, OpenAIModel, PydanticAIModel
from graphengine.models.sdk import ModelForbidden, check_allowed


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
