import time
from pathlib import Path

import pytest

from graphengine import Runner
from graphengine.cli.project import find
from graphengine.cli.terminal import Channel
from graphengine.records.selection import Wanted, newest
from graphengine.testing import FakeClock
from tests.cli.programs import ASKING, COUNTER, Invoke, document


def ids(invoke: Invoke, *words: str) -> list[str]:
    """Return the runs that match these filters."""
    return [run["run_id"] for run in document(invoke("runs", *words, "--json").stdout)["runs"]]


@pytest.fixture
def recorded(invoke: Invoke, project: Path) -> Invoke:
    """The command line in a project with two runs of `counter` and a failed one of `tally`."""
    (project / "flows" / "tally.py").write_text(
        COUNTER.replace('"counter"', '"tally"').replace("return n + 1", "raise ValueError('no')")
    )
    invoke("run", "counter", "--run-id", "first", "--tag", "kept")
    invoke("run", "tally", "--run-id", "second", "--tag", "kept")
    invoke("run", "counter", "--run-id", "third")
    return invoke


def test_a_run_is_listed_by_the_first_line_of_its_input(invoke: Invoke, project: Path) -> None:
    """A list of runs can be read without knowing their ids; in `--json` the title is in the summary."""
    program = COUNTER.replace("    n: int = 0", "    task: str\n    n: int = 0")
    (project / "flows" / "titled.py").write_text(program.replace('"counter"', '"titled"'))
    invoke("run", "titled", "--input", "task=How tides work\nfor children")
    assert "How tides work  " in invoke("runs").stdout
    assert [run["summary"]["title"] for run in document(invoke("runs", "--json").stdout)["runs"]] == ["How tides work"]


@pytest.mark.parametrize(
    ("words", "left"),
    [
        (["--graph", "counter"], ["third", "first"]),
        (["--graph", "counter", "--tag", "kept"], ["first"]),
        (["--status", "failed"], ["second"]),
        (["--graph", "counter", "--status", "failed"], []),
        (["--newer-than", "1h"], ["third", "second", "first"]),
        (["--older-than", "1h"], []),
        (["--older-than", "0s", "--limit", "2"], ["third", "second"]),
        (["--tree", "--graph", "tally"], ["second"]),
    ],
)
def test_filters_narrow_the_list_together(recorded: Invoke, words: list[str], left: list[str]) -> None:
    """Each listed run matches all filters."""
    assert ids(recorded, *words) == left


async def test_age_is_that_of_the_last_step(project: Path) -> None:
    """An old run with a recent step is new, and is found even after many newer runs."""
    graph = find("counter").graph
    clock = FakeClock(time.time() - 7200)
    async with Runner("checkpoints/runs.db", clock=clock) as runner:
        await runner.start(graph, {}, run_id="old").result()
        await runner.start(graph, {}, run_id="moved", pause_before=["more"]).result()
        for number in range(3):
            await runner.start(graph, {}, run_id=f"later{number}").result()
    async with Runner("checkpoints/runs.db") as runner:
        await runner.answer("moved", value=True)
        await runner.resume("moved", graph).result()
        wanted = [Wanted(9, newer_seconds=3600), Wanted(9, older_seconds=3600)]
        new, old = [[info.id for info in await newest(runner.store, each)] for each in wanted]
    assert new == ["moved"]
    assert sorted(old) == ["later0", "later1", "later2", "old"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--graph", "countr"], "no run has the graph 'countr'; did you mean 'counter'?"),
        (["--tag", "xyz"], "no run has the tag 'xyz'; known: kept"),
        (["--graph", "counter", "--status", "failed"], "no runs with graph counter"),
        (["--older-than", "1d"], "no runs whose last step is older in checkpoints/runs.db"),
    ],
)
def test_a_filter_without_matches_suggests_a_known_name(recorded: Invoke, words: list[str], message: str) -> None:
    """An unknown name is reported with the nearest known one; an empty list is not an error."""
    found = recorded("runs", *words)
    assert (found.exit_code, found.stdout) == (0, "")
    assert message in " ".join(found.stderr.split()).replace("with status failed and ", "")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--older-than", "1"], "give a number and s, m, h, d or w, e.g. 30d"),
        (["--status", "done"], "'done' is not one of"),
        (["--older-than", "7d", "--newer-than", "1d"], "no run can be both"),
    ],
)
def test_an_invalid_filter_is_reported(recorded: Invoke, words: list[str], message: str) -> None:
    """An invalid filter is reported with exit code 2 and the valid values."""
    found = recorded("runs", *words)
    assert found.exit_code == 2
    assert message in found.stderr


@pytest.mark.parametrize("columns", [80, 40])
@pytest.mark.parametrize("words", [["runs"], ["runs", "--tree"], ["show", "水水水水"]])
def test_the_table_fits_the_terminal(
    recorded: Invoke, monkeypatch: pytest.MonkeyPatch, columns: int, words: list[str]
) -> None:
    """Expendable columns are dropped, wide characters count as two; ids are never cut."""
    recorded("branch", "third", "--at", "2", "--run-id", "水水水水")
    monkeypatch.setattr(Channel, "columns", columns)
    recorded("run", "counter")  # whose id is a long one
    lines = recorded(*words).stdout.splitlines()
    table = [line for line in lines if "  " in line.strip()]
    assert max(len(line) + line.count("水") for line in table) <= columns
    assert any("水水水水" in line for line in lines)


def test_one_long_id_hides_no_column(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal an id that is longer than the others moves only its own row."""
    for run_id in ("one", "x" * 60):
        invoke("run", "counter", "--run-id", run_id)
    monkeypatch.setattr(Channel, "columns", 80)
    heading, long, short = invoke("runs").stdout.splitlines()
    assert {"graph", "status", "last"} <= {*heading.split()}
    assert long.startswith("x" * 60 + "  counter")
    assert short.startswith("one" + " " * 19 + "counter")


@pytest.mark.parametrize("columns", [120, 80, 40])
def test_what_a_run_waits_for_is_shown_below_it_on_a_terminal(
    invoke: Invoke, project: Path, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    """All words of a question, however narrow the terminal."""
    (project / "flows" / "asking.py").write_text(ASKING.replace("TYPE", "str").replace("What?", "水 or wine? " * 9))
    invoke("run", "asking", "--run-id", "r")
    monkeypatch.setattr(Channel, "columns", columns)
    heading, row, *lines = invoke("runs").stdout.splitlines()
    assert "waits for" not in heading
    assert row.startswith("r ")
    assert " ".join(line.strip() for line in lines).endswith(("水 or wine? " * 9).strip())
    assert all(line.startswith("    ") and len(line) + line.count("水") <= columns for line in lines)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["answer", "broken", "yes"], "resume it: `graphengine resume`"),
        (["prune", "--older-than", "1d", "--dry-run"], "no run to remove"),
        (["export", "one", "-o", "one.json"], "run one, 1 step: written to one.json"),
    ],
)
def test_an_impossible_command_suggests_a_possible_one(
    invoke: Invoke, project: Path, words: list[str], message: str
) -> None:
    """An impossible command suggests a possible one, in words that match the run."""
    invoke("run", "counter", "--run-id", "one", "--pause-before", "more")
    (project / "flows" / "broken.py").write_text(COUNTER.replace("return n + 1", "return n / 0"))
    invoke("run", "flows/broken.py", "--run-id", "broken")
    found = invoke(*words)
    assert message in found.stdout + found.stderr


@pytest.mark.parametrize(
    ("words", "left"),
    [
        (["FIRST"], ["first"]),
        (["valueerror", "tall"], ["second"]),
        (["tally ValueError kept"], ["second"]),
        (["coun", "status:finished", "tag:kept"], ["first"]),
        (["graph:counter", "since:1h"], ["third", "first"]),
        (["counter", "--tag", "kept"], ["first"]),
        (["before:2026-01-01"], []),
        (["cost>0.5"], []),
        (["error:ValueError"], []),
        (["ounter"], []),
    ],
)
def test_words_find_runs(recorded: Invoke, words: list[str], left: list[str]) -> None:
    """Words of ids, graphs, tags and endings, or their beginnings, with filters among them and options beside them."""
    assert ids(recorded, *words) == left


def test_a_search_that_finds_nothing_says_for_what(recorded: Invoke) -> None:
    """The words are named, and a filter with a value that it cannot have is an error with a repair."""
    assert (
        "no runs with status failed and with the words nowhere in"
        in recorded("runs", "nowhere", "status:failed").stderr
    )
    for word, repair in (
        ("status:fialed", "did you mean 'failed'?"),
        ("since:week", "how long ago they began at most, e.g. 7d"),
        ("tag:", "give a tag"),
        ("after:soon", "e.g. 2026-01-31"),
    ):
        found = recorded("runs", word)
        assert found.exit_code == 2
        assert repair in found.stderr
    assert "is given twice" in recorded("runs", "status:failed", "--status", "finished").stderr


def test_trends_add_up_the_runs_of_an_interval(recorded: Invoke) -> None:
    """By graph or tag, for the runs that a search finds; on a terminal and as a document."""
    made = document(recorded("runs", "--trends", "--json").stdout)
    rows = [(each["name"], each["runs"], each["statuses"]) for each in made["trends"]]
    assert rows == [("counter", 2, {"finished": 2}), ("tally", 1, {"failed": 1})]
    assert made["every_seconds"] == 86_400
    assert made["trends"][0]["since"] % 86_400 == 0
    assert made["trends"][0]["median_seconds"] <= made["trends"][0]["p95_seconds"] <= made["trends"][0]["seconds"]
    by_tag = document(recorded("runs", "--trends", "--by", "tag", "--every", "1w", "--json").stdout)
    assert [(each["name"], each["statuses"]) for each in by_tag["trends"]] == [("kept", {"failed": 1, "finished": 1})]
    (heading, line) = recorded("runs", "--trends", "tally").stdout.splitlines()
    assert heading.split()[:4] == ["since", "(UTC)", "graph", "runs"]
    assert line.split()[1:4] == ["tally", "1", "1"]
    refused = recorded("runs", "--trends", "--newer-than", "1d")
    assert (refused.exit_code, "since" in refused.stderr) == (2, True)
