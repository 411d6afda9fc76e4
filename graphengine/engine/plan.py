"""The compiled plan of a graph: immutable, looked up by name, with everything a step needs worked out once.

`graphengine.compile.binding` makes its calls and writes, `graphengine.compile.compiler` puts it together from a Graph
and reports what is wrong; the core reads it. A plan holds no state of any run.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar, cast

from pydantic import BaseModel

from graphengine.errors import InvalidUpdate, MissingInput, NoChoice
from graphengine.graph.options import MODEL_RETRY
from graphengine.state.injection import Injected
from graphengine.state.type_facts import enum_value
from graphengine.state.update import Put

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from graphengine.errors import Problem
    from graphengine.graph.conditions import Condition
    from graphengine.graph.options import Limits, Migration, Retry
    from graphengine.graph.runnable import Body
    from graphengine.state.json_values import JsonValue
    from graphengine.state.schema import StateType
    from graphengine.state.selector import Reading, Tracker
    from graphengine.state.view import View

S = TypeVar("S", bound=BaseModel)

Updates: TypeAlias = "list[tuple[str, object]]"


@dataclass(frozen=True, slots=True)
class Argument:
    """A parameter that the state gives a value, and where that lies; `required` if it does not allow None."""

    name: str
    reading: Reading
    required: bool


@dataclass(frozen=True, slots=True)
class Call:
    """A body with its arguments bound.

    Attributes:
        function: The body's call.
        thread: Whether the body blocks.
        fields: (parameter, field) pairs that are whole fields and may be None: the quick ones.
        arguments: The others that the state gives.
        extras: Those that the runner gives: `ctx`, `error`, `state`, resources.
        watched: Fields read whole whose values could be changed in place.
        parts: Parameters that get a part of a field, which could be changed in place too.
        graph: The plan of the graph it is, if it is one.
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

    @property
    def roots(self) -> frozenset[str]:
        """The fields and items that it reads, and what the runner gives it."""
        read = {root for argument in self.arguments for root in argument.reading.roots}
        return frozenset((*read, *(field for _, field in self.fields), *self.extras))

    @property
    def bindings(self) -> dict[str, str]:
        """Where each parameter that the state gives is read from: a path, or a function's name."""
        return dict(self.fields) | {argument.name: argument.reading.text for argument in self.arguments}

    def values(self, view: View) -> dict[str, object]:
        """The arguments of this visit that the state gives.

        Raises:
            MissingInput: A parameter that does not allow None would get it.
        """
        values: dict[str, object] = {}
        for name, field in self.fields:
            values[name] = view.before(field)
        for argument in self.arguments:
            value = argument.reading.read(view)
            if value is None and argument.required:
                place = argument.reading.text
                raise MissingInput(
                    f"{argument.name} is None",
                    where=f"{self.body.name}({argument.name}) from {place}",
                    repair=f"see that {place} is set before this node, or let the parameter take None",
                )
            values[argument.name] = value
        return values


@dataclass(frozen=True, slots=True)
class Target:
    """Where a part of a result is written: a field, or one key of it.

    Attributes:
        key: The key as it was written, with `{paths}` in it.
        pieces: What it is put together from, where it has paths.
        adds: Whether what is written is added to the list that is there, and takes nothing's place.
    """

    field: str
    key: str | None = None
    pieces: tuple[str | Reading, ...] = ()
    adds: bool = False

    def update(self, value: object, view: View) -> tuple[str, object]:
        """The update that writes this value there.

        Raises:
            InvalidUpdate: A path of the key is None or no plain value.
        """
        if self.key is None:
            return self.field, value
        key = "".join(self._piece(piece, view) for piece in self.pieces) or self.key
        return self.field, Put(key, value, adds=self.adds)

    def _piece(self, piece: str | Reading, view: View) -> str:
        if isinstance(piece, str):
            return piece
        value = piece.read(view)
        value = enum_value(value)
        if isinstance(value, (str, int)):
            return str(value)
        raise InvalidUpdate(
            f"{piece.text} is {value!r}, which makes no key",
            where=f"writes {self.field}[{self.key}]",
            repair="name text or a whole number in the braces",
        )

    @property
    def place(self) -> str:
        """The place as conflicts between arms are told by it: a key that is not known yet may be any."""
        return self.field if self.key is None or self.pieces else f"{self.field}[{self.key}]"


@dataclass(frozen=True, slots=True)
class Remembered:
    """A result with what was said to come to it.

    Attributes:
        before: What was said in earlier visits.
        said: What was said in this one.
    """

    value: object
    before: Sequence[object]
    said: Sequence[object]


@dataclass(frozen=True, slots=True)
class Writer:
    """How a result becomes updates.

    Attributes:
        whole: The one target of the whole result, if that is how it is written.
        keys: The fields that the result's keys may name, if that is how it is written.
        parts: Targets with what is taken from the result: a reading below it, or a function of it.
        memory: Where what was said is kept.
    """

    whole: Target | None = None
    keys: frozenset[str] | None = None
    parts: tuple[tuple[Target, Reading | Injected | None], ...] = ()
    memory: Target | None = None

    def updates(self, result: object, view: View, node: str, stop: object = None) -> Updates:
        """The updates that a result stands for; `stop` says how a graph came to its end.

        Raises:
            InvalidUpdate: The result does not have the promised shape.
        """
        if self.memory is not None and type(result) is Remembered:
            said = result.said if self.memory.adds else [*result.before, *result.said]
            rest = replace(self, memory=None).updates(result.value, view, node, stop)
            return [*rest, self.memory.update(list(said), view)]
        whole = self.whole
        if whole is not None:
            return [(whole.field, result) if whole.key is None else whole.update(result, view)]
        if self.keys is not None:
            return self._by_keys(result, node)
        return [target.update(self._part(result, source, view, stop), view) for target, source in self.parts]

    def _by_keys(self, result: object, node: str) -> Updates:
        if result is None:
            return []
        if isinstance(result, BaseModel):
            given = {name: getattr(result, name) for name in sorted(result.model_fields_set)}
        elif hasattr(result, "keys"):
            given = dict(cast("Mapping[str, object]", result))
        else:
            raise InvalidUpdate(
                f"{node} returned {type(result).__name__}, and nothing says which field that is for",
                where=f"node {node}",
                repair="return a mapping of fields, {'field': value}, or say where the result goes: writes='field'",
            )
        unknown = [key for key in given if key not in (self.keys or ())]
        if unknown:
            raise InvalidUpdate(
                f"{node} returned {', '.join(map(repr, unknown))}, which it does not declare to write",
                where=f"node {node}",
                repair=f"it writes {', '.join(sorted(self.keys or ()))}",
            )
        return list(given.items())

    @staticmethod
    def _part(result: object, source: Reading | Injected | None, view: View, stop: object) -> object:
        if source is None:
            return result
        if isinstance(source, Injected):
            return source.call(view, {"result": result, "stop": stop})
        return source.path.walk(result) if source.path is not None else None

    @property
    def places(self) -> Sequence[str]:
        """Every field or key of one that it may write, as `field` or `field[key]`."""
        found = self._of_result
        if self.memory is None or self.memory.place in found:
            return found
        return [*found, self.memory.place] if self.keys is None else sorted((*found, self.memory.place))

    @property
    def added(self) -> Sequence[str]:
        """Those of them to which it only adds."""
        memory = self.memory
        return () if memory is None or not memory.adds or memory.place in self._of_result else (memory.place,)

    @property
    def _of_result(self) -> Sequence[str]:
        if self.keys is not None:
            return sorted(self.keys)
        targets = [self.whole] if self.whole is not None else [target for target, _ in self.parts]
        return [target.place for target in targets]

    @property
    def roots(self) -> frozenset[str]:
        """The fields and items that its keys and functions read."""
        targets = [self.whole] if self.whole is not None else [target for target, _ in self.parts]
        keys = {root for t in targets for piece in t.pieces if not isinstance(piece, str) for root in piece.roots}
        read = {name for _, made in self.parts if isinstance(made, Injected) for name in made.names}
        return frozenset(keys | read)

    @property
    def fields(self) -> frozenset[str]:
        """Every field it may write."""
        kept = () if self.memory is None else (self.memory.field,)
        if self.whole is not None:
            return frozenset((self.whole.field, *kept))
        written = self.keys if self.keys is not None else (t.field for t, _ in self.parts)
        return frozenset((*written, *kept))


def retry_of(given: Retry | None, calls: Sequence[Call]) -> Retry | None:
    """How often a node is tried again: what nothing is said of, where models may be asked, is what they need."""
    if given is None and any(call.body.kind in ("agent", "function") for call in calls):
        return MODEL_RETRY
    return given


@dataclass(frozen=True, slots=True)
class EdgeWay:
    """An edge as a way out; without a condition it is the otherwise."""

    target: str
    label: str
    condition: Condition | None


@dataclass(frozen=True, slots=True)
class SwitchWay:
    """A switch as a way out: taken where it has a case for the value, or an otherwise."""

    reading: Reading
    cases: Mapping[object, str]
    otherwise: str | None

    @property
    def targets(self) -> Sequence[str]:
        """Every node it may lead to."""
        return [*self.cases.values(), *((self.otherwise,) if self.otherwise else ())]


@dataclass(frozen=True, slots=True)
class ForkWay:
    """A fork as a way out: its arms as (target, condition), and where they become one again."""

    arms: tuple[tuple[str, Condition | None], ...]
    join: str
    label: str
    condition: Condition | None
    need: int | None

    @property
    def targets(self) -> Sequence[str]:
        """Every node it may lead to at once; the join is one where no arm may have to be run."""
        straight = [self.join] if all(condition is not None for _, condition in self.arms) else []
        return [*(target for target, _ in self.arms), *straight]


Way: TypeAlias = "EdgeWay | SwitchWay | ForkWay"


@dataclass(frozen=True, slots=True)
class Fallback:
    """What stands in for a result: a value, or a function bound like a node."""

    value: object = None
    call: Call | None = None


@dataclass(frozen=True, slots=True)
class Each:
    """What a node is run for each item of.

    Attributes:
        sources: The name of each item, where the list is read from, and the field it is, if it is a whole one.
        state: The fields that an item sees: those of the state, and the items by name.
        concurrency: How many run at a time.
    """

    sources: tuple[tuple[str, Reading, str], ...]
    state: StateType[Any]
    concurrency: int


@dataclass(frozen=True, slots=True)
class NodePlan:
    """A node as the core and the runner use it.

    Attributes:
        each: What it is run for each item of, if it is.
        asks: Whether a person decides what becomes of an attempt that a crash ended.
        plain_items: The same of what it runs for an item.
        plain: Whether it is done with what a function or an agent returns: no map, no graph, no question, and it may be
            run again after a crash.
        call: What it runs, unless it chooses.
        choices: What it runs for each value of `selector`.
        ways: Ways out after success, in order.
        failure_ways: Ways out after failure, in order.
    """

    name: str
    title: str
    call: Call | None
    selector: Reading | None
    choices: Mapping[object, Call]
    writer: Writer
    ways: tuple[Way, ...]
    failure_ways: tuple[EdgeWay, ...]
    retry: Retry | None
    timeout_seconds: float | None
    fallback: Fallback | None
    each: Each | None = None
    asks: bool = False
    plain: bool = True
    plain_items: bool = False

    def chosen(self, choice: str) -> Call:
        """The call that was picked under this name before.

        Raises:
            NoChoice: There is none such any more.
        """
        if self.call is not None:
            return self.call
        for value, call in self.choices.items():
            if str(enum_value(value)) == choice:
                return call
        raise NoChoice(f"there is no case {choice!r} any more", where=f"node {self.name}", repair="bring it back")

    def pick(self, view: View) -> tuple[Call, str]:
        """The call of this visit, and the choice it was, "" where there is none to make.

        Raises:
            NoChoice: The selector's value has no runnable.
        """
        if self.call is not None:
            return self.call, ""
        value = self.selector.read(view) if self.selector is not None else None
        try:
            found = self.choices.get(value) or self.choices.get(enum_value(value))  # an enum's, by value
        except TypeError:  # a list or dict picks nothing
            found = None
        if found is None:
            known = ", ".join(map(repr, self.choices))
            text = self.selector.text if self.selector is not None else ""
            raise NoChoice(
                f"{text} is {value!r}, and there is nothing to run for it",
                where=f"node {self.name}",
                repair=f"it is one of {known}, or add a case",
            )
        return found, str(enum_value(value))


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Plan(Generic[S]):
    """A graph, checked and worked out.

    Attributes:
        start: The ways out of START.
        limits: Where its runs stop unless told otherwise.
        own_limits: Those that were given to it, where it fails inside another graph.
        samples: Plateau trackers by the field whose writing takes a sample.
        epochs: Trackers by the node whose completion (or leaving) starts them anew.
        migrate: How runs of older versions become ones of the next, by the older version.
        outline: A description of the graph in JSON, enough to draw it and to tell what changed.
        fingerprint: The outline's digest.
        warnings: What compile found worth saying.
        secret: Whether its state, or that of a graph inside it, has secrets.
    """

    graph: str
    version: int
    state: StateType[S]
    nodes: Mapping[str, NodePlan]
    start: tuple[Way, ...]
    samples: Mapping[str, tuple[Tracker, ...]]
    epochs: Mapping[str, tuple[Tracker, ...]]
    limits: Limits
    own_limits: Mapping[str, float | None]
    errors: str | None
    keep: tuple[str, ...] | None
    result: Reading | None
    resources: Mapping[str, Callable[[], Any]]
    migrate: Mapping[int, Migration]
    outline: Mapping[str, JsonValue]
    fingerprint: str
    warnings: tuple[Problem, ...]
    secret: bool = False

    @property
    def calls(self) -> Sequence[Call]:
        """Everything its nodes may run."""
        return [c for n in self.nodes.values() for c in (n.call, *n.choices.values()) if c is not None]

    @property
    def graphs(self) -> Sequence[Plan[Any]]:
        """The graphs among them."""
        return [call.graph for call in self.calls if call.graph is not None]

    @property
    def nest(self) -> Sequence[Plan[Any]]:
        """Itself and every graph inside it, each once, at however many places it stands."""
        found: list[Plan[Any]] = [self]
        seen = {id(self)}
        for plan in found:
            new = {id(inner): inner for inner in plan.graphs if id(inner) not in seen}
            seen.update(new)
            found += new.values()
        return found

    def paths(self) -> Iterator[str]:
        """The path of every node, those of graphs inside it included."""
        for name, node in self.nodes.items():
            yield name
            for call in (node.call, *node.choices.values()):
                if call is not None and call.graph is not None:
                    yield from (f"{name}/{path}" for path in call.graph.paths())
