"""The wires of the providers' APIs, as columns of tests: how a model of each is made, named and given its server."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from graphengine.models import AnthropicModel, OpenAIChatModel, OpenAIModel

Made: TypeAlias = AnthropicModel | OpenAIModel | OpenAIChatModel
KEY: Final = "sk-test-12345678"


@dataclass(frozen=True, slots=True)
class Api:
    """The API at a path.

    Attributes:
        kind: The class of its models.
        model: The name of a model.
        name: How names of models begin.
        provider: How the names of its variables begin.
        at: What follows the address of a server in `base_url=`.
    """

    kind: type[Any]
    model: str
    name: str
    provider: str
    at: str = ""


APIS: Final[Mapping[str, Api]] = {
    "/v1/messages": Api(AnthropicModel, "claude-haiku-4-5", "anthropic", "ANTHROPIC"),
    "/v1/responses": Api(OpenAIModel, "gpt-5-mini", "openai", "OPENAI", "/v1"),
    "/v1/chat/completions": Api(OpenAIChatModel, "gpt-5-mini", "openai-chat", "OPENAI", "/v1"),
}
PATHS: Final = tuple(APIS)
NAMES: Final = tuple(f"{api.name}:{api.model}" for api in APIS.values())


def adapter(path: str, url: str, *, api_key: str = KEY, **options: Any) -> Made:
    """Return the adapter of the API at a path, for a server at this address."""
    api = APIS[path]
    made: Made = api.kind(api.model, api_key=api_key, base_url=url + api.at, **options)
    return made


def named(path: str, url: str) -> str:
    """Return the name of the same model at the same server."""
    api = APIS[path]
    return f"{api.name}:{api.model}@{url}{api.at}"
