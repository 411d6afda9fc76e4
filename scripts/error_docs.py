"""Write docs/use/errors.md from graphengine/errors.py: every error with its code, and every problem of a graph.

Run `python -m scripts.error_docs` when an error changes; a test checks that the page is up to date. Classes that
are not public are named by their codes alone. What a code without a class means is shown by an example of the golden
pages of tests.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
from pathlib import Path
from typing import TYPE_CHECKING

import graphengine
from graphengine.errors import GraphEngineError, NodeError, StoreError
from graphengine.models.errors import ModelError
from scripts.site_pages import public_classes

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "use" / "errors.md"

HEAD = """\
<!-- Generated from the classes; edit those, and run python -m scripts.error_docs. -->

# Errors

Every error is a `GraphEngineError` with `message`, `where`, `repair` and `code`. Codes are stable: programs branch on
them, people read `str(error)`, which also states the place and the repair.

```python
from graphengine import END, START, Graph, GraphEngineError
from pydantic import BaseModel


class State(BaseModel):
    text: str = ""


graph = Graph("draft", State)
graph.add_edge(START, "write")
try:
    graph.compile()
except GraphEngineError as error:
    assert error.code == "compile_error"
    print(error)  # every problem of the graph, with its code, file, line and repair
```

If a node fails, the failure is recorded, and its `kind` is the code of the error or the name of the exception. Then the
node is retried, its fallback is used, or an edge with `failed()` is taken. If the graph provides none of these, the run
fails, and your call of `await run.result()` or `await graph.run(…)` raises `RunFailed`. The exception's attribute
`result` contains the state up to the failure.

Mistakes of the set-up, such as a missing key or a missing package, are raised before the first step of a run that
begins.

If the table shows a class without a path, import the class from `graphengine.errors`. If it shows no class, compare the
code of the error instead. If your run neither fails nor makes progress, see [A run does not move](does_not_move.md).
"""

PROBLEMS = """\
## Problems of a graph

`compile_error` has them as `problems`, `graph.check()` returns them, and `graphengine check` lists them, each with a
code, a place and a repair. *Warning* means that the graph can run.

| code | such as |
|---|---|
"""
REPORTS = ("report", "Problem", "Breach", "Finding")
"""What is called with the code of a problem first."""
COMMANDS = """\
## Commands

What only the command line says; `--json` has the code as `error.code`.

| code | such as |
|---|---|
"""
TEXTS = {
    "bytes_in_prompt": "'scan' has the type bytes, but a prompt is text",
    "git_failed": "git rev-parse failed: fatal: Needed a single revision",
    "graph_file_broken": "ModuleNotFoundError: No module named 'nodes'",
    "interrupted": "the command was interrupted; everything that was recorded is safe",
    "mixed_versions": "the older code imports the module 'rates' from the working tree, and not from the older commit",
    "no_model": "the agent writer has no model",
    "output_failed": "the output cannot be written: No space left on device",
    "project_broken": "budgets is 5, not a list of tables",
    "proof_failed": "the process with the code of your working tree ended without a result: MemoryError",
    "reads_nothing": "the agent 'writer' has neither a prompt nor inputs",
    "same_name": "two functions of a graph, or two graphs of a project, are named 'score'",
    "suite_unwritable": "the folder tests/recorded cannot be written: Permission denied",
    "telemetry_missing": "--otel needs a Python package that is not installed",
    "tool_left_out": "no model can call 'merge' of the MCP server docs: its schema is no object",
    "tools_unavailable": "the MCP server docs does not start",
    "unexpected": "KeyError: 'text'; with --debug, the traceback",
    "usage": "No such option --outptu. Did you mean --output?",
}
"""Texts of codes that golden pages do not show, or not well."""

GROUPS: tuple[tuple[type[GraphEngineError], str, str], ...] = (
    (
        ModelError,
        "Calls of models",
        "Recorded as failures of the node. *Retried* means by default, in an agent's node.",
    ),
    (NodeError, "Work of nodes", "Recorded as failures of the node. *Retried* means that a retry can help."),
    (StoreError, "Stores", "Raised to the caller. Nothing that was recorded is lost."),
    (GraphEngineError, "Graphs, runs and calls", "Raised to the caller."),
)


def classes() -> list[type[GraphEngineError]]:
    """Return the public error classes of the package, in the order in which the page lists them."""
    found: dict[type[GraphEngineError], None] = {}
    for module in pkgutil.walk_packages(graphengine.__path__, "graphengine."):
        if module.name.endswith("__main__") or ".cli" in module.name or "pyinstaller" in module.name:
            continue
        for _, made in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            if made.__module__ == module.name and issubclass(made, GraphEngineError):
                found[made] = None
    return sorted(found, key=lambda made: (made.__module__ != "graphengine.errors", made.__module__, _line(made)))


def _line(made: type[object]) -> int:
    return inspect.getsourcelines(made)[1]


def page() -> str:
    rest = classes()
    sections: list[str] = []
    for base, title, about in GROUPS:
        members = [made for made in rest if issubclass(made, base)]
        rest = [made for made in rest if made not in members]
        sections.insert(0, f"## {title}\n\n{about}\n\n" + "\n".join(_table(members, issubclass(base, NodeError))))
    sections += [PROBLEMS + "\n".join(_examples(problem_codes())), COMMANDS + "\n".join(_examples(command_codes()))]
    return anchored("\n\n".join([HEAD.rstrip(), *sections]) + "\n")


def problem_codes() -> set[str]:
    """Return the codes of all problems that a check of a graph can report."""
    found = {"bad_setting"}  # of a tuple
    for call in _calls("agents", "checks", "compile"):
        name = getattr(call.func, "attr", getattr(call.func, "id", ""))
        if name in REPORTS and call.args and isinstance(call.args[0], ast.Constant):
            found.add(str(call.args[0].value))
    return found


def command_codes() -> set[str]:
    """Return the codes of errors that only the command line raises."""
    given = [each.value for call in _calls("cli") for each in call.keywords if each.arg == "code"]
    found = {str(value.value) for value in given if isinstance(value, ast.Constant)}
    for module in pkgutil.iter_modules(importlib.import_module("graphengine.cli").__path__, "graphengine.cli."):
        for _, made in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            if made.__module__ == module.name and issubclass(made, GraphEngineError):
                found.add(made.code)
    return found - {made.code for made in classes()}


def _calls(*folders: str) -> Iterator[ast.Call]:
    for folder in folders:
        for file in sorted((ROOT / "graphengine" / folder).rglob("*.py")):
            tree = ast.parse(file.read_text(encoding="utf-8"))
            yield from (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def _examples(codes: Collection[str]) -> Iterator[str]:
    """Yield a row of the table for each code, with an example of the message.

    The example is the shortest message with this code in the tests' recorded pages, which show what commands print.
    """
    shown: dict[str, list[tuple[str, str]]] = {code: [("", TEXTS[code])] if code in TEXTS else [] for code in codes}
    line = re.compile(rf"[! ].*?(warning )?\b({'|'.join(codes)})(?: at [^:]+)?: (.+)")
    for page in sorted(ROOT.glob("tests/**/*.txt")):
        for found in filter(None, map(line.match, page.read_text(encoding="utf-8").splitlines())):
            shown[found[2]].append((found[1] or "", found[3]))
    for code, texts in sorted(shown.items()):
        warning, text = texts[0] if code in TEXTS else min(texts, key=lambda each: (len(each[1]), each))
        yield f"| `{code}` | {text}{' *Warning.*' if warning else ''} |".replace("||", "\\|\\|")


def _table(members: list[type[GraphEngineError]], retries: bool) -> Iterator[str]:  # noqa: FBT001 - a private helper
    yield "| code | class, and what happened |\n|---|---|"
    names = {given: f"`{path.removeprefix('graphengine.errors.')}`: " for path, given in public_classes().items()}
    for made in members:
        about = " ".join((inspect.getdoc(made) or "").partition("\n\n")[0].split()).replace("|", "\\|")
        retried = " *Retried.*" if retries and getattr(made, "retryable", False) else ""
        yield f"| `{made.code}` | {names.get(made, '')}{about}{retried} |"


def anchored(text: str) -> str:
    """Add an anchor to the first row about each code, so that a link such as `errors.md#too_deep` leads there."""
    seen = set[str]()

    def row(found: re.Match[str]) -> str:
        is_first = found[1] not in seen
        seen.add(found[1])
        return f'| <a id="{found[1]}"></a>`{found[1]}` |' if is_first else found[0]

    return re.sub(r"(?m)^\| `(\w+)` \|", row, text)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"written: {PAGE}")
