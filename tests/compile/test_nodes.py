"""The fields that nodes read, the targets of their results, and their options."""

from typing import Annotated, Any

import pytest
from pydantic import BaseModel

from graphengine import (
    END,
    START,
    Context,
    Graph,
    Limits,
    Node,
    Retry,
    RunFailed,
)
from graphengine.reducers import add, append, extend, maximum, merge


class Review(BaseModel):
    score: int
    issues: list[str] = []


class State(BaseModel):
    task: str = "t"
    n: int = 0
    review: Review | None = None
    history: Annotated[list[Review], append] = []
    names: Annotated[list[str], extend] = []
    views: Annotated[dict[str, str], merge] = {}
    plain: dict[str, int] = {}
    total: Annotated[int, add] = 0
    best: Annotated[float, maximum] = 0.0


async def once(runnable: Any, state: State | None = None, **options: Any) -> State:
    """Run one node and return the state after it."""
    graph = Graph("once", State)
    graph.add_node("a", runnable, **options)
    graph.add_path(START, "a", END)
    return (await graph.run(state or State())).state


async def test_a_function_of_the_engine_is_a_node_like_any_other() -> None:
    """The module of a function does not matter: a reducer can be a node."""
    assert (await once(add, State(n=2, total=3), inputs={"old": "n", "new": "total"}, writes="n")).n == 5


async def test_a_result_can_name_its_fields() -> None:
    """A result names its fields by a mapping's keys, or by the declared fields that a model's answer set."""
    assert (await once(lambda: {"n": 2, "task": "u"}, writes=("n", "task"))).task == "u"

    class Part(BaseModel):
        n: int = 0
        task: str = ""

    after = await once(lambda: Part(n=3), writes=("n", "task"))
    assert (after.n, after.task) == (3, "t")
    assert (await once(lambda: {"n": 4})).n == 4
    assert await once(lambda: None) == State()
    with pytest.raises(RunFailed, match="'task', which it does not declare"):
        await once(lambda: {"n": 1, "task": "x"}, writes=("n",))
    with pytest.raises(RunFailed, match="returned int"):
        await once(lambda: 5)


async def test_inputs_rename_and_reach_into_the_state() -> None:
    """A parameter can read any path, or a function of fields."""

    def check(score: int, doubled: int) -> int:
        return score + doubled

    start = State(n=4, review=Review(score=9))
    after = await once(check, start, writes="total", inputs={"score": "review.score", "doubled": lambda n: n * 2})
    assert after.total == 17


async def test_state_context_and_defaults_are_injected() -> None:
    """`state`, `ctx`, and parameters with defaults that nothing provides."""

    def look(state: State, ctx: Context, extra: int = 3) -> int:
        return state.n + ctx.visit + extra

    assert (await once(look, State(n=10), writes="total")).total == 14


async def test_a_value_that_its_record_would_change_is_refused() -> None:
    """A subclass with more fields than the field's type would lose them."""

    class Secret(Review):
        more: str = ""

    with pytest.raises(RunFailed, match="would read back from the record") as caught:
        await once(lambda: Secret(score=1, more="x"), writes="review")
    assert caught.value.result.error is not None
    assert caught.value.result.error.kind == "not_recordable"


async def test_a_node_carries_its_options_and_add_node_overrides_them() -> None:
    """Patterns take prepared nodes as arguments."""
    prepared = Node(lambda x: x * 2, inputs={"x": "n"}, writes="n")
    assert (await once(prepared, State(n=4))).n == 8
    assert (await once(prepared, State(n=4), writes="total")).total == 8


def test_a_copy_of_a_graph_has_another_name_and_result() -> None:
    """Later changes to one do not affect the other."""

    class Two(BaseModel):
        a: str = ""
        b: str = ""

    inner = Graph("inner", Two, result="a")
    inner.add_node("both", lambda: {"a": "x", "b": "y"}, writes=("a", "b"))
    inner.add_path(START, "both", END)
    assert inner.run_sync().output == "x"
    whole = inner.but(name="whole", result=None, limits=Limits(visits=5))
    assert (whole.name, whole.own_limits, inner.name, inner.own_limits) == ("whole", Limits(visits=5), "inner", None)
    outer = Graph("outer", Two)
    outer.add_node("i", whole, writes={"a": "b", "b": "a"})
    outer.add_path(START, "i", END)
    assert outer.run_sync().state == Two(a="y", b="x")
    whole.add_node("more", lambda: "z", writes="a")
    assert [node.name for node in inner.nodes] == ["both"]
    assert inner.run_sync().output == "x"


@pytest.mark.parametrize("kind", [bool, int, float, str, list, dict, tuple, set, frozenset])
async def test_a_type_of_pythons_own_reads_nothing(kind: type) -> None:
    """Its parameters are optional, whether or not this version of Python has a signature for it."""

    class Kept(BaseModel):
        kept: Any = None

    graph = Graph("made", Kept)
    graph.add_node("a", kind, writes={"kept": lambda result: f"{result!r}"})
    graph.add_path(START, "a", END)
    assert (await graph.run()).state.kept == repr(kind())


async def fetch() -> int:
    """Return a value after an await."""
    return 5


def held(result: Any) -> Any:
    """Return a node that returns this value."""

    async def forgets() -> Any:
        return result()

    return forgets


@pytest.mark.parametrize(
    ("result", "writes"),
    [(fetch, "n"), (lambda: {"n": fetch(), "task": "x"}, ("n", "task")), (lambda: [fetch(), fetch()], "names")],
    ids=["alone", "in a mapping", "in a list"],
)
async def test_a_forgotten_await_is_named(result: Any, writes: Any) -> None:
    """The message names it as the cause, not the field's type; another attempt would fail alike."""
    with pytest.raises(RunFailed) as caught:
        await once(held(result), writes=writes, retry=Retry(attempts=3, initial_seconds=0))
    failure = caught.value.result.error
    assert failure is not None
    assert (failure.kind, failure.attempt) == ("not_awaited", 1)
    assert "fetch" in failure.message
    assert "write await" in str(caught.value)


@pytest.mark.parametrize("writes", ["n", {"n": "."}], ids=["whole", "part"])
async def test_a_node_that_returns_nothing_for_a_written_field_is_reported(writes: Any) -> None:
    """The repair is to return a value."""
    with pytest.raises(RunFailed, match="returned None, which does not fit what it writes: n: ") as caught:
        await once(lambda: None, writes=writes)
    failure = caught.value.result.error
    assert failure is not None
    assert failure.kind == "invalid_update"
    assert "return a value on every path" in str(caught.value)


async def test_a_fallback_that_does_not_fit_is_explained_too() -> None:
    """The message is like that of a node."""

    def fails() -> int:
        raise ValueError

    async def forgets() -> Any:
        return fetch()

    with pytest.raises(RunFailed, match="returned an awaitable that it did not await: fetch"):
        await once(fails, writes="n", fallback=forgets)
