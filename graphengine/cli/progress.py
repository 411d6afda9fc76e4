"""The live progress of a run: a line when a node starts, and a line or two when it ends.

A map shows a count of its items, in at most ten lines, and its first failures. For a node in a loop, the first visits
that lead to the same node are shown. After that, the visits are counted, and a line is shown each time that their
number has doubled. Work below an item, such as the nodes of a graph, is only shown if it asks a question. On a
terminal, a transient line at the bottom shows the end of the text that a model is writing. Otherwise the line shows a
bar for a map with the estimated remaining time, or the nodes at work and for how long.
"""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TextIO

from typing_extensions import TypeVar

from graphengine.agents.live_events import AnswerReset, TextDelta
from graphengine.cli.steps import arrow, explained, is_reported_at_end
from graphengine.cli.terminal import STATUS_STYLES, Channel, making_room, wrapped
from graphengine.kernel.extension import Emitted, NodeBegan
from graphengine.kernel.inside import child_id, progress_of, without_items
from graphengine.kernel.reader import Collecting, Joined, Node, path_of
from graphengine.records.account import Account, account_of
from graphengine.records.visit_tree import is_by_answer
from graphengine.records.visits import Visits
from graphengine.records.words import compact, counted, one_line, seconds

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from graphengine.cli.terminal import Part
    from graphengine.kernel.extension import Event, Result, Run
    from graphengine.kernel.reader import Step
    from graphengine.records.visit_tree import Entry

S = TypeVar("S")
Out_co = TypeVar("Out_co", covariant=True, default=object)

_VERBS: Final = {
    "started": "bold",
    "done": "green",
    "answered": "green",
    "items": "green",
    "retry": "yellow",
    "fallback": "yellow",
    "waits": "bold yellow",
    "refused": "yellow",
    "failed": "bold red",
}
_FAILURES: Final = 5
_VISITS: Final = 3
"""How many visits of a node that take the same edge are shown one by one."""
_BAR_COLUMNS: Final = 20
_LEAST_BAR_COLUMNS: Final = 5
_TENTHS: Final = 10
_KEPT_CHARACTERS: Final = 500  # characters of a model's text, more than fit on a line of any terminal
_PATH_CHARACTERS: Final = 40
_SHOWN_SECONDS: Final = 0.05
_TICK_SECONDS: Final = 0.25
_READ_SECONDS: Final = 2.0
"""How long the end of a model's text stays visible after its last piece."""
_INDENT: Final = 9
_NAMED: Final = 3
"""The maximum number of nodes at work that are shown by name. Further nodes are counted."""
_MAP_ENDS: Final = ("node", "failed", "attempt")
_ENDS: Final = ("attempt", "node", "failed")
_ITEM_ENDS: Final = ("attempt", "item", "failed")
_SHOWN_ANYWHERE: Final = ("waiting", "answered", "refused", "message")
"""The kinds of steps that are shown even inside an item of a map."""
_INSIDE: Final = ("recorded", "message", "refused", "begun")
"""The kinds of steps after which their node is still at work."""


@dataclass(slots=True)
class _MapProgress:
    """Counts how many items of one map have ended, so that a command can show the progress of the map.

    Attributes:
        path: The path of the map.
        total: The number of items.
        since: The time from which on items are counted to estimate the remaining time. It is the time at which the map
            began, its run was last resumed, or this process joined.
        done: The number of items that have ended.
        failed: The number of items that failed.
        by_fallback: The number of items with the result of their fallback, as far as this process saw them end.
        before: The number of items that had already ended at the time `since`. The estimate does not use them.
        shown: The number of items that had ended when a line about the map was last written.
    """

    path: str
    total: int
    since: float
    done: int = 0
    failed: int = 0
    by_fallback: int = 0
    before: int = 0
    shown: int = 0

    @property
    def needs_line(self) -> bool:
        """Whether the count has grown enough for a new line: past another tenth of the items, or to the end."""
        return self.done == self.total or self.done * _TENTHS // self.total > self.shown * _TENTHS // self.total

    def __str__(self) -> str:
        return f"{self.done:,} of {counted(self.total, 'item')} done{self._faults}"

    @property
    def _faults(self) -> str:
        failed = f", {self.failed:,} failed" if self.failed else ""
        return failed + (f", {self.by_fallback:,} by fallback" if self.by_fallback else "")

    def bar(self, at: float, columns: int) -> str:
        """Draw the share of the items that have ended as a bar, with the estimated time for the rest.

        Args:
            at: The current time, in epoch seconds.
            columns: The available columns. The bar is as long as the text next to it allows, or is left out.
        """
        fresh, elapsed = self.done - self.before, at - self.since
        seconds_left = max(1.0, (self.total - self.done) * elapsed / fresh) if fresh > 0 else 0.0
        rest = f", about {_whole_seconds(seconds_left)} left" if seconds_left else ""
        text = f"{self.done:,} of {self.total:,}{self._faults}{rest}"
        path = one_line(self.path, _PATH_CHARACTERS)
        room = min(_BAR_COLUMNS, columns - len(f"{path}: [] {text}"))
        filled = "#" * (self.done * room // max(1, self.total))
        return f"{path}: [{filled:.<{room}}] {text}" if room >= _LEAST_BAR_COLUMNS else f"{path}: {text}"


@dataclass(slots=True)
class _RepeatedVisits:
    """Counts visits to a node in a loop that all took the same edge, because only the first are shown one by one.

    Attributes:
        visits: The number of visits.
        last: The last visit.
        unshown: The number of visits that were not shown yet, and that a later line will sum up.
        took: The duration of the unshown visits, in seconds.
    """

    visits: int = 0
    last: Account | None = None
    unshown: int = 0
    took: float = 0.0


class Progress:
    """Shows the events of one run on a channel.

    The event that a node began is not recorded, and can arrive late or twice. It is shown once, before the node's end.

    Args:
        channel: The channel to write to.
        is_live: Whether to show the text of models while they write it.
        now: The clock, in seconds.
    """

    def __init__(
        self,
        channel: Channel,
        *,
        is_live: bool = True,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.visits = Visits(keeps=False)
        self._channel = channel
        self._is_live = is_live and channel.is_live
        self._now = now
        self._model_texts: dict[tuple[str, str], str] = {}  # the end of each model's text, by node and agent
        self._shown_at = 0.0
        self._unshown: tuple[str, str] | None = None  # node and agent of a text that arrived too early to be shown
        self._begun: dict[str, tuple[int, int]] = {}
        self._falls_back: dict[str, int] = {}  # the visit whose fallback is run, by path
        self._maps: dict[str, _MapProgress] = {}  # by the frame of the items, without their index
        self._at_work: dict[str, NodeBegan] = {}  # by path
        self._repeated_visits: dict[tuple[object, ...], _RepeatedVisits] = {}  # by path, kind and edge
        self._in_loops: set[str] = set()  # paths whose further visits are only counted

    def show(self, event: Event) -> None:
        """Show an event of the run, such as a step that was recorded or a text that a model is writing."""
        if isinstance(event, TextDelta):
            self._show_model_text(event)
        elif isinstance(event, NodeBegan):
            self._at_work[event.path] = event
            if "[" not in event.path:
                self.began(event.path, event.visit, event.attempt)
        elif isinstance(event, AnswerReset):
            self._model_texts.pop((event.path, event.agent), None)
        elif isinstance(event, Emitted):
            self._show_line("emit", event.path, f": {compact(event.data)}")
        else:
            from graphengine.kernel.extension import StepRecorded

            if isinstance(event, StepRecorded):
                self.recorded(self.visits.feed(event.step), event.why)

    def recorded(self, entry: Entry, why: str) -> None:
        """Show a step that the run has recorded. `why` is the reason for which the run took its edge."""
        step = entry.step
        self._model_texts = {key: text for key, text in self._model_texts.items() if key[0] != step.path}
        self._update_work(step)
        is_shown_anywhere, is_inside = step.kind in _SHOWN_ANYWHERE, "[" in step.frame
        if is_inside and not is_shown_anywhere and step.kind not in _ITEM_ENDS:
            return
        account = account_of(entry, why, why_limit=1000)
        if is_shown_anywhere:
            self._show_wait(account)
        elif is_inside:
            self._count_item(step, account)
        else:
            self._show_step(entry, account)

    def _show_model_text(self, delta: TextDelta) -> None:
        """Show the end of the text that a model is writing, at most 20 times a second."""
        if not self._is_live or "[" in delta.path:  # a bar is shown for the items of a map
            return
        key = (delta.path, delta.agent)
        text = self._model_texts[key] = (self._model_texts.get(key, "") + delta.text)[-_KEPT_CHARACTERS:]
        self._unshown = key
        if self._now() - self._shown_at >= _SHOWN_SECONDS:
            self._show_text(delta.path, text)

    def _show_text(self, path: str, text: str) -> None:
        self._unshown = None
        self._shown_at = self._now()
        self._channel.transient(f"{'writes':<9} {one_line(path, _PATH_CHARACTERS)}: ", text)

    def continues(self, visits: Visits) -> None:
        """Set the state of the run from which this display continues, before the next event is shown."""
        self.visits = visits
        self._count_maps(visits.snapshot.now)

    def _count_maps(self, at: float) -> None:
        """Count how many items of each map have ended, given the state of a run that is resumed or watched.

        Maps inside items of other maps are left out.
        """
        earlier, self._maps = self._maps, {}
        for frame in self.visits.snapshot.frames.values():
            phase = frame.phase
            if isinstance(phase, Collecting) and "[" not in frame.id:
                key, now = child_id(frame.id, frame.at), progress_of(path_of(frame.id, frame.at), phase)
                by_fallback, done = earlier[key].by_fallback if key in earlier else 0, now.done + now.failed
                count = _MapProgress(now.path, now.of, at, done, now.failed, by_fallback)
                count.before = count.shown = done
                self._maps[key] = count

    def counts(self) -> None:
        """Show how many items of each running map have ended."""
        for count in self._maps.values():
            self._show_line("items", count.path, f": {count}")

    def idles(self) -> None:
        """Stop showing nodes at work, because the run waits or no process drives it."""
        self._at_work.clear()
        self._channel.wipe()
        self.show_counted()

    def show_counted(self) -> None:
        """Show the visits that were only counted since the last line about them."""
        for repeated in self._repeated_visits.values():
            self._show_repeated_visits(repeated)

    def _show_repeated_visits(self, repeated: _RepeatedVisits) -> None:
        if repeated.last is not None and repeated.unshown:
            many = f"{repeated.unshown:,} visits, up to " if repeated.unshown > 1 else ""
            text = f" ({many}visit {repeated.last.visit:,}) in {seconds(repeated.took)}"
            self._show_line("again", repeated.last.path, text, *arrow(repeated.last))
            repeated.unshown, repeated.took = 0, 0.0

    def _count_visit(self, step: Account) -> bool:
        """Count a visit of a node that ended, and return whether the visit needs no line of its own.

        A visit needs no line if several earlier visits of the node took the same edge.
        """
        if step.kind not in ("node", "left", "joined") or step.is_trouble:
            return False
        key = (step.path, step.kind, *step.targets, step.edge, step.choice)
        repeated = self._repeated_visits.setdefault(key, _RepeatedVisits())
        repeated.visits += 1
        if repeated.visits <= _VISITS:
            if repeated.visits == 1:
                self.show_counted()
            return False
        self._in_loops.add(step.path)
        repeated.last, repeated.unshown, repeated.took = step, repeated.unshown + 1, repeated.took + (step.took or 0.0)
        if repeated.visits & (repeated.visits - 1) == 0:
            self._show_repeated_visits(repeated)
        return True

    def _update_work(self, step: Step) -> None:
        if step.kind in ("resumed", "branched"):
            self._count_maps(step.at)  # items that had failed begin again
        elif step.kind in _MAP_ENDS:
            self._maps = {key: count for key, count in self._maps.items() if count.path != step.path}
        if step.kind not in _INSIDE:
            self._at_work.pop(step.path, None)
        # A join can cancel arms. Their nodes have paths in this graph, and are no longer at work.
        if isinstance(step.data, Joined) and step.data.cancelled:
            graph = step.path.rpartition("/")[0]
            self._at_work = {path: each for path, each in self._at_work.items() if path.rpartition("/")[0] != graph}

    @asynccontextmanager
    async def ticking(self, clock: Callable[[], float] = time.time) -> AsyncIterator[None]:
        """Show on a terminal, inside this `with` block, which nodes are at work and for how long.

        The line is redrawn regularly. `clock` returns the current time in epoch seconds.
        """
        if not self._is_live:
            yield
            return

        async def tick() -> None:
            while True:
                await asyncio.sleep(_TICK_SECONDS)
                self.tick(clock())

        ticker = asyncio.create_task(tick(), name="graphengine progress")
        try:
            with making_room(self._channel):
                yield
        finally:
            ticker.cancel()
            self._channel.wipe()

    def tick(self, at: float) -> None:
        """Redraw the transient line: a model's text, a bar for the map with most remaining items, or the nodes at work.

        Args:
            at: The current time, in epoch seconds.
        """
        if not self._is_live:
            return
        if self._unshown in self._model_texts:
            self._show_text(self._unshown[0], self._model_texts[self._unshown])
            return
        if not self._at_work:
            return
        if self._model_texts and self._now() - self._shown_at < _READ_SECONDS:
            return
        bars = [count for count in self._maps.values() if count.done < count.total]
        if bars:
            longest, head = max(bars, key=lambda count: count.total - count.done), f"{'items':<9}"
            room = (self._channel.columns or 0) - 1 - len(head)
            self._channel.transient(head, longest.bar(at, room), keeps_end=False)
            return
        self._channel.transient(f"{'at work':<9}", in_flight(list(self._at_work.values()), at), keeps_end=False)

    def sleeps(self, until: str) -> None:
        self.idles()
        self._show_line("sleeps", f"until {until}; Ctrl-C leaves the run waiting")

    def began(self, path: str, visit: int, attempt: int) -> None:
        """Show that a node started. An attempt is shown only once, although its start can be reported several times."""
        if self._begun.get(path, (0, 0)) >= (visit, attempt):
            return
        self._begun[path] = (visit, attempt)
        if path in self._in_loops and attempt == 1:
            return
        is_fallback = self._falls_back.get(path) == visit
        again = f", attempt {attempt}" if attempt > 1 and not is_fallback else ""
        self._show_line("started", path, f" (visit {visit}{again})", ": its fallback" if is_fallback else "")

    def _show_step(self, entry: Entry, account: Account) -> None:
        step, took = entry.step, f" in {seconds(account.took)}" if account.took is not None else ""
        if step.kind == "recorded" or (step.kind in _ENDS and step.began and self._is_own(entry)):
            self.began(step.path, step.visit, step.attempt)
        if self._count_visit(account):
            return
        if step.kind == "attempt":
            self._show_attempt_end(account, took)
        elif step.kind in ("node", "failed"):
            self._show_node_end(entry, account, took)
            self._show_below(account.why, "dim")
        elif step.kind in ("left", "joined"):
            verb = "left" if step.kind == "left" else "failed" if account.is_trouble else "joined"
            self._show_line(verb, account.path, *(arrow(account) if step.kind == "left" else ()))
            self._show_below(account.why, "dim")
        elif step.kind in ("mapped", "entered", "recorded"):
            self._show_inside(step, account)
        elif step.kind in ("resumed", "branched"):
            for text in account.lines:
                self._show_line(step.kind, text)
            for text in account.shifts:
                self._show_line("changed", text.removeprefix("the graph changed: "))

    def _show_inside(self, step: Step, account: Account) -> None:
        """Show that a visit to a node has begun a nested graph or the items of a map, or has recorded a call."""
        path = account.path
        if account.kind == "mapped":
            self._maps[child_id(step.frame, step.node)] = _MapProgress(path, account.count, account.at)
        if path in self._in_loops:
            return
        if account.kind == "mapped":
            self._show_line("items", path, f": {account.text}")
        elif account.kind == "entered":
            self._show_line("entered", path, f": {account.text}", *arrow(account))
        else:
            self._show_line("recorded", path, f": {account.lines[0]} ({seconds(step.at - step.began)})")

    def _show_wait(self, account: Account) -> None:
        """Show that a node asks a question or waits, or that an answer or a message arrived.

        Items of maps are included.
        """
        if account.kind == "waiting":
            self.show_counted()
            for line in account.lines:
                self._show_line("waits", account.path, f": {line}")
            return
        self._show_line(account.kind, f"{account.path}: " if account.path else "", "; ".join(account.lines))

    def _count_item(self, step: Step, account: Account) -> None:
        """Count an item of a map that has ended.

        Items of a map inside an item, and steps inside an item, are not counted.
        """
        key, _, index = step.frame.rpartition("[")
        if "[" in key or not index.endswith("]"):
            return
        count = self._maps.get(key)
        if count is None:  # the map has already ended
            return
        if account.is_trouble:
            count.failed += step.kind == "failed"
            self._show_item_failure(account, count)
        if step.kind == "attempt":
            return
        count.done += 1
        count.by_fallback += account.is_fallback
        if count.needs_line and count.path not in self._in_loops:
            count.shown = count.done
            self._show_line("items", count.path, f": {count}")

    def _show_item_failure(self, step: Account, count: _MapProgress) -> None:
        """Show that an item of a map failed. After the first failures, further failures of the map are only counted."""
        if step.kind == "item" and self._falls_back.pop(step.path, 0):
            return  # the failure before the fallback was already shown
        if step.is_replaced:
            self._falls_back[step.path] = step.visit
        begun, attempt = self._begun.get(f"failures of {count.path}", (0, 0))
        self._begun[f"failures of {count.path}"] = (begun + 1, attempt)
        if begun < _FAILURES:
            is_fallback = step.kind == "item" or step.path in self._falls_back
            verb = "failed" if step.kind == "failed" else "fallback" if is_fallback else "retry"
            self._show_line(verb, step.path, f" (attempt {step.attempt} failed): {step.error}")
        elif begun == _FAILURES:
            self._show_line("", (f"further failures of {count.path} are counted only", "dim"))

    def _show_attempt_end(self, step: Account, took: str) -> None:
        which = f" (visit {step.visit}, attempt {step.attempt})"
        if step.is_replaced:
            self._falls_back[step.path] = step.visit
            self._show_line("failed", step.path, f"{which}{took}; its fallback is run")
        else:
            wait = seconds(max(0.0, step.due - step.at) if step.due is not None else 0.0)
            self._show_line("retry", step.path, f"{which} failed{took}; next attempt in {wait}")
        self._show_below(step.error)

    def _show_node_end(self, entry: Entry, step: Account, took: str) -> None:
        verb = "failed" if step.kind == "failed" else "fallback" if step.is_fallback else "done"
        choice = f", chose {step.choice}" if step.choice else ""
        ended = f", ended [{step.inside}]" if step.inside else ""
        reply = f": {step.words}" if step.text else ""
        self._show_line(verb, step.path, f" (visit {step.visit}{choice}{ended}){took}{reply}", *arrow(step))
        if step.error and not is_reported_at_end(entry, step):
            self._show_below(f"in place of {step.error}" if verb == "fallback" else step.error)

    def _is_own(self, entry: Entry) -> bool:
        """Return whether a node did the work of this visit by itself, so that its start must be shown before its end.

        The result is False if a nested graph or a map did the work, or if the visit ended with an answer.
        """
        has_graph = isinstance(entry.step.data, Node) and entry.step.data.inside is not None
        return not has_graph and entry.began >= self.visits.time.since and not is_by_answer(entry.step)

    def _show_below(self, text: str, style: str = "") -> None:
        """Show a text that belongs to the line above it, such as the error of a step or the reason for its edge.

        An empty text is not shown. On a terminal, the text is wrapped and indented.
        """
        columns = self._channel.columns
        for part in [text] if columns is None and text else wrapped(text, (columns or 0) - _INDENT):
            self._show_line("", (part, style))

    def _show_line(self, verb: str, first: Part, *rest: Part) -> None:
        """Show a line that begins with a verb, such as `started`. On a terminal, it is wrapped between words."""
        path: Part = (first, "bold") if isinstance(first, str) and verb else first
        self._channel.prose((f"{verb:<9}", _VERBS.get(verb, "dim")), path, *rest, indent=_INDENT)


def in_flight(begun: Sequence[NodeBegan], at: float) -> str:
    """Describe which nodes are at work, and for how long, such as `write 3 s, review (5 items) 10 s`.

    Args:
        begun: An event for each of these nodes, which says when the node began.
        at: The current time, in epoch seconds.
    """
    nodes: dict[str, list[NodeBegan]] = {}
    for each in begun:
        nodes.setdefault(without_items(each.path), []).append(each)
    texts = []
    for path, works in list(nodes.items())[:_NAMED]:
        first = min(works, key=lambda work: work.at)
        again = f" (visit {first.visit})" if first.visit > 1 and first.path == path else ""
        items = f" ({counted(len(works), 'item')})" if first.path != path else ""
        texts.append(f"{one_line(path, _PATH_CHARACTERS)}{again or items} {_whole_seconds(at - first.at)}")
    more = len(nodes) - _NAMED
    return ", ".join(texts) + (f" and {more} more" if more > 0 else "")


def _whole_seconds(duration: float) -> str:
    """Format the duration of unfinished work in whole seconds, because fractions would change too fast to read."""
    return seconds(duration) if duration >= 60 else f"{max(0, int(duration))} s"  # noqa: PLR2004 - a minute


async def show(run: Run[S, Out_co], *, stream: TextIO | None = None) -> Result[S, Out_co]:
    """Show a run live, as `graphengine run` does, and return its result.

    `show` writes one line for each node that starts or ends, with the edge that was taken and the reason for taking it.
    For a map, which runs a node once for each item of a list, `show` writes one line with the number of finished items.

    On a terminal, `show` adds a last line that tells what is happening now. This line shows the end of the text that a
    model is writing, a progress bar of a map with the estimated remaining time, or the nodes that are running.

    Args:
        run: A handle, as `Runner.start`, `resume` or `get` returned it.
        stream: Where to write; stderr if not given.

    Raises:
        RunFailed: The run failed; the error contains the result.
        GraphEngineError: The run could not be started, recorded or claimed.

    Example:
        >>> import sys
        >>> async def main() -> None:
        ...     async with Runner() as runner:
        ...         result = await show(runner.start(count, {"n": 2}, run_id="first"), stream=sys.stdout)
        ...         print(result.state.n)
        >>> asyncio.run(main())
        started  more (visit 1)
        done     more (visit 1) in ... -> END
                 n 3 >= 3: yes
        finished first: n 3 >= 3: yes
        3
    """
    from graphengine.kernel.extension import RunEnded, RunFailed

    channel = Channel(sys.stderr if stream is None else stream, must_arrive=False)
    progress = Progress(channel)
    async with progress.ticking(), aclosing(run.events()) as events:
        async for event in events:
            if not isinstance(event, RunEnded):
                progress.show(event)
                continue
            result: Result[S, Out_co] = event.result
            progress.idles()
            why = explained(result.ending.why if result.ending is not None else "", 1000)
            channel.prose((result.status, STATUS_STYLES[result.status]), f" {run.id}", f": {why}" if why else "")
            if result.status == "failed":
                raise RunFailed(result)
            return result
    return await run.result()
