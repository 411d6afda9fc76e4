"""The read model of runs: visits compared with the pages of `tests/scenarios` and with recorded runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from graphengine.engine.fold import fold
from graphengine.engine.snapshot import Snapshot
from graphengine.errors import StoreCorrupt
from graphengine.records.export import import_run, read_file
from graphengine.records.states import find_changed_fields
from graphengine.records.visits import Visits, load_visits
from graphengine.state.encoded import opened
from graphengine.stores.memory import InMemoryStore
from tests.kit.record import RECORDED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphengine.engine.steps import Step
from tests.kit.scenario import pages
from tests.records.test_visit_trees import agree, log_of

FILES = sorted(RECORDED.glob("*.json"))


def test_the_fields_that_a_step_changed_equal_those_of_the_fold() -> None:
    """This is true at every step; the snapshot before the step stays as it is."""
    steps = log_of(next(page for page in pages() if page.stem == "reducers"))
    for entry in Visits.of(steps).entries:
        seq = entry.step.seq
        before = fold(steps[: seq - 1]) if seq > 1 else Snapshot()
        old, new = opened(before.root.values) if seq > 1 else {}, opened(fold(steps[:seq]).root.values)
        changed = [name for name in new if name not in old or old[name] != new[name]]
        was, now = find_changed_fields(entry, before)
        assert was == {name: old[name] for name in changed if name in old}
        assert now == {name: new[name] for name in changed}
        assert seq == 1 or opened(before.root.values) == opened(fold(steps[: seq - 1]).root.values)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_visits_agree_on_every_recorded_run(file: Path) -> None:
    """Imported runs are included."""
    run = read_file(file)
    agree(run.steps, run.graph_specs)


async def test_visits_are_loaded_from_a_store() -> None:
    """They can be loaded up to a step; a log that does not fold is reported as damaged."""
    store = InMemoryStore()
    await store.open()
    await import_run(store, read_file(RECORDED / "loop.json"))
    assert len((await load_visits(store, "loop", 3)).visits) == 3
    run = await load_visits(store, "loop")
    assert run.snapshot.status == "finished"

    class Damaged(InMemoryStore):
        async def steps(self, run_id: str, after: int = 0, upto: int | None = None) -> Sequence[Step]:
            return [entry.step for entry in run.entries[1:]]

    with pytest.raises(StoreCorrupt, match="do not follow from each other"):
        await load_visits(Damaged(), "loop")
