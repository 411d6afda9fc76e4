"""Compute how much a run spent on models, by agent, by model and by node.

Only the recorded steps are read, so that the spending of any run can be reported at any time. A branch shares its first
steps with its parent. The spending in the shared steps is called *inherited* and is reported separately.
"""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from graphengine.errors import UnknownRun
from graphengine.kernel.extension import add_usage, is_cost_unknown, spent_since
from graphengine.kernel.inside import LOSSES, without_items
from graphengine.kernel.reader import Recorded, Removed, load_snapshot, usage_of
from graphengine.kernel.store import decode_snapshot, is_removed, summary_of
from graphengine.records.base_documents import Part
from graphengine.records.offline import are_offline
from graphengine.records.runs_below import runs_below

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable
    from typing import TypeVar

    from graphengine.kernel.reader import Snapshot, Step, Usage
    from graphengine.kernel.reader import Usage as UsageRecord
    from graphengine.kernel.store import RunInfo, RunStore

    K = TypeVar("K", bound=Hashable)

RULES: Final = "rules"
"""The name that stands in place of a model for answers that rules gave."""
REMOVED: Final = "removed steps"
"""The name that stands in place of a node for the spending in steps that retention has removed."""


@dataclass(frozen=True, slots=True)
class Spent:
    """The model calls of one agent at one node with one model: their number, tokens and cost.

    Attributes:
        agent: The name of the agent; "" if it is not recorded, as for answers that rules gave.
        model: The model that answered, such as `anthropic:claude-…`; "" if the model is not recorded.
        node: The path of the node, without item indexes.
        inherited: Whether the calls were made before the run branched off from its parent.
        usage: The calls, tokens and cost.
    """

    agent: str
    model: str
    node: str
    inherited: bool
    usage: UsageRecord


def spending(steps: Iterable[Step], shared_seq: int = 0) -> list[Spent]:
    """Add up the model calls of steps by agent, model and node, in the order of the first calls.

    Args:
        steps: Steps of a run.
        shared_seq: The number of the last step that the run shares with its parent.
    """
    found: dict[tuple[str, str, str, bool], UsageRecord] = {}
    for step in steps:
        if isinstance(step.data, Removed) and not is_removed(step):
            until = decode_snapshot(bytes(step.data.snapshot))
            found = {key: spent for key, spent in found.items() if key[-1]}
            if own := spent_since(until.inherited, until.usage):
                found["", "", REMOVED, False] = own
        usage = usage_of(step)
        if not usage or usage.keys() <= {*LOSSES}:
            continue
        agent = model = ""
        if isinstance(step.data, Recorded) and step.data.by:
            agent, model = step.data.by.get("agent", ""), step.data.by.get("model", "")
        if not model and are_offline(usage):
            model = RULES
        key = (agent, model, without_items(step.path), step.seq <= shared_seq)
        found[key] = add_usage(found.get(key, {}), usage)
    return [Spent(*key, usage) for key, usage in found.items()]


def sum_by(spent: Iterable[Spent], key: Callable[[Spent], K]) -> dict[K, UsageRecord]:
    """Add up usage for each value of a key, for example for each model.

    Example:
        >>> one = Spent("writer", "openai:gpt-5", "write", False, {"calls": 1, "cost_usd": 0.5})
        >>> sum_by([one, one], lambda spent: spent.model)
        {'openai:gpt-5': {'calls': 2, 'cost_usd': 1.0}}
    """
    found: dict[K, UsageRecord] = {}
    for each in spent:
        found[key(each)] = add_usage(found.get(key(each), {}), each.usage)
    return found


class SpentBelow(Part):
    """The cost of the runs below a run: its child runs, their child runs, and so on.

    Attributes:
        runs: The number of runs below that are in the store. Runs that were started to continue independently of their
            starter are not counted.
        cost_usd: The cost of their own steps so far, in US dollars; null if the cost of one run is unknown.
        failed: How many of these runs failed.
    """

    runs: int = 0
    cost_usd: float | None = 0.0
    failed: int = 0


async def load_spent_below(store: RunStore, run_id: str) -> SpentBelow:
    """Add up the cost of the child runs of a run, of their child runs, and so on."""
    costs: list[float | None] = []
    below = await runs_below(store, [run_id])
    for info in below.each(run_id):
        with suppress(UnknownRun):  # Another process has removed the run since.
            summary = info.summary or summary_of(await load_snapshot(store, info.id, None))
            costs.append(summary.cost_usd)
    return SpentBelow(len(costs), sum_of(costs), below.counts(run_id).failed)


def sum_of(costs: Iterable[float | None]) -> float | None:
    """Add up costs. The sum is None (unknown) if one of the costs is None.

    >>> sum_of([0.5, 0.25]), sum_of([0.5, None]), sum_of([])
    (0.75, None, 0.0)
    """
    known = [*costs]
    return None if None in known else math.fsum(each for each in known if each is not None)


async def own_usage(store: RunStore, info: RunInfo, snapshot: Snapshot) -> Usage:
    """Return the usage of models in a run, without the steps that the run shares with its parent.

    Args:
        store: The store of the run.
        info: The run.
        snapshot: The run's last snapshot.

    Raises:
        UnknownRun: The run does not exist.
        StoreCorrupt: The log of the run is damaged.
    """
    if not is_cost_unknown(snapshot.inherited):
        return spent_since(snapshot.inherited, snapshot.usage)
    # The inherited cost is unknown, so it cannot be subtracted from the total. Add up the cost of the own steps.
    own = spending(await store.steps(info.id, info.parent_seq))
    return sum_by(own, lambda _: info.id).get(info.id, {})
