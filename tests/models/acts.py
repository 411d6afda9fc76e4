"""How a scene is played on a wire: the bytes that the server sends, where it waits, and how it ends."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from tests.conformance.model_scenes import Babbles, Fails, Noise, Received, Says, Scene, Tears
from tests.models.wire import Event, Wire

_PAGE: Final = b"<!DOCTYPE html><html><body><h1>It works!</h1></body></html>"
_HTML: Final = {"content-type": "text/html; charset=utf-8"}
_JSON: Final = {"content-type": "application/json", "request-id": "req_1", "x-request-id": "req_1"}
_STREAM: Final = {"content-type": "text/event-stream; charset=utf-8", "request-id": "req_1", "x-request-id": "req_1"}


@dataclass(frozen=True, slots=True)
class Raw:
    """An answer in raw form, for cases without a scene.

    Attributes:
        status: The status.
        body: Bytes, sent unchanged; other values are sent as JSON.
        events: If given: a stream of these instead of a body.
        headers: In addition to the content type.
        broken: Whether the connection breaks afterwards.
        held: Whether it waits for `release` before its first byte.
    """

    status: int = 200
    body: object = b""
    events: tuple[Event, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    broken: bool = False
    held: bool = False


@dataclass(frozen=True, slots=True)
class Act:
    """What the server sends.

    Attributes:
        status, headers: Of the answer.
        chunks: Its body; at least one.
        held_before: The chunk before which it waits, None for none.
        broken: Whether it is left without its end.
    """

    status: int
    headers: Mapping[str, str]
    chunks: tuple[bytes, ...]
    held_before: int | None = None
    broken: bool = False

    def raw_headers(self) -> list[tuple[bytes, bytes]]:
        """Return the headers in the form of ASGI."""
        return [(name.encode(), value.encode()) for name, value in self.headers.items()]


def stage(scene: Scene | Raw, wire: Wire, received: Received) -> Act:
    """Return the act of a scene on a wire, for a call."""
    match scene:
        case Raw():
            return raw(scene)
        case Says():
            return _answer(scene, wire, stream=received.stream)
        case Fails():
            return _failure(
                replace(scene, message=scene.message.replace("{key}", received.key or "")), wire, received.stream
            )
        case Tears():
            return _torn(scene, wire, stream=received.stream)
        case Babbles():
            return _noise(scene.noise, wire)


def raw(scene: Raw) -> Act:
    """Return the act of a raw answer."""
    held_before = 0 if scene.held else None
    if scene.events:
        headers = {**_STREAM, **scene.headers}
        return Act(scene.status, headers, _encoded(list(scene.events)), held_before, scene.broken)
    body = scene.body if isinstance(scene.body, bytes) else json.dumps(scene.body).encode()
    return Act(scene.status, {**_JSON, **scene.headers}, (body,), held_before, scene.broken)


def _answer(says: Says, wire: Wire, *, stream: bool) -> Act:
    if not stream:
        body = json.dumps(wire.whole(says)).encode()
        return Act(200, _JSON, (body,), held_before=0 if says.held else None)
    events = wire.events(says)
    if says.lingers:
        return Act(200, _STREAM, (*_encoded(events), b""), held_before=len(events))
    return Act(200, _STREAM, _encoded(events), held_before=_after_first_word(events) if says.held else None)


def _failure(fails: Fails, wire: Wire, stream: bool) -> Act:  # noqa: FBT001 - of the call, not a choice
    if stream and fails.in_stream:
        events = wire.events(Says("one two three"))
        return Act(200, _STREAM, _encoded([*events[: _after_first_word(events)], wire.error_event(fails)]))
    status, body = wire.error(fails)
    headers = dict(_JSON)
    if fails.retry_after_seconds is not None:
        if fails.in_milliseconds:
            headers["retry-after-ms"] = f"{fails.retry_after_seconds * 1000:.0f}"
        else:
            headers["retry-after"] = f"{fails.retry_after_seconds:g}"
    return Act(status, headers, (json.dumps(body).encode(),))


def _torn(tears: Tears, wire: Wire, *, stream: bool) -> Act:
    """Return half of the answer; on a broken connection, the announced length is not reached."""
    whole = Says(tears.text, tears.calls)
    if stream:
        events = wire.events(whole)
        indexes = [index for index, event in enumerate(events) if event.piece]
        return Act(200, _STREAM, _encoded(events[: indexes[len(indexes) // 2]]), broken=tears.broken)
    body = json.dumps(wire.whole(whole)).encode()
    promised = {"content-length": str(len(body))} if tears.broken else {}
    return Act(200, {**_JSON, **promised}, (body[: len(body) // 2],), broken=tears.broken)


def _noise(noise: Noise, wire: Wire) -> Act:
    if noise in {"html", "html_502"}:
        return Act(200 if noise == "html" else 502, _HTML, (_PAGE,))
    if noise == "torn_json":
        return Act(200, _JSON, (b'{"id": "x", "content": [{"type"',))
    if noise == "no_body":
        return Act(200, _JSON, (b"",))
    return Act(200, _JSON, (json.dumps(wire.hollow(noise)).encode(),))


def _encoded(events: list[Event]) -> tuple[bytes, ...]:
    return tuple(event.encode() for event in events)


def _after_first_word(events: list[Event]) -> int:
    return next((index + 1 for index, event in enumerate(events) if event.piece), 0)
