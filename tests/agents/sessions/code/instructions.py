from typing import TYPE_CHECKING

from pydantic import BaseModel, SecretStr

from graphengine import END, START, Agent, Graph, Limits, ScriptedModel
from graphengine.agents import Hooks
from graphengine.agents.asked import turn_of
from graphengine.history.load import graph_spec_of, load_snapshot
from graphengine.records.replay.replay import replay

if TYPE_CHECKING:
    from tests.kit.given import runner


class Piece(BaseModel):
    task: str = "tides"
    draft: str = ""
    final: str = ""


class Held(BaseModel):
    key: SecretStr
    draft: str = ""


def asked(request):
    """Return the first line of the instructions that the model got."""
    return request.system.split("\n")[0]


def flow(system="Write short.", **options):
    """Return a writer, and an editor who has instructions of its own."""
    made, scripted = Graph("write", Piece), ScriptedModel(asked)
    writer = Agent("writer", system=system, prompt="On {task}", model=scripted, **options)
    made.add_node("draft", writer, writes="draft")
    made.add_node("edit", Agent("editor", system="Edit.", prompt="Edit {draft}", model=scripted), writes="final")
    made.add_path(START, "draft", "edit", END)
    return made


TOLD = []


def note_told(request):
    TOLD.append(asked(request))
    return "Done."


HELPER = Agent("helper", system="Help.", prompt="Go", model=ScriptedModel(note_told))


class Helped(Hooks):
    async def around_model(self, request, call):
        await HELPER.run()
        return await call(request)


FLOW = flow()
OF_FIELDS = flow(lambda task: f"Write of {task}.")
HELD = Graph("held", Held, secret_key="0-0123456789-abcdefghijklmnopqrstuvwxyz")
HELD.add_node("draft", Agent("writer", system="Short.", prompt="Go", model=ScriptedModel(asked)), writes="draft")
HELD.add_path(START, "draft", END)


async def branch(graph, at, parent="r", run_id="other", **options):
    """Return what the agents of a branch were told."""
    result = await runner.branch(parent, graph, at, run_id=run_id, **options).result()
    return f"{result.status}: {result.state.draft} {result.state.final}"


async def turn(run_id="r"):
    """Return the first step that is a recorded turn."""
    return next(each for each in await runner.history(run_id) if each.kind == "recorded")


async def shown(run_id):
    """Return the instructions of a run's first turn as a reader of the run sees them."""
    first, store = await turn(run_id), runner.store
    snapshot = await load_snapshot(store, run_id, first.seq)
    return turn_of(first, snapshot).system.split("\n")[0]
