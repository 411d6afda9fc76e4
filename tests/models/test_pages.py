"""Exchanges with each provider's server, on golden pages: `UPDATE_PAGES=1` rewrites them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.models.edge_server import EdgeServer
from tests.models.exchanges import check_page

PAGES = sorted((Path(__file__).parent / "pages").glob("*.txt"))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
async def test_an_adapter_sends_and_reads_what_its_page_says(path: Path, edge: EdgeServer) -> None:
    """Call by call, the body that is sent and what is made of the answer are those of the page."""
    await check_page(path, edge)
