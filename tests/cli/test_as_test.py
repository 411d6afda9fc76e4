"""`graphengine show RUN --as-test NODE`: tests made from recorded steps, from the command line."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from graphengine.cli.main import main
from tests.kit import forks


def show(line: str) -> Result:
    """Return the result of `show` for the run tides."""
    return CliRunner().invoke(main, ["show", "tides", *line.split()])


def test_a_nodes_last_visit_becomes_a_test_that_passes(tried: Path) -> None:
    """It imports the graph from the project, and pytest runs it."""
    shown = show("--as-test write")
    assert shown.exit_code == 0, shown.output
    assert "from flows.review import graph" in shown.stdout
    assert '"write",' in shown.stdout or '"write"' in shown.stdout
    done = show("--as-test write -o test_write.py")
    assert done.exit_code == 0
    assert done.stdout == ""
    assert "run it: pytest test_write.py" in done.stderr
    assert (tried / "test_write.py").read_text() == shown.stdout
    words = ("-q", "-p", "no:cacheprovider", "-p", "no:asyncio", "test_write.py")
    ran = forks.run("pytest", *words, folder=tried)
    assert "1 passed" in ran.stdout, ran.stdout


def test_a_step_is_named_by_its_seq(tried: Path) -> None:
    """A step is named by its seq, with or without the node's name, which must be the step's."""
    first = show("--step 2 --as-test")
    assert first.exit_code == 0, first.output
    assert "from step 2 of run tides" in first.stdout
    assert show("--step 2 --as-test write").stdout == first.stdout
    wrong = show("--step 2 --as-test review")
    assert wrong.exit_code == 2
    assert "step 2 is of write, not of review" in wrong.stderr


def test_json_has_the_text_and_its_file(tried: Path) -> None:
    """One JSON document has the text and its file."""
    document = json.loads(show("--as-test review --json").stdout)
    assert document["node"] == "review"
    assert document["file"] is None
    assert document["test"].startswith('"""Test of node review of graph review, from step ')


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--as-test writ", "did you mean 'write'"),
        ("--as-test --step 99", "has no step 99"),
        ("--as-test --step 1", "choose a step that ends a node"),
        ("--as-test", "name a node, --as-test NODE"),
        ("--as-test write --at 2", "--at or --as-test, not both"),
        ("--as-test write --usage", "--usage or --as-test, not both"),
        ("-o x.py", "--output goes with --as-test"),
        ("--graph flows/review.py", "--graph goes with --as-test"),
        ("--as-test write -o nowhere/test_x.py", "name a file in a folder that exists"),
        ("--as-test write -o task.txt", "the file task.txt exists already"),
    ],
)
def test_an_impossible_test_is_reported(tried: Path, line: str, message: str) -> None:
    """An unknown node or step, conflicting options, an existing file: exit code 2, and the repair."""
    done = show(line)
    assert done.exit_code == 2
    assert message in done.stderr
    assert (tried / "task.txt").read_text() == "The tides of the moon\n"


def test_a_file_that_no_test_can_import_is_reported(tried: Path) -> None:
    """A name with a dash is not a module name."""
    (tried / "flows" / "review.py").rename(tried / "flows" / "re-view.py")
    done = show("--as-test write --graph flows/re-view.py")
    assert done.exit_code == 2
    assert "give the file a name that Python can import" in done.stderr
