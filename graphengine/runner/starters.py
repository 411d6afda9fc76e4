"""The parent's side of child runs: how a child reports its end to its parent run, and how the parent finds the child.

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
    """The end of a child run that finished in this process, kept in memory for its parent run.

    Attributes:
        by: What started the child: the id and the nonce of the parent run, and the number of the visit of the node that
            called `ctx.start`.
        seq: The number of the child's last step.
        body: The final state as JSON. It belongs to the version of the graph with the fingerprint in `fingerprint`.
        until: The time of the monotonic clock until which this object is kept.
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
    """A cache of child runs that finished in this process a moment ago, for parent runs that are active here too.

    A finished run does not change any more, so its parent need not read from the store what this process wrote there a
    moment ago. Nothing depends on this cache: an end that is not in the cache is read from the store.
    """

    def __init__(self) -> None:
        self._kept: dict[str, EndHere] = {}  # the oldest first

    def keep(self, snapshot: Snapshot) -> None:
        """Keep the end of a child run in memory for its parent run, if the child finished and its state is small.

        The last step of the child must be durable.
        """
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
        """Return whether the end of a child run is in the cache, for the visit of the node that started the child."""
        end = self._kept.get(run_id)
        return end is not None and end.by == (starter.run_id, starter.nonce, starter.visit)

    def take(self, run_id: str, seq: int, starter: StarterRecord) -> EndHere | None:
        """Remove the end of a child run from this cache, and return what was removed.

        None if the cache does not have the end of this child at this step.
        """
        if not self.has(run_id, starter):
            return None
        end = self._kept.pop(run_id)
        return end if end.seq == seq and end.until >= monotonic() else None


def topic_of(run_id: str) -> str:
    """Return the topic on which a child run reports its end to its parent, if the caller has chosen no other topic."""
    return f"{_TOPIC}{run_id}"


def child_of(topic: str | None) -> str:
    """Return the id of the child run that reports its end on this topic; "" for any other topic."""
    return topic.removeprefix(_TOPIC) if topic is not None and topic.startswith(_TOPIC) else ""


def is_end(message: InboxMessage) -> bool:
    """Return whether a message reports the end of a child run to its parent, on a topic of the engine."""
    return message.kind == "message" and bool(child_of(message.payload["topic"]))


def told_end(snapshot: Snapshot, starter: StarterRecord, status: RunStatus) -> Post | None:
    """Return the message with which a child run reports its end to the run that started it.

    Return None if the child has not ended.
    """
    if status not in OVER:
        return None
    report: dict[str, Any] = {"run_id": snapshot.run_id, "graph": snapshot.graph, "status": status, "seq": snapshot.seq}
    if starter.topic:
        failure = snapshot.failure
        report["error"] = None if failure is None else f"{failure.kind}: {failure.message}"
        report["state"] = {k: opened(v) for k, v in snapshot.root.values.items()} if status == "finished" else None
    payload = {"topic": starter.topic or topic_of(snapshot.run_id), "payload": report, "told": True}
    key = f"end {snapshot.run_id} {cursor_of(snapshot.seq, snapshot.nonce)}"
    return Post(starter.run_id, "message", payload, key, starter.nonce)


async def looks_after(store: RunStore, snapshot: Snapshot) -> bool:
    """Let a waiting run look at those of its child runs that may never report their end by themselves.

    Such a child run was removed, is driven by no process, waits for a time, or belongs to the run from which this run
    branched off. For each of them, a message is sent to the waiting run, so that its node looks at the child.

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
