"""Read from a recorded run the results of calls and the answers of people, and find where a change first matters."""

from __future__ import annotations

from collections import defaultdict, deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from msgspec import UNSET, UnsetType
from pydantic_core import to_json
from typing_extensions import override

from graphengine.agents.model_routing import replacing
from graphengine.agents.records import call_text
from graphengine.errors import EffectRefused, GraphEngineError
from graphengine.kernel.extension import CURRENT, AttemptFacts
from graphengine.kernel.inside import KnowsResults, WorkKey, without_items
from graphengine.kernel.reader import AttemptEnded, Recorded, Waiting, show
from graphengine.models.names import as_model
from graphengine.records.replay.replay import replay
from graphengine.records.work_records import turn_record

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from graphengine.agents import Agent
    from graphengine.api.graph import Graph
    from graphengine.kernel.extension import JsonValue, Plan
    from graphengine.kernel.reader import GraphSpec, Step
    from graphengine.models.base import Model

Tools: TypeAlias = Literal["recorded", "live", "refuse"]
"""Where the results of tools and recorded calls come from.

`recorded`: from the log, or from a new call if the log does not contain the call. `live`: always from a new call.
`refuse`: only from the log.
"""
_Arguments: TypeAlias = dict[tuple[str, int, int], str]
"""The name and arguments of tool calls, by the conversation, the turn and the index of the call in the turn."""
_OFFLINE: Final = ("rules", "placeholder")
"""The names of models that record no turns."""


class Answered:
    """The results and answers in the log of a run, which a branch of the run receives again in the same order.

    Args:
        steps: The steps of the recorded run.
        after: The last step that the branch shares with the run. Results and answers after this step are given to the
            branch. A result of a call before this step is used only if no later result of the same call exists.
    """

    def __init__(self, steps: Sequence[Step], after: int = 0) -> None:
        self._results: defaultdict[str, deque[JsonValue]] = defaultdict(deque)
        self._earlier: dict[str, JsonValue] = {}
        self._answers: defaultdict[tuple[str, str], deque[JsonValue]] = defaultdict(deque)
        asked: dict[tuple[str, str], str] = {}
        arguments: _Arguments = {}
        for step in steps:
            facts = step.data
            if isinstance(facts, Recorded):
                self._add(step, facts, arguments, is_earlier=step.seq <= after)
            elif isinstance(facts, Waiting):
                asked |= {(step.frame, name): show(wait.question) for name, wait in facts.waits.items()}
            answer, wait = getattr(facts, "answer", None), getattr(facts, "wait", "")
            value = getattr(answer, "value", UNSET)
            if value is not UNSET and step.seq > after:
                self._answers[wait, asked.pop((step.frame, wait), "")].append(value)

    def _add(self, step: Step, facts: Recorded, arguments: _Arguments, *, is_earlier: bool) -> None:
        """Store a recorded result, so that a branch that makes the same call receives it.

        The arguments of a tool call are found in the answer in which the model requested the call.
        """
        work = WorkKey.read(facts.key)
        around = f"{step.frame}{step.visit}{work.around}"
        if facts.by is not None:
            answered = turn_record(facts)
            for index, call in enumerate(answered.calls if answered is not None else ()):
                arguments[around, work.place[0], index] = call_text(call.name, call.arguments)
            return
        called = arguments.get((around, *work.place)) if work.kind == "tool" else work.stem
        if called is None or (work.around and work.kind != "tool"):
            return  # The work was recorded inside another call, whose result includes it.
        if is_earlier:
            self._earlier[called] = facts.value
        else:
            self._results[called].append(facts.value)

    def result(self, call: str) -> JsonValue | UnsetType:
        """Return the next recorded result of a call. When all were returned, the last one is returned again."""
        found = _take_next_kept(self._results, call)
        return self._earlier.get(call, UNSET) if found is UNSET else found

    def skip(self, used: Answered) -> None:
        """Skip the results that the branch received before it was interrupted and resumed.

        Args:
            used: The results in the log of the branch.
        """
        for call, results in used._results.items():
            for _ in results:
                _take_next_kept(self._results, call)

    def answer(self, wait: str, question: str) -> JsonValue | UnsetType:
        """Return the next recorded answer of a person to this question."""
        return _take_next_kept(self._answers, (wait, question))


def _take_next_kept(found: Mapping[Any, deque[JsonValue]], key: object) -> JsonValue | UnsetType:
    kept = found.get(key)
    if not kept:
        return UNSET
    return kept.popleft() if len(kept) > 1 else kept[0]


class FromLogs(KnowsResults):
    """Gives the branches of a comparison the recorded results of calls and tools. Effects are never carried out.

    Args:
        tools: Where the results of tools and calls come from: `recorded`, `refuse` or `live`.

    Attributes:
        runs: The recorded results and answers for each branch, by the id of the branch.
    """

    def __init__(self, tools: Tools) -> None:
        super().__init__()
        self._tools = tools
        self.runs: dict[str, Answered] = {}

    @override
    def known(self, call: str) -> JsonValue | UnsetType:
        """Return the recorded result of a call that a branch makes, so that the call is not made again.

        Returns UNSET if there is no recorded result and the call has to be made.

        Raises:
            EffectRefused: The log contains no result of the call, and new calls are refused.
        """
        here = CURRENT.get()
        log = self.runs.get(here.services.run_id) if isinstance(here, AttemptFacts) else None
        if log is None or self._tools == "live":
            return UNSET
        found = log.result(call)
        if found is UNSET and self._tools == "refuse":
            raise EffectRefused(
                f"the recorded run has no call {call}, and new calls are refused",
                where="what if",
                repair="allow new calls: --tools recorded, or --tools live",
            )
        return found


# --- where a change matters ---


def first_matter(
    graph: Graph[Any],
    steps: Sequence[Step],
    spec: GraphSpec | None,
    models: Mapping[str, Model | str],
    instructed: Mapping[str, str],
) -> int | None:
    """Return the number of the first step of a recorded run that could be different with the changed graph.

    `what_if` branches the run before this step, and so keeps the work that the change cannot affect. Returns None if no
    step could be different.

    Args:
        graph: Today's graph.
        steps: The steps of the recorded run.
        spec: The description of the graph that was recorded with the run.
        models: The models of today's Runner, by an agent's name or path.
        instructed: The changed instructions, by an agent's name or path.
    """
    plan = graph.compile()
    agents = dict(_agents(plan))
    changed = set() if spec is None else set(_find_changed_nodes(spec, plan.graph_spec))
    difference = replay(graph, steps).first
    asked: set[tuple[str, int]] = set()
    for step in steps:
        if difference is not None and step.seq >= difference.seq:
            return difference.seq
        place, facts = without_items(step.path), step.data
        by = facts.by if isinstance(facts, Recorded) else None
        here = agents.get(place)
        agent = by["agent"] if by is not None else here.name if here is not None else ""
        if place in changed or (agent and replacing(instructed, plan.graph, place, agent) is not None):
            return step.seq
        answered = by["model"] if by is not None else ""
        if answered:
            asked.add((step.path, step.visit))
        elif not isinstance(facts, AttemptEnded) or (step.path, step.visit) in asked:
            continue
        own = here.model if here is not None and here.name == agent else None
        model = _name_of_model(replacing(models, plan.graph, place, agent) or own) if agent else ""
        if model and (answered not in model if answered else model not in _OFFLINE):
            return step.seq
    return None


def _name_of_model(model: Model | str | None) -> str:
    """Return the name of a model; "" if there is none, or if the model cannot be made."""
    with suppress(GraphEngineError):
        return "" if model is None else as_model(model).name
    return ""


def first_of_visit(steps: Sequence[Step], node: str, visit: int) -> int | None:
    return next((step.seq for step in steps if step.path == node and step.visit == visit), None)


def _agents(plan: Plan[Any], below: str = "") -> Iterator[tuple[str, Agent[Any, Any]]]:
    for name, node in plan.nodes.items():
        for call in node.calls:
            agent = getattr(call.body, "agent", None)
            if call.graph is not None:
                yield from _agents(call.graph, f"{below}{name}/")
            elif agent is not None:
                yield f"{below}{name}", agent


def _find_changed_nodes(old: GraphSpec, new: GraphSpec, below: str = "") -> Iterator[str]:
    """Yield the paths of the nodes of a recorded graph that are different in today's graph, or that no longer exist."""
    today = {node["name"]: node for node in new.get("nodes", ())}
    for node in old.get("nodes", ()):
        other = today.get(node["name"])
        inner = node.get("graphs", {})
        if other is None or _alone(node) != _alone(other):
            yield f"{below}{node['name']}"
        theirs = other.get("graphs", {}) if other is not None else {}
        for choice, graph in inner.items():
            if choice in theirs:
                yield from _find_changed_nodes(graph, theirs[choice], f"{below}{node['name']}/")


def _alone(node: Mapping[str, Any]) -> bytes:
    return to_json({name: value for name, value in sorted(node.items()) if name != "graphs"})


__all__ = ["Answered", "FromLogs", "Tools", "first_matter", "first_of_visit"]
