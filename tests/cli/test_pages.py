"""Every page of `tests/cli/pages` shows what its commands print. `UPDATE_PAGES=1` rewrites the pages."""

from pathlib import Path
from typing import Final

import pytest

from tests.cli.page import play
from tests.kit import golden

PAGES: Final = sorted((Path(__file__).parent / "pages").glob("*.txt"))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_command_prints_what_its_page_shows(
    path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Played command by command, the command line prints what the page has, whichever SQLite is here."""
    if path.stem == "doctor":
        monkeypatch.setattr("graphengine.databases.sqlite.doctor.WAL_RESET_REPAIRED", (0,))
    page = path.read_text(encoding="utf-8")
    of_examples = "\n# In the project of tests/cli/scratch.py.\n" in page
    golden.check(path, play(page, request.getfixturevalue("tried" if of_examples else "project")))
