"""The adapters of the providers' APIs, for tests that hold for each of them."""

from typing import Any, Final

from graphengine.models import AnthropicModel, OpenAIChatModel, OpenAIModel

Made = AnthropicModel | OpenAIModel | OpenAIChatModel
KEY: Final = "sk-test-12345678"
PATHS: Final = ("/v1/messages", "/v1/responses", "/v1/chat/completions")


def api(model: Made) -> str:
    """Return the adapter's name of its API."""
    return model.name.partition(":")[0]


def adapter(path: str, url: str, *, api_key: str = KEY, **options: Any) -> Made:
    """Return the adapter of the API at a path, for a server at this address."""
    if path == "/v1/messages":
        return AnthropicModel("claude-haiku-4-5", api_key=api_key, base_url=url, **options)
    kind = OpenAIModel if path == "/v1/responses" else OpenAIChatModel
    return kind("gpt-5-mini", api_key=api_key, base_url=f"{url}/v1", **options)
