"""docs/explain/architecture.md, CONTRIBUTING.md and README.md list the packages and extras that there are."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "graphengine"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LEFT = 46
"""The width of the column with the names in the list of architecture.md."""


def listed() -> list[tuple[list[str], list[str]]]:
    """The packages of architecture.md, those on one line together, and the names on the lines below them."""
    page = (ROOT / "docs" / "explain" / "architecture.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"^## Packages\n\n```\n(.*?)^nodes/   graphs/ .*\n```", page, re.DOTALL | re.MULTILINE)
    found: list[tuple[list[str], list[str]]] = []
    for line in text.splitlines():
        names = [name.rstrip("/") for name in re.findall(r"[\w/]+", line[:LEFT])]
        if line.startswith(" "):
            found[-1][1].extend(names)
        else:
            found.append((names, []))
    return found


def test_the_list_has_the_order_of_the_contract() -> None:
    """A package is below all packages that it can import; each is listed once."""
    (contract,) = [each for each in PROJECT["tool"]["importlinter"]["contracts"] if each["type"] == "layers"]
    layers = [re.findall(r"\w+", layer) for layer in reversed(contract["layers"])]
    place = {name: number for number, layer in enumerate(layers) for name in layer}
    names = [name for packages, _ in listed() for name in packages]
    assert sorted(names) == sorted(place)
    assert [place[name] for name in names] == sorted(place.values())


def test_the_modules_of_the_list_exist() -> None:
    """Each is in one of the packages that it is listed below."""
    for packages, names in listed():
        there = [
            f"/{path.relative_to(PACKAGE).with_suffix('').as_posix()}"
            for package in packages
            for path in [PACKAGE / package, *(PACKAGE / package).rglob("*")]
        ]
        missing = [name for name in names if not any(each.endswith(f"/{name}") for each in there)]
        assert not missing, packages


def test_contributing_lists_every_package() -> None:
    """In the table of the layout."""
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (row,) = re.findall(r"^\| `graphengine/` \| the package: (.*) \|$", page, re.MULTILINE)
    packages = {path.parent.name for path in PACKAGE.glob("[a-z]*/__init__.py")}
    assert sorted(re.findall(r"`(\w+)`", row)) == sorted(packages)


def test_the_readme_lists_every_extra_for_users() -> None:
    """Those who work on the project need groups of dependencies, which the package does not have."""
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    (table,) = re.findall(r"^\| for \| extras \|\n(.*?)\n\n", page, re.MULTILINE | re.DOTALL)
    for_users = set(PROJECT["project"]["optional-dependencies"])
    assert set(re.findall(r"`([\w-]+)`", table)) == for_users
