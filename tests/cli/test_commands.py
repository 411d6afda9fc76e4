import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from graphengine import Graph
from graphengine.databases.sqlite.store import SQLiteStore
from graphengine.errors import StoreError
from tests.cli.programs import COUNTER, Invoke, document

KEYS = ["schema", "run_id", "graph", "status", "parent", "tags", "ending", "error", "waits", "usage", "inherited"]
KEYS += ["losses", "deaths", "state", "failures", "spending", "steps"]
ERROR_KEYS = {"code", "message", "where", "repair"}
STEP_KEYS = ["seq", "path", "kind", "node", "visit", "attempt", "edge", "targets", "update"]
STEP_KEYS += ["why", "error", "detail", "usage", "started_at", "finished_at"]

FAILING = COUNTER.replace("return n + 1", 'raise ValueError("first line\\nlast \\x1b[31mline\\x1b[0m [bold]x[/bold]")')


def test_run_writes_the_result_to_stdout_and_the_rest_to_stderr(project: Path, invoke: Invoke) -> None:
    """The result alone is on stdout; nodes, edges, totals and the next commands are on stderr."""
    found = invoke("run", "counter", "--input", "text=hello", "--run-id", "r")
    assert found.exit_code == 0
    assert found.stdout == "hello\n"
    for text in (
        "started  more (visit 2)",
        "done     more (visit 3) in ",
        " -> END [enough]",
        "n 3 >= 3: yes",
        "3 visits in ",
        ", no model calls\n",
        "branch: graphengine branch r --at 3 --set 'n=…'",
        "draw:   graphengine render r -o r.svg",
        "look:   graphengine inspect",
    ):
        assert text in found.stderr
    assert "resume:" not in found.stderr
    assert (project / "checkpoints" / "runs.db").is_file()


def test_a_runs_document_has_the_schema_and_nothing_else(invoke: Invoke) -> None:
    """--json of run, resume, branch and show is one document with exactly these keys."""
    made = document(invoke("run", "counter", "--run-id", "r", "--json").stdout)
    output = made.pop("output")  # only a command that drives a run knows the graph's `result=`
    assert (list(made), output) == (KEYS, "")
    assert all(list(step) == STEP_KEYS for step in made["steps"])
    assert (made["schema"], made["status"], made["state"]["n"], made["error"]) == (1, "finished", 3, None)
    assert made["ending"] == {"reason": "end", "label": "enough", "condition": "n >= 3", "why": "n 3 >= 3: yes"}
    assert [step["seq"] for step in made["steps"]] == [1, 2, 3, 4]
    assert made["steps"][-1] | {"started_at": 0, "finished_at": 0} == {
        "seq": 4,
        "path": "more",
        "kind": "node",
        "node": "more",
        "visit": 3,
        "attempt": 1,
        "update": [["set", "n", 3]],
        "edge": "enough",
        "targets": ["END"],
        "why": "n 3 >= 3: yes",
        "error": None,
        "detail": {},
        "usage": None,
        "started_at": 0,
        "finished_at": 0,
    }
    assert document(invoke("show", "r", "--json").stdout) == made
    assert document(invoke("resume", "r", "--json").stdout) == made | {"output": output}
    child = document(invoke("branch", "r", "--at", "2", "--json").stdout)
    assert [key for key in child if key != "output"] == KEYS
    assert child["parent"] == {"run_id": "r", "seq": 2}


@pytest.mark.parametrize(
    ("words", "code", "exit_code"),
    [
        (["run", "counter", "--input", "txt=1"], "invalid_input", 2),
        (["run", "counter", "--input", "n=[]"], "invalid_input", 2),
        (["run", "counter", "--limit", "stepz=1"], "usage", 2),
        (["run", "counter", "--limit", "visits=-1"], "usage", 2),
        (["run", "counter", "--run-id", "r"], "run_exists", 2),
        (["run", "counter", "--run-id", "a b"], "invalid_input", 2),
        (["run", "counter", "-o", "missing/file.txt"], "bad_output", 2),
        (["run", "counter", "--after", "nope"], "unknown_run", 2),
        (["run", "wrong"], "compile_error", 2),
        (["run", "--nonsense"], "usage", 2),
        (["rnu"], "usage", 2),
        (["resume", "nope"], "unknown_run", 2),
        (["branch", "r", "--at", "99"], "unknown_step", 2),
        (["branch", "r", "--at", "0"], "unknown_step", 2),
        (["branch", "r", "--at", "4"], "nothing_ready", 2),
        (["branch", "r", "--at", "2", "--set", "m=1"], "invalid_input", 2),
        (["branch", "r", "--at", "two"], "usage", 2),
        (["show", "nope"], "unknown_run", 2),
        (["show", "r", "--at", "5"], "unknown_step", 2),
        (["stop", "r"], "not_running", 2),
        (["render", "nope", "-o", "x.svg"], "graph_not_found", 2),
        (["render", "r", "-o", "x.exe"], "render_error", 2),
        (["runs", "--store", "nowhere.db"], "store_missing", 5),
        (["runs", "--store", "pyproject.toml"], "store_not_a_database", 5),
        (["run", "counter", "--store", "pyproject.toml"], "store_not_a_database", 5),
        (["runs", "--store", "/dev/null"], "store_not_a_database", 5),
        (["run", "counter", "--store", "/dev/null"], "store_not_a_database", 5),
        (["runs", "--store", "newer.db"], "store_too_new", 5),
        (["run", "counter", "--store", "newer.db"], "store_too_new", 5),
        (["run", "counter", "--store", "flows"], "store_not_a_database", 5),
    ],
)
def test_bad_input_is_one_error_with_its_exit_code(
    project: Path, invoke: Invoke, words: list[str], code: str, exit_code: int
) -> None:
    """Each error gives one document under --json, one screen of text without it, and never a traceback."""
    (project / "flows" / "wrong.py").write_text(
        COUNTER.replace('"counter"', '"wrong"').replace('value("n")', 'value("m")')
    )
    invoke("run", "counter", "--run-id", "r")
    invoke("run", "counter", "--store", "newer.db")
    with sqlite3.connect("newer.db") as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    shown_text = invoke(*words, "--json")
    error = document(shown_text.stdout)["error"]
    assert (error["code"], shown_text.exit_code) == (code, exit_code)
    assert set(error) - {"problems"} == ERROR_KEYS
    assert ("problems" in error) is (
        code == "compile_error" and words[0] == "run"
    )  # check lists them apart from the error
    shown = invoke(*words)
    assert shown.exit_code == exit_code
    assert "Traceback" not in shown.output
    assert len(shown.output.splitlines()) <= 24


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["run", "counter", "--run-id", "r"], "run_exists"),
        (["run", "counter", "--after", "nope"], "unknown_run"),
        (["branch", "r", "--at", "2", "--set", "n=x"], "invalid_input"),
        (["branch", "r", "--at", "2", "--set", "n:=null"], "invalid_input"),
        (["branch", "r", "--at", "4"], "nothing_ready"),
        (["resume", "stopped"], "graph_changed"),
    ],
)
def test_a_run_is_announced_once_it_is_recorded(project: Path, invoke: Invoke, words: list[str], code: str) -> None:
    """A run that cannot be started gives only an error; one that is started, or had finished, is announced once."""
    invoke("run", "counter", "--run-id", "r")
    announced = "run stopped of counter, stored in checkpoints/runs.db"
    found = [invoke("run", "counter", "--run-id", "stopped", "--limit", "visits=1")]
    found.append(invoke("resume", "stopped"))
    assert [each.stderr.count(announced) for each in found] == [1, 1]
    assert invoke("resume", "r").stderr.count("stored in") == 1
    if code == "graph_changed":
        (project / "flows" / "counter.py").write_text(COUNTER.replace('"more"', '"another"'))
    refused = invoke(*words)
    assert f"error {code}" in refused.stderr
    assert "stored in" not in refused.stderr


def test_a_failed_run_shows_the_last_lines_and_the_users_line(project: Path, invoke: Invoke) -> None:
    """A failed run gives exit code 1, the exception's lines, the line of the user's code, and how to resume."""
    (project / "bad.py").write_text(FAILING)
    found = invoke("run", "bad.py", "--run-id", "r")
    line = FAILING.splitlines().index(next(each for each in FAILING.splitlines() if "raise" in each)) + 1
    assert found.exit_code == 1
    assert found.stdout == ""
    assert "ValueError: first line" in found.stderr
    assert "last \\x1b[31mline\\x1b[0m [bold]x[/bold]" in found.stderr
    assert f"bad.py:{line} in more" in found.stderr
    assert "resume: graphengine resume r --graph bad.py" in found.stderr
    assert "Traceback" not in found.output


def test_a_failed_runs_document_has_its_error(project: Path, invoke: Invoke) -> None:
    """Under --json a failed run is a run's document, with exit code 1."""
    (project / "bad.py").write_text(FAILING)
    found = invoke("run", "bad.py", "--json")
    made = document(found.stdout)
    assert (found.exit_code, made["status"]) == (1, "failed")
    assert set(made["error"]) > ERROR_KEYS
    assert (made["error"]["code"], made["error"]["path"]) == ("ValueError", "more")
    assert (made["output"], made["steps"][-1]["error"]) == (None, made["error"])


def test_a_failure_is_reported_once(project: Path, invoke: Invoke) -> None:
    """The engine's errors have their location and repair on lines of their own, at the end, and in the document."""
    bad = COUNTER.replace("n: int = 0", "n: int = Field(default=0, le=3)").replace("n + 1", "9")
    (project / "bad.py").write_text(bad.replace("import BaseModel", "import BaseModel, Field"))
    found = invoke("run", "bad.py", "--run-id", "r")
    message = "invalid_update: n: Input should be less than or equal to 3 (got 9)"
    assert [line for line in found.stderr.splitlines() if "less than" in line] == [f"  {message}"]
    assert "  at: field n\n  repair: " in found.stderr
    shown = invoke("show", "r").stdout
    assert shown.count(message) == 1
    error = document(invoke("show", "r", "--json").stdout)["error"]
    assert error["message"] == message.removeprefix("invalid_update: ")
    assert error["where"] == "field n"
    assert error["repair"]


def test_an_edge_to_fail_is_shown_by_its_label(project: Path, invoke: Invoke) -> None:
    """Its label and reason are shown, and no error that repeats them."""
    (project / "bad.py").write_text(
        COUNTER.replace("END, START", "END, FAIL, START").replace('"more", END', '"more", FAIL')
    )
    found = invoke("run", "bad.py", "--run-id", "r")
    assert found.exit_code == 1
    assert "failed [enough]: n 3 >= 3: yes" in found.stderr
    invoke("resume", "r", "--graph", "bad.py")
    assert "fail: enough" not in found.stderr + invoke("show", "r").stdout


def test_a_fallback_is_shown_as_such(project: Path, invoke: Invoke) -> None:
    """It is not a further attempt."""
    text = FAILING.replace("thread=False", "thread=False, fallback=lambda n: 3")
    (project / "bad.py").write_text(text)
    found = invoke("run", "bad.py", "--run-id", "r")
    assert found.exit_code == 0
    lines = [line for line in found.stderr.splitlines() if " more (" in line]
    assert [line.split(" in ")[0] for line in lines] == [
        "started  more (visit 1)",
        "failed   more (visit 1, attempt 1)",
        "started  more (visit 1): its fallback",
        "fallback more (visit 1)",
    ]
    assert lines[1].endswith("; its fallback is run")
    assert "more (fallback)" in invoke("show", "r").stdout


def test_an_unexpected_exception_is_one_line_without_debug(project: Path, invoke: Invoke) -> None:
    """It is shown with the advice to use --debug, which shows the traceback."""
    (project / "bad.py").write_text(COUNTER + "\nGraph.compile = lambda self: 1 / 0\n")
    original = Graph.compile
    try:
        quiet, loud = invoke("run", "bad.py"), invoke("run", "bad.py", "--debug")
    finally:
        Graph.compile = original  # type: ignore[method-assign]
    assert (quiet.exit_code, loud.exit_code) == (1, 1)
    assert "unexpected: ZeroDivisionError: division by zero" in quiet.stderr
    assert "run again with --debug" in quiet.stderr
    assert "Traceback" not in quiet.stderr
    assert "Traceback" in loud.stderr


def test_a_limit_stops_a_run_and_the_resume_command_raises_it(invoke: Invoke) -> None:
    """A limit stops a run with exit code 4; the shown command continues beyond it."""
    found = invoke("run", "counter", "--limit", "visits=2", "--run-id", "r")
    assert found.exit_code == 4
    assert "stopped: visits 2 >= 2" in found.stderr
    assert "resume: graphengine resume r --limit visits=4" in found.stderr
    assert invoke("resume", "r").exit_code == 4
    assert invoke("resume", "r", "--limit", "visits=4").exit_code == 0


def test_without_input_the_example_is_run_and_announced(project: Path, invoke: Invoke) -> None:
    """Without --input the file's `example` is used, be it a state, a dict or a function; with --input it is not."""
    for definition in (
        "example = Count(text='sample')",
        "example = {'text': 'sample'}",
        "def example():\n    return Count(text='sample')",
    ):
        (project / "flows" / "counter.py").write_text(f"{COUNTER}\n{definition}\n")
        found = invoke("run", "counter")
        assert found.stdout == "sample\n"
        assert "input: the example of counter.py" in found.stderr
    assert invoke("run", "counter", "--input", "text=own").stdout == "own\n"


def test_an_invalid_example_is_reported(project: Path, invoke: Invoke) -> None:
    """One of another type, in the error about a missing field; a dict that does not fit, by its own error."""
    flow = project / "flows" / "counter.py"
    flow.write_text(COUNTER + "\nexample = [1]\n")
    shown_text = "the example of counter.py is not used: it is a list, neither Count nor a dict"
    found = invoke("run", "counter")
    assert (found.exit_code, shown_text in found.stderr) == (0, True)
    flow.write_text(COUNTER.replace('text: str = ""', "text: str") + "\nexample = [1]\n")
    error = document(invoke("run", "counter", "--json").stdout)["error"]
    assert error["message"].endswith(shown_text)
    flow.write_text(COUNTER + "\nexample = {'n': 'many'}\n")
    error = document(invoke("run", "counter", "--json").stdout)["error"]
    assert (error["code"], error["where"]) == ("invalid_input", "the example of counter.py")


def test_after_starts_with_the_state_of_another_run(invoke: Invoke) -> None:
    """--after starts with the final state of the earlier run; inputs are updates of it."""
    invoke("run", "counter", "--input", "text=kept", "--run-id", "r")
    found = document(invoke("run", "counter", "--after", "r", "--input", "notes=one", "--json").stdout)
    assert (found["state"]["text"], found["state"]["n"]) == ("kept", 4)


def test_output_goes_to_a_file_as_text_or_json(project: Path, invoke: Invoke) -> None:
    """A text is written unchanged and also printed; anything else is written as JSON."""
    assert invoke("run", "counter", "--input", "text=a\x1bb", "-o", "text.txt").stdout == "a\\x1bb\n"
    assert (project / "text.txt").read_text() == "a\x1bb"
    (project / "flows" / "counter.py").write_text(COUNTER.replace('result="text"', 'result="notes"'))
    assert invoke("run", "counter", "--input", 'notes=["x"]', "-o", "notes.json").stdout == ""
    assert json.loads((project / "notes.json").read_text()) == ["x"]
    assert json.loads(invoke("run", "counter", "--input", 'notes=["x"]').stdout) == ["x"]


def test_branch_writes_fields_through_their_reducers(invoke: Invoke) -> None:
    """--set replaces a field, or appends one item if that is the field's reducer; the parent stays unchanged."""
    invoke("run", "counter", "--input", 'notes=["a"]', "--run-id", "r")
    words = ("branch", "r", "--at", "2", "--set", "n=0", "--set", "notes=b", "--run-id", "child", "--json")
    state = document(invoke(*words).stdout)["state"]
    assert (state["n"], state["notes"]) == (3, ["a", "b"])
    assert document(invoke("show", "r", "--json").stdout)["state"]["notes"] == ["a"]


def test_warnings_are_shown_when_a_run_begins(invoke: Invoke) -> None:
    """A resume does not repeat them."""
    assert "warning unbounded_loop" in invoke("run", "counter", "--run-id", "r", "--limit", "visits=1").stderr
    assert "warning" not in invoke("resume", "r", "--limit", "visits=9").stderr


def test_an_unknown_graph_can_be_a_misspelt_run(invoke: Invoke) -> None:
    """A typo in a run's id is reported with the database and the command that lists the ids."""
    found = invoke("render", "nope", "-o", "x.svg").stderr
    assert "there is no run and no graph 'nope'" in found
    assert "checkpoints/runs.db" in found
    assert "graphengine runs" in found
    assert "no run" not in invoke("render", "nope.py", "-o", "x.svg").stderr


def test_too_short_a_beginning_of_an_id_lists_what_begins_so(invoke: Invoke) -> None:
    """Three characters of an id are too few; the ids that begin with them are listed."""
    invoke("run", "counter", "--run-id", "abcdef")
    assert "give more of the id: abcdef" in invoke("show", "abc").stderr
    assert invoke("show", "abcd").exit_code == 0


def test_a_graph_and_a_run_are_drawn(project: Path, invoke: Invoke) -> None:
    """Render draws a graph by file or name, and a recorded run without its code."""
    invoke("run", "counter", "--run-id", "r")
    assert invoke("render", "counter", "-o", "graph.mmd").exit_code == 0
    (project / "flows" / "counter.py").unlink()
    assert invoke("render", "r", "-o", "run.dot").exit_code == 0
    assert "more" in (project / "graph.mmd").read_text()
    assert "more" in (project / "run.dot").read_text()


def test_a_run_without_a_language_model_is_marked_as_offline(project: Path, invoke: Invoke) -> None:
    """If rules gave all answers, this is shown: at the end with the ways to a model, and first if it is known."""
    agent = "ann = Agent('ann', prompt='{n}', output=int, by_rules=lambda n: n + 1)\n"
    text = COUNTER.replace("import END", "import Agent, END").replace("graph =", agent + "graph =")
    known = text.replace('"more", more', '"more", ann').replace(", thread=False", "")
    hidden = text.replace("def more", "async def more").replace("return n + 1", "return await ann.run(n=n)")
    for body, is_first in ((known, True), (hidden, False)):
        (project / "flows" / "counter.py").write_text(body)
        lines = invoke("run", "counter").stderr.splitlines()
        (said,) = [line for line in lines if line.startswith("no model wrote this: ") and "--model" in line]
        assert lines.index(said) > lines.index("started  more (visit 1)")
        assert ("offline: rules answer, no language model" in lines) is is_first


def test_ctrl_c_before_the_run_reports_that_nothing_was_recorded(project: Path, invoke: Invoke) -> None:
    """Exit code 130, one line, and no mention of a run; other commands are just interrupted."""
    (project / "slow.py").write_text("raise KeyboardInterrupt\n")
    for name, shown_text in (
        ("run", "interrupted before the run began; nothing was recorded"),
        ("check", "interrupted"),
    ):
        found = invoke(name, "slow.py")
        assert (found.exit_code, found.stderr.strip()) == (130, f"error interrupted: {shown_text}")


def test_ctrl_c_while_the_command_loads_is_no_traceback() -> None:
    """Ctrl-C while the command loads gives exit code 130 and one line, without a traceback."""
    script = (
        "import runpy, sys\n"
        "class Interrupting:\n"
        "    def find_spec(self, name, *rest):\n"
        "        if name == 'graphengine.cli.main': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupting())\n"
        "runpy.run_module('graphengine', run_name='__main__')"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "interrupted before anything was done\n")


def test_help_is_plain_text(invoke: Invoke) -> None:
    """No markup of the help texts is left in them."""
    for words in ([], ["run"], ["runs"], ["show"]):
        assert "\\b" not in invoke(*words, "--help").stdout
        assert "\b" not in invoke(*words, "--help").stdout


FORKED = """
from pydantic import BaseModel
from graphengine import END, START, Graph

class State(BaseModel):
    left: int = 0
    right: int = 0
    total: int = 0

graph = Graph("forked", State)
graph.add_node("l", lambda left: left + 1, writes="left", thread=False)
graph.add_node("r", lambda right: right + 1, writes="right", thread=False)
graph.add_node("sum", lambda left, right: left + right, writes="total", thread=False)
graph.add_fork(START, ["l", "r"], join="sum")
graph.add_path("l", "sum", END)
graph.add_edge("r", "sum")
"""


def test_a_branch_names_the_state_that_it_updates(project: Path, invoke: Invoke) -> None:
    """In the middle of a fork several states are active, and --path selects one."""
    (project / "flows" / "forked.py").write_text(FORKED)
    assert invoke("run", "forked", "--run-id", "r").exit_code == 0
    unsaid = invoke("branch", "r", "--at", "1", "--set", "left=5")
    assert (unsaid.exit_code, "name its path" in unsaid.stderr) == (2, True)
    output_text = document(invoke("branch", "r", "--at", "1", "--set", "left=5", "--path", "~l", "--json").stdout)
    assert output_text["state"]["total"] == 7


LEAVING = """
import asyncio
import sys
from pydantic import BaseModel
from graphengine import END, START, Graph

class State(BaseModel):
    n: int = 0

async def deep() -> int:
    sys.exit(7)

async def work() -> int:
    return (await asyncio.gather(deep(), asyncio.sleep(0)))[0]

graph = Graph("leaving", State)
graph.add_node("work", work, writes="n")
graph.add_path(START, "work", END)
"""


def test_an_asyncio_task_of_a_node_cannot_end_the_command(project: Path, invoke: Invoke) -> None:
    """Asyncio raises its SystemExit out of the event loop; the node fails, and --debug shows the traceback."""
    (project / "leaving.py").write_text(LEAVING)
    quiet, loud = invoke("run", "leaving.py"), invoke("run", "leaving.py", "--debug")
    assert (quiet.exit_code, loud.exit_code) == (1, 1)
    assert "failed at work" in quiet.stderr
    assert "SystemExit: 7" in quiet.stderr
    assert "Traceback" not in quiet.stderr
    assert "in deep\n" in loud.stderr


def test_an_error_of_the_close_adds_no_second_document(
    project: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What follows the one JSON document is reported on stderr, and by the exit code."""
    close = SQLiteStore.close

    async def broken(store: SQLiteStore) -> None:
        await close(store)
        raise StoreError("the disk is gone")

    invoke("run", "counter", "--run-id", "r")
    monkeypatch.setattr(SQLiteStore, "close", broken)
    ended = invoke("show", "r", "--json")
    assert (ended.exit_code, json.loads(ended.stdout)["status"]) == (5, "finished")
    assert "the disk is gone" in ended.stderr


PAYING = """
from pydantic import BaseModel
from graphengine import END, START, Context, Graph


class State(BaseModel):
    paid: list[int] = []


def pay(amount: int) -> int:
    return amount


async def work(ctx: Context) -> list[int]:
    return [await ctx.call(pay, 5, effect="once")]


paying = Graph("paying", State)
paying.add_node("first", lambda: None)
paying.add_node("work", work, writes="paid")
paying.add_path(START, "first", "work", END)
"""


def test_a_branch_says_which_effects_it_can_repeat(project: Path, invoke: Invoke) -> None:
    """Those that began after its step; a dry run lists them and starts nothing."""
    (project / "flows" / "paying.py").write_text(PAYING, encoding="utf-8")
    invoke("run", "paying", "--run-id", "r")
    dry = invoke("branch", "r", "--at", "first:1", "--dry-run")
    assert (dry.exit_code, dry.stdout.splitlines()[0]) == (0, 'step 3: pay in work {"amount": 5}')
    (effect,) = document(invoke("branch", "r", "--at", "2", "--dry-run", "--json").stdout)["effects"]
    assert (effect["seq"], effect["node"], effect["arguments"]) == (3, "work", {"amount": 5})
    assert len(document(invoke("runs", "--json").stdout)["runs"]) == 1
    assert "effects that it can repeat (pay in work)" in invoke("branch", "r", "--at", "2").stderr
    assert "effects" not in invoke("branch", "r", "--at", "4").stderr
