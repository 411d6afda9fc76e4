"""A program of the crossing: a graph of everything that runs can do, and what happens to its runs.

A node has a body, which is a row of small operations, an agent with tools, or a graph inside. What happens from outside
happens at a write to the store, counted from 1 over all processes, or at 0, once nothing moves for the first time:
`Kill(at=7)` ends the process that makes the seventh write.
Every part has a plain default, so that a program is shrunk by dropping parts, and its `repr` without defaults is the
page that reproduces it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import Final, Literal, TypeAlias

Effect: TypeAlias = Literal["", "idempotent", "once", "reconcile"]
"""What something does outside: `reconcile` is `Once(reconcile=…)`."""
Disk: TypeAlias = Literal["", "NORMAL", "FULL"]
"""How a SQLite file is synced that stores the runs; "" for a store in memory."""
Change: TypeAlias = Literal["words", "tools", "effects", "approvals", "limits", "types", "edges", "questions"]
"""What differs in another deployment of a program: prompts; names of tools; nothing promises an effect; tools that
needed an approval need none, and the others one; the most calls of tools, 1; descriptions of fields; edges that are
inserted and in another order; the texts of questions."""
How: TypeAlias = Literal["answers", "flaky", "refused", "cut", "bad"]
"""How a model answers: for a moment not, or for good not, in one of three ways."""


# --- What a node does -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Act:
    """The node itself does something outside."""


@dataclass(frozen=True)
class Call:
    """A recorded call acts. With `asks` it waits inside, which is refused."""

    effect: Effect = ""
    asks: bool = False


@dataclass(frozen=True)
class Ask:
    """A person is asked; after some seconds, if any, the default counts."""

    seconds: int = 0


@dataclass(frozen=True)
class Receive:
    """The next message of the topic is received; after some seconds, if any, the default counts."""

    seconds: int = 0


@dataclass(frozen=True)
class Send:
    """A message is sent to the run itself."""


@dataclass(frozen=True)
class Sleep:
    """The node sleeps."""

    seconds: int = 60


@dataclass(frozen=True)
class Fail:
    """The first attempts raise; of the items of a map only those of odd number."""

    attempts: int = 1
    odd: bool = False


@dataclass(frozen=True)
class Start:
    """Child runs are started, `wide` of them, each a chain `deep` levels long, and waited for.

    With `told` their ends are received as messages; with `stays` a stop of the parent does not stop them.
    """

    graph: Graph
    wide: int = 1
    deep: int = 1
    told: bool = False
    stays: bool = False


Op: TypeAlias = Act | Call | Ask | Receive | Send | Sleep | Fail | Start


@dataclass(frozen=True)
class Tool:
    """A tool that acts, once a person has approved it if `approve` says so."""

    effect: Effect = ""
    approve: Literal["", "yes", "no"] = ""


@dataclass(frozen=True)
class Talk:
    """An agent that calls its tools, one in a turn or all `at_once`, and answers; each call costs 0.25 USD.

    The model fails for a moment at the first `flaky` calls of each conversation.
    """

    tools: tuple[Tool, ...] = ()
    at_once: bool = False
    flaky: int = 0


@dataclass(frozen=True)
class Node:
    """A node: `width` above 0 makes it a map of so many items."""

    does: tuple[Op, ...] | Talk | Graph = ()
    effect: Effect = ""
    width: int = 0
    concurrency: int = 16
    keep: bool = False
    attempts: int = 1
    fallback: tuple[Op, ...] = ()


@dataclass(frozen=True)
class Fork:
    """Nodes side by side; with `need` the rest is cancelled once so many have arrived."""

    arms: tuple[Node, ...] = ()
    need: int = 0


@dataclass(frozen=True)
class Graph:
    """Nodes and forks one after another, walked `rounds` times."""

    stages: tuple[Node | Fork, ...] = ()
    rounds: int = 1


@dataclass(frozen=True)
class Turn:
    """A message of a chat, and how the model answers it: for good if not with `answers` or `flaky`."""

    how: How = "answers"
    tool: Tool | None = None


@dataclass(frozen=True)
class Chat:
    """A conversation with an agent, one message after another."""

    turns: tuple[Turn, ...] = ()


# --- What happens to its runs -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Kill:
    """The process that makes this write dies, before it or right after it is durable."""

    at: int
    durable: bool = False


@dataclass(frozen=True)
class Full:
    """The store is full for so many writes."""

    at: int
    writes: int = 1


@dataclass(frozen=True)
class Stop:
    """The first run is stopped, and what it started; `now` cuts off what is in flight."""

    at: int
    now: bool = False


@dataclass(frozen=True)
class Close:
    """The process closes its Runner, and another one takes its place."""

    at: int


@dataclass(frozen=True)
class Peer:
    """The other process resumes every run that it can have, and answers and sends from then on."""

    at: int


@dataclass(frozen=True)
class Post:
    """A message is sent to the first run."""

    at: int


@dataclass(frozen=True)
class Branch:
    """A run branches off the first one, so many steps before its last one."""

    at: int
    back: int = 0


@dataclass(frozen=True)
class Migrate:
    """From here on processes have the next version of the graphs: a field more, and nodes renamed."""

    at: int


@dataclass(frozen=True)
class Deploy:
    """From here on processes have another deployment, which differs in this from the first; () is the first again."""

    at: int
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True)
class Trim:
    """Old steps of a run are trimmed."""

    at: int


@dataclass(frozen=True)
class Prune:
    """Runs that have finished are removed; with `failed` also those that failed, were stopped or cancelled."""

    at: int
    failed: bool = False


Event: TypeAlias = Kill | Full | Stop | Close | Peer | Post | Branch | Migrate | Deploy | Trim | Prune


@dataclass(frozen=True)
class Program:
    """A program.

    Attributes:
        main: The graph of the first run, or a chat.
        events: What happens from outside.
        visits: The first run's limit of visits; 0 for none.
        quarters: The limit of each run's costs, in calls of models; 0 for none.
        budget: The budget of all runs in an hour, in calls of models; 0 for none.
        over: What a run does when the budget is spent.
        processes: How many processes share the store.
        lag: How many turns of the event loop a call of a model takes: of one that acts, half as many. So does a write
            to a file by its thread.
        disk: Where the runs are stored.
    """

    main: Graph | Chat
    events: tuple[Event, ...] = ()
    visits: int = 0
    quarters: int = 0
    budget: int = 0
    over: Literal["wait", "ask"] = "wait"
    processes: int = 1
    lag: int = 0
    disk: Disk = ""


def written(part: object) -> str:
    """Return a part of a program as Python, without what is the default."""
    if isinstance(part, tuple):
        inner = ", ".join(map(written, part))
        return f"({inner},)" if len(part) == 1 else f"({inner})"
    if not is_dataclass(part):
        return repr(part)
    given = [(each.name, getattr(part, each.name)) for each in fields(part) if getattr(part, each.name) != each.default]
    return f"{type(part).__name__}({', '.join(f'{name}={written(value)}' for name, value in given)})"


def read(text: str) -> Program:
    """Return the program that `written` wrote."""
    found = eval(text, dict(globals()))  # noqa: S307 - pages of this folder
    assert isinstance(found, Program)
    return found


def parts(part: object) -> Iterator[object]:
    """Yield a part of a program and every part below it that is more than a number or a text."""
    left = [part]
    while left:
        part = left.pop()
        yield part
        below = part if isinstance(part, tuple) else [getattr(part, name) for name in _names(type(part))]
        left += [each for each in reversed(below) if not isinstance(each, (int, str))]


def _names(kind: type) -> tuple[str, ...]:
    if kind not in _FIELDS:
        _FIELDS[kind] = tuple(each.name for each in fields(kind)) if is_dataclass(kind) else ()
    return _FIELDS[kind]


_FIELDS: Final[dict[type, tuple[str, ...]]] = {}
