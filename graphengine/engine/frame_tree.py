"""The tree of frames: how the fold creates, moves and drops frames."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Final, Literal, cast

from msgspec import UNSET, json
from msgspec.structs import replace

from graphengine.engine.phases import (
    ASKED,
    AskedName,
    Asking,
    Collecting,
    Ended,
    Failing,
    Fallback,
    Forked,
    Inside,
    Waiting,
)
from graphengine.engine.snapshot import READY, Frame
from graphengine.engine.steps import ANSWERABLE, WaitRecord, path_of
from graphengine.graph.options import START
from graphengine.state.amounts import amounts_by_name, is_cost_unknown
from graphengine.state.recorded_text import NO_TEXT, to_show

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphengine.engine.phases import FailedItem, Phase
    from graphengine.engine.snapshot import Snapshot
    from graphengine.engine.steps import Entered, FailureRecord, ForkRecord, Outcome
    from graphengine.state.amounts import Usage


_encode: Final = json.Encoder(order="deterministic").encode
_INDEX: Final = re.compile(r"\[\d+\]")


def move(snapshot: Snapshot, frame: Frame, facts: Outcome) -> None:
    """Move one position of the run (a frame) where a step sends it.

    The target is another node, the arms of a fork, the join at which an arm ends, or the end of the graph.
    """
    # Tested first, because writing a field costs ten times as much as reading it.
    if frame.tries or frame.crashes or frame.due:
        frame.tries = frame.crashes = 0
        frame.due = 0.0
    if frame.error is not None:
        frame.error = None
    if not facts.to:
        message = f"the frame {frame.id!r} moves, but its step has no target"
        raise ValueError(message)
    if facts.fork is not None:
        _fork_frame(snapshot, frame, facts.fork, facts.to)
    elif facts.ending is not None:
        if frame.kind == "root":
            frame.phase = Ended()
            snapshot.status, snapshot.ending = "finished", facts.ending
        else:
            frame.phase = Ended(facts.ending)
    elif frame.kind == "arm" and facts.to[0] == frame.until:
        frame.phase = Ended()
    else:
        enter(snapshot, frame, facts.to[0])
    snapshot.changed.append(frame.id)
    if frame.up is not None and isinstance(frame.phase, Ended):  # Only an end can let the frame around it continue.
        snapshot.changed.append(frame.parent)


def renew(snapshot: Snapshot, frame: Frame) -> None:
    """Reset the counters of attempts and crashes, because a resume retries the node or its fallback."""
    frame.tries, frame.crashes, frame.due = 0, 0, 0.0
    frame.arrived = snapshot.now


def touch(snapshot: Snapshot, frame: Frame) -> None:
    """Note that a step changed this frame and the frame around it, so that both are checked for new tasks.

    A frame is one position of the run in a graph. After a step, the engine checks only the frames that were noted here,
    instead of all frames of the run.
    """
    snapshot.changed.append(frame.id)
    if frame.up is not None:
        snapshot.changed.append(frame.parent)


def enter(snapshot: Snapshot, frame: Frame, node: str) -> None:
    """Move a frame, one position of the run in a graph, to a node, where a new visit of the node begins."""
    if frame.phase is not READY:
        frame.phase = READY
    frame.at, frame.named = node, ""
    frame.visit = (frame.counts.get(node, 0) if frame.base is None else frame.count(node)) + 1
    if frame.attempt != 1:
        frame.attempt = 1
    frame.arrived = snapshot.now
    if snapshot.pause:
        pause(snapshot, frame)


def pause(snapshot: Snapshot, frame: Frame) -> None:
    """Make the run wait before the node at which a frame has arrived, if `pause_before=` names this node.

    The paths in `Snapshot.pause` have no item indexes, so that one path covers all items of a map. An item does not
    pause at the map itself, because the map has already paused there.
    """
    path = path_of(frame.id, frame.at)
    if frame.kind != "item" and _INDEX.sub("", path) in snapshot.pause:
        asked = WaitRecord(kind="pause", question=to_show(f"paused before {path}"), schema={"const": True})
        wait(snapshot, frame, {path: asked})


def unpause(snapshot: Snapshot, frame: Frame) -> None:
    path = _INDEX.sub("", path_of(frame.id, frame.at))
    if path not in snapshot.pause and any(asked.kind == "pause" for asked in frame.waits.values()):
        wake(snapshot, frame)


def place_of(frame: Frame) -> str:
    """Return a text that identifies a visit of a node in its run, such as a visit inside a subgraph that runs twice.

    The text contains the visits of all subgraphs around the node.
    """
    own = f"{frame.named or frame.at}:{frame.visit}"
    if frame.up is None:
        return own
    around = place_of(frame.up)
    if frame.kind == "item":
        return around + frame.id[frame.id.rindex("[") :]
    return f"{around}/{own}"


def wait(snapshot: Snapshot, frame: Frame, waits: Mapping[str, WaitRecord]) -> None:
    """Let a node wait until one of several waits ends. Each wait gets an id and its starting time.

    A question that the node asks again unchanged keeps the id and the time that it had before.
    """
    now = snapshot.now
    named = {
        name: replace(asked, id=asked.id or _make_wait_id(snapshot, name, asked), asked_at=asked.asked_at or now)
        for name, asked in waits.items()
    }
    then = frame.phase if isinstance(frame.phase, Fallback) else READY
    frame.phase = Waiting(named, then)
    frame.since = snapshot.now
    snapshot.waiting += 1
    if snapshot.open is not None:
        snapshot.open.add(frame.id, named)
    touch(snapshot, frame)


def _make_wait_id(snapshot: Snapshot, name: str, asked: WaitRecord) -> str:
    """Return the id for a new wait of a node.

    If the wait is a question, this function also counts it, because a later answer may name a question only by its name
    if the run has asked a single question of this name.
    """
    if asked.kind in ANSWERABLE:
        times = snapshot.asked[name].times if name in snapshot.asked else 0
        snapshot.asked[name] = AskedName(snapshot.seq + 1, times + 1)
    return wait_id(name, snapshot.seq + 1, snapshot.nonce)


def wait_id(name: str, seq: int, nonce: str) -> str:
    """Return a unique id for a wait, built from its name, the number of the step, and the random nonce of the run.

    The nonce makes the id unique even if a later run is given the same run id.

    >>> wait_id("approve", 7, "k3x9ab"), wait_id("approve", 7, "")
    ('approve@7.k3x9ab', 'approve@7')
    """
    return f"{name}@{seq}.{nonce}" if nonce else f"{name}@{seq}"


def restamp(snapshot: Snapshot, before: str) -> None:
    """Give the open waits of a new branch ids of their own, so that an id of the parent run does not answer them.

    Each id contains the nonce of its run, so the parent's nonce is replaced by the nonce of the branch.
    """

    def own(identity: str) -> str:
        name, at, place = identity.rpartition("@")
        seq, _, nonce = place.partition(".")
        return wait_id(name, int(seq), snapshot.nonce) if at and nonce == before else identity

    for frame in snapshot.frames.values():
        parts: list[Frame | FailedItem] = [frame]
        if isinstance(frame.phase, Waiting):
            waits = {name: replace(asked, id=own(asked.id)) for name, asked in frame.phase.waits.items()}
            frame.phase = replace(frame.phase, waits=waits)
        elif isinstance(frame.phase, Collecting):
            parts += frame.phase.failed.values()
        for part in parts:
            part.asks = {key: replace(asked, id=own(asked.id)) for key, asked in part.asks.items()}
            for key, memo in part.recorded_results.items():
                if key.startswith(ASKED) and memo.id:
                    part.recorded_results[key] = replace(memo, id=own(memo.id))
    snapshot.open = None


def id_again(frame: Frame, name: str, asked: WaitRecord) -> str:
    """Return the id of a question that this visit asked before in the same form; "" if the question is new."""
    earlier = frame.asks.get(asked.key)
    return earlier.id if earlier is not None and earlier.shown == shown_by(frame, name, asked) else ""


def shown_by(frame: Frame, name: str, asked: WaitRecord) -> str:
    """Return a digest that tells whether a question that is asked again is still the same question.

    The digest covers what the question shows, the type of its answer, and the visit that asks it. A question that asks
    a person how an interrupted effect ended is identified by the beginning of the effect instead, so its text may
    change.
    """
    what = replace(asked, id="", asked_at=0, due=None, default=UNSET, may_answer=())
    if what.kind == "unknown":
        what.question = NO_TEXT
    body = _encode([frame.named or frame.at, frame.visit, name, what])
    return hashlib.blake2b(body, digest_size=9).hexdigest()


def keep_asks(frame: Frame) -> None:
    """Remember the ids of the questions that a visit of a node has asked, before these questions are answered.

    When the code of the node runs again, it can then ask the same questions under the same ids.
    """
    for name, asked in frame.waits.items():
        earlier = frame.asks.get(asked.key)
        if asked.kind in ANSWERABLE and asked.kind != "pause" and (earlier is None or earlier.id != asked.id):
            frame.asks[asked.key] = Asking(asked.id, shown_by(frame, name, asked))


def wake(snapshot: Snapshot, frame: Frame) -> None:
    """End all waits of a node, so that its code runs again from the start and finds what it has already recorded."""
    waits = frame.waits
    if isinstance(frame.phase, Waiting):
        frame.phase = frame.phase.then
    _count_wait_over(snapshot, waits)
    touch(snapshot, frame)


def _count_wait_over(snapshot: Snapshot, waits: Mapping[str, WaitRecord]) -> None:
    snapshot.waiting -= 1
    if snapshot.open is not None:
        snapshot.open.remove(waits)
    if not snapshot.waiting and snapshot.status == "waiting":
        snapshot.status = "running"


def _fork_frame(snapshot: Snapshot, frame: Frame, fork: ForkRecord, targets: Sequence[str]) -> None:
    arms = [f"{frame.id}~{target}" for target in targets]
    frame.phase = Forked(fork, arms)
    for key, target in zip(arms, targets, strict=True):
        # An arm reads each field that it has not written from the frame that forked.
        arm = Frame(id=key, kind="arm", parent=frame.id, up=frame, base=frame, sub=frame.sub, until=fork.join)
        snapshot.frames[key] = arm
        if target == arm.until:
            arm.phase = Ended()
        else:
            enter(snapshot, arm, target)
        snapshot.changed.append(key)


def open_sub(snapshot: Snapshot, frame: Frame, at: float, facts: Entered) -> Frame:
    """Create the frame (position of the run) for the subgraph that a node runs, with a state of its own, and return it.

    The node then waits for the end of the subgraph.
    """
    frame.phase = Inside(facts.choice)
    key = frame.sub_id
    sub = snapshot.frames[key] = Frame(
        id=key,
        kind="sub",
        parent=frame.id,
        up=frame,
        at=START,
        limits=facts.limits,
        entered=snapshot.elapsed_seconds,
        since=at,
    )
    sub.sub = sub
    if facts.limits:
        snapshot.maybe_runnable = None
    return sub


def drop_children(snapshot: Snapshot, frame: Frame) -> None:
    """Drop the map items or the subgraph that a node has started, so that the node can start again from the beginning.

    What they used (model calls, tokens and cost) still counts for the run.
    """
    for key in frame.children:
        drop(snapshot, snapshot.frames[key], frame, counts=False)
    frame.phase = READY


def drop(snapshot: Snapshot, frame: Frame, heir: Frame, *, counts: bool) -> None:
    """Remove a fork's arm, a map item or a subgraph from the run, with everything that runs inside it.

    The usage of the removed parts (model calls, tokens, cost) still counts for the run, so it is added to the frame
    `heir`, which stays. With `counts`, the numbers of completed visits of nodes in a removed arm are added to `heir` as
    well.
    """
    counts = counts and frame.kind == "arm"
    if counts:
        for node, visits in frame.counts.items():
            heir.counts[node] = heir.counts.get(node, 0) + visits
    if frame.usage:
        heir.usage = add_usage(heir.usage, frame.usage)
    for key in frame.children:
        drop(snapshot, snapshot.frames[key], heir, counts=counts)
    if isinstance(frame.phase, Waiting):
        _count_wait_over(snapshot, frame.phase.waits)
    del snapshot.frames[frame.id]
    snapshot.changed.append(frame.id)


def fail_frame(snapshot: Snapshot, frame: Frame, phase: Phase, facts: Outcome) -> None:
    """Mark one part of the run as failed: the whole run, an arm of a fork or a subgraph.

    A failed arm or subgraph does not end the run. The node around the failed part decides what follows.
    """
    frame.phase = phase
    error = failure_in(facts)
    if frame.kind == "root":
        frame.failing = Failing(error)
        snapshot.status, snapshot.ending, snapshot.failure = "failed", facts.ending, error
    else:
        frame.failing = Failing(error, facts.ending)
    touch(snapshot, frame)


def failure_in(facts: Outcome) -> FailureRecord:
    if facts.error is None:
        message = "a step fails without a failure"
        raise ValueError(message)
    return facts.error


def add_usage(total: Usage, spent: Usage, *, sign: Literal[1, -1] = 1) -> Usage:
    """Add two amounts of usage (model calls, tokens and cost). With `sign=-1`, subtract the second.

    If the cost of one of them is unknown, the cost of the sum is unknown too, and `priced_usd` holds the known part.
    """
    sums = dict(amounts_by_name(total))
    for name, amount in amounts_by_name(spent).items():
        have = sums.get(name, 0)
        sums[name] = None if amount is None or have is None else have + sign * amount
    joined = cast("Usage", sums)
    if is_cost_unknown(joined):
        joined["priced_usd"] = priced(total) + sign * priced(spent)
    return joined


def spent_since(before: Usage, after: Usage) -> Usage:
    """Return the model calls, tokens and cost between two points of a run, given the totals at both points.

    If the cost is unknown at one point, it is unknown in the result.
    """
    return add_usage(after, before, sign=-1)


def priced(usage: Usage) -> float:
    """Return the cost, in US dollars, of only those model calls whose price is known."""
    cost = usage.get("cost_usd", 0.0)
    return (usage.get("priced_usd") or 0.0) if cost is None else cost
