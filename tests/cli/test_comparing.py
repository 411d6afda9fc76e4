"""`diff`, `runs --tree`, and the output of `show` and `resume` for a run whose graph was changed."""

import re
from pathlib import Path

from tests.cli.programs import COUNTER, WAITING, Invoke, document

BRANCHES = [
    ["run", "counter", "--run-id", "one"],
    ["branch", "one", "--at", "2", "--run-id", "two", "--set", "n=0"],
    ["branch", "two", "--at", "4", "--run-id", "three", "--set", f"text={'long ' * 100}"],
    ["branch", "one", "--at", "3", "--run-id", "four"],
    ["run", "counter", "--run-id", "next", "--after", "one"],
]


def begin(invoke: Invoke) -> None:
    """A run, branches of it, and one that follows it."""
    for words in BRANCHES:
        assert invoke(*words).exit_code == 0


# -- diff


def test_diff_shows_where_two_runs_diverge(invoke: Invoke) -> None:
    """The last shared step, the update of the branch, both paths, both costs; in 80 columns."""
    begin(invoke)
    found = invoke("diff", "one", "two")
    assert found.exit_code == 0
    lines = found.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[:2] == ["a  run one of counter, finished at step 4", "b  run two of counter, finished at step 6"]
    assert "they share steps 1 to 2" in lines
    assert "b branched off with n = 0 (was 1)" in lines
    assert "they took the same path for 1 step, then diverge: a at step 4, b at step 5" in lines
    rows = [re.split(r"\s{2,}", line) for line in lines if "more" in line]
    assert rows == [
        ["3 more 2 -> more", "4 more 2 -> more"],
        ["4 more 3 -> END [enough]", "|", "5 more 3 -> more"],
        ["", "|", "6 more 4 -> END [enough]"],
    ]
    assert "their states are the same" in lines
    costs = [line for line in lines if "since they diverged" in line]
    assert [line.split(" in ")[0] for line in costs] == ["a  2 visits", "b  3 visits"]


def test_a_diff_document_has_the_schema_and_nothing_else(invoke: Invoke) -> None:
    """The keys that are documented, of runs that share steps."""
    begin(invoke)
    made = document(invoke("diff", "three", "four", "--json").stdout)
    assert list(made) == ["schema", "shared", "alike", "first", "second", "differences", "setup"]
    assert made["shared"] == {"run_id": "one", "seq": 2}
    side = ["run_id", "graph", "status", "seq", "parted_at", "begins", "changed", "way", "usage", "spent"]
    assert list(made["first"]) == list(made["second"]) == side
    assert (made["first"]["run_id"], made["second"]["run_id"]) == ("three", "four")
    assert made["second"]["begins"] is None  # it branched from their common ancestor after the step they share
    edge = made["second"]["way"]
    assert [step["seq"] for step in edge] == [3, 5]
    assert list(edge[0]) == ["seq", "path", "kind", "node", "visit", "attempt", "edge", "targets"]
    assert set(made["first"]["spent"]) == {*made["first"]["usage"], "steps", "seconds"}
    assert (made["alike"], made["first"]["parted_at"], made["second"]["parted_at"]) == (1, 6, 5)


def test_changed_texts_are_shown_by_the_words_that_differ(invoke: Invoke) -> None:
    """Of a branch that changed one word of a long text, that word, what it was, and a few words around it."""
    text = "The tide rises at noon, and " + "all of the boats leave the harbour before the wind turns " * 3
    invoke("run", "counter", "--run-id", "one", "--input", f"text={text}")
    invoke("branch", "one", "--at", "1", "--run-id", "two", "--set", f"text={text.replace('rises', 'falls')}")
    found = invoke("diff", "one", "two").stdout.splitlines()
    changed = "text: The tide [-rises-] {+falls+} at noon, and all of …"
    assert found[found.index("b branched off with a change of") + 1].strip() == changed
    assert changed in [line.strip() for line in found[found.index("their states differ in 1 place:") :]]


AGENT = """
from pydantic import BaseModel
from graphengine import END, START, Agent, Graph

class State(BaseModel):
    task: str = "Tides"
    text: str = ""

def shout(task: str) -> str:
    return task.upper()

graph = Graph("asked", State)
graph.add_node("write", Agent("writer", model="rules", prompt="Write: {task}", by_rules=shout), writes="text")
graph.add_path(START, "write", END)
"""


def test_diff_shows_prompts_and_limits_that_differ(project: Path, invoke: Invoke) -> None:
    """As far as they are recorded: the graph's prompts, and the limits of the run."""
    (project / "asked.py").write_text(AGENT)
    assert invoke("run", "asked.py", "--run-id", "one").exit_code == 0
    (project / "asked.py").write_text(AGENT.replace("Write:", "Explain:"))
    assert invoke("run", "asked.py", "--run-id", "two", "--limit", "visits=9").exit_code == 0
    setup = document(invoke("diff", "one", "two", "--json").stdout)["setup"]
    assert setup == [
        "node write: prompt 'Write: {task}' → 'Explain: {task}'",
        "limit visits: 1000 → 9",
    ]
    shown = invoke("diff", "one", "two").stdout.splitlines()
    assert shown[shown.index("they were run differently:") + 1 :][:2] == setup


def test_one_run_is_compared_with_itself_at_two_steps(invoke: Invoke) -> None:
    """One `--at` applies to both runs, two to one each."""
    begin(invoke)
    found = invoke("diff", "one", "one", "--at", "2", "--at", "4").stdout
    assert "as of step 2 of 4" in found
    assert "n: 1 -> 3" in found
    assert "their states are the same" in invoke("diff", "one", "two", "--at", "2").stdout
    assert "they are the same up to step 2" in invoke("diff", "one", "two", "--at", "2").stdout
    assert "as of step 2 of 4" in invoke("diff", "one", "two", "--at", "more:1").stdout
    assert "its visits: 1 (step 2), 2 (step 3), 3 (step 4)" in invoke("diff", "one", "two", "--at", "more:4").stderr


def test_diff_refuses_what_it_cannot_compare(invoke: Invoke) -> None:
    """Unknown runs and steps have their own errors; three times `--at` is one too many."""
    begin(invoke)
    assert "error unknown_run" in invoke("diff", "one", "nope").stderr
    assert "error unknown_step" in invoke("diff", "one", "two", "--at", "99").stderr
    assert invoke("diff", "one", "two", *(["--at", "1"] * 3)).exit_code == 2


# -- runs --tree


def test_a_tree_shows_branches_below_their_parents(invoke: Invoke) -> None:
    """With the step where they branched, the status and the age; a run that follows another is not its branch."""
    begin(invoke)
    lines = invoke("runs", "--tree").stdout.splitlines()
    assert lines[0].split() == ["run", "graph", "status", "branched", "at", "seq", "last", "step", "follows"]
    rows = [re.split(r"\s{2,}", line) for line in lines[1:]]
    assert [row[0] for row in rows] == ["next", "one", "├─ two", "│", "└─ four"]
    assert rows[3][1] == "└─ three"
    assert rows[0][-1] == "one"
    assert all(re.search(r"finished  .*\d+ (s|min) ago", line) for line in lines[1:])
    assert [row[3] for row in rows if len(row) == 6 and row[0] != "next"] == ["2", "3"]


def test_a_tree_has_parents_that_are_older_than_the_list(invoke: Invoke) -> None:
    """A tree has all parents up to the first, also older ones than the list, marked as not matching."""
    begin(invoke)
    invoke("branch", "three", "--at", "5", "--run-id", "five")
    found = invoke("runs", "--tree", "--limit", "1")
    names = [re.sub(r"[├└│─ ]*", "", line.split("  counter")[0]) for line in found.stdout.splitlines()[1:]]
    assert names == ["one", "two", "three", "five"]
    assert [line.count("*") for line in found.stdout.splitlines()[1:]] == [1, 1, 1, 0]
    assert "*: not in the list" in found.stderr
    made = document(invoke("runs", "--tree", "--limit", "1", "--json").stdout)
    assert [(run["run_id"], run["parent"] and run["parent"]["run_id"]) for run in made["runs"]] == [
        *(("five", "three"), ("three", "two"), ("two", "one"), ("one", None)),
    ]


def test_a_tree_document_has_the_run_that_a_run_follows(invoke: Invoke) -> None:
    """In addition to the keys of a list of runs."""
    begin(invoke)
    plain = document(invoke("runs", "--json").stdout)["runs"]
    tree = document(invoke("runs", "--tree", "--json").stdout)["runs"]
    assert [run.pop("after") for run in tree] == ["one", None, None, None, None]
    assert all(run.pop("spent") == run.pop("spent_in_all") for run in tree)  # no model was called
    assert tree == plain


# -- changed graphs


def test_a_graph_that_no_longer_fits_is_reported_on_one_screen(project: Path, invoke: Invoke) -> None:
    """One screen has the mismatch, the changes and the repair; the run continues once the graph is restored."""
    file = project / "flows" / "waiting.py"
    file.write_text(WAITING)
    assert invoke("run", "waiting", "--run-id", "r").exit_code == 3
    steps = document(invoke("show", "r", "--json").stdout)["steps"]
    file.write_text(WAITING.replace('"style"', '"manner"').replace("style: str", "manner: str"))
    found = invoke("resume", "r")
    assert found.exit_code == 2
    lines = found.stderr.splitlines()
    assert "error graph_changed: the graph 'waiting' was changed, and run r no longer fits it" in lines[0]
    assert "    the run is at node 'style' (visit 1, waiting), which the graph no longer has" in lines
    assert "    field style is gone: str" in lines
    assert any(line.startswith("  repair: put back") and "migrate={1: Migration(" in line for line in lines)
    assert len(lines) < 24
    assert document(invoke("show", "r", "--json").stdout)["steps"] == steps
    reported = document(invoke("resume", "r", "--json").stdout)["error"]
    assert set(reported) == {"code", "message", "where", "repair"}
    file.write_text(WAITING)
    assert invoke("answer", "r", "plain", "--question", "style").exit_code == 3


MIGRATION = """
from graphengine import Migration

def move(values: dict) -> dict:
    return {"total": values.pop("n"), **values}

"""


def test_show_reports_a_changed_graph_and_the_updates_of_a_migration(project: Path, invoke: Invoke) -> None:
    """Its fields, its nodes, its changes, at the step of the resume; the old steps stay unchanged."""
    file = project / "flows" / "counter.py"
    assert invoke("run", "counter", "--run-id", "r", "--limit", "visits=2").exit_code == 4
    code = COUNTER.replace("n: int = 0", "total: int = 0").replace('"n"', '"total"').replace('"more"', '"count"')
    code = code.replace("def more(n: int)", "def more(total: int)").replace("return n + 1", "return total + 1")
    code = code.replace('result="text"', 'result="text", version=2, migrate={1: Migration(move, {"more": "count"})}')
    file.write_text(MIGRATION + code)
    assert invoke("resume", "r", "--limit", "visits=none").exit_code == 0
    shown = invoke("show", "r").stdout
    written = " ".join(shown.split())
    for text in (
        "total = 2",
        "n is dropped",
        "the graph changed: version 1 → 2",
        "the graph changed: node count was called more",
        "the records of more now belong to count",
    ):
        assert text in written
    assert re.search(r"^\d+ +count +3 ", shown, re.MULTILINE)  # its visits continue
    assert "n: 2" in invoke("show", "r", "--at", "3").stdout
    detail = next(s for s in document(invoke("show", "r", "--json").stdout)["steps"] if s["kind"] == "resumed")[
        "detail"
    ]
    assert detail["renamed"] == {"": {"more": "count"}}
    assert detail["field_changes"][""] == [["set", "total", 2], ["drop", "n"]]
    assert invoke("render", "r", "-o", "r.txt").exit_code == 0
    assert "count; function; writes total; 3 visits" in Path("r.txt").read_text()
    for words in (["render", "r", "-o", "r.mmd"], ["diff", "r", "r", "--at", "3", "--at", "6"]):
        assert invoke(*words).exit_code == 0
