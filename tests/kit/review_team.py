"""The team of the review loop as a model's server plays it: two of them are asked at once, in no fixed order."""

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Final

from graphengine.testing.model_scenes import Heard, Scene
from graphs.review_loop import Article
from nodes.review.doubts import doubt, merge
from nodes.review.researcher import research
from nodes.review.reviewer import review
from nodes.review.writer import write

QUESTIONS: Final[Mapping[str, str]] = {
    "researcher": "What do these sources say",
    "sceptic": "What limits do these sources name",
    "writer": "Last draft:",
    "reviewer": "Earlier reviews:",
}
"""What stands in the first question to each, and in no other's."""


class Team:
    """Answers calls by who is asked, each from a list of their own; for `EdgeServer.answer`.

    Args:
        scenes: For each agent, by name, the answers in order.
    """

    def __init__(self, scenes: Mapping[str, Iterable[Scene]]) -> None:
        self._left = {name: deque(each) for name, each in scenes.items()}

    def __call__(self, heard: Heard) -> Scene:
        """The next answer of whoever is asked."""
        return self._left[asked(heard)].popleft()

    @property
    def left(self) -> int:
        """How many answers nobody asked for."""
        return sum(len(each) for each in self._left.values())


def asked(heard: Heard) -> str:
    """Who of the team a call is for."""
    (name,) = (name for name, question in QUESTIONS.items() if question in heard.turns[0].text)
    return name


def answers(given: Article) -> dict[str, list[str]]:
    """What the rules say to a task, as models would write it: a draft that is sent back once, and its revision."""
    found, against = research(given.task, given.sources), doubt(given.task, given.sources)
    findings = merge(found, against, [])
    first = write(given.task, findings, given.word_budget, [], "")
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
