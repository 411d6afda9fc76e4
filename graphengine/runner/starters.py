"""Child runs, which nodes start: how a child reports its end to its starter, and how the starter finds the child.

`graphengine.runner.children` starts child runs, and waits for them.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from graphengine.engine.steps import OVER
from graphengine.runner.ids import RESERVED
from graphengine.state.encoded import encode, opened
from graphengine.stores.base import Post, cursor_of, status_of

if TYPE_CHECKING:
    from graphengine.engine.snapshot import Snapshot
    from graphengine.engine.steps import RunStatus, StarterRecord
    from graphengine.state.amounts import Usage
    from graphengine.state.ending import Ending
    from graphengine.stores.base import InboxMessage, RunStore

_TOPIC: Final = f"{RESERVED}end:"
_MOST: Final = 1000
_MOST_BYTES: Final = 16 * 1024
_KEPT_SECONDS: Final = 10.0
"""How long an end is kept for the run that started the child.

That run usually looks within a second. Later, the end is read from the store.
"""


class EndHere(NamedTuple):
    """How a run that this process drove has finished.

    Attributes:
        by: The id and the nonce of the run that started it, and the number of the node's visit.
        body: The final state as JSON, in the form of the graph spec with this fingerprint.
    """

    by: tuple[str, str, int]
    seq: int
    body: bytes
    fingerprint: str
    ending: Ending | None
    usage: Usage
    losses: dict[str, int]
    visits: int
    seconds: float
    until: float


class EndsHere:
    """The last runs that finished in this process, for the runs that started them and that are alive here too.

    A finished run does not change any more, so its starter need not read from the store what this process wrote there a
    moment ago. Nothing depends on this cache: an end that is not in the cache is read from the store.
    """

    def __init__(self) -> None:
        self._kept: dict[str, EndHere] = {}  # the oldest first

    def keep(self, snapshot: Snapshot) -> None:
        """Keep the end of a run whose last step is durable, if the run finished and its state is not large."""
        now, kept = monotonic(), self._kept
        while kept and (len(kept) >= _MOST or next(iter(kept.values())).until < now):
            del kept[next(iter(kept))]
        starter = snapshot.starter
        if snapshot.status != "finished" or starter is None:
            return
        body = encode({name: opened(value) for name, value in snapshot.root.values.items()})
        if len(body) <= _MOST_BYTES:
            usage, losses = snapshot.usage.copy(), snapshot.losses.copy()
            head = (starter.run_id, starter.nonce, starter.visit), snapshot.seq, body, snapshot.fingerprint
            facts = (snapshot.steps, snapshot.elapsed_seconds, now + _KEPT_SECONDS)
            kept[snapshot.run_id] = EndHere(*head, snapshot.ending, usage, losses, *facts)

    def has(self, run_id: str, starter: StarterRecord) -> bool:
        """Return whether the end of a run is kept for the visit of the node that started it."""
        end = self._kept.get(run_id)
        return end is not None and end.by == (starter.run_id, starter.nonce, starter.visit)

    def take(self, run_id: str, seq: int, starter: StarterRecord) -> EndHere | None:
        """Remove the end of a run and return it, if it is kept and its last step has this seq."""
        if not self.has(run_id, starter):
            return None
        end = self._kept.pop(run_id)
        return end if end.seq == seq and end.until >= monotonic() else None


def topic_of(run_id: str) -> str:
    """Return the topic on which the end of a run is reported if no other topic is named."""
    return f"{_TOPIC}{run_id}"


def child_of(topic: str | None) -> str:
    """Return the id of the run whose end is reported on a topic; "" for any other topic."""
    return topic.removeprefix(_TOPIC) if topic is not None and topic.startswith(_TOPIC) else ""


def is_end(message: InboxMessage) -> bool:
    """Return whether a message reports the end of a run for which only its starter waits."""
    return message.kind == "message" and bool(child_of(message.payload["topic"]))


def told_end(snapshot: Snapshot, starter: StarterRecord, status: RunStatus) -> Post | None:
    """Return the message with which a run reports its end to its starter; None if the status does not end the run."""
    if status not in OVER:
        return None
    told: dict[str, Any] = {"run_id": snapshot.run_id, "graph": snapshot.graph, "status": status, "seq": snapshot.seq}
    if starter.topic:
        failure = snapshot.failure
        told["error"] = None if failure is None else f"{failure.kind}: {failure.message}"
        told["state"] = {k: opened(v) for k, v in snapshot.root.values.items()} if status == "finished" else None
    payload = {"topic": starter.topic or topic_of(snapshot.run_id), "payload": told, "told": True}
    key = f"end {snapshot.run_id} {cursor_of(snapshot.seq, snapshot.nonce)}"
    return Post(starter.run_id, "message", payload, key, starter.nonce)


async def looks_after(store: RunStore, snapshot: Snapshot) -> bool:
    """Let a waiting run check the child runs for which it waits and that may never report their end.

    Such a child is removed, is driven by no process, waits for a time, or does not belong to this run: it was started
    by the parent before this run branched off. A message for each such child makes the waiting run look.

    Returns:
        Whether there are such children.
    """
    waits = (wait for frame in snapshot.frames.values() for wait in frame.waits.values())
    children = [child for wait in waits if (child := child_of(wait.topic))]
    there = {info.id: info for info in (await store.infos(children) if children else ())}
    left = [
        child
        for child in children
        if (info := there.get(child)) is None
        or status_of(info) == "interrupted"
        or (info.status == "waiting" and info.due_at is not None)
        or (info.starter, info.starter_nonce) != (snapshot.run_id, snapshot.nonce)
    ]
    for child in left:
        seq = there[child].seq if child in there else 0
        payload = {"topic": topic_of(child), "payload": {"run_id": child, "seq": seq}}
        key = f"look {child} {snapshot.seq}"  # once for each step of the waiting run
        await store.post(snapshot.run_id, "message", payload, key, nonce=snapshot.nonce)
    return bool(left)
