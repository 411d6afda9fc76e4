"""Find the questions to people in a database, and the answers with the outcome of their runs.

Open questions are counted from the rows of waiting runs, as far as the rows suffice. Answers are found in the logs of
runs. Each log is read once, and later only its new steps.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast

from graphengine.errors import StoreError
from graphengine.kernel.inside import find_posted
from graphengine.kernel.reader import Answered, AttemptEnded, Waiting, show, waits_of
from graphengine.records.json_document import ListedRun, runs_document
from graphengine.records.now import load_now
from graphengine.records.selection import as_answered
from graphengine.serve.read_documents import Decided, Questions
from graphengine.serve.reads.about import ASKS, about, told_apart

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphengine.kernel.reader import Snapshot, Step, Wait
    from graphengine.kernel.store import RunInfo, Status, Store

_PAGE: Final = 200
_PAGES: Final = 10
"""The maximum number of pages of waiting runs that are read, newest first."""
_NEWEST: Final = 400
"""How many runs are searched for answers.

This many of the newest waiting runs, of the newest running runs, and of the newest runs of any status are searched.
"""
_STEPS: Final = 300
"""How many of the last steps of a run are read when the run is searched for the first time."""
_KEPT: Final = _PAGE * _PAGES + 8 * _NEWEST
_DAYS: Final = 7 * 86_400.0


async def asking(store: Store) -> Sequence[RunInfo]:
    """Return the runs that wait and may have an open question to a person, newest first.

    The short summary of a run does not tell exactly what the run waits for, so some of the returned runs may have no
    question.
    """
    found: list[RunInfo] = []
    before: str | None = None
    for _ in range(_PAGES):
        infos = await store.runs(limit=_PAGE, status="waiting", before=before)
        found += [each for each in infos if each.summary is None or each.summary.kind in ASKS or each.summary.waits > 1]
        if len(infos) < _PAGE:
            break
        before = infos[-1].id
    return found


async def open_count(store: Store) -> int:
    """Return how many questions of runs to people are open, as the page that lists these questions shows them."""
    infos = await asking(store)
    inbox = await store.inbox([info.id for info in infos]) if infos else ()
    number = 0
    for info in infos:
        if info.summary is not None and info.summary.waits == 1 and not find_posted(inbox, info.id):
            number += 1
        else:
            with suppress(StoreError):  # the run was removed in the meantime, or cannot be read
                number += len(_list_open_asks(await load_now(store, info.id)))
    return number


def _list_open_asks(snapshot: Snapshot) -> list[Wait]:
    return [wait for wait in waits_of(snapshot) if wait.kind in ASKS and wait.answered is None]


@dataclass(slots=True)
class _AskLog:
    """The questions and answers in the part of a run's log that was read so far.

    When the log grows, only its new steps have to be read.

    Attributes:
        graph: The name of the run's graph.
        seq: The number of the last step that was read.
        questions: The text of the last question under each name, such as `approve`.
        answers: The step of each answer, with the name of its wait and its question.
    """

    graph: str
    seq: int
    questions: dict[str, str] = field(default_factory=dict)
    answers: list[tuple[Step, str, str]] = field(default_factory=list)

    def feed(self, steps: Sequence[Step]) -> None:
        """Record the questions and answers that some new steps of the run's log contain."""
        for step in steps:
            self.seq, facts = step.seq, step.data
            if isinstance(facts, Waiting):
                self.questions |= {name: show(wait.question) for name, wait in facts.waits.items() if wait.kind in ASKS}
            elif isinstance(facts, (Answered, AttemptEnded)) and facts.by == "answer" and facts.wait in self.questions:
                self.answers.append((step, facts.wait, self.questions[facts.wait]))


class QuestionLog:
    """Finds the questions that runs have asked people, and the answers, by reading the logs of the runs.

    What was read from a log is remembered, so that the next request reads only the new steps.

    Args:
        store: The store, limited to what the caller can see.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._logs: OrderedDict[tuple[str, str, float], _AskLog] = OrderedDict()

    async def questions(self, only: str | None, answerers: Sequence[str]) -> Questions:
        """Return the open questions of runs to people, and the answers of the last seven days.

        Args:
            only: Include only the questions and answers of the run with this id; None includes all runs.
            answerers: The names of the users who may answer, which become part of the result.
        """
        store = self._store
        found = await (store.infos([only]) if only else asking(store))
        snapshots: dict[str, Snapshot] = {}
        for info in found:
            with suppress(StoreError):  # the run was removed in the meantime, or cannot be read
                snapshots[info.id] = await load_now(store, info.id)
        runs = [run for run in runs_document(found, snapshots).runs if run.run_id in snapshots]
        done = [each for run in runs for each in _read_posted(run)]
        for run in runs:
            run.waits = _list_open_asks(snapshots[run.run_id])
        looked_at, is_cut = found, False
        if not only:
            looked_at, is_cut = await self._list_runs_to_look_at(found)
        since = time.time() - _DAYS
        for info in looked_at:
            # An asking run is known, even after it is answered and ends.
            if info.updated_at > since or info.id in snapshots:
                done += [each for each in await self._load_decided(info) if only or each.at > since]
        done.sort(key=lambda each: -each.at)
        runs = [run for run in runs if run.waits]
        shown = [(run, snapshots[run.run_id]) for run in runs]
        contexts = told_apart(shown, {run.run_id: about(snapshot) for run, snapshot in shown})
        return Questions(
            runs=runs, about=contexts, done=done, answerers=answerers, looked_at=len(looked_at) if is_cut else None
        )

    async def _list_runs_to_look_at(self, open_now: Sequence[RunInfo]) -> tuple[Sequence[RunInfo], bool]:
        """Return the runs whose logs are searched for people's answers, and whether other runs may contain answers.

        Three kinds of runs are searched: the newest runs, the newest runs of each graph that is known to ask questions,
        and each run that is known to have asked a question, whenever the run began.

        Args:
            open_now: The runs with an open question, which are searched in any case.
        """
        found, since = {info.id: info for info in open_now}, time.time() - _DAYS
        newest: Sequence[RunInfo] = ()
        statuses: tuple[Status | None, ...] = ("waiting", "running", None)
        for status in statuses:
            newest = await self._store.runs(limit=_NEWEST, status=status)
            found |= {info.id: info for info in newest}
        is_cut = len(newest) == _NEWEST  # a run that began long before these runs may have been answered yesterday
        for info in found.values():
            if info.updated_at > since:
                await self._load_log(info)
        graphs = {info.graph for info in open_now} | {log.graph for log in self._logs.values() if log.questions}
        for graph in sorted(graphs):
            found |= {info.id: info for info in await self._store.runs(limit=_NEWEST, graph=graph)}
        asked = [run_id for (run_id, *_), log in self._logs.items() if log.questions and run_id not in found]
        return [*found.values(), *await self._store.infos(asked)], is_cut

    async def _load_log(self, info: RunInfo) -> _AskLog:
        """Return the questions and answers in the log of a run. Only steps that were not read before are read."""
        key = (info.id, info.nonce, info.created_at)
        log = self._logs.setdefault(key, _AskLog(info.graph, max(info.parent_seq, info.seq - _STEPS)))
        self._logs.move_to_end(key)
        while len(self._logs) > _KEPT:
            self._logs.popitem(last=False)
        if log.seq < info.seq:
            with suppress(StoreError):
                log.feed(await self._store.steps(info.id, log.seq, info.seq))
        return log

    async def _load_decided(self, info: RunInfo) -> list[Decided]:
        """Return the answers of people that a run has used, from the run's log."""
        log = await self._load_log(info)
        if not log.answers:
            return []
        (now,) = runs_document(await as_answered(self._store, [info])).runs
        found: list[Decided] = []
        for step, wait, question in log.answers:
            answer = cast("Answered", step.data).answer
            found.append(_build_decision(now, (wait, answer.id, question), answer, answer.at or step.at, is_taken=True))
        return found


def _read_posted(run: ListedRun) -> list[Decided]:
    """Return the answers of people to a run's questions that the run has not used yet.

    Until the run uses such an answer, the answer waits in the inbox of the run.
    """
    found = [wait for wait in run.waits if wait.kind in ASKS]
    return [
        _build_decision(run, (each.name, each.id, each.question), each.answered, each.answered.at, is_taken=False)
        for each in found
        if each.answered is not None
    ]


def _build_decision(
    run: ListedRun,
    asked: tuple[str, str, str],
    given: Any,  # noqa: ANN401 - an answer in a log, or an answer that is posted
    at: float,
    *,
    is_taken: bool,
) -> Decided:
    is_over = run.status in ("finished", "failed", "stopped", "cancelled")
    return Decided(
        run_id=run.run_id,
        graph=run.graph,
        title=run.title,
        wait=asked[0],
        id=asked[1],
        question=asked[2],
        value=given.value,
        by=given.by,
        at=at,
        reason=given.reason,
        is_taken=is_taken,
        status=run.status,
        ended=run.summary.reason if is_over and run.summary is not None else "",
    )


__all__ = ["ASKS", "QuestionLog", "open_count"]
