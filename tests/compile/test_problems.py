"""Compile reports everything that is wrong with a graph at once, with a code, the place and a repair."""

import datetime
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from graphengine import (
    END,
    FAIL,
    START,
    Agent,
    Failure,
    Graph,
    Node,
    Replace,
    Retry,
    ask,
    choose,
    elapsed_seconds,
    failed,
    iterations,
    plateau,
    usage,
    value,
)
from graphengine.errors import Problem
from graphengine.reducers import append, extend, maximum, merge


class Review(BaseModel):
    score: int
    issues: list[str] = []


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class State(BaseModel):
    task: str = ""
    score: float = 0.0
    review: Review | None = None
    history: Annotated[list[Review], append] = []
    views: dict[str, str] = {}
    next_agent: Literal["writer", "done"] = "done"
    colour: Colour = Colour.RED
    kind: Literal["long", "short"] | None = None
    when: datetime.date = datetime.date(2026, 1, 1)
    errors: Annotated[list[Failure], append] = []
    anything: Any = None


def noop() -> dict[str, str]:
    """Write nothing."""
    return {}


def base() -> Graph[State]:
    """Return a sound graph without its last edge: START → a."""
    graph = Graph("g", State)
    graph.add_node("a", noop)
    graph.add_edge(START, "a")
    return graph


def found(change: Callable[[Graph[State]], object], *, end: bool = True) -> list[Problem]:
    """Return the problems of the sound graph with one change."""
    graph = base()
    change(graph)
    if end:
        graph.add_edge("a", END)
    return list(graph.check())


def codes(problems: list[Problem]) -> list[str]:
    """Return the codes of the problems."""
    return [p.code for p in problems]


def when(condition: Any) -> Callable[[Graph[State]], None]:
    """Return the change that adds this condition."""
    return lambda g: g.add_edge("a", END, when=condition)


def node(name: str, runnable: Any = noop, **options: Any) -> Callable[[Graph[State]], None]:
    """Return the change that adds this node."""

    def add(graph: Graph[State]) -> None:
        graph.add_node(name, runnable, **options)
        graph.add_edge("a", name, when=value("task") == "x")
        graph.add_edge(name, END)

    return add


def wrong_type(task: int) -> str:
    """Read a text as a number."""
    return str(task)


def nearly(tsk: str = "") -> str:
    """Read a misspelt field with a default."""
    return tsk


def many(*args: str) -> None:
    """Take arguments without names."""
    del args


def words() -> str:
    """Give a text."""
    return ""


def yields() -> Iterator[str]:
    """Yield a text in parts."""
    yield ""


def replaced() -> Replace[str]:
    """Replace a list by a text."""
    return Replace("")


def reviews() -> list[Review]:
    """Return a list although one item is expected."""
    return []


def whole(state: State) -> State:
    """Return the whole state."""
    return state


def ready_made(graph: Graph[State]) -> None:
    """Declare a resource that is an object, not a factory."""
    graph.resources["db"] = 5  # type: ignore[assignment]


def alone(graph: Graph[State]) -> None:
    """Add a node that nothing leads to."""
    graph.add_node("b", noop)
    graph.add_edge("b", END)


CASES: list[tuple[str, Callable[[Graph[State]], object], str, str, str]] = [
    ("misspelt field", when(value("review.scor") >= 7), "unknown_field", "review.scor", "'review.score'"),
    ("misspelt item", when(value("history[-1].isues").contains("x")), "unknown_field", "isues", "history[-1].issues"),
    ("key of a model", when(value("review[x]") == 1), "unknown_field", "review[x]", ""),
    ("text with number", when(value("task") >= 7), "wrong_comparison", "task >= 7", "type"),
    ("date with text", when(value("when") < "2026"), "wrong_comparison", "when < '2026'", "type"),
    ("visits with text", when(iterations("a") >= "3"), "wrong_comparison", "with str", "number"),
    ("cost with text", when(usage("cost_usd") > "1"), "wrong_comparison", "with str", "number"),
    ("time with text", when(elapsed_seconds() > "1"), "wrong_comparison", "with str", "number"),
    ("unknown key of a fallback", node("b", noop, fallback={"tsk": ""}), "unknown_field", "'tsk'", "'task'"),
    ("value no literal has", when(value("next_agent") == "writr"), "wrong_comparison", "never", "'writer'"),
    ("value no enum has", when(value("colour") == "rad"), "wrong_comparison", "never", "'red'"),
    ("bad plateau path", when(plateau("histroy[-1].score")), "unknown_field", "histroy", "history"),
    ("since no node", when(iterations("a", since="b") > 1), "unknown_node", "'b'", ""),
    ("function of no field", when(lambda scoer: scoer > 1), "unknown_parameter", "scoer", "'score'"),
    ("mixed failure", when(failed(ValueError) | (value("score") > 1)), "mixed_failure", "failed", "second edge"),
    ("edge to START", lambda g: g.add_edge("a", START, when=value("task") == ""), "bad_edge", "START", ""),
    ("edge from END", lambda g: g.add_edge(END, "a"), "bad_edge", "END", ""),
    ("failed START", lambda g: g.add_edge(START, "a", when=failed(ValueError)), "bad_edge", "START", ""),
    ("two otherwise", lambda g: g.add_edge("a", "a"), "two_otherwise", "several", "keep one"),
    ("annotation disagrees", node("b", wrong_type, writes="task"), "type_disagrees", "int", "annotation"),
    ("nearly a field", node("b", nearly, writes="task"), "unused_default", "tsk", "'task'"),
    ("star args", node("b", many), "bad_parameter", "*args", ""),
    ("writes wrong type", node("b", words, writes="score"), "type_disagrees", "returns str", "score"),
    ("writes wrong item", node("b", words, writes="history"), "type_disagrees", "returns str", ""),
    ("key of no dict", node("b", words, writes="task[x]"), "bad_write", "not a dict", "dict"),
    ("part of a field", node("b", words, writes="task.text"), "bad_write", "a whole field", "task.model_copy(update={"),
    ("writes in a tuple", node("b", noop, writes=("task", "scor")), "unknown_field", "scor", "'score'"),
    ("writes in a mapping", node("b", noop, writes={"scor": "."}), "unknown_field", "scor", ""),
    ("zero timeout", node("b", words, writes="task", timeout_seconds=0), "bad_option", "timeout_seconds", ""),
    ("not runnable", node("b", 5, writes="task"), "not_runnable", "5", "function"),
    ("ask uncalled", node("b", ask, writes="task"), "not_runnable", "ask itself", "ask(…)"),
    ("agent uncalled", node("b", Agent, writes="task"), "not_runnable", "Agent itself", "Agent(…)"),
    ("graph uncalled", node("b", Graph, writes="task"), "not_runnable", "Graph itself", "Graph(…)"),
    ("choose uncalled", node("b", choose, writes="task"), "not_runnable", "choose itself", "choose(…)"),
    ("plateau of text", when(plateau("task")), "not_a_number", "'task'", "numeric field"),
    ("retry as a number", node("b", words, writes="task", retry=3), "bad_option", "retry=3", "Retry(attempts=3)"),
    ("retry as a flag", node("b", words, writes="task", retry=True), "bad_option", "retry=True", "Retry(attempts=3)"),
    ("a constant input", node("b", words, writes="task", inputs={"k": 3}), "bad_option", "{'k': 3}", "lambda: 3"),
    ("a constant item", node("b", words, writes="task", each={"x": 3}), "bad_option", "{'x': 3}", "lambda: 3"),
    (
        "timeout as text",
        node("b", words, writes="task", timeout_seconds="5"),
        "bad_option",
        "timeout_seconds",
        "seconds",
    ),
    ("inputs as a list", node("b", words, writes="task", inputs=["n"]), "bad_option", "inputs", "mapping"),
    ("untimeable", node("b", words, writes="task", timeout_seconds=1, thread=False), "bad_option", "thread", "remove"),
    (
        "thread of an agent",
        node("b", Agent("w", prompt="{task}"), writes="task", thread=False),
        "bad_option",
        "thread",
        "",
    ),
    ("yields", node("b", yields, writes="task"), "bad_option", "generator", "emit"),
    ("no writes", node("b", words), "no_writes", "returns str", "writes="),
    ("replaces a wrong type", node("b", replaced, writes="history"), "type_disagrees", "returns Replace", ""),
    ("append of a list", node("b", reviews, writes="history"), "type_disagrees", "returns list", "extend"),
    ("the whole state", node("b", whole), "returns_state", "whole state", "changes"),
    (
        "choice not covered",
        node("b", choose("next_agent", {"done": words}), writes="task"),
        "missing_choice",
        "'writer'",
        "",
    ),
    (
        "case with options",
        node("b", choose("task", {"x": Node(words, retry=Retry())}), writes="task"),
        "bad_option",
        "case",
        "",
    ),
    (
        "input of no case",
        node("b", choose("task", {"x": words}), writes="task", inputs={"y": "task"}),
        "unknown_input",
        "'y'",
        "",
    ),
    ("limits as a number", lambda g: setattr(g, "limits", 5), "bad_option", "limits=5", "Limits"),
    ("ready-made resource", ready_made, "bad_option", "'db'", "lambda"),
    ("bad errors field", lambda g: setattr(g, "collect_errors", "views"), "bad_errors", "views", "type"),
    ("unknown errors field", lambda g: setattr(g, "collect_errors", "erors"), "unknown_field", "erors", "'errors'"),
    ("reserved name", node("END"), "bad_name", "END", "identifier"),
    ("missing case", lambda g: g.add_switch("a", "next_agent", {"writer": END}), "missing_case", "'done'", "otherwise"),
    ("unknown kept field", lambda g: setattr(g, "carry_over", ("tsk",)), "unknown_field", "tsk", "'task'"),
    ("prompt hole", node("b", Agent("w", prompt="{a b}"), writes="task"), "bad_path", "a b", "{{"),
    ("bad result", lambda g: setattr(g, "result", "tsk"), "unknown_field", "tsk", "'task'"),
    ("resource like a field", lambda g: g.resources.update(task=dict), "name_clash", "task", "rename"),
]


@pytest.mark.parametrize(("change", "code", "text", "repair"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_each_problem_has_its_code_place_and_repair(
    change: Callable[[Graph[State]], object], code: str, text: str, repair: str
) -> None:
    """The problem has its message and repair, and no follow-up problems are reported."""
    problems = found(change)
    assert codes(problems) == [code]
    assert text in problems[0].message
    assert repair in problems[0].message + problems[0].repair + problems[0].where


@pytest.mark.parametrize(
    ("cases", "end", "expected"),
    [
        ({"long": END, "short": END}, False, ["missing_case"]),
        ({"long": END, "short": END, None: END}, False, []),
        ({"long": END, "short": END}, True, []),
    ],
)
def test_a_switch_on_what_can_be_none_needs_a_case_for_it(
    cases: dict[str | None, str], expected: list[str], *, end: bool
) -> None:
    """A switch on `Kind | None` that has no case for None, nor an edge after it, is a warning."""
    problems = found(lambda g: g.add_switch("a", "kind", cases), end=end)
    assert codes(problems) == expected
    assert all(problem.warning and "kind == None" in problem.message for problem in problems)


def test_an_edge_after_the_otherwise_is_never_tried() -> None:
    """Success edges after the one without a condition are refused; failed(…) edges are allowed there."""
    graph = base()
    graph.add_edge("a", END)
    graph.add_edge("a", FAIL, when=failed(Exception))
    assert list(graph.check()) == []
    graph.add_edge("a", FAIL, when=value("task") == "x")
    assert codes(list(graph.check())) == ["otherwise_not_last"]


class Trail(BaseModel):
    trail: Annotated[list[str], append] = []
    latest: Annotated[list[str], append, AfterValidator(lambda items: items[-3:])] = []
    plain: list[str] = []
    score: int = 0


def word() -> str:
    """Return an item to append."""
    return "x"


def shout(name: str) -> str:
    """Return an item to append for each name."""
    return name.upper()


def word_or_nothing() -> str | Replace[list[str]]:
    """Return an item, or a replacement of the list."""
    return Replace([])


def anything() -> Any:
    """Return a value of unknown type."""
    return Replace([])


def mapping() -> dict[str, Any]:
    """Return unknown fields with unknown values."""
    return {"trail": Replace([])}


def scored() -> Review:
    """Return a model whose fields name the written fields."""
    return Review(score=3)


ADDS = Node(word, writes="trail")
LONG = value("trail").length() >= 5


def trail(condition: Any, *loop: Any, otherwise: str = "") -> list[str]:
    """Return the problems of a loop of these nodes that the first one leaves; `otherwise` lets it skip nodes."""
    graph = Graph("g", Trail)
    names = [f"n{number}" for number in range(len(loop))]
    for name, node in zip(names, loop, strict=True):
        graph.add_node(name, node)
    graph.add_edge(START, names[0])
    graph.add_edge(names[0], END, when=condition)
    if otherwise:
        graph.add_edge(names[0], otherwise, when=value("score") > 3)
    graph.add_path(*names, names[0])
    return codes(list(graph.check()))


@pytest.mark.parametrize(
    "warnings",
    [
        lambda: trail(LONG, ADDS),
        lambda: trail(LONG, None, ADDS),
        lambda: trail((value("score") >= 7) | (value("trail").length() > 5), ADDS, ADDS, noop),
        lambda: trail(LONG, Node(Agent("n", prompt="{score}"), writes="trail"), None),
        lambda: trail(LONG, None, ADDS, ADDS, otherwise="n2"),
        lambda: trail(LONG, Node(word, writes="trail", fallback="nothing")),
    ],
    ids=range(6),
)
def test_a_list_that_each_round_makes_longer_ends_a_loop(warnings: Callable[[], list[str]]) -> None:
    """A list ends a loop if a node on every round appends to it, and no node of the loop can replace it."""
    assert warnings() == []


@pytest.mark.parametrize(
    "warnings",
    [
        lambda: trail(value("trail").length() == 5, ADDS),
        lambda: trail(value("trail").length() <= 5, ADDS),
        lambda: trail(value("trail").length() >= float("inf"), ADDS),
        lambda: trail(value("trail[-1]").length() >= 5, ADDS),
        lambda: trail(value("latest").length() >= 5, Node(word, writes="latest")),
        lambda: trail(value("plain").length() >= 5, Node(lambda plain: [*plain, "x"], writes="plain")),
        lambda: trail(LONG, None, noop),
        lambda: trail(LONG, None, None, ADDS, otherwise="n0"),
        lambda: trail(LONG, Node(word_or_nothing, writes="trail")),
        lambda: trail(LONG, ADDS, Node(anything, writes="trail")),
        lambda: trail(LONG, ADDS, mapping),
        lambda: trail(LONG, Node(word, writes="trail", fallback=Replace([]))),
        lambda: trail(LONG, ADDS, scored),
        lambda: trail(LONG, Node(shout, each={"name": "plain"}, writes="trail")),
        lambda: trail(LONG & (value("score") >= 7), ADDS),
    ],
    ids=range(15),
)
def test_a_list_that_may_not_grow_ends_no_loop(warnings: Callable[[], list[str]]) -> None:
    """A round may leave the list unchanged, or the condition tests an exact length."""
    assert warnings() == ["unbounded_loop"]


def test_a_list_to_which_a_failure_appends_nothing_ends_no_loop() -> None:
    """A failed node writes nothing when the run continues from it."""
    graph = Graph("g", Trail)
    graph.add_node("a", ADDS)
    graph.add_edge(START, "a")
    graph.add_edge("a", "a", when=failed(ValueError))
    graph.add_edge("a", END, when=LONG)
    graph.add_edge("a", "a")
    assert codes(list(graph.check())) == ["unbounded_loop"]


class Hidden(BaseModel):
    secret: str = Field(default="", exclude=True)


class Bytes(BaseModel):
    raw: bytes = b""


class Base64(BaseModel):
    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")

    raw: bytes = b""


class Arbitrary(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)

    thing: object = None
    other: Annotated[Any, ...] = None
    made: "Thing | None" = None


class Thing:
    pass


class Loose(BaseModel):
    model_config = ConfigDict(extra="allow")

    n: int = 0


class TwoReducers(BaseModel):
    n: Annotated[list[int], append, extend] = []


class WrongReducer(BaseModel):
    n: Annotated[int, append] = 0
    m: Annotated[list[int], merge] = []


async def late(old: int, new: int) -> int:
    """Reduce too late."""
    return old + new


class AsyncReducer(BaseModel):
    n: Annotated[int, late] = 0


class GoodReducers(BaseModel):
    best: Annotated[float, maximum] = 0.0
    views: Annotated[dict[str, int], merge] = {}


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (Hidden, {"not_recordable"}),
        (Bytes, {"not_recordable"}),
        (Base64, set()),
        (Arbitrary, {"not_recordable"}),
        (Loose, {"bad_state"}),
        (TwoReducers, {"two_reducers"}),
        (WrongReducer, {"bad_reducer"}),
        (AsyncReducer, {"bad_function"}),
        (GoodReducers, set()),
    ],
)
def test_states_that_cannot_be_recorded_are_refused(state: type[BaseModel], expected: set[str]) -> None:
    """Types that cannot be read back from JSON are reported at compile time."""
    graph = Graph("g", state)
    graph.add_node("a")
    graph.add_path(START, "a", END)
    assert {p.code for p in graph.check()} == expected
