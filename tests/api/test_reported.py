"""Situations of public reports on engines; docs/project/reported.md lists all of them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pydantic import BaseModel

from graphengine import Runner
from tests.kit.runs import row

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


class State(BaseModel):
    """A word."""

    word: str = ""


async def test_a_node_that_changes_the_folder_moves_no_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path is that of the time at which the Runner was made."""
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    monkeypatch.chdir(here)

    def moves() -> str:
        os.chdir(there)
        return "moved"

    graph = row(State, ("a", moves, "word"), ("b", lambda word: f"{word}!", "word"))
    async with Runner("runs.db") as runner:
        result = await runner.start(graph, run_id="r").result()
    assert (result.state.word, [*there.iterdir()]) == ("moved!", [])
    assert (here / "runs.db").is_file()
