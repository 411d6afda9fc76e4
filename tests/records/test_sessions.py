"""Sessions with a Runner, over each store, as in `tests/runner/sessions`. `UPDATE_PAGES=1` rewrites the pages."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.kit.runner_page import Store, check_page

PAGES = sorted((Path(__file__).parent / "sessions").glob("*.txt"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
async def test_a_runner_does_what_a_page_says(fresh: Callable[[], AbstractContextManager[Store]], page: Path) -> None:
    """Each call returns or raises what the page has."""
    await check_page(page, fresh)
