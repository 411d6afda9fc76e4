"""A child process that reads PDF, DOCX and long HTML documents, because reading them can take minutes or all memory.

There are three reasons for a separate process:

- PDF and DOCX files may be compressed a thousandfold and more, so the size of a file does not limit its content.
- Code that is kept busy by a document can only be stopped by ending its process.
- The converter of HTML holds the GIL, so in a thread it would block all other threads of the program.

The child is a new interpreter and not a fork, because a fork would copy locks that other threads hold. It imports no
file of the program, so the program does not need an `if __name__ == "__main__"` guard.

One line of JSON and the content are sent to the child, and one line of JSON is the answer.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Literal, Self, TypeAlias

from graphengine.agents.errors import SourceUnreadable
from graphengine.agents.sources import documents
from graphengine.agents.sources.kinds import check_length, html

if TYPE_CHECKING:
    from types import TracebackType

Kind: TypeAlias = Literal["PDF", "DOCX", "HTML"]

MAX_SECONDS: Final = 60.0
MAX_MEMORY_BYTES: Final = 2_000_000_000
_NO_MEMORY: Final = 12
"""The exit code of a child that ran out of memory."""
_REPAIR: Final = "save the file again in the program that made it, or split the file"


class DocumentProcess:
    """Reads documents in a child process, which starts with the first document and ends with the block."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._is_closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the child process, even if another thread is still reading a document, which then fails."""
        with self._lock:
            self._is_closed = True
        self._end()

    def text(self, kind: Kind, name: str, content: bytes) -> str:
        """Read the text of a document in the child process.

        Raises:
            SourceUnreadable: The document cannot be read, or exceeds the limits of time, memory and pages.
        """
        child = self._start_process(name)
        is_late = threading.Event()

        def end() -> None:
            is_late.set()
            child.kill()

        timer = threading.Timer(MAX_SECONDS, end)
        timer.start()
        try:
            answer = _ask(child, kind, name, content)
        finally:
            timer.cancel()
        if not answer or is_late.is_set():
            self._end()
        if not answer:
            raise _build_unread_error(kind, name, child.returncode, is_late=is_late.is_set())
        found = json.loads(answer)
        if "text" in found:
            return str(found["text"])
        raise SourceUnreadable(found["message"], where=found["where"], repair=found["repair"])

    def _start_process(self, name: str) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._is_closed:
                text = f"the file {name!r} was not read, because the process that reads documents was closed"
                raise SourceUnreadable(text, where=name, repair="read the file again")
            if self._child is None:
                program = [sys.executable, "-P", "-c", f"from {__name__} import serve; serve({MAX_MEMORY_BYTES})"]
                paths = os.pathsep.join(each for each in sys.path if each)
                self._child = subprocess.Popen(  # noqa: S603 - runs this module
                    program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": paths}
                )
            return self._child

    def _end(self) -> None:
        with self._lock:
            child, self._child = self._child, None
        if child is not None:
            child.kill()
            with suppress(BrokenPipeError), child:  # closes the pipes and waits
                pass


def _ask(child: subprocess.Popen[bytes], kind: Kind, name: str, content: bytes) -> bytes:
    """Send a document to the child process and return its answer; b"" if the process ended without answering."""
    if child.stdin is None or child.stdout is None:
        return b""
    with suppress(OSError, ValueError):  # the child ended, or another thread ended it and closed the pipe
        head = {"kind": kind, "name": name, "bytes": len(content)}
        child.stdin.write(json.dumps(head).encode() + b"\n" + content)
        child.stdin.flush()
        line = child.stdout.readline()
        return line if line.endswith(b"\n") else b""  # otherwise the child was killed while it wrote
    return b""


def _build_unread_error(kind: Kind, name: str, code: int | None, *, is_late: bool) -> SourceUnreadable:
    if is_late:
        why = f"takes longer than {MAX_SECONDS:g} seconds to read"
    elif code == _NO_MEMORY:
        why = f"takes more than {MAX_MEMORY_BYTES:,} bytes of memory to read"
    else:
        why = f"cannot be read: the process that read it ended with exit code {code}"
    return SourceUnreadable(f"the {kind} {name!r} {why}", where=name, repair=_REPAIR)


def serve(max_memory_bytes: int) -> None:
    """Run in the child process: read documents that arrive on standard input, until the input is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is handled by the program, which ends this child
    answers, sys.stdout = sys.stdout.buffer, sys.stderr
    _limit_memory(max_memory_bytes)
    while line := sys.stdin.buffer.readline():
        head = json.loads(line)
        content = sys.stdin.buffer.read(head["bytes"])
        _end_after(2 * MAX_SECONDS)
        try:
            read = {"PDF": documents.pdf_text, "DOCX": documents.docx_text, "HTML": html}[head["kind"]]
            text = read(head["name"], content)
            check_length(head["name"], text)
            found = {"text": text}
        except SourceUnreadable as error:
            found = {"message": error.message, "where": error.where, "repair": error.repair}
        except MemoryError:
            os._exit(_NO_MEMORY)
        _end_after(0)
        answers.write(json.dumps(found).encode() + b"\n")
        answers.flush()


def _limit_memory(most_bytes: int) -> None:
    if sys.platform == "win32":
        return
    import resource  # noqa: PLC0415 - not on Windows

    with suppress(ValueError, OSError):  # macOS has no such limit
        resource.setrlimit(resource.RLIMIT_AS, (most_bytes, most_bytes))


def _end_after(seconds: float) -> None:
    """End this process after some seconds, in case the program was killed and cannot end it; 0 cancels this."""
    if sys.platform != "win32":
        signal.alarm(int(seconds))
