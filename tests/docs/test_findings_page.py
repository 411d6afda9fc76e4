"""docs/project/findings.md has each script of findings/, and what it says of our code is there."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "project" / "findings.md").read_text(encoding="utf-8")
ROWS = [line for line in PAGE.splitlines() if line.startswith("| [")]


def test_each_script_has_a_row() -> None:
    """In the order of their names."""
    assert [re.findall(r"findings/(\w+)\.sh", row) for row in ROWS] == [
        [script.stem] for script in sorted((ROOT / "findings").iterdir())
    ]


def test_a_row_names_lines_of_ours() -> None:
    """Each has a file and a name in it, or a page."""
    for row in ROWS:
        ours = row.split(" | ")[2]
        file, name = re.findall(r"`([\w/]+\.\w+)`: .*?[`\"](\w[\w -]*)[`\"]", ours)[0]
        assert name in (ROOT / file).read_text(encoding="utf-8"), row


def test_a_script_says_with_what_it_was_seen() -> None:
    """It installs exact versions, one of which its head names."""
    for script in (ROOT / "findings").glob("*.sh"):
        head, _, body = script.read_text(encoding="utf-8").partition("set -eu")
        named = re.findall(r"\b\d+\.\d+(?:\.\d+)?\b", head)
        assert "pip" in body or "npm install" in body, script.name
        assert any(version in body for version in named), script.name
