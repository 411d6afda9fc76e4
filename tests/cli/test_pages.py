"""Every page of `tests/cli/pages` shows what its commands print. `UPDATE_PAGES=1` rewrites the pages.

What a command says is what works: each command that is printed is tried, in the same play of the page.
"""

from pathlib import Path
from typing import Final

import pytest

from tests.cli.hints import Follower
from tests.cli.page import play
from tests.kit import golden

PAGES: Final = sorted((Path(__file__).parent / "pages").glob("*.txt"))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_command_prints_what_its_page_shows(
    path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Played command by command, the command line prints what the page has, and refuses nothing that it prints."""
    if path.stem == "doctor":  # whichever SQLite is here
        monkeypatch.setattr("graphengine.databases.sqlite.doctor.WAL_RESET_REPAIRED", (0,))
    page = path.read_text(encoding="utf-8")
    of_examples = "\n# In the project of tests/cli/scratch.py.\n" in page
    folder: Path = request.getfixturevalue("tried" if of_examples else "project")
    follower = Follower(folder, tmp_path)
    golden.check(path, play(page, folder, follower.follow))
    assert not follower.refused, "\n".join(follower.refused)
