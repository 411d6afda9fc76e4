"""Select recorded runs by criteria such as status, graph, tag, age or fields, and give hints if no run matches.

A store selects runs by some criteria itself. For the other criteria, this module reads the rows of runs or their
states. A *recorded field* is a field of the input or output for which the graph declares `search=`: the store keeps its
value with the row of the run. A field of the state is compared by reading the last state of each run.
"""

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

    from graphengine.kernel.reader import GraphSpec
    from graphengine.kernel.store import Page, RunInfo, RunStore, Status, Store

_PAGE: Final = 200
NEWEST: Final = 1000
"""How many of the newest runs are searched for a similar word: enough for a misspelling, and quick."""
STATUSES: Final = ("queued", "running", "interrupted", "waiting", "finished", "stopped", "failed", "cancelled")
"""The statuses to select by; see `status_of`."""

COMPARED: Final = "whatif:"
"""How the tag of a branch begins that a comparison made, see `graphengine.testing.evaluation.what_if`."""

_PREFIX: Final = 8
_QUOTED: Final = re.compile(r"(?<!\w)'[^']*'(?!\w)|(?<!\w)'[^']*…$|\"[^\"]*\"|\"")
_ALIKE: Final = 140
"""How many characters of a `likeness` identify a message.

Summaries cut messages at 200 characters. What is left of two equal messages then differs by the lengths of the numbers
and names that are cut out of it.
"""
_NUMBERS: Final = re.compile(r"\d+")
_LONG: Final = re.compile(r"[0-9a-f]{8}")
_IDS: Final = re.compile(r"\b(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|(?=[a-f]*[0-9])[0-9a-f]{8,})\b")
_KIND: Final = re.compile(r"(?:[^:'\"]+: )?(?:[\w.#]+: )*")
_WORD: Final = re.compile(r"[^\W\d_]{2}")
_LOST: Final = {"failed_items", "failed_children", "fallbacks"}

ONLY_SEEN: Final = ("queued", "running", "interrupted")
"""Statuses that the store does not distinguish: whether there was a driver, and whether it is alive, separates them."""


class FieldComparison(NamedTuple):
    """A criterion that compares one field of a run with a value, such as `input.country=CH`.

    Attributes:
        name: The path of the field. It begins with `input` or `output` for a field that the graph records for searches,
            and with `state` for any field of the last state.
        sign: How the field is compared: `=`, `!=`, `<`, `<=`, `>` or `>=`.
        value: The value to compare with, as it was typed.
    """

    name: str
    sign: str
    value: str

    @property
    def is_scan(self) -> bool:
        """Whether the comparison is about the state, so that the state of each run must be read."""
        return self.name.startswith("state")

    def __str__(self) -> str:
        return self.name + self.sign + self.value


@dataclass(frozen=True, slots=True)
class Wanted:
    """The criteria of a search for runs. A criterion that is None is not checked.

    Attributes:
        limit: The maximum number of runs.
        status: The status as people see it, which can be `queued` or `interrupted`.
        graph: The name of the runs' graph.
        tag: A tag that the runs have.
        older_seconds: The minimum age of a run's last step, in seconds.
        newer_seconds: The maximum age of a run's last step, in seconds.
        before: The id of a run. Only runs that follow this run in the list are returned.
        text: Words by which runs are found; see `Store.runs`.
        begun_after: The runs began at this time or later, epoch seconds.
        begun_before: The runs began before this time, epoch seconds.
        cost_above: The models of a run cost more than this many US dollars, as known when the run's status last
            changed. A run whose cost is unknown is not found.
        tenant: The tenant of the runs.
        user: The user who started the runs.
        starter: The id of the run whose nodes started the runs.
        version: The label of the runs' deploy, or the beginning of the fingerprint of the graph with which they began.
        error: A part of the error with which a run failed, or the whole error after a `=`. Numbers and quoted names in
            it are not compared; see `likeness`.
        agent: The name of an agent that called a model in the run's own steps, as known when the run's status last
            changed.
        has_losses: Whether the runs finished with items or child runs that failed, or with the result of a fallback.
        fields: Comparisons of fields of the runs.
        run_id: The id of the run, if only one run is wanted.
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
    run_id: str | None = None

    def __str__(self) -> str:
        """Describe the criteria of a search in words that can follow `no runs`, such as ` with status failed`.

        Return "" if there are no criteria.
        """
        named = (
            ("status", self.status),
            ("id", self.run_id),
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
        """Whether the search has a criterion that `fits` has to check with the row of each run.

        These are the criteria about the id, cost, version, error, agents, losses or fields of a run, which the store
        cannot check.
        """
        by_rows = self.run_id, self.cost_above, self.version, self.error, self.agent, self.has_losses
        return any(each is not None for each in by_rows) or bool(self.fields)

    @property
    def is_read(self) -> bool:
        """Whether the search has a criterion that the store cannot check.

        Then this process must look at the row of each run.
        """
        by_rows = self.run_id, self.cost_above, self.version, self.error, self.agent, self.has_losses
        by_times = self.older_seconds, self.newer_seconds
        return (
            any(each is not None for each in (*by_rows, *by_times))
            or self.status in ONLY_SEEN
            or any(each.is_scan or each.sign != "=" for each in self.fields)
        )

    @property
    def recorded(self) -> Sequence[FieldComparison]:
        """The comparisons of fields that the store keeps with the rows of runs."""
        return [each for each in self.fields if not each.is_scan]

    @property
    def scanned(self) -> Sequence[FieldComparison]:
        """The comparisons for which the state of each run must be read."""
        return [each for each in self.fields if each.is_scan]

    def fits(self, info: RunInfo, now: float) -> bool:
        """Return whether a run meets those criteria that the store does not check, as far as the run's row shows."""
        old = now - info.updated_at
        return (
            (self.status is None or status_of(info) == self.status)
            and self.run_id in (None, info.id)
            and (self.older_seconds is None or old >= self.older_seconds)
            and (self.newer_seconds is None or old <= self.newer_seconds)
            and self.has(info.status, info.began_with, info.deploy, info.summary)
        )

    def has(self, status: str, began_with: str, deploy: str, summary: Summary | None) -> bool:
        """Return whether a run meets the criteria of a search that need the run's summary or version.

        These are the criteria about its cost, version, error, agents, losses and fields. Fields of the state are not
        checked here.
        """
        return (
            (self.cost_above is None or (summary is not None and (summary.cost_usd or 0.0) > self.cost_above))
            and (self.version is None or is_version(began_with, deploy, self.version))
            and (self.error is None or (status == "failed" and is_error(likeness(_reason_of(summary)), self.error)))
            and (self.agent is None or (summary is not None and self.agent in summary.agents))
            and (self.has_losses is None or self.has_losses == is_lossy(status, summary.losses if summary else ()))
            and (not self.fields or _has_fields(summary, self.recorded))
        )

    def page(self, limit: int, before: str | None) -> Page:
        """Return the arguments of `Store.runs` for the next page: the criteria that the store checks itself.

        `before` is the id of the last run of the previous page.
        """
        return {
            "limit": limit,
            "before": before,
            "status": stored_status(self.status),
            "graph": self.graph,
            "tag": self.tag,
            "text": " ".join(filter(None, (self.text, self.run_id))) or None,
            "begun_after": self.begun_after,
            "begun_before": self.begun_before,
            "tenant": self.tenant,
            "user": self.user,
            "starter": self.starter,
            "fields": self._texts_of_fields() or None,
        }

    def _texts_of_fields(self) -> dict[str, list[str]]:
        """Return the texts that each field of the search may have, so that the store can compare texts.

        Only `=` comparisons are included. A typed value can stand for several recorded texts: `7` can mean a number or
        a text.
        """
        found: dict[str, list[str]] = {}
        for each in self.recorded:
            if each.sign == "=":
                texts = Summary.texts_meant(each.value)
                found[each.name] = [text for text in found.get(each.name, texts) if text in texts]
        return found


def is_version(fingerprint: str, deploy: str, wanted: str) -> bool:
    """Return whether a run began under the version that a search asks for.

    `wanted` is the label of a deploy, or the beginning of the fingerprint of a graph.
    """
    return deploy == wanted or (bool(fingerprint) and fingerprint.startswith(wanted))


def version_of(fingerprint: str, deploy: str) -> str:
    """Return how a version is shown: the label of its deploy, or else the first 8 characters of its fingerprint."""
    return deploy or fingerprint[:_PREFIX]


def likeness(text: str) -> str:
    """Replace the numbers and quoted names in an error message by signs, so that similar errors get equal texts.

    Names are kept if the message contains no other words.

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


def error_key(text: str) -> str:
    """Return what identifies an error message in a group of equal errors: how its `likeness` begins."""
    return likeness(text)[:_ALIKE].strip()


def is_error(like: str, wanted: str) -> bool:
    """Return whether the error of a run matches the error text of a search. Both texts come from `likeness`.

    The searched text has to be a part of the error. If it begins with `=`, the rest is the whole error, of which only
    the beginning counts, because long messages are cut.
    """
    is_whole = wanted.startswith("=")
    return like[:_ALIKE].strip() == wanted[1:][:_ALIKE].strip() if is_whole else wanted in like


def is_lossy(status: str, losses: Collection[str]) -> bool:
    """Return whether a run finished although items or child runs failed, or with the result of a fallback."""
    return status == "finished" and not _LOST.isdisjoint(losses)


def _has_fields(summary: Summary | None, wanted: Sequence[FieldComparison]) -> bool:
    return not wanted or (summary is not None and all(summary.field_is(*each) for each in wanted))


def _reason_of(summary: Summary | None) -> str:
    return "" if summary is None else summary.reason


def stored_status(shown: str | None) -> Status | None:
    """Convert a status as people see it to the status in the store, where queued and interrupted runs are `running`."""
    return cast("Status | None", "running" if shown in ONLY_SEEN else shown)


def is_compared(info: RunInfo) -> bool:
    """Return whether a run is a branch that was started to compare versions, and not by a user."""
    return any(tag.startswith(COMPARED) for tag in info.tags)


async def as_answered(store: RunStore, runs: Sequence[RunInfo]) -> list[RunInfo]:
    """Return the rows of runs as if their stored answers had already been taken up.

    An answer is stored before the log of its run contains it. The summary of a run with such an answer is computed
    again, without the answered question.
    """
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
    """The result of a search for runs, with what the search could not see.

    Attributes:
        runs: The runs, the newest first.
        looked_at: How many states were read to compare fields of the state; `UNSET` if the search compares none.
        unseen: How many runs lack a recorded field of the search that other runs of their graph have. None if no run
            has the field; `UNSET` if the search names no recorded field.
    """

    runs: Sequence[RunInfo]
    looked_at: int | UnsetType = UNSET
    unseen: int | UnsetType | None = UNSET


def seen_lines(looked_at: int | UnsetType, unseen: int | UnsetType | None, unknown: Sequence[str] = ()) -> list[str]:
    """Return lines for people about the limits of a search for fields: which runs were not searched.

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
    """Return the newest runs that meet the criteria.

    Branches that were started to compare versions are included only if `compared` is true.

    Raises:
        StoreError: The runs cannot be read.
    """
    return (await find_runs(store, wanted, compared=compared)).runs


@dataclass(slots=True)
class Scan:
    """A search for runs, which yields all runs that meet the criteria.

    The store can check most of the criteria. This object checks the others.

    Attributes:
        store: The open store.
        wanted: The criteria; the `limit` is ignored.
        compared: Whether branches that were started to compare versions are included.
        looked_at: How many states were read so far; `UNSET` if the search compares no field of the state.
    """

    store: Store
    wanted: Wanted
    compared: bool = True
    looked_at: int | UnsetType = UNSET

    async def runs(self) -> AsyncGenerator[RunInfo]:
        """Yield the runs, the newest first.

        If their states must be read, the search ends after the newest 1,000 states.

        Raises:
            StoreError: The runs cannot be read.
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
    """Return the newest runs that meet the criteria, and how many runs the search could not judge.

    Branches that were started to compare versions are included only if `compared` is true.

    Raises:
        StoreError: The runs cannot be read.
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
    """Return whether the last state of a run passes all comparisons of a search with fields of the state.

    The result is False if this process cannot read the state.
    """
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
    is_text = any(isinstance(value, str) for value in found.values())
    spec = await store.graph_spec(info.fingerprint) if is_text else None  # a Decimal is recorded as a text
    decimals = {name for name in found if spec is not None and _is_decimal(spec, paths[name].root, paths[name].parts)}
    return all(
        each.name in found
        and Summary.value_is(found[each.name], each.sign, each.value, is_decimal=each.name in decimals)
        for each in wanted
    )


def _is_decimal(spec: GraphSpec, root: str, parts: Sequence[tuple[str, object]]) -> bool:
    """Return whether the description of a graph declares a field of its state, or of a model in it, as a `Decimal`."""
    described = spec.get("state", {}).get(root, "")
    for kind, name in parts:
        models = [fields for each in described.split(" | ") if (fields := spec.get("types", {}).get(each)) is not None]
        if kind != "name" or len(models) != 1:
            return False
        described = models[0].get(str(name), "")
    return "Decimal" in described.partition(",")[0].split(" | ")


@runtime_checkable
class _Lacking(Protocol):
    """A store that can count the runs that lack a recorded field of a search."""

    async def unsearched(self, page: Page, names: Mapping[str, bool]) -> int | None:
        """Count the runs that lack a recorded field of a search, although other runs of their graph have the field.

        Return None if no run has the field.

        Args:
            page: Selects the runs, without a criterion about their fields.
            names: The names of the fields. The value says whether runs have the field from their start on, and not only
                once they have finished.
        """
        ...


async def count_unseen(store: Store, wanted: Wanted) -> int | UnsetType | None:
    """Count the runs that a search by fields could not judge, because they lack a recorded field of the search.

    See `Found.unseen`.
    """
    names = {each.name: each.name.startswith("input") for each in wanted.recorded}
    if not names:
        return UNSET
    return await count_lacking(store, {**wanted.page(sys.maxsize, None), "fields": None}, names)


async def list_absent_fields(store: Store, wanted: Wanted) -> list[str]:
    """Return the recorded fields of a search that no run in the store has, for example because of a misspelling."""
    fields = {each.name: each for each in wanted.recorded}
    return [name for name, each in fields.items() if await count_unseen(store, replace(wanted, fields=(each,))) is None]


async def count_lacking(store: Store, page: Page, names: Mapping[str, bool]) -> int | None:
    """Count the runs that lack a recorded field of a search, although other runs of their graph have the field.

    Return None if no run has the field. The arguments are those of `_Lacking.unsearched`. For a store without that
    method, all rows are read.
    """
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
    """Yield the runs that have not ended, waiting runs first. `newer_seconds` is the maximum age of their last step.

    Raises:
        StoreError: The runs cannot be read.
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
    """Yield the runs that meet those criteria of a search that the store checks.

    The caller has to check the other criteria.
    """
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
    """Return a hint with similar names if no run has the graph or the tag of a search; "" if both exist."""
    from graphengine.kernel.extension import did_you_mean  # noqa: PLC0415 - listing runs must not load pydantic

    words: Sequence[tuple[Literal["graph", "tag"], str | None]] = (("graph", wanted.graph), ("tag", wanted.tag))
    for what, given in words:
        known = await other_words(store, given, what) if given else ()
        if given and known:
            return f"no run has the {what} {given!r}; {did_you_mean(given, known)}"
    return ""


async def other_words(store: Store, given: str, what: Literal["graph", "tag"]) -> Sequence[str] | None:
    """Return all existing names of graphs or tags if the given graph or tag does not exist; None if it exists.

    Only the tags of the newest runs are collected.
    """
    if what == "graph":
        graphs = {count.graph for count in await store.counts()}
        return None if given in graphs else sorted(graphs)
    if await store.runs(limit=1, tag=given):
        return None
    return sorted({tag for info in await store.runs(limit=NEWEST) for tag in info.tags})
