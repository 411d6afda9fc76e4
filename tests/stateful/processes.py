"""The owners of a medium, as the machine of runs sees them, and its knowledge of each run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from graphengine import Graph, Runner
from graphengine.engine.steps import Step
from graphengine.errors import StoreError
from graphengine.runner.run import Run
from graphengine.stores.base import Append, Store
from tests.stateful.round import Book, Gates
from tests.stateful.story import Story


@dataclass(frozen=True)
class Witness:
    """A listener to what an owner's store does.

    Attributes:
        taken: Called with the id of a run that was started or claimed.
        acknowledged: Called with a batch as soon as it counts as durable.
    """

    taken: Callable[[str], None]
    acknowledged: Callable[[Append], None]


class Mortal:
    """A store whose owner can be killed: then nothing that its Runner still does reaches the medium."""

    def __init__(self, store: Store, witness: Witness) -> None:
        self.store = store
        self.witness = witness
        self.is_dead = False
        self.pending = 0
        self.writing: list[Append] = []  # batches that are not durable yet

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.store, name)
        if not callable(found):
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            if self.is_dead:
                raise StoreError("its owner is dead")
            result = found(*args, **kwargs)
            if result is None:
                if name == "append":
                    self.witness.acknowledged(args[0])  # it is durable at once
                return None
            future: asyncio.Future[Any] = asyncio.ensure_future(result)
            self.pending += name != "notifications"  # it can wait forever, and nothing else waits for it
            if name == "append":
                self.writing.append(args[0])
            future.add_done_callback(lambda _: self._ended(name, args, future))
            return future

        return call

    def _ended(self, name: str, args: tuple[Any, ...], future: asyncio.Future[Any]) -> None:
        """Record the outcome of a call before its waiters learn of it."""
        self.pending -= name != "notifications"
        if name == "append":
            self.writing.remove(args[0])
        if future.cancelled() or future.exception() is not None:
            return
        if name == "append":
            self.witness.acknowledged(args[0])
        elif name == "create":
            self.witness.taken(args[0].id)
        elif name == "claim":
            self.witness.taken(args[0])


@dataclass
class Process:
    """An owner: a Runner over its own store, and the gates of its nodes."""

    runner: Runner
    store: Mortal
    gates: Gates
    graph: Graph[Book]
    owner_id: str
    handles: list[Run[Book]] = field(default_factory=list)


@dataclass
class Known:
    """The machine's knowledge of a run.

    Attributes:
        log: The log as last read.
        stories: The story up to each seq.
        words: The words that must be in it; `maybe` has those that can be.
        sent: Messages sent to it, in order.
        asked: The accepted answers, by round.
        orphan: Whether it was left running without a driver.
        halting: Whether its driver starts nothing more.
        seen: The length of its log when its state was last checked.
        parent: The run it was branched from, "" for none.
        tags: Its tags.
    """

    log: list[Step] = field(default_factory=list)
    stories: list[Story] = field(default_factory=lambda: [Story()])
    words: set[str] = field(default_factory=set)
    maybe: set[str] = field(default_factory=set)
    sent: list[str] = field(default_factory=list)
    asked: dict[int, str] = field(default_factory=dict)
    orphan: bool = False
    halting: bool = False
    seen: int = 0
    parent: str = ""
    tags: set[str] = field(default_factory=set)

    @property
    def story(self) -> Story:
        """The story up to its last step."""
        return self.stories[-1]
