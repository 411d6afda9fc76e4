"""Migrations are called for a resume, and never again; the pages of this folder show what they do."""

from typing import Any

import pytest
from pydantic import BaseModel

from graphengine import Graph, Runner, ask, iterations
from graphengine.errors import GraphChanged
from tests.kit.runs import repeated


class First(BaseModel):
    name: str = "ants"
    score: int = 0


class Second(BaseModel):
    title: str
    score: int = 0


def rated(state: type[BaseModel] = First, **versions: Any) -> Graph[Any]:
    """Return a graph that asks for a score, three times."""
    return repeated(state, ask("How good?", int), "score", iterations("work") >= 3, **versions)


async def test_a_migration_is_not_called_a_second_time(runner: Runner) -> None:
    """Neither the next resume nor reading any step calls a migration again: its result is in the log."""
    calls: list[dict[str, Any]] = []

    def counted(values: dict[str, Any]) -> dict[str, Any]:
        calls.append(dict(values))
        return {"title": values["name"].upper(), "score": values["score"]}

    run_id = (await runner.start(rated()).result()).run_id
    after = rated(Second, version=2, migrate={1: counted})
    await runner.answer(run_id, 3)
    await runner.resume(run_id, after).result()
    assert (
        calls[1:] == calls[:-1] == [{"name": "ants", "score": 0}]
    )  # for the check before the claim, and for the claim
    for _ in range(2):
        await runner.answer(run_id, 4)
        await runner.resume(run_id, after).result()
    for step in await runner.history(run_id):
        await runner.state_at(run_id, step.seq)
    assert (await runner.state_at(run_id, 1))["name"] == "ants"
    assert [each.path for each in await runner.admin.diff(run_id, run_id, first_at=1)] == ["name", "score", "title"]
    assert len(calls) == 2


async def test_a_migration_that_fails_begins_no_branch(runner: Runner) -> None:
    """Nothing is recorded."""
    run_id = (await runner.start(rated()).result()).run_id
    with pytest.raises(GraphChanged):
        await runner.branch(run_id, rated(Second, version=2, migrate={1: lambda values: values}), at=1).result()
    assert [info.id for info in await runner.store.runs()] == [run_id]
