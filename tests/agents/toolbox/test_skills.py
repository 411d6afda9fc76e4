"""Agent Skills: what a model reads of a folder, what it never gets, and what is refused when the agent is defined."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import BaseModel

import graphengine
from graphengine import END, START, Agent, Graph, Limits, Runner, ScriptedModel
from graphengine.agents.toolbox import skills
from graphengine.agents.tools import Tool
from graphengine.errors import DefinitionError
from graphengine.models.scripted import calls

HEAD = "---\nname: tides\ndescription: Explain tides. Use it for the sea.\n---\n\nRead references/moon.md.\n"


class Note(BaseModel):
    """A state with a text."""

    text: str = ""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one skill, and a secret beside it."""
    skill = tmp_path / "skills" / "tides"
    (skill / "references").mkdir(parents=True)
    (skill / "scripts").mkdir()
    (skill / "SKILL.md").write_text(HEAD)
    (skill / "references" / "moon.md").write_text("The moon pulls.")
    (skill / "scripts" / "pull.py").write_text("def pull(mass):\n    return mass * 2\n")
    (skill / "scripts" / "pull.sh").write_text("rm -rf /\n")
    (skill / ".env").write_text("hunter2")
    (tmp_path / "secret.txt").write_text("hunter2")
    (skill / "link.txt").symlink_to(tmp_path / "secret.txt")
    (skill / "up").symlink_to(tmp_path)
    return tmp_path / "skills"


def call(tool: Tool, **arguments: str) -> str:
    """Return what a model gets from a call."""

    async def blocking(work: object, executor: object) -> object:
        del executor
        return work()  # type: ignore[operator] # a function without arguments

    return asyncio.run(tool.call(json.dumps(arguments), {}, blocking)).text


async def test_a_skill_is_loaded_when_the_model_asks_and_recorded(folder: Path, tmp_path: Path) -> None:
    """The request has name and purpose; instructions and files are results, which a resume takes from the record."""
    asked = [calls(("read_skill", {"skill": "tides", **more})) for more in ({}, {"file": "references/moon.md"})]
    model = ScriptedModel([asked[0], replace(asked[1], input_tokens=5), "By the moon."])
    graph = Graph("sea", Note)
    graph.add_node("write", Agent("writer", prompt="Why?", tools=[*skills(folder)], model=model), writes="text")
    graph.add_path(START, "write", END)
    async with Runner(tmp_path / "runs.db") as runner:
        assert (await runner.start(graph, run_id="r", limits=Limits(tokens=5)).result()).status == "stopped"
    (folder / "tides" / "SKILL.md").write_text(HEAD.replace("moon", "sun"))
    async with Runner(tmp_path / "runs.db") as runner:
        result = await runner.resume("r", graph, limits=Limits(tokens=50)).result()
    assert result.state.text == "By the moon."
    first, _, last = model.requests
    read, run = first.tools
    assert (read.name, run.name) == ("read_skill", "run_skill_script")
    assert "- tides: Explain tides. Use it for the sea." in read.description
    assert "Read references/moon.md" not in str(first)
    assert [message.text for message in last.messages if message.role == "tool"] == [
        "Read references/moon.md.\n\nFiles of this skill: references/moon.md, scripts/pull.py, scripts/pull.sh",
        "The moon pulls.",
    ]


@pytest.mark.parametrize(
    "file",
    ["../../secret.txt", "link.txt", "up/secret.txt", ".env", "references/../../../secret.txt", "/etc/hostname", "\0"],
)
def test_nothing_outside_the_folder_is_read(folder: Path, file: str) -> None:
    """Paths that lead out, absolute ones, links and hidden files are no files of the skill; nor are they run."""
    read, run = skills(folder)
    for found in (call(read, skill="tides", file=file), call(run, skill="tides", file=f"{file}.py")):
        assert "the skill 'tides' has no file" in found
        assert "hunter2" not in found
    (folder / "tides" / "up.py").symlink_to(folder.parent / "secret.txt")
    assert "has no file 'up.py'" in call(run, skill="tides", file="up.py")


def test_an_absolute_path_of_a_file_of_the_skill_is_none(folder: Path) -> None:
    """Files have one name: the path in the skill."""
    read = skills(folder)[0]
    assert "has no file" in call(read, skill="tides", file=str(folder / "tides" / "references" / "moon.md"))
    assert "did you mean 'tides'?" in call(read, skill="tide")


def test_scripts_run_in_the_sandbox_only(folder: Path) -> None:
    """Python runs without files; other scripts are not run; without Python scripts there is no such tool."""
    pytest.importorskip("pydantic_monty")
    run = skills(folder)[1]
    assert call(run, skill="tides", file="scripts/pull.py", code="pull(21)") == "42"
    assert "failed" in call(run, skill="tides", file="scripts/pull.py", code="open('/etc/hostname').read()")
    assert "not a Python script" in call(run, skill="tides", file="scripts/pull.sh")
    (folder / "tides" / "scripts" / "pull.py").unlink()
    assert [tool.name for tool in skills(folder)] == ["read_skill"]


def test_a_folder_can_be_a_skill_itself() -> None:
    """The skill that the package brings along is one."""
    path = Path(graphengine.__file__).parent / ".agents" / "skills" / "building-with-graphengine"
    for given in (path, path.parent):
        assert "- building-with-graphengine: Define, check, test" in skills(given)[0].description


def test_a_folder_without_skills_and_a_link_are_refused(folder: Path, tmp_path: Path) -> None:
    """A linked skill could change without the folder, so it is named instead of being followed."""
    with pytest.raises(DefinitionError, match="contains no skill"):
        skills(tmp_path / "nowhere")
    (folder / "moon").symlink_to(folder / "tides")
    with pytest.raises(DefinitionError, match="is a link"):
        skills(folder)
