"""A model that answers from a script, for tests.

A call without an answer in the script is an error that shows the request. An answer that was not used is an error as
well, which is raised by `done()` or at the end of a `with` block. A test that passes has therefore made exactly the
calls of its script.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeAlias, cast

from pydantic_core import PydanticSerializationError, to_json

from graphengine.errors import DefinitionError
from graphengine.kernel.extension import did_you_mean
from graphengine.models.base import Message, Request, Response, ToolCall
from graphengine.models.errors import ModelError
from graphengine.models.hiding import hide_secrets

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from pydantic import JsonValue

    from graphengine.models.batches import Batches
    from graphengine.models.hosted import HostedTool

Script: TypeAlias = "Iterable[Callable[[Request], object] | object] | Callable[[Request], object]"
"""Answers in order, or one function that returns all answers."""

_SHOWN: Final = 400  # largest number of characters of a text in a message
_LISTED: Final = 10  # largest number of answers in a message


class OffScript(ModelError, AssertionError):
    """An agent called a scripted model more often, or less often, than the script has answers."""

    code = "off_script"


class ScriptedModel:
    """A model for tests. Returns prepared answers one after another, and records the requests that it receives.

    An answer is one of these:

    - a text
    - a JSON value or a pydantic instance, returned as JSON text
    - a `ToolCall` or a list of them, see `calls`
    - a `Response`, returned unchanged
    - an exception, raised when its turn comes
    - a function of the request, async or not, that returns any of these

    A `ScriptedModel` streams a text word by word if the request asks for streaming.

    When a run is resumed with a new `ScriptedModel`, the script continues after the answers that the run has already
    received. For example, if the script is `["a", "b"]` and the conversation already contains the answer `a`, the next
    answer is `b`. This works if the script has not been used yet, and if the answers in the conversation equal the
    first answers of the script.

    Used as a context manager, a `ScriptedModel` checks at the end of the block that every answer was used. The method
    `done` makes the same check.

    Args:
        answers: The answers in order; or a mapping from agents' names to their answers, if several agents call the
            model in no fixed order; or a function that answers every call.

    Raises:
        DefinitionError: A value cannot be an answer.

    Attributes:
        name: `scripted`.
        requests: The requests in order, including those without an answer.

    Example:
        >>> import asyncio
        >>> with ScriptedModel({"writer": ["a draft"]}) as model:
        ...     response = asyncio.run(model.answer(Request("writer", "", [])))
        >>> response.content, len(model.requests)
        ('a draft', 1)
    """

    name = "scripted"

    def __init__(self, answers: Mapping[str, Script] | Script) -> None:
        self.requests: list[Request] = []
        self._by_agent = isinstance(answers, Mapping)
        scripts: Mapping[str, Script] = cast("Mapping[str, Script]", answers) if self._by_agent else {"": answers}
        self._scripts = {agent: _Script(agent, script) for agent, script in scripts.items()}
        self._unexpected: list[str] = []

    async def answer(self, request: Request) -> Response:
        """Return the next answer of the script.

        Raises:
            OffScript: The script has no answer left. The message shows the request. If the next answer is an exception,
                this exception is raised instead.
        """
        self.requests.append(request)
        script = self._scripts.get(request.agent if self._by_agent else "")
        if script is not None:
            script.go_on(request)
        if script is None or not script.has_next:
            raise self._off(request, script)
        prepared = script.next()
        if callable(prepared) and not isinstance(prepared, type):
            prepared = prepared(request)
            if inspect.isawaitable(prepared):
                prepared = await prepared
        response = _build_scripted_response(prepared, request)
        if isinstance(response.content, str):
            request.emit_whole(response.content)
        return response

    def lacks_tool(self, tool: HostedTool) -> str:  # noqa: ARG002 - the script contains the answers
        """Return "", which means that every hosted tool is accepted. `cited` makes an answer that used a web search."""
        return ""

    @property
    def batches(self) -> Batches | None:
        """Always None: scripted answers are available at once and need no batch."""
        return None

    async def knows_price(self) -> bool:
        """Return True, because scripted answers cost nothing."""
        return True

    def done(self) -> None:
        """Check that every answer was used, and that every call had an answer.

        Raises:
            OffScript: Answers are left, and the message lists them; or a call had no answer, and its error was caught.
        """
        __tracebackhide__ = True  # lets pytest point at the line that called this method
        if self._unexpected:
            raise OffScript("\n".join(self._unexpected), where="scripted model", repair=_REPAIR)
        left = [line for script in self._scripts.values() for line in script.left()]
        if left:
            listed = left[:_LISTED] + ([f"… and {len(left) - _LISTED} more"] if len(left) > _LISTED else [])
            noun = "answer of the script was" if len(left) == 1 else "answers of the script were"
            calls_made = f"{len(self.requests)} {'call was' if len(self.requests) == 1 else 'calls were'} made"
            raise OffScript(
                f"{len(left)} {noun} not used; {calls_made}:\n" + _indent_lines("\n".join(listed)),
                where="scripted model",
                repair="remove these answers from the script, or find out why the calls were not made",
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
            text = f"call {number} is by agent {request.agent!r}, but the script has no answers for this agent"
            repair = did_you_mean(request.agent, self._scripts) or "add the agent to ScriptedModel({...})"
        else:
            agent = f" by agent {request.agent!r}"
            text = f"the script has no answer left for call {number}{agent} (answers in the script: {script.size})"
            repair = _REPAIR
        message = f"{text}; the request:\n{_indent_lines(summarise_request(request))}"
        self._unexpected.append(message)
        return OffScript(message, where=f"agent {request.agent}", repair=repair)


def calls(*wanted: tuple[str, Mapping[str, object] | str], text: str = "") -> Response:
    """Make an answer for `ScriptedModel` that calls tools. Several calls run concurrently.

    Args:
        wanted: For each call the tool's name and its arguments. A text instead of a mapping is used unchanged, so that
            arguments can be invalid.
        text: The text of the answer.

    Example:
        >>> calls(("add", {"a": 2, "b": 3})).calls[0].arguments
        '{"a": 2, "b": 3}'
    """
    tool_calls = tuple(
        ToolCall(
            id="",
            name=name,
            arguments=arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False),
        )
        for name, arguments in wanted
    )
    return Response(text, calls=tool_calls, stop="tools", cost_usd=0.0, offline=True)


def cited(*pieces: str | tuple[str, Mapping[str, str]], searches: Sequence[str] = ()) -> Response:
    """Make an answer for `ScriptedModel` that cites sources, as a real model with `web_search()` does.

    Args:
        pieces: The text of the answer in pieces. A piece with a source is a pair of the text and `{"url": …, "title":
            …, "quote": …}`.
        searches: The queries of the searches.

    Example:
        >>> cited("Tides ", ("rise.", {"url": "https://tides.example", "quote": "They rise."})).content
        'Tides rise.'
    """
    blocks: list[JsonValue] = [
        {"type": "server_tool_use", "id": f"search_{number}", "name": "web_search", "input": {"query": query}}
        for number, query in enumerate(searches, 1)
    ]
    for piece in pieces:
        text, source = (piece, None) if isinstance(piece, str) else piece
        block: dict[str, JsonValue] = {"type": "text", "text": text}
        if source is not None:
            title, quote = source.get("title", ""), source.get("quote", "")
            place = {"type": "web_search_result_location", "url": source["url"], "title": title, "cited_text": quote}
            block["citations"] = [{**place}]
        blocks.append(block)
    whole = "".join(piece if isinstance(piece, str) else piece[0] for piece in pieces)
    native: dict[str, JsonValue] = {"provider": "anthropic", "content": blocks}
    return Response(whole, cost_usd=0.0, offline=True, native=native)


def summarise_request(request: Request) -> str:
    """Describe a request in a few lines for an error message, without secrets.

    The lines show the agent, its instructions and the last message.
    """
    lines = [f"agent: {request.agent}"]
    if request.system:
        lines.append(f"system: {shorten_middle(hide_secrets(request.system))}")
    if len(request.messages) > 1:
        lines.append(f"messages before: {len(request.messages) - 1}")
    if request.messages:
        last = request.messages[-1]
        lines.append(f"{last.role}: {shorten_middle(hide_secrets(last.text))}")
    if request.tools:
        lines.append("tools: " + ", ".join(tool.name for tool in request.tools))
    if request.schema is not None:
        lines.append(f"wants: JSON of {request.output}")
    return "\n".join(lines)


def shorten_middle(text: str, most: int = _SHOWN) -> str:
    """Shorten a text to about this many characters by leaving out its middle."""
    if len(text) <= most:
        return text
    head, tail = most * 2 // 3, most // 3
    return f"{text[:head]} … {len(text) - head - tail} characters … {text[-tail:]}"


_REPAIR: Final = "add an answer to the script, or find out why the call was made"


class _Script:
    """The answers that a `ScriptedModel` has left for one agent, or for all agents if `agent` is ""."""

    def __init__(self, agent: str, given: object) -> None:
        self._agent = agent
        self._always = given if callable(given) and not isinstance(given, type) else None
        self._answers: list[object] = []
        self._position = 0
        if self._always is None:
            if isinstance(given, (str, bytes, Mapping)) or not isinstance(given, Iterable):
                raise DefinitionError(
                    f"the script{self._whose} is {shorten_middle(repr(given), 80)}, which is not a list of answers",
                    where="scripted model",
                    repair="give a list, as in ScriptedModel(['a draft']), or a list for each agent, as in "
                    "ScriptedModel({'writer': ['a draft']})",
                )
            self._answers = [self._check_item(number, item) for number, item in enumerate(given, start=1)]

    @property
    def has_next(self) -> bool:
        return self._always is not None or self._position < len(self._answers)

    @property
    def size(self) -> str:
        return "none" if not self._answers else "one" if len(self._answers) == 1 else str(len(self._answers))

    @property
    def _whose(self) -> str:
        return f" of agent {self._agent}" if self._agent else ""

    def go_on(self, request: Request) -> None:
        """Skip the prepared answers that the conversation already contains.

        They were used before the run was resumed.

        Nothing is skipped if an answer of the script has already been used, or if the conversation begins with other
        answers.
        """
        if self._position or self._always is not None:
            return
        asked = max((at for at, each in enumerate(request.messages) if each.role == "user"), default=-1)
        had = [each for each in request.messages[asked + 1 :] if each.role == "assistant"]
        if len(had) <= len(self._answers) and all(map(_matches_message, self._answers, had)):
            self._position = len(had)

    def next(self) -> object:
        if self._always is not None:
            return self._always
        self._position += 1
        return self._answers[self._position - 1]

    def left(self) -> list[str]:
        return [
            f"answer {number}{self._whose}: {_describe_item(item)}"
            for number, item in enumerate(self._answers[self._position :], start=self._position + 1)
        ]

    def _check_item(self, number: int, item: object) -> object:
        if not is_raised(item) and not callable(item):
            try:
                _read_scripted_answer(item)
            except DefinitionError as error:
                error.where = f"answer {number}{self._whose} of a scripted model"
                raise
        return item


def _build_scripted_response(given: object, request: Request) -> Response:
    """Convert a prepared answer of a test to the response of a model, or raise it if it is an exception.

    Tool calls without an id get an id that is unique in the conversation.
    """
    if is_raised(given):
        raise cast("BaseException", given)
    content = _read_scripted_answer(given)
    response = content if isinstance(content, Response) else Response(content, cost_usd=0.0, offline=True)
    if all(call.id for call in response.calls):
        return response
    before = sum(len(message.calls) for message in request.messages)
    named = (
        call if call.id else call.model_copy(update={"id": f"call_{number}"})
        for number, call in enumerate(response.calls, start=before + 1)
    )
    return replace(response, calls=tuple(named))


def _matches_message(item: object, message: Message) -> bool:
    """Return whether a message of a conversation is the use of this prepared answer: equal text and tool calls.

    A resumed run skips prepared answers that its conversation already contains.
    """
    if is_raised(item) or callable(item):
        return False
    scripted = _read_scripted_answer(item)
    text, calls = (scripted, ()) if isinstance(scripted, str) else (str(scripted.content), scripted.calls)
    answer_calls = [(each.name, each.arguments) for each in message.calls]
    return text == message.text and [(each.name, each.arguments) for each in calls] == answer_calls


def is_raised(item: object) -> bool:
    """Return whether a prepared answer is an exception, or an exception class, which is raised instead of returned."""
    return isinstance(item, BaseException) or (isinstance(item, type) and issubclass(item, BaseException))


def _read_scripted_answer(item: object) -> str | Response:
    """Convert a prepared answer to the text that a model would return, or to a response if the answer calls tools."""
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
            f"{shorten_middle(repr(item), 80)} cannot be an answer: {error}",
            where="scripted model",
            repair="give text, a JSON value, a pydantic instance, tool calls, a Response, an exception or a function",
        ) from None


def _describe_item(item: object) -> str:
    """Describe a prepared answer of a test on one line, for an error message."""
    if callable(item) and not isinstance(item, type):
        return f"a function, {getattr(item, '__name__', type(item).__name__)}"
    if is_raised(item):
        return shorten_middle(repr(item), 100)
    content = _read_scripted_answer(item)
    if isinstance(content, str):
        return shorten_middle(repr(content), 100)
    wanted = [f"{call.name}({shorten_middle(call.arguments, 60)})" for call in content.calls]
    return f"calls {', '.join(wanted)}" if wanted else shorten_middle(repr(content.content), 100)


def _indent_lines(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())


__all__ = ["OffScript", "ScriptedModel", "calls", "cited"]
