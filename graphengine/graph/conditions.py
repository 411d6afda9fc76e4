"""Conditions: when an edge is taken. They are named values, composable by `&`, `|`, `~`, that explain themselves.

A condition is evaluated once against a `View`, when its node has finished. Its explanation is recorded with the edge
and never computed again. Conditions on the past (plateaus, counts since a node, changes) read small marks that the
engine updates step by step: a condition names the `Tracker`s it needs.
"""

from __future__ import annotations

import decimal
import enum
import operator
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sized
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn

from typing_extensions import override

from graphengine.errors import DefinitionError
from graphengine.graph.elsewhere import named_node
from graphengine.state.immutable import digest_of
from graphengine.state.injection import Injected
from graphengine.state.json_values import clipped
from graphengine.state.numbers import alike, equal, is_nan
from graphengine.state.selector import Reading, Source, Tracker
from graphengine.state.texts import steady_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from graphengine.graph.runnable import AnyFunction
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


class Condition(ABC):
    """A test of the run that holds or does not, and explains why."""

    __slots__ = ()

    @abstractmethod
    def evaluate(self, view: View) -> tuple[bool, str]:
        """Return whether it holds, and an explanation with the values, such as `score 6 >= 7: no`."""

    @abstractmethod
    def __str__(self) -> str:
        """Return the condition in words, as drawn on an edge."""

    def parts(self) -> Sequence[Condition]:
        """Return the conditions that it is composed of."""
        return ()

    def leaves(self) -> Iterator[Condition]:
        """Yield the simple conditions that it is made of, from left to right: itself if it has no parts."""
        parts = self.parts()
        if not parts:
            yield self
        for part in parts:
            yield from part.leaves()

    def trackers(self, source: str) -> Iterable[Tracker]:
        """Yield the trackers that it needs on an edge from `source`."""
        for part in self.parts():
            yield from part.trackers(source)

    def __and__(self, other: Condition) -> Condition:
        return Composed("and", self, _condition(other))

    def __or__(self, other: Condition) -> Condition:
        return Composed("or", self, _condition(other))

    def __invert__(self) -> Condition:
        return Negated(self)

    def __bool__(self) -> NoReturn:
        message = f"the condition {self} has no truth value: it is evaluated during a run, not by and, or, not, if"
        repair = "compose with &, | and ~, each side in parentheses; a chain such as 1 <= c <= 5 does not work"
        raise DefinitionError(message, repair=repair)


def _condition(other: object) -> Condition:
    if isinstance(other, Condition):
        return other
    raise DefinitionError(
        f"{other!r} is not a condition",
        repair="put each comparison in parentheses: (value('a') == 1) | (value('a') == 2)",
    )


@dataclass(frozen=True, slots=True)
class Composed(Condition):
    """Two conditions joined by `and` or `or`. The second is not evaluated if the first decides."""

    word: Literal["and", "or"]
    left: Condition
    right: Condition

    @override
    def evaluate(self, view: View) -> tuple[bool, str]:
        held, why = self.left.evaluate(view)
        if held is (self.word == "or"):
            return held, why
        second, more = self.right.evaluate(view)
        return second, f"{why} {self.word} {more}"

    @override
    def parts(self) -> Sequence[Condition]:
        return (self.left, self.right)

    @override
    def __str__(self) -> str:
        return " ".join((_inside(self.left, self.word), self.word, _inside(self.right, self.word)))


def _inside(condition: Condition, word: str) -> str:
    mixed = isinstance(condition, Composed) and condition.word != word
    return f"({condition})" if mixed else str(condition)


@dataclass(frozen=True, slots=True)
class Negated(Condition):
    """The opposite of a condition."""

    of: Condition

    @override
    def evaluate(self, view: View) -> tuple[bool, str]:
        held, why = self.of.evaluate(view)
        return not held, f"not ({why}): {_word(not held)}"

    @override
    def parts(self) -> Sequence[Condition]:
        return (self.of,)

    @override
    def __str__(self) -> str:
        return f"not ({self.of})"


class Quantity(ABC):
    """A value that changes during a run and can be compared: `value("score") >= 7`."""

    __slots__ = ()

    @abstractmethod
    def now(self, view: View) -> object:
        """Return the current value."""

    @abstractmethod
    def __str__(self) -> str:
        """Return its name, as drawn on an edge."""

    def needs(self, source: str) -> Iterable[Tracker]:  # noqa: ARG002 - used by subclasses
        """Return the trackers that it needs on an edge from `source`."""
        return ()

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
        message = f"{self} has no truth value"
        raise DefinitionError(message, repair="compare it, or use .is_true() or .is_none()")

    def _misused(self, other: object) -> NoReturn:
        message = f"{self} is combined with {other!r} before it is compared"
        raise DefinitionError(message, repair="put each comparison in parentheses: (c == 1) | (c == 2)")

    __or__ = __ror__ = __and__ = __rand__ = _misused


class Fact(Quantity):
    """A count, a sum or a time that the engine maintains."""

    __slots__ = ("_name", "_node", "_since")

    def __init__(self, name: str, node: str = "", since: str | None = None) -> None:
        self._name, self._node, self._since = name, node, since

    @property
    def grows(self) -> bool:
        """Whether it only grows. A count since the counted node itself does not."""
        return self._since is None or self._since != self._node

    @property
    def names(self) -> Sequence[str]:
        """The nodes that it refers to."""
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

    @override
    def __str__(self) -> str:
        since = f" since {self._since}" if self._since else ""
        return f"iterations of {self._node}{since}" if self._node else self._name


class Value(Quantity):
    """The value at a path of the state, or the result of a function of fields."""

    __slots__ = ("_field", "measure", "reading")

    def __init__(self, source: Source, measure: Literal["", "length"] = "") -> None:
        self.reading = Reading.of(source)
        self.measure = measure
        path = self.reading.path
        self._field = path.root if path is not None and not path.parts and not measure else ""

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

    def length(self) -> Value:
        """Return its length as a quantity; None if it has none."""
        return Value(self._source(), "length")

    def is_true(self) -> Condition:
        """Return a condition that holds if the value is true in Python's sense."""
        return Comparison(self, "is true", None)

    def is_none(self) -> Condition:
        """Return a condition that holds if the value is None or missing."""
        return Comparison(self, "is none", None)

    def is_in(self, allowed: Iterable[object]) -> Condition:
        """Return a condition that holds if the value is one of these.

        Raises:
            DefinitionError: They are no list, tuple or set of values.
        """
        if isinstance(allowed, str) or not hasattr(allowed, "__iter__"):
            raise DefinitionError(f"{self}.is_in({allowed!r})", repair=f"list the values: is_in([{allowed!r}])")
        values = sorted(allowed, key=steady_text) if isinstance(allowed, AbstractSet) else allowed
        return Comparison(self, "is in", tuple(values))

    def contains(self, item: object) -> Condition:
        """Return a condition that holds if the value, a list, dict or text, contains this item."""
        return Comparison(self, "contains", item)

    def _source(self) -> Source:
        function = self.reading.function
        return function.function if function is not None else self.reading.text

    @override
    def __str__(self) -> str:
        return f"length of {self.reading.text}" if self.measure else self.reading.text


class Comparison(Condition):
    """A quantity compared with a constant."""

    __slots__ = ("_compare", "_kind", "_tail", "_text", "operator", "other", "quantity")

    def __init__(self, quantity: Quantity, sign: str, other: object) -> None:
        if other is None and sign in _ORDER:
            raise DefinitionError(f"{quantity} {sign} None", repair="write .is_none(), or ~ with .is_none()")
        if isinstance(other, Quantity):
            message = f"{quantity} {sign} {other} compares two quantities"
            raise DefinitionError(message, repair="use a function of the fields: when=lambda a, b: a > b")
        if any(map(is_nan, other if isinstance(other, tuple) else (other,))):
            message = f"{quantity} {sign} {other}: NaN equals nothing, and is neither more nor less than a number"
            raise DefinitionError(message, repair="use a function of the fields: when=lambda a: math.isnan(a)")
        self.quantity, self.operator, self.other = quantity, sign, other
        self._text = str(quantity)
        self._tail = sign if sign in ("is true", "is none") else f"{sign} {_value_text(other)}"
        self._compare = _ORDER.get(sign)
        self._kind = None if isinstance(other, decimal.Decimal) else type(other)

    @override
    def evaluate(self, view: View) -> tuple[bool, str]:
        left = self.quantity.now(view)
        note = ""
        compare, other = self._compare, self.other
        if compare is not None:
            if left is None:
                held = False
            else:
                like, other = (left, other) if type(left) is self._kind else alike(left, other)
                try:
                    held = bool(compare(like, other))
                except TypeError:
                    held = False
                    note = f" ({type(left).__name__} cannot be compared with {type(self.other).__name__})"
        else:
            held = self._special(left)
        kind = type(left)
        shown = left if kind is int or kind is float else _value_text(left)
        return held, f"{self._text} {shown} {self._tail}: {'yes' if held else 'no'}{note}"

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

    @override
    def __str__(self) -> str:
        return f"{self._text} {self._tail}"


class Plateau(Condition):
    """A condition that holds if the last `patience` samples were no better than the best before them."""

    __slots__ = ("_key", "min_delta", "mode", "patience", "reading", "since")
    mode: Literal["max", "min"]

    def __init__(
        self, source: Source, patience: int, min_delta: float, mode: Literal["max", "min"], since: str | None
    ) -> None:
        if not patience >= 1 or mode not in ("max", "min") or not min_delta >= 0:
            raise DefinitionError(
                f"plateau(patience={patience}, min_delta={min_delta}, mode={mode!r})",
                repair="patience is 1 or more, min_delta 0 or more, mode 'max' or 'min'",
            )
        self.reading = Reading.of(source)
        self.patience, self.min_delta, self.mode, self.since = patience, min_delta, mode, since
        self._key = f"plateau:{self.reading.text}:{mode}:{min_delta!r}:{since or ''}"

    @override
    def evaluate(self, view: View) -> tuple[bool, str]:
        mark = view.mark(self._key)
        if not mark:
            return False, f"{self.reading.text} has no sample yet: no"
        best, last, stale, *raised = mark
        if raised:
            raise RuntimeError(raised[0])
        if last == best and not stale:
            return False, f"{self.reading.text} {last}, the best so far: no"
        held = stale >= self.patience
        compared = f"{self.reading.text} {last} after a best of {best}"
        return held, f"{compared}, {stale} of {self.patience} without gain: {_word(held)}"

    @override
    def trackers(self, source: str) -> Iterable[Tracker]:
        yield Tracker(self._key, "plateau", self.since or "", "", self.reading, self.mode, self.min_delta)

    @override
    def __str__(self) -> str:
        patience = f" for {self.patience}" if self.patience > 1 else ""
        return f"{self.reading.text} no longer improves{patience}"


@dataclass(frozen=True, slots=True)
class Changed(Condition):
    """A condition that holds if the value differs from when a node was last left."""

    reading: Reading
    since: str | None

    def _key(self, source: str) -> str:
        return f"change:{self.reading.text}:{self.since or source}"

    @override
    def evaluate(self, view: View) -> tuple[bool, str]:
        held = digest_of(self.reading.read(view)) != view.mark(self._key(view.node))
        return held, f"{self}: {_word(held)}"

    @override
    def trackers(self, source: str) -> Iterable[Tracker]:
        yield Tracker(self._key(source), "change", self.since or source, "", self.reading)

    @override
    def __str__(self) -> str:
        return f"{self.reading.text} changed" + (f" since {self.since}" if self.since else "")


@dataclass(frozen=True, slots=True)
class Failed(Condition):
    """A condition that holds if the node failed with one of these exceptions."""

    types: tuple[type[BaseException], ...]

    @override
    def evaluate(self, view: View) -> tuple[bool, str]:
        names = [exception_name(kind) for kind in self.types]
        held = any(name in view.failure for name in names)
        return held, f"failed with {view.failure[0] if view.failure else 'nothing'}, {self}: {_word(held)}"

    @override
    def __str__(self) -> str:
        return "failed with " + " or ".join(kind.__name__ for kind in self.types)


@dataclass(frozen=True, slots=True)
class Function(Condition):
    """A condition that is a function of fields, written by the user."""

    injected: Injected

    @override
    def evaluate(self, view: View) -> tuple[bool, str]:
        result = self.injected.call(view)
        if isinstance(result, Iterator):
            raise TypeError("it returned an iterator, which is true even if it is empty: wrap it in any(…) or all(…)")
        held = bool(result)
        return held, f"{self.injected.name}: {_word(held)}"

    @override
    def __str__(self) -> str:
        return self.injected.name


def value(source: Source) -> Value:
    """Return the value at a path of the state, or of a pure function of its fields, to be compared.

    Args:
        source: A path such as `"review.score"`, or a function whose parameters name fields.

    >>> str(value("review.score") >= 7)
    'review.score >= 7'
    """
    return Value(source)


def iterations(node: str | AnyFunction[object], since: str | AnyFunction[object] | None = None) -> Fact:
    """Return how often a node was completed, this visit included.

    Args:
        node: The node whose visits count, given as in `add_edge`; attempts do not.
        since: Count from the last completed visit of this node; from the start if there was none.

    >>> str(iterations("review") >= 3)
    'iterations of review >= 3'
    """
    return Fact("iterations", named_node(node, _OF, ""), since and named_node(since, _OF, ""))


def usage(what: Literal["cost_usd", "tokens", "calls"]) -> Fact:
    """Return what model calls used so far: `"cost_usd"` (US dollars; None while unknown), `"tokens"` or `"calls"`.

    >>> str(usage("cost_usd") > 0.5)
    'cost_usd > 0.5'
    """
    if what not in ("cost_usd", "tokens", "calls"):
        raise DefinitionError(f"usage({what!r}) is not recorded", repair="use 'cost_usd', 'tokens' or 'calls'")
    return Fact(what)


def elapsed_seconds() -> Fact:
    """Return how long a run was driven so far, in seconds; waiting does not count.

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
    """Return a condition that holds if a number no longer improves.

    Args:
        source: The path or function of fields that returns the number. Each step that writes the field takes a sample.
        patience: How many samples in a row must be no better than the best before them.
        min_delta: A sample counts as better only if it is better by more than this.
        mode: Whether larger (`"max"`) or smaller (`"min"`) is better.
        since: Start over with each visit of this node.

    >>> str(plateau("score"))
    'score no longer improves'
    """
    return Plateau(source, patience, min_delta, mode, since and named_node(since, _OF, ""))


def changed(source: Source, since: str | AnyFunction[object] | None = None) -> Condition:
    """Return a condition that holds if a value changed since the edge's node (or `since`) was last left.

    Until then, the value is compared with its default.

    >>> str(changed("draft", since="review"))
    'draft changed since review'
    """
    return Changed(Reading.of(source), since and named_node(since, _OF, ""))


def failed(*types: type[BaseException]) -> Condition:
    """Return a condition that holds if the node failed with one of these exceptions, after retries, without a fallback.

    `failed(Exception)` does not hold after `sys.exit()` in a node's code, `failed(SystemExit)` does.

    >>> str(failed(ValueError, KeyError))
    'failed with ValueError or KeyError'
    """
    given: tuple[object, ...] = types
    if not given or not all(isinstance(kind, type) and issubclass(kind, BaseException) for kind in given):
        raise DefinitionError(
            f"failed{types!r}", repair="give exception types: failed(TimeoutError), failed(Exception)"
        )
    return Failed(types)


def as_condition(given: object) -> Condition:
    """Return a condition unchanged, and wrap a function as one.

    Raises:
        DefinitionError: It is neither.
    """
    if isinstance(given, Condition):
        return given
    if isinstance(given, Quantity):
        raise DefinitionError(f"{given} is not compared with anything", repair="compare it, or use .is_true()")
    if getattr(given, "__module__", "") == __name__ and callable(given):
        name = getattr(given, "__name__", given)
        raise DefinitionError(f"{name} itself is no condition", repair=f"call it: {name}(…)")
    if callable(given):
        return Function(Injected.of(given))
    repair = "use value(…) >= …, failed(…), or a function of fields"
    raise DefinitionError(f"{given!r} is not a condition", repair=repair)


def exception_name(kind: type[BaseException]) -> str:
    """Return the name by which exceptions of this type are recorded and matched."""
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def compares_fields(condition: Condition) -> bool:
    """Return whether a condition only compares paths of the state with constants."""
    return all(
        isinstance(leaf, Comparison) and isinstance(leaf.quantity, Value) and leaf.quantity.reading.path is not None
        for leaf in condition.leaves()
    )


def is_on_failure(condition: Condition) -> bool:
    """Return whether an edge with this condition is considered after a failure, and only then."""
    if isinstance(condition, Failed):
        return True
    if isinstance(condition, Composed):
        left, right = is_on_failure(condition.left), is_on_failure(condition.right)
        return (left and right) if condition.word == "or" else (left or right)
    return False


def mentions_failure(condition: Condition) -> bool:
    """Return whether `failed(…)` occurs anywhere in a condition."""
    return any(isinstance(leaf, Failed) for leaf in condition.leaves())


def _count_key(node: str, since: str | None) -> str:
    return f"count:{node}:{since}"


def _word(held: bool) -> str:  # noqa: FBT001
    return "yes" if held else "no"


def _value_text(content: object) -> str:
    if isinstance(content, enum.Enum):
        content = content.value
    if isinstance(content, (list, tuple, dict, set)) and len(content) > 8:  # noqa: PLR2004 - a line, not a page
        return f"{type(content).__name__} of {len(content)}"
    return clipped(steady_text(content), 80)
