"""The team of the review loop as a model server plays it: two of them are called at once, in no fixed order."""

import re
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Final

from graphengine.briefs.doubts import doubt, merge
from graphengine.briefs.researcher import research
from graphengine.briefs.reviewer import review
from graphengine.briefs.writer import write
from graphs.review_loop import Article
from tests.conformance.model_scenes import Received, Scene

QUESTIONS: Final[Mapping[str, str]] = {
    "researcher": "What do these sources say",
    "sceptic": "What limits do these sources name",
    "writer": "Last draft:",
    "reviewer": "Earlier reviews:",
}
"""A text in the first question to each agent, and in no other question."""


class Team:
    """Answers calls by agent, each from a list of its own; for `EdgeServer.answer`.

    Args:
        scenes: For each agent, by name, the answers in order.
    """

    def __init__(self, scenes: Mapping[str, Iterable[Scene]]) -> None:
        self._left = {name: deque(each) for name, each in scenes.items()}

    def __call__(self, received: Received) -> Scene:
        """Return the next answer of the agent that a call is for."""
        return self._left[asked(received)].popleft()

    @property
    def left(self) -> int:
        """The number of answers that were not used."""
        return sum(len(each) for each in self._left.values())


def asked(received: Received) -> str:
    """Return the agent that a call is for."""
    (name,) = (name for name, question in QUESTIONS.items() if question in received.turns[0].text)
    return name


def cut(draft: str) -> str:
    """Return a draft with a third of its claims, as a hasty writer might hand in."""
    lines = draft.split("\n")
    claims = [at for at, line in enumerate(lines) if re.search(r"\[[^\]]+:\d+\]", line)]
    return "\n".join(line for at, line in enumerate(lines) if at not in claims[len(claims) // 3 :])


def answers(given: Article) -> dict[str, list[str]]:
    """Return the rules' answers to a task as a model would write them: a draft that is sent back, and its revision."""
    found, against = research(given.task, given.sources), doubt(given.task, given.sources)
    findings = merge(found, against, [])
    first = cut(write(given.task, findings, given.word_budget, [], ""))
    judged = review(given.task, first, findings, [])
    second = write(given.task, findings, given.word_budget, [judged], first)
    verdict = review(given.task, second, findings, [judged])
    assert judged.score < 7 <= verdict.score
    return {
        "researcher": [found.model_dump_json()],
        "sceptic": [against.model_dump_json()],
        "writer": [first, second],
        "reviewer": [judged.model_dump_json(), verdict.model_dump_json()],
    }
