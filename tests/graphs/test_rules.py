"""What `require` says of sensible rules on every bundled graph and pattern: proved, broken, or not decided."""

import asyncio
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from graphengine.checks.rules import verdicts
from graphengine.compile.checking import Compiling
from graphengine.graph.rules import Rule
from graphengine.testing import walk
from tests.patterns.scenes import SCENES

GRAPHS = [path.stem for path in sorted(Path("graphs").glob("[a-z]*.py"))]
VERDICTS = """
blackboard           proved       board before report | report at most 1 | board before END
content_pipeline     proved       research before write | write before edit
                     proved       approve before send | approve before save | send at most 1
                     not decided  edit before list | list before END
content_queue        proved       order before collect | order before research | order before END
event_bus            proved       begin before writer | end before END | end at most 1
handoff              proved       research before write | write before edit | edit at most 1
line                 proved       review before mend | review before END | mend after review
orchestrator         proved       validate before synthesise | attempt before validate
                     not decided  attempt at most 3 | accepted after synthesise | synthesise before accepted
parallel_research    proved       split before work | gather at most 1
                     not decided  work before gather
review_loop          proved       write at most 5
                     not decided  research before write | review before END
writers_room         proved       settle before conclude | settle before END | conclude at most 1
pipeline             proved       find before write | write before edit | edit before END
                     broken       edit before write
fan_out_fan_in       proved       gather at most 1
                     not decided  work before gather
orchestrator_workers proved       make_plan before find | schedule before write
                     not decided  find before write
supervisor           proved       boss before find | finish before END
human_in_the_loop    proved       decide before act | act at most 1
role_based           proved       settle before conclude
swarm                proved       hand_over before law
                     not decided  law before tax
"""


def rows() -> Iterator[tuple[str, str, str]]:
    """Yield the graph, the verdict and the rule of each."""
    name = ""
    for line in VERDICTS.strip().splitlines():
        name = line[:20].strip() or name
        for rule in line[34:].split(" | "):
            yield name, line[21:33].strip(), rule


def stated(text: str) -> Rule:
    """Return a rule from its words."""
    node, _, rest = text.partition(" ")
    word, _, other = rest.rpartition(" ")
    if word == "at most":
        return Rule(node, at_most=int(other))
    return Rule(node, before=other) if word == "before" else Rule(node, after=other)


def graph_of(name: str) -> Any:
    """Return a bundled graph, or that of a pattern."""
    return import_module(f"graphs.{name}").graph if name in GRAPHS else SCENES[name]().graph


@pytest.mark.parametrize(("name", "verdict", "rule"), [*rows()])
def test_a_rule_has_the_verdict_that_is_listed(name: str, verdict: str, rule: str) -> None:
    """What is broken is broken by the walk that is shown."""
    graph = graph_of(name).but()
    plan = graph.compile()
    graph.rules = [stated(rule)]
    (found,) = verdicts(Compiling(graph, plan.nodes, plan.state, (), (), ()))
    assert (found.verdict, found.why if verdict == "proved" else "") == (verdict, "")
    if verdict == "broken":
        names: dict[str, Any] = {"walk": walk, "graph": graph.but()}
        exec(compile(found.test(), "shown", "exec"), names)  # noqa: S102 - our own text
        asyncio.run(names[found.test().split()[2].partition("(")[0]]())


def test_every_graph_and_pattern_has_a_rule() -> None:
    """None is left out, but for a pattern whose scene has a bundled graph's name."""
    assert {name for name, _, _ in rows()} == {*GRAPHS, *SCENES}
