"""docs/use/deploying.md: its files are written, its commands typed, and what it shows is what they print.

`UPDATE_PAGES=1 pytest tests/docs/test_deploying_page.py` writes what they print into the page.
"""

from pathlib import Path

import pytest
from click.testing import CliRunner

from graphengine import Runner
from graphengine.cli.main import main
from tests.docs.page import ROOT, blocks, compare_printed, names_of

PAGE = ROOT / "docs" / "use" / "deploying.md"
OLD, NEW, CHANGE, CUSTOMER, NEXT, TEST = blocks(PAGE, "python")
MIGRATED = NEW.replace('graph = Graph("desk", Case)\n', CHANGE)
SECOND = MIGRATED.replace(NEW[NEW.index("class Case") : NEW.index("\n\n\ngraph")] + "\n", CUSTOMER)
REPAIRED = SECOND.replace(SECOND[SECOND.index("graph = ") : SECOND.index("graph.add_node")], NEXT)
COMMANDS = [text.replace("$ graphengine ", "").splitlines() for text in blocks(PAGE, "console")]


def typed(line: str) -> tuple[int, str]:
    """Type a command; return its exit code and what it printed."""
    found = CliRunner().invoke(main, line.split())
    return found.exit_code, found.stdout


def test_what_the_commands_print(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the change over the check, the repair and the roll-out to the way back."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text('[tool.graphengine]\ngraphs = ["flows"]\n')
    (tmp_path / "flows").mkdir()
    file = tmp_path / "flows" / "desk.py"
    starts, checks, again, back, later, once_more = COMMANDS
    file.write_text(OLD)
    assert [typed(line)[0] for line in starts] == [3, 3]
    file.write_text(NEW)
    refused = typed(*checks)
    file.write_text(MIGRATED)
    migrated = typed(*again)
    assert typed(back[0])[0] == 0
    file.write_text(OLD)
    undone = typed(back[1])
    assert (refused[0], migrated[0], undone[0]) == (3, 0, 0)
    file.write_text(MIGRATED)
    assert [typed(line)[0] for line in later] == [3]
    file.write_text(SECOND)
    second = typed(*once_more)
    file.write_text(REPAIRED)
    assert (second[0], typed(*once_more)[0]) == (3, 0)
    compare_printed(PAGE, [refused[1], migrated[1], undone[1], second[1]])


async def test_the_test_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It fails with the reasons until the migration is there."""
    monkeypatch.chdir(tmp_path)
    async with Runner("checkpoints/runs.db") as runner:
        await runner.start(names_of(OLD)["graph"], {"name": "lamp"}).result()
    with pytest.raises(AssertionError, match="which the graph no longer has"):
        await names_of(f"{NEW}\n{TEST}")["nothing_is_lost"]()
    await names_of(f"{MIGRATED}\n{TEST}")["nothing_is_lost"]()
