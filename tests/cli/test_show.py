import asyncio
import json
from pathlib import Path

import pytest
from pydantic import BaseModel

from graphengine import END, START, Agent, Context, Graph, Runner, ScriptedModel
from graphengine.cli.terminal import Channel
from graphengine.models import Response
from tests.cli.programs import COUNTER, Invoke
from tests.serve.inspector.graphs import Place, survey


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


def test_the_cost_of_child_runs_stands_beside_that_of_the_run(project: Path, invoke: Invoke) -> None:
    """It is in no figure of the run itself."""

    class Letter(BaseModel):
        text: str = ""

    inner: Graph[Letter] = Graph("inner", Letter)
    inner.add_node("write", Agent("writer", prompt="Write."), writes="text")
    inner.add_path(START, "write", END)

    async def start(ctx: Context) -> str:
        return (await (await ctx.start(inner)).result()).status

    outer: Graph[Letter] = Graph("outer", Letter)
    outer.add_node("start", start, writes="text")
    outer.add_path(START, "start", END)

    async def record() -> None:
        model = ScriptedModel([Response("Hello.", cost_usd=0.5)])
        async with Runner(project / "checkpoints" / "runs.db", models=model) as runner:
            await runner.start(outer, run_id="r").result()

    asyncio.run(record())
    assert "besides, 1 child run cost 0.5000 USD" in invoke("show", "r").stdout
    children = json.loads(invoke("show", "r", "--usage", "--json").stdout)["children"]
    assert children == {"runs": 1, "cost_usd": 0.5, "failed": 0}


def test_show_and_runs_say_what_failed_below(project: Path, invoke: Invoke) -> None:
    """Of a run that finished, whose nodes went on without what failed two levels below; with the way to it."""
    asyncio.run(_survey())
    shown = " ".join(invoke("show", "top").stdout.split())
    assert "2 of 20 runs below failed" in shown
    assert "failed below: top.0.2.1: spread: ValueError: nothing at top.0.2.1; " in shown
    listed = invoke("runs", "child-of:top").stdout
    assert listed.count("1 of 9 runs below failed") == 2


async def _survey() -> None:
    async with Runner("checkpoints/runs.db") as runner:
        await runner.start(survey(), Place(name="top"), run_id="top").result()


def test_show_of_a_run_leads_to_its_branches(invoke: Invoke) -> None:
    """With how each went and what differs, and the command that shows it; the document has them too."""
    assert invoke("run", "counter", "--input", "text=Tides", "--run-id", "wrong").exit_code == 0
    assert invoke("branch", "wrong", "--at", "1", "--set", "text=Moon", "--run-id", "right").exit_code == 0
    shown = " ".join(invoke("show", "wrong").stdout.split())
    assert "branch right: branched off after step 1: finished" in shown
    assert 'text: "Tides" → "Moon"' in shown
    assert "; graphengine show right " in f"{shown} "
    (branch,) = json.loads(invoke("show", "wrong", "--json").stdout)["branches"]
    assert (branch["run_id"], branch["seq"], branch["status"]) == ("right", 1, "finished")
    assert "branch wrong" not in invoke("show", "right").stdout
