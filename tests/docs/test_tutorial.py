"""The tutorial is followed line by line: its files are written, its commands typed, and their output is compared.

A code block that begins with a comment `# FILE` is a file to write; `# FILE, at its end` and `# FILE, above LINE`
are added to it. In a console block, a line that begins with `$ ` is typed into one shell that stays open; the lines
below it are its output. `graphengine` and `pytest` run in forks, in the shell's current folder. `…` matches anything:
on a line of its own any lines, within a line any text.
"""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from shutil import which

import pytest

from tests.kit import forks

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "use" / "tutorial.md"
PROGRAMS = {"graphengine": ("graphengine.__main__", "main()"), "pytest": ("pytest", "raise SystemExit(main())")}
"""The module of each, and the call that runs it."""
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
HEADER = re.compile(r"# (?P<file>[\w./-]+)(?P<end>, at its end)?(, above (?P<line>.+))?\n+")


class Shell:
    """A shell that stays open, like a reader's."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            ["bash", "--norc", "--noprofile"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=environment,
            text=True,
        )
        self._code = 0
        self._output = folder / "output"
        self._environment = environment

    def type(self, command: str) -> str:
        """Type a command and return its output."""
        program, *words = shlex.split(command)
        return self._fork(program, words) if program in PROGRAMS else self._typed(command)

    def _fork(self, program: str, words: list[str]) -> str:
        where = Path(self._typed("pwd").strip())
        file = self._typed(f"command -v {program}").strip()
        self._output.write_text("", encoding="utf-8")
        variables = {**self._environment, "PATH": self._typed('echo "$PATH"').strip()}
        child = forks.start_on(self._output, file, *words, folder=where, variables=variables)
        self._code = child.wait()
        child.end()
        return self._output.read_text(encoding="utf-8")

    def _typed(self, command: str) -> str:
        end = "end-of-output"
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"(exit {self._code})\n{command} </dev/null\nprintf '\\n{end} %s\\n' $?\n")
        self._process.stdin.flush()
        lines: list[str] = []
        for line in self._process.stdout:
            if line.startswith(end):
                self._code = int(line.split()[1])
                return "".join(lines)
            lines.append(line)
        raise AssertionError(f"the shell ended during {command!r}: {''.join(lines)}")

    def close(self) -> None:
        """Close the shell."""
        self._process.communicate("exit\n", timeout=30)


def scripts(folder: Path) -> Path:
    """Make a folder with the programs of an activated environment, and the script that activates it."""
    folder.mkdir(parents=True)
    for name, (module, call) in PROGRAMS.items():
        program = folder / name
        program.write_text(f"from {module} import main\n{call}\n", encoding="utf-8")
        program.chmod(0o755)
    (folder / "python").symlink_to(sys.executable)
    (folder / "activate").write_text(f'PATH="{folder}:$PATH"\n', encoding="utf-8")
    return folder


def matches(expected: str, printed: str) -> bool:
    """Whether a command printed the output on the page."""
    pieces = [
        r"(?:.*\n)*?" if line.strip() == "…" else ".*?".join(map(re.escape, line.rstrip().split("…"))) + r"\n"
        for line in expected.strip().splitlines()
    ]
    lines = [line.rstrip() for line in printed.strip().splitlines()]
    return re.fullmatch("".join(pieces), "".join(f"{line}\n" for line in lines)) is not None


def commands(block: str) -> Iterator[tuple[str, str]]:
    """The commands of a console block, each with its output."""
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, _, expected = part.partition("\n")
        yield command, expected


def written(folder: Path, block: str) -> None:
    """Write the file, or the part of a file, that a block contains."""
    header = HEADER.match(block)
    assert header is not None, f"a block without a file: {block[:80]}"
    file = folder / header["file"]
    text = file.read_text(encoding="utf-8") if header["end"] or header["line"] else ""
    if header["end"]:
        block = text + block[header.end() :]
    elif header["line"]:
        assert text.count(header["line"]) == 1
        block = text.replace(header["line"], block[header.end() :] + header["line"])
    file.parent.mkdir(exist_ok=True)
    file.write_text(block, encoding="utf-8")


def follow(page: Path, folder: Path, *, files: Sequence[str] = ()) -> int:
    """Write the files of a page, type its commands, compare what they print, and return how many were typed.

    Args:
        page: The page. If its commands do not enter a folder, they are typed where the files are.
        folder: An empty folder.
        files: The files to write, of a page that has other code too; by default all code is of files.
    """
    home = folder / "graphengine"
    scripts(home / ".venv" / "bin")
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": str(ROOT), "COLUMNS": "110"}
    shell = Shell(home, environment)
    typed = 0
    try:
        if files:
            shell.type(f"PATH={home}/.venv/bin:$PATH; mkdir ../notes; cd ../notes")
        for language, block in BLOCK.findall(page.read_text(encoding="utf-8")):
            if language == "console":
                for command, expected in commands(block):
                    printed = shell.type(command)
                    assert matches(expected, printed), f"$ {command}\nexpected:\n{expected}\nprinted:\n{printed}"
                    typed += 1
            elif not files or block.startswith(tuple(f"# {file}\n" for file in files)):
                written(folder / "notes", block)
    finally:
        shell.close()
    return typed


@pytest.mark.skipif(which("bash") is None, reason="the tutorial is typed into bash")
def test_the_tutorial_works(tmp_path: Path) -> None:
    """Every file is written and every command typed in order, and each prints the output below it."""
    assert follow(PAGE, tmp_path) > 10


@pytest.mark.skipif(which("bash") is None, reason="its commands are typed into bash")
def test_the_first_example_of_the_readme_works(tmp_path: Path) -> None:
    """So it is with the first program of README."""
    assert follow(ROOT / "README.md", tmp_path, files=["refund.py"]) == 3
