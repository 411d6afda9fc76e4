"""Earlier runs with the id of the run: what is left of them, which the run that has the id now must not see.

What it is for
    A run can be removed, and another one started with its id: a run is its id and its nonce. `Earlier` removes the run
    and leaves what could be taken for the next one's: child runs that go on, a message that nobody read, questions that
    people have a link to, and the cursor of a watcher.

Invariants
    - A run is of an earlier one if it was there when that was removed, or if a run of an earlier one started it. The
      engine is not asked, and its nonces are not compared.
    - No run of today starts or is told of a run of an earlier one, or reads what was left in an inbox.
    - What acts outside has the idempotency key that it had in the earlier run, at the same place of the tree of runs:
      a place is the visits of all nodes above it, in each run from the top one down.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from graphengine.engine import steps
from graphengine.engine.steps import Step
from graphengine.errors import RunReplaced
from tests.sim.model import Wrong
from tests.sim.program import first_names
from tests.sim.world import RUN

LEFT: Final = "left to an earlier run"
"""The message that an earlier run did not read."""
MANY: Final = 10_000


def nonces() -> Callable[[], str]:
    """Return what gives each run another nonce, and the same ones whenever a program is played."""
    numbers = itertools.count()
    return lambda: "".join(chr(ord("a") + int(digit)) for digit in f"{next(numbers):07}")


async def refused_as_replaced(done: Awaitable[Any]) -> None:
    """Await what names an earlier run with the same id. Raises: Wrong: It is not refused."""
    try:
        found = await done
    except RunReplaced:
        return
    raise Wrong(f"what names an earlier run is not refused: {found}")


@dataclass
class Earlier:
    """What is known of the earlier runs.

    Attributes:
        runs: The child runs of earlier ones, and all below those.
        asked: The ids of the questions that the run of today has asked.
        links: Those of the questions that the earlier run had asked, to be answered in vain.
        cursor: Where a watcher of the earlier run was; "" once that watcher has tried to go on.
        keys: The idempotency key of each effect, by its place.
    """

    runs: set[str] = field(default_factory=set)
    asked: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    cursor: str = ""
    keys: dict[str, str] = field(default_factory=dict)

    async def remove(self, store: Any) -> str:
        """Remove the run, and none of those below it. Return why it stays; "" if it is gone."""
        info = await store.info(RUN)
        await store.post(RUN, "message", {"topic": "t", "payload": LEFT}, "left")
        if kept := await store.remove([info]):
            return str(kept[RUN])
        self.runs = {each.id for each in await store.runs(limit=MANY)}
        self.links, self.asked, self.cursor = sorted(self.asked), set(), info.cursor
        return ""

    async def orphans(self, store: Any) -> Sequence[str]:
        """Return the child runs of the earlier run, and those below, that can still end."""
        infos = await store.runs(limit=MANY)
        return [info.id for info in infos if info.id in self.runs and info.status not in steps.FINAL]

    def left_out(self, infos: Iterable[Any]) -> Sequence[Any]:
        """Return the runs that are not of earlier ones; what these have started meanwhile is noted."""
        infos = sorted(infos, key=lambda info: info.depth)
        self.runs |= {info.id for info in infos if info.starter in self.runs}
        return [info for info in infos if info.id not in self.runs]

    async def check(self, store: Any) -> None:
        """Check that nothing of earlier runs is seen, and that idempotency keys are theirs. Raises: Wrong."""
        infos = self.left_out(await store.runs(limit=MANY))
        logs = {info.id: await store.steps(info.id) for info in infos}
        for run_id, log in logs.items():
            seen = [child for step in log for child in self.named(step)]
            if seen:
                raise Wrong(f"{run_id} knows what is of an earlier run: {seen[0]}")
        mail = [each.payload["payload"] for each in await store.inbox([RUN]) if each.kind == "message"]
        if [each for each in mail if each == LEFT or (isinstance(each, dict) and each.get("run_id") in self.runs)]:
            raise Wrong("a message that is of an earlier run is in the inbox")
        for place, key in keys_of(logs):
            if self.keys.setdefault(place, key) != key:
                raise Wrong(f"the idempotency key of {place} was {self.keys[place]}, and is {key}")

    def named(self, step: Step) -> Iterator[str]:
        """Yield what a step has of earlier runs: a child run that was started, a message."""
        match step.data:
            case steps.Recorded(value={"run_id": child}) if child in self.runs:
                yield child
            case steps.Message(payload={"run_id": child}) if child in self.runs:
                yield child
            case steps.Message(payload=payload) if payload == LEFT:
                yield LEFT


def keys_of(logs: Mapping[str, Sequence[Step]], run_id: str = RUN, above: str = "") -> Iterator[tuple[str, str]]:
    """Yield the place and the idempotency key of each effect that began in a run, or in one below it."""
    visits: dict[str, int] = {}
    for step in logs.get(run_id, ()):
        path = steps.path_of(step.frame, step.node)
        visits[path] = step.visit
        match step.data:
            case steps.Begun(key=key, idempotency_key=made) if made:
                yield first_names(f"{above}{place_in(path, visits)} {key}"), made
            case steps.Recorded(key=key, value={"run_id": child}) if key.startswith("start a run|"):
                yield from keys_of(logs, child, f"{above}{place_in(path, visits)} {key} > ")


def place_in(path: str, visits: Mapping[str, int]) -> str:
    """Return the path of a node with the visits of the nodes around it, and its own.

    >>> place_in("a[1]/b", {"a": 2, "a[1]": 1, "a[1]/b": 3})
    'a[1]:2:1/b:3'
    """
    parts = path.split("/")
    outer = ["/".join(parts[:number]) for number in range(1, len(parts) + 1)]
    lines = [dict.fromkeys((re.sub(r"\[\d+\]$", "", each), each)) for each in outer]
    return "/".join(
        ":".join([part, *(str(visits.get(each, 0)) for each in line)]) for part, line in zip(parts, lines, strict=True)
    )
