"""Golden pages: sessions with runs that have spans. `UPDATE_PAGES=1` rewrites them."""

from __future__ import annotations

from pathlib import Path

from tests.agents import run_kits
from tests.kit import session_page


async def test_runs_have_the_spans_that_their_page_says() -> None:
    """The tree of spans, and what is in them, are as on the page."""
    await session_page.check_page(Path(__file__).parent / "sessions" / "traces.txt", run_kits)
