"""An evaluation runs a graph on cases, scores the results, and compares two versions case by case."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.json import decode, encode
from pydantic import BaseModel, SecretStr

from graphengine import END, START, Agent, Graph, Runner, ScriptedModel, TextFile
from graphengine.errors import DefinitionError, InputError
from graphengine.models.base import Request, Response
from graphengine.models.errors import ModelNotReady
from graphengine.runner import RunFailed
from graphengine.testing.evaluation import Case, Report, Score, evaluate, evaluation, judge, read_cases
from graphengine.testing.evaluation.report import Scored


class Words(BaseModel):
    """The state of the graphs under test."""

    text: str
    files: list[TextFile] = []
    tone: str = "plain"


class Wanted(BaseModel):
    """What a case expects."""

    word: str


def version(change: Callable[..., str], name: str = "shout") -> Graph[Words]:
    """Return a graph that changes a text."""
    graph = Graph(name, Words, result="text")
    graph.add_node("change", change, writes="text", thread=False)
    graph.add_edge(START, "change")
    graph.add_edge("change", END, label="done")
    return graph


def upper(text: str) -> str:
    """Return the text in capitals; fail on one."""
    if text == "bad":
        raise ValueError("no bad words")
    return text.upper()


def exact(output: str, expected: Wanted) -> bool:
    """Return whether the result is the expected word."""
    return output == expected.word


def brief(text: str, files: list[TextFile], tone: str, label: str) -> float:
    """Score short texts, and check what a scorer reads."""
    assert (tone, label) == ("plain", "done")
    assert all(isinstance(file, TextFile) for file in files)
    return 1 / len(text)


CASES = [
    Case(name=text, input={"text": text, "files": [{"path": "a", "text": "b"}]}, expected={"word": text.upper()})
    for text in ("ho", "he", "bad")
]


async def test_scorers_read_the_final_state_the_result_the_label_and_what_is_expected() -> None:
    """Scorers read by name the final state, the result, the label and what is expected, as the types they declare."""
    report = await evaluate(version(upper), CASES[:1], [exact, brief])
    (trial,) = report.subject.trials
    assert (trial.case, trial.label, trial.output, trial.failure) == ("ho", "done", "HO", "")
    assert {name: score.value for name, score in trial.scores.items()} == {"exact": 1.0, "brief": 0.5}
    assert (report.graph, report.scorers, report.against) == ("shout", ["exact", "brief"], None)


async def test_the_result_of_a_graph_without_one_is_its_final_state() -> None:
    """Scorers get it as `output`; the report has it as JSON."""

    def is_upper(output: Words) -> bool:
        return output.text == "HO"

    graph = version(upper).but(result=None)
    (trial,) = (await evaluate(graph, [Case(name="one", input={"text": "ho"})], [is_upper])).subject.trials
    assert (trial.output, trial.failure) == ({"text": "HO", "files": [], "tone": "plain"}, "")
    assert trial.scores["is_upper"].value == 1.0


async def test_a_case_that_fails_counts_as_0_and_does_not_stop_the_others() -> None:
    """The report names the failure of a case that counts as 0, and the others are scored."""
    report = await evaluate(version(upper), CASES, [exact])
    assert [trial.value("exact") for trial in report.subject.trials] == [1.0, 1.0, 0.0]
    assert [trial.failure for trial in report.subject.failed] == ["ValueError: no bad words"]
    assert report.subject.means["exact"] == pytest.approx(2 / 3)


async def test_a_graph_that_fails_in_every_case_reaches_no_threshold() -> None:
    """A graph that fails in every case reaches no threshold, although no scorer ran."""
    report = await evaluate(version(upper), CASES[2:], [exact, brief])
    assert report.missed({"": 0.1}) == ["exact is 0.000, below 0.1", "brief is 0.000, below 0.1"]


async def test_two_versions_are_compared_case_by_case() -> None:
    """The differences are paired; fewer than five pairs have no interval."""
    report = await evaluate(version(upper), CASES, [exact], against=version(lambda text: text, "quiet"))
    difference = report.differences["exact"]
    assert difference is not None
    assert (difference.more, difference.less, difference.equal) == (2, 0, 1)
    assert difference.mean == pytest.approx(2 / 3)
    assert (difference.low, difference.high) == (None, None)
    assert [version.name for version in report.versions] == ["shout", "quiet"]


async def test_a_scorer_that_fails_gives_no_score_and_no_mean() -> None:
    """Its other cases count, and a threshold is not reached while any score is missing."""

    def picky(text: str) -> float:
        return {"HO": 1.0, "HE": 2.0}[text]

    report = await evaluate(version(upper), CASES[:2], [picky])
    (missing,) = report.subject.unjudged("picky")
    assert "less than or equal to 1" in str(missing.scores["picky"].failure)
    assert report.subject.means["picky"] == 1.0
    assert report.missed({"picky": 0.5})[0].startswith("picky failed in 1 of 2 cases: ")


async def test_a_scorer_can_say_that_it_does_not_apply() -> None:
    """A score of None counts in no mean, and is not a failure."""
    scorers = {"long": lambda text: None if len(text) < 9 else 1.0}
    report = await evaluate(version(upper), CASES[:2], scorers)
    assert (report.subject.means["long"], report.subject.unjudged("long")) == (None, [])
    assert report.missed({"": 0.5}) == ["long applies to no case"]


async def test_what_finished_is_not_run_again(tmp_path: Path) -> None:
    """A model that cannot be called fails the evaluation; under the same id it continues with the rest."""
    seen: list[str] = []

    def careful(text: str) -> str:
        seen.append(text)
        if text == "he" and seen.count("he") == 1:
            raise ModelNotReady("no key", repair="set it")
        return text.upper()

    store = tmp_path / "runs.db"
    with pytest.raises(RunFailed, match="no key"):
        await evaluate(version(careful), CASES, [exact], store=store, run_id="nightly")
    report = await evaluate(version(careful), CASES, [exact], store=store, run_id="nightly")
    assert sorted(seen) == ["bad", "he", "he", "ho"]
    assert report.subject.means["exact"] == 1.0
    assert await evaluate(version(careful), CASES, [exact], store=store, run_id="nightly") == report
    assert len(seen) == 4


async def test_a_recorded_evaluation_is_resumed_with_its_own_cases_only(tmp_path: Path) -> None:
    """Other cases under its id are refused."""
    store = tmp_path / "runs.db"
    await evaluate(version(upper), CASES[:1], [exact], store=store, run_id="nightly")
    with pytest.raises(InputError, match="nightly is recorded with other cases"):
        await evaluate(version(upper), CASES, [exact], store=store, run_id="nightly")


# -- models and costs


def asking() -> Graph[Words]:
    """Return a graph with an agent."""
    graph = Graph("asking", Words, result="text")
    graph.add_node("ask", Agent("speaker", prompt="Shout {text}"), writes="text")
    graph.add_path(START, "ask", END)
    return graph


class Priced:
    """A model with one answer and one price, which is not known if it is None."""

    def __init__(self, text: str, usd: float | None) -> None:
        self.name = f"priced {usd}"
        self._response = Response(text, cost_usd=usd, input_tokens=10, output_tokens=1)

    async def answer(self, request: Request) -> Response:
        return self._response


async def test_two_models_are_compared_with_their_costs() -> None:
    """Each version has its own models, and a cost that is not known is None."""
    report = await evaluate(
        asking(),
        CASES[:2],
        {"loud": lambda output: output.isupper()},
        models={"*": Priced("HO", 0.25)},
        against={"speaker": Priced("ho", None)},
    )
    assert report.against is not None
    assert (report.subject.cost_usd, report.against.cost_usd) == (0.5, None)
    assert (report.subject.means["loud"], report.against.means["loud"]) == (1.0, 0.0)
    assert [trial.calls for trial in report.subject.trials] == [1, 1]


async def test_a_judge_has_a_model_and_a_cost_of_its_own() -> None:
    """Its reason is checked, and its cost is not the graph's."""
    judgement = ScriptedModel([Score(value=0.4, why=" "), Score(value=0.4, why="It whispers.")])
    kind = judge("kind", "Is {it} kind?", reads=("output", "expected"))
    report = await evaluate(
        asking(), CASES[:1], [kind], models={"speaker": Priced("HO", 0.25)}, judges={"kind": judgement}
    )
    assert report.subject.trials[0].scores["kind"] == Scored(0.4, "It whispers.")
    assert "Is {it} kind?" in judgement.requests[0].messages[0].text
    assert "why is empty" in judgement.requests[1].messages[-1].text
    assert (report.subject.cost_usd, report.scoring_usd) == (0.25, 0.0)


async def test_a_judge_without_a_model_fails_the_evaluation() -> None:
    """It does not count as a bad score."""
    with pytest.raises(RunFailed, match="kind"):
        await evaluate(version(upper), CASES[:1], [judge("kind", "Is it kind?")])


# -- what is refused


class Locked(BaseModel):
    """A state with a secret."""

    text: str = ""
    key: SecretStr = SecretStr("")


@pytest.mark.parametrize(
    ("case", "message"),
    [
        (Case(name="a", input={"txt": "b"}), "shout has no field 'txt'"),
        (Case(name="a", input={"text": 5}), "the input does not fit shout"),
        (Case(name="a", input={}), "the input does not fit shout"),
    ],
)
async def test_a_case_that_does_not_fit_is_refused_before_anything_runs(case: Case, message: str) -> None:
    """A case that does not fit is refused before anything runs, and the message names it."""
    with pytest.raises(InputError, match=message) as caught:
        await evaluate(version(pytest.fail), [*CASES, case], [exact])
    assert "case 'a'" in caught.value.where


async def test_two_cases_of_one_name_and_a_secret_in_a_case_are_refused() -> None:
    """A data set is a plain file."""
    with pytest.raises(InputError, match="two cases are named 'ho'"):
        await evaluate(version(upper), [CASES[0], CASES[0]], [exact])
    locked: Graph[Any] = Graph("locked", Locked, secret_key="k" * 43)
    locked.add_path(START, END)
    with pytest.raises(InputError, match="key is a secret"):
        await evaluate(locked, [Case(name="a", input={"key": "x"})], {"one": lambda text: 1})


@pytest.mark.parametrize(
    "scorers", [{}, [lambda output: 1], {"run": exact}, [exact, exact]], ids=["none", "nameless", "run", "twice"]
)
def test_scorers_need_names_of_their_own(scorers: Any) -> None:
    """Each scorer needs a name of its own, and there is at least one."""
    with pytest.raises(DefinitionError, match="scorer"):
        evaluation(version(upper), scorers)


# -- files


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


async def test_the_graph_of_an_evaluation_is_a_graph_like_any_other(tmp_path: Path) -> None:
    """It runs on a Runner, and its log has the steps of the graph under test."""
    async with Runner(tmp_path / "runs.db") as runner:
        run = runner.start(evaluation(version(upper), [exact]), {"cases": CASES})
        await run.result()
        assert "trials[1]/run/change" in {step.path for step in await runner.history(run.id)}


def test_a_report_is_read_again_as_json() -> None:
    """A report is read again as JSON, for a comparison with a later one."""
    report = asyncio.run(evaluate(version(upper), CASES, [exact]))
    assert decode(encode(report), type=Report) == report
