"""Environments that have the built wheel, its core dependencies and nothing else, made without a network.

The wheel is built by the installed backend and installed by pip. The distributions that it needs are taken from the
environment that runs the tests: each of their top-level files and folders is linked, so that nothing else is there.
"""

import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, PathDistribution, distribution
from pathlib import Path
from zipfile import Path as ZipPath

import pytest
from filelock import FileLock
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.kit.forks import Order, run_order

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Environment:
    """A virtual environment, and how to run its programs.

    Attributes:
        folder: Where it is.
        more: A folder with further packages, of one test.
    """

    folder: Path
    more: Path | None = None

    @property
    def packages(self) -> Path:
        """The folder of the installed packages."""
        (found,) = self.folder.glob("lib/python*/site-packages")
        return found

    def run(self, program: str, *words: str, where: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
        """Run a module or a file in a folder, in a fork of the environment's interpreter."""
        order = Order(program, words, str(where), self._variables(where) | variables)
        return run_order(order, str(self.folder / "bin" / "python"))

    def execute(self, *words: str, where: Path) -> "subprocess.CompletedProcess[str]":
        """Execute a program of the environment."""
        words = (str(self.folder / "bin" / words[0]), *words[1:])
        variables = self._variables(where)
        return subprocess.run(words, cwd=where, env=variables, text=True, capture_output=True, check=False, timeout=240)

    def _variables(self, home: Path) -> dict[str, str]:
        """Return variables whose PATH has the programs of the environment and no others."""
        found = {"PATH": str(self.folder / "bin"), "HOME": str(home), "NO_COLOR": "1", "COLUMNS": "200"}
        return found if self.more is None else {**found, "PYTHONPATH": str(self.more)}


def built(folder: Path, source: Path = ROOT, target: str = "wheel", **variables: str) -> Path:
    """Build the wheel, or the `sdist`, of a source tree there, with the installed backend; return its path."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", target, "--directory", str(folder)]
    env = {**os.environ, "PYTHONPATH": "", **variables}
    subprocess.run(command, cwd=source, check=True, capture_output=True, env=env, timeout=240)
    (made,) = folder.glob("*.whl" if target == "wheel" else "*.tar.gz")
    return made


def shared(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """Return a folder of all test processes of a session; the first of them makes what is in it, the others wait."""
    own = factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / name
    with FileLock(folder.with_suffix(".lock")):
        if not (folder / "made").exists():
            shutil.rmtree(folder, ignore_errors=True)
            make(folder)
            (folder / "made").touch()
    return folder


def own_wheel(factory: pytest.TempPathFactory) -> Path:
    """Return the wheel of this source tree, built once in a session."""
    (found,) = shared(factory, "wheel", built).glob("*.whl")
    return found


def own_archive(factory: pytest.TempPathFactory) -> Path:
    """Return the source distribution of this source tree, built once in a session."""
    (found,) = shared(factory, "sdist", lambda folder: built(folder, target="sdist")).glob("*.tar.gz")
    return found


def metadata_of(wheel: Path) -> Distribution:
    """Return the metadata in a wheel."""
    return PathDistribution(ZipPath(wheel, "-".join(wheel.name.split("-")[:2]) + ".dist-info/"))


def environment(folder: Path, wheel: Path) -> Environment:
    """Make an environment with the wheel, installed by pip without extras, and what it requires."""
    venv.create(folder, with_pip=False)
    made = Environment(folder)
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install", "--quiet"]
    words = [*pip, "--no-index", "--no-deps", "--no-compile", str(wheel)]
    subprocess.run(words, check=True, capture_output=True, timeout=240)
    (metadata,) = made.packages.glob("durable_graphengine-*.dist-info")
    link(made.packages, *required(Distribution.at(metadata)))
    return made


def link(packages: Path, *names: str) -> None:
    """Link distributions of the environment that runs the tests, and what they require, into a folder."""
    for each in closure(names):
        for part in {file.parts[0] for file in each.files or () if file.parts[0] not in ("..", "__pycache__")}:
            source, target = Path(str(each.locate_file(part))), packages / part
            if source.exists() and not target.exists():
                target.symlink_to(source)


def required(of: Distribution) -> Iterator[str]:
    """Yield the names of what a distribution requires here, without extras."""
    for line in of.requires or ():
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield requirement.name


def closure(names: Iterable[str]) -> list[Distribution]:
    """Return the distributions with these names and everything that they require without extras."""
    found: dict[str, Distribution] = {}
    left = [canonicalize_name(name) for name in names]
    while left:
        name = left.pop()
        if name not in found:
            found[name] = distribution(name)
            left += [canonicalize_name(each) for each in required(found[name])]
    return list(found.values())
