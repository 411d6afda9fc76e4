import subprocess
from pathlib import Path
from shutil import which

import pytest

from benchmarks import since_commands
from benchmarks.measure import Figure
from benchmarks.since import NOW, ROOT, compared, table, tree_of
from benchmarks.since_rows import ROWS, measured


@pytest.mark.parametrize("name", ROWS)
async def test_every_row_runs(name: str) -> None:
    """Each row becomes warm, begins when it is told to, and gives a figure."""
    begun: list[str] = []

    assert await measured(name, "cpu", 0.02, begin=lambda: begun.append(name)) > 0
    assert begun == [name]


def test_two_sides_over_one_tree_take_as_many_operations() -> None:
    """What a run in memory takes in operations of the interpreter depends on the code alone."""
    row = "a run of one node, open Runner"

    found = compared({"then": ROOT, NOW: ROOT}, [row], "operations", share=0.05)[row]

    assert found["then"].rounds == found[NOW].rounds
    assert min(found[NOW].rounds) > 1000


def test_a_side_runs_over_its_own_tree(tmp_path: Path) -> None:
    """A side imports the package of its tree, and not that of the working tree."""
    package = tmp_path / "graphengine"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('then')", encoding="utf-8")

    with pytest.raises(RuntimeError, match="does not run there"):
        compared({"then": tmp_path}, ["a visit in a loop"], "cpu")


def test_a_ratio_is_of_the_least_figures() -> None:
    """Other work only adds to CPU time, so the least round of each side counts; both sides are printed."""
    figures = {"then": Figure("then", "µs", (100.0, 130.0)), NOW: Figure(NOW, "µs", (180.0, 120.0))}

    assert "| a run | 100 µs | 120 µs | 1.200 |" in table("cpu", {"a run": figures})


def test_a_tree_is_the_package_at_a_commit(tmp_path: Path) -> None:
    """`tree_of` writes what is committed, without what is not."""
    if subprocess.run(["git", "rev-parse"], cwd=ROOT, capture_output=True, check=False).returncode:
        pytest.skip("not a repository")

    assert (tree_of("HEAD", tmp_path) / "graphengine" / "__init__.py").exists()
    assert not (tmp_path / "benchmarks").exists()


@pytest.mark.skipif(which("valgrind") is None, reason="valgrind counts the instructions")
def test_a_command_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each side has a project with a run; a table has the instructions of a process."""
    monkeypatch.setattr(since_commands, "COMMANDS", ("--version",))

    found = since_commands.commands({"then": ROOT, NOW: ROOT})

    assert [*found] == ["`graphengine --version`"]
    assert min(figure.rounds[0] for figure in found["`graphengine --version`"].values()) > 1_000_000
    assert "| `graphengine --version` |" in table("instructions", found)
