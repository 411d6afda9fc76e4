"""`graphengine eval`: scores, comparisons, thresholds, and resuming."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from graphengine.cli.main import main
from tests.cli.programs import ROOT


def call(*words: str) -> tuple[int, str, str]:
    """Return exit code, stdout and stderr of a command."""
    done = CliRunner().invoke(main, [*words])
    return done.exit_code, done.stdout, done.stderr


def report_of(*words: str) -> tuple[int, Any]:
    """Return exit code and document of an evaluation."""
    code, out, err = call(*words, "--json")
    assert out, err
    return code, json.loads(out)


def test_the_data_set_of_the_review_loop_runs_by_rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Most facts of sixteen kinds of text are found in 120 words, and every claim is supported."""
    monkeypatch.chdir(ROOT)
    words = ["eval", "review_loop", "--data", "evals/review_loop.jsonl", "--scorers", "evals/review_loop.py"]
    code, document = report_of(*words, "--store", str(tmp_path / "runs.db"), "--threshold", "facts=0.75")
    assert (code, document["below"]) == (0, [])
    assert document["subject"]["means"]["grounded"] == 1.0
    assert all(trial["calls"] == trial["offline_calls"] > 0 for trial in document["subject"]["trials"])
