"""Which fields are the result of a run: what its graph declares, whatever was written after it, and no guess."""

from typing import Annotated, Any

import pytest
from pydantic import BaseModel

from graphengine import END, START, Graph, Runner
from graphengine.records.result_fields import ResultFields, find_value, result_fields
from graphengine.records.story import read_run, story_of_run
from graphengine.reducers import append


class Letter(BaseModel):
    about: str = ""
    draft: dict[str, str] = {}
    sent: str = ""
    scores: Annotated[list[int], append] = []
    note: str = ""


def _letter(result: str | None) -> Graph[Letter]:
    graph = Graph("letter", Letter, result=result)
    graph.add_node("write", lambda: {"text": "Dear Ada, the lamp is on its way."}, writes="draft")
    graph.add_node("send", lambda: "sent to 1 reader, whose address is longer than the whole letter", writes="sent")
    graph.add_node("end", lambda: None, writes=None)
    graph.add_path(START, "write", "send", "end", END)
    return graph


@pytest.mark.parametrize(
    ("result", "declared", "title", "answer"),
    [
        ("draft.text", "draft.text", "The answer", "Dear Ada, the lamp is on its way."),
        ("draft", "draft", "The answer", {"text": "Dear Ada, the lamp is on its way."}),
        ("note", "note", "The answer", ""),
        (None, "", "Written last", "sent to 1 reader, whose address is longer than the whole letter"),
    ],
)
async def test_the_result_is_what_the_graph_declares(
    result: str | None, declared: str, title: str, answer: object
) -> None:
    """What a later node writes, and how long the texts are, changes nothing. A node can write nothing."""
    graph = _letter(result)
    async with Runner() as runner:
        await runner.start(graph, run_id="a").result()
        run = await read_run(runner.store, "a")
        told = await story_of_run(runner.store, run, lambda *_: None)
    assert result_fields(run.snapshot, run.steps) == ResultFields(declared, ["sent"])
    assert told.answer is not None
    assert (told.answer.title, told.answer.lead) == (title, answer)


async def test_a_branch_has_the_result_of_its_own_graph() -> None:
    """The step that begins a run or a branch records the path. A state without the field has no declared result."""
    async with Runner() as runner:
        await runner.start(_letter("draft.text"), run_id="a").result()
        await runner.branch("a", _letter("sent"), at="write:1", run_id="b").result()
        found = [await read_run(runner.store, each) for each in "ab"]
    fields = [result_fields(run.snapshot, run.steps) for run in found]
    assert [each.declared for each in fields] == ["draft.text", "sent"]
    gone = found[0].snapshot
    del gone.root.values["draft"]
    assert result_fields(gone, ()) == ResultFields("", [])


async def test_the_question_is_the_first_text_of_the_input() -> None:
    """The order in which the graph declares its fields counts, not the length of the texts."""
    async with Runner() as runner:
        await runner.start(_letter(None), Letter(about="A lamp?", note="A very long note. " * 40), run_id="a").result()
        told = await story_of_run(runner.store, await read_run(runner.store, "a"), lambda *_: None)
    assert told.question is not None
    assert (told.question.name, told.question.lead) == ("about", "A lamp?")


@pytest.mark.parametrize("path", ["d[a.b]", "d['a.b']", "d[it's]", "rows[-1].n"])
def test_a_path_is_read_as_the_state_reads_it(path: str) -> None:
    """A key in brackets can have dots and quotes."""
    state: Any = {"d": {"a.b": 1, "it's": 1}, "rows": [{"n": 0}, {"n": 1}]}
    assert find_value(state, path) == (True, 1)
