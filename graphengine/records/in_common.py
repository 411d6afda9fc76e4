"""Read what the runs that failed at one node have in common.

The page Today of the inspector shows the result below the version of a graph that fails, `GET /in_common` of the
service returns the result, and `graphengine prove` prints it.

Only a sample of the runs is read: the newest failed runs, and the newest other runs that came to the same node. The
number of runs and the bytes of their values are limited, and the result names the sample. Each run is read in the state
that it had just before the step that ended the node's visit. `graphengine.records.standing_out` then compares these
states.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence  # noqa: TC003 - a document is made of these types
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from msgspec import UnsetType
from pydantic_core import from_json, to_json

from graphengine.errors import StoreError
from graphengine.kernel.inside import PUBLISH, WorkKey, bare, is_sealed, opened, without_items
from graphengine.kernel.reader import Failed, Node, load_snapshot, outcome_of, show
from graphengine.records.base_documents import Document
from graphengine.records.selection import Wanted, newest
from graphengine.records.standing_out import CALL, FEWEST, Arrival, SharedFeature, find_shared_features
from graphengine.records.words import counted
from graphengine.records.work_records import CallRecord, TurnRecord, read_record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from graphengine.kernel.extension import JsonValue
    from graphengine.kernel.reader import Frame, Step
    from graphengine.kernel.store import RunInfo, Store

_FAILED: Final = 100
"""The largest number of failed runs that are read."""
_OTHERS: Final = 300
"""The largest number of other runs that are read, including runs that did not come to the node."""
_BYTES: Final = 32_000_000
"""Once the values of the runs that were read have this size, no further run is read. Failed runs get half of it."""
_NOT_FAILED: Final = ("finished", "stopped", "cancelled", "waiting", "running")
_STEPS: Final = 300
"""The visit of the node is searched in this many steps at the end of each log."""
_TEXT: Final = 20_000
NO_RESULTS: Final = (PUBLISH, "asked ", "begun ", "keyed ", "unknown ")
"""The beginnings of the names of recorded work that is no result of a call, such as a published value."""


class InCommon(Document):
    """What failed runs have in common, in contrast to other runs that came to the node where these runs failed.

    `GET /in_common` of the service returns this document, and the document of `graphengine prove` contains it.

    Attributes:
        graph: The graph.
        node: The path of the node; "" if no failed run could be read.
        error: The error of one of the failed runs.
        failed: The number of failed runs that were compared.
        others: The number of other runs that were compared.
        since: The time when the first of all these runs began, in epoch seconds; 0 if no run was compared.
        until: The time when the last of these runs began.
        features: The features that nearly all failed runs and few other runs have, the most likely cause first.
        text: The node, the numbers and the features as a sentence.
        sample: A sentence that says which runs were compared.
        is_cut: Whether some runs were not read, because the number of runs or of bytes is limited.
    """

    graph: str
    node: str
    error: str
    failed: int
    others: int
    since: float
    until: float
    features: Sequence[SharedFeature]
    text: str
    sample: str
    is_cut: bool


@dataclass(slots=True)
class _Side:
    """One of the two groups of runs that are compared: the failed runs, or the others."""

    arrivals: list[Arrival] = field(default_factory=list)
    looked_at: int = 0


@dataclass(slots=True)
class _SampleReader:
    """Reads runs in order to compare them.

    The bytes of their values are counted, so that reading can stop at a limit.
    """

    store: Store
    read: int = 0

    @property
    def is_full(self) -> bool:
        return self.read >= _BYTES

    async def load_steps(self, info: RunInfo) -> Sequence[Step]:
        """Return the last steps that a run recorded itself; an empty sequence if the log cannot be read.

        Steps that a branch shares with its parent run are left out.
        """
        with suppress(StoreError, ValueError):
            return await self.store.steps(info.id, max(info.parent_seq, info.seq - _STEPS), info.seq)
        return ()

    async def load_arrival(self, info: RunInfo, step: Step) -> Arrival | None:
        """Return the values that a run had just before a step; None if they cannot be read."""
        with suppress(StoreError, ValueError, RecursionError):  # it was removed, cut there, or is nested too deep
            frame = (await load_snapshot(self.store, info.id, step.seq - 1)).frames.get(step.frame)
            if frame is not None:
                values, derived = _read_frame(frame)
                self.read += len(to_json(values))
                return Arrival(values, derived, info.created_at)
        return None


async def load_in_common(store: Store, wanted: Wanted, hides: Callable[[str], bool]) -> InCommon:
    """Return what failed runs have in common at the node where most of them failed.

    Args:
        store: The open store. If a caller may see only some runs, the store must show only these.
        wanted: Selects the failed runs. The runs that they are compared with have the same graph, version and tenant,
            and began in the same period.
        hides: Returns whether a text contains a secret; see `find_shared_features`.

    Raises:
        StoreError: The store cannot list the runs.
    """
    reading = _SampleReader(store)
    infos = await newest(store, replace(wanted, status="failed", limit=_FAILED), compared=False)
    ended = [(info, step) for info in infos if (step := find_failing_step(await reading.load_steps(info))) is not None]
    kinds = Counter((info.graph, *classify_failure(step)) for info, step in ended)
    if not kinds:
        why = "no failed run could be read" if infos else "no run failed"
        return InCommon(wanted.graph or "", "", "", 0, 0, 0.0, 0.0, [], why, "", is_cut=False)
    (graph, node, kind), _ = kinds.most_common(1)[0]
    alike = [(info, step) for info, step in ended if (info.graph, *classify_failure(step)) == (graph, node, kind)]
    failed = _Side(looked_at=len(infos))
    for info, step in alike:
        if reading.read < _BYTES / 2 and (arrival := await reading.load_arrival(info, step)) is not None:
            failed.arrivals.append(arrival)
    visit = Counter(step.visit for _, step in alike).most_common(1)[0][0]
    example = next(step for _, step in alike if step.visit == visit)
    others = await _load_others(reading, replace(wanted, graph=graph, error=None, status=None), example)
    error = _message_of(alike[0][1])
    features = await asyncio.to_thread(
        find_shared_features, failed.arrivals, others.arrivals, message=error, hides=hides
    )
    both = [each.at for each in (*failed.arrivals, *others.arrivals)]
    return InCommon(
        graph=graph,
        node=node,
        error=error,
        failed=len(failed.arrivals),
        others=len(others.arrivals),
        since=min(both, default=0.0),
        until=max(both, default=0.0),
        features=features,
        text=_compose_text(node, features, len(failed.arrivals), len(others.arrivals)),
        sample=_compose_sample(failed, others),
        is_cut=len(infos) == _FAILED or others.looked_at >= _OTHERS or reading.read >= _BYTES / 2,
    )


async def _load_others(reading: _SampleReader, wanted: Wanted, failed: Step) -> _Side:
    """Return the newest runs in which the node that failed elsewhere completed, with their values at that node.

    If too few runs of the wanted version have completed the node, runs of older versions are read too. Runs that failed
    at any node are left out. Otherwise many failed runs could use up the limit on the number of runs that are read.
    """
    found, seen = _Side(), set[str]()
    for version, begun_after in dict.fromkeys(((wanted.version, wanted.begun_after), (None, None))):
        place = replace(wanted, version=version, begun_after=begun_after, text=None, fields=(), limit=_OTHERS)
        infos = [
            info
            for status in _NOT_FAILED
            for info in await newest(reading.store, replace(place, status=status), compared=False)
            if info.id not in seen
        ]
        infos.sort(key=lambda info: -info.created_at)
        for info in infos[: _OTHERS - len(seen)]:
            if reading.is_full:
                break
            seen.add(info.id)
            found.looked_at += 1
            step = _find_passed_step(await reading.load_steps(info), failed)
            if step is not None and (arrival := await reading.load_arrival(info, step)) is not None:
                found.arrivals.append(arrival)
        if len(found.arrivals) >= FEWEST:
            break
    return found


# --- The visit of a node ----------------------------------------------------------------------------------------------


def find_failing_step(steps: Sequence[Step]) -> Step | None:
    """Return the step in which a node failed and thereby made its run fail; None if the run did not fail in a step.

    The last step of a failed run may belong to a node around the node that failed, such as a map.
    """
    ends = [each for each in steps if each.data.error is not None]
    last = next((each for each in reversed(ends) if outcome_of(each).status == "failed"), None)
    if last is None or last.data.error is None:
        return None
    path = last.data.error.path
    inner = (each for each in reversed(ends) if each.path == path and isinstance(each.data, (Failed, Node)))
    return next(inner, last)


def _find_passed_step(steps: Sequence[Step], failed: Step) -> Step | None:
    """Return the step in which a run completed the node that failed in another run.

    If the run visited the node several times, the visit with the same number as the failed one is preferred. If an item
    of a map failed, an item that went through is compared with it, because the map itself has no value of an item.
    """
    node, _ = classify_failure(failed)
    is_item = failed.path != node
    done = [
        each
        for each in steps
        if isinstance(each.data, Node)
        and each.data.error is None
        and without_items(each.path) == node
        and (each.path != node) == is_item
    ]
    return next((each for each in reversed(done) if each.visit == failed.visit), done[-1] if done else None)


def classify_failure(step: Step) -> tuple[str, str]:
    """Return the path of the node that failed, without indexes of map items, and the type of the exception."""
    error = step.data.error
    return ("", "") if error is None else (without_items(error.path), error.kind)


def _message_of(step: Step) -> str:
    error = step.data.error
    return "" if error is None else f"{error.kind}: {show(error.message)}"


# --- The values at a node ---------------------------------------------------------------------------------------------


def _read_frame(frame: Frame) -> tuple[dict[str, JsonValue], set[str]]:
    """Return the values that a node could read when it ran, by name, and the names of those values that nodes wrote.

    `frame` is the position of the run at the node. The values of the graphs around the node are included.
    """
    values: dict[str, JsonValue] = dict(_iter_results(frame))
    derived = {*values}
    around: Frame | None = frame
    while around is not None:
        for name, value in around.values.items():
            if name not in values:
                whole = opened(value)
                values[name] = whole if is_sealed(whole) else bare(whole)
                if name in around.written:
                    derived.add(name)
        around = around.base
    return values, derived


def _iter_results(frame: Frame) -> Iterator[tuple[str, JsonValue]]:
    """Yield the results that were recorded while a node ran, each with its name.

    These are the results of calls, tools and child runs, and the answers of agents. Of several results with one name,
    only the first is yielded.
    """
    seen: set[str] = set()
    for text, result in frame.recorded_results.items():
        key = WorkKey.read(text)
        value = opened(result.value)
        if not key.number or isinstance(value, UnsetType) or key.name.startswith(NO_RESULTS):
            continue
        name = f"{key.of or key.name.rpartition('.')[2]}{CALL}"
        if key.kind == "tool":
            called = read_record(value, CallRecord)
            value = None if called is None else _read_json(called.text)
        elif key.kind == "turn":
            answered = read_record(value, TurnRecord)
            name, value = f"{WorkKey.read(key.around).of}{CALL}", None if answered is None else answered.text
        if name not in seen:
            seen.add(name)
            yield name, bare(value)


def _read_json(text: str) -> JsonValue:
    """Decode the result of a tool if it is a JSON object or list; return any other text unchanged.

    Only the beginning of a long text is returned.
    """
    if len(text) > _TEXT or not text.startswith(("{", "[")):
        return text[:_TEXT]
    try:
        value: JsonValue = from_json(text)  # refuses what is nested too deep, and halves of characters
    except ValueError:
        return text
    return value


# --- Sentences --------------------------------------------------------------------------------------------------------


def _compose_text(node: str, features: Sequence[SharedFeature], failed: int, others: int) -> str:
    if min(failed, others) < FEWEST:
        few = f"{counted(failed, 'run')} failed and {others:,} went through"
        return f"at {node}, {few}: at least {FEWEST} of each are needed to say what the failed runs have in common"
    if not features:
        return f"at {node}, nothing stands out: {failed:,} failed and {others:,} went through with similar values"
    best, *more = features
    rest = f"of the {others:,} others that came there, {best.others or 'none'}"
    also = f"; as much agrees with {' and '.join(each.text for each in more)}" if more else ""
    return f"at {node}, {best.failed:,} of {failed:,} failed had {best.text}; {rest}{also}"


def _compose_sample(failed: _Side, others: _Side) -> str:
    newest_failed = f"the {len(failed.arrivals):,} newest of {failed.looked_at:,} failed runs that were read"
    return f"compared: {newest_failed}, and {len(others.arrivals):,} of {others.looked_at:,} others that were read"


__all__ = ["NO_RESULTS", "InCommon", "classify_failure", "find_failing_step", "load_in_common"]
