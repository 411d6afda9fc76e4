"""Follow what commands print: each command that a page of the command line prints is tried where it stands."""

import random
import re
import shlex
import shutil
import sys
import time
from pathlib import Path
from typing import Final

import click
import pytest
from click.testing import CliRunner

from graphengine.cli.main import COMMANDS, main
from graphengine.runner import clock, ids
from tests.cli.page import BEGIN, Printed

SERVES: Final = ("inspect", "serve", "mcp", "watch", "worker")
"""Commands that do not end by themselves: only their options are read."""
ALONE: Final = ("inspect", "worker", "runs", "doctor", "check")
"""Commands that need no more than their name; one that does is only named where its name stands alone."""
LATER: Final = BEGIN + 1e7
ENDS: Final = ("--no-wait",)
"""The options with which a command waits for nothing."""
REFUSED: Final = (2, 5)
"""The exit codes of what is refused: wrong usage, no such run or graph, a graph that does not fit, no model."""
HINT: Final = re.compile(rf"(?:^|`|: )(graphengine (?:{'|'.join(COMMANDS)})\b[^`\n]*)", re.MULTILINE)
VALUE: Final = re.compile(r"(?<==)…")
"""A value that one writes who follows a hint."""
OTHERWISE: Final = re.compile(r"  \(or [^)]*\)$|; .*$|[.,]$| \(.*$")
"""What stands after a command on its line."""


def hints_in(printed: Printed) -> list[str]:
    """Return the commands that were printed to be typed, without those that have a word to be replaced."""
    text = printed.stdout + printed.stderr.partition("not resumed here")[0]  # after it, a repair comes first
    found = [OTHERWISE.sub("", each.strip()) for each in HINT.findall(text)]
    found = [each for each in found if not re.search(r"\b[A-Z_]{2,}\b|…|\.\.\.", VALUE.sub("1", each))]
    return [each for each in found if each.count(" ") > 1 or each.split()[-1] in ALONE]


def refusal_of(hint: str, folder: Path, copy: Path) -> str:
    """Return why a hint is refused in a copy of this folder, empty if it is not."""
    words = shlex.split(VALUE.sub("1", hint))[1:]
    command = main.get_command(click.Context(main), words[0])
    assert command is not None, hint
    if words[0] in SERVES:
        try:
            command.make_context(words[0], words[1:])
        except click.ClickException as error:
            return error.format_message()
        return ""
    shutil.copytree(folder, copy)
    modules = set(sys.modules)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(copy)
        for owner, name in ((time, "time"), (clock, "_passed")):
            patch.setattr(owner, name, lambda: LATER)  # what sleeps is due
        patch.setattr(ids, "_RANDOM", random.Random(2))  # noqa: S311 - the page's own ids go on
        words = [word.replace(str(folder), str(copy)) for word in words]
        ends = [each for each in ENDS if any(each in option.opts for option in command.params)]
        done = CliRunner().invoke(main, [*words, *ends])
    for name in set(sys.modules) - modules:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(copy)):
            del sys.modules[name]
    return done.stderr if done.exit_code in REFUSED or "no_model" in done.stderr else ""


class Follower:
    """Who types each command that is printed, once.

    Attributes:
        refused: The commands that were refused, each with the reason.
    """

    def __init__(self, folder: Path, copies: Path) -> None:
        self.refused: list[str] = []
        self._folder, self._copies, self._tried = folder, copies, set[str]()

    def follow(self, printed: Printed) -> None:
        """Type what was printed, each command in a copy of the folder as it is now."""
        for hint in hints_in(printed):
            if hint not in self._tried:
                self._tried.add(hint)
                why = refusal_of(hint, self._folder, self._copies / f"copy{len(self._tried)}")
                self.refused.extend([f"$ {hint}\n{why}"] if why else [])
