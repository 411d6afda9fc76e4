"""Random graphs with random rules: a rule that is proved is kept by every run, and a broken one is broken by its walk.

The graphs and runs are those that the simulator draws for the pure engine, without the rule; what they did is read from
their logs. SCENES=100000 makes a run of hours, and FIRST=5000 begins it where an earlier one ended.
"""

import asyncio
import os
from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import Any

import pytest

from graphengine import END, value
from graphengine.checks.rules import Verdict, verdicts
from graphengine.compile.checking import Compiling
from graphengine.engine.fold import evolve
from graphengine.engine.snapshot import Snapshot
from graphengine.engine.steps import Failed, Node, Step, without_items
from graphengine.graph.rules import Rule
from graphengine.state.schema import StateType
from graphengine.state.view import View
from graphengine.testing import walk
from tests.sim import build
from tests.sim import program as p
from tests.sim.logs import played

SCENES = int(os.environ.get("SCENES", "160")) // 3  # a search of a graph takes long
FIRST = int(os.environ.get("FIRST", "0"))
PARTS = max(4, SCENES // 50)
RUNS = 4
TASTE = p.Taste(outside=("crash", "stop"))


def scene(seed: str) -> tuple[p.Draw, p.Graph]:
    """Return a graph, half of them without forks, few with graphs inside."""
    draw = p.Draw(seed)
    taste = p.Taste(draw.one(0, 0, 1, 2), draw.one(0, 0, 1), maps=draw.one(0.0, 0.3), busy=0.0)
    return draw, p.Scopes(draw, taste).graph()


def ruled(random: Random, graph: p.Graph) -> Sequence[Rule]:
    """Return some rules about a graph's nodes, and of those inside the graphs of its nodes."""
    names = [node.name for node in graph.nodes]
    inner = [f"{node.name}/{each.name}" for node in graph.nodes if node.graph for each in node.graph.nodes]
    if len(names) < 2:
        return [Rule(names[0], at_most=random.randint(1, 4))]
    (a, b), (c, d) = random.sample(names, 2), random.sample(names, 2)
    rules = [Rule(a, before=b), Rule(c, after=d)]
    answered = random.choice((value("n") >= 2, value("n") == 1, ~(value("score") == 2) & (value("n") < 3)))
    rules += [Rule(b, before=random.choice((a, END)), answered=answered)]
    rules += [Rule(random.choice(names), before=random.choice(inner)) for _ in inner[:1]]
    return [*rules, Rule(random.choice(names), at_most=random.randint(1, 4))]


def verdicts_of(graph: Any, rules: Sequence[Rule]) -> Sequence[Verdict]:
    """Return the verdict on each rule of a graph that compiles."""
    plan = graph.compile()
    graph.rules = [*rules]
    return verdicts(Compiling(graph, plan.nodes, plan.state, (), (), ()))


def answers(rule: Rule, log: Sequence[Step], state: StateType[Any]) -> Sequence[tuple[int, bool]]:
    """Return at which steps a rule's node was visited, and whether the answer was the one that the rule asks for."""
    snapshot, found = Snapshot(), list[tuple[int, bool]]()
    for step in log:
        evolve(snapshot, step)
        is_own = "/" not in step.frame and "[" not in step.frame and step.node == rule.node
        if is_own and type(step.data) is Node and not step.data.fallback and rule.answered is not None:
            held, _ = rule.answered.evaluate(View(state, snapshot.frames[step.frame]))
            found.append((step.seq, held))
    return found


def keeps(rule: Rule, log: Sequence[Step], state: StateType[Any]) -> bool:
    """Return whether a run kept a rule, by its log alone."""
    own = [step for step in log if "/" not in step.frame and "[" not in step.frame]
    ended = [(s, s.data) for s in own if isinstance(s.data, Failed) or (type(s.data) is Node)]
    done = [s.seq for s, data in ended if s.node == rule.node and type(data) is Node and not data.fallback]
    if rule.answered is not None:
        begins = ("node", "failed", "attempt", "mapped", "entered")
        began = [step.seq for step in own if step.node == rule.before and step.kind in begins]
        began += [step.seq for step in own if rule.before == END and getattr(step.data, "status", "") == "finished"]
        before = [[held for at, held in answers(rule, log, state) if at <= seq] for seq in began]
        return all(each and each[-1] for each in before)
    if rule.before:
        kinds = ("node", "failed", "attempt", "mapped", "entered")
        steps = own if "/" not in rule.before else log
        began = [s.seq for s in steps if without_items(s.path) == rule.before and s.kind in kinds]
        return all(done and done[0] < seq for seq in began)
    if rule.after:
        due = [s.seq for s, data in ended if s.node == rule.after and not data.has_failed]
        finished = any(getattr(s.data, "status", "") == "finished" for s in own)
        return not finished or not due or bool(done and done[-1] > due[-1])
    visits = {(s.frame, s.visit) for s, _ in ended if s.node == rule.node}
    return len(visits) <= rule.at_most


def shown(verdict: Verdict, graph: Any, seed: str) -> None:
    """Run the test that a verdict shows."""
    names: dict[str, Any] = {"walk": walk, "graph": graph, **vars(build)}
    text = verdict.test()
    exec(compile(text, "shown", "exec"), names)  # noqa: S102 - our own text
    try:
        asyncio.run(names[text.split()[2].partition("(")[0]]())
    except Exception as error:
        raise AssertionError((seed, text)) from error


@pytest.mark.parametrize("part", range(PARTS))
def test_no_run_breaks_a_proved_rule_and_the_walk_of_a_broken_one_does(part: int) -> None:
    """Over random graphs, results, failures, orders and resumes, no run breaks a rule that is proved.

    The test that is shown for a broken rule passes: `walk` takes the path, to where the rule refuses it. Both are asked
    of one search of each graph, which takes most of the time.
    """
    seen: Counter[str] = Counter()
    for number in range(FIRST, FIRST + SCENES // PARTS):
        seed = f"rules {part} {number}"
        draw, spec = scene(seed)
        graph = build.graph_of(spec)
        plan = graph.compile()
        found = verdicts_of(graph, ruled(draw.random, spec))
        seen.update(f"{each.verdict}" for each in found)
        graph.rules = []
        proved = [each.rule for each in found if each.verdict == "proved"]
        for run in range(RUNS if proved else 0):
            program = p.Draw(f"{seed} {run}").program(spec, TASTE)
            log = played(program, graph).log
            for rule in proved:
                assert keeps(rule, log, plan.state), (seed, run, str(rule))
        for each in found:
            if each.verdict == "broken":
                ruled_by_it = graph.but()
                ruled_by_it.rules = [each.rule]
                shown(each, ruled_by_it, seed)
    assert min(seen[word] for word in ("proved", "not decided")) > SCENES // PARTS // 5, seen
    assert seen["broken"] > SCENES // PARTS // 10
