"""Ten programs with agents, as they are written with this library: at most 150 lines, durable and streaming.

Each is run against a server of its provider's wire format, first to its end, then killed with -9 in its last call and
run again: what was answered is not asked again.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from graphengine.models.base import ToolCall
from recipes.evaluator_optimizer import Evaluation
from tests.conformance.model_scenes import Received, Says
from tests.kit import forks
from tests.kit.extras import skip_without
from tests.models.conftest import edge, edge_process
from tests.models.edge_server import EdgeServer

skip_without("anthropic", "openai", "genai_prices")

__all__ = ["edge", "edge_process"]
PROGRAMS: Final = Path(__file__).with_name("programs")
PNG: Final = b"\x89PNG\r\n\x1a\n"


class Told(NamedTuple):
    """How a program is run.

    Attributes:
        answers: What its models answer to a conversation with a text; the last one that fits.
        prints: What it prints in the end.
        words: Its arguments.
        typed: What a person types.
    """

    answers: Sequence[tuple[str, str | ToolCall]]
    prints: str
    words: Sequence[str] = ()
    typed: str = ""


def call(name: str, arguments: str, id_: str = "call_1") -> ToolCall:
    """Return a call of a tool."""
    return ToolCall(id=id_, name=name, arguments=arguments)


POOR: Final = Evaluation(verdict="revise", score=4, feedback="Name the moon.").model_dump_json()
GOOD: Final = Evaluation(verdict="accept", score=9).model_dump_json()
CASES: Final[Mapping[str, Told]] = {
    "weather": Told(
        [("umbrella", call("weather", '{"city": "Bern"}')), ("Rain in Bern.", "Yes, it rains.")], "Yes, it rains."
    ),
    "librarian": Told(
        [
            ("When are", call("search", '{"words": "spring tides"}')),
            ("[1] Spring", '{"text": "At new moon.", "passages": [7]}'),
            ("cite some of", '{"text": "At new and full moon.", "passages": [1]}'),
        ],
        "At new and full moon. [1]",
    ),
    "invoice": Told(
        [
            ("Read", '{"number": "7", "rows": {"lamp": "20.10", "bulb": "4.90"}, "total": "24"}'),
            ("add up to 25.00", '{"number": "7", "rows": {"lamp": "20.10", "bulb": "4.90"}, "total": "25.00"}'),
        ],
        "total=Decimal('25.00')",
    ),
    "refunds": Told(
        [
            ("Ada's lamp", call("refund", '{"customer": "Ada", "euros": 30}')),
            ("paid", "Ada has her money back."),
        ],
        "Ada has her money back.",
        typed="yes\n",
    ),
    "chat": Told([("Hello", "Good day, Ada.")], "Good day, Ada.", words=["ada", "1", "Hello, I am Ada."]),
    "analyst": Told(
        [
            ("tea's share", call("query", '{"sql": "SELECT sum(price) FROM sales"}')),
            ("10.0", call("calculate", '{"expression": "2.5 / 10"}', "call_2")),
            ("0.25", "0.25"),
        ],
        "0.25",
    ),
    "desk": Told(
        [
            ("My lamp is broken", call("ask", '{"field": "repairs", "question": "Can a lamp be mended?"}')),
            ("Can a lamp be mended?", "It needs a bulb."),
            ("It needs a bulb.", "You need a bulb."),
        ],
        "You need a bulb.",
    ),
    "readers": Told(
        [("The moon pulls.", "the moon"), ("The sun pulls too.", "the sun"), ("the moon", "Both of them.")],
        "Both of them.",
    ),
    "companion": Told(
        [
            ("I like tea.", call("remember", '{"subject": "drinks", "text": "Ada likes tea."}')),
            ("Remembered.", "Noted."),
            ("What may I drink?", call("recall", '{"query": "likes"}', "call_2")),
            ("Ada likes tea.", "Tea, I think."),
        ],
        "Tea, I think.",
    ),
    "mender": Told(
        [
            ("Explain", "The sea rises."),
            ("How well", POOR),
            ("Name the moon.", "The moon lifts the sea."),
            ("The moon lifts", GOOD),
        ],
        "The moon lifts the sea.",
    ),
}


def test_ten_programs_have_150_lines() -> None:
    """All lines count but for blank ones."""
    found = sorted(PROGRAMS.glob("*.py"))
    assert [file.stem for file in found] == sorted(CASES)
    assert sum(bool(line.strip()) for file in found for line in file.read_text("utf-8").splitlines()) <= 150


class Models:
    """Answers the calls of a program, and counts them; holds the first call of the last kind if it is to be killed."""

    def __init__(self, told: Told, *, holds: bool) -> None:
        self.calls = 0
        self._told, self._holds = told, holds

    def __call__(self, received: Received) -> Says:
        """Return the answer to a conversation."""
        self.calls += 1
        said = "\n".join(turn.text for turn in received.turns)
        fits = [answer for text, answer in self._told.answers if text in said]
        is_last, answer = len(fits) > 0 and fits[-1] is self._told.answers[-1][1], fits[-1]
        held, self._holds = self._holds and is_last, self._holds and not is_last
        return Says(answer, held=held) if isinstance(answer, str) else Says(calls=(answer,), held=held)


def begun(edge: EdgeServer, name: str, folder: Path) -> forks.Started:
    """Start a program in a folder with what it reads."""
    (folder / "invoice.png").write_bytes(PNG)
    with closing(sqlite3.connect(folder / "shop.db")) as shop, shop:
        shop.execute("CREATE TABLE IF NOT EXISTS sales (item TEXT, price REAL)")
        shop.execute("DELETE FROM sales")
        shop.executemany("INSERT INTO sales VALUES (?, ?)", [("tea", 2.5), ("cake", 7.5)])
    variables = {
        "ANTHROPIC_API_KEY": "sk-test-programs",
        "ANTHROPIC_BASE_URL": edge.url,
        "OPENAI_API_KEY": "sk-test-programs",
        "OPENAI_BASE_URL": edge.openai_url,
    }
    program = PROGRAMS / f"{name}.py"
    process = forks.start(program, *CASES[name].words, folder=folder, variables=variables, loads=forks.SDKS)
    process.stdin.write(CASES[name].typed)
    process.stdin.flush()
    return process


@pytest.mark.parametrize("name", CASES)
async def test_a_program_runs_and_goes_on_where_it_was_killed(edge: EdgeServer, tmp_path: Path, name: str) -> None:
    """Its last call alone is repeated, and no tool."""
    for folder in ("whole", "killed"):
        (tmp_path / folder).mkdir()
    edge.answer(whole := Models(CASES[name], holds=False))
    printed, errors = begun(edge, name, tmp_path / "whole").communicate()
    assert CASES[name].prints in printed, errors
    edge.calls.clear()
    edge.answer(killed := Models(CASES[name], holds=True))
    process = begun(edge, name, tmp_path / "killed")
    await edge.arrived(whole.calls)
    process.kill()
    process.communicate()
    again, errors = begun(edge, name, tmp_path / "killed").communicate()
    assert CASES[name].prints in again, errors
    assert killed.calls == whole.calls + 1
    assert "gets 30 EUR" not in again
