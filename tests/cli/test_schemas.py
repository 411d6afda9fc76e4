import json
import shlex
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner

from graphengine.cli.main import COMMANDS, main
from graphengine.cli.schemas import documents, schema_of
from tests.cli.programs import COUNTER, start
from tests.cli.scratch import add_failure
from tests.cli.test_help import command
from tests.kit.documents import check_document

MORE: dict[str, list[str]] = {
    "run": ["run review --after tides --run-id p", "run review --queue mail --tenant ann"],
    "eval": ["eval review --data cases.jsonl --limit visits=1"],
    "resume": ["resume failing"],
    "branch": ["branch tides --at 2 --set score=9 --dry-run"],
    "runs": ["runs --graph review --fields score"],
    "show": ["show failing", "show post"],
    "doctor": ["doctor --production"],
    "bulk": ["bulk tag review --tag seen --yes"],
    "prune": ["prune --vacuum"],
    "diff": ["diff tides desk"],
}
"""The calls that write documents which no example of the command's `--help` writes."""

ELSEWHERE = {"inspect", "mcp", "serve", "watch", "worker", "schema"}
"""Commands that are called below, or in tests of their own."""


def calls(name: str) -> list[str]:
    """Return calls that write all documents of a command: those above, and the examples of its `--help`."""
    examples = (shlex.split(each.partition(" > ")[0], comments=True)[1:] for each in command(name).examples)
    as_text = ([word for word in words if word not in ("--json", "--csv")] for words in examples)
    return [*MORE.get(name, ()), *map(shlex.join, as_text)]


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


def test_every_command_has_a_document() -> None:
    """Add a new command's documents to graphengine/cli/schemas.py or its wing."""
    assert set(documents()) | {"schema"} == set(COMMANDS)


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in ELSEWHERE])
def test_a_commands_output_matches_its_models(tried: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every example writes one of the command's documents, with known keys only, and each document is written once.

    If no example writes a document, add a call to `MORE`.
    """
    monkeypatch.setenv("HOOK_SECRET", "a secret")
    failing(tried)
    if name == "prove":
        add_failure(tried)
    schemas: Any = schema_of(name)["$defs"]
    models = {kind.model.__name__ for kind in documents()[name]}
    validators = {
        each: jsonschema.Draft202012Validator({"$ref": f"#/$defs/{each}", "$defs": schemas}) for each in models
    }
    seen = set[str]()
    for line in calls(name)[-1:] if name == "prove" else calls(name):  # each of `prove` is slow
        done = CliRunner().invoke(main, [*shlex.split(line), "--json"])
        assert done.exit_code in (0, 1, 2, 3, 4), done.output
        written = json.loads(done.stdout)
        check_document(name, written)
        fitting = {each for each, valid in validators.items() if valid.is_valid(written)}
        fitting = {each for each in fitting if set(written) <= set(schemas[each]["properties"])}
        assert fitting, (line, written)
        seen |= fitting
    assert seen == models


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
