"""Child runs with workers, crashes, other processes and no effects; `sessions` has how they start, wait and stop."""

import pytest

from graphengine.errors import EffectRefused
from graphengine.testing import run_node
from tests.worker.test_child_runs import broken, parent


@pytest.fixture(autouse=True)
def _nothing_is_broken() -> None:
    broken.clear()


async def test_a_node_alone_has_something_stand_in_for_its_children() -> None:
    """Without it, starting a child is refused, as other effects are."""
    done = await run_node(
        parent, "node", {"words": ["bee"]}, effects={"measures": lambda state: {**state, "length": 42}}
    )
    assert done.update == {"lengths": [42]}
    with pytest.raises(EffectRefused, match="measures was not called"):
        await run_node(parent, "node", {"words": ["bee"]})
