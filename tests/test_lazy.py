import subprocess
import sys
from importlib import import_module

import pytest

PACKAGES = [
    "graphengine",
    "graphengine.agents",
    "graphengine.executors",
    "graphengine.models",
    "graphengine.patterns",
    "graphengine.runner",
    "graphengine.testing",
]


def loaded_by(statement: str) -> list[str]:
    """Return the package's modules that a new process has loaded after a statement."""
    program = f"import sys; {statement}; print(*sorted(name for name in sys.modules if 'graphengine' in name))"
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_exists(package: str) -> None:
    """Every name in `__all__` is listed by `dir` and can be loaded."""
    module = import_module(package)
    assert set(module.__all__) <= set(dir(module))
    assert [name for name in module.__all__ if not hasattr(module, name)] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_an_unknown_name_is_an_error(package: str) -> None:
    """It raises AttributeError, as in any module."""
    with pytest.raises(AttributeError, match=f"No {package} attribute superviser"):
        _ = import_module(package).superviser


@pytest.mark.parametrize("package", PACKAGES)
def test_importing_a_package_loads_none_of_its_names(package: str) -> None:
    """Importing a package loads only its parent packages, and what loads its names."""
    assert loaded_by(f"import {package}") == sorted({"graphengine", "graphengine.doors", package})


def test_a_name_loads_once() -> None:
    """After its first use it is an attribute of its package and is not looked up again."""
    assert "graphengine.models.router" not in loaded_by("from graphengine.models import Message")
    import_module("graphengine.patterns").pipeline  # noqa: B018 - the first use
    assert "pipeline" in vars(import_module("graphengine.patterns"))


CALLS_AN_AGENT = """
import asyncio, sys
from pydantic import BaseModel
from graphengine import END, START, Graph, Runner

class Note(BaseModel):
    text: str = ""

async def write() -> str:
    print([name for name in ("graphengine.agents.runtime", "graphengine.models.base") if name in sys.modules])
    from graphengine import Agent
    return await Agent("writer", model="rules", prompt="Write.", by_rules=lambda: "Done.").run()

async def main() -> None:
    graph = Graph("notes", Note)
    graph.add_node(write, writes="text")
    graph.add_path(START, "write", END)
    async with Runner() as runner:
        result = await runner.start(graph, run_id="one").result()
        print(result.state.text, result.usage.offline_calls)

asyncio.run(main())
"""


def test_agents_are_imported_when_one_is_called() -> None:
    """A Runner imports neither agents nor models; an agent in a node finds its run, which counts its calls."""
    ran = subprocess.run([sys.executable, "-c", CALLS_AN_AGENT], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines() == ["[]", "Done. 1"]
