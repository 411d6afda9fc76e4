"""Models by name: `anthropic:claude-…`, `openai-chat:MODEL@http://HOST/v1`, `rules`, `placeholder`, and so on.

Agents, runs and the command line accept a name in place of a model object. Making the object is cheap: before the first
call, no SDK is imported, no file is read and no server is called.
"""

from __future__ import annotations

import importlib
import re
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from graphengine.errors import DefinitionError
from graphengine.kernel.extension import did_you_mean
from graphengine.models.errors import ModelUnavailable
from graphengine.models.hiding import hide_secrets, struck

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphengine.models.base import Model

FORMS: Final = (
    "anthropic:MODEL",
    "openai:MODEL",
    "openai-chat:MODEL@http://HOST:PORT/v1",
    "azure:DEPLOYMENT",
    "bedrock:MODEL",
    "vertex:MODEL",
    "pydantic-ai:PROVIDER:MODEL",
    "rules",
    "placeholder",
    "recorded:FILE",
)
"""The possible forms of model names."""


def model_of(name: str) -> Model:
    """Return the model with this name, such as `anthropic:claude-haiku-4-5`.

    The name that `model_of` accepts begins with a provider and a colon. `openai:` stands for OpenAI's Responses API.
    `openai-chat:` stands for the Chat Completions API, which most other servers offer.

    To call a model on another server, write `@` and the address of the server's API after the name of the model, as in
    `openai-chat:qwen3@http://localhost:8000/v1`. If `@http` occurs several times, the address begins at the last one.
    Without an address in the name, `model_of` uses the address in the environment variable of the provider
    (`OPENAI_BASE_URL`, `ANTHROPIC_BASE_URL`). If the variable is not set, it uses the provider's own address.

    Raises:
        ModelUnavailable: The provider is missing or unknown, the model is missing, or the address is invalid. The error
            suggests a name.

    Example:
        >>> model_of("rules").name
        'rules'
    """
    provider, _, rest = name.strip().partition(":")
    if provider == "rules" and not rest:
        from graphengine.models.base import RulesModel  # noqa: PLC0415 - each name loads what it needs

        return RulesModel()
    if provider == "placeholder" and not rest:
        from graphengine.models.placeholder import PlaceholderModel  # noqa: PLC0415 - as above

        return PlaceholderModel()
    if provider not in _PROVIDERS:
        raise _unavailable(name, "has no known provider", _suggest_provider(struck(name.strip())))
    if not rest.strip():
        what = "file" if provider == "recorded" else "model"
        form = next(form for form in FORMS if form.startswith(f"{provider}:"))
        raise _unavailable(name, f"has no {what} after the colon", f"write the whole name, as in {form}")
    module, kind = _PROVIDERS[provider]
    make: Callable[..., Model] = getattr(importlib.import_module(f"graphengine.models.{module}"), kind)
    if provider in _WITHOUT_ADDRESS:
        return make(rest.strip())
    model, base_url = _split_address(name, rest.strip())
    return make(model, base_url=base_url)


def as_model(given: str | Model) -> Model:
    """Return the model for an argument that may be a model object or the name of a model.

    Raises:
        ModelUnavailable: As for `model_of`.
        DefinitionError: The value is neither a model nor a name.
    """
    if isinstance(given, str):
        return model_of(given)
    if isinstance(given, type) or not (callable(getattr(given, "answer", None)) and hasattr(given, "name")):
        raise DefinitionError(
            f"{given!r} is not a model",
            repair="give the name of a model, as 'anthropic:MODEL', or an object with the attribute `name` and the "
            "method `async def answer(request)`",
        )
    return given


def no_model(agent: str) -> ModelUnavailable:
    repair = "give the agent model='anthropic:MODEL' or by_rules=function. Or give one model to all agents: "
    repair += "Runner(models='anthropic:MODEL') in a program, --model anthropic:MODEL in a command"
    return ModelUnavailable(f"agent {agent!r} has no model", where=f"agent {agent}", repair=repair)


_PROVIDERS: Final = {
    "anthropic": ("anthropic", "AnthropicModel"),
    "openai": ("openai", "OpenAIModel"),
    "openai-chat": ("openai_chat", "OpenAIChatModel"),
    "azure": ("clouds", "AzureModel"),
    "bedrock": ("clouds", "BedrockModel"),
    "vertex": ("clouds", "VertexModel"),
    "pydantic-ai": ("pydantic_ai", "PydanticAIModel"),
    "recorded": ("recorded", "RecordedModel"),
}
"""The module and the class of each provider. A module is loaded by the first name that needs it."""
_ALONE: Final = ("rules", "placeholder")
"""The names that are complete without the name of a model."""
_WITHOUT_ADDRESS: Final = ("pydantic-ai", "recorded")

_ADDRESS: Final = re.compile(r"(.*)@(https?:.*)", re.IGNORECASE | re.DOTALL)  # greedy, so that the last @http counts

_FAMILIES: Final = (
    (re.compile(r"claude\b", re.IGNORECASE), "anthropic"),
    (re.compile(r"(chat)?gpt\b|o\d+\b|codex\b", re.IGNORECASE), "openai"),
)
SERVERS: Final = {
    "ollama": "http://127.0.0.1:11434/v1",
    "vllm": "http://127.0.0.1:8000/v1",
    "llama.cpp": "http://127.0.0.1:8080/v1",
    "llamacpp": "http://127.0.0.1:8080/v1",
    "lmstudio": "http://127.0.0.1:1234/v1",
}
"""Default addresses of servers whose names are often used as if they were providers."""


def _split_address(name: str, rest: str) -> tuple[str, str | None]:
    """Split `MODEL@http://HOST/v1` into the model and the address. The address is None if the name contains none.

    Addresses with a password or a query are refused, because names are recorded and shown.
    """
    bare = name.partition("@")[0]  # errors do not show the address, because it may contain a password
    found = _ADDRESS.fullmatch(rest)
    if found is None:
        if "://" in rest:
            raise _unavailable(f"{bare}@…", "has an invalid address", "write @http://HOST:PORT/v1 after the model")
        return rest, None
    model, address = found.group(1).strip(), found.group(2).strip()
    if not model:
        raise _unavailable(f"{bare}@…", "has no model", "write the model between the colon and the @")
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    if not host or any(character.isspace() for character in address):
        raise _unavailable(f"{bare}@…", "has an invalid address", "write @http://HOST:PORT/v1 after the model")
    repair = "pass a key in the provider's environment variable, or as api_key= of a model object, because names of "
    repair += "models are recorded and shown"
    if "@" in parts.netloc:
        raise _unavailable(f"{bare}@…", "has a user or password in its address", repair)
    if parts.query or parts.fragment:
        raise _unavailable(f"{bare}@…", "has a query or a fragment in its address", repair)
    return model, address.rstrip("/")


def _suggest_provider(name: str) -> str:
    """Guess what the user meant by a name with an unknown provider, and return the suggestion for the error message."""
    provider, _, rest = name.partition(":")
    for family, of in _FAMILIES:
        if family.match(name):
            return f"did you mean '{of}:{name}'?"
    slashed, _, below = name.partition("/")
    if below and ":" not in slashed and slashed.lower() in _PROVIDERS:
        return f"did you mean '{slashed.lower()}:{below}'?"
    if rest and provider.lower() in SERVERS:
        addressed = rest if _ADDRESS.fullmatch(rest) else f"{rest}@{SERVERS[provider.lower()]}"
        return f"did you mean 'openai-chat:{addressed}'?"
    near = did_you_mean(provider.lower(), [*_PROVIDERS, *_ALONE]) if provider else ""
    if near.startswith("did you mean"):
        meant = near.split("'")[1]
        tail = "" if meant in _ALONE else f":{rest or 'MODEL'}"
        return f"did you mean '{meant}{tail}'?"
    return f"write one of {', '.join(FORMS)}. openai-chat works with each server that is compatible with OpenAI's"


def _unavailable(name: str, what: str, repair: str) -> ModelUnavailable:
    message = f"the model name {struck(name)!r} {what}"  # `struck`, because a key is easily pasted into a name
    return ModelUnavailable(message, where="model", repair=hide_secrets(repair))


__all__ = ["FORMS", "as_model", "model_of", "no_model"]
