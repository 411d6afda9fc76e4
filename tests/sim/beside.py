"""The runs beside the first one, the messages between runs, and the workers that drive them.

What it is for
    Peers are runs that nobody's node starts. They begin by themselves, or `after=` another run, with its last state.
    Nodes send messages to any of these runs, and so does somebody outside. `Beside` starts the peers, sends the
    messages, and keeps which were accepted; `works` is what a process with a worker does.

Invariants
    - A message that was accepted is in the log or in the inbox of its run exactly once, however often it was sent with
      its idempotency key, unless the run was cancelled or removed. One that nobody sent is nowhere. The messages of a
      peer, whose nodes run one after another, arrive in their order.
    - A message is refused only by a run that is not there, has finished or is cancelled.
    - A start `after=` a run is refused exactly if that run is not there or has not ended. The peer begins once, with
      the state in which the run ended last.
    - Workers come to rest only when nothing is due: what was answered, sent, released, queued, or left by a process
      that was lost is driven by one that is alive. They resume nothing that failed or was stopped.

What races, and how it is played
    1. A node's message is durable, and its process is lost before the call is recorded. 2. The next process makes the
    call again, and sends the message with the same key. 3. It is not there twice, also if it was received meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from graphengine import Graph, Runner, Worker
from graphengine.engine import steps
from graphengine.errors import InputError, RunCancelled, RunExists, StoreError, UnknownRun
from graphengine.worker.worker import Refused, WorkerEvent
from tests.sim import program as p
from tests.sim.model import Model, Wrong

MANY: Final = 10_000
POLL_SECONDS: Final = 5.0
"""How often a worker looks for runs that are due."""
MOST_LOOKS: Final = 400
"""After so many looks in one life, workers never come to rest."""
GIVEN: Final = (("n", 2), ("total", 1), ("log", ["given"]))
"""What the start of a peer gives that begins after another run."""


@dataclass
class Beside:
    """What is known of the peers, and of the messages.

    Attributes:
        peers: The peers, by id.
        begun: Those that were started.
        posts: What somebody outside has sent to the run and is not yet accepted or refused.
        sent: The run to which each message was sent.
        accepted: Those that were accepted.
        ends: The steps with which each run ended, with its status and its state then.
    """

    peers: Mapping[str, p.Peer]
    begun: set[str] = field(default_factory=set)
    posts: list[str] = field(default_factory=list)
    sent: dict[str, str] = field(default_factory=dict)
    accepted: set[str] = field(default_factory=set)
    ends: dict[str, list[tuple[steps.Step, str, dict[str, Any]]]] = field(default_factory=dict)

    # --- peers --------------------------------------------------------------------------------------------------------

    async def due(self, store: Any, writes: float) -> Sequence[str]:
        """Return the peers that are to be started now."""
        self.begun |= {info.id for info in await store.infos([*self.peers])}
        return [name for name, peer in self.peers.items() if name not in self.begun and peer.at <= writes]

    async def goes_on(self, store: Any) -> bool:
        """Return whether peers have not ended, or can be started, now that the first run is over."""
        infos = {info.id: info for info in await store.runs(limit=MANY)}
        left = [self.peers[name] for name in await self.due(store, float("inf"))]
        can_begin = any(not peer.after or is_over(infos.get(peer.after)) for peer in left)
        return can_begin or any(not is_over(info) for name, info in infos.items() if name in self.peers)

    async def start(self, runner: Runner, name: str, graph: Graph[Any], store: Any) -> Any:
        """Start a peer, and return its handle; None if that is refused. Raises: Wrong: It should not be, or should."""
        peer = self.peers[name]
        before = await infos_of(store, peer.after)
        given = dict(GIVEN if peer.after else (("n", 1),))
        queue = p.QUEUE if peer.queued else None
        try:
            run = runner.start(graph, given, run_id=name, after=peer.after or None, queue=queue)
            await run.begun()
        except RunExists:
            self.begun.add(name)
            return None
        except (UnknownRun, InputError) as refusal:
            if not peer.after or is_over(before):
                raise Wrong(f"{name} is not started after {before}: {refusal}") from None
            return None
        self.begun.add(name)
        now = await infos_of(store, peer.after)
        if now is not None and not is_over(before) and not is_over(now):  # it may have ended meanwhile, or be removed
            raise Wrong(f"{name} is started after a run that has not ended: {before}")
        return run

    def model(self, name: str, first: Mapping[str, Any], at: float, events: tuple[p.Event, ...]) -> Model:
        """Return the model of a peer that was started at a time with this state. Raises: Wrong."""
        peer = self.peers[name]
        plain = p.Program(peer.graph, (("n", 1),), 1000, events=events, workers=int(peer.queued))
        if not peer.after:
            return Model(plain)
        ends = [(step.at, state) for step, _, state in self.ends.get(peer.after, ()) if step.at <= at]
        earlier = max((time for time, _ in ends if time < at), default=at)  # it may have ended again at this time
        made = [
            Model(replace(plain, begins=GIVEN), {field: state[field] for field in p.DEFAULTS})  # it has no newer fields
            for time, state in ends
            if time in (at, earlier)
        ]
        found = [model for model in made if model.root.state == first]
        if not found and peer.after in self.ends:
            raise Wrong(f"{name} begins with {first} after {peer.after}, which ended with {ends}")
        return found[0] if found else Model(replace(plain, begins=()), first)  # the other run was removed

    # --- messages -----------------------------------------------------------------------------------------------------

    async def tell(self, runner: Runner, to: str, text: str, store: Any) -> None:
        """Send a message to a run. Raises: Wrong: It is refused, though the run is there and has not ended."""
        self.sent[text] = to
        before = await infos_of(store, to)
        try:
            await runner.send(to, "t", text, idempotency_key=text)
        except (UnknownRun, InputError, RunCancelled) as refusal:
            now = await infos_of(store, to)
            if before is not None and now is not None and now.status not in ("finished", "cancelled"):
                raise Wrong(f"a message to {to}, which is {now.status}, is refused: {refusal}") from None
        else:
            self.accepted.add(text)
        self.posts = [each for each in self.posts if each != text]

    async def check(self, store: Any) -> None:
        """Check where all messages are. Raises: Wrong."""
        for info in await store.runs(limit=MANY):
            log = [step.data for step in (await store.steps(info.id))[info.parent_seq :]]  # a branch has its own mail
            heard = [data.payload for data in log if isinstance(data, steps.Message)]
            heard += [each.payload["payload"] for each in await store.inbox([info.id]) if each.kind == "message"]
            mine = [text for text in heard if isinstance(text, str) and text.startswith(("told by ", "post "))]
            lost = {text for text in self.accepted if self.sent[text] == info.id} - {*mine}
            if lost and info.status != "cancelled":
                raise Wrong(f"messages are lost that {info.id} had accepted: {sorted(lost)}")
            if len({*mine}) < len(mine) or any(self.sent.get(text) != info.id for text in mine):
                raise Wrong(f"{info.id} has messages twice, or of nobody: {mine}")
            for name in self.peers:
                its = [text for text in mine if text.startswith(f"told by {name} ")]
                if its != sorted(its):
                    raise Wrong(f"the messages of {name} arrive in another order: {its}")


def is_over(info: Any) -> bool:
    """Return whether a run is there, and has ended."""
    return info is not None and info.status in steps.OVER


async def infos_of(store: Any, run_id: str) -> Any:
    """Return what a store knows of a run; None if it is not there."""
    return next(iter(await store.infos([run_id])), None)


# --- workers ----------------------------------------------------------------------------------------------------------


async def works(runner: Runner, graphs: Sequence[Graph[Any]], store: Any, breaks: Callable[[str], None]) -> None:
    """Let a worker drive what is due, until nothing is. `breaks` is told what it cannot resume.

    Raises:
        Wrong: It does not come to rest.
    """

    def heard(event: WorkerEvent) -> None:
        if isinstance(event, Refused) and not isinstance(event.error, StoreError | UnknownRun):
            breaks(f"a worker could not resume {event.info}: {event.error}")

    worker = Worker(runner, *graphs, concurrency=2, poll_seconds=POLL_SECONDS, on_event=heard)
    working = asyncio.create_task(worker.run())
    looks = 0
    while not working.done() and (due := await left(store)):
        looks += 1
        if looks > MOST_LOOKS:
            raise Wrong(f"workers do not come to rest: {due}")
        await asyncio.wait([working], timeout=POLL_SECONDS)
    worker.stop()
    await working


async def left(store: Any) -> Sequence[tuple[str, str]]:
    """Return which runs are driven, or due to be driven, and their status."""
    held = [info for info in await store.runs(limit=MANY) if info.held and not is_over(info)]
    due = await store.due(asyncio.get_running_loop().time(), limit=MANY)
    return [(info.id, info.status) for info in (*held, *due)]
