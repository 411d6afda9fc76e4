"""The fields that nodes read, the targets of their results, and their options."""

from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, field_validator

from graphengine import (
    END,
    FAIL,
    START,
    Agent,
    Context,
    Failure,
    Graph,
    Limits,
    Node,
    Replace,
    Retry,
    RunFailed,
    Runner,
    ScriptedModel,
    choose,
    value,
)
from graphengine.reducers import add, append, extend, maximum, merge
from tests.kit.facts import said


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


async def test_a_result_can_go_to_one_field() -> None:
    """`writes="field"` writes a result to one field."""
    assert (await once(lambda n: n + 1, writes="n")).n == 1


async def test_a_function_of_the_engine_is_a_node_like_any_other() -> None:
    """The module of a function does not matter: a reducer can be a node."""
    assert (await once(add, State(n=2, total=3), inputs={"old": "n", "new": "total"}, writes="n")).n == 5


async def test_a_result_can_go_to_one_key_of_a_field() -> None:
    """`writes="field[key]"` leaves the other keys unchanged."""
    assert (await once(lambda: 5, State(plain={"x": 1}), writes="plain[ann]")).plain == {"x": 1, "ann": 5}
    assert (await once(lambda: "v", State(views={"x": "1"}), writes="views[ann]")).views == {"x": "1", "ann": "v"}


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


async def test_a_result_can_be_taken_apart() -> None:
    """`writes` can map fields to paths in the result, to the whole result, or to a function of it and of fields."""

    def scored(result: Review, n: int) -> int:
        return result.score + n

    after = await once(
        lambda: Review(score=7, issues=["x"]),
        State(n=10),
        writes={"history": ".", "n": scored, "names": "issues", "total": "score"},
    )
    assert after.history == [Review(score=7, issues=["x"])]
    assert (after.n, after.names, after.total) == (17, ["x"], 7)


async def test_reducers_join_and_replace_overrides() -> None:
    """Each reducer joins the update to the previous value, and Replace overrides it."""
    start = State(history=[Review(score=1)], names=["a"], views={"a": "1"}, total=2, best=3.0)
    update = {"history": Review(score=2), "names": ["b", "c"], "views": {"b": "2"}, "total": 5, "best": 1.0}
    after = await once(lambda: update, start)
    assert [r.score for r in after.history] == [1, 2]
    assert (after.names, after.views, after.total, after.best) == (["a", "b", "c"], {"a": "1", "b": "2"}, 7, 3.0)
    assert (await once(lambda: {"history": Replace([])}, start)).history == []


async def test_inputs_rename_and_reach_into_the_state() -> None:
    """A parameter can read any path, or a function of fields."""

    def check(score: int, doubled: int) -> int:
        return score + doubled

    start = State(n=4, review=Review(score=9))
    after = await once(check, start, writes="total", inputs={"score": "review.score", "doubled": lambda n: n * 2})
    assert after.total == 17


async def test_none_for_a_parameter_that_does_not_allow_it_fails_before_the_call() -> None:
    """The message names the parameter and the path."""

    def check(review: Review) -> int:
        raise AssertionError

    with pytest.raises(RunFailed, match="review is None") as caught:
        await once(check, writes="n")
    assert caught.value.result.error is not None
    assert caught.value.result.error.kind == "missing_input"


async def test_state_context_and_defaults_are_injected() -> None:
    """`state`, `ctx`, and parameters with defaults that nothing provides."""

    def look(state: State, ctx: Context, extra: int = 3) -> int:
        return state.n + ctx.visit + extra

    assert (await once(look, State(n=10), writes="total")).total == 14


async def test_a_bad_update_fails_the_node_and_is_retried() -> None:
    """The state never holds an invalid value."""
    answers: list[Any] = ["x", 5]
    after = await once(lambda: answers.pop(0), writes="n", retry=Retry(attempts=2, initial_seconds=0))
    assert after.n == 5


async def test_a_value_that_its_record_would_change_is_refused() -> None:
    """A subclass with more fields than the field's type would lose them."""

    class Secret(Review):
        more: str = ""

    with pytest.raises(RunFailed, match="would read back from the record") as caught:
        await once(lambda: Secret(score=1, more="x"), writes="review")
    assert caught.value.result.error is not None
    assert caught.value.result.error.kind == "not_recordable"


async def test_fallbacks_apply_after_the_last_attempt() -> None:
    """A value, or a function that can take the error."""

    def bad() -> int:
        message = "no"
        raise ValueError(message)

    def instead(error: Failure, n: int) -> int:
        return n + len(error.message)

    assert (await once(bad, writes="n", fallback=8)).n == 8
    assert (await once(bad, State(n=1), writes="n", fallback=instead)).n == 3
    with pytest.raises(RunFailed, match="the fallback does not fit"):
        await once(bad, writes="total", fallback="text")


class Fields(State):
    color: Literal["red", "blue"] = "red"
    size: Annotated[int, Field(ge=0)] = 0
    upper: str = ""

    @field_validator("upper", mode="before")
    @classmethod
    def upper_case(cls, given: object) -> str:
        """Take anything."""
        return str(given).upper()


def test_a_fallback_that_can_never_fit_is_refused() -> None:
    """A fallback that can never fit the field's own type and rules is refused at the node's line, with all problems."""
    wrong: list[tuple[Any, Any, str]] = [
        ("task", 3, "task: Input should be a valid string (got 3)"),
        ("task", None, "task: Input should be a valid string"),
        ("color", "green", "color: Input should be 'red' or 'blue'"),
        ("size", -1, "size: Input should be greater than or equal to 0"),
        ("review", {"score": "many"}, "review.score: Input should be a valid integer"),
        ("history", Review(score=1), ""),
        ("history", [Review(score=1)], "history.0: Input should be a valid"),
        ("history", Replace([Review(score=1)]), ""),
        ("names", "a", "names: Input should be a valid list"),
        ({"task": "score", "n": "."}, "x", "n: Input should be a valid integer"),
        (("n", "task"), {"n": "x", "task": "t"}, "n: Input should be a valid integer"),
        ("color", "blue", ""),
        ("n", "7", ""),
        ("review", {"score": 1}, ""),
        ("review", None, ""),
        ("total", "the reducer decides", ""),
        ("upper", 3, ""),
        ("plain[key]", "decided when it is written", ""),
    ]
    graph = Graph("fallbacks", Fields)
    before = len(wrong)
    for index, (writes, fallback, _) in enumerate(wrong):
        graph.add_node(f"node_{index}", lambda: None, writes=writes, fallback=fallback)
    graph.add_path(START, *(f"node_{index}" for index in range(before)), END)
    found = {problem.where: problem for problem in graph.check()}
    for index, (writes, fallback, message) in enumerate(wrong):
        problem = found.pop(f"node node_{index}, fallback", None)
        assert (problem is not None) == bool(message), (writes, fallback, problem)
        assert problem is None or (problem.code, message in problem.message) == ("type_disagrees", True), problem
        assert problem is None or Path(problem.file or "").name == Path(__file__).name
    assert not found


async def test_choose_routes_each_visit_and_records_the_choice() -> None:
    """A value without a case fails, and the message names it."""
    work = choose("task", {"t": lambda n: n + 1, "u": lambda n: n + 2})
    assert (await once(work, writes="n")).n == 1
    assert (await once(work, State(task="u"), writes="n")).n == 2
    with pytest.raises(RunFailed, match="task is 'x'"):
        await once(work, State(task="x"), writes="n")
    graph = Graph("c", State)
    graph.add_node("work", work, writes="n")
    graph.add_path(START, "work", END)
    async with Runner() as runner:
        run = runner.start(graph)
        await run.result()
        assert said((await runner.history(run.id))[1])["choice"] == "t"


async def test_a_node_carries_its_options_and_add_node_overrides_them() -> None:
    """Patterns take prepared nodes as arguments."""
    prepared = Node(lambda x: x * 2, inputs={"x": "n"}, writes="n")
    assert (await once(prepared, State(n=4))).n == 8
    assert (await once(prepared, State(n=4), writes="total")).total == 8


async def test_a_switch_takes_the_case_of_a_value() -> None:
    """The value is the label; FAIL fails the run with it."""
    graph = Graph("s", State)
    graph.add_node("a")
    graph.add_edge(START, "a")
    graph.add_switch("a", "task", {"stop": END, "break": FAIL}, otherwise=END)
    result = await graph.run(State(task="stop"))
    assert result.ending is not None
    assert (result.label, result.ending.condition) == ("stop", "task == 'stop'")
    with pytest.raises(RunFailed, match="break"):
        await graph.run(State(task="break"))
    assert (await graph.run(State(task="other"))).status == "finished"


async def test_a_condition_that_raises_leaves_the_node_done() -> None:
    """The run fails there; with a fixed condition, resume chooses the edge and does not run the node again."""
    calls: list[int] = []
    broken = [True]

    def work(n: int) -> int:
        calls.append(n)
        return n + 1

    def ready(n: int) -> bool:
        if broken:
            message = "condition bug"
            raise RuntimeError(message)
        return n == 1

    graph = Graph("g", State)
    graph.add_node("a", work, writes="n")
    graph.add_edge(START, "a")
    graph.add_edge("a", END, when=ready)
    graph.add_edge("a", FAIL)
    async with Runner() as runner:
        run = runner.start(graph)
        with pytest.raises(RunFailed, match="condition bug") as caught:
            await run.result()
        assert caught.value.result.state.n == 1
        broken.clear()
        assert (await runner.resume(graph, run.id).result()).status == "finished"
    assert calls == [0]


async def test_agents_answer_with_their_type_from_any_model() -> None:
    """Offline by rules, or from a scripted model; the answer is validated."""
    critic = Agent("critic", prompt="Judge {task}: {review.score}", output=Review, offline=lambda task: Review(score=5))
    assert (await once(critic, writes="review")).review == Review(score=5)
    graph = Graph("g", State)
    graph.add_node("a", critic, writes="review")
    graph.add_path(START, "a", END)
    model = ScriptedModel([{"score": 8}])
    async with Runner(models={"critic": model}) as runner:
        result = await runner.start(graph, State(task="poem")).result()
    assert result.state.review == Review(score=8)
    assert model.requests[0].prompt == "Judge <task>poem</task>: "
    assert (result.usage.calls, result.usage.offline_calls) == (1, 1)
    bad = ScriptedModel(['{"score": "high"}'] * 3)
    async with Runner(models={"critic": bad}) as runner:
        with pytest.raises(RunFailed, match="does not fit Review:\n- score"):
            await runner.start(graph).result()


async def test_an_agent_runs_alone() -> None:
    """Outside a run it uses its own model; a copy can use another."""
    shout = Agent("shout", prompt="{word}", offline=lambda word: word.upper())
    assert await shout.run(word="a") == "A"
    assert await shout.but(model=ScriptedModel(["b"])).run(word="a") == "b"


async def test_an_agent_called_inside_a_node_counts_for_the_run() -> None:
    """It finds the context by itself."""
    shout = Agent("shout", prompt="{word}", offline=lambda word: word.upper())

    async def work(task: str) -> str:
        return await shout.run(word=task)

    graph = Graph("g", State)
    graph.add_node("a", work, writes="task")
    graph.add_path(START, "a", END)
    result = await graph.run()
    assert (result.state.task, result.usage.calls) == ("T", 1)


async def test_start_can_choose_its_edge() -> None:
    """Conditions on START read the initial state."""
    graph = Graph("g", State)
    graph.add_node("a", lambda: 1, writes="n")
    graph.add_edge(START, "a", when=value("task") == "go")
    graph.add_edge(START, END, label="nothing to do")
    graph.add_edge("a", END)
    assert (await graph.run(State(task="go"))).state.n == 1
    result = await graph.run()
    assert (result.label, result.steps) == ("nothing to do", 0)


def test_a_copy_of_a_graph_has_another_name_and_result() -> None:
    """Later changes to one do not affect the other."""

    class Two(BaseModel):
        a: str = ""
        b: str = ""

    inner = Graph("inner", Two, result="a")
    inner.add_node("both", lambda: {"a": "x", "b": "y"}, writes=("a", "b"))
    inner.add_path(START, "both", END)
    assert inner.run_sync().output == "x"
    whole = inner.but(name="whole", result=None, limits=Limits(steps=5))
    assert (whole.name, whole.own_limits, inner.name, inner.own_limits) == ("whole", Limits(steps=5), "inner", None)
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
