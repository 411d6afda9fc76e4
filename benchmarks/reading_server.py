"""A server that answers readers and their merger like Anthropic's, each after the same time, and counts tokens.

A reader gets notes from its source: the first long lines, with their numbers. A request without an output format gets a
page of text that quotes the first note in the request. Tokens are counted at 4 bytes each, which is typical of English.
Instructions marked for caching are written to the cache with the first request that has them, and read from it
afterwards, if they have 1,024 tokens or more.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from typing import Any, Final

from benchmarks.model_server import serve

TOKEN_BYTES: Final = 4
LEAST_CACHED_TOKENS: Final = 1024
NOTED_LINES: Final = 5
LONG_CHARACTERS: Final = 60
STATEMENTS: Final = 40
_LINE: Final = re.compile(r"^ *(\d+)\| (.*)$", re.MULTILINE)
_PATH: Final = re.compile(r"path: (.*)$", re.MULTILINE)
_OUTCOMES: Final = re.compile(r"<outcomes>\n(.*)\n</outcomes>", re.DOTALL)
"""The notes in the request to the merger, each a JSON text in JSON."""


class Answers:
    """Answers, and the cache of earlier requests."""

    def __init__(self) -> None:
        self._cached: set[tuple[str, str]] = set()

    def of(self, body: bytes) -> bytes:
        """Return the body of the answer to the body of a request."""
        request: dict[str, Any] = json.loads(body)
        question = "\n".join(part["text"] for message in request["messages"] for part in message["content"])
        form = request.get("output_config", {}).get("format")
        text = json.dumps(_notes(question)) if form else _page(question)
        answer = {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": request["model"],
            "content": [{"type": "text", "text": text}],
            "stop_reason": "end_turn",
            "stop_sequence": None,
            "usage": self._counted(request, _tokens(question)) | {"output_tokens": _tokens(text)},
        }
        return json.dumps(answer).encode()

    def _counted(self, request: dict[str, Any], plain: int) -> dict[str, int]:
        """Return the input tokens of a request: plain, written to the cache, or read from it."""
        system = request.get("system", [])
        text = "".join(block["text"] for block in system) + json.dumps(request.get("output_config", {}))
        tokens, key = _tokens(text), (request["model"], text)
        marked = any("cache_control" in block for block in system) and tokens >= LEAST_CACHED_TOKENS
        read = marked and key in self._cached
        if marked:
            self._cached.add(key)
        return {
            "input_tokens": plain if marked else plain + tokens,
            "cache_creation_input_tokens": tokens if marked and not read else 0,
            "cache_read_input_tokens": tokens if read else 0,
        }


def _notes(question: str) -> dict[str, object]:
    """Return notes on the source in a request."""
    found = _PATH.search(question)
    file = found[1] if found else ""
    lines = [(int(number), text) for number, text in _LINE.findall(question) if len(text) >= LONG_CHARACTERS]
    facts = [{"text": text, "file": file, "line": number, "rank": at} for at, (number, text) in enumerate(lines, 1)]
    return {"facts": facts[:NOTED_LINES], "points": []}


def _page(question: str) -> str:
    """Return a page that repeats the first note in a request, with its place."""
    outcomes = _OUTCOMES.search(question)
    notes = [json.loads(outcome["text"]) for outcome in json.loads(outcomes[1])] if outcomes else []
    facts = [fact for note in notes for fact in note["facts"]]
    statement = "{text} [{file}:{line}]".format(**facts[0]) if facts else "A statement of the whole text."
    return "\n".join(["# What was found", "", *[f"- {statement}"] * STATEMENTS])


def _tokens(text: str) -> int:
    return -(-len(text.encode()) // TOKEN_BYTES)


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1]), Answers().of))
