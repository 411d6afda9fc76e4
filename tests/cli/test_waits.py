"""Waiting runs: their output, and the commands that continue them."""

import json
import shlex
from pathlib import Path

import pytest

from tests.cli.programs import ASKING, Invoke, call, document

TYPED = """
from datetime import date
from typing import Annotated
from pydantic import BaseModel, Field

class Review(BaseModel):
    score: int = Field(ge=1)
    issues: list[str]
    note: str = ""

class Tree(BaseModel):
    below: list["Tree"]
"""


def asked(project: Path, invoke: Invoke, kind: str, run_id: str = "a") -> None:
    """Return a run that asks for an answer of this type."""
    (project / "asking.py").write_text(ASKING.replace("TYPE", kind))
    assert invoke("run", "asking.py", "--run-id", run_id).exit_code == 3


@pytest.mark.parametrize(
    ("kind", "given", "expected"),
    [
        ("str", "yes", "yes"),
        ("str", "5", "5"),
        ("str", '"5"', "5"),
        ("str", "true", "true"),
        ("str", "@@home", "@home"),
        ("str", "", ""),
        ("bool", "true", True),
        ("bool", "Yes", True),
        ("bool", "no", False),
        ("int", "-5", -5),
        ("float", "2.5", 2.5),
        ("str | int", "5", 5),
        ("list[int]", "[1, 2]", [1, 2]),
        ("dict[str, int]", '{"a": 1}', {"a": 1}),
        ('Literal["dry", "lively"]', "dry", "dry"),
        ("bool | None", "null", None),
        ("bool | None", "yes", True),
        ("str", "@text.txt", "from a\nfile"),
        ("list[int]", "@list.json", [1, 2]),
    ],
)
def test_an_answer_is_parsed_to_fit_the_question(
    project: Path, invoke: Invoke, kind: str, given: str, expected: object
) -> None:
    """JSON if it fits, else text, else yes and no; the same for files, without their final line break."""
    (project / "text.txt").write_text("from a\nfile\n")
    (project / "list.json").write_text("[1,\n 2]\n")
    asked(project, invoke, kind)
    found = invoke("answer", "a", given, "--graph", "asking.py", "--json")
    assert found.exit_code == 0, found.stderr
    assert document(found.stdout)["state"]["given"] == expected


def test_a_question_of_several_lines_is_shown_completely(project: Path, invoke: Invoke) -> None:
    """A text is shown whole before it is approved, and its control codes are escaped."""
    text = "# A title\n\n" + "a line of the text \x1b[2J\n" * 200 + "  the end"
    graph = ASKING.replace("TYPE", "bool").replace('"What?"', repr("Publish this?\n" + text))
    (project / "flows" / "asking.py").write_text(graph)
    reported = invoke("run", "asking", "--run-id", "r").stderr
    lines = reported[reported.rindex("question: Publish this?") :].splitlines()
    assert lines[1:4] == ["    # A title", "", "    a line of the text \\x1b[2J"]
    assert lines[203:205] == ["      the end", lines[204]]
    assert "since:" in lines[204]
    assert invoke("show", "r").stdout.splitlines().count("    a line of the text \\x1b[2J") == 200
    long = graph.replace("the end", "x" * 30_000)
    (project / "flows" / "asking.py").write_text(long)
    assert "show s --json has all" in invoke("run", "asking", "--run-id", "s").stderr


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("int", "0"),
        ("Annotated[int, Field(ge=3, le=9)]", "3"),
        ("date", "2000-01-01"),
        ("Literal['dry', 'lively']", "dry"),
        ("bool | None", "yes"),
        ("list[int]", "[0]"),
        ("dict[str, int]", "{}"),
    ],
)
def test_the_command_that_is_shown_answers_the_question(project: Path, invoke: Invoke, kind: str, value: str) -> None:
    """It has a value of the question's type and no placeholder, and works when it is pasted."""
    held = ASKING.replace("given: Any", f"given: {kind} | None").replace("TYPE", kind)
    (project / "asking.py").write_text(TYPED + held)
    assert invoke("run", "asking.py", "--run-id", "a").exit_code == 3
    found = invoke("answer", "a", "--graph", "asking.py")
    (repair,) = [line.partition("repair: ")[2] for line in found.stderr.splitlines() if "repair: " in line]
    words = shlex.split(repair.split("  (")[0])
    assert value in words
    done = invoke(*words[1:])
    assert done.exit_code == 0, done.stderr


# -- maps and nested graphs, while they run and afterwards


def test_the_commands_work_in_a_shell(project: Path) -> None:
    """The shown command answers a question of a graph elsewhere, in a database with an unusual name."""
    elsewhere = project.parent / "else where"
    elsewhere.mkdir()
    (elsewhere / "ask.py").write_text(ASKING.replace("TYPE", "bool"))
    ran = call(project, "run", "../else where/ask.py", "--store", "it's.db", "--run-id", "-odd")
    assert ran.returncode == 3
    (line,) = [line for line in ran.stderr.splitlines() if line.strip().startswith("answer:")]
    words = shlex.split(line.split(": ", 1)[1].split("  (")[0])
    assert words[1:3] == ["-m", "graphengine"]
    done = call(project, *words[3:])
    assert done.returncode == 0, done.stderr
    assert (done.returncode, json.loads(done.stdout)) == (0, True)
