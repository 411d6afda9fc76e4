"""The wall: what is not of the core imports it by pages of names, the three tiers of `graphengine.kernel` and `inside`.

A tier has what strangers may use, each name under what it promises and since when; `inside` has what only our own wings
use, and only shrinks. Errors and reducers have modules of their own, which are public.

`tests/wall.txt` lists what still reaches through, a module of the core and a name in it on a line, and why. The list
only shrinks: a name that a wing needs goes onto a page, if others can need it too, or what uses it moves.
`python -m tests.test_wall` writes the list anew.
"""

import ast
import importlib
import inspect
import tomllib
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from scripts import site_pages

ROOT: Final = Path(__file__).resolve().parent.parent
LISTED: Final = ROOT / "tests" / "wall.txt"
TIERS: Final = {"graphengine.kernel.reader": 60, "graphengine.kernel.store": 60, "graphengine.kernel.extension": 80}
"""How many names a tier may have: as many as one can learn."""
INSIDE: Final = "graphengine.kernel.inside"
NAMES_INSIDE: Final = 197
"""How many names our own wings use besides; this only shrinks."""
PAGES: Final = {page: f"{page.removeprefix('graphengine.').replace('.', '/')}.pyi" for page in (*TIERS, INSIDE)}
PUBLIC: Final = {"errors", "reducers"}
"""Modules of the core that anybody imports."""


@cache
def core() -> set[str]:
    """Return the modules at the top of the core, as pyproject.toml names them; `schemas` is for all."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        contracts = tomllib.load(file)["tool"]["importlinter"]["contracts"]
    (found,) = [each["source_modules"] for each in contracts if each["name"] == "the core stands alone"]
    return {name.partition(".")[2] for name in found} - {"kernel", "schemas"}


@cache
def imports_of_wings() -> Sequence[tuple[str, str]]:
    """Return each module that a file of a wing imports a name from, and the name."""
    return list(_imports_of_wings())


def _imports_of_wings() -> Iterator[tuple[str, str]]:
    inside, package = core() | {"kernel", "schemas"}, ROOT / "graphengine"
    for path in package.rglob("*.py"):
        if path.relative_to(package).parts[0].removesuffix(".py") in inside and "kernel/testing" not in str(path):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("graphengine."):
                yield from ((str(node.module), each.name) for each in node.names)


def names_over_the_wall() -> list[str]:
    """Return each name of the core that a file of another part imports from where it is defined."""
    inside = core() - PUBLIC
    return sorted({f"{module} {name}" for module, name in imports_of_wings() if module.split(".")[1] in inside})


def on_the_page(page: str) -> dict[str, str]:
    """Return the names on a page, with the modules that define them."""
    tree = ast.parse((ROOT / "graphengine" / PAGES[page]).read_text(encoding="utf-8"))
    lines = [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module not in PAGES]
    found = {each.asname or each.name: str(node.module) for node in lines for each in node.names}
    assert len(found) == sum(len(node.names) for node in lines), "a name stands there twice"
    return found


def listed() -> dict[str, str]:
    """Return what reaches through the wall, with the reasons."""
    lines = LISTED.read_text(encoding="utf-8").splitlines()
    return {line.partition("  # ")[0].strip(): line.partition("  # ")[2] for line in lines}


def test_nothing_new_reaches_through_the_wall() -> None:
    """A name that is not on a page is listed with a reason, and the list has none that nothing imports any more."""
    found = names_over_the_wall()
    new, gone = sorted({*found} - {*listed()}), sorted({*listed()} - {*found})
    assert not new, f"import these by graphengine.kernel, or put what needs them where they are: {', '.join(new)}"
    assert not gone, f"nothing imports these any more, strike them from {LISTED.name}: {', '.join(gone)}"
    assert all(listed().values()), "each has a reason"


@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_names_of_the_core_that_wings_use(page: str) -> None:
    """Each name on it is that of the core, and used; another one is refused by name."""
    loaded, homes = importlib.import_module(page), on_the_page(page)
    for name, module in homes.items():
        assert module.split(".")[1] in core() | {"kernel"}
        found = getattr(loaded, name), getattr(importlib.import_module(module), name)
        first, second = map(inspect.unwrap, found)  # what is public refuses arguments once it is loaded from its door
        assert first is second
    assert {*dir(loaded)} >= {*homes}
    unused = {*homes} - {name for module, name in imports_of_wings() if module == page}
    assert not unused, f"no wing uses these, strike them from the page: {', '.join(sorted(unused))}"
    with pytest.raises(AttributeError, match=f"{page} has no name nothing_such"):
        getattr(loaded, "nothing_such")  # noqa: B009


@pytest.mark.parametrize("page", TIERS)
def test_a_tier_says_what_each_name_promises(page: str) -> None:
    """Each stands under a promise with the version since when it holds, and one can learn them all."""
    parts = [*site_pages.promises(page.removeprefix("graphengine."))]
    assert [name for _, _, names in parts for name in names] == [*on_the_page(page)]
    assert all(promise.endswith(".") for _, promise, _ in parts)
    assert len(on_the_page(page)) <= TIERS[page]


def test_a_name_has_one_page() -> None:
    """The tiers and `inside` have no name of the same thing twice."""
    homes = [(module, name) for page in PAGES for name, module in on_the_page(page).items()]
    assert len(homes) == len({*homes})


def test_what_is_inside_does_not_grow() -> None:
    """A new name there has its price: another one goes."""
    assert len(on_the_page(INSIDE)) == NAMES_INSIDE


def test_the_package_of_a_stranger_needs_nothing_inside() -> None:
    """Each page that shows how to add a part of one's own uses the tiers alone."""
    pages = [*(ROOT / "docs").rglob("*.md"), ROOT / "README.md", ROOT / "graphengine" / "AGENTS.md"]
    assert [str(page) for page in pages if f"from {INSIDE}" in page.read_text(encoding="utf-8")] == []


if __name__ == "__main__":
    reasons = listed()
    LISTED.write_text(
        "".join(f"{name}  # {reasons.get(name, '')}\n" for name in names_over_the_wall()), encoding="utf-8"
    )
