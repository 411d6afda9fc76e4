"""A server that answers readers and their merger like Anthropic's, each after the same time, and counts tokens.

A reader gets quotations of its source: the first long lines. A request without an output format gets a page of text
that cites the first place in the request. Tokens are counted at 4 bytes each, which is typical of English.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from typing import Any, Final

from benchmarks.model_server import serve

TOKEN_BYTES: Final = 4
NOTED_LINES: Final = 5
LONG_CHARACTERS: Final = 60
STATEMENTS: Final = 40
_SOURCE: Final = re.compile(r"^File <file>(.*)</file>:\n<source>\n(.*)\n</source>$", re.MULTILINE | re.DOTALL)
_FOUND: Final = re.compile(r"^(?:<found>)?\[(.+:\d+)\] ", re.MULTILINE)


def answer(body: bytes) -> bytes:
    """Return the body of the response to a request of a reader or of the merger."""
    request: dict[str, Any] = json.loads(body)
    question = "\n".join(part["text"] for message in request["messages"] for part in message["content"])
    form = request.get("output_config", {}).get("format")
    text = json.dumps(_quotations(question)) if form else _page(question)
    system = "".join(block["text"] for block in request.get("system", []))
    asked = _tokens(question) + _tokens(system + json.dumps(request.get("output_config", {})))
    found = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": request["model"],
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": asked, "output_tokens": _tokens(text)},
    }
    return json.dumps(found).encode()


def _quotations(question: str) -> dict[str, object]:
    """Return the answer of a reader: quotations from the source that the request contains."""
    source = _SOURCE.search(question)
    file, text = source.groups() if source else ("", "")
    lines = [line for line in text.splitlines() if len(line) >= LONG_CHARACTERS]
    return {"quotations": [{"text": line, "file": file} for line in lines[:NOTED_LINES]], "notes": []}


def _page(question: str) -> str:
    """Return the answer of the merger: a page that cites the first finding in the request."""
    place = _FOUND.search(question)
    statement = f"A statement of the whole text [{place[1]}]." if place else "A statement."
    return "\n".join(["# What was found", "", *[f"- {statement}"] * STATEMENTS])


def _tokens(text: str) -> int:
    return -(-len(text.encode()) // TOKEN_BYTES)


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1]), answer))
