"""`graphengine run --estimate`: the expected cost before a run, which calls no model and records nothing."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from graphengine.cli.main import main
from graphengine.cli.new import names
from tests.cli.programs import ROOT, document

pytest.importorskip("genai_prices")

PLAIN = """
from graphengine import END, START, Graph
from pydantic import BaseModel

class State(BaseModel):
    text: str = ""

def publish(text: str) -> str:
    raise AssertionError("it was called")

graph = Graph("plain", State)
graph.add_node("publish", publish, writes="text")
graph.add_path(START, "publish", END)
"""

TALK = """
from graphengine import END, START, Agent, Graph, Settings
from pydantic import BaseModel

class State(BaseModel):
    text: str = ""

MODELS = {"default": {"*": "placeholder"}}
graph = Graph("talk", State)
graph.add_node("one", Agent("one", prompt="Say {text}", LIMIT), writes="text")
graph.add_node("two", Agent("two", prompt="Say {text}", LIMIT), writes="text")
graph.add_path(START, "one", "two", END)
"""


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Run the command line in this process and the project; return its output."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "path", [*sys.path])
    for name in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)

    def call(*words: str) -> str:
        done = CliRunner().invoke(main, ["run", *words, "--estimate", "--store", str(tmp_path / "runs.db")])
        assert done.exit_code == 0, done.output
        assert not (tmp_path / "runs.db").exists()
        return done.stdout

    return call


@pytest.mark.parametrize("models", ["anthropic", "openai"])
@pytest.mark.parametrize("name", sorted({*names(), "line"}))
def test_every_workflow_takes_models_and_is_estimated_without_a_key(
    name: str, models: str, command: Callable[..., str]
) -> None:
    """The most that each agent may cost is known; the cost too, where rules stood in for all of the answers."""
    found = document(command(name, "--model", models, "--json"))
    assert (found["unknown"], bool(found["agents"])) == ("", True)
    assert all(row["model"].startswith(f"{models}:") and row["calls"] for row in found["agents"])
    assert 0 < found["most_usd"] < 5
    assert found["cost_usd"] is None or 0 < found["cost_usd"] <= found["most_usd"]


def test_a_table_shows_each_agent_and_the_sum(command: Callable[..., str]) -> None:
    """The writer has the strong model of the set; the last lines say how it was counted."""
    lines = command("review_loop", "--model", "anthropic").splitlines()
    (writer,) = (line for line in lines if line.startswith("writer"))
    assert "anthropic:claude-opus-5-5" in writer
    assert lines[-3].startswith("expected cost: about 0.0")
    assert "visits and" in lines[-2]
    assert "models may need more calls" in lines[-2]
    assert lines[-1].startswith("no cap is set")
    capped = command("review_loop", "--model", "anthropic", "--limit", "cost_usd=2").splitlines()
    assert capped[-1].startswith("capped at 2.0000 USD")


def test_a_run_that_waits_is_counted_until_it_waits(command: Callable[..., str]) -> None:
    """Nothing is published in a rehearsal."""
    assert "what follows the answer is not included" in command("content_pipeline", "--model", "openai")


def test_the_price_is_that_of_the_address(command: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The listed prices are not those of a proxy that the environment names."""
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:9")
    mine = "anthropic:claude-haiku-4-5"
    assert f"because the price of {mine} is unknown" in command("handoff", "--model", mine)


def test_an_unknown_price_is_said_to_be_unknown(command: Callable[..., str]) -> None:
    """The tokens are shown, the cost is not 0."""
    mine = "openai-chat:mine@http://127.0.0.1:9/v1"
    shown = command("handoff", "--model", mine)
    assert f"expected cost: unknown, because the price of {mine} is unknown" in shown
    assert document(command("handoff", "--model", mine, "--json"))["cost_usd"] is None


def test_rules_cost_nothing(command: Callable[..., str]) -> None:
    """Rules and placeholders cost nothing, and without --model the line says how to name models."""
    for words in (("handoff",), ("handoff", "--model", "placeholder")):
        assert "expected cost: 0 USD, since no language model answers; name models with --model" in command(*words)


def test_a_placeholder_has_no_expected_cost(command: Callable[..., str], tmp_path: Path) -> None:
    """Only the most that the answers may cost is shown; without a limit of their length not even that."""
    file = tmp_path / "talk.py"
    for limit, last in (
        ("settings=Settings(max_tokens=1000)", "expected cost: at most 0.0"),
        ("", "because one, two has no max_tokens"),
    ):
        file.write_text(TALK.replace("LIMIT", limit))
        lines = command(str(file), "--model", "anthropic:claude-haiku-4-5")
        assert last in lines
        assert "about" not in lines


def test_later_questions_hold_the_longest_answers_before(command: Callable[..., str], tmp_path: Path) -> None:
    """The second agent is asked about up to 1,000 tokens that the first may have written."""
    file = tmp_path / "talk.py"
    file.write_text(TALK.replace("LIMIT", "settings=Settings(max_tokens=1000)"))
    found = document(command(str(file), "--model", "anthropic:claude-haiku-4-5", "--json"))
    first, second = found["agents"]
    assert first["input_tokens"] < 1000 <= second["input_tokens"]
    assert (found["cost_usd"], first["cost_usd"], first["output_tokens"]) == (None, None, 1000)


def test_a_graph_that_may_have_effects_is_not_rehearsed(tmp_path: Path, command: Callable[..., str]) -> None:
    """Its functions are not called, and the cost is unknown."""
    file = tmp_path / "plain.py"
    file.write_text(PLAIN)
    assert 'plain.py has no MODELS["default"]' in command(str(file))
