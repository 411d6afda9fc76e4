"""docs/use/from_langgraph.md: our code runs, LangGraph's too where it is installed."""

import re
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "use" / "from_langgraph.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^(LangGraph|graphengine):\n\n```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
SIDES = BLOCK.findall(PAGE)


def run(side: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the blocks of one side in order, in one namespace."""
    monkeypatch.chdir(tmp_path)
    page = ModuleType("page_of_langgraph")
    monkeypatch.setitem(sys.modules, page.__name__, page)  # the annotations of its classes are resolved there
    for library, block in SIDES:
        if library == side:
            exec(compile(block, f"from_langgraph.md, {side}", "exec"), vars(page))  # noqa: S102 - our own page


def test_our_side_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The assertions of our side hold."""
    run("graphengine", tmp_path, monkeypatch)


@pytest.mark.skipif(not find_spec("langgraph"), reason="LangGraph is not installed: it is in the group bench")
def test_the_side_of_langgraph_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The assertions of LangGraph's side hold."""
    run("LangGraph", tmp_path, monkeypatch)


def test_every_block_of_the_page_is_on_one_side_and_has_its_pair() -> None:
    """Every block of the page is on one side and has its pair: LangGraph first, then ours."""
    assert len(SIDES) == PAGE.count("```python")
    assert [library for library, _ in SIDES] == ["LangGraph", "graphengine"] * (len(SIDES) // 2)
