"""The stubs that a user gives for the nodes of a walk, and the `Script` that hands them out visit by visit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from pydantic import BaseModel

from graphengine.errors import InputError, NodeError
from graphengine.kernel.extension import did_you_mean
from graphengine.kernel.inside import Injected, Put
from graphengine.kernel.inside import Items as Appended
from graphengine.models.scripted import is_raised

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from graphengine.engine.plan import Updates
    from graphengine.kernel.extension import NodePlan, StateType
    from graphengine.kernel.inside import AnyFunction

Update: TypeAlias = "Mapping[str, object] | BaseModel | BaseException | type[BaseException] | None"
"""The update of a visit, by field; the exception with which the visit fails; or None to write nothing."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A stub for `walk` that stands for a nested graph: it says with which label and update the graph ends.

    Args:
        label: The label of an edge to END in the nested graph.
        update: What the node that runs the nested graph writes, by field of the surrounding state.
    """

    label: str
    update: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True)
class Items:
    """A stub for a map in a walk, which gives each item a stub of its own.

    Args:
        given: The updates of the items, in the order of the items; or one update for all items; or a function, which
            may have a parameter for the item.
    """

    given: Stub | Sequence[Stub]


Stub: TypeAlias = "Update | Ended | AnyFunction[object]"
Visits: TypeAlias = "Stub | Items | Sequence[Stub | Items]"
"""One stub that is used for every visit, or a list with one stub for each visit."""


_ORDINALS = {1: "first", 2: "second", 3: "third"}


class _BadStub(NodeError):
    """A stub is invalid. The walk fails with this error even if the graph has an edge for failures."""

    code = "bad_stub"
    retryable = False


class Script:
    """The stubs that a test passed for one node, and the choice of the stub for each visit.

    Args:
        path: The path of the node.
        given: The stubs, as the test passed them to `walk`.
        node: The node.
        state: The fields of the state of the node's graph.

    Attributes:
        error: The first error that was found in the stubs during the walk; None if there was no error.
    """

    def __init__(self, path: str, given: Visits, node: NodePlan, state: StateType[Any]) -> None:
        self.path, self.node = path, node
        self.each = isinstance(given, Items)
        self.error: InputError | None = None
        self._state = state
        self._listed = _is_list(given)
        self._visits = _each_of(given)
        self._numbers: dict[str, int] = {}
        self._updates: dict[str, Updates] = {}
        if self._listed and self._visits:
            self.each = isinstance(self._visits[0], Items)
        self.labels = _labels(node)
        for number, item in enumerate(self._visits, start=1):
            self._check(item, f"visit {number}" if self._listed else "every visit")
        if self.is_graph and any(Injected.of(function).parameters for function in self.functions):
            message = f"the stub of {path!r} is a function with parameters, but the stub of a graph gets no arguments"
            repair = f"give a function without parameters. Or give stubs for the nodes of the graph: '{path}/…'"
            raise InputError(message, where=f"walk, node {path}", repair=repair)

    @property
    def is_graph(self) -> bool:
        """Whether the node runs a nested graph, so that the stub replaces a whole graph."""
        return any(call.graph is not None for call in self.node.calls)

    @property
    def functions(self) -> Iterator[Callable[..., object]]:
        """Yield the stubs of the node that are functions, because their parameters have to be bound to fields."""
        for stub in self._visits:
            for item in _each_of(stub.given) if isinstance(stub, Items) else [stub]:
                if callable(item) and not isinstance(item, type):
                    yield item

    def now(self, key: str) -> object:
        """Return the stub for one visit of the node.

        The visit is identified by its idempotency key, so that all attempts of a visit get the same stub.

        Raises:
            _BadStub: The list of stubs is shorter than the number of visits.
        """
        frame, index = key, 0
        if self.each:
            frame, _, rest = key.rpartition("[")
            index = int(rest.partition("]")[0])
        number = self._numbers.setdefault(frame, len(self._numbers))
        if self._listed and number >= len(self._visits):
            have = len(self._visits)
            stubs = "1 stub" if have == 1 else f"{have} stubs"
            time = _ORDINALS.get(number + 1, f"{number + 1}th")
            message = f"the walk visits node {self.path!r} a {time} time, but the list for this node has only {stubs}"
            raise self._bad(message, "give a stub for each visit, or one stub without a list for all visits")
        found = self._visits[number if self._listed else 0]
        if not isinstance(found, Items):
            return found
        items = _each_of(found.given)
        if not _is_list(found.given):
            return items[0]
        if index >= len(items):
            message = f"node {self.path!r} runs for item {index} in visit {number + 1}, which has {len(items)} stubs"
            raise self._bad(message, "give a stub for each item")
        return items[index]

    def updates(self, given: object) -> tuple[str, Updates]:
        """Convert a stub to the updates that it writes to the state.

        The label with which the graph ends is returned first; it is "" unless the stub replaces a nested graph.

        Raises:
            BaseException: The stub is an exception, which is raised.
            _BadStub: The stub is invalid.
        """
        try:
            self._check(given, "a visit")
        except InputError as error:
            raise self._bad(error.message, error.repair) from error
        label = given.label if isinstance(given, Ended) else ""
        given = given.update if isinstance(given, Ended) else given
        if is_raised(given):
            raise given  # type: ignore[misc]
        return label, [update for name, value in _fields_given(given).items() for update in self._parts(name, value)]

    def keep(self, key: str, updates: Updates) -> None:
        """Keep the updates for a nested graph until its replacement has ended. Only then are they written."""
        self._updates[key] = updates

    def kept(self, key: object) -> Updates:
        """Return the updates that `keep` stored under this key."""
        return self._updates[str(key)]

    def _parts(self, name: str, given: object) -> Iterator[tuple[str, object]]:
        """Split what a stub gives for a field into the single updates that the node itself would write.

        The node may write the whole value of the field, single keys of a dict, or the results of the items of a map.
        """
        node = self.node
        targets = [target for target, _ in node.writer.parts]
        keyed = any(target.field == name and target.key is not None for target in targets)
        if keyed and isinstance(given, Mapping):
            adds = any(target.field == name and target.adds for target in targets)
            yield from ((name, Put(str(key), item, adds=adds)) for key, item in given.items())
        elif (
            node.each is not None
            and not self.each
            and self._state.fields[name].operation == "append"
            and _is_list(given)
        ):
            yield name, Appended(_each_of(given))
        else:
            yield name, given

    def _bad(self, message: str, repair: str) -> _BadStub:
        self.error = self.error or InputError(message, where=f"walk, node {self.path}", repair=repair)
        return _BadStub(message, where=f"walk, node {self.path}", repair=repair)

    def _check(self, given: object, which: str) -> None:
        """Check a stub before the walk. What a function will return can only be checked during the walk.

        Raises:
            InputError: The stub is invalid.
        """
        where = f"walk, node {self.path}, {which}"
        if isinstance(given, Items):
            self._check_items(given, where)
            for item in _each_of(given.given):
                self._check(item, which)
            return
        if isinstance(given, Ended):
            if given.label not in self.labels:
                message = f"node {self.path!r} cannot end with the label {given.label!r}"
                repair = did_you_mean(given.label, self.labels) or "leave out Ended(…), which is only for nested graphs"
                raise InputError(message, where=where, repair=repair)
            given = given.update
        if given is None or isinstance(given, (BaseException, Mapping, BaseModel)):
            for name in _fields_given(given):
                if name not in self.node.writer.fields:
                    near = did_you_mean(str(name), sorted(self.node.writer.fields))
                    text = f"the stub writes the field {name!r}, which node {self.path!r} does not write"
                    raise InputError(text, where=where, repair=near)
        elif not (is_raised(given) or callable(given)) or (isinstance(given, type) and not is_raised(given)):
            repair = "give a mapping of fields, an exception, a function, Ended(…), Items(…), or a list of these"
            raise InputError(f"{given!r} cannot be the stub of node {self.path!r}", where=where, repair=repair)

    def _check_items(self, given: Items, where: str) -> None:
        if self.node.each is None:
            message = f"Items(…) was given for node {self.path!r}, which is not a map and has no items"
            raise InputError(message, where=where, repair="give the update without Items(…)")
        if not self.each:
            repair = "give Items(…) for all visits, or for none"
            raise InputError("some visits have Items(…), and others do not", where=where, repair=repair)
        if isinstance(given.given, Items):
            repair = "give the updates of the items: Items([{'field': …}, …])"
            raise InputError("Items cannot contain other Items", where=where, repair=repair)


def _fields_given(given: object) -> Mapping[str, object]:
    if isinstance(given, BaseModel):
        return {name: getattr(given, name) for name in sorted(given.model_fields_set)}
    return given if isinstance(given, Mapping) else {}


def _is_list(given: object) -> bool:
    return isinstance(given, Sequence) and not isinstance(given, (str, bytes))


def _each_of(given: object) -> list[object]:
    """Return the members of a list, or a list with the value itself if it is not a list."""
    return [*given] if isinstance(given, Sequence) and not isinstance(given, (str, bytes)) else [given]


def _labels(node: NodePlan) -> Sequence[str]:
    """Return the labels with which the nested graph of a node can end."""
    return sorted({label for call in node.calls if call.graph is not None for label in call.graph.ends})


__all__ = ["Ended", "Items", "Script", "Stub", "Update", "Visits"]
