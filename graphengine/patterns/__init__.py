"""Patterns: functions that return a Graph built from the given runnables.

Each is a page of graph building. Their runs stream, resume, branch, and are limited, priced and drawn like any other.
No file has the name of its pattern, so that `graphengine.patterns.voting` is always the function and never a module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from graphengine.patterns.advisors import Advice, Advised, Attempt, advisor
    from graphengine.patterns.approvals import Decision, Desk, human_in_the_loop
    from graphengine.patterns.blackboards import Board, Entry, Subscriber, blackboard
    from graphengine.patterns.circuits import Circuit, Guarded, circuit_breaker
    from graphengine.patterns.critiques import Critique
    from graphengine.patterns.cross_reflections import CrossReflection, cross_reflection
    from graphengine.patterns.debates import Debate, Position, debate
    from graphengine.patterns.escalations import escalation
    from graphengine.patterns.evaluators import Attempts, Evaluation, evaluator_optimizer
    from graphengine.patterns.fan_outs import FanOut, fan_out_fan_in
    from graphengine.patterns.hierarchies import Assignment, Company, TeamReport, hierarchical
    from graphengine.patterns.layers import Layers, layered
    from graphengine.patterns.limits import with_limits
    from graphengine.patterns.orchestrators import Job, Step, orchestrator_workers
    from graphengine.patterns.outcomes import Outcome
    from graphengine.patterns.pipelines import Passage, pipeline
    from graphengine.patterns.reasonings import Observation, Reasoning, Thought, react
    from graphengine.patterns.rooms import Room, role_based
    from graphengine.patterns.self_reflections import SelfReflection, self_reflection
    from graphengine.patterns.supervisors import Report, Route, Supervised, supervisor
    from graphengine.patterns.swarms import Handed, Swarm, Turn, swarm
    from graphengine.patterns.talkers import Reply, Talk, talker_reasoner
    from graphengine.patterns.topologies import Network, topology
    from graphengine.patterns.votes import Poll, voting
else:
    __getattr__, __dir__, _ = lazy_loader.attach(
        __name__,
        submod_attrs={
            "advisors": ("Advice", "Advised", "Attempt", "advisor"),
            "approvals": ("Decision", "Desk", "human_in_the_loop"),
            "blackboards": ("Board", "Entry", "Subscriber", "blackboard"),
            "circuits": ("Circuit", "Guarded", "circuit_breaker"),
            "critiques": ("Critique",),
            "cross_reflections": ("CrossReflection", "cross_reflection"),
            "debates": ("Debate", "Position", "debate"),
            "escalations": ("escalation",),
            "evaluators": ("Attempts", "Evaluation", "evaluator_optimizer"),
            "fan_outs": ("FanOut", "fan_out_fan_in"),
            "hierarchies": ("Assignment", "Company", "TeamReport", "hierarchical"),
            "layers": ("Layers", "layered"),
            "limits": ("with_limits",),
            "orchestrators": ("Job", "Step", "orchestrator_workers"),
            "outcomes": ("Outcome",),
            "pipelines": ("Passage", "pipeline"),
            "reasonings": ("Observation", "Reasoning", "Thought", "react"),
            "rooms": ("Room", "role_based"),
            "self_reflections": ("SelfReflection", "self_reflection"),
            "supervisors": ("Report", "Route", "Supervised", "supervisor"),
            "swarms": ("Handed", "Swarm", "Turn", "swarm"),
            "talkers": ("Reply", "Talk", "talker_reasoner"),
            "topologies": ("Network", "topology"),
            "votes": ("Poll", "voting"),
        },
    )

__all__ = [
    "Advice",
    "Advised",
    "Assignment",
    "Attempt",
    "Attempts",
    "Board",
    "Circuit",
    "Company",
    "Critique",
    "CrossReflection",
    "Debate",
    "Decision",
    "Desk",
    "Entry",
    "Evaluation",
    "FanOut",
    "Guarded",
    "Handed",
    "Job",
    "Layers",
    "Network",
    "Observation",
    "Outcome",
    "Passage",
    "Poll",
    "Position",
    "Reasoning",
    "Reply",
    "Report",
    "Room",
    "Route",
    "SelfReflection",
    "Step",
    "Subscriber",
    "Supervised",
    "Swarm",
    "Talk",
    "TeamReport",
    "Thought",
    "Turn",
    "advisor",
    "blackboard",
    "circuit_breaker",
    "cross_reflection",
    "debate",
    "escalation",
    "evaluator_optimizer",
    "fan_out_fan_in",
    "hierarchical",
    "human_in_the_loop",
    "layered",
    "orchestrator_workers",
    "pipeline",
    "react",
    "role_based",
    "self_reflection",
    "supervisor",
    "swarm",
    "talker_reasoner",
    "topology",
    "voting",
    "with_limits",
]
