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
    """It installs exact versions, and names one in its head."""
    for script in (ROOT / "findings").glob("*.sh"):
        text = script.read_text(encoding="utf-8")
        head, _, body = text.partition("set -eu")
        (installs, *_) = re.findall(r"pip\" install (.*)|pip install (.*)", body)
        versions = re.findall(r"==([\d.]+\w*)", "".join(installs))
        assert versions, script.name
        assert any(version in head for version in versions), script.name
