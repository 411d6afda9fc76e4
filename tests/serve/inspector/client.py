"""Requests to the inspector's application without a socket, as its page sends them."""

import json
from collections.abc import Mapping
from functools import partial
from typing import Any
from urllib.parse import quote

from starlette.types import ASGIApp

from tests.serve import exchanges
from tests.serve.exchanges import Answer

PORT = 8765
TOKEN = "the-token"  # noqa: S105 - of no real server
ORIGIN = f"http://127.0.0.1:{PORT}"
WRITES = {"origin": ORIGIN, "x-graphengine": "1", "content-type": "application/json"}


async def request(  # noqa: PLR0913 - the parts of a request
    app: ASGIApp, method: str, path: str, body: bytes, headers: Mapping[str, str], until: str = ""
) -> Answer:
    """Send a request from this machine with the cookie; a header of the name `client` is another machine, or none."""
    given = {"host": f"127.0.0.1:{PORT}", **(WRITES if method == "POST" else {}), **headers}
    if "cookie" not in given and (method, path) != ("POST", "/api/session"):
        given["cookie"] = await cookie(app)
    client = given.pop("client", "127.0.0.1")
    machine = None if client == "none" else (client, 1)
    is_enough = partial(_has, until) if until else None
    answer = await exchanges.request(app, method, path, body, given, until=is_enough, client=machine)
    assert answer.status != 422 or answer.json["error"]["repair"], answer.text
    return answer


def _has(word: str, text: str) -> bool:
    return word in text


async def cookie(app: ASGIApp) -> str:
    """Return the cookie that the token is swapped for."""
    answer = await request(app, "POST", "/api/session", json.dumps({"token": TOKEN}).encode(), {})
    assert answer.status == 200
    return answer.headers["set-cookie"].partition(";")[0]


async def read(app: ASGIApp, path: str, /, **parameters: object) -> Any:
    """Return the document of a read that succeeds."""
    query = "&".join(f"{key}={quote(str(value), safe='')}" for key, value in parameters.items())
    answer = await request(app, "GET", f"/api/{path}?{query}", b"", {})
    assert answer.status == 200, answer.text
    return answer.json


async def act(app: ASGIApp, name: str, status: int = 200, /, **body: object) -> Any:
    """Post an act; return its document."""
    answer = await request(app, "POST", f"/api/{name}", json.dumps(body).encode(), {})
    assert answer.status == status, answer.text
    return answer.json
