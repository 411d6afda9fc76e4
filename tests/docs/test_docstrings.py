"""Every example in a docstring of graphengine runs and prints its output; the main names have one."""

import asyncio
import doctest
import importlib
import inspect
import re
from pathlib import Path
from types import ModuleType
from typing import Annotated

import pytest
from pydantic import BaseModel

import graphengine
from graphengine import Admin, Runner, patterns, reducers
from graphengine.agents import guards

PACKAGE = Path(graphengine.__file__).parent
FILES = [file for file in sorted(PACKAGE.rglob("*.py")) if file.name != "__main__.py"]
EXAMPLES = [file for file in FILES if ">>> " in file.read_text(encoding="utf-8")]


def module_of(file: Path) -> str:
    """Return the name of the module in a file."""
    return ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


class Finder(doctest.DocTestFinder):
    """Finds the examples of decorated functions too: their wrappers belong to the decorator's module."""

    def _from_module(self, module: ModuleType | None, object: object) -> bool:  # noqa: A002 - the name in doctest
        given = inspect.unwrap(object) if inspect.isfunction(object) else object
        return super()._from_module(module, given)  # type: ignore[misc, no-any-return]


FINDER = Finder(exclude_empty=True)


class Count(BaseModel):
    n: int = 0


def names() -> dict[str, object]:
    """The names that an example need not import: the public ones, and `count`, the graph of `Graph`'s example."""
    found: dict[str, object] = {name: getattr(graphengine, name) for name in dir(graphengine)}
    found |= {"asyncio": asyncio, "Annotated": Annotated, "BaseModel": BaseModel, "Count": Count}
    found |= {"append": reducers.append, "check_text": guards.check_text}
    count: graphengine.Graph[Count] = graphengine.Graph("count", Count)
    count.add_node("more", lambda n: n + 1, writes="n", thread=False)
    count.add_edge(graphengine.START, "more")
    count.add_edge("more", graphengine.END, when=graphengine.value("n") >= 3)
    count.add_edge("more", "more")
    return {**found, "count": count}


@pytest.mark.parametrize("module", [module_of(file) for file in EXAMPLES])
def test_the_examples_of_a_module_print_their_output(
    module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each example of a module runs separately, in an empty folder, and prints its output."""
    monkeypatch.chdir(tmp_path)
    given = importlib.import_module(module)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    report: list[str] = []
    known = {**names(), **vars(given), "Runner": Runner}  # the one of programs, also in the core
    for found in FINDER.find(given, module, globs=known):
        runner.run(found, compileflags=0, out=report.append)  # as in a user's file, not as in ours
    assert runner.summarize(verbose=False).failed == 0, "".join(report)


def test_the_other_modules_load() -> None:
    """Each can be imported."""
    for file in sorted(set(FILES) - set(EXAMPLES)):
        if "hook-" not in file.name:  # PyInstaller runs it
            importlib.import_module(module_of(file))


def test_an_example_is_written_as_a_doctest() -> None:
    """`Example:` is followed by `>>>`, and no docstring has a fence or an indented block that no test runs."""
    for file in PACKAGE.rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        assert "```python" not in text, file
        for after in re.findall(r"^ *Examples?:\n(.*)$", text, re.MULTILINE):
            assert after.lstrip().startswith((">>>", "With ")), f"{file}: {after}"


OWNERS: dict[object, str] = {
    graphengine: "Agent Context Graph Limits Node Replace Retry Router Runner ScriptedModel TextFile Worker ask "
    "changed choose elapsed_seconds ended_with failed iterations plateau usage value",
    graphengine.Graph: "add_node add_edge add_path add_switch add_fork check but",
    Runner: "start resume branch answer recover",
    Admin: "spending",
    reducers: "add append extend maximum merge",
    patterns: " ".join(name for name in dir(patterns) if name.islower()),
    guards: "guard",
}
MAIN = [(owner, name) for owner, names_of in OWNERS.items() for name in names_of.split()]


def test_the_main_names_have_an_example() -> None:
    """Each main name has an example in its own docstring, so that `help()` shows it."""
    without = [name for owner, name in MAIN if ">>> " not in (inspect.getdoc(getattr(owner, name)) or "")]
    assert without == []
