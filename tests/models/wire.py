"""A wire: how one provider's API expresses a scene, and how its calls are read.

`wire_messages.py` (Anthropic Messages), `wire_responses.py` and `wire_chat.py` (OpenAI Responses, Chat Completions)
each have one; `edge_server.py` implements all three.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from tests.conformance.model_scenes import Fails, Noise, Received, Says, Scene

Json = dict[str, Any]


class Event(NamedTuple):
    """One event of a stream.

    Attributes:
        data: Its data; a string is sent unchanged.
        name: Its name, "" for none.
        piece: The piece of text, or of a tool's arguments, in it.
    """

    data: Json | str
    name: str = ""
    piece: str = ""

    @property
    def text(self) -> str:
        """Its data as text."""
        return self.data if isinstance(self.data, str) else json.dumps(self.data)

    def encode(self) -> bytes:
        """Return the event in the form of server-sent events."""
        head = f"event: {self.name}\n" if self.name else ""
        return f"{head}data: {self.text}\n\n".encode()


class Wire(Protocol):
    """How one provider's API expresses scenes."""

    path: str

    def lacks(self, scene: Scene) -> str:
        """Return why this API cannot express a scene; "" if it can."""
        ...

    def objection(self, body: Json) -> str:
        """Return why the provider would refuse this call, "" if it would not; as far as tests need it."""
        ...

    def whole(self, says: Says) -> Json:
        """Return an answer that is not streamed."""
        ...

    def events(self, says: Says) -> list[Event]:
        """Return the same as a stream."""
        ...

    def error(self, fails: Fails) -> tuple[int, Json]:
        """Return the status and body of an error."""
        ...

    def error_event(self, fails: Fails) -> Event:
        """Return an error event of a stream."""
        ...

    def hollow(self, noise: Noise) -> Json:
        """Return an incomplete answer: `no_answer` or `null_content`."""
        ...

    def read(self, headers: Mapping[str, str], body: Json) -> Received:
        """Read a call."""
        ...


def unanswered(called: Sequence[str], answered: Sequence[str]) -> str:
    """Return what is wrong with the results after the calls of one message, "" for nothing."""
    if len(set(called)) != len(called):
        return f"ids of calls must be unique: {list(called)}"
    if set(called) != set(answered):
        return f"each call must have one result: {list(called)} were called, {list(answered)} answered"
    return ""


def first_of(*objections: str | Iterable[str]) -> str:
    """Return the first objection that is not empty, "" for none."""
    found = (each for group in objections for each in ([group] if isinstance(group, str) else group))
    return next(filter(None, found), "")


def key_of(headers: Mapping[str, str]) -> str:
    """Return the API key of a call."""
    return headers.get("x-api-key") or headers.get("authorization", "").removeprefix("Bearer ")


def pieces(text: str) -> Sequence[str]:
    """Split a text into words, each with the white space after it."""
    return re.findall(r"\s*\S+\s*|\s+", text)


def text_of(content: object) -> str:
    """Return the text of a content that is text, or a list of parts."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    return "".join(part.get("text", "") for part in content if isinstance(part, dict))
