"""A misspelt word is reported with the closest known one, and with the documented exit code."""

import signal
from pathlib import Path

import pytest
from click.testing import CliRunner

from graphengine.cli.context import Exit
from graphengine.cli.main import main
from tests.cli.programs import GATED, call, read_until, start

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
