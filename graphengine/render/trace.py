"""What a recorded run did on its graphs, as a picture needs it: visits, edges taken, and where it stands.

Where a run stands is what the core's fold says; nothing is worked out anew here. Steps of a graph inside a graph count
at its place, whichever visit, arm or item they belong to. The edge that a step took is known by its source, target and
label. Where several edges share these, the number of conditions looked at before one held tells them apart.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from graphengine.engine.fold import evolve
from graphengine.engine.rebase import shifted
from graphengine.engine.snapshot import Snapshot
from graphengine.engine.steps import Attempt, Entered, Failed, Node, Shift, falls_back, outcome_of, usage_of
from graphengine.graph.options import START
from graphengine.history.timing import Stopwatch, open_seconds
from graphengine.render.accounts import Account
from graphengine.render.errors import RenderError
from graphengine.render.scopes import Places
from graphengine.render.standings import standings_of
from graphengine.render.words import counted, times_in_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from graphengine.engine.steps import Step
    from graphengine.render.scopes import Place, Scope, Spot
    from graphengine.render.standings import Move, Standing
    from graphengine.render.ways import Way

_ITEMS: Final = ("done", "failed for good")


@dataclass(frozen=True, slots=True)
class Trace:
    """A run on its graphs.

    Attributes:
        run_id: The run.
        summary: Its status and why it stopped, in words.
        visits: Completed visits by node; those of START count how often its graph began.
        facts: What else happened at a node, in words.
        standings: How it stands at those nodes where it does.
        taken: How often each way was taken, in the order of the ways, by graph.
        picked: How often a node that chooses picked each of its choices.
        forked: How often each fork was taken, by its graph, its node and its place among the ways of that.
        accounts: How long each node was driven, and what it spent on models.
        account: The same of the whole run.
    """

    run_id: str
    summary: str
    visits: Mapping[Spot, int]
    facts: Mapping[Spot, Sequence[str]]
    standings: Mapping[Spot, Standing]
    taken: Mapping[Place, Sequence[int]]
    picked: Mapping[tuple[Spot, str], int]
    forked: Mapping[tuple[Spot, int], int]
    accounts: Mapping[Spot, Account]
    account: Account


def trace_of(scopes: Mapping[Place, Scope], steps: Sequence[Step]) -> Trace:
    """What these steps did.

    Args:
        scopes: The graphs of the outline.
        steps: All steps of the run from seq 1 on, a parent's included.

    Raises:
        RenderError: The steps do not follow each other from 1 on.
    """
    snapshot, tally = Snapshot(), _Tally(scopes)
    try:
        for step in steps:
            if isinstance(step.data, Shift) and step.data.renamed:
                tally.rename(snapshot, step.data.renamed)
            tally.watch.see(step, was_idle=snapshot.status == "waiting")
            evolve(snapshot, step)
            tally.add(step)
    except (ValueError, LookupError) as error:
        raise RenderError(
            f"the steps do not make a run: {error}",
            where="steps=",
            repair="give every step from seq 1 on; a branch begins with its parent's",
        ) from error
    standings = standings_of(snapshot, tally.places, tally.moves)
    facts = tally.facts(standings)
    whole = Account(snapshot.elapsed_seconds if snapshot.frames else None, snapshot.usage)
    summary = "; ".join(part for part in (_summary(snapshot), whole.in_words()) if part)
    return Trace(
        run_id=snapshot.run_id,
        summary=summary,
        visits=tally.visits,
        facts=facts,
        standings=standings,
        taken=tally.taken,
        picked=tally.picked,
        forked=tally.forked,
        accounts=tally.accounts,
        account=whole,
    )


def _summary(snapshot: Snapshot) -> str:
    if not snapshot.frames:
        return "not begun"
    stop = snapshot.stop
    why = (stop.label or stop.explanation) if stop is not None else ""
    why = "" if why == "otherwise" else why  # a way without a condition has no more to say
    return f"{snapshot.status} after {counted(snapshot.steps, 'visit')}" + (f": {why}" if why else "")


class _Tally:
    """Counts of what the steps say, step by step."""

    def __init__(self, scopes: Mapping[Place, Scope]) -> None:
        self.scopes = scopes
        self.places = Places()
        self.moves: dict[str, Move] = {}
        self.visits: Counter[Spot] = Counter()
        self.taken = {place: [0] * len(scope.ways) for place, scope in scopes.items()}
        self.picked: Counter[tuple[Spot, str]] = Counter()
        self.forked: Counter[tuple[Spot, int]] = Counter()
        self.accounts: dict[Spot, Account] = {}
        self.watch = Stopwatch()
        self._open: dict[tuple[str, str, int], float] = {}
        self._told: Counter[tuple[Spot, str]] = Counter()

    def add(self, step: Step) -> None:
        """Count one step."""
        outcome, frame, node = outcome_of(step), step.frame, step.node
        place = self.places.of(frame)
        if step.kind in ("started", "entered"):
            if isinstance(step.data, Entered):
                place, frame = self.places.enter(step, step.data)
            node = START
            self.visits[place, START] += 1
        elif step.kind == "node" or (isinstance(step.data, Failed) and not step.data.has_failed):
            self.visits[place, node] += 1
        if isinstance(step.data, Node) and step.data.choice:
            self.picked[(place, node), step.data.choice] += 1
        if step.node:
            self._pay((place, node), step)
        for what in _what(step):
            self._told[(place, node), what] += 1
        if step.kind == "joined":  # the arms took their ways; the join takes none
            self.moves[frame] = ("", outcome.to[0] if outcome.to else "")
        elif step.kind in ("started", "entered", "node", "failed", "left"):
            self.moves[frame] = (node, outcome.to[0] if outcome.to else "")
            self._take(place, node, step)

    def rename(self, snapshot: Snapshot, renamed: Mapping[str, Mapping[str, str]]) -> None:
        """Count what was done so far under the names that nodes have from now on."""
        frames = dict(zip(snapshot.frames, shifted(snapshot, Shift(renamed=renamed)).frames, strict=True))
        own = {frame: self.places.of(frame) for frame in self.moves}
        names = self.places.rename(renamed, frames)
        self.visits = Counter({names.spot(spot): count for spot, count in self.visits.items()})
        self.picked = Counter({(names.spot(spot), choice): n for (spot, choice), n in self.picked.items()})
        self._told = Counter({(names.spot(spot), what): n for (spot, what), n in self._told.items()})
        self.accounts = {names.spot(spot): account for spot, account in self.accounts.items()}
        self.moves = {
            frames.get(frame, frame): (names.spot((own[frame], source))[1], names.spot((own[frame], target))[1])
            for frame, (source, target) in self.moves.items()
        }

    def facts(self, standings: Mapping[Spot, Standing]) -> dict[Spot, list[str]]:
        """Retries, fallbacks, failures, refusals and items by node, in words, unless its standing tells them."""
        facts: dict[Spot, list[str]] = {}
        for (spot, what), times in self._told.items():
            standing = standings.get(spot)
            told = standing is not None and standing.how == "failed" and what == "failed"
            count = times - told
            if what in _ITEMS:
                mapping = standing is not None and any(" done" in note for note in standing.notes)
                if not mapping:
                    facts.setdefault(spot, []).append(f"{counted(times, 'item')} {what}")
            elif count:
                facts.setdefault(spot, []).append(f"{what} {times_in_words(count)}")
        return facts

    def _pay(self, spot: Spot, step: Step) -> None:
        """Count how long a step took, and what it spent; what items took is in the time of their map.

        To put a question is no work: its node tells how long it was open, once it is answered.
        """
        scope = self.scopes.get(spot[0])
        asks = scope is not None and scope.nodes.get(spot[1], {}).get("kind") == "ask"
        timed = step.kind in ("node", "attempt", "failed") or (step.kind == "waiting" and not asks)
        took = self.watch.took(step) if timed else None
        usage = usage_of(step)
        waited = self._waited(step)
        if took is not None or usage or waited:
            self.accounts[spot] = self.accounts.get(spot, Account()).plus(took, usage, waited)

    def _waited(self, step: Step) -> float:
        """Seconds for which what a step answers was open, as far as no answer before it counts them."""
        visit = (step.frame, step.node, step.visit)
        since = self._open.get(visit, 0.0)
        if step.kind in ("waiting", "answered"):
            self._open[visit] = step.at
            return max(0.0, step.at - since) if since and step.kind == "answered" else 0.0
        return (open_seconds(step) or 0.0) if step.kind in ("node", "failed") else 0.0

    def _take(self, place: Place, source: str, step: Step) -> None:
        scope = self.scopes.get(place)
        if scope is None:
            return
        ways = (_way_of(scope.ways, source, target, step) for target in outcome_of(step).to)
        found = {index for index in ways if index is not None}
        for index in found:
            self.taken[place][index] += 1
        self.forked.update({((place, source), scope.ways[index].order) for index in found if scope.ways[index].fork})


def _what(step: Step) -> Iterator[str]:
    """What a step says that a reader wants to know beside the visits."""
    if isinstance(step.data, Attempt) and step.data.due_at is not None:
        yield "tried again"
    elif step.kind == "item":
        yield "done"
    elif step.kind == "failed":
        yield "failed for good" if step.frame.endswith("]") else "failed"
    elif step.kind == "refused" and step.node:
        yield "refused an answer"
    if falls_back(step):
        yield "fell back"


def _way_of(ways: Sequence[Way], source: str, target: str, step: Step) -> int | None:
    """The way a step took to a target; None if the graph has no such way (any more)."""
    label = outcome_of(step).edge
    failure = step.kind == "failed"
    found = [
        index
        for index, way in enumerate(ways)
        if (way.source, way.target, way.failure) == (source, target, failure) and label in way.recorded
    ]
    order = outcome_of(step).why.count("; ")
    return next((index for index in found if ways[index].order == order), found[0] if found else None)
