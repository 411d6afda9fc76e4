"""The selection of recorded runs by status, graph, tag and age, and hints if no run matches."""

from __future__ import annotations

import asyncio
import re
import sys
import time
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, Protocol, cast, runtime_checkable

from msgspec import UNSET, UnsetType, structs

from graphengine.errors import UnknownRun
from graphengine.kernel.reader import status_of
from graphengine.kernel.store import Summary
from graphengine.records.words import counted

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Collection, Mapping, Sequence

    from graphengine.kernel.store import Page, RunInfo, RunStore, Status, Store

_PAGE: Final = 200
NEWEST: Final = 1000
"""How many of the newest runs are searched for a similar word: enough for a misspelling, and quick."""
STATUSES: Final = ("queued", "running", "interrupted", "waiting", "finished", "stopped", "failed", "cancelled")
"""The statuses to select by; see `status_of`."""

COMPARED: Final = "whatif:"
"""How the tag of a branch begins that a comparison made, see `graphengine.testing.evaluation.what_if`."""

_PREFIX: Final = 8
_QUOTED: Final = re.compile(r"(?<!\w)'[^']*'(?!\w)|\"[^\"]*\"|\"")
_NUMBERS: Final = re.compile(r"\d+")
_LONG: Final = re.compile(r"[0-9a-f]{8}")
_IDS: Final = re.compile(r"\b(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|(?=[a-f]*[0-9])[0-9a-f]{8,})\b")
_KIND: Final = re.compile(r"(?:[^:'\"]+: )?(?:[\w.#]+: )*")
_WORD: Final = re.compile(r"[^\W\d_]{2}")
_LOST: Final = {"failed_items", "failed_children", "fallbacks"}

ONLY_SEEN: Final = ("queued", "running", "interrupted")
"""Statuses that the store does not distinguish: whether there was a driver, and whether it is alive, separates them."""


class FieldComparison(NamedTuple):
    """A criterion about one field of a run, such as `input.country=CH`.

    Attributes:
        name: The field: of `input` or `output`, which the graph records for searches, or of `state`.
        sign: How it compares: `=`, `!=`, `<`, `<=`, `>` or `>=`.
        value: The other side, as it was typed.
    """

    name: str
    sign: str
    value: str

    @property
    def is_scan(self) -> bool:
        """Whether the state of each run must be read."""
        return self.name.startswith("state")

    def __str__(self) -> str:
        return self.name + self.sign + self.value


@dataclass(frozen=True, slots=True)
class Wanted:
    """The criteria for runs; None for no criterion.

    Attributes:
        limit: The maximum number of runs.
        status: The status as shown, which can be `interrupted`.
        graph: The name of their graph.
        tag: A tag of theirs.
        older_seconds: The least age of their last step, in seconds.
        newer_seconds: The greatest age of their last step, in seconds.
        before: The id of a run; only those after it in this order.
        text: Words that find them; see `Store.runs`.
        begun_after: They began then or later, epoch seconds.
        begun_before: They began before then.
        cost_above: Models cost more, US dollars, until their status last changed; an unknown cost is not more.
        tenant: For whom they run.
        user: Who started them.
        starter: The run whose nodes started them.
        version: The label of their deploy, or how the fingerprint begins with which they began.
        error: What they failed with has this, or is this after a `=`; what differs in it only by numbers and quoted
            names counts as equal, see `likeness`.
        agent: The name of an agent that called a model in their own steps, until their status last changed.
        has_losses: Whether they finished without a part of their result, or with a fallback in its place.
        fields: What their fields must be.
    """

    limit: int
    status: str | None = None
    graph: str | None = None
    tag: str | None = None
    older_seconds: float | None = None
    newer_seconds: float | None = None
    before: str | None = None
    text: str | None = None
    begun_after: float | None = None
    begun_before: float | None = None
    cost_above: float | None = None
    tenant: str | None = None
    user: str | None = None
    starter: str | None = None
    version: str | None = None
    error: str | None = None
    agent: str | None = None
    has_losses: bool | None = None
    fields: tuple[FieldComparison, ...] = ()

    def __str__(self) -> str:
        """Return the criteria in words, to follow `no runs`; "" if there are none."""
        named = (
            ("status", self.status),
            ("graph", self.graph),
            ("tag", self.tag),
            ("tenant", self.tenant),
            ("user", self.user),
            ("starter", self.starter),
            ("the words", self.text),
            ("the fields", " ".join(map(str, self.fields))),
        )
        text = " and".join(f" with {name} {given}" for name, given in named if given)
        text += " that began then" if self.begun_after is not None or self.begun_before is not None else ""
        text += " whose last step is older" if self.older_seconds is not None else ""
        return text + (" whose last step is newer" if self.newer_seconds is not None else "")

    @property
    def is_searched(self) -> bool:
        """Whether runs must be read to know whether they fit: the store does not select by all of this."""
        return any(
            each is not None for each in (self.cost_above, self.version, self.error, self.agent, self.has_losses)
        ) or bool(self.fields)

    @property
    def is_read(self) -> bool:
        """Whether rows of runs must be read to know whether they fit: the store cannot select by all of this."""
        by_rows = self.cost_above, self.version, self.error, self.agent, self.has_losses
        by_times = self.older_seconds, self.newer_seconds
        return (
            any(each is not None for each in (*by_rows, *by_times))
            or self.status in ONLY_SEEN
            or any(each.is_scan or each.sign != "=" for each in self.fields)
        )

    @property
    def recorded(self) -> Sequence[FieldComparison]:
        """The criteria about fields that graphs record for searches."""
        return [each for each in self.fields if not each.is_scan]

    @property
    def scanned(self) -> Sequence[FieldComparison]:
        """The criteria for which the state of each run is read."""
        return [each for each in self.fields if each.is_scan]

    def fits(self, info: RunInfo, now: float) -> bool:
        """Return whether a run matches the criteria that the store does not check."""
        old = now - info.updated_at
        return (
            (self.status is None or status_of(info) == self.status)
            and (self.older_seconds is None or old >= self.older_seconds)
            and (self.newer_seconds is None or old <= self.newer_seconds)
            and self.has(info.status, info.began_with, info.deploy, info.summary)
        )

    def has(self, status: str, began_with: str, deploy: str, summary: Summary | None) -> bool:
        """Return whether a run has what is read to know whether it fits; see `is_searched`."""
        return (
            (self.cost_above is None or (summary is not None and (summary.cost_usd or 0.0) > self.cost_above))
            and (self.version is None or is_version(began_with, deploy, self.version))
            and (self.error is None or (status == "failed" and is_error(likeness(_reason_of(summary)), self.error)))
            and (self.agent is None or (summary is not None and self.agent in summary.agents))
            and (self.has_losses is None or self.has_losses == is_lossy(status, summary.losses if summary else ()))
            and (not self.fields or _has_fields(summary, self.recorded))
        )

    def page(self, limit: int, before: str | None) -> Page:
        """Return the criteria that the store checks, as it takes them, for a page after a run."""
        return {
            "limit": limit,
            "before": before,
            "status": stored_status(self.status),
            "graph": self.graph,
            "tag": self.tag,
            "text": self.text,
            "begun_after": self.begun_after,
            "begun_before": self.begun_before,
            "tenant": self.tenant,
            "user": self.user,
            "starter": self.starter,
            "fields": self._texts_of_fields() or None,
        }

    def _texts_of_fields(self) -> dict[str, list[str]]:
        """Return which texts each field must have one of, so that it equals all that it is compared with by `=`."""
        found: dict[str, list[str]] = {}
        for each in self.recorded:
            if each.sign == "=":
                texts = Summary.texts_meant(each.value)
                found[each.name] = [text for text in found.get(each.name, texts) if text in texts]
        return found


def is_version(fingerprint: str, deploy: str, wanted: str) -> bool:
    """Return whether a run that began so is of a version, as `version_of` calls it."""
    return deploy == wanted or (bool(fingerprint) and fingerprint.startswith(wanted))


def version_of(fingerprint: str, deploy: str) -> str:
    """Return what a version is called: the label of its deploy, or how its fingerprint begins."""
    return deploy or fingerprint[:_PREFIX]


def likeness(text: str) -> str:
    """Return what messages have in common that differ only in numbers and quoted names.

    A message that has no other words is identified by its names.

    >>> likeness("ValueError: cannot double 'x7' at 20")
    'ValueError: cannot double … at #'
    >>> likeness("the customer's card isn't accepted")
    "the customer's card isn't accepted"
    >>> likeness("charge: KeyError: 'vat_rate'")
    "charge: KeyError: 'vat_rate'"
    """
    if _LONG.search(text) is not None:  # most have no id: looking is a third of replacing
        text = _IDS.sub("#", text)
    text = _NUMBERS.sub("#", text)
    bare, quoted = _QUOTED.subn("…", text)
    if not quoted:
        return text
    kind = _KIND.match(text)
    rest = text[kind.end() if kind is not None else 0 :]
    return bare if _WORD.search(_QUOTED.sub("", rest)) is not None else text.replace('"', "'")


def is_error(like: str, wanted: str) -> bool:
    """Return whether a `likeness` has what is wanted, or is all of it after a `=`."""
    return like == wanted[1:] if wanted.startswith("=") else wanted in like


def is_lossy(status: str, losses: Collection[str]) -> bool:
    """Return whether a run finished without a part of its result, or with a fallback in its place."""
    return status == "finished" and not _LOST.isdisjoint(losses)


def _has_fields(summary: Summary | None, wanted: Sequence[FieldComparison]) -> bool:
    return not wanted or (summary is not None and all(summary.field_is(*each) for each in wanted))


def _reason_of(summary: Summary | None) -> str:
    return "" if summary is None else summary.reason


def stored_status(shown: str | None) -> Status | None:
    """Return the status that the store has for one as shown."""
    return cast("Status | None", "running" if shown in ONLY_SEEN else shown)


def is_compared(info: RunInfo) -> bool:
    """Return whether a run is a branch that a comparison made, and so no run of production."""
    return any(tag.startswith(COMPARED) for tag in info.tags)


async def as_answered(store: RunStore, runs: Sequence[RunInfo]) -> list[RunInfo]:
    """Return the rows of a list of runs, with summaries that leave out waits whose answer has already been posted."""
    waiting = {info.id for info in runs if info.status == "waiting"}
    inbox = await store.inbox([*waiting]) if waiting else ()
    answered = {each.run_id for each in inbox if each.kind == "answer"}
    if not answered:
        return [*runs]
    from graphengine.kernel.inside import UNREADABLE  # noqa: PLC0415 - as most lists do not fold a log
    from graphengine.kernel.store import summary_of  # noqa: PLC0415
    from graphengine.records.now import load_now  # noqa: PLC0415

    found: dict[str, RunInfo] = {}
    for info in runs:
        if info.id in answered:
            with suppress(UnknownRun, *UNREADABLE):  # it was removed meanwhile, or cannot be read here
                summary = summary_of(await load_now(store, info.id), "waiting")
                found[info.id] = structs.replace(info, summary=summary)
    return [found.get(info.id, info) for info in runs]


class Found(NamedTuple):
    """The runs that a search found, and how much it has seen.

    Attributes:
        runs: The runs, the newest first.
        looked_at: How many states were read to compare fields of them; `UNSET` if that was not asked.
        unseen: How many runs lack a recorded field that was asked for, and that other runs of their graph have; None if
            no run has the field, `UNSET` if no such field was asked for.
    """

    runs: Sequence[RunInfo]
    looked_at: int | UnsetType = UNSET
    unseen: int | UnsetType | None = UNSET


def seen_lines(looked_at: int | UnsetType, unseen: int | UnsetType | None, unknown: Sequence[str] = ()) -> list[str]:
    """Return what people must know about a search for fields: how much it has seen, and what not.

    Args:
        looked_at: See `Found`.
        unseen: See `Found`.
        unknown: The fields that no run has; see `list_absent_fields`.
    """
    lines = [] if looked_at is UNSET else [f"looked at the states of the newest {counted(looked_at, 'run')}"]
    if unseen:
        have = "has" if unseen == 1 else "have"
        text = f"not searched: {counted(unseen, 'run')} that {have} no record of these fields"
        lines.append(f"{text}; `graphengine bulk fill` adds the fields if the graph declares them")
    repair = "declare it with Graph(search=[{!r}]), or search state.…"
    return lines + [f"no run has the field {name}: {repair.format(name)}" for name in unknown]


async def newest(store: Store, wanted: Wanted, *, compared: bool = True) -> Sequence[RunInfo]:
    """Return the newest runs that match; branches that comparisons made only if `compared`.

    Raises:
        StoreError: They cannot be read.
    """
    return (await find_runs(store, wanted, compared=compared)).runs


@dataclass(slots=True)
class Scan:
    """The reading of all runs that match, whatever they are searched by.

    Lists, trends and sums read runs with it if the store alone cannot select them, see `Wanted.is_read`.

    Attributes:
        store: The open store.
        wanted: Selects the runs; its `limit` does not matter here.
        compared: Whether branches that comparisons made are included.
        looked_at: See `Found`.
    """

    store: Store
    wanted: Wanted
    compared: bool = True
    looked_at: int | UnsetType = UNSET

    async def runs(self) -> AsyncGenerator[RunInfo]:
        """Yield the runs, the newest first; of those whose states must be read, only the newest `NEWEST`.

        Raises:
            StoreError: They cannot be read.
        """
        now, looked_at = time.time(), 0
        self.looked_at = 0 if self.wanted.scanned else UNSET
        async with aclosing(_scan_matching(self.store, self.wanted)) as infos:
            async for info in infos:
                if not self.wanted.fits(info, now) or not (self.compared or not is_compared(info)):
                    continue
                if self.wanted.scanned:
                    if looked_at == NEWEST:
                        break
                    looked_at += 1
                    self.looked_at = looked_at
                    if not await state_fits(self.store, info, self.wanted.scanned):
                        continue
                yield info


async def find_runs(store: Store, wanted: Wanted, *, compared: bool = True) -> Found:
    """Return the newest runs that match, as `newest` does, and how much the search has seen.

    Raises:
        StoreError: They cannot be read.
    """
    found: list[RunInfo] = []
    scan = Scan(store, wanted, compared=compared)
    async with aclosing(scan.runs()) as infos:
        async for info in infos:
            found.append(info)
            if len(found) == wanted.limit:
                break
    if not wanted.fields:
        return Found(found)
    return Found(found, scan.looked_at, await count_unseen(store, wanted))


async def state_fits(store: Store, info: RunInfo, wanted: Sequence[FieldComparison]) -> bool:
    """Return whether the last recorded state of a run has what is wanted; False if it cannot be read here."""
    from graphengine.kernel.inside import UNREADABLE, is_sealed, opened, parse  # noqa: PLC0415 - as most lists read no log
    from graphengine.kernel.reader import load_snapshot  # noqa: PLC0415

    try:
        snapshot = await load_snapshot(store, info.id, None)
    except (UnknownRun, *UNREADABLE):
        return False
    values = snapshot.root.values if snapshot.frames else {}

    paths = {each.name: parse(each.name.partition(".")[2]) for each in wanted}
    records = {path.root: opened(values[path.root]) for path in paths.values() if path.root in values}
    found = {
        name: path.walk(records[path.root])
        for name, path in paths.items()
        if path.root in records and not is_sealed(records[path.root])
    }
    return all(each.name in found and Summary.value_is(found[each.name], each.sign, each.value) for each in wanted)


@runtime_checkable
class _Lacking(Protocol):
    """A store that counts the runs that lack a field by which others of their graph are found."""

    async def unsearched(self, page: Page, names: Mapping[str, bool]) -> int | None:
        """Return how many runs of a page lack a field that other runs of their graph have; None if none has it.

        Args:
            page: The runs, whatever their fields are.
            names: The fields, each with whether runs have it from their begin on, and not only once they have finished.
        """
        ...


async def count_unseen(store: Store, wanted: Wanted) -> int | UnsetType | None:
    """Return how many of the runs that are wanted lack a recorded field that is asked for; see `Found.unseen`."""
    names = {each.name: each.name.startswith("input") for each in wanted.recorded}
    if not names:
        return UNSET
    return await count_lacking(store, {**wanted.page(sys.maxsize, None), "fields": None}, names)


async def list_absent_fields(store: Store, wanted: Wanted) -> list[str]:
    """Return the recorded fields that are asked for and that no run has."""
    fields = {each.name: each for each in wanted.recorded}
    return [name for name, each in fields.items() if await count_unseen(store, replace(wanted, fields=(each,))) is None]


async def count_lacking(store: Store, page: Page, names: Mapping[str, bool]) -> int | None:
    """Return how many runs of a page lack a field by which others of their graph are found; None if no run has it."""
    if isinstance(store, _Lacking):
        return await store.unsearched(page, names)
    runs, every = await store.runs(**page), await store.runs(limit=sys.maxsize)
    recorded = {(info.graph, name) for info in every if info.summary is not None for name in info.summary.fields}
    if not {name for _, name in recorded}.issuperset(names):
        return None
    lacking = [
        info
        for info in runs
        for name, is_early in names.items()
        if (info.graph, name) in recorded
        and (is_early or info.status == "finished")
        and (info.summary is None or name not in info.summary.fields)
    ]
    return len({info.id for info in lacking})


async def list_unfinished(store: Store, newer_seconds: float | None = None) -> AsyncGenerator[RunInfo]:
    """Yield the runs that have not ended, those that wait first; with a number only those whose last step is newer.

    Raises:
        StoreError: They cannot be read.
    """
    now, seen = time.time(), set[str]()
    for status in ("waiting", "running"):
        wanted = Wanted(0, status, newer_seconds=newer_seconds)
        async with aclosing(_scan_matching(store, wanted)) as infos:
            async for info in infos:
                if info.id not in seen and replace(wanted, status=None).fits(info, now):
                    seen.add(info.id)  # it can have another status by now
                    yield info


async def _scan_matching(store: Store, wanted: Wanted) -> AsyncGenerator[RunInfo]:
    """Yield the runs that match as far as the store checks, page by page."""
    before = wanted.before
    limit = wanted.limit if 0 < wanted.limit < _PAGE else _PAGE
    while True:
        found = await store.runs(**wanted.page(limit, before))
        for info in found:
            yield info
        await asyncio.sleep(0)  # a store in memory never waits
        if len(found) < limit:
            return
        limit = _PAGE
        before = found[-1].id


async def hint_of(store: Store, wanted: Wanted) -> str:
    """Return a hint about a graph or tag that no run has; "" if they are known."""
    from graphengine.kernel.extension import did_you_mean  # noqa: PLC0415 - listing runs must not load pydantic

    words: Sequence[tuple[Literal["graph", "tag"], str | None]] = (("graph", wanted.graph), ("tag", wanted.tag))
    for what, given in words:
        known = await other_words(store, given, what) if given else ()
        if given and known:
            return f"no run has the {what} {given!r}; {did_you_mean(given, known)}"
    return ""


async def other_words(store: Store, given: str, what: Literal["graph", "tag"]) -> Sequence[str]:
    """Return the graphs of all runs, or the tags of the newest; [] if any run has the given one."""
    if what == "graph":
        graphs = {count.graph for count in await store.counts()}
        return [] if given in graphs else sorted(graphs)
    if await store.runs(limit=1, tag=given):
        return []
    return sorted({tag for info in await store.runs(limit=NEWEST) for tag in info.tags})
