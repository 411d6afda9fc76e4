"""Print how much there is to take in: code, functions and files of the package and its core, the tests and their pages.

    python -m scripts.sizes [COMMIT]    # with a commit: also how much more that is than there

A line of code is one that is not blank and not a comment, a docstring or an import. The core is what the contract "the
core stands alone" in pyproject.toml lists. These figures are looked at; no test holds them.
"""

from __future__ import annotations

import ast
import subprocess
import sys
import tarfile
import tomllib
from collections import Counter
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT: Final = Path(__file__).resolve().parents[1]
_DOCUMENTED: Final = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def measured(source: str) -> Counter[str]:
    """Count the lines of code and the functions of a module. The count `files` is 1, so that counts can be added."""
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


def core_modules(root: Path = ROOT) -> tuple[str, ...]:
    """Return the packages and modules of the core, which a contract in pyproject.toml lists."""
    content = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = content["tool"]["importlinter"]["contracts"]
    (found,) = [each["source_modules"] for each in contracts if each["name"] == "the core stands alone"]
    return tuple(str(each) for each in found)


def sizes(root: Path = ROOT) -> dict[str, int]:
    """Return the figures of a checkout by name, such as `core code`."""
    core = core_modules(root)
    total: Counter[str] = Counter()
    for name, path in _modules(root, "graphengine"):
        amounts = measured(path.read_text(encoding="utf-8"))
        parts = ["package", "core"] if any(f"{name}.".startswith(f"{each}.") for each in core) else ["package"]
        total.update({f"{part} {kind}": count for part in parts for kind, count in amounts.items()})
    for _, path in _modules(root, "tests"):
        total["tests code"] += measured(path.read_text(encoding="utf-8"))["code"]
    for path in (root / "tests").rglob("*.txt"):
        if "node_modules" not in path.parts:
            total["pages lines"] += path.read_text(encoding="utf-8", errors="replace").count("\n")
    exceptions = root / "tests" / "wall.txt"
    total["over the wall"] = len(exceptions.read_text(encoding="utf-8").splitlines()) if exceptions.exists() else 0
    return dict(total)


def sizes_at(commit: str) -> dict[str, int]:
    """Return the figures of a commit by name."""
    files = ["git", "archive", commit, "graphengine", "tests", "pyproject.toml"]
    packed = subprocess.run(files, cwd=ROOT, capture_output=True, check=True).stdout
    with TemporaryDirectory() as folder, tarfile.open(fileobj=BytesIO(packed)) as archive:
        archive.extractall(folder, filter="data")
        return sizes(Path(folder))


def _modules(root: Path, folder: str) -> Iterable[tuple[str, Path]]:
    """Yield the dotted name and the path of each module in a folder of a checkout."""
    for path in sorted((root / folder).rglob("*.py")):
        inside = path.relative_to(root)
        if "node_modules" not in inside.parts:
            yield ".".join(inside.with_suffix("").parts), path


def main(commit: str | None = None) -> None:
    """Print the figures. With a commit, also print by how much each figure has changed since the commit."""
    before = sizes_at(commit) if commit else {}
    for figure, count in sizes().items():
        print(f"{figure:<18} {count:>7,}{f' {count - before.get(figure, 0):>+8,}' if commit else ''}")


if __name__ == "__main__":
    main(*sys.argv[1:2])
