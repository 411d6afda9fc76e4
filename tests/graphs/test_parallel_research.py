"""Many cheap readers in parallel, and one strong merger."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from graphengine import Limits, RunFailed, Runner, ScriptedModel, TextFile
from graphengine.briefs.article import Fact
from graphengine.errors import AnswerCut, BadRequest
from graphengine.models import Request
from graphengine.models.base import KnowsPrices
from graphengine.models.names import model_of
from graphs.parallel_research import MODELS, Research, example, graph, parallel_research
from nodes.reading.agents import MERGER_TOKENS, READER_TOKENS, Notes, reader
from tests.conformance.model_scenes import Counted, Fails, Received, Says
from tests.models.acts import Raw
from tests.models.edge_server import EdgeServer
from tests.models.wire_messages import MessagesWire

NAMES = ("a.md", "b.md", "c.md")
TEXTS = [TextFile(path=name, text=f"The source {name} says this.") for name in NAMES]
SAID = {text.path: Notes(facts=[Fact(text=text.text, file=text.path, line=1)]) for text in TEXTS}


def given(sources: Sequence[TextFile] = TEXTS, specialists: Sequence[str] = ()) -> Research:
    """Return an initial state."""
    return Research(task="bees", sources=list(sources), specialists=list(specialists))


def source_of(text: str) -> str:
    """Return the source of a question."""
    return next(name for name in NAMES if f"path: {name}" in text)


def notes(request: Request) -> object:
    """Return a reader's notes on its source."""
    return SAID[source_of(request.prompt)]


def without_b(request: Request) -> object:
    """Fail on the second source."""
    if source_of(request.prompt) == "b.md":
        raise BadRequest("this text cannot be read")
    return notes(request)


async def test_every_source_is_read_alone_and_all_notes_are_merged() -> None:
    """There is one call for each source and one more; the merger sees the notes in the order of the sources."""
    with ScriptedModel({"reader": [notes] * 3, "merger": ["# Bees"]}) as model:
        async with Runner(models={"*": model}) as runner:
            result = await runner.start(graph, given()).result()
    assert result.output == "# Bees"
    *readers, merger = model.requests
    assert sorted(source_of(request.prompt) for request in readers) == list(NAMES)
    places = [merger.prompt.index(f"source {name} says") for name in NAMES]
    assert places == sorted(places)


async def test_each_agent_has_its_cap_and_readers_share_what_is_cached() -> None:
    """A reader has few tokens, the merger a page; every reader's call has the same instructions."""
    with ScriptedModel({"reader": [notes] * 3, "merger": ["# Bees"]}) as model:
        async with Runner(models={"*": model}) as runner:
            await runner.start(graph, given()).result()
    *readers, merger = model.requests
    assert {request.settings.max_tokens for request in readers} == {READER_TOKENS}
    assert merger.settings.max_tokens == MERGER_TOKENS
    assert len({request.system for request in readers}) == 1
    assert [request.settings.cache for request in model.requests] == [True, True, True, False]


async def test_a_source_that_fails_leaves_the_others_and_is_named() -> None:
    """The merger knows, and the report says so whatever the merger wrote."""
    with ScriptedModel({"reader": [without_b] * 3, "merger": ["# Bees"]}) as model:
        async with Runner(models={"*": model}) as runner:
            result = await runner.start(graph, given()).result()
    assert result.state.output.splitlines() == ["# Bees", "", "## Not read", "", "- b.md: this text cannot be read"]
    assert "this text cannot be read" in model.requests[-1].prompt
    assert [each.failure is None for each in result.state.outcomes] == [True, False, True]


async def test_a_reader_that_talks_too_much_is_cut_off_alone() -> None:
    """It is cut at its token limit."""

    def talk(request: Request) -> object:
        if source_of(request.prompt) == "b.md":
            raise AnswerCut("cut off at 1024 tokens")
        return notes(request)

    with ScriptedModel({"reader": [talk] * 3, "merger": ["# Bees"]}) as model:
        async with Runner(models={"*": model}) as runner:
            result = await runner.start(graph, given()).result()
    assert "- b.md: cut off" in result.state.output


@pytest.mark.parametrize(("need", "enough"), [(2, True), (3, False)])
async def test_so_many_readings_have_to_succeed(need: int, enough: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """With fewer successful readings the run fails before anything is merged."""
    with ScriptedModel({"reader": [without_b] * 3, **({"merger": ["# Bees"]} if enough else {})}) as model:
        async with Runner(models={"*": model}) as runner:
            run = runner.start(parallel_research(need=need), given())
            if enough:
                assert (await run.result()).status == "finished"
            else:
                with pytest.raises(RunFailed, match="too few succeeded"):
                    await run.result()


async def test_what_a_reader_invents_goes_back_to_it() -> None:
    """The error says what is wrong."""
    wrong = Notes(facts=[Fact(text="Bees are made of oak.", file="a.md", line=1)])
    with ScriptedModel({"reader": [wrong, SAID["a.md"]], "merger": ["# Bees"]}) as model:
        async with Runner(models={"*": model}) as runner:
            result = await runner.start(graph, given(TEXTS[:1])).result()
    assert result.output == "# Bees"
    assert "is nowhere in 'a.md'" in model.requests[1].messages[-1].text


@pytest.mark.parametrize(
    ("sources", "calls"), [(TEXTS, 6), ([], 2)], ids=["each on each source", "by what they know themselves"]
)
async def test_any_specialists_can_be_given(sources: list[TextFile], calls: int) -> None:
    """Each has its own call, with its field."""

    def answer(request: Request) -> object:
        return notes(request) if "path: " in request.prompt else Notes(points=["Bees are insured."])

    with ScriptedModel({"reader": [answer] * calls, "merger": ["# Bees"]}) as model:
        async with Runner(models={"*": model}) as runner:
            result = await runner.start(graph, given(sources, ["insurance", "cooking"])).result()
    assert result.output == "# Bees"
    fields = ["cooking" if "cooking" in request.prompt else "insurance" for request in model.requests[:-1]]
    assert sorted(fields) == ["cooking"] * (calls // 2) + ["insurance"] * (calls // 2)


async def test_the_example_runs_by_rules() -> None:
    """Without a model every quotation has its place, and the text says that rules made it."""
    async with Runner() as runner:
        result = await runner.start(graph, example()).result()
    assert "by rules." in result.state.output
    cited = {
        line.rpartition("[")[2].partition(":")[0] for line in result.state.output.splitlines() if line.startswith("- ")
    }
    assert cited == {text.path for text in example().sources}
    assert (result.usage.calls, result.usage.offline_calls, result.usage.cost_usd) == (4, 4, 0)


async def test_by_rules_too_a_source_that_cannot_be_read_is_named() -> None:
    """Another text is read next to one without a sentence, and one on something else is left out."""
    texts = [Path("tests/briefs/texts/gears.md"), Path("tests/briefs/texts/hefeteig.md")]
    root = Path(__file__).resolve().parents[2]
    sources = [TextFile(path=path.name, text=(root / path).read_text(encoding="utf-8")) for path in texts]
    empty = TextFile(path="empty.md", text="# Nothing")
    async with Runner() as runner:
        state = given([*sources, empty]).model_copy(update={"task": "gears"})
        result = await runner.start(graph, state).result()
    assert "## Not read\n\n- empty.md: no sentence that can be quoted was found in empty.md" in result.state.output
    assert "[gears.md:" in result.state.output
    assert "[hefeteig.md:" not in result.state.output


async def test_a_run_that_was_stopped_reads_nothing_again(tmp_path: Path) -> None:
    """It is stopped after the readings; another process merges."""
    async with Runner(tmp_path / "runs.db", models={"*": ScriptedModel({"reader": [notes] * 3})}) as runner:
        stopped = await runner.start(graph, given(), limits=Limits(steps=2)).result()
    assert stopped.status == "stopped"
    with ScriptedModel({"merger": ["# Bees"]}) as model:
        async with Runner(tmp_path / "runs.db", models={"*": model}) as runner:
            done = await runner.resume(graph, stopped.run_id, limits=Limits()).result()
    assert (done.output, done.usage.calls) == ("# Bees", 4)


async def test_a_merger_that_fails_is_asked_again_without_the_readers(tmp_path: Path) -> None:
    """A merger that fails is asked again without the readers, whose notes are recorded."""
    script = {"reader": [notes] * 3, "merger": [BadRequest("no")]}
    async with Runner(tmp_path / "runs.db", models={"*": ScriptedModel(script)}) as runner:
        run = runner.start(graph, given())
        with pytest.raises(RunFailed):
            await run.result()
    with ScriptedModel({"merger": ["# Bees"]}) as model:
        async with Runner(tmp_path / "runs.db", models={"*": model}) as runner:
            assert (await runner.resume(graph, run.id).result()).output == "# Bees"


# -- through the providers' SDKs


def reading(received: Received) -> Says:
    """Return the server's answer to any agent."""
    text = received.turns[-1].text
    counted = Counted(input_tokens=2000, output_tokens=100)
    if "path: " in text:
        return Says(SAID[source_of(text)].model_dump_json(), counted=counted)
    return Says("# Bees", counted=counted)


async def test_all_readers_are_asked_before_one_is_answered(provider: EdgeServer) -> None:
    """They run in parallel if nothing is cached."""
    provider.answer(lambda received: Says(reading(received).text, held="path: " in received.turns[-1].text))
    async with Runner(models={"*": "anthropic:claude-haiku-4-5"}) as runner:
        run = runner.start(parallel_research(reader.but(cache=False)), given())
        await provider.arrived(3)
        assert len(provider.calls) == 3
        for _ in range(3):
            provider.release()
        assert (await run.result()).output == "# Bees"


async def test_one_after_the_other_is_an_option(provider: EdgeServer) -> None:
    """The second reader is called after the first has answered."""
    provider.answer(lambda received: Says(reading(received).text, held="path: " in received.turns[-1].text))
    async with Runner(models={"*": "anthropic:claude-haiku-4-5"}) as runner:
        run = runner.start(parallel_research(reader.but(cache=False), concurrency=1), given())
        for count in (1, 2, 3):
            await provider.arrived(count)
            await asyncio.sleep(0)
            assert len(provider.calls) == count
            provider.release()
        assert (await run.result()).output == "# Bees"


async def test_the_first_reader_runs_alone_if_its_instructions_are_cached(provider: EdgeServer) -> None:
    """The others read its cache; the usage has the cached tokens, and they are cheaper."""
    count = 0

    def cached(received: Received) -> Says | Raw:
        nonlocal count
        text = received.turns[-1].text
        if "path: " not in text:
            return reading(received)
        count += 1
        used = (
            Counted(input_tokens=2000, cache_write_tokens=1400)
            if count == 1
            else Counted(input_tokens=2000, cache_read_tokens=1400)
        )
        answer = Says(SAID[source_of(text)].model_dump_json(), counted=used)
        return answer if count > 1 else Raw(events=tuple(MessagesWire().events(answer)), held=True)

    provider.answer(cached)
    async with Runner(models={"*": "anthropic:claude-haiku-4-5"}) as runner:
        run = runner.start(graph, given())
        await provider.arrived(1)  # its answer is held before the first byte, at which the others would follow
        for _ in range(100):
            await asyncio.sleep(0)
        assert len(provider.calls) == 1
        provider.release()
        cheap = (await run.result()).usage
    assert (cheap.cache_write_tokens, cheap.cache_read_tokens) == (1400, 2 * 1400)
    assert all("cache_control" in str(received.body["system"]) for received in provider.received()[:3])
    provider.reset()
    provider.answer(
        lambda received: Says(
            reading(received).text,
            counted=Counted(input_tokens=2000) if "path: " in received.turns[-1].text else reading(received).counted,
        )
    )
    async with Runner(models={"*": "anthropic:claude-haiku-4-5"}) as runner:
        plain = (await runner.start(parallel_research(reader.but(cache=False)), given()).result()).usage
    assert cheap.cost_usd is not None
    assert plain.cost_usd is not None
    assert cheap.cost_usd < plain.cost_usd


async def test_readers_ask_one_model_and_the_merger_another(provider: EdgeServer) -> None:
    """Each has its limit; the costs of readers and merger are separate, by the prices of the answering models."""
    provider.answer(reading)
    async with Runner(models=MODELS["anthropic"]) as runner:
        run = runner.start(graph, given())
        result = await run.result()
        spent = {row.agent: row.usage for row in await runner.spending(run.id)}
    asked = [(received.body["model"], received.max_tokens) for received in provider.received()]
    assert asked == [("claude-haiku-5-5", READER_TOKENS)] * 3 + [("claude-opus-5-5", MERGER_TOKENS)]
    call = (2000 * 1.0 + 100 * 5.0) / 1e6  # the server reports claude-haiku-4-5 as the model
    assert spent["reader"]["cost_usd"] == pytest.approx(3 * call)
    assert result.usage.cost_usd == pytest.approx(4 * call)


async def test_a_provider_that_refuses_one_source_is_named_in_the_report(provider: EdgeServer) -> None:
    """The others are read, on another wire."""

    def refusing(received: Received) -> Says | Fails:
        text = received.turns[-1].text
        return Fails("bad_request", "too odd") if "path: b.md" in text else reading(received)

    provider.answer(refusing)
    async with Runner(models={"*": "openai-chat:gpt-5-mini"}) as runner:
        result = await runner.start(graph, given()).result()
    assert "## Not read\n\n- b.md: " in result.state.output
    assert "too odd" in result.state.output


async def test_the_prices_of_its_models_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """The prices of its models are known, so that a cost limit refuses none of them."""
    monkeypatch.delenv("ANTHROPIC_BASE_URL", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    for name in {name for models in MODELS.values() for name in models.values()}:
        model = model_of(name)
        assert isinstance(model, KnowsPrices)
        assert await model.knows_price(), name


def test_it_is_drawn_and_compiles_without_warnings(tmp_path: Path) -> None:
    """The readers are a map, the merger is in a graph of its own."""
    assert graph.check() == []
    assert graph.name == "parallel_research"
    graph.render(tmp_path / "graph.mmd")
    drawn = (tmp_path / "graph.mmd").read_text(encoding="utf-8")
    for name in ("split", "work", "gather", "merge", "report", "too few succeeded"):
        assert name in drawn
