"""The house grows only for a reason: lines, functions and files, and three common flows, stay below `sizes.toml`."""

import re
import subprocess
import sys
import tomllib
from typing import Final

import pytest

from scripts.sizes import ROOT, measured, sizes

FILE: Final = "tests/sizes.toml"
CONTENT: Final = tomllib.loads((ROOT / FILE).read_text(encoding="utf-8"))
SLACK: Final = 0.01
"""How far a figure may be below its ceiling before the ceiling must follow, so that not every commit edits the file."""


def allowed(figure: str) -> int:
    """Return a figure's ceiling, with its rises."""
    rises: int = sum(rise.get(figure, 0) for rise in CONTENT.get("rises", []))
    ceiling: int = CONTENT["sizes"][figure]
    return ceiling + rises


def test_no_size_rises_without_a_reason_and_what_went_down_stays_down() -> None:
    """Every figure is at most its ceiling, and no ceiling is more than a hundredth above its figure."""
    counts = sizes()
    above = {name: (count, allowed(name)) for name, count in counts.items() if count > allowed(name)}
    assert above == {}, f"write less, or add a line with the reason to [[rises]] of {FILE}: (figure, ceiling)"
    loose = {name: count for name, count in counts.items() if count < allowed(name) * (1 - SLACK)}
    assert loose == {}, f"write these figures into {FILE}, and remove the rises that they contain"


def test_every_rise_has_a_reason_and_a_figure() -> None:
    """A rise names figures that exist, by how much each rises, and why."""
    for rise in CONTENT.get("rises", []):
        figures = rise.keys() - {"why"}
        assert figures
        assert figures <= CONTENT["sizes"].keys()
        assert all(rise[figure] > 0 for figure in figures)
        assert len(rise["why"].split()) > 3


def test_comments_docstrings_imports_and_blanks_are_no_code() -> None:
    """What explains the code costs nothing."""
    source = "import os\nfrom a import (\n    b,\n)\n\n# note\ndef f() -> str:\n    'Say.'\n    return os.sep + b\n"
    assert measured(source) == {"code": 2, "functions": 1, "files": 1}


@pytest.mark.parametrize("flow", CONTENT["flows"])
def test_a_flow_is_no_longer_than_its_ceiling(flow: str) -> None:
    """`python -m scripts.trace_flows FLOW --list` names the functions."""
    ceilings = CONTENT["flows"][flow]
    words = [sys.executable, "-m", "scripts.trace_flows", flow]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    (line,) = re.findall(rf"^{flow}: (.*)$", done.stdout, re.MULTILINE) or [done.stderr]
    counts = {word: int(count) for count, word in re.findall(r"(\d+) ([a-zA-Z ]+)", line)}
    assert {word: count for word, count in counts.items() if count > ceilings.get(word, count)} == {}, line
    assert ceilings.keys() <= counts.keys(), line
