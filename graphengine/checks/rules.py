"""Whether every path of a graph keeps its rules.

A rule can be proved, it can be broken by a path that `walk` can execute, or it can stay undecided.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any, Final, Literal

from graphengine.checks.paths import Paths, Undecided, Visit, leaves_of
from graphengine.checks.subjects import fits
from graphengine.errors import NodeError, Problem
from graphengine.kernel.extension import START, Switch
from graphengine.kernel.inside import (
    closed_values,
    enum_value,
    members,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from graphengine.checks.paths import Trail
    from graphengine.kernel.extension import Compiling, FieldType
    from graphengine.kernel.inside import Rule

Stubs = dict[str, list[dict[str, object] | BaseException | None]]
_PLACEHOLDERS: Final[Sequence[object]] = ("text", 1, 1.5, True, [], {})
_SEVERAL: Final = -1  # several arms wrote the value


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of checking one rule of a graph on all paths through the graph.

    Attributes:
        rule: The rule.
        verdict: `proved` if runs that start at START cannot break the rule; `broken` if `path` breaks it; `not decided`
            for the reason in `why`.
        path: The nodes of the path that breaks the rule or may break it.
        why: The reason why the rule is not decided.
        nodes: The stubs with which `walk` takes a path that breaks the rule.
        state: The initial state of that walk.
    """

    rule: Rule
    verdict: Literal["proved", "broken", "not decided"]
    path: str = ""
    why: str = ""
    nodes: Stubs = field(default_factory=dict)
    state: Mapping[str, object] = field(default_factory=dict)

    def test(self, graph: str = "graph") -> str:
        """Generate the source of a Python test that takes the path which breaks the rule.

        The test passes as long as the rule can be broken.
        """
        name = re.sub(r"\W+", "_", str(self.rule)).strip("_")
        nodes = ", ".join(f"{node!r}: [{', '.join(map(_outcome_text, given))}]" for node, given in self.nodes.items())
        return (
            f"async def test_{name}() -> None:\n"
            f"    walked = await walk({graph}, {{{nodes}}}, {dict(self.state)!r})\n"
            f'    assert "rule_broken" in f"{{walked.error}} {{walked.why}}"  # {self.path}'
        )


def verdicts(found: Compiling) -> Sequence[Verdict]:
    """Check each rule of a compiled graph on all paths through the graph."""
    return [_verdict(rule, found) for rule in found.graph.rules]


def _verdict(rule: Rule, found: Compiling) -> Verdict:
    """Find out whether any run of a graph can break a rule, by searching all paths through the graph for this rule.

    Each rule is searched for alone, so that doubts about other rules do not affect the result.
    """
    start = [edge for edge in found.graph.edges if edge.source == START]
    paths = Paths(start, found.nodes, found.state, (rule,), found.graph.collect_errors)
    why = ""
    try:
        paths.walk()
    except Undecided as error:
        why = str(error)
    if rule not in paths.broken:
        return Verdict(rule, "not decided", why=why) if why else Verdict(rule, "proved")
    point, trail = paths.broken[rule]
    path = " ".join((*(visit.node for visit in trail.visits()), point.node))
    stubs = "" if point.doubt else _stubs(trail, paths)
    if isinstance(stubs, str):
        return Verdict(rule, "not decided", path, f"it depends on {point.doubt or stubs}")
    return Verdict(rule, "broken", path, "", *stubs)


def rule_problems(found: Compiling) -> Iterator[Problem]:
    """Report each rule of a graph that a run can break as an error, and each undecided rule as a warning.

    A rule that requires a question to be asked, but accepts any answer, is a warning too.
    """
    yield from _unread_answers(found)
    for each in verdicts(found) if any(rule.is_checked for rule in found.graph.rules) else ():
        where, origin = f"require {each.rule}", each.rule.origin
        file, line = (origin.file, origin.line) if origin is not None else (None, None)
        if each.verdict == "broken":
            text = f"the path {each.path} breaks this rule; a test that shows this:\n{each.test()}"
            repair = "add an edge or a condition that keeps runs from this path"
            yield Problem("rule_broken", where, text, repair, file=file, line=line)
        elif each.verdict == "not decided":
            which = f"the path {each.path} can break" if each.path else "a path can break"
            text = f"compile cannot decide whether {which} this rule: {each.why}"
            repair = "compare values of fields instead of calling functions; each run is checked in any case"
            yield Problem("rule_not_decided", where, text, repair, warning=True, file=file, line=line)


def _unread_answers(found: Compiling) -> Iterator[Problem]:
    """Warn about rules that require a question to be asked, if no condition depends on the answer.

    Such a rule is fulfilled even if the person refuses.
    """
    rules = [rule for rule in found.graph.rules if rule.before and rule.answered is None]
    decisive = _decisive(found, {rule.before.partition("/")[0] for rule in rules})
    for rule in rules if "state" not in decisive else ():
        node, origin = found.nodes[rule.node], rule.origin
        kinds = [kind for call in node.calls if call.body.kind == "ask" for kind in members(call.body.returns)]
        closed: list[object] = [True] if bool in kinds else [*(closed_values(kinds) or ())]
        for name in sorted(node.writer.fields - decisive) if closed else ():
            test = f"value({name!r})" + (".is_true()" if bool in kinds else f" == {enum_value(closed[0])!r}")
            repair = f"require({rule.node!r}, before={rule.before!r}, answered={test}), and an edge for other answers"
            text = f"any answer fulfils this rule, even a refusal, because no condition depends on the field {name!r}"
            place = (None, None) if origin is None else (origin.file, origin.line)
            yield Problem("unread_answer", f"require {rule}", text, repair, True, *place)  # noqa: FBT003 - a warning


def _decisive(found: Compiling, guarded: Collection[str]) -> set[str]:
    """Return the fields whose values can influence which nodes a run visits.

    These are the fields that conditions and choices read, fields that the nodes in `guarded` read, and the fields from
    which other nodes compute such fields.
    """
    nodes = found.nodes.values()
    edges = [*found.graph.edges, *(edge for node in nodes for edge in (*node.edges, *node.failure_edges))]
    leaves = [leaf for edge in edges for leaf in leaves_of(edge)]
    read = {root for leaf in leaves for root in (leaf.reading.roots if isinstance(leaf, Switch) else leaf.roots)}
    read = read.union(*(node.selector.roots for node in nodes if node.selector is not None))
    read = read.union(*(call.roots for node in nodes if node.name in guarded for call in node.calls))
    fields = set[str]()
    while read - fields:
        fields = {*read}
        read = fields.union(*(call.roots for node in nodes if node.writer.fields & fields for call in node.calls))
    return fields


def _stubs(trail: Trail, paths: Paths) -> tuple[Stubs, Mapping[str, object]] | str:
    """Return what a test must give to each node, and the initial state, so that a run takes the path `trail`.

    If this is not known, a text is returned that says what is not known.
    """
    visits = trail.visits()
    needs = _needs(trail, paths)
    answers: list[dict[str, object]] = [{} for _ in visits]
    for (number, index), bits in needs.items():
        subject = paths.subjects[index]
        if bits == subject.all:
            continue
        if not subject.root:
            return "how a graph inside it ends"
        if number == _SEVERAL:
            return f"what arms that join write to {subject.root}"
        declared, visit = paths.state.fields[subject.root], visits[number]
        value = next((v for i, v in enumerate(subject.values) if bits >> i & 1 and fits(declared, v)), subject)
        if subject.path != subject.root or value is subject:
            return f"whether {subject.path} can be so"
        if visit.failure is None and visit.node != START and not _writes(paths, visit.node, declared):
            return f"what {visit.node} writes to {subject.root}"
        if visit.failure is None:  # otherwise the value of the fallback was compared
            answers[number][subject.root] = value
    return _script(visits, answers, paths)


def _needs(trail: Trail, paths: Paths) -> Mapping[tuple[int, int], int]:
    """Return which values conditions must find so that a run takes a path, as bits for sets of example values.

    The keys are pairs of two numbers: the visit that wrote the value (0 for the initial state), and the index of the
    value among those that conditions read.
    """
    every = [subject.all for subject in paths.subjects]
    needs: dict[tuple[int, int], int] = {}
    numbers = count()

    def follow(trail: Trail, writers: list[int]) -> list[int]:
        """Note in `needs` which values the conditions on a path must find, so that a run takes this path.

        Returns:
            For each value that conditions read, the number of the visit that wrote the value last.
        """
        for part in trail.parts():
            if isinstance(part, Visit):
                number = next(numbers)
                for index in part.written:
                    writers[index] = number
                for index, known in enumerate(part.known):
                    if paths.subjects[index].root or _calls_graph(paths, part.node):
                        needs[writers[index], index] = needs.get((writers[index], index), every[index]) & known
                continue
            ends = [follow(arm, [*writers]) for arm in part]
            for index, before in enumerate(writers):
                changed = {end[index] for end in ends} - {before}
                writers[index] = before if not changed else changed.pop() if len(changed) == 1 else _SEVERAL
        return writers

    follow(trail, [0] * len(every))
    return needs


def _script(
    visits: Sequence[Visit], given: Sequence[dict[str, object]], paths: Paths
) -> tuple[Stubs, Mapping[str, object]] | str:
    """Return the results that the nodes on a path must have, and the initial state, for the test of a broken rule.

    `given` contains the values that conditions need, for each visit. If a result is not known, a text is returned that
    says what is not known.
    """
    nodes: Stubs = {}
    for visit, update in zip(visits[1:], given[1:], strict=True):
        error = _make_exception(visit.failure)
        if visit.failure is not None and error is None:
            return f"whether {visit.node} can fail with {visit.failure.__name__}"
        if lacking := _may_lack(visit.node, paths):
            return f"whether {lacking} has a value where {visit.node} reads it"
        nodes.setdefault(visit.node, []).append(error or update or None)
    state = dict(given[0]) if given else {}
    for declared in paths.state.fields.values():
        if declared.info.is_required() and declared.name not in state:
            value = next((each for each in _PLACEHOLDERS if fits(declared, each)), paths)
            if value is paths:
                return f"a value of {declared.name}"
            state[declared.name] = value
    return {node: each for node, each in nodes.items() if any(each) or _calls_graph(paths, node)}, state


def _may_lack(node: str, paths: Paths) -> str:
    """Return an input that a node reads and that may be missing from the state; "" if there is none."""
    for call in paths.nodes[node].calls if node in paths.nodes else ():
        for argument in call.arguments:
            for root in argument.reading.roots:
                declared = paths.state.fields.get(root)
                if declared is None or argument.reading.text != root or fits(declared, None):
                    return argument.reading.text
    return ""


def _calls_graph(paths: Paths, node: str) -> bool:
    return node in paths.nodes and any(call.graph is not None for call in paths.nodes[node].calls)


def _writes(paths: Paths, node: str, declared: FieldType) -> bool:
    """Return whether a test can make a node set a field to any value: the node writes the field as a whole.

    The test can then let the node return the value that a path needs.
    """
    writer = paths.nodes[node].writer
    whole = [target.field for target in writer.whole if target.key is None]
    named = declared.name in (writer.keys if writer.keys is not None else whole)
    return named and declared.reducer is None and not paths.state.whole and paths.nodes[node].each is None


def _make_exception(kind: type[BaseException] | None) -> BaseException | None:
    """Create an exception of the type with which a node fails on a path, for a generated test.

    None if the exception cannot be created with a message as its only argument.
    """
    if kind is None or not issubclass(kind, Exception) or issubclass(kind, NodeError):
        return None
    try:
        return kind("failed")
    except TypeError:
        return None


def _outcome_text(given: dict[str, Any] | BaseException | None) -> str:
    return f"{type(given).__name__}('failed')" if isinstance(given, BaseException) else repr(given)
