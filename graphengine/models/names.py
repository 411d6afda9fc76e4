"""Models by name: `anthropic:claude-…`, `openai:gpt-…`, `openai-chat:MODEL@http://HOST/v1`, `offline`, `recorded:FILE`.

A name is what an agent, a run or the command line gives where no object is at hand. Making the object of it is cheap:
no SDK is imported, no file is read and no server is asked before the first call.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from graphengine.errors import DefinitionError, ModelUnavailable
from graphengine.models.hiding import hidden, struck
from graphengine.state.path import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphengine.models.base import Model

FORMS: Final = (
    "anthropic:MODEL",
    "openai:MODEL",
    "openai-chat:MODEL@http://HOST:PORT/v1",
    "offline",
    "recorded:FILE",
)
"""Every form that a name can have."""


def model_of(name: str) -> Model:
    """The model of a name.

    `openai:` speaks OpenAI's Responses, `openai-chat:` its Chat Completions, as most other servers do. After the name
    of the model may stand `@` and where its API is reached: what follows the last `@http`. Where none stands, each
    provider's own variable counts (`OPENAI_BASE_URL`, `ANTHROPIC_BASE_URL`), then its own address.

    Raises:
        ModelUnavailable: No provider, or an unknown one, no model, an address that is none; says what was meant.

    Example:
        >>> model_of("offline").name
        'offline'
    """
    provider, colon, rest = name.strip().partition(":")
    if provider == "offline" and not rest:
        from graphengine.models.offline import OfflineModel  # noqa: PLC0415 - each name loads what it needs

        return OfflineModel()
    make = _PROVIDERS.get(provider)
    if make is None or not colon:
        raise _unavailable(name, "which names no provider that there is", _meant(struck(name.strip())))
    if not rest.strip():
        what = "file" if provider == "recorded" else "model"
        form = next(form for form in FORMS if form.startswith(f"{provider}:"))
        raise _unavailable(name, f"which names no {what}", f"write it after the colon, as {form}")
    return make(name, rest.strip())


def as_model(given: str | Model) -> Model:
    """A model that is given by name or as an object, as an object.

    Raises:
        ModelUnavailable: As for `model_of`.
        DefinitionError: It is neither.
    """
    if isinstance(given, str):
        return model_of(given)
    if isinstance(given, type) or not (callable(getattr(given, "answer", None)) and hasattr(given, "name")):
        raise DefinitionError(
            f"{given!r} is no model",
            repair="give a name, as 'anthropic:MODEL', or an object that has `name` and `async def answer(request)`",
        )
    return given


def _anthropic(name: str, rest: str) -> Model:
    model, base_url = _addressed(name, rest)
    from graphengine.models.anthropic import AnthropicModel  # noqa: PLC0415 - as above

    return AnthropicModel(model, base_url=base_url)


def _openai(name: str, rest: str) -> Model:
    model, base_url = _addressed(name, rest)
    from graphengine.models.openai import OpenAIModel  # noqa: PLC0415 - as above

    return OpenAIModel(model, base_url=base_url)


def _openai_chat(name: str, rest: str) -> Model:
    model, base_url = _addressed(name, rest)
    from graphengine.models.openai_chat import OpenAIChatModel  # noqa: PLC0415 - as above

    return OpenAIChatModel(model, base_url=base_url)


def _recorded(name: str, rest: str) -> Model:  # noqa: ARG001 - any file will do
    from graphengine.models.recorded import RecordedModel  # noqa: PLC0415 - as above

    return RecordedModel(rest)


_PROVIDERS: Final[dict[str, Callable[[str, str], Model]]] = {
    "anthropic": _anthropic,
    "openai": _openai,
    "openai-chat": _openai_chat,
    "recorded": _recorded,
}

_ADDRESS: Final = re.compile(r"(.*)@(https?:.*)", re.IGNORECASE | re.DOTALL)  # greedy: the last one

_FAMILIES: Final = (
    (re.compile(r"claude\b", re.IGNORECASE), "anthropic"),
    (re.compile(r"(chat)?gpt\b|o\d+\b|codex\b", re.IGNORECASE), "openai"),
)
_SERVERS: Final = {
    "ollama": "http://127.0.0.1:11434/v1",
    "vllm": "http://127.0.0.1:8000/v1",
    "llama.cpp": "http://127.0.0.1:8080/v1",
    "llamacpp": "http://127.0.0.1:8080/v1",
    "lmstudio": "http://127.0.0.1:1234/v1",
}
"""Where servers that people name as if they were providers listen unless they are told otherwise."""


def _addressed(name: str, rest: str) -> tuple[str, str | None]:
    """The model, and the address of its API if one is given."""
    bare = name.partition("@")[0]  # what is wrong with an address may be a password in it
    found = _ADDRESS.fullmatch(rest)
    if found is None:
        if "://" in rest:
            raise _unavailable(f"{bare}@…", "whose address is none", "write @http://HOST:PORT/v1 after the model")
        return rest, None
    model, address = found.group(1).strip(), found.group(2).strip()
    if not model:
        raise _unavailable(f"{bare}@…", "which names no model", "write it between the colon and the @")
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    if not host or any(character.isspace() for character in address):
        raise _unavailable(f"{bare}@…", "whose address is none", "write @http://HOST:PORT/v1 after the model")
    repair = "names are recorded and shown: give a key in the provider's variable, or as api_key= of an object"
    if "@" in parts.netloc:
        raise _unavailable(f"{bare}@…", "whose address has a user or password in it", repair)
    if parts.query or parts.fragment:
        raise _unavailable(f"{bare}@…", "whose address has more than a path: a ? or # with what follows it", repair)
    return model, address.rstrip("/")


def _meant(name: str) -> str:
    """The repair for a name without a known provider."""
    provider, _, rest = name.partition(":")
    for family, of in _FAMILIES:
        if family.match(name):
            return f"did you mean '{of}:{name}'?"
    slashed, _, below = name.partition("/")
    if below and ":" not in slashed and slashed.lower() in _PROVIDERS:
        return f"did you mean '{slashed.lower()}:{below}'?"
    if rest and provider.lower() in _SERVERS:
        return f"did you mean 'openai-chat:{rest}@{_SERVERS[provider.lower()]}'?"
    near = did_you_mean(provider.lower(), [*_PROVIDERS, "offline"]) if provider else ""
    if near.startswith("did you mean"):
        meant = near.split("'")[1]
        tail = "" if meant == "offline" else f":{rest or 'MODEL'}"
        return f"did you mean '{meant}{tail}'?"
    return f"write one of {', '.join(FORMS)}; openai-chat reaches every server that speaks as OpenAI's does"


def _unavailable(name: str, what: str, repair: str) -> ModelUnavailable:
    told = f"the model is called {struck(name)!r}, {what}"  # a key is easily pasted there
    return ModelUnavailable(told, where="model", repair=hidden(repair))


__all__ = ["FORMS", "as_model", "model_of"]
