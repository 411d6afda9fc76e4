"""The code in README and the guide runs as it stands."""

import asyncio
import inspect
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", ["README.md", "docs/guide.md", "docs/agents.md", "docs/testing.md"])
def test_the_python_blocks_run(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All blocks of a page run one after the other, and the tests among them pass."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "page"}
    for block in BLOCK.findall((ROOT / page).read_text(encoding="utf-8")):
        exec(compile(block, page, "exec"), names)  # noqa: S102 - our own pages
    for name, made in names.items():
        takes_fixtures = callable(made) and name.startswith("test_") and bool(inspect.signature(made).parameters)
        if name.startswith("test_") and inspect.iscoroutinefunction(made) and not takes_fixtures:
            asyncio.run(made())  # those that take fixtures are run by pytest: tests/testing/test_testing_page.py


def test_links_between_pages_lead_somewhere() -> None:
    """Every relative link of README and docs names a file that exists."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    for page in pages:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
