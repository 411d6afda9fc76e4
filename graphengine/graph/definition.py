"""Graphs as a user declares them: nodes, edges, options.

Each call checks only its own arguments; `Graph.compile` checks the whole graph and reports every problem at once.
Declarations stay in order, since the outgoing edges of a node are tried in the order in which they were added.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field
from itertools import pairwise
from types import EllipsisType
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, NoReturn, TypeAlias, cast

from typing_extensions import TypeVar

from graphengine.errors import DefinitionError
from graphengine.graph.conditions import Condition, as_condition, compares_fields
from graphengine.graph.elsewhere import check_cases, missing, name_of, named_node, shown
from graphengine.graph.options import END, Limits, Migration, Retention, Retry, none_for_ever
from graphengine.graph.rules import Rule
from graphengine.graph.source_location import Origin, origin_of_call
from graphengine.state.declared import declared_of, model_of
from graphengine.state.injection import NO_DEFAULT, Parameter
from graphengine.state.json_values import WITHOUT_NUL, clipped, is_name
from graphengine.state.path import parse, type_at
from graphengine.state.selector import Reading
from graphengine.state.texts import choice_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Self

    from graphengine.graph.effect import Effect
    from graphengine.graph.runnable import AnyFunction, Body, HasBody, Kind
    from graphengine.state.json_values import JsonValue
    from graphengine.state.secret import Keys

S = TypeVar("S")
Out_co = TypeVar("Out_co", covariant=True, default=object)

UNSET: Final = object()


WriteSource: TypeAlias = "str | AnyFunction[object]"
Writes: TypeAlias = "str | Sequence[str] | Mapping[str, WriteSource]"
"""What a node writes: a field, several, or fields, each with an attribute of the result or a function of it."""
Inputs: TypeAlias = "Mapping[str, str | AnyFunction[object]] | Sequence[str]"
"""What a node reads: parameters, each with a path or a function; or fields that parameters are named like."""
Each: TypeAlias = "Mapping[str, str | AnyFunction[object]]"
OnItemError: TypeAlias = 'Literal["fail", "keep"]'
Migrate: TypeAlias = "Callable[[dict[str, JsonValue]], Mapping[str, JsonValue]] | Migration"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options that a user gave for one node. `Graph.add_node` describes them."""

    title: str | None = None
    inputs: Inputs | None = None
    writes: Writes | None = None
    retry: Retry | None = None
    timeout_seconds: float | None = None
    fallback: AnyFunction[object] | object = UNSET
    thread: bool | None = None
    on: str | None = None
    each: Each | None = None
    concurrency: int | None = None
    max_open: int | None = None
    on_item_error: OnItemError | None = None
    effect: Effect | None = None

    @property
    def sources(self) -> Mapping[str, str | Callable[..., object]] | None:
        """Its inputs as a mapping."""
        inputs = self.inputs
        return inputs if inputs is None or isinstance(inputs, Mapping) else {name: name for name in inputs}


@dataclass(frozen=True, slots=True)
class Node(Options):
    """A runnable with node options, so that a pattern can take prepared nodes as arguments.

    `Graph.add_node` explains each option in more detail.

    Args:
        runnable: The runnable, or another Node whose options these override.
        title: Free text for display.
        inputs: The path from which each parameter is read, for parameters that are not named like the field that they
            read; or a list of names of fields.
        writes: Where the result is stored.
        each: Run the node once for every item of a list: a path or function by the name of the item.
        concurrency: How many items run at a time.
        max_open: How many items may have begun and not ended.
        on_item_error: Whether failed items fail the node (`"fail"`), or the node continues without them (`"keep"`).
        retry: How often to try again.
        timeout_seconds: The longest time that an attempt can take.
        fallback: The result if every attempt failed, or a function that returns it.
        effect: What the node does outside the run: `"read"`, `"idempotent"`, `"once"`, `Once(…)` or `"transaction"`.
        thread: Whether a sync function runs in a thread.
        on: The name of the Runner's executor on which a function runs.

    Example:
        >>> Node(len, writes="size").writes
        'size'
    """

    runnable: Runnable

    def __post_init__(self) -> None:
        inner = self.runnable
        if isinstance(inner, Node):
            for name, option in Options.__dataclass_fields__.items():
                if getattr(self, name) is option.default:
                    object.__setattr__(self, name, getattr(inner, name))
            object.__setattr__(self, "runnable", inner.runnable)


@dataclass(frozen=True, slots=True)
class Choose:
    """See `choose`."""

    source: str | AnyFunction[object]
    cases: Mapping[object, Runnable]


Runnable: TypeAlias = "AnyFunction[Any] | HasBody | Node | Choose"
"""What a node runs: a function, an agent, a graph, a question, `choose(…)`, or one of these in a `Node`."""


def choose(source: str | AnyFunction[object], cases: Mapping[Any, Runnable]) -> Choose:
    """Return a runnable that runs one of several runnables in each visit, depending on a value.

    Args:
        source: A path, or a function of fields, whose value selects the case.
        cases: The runnable for each value. A value without a case fails the node with `no_choice`.

    Example:
        >>> graph = Graph("g", Count)
        >>> graph.add_node("one", choose("n", {0: lambda: 5, 1: lambda: 7}), writes="n")
        >>> graph.add_path(START, "one", END)
        >>> graph.run_sync({"n": 1}).state.n
        7
    """
    check_cases(cases, f"choose({source!r}, …)", "runnable")
    return Choose(source, dict(cases))


@dataclass(frozen=True, slots=True)
class Edge:
    """An edge of a graph to one node. An edge without a condition is always taken when it is tried.

    Attributes:
        place: The position of the edge among the edges of its graph, from 0. Steps name the edge by this number. It is
            -1 until the graph is compiled.
    """

    source: str
    target: str
    condition: Condition | None
    label: str
    origin: Origin | None = field(default=None, compare=False, repr=False)
    place: int = field(default=-1, compare=False, repr=False)

    @property
    def is_always_taken(self) -> bool:
        """Whether the edge is always taken when it is tried, because it has no condition."""
        return self.condition is None

    @property
    def ends(self) -> Sequence[str]:
        """The labels with which a run ends if it takes this edge to END."""
        return [self.label] if self.label and self.target == END else []

    @property
    def targets(self) -> Sequence[str]:
        """The node to which the edge leads."""
        return [self.target]


@dataclass(frozen=True, slots=True)
class Switch:
    """A switch, which chooses the next node by a value: the node that belongs to the value, or else `otherwise`."""

    source: str
    reading: Reading
    cases: Mapping[object, str]
    otherwise: str | None
    origin: Origin | None = field(default=None, compare=False, repr=False)
    place: int = field(default=-1, compare=False, repr=False)

    @property
    def is_always_taken(self) -> bool:
        """Whether one of the cases always applies, because the switch has an `otherwise`."""
        return self.otherwise is not None

    @property
    def ends(self) -> Sequence[str]:
        """The labels with which a run ends if it takes a case of this switch to END."""
        return [choice_text(value) for value, target in self.cases.items() if target == END]

    @property
    def targets(self) -> Sequence[str]:
        """The nodes to which the cases of the switch lead."""
        return [*self.cases.values(), *((self.otherwise,) if self.otherwise else ())]


@dataclass(frozen=True, slots=True)
class Fork:
    """A fork, which runs several arms in parallel until they meet at a node, the join.

    Each arm is a pair of its first node and its condition.
    """

    source: str
    arms: tuple[tuple[str, Condition | None], ...]
    join: str
    condition: Condition | None
    label: str
    need: int | None
    origin: Origin | None = field(default=None, compare=False, repr=False)
    place: int = field(default=-1, compare=False, repr=False)

    @property
    def is_always_taken(self) -> bool:
        """Whether the fork is always taken when it is tried, because it has no condition."""
        return self.condition is None

    @property
    def ends(self) -> Sequence[str]:
        """The labels with which a run ends if the arms of this fork join at END."""
        return [self.label] if self.label and self.join == END else []

    @property
    def targets(self) -> Sequence[str]:
        """The nodes to which the fork can lead: the first node of each arm.

        If every arm has a condition, the join is included, because possibly no arm runs.
        """
        straight = [self.join] if all(condition is not None for _, condition in self.arms) else []
        return [*(target for target, _ in self.arms), *straight]


AnyEdge: TypeAlias = "Edge | Switch | Fork"


@dataclass(frozen=True, slots=True)
class Declared:
    """A declared node."""

    name: str
    runnable: Runnable | None
    options: Options
    origin: Origin | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class _Compiled:
    """A compiled graph in the cache, with what is needed to notice that the graph has been extended since.

    `declared` contains the list of nodes and the list of edges of the graph and of each graph inside it, each with its
    length and last item at the time of compiling. If a list has grown since then, the graph must be compiled again.
    """

    plan: Any
    limits: object
    declared: Sequence[tuple[Sequence[object], int, object]]


class GraphDefinition(Generic[S, Out_co]):
    """Holds the nodes and edges of a graph as the user declares them. `Graph` describes the arguments.

    Attributes:
        nodes: The nodes, in the order in which they were added.
        edges: The edges, switches and forks, in the order in which they were added.
        rules: The rules that `require` added.
        collects: The graphs whose inputs its runs receive as messages, by topic. An input is recorded with the version
            of its graph when it is sent.
        own_limits: The limits that were given to the graph; None if `limits` are the defaults.
        origin: The line of code that created the graph; None if unknown.
    """

    def __init__(  # noqa: PLR0913 - each is an option of the whole graph
        self,
        name: str,
        state: type[S],
        *,
        title: str = "",
        result: str | None = None,
        resources: Mapping[str, Callable[[], object]] | None = None,
        collect_errors: str | None = None,
        carry_over: Sequence[str] | None = None,
        limits: Limits | None = None,
        retention: Retention | None = None,
        version: int = 1,
        migrate: Mapping[int, Migrate] | None = None,
        secret_key: Keys | None = None,
        search: Sequence[str] = (),
    ) -> None:
        self.name = _check_graph_name(name)
        self.state: type[Any] = _model(state)
        self.title = title
        self.result = result
        self.resources = dict(resources or {})
        self.collect_errors = collect_errors
        self.carry_over = tuple(carry_over) if carry_over is not None else None
        self.limits = Limits() if limits is None else limits
        self.own_limits = limits
        self.retention = retention
        self.version = version
        self.migrate: Mapping[int, Migrate] = dict(migrate or {})
        self.secret_key = secret_key
        self.search = search
        self.origin = origin_of_call()
        self.nodes: list[Declared] = []
        self.edges: list[AnyEdge] = []
        self.rules: list[Rule] = []
        self.collects: dict[str, GraphDefinition[Any]] = {}
        self._compiled: _Compiled | None = None

    if not TYPE_CHECKING:  # type checkers know what it has

        @functools.wraps(__init__)  # so that help() shows its parameters
        def __new__(cls, *args: object, **options: object) -> Self:
            """Check that a graph is created with both a name and a state, as in `Graph("review", State)`."""
            if cls.__init__ is not GraphDefinition.__init__:  # a subclass decides what it takes
                return super().__new__(cls)
            if len(args) == 1 and isinstance(args[0], type):
                name = args[0].__name__
                message = f"Graph({name}) was called without a name for the graph"
                raise DefinitionError(message, repair=f"give the name first: Graph('a_name', {name})")
            if len(args) == 1 and "state" not in options:
                repair = f"declare class State(BaseModel) with the fields of the graph: Graph({args[0]!r}, State)"
                raise DefinitionError(f"Graph({args[0]!r}) was called without the class of its state", repair=repair)
            return super().__new__(cls)

    def __repr__(self) -> str:
        state = getattr(self.state, "__name__", self.state)
        nodes = len(self.nodes)
        return f"Graph({self.name!r}, {state}, {nodes} node{'s' * (nodes != 1)})"

    if not TYPE_CHECKING:  # type checkers know what it has

        def __getattr__(self, name: str) -> NoReturn:
            missing(self, name, "Graph", "Runner")

        def __bool__(self) -> bool:  # which would otherwise be whether its length is above 0
            return True

        def __len__(self) -> int:  # noqa: PLE0303 - there is none
            missing(self, "__len__", "Graph")

        def __contains__(self, node: object) -> NoReturn:
            missing(self, "__contains__", "Graph")

        __iter__ = None  # else `__getitem__` would make it iterable

        def __getitem__(self, node: object) -> NoReturn:
            missing(self, "__getitem__", "Graph")

    def add_node(  # noqa: PLR0913 - the options of a node, given by keyword
        self,
        name: str | Runnable,
        runnable: Runnable | None = None,
        *,
        title: str | None = None,
        inputs: Inputs | None = None,
        writes: Writes | None = None,
        retry: Retry | None = None,
        timeout_seconds: float | None = None,
        fallback: AnyFunction[object] | object = UNSET,
        thread: bool | None = None,
        on: str | None = None,
        each: Each | None = None,
        concurrency: int | None = None,
        max_open: int | None = None,
        on_item_error: OnItemError | None = None,
        effect: Effect | None = None,
    ) -> None:
        """Add a node to the graph.

        Args:
            name: An identifier that is unique in the graph. `add_node(function)` uses the name of the function, or of
                the Agent or Graph.
            runnable: What the node runs: a function whose parameters are named like the fields that they read, an
                Agent, a Graph, `ask(…)`, `choose(…)`, or a `Node` with options of its own. A node without a runnable
                does nothing.
            title: Free text for display.
            inputs: The path from which each parameter is read, for parameters that are not named like the field that
                they read. Or a list of fields, such as `["topic"]`, for an agent without a prompt, or a graph, which
                then reads only these fields. Other fields of a graph keep their defaults: `{}` passes nothing to the
                graph.
            writes: Where the result is stored: `"field"`, `"field[key]"`, a tuple of fields that the result has as
                keys, or a mapping of field to `"path.in.result"`, `"."` or `function(result, **fields)`. Without
                `writes`, the keys of the result must be names of fields.
            retry: How often to try again.
            timeout_seconds: The longest time that an attempt can take; None or `math.inf` for no limit. The time that a
                sync function waits for a free thread does not count. If a sync function is late, the next attempt, the
                fallback or the edge waits until the thread of the function has returned.
            fallback: The result if every attempt failed: a value, or a function that gets its parameters like a node,
                and also `error`.
            thread: Whether a sync function runs in a thread (the default); False for trivial functions.
            on: The name of the Runner's executor on which a function runs, such as `"gpu"`: another process, or a
                cluster. See `Runner(executors=…)`.
            each: Run the node once for every item of a list: a path or function by the name of the item. Inputs,
                `writes` keys and the fallback read the item by that name. The results are in the order of the items: a
                field without a reducer becomes the list of them. Several lists are read together, item by item, and
                must have equal lengths.
            concurrency: How many items run at a time; 16 by default. An item that waits (`ask`, `receive`, `sleep`)
                does not count: other items begin meanwhile. When its wait ends, it continues before new items begin.
            max_open: How many items may have begun and not ended, including items that wait. The default is 1,000, or
                `concurrency` if that is larger. With 1, a person gets one question at a time.
            on_item_error: What happens once all items have ended, if some failed. With `"fail"`, the node fails, and a
                resume repeats the failed items. With `"keep"`, the node continues with the results of the other items,
                if there are any. Then only `Runner.resume(…, retry_failed=True)` repeats the failed items, and only
                while other items are still running.
            effect: What the node does outside the run. `"read"` and `"idempotent"` may be repeated; an idempotent
                effect is repeated with the same `ctx.idempotency_key`. `"once"` must not be repeated: its beginning is
                recorded first, and if it began and did not return, a person is asked how it ended, or `Once(…)`
                decides. Such a node cannot wait, for example with `ctx.ask`. With `"transaction"`, a plain function
                gets a connection to the PostgreSQL database of the runs, and its rows are committed together with the
                record of its result. The option describes the node's own work, not the work of its fallback.

        Example:
            >>> class Page(BaseModel):
            ...     text: str = "a b"
            ...     words: int = 0
            >>> graph = Graph("page", Page)
            >>> graph.add_node("count", lambda text: len(text.split()), writes="words", retry=Retry(attempts=2))
            >>> graph.add_path(START, "count", END)
            >>> graph.run_sync().state.words
            2
        """
        if not isinstance(name, str):
            name, runnable = _name_runnable(name, runnable)
        node = Node(
            cast("Runnable", runnable),
            title=title,
            inputs=inputs,
            writes=writes,
            retry=retry,
            timeout_seconds=none_for_ever(timeout_seconds),
            fallback=fallback,
            thread=thread,
            on=on,
            each=each,
            concurrency=concurrency,
            max_open=max_open,
            on_item_error=on_item_error,
            effect=effect,
        )
        self.nodes.append(Declared(name, node.runnable, node, origin_of_call()))

    def add_edge(
        self,
        source: str | Runnable,
        target: str | Runnable,
        *,
        when: Condition | AnyFunction[object] | None = None,
        label: str | None = None,
    ) -> None:
        """Add an edge from one node to another, from START, or to END or FAIL.

        Args:
            source: The node that the edge leaves: its name, or the function, Agent or Graph with which `add_node` was
                called without a name.
            target: The node to which the edge leads, given in the same way.
            when: The condition of the edge. Without a condition, the edge is taken if no earlier edge was taken.
            label: The label in the picture. For an edge to END or FAIL, also the label with which the run ends.

        Example:
            >>> graph = Graph("g", Count)
            >>> graph.add_node("more", lambda n: n + 1, writes="n")
            >>> graph.add_edge(START, "more")
            >>> graph.add_edge("more", END, when=value("n") >= 3, label="enough")
            >>> graph.add_edge("more", "more")
            >>> graph.run_sync().label
            'enough'
        """
        left = named_node(source, "source", target)
        entered = named_node(target, "target", left)
        condition = None if when is None else as_condition(when, f"add_edge({left!r}, {entered!r})")
        self.edges.append(Edge(left, entered, condition, label or "", origin_of_call()))

    def add_path(self, *nodes: str | Runnable) -> None:
        """Connect nodes in a row, with an edge without a condition from each node to the next, given as in `add_edge`.

        >>> graph = Graph("g", Count)
        >>> graph.add_path(START, END)
        >>> graph.add_path("a", "b", "c")
        >>> [(edge.source, edge.target) for edge in graph.edges]
        [('START', 'END'), ('a', 'b'), ('b', 'c')]
        """
        if len(nodes) < 2:  # noqa: PLR2004 - a path joins at least two
            repair = "give two nodes or more, each as an argument: add_path('a', 'b')"
            raise DefinitionError(f"add_path{nodes!r} names fewer than two nodes, so it adds no edge", repair=repair)
        for source, target in pairwise(nodes):
            self.add_edge(source, target)

    def add_switch(
        self,
        source: str | Runnable,
        on: str | AnyFunction[object],
        cases: Mapping[Any, str | Runnable],
        otherwise: str | Runnable | None = None,
    ) -> None:
        """Add several edges from a node, one of which is selected by a value.

        Args:
            source: The node that the edges leave, given as in `add_edge`, like the targets.
            on: The path, or function of fields, whose value selects the target.
            cases: The target for each value. The value is the label of the edge. A Literal or Enum needs a target for
                every value, unless `otherwise` is given.
            otherwise: The target for any other value.

        Example:
            >>> graph = Graph("g", Count)
            >>> graph.add_node("small", lambda n: n * 10, writes="n")
            >>> graph.add_switch(START, "n", {1: "small"}, otherwise=END)
            >>> graph.add_edge("small", END)
            >>> graph.run_sync({"n": 1}).state.n, graph.run_sync({"n": 2}).state.n
            (10, 2)
        """
        check_cases(cases, f"add_switch({source!r}, {on!r}, …)", "'target'")
        left = named_node(source, "source", "…")
        targets = {value: named_node(target, "target", left) for value, target in cases.items()}
        other = None if otherwise is None else named_node(otherwise, "target", left)
        self.edges.append(Switch(left, Reading.of(on), targets, other, origin_of_call()))

    def add_fork(  # noqa: PLR0913 - an edge with several targets
        self,
        source: str | Runnable,
        targets: Sequence[str | Runnable | tuple[str | Runnable, Condition | AnyFunction[object]]],
        *,
        join: str | Runnable,
        when: Condition | AnyFunction[object] | None = None,
        label: str | None = None,
        need: int | None = None,
    ) -> None:
        """Add a fork: several arms run in parallel, and the run continues at one node when all have arrived there.

        Args:
            source: The node that the fork leaves, or START, given as in `add_edge`, like the targets and the join.
            targets: The first node of each arm. With a condition, `("counter", condition)`, the arm runs only if the
                condition holds. If no arm's condition holds, the run goes straight to the join. A target can be the
                join itself.
            join: The node where the arms meet, or END. The join is visited once.
            when: The condition of the fork as a whole. Without a condition, the fork is taken if no earlier edge was
                taken.
            label: The label in the picture. If the join is END, also the label with which the run ends.
            need: Continue after this many arms have arrived, and cancel the others; all arms if not given.

        Example:
            >>> class Sides(BaseModel):
            ...     left: int = 0
            ...     right: int = 0
            >>> graph = Graph("g", Sides)
            >>> graph.add_node("l", lambda: 1, writes="left")
            >>> graph.add_node("r", lambda: 2, writes="right")
            >>> graph.add_fork(START, ["l", "r"], join=END)
            >>> graph.add_edge("l", END)
            >>> graph.add_edge("r", END)
            >>> graph.run_sync().state
            Sides(left=1, right=2)
        """
        left, joined = named_node(source, "source", join), named_node(join, "join", source)
        if isinstance(targets, str):
            message = f"the targets of a fork must be a list of nodes, not the text {targets!r}"
            raise DefinitionError(message, where="add_fork", repair=f"give a list: add_fork(…, [{targets!r}], join=…)")
        where = f"add_fork({left!r}, …, join={joined!r})"
        arms = [
            (named_node(t[0], "target", left), as_condition(t[1], where))
            if isinstance(t, tuple)
            else (named_node(t, "target", left), None)
            for t in targets
        ]
        condition = None if when is None else as_condition(when, where)
        self.edges.append(Fork(left, tuple(arms), joined, condition, label or "", need, origin_of_call()))

    def require(
        self,
        node: str | Runnable,
        *,
        before: str | Runnable | None = None,
        after: str | Runnable | None = None,
        at_most: int | None = None,
        answered: Condition | None = None,
    ) -> None:
        """Add a rule that every path through the graph must keep. Give exactly one of `before`, `after` and `at_most`.

        `compile` checks the rule on all paths through the graph. A path that breaks the rule is an error, and the error
        message shows the path. If `compile` cannot decide whether a path breaks the rule, it reports a warning.

        Runs are checked, too. A run that would break the rule fails with `rule_broken` before the next node begins. A
        visit of a node counts only if the node itself completed. It does not count if the node failed, or if the
        fallback replaced the result.

        Args:
            node: The node that the rule requires, given as in `add_edge`.
            before: The node (or END) that may begin only after a visit of `node` in the same graph. It can be inside
                the graph of a node: `article/publish`.
            after: A node. Each of its visits, even a failed one, must be followed by a visit of `node` before END.
            at_most: The largest number of visits of `node`, 1 or more. Failed visits count too.
            answered: With `before`: a comparison of fields that must hold right after the last visit of `node`, such as
                `value("approved").is_true()`. Without `answered`, a visit that answers "no" counts too.

        Example:
            >>> graph = Graph("g", Count)
            >>> graph.add_node("approve", lambda n: n, writes="n")
            >>> graph.add_node("publish", lambda n: n, writes="n")
            >>> graph.require("approve", before="publish")
            >>> graph.add_path(START, "publish", END)
            >>> [problem.code for problem in graph.check() if not problem.warning]
            ['unreachable', 'rule_broken']
        """
        kinds = [each for each in (before, after, at_most) if each is not None]
        sound = at_most is None or (type(at_most) is int and at_most > 0)
        name = named_node(node, "node", "…")
        first = "" if before is None else named_node(before, "before", name)
        last = "" if after is None else named_node(after, "after", name)
        if len(kinds) != 1 or not sound or name in (first, last):
            text = f"require({name!r}, before={before!r}, after={after!r}, at_most={at_most!r})"
            if len(kinds) != 1:
                text += " needs exactly one of before=, after= and at_most="
            elif not sound:
                text += ": at_most must be a whole number of at least 1"
            else:
                text += f" names node {name!r} twice, but a rule needs another node"
            repair = f"write require({name!r}, before='another node'), after='another node' or at_most=1"
            raise DefinitionError(text, where=f"require {name}", repair=repair)
        wanted = None if answered is None else as_condition(answered, f"require {name}")
        if wanted is not None and (before is None or not compares_fields(wanted)):
            text, repair = f"require({name!r}, answered=…)", "write answered=value('approved').is_true()"
            if before is None:
                text += " needs before=, the node that waits for the answer"
                repair = f"write require({name!r}, before='another node', answered=…)"
            else:
                text += f": answered must compare only fields of the state, but is '{wanted}'"
            raise DefinitionError(text, where=f"require {name}", repair=repair)
        if "/" in f"{name}{last}":
            inner, _, inside = (name if "/" in name else last).rpartition("/")
            raise DefinitionError(
                f"the rule names {inside!r}, a node of the inner graph {inner!r}, but must name nodes of its own graph",
                where=f"require {name}",
                repair=f"name {inner!r} in this rule, and add require({inside!r}, before=END) to the graph {inner!r}",
            )
        self.rules.append(Rule(name, first, last, at_most or 0, answered=wanted, origin=origin_of_call()))

    def __body__(self) -> Body:
        """Return an object through which a node of another graph can run this graph.

        The fields of this graph's state are the parameters of the object, so the node reads fields or `inputs=` with
        these names.
        """
        fields = getattr(self.state, "model_fields", {})  # none if it is no state, which compiling it reports
        parameters = [
            Parameter(name, info.annotation, NO_DEFAULT if info.is_required() else info.default)
            for name, info in fields.items()
        ]
        returns: object = declared_of(self.state) if fields else Any
        if self.result is not None and fields:
            path = parse(self.result)
            info = fields.get(path.root)
            types = type_at(info.annotation, path)[0] if info is not None else ()
            returns = types[0] if len(types) == 1 else Any
        return GraphBody(self, self.name, parameters, returns)

    def _keep(self, plan: object, declared: Sequence[tuple[Sequence[object], int, object]] = ()) -> None:
        """Cache the compiled form of the graph, with what the graph and the graphs inside it had declared by then."""
        self._compiled = _Compiled(plan, self.limits, declared)

    def but(
        self, *, name: str | None = None, result: str | EllipsisType | None = ..., limits: Limits | None = None
    ) -> Self:
        """Return a copy of the graph with changes. Nodes and edges that are added later to one are not in the other.

        Args:
            name: Another name, for instance if a project has two of these pipelines.
            result: Another field or path as the result of the graph. None means the whole state, so that a surrounding
                graph can read more than the result that a pattern names.
            limits: Other limits.

        Example:
            >>> class Count(BaseModel):
            ...     n: int = 0
            >>> Graph("count", Count, result="n").but(name="counted", result=None)
            Graph('counted', Count, 0 nodes)
        """
        other = copy(self)
        other.name = self.name if name is None else _check_graph_name(name)
        other.result = self.result if isinstance(result, EllipsisType) else result
        if limits is not None:
            other.limits = other.own_limits = limits
        other.origin, other._compiled = origin_of_call(), None  # noqa: SLF001 - of this class
        other.nodes, other.edges, other.rules = [*self.nodes], [*self.edges], [*self.rules]
        return other


def _check_graph_name(name: str) -> str:
    """Check that a value can be the name of a graph, and return it.

    Raises:
        DefinitionError: The value cannot be the name of a graph.
    """
    if not is_name(name) or not name:
        raise DefinitionError(f"{clipped(str(name), 100)!r} cannot be the name of a graph", repair=WITHOUT_NUL)
    return name


def _not_called(**_: object) -> object:
    message = "a graph cannot be called as a function; run the graph, or add it to another graph as a node"
    raise TypeError(message)


@dataclass(frozen=True, slots=True)
class GraphBody:
    """Lets a node of another graph run this graph, through the interface that the engine also uses for functions.

    The engine runs the inner graph node by node. The result of the node is the inner graph's result, or its whole state
    if no result is declared.
    """

    graph: GraphDefinition[Any]
    name: str
    parameters: Sequence[Parameter]
    returns: object
    kind: Kind = "graph"
    thread: bool = False
    call: Callable[..., object] = _not_called

    def problems(self) -> Sequence[tuple[str, str, str]]:
        """Return no problems here, because compiling the graph reports them."""
        return ()


def _name_runnable(runnable: Runnable, second: object) -> tuple[str, Runnable]:
    """Return the name and the runnable of a node that was added as `add_node(function)`, without a name of its own.

    Raises:
        DefinitionError: The runnable has no name, or two arguments were given and the first is not a name.
    """
    name = name_of(runnable)
    if second is not None or name is None:
        what = "where the name of the node belongs" if second is not None else "without a name for the node"
        repair = f"add_node({second!r}, {name})" if isinstance(second, str) else "add_node('a_name', runnable)"
        raise DefinitionError(f"add_node() got {shown(runnable)} {what}", repair=f"give the name first: {repair}")
    return name, runnable


def _model(state: type[Any]) -> type[Any]:
    """Return the pydantic model that describes a graph's state class, such as a TypedDict or a dataclass.

    A value that is no such class is returned unchanged. Compiling the graph then reports the mistake.
    """
    try:
        return model_of(state)
    except ValueError:
        return state
