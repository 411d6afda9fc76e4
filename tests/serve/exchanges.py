"""Requests to servers in this process, and golden pages of requests and answers.

A page is a title (lines with `#`) and requests, `> METHOD PATH BODY`, whose headers follow as `>   NAME: VALUE`: one
without a value is left out. What follows is the status, and of an error its code, place, message and repair, or of any
answer the fields that are named after ` | `, such as `runs[].run_id`, `headers.etag` or `.`, the whole. An answer of
events has a line for each that has a number or one of these fields. A request with ` until TEXT` is sent again until
its answer has this text. `> touch FILE` makes a file in the folder of the test, which requests call FOLDER, and `> wait
FILE` waits for one. `x*2000` is 2000 times this letter.
"""

import asyncio
import gzip
import json
import re
import textwrap
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

from starlette.types import ASGIApp, Message

from tests.kit import golden
from tests.kit.runs import SOON

_WIDTH: Final = 118
_REQUEST: Final = re.compile(r"> ([A-Z]+) (\S+)(?: (?!until |\| )(.*?))?(?: until (.*?))?(?: \| (.*))?")


@dataclass
class Answer:
    """What a server answered.

    Attributes:
        status: The status.
        text: The body, or as much of it as was waited for.
        headers: The headers.
        size: How many bytes of the body were sent; `text` is not compressed any more.
    """

    status: int = 0
    text: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    size: int = 0

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.text)


async def request(  # noqa: PLR0913 - the parts of a request
    app: ASGIApp,
    method: str,
    path: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    until: Callable[[str], bool] | None = None,
    client: tuple[str, int] | None = ("10.0.0.7", 1),
) -> Answer:
    """Send a request without a socket, and return the whole answer, or as much of it as is waited for."""
    answer, sent, enough = Answer(), [body], asyncio.Event()

    async def receive() -> Message:
        if sent:
            return {"type": "http.request", "body": sent.pop(), "more_body": False}
        await enough.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            answer.headers = {key.decode().lower(): value.decode() for key, value in message["headers"]}
        else:
            sent_now = message.get("body", b"")
            answer.size += len(sent_now)
            is_compressed = answer.headers.get("content-encoding") == "gzip"
            answer.text += (gzip.decompress(sent_now) if is_compressed else sent_now).decode()
            if until is not None and until(answer.text):
                enough.set()

    path, _, query = path.partition("?")
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [(name.lower().encode(), text.encode()) for name, text in headers.items() if text],
        "client": client,
        "server": ("here", 80),
    }
    async with asyncio.timeout(SOON):
        tasks = [asyncio.ensure_future(app(scope, receive, send)), asyncio.create_task(enough.wait())]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if not tasks[0].done():
            enough.set()
            tasks[0].cancel()
        for task in tasks[1:]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    if not tasks[0].cancelled() and (error := tasks[0].exception()) is not None:
        raise error
    return answer


Send = Callable[[str, str, bytes, dict[str, str], str], Awaitable[Answer]]
"""Sends a request: its method, path, body and headers, and the text until which a stream is read."""


async def check_page(path: Path, send: Send, folder: Path) -> None:
    """Fail if the answers are not those of a page; with `UPDATE_PAGES=1`, write them."""
    lines = list[str]()
    for block in re.split(r"\n+(?=#|> \S)", path.read_text(encoding="utf-8").strip()):
        given = [line for line in block.splitlines() if line.startswith((">", "#"))]
        is_close = not lines or (lines[-1].startswith("#") and len(lines) > 1)
        lines += [*([] if is_close else [""]), *given]
        if block.startswith(">"):
            async with asyncio.timeout(SOON):
                done = await _done([line.replace("FOLDER", str(folder)) for line in given], send, folder)
            lines += [line.replace(str(folder), "FOLDER") for line in done]
    golden.check(path, "\n".join([*lines, ""]))


async def _done(given: list[str], send: Send, folder: Path) -> list[str]:
    """Do what the lines of a block say; return what is shown of it."""
    if given[0].startswith(("> touch ", "> wait ")):
        _, verb, name = given[0].split()
        while verb == "wait" and not (folder / name).exists():  # noqa: ASYNC110 - a node makes it
            await asyncio.sleep(0.01)
        (folder / name).touch()
        return []
    found = _REQUEST.fullmatch(given[0])
    assert found is not None, given[0]
    method, path, body, until, paths = (part or "" for part in found.groups())
    path, body = (re.sub(r"(\w|\[)\*(\d+)", lambda many: many[1] * int(many[2]), part) for part in (path, body))
    headers = dict(re.split(r": ?", line.removeprefix(">").strip(), maxsplit=1) for line in given[1:])
    answer = await send(method, path, body.encode(), headers, until)
    while until not in answer.text:
        await asyncio.sleep(0.01)
        answer = await send(method, path, body.encode(), headers, until)
    return _shown(answer, paths.split(", ") if paths else [])


def _shown(answer: Answer, paths: list[str]) -> list[str]:
    """Return what a page has of an answer."""
    if answer.headers.get("content-type", "").startswith("text/event-stream"):
        lines = [line for event in events_of(answer.text) for line in _wrapped(*event, paths)]
        return [f"  {answer.status}", *lines]
    if not paths and answer.status >= 400 and answer.text.startswith("{"):
        error = answer.json["error"]
        where = f" at {error['where']}" if error["where"] else ""
        said = f"{answer.status} {error['code']}{where}: {error['message']}"
        repair = [f"      repair: {error['repair']}"] if error["repair"] else []
        return [*textwrap.wrap(said, _WIDTH, initial_indent="  ", subsequent_indent="      "), *repair]
    document = answer.json if answer.text.startswith(("{", "[")) else {}
    return _wrapped(str(answer.status), document, paths, answer.headers)


def events_of(text: str) -> Iterator[tuple[str, Any]]:
    """Yield the number and the name of each event, if it has them, and what it says."""
    for event in text.split("\n\n"):
        parts = dict(line.split(": ", 1) for line in event.splitlines() if ": " in line and not line.startswith(":"))
        if parts.get("data", "").startswith("{"):
            title = " ".join(parts[name] for name in ("id", "event") if name in parts)
            yield title, json.loads(parts["data"])


def _wrapped(head: str, document: Any, paths: list[str], headers: Mapping[str, str] | None = None) -> list[str]:
    """Return the first words of a line, and values of a document or of headers."""
    shown = [head] if head else []
    for path in paths:
        is_header = path.startswith("headers.")
        value = _picked({"headers": headers} if is_header else document, re.findall(r"\[\]|[^.\[\]]+", path))
        if value is not ...:
            shown.append(f"{path} {json.dumps(value, ensure_ascii=False, default=lambda _: None)}")
    line = f"  {shown[0]} {', '.join(shown[1:])}".rstrip() if shown else ""
    if len(line) <= _WIDTH:
        return [line] if line else []
    wrapped = partial(textwrap.wrap, width=_WIDTH, subsequent_indent="        ", break_on_hyphens=False)
    return [f"  {shown[0]}", *(part for text in shown[1:] for part in wrapped(text, initial_indent="      "))]


def _picked(value: Any, steps: list[str]) -> Any:
    """Return the value at a path, or `...` if there is none."""
    if not steps:
        return value
    step, *rest = steps
    if step == "[]":
        return [_picked(each, rest) for each in value]
    if isinstance(value, dict):
        return _picked(value[step], rest) if step in value else ...
    return _picked(value[int(step)], rest) if isinstance(value, list) and int(step) < len(value) else ...
