"""Strategies: random graphs as specs, and random scripts of what comes of their nodes."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.support.spec import FIELDS, Cond, NodeSpec, Outcome, Spec, SwitchSpec, WaySpec

NUMBERS = ("n", "score", "log[-1]", "many[-1]", "total", "best", "table[a]", "slots[k]")
LISTS = ("log", "many", "seen", "capped", "table")
SIGNS = (">=", "<=", ">", "<", "==", "!=")


def conditions(names: tuple[str, ...], *, past: bool = True, functions: bool = True) -> st.SearchStrategy[Cond]:
    """Conditions of success; `past` allows those that look back, `functions` those that may raise."""
    small = st.integers(0, 6)
    signs = st.sampled_from(SIGNS)
    node = st.sampled_from(names)
    since = st.none() | node
    leaves: list[st.SearchStrategy[Any]] = [
        st.tuples(st.just("value"), st.sampled_from(NUMBERS), signs, small),
        st.tuples(st.just("value"), st.just("kind"), st.sampled_from(("==", "!=")), st.sampled_from("abc")),
        st.tuples(st.just("length"), st.sampled_from(LISTS), signs, small),
        st.tuples(st.sampled_from(("true", "none")), st.sampled_from(NUMBERS)),
        st.tuples(st.just("in"), st.just("n"), st.just((1, 2, 3))),
        st.tuples(st.just("contains"), st.just("log"), small),
    ]
    if past:
        leaves += [
            st.tuples(st.just("iterations"), node, since, signs, small),
            plateaus(since),
            plateaus(since),
            st.tuples(st.just("changed"), st.sampled_from((*NUMBERS, *LISTS)), since),
            st.tuples(st.just("elapsed"), signs, small),
            st.tuples(st.just("usage"), st.sampled_from(("tokens", "cost_usd")), signs, small),
        ]
    if functions:
        leaves.append(st.tuples(st.just("function"), st.sampled_from("fgh"), st.integers(2, 5)))
    return st.recursive(
        st.one_of(leaves),
        lambda part: st.tuples(st.sampled_from(("and", "or")), part, part) | st.tuples(st.just("not"), part),
        max_leaves=3,
    )


def plateaus(since: st.SearchStrategy[str | None]) -> st.SearchStrategy[Cond]:
    """Plateaus of a number."""
    return st.tuples(
        st.just("plateau"),
        st.sampled_from(("score", "n", "log[-1]", "total", "best")),
        st.integers(1, 2),
        st.sampled_from((0.0, 0.5, 1.0)),
        st.sampled_from(("max", "min")),
        since,
    )


@st.composite
def nodes(draw: st.DrawFn, name: str) -> NodeSpec:
    """A node with its ways to write and to fail."""
    form = draw(st.sampled_from(("field", "field", "some", "parts", "key", "pass")))
    if form == "pass":
        return NodeSpec(name, form)
    if form == "key":
        fields: tuple[str, ...] = (draw(st.sampled_from("kl")),)
    elif form == "field":
        fields = (draw(st.sampled_from(FIELDS)),)
    else:
        fields = tuple(draw(st.lists(st.sampled_from(FIELDS), min_size=1, max_size=4, unique=True)))
    return NodeSpec(
        name,
        form,
        fields,
        draw(st.integers(1, 3)),
        draw(st.sampled_from((0.0, 1.0, 2.0))),
        draw(st.sampled_from((0.0, 0.5))),
        draw(st.sampled_from(("any", "boom", "slow"))),
        draw(st.sampled_from(("", "", "value", "bad value", "function"))),
        draw(st.integers(0, 12)),
    )


@st.composite
def specs(draw: st.DrawFn) -> Spec:
    """Graphs of 1 to 8 nodes that compile: each node can be reached and can reach END."""
    count = draw(st.integers(1, 8))
    names = tuple(f"n{i}" for i in range(count))
    made = [draw(nodes(name)) for name in names]
    ways: list[WaySpec | SwitchSpec] = []
    if draw(st.booleans()):
        target = draw(st.sampled_from((*names, "END")))
        ways.append(WaySpec("START", target, draw(conditions(names, past=False, functions=False)), "begin"))
    ways.append(WaySpec("START", names[0]))
    for i, name in enumerate(names):
        following = names[i + 1] if i + 1 < count else "END"
        ways += draw(ways_out(name, names, following))
    return Spec(tuple(made), tuple(ways), draw(st.booleans()), draw(st.booleans()))


@st.composite
def ways_out(draw: st.DrawFn, name: str, names: tuple[str, ...], following: str) -> list[WaySpec | SwitchSpec]:
    """The ways out of a node: conditions, a switch, ways for failures, and how it goes on otherwise."""
    targets = st.sampled_from((*names, *names, "END", "FAIL"))
    found: list[WaySpec | SwitchSpec] = [
        WaySpec(name, draw(targets), draw(conditions(names)), f"way {i}") for i in range(draw(st.integers(0, 3)))
    ]
    if draw(st.integers(0, 3)) == 0:
        cases = tuple((case, draw(targets)) for case in draw(st.sampled_from(((1, 2), (0, 3, 4)))))
        found.append(SwitchSpec(name, "n", cases))
    for i in range(draw(st.integers(0, 2))):
        when: Cond = ("failed", *draw(st.lists(st.sampled_from(("boom", "slow", "any", "os")), min_size=1, max_size=2)))
        if draw(st.booleans()):
            when = ("and", when, draw(conditions(names, past=False)))
        found.insert(draw(st.integers(0, len(found))), WaySpec(name, draw(targets), when, f"failure {i}"))
    last = draw(st.integers(0, 5))
    if last == 0:
        found.append(WaySpec(name, following, ("value", "n", "<", 8), "maybe"))
    elif last == 1:
        found += [WaySpec(name, following, draw(conditions(names)), "on"), WaySpec(name, draw(targets))]
    else:
        found.append(WaySpec(name, following))
    return found


def outcomes(*, crashes: bool = True) -> st.SearchStrategy[Outcome]:
    """What comes of an attempt; mostly good."""
    kinds = ["ok"] * 8 + ["bad", "boom", "boom", "slow"] + (["crash", "crash", "stop"] if crashes else [])
    return st.builds(
        Outcome,
        st.sampled_from(kinds),
        st.integers(0, 12),
        st.integers(0, 3),
        st.sampled_from((0.0, 0.5, 1.0)),
        st.sampled_from((0, 0, 0, 1, 3, 7)),
    )


def scripts(*, crashes: bool = True) -> st.SearchStrategy[list[Outcome]]:
    """Scripts of many attempts."""
    return st.lists(outcomes(crashes=crashes), max_size=25)


@st.composite
def limits(draw: st.DrawFn) -> list[dict[str, float]]:
    """The limits of a start and of up to three resumes, which always end a run."""
    found: list[dict[str, float]] = []
    for i in range(draw(st.integers(1, 4))):
        limit: dict[str, float] = {"steps": 4 + 8 * i}
        if draw(st.integers(0, 3)) == 0:
            limit[draw(st.sampled_from(("seconds", "tokens", "cost_usd")))] = draw(st.integers(2, 20))
        found.append(limit)
    return found
