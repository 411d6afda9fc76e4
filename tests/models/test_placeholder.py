"""The placeholder model: dry runs of any graph, and how they are announced; `values/placeholders.txt` has values."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import pytest
from click.testing import CliRunner, Result
from pydantic import BaseModel, Field

from graphengine import Agent, Runner, web_search
from graphengine.cli.main import main
from graphengine.models import PlaceholderModel
from graphengine.models.errors import ModelUnavailable
from graphengine.stores.memory import InMemoryStore
from graphengine.testing import run_node
from tests.kit.runs import alone

GRAPH = """
from graphengine import END, START, Agent, Graph, value
from graphengine.models import Response
from pydantic import BaseModel

class State(BaseModel):
    text: str = ""
    rounds: int = 0

def search(query: str) -> str:
    raise AssertionError("it was called")

class Paid:
    name = "paid"

    async def answer(self, request):
        return Response("paid for", cost_usd=0.5)

MODELS = {"default": {"*": "placeholder"}, "strong": {"*": Paid()}}
writer = Agent("writer", prompt="Again: {text}", tools=[search])
graph = Graph("talk", State, result="text")
graph.add_node("write", writer, writes={"text": "."})
graph.add_node("count", lambda rounds: rounds + 1, writes="rounds")
graph.add_path(START, "write", "count")
graph.add_edge("count", END, when=value("rounds") == 2)
graph.add_edge("count", "write")
"""
DRY = "dry run: placeholders answer, no model; for answers: --model strong, --model openai-chat:NAME@http"


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Call the command line in this process, next to a file with a graph."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv("COLUMNS", "300")
    Path("talk.py").write_text(GRAPH)
    Path("pyproject.toml").write_text('[tool.graphengine]\ngraphs = ["."]\n')
    return lambda *words: CliRunner().invoke(main, list(words))


def test_a_dry_run_says_so_and_names_the_ways_to_a_model(command: Callable[..., Result]) -> None:
    """Without --model the set "default" answers: said first, last and in the result; no tool is called."""
    done = command("run", "talk.py", "--run-id", "dry")
    assert (done.exit_code, done.stdout) == (0, "[placeholder: writer, call 2]\n")
    lines = done.stderr.splitlines()
    assert [DRY in line for line in (lines[1], lines[-1])] == [True, True]
    assert "2 model calls, all offline" in done.stderr


def test_any_graph_can_be_run_dry(command: Callable[..., Result]) -> None:
    """`--model placeholder` needs nothing in the graph's file; without sets the ways to a model are general."""
    Path("talk.py").write_text(GRAPH.replace("MODELS", "OTHERS"))
    done = command("run", "talk.py", "--model", "placeholder")
    assert done.exit_code == 0, done.output
    assert "for answers: --model anthropic:MODEL, --model openai:MODEL, --model openai-chat:NAME@" in done.stderr


def test_one_agent_of_a_dry_run_can_have_a_model(command: Callable[..., Result]) -> None:
    """`--model WHO=NAME` applies on top of the set "default"; an option for all agents replaces it."""
    assert "has no by_rules= function" in command("run", "talk.py", "--model", "writer=rules").stderr
    assert "has no by_rules= function" in command("run", "talk.py", "--model", "rules").stderr


def test_a_dry_run_is_resumed_dry(command: Callable[..., Result]) -> None:
    """A run in which no language model answered keeps its placeholders."""
    assert command("run", "talk.py", "--run-id", "cut", "--limit", "visits=1").exit_code == 4
    done = command("resume", "cut", "--limit", "visits=9")
    assert done.stdout.startswith("[placeholder: writer, call "), done.output


def test_placeholders_never_continue_what_a_model_began(command: Callable[..., Result]) -> None:
    """A run that was given a model has no default: where only its program can make it, it has to be named."""
    command("run", "talk.py", "--run-id", "cut", "--limit", "visits=1", "--model", "strong")
    refused = command("resume", "cut", "--limit", "visits=9")
    assert "the run started with the model 'paid', an object of the program that started it" in refused.stderr
    assert "placeholder" not in refused.stdout
    assert command("resume", "cut", "--limit", "visits=9", "--model", "strong").stdout == "paid for\n"


class Order(BaseModel):
    """What a tool gets."""

    amount: int = Field(ge=2)
    note: str = "none"


async def test_each_tool_is_called_once_on_demand() -> None:
    """With the smallest arguments, in recorded steps, before the answer; then again for the next question."""
    made: list[object] = []

    def order(order: Order, where: str, tries: int = 3) -> str:
        made.append((order, where, tries))
        return "ordered"

    async def cancel(number: Annotated[int, Field(gt=4)]) -> None:
        made.append(number)

    agent = Agent("buyer", prompt="Buy {what}.", output=list[str], tools=[order, cancel, web_search()])
    async with Runner(InMemoryStore(), models={"*": PlaceholderModel(call_tools=True)}) as runner:
        for calls in (1, 2):
            answer = await runner.run(agent, {"what": f"bread {calls}"})
            assert answer == [f"[placeholder: buyer, call {calls}]"]
    assert made == [
        (Order(amount=2), "[placeholder: buyer, call 1]", 3),
        5,
        (Order(amount=2), "[placeholder: buyer, call 2]", 3),
        5,
    ]


class Endless(BaseModel):
    """A value that must contain another one like it, so that there is none."""

    below: "Endless"


async def test_a_tool_that_no_placeholder_fits_is_said_so() -> None:
    """As for an answer."""

    def follow(first: Endless) -> None:
        """Never be called."""

    agent = Agent("reader", prompt="Read.", tools=[follow], model=PlaceholderModel(call_tools=True))
    with pytest.raises(ModelUnavailable, match="cannot make an answer of the type that agent 'reader' needs"):
        await agent.run()


class Page(BaseModel):
    """A state."""

    text: str = ""


async def test_a_node_alone_calls_tools_with_placeholders() -> None:
    """As in a run."""
    called: list[str] = []

    def read(page: str) -> None:
        called.append(page)

    agent = Agent("reader", prompt="Read.", tools=[read], model=PlaceholderModel(call_tools=True))
    graph = alone(Page, agent, "text", name="reading", node="read")
    await run_node(graph, "read", {})
    assert len(called) == 1
