"""The expected state of a run of the graph of `round`, derived from its log a second time, without the engine.

A story reads steps one after another, rejects one that cannot happen there, and knows which nodes must then run, the
current waits, the lines of the state and the status of the run.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from graphengine.engine.steps import Step
from tests.kit.facts import said

ARMS = ("left", "question", "nap")
ITEMS = ("check x", "check y")
CRASHES = 3


@dataclass
class Story:
    """A run up to some step.

    Attributes:
        lines: The run's own lines; `arms` has those of the fork's arms, `items` those of the map's.
        visit: The round.
        at: The position of the run itself: `plan`, `fork`, `check` (before the map), `map`, `review`, `end`.
        places: The position of each arm, "" once it arrived.
        waits: Nodes that are parked, with the time when they are due.
        ready: Nodes whose wait is over.
        worked: The result of the recorded work of `left`.
        failed: Nodes that failed and were not started again since.
        crashes: Crashes in a row, by node.
        shared_process: Whether other runs were driven in parallel, where a third crash would give a node up.
        done: The recorded nodes, items and `left work`, with their visits.
        words: Every recorded word of the machine, to detect duplicates.
        heard: Messages in the order they were delivered; `mailbox` has those that were not received yet.
        ended: `stopped` or `failed`, if a step said so.
    """

    lines: list[str] = field(default_factory=list)
    arms: dict[str, list[str]] = field(default_factory=dict)
    items: dict[str, str] = field(default_factory=dict)
    visit: int = 1
    at: str = "plan"
    places: dict[str, str] = field(default_factory=dict)
    waits: dict[str, float | None] = field(default_factory=dict)
    ready: set[str] = field(default_factory=set)
    worked: str = ""
    failed: set[str] = field(default_factory=set)
    crashes: dict[str, int] = field(default_factory=dict)
    shared_process: bool = False
    words: list[str] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)
    mailbox: list[str] = field(default_factory=list)
    answers: dict[int, str] = field(default_factory=dict)
    steps: int = 0
    limit: float | None = None
    ended: str = ""
    done: set[tuple[str, int]] = field(default_factory=set)
    seq: int = 0

    # -- what it expects

    @property
    def limited(self) -> bool:
        """Whether nothing new may start."""
        return self.limit is not None and self.steps >= self.limit

    @property
    def status(self) -> str:
        """The run's status, if it does not continue at once."""
        if self.at == "end":
            return "finished"
        if self.ended:
            return self.ended
        if self.movable() or self.settles():
            return "running"
        return "waiting" if self.waits else "failed"

    def movable(self) -> set[str]:
        """Return the nodes that should run now."""
        if self.at == "fork":
            nodes = {node for node in self.places.values() if node}
        elif self.at == "map":
            nodes = {item for item in ITEMS if item not in self.items}
        else:
            nodes = {self.at} - {"end"}
        return nodes - self.failed - self.waits.keys()

    def settles(self) -> bool:
        """Return whether a fork or map should end, successfully or not."""
        if self.ended or self.waits or self.movable():
            return False
        return self.at in ("fork", "map")

    def gates(self) -> set[str]:
        """Return the gates of the nodes that should run now."""
        return {"left work" if node == "left" and not self.worked else node for node in self.movable()}

    # -- what it reads

    def tell(self, step: Step) -> None:
        """Read the next step."""
        self.seq += 1
        assert step.seq == self.seq
        if self.at == "end":
            raise AssertionError(f"step after the end: {step}")
        assert not self.ended or step.kind in ("resumed", "branched", "message"), step
        getattr(self, f"_{step.kind}")(step)

    def _place(self, step: Step) -> str:
        """Return the node of a step, after checking that it may run in this round and did not end before."""
        name = step.node if step.kind != "item" and not step.frame.endswith("]") else ITEMS[int(step.frame[-2])]
        assert step.visit == self.visit, step
        assert name in self.movable() or (step.kind == "node" and name == "question"), step
        return name

    def _say(self, text: str) -> str:
        """Check a line that a node writes; its last word comes from the machine, the answer or the message."""
        word = text.rsplit(" ", 1)[-1]
        assert word not in self.words, f"{text!r} is recorded twice"
        self.words.append(word)
        return text

    def _started(self, step: Step) -> None:
        self.limit = said(step)["limits"].get("visits")

    def _node(self, step: Step) -> None:
        if step.node == "check":
            assert self.at == "map"
            assert len(self.items) == len(ITEMS)
            self.lines += [self.items[item] for item in ITEMS]
            self.at = "review"
        else:
            name = self._place(step)
            text = self._say(_line(step))
            self.done.add((name, self.visit))
            self.crashes.pop(name, None)
            if name == "left":
                assert text.startswith(f"{self.worked}, left ")
            if name == "question":
                assert "question" in self.waits
                del self.waits["question"]
                self.answers[self.visit] = text
                assert said(step)["answer"]["value"] == text
            if self.at == "fork":
                arm = next(arm for arm, node in self.places.items() if node == name)
                self.arms[arm].append(text)
                self.places[arm] = "hear" if name == "question" else ""
            else:
                self._go(name, text)
            self.ready.discard(name)
        self.steps += 1

    def _go(self, name: str, text: str) -> None:
        """Move from a node of the run itself to the next."""
        self.lines.append(text)
        if name == "plan":
            self.at, self.places, self.arms = "fork", {arm: arm for arm in ARMS}, {arm: [] for arm in ARMS}
            self.worked, self.ready = "", set()
        elif text.startswith("review again"):
            self.at, self.visit = "plan", self.visit + 1
        else:
            self.at = "end"

    def _recorded(self, step: Step) -> None:
        assert self._place(step) == "left"
        assert not self.worked, "recorded work is done twice"
        self.worked = self._say(said(step)["value"])
        self.done.add(("left work", self.visit))
        self.crashes.pop("left", None)

    def _waiting(self, step: Step) -> None:
        name = self._place(step)
        assert name in ("question", "hear", "nap")
        assert name not in self.ready, "it waits again after its wait ended"
        self.waits[name] = said(step)["waits"][name].get("due")
        self.crashes.pop(name, None)

    def _answered(self, step: Step) -> None:
        due = self.waits.pop(step.node)
        if step.node == "hear":
            assert said(step)["answer"] == {"value": self.mailbox.pop(0)}
        else:
            assert due is not None
            assert step.at >= due
        self.ready.add(step.node)

    def _failed(self, step: Step) -> None:
        if step.node == "check" and not step.frame.endswith("]") and self.at == "map":
            assert self.settles()
            self.ended = "failed"
            return
        name = self._place(step)
        if said(step)["error"]["kind"] == "crash_loop":
            assert self.crashes.pop(name) >= CRASHES
        else:
            self._say(said(step)["error"]["message"])
        self.crashes.pop(name, None)
        self.failed.add(name)
        if name == "left" and not said(step).get("keep_results"):
            self.worked = ""
            self.done.discard(("left work", self.visit))
        if name == "nap":
            self.ready.discard(name)
        if self.at not in ("fork", "map"):
            self.ended = "failed"

    def _joined(self, step: Step) -> None:
        assert self.settles()
        if said(step).get("status") == "failed":
            assert self.failed
            self.ended = "failed"
            return
        assert not any(self.places.values())
        for arm in ARMS:
            self.lines += self.arms[arm]
        self.at = "check"

    def _mapped(self, step: Step) -> None:
        assert self.at == "check"
        self.at, self.items = "map", {}

    def _item(self, step: Step) -> None:
        name = self._place(step)
        [(_, _, text)] = said(step)["writes"]
        self.items[name] = self._say(text)
        self.done.add((name, self.visit))
        self.crashes.pop(name, None)

    def _message(self, step: Step) -> None:
        self.heard.append(said(step)["payload"])
        self.mailbox.append(said(step)["payload"])

    def _stopped(self, step: Step) -> None:
        assert said(step)["ending"]["reason"] in ("asked", "limit")
        assert said(step)["ending"]["reason"] == "asked" or self.limited
        self.ended = "stopped"

    def _resumed(self, step: Step) -> None:
        if said(step).get("crashed"):
            assert not self.limited
            for name in self.movable():
                if self.crashes.get(name, 0) < CRASHES - 1 or not self.shared_process:
                    self.crashes[name] = self.crashes.get(name, 0) + 1
        self.shared_process = bool(said(step).get("shared_process"))
        if self.ended == "failed" or said(step).get("retries"):
            for name in self.failed:
                self.crashes.pop(name, None)
            self.failed = set()
        self.ended = ""
        self.limit = said(step)["limits"].get("visits")

    def _branched(self, step: Step) -> None:
        self._resumed(step)
        if step.update:
            self.lines.append(self._say(_line(step)))

    def copy(self) -> Story:
        """Return a copy that can read other steps."""
        return deepcopy(self)


def _line(step: Step) -> str:
    """Return the line that a step adds to the state."""
    found: list[Any] = [op for op in step.update if op[1] == "log"]
    [(_, _, text)] = found
    return str(text)
