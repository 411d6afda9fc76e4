"""The dependencies that `make` installs are pinned: pyproject.toml and constraints.txt agree, without addresses.

Users choose where packages come from, and hashes prove that they are the right ones.
"""

import json
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from graphengine.errors import DISTRIBUTION

ROOT = Path(__file__).resolve().parent.parent
LOCK_FILES = sorted(ROOT.glob("tests/*/*/package-lock.json"))
PIN = re.compile(r"[a-z0-9-]+==[0-9A-Za-z.!+]+")


def requirements() -> list[Requirement]:
    """Return every requirement in pyproject.toml: runtime, extras and build."""
    content = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    project = content["project"]
    extras = project["optional-dependencies"].values()
    groups = [project["dependencies"], *extras, content["build-system"]["requires"]]
    return [Requirement(line) for group in groups for line in group]


def pin_lines() -> list[str]:
    """Return the lines of constraints.txt that are not comments."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if not line.startswith("#")]


def test_constraints_hold_names_and_versions_only() -> None:
    """No line of constraints.txt carries an address, a path or a marker."""
    assert [line for line in pin_lines() if not PIN.fullmatch(line)] == []


@pytest.mark.parametrize("path", LOCK_FILES, ids=lambda path: str(path.parent.name))
def test_a_lock_file_holds_versions_and_hashes_and_no_address(path: Path) -> None:
    """Fields that npm adds when it rewrites the file, `funding` and `resolved`, are removed again."""
    packages = json.loads(path.read_text(encoding="utf-8"))["packages"]
    installed = {name: entry for name, entry in packages.items() if name}
    assert [name for name, entry in installed.items() if not {"version", "integrity"} <= entry.keys()] == []
    assert [name for name, entry in packages.items() if "://" in json.dumps(entry)] == []


def test_every_declared_requirement_is_pinned_inside_its_range() -> None:
    """Each requirement of pyproject.toml is in constraints.txt with a version in its range."""
    pins = dict(line.split("==") for line in pin_lines())

    def is_held(requirement: Requirement) -> bool:
        name = canonicalize_name(requirement.name)
        return name in pins and requirement.specifier.contains(pins[name])

    declared = [each for each in requirements() if each.name != DISTRIBUTION]
    assert [str(each) for each in declared if not is_held(each)] == []


def test_no_text_sends_a_user_to_the_other_project() -> None:
    """The package index has another project called graphengine: whatever is to be installed has our name."""
    folders = ("benchmarks", "docs", "graphengine", "graphs", "nodes", "scripts", "tests")
    files = [
        *ROOT.glob("*.*"),
        ROOT / "Makefile",
        *(file for folder in folders for file in (ROOT / folder).rglob("*.*")),
    ]
    foreign = re.compile(r"""(pip install|uv add|poetry add)\s+(-U\s+)?["']?graphengine\b|(?<![\w-])graphengine\[""")
    found = []
    for file in files:
        if file.suffix in {".py", ".md", ".toml", ".in", ".txt", ""} and file.is_file() and file != Path(__file__):
            name = file.relative_to(ROOT)
            lines = [] if "node_modules" in name.parts else file.read_text(encoding="utf-8").splitlines()
            found += [f"{name}:{number}" for number, line in enumerate(lines, 1) if foreign.search(line)]
    assert found == []


def test_the_name_to_install_by_is_that_of_the_project() -> None:
    """In pyproject.toml and in what the errors say."""
    assert tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["name"] == DISTRIBUTION
