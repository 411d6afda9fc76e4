"""The wall: what is not of the core imports it by one page of names, `graphengine.kernel`.

`tests/wall.txt` lists what still reaches through, a module of the core and a name in it on a line. The list only
shrinks: a name that a wing needs goes onto the page, if others can need it too, or what uses it moves.
`python -m tests.test_wall` writes the list anew.
"""

import ast
import importlib
import re
import tomllib
from pathlib import Path
from typing import Final

import pytest

import graphengine.kernel

ROOT: Final = Path(__file__).resolve().parent.parent
LISTED: Final = ROOT / "tests" / "wall.txt"
STUB: Final = ROOT / "graphengine" / "kernel" / "__init__.pyi"


def core() -> set[str]:
    """Return the modules at the top of the core, as the contract in pyproject.toml names them."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        contracts = tomllib.load(file)["tool"]["importlinter"]["contracts"]
    (found,) = [each["source_modules"] for each in contracts if each["name"] == "the core stands alone"]
    return {name.partition(".")[2] for name in found} - {"kernel"}


def names_over_the_wall() -> list[str]:
    """Return each name of the core that a file of another part imports from where it is defined."""
    inside, package, found = core(), ROOT / "graphengine", set[str]()
    for path in package.rglob("*.py"):
        if path.relative_to(package).parts[0].removesuffix(".py") in inside:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("graphengine."):
                module = str(node.module)
                found |= {f"{module} {each.name}" for each in node.names if module.split(".")[1] in inside}
    return sorted(found)


def test_nothing_new_reaches_through_the_wall() -> None:
    """A name that is not on the page is listed, and the list has none that nothing imports any more."""
    listed = LISTED.read_text(encoding="utf-8").splitlines()
    found = names_over_the_wall()
    new, gone = sorted({*found} - {*listed}), sorted({*listed} - {*found})
    assert not new, f"import these by graphengine.kernel, or put what needs them where they are: {', '.join(new)}"
    assert not gone, f"nothing imports these any more, strike them from {LISTED.name}: {', '.join(gone)}"


def test_the_page_names_what_wings_use() -> None:
    """Each name on it is that of the core, and stands there once; another one is refused by name."""
    homes = re.findall(r"^from (\S+) import (\w+) as \2$", STUB.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(homes) == len(STUB.read_text(encoding="utf-8").splitlines()) == len({name for _, name in homes})
    for module, name in homes:
        assert getattr(graphengine.kernel, name) is getattr(importlib.import_module(module), name)
    assert {*dir(graphengine.kernel)} >= {name for _, name in homes}
    with pytest.raises(AttributeError, match="has no name nothing_such"):
        getattr(graphengine.kernel, "nothing_such")  # noqa: B009


if __name__ == "__main__":
    LISTED.write_text("\n".join([*names_over_the_wall(), ""]), encoding="utf-8")
