"""The code on the pages runs unchanged: tests execute every Python block and parse every command."""

import ast
import asyncio
import inspect
import re
import shlex
import sys
from pathlib import Path
from string import Template
from types import ModuleType
from typing import Any

import click
import pytest

from graphengine import ScriptedModel
from graphengine.agents.runtime import _MODELS
from graphengine.cli.main import COMMANDS, GROUPS, main
from graphengine.cli.options import Command
from graphengine.models import calls
from tests.docs.page import FENCE, ROOT, blocks

PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CODE_OF_CONDUCT.md", "SECURITY.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
ELSEWHERE = {
    "docs/use/patterns/*.md": "test_patterns.py: they run, and their pictures are those of their graphs",
    "docs/use/from_langgraph.md": "test_from_langgraph.py: both sides run there",
    "docs/explain/scale.md": "test_scale_page.py: its program runs over three databases, of which one goes down",
    "docs/use/postgres.md": "test_postgres_page.py: its Python runs over a server of the tests",
    "docs/use/nothing-acts-twice.md": "test_nothing_acts_twice_page.py: one program runs, the other is killed, too",
    "docs/use/evidence.md": "test_evidence_page.py: its commands are typed, and git bisects",
    "docs/use/deploying.md": "test_deploying_page.py: its files are written and its commands typed",
    "docs/use/extensions.md": "tests/wings/test_package_of_others.py: its package is installed, and its commands typed",
    "docs/project/maintain/*.md": "test_maintain.py: it is applied to a copy of the package",
    "docs/use/heavy.md": "test_heavy_page.py: its file runs as a program, and on the command line",
    "docs/use/executors.md": "test_executors_page.py: its executors meet the requirements of any",
    "docs/use/telemetry.md": "test_telemetry_page.py: its program exports to a receiver, from two processes",
    "docs/use/a2a.md": "test_served_pages.py: its client and its second graph use its agent",
    "docs/use/first_week.md": "test_first_week_page.py: its programs end with the errors below them",
    "docs/use/mcp_server.md": "test_served_pages.py: its client calls its graph, over stdio and HTTP",
    "docs/use/openai_endpoint.md": "test_served_pages.py: its client talks to its graphs",
    "docs/use/web.md": "test_web_page.py: the service runs under uvicorn",
    "docs/use/json.md": "test_cli_page.py: the page is made of the documents' models",
    "docs/use/cli.md": "test_cli_page.py and tests/cli/test_help.py: the page is made of examples that are run there",
    "docs/use/tutorial.md": "test_tutorial.py: its files are written and its commands typed",
}
"""Pages whose code other tests run. Every other page is run here; a new one needs no entry."""
LANGUAGES = {
    "python",
    "console",
    "dockerfile",
    "ini",
    "sh",
    "text",
    "toml",
    "js",
    "json",
    "jsx",
    "yaml",
    "sql",
    "mermaid",
    "dot",
    "diff",
    "",
}
"""The languages of a block: Python under another name would not run."""


ANSWERS = {"anthropic:claude-sonnet-5-5": "The moon pulls the sea, and the sun a little."}
"""What models answer that a page calls by name."""


def named(page: Path) -> str:
    """The path of a page from the root."""
    return page.relative_to(ROOT).as_posix()


def is_elsewhere(page: Path) -> bool:
    """Whether another test runs the code of a page."""
    return any(page.match(str(ROOT / pattern)) for pattern in ELSEWHERE)


def run_blocks(page: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Run the Python blocks of a page in order, and the tests among them; return the names they define."""
    main = ModuleType("__main__")  # the code below `if __name__ == "__main__"` runs too
    monkeypatch.setitem(sys.modules, "__main__", main)
    for model, answer in ANSWERS.items():
        monkeypatch.setitem(_MODELS, model, ScriptedModel([answer]))
    names = vars(main)
    for block in blocks(page, "python"):
        exec(compile(block, named(page), "exec"), names)  # noqa: S102 - our own pages
    for name, made in list(names.items()):
        takes_fixtures = callable(made) and name.startswith("test_") and bool(inspect.signature(made).parameters)
        if name.startswith("test_") and inspect.iscoroutinefunction(made) and not takes_fixtures:
            asyncio.run(made())  # pytest runs those with fixtures: tests/testing/test_testing_page.py
    return names


HERE = [page for page in PAGES if blocks(page, "python") and not is_elsewhere(page)]


@pytest.mark.parametrize("page", HERE, ids=named)
def test_the_python_blocks_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All blocks of a page run in order, and the tests among them pass."""
    monkeypatch.chdir(tmp_path)
    run_blocks(page, monkeypatch)


def test_the_readme_is_typed() -> None:
    """The type checkers read its code in two files with the same text: after a change, copy it there."""
    first, *others = blocks(ROOT / "README.md", "python")
    copies = [
        (ROOT / "tests" / "typing" / name).read_text(encoding="utf-8") for name in ("readme_refund.py", "readme.py")
    ]
    assert copies == [first, "\n\n".join(others)]


def test_the_first_graph_prints_what_the_readme_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The blocks below the code are its output, the first agent's too."""
    monkeypatch.chdir(tmp_path)
    run_blocks(ROOT / "README.md", monkeypatch)
    assert capsys.readouterr().out == "".join(blocks(ROOT / "README.md", "text"))


def test_the_first_agent_streams(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The README's agent calls its tool, and its answer is printed as text."""
    monkeypatch.chdir(tmp_path)
    names = run_blocks(ROOT / "README.md", monkeypatch)
    script = ScriptedModel([calls(("weather", {"city": "Bern"})), "It rains."])
    names["forecaster"] = names["forecaster"].but(model=script)
    capsys.readouterr()
    asyncio.run(names["answer"]("Do I need an umbrella in Bern?"))
    assert capsys.readouterr().out == "It rains."


def test_the_pages_were_found() -> None:
    """Those that run here, and those that other tests run."""
    assert {"README.md", "docs/use/guide.md", "docs/use/agents.md"} <= {named(page) for page in HERE}
    for pattern in ELSEWHERE:
        assert [page for page in PAGES if page.match(str(ROOT / pattern))], pattern


def is_python(text: str) -> bool:
    """Whether a block imports or defines something."""
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return False
    kinds = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return any(isinstance(node, kinds) for node in ast.walk(tree))


def test_no_python_hides_under_another_name() -> None:
    """A Python block is called python; one without a language is not Python."""
    found = [(named(page), *block) for page in PAGES for block in FENCE.findall(page.read_text(encoding="utf-8"))]
    unknown = {(page, language) for page, language, _ in found if language not in LANGUAGES}
    assert not unknown, "write python, or add them to LANGUAGES"
    hidden = [(page, text) for page, language, text in found if language in ("", "text") and is_python(text)]
    assert not hidden, "call these blocks python"


def commands(page: Path) -> list[str]:
    """The lines of a page's blocks that call graphengine."""
    lines = [
        line.removeprefix("$ ") for text in blocks(page, "console", "sh", "text", "") for line in text.splitlines()
    ]
    return [line for line in lines if line.startswith("graphengine ")]


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)], ids=named)
def test_a_command_on_a_page_can_be_typed(page: Path) -> None:
    """The command exists and accepts these options and arguments; those of docs/use/cli.md are also run.

    A shell replaces the variables that the page exports.
    """
    context = click.Context(main, info_name="graphengine")
    exported = dict(re.findall(r"export ([A-Z_]+)=(\S+)", page.read_text(encoding="utf-8")))
    for line in commands(page):
        typed = Template(line.partition(" > ")[0]).safe_substitute(exported)
        _, name, *words = shlex.split(typed, comments=True)
        if name in GROUPS:
            name = f"{name} {words.pop(0)}"
        if name.startswith(("-", "COMMAND")) or (page.name == "cli.md" and "[OPTIONS]" in words):
            continue
        assert name in COMMANDS, line
        command = main.get_command(context, name)
        assert isinstance(command, Command)
        command.make_context(name, words, parent=context)


def test_a_command_named_in_a_sentence_exists() -> None:
    """A command named in a sentence exists, with its options."""
    context = click.Context(main, info_name="graphengine")
    for page in PAGES:
        for name, rest in re.findall(
            r"`graphengine ((?:(?:queues|schedule|users) )?[a-z]+(?:-[a-z]+)*)([^`]*)`",
            page.read_text(encoding="utf-8"),
        ):
            where = f"{named(page)}: `graphengine {name}{rest}`"
            if name in GROUPS and not rest:
                continue
            assert name in COMMANDS, where
            command = main.get_command(context, name)
            assert command is not None
            known = {option for param in command.get_params(context) for option in param.opts}
            assert set(re.findall(r"(?<=\s)--[a-z0-9-]+", rest)) <= known, where


def test_links_between_pages_lead_somewhere() -> None:
    """Every relative link of README and docs names a file that exists."""
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
