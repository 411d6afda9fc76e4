"""Golden pages: what was played, next to what a page of the repository says."""

import difflib
import os
from pathlib import Path

import pytest


def check(path: Path, played: str) -> None:
    """Fail with the difference if a page reads otherwise than what was played; with `UPDATE_PAGES=1`, rewrite it."""
    if os.environ.get("UPDATE_PAGES"):
        path.write_text(played, encoding="utf-8")
        return
    written = path.read_text(encoding="utf-8")
    if played != written:
        diff = difflib.unified_diff(written.splitlines(), played.splitlines(), "the page", "played", lineterm="", n=6)
        pytest.fail("\n".join([f"{path.name} (UPDATE_PAGES=1 rewrites it):", *diff]), pytrace=False)
