"""Run every bundled workflow on its example, without a model, and leave results and pictures in a folder.

    python scripts/demo.py [FOLDER [NAME ...]]

Each command is shown as it is called, in FOLDER, so that it can be repeated by hand. FOLDER is `demo` by default, NAME
all workflows. For each workflow it gets NAME.svg, the graph; NAME.run.svg, the run; NAME.timeline.svg, its times; and
the result, NAME.md if that is text and NAME.json if not. FOLDER/runs.db has the recorded runs, FOLDER/README.md lists
everything. If a workflow asks a person, ANSWERS has the answer that this program gives instead.
"""

from __future__ import annotations

import json
import shlex
import sys
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from click.testing import CliRunner

from graphengine.cli.main import main as command_line
from graphengine.state.amounts import dollars

ROOT: Final = Path(__file__).resolve().parents[1]
WAITING: Final = 3  # the exit code of a run that waits

ANSWERS: Final[dict[str, str]] = {"content_pipeline": '{"verdict": "approve"}'}
"""The answer to the question of a workflow, by the name of the workflow."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What the demo shows of one workflow.

    Attributes:
        name: The name of the workflow.
        about: What the workflow does.
        run: The document of its run, as `graphengine show --json` gives it.
        files: The written files, by kind.
        asked: The question that the run asked and the demo's answer; "" if there was no question.
    """

    name: str
    about: str
    run: dict[str, Any]
    files: dict[str, Path]
    asked: str = ""

    @property
    def ended(self) -> str:
        """How the run ended: its status, and its label if it has one."""
        label = (self.run["ending"] or {}).get("label")
        return f"{self.run['status']}: {label}" if label else str(self.run["status"])

    @property
    def answered(self) -> str:
        """How many model calls were answered by models and how many by rules or placeholders, and their cost."""
        usage = self.run["usage"]
        calls, offline = usage["calls"], usage["offline_calls"]
        if calls == offline:
            return f"{offline} by rules or placeholders, no model asked"
        cost = usage["cost_usd"]
        paid = "unknown cost" if cost is None else f"{dollars(cost)} USD"
        return f"{calls - offline} by models, {offline} by rules or placeholders, {paid}"


class Failed(Exception):
    """A command of the demo failed. The text of the exception is the command's output."""


def main(folder: Path, *names: str) -> int:
    """Run the named workflows, or all bundled workflows, and write their results into a folder.

    Returns:
        The exit code: 0 if every run finished.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("runs.db*"):  # runs of an earlier demo would be part of this one's memory
        old.unlink()
    print(f"$ cd {folder}")
    shown: list[Shown] = []
    failed: list[str] = []
    for listed in json.loads(graphengine(ROOT, "graphs", "--json"))["graphs"]:
        if names and listed["name"] not in names:
            continue
        try:
            one = show(listed, folder)
        except Failed as error:
            failed.append(listed["name"])
            print(f"{error}\n", file=sys.stderr)
            continue
        shown.append(one)
        print(f"  {one.ended}; {len(one.run['steps'])} steps, agents answered {one.answered}")
        print(f"  {', '.join(file.name for file in one.files.values())}\n")
    (folder / "README.md").write_text(page(shown), encoding="utf-8")
    print(f"{len(shown)} workflows; {folder / 'README.md'} lists their files")
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def show(listed: dict[str, Any], folder: Path) -> Shown:
    """Run one workflow, answer its question if it asks one, and draw the graph and the run."""
    name, database = listed["name"], ("--store", "runs.db")
    graph = (
        name if ROOT in folder.parents else f"{ROOT / listed['file']}:{name}"
    )  # a name is searched from the parent folder
    run = json.loads(graphengine(folder, "run", graph, *database, "--json"))
    asked = ""
    while run["status"] == "waiting" and name in ANSWERS:
        asked = f"asked “{run['waits'][0]['question'].splitlines()[0]} …”, answered {ANSWERS[name]}"
        print(f"  {asked}")
        found = () if graph == name else ("--graph", graph)
        run = json.loads(graphengine(folder, "answer", run["run_id"], ANSWERS[name], *found, *database, "--json"))
    if run["status"] != "finished":
        raise Failed(f"{name} is {run['status']}: {run['error'] or run['ending'] or run['waits']}")
    output = run.get("output", run["state"])
    if isinstance(output, str) and len(output.split()) == 1:
        output = run["state"]  # a single word is only a name; the state is more useful
    result = folder / (f"{name}.md" if isinstance(output, str) else f"{name}.json")
    text = output if isinstance(output, str) else json.dumps(output, indent=2, ensure_ascii=False)
    result.write_text(text.rstrip() + "\n", encoding="utf-8")
    pictures = {"graph": f"{name}.svg", "run": f"{name}.run.svg", "timeline": f"{name}.timeline.svg"}
    files = {"result": result, **{what: folder / file for what, file in pictures.items()}}
    graphengine(folder, "render", graph, "-o", files["graph"].name)
    graphengine(folder, "render", run["run_id"], "-o", files["run"].name, *database)
    graphengine(folder, "render", run["run_id"], "--timeline", "-o", files["timeline"].name, *database)
    return Shown(name, listed["about"], run, files, asked)


def graphengine(folder: Path, *words: str) -> str:
    """Run a command of graphengine in this process, and return what it writes to stdout.

    A run that waits for an answer does not count as a failure.
    """
    print("$ graphengine", shlex.join(words))
    with chdir(folder):
        ran = CliRunner().invoke(command_line, words)
    if ran.exit_code not in (0, WAITING):
        raise Failed(f"`graphengine {shlex.join(words)}` ended with {ran.exit_code}:\n{ran.stderr or ran.stdout}")
    return ran.stdout


def page(shown: list[Shown]) -> str:
    """Return a Markdown page that lists the workflows with their results and pictures."""
    lines = ["# What the bundled workflows made of their examples", ""]
    lines += ["No language model was asked: `review_loop` extracts, the others are dry runs with placeholders.", ""]
    for one in shown:
        links = ", ".join(f"[{what}]({file.name})" for what, file in one.files.items())
        lines += [f"## {one.name}", "", one.about, "", f"{one.ended}; answers: {one.answered}. {links}"]
        lines += [f"A person was {one.asked}; the demo did that."] if one.asked else []
        lines += ["", f"![{one.name}]({one.files['run'].name})", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo").absolute(), *sys.argv[2:]))
