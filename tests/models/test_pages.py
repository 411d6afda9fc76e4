"""Golden pages: exchanges with providers' servers, calls that wait, and what models make of values.

`UPDATE_PAGES=1` rewrites them.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.agents import run_kits
from tests.kit import expression_page, session_page
from tests.models import call_page, exchanges
from tests.models.edge_server import EdgeServer

PAGES = sorted((Path(__file__).parent / "pages").glob("*.txt"))
CALLS = sorted((Path(__file__).parent / "calls").glob("*.txt"))
SESSIONS = sorted((Path(__file__).parent / "sessions").glob("*.txt"))
VALUES = sorted((Path(__file__).parent / "values").glob("*.txt"))


@pytest.mark.usefixtures("own_hosts")
@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
async def test_an_adapter_sends_and_reads_what_its_page_says(path: Path, edge: EdgeServer) -> None:
    """Call by call, the body that is sent and what is made of the answer are those of the page."""
    await exchanges.check_page(path, edge)


@pytest.mark.parametrize("path", CALLS, ids=lambda path: path.stem)
async def test_calls_wait_as_their_page_says(path: Path) -> None:
    """Limiters and routers call models at the moments that the page says, and calls come to what it says."""
    await call_page.check_page(path)


@pytest.mark.parametrize("path", SESSIONS, ids=lambda path: path.stem)
async def test_a_session_goes_as_its_page_says(path: Path) -> None:
    """What models are asked, answer, use and refuse, are as on the page."""
    await session_page.check_page(path, run_kits)


@pytest.mark.parametrize("path", VALUES, ids=lambda path: path.stem)
def test_values_are_what_their_page_says(path: Path) -> None:
    """Names, prices, texts, schemas and mistakes become what the page says."""
    expression_page.check_page(path)
