"""Random graphs as specs, and random scripts of what comes of their nodes.

Everything is drawn from a `random.Random`: a seed makes thousands of cases in seconds, and `cases` hands hypothesis
the same draws to search and shrink.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

from hypothesis import strategies as st

from tests.kit.spec import FIELDS, Case, Cond, NodeSpec, Outcome, Spec, SwitchSpec, WaySpec

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
    """Cases that hypothesis can shrink."""
    return st.builds(
        lambda random, size: case(random, size, crashes=crashes),
        st.randoms(use_true_random=False),
        st.integers(1, 8),
    )


def case(random: Random, size: int, *, crashes: bool = True) -> Case:
    """A graph of so many nodes with what comes of it."""
    return Case(spec(random, size), script(random, crashes=crashes), limits(random), state(random))


def spec(random: Random, size: int) -> Spec:
    """A graph that compiles: each node can be reached and can reach END."""
    names = tuple(f"n{i}" for i in range(size))
    made = tuple(node(random, name) for name in names)
    ways: list[WaySpec | SwitchSpec] = []
    if random.random() < 0.3:
        ways.append(WaySpec("START", random.choice((*names, "END", "FAIL")), condition(random, names), "begin"))
    start = None if random.random() < 0.9 else condition(random, names)
    ways.append(WaySpec("START", names[0], start))
    for name, following in zip(names, (*names[1:], "END"), strict=True):
        ways += ways_out(random, name, names, following)
    return Spec(made, tuple(ways), random.random() < 0.5, random.random() < 0.3)


def node(random: Random, name: str, allowed: Sequence[str] = FIELDS, keys: Sequence[str] = "kl") -> NodeSpec:
    """A node with its ways to write, to these fields and keys of `slots`, and to fail."""
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


def ways_out(random: Random, name: str, names: Sequence[str], following: str) -> list[WaySpec | SwitchSpec]:
    """The ways out of a node: conditions, a switch, ways for failures, and how it goes on otherwise."""

    def target() -> str:
        return random.choice((*names, *names, *names, "END", "FAIL"))

    found: list[WaySpec | SwitchSpec] = [
        WaySpec(name, target(), condition(random, names), f"way {i}") for i in range(random.choice((0, 1, 1, 2, 3)))
    ]
    if random.random() < 0.3:
        found.append(SwitchSpec(name, "n", tuple((n, target()) for n in random.choice(((1, 2), (0, 3, 4))))))
    for i in range(random.choice((0, 1, 2))):
        when: Cond = ("failed", *random.sample(("boom", "slow", "any", "os"), random.randint(1, 2)))
        if random.random() < 0.4:
            when = ("and", when, condition(random, names))
        found.insert(random.randint(0, len(found)), WaySpec(name, target(), when, f"failure {i}"))
    last = random.random()
    if last < 0.1:
        found.append(WaySpec(name, following, ("value", "n", "<", 10), "maybe"))
    elif last < 0.4:
        found += [WaySpec(name, following, condition(random, names), "on"), WaySpec(name, target())]
    else:
        found.append(WaySpec(name, following))
    return found


def condition(random: Random, names: Sequence[str], kinds: Sequence[str] = PRESENT + PAST, depth: int = 2) -> Cond:
    """A condition of success of any kind."""
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
    """What comes of many attempts; mostly good."""
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
    """Some of the state to begin with."""
    values: dict[str, Any] = {"n": 4, "score": 2.0, "kind": "b", "log": [3], "table": {"a": 2}, "best": 3, "total": 2}
    return {name: values[name] for name in values if random.random() < 0.15}


def limits(random: Random) -> list[dict[str, float]]:
    """The limits of a start and of up to three resumes, which always end a run."""
    found: list[dict[str, float]] = []
    for i in range(random.randint(1, 4)):
        limit: dict[str, float] = {"steps": 6 + 8 * i}
        if random.random() < 0.25:
            limit[random.choice(("seconds", "tokens", "cost_usd"))] = random.randint(2, 20)
        found.append(limit)
    return found
