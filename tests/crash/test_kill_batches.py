"""A process dies at every step of a batch: each question is answered and paid once, and the run ends all the same."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.kit import forks
from tests.models.batch_server import BatchServer

PROGRAM: Final = Path(__file__).with_name("batch_victim.py")
POINTS: Final = ("join", "submit", "submitted", "ended", "answers")
SINGLE: Final = (
    [(api, point) for api in ("anthropic", "openai", "openai-chat") for point in POINTS]
    if os.environ.get("CRASH_POINTS") == "all"
    else [("anthropic", "submitted"), ("openai-chat", "submitted")]
)
ANSWERS: Final = "ONE, TWO EXPIRES, THREE, FOUR ERRORS"
COST: Final = 2 * 0.0015 + 2 * 0.003
"""Two answers at the price of a batch, and two that the batch did not have at the price of a call."""


@pytest.fixture(scope="module")
def server() -> Iterator[BatchServer]:
    """Return a server with both batch APIs."""
    made = BatchServer()
    yield made
    made.stop()


@pytest.mark.parametrize(
    ("api", "deaths"),
    [
        ("anthropic", ["join", "submit", "ended", "answers"]),
        ("openai", ["join", "submit", "submitted", "ended", "answers"]),
        *((api, [point]) for api, point in SINGLE),
    ],
    ids=lambda each: "-".join(each) if isinstance(each, list) else each,
)
def test_a_batch_is_paid_once(api: str, deaths: list[str], server: BatchServer, tmp_path: Path) -> None:
    """A batch is paid once if killed before or after each request; an item without an answer is asked alone, once."""
    server.forget()

    def life(die: str) -> tuple[int, str, str]:
        words = (str(tmp_path / "runs.db"), server.url, api, *([die] if die else []))
        done = forks.run(PROGRAM, *words, loads=forks.SDKS)
        return done.returncode, done.stdout.strip(), done.stderr

    for die in deaths:
        code, _, errors = life(die)
        assert code == -9, errors
    code, output, errors = life("")
    assert (code, output) == (0, f"finished 4 {COST:.6f} {ANSWERS}"), errors
    assert set(server.paid.values()) == {1}
    assert +server.single == {"two expires": 1, "four errors": 1}
    assert [len(batch) for batch in server.batches.values()] == [4]
