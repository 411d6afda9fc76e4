"""The file of a `RecordedModel`: what was asked and what was answered, in a form that people read and compare.

It is one JSON document. What is asked is kept as it would be said to any provider, without what only one of them
understands; texts of several lines are lists of lines. Exchanges stand in an order that depends on what is in them, not
on which answer came first, so that recording again changes what has changed. Secrets are hidden before anything is
compared or written, see `graphengine.models.hiding`.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import threading
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    PlainSerializer,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticSerializationError, to_jsonable_python

from graphengine.errors import AnswerCut, AnswerRefused, ContextFull, ModelError, ModelUnavailable
from graphengine.models.base import Message, Request, Response, Stop, ToolCall
from graphengine.models.hiding import hidden
from graphengine.state.field import explain

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

FORMAT: Final = "graphengine recording"
VERSION: Final = 1
LASTING: Final = (AnswerRefused, AnswerCut, ContextFull)
"""Errors that say something of the request itself, and are recorded like answers. All others may pass."""


class BadRecording(ModelUnavailable):
    """The file of a recorded model is missing, damaged or too new, or cannot be written."""

    code = "bad_recording"


def _joined(given: object) -> object:
    lines = given if isinstance(given, list) else None
    return "\n".join(lines) if lines is not None and all(isinstance(line, str) for line in lines) else given


def _lines(text: str) -> str | list[str]:
    return text.split("\n") if "\n" in text else text


Text = Annotated[str, BeforeValidator(_joined), PlainSerializer(_lines, when_used="json")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class AskedMessage(_Part):
    """A message, without what is not said to a model."""

    role: str
    text: Text = ""
    calls: tuple[ToolCall, ...] = ()
    call_id: str = ""
    is_error: bool = False


class AskedTool(_Part):
    """A tool that may be called."""

    name: str
    description: Text = ""
    parameters: dict[str, JsonValue] = {}


class Asked(_Part):
    """A request in neutral form: what any provider would be told."""

    agent: str
    system: Text = ""
    messages: tuple[AskedMessage, ...] = ()
    output: str = ""
    form: dict[str, JsonValue] | None = Field(default=None, alias="schema")
    tools: tuple[AskedTool, ...] = ()
    max_tokens: int | None = None
    temperature: float | None = None
    effort: str | None = None

    @classmethod
    def of(cls, request: Request) -> Self:
        """The request, secrets included."""
        return cls(
            agent=request.agent,
            system=request.system,
            messages=tuple(_asked(message) for message in request.messages),
            output="" if request.schema is None else request.output,
            schema=None if request.schema is None else dict(request.schema),
            tools=tuple(
                AskedTool(name=tool.name, description=tool.description, parameters=dict(tool.schema))
                for tool in request.tools
            ),
            max_tokens=request.max_tokens,
            temperature=request.temperature,
            effort=request.effort,
        )

    def without_secrets(self) -> Self:
        """The same with secrets hidden."""
        return hidden(self)

    @cached_property
    def key(self) -> str:
        """What is equal where two requests are."""
        return _canonical(self.model_dump(by_alias=True))

    @cached_property
    def place(self) -> tuple[str, list[str], str]:
        """Where it stands among others: by agent, and the turns of a conversation in their order."""
        return self.agent, [_canonical(message.model_dump()) for message in self.messages], self.key


class Tokens(_Part):
    """The tokens of an answer, as a `Response` has them."""

    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0


class Answered(_Part):
    """An answer; what it cost is told, and not charged again when it is replayed."""

    model: str
    text: Text = ""
    content: JsonValue = None
    calls: tuple[ToolCall, ...] = ()
    stop: Stop = "end"
    why: Text = ""
    tokens: Tokens = Tokens()
    cost_usd: float | None = None
    native: dict[str, JsonValue] | None = None

    @classmethod
    def of(cls, response: Response) -> Self:
        """The response without secrets.

        Raises:
            BadRecording: JSON cannot hold its content.
        """
        text = response.content if isinstance(response.content, str) else ""
        try:
            content = None if isinstance(response.content, str) else to_jsonable_python(response.content)
        except PydanticSerializationError as error:
            raise BadRecording(
                f"the answer of {response.model} cannot be recorded: {error}",
                where=response.model,
                repair="record models that answer with text",
            ) from error
        fields = {name: getattr(response, name) for name in ("model", "stop", "why", "cost_usd", "native")}
        tokens = {name: getattr(response, name) for name in Tokens.model_fields}
        return hidden(cls(**fields, text=text, content=content, calls=response.calls, tokens=Tokens(**tokens)))

    def response(self) -> Response:
        """The answer as it is replayed: no model was asked now, and nothing paid."""
        return Response(
            self.text if self.content is None else self.content,
            calls=self.calls,
            stop=self.stop,
            why=self.why,
            model=self.model,
            **self.tokens.model_dump(),
            cost_usd=0.0,
            offline=True,
            native=self.native,
        )


class Failed(_Part):
    """An error that was the answer."""

    code: str
    message: Text
    where: str = ""
    repair: Text = ""

    @classmethod
    def of(cls, error: ModelError) -> Self:
        """The error without secrets."""
        code = next((kind.code for kind in LASTING if isinstance(error, kind)), error.code)
        return hidden(cls(code=code, message=error.message, where=error.where, repair=error.repair))

    def error(self) -> ModelError:
        """The error as it is raised again."""
        kind = next((kind for kind in LASTING if kind.code == self.code), ModelError)
        return kind(self.message, where=self.where, repair=self.repair)


class Exchange(_Part):
    """One request and what came of it."""

    request: Asked
    response: Answered | None = None
    error: Failed | None = None

    @cached_property
    def as_json(self) -> str:
        """Indented JSON; halves of characters, which UTF-8 cannot carry, are escaped."""
        document = self.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        text = json.dumps(document, indent=2, ensure_ascii=False)
        return _SURROGATE.sub(lambda half: f"\\u{ord(half.group()):04x}", text)

    @model_validator(mode="after")
    def _has_one(self) -> Self:
        if (self.response is None) == (self.error is None):
            message = "an exchange has either a response or an error"
            raise ValueError(message)
        return self


class Recording:
    """The exchanges of one file, as this process knows them.

    Calls may come from several threads. Several recordings of one file in one process take turns, and each keeps what
    the others wrote; two processes that record into one file at the same moment can lose an answer to each other.

    Args:
        path: The file.
        new: Whether there need not be one yet.

    Attributes:
        loaded: Whether the file was read.
    """

    def __init__(self, path: Path, *, new: bool) -> None:
        self.path = path
        self._new = new
        self._stamp: tuple[int, ...] | None = None
        self._exchanges: dict[str, list[Exchange]] = {}
        self.loaded = False
        self._checked = False

    @property
    def exchanges(self) -> list[Exchange]:
        """All of them, in the order of the file."""
        ordered = sorted(self._exchanges.values(), key=lambda equals: equals[0].request.place)
        return [exchange for equals in ordered for exchange in equals]

    def count(self, key: str) -> int:
        """How many exchanges with a request of this key there are."""
        return len(self._exchanges.get(key, ()))

    def get(self, key: str, index: int) -> Exchange | None:
        """The exchange at this index, from 0, among those with equal requests; None where there is none."""
        equals = self._exchanges.get(key, [])
        return equals[index] if index < len(equals) else None

    def load(self) -> None:
        """Read the file, unless that was done.

        Raises:
            BadRecording: There is none, or it cannot be read.
        """
        with _TURNS:
            if not self.loaded:
                self._read()
                self.loaded = True

    def check_writable(self) -> None:
        """See whether the file can be written, before anything is paid for what would be lost.

        Raises:
            BadRecording: It cannot.
        """
        with _TURNS:
            if not self._checked:
                self._written("", replacing=False)
                self._checked = True

    def add(self, exchange: Exchange) -> None:
        """Write one more exchange.

        Raises:
            BadRecording: The file cannot be written, or what is in it now cannot be read.
        """
        with _TURNS:
            if _stamp(self.path) != self._stamp:  # somebody else wrote it
                self._read()
            self._keep(exchange)
            self._written(self._text(), replacing=True)
            self._stamp = _stamp(self.path)

    def _keep(self, exchange: Exchange) -> None:
        self._exchanges.setdefault(exchange.request.key, []).append(exchange)

    def _text(self) -> str:
        """The document."""
        head = json.dumps({"format": FORMAT, "version": VERSION})[1:-1]
        listed = ",\n".join(exchange.as_json for exchange in self.exchanges)
        return f'{{{head}, "exchanges": [\n{listed}\n]}}\n'

    def _read(self) -> None:
        stamp = _stamp(self.path)
        try:
            body: bytes | None = self.path.read_bytes()
        except FileNotFoundError as error:
            if not self._new:
                repair = f"record one, with RecordedModel({str(self.path)!r}, model='anthropic:MODEL'), or correct it"
                raise BadRecording(f"there is no file {self.path}", where=str(self.path), repair=repair) from error
            body = None
        except OSError as error:
            raise self._bad("cannot be read", error.strerror or str(error), "name a recording's file") from error
        self._exchanges = {}
        for exchange in [] if body is None else self._parsed(body):
            self._keep(exchange)
        self._stamp = stamp

    def _parsed(self, body: bytes) -> list[Exchange]:
        again = "take it from version control, or delete it and record again"
        try:
            document = json.loads(body)
        except ValueError as error:  # no UTF-8 either
            raise self._bad("is damaged", str(error), again) from error
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            raise self._bad("is no recording", f'it has no "format": "{FORMAT}"', "name another file")
        version = document.get("version")
        if isinstance(version, int) and version > VERSION:
            told = f"it has format {version}, and this version of graphengine reads up to {VERSION}"
            raise self._bad("is too new", told, "use the graphengine that wrote it, or a later one")
        try:
            return _File.model_validate(document).exchanges
        except ValidationError as error:
            raise self._bad("is damaged", explain(error), again) from error

    def _written(self, text: str, *, replacing: bool) -> None:
        """Write a new file beside the old one, and put it in its place."""
        try:
            path = self.path.resolve()
            path.parent.mkdir(parents=True, exist_ok=True)
            beside = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}")
            try:
                with beside.open("x", encoding="utf-8", newline="\n") as file:
                    file.write(text)
                    file.flush()
                    os.fsync(file.fileno())
                if replacing:
                    with suppress(FileNotFoundError):
                        beside.chmod(path.stat().st_mode & 0o777)
                    beside.replace(path)
            finally:
                with suppress(FileNotFoundError):
                    beside.unlink()
        except OSError as error:
            repair = "name a file in a folder that you may write to"
            raise self._bad("cannot be written", error.strerror or str(error), repair) from error

    def _bad(self, what: str, told: str, repair: str) -> BadRecording:
        return BadRecording(f"the recording {self.path} {what}: {told}", where=str(self.path), repair=repair)


class _File(_Part):
    format: str
    version: int
    exchanges: list[Exchange] = []


_TURNS: Final = threading.Lock()
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def _asked(message: Message) -> AskedMessage:
    return AskedMessage(
        role=message.role,
        text=message.text,
        calls=message.calls,
        call_id=message.call_id,
        is_error=message.is_error,
    )


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True)


def _stamp(path: Path) -> tuple[int, ...] | None:
    """What changes when a file is written; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


__all__ = ["FORMAT", "LASTING", "VERSION", "Answered", "Asked", "BadRecording", "Exchange", "Failed", "Recording"]
