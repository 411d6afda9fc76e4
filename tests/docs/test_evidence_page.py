"""docs/use/evidence.md: its commands are typed, and what it shows is what they print; git finds the commit.

`UPDATE_PAGES=1 pytest tests/docs/test_evidence_page.py` writes what they print into the page.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from graphengine.cli.main import main
from tests.docs.page import ROOT, blocks, compare_printed, names_of

PAGE = ROOT / "docs" / "use" / "evidence.md"
FLOW, IN_PYTHON = blocks(PAGE, "python")
BISECT = blocks(PAGE, "text")[-1]
COMMANDS = [text.replace("$ graphengine ", "").splitlines() for text in blocks(PAGE, "console")]
GREET = "Greet the customer, and answer in a sentence."


def typed(line: str) -> str:
    """Type a command; return what it printed."""
    found = CliRunner().invoke(main, line.split())
    assert found.exit_code == 0, found.output
    return found.stdout


def untimed(text: str) -> str:
    """Return a text without its line of seconds."""
    return re.sub(r"(?m)^seconds: .*\n", "", text)


@pytest.fixture
def week(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file of the graph, with the runs of the week recorded."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text('[tool.graphengine]\ngraphs = ["flows"]\n')
    (tmp_path / "greet.txt").write_text(GREET)
    file = tmp_path / "flows" / "letters.py"
    file.parent.mkdir()
    file.write_text(FLOW)
    for line in COMMANDS[0]:
        typed(line)
    return file


def test_what_the_commands_print(week: Path) -> None:
    """From the comparison over the suite to the intended change."""
    compared = typed(*COMMANDS[1])
    week.write_text(FLOW.replace("Answer in a sentence.", GREET))
    sent, suite = COMMANDS[2]
    typed(sent)
    chosen = typed(suite)
    week.write_text(week.read_text().replace(">= 0.5", ">= 0.3"))
    compare_printed(PAGE, [compared, chosen, typed(*COMMANDS[3])], untimed)


@pytest.mark.usefixtures("week")
async def test_the_comparison_in_python() -> None:
    """It is the same comparison."""
    await names_of(f"{FLOW}\n{IN_PYTHON}")["compared"]()


@pytest.mark.skipif(shutil.which("git") is None, reason="there is no git")
def test_git_finds_the_commit(week: Path) -> None:
    """Of six commits the fourth lowered the threshold."""
    folder = week.parent.parent
    typed("export ada -o ada.json")

    def git(*words: str) -> str:
        config = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
        made = subprocess.run(["git", *config, *words], cwd=folder, capture_output=True, text=True, check=True)
        return made.stdout

    git("init", "-q")
    commits = [
        FLOW + f"# {number}\n" if number < 3 else FLOW.replace("0.5", "0.3") + f"# {number}\n" for number in range(6)
    ]
    for text in commits:
        week.write_text(text)
        git("add", "flows", "pyproject.toml")
        git("commit", "-q", "-m", text.splitlines()[-1])
    git("bisect", "start", "HEAD", "HEAD~5")
    replay = BISECT.splitlines()[1].split()[3:]
    found = git("bisect", "run", sys.executable, "-m", *replay[:2], "ada.json")
    assert "is the first bad commit" in found
    assert "# 3" in git("log", "-1", "--format=%s", "refs/bisect/bad")
