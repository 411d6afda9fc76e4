"""Golden pages: agents in runs, and what they make of tools, texts and mistakes. `UPDATE_PAGES=1` rewrites them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from tests.agents import run_kits
from tests.kit import expression_page, graph_pages, session_page

PAGES = sorted((Path(__file__).parent / "pages").glob("*.txt"))
SESSIONS = sorted((Path(__file__).parent / "sessions").glob("*.txt"))
VALUES = sorted((Path(__file__).parent / "values").glob("*.txt"))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
async def test_a_run_with_agents_does_what_its_page_says(path: Path) -> None:
    """Each request, each step, and what it came to are those of the page."""
    await graph_pages.check_page(path, dataclasses, run_kits)


@pytest.mark.parametrize("path", SESSIONS, ids=lambda path: path.stem)
async def test_a_session_goes_as_its_page_says(path: Path) -> None:
    """What agents are asked and answer, and what is shown and refused, are as on the page."""
    await session_page.check_page(path, run_kits)


@pytest.mark.parametrize("path", VALUES, ids=lambda path: path.stem)
def test_values_are_what_their_page_says(path: Path) -> None:
    """Tools, guards, windows, media and mistakes become what the page says."""
    expression_page.check_page(path)
