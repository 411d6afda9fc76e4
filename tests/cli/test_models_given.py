"""One rule for all commands: the model of `--model`, else the one that the run was given last, else the file's default.

The models are the two that answer without a provider: `rules` and `placeholder`.
"""

import asyncio
import json
from pathlib import Path

import pytest

from graphengine import Runner
from graphengine.cli.project import find
from graphengine.models.scripted import ScriptedModel
from tests.cli.programs import Invoke, call, read_until, start

FLOW = """
from pydantic import BaseModel
from graphengine import END, START, Agent, Graph, ask

MODELS = {"default": {"*": "placeholder"}, "own": {"*": "rules"}}

class Letter(BaseModel):
    q: str = "rain?"
    draft: str = ""
    ok: bool = False
    final: str = ""

def write(q: str) -> str:
    return "by rules"

def polish(draft: str) -> str:
    return "by rules"

graph = Graph("flow", Letter)
graph.add_node("write", Agent("writer", prompt="{q}", by_rules=write), writes="draft")
graph.add_node("person", ask("Send {draft}?", bool), writes="ok")
graph.add_node("polish", Agent("polisher", prompt="{draft}", by_rules=polish), writes="final")
graph.add_path(START, "write", "person", "polish", END)
"""
PARENT = """
from pydantic import BaseModel
from graphengine import END, START, Context, Graph
from flows import flow

class Post(BaseModel):
    child: str = ""

async def start(ctx: Context) -> str:
    return (await ctx.start(flow.graph, {"q": "sun?"}, queue="night")).id

graph = Graph("parent", Post)
graph.add_node("start", start, writes="child")
graph.add_path(START, "start", END)
"""


@pytest.fixture
def flow(project: Path) -> Path:
    """Return the file of a graph in which one agent answers before a question, and one after it."""
    file = project / "flows" / "flow.py"
    file.write_text(FLOW)
    return file


def asked(invoke: Invoke, run_id: str) -> list[str]:
    """Return the models that answered in a run, in their order."""
    state = json.loads(invoke("show", run_id, "--json").stdout)["state"]
    return ["rules" if text == "by rules" else "placeholder" for text in (state["draft"], state["final"]) if text]


@pytest.mark.usefixtures("flow")
@pytest.mark.parametrize(
    ("begun", "continued", "models"),
    [
        ((), (), ["placeholder", "placeholder"]),
        (("--model", "rules"), (), ["rules", "rules"]),
        (("--model", "own"), (), ["rules", "rules"]),
        (("--model", "writer=rules"), (), ["rules", "placeholder"]),
        (("--model", "rules"), ("--model", "placeholder"), ["rules", "placeholder"]),
        (("--model", "rules"), ("--model", "polisher=placeholder"), ["rules", "placeholder"]),
        (("--model", "rules"), ("--model", "default"), ["rules", "placeholder"]),
    ],
)
def test_an_answer_continues_with_the_models_of_the_run(
    invoke: Invoke, begun: list[str], continued: list[str], models: list[str]
) -> None:
    """An explicit model comes first, then what the run was begun with, then the default of the file."""
    assert invoke("run", "flow", "--run-id", "r", *begun).exit_code == 3
    done = invoke("answer", "r", "yes", *continued)
    assert (done.exit_code, asked(invoke, "r")) == (0, models), done.stderr


@pytest.mark.usefixtures("flow")
def test_a_resume_with_another_model_is_what_the_next_command_continues_with(invoke: Invoke) -> None:
    """The run was given it last."""
    invoke("run", "flow", "--run-id", "r")
    invoke("resume", "r", "--model", "rules", "--pause-before", "polish")
    invoke("answer", "r", "yes", "--wait", "person")
    assert invoke("answer", "r", "yes").exit_code == 0
    assert asked(invoke, "r") == ["placeholder", "rules"]


def test_a_worker_takes_each_run_with_its_models(flow: Path, invoke: Invoke, project: Path) -> None:
    """What `run --queue` was given is recorded, also for the children of the run; others have the file's default."""
    flow.write_text(
        FLOW.replace('"write", "person", "polish"', '"write", "polish"').replace('graph.add_node("person', "#")
    )
    (flow.parent / "parent.py").write_text(PARENT)
    for run_id, graph, *given in (
        ("a", "flow", "--model", "rules"),
        ("b", "flow"),
        ("p", "parent", "--model", "rules"),
    ):
        assert invoke("run", graph, "--queue", "night", "--run-id", run_id, *given).exit_code == 0
    process = start(project, "worker", "--poll", "0.05", "--queue", "night")
    read_until(process, "worker for ")
    call(project, "watch", "p")
    child = json.loads(invoke("show", "p", "--json").stdout)["state"]["child"]
    for run_id in ("a", "b", child):
        call(project, "watch", run_id)
    assert [asked(invoke, run_id) for run_id in ("a", "b", child)] == [
        ["rules"] * 2,
        ["placeholder"] * 2,
        ["rules"] * 2,
    ]


def test_a_model_that_a_program_made_is_not_made_again(flow: Path, invoke: Invoke, project: Path) -> None:
    """Nothing stands in for it unasked: the run says which it was, and continues with one that is named."""
    graph = find(str(flow)).graph

    async def begin() -> None:
        async with Runner(project / "checkpoints" / "runs.db", models=ScriptedModel(["scripted text"])) as runner:
            await runner.start(graph, run_id="r").result()

    asyncio.run(begin())
    refused = invoke("answer", "r", "yes")
    assert refused.exit_code == 1
    assert "the run started with the model 'scripted', an object of the program that started it" in refused.stderr
    assert invoke("resume", "r", "--model", "rules").exit_code == 0


def test_a_run_without_any_model_is_refused_before_it_is_recorded(flow: Path, invoke: Invoke) -> None:
    """All agents that lack one are named; a queued run is left to the worker."""
    flow.write_text(
        FLOW.replace('MODELS = {"default": {"*": "placeholder"}, ', "MODELS = {").replace(", by_rules=", ", check=")
    )
    refused = invoke("run", "flow", "--run-id", "r")
    assert (refused.exit_code, refused.stderr.count("no_model")) == (2, 2), refused.stderr
    assert invoke("show", "r").exit_code == 2


def test_a_worker_warns_of_agents_without_a_model(flow: Path, project: Path) -> None:
    """It works for runs that were given one."""
    flow.write_text(
        FLOW.replace('MODELS = {"default": {"*": "placeholder"}, ', "MODELS = {").replace(", by_rules=", ", check=")
    )
    process = start(project, "worker", "--poll", "0.05")
    warning = " ".join(read_until(process, "worker for ").split())
    assert "agent 'polisher' has no model; this process does not drive runs of 'flow' that were started" in warning
