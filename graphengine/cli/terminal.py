"""Output to a terminal or a pipe: lines, tables and prose. Results go to stdout, and everything else to stderr.

Texts of users and models pass through `clean`, so that nothing in them can move the cursor or change a setting of the
terminal. A closed pipe (`| head`) is not an error: further output is dropped, and the work continues.
"""

from __future__ import annotations

import os
import re
import sys
import threading
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout, suppress
from datetime import datetime
from functools import cached_property
from operator import itemgetter
from shutil import which
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, TextIO, TypeAlias, TypeVar, cast

from graphengine.errors import GraphEngineError
from graphengine.records.words import clean, one_line, when

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from rich.console import Console
    from rich.text import Text

T = TypeVar("T")

Part: TypeAlias = "str | tuple[str, str]"
"""Text, or text with a rich style."""

_PIPE_COLUMNS: Final = 10_000
"""The assumed width of a pipe, in which no row of a table is broken."""

STATUS_STYLES: Final = {
    "queued": "cyan",
    "running": "bold cyan",
    "interrupted": "bold yellow",
    "waiting": "bold yellow",
    "finished": "bold green",
    "stopped": "bold yellow",
    "cancelled": "bold",
    "failed": "bold red",
}
"""The style in which each status of a run is shown."""

WIPE: Final = "\r\x1b[2K"
"""Clears the terminal line that the cursor is on."""

_DUMB: Final = ("dumb", "unknown")
"""Values of TERM for terminals that cannot erase a line."""
_NOT_EXECUTABLE, _NOT_FOUND = 126, 127
_LEAST_COLUMNS: Final = 20
_GAP: Final = "  "


class OutputFailed(GraphEngineError):
    """The output of a command cannot be written."""

    code = "output_failed"


def _end_of(text: str, columns: int) -> str:
    """Shorten a text to a number of columns by cutting off its beginning, so that its end stays visible."""
    from rich.cells import cell_len

    if cell_len(text) <= columns:
        return text
    start, left = len(text), columns - 1
    while start and (left := left - cell_len(text[start - 1])) >= 0:
        start -= 1
    return "…" + text[start:]


def _find_breaks(text: str, columns: int, first_columns: int) -> list[int]:
    """Return the positions at which a long line is broken into several lines, which are between words.

    `first_columns` is the width of the first line, and `columns` the width of the others.

    >>> _find_breaks("to be broken", 8, 5)
    [6]
    """
    from rich.cells import cell_len

    found, begin, room = [], 0, first_columns
    for word in re.finditer(r"\S+", text):
        if word.start() > begin and cell_len(text[begin : word.end()]) > room:
            begin, room = word.start(), columns
            found.append(begin)
    return found


class Column(NamedTuple, Generic[T]):
    """A column of a table.

    Attributes:
        heading: The heading.
        cell: Returns the text of a row in this column.
        dropped: The order in which columns are left out on a narrow terminal: first the column with 1, then the column
            with 2, and so on. A column with 0 is never left out.
        shrinks: Whether the text is shortened to the remaining width. At most one column of a table shrinks.
        style: Returns the style of the cell in a row; None if the cell has the style of the row.
        lead: Returns the lines of a tree to draw before the text of a row; None if the column shows no tree.
    """

    heading: str
    cell: Callable[[T], str]
    dropped: int = 0
    shrinks: bool = False
    style: Callable[[T], str] | None = None
    lead: Callable[[T], str] | None = None


def text_columns(headings: Sequence[str], *dropped: str) -> list[Column[Any]]:
    """Return the columns of a table whose rows are tuples of texts.

    A narrow terminal leaves out the columns with the headings in `dropped`, beginning with the first heading.
    """
    ranks = {heading: at for at, heading in enumerate(dropped, 1)}
    return [Column(heading, itemgetter(at), ranks.get(heading, 0)) for at, heading in enumerate(headings)]


def _pad(
    columns: Sequence[Column[T]], rows: Iterable[Sequence[str]], room: int | None
) -> tuple[list[int], list[list[str]]]:
    """Choose the columns of a table that fit on the terminal, and pad their cells to the width of the columns.

    Columns that are empty in every row are left out. If too many columns must stay, the lines are wider than the
    terminal. On a terminal, a long name in the first column makes only its own row longer.

    Args:
        columns: The columns.
        rows: The texts of the rows; control codes in them are shown as escapes.
        room: The width of the terminal; None if the output is not a terminal.

    Returns:
        The indexes of the columns that are shown, and the padded cells of the heading and of each row.
    """
    from rich.cells import cell_len, set_cell_size

    table = [[each.heading for each in columns], *([clean(one_line(cell, 10_000)) for cell in row] for row in rows)]
    kept = [i for i in range(len(columns)) if any(row[i] for row in table[1:])]
    widths = {i: max(cell_len(row[i]) for row in table) for i in kept}
    if room is not None and 0 in kept:
        widths[0] = min(widths[0], max(20, room // 4))
    shrinking = next((i for i in kept if columns[i].shrinks), None)
    full_width = 0 if shrinking is None else widths[shrinking]
    if shrinking is not None and room is not None:
        widths[shrinking] = min(full_width, _LEAST_COLUMNS)
    for i in sorted(kept, key=lambda i: columns[i].dropped):
        if columns[i].dropped and room is not None and _sum_widths(widths, kept) > room:
            kept.remove(i)
    if shrinking is not None and room is not None:
        spare = room - _sum_widths(widths, kept)
        if spare < 0:
            kept.remove(shrinking)
        widths[shrinking] = min(full_width, widths[shrinking] + max(spare, 0))
        for row in table:
            fits = max(widths[shrinking] - max(cell_len(row[0]) - widths[0], 0), _LEAST_COLUMNS // 2)
            if cell_len(row[shrinking]) > fits:
                row[shrinking] = set_cell_size(row[shrinking], fits - 1) + "…"
    return kept, [[row[i] + " " * (widths[i] - cell_len(row[i])) + _GAP for i in kept] for row in table]


def _sum_widths(widths: Mapping[int, int], kept: Sequence[int]) -> int:
    return sum(widths[i] + len(_GAP) for i in kept) - len(_GAP)


def fitted(text: str, columns: int) -> str:
    """Shorten the text to one line of at most this many columns."""
    from rich.cells import cell_len, set_cell_size

    line, room = clean(one_line(text, 10_000)), max(columns, 20)
    return line if cell_len(line) <= room else set_cell_size(line, room - 1) + "…"


def wrapped(text: str, columns: int) -> list[str]:
    """Wrap the text to lines of at most this many columns."""
    from textwrap import wrap

    return wrap(clean(one_line(text, 10_000)), max(columns, 20))


def linked_code(code: str, style: str = "") -> Part:
    """Return the code of an error. On a terminal, the code becomes a link to the page that explains it.

    The address of the documentation is read from the metadata of the installed package. If they contain no address, or
    only a placeholder, the code is not a link.
    """
    from importlib.metadata import PackageNotFoundError, metadata

    try:
        links = dict(each.split(", ", 1) for each in metadata("graphengine").get_all("Project-URL", ()))
    except PackageNotFoundError:  # the code runs from its source
        links = {}
    page = links.get("Documentation", "").removesuffix("README.md")
    if not page or ".example/" in page:
        return code, style
    return code, f"{style} link {page}use/errors.md#{code}".strip()


def short_time(at: float) -> str:
    """Format a time briefly: the time of day if it is today, month and day if it is this year, otherwise the date."""
    try:
        local, now = datetime.fromtimestamp(at).astimezone(), datetime.now().astimezone()
    except (ValueError, OverflowError, OSError):
        return when(at)
    if local.date() == now.date():
        return local.strftime("%H:%M:%S")
    return local.strftime("%m-%d %H:%M" if local.year == now.year else "%Y-%m-%d")


class Channel:
    """An output stream of a command: stdout or stderr.

    On a terminal, a channel can also show a transient line, for example a progress bar. The next output replaces this
    line.

    Args:
        stream: The stream; None if the process has no such stream.
        must_arrive: Whether a failed write raises an error. A closed pipe never raises an error.
    """

    def __init__(self, stream: TextIO | None, *, must_arrive: bool) -> None:
        self._stream = stream
        self._must_arrive = must_arrive
        self._writing = threading.RLock()  # a transient line may come from a thread
        self._is_transient = False
        self._is_within = False  # other output has begun a line and not ended it
        self._held: list[str] | None = None

    @contextmanager
    def paged(self) -> Iterator[None]:
        """Collect the output inside this `with` block. If the output is longer than the terminal, show it in a pager.

        If stdin or the stream is not a terminal, the output is written at once.
        """
        if not (self.is_live and sys.stdin is not None and _is_terminal(sys.stdin)):
            yield
            return
        self._held = []
        try:
            yield
        finally:
            text, self._held = "".join(self._held), None
            pager = pager_of(os.environ)
            if not pager or text.count("\n") < self._console.height or not _show_paged(pager, text):
                self.write(text)

    @property
    def is_terminal(self) -> bool:
        return self._stream is not None and _is_terminal(self._stream)

    @property
    def is_live(self) -> bool:
        """Whether the stream is a terminal that can erase a line, so that a transient line can be shown."""
        return self.is_terminal and os.environ.get("TERM", "") not in _DUMB

    @property
    def number(self) -> int | None:
        """The file descriptor of the stream; None if the stream has none, for example in a test."""
        try:
            return self._stream.fileno() if self._stream is not None else None
        except (OSError, ValueError):
            return None

    @property
    def columns(self) -> int | None:
        """The width of the terminal; None if the stream is not a terminal."""
        return self._console.width if self.is_terminal else None

    @cached_property
    def _console(self) -> Console:
        from rich.console import Console

        return Console(
            file=self._stream,
            force_terminal=self.is_terminal,
            force_jupyter=False,
            force_interactive=False,
            width=None if self.is_terminal else _PIPE_COLUMNS,
            markup=False,
            highlight=False,
            emoji=False,
        )

    def line(self, *parts: Part) -> None:
        """Write a line of output. The line consists of parts, and each part can have its own style."""
        if not self.is_terminal:
            self.write("".join(clean(p if isinstance(p, str) else p[0]) for p in parts).rstrip() + "\n")
            return
        from rich.text import Text

        styled = [clean(p) if isinstance(p, str) else (clean(p[0]), p[1]) for p in parts]
        self._print([Text.assemble(*styled)])

    def prose(self, *parts: Part, indent: int = 4) -> None:
        """Write a text that can be longer than a line. On a terminal, the text is broken between words.

        A word that is wider than the terminal, such as a path, is kept whole, so that it can be copied.

        Args:
            parts: The parts of the text, each of which can have a style.
            indent: The indentation of continuation lines, relative to the first line.
        """
        columns = self.columns
        if columns is None:
            self.line(*parts)
            return
        from rich.text import Text

        styled = [clean(p) if isinstance(p, str) else (clean(p[0]), p[1]) for p in parts]
        lines: list[Text] = []
        for whole in Text.assemble(*styled).split(allow_blank=True):
            lead = len(whole.plain) - len(whole.plain.lstrip(" ")) + indent
            first, *more = whole.divide(_find_breaks(whole.plain, max(columns - lead, _LEAST_COLUMNS), columns))
            lines += [first, *(Text(" " * lead).append_text(rest) for rest in more)]
        self._print(lines)

    def table(
        self,
        columns: Sequence[Column[T]],
        rows: Iterable[T],
        below: Callable[[T], None] = lambda _: None,
        style: Callable[[T], str] = lambda _: "",
    ) -> None:
        """Write a table. Each row is one unbroken line, so that cells can be copied.

        Args:
            columns: The columns. A column that is empty in every row is left out.
            rows: The rows.
            below: Writes more about a row below its line.
            style: Returns the style of a row.
        """
        rows = list(rows)
        leads = [["" if each.lead is None else each.lead(row) for each in columns] for row in rows]
        # Padding removes blanks at the beginning, so characters of the same width stand for the tree.
        cells = [
            ["~" * len(lead) + each.cell(row) for each, lead in zip(columns, before, strict=True)]
            for row, before in zip(rows, leads, strict=True)
        ]
        kept, (heading, *lines) = _pad(columns, cells, self.columns)
        self.line(("".join(heading), "bold"))
        for row, before, line in zip(rows, leads, lines, strict=True):
            styles = [columns[at].style or style for at in kept]
            texts = [before[at] + text[len(before[at]) :] for at, text in zip(kept, line, strict=True)]
            self.line(*((text, how(row)) for text, how in zip(texts, styles, strict=True)))
            below(row)

    def _print(self, lines: Iterable[Text]) -> None:
        with self._console.capture() as captured:
            for line in lines:
                line.rstrip()
                self._console.print(line, soft_wrap=True)
        self.write(captured.get())

    def transient(self, head: str, text: str, *, keeps_end: bool = True) -> None:
        """Show a transient line, such as the progress of a run, which the next output replaces.

        It is shown only if the stream is a terminal that can erase a line.

        Args:
            head: The label, which is never cut.
            text: The text, which is cut to the width of the terminal.
            keeps_end: Whether to cut the beginning of the text and keep its end.
        """
        columns = self.columns
        if columns is None or not self.is_live:
            return
        room = columns - 1 - len(head)
        if room > _LEAST_COLUMNS:
            cut = _end_of if keeps_end else fitted
            shown = clean(head) + cut(one_line(clean(text), 10_000), room)
            with self._writing:
                if not self._is_within:
                    self.write(shown)
                    self._is_transient = True

    @contextmanager
    def other(self, text: str) -> Iterator[None]:
        """Keep a text that other code writes to the same terminal apart from the progress line.

        The current progress line is erased, and no progress line is shown until the text ends its line.

        The other code can be a node that prints in a thread, or a library that writes to the log.
        """
        with self._writing:
            self.wipe()
            if text:
                self._is_within = not text.endswith("\n")
            yield

    def wipe(self) -> None:
        """Erase the progress line (the transient line) from the terminal, if there is one."""
        if self._is_transient:
            self.write("")

    def write(self, text: str) -> None:
        """Write text unchanged, and flush the stream.

        Raises:
            OutputFailed: The text cannot be written, and `must_arrive` is True.
        """
        with self._writing:
            self._write(text)

    def _write(self, text: str) -> None:
        if self._stream is None:
            return
        if self._held is not None:
            self._held.append(text)
            return
        self._is_within = self._is_within and not text.endswith("\n")
        if self._is_transient:
            text, self._is_transient = WIPE + text, False
        try:
            try:
                self._stream.write(text)
            except UnicodeEncodeError:
                encoding = self._stream.encoding or "ascii"
                self._stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
            self._stream.flush()
        except BrokenPipeError:
            self._leave()
        except (OSError, ValueError) as error:
            self._leave()
            if self._must_arrive:
                raise OutputFailed(f"the output cannot be written: {error}", where="standard output") from error

    def _leave(self) -> None:
        """Stop using a stream that failed, for example because its pipe is closed.

        The stream's file descriptor is connected to the null device, so that Python's own flush at exit does not fail
        again.
        """
        stream, self._stream = self._stream, None
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, cast("TextIO", stream).fileno())
            os.close(nowhere)


def pager_of(environ: Mapping[str, str]) -> str:
    """Return the command that shows long output in pages; "" for no pager.

    The environment variable GRAPHENGINE_PAGER is used first, then PAGER, then the program `less`. The value `cat` means
    no pager, as in git.

    >>> pager_of({"GRAPHENGINE_PAGER": "", "PAGER": "more"}), pager_of({"PAGER": "cat"}), pager_of({"PAGER": "more -s"})
    ('', '', 'more -s')
    """
    for name in ("GRAPHENGINE_PAGER", "PAGER"):
        if name in environ:
            return "" if environ[name].strip() == "cat" else environ[name].strip()
    return "less" if which("less") else ""


def _show_paged(pager: str, text: str) -> bool:
    """Show a text in a pager until the user leaves the pager; return False if the pager cannot be started."""
    import signal
    import subprocess

    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the pager, which runs in the foreground
    try:
        # -F: end if it fits; -R: colours; -X: leave it on the screen. The user's own options take precedence.
        environ = {"LESS": "FRX", "LV": "-c", "LESSCHARSET": "utf-8"} | os.environ
        shown = subprocess.run(pager, shell=True, input=text.encode(), env=environ, check=False)  # noqa: S602 - as in git, the user's own
    finally:
        signal.signal(signal.SIGINT, before)
    return shown.returncode not in (_NOT_EXECUTABLE, _NOT_FOUND)


class _SharedTerminal:
    """Replaces stdout or stderr, so that other output of this process does not continue a progress line.

    Before the other output is written, the progress line is erased. It is the transient line of a `Channel`.
    """

    def __init__(self, stream: TextIO, channel: Channel) -> None:
        self._stream = stream
        self._channel = channel

    def write(self, text: str) -> int:
        with self._channel.other(text):
            return self._stream.write(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - any attribute of the stream
        return getattr(self._stream, name)


@contextmanager
def making_room(channel: Channel) -> Iterator[None]:
    """Keep other output of this process apart from a progress line on the terminal, inside this `with` block.

    The progress line (the channel's transient line) is erased first. Otherwise the print of a node, for example, would
    continue that line.
    """
    if not channel.is_live:
        yield
        return
    with ExitStack() as stack:
        for stream, redirect in ((sys.stdout, redirect_stdout), (sys.stderr, redirect_stderr)):
            if stream is not None and _is_terminal(stream):
                stack.enter_context(redirect(cast("TextIO", _SharedTerminal(stream, channel))))
        yield


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except ValueError:  # closed
        return False


@contextmanager
def reserved_stdout() -> Iterator[TextIO]:
    """Reserve stdout for one JSON document, and redirect all other output, such as a node's print, to stderr."""
    real = cast("TextIO | None", sys.stdout)
    try:
        number = real.fileno() if real is not None else -1
    except (OSError, ValueError):  # not a file, as in tests
        number = -1
    if real is None or number < 0:
        with redirect_stdout(sys.stderr):
            yield real if real is not None else sys.stderr
        return
    real.flush()
    saved = os.dup(number)
    try:
        os.dup2(sys.stderr.fileno(), number)
        with (
            os.fdopen(os.dup(saved), "w", encoding="utf-8", errors="backslashreplace") as own,
            redirect_stdout(sys.stderr),
        ):
            yield own
    finally:
        os.dup2(saved, number)
        os.close(saved)
