from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field

from graphengine import (
    END,
    FAIL,
    START,
    Agent,
    CompileError,
    Context,
    Graph,
    Limits,
    Retry,
    ScriptedModel,
    ask,
    choose,
    ended_with,
    failed,
    iterations,
    plateau,
    value,
)
from graphengine.errors import InputError
from graphengine.reducers import append
from graphengine.testing import EdgeCoverage, Ended, Items, Visits, walk


class Review(BaseModel):
    score: int = Field(ge=1, le=10)


class Article(BaseModel):
    task: str = ""
    draft: str = ""
    facts: list[str] = []
    notes: dict[str, str] = {}
    approved: bool = False
    history: Annotated[list[Review], append] = []


async def never(task: str) -> Any:
    """Fail a test that runs it."""
    raise AssertionError(task)


def review_loop(**options: Any) -> Graph[Article]:
    """Write and review until it is good, flat, or enough."""
    graph = Graph("review_loop", Article)
    graph.add_node("research", never, writes="facts", **options)
    graph.add_node("write", Agent("writer", model="openai:none", prompt="{task}"), writes="draft")
    graph.add_node("review", Agent("critic", prompt="{draft}", output=Review), writes="history")
    graph.add_path(START, "research", "write", "review")
    graph.add_edge("review", END, when=failed(Exception), label="accepted unreviewed")
    graph.add_edge("review", END, when=value("history[-1].score") >= 7, label="approved")
    graph.add_edge("review", END, when=plateau("history[-1].score"), label="no longer improving")
    graph.add_edge("review", END, when=iterations("review") >= 3, label="out of iterations")
    graph.add_edge("review", "write")
    return graph


def scores(*given: int) -> list[dict[str, Any]]:
    """Return the updates of the reviews."""
    return [{"history": {"score": score}} for score in given]


@pytest.mark.parametrize(
    ("given", "path", "label"),
    [
        ((8,), "research write review END", "approved"),
        ((5, 8), "research write review write review END", "approved"),
        ((5, 5), "research write review write review END", "no longer improving"),
        ((3, 4, 5), "research write review write review write review END", "out of iterations"),
    ],
)
async def test_the_edges_are_the_graphs_own(given: tuple[int, ...], path: str, label: str) -> None:
    """Conditions with values, plateaus, counts; no node is run."""
    walked = await walk(review_loop(), {"review": scores(*given)}, task="t")

    walked.assert_path(path)
    assert walked.path == path
    assert (walked.label, walked.status) == (label, "finished")
    assert [review.score for review in walked.state.history] == [*given]


async def test_each_visit_explains_its_edge() -> None:
    """The explanations have the values that the conditions read."""
    walked = await walk(review_loop(), {"review": scores(5, 8)})

    assert walked.why[2] == (
        "review, visit 1 -> write: history[-1].score 5 >= 7: no; history[-1].score 5, the best so far: no; "
        "iterations of review 1 >= 3: no; otherwise"
    )
    assert walked.visits[-1].edge is not None
    assert (walked.visits[-1].visit, walked.visits[-1].edge.label) == (2, "approved")


async def test_the_error_shows_where_the_path_diverges() -> None:
    """The error shows the edge taken there, and the state."""
    walked = await walk(review_loop(), {"review": scores(8)}, task="rye")

    with pytest.raises(AssertionError) as caught:
        walked.assert_path("research write review write review END")
    lines = str(caught.value).splitlines()
    assert lines[:4] == [
        "the walk left the expected path after 'review'",
        "  expected: research write review write review END",
        "  walked:   research write review END",
        "                                  ^ 'write' was expected",
    ]
    assert lines[4] == "  review, visit 1 -> END 'approved': history[-1].score 8 >= 7: yes"
    assert "task='rye'" in lines[5]


@pytest.mark.parametrize(
    ("expected", "message"),
    [
        ("write", "left the expected path at once"),
        ("research write review", "^ nothing more was expected"),
        ("research write review END more", "^ 'more' was expected"),
    ],
)
async def test_a_path_can_diverge_anywhere(expected: str, message: str) -> None:
    """Two paths can diverge at their beginning, or where one of them ends."""
    with pytest.raises(AssertionError) as caught:
        (await walk(review_loop(), {"review": scores(8)})).assert_path(expected)
    assert message in str(caught.value)


# -- stand-ins


async def test_a_mapping_replaces_every_visit() -> None:
    """A model does too; only its set fields count."""
    walked = await walk(review_loop(), {"review": {"history": Review(score=3)}, "write": Article(draft="d")})

    assert (walked.path.count("review"), walked.state.draft) == (2, "d")
    assert walked.state.task == ""


async def test_a_list_that_is_too_short_names_node_and_visit() -> None:
    """The error is raised however the graph handles the failure."""
    with pytest.raises(InputError, match="review is visited a second time, and has 1 stand-in"):
        await walk(review_loop(), {"review": scores(5)})
    with pytest.raises(InputError, match="review is visited a first time, and has 0 stand-ins"):
        await walk(review_loop(), {"review": []})


async def test_an_exception_is_the_nodes_failure() -> None:
    """Its retries take no time; then its edges after a failure apply."""
    walked = await walk(review_loop(), {"review": [OSError("gone")]})

    walked.assert_path("research write review END")
    assert walked.label == "accepted unreviewed"
    assert "review, visit 1 failed with OSError: gone -> END 'accepted unreviewed'" in walked.why[-1]


async def test_a_retried_attempt_has_the_same_stand_in() -> None:
    """A list has one for each visit, not for each attempt."""
    graph = review_loop(retry=Retry(attempts=3, initial_seconds=3600), fallback=["none"])
    walked = await walk(graph, {"research": [TimeoutError], "review": scores(9)})

    assert walked.state.facts == ["none"]
    assert walked.path == "research write review END"


async def test_a_failure_without_an_edge_fails_the_walk() -> None:
    """The path ends with FAIL, and a failed assertion gives the reason."""
    walked = await walk(review_loop(), {"write": ValueError("no")})

    assert (walked.status, walked.path) == ("failed", "research write FAIL")
    assert walked.error is not None
    assert walked.error.message == "no"
    with pytest.raises(AssertionError, match="it failed at write: ValueError: no"):
        walked.assert_path("research write review END")


async def test_a_function_can_compute_the_update() -> None:
    """It reads fields and the context; it can be async."""

    def review(history: list[Review], draft: str, ctx: Context) -> object:
        assert draft == f"draft {ctx.visit}"
        return {"history": Review(score=6 + len(history))}

    async def write(ctx: Context) -> dict[str, str]:
        return {"draft": f"draft {ctx.visit}"}

    walked = await walk(review_loop(), {"review": review, "write": [write, write]})

    assert [each.score for each in walked.state.history] == [6, 7]


async def test_the_state_can_be_passed_by_fields_or_as_a_whole() -> None:
    """Fields by name take precedence."""
    given = Article(task="a", draft="b")

    walked = await walk(review_loop(), {"review": scores(9)}, given, task="c")
    assert (walked.state.task, walked.state.draft) == ("c", "b")
    assert (await walk(review_loop(), {"review": scores(9)}, given)).state.task == "a"
    assert (await walk(review_loop(), {"review": scores(9)}, {"task": "m"}, draft="d")).state.draft == "d"


async def test_questions_and_choices_have_stand_ins() -> None:
    """No question is asked, and no case is picked."""
    graph = Graph("desk", Article)
    graph.add_node("pick", choose("task", {"a": never}), writes="draft")
    graph.add_node("decide", ask("Publish?", bool), writes="approved")
    graph.add_path(START, "pick", "decide")
    graph.add_switch("decide", "approved", {True: END, False: FAIL})

    (await walk(graph, {"decide": {"approved": True}}, task="z")).assert_path("pick decide END")
    (await walk(graph, {"decide": {"approved": False}})).assert_path("pick decide FAIL")


async def test_limits_end_a_walk() -> None:
    """The graph's own limits, or those of the walk."""
    walked = await walk(review_loop(), {"review": scores(3, 4)}, limits=Limits(visits=4))

    assert walked.path == "research write review write STOPPED"
    with pytest.raises(AssertionError, match="it stopped: visits 4 >= 4"):
        walked.assert_path("research")


async def test_an_unfinished_nested_graph_is_in_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its visits follow its name, in a map as in an arm."""
    inside = Graph("inside", Article, result="draft")
    inside.add_node("step", never, writes="draft")
    inside.add_path(START, "step")
    inside.add_edge("step", END, when=iterations("step") >= 3)
    inside.add_edge("step", "step")
    graph = Graph("around", Article)
    graph.add_node("one", inside, inputs={"task": "task"}, writes="draft")
    graph.add_node("each", inside, each={"fact": "facts"}, inputs={"task": "fact"}, writes="facts")
    graph.add_node("last", never, writes="approved")
    graph.add_fork(START, ["one", "each"], join="last")
    graph.add_edge("one", "last")
    graph.add_edge("each", "last")
    graph.add_edge("last", END)
    walked = await walk(graph, {"each/step": None}, facts=["a", "b"], limits=Limits(visits=6))
    walked.assert_path("[one (step step) | each (step step | step step)] STOPPED")


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ({"revew": None}, "has no node 'revew'"),
        ({"review": {"histry": 1}}, "review does not write 'histry'"),
        ({"review": {"draft": ""}}, "review does not write 'draft'"),
        ({"review": 3}, "3 is not an update of review"),
        ({"review": [int]}, "is not an update of review"),
        ({"review": Ended("approved")}, "review does not end 'approved'"),
        ({"review": Items(None)}, "review is not a map, so it has no items"),
        ({"review": lambda: {"histry": 1}}, "review does not write 'histry'"),
        ({"review": lambda: 3}, "3 is not an update of review"),
        (
            {"review": scores(80)},
            "the stand-in for review, visit 1, does not fit: history.0.score: Input should be less",
        ),
    ],
)
async def test_an_invalid_stand_in_is_refused(nodes: dict[str, Any], message: str) -> None:
    """It is refused beforehand if possible, otherwise however the graph handles the failure."""
    with pytest.raises(InputError, match=message):
        await walk(review_loop(), nodes)


async def test_a_function_that_asks_for_an_unknown_field_is_refused() -> None:
    """A function that asks for an unknown field is refused, as a node is at compile time."""
    with pytest.raises(CompileError, match="nothing provides 'drat'"):
        await walk(review_loop(), {"review": lambda drat: {"draft": drat}})


# -- forks, maps, graphs inside


def forked(need: int | None = None) -> Graph[Article]:
    """Two arms that write keys of one field, one of them longer, and one that goes straight to the join."""
    graph = Graph("forked", Article)
    for name, writes in (
        ("plan", "draft"),
        ("facts", "notes[facts]"),
        ("search", "facts"),
        ("counter", "notes[counter]"),
    ):
        graph.add_node(name, never, writes=writes)
    graph.add_node("merge", never, writes="draft")
    options: dict[str, Any] = {} if need is None else {"need": need}
    graph.add_fork("plan", ["facts", ("counter", value("task") != "short"), "merge"], join="merge", **options)
    graph.add_path(START, "plan")
    graph.add_path("facts", "search", "merge", END)
    graph.add_edge("counter", "merge")
    return graph


async def test_arms_are_in_their_declared_order() -> None:
    """An empty one is a dash; each writes its key of a field."""
    nodes: dict[str, Visits] = {
        "facts": {"notes": {"facts": "F"}},
        "counter": {"notes": {"counter": "C"}},
        "search": {"facts": ["x"]},
    }
    walked = await walk(forked(), nodes)

    walked.assert_path("plan [facts search | counter | -] merge END")
    assert walked.state.notes == {"facts": "F", "counter": "C"}
    assert (await walk(forked(), {}, task="short")).path == "plan [facts search | -] merge END"


async def test_a_loop_around_a_fork_repeats_it_in_the_path() -> None:
    """A loop around a fork repeats it in the path, from START too."""
    graph = Graph("rounds", Article)
    for name, writes in (("left", "draft"), ("right", "task"), ("up", "draft"), ("down", "task"), ("merge", "facts")):
        graph.add_node(name, never, writes=writes)
    graph.add_fork(START, ["left", "right"], join="merge")
    graph.add_edge("left", "merge")
    graph.add_edge("right", "merge")
    graph.add_edge("merge", END, when=iterations("merge") >= 3)
    graph.add_fork("merge", ["up", "down"], join="merge")
    graph.add_edge("up", "merge")
    graph.add_edge("down", "merge")

    (await walk(graph, {})).assert_path("[left | right] merge [up | down] merge [up | down] merge END")


def mapped() -> Graph[Article]:
    """A note for each fact, and a review for each."""
    graph = Graph("mapped", Article)
    graph.add_node("note", never, inputs={"task": "fact"}, writes="notes[{fact}]", each={"fact": "facts"}, fallback="?")
    graph.add_node("judge", Agent("judge", prompt="{fact}", output=Review), writes="history", each={"fact": "facts"})
    graph.add_path(START, "note", "judge", END)
    return graph


async def test_a_map_can_have_one_stand_in() -> None:
    """One stand-in of a map gives the joint update of its items, or a list where each is appended."""
    nodes: dict[str, Visits] = {
        "note": {"notes": {"a": "A", "b": "B"}},
        "judge": {"history": [{"score": 1}, {"score": 2}]},
    }
    walked = await walk(mapped(), nodes)

    walked.assert_path("note judge END")
    assert walked.state.notes == {"a": "A", "b": "B"}
    assert [review.score for review in walked.state.history] == [1, 2]


async def test_a_map_can_have_stand_ins_item_by_item() -> None:
    """A list, one for all, or a function that may take the item; an item's failure is its own."""
    judge = Items([{"history": {"score": 1}}, {"history": {"score": 2}}])
    note = Items(lambda fact: {"notes": {fact: fact.upper()}})
    walked = await walk(mapped(), {"note": note, "judge": judge}, facts=["a", "b"])

    assert walked.state.notes == {"a": "A", "b": "B"}
    assert [review.score for review in walked.state.history] == [1, 2]
    failing = Items([ValueError("no"), {"notes": {"b": "B"}}])
    assert (await walk(mapped(), {"note": [failing]}, facts=["a", "b"])).state.notes == {"a": "?", "b": "B"}
    with pytest.raises(InputError, match="judge is run for item 2 in visit 1, which has 2 stand-ins"):
        await walk(mapped(), {"judge": judge}, facts=["a", "b", "c"])
    with pytest.raises(InputError, match="some visits have Items"):
        await walk(mapped(), {"judge": [None, judge]})
    with pytest.raises(InputError, match="Items cannot contain Items"):
        await walk(mapped(), {"judge": Items(judge)})  # type: ignore[arg-type]


def nested(each: bool = False) -> Graph[Article]:  # noqa: FBT001, FBT002
    """A nested review loop whose end decides."""
    graph = Graph("press", Article)
    options: dict[str, Any] = {"each": {"fact": "facts"}, "inputs": {"task": "fact"}} if each else {}
    graph.add_node("article", review_loop().but(result="draft"), writes="notes[{fact}]" if each else "draft", **options)
    graph.add_node("publish", never, writes="approved")
    graph.add_path(START, "article")
    if not each:
        graph.add_edge("article", "publish", when=ended_with("approved"), label="good")
        graph.add_edge("article", "publish", when=failed(OSError), label="without")
        graph.add_edge("article", END, label="bad")
    else:
        graph.add_edge("article", "publish")
    graph.add_edge("publish", END)
    return graph


async def test_the_nodes_of_a_nested_graph_are_walked() -> None:
    """They are addressed by path; their visits are in parentheses."""
    walked = await walk(nested(), {"article/review": scores(5, 8), "article/write": {"draft": "d"}})

    walked.assert_path("article (research write review write review) publish END")
    assert walked.state.draft == "d"


async def test_a_nested_graph_ends_as_its_stand_in_defines() -> None:
    """A nested graph ends with a label, without one, or with a failure."""
    good = await walk(nested(), {"article": Ended("approved", {"draft": "d"})})
    good.assert_path("article publish END")
    assert good.state.draft == "d"
    (await walk(nested(), {"article": {"draft": "d"}})).assert_path("article END")
    (await walk(nested(), {"article": [OSError("x")]})).assert_path("article publish END")
    (await walk(nested(), {"article": lambda: Ended("approved")})).assert_path("article publish END")
    with pytest.raises(InputError, match="article does not end 'aproved'"):
        await walk(nested(), {"article": Ended("aproved")})
    with pytest.raises(InputError, match="gets no arguments"):
        await walk(nested(), {"article": lambda task: {"draft": task}})


async def test_a_map_of_graphs_is_walked_item_by_item() -> None:
    """Item by item in order, each item as a whole, or all at once."""
    graph = nested(each=True)
    inside = {"article/review": lambda task: scores(8 if task == "a" else 3)[0]}
    ends = Items([Ended("approved", {"notes": {"a": "A"}}), {"notes": {"b": "B"}}])

    walked = await walk(graph, inside, facts=["a", "b"])
    walked.assert_path("article (research write review | research write review write review) publish END")
    whole = await walk(graph, {"article": ends}, facts=["a", "b"])
    whole.assert_path("article publish END")
    assert whole.state.notes == {"a": "A", "b": "B"}
    assert (await walk(graph, {"article": {"notes": {"c": "C"}}}, facts=["a"])).state.notes == {"c": "C"}


async def test_cases_that_are_graphs_are_walked() -> None:
    """The state picks the case; a case that is not a graph writes nothing."""
    graph = Graph("cases", Article)
    graph.add_node("work", choose("task", {"loop": review_loop().but(result="draft"), "short": never}), writes="draft")
    graph.add_path(START, "work", END)

    looped = await walk(graph, {"work/review": scores(9)}, task="loop")
    looped.assert_path("work (research write review) END")
    (await walk(graph, {"work/review": scores(9)}, task="short")).assert_path("work END")


async def test_resources_are_not_built() -> None:
    """Stand-ins need no resources."""

    def make() -> None:
        raise AssertionError

    async def search(engine: object) -> str:
        return str(engine)

    graph = Graph("built", Article, resources={"engine": make})
    graph.add_node("search", search, writes="draft")
    graph.add_path(START, "search", END)

    (await walk(graph, {"search": {"draft": "d"}})).assert_path("search END")


async def test_walks_count_for_edge_coverage() -> None:
    """Nested graphs count too, replaced or not; the replacement itself does not."""
    with EdgeCoverage() as coverage:
        await walk(nested(), {"article": Ended("approved")})
    report = coverage.report()
    assert "stand-in" not in report
    assert "article -> publish 'good'" not in report
    assert "article -> END 'bad' (otherwise): never taken" in report
    assert "review -> write (otherwise): never taken" in report


async def test_a_fallback_calls_no_model_unless_one_is_given() -> None:
    """A function is called unchanged, with its parameters; an agent needs a model to be given."""

    async def instead(task: str, engine: str) -> str:
        return f"{engine} on {task}"

    def built(fallback: Any) -> Graph[Article]:
        graph = Graph("built", Article, resources={"engine": lambda: "engine"})
        graph.add_node("write", never, writes="draft", fallback=fallback)
        graph.add_path(START, "write", END)
        return graph

    fails: dict[str, Visits] = {"write": OSError("gone")}
    agent = Agent("second", model="openai:none", prompt="{task}")
    assert (await walk(built(instead), fails, task="rye")).state.draft == "engine on rye"
    assert (await walk(built(agent), fails, models=ScriptedModel(["said"]))).state.draft == "said"
    walked = await walk(built(agent), fails)
    assert walked.error is not None
    assert "agent second called a model in a walk" in walked.error.message
