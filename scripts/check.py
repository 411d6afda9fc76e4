"""Check some areas of the project: their style, their types, and their tests; the layers are checked whole.

    python -m scripts.check budgets cli
    python -m scripts.check    # the areas that differ from the branch main, committed or not

An area is a package or module of graphengine with the folder or file of its tests, or a folder of tests alone.
"""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
TESTS: Final = ROOT / "tests"
DEFAULT: Final = ("engine", "scenarios")
"""What is checked where nothing differs from main, or where nobody knows what does."""
BESIDE: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "engine": ("scenarios", "sim"),
        "kernel": ("test_wall",),
        "media": ("models",),
        "reducers": ("state",),
        "errors": ("compile", "graph"),
        "runner": ("claims", "sim"),
        "nodes": ("graphs",),
    }
)
"""Further areas that test an area."""


def areas() -> Sequence[str]:
    """Return the names of all areas of the project. An area is a package or a module with its tests."""
    packages = {path.stem for path in (ROOT / "graphengine").iterdir() if path.suffix in ("", ".py")}
    folders = {path.name for path in TESTS.iterdir() if path.is_dir()}
    files = {path.stem for path in TESTS.glob("test_*.py")}
    return sorted(each for each in packages | folders | files if not each.startswith("_") and each != "kit")


def paths_of(area: str) -> Sequence[Path]:
    """Return the folders and files of an area: its code, and its tests."""
    named = [ROOT / "graphengine" / area, ROOT / area, TESTS / area]
    named += [folder / f"{name}.py" for folder in (ROOT / "graphengine", TESTS) for name in (area, f"test_{area}")]
    return [path for path in named if path.exists()]


def area_of(name: str, known: Iterable[str]) -> Iterable[str]:
    """Yield the areas to which a changed file belongs. The file is named relative to the project's folder."""
    parts = Path(name).parts
    if parts[:2] == ("tests", "kit"):
        called = re.compile(rf"\btests\.kit(\.| import (\w+, )*){Path(name).stem}\b")
        files = [path for path in TESTS.rglob("*.py") if called.search(path.read_text(encoding="utf-8"))]
        yield from {path.relative_to(TESTS).parts[0].removesuffix(".py") for path in files} - {"kit", "conftest"}
    elif parts[0] in ("graphengine", "tests") and len(parts) > 1:
        yield parts[1].partition(".")[0]
    elif parts[0] in ("docs", "README.md", "CONTRIBUTING.md"):
        yield "docs"
    elif parts[0] in known:
        yield parts[0]


def touched() -> Sequence[str]:
    """Return the areas with files that differ from the branch main."""

    def git(*words: str) -> str:
        return subprocess.run(("git", *words), cwd=ROOT, capture_output=True, text=True, check=True).stdout  # noqa: S607

    try:
        names = git("diff", "--name-only", "--no-renames", git("merge-base", "main", "HEAD").strip()).splitlines()
        names += git("ls-files", "--others", "--exclude-standard").splitlines()
    except (OSError, subprocess.CalledProcessError):
        return DEFAULT
    known = areas()
    found = {area for name in names for area in area_of(name, known)} & {*known}
    return sorted(found) or DEFAULT


def main(chosen: Sequence[str]) -> int:
    """Check areas, and print how long each step took.

    Returns:
        0, 1 if a check failed, or 2 if an area does not exist.
    """
    known = areas()
    if unknown := [area for area in chosen if area not in known]:
        print(f"there is no area {', '.join(unknown)}; there are: {', '.join(known)}", file=sys.stderr)
        return 2
    listed = list(chosen or touched())
    listed += [more for area in listed for more in BESIDE.get(area, ()) if more not in listed]
    print(f"areas: {', '.join(listed)}")
    paths = [str(path.relative_to(ROOT)) for area in listed for path in paths_of(area)]
    python = [path for path in paths if path.endswith(".py") or any((ROOT / path).rglob("*.py"))]
    tests = [path for path in python if path.startswith("tests")]
    steps = [("ruff", "check", *python), ("ruff", "format", "--check", *python), ("lint-imports", "--no-logo")]
    steps += [("mypy", *python)]
    if tests:
        steps += [("pytest", "-q", "-n", os.environ.get("WORKERS", "auto"), "--dist", "worksteal", *tests)]
    failed = []
    for step in steps:
        print(f"\n== {' '.join(step)}", flush=True)
        began = time.monotonic()
        program = str(Path(sys.executable).parent / step[0])
        done = subprocess.run((program, *step[1:]), cwd=ROOT, env={"SCENES": "150", **os.environ}, check=False)
        print(f"{step[0]}: {time.monotonic() - began:.1f} s", flush=True)
        if done.returncode not in (0, 5 if step[0] == "pytest" else 0):  # 5: there is no test
            failed.append(step[0])
    print("\n==", f"FAILED: {', '.join(failed)}" if failed else "all passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
