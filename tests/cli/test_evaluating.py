"""`graphengine eval`: scores, comparisons, thresholds, and resuming."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from graphengine.cli.main import main
from tests.cli.programs import ROOT

EVAL = ["eval", "review", "--data", "cases.jsonl"]

SPEAKER = """
from pydantic import BaseModel

from graphengine import END, START, Agent, Graph
from graphengine.testing.evaluation import Score


class Said(BaseModel):
    task: str
    text: str = ""


def loud(task: str) -> str:
    return task.upper()


graph = Graph("speaker", Said, result="text")
graph.add_node("speak", Agent("speaker", prompt="Say {task}", by_rules=loud), writes="text")
graph.add_path(START, "speak", END)
MODELS = {"cheap": {"*": "rules"}}
kind = Agent("kind", prompt="Is {output} kind?", output=Score, by_rules=lambda: Score(value=0.5, why="By rules."))
SCORERS = {"loud": lambda output: output.isupper(), "kind": kind}
"""


def call(*words: str) -> tuple[int, str, str]:
    """Return exit code, stdout and stderr of a command."""
    done = CliRunner().invoke(main, [*words])
    return done.exit_code, done.stdout, done.stderr


def report_of(*words: str) -> tuple[int, Any]:
    """Return exit code and document of an evaluation."""
    code, out, err = call(*words, "--json")
    assert out, err
    return code, json.loads(out)


def test_a_table_shows_each_case_the_means_and_the_reasons(tried: Path) -> None:
    """A table shows each case, the means and the reasons, and its last lines the cost."""
    code, out, _ = call(*EVAL)
    lines = [line.split() for line in out.splitlines()]
    assert code == 0
    assert lines[0][:3] == ["case", "brief", "named"]
    assert lines[1][:3] == ["tides", "0.54", "1.00"]
    assert lines[2][:3] == ["winds", "0.54", "0.00"]
    assert lines[3] == ["mean", "0.54", "0.50"]
    assert "review: no model calls, 0 cases failed" in out


def test_two_versions_are_shown_with_an_arrow_and_counted(tried: Path) -> None:
    """The other version is on the left."""
    text = Path("flows/review.py").read_text().replace('iterations("review") >= 3', 'iterations("review") >= 1')
    Path("other.py").write_text(text)
    code, out, _ = call(*EVAL, "--against", "other.py", "-o", "report.json")
    assert code == 0
    assert "1.00 → 0.54" in out
    assert "review (right) against other.py (left)" in out
    assert (
        "brief: -0.46 on average over 2 pairs (no interval for fewer than 5 pairs); more in 0, less in 2, equal in 0"
        in out
    )
    assert json.loads(Path("report.json").read_text())["against"]["means"] == {"brief": 1.0, "named": 0.5}


@pytest.mark.parametrize(
    ("thresholds", "below"),
    [
        (["0.5"], []),
        (["0.6"], ["brief is 0.541, below 0.6", "named is 0.500, below 0.6"]),
        (["0.6", "named=0.5"], ["brief is 0.541, below 0.6"]),
    ],
)
def test_a_threshold_decides_the_exit_code(tried: Path, thresholds: list[str], below: list[str]) -> None:
    """One for all scorers, or for one by name."""
    code, document = report_of(*EVAL, *(word for least in thresholds for word in ("--threshold", least)))
    assert (code, document["below"]) == (1 if below else 0, below)


def test_an_interrupted_evaluation_is_resumed_by_the_command_that_it_shows(tried: Path) -> None:
    """A limit stops it here; the same id continues it, and shows the report."""
    code, _, err = call(*EVAL, "--run-id", "nightly", "--limit", "visits=3")
    assert code == 4
    (resume,) = (line for line in err.splitlines() if line.startswith("resume: "))
    assert resume.endswith("--limit visits=8 --run-id nightly")
    assert "branch" not in err
    code, document = report_of(*EVAL, "--run-id", "nightly", "--limit", "visits=none")
    assert (code, document["run_id"], document["subject"]["means"]["named"]) == (0, "nightly", 0.5)


def test_models_are_compared_and_a_scorer_has_a_model_of_its_own(tried: Path) -> None:
    """A set of the graph's file counts, and the scorers can be in that file."""
    Path("flows/speaker.py").write_text(SPEAKER)
    Path("said.jsonl").write_text('{"name": "one", "input": {"task": "ho"}}\n')
    words = ["eval", "speaker", "--data", "said.jsonl", "--model", "cheap", "--model", "kind=rules"]
    code, document = report_of(*words, "--against", "speaker=rules")
    assert code == 0
    assert [document[name]["name"] for name in ("subject", "against")] == [
        "speaker cheap",
        "speaker speaker=rules cheap",
    ]
    assert document["subject"]["means"] == {"loud": 1.0, "kind": 0.5}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["eval", "publish", "--data", "cases.jsonl"], "publish.py has no SCORERS"),
        ([*EVAL, "--scorers", "scorers.py:MORE"], "scorers.py has no MORE"),
        ([*EVAL, "--threshold", "short=1"], "there are brief, named"),
        ([*EVAL, "--threshold", "7"], "give a number from 0 to 1"),
        ([*EVAL, "--against", "nothing"], "nothing is neither a model"),
        ([*EVAL, "--against", "review", "--against", "rules"], "compare with one graph, or with models"),
        ([*EVAL, "--pause-before", "write"], "pauses before no node"),
        ([*EVAL, "-o", "no/report.json"], "there is no folder no"),
        ([*EVAL[:3], "nothing.jsonl"], "the cases cannot be read"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_runs(tried: Path, words: list[str], message: str) -> None:
    """Options that do not fit are refused before anything runs, and nothing is recorded."""
    before = Path("checkpoints/runs.db").stat().st_mtime_ns
    code, _, err = call(*words)
    assert code in (1, 2)
    assert message in err
    assert Path("checkpoints/runs.db").stat().st_mtime_ns == before


def test_the_data_set_of_the_review_loop_runs_by_rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Most facts of sixteen kinds of text are found in 120 words, and every claim is supported."""
    monkeypatch.chdir(ROOT)
    words = ["eval", "review_loop", "--data", "evals/review_loop.jsonl", "--scorers", "evals/review_loop.py"]
    code, document = report_of(*words, "--store", str(tmp_path / "runs.db"), "--threshold", "facts=0.75")
    assert (code, document["below"]) == (0, [])
    assert document["subject"]["means"]["grounded"] == 1.0
    assert all(trial["calls"] == trial["offline_calls"] > 0 for trial in document["subject"]["trials"])
