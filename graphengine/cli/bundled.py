"""The bundled workflows: which there are, and the files that each is made of, for `graphengine new --from`.

A wheel has them in `workflows` next to this module. A checkout has them in `graphs` and `nodes` next to the package.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_HERE: Final = Path(__file__).parent
_PACKAGES: Final = ("graphs", "nodes")


def root() -> Path:
    """Return the folder that has the folders `graphs` and `nodes`."""
    installed = _HERE / "workflows"
    return installed if installed.is_dir() else _HERE.parents[1]


def names() -> list[str]:
    """Return the names of the bundled workflows, in order."""
    return sorted(file.stem for file in (root() / "graphs").glob("*.py") if not file.stem.startswith("_"))


def files_of(name: str) -> dict[str, str]:
    """Return the texts of a workflow's files by their paths: its graph, and the nodes that it imports.

    Args:
        name: One of `names()`.
    """
    found = sorted(_modules(f"graphs.{name}"))
    return {file.relative_to(root()).as_posix(): file.read_text(encoding="utf-8") for file in found}


def _modules(name: str) -> set[Path]:
    """Return the files of a module, of every module of `graphs` and `nodes` that it imports, and of their packages."""
    found: set[Path] = set()
    open_names = {name}
    while open_names:
        parts = open_names.pop().split(".")
        if len(parts) > 1:
            open_names.add(".".join(parts[:-1]))
        base = root().joinpath(*parts)
        file = base / "__init__.py" if base.is_dir() else base.with_suffix(".py")
        if file.is_file() and file not in found:
            found.add(file)
            open_names |= set(_imported(file))
    return found


def _imported(file: Path) -> Iterator[str]:
    """Yield each module of `graphs` and `nodes` that a file may import; some of these names may not be modules."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in _PACKAGES:
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] in _PACKAGES)
