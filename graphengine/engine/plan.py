"""The compiled plan of a graph: an immutable object with everything about the graph that a step needs.

`graphengine.compile.compiler` assembles a plan from a `Graph` and reports problems of the graph.
`graphengine.compile.binding` creates the plan's calls and writers. The engine reads the plan. Nothing in a plan belongs
to a single run, so all runs of a graph share one plan.
"""

from __future__ import annotations

from dataclasses import dataclass, is_dataclass
from dataclasses import field as dataclass_field
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeAlias, TypeVar, cast

from pydantic import BaseModel

from graphengine.errors import InvalidUpdate, MissingInput, NoChoice
from graphengine.graph.elsewhere import OF_A_GRAPH, hint_at
from graphengine.graph.foreign import forms_by_name
from graphengine.graph.options import DEFAULT_RETRY
from graphengine.graph.transaction import TRANSACTION
from graphengine.state.declared import values_of
from graphengine.state.encoded import opened
from graphengine.state.injection import Injected
from graphengine.state.numbers import case_of
from graphengine.state.path import did_you_mean
from graphengine.state.searched import field_text
from graphengine.state.texts import choice_text
from graphengine.state.type_facts import enum_value
from graphengine.state.update import Put

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from graphengine.engine.graph_spec import GraphSpec
    from graphengine.errors import Problem
    from graphengine.graph.definition import AnyEdge, Edge
    from graphengine.graph.effect import EffectKind, Once
    from graphengine.graph.options import Migration, Retry
    from graphengine.graph.rules import Rule
    from graphengine.graph.runnable import Body
    from graphengine.state.amounts import LimitsRecord
    from graphengine.state.json_values import JsonValue
    from graphengine.state.schema import StateType
    from graphengine.state.searched import SearchedField
    from graphengine.state.selector import Reading, Tracker
    from graphengine.state.view import View

S = TypeVar("S")

Updates: TypeAlias = "list[tuple[str, object]]"


class Code(NamedTuple):
    """Digests of the code of a graph's nodes, by which a resumed run notices that the code has changed.

    `graphengine.compile.code` computes the digests.

    Attributes:
        id: The digest of everything in `body`. Runs record this id.
        body: Three mappings. `nodes` contains the digest of each node that has code, by path. `types` contains the
            definitions of the types that this code names, as in graph specs. `parameters` contains the names of the
            parameters of its functions, by function.
    """

    id: str
    body: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Argument:
    """A parameter of a node's function whose value is read from the state.

    Attributes:
        name: The name of the parameter.
        reading: The place in the state from which the value is read.
        required: Whether the parameter needs a value. If False, it also accepts None.
    """

    name: str
    reading: Reading
    required: bool


@dataclass(frozen=True, slots=True)
class Call:
    """What a node runs (a function, an agent, a graph or a question), and how its arguments are read from the state.

    Attributes:
        body: The declared function, agent, graph or question.
        function: The function that is called to run the body.
        thread: Whether the body blocks, and so runs in a thread.
        fields: Pairs (parameter, field) of parameters that read a whole field and allow None. Such parameters are the
            most frequent ones, and are read without a check.
        arguments: The other parameters that are read from the state.
        extras: The parameters that the runner provides: `ctx`, `error`, `state`, and resources.
        watched: Fields that are read whole and whose values the body could change in place.
        parts: Parameters that get a part of a field, which the body could change in place too.
        graph: The plan of the graph, if the body is a graph.
        on: The name of the executor on which the body runs; "" for the Runner's own threads and event loop.
        handle: The parameter that gets the connection of a transaction; "" if the body has no such parameter.
    """

    body: Body
    function: Callable[..., object]
    thread: bool
    fields: tuple[tuple[str, str], ...]
    arguments: tuple[Argument, ...]
    extras: tuple[str, ...]
    watched: tuple[str, ...]
    parts: tuple[str, ...] = ()
    graph: Plan[Any] | None = None
    on: str = ""
    handle: str = ""

    @property
    def roots(self) -> frozenset[str]:
        """The names that the body needs: fields and map items that it reads, and arguments that the runner provides."""
        read = {root for argument in self.arguments for root in argument.reading.roots}
        return frozenset((*read, *(field for _, field in self.fields), *self.extras))

    def values(self, view: View) -> dict[str, object]:
        """Return the arguments that the body reads from the state, by parameter.

        Raises:
            MissingInput: The state contains None for a parameter that does not accept None.
        """
        values: dict[str, object] = {}
        for name, field in self.fields:
            values[name] = view.before(field)
        for argument in self.arguments:
            value = argument.reading.read(view)
            if value is None and argument.required:
                place = argument.reading.text
                raise MissingInput(
                    f"the parameter {argument.name!r} cannot be None, but the value of {place!r} is None",
                    where=f"{self.body.name}({argument.name}) from {place}",
                    repair=f"set {place} before this node, or let the parameter take None",
                )
            values[argument.name] = value
        return values


@dataclass(frozen=True, slots=True)
class Target:
    """A place in the state to which a node writes a part of its result: a field, or one key of a mapping field.

    Attributes:
        field: The name of the field.
        key: The key as declared, with `{paths}` in it; None for the whole field.
        pieces: The texts and state readings from which a key with paths is composed.
        adds: Whether to append the value to the stored list. If False, the value replaces the stored value.
    """

    field: str
    key: str | None = None
    pieces: tuple[str | Reading, ...] = ()
    adds: bool = False

    def update(self, value: object, view: View) -> tuple[str, object]:
        """Return the state update that writes a value to this place.

        Raises:
            InvalidUpdate: A path in the key leads to a value that is neither text nor a whole number.
        """
        if self.key is None:
            return self.field, value
        key = "".join(self._piece(piece, view) for piece in self.pieces) if self.pieces else self.key
        return self.field, Put(key, value, adds=self.adds)

    def _piece(self, piece: str | Reading, view: View) -> str:
        if isinstance(piece, str):
            return piece
        value = piece.read(view)
        value = enum_value(value)
        if isinstance(value, (str, int)):
            return str(value)
        raise InvalidUpdate(
            f"the value of {piece.text!r} is {value!r}, which cannot be part of a key",
            where=f"writes {self.field}[{self.key}]",
            repair="name a field that holds a text or a whole number in the braces",
        )

    @property
    def place(self) -> str:
        """The place as text, such as `field` or `field[key]`, used to find arms of a fork that write to the same place.

        A key that contains a path can become any key, so its place is the whole field.
        """
        return self.field if self.key is None or self.pieces else f"{self.field}[{self.key}]"


@dataclass(frozen=True, slots=True)
class Remembered:
    """The result of an agent node together with the conversation that led to the result.

    Attributes:
        value: The result.
        before: The messages of earlier visits of the node.
        said: The messages of this visit.
        also: Other updates of the visit, as pairs of a field and its update. They are applied before the update of the
            result.
    """

    value: object
    before: Sequence[object]
    said: Sequence[object]
    also: Sequence[tuple[str, object]] = ()


@dataclass(frozen=True, slots=True)
class Writer:
    """The rule that turns the result of a node into updates of the state, as declared with `writes=`.

    Attributes:
        parts: Each target with the source of its value: a path inside the result, a function of the result, or None for
            the whole result.
        keys: For a node that returns a mapping of fields: the fields that the mapping may contain. None for other
            nodes.
        messages: The place where the conversation of an agent is kept.
        also: The fields that a visit may write in addition to the result.
    """

    parts: tuple[tuple[Target, Reading | Injected | None], ...] = ()
    keys: frozenset[str] | None = None
    messages: Target | None = None
    also: frozenset[str] = frozenset()

    def updates(self, result: object, view: View, node: str, ending: object = None) -> Updates:
        """Convert the result of a node to updates of the state, as the node's `writes=` declares.

        Args:
            result: The result of the node.
            view: The state as the node saw it.
            node: The name of the node, for errors.
            ending: How the subgraph ended, if the node is a graph.

        Raises:
            InvalidUpdate: The result does not have the declared shape.
        """
        if type(result) is Remembered:
            updates = [*result.also, *self.updates(result.value, view, node, ending)]
            if self.messages is not None:
                messages = result.said if self.messages.adds else [*result.before, *result.said]
                updates.append(self.messages.update(list(messages), view))
            return updates
        if self.keys is not None:
            return self._by_keys(result, view, node)
        updates = []
        for target, source in self.parts:
            value = result if source is None else self._part(result, source, view, ending)
            updates.append((target.field, value) if target.key is None else target.update(value, view))
        return updates

    def _by_keys(self, result: object, view: View, node: str) -> Updates:
        if result is None:
            return []
        mapping: Mapping[str, object]
        if isinstance(result, dict):
            mapping = result
        elif isinstance(result, BaseModel):
            mapping = {name: getattr(result, name) for name in sorted(result.model_fields_set)}
        elif hasattr(result, "keys"):
            mapping = dict(cast("Mapping[str, object]", result))
        elif is_dataclass(result):
            mapping = values_of(result)
        else:
            raise InvalidUpdate(
                f"node {node!r} returned a value of type {type(result).__name__}, which does not name a field to write",
                where=f"node {node}",
                repair="return a mapping of fields, {'field': value}, or name the field of the result: writes='field'",
            )
        keys = self.keys or frozenset[str]()
        if not keys.issuperset(mapping):
            more = [key for key in mapping if key not in keys]
            unknown = [key for key in more if key not in set(view.names)]
            what = "which is not a field of the state" if unknown else "which its writes= does not list"
            writes = f"add the field to writes=, which lists {', '.join(sorted(keys))}"
            raise InvalidUpdate(
                f"node {node!r} returned the key {', '.join(map(repr, unknown or more))}, {what}",
                where=f"node {node}",
                repair=did_you_mean(str(unknown[0]), keys) if unknown else writes,
            )
        return list(mapping.items())

    @staticmethod
    def _part(result: object, source: Reading | Injected, view: View, ending: object) -> object:
        if isinstance(source, Injected):
            return source.call(view, {"result": result, "ending": ending})
        return source.path.walk(result) if source.path is not None else None

    @property
    def whole(self) -> Sequence[Target]:
        """The places to which the whole result of the node is written."""
        return [target for target, source in self.parts if source is None]

    @property
    def places(self) -> Mapping[str, bool]:
        """All places of the state that the node may write, as the keys `field` or `field[key]`.

        The value of a place is True if the node only appends there, so that two arms of a fork may both write to the
        place.
        """
        found = dict.fromkeys(sorted(self.keys or ()) or [target.place for target, _ in self.parts], False)
        if self.messages is not None:
            found.setdefault(self.messages.place, self.messages.adds)
        return found | dict.fromkeys(self.also, False)

    @property
    def roots(self) -> frozenset[str]:
        """The names of the fields and map items that keys and functions in `writes=` read.

        Example: `writes="scores[{team}]"` reads the field `team`.
        """
        pieces = [piece for target, _ in self.parts for piece in target.pieces if not isinstance(piece, str)]
        keys = {root for piece in pieces for root in piece.roots}
        read = {name for _, source in self.parts if isinstance(source, Injected) for name in source.names}
        return frozenset(keys | read)

    @property
    def fields(self) -> frozenset[str]:
        """The names of all fields that the node may write."""
        kept = () if self.messages is None else (self.messages.field,)
        written = self.keys if self.keys is not None else (t.field for t, _ in self.parts)
        return frozenset((*written, *kept, *self.also))


def retry_of(given: Retry | None, calls: Sequence[Call]) -> Retry | None:
    """Return the retry policy of a node.

    A node that declares no policy gets `DEFAULT_RETRY` if it runs a function or an agent, and no retry otherwise.
    """
    if given is None and any(call.body.kind in ("agent", "function") for call in calls):
        return DEFAULT_RETRY
    return given


@dataclass(frozen=True, slots=True)
class Fallback:
    """What replaces the result of a failed node: a value, or a function with arguments from the state."""

    value: object = None
    call: Call | None = None


@dataclass(frozen=True, slots=True)
class Each:
    """The lists over which a node is mapped (declared with `each=`), so that the node runs once for each item.

    Attributes:
        sources: For each list: the name of the item in the node, the place where the list is read, and the name of the
            field if the list is a whole field.
        state: The fields that an item sees: the fields of the state, and the item's own values by name.
        concurrency: How many items may work at the same time.
        max_open: How many items may be open at the same time. An item is open from its start to its end, also while it
            waits.
        keeps: Whether the map completes without the items that failed.
    """

    sources: tuple[tuple[str, Reading, str], ...]
    state: StateType[Any]
    concurrency: int
    max_open: int
    keeps: bool


@dataclass(frozen=True, slots=True)
class NodePlan:
    """A compiled node: everything that is needed to run the node and to leave it.

    Attributes:
        call: What the node runs; None if the node chooses among several bodies.
        choices: What the node runs for each value of `selector`.
        edges: The edges that are tried after a success, in order.
        failure_edges: The edges that are tried after a failure, in order.
        each: The lists over which the node is mapped, if any.
        effect: The side effect that the node declares with `effect=`, if any.
        once: What happens after a crash during the node, if the node must not be repeated.
        plain: Whether the node completes with the result of a function or an agent, and may run again after a crash.
            False for a map, a graph and a question.
    """

    name: str
    title: str
    call: Call | None
    selector: Reading | None
    choices: Mapping[object, Call]
    writer: Writer
    edges: tuple[AnyEdge, ...]
    failure_edges: tuple[Edge, ...]
    retry: Retry | None
    timeout_seconds: float | None
    fallback: Fallback | None
    each: Each | None = None
    effect: EffectKind | None = None
    once: Once | None = None
    plain: bool = True

    @property
    def calls(self) -> Sequence[Call]:
        """Everything that the node may run, except for its fallback."""
        return [*self.choices.values()] if self.call is None else [self.call, *self.choices.values()]

    def chosen(self, choice: str) -> Call:
        """Return what the node runs for a choice that an earlier step of the run has recorded.

        The choice is the text of the value for which `choose(…)` has a case. A node without `choose(…)` always runs the
        same body.

        Raises:
            NoChoice: The graph was changed and no longer has this choice.
        """
        if self.call is not None:
            return self.call
        for value, call in self.choices.items():
            if choice_text(value) == choice:
                return call
        text = f"the run chose the case {choice!r}, which node {self.name!r} no longer has"
        raise NoChoice(text, where=f"node {self.name}", repair="add this case again")

    def pick(self, view: View) -> tuple[Call, str]:
        """Return what the node runs in this visit, and the name of the choice as text.

        A node with `choose(…)` reads its selector from the state and runs the body that is declared for the value. Any
        other node has one body, and the name of the choice is "".

        Raises:
            NoChoice: The node declares no body for the value of the selector.
        """
        if self.call is not None:
            return self.call, ""
        value = self.selector.read(view) if self.selector is not None else None
        try:
            found = case_of(self.choices, value) or self.choices.get(enum_value(value))  # an enum matches by value too
        except TypeError:  # A list or a dict is not hashable, so it matches no case.
            found = None
        if found is None:
            choices = ", ".join(map(repr, self.choices))
            text = self.selector.text if self.selector is not None else ""
            raise NoChoice(
                f"the value of {text!r} is {value!r}, but choose(…) has no case for this value",
                where=f"node {self.name}",
                repair=f"set one of {choices}, or add a case for this value",
            )
        return found, choice_text(value)


class _WithWeakReferences:
    """Lets other objects refer weakly to instances of a dataclass with slots: gives subclasses the slot `__weakref__`.

    `dataclass(weakref_slot=True)` should do this, but does not add the slot to a subclass of `Generic` on CPython
    3.12.3, the python3 of Ubuntu 24.04 (gh-105866, repaired in 3.12.4).
    """

    __slots__ = ("__weakref__",)


@dataclass(frozen=True, slots=True)
class Plan(_WithWeakReferences, Generic[S]):
    """A compiled graph.

    Attributes:
        graph: The name of the graph.
        start: The edges out of START.
        limits: The default limits of the graph's runs.
        title: The template for the titles of the graph's runs, with paths in braces; "" if the graph does not declare a
            title.
        own_limits: The limits that the graph itself declares. Inside another graph, the graph fails at these limits.
        samples: For each field: the conditions that look for a value that no longer improves (plateaus), and that must
            see each new value of the field.
        epochs: For each node: the conditions whose memory (for example, a count of visits) is reset when the node
            completes or is left.
        rules: For each node, and for END: the rules that must hold before the node begins.
        migrate: Migrations to the next version, by the older version.
        graph_spec: A description of the graph in JSON, from which the graph can be drawn and compared with other
            versions.
        fingerprint: The digest of the graph spec.
        warnings: The warnings that compiling the graph produced.
        collects: The declared graphs whose inputs this graph's runs receive as messages, by topic.
        search: The fields of the input and the result by which runs of the graph are found.
        secret: Whether the state of this graph, or of a graph inside it, contains secrets.
        graphs: The plans of the graphs that the nodes call.
        agents: Whether a node or a fallback of this graph, or of a graph inside it, is an agent.
        heavy: The calls that run on an executor, each with the name of the node and the name of the executor.
        transacts: The nodes of this graph, and of graphs inside it, that write in a transaction. Errors name them.
        code: The digests of the code of the nodes. `compile.code.code_of` computes and sets them when they are first
            needed.
    """

    graph: str
    version: int
    state: StateType[S]
    nodes: Mapping[str, NodePlan]
    start: tuple[AnyEdge, ...]
    samples: Mapping[str, tuple[Tracker, ...]]
    epochs: Mapping[str, tuple[Tracker, ...]]
    rules: Mapping[str, tuple[Rule, ...]]
    limits: LimitsRecord
    own_limits: LimitsRecord
    title: str
    collect_errors: str | None
    carry_over: tuple[str, ...] | None
    result: Reading | None
    resources: Mapping[str, Callable[[], Any]]
    migrate: Mapping[int, Migration]
    graph_spec: GraphSpec
    fingerprint: str
    warnings: tuple[Problem, ...]
    collects: Mapping[str, Any] = dataclass_field(repr=False, compare=False, default_factory=dict)
    search: tuple[SearchedField, ...] = dataclass_field(repr=False, compare=False, default=())
    secret: bool = dataclass_field(init=False, repr=False, compare=False)
    graphs: tuple[Plan[Any], ...] = dataclass_field(init=False, repr=False, compare=False)
    agents: bool = dataclass_field(init=False, repr=False, compare=False)
    heavy: tuple[tuple[str, str, Call], ...] = dataclass_field(init=False, repr=False, compare=False)
    transacts: tuple[str, ...] = dataclass_field(init=False, repr=False, compare=False)
    code: Code | None = dataclass_field(init=False, repr=False, compare=False, default=None)

    def fields_of(
        self, values: Mapping[str, JsonValue], *, at_end: bool, only: Collection[str] | None = None
    ) -> dict[str, str]:
        """Return the values by which users can search for a run, as texts by field.

        Args:
            values: The recorded state.
            at_end: True for a run that finishes, whose result fields are returned. False for a run that begins, whose
                input fields are returned.
            only: The fields of the state that count; None for all fields.
        """
        return {
            each.name: field_text(each.path.walk(opened(values.get(each.path.root))), is_decimal=each.is_decimal)
            for each in self.search
            if each.is_input is not at_end and (only is None or each.path.root in only)
        }

    def __post_init__(self) -> None:
        calls = [(node.name, call) for node in self.nodes.values() for call in node.calls]
        graphs = tuple(call.graph for _, call in calls if call.graph is not None)
        object.__setattr__(self, "graphs", graphs)
        nodes = self.nodes.values()
        bodies = [*calls, *((node.name, node.fallback.call) for node in nodes if node.fallback is not None)]
        object.__setattr__(self, "agents", any(call is not None and _has_agent(call) for _, call in bodies))
        object.__setattr__(self, "secret", bool(self.state.secrets) or any(graph.secret for graph in graphs))
        object.__setattr__(self, "heavy", tuple((name, call.on, call) for name, call in calls if call.on))
        transacts = [f"node {name} of {self.graph}" for name, node in self.nodes.items() if node.effect == TRANSACTION]
        object.__setattr__(self, "transacts", (*transacts, *(each for graph in graphs for each in graph.transacts)))

    def __repr__(self) -> str:
        nodes = len(self.nodes)
        return f"Plan({self.graph!r}, {self.state.model.__name__}, {nodes} node{'s' * (nodes != 1)})"

    @property
    def ends(self) -> Iterator[str]:
        """The labels with which the graph can end. A surrounding graph can test them with `ended_with(…)`."""
        for edge in (*self.start, *(way for n in self.nodes.values() for way in (*n.edges, *n.failure_edges))):
            yield from edge.ends

    @property
    def nest(self) -> Sequence[Plan[Any]]:
        """This compiled graph and all graphs inside it. A graph that is used at several places is listed once."""
        found: list[Plan[Any]] = [self]
        if not self.graphs:
            return found
        seen = {id(self)}
        for plan in found:
            new = {id(inner): inner for inner in plan.graphs if id(inner) not in seen}
            seen.update(new)
            found += new.values()
        return found

    def paths(self) -> Iterator[str]:
        """Yield the path of every node, including the nodes of graphs inside this graph."""
        for name, node in self.nodes.items():
            yield name
            for call in node.calls:
                if call.graph is not None:
                    yield from (f"{name}/{path}" for path in call.graph.paths())


def _has_agent(call: Call) -> bool:
    return getattr(call.body, "agent", None) is not None or (call.graph is not None and call.graph.agents)


hint_at(Plan, {name: f"{forms_by_name('Graph')[name]}  # compile only checks" for name in OF_A_GRAPH})
