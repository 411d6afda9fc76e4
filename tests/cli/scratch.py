"""A project for trying commands: the graphs and runs that the examples of `--help` name."""

import json
import shlex
import subprocess
from pathlib import Path

from click.testing import CliRunner

from graphengine.cli.main import main

REVIEW = """\
\"\"\"Writes a text and reviews it until it is good enough.\"\"\"

from pydantic import BaseModel

from graphengine import END, START, Graph, iterations, value


class Text(BaseModel):
    task: str = "Tides"
    draft: str = ""
    score: int = 0


def write(task: str, draft: str) -> str:
    return f"{draft} {task} come and go.".strip()


def review(draft: str) -> int:
    return min(10, len(draft) // 5)


graph = Graph("review", Text, result="draft")
graph.add_node("write", write, writes="draft", thread=False)
graph.add_node("review", review, writes="score", thread=False)
graph.add_path(START, "write", "review")
graph.add_edge("review", END, when=value("score") >= 7, label="good")
graph.add_edge("review", END, when=iterations("review") >= 3, label="out of iterations")
graph.add_edge("review", "write")
"""

PUBLISH = """\
\"\"\"Asks a person before it publishes.\"\"\"

from pydantic import BaseModel

from graphengine import END, START, Graph, ask


class Post(BaseModel):
    title: str = "Ants"
    ok: bool = False


graph = Graph("publish", Post)
graph.add_node("approve", ask("Publish {title}?", bool), writes="ok")
graph.add_path(START, "approve", END)
"""

DESK = """\
\"\"\"Waits for a tip.\"\"\"

from pydantic import BaseModel

from graphengine import END, START, Context, Graph


class Desk(BaseModel):
    tip: str = ""


async def listen(ctx: Context) -> str:
    return str(await ctx.receive("tips"))


graph = Graph("desk", Desk, result="tip")
graph.add_node("listen", listen, writes="tip")
graph.add_path(START, "listen", END)
"""

RUNS = (
    ("run review --run-id tides --tag nightly", 0),
    ("branch tides --at 1 --run-id tides-2", 0),
    ("run review --run-id cut --limit visits=1", 4),
    ("run publish --run-id post", 3),
    ("run publish --run-id post-2", 3),
    ("run publish --run-id post-3", 3),
    ("run desk --run-id desk", 3),
    ("run desk --run-id desk-2", 3),
    ("export tides -o tides.json", 0),
    ('schedule add nightly --cron "0 3 * * *" --graph review', 0),
)
"""Commands that record the runs, with their exit codes."""

SCORERS = """\


def brief(draft: str) -> float:
    return min(1.0, 20 / len(draft))


def named(draft: str, expected: str) -> bool:
    return expected in draft


SCORERS = [brief, named]
"""

CASES = """\
{"name": "tides", "input": {"task": "Tides"}, "expected": "Tides"}
{"name": "winds", "input": {"task": "Winds"}, "expected": "winds"}
"""


def scratch(folder: Path) -> None:
    """Create the project in a folder, which becomes the current one."""
    (folder / "flows").mkdir(parents=True)
    settings = '[tool.graphengine]\ngraphs = ["flows"]\n\n[tool.graphengine.retention]\nkeep_days = 30\n'
    (folder / "pyproject.toml").write_text(settings)
    for name, text in (("review", REVIEW), ("publish", PUBLISH), ("desk", DESK)):
        (folder / "flows" / f"{name}.py").write_text(text)
    (folder / "flows" / "review.py").write_text(REVIEW + SCORERS)
    (folder / "scorers.py").write_text(SCORERS)
    (folder / "cases.jsonl").write_text(CASES)
    (folder / "users.json").write_text(json.dumps({"users": [{"name": "bob", "rights": ["all"], "sha256": "0" * 64}]}))
    (folder / "task.txt").write_text("The tides of the moon\n")
    (folder / "tip.txt").write_text("Ants swim\n")
    (folder / "answer.txt").write_text("yes\n")
    for line, code in RUNS:
        done = CliRunner().invoke(main, shlex.split(line))
        assert done.exit_code == code, (line, done.output)


def add_failure(folder: Path) -> None:
    """Make the project a repository with the tag v52, and record a run of `review` that failed under other code."""
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "old"], ["commit", "-qm", "new", "--allow-empty"]):
        subprocess.run(
            ["git", "-c", "user.name=Ann", "-c", "user.email=ann@example.com", *words], cwd=folder, check=True
        )
    subprocess.run(["git", "tag", "v52"], cwd=folder, check=True)
    file = folder / "flows" / "review.py"
    text = file.read_text()
    file.write_text(text.replace("len(draft) // 5", "len(draft) // 0"))
    done = CliRunner().invoke(main, ["run", "review", "--run-id", "broken"])
    assert done.exit_code == 1, done.output
    file.write_text(text)
