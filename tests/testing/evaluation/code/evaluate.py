from pathlib import Path
from tempfile import mkdtemp

from msgspec.json import decode, encode
from pydantic import BaseModel, SecretStr

from graphengine import END, START, Agent, Graph, GraphEngineError, TextFile
from graphengine.models.base import Response
from graphengine.models.errors import ModelNotReady
from graphengine.testing.evaluation import Case, Report, Score, evaluate, evaluation, judge, read_cases


class Words(BaseModel):
    """The state of the graphs under test."""

    text: str
    files: list[TextFile] = []
    tone: str = "plain"


class Wanted(BaseModel):
    """What a case expects."""

    word: str


class Locked(BaseModel):
    """A state with a secret."""

    text: str = ""
    key: SecretStr = SecretStr("")


def version(change, name="shout", **options):
    """Return a graph that changes a text."""
    graph = Graph(name, Words, **{"result": "text", **options})
    graph.add_node("change", change, writes="text", thread=False)
    graph.add_edge(START, "change")
    graph.add_edge("change", END, label="done")
    return graph


def upper(text):
    """Return the text in capitals; fail on one."""
    if text == "bad":
        raise ValueError("no bad words")
    return text.upper()


def never(text):
    """Fail the whole test: nothing may run."""
    raise SystemExit(text)


def exact(output: str, expected: Wanted) -> bool:
    """Return whether the result is the expected word."""
    return output == expected.word


def brief(text: str, files: list[TextFile], tone: str, label: str) -> float:
    """Score short texts, and check what a scorer reads."""
    assert (tone, label, type(files[0])) == ("plain", "done", TextFile)
    return 1 / len(text)


def asking():
    """Return a graph with an agent."""
    graph = Graph("asking", Words, result="text")
    graph.add_node("ask", Agent("speaker", prompt="Shout {text}"), writes="text")
    graph.add_path(START, "ask", END)
    return graph


class Priced:
    """A model with one answer and one price, which is not known if it is None."""

    def __init__(self, text, usd):
        self.name, self.response = f"priced {usd}", Response(text, cost_usd=usd, input_tokens=10, output_tokens=1)

    async def answer(self, request):
        return self.response


HO, HE, BAD = [
    Case(name=text, input={"text": text, "files": [{"path": "a", "text": "b"}]}, expected={"word": text.upper()})
    for text in ("ho", "he", "bad")
]


def line(score):
    """Return a score with its reason or failure on one line."""
    said = " ".join(f"{score.value} {score.why}{score.failure or ''}".split())
    return said.partition(" [type=")[0]


async def evaluated(graph, cases, scorers, least=None, **options):
    """Return a report, and the thresholds that the graph misses."""
    report = await evaluate(graph, cases, scorers, **options)
    assert decode(encode(report), type=Report) == report
    lines = [f"{report.graph} by {', '.join(report.scorers)}"]
    for each in report.versions:
        lines.append(f"{each.name}: {each.means}, {each.cost_usd} USD")
        for trial in each.trials:
            calls = f"{trial.calls} calls, {trial.offline_calls} offline"
            lines.append(
                f"  {trial.case} [{trial.label}] {trial.output!r} {trial.failure} {calls}, {trial.cost_usd} USD"
            )
            lines += [f"    {name}: {line(score)}" for name, score in trial.scores.items()]
        lines += [f"  failed: {trial.case}" for trial in each.failed]
        lines += [f"  without {name}: {trial.case}" for name in report.scorers for trial in each.unjudged(name)]
    lines += [f"{name}: {found.text()}" for name, found in report.differences.items()]
    lines += [f"scoring: {report.scoring_usd} USD"] if report.scoring_usd != 0 else []
    lines += [f"missed: {each.partition(chr(10))[0]}" for each in report.missed(least or {})]
    return "\n".join(lines)


FOLDER = Path(mkdtemp())
(FOLDER / "texts").mkdir()
(FOLDER / "texts" / "a.md").write_text("Tides")


def cases_of(text):
    """Read a data set with this text, a line for each case."""
    file = FOLDER / "cases.jsonl"
    file.write_text(text)
    try:
        return "\n".join(f"{case.name}: {case.input}, {case.expected}" for case in read_cases(file))
    except GraphEngineError as error:
        return f"{error.message}, at {error.where}\n  repair: {error.repair}".replace(str(FOLDER), "FOLDER")
