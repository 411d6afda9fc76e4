"""The writers' room over the real wires of two providers: the cost of an outline; and the room on the command line.

No provider counted these tokens: the local server reports what each test assumes. Prices are those of genai-prices.
"""

import json
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import pytest
from click.testing import CliRunner

from graphengine import Graph, Limits, Result, Runner
from graphengine.cli.main import main
from graphengine.history.usage import summed
from graphengine.models.base import KnowsPrices
from graphengine.models.names import model_of
from graphs.writers_room import MODELS, ROLES, Episode, example, graph, network_exec, writers_room
from tests.cli.programs import ROOT, document
from tests.conformance.model_scenes import Counted, Received, Says
from tests.kit.extras import skip_without
from tests.models.acts import Raw
from tests.models.edge_server import EdgeServer
from tests.models.wire_messages import MessagesWire
from tests.models.wire_responses import ResponsesWire

skip_without("anthropic", "openai", "genai_prices")

pytestmark = pytest.mark.filterwarnings("ignore:The model 'claude:DeprecationWarning")  # the text's are of 2025

SONNET: Final = "anthropic:claude-sonnet-4-20250514"  # 3 USD for a million tokens of questions, 15 for one of answers
HAIKU: Final = "anthropic:claude-3-5-haiku-20241022"  # 0.80 and 4
TEXTS_MODELS: Final = {"showrunner": SONNET, "staff_writer": SONNET, "*": HAIKU}
SENIOR: Final = ("showrunner", "staff_writer")
BYTES_A_TOKEN: Final = 4  # English prose

Count = Callable[[str, Received, str], Counted]


def role_of(received: Received) -> str:
    """Return the role of a request; for the outline "outline"."""
    if "The room is done." in received.turns[-1].text:
        return "outline"
    return next(
        agent.name for agent in (*ROLES, network_exec) if received.system.startswith(str(agent.system).split("\n")[0])
    )


@pytest.fixture(scope="module")
def said() -> Mapping[str, Sequence[str]]:
    """Return each role's answers, round by round, and the outline of two rounds."""
    read = json.loads((Path(__file__).parent / "room_answers.json").read_text("utf-8"))
    return {**read, "outline": [json.dumps(each) for each in read["outline"]]}


Serve = Callable[[Count], Counter[str]]


@pytest.fixture
def serve(provider: EdgeServer, said: Mapping[str, Sequence[str]]) -> Serve:
    """Let the server answer from room_answers.json, with these token counts; return the calls of each role."""

    def begin(count: Count) -> Counter[str]:
        asked = Counter[str]()

        def answer(received: Received) -> Raw:
            role = role_of(received)
            text = said[role][asked[role]]
            asked[role] += 1
            says = Says(text, counted=count(role, received, text))
            wire = MessagesWire() if "claude" in str(received.body["model"]) else ResponsesWire()
            return Raw(body={**wire.whole(says), "model": received.body["model"]})  # it sets the price

        provider.answer(answer)
        return asked

    return begin


async def run(room: Graph[Episode], models: Mapping[str, str] | None = None) -> Result[Episode]:
    """Run the example of a room, with two rounds."""
    async with Runner(models=dict(models or {})) as runner:
        return await runner.start(room, example()).result()


async def test_a_room_over_two_wires_is_counted_and_priced(serve: Serve) -> None:
    """Seniors at one provider, the others at another; each call is in the usage once, under its role and model."""
    asked = serve(lambda role, received, text: Counted(input_tokens=1000, output_tokens=100))
    models = {"showrunner": SONNET, "staff_writer": SONNET, "*": "openai:gpt-5-mini"}
    async with Runner(models=models) as runner:
        result = await runner.start(graph, example()).result()
        rows = await runner.spending(result.run_id)
    assert asked == {"showrunner": 2, "staff_writer": 2, "script_editor": 2, "continuity": 2, "outline": 1}
    assert result.state.outline is not None
    assert not result.state.outline.made_by_rules
    assert (result.usage.calls, result.usage.offline_calls) == (9, 0)
    assert (result.usage.input_tokens, result.usage.output_tokens) == (9000, 900)
    by_model = summed(rows, key=lambda row: row.model)
    assert {name: row["calls"] for name, row in by_model.items()} == {SONNET: 5, "openai:gpt-5-mini": 4}
    assert by_model[SONNET]["cost_usd"] == pytest.approx(5 * (1000 * 3 + 100 * 15) / 1e6)


def a_call(senior: Counted, support: Counted, outline: Counted) -> Count:
    """Return token counts for each kind of call."""
    return lambda role, received, text: outline if role == "outline" else senior if role in SENIOR else support


async def test_eight_short_calls_cost_as_documented(serve: Serve) -> None:
    """Assume 400 tokens per question, answers of 180 by the seniors and of 70 by the others, and a free outline.

    Four calls of each at the text's prices cost 0.0156 and 0.0024 USD, which is its 0.018.
    """
    serve(a_call(Counted(400, output_tokens=180), Counted(400, output_tokens=70), Counted(0, output_tokens=0)))
    result = await run(writers_room(models=TEXTS_MODELS))
    assert result.usage.calls == 4 * 2 + 1
    assert result.usage.cost_usd == pytest.approx(0.018)


async def test_nine_calls_cost_as_much_with_shorter_views(serve: Serve) -> None:
    """Assume questions of 250 tokens, views of 90, and an outline of 370 from a question of 600: 0.01799 USD."""
    serve(
        a_call(Counted(250, output_tokens=90), Counted(250, output_tokens=90), Counted(600, output_tokens=370)),
    )
    result = await run(writers_room(models=TEXTS_MODELS))
    assert result.usage.cost_usd == pytest.approx(0.018, abs=0.0001)


def by_bytes(role: str, received: Received, text: str) -> Counted:
    """Count tokens by the bytes of the real request and answer; the outline's schema is part of the question."""
    asked = (
        received.system
        + "".join(turn.text for turn in received.turns)
        + (str(received.schema) if received.schema else "")
    )
    del role
    return Counted(input_tokens=len(asked.encode()) // BYTES_A_TOKEN, output_tokens=len(text.encode()) // BYTES_A_TOKEN)


@pytest.mark.parametrize(
    ("models", "usd"),
    [
        (TEXTS_MODELS, 0.031),
        ({"*": SONNET}, 0.040),
        ({"*": HAIKU}, 0.011),
        (MODELS["anthropic"], 0.038),
    ],
    ids=["the text's", "all senior", "all cheap", "MODELS"],
)
async def test_the_cost_of_the_actual_prompts(serve: Serve, models: Mapping[str, str], usd: float) -> None:
    """Estimate from the example's real questions and the rules' answers, at four bytes a token.

    That is 9 calls, 6,400 tokens of questions and 1,400 of answers. Cheap models for the two reviewing roles cost a
    fifth less than senior ones for all.
    """
    serve(by_bytes)
    result = await run(graph, models)
    assert result.usage.input_tokens == pytest.approx(6400, rel=0.05)
    assert result.usage.output_tokens == pytest.approx(1400, rel=0.05)
    assert result.usage.cost_usd == pytest.approx(usd, rel=0.05)


@pytest.mark.parametrize(("roles", "rounds"), [(4, 1), (4, 3), (5, 2), (5, 3)])
async def test_costs_grow_with_roles_and_rounds(serve: Serve, roles: int, rounds: int) -> None:
    """The views of all roles and rounds have one price, and so has the outline: here a cent each."""
    serve(lambda role, received, text: Counted(input_tokens=10_000, output_tokens=500))
    room = writers_room([*ROLES, network_exec][:roles], rounds=rounds, converged=1.1, models={"*": HAIKU})
    result = await run(room)
    assert result.usage.cost_usd == pytest.approx((roles * rounds + 1) * 0.01)


async def test_a_limit_on_costs_stops_between_two_calls(serve: Serve) -> None:
    """Nothing is lost: with a higher limit the room continues, and no view is paid twice."""
    asked = serve(lambda role, received, text: Counted(input_tokens=10_000, output_tokens=500))
    async with Runner(models={"*": HAIKU}) as runner:
        stopped = await runner.start(graph, example(), run_id="r", limits=Limits(cost_usd=0.05)).result()
        assert stopped.status == "stopped"
        assert stopped.usage.cost_usd == pytest.approx(sum(asked.values()) * 0.01)
        result = await runner.resume(graph, "r", limits=Limits(cost_usd=0.5)).result()
    assert (result.status, asked.total()) == ("finished", 9)
    assert result.usage.cost_usd == pytest.approx(0.09)


async def test_prices_are_known_or_reported_as_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """This covers our sets and the text's models; the text spells one of them in a way that no list has."""
    monkeypatch.delenv("ANTHROPIC_BASE_URL", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    names = {name for models in (*MODELS.values(), TEXTS_MODELS) for name in models.values()}
    known = {}
    for name in (*names, "anthropic:claude-haiku-3-5-20241022"):
        model = model_of(name)
        assert isinstance(model, KnowsPrices)
        known[name] = await model.knows_price()
    assert {name for name, there in known.items() if not there} == {"anthropic:claude-haiku-3-5-20241022"}


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Run the command line in this process and project; return its output or error."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "path", [*sys.path])

    def call(*words: str) -> str:
        done = CliRunner().invoke(main, [*words, "--db", str(tmp_path / "runs.db")])
        assert done.exit_code == 0, done.output
        return done.stdout

    return call


def test_a_terminal_gives_premise_tone_rounds_and_length(command: Callable[..., str]) -> None:
    """They are set by --input alone, and the page without a model has them."""
    page = command(
        *("run", "writers_room", "--input", "premise=Ann finds a ledger. Episode 2 of 6.", "--input", "tone=very dry"),
        *("--input", "rounds=3", "--input", "minutes=22", "--input", "acts=2"),
    )
    assert "- Premise: Ann finds a ledger. Episode 2 of 6.\n- Tone: very dry\n- Length: 22 minutes" in page
    assert "a cold open and 2 acts" in page
    assert "At most 13 calls: 4 roles in 3 rounds" in page


def test_a_terminal_gives_a_model_to_one_role(serve: Serve, command: Callable[..., str]) -> None:
    """The others have no view; the result has rounds, roles, calls and cost."""
    asked = serve(lambda role, received, text: Counted(input_tokens=1000, output_tokens=100))
    made = document(command("run", "writers_room", "--model", f"showrunner={SONNET}", "--json"))
    assert asked == {"showrunner": 2, "outline": 1}
    assert (made["usage"]["calls"], made["usage"]["offline_calls"]) == (9, 6)
    assert made["usage"]["cost_usd"] == pytest.approx(3 * (1000 * 3 + 100 * 15) / 1e6)
    assert (made["state"]["roles"], made["state"]["rounds_held"]) == ([agent.name for agent in ROLES], 2)
    assert made["output"].startswith("# Episode 4 of 6: ")


def test_a_set_of_models_is_taken_by_its_name(serve: Serve, provider: EdgeServer, command: Callable[..., str]) -> None:
    """It has strong models for the showrunner and the writer, a cheap one for the others."""
    serve(lambda role, received, text: Counted())
    command("run", "writers_room", "--model", "anthropic")
    used = Counter((role_of(received), f"anthropic:{received.body['model']}") for received in provider.received())
    strong, cheap = MODELS["anthropic"]["showrunner"], MODELS["anthropic"]["*"]
    assert used == {
        ("showrunner", strong): 2,
        ("staff_writer", strong): 2,
        ("outline", strong): 1,
        ("script_editor", cheap): 2,
        ("continuity", cheap): 2,
    }


def test_a_room_of_ones_own_is_a_file_of_three_lines(tmp_path: Path, command: Callable[..., str]) -> None:
    """It has another role, tone and number of rounds, and runs like the bundled one."""
    file = tmp_path / "finale.py"
    file.write_text(
        "from graphs.writers_room import ROLES, example, network_exec, writers_room\n\n"
        'graph = writers_room([*ROLES, network_exec], rounds=3, tone="grave")\n'
    )
    page = command("run", str(file), "--input", "premise=A cop shot a cop.")
    assert "- Tone: grave" in page
    assert "### network_exec" in page
    assert "At most 16 calls: 5 roles in 3 rounds" in page
