import os
import pty
import re
import shlex
import signal
import socket
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import pytest

from graphs.review_loop import example
from nodes.citing import Passage, Quotations
from tests.cli.programs import ROOT, Invoke, call, document, launch, start
from tests.conformance.model_scenes import Babbles, Counted, Fails, Says
from tests.kit.extras import skip_without
from tests.kit.review_team import Team, answers
from tests.models.edge_server import EdgeServer

skip_without("anthropic", "openai", "genai_prices")

KEY: Final = "sk-test-abcdef0123456789"
LOOP: Final = str(ROOT / "graphs" / "review_loop.py")
COUNTED: Final = Counted(input_tokens=1000, cache_read_tokens=500, output_tokens=50)

ASKER = """
from pydantic import BaseModel
from graphengine import END, START, Agent, Graph, Retry

MODELS = {"cheap": {"*": "rules", "answerer": "anthropic:claude-haiku-4-5"}}

class Talk(BaseModel):
    text: str = "Why?"
    first: str = ""
    second: str = ""

def shrug(text: str) -> str:
    return "who knows"

asker = Agent("asker", prompt="Ask better: {text}", by_rules=shrug)
answerer = Agent("answerer", prompt="Answer: {first}", by_rules=lambda first: "so")
again = Retry(attempts=2, initial_seconds=0)

graph = Graph("asking", Talk, result="second")
graph.add_node("ask", asker, writes="first", retry=again)
graph.add_node("answer", answerer, writes="second", retry=again)
graph.add_path(START, "ask", "answer", END)
"""


@pytest.fixture(autouse=True)
def folder(project: Path, edge: EdgeServer, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, in which the local edge server stands in for both providers, with one key."""
    (project / "flows" / "asking.py").write_text(ASKER)
    for name, value in {
        "ANTHROPIC_API_KEY": KEY,
        "ANTHROPIC_BASE_URL": edge.url,
        "OPENAI_API_KEY": KEY,
        "OPENAI_BASE_URL": edge.openai_url,
    }.items():
        monkeypatch.setenv(name, value)
    return project


@pytest.fixture
def at_home(edge: EdgeServer, own_hosts: None, monkeypatch: pytest.MonkeyPatch) -> None:  # the host is found
    """Lead Anthropic's own host to the edge server, in this process: the listed prices are for that host."""
    monkeypatch.setenv("ANTHROPIC_BASE_URL", edge.url.replace("127.0.0.1", "api.anthropic.com"))


@pytest.fixture(scope="module")
def texts() -> dict[str, list[str]]:
    """Return the answers of models in a run of the review loop, by agent."""
    return answers(example())


def says(*texts: str) -> Iterator[Says]:
    """Return answers of a model, each with the same usage."""
    return (Says(text, counted=COUNTED) for text in texts)


def team(texts: Mapping[str, Sequence[str]], **others: Sequence[str]) -> Team:
    """Return the answers of the review loop's agents, with some replaced."""
    return Team({name: says(*each) for name, each in {**texts, **others}.items()})


def see_no_key(folder: Path, *shown_text: str) -> None:
    """Check that the key is in no output and in no file."""
    for text in shown_text:
        assert KEY not in text
    files = [file for file in folder.rglob("*") if file.is_file()]
    assert files
    for file in files:
        assert KEY.encode() not in file.read_bytes(), file


@pytest.mark.parametrize(
    ("model", "cost"),
    [
        ("anthropic:claude-haiku-4-5", "cost unknown"),
        ("openai:gpt-5-mini", "cost unknown"),
        ("openai-chat:gpt-5-mini", "cost unknown"),
    ],
)
def test_the_review_loop_runs_with_language_models(  # noqa: PLR0913 - fixtures
    folder: Path, edge: EdgeServer, invoke: Invoke, texts: dict[str, list[str]], model: str, cost: str
) -> None:
    """A model answers for every role; each answer is recorded and priced, and the key is nowhere."""
    edge.answer(team(texts))
    ran = call(folder, "run", LOOP, "--model", model, "--run-id", "r", "--store", "runs.db")
    assert (ran.returncode, written(ran.stdout)) == (0, texts["writer"][1].strip())
    assert "Traceback" not in ran.stderr
    total = "6 model calls, 6,300 tokens (6,000 in, 3,000 of them cached; 300 out)"
    assert f"{total}, {cost}" in ran.stderr
    assert f"researcher asked {model}: 1,050 tokens" in ran.stderr
    assert "no model wrote this" not in ran.stderr
    assert "writes " not in ran.stderr  # live text is shown only on terminals
    received = edge.received()
    assert [each.key for each in received] == [KEY] * 6
    assert '"text":' not in "".join(turn.text for each in received for turn in each.turns)  # findings are lines
    shown = invoke("show", "r", "--store", "runs.db").stdout
    assert f"writer asked {model}: 1,050 tokens" in shown
    assert invoke("export", "r", "-o", "run.json", "--store", "runs.db").exit_code == 0
    see_no_key(folder, ran.stdout, ran.stderr, shown)


def written(brief: str) -> str:
    """Return a brief without the note on how many sources its sentences rest on."""
    return brief.partition("\n\n> On one source alone")[0].strip()


def test_what_a_researcher_invents_goes_back_to_it(
    edge: EdgeServer, invoke: Invoke, texts: dict[str, list[str]]
) -> None:
    """A sentence that no source has is reported to the model, which answers again."""
    wrong = Quotations(quotations=[Passage(text="Logs are made of oak.", file="logging.md")])
    edge.answer(team(texts, researcher=(wrong.model_dump_json(), *texts["researcher"])))
    found = invoke("run", LOOP, "--model", "anthropic:claude-haiku-4-5", "--store", "runs.db")
    assert found.exit_code == 0
    shown_text = next(each for each in edge.received() if len(each.turns) > 1).turns[-1].text
    assert "leave it out:\n- logging.md: 'Logs are made of oak.'" in shown_text


@pytest.mark.usefixtures("at_home")
def test_a_run_can_continue_with_another_provider(
    edge: EdgeServer, invoke: Invoke, texts: dict[str, list[str]]
) -> None:
    """Recorded answers are not requested again, and the cost of each model is shown separately and in total."""
    edge.answer(team(texts))
    stopped = invoke(
        *(
            "run",
            LOOP,
            "--model",
            "anthropic:claude-haiku-4-5",
            "--limit",
            "visits=3",
            "--run-id",
            "r",
            "--store",
            "runs.db",
        )
    )
    assert stopped.exit_code == 4
    (resume,) = re.findall(r"resume: graphengine (.*)", stopped.stderr)
    assert "--model anthropic:claude-haiku-4-5" in resume
    words = ["resume", "r", "--graph", LOOP, "--store", "runs.db"]
    done = invoke(*words, "--model", "openai:gpt-5-mini", "--limit", "visits=none")
    assert (done.exit_code, written(done.stdout)) == (0, texts["writer"][1].strip())
    assert "cost unknown, at least 0.0024 USD" in done.stderr
    assert [one.path for one in edge.calls] == ["/v1/messages"] * 3 + ["/v1/responses"] * 3
    table = invoke("show", "r", "--usage", "--store", "runs.db").stdout
    assert re.search(r"(?m)^anthropic:claude-haiku-4-5 +3 .* 0\.0024 USD$", table)
    assert re.search(r"(?m)^openai:gpt-5-mini +3 .* unknown$", table)
    assert re.search(r"(?m)^writer +2 ", table)
    assert re.search(r"(?m)^review +2 ", table)


def test_one_agent_of_the_review_loop_is_asked_at_another_provider(
    edge: EdgeServer, invoke: Invoke, texts: dict[str, list[str]]
) -> None:
    """The option for the reviewer takes precedence over that for all agents."""
    edge.answer(team(texts))
    words = ["--model", "anthropic:claude-haiku-4-5", "--model", "reviewer=openai:gpt-5-mini", "--store", "runs.db"]
    ran = invoke("run", LOOP, *words)
    assert (ran.exit_code, written(ran.stdout)) == (0, texts["writer"][1].strip())
    assert sorted(one.path for one in edge.calls) == ["/v1/messages"] * 4 + ["/v1/responses"] * 2
    assert "reviewer asked openai:gpt-5-mini" in ran.stderr


async def test_after_a_kill_only_the_interrupted_model_call_is_repeated(
    folder: Path, edge: EdgeServer, texts: dict[str, list[str]]
) -> None:
    """After kill -9 during the reviewer's call, another provider's reviewer continues with the existing draft."""
    shown_text = {name: list(says(*each)) for name, each in texts.items()}
    edge.answer(Team({**shown_text, "reviewer": [Says(texts["reviewer"][0], held=True)]}))
    words = (LOOP, "--model", "openai-chat:gpt-5-mini", "--run-id", "r", "--store", "runs.db")
    process = start(folder, "run", *words)
    await edge.arrived(3)
    process.kill()
    process.communicate()
    edge.play(*says(texts["reviewer"][1]))
    claude = ("--model", "anthropic:claude-haiku-4-5")
    done = call(folder, "resume", "r", "--graph", LOOP, *claude, "--store", "runs.db", "--json")
    assert done.returncode == 0
    made = document(done.stdout)
    spent = [(each["agent"], each["model"], each["calls"]) for each in made["spending"]]
    assert spent == [
        ("researcher", "openai-chat:gpt-5-mini", 1),
        ("writer", "openai-chat:gpt-5-mini", 1),
        ("reviewer", "anthropic:claude-haiku-4-5", 1),
    ]
    assert made["usage"]["cost_usd"] is None
    assert made["usage"]["priced_usd"] == 0.0
    (asked,) = [s for s in made["steps"] if s["kind"] == "recorded" and s["node"] == "review"]
    assert asked["detail"]["by"] == {"agent": "reviewer", "model": "anthropic:claude-haiku-4-5"}
    assert (asked["usage"]["input_tokens"], asked["usage"]["cache_read_tokens"]) == (1000, 500)
    assert "writes" not in done.stderr
    shown = call(folder, "show", "r", "--store", "runs.db").stdout
    assert "not counted: model calls in flight, if any, at 1 death of its process" in shown


@pytest.mark.parametrize(
    ("scenes", "shown_text"),
    [
        ([Fails("wrong_key")], ("not_authenticated", "does not accept the API key", "ANTHROPIC_API_KEY")),
        ([Fails("unknown_model")], ("unknown_model", "claude-haiku-4-5")),
        ([Fails("no_credit")], ("quota_exceeded",)),
        ([Babbles("html")], ("no_model_server", "127.0.0.1")),
        ([Fails("overloaded", retry_after_seconds=900)], ("model_busy", "asked to wait for 900 s", "Router")),
        ([Says("", stop="refused", why="no")], ("answer_refused",)),
    ],
)
def test_a_model_that_gives_no_answer_fails_the_run_in_a_screen_of_text(
    folder: Path, edge: EdgeServer, invoke: Invoke, scenes: list[Says], shown_text: tuple[str, ...]
) -> None:
    """A model without an answer gives exit code 1 and no traceback; the run can be resumed, also by rules."""
    edge.play(*says("What is it?"), *scenes)
    found = invoke("run", "asking", "--model", "anthropic:claude-haiku-4-5", "--run-id", "r")
    assert found.exit_code == 1
    for text in ("failed at answer", *shown_text):
        assert text in found.stderr
    assert "Traceback" not in found.output
    assert len(found.stderr.splitlines()) <= 24
    went_on = invoke("resume", "r", "--model", "rules", "--json")
    assert document(went_on.stdout)["state"] == {"text": "Why?", "first": "What is it?", "second": "so"}
    see_no_key(folder, found.output, went_on.output, invoke("show", "r", "--json").output)


def test_a_missing_key_is_reported_with_its_variable(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run fails and can be resumed; no work is lost."""
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    found = invoke("run", LOOP, "--model", "anthropic", "--run-id", "r", "--store", "runs.db")
    assert found.exit_code == 1
    assert (
        "model_unavailable: the model 'anthropic:claude-haiku-5-5' needs an API key, but the environment variable "
        "ANTHROPIC_API_KEY is not set" in found.stderr
    )
    assert "--model rules" in found.stderr
    assert "Traceback" not in found.output
    assert "--model anthropic " in found.stderr.partition("resume: ")[2]
    done = invoke("resume", "r", "--graph", LOOP, "--model", "rules", "--store", "runs.db")
    assert (done.exit_code, "finished [no longer improving]" in done.stderr) == (0, True)
    assert "no model wrote this: rules or placeholders answered" in done.stderr


def test_a_run_that_a_model_failed_asks_that_model_again(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file's default does not stand in for a model that was named; who names it gets it."""
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    graph = LOOP.replace("review_loop", "handoff")
    assert invoke("run", graph, "--model", "anthropic", "--run-id", "r", "--store", "runs.db").exit_code == 1
    unasked = invoke("resume", "r", "--graph", graph, "--store", "runs.db")
    assert (unasked.exit_code, "ANTHROPIC_API_KEY is not set" in unasked.stderr) == (1, True)
    asked = invoke("resume", "r", "--graph", graph, "--store", "runs.db", "--model", "default")
    assert (asked.exit_code, "dry run: placeholders answer" in asked.stderr) == (0, True)


def test_a_server_that_is_down_is_retried_and_then_reported(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch, edge: EdgeServer
) -> None:
    """Once it is up, the run continues."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but not listening
        monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{taken.getsockname()[1]}/v1")
        found = invoke("run", "asking", "--model", "openai:gpt-5-mini", "--run-id", "r")
    assert found.exit_code == 1
    assert "retry    ask (visit 1, attempt 1) failed" in found.stderr
    assert "model_unreachable: " in found.stderr
    assert "Traceback" not in found.output
    monkeypatch.setenv("OPENAI_BASE_URL", edge.openai_url)
    edge.play(*says("What is it?", "A cloud."))
    assert invoke("resume", "r", "--model", "openai:gpt-5-mini").stdout == "A cloud.\n"


@pytest.mark.usefixtures("at_home")
def test_a_limit_on_costs_stops_before_the_call_that_would_be_too_much(edge: EdgeServer, invoke: Invoke) -> None:
    """The pasted command, with a higher limit and the same model, continues the run."""
    edge.play(*says("What is it?", "A cloud."))
    words = ["--model", "anthropic:claude-haiku-4-5", "--limit", "cost_usd=0.0005"]
    stopped = invoke("run", "asking", *words, "--run-id", "r")
    assert stopped.exit_code == 4
    assert "cost_usd 0.0008 >= 0.0005" in stopped.stderr
    (resume,) = re.findall(r"resume: graphengine (.*)", stopped.stderr)
    assert invoke(*shlex.split(resume)).stdout == "A cloud.\n"


def test_under_a_limit_on_costs_an_unknown_price_is_refused_unless_allowed(edge: EdgeServer, invoke: Invoke) -> None:
    """No model is called; the pasted command allows it."""
    words = ["--model", "openai-chat:llama", "--limit", "cost_usd=0.5"]
    refused = invoke("run", "asking", *words, "--run-id", "r")
    assert (refused.exit_code, edge.calls) == (1, [])
    assert "price_unknown: the price of the model 'openai-chat:llama' is not known" in refused.stderr
    (resume,) = re.findall(r"resume: graphengine (.*)", refused.stderr)
    assert "--limit unknown_cost=yes" in resume
    edge.play(*says("What is it?", "A cloud."))
    done = invoke(*shlex.split(resume))
    assert (done.exit_code, done.stdout) == (0, "A cloud.\n")
    assert "cost unknown\n" in done.stderr
    edge.play(*says("What is it?", "A cloud."))
    allowed = invoke("run", "asking", *words, "--limit", "unknown_cost=yes")
    assert allowed.exit_code == 0


def test_a_set_of_models_is_taken_by_its_name(edge: EdgeServer, invoke: Invoke) -> None:
    """An option for one agent takes precedence, in either order."""
    edge.play(*says("A cloud."))
    assert invoke("run", "asking", "--model", "cheap").stdout == "A cloud.\n"
    assert edge.received()[0].turns[-1].text == "Answer: <first>who knows</first>"
    alone = invoke("run", "asking", "--model", "answerer=rules", "--model", "cheap")
    assert alone.stdout == "so\n"
    assert "no model wrote this: rules or placeholders answered" in alone.stderr


@pytest.mark.usefixtures("at_home")
def test_a_branch_shows_what_it_spent_itself(edge: EdgeServer, invoke: Invoke) -> None:
    """Steps shared with the parent are inherited; the tree has what each run spent, and the sum."""
    edge.play(*says("What is it?", "A cloud.", "A cow."))
    claude = ("--model", "anthropic:claude-haiku-4-5")
    invoke("run", "asking", *claude, "--run-id", "r")
    assert re.search(r"(?m)^by agent: answerer 0\.0008 USD, asker 0\.0008 USD$", invoke("show", "r").stdout)
    assert invoke("branch", "r", "--at", "3", *claude, "--run-id", "b").stdout == "A cow.\n"
    table = invoke("show", "b", "--usage").stdout
    assert re.search(r"(?m)^answerer +own +1 ", table)
    assert re.search(r"(?m)^asker +inherited +1 ", table)
    made = document(invoke("show", "b", "--usage", "--json").stdout)
    assert [(each["agent"], each["inherited"]) for each in made["spending"]] == [("asker", True), ("answerer", False)]
    assert made["inherited"]["calls"] == 1
    tree = invoke("runs", "--tree").stdout
    assert re.search(r"(?m)^r .* 0\.0016 USD +0\.0024 USD +Why\?$", tree)
    assert re.search(r"(?m)^└─ b .* 0\.0008 USD +Why\?$", tree)
    runs = {run["run_id"]: run for run in document(invoke("runs", "--tree", "--json").stdout)["runs"]}
    assert (runs["b"]["spent"]["calls"], runs["r"]["spent_in_all"]["calls"]) == (1, 3)


def test_a_worker_takes_models_for_the_graphs_that_have_the_agents(
    folder: Path, edge: EdgeServer, invoke: Invoke
) -> None:
    """Graphs without the agent are not an error; an agent that no graph has is refused."""
    for graph, node, run_id in (("asking", "answer", "r"), ("counter", "more", "c")):
        invoke("run", graph, "--pause-before", node, "--run-id", run_id)
        invoke("answer", run_id, "yes", "--no-resume")
    edge.play(*says("A cloud."))
    refused = invoke("worker", "--model", "askr=rules")
    assert (refused.exit_code, "has no agent" in refused.stderr) == (2, True)
    worker = start(folder, "worker", "--model", "answerer=anthropic:claude-haiku-4-5", "--poll", "0.05")
    ends = {"r": "finished", "c": "waiting"}
    while ends:
        verb, run_id = worker.stdout.readline().partition(":")[0].split()[:2]
        if verb != "resumes":
            assert ends.pop(run_id) == verb
    worker.send_signal(signal.SIGTERM)
    worker.communicate(timeout=30)
    assert document(invoke("show", "r", "--json").stdout)["state"]["second"] == "A cloud."


def test_a_models_text_is_shown_live(folder: Path, edge: EdgeServer) -> None:
    """A model's text is shown on a terminal before the answer is complete; afterwards it is erased."""
    edge.play(*says("What is it?"), Says("Clouds are water.", held=True))
    master, slave = pty.openpty()
    process = launch(folder, "run", "asking", "--model", "openai-chat:llama", stderr=slave)
    os.close(slave)
    seen = b""
    while b"Clouds" not in seen:
        seen += os.read(master, 4096)
    edge.release()
    while chunk := _read(master):
        seen += chunk
    os.close(master)
    out, _ = process.communicate(timeout=30)
    assert (process.returncode, out) == (0, "Clouds are water.\n")
    assert "\r\x1b[2K" in seen.decode().partition("writes    answer: Clouds")[2]


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # all writers are closed
        return b""


OTHER: Final = """
other = Graph("other", Talk, result="first")
other.add_node("judge", Agent("judge", prompt="{text}"), writes="first")
other.add_path(START, "judge", END)
"""


def test_a_set_of_models_serves_every_graph_of_its_file(folder: Path, edge: EdgeServer, invoke: Invoke) -> None:
    """Each graph takes what the set has for its own agents; those of the other graph are no error."""
    text = ASKER.replace('"answerer": "anthropic', '"judge": "openai-chat:judging", "answerer": "anthropic')
    (folder / "flows" / "asking.py").write_text(text + OTHER)
    edge.play(*says("Fine."))
    found = invoke("run", "other", "--model", "cheap", "--store", "runs.db")
    assert (found.exit_code, found.stdout) == (0, "Fine.\n"), found.stderr
    assert [each.body["model"] for each in edge.received()] == ["judging"]
    edge.play(*says("A cloud.", "Water."))
    assert invoke("run", "asking", "--model", "cheap", "--store", "runs.db").exit_code == 0
