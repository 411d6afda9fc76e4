"""The pictures in the docs match their graphs, to the byte."""

from pathlib import Path

import pytest

from tests.render.samples import PICTURES, draw_docs


@pytest.fixture
async def drawn(tmp_path: Path) -> Path:
    """A folder with freshly drawn pictures."""
    await draw_docs(tmp_path)
    return tmp_path


async def test_the_pictures_of_the_docs_are_up_to_date(drawn: Path) -> None:
    """Each matches its graph, or the run on it; `python -m tests.render.samples` regenerates them."""
    names = sorted(path.name for path in drawn.iterdir())
    assert names == sorted(path.name for path in PICTURES.glob("*.svg"))
    for name in names:
        assert (PICTURES / name).read_bytes() == (drawn / name).read_bytes(), name
