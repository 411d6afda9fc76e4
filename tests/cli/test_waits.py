"""Waiting runs: their output, and the commands that continue them."""

import json
import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from graphengine.cli.main import main
from graphengine.cli.terminal import Channel
from tests.cli.programs import ASKING, NAPPING, WAITING, Invoke, call, document

MAPPED = """
from pydantic import BaseModel
from graphengine import END, START, Graph, value

class Piece(BaseModel):
    topic: str
    rounds: int = 0

article = Graph("article", Piece, result="rounds")
article.add_node("write", lambda rounds: rounds + 1, writes="rounds", thread=False)
article.add_path(START, "write")
article.add_edge("write", END, when=value("rounds") >= 2, label="good")
article.add_edge("write", "write")

class News(BaseModel):
    topics: list[str] = [str(n) for n in range(COUNT)]
    found: list[str] = []
    counts: list[int] = []
    total: int = 0

def read(topic: str) -> str:
    if topic in ("3", "4"):
        raise ValueError("no such topic")
    return "read " + topic

graph = Graph("news", News)
graph.add_node("read", read, each={"topic": "topics"}, fallback="?", writes="found", thread=False)
graph.add_node("article", article, inputs={"topic": "topics[0]"}, writes="total")
graph.add_node("articles", article, each={"topic": "topics"}, writes="counts")
graph.add_path(START, "read", "article", "articles", END)
"""

TYPED = """
from datetime import date
from typing import Annotated
from pydantic import BaseModel, Field

class Review(BaseModel):
    score: int = Field(ge=1)
    issues: list[str]
    note: str = ""

class Tree(BaseModel):
    below: list["Tree"]
"""


@pytest.fixture
def waiting(project: Path, invoke: Invoke) -> Invoke:
    """The command line, with the run `r` of `waiting`, which asks a question and waits for a message."""
    (project / "flows" / "waiting.py").write_text(WAITING)
    (project / "flows" / "napping.py").write_text(NAPPING)
    assert invoke("run", "waiting", "--run-id", "r").exit_code == 3
    return invoke


def asked(project: Path, invoke: Invoke, kind: str, run_id: str = "a") -> None:
    """Return a run that asks for an answer of this type."""
    (project / "asking.py").write_text(ASKING.replace("TYPE", kind))
    assert invoke("run", "asking.py", "--run-id", run_id).exit_code == 3


def commands(text: str, word: str) -> list[list[str]]:
    """Return the commands that are shown after this word, without the program's name."""
    lines = [line.strip().split(": ", 1)[1] for line in text.splitlines() if line.strip().startswith(f"{word}: ")]
    return [shlex.split(line.split("  (")[0])[1:] for line in lines]


def test_a_waiting_run_shows_the_commands_that_continue_it(waiting: Invoke) -> None:
    """They work when pasted: each question and topic has its own, and the exit code is 3 until all are answered."""
    found = waiting("resume", "r")
    assert found.exit_code == 3
    assert "Which style?" in found.stderr
    assert commands(found.stderr, "answer") == [["answer", "r", "TEXT"]]
    assert commands(found.stderr, "send") == [["send", "r", "tips", "VALUE"]]
    assert "resume: " not in found.stderr, "it would wait for the same again"
    (answer,) = commands(waiting("show", "r").stdout, "answer")
    assert waiting(*answer).exit_code == 3
    (send,) = commands(waiting("show", "r").stdout, "send")
    sent = waiting(*send)
    assert sent.exit_code == 3
    assert "Publish Ants? (until " in sent.stderr
    assert "then the answer is false" in sent.stderr
    assert commands(sent.stderr, "resume") == [["resume", "r"]], "once the default is the answer"
    (publish,) = commands(sent.stderr, "answer")
    assert publish == ["answer", "r", "yes"]
    done = waiting(*publish)
    assert (done.exit_code, done.stdout) == (0, "TEXT\n")
    state = document(waiting("show", "r", "--json").stdout)["state"]
    assert (state["style"], state["tip"], state["ok"]) == ("TEXT", "VALUE", True)


def test_the_command_that_answers_keeps_the_options_of_this_one(waiting: Invoke) -> None:
    """The file for the result, since no `resume` is shown that would have it."""
    found = waiting("resume", "r", "-o", "article.md")
    assert commands(found.stderr, "answer") == [["answer", "r", "TEXT", "-o", "article.md"]]
    assert commands(found.stderr, "send") == [["send", "r", "tips", "VALUE", "-o", "article.md"]]


def test_a_sleeping_run_that_is_left_is_not_said_to_be_waited_for(
    waiting: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With --no-wait there is nothing that Ctrl-C could end; `resume` waits for its time, which `runs` shows."""
    found = waiting("run", "napping", "--run-id", "n", "--input", "seconds=1000", "--no-wait")
    assert found.exit_code == 3
    assert "Ctrl-C" not in found.stderr
    assert "sleeps until " in found.stderr
    assert commands(found.stderr, "resume") == [["resume", "n"]]
    monkeypatch.setattr(Channel, "columns", 60)
    assert "    sleeps until 2" in waiting("runs").stdout


def test_the_documents_have_the_waits(waiting: Invoke) -> None:
    """A run's document and the list of runs have the same waits; a finished run has none."""
    keys = ["name", "kind", "question", "schema", "topic", "due_at"]
    made = document(waiting("show", "r", "--json").stdout)
    assert [list(wait) for wait in made["waits"]] == [keys, keys]
    assert [(wait["name"], wait["kind"], wait["topic"], wait["due_at"]) for wait in made["waits"]] == [
        ("style", "ask", None, None),
        ("listen", "receive", "tips", None),
    ]
    assert made["waits"][0]["schema"] == {"type": "string"}
    assert document(waiting("resume", "r", "--json").stdout)["waits"] == made["waits"]
    waiting("run", "counter", "--run-id", "c")
    runs = document(waiting("runs", "--json").stdout)["runs"]
    assert {run["run_id"]: run["waits"] for run in runs} == {"r": made["waits"], "c": []}
    waiting("answer", "r", "x")
    waiting("send", "r", "tips", "1")
    (run,) = document(waiting("runs", "--status", "waiting", "--json").stdout)["runs"]
    assert [wait["due_at"] for wait in run["waits"]] == [run["due_at"]]
    assert run["due_at"] > run["updated_at"]


def test_runs_shows_what_a_run_waits_for(waiting: Invoke) -> None:
    """The first question, how many more there are, and when it ends by itself."""
    heading, row = waiting("runs").stdout.splitlines()
    assert heading.split()[-1] == "why"
    assert row.endswith("style: Which style? (and 1 more)")
    waiting("answer", "r", "x")
    waiting("send", "r", "tips", "1")
    heading, row = waiting("runs").stdout.splitlines()
    assert "due" in heading
    assert row.endswith("publish: Publish Ants?")


@pytest.mark.parametrize(
    ("kind", "given", "expected"),
    [
        ("str", "yes", "yes"),
        ("str", "5", "5"),
        ("str", '"5"', "5"),
        ("str", "true", "true"),
        ("str", "@@home", "@home"),
        ("str", "", ""),
        ("bool", "true", True),
        ("bool", "Yes", True),
        ("bool", "no", False),
        ("int", "-5", -5),
        ("float", "2.5", 2.5),
        ("str | int", "5", 5),
        ("list[int]", "[1, 2]", [1, 2]),
        ("dict[str, int]", '{"a": 1}', {"a": 1}),
        ('Literal["dry", "lively"]', "dry", "dry"),
        ("bool | None", "null", None),
        ("bool | None", "yes", True),
        ("str", "@text.txt", "from a\nfile"),
        ("list[int]", "@list.json", [1, 2]),
    ],
)
def test_an_answer_is_parsed_to_fit_the_question(
    project: Path, invoke: Invoke, kind: str, given: str, expected: object
) -> None:
    """JSON if it fits, else text, else yes and no; the same for files, without their final line break."""
    (project / "text.txt").write_text("from a\nfile\n")
    (project / "list.json").write_text("[1,\n 2]\n")
    asked(project, invoke, kind)
    found = invoke("answer", "a", given, "--graph", "asking.py", "--json")
    assert found.exit_code == 0, found.stderr
    assert document(found.stdout)["state"]["given"] == expected


def test_a_question_of_several_lines_is_shown_completely(project: Path, invoke: Invoke) -> None:
    """A text is shown whole before it is approved, and its control codes are escaped."""
    text = "# A title\n\n" + "a line of the text \x1b[2J\n" * 200 + "  the end"
    graph = ASKING.replace("TYPE", "bool").replace('"What?"', repr("Publish this?\n" + text))
    (project / "flows" / "asking.py").write_text(graph)
    reported = invoke("run", "asking", "--run-id", "r").stderr
    lines = reported[reported.rindex("question: Publish this?") :].splitlines()
    assert lines[1:4] == ["    # A title", "", "    a line of the text \\x1b[2J"]
    assert lines[203:205] == ["      the end", lines[204]]
    assert "since:" in lines[204]
    assert invoke("show", "r").stdout.splitlines().count("    a line of the text \\x1b[2J") == 200
    long = graph.replace("the end", "x" * 30_000)
    (project / "flows" / "asking.py").write_text(long)
    assert "show s --json has all" in invoke("run", "asking", "--run-id", "s").stderr


def test_an_answer_can_be_read_from_stdin(project: Path, invoke: Invoke) -> None:
    """- reads it, so that it can be piped."""
    asked(project, invoke, "bool")
    found = CliRunner().invoke(main, ["answer", "a", "-", "--graph", "asking.py", "--json"], input="yes\n")
    assert document(found.stdout)["state"]["given"] is True


@pytest.mark.parametrize(
    ("words", "reported"),
    [
        (["answer", "a", "maybe", "--graph", "asking.py"], "this does not answer 'What?'"),
        (["answer", "a", "@nowhere", "--graph", "asking.py"], "cannot be read"),
        (["answer", "a", "yes", "--question", "questoin", "--graph", "asking.py"], "did you mean 'question'?"),
        (["answer", "a", "yes", "--graph", "asking.py", "-o", "missing/file.txt"], "missing"),
        (["answer", "a", "yes", "--graph", "asking.py", "--limit", "stepz=1"], "stepz"),
        (["answer", "a", "yes", "--no-resume", "--limit", "visits=1"], "--no-resume"),
        (["answer", "nobody", "yes", "--graph", "asking.py"], "nobody"),
        (["answer", "c", "yes"], "asks nothing"),
        (["send", "c", "tips", "yes"], "is over"),
        (["send", "a", "tips"], "Missing argument"),
        (["answer", "a", "--wiat", "x", "yes"], "--wiat"),
    ],
)
def test_an_invalid_answer_is_refused_before_it_is_recorded(
    project: Path, invoke: Invoke, words: list[str], reported: str
) -> None:
    """Exit code 2, one error with the repair, and nothing is recorded."""
    invoke("run", "counter", "--run-id", "c")
    asked(project, invoke, "bool")
    before = [document(invoke("show", run, "--json").stdout) for run in ("a", "c")]
    found = invoke(*words)
    assert found.exit_code == 2, found.output
    assert reported in found.output
    assert "Traceback" not in found.output
    assert [document(invoke("show", run, "--json").stdout) for run in ("a", "c")] == before
    assert set(document(invoke(*words, "--json").stdout)["error"]) == {"code", "message", "where", "repair"}


@pytest.mark.parametrize(
    ("kind", "given", "wrong", "wanted"),
    [
        ("bool", "maybe", "'maybe' is not yes or no", "answer yes or no"),
        ('Literal["dry", "lively"]', "dri", "'dri' is not dry or lively", "did you mean 'dry'? answer dry or lively"),
        ('Literal["dry", "lively"]', "yes", "'yes' is not dry or lively", "answer dry or lively"),
        ("int", "x", "'x' is not a whole number", "answer a whole number"),
        ("list[int]", '[1, "a"]', "[1]: 'a' is not a whole number", "answer a list, each item a whole number"),
    ],
)
def test_an_invalid_answer_is_reported_with_the_valid_ones(  # noqa: PLR0913 - one for each part of the message
    project: Path, invoke: Invoke, kind: str, given: str, wrong: str, wanted: str
) -> None:
    """An invalid answer is reported with the valid ones in words, without the schema."""
    asked(project, invoke, kind)
    error = document(invoke("answer", "a", given, "--no-resume", "--json").stdout)["error"]
    assert error["message"] == f"this does not answer 'What?': {wrong}"
    assert error["repair"] == wanted


def test_without_an_answer_the_question_is_shown(waiting: Invoke) -> None:
    """Without an answer the question is shown with the command that answers it; nothing is recorded."""
    found = waiting("answer", "r")
    assert found.exit_code == 2
    assert "no answer is given; the run asks: Which style?" in found.stderr
    (repair,) = [line.partition("repair: ")[2] for line in found.stderr.splitlines() if "repair: " in line]
    assert repair.endswith("answer r TEXT")
    assert waiting("answer", "r", "--question", "style").stderr.endswith("answer r TEXT --question style\n")
    assert document(waiting("show", "r", "--json").stdout)["status"] == "waiting"


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("int", "1"),
        ("Annotated[int, Field(ge=3, le=9)]", "3"),
        ("date", "2030-01-31"),
        ("Literal['dry', 'lively']", "dry"),
        ("bool | None", "yes"),
        ("list[int]", "[]"),
        ("dict[str, int]", "{}"),
    ],
)
def test_the_command_that_is_shown_answers_the_question(project: Path, invoke: Invoke, kind: str, value: str) -> None:
    """It has a value of the question's type and no placeholder, and works when it is pasted."""
    held = ASKING.replace("given: Any", f"given: {kind} | None").replace("TYPE", kind)
    (project / "asking.py").write_text(TYPED + held)
    assert invoke("run", "asking.py", "--run-id", "a").exit_code == 3
    found = invoke("answer", "a", "--graph", "asking.py")
    (repair,) = [line.partition("repair: ")[2] for line in found.stderr.splitlines() if "repair: " in line]
    words = shlex.split(repair.split("  (")[0])
    assert value in words
    done = invoke(*words[1:])
    assert done.exit_code == 0, done.stderr


def test_an_answer_is_recorded_if_the_graph_is_not_found(project: Path, invoke: Invoke) -> None:
    """Exit code 3, with the commands that continue the run; a resume with the graph does."""
    asked(project, invoke, "bool")
    found = invoke("answer", "a", "yes")
    assert (found.exit_code, found.stdout) == (3, "the answer is recorded\n")
    assert "not resumed here: the run is of graph 'asking', and no such graph was found" in found.stderr
    assert (
        "no process drives run a; start `graphengine worker`, or resume: graphengine resume a --graph FILE"
        in found.stderr
    )
    again = invoke("answer", "a", "no")
    assert (again.exit_code, "was answered already" in again.stderr) == (2, True)
    assert document(invoke("resume", "a", "--graph", "asking.py", "--json").stdout)["state"]["given"] is True


def test_an_answer_to_a_run_that_no_longer_fits_shows_the_repair(project: Path, invoke: Invoke) -> None:
    """A resume would be refused for the same reason."""
    asked(project, invoke, "bool")
    file = project / "asking.py"
    file.write_text(file.read_text().replace('"question"', '"renamed"'))
    found = invoke("answer", "a", "yes", "--graph", "asking.py")
    assert (found.exit_code, found.stdout) == (3, "the answer is recorded\n")
    assert "repair: put back node" in " ".join(found.stderr.split())
    assert "resume: graphengine resume a --graph asking.py" in " ".join(found.stderr.split())


def test_an_answer_can_be_recorded_without_a_resume(waiting: Invoke) -> None:
    """--no-resume leaves the run to another process: exit code 0, and the run is unchanged."""
    before = document(waiting("show", "r", "--json").stdout)
    found = waiting("answer", "r", "dry", "--no-resume", "--json")
    assert (found.exit_code, document(found.stdout)) == (0, {"schema": 1, "run_id": "r", "answer": "recorded"})
    assert waiting("send", "r", "tips", "1", "--no-resume").stdout == "the message is sent\n"
    assert document(waiting("show", "r", "--json").stdout) == before
    assert "Publish Ants?" in waiting("resume", "r").stderr


def test_send_does_not_wait_for_a_sleeping_run(project: Path, invoke: Invoke) -> None:
    """Neither `send` nor `resume --no-wait` waits for a sleeping run: exit code 3 at once, and the run sleeps on."""
    (project / "flows" / "napping.py").write_text(NAPPING)
    begun = invoke("run", "napping", "--run-id", "n", "--no-wait", "--input", "seconds=20")
    assert (begun.exit_code, "nap: sleeps until" in begun.stderr) == (3, True)
    sent = invoke("send", "n", "tips", "1")
    assert (sent.exit_code, "nap: sleeps until" in sent.stderr) == (3, True)
    assert invoke("resume", "n", "--no-wait").exit_code == 3


def test_a_message_that_the_run_does_not_wait_for_is_kept_and_reported(waiting: Invoke) -> None:
    """A message that the run does not wait for is kept and reported, so that a misspelt topic is noticed."""
    reported = "the run does not wait for a message on 'tip' now and keeps it; it waits for a message on 'tips'"
    found = waiting("send", "r", "tip", "1")
    assert reported in found.stderr
    for text in (found.stderr, waiting("show", "r").stdout):
        assert "  kept: 1 message on 'tip', not received yet\n" in text
    assert "does not wait" not in waiting("send", "r", "tips", "1").stderr


def test_one_of_several_questions_must_be_named(project: Path, invoke: Invoke) -> None:
    """The error lists them, and the commands that are shown name each."""
    text = WAITING.replace('"listen", listen', '"listen", ask("Which tip?", str)')
    (project / "flows" / "waiting.py").write_text(text)
    found = invoke("run", "waiting", "--run-id", "r")
    assert commands(found.stderr, "answer") == [
        ["answer", "r", "TEXT", "--question", "style"],
        ["answer", "r", "TEXT", "--question", "listen"],
    ]
    refused = invoke("answer", "r", "dry")
    assert refused.exit_code == 2
    assert "name one of: style, listen" in refused.stderr
    assert invoke("answer", "r", "dry", "--question", "listen").exit_code == 3
    assert document(invoke("show", "r", "--json").stdout)["waits"][0]["name"] == "style"


def test_a_message_is_kept_until_it_is_received(waiting: Invoke) -> None:
    """One of another topic changes only the log; the same key again sends nothing."""
    assert waiting("send", "r", "other", "x").exit_code == 3
    for _ in range(2):
        assert waiting("send", "r", "tips", '{"a": [1]}', "--idempotency-key", "once").exit_code == 3
    made = document(waiting("show", "r", "--json").stdout)
    messages = [step["detail"] for step in made["steps"] if step["kind"] == "message"]
    assert messages == [{"topic": "other", "payload": "x"}, {"topic": "tips", "payload": {"a": [1]}}]
    assert [wait["name"] for wait in made["waits"]] == ["style"]


def test_a_message_to_a_run_that_does_not_wait_is_only_sent(invoke: Invoke) -> None:
    """A stopped run is not resumed, and its graph is not needed."""
    invoke("run", "counter", "--run-id", "c", "--limit", "visits=1")
    found = invoke("send", "c", "tips", "1", "--json")
    assert (found.exit_code, document(found.stdout)) == (0, {"schema": 1, "run_id": "c", "message": "sent"})
    reported = invoke("send", "c", "tips", "2")
    assert "the message is sent" in reported.stdout
    assert "run c is stopped; resume: graphengine resume c" in reported.stderr


def test_a_run_pauses_before_the_given_nodes(invoke: Invoke) -> None:
    """A run pauses on every visit of the given nodes, until it is answered; resume and branch can name others."""
    found = invoke("run", "counter", "--run-id", "c", "--pause-before", "more")
    assert found.exit_code == 3
    (answer,) = commands(found.stderr, "answer")
    assert answer == ["answer", "c", "true"]
    assert invoke(*answer).exit_code == 3
    assert document(invoke("show", "c", "--json").stdout)["state"]["n"] == 1
    assert invoke("answer", "c", "no").exit_code == 2
    refused = invoke("run", "counter", "--pause-before", "mroe")
    assert (refused.exit_code, "did you mean 'more'?" in refused.stderr) == (2, True)
    invoke("run", "counter", "--run-id", "whole")
    branched = invoke("branch", "whole", "--at", "2", "--run-id", "b", "--pause-before", "more")
    assert branched.exit_code == 3


def test_an_arm_that_fails_is_reported_while_another_waits(project: Path, invoke: Invoke) -> None:
    """The run can wait for a long time, so the failure is shown at once; the answer reports it, and retries nothing."""
    failing = WAITING.replace('return await ctx.receive("tips")', 'raise ValueError("no tips")')
    (project / "arms.py").write_text(failing)
    ran = invoke("run", "arms.py", "--run-id", "r")
    assert ran.exit_code == 3
    assert ran.stderr.count("ValueError: no tips") == 1
    assert invoke("show", "r").stdout.count("ValueError: no tips") == 1
    ended = invoke("answer", "r", "short", "--graph", "arms.py")
    assert ended.exit_code == 1
    assert ended.stderr.count("ValueError: no tips") == 1
    assert "done     style (visit 1)" in ended.stderr


def test_a_waiting_run_is_stopped_at_once(waiting: Invoke) -> None:
    """`stop` needs no process that drives it; a resumed run waits again."""
    assert document(waiting("stop", "r", "--json").stdout) == {"schema": 1, "run_id": "r", "stop": "done"}
    assert document(waiting("show", "r", "--json").stdout)["status"] == "stopped"
    assert waiting("resume", "r").exit_code == 3
    assert "stopped run r, which waited" in waiting("stop", "r").stdout


# -- maps and nested graphs, while they run and afterwards


def test_items_are_counted_and_not_listed(project: Path, invoke: Invoke) -> None:
    """Two hundred items give ten lines, and the first failures; work below an item is not shown."""
    (project / "news.py").write_text(MAPPED.replace("COUNT", "200"))
    found = invoke("run", "news.py:graph", "--run-id", "n")
    assert found.exit_code == 0, found.stderr
    lines = found.stderr.splitlines()
    assert len(lines) < 60
    assert "items    read: 200 items, 16 at a time" in lines
    assert [line for line in lines if "read: " in line and "done" in line][-1] == (
        "items    read: 200 of 200 items done, 2 by fallback"
    )
    assert sum("of 200 items done" in line for line in lines) == 20
    assert sum("no such topic" in line for line in lines) == 2
    assert any(line.startswith("fallback read[3]") for line in lines)
    for reported in ("entered  article: graph article -> write", "done     article/write (visit 2)", "ended [good]"):
        assert any(reported in line for line in lines)
    assert not any("articles[" in line for line in lines)
    shown = invoke("show", "n").stdout
    assert "read[…] 200 items, 2 by fallback" in shown
    assert "article/write" in shown
    assert len(document(invoke("show", "n", "--json").stdout)["steps"]) > 800


def test_many_failures_of_items_are_cut_short(project: Path, invoke: Invoke) -> None:
    """The first five are shown, then they are counted."""
    text = MAPPED.replace("COUNT", "20").replace('topic in ("3", "4")', "True").replace('fallback="?", ', "")
    (project / "news.py").write_text(text)
    found = invoke("run", "news.py")
    assert found.exit_code == 1
    assert sum("failed   read[" in line for line in found.stderr.splitlines()) == 5
    assert "further failures of read are counted only" in found.stderr
    assert "20 of 20 items done, 20 failed" in found.stderr


def test_one_step_is_shown_whole(project: Path, invoke: Invoke) -> None:
    """--step shows the path of an item or of a nested graph's node, its update, and the traceback of an error."""
    (project / "news.py").write_text(MAPPED.replace("COUNT", "5").replace('fallback="?"', 'fallback=lambda: "?"'))
    invoke("run", "news.py", "--run-id", "n")
    steps = document(invoke("show", "n", "--json").stdout)["steps"]
    by_path = {(step["path"], step["kind"]): step for step in steps}
    item = by_path["read[2]", "item"]
    shown = invoke("show", "n", "--step", str(item["seq"])).stdout
    assert "item read[2]" in shown
    assert "found += read 2" in shown
    attempt = invoke("show", "n", "--step", str(by_path["read[3]", "attempt"]["seq"])).stdout
    assert "ValueError: no such topic" in attempt
    assert "news.py" in attempt
    inner = by_path["articles[1]/write", "node"]
    made = document(invoke("show", "n", "--step", str(inner["seq"]), "--json").stdout)
    assert made == {"schema": 1, "run_id": "n", "step": inner}
    assert by_path["read", "mapped"]["detail"]["count"] == 5
    assert by_path["article", "node"]["detail"]["inside"]["label"] == "good"
    assert invoke("show", "n", "--step", "9999").exit_code == 2
    assert invoke("show", "n", "--step", "1", "--at", "1").exit_code == 2


def test_every_kind_of_step_has_a_description(waiting: Invoke) -> None:
    """Every row of `show` describes what the run waited for, or what was answered or sent."""
    waiting("send", "r", "other", "later")
    waiting("answer", "r", "dry")
    waiting("send", "r", "tips", "news")
    lines = [re.sub(r"after [0-9.]+ m?s", "after …", line).strip() for line in waiting("show", "r").stdout.splitlines()]
    for reported in (
        "Which style?",
        "waits for a message on 'tips'",
        "other: later",
        "answered after …: dry",
        "a message: news",
        "2 of 2 arms arrived",
    ):
        assert reported in lines, reported


def test_the_commands_work_in_a_shell(project: Path) -> None:
    """The shown command answers a question of a graph elsewhere, in a database with an unusual name."""
    elsewhere = project.parent / "else where"
    elsewhere.mkdir()
    (elsewhere / "ask.py").write_text(ASKING.replace("TYPE", "bool"))
    ran = call(project, "run", "../else where/ask.py", "--store", "it's.db", "--run-id", "-odd")
    assert ran.returncode == 3
    (line,) = [line for line in ran.stderr.splitlines() if line.strip().startswith("answer:")]
    words = shlex.split(line.split(": ", 1)[1].split("  (")[0])
    assert words[1:3] == ["-m", "graphengine"]
    done = call(project, *words[3:])
    assert done.returncode == 0, done.stderr
    assert (done.returncode, json.loads(done.stdout)) == (0, True)
