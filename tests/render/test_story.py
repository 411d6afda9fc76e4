"""The story of a run, or of two: what its file has, and what no text in it can do. The browser reads it elsewhere."""

import html
import random
import re
from base64 import b64encode
from contextlib import suppress
from hashlib import sha256
from html.parser import HTMLParser
from typing import Any

import pytest
from pydantic import BaseModel

from graphengine import END, START, Agent, Graph, Runner, ScriptedModel, ask, value
from graphengine.engine.reasons import reasons_of, ways_of
from graphengine.engine.steps import outcome_of
from graphengine.records.readable import WHOLE
from graphengine.render.story import STATIC, story_of
from graphengine.render.text import one_line
from graphengine.runner import RunFailed
from tests.cli.secret_graph import CANARY, made
from tests.render.stories import document_of
from tests.serve.inspector.graphs import Place, survey


class Case(BaseModel):
    verdict: str = ""
    note: str = ""
    by_name: dict[str, str] = {}
    score: int = 5


async def test_secrets_stay_hidden() -> None:
    """Fields that are declared secret are named only, also where the run failed."""
    async with Runner() as runner:
        with suppress(RunFailed):
            await runner.start(made(), {"token": CANARY, "word": CANARY}, run_id="vault").result()
        page = await story_of(runner.store, "vault", None, 0.0)
    assert "s3cr3t" not in page
    assert document_of(page)["runs"][0]["question"]["rest"]["token"] == "secret"  # noqa: S105 - the word
    assert "$secret" not in page


async def test_the_story_names_what_failed_below() -> None:
    """At any depth, also where the run went on without it."""
    async with Runner() as runner:
        await runner.start(survey(), Place(name="top"), run_id="top").result()
        (run,) = document_of(await story_of(runner.store, "top", None, 0.0))["runs"]
    assert (run["below"]["runs"], run["below"]["failed"]) == (20, 2)
    assert ["top.0.2.1", "spread: ValueError: nothing at top.0.2.1"] in run["failed"]


async def test_a_text_that_is_json_is_shown_by_its_fields() -> None:
    """Both as the result of a run and as what an agent said in a conversation: nobody reads JSON in a story."""
    graph = Graph("desk", Case)
    graph.add_node("judge", lambda: '{"grade": 1, "why": "clear"}', writes="verdict")
    graph.add_path(START, "judge", END)
    agent = Agent("desk", prompt="{question}", messages="messages", model=ScriptedModel(['{"grade": 2}']))
    async with Runner() as runner:
        await runner.start(graph, run_id="a").result()
        await runner.run(agent, chat="ada", question="Hi")
        (run,) = document_of(await story_of(runner.store, "a", None, 0.0))["runs"]
        (chat,) = document_of(await story_of(runner.store, "ge:chat:ada", None, 0.0))["runs"]
    assert run["answer"] == {
        "title": "Written last",
        "name": "",
        "lead": "",
        "rest": {"verdict": {"grade": 1, "why": "clear"}},
    }
    assert [(each["text"], each["value"]) for each in chat["said"]] == [("Hi", None), ("", {"grade": 2})]


class Refund(BaseModel):
    question: str = ""
    old: dict[str, int] = {"score": 1}
    new: dict[str, int] = {"score": 2}
    by_name: dict[str, dict[str, str]] = {}
    is_approved: bool = True
    is_urgent: bool = False


async def test_each_fact_of_a_question_stands_under_its_own_name() -> None:
    """Two paths with the same last part are two facts; and False is an answer, where nobody wrote it is not shown."""
    graph = Graph("desk", Refund)
    graph.add_node("approve", ask("Refund?", bool, facts=["old.score", "new.score"]), writes="is_approved")
    graph.add_path(START, "approve", END)
    async with Runner() as runner:
        await runner.start(graph, run_id="a").result()
        (waiting,) = document_of(await story_of(runner.store, "a", None, 0.0))["runs"]
        await runner.answer("a", value=False)
        await runner.resume("a", graph).result()
        (answered,) = document_of(await story_of(runner.store, "a", None, 0.0))["runs"]
    assert waiting["questions"][0]["facts"] == {"score of old": 1, "score of new": 2}
    assert answered["answer"]["rest"] == {"is_approved": False}


async def test_a_long_value_makes_no_long_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """A question, a result, an error and a field of many long texts are cut, and a secret at the cut is not seen."""
    monkeypatch.setenv("SOME_API_KEY", SECRETS[1])
    long = "x" * (WHOLE - 12) + " " + SECRETS[1]
    many = {f"{number} {'k' * 1000}": {"text": "y" * 1000, "list": "z" * 500} for number in range(1000)}
    for node in (ask("{question}", bool), _fail_with_question):
        graph = Graph("desk", Refund)
        graph.add_node("judge", node, writes="is_approved")
        graph.add_path(START, "judge", END)
        async with Runner() as runner:
            with suppress(RunFailed):
                await runner.start(graph, Refund(question=long * 20, by_name=many), run_id="a").result()
            page = await story_of(runner.store, "a", None, 0.0)
        assert len(page) < len(await _story_of_nothing()) + 10 * WHOLE
        assert SECRETS[1][:8] not in page


def _fail_with_question(question: str) -> bool:
    raise ValueError(question)


async def test_two_that_part_late_show_where() -> None:
    """Of many steps those in the middle are left out, but not the visit at which the ways part."""
    graph = Graph("loop", Case)
    graph.add_node("count", lambda score: score + 1, writes="score")
    graph.add_edge(START, "count")
    graph.add_edge("count", END, when=(value("score") >= 295) & (value("note") == "short"))
    graph.add_edge("count", END, when=value("score") >= 800)
    graph.add_edge("count", "count")
    async with Runner() as runner:
        await runner.start(graph, run_id="a").result()
        await runner.branch("a", graph, at=2, update={"note": "short"}, run_id="b").result()
        found = document_of(await story_of(runner.store, "a", "b", 0.0))
    parted = [found["compared"][side]["parted_at"] for side in ("first", "second")]
    for run, seq in zip(found["runs"], parted, strict=True):
        assert seq in [each["seq"] for each in run["accounts"]]
    assert found["runs"][0]["left_out"] > 0


# --- What no text can do ---------------------------------------------------------------------------------------------

SECRETS = ("sk-ant-api03-Xy7Zq2Lm9Kd4Rt6", "hunter2-from-the-environment", "AKIAQ3EXAMPLE7ZTR5WX")
HOSTILE = (
    '{"a": NaN, "b": [1e999]}',
    *(
        "</script>",
        "</SCRIPT ",
        "<script>alert(1)</script>",
        "<!--",
        "-->",
        "]]>",
        "<![CDATA[",
        "</noscript>",
        "</pre>",
    ),
    *("\u2028", "\u2029", "\u202e", "\x00", "\x1b[2J", "\ud800", "'", '"', "\\", "\\u003c/script>", "&lt;", "{policy}"),
    *("<img src=x onerror=alert(1)>", "[go](javascript:alert(1))", "![p](https://x.example/p.png)", "; ", "```\n"),
)


TEXTS = ("h2", "pre", "li")
"""The elements of what a reader without scripts sees, of which there are as many as there are texts."""


class Parts(HTMLParser):
    """The elements of a file as a browser sees them, and what stands in scripts.

    Attributes:
        tags: The names of the elements, in order.
        scripts: The contents of the scripts.
    """

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.scripts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        """Note an element."""
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        """Note what stands in a script."""
        if self.tags and self.tags[-1] == "script" and self.cdata_elem == "script":
            self.scripts.append(data)


@pytest.mark.parametrize("seed", range(30))
async def test_whatever_a_run_has_is_text_and_no_secret(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """No hostile text of an input, key, result, label or error closes a script, and no secret in it is seen."""
    monkeypatch.setenv("SOME_API_KEY", SECRETS[1])
    draw = random.Random(seed)  # noqa: S311 - cases, not secrets

    def text() -> str:
        pieces = draw.choices(HOSTILE, k=3) + draw.choices(SECRETS, k=2)
        draw.shuffle(pieces)
        return " ".join(pieces)

    graph = Graph("desk", Case, title="{note}")
    graph.add_node("judge", lambda note: note + " judged", writes="verdict")
    graph.add_node("approve", ask(text().replace("{", "").replace("}", ""), bool), writes="score")

    def fail(note: str) -> str:
        raise ValueError(note)

    graph.add_node("fail", fail, writes="verdict")
    graph.add_edge(START, "judge")
    graph.add_edge("judge", "approve", when=value("score") >= 9, label=text().encode("utf-8", "replace").decode())
    graph.add_edge("judge", "fail", when=value("note") != "", label=text().encode("utf-8", "replace").decode())
    graph.add_edge("judge", END)
    graph.add_path("approve", END)
    graph.add_path("fail", END)
    async with Runner() as runner:
        case = Case(note=text(), by_name={text(): text(), "n": HOSTILE[0]}, score=draw.choice((5, 9)))
        with suppress(RunFailed):
            await runner.start(graph, case, run_id="a").result()
        await runner.branch(
            "a", graph, at=1, update={"by_name": {text(): text()}, "score": 0, "note": ""}, run_id="b"
        ).result()
        pages = [await story_of(runner.store, "a", None, 0.0), await story_of(runner.store, "a", "b", 0.0)]
    plain = Parts(await _story_of_nothing()).tags
    for page in pages:
        page.encode()
        assert not [each for each in SECRETS if each in html.unescape(page)]
        found = Parts(page)
        assert [each for each in found.tags if each not in TEXTS] == [each for each in plain if each not in TEXTS]
        assert "".join(found.scripts).endswith((STATIC / "story.js").read_text(encoding="utf-8"))
        assert len(document_of(page)["runs"]) in (1, 2)


async def _story_of_nothing() -> str:
    graph = Graph("nothing", Case)
    graph.add_node("judge", lambda: "done", writes="verdict")
    graph.add_path(START, "judge", END)
    async with Runner() as runner:
        await runner.start(graph, run_id="a").result()
        return await story_of(runner.store, "a", None, 0.0)


async def test_only_its_own_script_runs() -> None:
    """The policy names the script by its digest and loads nothing; the script asks no server, and stays one script."""
    page = await _story_of_nothing()
    script = (STATIC / "story.js").read_text(encoding="utf-8")
    digest = b64encode(sha256(script.encode()).digest()).decode()
    assert f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'" in page
    assert f"<script>{script}</script>" in page
    assert not re.search(r"</?script|fetch\(|EventSource|XMLHttpRequest|import\(|localStorage", script, re.IGNORECASE)
    assert "</style" not in (STATIC / "story.css").read_text(encoding="utf-8")
    assert not re.search(r"url\(|@import", (STATIC / "story.css").read_text(encoding="utf-8"))


PIECES = ("; ", ": yes", ": no", "'", '"', "|", "\n", "; verdict is ", "is needed", "iterations of ", "<b>", "x" * 40)
"""What a program that takes sentences apart would take for the end of one."""


@pytest.mark.parametrize("seed", range(20))
async def test_a_reason_stands_whole_whatever_the_values_are(seed: int) -> None:
    """The story shows the first reasons, and the first of them can be cut at its end; a value is never a border."""
    draw = random.Random(seed)  # noqa: S311 - cases, not secrets
    note, verdict, label = ("".join(draw.choices(PIECES, k=draw.randrange(1, 5))) for _ in range(3))
    graph = Graph("desk", Case, result="verdict")
    graph.add_node("judge", lambda: verdict, writes="verdict")
    graph.add_node("pay", lambda: "paid", writes="verdict")
    graph.add_node("hold", lambda: "held", writes="verdict")
    graph.add_edge(START, "judge")
    either = (value("note") == "accepted") | (value("verdict") == label + "!") | (value("score") >= 9)
    graph.add_edge("judge", "pay", when=either)
    graph.add_edge("judge", "hold")
    graph.add_path("pay", END)
    graph.add_path("hold", END)
    async with Runner() as runner:
        await runner.start(graph, Case(note=note), run_id="a").result()
        step = next(step for step in await runner.history("a") if step.node == "judge")
        ways = ways_of(graph.compile().graph_spec, step)
        whole = [one_line(said) for each in reasons_of(outcome_of(step), ways) for said in each.plain]
        page = await story_of(runner.store, "a", None, 0.0)
    (run,) = document_of(page)["runs"]
    said = next(each["why"] for each in run["accounts"] if each["seq"] == step.seq)
    assert f"<li>judge → hold<pre>{html.escape(said)}</pre></li>" in page
    assert said.startswith("note is")
    assert any(said in _prefixes(whole, each) for each in range(1, len(whole) + 1))


def _prefixes(whole: list[str], count: int) -> set[str]:
    """Return how a story may show the first reasons: all of them whole, or the very first one cut at its end."""
    cut = {whole[0][:length] + "…" for length in range(100, len(whole[0]))} if count == 1 else set[str]()
    return {"; ".join(whole[:count]), *cut}
