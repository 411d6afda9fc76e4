"""A disk fills up while many runs are driven: every run gets the error, none continues, and all can be resumed."""

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
    """The folder of the database."""
    return tmp_path_factory.mktemp("full")


@pytest.fixture(scope="module")
def report(folder: Path) -> Any:
    """The report of the process whose disk was full for a while."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    words = [sys.executable, str(PROGRAM), str(folder / "runs.db")]
    process = subprocess.run(words, capture_output=True, text=True, env=environment, check=False, timeout=60)
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout)


def test_each_run_gets_the_error_with_its_cause(report: Any) -> None:
    """All steps that waited for the failed commit, and those after it, are refused with SQLite's error."""
    assert len(report["full"]) == RUNS
    assert {(each["code"], each["cause"]) for each in report["full"]} == {("store_full", "OperationalError")}
    assert all("free some space, then resume" in each["repair"] for each in report["full"])
    assert sum(report["later"].values()) >= EARLY


def test_no_node_begins_after_an_unrecorded_step(report: Any) -> None:
    """No node begins after a run got the error; its log lacks one visit at most."""
    for each in report["full"]:
        run_id = each["run_id"]
        seqs = report["seqs"][run_id]
        assert report["later"][run_id] == each["begun"]
        assert seqs == list(range(1, len(seqs) + 1))
        assert 0 <= each["begun"] - (len(seqs) - 1) <= 1, "the first row is the start, each other one a visit"


def test_all_can_be_resumed_by_the_process_that_had_them(report: Any, folder: Path) -> None:
    """Once there is space each run can be resumed, even if its release was not recorded; lost work is done again."""

    async def logs() -> Counter[str]:
        async with Runner(folder / "runs.db") as runner:
            found: Counter[str] = Counter()
            for number in range(RUNS):
                assert (await load_snapshot(runner.store, f"r{number}", None)).status == "finished"
                steps = await runner.history(f"r{number}")
                assert not any(said(step).get("crashed") for step in steps), "no process died"
                found += recorded(steps, f"r{number}")
            return found

    assert {each["status"] for each in report["again"]} == {"finished"}
    works = Counter(what for _, what in done(folder / "effects"))
    once = asyncio.run(logs())
    assert set(once.values()) == {1}
    assert len(once) == RUNS * VISITS
    lost = sum(each["begun"] - (len(report["seqs"][each["run_id"]]) - 1) for each in report["full"])
    assert lost > 0
    assert works.keys() == once.keys()
    assert sum((works - once).values()) == lost
