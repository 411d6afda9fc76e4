"""What a wire is: how one provider's API says what a scene says, and how a call of it is read.

`wire_messages.py` (Anthropic Messages), `wire_responses.py` and `wire_chat.py` (OpenAI Responses, Chat Completions)
each have one; `edge_server.py` speaks all three.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from graphengine.testing.model_scenes import Fails, Heard, Noise, Says, Scene

Json = dict[str, Any]


class Event(NamedTuple):
    """One event of a stream.

    Attributes:
        data: What it carries; a string is sent as it is.
        name: What it is called, "" for none.
        said: The piece of text, or of a tool's arguments, that it brings.
    """

    data: Json | str
    name: str = ""
    said: str = ""

    def encode(self) -> bytes:
        """As server-sent events go over a wire."""
        head = f"event: {self.name}\n" if self.name else ""
        text = self.data if isinstance(self.data, str) else json.dumps(self.data)
        return f"{head}data: {text}\n\n".encode()


class Wire(Protocol):
    """How one provider's API says things."""

    path: str

    def lacks(self, scene: Scene) -> str:
        """Why this API cannot say that; "" if it can."""
        ...

    def objection(self, body: Json) -> str:
        """Why the provider would not accept this call, "" if it would; as far as tests need it."""
        ...

    def whole(self, says: Says) -> Json:
        """An answer in one piece."""
        ...

    def events(self, says: Says) -> list[Event]:
        """The same as a stream."""
        ...

    def error(self, fails: Fails) -> tuple[int, Json]:
        """The status and body of an error."""
        ...

    def error_event(self, fails: Fails) -> Event:
        """An error amid a stream."""
        ...

    def hollow(self, noise: Noise) -> Json:
        """An answer that lacks what an answer has: `no_answer` or `null_content`."""
        ...

    def hear(self, headers: Mapping[str, str], body: Json) -> Heard:
        """A call, read."""
        ...


def unanswered(called: Sequence[str], answered: Sequence[str]) -> str:
    """What is wrong with the results behind the calls of one message, "" for nothing."""
    if len(set(called)) != len(called):
        return f"ids of calls must be unique: {list(called)}"
    if set(called) != set(answered):
        return f"each call must have one result: {list(called)} were called, {list(answered)} answered"
    return ""


def loose(schema: object) -> str:
    """Why a schema is not strict in OpenAI's sense, "" if it is."""
    if isinstance(schema, list):
        return next(filter(None, map(loose, schema)), "")
    if not isinstance(schema, dict):
        return ""
    if schema.get("type") == "object":
        names = list(schema.get("properties") or {})
        if schema.get("additionalProperties") is not False or sorted(schema.get("required") or ()) != sorted(names):
            return f"'additionalProperties' must be false and 'required' must name each property: {schema}"
    return next(filter(None, map(loose, schema.values())), "")


def key_of(headers: Mapping[str, str]) -> str:
    """The API key that came with a call."""
    return headers.get("x-api-key") or headers.get("authorization", "").removeprefix("Bearer ")


def pieces(text: str) -> Sequence[str]:
    """A text word by word, each with the white space behind it."""
    return re.findall(r"\s*\S+\s*|\s+", text)


def text_of(content: object) -> str:
    """The text of a content that is text, or a list of parts."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    return "".join(part.get("text", "") for part in content if isinstance(part, dict))
