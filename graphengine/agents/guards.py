"""Guards: functions that check the texts that an agent sends to its model or receives from it.

A guard is a function that receives a text and returns it, possibly changed. If the text is not acceptable, the guard
raises ValueError with a description of the problem. The guard's setting `then` decides what follows: the model is asked
again (`retry`), or the node fails (`fail`).

A guard checks one of four kinds of text: the question before it is sent, the texts of the final answer, the arguments
of tool calls before they are made, or the results of tools before the model receives them. Streamed text (`TextDelta`)
is shown before a guard checks it. The log contains each answer as the model gave it. A conversation contains it as
well, but what a guard refused (an answer, or the arguments of a call) is removed from the conversation once the model
has given another answer.

`Hooks` can do more: they are async, see every call and the streamed text, and their results are recorded.
"""

from __future__ import annotations

import asyncio
import dataclasses
import enum
import functools
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, TypeVar, cast, get_args

from pydantic import BaseModel

from graphengine.agents.errors import BadAnswer, GuardFailed
from graphengine.agents.records import ToolOutcome
from graphengine.errors import DefinitionError, GraphEngineError, mark_repair
from graphengine.kernel.inside import is_async
from graphengine.models.base import Response

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator, Sequence

    from graphengine.models.base import Request, ToolCall

_CHATTER: Final = 40
"""The largest number of words before a title that count as chatter; with more words, the text has no title."""
T = TypeVar("T")
A = TypeVar("A")
R = TypeVar("R")

On: TypeAlias = Literal["input", "output", "tool", "arguments"]
"""The text that a guard checks.

- `input`: the question that is sent to the model.
- `output`: the model's final answer.
- `tool`: the results of tools.
- `arguments`: the arguments of tool calls, as a JSON text.
"""

Then: TypeAlias = Literal["retry", "fail"]
"""The reaction when a guard rejects a text.

With `retry` the model is asked again; with `fail` the node fails. For the result of a tool, `retry` gives the model the
reason in place of the result. For arguments, `retry` gives the model the reason, and the call is not made.
"""


class Hooks:
    """Code around the calls of an agent. Subclass it, override one or both methods, and pass it in `Agent(hooks=[…])`.

    A subclass of `Hooks` sees what an agent sends to the model and what the model returns. Its methods may change both,
    refuse the call by raising an exception, answer without calling the model, or call the model again. If an agent has
    several hooks, the first one is the outermost: it receives the request first and the answer last.

    What a hook returns is recorded. A resumed run uses the recorded result and does not call the hook again, so a hook
    runs once for each call. A call that is sent to the provider as part of a batch is different: its hook runs each
    time that the batch is checked. If a hook calls the model a second time, the programs that watch the run receive the
    event `AnswerReset`, because the text that they have shown for the first call no longer counts.

    Example:
        >>> class Audit(Hooks):
        ...     async def around_model(self, request, call):
        ...         response = await call(request)
        ...         print(f"{request.agent}: {response.content}")
        ...         return response
        >>> from graphengine import ScriptedModel
        >>> asyncio.run(Agent("greeter", model=ScriptedModel(["hello"]), prompt="Greet.", hooks=[Audit()]).run())
        greeter: hello
        'hello'
    """

    __slots__ = ()

    async def around_model(self, request: Request, call: Callable[[Request], Awaitable[Response]]) -> Response:
        """Call the model and return its answer.

        Args:
            request: The request: instructions, messages, tools and settings. Use `dataclasses.replace` to change it. If
                you set another `on_text`, the hook receives the text while it is streamed, and has to pass on the text
                that watchers may see.
            call: Calls the model through its rate limiter.
        """
        return await call(request)

    async def around_tool(self, call: ToolCall, make: Callable[[ToolCall], Awaitable[ToolOutcome]]) -> ToolOutcome:
        """Call a tool and return its result.

        Args:
            call: The call, as the model wrote it, or with the arguments that the approving person changed.
            make: Calls the tool.
        """
        return await make(call)


@dataclasses.dataclass(frozen=True, slots=True)
class Guard:
    """A check of the texts that an agent sends or receives. Make one with `guard`.

    Attributes:
        name: The name of the guard in messages.
        check: A function that returns the text, possibly changed, or raises ValueError.
        on: The kind of text that the guard checks.
        then: The reaction when the guard rejects a text.
    """

    name: str
    check: Callable[[str], str]
    on: On
    then: Then

    async def around_tool(self, call: ToolCall, make: Callable[[ToolCall], Awaitable[ToolOutcome]]) -> ToolOutcome:
        """Check the arguments or the result of a tool call, if the guard is for one of them.

        Arguments that a person changed are checked as well.

        Raises:
            GuardFailed: The guard rejects the text and was made with `then="fail"`.
        """
        if self.on == "arguments":
            try:
                arguments = await asyncio.to_thread(_check_text, self, call.arguments, f"tool {call.name}")
            except BadAnswer as error:
                text = f"This call of {call.name} was not made: {error.message}"
                return ToolOutcome(text, is_error=True, is_guarded=True)
            return await make(call.model_copy(update={"arguments": arguments}))
        outcome = await make(call)
        if self.on != "tool":
            return outcome
        try:
            text = await asyncio.to_thread(_check_text, self, outcome.text, f"tool {call.name}")
        except BadAnswer as error:
            text = f"The result of {call.name} is withheld: {error.message}"
            return dataclasses.replace(outcome, text=text, is_error=True, media=())
        return outcome if text == outcome.text else dataclasses.replace(outcome, text=text)


def guard(function: Callable[[str], str], *, on: On = "output", then: Then | None = None) -> Guard:
    """Make a guard from a function.

    Args:
        function: Returns the text, possibly changed, or raises ValueError with a description of the problem that the
            model understands.
        on: The kind of text to check: the question, the answer, the result of a tool or the arguments of a call. For a
            structured answer, the function is called with each text in it.
        then: The reaction to a ValueError: `retry` (the default, except for questions) or `fail` (the default for
            questions).

    Raises:
        DefinitionError: The function is async, or `then` is not possible for this kind of text.

    Example:
        >>> def no_shouting(text: str) -> str:
        ...     return text.lower() if text.isupper() else text
        >>> check_text([guard(no_shouting)], "STOP", "output")
        'stop'
    """
    name = getattr(function, "__name__", type(function).__name__)
    if is_async(function):
        text = f"the guard {name!r} is an async function, but a guard must be a function without async"
        raise DefinitionError(text, repair="define the guard with def: a guard only checks a text")
    if on not in get_args(On):
        kinds = ", ".join(map(repr, get_args(On)))
        raise DefinitionError(f"guard({name}, on={on!r}): on must be one of {kinds}", repair="write on='output'")
    chosen = then or ("fail" if on == "input" else "retry")
    if chosen not in get_args(Then):
        raise DefinitionError(
            f"guard({name}, then={chosen!r}): then must be 'retry' or 'fail'",
            repair="write then='fail'. To change the text, let the function return the new text",
        )
    if (on, chosen) == ("input", "retry"):
        raise DefinitionError(
            f"guard({name}, on='input', then='retry'): a model cannot correct the question, so then must be 'fail'",
            repair="write then='fail'",
        )

    def check(text: str) -> str:
        checked: object = function(text)
        if isinstance(checked, str):
            return checked
        raise DefinitionError(
            f"the guard {name!r} returned {type(checked).__name__}, but a guard must return a text",
            repair="let the guard return the text that it received, changed or unchanged",
        )

    return Guard(name, check, on, chosen)


def bare_markdown(text: str) -> str:
    r"""Remove the fence around a Markdown document, and the words of the model before the document's title.

    Pass `bare_markdown` as a guard of an agent's answers: `Agent(guards=[bare_markdown])`. The guard cleans the text,
    so the model does not have to be asked again for a clean one. `bare_markdown` does not change a text without a
    title. It also does not change a text if more than 40 words, another heading, or code come before the title, because
    these probably belong to the document.

    Example:
        >>> bare_markdown("Here is the brief:\n\n```markdown\n# Tides\n\nThey rise.\n```\nAnything else?")
        '# Tides\n\nThey rise.'
    """
    title = re.search(r"^# ", text, re.MULTILINE)
    before, found = (text[: title.start()], text[title.start() :]) if title else ("", text)
    opened = re.search(r"^(```|~~~)\w*\s*\Z", before, re.MULTILINE)
    if opened:
        found = found.rpartition(f"\n{opened[1]}")[0] or found
    has_code = len(re.findall("^(?:```|~~~)", before, re.MULTILINE)) != bool(opened)
    is_chatter = len(before.split()) <= _CHATTER and not has_code and "\n#" not in f"\n{before}"
    return found if is_chatter else text


def as_guards(given: Sequence[Guard | Callable[[str], str]]) -> tuple[Guard, ...]:
    """Convert the items of `guards=` to Guards. A plain function becomes a guard of answers.

    Raises:
        DefinitionError: A function is async.
    """
    return tuple(item if isinstance(item, Guard) else guard(item) for item in given)


def misplaced(guards: Sequence[object], hooks: Sequence[object]) -> Iterator[tuple[str, str, str]]:
    """Yield each item of `guards=` or `hooks=` that was put into the wrong list or has a wrong type.

    Each is yielded with the reason and a repair.
    """
    for item in guards:
        if isinstance(item, Hooks) or (isinstance(item, type) and issubclass(item, Hooks)):
            repair = "write hooks=[…] for a hook: hooks see calls, and guards check texts"
            yield f"guards=[{item!r}]", "this is a hook, and not a guard", repair
        elif isinstance(item, type) or not (isinstance(item, Guard) or callable(item)):
            repair = "give a function of a text, or guard(function, …)"
            yield f"guards=[{item!r}]", "each guard must be a function", repair
    for item in hooks:
        if isinstance(item, type) and issubclass(item, Hooks):
            repair = f"give an instance: hooks=[{item.__name__}()]"
            yield f"hooks=[{item.__name__}]", f"{item.__name__} is a class, but hooks must be instances", repair
        elif not isinstance(item, Hooks):
            is_check = isinstance(item, Guard) or callable(item)
            repair = "write guards=[…] for a function that checks a text"
            repair = repair if is_check else "give an instance of a subclass of Hooks"
            yield f"hooks=[{item!r}]", "each hook must be an instance of a subclass of Hooks", repair


def check_text(guards: Sequence[Guard], text: str, on: On, *, where: str = "") -> str:
    """Apply all guards for a kind of text, each to the result of the one before it, and return the final text.

    Args:
        guards: The guards in order.
        text: The question or the answer.
        on: The kind of text.
        where: The place that errors name, such as `agent critic`.

    Raises:
        GuardFailed: A guard with `then="fail"` rejects the text.
        BadAnswer: A guard with `then="retry"` rejects the text; the message is sent to the model.
    """
    for one in guards:
        if one.on == on:
            text = _check_text(one, text, where)
    return text


def apply_to_value(guards: Sequence[Guard], value: T, *, where: str = "") -> T:
    """Apply all guards of answers to every text in a structured answer, and return the answer.

    The texts in models, dataclasses, lists, tuples, sets and dicts are checked, including the keys of dicts. Members of
    enums are not checked. If a guard changes a text, the returned value is a copy that is not validated again (see
    `Output.again`).

    Args:
        guards: As for `check_text`.
        value: The answer.
        where: As for `check_text`.

    Raises:
        GuardFailed, BadAnswer: As for `check_text`.
    """
    return cast("T", _check_texts_in(value, lambda text: check_text(guards, text, "output", where=where)))


def _check_text(one: Guard, text: str, where: str) -> str:
    try:
        return one.check(text)
    except StopIteration as error:  # a future cannot carry it, so the caller would wait for ever
        raise RuntimeError(f"the guard {one.name!r} raised StopIteration, which only an iterator may raise") from error
    except ValueError as error:
        if one.then == "retry":
            raise BadAnswer(
                str(error), where=where, repair=f"state this in the prompt, or let the guard {one.name!r} accept more"
            ) from error
        side = {"input": "question", "output": "answer", "tool": "result"}.get(one.on, one.on)
        raise GuardFailed(
            f"the guard {one.name!r} rejected the {side}: {error}",
            where=where,
            repair="change the input of the agent, or let the guard accept more",
        ) from error


def _check_texts_in(value: Any, check: Callable[[str], str]) -> Any:  # noqa: ANN401, PLR0911 - any answer, a kind a return
    """Apply a check to each text inside a value, such as a text in a list, and return the value.

    If the check changed a text, a changed copy is returned.
    """
    if isinstance(value, enum.Enum):
        return value
    if isinstance(value, str):
        return check(value)
    if isinstance(value, BaseModel):
        fields = {**vars(value), **(value.model_extra or {})}
        new = _find_changed_fields(fields, check)
        return value.model_copy(update=new) if new else value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        new = _find_changed_fields(
            {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}, check
        )
        return _copy_with(value, new) if new else value
    if isinstance(value, Mapping):
        pairs = {_check_texts_in(key, check): _check_texts_in(item, check) for key, item in value.items()}
        same = len(pairs) == len(value) and all(key in value and pairs[key] is value[key] for key in pairs)
        return value if same else pairs
    if isinstance(value, (list, tuple, set, frozenset)):
        items = [_check_texts_in(item, check) for item in value]
        if all(new is old for new, old in zip(items, value, strict=True)):
            return value
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    return value


def _find_changed_fields(fields: Mapping[str, object], check: Callable[[str], str]) -> dict[str, object]:
    checked = {name: _check_texts_in(item, check) for name, item in fields.items()}
    return {name: item for name, item in checked.items() if item is not fields[name]}


def _copy_with(value: object, new: Mapping[str, object]) -> object:
    """Copy a dataclass with some fields changed, without calling its constructor, which may have side effects."""
    copied = object.__new__(type(value))
    for field in dataclasses.fields(cast("Any", value)):
        object.__setattr__(copied, field.name, new.get(field.name, getattr(value, field.name)))
    return copied


def around(
    hooks: Sequence[Hooks | Guard], what: Literal["around_model", "around_tool"], call: Callable[[A], Awaitable[R]]
) -> Callable[[A], Awaitable[R]]:
    """Wrap a function that calls a model or a tool, so that all these hooks can act before and after the call.

    The first hook is the outermost. The wrapped function raises a DefinitionError if a hook returns something other
    than an answer or outcome.
    """
    for hook in reversed(hooks):
        inherited = getattr(Hooks, what)
        if getattr(type(hook), what, inherited) is not inherited:
            call = functools.partial(_call_through_hook, hook, what, call)
    return call


async def _call_through_hook(
    hook: Hooks | Guard, what: Literal["around_model", "around_tool"], call: Callable[[A], Awaitable[R]], given: A
) -> R:
    """Call a hook's method. An error that the hook itself raises gets a repair that names the hook.

    Errors of the model or tool that the hook calls are passed on unchanged.
    """
    inside: list[object] = []

    async def call_inside(given: A) -> R:
        try:
            found = await call(given)
        except BaseException as error:
            inside.append(error)
            raise
        inside.append(found)
        return found

    name = f"{type(hook).__name__}.{what}"
    try:
        found: object = await getattr(hook, what)(given, call_inside)
    except Exception as error:
        if not isinstance(hook, Guard) and all(error is not each for each in inside):
            if not isinstance(error, GraphEngineError):
                mark_repair(error, f"fix the hook {name}, which raised this, and resume the run")
            elif f"the hook {name}" not in error.where:
                error.where = ", ".join(filter(None, (error.where, f"the hook {name}")))
        raise
    kind = Response if what == "around_model" else ToolOutcome
    if isinstance(found, kind) or any(found is each for each in inside):
        return cast("R", found)
    returned = "None" if found is None else type(found).__name__
    text = f"the hook {name!r} returned {returned}, but must return a {kind.__name__}"
    argument = "request" if what == "around_model" else "call"
    repair = f"write at the end of the hook: return await call({argument})"
    raise DefinitionError(text, where=f"the hook {name}", repair=repair)


__all__ = [
    "Guard",
    "Hooks",
    "On",
    "Then",
    "apply_to_value",
    "around",
    "as_guards",
    "check_text",
    "guard",
    "misplaced",
]
