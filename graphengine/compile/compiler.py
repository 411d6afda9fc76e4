"""Compilation of a Graph into a Plan, or into a list of all its problems.

Each check adds its problems and the compilation continues, so that one error lists every repair. The checks go from the
parts (state, nodes, edges, conditions) to the whole (reachable nodes, ends, loops). Each mistake is reported once:
later checks skip the faulty part, or replace it by its likely meaning.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import replace
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar, get_args, get_origin

from graphengine.compile.binding import Binder
from graphengine.compile.checking import Compiling, checks
from graphengine.compile.graph_spec import graph_spec_of
from graphengine.compile.search_fields import searched_fields
from graphengine.compile.state import state_of
from graphengine.compile.type_fit import comparable
from graphengine.engine.graph_spec import fingerprint_of
from graphengine.engine.plan import NodePlan, Plan, Writer, retry_of
from graphengine.errors import CompileError, DefinitionError, Problem
from graphengine.graph.conditions import (
    Changed,
    Comparison,
    Condition,
    Fact,
    Function,
    Plateau,
    Value,
    is_bool,
    is_on_failure,
    mentions_failure,
)
from graphengine.graph.definition import Edge, Fork, GraphDefinition, Options, Switch
from graphengine.graph.effect import kind_of, once_of
from graphengine.graph.elsewhere import NODES, shown
from graphengine.graph.endings import EndedWith
from graphengine.graph.options import END, FAIL, START, Limits, Migration
from graphengine.graph.question import bad_braces, holes
from graphengine.graph.runnable import HasBody
from graphengine.graph.source_location import join_places, place, place_rest
from graphengine.graph.transaction import TRANSACTION, transaction_problems
from graphengine.state.failure import Failure
from graphengine.state.field import type_name
from graphengine.state.json_values import clipped
from graphengine.state.numbers import alike, equal
from graphengine.state.path import did_you_mean, is_path, members, nearest
from graphengine.state.secret import is_secret
from graphengine.state.type_facts import closed_values, enum_value, is_number

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from graphengine.engine.plan import Call, Each, Fallback
    from graphengine.graph.definition import AnyEdge, Declared
    from graphengine.graph.effect import Effect, Once
    from graphengine.graph.rules import Rule
    from graphengine.graph.source_location import Origin
    from graphengine.state.amounts import LimitsRecord
    from graphengine.state.schema import StateType
    from graphengine.state.searched import SearchedField
    from graphengine.state.selector import Reading, Tracker

S = TypeVar("S")

_NAME: Final = re.compile(r"[A-Za-z_][\w-]*")
_PLAIN: Final = ("function", "agent", "pass")
_ORDERED: Final = (">=", "<=", ">", "<")
_EQUAL: Final = ("==", "!=", "is in")
MOST_NESTED: Final = 32
"""How many graphs can be nested, including the outermost graph.

Each level takes four levels of JSON in the graph spec that is written with a run, and seven nested function calls to
compile. The limits of JSON and of Python would be reached at about 60 and 140 levels, and would give no reason.
"""


def compiled(graph: GraphDefinition[S]) -> Plan[S]:
    """Compile a graph to the form in which runs use it.

    The result is cached until the graph or a graph inside it changes.

    Raises:
        CompileError: The graph has errors. The exception lists all problems of the graph, including warnings.
        DefinitionError: The argument is not a graph.
    """
    given: object = graph
    if not isinstance(given, GraphDefinition):
        repair = "give the Graph itself; a run's id, if there is one, comes first: resume(run_id, graph)"
        if isinstance(given, HasBody):
            repair = "give a Graph: Graph.of(agent), or await runner.run(agent, …)"
        raise DefinitionError(f"{clipped(shown(given), 100)} is not a Graph", repair=repair)
    cached = graph._compiled  # noqa: SLF001 - kept there, where it lives as long as the graph
    if cached is not None and cached.limits is graph.limits:
        for now, count, last in cached.declared:  # add_node and add_edge change these
            if len(now) != count or (count and now[-1] is not last):
                break
        else:
            made: Plan[S] = cached.plan
            return made
    compiler = _Compiler(graph)
    plan = compiler.plan()
    if plan is None:
        raise CompileError(graph.name, compiler.problems)
    lists = [now for each in (graph, *compiler.inner) for now in (each.nodes, each.edges, each.rules)]
    declared = [(now, len(now), now[-1] if now else None) for now in lists]
    graph._keep(plan, declared)  # noqa: SLF001
    return plan


def problems_of(graph: GraphDefinition[Any]) -> Sequence[Problem]:
    """Return all problems of a graph, including those that are found only by trying out paths through the graph."""
    compiler = _Compiler(graph, walks=True)
    compiler.plan()
    return compiler.problems


_Known: TypeAlias = "dict[tuple[int, object], tuple[Plan[Any] | None, Sequence[GraphDefinition[Any]], int]]"


class _Compiler:
    """The compilation of one graph, which collects problems in the order in which they are found.

    Args:
        graph: The graph.
        around: The graphs around this graph, each a node of the one before it. The outermost graph is first.
        resources: The resources that those graphs provide.
        known: The results of the graphs that were compiled before. A graph that is used at several places is compiled,
            and its problems are reported, once for each set of resources and rules that it gets.
        rules: The rules that those graphs pass to this graph.
        walks: Whether checks walk the graphs. This takes as long as the rest of the compilation, so it is left out for
            a run.
    """

    def __init__(  # noqa: PLR0913 - what a graph inside another gets of it
        self,
        graph: GraphDefinition[Any],
        around: tuple[GraphDefinition[Any], ...] = (),
        resources: Mapping[str, object] | None = None,
        known: _Known | None = None,
        rules: Sequence[Rule] = (),
        *,
        walks: bool = False,
    ) -> None:
        self.graph = graph
        self.checks = checks()
        self.walks = walks
        self.around = around
        self.resources = {**(resources or {}), **graph.resources}
        self.known: _Known = {} if known is None else known
        self.rules = [*graph.rules, *rules]
        self.at = ""  # the node that is being compiled
        self.problems: list[Problem] = []
        self.inner: list[GraphDefinition[Any]] = []
        self.levels = 1  # the number of nested graphs, from this graph to the innermost
        self.names = [d.name for d in graph.nodes]
        self.leaving: dict[str, list[AnyEdge]] = {}  # the edges by the node that they leave
        for edge in graph.edges:
            self.leaving.setdefault(edge.source, []).append(edge)
        self.trackers: dict[str, Tracker] = {}
        self.searched: tuple[SearchedField, ...] = ()
        self.broken = False  # an inner graph has problems that were reported before
        self.unsound: set[str] = set()  # nodes with invalid options
        self.doubtful: set[str] = set()  # nodes with a problem on an outgoing edge
        self.unclear: set[str] = set()  # nodes with a problem in a switch

    def report(self, code: str, where: str, message: str, repair: str = "", *, warning: bool = False) -> None:
        self.problems.append(Problem(code, where, message, repair, warning))

    def _unknown_node(self, name: str, where: str, *also: str) -> None:
        end = name.strip("_").upper()  # the user may have written "__end__" or "End"
        repair = f"write {end}" if end in (START, END, FAIL) else did_you_mean(name, [*self.names, *also])
        self.binder.unknown("node", name, Problem("unknown_node", where, f"unknown node {name!r}", repair))

    def plan(self) -> Plan[Any] | None:
        try:
            return self._plan()
        finally:
            place_rest(self.problems, self.graph)

    def _plan(self) -> Plan[Any] | None:
        graph = self.graph
        state, self.problems = state_of(graph, self.checks)
        if state is None:
            return None
        self.binder = Binder(state, frozenset(self.resources), self._inner, self.problems)
        self._names()
        for message, repair in self.checks.options(graph):
            self.report("bad_option", f"graph {graph.name}", message, repair)
        is_sound = not any(p.code == "bad_option" for p in self.problems)
        for declared in graph.nodes:
            for message, repair in self.checks.node(declared):
                self.report("bad_option", f"node {declared.name}", message, repair)
                self.unsound.add(declared.name)
        edges = self._edges()
        nodes: dict[str, NodePlan] = {}
        for declared in graph.nodes:
            begin = len(self.problems)
            self.at = declared.name
            nodes[declared.name] = self._node(declared, edges[declared.name])
            place(self.problems, begin, declared.origin)
        start = self._only_success(edges[START], "START")
        broken = self.broken or any(not problem.warning for problem in self.problems)
        compiling = Compiling(graph, nodes, state, self.unsound, self.doubtful, self.unclear, self.walks and not broken)
        self.problems += self.checks.whole(compiling)
        self.problems.extend(self.checks.migrations(graph) if is_sound else ())
        self._options(state)
        self._rules(nodes)
        result = self.binder.reading(graph.result, "result=") if graph.result else None
        self.binder.open(result, "result=")
        join_places(self.problems, self.binder.unknowns.values())
        if self.broken or any(not p.warning for p in self.problems):
            return None
        graph_spec = graph_spec_of(graph, nodes)
        place_rest(self.problems, graph)
        rules = {rule.guards: tuple(r for r in self.rules if r.guards == rule.guards) for rule in self.rules}
        done = [tracker for rule in dict.fromkeys(self.rules) for tracker in rule.trackers()]
        samples, epochs = _by_trigger([*self.trackers.values(), *dict.fromkeys(done)])
        return Plan(
            graph=graph.name,
            version=graph.version,
            state=state,
            nodes=nodes,
            start=start,
            samples=samples,
            epochs=epochs,
            rules=rules,
            limits=_check_limits(graph.limits),
            own_limits=_check_limits(graph.own_limits),
            title=graph.title,
            collect_errors=graph.collect_errors,
            carry_over=graph.carry_over,
            result=result,
            resources=graph.resources,
            migrate={v: m if isinstance(m, Migration) else Migration(state=m) for v, m in graph.migrate.items()},
            graph_spec=graph_spec,
            fingerprint=fingerprint_of(graph_spec),
            warnings=tuple(self.problems),
            collects=graph.collects,
            search=self.searched,
        )

    def _inner(self, graph: GraphDefinition[Any], where: str) -> Plan[Any] | None:
        """Compile a graph that a node of this graph runs, and report its problems at that node.

        Returns:
            The plan of the nested graph; None if the graph contains itself, is nested too deeply, or has errors.
        """
        chain = (*self.around, self.graph)
        if any(graph is other for other in chain):
            names = " → ".join(other.name for other in (*chain, graph))
            self.report("own_node", where, f"the graph contains itself: {names}", "use an edge to build the loop")
            return None
        provided = tuple(sorted((name, id(factory)) for name, factory in self.resources.items()))
        below = tuple(rule for each in self.rules if (rule := each.below(self.at)) is not None)
        key = (id(graph), (provided, below))
        if key not in self.known:
            if len(chain) == MOST_NESTED:
                self._too_deep(where, graph)
                return None
            compiler = _Compiler(graph, chain, self.resources, self.known, below, walks=self.walks)
            self.known[key] = compiler.plan(), [graph, *compiler.inner], compiler.levels
            self.problems += [
                replace(p, where=where if p.code == "too_deep" else f"{where}: {p.where}") for p in compiler.problems
            ]
        plan, inner, levels = self.known[key]
        self.inner += inner
        self.levels = max(self.levels, 1 + levels)
        self.broken |= plan is None
        if plan is not None and len(chain) + levels > MOST_NESTED:  # it was compiled before at a place where it fits
            self._too_deep(where, graph)
            return None
        return plan

    def _too_deep(self, where: str, graph: GraphDefinition[Any]) -> None:
        outermost = (*self.around, self.graph)[0]
        message = f"graphs are nested more than {MOST_NESTED} deep: {outermost.name} → … → {graph.name}"
        self.report("too_deep", where, message, "merge some inner graphs, or run them one after another")

    def _names(self) -> None:
        seen: dict[str, Origin | None] = {}
        for declared in self.graph.nodes:
            name, begin = declared.name, len(self.problems)
            where = f"node {name}"
            if name in (START, END, FAIL) or not _NAME.fullmatch(name):
                text = f"{name!r} cannot be the name of a node, because it is reserved or not an identifier"
                repair = "use an identifier, such as write_draft, and title= for the text that people read"
                self.report("bad_name", where, text, repair)
            if name in seen:
                first = seen[name]
                other = f"; the first is at line {first.line}" if first is not None else ""
                self.report("duplicate_node", where, f"two nodes have the name {name!r}{other}", "rename one of them")
            seen.setdefault(name, declared.origin)
            place(self.problems, begin, declared.origin)

    def _edges(self) -> dict[str, list[AnyEdge]]:
        found: dict[str, list[AnyEdge]] = defaultdict(list)
        for index, declared in enumerate(self.graph.edges):
            begin = len(self.problems)
            self._ends(declared)
            where, is_valid = f"edge from {declared.source}", True
            if isinstance(declared, Edge):
                for condition in _conditions_of(declared):
                    self._condition(condition, declared.source, where)
            elif isinstance(declared, Fork):
                self._fork(declared, where)
            else:
                is_valid = self.binder.checked(declared.reading, where) is not None
                if is_valid:
                    self.binder.open(declared.reading, where)
                    self._cases(declared, where)
            if is_valid:
                found[declared.source].append(replace(declared, place=index))
            if any(not p.warning for p in self.problems[begin:]):
                self.doubtful.add(declared.source)
                self.unclear |= {declared.source} if isinstance(declared, Switch) else set()
            place(self.problems, begin, declared.origin)
        return found

    def _fork(self, declared: Fork, where: str) -> None:
        for condition in _conditions_of(declared):
            self._condition(condition, declared.source, where)
            if mentions_failure(condition):
                text = f"the condition '{condition}' tests for a failure, but a fork cannot start after a failure"
                self.report("mixed_failure", where, text, "lead an edge with failed(…) to a node, and fork from there")
        arms = len(declared.arms)
        if not arms:
            self.report("bad_fork", where, "the fork has no targets", "name at least one target")
        if declared.need is not None and not 1 <= declared.need <= arms:
            text = f"need={declared.need} is out of range, because the fork has {arms} arms"
            self.report("bad_fork", where, text, f"give a number from 1 to {arms}")

    def _ends(self, declared: AnyEdge) -> None:
        where = f"edge from {declared.source}"
        if declared.source in (END, FAIL):
            if declared.source not in self.names:
                text = f"an edge cannot start at {declared.source}, where runs end"
                self.report("bad_edge", where, text, "remove the edge")
        elif declared.source != START and declared.source not in self.names:
            self._unknown_node(declared.source, where)
        targets = declared.targets
        if isinstance(declared, Fork):
            targets = [*(target for target, _ in declared.arms), declared.join]
            if declared.join == FAIL or FAIL in targets:
                text = "an arm cannot begin at FAIL, and a fork cannot join there"
                self.report("bad_fork", where, text, "add an edge to FAIL from a node of an arm")
        for target in targets:
            if target == START:
                text = "an edge cannot lead back to START, where runs begin"
                self.report("bad_edge", where, text, "lead the edge to the first node after START")
            elif target not in (END, FAIL) and target not in self.names:
                self._unknown_node(target, where, END, FAIL)

    def _cases(self, declared: Switch, where: str) -> None:
        reading = declared.reading
        types = self.binder.state.types_read(reading)
        values = closed_values(types)
        if values is None:
            for case in declared.cases:
                self._comparable(f"{reading.text} == {case!r}", "==", (case,), reading, where)
            return
        unknown = [case for case in declared.cases if case not in values and not (case is None and type(None) in types)]
        words = [str(v) for v in values]
        for case in unknown:
            text = f"the switch has a case for {case!r}, but {reading.text!r} never has this value"
            self.report("unknown_case", where, text, did_you_mean(str(case), words))
        meant = [nearest(str(case), words) for case in unknown]
        missing = [v for v in values if v not in declared.cases and str(v) not in meant]
        if len(missing) > meant.count("") and declared.otherwise is None:
            text = ", ".join(repr(v) for v in missing)
            text = f"the switch on {reading.text!r} has no case for {text}"
            self.report("missing_case", where, text, "add a case for each value, or otherwise=…")

    def _condition(self, condition: Condition, source: str, where: str) -> None:
        if mentions_failure(condition) and not is_on_failure(condition):
            self.report(
                "mixed_failure",
                where,
                f"the condition '{condition}' is for both failure and success, but an edge is for only one of them",
                "use failed(…) alone or with &; write a second edge for the other case",
            )
        for leaf in condition.leaves():
            self._leaf(leaf, where)
        for tracker in condition.trackers(source):
            earlier = self.trackers.setdefault(tracker.key, tracker)
            if earlier.reading is not None and tracker.reading is not None and earlier.reading != tracker.reading:
                text = f"two functions are named {tracker.reading.text!r}, and their recorded values would be mixed up"
                self.report("same_name", where, text, "define them with def, under different names")
            for name in (tracker.since, tracker.node):
                if name and name != START and name not in self.names:
                    self._unknown_node(name, where)

    def _leaf(self, leaf: Condition, where: str) -> None:
        if isinstance(leaf, EndedWith) and where == f"edge from {START}":
            self._labels(leaf, (), (), where)
        if isinstance(leaf, Function):
            self.binder.function(leaf.injected, where)
            returns = members(leaf.injected.returns)
            found = closed_values(returns) or returns
            if found and not any(map(_may_be_bool, found)):
                is_text = all(kind is str or isinstance(kind, str) for kind in found)
                name = leaf.injected.name
                what = "text" if is_text else " or ".join(dict.fromkeys(map(type_name, returns)))
                text = f"the condition {name} returns {what}, not a bool"
                switch = f"to choose a node: add_switch({where.rsplit(' ', 1)[-1]!r}, {name}, {{…}})"
                switch += "; otherwise return a bool, or compare the result"
                repair = switch if is_text else "compare the result, or wrap it in bool(…)"
                self.report("wrong_comparison", where, text, repair)
        elif isinstance(leaf, (Plateau, Changed)):
            reading = self.binder.checked(leaf.reading, where)
            self.binder.open(reading, where)
            if isinstance(leaf, Plateau) and reading is not None:
                self._numeric(reading, where)
        elif isinstance(leaf, Comparison) and isinstance(leaf.quantity, Fact):
            self._fact(leaf, leaf.quantity, where)
        elif isinstance(leaf, Comparison) and isinstance(leaf.quantity, Value):
            self._value(leaf, leaf.quantity, where)

    def _fact(self, leaf: Comparison, quantity: Fact, where: str) -> None:
        for name in quantity.names:
            if name not in self.names:
                self._unknown_node(name, where)
        if not is_number(type(leaf.other)):
            text = f"the condition '{leaf}' compares a number with a value of type {type(leaf.other).__name__}"
            self.report("wrong_comparison", where, text, "compare with a number")

    def _value(self, leaf: Comparison, quantity: Value, where: str) -> None:
        reading = quantity.reading
        if leaf.operator != "is none" or quantity.measure:
            self.binder.open(reading, where, "test .is_none(), or use a function: when=lambda token: …")
        if self.binder.checked(reading, where) is not None and not quantity.measure:
            others = leaf.other if leaf.operator == "is in" and isinstance(leaf.other, tuple) else (leaf.other,)
            self._comparable(leaf, leaf.operator, others, reading, where)

    def _numeric(self, reading: Reading, where: str) -> None:
        types = self.binder.state.types_read(reading)
        if types and not any(is_number(kind) for kind in types):
            kinds = " | ".join(map(type_name, types))
            text = f"plateau({reading.text!r}) needs a number, but gets a value of type {kinds}"
            self.report("not_a_number", where, text, "name a numeric field, or give a function that returns a number")

    def _comparable(self, test: object, sign: str, others: Iterable[object], reading: Reading, where: str) -> None:
        types = self.binder.state.types_read(reading)
        if not types or any(t in (Any, object) for t in types):
            return
        values, in_order = closed_values(types), sign in _ORDERED
        kinds = [get_origin(t) or t for t in types]
        for other in others:
            if sign in _EQUAL and values is not None:
                if other is not None and not any(equal(v, other) or other == v for v in values):
                    near = did_you_mean(str(other), [str(enum_value(v)) for v in values])
                    text = f"the condition '{test}' can never hold, because the type has no such value"
                    self.report("wrong_comparison", where, text, near)
            elif sign in (*_ORDERED, *_EQUAL) and not (
                any(_is_ordered(v, other) for v in values)
                if values is not None
                else any(comparable(k, other, ordered=in_order) for k in kinds)
            ):
                kind, given = " | ".join(map(type_name, types)), type(other).__name__
                text = f"the condition '{test}' compares a value of type {kind} with a value of type {given}"
                self.report("wrong_comparison", where, text, "compare with a value of the field's type")

    def _node(self, declared: Declared, edges: list[AnyEdge]) -> NodePlan:
        where, begin = f"node {declared.name}", len(self.problems)
        each = self.binder.each(declared.options, where) if declared.name not in self.unsound else None
        if declared.name in self.unsound or (declared.options.each is not None and each is None):
            declared = replace(declared, runnable=None, options=Options())  # prevents follow-up problems
            self.unsound.add(declared.name)
        options = declared.options
        binder = self.binder if each is None else replace(self.binder, state=each.state)
        call, selector, choices = binder.calls(declared, where)
        every = [*([call] if call else []), *choices.values()]
        passes = declared.runnable is None
        writer = Writer(keys=frozenset()) if passes else binder.writer(options.writes, where, every, each)
        if declared.name not in self.unsound:
            self._graph_options(declared, every, where)
        fallback = binder.fallback(options, where)
        if fallback is not None and fallback.call is None:
            binder.substitute(fallback.value, writer, f"{where}, fallback", each=each is not None)
        if each is not None and all(p.warning for p in self.problems[begin:]):
            read = {*writer.roots, *(root for call in _add_fallback_call(fallback, every) for root in call.roots)}
            self._unread(binder, each, read | (selector.roots if selector is not None else set()), where)
        self._transactions(options.effect, where, every, fallback)
        once = self._once(options.effect, every, where)
        success = [w for w in edges if not _on_failure(w)]
        failure = tuple(w for w in edges if isinstance(w, Edge) and _on_failure(w))
        return NodePlan(
            name=declared.name,
            title=options.title or "",
            call=call,
            selector=selector,
            choices=choices,
            writer=writer,
            edges=self._order_edges(success, where),
            failure_edges=failure,
            retry=retry_of(options.retry, every),
            timeout_seconds=options.timeout_seconds,
            fallback=fallback,
            each=each,
            effect=kind_of(options.effect),
            once=once,
            plain=each is None and once is None and all(c.body.kind in _PLAIN for c in every),
        )

    def _unread(self, binder: Binder, each: Each, read: Collection[str], where: str) -> None:
        """Warn about a map whose node never reads the item, although `each=` gives the item a name.

        Such a node does the same work for every item, which is probably a mistake.
        """
        for name in binder.unread(each, read):
            text = f"nothing reads the item {name!r}, so the node does the same for every item"
            repair = f"add a parameter of that name, or inputs={{…: {name!r}}}"
            self.report("unused_item", where, text, repair, warning=True)

    def _once(self, effect: Effect | None, calls: Sequence[Call], where: str) -> Once | None:
        """Return the declaration of a node's side effect that must not be repeated (`effect=`); None if there is none.

        Also check that the node has each parameter that the `reconcile=` function of the declaration takes.
        """
        once = once_of(effect)
        lacks = once.lacks({each.name for call in calls for each in call.body.parameters}) if once is not None else ()
        if once is not None and lacks:
            text = f"{once.name} in Once(reconcile=…) needs {', '.join(map(repr, lacks))}, which the node does not have"
            self.report("bad_option", where, text, "take parameters of the node's function, or idempotency_key")
        return once

    def _transactions(
        self, effect: Effect | None, where: str, calls: Sequence[Call], fallback: Fallback | None
    ) -> None:
        """Report nodes that declare a database transaction but cannot run in one.

        Nodes that have a parameter for the connection of a transaction, but do not run in one, are reported too.
        """
        for call in calls if effect == TRANSACTION else ():
            if call.body.kind != "function":
                text = f'effect="transaction" needs a plain function, but {call.body.name} is not a function'
                self.report("bad_option", where, text, "give the effect to a function of its own node")
                continue
            for text, repair in transaction_problems(call.body.call):
                self.report("bad_option", where, text, repair)
            if call.on or not call.thread:
                text = (
                    f'effect="transaction" runs {call.body.name} in a thread of its own, so it excludes on= and thread='
                )
                self.report("bad_option", where, text, "remove on= and thread=")
        for call in _add_fallback_call(fallback, () if effect == TRANSACTION else calls):
            if call.handle:
                text = f"{call.body.name} takes {call.handle!r}, the connection of a transaction, but runs in none"
                repair = 'add effect="transaction"; or Graph(resources={…}) if it is a connection of your own'
                self.report("unknown_parameter", where, text, repair)

    def _graph_options(self, declared: Declared, calls: Sequence[Call], where: str) -> None:
        """Report options that do not apply to a node that runs a graph or a question, such as `timeout_seconds=`.

        Labels in `ended_with(…)` that the graph of the node does not have are reported too.
        """
        options = declared.options
        waiting = [call for call in calls if call.body.kind in ("graph", "ask")]  # these do not run as one attempt
        if waiting and options.timeout_seconds is not None:
            name, kind = waiting[0].body.name, waiting[0].body.kind
            repair = "Graph(limits=Limits(seconds=…))" if kind == "graph" else "ask(…, timeout_seconds=…)"
            what = f"{name}, which is a graph" if kind == "graph" else "a question"
            self.report("bad_option", where, f"timeout_seconds does not apply to {what}", f"use {repair}")
        if waiting and options.effect is not None:
            text = f"effect= does not apply to {waiting[0].body.name}, which continues where it stopped after a crash"
            inner = waiting[0].body.kind == "graph"
            repair = "set effect= on the inner node that must not run twice" if inner else "remove effect="
            self.report("bad_option", where, text, repair)
        labels = {label for call in calls if call.graph is not None for label in call.graph.ends}
        graphs = [call.body.name for call in calls if call.body.kind == "graph"]
        if any(call.body.kind == "graph" and call.graph is None for call in calls):
            return  # the labels of its ends are not known
        for condition in (each for edge in self.leaving.get(declared.name, ()) for each in _conditions_of(edge)):
            for leaf in condition.leaves():
                if isinstance(leaf, EndedWith):
                    self._labels(leaf, graphs, labels, f"edge from {declared.name}")

    def _labels(self, leaf: EndedWith, graphs: Sequence[str], labels: Collection[str], where: str) -> None:
        if not graphs:
            text = f"the condition '{leaf}' tests how a graph ended, but the node is not a graph"
            self.report("bad_ended", where, text, "test a field with value(…)")
            return
        for label in leaf.labels:
            if label not in labels:
                near = did_you_mean(label, labels) or "add label=… to one of its edges to END"
                names = " or ".join(graphs)
                text = f"no edge to END in the graph {names} has the label {label!r}"
                self.report("unknown_label", where, text, near)

    def _order_edges(self, edges: list[AnyEdge], where: str) -> tuple[AnyEdge, ...]:
        closed = [i for i, edge in enumerate(edges) if edge.is_always_taken]
        if len(closed) > 1 or (closed and closed[0] < len(edges) - 1):
            self.doubtful.add(where.removeprefix("node "))
        if len(closed) > 1:
            targets = ", ".join(edges[i].targets[-1] for i in closed)
            text = (
                f"several edges of the node have no condition, so it is unclear which to take: the edges to {targets}"
            )
            source, arms = where.removeprefix("node "), [edges[i].targets[-1] for i in closed]
            fork = f"; to run the targets in parallel: add_fork({source!r}, {arms}, join=…)"
            can_fork = not {END, FAIL, source}.intersection(arms)
            self.report("two_otherwise", where, text, "keep one, or give the others when=…" + fork * can_fork)
        elif closed and closed[0] < len(edges) - 1:
            self.report(
                "otherwise_not_last",
                where,
                f"the edge to '{edges[closed[0]].targets[-1]}' is always taken, so the edges after it are never tried",
                "add this edge last, or give it a condition",
            )
        return tuple(edges)

    def _only_success(self, edges: list[AnyEdge], where: str) -> tuple[AnyEdge, ...]:
        if not edges and not any(edge.source in NODES for edge in self.graph.edges):
            text = "no edge leads out of START, so a run has no first node"
            self.report("no_start", where, text, "add_edge(START, 'first node')")
        for edge in edges:
            if _on_failure(edge):
                text = "an edge out of START has failed(…), but START cannot fail"
                self.report("bad_edge", where, text, "remove failed(…)")
        return self._order_edges([edge for edge in edges if not _on_failure(edge)], where)

    def _rules(self, nodes: Mapping[str, NodePlan]) -> None:
        for rule in self.graph.rules:
            begin = len(self.problems)
            for name in rule.names:
                if not _has_node_at(nodes, name) and not self.broken:
                    self._unknown_node(name, f"require {rule}")
            for leaf in rule.answered.leaves() if rule.answered is not None else ():
                self._leaf(leaf, f"require {rule}")
            place(self.problems, begin, rule.origin)

    def _title(self) -> None:
        title = str(self.graph.title)
        for fault, repair in bad_braces(title):
            self.report("bad_path", "title=", f"the title {fault}", repair)
        for hole in filter(is_path, holes(title)):
            self.binder.open(self.binder.reading(hole, "title="), "title=", "leave it out of the title")

    def _inputs(self) -> None:
        """Report graphs with secret fields if this graph collects their inputs as messages, which are not encrypted."""
        for topic, target in self.graph.collects.items():
            fields = getattr(target.state, "model_fields", {}).items()
            for name in (name for name, info in fields if is_secret(info.annotation, info.metadata)):
                text = f"field {name!r} of graph {target.name!r} is secret, and messages are kept in clear text"
                self.report("secret_field", f"topic {topic}", text, "read the secret in a node of the graph to start")

    def _options(self, state: StateType[Any]) -> None:
        graph = self.graph
        self._title()
        self._inputs()
        for name in graph.resources:
            if name in state.fields or name in ("ctx", "state", "error", "result"):
                self.report(
                    "name_clash",
                    f"resource {name}",
                    f"a resource cannot be named {name!r}, because this is the name of a field or a reserved name",
                    "rename the resource",
                )
        for name in sorted({"ctx", "error", "state"} & set(state.fields)):
            text = f"a parameter named {name!r} gets this field instead of the object that the engine would pass"
            self.report("name_clash", f"field {name}", text, "rename the field", warning=True)
        for name in graph.carry_over or ():
            if name not in state.fields:
                self.report("unknown_field", "carry_over=", f"unknown field {name!r}", did_you_mean(name, state.fields))
        self.searched = tuple(searched_fields(graph, self.binder))
        if isinstance(graph.collect_errors, str):
            field = state.fields.get(graph.collect_errors)
            if field is None:
                near = did_you_mean(graph.collect_errors, state.fields)
                self.report("unknown_field", "collect_errors=", f"unknown field {graph.collect_errors!r}", near)
            elif field.operation != "append" or Failure not in get_args(field.info.annotation):
                text = f"the type of the field {graph.collect_errors!r} must be Annotated[list[Failure], append]"
                self.report("bad_errors", "collect_errors=", text, "change the field's type")


def _has_node_at(nodes: Mapping[str, NodePlan], path: str) -> bool:
    """Return whether a path such as `article/review` names a node: `review` in a graph that the node `article` runs."""
    head, _, inside = path.partition("/")
    calls = nodes[head].calls if head in nodes else ()
    graphs = [call.graph for call in calls if call.graph is not None]
    return head in nodes and (not inside or any(_has_node_at(graph.nodes, inside) for graph in graphs))


def _is_ordered(value: object, other: object) -> bool:
    """Return whether Python can compare two values by `<`, so that a condition of an edge may do so."""
    one, two = alike(value, other)
    try:
        _ = one < two  # only whether this raises an error matters
    except TypeError:
        return False
    except Exception:  # noqa: BLE001 - an Enum's own order
        return True
    return True


def _may_be_bool(kind: object) -> bool:
    """Return whether a value of this type may be a bool.

    `kind` can also be one known value, such as a value of a Literal. Then the result is whether that value is a bool.
    """
    kind = get_origin(kind) or kind
    if kind is Any:  # Any is a class since Python 3.11
        return True
    if not isinstance(kind, type):  # a value of a closed type, or a form that only type checkers know
        return isinstance(kind, bool) or not (kind is None or isinstance(kind, (str, int, float, bytes, Enum)))
    return is_bool(kind) or (kind is not int and (getattr(kind, "_is_protocol", False) or issubclass(bool, kind)))


def _by_trigger(
    trackers: Iterable[Tracker],
) -> tuple[dict[str, tuple[Tracker, ...]], dict[str, tuple[Tracker, ...]]]:
    samples: dict[str, tuple[Tracker, ...]] = {}
    epochs: dict[str, tuple[Tracker, ...]] = {}
    for tracker in trackers:
        if tracker.kind == "plateau" and tracker.reading is not None:
            for root in sorted(tracker.reading.roots):
                samples[root] = (*samples.get(root, ()), tracker)
        if tracker.since:
            epochs[tracker.since] = (*epochs.get(tracker.since, ()), tracker)
    return samples, epochs


def _check_limits(limits: object) -> LimitsRecord:
    """Return the limits of a graph; empty if they are not a `Limits` object, which is reported elsewhere."""
    return limits.given() if isinstance(limits, Limits) else {}


def _add_fallback_call(fallback: Fallback | None, calls: Sequence[Call]) -> Sequence[Call]:
    return [*calls, fallback.call] if fallback is not None and fallback.call is not None else calls


def _on_failure(edge: AnyEdge) -> bool:
    return isinstance(edge, Edge) and edge.condition is not None and is_on_failure(edge.condition)


def _conditions_of(edge: AnyEdge) -> Sequence[Condition]:
    """Return the conditions of an edge. A fork's own condition comes before those of its arms."""
    own = () if isinstance(edge, Switch) else (edge.condition,)
    arms = [condition for _, condition in edge.arms] if isinstance(edge, Fork) else ()
    return [condition for condition in (*own, *arms) if condition is not None]
