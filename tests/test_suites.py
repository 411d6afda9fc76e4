"""What runs the suites of others cannot pass because it ran none of them."""

from pathlib import Path

import pytest

from tests.suites import run


def test_a_suite_that_does_not_exist_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    """A misspelt name says what was meant."""
    assert run.main("litelm", "nothing") == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "no suite is called litelm: litellm?"
    assert "schemathesis" in lines[1]


@pytest.mark.parametrize(("setting", "code"), [("", 1), ("optional", 0)])
def test_a_suite_that_cannot_be_run_fails_unless_that_is_asked(
    setting: str, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The last lines say what was not run."""
    monkeypatch.setattr(run, "OTHERS", Path("nowhere"))
    monkeypatch.setenv("SUITES", setting)
    assert run.main("litellm", "fastmcp") == code
    assert [line.partition(",")[0] for line in capsys.readouterr().out.splitlines()] == [
        "NOT RUN: fastmcp",
        "NOT RUN: litellm",
    ]
