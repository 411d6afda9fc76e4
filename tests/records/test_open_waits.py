"""A question that is answered is no open one, also as long as nothing drives its run."""

from collections.abc import Sequence
from typing import Any

from graphengine import Runner, ask
from graphengine.stores.base import RunInfo, Summary
from tests.kit.waiting import forked, waiting


def arms(*names: str) -> Any:
    """Return a graph that asks a question in each of these arms."""
    return forked(*[(name, ask(f"{name}?", str), "log") for name in names])


def summary(infos: Sequence[RunInfo]) -> Summary:
    """Return the summary of the one run of a list."""
    (info,) = infos
    assert info.summary is not None
    return info.summary


async def test_a_list_counts_only_what_is_open(runner: Runner) -> None:
    """Of three questions of which two are answered, one counts, and is shown."""
    run_id = await waiting(runner, arms("a", "b", "c"))
    assert summary(await runner.runs(status="waiting")).waits == 3
    await runner.answer(run_id, "1", wait="a")
    await runner.answer(run_id, "2", wait="c")
    shown = summary(await runner.runs(status="waiting"))
    assert (shown.waits, shown.reason, shown.kind) == (1, "b: b?", "ask")
    await runner.answer(run_id, "3", wait="b", by="ada")
    shown = summary(await runner.runs(status="waiting"))
    assert (shown.waits, shown.reason, shown.kind) == (0, "answered by ada, waits for a worker or a resume", "answered")
