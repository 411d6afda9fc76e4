"""Patterns: functions that return a Graph, made of the runnables they are given.

Each is a page of graph building. Runs of them stream, resume, branch, are limited, priced and drawn as any other. No
file has the name of its pattern, so that `graphengine.patterns.voting` is the function and never a module.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graphengine.patterns.critiques import Critique
    from graphengine.patterns.cross_reflections import CrossReflection, cross_reflection
    from graphengine.patterns.debates import Debate, Position, debate
    from graphengine.patterns.evaluators import Attempts, Evaluation, evaluator_optimizer
    from graphengine.patterns.fan_outs import FanOut, fan_out_fan_in
    from graphengine.patterns.hierarchies import Assignment, Company, TeamReport, hierarchical
    from graphengine.patterns.orchestrators import Job, Step, orchestrator_workers
    from graphengine.patterns.outcomes import Outcome
    from graphengine.patterns.pipelines import Passage, pipeline
    from graphengine.patterns.self_reflections import SelfReflection, self_reflection
    from graphengine.patterns.supervisors import Report, Route, Supervised, supervisor
    from graphengine.patterns.votes import Poll, voting

_HOMES = {
    "graphengine.patterns.critiques": ("Critique",),
    "graphengine.patterns.cross_reflections": ("CrossReflection", "cross_reflection"),
    "graphengine.patterns.debates": ("Debate", "Position", "debate"),
    "graphengine.patterns.evaluators": ("Attempts", "Evaluation", "evaluator_optimizer"),
    "graphengine.patterns.fan_outs": ("FanOut", "fan_out_fan_in"),
    "graphengine.patterns.hierarchies": ("Assignment", "Company", "TeamReport", "hierarchical"),
    "graphengine.patterns.orchestrators": ("Job", "Step", "orchestrator_workers"),
    "graphengine.patterns.outcomes": ("Outcome",),
    "graphengine.patterns.pipelines": ("Passage", "pipeline"),
    "graphengine.patterns.self_reflections": ("SelfReflection", "self_reflection"),
    "graphengine.patterns.supervisors": ("Report", "Route", "Supervised", "supervisor"),
    "graphengine.patterns.votes": ("Poll", "voting"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    home = _HOME_OF.get(name)
    if home is None:
        message = f"module 'graphengine.patterns' has no attribute {name!r}"
        raise AttributeError(message)
    found: object = getattr(import_module(home), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME_OF})


__all__ = [
    "Assignment",
    "Attempts",
    "Company",
    "Critique",
    "CrossReflection",
    "Debate",
    "Evaluation",
    "FanOut",
    "Job",
    "Outcome",
    "Passage",
    "Poll",
    "Position",
    "Report",
    "Route",
    "SelfReflection",
    "Step",
    "Supervised",
    "TeamReport",
    "cross_reflection",
    "debate",
    "evaluator_optimizer",
    "fan_out_fan_in",
    "hierarchical",
    "orchestrator_workers",
    "pipeline",
    "self_reflection",
    "supervisor",
    "voting",
]
