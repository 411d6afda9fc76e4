"""What `python -m scripts.sizes` and `python -m scripts.trace_flows` count; they print figures, and hold none."""

import re
import subprocess
import sys

import pytest

from scripts.sizes import ROOT, measured


def test_comments_docstrings_imports_and_blanks_are_no_code() -> None:
    """What explains the code costs nothing."""
    source = "import os\nfrom a import (\n    b,\n)\n\n# note\ndef f() -> str:\n    'Say.'\n    return os.sep + b\n"
    assert measured(source) == {"code": 2, "functions": 1, "files": 1}


@pytest.mark.parametrize("flow", ["start", "call", "resume"])
def test_a_flow_can_be_traced(flow: str) -> None:
    """`python -m scripts.trace_flows FLOW` counts the functions and files of a flow; `--list` names them."""
    words = [sys.executable, "-m", "scripts.trace_flows", flow]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert re.search(rf"^{flow}: .*\d+ files", done.stdout, re.MULTILINE), done.stderr
