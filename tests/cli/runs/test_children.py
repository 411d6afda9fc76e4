"""Child runs with workers, crashes, other processes and no effects; `sessions` has how they start, wait and stop."""

import asyncio
from pathlib import Path

import pytest
from click.testing import CliRunner

from graphengine import (
    Runner,
)
from graphengine.cli.main import main
from tests.worker.test_child_runs import broken, children, parent


@pytest.fixture(autouse=True)
def _nothing_is_broken() -> None:
    broken.clear()


def invoked(*words: str) -> str:
    """Return what a command writes."""
    result = CliRunner().invoke(main, list(words))
    assert result.exit_code == 0, result.output
    return result.output


async def test_the_tree_and_the_page_of_a_run_show_its_children(database: Path | str) -> None:
    """A child is below the run that started it, and names its node; that run names its children."""
    async with Runner(database) as runner:
        await runner.start(parent, {"words": ["bee"]}, run_id="p").result()
        (kid,) = await children(runner, "p")
    tree = await asyncio.to_thread(invoked, "runs", "--tree", "child-of:p", "--store", str(database))
    lines = [line.strip() for line in tree.splitlines() if "p" in line or kid in line]
    assert [kid in line for line in lines if line.startswith(("p ", "└─"))] == [False, True]
    shown, shown_kid = [await asyncio.to_thread(invoked, "show", each, "--store", str(database)) for each in ("p", kid)]
    assert f"started {kid}" in shown
    assert "started by run p in node, visit 1" in shown_kid
