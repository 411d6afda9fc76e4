"""The story of a run, or of two, as one file."""

import html
import random
import re
import time
from contextlib import suppress
from pathlib import Path
from typing import Literal

import pytest
from pydantic import BaseModel, Field

from graphengine import END, START, Agent, Graph, Runner, ScriptedModel, ask, tool, value
from graphengine.agents.agent import ToolLike
from graphengine.agents.runs import RunWaits
from graphengine.engine.reasons import reasons_of, ways_of
from graphengine.engine.steps import outcome_of
from graphengine.models.base import Request, Response
from graphengine.models.scripted import calls
from graphengine.records.export import import_run, parse
from graphengine.render.story import story_of
from graphengine.render.story.prose import as_words, duel, in_brief, text_html, value_html
from graphengine.render.text import one_line
from graphengine.runner import RunFailed
from tests.cli.secret_graph import CANARY, made
from tests.serve.inspector.graphs import Place, survey

ROOT = Path(__file__).resolve().parents[2]
FILES = [
    *sorted((ROOT / "checkpoints" / "gallery").glob("*.json")),
    *sorted((ROOT / "checkpoints" / "format_3").glob("*.json")),
    *(ROOT / "checkpoints" / "kept_2" / "runs" / f"{name}.json" for name in ("asked", "chat", "items", "tool", "turn")),
]
INTERNAL = re.compile(r"__|\bnull\b|\{\s*[\"']|\[-?\d+\]\.")
"""What no reader should see: marks and paths of records, and JSON."""


class Text(BaseModel):
    topic: str = "tides"
    text: str = ""


class Unpriced:
    """A model whose price is not known."""

    name = "unpriced"

    async def answer(self, request: Request) -> Response:
        """Answer."""
        del request
        return Response("The moon pulls.", input_tokens=12, output_tokens=3, cost_usd=None)

    async def knows_price(self) -> bool:
        """Return False."""
        return False


def writing(model: object) -> Graph[Text]:
    """Return a graph whose agent writes, with a check and a tool that fails."""

    def look(place: str) -> str:
        """Look."""
        raise ValueError(f"nothing at <b>{place}</b>")

    def about_the_moon(answer: str) -> None:
        if "moon" not in answer:
            raise ValueError("no word of the moon")

    writer = Agent("writer", prompt="Write on {topic}.", tools=[look], check=about_the_moon, model=model)  # type: ignore[arg-type]
    graph = Graph("writing", Text)
    graph.add_node("write", writer, writes="text")
    graph.add_path(START, "write", END)
    return graph


def plain(page: str) -> str:
    """Return these words without the tags around them."""
    body = re.sub(r"<(title|desc|style)\b.*?</\1>", "", page.partition("<body>")[2], flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", body)).split())


async def story(runner: Runner, run_id: str, other: str | None = None) -> str:
    """Return the words of a story, as a reader sees them."""
    page = await story_of(runner.store, run_id, other, time.time())
    assert "<script" not in page
    assert "default-src 'none'; style-src 'unsafe-inline'" in page
    return plain(page)


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}-{file.stem}")
async def test_no_story_shows_what_is_inside_of_a_record(file: Path) -> None:
    """Neither marks and paths of the state nor JSON are in its words; every run has a title and its way."""
    async with Runner() as runner:
        await import_run(runner.store, parse(file.read_text(encoding="utf-8"), str(file)))
        (info,) = await runner.store.runs()
        words = plain(await story_of(runner.store, info.id, None, 0.0))
    assert not INTERNAL.search(words), [words[m.start() - 60 : m.end() + 60] for m in INTERNAL.finditer(words)]
    assert "The way it took" in words
    assert "How it came to this" in words


async def test_it_has_what_was_rejected_and_what_failed() -> None:
    """The reason of a rejection, the message of a tool, the input, the result, and what was lost."""
    model = ScriptedModel([calls(("look", {"place": "the pier"})), "Water moves.", "The moon pulls."])
    async with Runner() as runner:
        await runner.start(writing(model), run_id="tides").result()
        words = await story(runner, "tides")
    assert "failed: look: ValueError: nothing at <b>the pier</b>" in words
    assert "Rejected and sent back: Your answer cannot be used: no word of the moon" in words
    assert "The question" not in words, "its only field is the title"
    assert "The answer text The moon pulls." in words
    assert "Losses 1 answer rejected, 1 tool call failed" in words


async def test_an_unknown_cost_is_unknown() -> None:
    """It is never 0, neither for a call nor in all."""
    async with Runner() as runner:
        await runner.start(writing(Unpriced()), run_id="tides").result()
        words = await story(runner, "tides")
    assert "price unknown model calls 1" in words.replace("unknown price", "price unknown").replace(
        "1 model calls", "model calls 1"
    )
    assert "12 → 3 unknown" in words
    assert "0.0" not in re.sub(r"0\.\d+ s", "", words)


async def test_two_runs_show_where_they_part() -> None:
    """And what the branch began with, and the fields that differ."""
    graph = writing(ScriptedModel(["The moon pulls.", "The full moon pulls more."]))
    async with Runner() as runner:
        await runner.start(graph, run_id="tides").result()
        await runner.branch("tides", graph, at=1, update={"topic": "spring tides"}, run_id="spring").result()
        words = await story(runner, "tides", "spring")
    assert "B branched off A , with another topic ." in words
    assert "They share their first state. 1 decision after that is alike." in words
    assert "What was changed in B as it was in A as B began Topic spring tides" in words
    ended = words.partition("What came of it")[2]
    assert "Text The full moon pulls more ." in ended
    assert "Topic" not in ended, "what was changed is told above"
    assert "Ended A B both ended after write." in words


class Notes(BaseModel):
    by_name: dict[str, str] = {}
    text: str = ""


async def test_names_in_the_state_are_text() -> None:
    """A key is the user's, and the file is made to be sent."""
    graph = Graph("notes", Notes)
    graph.add_node("write", lambda: "done", writes="text")
    graph.add_path(START, "write", END)
    async with Runner() as runner:
        await runner.start(graph, run_id="one").result()
        await runner.branch("one", graph, at=1, update={"by_name": {"<img src=x>": "z"}}, run_id="two").result()
        page = await story_of(runner.store, "one", "two", time.time())
    assert "&lt;img src=x&gt; of by name" in page
    assert "<img" not in page


async def test_secrets_stay_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fields that are declared secret are named only, also where the run failed."""
    async with Runner() as runner:
        with suppress(RunFailed):
            await runner.start(made(), {"token": CANARY, "word": CANARY}, run_id="vault").result()
        page = await story_of(runner.store, "vault", None, time.time())
    assert "s3cr3t" not in page
    assert '<dt>Token</dt><dd><span class="plain">secret</span></dd>' in page
    assert "$secret" not in page


HOSTILE = (
    "<img src=x onerror=alert(1)>\n\n[go](javascript:alert(1)) ![p](https://x.example/p.png) [web](https://x.example)"
)


def test_a_text_is_no_markup() -> None:
    """Markdown is set; HTML in it is text, an image loads nothing, and a link leads to the web only."""
    made = text_html(f"# Head\n\n**bold** {HOSTILE} [notes.md:12]")
    assert "<h3>Head</h3>" in made
    assert "<b>bold" in made or "<strong>bold" in made
    assert "<img" not in made
    assert "p (https://x.example/p.png)" in made
    assert "[go](javascript:alert(1))" in made
    assert '<a href="https://x.example" rel="noopener noreferrer nofollow">web</a>' in made
    assert '<span class="cite">notes.md:12</span>' in made


@pytest.mark.parametrize("shown", [text_html, value_html, in_brief])
def test_a_hostile_key_or_text_is_escaped(shown: object) -> None:
    """Whatever stands in a value, also as a key, in a list or as JSON in a text."""
    for each in (HOSTILE, {HOSTILE: HOSTILE}, [HOSTILE] * 9, f'{{"a": "{HOSTILE[:28]}"}}'):
        if shown is value_html:
            assert "<img" not in value_html(each)
        elif isinstance(each, str) and shown is text_html:
            assert "<img" not in text_html(each)
    assert "<img" not in duel({HOSTILE: [HOSTILE]}, {HOSTILE: [HOSTILE, "x"], "b": HOSTILE})
    assert "<img" not in duel(HOSTILE, f"{HOSTILE} and more")


def test_a_duel_shows_the_words_that_differ() -> None:
    """What is alike is folded to what stands beside it, and a paragraph that only one has is whole."""
    long = "The log record that describes a change must be stable before the changed page is written. " * 8
    made = duel(f"# Logs\n\n{long}It costs one flush.\n\nOnly the first has this.", f"# Logs\n\n{long}It costs two.")
    assert re.search(r"<del>one flush</del><ins>two</ins>", made)
    assert "words alike" in made
    assert '<div class="gone">Only the first has this.</div>' in made
    assert "# " not in made


def test_names_are_words() -> None:
    """A mark of a record is no field, and an empty field says nothing."""
    made = value_html({"final_score": 8.0, "__fields_set__": ["final_score"], "note": None, "tags": []})
    assert made == '<dl><dt>Final score</dt><dd><span class="plain">8.0</span></dd></dl>'
    assert as_words("__") == "  "


class Verdict(BaseModel):
    decision: Literal["publish", "revise"] = Field(title="What to do", description="With the draft as it is.")
    stars: int = 0


async def test_what_waits_has_its_question() -> None:
    """With the answers that it takes, by their titles and descriptions."""

    class Draft(BaseModel):
        draft: str = "# Tides"
        verdict: Verdict | None = None

    graph = Graph("desk", Draft)
    graph.add_node("approve", ask("Publish this draft?", Verdict), writes="verdict")
    graph.add_path(START, "approve", END)
    async with Runner() as runner:
        await runner.start(graph, run_id="tides").result()
        words = await story(runner, "tides")
    assert "waiting for an answer" in words
    assert "approve asks Publish this draft?" in words
    assert "What to do publish revise With the draft as it is. Stars a whole number" in words


async def test_a_chat_that_waits_shows_the_turn_and_the_call() -> None:
    """What was said in the turn that is not over, and the call that is to be approved by its arguments."""

    def find(number: str) -> dict[str, object]:
        """Find an order."""
        return {"number": number, "item": "Lamp"}

    def refund(number: str, amount: float, reason: str = "damaged") -> str:
        """Refund an order."""
        return f"{number} {amount} {reason}"

    model = ScriptedModel(
        ["Hello!", calls(("find", {"number": "A-1"})), calls(("refund", {"number": "A-1", "amount": 12.5}))]
    )
    tools: list[ToolLike] = [find, tool(refund, approve=True)]
    desk = Agent("desk", prompt="{question}", messages="messages", tools=tools, model=model)
    async with Runner() as runner:
        await runner.run(desk, chat="ada", question="Hi")
        with pytest.raises(RunWaits):
            await runner.run(desk, chat="ada", question="My lamp is broken.")
        words = await story(runner, "ge:chat:ada")
    assert words.index("Hi desk Hello! My lamp is broken. find") < words.index("May desk call refund?")
    assert "May desk call refund? Number A-1 Amount 12.5 Reason damaged yes no" in words
    assert not INTERNAL.search(words)


class Brief(BaseModel):
    draft: str = "long"
    scores: list[float] = []


async def test_a_duel_says_what_was_changed_and_why_each_ended() -> None:
    """In its first lines: the field, the visit at which the ways part, the reasons, and how much less that took."""
    graph = Graph("loop", Brief)
    graph.add_node(
        "review", lambda draft, scores: [*scores, 5.0 if draft == "long" and len(scores) < 2 else 8.0], writes="scores"
    )
    graph.add_edge(START, "review")
    graph.add_edge("review", END, when=value("scores[-1]") >= 7.0, label="good enough")
    graph.add_edge("review", "review")
    async with Runner() as runner:
        await runner.start(graph, run_id="one").result()
        await runner.branch("one", graph, at=2, update={"draft": "short"}, run_id="two").result()
        words = await story(runner, "one", "two")
    assert "Changed B branched off A after review , with another draft ." in words
    assert (
        "Parted at review 2 : A went on to review last score is 5.0, at least 7.0 is needed: 2 too little "
        "B ended, good enough last score is 8.0, at least 7.0 was needed "
        "Ended A ended after review 3: good enough (last score is 8.0, at least 7.0 was needed). Saved" in words
    ), "where B ended is where they parted, and is said once"
    assert "made 1 visit fewer than A since they part." in words


async def test_what_was_saved_names_the_number_that_decided() -> None:
    """A branch that ends earlier with a lower score is not praised for the time alone."""
    graph = Graph("loop", Brief)
    graph.add_node("review", lambda draft, scores: [*scores, 5.0 + len(scores) + len(draft) / 10], writes="scores")
    graph.add_edge(START, "review")
    graph.add_edge("review", END, when=value("scores[-1]") >= 7.0, label="good enough")
    graph.add_edge("review", "review")
    async with Runner() as runner:
        await runner.start(graph, run_id="one").result()
        await runner.branch("one", graph, at=2, update={"draft": "long enough and more"}, run_id="two").result()
        words = await story(runner, "one", "two")
    assert "Its last score is 8.0 , in A 7.4." in words


@pytest.mark.parametrize(("price", "label"), [(0.01, "Saved"), (0.9, "Took")], ids=["cheaper", "dearer"])
async def test_only_what_is_less_in_all_is_saved(price: float, label: str) -> None:
    """A branch of fewer visits that cost more took it."""

    def graph(cost: float) -> Graph[Brief]:
        writer = Agent("writer", prompt="{draft}", model=ScriptedModel([Response("x", cost_usd=cost, model="some:m")]))
        made = Graph("loop", Brief)
        made.add_node("review", lambda draft, scores: [*scores, 8.0 if draft == "short" else 6.0], writes="scores")
        made.add_node("publish", writer, writes="draft")
        made.add_edge(START, "review")
        made.add_edge("review", "publish", when=value("scores").length() >= 3, label="often enough")
        made.add_edge("review", "publish", when=value("scores[-1]") >= 7.0, label="good enough")
        made.add_edge("review", "review")
        made.add_edge("publish", END)
        return made

    async with Runner() as runner:
        await runner.start(graph(0.1), run_id="one").result()
        await runner.branch("one", graph(price), at=2, update={"draft": "short"}, run_id="two").result()
        words = await story(runner, "one", "two")
    assert f"{label} B cost {abs(price - 0.1):.4f} USD {'less' if price < 0.1 else 'more'}" in words
    assert "made 1 visit fewer than A" in words


def test_fields_are_no_dump() -> None:
    """Each has its name, its value after a colon, and a line of its own where it is long or has parts."""
    assert in_brief({"item": "Lamp, brass", "paid": 89.0, "buyer": {"name": "Ada", "age": 36}}) == (
        "item: Lamp, brass; paid: 89.0; buyer (name: Ada, age: 36)"
    )
    short = value_html([{"text": "The moon pulls at the water.", "file": "tides.md", "line": 4}])
    assert '<span class="beside">file: tides.md · line: 4</span>' in short
    long = value_html([{"text": "Good.", "shares": {"What pulls at the water of the sea?": 0.5}}])
    assert "<dl class=wide><dt>What pulls at the water of the sea?</dt><dd>" in long


def test_items_that_only_moved_are_not_told_twice() -> None:
    """They are neither gone nor new."""
    made = duel(["first of all", "second of all", "third of all"], ["second of all", "third of all", "first of all"])
    assert "in another place" in made
    assert "only in" not in made


def test_many_paragraphs_that_are_gone_are_folded() -> None:
    """The first stand open."""
    made = duel("\n\n".join(f"Paragraph {number} is here." for number in range(20)), "Something else entirely, then.")
    assert "and 17 more paragraphs that only A has" in made


async def test_pictures_and_figures_count_in_visits() -> None:
    """Rules have no numbers, and what a run made are visits, as beside it; steps are rows of its record."""
    graph = Graph("loop", Brief)
    graph.add_node("review", lambda scores: [*scores, 5.0 + len(scores)], writes="scores")
    graph.add_edge(START, "review")
    graph.add_edge("review", END, when=value("scores[-1]") >= 7.0, label="good enough")
    graph.add_edge("review", "review")
    async with Runner() as runner:
        await runner.start(graph, run_id="one").result()
        page = await story_of(runner.store, "one", None, time.time())
    assert "<dt>visits</dt><dd>3</dd>" in page
    assert "<dt>steps</dt>" not in page
    texts = re.findall(r"<text\b[^>]*>(.*?)</text>", page)
    assert any("good enough" in each for each in texts)
    assert not [each for each in texts if re.match(r"\d+\.( |$)", each)]


async def test_what_failed_saved_nothing() -> None:
    """A branch that failed early is not praised for the time, and its failure is told in the first lines."""

    def work(draft: str) -> str:
        if draft == "bad":
            raise ValueError("nothing to work on")
        return draft

    graph = Graph("works", Brief)
    graph.add_node("first", work, writes="draft")
    graph.add_node("second", work, writes="draft")
    graph.add_path(START, "first", "second", END)
    async with Runner() as runner:
        await runner.start(graph, run_id="one").result()
        with suppress(RunFailed):
            await runner.branch("one", graph, at=1, update={"draft": "bad"}, run_id="two").result()
        words = await story(runner, "one", "two")
    assert "B failed at first: nothing to work on." in words
    assert "Saved" not in words
    assert "%" not in words.partition("What each took")[2].partition("What was changed")[0]


def test_a_paragraph_stands_once() -> None:
    """Items of a list are compared one by one, and what has only moved is shown where it is now."""
    items = ["- The moon pulls at the water.", "- The sun pulls, too.", "- Winds do the rest, in their way."]
    before = "\n".join(items) + "\n\nA paragraph that will be moved to the front of it all."
    after = "A paragraph that will be moved to the front of it all.\n\n" + "\n".join([items[0], "- New one.", items[2]])
    made = duel(before, after)
    assert [made.count(each) for each in ("moon pulls", "sun pulls", "New one", "Winds do", "will be moved")] == [1] * 5
    assert "moved here" in made
    assert "<del>" not in made.partition("moon pulls")[2].partition("</li>")[0]


def test_a_comparison_that_would_take_long_shows_both_texts() -> None:
    """Its time is that of equal words, one in each text; of many both stand one below the other."""
    made = duel("a " * 9000, "b a " * 4500)
    assert '<div class="gone">' in made
    assert '<div class="new">' in made
    assert "<ins>" not in made


async def test_the_story_names_what_failed_below() -> None:
    """At any depth, also where the run went on without it."""
    async with Runner() as runner:
        await runner.start(survey(), Place(name="top"), run_id="top").result()
        words = await story(runner, "top")
    assert "2 of 20 runs below failed" in words
    assert "What failed below top.0.2.1 spread: ValueError: nothing at top.0.2.1" in words


class Case(BaseModel):
    verdict: str = ""
    note: str = ""
    score: int = 5


PIECES = ("; ", ": yes", ": no", "'", '"', "|", "\n", "; verdict is ", "is needed", "iterations of ", "<b>", "x" * 40)
"""What a program that takes sentences apart would take for the end of one."""


@pytest.mark.parametrize("seed", range(40))
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
        story = await story_of(runner.store, "a", None, time.time())
    shown = [html.unescape(each) for each in re.findall(r'<span class="beside">(.*?)</span>', story, re.DOTALL)]
    said = next(each for each in shown if each.startswith("note is"))
    first = next(each for each in range(1, len(whole) + 1) if said in _prefixes(whole, each))
    assert first


def _prefixes(whole: list[str], count: int) -> set[str]:
    """Return how a story may show the first reasons: all of them whole, or the very first one cut at its end."""
    cut = {whole[0][:length] + "…" for length in range(100, len(whole[0]))} if count == 1 else set[str]()
    return {"; ".join(whole[:count]), *cut}
