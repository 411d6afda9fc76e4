"""Evaluations that are continued, and the files of their cases; `evaluate.txt` shows what evaluations find."""

from pathlib import Path

import pytest
from pydantic import BaseModel

from graphengine.errors import InputError
from graphengine.models.errors import ModelNotReady
from graphengine.runner import RunFailed
from graphengine.testing.evaluation import Case, evaluate, read_cases
from tests.kit.runs import alone


class Words(BaseModel):
    text: str


async def test_what_finished_is_not_run_again(tmp_path: Path) -> None:
    """A model that cannot be called fails the evaluation; under the same id it continues with its own cases only."""
    seen: list[str] = []

    def careful(text: str) -> str:
        seen.append(text)
        if text == "he" and seen.count("he") == 1:
            raise ModelNotReady("no key", repair="set it")
        return text.upper()

    graph = alone(Words, careful, "text", thread=False)
    cases = [Case(name=text, input={"text": text}) for text in ("ho", "he", "bad")]
    loud = {"loud": lambda text: text.isupper()}
    store = tmp_path / "runs.db"
    with pytest.raises(RunFailed, match="no key"):
        await evaluate(graph, cases, loud, store=store, run_id="nightly")
    report = await evaluate(graph, cases, loud, store=store, run_id="nightly")
    assert sorted(seen) == ["bad", "he", "he", "ho"]
    assert report.subject.means["loud"] == 1.0
    assert await evaluate(graph, cases, loud, store=store, run_id="nightly") == report
    assert len(seen) == 4
    with pytest.raises(InputError, match="nightly is recorded with other cases"):
        await evaluate(graph, cases[:1], loud, store=store, run_id="nightly")


def test_a_data_set_is_read_with_the_files_that_it_names(tmp_path: Path) -> None:
    """A case without a name is named by its line; @@ is a literal @."""
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.md").write_text("Tides")
    data = tmp_path / "cases.jsonl"
    data.write_text('{"input": {"files": ["@texts/a.md", "@@me"]}}\n\n{"name": "b", "input": {}, "expected": [1]}\n')
    first, second = read_cases(data)
    assert first == Case(name="line 1", input={"files": [{"path": "texts/a.md", "text": "Tides"}, "@me"]})
    assert second == Case(name="b", input={}, expected=[1])


@pytest.mark.parametrize(
    ("text", "where", "message"),
    [
        ('{"name": "a", "input": {}}\n{"name": "b"}\n', ":2", "the case does not fit"),
        ("[]\n", ":1", "the case does not fit"),
        ('{"input": {"files": ["@nothing.md"]}}\n', ":1", "cannot be read"),
        ("\n", "cases.jsonl", "there are no cases"),
    ],
)
def test_an_invalid_data_set_is_refused_with_the_line(tmp_path: Path, text: str, where: str, message: str) -> None:
    """The repair shows the form of a case."""
    (tmp_path / "cases.jsonl").write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        read_cases(tmp_path / "cases.jsonl")
    assert caught.value.where.endswith(where)
