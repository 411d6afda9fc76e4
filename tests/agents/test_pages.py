"""Agents in runs, on golden pages: `UPDATE_PAGES=1` rewrites them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from tests.agents import run_kits
from tests.kit.graph_pages import check_page

PAGES = sorted((Path(__file__).parent / "pages").glob("*.txt"))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
async def test_a_run_with_agents_does_what_its_page_says(path: Path) -> None:
    """Each request, each step, and what it came to are those of the page."""
    await check_page(path, dataclasses, run_kits)
