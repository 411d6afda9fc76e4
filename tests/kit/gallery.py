"""The runs of `checkpoints/gallery/`, one of each bundled workflow: `python -m tests.kit.gallery [FOLDER]`.

Agents answer by rules and take their time by a fake clock, so that the pictures show durations; a person answers after
an hour and a half. The input texts are the beginnings of the examples' own, so that the files stay small. A file is
never overwritten: the pictures of `docs/use/gallery.md` are drawn from it, and tests replay it with the current graphs.
To record a run of a changed graph, remove its file first.
"""

import asyncio
import importlib
import json
import sys
import zlib
from collections.abc import Callable, Mapping
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from pydantic import BaseModel

from graphengine import Graph, Runner, TextFile, __version__
from graphengine.kernel.fake_clock import FakeClock
from graphengine.models.base import Request, Response, RulesModel
from graphengine.models.placeholder import PlaceholderModel
from graphengine.records.export import Exported, export_run, to_json_text
from graphengine.stores.memory import InMemoryStore
from scripts.demo import ANSWERS
from tests.kit.record import BEGAN, FOLDER, clean

GALLERY: Final = FOLDER / "gallery"
MODELS: Final = {"rules": RulesModel, "placeholder": PlaceholderModel}
THINKS_SECONDS: Final = 5400.0
"""The time a person takes to answer."""
NAMES: Final = (
    "blackboard",
    "content_pipeline",
    "content_queue",
    "event_bus",
    "handoff",
    "line",
    "orchestrator",
    "parallel_research",
    "review_loop",
    "writers_room",
)
"""The bundled workflows, as `graphengine graphs` names them."""


class Unhurried(RulesModel):
    """A model that answers by rules or with placeholders and takes a time that depends only on the agent."""

    def __init__(self, clock: FakeClock, model: RulesModel) -> None:
        self._clock = clock
        self._model = model

    async def answer(self, request: Request) -> Response:
        """Return its answer after 1 to 5 seconds."""
        answer = await self._model.answer(request)
        await self._clock.sleep_until(self._clock.now() + 1 + zlib.crc32(request.agent.encode()) % 40 / 10)
        return answer


def graph_of(name: str) -> Graph[Any]:
    """Return a bundled workflow."""
    module = importlib.import_module(f"graphs.{name}")
    graph = module.graph
    assert isinstance(graph, Graph)
    return graph


def shortened(state: Any, texts: int, characters: int) -> Any:
    """Return an example with only its first texts, each cut between paragraphs."""
    if isinstance(state, TextFile):
        return TextFile(path=state.path, text=state.text[: state.text.rfind("\n\n", 0, characters)] + "\n")
    if isinstance(state, BaseModel):
        fields = {name: getattr(state, name) for name in type(state).model_fields}
        return state.model_copy(update=shortened(fields, texts, characters))
    if isinstance(state, dict):
        return {name: shortened(value, texts, characters) for name, value in state.items()}
    if isinstance(state, list):
        some = state[:texts] if state and isinstance(state[0], TextFile) else state
        return [shortened(value, texts, characters) for value in some]
    return state


@dataclass(frozen=True, slots=True)
class Recipe:
    """The changes that make a run small.

    Attributes:
        texts: The number of texts of the example that are read.
        characters: The length of each.
        state: A function that changes the rest of the example's state.
    """

    texts: int = 3
    characters: int = 1000
    state: Callable[[Any], Any] = lambda state: state


def _asked(task: str) -> Callable[[Any], Any]:
    return lambda state: state.model_copy(update={"task": task})


RECIPES: Final[Mapping[str, Recipe]] = {
    "content_queue": Recipe(1, 800),
    "event_bus": Recipe(1),
    "line": Recipe(1, 1000, _asked("What does a commit cost?")),
    "review_loop": Recipe(characters=100_000),  # whole, or the first draft would have all there is
    "orchestrator": Recipe(2, 800, _asked("How does a database recover after a crash?")),
}


async def recorded(name: str) -> Exported:
    """Record a run of a workflow."""
    recipe = RECIPES.get(name, Recipe())
    graph = graph_of(name)
    module = importlib.import_module(f"graphs.{name}")
    state = recipe.state(shortened(module.example(), recipe.texts, recipe.characters))
    store, clock = InMemoryStore(), FakeClock(BEGAN)
    run_id = name
    models = {who: Unhurried(clock, MODELS[model]()) for who, model in module.MODELS["default"].items()}
    async with Runner(store, clock=clock, models=models) as runner:
        result = await runner.start(graph, state, run_id=run_id).result()
        while result.status == "waiting":
            clock.move(THINKS_SECONDS)
            await runner.answer(run_id, json.loads(ANSWERS[name]))
            result = await runner.resume(run_id, graph).result()
        assert result.status == "finished", result
        return clean(await export_run(store, run_id))


def write_files(folder: Path) -> list[str]:
    """Write the missing files and return their names."""
    written = []
    for name in NAMES:
        path = folder / f"{name}.json"
        if not path.exists():
            with TemporaryDirectory() as elsewhere, chdir(elsewhere):  # some workflows write to the current directory
                run = asyncio.run(recorded(name))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(to_json_text(run, __version__), encoding="utf-8")
            written.append(name)
    return written


if __name__ == "__main__":
    sys.stdout.writelines(
        f"{name}\n" for name in write_files(Path(sys.argv[1]).absolute() if len(sys.argv) > 1 else GALLERY)
    )
