"""A question that is answered is no open one, also as long as nothing drives its run."""

import asyncio
import json
import sys
from pathlib import Path

from graphengine import Runner
from graphengine.history.load import waits_of
from graphengine.records.now import load_now
from tests.kit.waiting import waiting
from tests.runner.waits.test_answers_not_taken_up import ONE


async def test_of_two_processes_that_answer_at_once_one_is_first(tmp_path: Path) -> None:
    """The other one learns who was."""
    database = tmp_path / "runs.db"
    async with Runner(database) as runner:
        run_id = await waiting(runner, ONE)
        words = ("--no-resume", "--json", "--store", str(database))
        started = [
            await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "graphengine", "answer", run_id, by, "--by", by, *words),
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                cwd=tmp_path,
            )
            for by in ("ada", "bob")
        ]
        said = [json.loads((await process.communicate())[0]) for process in started]
        (first,) = [by for by, document in zip(("ada", "bob"), said, strict=True) if "answer" in document]
        (error,) = [document["error"] for document in said if "error" in document]
        assert error["code"] == "answered_already"
        assert f"already by {first} at" in error["message"]
        (wait,) = waits_of(await load_now(runner.store, run_id))
        assert wait.answered is not None
        assert wait.answered.by == first
