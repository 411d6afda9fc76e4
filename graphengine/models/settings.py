"""The settings of a model call: those that every provider knows, and those that only one provider knows.

A setting has one name here, whatever the provider's API calls it. If an API does not support a setting, its adapter
reports the setting with a repair instead of ignoring it. Options that have no setting here are passed on unchanged:
`extra` in the body of the request, `headers` in its headers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypeAlias, cast, get_args, runtime_checkable

from pydantic_core import to_json

from graphengine.errors import DefinitionError
from graphengine.models.errors import BadRequest
from graphengine.models.hiding import MARK, hide_secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pydantic import JsonValue

Effort: TypeAlias = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
"""How much a model thinks before it answers."""

Verbosity: TypeAlias = Literal["low", "medium", "high"]
"""How long a model's answers are."""

Cache: TypeAlias = "bool | Literal['conversation']"
"""What the provider should cache: nothing, the shared beginning, or the conversation in every case."""

_EFFORTS: Final = get_args(Effort)
_LEAST_BUDGET: Final = 1024
"""The smallest budget for thinking. Source: Anthropic's documentation of extended thinking."""
_LEAST_TOP_P: Final = 0.95
"""The smallest `top_p` beside thinking. Source: the same page."""
_MOST_STOPS: Final = 4
_HOTTEST: Final = 2
_OWN_FIELDS: Final = ("model", "messages", "input", "system", "instructions", "stream", "stream_options", "max_tokens")
"""Fields of a request that an agent writes itself, or for which a setting exists."""
_NAMED: Final = {"effort": r"\b(reasoning[._])?effort\b", "stop": r"\bstop(_sequences)?\b"}
"""The names of some settings in refusals; the other settings have the same names there."""
_HEADER: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.1
_OPEN_HEADER: Final = re.compile(r"beta|version", re.IGNORECASE)


@dataclass(frozen=True, slots=True, repr=False)
class Settings:
    """Options of a model call, such as the temperature and the token limit.

    None and empty values keep the provider's default.

    Args:
        effort: How much to think: `none`, `minimal` (both only OpenAI), `low`, `medium`, `high`, `xhigh` or `max`.
        thinking: Only Anthropic: True to let the model decide how much to think, False to switch thinking off, or a
            number of tokens.
        tool_choice: `required` (call some tool), the name of a tool, `none` (call no tool) or `auto`. The first two
            only apply to the first turn, because the model could never answer otherwise.
        temperature: How varied answers are, from 0 to 2. Many models that think refuse it.
        top_p: The share of the most probable tokens from which to choose, above 0 and at most 1.
        top_k: The number of most probable tokens from which to choose, 1 or more. Supported by Anthropic's Messages API
            and by servers of open models.
        max_tokens: The largest number of tokens of one answer, including thinking. The default is 16,384 for Anthropic,
            and the server's default for others.
        stop: Texts at which an answer ends, at most 4. The answer does not contain them. Not supported by OpenAI's
            Responses API.
        seed: A number that makes answers to equal requests alike, as far as the provider can. Only Chat Completions.
        presence_penalty: How much less probable a token becomes that has occurred, from -2 to 2. Only Chat Completions.
        frequency_penalty: How much less probable a token becomes with each occurrence, from -2 to 2. Only Chat
            Completions.
        verbosity: How long answers are: `low`, `medium` or `high`. Only OpenAI.
        parallel_tool_calls: False for at most one tool call in each turn.
        cache: What the provider should cache for later calls. With True, these are the instructions and tools, and also
            the conversation if the agent has tools or earlier messages, because such an agent sends the conversation
            again. With "conversation" the conversation is always cached. Of parallel calls with the same beginning, the
            first goes alone, because it writes the cache that the others read.
        service_tier: The provider's service tier, such as `flex`. The cost of a call in another tier than the standard
            one is unknown, unless you give the model a price.
        headers: Further headers of the request, such as `{"anthropic-beta": …}`. Their values are not recorded, except
            the values of headers with `beta` or `version` in their name.
        extra: Further fields of the request's body, in the provider's own form: `{"user": "ada"}`. Objects are merged
            with those of the request, lists are appended to its lists, and other values replace its values.

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
    top_k: int | None = None
    max_tokens: int | None = None
    stop: Sequence[str] = ()
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    verbosity: Verbosity | None = None
    parallel_tool_calls: bool | None = None
    cache: Cache = False
    service_tier: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict, hash=False)
    extra: Mapping[str, JsonValue] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        for name, reason, repair in (*_iter_invalid_settings(self), *_invalid_parts(self)):
            shown = "…" if name == "headers" else f"{getattr(self, name)!r}"
            raise DefinitionError(f"Settings({name}={shown}): {reason}", where="settings", repair=repair)
        object.__setattr__(self, "stop", tuple(self.stop))
        object.__setattr__(self, "headers", dict(self.headers))
        object.__setattr__(self, "extra", dict(self.extra))

    def __repr__(self) -> str:
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in self.recorded().items())})"

    def given(self) -> dict[str, Any]:
        """Return the settings for which the user has given a value, by name."""
        found = {one.name: getattr(self, one.name) for one in fields(self)}
        if not self.cache:
            del found["cache"]
        return {name: value for name, value in found.items() if value not in (None, (), {})}

    def recorded(self) -> dict[str, JsonValue]:
        """Return the settings that the user has set, as JSON without secrets.

        A run records the settings in this form.
        """
        found = self.given()
        if "stop" in found:
            found["stop"] = list(self.stop)
        if "headers" in found:
            found["headers"] = {
                name: value if _OPEN_HEADER.search(name) else MARK for name, value in self.headers.items()
            }
        return hide_secrets(found)

    def but(self, **changes: Any) -> Settings:  # noqa: ANN401 - the arguments of Settings
        """Return a copy of the settings with some values changed.

        Args:
            changes: Arguments of `Settings`, by name, with their new values.
        """
        return replace(self, **changes)


@runtime_checkable
class ChecksSettings(Protocol):
    """An interface of models that can list which settings of an agent their API does not support."""

    def lacks(self, settings: Settings) -> Mapping[str, str]:
        """Return the unsupported settings by name, each with a sentence that says what to do instead."""
        ...


def refuse_lacking(model: Any, settings: Settings, agent: str) -> None:  # noqa: ANN401 - an adapter
    """Raise an error if an agent has a setting that the API of its model does not support.

    Raises:
        BadRequest: A setting is not supported. The message names the first such setting and what to do instead.
    """
    for name, repair in model.lacks(settings).items():
        message = f"the model {model.name!r} does not accept the setting {name}={getattr(settings, name)!r}"
        raise BadRequest(message, where=f"agent {agent}", repair=repair)


def repair_of(settings: Settings, message: str) -> str:
    """Return advice to leave out the settings of the agent that a provider's error message names.

    Returns "" if the message names none of them.

    Example:
        >>> repair_of(Settings(temperature=0.2), "Unsupported value: 'temperature' does not support 0.2")
        'leave out Settings(temperature=…), which this model refuses'
    """
    named = [name for name in settings.given() if re.search(_NAMED.get(name, rf"\b{name}\b"), message)]
    named = [name for name in named if name not in ("max_tokens", "headers", "extra")]
    return f"leave out Settings({'=…, '.join(named)}=…), which this model refuses" if named else ""


def merged(body: Mapping[str, Any], extra: Mapping[str, JsonValue]) -> dict[str, Any]:
    """Add the fields that the user passed as `extra=` to the body of a request.

    Objects are merged, lists are appended, and other values are replaced.

    Example:
        >>> merged({"text": {"format": 1}, "include": ["a"]}, {"text": {"verbosity": "low"}, "include": ["b"], "n": 1})
        {'text': {'format': 1, 'verbosity': 'low'}, 'include': ['a', 'b'], 'n': 1}
    """
    result = dict(body)
    for name, value in extra.items():
        have = result.get(name)
        if isinstance(have, dict) and isinstance(value, dict):
            result[name] = merged(have, value)
        elif isinstance(have, list) and isinstance(value, list):
            result[name] = [*have, *value]
        else:
            result[name] = value
    return result


def _build_number_check(least: float, most: float) -> Callable[[object], bool]:
    return lambda value: type(value) in (int, float) and least <= value <= most  # type: ignore[operator]


def _build_whole_number_check(least: float) -> Callable[[object], bool]:
    return lambda value: type(value) is int and value >= least


def _one_of(*values: object) -> Callable[[object], bool]:
    return lambda value: value in values


def _is_filled_text(value: object) -> bool:
    return isinstance(value, str) and value.strip() != ""


def _is_budget(value: object) -> bool:
    return isinstance(value, bool) or (type(value) is int and value >= _LEAST_BUDGET)


_VALID: Final[Mapping[str, tuple[Callable[[object], bool], str, str]]] = {
    "effort": (_one_of(*_EFFORTS), f"one of {', '.join(map(repr, _EFFORTS))}", "'low'"),
    "thinking": (_is_budget, f"True, False, or a number of tokens of at least {_LEAST_BUDGET}", "True"),
    "temperature": (_build_number_check(0, _HOTTEST), "a number from 0 to 2", "0.2"),
    "top_p": (
        lambda value: value != 0 and _build_number_check(0, 1)(value),
        "a number greater than 0 and at most 1",
        "0.9",
    ),
    "top_k": (_build_whole_number_check(1), "a whole number of at least 1", "40"),
    "max_tokens": (_build_whole_number_check(1), "a whole number of at least 1", "4000"),
    "seed": (_build_whole_number_check(float("-inf")), "a whole number", "7"),
    "presence_penalty": (_build_number_check(-_HOTTEST, _HOTTEST), "a number from -2 to 2", "0.5"),
    "frequency_penalty": (_build_number_check(-_HOTTEST, _HOTTEST), "a number from -2 to 2", "0.5"),
    "verbosity": (_one_of(*get_args(Verbosity)), f"one of {', '.join(map(repr, get_args(Verbosity)))}", "'low'"),
    "parallel_tool_calls": (lambda value: isinstance(value, bool), "True or False", "True"),
    "cache": (
        lambda value: isinstance(value, bool) or value == "conversation",
        "True, False or 'conversation'",
        "True",
    ),
    "tool_choice": (_is_filled_text, "a text that is not empty", "'auto'"),
    "service_tier": (_is_filled_text, "a text that is not empty", "'flex'"),
}
"""A check for each setting with a single value, the values that pass the check, and an example of them."""


def _iter_invalid_settings(settings: Settings) -> Iterator[tuple[str, str, str]]:
    """Check the settings that are a number, a name or a flag.

    Yields the name of each invalid setting, with the reason and with advice on how to fix it.
    """
    for name, (is_valid, allowed, example) in _VALID.items():
        value = getattr(settings, name)
        if value is not None and not is_valid(value):
            yield name, f"{name} must be {allowed}", f"write {name}={example}"
            return  # the rules below assume valid values
    most, budget = settings.max_tokens, settings.thinking
    if most is not None and budget is not None and not isinstance(budget, bool) and budget >= most:
        reason = f"max_tokens includes the tokens of thinking, so it must be greater than thinking={budget}"
        yield "max_tokens", reason, f"write max_tokens={budget + 4000}"
    if budget:
        yield from _unthinkable(settings)


def _unthinkable(settings: Settings) -> Iterator[tuple[str, str, str]]:
    """Yield the settings that Anthropic refuses in a request with thinking, each with the reason and with advice."""
    if settings.temperature not in (None, 1):
        yield "temperature", "temperature cannot be combined with thinking=", "leave out temperature= or thinking="
    if settings.top_k is not None:
        yield "top_k", "top_k cannot be combined with thinking=", "leave out top_k= or thinking="
    if settings.top_p is not None and settings.top_p < _LEAST_TOP_P:
        reason = f"thinking= requires that top_p is at least {_LEAST_TOP_P}"
        yield "top_p", reason, f"leave out top_p=, or write top_p={_LEAST_TOP_P}"
    if settings.tool_choice not in (None, "auto", "none"):
        reason = "with thinking=, the model itself decides about tool calls"
        yield "tool_choice", reason, "leave out tool_choice= or thinking="


def _invalid_parts(settings: Settings) -> Sequence[tuple[str, str, str]]:
    """Check the settings `stop`, `headers` and `extra`, which contain several values.

    Returns the names of the invalid settings, each with the reason and with advice on how to fix it.
    """
    found: list[tuple[str, str, str]] = []
    stop, headers, extra = (cast("object", getattr(settings, name)) for name in ("stop", "headers", "extra"))
    texts = stop if isinstance(stop, (list, tuple)) and len(stop) <= _MOST_STOPS else [None]
    if not all(isinstance(text, str) and text for text in texts):
        reason = f"stop must be a list of at most {_MOST_STOPS} texts that are not empty"
        found.append(("stop", reason, "write stop=['END']"))
    if not isinstance(headers, Mapping) or not all(_is_header(name, value) for name, value in headers.items()):
        reason = "headers must be a dict of names and values, both printable ASCII text"
        found.append(("headers", reason, "write headers={'X-Team': 'search'}"))
    if not isinstance(extra, Mapping) or not all(isinstance(name, str) for name in extra) or not _is_json(extra):
        reason = "extra must be a dict of names and values that JSON can represent"
        found.append(("extra", reason, "write extra={'user': 'ada'}"))
    elif own := sorted(set(extra) & set(_OWN_FIELDS)):
        reason = f"extra cannot contain {own[0]!r}, because the agent sets it"
        repair = "write Settings(max_tokens=4000)" if own == ["max_tokens"] else f"leave {own[0]!r} out of extra="
        found.append(("extra", reason, repair))
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
"""Settings that leave all choices to the provider."""


__all__ = [
    "NO_SETTINGS",
    "Cache",
    "ChecksSettings",
    "Effort",
    "Settings",
    "Verbosity",
    "merged",
    "refuse_lacking",
    "repair_of",
]
