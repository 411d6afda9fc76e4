"""Debounced inputs over a deployment: an input is kept as JSON, and migrated when its run is started."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field, create_model

from graphengine import END, START, Graph, Limits, Runner, Secret, debounced
from graphengine.errors import CompileError, InputError
from graphengine.kernel.extension import Context, compiled
from graphengine.kernel.fake_clock import FakeClock
from graphengine.runner import children
from tests.kit.runs import SOON

FIRST = {"euros": (int, 0), "note": (str, "old")}
CENTS = {"cents": (int, 0), "note": (str, "new")}
NEEDS = {"euros": (int, 0), "title": (str, ...)}
IN_CENTS = {"version": 2, "migrate": {1: lambda old: {"cents": old["euros"] * 100, "note": old["note"]}}}
WITH_TITLE = {"version": 2, "migrate": {1: lambda old: {"euros": old["euros"], "title": "?"}}}
WINDOW = 60.0


@pytest.fixture
def clock() -> FakeClock:
    """Return a clock that only the test moves."""
    return FakeClock(start=1000.0, jumps=False)


def index(fields: Mapping[str, Any], **options: Any) -> Graph[Any]:
    """Return one version of the graph that is started."""
    graph: Graph[Any] = Graph("index", create_model("Index", **fields), **options)
    graph.add_node("read", lambda: None)
    graph.add_path(START, "read", END)
    return graph


class Deployed:
    """The code of one version on a runner: it sends inputs, and lets the run of the key go on."""

    def __init__(self, runner: Runner, clock: FakeClock, graph: Graph[Any], key: str = "k") -> None:
        self.runner, self.clock, self.graph, self.key = runner, clock, graph, key
        self.later = debounced(graph, seconds=WINDOW)

    async def send(self, given: object) -> None:
        """Send an input as code of this version does, and wait until the run of the key waits for the window's end."""
        await self.runner.start_or_send(self.later, self.key, "start", given)
        await self.settle()

    async def settle(self) -> None:
        """Let the run of the key receive what was sent, do what is due, and rest."""
        async with asyncio.timeout(SOON):
            while True:
                await self.runner.drive(self.key, self.later)
                # The inbox is read first, so that the row is not older than the last message that was received.
                inbox = await self.runner.store.inbox([self.key])
                [info] = await self.runner.store.infos([self.key])
                is_due = info.due_at is not None and info.due_at <= self.clock.now()
                if info.status == "waiting" and not is_due and not inbox:
                    return
                await asyncio.sleep(0.01)

    async def end(self) -> None:
        """Let the process of this version end: another one drives the run from then on."""
        await self.runner.release(self.key)

    async def pass_window(self, seconds: float = WINDOW + 1) -> None:
        """Let time pass, and the run of the key go on."""
        self.clock.move(seconds)
        await self.settle()

    async def started(self) -> list[dict[str, Any]]:
        """Return what the runs of the graph were started with, the oldest first."""
        async with asyncio.timeout(SOON):
            while True:
                infos = await self.runner.runs(graph="index")
                if all(info.status == "finished" for info in infos):
                    break
                await asyncio.sleep(0.01)
        return [dict(await self.runner.state_at(info.id)) for info in reversed(infos)]

    async def collected(self) -> Mapping[str, Any]:
        """Return the state of the run of the key."""
        return await self.runner.state_at(self.key)


@pytest.mark.parametrize(
    ("fields", "options", "begun", "next_input", "next_begun"),
    [
        (CENTS, IN_CENTS, {"cents": 700, "note": "new"}, {"cents": 5}, {"cents": 5, "note": "new"}),
        (NEEDS, WITH_TITLE, {"euros": 7, "title": "?"}, {"title": "t"}, {"euros": 0, "title": "t"}),
    ],
)
async def test_a_collected_input_is_migrated_when_it_is_started(  # noqa: PLR0913 - one deployment
    timed: Runner,
    clock: FakeClock,
    fields: Mapping[str, Any],
    options: Mapping[str, Any],
    begun: object,
    next_input: object,
    next_begun: object,
) -> None:
    """The process ends while it collects; the next version starts the input migrated, forgets it, and goes on."""
    old, new = Deployed(timed, clock, index(FIRST)), Deployed(timed, clock, index(fields, **options))
    assert compiled(old.later).fingerprint == compiled(new.later).fingerprint
    await old.send({"euros": 7})
    await old.end()
    await new.pass_window()
    assert await new.started() == [begun]
    assert await new.collected() == {"newest": None, "is_quiet": False, "trouble": "", "since": 0.0}
    await new.send(next_input)
    await new.pass_window()
    assert await new.started() == [begun, next_begun]


async def test_an_idle_key_goes_on_after_a_field_is_required(timed: Runner, clock: FakeClock) -> None:
    """A key whose run was started has nothing left of its input that the new version would have to read."""
    old, new = Deployed(timed, clock, index(FIRST)), Deployed(timed, clock, index(NEEDS))
    await old.send({"euros": 7})
    await old.pass_window()
    await old.end()
    await new.send({"euros": 1, "title": "t"})
    await new.pass_window()
    assert (await new.started())[-1] == {"euros": 1, "title": "t"}


async def test_a_message_is_read_as_the_version_that_sent_it(timed: Runner, clock: FakeClock) -> None:
    """Processes of two versions send while the new one drives. A message without a version is of the driver's one."""
    old, new = Deployed(timed, clock, index(FIRST)), Deployed(timed, clock, index(CENTS, **IN_CENTS))
    begun = []
    for sender, given, cents in ((old, {"euros": 7}, 700), (new, {"cents": 7}, 7), (None, {"cents": 9}, 9)):
        await new.send({"cents": 1})
        await new.end()
        if sender is None:
            await timed.send("k", "start", given)
        else:
            await timed.start_or_send(sender.later, "k", "start", given)
            await sender.end()
        await new.settle()
        await new.pass_window()
        begun.append(cents)
        assert [each["cents"] for each in await new.started()] == begun


async def test_an_input_of_a_newer_version_waits_for_that_version(
    timed: Runner, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A process of the old version keeps it, and says so; nothing fails."""
    old, new = Deployed(timed, clock, index(FIRST)), Deployed(timed, clock, index(CENTS, **IN_CENTS))
    await new.send({"cents": 5})
    await new.end()
    await old.pass_window()
    assert "version 2 of graph 'index', but this process has version 1" in (await old.collected())["trouble"]
    assert "the input that run k has collected cannot be started" in caplog.text
    assert await old.started() == []
    await old.end()
    await new.pass_window()
    assert await new.started() == [{"cents": 5, "note": "new"}]
    assert (await new.collected())["trouble"] == ""


@pytest.mark.parametrize("is_repaired", [True, False])
async def test_an_input_that_no_longer_fits_is_kept(
    timed: Runner, clock: FakeClock, caplog: pytest.LogCaptureFixture, *, is_repaired: bool
) -> None:
    """The key is not dead: a deployment with `migrate=` starts it, or the next input that is sent replaces it."""
    old, new = Deployed(timed, clock, index(FIRST)), Deployed(timed, clock, index(NEEDS))
    await old.send({"euros": 7})
    await old.end()
    with caplog.at_level(logging.ERROR, "graphengine.runner"):
        await new.pass_window()
    assert "the input of run 'k' no longer fits it" in caplog.text
    assert "field 'title' is new and has no default" in (await new.collected())["trouble"]
    if is_repaired:
        await new.end()
        repaired = Deployed(timed, clock, index(NEEDS, **WITH_TITLE))
        await repaired.pass_window()
        assert await repaired.started() == [{"euros": 7, "title": "?"}]
    else:
        await new.send({"title": "t"})
        await new.pass_window()
        assert await new.started() == [{"euros": 0, "title": "t"}]


async def test_a_given_field_that_is_gone_is_not_lost(timed: Runner, clock: FakeClock) -> None:
    """The value of a field that the caller gave does not vanish; a default that the caller left alone may."""
    old, new = Deployed(timed, clock, index(FIRST)), Deployed(timed, clock, index({"euros": (int, 0)}))
    await old.send({"euros": 7})
    await old.end()
    await new.pass_window()
    assert await new.started() == [{"euros": 7}]
    await new.end()
    await old.send({"note": "kept"})
    await old.end()
    await new.pass_window()
    assert "the input has the field 'note'" in (await new.collected())["trouble"]


async def test_a_renamed_field_is_found_by_its_alias(timed: Runner, clock: FakeClock) -> None:
    """As in a recorded state: the old name counts if it is no other field's name."""
    alias = index({"price": (Annotated[int, Field(validation_alias="euros")], 0)})
    old, new = Deployed(timed, clock, index({"euros": (int, 0)})), Deployed(timed, clock, alias)
    await old.send({"euros": 7})
    await old.end()
    await new.pass_window()
    assert await new.started() == [{"price": 7}]


async def test_each_key_has_an_input_of_its_own_version(timed: Runner, clock: FakeClock) -> None:
    """Several keys collect at a deployment, some with inputs of the old version."""
    old, new = index(FIRST), index(CENTS, **IN_CENTS)
    for number, (key, graph) in enumerate([("a", old), ("b", new), ("c", old)]):
        deployed = Deployed(timed, clock, graph, key)
        await deployed.send({"euros" if graph is old else "cents": number + 1})
        await deployed.end()
    clock.move(WINDOW + 1)
    for key in ("a", "b", "c"):
        await Deployed(timed, clock, new, key).pass_window(0)
    found = await Deployed(timed, clock, new, "a").started()
    assert sorted(each["cents"] for each in found) == [2, 100, 300]


async def test_an_invalid_input_is_refused_where_it_is_sent(timed: Runner, clock: FakeClock) -> None:
    """The sender's own version decides, also while the run of the key does not wait; nothing is recorded."""
    new = Deployed(timed, clock, index(CENTS, **IN_CENTS))
    with pytest.raises(InputError, match=r"this is not a message on 'start': .*'euros'"):
        await timed.start_or_send(new.later, "k", "start", {"euros": 7})
    assert await timed.runs() == []


async def test_a_run_that_kept_its_input_typed_goes_on(timed: Runner, clock: FakeClock) -> None:
    """Before inputs were kept as JSON, they were typed fields. Such an input counts as one of the current version."""
    graph = index({"euros": (int, 0)})
    await timed.start_or_send(typed_form(graph), "k", "start", {"euros": 7})
    new = Deployed(timed, clock, graph)
    async with asyncio.timeout(SOON):
        while (await timed.state_at("k"))["newest"] is None:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    await new.end()
    await new.pass_window()
    assert await new.started() == [{"euros": 7}]
    await new.send({"euros": 8})
    await new.pass_window()
    assert await new.started() == [{"euros": 7}, {"euros": 8}]


def typed_form(graph: Graph[Any]) -> Graph[Any]:
    """Return the graph that collected inputs before they were kept as JSON."""
    given: Any = graph.state | None

    async def first(ctx: Context) -> Any:
        return await ctx.receive("start", given)

    async def later(ctx: Context, newest: Any) -> dict[str, Any]:
        found = await ctx.receive("start", given, timeout_seconds=WINDOW, default=None)
        return {"newest": newest if found is None else found, "is_quiet": found is None}

    async def start(ctx: Context, newest: Any) -> None:
        await ctx.start(graph, newest, on_stop="leave")

    state = create_model("Collected", newest=(given, None), is_quiet=(bool, False))
    made: Graph[Any] = Graph(f"{graph.name} later", state, limits=Limits(visits=None))
    made.add_node("first", first, writes="newest")
    made.add_node("later", later, writes=("newest", "is_quiet"))
    made.add_node("start", start)
    made.add_edge(START, "first")
    made.add_edge("first", END, when=lambda newest: newest is None, label="no more")
    made.add_edge("first", "later")
    made.add_edge("later", "start", when=lambda is_quiet: is_quiet, label="quiet")
    made.add_edge("later", "later")
    made.add_edge("start", "first")
    return made


class Account(BaseModel):
    """A state with a secret."""

    token: Annotated[str, Secret] = ""


def test_a_graph_with_secrets_is_refused() -> None:
    """Messages are kept in clear text, and so is an input until its run is started."""
    graph = Graph("account", Account, secret_key="long and different enough: 0123456789abcdef")  # noqa: S106
    graph.add_node("read", lambda: None)
    graph.add_path(START, "read", END)
    with pytest.raises(CompileError, match="field 'token' of graph 'account' is secret"):
        compiled(debounced(graph, seconds=WINDOW))


async def test_a_run_that_was_started_before_the_process_died_is_not_started_again(
    timed: Runner, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process dies when the run is created and its start is not recorded yet. The next version finds that run."""
    old, new = Deployed(timed, clock, index(FIRST)), Deployed(timed, clock, index(CENTS, **IN_CENTS))
    begin, created = children._Start.make, asyncio.Event()  # noqa: SLF001 - between two records

    async def die(start: Any) -> Any:
        await begin(start)
        created.set()
        await asyncio.Event().wait()

    await old.send({"euros": 7})
    with monkeypatch.context() as patched:
        patched.setattr(children._Start, "make", die)  # noqa: SLF001
        clock.move(WINDOW + 1)
        await timed.drive("k", old.later)
        await asyncio.wait_for(created.wait(), SOON)
        await timed.release("k", now=True)
    await new.settle()
    assert await new.started() == [{"euros": 7, "note": "old"}]
    assert (await new.collected())["newest"] is None
