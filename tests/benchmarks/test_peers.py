import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from importlib.util import find_spec
from types import SimpleNamespace

import pytest

from benchmarks.measure import Settings
from benchmarks.peers import OURS, Databases, Library, durable_peers
from benchmarks.programs import PROGRAMS
from benchmarks.report import report

QUICK = Settings(quick=True)
LIBRARIES = {"langgraph": "LangGraph", "burr": "Burr", "pydantic_graph": "pydantic-graph", "dbos": "DBOS"}


@pytest.mark.parametrize(
    ("name", "packages"),
    [("peers", ["langgraph", "burr", "pydantic_graph"]), ("durable_peers", ["langgraph", "burr", "dbos"])],
)
async def test_each_installed_library_takes_part(
    name: str, packages: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """No side fails, and each has its ratio to ours. `make bench` installs all libraries."""
    installed = [package for package in packages if find_spec(package)]
    if not installed:
        pytest.skip(f"none of {', '.join(packages)} is installed: they are in the group bench")

    outcome = await PROGRAMS[name](QUICK)

    assert "left out" not in capsys.readouterr().err
    for package in installed:
        measured = [side for side in outcome.figures if side.endswith(f": {LIBRARIES[package]}")]
        assert len(measured) >= 4
        assert all(outcome.compared[side].endswith(f": {OURS}") for side in measured)


async def test_a_library_that_fails_does_not_hide_the_others(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Workloads that fail or count wrong are left out, and so is a library that cannot start; the rest is measured."""

    @asynccontextmanager
    async def half_broken(databases: Databases) -> AsyncIterator[Mapping[str, Library]]:
        async def one() -> int:
            return 1

        async def broken() -> int:
            message = "no loop"
            raise RuntimeError(message)

        assert databases.folder.is_dir()
        yield {"Burr": {"chain": lambda _: one, "loop": lambda _: broken}}

    def absent(_: Databases) -> None:
        message = "no database"
        raise RuntimeError(message)

    for package, side in {"burr": half_broken, "dbos": absent}.items():
        monkeypatch.setitem(sys.modules, f"benchmarks.{package}_side", SimpleNamespace(side=side))
    monkeypatch.setattr(Settings, "has", lambda _, package: package in {"burr", "dbos"})

    outcome = await durable_peers(QUICK)

    assert [side for side in outcome.figures if "Burr" in side] == ["a run of 1 node: Burr"]
    assert len([side for side in outcome.figures if OURS in side]) == 6
    said = capsys.readouterr().err
    assert "dbos is left out: RuntimeError('no database')" in said
    assert "Burr: a run of 3 nodes is left out: RuntimeError('its nodes counted [1], not 3')" in said
    assert "Burr: a visit in a loop of 5 is left out: RuntimeError('no loop')" in said
    page = report({"durable_peers": outcome})
    assert "| against ours |" in page
    [row] = [line for line in page.splitlines() if line.startswith("| a run of 1 node: Burr |")]
    assert row.endswith(" times |")
