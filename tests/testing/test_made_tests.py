"""make_test: pytest files generated from recorded steps, and run."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from graphengine import END, START, Graph, GraphEngineError, Runner, ScriptedModel
from graphengine.models import calls
from graphengine.testing import NoTest, as_json, make_test
from graphengine.testing.literals import Code, call_of, literal, quoted
from tests.testing import flow
from tests.testing.plain import QUIET

SECRET = "correct horse battery staple"  # noqa: S105 - of no account
SAID = 'A draft of "two" lines,\nthe second of which goes on and on: ' + "word " * 40
FLOW = Path(flow.__file__)


@pytest.fixture
async def made() -> dict[str, str]:
    """Map each node's path to the test, or the refusal, for its last step in a run of the flow."""
    model = ScriptedModel(
        {
            "writer": [calls(("add", {"a": 1, "b": 2}), text="let me see"), SAID],
            "critic": ['{"score":5,"issues":["too long"]}', '{"score": 8}'],
        }
    )
    found: dict[str, str] = {}
    async with Runner(models={"*": model}) as runner:
        run = runner.start(flow.graph, {"task": "explain autoscaling to me", "token": SECRET}, run_id="r")
        await run.result()
        await runner.answer(run.id, value=True)
        await runner.resume(flow.graph, run.id).result()
        for step in await runner.history(run.id):
            try:
                text = await make_test(runner.store, run.id, step.seq, flow.graph, source="flow:graph")
            except NoTest as error:
                text = f"{error.message} | {error.repair}"
            found[step.path] = text
    return found


def files(made: dict[str, str], folder: Path, flow: str) -> list[str]:
    """Write the tests and the flow into a folder. Return their names."""
    (folder / "flow.py").write_text(flow, encoding="utf-8")
    names = []
    for path, text in made.items():
        if text.startswith('"""'):
            name = f"test_{path.replace('/', '_').replace('[', '_').strip(']')}.py"
            (folder / name).write_text(text, encoding="utf-8")
            names.append(name)
    return sorted(names)


def pytest_on(folder: Path) -> str:
    """Run pytest in a subprocess on a folder and return its output."""
    told = subprocess.run(
        [sys.executable, "-m", "pytest", *QUIET, "-q", "-p", "no:asyncio", "--rootdir", str(folder), str(folder)],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
    )
    return told.stdout + told.stderr


async def test_the_tests_pass_and_fail_when_the_code_changes(made: dict[str, str], tmp_path: Path) -> None:
    """Functions, agents with tools, choices, items, nested nodes: each passes, and fails if its node is changed."""
    text = FLOW.read_text(encoding="utf-8")
    names = files(made, tmp_path, text)
    assert names == [
        "test_inside_count.py",
        "test_judge.py",
        "test_look.py",
        "test_pick.py",
        *(f"test_size_{number}.py" for number in range(4)),
        "test_total.py",
        "test_unlock.py",
        "test_write.py",
    ]
    assert "11 passed" in pytest_on(tmp_path)
    changes = {
        "return task.split()": "return task.split()[:1]",
        "return await ctx.step(fetch, part)": "return 1 + await ctx.step(fetch, part)",
        "sum(sizes) / len(sizes)": "sum(sizes)",
        "return task[:7]": "return task[:8]",
        "return total + len": "return 1 + total + len",
        'prompt="{task} {total}", tools=[add]': 'prompt="{task}!", tools=[add]',
        "first.score > 5": "first.score > 4",
        "return len(draft)": "return -len(draft)",
    }
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    (tmp_path / "flow.py").write_text(text, encoding="utf-8")
    assert "11 failed" in pytest_on(tmp_path)


async def test_recorded_work_is_not_done_again(made: dict[str, str], tmp_path: Path) -> None:
    """External work is returned from the record; work that was not recorded makes the test fail."""
    text = FLOW.read_text(encoding="utf-8")
    outside = "    return len(part)\n"
    files({"size": made["size[0]"]}, tmp_path, text.replace(outside, "    raise RuntimeError('outside')\n"))
    assert "1 passed" in pytest_on(tmp_path)
    (tmp_path / "flow.py").write_text(
        text.replace("ctx.step(fetch, part)", "ctx.step(fetch, part + '')  + 0 * await ctx.step(fetch, 'x')")
    )
    told = pytest_on(tmp_path)
    assert "1 failed" in told
    assert "no new work was done" in told


async def test_the_text_reads_as_a_person_would_write_it(made: dict[str, str]) -> None:
    """The whole text of the simplest test."""
    assert made["look"] == (
        '"""What node look of graph flow wrote at step 2 of run r.\n'
        "\n"
        "Made from that step by graphengine: the node runs alone, and must write the same again.\n"
        '"""\n'
        "\n"
        "import asyncio\n"
        "\n"
        "from graphengine.testing import as_json, run_node\n"
        "\n"
        "from flow import graph\n"
        "\n"
        "\n"
        "def test_look_at_step_2() -> None:\n"
        '    """The node writes again what it wrote then."""\n'
        '    done = asyncio.run(run_node(graph, "look", state={"task": "explain autoscaling to me"}))\n'
        '    assert as_json(done.update) == {"parts": ["explain", "autoscaling", "to", "me"]}\n'
    )


async def test_only_what_the_node_reads_is_given(made: dict[str, str]) -> None:
    """A secret field's value is left out; a placeholder and a comment replace it."""
    assert SECRET not in "".join(made.values())
    assert '"token": "a stand-in for token"' in made["unlock"]
    assert "Secret fields are not written here: token" in made["unlock"]
    assert "token" not in made["total"]
    assert "sizes" not in made["write"]


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("size", "size is all items of a map | choose a step inside it, as step "),
        ("inside", "inside is a whole graph | choose a step inside it, as step "),
        ("soft", "soft failed there, and its fallback stood in | call the fallback by itself"),
        ("bad", "bad failed there: no 1 | write it with `with pytest.raises"),
        ("mend", "the failure that led to mend is part of its input | call its function by itself"),
        ("allow", "allow was answered by a person or a message | write it with run_node(graph, 'allow', answers=[…])"),
        ("", "of kind 'resumed' | choose a step at which a node was done"),
    ],
)
async def test_a_step_that_makes_no_test_says_why_and_what_to_do(made: dict[str, str], path: str, told: str) -> None:
    """The end of a map or of a nested graph, a fallback, a failure, a question, a row of the run itself."""
    assert told in made[path]


async def test_the_wrong_run_step_or_graph_is_told() -> None:
    """An unknown run, a step that the run does not have, a graph of another name."""
    async with Runner() as runner:
        run = runner.start(flow.inner, {"draft": "x"})
        await run.result()
        for run_id, seq, graph, told in (
            ("nobody", 1, flow.inner, "no run"),
            (run.id, 99, flow.inner, "has no step 99"),
            (run.id, 2, flow.graph, "is of graph 'inner'"),
        ):
            with pytest.raises(GraphEngineError, match=told):
                await make_test(runner.store, run_id, seq, graph, source="flow:graph")


async def test_a_rule_that_answered_answers_again() -> None:
    """An agent's offline stand-in is called again, under the name offline."""
    writer = flow.critic.but(offline=lambda draft: flow.Review(score=len(draft)))
    graph = Graph("ruled", flow.Flow, secret_key="0123456789-abcdefghijk-lmnopqrstuvwx-yz")  # noqa: S106
    graph.add_node("judge", writer, writes="history")
    graph.add_path(START, "judge", END)
    async with Runner(models={"*": "offline"}) as runner:
        run = runner.start(graph, {"task": "x", "draft": "1234567"})
        await run.result()
        text = await make_test(runner.store, run.id, 2, graph, source="flow:graph")
    assert 'model="offline"' in text
    assert '{"history": {"score": 7, "issues": []}}' in text


def test_updates_are_compared_as_they_are_recorded() -> None:
    """Models, sets and dates are written as in a run's record."""
    assert as_json({"history": flow.Review(score=3)}) == {"history": {"score": 3, "issues": []}}


@pytest.mark.parametrize(
    "value",
    [
        None,
        "plain",
        'with "quotes"',
        "two\nlines and more",
        "back\\slash \t tab",
        "\x00 and \ud800",
        "long " * 60,
        ["word " * 30, {"a": [1, 2.5, True], "b\n": None}],
        {"deep": {"er": ["x" * 90, "y" * 90]}},
        [],
        {},
    ],
)
def test_a_literal_is_the_value_again(value: object) -> None:
    """Any JSON value, at any indentation, on one line or several."""
    for indent in (0, 3):
        text = literal(value, indent)
        assert eval(text) == value  # noqa: S307 - made in the line above
        assert all(len(line) < 130 for line in text.splitlines())


def test_calls_and_source_in_values() -> None:
    """Source in a value is unchanged; a call too long for a line has one argument per line."""
    assert literal({"a": Code("f(1)")}) == '{"a": f(1)}'
    assert call_of("f", ["1", "b=2"]) == "f(1, b=2)"
    assert call_of("f", ["1" * 60, "2" * 60]) == f"f(\n    {'1' * 60},\n    {'2' * 60},\n)"
    assert quoted("it's") == '"it\'s"'


MORE = """
from typing import Annotated

from pydantic import BaseModel

from graphengine import END, START, Agent, Context, Graph
from graphengine.reducers import merge


class More(BaseModel):
    names: list[str] = ["a b", "c"]
    sizes: dict[str, int] = {}
    left: str = ""
    right: str = ""
    seen: Annotated[dict[str, int], merge] = {}


async def weigh(name: str, scale: int) -> int:
    return len(name) * scale


async def both(names: list[str]) -> str:
    return await optimist.run(names=names) + await pessimist.run(names=names)


async def ask(left: str, ctx: Context) -> str:
    return await ctx.ask("Right?", str)


optimist = Agent("optimist", model="anthropic:x", prompt="good of {names}")
pessimist = Agent("pessimist", model="anthropic:x", prompt="bad of {names}")
graph = Graph("more", More, resources={"scale": lambda: 2})
graph.add_node("begin")
graph.add_node("weigh", weigh, each={"name": "names"}, writes="sizes[{name}]")
graph.add_node("both", both, writes="left")
graph.add_node("join")
graph.add_node("ask", ask, writes="right")
graph.add_edge(START, "begin")
graph.add_fork("begin", ["weigh", "both"], join="join")
graph.add_edge("weigh", "join")
graph.add_edge("both", "join")
graph.add_path("join", "ask", END)
"""


async def test_arms_keys_resources_and_several_agents(tmp_path: Path) -> None:
    """An arm of a fork, an item with a key of its own, two agents in one node, and the comments about them."""
    names: dict[str, Any] = {"__name__": "more"}
    exec(compile(MORE, "more.py", "exec"), names)  # noqa: S102 - ours
    graph = names["graph"]
    model = ScriptedModel({"optimist": ["good"], "pessimist": ["bad"]})
    found: dict[str, str] = {}
    async with Runner(models={"*": model}) as runner:
        run = runner.start(graph, {})
        await run.result()
        await runner.answer(run.id, "yes")
        await runner.resume(graph, run.id).result()
        for step in await runner.history(run.id):
            try:
                found[step.path] = await make_test(runner.store, run.id, step.seq, graph, source="more:graph")
            except NoTest as error:
                found[step.path] = error.message
        changed = Graph("more", names["More"])
        changed.add_node("other", names["both"], writes="left")
        changed.add_path(START, "other", END)
        with pytest.raises(NoTest, match="has no node 'begin'"):
            await make_test(runner.store, run.id, 2, changed, source="more:graph")
    assert "ask asked, waited or received a message while it ran" in found["ask"]
    assert "resources={'scale': …}" in found["weigh[0]"]
    assert 'models={"optimist": ScriptedModel(["good"]), "pessimist": ScriptedModel(["bad"])}' in found["both"]
    assert '{"sizes": {"a b": 6}}' in found["weigh[0]"]
    files(
        {path: text for path, text in found.items() if path in ("weigh[0]", "weigh[1]", "both", "join")}, tmp_path, ""
    )
    (tmp_path / "more.py").write_text(MORE, encoding="utf-8")
    assert "4 passed" in pytest_on(tmp_path)
