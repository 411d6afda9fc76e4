"""Golden pages: sessions with runs under budgets. `UPDATE_PAGES=1` rewrites them."""

from __future__ import annotations

from pathlib import Path

from tests.agents import run_kits
from tests.kit import session_page


async def test_budgets_hold_as_their_page_says() -> None:
    """What is spent, refused and asked is as on the page."""
    await session_page.check_page(Path(__file__).parent / "sessions" / "budgets.txt", run_kits)
