"""The pages of all patterns, and properties of every pattern. `UPDATE_PAGES=1` rewrites the pages."""

import doctest
import importlib
import pkgutil
from pathlib import Path

import pytest

import graphengine.patterns
from graphengine import RunFailed, Runner, ScriptedModel
from graphengine.models import Request
from graphengine.models.errors import ModelUnavailable
from graphengine.stores.memory import InMemoryStore
from tests.kit.graph_pages import check_page
from tests.patterns import kits, scripted
from tests.patterns.kits import around
from tests.patterns.scenes import SCENES, to_its_end
from tests.patterns.scripted import play

PAGES = sorted((Path(__file__).parent / "pages").glob("*.txt"))
MODULES = [module.name for module in pkgutil.iter_modules(graphengine.patterns.__path__)]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
async def test_a_pattern_does_what_its_page_says(path: Path) -> None:
    """Played case by case, it asks its agents what its page has, and ends as it has."""
    await check_page(path, scripted, kits)


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_the_docstrings_run(name: str) -> None:
    """The examples of the docstrings print what they show."""
    assert doctest.testmod(importlib.import_module(f"graphengine.patterns.{name}")).failed == 0


def test_a_name_is_what_it_is_called() -> None:
    """It does not depend on the order of imports: no module hides a pattern of its name."""
    found = {name: getattr(graphengine.patterns, name) for name in dir(graphengine.patterns)}
    assert [name for name, pattern in found.items() if getattr(pattern, "__name__", name) != name] == []
    assert set(found) & set(MODULES) == set()


@pytest.mark.parametrize("name", SCENES)
def test_a_pattern_compiles_without_a_warning(name: str) -> None:
    """Its loops end, and its edges are complete."""
    assert list(SCENES[name]().graph.check()) == []


PLAIN = sorted(name for name, scene in SCENES.items() if "task" in scene().given and scene().person is None)


@pytest.mark.parametrize("name", PLAIN)
async def test_a_pattern_is_a_node_of_any_graph(name: str) -> None:
    """It takes the task, and its result is the node's."""
    scene = SCENES[name]()
    played = await play(around(scene.graph), {"question": scene.given["task"]}, scene.answers)
    assert (played.output, played.calls.total(), played.label) == (scene.output, scene.calls, "")


@pytest.mark.parametrize("name", SCENES)
async def test_without_a_key_a_pattern_fails_and_continues_when_there_is_one(name: str) -> None:
    """No part is left out for lack of a key: the run fails, and a resume has the same result as an undisturbed run."""

    def refuse(request: Request) -> object:
        raise ModelUnavailable(f"{request.agent} has no key")

    scene = SCENES[name]()
    keyless = ScriptedModel(dict.fromkeys(scene.answers, refuse))
    answering = ScriptedModel(scene.answers)
    store = InMemoryStore()
    async with Runner(store, models={"*": keyless}) as runner:
        with pytest.raises(RunFailed, match="has no key"):
            await runner.start(scene.graph, scene.given, run_id="r").result()
    async with Runner(store, models={"*": answering}) as runner:
        result = await to_its_end(runner, scene, await runner.resume("r", scene.graph).result())
    assert (result.status, result.output, len(answering.requests)) == ("finished", scene.output, scene.calls)
