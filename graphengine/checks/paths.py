"""The paths of a graph, and which facts are known on them: a walk over pairs of a node and facts, with a list of work.

There are three kinds of facts: the values that a field can still have (see `graphengine.checks.subjects`), the number
of visits of a node as far as conditions and rules count them, and the rules that are due. Some conditions are not
known: a function, a plateau, a cost, or a value of an open type. There the walk takes both ways. It therefore finds
every path that a run can take, and possibly more paths.

Each arm of a fork is walked by itself, up to the join. The ends of the arms are combined there. If the walk reaches a
`Point` without a doubt, a real run can reach it, and `graphengine.checks.rules` makes the stubs for such a run.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from graphengine.checks.subjects import Subject, fits, holds, key_of, subjects_of
from graphengine.kernel.extension import END, FAIL, START, Condition, Fork, Switch
from graphengine.kernel.inside import Comparison, Composed, EndedWith, Fact, Failed, Negated

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from graphengine.kernel.extension import AnyEdge, NodePlan, StateType
    from graphengine.kernel.inside import Rule

MOST_POINTS: Final = 10_000
MOST_COUNTED: Final = 64
_ENDED: Final = "how the graph at this node ended"
_LIKELY: Final = (ValueError, RuntimeError)


class Undecided(Exception):
    """Raised if following all paths through a graph gives no result, for example because there are too many."""


class Point(NamedTuple):
    """A point in the search for all paths through a graph: a node that is about to start, and what is known.

    Instead of a node, the point can be END or the join of a fork. The search follows all edges from one point to the
    next, in order to find edges that are never taken and rules that can be broken.

    Attributes:
        node: The name of the node.
        known: For each value that conditions read (see `Subject`): the example values that it can have, as bits.
        counts: For each number of visits that conditions read: the number, up to the highest one that matters.
        marks: For each rule: how far it is fulfilled, as "", "done", "failed" or "due".
        doubt: The reason why it is not certain that a run can come here; "" if a run can.
    """

    node: str
    known: tuple[int, ...]
    counts: tuple[int, ...]
    marks: tuple[str, ...]
    doubt: str = ""


class Visit(NamedTuple):
    """One visit of a node on a path through the graph that the search for all paths has found.

    Attributes:
        node: The node, or START.
        failure: The exception with which the visit failed, or which a fallback replaced; None if there is none.
        known: For each value that conditions read: the example values that were possible after the edge was taken, as
            bits.
        written: The indexes of the values that conditions read and that the visit wrote.
    """

    node: str
    failure: type[BaseException] | None
    known: tuple[int, ...]
    written: frozenset[int]


@dataclass(slots=True)
class Trail:
    """The path through the graph on which the search for all paths came to a point.

    Attributes:
        last: The last visit or, at a join, the paths of the arms that joined.
        before: The path up to there; None at the start.
    """

    last: Visit | tuple[Trail, ...] = ()
    before: Trail | None = None

    def parts(self) -> list[Visit | tuple[Trail, ...]]:
        parts: list[Visit | tuple[Trail, ...]] = []
        trail: Trail | None = self
        while trail is not None:
            parts.append(trail.last)
            trail = trail.before
        return parts[::-1]

    def visits(self) -> list[Visit]:
        """Return all visits on the path, with the visits of a fork's arms one arm after the other."""
        found: list[Visit] = []
        for part in self.parts():
            found += [part] if isinstance(part, Visit) else [visit for arm in part for visit in arm.visits()]
        return found


@dataclass(slots=True)
class Walked:
    """The result of the search for all paths through a graph, or through an arm of a fork.

    Attributes:
        trails: The path on which each point was reached first.
        ends: The points at which paths end: at END or, for an arm of a fork, at the join.
        next: For each point, the points that follow it, each with the number of visits that the arms of a fork make in
            between.
    """

    trails: dict[Point, Trail] = field(default_factory=dict)
    ends: list[Point] = field(default_factory=list)
    next: dict[Point, list[tuple[Point, Mapping[str, float]]]] = field(default_factory=dict)


class Paths:
    """Searches all paths through one graph, in order to check its edges and rules.

    Args:
        start: The edges that leave START.
        nodes: The compiled nodes.
        state: The state of the graph.
        rules: The rules of the graph.
        errors: The field of `collect_errors=`.
        most: The highest number of points to examine.
    """

    def __init__(  # noqa: PLR0913 - all that a walk depends on
        self,
        start: Sequence[AnyEdge],
        nodes: Mapping[str, NodePlan],
        state: StateType[Any],
        rules: Sequence[Rule] = (),
        errors: str | None = None,
        *,
        most: int = MOST_POINTS,
    ) -> None:
        self.start, self.nodes, self.state, self.rules, self.errors = start, nodes, state, rules, errors
        self.most = most
        edges = [*start, *(edge for node in nodes.values() for edge in (*node.edges, *node.failure_edges))]
        wanted = [rule.answered for rule in rules if rule.answered is not None]
        leaves = [leaf for edge in (*edges, *wanted) for leaf in leaves_of(edge)]
        tests = [leaf for leaf in leaves if isinstance(leaf, (Comparison, Switch))]
        found = subjects_of(tests, state)
        labels = [label for leaf in leaves if isinstance(leaf, EndedWith) for label in leaf.labels]
        self.subjects: list[Subject] = [*found.values()]
        self.index = {key: index for index, key in enumerate(found)}
        if labels:
            inner = [call.graph for node in nodes.values() for call in node.calls if call.graph is not None]
            every = dict.fromkeys(["", *labels, *(label for graph in inner for label in graph.ends)])
            self.index[_ENDED] = len(self.subjects)
            self.subjects.append(Subject("", "", every, [Switch("", None, {e: e for e in every}, None)]))  # type: ignore[arg-type]
        self.counters = self._counters(tests)
        self._at = {counter: at for at, counter in enumerate(self.counters)}
        self.taken: set[tuple[int, str]] = set()
        self.stuck: set[str] = set()
        self.broken: dict[Rule, tuple[Point, Trail]] = {}
        self.points = 0
        self._arms: dict[tuple[Point, str], Walked] = {}

    def _counters(self, tests: Iterable[Comparison | Switch]) -> dict[tuple[str, str], int]:
        """Return up to which number the search must count visits, for each count that conditions and rules read.

        The keys are pairs (node, since): the visits of `node` since the last visit of `since`, or since the start if it
        is "". If a condition compares the visits of `draft` with 3, the entry for ("draft", "") is 4, because higher
        numbers make no difference.
        """
        caps: dict[tuple[str, str], int] = {}
        for test in tests:
            counted = _find_count(test)
            if counted is not None:
                caps[counted] = max(caps.get(counted, 0), math.ceil(test.other) + 1)  # type: ignore[union-attr, arg-type]
        for rule in self.rules:
            if rule.at_most:
                caps[rule.node, ""] = max(caps.get((rule.node, ""), 0), rule.at_most)
        return caps

    def subject_of(self, test: Comparison) -> Subject | None:
        """Return the value that a condition compares, if the search for all paths keeps track of it; None otherwise."""
        index = self.index.get(key_of(test))
        return None if index is None else self.subjects[index]

    def reached(self, walked: Walked) -> set[str]:
        """Return the nodes that a run can reach, including nodes in arms of forks."""
        return {point.node for each in (walked, *self._arms.values()) for point in each.next}

    def walk(self) -> Walked:
        """Search all paths through the graph, from START to END.

        Raises:
            Undecided: There are too many points, or an arm may be cancelled in a case where that matters.
        """
        every = tuple(subject.all for subject in self.subjects)
        begins = Point(START, every, (0,) * len(self.counters), ("",) * len(self.rules))
        return self._walk(begins, "")

    def _walk(self, begins: Point, until: str) -> Walked:
        """Search all paths from one point to END or, inside an arm of a fork, to the join of the fork.

        Points that a run certainly reaches are examined first.
        """
        found = Walked({begins: Trail()})
        sure, doubtful = deque([begins]), deque[Point]()
        seen: set[Point] = set()
        while sure or doubtful:
            point = (sure or doubtful).popleft()
            plain = point._replace(doubt="")
            if plain in seen:
                continue
            seen.add(plain)
            if point.node in (END, FAIL) or (point.node == until and point is not begins):
                if point.node != FAIL:
                    found.ends.append(point)
                continue
            reached = found.next[plain] = []
            for after, trail, visits in self._visit(point, found.trails[point], until):
                reached.append((after._replace(doubt=""), visits))
                if after not in found.trails:
                    found.trails[after] = trail
                    (doubtful if after.doubt else sure).append(after)
        return found

    def _visit(self, point: Point, trail: Trail, until: str) -> Iterator[tuple[Point, Trail, Mapping[str, float]]]:
        if point.node == START:
            yield from self._leave(point, self.start, trail, until, None, frozenset())
            return
        node = self.nodes[point.node]
        written = self._subjects_changed_by(node.writer.fields)
        erring = self._subjects_changed_by({self.errors} if self.errors is not None else ())
        done = self._after(point, written, fails=False)
        if _ENDED in self.index and not any(call.graph is not None for call in node.calls):
            at = self.index[_ENDED]
            done = _know_subject(done, at, self.subjects[at].like(""))
        for answered in self._split_by_answers(done):
            yield from self._leave(answered, node.edges, trail, until, None, written)
        runs = any(call.body.kind != "pass" for call in node.calls)
        likely = _LIKELY[0]
        if node.fallback is not None:
            stood_in = self._after(point, written | erring, fails=True)
            stood_in = self._with_fallback(node, stood_in, written, erring)
            yield from self._leave(stood_in, node.edges, trail, until, likely, written | erring)
        failed = self._after(point, erring, fails=True)
        if node.fallback is not None:
            failed = _doubt(failed, f"whether the fallback of {node.name} fails")
        tested = [leaf for edge in node.failure_edges for leaf in leaves_of(edge) if isinstance(leaf, Failed)]
        kinds = [kind for leaf in tested for kind in leaf.types]
        for kind in dict.fromkeys([*kinds, *_LIKELY]) if node.failure_edges and runs else ():
            yield from self._leave(failed, node.failure_edges, trail, until, kind, erring)
        if node.failure_edges:
            why = f"how {node.name} fails"
            yield from self._leave(_doubt(failed, why), node.failure_edges, trail, until, BaseException, erring)

    def _split_by_answers(self, point: Point) -> list[Point]:
        """Split a point of the search at which a question was answered, if a rule depends on the answer.

        Returns:
            One point for each kind of answer that the rule tells apart, such as "approved" and "refused".
        """
        points = [point]
        for index, rule in enumerate(self.rules):
            if rule.answered is not None and rule.node == point.node:
                mark = {True: "done", False: "failed"}
                split = [each for one in points for each in self._split(rule.answered, one, None)]
                points = [
                    there._replace(marks=(*there.marks[:index], mark[held], *there.marks[index + 1 :]))
                    for held, there in split
                ]
        return points

    def _subjects_changed_by(self, fields: Iterable[str]) -> frozenset[int]:
        """Return which values that the search for all paths keeps track of change with these fields."""
        names = {*fields}
        whole = self.state.whole and bool(names)
        return frozenset(i for i, s in enumerate(self.subjects) if s.root and (whole or s.root in names))

    def _after(self, point: Point, written: Iterable[int], *, fails: bool) -> Point:
        values, name = [*point.known], point.node
        for index in (*written, *([self.index[_ENDED]] if _ENDED in self.index else ())):
            values[index] = self.subjects[index].all
        counts = tuple(
            0 if since == name else min(count + (node == name), cap)
            for (node, since), cap, count in zip(self.counters, self.counters.values(), point.counts, strict=True)
        )
        marks = [*point.marks]
        for index, rule in enumerate(self.rules):
            if rule.after == name:
                marks[index] = "due"
            elif rule.node == name and not (fails and marks[index]):
                marks[index] = "failed" if fails else "done"
        return point._replace(known=tuple(values), counts=counts, marks=tuple(marks))

    def _with_fallback(self, node: NodePlan, point: Point, written: frozenset[int], erring: frozenset[int]) -> Point:
        """Return the point of the search that follows when a node's fallback has replaced its failure.

        If it is not known what the fallback writes, the point gets a doubt.
        """
        writer, fallback = node.writer, node.fallback
        whole = [target for target in writer.whole if target.key is None]
        plain = fallback is not None and fallback.call is None and not erring and not self.state.whole
        if not plain or fallback is None or writer.keys is not None or len(writer.parts) != 1 or not whole:
            return _doubt(point, f"what the fallback of {node.name} writes")
        declared = self.state.fields[whole[0].field]
        if declared.reducer is not None or not fits(declared, fallback.value):
            return _doubt(point, f"whether the fallback of {node.name} fits")
        for index in written:
            subject = self.subjects[index]
            if subject.path != declared.name:
                return _doubt(point, f"what the fallback of {node.name} writes")
            point = _know_subject(point, index, subject.like(fallback.value) or subject.all)
        return point

    def _leave(  # noqa: PLR0913 - all that a visit leaves behind
        self,
        point: Point,
        edges: Sequence[AnyEdge],
        trail: Trail,
        until: str,
        failure: type[BaseException] | None,
        written: frozenset[int],
    ) -> Iterator[tuple[Point, Trail, Mapping[str, float]]]:
        name, left = point.node, [point]
        for edge in edges:
            others: list[Point] = []
            for here in left:
                for target, there in self._chosen(edge, here, failure):
                    if not target:
                        others.append(there)
                    elif isinstance(edge, Fork):
                        yield from self._fork(edge, there, Visit(name, failure, (), written), trail, until)
                    else:
                        self.taken.add((id(edge), target))
                        longer = Trail(Visit(name, failure, there.known, written), trail)
                        yield from self._enter(target, there, longer, until, {})
            left = others
        if left and failure is None:
            self.stuck.add(name)

    def _enter(
        self, target: str, point: Point, trail: Trail, until: str, visits: Mapping[str, float]
    ) -> Iterator[tuple[Point, Trail, Mapping[str, float]]]:
        """Follow an edge to its target in the search for all paths, and yield the point at the target.

        Each rule that a run would break by entering the target is noted.

        Raises:
            Undecided: There are more points than the search may examine.
        """
        self.points += 1
        if self.points > self.most:
            message = f"there are more than {self.most:,} combinations of nodes and what is known there"
            raise Undecided(message)
        for index, rule in enumerate(self.rules):
            guarded, _, inside = rule.guards.partition("/")
            if guarded == target != until and not self._is_rule_kept(index, rule, point):
                earlier = self.broken.get(rule)
                here = _doubt(point, f"whether {target} comes to {inside}") if inside else point
                if earlier is None or (earlier[0].doubt and not here.doubt):
                    self.broken[rule] = here._replace(node=target), trail
        yield point._replace(node=target), trail, visits

    def _is_rule_kept(self, index: int, rule: Rule, point: Point) -> bool:
        if rule.at_most:
            return point.counts[self._at[rule.node, ""]] < rule.at_most
        return point.marks[index] == "done" if rule.before else point.marks[index] != "due"

    def _chosen(
        self, edge: AnyEdge, point: Point, failure: type[BaseException] | None
    ) -> Iterator[tuple[str | None, Point]]:
        """Yield where an edge can lead from a point of the search for all paths.

        The target is None if the edge is not taken, and the join if the edge is a fork. Each target comes with the
        point that contains what is then known.
        """
        if isinstance(edge, Switch):
            index = self.index.get(key_of(edge)) if key_of(edge) else None
            for to in dict.fromkeys([*edge.cases.values(), edge.otherwise]):
                if index is None:
                    yield to, _doubt(point, f"what {edge.reading.text} is")
                elif possible := point.known[index] & self.subjects[index].where(lambda v, to=to: holds(edge, v) == to):  # type: ignore[misc]
                    yield to, _know_subject(point, index, possible)
        else:
            target = edge.join if isinstance(edge, Fork) else edge.target
            for held, there in self._split(edge.condition, point, failure):
                yield target if held else None, there

    def _split(
        self, condition: Condition | None, point: Point, failure: type[BaseException] | None
    ) -> Iterator[tuple[bool, Point]]:
        """Yield whether a condition can hold, and whether it can fail to hold, at a point of the search for all paths.

        Each outcome comes with the point that contains what is then known.
        """
        if condition is None:
            yield True, point
        elif isinstance(condition, Negated):
            yield from ((not held, there) for held, there in self._split(condition.of, point, failure))
        elif isinstance(condition, Composed):
            for held, there in self._split(condition.left, point, failure):
                if held is (condition.word == "or"):
                    yield held, there
                else:
                    yield from self._split(condition.right, there, failure)
        elif isinstance(condition, Failed) and failure is not BaseException:
            yield failure is not None and issubclass(failure, condition.types), point
        else:
            yield from self._leaf(condition, point)

    def _leaf(self, leaf: Condition, point: Point) -> Iterator[tuple[bool, Point]]:
        key = key_of(leaf) if isinstance(leaf, Comparison) else _ENDED if isinstance(leaf, EndedWith) else ""
        counted = _find_count(leaf) if isinstance(leaf, Comparison) else None
        if counted is not None and counted in self.counters:
            yield bool(holds(leaf, point.counts[self._at[counted]])), point  # type: ignore[arg-type]
        elif key and key in self.index:
            index = self.index[key]
            subject = self.subjects[index]
            if isinstance(leaf, EndedWith):
                labels = leaf.labels
                true = subject.where(lambda label: label in labels)
            else:
                true = subject.where(lambda value: holds(leaf, value))  # type: ignore[arg-type]
            for held, bits in ((True, true), (False, subject.all & ~true)):
                if point.known[index] & bits:
                    yield held, _know_subject(point, index, point.known[index] & bits)
        else:
            doubtful = _doubt(point, f"whether {leaf} holds")
            yield from ((True, doubtful), (False, doubtful))

    def _fork(
        self, fork: Fork, point: Point, visit: Visit, before: Trail, until: str
    ) -> Iterator[tuple[Point, Trail, Mapping[str, float]]]:
        if fork.need is not None:
            point = _doubt(point, f"which arms of the fork at {point.node} are cancelled")
        choices: list[tuple[Point, tuple[str, ...]]] = [(point, ())]
        for target, condition in fork.arms:
            choices = [
                (there, (*targets, target) if held else targets)
                for here, targets in choices
                for held, there in self._split(condition, here, None)
            ]
        for here, targets in choices:
            trail = Trail(visit._replace(known=here.known), before)
            self.taken |= {(id(fork), target) for target in targets or (fork.join,)}
            if not targets:
                yield from self._enter(fork.join, here, trail, until, {})
                continue
            arms = [self._arm(here, target, fork, trail) for target in targets]
            visits = {name: most for arm in arms for name, most in most_visits(arm).items()}
            inside = {name for arm in arms for each in arm.next for name in [each.node]}
            counted = {*(name for rule in self.rules for name in rule.names), *(node for node, _ in self.counters)}
            if fork.need is not None and inside & counted:
                message = f"the fork at {here.node} can cancel arms that visit what rules or conditions count"
                raise Undecided(message)
            ends = [[*arm.ends, *([None] if fork.need is not None else [])] for arm in arms]
            if math.prod(map(len, ends)) > self.most:
                message = f"the arms of the fork at {here.node} end in too many combinations"
                raise Undecided(message)
            for combination in product(*ends):
                self.points += 1
                joined = self._join_ended_arms(here, arms, combination)
                if joined is not None:
                    pairs = zip(arms, combination, strict=True)
                    trails = tuple(arm.trails[end] for arm, end in pairs if end is not None)
                    yield from self._enter(fork.join, joined, Trail(trails, trail), until, visits)

    def _arm(self, point: Point, target: str, fork: Fork, trail: Trail) -> Walked:
        """Find all paths that a run can take through one arm of a fork, from the arm's first node to the join."""
        if target == fork.join:
            return Walked({point._replace(node=target): Trail()}, [point._replace(node=target)])
        broken = {**self.broken}
        entered = [*self._enter(target, point, Trail(), fork.join, {})]
        if (entered[0][0], fork.join) not in self._arms:
            self._arms[entered[0][0], fork.join] = self._walk(entered[0][0], fork.join)
        for rule, (at, inside) in self.broken.items():
            if self.broken[rule] is not broken.get(rule):
                whole = trail
                for part in inside.parts():
                    whole = Trail(part, whole)
                self.broken[rule] = at, whole
        return self._arms[entered[0][0], fork.join]

    def _join_ended_arms(self, base: Point, arms: Sequence[Walked], ends: Sequence[Point | None]) -> Point | None:
        """Return the point of the search at which a fork's arms join, if the arms ended at these points.

        `ends` contains None for an arm that did not arrive, because the join needs only some of the arms. Returns None
        if the arms cannot all end in these ways in one run.
        """
        pairs = [(arm, end) for arm, end in zip(arms, ends, strict=True) if end is not None]
        doubt = next((end.doubt for _, end in pairs if end.doubt), base.doubt)
        if not pairs:
            return None
        values = [*base.known]
        for index, subject in enumerate(self.subjects):
            writers = [end for arm, end in pairs if index in self._wrote(arm)]
            if subject.root == "" or len(writers) > 1 or (writers and self.state.whole):
                values[index] = subject.all
            elif writers:
                values[index] = writers[0].known[index]
            else:
                for _, end in pairs:
                    values[index] &= end.known[index]
            if not values[index]:
                return None
        marks = [self._mark(at, rule, base, pairs) for at, rule in enumerate(self.rules)]
        doubt = doubt or next((why for _, why in marks if why), "")
        return Point(base.node, tuple(values), self._counts(base, arms, pairs), tuple(m for m, _ in marks), doubt)

    def _counts(self, base: Point, arms: Sequence[Walked], pairs: Sequence[tuple[Walked, Point]]) -> tuple[int, ...]:
        counts: list[int] = []
        for at, ((node, since), cap) in enumerate(self.counters.items()):
            changed = [end.counts[at] for _, end in pairs if end.counts[at] != base.counts[at]]
            if since and changed and len(arms) > 1 and {node, since} & self._nodes_visited_by(arms):
                message = f"arms visit {node} or {since}, whose visits a condition counts since the other"
                raise Undecided(message)
            counts.append(min(base.counts[at] + sum(count - base.counts[at] for count in changed), cap))
        return tuple(counts)

    def _mark(self, at: int, rule: Rule, base: Point, pairs: Sequence[tuple[Walked, Point]]) -> tuple[str, str]:
        """Return how far a rule is fulfilled when the arms of a fork join, and why this is not certain ("" if it is).

        It is not certain if several arms changed how far the rule is fulfilled, because their order is not known.
        """
        changed = {end.marks[at] for _, end in pairs} - {base.marks[at]}
        why = f"in which order arms visit {' and '.join(rule.names)}" if len(changed) > 1 else ""
        order = ("due", "done", "failed") if rule.after else ("done", "failed")
        return next((mark for mark in order if mark in changed), base.marks[at]), why

    def _nodes_visited_by(self, arms: Iterable[Walked]) -> set[str]:
        return {point.node for arm in arms for point in arm.next}

    def _wrote(self, arm: Walked) -> set[int]:
        nodes = [self.nodes[name] for name in self._nodes_visited_by([arm]) if name in self.nodes]
        erring = {self.errors} if self.errors is not None and nodes else set()
        return {index for node in nodes for index in self._subjects_changed_by({*node.writer.fields, *erring})}


def most_visits(walked: Walked) -> dict[str, float]:
    """Return the highest number of visits that each node can have in a run. It is infinite for nodes in a loop."""
    from graphengine.checks.reachability import components  # noqa: PLC0415 - only bounds need it

    index = {point: str(number) for number, point in enumerate(walked.next)}
    out = {index[p]: [index[to] for to, _ in after if to in index] for p, after in walked.next.items()}
    group = components(out)
    sizes: dict[int, int] = {}
    for number in group.values():
        sizes[number] = sizes.get(number, 0) + 1
    most: dict[int, dict[str, float]] = {}
    for point in sorted(walked.next, key=lambda p: group[index[p]]):
        number = group[index[point]]
        here = most.setdefault(number, {})
        loops = sizes[number] > 1 or index[point] in out[index[point]]
        behind: dict[str, float] = {}
        for to, visits in walked.next[point]:
            inside = to in index and group[index[to]] == number
            below = most.get(group[index[to]], {}) if to in index and not inside else {}
            for name in {*visits, *below}:
                amount = math.inf if inside and visits.get(name) else visits.get(name, 0) + below.get(name, 0)
                behind[name] = max(behind.get(name, 0), amount)
        own = {} if point.node == START else {point.node: math.inf if loops else 1}
        for name in {*behind, *own}:
            here[name] = max(here.get(name, 0), behind.get(name, 0) + own.get(name, 0))
    total: dict[str, float] = {}
    for each in most.values():
        for name, amount in each.items():
            total[name] = max(total.get(name, 0), amount)
    return total


def leaves_of(edge: AnyEdge | Condition) -> Iterator[Condition | Switch]:
    """Yield the simple conditions of an edge, such as `score > 3`, which contain no `and`, `or` or `not`.

    For a switch, which has no condition, the switch itself is yielded.
    """
    if isinstance(edge, Switch):
        yield edge
        return
    if isinstance(edge, Condition):
        yield from edge.leaves()
        return
    for condition in (edge.condition, *(c for _, c in edge.arms)) if isinstance(edge, Fork) else (edge.condition,):
        if condition is not None:
            yield from condition.leaves()


def _find_count(test: Comparison | Switch) -> tuple[str, str] | None:
    """Return which visits a condition counts, as (node, since); None if the condition counts no visits."""
    fact = test.quantity if isinstance(test, Comparison) else None
    number = isinstance(test, Comparison) and type(test.other) in (int, float) and 0 <= test.other <= MOST_COUNTED  # type: ignore[operator]
    return (*fact.names, "", "")[:2] if isinstance(fact, Fact) and fact.names and number else None  # type: ignore[return-value]


def _know_subject(point: Point, index: int, known: int) -> Point:
    return point._replace(known=(*point.known[:index], known, *point.known[index + 1 :]))


def _doubt(point: Point, why: str) -> Point:
    return point if point.doubt else point._replace(doubt=why)
