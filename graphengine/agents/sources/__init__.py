"""Sources: files and folders of any common kind as texts for agents.

    from graphengine.agents.sources import read_source, read_sources

    report = read_source("report.pdf")              # a TextFile
    found = read_sources("notes/")                  # every readable file of a folder
    print(found.files, found.left_out)
    page = source_from_bytes("page.html", content)  # what a program fetched itself
    notes = await read_resources(mcp("python server.py"))  # those of an MCP server
    line = quoted_at("It rose by a metre.", report.text)  # where a model's quotation stands, 0 for nowhere

| kind | text |
|---|---|
| Markdown, text, code, JSON, CSV, TSV | unchanged, so lines are those of the file |
| HTML, DOCX | Markdown with headings, lists and tables; the title of the document is its first heading |
| PDF | plain text with blank lines between paragraphs; the title of the document is its first heading |

HTML, DOCX and PDF need the libraries of the extra `sources`, which are imported on first use. The module `web` next to
this one reads pages of the web.
"""

from __future__ import annotations

from graphengine.agents.sources.files import Sources, read_source, read_sources
from graphengine.agents.sources.kinds import MAX_FILE_BYTES, MAX_TEXT_CHARACTERS, source_from_bytes
from graphengine.agents.sources.quotations import quoted_at
from graphengine.agents.sources.resources import read_resources

__all__ = [
    "MAX_FILE_BYTES",
    "MAX_TEXT_CHARACTERS",
    "Sources",
    "quoted_at",
    "read_resources",
    "read_source",
    "read_sources",
    "source_from_bytes",
]
