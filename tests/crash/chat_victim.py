"""A program that kills itself while a turn of a conversation fails for good: `chat_victim.py DATABASE LEDGER`.

Each time a child process sends three messages, of which the model refuses the second one, and is killed with SIGKILL at
one of its points: before and after each write to the store. Another process sends them again. Each message must have
its outcome once, whoever is asked for it, and the model may be asked about one again only if a kill came before its
answer was recorded. Prints how many kills there were, and how often the refused message was sent to the model.
"""

import asyncio
import sys
from collections import Counter
from functools import partial
from pathlib import Path

from graphengine import Agent, Runner
from graphengine.agents.chats import TurnFailed, turn_of
from graphengine.databases.sql import SQLStore
from graphengine.models import Request, Response
from tests.crash.in_turn import dies

DATABASE, LEDGER = sys.argv[1], Path(sys.argv[2])
EXPECTED = ["fine 1", "refused", "fine 2"]


class Model:
    """A model that refuses what is bad, and counts what was said before otherwise."""

    name = "model"

    async def answer(self, request: Request) -> Response:
        """Answer, and write the question into the ledger."""
        with LEDGER.open("a", encoding="utf-8") as file:  # noqa: ASYNC230 - a line
            file.write(f"{request.messages[-1].text}\n")
        said = sum(message.role == "user" for message in request.messages)
        is_bad = "bad" in request.messages[-1].text
        return Response("", stop="refused") if is_bad else Response(f"fine {said}", cost_usd=0.0)


AGENT = Agent("agent", model=Model())


async def talk(chat: str) -> list[str]:
    """Send the messages; return what became of each, which is recorded once."""
    found: list[str] = []
    async with Runner(DATABASE) as runner:
        for key, text in (("1", "Hi"), ("2", "bad"), ("3", "Ho")):
            try:
                found.append(await runner.run(AGENT, chat=chat, question=f"{chat} {text}", idempotency_key=key))
            except TurnFailed as failed:
                found.append(str(failed.turn.outcome))
        run = next(run.id for run in await runner.runs(graph="agent-chat", limit=9999) if run.id.endswith(chat))
        turns = [turn_of(step) for step in await runner.history(run)]
    assert [turn.key for turn in turns if turn is not None and turn.outcome is not None] == ["1", "2", "3"], chat
    return found


async def life(chat: str) -> None:
    """Live a life, which may be cut off."""
    assert await talk(chat) == EXPECTED, chat


def main() -> None:
    """Kill at each point until all is done without a death."""
    kill_at = 1
    while dies(kill_at, SQLStore, ("post", "claim", "append", "release"), partial(life, f"c{kill_at}")):
        asyncio.run(life(f"c{kill_at}"))
        kill_at += 1
    asked = Counter(LEDGER.read_text(encoding="utf-8").splitlines())
    assert max(asked.values()) <= 2, asked  # once more after a kill
    bad = sum(number for text, number in asked.items() if "bad" in text)
    sys.stdout.write(f"{kill_at - 1} kills, {bad} questions\n")


if __name__ == "__main__":
    main()
