"""The commands replay, export and import."""

import json
import os
import shutil
import stat
from pathlib import Path

import pytest

from tests.cli.programs import COUNTER, ROOT, WAITING, Invoke, document

KEPT = ROOT / "checkpoints" / "format_1"
CHANGED = COUNTER.replace('value("n") >= 3', 'value("n") >= 4')


@pytest.fixture
def run(project: Path, invoke: Invoke) -> str:
    """The id of a finished run."""
    assert invoke("run", "counter", "--run-id", "first-run").exit_code == 0
    return "first-run"


def test_a_run_of_the_same_graph_is_the_same(invoke: Invoke, run: str) -> None:
    """Exit code 0 and a line for each run, named by its id, a prefix of it, or a file."""
    assert invoke("export", run, "-o", "r.json").exit_code == 0
    found = invoke("replay", run, "firs", "r.json")
    assert found.exit_code == 0, found.output
    rows = [line.split() for line in found.stdout.splitlines()]
    assert rows == [["run", "graph", "steps", "today"], *[["first-run", "counter", "4", "same"]] * 3]


def test_a_changed_graph_is_reported_at_its_first_step(project: Path, invoke: Invoke, run: str) -> None:
    """Exit code 1, the step, both sides and the repair; --all shows the rest."""
    (project / "other.py").write_text(CHANGED)
    found = invoke("replay", run, "--graph", "other.py")
    assert found.exit_code == 1
    for text in ("differs  step 4  edge", "step 4 more: edge", "END [enough] because n 3 >= 3: yes", "repair: restore"):
        assert text in found.stdout
    assert "n 1 >= 4" not in found.stdout
    assert "n 1 >= 4" in invoke("replay", run, "--graph", "other.py", "--all").stdout


def test_its_document(project: Path, invoke: Invoke, run: str) -> None:
    """--json is one document with the first difference of each run, and with --all every one."""
    (project / "other.py").write_text(CHANGED)
    found = invoke("replay", run, "--graph", "other.py", "--all", "--json")
    assert found.exit_code == 1
    reported = document(found.stdout)
    assert reported["schema"] == 1
    (one,) = reported["replays"]
    assert list(one) == [
        *("source", "run_id", "graph", "steps", "same", "differences", "first", "not_checked", "all", "reasons")
    ]
    assert (one["run_id"], one["steps"], one["same"], one["differences"]) == ("first-run", 4, False, 1)
    assert (one["first"]["seq"], one["first"]["what"], one["first"]["today"]["to"]) == (4, "edge", ["more"])
    assert [each["seq"] for each in one["reasons"]] == [2, 3]


def test_a_fork_with_many_differences_is_one_screen(project: Path, invoke: Invoke, run: str) -> None:
    """Without --all only the first is shown, and how many more there are."""
    (project / "other.py").write_text(COUNTER.replace('"more"', '"again"'))
    found = invoke("replay", run, "--graph", "other.py")
    assert "3 more differences after it; --all shows them" in found.stdout
    assert len(found.stdout.splitlines()) < 12
    assert invoke("replay", run, "--graph", "other.py", "--all").stdout.count("repair:") == 4


@pytest.mark.parametrize("name", sorted(file.stem for file in KEPT.glob("*.json")))
def test_the_kept_runs_replay_by_command(invoke: Invoke, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kept runs replay by the command in checkpoints/README.md."""
    monkeypatch.chdir(ROOT)
    words = [] if name.startswith("review_loop") else ["--graph", "tests/kit/recorded.py"]
    found = invoke("replay", f"checkpoints/format_1/{name}.json", *words, "--json")
    assert found.exit_code == 0, found.output
    assert document(found.stdout)["replays"][0]["same"]


@pytest.mark.parametrize(
    ("words", "code", "reported"),
    [
        (["replay", "none"], 5, "store_missing"),
        (["replay", "none.json"], 2, "bad_export"),
        (["replay", "bad.json"], 2, "bad_export"),
        (["replay"], 2, "usage"),
        (["replay", "kept.json"], 2, "graph_not_found"),
        (["replay", "kept.json", "--graph", "flows/counter.py"], 2, "graph_changed"),
        (["export", "none"], 5, "store_missing"),
        (["import", "none.json"], 2, "bad_export"),
        (["import", "bad.json", "kept.json"], 2, "bad_export"),
        (["import"], 2, "usage"),
    ],
)
def test_errors_are_one_document(project: Path, invoke: Invoke, words: list[str], code: int, reported: str) -> None:
    """A code, a message, a location and a repair; and no database is created."""
    (project / "bad.json").write_text("{}")
    shutil.copy(KEPT / "fork.json", project / "kept.json")
    found = invoke(*words, "--json")
    assert found.exit_code == code, found.output
    error = document(found.stdout)["error"]
    assert error["code"] == reported
    assert error["repair"]
    assert not (project / "checkpoints").exists()


def test_an_export_is_private_and_leaves_no_other_file(project: Path, invoke: Invoke, run: str) -> None:
    """A new file has mode 0600, none is left next to it, and stdout gets the run if no file is named."""
    (project / "out").mkdir()
    target = project / "out" / "r.json"
    found = invoke("export", run, "-o", str(target))
    assert found.exit_code == 0
    assert found.stdout == ""
    assert "run first-run, 4 steps: written to" in found.stderr
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert [file.name for file in (project / "out").iterdir()] == ["r.json"]
    for words in ([], ["-o", "-"]):
        assert invoke("export", run, *words).stdout == target.read_text()
    reported = document(invoke("export", run, "-o", str(target), "--json").stdout)
    assert reported == {"schema": 1, "run_id": run, "file": str(target), "steps": 4}
    refused = invoke("export", run, "-o", str(project / "nowhere" / "r.json"))
    assert refused.exit_code == 2
    assert "export_unwritable" in refused.stderr


def test_an_export_replaces_no_device_and_no_pipe(project: Path, invoke: Invoke, run: str) -> None:
    """A pipe is written into, as a device is: `-o /dev/null` as root leaves the device alone."""
    pipe = project / "pipe"
    os.mkfifo(pipe)
    end = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert invoke("export", run, "-o", str(pipe)).exit_code == 0
        assert pipe.is_fifo()
        assert json.loads(os.read(end, 1 << 16))
    finally:
        os.close(end)


def test_a_run_continues_in_another_database(project: Path, invoke: Invoke) -> None:
    """After export, import and answer the copy continues, and the original stays unchanged."""
    (project / "flows" / "waiting.py").write_text(WAITING)
    assert invoke("run", "waiting", "--run-id", "w").exit_code == 3
    assert invoke("send", "w", "tips", "1", "--no-resume").exit_code == 0
    assert invoke("export", "w", "-o", "w.json").exit_code == 0
    found = invoke("import", "w.json", "--store", "other.db")
    assert found.exit_code == 0, found.output
    assert "run w of waiting, 3 steps, waiting: recorded" in found.stdout
    assert "resume: graphengine resume w --store other.db" in found.stderr
    answered = invoke("answer", "w", '"short"', "--question", "style", "--store", "other.db", "--json")
    assert document(answered.stdout)["state"]["tip"] == 1
    assert document(invoke("show", "w", "--json").stdout)["state"]["style"] == ""
    again = invoke("import", "w.json", "--json")
    assert document(again.stdout) == {"schema": 1, "runs": [{"run_id": "w", "steps": 3, "new": False}]}
    taken = invoke("import", "w.json", "--store", "other.db")
    assert taken.exit_code == 2
    assert "run_exists" in taken.stderr


def test_nothing_is_imported_if_one_file_is_bad(project: Path, invoke: Invoke, run: str) -> None:
    """All files are checked, and all ids, before the first run is recorded."""
    assert invoke("export", run, "-o", "r.json").exit_code == 0
    other = json.loads((project / "r.json").read_text())
    (project / "bad.json").write_text(json.dumps({**other, "version": "9"}))
    assert invoke("import", "r.json", "bad.json", "--store", "new.db").exit_code == 2
    assert not (project / "new.db").exists()
    shutil.copy(KEPT / "fork.json", project / "fork.json")
    assert invoke("import", "r.json", "r.json", "fork.json", "--store", "new.db").exit_code == 2
    assert invoke("runs", "--store", "new.db", "--json").stdout.count("run_id") == 0
