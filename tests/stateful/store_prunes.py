"""The commands of `store_machine`, and those that tag and remove runs: tags, removals, sweeps, vacuums.

The remaining runs are compared after each command like everything else, so removing a step too many is detected at
once. A removed run must be gone with all its rows after any owner's sweep, and its id is free for another run.
"""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace

from hypothesis import event
from hypothesis import strategies as st
from hypothesis.stateful import rule
from msgspec import structs

from graphengine.databases.long_texts import cut
from graphengine.engine.step_json import encode_step
from graphengine.kernel.testing.kit import run_info
from graphengine.stores.base import RunInfo, Status, Store
from tests.stateful.media import File, Memory
from tests.stateful.store_machine import OUTLINE, StoreMachine, Wish, ids, places, tags, wishes

FINGERPRINTS = [f"f{number}" for number in range(7)]
ENDINGS: tuple[Status, ...] = ("finished", "stopped", "failed")
some_tags = st.sets(tags)


class PruningMachine(StoreMachine):
    """A medium under random commands that also remove runs."""

    @rule(place=places, run_id=ids, add=some_tags, remove=some_tags)
    def tag(self, place: int, run_id: str, add: AbstractSet[str], remove: AbstractSet[str]) -> None:
        """Change a run's tags, with any driver or none."""
        run_id, added, removed = self.known(run_id), sorted(add), sorted(remove)
        self.both(place, lambda s: s.tag(run_id, added, removed), lambda _: self.model.tag(run_id, added, removed))

    @rule(place=places, run_ids=st.lists(ids, min_size=1, max_size=4),
          wrong=st.sampled_from(("", "", "", "seq", "tags")), then=st.sampled_from(("", "sweep", "die")))  # fmt: skip
    def remove(self, place: int, run_ids: Sequence[str], wrong: str, then: str) -> None:
        """Remove runs, some with outdated facts; the remover may sweep, die or leave the rest."""
        self.take_out(place, [self.known(run_id) for run_id in run_ids], wrong)
        if then == "sweep":
            self.sweep(place)
        elif then == "die":
            self.kill_now(place)

    @rule(place=places, run_id=ids, wish=wishes, status=st.sampled_from(ENDINGS), with_branches=st.booleans(),
          add=some_tags, wrong=st.sampled_from(("", "", "tags")))  # fmt: skip
    def end_and_remove(  # noqa: PLR0913 - how a run ends, and its facts
        self, place: int, run_id: str, wish: Wish, status: Status, add: AbstractSet[str], wrong: str, *,
        with_branches: bool,
    ) -> None:  # fmt: skip
        """End a tagged run and remove it with all its rows; it stays as long as it has branches."""
        run_id = self.known(run_id)
        self.tag(place, run_id, add, frozenset())
        self.drive(place, run_id, replace(wish, status=status, gap=0))
        line = [run_id]
        while with_branches and (more := self.model.branches(line) - set(line)):
            line += sorted(more)
        self.take_out(place, line[::-1], wrong)
        self.sweep(place)

    def take_out(self, place: int, run_ids: Sequence[str], wrong: str) -> None:
        """Remove runs."""
        owner, _ = self.at(place)
        infos = [self.current(run_id, owner) for run_id in run_ids]
        if wrong == "seq":
            infos[0] = structs.replace(infos[0], seq=infos[0].seq - 1)
        elif wrong == "tags":
            infos[0] = structs.replace(infos[0], tags=(*infos[0].tags, "v"))
        before = len(self.model.runs)

        async def stays(store: Store) -> set[str]:
            kept = await store.remove(infos)
            assert all(kept.values()), "a run stays without a reason"
            return set(kept)

        self.both(place, stays, lambda _: self.model.remove(infos))
        event(f"{before - len(self.model.runs)} runs were removed")

    def current(self, run_id: str, owner: int) -> RunInfo:
        """Return the current facts of a run."""
        return self.model.info(run_id, owner)[0] if run_id in self.model.runs else run_info(run_id)

    @rule(place=places)
    def sweep(self, place: int) -> None:
        """Check that nothing is left of removed runs, in any store, and that needed graph specs exist."""
        _, store = self.at(place)
        self.do(store.sweep())
        assert self.medium.leftovers() == 0
        for name in FINGERPRINTS:
            assert self.do(store.graph_spec(name)) == (OUTLINE if name in self.model.needed() else None), name

    @rule(place=places)
    def vacuum(self, place: int) -> None:
        """Free space; no run changes."""
        _, store = self.at(place)
        before_bytes, after_bytes = self.do(store.vacuum())
        assert 0 <= after_bytes <= before_bytes

    @rule(
        place=places,
        status=st.sampled_from(ENDINGS),
        run_ids=st.lists(ids, max_size=3),
    )
    def ended(self, place: int, status: Status, run_ids: Sequence[str]) -> None:
        """Check that a run weighs at least its own steps, and that branches are counted separately."""
        _, store = self.at(place)
        for each in self.do(store.ended(status)):
            run = self.model.runs[each.id]
            own = run.log[run.first.parent_seq :]
            assert each.size >= sum(len(cut(encode_step(one)).body) for one in own)  # texts can be shared
            assert each.branched == bool(self.model.branches([each.id]))
        found = [info.id for info in self.do(store.branches(run_ids))]
        assert sorted(found) == sorted(self.model.branches(run_ids))


class MemoryMachine(PruningMachine):
    """The store in memory."""

    medium_class = Memory


class FileMachine(PruningMachine):
    """The store in a file."""

    medium_class = File
