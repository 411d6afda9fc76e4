"""The commands of `runner_machine`, and those that maintain a store: tag, prune, recover.

The runs that a prune must remove are computed here a second time, from the runs' stories. It never removes a run that
is in progress or waits, that a live process drives, or that a remaining branch needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import Any

from hypothesis import event
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from graphengine.errors import UnknownRun
from graphengine.kernel.testing.kit import refused
from graphengine.runner.opening import is_better_alone
from graphengine.runner.run import Run
from graphengine.stores.base import RunInfo
from tests.stateful.media import File
from tests.stateful.runner_machine import RunnerMachine, picks

KEEP = "keep"
ENDINGS = (("finished",), ("stopped",), ("finished", "failed", "stopped"), ("finished", "failed", "stopped"))
marks = st.sets(st.sampled_from((KEEP, "other")))


class KeepingRunnerMachine(RunnerMachine):
    """Runs under random commands, some of which put the store in order."""

    @precondition(lambda self: self.runs)
    @rule(pick=picks, who=picks, add=marks, remove=marks)
    def tag(self, pick: int, who: int, add: AbstractSet[str], remove: AbstractSet[str]) -> None:
        """Tag a run, with any driver or none, and find it by the tag."""
        run_id, known = self.picked(pick)
        process = self.at(who)
        known.tags = known.tags - remove | add
        assert self.do(process.runner.tag(run_id, add=add, remove=remove)) == tuple(sorted(known.tags))
        found = self.do(process.store.store.runs(tag=KEEP))
        assert {info.id for info in found} == {each for each, other in self.runs.items() if KEEP in other.tags}
        self.look()

    @precondition(lambda self: self.runs)
    @rule(who=picks, keep_last=st.sampled_from((None, 0, 1, 2)), older_than=st.sampled_from((None, 0.0, 30.0)),
          statuses=st.sampled_from(ENDINGS), keeps=st.booleans(), dry_run=st.booleans())  # fmt: skip
    def prune(  # noqa: PLR0913 - all options of a prune
        self, who: int, keep_last: int | None, older_than: float | None, statuses: Sequence[str], *, keeps: bool,
        dry_run: bool,
    ) -> None:  # fmt: skip
        """Prune: the allowed runs go, everything else stays unchanged."""
        process = self.at(who)
        rules: dict[str, Any] = {"keep_last": keep_last, "older_than": older_than}
        if keep_last is None and older_than is None:
            rules["older_than"] = 0.0
        infos = self.do(process.store.store.runs())
        newest = {info.id for info in infos[: keep_last or 0]}
        old_at = self.clock.now() - (older_than or 0.0)
        old = [info for info in infos if info.id not in newest and info.updated_at <= old_at]
        expected = self.may_go(old, statuses, keeps=keeps)
        rules |= {"keep_tags": [KEEP] if keeps else [], "statuses": statuses}
        planned = self.do(process.runner.admin.prune(**rules, dry_run=True))
        assert set(planned.runs) == expected
        assert not expected & planned.kept.keys()
        if not dry_run:
            assert replace(self.do(process.runner.admin.prune(**rules)), dry_run=True) == planned
        event(f"{'a look at a prune' if dry_run else 'a prune'} of {len(expected)} runs")
        if not dry_run:
            for run_id in expected:
                del self.runs[run_id]
                with refused(UnknownRun):
                    self.do(process.runner.history(run_id))
            assert self.medium.leftovers() == 0
        self.look()

    def may_go(self, infos: Sequence[RunInfo], statuses: Sequence[str], *, keeps: bool) -> set[str]:
        """Return those of these runs that a prune of such statuses removes."""
        going: set[str] = set()
        for info in infos:
            known = self.runs[info.id]
            is_over = info.driver is None and info.status in statuses
            if is_over and not (keeps and KEEP in known.tags):
                going.add(info.id)
        while needed := {known.parent for run_id, known in self.runs.items() if run_id not in going} & going:
            going -= needed
        return going

    @precondition(lambda self: any(known.orphan for known in self.runs.values()))
    @rule(who=picks)
    def recover(self, who: int) -> None:
        """Let a process claim all runs whose driver died, and no others, nor those that it lost unknowingly."""
        process = self.at(who)
        infos = {run_id: self.info(process, run_id) for run_id in self.runs}
        driving = process.runner._shared.driven  # noqa: SLF001 - it learns of a loss at its next write
        undriven = {run_id for run_id, info in infos.items() if info.status == "running" and info.driver is None}
        orphans = undriven - driving.keys()
        lengths = {run_id: len(known.log) for run_id, known in self.runs.items()}

        async def go_on() -> Sequence[Run[Any]]:
            runs = await process.runner.recover(process.graph)
            process.handles.extend(runs)
            await self.settle()
            return runs

        async def wanting() -> set[str]:
            return {run_id for run_id in undriven if await is_better_alone(process.runner.store, infos[run_id])}

        alone = self.do(wanting())  # runs that crashed twice are resumed after the others, one at a time
        found = [run.id for run in self.do(go_on())]
        assert sorted(set(found) - alone) == sorted(orphans - alone)
        assert set(found) <= undriven
        self.look()
        for run_id, known in self.runs.items():
            begun = [step.kind for step in known.log[lengths[run_id] :]][:1]
            if run_id not in alone:
                assert (begun == ["resumed"]) == (run_id in orphans), run_id
        event(f"{len(orphans)} orphans were recovered")


class FileRuns(KeepingRunnerMachine):
    """Runs in a file, under two owners."""

    medium_class = File
