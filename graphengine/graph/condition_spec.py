"""Conditions as data, as a graph's spec has them, and the only place where they are put into words.

A spec says what a condition reads, compares and with which constant. With what a step recorded of it (`Found`), that
makes a sentence such as `score 6 >= 7: no`. Nothing reads these words: readers of a run use the data.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Literal, NotRequired, TypeAlias, TypedDict, TypeGuard

from msgspec import convert

from graphengine.state.json_values import clipped
from graphengine.state.measured import Found, Leaf, Measured, Samples, Shown
from graphengine.state.plain_text import plain_text

Operator: TypeAlias = Literal[
    ">=",
    "<=",
    ">",
    "<",
    "==",
    "!=",
    "is in",
    "contains",
    "is true",
    "is none",
    "plateau",
    "changed",
    "failed",
    "ended",
    "function",
    "and",
    "or",
    "not",
]


class MadeOf(TypedDict, total=False):
    """Describes, in the JSON description of a graph, what a condition compares if that is not a field of the state.

    Only the key that applies is set, except that `since` may accompany `visits`.

    Attributes:
        visits: The name of a node, if the quantity is how often this node has completed.
        since: If visits are counted only since another node last completed: the name of that node.
        usage: The name of an amount that the engine sums up, such as `cost_usd` for the cost of model calls, or
            `elapsed_seconds` for the driven time.
        function: The name of a function, if the quantity is the result of the function.
        length: If the quantity is a length: what has this length.
    """

    visits: str
    since: str
    usage: str
    function: str
    length: QuantitySpec


QuantitySpec: TypeAlias = "str | MadeOf"
"""What is measured: a text is a path of the state."""

ConditionSpec = TypedDict(
    "ConditionSpec",
    {
        "is": Operator,
        "of": NotRequired[QuantitySpec],
        "than": NotRequired[object],
        "parts": NotRequired["Sequence[ConditionSpec]"],
        "names": NotRequired[Sequence[str]],
        "mode": NotRequired[Literal["max", "min"]],
        "patience": NotRequired[int],
        "min_delta": NotRequired[float],
        "since": NotRequired[str],
    },
)
"""A condition.

`is`: what it tests. `of`: what it measures. `than`: the constant, as `Measured` records it. `parts`: of `and`, `or` and
`not`. `names`: the exceptions of `failed`, the labels of `ended`. The others are those of `plateau` and `changed`.
"""

_COMPOSED: Final = ("and", "or", "not")
_DEEPEST: Final = 40
_SIGNS: Final = frozenset((">=", "<=", ">", "<", "==", "!="))
_SHOWN: Final = 80


def _parts_of_condition(spec: ConditionSpec) -> Sequence[ConditionSpec]:
    return spec.get("parts", ())


def check_condition(spec: ConditionSpec, deep: int = 0) -> None:
    """Check that a condition read from the JSON description of a graph is complete.

    Raises:
        ValueError: A part or a constant is missing or wrong, or the condition is nested too deeply.
    """
    if deep > _DEEPEST:
        message = f"its parts are nested more than {_DEEPEST} levels deep"
        raise ValueError(message)
    parts, least = spec.get("parts", ()), {"and": 2, "or": 2, "not": 1}.get(spec["is"], 0)
    if len(parts) < least or (spec["is"] == "not" and len(parts) > 1):
        needed = "1" if spec["is"] == "not" else f"{least} or more"
        message = f"a condition {spec['is']!r} has {len(parts)} parts, but needs {needed}"
        raise ValueError(message)
    if spec["is"] not in _COMPOSED and not ("names" in spec or quantity_text(spec.get("of", ""))):
        message = f"a condition {spec['is']!r} does not say which value it tests: 'of' is missing"
        raise ValueError(message)
    than = spec.get("than")
    if isinstance(than, (dict, list)):
        convert(than, Shown)
    for part in parts:
        check_condition(part, deep + 1)


def quantity_text(of: QuantitySpec) -> str:
    """Return the text that describes the quantity which a condition compares.

    >>> quantity_text({"visits": "review", "since": "plan"})
    'iterations of review since plan'
    """
    if isinstance(of, str):
        return of
    if "length" in of:
        return f"length of {quantity_text(of['length'])}"
    counted = _visits_text(of)
    return f"iterations of {counted}" if counted else of.get("usage") or of.get("function") or ""


def _visits_text(of: QuantitySpec) -> str:
    """Return the node whose visits a condition counts, and since which node; "" if it counts no visits."""
    if isinstance(of, str) or "visits" not in of:
        return ""
    return of.get("visits", "") + (f" since {of.get('since')}" if of.get("since") else "")


def value_text(measured: object) -> str:
    """Format a value that was recorded when a condition was evaluated, as text on one line.

    >>> value_text("done"), value_text(7)
    ("'done'", '7')
    """
    if isinstance(measured, Mapping):  # of a spec that was read back
        measured = Shown(**{name: each for name, each in measured.items() if name != "is"})
    if not isinstance(measured, Shown):
        return clipped(repr(measured), _SHOWN)
    if measured.items:
        return f"{measured.type} of {measured.items}"
    return clipped(repr(measured.text) if measured.type == "str" else plain_text(measured.text), _SHOWN)


def condition_text(spec: ConditionSpec) -> str:
    """Write a condition as text, as it is shown on an edge of the drawn graph.

    >>> condition_text({"is": ">=", "of": "score", "than": 7})
    'score >= 7'
    """
    test, of = spec["is"], quantity_text(spec.get("of", ""))
    if test in ("and", "or"):
        return f" {test} ".join(_name_in_part(part, test) for part in _parts_of_condition(spec))
    if test == "not":
        return f"not ({condition_text(_parts_of_condition(spec)[0])})"
    return f"{of} {_test_text(spec)}".strip()


def _test_text(spec: ConditionSpec) -> str:
    """Write as text a condition that contains no `and`, `or` or `not`, such as `score >= 7`."""
    test, patience, names = spec["is"], spec.get("patience", 1), spec.get("names", ())
    texts: dict[str, str] = {
        "function": "",
        "is true": test,
        "is none": test,
        "plateau": "no longer improves" + (f" for {patience}" if patience > 1 else ""),
        "changed": test + (f" since {spec.get('since')}" if spec.get("since") else ""),
        "failed": "failed with " + " or ".join(name.rpartition(".")[2] for name in names),
        "ended": f"ended {' or '.join(map(repr, names))}",
    }
    return texts[test] if test in texts else f"{test} {value_text(spec.get('than'))}"


def leaves_of(spec: ConditionSpec) -> Iterator[ConditionSpec]:
    """Yield the simple conditions of which a condition with `and`, `or` and `not` consists, from left to right."""
    if spec["is"] not in _COMPOSED:
        yield spec
        return
    for part in _parts_of_condition(spec):
        yield from leaves_of(part)


def compared_in(spec: ConditionSpec, found: Found) -> Iterator[tuple[str, int | float]]:
    """Yield the numbers that an evaluated condition compared with constants, each with the path of its field.

    For the condition `score >= 7` and a score of 6, this is `("score", 6)`. Parts of the condition that were not
    evaluated are left out.
    """
    evaluated: list[tuple[ConditionSpec, Measured]] = []
    if spec["is"] in _COMPOSED:
        _evaluate(spec, iter(_as_leaves(found)), evaluated)
    else:
        evaluated.append((spec, found))  # type: ignore[arg-type]
    for leaf, measured in evaluated:
        of, than = leaf.get("of"), leaf.get("than")
        if leaf["is"] in _SIGNS and isinstance(of, str) and _is_number(measured) and _is_number(than):
            yield of, measured


def _evaluate(spec: ConditionSpec, leaves: Iterator[Leaf], into: list[tuple[ConditionSpec, Measured]]) -> bool:
    """Return whether a condition held, computed again from the values that were recorded when it was evaluated.

    Each simple condition that was evaluated is added to `into`, with the value that it compared. Parts that were not
    evaluated, because an earlier part of an `and` or `or` decided the outcome, are left out.
    """
    test = spec["is"]
    if test not in _COMPOSED:
        leaf = next(leaves, None)
        if leaf is not None:
            into.append((spec, leaf.measured))
        return leaf is not None and leaf.held
    held = _evaluate(_parts_of_condition(spec)[0], leaves, into)
    if test == "not":
        return not held
    for part in _parts_of_condition(spec)[1:]:
        if held is (test == "or"):
            break
        held = _evaluate(part, leaves, into)
    return held


def _as_leaves(found: Found) -> Sequence[Leaf]:
    return found if isinstance(found, Sequence) and not isinstance(found, str) else ()


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _name_in_part(part: ConditionSpec, word: str) -> str:
    text = condition_text(part)
    return f"({text})" if part["is"] in ("and", "or") and part["is"] != word else text


def sentence(spec: ConditionSpec, found: Found, *, held: bool, source: str = "") -> str:
    """Describe the outcome of a condition and the values that decided it, such as `score 6 >= 7: no`.

    Args:
        spec: The condition.
        found: The recorded values.
        held: Whether the condition was true.
        source: The node that the edge with the condition leaves.
    """
    if spec["is"] not in _COMPOSED:
        return _simple(spec, found, source, held=held)  # type: ignore[arg-type]
    return _compose_sentence(spec, iter(_as_leaves(found)), source)[1]


def _compose_sentence(spec: ConditionSpec, leaves: Iterator[Leaf], source: str) -> tuple[bool, str]:
    """Describe the outcome of a condition with `and`, `or` and `not`, such as `score 6 >= 7: no or cost 2 > 1: yes`.

    Return whether the condition held, and the description. Parts that were not evaluated, because an earlier part
    decided the outcome, are left out.
    """
    test = spec["is"]
    if test not in _COMPOSED:
        leaf = next(leaves, None)
        if leaf is None:
            return False, condition_text(spec)
        return leaf.held, _simple(spec, leaf.measured, source, held=leaf.held)
    held, why = _compose_sentence(_parts_of_condition(spec)[0], leaves, source)
    if test == "not":
        return not held, f"not ({why}): {_word(not held)}"
    for part in _parts_of_condition(spec)[1:]:
        if held is (test == "or"):
            break
        held, more = _compose_sentence(part, leaves, source)
        why = f"{why} {test} {more}"
    return held, why


_OPPOSITE: Final[Mapping[str, Operator]] = {">=": "<", "<": ">=", ">": "<=", "<=": ">", "==": "!=", "!=": "=="}
_NEEDED: Final = {
    ">=": "at least {}",
    ">": "more than {}",
    "<=": "at most {}",
    "<": "less than {}",
    "==": "{}",
    "!=": "another value than {}",
}


def plain_sentences(spec: ConditionSpec, found: Found, *, held: bool) -> Sequence[str]:
    """Explain the outcome of a condition to people who do not read code, with one sentence for each simple condition.

    A sentence about a number says how much is missing.

    >>> plain_sentences({"is": ">=", "of": "score", "than": 7.0}, 6.5, held=False)
    ['score is 6.5, at least 7.0 is needed: 0.5 too little']

    Args:
        spec: The condition.
        found: The recorded values.
        held: Whether the condition was true.
    """
    if spec["is"] not in _COMPOSED:
        return [_plain_leaf(spec, found, held=held)]  # type: ignore[arg-type]
    return _plain_composed(spec, iter(_as_leaves(found)), is_denied=False)[1]


def _plain_composed(spec: ConditionSpec, leaves: Iterator[Leaf], *, is_denied: bool) -> tuple[bool, Sequence[str]]:
    """Explain the outcome of a condition with `and`, `or` and `not` in plain sentences.

    Return whether the condition held, and the sentences of the parts that decided the outcome. `is_denied` is True
    inside a `not`; each sentence then explains the opposite condition, such as `<` in place of `>=`.
    """
    test = spec["is"]
    if test not in _COMPOSED:
        leaf = next(leaves, None)
        if leaf is None:
            return False, [condition_text(spec)]
        opposite = _OPPOSITE.get(test) if is_denied else None
        if opposite is not None:
            turned: ConditionSpec = {**spec, "is": opposite}
            return leaf.held, [_plain_leaf(turned, leaf.measured, held=not leaf.held)]
        return leaf.held, [_plain_leaf(spec, leaf.measured, held=leaf.held)]
    if test == "not":
        held, words = _plain_composed(_parts_of_condition(spec)[0], leaves, is_denied=not is_denied)
        return not held, words
    held, words = _plain_composed(_parts_of_condition(spec)[0], leaves, is_denied=is_denied)
    sentences = [(held, words)]
    for part in _parts_of_condition(spec)[1:]:
        if held is (test == "or"):
            break
        held, words = _plain_composed(part, leaves, is_denied=is_denied)
        sentences.append((held, words))
    return held, [sentence for each, words in sentences if each is held for sentence in words]


def _plain_leaf(spec: ConditionSpec, measured: Measured, *, held: bool) -> str:
    test, of, than = spec["is"], quantity_text(spec.get("of", "")), spec.get("than")
    value = value_text(measured)
    if isinstance(measured, Shown) and measured.unlike:
        return _simple(spec, measured, "", held=held)
    if test in _NEEDED:
        return _plain_number(spec, measured, held=held)
    if test in ("is in", "contains"):
        word = {"is in": ("is", "is not"), "contains": ("contains", "does not contain")}[test][not held]
        inside = f"{value} {word} in" if test == "is in" else f"{value} {word}"
        return f"{of} {inside} {value_text(than)}"
    if test in ("is true", "is none"):
        text = value.lower() if isinstance(measured, bool) else value
        is_said = held or measured is False
        return f"{of} is {text}" + ("" if is_said else f", {'no value' if test == 'is none' else 'true'} is needed")
    if test in ("changed", "failed", "ended"):
        text = _plain_event(spec, measured, held=held)
    elif test == "plateau" and isinstance(measured, Samples):  # whether it held is in the words
        text = f"{of} is {_describe_samples(measured, spec.get('patience', 1))}"
    else:
        text = _simple(spec, measured, "", held=held)
    return text


def _plain_event(spec: ConditionSpec, measured: Measured, *, held: bool) -> str:
    """Explain in a plain sentence the outcome of a condition on an event.

    Such a condition asks whether a value has changed, whether a node failed, or with which label a subgraph ended.
    """
    if spec["is"] == "changed":
        since = f" since {spec.get('since')}" if spec.get("since") else ""
        return f"{quantity_text(spec.get('of', ''))} has {'' if held else 'not '}changed{since}"
    names = spec.get("names", ())
    if spec["is"] == "failed":
        needed = " or ".join(name.rpartition(".")[2] for name in names)
        text = f"it failed with {measured}" if measured else "it did not fail"
    else:
        needed = " or ".join(map(repr, names))
        text = f"it ended {measured!r}" if measured else "it ended without a label"
    return text if held else f"{text}, {needed} is needed"


def _plain_number(spec: ConditionSpec, measured: Measured, *, held: bool) -> str:
    test, of, than = spec["is"], quantity_text(spec.get("of", "")), spec.get("than")
    value, wanted = value_text(measured), value_text(than)
    visits = _visits_text(spec.get("of", ""))
    if visits and test in (">=", ">"):
        needed = f"from visit {wanted} on" if test == ">=" else f"after visit {wanted}"
        return f"visit {value} of {visits}" + ("" if held else f", this way is taken {needed}")
    if held:
        return f"{of} is {value}" + (f", {_NEEDED[test].format(wanted)} was needed" if value != wanted else "")
    missed = "" if test in ("==", "!=") else _describe_miss(measured, than)
    return f"{of} is {value}, {_NEEDED[test].format(wanted)} is needed{missed}"


def _describe_miss(measured: Measured, than: object) -> str:
    """Return by how much a number misses what was needed, such as `0.5 too little`."""
    if not _is_number(measured) or not _is_number(than) or measured == than:
        return ""
    return f": {abs(than - measured):.6g} too {'little' if measured < than else 'much'}"


def _simple(spec: ConditionSpec, measured: Measured, source: str, *, held: bool) -> str:
    test, of, answer = spec["is"], quantity_text(spec.get("of", "")), _word(held)
    if test == "plateau":
        return _plateau(of, measured, spec.get("patience", 1), answer)
    if test in ("changed", "function"):
        found = condition_text(spec)
    elif test == "failed":
        found = f"failed with {measured or 'nothing'}, {condition_text(spec)}"
    elif test == "ended":
        found = f"{source} {f'ended {measured!r}' if measured else 'ended without a label'}"
    else:
        found = f"{of} {value_text(measured)} {_test_text(spec)}"
    if not isinstance(measured, Shown) or not measured.unlike:
        return f"{found}: {answer}"
    than = spec.get("than")
    kind = than["type"] if isinstance(than, Mapping) else type(than).__name__
    return f"{found}: {answer} ({measured.type} cannot be compared with {kind})"


def _plateau(of: str, measured: Measured, patience: int, answer: str) -> str:
    if not isinstance(measured, Samples):
        return f"{of} has no sample yet: no"
    return f"{of} {_describe_samples(measured, patience)}: {answer}"


def _describe_samples(measured: Samples, patience: int) -> str:
    """Describe the values that a plateau condition has seen, such as `6 after a best of 8, 2 of 3 without gain`."""
    last, best, stale = str(measured.last), str(measured.best), measured.stale
    if last == best and not stale:
        return f"{last}, the best so far"
    return f"{last} after a best of {best}, {stale} of {patience} without gain"


def _word(held: bool) -> str:  # noqa: FBT001
    return "yes" if held else "no"
