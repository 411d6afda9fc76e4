"""The file of a `RecordedModel`: requests and their answers, in a form that people can read and compare.

It is one JSON document. Requests are stored in a neutral form, without anything that only one provider understands;
texts of several lines are lists of lines. Exchanges are sorted by their content, not by the order of the answers, so
that a new recording differs only where the content does. Secrets are hidden before anything is compared or written, see
`graphengine.models.hiding`.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from contextlib import contextmanager
from functools import cached_property
from tempfile import TemporaryFile
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
from graphengine.output_file import write_file
from graphengine.state.field import explain

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Self

    from graphengine.state.media import Media

FORMAT: Final = "graphengine recording"
VERSION: Final = 1
LASTING: Final = (AnswerRefused, AnswerCut, ContextFull)
"""Errors that depend on the request alone, and are recorded like answers. All others may pass with time."""


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


class AskedMedia(_Part):
    """A picture, document or sound, by the digest of its data."""

    type: str
    name: str = ""
    digest: str


class AskedMessage(_Part):
    """A message, without the fields that are not sent to a model."""

    role: str
    text: Text = ""
    calls: tuple[ToolCall, ...] = ()
    call_id: str = ""
    is_error: bool = False
    media: tuple[AskedMedia, ...] = ()


class AskedTool(_Part):
    """A tool that may be called."""

    name: str
    description: Text = ""
    parameters: dict[str, JsonValue] = {}


class Asked(_Part):
    """A request in neutral form: what any provider would get."""

    agent: str
    system: Text = ""
    messages: tuple[AskedMessage, ...] = ()
    output: str = ""
    form: dict[str, JsonValue] | None = Field(default=None, alias="schema")
    tools: tuple[AskedTool, ...] = ()
    max_tokens: int | None = None
    temperature: float | None = None
    effort: str | None = None
    settings: dict[str, JsonValue] = {}
    hosted: tuple[dict[str, JsonValue], ...] = ()

    @classmethod
    def of(cls, request: Request) -> Self:
        """Make it from a request, secrets included, without headers and what a cache is asked for."""
        given = request.settings.given()
        plain = {name: given.pop(name, None) for name in ("max_tokens", "temperature", "effort")}
        given |= {"stop": list(given["stop"])} if "stop" in given else {}
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
            **plain,
            settings={name: value for name, value in given.items() if name not in {"cache", "headers"}},
            hosted=tuple(tool.recorded() for tool in request.hosted),
        )

    def without_secrets(self) -> Self:
        """Return a copy with secrets hidden."""
        return hidden(self)

    @cached_property
    def key(self) -> str:
        """A text that is equal for equal requests."""
        return _canonical(self.model_dump(by_alias=True))

    @cached_property
    def place(self) -> tuple[str, list[str], str]:
        """The sort key: the agent, then the messages, so that the turns of a conversation are in order."""
        return self.agent, [_canonical(message.model_dump()) for message in self.messages], self.key


class Tokens(_Part):
    """The tokens of an answer, as a `Response` has them."""

    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0


class Answered(_Part):
    """An answer. Its cost is kept for information, and not charged again when it is replayed."""

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
        """Make it from a response, with secrets hidden.

        Raises:
            BadRecording: Its content cannot be stored as JSON.
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
        """Return the answer as it is replayed: offline, and at no cost."""
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
    """An error that was raised instead of an answer."""

    code: str
    message: Text
    where: str = ""
    repair: Text = ""

    @classmethod
    def of(cls, error: ModelError) -> Self:
        """Make it from an error, with secrets hidden."""
        code = next((kind.code for kind in LASTING if isinstance(error, kind)), error.code)
        return hidden(cls(code=code, message=error.message, where=error.where, repair=error.repair))

    def error(self) -> ModelError:
        """Return the error to raise in a replay."""
        kind = next((kind for kind in LASTING if kind.code == self.code), ModelError)
        return kind(self.message, where=self.where, repair=self.repair)


class Exchange(_Part):
    """One request and its outcome."""

    request: Asked
    response: Answered | None = None
    error: Failed | None = None

    @cached_property
    def as_json(self) -> str:
        """Indented JSON; lone surrogates, which UTF-8 cannot encode, are escaped."""
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
    """The exchanges of one file, as far as this process knows them.

    It may be used from several threads. Several recordings of one file in one process take turns, and each keeps what
    the others wrote; two processes that write the same file at the same moment can lose each other's answers.

    Args:
        path: The file.
        new: Whether the file may be missing.

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
        """All exchanges, in the order of the file."""
        ordered = sorted(self._exchanges.values(), key=lambda equals: equals[0].request.place)
        return [exchange for equals in ordered for exchange in equals]

    def count(self, key: str) -> int:
        """Return the number of exchanges whose request has this key."""
        return len(self._exchanges.get(key, ()))

    def get(self, key: str, index: int) -> Exchange | None:
        """Return the exchange at this index, from 0, among those with equal requests, or None."""
        equals = self._exchanges.get(key, [])
        return equals[index] if index < len(equals) else None

    def load(self) -> None:
        """Read the file, unless it was read already.

        Raises:
            BadRecording: The file is missing, or cannot be read.
        """
        with _TURNS:
            if not self.loaded:
                self._read()
                self.loaded = True

    def check_writable(self) -> None:
        """Check that the file can be written, before a call is paid whose answer would be lost.

        Raises:
            BadRecording: The file cannot be written.
        """
        with _TURNS:
            if not self._checked:
                with self._writing() as path, TemporaryFile(dir=path.parent):
                    self._checked = True

    def add(self, exchange: Exchange) -> None:
        """Write one more exchange.

        Raises:
            BadRecording: The file cannot be written, or its present content cannot be read.
        """
        with _TURNS:
            if _stamp(self.path) != self._stamp:  # another recording wrote the file
                self._read()
            self._keep(exchange)
            with self._writing() as path:
                write_file(path, self._text().encode())
            self._stamp = _stamp(self.path)

    def _keep(self, exchange: Exchange) -> None:
        self._exchanges.setdefault(exchange.request.key, []).append(exchange)

    def _text(self) -> str:
        """Return the document."""
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
            raise self._bad("cannot be read", error.strerror or str(error), "pass the file of a recording") from error
        self._exchanges = {}
        for exchange in [] if body is None else self._parsed(body):
            self._keep(exchange)
        self._stamp = stamp

    def _parsed(self, body: bytes) -> list[Exchange]:
        again = "take it from version control, or delete it and record again"
        try:
            document = json.loads(body)
        except ValueError as error:  # includes invalid UTF-8
            raise self._bad("is damaged", str(error), again) from error
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            raise self._bad("is not a recording", f'it has no "format": "{FORMAT}"', "pass the file of a recording")
        version = document.get("version")
        if isinstance(version, int) and version > VERSION:
            reason = f"it has format {version}, and this version of graphengine reads up to {VERSION}"
            raise self._bad("is too new", reason, "use the graphengine that wrote it, or a later one")
        try:
            return _File.model_validate(document).exchanges
        except ValidationError as error:
            raise self._bad("is damaged", explain(error), again) from error

    @contextmanager
    def _writing(self) -> Iterator[Path]:
        """Yield the file, in a folder that exists; say of an error that the file cannot be written."""
        try:
            path = self.path.resolve()
            path.parent.mkdir(parents=True, exist_ok=True)
            yield path
        except OSError as error:
            repair = "pass a file in a folder that you may write to"
            raise self._bad("cannot be written", error.strerror or str(error), repair) from error

    def _bad(self, what: str, reason: str, repair: str) -> BadRecording:
        return BadRecording(f"the recording {self.path} {what}: {reason}", where=str(self.path), repair=repair)


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
        media=tuple(AskedMedia(type=one.type, name=one.name, digest=_digest(one)) for one in message.media),
    )


def _digest(one: Media) -> str:
    return hashlib.blake2b(one.data.encode(), digest_size=18).hexdigest()


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True)


def _stamp(path: Path) -> tuple[int, ...] | None:
    """Return a value that changes when the file is written; None if there is no file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


__all__ = ["FORMAT", "LASTING", "VERSION", "Answered", "Asked", "BadRecording", "Exchange", "Failed", "Recording"]
