"""Convert the bytes of a file to text, depending on the ending of its name and on its content.

The ending decides the kind of the file. Without a known ending, the content decides. A file that is neither a document
nor text is refused.
"""

from __future__ import annotations

import codecs
import re
from functools import partial
from pathlib import PurePath
from typing import TYPE_CHECKING, Final, TypeAlias

from graphengine.agents.errors import SourceUnreadable
from graphengine.media import TextFile

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphengine.agents.sources.document_process import DocumentProcess

_Reader: TypeAlias = "Callable[[str, bytes], str]"

MAX_FILE_BYTES: Final = 50_000_000
"""The largest file that is read."""
MAX_TEXT_CHARACTERS: Final = 4_000_000
"""The longest text that is read, about ten books. A state with such a text can still be recorded."""
_SHORT_HTML_BYTES: Final = 50_000  # smaller files are converted faster than a process starts

_KINDS: Final = {".pdf": "PDF", ".docx": "DOCX", ".html": "HTML", ".htm": "HTML", ".xhtml": "HTML"}
_PROGRAMS: Final = {  # common kinds that cannot be read, and how to convert them
    ".doc": "save it as .docx",
    ".odt": "save it as .docx",
    ".rtf": "save it as .docx",
    ".pages": "save it as .docx",
    ".xls": "save each sheet as .csv",
    ".xlsx": "save each sheet as .csv",
    ".ods": "save each sheet as .csv",
    ".ppt": "save it as .pdf",
    ".pptx": "save it as .pdf",
    ".epub": "save it as .html",
    ".zip": "unpack it and name the folder",
}
_SIGNATURES: Final = ((b"%PDF-", "PDF"), (b"PK\x03\x04", "ZIP"), (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "OLE"))
_BYTE_ORDER_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins like the mark of UTF-16, so it is tried first
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CHARSET: Final = re.compile(rb"""<(?:meta|\?xml)[^>]*?(?:charset|encoding)\s*=\s*["']?\s*([\w:.-]+)""", re.IGNORECASE)
_HEAD_BYTES: Final = 1024  # the part of a page in which HTML declares its encoding
_READABLE: Final = "supported: Markdown, text, HTML, PDF, DOCX, CSV and TSV"


def source_from_bytes(name: str, content: bytes) -> TextFile:
    """Return the content of a file as a text with its name.

    `source_from_bytes` reads PDF files, DOCX files, and HTML files of more than 50 kB in a child process, for at most
    60 seconds. The caller is blocked for this time, so async code should call `source_from_bytes` with
    `asyncio.to_thread`.

    Args:
        name: The name or path of the file; its ending decides how the content is read.
        content: The bytes of the file.

    Raises:
        SourceUnreadable: The file is too large, damaged, encrypted, of an unknown kind, of another kind than its
            ending, has no text, or takes too long or too much memory to read; or the extra `sources` is missing.

    Example:
        >>> source_from_bytes("tides.md", b"# Tides").text
        '# Tides'
    """
    from graphengine.agents.sources.document_process import DocumentProcess  # noqa: PLC0415 - it imports this module

    with DocumentProcess() as process:
        return read_bytes(name, content, process)


def read_bytes(name: str, content: bytes, process: DocumentProcess) -> TextFile:
    """Convert the bytes of a file to text like `source_from_bytes`, but in the child process that the caller started.

    Raises:
        SourceUnreadable: As for `source_from_bytes`.
    """
    if len(content) > MAX_FILE_BYTES:
        raise too_large(name, len(content))
    text = _reader(name, content, process)(name, content)
    check_length(name, text)
    return TextFile(path=name, text=text)


def check_length(name: str, text: str) -> None:
    """Check that the text of a file has at most `MAX_TEXT_CHARACTERS` characters.

    Raises:
        SourceUnreadable: The text is longer.
    """
    if len(text) > MAX_TEXT_CHARACTERS:
        raise SourceUnreadable(
            f"the file {name!r} has {len(text):,} characters, more than {MAX_TEXT_CHARACTERS:,}",
            where=name,
            repair="split the file, or give only the part that matters",
        )


def too_large(name: str, size_bytes: int) -> SourceUnreadable:
    return SourceUnreadable(
        f"the file {name!r} has {size_bytes:,} bytes, more than {MAX_FILE_BYTES:,}",
        where=name,
        repair="split the file, or give only the part that matters",
    )


def _reader(name: str, content: bytes, process: DocumentProcess) -> _Reader:
    """Choose the function that converts a file to text, by the ending of its name and by its first bytes."""
    ending = PurePath(name).suffix.lower()
    if ending in _PROGRAMS:
        raise SourceUnreadable(
            f"the file {name!r} cannot be read: {ending} is not a supported kind; {_READABLE}",
            where=name,
            repair=_PROGRAMS[ending],
        )
    wanted = _KINDS.get(ending)
    found = next((kind for mark, kind in _SIGNATURES if content.startswith(mark)), None)
    if wanted == "DOCX" and found == "OLE":
        raise SourceUnreadable(
            f"the file {name!r} is encrypted, or an old .doc with a new name",
            where=name,
            repair="open the file, with its password if it has one, and save the file as .docx without a password",
        )
    readers: dict[str, _Reader] = {
        "PDF": partial(process.text, "PDF"),
        "DOCX": partial(process.text, "DOCX"),
        "HTML": html if len(content) <= _SHORT_HTML_BYTES else partial(process.text, "HTML"),
    }
    expected = {"DOCX": "ZIP", "PDF": "PDF"}.get(wanted or "")
    if found is not None and found != expected:
        return _check_ending(name, ending, found, readers)
    return readers[wanted] if wanted else plain_text


def _check_ending(name: str, ending: str, found: str, readers: dict[str, _Reader]) -> _Reader:
    """Return the function that reads a document whose name has no ending, and refuse a name with a wrong ending.

    Raises:
        SourceUnreadable: The document cannot be read, or its name has the ending of another kind of file.
    """
    if not ending and found in readers:
        return readers[found]
    described = {"PDF": "a PDF", "ZIP": "a ZIP archive or an Office document"}.get(found, "an old Office document")
    repair = {"PDF": "rename the file to .pdf", "ZIP": "rename a Word document to .docx, or unpack an archive"}
    raise SourceUnreadable(
        f"the file {name!r} is {described} by its content, and the ending of its name is another",
        where=name,
        repair=repair.get(found, "save the file as .docx or .csv"),
    )


def plain_text(name: str, content: bytes) -> str:
    """Decode a text file, which is encoded in UTF-8 or as its byte order mark says.

    Raises:
        SourceUnreadable: The file is not text, or has another encoding.
    """
    marked = next((encoding for mark, encoding in _BYTE_ORDER_MARKS if content.startswith(mark)), None)
    if b"\0" in content and marked in {None, "utf-8-sig"}:
        raise SourceUnreadable(
            f"the file {name!r} is binary: it has a NUL byte at {content.index(0)}; {_READABLE}",
            where=name,
            repair="save the file as one of these kinds",
        )
    try:
        return content.decode(marked or "utf-8")
    except UnicodeDecodeError as error:
        raise SourceUnreadable(
            f"the file {name!r} is not UTF-8 text: {error.reason} at byte {error.start}; {_READABLE}",
            where=name,
            repair="save the file as UTF-8 text, or as one of these kinds",
        ) from error


def html(name: str, content: bytes) -> str:
    """Convert a web page to Markdown. The page is encoded in UTF-8, or as it declares.

    Raises:
        SourceUnreadable: The page has another encoding, or has no text.
    """
    from graphengine.agents.sources.documents import html_text  # noqa: PLC0415 - plain text needs none of it

    declared = _CHARSET.search(content[:_HEAD_BYTES])
    try:
        page = plain_text(name, content)
    except SourceUnreadable:
        if b"\0" in content:
            raise
        encoding = declared[1].decode("ascii", "replace") if declared else "windows-1252"  # as browsers do
        try:
            page = content.decode(encoding)
        except (LookupError, UnicodeDecodeError) as error:
            raise SourceUnreadable(
                f"the file {name!r} is neither UTF-8 nor {encoding}", where=name, repair="save the file as UTF-8"
            ) from error
    return html_text(name, page)
