"""An answer from a handbook, with the passages that it cites; one that does not exist is refused."""

from graphengine import Agent, SyncRunner
from graphengine.agents import result_of

PASSAGES = {1: "Spring tides follow the new and the full moon.", 2: "Neap tides follow the half moons."}


def search(words: str) -> list[str]:
    """Search the handbook."""
    return [f"[{number}] {text}" for number, text in PASSAGES.items() if words.casefold() in text.casefold()]


def cite(text: str, passages: list[int]) -> str:
    """Answer with the numbers of the passages that say it."""
    if not passages or not set(passages) <= PASSAGES.keys():
        raise ValueError(f"cite some of the passages {sorted(PASSAGES)}")
    return f"{text} {passages}"


librarian = Agent("librarian", model="anthropic:claude-haiku-4-5", output=result_of(cite), tools=[search])
with SyncRunner("runs.db") as runner:
    *_, answer = runner.stream(librarian, question="When are spring tides?", run_id="tides")
    print(answer)
