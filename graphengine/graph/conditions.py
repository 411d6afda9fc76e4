"""Conditions: when an edge is taken. They are named values, composable by `&`, `|`, `~`.

A condition is evaluated once against a `View`, when its node has finished. What it found is recorded with the edge, as
data, and never computed again; `condition_spec` puts it into words. Conditions on the past (plateaus, counts since a
node, changes) read small marks that the engine updates step by step: a condition names the `Tracker`s it needs.
"""

from __future__ import annotations

import decimal
import operator
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sized
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from itertools import chain, product
from math import inf
from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn

from msgspec import to_builtins
from typing_extensions import override

from graphengine.errors import DefinitionError
from graphengine.graph.condition_spec import (
    ConditionSpec,
    Operator,
    QuantitySpec,
    check_condition,
    condition_text,
    quantity_text,
)
from graphengine.graph.elsewhere import named_node
from graphengine.graph.growth import GrowingQuantity, may_improve_for_ever
from graphengine.state.field import short
from graphengine.state.immutable import digest_of
from graphengine.state.injection import Injected
from graphengine.state.measured import Found, Leaf, Samples, measured_of
from graphengine.state.numbers import alike, equal, is_nan
from graphengine.state.selector import Reading, Source, Tracker
from graphengine.state.texts import steady_text

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from graphengine.graph.runnable import AnyFunction
    from graphengine.state.schema import StateType
    from graphengine.state.view import View

_OF: Final = "node in a condition"
_ORDER: Final[dict[str, Callable[[Any, Any], bool]]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "==": operator.eq,
    "!=": operator.ne,
}
_RISES: Final = (">=", ">", "!=")
"""Comparisons that hold in the end if the left side grows without bound."""
_FALLS: Final = ("<=", "<", "==")
"""Comparisons that no longer hold in the end if the left side grows without bound."""


class Condition(ABC):
    """A condition of an edge, which decides during a run whether the run continues along this edge.

    When a `Condition` is evaluated, it returns whether it holds, and also the values that decided this. The run records
    the values, so that one can see later why it took an edge.
    """

    __slots__ = ()

    @abstractmethod
    def evaluate(self, view: View) -> tuple[bool, Found]:
        """Evaluate the condition, and return whether it holds and the values that it found, for the step's record."""

    @property
    @abstractmethod
    def spec(self) -> ConditionSpec:
        """The condition as data."""

    def __str__(self) -> str:
        return condition_text(self.spec)

    def parts(self) -> Sequence[Condition]:
        """The conditions that this one combines with `and`, `or` or `not`. Empty for a simple condition."""
        return ()

    @property
    def roots(self) -> Collection[str]:
        """The names of the fields that a simple condition reads."""
        return ()

    @property
    def sampled(self) -> Collection[str]:
        """The names of the fields whose new values the condition remembers one by one, as a plateau condition does.

        If no node writes these fields, the condition never holds.
        """
        return ()

    def growth_until(self, state: StateType[Any], *, holds: bool) -> Sequence[frozenset[GrowingQuantity]]:  # noqa: ARG002
        """Return the quantities that must grow for the condition to hold some day, or to stop holding some day.

        The check for endless loops uses this. For example, `iterations("draft") >= 3` must hold some day if each round
        of a loop visits the node `draft`, so a loop with an edge that leaves it on this condition ends. By default, the
        result is empty, because most conditions may never hold.

        Args:
            state: The state type of the graph.
            holds: Whether the condition must eventually hold (True), or stop holding (False).

        Returns:
            Sets of quantities. It is enough that all quantities of one of these sets grow.
        """
        return ()

    def may_never_hold(self, state: StateType[Any]) -> bool:  # noqa: ARG002 - used by subclasses
        """Return whether a condition that waits for an end of improvement may never hold."""
        return False

    def check_depth(self) -> None:
        """Check that the condition is not nested too deeply for the JSON description of the graph.

        Raises:
            DefinitionError: The condition is nested too deeply.
        """
        try:
            check_condition(self.spec)
        except (ValueError, RecursionError) as error:
            repair = "write the condition as one function of the fields: when=lambda a, b: …"
            raise DefinitionError(f"the condition cannot be recorded: {error}", repair=repair) from error

    def leaves(self) -> Iterator[Condition]:
        """Yield the simple conditions inside this condition, from left to right. A simple condition yields itself."""
        parts = self.parts()
        if not parts:
            yield self
        for part in parts:
            yield from part.leaves()

    def trackers(self, source: str) -> Iterable[Tracker]:
        """Yield what the condition on an edge from `source` must remember between steps, such as a visit count."""
        for part in self.parts():
            yield from part.trackers(source)

    def __and__(self, other: Condition) -> Condition:
        return Composed("and", self, _condition(other))

    def __or__(self, other: Condition) -> Condition:
        return Composed("or", self, _condition(other))

    def __invert__(self) -> Condition:
        return Negated(self)

    def __bool__(self) -> NoReturn:
        message = f"the condition '{self}' was used with if, and, or, not, but its truth is known only during a run"
        repair = "combine conditions with &, | and ~; write 1 <= c <= 5 as (value('c') >= 1) & (value('c') <= 5)"
        raise DefinitionError(message, repair=repair)


def _condition(other: object) -> Condition:
    if isinstance(other, Condition):
        return other
    raise DefinitionError(
        f"a condition is combined by & or | with {other!r}, which is not a condition",
        repair="put each comparison in parentheses: (value('a') == 1) | (value('a') == 2)",
    )


@dataclass(frozen=True, slots=True)
class Composed(Condition):
    """Two conditions combined with `and` or `or`. The second is not evaluated if the first decides the outcome."""

    word: Literal["and", "or"]
    left: Condition
    right: Condition
    chain: tuple[Condition, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Merge nested conditions with the same operator: a long chain such as `a & b & c` must not count as deep."""
        sides = (
            side.chain if isinstance(side, Composed) and side.word == self.word else (side,)
            for side in (self.left, self.right)
        )
        object.__setattr__(self, "chain", tuple(chain.from_iterable(sides)))

    @override
    def evaluate(self, view: View) -> tuple[bool, Found]:
        decisive = self.word == "or"
        leaves: list[Leaf] = []
        held = not decisive
        for part in self.chain:
            held, found = part.evaluate(view)
            if isinstance(found, list):
                leaves += found
            else:
                leaves.append(Leaf(held, found))  # type: ignore[arg-type]
            if held is decisive:
                break
        return held, leaves

    @override
    def parts(self) -> Sequence[Condition]:
        return (self.left, self.right)

    @override
    def growth_until(self, state: StateType[Any], *, holds: bool) -> Sequence[frozenset[GrowingQuantity]]:
        left, right = (part.growth_until(state, holds=holds) for part in self.parts())
        one_is_enough = holds == (self.word == "or")
        return [*left, *right] if one_is_enough else [one | other for one, other in product(left, right)]

    @property
    @override
    def spec(self) -> ConditionSpec:
        return {"is": self.word, "parts": [part.spec for part in self.chain]}


@dataclass(frozen=True, slots=True)
class Negated(Condition):
    """The opposite of a condition."""

    of: Condition

    @override
    def evaluate(self, view: View) -> tuple[bool, Found]:
        held, found = self.of.evaluate(view)
        return not held, found if isinstance(found, list) else [Leaf(held, found)]  # type: ignore[arg-type]

    @override
    def parts(self) -> Sequence[Condition]:
        return (self.of,)

    @override
    def growth_until(self, state: StateType[Any], *, holds: bool) -> Sequence[frozenset[GrowingQuantity]]:
        return self.of.growth_until(state, holds=not holds)

    @property
    @override
    def spec(self) -> ConditionSpec:
        return {"is": "not", "parts": [self.of.spec]}


class Quantity(ABC):
    """A value on the left side of a comparison in a condition, such as `value("score")` in `value("score") >= 7`."""

    __slots__ = ()

    @abstractmethod
    def now(self, view: View) -> object:
        """Return the current value."""

    @property
    @abstractmethod
    def spec(self) -> QuantitySpec:
        """What is measured, as data."""

    @property
    def roots(self) -> Collection[str]:
        """The fields that it reads."""
        return ()

    def __str__(self) -> str:
        """Return the name of the quantity, as it is shown on an edge of the drawn graph."""
        return quantity_text(self.spec)

    def needs(self, source: str) -> Iterable[Tracker]:  # noqa: ARG002 - used by subclasses
        """Yield what must be remembered between steps to compute the quantity on an edge from `source`."""
        return ()

    def growth(self, state: StateType[Any]) -> GrowingQuantity | None:  # noqa: ARG002 - used by subclasses
        """Describe how this quantity grows, for the check that every loop ends; None if it may not grow.

        For example, a number of visits grows in each round of a loop that visits the node, so a condition on this
        number can end the loop. A quantity that may stay the same or become smaller cannot.
        """
        return None

    def __ge__(self, other: object) -> Comparison:
        return Comparison(self, ">=", other)

    def __le__(self, other: object) -> Comparison:
        return Comparison(self, "<=", other)

    def __gt__(self, other: object) -> Comparison:
        return Comparison(self, ">", other)

    def __lt__(self, other: object) -> Comparison:
        return Comparison(self, "<", other)

    def __eq__(self, other: object) -> Comparison:  # type: ignore[override]
        return Comparison(self, "==", other)

    def __ne__(self, other: object) -> Comparison:  # type: ignore[override]
        return Comparison(self, "!=", other)

    def __hash__(self) -> int:
        return id(self)

    def __bool__(self) -> NoReturn:
        message = f"'{self}' was used with if, and, or, not, but its value is known only during a run"
        repair = "compare the value, as in value('score') >= 7, or use .is_true() or .is_none()"
        raise DefinitionError(message, repair=repair)

    def _refuse_misuse(self, other: object) -> NoReturn:
        message = f"'{self}' is combined with {other!r} by & or |, which Python applies before it compares"
        repair = "put each comparison in parentheses: (value('a') == 1) | (value('a') == 2)"
        raise DefinitionError(message, repair=repair)

    __or__ = __ror__ = __and__ = __rand__ = _refuse_misuse


class Fact(Quantity):
    """A quantity that the engine itself measures: a number of visits, an amount of usage, or a time."""

    __slots__ = ("_name", "_node", "_since")

    def __init__(self, name: str, node: str = "", since: str | None = None) -> None:
        self._name, self._node, self._since = name, node, since

    @override
    def growth(self, state: StateType[Any]) -> GrowingQuantity | None:
        """Describe how the quantity grows. None for the visits of a node since its own last visit, which never grow."""
        return (
            None if self._since and self._since == self._node else GrowingQuantity(self._node, since=self._since or "")
        )

    @property
    def names(self) -> Sequence[str]:
        """The names of the nodes to which the quantity refers."""
        return [name for name in (self._node, self._since) if name]

    @override
    def now(self, view: View) -> object:
        if self._name == "iterations":
            if not self._since:
                return view.count(self._node)
            return view.count(self._node) - view.mark(_count_key(self._node, self._since), 0)
        if self._name == "elapsed_seconds":
            return round(view.elapsed_seconds, 3)
        if self._name == "tokens":
            used = view.usage
            return (used.get("input_tokens") or 0) + (used.get("output_tokens") or 0)
        return view.usage.get(self._name, 0)

    @override
    def needs(self, source: str) -> Iterable[Tracker]:
        if self._since:
            yield Tracker(_count_key(self._node, self._since), "count", self._since, self._node)

    @property
    @override
    def spec(self) -> QuantitySpec:
        if not self._node:
            return {"usage": self._name}
        return {"visits": self._node, "since": self._since} if self._since else {"visits": self._node}


class Value(Quantity):
    """What `value(…)` returns: a value at a path of the state, or the result of a function of state fields."""

    __slots__ = ("_field", "measure", "reading")

    def __init__(self, source: Source, measure: Literal["", "length"] = "") -> None:
        self.reading = Reading.of(source)
        self.measure = measure
        path = self.reading.path
        self._field = path.root if path is not None and not path.parts and not measure else ""

    @property
    @override
    def roots(self) -> Collection[str]:
        return self.reading.roots

    @override
    def now(self, view: View) -> object:
        if self._field:
            return view.get(self._field)
        if not self.measure:
            return self.reading.read(view)
        if self.reading.path is not None:
            return view.length(self.reading.path)
        current = self.reading.read(view)
        return len(current) if isinstance(current, Sized) else None

    @override
    def growth(self, state: StateType[Any]) -> GrowingQuantity | None:
        """Return the length of a list field as a growing quantity, for the check for endless loops.

        Returns None unless nodes can only append to the list, because only then does its length never become smaller.
        """
        path = self.reading.path
        if self.measure != "length" or path is None or path.parts or state.whole:
            return None
        field = state.fields.get(path.root)
        only_appended = field is not None and field.operation == "append" and not field.constrained
        return GrowingQuantity(appends=path.root) if only_appended else None

    def length(self) -> Value:
        """Return the length of this value as something that conditions can compare."""
        return Value(self._source(), "length")

    def is_true(self) -> Condition:
        """Return a condition that holds if the value is truthy, as Python's `bool(value)` decides."""
        return Comparison(self, "is true", None)

    def is_false(self) -> Condition:
        """Return the opposite of `is_true`: it holds for False, 0, an empty text or list, and None."""
        return ~self.is_true()

    def is_none(self) -> Condition:
        """Return a condition that holds if the value is None or missing."""
        return Comparison(self, "is none", None)

    def is_in(self, allowed: Iterable[object]) -> Condition:
        """Return a condition that holds if the value equals one of the given values.

        Raises:
            DefinitionError: The argument is not a list, tuple or set.
        """
        if isinstance(allowed, str) or not hasattr(allowed, "__iter__"):
            message = f"is_in({allowed!r}) of '{self}' needs a list of the allowed values"
            raise DefinitionError(message, repair=f"give a list: is_in([{allowed!r}])")
        values = sorted(allowed, key=steady_text) if isinstance(allowed, AbstractSet) else allowed
        return Comparison(self, "is in", tuple(values))

    def not_in(self, refused: Iterable[object]) -> Condition:
        """Return a condition that holds if the value equals none of the given values, or is None or missing.

        Raises:
            DefinitionError: The argument is not a list, tuple or set.
        """
        return ~self.is_in(refused)

    def contains(self, item: object) -> Condition:
        """Return a condition that holds if the value (a list, a dict or a text) contains this item."""
        return Comparison(self, "contains", item)

    def _source(self) -> Source:
        function = self.reading.function
        return function.function if function is not None else self.reading.text

    @property
    @override
    def spec(self) -> QuantitySpec:
        return {"length": quantity_of(self.reading)} if self.measure else quantity_of(self.reading)


class _Given(Quantity):
    """A fixed value in place of one that is read from a run, so that a condition can be tried out without a run."""

    __slots__ = ("_value",)

    def __init__(self, value: object) -> None:
        self._value = value

    @override
    def now(self, view: View) -> object:
        return self._value

    @property
    @override
    def spec(self) -> QuantitySpec:
        return ""


class Comparison(Condition):
    """A condition such as `value("score") >= 7`, which compares a value of the run with a constant."""

    __slots__ = ("_compare", "_kind", "operator", "other", "quantity")
    operator: Operator

    def __init__(self, quantity: Quantity, sign: Operator, other: object) -> None:
        if other is None and sign in _ORDER:
            message = f"'{quantity} {sign} None' compares with None, which is neither more nor less than a value"
            repair = "to test for a missing value, write value('a').is_none(), or the opposite, ~value('a').is_none()"
            raise DefinitionError(message, repair=repair)
        if isinstance(other, Quantity):
            message = f"'{quantity} {sign} {other}' compares two values of the state, but needs a constant on one side"
            raise DefinitionError(message, repair="use a function of the fields: when=lambda a, b: a > b")
        if any(map(is_nan, other if isinstance(other, tuple) else (other,))):
            message = f"'{quantity} {sign} {other}' compares with NaN (not a number), which equals no number"
            raise DefinitionError(message, repair="to test for NaN, use a function: when=lambda a: math.isnan(a)")
        self.quantity, self.operator, self.other = quantity, sign, other
        self._compare = _ORDER.get(sign)
        self._kind = None if isinstance(other, decimal.Decimal) else type(other)

    @property
    @override
    def roots(self) -> Collection[str]:
        return self.quantity.roots

    @override
    def evaluate(self, view: View) -> tuple[bool, Found]:
        left = self.quantity.now(view)
        compare, other = self._compare, self.other
        if compare is not None:
            if left is None:
                held = False
            else:
                like, other = (left, other) if type(left) is self._kind else alike(left, other)
                try:
                    held = bool(compare(like, other))
                except TypeError:
                    return False, measured_of(left, unlike=True)
        else:
            held = self._special(left)
        return held, measured_of(left)

    @override
    def growth_until(self, state: StateType[Any], *, holds: bool) -> Sequence[frozenset[GrowingQuantity]]:
        is_bound = isinstance(self.other, (int, float)) and -inf < self.other < inf
        if not is_bound or self.operator not in (_RISES if holds else _FALLS):
            return ()
        growth = self.quantity.growth(state)
        return () if growth is None else [frozenset([growth])]

    def holds_for(self, value: object) -> bool:
        """Return whether the condition would hold if the quantity had this value."""
        return Comparison(_Given(value), self.operator, self.other).evaluate(None)[0]  # type: ignore[arg-type]

    def _special(self, left: object) -> bool:
        if self.operator == "is true":
            return bool(left)
        if self.operator == "is none":
            return left is None
        if left is None:
            return False
        if self.operator == "is in" and isinstance(self.other, tuple):
            return any(equal(left, other) for other in self.other)
        if isinstance(left, (list, tuple, set, frozenset, Mapping)):
            return any(equal(item, self.other) for item in left)
        item, container = self.other, left
        try:
            held = item in container  # type: ignore[operator]
        except TypeError:
            held = False
        return held

    @override
    def trackers(self, source: str) -> Iterable[Tracker]:
        return self.quantity.needs(source)

    @property
    @override
    def spec(self) -> ConditionSpec:
        found: ConditionSpec = {"is": self.operator, "of": self.quantity.spec}
        if self.operator not in ("is true", "is none"):
            found["than"] = to_builtins(measured_of(self.other, whole=True))
        return found


class Plateau(Condition):
    """A condition that holds once a value no longer improves.

    This is the case when none of its last `patience` values was better than the best value before them.
    """

    __slots__ = ("_key", "min_delta", "mode", "patience", "reading", "since")
    mode: Literal["max", "min"]

    def __init__(
        self, source: Source, patience: int, min_delta: float, mode: Literal["max", "min"], since: str | None
    ) -> None:
        if not patience >= 1 or mode not in ("max", "min") or not min_delta >= 0:
            text = f"plateau(mode={mode!r}): mode must be 'max' or 'min'"
            if not patience >= 1:
                text = f"plateau(patience={patience}): patience must be at least 1"
            elif not min_delta >= 0:
                text = f"plateau(min_delta={min_delta}): min_delta must be at least 0"
            raise DefinitionError(text, repair="write plateau('score', patience=3, min_delta=0.01, mode='max')")
        self.reading = Reading.of(source)
        self.patience, self.min_delta, self.mode, self.since = patience, min_delta, mode, since
        self._key = f"plateau:{self.reading.text}:{mode}:{min_delta!r}:{since or ''}"

    @property
    @override
    def roots(self) -> Collection[str]:
        return self.reading.roots

    @property
    @override
    def sampled(self) -> Collection[str]:
        return self.reading.roots

    @override
    def growth_until(self, state: StateType[Any], *, holds: bool) -> Sequence[frozenset[GrowingQuantity]]:
        if not holds or self.may_never_hold(state):
            return ()
        return [frozenset([GrowingQuantity(samples=self.reading.roots, since=self.since or "")])]

    @override
    def may_never_hold(self, state: StateType[Any]) -> bool:
        """Return whether the condition might never hold, because the value may be missing or improve without end."""
        return may_improve_for_ever(self.reading.path, state, self.mode, self.min_delta)

    @override
    def evaluate(self, view: View) -> tuple[bool, Found]:
        mark = view.mark(self._key)
        if not mark:
            return False, None
        best, last, stale, *raised = mark
        if raised:
            raise RuntimeError(raised[0])
        return stale >= self.patience, Samples(best, last, stale)

    @override
    def trackers(self, source: str) -> Iterable[Tracker]:
        yield Tracker(self._key, "plateau", self.since or "", "", self.reading, self.mode, self.min_delta)

    @property
    @override
    def spec(self) -> ConditionSpec:
        found: ConditionSpec = {
            "is": "plateau",
            "of": quantity_of(self.reading),
            "patience": self.patience,
            "mode": self.mode,
        }
        if self.min_delta:
            found["min_delta"] = self.min_delta
        if self.since:
            found["since"] = self.since
        return found


@dataclass(frozen=True, slots=True)
class Changed(Condition):
    """A condition that holds if a value has changed since a certain node was last left by the run.

    By default this is the node from which the condition's edge leads. `since=` names another node.
    """

    reading: Reading
    since: str | None

    def _key(self, source: str) -> str:
        return f"change:{self.reading.text}:{self.since or source}"

    @property
    @override
    def roots(self) -> Collection[str]:
        return self.reading.roots

    @override
    def evaluate(self, view: View) -> tuple[bool, Found]:
        return digest_of(self.reading.read(view)) != view.mark(self._key(view.node)), None

    @override
    def trackers(self, source: str) -> Iterable[Tracker]:
        yield Tracker(self._key(source), "change", self.since or source, "", self.reading)

    @property
    @override
    def spec(self) -> ConditionSpec:
        found: ConditionSpec = {"is": "changed", "of": quantity_of(self.reading)}
        if self.since:
            found["since"] = self.since
        return found


@dataclass(frozen=True, slots=True)
class Failed(Condition):
    """A condition that holds if the node from which the edge leads failed with one of these exceptions."""

    types: tuple[type[BaseException], ...]

    @override
    def evaluate(self, view: View) -> tuple[bool, Found]:
        held = any(exception_name(kind) in view.failure for kind in self.types)
        return held, view.failure[0] if view.failure else None

    @property
    @override
    def spec(self) -> ConditionSpec:
        return {"is": "failed", "names": [exception_name(kind) for kind in self.types]}


def is_bool(kind: object) -> bool:
    """Return whether a type holds truth values: `bool`, or numpy's bool, which is not a subclass of any Python type."""
    return kind is bool or (
        getattr(kind, "__module__", "") == "numpy" and getattr(kind, "__name__", "") in _NUMPY_BOOLS
    )


_NUMPY_BOOLS: Final = ("bool", "bool_")


@dataclass(frozen=True, slots=True)
class Function(Condition):
    """A condition that the user wrote as a function of state fields."""

    injected: Injected

    @property
    @override
    def roots(self) -> Collection[str]:
        return self.injected.names

    @override
    def evaluate(self, view: View) -> tuple[bool, Found]:
        result: Any = self.injected.call(view)
        if type(result) is bool:
            return result, None
        if is_bool(type(result)):
            return bool(result), None
        if isinstance(result, Iterator):
            raise TypeError("it returned an iterator, which counts as true even if it is empty; use any(…) or all(…)")
        how = "return True or False" if result is None else "compare the result, or wrap it in bool(…)"
        raise TypeError(f"it returned {short(result)}, which is neither True nor False; {how}")

    @property
    @override
    def spec(self) -> ConditionSpec:
        return {"is": "function", "of": self.injected.name}


def value(source: Source) -> Value:
    """Return a value of the state, to be compared in a condition.

    Args:
        source: A path such as `"review.score"`, or a pure function whose parameters are named like fields.

    Example:
        >>> str(value("review.score") >= 7)
        'review.score >= 7'
    """
    return Value(source)


def iterations(node: str | AnyFunction[object], since: str | AnyFunction[object] | None = None) -> Fact:
    """Return how often a node has completed, including the current visit, to be compared in a condition.

    Args:
        node: The node whose visits are counted, given as in `add_edge`. Repeated attempts of a visit do not count.
        since: Count only the visits since this node last completed, or from the start of the run if it has not.

    Example:
        >>> str(iterations("review") >= 3)
        'iterations of review >= 3'
    """
    return Fact("iterations", named_node(node, _OF, ""), since and named_node(since, _OF, ""))


def usage(what: Literal["cost_usd", "tokens", "calls"]) -> Fact:
    """Return how much model calls have used so far, to be compared in a condition.

    Args:
        what: `"cost_usd"` (US dollars; None while the cost is unknown), `"tokens"` or `"calls"`.

    Example:
        >>> str(usage("cost_usd") > 0.5)
        'cost_usd > 0.5'
    """
    if what not in ("cost_usd", "tokens", "calls"):
        message = f"usage({what!r}) names a quantity that runs do not count"
        raise DefinitionError(message, repair="use usage('cost_usd'), usage('tokens') or usage('calls')")
    return Fact(what)


def elapsed_seconds() -> Fact:
    """Return for how many seconds the run has been driven so far. Time that the run spent waiting does not count.

    >>> str(elapsed_seconds() > 60)
    'elapsed_seconds > 60'
    """
    return Fact("elapsed_seconds")


def plateau(
    source: Source,
    *,
    patience: int = 1,
    min_delta: float = 0.0,
    mode: Literal["max", "min"] = "max",
    since: str | AnyFunction[object] | None = None,
) -> Condition:
    """Return a condition that holds once a number no longer improves.

    Args:
        source: The path, or function of fields, that gives the number. Each step that writes the field adds a sample.
        patience: How many samples in a row must be no better than the best sample before them.
        min_delta: A sample counts as better only if it is better by more than this.
        mode: Whether larger (`"max"`) or smaller (`"min"`) numbers are better.
        since: Forget all samples whenever this node is visited.

    Example:
        >>> str(plateau("score"))
        'score no longer improves'
    """
    return Plateau(source, patience, min_delta, mode, since and named_node(since, _OF, ""))


def changed(source: Source, since: str | AnyFunction[object] | None = None) -> Condition:
    """Return a condition that holds if a value has changed since the edge's node was last left.

    `changed` compares the value with its default as long as that node has not been left before.

    Args:
        source: The path, or function of fields, that gives the value.
        since: Another node: compare with the value at the time when that node was last left.

    Example:
        >>> str(changed("draft", since="review"))
        'draft changed since review'
    """
    return Changed(Reading.of(source), since and named_node(since, _OF, ""))


def failed(*types: type[BaseException]) -> Condition:
    """Return a condition for an edge that is taken if the node failed with one of these exceptions.

    `failed(…)` holds only after the last retry of the node has failed. A node whose fallback returns a result has not
    failed, because that result takes the place of the node's own result.

    The condition `failed(Exception)` does not hold if the code of the node calls `sys.exit()`, because `sys.exit()`
    raises SystemExit, which is no subclass of Exception. Write `failed(SystemExit)` for this case.

    >>> str(failed(ValueError, KeyError))
    'failed with ValueError or KeyError'
    """
    given: tuple[object, ...] = types
    if not given or not all(isinstance(kind, type) and issubclass(kind, BaseException) for kind in given):
        raise DefinitionError(
            f"failed({', '.join(map(repr, types))}) needs one or more types of exceptions",
            repair="give the types themselves, not names or instances: failed(TimeoutError), failed(Exception)",
        )
    return Failed(types)


def as_condition(given: object, where: str = "") -> Condition:
    """Return a condition unchanged, and turn a function into a condition. Errors name `where`, such as an edge.

    Raises:
        DefinitionError: The argument is neither a condition nor a function.
    """
    if isinstance(given, Condition):
        given.check_depth()
        return given
    if isinstance(given, Quantity):
        message = f"the condition '{given}' is only a value, which is not compared with anything"
        repair = "compare the value, as in value('score') >= 7, or use .is_true()"
        raise DefinitionError(message, where=where, repair=repair)
    if getattr(given, "__module__", "") == __name__ and callable(given):
        name = getattr(given, "__name__", given)
        text = f"the condition is the function {name!r} itself, but must be the result of calling it"
        raise DefinitionError(text, where=where, repair=f"call the function: {name}(…)")
    if callable(given):
        return Function(Injected.of(given))
    repair = "compare a field, as in value('score') >= 7, use failed(…), or give a function of fields"
    text = f"{given!r} was given as a condition, but a condition is a comparison or a function of fields"
    raise DefinitionError(text, where=where, repair=repair)


def exception_name(kind: type[BaseException]) -> str:
    """Return the name by which steps record exceptions of this type and `failed(…)` recognises them."""
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def compares_fields(condition: Condition) -> bool:
    """Return whether all parts of a condition compare a value at a path of the state with a constant.

    This is not so if, for example, a part counts visits or calls a function of the user.
    """
    return all(
        isinstance(leaf, Comparison) and isinstance(leaf.quantity, Value) and leaf.quantity.reading.path is not None
        for leaf in condition.leaves()
    )


def is_on_failure(condition: Condition) -> bool:
    """Return whether an edge with this condition is only tried after its node failed, as with `failed(ValueError)`."""
    if isinstance(condition, Failed):
        return True
    if isinstance(condition, Composed):
        left, right = is_on_failure(condition.left), is_on_failure(condition.right)
        return (left and right) if condition.word == "or" else (left or right)
    return False


def quantity_of(reading: Reading) -> QuantitySpec:
    """Describe where a value comes from, for the JSON description of a graph: its path, or the name of its function."""
    return reading.text if reading.path is not None else {"function": reading.text}


def mentions_failure(condition: Condition) -> bool:
    """Return whether a condition contains `failed(…)`, alone or inside `and`, `or` and `not`."""
    return any(isinstance(leaf, Failed) for leaf in condition.leaves())


def _count_key(node: str, since: str | None) -> str:
    return f"count:{node}:{since}"
