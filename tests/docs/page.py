"""The code of a page: its blocks, the names that a block defines, and a program in an interpreter of its own."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from tests.kit import forks
from tests.serve.service.client import TOKEN

ROOT: Final = Path(__file__).resolve().parents[2]
USE: Final = ROOT / "docs" / "use"
FENCE: Final = re.compile(r"^```(\S*)[^\n]*\n(.*?)^```", re.DOTALL | re.MULTILINE)

MADE: Final = re.compile(
    r"(<!-- made by UPDATE_PAGES=1 pytest [\w/.]+: begin -->\n\n```text\n)(.*?)(```\n\n<!-- made by [^>]+: end -->)",
    re.DOTALL,
)
"""A block with what commands print, between the two comments that a page has around it."""


def compare_printed(page: Path, printed: Sequence[str], cleaned: Callable[[str], str] = str) -> None:
    """Compare what commands print with the blocks of a page that show it; write them if `UPDATE_PAGES` is set."""
    text, outputs = page.read_text(encoding="utf-8"), iter(printed)
    if os.environ.get("UPDATE_PAGES"):
        page.write_text(MADE.sub(lambda found: f"{found[1]}{next(outputs)}{found[3]}", text), encoding="utf-8")
        return
    assert [cleaned(each) for each in printed] == [cleaned(found[2]) for found in MADE.finditer(text)]


def blocks(page: Path, *languages: str) -> list[str]:
    """Return the blocks of a page in these languages."""
    return [text for language, text in FENCE.findall(page.read_text(encoding="utf-8")) if language in languages]


def files(page: Path) -> dict[str, str]:
    """Return the Python files that a page shows, by the name that stands before each."""
    named = re.compile(r"^`(\w+\.py)`:\n\n```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
    return dict(named.findall(page.read_text(encoding="utf-8")))


def names_of(code: str, module: str = "page") -> dict[str, Any]:
    """Run a block, and return what it defines."""
    names: dict[str, Any] = {"__name__": module}
    exec(compile(code, f"{module}.md", "exec"), names)  # noqa: S102 - our own pages
    return names


def printed(folder: Path, *words: str) -> list[str]:
    """Run Python in a folder, with the token of a service, and return the lines that it prints."""
    places = os.pathsep.join([str(ROOT), *sys.path])
    variables = {**os.environ, "GRAPHENGINE_TOKEN": TOKEN, "PYTHONPATH": places}
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, env=variables, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def printed_in_fork(folder: Path, program: str, *words: str, loads: Sequence[str] = ()) -> list[str]:
    """Do the same with a file of the folder or a module, in a fork that has these modules; see `tests/kit/forks.py`."""
    named = str(folder / program) if program.endswith(".py") else program
    done = forks.run(named, *words, folder=folder, variables={"GRAPHENGINE_TOKEN": TOKEN}, loads=loads)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()
