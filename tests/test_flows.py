"""Three common flows stay as short as they are: the functions and files of the package that each runs."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BUDGETS = {
    "start": {"functions": 128, "files": 46},
    "call": {"files": 38, "frames to the SDK": 14},
    "resume": {"files": 116, "stores": 1, "loads": 1, "loops": 1},
}


@pytest.mark.parametrize("flow", BUDGETS)
def test_a_flow_is_no_longer_than_its_budget(flow: str) -> None:
    """`python -m scripts.trace_flows FLOW --list` names the functions."""
    words = [sys.executable, "-m", "scripts.trace_flows", flow]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    (line,) = re.findall(rf"^{flow}: (.*)$", done.stdout, re.MULTILINE) or [done.stderr]
    counts = {word: int(count) for count, word in re.findall(r"(\d+) ([a-zA-Z ]+)", line)}
    assert {word: count for word, count in counts.items() if count > BUDGETS[flow].get(word, count)} == {}, line
    assert BUDGETS[flow].keys() <= counts.keys(), line
