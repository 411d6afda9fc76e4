"""Patterns: functions that return a Graph, made of the runnables they are given.

Each is a page of graph building. Runs of them stream, resume, branch, are limited, priced and drawn as any other. No
file has the name of its pattern, so that `graphengine.patterns.voting` is the function and never a module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphengine.lazy import lazily

if TYPE_CHECKING:
    from graphengine.patterns.advisors import Advice, Advised, Attempt, advisor
    from graphengine.patterns.approvals import Decision, Desk, human_in_the_loop
    from graphengine.patterns.blackboards import Board, Entry, Subscriber, blackboard
    from graphengine.patterns.bounds import bounded
    from graphengine.patterns.circuits import Circuit, Guarded, circuit_breaker
    from graphengine.patterns.critiques import Critique
    from graphengine.patterns.cross_reflections import CrossReflection, cross_reflection
    from graphengine.patterns.debates import Debate, Position, debate
    from graphengine.patterns.escalations import escalation
    from graphengine.patterns.evaluators import Attempts, Evaluation, evaluator_optimizer
    from graphengine.patterns.fan_outs import FanOut, fan_out_fan_in
    from graphengine.patterns.hierarchies import Assignment, Company, TeamReport, hierarchical
    from graphengine.patterns.layers import Layers, layered
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
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "graphengine.patterns.advisors": ("Advice", "Advised", "Attempt", "advisor"),
            "graphengine.patterns.approvals": ("Decision", "Desk", "human_in_the_loop"),
            "graphengine.patterns.blackboards": ("Board", "Entry", "Subscriber", "blackboard"),
            "graphengine.patterns.bounds": ("bounded",),
            "graphengine.patterns.circuits": ("Circuit", "Guarded", "circuit_breaker"),
            "graphengine.patterns.critiques": ("Critique",),
            "graphengine.patterns.cross_reflections": ("CrossReflection", "cross_reflection"),
            "graphengine.patterns.debates": ("Debate", "Position", "debate"),
            "graphengine.patterns.escalations": ("escalation",),
            "graphengine.patterns.evaluators": ("Attempts", "Evaluation", "evaluator_optimizer"),
            "graphengine.patterns.fan_outs": ("FanOut", "fan_out_fan_in"),
            "graphengine.patterns.hierarchies": ("Assignment", "Company", "TeamReport", "hierarchical"),
            "graphengine.patterns.layers": ("Layers", "layered"),
            "graphengine.patterns.orchestrators": ("Job", "Step", "orchestrator_workers"),
            "graphengine.patterns.outcomes": ("Outcome",),
            "graphengine.patterns.pipelines": ("Passage", "pipeline"),
            "graphengine.patterns.reasonings": ("Observation", "Reasoning", "Thought", "react"),
            "graphengine.patterns.rooms": ("Room", "role_based"),
            "graphengine.patterns.self_reflections": ("SelfReflection", "self_reflection"),
            "graphengine.patterns.supervisors": ("Report", "Route", "Supervised", "supervisor"),
            "graphengine.patterns.swarms": ("Handed", "Swarm", "Turn", "swarm"),
            "graphengine.patterns.talkers": ("Reply", "Talk", "talker_reasoner"),
            "graphengine.patterns.topologies": ("Network", "topology"),
            "graphengine.patterns.votes": ("Poll", "voting"),
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
    "bounded",
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
]
