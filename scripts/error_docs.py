"""Write docs/use/errors.md from graphengine/errors.py: every error with its code.

Run `python -m scripts.error_docs` when an error changes; a test checks that the page is up to date. Classes that
are not public are named by their codes alone.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from pathlib import Path
from typing import TYPE_CHECKING

import graphengine
from graphengine.errors import GraphEngineError, NodeError, StoreError
from graphengine.models.errors import ModelError
from scripts.site_pages import public_classes

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = Path(__file__).resolve().parents[1] / "docs" / "use" / "errors.md"

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

A node whose work fails raises nothing to the caller at first: the failure is recorded, with the code (or the
exception's name) as its `kind`, then retries, a fallback or an edge with `failed()` apply. If none does, the run fails,
and `await run.result()` or `await graph.run(…)` raises `RunFailed`, whose `result` has the state up to the failure.

A class without a path is in `graphengine.errors`. Where none is named, compare the code.
"""

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
    """Return the public error classes of the package, in the order of their declaration."""
    found: dict[type[GraphEngineError], None] = {}
    for module in pkgutil.walk_packages(graphengine.__path__, "graphengine."):
        if module.name.endswith("__main__") or ".cli" in module.name:
            continue
        for _, made in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            if made.__module__ == module.name and issubclass(made, GraphEngineError):
                found[made] = None
    return sorted(found, key=lambda made: (made.__module__ != "graphengine.errors", made.__module__, _line(made)))


def _line(made: type[object]) -> int:
    return inspect.getsourcelines(made)[1]


def page() -> str:
    """Return the whole page."""
    rest = classes()
    sections: list[str] = []
    for base, title, about in GROUPS:
        members = [made for made in rest if issubclass(made, base)]
        rest = [made for made in rest if made not in members]
        sections.insert(0, f"## {title}\n\n{about}\n\n" + "\n".join(_table(members, issubclass(base, NodeError))))
    return "\n\n".join([HEAD.rstrip(), *sections]) + "\n"


def _table(members: list[type[GraphEngineError]], retries: bool) -> Iterator[str]:  # noqa: FBT001 - a private helper
    yield "| code | class, and what happened |\n|---|---|"
    names = {given: f"`{path.removeprefix('graphengine.errors.')}`: " for path, given in public_classes().items()}
    for made in members:
        about = " ".join((inspect.getdoc(made) or "").partition("\n\n")[0].split()).replace("|", "\\|")
        retried = " *Retried.*" if retries and getattr(made, "retryable", False) else ""
        yield f"| `{made.code}` | {names.get(made, '')}{about}{retried} |"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"written: {PAGE}")
