"""Helpers for tests of models: a model and its server for each test, short requests, and checks of errors."""

from __future__ import annotations

import asyncio
import json
import logging
import pickle
import traceback
from abc import ABC, abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Concatenate, Final, ParamSpec, Self, TypeVar

from graphengine.errors import DefinitionError
from graphengine.models.base import Closes, Message, Request, ToolCall, ToolSpec
from graphengine.models.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from graphengine.models.base import Model, Response
    from graphengine.state.json_values import JsonObject, JsonValue
    from tests.conformance.model_scenes import Service

KEY: Final = "the-keys-of-the-conformance-suite-0123456789"
"""The API key of every model under test; it must never be shown, though it does not look like a key."""

PATIENCE_SECONDS: Final = 30.0
"""The timeout after which a hanging test fails."""


class ModelSuite(ABC):
    """Base of the tests of models; a subclass defines how a model and its server are made."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if cls.__name__.startswith("Test") and cls.make_model is ModelSuite.make_model:
            # pytest skips abstract classes silently, so nothing would be tested without notice
            raise DefinitionError(f"{cls.__name__} makes no model to test", repair="define make_model(self, …) in it")

    @abstractmethod
    def make_service(self) -> Service:
        """Return the server, with nothing to play and nothing received."""

    @abstractmethod
    def make_model(self, service: Service, *, key: str, timeout_seconds: float) -> Model:
        """Return a model that calls that server.

        Args:
            service: The server from `make_service`.
            key: The API key.
            timeout_seconds: How long it waits for the server.
        """

    @abstractmethod
    def make_lost_model(self, *, key: str) -> Model:
        """Return a model whose server does not exist: nothing listens at its address."""


M = TypeVar("M", bound=ModelSuite)
P = ParamSpec("P")


def scenario(test: Callable[Concatenate[M, Service, Model, P], Awaitable[None]]) -> Callable[Concatenate[M, P], None]:
    """Turn a test of one model into a plain method that makes the server and the model, and closes the model.

    Further arguments are those of a row of a table.
    """

    def run(self: M, /, *row: P.args, **more: P.kwargs) -> None:
        service = self.make_service()
        model = self.make_model(service, key=KEY, timeout_seconds=PATIENCE_SECONDS)

        async def main() -> None:
            async with asyncio.timeout(PATIENCE_SECONDS), closing(model):
                await test(self, service, model, *row, **more)

        asyncio.run(main())

    # functools.wraps would also copy the signature, and pytest would look for a fixture named `service`.
    run.__name__, run.__qualname__, run.__doc__ = test.__name__, test.__qualname__, test.__doc__
    return run


class closing:  # noqa: N801 - reads as contextlib's
    """Close a model at the end, if it can be closed."""

    def __init__(self, model: Model) -> None:
        self._model = model

    async def __aenter__(self) -> None:
        """Do nothing."""

    async def __aexit__(self, *_: object) -> None:
        if isinstance(self._model, Closes):
            await self._model.close()


# -- requests

ADD: Final = ToolSpec(
    "add",
    "Add two numbers.",
    {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
        "required": ["a", "b"],
        "additionalProperties": False,
    },
)
NOW: Final = ToolSpec("now", "What time it is.", {"type": "object", "properties": {}})
REVIEW: Final[JsonObject] = {
    "type": "object",
    "title": "Review",
    "properties": {"score": {"type": "integer", "minimum": 1, "maximum": 10}, "issues": {"$ref": "#/$defs/Issues"}},
    "required": ["score", "issues"],
    "$defs": {"Issues": {"type": "array", "items": {"type": "string"}}},
}
TALLY: Final[JsonObject] = {
    "type": "object",
    "properties": {"counts": {"type": "object", "additionalProperties": {"type": "integer"}}, "note": {}},
    "required": ["counts"],
}
"""A schema that some providers cannot enforce: arbitrary keys, and a value of any type."""


def question(text: str = "hello") -> Message:
    """Return a user's message."""
    return Message(role="user", text=text, agent="tester")


def answered(text: str, *calls: ToolCall, native: dict[str, Any] | None = None) -> Message:
    """Return a model's message."""
    return Message(role="assistant", text=text, calls=calls, native=native)


def result(call_id: str, text: str, *, is_error: bool = False) -> Message:
    """Return the message with a tool's result."""
    return Message(role="tool", text=text, call_id=call_id, is_error=is_error)


def call(call_id: str, name: str = "add", **arguments: JsonValue) -> ToolCall:
    """Return a call of a tool."""
    return ToolCall(id=call_id, name=name, arguments=json.dumps(arguments))


def ask(*messages: Message, system: str = "", tools: Sequence[ToolSpec] = ()) -> Request:
    """Return a request; "hello" if no message is given."""
    return Request("tester", system, messages or (question(),), tools=tools)


def text_of(response: Response) -> str:
    """Return the text of an answer, after checking that UTF-8 can encode it."""
    assert isinstance(response.content, str), f"the content is not a text: {response.content!r}"
    response.content.encode()
    return response.content


async def watched(model: Model, request: Request) -> tuple[Response, list[str]]:
    """Stream an answer; return it and its pieces."""
    pieces: list[str] = []
    return await model.answer(replace(request, on_text=pieces.append)), pieces


# -- errors


class KeptLog(logging.Handler):
    """Keeps the messages that are logged, from INFO on, while it is entered."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a message."""
        self.lines.append(self.format(record))

    def __enter__(self) -> Self:
        root = logging.getLogger()
        self._level = root.level
        root.setLevel(logging.INFO)
        root.addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        root = logging.getLogger()
        root.removeHandler(self)
        root.setLevel(self._level)


async def failure(pending: Awaitable[object], *kinds: type[ModelError]) -> ModelError:
    """Return the error that a call raises, after checking that it has one of these kinds and does not show the key.

    Raises:
        AssertionError: The call raises no error, or one that is of another kind, shows the key, cannot be pickled or
            has no repair.
    """
    with KeptLog() as log:
        try:
            response = await pending
        except kinds as error:
            found = error
        else:
            names = " or ".join(kind.__name__ for kind in kinds)
            raise AssertionError(f"{names} was expected, and the call returned {response}")
    seen = {
        "its text": str(found),
        "its repr": repr(found),
        "its values": repr(vars(found)),
        "its traceback": "".join(traceback.format_exception(found)),
        "the log": "\n".join(log.lines),
    }
    for where, text in seen.items():
        if KEY in text:
            raise AssertionError(f"{where} shows the API key: {text.replace(KEY, '[THE KEY]')}")
        text.encode()
    copy = pickle.loads(pickle.dumps(found))  # noqa: S301 - pickled on the same line
    if (type(copy), str(copy)) != (type(found), str(found)):
        raise AssertionError(f"{found!r} does not survive pickling: {copy!r}")
    if not found.repair:
        raise AssertionError(f"{found!r} has no repair")
    return found
