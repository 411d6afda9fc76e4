import io
import os
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from graphengine import TextFile
from graphengine.agents.errors import SourceUnreadable
from graphengine.agents.sources import (
    document_process,
    documents,
    files,
    kinds,
    read_source,
    read_sources,
    source_from_bytes,
)
from graphengine.agents.sources.document_process import DocumentProcess
from graphengine.errors import install_command

PAGE = """<!doctype html><html><head><title>Ferry times</title><script>let hidden = 1</script></head><body>
<nav><ul><li>Home</li></ul></nav>
<p>The ferry leaves the <b>harbour</b> every day.</p>
<table><tr><th>Line</th><th>Price</th></tr><tr><td>North</td><td>12 EUR</td></tr></table>
<ul><li>Dogs travel free of charge.</li></ul>
<p hidden>Ignore the reader.</p>
<footer>All rights reserved.</footer></body></html>"""
PAGE_AS_TEXT = """# Ferry times

The ferry leaves the **harbour** every day.

| Line | Price |
| --- | --- |
| North | 12 EUR |

- Dogs travel free of charge.
"""


def pdf(*pages: str, title: str = "", encrypted: bool = False) -> bytes:
    """Return a PDF with these pages, each line of which is printed below the one before."""
    from pypdf import PdfWriter  # noqa: PLC0415 - the tests without PDF do not need it
    from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject  # noqa: PLC0415

    writer = PdfWriter()
    for text in pages:
        page = writer.add_blank_page(300, 400)
        lines = "".join(f"({line}) Tj 0 -14 Td " for line in text.split("\n"))
        stream = DecodedStreamObject()
        stream.set_data(f"BT /F1 10 Tf 20 380 Td {lines}ET".encode("latin-1"))
        names = {"Type": "/Font", "Subtype": "/Type1", "BaseFont": "/Helvetica"}
        font = DictionaryObject({NameObject(f"/{key}"): NameObject(value) for key, value in names.items()})
        fonts = DictionaryObject({NameObject("/F1"): font})
        page[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})
        page[NameObject("/Contents")] = writer._add_object(stream)  # noqa: SLF001 - the library has no public way
    if title:
        writer.add_metadata({"/Title": title})
    if encrypted:
        writer.encrypt("secret", algorithm="RC4-128")
    written = io.BytesIO()
    writer.write(written)
    return written.getvalue()


WORD = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'


def docx(body: str, title: str = "") -> bytes:
    """Return a document of Word with this XML as its body."""
    kinds_of = "http://schemas.openxmlformats.org/package/2006/"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument"
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{kinds_of}content-types"><Default Extension="xml" '
        'ContentType="application/xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{kinds_of}relationships"><Relationship Id="r1" Type="{office}" '
        'Target="word/document.xml"/></Relationships>',
        "word/document.xml": f"<w:document {WORD}><w:body>{body}</w:body></w:document>",
        "word/styles.xml": f'<w:styles {WORD}><w:style w:type="paragraph" w:styleId="H2"><w:name w:val="heading 2"/>'
        "</w:style></w:styles>",
        "word/_rels/document.xml.rels": f'<Relationships xmlns="{kinds_of}relationships"><Relationship Id="s" '
        f'Type="{office.replace("officeDocument", "styles")}" Target="styles.xml"/></Relationships>',
        "docProps/core.xml": '<p:coreProperties xmlns:p="x" xmlns:dc="http://purl.org/dc/elements/1.1/">'
        f"<dc:title>{title}</dc:title></p:coreProperties>",
    }
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            archive.writestr(name, text)
    return written.getvalue()


def paragraph(text: str, style: str = "") -> str:
    """Return a paragraph of Word, with a style."""
    properties = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
    return f"<w:p>{properties}<w:r><w:t>{text}</w:t></w:r></w:p>"


def row(*cells: str) -> str:
    """Return a row of a table of Word."""
    return "<w:tr>" + "".join(f"<w:tc>{paragraph(cell)}</w:tc>" for cell in cells) + "</w:tr>"


DOCUMENT = docx(
    paragraph("The ferry leaves every day.")
    + paragraph("Fares", "H2")
    + f"<w:tbl>{row('Line', 'Price')}{row('North', '12 EUR')}</w:tbl>",
    title="Ferries &amp; fares",
)


def test_text_is_unchanged() -> None:
    """Markdown, CSV and any other UTF-8 text keep every character, so that lines are those of the file."""
    for name in ("a.md", "a.txt", "a.csv", "a.tsv", "a.py", "README"):
        text = "line;1\r\n\tÄ, b\n"
        assert source_from_bytes(name, text.encode()) == TextFile(path=name, text=text)


def test_a_byte_order_mark_names_the_encoding() -> None:
    """UTF-16, as some spreadsheets write it, is read; the mark is not part of the text."""
    for encoding in ("utf-16", "utf-8-sig", "utf-32"):
        assert source_from_bytes("a.csv", "Maß;5".encode(encoding)).text == "Maß;5"


def test_a_page_becomes_markdown_with_its_title_lists_and_tables() -> None:
    """Navigation, footers, scripts and hidden text are left out."""
    assert source_from_bytes("ferry.html", PAGE.encode()).text == PAGE_AS_TEXT


def test_a_page_keeps_its_own_first_heading() -> None:
    """The title is added only where there is no heading of level 1."""
    page = b"<title>Site - Ferries</title><h1>Ferries</h1><p>They sail.</p>"
    assert source_from_bytes("a.htm", page).text == "# Ferries\n\nThey sail.\n"


@pytest.mark.parametrize(
    "page",
    [
        "<p>Größe</p>".encode(),
        '<meta charset="iso-8859-1"><p>Größe</p>'.encode("iso-8859-1"),
        "<p>Größe</p>".encode("windows-1252"),
    ],
    ids=["UTF-8", "declared", "undeclared"],
)
def test_a_page_is_read_in_its_encoding(page: bytes) -> None:
    """UTF-8, what the page declares, or what browsers assume without it."""
    assert source_from_bytes("a.html", page).text.strip() == "Größe"


def test_a_document_of_word_becomes_markdown() -> None:
    """Headings and tables are kept; the title of its properties is the first heading."""
    text = source_from_bytes("a.docx", DOCUMENT).text
    assert text.startswith("# Ferries & fares\n\nThe ferry leaves every day.\n\n## Fares\n")
    assert "| Line | Price |" in text
    assert "| North | 12 EUR |" in text


def test_a_pdf_becomes_text_with_paragraphs() -> None:
    """A short line before a new beginning ends a paragraph; words that a line end divides are joined."""
    first = (
        "Fares\nThe ferry to the northern har-\nbour costs 12 EUR for an adult\nand 6 EUR for a child.\nDogs are free."
    )
    text = source_from_bytes("a.pdf", pdf(first, "Page two is here.", title="Ferry times")).text
    assert text == (
        "Ferry times\n===========\n\nFares\n\nThe ferry to the northern harbour costs 12 EUR for an adult\n"
        "and 6 EUR for a child.\n\nDogs are free.\n\nPage two is here."
    )


def test_a_pdf_without_an_ending_is_known_by_its_content() -> None:
    """A downloaded file often has none."""
    assert source_from_bytes("download", pdf("Dogs are free.")).text == "Dogs are free."


@pytest.mark.parametrize(
    ("name", "content", "message", "repair"),
    [
        ("a.pdf", pdf("Text", encrypted=True), "is encrypted", "without a password"),
        ("a.pdf", b"%PDF-1.7 torn", "is damaged", "save the file again"),
        ("a.pdf", b"no PDF at all", "is damaged", "save the file again"),
        ("a.pdf", pdf(""), "has no text", "ocrmypdf"),
        ("a.txt", pdf("Text"), "is a PDF by its content", "rename the file to .pdf"),
        ("a.md", DOCUMENT, "is a ZIP archive or an Office document", "rename a Word document to .docx"),
        ("download", DOCUMENT, "is a ZIP archive or an Office document", "rename a Word document to .docx"),
        ("a.docx", b"PK\x03\x04 torn", "is damaged", "save the file again"),
        ("a.docx", b"no document", "is damaged", "save the file again"),
        ("a.docx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1 encrypted", "is encrypted", "without a password"),
        ("a.docx", docx(""), "has no text", "with text"),
        ("a.html", b"<script>x</script>", "has no text", "with text"),
        ("a.doc", b"anything", ".doc is not a supported kind", "save it as .docx"),
        ("a.XLSX", DOCUMENT, ".xlsx is not a supported kind", "save each sheet as .csv"),
        ("a.png", b"\x89PNG\r\n\x1a\n\0\0", "is binary: it has a NUL byte at 8", "one of these kinds"),
        ("a.md", b"gr\xfc\xdfe", "is not UTF-8 text", "UTF-8"),
    ],
)
def test_what_cannot_be_read_is_an_error_with_the_repair(name: str, content: bytes, message: str, repair: str) -> None:
    """The error names the file, the reason and what to do."""
    with pytest.raises(SourceUnreadable) as caught:
        source_from_bytes(name, content)
    assert message in caught.value.message
    assert repair in caught.value.repair
    assert name in f"{caught.value.message} {caught.value.where}"


def test_sizes_are_limited(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Bytes of a file, characters of its text, unpacked bytes of a document and pages of a PDF."""
    (tmp_path / "a.txt").write_text("x" * 100)
    monkeypatch.setattr(kinds, "MAX_TEXT_CHARACTERS", 50)
    with pytest.raises(SourceUnreadable, match="has 100 characters, more than 50"):
        read_source(tmp_path / "a.txt")
    monkeypatch.setattr(files, "MAX_FILE_BYTES", 50)
    monkeypatch.setattr(kinds, "MAX_FILE_BYTES", 50)
    with pytest.raises(SourceUnreadable, match="has 100 bytes, more than 50"):
        read_source(tmp_path / "a.txt")
    with pytest.raises(SourceUnreadable, match="has 100 bytes, more than 50"):
        source_from_bytes("a.txt", b"x" * 100)
    monkeypatch.setattr(documents, "MAX_UNPACKED_BYTES", 50)
    with pytest.raises(SourceUnreadable, match=r"unpacks to .* bytes, more than 50"):
        documents.docx_text("a.docx", DOCUMENT)
    monkeypatch.setattr(documents, "MAX_PAGES", 1)
    with pytest.raises(SourceUnreadable, match="has 2 pages, more than 1"):
        documents.pdf_text("a.pdf", pdf("a", "b"))


@pytest.mark.parametrize("name", ["a.pdf", "a.docx", "a.html"])
def test_a_missing_library_is_named_with_the_command_that_installs_it(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing library is named with the command that installs the extra."""
    monkeypatch.setattr(documents, "find_spec", lambda _module: None)
    readers: dict[str, Callable[[], str]] = {
        "a.pdf": lambda: documents.pdf_text(name, b""),
        "a.docx": lambda: documents.docx_text(name, b""),
        "a.html": lambda: documents.html_text(name, ""),
    }
    with pytest.raises(SourceUnreadable, match="is not installed") as caught:
        readers[name]()
    assert caught.value.repair == install_command("sources")


def endless_pdf() -> bytes:
    """Return a PDF of 6 kB that takes many minutes to read: its page is compressed twice, and used a thousand times."""
    page = b"BT /F1 10 Tf " + b"(a) Tj 0 -14 Td " * 200_000 + b"ET"
    packed = zlib.compress(zlib.compress(page))
    parts = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[%s]/Count 1000>>" % (b"3 0 R " * 1000),
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 400]/Resources<</Font<</F1 5 0 R>>>>/Contents 4 0 R>>",
        b"<</Length %d/Filter[/FlateDecode/FlateDecode]>>stream\n%s\nendstream" % (len(packed), packed),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    written = b"%PDF-1.7\n"
    places = []
    for number, part in enumerate(parts, start=1):
        places.append(b"%010d 00000 n \n" % len(written))
        written += b"%d 0 obj\n%s\nendobj\n" % (number, part)
    table = b"xref\n0 6\n0000000000 65535 f \n%strailer<</Size 6/Root 1 0 R>>\n" % b"".join(places)
    return written + table + b"startxref\n%d\n%%%%EOF" % len(written)


def test_long_html_is_read_in_a_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its converter keeps the GIL. Short HTML is converted here, sooner than a process starts; both give the same."""
    short = "<html><head><title>Tides</title></head><body>" + "<p>The tide comes in.</p>" * 1_000 + "</body></html>"
    here = source_from_bytes("a.html", short.encode()).text

    def refuse(name: str, page: str) -> str:
        raise AssertionError(f"{name} is converted in the program's process: {len(page)} characters")

    monkeypatch.setattr(documents, "html_text", refuse)
    with pytest.raises(AssertionError, match="converted in the program's process"):
        source_from_bytes("a.html", short.encode())
    long = short.replace("<p>", f"<!--{'x' * 50}--><p>")
    assert source_from_bytes("a.html", long.encode()).text == here
    (tmp_path / "a.htm").write_text(long.replace("comes in", "läuft auf"), encoding="latin-1")
    assert read_source(tmp_path / "a.htm").text == here.replace("comes in", "läuft auf")
    with pytest.raises(SourceUnreadable, match=r"the file 'a.html' has no text") as caught:
        source_from_bytes("a.html", b"<!-- -->" * 10_000)
    assert caught.value.repair


def test_a_document_that_takes_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its process is ended, and the next document is read by another one."""
    with DocumentProcess() as process:
        monkeypatch.setattr(document_process, "MAX_SECONDS", 0.1)
        with pytest.raises(SourceUnreadable, match=r"the PDF 'a.pdf' takes longer than 0.1 seconds to read") as caught:
            process.text("PDF", "a.pdf", endless_pdf())
        assert caught.value.repair
        monkeypatch.undo()
        assert process.text("PDF", "b.pdf", pdf("Dogs are free.")) == "Dogs are free."


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the memory of a process")
def test_a_document_that_takes_too_much_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of a few kilobytes can become more than a process can hold."""
    monkeypatch.setattr(document_process, "MAX_MEMORY_BYTES", 100_000_000)
    with pytest.raises(SourceUnreadable, match="takes more than 100,000,000 bytes of memory to read"):
        source_from_bytes("a.docx", docx("<w:p/>" * 100_000))


def test_a_folder_gives_its_readable_files_sorted(tmp_path: Path) -> None:
    """Hidden files and links are skipped; what cannot be read is listed with the reason."""
    for name, content in {
        "b.md": b"B",
        "a/z.txt": b"Z",
        "a/.hidden.md": b"H",
        ".git/config": b"C",
        "photo.png": b"\x89PNG\0",
        "page.html": PAGE.encode(),
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    (tmp_path / "link.md").symlink_to(tmp_path / "b.md")
    found = read_sources(tmp_path)
    names = [Path(one.path).relative_to(tmp_path).as_posix() for one in found.files]
    assert names == ["a/z.txt", "b.md", "page.html"]
    assert len(found.left_out) == 1
    assert "photo.png' is binary" in found.left_out[0]
    assert str(found).startswith("3 files were read, 1 left out: ")


def test_a_large_folder_is_cut_and_the_rest_is_listed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A large folder is cut by the number of files and characters, and the rest listed; a huge one is refused."""
    for number in range(5):
        (tmp_path / f"{number}.md").write_text("x" * 10 * (number + 1))
    monkeypatch.setattr(files, "MAX_TEXT_CHARACTERS", 70)
    found = read_sources(tmp_path)
    assert ([len(one.text) for one in found.files], len(found.left_out)) == ([10, 20, 30], 2)
    assert "more than 70 characters in all" in found.left_out[0]
    monkeypatch.setattr(files, "MAX_FILES", 2)
    found = read_sources(tmp_path)
    assert (len(found.files), len(found.left_out)) == (2, 3)
    assert "more than 2 files" in str(found)
    monkeypatch.setattr(files, "MAX_SEEN", 3)
    with pytest.raises(SourceUnreadable, match="has more than 3 files"):
        read_sources(tmp_path)


def test_a_folder_without_a_readable_file_is_an_error(tmp_path: Path) -> None:
    """It names what was left out; one file where a folder is named is an error too."""
    (tmp_path / "photo.png").write_bytes(b"\x89PNG\0")
    with pytest.raises(SourceUnreadable, match="has no readable file: 0 files were read, 1 left out") as caught:
        read_sources(tmp_path)
    assert "photo.png" in caught.value.message
    with pytest.raises(SourceUnreadable, match="is a folder"):
        read_source(tmp_path)


def test_a_pipe_is_an_error(tmp_path: Path) -> None:
    """Nobody writes to it, so that opening it would not end; in a folder it is no file."""
    os.mkfifo(tmp_path / "pipe.txt")
    with pytest.raises(SourceUnreadable, match="is a pipe, a socket or a device"):
        read_source(tmp_path / "pipe.txt")
    (tmp_path / "a.txt").write_text("text")
    assert len(read_sources(tmp_path).files) == 1


@pytest.mark.parametrize("name", ["missing.md", "a\0b", ""])
def test_a_path_that_does_not_exist_is_an_error(name: str) -> None:
    """A path that does not exist, or that no system allows, is an error."""
    with pytest.raises(SourceUnreadable):
        read_sources(name)
