"""Golden pages: what was played, next to what a page of the repository says."""

import difflib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

MOST: Final = 60
"""How many lines of a page `UPDATE_PAGES=1` replaces: what is more is rarely meant, and nobody reads it in a review."""

LIKE: Final = 4
"""How many lines an outcome has in common with the one before, for a page to leave them out."""


def check(path: Path, played: str) -> None:
    """Fail with the difference if a page reads otherwise than what was played.

    `UPDATE_PAGES=1` rewrites the page and fails once, to show what it changed; if more than `MOST` lines of it would
    go, only `UPDATE_PAGES=all` does.
    """
    written = path.read_text(encoding="utf-8")
    if played == written:
        return
    lines = list(difflib.unified_diff(written.splitlines(), played.splitlines(), "the page", "played", "", "", 6, ""))
    gone = sum(line.startswith("-") for line in lines[1:])
    asked = os.environ.get("UPDATE_PAGES")
    if asked == "all" or (asked and gone <= MOST):
        path.write_text(played, encoding="utf-8")
        said = "is rewritten; read what changed"
    elif asked:
        said = f"would lose {gone} lines; UPDATE_PAGES=all rewrites it all the same"
    else:
        said = "UPDATE_PAGES=1 rewrites it"
    pytest.fail("\n".join([f"{path.name} ({said}):", *lines]), pytrace=False)


def but(before: Sequence[str], found: list[str]) -> list[str]:
    """Return an outcome; if most of its lines, four or more, are those before, only what differs, by its place."""
    pairs = enumerate(zip(found, before, strict=False), 1)
    other = [f"line {number}: {line}" for number, (line, old) in pairs if line != old]
    if len(found) != len(before) or len(found) - len(other) < max(LIKE, 2 * len(other)):
        return found
    return ["as before, but:", *other] if other else ["as before"]
