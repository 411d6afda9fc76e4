"""Many readers in parallel and one merger: what each sees, what fails alone, what it costs."""

import asyncio
from pathlib import Path

import pytest

from graphengine import Limits, RunFailed, Runner, ScriptedModel, TextFile
from graphengine.models import Request
from graphengine.models.errors import BadRequest, ModelUnreachable, QuotaExceeded
from graphengine.testing import FakeClock
from graphs.parallel_research import MODELS, example, graph, parallel_research
from nodes.citing import KNOWLEDGE, Passage, Quotations
from tests.conformance.model_scenes import Counted, Received, Says
from tests.graphs.press_kit import REFUSAL
from tests.models.edge_server import EdgeServer
from tests.patterns.scripted import play

NAMES = ("ebb", "flood", "neap")
SENTENCES = {name: f"The {name} lasts six hours on most coasts." for name in NAMES}
SOURCES = [TextFile(path=f"{name}.md", text=f"# {name}\n\n{SENTENCES[name]}\n") for name in NAMES]
GIVEN = {"task": "How long tides last", "sources": SOURCES}
REPORT = "# Tides\n\nThe ebb lasts six hours [ebb.md:3]."


def quoted(*names: str) -> Quotations:
    """Return what a reader quotes."""
    return Quotations(quotations=[Passage(text=SENTENCES[name], file=f"{name}.md") for name in names])


def reads(request: Request) -> object:
    """Return what a reader quotes of the source that it sees."""
    return quoted(*(name for name in NAMES if SENTENCES[name] in request.prompt))


async def test_every_source_is_read_alone_and_the_merger_sees_lines() -> None:
    """In the order of the sources; the merger gets no source, and nothing as JSON."""
    played = await play(graph, GIVEN, {"reader": reads, "merger": [REPORT]})
    assert all(sum(sentence in asked for sentence in SENTENCES.values()) == 1 for asked in played.asked("reader"))
    (asked,) = played.asked("merger")
    lines = [f"[{name}.md:3] {SENTENCES[name]}" for name in NAMES]
    assert [line for line in asked.splitlines() if line.startswith("<found>")] == [
        f"<found>{line}</found>" for line in lines
    ]
    assert '"' not in asked
    assert (played.output, played.calls.total()) == (REPORT, 4)


async def test_specialists_read_all_and_nothing_is_sent_twice() -> None:
    """Each has its field in its question; what two of them quote is in the merger's question once."""
    given = {**GIVEN, "specialists": ["sailing", "building"]}

    def reads_all(request: Request) -> object:
        return quoted("ebb") if "an expert in sailing" in request.prompt else quoted("ebb", "flood")

    played = await play(graph, given, {"reader": reads_all, "merger": [REPORT]})
    first, second = played.asked("reader")  # in any order
    assert ("an expert in sailing" in first + second, "an expert in building" in first + second) == (True, True)
    assert all(sentence in first for sentence in SENTENCES.values())
    (asked,) = played.asked("merger")
    assert asked.count(SENTENCES["ebb"]) == 1
    assert asked.index("sailing") < asked.index(SENTENCES["ebb"]) < asked.index("building")


@pytest.mark.parametrize("specialists", [[], ["DevOps", "Security"]])
async def test_a_task_is_enough_with_a_model(specialists: list[str]) -> None:
    """Without sources each specialist searches the web, or says what the model knows, which is marked."""
    found = Quotations(quotations=[Passage(text="It needs limits.", file=KNOWLEDGE)])
    text = f"# LLMs in production\n\nIt needs limits [{KNOWLEDGE}]."
    count = len(specialists) or 1
    script = {"searcher": [found] * count, "merger": [text]}
    played = await play(graph, {"task": "LLMs in production", "specialists": specialists}, script)
    assert played.calls == {"searcher": count, "merger": 1}
    assert "nothing was looked up" in played.output


async def test_all_readers_are_asked_before_one_is_answered() -> None:
    """They work in parallel."""
    asked = 0
    all_asked = asyncio.Event()

    async def answer(request: Request) -> object:
        nonlocal asked
        asked += 1
        if asked == len(NAMES):
            all_asked.set()
        async with asyncio.timeout(20):
            await all_asked.wait()
        return reads(request)

    played = await play(graph, GIVEN, {"reader": answer, "merger": [REPORT]})
    assert played.output == REPORT


async def test_one_after_the_other_is_an_option() -> None:
    """With `concurrency=1` no reader is asked before the last has answered."""
    at_once = most = 0

    async def answer(request: Request) -> object:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0)
        at_once -= 1
        return reads(request)

    await play(parallel_research(concurrency=1), GIVEN, {"reader": answer, "merger": [REPORT]})
    assert most == 1


async def test_a_source_that_fails_leaves_the_others_and_is_named() -> None:
    """Whatever the merger wrote; a transient error is tried again first, and what was invented goes back."""
    failing = [ModelUnreachable("broke"), quoted("ebb"), quoted("neap"), quoted("flood"), BadRequest("no such setting")]
    script = {"reader": failing, "merger": [REPORT]}
    with ScriptedModel(script) as model:
        async with Runner(models={"*": model}, clock=FakeClock()) as runner:
            result = await runner.start(parallel_research(concurrency=1), GIVEN).result()
    assert result.output == f"{REPORT}\n\n## Not read\n\n- neap.md: no such setting\n"
    assert "neap" not in model.requests[-1].prompt


async def test_so_many_readings_have_to_succeed() -> None:
    """With fewer the run fails before the merger is asked."""
    script = {"reader": [BadRequest("no"), quoted("flood"), BadRequest("no")]}
    with pytest.raises(RunFailed, match="too few succeeded"):
        await play(parallel_research(need=2, concurrency=1), GIVEN, script)


async def test_a_merger_may_cite_only_what_was_found_and_may_not_refuse() -> None:
    """A refusal is asked for again, and then fails the run; a place where nothing was found is noted."""
    with pytest.raises(RunFailed, match="it has no title"):
        await play(graph, GIVEN, {"reader": reads, "merger": [REFUSAL] * 3})
    wrong = f"{REPORT.rstrip()} It turns [ebb.md:4]."
    played = await play(graph, GIVEN, {"reader": reads, "merger": [REFUSAL, wrong]})
    assert played.output.startswith(wrong)
    assert "> To be mended: nothing was found at ebb.md:4." in played.output


async def test_a_resume_asks_nothing_again_that_was_answered(tmp_path: Path) -> None:
    """After an account that is empty in the middle fails the run, and after a stop."""
    script = {"reader": [quoted("ebb"), QuotaExceeded("empty"), QuotaExceeded("empty")]}
    made = parallel_research(concurrency=1)
    async with Runner(tmp_path / "runs.db", models={"*": ScriptedModel(script)}) as runner:
        with pytest.raises(RunFailed, match="empty"):
            await runner.start(made, GIVEN, run_id="r").result()
    with ScriptedModel({"reader": [quoted("flood"), quoted("neap")], "merger": [REPORT]}) as model:
        async with Runner(tmp_path / "runs.db", models={"*": model}) as runner:
            stopped = await runner.resume("r", made, limits=Limits(visits=2)).result()
            assert stopped.status == "stopped"
            result = await runner.resume("r", made, limits=Limits(visits=9)).result()
    assert result.output == REPORT


async def test_without_a_model_it_is_a_dry_run() -> None:
    """Placeholders answer."""
    async with Runner(models=MODELS["default"]) as runner:
        result = await runner.start(graph, example()).result()
    assert result.output == "[placeholder: merger, call 1]"
    assert "placeholder: reader" in result.state.outcomes[0].text


async def test_readers_ask_one_model_and_the_merger_another(provider: EdgeServer) -> None:
    """Each has its cap; an answer that is cut off fails only its source; tokens and cost are those of each."""
    counted = Counted(input_tokens=1000, cache_read_tokens=0, output_tokens=100)

    def answer(received: Received) -> Says:
        if "You make one report" in received.system:
            return Says(REPORT, counted=counted)
        (name,) = (name for name in NAMES if SENTENCES[name] in received.turns[0].text)
        if name == "neap":
            return Says('{"quotations": [', stop="cut", counted=counted)
        return Says(quoted(name).model_dump_json(), counted=counted)

    provider.answer(answer)
    models = {"*": "anthropic:claude-haiku-4-5", "merger": "anthropic:claude-opus-4-5"}
    async with Runner(models=models) as runner:
        result = await runner.start(graph, GIVEN).result()
        spent = {row.agent: row.usage for row in await runner.spending(result.run_id)}
    assert "## Not read\n\n- neap.md: " in str(result.output)
    asked = [(str(each.body["model"]), each.max_tokens) for each in provider.received()]
    assert sorted(asked) == [("claude-haiku-4-5", 1024)] * 3 + [("claude-opus-4-5", 4096)]
    assert spent["merger"].get("output_tokens") == 100
    assert all(set(MODELS[name]) == {"*", "merger"} for name in ("anthropic", "openai"))


def test_it_has_no_problems_and_is_drawn(tmp_path: Path) -> None:
    """The picture has the readers and what follows."""
    assert graph.check() == []
    graph.render(tmp_path / "research.mmd")
    assert "too few succeeded" in (tmp_path / "research.mmd").read_text("utf-8").replace("<br/>", " ")
