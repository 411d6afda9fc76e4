"""Readers of HTML, DOCX and PDF documents, which use libraries of the extra `sources`.

    html → html-to-markdown → Markdown
    docx → mammoth → html → html-to-markdown → Markdown
    pdf  → pypdf → plain text

PDF, DOCX and long HTML documents are read in a separate process; see `document_process`.

A library that fails on a damaged file may raise errors of many classes, so each of its exceptions becomes a
`SourceUnreadable`.
"""

from __future__ import annotations

import io
import logging
import re
import zipfile
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from graphengine.agents.errors import SourceUnreadable
from graphengine.kernel.inside import install_command

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_PAGES: Final = 2_000
MAX_UNPACKED_BYTES: Final = 200_000_000  # unpacked size of a DOCX; a small archive can unpack to a very large file
_AROUND_THE_TEXT: Final = ["nav", "aside", "footer", "[role=navigation]", "[hidden]", "[aria-hidden=true]", "template"]
_FIRST_HEADING: Final = re.compile(r"^# \S", re.MULTILINE)
_HYPHEN: Final = re.compile(r"(?<=[a-zß-ÿ])-\n(?=[a-zß-ÿ])")
_SHORT_LINE: Final = 0.8  # of the longest line of the page: a shorter line ends a paragraph or is a heading
_PROGRAM_TITLE: Final = re.compile(r"^(?:untitled|microsoft \w+ - )|\.\w{2,5}$", re.IGNORECASE)


def html_text(name: str, page: str) -> str:
    """Convert a web page to Markdown, without navigation, asides and footers.

    Raises:
        SourceUnreadable: The page has no text, or cannot be read.
    """
    _need("html_to_markdown", name, "HTML")
    from html_to_markdown import ConversionOptions, convert  # noqa: PLC0415 - loaded on first use

    options = ConversionOptions(exclude_selectors=_AROUND_THE_TEXT, skip_images=True, compact_tables=True)
    with _translate_errors(name, "HTML page"):
        found = convert(page.replace("\0", " "), options)
        title = found.metadata.document.title or ""
        text = re.sub(r"\A---\n.*?\n---\n+", "", found.content or "", count=1, flags=re.DOTALL)  # without front matter
    return _add_title(name, text, title, "# {title}\n\n{text}" if not _FIRST_HEADING.search(text) else "{text}")


def docx_text(name: str, content: bytes) -> str:
    """Convert a Word document to Markdown.

    Raises:
        SourceUnreadable: The document is damaged or encrypted, unpacks to too many bytes, or has no text.
    """
    _need("mammoth", name, "DOCX")
    import mammoth  # noqa: PLC0415 - loaded on first use

    with _translate_errors(name, "DOCX file"):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
            if unpacked > MAX_UNPACKED_BYTES:
                raise SourceUnreadable(
                    f"the file {name!r} unpacks to {unpacked:,} bytes, more than {MAX_UNPACKED_BYTES:,}",
                    where=name,
                    repair="save the file without pictures, or split the file",
                )
            title = _docx_title(archive)
        converted: Any = mammoth.convert_to_html(
            io.BytesIO(content), convert_image=lambda _image: [], style_map="p[style-name='Title'] => h1:fresh"
        )
        page = str(converted.value)
    head = f"<head><title>{title}</title></head>" if title else ""
    return html_text(name, f"<html>{head}<body>{page}</body></html>")


def pdf_text(name: str, content: bytes) -> str:
    """Return the text of a PDF, with a blank line after each paragraph.

    Raises:
        SourceUnreadable: The PDF is damaged or encrypted, or has too many pages or no text.
    """
    _need("pypdf", name, "PDF")
    from pypdf import PdfReader  # noqa: PLC0415 - loaded on first use

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # pypdf would log each fault of a file that it repairs
    with _translate_errors(name, "PDF"):
        reader = PdfReader(io.BytesIO(content))
        if reader.is_encrypted:
            text = f"the file {name!r} is encrypted, and encrypted files cannot be read"
            raise SourceUnreadable(text, where=name, repair="save the file without a password")
        pages = len(reader.pages)
        if pages > MAX_PAGES:
            raise SourceUnreadable(
                f"the file {name!r} has {pages:,} pages, more than {MAX_PAGES:,}",
                where=name,
                repair="split the file, or give only the pages that matter",
            )
        title = str((reader.metadata.title if reader.metadata else None) or "").strip()
        text = "\n\n".join(_paragraphs(page.extract_text()) for page in reader.pages).strip()
    if not text:
        raise SourceUnreadable(
            f"the file {name!r} has no text: its {pages} pages are pictures or empty",
            where=name,
            repair="recognise the text of the pages first, for example with ocrmypdf",
        )
    is_new = title and not _PROGRAM_TITLE.search(title) and not text.startswith(title)
    return _add_title(name, text, title, "{title}\n{line}\n\n{text}" if is_new else "{text}")


def _paragraphs(page: str) -> str:
    """Separate the paragraphs in the text of a PDF page by blank lines.

    A paragraph ends with a short line that is followed by a capital or a number.
    """
    lines = [line.rstrip() for line in _HYPHEN.sub("", page.replace("\r", "")).split("\n")]
    longest = max(map(len, lines))
    parts: list[str] = []
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        parts.append(line)
        if line and len(line) < _SHORT_LINE * longest and following[:1] and not following[0].islower():
            parts.append("")
    return "\n".join(parts).strip("\n")


def _docx_title(archive: zipfile.ZipFile) -> str:
    """Return the title in the properties of a Word document, still escaped for XML."""
    try:
        properties = archive.read("docProps/core.xml").decode("utf-8", "replace")
    except KeyError:
        return ""
    found = re.search(r"<dc:title>([^<]+)</dc:title>", properties)
    return found[1].strip() if found else ""


def _add_title(name: str, text: str, title: str, form: str) -> str:
    if not text.strip():
        raise SourceUnreadable(f"the file {name!r} has no text", where=name, repair="name a file with text")
    title = " ".join(title.split())
    if not title:
        return text
    return form.format(title=title, line="=" * max(3, len(title)), text=text)


def _need(module: str, name: str, kind: str) -> None:
    if find_spec(module) is None:
        raise SourceUnreadable(
            f"reading {kind} files needs the package {module.replace('_', '-')!r}, which is not installed",
            where=name,
            repair=install_command("sources"),
        )


@contextmanager
def _translate_errors(name: str, kind: str) -> Iterator[None]:
    """Turn every exception that a library raises for a damaged file into a SourceUnreadable."""
    try:
        yield
    except (SourceUnreadable, MemoryError):
        raise
    except Exception as error:
        raise SourceUnreadable(
            f"the {kind} {name!r} is damaged: {type(error).__name__}: {error}",
            where=name,
            repair="open the file in the program that made it, and save the file again",
        ) from error
