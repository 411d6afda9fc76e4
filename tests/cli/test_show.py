import json
from pathlib import Path

import pytest

from graphengine.cli.terminal import Channel
from tests.cli.programs import COUNTER, Invoke, document

INNER = """
from pydantic import BaseModel
from graphengine import END, START, Context, Graph

class State(BaseModel):
    n: int = 0

async def work(ctx: Context, n: int) -> int:
    def fetch() -> int:
        return 1

    def parse() -> object:
        return lambda: 1

    await ctx.call(fetch)
    await ctx.call(parse)
    return n

graph = Graph("inner", State)
graph.add_node("work", work, writes="n")
graph.add_path(START, "work", END)
"""

MANY = """
from pydantic import BaseModel
from graphengine import END, START, Context, Graph

class State(BaseModel):
    items: list[int] = list(range(40))
    seen: list[int] = []

async def work(ctx: Context, n: int) -> int:
    await ctx.call(abs, n, key="first")
    await ctx.call(abs, n, key="second")
    if n % 4 == 1:
        raise ValueError(f"not {n}")
    return n

graph = Graph("many", State)
graph.add_node("work", work, each={"n": "items"}, writes="seen", on_item_error="keep")
graph.add_path(START, "work", END)
"""


def test_items_that_record_work_are_one_line(project: Path, invoke: Invoke) -> None:
    """The items of a map are one line whatever they recorded, as agents do; below it are their first failures."""
    (project / "many.py").write_text(MANY)
    invoke("run", "many.py", "--run-id", "r")
    lines = [line for line in invoke("show", "r").stdout.splitlines() if "work[" in line]
    assert "3-122" in lines[0]
    assert "work[…] 30 items, 10 failed" in lines[0]
    assert len(lines) == 6
    failures = document(invoke("show", "r", "--json").stdout)["failures"]
    assert [failed["item"]["n"] for failed in failures] == list(range(1, 40, 4))
    assert (failures[0]["error"]["path"], failures[0]["error"]["message"]) == ("work[1]", "not 1")
    assert all("failed" in line for line in lines[1:])


def test_show_shows_steps_state_and_parent(invoke: Invoke) -> None:
    """The table of steps with updates and reasons, the state at a step, and the run's parent."""
    invoke("run", "counter", "--input", "text=hello", "--run-id", "r")
    invoke("branch", "r", "--at", "3", "--run-id", "child")
    found = invoke("show", "child")
    assert "branched from r after its step 3" in found.stdout
    assert "n = 2" in found.stdout
    assert "END [enough]" in found.stdout
    assert "text: hello" in found.stdout
    parts = ("run child of counter", "finished [enough]: n 3 >= 3: yes", " visits in ", "n: 3", "seq  step")
    places = [found.stdout.index(part) for part in parts]
    assert places == sorted(places), "the outcome and its reason, the cost, the state, the steps"
    assert document(invoke("show", "r", "--at", "2", "--json").stdout)["state"]["n"] == 1


def test_functions_are_named_without_those_around_them(project: Path, invoke: Invoke) -> None:
    """Recorded work is named without the functions around it, in all output about a run and in errors."""
    (project / "inner.py").write_text(INNER)
    found = invoke("run", "inner.py", "--run-id", "r")
    assert found.exit_code == 1
    assert "recorded work: fetch returned 1" in found.stderr
    assert "ctx.call(parse)" in found.stderr
    shown = [invoke("show", "r"), invoke("show", "r", "--step", "2"), invoke("watch", "r"), invoke("replay", "r")]
    assert not [each for each in (found, *shown) if "<locals>" in each.output]


@pytest.mark.parametrize("columns", [None, 80, 120])
def test_show_cuts_long_values_between_words_and_state_shows_all(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch, columns: int | None
) -> None:
    """On a terminal `show` has at most three lines of a value; `--state` shows every word of it, and no steps."""
    monkeypatch.setattr(Channel, "columns", columns)
    text = " ".join(f"word{n}" for n in range(400))
    assert invoke("run", "counter", "--input", f"text={text}", "--run-id", "r").exit_code == 0
    shown = invoke("show", "r").stdout
    lines = shown[shown.index("text: ") : shown.index("words: ")].splitlines()
    assert "\n--state shows all of it\n" in shown
    assert len(lines) <= 3
    assert max(map(len, lines)) <= (columns or 600)
    value, _, left_out = " ".join(line.strip() for line in lines).partition(" … ")
    assert columns is None or set(value.removeprefix("text: ").split()) <= set(text.split())
    assert left_out == f"{len(text) - len(value.removeprefix('text: ')):,} characters more"
    whole = invoke("show", "r", "--state").stdout
    assert text in " ".join(whole.split())
    assert "finished" in whole
    assert "seq" not in whole
    refused = invoke("show", "r", "--state", "--all")
    assert (refused.exit_code, "give --state or --all, not both" in refused.stderr) == (2, True)


def test_a_long_result_is_cut_on_a_terminal_only(
    project: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a terminal a long result is cut, with the command that writes all of it; a pipe gets all."""
    (project / "flows" / "listing.py").write_text(
        COUNTER.replace('result="text"', 'result="words"').replace('"counter"', '"listing"')
    )
    words = f"words:={json.dumps([f'word {n}' for n in range(500)])}"
    piped = invoke("run", "listing", "--input", words)
    assert (piped.stdout.count("\n"), "whole:" in piped.stderr) == (502, False)
    monkeypatch.setattr(Channel, "columns", 80)
    found = invoke("run", "listing", "--run-id", "r", "--input", words)
    assert found.stdout.startswith('result: ["word 0", "word 1", ')
    assert found.stdout.endswith(" more\n")
    assert found.stdout.count("\n") == 3
    assert "whole:  graphengine resume r -o result.json\n" in found.stderr
    assert invoke("resume", "r", "-o", "result.json").exit_code == 0
    assert (project / "result.json").read_text() == piped.stdout


def test_show_lists_the_end_of_a_long_run(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a long run the last steps are read and listed as in the whole list; --all lists every step."""
    monkeypatch.setattr("graphengine.cli.show._BEFORE", 1)
    monkeypatch.setattr("graphengine.cli.show._STEPS", 2)
    invoke("run", "counter", "--run-id", "r")
    whole, last = invoke("show", "r", "--all").stdout, invoke("show", "r").stdout
    assert "steps 1 to 2 are not listed: --all lists every step, --step SEQ shows one" in last
    lines = [line.split() for line in whole.splitlines()]
    assert all(line.split() in lines for line in last[last.index("seq ") :].splitlines())
    listed = [line for line in last[last.index("seq ") :].splitlines() if " more  " in line]
    assert [int(line.split()[0]) for line in listed] == [3, 4]
    assert "not listed" not in whole
    for words in (["--step", "2"], ["--usage"]):
        refused = invoke("show", "r", "--all", *words)
        assert (refused.exit_code, f"give --all or {words[0]}, not both" in refused.stderr) == (2, True)


def test_show_at_a_step_shows_the_run_as_of_it(invoke: Invoke) -> None:
    """A past step does not show the run as running; the last step shows its current status."""
    invoke("run", "counter", "--run-id", "r")
    then = invoke("show", "r", "--at", "3").stdout
    assert "as of step 3 of 4; the run is finished now" in then
    assert "running" not in then
    assert "resume" not in then
    assert invoke("show", "r", "--at", "4").stdout == invoke("show", "r").stdout


def test_a_run_can_be_named_by_a_prefix_of_its_id(invoke: Invoke) -> None:
    """A run can be named by at least four characters that only its id begins with; the matching run is reported."""
    invoke("run", "counter", "--run-id", "tides-1", "--limit", "visits=1")
    invoke("run", "counter", "--run-id", "tidy")
    shown = invoke("show", "tide")
    assert "run tides-1 of counter" in shown.stdout
    assert "tide matches run tides-1" in shown.stderr
    assert invoke("show", "tides-1").stderr == ""
    assert invoke("render", "tide", "-o", "run.txt").exit_code == 0
    assert document(invoke("branch", "tide", "--at", "1", "--json").stdout)["parent"]["run_id"] == "tides-1"
    assert document(invoke("run", "counter", "--after", "tide", "--json").stdout)["state"]["n"] == 3
    assert document(invoke("resume", "tide", "--limit", "visits=9", "--json").stdout)["run_id"] == "tides-1"
    assert invoke("show", "tid").exit_code == 2
    invoke("run", "counter", "--run-id", "tides-2")
    refused = invoke("show", "tides")
    assert refused.exit_code == 2
    assert "'tides' names no run; 2 in checkpoints/runs.db begin with it" in refused.stderr
    assert "give more of the id: tides-1, tides-2" in refused.stderr


def test_a_misspelt_id_of_a_run_gets_a_suggestion(invoke: Invoke) -> None:
    """The nearest id, for every command that takes one."""
    invoke("run", "counter", "--run-id", "1a1f8cfdaf3-20304cbb")
    for words in (["show"], ["resume"], ["stop"], ["answer", "yes"], ["send", "t", "1"], ["branch", "--at", "1"]):
        found = invoke(words[0], "1a1f8cfdaf3-20304cbd", *words[1:])
        assert (found.exit_code, "did you mean '1a1f8cfdaf3-20304cbb'?" in found.stderr) == (2, True), words
    assert "did you mean" not in invoke("show", "entirely-else").stderr


ASKING = """
from graphengine import END, START, Agent, Graph, ScriptedModel
from graphengine.models import calls
from pydantic import BaseModel

class State(BaseModel):
    text: str = "tides"

def find(word: str) -> str:
    return f"{word} is found"

model = ScriptedModel([calls(("find", {"word": "moon"})), "done"])
graph = Graph("asking", State, result="text")
writer = Agent("writer", system="Be brief.", prompt="On {text}", tools=[find], model=model)
graph.add_node("write", writer, writes="text")
graph.add_path(START, "write", END)
"""


def test_a_step_shows_what_a_model_was_asked(project: Path, invoke: Invoke) -> None:
    """The instructions, the question, the answers and the results of tools so far, as text and as JSON."""
    (project / "asking.py").write_text(ASKING)
    assert invoke("run", "asking.py", "--run-id", "r").exit_code == 0
    asked = document(invoke("show", "r", "--step", "4", "--json").stdout)["asked"]
    assert asked["system"].startswith("Be brief.")
    assert [message["role"] for message in asked["messages"]] == ["user", "assistant", "tool"]
    assert "asked" not in document(invoke("show", "r", "--step", "3", "--json").stdout)
    shown = invoke("show", "r", "--step", "4").stdout
    for text in (
        "system:\nBe brief.",
        "user:\nOn <text>tides</text>",
        'calls find({"word": "moon"})',
        "tool:\nmoon is found",
    ):
        assert text in shown
