"""Golden pages of the command line: commands as a user types them, and what each prints.

`tests/cli/pages/README.md` describes a page. A command runs in this process. While it runs the time stands still, and
a minute passes before each, so that a page has times, ages and ids that do not change.
"""

import itertools
import json
import random
import re
import shlex
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import CliRunner

from graphengine.cli import models
from graphengine.cli.main import COMMANDS, main
from graphengine.cli.terminal import Channel
from graphengine.runner import clock, ids
from tests.cli import programs
from tests.kit.documents import check_document

BEGIN: Final = 1_738_324_800  # 2025-01-31 12:00:00 UTC
QUIET: Final = ("&>", "2>")
SILENT: Final = "/dev/null"
WORDINGS: Final = {
    r"'(--[a-z-]+)'": r"\1",
    r"No such option:? (--\w+)\.?": r"No such option \1.",
    r"(Try '.*) -h'": r"\1 --help'",
}
"""What click has said otherwise since 8.2, and how it is on a page."""
USAGE: Final = re.compile(r"Usage: graphengine .*\nTry 'graphengine .*--help' for help\.\n\n(?=Error: )")
"""What click writes before each mistake, which a page leaves out."""


@dataclass
class Printed:
    """What a command printed, and its exit code."""

    stdout: str = ""
    stderr: str = ""
    code: int = 0


def play(text: str, folder: Path, after: Callable[[Printed], None] = lambda _: None) -> str:
    """Return a page as it should read, after its commands ran in this folder, which is the current one.

    What each command printed is given to `after`.
    """
    title, _, rest = text.partition("\n\n")
    lines = [title, ""]
    with frozen() as passes:
        for block in re.split(r"\n(?=[#>$] )", rest.strip()):
            head, *below = block.rstrip().splitlines()
            if head.startswith("$ "):
                passes()
                printed = called(head.removeprefix("$ "))
                below = shown(printed, folder)
                after(printed)
            elif head.startswith("> "):
                written(head.removeprefix("> "), below)
            is_close = lines[-1][:2] in ("", "# ", head[:2])
            lines += [*([] if is_close else [""]), head, *below]
    return "\n".join([*lines, ""])


@contextmanager
def frozen() -> Iterator[Callable[[], object]]:
    """Stop the time, and yield a function that lets a minute pass; new ids are the same, and there are no models."""
    now = BEGIN
    with pytest.MonkeyPatch.context() as patch:

        def passes() -> None:
            nonlocal now
            now += 60

        patch.setattr(time, "time", lambda: float(now))
        patch.setattr(clock, "_passed", lambda: float(now))
        patch.setattr(ids, "_RANDOM", random.Random(1))  # noqa: S311 - for ids
        patch.setattr(models, "SERVERS", {})
        for name in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY"):
            patch.delenv(name, raising=False)
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield passes
    time.tzset()


def written(head: str, below: list[str]) -> None:
    """Write a file: a program of programs.py, this text, or what it has with changes or more."""
    name, _, how = head.rstrip(":").partition(" ")
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    given = [line.removeprefix("    ") for line in below]
    if not how:
        path.write_text("\n".join([*given, ""]))
    elif how == "has also":
        path.write_text(path.read_text() + "\n".join([*given, ""]))
    else:
        source = how.removeprefix("is ")
        text = getattr(programs, source) if source.isupper() else Path(name if how == "changes" else source).read_text()
        for change in given:
            old, new = re.split(" → ?", change.replace("⏎", "\n"))
            assert old in text, f"{name} has no {old!r}"
            text = text.replace(old, new)
        path.write_text(text)


def called(line: str) -> Printed:
    """Return what a line of commands prints: assignments, a command, and filters of its stdout."""
    words = shlex.split(line.replace("␛", "\x1b"))
    hidden = next((words.pop(at) for at, word in enumerate(words[:-1]) if word in QUIET), "")
    if hidden:
        words.remove(SILENT)
    parts = [list(group) for is_pipe, group in itertools.groupby(words, "|".__eq__) if not is_pipe]
    printed = Printed()
    with pytest.MonkeyPatch.context() as patch:
        while "=" in parts[0][0]:
            name, _, value = parts[0].pop(0).partition("=")
            patch.setenv(name, value)
            if name == "COLUMNS":
                patch.setattr(Channel, "columns", int(value))
        for name, *arguments_of in parts:
            if name == "graphengine":
                printed = graphengine([word for word in arguments_of if word != "2>&1"], printed.stdout)
                if "2>&1" in arguments_of:
                    printed = Printed(printed.stdout + printed.stderr, "", printed.code)
            else:
                printed.stdout = TOOLS[name](arguments_of, printed.stdout)
    if hidden:
        printed.stderr = ""
    if hidden == "&>":
        printed.stdout = ""
    return printed


def graphengine(words: Sequence[str], given: str) -> Printed:
    """Run a command of graphengine; its document must have the published schema, and an error the same code in JSON."""
    done = CliRunner().invoke(main, list(words), input=given, prog_name="graphengine")
    if "--json" in words and done.stdout.startswith("{"):
        name = " ".join(words[:2])
        for document in done.stdout.splitlines() if name.startswith("watch ") else [done.stdout]:
            check_document(name if name in COMMANDS else words[0], json.loads(document))
    refused = re.match(r"error (\w+): |Usage: ", done.stderr)
    lists = words[0] in ("check", "graphs")  # what cannot be used is in their document
    if refused and done.exit_code in (2, 5) and not lists:
        again = CliRunner().invoke(main, [*words, "--json"], input=given)
        check_document("run", json.loads(again.stdout))  # the document of a failure is the same for all
        error = json.loads(again.stdout)["error"]
        assert (again.exit_code, error["code"]) == (done.exit_code, refused[1] or "usage"), again.stdout
    assert "Traceback" not in done.stderr or "--debug" in words
    return Printed(done.stdout, done.stderr, done.exit_code)


def shown(printed: Printed, folder: Path) -> list[str]:
    """Return the lines of a page: stdout, then stderr after `! `, then the exit code if it is not 0."""
    lines = [f"  {line}" for line in plain(printed.stdout, folder).splitlines()]
    lines += [f"! {line}" for line in USAGE.sub("", plain(printed.stderr, folder)).splitlines()]
    return [line.rstrip() for line in (*lines, *([f"[exit {printed.code}]"] if printed.code else []))]


def plain(text: str, folder: Path) -> str:
    """Return a text without what differs between machines: folders, and the words of click's versions.

    A control character that reached the terminal is visible.
    """
    text = text.replace(str(folder), "/project").replace(str(folder.parent), "/elsewhere").replace("\x1b", "␛")
    for old, new in WORDINGS.items():
        text = re.sub(old, new, text)
    return text


def jq(words: list[str], given: str) -> str:
    """Return the values at paths of a JSON document, as `jq -c` does."""
    lines = []
    for path in words[-1].split(", "):
        values: list[Any] = [json.loads(given)]
        for step in re.findall(r"\w+|\[-?\d*\]", path.partition(" | ")[0]):
            if step == "[]":
                values = [each for value in values for each in value]
            elif step.startswith("["):
                values = [value[int(step[1:-1])] for value in values]
            else:
                values = [value[step] for value in values]
        if path.endswith(" | keys_unsorted"):
            values = [list(value) for value in values]
        lines += [json.dumps(value, ensure_ascii=False) for value in values]
    return "".join(f"{line}\n" for line in lines)


def grep(words: list[str], given: str) -> str:
    """Return the lines that match a pattern, or with -v the others."""
    is_without = words[0] == "-v"
    return "".join(
        line for line in given.splitlines(keepends=True) if bool(re.search(words[-1], line)) is not is_without
    )


def sql(words: list[str], given: str) -> str:
    """Execute a statement in a database."""
    with closing(sqlite3.connect(words[0])) as connection, connection:
        connection.execute(words[1])
    return given


def listed(words: list[str], given: str) -> str:
    """Return the names of the files of a folder."""
    return "".join(f"{name}\n" for name in sorted(each.name for each in Path(*words).iterdir())) + given


def removed(words: list[str], given: str) -> str:
    """Remove a file."""
    Path(words[0]).unlink()
    return given


def moved(words: list[str], given: str) -> str:
    """Rename a file."""
    Path(words[0]).rename(words[1])
    return given


TOOLS: Final[dict[str, Callable[[list[str], str], str]]] = {
    "cat": lambda words, _: "".join(Path(word).read_text() for word in words),
    "echo": lambda words, _: f"{' '.join(words)}\n",
    "grep": grep,
    "head": lambda words, given: "".join(given.splitlines(keepends=True)[: int(words[0].strip("-n"))]),
    "jq": jq,
    "ls": listed,
    "mv": moved,
    "rm": removed,
    "sqlite3": sql,
    "tail": lambda words, given: "".join(given.splitlines(keepends=True)[-int(words[0].strip("-n")) :]),
}
"""What a page needs of a shell, so that it runs where these programs are not."""
