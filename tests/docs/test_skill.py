"""The skills for coding assistants that the wheel holds: their code runs, and what one says of mistakes is true."""

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, ConfigDict

from graphengine import END, START, Graph, RunFailed, value
from graphengine.errors import DefinitionError
from graphengine.graph.foreign import LIBRARIES, TABLE, entries_of
from graphengine.reducers import append
from tests.docs.page import blocks, files, printed_in_fork
from tests.docs.test_documentation import run_blocks

FOLDER = Path(__file__).resolve().parents[2] / "graphengine"
SKILLS = sorted((FOLDER / ".agents" / "skills").glob("*/SKILL.md"))
SKILL = next(skill for skill in SKILLS if skill.parent.name == "building-with-graphengine")
MIGRATING = [skill for skill in SKILLS if skill != SKILL]
TEXT = SKILL.read_text(encoding="utf-8")


class Connection:
    """What cannot be recorded."""


class State(BaseModel):
    """A state with a score, plain and reduced items, and no more."""

    score: int = 0
    plain: list[str] = []
    reduced: Annotated[list[str], append] = []


class Connected(BaseModel):
    """A state with a connection."""

    model_config = ConfigDict(arbitrary_types_allowed=True)
    connection: Connection | None = None


async def seven() -> int:
    """Return a score."""
    return 7


async def changing(plain: list[str]) -> list[str]:
    """Change the input in place."""
    plain.append("x")
    return plain


async def word() -> str:
    """Return a word."""
    return "x"


PROBLEMS = """
import flow, graphengine
for graph in vars(flow).values():
    if isinstance(graph, graphengine.Graph):
        for problem in graph.check():
            print(problem)
"""
"""Print what is wrong with the graphs of a migrated program."""


def line(function: Callable[..., Any], state: type[BaseModel] = State, **options: Any) -> Graph[Any]:
    """Return a graph of one node."""
    graph: Graph[Any] = Graph("line", state)
    graph.add_node("node", function, **options)
    graph.add_path(START, "node", END)
    return graph


def loop(condition: Any) -> Graph[Any]:
    """Return a graph that repeats its node until a condition holds."""
    graph: Graph[Any] = Graph("loop", State)
    graph.add_node("node", seven, writes="score")
    graph.add_edge(START, "node")
    graph.add_edge("node", END, when=condition)
    graph.add_edge("node", "node")
    return graph


def failure(graph: Graph[Any]) -> str:
    """Return the failure of a run."""
    with pytest.raises(RunFailed) as caught:
        graph.run_sync()
    return str(caught.value)


def refusal(call: Callable[[], object]) -> str:
    """Return the name of the error that a call raises."""
    with pytest.raises(DefinitionError) as caught:
        call()
    return type(caught.value).__name__


def checked(graph: Graph[Any]) -> str:
    """Return the codes of what is wrong with a graph."""
    return " ".join(problem.code for problem in graph.check())


async def within() -> None:
    """Run a graph where a loop runs."""
    line(word, writes="reduced").run_sync()


def visited_twice(field: str) -> object:
    """Return a field that a node wrote in two visits."""
    graph: Graph[Any] = Graph("twice", State)
    graph.add_node("first", word if field == "reduced" else seven, writes=field if field == "reduced" else "score")
    graph.add_node("second", word, writes="reduced")
    graph.add_path(START, "first", "second", END)
    return getattr(graph.run_sync().state, field)


SHOWN: dict[str, Callable[[], str]] = {
    "changing the state": lambda: failure(line(changing, writes="plain")),
    "returning a value without": lambda: checked(line(seven)),
    '>= "7"': lambda: checked(loop(value("score") >= "7")),
    'when="score > 7"': lambda: refusal(lambda: loop("score > 7")),
    "only a score can end": lambda: checked(loop(value("score") >= 8)),
    "in the state": lambda: checked(line(lambda: None, Connected)),
    "run_sync": lambda: refusal(lambda: asyncio.run(within())),
}
"""What each mistake of the table leads to, where a program shows it."""


def test_the_code_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every block runs, the tests among them pass, and `main` resumes and branches."""
    monkeypatch.chdir(tmp_path)
    names = run_blocks(SKILL, monkeypatch)
    asyncio.run(names["main"]())


@pytest.mark.parametrize("mistake", SHOWN)
def test_a_mistake_leads_to_what_is_said(mistake: str) -> None:
    """The code or the error that the last column names."""
    (row,) = [row for row in TEXT.splitlines() if row.startswith("| ") and mistake in row.split(" | ")[0]]
    (said,) = re.findall(r"`([a-z_]+)`|(DefinitionError)", row.split(" | ")[-1])
    assert "".join(said) in SHOWN[mistake]()


def test_a_list_without_a_reducer_is_replaced() -> None:
    """And one with `append` grows."""
    assert visited_twice("reduced") == ["x", "x"]


@pytest.mark.parametrize("skill", MIGRATING, ids=lambda skill: skill.parent.name)
def test_a_program_that_was_migrated_passes_its_tests(skill: Path, tmp_path: Path) -> None:
    """The files of the skill, as pytest of a reader runs them: one test kills the program in the middle."""
    for name, text in files(skill).items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    (summary,) = printed_in_fork(tmp_path, "pytest", "-q", "-p", "no:cacheprovider", "--no-header", "-W", "ignore")[-1:]
    assert re.fullmatch(r"[2-9] passed in .*", summary)
    (tmp_path / "problems.py").write_text(PROBLEMS, encoding="utf-8")
    assert printed_in_fork(tmp_path, "problems.py") == []


@pytest.mark.parametrize("skill", SKILLS, ids=lambda skill: skill.parent.name)
def test_assistants_find_the_skill(skill: Path) -> None:
    """AGENTS.md beside the package and docs/README.md name it, and its front matter names its folder."""
    name, text = skill.parent.name, skill.read_text(encoding="utf-8")
    assert f"`.agents/skills/{name}/SKILL.md`" in (FOLDER / "AGENTS.md").read_text(encoding="utf-8")
    assert f"`{name}`" in (FOLDER.parent / "docs" / "README.md").read_text(encoding="utf-8")
    assert re.match(rf"---\nname: {name}\ndescription: [^\n]{{1,1024}}\n---\n", text)
    assert len(text.splitlines()) <= 255
    assert blocks(skill, "python")


@pytest.mark.parametrize("skill", MIGRATING, ids=lambda skill: skill.parent.name)
def test_a_skill_leads_to_the_names_of_its_libraries(skill: Path) -> None:
    """It names the libraries of the table of foreign names, and where that table is; its examples are in the table."""
    text = skill.read_text(encoding="utf-8")
    found = re.search(r"If the map lacks a name of (.*?), ask .*? as in (.*?)\. The", text, re.DOTALL)
    assert found
    libraries, examples = found.groups()
    known = [entry for place in TABLE for entry in entries_of(place)]
    for library in libraries.split(" and "):
        assert library in LIBRARIES
        assert any(library in entry.libraries for entry in known)
    for example in re.findall(r"`(.*?)`", examples):
        name = re.split(r"[ .(]", example.rstrip(")="))[-1]
        assert any(name == each.rpartition(".")[2] for entry in known for each in entry.names), example
    assert '"Names of other libraries" of `docs/use/glossary.md`' in text
    assert "## Names of other libraries" in (FOLDER.parent / "docs" / "use" / "glossary.md").read_text(encoding="utf-8")
