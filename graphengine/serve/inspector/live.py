"""The activity of a driven run between two steps: the nodes at work, and the text of model calls as it is streamed.

Live events are not recorded, and other processes cannot read them. Therefore the page shows this activity only for runs
that the inspector itself drives. A stream first sends a page the whole text, and then only the new pieces of each text.
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
    """The text that a running model call has streamed so far.

    Attributes:
        number: A unique number. The next call of the same agent at the same node has another number.
        path: The path of the node.
        agent: The name of the agent.
        text: The last `MOST_OF_VALUE` characters of the text. The whole answer is recorded later.
        length: The number of characters of the whole text.
    """

    number: int
    path: str
    agent: str
    text: str = ""
    length: int = 0

    def add(self, piece: str) -> None:
        self.text = (self.text + piece)[-MOST_OF_VALUE:]
        self.length += len(piece)

    def after(self, sent: int) -> LiveText:
        """Return the part of the text that comes after the first `sent` characters."""
        begin = max(sent, self.length - len(self.text))
        rest = self.text[len(self.text) - (self.length - begin) :] if begin < self.length else ""
        return LiveText(self.number, self.path, self.agent, begin, rest)


class LiveRun:
    """What a run that this process drives does between two recorded steps: its running nodes and model calls.

    Attributes:
        nodes: The nodes at work, by path.
        texts: The texts of the running model calls, by node and agent.
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
        """Return the running nodes of a run, and the streamed text that the page does not have yet.

        Args:
            sent: How many characters of each text the page already has. The key is the number of the text.
        """
        texts = [each.after(sent.get(each.number, 0)) for each in self.texts.values()]
        return Doing([*self.nodes.values()], texts, self.trouble, self.is_driven)


__all__ = ["LiveRun", "Text"]
