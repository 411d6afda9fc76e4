"""Random graphs as specs, and random scripts of the outcomes of their nodes.

Everything is drawn from a `random.Random`: a seed makes thousands of cases in seconds, and `cases` hands hypothesis
the same draws to search and shrink.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

from hypothesis import strategies as st

from tests.kit.spec import FIELDS, Case, Cond, EdgeSpec, NodeSpec, Outcome, Spec, SwitchSpec

NUMBERS = ("n", "score", "log[-1]", "many[-1]", "total", "best", "table[a]", "slots[k]")
LISTS = ("log", "many", "seen", "capped", "table", "memos")
SIGNS = (">=", "<=", ">", "<", "==", "!=")
PRESENT = ("value", "value", "kind", "length", "true", "in", "contains")
PAST = (
    "iterations",
    "plateau",
    "plateau",
    "changed",
    "iterations",
    "plateau",
    "changed",
    "elapsed",
    "usage",
    "function",
)


def cases(*, crashes: bool = True) -> st.SearchStrategy[Case]:
    """Return cases that hypothesis can shrink."""
    return st.builds(
        lambda random, size: case(random, size, crashes=crashes),
        st.randoms(use_true_random=False),
        st.integers(1, 8),
    )


def case(random: Random, size: int, *, crashes: bool = True) -> Case:
    """Return a graph with this many nodes and its outcomes."""
    return Case(spec(random, size), script(random, crashes=crashes), limits(random), state(random))


def spec(random: Random, size: int) -> Spec:
    """Return a graph that compiles: each node can be reached and can reach END."""
    names = tuple(f"n{i}" for i in range(size))
    made = tuple(node(random, name) for name in names)
    edges: list[EdgeSpec | SwitchSpec] = []
    if random.random() < 0.3:
        edges.append(EdgeSpec("START", random.choice((*names, "END", "FAIL")), condition(random, names), "begin"))
    start = None if random.random() < 0.9 else condition(random, names)
    edges.append(EdgeSpec("START", names[0], start))
    for name, following in zip(names, (*names[1:], "END"), strict=True):
        edges += outgoing_edges(random, name, names, following)
    return Spec(made, tuple(edges), random.random() < 0.5, random.random() < 0.3)


def node(random: Random, name: str, allowed: Sequence[str] = FIELDS, keys: Sequence[str] = "kl") -> NodeSpec:
    """Return a node that writes some of these fields and keys of `slots`, with its retries and fallback."""
    form = random.choice(("field", "field", "some", "parts", "key", "pass"))
    if form == "pass" or (form == "key" and not keys):
        return NodeSpec(name, "pass")
    fields: tuple[str, ...] = (random.choice(keys),) if form == "key" else (random.choice(allowed),)
    if form in ("some", "parts"):
        fields = tuple(random.sample(allowed, random.randint(1, 4)))
    return NodeSpec(
        name,
        form,
        fields,
        random.choice((1, 2, 3)),
        random.choice((0.0, 1.0, 2.0)),
        random.choice((0.0, 0.5)),
        random.choice(("any", "any", "boom", "slow")),
        random.choice(("", "", "value", "bad value", "function")),
        random.randint(0, 12),
        memo=random.choice(("", "", "k", "l")),
    )


def outgoing_edges(random: Random, name: str, names: Sequence[str], following: str) -> list[EdgeSpec | SwitchSpec]:
    """Return the outgoing edges of a node: conditions, a switch, edges for failures, and a last one."""

    def target() -> str:
        return random.choice((*names, *names, *names, "END", "FAIL"))

    found: list[EdgeSpec | SwitchSpec] = [
        EdgeSpec(name, target(), condition(random, names), f"edge {i}") for i in range(random.choice((0, 1, 1, 2, 3)))
    ]
    if random.random() < 0.3:
        found.append(SwitchSpec(name, "n", tuple((n, target()) for n in random.choice(((1, 2), (0, 3, 4))))))
    for i in range(random.choice((0, 1, 2))):
        when: Cond = ("failed", *random.sample(("boom", "slow", "any", "os"), random.randint(1, 2)))
        if random.random() < 0.4:
            when = ("and", when, condition(random, names))
        found.insert(random.randint(0, len(found)), EdgeSpec(name, target(), when, f"failure {i}"))
    last = random.random()
    if last < 0.1:
        found.append(EdgeSpec(name, following, ("value", "n", "<", 10), "maybe"))
    elif last < 0.4:
        found += [EdgeSpec(name, following, condition(random, names), "on"), EdgeSpec(name, target())]
    else:
        found.append(EdgeSpec(name, following))
    return found


def condition(random: Random, names: Sequence[str], kinds: Sequence[str] = PRESENT + PAST, depth: int = 2) -> Cond:
    """Return a condition of any kind that applies after success."""
    if depth and random.random() < 0.35:
        word = random.choice(("and", "or", "not"))
        parts = [condition(random, names, kinds, depth - 1) for _ in range(1 if word == "not" else 2)]
        return (word, *parts)
    return _leaf(random, names, random.choice(kinds))


def _leaf(random: Random, names: Sequence[str], kind: str) -> Cond:
    number, sign, small = random.choice(NUMBERS), random.choice(SIGNS), random.randint(0, 6)
    since = random.choice((None, None, *names))
    leaves: dict[str, tuple[Any, ...]] = {
        "value": (number, sign, small),
        "length": (random.choice(LISTS), sign, small // 2),
        "true": (number,),
        "in": ("n", (1, 2, 3)),
        "contains": ("log", small),
        "iterations": (random.choice(names), since, sign, small // 2),
        "plateau": (
            random.choice(("score", "n", "log[-1]", "total", "best")),
            random.choice((1, 1, 2)),
            random.choice((0.0, 0.5, 1.0)),
            random.choice(("max", "min")),
            since,
        ),
        "changed": (random.choice((*NUMBERS, *LISTS)), since),
        "elapsed": (sign, small),
        "usage": (random.choice(("tokens", "cost_usd")), sign, small),
        "function": (random.choice("fgh"), random.randint(2, 5)),
    }
    if kind == "kind":
        return ("value", "kind", random.choice(("==", "!=")), random.choice("abc"))
    if kind == "true" and random.random() < 0.5:
        return ("none", number)
    return (kind, *leaves[kind])


def script(random: Random, *, crashes: bool = True) -> list[Outcome]:
    """Return the outcomes of many attempts, most of them successful."""
    kinds = (
        ["ok"] * 14
        + ["bad", "boom", "boom", "slow"]
        + (["crash", "crash", "stop", "branch", "branch"] if crashes else [])
    )
    if crashes and random.random() < 0.1:
        kinds += ["crash"] * 20
    return [
        Outcome(
            random.choice(kinds),
            random.randint(0, 12),
            random.randint(0, 3),
            random.choice((0.0, 0.5, 1.0)),
            random.choice((0, 0, 0, 1, 3, 7)),
        )
        for _ in range(random.randint(0, 25))
    ]


def state(random: Random) -> dict[str, Any]:
    """Return a part of the initial state."""
    values: dict[str, Any] = {"n": 4, "score": 2.0, "kind": "b", "log": [3], "table": {"a": 2}, "best": 3, "total": 2}
    return {name: values[name] for name in values if random.random() < 0.15}


def limits(random: Random) -> list[dict[str, float]]:
    """Return the limits of a start and of up to three resumes, which always end a run."""
    found: list[dict[str, float]] = []
    for i in range(random.randint(1, 4)):
        limit: dict[str, float] = {"visits": 6 + 8 * i}
        if random.random() < 0.25:
            limit[random.choice(("seconds", "tokens", "cost_usd"))] = random.randint(2, 20)
        found.append(limit)
    return found
