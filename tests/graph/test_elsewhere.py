"""LangGraph's names: each raises an error with the graphengine equivalent."""

import asyncio
import inspect
import operator
import re
from collections.abc import Callable
from typing import Annotated, Any, Literal, TypedDict, cast

import pytest
from pydantic import BaseModel

from graphengine import (
    END,
    START,
    Agent,
    Context,
    Graph,
    Limits,
    Retry,
    RunFailed,
    Runner,
    ask,
    choose,
    failed,
)
from graphengine.errors import DefinitionError, GraphEngineError, InputError
from graphengine.graph import elsewhere
from graphengine.graph.elsewhere import KEYWORDS, NAMES, NotCalledSo
from graphengine.testing import EdgeCoverage, walk
from graphengine.worker.worker import Worker
from graphs import blackboard, content_queue, event_bus, orchestrator, review_loop, writers_room


class State(BaseModel):
    text: str = ""
    items: Annotated[list[str], operator.add] = []


class Quoted(BaseModel):
    items: Annotated[list[str], "append"] = []


class Strict(BaseModel):
    text: str
    score: int


class Keys(TypedDict):
    text: str
    score: int


def work(text: str) -> str:
    """A node."""
    return text + "!"


def three() -> Any:
    """Return three nodes, from a to b and c, typed as Any, so that type checkers accept the mistakes below."""
    graph: Any = Graph("three", State)
    for name in "abc":
        graph.add_node(name, work, writes="text")
    graph.add_edge(START, "a")
    return graph


def one(node: object, **options: Any) -> Any:
    """One node."""
    graph: Any = Graph("one", State)
    graph.add_node("a", node, **options)
    graph.add_path(START, "a", END)
    return graph


def passing(state: type[Any]) -> Any:
    """A graph without nodes over this state."""
    graph: Any = Graph("passing", state)
    graph.add_path(START, END)
    return graph


def configured(**options: Any) -> Any:
    """A graph with options of any name."""
    return Graph("configured", State, **options)


def agent(**options: Any) -> Any:
    """An agent with options of any name."""
    return Agent("a", **options)


def made_with(**options: Any) -> Any:
    """A runner with options of any name."""
    return Runner(**options)


def agent_without_name() -> object:
    """An agent without its name."""
    return cast("Any", Agent)()


async def awaited() -> None:
    """Await a run in place of its result."""
    async with Runner() as runner:
        await cast("Any", runner.start(one(work, writes="text")))


def enter(runner: Any) -> None:
    """Enter it as other libraries do."""
    with runner:
        pass


class Command:
    def __init__(self, **_: object) -> None:
        """As elsewhere."""


class Send(Command):
    pass


CALLS: list[tuple[str, Callable[[], object], str]] = [
    ("invoke", lambda: three().invoke({}), "graph.run_sync(state)"),
    ("invoke of what compile returned", lambda: one(work, writes="text").compile().invoke({}), "graph.run_sync(state)"),
    ("stream", lambda: three().stream({}), "runner.start(graph, state).events()"),
    ("conditional edges", lambda: three().add_conditional_edges("a", work, {}), "add_switch("),
    ("entry point", lambda: three().set_entry_point("a"), "add_edge(START, 'first')"),
    ("finish point", lambda: three().set_finish_point("a"), "add_edge('last', END)"),
    ("sequence", lambda: three().add_sequence(["a", "b"]), "add_path("),
    ("state of a thread", lambda: three().get_state({}), "runner.state_at(run_id)"),
    ("update of a thread", lambda: three().update_state({}, {}), "runner.branch("),
    ("picture", lambda: three().get_graph().draw_mermaid(), "graph.to_mermaid()"),
    ("checkpointer", lambda: three().compile(checkpointer=object()), "Runner('runs.db')"),
    ("checkpointer of a graph", lambda: configured(checkpointer=object()), "Runner('runs.db')"),
    ("interrupt", lambda: three().compile(interrupt_before=["a"]), "pause_before=['node']"),
    ("thread id", lambda: three().run_sync({}, config={"configurable": {"thread_id": "1"}}), "run_id='…'"),
    ("retry policy", lambda: three().add_node("d", work, retry_policy=object()), "retry=Retry(attempts=3)"),
    ("a graph without a name", lambda: Graph(State), "Graph('a_name', State)"),  # type: ignore[call-arg, arg-type]
    ("edges from a list", lambda: three().add_edge(["b", "c"], "d"), "add_fork(…, ['b', 'c'], join='d')"),
    ("edges to a list", lambda: three().add_edge("a", ["b", "c"]), "add_fork('a', ['b', 'c'], join=…)"),
    ("an edge from a lambda", lambda: three().add_edge(lambda text: text, END), "the name of a node, or its function"),
    ("an edge to nothing", lambda: three().add_edge("a", None), "the name of a node, or its function"),
    ("a case that is a list", lambda: three().add_switch("a", "text", {"x": ["b", "c"]}), "add_fork('a', ['b', 'c']"),
    ("a fork to one name", lambda: three().add_fork("a", "bc", join=END), "['bc']"),
    ("a result as a mapping", lambda: one(work, writes="text").run_sync({})["text"], "result.state.text"),
    ("a field of the state as of a result", lambda: one(work, writes="text").run_sync({}).text, "result.state.text"),
    ("a switch of a list", lambda: three().add_switch("a", "text", ["x"]), "{'x': 'target'}"),
    ("a choice of a list", lambda: choose("text", cast("Any", [work])), "mapping of values"),
    ("a field as an option", lambda: three().run_sync(text="x"), "the state is one argument: {'text': …}"),
    ("a field as an option of run", lambda: three().run(text="x"), "the state is one argument: {'text': …}"),
    ("a part of a TypedDict", lambda: passing(Keys).run_sync({"text": "x"}), "declare score: NotRequired[…] in Keys"),
    ("a part of a model", lambda: passing(Strict).run_sync({"text": "x"}), "give score, or declare score with"),
    ("a class for a state", lambda: passing(Keys).run_sync(Keys), "pass an instance: Keys()"),
    ("a misspelt option", lambda: three().run_sync(run_idd="x"), "did you mean 'run_id'?"),
    ("a database", lambda: three().run_sync(db="runs.db"), "store='runs.db'"),
    ("a run of a plan", lambda: one(work, writes="text").compile().run_sync(), "graph.run_sync(…)"),
    ("a graph without a state", lambda: Graph("g"), "Graph('g', State)"),  # type: ignore[call-arg]
    ("a graph of no name", lambda: Graph("", State), "NUL"),
    ("a node before its name", lambda: three().add_node(work, "d"), "add_node('d', work)"),
    ("a path of a list", lambda: three().add_path(["a", "b"]), "each as an argument"),
    ("a condition by another name", lambda: three().add_edge("a", "b", condition=None), "when=…"),
    ("an edge with a condition that is not called", lambda: three().add_edge("a", "b", when=failed), "failed(…)"),
    ("a default of a switch", lambda: three().add_switch("a", "text", {}, default="b"), "otherwise='node'"),
    ("arms of a fork", lambda: three().add_fork("a", arms=["b"], join=END), "known: join"),
    ("a limit by another name", lambda: cast("Any", Limits)(steps=3), "visits=…"),
    ("a retry by another name", lambda: cast("Any", Retry)(max_attempts=3), "did you mean 'attempts'?"),
    ("options of a question", lambda: cast("Any", ask)("Which?", options=["a"]), "Literal['a', 'b']"),
    ("a text as the type of an answer", lambda: ask("Sure?", "bool"), "the type itself"),
    ("a coverage of a list", lambda: EdgeCoverage(cast("Any", [three()])), "EdgeCoverage(one, another)"),
    ("a walk of no graph", lambda: asyncio.run(walk(cast("Any", "g"), {})), "give the Graph itself"),
    ("a misspelt option of a node", lambda: three().add_node("d", work, write="text"), "did you mean 'writes'?"),
    ("a misspelt option of a graph", lambda: configured(results="text"), "did you mean 'result'?"),
    ("a database of a runner", lambda: made_with(db="runs.db"), "store='runs.db'"),
    ("limits of a runner", lambda: made_with(limits=Limits(visits=3)), "of Runner.start"),
    ("instructions", lambda: agent(instructions="Be brief."), "system='…'"),
    ("a dict as the type of answers", lambda: agent(output={"a": int}), "give a type"),
    ("a memory without a field", lambda: agent(memory=True), "memory='messages'"),
    ("choices as the type of an answer", lambda: ask("Which?", ["a", "b"]), "Literal['a', 'b']"),
    ("a worker of a list", lambda: Worker(made_with(), cast("Any", [three()])), "Worker(runner, *graphs)"),
    ("a worker of a mapping", lambda: Worker(made_with(), cast("Any", {"three": three()})), "Worker(runner, *graphs)"),
    ("an edge without a target", lambda: three().add_edge("a"), "add_edge('a', 'b')"),
    ("a condition without its keyword", lambda: three().add_edge("a", "b", lambda text: text), "when=value('field')"),
    ("a fork without a join", lambda: three().add_fork("a", ["b", "c"]), "join='d'"),
    ("an agent without a name", agent_without_name, "Agent('name'"),
    ("the value of a result", lambda: one(work, writes="text").run_sync().value, "result.output"),
    ("the steps of a result", lambda: one(work, writes="text").run_sync().steps, "runner.history("),
    ("a branch at no step", lambda: made_with().branch("x", three()), "it takes parent, graph, at"),
    ("an answer to a node", lambda: made_with().answer("x", "a", "yes"), "it takes run_id, value, question"),
    ("an answer to a wait", lambda: made_with().answer("x", "yes", wait="a"), "question='node'"),
    ("a resume of a graph", lambda: made_with().resume(three(), "x"), "resume(run_id, graph)"),
    ("an awaited run", lambda: asyncio.run(awaited()), "await run.result()"),
    ("a run of a graph", lambda: asyncio.run(made_with().run(three())), "runner.start(graph, state)"),
    ("a runner without a loop", lambda: enter(made_with()), "async with Runner(…) as runner"),
]


@pytest.mark.parametrize(("call", "repair"), [case[1:] for case in CALLS], ids=[case[0] for case in CALLS])
def test_a_call_as_elsewhere_names_our_way(call: Callable[[], object], repair: str) -> None:
    """It raises one error, whose repair is what to write here."""
    with pytest.raises((DefinitionError, InputError)) as caught:
        call()
    assert repair in caught.value.repair


def test_the_signatures_of_runs_show_their_options() -> None:
    """Of `run` and `run_sync` editors and `help` show the same options by name."""
    of_run, of_run_sync = inspect.signature(Graph.run), inspect.signature(Graph.run_sync)
    assert of_run == of_run_sync
    assert list(of_run.parameters)[:5] == ["self", "state", "limits", "store", "run_id"]


def route(text: str) -> Literal["b", "c"]:
    """A router as elsewhere."""
    return "b" if text else "c"


def edges(*pairs: tuple[str, str], **options: object) -> Any:
    """The three nodes with these edges."""
    graph = three()
    for source, target in pairs:
        graph.add_edge(source, target, **options)
    return graph


def routed() -> Any:
    """A condition that returns the name of a node."""
    graph = edges(("b", END), ("c", END))
    graph.add_edge("a", "b", when=route)
    graph.add_edge("a", "c")
    return graph


PROBLEMS: list[tuple[str, Callable[[], Any], str, str]] = [
    (
        "two plain edges",
        lambda: edges(("a", "b"), ("a", "c"), ("b", END), ("c", END)),
        "two_otherwise",
        "for parallel arms: add_fork('a', ['b', 'c'], join=…)",
    ),
    ("a route as a condition", routed, "wrong_comparison", "add_switch('a', route, {…})"),
    ("the name of the end", lambda: edges(("a", "b"), ("b", "c"), ("c", "__end__")), "unknown_node", "write END"),
    ("a command", lambda: one(commanding), "no_writes", "edges choose the next node"),
    ("the end in small letters", lambda: edges(("a", "b"), ("b", "c"), ("c", "end")), "unknown_node", "write END"),
    ("the config", lambda: one(lambda config: {}), "unknown_parameter", "ctx: Context has the run's id"),
    ("a reducer as a text", lambda: passing(Quoted), "bad_reducer", "write append without quotes"),
    ("a parameter of any name", lambda: one(lambda s: {}), "unknown_parameter", "known: ctx, error, items, state"),
]


@pytest.mark.parametrize(("made", "code", "repair"), [p[1:] for p in PROBLEMS], ids=[p[0] for p in PROBLEMS])
def test_a_graph_as_elsewhere_has_one_problem(made: Callable[[], Any], code: str, repair: str) -> None:
    """Its repair is what to write here; nothing that follows from it is listed."""
    (problem,) = made().check()
    assert problem.code == code
    assert repair in problem.repair


def interrupted(question: str) -> str:
    """Raise as LangGraph's interrupt does outside its own graphs."""
    raise RuntimeError(f"Called get_config outside of a runnable context{question[:0]}")


def commanding(text: str) -> Command:
    """A node that says what it returns."""
    return Command(goto=text)


async def called_early(ctx: Context) -> str:
    """Call a function in place of naming it."""
    return await ctx.call(cast("Any", work("x")))


async def unawaited() -> str:
    """Return what a node forgets to await."""
    return "x"


RESULTS: list[tuple[str, object, dict[str, object], str]] = [
    ("nothing under writes", lambda: None, {"writes": "text"}, "return a value on every path"),
    ("a mapping under writes", lambda: {"text": "x"}, {"writes": "text"}, "remove writes='text'"),
    ("a value without writes", lambda: "x", {}, "writes='field'"),
    ("a command", lambda: Command(goto="b"), {}, "add_switch(…)"),
    ("an interrupt", lambda: interrupted("Publish?"), {"writes": "text"}, "await ctx.ask('…', bool)"),
    (
        "a state read as a dict",
        lambda state: state["text"],
        {"writes": "text"},
        "state.text, or a parameter named text",
    ),
    ("a list of sends", lambda: [Send()], {"writes": "text"}, "each={'item': 'items'}"),
    ("a coroutine", lambda: {"text": unawaited()}, {}, "write await before the call of unawaited"),
    ("a step of the context", lambda ctx: ctx.step(work), {"writes": "text"}, "ctx.call(function"),
    ("the state of the context", lambda ctx: ctx.state.text, {"writes": "text"}, "one named state"),
    ("an interrupt of the context", lambda ctx: ctx.interrupt("x"), {"writes": "text"}, "await ctx.ask("),
    ("a result to call", called_early, {"writes": "text"}, "ctx.call(function, argument)"),
    ("a change in place", lambda state: state.items.append("x"), {}, "return the new value"),
]


@pytest.mark.parametrize(("node", "options", "repair"), [case[1:] for case in RESULTS], ids=[c[0] for c in RESULTS])
def test_a_result_as_elsewhere_fails_the_run_with_our_way(
    node: object, options: dict[str, object], repair: str
) -> None:
    """The repair of the failure is what to write here."""
    with pytest.raises(RunFailed) as caught:
        one(node, **options).run_sync()
    assert repair in caught.value.repair


def test_none_that_is_read_as_a_dict_is_no_state() -> None:
    """The repair is about the state only if it can be the state that has no items."""
    with pytest.raises(RunFailed, match="'NoneType' object is not subscriptable") as caught:
        one(lambda: cast("Any", None)["text"], writes="text").run_sync()
    assert "state.text" not in caught.value.repair


def test_other_names_are_unknown_as_in_python() -> None:
    """Other unknown names get Python's own suggestion; `hasattr` and copies work."""
    with pytest.raises(AttributeError, match="'Graph' object has no attribute 'add_nodes'") as caught:
        three().add_nodes()
    assert not isinstance(caught.value, GraphEngineError)
    assert (caught.value.name, hasattr(three(), "invoke")) == ("add_nodes", False)
    assert not NAMES.keys() & {*dir(three()), *dir(one(work, writes="text").compile())}
    assert issubclass(NotCalledSo, AttributeError)


def test_each_of_our_ways_exists() -> None:
    """Methods of graphs and runners that the tables name are there."""
    graph, text = three(), " ".join((*NAMES.values(), *KEYWORDS.values(), *elsewhere.RESULTS.values()))
    for name in re.findall(r"graph\.(\w+)\(|\b(add_\w+)\(", text):
        assert hasattr(graph, "".join(name))
    for name in re.findall(r"(?:runner|Runner)\.(\w+)\(", text):
        assert hasattr(Runner, name)


async def test_a_run_that_is_awaited_is_a_coroutine() -> None:
    """It can be a task, and be awaited."""
    graph = one(work, writes="text")
    assert (await asyncio.create_task(graph.run({"text": "a"}))).state.text == "a!"
    assert (await graph.run({"text": "b"})).state.text == "b!"


def test_graphs_and_plans_are_shown_in_short() -> None:
    """Graphs and plans are shown by name, state and number of nodes."""
    graph = one(work, writes="text")
    assert (repr(graph), repr(graph.compile())) == ("Graph('one', State, 1 node)", "Plan('one', State, 1 node)")


def test_a_removed_edge_is_one_problem() -> None:
    """Removing any edge of the bundled workflows is one problem: what follows from it is not listed."""
    for module in (blackboard, content_queue, event_bus, orchestrator, review_loop, writers_room):
        whole: Graph[Any] = module.graph
        before = len(whole.check())
        for index, edge in enumerate(whole.edges):
            part = whole.but()
            part.edges.pop(index)
            problems = part.check()
            errors = [problem for problem in problems if not problem.warning]
            assert len(errors) <= 1, (whole.name, edge, errors)
            assert not errors or len(problems) == 1 + before


def test_a_subclass_decides_what_it_takes() -> None:
    """What is said about a missing name or state is about the arguments of `Graph` itself."""

    class Named(Graph[State]):
        def __init__(self, name: str) -> None:
            super().__init__(name, State)

    assert repr(Named("a")) == "Graph('a', State, 0 nodes)"


def test_a_path_of_one_node_is_refused() -> None:
    """A path joins two nodes or more."""
    with pytest.raises(DefinitionError, match="adds no edge"):
        three().add_path("a")


@pytest.mark.parametrize(("state", "item"), [(State, "result.state.text"), (Keys, "result.state['text']")])
def test_an_item_of_a_result_is_an_attribute_or_a_key_of_its_state(state: type[Any], item: str) -> None:
    """result["text"] names what has it, as the type of the state does, and result["__interrupt__"] the waits."""
    graph: Any = Graph("one", state)
    graph.add_node("a", work, writes="text")
    graph.add_path(START, "a", END)
    result = graph.run_sync({"text": "hi", **({"score": 1} if state is Keys else {})})
    with pytest.raises(DefinitionError, match=re.escape(f"repair: {item}, or result.output")):
        result["text"]
    with pytest.raises(DefinitionError, match=re.escape("repair: result.waits")):
        result["__interrupt__"]


async def test_a_runner_names_what_does_what_is_asked_of_a_graph_elsewhere() -> None:
    """A method of LangGraph's graphs that is looked for in a Runner has the same repair, with a step's number."""
    async with Runner() as runner:
        with pytest.raises(NotCalledSo, match=re.escape("runner.state_at(run_id, step.seq)")):
            cast("Any", runner).get_state_history("first")
        with pytest.raises(AttributeError, match="no attribute 'foo'"):
            _ = cast("Any", runner).foo


async def test_a_step_is_its_number_or_a_visit() -> None:
    """What is neither, such as a step of the history, is refused with what to give."""
    graph = one(work, writes="text")
    async with Runner() as runner:
        await runner.start(graph, {"text": "hi"}, run_id="first").result()
        step: Any = (await runner.history("first"))[0]
        repair = re.escape("give the seq of a step, or a node's path and visit")
        with pytest.raises(InputError, match=repair):
            await runner.state_at("first", step)
        with pytest.raises(InputError, match=repair):
            await runner.branch("first", graph, at="a1").result()
