"""Print how much there is to take in: lines of code, functions and files of the package, of its core, and of the tests.

    python -m scripts.sizes

A line of code is one that is not blank and not a comment, a docstring or an import. The core is what the contract "the
core stands alone" in pyproject.toml lists.
"""

from __future__ import annotations

import ast
import tomllib
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT: Final = Path(__file__).resolve().parents[1]
_DOCUMENTED: Final = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def measured(source: str) -> Counter[str]:
    """Return the lines of code and the functions of a module's source; `files` is 1."""
    tree = ast.parse(source)
    left_out: set[int] = set()
    functions = 0
    for node in ast.walk(tree):
        if isinstance(node, _DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            left_out |= _lines_of(node.body[0])
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            left_out |= _lines_of(node)
        functions += isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    code = [
        number
        for number, line in enumerate(source.splitlines(), 1)
        if number not in left_out and line.strip() and not line.strip().startswith("#")
    ]
    return Counter(code=len(code), functions=functions, files=1)


def _lines_of(node: ast.stmt) -> set[int]:
    return set(range(node.lineno, (node.end_lineno or node.lineno) + 1))


def core_modules() -> tuple[str, ...]:
    """Return the packages and modules of the core, as the contract in pyproject.toml lists them."""
    content = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = content["tool"]["importlinter"]["contracts"]
    (found,) = [each["source_modules"] for each in contracts if each["name"] == "the core stands alone"]
    return tuple(str(each) for each in found)


def sizes() -> dict[str, int]:
    """Return each figure by its name, such as `core code`."""
    core = core_modules()
    total: Counter[str] = Counter()
    for name, path in _modules("graphengine"):
        amounts = measured(path.read_text(encoding="utf-8"))
        parts = ["package", "core"] if any(f"{name}.".startswith(f"{each}.") for each in core) else ["package"]
        total.update({f"{part} {kind}": count for part in parts for kind, count in amounts.items()})
    for _, path in _modules("tests"):
        total["tests code"] += measured(path.read_text(encoding="utf-8"))["code"]
    return dict(total)


def _modules(folder: str) -> Iterable[tuple[str, Path]]:
    """Yield each module below a folder of this checkout, by its dotted name."""
    for path in sorted((ROOT / folder).rglob("*.py")):
        inside = path.relative_to(ROOT)
        if "node_modules" not in inside.parts:
            yield ".".join(inside.with_suffix("").parts), path


if __name__ == "__main__":
    for figure, count in sizes().items():
        print(f"{figure:<18} {count:>7,}")
