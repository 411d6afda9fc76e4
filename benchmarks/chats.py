"""Conversations of hundreds of turns: the bytes that they take, and the CPU time of a turn as they grow."""

from __future__ import annotations

import random
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.measure import MILLI, Figure, Outcome, Settings
from graphengine import Agent, Runner, ScriptedModel, Window
from graphengine.databases.sqlite import SQLiteStore

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_AT: Final = (50, 250, 500)
_AROUND: Final = 20
_CHARACTERS: Final = 2_000
_SUMMARISE: Final = "older part of a conversation"
"""What a question for a summary has."""


async def chats(settings: Settings) -> Outcome:
    """This program measures the CPU time of a turn in conversations of 500 turns, in SQLite at NORMAL.

    Each turn has a question of 2 KB and an answer of 2 KB. The rows compare three ways to keep a conversation:

    - With `after=`, each turn is a run of its own, which begins with the state of the last one.
    - With `chat=`, all turns are sent to one run, which waits for them.
    - A `Window` of 8,000 tokens limits what is sent to the model. Without a `Window` ("all sent"), the model receives
      the whole conversation.

    Each time in this table is the CPU time that one turn of a conversation takes in the process with its threads, as
    the median of 20 turns. For example, the row "turn 50" is the median of the turns 31 to 50. The row "bytes / text"
    shows how much larger the database is than its texts: it is the size of the closed database, divided by the size of
    all questions and answers in UTF-8.
    """
    at = [settings.count(turn, 5 * number) for number, turn in enumerate(_AT, 1)]
    figures: dict[str, Figure] = {}
    ratios: dict[str, float] = {}
    for name, make, window in (("after=", _sequel, True), ("after=, all sent", _sequel, False), ("chat=", _chat, True)):
        ratio, times = await _held(make, at, Window(8_000, keep=20) if window else None)
        figures |= {f"{name} {turn}": Figure(f"{name}: turn {turn}", "ms", tuple(times[turn])) for turn in at}
        figures[f"{name} size"] = Figure(f"{name}: bytes / text", "times", (ratio,))
        first, *_, last = (figures[f"{name} {turn}"].median for turn in at)
        ratios[f"{name}: the last turn against turn {at[0]}"] = last / first
    return Outcome("Conversations of 500 turns of 2 + 2 KB", figures, ratios)


def _sequel(runner: Runner, agent: Agent[Any, Any]) -> Callable[[int, str], Awaitable[Any]]:
    async def turn(number: int, text: str) -> None:
        last = f"t{number - 1}" if number else None
        await runner.run(agent, question=text, run_id=f"t{number}", after=last)

    return turn


def _chat(runner: Runner, agent: Agent[Any, Any]) -> Callable[[int, str], Awaitable[Any]]:
    async def turn(number: int, text: str) -> None:  # noqa: ARG001 - as the other one
        await runner.run(agent, chat="ada", question=text)

    return turn


async def _held(
    make: Callable[[Runner, Agent[Any, Any]], Callable[[int, str], Awaitable[Any]]],
    at: list[int],
    window: Window | None,
) -> tuple[float, dict[int, list[float]]]:
    """Hold a conversation and measure its turns.

    Returns:
        The bytes of the database per byte of text; and for each turn in `at`, the milliseconds of the turns up to it.
    """
    agent = Agent("assistant", messages="messages", window=window)
    said = [(_text(turn, "question"), _text(turn, "answer")) for turn in range(at[-1])]
    answers = iter(answer for _, answer in said)
    model = ScriptedModel(lambda request: "…" if _SUMMARISE in request.messages[-1].text else next(answers))
    times: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "chats.db"
        async with Runner(SQLiteStore(path, synchronous="NORMAL"), models=model) as runner:
            turn = make(runner, agent)
            for number, (question, _) in enumerate(said):
                began = time.process_time()
                await turn(number, question)
                times.append((time.process_time() - began) * MILLI)
                model.requests.clear()
        stored = sum(each.stat().st_size for each in path.parent.glob("chats.db*"))
    text = sum(len(question) + len(answer) for question, answer in said)
    return stored / text, {turn: times[max(turn - _AROUND, 0) : turn] for turn in at}


def _text(turn: int, of: str) -> str:
    chance = random.Random(f"{turn} {of}")  # noqa: S311 - the same texts in each round
    words = " ".join(f"{chance.randrange(10**7):x}" for _ in range(_CHARACTERS // 5))
    return words[:_CHARACTERS]
