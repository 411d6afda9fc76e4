"""Shell completions."""

import os
import shlex
import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from click.shell_completion import CompletionItem, ShellComplete
from click.testing import CliRunner

from graphengine.cli.context import CommandContext
from graphengine.cli.main import COMMANDS, COMPLETES, main
from graphengine.cli.terminal import Channel
from tests.cli.programs import ROOT, document
from tests.kit import forks


def offered(line: str) -> list[CompletionItem]:
    """Return the completions at the end of a line."""
    *words, last = shlex.split(line.replace("|", "''") if line.endswith("|") else line)
    silent = Channel(None, must_arrive=False)
    with closing(CommandContext(silent, silent, json=False, debug=False)) as context:
        return ShellComplete(main, {"obj": context}, "graphengine", COMPLETES).get_completions(words[1:], last)


def values(line: str) -> list[str]:
    """Return only the words of the completions."""
    return [str(item.value) for item in offered(line)]


def test_commands_and_options_are_offered() -> None:
    """Each has a description; commands are offered without importing them."""
    assert values("graphengine |") == list(dict.fromkeys(name.split()[0] for name in COMMANDS))
    assert values("graphengine schedule re") == ["resume", "remove"]
    assert values("graphengine ru") == ["run", "runs"]
    assert offered("graphengine ru")[1].help == COMMANDS["runs"][1]
    assert values("graphengine check --s") == ["--strict", "--servers", "--since", "--store"]
    assert values("graphengine --vers") == ["--version"]
    assert "interrupted" in values("graphengine runs --status |")
    assert values("graphengine completion |") == ["bash", "zsh", "fish"]
    assert values("graphengine schema ru") == ["run", "runs"]
    assert values("graphengine schema queues |") == ["list", "set"]


def test_graphs_are_offered_from_the_text_of_their_files(tried: Path) -> None:
    """No file is run, so a broken, slow or printing one does no harm."""
    (tried / "flows" / "loud.py").write_text('print("loud")\n1 / 0\ngraph = Graph("second", State)\n')
    (tried / "flows" / "odd.py").write_bytes(b"\xff\xfe")
    assert values("graphengine run |") == ["desk", "loud", "odd", "publish", "review", "second"]
    assert values("graphengine check review pub") == ["publish"]
    assert values("graphengine prune --graph re") == ["review"]
    assert values("graphengine run review --pause-before |") == ["approve", "listen", "review", "write"]


def test_files_are_offered_for_a_path_or_if_no_graph_matches(tried: Path) -> None:
    """The shell completes files for a path, or if no graph matches."""
    for line in (
        "graphengine run ./fl",
        "graphengine run flows/",
        "graphengine run nothing",
        "graphengine resume tides --graph fl",
    ):
        assert [item.type for item in offered(line)] == ["file"], line
    assert [item.type for item in offered("graphengine replay x")] == ["file"]


def test_runs_and_tags_are_offered_from_the_database(tried: Path) -> None:
    """The newest runs of the given database, each with its graph and status."""
    assert set(values("graphengine show |")) == {
        "tides",
        "tides-2",
        "cut",
        "post",
        "post-2",
        "post-3",
        "desk",
        "desk-2",
    }
    (found,) = offered("graphengine resume cu")
    assert found.help == "review (stopped)"
    assert set(values("graphengine diff tides post")) == {"post", "post-2", "post-3"}
    assert values("graphengine runs --tag |") == ["nightly"]
    assert values("graphengine replay tides-") == ["tides-2"]
    assert set(values("graphengine render des")) == {"desk", "desk-2"}
    assert values("graphengine render tid") == ["tides-2", "tides"]
    elsewhere = CliRunner().invoke(main, ["import", "tides.json", "--store", "elsewhere.db"])
    assert elsewhere.exit_code == 0
    assert values("graphengine show --store elsewhere.db |") == ["tides"]


def test_the_filters_of_a_search_are_offered_with_their_values(tried: Path) -> None:
    """Statuses, tags, graphs and ages; also in bash, which takes a word apart at its colon."""
    assert values("graphengine runs status:f") == ["status:finished", "status:failed"]
    assert values("graphengine runs tides ta") == ["tag:nightly"]
    assert values("graphengine runs graph:re") == ["graph:review"]
    assert "since:7d" in values("graphengine runs |")
    assert values("graphengine runs status : st") == ["stopped"]
    assert values("graphengine runs tag :") == ["nightly"]
    assert values("graphengine runs tides") == []


def test_words_that_a_shell_would_evaluate_are_not_offered(tried: Path) -> None:
    """A run's id and a file's name can be any text; bash inserts completions without quotes."""
    (tried / "flows" / "$(id).py").write_text("")
    ran = CliRunner().invoke(main, ["run", "publish", "--run-id", "$(id>told)", "--store", "elsewhere.db"])
    assert "$(id>told)" in ran.output
    assert values("graphengine show --store elsewhere.db |") == []
    assert values("graphengine prune --graph |") == ["desk", "publish", "review"]


@pytest.mark.parametrize("line", ["graphengine show |", "graphengine runs --tag |", "graphengine run |"])
def test_unreadable_files_give_no_completions_and_no_output(here: Path, line: str) -> None:
    """No project, an invalid database and an invalid pyproject.toml give no completions and no output."""
    kinds = [item.type for item in offered(line)]
    assert kinds in ([], ["file"])
    (here / "pyproject.toml").write_text("[[[")
    (here / "checkpoints").mkdir()
    (here / "checkpoints" / "runs.db").write_text("no database at all, and not a short text either")
    assert [item.type for item in offered(line)] == kinds


def test_an_error_while_completing_is_quiet(here: Path) -> None:
    """A message would appear in the line being typed."""
    variables = {COMPLETES: "bash_complete", "COMP_WORDS": "graphengine show", "COMP_CWORD": "x"}
    ran = forks.run("graphengine", folder=here, variables=variables)
    assert (ran.returncode, ran.stdout, ran.stderr) == (1, "", "")


def test_output_while_completing_is_hidden(
    tried: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Output while completing, such as a library's warning, is hidden."""

    def loud(*given: object) -> None:
        sys.stderr.write("a warning")
        raise OSError

    monkeypatch.setattr("graphengine.cli.places.place_of", loud)
    for name, value in ((COMPLETES, "bash_complete"), ("COMP_WORDS", "graphengine show t"), ("COMP_CWORD", "2")):
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as left:
        main([])
    written = capsys.readouterr()
    assert (left.value.code, written.out.strip(), written.err) == (0, "", "")


@pytest.mark.parametrize(
    ("shell", "part"), [("bash", "complete -o nosort -F"), ("zsh", "compdef"), ("fish", "complete --")]
)
def test_each_shell_has_a_script(shell: str, part: str) -> None:
    """Each shell has a script, also with --json."""
    printed = CliRunner().invoke(main, ["completion", shell])
    assert printed.exit_code == 0
    assert part in printed.stdout
    made = document(CliRunner().invoke(main, ["completion", shell, "--json"]).stdout)
    assert (made["shell"], made["script"].rstrip()) == (shell, printed.stdout.rstrip())
    assert CliRunner().invoke(main, ["completion", "tcsh"]).exit_code == 2


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_itself_completes(tried: Path) -> None:
    """The script is loaded as documented, and called as bash calls it."""
    program = tried / "bin" / "graphengine"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m graphengine "$@"\n')
    program.chmod(0o755)
    script = """
eval "$(graphengine completion bash)"
ask() {
    COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
    _graphengine_completion graphengine
    echo "${COMPREPLY[*]}"
}
ask graphengine res
ask graphengine run pub
ask graphengine show tides-
ask graphengine check --str
"""
    environment = {"PATH": f"{program.parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "HOME": str(tried)}
    ran = subprocess.run(
        ["bash", "--norc", "-c", script], cwd=tried, env=environment, capture_output=True, text=True, check=True
    )
    assert ran.stdout.splitlines() == ["resume", "publish", "tides-2", "--strict"]
    assert ran.stderr == ""
