"""A server that answers readers and their merger as Anthropic's does, each after the same time, and counts tokens.

A reader gets notes that stand in its source: the first long lines, with their numbers. A question without a structure
gets a page of text, which quotes the first note in the question. Tokens are counted at 4 bytes each, which is about
what English takes. Instructions that are marked to be cached are written to the cache with the first question that has
them and read from it afterwards, where there are 1,024 tokens of them or more.
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
"""The notes in the question to the merger, each a JSON text in JSON."""


class Answers:
    """Answers, and what is cached of earlier questions."""

    def __init__(self) -> None:
        self._cached: set[tuple[str, str]] = set()

    def of(self, body: bytes) -> bytes:
        """The body of the answer to a question's."""
        asked: dict[str, Any] = json.loads(body)
        question = "\n".join(part["text"] for message in asked["messages"] for part in message["content"])
        form = asked.get("output_config", {}).get("format")
        said = json.dumps(_notes(question)) if form else _page(question)
        answer = {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": asked["model"],
            "content": [{"type": "text", "text": said}],
            "stop_reason": "end_turn",
            "stop_sequence": None,
            "usage": self._counted(asked, _tokens(question)) | {"output_tokens": _tokens(said)},
        }
        return json.dumps(answer).encode()

    def _counted(self, asked: dict[str, Any], plain: int) -> dict[str, int]:
        """What a question's tokens are: plain, written to the cache, or read from it."""
        standing = asked.get("system", [])
        text = "".join(block["text"] for block in standing) + json.dumps(asked.get("output_config", {}))
        tokens, key = _tokens(text), (asked["model"], text)
        marked = any("cache_control" in block for block in standing) and tokens >= LEAST_CACHED_TOKENS
        read = marked and key in self._cached
        if marked:
            self._cached.add(key)
        return {
            "input_tokens": plain if marked else plain + tokens,
            "cache_creation_input_tokens": tokens if marked and not read else 0,
            "cache_read_input_tokens": tokens if read else 0,
        }


def _notes(question: str) -> dict[str, object]:
    """Notes on the source in a question."""
    found = _PATH.search(question)
    file = found[1] if found else ""
    lines = [(int(number), text) for number, text in _LINE.findall(question) if len(text) >= LONG_CHARACTERS]
    facts = [{"text": text, "file": file, "line": number, "rank": at} for at, (number, text) in enumerate(lines, 1)]
    return {"facts": facts[:NOTED_LINES], "points": []}


def _page(question: str) -> str:
    """A page that says what the first note in a question says, again and again, with its place."""
    outcomes = _OUTCOMES.search(question)
    notes = [json.loads(outcome["text"]) for outcome in json.loads(outcomes[1])] if outcomes else []
    facts = [fact for note in notes for fact in note["facts"]]
    statement = "{text} [{file}:{line}]".format(**facts[0]) if facts else "A statement of the whole text."
    return "\n".join(["# What was found", "", *[f"- {statement}"] * STATEMENTS])


def _tokens(text: str) -> int:
    return -(-len(text.encode()) // TOKEN_BYTES)


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1]), Answers().of))
