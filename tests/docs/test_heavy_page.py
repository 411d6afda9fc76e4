"""docs/use/heavy.md: its file runs as a program and on the command line, with executors of the project's settings."""

from pathlib import Path

from tests.docs.page import USE, blocks, printed

PAGE = USE / "heavy.md"
PROGRAM, PLACE, *_ = blocks(PAGE, "python")
(SETTINGS,) = blocks(PAGE, "toml")


def test_the_program_runs_and_the_command_line_finds_its_executor(tmp_path: Path) -> None:
    """The script prints the vector that its child computed, and so does `graphengine run` with the settings."""
    (tmp_path / "embedding.py").write_text(PROGRAM)
    (tmp_path / "pyproject.toml").write_text(SETTINGS)
    assert printed(tmp_path, "embedding.py")[0].startswith("[0.0, 0.1")
    (tmp_path / "places.py").write_text(PLACE.replace("num_gpus=1", "1").replace("Ray", "Process"))
    assert "0.1" in "".join(printed(tmp_path, "-m", "graphengine", "run", "embedding.py"))
