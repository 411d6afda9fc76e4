"""What tests of models are made of: a model and its server for each test, requests in a word, what an error shows."""

from __future__ import annotations

import asyncio
import json
import logging
import pickle
import traceback
from abc import ABC, abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from graphengine.errors import DefinitionError, ModelError
from graphengine.models.base import Closes, Message, Request, ToolCall, ToolSpec

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from graphengine.models.base import Model, Response
    from graphengine.state.json_values import JsonObject, JsonValue
    from graphengine.testing.model_scenes import Service

KEY: Final = "the-keys-of-the-conformance-suite-0123456789"
"""The API key that every model under test has; it is never to be seen again, though it does not look like one."""

PATIENCE_SECONDS: Final = 30.0
"""After which a test that hangs fails."""


class ModelSuite(ABC):
    """Tests of models; a subclass says how a model and its server are made."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if cls.__name__.startswith("Test") and cls.make_model is ModelSuite.make_model:
            # pytest leaves abstract classes out without a word: nobody would see that nothing is tested
            raise DefinitionError(f"{cls.__name__} makes no model to test", repair="give it def make_model(self, …)")

    @abstractmethod
    def make_service(self) -> Service:
        """The server, with nothing played and nothing heard."""

    @abstractmethod
    def make_model(self, service: Service, *, key: str, timeout_seconds: float) -> Model:
        """A model that asks that server.

        Args:
            service: What `make_service` gave.
            key: The API key.
            timeout_seconds: For how long it waits for the server.
        """

    @abstractmethod
    def make_lost_model(self, *, key: str) -> Model:
        """A model whose server is not there: nothing listens at its address."""


M = TypeVar("M", bound=ModelSuite)


def scenario(test: Callable[[M, Service, Model], Awaitable[None]]) -> Callable[[M], None]:
    """Make a test of one model into a plain method that makes the server and the model, and closes the model."""

    def run(self: M) -> None:
        service = self.make_service()
        model = self.make_model(service, key=KEY, timeout_seconds=PATIENCE_SECONDS)

        async def main() -> None:
            async with asyncio.timeout(PATIENCE_SECONDS), closing(model):
                await test(self, service, model)

        asyncio.run(main())

    # functools.wraps would also hand on the signature, and pytest would look for a fixture named `service`.
    run.__name__, run.__qualname__, run.__doc__ = test.__name__, test.__qualname__, test.__doc__
    return run


class closing:  # noqa: N801 - reads as contextlib's
    """Close a model at the end, where it can be closed."""

    def __init__(self, model: Model) -> None:
        self._model = model

    async def __aenter__(self) -> None:
        """Nothing yet."""

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
"""A schema that is more than some providers can hold an answer to: any keys, and a value of any kind."""


def question(text: str = "hello") -> Message:
    """A user's message."""
    return Message(role="user", text=text, agent="tester")


def said(text: str, *calls: ToolCall, native: dict[str, Any] | None = None) -> Message:
    """A model's message."""
    return Message(role="assistant", text=text, calls=calls, native=native)


def result(call_id: str, text: str, *, is_error: bool = False) -> Message:
    """What a tool gave."""
    return Message(role="tool", text=text, call_id=call_id, is_error=is_error)


def call(call_id: str, name: str = "add", **arguments: JsonValue) -> ToolCall:
    """A call of a tool."""
    return ToolCall(id=call_id, name=name, arguments=json.dumps(arguments))


def ask(*messages: Message, system: str = "", tools: Sequence[ToolSpec] = ()) -> Request:
    """A request; "hello" if no message is given."""
    return Request("tester", system, messages or (question(),), tools=tools)


def text_of(response: Response) -> str:
    """The text of an answer, which UTF-8 must be able to carry."""
    assert isinstance(response.content, str), f"the content is no text: {response.content!r}"  # noqa: S101 - a test's
    response.content.encode()
    return response.content


async def watched(model: Model, request: Request) -> tuple[Response, list[str]]:
    """The answer to a request whose text is watched, and the pieces that came."""
    pieces: list[str] = []
    return await model.answer(replace(request, on_text=pieces.append)), pieces


# -- errors


class Listening(logging.Handler):
    """Keeps what is logged, down to INFO, while it is entered."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.told: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        self.told.append(self.format(record))

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
    """The error that a call raises, which is of one of these kinds and shows no key.

    Raises:
        AssertionError: Another error, none, or one that shows the key, cannot be pickled or says no repair.
    """
    with Listening() as log:
        try:
            response = await pending
        except kinds as error:
            found = error
        else:
            names = " or ".join(kind.__name__ for kind in kinds)
            raise AssertionError(f"{names} was expected, and this came: {response}")
    seen = {
        "its text": str(found),
        "its repr": repr(found),
        "its values": repr(vars(found)),
        "its traceback": "".join(traceback.format_exception(found)),
        "the log": "\n".join(log.told),
    }
    for where, text in seen.items():
        if KEY in text:
            raise AssertionError(f"{where} shows the API key: {text.replace(KEY, '[THE KEY]')}")
        text.encode()
    copy = pickle.loads(pickle.dumps(found))  # noqa: S301 - made in the same line
    if (type(copy), str(copy)) != (type(found), str(found)):
        raise AssertionError(f"{found!r} does not survive pickling: {copy!r}")
    if not found.repair:
        raise AssertionError(f"{found!r} says no repair")
    return found
