import json
import shlex
from pathlib import Path

import jsonschema
import pytest
from click.testing import CliRunner

from graphengine.cli.main import COMMANDS, main
from graphengine.cli.schemas import documents, schema_of
from tests.cli.programs import COUNTER, start
from tests.cli.scratch import add_failure
from tests.kit.documents import check_document

CALLS: dict[str, list[tuple[str, str]]] = {
    "new": [("new my_flows", "Made"), ("new --list", "Workflows")],
    "graphs": [("graphs", "Graphs")],
    "run": [
        ("run review --pause-before review", "Run"),
        ("run review --after tides --run-id p", "Run"),
        ("run review --queue mail --tenant ann", "Queued"),
    ],
    "eval": [
        ("eval review --data cases.jsonl --against flows/review.py", "Report"),
        ("eval review --data cases.jsonl --limit visits=1", "Run"),
    ],
    "resume": [("resume cut", "Run"), ("resume tides", "Run"), ("resume failing", "Run")],
    "answer": [("answer post yes", "Run"), ("answer post-2 yes --no-resume", "AnswerDocument")],
    "send": [("send desk tips one", "Run"), ("send desk-2 tips one --no-resume", "Sent")],
    "branch": [
        ("branch tides --at 2 --set score=9", "Run"),
        ("branch tides --at 2 --set score=9 --dry-run", "DryBranch"),
    ],
    "stop": [("stop post", "Stopped")],
    "workers": [("workers", "Workers")],
    "tag": [("tag tides --add kept", "Tagged")],
    "queues list": [("queues list", "Queues")],
    "queues set": [("queues set mail --concurrency 2 --tenant-rate 5/1m", "Queues")],
    "users list": [("users list", "UserList")],
    "users add": [("users add ada --tenant acme --rights start,answer", "UserList")],
    "users remove": [("users remove bob", "UserList")],
    "users oidc": [("users oidc https://login.example.org --audience a --tenant acme --rights read", "UserList")],
    "budgets": [("budgets", "BudgetsLeft")],
    "webhook-secret": [("webhook-secret HOME '/graphs/news/runs?field=event'", "WebhookSecret")],
    "schedule list": [("schedule list", "Schedules")],
    "schedule add": [('schedule add tea --cron "0 7 * * *" --graph review', "Schedules")],
    "schedule pause": [("schedule pause nightly", "Schedules")],
    "schedule resume": [("schedule resume nightly", "Schedules")],
    "schedule remove": [("schedule remove nightly", "Schedules")],
    "runs": [
        ("runs", "Runs"),
        ("runs --graph review --fields score", "Rows"),
        ("runs --tree", "Tree"),
        ("runs --trends", "Trends"),
    ],
    "show": [
        ("show tides", "Run"),
        ("show tides-2", "Run"),
        ("show failing", "Run"),
        ("show post", "Run"),
        ("show tides --step 2", "OneStep"),
        ("show tides --usage", "SpendingOfRun"),
    ],
    "backup": [("backup copy.db", "BackedUp"), ("backup unchecked.db --no-check", "BackedUp")],
    "doctor": [("doctor", "Examined"), ("doctor --repair", "Examined"), ("doctor --production", "Ready")],
    "replay": [("replay tides tides-2", "Replays"), ("replay tides.json --all", "Replays")],
    "export": [("export tides -o copy.json", "Exported"), ("export tides-2", "RunFile")],
    "import": [("import tides.json", "Imported"), ("import tides.json --store elsewhere.db", "Imported")],
    "bulk": [("bulk stop status:waiting --dry-run", "Bulk"), ("bulk tag review --tag seen --yes", "Bulk")],
    "erase": [("erase user:ada --dry-run", "ErasedPerson")],
    "prune": [
        ("prune --keep-last 0 --dry-run", "PruneDone"),
        ("prune --keep-last 100 --yes --vacuum", "PruneDone"),
        ("prune --vacuum", "PruneDone"),
    ],
    "diff": [
        ("diff tides tides-2", "Compared"),
        ("diff tides desk", "Compared"),
        ("diff tides tides --at 1 --at 4", "Compared"),
    ],
    "check": [("check", "Checked"), ("check review --strict", "Checked")],
    "render": [("render review -o review.txt", "Drawn"), ("render tides -o tides.mmd", "Drawn")],
    "completion": [("completion zsh", "Script")],
    "whatif": [("whatif tides --at write:1", "WhatIf")],
    "suite": [("suite tides tides-2 -o recorded", "Suite")],
    "prove": [("prove review --old v52 --keep recorded", "Proof")],
}
"""The arguments of each command, and the name of the document that it writes."""

LINES = [(command, line, name) for command, lines in CALLS.items() for line, name in lines]
ELSEWHERE = {"inspect", "mcp", "serve", "watch", "worker", "schema"}
"""Commands that are called below, or in tests of their own."""


def matches(command: str, name: str, text: str) -> None:
    """Check that the text is this document of a command, without keys that its struct lacks."""
    written = json.loads(text)
    check_document(command, written)
    schema = schema_of(command)["$defs"]
    assert isinstance(schema, dict)
    assert set(written) <= set(schema[name]["properties"])


def failing(folder: Path) -> None:
    """Record a run that failed after a retry, with a fallback and a graph inside."""
    more = """
from graphengine import Node, Retry, FAIL
def bad(n: int) -> int:
    raise ValueError("no")
inner = graph.but(name="inner")
graph = Graph("failing", Count)
graph.add_node("inner", inner, writes="text")
graph.add_node("soft", bad, writes="n", retry=Retry(attempts=2, initial_seconds=0), fallback=5, thread=False)
graph.add_node("each", lambda item: item, each={"item": "words"}, writes="notes", thread=False)
graph.add_node("hard", bad, writes="n", thread=False)
graph.add_path(START, "inner", "soft", "each", "hard", END)
example = {"words": ["a", "b"]}
"""
    (folder / "flows" / "failing.py").write_text(COUNTER + more)
    done = CliRunner().invoke(main, ["run", "failing", "--run-id", "failing"])
    assert done.exit_code == 1, done.output


def test_every_command_has_a_document_and_a_call_here() -> None:
    """Add a new command's documents to graphengine/cli/schemas.py or its wing, and to `CALLS` above."""
    assert set(documents()) | {"schema"} == set(COMMANDS)
    assert set(CALLS) | ELSEWHERE == set(COMMANDS)
    for command, kinds in documents().items():
        if command not in ELSEWHERE:
            written = {name for _, name in CALLS[command]}
            assert written == {kind.model.__name__ for kind in kinds}, f"each document of {command} is to be called for"


@pytest.mark.parametrize(("command", "line", "name"), LINES, ids=[line for _, line, _ in LINES])
def test_a_commands_output_matches_its_model(tried: Path, command: str, line: str, name: str) -> None:
    """Every key is known, every type is correct, and the published JSON Schema accepts it."""
    failing(tried)
    if command == "prove":
        add_failure(tried)
    done = CliRunner().invoke(main, [*shlex.split(line), "--json"])
    assert done.exit_code in (0, 1, 2, 3, 4), done.output
    matches(command, name, done.stdout)


def test_a_watched_runs_lines_match_their_models(tried: Path) -> None:
    """Each line of a watched run is one document, while the run waits and when that ends the watching."""
    process = start(tried, "watch", "post", "--json")
    lines = list(CliRunner().invoke(main, ["watch", "post", "--no-wait", "--json"]).stdout.splitlines())
    while '"stands"' not in lines[-1]:
        lines.append(process.stdout.readline())
    process.terminate()
    assert {json.loads(line)["event"] for line in lines} == {"step", "stands", "ended"}
    for line in lines:
        check_document("watch", json.loads(line))


def test_a_workers_lines_match_their_models(tried: Path) -> None:
    """Each line of a worker is one document, and matches its model."""
    lost = "run desk --run-id lost"
    assert CliRunner().invoke(main, lost.split()).exit_code == 3
    for line in ("answer post yes --no-resume", "send desk tips one --no-resume", "send lost tips x --no-resume"):
        assert CliRunner().invoke(main, line.split()).exit_code == 0
    (tried / "flows" / "desk.py").write_text((tried / "flows" / "desk.py").read_text().replace('"listen"', '"heard"'))
    process = start(tried, "worker", "--json")
    seen = set[str]()
    while seen != {"goes_on", "ended", "refused"}:
        line = process.stdout.readline()
        seen.add(json.loads(line)["event"])
        check_document("worker", json.loads(line))
    process.terminate()
    assert process.wait(30) == 0


def test_the_schema_of_all_commands_is_a_json_schema() -> None:
    """Those of single commands are checked as their documents are."""
    jsonschema.Draft202012Validator.check_schema(schema_of())


def test_a_schema_is_printed_and_a_misspelt_command_named() -> None:
    """A schema is printed as JSON, whether or not `--json` is given, and a misspelt command is named."""
    printed = CliRunner().invoke(main, ["schema", "stop"])
    assert json.loads(printed.stdout) == schema_of("stop")
    assert (
        CliRunner().invoke(main, ["schema", "--json"]).stdout
        == json.dumps(schema_of(), indent=2, ensure_ascii=False) + "\n"
    )
    wrong = CliRunner().invoke(main, ["schema", "rums"])
    assert (wrong.exit_code, "did you mean 'runs'?" in wrong.stderr) == (2, True)


def test_every_key_is_described() -> None:
    """Every key has a description in its model, shown in docs/use/cli.md and the schema."""
    message = json.loads(json.dumps(schema_of()))["$defs"]
    for name, part in message.items():
        assert part.get("description"), name
        for key, about in part.get("properties", {}).items():
            assert about.get("description"), f"{name}.{key}"
