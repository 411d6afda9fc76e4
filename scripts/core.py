"""Run the core's tests in a clone that has no other package, in an environment with what the core needs.

`make core [ARGS="-x"]`. The clone is a temporary folder with the packages of the core, their tests and the kit of
tests; the environment has the distributions that the core and its tests need, linked from the one that runs this.
"""

import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.kit.clean_environment import ROOT, Environment, link
from tests.kit.contracts import NEEDS, TOOLS, contract

TESTS = ("claims", "compile", "engine", "graph", "history", "runner", "scenarios", "schemas", "state", "stores")
"""The folders of the core's tests."""
IGNORED = shutil.ignore_patterns("__pycache__")


def clone(folder: Path) -> None:
    """Copy the core, its tests and the files that these tests read into a folder."""
    core, _ = contract()
    (folder / "graphengine").mkdir(parents=True)
    for part in ("__init__.py", "__init__.pyi", "doors", *(each.partition(".")[2] for each in core)):
        source = ROOT / "graphengine" / part
        if source.is_dir():
            shutil.copytree(source, folder / "graphengine" / part, ignore=IGNORED)
        else:
            file = source if source.exists() else source.with_suffix(".py")
            shutil.copy(file, folder / "graphengine" / file.name)
    for part in ("kit", *TESTS):
        shutil.copytree(ROOT / "tests" / part, folder / "tests" / part, ignore=IGNORED)
    for name in ("pyproject.toml", "tests/conftest.py"):
        shutil.copy(ROOT / name, folder / name)


def main(arguments: list[str]) -> int:
    """Run the core's tests in a new clone and a new environment, and return the exit code of pytest."""
    with tempfile.TemporaryDirectory(prefix="core-") as name:
        folder = Path(name)
        clone(folder / "clone")
        venv.create(folder / "environment", with_pip=False)
        made = Environment(folder / "environment")
        link(made.packages, *NEEDS, *TOOLS)
        words = [str(made.folder / "bin" / "python"), "-m", "pytest", "-q", "-p", "tests.kit.core_only", *arguments]
        return subprocess.run(words, cwd=folder / "clone", check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
