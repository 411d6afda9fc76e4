"""A failed node that runs alone on its recorded state: what is taken from the log, and what is refused."""

import ctypes
import importlib
import multiprocessing
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import BaseModel

from graphengine import END, START, Agent, Context, Graph, Runner, ScriptedModel, Secret
from graphengine.errors import ChildFailed
from graphengine.records.export import Exported, export_run, to_json_text
from graphengine.runner import RunFailed
from graphengine.testing import TriedNode, try_failed_node
from graphengine.testing.outside import OutsideRefused, refuse_outside
from graphengine.testing.proofs import scrub

Charge = Callable[..., Any]


class Order(BaseModel):
    """What is charged."""

    n: int = 1
    parts: list[int] = [1, 2, 3]
    text: str = ""
    total: Any = None


async def double(n: int) -> int:
    """Return a number that a service knows."""
    return n * 2


def shop(charge: Charge, **options: Any) -> Graph[Order]:
    """Return a graph of one node."""
    graph = Graph("shop", Order)
    graph.add_node("charge", charge, writes="total", **options)
    graph.add_path(START, "charge", END)
    return graph


async def fail(graph: Graph[Any], **given: Any) -> Exported:
    """Return a recorded run that failed."""
    async with Runner() as runner:
        with suppress(RunFailed):
            await runner.start(graph, given, run_id="failed").result()
        return await export_run(runner.store, "failed")


async def broken(ctx: Context, n: int) -> int:
    """Call a service, and fail."""
    await ctx.call(double, n)
    raise KeyError("rate")


def outcome(tried: TriedNode) -> tuple[str, str]:
    """Return the verdict and the reason."""
    return tried.verdict, tried.why


async def test_what_the_visit_recorded_is_taken_from_the_log() -> None:
    """The same call is not made again; a node that fails still says so, with its error."""
    run = await fail(shop(broken))

    async def repaired(ctx: Context, n: int) -> int:
        return await ctx.call(double, n) + 1

    assert outcome(await try_failed_node(shop(broken), run)) == ("fails", "KeyError: 'rate'")
    assert outcome(await try_failed_node(shop(repaired), run)) == ("passes", "")


async def test_an_item_of_a_map_is_tried_alone() -> None:
    """With the item that failed."""

    def each(part: int) -> int:
        if part == 2:
            raise ValueError(part)
        return part

    run = await fail(shop(each, each={"part": "parts"}))
    assert outcome(await try_failed_node(shop(each, each={"part": "parts"}), run)) == ("fails", "ValueError: 2")
    assert outcome(await try_failed_node(shop(lambda part: part, each={"part": "parts"}), run)) == ("passes", "")


async def test_no_model_is_called() -> None:
    """An answer that the log has is used, also if the prompt has changed; without one, the outcome is not known."""

    def asking(model: ScriptedModel, prompt: str, *, repaired: bool) -> Graph[Order]:
        agent = Agent("writer", prompt=prompt, model=model)

        async def charge(n: int) -> str:
            said = await agent.run(n=n)
            return said if repaired else f"{1 / 0}{said}"

        return shop(charge)

    run = await fail(asking(ScriptedModel(["twelve"]), "The price of {n}?", repaired=False))
    model = ScriptedModel(["another"])
    assert outcome(await try_failed_node(asking(model, "Say the price of {n}.", repaired=True), run)) == ("passes", "")
    run = await fail(asking(ScriptedModel([RuntimeError("down")]), "The price of {n}?", repaired=False))
    tried = await try_failed_node(asking(model, "The price of {n}?", repaired=True), run)
    asks = "charge would call a model, since the log has no answer to what it asks"
    assert outcome(tried) == ("unknown", asks)
    assert not model.requests


async def test_an_answer_on_which_a_check_failed_is_checked_again() -> None:
    """The answer is in the log, although a retry of the run would ask the model again; the outcome says so."""

    def checking(check: Callable[[str], None]) -> Graph[Order]:
        model = ScriptedModel(lambda _: "twelve")
        agent: Any = Agent("writer", prompt="The price of {n}?", model=model, check=check, output_retries=0)
        return shop(agent)

    def misses(answer: str) -> None:
        {"ten": 10}[answer]

    def refuses(answer: str) -> None:
        raise ValueError(answer)

    run = await fail(checking(misses))
    tried = await try_failed_node(checking(misses), run)
    assert outcome(tried) == ("fails", "KeyError: 'twelve'")
    tried = await try_failed_node(checking(lambda answer: None), run)
    assert (*outcome(tried), tried.repeats_work) == ("passes", "", True)
    tried = await try_failed_node(checking(refuses), run)
    assert tried.verdict == "unknown"
    assert tried.why.startswith(
        "charge does not accept the recorded answer, and a retry asks again: bad_answer: twelve"
    )


async def test_a_failed_child_run_is_named() -> None:
    """The node gets the recorded end, and the outcome is known only if the node can do without a result."""
    child = shop(broken)

    async def delegate(ctx: Context, n: int) -> Any:
        run = await ctx.start(child, {"n": n})
        return (await run.result()).state.total

    async def wraps(ctx: Context, n: int) -> Any:
        try:
            return await delegate(ctx, n)
        except ChildFailed as error:
            raise RuntimeError("no total") from error

    async def accepts(ctx: Context, n: int) -> Any:
        with suppress(ChildFailed):
            return await delegate(ctx, n)
        return 0

    run = await fail(shop(delegate))
    for node in (delegate, wraps):
        tried = await try_failed_node(shop(node), run)
        assert tried.verdict == "unknown"
        begin = "charge fails because a child run failed, which a retry resumes; prove the graph of the child run: "
        assert tried.why.startswith(f"{begin}child run ")
        assert tried.why.endswith("failed: KeyError: 'rate'")
    assert outcome(await try_failed_node(shop(accepts), run)) == ("passes", "")


@pytest.mark.parametrize("act", [False, True])
async def test_a_child_run_whose_end_is_not_recorded_is_not_awaited(*, act: bool) -> None:
    """The start is recorded, and the node failed before it asked for the end of the child."""
    child = shop(lambda n: n * 2, thread=False)

    async def starts(ctx: Context, n: int) -> int:
        await ctx.start(child, {"n": n})
        raise KeyError(n)

    async def only_starts(ctx: Context, n: int) -> int:
        await ctx.start(child, {"n": n})
        return n

    async def waits(ctx: Context, n: int) -> Any:
        return (await (await ctx.start(child, {"n": n})).result()).state.total

    async def starts_another(ctx: Context, n: int) -> Any:
        return (await (await ctx.start(child, {"n": n + 1})).result()).state.total

    run = await fail(shop(starts))
    assert outcome(await try_failed_node(shop(only_starts), run, act=act)) == ("passes", "")
    for node in (waits, starts_another):
        verdict, why = outcome(await try_failed_node(shop(node), run, act=act))
        assert (verdict, why.partition(":")[0]) == (
            "unknown",
            "charge would perform an effect of which the log has no result",
        )


async def reads_page(n: int) -> int:
    """Act without saying so."""
    urllib.request.urlopen("https://bank.example")  # noqa: ASYNC210 - refused
    return n


async def hides_page(n: int) -> int:
    """Act in a way that no check of the code sees."""
    getattr(urllib.request, "url" + "open")("http://127.0.0.1:9/")
    return n


async def starts_process(n: int) -> int:
    """Start a process, and hide the failure to start it."""
    with suppress(OSError):
        getattr(subprocess, "r" + "un")(["true"])
    return n


async def writes_file(n: int) -> int:
    """Write a file."""
    getattr(Path("sent.txt"), "write_" + "text")("x")
    return n


async def pays(ctx: Context, n: int) -> int:
    """Perform an effect."""
    return await ctx.call(double, n + 5, effect="once")


@pytest.mark.parametrize(
    ("charge", "why"),
    [
        (
            reads_page,
            "charge does not declare what it does outside: reads_page calls urllib.request.urlopen(…) in line",
        ),
        (hides_page, "charge would use the network (socket.getaddrinfo 127.0.0.1), which is refused without --act"),
        (starts_process, "charge would start another process (true), which is refused"),
        (writes_file, "charge would write the file sent.txt, which is refused"),
        (pays, "charge would perform an effect of which the log has no result: effect_refused: double was not called"),
    ],
)
async def test_what_acts_outside_is_refused_by_name(
    charge: Charge, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if the node catches the refusal; nothing has happened then."""
    monkeypatch.chdir(tmp_path)
    tried = await try_failed_node(shop(charge), await fail(shop(broken)))
    assert tried.verdict == "unknown"
    assert tried.why.startswith(why)
    assert not (tmp_path / "sent.txt").exists()


async def test_an_undeclared_node_is_refused_even_if_it_may_act() -> None:
    """A node that declares what it does is not."""
    run = await fail(shop(broken))
    assert "does not declare" in (await try_failed_node(shop(reads_page), run, act=True)).why
    assert outcome(await try_failed_node(shop(pays), run, act=True)) == ("passes", "")


async def test_a_graph_that_comes_to_another_node_is_not_judged() -> None:
    """The step that is decided otherwise is named."""
    run = await fail(shop(broken))
    other = Graph("shop", Order)
    other.add_node("check", lambda n: f"{n}", writes="text", thread=False)
    other.add_node("charge", double, writes="total")
    other.add_path(START, "check", "charge", END)
    verdict, why = outcome(await try_failed_node(other, run))
    assert (verdict, why.partition(":")[0]) == ("unknown", "the graph decides step 1 otherwise, before charge")


class Hidden(BaseModel):
    """A state with a secret."""

    token: Annotated[str, Secret]
    done: bool = False


async def test_a_secret_is_read_and_not_shown() -> None:
    """The node gets the secret in clear, and its error is shown without it."""

    def made(message: str) -> Graph[Hidden]:
        def charge(token: str) -> bool:
            if message:
                raise ValueError(message.format(token))
            return token == "hunter22hunter"  # noqa: S105 - of no real service

        graph = Graph("hidden", Hidden, secret_key="8f2c9e41d07b6a35c1e8f94a7d20b6c3-shop")  # noqa: S106 - a test key
        graph.add_node("charge", charge, writes="done", thread=False)
        graph.add_path(START, "charge", END)
        return graph

    run = await fail(made("no {}"), token="hunter22hunter")  # noqa: S106 - of no real service
    verdict, why = outcome(await try_failed_node(made("again {}"), run))
    assert verdict == "fails"
    assert why.startswith("ValueError: again ")
    assert "hunter" not in why
    assert outcome(await try_failed_node(made(""), run)) == ("passes", "")


async def test_a_scrubbed_run_has_no_keys_of_messages() -> None:
    """A sender chooses such a key, so the key can contain anything."""
    run = replace(await fail(shop(broken)), keys=("message of ann",))
    assert "message of ann" in to_json_text(run, "")
    assert "message of ann" not in to_json_text(scrub(run), "")


def test_what_is_refused_inside_is_allowed_after(tmp_path: Path) -> None:
    """The hook of the process stays, and refuses nothing outside the block."""
    file = tmp_path / "a.txt"
    with refuse_outside() as refused:
        with pytest.raises(OutsideRefused):
            file.write_text("x")
        with refuse_outside(is_off=True) as inner, pytest.raises(OutsideRefused):
            file.mkdir()
    assert (len(refused), inner) == (2, [])
    file.write_text("x")


def spawn_process() -> None:
    """Start a process as multiprocessing does."""
    multiprocessing.get_context("spawn").Process(target=print).start()


@pytest.mark.skipif(sys.platform != "linux", reason="not every function exists elsewhere")
@pytest.mark.parametrize(
    ("act", "words"),
    [
        (spawn_process, "start another process"),
        (lambda: os.kill(os.getpid(), signal.SIGCONT), "send a signal to a process (os.kill "),
        (lambda: os.killpg(0, signal.SIGCONT), "send a signal to a process (os.killpg 0)"),
        (lambda: os.utime("."), "change files (os.utime .)"),
        (lambda: os.setxattr(".", "user.a", b"x"), "change files (os.setxattr .)"),
        (lambda: os.removexattr(".", "user.a"), "change files (os.removexattr .)"),
        (lambda: os.mkfifo("sent"), "change files (os.mkfifo sent)"),
        (lambda: os.mknod("sent"), "change files (os.mknod sent)"),
        (lambda: importlib.import_module("syslog").syslog("sent"), "write to the log of the system"),
        (lambda: ctypes.CDLL(None), "call functions of the system"),
        (lambda: ctypes.CDLL("libc.so.6"), "call functions of the system (ctypes)"),
    ],
)
def test_each_way_of_acting_is_refused(
    act: Callable[[], object], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also those that Python does not report to audit hooks by itself."""
    monkeypatch.chdir(tmp_path)
    with refuse_outside() as refused, pytest.raises(OutsideRefused):
        act()
    assert [each.startswith(words) for each in refused] == [True]
    assert not [*tmp_path.iterdir()]
