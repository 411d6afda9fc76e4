"""A terminal for tests: a fork on a pty of a given size, and the resulting screen.

The screen knows what our command line uses: lines, carriage returns, colours and the emptying of a line. Any other
control sequence is an error, so that a test fails when a new one is used.
"""

import codecs
import os
import pty
import re
import select
import struct
import termios
import time
from fcntl import ioctl
from pathlib import Path
from typing import Final

import pytest

from tests.cli.programs import STARTED
from tests.kit import forks

_PATIENCE_SECONDS: Final = 60.0
_SEQUENCE: Final = re.compile(r"\x1b\[([0-9;]*)([A-Za-z])")


class Terminal:
    """The command line in a terminal.

    Args:
        folder: Where it is started.
        words: The arguments of `graphengine`.
        columns: The width of the terminal.
        settings: Further environment variables; None takes one away.
    """

    def __init__(self, folder: Path, *words: str, columns: int = 80, **settings: str | None) -> None:
        self._ours, theirs = pty.openpty()
        ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        changed = {"TERM": "xterm-256color", "NO_COLOR": None, "FORCE_COLOR": None, "PAGER": "cat", **settings}
        changed |= dict.fromkeys(("COLUMNS", "LINES"))
        variables = {name: text for name, text in {**os.environ, **changed}.items() if text is not None}
        self.process = forks.start_on(os.ttyname(theirs), "graphengine", *words, folder=folder, variables=variables)
        STARTED.append(self.process)
        os.close(theirs)
        self.columns = columns
        self.raw = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")  # a read can end within a character
        self._read = 0  # the position up to which a wait has searched

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self._ours, text.encode())

    def ctrl_c(self) -> None:
        """Press Ctrl-C."""
        self.type("\x03")

    def until(self, text: str) -> None:
        """Wait until the terminal receives this text, ignoring colours, after the text of the last wait."""
        self.matching(re.escape(text))

    def matching(self, pattern: str) -> "re.Match[str]":
        """Do the same for a pattern, and return what it matches."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            output = plain(self.raw)
            found = re.compile(pattern).search(output, self._read)
            if found is not None:
                self._read = found.end()
                return found
            if time.monotonic() > deadline or not self._more():
                pytest.fail(f"{pattern!r} never came: {output[self._read :]}")

    def ends(self) -> int:
        """Wait until the process ends; return its exit code."""
        while self._more():
            pass
        os.close(self._ours)
        return self.process.wait(timeout=_PATIENCE_SECONDS)

    def _more(self) -> bool:
        """Read the available output; return False at its end."""
        if not select.select([self._ours], [], [], _PATIENCE_SECONDS)[0]:
            return False
        try:
            found = os.read(self._ours, 65_536)
        except OSError:  # the other end is closed
            return False
        self.raw += self._decoder.decode(found)
        return bool(found)

    @property
    def lines(self) -> list[str]:
        """The lines of the screen and of its scrollback."""
        return screen(self.raw)


def plain(text: str) -> str:
    """Return a text without control sequences."""
    return _SEQUENCE.sub("", text)


def screen(raw: str) -> list[str]:
    """Return the lines that a sufficiently wide terminal shows for this output."""
    lines, at, column = [""], 0, 0
    while at < len(raw):
        char = raw[at]
        found = _SEQUENCE.match(raw, at)
        if found:
            at = found.end()
            if found[2] == "K" and found[1] in ("2", ""):
                lines[-1] = lines[-1][:column] if not found[1] else ""
            elif found[2] != "m":
                pytest.fail(f"a control sequence that is not known here: {found[0]!r}")
            continue
        at += 1
        if char == "\n":
            lines.append("")
            column = 0
        elif char == "\r":
            column = 0
        else:
            lines[-1] = lines[-1].ljust(column)[:column] + char + lines[-1][column + 1 :]
            column += 1
    return [line.rstrip() for line in lines]
