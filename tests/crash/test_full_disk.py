"""A disk gets full amid many runs: every one of them is told, none goes on, and all can be resumed."""

import asyncio
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from graphengine import Runner
from graphengine.history.load import load_snapshot
from tests.crash.deaths import done, recorded
from tests.crash.full_disk import EARLY, RUNS, VISITS
from tests.kit.facts import said

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(__file__).with_name("full_disk.py")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where it happened."""
    return tmp_path_factory.mktemp("full")


@pytest.fixture(scope="module")
def told(folder: Path) -> Any:
    """What the process tells whose disk was full for a while."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    words = [sys.executable, str(PROGRAM), str(folder / "runs.db")]
    process = subprocess.run(words, capture_output=True, text=True, env=environment, check=False, timeout=60)
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout)


def test_each_run_gets_the_error_with_its_cause(told: Any) -> None:
    """All steps that waited for the commit that failed, and those behind it, are refused with what SQLite said."""
    assert len(told["full"]) == RUNS
    assert {(each["code"], each["cause"]) for each in told["full"]} == {("store_full", "OperationalError")}
    assert all("free some space, then resume" in each["repair"] for each in told["full"])
    assert sum(told["later"].values()) >= EARLY


def test_no_node_begins_behind_a_step_that_was_not_recorded(told: Any) -> None:
    """What each run had begun when it was told is all that it ever began; its log is a node behind, at most."""
    for each in told["full"]:
        run_id = each["run_id"]
        seqs = told["seqs"][run_id]
        assert told["later"][run_id] == each["begun"]
        assert seqs == list(range(1, len(seqs) + 1))
        assert 0 <= each["begun"] - (len(seqs) - 1) <= 1, "the first row is the start, each other one a visit"


def test_all_can_be_resumed_by_the_process_that_had_them(told: Any, folder: Path) -> None:
    """Once there is room; though that they were let go could not be recorded. What was lost is done again, once."""

    async def logs() -> Counter[str]:
        async with Runner(folder / "runs.db") as runner:
            found: Counter[str] = Counter()
            for number in range(RUNS):
                assert (await load_snapshot(runner.store, f"r{number}", None)).status == "finished"
                steps = await runner.history(f"r{number}")
                assert not any(said(step).get("crashed") for step in steps), "nobody died"
                found += recorded(steps, f"r{number}")
            return found

    assert {each["status"] for each in told["again"]} == {"finished"}
    works = Counter(what for _, what in done(folder / "effects"))
    once = asyncio.run(logs())
    assert set(once.values()) == {1}
    assert len(once) == RUNS * VISITS
    lost = sum(each["begun"] - (len(told["seqs"][each["run_id"]]) - 1) for each in told["full"])
    assert lost > 0
    assert works.keys() == once.keys()
    assert sum((works - once).values()) == lost
