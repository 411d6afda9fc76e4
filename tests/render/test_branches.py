"""Trees of branches: which runs are drawn, and how each is described."""

from graphengine.errors import StoreCorrupt, UnknownRun
from graphengine.render.charts import branches, family_of
from graphengine.stores.base import Loaded, RunInfo
from graphengine.stores.memory import InMemoryStore
from tests.render.relatives import relatives
from tests.render.samples import read_xml


async def test_a_lane_starts_at_the_step_of_its_branch() -> None:
    """Each branch has one curve, and each run one end mark, whose shape shows its status."""
    async with relatives() as runner:
        svg = branches(await family_of(runner.store, "tides")).svg()
    root = read_xml(svg.encode())
    curves = [path.get("d", "") for path in root.iter("{http://www.w3.org/2000/svg}path") if " C" in path.get("d", "")]
    assert len(curves) == 4
    assert svg.count('r="8"') == 5
    signs = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text") if len(text.text or "") == 1][-5:]
    assert signs == ["‖", "‖", "‖", "✓", "■"]


class Pruned(InMemoryStore):
    """A store that lost one run and cannot read another."""

    async def info(self, run_id: str) -> RunInfo:
        """Return a run's information, unless the run is lost."""
        if run_id == "tides":
            raise UnknownRun("gone")
        return await super().info(run_id)

    async def load(self, run_id: str, upto: int | None = None) -> Loaded:
        """Load a run, unless it is unreadable."""
        if run_id == "again":
            raise StoreCorrupt("a page is torn")
        return await super().load(run_id, upto)


async def test_a_family_with_a_missing_run_is_drawn() -> None:
    """The first run is missing; a run that cannot be read gives the reason."""
    async with relatives() as runner:
        runner.store.__class__ = Pruned
        family = await family_of(runner.store, "again")
    assert [member.info.id for member in family.members] == ["mine", "again"]
    chart = branches(family)
    assert chart.spoken[2].endswith("finished: cannot be read: a page is torn, steps 15 to 19")
    assert chart.spoken[1].startswith("mine, branched from tides at step 13: waiting")
