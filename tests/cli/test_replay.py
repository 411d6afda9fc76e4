"""The commands replay, export and import."""

import json
import os
import shutil
import stat
from pathlib import Path

import pytest

from tests.cli.programs import ROOT, Invoke, document

KEPT = ROOT / "checkpoints" / "format_3"


@pytest.fixture
def run(project: Path, invoke: Invoke) -> str:
    """The id of a finished run."""
    assert invoke("run", "counter", "--run-id", "first-run").exit_code == 0
    return "first-run"


@pytest.mark.parametrize("name", sorted(file.stem for file in KEPT.glob("*.json")))
def test_the_kept_runs_replay_by_command(invoke: Invoke, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kept runs replay by the command in checkpoints/README.md."""
    monkeypatch.chdir(ROOT)
    words = [] if name.startswith("review_loop") else ["--graph", "tests/kit/recorded.py"]
    found = invoke("replay", f"checkpoints/format_3/{name}.json", *words, "--json")
    assert found.exit_code == 0, found.output
    assert document(found.stdout)["replays"][0]["same"]


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
    assert reported == {"schema": 2, "run_id": run, "file": str(target), "steps": 4}
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
