"""docs/use/cli.md and docs/use/json.md are generated from the commands."""

import re
from pathlib import Path

import click
import pytest

from graphengine.cli.context import Exit
from graphengine.cli.main import COMMANDS, main
from graphengine.cli.options import Command
from scripts import cli_docs

ROOT = Path(__file__).resolve().parents[2]
PAGES = {name: (ROOT / "docs" / "use" / name).read_text(encoding="utf-8") for name in ("cli.md", "json.md")}
PAGE = PAGES["cli.md"]


def test_the_pages_are_up_to_date() -> None:
    """The pages are what scripts/cli_docs.py writes."""
    assert cli_docs.pages() == PAGES, "docs/use/cli.md or json.md is not up to date; run scripts/cli_docs.py"


@pytest.mark.parametrize(("page", "target"), [("cli.md", ""), ("cli.md", "json.md"), ("json.md", "json.md")])
def test_every_link_leads_to_a_heading(page: str, target: str) -> None:
    """Each document and each of its parts has a heading that links lead to."""
    headings = {
        re.sub(r"[^a-z0-9 -]", "", line.lstrip("# ").lower()).replace(" ", "-")
        for line in re.findall(r"^#+ .*$", PAGES[target or page], re.MULTILINE)
    }
    linked = set(re.findall(rf"\]\({re.escape(target)}#([\w-]+)\)", PAGES[page]))
    assert linked <= headings
    assert linked


def test_every_exit_code_and_command_is_documented() -> None:
    """Each code has a row, and each command a section."""
    for code in Exit:
        assert f"\n| {int(code)} | " in PAGE
    for name in COMMANDS:
        assert f"\n## graphengine {name}\n" in PAGE


def test_a_command_without_examples_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command has `cls=helping.Command`, so its help and this page agree."""
    monkeypatch.setattr(main, "get_command", lambda context, name: click.Command(name))
    with pytest.raises(TypeError, match=f"is not a {Command.__name__}"):
        cli_docs.pages()


def test_every_row_of_a_table_has_the_columns_of_its_head() -> None:
    """GitHub splits a row at each `|` that is not escaped, also inside code, and drops the surplus cells."""
    for table in re.findall(r"(?:^\|.*\n)+", "\n".join(PAGES.values()), re.MULTILINE):
        head, *rows = table.splitlines()
        bars = len(re.findall(r"(?<!\\)\|", head))
        assert [row for row in rows if len(re.findall(r"(?<!\\)\|", row)) != bars] == []
