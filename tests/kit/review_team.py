"""The team of the review loop as a model server plays it."""

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Final

from graphs.review_loop import Article
from nodes.review.agents import Review
from nodes.review.offline import arranged, extracted
from tests.conformance.model_scenes import Received, Scene

QUESTIONS: Final[Mapping[str, str]] = {
    "researcher": "What do these sources say on the task?",
    "writer": "At most 350 words.",
    "reviewer": "Draft:",
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


def answers(given: Article) -> dict[str, list[str]]:
    """Return answers of models to a task, by agent: a draft that is sent back, and its revision."""
    found = extracted(given.task, given.sources, [], "", given.word_budget)
    more = extracted(given.task, given.sources, found.quotations, "", given.word_budget)
    first, second = (arranged(given.task, given.sources, found.quotations, words) for words in (100, given.word_budget))
    rejected = Review(score=5, missing=["What a checkpoint costs"], summary="It says too little.")
    return {
        "researcher": [found.model_dump_json(), more.model_dump_json()],
        "writer": [first, second],
        "reviewer": [rejected.model_dump_json(), Review(score=8, summary="It can be sent.").model_dump_json()],
    }
