"""Compile problems of maps, graphs as nodes and questions: code, place, message and repair."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict

import pytest
from pydantic import BaseModel

from graphengine import (
    END,
    START,
    Agent,
    CompileError,
    Ending,
    Graph,
    Node,
    Retry,
    Runner,
    ScriptedModel,
    ask,
    changed,
    choose,
    ended_with,
    failed,
    value,
)
from graphengine.compile import compiler as validation
from graphengine.errors import DefinitionError, Problem
from graphengine.reducers import append, merge


class Source(BaseModel):
    id: str = ""
    size: int = 0


class State(BaseModel):
    task: str = ""
    n: int = 0
    ok: bool = False
    sources: list[Source] = []
    names: list[str] = []
    maybe: list[str] | None = None
    either: list[int] | str = ""
    findings: list[str] = []
    table: dict[str, str] = {}
    history: Annotated[list[str], append] = []
    found: Annotated[dict[str, str], merge] = {}
    kind: Literal["a", "b"] = "a"


class Inner(BaseModel):
    task: str = ""
    draft: str = ""
    need: int = 0


class Needy(BaseModel):
    topic: str
    draft: str = ""


def words() -> str:
    """Give a text."""
    return ""


def item(x: Any) -> str:
    """Give a text for an item."""
    return ""


def of_source(x: Source) -> str:
    """Take a source."""
    return ""


def many(x: Any) -> list[str]:
    """Give a list for an item."""
    return []


def one_text(task: str) -> str:
    """Make no list."""
    return task


def upper(names: list[str]) -> list[str]:
    """Make a list."""
    return names


def mapping(x: Any) -> dict[str, str]:
    """Give a mapping for an item."""
    return {}


def when_stopped(ending: Ending) -> str:
    """Take how a graph ended."""
    return ending.label


def of_dict(state: dict[str, Any]) -> str:
    """Take a mapping."""
    return str(state["task"])


def of_any(state: object) -> str:
    """Take whatever the state is."""
    return str(state)


def of_either(state: State | Mapping[str, Any] | None) -> str:
    """Take a model or a mapping."""
    return str(state)


async def async_choice(task: str) -> str:
    """Choose too late."""
    return task


def inner(**options: Any) -> Graph[Inner]:
    """Return a sound graph that ends with one of two labels."""
    graph = Graph("inner", Inner, **{"result": "draft", **options})
    graph.add_node("write", words, writes="draft")
    graph.add_edge(START, "write")
    graph.add_edge("write", END, when=value("need") > 1, label="approved")
    graph.add_edge("write", END, label="given up")
    return graph


def needy() -> Graph[Needy]:
    """Return a graph with a required field and without labels."""
    graph = Graph("needy", Needy, result="draft")
    graph.add_node("write", words, writes="draft")
    graph.add_path(START, "write", END)
    return graph


def broken(runnable: Any = None) -> Graph[Inner]:
    """Return a graph with three problems."""
    graph = Graph("broken", Inner, result="drft")
    graph.add_node("write", runnable or (lambda tsk: ""), writes="draft")
    graph.add_node("lost", words, writes="task")
    graph.add_path(START, "write", END)
    graph.add_edge("lost", END)
    return graph


def problems(runnable: Any = words, *conditions: Any, **options: Any) -> Sequence[Problem]:
    """Return the problems of a graph with one node `b`; the conditions lead to END."""
    graph = Graph("g", State, resources={"db": dict})
    graph.add_node("b", runnable, **options)
    graph.add_edge(START, "b")
    for condition in conditions:
        graph.add_edge("b", END, when=condition)
    graph.add_edge("b", END)
    return graph.check()


SOUND: list[tuple[str, Callable[[], Sequence[Problem]]]] = [
    ("a list", lambda: problems(item, each={"x": "names"}, writes="findings")),
    ("a list that may be None", lambda: problems(item, each={"x": "maybe"}, writes="findings")),
    ("a field that may be a list", lambda: problems(item, each={"x": "either"}, writes="findings")),
    ("a function", lambda: problems(item, each={"x": upper}, writes="findings")),
    ("a function that says nothing", lambda: problems(item, each={"x": lambda task: [task]}, writes="findings")),
    ("its own type", lambda: problems(of_source, each={"x": "sources"}, writes="findings")),
    ("one more", lambda: problems(item, each={"x": "names"}, writes="history")),
    ("a mapping each", lambda: problems(mapping, each={"x": "names"}, writes="found")),
    ("one key an item", lambda: problems(item, each={"x": "sources"}, writes="table[{x.id}]")),
    ("a key of the state", lambda: problems(words, writes="table[{task}]")),
    ("the fallback of an item", lambda: problems(item, each={"x": "names"}, writes="findings", fallback=item)),
    ("a value for an item", lambda: problems(item, each={"x": "names"}, writes="findings", fallback="")),
    ("a choice by item", lambda: problems(choose("x.id", {"a": item}), each={"x": "sources"}, writes="findings")),
    ("the state as anything", lambda: problems(of_any, writes="task")),
    ("the state as one of two", lambda: problems(of_either, writes="task")),
    ("prepared", lambda: problems(Node(item, each={"x": "names"}, concurrency=2), writes="findings")),
    ("a graph", lambda: problems(inner(), writes="task")),
    ("a graph's fields", lambda: problems(inner(result=None), writes={"task": "draft", "n": "need"})),
    (
        "a graph's end",
        lambda: problems(inner(), ended_with("approved"), ended_with("given up"), writes={"task": when_stopped}),
    ),
    ("a graph given what it needs", lambda: problems(needy(), inputs={"topic": "task"}, writes="task")),
    ("a graph for each", lambda: problems(inner(), each={"x": "names"}, inputs={"task": "x"}, writes="findings")),
    ("labels of a choice", lambda: problems(choose("kind", {"a": inner()}), ended_with("approved"), writes="task")),
    ("a question", lambda: problems(ask("Publish {task}?", bool), writes="ok")),
    ("a question for each", lambda: problems(ask("{x.id}?", str), each={"x": "sources"}, writes="findings")),
    ("tried again", lambda: problems(ask("Well?"), retry=Retry(), fallback="", writes="task")),
    ("asked about", lambda: problems(words, effect="once", writes="task")),
]  # fmt: skip


@pytest.mark.parametrize("check", [check for _, check in SOUND], ids=[name for name, _ in SOUND])
def test_a_valid_graph_has_no_problems(check: Callable[[], Sequence[Problem]]) -> None:
    """A sound graph has no problems."""
    assert [str(problem) for problem in check() if problem.code != "missing_choice"] == []


WRONG: list[tuple[str, Callable[[], Sequence[Problem]], str, str, str, str]] = [
    ("text", lambda: problems(item, each={"x": "task"}, writes="findings"),
     "bad_each", "node b, each x", "task is str, but each needs a list", "name a list"),
    ("function of a text", lambda: problems(item, each={"x": one_text}, writes="findings"),
     "bad_each", "node b, each x", "one_text is str", "name a list"),
    ("no path", lambda: problems(item, each={"x": "sources["}, writes="findings"),
     "bad_path", "node b, each x", "'sources['", "history[-1].score"),
    ("written to no list", lambda: problems(item, each={"x": "names"}, writes="task"),
     "bad_each", "node b", "task gets the list of the items' results, but is str", "write to a list"),
    ("one of several to no list", lambda: problems(mapping, each={"x": "names"}, writes=("task", "findings")),
     "bad_each", "node b", "task gets the list", "write to a list"),
    ("one key for all", lambda: problems(item, each={"x": "names"}, writes="table[k]"),
     "bad_each", "node b", "all items would write the same key table[k]", "table[{x}]"),
    ("item of another type", lambda: problems(of_source, each={"x": "names"}, writes="findings"),
     "type_disagrees", "node b", "parameter 'x' is Source, but x is str", "change the annotation"),
    ("result of another type", lambda: problems(many, each={"x": "names"}, writes="findings"),
     "type_disagrees", "node b", "returns list[str], but findings takes str", "its type"),
    ("part of an item", lambda: problems(ask("{x.siz}?"), each={"x": "sources"}, writes="findings"),
     "unknown_field", "node b, parameter x.siz", "'x.siz'", "did you mean 'x.size'"),
    ("choice of an item", lambda: problems(choose("x.idd", {"a": item}), each={"x": "sources"}, writes="findings"),
     "unknown_field", "node b", "'x.idd'", "did you mean 'x.id'"),
    ("fallback of an item", lambda: problems(item, each={"x": "names"}, writes="findings", fallback=lambda y: y),
     "unknown_parameter", "node b, fallback", "'y'", "known: "),
    ("item called as a field", lambda: problems(item, each={"task": "names"}, writes="findings"),
     "name_clash", "node b, each", "'task' is a field", "another name"),
    ("item called as a resource", lambda: problems(item, each={"db": "names"}, writes="findings"),
     "name_clash", "node b, each", "'db'", "another name"),
    ("item called ending", lambda: problems(item, each={"ending": "names"}, writes="findings"),
     "name_clash", "node b, each", "'ending'", "another name"),
    ("item with a blank", lambda: problems(item, each={"a b": "names"}, writes="findings"),
     "name_clash", "node b, each", "'a b'", "another name"),
    ("each as a text", lambda: problems(item, each="names", writes="findings"),
     "bad_option", "node b", "each='names'", "each={'source': 'sources'}"),
    ("each of nothing", lambda: problems(item, each={}, writes="findings"),
     "bad_option", "node b", "each={}", "each={'source': 'sources'}"),
    ("each without a runnable", lambda: problems(None, each={"x": "names"}),
     "bad_option", "node b", "each on a node without a runnable", "runnable"),
    ("concurrency without each", lambda: problems(words, concurrency=3, writes="task"),
     "bad_option", "node b", "concurrency=3 without each", "add each="),
    ("on_item_error without each", lambda: problems(words, on_item_error="keep", writes="task"),
     "bad_option", "node b", "on_item_error='keep' without each", "add each="),
    ("no such on_item_error", lambda: problems(item, each={"x": "names"}, on_item_error="drop", writes="findings"),
     "bad_option", "node b", "on_item_error='drop' is unknown", "give 'fail' or 'keep'"),
    ("no concurrency", lambda: problems(item, each={"x": "names"}, concurrency=0, writes="findings"),
     "bad_option", "node b", "concurrency=0", "above 0"),
    ("graph without result", lambda: problems(inner(result=None)),
     "no_writes", "node b", "nothing maps the fields of inner", "result='field'"),
    ("graph without writes", lambda: problems(inner()),
     "no_writes", "node b", "inner returns str", "writes='field'"),
    ("part of a graph", lambda: problems(inner(result=None), writes={"task": "drft"}),
     "unknown_field", "node b", "'drft'", "draft"),
    ("end of no graph", lambda: problems(words, writes={"task": when_stopped}),
     "unknown_parameter", "node b", "'ending'", "did you mean"),
    ("result of a graph", lambda: problems(inner(result="need"), writes="task"),
     "type_disagrees", "node b", "inner returns int, but task takes str", "its type"),
    ("input of no field", lambda: problems(inner(), inputs={"tpic": "task"}, writes="task"),
     "unknown_input", "node b", "'tpic'", "draft, need, task"),
    ("input of another type", lambda: problems(inner(), inputs={"need": "task"}, writes="task"),
     "type_disagrees", "node b", "'need' is int, but task is str", "change the annotation"),
    ("input from no field", lambda: problems(inner(), inputs={"draft": "tsk"}, writes="task"),
     "unknown_field", "node b, parameter draft", "'tsk'", "did you mean 'task'"),
    ("field that must be given", lambda: problems(needy(), writes="task"),
     "unknown_parameter", "node b", "nothing provides 'topic'", ""),
    ("misspelt label", lambda: problems(inner(), ended_with("aproved"), writes="task"),
     "unknown_label", "edge from b", "'aproved'", "did you mean 'approved'"),
    ("label amid a condition", lambda: problems(inner(), ended_with("aproved") & (value("n") > 1), writes="task"),
     "unknown_label", "edge from b", "'aproved'", "did you mean 'approved'"),
    ("label of none", lambda: problems(needy(), ended_with("approved"), inputs={"topic": "task"}, writes="task"),
     "unknown_label", "edge from b", "'approved'", "add label=… to one of its edges to END"),
    ("ended_with of a function", lambda: problems(words, ended_with("approved"), writes="task"),
     "bad_ended", "edge from b", "not a graph", "value(…)"),
    ("time of a graph", lambda: problems(inner(), timeout_seconds=3, writes="task"),
     "bad_option", "node b", "timeout_seconds does not apply to inner, which is a graph", "Limits(seconds=…)"),
    ("time of a question", lambda: problems(ask("Well?"), timeout_seconds=3, writes="task"),
     "bad_option", "node b", "timeout_seconds does not apply to a question", "ask(…, timeout_seconds=…)"),
    ("crash of a graph", lambda: problems(inner(), effect="once", writes="task"),
     "bad_option", "node b", "effect= does not apply to inner", "the inner node"),
    ("crash of a question", lambda: problems(ask("Well?"), effect="once", writes="task"),
     "bad_option", "node b", "effect= does not apply to ask", "remove it"),
    ("crash of what", lambda: problems(words, effect="twice", writes="task"),
     "bad_option", "node b", "effect='twice'", "'once'"),
    ("thread of a graph", lambda: problems(inner(), thread=False, writes="task"),
     "bad_option", "node b", "thread=False", "remove thread="),
    ("hole of a question", lambda: problems(ask("{tsk}?"), writes="task"),
     "unknown_parameter", "node b", "'tsk'", "did you mean 'task'"),
    ("no hole", lambda: problems(ask("{a b}?"), writes="task"),
     "bad_path", "node b", "the question has {a b}", "{{ and }}"),
    ("function of a question", lambda: problems(ask(lambda tsk: tsk), writes="task"),
     "unknown_parameter", "node b", "'tsk'", "did you mean 'task'"),
    ("any number of words", lambda: problems(ask(lambda *words: ""), writes="task"),
     "bad_parameter", "node b", "*words", "name each field"),
    ("answer of another type", lambda: problems(ask("Well?", bool), writes="task"),
     "type_disagrees", "node b", "returns bool, but task takes str", "its type"),
    ("async condition", lambda: problems(words, async_choice, writes="task"),
     "bad_function", "edge from b", "async_choice is async, but it is called without await", "write it with def"),
    ("async choice", lambda: problems(choose(async_choice, {"a": words}), writes="task"),
     "bad_function", "node b", "async_choice is async", "write it with def"),
    ("state as a dict", lambda: problems(of_dict, writes="task"),
     "type_disagrees", "node b", "'state' is dict[str, Any], but the node gets an instance of State", "annotate it as"),
    ("changed of no field", lambda: problems(words, changed("findngs"), writes="task"),
     "unknown_field", "edge from b", "'findngs'", "did you mean 'findings'"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("check", "code", "where", "text", "repair"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG]
)
def test_each_problem_has_its_code_place_and_repair(
    check: Callable[[], Sequence[Problem]], code: str, where: str, text: str, repair: str
) -> None:
    """Each is an error with its place, what is wrong, and the repair."""
    found = [str(problem) for problem in check()]
    hits = [p for p in check() if p.code == code and where in p.where and text in p.message and repair in p.repair]
    assert hits, found
    assert not hits[0].warning


@pytest.mark.parametrize("each", ["source", "sources["])
def test_a_map_over_nothing_is_one_problem(each: str) -> None:
    """A map over nothing is one problem; follow-up problems are not reported."""
    assert len(problems(item, each={"x": each}, writes="findings")) == 1


def test_the_problems_of_an_inner_graph_are_reported_with_its_path() -> None:
    """All of them, at any depth, each with the path of nodes."""
    outer = Graph("outer", Inner, result="draft")
    outer.add_node("deep", broken(), writes="draft")
    outer.add_path(START, "deep", END)
    found = {(problem.code, problem.where) for problem in problems(outer, writes="task")}
    assert found == {
        ("unknown_parameter", "node b: node deep: node write"),
        ("unreachable", "node b: node deep: node lost"),
        ("unknown_field", "node b: node deep: result="),
    }


def test_the_problems_of_a_graph_in_a_choice_are_reported_with_the_choice() -> None:
    """The problems of a graph in a choice are reported with the value of the choice."""
    found = [problem.where for problem in problems(choose("kind", {"a": words, "b": broken()}), writes="task")]
    assert "node b, choice 'b': node write" in found


def test_a_graph_with_problems_inside_does_not_compile() -> None:
    """The error's text contains all of them."""
    graph = Graph("g", State)
    graph.add_node("b", broken(), writes="task")
    graph.add_path(START, "b", END)
    with pytest.raises(CompileError) as caught:
        graph.compile()
    for problem in caught.value.problems:
        assert str(problem) in str(caught.value)
    assert "node b: node write" in str(caught.value)


def test_a_graph_that_contains_itself_is_refused() -> None:
    """A graph that contains itself, directly or through others, is refused; the message names the chain."""
    graph = Graph("round", Inner, result="draft")
    graph.add_node("again", graph, writes="draft")
    graph.add_path(START, "again", END)
    (problem,) = [p for p in graph.check() if p.code == "own_node"]
    assert (problem.where, problem.message) == ("node again", "the graph contains itself: round → round")
    assert "use an edge" in problem.repair

    first, second = (Graph(name, Inner, result="draft") for name in ("first", "second"))
    for one, other in ((first, second), (second, first)):
        one.add_node("in", other, writes="draft")
        one.add_path(START, "in", END)
    (problem,) = [p for p in first.check() if p.code == "own_node"]
    assert problem.message == "the graph contains itself: first → second → first"


def nested(levels: int, inner: Graph[State] | None = None) -> Graph[State]:
    """Return so many graphs, one inside the other, around another one if it is given."""
    graph = inner
    for level in range(levels):
        outer = Graph(f"g{level}", State, result="n")
        outer.add_node("a", graph if graph is not None else lambda n: n + 1, writes="n")
        outer.add_path(START, "a", END)
        graph = outer
    assert graph is not None
    return graph


async def test_graphs_are_nested_up_to_a_limit(tmp_path: Path) -> None:
    """A run of the deepest nest is recorded and read again; a deeper one is one problem, however deep it is."""
    most = validation.MOST_NESTED
    result = await nested(most).run(store=tmp_path / "runs.db")
    async with Runner(tmp_path / "runs.db") as runner:
        assert (await runner.resume(result.run_id, nested(most)).result()).state.n == 1
    for levels in (most + 1, 1000):
        graph = nested(levels)
        (problem,) = graph.check()
        assert (problem.code, problem.where) == ("too_deep", "node a")
        inner = f"g{levels - most - 1}"
        assert problem.message == f"graphs are nested more than {most} deep: {graph.name} → … → {inner}"
        assert "join inner graphs" in problem.repair


def test_a_graph_that_fits_at_one_place_can_be_too_deep_at_another() -> None:
    """It is compiled once, where it fits."""
    inner = nested(20)
    graph = Graph("both", State)
    graph.add_node("near", inner, writes="n")
    graph.add_node("far", nested(12, inner), writes="n")
    graph.add_path(START, "near", "far", END)
    (problem,) = graph.check()
    assert (problem.code, problem.where) == ("too_deep", "node far")


def test_one_graph_may_be_several_nodes() -> None:
    """Next to each other, and nested in another graph."""
    shared = inner()
    middle = Graph("middle", Inner, result="draft")
    middle.add_node("shared", shared, writes="draft")
    middle.add_path(START, "shared", END)
    graph = Graph("g", State)
    graph.add_node("one", shared, writes="task")
    graph.add_node("two", shared, writes="task")
    graph.add_node("three", middle, writes="task")
    graph.add_path(START, "one", "two", "three", END)
    assert list(graph.check()) == []
    assert sorted(graph.compile().paths()) == ["one", "one/write", "three", "three/shared", "three/shared/write", "two",
                                               "two/write"]  # fmt: skip
    assert [plan.graph for plan in graph.compile().nest] == ["g", "inner", "middle"]


def test_a_graph_used_at_many_places_is_compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each level uses the one below twice: a dozen levels are a dozen graphs to compile, not thousands."""
    compiled: list[str] = []
    plan = validation._Compiler.plan  # noqa: SLF001 - nothing public counts the compilations

    def counted(compiler: Any) -> Any:
        compiled.append(compiler.graph.name)
        return plan(compiler)

    monkeypatch.setattr(validation._Compiler, "plan", counted)  # noqa: SLF001
    below = inner()
    for level in range(12):
        graph = Graph(f"level{level}", Inner, result="draft")
        graph.add_node("left", below, writes="draft")
        graph.add_node("right", below, writes="draft")
        graph.add_path(START, "left", "right", END)
        below = graph
    below.compile()
    assert sorted(compiled) == sorted(["inner", *(f"level{level}" for level in range(12))])


@pytest.mark.parametrize(
    "fallback",
    [inner(), ask("Well?"), choose("kind", {"a": words, "b": words}), Node(words)],
    ids=["graph", "question", "choice", "node"],
)
def test_an_invalid_fallback_is_refused(fallback: Any) -> None:
    """It can neither be called nor written as a value."""
    (problem,) = problems(fallback=fallback, writes="task")
    assert (problem.code, problem.where) == ("bad_option", "node b")
    assert "a value, a function or an Agent" in problem.repair


async def test_an_agent_can_be_a_fallback() -> None:
    """It runs like a function, with the fields that its prompt reads."""

    async def breaks() -> str:
        raise ValueError

    cheap = Agent("cheap", prompt="{kind}", by_rules=lambda kind: f"cheap {kind}")
    graph = Graph("g", State)
    graph.add_node("b", breaks, writes="task", fallback=cheap)
    graph.add_path(START, "b", END)
    assert (await graph.run()).state.task == "cheap a"
    (problem,) = problems(writes="task", fallback=Agent("cheap", prompt="{knd}", model=ScriptedModel(["x"])))
    assert problem.where == "node b, fallback"
    assert "did you mean 'kind'" in problem.repair


def test_no_graph_ends_at_start() -> None:
    """An edge from START does not leave a graph."""
    graph = Graph("g", State)
    graph.add_edge(START, END, when=ended_with("x"))
    graph.add_edge(START, END)
    assert [(problem.code, problem.where) for problem in graph.check()] == [("bad_ended", "edge from START")]
    with pytest.raises(DefinitionError, match="has no label"):
        ended_with()


def test_two_nodes_of_one_name_are_refused() -> None:
    """Two nodes of one name are refused, also a graph and a function."""
    graph = Graph("g", State)
    graph.add_node("b", inner(), writes="task")
    graph.add_node("b", words, writes="task")
    graph.add_path(START, "b", END)
    (problem,) = graph.check()
    assert problem.code == "duplicate_node"
    first = graph.nodes[0].origin
    assert first is not None
    assert problem.line == first.line + 1
    assert problem.message == f"two nodes have this name; the first is at line {first.line}"


@pytest.mark.parametrize("name", ["b[0]", "a/b", "~b", "b c", "", "START"])
def test_a_name_that_would_be_a_path_is_refused(name: str) -> None:
    """The paths of items, graphs and arms contain [ ] / and ~."""
    graph = Graph("g", State)
    graph.add_node(name, words, writes="task")
    graph.add_edge(START, name)
    graph.add_edge(name, END)
    assert "bad_name" in [problem.code for problem in graph.check()]


@pytest.mark.parametrize(
    ("left", "right", "clash"),
    [
        ({"runnable": inner(), "writes": "task"}, {"runnable": words, "writes": "task"}, "task"),
        ({"runnable": item, "each": {"x": "names"}, "writes": "findings"}, {"runnable": ask("?", list[str]),
          "writes": "findings"}, "findings"),
        ({"runnable": item, "each": {"x": "names"}, "writes": "table[{x}]"}, {"runnable": words,
          "writes": "table[a]"}, "table"),
        ({"runnable": words, "writes": "table[a]"}, {"runnable": words, "writes": "table[b]"}, ""),
        ({"runnable": inner(), "writes": "history"}, {"runnable": words, "writes": "history"}, ""),
    ],
)  # fmt: skip
def test_arms_that_write_over_each_other_are_refused(left: Any, right: Any, clash: str) -> None:
    """Arms that write over each other are refused, also as graphs, maps and questions; different keys are fine."""
    graph = Graph("g", State)
    graph.add_node("left", **left)
    graph.add_node("right", **right)
    graph.add_fork(START, ["left", "right"], join=END)
    graph.add_edge("left", END)
    graph.add_edge("right", END)
    found = [problem for problem in graph.check() if problem.code == "write_conflict"]
    assert bool(found) == bool(clash)
    assert all(f"left and right, in different arms, both write {clash}" in problem.message for problem in found)


def test_failures_and_ends_of_a_graph_are_separate_edges() -> None:
    """failed(…) and ended_with(…) can be on two edges, but not in one condition."""
    assert list(problems(inner(), failed(Exception), ended_with("approved"), writes="task")) == []
    found = problems(inner(), failed(Exception) | ended_with("approved"), writes="task")
    assert [problem.code for problem in found] == ["mixed_failure"]


def test_a_state_of_keys_is_no_model() -> None:
    """A node of a TypedDict gets a dict, also under another TypedDict's name."""

    class Keys(TypedDict):
        task: str

    class Other(TypedDict):
        task: str

    def of_model(state: State) -> str:
        return state.task

    def of_keys(state: Other) -> str:
        return state["task"]

    graph = Graph("keys", Keys)
    graph.add_node("a", of_dict, writes="task")
    graph.add_node("b", of_keys, writes="task")
    graph.add_node("c", of_model, writes="task")
    graph.add_path(START, "a", "b", "c", END)
    (problem,) = graph.check()
    assert (problem.code, problem.where) == ("type_disagrees", "node c")
    assert "'state' is State, but the node gets a dict" in problem.message
