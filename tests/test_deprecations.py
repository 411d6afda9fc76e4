"""What is deprecated says since when, until when, and what to use; it neither goes early nor is it forgotten.

docs/project/versions.md promises two minor versions. Something is marked where it is defined, so that type checkers see
it too: `@deprecated("…", category=GraphEngineDeprecationWarning)` of typing_extensions, or `warnings.warn` for an
argument.
"""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from typing_extensions import deprecated

import graphengine
from graphengine import GraphEngineDeprecationWarning
from tests.kit.syntax import walked

ROOT: Final = Path(__file__).resolve().parent.parent
WARNING: Final = GraphEngineDeprecationWarning.__name__
FORM: Final = re.compile(r"\S.* is deprecated since (\d+)\.(\d+), and goes in (\d+)\.(\d+): use \S.*")
KEPT: Final = 2
"""How many minor versions something deprecated works at least."""


def messages(source: str) -> Iterator[str | None]:
    """Yield the message of each call that is given the warning; None if it is not written there as a text."""
    for node in walked(source, {WARNING}):
        if isinstance(node, ast.Call):
            given = [*node.args, *(word.value for word in node.keywords)]
            named = {each.id if isinstance(each, ast.Name) else getattr(each, "attr", "") for each in given}
            if WARNING in named:
                first = node.args[0] if node.args else None
                yield first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else None


def faults(source: str, version: str) -> Iterator[str]:
    """Yield what is wrong with the deprecations of a module, for a version of the package."""
    for message in messages(source):
        found = FORM.fullmatch(message or "")
        if found is None:
            yield f"not of the form {FORM.pattern!r}: {message}"
            continue
        since, goes = (int(found[1]), int(found[2])), (int(found[3]), int(found[4]))
        if goes < (since[0], since[1] + KEPT):
            yield f"too early: {message}"
        if goes <= tuple(int(part) for part in version.split(".")[:2]):
            yield f"to be removed now: {message}"


def test_every_deprecation_in_the_package_keeps_the_promise() -> None:
    """None is too early, none is left over."""
    files = sorted((ROOT / "graphengine").rglob("*.py"))
    found = [f"{file}: {fault}" for file in files for fault in faults(file.read_text("utf-8"), graphengine.__version__)]
    assert found == []


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ('"a() is deprecated since 0.3, and goes in 0.5: use b()"', None),
        ('"a() is deprecated since 0.9, and goes in 1.0: use b()"', None),
        ('"a() is deprecated since 0.3, and goes in 0.4: use b()"', "too early"),
        ('"a() is deprecated since 0.1, and goes in 0.3: use b()"', "to be removed now"),
        ('"a() is deprecated"', "not of the form"),
        ("TEXT", "not of the form"),
    ],
)
@pytest.mark.parametrize("call", ["deprecated({}, category=errors.{})", "warnings.warn({}, {}, stacklevel=2)"])
def test_a_deprecation_that_breaks_the_promise_is_found(call: str, message: str, expected: str | None) -> None:
    """In version 0.3.1, in either form."""
    found = list(faults(call.format(message, WARNING), "0.3.1"))
    assert [fault.startswith(expected or "?") for fault in found] == ([True] if expected else [])


def test_what_is_deprecated_warns_and_works() -> None:
    """Each use warns with the message, and at the line of the caller."""

    @deprecated("old() is deprecated since 0.1, and goes in 0.3: use new()", category=GraphEngineDeprecationWarning)
    def old() -> int:
        return 1

    with pytest.warns(GraphEngineDeprecationWarning, match="use new") as seen:
        assert old() == 1  # mypy and basedpyright would report it too, if asked
    assert seen[0].filename == __file__


def test_the_warning_is_shown_in_a_module_that_is_imported(tmp_path: Path) -> None:
    """By default, without an option of Python: a graph is seldom in `__main__`."""
    (tmp_path / "flow.py").write_text(
        "import warnings\nfrom graphengine import GraphEngineDeprecationWarning\n"
        "warnings.warn('old', GraphEngineDeprecationWarning, stacklevel=1)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", "import flow"], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60
    )
    assert "flow.py:3: GraphEngineDeprecationWarning: old" in done.stderr


def test_the_page_about_versions_agrees_with_the_project() -> None:
    """Its Pythons are those of pyproject.toml, its databases those that the stores accept, its filter the class."""
    page = (ROOT / "docs" / "project" / "versions.md").read_text(encoding="utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    tested = [line.rpartition(" ")[2] for line in project["classifiers"] if re.search(r":: 3\.\d+$", line)]
    assert re.findall(r"^\| (3\.\d+) \|", page, re.MULTILINE) == tested
    assert f">={tested[0]}" == project["requires-python"]
    for name, path in {"SQLite": "sqlite/files.py", "PostgreSQL": "postgres/opening.py"}.items():
        code = (ROOT / "graphengine" / "databases" / path).read_text(encoding="utf-8")
        (oldest,) = re.findall(rf"^\| {name}[^|]*\| ([\d.]+) or newer", page, re.MULTILINE)
        assert f"{name} {oldest} or newer" in code
    (path,) = re.findall(r'"error::([\w.]+)"', page)
    assert path == f"graphengine.{WARNING}"
    assert issubclass(GraphEngineDeprecationWarning, FutureWarning)
