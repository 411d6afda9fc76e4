"""CONTRIBUTING.md and SECURITY.md agree with the project."""

import re
from pathlib import Path

import pytest

from tests.kit.scenario import Scenario

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)
PLACE = re.compile(r"`((?:graphengine|tests|docs|checkpoints|scripts|graphs|nodes|benchmarks)/[\w/.]*)`")


def test_the_example_changes_lines_that_exist() -> None:
    """The lines that the example removes are together in the file that it names."""
    (diff,) = [text for language, text in BLOCK.findall(GUIDE) if language == "diff"]
    removed = [line[1:].strip() for line in diff.splitlines() if line.startswith("-")]
    code = (ROOT / "graphengine" / "graph" / "options.py").read_text(encoding="utf-8")
    lines = [line.strip() for line in code.splitlines()]
    at = lines.index(removed[0])
    assert lines[at : at + len(removed)] == removed


def test_the_scenario_page_of_the_example_can_be_played(tmp_path: Path) -> None:
    """Its graph and its events are valid, whatever the rule is."""
    (page,) = [text for _, text in BLOCK.findall(GUIDE) if "== graph" in text]
    path = tmp_path / "retry_capped.txt"
    path.write_text(page, encoding="utf-8")
    assert "due_at" in Scenario.read(path).play(path.name)


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "SECURITY.md"])
def test_every_file_and_folder_that_is_named_exists(page: str) -> None:
    """The page of the example alone is to be written."""
    named = set(PLACE.findall((ROOT / page).read_text(encoding="utf-8")))
    assert len(named) > 1
    assert {place for place in named if not (ROOT / place).exists()} <= {"tests/scenarios/retry_capped.txt"}
