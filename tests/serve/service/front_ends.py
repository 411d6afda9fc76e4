"""A front end that reads a stream event by event, so that a test can go away in the middle."""

import http.client
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.serve.service.client import TOKEN, Service

FLOWS = str(Path(__file__).with_name("front_end_flows.py"))


class Stream:
    """The events of one request."""

    def __init__(self, service: Service, method: str, path: str, body: Any = None) -> None:
        self._connection = http.client.HTTPConnection(service.host, timeout=20)
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        self._connection.request(method, path, None if body is None else json.dumps(body), headers)
        self.answer = self._connection.getresponse()
        self.status = self.answer.status
        self.seen: list[Any] = []

    def __iter__(self) -> Iterator[Any]:
        for raw in self.answer:
            text = raw.decode().rstrip("\n")
            if text.startswith("data: {"):
                self.seen.append(json.loads(text.removeprefix("data: ")))
                yield self.seen[-1]

    def until(self, is_it: Callable[[Any], bool]) -> list[Any]:
        """Read until an event; return all so far."""
        for event in self:
            if is_it(event):
                return self.seen
        raise AssertionError(self.seen)

    def all(self) -> list[Any]:
        """Read to the end; return all events, or the error of a refused request."""
        if self.status != 200:
            found = [json.loads(self.answer.read() or "{}")]
        else:
            found = [*self.seen, *list(self)] and self.seen
        self.close()
        return found

    def close(self) -> None:
        """Leave."""
        self.answer.close()
        self._connection.close()


def ag_ui(service: Service, thread: str, said: str = "", graph: str = "assistant-chat", **more: Any) -> Stream:
    """Send a thread by AG-UI; `said` is a new message, whose id is its text."""
    messages = more.pop("messages", [])
    messages = [*messages, *([{"id": said, "role": "user", "content": said}] if said else [])]
    body = {"threadId": thread, "runId": "r", "messages": messages, "tools": [], "context": [], **more}
    return Stream(service, "POST", f"/agui/{graph}", body)


def ai_sdk(service: Service, chat: str, said: str = "", graph: str = "assistant-chat", **more: Any) -> Stream:
    """Send a chat as `useChat` does; without a message, ask for the stream again."""
    messages = more.pop("messages", [])
    if said:
        messages = [*messages, {"id": said, "role": "user", "parts": [{"type": "text", "text": said}]}]
    if not (messages or more):
        return Stream(service, "GET", f"/ai-sdk/{graph}/{chat}/stream")
    return Stream(service, "POST", f"/ai-sdk/{graph}", {"id": chat, "messages": messages, **more})


def text_of(events: list[Any], role: str = "assistant") -> str:
    """Return the text in events of either protocol."""
    if role == "reasoning":
        kinds = ("REASONING_MESSAGE_CHUNK", "reasoning-delta")
        return "".join(each["delta"] for each in events if each["type"] in kinds)
    found = [each for each in events if each["type"] == "text-delta" or each.get("role") == role]
    return "".join(each["delta"] for each in found)
