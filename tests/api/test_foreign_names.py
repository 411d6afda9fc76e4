"""Names of other libraries: every form of the table runs as pasted, wherever the name is asked for."""

import asyncio
import copy
import functools
import importlib.util
import pickle
import re
import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import chdir
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

import graphengine
import graphengine.agents
import graphengine.testing
from graphengine import Agent, Context, Graph, Run, Runner, SyncRunner
from graphengine.cli.context import CommandContext, Exit
from graphengine.cli.main import COMMANDS, GROUPS, Program, main
from graphengine.cli.terminal import Channel
from graphengine.errors import DefinitionError, UnknownAttribute
from graphengine.graph.foreign import (
    COMMON,
    LIBRARIES,
    OWN,
    TABLE,
    ForeignNames,
    entries_of,
    forms_by_name,
    without_await,
)

FORMS = list(
    dict.fromkeys(form.partition("  # ")[0] for place in TABLE for each in entries_of(place) for form in each.forms)
)
CODE = [form for form in FORMS if not form.startswith("graphengine ")]
SHELL = [form for form in FORMS if form.startswith("graphengine ")]

IMPORTS = """
import asyncio
import logging
import uuid
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import BaseModel

from graphengine import END, FAIL, START, Agent, Budget, Budgets, Context, Graph, Limits, Memory, Message, QueueLimits
from graphengine import RateLimiter, Retry, Router, Runner, Schedule, ScriptedModel, Settings, SyncRunner, Window
from graphengine import Worker, ask
from graphengine import code_execution, failed, iterations, mcp, tool, usage, value, web_fetch, web_search, write_file
from graphengine.agents import Hooks, ToolContext, guard, result_of
from graphengine.executors import ProcessExecutor
from graphengine.models import AnthropicModel
from graphengine.records import export_run
from graphengine.reducers import append, extend
from graphengine.telemetry import Telemetry
from graphengine.testing import FakeClock, replay, run_node, walk
"""

SETUP = '''

class State(BaseModel):
    n: int = 0
    text: str = ""
    texts: list[str] = []
    sizes: list[int] = []
    messages: Annotated[list[Message], extend] = []
    is_approved: bool = False


class Answer(BaseModel):
    text: str = ""


def work(n: int = 0) -> int:
    return n + 1


def size(text: str) -> int:
    return len(text)


def route(text: str) -> Literal["x", "y"]:
    return "x"


def search(words: str) -> str:
    """Search the archive."""
    return words


def lookup(words: str) -> str:
    """Look up words."""
    return words


def check_answer(answer: str) -> None:
    if not answer:
        raise ValueError("give a text")


def is_polite(text: str) -> None:
    """Say nothing against a text."""


async def tell(run_id: str, topic: str) -> None:
    """Send a message."""


async def count(ctx: Context, n: int) -> int:
    await ctx.publish("progress", n)
    return n + 1


def charge() -> None:
    """Take money."""


async def pay(ctx: Context, n: int) -> int:
    await ctx.call(charge, effect="once")
    return n


'''

MADE = """
inner = Graph("inner", State, result="n")
inner.add_node("count", work, writes="n")
inner.add_path(START, "count", END)

graph = Graph("approval", State, result="n")
graph.add_node("a", count, writes="n")
graph.add_node("approve", ask("Publish {text}?", bool), writes="is_approved")
graph.add_path(START, "a", "approve", END)
shop = Graph("shop", State)
shop.add_node("pay", pay, writes="n")
shop.add_path(START, "pay", END)
agent = Agent("writer", model="placeholder", prompt="Write about {text}")
other = Agent("other", model="placeholder", prompt="Write about {text}", system="You help.")
state = State()
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder to run in, without keys of providers."""
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "none")
    with chdir(tmp_path):
        yield tmp_path


@functools.cache
def prepared() -> Mapping[str, Any]:
    """Return what forms and their preparation use, made once."""
    names: dict[str, Any] = {"__name__": __name__}
    exec(IMPORTS + SETUP, names)  # noqa: S102 - our own text
    return names


def defined(form: str) -> dict[str, Any]:
    """Return a namespace with `pasted`, a function that runs a form in the places that the table means."""
    names = {**prepared()}
    kind = "async def" if re.search("await |async ", form) else "def"
    takes = "ctx, graph, agent, state, run, run_id, result, runner"
    exec(f"{MADE}\n{kind} pasted({takes}):\n    {form}\n", names)  # noqa: S102 - a form of the table
    return names


async def called(form: str, names: Mapping[str, Any], *given: object) -> None:
    """Call the form; forms without a loop run in a thread."""
    if "run_sync" in form:
        await asyncio.to_thread(names["pasted"], *given)
    else:
        done = names["pasted"](*given)
        if asyncio.iscoroutine(done):
            await done


async def pasted(form: str) -> None:
    """Run a form beside a run that waits, in a node if it has `ctx`."""
    names = defined(form)
    graph, common = names["graph"], (names["graph"], names["agent"], names["state"])
    async with Runner(clock=names["FakeClock"]()) as runner:
        run = runner.start(graph, {"text": "tides", "texts": ["a"]}, run_id="RUN_ID")
        result = await run.result()
        assert result.waits
        given = (run, "RUN_ID", result, runner)
        await runner.admin.schedule(names["Schedule"]("daily", "0 7 * * *", "approval"), graph)
        if form.startswith("raise "):
            with pytest.raises(ValueError, match=r"give a date|empty"):
                await called(form, names, None, *common, *given)
            return
        if "ctx" not in form or form.startswith("def "):
            calling = asyncio.create_task(called(form, names, None, *common, *given))
            if ".watch(" in form:  # which follows the run until it ends
                await (await runner.answer("RUN_ID", value=True, graph=graph)).result()
            await calling
            return

        async def node(ctx: Context) -> dict[str, int]:
            await called(form, names, ctx, *common, *given)
            return {}

        one = Graph("one", names["State"])
        one.add_node("node", node)
        one.add_path(names["START"], "node", names["END"])
        ended = await runner.start(one, run_id="in-a-node").result()
        assert ended.status in ("finished", "waiting"), ended.error


@pytest.mark.parametrize("form", CODE)
@pytest.mark.usefixtures("here")
async def test_a_form_runs_as_pasted(form: str) -> None:
    """The code that an error shows is complete."""
    await pasted(form)


@pytest.mark.parametrize("form", [form for form in CODE if form.startswith(("await runner.", "run = runner."))])
@pytest.mark.usefixtures("here")
def test_a_form_runs_in_a_script(form: str) -> None:
    """The code that an error of a SyncRunner shows is complete, without await."""
    if not (plain := without_await(form)):
        return
    names = defined(plain)
    with SyncRunner() as runner:
        run = runner.start(names["graph"], {"text": "tides"}, run_id="RUN_ID")
        given = (names["graph"], names["agent"], names["state"], run, "RUN_ID", run.result(), runner)
        runner.admin.schedule(names["Schedule"]("daily", "0 7 * * *", "approval"), names["graph"])
        names["pasted"](None, *given)


FLOW = """
from pydantic import BaseModel

from graphengine import END, START, Context, Graph, ask


class State(BaseModel):
    n: int = 0
    is_approved: bool = False


def count(n: int) -> int:
    return n + 1


GRAPH = Graph("GRAPH", State, result="n")
GRAPH.add_node("a", count, writes="n")
GRAPH.add_node("approve", ask("Publish?", bool), writes="is_approved")
GRAPH.add_path(START, "a", "approve", END)
"""
SCORERS = """
def brief(output: object) -> bool:
    return True


SCORERS = [brief]
"""
BLOCKING = ("worker", "serve", "inspect", "watch", "mcp")


@pytest.fixture(scope="module")
def project_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a run that waits, and the files that commands of the table name."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "pyproject.toml").write_text('[tool.graphengine]\ngraphs = ["."]\n')
    (folder / "GRAPH.py").write_text(FLOW + SCORERS)
    (folder / "n.json").write_text("1")
    (folder / "cases.jsonl").write_text('{"input": {"n": 1}}\n')
    (folder / "scorers.py").write_text(SCORERS)
    (folder / "users.json").write_text("{}")
    with chdir(folder):
        assert CliRunner().invoke(main, ["run", "GRAPH", "--run-id", "RUN_ID"]).exit_code == Exit.WAITING
        for more in ("--store PATH --run-id RUN_ID", "--run-id ENDED"):
            CliRunner().invoke(main, ["run", "GRAPH", *more.split()])
        assert CliRunner().invoke(main, ["answer", "ENDED", "yes"]).exit_code == Exit.FINISHED
        assert CliRunner().invoke(main, ["export", "RUN_ID", "-o", "run.json"]).exit_code == Exit.FINISHED
    return folder


@pytest.mark.parametrize("form", SHELL)
def test_a_command_runs_as_pasted(form: str, project_once: Path, tmp_path: Path) -> None:
    """The command that an error shows runs; one that serves or follows is parsed."""
    folder = tmp_path / "project"
    shutil.copytree(project_once, folder)
    words = shlex.split(form, comments=True)[1:]
    with chdir(folder):
        if words[0] in BLOCKING:
            silent = Channel(None, must_arrive=False)
            command = main.get_command(click.Context(main), words[0])
            assert command is not None
            command.make_context(words[0], words[1:], obj=CommandContext(silent, silent, json=False, debug=False))
        else:
            done = CliRunner().invoke(
                main, ["ENDED" if word == "RUN_ID" and words[0] == "whatif" else word for word in words]
            )
            is_advice = words == ["doctor", "--production"]  # which says what production lacks here, by its exit code
            assert done.exit_code in (Exit.FINISHED, Exit.WAITING, Exit.STOPPED) or is_advice, done.output


def test_the_table_is_sound() -> None:
    """A name has one entry in its place, libraries are known, and no name is one of ours there."""
    for place in TABLE:
        names = [name for entry in entries_of(place) for name in entry.names]
        assert len(names) == len(set(names)), place
        for entry in entries_of(place):
            assert entry.forms
            assert set(entry.libraries) <= {*LIBRARIES, COMMON, OWN}
    for place, kind in {"Graph": Graph, "Runner": Runner, "Run": Run, "Agent": Agent, "Context": Context}.items():
        assert not {name for name in FOREIGN[place] if hasattr(kind, name) and not name.startswith("__")}, place
    assert not FOREIGN["import"] & {*dir(graphengine)}
    assert not FOREIGN["command"] & {*COMMANDS, *GROUPS}


FOREIGN = {
    place: {name for entry in entries_of(place) if OWN not in entry.libraries for name in entry.names}
    for place in TABLE
}


def answer_to(owner: object, name: str) -> str:
    """Return the error for an attribute, with whatever says what to write here."""
    with pytest.raises(AttributeError) as caught:
        getattr(owner, name)
    return str(caught.value)


async def test_each_name_gets_its_form_where_it_is_asked_for() -> None:
    """Objects, handles and modules answer with the forms of the entry; `hasattr` and `dir` know none of the names."""
    names = defined("pass")
    async with Runner() as runner:
        run = runner.start(names["graph"], run_id="RUN_ID")
        result = await run.result()
        seen: list[Context] = []

        def keep(ctx: Context) -> None:
            seen.append(ctx)

        one = Graph("one", names["State"])
        one.add_node("node", keep)
        one.add_path(names["START"], "node", names["END"])
        await runner.start(one).result()
        owners = {"Graph": names["graph"], "Runner": runner, "Run": run, "Agent": names["agent"], "Result": result}
        for place, owner in {**owners, "Context": seen[0]}.items():
            for name in FOREIGN[place]:
                if not name.startswith("__") and not hasattr(names["State"](), name):
                    assert forms_by_name(place)[name] in answer_to(owner, name), (place, name)
            assert not FOREIGN[place] & {*dir(owner)} - {"__len__", "__contains__", "__getitem__"}, place
        for name in FOREIGN["Runner"] - {*dir(runner.admin)}:
            assert forms_by_name("Runner")[name] in answer_to(runner.admin, name)
        assert "run.stop" in answer_to(run, "cancel")
    for name in filter(str.isidentifier, FOREIGN["import"]):
        for module in (graphengine, graphengine.testing, graphengine.agents):
            assert not hasattr(module, name) or name in module.__all__ or f"{module.__name__}.{name}" in sys.modules
        if importlib.util.find_spec(f"graphengine.{name}"):
            continue
        with pytest.raises(ImportError, match=f"graphengine has no {name!r}; here: "):
            exec(f"from graphengine import {name}")  # noqa: S102 - a name of the table


KNOWN_BY_WORDS = ("acancel_workflow", "cancel_run", "list_flow_runs", "get_history", "aget_state")


KNOWN_BY_PARTS = ("purge_instance_history", "cancel_with_reason", "read_work_queue_status", "delete_schedule_async")
OTHER_METHODS = ("check_tools", "process_message", "reset_memories", "exit_code", "next_page_token", "add_defaults")


@pytest.mark.parametrize("name", [*KNOWN_BY_WORDS, *KNOWN_BY_PARTS])
async def test_a_name_is_known_by_its_words(name: str) -> None:
    """What libraries put around a verb, such as `a`, `get_`, `_workflow` or what follows, is no part of it."""
    async with Runner() as runner:
        assert "repair: await runner." in answer_to(runner, name)


@pytest.mark.parametrize("name", OTHER_METHODS)
async def test_the_first_word_of_a_method_is_not_enough_for_an_answer(name: str) -> None:
    """`check_tools` does not check a graph: a wrong form is worse than Python's own error."""
    async with Runner() as runner:
        for owner in (runner, defined("pass")["graph"]):
            with pytest.raises(AttributeError, match="has no attribute") as caught:
                getattr(owner, name)
            assert not isinstance(caught.value, UnknownAttribute)


async def test_a_name_is_known_by_what_other_objects_and_calls_have() -> None:
    """Options are attributes elsewhere, results are also handles, and an option can belong to another call here."""
    names = defined("pass")
    assert "retry=Retry(attempts=3)" in answer_to(names["graph"], "max_retries")
    with pytest.raises(ImportError, match="here: from graphengine import GraphEngineError"):
        exec("from graphengine import SomeLibraryError")  # noqa: S102 - an end of the table
    with pytest.raises(DefinitionError, match="runner = Runner"):
        names["graph"].compile(storage="runs.db")
    async with Runner() as runner:
        run = runner.start(names["graph"])
        assert "result.output" in answer_to(run, "final_output_as")
        assert "graphengine runs --tree" in answer_to(await run.result(), "children")


async def test_the_class_runner_answers_as_its_objects() -> None:
    """The OpenAI Agents SDK calls `run`, `run_sync` and `run_streamed` on the class."""
    assert "repair: answer = agent.run_sync(text='Hi')" in answer_to(Runner, "run_sync")
    assert "runner.stream(agent, text='Hi')" in answer_to(Runner, "run_streamed")
    assert not hasattr(Runner, "run_sync")
    for name in ("no_such_thing", "__wrapped__"):
        with pytest.raises(AttributeError, match=f"type object 'Runner' has no attribute '{name}'$") as caught:
            getattr(Runner, name)
        assert not isinstance(caught.value, UnknownAttribute)
    asked: Any = Runner.run
    with pytest.raises(DefinitionError, match=r"repair: async with Runner.*answer = await runner\.run\(agent"):
        await asked(defined("pass")["agent"], "Hi")


def test_a_graph_is_asked_for_its_nodes_as_in_networkx() -> None:
    """`len`, `in` and `[]` say how here; a graph is true, and can be copied."""
    graph: Any = defined("pass")["graph"]
    with pytest.raises(UnknownAttribute, match=re.escape("len(graph.nodes)")):
        len(graph)
    with pytest.raises(UnknownAttribute, match=re.escape("'a' in graph.to_networkx()")):
        _ = "a" in graph
    with pytest.raises(UnknownAttribute, match=re.escape("graph.to_networkx()['a']")):
        _ = graph["a"]
    assert graph
    assert graph.compile()
    assert copy.copy(graph).nodes == graph.nodes


async def test_a_misspelt_attribute_gets_no_form_of_another() -> None:
    """A name that is nearly one of ours, or that only modules are asked for, gets Python's own error."""
    names = defined("pass")
    async with Runner() as runner:
        for owner, name in (
            (names["graph"], "nodes_"),
            (names["graph"], "name_"),
            (names["agent"], "tools_"),
            (names["agent"], "message"),
            (runner, "stop_run"),
        ):
            assert answer_to(owner, name).endswith(f"has no attribute {name!r}")


def test_an_object_that_is_not_made_yet_is_asked_for_an_attribute() -> None:
    """`hasattr` is False before `__init__` has run, though the error of a foreign name would show the object."""
    has: dict[str, bool] = {}

    class Mine(Graph[Any]):
        def __init__(self, *args: Any) -> None:
            has.update({name: hasattr(self, name) for name in ("limits", "name", "nodes", "invoke", "anything")})
            super().__init__(*args)

    assert Mine("mine", defined("pass")["State"]).name == "mine"
    assert not any(has.values())
    for kind in (Runner, SyncRunner, Run, Agent, Context):
        bare = kind.__new__(kind)
        for name in ("limits", "name", "cancel", "message", "anything", "store"):
            assert getattr(bare, name, None) is None or hasattr(kind, name), (kind, name)


@pytest.mark.parametrize("name", ["a.b", "x.y.z", "ask.b", " a", ""])
def test_a_text_that_is_no_name_is_no_attribute(name: str) -> None:
    """`hasattr` of a module is False for it."""
    assert not hasattr(graphengine, name)


def test_objects_are_copied_as_before() -> None:
    """An attribute that copying and pickling ask for is no name of another library."""
    agent = defined("pass")["agent"]
    assert copy.copy(agent) == agent == pickle.loads(pickle.dumps(agent)) == copy.deepcopy(agent)  # noqa: S301 - ours


def test_a_name_of_ours_is_found_in_its_module() -> None:
    """A name that is asked of the wrong module gets the import that works."""
    for wrong, name in (
        ("graphengine.testing", "ScriptedModel"),
        ("graphengine", "evaluate"),
        ("graphengine", "RunExists"),
    ):
        with pytest.raises(ImportError, match="here: from graphengine") as caught:
            exec(f"from {wrong} import {name}")  # noqa: S102 - a name of ours
        exec(str(caught.value).partition("here: ")[2])  # noqa: S102 - it is the import to write


@pytest.mark.parametrize("entry", entries_of("command"), ids=lambda entry: entry.names[0])
def test_a_foreign_command_gets_its_form(entry: ForeignNames) -> None:
    """The error for an unknown command shows the commands here."""
    done = CliRunner().invoke(main, [entry.names[-1]])
    assert done.exit_code == Exit.USAGE
    assert all(form in done.output for form in entry.forms)


@pytest.mark.parametrize(
    ("words", "here"),
    [
        ("flow-run cancel x", "graphengine stop RUN_ID"),
        ("workflow start --type x", "graphengine run GRAPH"),
        ("dags list", "graphengine graphs"),
    ],
)
def test_a_word_after_a_foreign_command_says_what_it_means(words: str, here: str) -> None:
    """Other command lines name the kind of thing first, and then what to do with it."""
    assert here in CliRunner().invoke(main, words.split()).output


def test_a_keyword_is_known_by_its_last_words() -> None:
    """A keyword with words before its meaning, such as `connect_timeout`, gets the form of its meaning."""
    names = defined("pass")
    with pytest.raises(DefinitionError, match=r"timeout_seconds=60"):
        names["graph"].add_node("z", names["work"], schedule_to_start_timeout=5)
    with pytest.raises(DefinitionError, match=r"hooks=\[Hooks\(\)\]"):
        names["Agent"]("z", before_reply_callback=print)


@pytest.mark.parametrize("entry", entries_of("option"), ids=lambda entry: entry.names[0])
def test_a_foreign_option_gets_its_form(entry: ForeignNames) -> None:
    """The error for an unknown option shows the command here; one of any command shows the option alone."""
    command, _, option = entry.names[0].rpartition(" ")
    done = CliRunner().invoke(main, [*(command.split() or ["doctor"]), option])
    assert done.exit_code == Exit.USAGE
    if command:
        assert all(form in done.output for form in entry.forms), done.output
    else:
        assert "Here: --" in done.output
        assert not [form for form in entry.forms if form in done.output]


def commands_of(group: Program, *words: str) -> Iterator[tuple[Sequence[str], click.Command]]:
    """Return the commands of a group, with the words that name them."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, Program):
            yield from commands_of(command, *words, name)
        elif command is not None:
            yield (*words, name), command


OUR_COMMANDS = list(commands_of(main))


@pytest.mark.parametrize(("words", "command"), OUR_COMMANDS, ids=[" ".join(words) for words, _ in OUR_COMMANDS])
def test_a_misspelt_option_leads_to_no_other_command(words: Sequence[str], command: click.Command) -> None:
    """A letter too few or too many, or `_` for `-`, gets an option of the same command, or what its own entry says."""
    own = [name for param in command.params for name in param.opts if name.startswith("--")]
    for name in own:
        slips = {f"{name}s", name[:-1], name.replace("-", "_").replace("__", "--"), name[:3]}
        for slip in slips - {*own, "--"}:
            if f"{' '.join(words)} {slip}" in FOREIGN["option"]:
                continue
            done = CliRunner().invoke(main, [*words, slip])
            assert done.exit_code == Exit.USAGE
            if name == "--yes":
                assert not re.search("mean '?--yes", done.output), done.output
            elif slip != name[:3]:
                assert re.search(r"Did you mean '?--", done.output), done.output


def test_no_error_suggests_the_option_that_confirms_a_removal() -> None:
    """An answer with `--y`, and a removal with `--force`, are not led to a removal without a question."""
    for words in ("answer RUN_ID x --y", "prune --y", "prune --ye", "prune --force", "bulk stop --yess", "graphs --y"):
        done = CliRunner().invoke(main, words.split())
        assert done.exit_code == Exit.USAGE
        assert "--yes" not in done.output.replace("--yess", "")


@pytest.mark.parametrize("name", [name for name in COMMANDS if " " not in name])
def test_a_misspelt_command_leads_to_no_other_command(name: str) -> None:
    """A command of ours with a word around it, or as a plural, is suggested itself."""
    for slip in {f"{name}s", f"get-{name}", f"{name}-list", name.replace("-", "_")} - {*COMMANDS, *FOREIGN["command"]}:
        done = CliRunner().invoke(main, [slip])
        assert done.exit_code == Exit.USAGE
        assert "here: " not in done.output or name in ("run", "runs"), done.output
