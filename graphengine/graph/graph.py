"""Graphs as a user declares them: nodes, ways out, options.

Nothing is checked here beyond what a single call can know; `Graph.compile` looks at the whole and reports every
problem at once. Declarations are kept in order, since the ways out of a node are tried in the order they were added.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise
from types import EllipsisType
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, TypeAlias, TypedDict, TypeVar

from pydantic import BaseModel

from graphengine.errors import DefinitionError
from graphengine.graph.conditions import Condition, as_condition
from graphengine.graph.options import END, FAIL, START, Limits, Migration, Retry, none_for_ever
from graphengine.graph.source_location import Origin, origin_of_call
from graphengine.state.injection import NO_DEFAULT, Parameter
from graphengine.state.path import parse, type_at

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping, Sequence
    from os import PathLike

    from typing_extensions import Unpack

    from graphengine.engine.plan import Plan
    from graphengine.errors import Problem
    from graphengine.graph.runnable import Body, HasBody, Kind
    from graphengine.render.folding import Fold
    from graphengine.render.looks import Theme
    from graphengine.runner.result import Result
    from graphengine.state.json_values import JsonValue
    from graphengine.state.secret import Keys

S = TypeVar("S", bound=BaseModel)

UNSET: Final = object()


WriteSource: TypeAlias = "str | Callable[..., object]"
Writes: TypeAlias = "str | Sequence[str] | Mapping[str, WriteSource]"
Each: TypeAlias = "Mapping[str, str | Callable[..., object]]"
OnResume: TypeAlias = 'Literal["rerun", "ask"]'
Migrate: TypeAlias = "Callable[[dict[str, JsonValue]], Mapping[str, JsonValue]] | Migration"


class NodeOptions(TypedDict, total=False):
    """The options of a node by name, as `Node(…)` and `add_node` take them."""

    title: str
    inputs: Mapping[str, str | Callable[..., object]]
    writes: Writes
    retry: Retry
    timeout_seconds: float
    fallback: object
    thread: bool
    each: Each
    concurrency: int
    on_resume: OnResume


@dataclass(frozen=True, slots=True)
class Options:
    """What can be said of a node beside what it runs; see `Graph.add_node`."""

    title: str | None = None
    inputs: Mapping[str, str | Callable[..., object]] | None = None
    writes: Writes | None = None
    retry: Retry | None = None
    timeout_seconds: float | None = None
    fallback: object = UNSET
    thread: bool | None = None
    each: Each | None = None
    concurrency: int | None = None
    on_resume: OnResume | None = None


@dataclass(frozen=True, slots=True, init=False)
class Node:
    """A runnable with node options, so that a pattern can take prepared nodes as arguments.

    Args:
        runnable: What it runs, or another Node whose options these override.
        options: Those of `Graph.add_node`: title, inputs, writes, each, concurrency, retry, timeout_seconds, fallback,
            on_resume, thread.

    >>> Node(len, writes="size").options.writes
    'size'
    """

    runnable: Runnable
    options: Options

    def __init__(self, runnable: Runnable, **options: Unpack[NodeOptions]) -> None:
        inner = runnable.options if isinstance(runnable, Node) else Options()
        object.__setattr__(self, "runnable", runnable.runnable if isinstance(runnable, Node) else runnable)
        object.__setattr__(self, "options", replace(inner, **options))


@dataclass(frozen=True, slots=True)
class Choose:
    """See `choose`."""

    source: str | Callable[..., object]
    cases: Mapping[object, Runnable]


Runnable: TypeAlias = "Callable[..., Any] | HasBody | Node | Choose"


def choose(source: str | Callable[..., object], cases: Mapping[Any, Runnable]) -> Choose:
    """A runnable that routes each visit to one of several.

    Args:
        source: A path, or a function of fields, whose value picks.
        cases: What to run for each value. A value that is not among them fails the node with `no_choice`.

    Example:
        >>> graph = Graph("g", Count)
        >>> graph.add_node("one", choose("n", {0: lambda: 5, 1: lambda: 7}), writes="n")
        >>> graph.add_path(START, "one", END)
        >>> graph.run_sync({"n": 1}).state.n
        7
    """
    return Choose(source, dict(cases))


@dataclass(frozen=True, slots=True)
class Edge:
    """A declared edge."""

    source: str
    target: str
    condition: Condition | None
    label: str | None
    origin: Origin | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Switch:
    """A declared switch."""

    source: str
    on: str | Callable[..., object]
    cases: Mapping[object, str]
    otherwise: str | None
    origin: Origin | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Fork:
    """A declared fork."""

    source: str
    targets: tuple[tuple[str, Condition | None], ...]
    join: str
    condition: Condition | None
    label: str | None
    need: int | None
    origin: Origin | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Declared:
    """A declared node."""

    name: str
    runnable: Runnable | None
    options: Options
    origin: Origin | None = field(default=None, compare=False, repr=False)


class Graph(Generic[S]):
    """A directed graph of nodes over a typed state.

    Args:
        name: Its name, in runs, messages and pictures.
        state: The pydantic model of its state.
        result: The field or path that is its result for a graph around it and for `Result.output`.
        resources: Factories of what nodes may ask for by name, built once a runner and closed with it.
        errors: A `list[Failure]` field with the `append` reducer that every survived failure is appended to.
        keep: The fields that `after=` carries over; all if not given.
        limits: Where its runs stop unless told otherwise: 1,000 steps if nothing is said. As a node of another graph it
            has only the limits that it was given, and fails its node with them.
        version: A whole number from 1; raise it with each change that runs under way do not fit by themselves.
        migrate: How a run of an older version becomes one of the next, by the older version's number: a function of the
            recorded fields of this graph's state, or a `Migration`, which tells of nodes too. They are called one after
            the other, up to `version`, when such a run is resumed or branched.
        secret_key: What encrypts the secret fields of its state (`SecretStr`, `Secret`): text or bytes of at least 32
            random bytes, as `secrets.token_urlsafe(32)` gives, or a function without arguments that gives it when the
            graph is compiled. Of several the first encrypts, and each may decrypt what is recorded.

    Example:
        >>> class Count(BaseModel):
        ...     n: int = 0
        >>> graph = Graph("count", Count)
        >>> def more(n: int) -> int:
        ...     return n + 1
        >>> graph.add_node("more", more, writes="n")
        >>> graph.add_edge(START, "more")
        >>> graph.add_edge("more", END, when=lambda n: n >= 3)
        >>> graph.add_edge("more", "more")
        >>> graph.run_sync().state.n
        3
    """

    def __init__(  # noqa: PLR0913 - each is a fact of the whole graph
        self,
        name: str,
        state: type[S],
        *,
        result: str | None = None,
        resources: Mapping[str, Callable[[], object]] | None = None,
        errors: str | None = None,
        keep: Sequence[str] | None = None,
        limits: Limits | None = None,
        version: int = 1,
        migrate: Mapping[int, Migrate] | None = None,
        secret_key: Keys | None = None,
    ) -> None:
        self.name = name
        self.state = state
        self.result = result
        self.resources = dict(resources or {})
        self.errors = errors
        self.keep = tuple(keep) if keep is not None else None
        self.limits = Limits() if limits is None else limits
        self.own_limits = limits
        self.version = version
        self.migrate: Mapping[int, Migrate] = dict(migrate or {})
        self.secret_key = secret_key
        self.origin = origin_of_call()
        self.nodes: list[Declared] = []
        self.ways: list[Edge | Switch | Fork] = []
        self._plan: Plan[S] | None = None
        self._edits = 0
        self._inner: Sequence[tuple[Graph[Any], int]] = ()

    def __repr__(self) -> str:
        return f"Graph({self.name!r}, {self.state.__name__}, {len(self.nodes)} nodes)"

    def add_node(  # noqa: PLR0913 - the options of a node, each named by who uses it
        self,
        name: str,
        runnable: Runnable | None = None,
        *,
        title: str | None = None,
        inputs: Mapping[str, str | Callable[..., object]] | None = None,
        writes: Writes | None = None,
        retry: Retry | None = None,
        timeout_seconds: float | None = None,
        fallback: object = UNSET,
        thread: bool | None = None,
        each: Each | None = None,
        concurrency: int | None = None,
        on_resume: OnResume | None = None,
    ) -> None:
        """Add a node.

        Args:
            name: An identifier, unique in the graph.
            runnable: A function whose parameters name the fields it reads, an Agent, a Graph, `ask(…)`, `choose(…)`, or
                a `Node` with options of its own; without one the node passes through.
            title: Free text for people.
            inputs: Parameter to path, where a parameter is not named like the field it reads. Of a graph the fields
                that are not among them keep their defaults: `{}` gives it nothing.
            writes: Where the result goes: `"field"`, `"field[key]"`, a tuple of fields that the result's keys name,
                or a mapping of field to `"path.in.result"`, `"."` or `function(result, **fields)`. Without it, the
                result's keys name the fields.
            retry: How often to try again.
            timeout_seconds: The longest an attempt may take; None or `math.inf` for no limit.
            fallback: What to take for the result when every attempt failed: a value, or a function injected like a
                node, which may take `error`.
            thread: Whether a sync function runs in a thread (the default); False for trivial ones.
            each: Run it once for every item of a list: name to path or function. Inputs, `writes` keys and the fallback
                read the item by that name. Results count in the order of the items: a field without a reducer becomes
                their list. Several entries go side by side.
            concurrency: How many items run at a time; 16 if not given.
            on_resume: What becomes of an attempt that a crash ended: it is run again (`"rerun"`), or a person is asked
                (`"ask"`).

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
        seconds = none_for_ever(timeout_seconds)
        given = Options(title, inputs, writes, retry, seconds, fallback, thread, each, concurrency, on_resume)
        if isinstance(runnable, Node):
            given = _merged(runnable.options, given)
            runnable = runnable.runnable
        self._edited()
        self.nodes.append(Declared(name, runnable, given, origin_of_call()))

    def add_edge(
        self,
        source: str,
        target: str,
        *,
        when: Condition | Callable[..., object] | None = None,
        label: str | None = None,
    ) -> None:
        """Add a way from one node to another (or from START, to END or FAIL).

        Args:
            source: The node it leaves.
            target: The node it enters.
            when: Its condition; without one it is the otherwise of its node.
            label: What the run is said to have stopped with, or the picture shows.

        Example:
            >>> graph = Graph("g", Count)
            >>> graph.add_node("more", lambda n: n + 1, writes="n")
            >>> graph.add_edge(START, "more")
            >>> graph.add_edge("more", END, when=value("n") >= 3, label="enough")
            >>> graph.add_edge("more", "more")
            >>> graph.run_sync().stop.label
            'enough'
        """
        self._edited()
        condition = None if when is None else as_condition(when)
        self.ways.append(Edge(source, target, condition, label, origin_of_call()))

    def add_path(self, *nodes: str) -> None:
        """Add an edge without condition between each two neighbours.

        >>> graph = Graph("g", Count)
        >>> graph.add_path(START, END)
        >>> graph.add_path("a", "b", "c")
        >>> [(edge.source, edge.target) for edge in graph.ways]
        [('START', 'END'), ('a', 'b'), ('b', 'c')]
        """
        if len(nodes) < 2:  # noqa: PLR2004 - a path joins at least two
            raise DefinitionError(f"add_path{nodes!r} joins nothing", repair="give two nodes or more")
        for source, target in pairwise(nodes):
            self.add_edge(source, target)

    def add_switch(
        self,
        source: str,
        on: str | Callable[..., object],
        cases: Mapping[Any, str],
        otherwise: str | None = None,
    ) -> None:
        """Add ways that a value picks among.

        Args:
            source: The node it leaves.
            on: A path or a function of fields.
            cases: The target for each value; the value is the label. For a Literal or Enum every value needs one,
                unless there is an otherwise.
            otherwise: The target for any other value.

        Example:
            >>> graph = Graph("g", Count)
            >>> graph.add_node("small", lambda n: n * 10, writes="n")
            >>> graph.add_switch(START, "n", {1: "small"}, otherwise=END)
            >>> graph.add_edge("small", END)
            >>> graph.run_sync({"n": 1}).state.n, graph.run_sync({"n": 2}).state.n
            (10, 2)
        """
        self._edited()
        self.ways.append(Switch(source, on, dict(cases), otherwise, origin_of_call()))

    def add_fork(  # noqa: PLR0913 - an edge with several targets
        self,
        source: str,
        targets: Sequence[str | tuple[str, Condition | Callable[..., object]]],
        *,
        join: str,
        when: Condition | Callable[..., object] | None = None,
        label: str | None = None,
        need: int | None = None,
    ) -> None:
        """Add a way that runs several arms side by side and goes on at one node once all have arrived there.

        Args:
            source: The node it leaves, or START.
            targets: The first node of each arm; with a condition, `("counter", condition)`, the arm is run only where
                that holds. If no arm's does, the run goes straight to the join. A target may be the join itself.
            join: The node where the arms become one again, or END. It is visited once.
            when: The condition of the fork as a whole; without one it is the otherwise of its node.
            label: What the picture shows, and what a run is said to have stopped with where the join is END.
            need: Go on after so many arrivals and cancel the rest; all arms if not given.

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
        self._edited()
        arms = [(t, None) if isinstance(t, str) else (t[0], as_condition(t[1])) for t in targets]
        condition = None if when is None else as_condition(when)
        self.ways.append(Fork(source, tuple(arms), join, condition, label, need, origin_of_call()))

    def body(self) -> Body:
        """The graph as a node of another one."""
        return GraphBody(self)

    def compile(self) -> Plan[S]:
        """Check the whole and make the plan that runs follow; kept until the graph, or one inside it, is changed.

        Raises:
            CompileError: With every problem, warnings included.
        """
        if self._plan is None or any(graph.edits != edits for graph, edits in self._inner):
            from graphengine.compile.compiler import compile_graph  # noqa: PLC0415 - it reads this module

            self._plan, inner = compile_graph(self)
            self._inner = [(graph, graph.edits) for graph in inner]
        return self._plan

    def but(
        self, *, name: str | None = None, result: str | EllipsisType | None = ..., limits: Limits | None = None
    ) -> Graph[S]:
        """A copy with changes; what is added to the one is not in the other.

        Args:
            name: Another name, as for one of two pipelines of a project.
            result: Another field or path that is its result. None: the whole state, so that a graph around it may take
                back more than the result that a pattern names.
            limits: Other limits.

        Example:
            >>> class Count(BaseModel):
            ...     n: int = 0
            >>> Graph("count", Count, result="n").but(name="counted", result=None)
            Graph('counted', Count, 0 nodes)
        """
        other = Graph(
            self.name if name is None else name,
            self.state,
            result=self.result if isinstance(result, EllipsisType) else result,
            resources=self.resources,
            errors=self.errors,
            keep=self.keep,
            limits=self.own_limits if limits is None else limits,
            version=self.version,
            migrate=self.migrate,
            secret_key=self.secret_key,
        )
        other.nodes, other.ways = [*self.nodes], [*self.ways]
        return other

    @property
    def edits(self) -> int:
        """How often it was changed since it was made."""
        return self._edits

    def _edited(self) -> None:
        self._plan = None
        self._edits += 1

    def check(self) -> Sequence[Problem]:
        """Every problem and warning, without raising.

        Example:
            >>> graph = Graph("g", Count)
            >>> graph.add_edge(START, "more")
            >>> [problem.code for problem in graph.check()]
            ['unknown_node']
        """
        from graphengine.compile.compiler import problems_of  # noqa: PLC0415

        return problems_of(self)

    async def run(self, state: S | Mapping[str, object] | None = None, *, limits: Limits | None = None) -> Result[S]:
        """Run it once in memory. See `Runner` for runs that outlive the process, and for a graph that asks.

        Returns:
            What it came to: `finished`, `stopped` at a limit, or `waiting` for an answer or a message. Nobody can give
            it that any more, since the run is in memory only. Where it does nothing but sleep, that is waited out.

        Raises:
            CompileError, InputError; RunFailed, with the result as far as it came.
        """
        from graphengine.runner import Runner  # noqa: PLC0415 - the one lazy door to the runner

        async with Runner() as runner:
            return await runner.start(self, state, limits=limits).result()

    def run_sync(self, state: S | Mapping[str, object] | None = None, *, limits: Limits | None = None) -> Result[S]:
        """`run` for scripts without an event loop.

        Raises:
            DefinitionError: An event loop is running here, as in a notebook; besides what `run` raises.
        """
        import asyncio  # noqa: PLC0415 - declaring a graph needs no event loop

        try:
            asyncio.get_running_loop()
        except RuntimeError:
            is_running = False
        else:
            is_running = True
        if is_running:
            message = "run_sync was called where an event loop is running"
            raise DefinitionError(message, where=f"graph {self.name}", repair="write: result = await graph.run(…)")
        self.compile()
        return asyncio.run(self.run(state, limits=limits))

    def render(self, path: str | PathLike[str], *, fold: Fold = None, theme: Theme = "auto") -> None:
        """Draw it into a file.

        Args:
            path: The file; the ending says how: .svg, .png, .pdf, .html, .dot, .mmd for Mermaid, or .txt for words.
            fold: Which graphs inside are one box each: those that stand so deep or deeper (0: every one), or the
                nodes of these paths, as `["articles", "desk/article"]`.
            theme: "light", "dark", or "auto": SVG and HTML as their reader prefers, all else light.

        Raises:
            CompileError: The graph has problems.
            RenderError: The ending, the theme or a path is unknown, there is nothing to paint with, or the file cannot
                be written.
        """
        from graphengine.render import render_graph  # noqa: PLC0415 - the lazy door to the renderer

        render_graph(self, path, fold=fold, theme=theme)

    def to_dot(self, *, fold: Fold = None) -> str:
        """The picture as DOT text, for Graphviz; `fold` as for `render`.

        Raises:
            CompileError: The graph has problems.
            RenderError: `fold` names what is not there.
        """
        from graphengine.render import to_dot  # noqa: PLC0415 - the same door

        return to_dot(self.compile().outline, fold=fold)

    def to_mermaid(self, *, fold: Fold = None) -> str:
        """The picture as a Mermaid flowchart, which GitHub and others draw; `fold` as for `render`.

        Raises:
            CompileError: The graph has problems.
            RenderError: `fold` names what is not there.
        """
        from graphengine.render import to_mermaid  # noqa: PLC0415 - the same door

        return to_mermaid(self.compile().outline, fold=fold)

    def _repr_mimebundle_(
        self, include: Container[str] | None = None, exclude: Container[str] | None = None
    ) -> dict[str, str]:
        """What a notebook shows: the picture if there is something to paint with; the problems if it has some."""
        from graphengine.render.notebook import mimebundle_of  # noqa: PLC0415 - the same door

        return mimebundle_of(self, include, exclude)


@dataclass(frozen=True, slots=True)
class GraphBody:
    """A graph as a node's body: its parameters are the fields of its state. The engine walks it, and calls nothing."""

    graph: Graph[Any]
    kind: Kind = "graph"
    thread: bool = False

    @property
    def name(self) -> str:
        """The graph's name."""
        return self.graph.name

    @property
    def parameters(self) -> Sequence[Parameter]:
        """The fields of its state; those that have a default need not be given."""
        fields = getattr(self.graph.state, "model_fields", {})
        return [Parameter(name, info.annotation, _default(info)) for name, info in fields.items()]

    @property
    def returns(self) -> object:
        """The type of its result, or its state's where it names none."""
        state: object = self.graph.state
        if self.graph.result is None or not (isinstance(state, type) and issubclass(state, BaseModel)):
            return state
        path = parse(self.graph.result)
        info = state.model_fields.get(path.root)
        types = type_at(info.annotation, path)[0] if info is not None else ()
        return types[0] if len(types) == 1 else Any

    @property
    def call(self) -> Callable[..., object]:
        """Nothing: its nodes are run one by one."""
        return _not_called

    def problems(self) -> Sequence[tuple[str, str, str]]:
        """None by itself; its own compilation tells."""
        return ()


def _default(info: Any) -> object:  # noqa: ANN401 - a field of any type
    return NO_DEFAULT if info.is_required() else info.default


def _not_called(**_: object) -> object:
    message = "a graph is not called as a function; run it, or make it a node"
    raise TypeError(message)


def _merged(inner: Options, outer: Options) -> Options:
    values: dict[str, Any] = {}
    for name in Options.__dataclass_fields__:
        given = getattr(outer, name)
        unset = given is UNSET if name == "fallback" else given is None
        if not unset:
            values[name] = given
    return replace(inner, **values)


__all__ = [
    "END",
    "FAIL",
    "START",
    "Choose",
    "Declared",
    "Edge",
    "Fork",
    "Graph",
    "Limits",
    "Migration",
    "Node",
    "NodeOptions",
    "Options",
    "Retry",
    "Runnable",
    "Switch",
    "choose",
]
