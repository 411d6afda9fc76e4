"""Why a step took its edge: the conditions that were evaluated, as sentences, read from the step and the graph spec.

A step names edges by their positions in the graph spec that was in force at the step. The steps `started`, `resumed`
and `branched` record the fingerprint of that graph spec. The graph spec contains the conditions, and the step contains
what each condition found. A reader who does not have the graph spec still sees the values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
from msgspec import Struct

from graphengine.engine.steps import Continued, Entered, Joined, Removed, Started, outcome_of
from graphengine.graph.condition_spec import compared_in, plain_sentences, sentence, value_text
from graphengine.state.measured import Samples

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from graphengine.engine.graph_spec import ArmSpec, EdgeSpec, GraphSpec
    from graphengine.engine.steps import Outcome, Step
    from graphengine.graph.condition_spec import ConditionSpec
    from graphengine.state.measured import Found

OTHERWISE: Final = "otherwise"
"""The reason for an edge that has no condition."""


class Reason(NamedTuple):
    """Why a run took an edge or did not: the condition and the values that it found.

    Attributes:
        way: The position of the edge in the JSON description of its graph.
        arm: The target of the arm, if the reason is about an arm of a fork; "" if the reason is about an edge.
        held: Whether the edge or arm was taken.
        found: The values that its condition found; None if it has no condition.
        condition: The condition; None if it has no condition, or the condition is not known.
        words: The reason as text; `otherwise` for an edge without a condition.
    """

    way: int
    arm: str
    held: bool
    found: Found
    condition: ConditionSpec | None
    words: str

    @property
    def plain(self) -> Sequence[str]:
        """The reason for people who do not read code: one sentence for each comparison that decided the outcome."""
        return [self.words] if self.condition is None else plain_sentences(self.condition, self.found, held=self.held)


def reasons_of(outcome: Outcome, ways: Sequence[EdgeSpec]) -> Sequence[Reason]:
    """Return why the run took an edge: a reason for each edge that was tried, and for each arm of a fork.

    Args:
        outcome: The content of the step, which contains what each evaluated condition found.
        ways: The edges of the graph in which the step was taken, in the order of its graph spec; see `ways_of`. Empty
            if the edges are not known.
    """
    found: list[Reason] = []
    for each in outcome.tests:
        held = each.place == outcome.way
        edge = ways[each.place] if 0 <= each.place < len(ways) else None
        condition = edge.get("when") if edge is not None else None
        if edge is not None and "on" in edge:
            words = f"{edge['on']} is {value_text(each.found)}"
        else:
            words = _explain(condition, each.found, held=held, source=edge["from"] if edge is not None else "")
        found.append(Reason(each.place, "", held, each.found, condition, words))
    if outcome.way >= 0 and not any(each.held for each in found):
        found.append(Reason(outcome.way, "", held=True, found=None, condition=None, words=OTHERWISE))
    return [*found, *_reasons_of_arms(outcome, ways)]


def _reasons_of_arms(outcome: Outcome, ways: Sequence[EdgeSpec]) -> Iterable[Reason]:
    arms: Sequence[ArmSpec] = ways[outcome.way].get("arms", ()) if 0 <= outcome.way < len(ways) else ()
    for each in outcome.arms:
        arm = arms[each.place] if 0 <= each.place < len(arms) else None
        target, condition = (arm["to"], arm.get("when")) if arm is not None else ("", None)
        held = target in outcome.to
        yield Reason(outcome.way, target, held, each.found, condition, _explain(condition, each.found, held=held))


def _explain(condition: ConditionSpec | None, found: Found, *, held: bool, source: str = "") -> str:
    if condition is not None:
        return sentence(condition, found, held=held, source=source)
    answer = "yes" if held else "no"
    return answer if found is None or isinstance(found, (list, Samples)) else f"{value_text(found)}: {answer}"


def why_of(outcome: Outcome, ways: Sequence[EdgeSpec]) -> str:
    """Return why a step took its edge, as text for people: all conditions that were evaluated, with what they found."""
    if isinstance(outcome, Joined) and outcome.of:
        return f"{outcome.arrived} of {outcome.of} arms arrived"
    if not outcome.tests and not outcome.arms:
        return OTHERWISE if outcome.way >= 0 else ""
    found = reasons_of(outcome, ways)
    return "; ".join(f"{each.arm}: {each.words}" if each.arm else each.words for each in found)


def compared(outcome: Outcome, ways: Sequence[EdgeSpec]) -> Mapping[str, int | float]:
    """Return the numbers from the state that a step's conditions compared with other numbers, by path."""
    conditions = [(each.condition, each.found) for each in reasons_of(outcome, ways) if each.condition is not None]
    return {path: number for condition, found in conditions for path, number in compared_in(condition, found)}


def ways_of(spec: GraphSpec | None, step: Step) -> Sequence[EdgeSpec]:
    """Return the edges of the graph (the run's own graph or a subgraph) in which a step was taken.

    Args:
        spec: The description of the run's graph that applied at the step.
        step: The step.

    Returns:
        The edges; empty if they are not known.
    """
    outcome = outcome_of(step)
    if not step.frame and not isinstance(outcome, Entered):  # The step belongs to the run's own graph.
        return spec.get("ways", ()) if spec is not None else ()
    nodes = [part.split("~", 1)[0].split("[", 1)[0] for part in step.frame.split("/")[:-1]]
    around = [node for node in nodes if node]
    chosen = [*outcome.chosen] or [""] * len(around)
    if isinstance(outcome, Entered):
        around, chosen = [*around, step.node], [*chosen, outcome.choice]
    for node, choice in zip(around, chosen, strict=False):
        facts = next((each for each in spec.get("nodes", ()) if each["name"] == node), None) if spec else None
        spec = facts.get("graphs", {}).get(choice) if facts is not None else None
    return spec.get("ways", ()) if spec is not None else ()


class _OfSnapshot(Struct):
    fingerprint: str = ""


def fingerprint_after(step: Step) -> str:
    """Return the fingerprint of the graph under which the run continues from this step on.

    The result is "" if the step does not change the graph.
    """
    if isinstance(step.data, (Started, Continued)):
        return step.data.fingerprint
    if isinstance(step.data, Removed) and bytes(step.data.snapshot):
        return fingerprint_in(step.data.snapshot)
    return ""


def fingerprint_in(record: bytes | str) -> str:
    """Return the fingerprint of the graph that drives a run, from the JSON of its stored snapshot."""
    return msgspec.json.decode(record, type=_OfSnapshot).fingerprint


class InForce:
    """Finds out, step by step, which version of the graph applied when a run recorded the step.

    A run can be resumed under a changed graph, so the version can change in the middle of a log.

    Args:
        specs: The graph descriptions by fingerprint.
        fingerprint: The fingerprint of the version before the first step.
    """

    def __init__(self, specs: Mapping[str, GraphSpec], fingerprint: str = "") -> None:
        self.specs = specs
        self.fingerprint = fingerprint

    def ways(self, step: Step) -> Sequence[EdgeSpec]:
        """Return the edges among which a step chose; empty if they are not known. Call this with the steps in order."""
        self.fingerprint = fingerprint_after(step) or self.fingerprint
        return ways_of(self.specs.get(self.fingerprint), step) if outcome_of(step).to else ()

    def why(self, step: Step) -> str:
        """Return why a step took its edge, as text; "" if it took no edge. Call this with the steps in order."""
        return why_of(outcome_of(step), self.ways(step))
