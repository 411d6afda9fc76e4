"""Environments that have the built wheel, its core dependencies and nothing else, made without a network.

The wheel is built by the installed backend and installed by pip. The distributions that it needs are taken from the
environment that runs the tests: each of their top-level files and folders is linked, so that nothing else is there.
"""

import os
import subprocess
import sys
import venv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Environment:
    """A virtual environment, and how to run its programs."""

    folder: Path

    @property
    def packages(self) -> Path:
        """The folder of the installed packages."""
        (found,) = self.folder.glob("lib/python*/site-packages")
        return found

    def run(self, *words: str, where: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
        """Run a program of the environment in a folder; PATH has its programs and no others, unless it is given."""
        settings = {"PATH": str(self.folder / "bin"), "HOME": str(where), "NO_COLOR": "1", "COLUMNS": "200"} | variables
        words = (str(self.folder / "bin" / words[0]), *words[1:])
        return subprocess.run(words, cwd=where, env=settings, text=True, capture_output=True, check=False, timeout=240)


def built(folder: Path, source: Path = ROOT) -> Path:
    """Build the wheel of a source tree there, with the installed backend; return its path."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(command, cwd=source, check=True, capture_output=True, env={**os.environ, "PYTHONPATH": ""})
    (wheel,) = folder.glob("*.whl")
    return wheel


def environment(folder: Path, wheel: Path) -> Environment:
    """Make an environment with the wheel, installed by pip without extras, and what it requires."""
    venv.create(folder, with_pip=False)
    made = Environment(folder)
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install", "--quiet"]
    subprocess.run([*pip, "--no-index", "--no-deps", str(wheel)], check=True, capture_output=True)
    (metadata,) = made.packages.glob("durable_graphengine-*.dist-info")
    add(made, *required(Distribution.at(metadata)))
    return made


def add(made: Environment, *names: str) -> None:
    """Link distributions of the environment that runs the tests, and what they require."""
    for each in closure(names):
        for part in {file.parts[0] for file in each.files or () if file.parts[0] not in ("..", "__pycache__")}:
            source, target = Path(str(each.locate_file(part))), made.packages / part
            if source.exists() and not target.exists():
                target.symlink_to(source)


def required(of: Distribution, extra: str = "") -> Iterator[str]:
    """Yield the names of what a distribution requires here, with an extra or without any."""
    for line in of.requires or ():
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
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
