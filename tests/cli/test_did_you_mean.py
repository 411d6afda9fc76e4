"""A misspelt word is reported with the closest known one, and with the documented exit code."""

import re
import signal
from pathlib import Path

import pytest
from click.testing import CliRunner

from graphengine.cli.context import Exit
from graphengine.cli.main import main
from tests.cli.programs import GATED, call, document, read_until, start

MISSPELT = [
    ("sho tides", "'show'"),
    ("history tides", "'show RUN'"),
    ("list", "'runs'"),
    ("help", "'--help'"),
    ("show tides --db runs.db", "'--store'"),
    ("schedule ad tea", "'add'"),
    ("queus list", "'queues'"),
    ("show tides --stpe 1", "'--step'"),
    ("--hlp", "'--help'"),
    ("runs --status finishd", "'finished'"),
    ("prune --status stoped --keep-last 1", "'stopped'"),
    ("prune --keep-tag nightl --keep-last 0 --yes", "'nightly'"),
    ("completion bsh", "'bash'"),
    ("schema rums", "'runs'"),
    ("new fresh --from writersroom", "'writers_room'"),
    ("run reviw", "'review'"),
    ("run flows/reviw.py", "flows/review.py"),
    ("check reviw", "'review'"),
    ("worker --graph reviw", "'review'"),
    ("render reviwe -o x.txt", "'review'"),
    ("show tidez", "'tides'"),
    ("resume cutt", "'cut'"),
    ("replay tidez", "'tides'"),
    ("run review --after tidez", "'tides'"),
    ("run review --input tsk=1", "'task'"),
    ("branch tides --at 1 --set drat=1", "'draft'"),
    ("run review --pause-before wrte", "'write'"),
    ("run review --limit vists=1", "visits=…"),
    ("run review --limit steps=1", "visits=…"),
    ("run review --model ruls", "'rules'"),
    ("run review --model writer=rules", "'write'"),
    ("answer post yes --question approv", "'approve'"),
]


def unquoted(text: str) -> str:
    """Return a text without quotes around options: click has put them there since 8.4."""
    return re.sub(r"'(--[a-z]+)'", r"\1", text)


def suggested(meant: str) -> str:
    """Return the question that suggests a word."""
    return unquoted(f"id you mean {meant}?")


@pytest.mark.parametrize(("line", "meant"), MISSPELT, ids=[line for line, _ in MISSPELT])
def test_a_misspelt_word_is_reported_with_the_closest_one(tried: Path, line: str, meant: str) -> None:
    """A misspelt word is reported with the closest one on one screen, with exit code 2; the same under --json."""
    found = CliRunner().invoke(main, line.split())
    assert found.exit_code == Exit.USAGE, found.output
    assert suggested(meant) in unquoted(found.stderr)
    assert len(found.stderr.splitlines()) < 20
    assert "Traceback" not in found.output
    shown_text = document(CliRunner().invoke(main, [*line.split(), "--json"]).stdout)["error"]
    assert suggested(meant) in unquoted(shown_text["message"] + shown_text["repair"])


def test_inputs_without_their_option_and_models_without_an_agent(tried: Path) -> None:
    """The repair is the option; a model of a graph without agents is pointless."""
    found = CliRunner().invoke(main, ["run", "review", "task=x"])
    assert (found.exit_code, "Inputs are options: --input task=x" in found.stderr) == (Exit.USAGE, True)


def test_a_setting_that_nothing_reads(tried: Path) -> None:
    """The repair is the setting of the closest name; also if the command needs another setting."""
    place = tried / "pyproject.toml"
    text = place.read_text()
    for line, repair in (("stor = 'x.db'", "did you mean 'store'?"), ("db = 'x.db'", 'write store = "runs.db"')):
        place.write_text(text.replace("[tool.graphengine]", f"[tool.graphengine]\n{line}"))
        for command in ("check", "runs"):
            found = CliRunner().invoke(main, [command])
            assert (found.exit_code, repair in found.stderr) == (Exit.USAGE, True), found.output


def test_a_command_that_reads_a_record_says_that_it_needs_no_graph(tried: Path) -> None:
    """`--graph` is for commands that run a graph's code."""
    found = CliRunner().invoke(main, ["show", "tides", "--graph", "flows/review.py"])
    assert (found.exit_code, "reads the record of a run, which needs no graph" in found.stderr) == (Exit.USAGE, True)


def test_a_tag_or_a_graph_that_no_run_has_gives_a_hint_and_no_error(tried: Path) -> None:
    """Such runs can exist later; but a misspelt tag that should keep runs is refused, see above."""
    listed = CliRunner().invoke(main, ["runs", "--tag", "nightl"])
    assert (listed.exit_code, "did you mean 'nightly'?" in listed.stderr) == (0, True)
    assert "did you mean" not in CliRunner().invoke(main, ["runs", "--tag", "other"]).stderr
    assert "did you mean" not in CliRunner().invoke(main, ["runs", "--tag", "nightly", "--status", "failed"]).stderr
    pruned = CliRunner().invoke(main, ["prune", "--graph", "reviw", "--keep-last", "0", "--dry-run"])
    assert (pruned.exit_code, "did you mean 'review'?" in pruned.stderr) == (0, True)
    kept = CliRunner().invoke(main, ["prune", "--keep-tag", "other", "--keep-last", "0", "--dry-run"])
    assert kept.exit_code == 0


CODES = [
    ("run review", Exit.FINISHED),
    ("run flows/failing.py", Exit.FAILED),
    ("run nothing", Exit.USAGE),
    ("run publish", Exit.WAITING),
    ("run review --limit visits=1", Exit.STOPPED),
    ("runs --store nowhere.db", Exit.STORE),
]


@pytest.mark.parametrize(("line", "code"), CODES, ids=[code.name for _, code in CODES])
def test_exit_codes_are_as_documented(tried: Path, line: str, code: Exit) -> None:
    """Exit codes are as documented, also under --json and with --debug."""
    text = (tried / "flows" / "review.py").read_text()
    (tried / "flows" / "failing.py").write_text(text.replace("return min", "raise ValueError\n    return min"))
    for more in ([], ["--json"], ["--debug"]):
        assert CliRunner().invoke(main, [*line.split(), *more]).exit_code == code


def test_a_driven_run_and_an_interrupt_have_exit_codes_of_their_own(tmp_path: Path) -> None:
    """A driven run has exit code 6, and the second Ctrl-C 130."""
    (tmp_path / "gated.py").write_text(GATED)
    (tmp_path / "blocking").touch()
    process = start(tmp_path, "run", "gated.py", "--run-id", "r")
    read_until(process, "in second")
    assert call(tmp_path, "resume", "r", "--graph", "gated.py").returncode == Exit.DRIVEN
    process.send_signal(signal.SIGINT)
    read_until(process, "again ends at once")
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == Exit.INTERRUPTED
