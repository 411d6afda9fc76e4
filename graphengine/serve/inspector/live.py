"""The activity of a run between two steps: the nodes at work, and the text of model calls while it is streamed.

Live events are not recorded, and no other process can read them. Therefore only runs that the inspector itself drives
have them. A stream first sends a page the whole text, and then the new pieces of each text.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

from graphengine.agents.live_events import AnswerReset, TextDelta
from graphengine.kernel.extension import NodeBegan, StepRecorded
from graphengine.kernel.reader import AttemptEnded, Recorded
from graphengine.serve.large_values import MOST_OF_VALUE
from graphengine.serve.read_documents import Doing, LiveText

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphengine.kernel.extension import Event
    from graphengine.records.base_documents import Error


@dataclass(slots=True)
class Text:
    """The text of one running model call so far.

    Attributes:
        number: A unique number. The next call of the same agent at the same node has another number.
        path: The path of the node.
        agent: The name of the agent.
        text: The last characters of the text. The whole answer is recorded later.
        length: The number of characters of the whole text.
    """

    number: int
    path: str
    agent: str
    text: str = ""
    length: int = 0

    def add(self, piece: str) -> None:
        """Add a piece."""
        self.text = (self.text + piece)[-MOST_OF_VALUE:]
        self.length += len(piece)

    def after(self, sent: int) -> LiveText:
        """Return the text without the characters that were sent."""
        begin = max(sent, self.length - len(self.text))
        rest = self.text[len(self.text) - (self.length - begin) :] if begin < self.length else ""
        return LiveText(self.number, self.path, self.agent, begin, rest)


class LiveRun:
    """The current activity of a run.

    Attributes:
        nodes: The nodes at work, by path.
        texts: The texts of the running calls, by node and agent.
        trouble: Why the run could not be driven further; None if nothing is wrong.
        is_driven: Whether the run is still driven in this process.
    """

    def __init__(self) -> None:
        self.nodes: dict[str, NodeBegan] = {}
        self.texts: dict[tuple[str, str], Text] = {}
        self.trouble: Error | None = None
        self.is_driven = True
        self._numbers = count(1)

    def feed(self, event: Event) -> None:
        """Apply the next event."""
        match event:
            case TextDelta(path, agent, text):
                if (path, agent) not in self.texts:
                    self.texts[path, agent] = Text(next(self._numbers), path, agent)
                self.texts[path, agent].add(text)
            case AnswerReset(path, agent):
                self.texts.pop((path, agent), None)
            case NodeBegan():
                self.nodes[event.path] = event
                self._end(event.path)
            case StepRecorded(_, step) if isinstance(step.data, Recorded) and step.data.by:
                self.texts.pop((step.path, step.data.by["agent"]), None)
            case StepRecorded(_, step) if isinstance(step.data, AttemptEnded) or step.kind == "waiting":
                self.nodes.pop(step.path, None)
                self._end(step.path)
            case _:
                pass

    def _end(self, path: str) -> None:
        for key in [key for key in self.texts if key[0] == path]:
            del self.texts[key]

    def document(self, sent: Mapping[int, int]) -> Doing:
        """Return the nodes at work, and the texts without the characters that were sent, by the number of the text."""
        texts = [each.after(sent.get(each.number, 0)) for each in self.texts.values()]
        return Doing([*self.nodes.values()], texts, self.trouble, self.is_driven)


__all__ = ["LiveRun", "Text"]
