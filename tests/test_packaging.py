"""The dependencies that `make` installs are pinned: pyproject.toml and constraints.txt agree, without addresses.

Users choose where packages come from, and hashes prove that they are the right ones.
"""

import json
import re
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.tags import Tag, compatible_tags, cpython_tags, mac_platforms, parse_tag
from packaging.utils import canonicalize_name
from packaging.version import Version

from graphengine import __version__
from graphengine.errors import DISTRIBUTION
from tests.kit.clean_environment import closure

ROOT = Path(__file__).resolve().parent.parent
LOCK_FILES = sorted(file for file in ROOT.glob("tests/**/package-lock.json") if "node_modules" not in file.parts)
PIN = re.compile(r"[a-z0-9-]+==[0-9A-Za-z.!+]+")


def requirements() -> list[Requirement]:
    """Return every requirement in pyproject.toml: runtime, extras, groups and build."""
    content = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    project = content["project"]
    extras = [*project["optional-dependencies"].values(), *content["dependency-groups"].values()]
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


def lowest_versions() -> dict[str, str]:
    """Return the version of each distribution that `make lowest` installs."""
    lines = (ROOT / "tests" / "lowest.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if not line.startswith("#"))


def test_the_lowest_versions_are_tried_where_they_are_called() -> None:
    """`make lowest` runs the tests of each part of the package that imports what it has in another version."""
    (listed,) = re.findall(r"^LOWEST = (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    lowest, pins = lowest_versions(), dict(line.split("==") for line in pin_lines())
    given = {module: names for module, names in packages_distributions().items() if len(names) == 1}  # not `google`
    everywhere = {"pydantic", "pydantic-core"}
    homes = {"api": "render", "records": "agents", "worker": "worker/test_schedules.py"}
    calling = set()
    for file in (ROOT / "graphengine").rglob("*.py"):
        part = file.relative_to(ROOT / "graphengine").parts[0]
        for module in re.findall(r"^\s*(?:from|import) (\w+)", file.read_text(encoding="utf-8"), re.MULTILINE):
            names = {canonicalize_name(each) for each in given.get(module, ())} - everywhere
            calling |= {homes.get(part, part) for name in names if lowest.get(name, pins.get(name)) != pins.get(name)}
    assert sorted(calling | {"compile", "graph", "state"}) == listed.split()


def test_the_lowest_versions_are_in_the_ranges() -> None:
    """What `make lowest` installs is allowed, and no newer than what `make test` installs; tools are the same."""
    lowest, pins = lowest_versions(), dict(line.split("==") for line in pin_lines())
    names = {canonicalize_name(each.name): each for each in requirements() if each.marker is None}
    held = {name: each for name, each in names.items() if name in lowest}
    assert {"aiosqlite", "click", "pydantic", "mcp", "psycopg", "starlette"} <= held.keys()
    assert [name for name, each in held.items() if not each.specifier.contains(lowest[name])] == []
    assert [name for name in held if Version(lowest[name]) > Version(pins[name])] == []
    assert [name for name in ("mypy", "pytest", "ruff") if lowest[name] != pins[name]] == []


def test_no_text_sends_a_user_to_the_other_project() -> None:
    """The package index has another project called graphengine: whatever is to be installed has our name."""
    folders = ("benchmarks", "docs", "graphengine", "graphs", "nodes", "recipes", "scripts", "tests")
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


def test_the_name_and_the_version_are_those_of_the_project() -> None:
    """The name to install by is the same in pyproject.toml and in the errors; the version, in the package."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert (project["name"], project["version"]) == (DISTRIBUTION, __version__)


PYTHONS = [(3, 11), (3, 12), (3, 13), (3, 14)]
SYSTEMS = {
    "macOS on Apple silicon": list(mac_platforms((14, 0), "arm64")),
    "macOS on Intel": list(mac_platforms((14, 0), "x86_64")),
    "Windows": ["win_amd64"],
    "Linux": ["manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64"],
}
WITHOUT_WHEEL = {("cryptography", "macOS on Intel")}
"""Packages that must be compiled somewhere: cryptography, of the extra `secrets`, dropped Intel Macs."""


def wheel_tags() -> dict[str, tuple[str, set[Tag]]]:
    """Return the version of each package that a user can install, and the tags of its wheels on the index."""
    lines = (ROOT / "tests" / "wheel_tags.txt").read_text(encoding="utf-8").splitlines()
    rows = [line.split() for line in lines if not line.startswith("#")]
    return {name: (version, {tag for each in tags for tag in parse_tag(each)}) for name, version, *tags in rows}


def test_the_listed_wheels_are_those_of_the_pins() -> None:
    """`make pin` writes both; every core dependency and what it needs is listed."""
    pins = dict(line.split("==") for line in pin_lines())
    listed = {name: version for name, (version, _) in wheel_tags().items()}
    assert listed == {name: pins[name] for name in listed}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    here = [each for each in map(Requirement, project["dependencies"]) if not each.marker or each.marker.evaluate()]
    needed = closure(each.name for each in here)
    assert {canonicalize_name(each.name) for each in needed} <= listed.keys()


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("python", PYTHONS, ids=lambda version: ".".join(map(str, version)))
def test_nothing_has_to_be_compiled(python: tuple[int, int], system: str) -> None:
    """The index has a wheel of each pinned package for this Python on this system."""
    fitting = {
        *cpython_tags(python, platforms=SYSTEMS[system]),
        *compatible_tags(python, interpreter=f"cp{python[0]}{python[1]}", platforms=SYSTEMS[system]),
    }
    missing = {(name, system) for name, (_, tags) in wheel_tags().items() if not tags & fitting}
    only_windows = {("pywin32", system)} if system != "Windows" else set()
    assert missing - only_windows <= WITHOUT_WHEEL
