"""What a run spent on models, computed from its steps: by agent, by model, by node.

Only the steps are read, so any run can be reported at any time. A branch shares its first steps with its parent; what
was spent in those is inherited, and reported separately.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from msgspec import Struct

from graphengine.engine.frame_tree import add_usage, priced
from graphengine.engine.steps import Recorded, usage_of, without_items
from graphengine.state.amounts import are_offline, by_name, is_cost_unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable
    from typing import TypeVar

    from graphengine.engine.steps import Step
    from graphengine.state import amounts

    K = TypeVar("K", bound=Hashable)

RULES: Final = "rules"
"""The model of answers that rules gave."""


class Usage(Struct, frozen=True, kw_only=True):
    """What a run used of models.

    Attributes:
        calls: Answers of models, including offline ones, and failed calls that used tokens, or may have.
        offline_calls: How many of them came from rules or a script instead of a language model.
        input_tokens: Tokens of all requests.
        output_tokens: Tokens of all answers.
        cost_usd: US dollars; None if the price of any call is not known.
        cache_read_tokens: The part of the input tokens that providers read from their caches.
        cache_write_tokens: The part of the input tokens that providers wrote to their caches.
        reasoning_tokens: The part of the output tokens that was reasoning.
        priced_usd: If `cost_usd` is None: the cost of the calls whose price is known.
        unknown_calls: Calls that failed in progress, whose usage is not known; what was reported of it counts.
    """

    calls: int = 0
    offline_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = 0.0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    priced_usd: float = 0.0
    unknown_calls: int = 0


def figures_of(recorded: amounts.Usage) -> dict[str, Any]:
    """Return the recorded amounts that `Usage` has; those that only another version knows are left out."""
    return {name: amount for name, amount in recorded.items() if name in Usage.__struct_fields__}


def usage_from(recorded: amounts.Usage) -> Usage:
    """Return recorded usage."""
    return Usage(**figures_of(recorded))


NO_USAGE: Final = Usage()


@dataclass(frozen=True, slots=True)
class Spent:
    """What one agent at one node spent on one model.

    Attributes:
        agent: The agent's name; "" if it is not recorded, as for answers that rules gave.
        model: The model that answered, as `anthropic:claude-…`; "" if it is not recorded.
        node: The node's path, without item indexes.
        inherited: Whether it was spent before the run branched off.
        usage: How much.
    """

    agent: str
    model: str
    node: str
    inherited: bool
    usage: amounts.Usage


def spending(steps: Iterable[Step], shared_seq: int = 0) -> list[Spent]:
    """Return what was spent in these steps, in the order of the first calls.

    Args:
        steps: Steps of a run.
        shared_seq: The last step that the run shares with its parent.
    """
    found: dict[tuple[str, str, str, bool], amounts.Usage] = {}
    for step in steps:
        usage = usage_of(step)
        if not usage:
            continue
        agent = model = ""
        if isinstance(step.data, Recorded) and step.data.by:
            agent, model = step.data.by.get("agent", ""), step.data.by.get("model", "")
        if not model and are_offline(usage):
            model = RULES
        key = (agent, model, without_items(step.path), step.seq <= shared_seq)
        found[key] = add_usage(found.get(key, {}), usage)
    return [Spent(*key, usage) for key, usage in found.items()]


def summed(spent: Iterable[Spent], key: Callable[[Spent], K]) -> dict[K, amounts.Usage]:
    """Return what was spent for each value of the key, in the order of the first calls.

    Example:
        >>> one = Spent("writer", "openai:gpt-5", "write", False, {"calls": 1, "cost_usd": 0.5})
        >>> summed([one, one], lambda spent: spent.model)
        {'openai:gpt-5': {'calls': 2, 'cost_usd': 1.0}}
    """
    found: dict[K, amounts.Usage] = {}
    for each in spent:
        found[key(each)] = add_usage(found.get(key(each), {}), each.usage)
    return found


def spent_since(before: amounts.Usage, after: amounts.Usage) -> amounts.Usage:
    """Return what was spent between two points; a cost that is unknown at one of them is unknown."""
    differences: dict[str, float | None] = {}
    known = by_name(before)
    for name, amount in by_name(after).items():
        had = known.get(name, 0)
        differences[name] = None if amount is None or had is None else amount - had
    spent = cast("amounts.Usage", differences)
    if is_cost_unknown(spent):
        spent["priced_usd"] = priced(after) - priced(before)
    return spent


__all__ = ["NO_USAGE", "RULES", "Spent", "Usage", "figures_of", "spending", "spent_since", "summed", "usage_from"]
