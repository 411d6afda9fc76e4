"""The core stands alone: it runs, resumes and branches without the rest of the package and its dependencies.

`make core` runs all of its tests so, see `scripts/core.py`.
"""

import ast
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from scripts.core import TESTS
from tests.kit.clean_environment import ROOT, link
from tests.kit.contracts import NEEDS, contract

PROGRAM = """
import asyncio, importlib, pkgutil, sys

sys.path.insert(0, sys.argv[1])
import graphengine

for module in pkgutil.walk_packages(graphengine.__path__, "graphengine."):
    importlib.import_module(module.name)

from pydantic import BaseModel
from graphengine.graph.conditions import value
from graphengine.graph.definition import GraphDefinition
from graphengine.graph.options import END, START, Limits
from graphengine.runner.runner import Runner
from graphengine.stores.memory import InMemoryStore

class Count(BaseModel):
    n: int = 0

async def more(n: int) -> int:
    return n + 1

graph = GraphDefinition("count", Count)
graph.add_node("more", more, writes="n")
graph.add_edge(START, "more")
graph.add_edge("more", END, when=value("n") >= 3)
graph.add_edge("more", "more")

async def main():
    store = InMemoryStore()
    async with Runner(store) as runner:
        cut = await runner.start(graph, run_id="first", limits=Limits(visits=1)).result()
    async with Runner(store) as runner:
        whole = await runner.resume("first", graph, limits=Limits(visits=9)).result()
        other = await runner.branch("first", graph, at=2, update={"n": 7}).result()
        kinds = [step.kind for step in await runner.history("first")]
    print(cut.status, whole.status, whole.state.n, other.state.n, *kinds)

asyncio.run(main())
"""


def modules(folder: Path) -> set[str]:
    """Return the names of the packages and modules in a folder of the package."""
    parts = ".".join(folder.relative_to(ROOT).parts)
    found = [path for path in folder.iterdir() if (path / "__init__.py").exists() or path.suffix == ".py"]
    return {f"{parts}.{path.stem}" for path in found if not path.stem.startswith("__")}


def test_the_contract_names_every_package() -> None:
    """A new package belongs to the core or to what the core must not import."""
    core, rest = contract()
    assert core | rest == modules(ROOT / "graphengine")


def test_the_core_runs_without_the_rest_of_the_package(tmp_path: Path) -> None:
    """Every module of it is imported; a run is cut off, resumed by another Runner, and branched."""
    core, _ = contract()
    for name in ("graphengine", "graphengine.doors", *sorted(core)):
        path = Path(*name.split("."))
        if name in core and (ROOT / path).is_dir():
            shutil.copytree(ROOT / path, tmp_path / path, ignore=shutil.ignore_patterns("__pycache__"))
            continue
        is_package = (ROOT / path).is_dir()
        for source in (ROOT / path).glob("__init__.py*") if is_package else [ROOT / path.with_suffix(".py")]:
            target = tmp_path / source.relative_to(ROOT)
            target.parent.mkdir(exist_ok=True)
            shutil.copy(source, target)
    link(tmp_path, *NEEDS)
    words = [sys.executable, "-I", "-S", "-c", PROGRAM, str(tmp_path)]  # without site-packages
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    expected = "stopped finished 3 8 started node stopped resumed node node"
    assert done.stdout.split() == expected.split(), done.stderr


def imported(path: Path, public: Mapping[str, str]) -> Iterator[str]:
    """Yield the modules that a file imports; of `graphengine`, those where its public names are."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "graphengine":
            yield from (public.get(each.name, f"graphengine.{each.name}") for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield str(node.module)


def test_the_tests_of_the_core_import_no_other_package() -> None:
    """`make core` runs them where there is none, and `graphengine` has the core's own Graph and Runner."""
    _, rest = contract()
    stub = ast.parse((ROOT / "graphengine" / "__init__.pyi").read_text(encoding="utf-8"))
    places = [(node.module, each.name) for node in stub.body if isinstance(node, ast.ImportFrom) for each in node.names]
    public = {name: f"graphengine.{module}" for module, name in places} | dict.fromkeys(("Graph", "Runner"), "")
    files = [path for folder in TESTS for path in sorted((ROOT / "tests" / folder).rglob("*.py"))]
    found = [f"{path.relative_to(ROOT)}: {name}" for path in files for name in imported(path, public)
             if ".".join(name.split(".")[:2]) in rest]  # fmt: skip
    assert not found, f"move these tests to the folder of what they need: {', '.join(found)}"
