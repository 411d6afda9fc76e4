"""Read files and folders as sources."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from graphengine.agents.errors import SourceUnreadable
from graphengine.agents.sources.document_process import DocumentProcess
from graphengine.agents.sources.kinds import MAX_FILE_BYTES, MAX_TEXT_CHARACTERS, read_bytes, too_large

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from graphengine.media import TextFile

MAX_FILES: Final = 200  # of a folder
MAX_SEEN: Final = 10_000  # files in a folder; with more files, the path is probably wrong
_SHOWN: Final = 5  # number of files left out that are named


@dataclass(frozen=True, slots=True)
class Sources:
    """The texts found at a path, and the files that were left out.

    Attributes:
        files: The texts, sorted by path.
        left_out: For each file of the folder that was not read, its path and the reason.
    """

    files: tuple[TextFile, ...]
    left_out: tuple[str, ...] = ()

    def __str__(self) -> str:
        read = f"{len(self.files)} {'file was' if len(self.files) == 1 else 'files were'} read"
        if not self.left_out:
            return read
        more = len(self.left_out) - _SHOWN
        shown = [*self.left_out[:_SHOWN], *([f"and {more} more"] if more > 0 else [])]
        return f"{read}, {len(self.left_out)} left out: {'; '.join(shown)}"


def read_source(path: str | os.PathLike[str]) -> TextFile:
    """Return a file as a text with its path.

    Args:
        path: The path of the file. The text keeps the path as it was given.

    Raises:
        SourceUnreadable: The file does not exist, or cannot be read as text. The error names the reason and the repair.
    """
    with DocumentProcess() as process:
        return _read_text_file(os.fspath(path), process)


def _read_text_file(name: str, process: DocumentProcess) -> TextFile:
    try:
        if Path(name).is_dir():
            raise SourceUnreadable(
                f"{name!r} is a folder, not a file",
                where=name,
                repair="name one file. A folder can only be given to a field that is a list of files",
            )
        if Path(name).exists() and not Path(name).is_file():  # opening a pipe would wait for a writer
            raise SourceUnreadable(
                f"{name!r} is a pipe, a socket or a device, and not a file",
                where=name,
                repair="write its content to a file, and name this file",
            )
        with Path(name).open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
            size_bytes = max(len(content), os.fstat(file.fileno()).st_size)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SourceUnreadable(
            f"the file {name!r} cannot be read: {reason}", where=name, repair="name a file that exists"
        ) from error
    if len(content) > MAX_FILE_BYTES:
        raise too_large(name, size_bytes)
    return read_bytes(name, content, process)


def read_sources(path: str | os.PathLike[str]) -> Sources:
    """Return the file at a path, or every readable file of the folder at this path, sorted by path.

    In a folder, `read_sources` skips hidden files and hidden folders, and does not follow links. A file that cannot be
    read is left out. Files are also left out once 200 files or 4,000,000 characters have been read. The attribute
    `left_out` of the result lists each of these files with the reason.

    Args:
        path: The file or folder.

    Raises:
        SourceUnreadable: The file cannot be read, or no file of the folder can be read.
    """
    name = os.fspath(path)
    with DocumentProcess() as process:
        if "\0" in name or not Path(name).is_dir():
            return Sources((_read_text_file(name, process),))
        return gather_sources(files_in(name), lambda file: _read_text_file(file, process), f"the folder {name!r}")


def gather_sources(names: Iterable[str], read: Callable[[str], TextFile], where: str) -> Sources:
    """Read several files as texts, up to the limits on files and characters, and list those that were left out.

    Raises:
        SourceUnreadable: None of the files can be read.
    """
    files: list[TextFile] = []
    left_out: list[str] = []
    characters = 0
    for file in names:
        if len(files) == MAX_FILES:
            left_out.append(f"{file} (more than {MAX_FILES} files)")
            continue
        try:
            source = read(file)
        except SourceUnreadable as error:
            left_out.append(f"{file} ({error.message}; {error.repair})")
            continue
        if characters + len(source.text) > MAX_TEXT_CHARACTERS:
            left_out.append(f"{file} (more than {MAX_TEXT_CHARACTERS:,} characters in all)")
            continue
        characters += len(source.text)
        files.append(source)
    found = Sources(tuple(files), tuple(left_out))
    if not files:
        text = f"{where!r} has no readable file: {found}"
        raise SourceUnreadable(text, where=where, repair="name a file or folder with readable files")
    return found


def files_in(folder: str) -> list[str]:
    """Return the sorted paths of the files in a folder, without hidden files, hidden folders and links.

    Raises:
        SourceUnreadable: The folder contains too many files.
    """
    found = sorted(_walk(folder))
    if len(found) > MAX_SEEN:
        raise SourceUnreadable(
            f"the folder {folder!r} has more than {MAX_SEEN:,} files", where=folder, repair="name a smaller folder"
        )
    return found


def _walk(folder: str) -> Iterator[str]:
    seen = 0
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(one for one in folders if not one.startswith("."))
        for one in names:
            file = Path(place, one)
            if not one.startswith(".") and not file.is_symlink() and file.is_file():
                seen += 1
                yield file.as_posix()
                if seen > MAX_SEEN:
                    return
