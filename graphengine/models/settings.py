"""The settings of a model's call: what every provider knows by one name, and what only one of them knows.

A setting has one name here, whatever the wire format calls it; an adapter that has no such setting reports it, with the
repair, instead of ignoring it. What is not named here is passed on as it is given: `extra` in the body of the request,
`headers` in its headers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypeAlias, cast, get_args, runtime_checkable

from pydantic_core import to_json

from graphengine.kernel import DefinitionError
from graphengine.models.errors import BadRequest
from graphengine.models.hiding import MARK, hidden

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic import JsonValue

Effort: TypeAlias = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
"""How much a model thinks before it answers."""

Cache: TypeAlias = "bool | Literal['conversation']"
"""What the provider should cache: nothing, the shared beginning, or the conversation in every case."""

_EFFORTS: Final = get_args(Effort)
_LEAST_BUDGET: Final = 1024
"""The smallest budget for thinking. Source: Anthropic's documentation of extended thinking."""
_MOST_STOPS: Final = 4
_HOTTEST: Final = 2
_OWN_FIELDS: Final = ("model", "messages", "input", "system", "instructions", "stream", "stream_options", "max_tokens")
"""Fields of a request that an agent writes itself, or that have a setting of their own."""
_HEADER: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.1
_OPEN_HEADER: Final = re.compile(r"beta|version", re.IGNORECASE)


@dataclass(frozen=True, slots=True, repr=False)
class Settings:
    """How a model is called. None, and empty values, leave the choice to the provider.

    Args:
        effort: How much to think: `none`, `minimal` (both only OpenAI), `low`, `medium`, `high`, `xhigh`, `max`.
        thinking: Only Anthropic: True for as much as the model finds right, False for none, or a number of tokens.
        tool_choice: `required` (call some tool), the name of a tool, `none` (call no tool) or `auto`. The first two
            apply to the first turn alone, since the model could never answer otherwise.
        temperature: How varied answers are, from 0 to 2; many models that think refuse it.
        top_p: From which share of the most probable tokens to choose, above 0 and at most 1.
        max_tokens: The most tokens of one answer, thinking included. Without it Anthropic's is 16,384, and others have
            the server's default.
        stop: Texts at which an answer ends, without them; at most 4. Not for OpenAI's Responses API.
        cache: Whether the provider should cache what calls share: with True instructions and tools, and the
            conversation of an agent with tools or a memory, which sends it again; with "conversation" always that too.
            Of parallel calls with the same beginning, the first goes alone, since it writes what the others read.
        service_tier: The provider's class of service, as `flex`. The cost of a call served in another class than the
            standard one is unknown unless the model has a price of its own.
        headers: Further headers of the request, as `{"anthropic-beta": …}`. Their values are not recorded, except
            those of headers with `beta` or `version` in their name.
        extra: Further fields of the request's body, in the provider's own form: `{"verbosity": "low"}`. Objects are
            merged with those of the request, lists are appended to its lists, other values replace its values.

    Raises:
        DefinitionError: A value is invalid.

    Example:
        >>> Settings(effort="low", headers={"x-project": "secret-7"})
        Settings(effort='low', headers={'x-project': '[secret]'})
    """

    effort: Effort | None = None
    thinking: bool | int | None = None
    tool_choice: str | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    stop: Sequence[str] = ()
    cache: Cache = False
    service_tier: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict, hash=False)
    extra: Mapping[str, JsonValue] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        for name, repair in (*_invalid(self), *_invalid_parts(self)):
            shown = "…" if name == "headers" else f"{getattr(self, name)!r}"
            raise DefinitionError(f"Settings({name}={shown})", where="settings", repair=repair)
        object.__setattr__(self, "stop", tuple(self.stop))
        object.__setattr__(self, "headers", dict(self.headers))
        object.__setattr__(self, "extra", dict(self.extra))

    def __repr__(self) -> str:
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in self.recorded().items())})"

    def given(self) -> dict[str, Any]:
        """Return the settings that are set, by name."""
        found = {one.name: getattr(self, one.name) for one in fields(self)}
        if not self.cache:
            del found["cache"]
        return {name: value for name, value in found.items() if value not in (None, (), {})}

    def recorded(self) -> dict[str, JsonValue]:
        """Return the settings that are set as JSON, without secrets."""
        found = self.given()
        if "stop" in found:
            found["stop"] = list(self.stop)
        if "headers" in found:
            found["headers"] = {
                name: value if _OPEN_HEADER.search(name) else MARK for name, value in self.headers.items()
            }
        return hidden(found)

    def but(self, **changes: Any) -> Settings:  # noqa: ANN401 - the arguments of Settings
        """Return a copy with changes.

        Args:
            changes: Arguments of `Settings`, by name, with their new values.
        """
        return replace(self, **changes)


@runtime_checkable
class ChecksSettings(Protocol):
    """A model that knows which settings its API does not have."""

    def lacks(self, settings: Settings) -> Mapping[str, str]:
        """Return the repair for each setting that is set and that it does not have, by name."""
        ...


def refuse_lacking(model: Any, settings: Settings, agent: str) -> None:  # noqa: ANN401 - an adapter
    """Refuse a call with settings that the model does not have.

    Raises:
        BadRequest: There are some; the repair is that of the first.
    """
    for name, repair in model.lacks(settings).items():
        message = f"{model.name} has no setting {name}={getattr(settings, name)!r}"
        raise BadRequest(message, where=f"agent {agent}", repair=repair)


def merged(body: Mapping[str, Any], extra: Mapping[str, JsonValue]) -> dict[str, Any]:
    """Return a request's body with the extra fields: objects are merged, lists appended, other values replaced.

    Example:
        >>> merged({"text": {"format": 1}, "include": ["a"]}, {"text": {"verbosity": "low"}, "include": ["b"], "n": 1})
        {'text': {'format': 1, 'verbosity': 'low'}, 'include': ['a', 'b'], 'n': 1}
    """
    made = dict(body)
    for name, value in extra.items():
        have = made.get(name)
        if isinstance(have, dict) and isinstance(value, dict):
            made[name] = merged(have, value)
        elif isinstance(have, list) and isinstance(value, list):
            made[name] = [*have, *value]
        else:
            made[name] = value
    return made


def _is_number(value: object, least: float, most: float) -> bool:
    return type(value) in (int, float) and least <= value <= most  # type: ignore[operator]


def _invalid(settings: Settings) -> Sequence[tuple[str, str]]:
    """List the invalid settings with one value, each with its repair."""
    found: list[tuple[str, str]] = []
    if settings.effort is not None and settings.effort not in _EFFORTS:
        found.append(("effort", f"give one of {', '.join(_EFFORTS)}"))
    budget = settings.thinking
    if budget is not None and not isinstance(budget, bool) and not (type(budget) is int and budget >= _LEAST_BUDGET):
        found.append(("thinking", f"give True, False, or a number of tokens from {_LEAST_BUDGET} on"))
    if settings.temperature is not None and not _is_number(settings.temperature, 0, _HOTTEST):
        found.append(("temperature", "give a number from 0 to 2"))
    if settings.top_p is not None and not (_is_number(settings.top_p, 0, 1) and settings.top_p > 0):
        found.append(("top_p", "give a number above 0, at most 1"))
    most = settings.max_tokens
    if most is not None and not (type(most) is int and most >= 1):
        found.append(("max_tokens", "give a whole number from 1 on"))
    elif most is not None and not isinstance(budget, bool) and isinstance(budget, int) and budget >= most:
        found.append(("max_tokens", f"give more than thinking={budget}: the tokens of thinking count too"))
    if settings.cache not in (True, False, "conversation"):
        found.append(("cache", 'give True, False or "conversation"'))
    for name in ("tool_choice", "service_tier"):
        text = getattr(settings, name)
        if text is not None and not (isinstance(text, str) and text.strip()):
            found.append((name, "give a text"))
    return found


def _invalid_parts(settings: Settings) -> Sequence[tuple[str, str]]:
    """List the invalid settings with several values, each with its repair."""
    found: list[tuple[str, str]] = []
    stop, headers, extra = (cast("object", getattr(settings, name)) for name in ("stop", "headers", "extra"))
    texts = stop if isinstance(stop, (list, tuple)) and len(stop) <= _MOST_STOPS else [None]
    if not all(isinstance(text, str) and text for text in texts):
        found.append(("stop", f"give a list of at most {_MOST_STOPS} texts"))
    if not isinstance(headers, Mapping) or not all(_is_header(name, value) for name, value in headers.items()):
        found.append(("headers", "give a dict of header names and values, both printable ASCII text"))
    if not isinstance(extra, Mapping) or not all(isinstance(name, str) for name in extra) or not _is_json(extra):
        found.append(("extra", "give a dict of names and values that JSON can represent"))
    elif own := sorted(set(extra) & set(_OWN_FIELDS)):
        repair = "give max_tokens=" if own == ["max_tokens"] else "leave it out: the agent writes it"
        found.append(("extra", f"{own[0]!r} cannot be given here; {repair}"))
    return found


def _is_header(name: object, value: object) -> bool:
    printable = isinstance(value, str) and value.isascii() and (value.isprintable() or not value)
    return printable and isinstance(name, str) and _HEADER.fullmatch(name) is not None


def _is_json(value: object) -> bool:
    try:
        to_json(value, inf_nan_mode="strings")
    except (ValueError, RecursionError):
        return False
    return True


NO_SETTINGS: Final = Settings()
"""All choices left to the provider."""


__all__ = ["NO_SETTINGS", "Cache", "ChecksSettings", "Effort", "Settings", "merged", "refuse_lacking"]
