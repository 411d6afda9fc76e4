"""Requests to the inspector's application without a socket."""

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from starlette.types import ASGIApp, Message

PORT = 8765
TOKEN = "the-token"  # noqa: S105 - of no real server
ORIGIN = f"http://127.0.0.1:{PORT}"


@dataclass
class Answer:
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def document(self) -> Any:
        return json.loads(self.body)


async def request(  # noqa: PLR0913 - the parts of a request
    app: ASGIApp,
    path: str,
    *,
    method: str = "GET",
    headers: dict[str, str] | None = None,
    body: bytes = b"",
    client: tuple[str, int] | None = ("127.0.0.1", 1),
) -> Answer:
    """Send one request; headers given as "" are left out."""
    given = {"host": f"127.0.0.1:{PORT}", **(headers or {})}
    path, _, query = path.partition("?")
    answer, sent = Answer(), [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        return sent.pop() if sent else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            answer.headers = {key.decode().lower(): value.decode() for key, value in message["headers"]}
        else:
            answer.body += message.get("body", b"")

    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "scheme": "http",
        "query_string": query.encode(),
        "headers": [(key.encode(), value.encode()) for key, value in given.items() if value],
        "client": client,
        "server": ("127.0.0.1", PORT),
    }
    await app(scope, receive, send)
    return answer


WRITES = {"origin": ORIGIN, "x-graphengine": "1", "content-type": "application/json"}


async def post(app: ASGIApp, path: str, content: object, **headers: str) -> Answer:
    """Post JSON as the page does; further headers replace or remove the page's own."""
    renamed = {key.replace("_", "-"): value for key, value in headers.items()}
    return await request(app, path, method="POST", headers={**WRITES, **renamed}, body=json.dumps(content).encode())


async def cookie(app: ASGIApp) -> str:
    """Return the cookie that the token is swapped for."""
    answer = await post(app, "/api/session", {"token": TOKEN})
    assert answer.status == 200
    return answer.headers["set-cookie"].partition(";")[0]


def address(path: str, /, **parameters: object) -> str:
    """Return a path with parameters."""
    return f"{path}?" + "&".join(f"{key}={quote(str(value), safe='')}" for key, value in parameters.items())
