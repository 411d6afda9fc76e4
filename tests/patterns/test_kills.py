"""The process of each pattern is killed during its work, and another one continues after the recorded steps."""

import json
import subprocess
from pathlib import Path

import pytest

from graphengine import Runner
from tests.kit import forks
from tests.patterns.scenes import SCENES

PROGRAM = Path(__file__).with_name("victim.py")


def life(folder: Path, pattern: str, die: int = 0) -> subprocess.CompletedProcess[str]:
    """Run one process until it ends or dies."""
    words = (pattern, str(folder / "runs.db"), str(folder / "effects"), str(die))
    return forks.run(PROGRAM, *words, loads=("tests.patterns.scenes", "jsonschema"))


async def turns(folder: Path) -> int:
    """Return the number of model answers in the log."""
    async with Runner(folder / "runs.db") as runner:
        return sum(step.kind == "recorded" for step in await runner.history("r"))


@pytest.mark.parametrize("pattern", SCENES)
async def test_a_killed_pattern_continues_after_what_was_recorded(pattern: str, tmp_path: Path) -> None:
    """The result is the same, each call is charged once, and no recorded answer is requested again."""
    scene = SCENES[pattern]()
    assert life(tmp_path, pattern, die=scene.calls // 2 + 1).returncode == -9
    before = len((tmp_path / "effects").read_text(encoding="utf-8").split())
    recorded = await turns(tmp_path)
    assert 0 < recorded < before
    last = life(tmp_path, pattern)
    assert last.stdout, last.stderr
    assert json.loads(last.stdout) == {"status": "finished", "output": scene.output, "calls": scene.calls}
    asked = len((tmp_path / "effects").read_text(encoding="utf-8").split()) - before
    assert asked == scene.calls - recorded
