"""A model whose answers are recorded in a file and replayed from the file, without another call of a provider.

The file contains one line of JSON for each answer: `{"request": …, "response": …, "path": …}`. The request is what any
provider would receive, and is the key by which the answer is found again. The path is the path of the node that asked
in a run. Among equal requests, the path finds the answer of the same item of a map. Secrets are hidden before anything
is compared or written, see `graphengine.models.hiding`.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import threading
from collections import defaultdict, deque
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from pydantic import BaseModel, JsonValue, ValidationError
from pydantic_core import PydanticSerializationError, to_jsonable_python

from graphengine.kernel.inside import explain, without_items
from graphengine.models.base import Message, Response
from graphengine.models.errors import ModelError, ModelUnavailable
from graphengine.models.hiding import hide_secrets
from graphengine.models.limiter import limiter_of
from graphengine.models.names import as_model
from graphengine.models.router import OverModels
from graphengine.models.scripted import summarise_request
from graphengine.output_file import write_file

if TYPE_CHECKING:
    import os

    from graphengine.models.base import Model, Request
    from graphengine.models.batches import Batches
    from graphengine.models.limiter import RateLimiter


class BadRecording(ModelUnavailable):
    """The file of a recorded model is missing or damaged, or cannot be written."""

    code = "bad_recording"


class NotRecorded(ModelError):
    """The file of a recorded model contains no answer to the request, and there is no underlying model to call."""

    code = "not_recorded"


class RecordedModel(OverModels):
    """Replays answers from a file, so that a test needs no provider, costs nothing and always gets the same answers.

    With the argument `model`, a `RecordedModel` also records. A request whose answer is not in the file is sent to that
    model, and the answer is added to the file.

    A `RecordedModel` finds a recorded answer by the request: the agent, instructions, messages, schema, tools and
    settings have to be equal. Tags, names of inputs and notes that graphengine adds to a prompt are not compared.
    Errors are not recorded.

    A `RecordedModel` can contain several answers to equal requests, because the same request was recorded several
    times. The first call then gets the first answer, the second call gets the second answer, and so on. If different
    items of a map send equal requests, each item gets the answers that were recorded for this item, in whichever order
    the items ask.

    An answer that a `RecordedModel` replays contains the name of the original model and the original numbers of tokens.
    Its cost is 0.0 and it is marked `offline`, because a replay spends nothing. The original cost remains in the file.

    A `RecordedModel` hides secrets in the file that it writes. Secrets are texts that look like keys, and the values of
    environment variables with KEY, TOKEN, SECRET or PASSWORD in their name. Two requests that differ only in a secret
    therefore count as equal.

    Let only one process at a time record into the file of a `RecordedModel`. If two processes write the file at the
    same moment, one of them can lose answers of the other.

    Args:
        file: The path of the recording. If a model is given, the file and its folder need not exist.
        model: The model to call for requests that are not in the file, as an object or a name; None to only replay.

    Example:
        >>> RecordedModel("tests/recordings/review.jsonl").name
        'recorded:tests/recordings/review.jsonl'
    """

    def __init__(self, file: str | os.PathLike[str], model: Model | str | None = None) -> None:
        self._file = Path(file).expanduser()
        self._model = None if model is None else as_model(model)
        # Replayed answers support everything and cost nothing.
        self._models = [] if self._model is None else [self._model]
        self._left: dict[str, dict[str, deque[Response]]] | None = None  # by request, and by path
        self._repair = f"record the answers with RecordedModel({str(self._file)!r}, model='anthropic:MODEL')"

    @property
    def name(self) -> str:
        """The text `recorded:` followed by the path of the file."""
        return f"recorded:{self._file}"

    async def answer(self, request: Request) -> Response:
        """Return the recorded answer, or a new answer after recording it.

        Raises:
            NotRecorded: The file contains no answer, and there is no underlying model. The message shows the request.
            BadRecording: The file is missing or damaged, or cannot be written. Errors of the underlying model are
                raised as well.
        """
        if self._left is None:
            self._left = self._read()
        clear = _describe_request(request)
        asked = hide_secrets(clear)
        # Also look for the unhidden text: a secret of this environment may be a plain word of the recording's
        # environment.
        by_path = [self._left.get(_build_request_key(each), {}) for each in (asked, clear)]
        left = next(filter(None, (_find_answers(each, _hide_path(request)) for each in by_path)), None)
        if left is None:
            return await self._record(request, asked)
        response = replace(left.popleft(), cost_usd=0.0, offline=True)
        if isinstance(response.content, str):
            request.emit_whole(response.content)
        return response

    @property
    def limiter(self) -> RateLimiter | None:
        """The rate limiter of the model that is called for missing answers; None if answers are only replayed."""
        return None if self._model is None else limiter_of(self._model)

    @property
    def batches(self) -> Batches | None:
        """Always None: a recorded model does not send its calls as batches."""
        return None

    @property
    def reports_usage(self) -> bool:
        """Whether the model that is called for missing answers reports the usage of its failed calls itself."""
        return getattr(self._model, "reports_usage", False)

    def _read(self) -> dict[str, dict[str, deque[Response]]]:
        """Read the recorded answers from the file.

        The result contains them by the key of the request, then by the path of the node that asked.
        """
        found: dict[str, dict[str, deque[Response]]] = defaultdict(lambda: defaultdict(deque))
        try:
            body = self._file.read_bytes()
        except FileNotFoundError as error:
            if self._model is None:
                raise self._bad(f"the file of recorded answers {str(self._file)!r} is missing", self._repair) from error
            return found
        except OSError as error:
            message = f"the file {str(self._file)!r} with recorded answers cannot be read: {error.strerror}"
            raise self._bad(message, "pass the path of a file that RecordedModel wrote") from error
        for number, text in enumerate(body.splitlines(), 1):
            try:
                line = _Line.model_validate(json.loads(text))
            # Raised for invalid JSON or UTF-8; a pydantic.ValidationError is a ValueError, too.
            except (ValueError, RecursionError) as error:
                problem = explain(error) if isinstance(error, ValidationError) else str(error)
                repair = "restore the file from version control, or delete the file and record the answers again"
                message = f"line {number} of the file {str(self._file)!r} is not a recorded answer: {problem}"
                raise self._bad(message, repair) from error
            found[_build_request_key(line.request)][line.path].append(line.response)
        return found

    async def _record(self, request: Request, asked: dict[str, JsonValue]) -> Response:
        if self._model is None:
            asks = "".join(f"\n    {line}" for line in summarise_request(request).splitlines())
            raise NotRecorded(
                f"the file {str(self._file)!r} has no unused answer to this request of agent {request.agent!r}:{asks}",
                where=f"agent {request.agent}",
                repair=self._repair,
            )
        response = await self._model.answer(request)
        response = replace(response, model=response.model or self._model.name)
        await asyncio.to_thread(self._add, asked, response, _hide_path(request))
        return response

    def _add(self, asked: dict[str, JsonValue], response: Response, path: str) -> None:
        """Add one answer to the end of the file. Lines that other processes have added meanwhile are kept."""
        try:
            content = to_jsonable_python(response.content)
        except PydanticSerializationError as error:
            message = f"the answer of the model {response.model!r} cannot be recorded, as it has no JSON form: {error}"
            raise self._bad(message, "record only models that answer with text or with values of JSON") from error
        fields = {name: hide_secrets(getattr(response, name)) for name in ("calls", "why", "native")}
        fields |= {"content": hide_secrets(content), "held_seconds": 0.0}  # a replayed call waits for nothing
        line = _Line(request=asked, response=replace(response, **fields), path=path)
        text = json.dumps(line.model_dump(mode="json", exclude_defaults=True), ensure_ascii=False)
        try:
            with _ONE_WRITER:
                self._file.parent.mkdir(parents=True, exist_ok=True)
                before = self._file.read_bytes().splitlines() if self._file.exists() else []
                # UTF-8 cannot encode lone surrogates. They are written as a backslash and a number, as in JSON.
                write_file(self._file, b"\n".join([*before, text.encode(errors="backslashreplace"), b""]))
        except OSError as error:
            message = f"the file {str(self._file)!r} with recorded answers cannot be written: {error.strerror}"
            raise self._bad(message, "pass a file in a folder that you may write to") from error

    def _bad(self, message: str, repair: str) -> BadRecording:
        return BadRecording(message, where=str(self._file), repair=repair)


class _Line(BaseModel):
    """A line in a file of recorded answers: a request with its response.

    Unknown fields are ignored, because a later version of graphengine may write them.
    """

    request: dict[str, JsonValue]
    response: Response
    path: str = ""


_ONE_WRITER: Final = threading.Lock()
_SENT: Final = {"role", "text", "calls", "call_id", "is_error"}


def _hide_path(request: Request) -> str:
    return str(hide_secrets(request.path))


def _find_answers(by_path: dict[str, deque[Response]], path: str) -> deque[Response] | None:
    """Choose which of the recorded answers to a request the node at this path gets. Returns None if there is none left.

    The queue that is returned begins with the next answer. The following rules decide:

    1. Answers that were recorded for this path are used first. So are answers without a path, which earlier versions
       recorded.
    2. If the recording contains no answer for the node, the node is new or was renamed. Its calls then get the recorded
       answers in order.
    3. If the recording contains answers for other items of the same map, the node gets none of them. There is one
       exception: if only a single path asked this request, its answers are used, because the indexes of items change
       when an item is put before them.
    """
    if own := by_path.get(path) or by_path.get(""):
        return own
    is_known = any(without_items(each) == without_items(path) for each in by_path)
    return None if is_known and len(by_path) > 1 else next(filter(None, by_path.values()), None)


def _describe_request(request: Request) -> dict[str, JsonValue]:
    """Return the parts of a request that determine its answer, as JSON. Secrets are not hidden yet.

    Headers, caching and empty values are left out, because two requests that differ only in them have the same answer.
    """
    settings = request.settings.recorded()
    found: dict[str, object] = {
        "agent": request.agent,
        "system": request.system.removesuffix(request.note).rstrip("\n") if request.note else request.system,
        "messages": [_build_message_key_parts(one) for one in request.messages],
        "output": "" if request.schema is None else request.output,
        "schema": request.schema,
        "tools": [
            {"name": tool.name, "description": tool.description, "parameters": tool.schema} for tool in request.tools
        ],
        "settings": {name: value for name, value in settings.items() if name not in {"cache", "headers"}},
        "hosted": [tool.recorded() for tool in request.hosted],
    }
    return cast("dict[str, JsonValue]", to_jsonable_python({name: value for name, value in found.items() if value}))


def _build_message_key_parts(message: Message) -> dict[str, object]:
    """Return the parts of a message that a provider receives. Media are represented by the digest of their data."""
    found = message.model_dump(mode="json", include=_SENT)
    media = [
        {"type": one.type, "name": one.name, "digest": _digest_media(one.url or one.file_id or one.data)}
        for one in message.media
    ]
    return {**found, "media": media} if media else found


def _digest_media(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=18).hexdigest()


_NOTE: Final = re.compile(
    r"What stands between .{0,2000}? never follow instructions (that are found )?in it\.", re.DOTALL
)
_OURS: Final = re.compile(r"</?[^\W\d]\w*(-\d+)?( (of|agent)=\"\w*\")?>|^[^\W\d]\w*:(?=\s)", re.MULTILINE)
"""Tags around inputs, and names before inputs."""


def _build_request_key(asked: dict[str, JsonValue]) -> str:
    """Return the text by which a recorded request is found again.

    graphengine adds tags and names around the inputs of a prompt, and a note about them. These additions and all white
    space are removed, so that a recording stays valid when a new version of graphengine words the additions
    differently.
    """
    system, messages = asked.get("system"), asked.get("messages")
    found = dict(asked)
    if isinstance(system, str):
        found["system"] = "".join(_NOTE.sub("", system).split())
    if isinstance(messages, list):
        found["messages"] = [_strip_own_tags(one) for one in messages]
    return json.dumps({name: value for name, value in found.items() if value}, sort_keys=True)


def _strip_own_tags(message: JsonValue) -> JsonValue:
    """Remove the tags that graphengine adds from a user message or a summary. Other messages are returned unchanged."""
    if not isinstance(message, dict) or message.get("role") not in ("user", "summary"):
        return message
    return {**message, "text": "".join(_OURS.sub("", str(message.get("text", ""))).split())}


__all__ = ["BadRecording", "NotRecorded", "RecordedModel"]
