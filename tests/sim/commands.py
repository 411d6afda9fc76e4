"""Commands: what the owners of a file of runs ask of their stores, as plain data. Nothing here knows the engine.

What it is for
    The runs of a program go through a few of the doors of a store, in the order in which a Runner does. Commands go
    through all of them, in any order: several owners, each with a store of its own on the same file, begin runs, take
    them from queues, add steps, post, tag, prune, list, close, die, and let their leases end. Two readers share them:
    `stores` gives them to real stores, and `rows` says what those should answer.

Invariants
    - A command names runs by letters. One that is not there stands for one that is, if there is any; so a command that
      is left out while a program gets smaller leaves the others with something to do. Only "z" is never there.
    - Owners are numbers. Who has no store, as it was closed or killed, opens one for the command.
    - Every part has a plain default, and `written` leaves defaults out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final, Literal, TypeAlias

Status: TypeAlias = Literal["running", "waiting", "finished", "failed", "stopped", "cancelled"]
ENDED: Final[tuple[Status, ...]] = ("finished", "failed", "stopped", "cancelled")
OWNERS: Final = 3
"""How many owners write."""
READER: Final = 3
"""The number of the owner that opens the file read-only, and only looks."""
LEASE_SECONDS: Final = 30
"""How long a lease lasts."""


# --- What is asked ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Create:
    """Begin a run with so many steps: driven by its owner, or queued.

    Attributes:
        parent: The run that it branches from, after the step `at`; "" for none.
        starter: The run whose node starts it; "" for none.
        due: In how many seconds it is due if it waits; 0 for never.
        size: About how many bytes each step has.
        then: The status that it has after one more step, which is added once it is begun; "" for no more.
    """

    by: int = 0
    run: str = "a"
    steps: int = 1
    status: Status = "running"
    then: Status | Literal[""] = ""
    graph: str = "g"
    parent: str = ""
    at: int = 1
    starter: str = ""
    is_queued: bool = False
    queue: str = "default"
    priority: int = 0
    tenant: str = ""
    user: str = ""
    tags: tuple[str, ...] = ()
    due: int = 0
    size: int = 0


@dataclass(frozen=True)
class Claim:
    """Become the driver of a run."""

    by: int = 0
    run: str = "a"


@dataclass(frozen=True)
class Take:
    """Take at most so many runs from queues; of all if none are named. `aside` are not taken, nor are `paused` tenants.

    `refused` says that those aside could not be resumed, so that they take no place of their queue.
    """

    by: int = 0
    limit: int = 1
    graphs: tuple[str, ...] = ()
    queues: tuple[str, ...] = ()
    aside: tuple[str, ...] = ()
    refused: bool = False
    paused: tuple[str, ...] = ()


@dataclass(frozen=True)
class Release:
    """Let the driver of a run stop that; or `by`, with a fence that is out of date, if `is_stale`."""

    by: int = 0
    run: str = "a"
    is_stale: bool = False


@dataclass(frozen=True)
class Add:
    """Add so many steps to a run, as its driver, which claims it first if nobody drives it.

    Attributes:
        by: Who claims it; or who adds the steps though it may not drive the run, if `is_stranger`.
        is_stale: Whether the fence is out of date.
        gap: What the seq of the last step is off by.
        status: The run's status after them.
        due: In how many seconds a waiting run is due; 0 for never.
        consumes: How many of its oldest messages are delivered with them.
        to: A run that gets a message with them; "" for none.
        spec: The number of the graph's new fingerprint; 0 to keep it.
        quarters: What the run cost, in quarters of a dollar; -1 if nothing is said of that.
        size: About how many bytes each step has.
    """

    by: int = 0
    run: str = "a"
    steps: int = 1
    status: Status = "running"
    is_stranger: bool = False
    is_stale: bool = False
    gap: int = 0
    due: int = 0
    consumes: int = 0
    to: str = ""
    spec: int = 0
    quarters: int = -1
    size: int = 0


@dataclass(frozen=True)
class Together:
    """Let an owner add steps to several runs at once; if it `dies` after so many turns, it does not learn of all."""

    by: int = 0
    adds: tuple[Add, ...] = ()
    dies: int = -1


@dataclass(frozen=True)
class Post:
    """Post to a run, unless the key was used, or one that begins with `alone`."""

    by: int = 0
    run: str = "a"
    kind: Literal["message", "answer", "stop"] = "message"
    key: str = "k"
    alone: str = ""


@dataclass(frozen=True)
class Tag:
    """Change the tags of a run."""

    by: int = 0
    run: str = "a"
    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()


@dataclass(frozen=True)
class Mark:
    """Say that a run is stopped with all below it, or take that back."""

    by: int = 0
    run: str = "a"
    mark: Literal["", "stop", "cancel"] = "stop"


@dataclass(frozen=True)
class Wait:
    """Let time pass; these owners renew their leases after it."""

    seconds: float = 1.0
    renews: tuple[int, ...] = ()


@dataclass(frozen=True)
class Close:
    """Close the store of an owner."""

    by: int = 0


@dataclass(frozen=True)
class Kill:
    """Kill an owner, or let it abandon its store, as when its event loop is over."""

    by: int = 0
    abandons: bool = False


@dataclass(frozen=True)
class Full:
    """Let an owner write when the disk is full: it is refused, and nothing has changed."""

    write: Create | Claim | Add | Post | Tag


@dataclass(frozen=True)
class Plan:
    """Keep a schedule whose next time is `at`, drop it, or move it to that time if its next time is the one `seen`."""

    by: int = 0
    name: str = "s"
    does: Literal["keep", "drop", "move"] = "keep"
    at: int = 10
    seen: int = 10


@dataclass(frozen=True)
class Limit:
    """Set the limits of a queue: how many runs are driven, in all and for a tenant; 0 for no limit."""

    by: int = 0
    queue: str = "default"
    most: int = 0
    of_tenant: int = 0
    is_paused: bool = False


@dataclass(frozen=True)
class Prune:
    """Remove runs: all but the newest `keep` of each graph, those whose last step is older than `age` seconds.

    Attributes:
        keep: How many are kept; -1 not to count.
        age: How old; -1 not to ask for it.
        tags: Runs with one of these stay.
        graph: Only runs of this graph; "" for all.
        statuses: Only runs with these.
        is_dry: Whether it is only said what would go.
        in_bites: Whether it is done a few at a time, as by a worker.
    """

    by: int = 0
    keep: int = -1
    age: int = 0
    tags: tuple[str, ...] = ()
    graph: str = ""
    statuses: tuple[Status, ...] = ENDED
    is_dry: bool = False
    in_bites: bool = False


@dataclass(frozen=True)
class Remove:
    """Remove runs in this order, as they were before steps or tags that came later, if `off` says so."""

    by: int = 0
    runs: tuple[str, ...] = ()
    off: Literal["", "seq", "tags", "status"] = ""


@dataclass(frozen=True)
class Trim:
    """Remove what old steps of a run recorded, at most so many; its last `keep` stay."""

    by: int = 0
    run: str = "a"
    keep: int = 0
    limit: int = 100


@dataclass(frozen=True)
class Sweep:
    """Free what removed runs leave."""

    by: int = 0


@dataclass(frozen=True)
class Look:
    """Compare every list that an owner can see with what it should be, selected and sorted so.

    `young` and `old` select what began at most, and more than, so many seconds ago; `every` counts by such intervals.
    """

    by: int = 0
    status: Status | None = None
    graph: str | None = None
    tag: str | None = None
    tenant: str | None = None
    user: str | None = None
    starter: str | None = None
    text: str | None = None
    sort: Literal["begun", "cost", "took", "status"] | None = None
    is_ascending: bool = False
    limit: int = 3
    ahead: int = 0
    young: int | None = None
    old: int | None = None
    every: int = 0


@dataclass(frozen=True)
class Read:
    """Compare a part of the log of a run, and the run as it was after a step."""

    by: int = 0
    run: str = "a"
    after: int = 0
    upto: int = 1


Command: TypeAlias = (
    Create | Claim | Take | Release | Add | Together | Post | Tag | Mark | Wait | Close | Kill | Full | Limit | Plan
    | Prune | Remove | Trim | Sweep | Look | Read
)  # fmt: skip


# --- Drawing ----------------------------------------------------------------------------------------------------------


THEMES: Final[Mapping[str, Sequence[str]]] = {
    "queues": (
        "queued", "queued", "queued", "queued", "take", "take", "take", "take", "limit", "add", "release", "release",
        "rest", "wait", "post", "kill", "plan",
    ),
    "leases": ("claim", "claim", "add", "add", "wait", "wait", "kill", "close", "release", "stranger", "take"),
    "writes": ("add", "add", "together", "together", "stranger", "kill", "close", "read", "branch", "full", "full"),
    "mail": ("post", "post", "add", "add", "take", "wait", "mark", "child", "claim"),
    "retention": (
        "ended", "ended", "branch", "child", "end", "prune", "prune", "tag", "remove", "trim", "sweep", "wait", "wait",
        "wait",
    ),
}  # fmt: skip
"""What commands have to do with; what is named twice is drawn twice as often."""


def draw_commands(random: Random) -> tuple[Command, ...]:
    """Return some commands, of a theme or two, so that those of each meet often."""
    return Commands(random).all()


class Commands:
    """Draws commands."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.sizes = self.one((0,), (0,), (0, 0, 90, 400), (0, 300, 1200, 3000))
        self.tenants = self.one(("",), ("", "x", "y"))
        self.queues = self.one(("default",), ("default", "q"))
        self.priorities, self.takes = self.one((0,), (0, 0, 1)), self.one((0, 1, 1, 1, 1, 2, 2, 5), (8,))
        self.owners = self.one((0,), (0, 0, 1), (0, 1, 2))

    def one(self, *choices: Any) -> Any:
        """Return one of these."""
        return self.random.choice(choices)

    def chance(self, share: float) -> bool:
        """Return True with this chance."""
        return self.random.random() < share

    def some(self, *choices: Any) -> tuple[Any, ...]:
        """Return some of these, in their order."""
        return tuple(each for each in choices if self.chance(0.5))

    def by(self) -> int:
        """Return an owner."""
        return int(self.one(*self.owners))

    def run(self) -> str:
        """Return a run; few, so that each has a history."""
        return str(self.one(*"aaaabbbccddefghz"))

    def all(self) -> tuple[Command, ...]:
        """Return commands in a row."""
        themes = self.random.sample(sorted(THEMES), self.one(1, 1, 2))
        kinds = [*(kind for theme in themes for kind in THEMES[theme]), "look", "look"]
        if "retention" in themes or "mail" in themes:
            kinds.append("create")
        first = [self.make("create") for _ in range(self.one(1, 2, 3))]
        return (*first, *(each for _ in range(self.one(6, 10, 16, 24)) for each in self.made(self.one(*kinds))))

    def made(self, kind: str) -> tuple[Command, ...]:
        """Return a command of a kind; before a prune most often some time passes."""
        command = self.make(kind)
        return (Wait(20.0), command) if kind == "prune" and self.chance(0.7) else (command,)

    def make(self, kind: str) -> Command:
        """Return a command of a kind."""
        by, run = self.by(), self.run()
        made: Mapping[str, Callable[[], Command]] = {
            "create": self.create,
            "queued": lambda: self.create(is_queued=True),
            "ended": lambda: self.create(status="running", then=self.one(*ENDED)),
            "branch": lambda: self.create(parent=self.run(), status="running", then=self.one("", *ENDED)),
            "child": lambda: self.create(starter=self.run(), status="running", then=self.one("", *ENDED)),
            "claim": lambda: Claim(by, run),
            "take": lambda: Take(
                by, self.one(*self.takes), self.one((), (), (), ("g",), ("g", "h")),
                self.one((), (), self.some(*self.queues)), self.one((), (), (run,)), self.chance(0.5),
                self.one((), (), self.tenants[1:2]),
            ),
            "release": lambda: Release(by, run, self.chance(0.3)),
            "add": self.add,
            "end": lambda: self.add(status=self.one(*ENDED)),
            "rest": lambda: self.add(status="waiting", due=self.one(-5, -5, 3)),
            "stranger": lambda: self.add(is_stranger=True, is_stale=self.chance(0.5)),
            "together": lambda: Together(by, tuple(self.add() for _ in range(self.one(2, 3, 4))), self.dies()),
            "post": lambda: Post(
                by, run, self.one("message", "message", "answer", "stop"), self.one(*"klm"), self.one("", "", "k")
            ),
            "tag": lambda: Tag(by, run, self.some("t", "u"), self.some("t", "u")),
            "mark": lambda: Mark(by, run, self.one("", "stop", "stop", "cancel")),
            "wait": lambda: Wait(self.one(0.5, 4.0, 20.0, 40.0, 100.0), self.some(*range(OWNERS))),
            "close": lambda: Close(by),
            "kill": lambda: Kill(by, self.chance(0.3)),
            "full": self.full,
            "plan": lambda: Plan(
                by, self.one("s", "s", "u"), self.one("keep", "move", "move", "drop"), self.one(5, 10), self.one(5, 10)
            ),
            "limit": lambda: Limit(
                by, self.one(*self.queues), self.one(0, 1, 2), self.one(0, 0, 1), self.chance(0.2)
            ),
            "prune": self.prune,
            "remove": lambda: Remove(
                by, tuple(self.run() for _ in range(self.one(1, 2, 3))), self.one("", "", "", "seq", "tags", "status")
            ),
            "trim": lambda: Trim(by, run, self.one(0, 1, 3), self.one(1, 100)),
            "sweep": lambda: Sweep(by),
            "look": self.look,
            "read": lambda: Read(by, run, self.random.randint(-1, 12), self.random.randint(0, 20)),
        }  # fmt: skip
        return made[kind]()

    def full(self) -> Full:
        """Return a write to a full disk."""
        made = self.make(self.one("create", "claim", "add", "add", "post", "tag"))
        assert isinstance(made, Create | Claim | Add | Post | Tag)
        return Full(made)

    def dies(self) -> int:
        """Return after how many turns an owner dies; most often -1, never."""
        return int(self.one(-1, -1, 0, 1, 3))

    def create(self, **given: Any) -> Create:
        """Return the begin of a run."""
        facts: dict[str, Any] = {
            "by": self.by(), "run": self.one(*"abcdefgh"), "steps": self.one(0, 1, 1, 2, 5),
            "size": self.one(*self.sizes), "status": self.one("running", "running", "waiting", "finished", "failed"),
            "graph": self.one("g", "g", "h"), "at": self.one(1, 1, 2, 3, 6), "tags": self.some("t", "u"),
            "queue": self.one(*self.queues), "priority": self.one(*self.priorities), "tenant": self.one(*self.tenants),
            "user": self.one("", "", "someone"), "due": self.one(0, -5, 3, 60),
        }  # fmt: skip
        return Create(**{**facts, **given})

    def add(self, **given: Any) -> Add:
        """Return an addition of steps."""
        facts: dict[str, Any] = {
            "by": self.by(), "run": self.run(), "steps": self.one(0, 1, 1, 2, 3, 6), "size": self.one(*self.sizes),
            "status": self.one("running", "running", "running", "waiting", "waiting", *ENDED),
            "gap": self.one(0, 0, 0, 0, 0, 0, -1, 1), "due": self.one(0, -5, 3, 60), "consumes": self.one(0, 0, 1, 2),
            "to": self.one("", "", "", self.run()), "spec": self.one(0, 0, 0, 1, 2), "quarters": self.one(-1, -1, 0, 2),
        }  # fmt: skip
        return Add(**{**facts, **given})

    def prune(self) -> Prune:
        """Return a prune."""
        keep, age = self.one((-1, 0), (-1, 0), (-1, 10), (0, -1), (1, -1), (2, 0), (1, 10))
        bites = self.chance(0.4)
        return Prune(
            self.by(), keep, age, self.one((), (), ("t",)), self.one("g", "h") if bites else self.one("", "", "g"),
            self.one(ENDED, ENDED, ENDED[:1], ENDED[1:3]), not bites and self.chance(0.2), bites,
        )  # fmt: skip

    def look(self) -> Look:
        """Return a look at all lists."""
        return Look(
            self.one(self.by(), self.by(), READER), self.one(None, None, "running", "waiting", *ENDED),
            self.one(None, None, "g", "h"), self.one(None, None, None, "t"), self.one(None, None, *self.tenants[1:]),
            self.one(None, None, None, "someone"), self.one(None, None, None, self.run()),
            self.one(None, None, None, "g", "re", "t"), self.one(None, None, "begun", "cost", "took", "status"),
            self.chance(0.3), self.one(0, 1, 2, 3, 5), self.one(0, 0, -10, 50),
            self.one(None, None, 0, 10, 50), self.one(None, None, 0, 10, 50), self.one(0, 0, 10),
        )  # fmt: skip
