"""Questions as nodes: a node that finishes when it is answered."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from enum import Enum
from types import FunctionType
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError
from pydantic_core import PydanticSerializationError, from_json, to_json

from graphengine.errors import DefinitionError
from graphengine.graph.options import is_seconds, none_for_ever
from graphengine.state.field import explain
from graphengine.state.hints import unaliased
from graphengine.state.injection import Injected, Parameter
from graphengine.state.json_values import utf8_text
from graphengine.state.marks import marked, read_json
from graphengine.state.path import is_path, parse, walk

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from graphengine.graph.runnable import AnyFunction, Kind
    from graphengine.state.json_values import JsonValue

T = TypeVar("T")

HOLE: Final = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
"""A path in a text; `{{` or `}}`, which are braces; or a single brace, which is a mistake."""

_SHOWN: Final = 20  # characters around a single brace
_PATH: Final = "name a field, such as 'customer', or a part of a field, such as 'order.amount'"

NO_ANSWER: Final = object()
"""The marker for no default answer."""


class ReadsAnswer(Protocol):
    """The type of an answer."""

    def read(self, record: Any, /) -> Any:  # noqa: ANN401 - JSON, and of that type
        """Convert the recorded form of an answer to a Python value, or raise a `ValidationError`."""


class Answers:
    """The type of the answers to a question. It provides their JSON Schema, and records answers and reads them back.

    Some answers are not checked against the JSON Schema first, such as messages. They are validated strictly, so that
    `true` is not accepted as a number.
    """

    __slots__ = ("_adapter", "_strict", "schema", "type")

    def __init__(self, output: Any, *, strict: bool = False) -> None:  # noqa: ANN401 - any type that pydantic knows
        output = unaliased(output)
        self.type, self._strict = output, strict or None
        if isinstance(output, (list, tuple, set, dict)):
            choices = ", ".join(map(repr, output))
            repair = f"to accept one of these answers, give Literal[{choices}], with `from typing import Literal`"
            raise DefinitionError(f"{output!r} cannot be the type of an answer, because it is a value", repair=repair)
        if isinstance(output, (str, FunctionType)):
            what = "text" if isinstance(output, str) else "function"
            message = f"{output!r} cannot be the type of an answer, because it is a {what}"
            raise DefinitionError(message, repair="give the type itself, such as bool, str or Literal['a', 'b']")
        try:
            self._adapter: TypeAdapter[Any] = TypeAdapter(output)
            self.schema: dict[str, JsonValue] = self._adapter.json_schema()
        except (PydanticUserError, ValueError, AttributeError) as error:  # as of a value
            raise DefinitionError(
                f"{output!r} cannot be the type of an answer: {error}", repair="use a type that JSON can represent"
            ) from error

    def read(self, record: JsonValue) -> Any:  # noqa: ANN401
        """Convert the recorded form of an answer to a Python value.

        Raises:
            ValidationError: The record does not fit the type.
        """
        options: dict[str, Any] = {"strict": self._strict, "by_name": True, "by_alias": True}
        return read_json(functools.partial(self._adapter.validate_json, **options), to_json(record))

    def record(self, value: object) -> JsonValue:
        """Check the default answer of a question against the type of its answers, and convert it to its recorded form.

        Raises:
            DefinitionError: The answer does not fit the type.
        """
        try:
            answer = self._adapter.validate_python(value)
            dumped = self._adapter.dump_json(answer, by_alias=False, round_trip=True)
            return from_json(marked(answer, dumped))
        except (ValidationError, PydanticSerializationError) as error:
            reason = explain(error) if isinstance(error, ValidationError) else str(error)
            raise DefinitionError(
                f"the default {value!r} does not fit the type of the answer: {reason}",
                repair="give a default of that type, or change the type",
            ) from error


@dataclass(frozen=True, slots=True)
class Ask:
    """See `ask`."""

    question: str | AnyFunction[str]
    answers: Answers
    timeout_seconds: float | None
    default: object
    facts: Sequence[str] = ()
    proposed: str | None = None
    was: str | None = None

    def __body__(self) -> AskBody:
        paths = [*holes(self.question)] if isinstance(self.question, str) else []
        read = [] if isinstance(self.question, str) else [*Injected.of(self.question).parameters]
        read_names = {each.name for each in read}
        beside = [*self.facts, *filter(None, (self.proposed, self.was))]
        shown = [path for path in dict.fromkeys([*paths, *beside]) if is_path(path) and path not in read_names]
        call = functools.partial(_fill_question, self.question, read_names)
        return AskBody(self, [*read, *(Parameter(path, shown=True) for path in shown)], self.answers.type, call)

    def facts_in(self, values: Mapping[str, object]) -> dict[str, object]:
        """Return the values to show beside the question: `facts` by path, and `proposed` and `old` if declared."""
        named = (("proposed", self.proposed), ("old", self.was))
        found: dict[str, object] = {"facts": {path: _value_at(values, path) for path in self.facts}}
        return found | {name: _value_at(values, path) for name, path in named if path is not None}


def check_limit(timeout_seconds: float | None, default: object, where: str, call: str) -> float | None:
    """Check `timeout_seconds=` and `default=` of a question, and return how many seconds to wait; None to wait forever.

    Raises:
        DefinitionError: The number of seconds is not valid, or there is a default but no number of seconds.
    """
    if timeout_seconds is None and default is not NO_ANSWER:
        repair = "give the time after which the default becomes the answer: timeout_seconds=…"
        raise DefinitionError(
            f"default={default!r} is given without timeout_seconds, so it would never apply", where=where, repair=repair
        )
    timeout_seconds = none_for_ever(timeout_seconds)
    if timeout_seconds is not None and not is_seconds(timeout_seconds):
        repair = "write timeout_seconds=60, or None for no limit"
        message = f"{call}(timeout_seconds={timeout_seconds!r}): timeout_seconds must be a number of seconds above 0"
        raise DefinitionError(message, where=where, repair=repair)
    return timeout_seconds


def ask(  # noqa: PLR0913 - what is asked, until when, and what stands beside it
    question: str | AnyFunction[str],
    output: Any = str,  # noqa: ANN401 - a type
    *,
    timeout_seconds: float | None = None,
    default: object = NO_ANSWER,
    facts: Sequence[str] = (),
    proposed: str | None = None,
    was: str | None = None,
) -> Ask:
    """Return a runnable that asks a person (or a program) a question and waits for the answer, which is its result.

    Args:
        question: The question: text whose `{paths}` are read from the state, or a function of fields.
        output: The type of the answer. Its JSON Schema is stored with the question, and an answer that does not fit is
            rejected when it is given.
        timeout_seconds: How long to wait. After that, the default becomes the answer; without a default, the node fails
            with `wait_timeout`.
        default: The answer after that time.
        facts: What the person who answers must know: paths in the state, whose values are recorded with the question.
        proposed: The path of the value that is proposed.
        was: The path of the value that the proposed value would replace.

    Example:
        >>> approve = ask("Publish {title}?", bool, timeout_seconds=86_400, default=False)
        >>> refund = ask("Refund {amount} EUR?", bool, facts=["customer", "reason"], proposed="amount", was="asked_for")
    """
    timeout_seconds = check_limit(timeout_seconds, default, "ask(…)", "ask")
    answers = Answers(output)
    if default is not NO_ANSWER:
        answers.record(default)
    if isinstance(facts, str):
        message = f"ask(facts={facts!r}) is one text, but must be a list of paths"
        raise DefinitionError(message, repair=f"give a list: facts=[{facts!r}]")
    for path in ("" if callable(question) else question, *facts, proposed or "", was or ""):
        if not isinstance(path, str):
            message = f"ask(…) got {path!r} where a text is needed"
            raise DefinitionError(message, repair="give a text as the question, and paths for facts=, proposed=, was=")
    return Ask(question, answers, timeout_seconds, default, tuple(facts), proposed, was)


@dataclass(frozen=True, slots=True)
class AskBody:
    """Lets a node ask a question, through the interface that the engine also uses for functions.

    The result of the node is the answer.
    """

    ask: Ask
    parameters: Sequence[Parameter]
    returns: object
    call: Callable[..., object]
    name: str = "ask"
    kind: Kind = "ask"
    thread: bool = False

    def problems(self) -> Sequence[tuple[str, str, str]]:
        """Return the mistakes in the question's paths, parameters and braces.

        Each mistake is a tuple of its code, its message and its repair.
        """
        beside = [*self.ask.facts, *filter(None, (self.ask.proposed, self.ask.was))]
        bad = [("bad_path", f"the question shows {path!r}, which is not a path", _PATH) for path in beside]
        bad = [each for each, path in zip(bad, beside, strict=True) if not is_path(path)]
        if not isinstance(self.ask.question, str):
            found = [
                f"the question has {text}, which names no field" for text in Injected.of(self.ask.question).variadic
            ]
            return [*bad, *(("bad_parameter", text, "write one parameter for each field it reads") for text in found)]
        faults = bad_braces(self.ask.question)
        return [*bad, *(("bad_path", f"the question {fault}", repair) for fault, repair in faults)]


def _fill_question(question: str | Callable[..., object], known: Collection[str], /, **values: object) -> object:
    if isinstance(question, str):
        return fill_question(question, values)
    return question(**{name: value for name, value in values.items() if name in known})


def _value_at(values: Mapping[str, object], name: str) -> object:
    path = parse(name)
    if name not in values and path.root not in values:
        message = f"the question shows {name!r}, which is not a field of the state"
        raise DefinitionError(message, repair="name fields of the state, as facts=['customer']")
    return values[name] if name in values else walk(values[path.root], path.parts)


@functools.lru_cache(256)  # an agent has one or two prompts, and asks for the paths of each several times a call
def holes(text: str) -> tuple[str, ...]:
    """Return the paths in braces in a question or a prompt, each once, in order. `{{` and `}}` stand for braces."""
    found = [match.group(1).strip() for match in HOLE.finditer(text) if match.group(1) is not None]
    return tuple(dict.fromkeys(found))


@functools.lru_cache(256)
def bad_braces(text: str) -> tuple[tuple[str, str], ...]:
    """Find mistakes in the braces of a question or a prompt, each with a repair.

    A mistake is a text in braces that is not a path, or a brace without its counterpart.
    """
    found = [f"has {{{hole}}}, which is not a path" for hole in holes(text) if not is_path(hole)]
    at = next((match.start() for match in HOLE.finditer(text) if len(match.group()) == 1), None)
    if at is not None:
        line, column = text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)
        near = text[max(0, at - _SHOWN) : at + _SHOWN]
        other = "}" if text[at] == "{" else "{"
        found.append(f"has {text[at]} without a matching {other} in line {line}, column {column}: {near!r}")
    return tuple((fault, "write {path} to insert a value, and {{ or }} for a brace in the text") for fault in found)


def fill_question(text: str, values: Mapping[str, object]) -> str:
    """Fill in the text of a question: each `{path}` is replaced by the value at this path of the state."""

    def put(match: re.Match[str]) -> str:
        hole = match.group(1)
        if hole is None:
            return match.group()[0]
        return _as_text(_value_at(values, hole.strip()))

    return HOLE.sub(put, text)


def _as_text(value: object) -> str:
    """Convert a value to the text that stands for it in a question to a person.

    A text stays as it is, and None becomes "". A model that has its own `__str__` is converted with it. Every other
    value becomes JSON.
    """
    value = value.value if isinstance(value, Enum) else value
    if value is None or isinstance(value, str):
        return utf8_text(value or "")
    items: Sequence[object] = value if isinstance(value, (list, tuple)) else [value]
    if items and all(isinstance(item, BaseModel) and type(item).__str__ is not BaseModel.__str__ for item in items):
        return " ".join(map(str, items))  # such as a picture
    try:
        return to_json(value, indent=2, fallback=str).decode().strip('"')
    except (PydanticSerializationError, RecursionError, ValueError) as error:
        raise DefinitionError(
            f"a value of type {type(value).__name__} cannot be shown in a text: {error}",
            repair="use a value that JSON can represent",
        ) from error
