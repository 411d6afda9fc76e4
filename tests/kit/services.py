"""Local servers that speak the APIs of publishing services, written from their public documentation.

Each keeps its posts in memory. `kill` ends a client at a certain request, before or after the server carried it out, so
that a client cannot know which it was.
"""

import base64
import hashlib
import hmac
import json
import os
import re
import signal
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

Answer = tuple[int, Any]


def _unique(posts: dict[Any, dict[str, Any]], number: object, slug: str) -> str:
    """Return a name that no other post has."""
    taken = {one["slug"] for one in posts.values() if one["id"] != number}
    return next(name for name in (slug, *(f"{slug}-{count}" for count in range(2, 9))) if name not in taken)


@dataclass
class Asked:
    """A request."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    content: bytes

    @property
    def body(self) -> Any:
        """The JSON of the request."""
        return json.loads(self.content) if self.content else None


@dataclass
class Service(ABC):
    """A service.

    Attributes:
        asked: Its requests.
        kill: At which request of a method other than GET, from 1, and when (`before` or `after` it is carried out) to
            end the client.
        pid: The file with the client's process; without one, the connection is dropped instead.
        answers: Answers to give instead of its own to requests other than GET, in order; None for its own.
        writes: How many such requests there were.
    """

    address: str = ""
    asked: list[Asked] = field(default_factory=list)
    kill: tuple[int, str] = (0, "")
    pid: Path | None = None
    answers: list[Answer | None] = field(default_factory=list)
    writes: int = 0

    @abstractmethod
    def answer(self, asked: Asked) -> Answer:
        """Carry out a request."""

    @property
    @abstractmethod
    def public(self) -> list[str]:
        """The titles that readers see."""


class WordPressServer(Service):
    """Posts with numbers; drafts can share a name, a published post gets another one if its name is taken."""

    def __init__(self) -> None:
        super().__init__()
        self.posts: dict[int, dict[str, Any]] = {}
        self.tags: dict[str, int] = {"sea": 7}

    def answer(self, asked: Asked) -> Answer:
        user = base64.b64decode(asked.headers["authorization"].removeprefix("Basic ")).decode()
        if user != "editor:app pass":
            return 401, {"code": "incorrect_password", "message": "The password is incorrect."}
        path = asked.path.removeprefix("/wp-json/wp/v2")
        if path == "/tags":
            return self._tag(asked)
        if path == "/posts" and asked.method == "GET":
            return 200, [self._shown(one) for one in self._found(asked.query)]
        if path == "/posts":
            number = 10 + len(self.posts)
            self.posts[number] = {"id": number, **asked.body}
            return 201, self._shown(self.posts[number])
        number = int(path.rpartition("/")[2])
        if asked.method == "DELETE":
            self.posts[number] |= {"status": "trash", "slug": f"{self.posts[number]['slug']}__trashed"}
        else:
            self.posts[number] |= asked.body
            if asked.body.get("status") == "publish":
                self.posts[number]["slug"] = _unique(self.posts, number, self.posts[number]["slug"])
        return 200, self._shown(self.posts[number])

    def _tag(self, asked: Asked) -> Answer:
        if asked.method == "GET":
            return 200, [{"name": name} for name in self.tags]
        name = asked.body["name"]
        if name in self.tags:
            return 400, {"code": "term_exists", "message": "exists", "data": {"term_id": self.tags[name]}}
        self.tags[name] = 100 + len(self.tags)
        return 201, {"id": self.tags[name], "name": name}

    def _found(self, query: dict[str, str]) -> list[dict[str, Any]]:
        statuses = query.get("status", "publish").split(",")
        slugs = query["slug"].split(",") if "slug" in query else None
        kept = [one for one in self.posts.values() if one["status"] in statuses]
        return sorted((one for one in kept if slugs is None or one["slug"] in slugs), key=lambda one: int(one["id"]))

    def _shown(self, one: dict[str, Any]) -> dict[str, Any]:
        return {
            **one,
            "title": {"rendered": one["title"].replace("&", "&amp;")},
            "link": f"https://w.test/?p={one['id']}",
        }

    @property
    def public(self) -> list[str]:
        return [one["title"] for one in self.posts.values() if one["status"] == "publish"]


class GhostServer(Service):
    """Posts whose names are unique, and that change only with their newest `updated_at`."""

    KEY = "abc:" + "0f" * 32

    def __init__(self) -> None:
        super().__init__()
        self.posts: dict[str, dict[str, Any]] = {}
        self.changes = 0
        self.is_blind = False  # whether the next look-up finds nothing

    def answer(self, asked: Asked) -> Answer:  # noqa: PLR0911 - one for each request of the API
        if not self._is_signed(asked.headers.get("authorization", "")):
            return 401, {"errors": [{"message": "Invalid token"}]}
        path = asked.path.removeprefix("/ghost/api/admin")
        if path == "/tags/":
            return 200, {"tags": [{"name": "sea"}]}
        if path == "/posts/" and asked.method == "GET":
            return 200, {"posts": [{"title": one["title"]} for one in self.posts.values()]}
        if path == "/posts/":
            assert asked.query["source"] == "html"
            number = f"p{len(self.posts)}"
            self.posts[number] = {"id": number, **asked.body["posts"][0]}
            self.posts[number]["slug"] = _unique(self.posts, number, self.posts[number]["slug"])
            return 201, {"posts": [self._changed(number)]}
        name = path.strip("/").rpartition("/")[2]
        if "/slug/" in path:
            name = next((one["id"] for one in self.posts.values() if one["slug"] == name), "")
        blind, self.is_blind = self.is_blind, False
        if blind or name not in self.posts:
            return 404, {"errors": [{"message": "Resource not found"}]}
        if asked.method == "DELETE":
            del self.posts[name]
            return 204, None
        if asked.method == "PUT":
            change = asked.body["posts"][0]
            if change["updated_at"] != self.posts[name]["updated_at"]:
                return 409, {"errors": [{"message": "Saving failed! Someone else is editing this post."}]}
            self.posts[name] |= change
            self._changed(name)
        return 200, {"posts": [{**self.posts[name], "url": f"https://g.test/{self.posts[name]['slug']}/"}]}

    def _changed(self, number: str) -> dict[str, Any]:
        self.changes += 1
        self.posts[number]["updated_at"] = f"2026-01-01T00:00:{self.changes:02}.000Z"
        return self.posts[number]

    def _is_signed(self, header: str) -> bool:
        found = re.fullmatch(r"Ghost (([\w-]+)\.([\w-]+))\.([\w-]+)", header)
        if found is None:
            return False
        number, _, secret = self.KEY.partition(":")
        head, claims = (json.loads(base64.urlsafe_b64decode(part + "==")) for part in (found[2], found[3]))
        signed = hmac.digest(bytes.fromhex(secret), found[1].encode(), hashlib.sha256)
        is_ours = hmac.compare_digest(base64.urlsafe_b64encode(signed).rstrip(b"=").decode(), found[4])
        return is_ours and (head["kid"], claims["aud"]) == (number, "/admin/") and claims["exp"] - claims["iat"] <= 300

    @property
    def public(self) -> list[str]:
        return [one["title"] for one in self.posts.values() if one["status"] == "published"]


class TelegramServer(Service):
    """Messages of a channel, which cannot be looked up."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[dict[str, Any]] = []

    def answer(self, asked: Asked) -> Answer:
        if asked.path != "/bot12:secret/sendMessage":
            return 404, {"ok": False, "error_code": 404, "description": "Not Found"}
        self.messages.append(asked.body)
        result = {"message_id": 40 + len(self.messages), "chat": {"username": "tides"}}
        return 200, {"ok": True, "result": result}

    @property
    def public(self) -> list[str]:
        return [re.findall(r"<b>(.*?)</b>", one["text"])[0] for one in self.messages]


class WebhookServer(Service):
    """Events, each accepted once by its id."""

    SECRET = "whsec_" + base64.b64encode(b"a secret of 24 bytes....").decode()

    def __init__(self) -> None:
        super().__init__()
        self.events: dict[str, Any] = {}

    def answer(self, asked: Asked) -> Answer:
        number, at = asked.headers["webhook-id"], asked.headers["webhook-timestamp"]
        signed = hmac.digest(b"a secret of 24 bytes....", f"{number}.{at}.".encode() + asked.content, hashlib.sha256)
        if asked.headers["webhook-signature"] != f"v1,{base64.b64encode(signed).decode()}":
            return 401, {"message": "bad signature"}
        assert asked.headers["idempotency-key"] == number
        self.events.setdefault(number, asked.body)
        return 200, {"url": f"https://h.test/{number}"}

    @property
    def public(self) -> list[str]:
        return [event["data"]["title"] for event in self.events.values()]


@contextmanager
def running(service: Service) -> Iterator[None]:
    """Run a service on a free port of this machine."""
    lock = Lock()

    class Handler(BaseHTTPRequestHandler):
        def _handle(self) -> None:
            url = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(url.query).items()}
            headers = {name.lower(): value for name, value in self.headers.items()}
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            asked = Asked(self.command, url.path, query, headers, content)
            with lock:
                service.asked.append(asked)
                service.writes += self.command != "GET"
                is_here = self.command != "GET" and service.writes == service.kill[0]
                if is_here and service.kill[1] == "before":
                    self._end()
                    return
                forced = service.answers.pop(0) if service.answers and self.command != "GET" else None
                status, found = forced or service.answer(asked)
                if is_here:
                    self._end()
                    return
            self._send(status, json.dumps(found).encode() if found is not None else b"")

        def _end(self) -> None:
            """End the client, or lose the connection, without an answer."""
            if service.pid is not None:
                os.kill(int(service.pid.read_text()), signal.SIGKILL)
            self.close_connection = True

        def _send(self, status: int, content: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = _handle  # noqa: N815 - the library's name
        do_POST = _handle  # noqa: N815 - the library's name
        do_PUT = _handle  # noqa: N815 - the library's name
        do_DELETE = _handle  # noqa: N815 - the library's name

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        service.address = f"http://127.0.0.1:{server.server_port}"
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
