import asyncio
import signal
from collections.abc import Sequence
from pathlib import Path

from graphengine import Limits, Node, Result, Runner, ScriptedModel, TextFile, Window
from graphengine.graph.options import Sizes
from graphengine.models import Request
from graphs.orchestrator import Assignment, graph, orchestrator
from nodes.orchestration.agents import WORKERS, writer
from nodes.orchestration.handover import Role
from tests.graphs.orchestrator_kit import (
    ACCEPT,
    FIND,
    FIRST,
    FOUND,
    GIVEN,
    MOON,
    PLAN,
    SOURCE,
    WRITE,
    once,
    prompts,
    retry,
    run,
)
from tests.kit import forks

VICTIM = """
import asyncio, os, signal, sys
from graphengine import Runner, ScriptedModel
from graphs.orchestrator import Assignment, graph
from tests.graphs.orchestrator_kit import FIRST, GIVEN

def die(request):
    sys.stdout.write(request.prompt)
    sys.stdout.flush()
    os.kill(os.getpid(), signal.SIGKILL)

async def main():
    model = ScriptedModel({**FIRST, "researcher": [die]})
    async with Runner(sys.argv[1], models={"*": model}) as runner:
        await runner.start(graph, GIVEN, run_id="second").result()

asyncio.run(main())
"""

CITED = f".\n\n{MOON.text} [{MOON.file}:{MOON.line}]"


class TestContext:
    async def test_a_long_conversation_is_sent_as_a_summary_and_the_newest_messages(self) -> None:
        """This applies beyond the window, if the newest fit into it; the whole conversation stays recorded."""
        small = writer.but(window=Window(max_tokens=500, keep=2))
        team = orchestrator(workers={**WORKERS, Role.WRITER: Node(small, inputs={"job": "task"})})
        plans = [[FIND, *(WRITE.model_copy(update={"id": f"w{n}"}) for n in range(count + 1))] for count in range(3)]

        def write(request: Request) -> str:
            if "older part of a conversation" in request.prompt:
                return "SUMMARY"
            return f"text {sum(message.role == 'assistant' for message in request.messages)} " + "word " * 200 + CITED

        script = {
            "planner": plans,
            "researcher": [FOUND],
            "writer": write,
            "validator": [retry("More."), retry("More."), ACCEPT],
            "synthesiser": ["The moon."],
        }
        result, model = await run(script, made=team)
        asked = [request for request in model.requests if request.agent == "writer"]
        last = asked[-1].messages
        assert [message.role for message in last] == ["summary", "assistant", "user"]
        assert "SUMMARY" in last[0].text
        kept = result.state.conversations["writer"]
        assert sum(message.role == "assistant" for message in kept) == 3
        assert kept[1].text.startswith("text 0")

    async def test_a_short_one_is_sent_whole(self) -> None:
        """A worker that is called again sees its own conversation, and not another's."""
        script = {
            "planner": [PLAN, [*PLAN, WRITE.model_copy(update={"id": "again"})]],
            "researcher": [FOUND],
            "writer": ["Tides.", "Tides!"],
            "validator": [retry("Louder."), ACCEPT],
            "synthesiser": ["The moon."],
        }
        _, model = await run(script)
        asked = [request for request in model.requests if request.agent == "writer"][1]
        assert [message.role for message in asked.messages] == ["user", "assistant", "user"]
        assert asked.messages[1].text == "Tides."


class TestMemory:
    async def test_workers_remember_what_they_did_in_earlier_runs_on_the_like(self, tmp_path: Path) -> None:
        """Each remembers its own work, as labelled data; the first run has no memories."""
        before = await once(tmp_path / "runs.db", "first")
        model = await once(tmp_path / "runs.db", "second")
        assert not any("first" in prompt for agent in FIRST for prompt in prompts(before, agent))
        (researcher,), (judge,) = prompts(model, "researcher"), prompts(model, "reviewer")
        assert (
            '"run_id": "first"' in researcher.partition("<your_earlier_work>")[2].partition("</your_earlier_work>")[0]
        )
        assert "What the moon does." in researcher
        assert '"step": "Review it."' in judge.partition("<your_earlier_work>")[2].partition("</your_earlier_work>")[0]
        assert '"step": "Review it."' not in researcher
        assert "find: researcher; write: writer; check: reviewer" in prompts(model, "planner")[0]

    async def test_runs_about_something_else_are_not_remembered(self, tmp_path: Path) -> None:
        """Memory is found by the words of the task."""
        await once(tmp_path / "runs.db", "first")
        model = await once(tmp_path / "runs.db", "second", {**GIVEN, "task": "How do vineyards ripen?"})
        assert not any("first" in prompt for agent in FIRST for prompt in prompts(model, agent))

    async def test_a_resumed_run_keeps_its_memory(self, tmp_path: Path) -> None:
        """Another run has finished in the meantime, which only a new run remembers."""
        database = tmp_path / "runs.db"
        await once(database, "first")
        async with Runner(database, models={"*": ScriptedModel({})}) as runner:
            stopped = await runner.start(graph, GIVEN, run_id="second", limits=Limits(steps=1)).result()
        assert stopped.status == "stopped"
        await once(database, "third")
        with ScriptedModel(FIRST) as model:
            async with Runner(database, models={"*": model}) as runner:
                resumed = await runner.resume(graph, "second", limits=Limits(steps=100)).result()
        assert resumed.state.recalled == stopped.state.recalled
        assert '"run_id": "first"' in prompts(model, "researcher")[0]
        assert '"run_id": "third"' not in prompts(model, "researcher")[0]
        assert '"run_id": "third"' in prompts(await once(database, "fourth"), "researcher")[0]

    async def test_a_killed_run_remembers_the_same(self, tmp_path: Path) -> None:
        """SIGKILL comes during the researcher's call; the next process sends exactly the same request."""
        database = tmp_path / "runs.db"
        await once(database, "first")
        (tmp_path / "victim.py").write_text(VICTIM, encoding="utf-8")
        died = await asyncio.to_thread(forks.run, tmp_path / "victim.py", str(database), loads=forks.BRIEFS)
        assert died.returncode == -signal.SIGKILL, died.stderr
        await once(database, "third")
        script = {name: answers for name, answers in FIRST.items() if name != "planner"}
        with ScriptedModel(script) as model:
            async with Runner(database, models={"*": model}) as runner:
                result = await runner.resume(graph, "second").result()
        assert result.output == "The moon."
        assert prompts(model, "researcher") == [died.stdout]
        assert '"run_id": "first"' in died.stdout

    async def test_sources_of_earlier_runs_are_not_recorded_again(self, tmp_path: Path) -> None:
        """Only the workers' results are read, however large the sources are."""
        large = TextFile(path="large.md", text="word " * 60_000)
        await once(tmp_path / "runs.db", "first", {**GIVEN, "sources": [SOURCE, large]})
        result = await narrow(tmp_path / "runs.db")
        assert "first" in str(result.state.recalled["researcher"])
        assert result.state.errors == []

    async def test_the_run_works_without_memories(self, tmp_path: Path) -> None:
        """The run works without memories, for example if the results of earlier runs are too large to be read."""
        script: dict[str, Sequence[object]] = {**FIRST, "writer": ["w" * 300_000 + " " + CITED]}
        with ScriptedModel(script) as model:
            async with Runner(tmp_path / "runs.db", models={"*": model}) as runner:
                await runner.start(graph, GIVEN).result()
        result = await narrow(tmp_path / "runs.db")
        assert (result.output, result.state.recalled) == ("The moon.", {})
        assert [(error.path, error.kind) for error in result.state.errors] == [("recall", "too_large")]


async def narrow(database: Path) -> Result[Assignment]:
    """Run with a limit of 200 kB for recorded work."""
    with ScriptedModel(FIRST) as model:
        async with Runner(database, models={"*": model}, sizes=Sizes(work_bytes=200_000)) as runner:
            return await runner.start(graph, GIVEN).result()
