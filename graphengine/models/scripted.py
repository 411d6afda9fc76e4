"""A model that answers from a script, for tests, and is strict about it.

A call that the script has no answer for is an error that shows what was asked. An answer that nobody asked for is one
too, told by `done()` or at the end of a `with` block. So a test that passes has seen the calls it names, and no others.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Final, TypeAlias, cast

from pydantic_core import PydanticSerializationError, to_json

from graphengine.errors import DefinitionError, ModelError
from graphengine.models.base import Request, Response, ToolCall
from graphengine.state.path import did_you_mean

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

Script: TypeAlias = "Iterable[object] | Callable[[Request], object]"
"""Answers in order, or one function that gives them all."""

_SHOWN: Final = 400  # characters of a text in a message
_LISTED: Final = 10  # answers in a message
_PIECE: Final = re.compile(r"\s*\S+\s*|\s+")


class OffScript(ModelError, AssertionError):
    """A scripted model was asked for what its script does not have, or was not asked for what it has."""

    code: ClassVar[str] = "off_script"


class ScriptedModel:
    """Gives prepared answers one after the other, and keeps the requests it got.

    An answer is one of these: a text; a JSON value or a pydantic instance, given as JSON text; a `ToolCall` or a list
    of them, see `calls`; a `Response`, given as it is; an exception, raised when its turn comes; a function of the
    request, async or not, that gives any of these. Texts are told to whoever watches word by word, as a stream.

    As a context manager it checks at the end of the block that every answer was asked for, as `done` does.

    Args:
        answers: The answers in order; by the name of the agent that asks, where several ask in no fixed order; or a
            function that answers every call.

    Raises:
        DefinitionError: An answer is nothing that a model could say.

    Attributes:
        requests: What it was asked, in order, calls that it had no answer for included.

    Example:
        >>> import asyncio
        >>> with ScriptedModel({"writer": ["a draft"]}) as model:
        ...     response = asyncio.run(model.answer(Request("writer", "", [])))
        >>> response.content, len(model.requests)
        ('a draft', 1)
    """

    name = "scripted"

    def __init__(self, answers: Script | Mapping[str, Script]) -> None:
        self.requests: list[Request] = []
        self._by_agent = isinstance(answers, Mapping)
        scripts: Mapping[str, Script] = cast("Mapping[str, Script]", answers) if self._by_agent else {"": answers}
        self._scripts = {agent: _Script(agent, script) for agent, script in scripts.items()}
        self._unexpected: list[str] = []

    async def answer(self, request: Request) -> Response:
        """The next answer.

        Raises:
            OffScript: There is none; shows what was asked. And whatever exception is the answer.
        """
        self.requests.append(request)
        script = self._scripts.get(request.agent if self._by_agent else "")
        if script is None or not script.has_next:
            raise self._off(request, script)
        given = script.next()
        if callable(given) and not isinstance(given, type):
            given = given(request)
            if inspect.isawaitable(given):
                given = await given
        response = _response(given, request)
        if isinstance(response.content, str):
            stream(response.content, request)
        return response

    async def knows_price(self) -> bool:
        """It costs nothing, and that is known."""
        return True

    def done(self) -> None:
        """Check that every answer was asked for, and no other.

        Raises:
            OffScript: Answers are left; lists them. Or a call had no answer, and somebody caught that error.
        """
        __tracebackhide__ = True  # for pytest: the line that called is where it failed
        if self._unexpected:
            raise OffScript("\n".join(self._unexpected), where="scripted model", repair=_REPAIR)
        left = [line for script in self._scripts.values() for line in script.left()]
        if left:
            listed = left[:_LISTED] + ([f"… and {len(left) - _LISTED} more"] if len(left) > _LISTED else [])
            noun = "answer of the script was" if len(left) == 1 else "answers of the script were"
            asked = f"{len(self.requests)} {'call' if len(self.requests) == 1 else 'calls'} came"
            raise OffScript(
                f"{len(left)} {noun} not asked for; {asked}:\n" + _indented("\n".join(listed)),
                where="scripted model",
                repair="take them out of the script, or find out why the calls did not come",
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            self.done()

    def _off(self, request: Request, script: _Script | None) -> OffScript:
        number = len(self.requests)
        if script is None:
            told = f"call {number} is agent {request.agent}'s, and the script has no such agent"
            repair = did_you_mean(request.agent, self._scripts) or "add the agent to ScriptedModel({...})"
        else:
            whose = f", agent {request.agent}'s," if self._by_agent else f", of agent {request.agent},"
            told = f"call {number}{whose} has no answer left in the script, which has {script.size}"
            repair = _REPAIR
        message = f"{told}; it asks:\n{_indented(shown(request))}"
        self._unexpected.append(message)
        return OffScript(message, where=f"agent {request.agent}", repair=repair)


def calls(*wanted: tuple[str, Mapping[str, object] | str], text: str = "") -> Response:
    """A scripted answer that wants tools to be called; several are called side by side.

    Args:
        wanted: For each call the tool's name and its arguments; text instead of a mapping is given as it is, so that
            arguments can be wrong.
        text: What the model says besides.

    Example:
        >>> calls(("add", {"a": 2, "b": 3})).calls[0].arguments
        '{"a": 2, "b": 3}'
    """
    made = tuple(
        ToolCall(id="", name=name, arguments=given if isinstance(given, str) else json.dumps(given, ensure_ascii=False))
        for name, given in wanted
    )
    return Response(text, calls=made, stop="tools", cost_usd=0.0, offline=True)


def stream(text: str, request: Request) -> None:
    """Give a prepared text to the request's watcher, word by word."""
    request.began()
    if request.on_text is not None:
        for piece in _PIECE.findall(text):
            request.on_text(piece)


def shown(request: Request) -> str:
    """What a request asks, in a few lines: the agent, its instructions, the last message."""
    lines = [f"agent: {request.agent}"]
    if request.system:
        lines.append(f"system: {shortened(request.system)}")
    if len(request.messages) > 1:
        lines.append(f"messages before: {len(request.messages) - 1}")
    if request.messages:
        last = request.messages[-1]
        lines.append(f"{last.role}: {shortened(last.text)}")
    if request.tools:
        lines.append("tools: " + ", ".join(tool.name for tool in request.tools))
    if request.schema is not None:
        lines.append(f"wants: JSON of {request.output}")
    return "\n".join(lines)


def shortened(text: str, most: int = _SHOWN) -> str:
    """A text without its middle where it is longer than this many characters."""
    if len(text) <= most:
        return text
    head, tail = most * 2 // 3, most // 3
    return f"{text[:head]} … {len(text) - head - tail} characters … {text[-tail:]}"


_REPAIR: Final = "add an answer to the script, or find out why the call came"


class _Script:
    """The answers for one agent, or for all of them."""

    def __init__(self, agent: str, given: object) -> None:
        self._agent = agent
        self._always = given if callable(given) and not isinstance(given, type) else None
        self._answers: list[object] = []
        self._position = 0
        if self._always is None:
            if isinstance(given, (str, bytes, Mapping)) or not isinstance(given, Iterable):
                raise DefinitionError(
                    f"the script{self._whose} is {shortened(repr(given), 80)}, which is no list of answers",
                    where="scripted model",
                    repair="give a list, as ScriptedModel(['a draft']), or lists by agent, {'writer': ['a draft']}",
                )
            self._answers = [self._checked(number, item) for number, item in enumerate(given, start=1)]

    @property
    def has_next(self) -> bool:
        return self._always is not None or self._position < len(self._answers)

    @property
    def size(self) -> str:
        return "none" if not self._answers else "one" if len(self._answers) == 1 else str(len(self._answers))

    @property
    def _whose(self) -> str:
        return f" of agent {self._agent}" if self._agent else ""

    def next(self) -> object:
        if self._always is not None:
            return self._always
        self._position += 1
        return self._answers[self._position - 1]

    def left(self) -> list[str]:
        return [
            f"answer {number}{self._whose}: {_told(item)}"
            for number, item in enumerate(self._answers[self._position :], start=self._position + 1)
        ]

    def _checked(self, number: int, item: object) -> object:
        if not _is_raised(item) and not callable(item):
            try:
                _content(item)
            except DefinitionError as error:
                error.where = f"answer {number}{self._whose} of a scripted model"
                raise
        return item


def _response(given: object, request: Request) -> Response:
    """The answer as a response. Calls without an id get one that no other call of the conversation has."""
    if _is_raised(given):
        raise cast("BaseException", given)
    content = _content(given)
    response = content if isinstance(content, Response) else Response(content, cost_usd=0.0, offline=True)
    if all(call.id for call in response.calls):
        return response
    before = sum(len(message.calls) for message in request.messages)
    named = (
        call if call.id else call.model_copy(update={"id": f"call_{number}"})
        for number, call in enumerate(response.calls, start=before + 1)
    )
    return replace(response, calls=tuple(named))


def _is_raised(item: object) -> bool:
    return isinstance(item, BaseException) or (isinstance(item, type) and issubclass(item, BaseException))


def _content(item: object) -> str | Response:
    """An answer as text or as a response."""
    if isinstance(item, (str, Response)):
        return item
    if isinstance(item, ToolCall):
        item = [item]
    if isinstance(item, Sequence) and item and all(isinstance(each, ToolCall) for each in item):
        return Response("", calls=tuple(cast("Sequence[ToolCall]", item)), stop="tools", cost_usd=0.0, offline=True)
    try:
        return to_json(item, round_trip=True, inf_nan_mode="constants").decode()
    except PydanticSerializationError as error:
        raise DefinitionError(
            f"{shortened(repr(item), 80)} is nothing that a model could say: {error}",
            where="scripted model",
            repair="give text, a JSON value, a pydantic instance, tool calls, a Response, an exception or a function",
        ) from None


def _told(item: object) -> str:
    """An answer in a line of a message."""
    if callable(item) and not isinstance(item, type):
        return f"a function, {getattr(item, '__name__', type(item).__name__)}"
    if _is_raised(item):
        return shortened(repr(item), 100)
    content = _content(item)
    if isinstance(content, str):
        return shortened(repr(content), 100)
    wanted = [f"{call.name}({shortened(call.arguments, 60)})" for call in content.calls]
    return f"calls {', '.join(wanted)}" if wanted else shortened(repr(content.content), 100)


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())


__all__ = ["OffScript", "ScriptedModel", "calls"]
