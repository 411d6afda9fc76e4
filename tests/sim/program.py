"""Programs: graphs as plain data, with what happens to their runs. Nothing here knows the engine.

What it is for
    A program says everything that decides how a run can go: the graph, what each node does, how often it fails, what it
    waits for, and what happens from outside. Three readers share it: `build` makes a real graph of it, `model` says
    which histories it allows, and the media play it. The same seed draws the same program.

Invariants
    - Nothing but data: two readers of one program can differ only by a mistake in one of them.
    - What a node writes is computed by `result_of` from what it reads, so an update that is lost, repeated or seen too
      early changes a word of the log, and the two states differ.
    - Every part has a plain default. A smaller program is one with a part at its default or dropped, so `smaller_of`
      needs to know no shape, and `written` leaves defaults out.
    - A drawn program compiles, and can end: a limit of visits stops its loops.

How it works
    A graph is a row of nodes and a row of edges in the order in which they are tried; a fork is one of the edges.
    `Draw` makes it scope by scope. A scope is a row of nodes of which each leads to the next one: the whole graph, or
    an arm of a fork. Edges with conditions jump within their scope, so arms share no node.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from random import Random
from typing import Any, Final, Literal, TypeAlias
from zlib import crc32

from tests.sim import commands
from tests.sim.commands import Command, draw_commands

START, END, FAIL = "START", "END", "FAIL"

Cond: TypeAlias = tuple[Any, ...]
"""A condition: its kind, then its parts.

    ("value", path, sign, number)      a value of the state; a missing one fits nothing
    ("length", field, sign, number)
    ("count", node, since, sign, n)    completed visits of a node, since the last one of another
    ("plateau", field, patience, min_delta, mode, since)
    ("changed", path, since)
    ("odd",)                           a function: whether n is odd; it raises if n is 3
    ("failed", *errors)                the node failed so; alone, or first in an "and"
    ("bye",)                           the message that the node of a chat received ends it
    ("ended", label)                   the graph at the node ended so
    ("and", one, other), ("or", one, other), ("not", one)
"""
Error: TypeAlias = Literal["boom", "slow"]
"""What a node raises."""
Change: TypeAlias = Literal["effects", "edges", "questions", "words", "approvals", "tools", "children", "next"]
"""What differs in another deployment: calls promise no effects; there are more edges, in another order, under other
conditions; the words of questions; the instructions of agents; tools that needed an approval need none, and others
one; the names of tools. With `children` the code of child runs differs so, too. The `next` version of the graph,
and of those inside, has a field more, and other names of nodes; no later deployment has an earlier one."""
CHANGES: Final[tuple[Change, ...]] = (
    "effects", "edges", "questions", "words", "approvals", "tools", "children", "next",
)  # fmt: skip
Target: TypeAlias = Literal["n", "score", "total", "best", "log", "items", "table"]
"""A field that a node writes: n and score are replaced, total added, best the largest, log extended; items is a list
without a reducer, of which a map writes one value for each item; table has a key for each node, or item."""

ALONE: Final[tuple[Target, ...]] = ("n", "score", "items")
"""Fields without a reducer: of the arms of a fork only one may write each."""
SHARED: Final[tuple[Target, ...]] = ("total", "best", "log", "table")
DEFAULTS: Final[Mapping[str, Any]] = {
    "n": 0, "score": None, "total": 0, "best": 0, "log": [], "items": [], "table": {}, "errors": [],
}  # fmt: skip
QUEUE: Final = "q"
"""The queue of all runs that are queued."""
SCORES: Final = (1.0, 2.0, 2.5, 2.5, None, 4.0, 2.0)


# --- What a node does -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Call:
    """A recorded call acts outside. If it `asks`, that is refused.

    If it names the run that it is `to`, it also sends a message to that run, with an idempotency key. The call has the
    same result whether the message is accepted or refused.

    `effect` is what is promised: nothing, `once`, or that it acts in the transaction of its record, in memory alone.
    """

    effect: Literal["", "once", "transaction"] = ""
    asks: bool = False
    to: str = ""


@dataclass(frozen=True)
class Ask:
    """A person is asked; after so many seconds, if any, the default counts."""

    seconds: int = 0


@dataclass(frozen=True)
class Receive:
    """The next message of the topic is received; after so many seconds, if any, the default counts."""

    seconds: int = 0


@dataclass(frozen=True)
class Sleep:
    """The node sleeps."""

    seconds: int = 5


@dataclass(frozen=True)
class Send:
    """A message is sent to the run itself; it is there once the node has its result."""


@dataclass(frozen=True)
class Tool:
    """A tool acts outside; a person approves it first, or refuses it, if `approve` says what the person says."""

    effect: Literal["", "once"] = ""
    approve: Literal["", "yes", "no"] = ""


@dataclass(frozen=True)
class Talk:
    """An agent calls its tools, one in a turn or all `at_once`, and answers.

    At the turn `fails_at`, or the last one, its model fails: for good, as the request is `bad` or the answer `refused`,
    which costs; or it is `busy` in the first attempt of a visit.
    """

    tools: tuple[Tool, ...] = ()
    at_once: bool = False
    how: Literal["", "bad", "refused", "busy"] = ""
    fails_at: int = 1

    @property
    def turns(self) -> Sequence[Sequence[int]]:
        """The tools that each turn calls, by number from 1; the last one calls none."""
        numbers = range(1, len(self.tools) + 1)
        return [*([numbers] if self.at_once and numbers else [[number] for number in numbers]), ()]

    def fails(self, turn: int) -> bool:
        """Return whether the model fails at a turn."""
        return bool(self.how) and turn == min(self.fails_at, len(self.turns))


@dataclass(frozen=True)
class Start:
    """Child runs are started, so many, and then waited for.

    If they have a `topic`, nothing waits: the end of each is a message to the run that started it. If they are
    `queued`, workers drive them.
    """

    graph: Graph
    wide: int = 1
    topic: bool = False
    queued: bool = False

    @property
    def name(self) -> str:
        """The name of the child's graph."""
        return f"child_{crc32(written(self.graph).encode())}"


Op: TypeAlias = Call | Ask | Receive | Sleep | Send | Talk | Start
Place: TypeAlias = int | tuple[int, Literal["turn", "tool", "approval", "start", "end"], int]
"""What is recorded of a visit: an operation, by its number; of an agent a turn, a tool's call or its approval; of a
child run its start and its end."""


@dataclass(frozen=True)
class Node:
    """A node.

    Attributes:
        writes: The fields that it writes.
        step: The number that its results are made with.
        does: What each attempt does, in turn, before it fails or has its result.
        fails: How many attempts of each visit raise `error`; of a map only those of items of odd value.
        bad: How many attempts after those have a result that does not fit.
        error: What it raises.
        attempts: How many attempts a visit or an item has.
        on: After which errors it is tried again.
        pause: The seconds before the second attempt; each further pause takes twice as long.
        fallback: What stands in for it: a value, or a function.
        each: The list it is mapped over: a field, or "n" for as many as `n` says (for 5 no list; 6 raises).
        concurrency: How many items run at a time.
        max_open: How many items have begun and not ended.
        keep: Whether a map goes on without the items that failed.
        graph: The graph that it runs; its fields n, items and best begin with those around it.
        effect: What is promised of the whole node, in a Runner.
    """

    name: str
    writes: tuple[Target, ...] = ()
    step: int = 1
    does: tuple[Op, ...] = ()
    fails: int = 0
    bad: int = 0
    error: Error = "boom"
    attempts: int = 1
    on: Literal["any", "boom", "slow"] = "any"
    pause: int = 0
    fallback: Literal["", "value", "function"] = ""
    each: Literal["", "items", "n"] = ""
    concurrency: int = 16
    max_open: int = 1000
    keep: bool = False
    graph: Graph | None = None
    effect: Literal["", "once"] = ""


@dataclass(frozen=True)
class Edge:
    """An edge."""

    source: str
    target: str
    when: Cond | None = None
    label: str = ""


@dataclass(frozen=True)
class Fork:
    """A fork: its arms, each with a condition or None, and the node where they join."""

    source: str
    arms: tuple[tuple[str, Cond | None], ...]
    join: str
    need: int = 0
    when: Cond | None = None


@dataclass(frozen=True)
class Graph:
    """A graph; `visits` is its own limit, 0 for none, and `errors` whether it collects survived failures.

    If it is that of a conversation (`chat`), `talks` says how the agent answers one message after another.
    """

    nodes: tuple[Node, ...]
    edges: tuple[Edge | Fork, ...]
    errors: bool = False
    visits: int = 0
    talks: tuple[Talk, ...] = ()

    def node(self, name: str) -> Node:
        """Return the node of a name."""
        return next(node for node in self.nodes if node.name == name)

    def does(self, name: str, visit: int) -> Sequence[Op]:
        """Return what each attempt of a visit does."""
        if self.talks and name == "reply":
            return self.talks[min(visit, len(self.talks)) - 1 :][:1]
        return self.node(name).does


def chat(talks: tuple[Talk, ...]) -> Graph:
    """Return the graph of a conversation, as `docs/use/chat.md` has it: a turn that fails for good ends only itself."""
    nodes = Node("listen", does=(Receive(),)), Node("reply", does=(Talk(),)), Node("unanswered")
    final: Cond = ("and", ("failed", "any"), ("not", ("failed", "model_unreachable")))
    edges = (
        Edge(START, "listen"),
        Edge("listen", "listen", ("failed", "update"), "no message"), Edge("listen", END, ("bye",), "ended"),
        Edge("listen", "reply"), Edge("reply", "unanswered", final, "no answer"),
        Edge("reply", "listen"), Edge("unanswered", "listen"),
    )  # fmt: skip
    return Graph(nodes, edges, talks=talks)


# --- What happens to its run ------------------------------------------------------------------------------------------


What: TypeAlias = Literal["crash", "stop", "branch", "read", "message", "cancel", "deploy", "prune", "again", "full"]


@dataclass(frozen=True)
class Event:
    """What happens from outside once so many steps are recorded.

    A `crash` ends the process, and another one resumes; a `stop` is resumed at once, a `cancel` is for good; a
    `branch` goes on with a branch of the run, and in a Runner begins one beside it, `many` steps before its last one;
    after `read` the run goes on from a snapshot that was written and read. The store is `full` for `many` writes.
    A `message` is sent to the run, whether or not anything waits for it; in a Runner with an idempotency key, until it
    is accepted or refused. With a `deploy` each later process has the code of another deployment, which has these
    `changes` of the program; in the pure engine the run is stopped and resumed. From a `prune` on, runs that have
    finished are removed at each write, in a Runner. `again` is a `cancel`; once the run has ended, in whatever way, it
    is removed, its child runs stay, and a run with the same id is started.
    """

    at: int
    what: What
    changes: tuple[Change, ...] = ()
    many: int = 0


@dataclass(frozen=True)
class Peer:
    """Another run beside the first one, in a Runner: its id is `peer` with its number.

    Attributes:
        graph: Its graph, a row of nodes whose code is the same in all deployments.
        at: It is started once so many steps are recorded, or the first run has ended.
        after: The run with whose last state it begins, as `after=` of a start says; "" for none. Its start is refused
            until that run has ended.
        queued: Whether workers drive it from its start on.
    """

    graph: Graph
    at: int = 0
    after: str = ""
    queued: bool = False


@dataclass(frozen=True)
class Program:
    """A program.

    Attributes:
        graph: The graph of its run.
        begins: The values of its first state that are no defaults.
        visits: The limit of visits when it starts; each resume after it raises it by as much.
        resumes: How often it is resumed after a failure or the limit.
        events: What happens from outside.
        order: The seed of everything that may come in any order.
        quarters: The limit of its costs, in turns of agents, of which each costs 0.25 USD; 0 for none. A resume after
            it raises it by two.
        budget: The budget of all runs in an hour, in turns; 0 for none.
        over: What the run does when the budget is spent.
        commands: What owners ask of stores, in place of a run; the graph has no nodes then.
        peers: The runs beside it.
        workers: How many processes have a worker, at the same time. The run is queued then, and workers drive it; it is
            resumed by a caller only after a failure, a stop or a limit. With 0 there is one process at a time, which
            resumes the run.
    """

    graph: Graph
    begins: tuple[tuple[str, Any], ...] = ()
    visits: int = 12
    resumes: int = 0
    events: tuple[Event, ...] = ()
    order: int = 0
    quarters: int = 0
    budget: int = 0
    over: Literal["wait", "ask"] = "wait"
    commands: tuple[Command, ...] = ()
    peers: tuple[Peer, ...] = ()
    workers: int = 0


# --- What a node writes -----------------------------------------------------------------------------------------------


def result_of(node: Node, seen: Mapping[str, Any], visit: int, attempt: int, answers: Sequence[Any]) -> dict[str, Any]:
    """Return the result of an attempt, by field: of what the node reads, and what was answered to it on the way.

    >>> result_of(Node("a", ("n", "log")), {"n": 4, "total": 0, "log": ["x"]}, 2, 1, ())
    {'n': 5, 'log': ['a.2.1 n4 t0 l1']}
    """
    item = seen.get("item")
    word = f"{node.name}.{visit}.{attempt} n{seen['n']} t{seen['total']} l{len(seen['log'])}"
    word += "" if item is None else f" i{item}"
    word += "".join(f" {answer}" for answer in answers)
    made: dict[str, Any] = {
        "n": (seen["n"] + node.step) % 7,
        "score": SCORES[(node.step + visit) % len(SCORES)],
        "total": (node.step + visit) % 4 - 1,
        "best": seen["n"] + node.step if item is None else item,
        "log": [word],
        "items": [(node.step + visit + each) % 5 for each in range(node.step % 4)],
        "table": visit + (0 if item is None else item),
    }
    if item is not None:
        made["items"] = (item + node.step) % 6
    return {name: made[name] for name in node.writes}


def part_of(node: Node, field: str) -> str:
    """Return the field of the inner graph's last state that a node with a graph writes to one of its own."""
    return "best" if field == "table" else "n" if field == "items" and node.each else field


def stand_in(node: Node) -> dict[str, Any]:
    """Return what a fallback has in place of a result: by field, and of a graph by the fields inside."""
    made: dict[str, Any] = {
        "n": node.step % 3, "score": 2.0, "total": 1, "best": node.step, "log": [f"{node.name} fell back"],
        "items": 1 if node.each else [1, 2], "table": -1,
    }  # fmt: skip
    return {name: made[name] for name in (part_of(node, each) if node.graph else each for each in node.writes)}


def outcome_of(node: Node, item: int | None, attempt: int) -> Literal["ok", "boom", "slow", "bad"]:
    """Return how an attempt ends once it has done all that it does."""
    if item is not None and item % 2 == 0:
        return "ok"
    if attempt <= node.fails:
        return node.error
    return "bad" if node.writes and attempt <= node.fails + node.bad else "ok"


def spoilt(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return a result that does not fit the state: its last field has another type."""
    return {**result, list(result)[-1]: object}


def heard(message: Any) -> Any:
    """Return a message as a node notes it: the end of a child run with a topic by its id, and how it ended."""
    is_end = isinstance(message, dict) and "state" in message
    return f"{message['run_id']} {message['status']}" if is_end else message


def items_of(node: Node, state: Mapping[str, Any]) -> list[int] | None:
    """Return the list that a node is mapped over; None if there is none. Raises: ValueError."""
    if node.each == "items":
        return list(state["items"])
    if state["n"] == 6:
        raise ValueError
    return None if state["n"] == 5 else list(range(state["n"]))


def target_of(node: Node, field: str) -> str:
    """Return where a node writes a field: to a key of its own, or of its item, in a table."""
    return f"table[{'{item}' if node.each else node.name}]" if field == "table" else field


# --- Other deployments ------------------------------------------------------------------------------------------------


def of_children(changes: Sequence[Change]) -> tuple[Change, ...]:
    """Return what differs in the code of child runs."""
    return tuple(each for each in changes if each != "next") if "children" in changes else ()


def renamed(part: Any) -> Any:
    """Return a part of a graph, or a path, with the names that nodes have in the next version. Child runs keep theirs.

    >>> renamed("n0[1]/n2")
    'm0[1]/m2'
    """
    if isinstance(part, str):
        return re.sub(r"\bn(\d+)\b", r"m\1", part)
    if isinstance(part, tuple):
        return tuple(map(renamed, part))
    if isinstance(part, Node):
        return replace(part, name=renamed(part.name), graph=renamed(part.graph))
    if isinstance(part, (Graph, Edge, Fork)):
        return replace(part, **{each.name: renamed(getattr(part, each.name)) for each in fields(part)})
    return part


def first_names(path: str) -> str:
    """Return a path with the names that nodes have in the first version."""
    return re.sub(r"\bm(\d+)\b", r"n\1", path)


def words(number: int, changes: Sequence[Change]) -> str:
    """Return the question of an operation."""
    return f"{number}? Please." if "questions" in changes else f"{number}?"


def walked(graph: Graph) -> Iterator[Graph]:
    """Yield a graph and those that its nodes run."""
    yield graph
    for node in graph.nodes:
        if node.graph is not None:
            yield from walked(node.graph)


def starts(graph: Graph) -> Iterator[Start]:
    """Yield the starts of child runs in a graph, in those that it runs, and in the children."""
    for op in [op for each in walked(graph) for node in each.nodes for op in node.does]:
        if isinstance(op, Start):
            yield op
            yield from starts(op.graph)


CHILDREN_AGAIN: Final = 4
"""How many times as often the run is removed and started again if it starts child runs, which then stay."""
MOST_RUNS: Final = 12
"""How many child runs a drawn program starts at most if each node is visited once, with two items for each map."""


def runs_of(graph: Graph) -> int:
    """Return how many child runs a graph starts so."""
    return sum(
        (2 if node.each else 1) * op.wide * (1 + runs_of(op.graph))
        for each in walked(graph) for node in each.nodes for op in node.does if isinstance(op, Start)
    )  # fmt: skip


def in_transactions(part: Any) -> Any:
    """Return a part of a program whose calls that are promised once act in transactions."""
    if isinstance(part, Call):
        return replace(part, effect="transaction") if part.effect and not part.asks else part
    if isinstance(part, tuple):
        return tuple(map(in_transactions, part))
    if isinstance(part, (Program, Graph, Node, Start)):
        return replace(part, **{each.name: in_transactions(getattr(part, each.name)) for each in fields(part)})
    return part


def can_cut(graph: Graph) -> bool:
    """Return whether a fork of a graph can cancel arms."""
    return any(isinstance(edge, Fork) and edge.need for each in walked(graph) for edge in each.edges)


def is_approved(talk: Talk, tool: Tool, changes: Sequence[Change]) -> bool:
    """Return whether a person is asked before a tool is called: never of one that is called with others."""
    return not talk.at_once and bool(tool.approve) != ("approvals" in changes)


def deployed(graph: Graph, changes: Sequence[Change]) -> Graph:
    """Return a graph as another deployment has it: with the same nodes, forks and arms, so that each run fits it."""
    if "next" in changes:
        graph = renamed(graph)
    if "edges" not in changes or graph.talks:
        return graph
    edges: list[Edge | Fork] = []
    for source in dict.fromkeys(edge.source for edge in graph.edges):
        mine = [edge for edge in graph.edges if edge.source == source]
        plain = [edge for edge in mine if isinstance(edge, Edge)]
        never = [Edge(source, plain[-1].target, ("value", "n", "<", -1), "never")] if plain else []
        with_conditions = [edge for edge in plain if edge.when is not None]
        turned = iter(reversed(with_conditions))
        edges += never
        edges += [_edited(next(turned) if edge in with_conditions else edge) for edge in mine]
    nodes = tuple(
        node if node.graph is None else replace(node, graph=deployed(node.graph, ("edges",))) for node in graph.nodes
    )
    return replace(graph, nodes=nodes, edges=tuple(edges))


def _edited(edge: Edge | Fork) -> Edge | Fork:
    when = edge.when and _raised(edge.when)
    if isinstance(edge, Edge):
        return replace(edge, when=when)
    arms = tuple((target, cond and _raised(cond)) for target, cond in edge.arms)
    return replace(edge, when=when, arms=arms)


def _raised(cond: Cond) -> Cond:
    """Return a condition with other numbers to compare with."""
    kind, *rest = cond
    if kind in ("and", "or", "not"):
        return (kind, *map(_raised, rest))
    return (*cond[:-1], cond[-1] + 1) if kind in ("value", "length", "count") else cond


# --- The page ---------------------------------------------------------------------------------------------------------


def written(part: object, indent: int = 0) -> str:
    """Return a part of a program as Python, without what is the default, a node, an edge or a command a line."""
    pad = "\n" + "    " * (indent + 1)
    if isinstance(part, tuple) and part and isinstance(part[0], (Node, Edge, Fork, Command, Peer)):
        return f"({''.join(f'{pad}{written(each, indent + 1)},' for each in part)}{pad[:-4]})"
    if isinstance(part, tuple):
        inner = ", ".join(written(each, indent) for each in part)
        return f"({inner},)" if len(part) == 1 else f"({inner})"
    if not is_dataclass(part):
        return repr(part)
    given = [(each.name, getattr(part, each.name)) for each in fields(part) if getattr(part, each.name) != each.default]
    return f"{type(part).__name__}({', '.join(f'{name}={written(value, indent)}' for name, value in given)})"


def read(text: str) -> Program:
    """Return the program of a page: what stands after its first empty line."""
    found = eval(text.partition("\n\n")[2] or text, {**vars(commands), **globals()})  # noqa: S307 - pages of this folder
    assert isinstance(found, Program)
    return found


def page(program: Program, why: str) -> str:
    """Return the page of a program that fails: why, an empty line, and the program."""
    return f"{' '.join(why.split())}\n\n{written(program)}\n"


# --- Drawing ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Taste:
    """What a drawn program may have; what is named twice is drawn twice as often.

    Attributes:
        forks: How deep forks nest.
        graphs: How deep graphs nest.
        children: How deep child runs nest.
        maps: The share of the nodes that are maps.
        sizes: How many nodes it has, but for those of arms and graphs inside.
        busy: The share of the nodes that do anything.
        fails: The share of the nodes that fail, are tried again or have a fallback.
        ops: The kinds of what they do.
        outside: What happens from outside.
        spends: Whether there are limits of costs.
        is_chat: Whether it is a conversation.
    """

    forks: int = 0
    graphs: int = 0
    children: int = 0
    maps: float = 0.0
    sizes: tuple[int, ...] = (1, 2, 3, 4)
    busy: float = 0.5
    fails: float = 0.45
    ops: tuple[str, ...] = ("call", "ask", "ask", "receive", "receive", "sleep", "sleep")
    outside: tuple[What, ...] = (
        "crash", "crash", "crash", "stop", "branch", "read", "message", "message", "cancel", "deploy",
    )  # fmt: skip
    spends: bool = False
    is_chat: bool = False


PEERS: Final = Taste(ops=("tell", "tell", "tell", "receive", "receive", "ask", "sleep", "call", "once"))
"""What the nodes of peers do."""


class Draw:
    """Draws from a seed."""

    def __init__(self, seed: object) -> None:
        self.random = Random(str(seed))  # noqa: S311 - no secret

    def one(self, *choices: Any) -> Any:
        """Return one of these."""
        return self.random.choice(choices)

    def some(self, number: int, *choices: Any) -> Any:
        """Return so many of these."""
        return self.random.sample(choices, number)

    def chance(self, share: float) -> bool:
        """Return True with this chance."""
        return self.random.random() < share

    def taste(self, *, in_runner: bool) -> Taste:
        """Return what a program has: in the pure engine a quarter has nodes and edges only.

        In a Runner it has something that needs one, and few other things, each more than once: with all of them in
        each program, any three would seldom meet in one small enough to be played by the hundred.
        """
        if not in_runner:
            deep = Taste(self.one(0, 1, 1, 2), self.one(0, 1, 1, 2), maps=0.3)
            plain = Taste(busy=self.one(0.0, 0.5))
            found: Taste = self.one(plain, deep, deep, Taste(2, 1, maps=0.3, busy=0.0))
            return found
        ops = (
            self.one("once", "once", "talk", "talk", "start"),
            *self.some(self.one(0, 1, 1, 2), "call", "once", "ask", "receive", "sleep", "send", "talk", "start"),
        )
        has = {*self.some(self.one(0, 1, 2, 2, 3), "forks", "graphs", "maps", "fails")}
        outside = self.some(self.one(1, 1, 2), "crash", "crash", "deploy", "deploy", "stop", "cancel")
        if "start" in ops:
            outside = self.one(outside, ["stop"], ["prune"])
        if "once" in ops and "graphs" in has:  # a graph is not tried again after an effect
            has.add("fails")
        spends = "talk" in ops and self.chance(0.5)
        if spends:  # several at once, and little else
            ops, has = ("talk",), {"forks", "maps"}
        return Taste(
            forks="forks" in has,
            graphs="graphs" in has,
            children=self.one(1, 1, 2, 3),
            maps=0.8 if spends else 0.5 if "maps" in has else 0.0,
            sizes=(1, 1, 2, 2, 3),
            busy=1.0 if spends else 0.8,
            fails=0.8 if "fails" in has else 0.1,
            ops=ops,
            outside=tuple(outside),
            spends=spends,
            is_chat="talk" in ops and not spends and self.chance(0.3),
        )

    def graph(self, taste: Taste) -> Graph:
        """Return a graph."""
        if taste.is_chat:
            return chat(tuple(self.talk() for _ in range(self.one(1, 2, 2, 3))))
        made = Scopes(self, taste).graph()
        while runs_of(made) > MOST_RUNS:
            made = Scopes(self, taste).graph()
        return made

    def program(self, graph: Graph, taste: Taste) -> Program:
        """Return a program with this graph."""
        draw = self.random
        values = {"n": draw.randint(0, 6), "items": [draw.randint(0, 5) for _ in range(self.one(1, 2, 4))]}
        values |= {"score": 2.0, "total": 2, "best": 3, "log": ["given"]}
        if taste.spends:
            values["items"] = [draw.randint(0, 5) for _ in range(self.one(3, 6))]
        begins = tuple((name, value) for name, value in values.items() if self.chance(1.0 if taste.spends else 0.4))
        events = [each for _ in range(self.one(0, 1, 1, 1, 2, 4)) for each in self.event(taste)]
        if "crash" in taste.outside and self.chance(0.1):  # so that a node is in flight at three crashes in a row
            first = draw.randint(1, 12)
            events = [Event(first + after, "crash") for after in range(3)]
        visits = 25 if taste.is_chat else self.one(2, 3, 6, 12, 12, 12 if "start" in taste.ops else 25)
        spending = *self.one((1, 0), (2, 0), (4, 0), (1, 2), (2, 5), (0, 2), (0, 5)), self.one("wait", "wait", "ask")
        return Program(
            graph, () if taste.is_chat else begins, visits, self.one(0, 1, 3) + 3 * (visits <= 3),
            tuple(sorted(events, key=lambda event: event.at)), draw.randint(0, 99), *(spending if taste.spends else ()),
        )  # fmt: skip

    def widened(self, program: Program, more: Draw) -> Program:
        """Return a program with peers, messages between runs, and workers; what `more` draws needs no other graph."""
        graph, workers = program.graph, self.one(0, 1, 2, 2)
        tells = Scopes(self, Taste(ops=("tell", "tell", "tell", "receive")))
        nodes: list[Node] = []
        for node in () if graph.talks else graph.nodes:
            does = tuple(
                replace(op, queued=self.chance(0.7)) if workers and isinstance(op, Start) else op for op in node.does
            )
            if node.graph is None and not node.effect and (node.writes or node.does):
                does += tuple(tells.op() for _ in range(self.one(0, 1, 2)))
            nodes.append(replace(node, does=does))
        ops = [op for op in PEERS.ops if op != "tell" or not graph.talks]  # a chat takes no plain text
        first, other = (Scopes(self, replace(PEERS, ops=tuple(ops))).child() for _ in range(2))
        after = more.one("", "run", "peer0", "peer0")
        second = first if after and self.chance(0.5) else other
        two = [Peer(first, more.one(0, 0, 4, 9), more.one("", "", "", "run")), Peer(second, more.one(0, 4, 9), after)]
        peers = tuple(replace(peer, queued=bool(workers) and more.chance(0.5)) for peer in two[: self.one(1, 2, 2)])
        events = list(program.events)
        for at in (more.random.randint(1, 15) for _ in range(more.one(0, 0, 1, 2) * (not graph.talks))):
            events.append(Event(at, "message"))
            if more.chance(0.5):  # maybe once it is durable, and its sender does not know that
                events.append(Event(at + more.one(1, 1, 2, 3), "crash"))
        if workers and more.chance(0.4):  # what one loses, another one takes
            events.append(Event(more.random.randint(1, 12), "crash"))
        return replace(
            program, graph=graph if graph.talks else replace(graph, nodes=tuple(nodes)), peers=peers, workers=workers,
            events=tuple(sorted(events, key=lambda event: event.at)),
            budget=0 if workers else program.budget,  # each hour of it would be a life of several processes
        )  # fmt: skip

    def event(self, taste: Taste) -> tuple[Event, ...]:
        """Return what happens from outside; with a deployment or a prune most often the end of a process, too."""
        at, what = self.random.randint(1, self.one(6, 12, 25)), self.one(*taste.outside)
        if what == "prune" and self.chance(0.7):
            return Event(at, what), Event(at + self.random.randint(0, 6), "crash")
        if what != "deploy":
            return (Event(at, what),)
        crash = (Event(at, "crash"),) if self.chance(0.5) else ()
        return (Event(at, what, self.changes()), *crash)

    def changes(self) -> tuple[Change, ...]:
        """Return what differs in a deployment: most often some of all, at times all or nothing."""
        share = self.one(0.3, 0.5, 0.5, 1.0)
        return tuple(each for each in CHANGES if each not in ("children", "next") and self.chance(share))

    def more(self, program: Program, share: float, *, transacts: bool) -> Program:
        """Return a program with branches, a full store, deployments of child runs and the next version, by chance."""
        draw, events = self.random, [*program.events]
        nodes = [node for graph in walked(program.graph) for node in graph.nodes]
        begins = [node for node in nodes if any(isinstance(op, Start) for op in node.does)]
        if self.chance(4 * share) and begins and not any(node.fallback for node in begins):  # else time decides, see K8
            deploys = [
                Event(draw.randint(1, 12), "deploy", (*self.changes(), "children")) for _ in range(self.one(1, 2))
            ]
            events += [
                *deploys,
                *(Event(each.at + draw.randint(0, 3), "crash") for each in deploys if self.chance(0.5)),
            ]
        if self.chance(share):
            ats = [draw.randint(2, self.one(6, 12, 25)) for _ in range(self.one(1, 1, 2))]
            events += [Event(at, "branch", many=self.one(0, 0, 0, 1, 2, draw.randint(0, 12))) for at in ats]
        if self.chance(share) and not program.graph.talks:
            events.append(Event(draw.randint(1, 12), "deploy", (*(self.changes() if self.chance(0.3) else ()), "next")))
            events += [Event(events[-1].at + draw.randint(0, 3), "crash")] if self.chance(0.7) else []
        hides = any(node.fallback == "value" and (node.does or node.effect) for node in nodes)
        if self.chance(share) and not hides:  # else no step says that a node failed so
            events.append(Event(draw.randint(1, self.one(6, 12, 25)), "full", many=self.one(1, 2, 5)))
        made = replace(program, events=tuple(sorted(events, key=lambda event: event.at)))
        return in_transactions(made) if transacts and self.chance(2 * share) else made

    def talk(self) -> Talk:
        """Return an agent."""
        how = self.one("", "", "", "bad", "refused", "busy")
        if self.chance(0.2):
            return Talk((Tool(),) * self.one(1, 2, 3), at_once=True, how=how, fails_at=self.one(1, 2))
        return Talk(tuple(self.tool() for _ in range(self.one(0, 1, 1, 2))), how=how, fails_at=self.one(1, 2, 3))

    def tool(self) -> Tool:
        """Return a tool."""
        return Tool(self.one("", "once"), self.one("", "", "yes", "no"))


class Scopes:
    """Makes one graph; `inner` if another one runs it."""

    def __init__(self, draw: Draw, taste: Taste, *, inner: bool = False) -> None:
        self.draw, self.taste, self.inner = draw, taste, inner
        self.nodes: list[Node] = []
        self.edges: list[Edge | Fork] = []

    def graph(self) -> Graph:
        """Return the graph."""
        draw = self.draw
        size = draw.one(1, 2, 2) if self.inner else draw.one(*self.taste.sizes)
        names = self.names(size)
        if draw.chance(0.2):
            self.edges.append(Edge(START, draw.one(*names, END, FAIL), self.condition(names)))
        self.edges.append(Edge(START, names[0]))
        self.scope(names, END, self.taste.forks, (*ALONE, *SHARED))
        visits = draw.one(0, 1, 2, 3) if self.inner and is_row(self.nodes, self.edges) else 0
        return Graph(tuple(self.nodes), tuple(self.edges), draw.chance(0.4), visits)

    def names(self, size: int) -> list[str]:
        """Return names of new nodes."""
        first = len(self.nodes)
        self.nodes += [Node(f"n{number}") for number in range(first, first + size)]
        return [node.name for node in self.nodes[first:]]

    def scope(self, names: Sequence[str], after: str, forks: int, allowed: Sequence[Target]) -> None:
        """Make the nodes of a scope and the edges out of them; the last one leads to what is `after`."""
        for place, name in enumerate(names):
            following = names[place + 1] if place + 1 < len(names) else after
            made = self.node(name, allowed, in_arm=after != END)
            self.nodes[int(name[1:])] = made
            out = self.out(made, names, in_arm=after != END)
            fork = forks and following != END and self.draw.chance(0.6)
            if fork:
                out.append(self.fork(name, following, forks - 1, allowed, names))
            last = self.draw.random.random()
            if fork and out[-1].when is None:
                pass
            elif last < 0.15:
                out.append(Edge(name, following, self.condition(names)))
            else:
                out.append(Edge(name, following, label=self.draw.one("", "good") if following == END else ""))
            self.edges += out

    def node(self, name: str, allowed: Sequence[Target], *, in_arm: bool) -> Node:
        """Return a node that may write these fields."""
        draw, taste = self.draw, self.taste
        most = min(len(allowed), draw.one(1, 2, 2, 3))
        writes = tuple(field for field in allowed if field in draw.random.sample(list(allowed), most))
        made = Node(name, writes, draw.random.randint(1, 6), error=draw.one("boom", "slow"))
        if draw.chance(taste.fails):
            made = replace(made, fails=draw.one(0, 1, 1, 2, 3), bad=draw.one(0, 0, 1))
            made = replace(made, attempts=draw.one(1, 2, 3), on=draw.one("any", "any", "boom"), pause=draw.one(0, 1, 2))
            made = replace(made, fallback=draw.one("", "", "value", "function"))
        if draw.chance(taste.maps):
            left_out = ("n", "score", "table") if in_arm else ("n", "score")  # arms may not write each other's keys
            shared = tuple(field for field in writes if field not in left_out)
            made = replace(made, writes=shared or ("log",), each=draw.one("items", "items", "n"), keep=draw.chance(0.3))
            made = replace(made, concurrency=draw.one(1, 2, 16), max_open=draw.one(1, 2, 3, 1000))
        if taste.graphs and draw.chance(0.5):
            inner = Scopes(draw, replace(taste, forks=min(taste.forks, 1), graphs=taste.graphs - 1), inner=True)
            return replace(made, graph=inner.graph(), fails=0, bad=0, on="any")
        if taste.ops and draw.chance(taste.busy):
            does = tuple(self.op() for _ in range(draw.one(1, 1, 2)))
            told = (Receive(draw.one(0, 5)),) * any(isinstance(op, Start) and op.topic for op in does)
            made = replace(made, does=(*does, *told))
        if "once" in taste.ops and draw.chance(0.3):  # an effect itself, of which waits are refused
            waits = draw.one((), (), (), (Ask(),), (Receive(),), (Sleep(5),))
            return replace(made, does=waits, effect="once", bad=0)
        return made

    def op(self) -> Op:
        """Return something that a node does."""
        draw, taste = self.draw, self.taste
        made: Mapping[str, Callable[[], Op]] = {
            "call": Call,
            "tell": lambda: Call(to=draw.one("run", "peer0", "peer1")),
            "once": lambda: Call("once", asks=draw.chance(0.1)),
            "ask": lambda: Ask(draw.one(0, 5)),
            "receive": lambda: Receive(draw.one(0, 5)),
            "sleep": lambda: Sleep(draw.one(1, 5)),
            "send": Send,
            "talk": draw.talk,
            "start": lambda: Start(
                Scopes(draw, replace(taste, children=taste.children - 1)).child(),
                draw.one(1, 1, 2, 3),
                topic=draw.chance(0.4),
            ),
        }
        kind = draw.one(*taste.ops)
        return made[kind if kind != "start" or taste.children else "call"]()

    def child(self) -> Graph:
        """Return the graph of a child run: a row of nodes, so that it ends."""
        draw, names = self.draw, [f"n{number}" for number in range(self.draw.one(1, 1, 2))]
        nodes = tuple(
            Node(
                name, ("log",), does=tuple(self.op() for _ in range(draw.one(0, 1, 1, 2))), fails=draw.one(0, 0, 0, 1),
                attempts=draw.one(1, 1, 2),
            )
            for name in names
        )  # fmt: skip
        return Graph(nodes, tuple(Edge(one, other) for one, other in zip((START, *names), (*names, END), strict=True)))

    def out(self, node: Node, names: Sequence[str], *, in_arm: bool) -> list[Edge | Fork]:
        """Return edges with conditions out of a node."""
        draw = self.draw

        def target() -> str:
            return str(draw.one(*names, *names, FAIL, *([] if in_arm else [END])))

        found: list[Edge | Fork] = [
            Edge(node.name, target(), self.condition(names), draw.one("", "bad")) for _ in range(draw.one(0, 1, 1, 2))
        ]
        for _ in range(draw.one(0, 0, 1)):
            when: Cond = ("failed", draw.one("boom", "slow", "any", "update", "fail"))
            when = ("and", when, self.condition(names)) if draw.chance(0.3) else when
            found.insert(draw.random.randint(0, len(found)), Edge(node.name, target(), when))
        inner = node.graph.edges if node.graph is not None and not node.each else ()
        labels = sorted({edge.label for edge in inner if isinstance(edge, Edge) and edge.target == END} - {""})
        if labels and draw.chance(0.7):
            found.insert(0, Edge(node.name, target(), ("ended", draw.one(*labels))))
        return found

    def fork(self, source: str, join: str, forks: int, allowed: Sequence[Target], names: Sequence[str]) -> Fork:
        """Return a fork whose arms are scopes of their own."""
        draw = self.draw
        arms: list[tuple[str, Cond | None]] = []
        left = [field for field in allowed if field in ALONE]
        for _ in range(draw.one(2, 2, 3)):
            mine = [field for field in left if draw.chance(0.4)]
            left = [field for field in left if field not in mine]
            inside = self.names(draw.one(1, 1, 2))
            arms.append((inside[0], self.condition(names) if draw.chance(0.2) else None))
            self.scope(inside, join, forks, (*mine, *SHARED))
        if draw.chance(0.1):
            arms.append((join, None))
        when = self.condition(names) if draw.chance(0.3) else None
        return Fork(source, tuple(arms), join, draw.one(0, 0, 0, 1, 2), when)

    def condition(self, names: Sequence[str], depth: int = 1) -> Cond:
        """Return a condition over the state and the past."""
        draw = self.draw
        if depth and draw.chance(0.25):
            word = draw.one("and", "or", "not")
            return (word, *(self.condition(names, depth - 1) for _ in range(1 if word == "not" else 2)))
        sign, small = draw.one(">=", "<=", ">", "<", "==", "!="), draw.random.randint(0, 5)
        since = draw.one(None, None, *names)
        leaves: Sequence[Cond] = (
            ("value", draw.one("n", "score", "total", "best", "items[-1]", "table[n0]"), sign, small),
            ("length", draw.one("log", "items", "table"), sign, small),
            ("count", draw.one(*names), since, sign, draw.random.randint(1, 3)),
            ("plateau", draw.one("score", "n", "total", "best"), draw.one(1, 2), draw.one(0.0, 0.5),
             draw.one("max", "min"), since),
            ("changed", draw.one("n", "score", "total", "log", "table"), since),
            ("odd",),
        )  # fmt: skip
        found: Cond = draw.one(*leaves)
        return found


def is_row(nodes: Sequence[Node], edges: Sequence[Edge | Fork]) -> bool:
    """Return whether nothing in a graph runs side by side."""
    inside = [node.graph for node in nodes if node.graph is not None]
    flat = not any(isinstance(edge, Fork) for edge in edges) and not any(node.each for node in nodes)
    return flat and all(is_row(graph.nodes, graph.edges) for graph in inside)


SCRIPTS: Final = 6
"""So many programs in a row share a graph, as a graph takes as long to compile as a run to play; in a Runner half."""


def draw(  # noqa: PLR0913 - a share for each dimension
    seed: object,
    number: int,
    *,
    in_runner: bool = False,
    commanded: float = 0.0,
    again: float = 0.0,
    wide: float = 0.0,
    more: float = 0.0,
    transacts: bool = False,
) -> Program:
    """Return a program of a seed, by its number: for the pure engine, or for a Runner.

    Args:
        seed: The seed.
        number: The number.
        in_runner: Whether a Runner plays it.
        commanded: The share of programs in which owners command stores, and no run is driven.
        again: The share of those others without child runs in which the run is removed, and another one with its id is
            started.
        wide: The share of those in which the run is not removed that have peers, messages between runs, or workers.
        more: The share of what is left then that has each of what `Draw.more` adds.
        transacts: Whether its store has transactions.
    """
    place = number // (SCRIPTS // 2 if in_runner else SCRIPTS)
    if commanded and Draw(f"{seed} {place} commands").chance(commanded):
        random = Draw(f"{seed} {number} commands").random
        return Program(Graph((), ()), order=random.randint(0, 99), commands=draw_commands(random))
    group = Draw(f"{seed} {place}")
    taste = group.taste(in_runner=in_runner)
    made, begins = Draw(f"{seed} {number} events").program(group.graph(taste), taste), Draw(f"{seed} {number} again")
    if again and begins.chance(again * (CHILDREN_AGAIN if any(True for _ in starts(made.graph)) else 1)):
        events = *made.events, Event(begins.random.randint(1, begins.one(6, 25, 400)), "again")
        return replace(made, events=tuple(sorted(events, key=lambda event: event.at)))
    beside = Draw(f"{seed} {place} beside")
    if wide and beside.chance(wide):
        return beside.widened(made, Draw(f"{seed} {number} beside"))
    return Draw(f"{seed} {number} more").more(made, more, transacts=transacts) if more else made


# --- Shrinking --------------------------------------------------------------------------------------------------------


def shrunk(program: Program, fails: Callable[[Program], bool], tries: int = 4000) -> Program:
    """Return a smaller program that fails too: parts are dropped or plain, numbers smaller, as long as it does."""
    at, missed = 0, 0
    found = list(smaller_of(program))
    while missed < len(found) and tries > 0:
        at, tries = at % len(found), tries - 1
        if fails(found[at]):
            program, missed = found[at], 0
            found = list(smaller_of(program))
        else:
            at, missed = at + 1, missed + 1
    return program


def smaller_of(part: Any) -> Iterator[Any]:
    """Yield what a part can be replaced by, the largest steps first. What is no program any more will not compile."""
    if isinstance(part, tuple):
        if part and isinstance(part[0], str) and not isinstance(part[-1], str):
            return  # a condition, or a value of the first state
        yield from (part[:at] + part[at + 1 :] for at in range(len(part)))
        yield from ((*part[:at], other, *part[at + 1 :]) for at, each in enumerate(part) for other in smaller_of(each))
    elif isinstance(part, Graph) and part.talks:
        yield from (replace(part, talks=talks) for talks in smaller_of(part.talks) if talks)
    elif isinstance(part, Graph):
        yield from (without(part, node.name) for node in part.nodes)
        yield from (replace(part, edges=part.edges[:at] + part.edges[at + 1 :]) for at in range(len(part.edges)))
        yield from _smaller_fields(part)
    elif is_dataclass(part) and not isinstance(part, type):
        yield from _smaller_fields(part)
    elif type(part) is int and part > 1:
        yield from sorted({1, part // 2, part - 1})


def _smaller_fields(part: Any) -> Iterator[Any]:
    given = [(each, getattr(part, each.name)) for each in fields(part)]
    plain = [each for each, value in given if each.default is not MISSING and value != each.default]
    yield from (replace(part, **{each.name: each.default}) for each in plain)
    yield from (replace(part, **{each.name: other}) for each, value in given for other in smaller_of(value))


def without(graph: Graph, name: str) -> Graph:
    """Return a graph without a node: what led to it leads to where it led last."""
    after = [edge.target if isinstance(edge, Edge) else edge.join for edge in graph.edges if edge.source == name]
    there = next((target for target in reversed(after) if target != name), END)

    def moved(edge: Edge | Fork) -> Edge | Fork:
        if isinstance(edge, Edge):
            return replace(edge, target=there if edge.target == name else edge.target)
        arms = tuple((there if target == name else target, when) for target, when in edge.arms)
        return replace(edge, arms=arms, join=there if edge.join == name else edge.join)

    kept = tuple(moved(edge) for edge in graph.edges if edge.source != name)
    return replace(graph, nodes=tuple(node for node in graph.nodes if node.name != name), edges=kept)
