"""docs/use/first_week.md: each program prints the words below it, or ends with them, and so do its commands.

A block of text belongs to the program or the commands before it. `…` matches anything, as in the tutorial.
"""

import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import chdir, redirect_stdout
from inspect import iscoroutine
from io import StringIO
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from click.testing import CliRunner

from graphengine.cli.main import main
from tests.docs.page import FENCE, USE
from tests.docs.test_tutorial import commands, matches

PAGE = USE / "first_week.md"
BLOCKS: list[tuple[str, str]] = [*FENCE.findall(PAGE.read_text(encoding="utf-8")), ("", "")]
NO_GRAPH = BLOCKS[1][1]
"""The words of the one error whose program is another project's package."""


def said(block: str, names: dict[str, Any]) -> str:
    """Run a program as the text of a `__main__`; return what it prints, and the last lines of its traceback."""
    printed = StringIO()
    try:
        with redirect_stdout(printed):
            exec(compile(block, PAGE.name, "exec"), names)  # noqa: S102 - our own page
    except Exception as error:  # noqa: BLE001 - whichever the page shows
        printed.write("".join(traceback.format_exception_only(error)))
    for made in filter(iscoroutine, names.values()):
        made.close()
    return printed.getvalue()


def differing(names: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Play the page; yield the texts that differ from what is printed, both."""
    for (language, block), (after, below) in pairwise(BLOCKS):
        shown: list[tuple[str, str]] = []
        if language == "python":
            shown = [(below if after == "text" and below != NO_GRAPH else "", said(block, names))]
        elif language == "console":
            shown = [(text, CliRunner().invoke(main, line.split()[1:]).output) for line, text in commands(block)]
        yield from ((text, printed) for text, printed in shown if not matches(text, printed))


@pytest.mark.real_models  # it has no key, so it calls none
def test_each_program_says_what_the_page_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In order, in one folder and with the same names, as in a notebook."""
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    program = ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", program)
    with chdir(tmp_path):
        found = list(differing(vars(program)))
    assert not found, "\n".join(f"the page has:\n{text}\nand it is:\n{printed}" for text, printed in found)


def test_the_other_project_hides_ours(tmp_path: Path) -> None:
    """An empty `graphengine/__init__.py`, which is all that the other project has, gives the first error."""
    (tmp_path / "graphengine").mkdir()
    (tmp_path / "graphengine" / "__init__.py").touch()
    words = [sys.executable, "-c", "from graphengine import Graph"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert matches(NO_GRAPH, done.stderr.splitlines()[-1])
