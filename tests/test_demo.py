"""`make demo` runs bundled workflows and keeps their output."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WORKFLOWS = ("content_pipeline", "review_loop")
"""One that asks, and one that does not; tests/docs/test_gallery.py runs and draws all."""


def test_the_demo_leaves_results_and_pictures_of_its_workflows(tmp_path: Path) -> None:
    """Each has a result, pictures of its graph and of its run, and all are listed."""
    ran = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "demo.py"), str(tmp_path / "demo"), *WORKFLOWS],
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    left = {file.name for file in (tmp_path / "demo").iterdir()}
    page = (tmp_path / "demo" / "README.md").read_text(encoding="utf-8")
    assert set(WORKFLOWS) == set(re.findall(r"^## (\w+)$", page, re.MULTILINE))
    for name in WORKFLOWS:
        assert {f"{name}.svg", f"{name}.run.svg", f"{name}.timeline.svg"} <= left
        (result,) = left & {f"{name}.md", f"{name}.json"}
        assert (tmp_path / "demo" / result).stat().st_size > 100, name
    assert set(re.findall(r"\]\(([\w.]+)\)", page)) <= left
