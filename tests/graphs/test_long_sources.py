"""Sources that are too long for one question: read in parts, in parallel, and said to be."""

from pathlib import Path
from typing import Any

import pytest

from graphengine import Limits, RunFailed, Runner, ScriptedModel, TextFile
from graphengine.briefs import excerpts
from graphengine.briefs.endings import with_warning
from graphengine.briefs.evidence import numbered
from graphengine.errors import ModelUnavailable
from graphengine.models import OfflineModel
from graphs import blackboard, content_pipeline, event_bus, handoff, orchestrator, parallel_research, review_loop

TASK = "The lighthouse at Skarv"
LIT = "The lighthouse at Skarv was lit on 4 November 1873, and its keeper was Ingrid Dahl."
OFF = "The lighthouse at Skarv was switched off in 1951, because a radio beacon replaced it."
WORKFLOWS = [
    (blackboard, "task"),
    (content_pipeline, "topic"),
    (event_bus, "task"),
    (handoff, "topic"),
    (orchestrator, "task"),
    (parallel_research, "task"),
    (review_loop, "task"),
]


@pytest.fixture
def chronicle(monkeypatch: pytest.MonkeyPatch) -> TextFile:
    """Return a text of five parts; two of them have something on the task."""
    monkeypatch.setattr(excerpts, "LONG_BYTES", 4_000)
    monkeypatch.setattr(excerpts, "PART_BYTES", 2_000)
    filler = [f"In {year} the crane on quay {year % 7} was paid with {year % 90} coins." for year in range(1800, 1950)]
    rows = ["# Chronicle", "", "## Before the war", "", *filler[:60], LIT, *filler[60:], "", "## After it", "", OFF]
    return TextFile(path="chronicle.md", text="\n".join(rows))


@pytest.mark.parametrize(("module", "field"), WORKFLOWS, ids=lambda each: getattr(each, "__name__", ""))
async def test_the_parts_that_say_something_are_found(module: Any, field: str, chronicle: TextFile) -> None:
    """Rules find both facts in every workflow, at their own lines, and say how much was read."""
    async with Runner() as runner:
        result = await runner.start(module.graph, {field: TASK, "sources": [chronicle]}).result()
    text = str(result.values)
    assert LIT.rstrip(".") in text, result.error
    assert OFF.rstrip(".") in text
    lines = chronicle.text.splitlines()
    assert {lines.index(LIT) + 1, lines.index(OFF) + 1} <= {
        number for number in range(1, len(lines) + 1) if f"chronicle.md:{number}" in text or f'"line": {number}' in text
    } or module is content_pipeline
    assert said(module, result).count("chronicle.md was read in parts (5); of its") == 1


BRIEF = f"# Skarv\n\nThe sources say this.\n\n## Light\n\n{LIT.rstrip('.')} [chronicle.md:65].\n"
LAST = {"handoff": "editor", "content_pipeline": "editor", "orchestrator": "synthesiser", "parallel_research": "merger"}


@pytest.mark.parametrize(("module", "field"), WORKFLOWS, ids=lambda each: getattr(each, "__name__", ""))
async def test_a_model_that_does_not_say_it_is_helped(module: Any, field: str, chronicle: TextFile) -> None:
    """The note is in the result of every workflow, once, whatever its last author wrote."""
    last = LAST.get(module.graph.name, "writer")
    brief = {"text": BRIEF, "changes": ["None."]} if last == "editor" else BRIEF
    models: dict[str, Any] = {last: ScriptedModel({last: lambda _: brief})}
    if last == "editor":  # it keeps what the writer wrote
        models["writer"] = ScriptedModel({"writer": lambda _: {"text": BRIEF}})
    async with Runner(models=models) as runner:
        result = await runner.start(module.graph, {field: TASK, "sources": [chronicle]}).result()
    text = said(module, result)
    assert LIT.rstrip(".") in text, result.error
    assert text.count("> **Note:** chronicle.md was read in parts (5); of its") == 1


def said(module: Any, result: Any) -> str:
    """Return the text that a workflow shows first."""
    if module is content_pipeline:
        return str(result.state.edited.text).replace("\\", "")
    return str(result.output).replace("\\", "")


async def test_a_published_text_says_it_with_titles(chronicle: TextFile, tmp_path: Path) -> None:
    """Readers of a post never see a path."""
    given = {"topic": TASK, "sources": [chronicle], "site": str(tmp_path / "site")}
    async with Runner() as runner:
        await runner.start(content_pipeline.graph, given, run_id="one").result()
        await runner.answer("one", {"verdict": "approve"})
        result = await runner.resume(content_pipeline.graph, "one").result()
    assert "Chronicle was read in parts (5)" in str(result.output)
    assert "chronicle.md" not in str(result.output)


async def test_each_part_is_one_question_and_a_failed_one_is_asked_again(chronicle: TextFile) -> None:
    """No question has all of the text; after a failure, `resume` asks for the lacking part only."""
    lines = chronicle.text.splitlines()
    facts = {at: [{"text": text, "file": "chronicle.md", "line": lines.index(text) + 1, "rank": 1}]
             for at, text in ((0, LIT), (1, OFF))}  # fmt: skip
    parts = excerpts.divide([chronicle])
    asked: list[str] = []

    def answer(request: Any) -> Any:
        question = request.messages[-1].text
        asked.append(question)
        if len(asked) == 2:
            raise ModelUnavailable("no such model", where="reader")
        return {"facts": [fact for each in facts.values() for fact in each if str(fact["text"]) in question]}

    graph = review_loop.graph
    async with Runner(models={"reader": ScriptedModel({"reader": answer})}) as runner:
        given = {"task": TASK, "sources": [chronicle]}
        with pytest.raises(RunFailed, match="no such model"):
            await runner.start(graph, given, run_id="one").result()
        first = len(asked)
        done = await runner.resume(graph, "one", limits=Limits(steps=100)).result()
    assert done.status == "finished"
    assert len(asked) - first < len(parts) <= len(asked) <= len(parts) + 1
    assert max(map(len, asked)) < 3_500 < len(chronicle.text)
    assert LIT.rstrip(".") in str(done.output)


class Small(OfflineModel):
    """Rules with the window of a small model."""

    async def window_tokens(self) -> int:
        """Return 32,000."""
        return 32_000


@pytest.mark.parametrize(("module", "agent"), [(review_loop, "sceptic"), (handoff, "*"), (parallel_research, "reader")])
async def test_a_smaller_window_reads_in_parts_as_well(
    module: Any, agent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit is that of the model of the agent that reads most; without a known window, the same text is whole."""
    monkeypatch.setattr(excerpts, "PART_BYTES", 9_000)
    filler = [f"In {year} the crane on quay {year % 7} was paid with {year % 90} coins." for year in range(1600, 2000)]
    source = TextFile(path="chronicle.md", text="\n".join(["# Chronicle", "", *filler, LIT]))
    given = {"topic" if module is handoff else "task": TASK, "sources": [source]}
    for models, in_parts in (({agent: Small()}, True), ({}, False)):
        async with Runner(models=models) as runner:
            result = await runner.start(module.graph, given).result()
        assert LIT.rstrip(".") in str(result.output) or module is parallel_research
        assert ("chronicle.md was read in parts (3)" in said(module, result)) is in_parts
        assert result.state.sources[0] == source or in_parts


def test_the_limit_is_derived_from_the_window() -> None:
    """It is never above that for unknown windows, and short sources are always read whole."""
    sources = {size: [TextFile(path="a.md", text="x" * size)] for size in (15_000, 20_000, 300_000, 500_000)}
    for window, longest in ((8_000, 15_000), (32_000, 15_000), (64_000, 20_000), (1_000_000, 300_000), (None, 300_000)):
        fit = [size for size, texts in sources.items() if not excerpts.are_long(texts, window)]
        assert max(fit) == longest


def test_an_excerpt_keeps_lines_headings_and_heads_of_tables() -> None:
    """Lines keep their numbers; what was left out is not shown to a model, line by line."""
    rows = ["# Report", "", *["Filler without a word of it."] * 60, "## Levels", "", "| Lake | Level |", "|---|---|",
            *["| Other | 1 |"] * 9, "| Cedar | 38 % |", "", "The end."]  # fmt: skip
    source = TextFile(path="r.md", text="\n".join(rows))
    at = rows.index("| Cedar | 38 % |") + 1
    fact = {"text": "Lake: Cedar; Level: 38 %", "file": "r.md", "line": at, "rank": 1}
    quoted = excerpts.Quoted.model_validate({"facts": [fact]})
    (short,) = excerpts.excerpts([source], excerpts.divide([source]), [quoted])
    kept = [line for line in short.text.splitlines() if line.strip()]
    assert kept[:-1] == ["# Report", "## Levels", "| Lake | Level |", "|---|---|", "| Cedar | 38 % |"]
    assert short.text.splitlines()[at - 1] == rows[at - 1]
    assert numbered(short).count("\n") < 30
    assert "r.md was read in parts (1); of its 78 lines, 1 quotations" in with_warning(
        "# Lakes\n\nText.\n", [], [short]
    )


def test_without_any_quotation_the_beginning_is_passed_on() -> None:
    """So the researchers can say what the text is about instead of the task."""
    source = TextFile(path="a.md", text="One line here.\nAnother line there.")
    (short,) = excerpts.excerpts([source], excerpts.divide([source]), [excerpts.Quoted()])
    assert short.text.startswith(source.text)
    assert "no quotation" in short.text
