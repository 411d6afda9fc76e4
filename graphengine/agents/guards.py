"""Guards: small functions that check what goes into an agent, or comes out of it.

A guard takes a text and returns it, perhaps changed, or raises ValueError with what is wrong. The agent's setting
decides what follows: the model is asked again (`retry`), the text is changed so that it passes (`rewrite`), or the node
fails (`fail`). `max_characters`, `max_words`, `required`, `forbidden` and `personal_data` make guards; `guard` makes
one from a function.

Guards check the question before it is sent, the complete final answer, or the results of tools before the model gets
them. They do not check the arguments of calls. Streamed text (`TextDelta`) is shown before a guard checks it. The log
and a memory contain each answer as the model gave it. `Hooks` go further: they are async, see every call and the text
that is streamed, and what they return is recorded.
"""

from __future__ import annotations

import asyncio
import dataclasses
import enum
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn, TypeAlias, TypeVar, cast, get_args

from pydantic import BaseModel

from graphengine.agents.hooks import Hooks
from graphengine.agents.personal import KINDS, Kind, masked
from graphengine.calls.caller_line import ends_at_caller
from graphengine.errors import BadAnswer, DefinitionError, GuardFailed
from graphengine.graph.runnable import is_async

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from graphengine.agents.outcomes import ToolOutcome
    from graphengine.models.base import ToolCall

T = TypeVar("T")

On: TypeAlias = Literal["input", "output", "tool"]
"""What a guard checks: the question that goes to the model, its final answer, or the results of its tools."""

Then: TypeAlias = Literal["retry", "rewrite", "fail"]
"""What happens to a text that does not pass: the model is asked again, the text is changed, or the node fails. Of a
tool's result, `retry` gives the model the reason in place of the result."""

REMOVED: Final = "[removed]"
"""The replacement for text that `forbidden(…, then="rewrite")` removes."""


@dataclasses.dataclass(frozen=True, slots=True)
class Guard(Hooks):
    """A check of the texts that go into an agent, or come out of it. Made by the functions of this module.

    It checks the question, the final answer or the results of tools, not arguments, nor text that is streamed.

    Attributes:
        name: Its name in messages.
        check: Returns the text, perhaps changed, or raises ValueError.
        on: What it checks.
        then: What happens to a text that does not pass.
        whole: Whether it checks all texts of a structured answer together, and not each by itself.
    """

    name: str
    check: Callable[[str], str]
    on: On
    then: Then
    whole: bool = False

    async def around_tool(self, call: ToolCall, make: Callable[[ToolCall], Awaitable[ToolOutcome]]) -> ToolOutcome:
        """Check a tool's result, if that is what the guard is for.

        Raises:
            GuardFailed: A guard with `then="fail"` rejects it.
        """
        outcome = await make(call)
        if self.on != "tool":
            return outcome
        try:
            text = await asyncio.to_thread(_checked, self, outcome.text, f"tool {call.name}")
        except BadAnswer as error:
            text = f"The result of {call.name} is withheld: {error.message}"
            return dataclasses.replace(outcome, text=text, is_error=True, media=())
        return outcome if text == outcome.text else dataclasses.replace(outcome, text=text)


@ends_at_caller
def max_characters(most: int, *, on: On = "output", then: Then | None = None) -> Guard:
    """Limit each text to this many characters.

    Args:
        most: The limit, in Python's characters.
        on: The question, the answer, or a tool's result; each text of a structured answer is measured by itself.
        then: `retry` (the default on output), `rewrite` (cut it, with … at the end), `fail` (the default on input).
            A question cannot be cut: the end that it would lose may be the author's.

    Raises:
        DefinitionError: The number is not above 0, or `then` is not possible here.

    Example:
        >>> check_text([max_characters(5, then="rewrite")], "a long text", "output")
        'a lo…'
    """
    _above_0("max_characters", most)
    chosen = _then("max_characters", on, then, cuts=True)

    def check(text: str) -> str:
        if len(text) <= most:
            return text
        if chosen == "rewrite":
            return text[: most - 1].rstrip() + "…"
        raise ValueError(f"a text has {len(text)} characters; at most {most} are allowed")

    return Guard("max_characters", check, on, chosen)


@ends_at_caller
def max_words(most: int, *, on: On = "output", then: Then | None = None) -> Guard:
    """Limit each text to this many words, separated by whitespace.

    Args:
        most: The limit.
        on: As for `max_characters`.
        then: As for `max_characters`.

    Raises:
        DefinitionError: As for `max_characters`.

    Example:
        >>> check_text([max_words(2, then="rewrite")], "three words here", "output")
        'three words…'
    """
    _above_0("max_words", most)
    chosen = _then("max_words", on, then, cuts=True)

    def check(text: str) -> str:
        count = len(text.split())
        if count <= most:
            return text
        if chosen == "rewrite":
            end = [match.end() for match, _ in zip(re.finditer(r"\S+", text), range(most), strict=False)][-1]
            return text[:end] + "…"
        raise ValueError(f"a text has {count} words; at most {most} are allowed")

    return Guard("max_words", check, on, chosen)


@ends_at_caller
def required(*needed: str | re.Pattern[str], on: On = "output", then: Then | None = None) -> Guard:
    """Require that each of these occurs in the text; in a structured answer, in any of its texts.

    Args:
        needed: Words, found as whole words in any case; or compiled patterns, searched for unchanged.
        on: The question, the answer, or a tool's result.
        then: `retry` (the default on output) or `fail` (the default on input); a guard cannot add missing words.

    Raises:
        DefinitionError: Nothing is required, or `then` is not possible here.

    Example:
        >>> check_text([required("tide")], "the tide turns", "output")
        'the tide turns'
    """
    patterns = _patterns("required", needed)
    chosen = _then("required", on, then, rewrites=False)

    def check(text: str) -> str:
        lacking = [label for label, pattern in patterns if pattern.search(text) is None]
        if lacking:
            raise ValueError(f"it has to have {', '.join(lacking)}")
        return text

    return Guard("required", check, on, chosen, whole=True)


@ends_at_caller
def forbidden(*words: str | re.Pattern[str], on: On = "output", then: Then | None = None) -> Guard:
    """Require that none of these occurs in a text.

    Args:
        words: Words, found as whole words in any case; or compiled patterns, searched for unchanged.
        on: The question, the answer, or a tool's result.
        then: `retry` (the default on output), `rewrite` (each becomes `[removed]`), `fail` (the default on input).

    Raises:
        DefinitionError: Nothing is forbidden, or `then` is not possible here.

    Example:
        >>> check_text([forbidden("secret", then="rewrite")], "a Secret plan", "output")
        'a [removed] plan'
    """
    patterns = _patterns("forbidden", words)
    chosen = _then("forbidden", on, then)

    def check(text: str) -> str:
        found = [(label, pattern) for label, pattern in patterns if pattern.search(text) is not None]
        if found and chosen != "rewrite":
            raise ValueError(f"it must not have {', '.join(label for label, _ in found)}")
        for _, pattern in found:
            text = pattern.sub(REMOVED, text)
        return text

    return Guard("forbidden", check, on, chosen)


@ends_at_caller
def personal_data(*kinds: Kind, on: On = "output", then: Then = "rewrite") -> Guard:
    """Require that no text has personal data of these kinds, as far as its form shows it.

    E-mail addresses, IBANs and card numbers (both by their check digits), IP addresses, and telephone numbers written
    in international or American form, or with a leading 0. It does not find names, postal addresses, dates of birth,
    passport or insurance numbers, anything spelt out in words, broken over lines or written with digits other than 0-9.
    It also matches some numbers that are not personal: one in ten numbers of 13 to 19 digits with the first digit of a
    card, a version of four parts. It reduces the risk, and does not guarantee that nothing is left.

    Args:
        kinds: `email`, `iban`, `card`, `ip`, `phone`; all if none is given.
        on: The question, the answer, or a tool's result.
        then: `rewrite` (each becomes its kind, as `[e-mail address]`), `retry` or `fail`. Messages contain only the
            kinds, not the data.

    Raises:
        DefinitionError: A kind is unknown, or `then` is not possible here.

    Example:
        >>> check_text([personal_data("email")], "write to ann@example.org", "output")
        'write to [e-mail address]'
    """
    for kind in kinds:
        if kind not in KINDS:
            raise DefinitionError(f"personal_data({kind!r})", repair=f"kinds are: {', '.join(KINDS)}")
    chosen = _then("personal_data", on, then)

    def check(text: str) -> str:
        clean, found = masked(text, kinds or KINDS)
        if found and chosen != "rewrite":
            kinds_found = ", ".join(f"{name} ({count})" for name, count in found.items())
            raise ValueError(f"it must not have personal data: {kinds_found}")
        return clean

    return Guard("personal_data", check, on, chosen)


@ends_at_caller
def guard(function: Callable[[str], str], *, on: On = "output", then: Then | None = None) -> Guard:
    """Make a guard from a function.

    Args:
        function: Returns the text, perhaps changed, or raises ValueError with what is wrong, in words for the model.
        on: The question, the answer, or a tool's result; it is called with each text of a structured answer.
        then: What its ValueError causes: `retry` (the default on output) or `fail` (the default on input). To rewrite a
            text, it returns the new one.

    Raises:
        DefinitionError: The function is async, or `then` is not possible here.

    Example:
        >>> def no_shouting(text: str) -> str:
        ...     return text.lower() if text.isupper() else text
        >>> check_text([guard(no_shouting)], "STOP", "output")
        'stop'
    """
    name = getattr(function, "__name__", type(function).__name__)
    if is_async(function):
        raise DefinitionError(f"the guard {name} is async", repair="give a plain function: it only checks a text")
    chosen = _then(name, on, then, rewrites=False)

    def check(text: str) -> str:
        checked: object = function(text)
        if isinstance(checked, str):
            return checked
        raise DefinitionError(
            f"the guard {name} returned {type(checked).__name__}, not text",
            repair="return the text that it got, perhaps changed",
        )

    return Guard(name, check, on, chosen)


def as_guards(given: Sequence[Hooks | Callable[[str], str]]) -> tuple[Hooks, ...]:
    """Return the guards and hooks, with plain functions made into guards on output.

    Raises:
        DefinitionError: An item is neither a guard nor hooks nor a function.
    """
    made: list[Hooks] = []
    for item in given:
        if isinstance(item, type) or (not isinstance(item, Hooks) and not callable(item)):
            raise DefinitionError(
                f"{item!r} is not a guard",
                repair="give a function of a text, a guard such as max_words(…), or Hooks",
            )
        made.append(item if isinstance(item, Hooks) else guard(item))
    return tuple(made)


def check_text(guards: Sequence[Guard], text: str, on: On, *, where: str = "") -> str:
    """Return a text after all guards of this side, each applied to the result of the one before.

    Args:
        guards: The guards in order.
        text: The question, or the answer.
        on: Which of these it is.
        where: The place that errors name, as `agent critic`.

    Raises:
        GuardFailed: A guard with `then="fail"` rejects it.
        BadAnswer: A guard with `then="retry"` rejects it; the message is for the model.
    """
    for one in guards:
        if one.on == on:
            text = _checked(one, text, where)
    return text


def apply_to_value(guards: Sequence[Guard], value: T, on: On = "output", *, where: str = "") -> T:
    """Return a structured answer after all guards of this side, applied to every text in it.

    Texts are those in models, dataclasses, lists, tuples, sets and dicts, keys included, but not members of enums.
    If a guard changes one, the value is a copy that is not validated again (see `Output.again`).

    Args:
        guards: As for `check_text`.
        value: The answer.
        on: As for `check_text`.
        where: As for `check_text`.

    Raises:
        GuardFailed, BadAnswer: As for `check_text`.
    """
    for one in guards:
        if one.on == on and one.whole:
            _checked(one, "\n".join(_texts(value)), where)
        elif one.on == on:
            value = cast("T", _changed(value, lambda text, one=one: _checked(one, text, where)))  # type: ignore[misc]
    return value


def _checked(one: Guard, text: str, where: str) -> str:
    try:
        return one.check(text)
    except ValueError as error:
        if one.then == "retry":
            raise BadAnswer(
                str(error), where=where, repair=f"ask for it in the prompt, or loosen the guard {one.name}"
            ) from error
        side = {"input": "question", "output": "answer", "tool": "result"}[one.on]
        raise GuardFailed(
            f"the guard {one.name} rejected the {side}: {error}",
            where=where,
            repair="change what the agent is given, or loosen the guard",
        ) from error


def _texts(value: object) -> list[str]:
    found: list[str] = []

    def keep(text: str) -> str:
        found.append(text)
        return text

    _changed(value, keep)
    return found


def _changed(value: Any, check: Callable[[str], str]) -> Any:  # noqa: ANN401, PLR0911 - any answer, a kind a return
    """Return a value with its texts checked; the same object if none was changed."""
    if isinstance(value, enum.Enum):
        return value
    if isinstance(value, str):
        return check(value)
    if isinstance(value, BaseModel):
        fields = {**vars(value), **(value.model_extra or {})}
        new = _changes(fields, check)
        return value.model_copy(update=new) if new else value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        new = _changes({field.name: getattr(value, field.name) for field in dataclasses.fields(value)}, check)
        return _replaced(value, new) if new else value
    if isinstance(value, Mapping):
        pairs = {_changed(key, check): _changed(item, check) for key, item in value.items()}
        same = len(pairs) == len(value) and all(key in value and pairs[key] is value[key] for key in pairs)
        return value if same else pairs
    if isinstance(value, (list, tuple, set, frozenset)):
        items = [_changed(item, check) for item in value]
        if all(new is old for new, old in zip(items, value, strict=True)):
            return value
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    return value


def _changes(fields: Mapping[str, object], check: Callable[[str], str]) -> dict[str, object]:
    """Return the fields that are other objects after the check."""
    checked = {name: _changed(item, check) for name, item in fields.items()}
    return {name: item for name, item in checked.items() if item is not fields[name]}


def _replaced(value: object, new: Mapping[str, object]) -> object:
    """Return a copy of a dataclass with some fields set, without calling its constructor."""
    made = object.__new__(type(value))
    for field in dataclasses.fields(cast("Any", value)):
        object.__setattr__(made, field.name, new.get(field.name, getattr(value, field.name)))
    return made


def _then(name: str, on: On, then: Then | None, *, rewrites: bool = True, cuts: bool = False) -> Then:
    """Return what follows a rejection, after validating it."""
    if on not in get_args(On):
        raise DefinitionError(f"{name}(on={on!r})", repair="on is 'input', 'output' or 'tool'")
    if then is None:
        return "fail" if on == "input" else "retry"
    if then not in get_args(Then):
        raise DefinitionError(f"{name}(then={then!r})", repair="then is 'retry', 'rewrite' or 'fail'")
    if on == "input" and then == "retry":
        _refuse(name, on, then, "a model cannot correct the question: use 'fail'")
    if then == "rewrite" and not rewrites:
        _refuse(name, on, then, "it cannot change a text by itself: use 'fail'" + (" or 'retry'" * (on != "input")))
    if then == "rewrite" and cuts and on == "input":
        _refuse(name, on, then, "the part that is cut may be the author's own words: use 'fail', or shorten the field")
    return then


def _refuse(name: str, on: On, then: Then, repair: str) -> NoReturn:
    raise DefinitionError(f"{name}(on={on!r}, then={then!r}) is not possible", repair=repair)


def _above_0(name: str, most: int) -> None:
    if type(most) is not int or most < 1:
        raise DefinitionError(f"{name}({most!r})", repair="give a whole number above 0")


def _patterns(name: str, given: Sequence[str | re.Pattern[str]]) -> list[tuple[str, re.Pattern[str]]]:
    """Return each item's label for messages and its pattern; a text matches as whole words, in any case."""
    found = []
    for item in given:
        if isinstance(item, re.Pattern):
            found.append((f"/{item.pattern}/", item))
        elif item.strip():
            begins, ends = (r"(?<!\w)" * item[0].isalnum()), (r"(?!\w)" * item[-1].isalnum())
            found.append((repr(item), re.compile(begins + re.escape(item) + ends, re.IGNORECASE)))
        else:
            raise DefinitionError(f"{name}({item!r})", repair="give text, or re.compile(…)")
    if not found:
        raise DefinitionError(f"{name}() has nothing to search for", repair="give text, or re.compile(…)")
    return found


__all__ = [
    "REMOVED",
    "Guard",
    "On",
    "Then",
    "apply_to_value",
    "as_guards",
    "check_text",
    "forbidden",
    "guard",
    "max_characters",
    "max_words",
    "personal_data",
    "required",
]
