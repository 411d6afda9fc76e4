"""Sources: files, folders, web pages and MCP resources of common kinds, read as texts for agents.

    from graphengine.agents.sources import read_source, read_sources

    report = read_source("report.pdf")              # a TextFile
    found = read_sources("notes/")                  # every readable file of a folder
    print(found.files, found.left_out)
    page = source_from_bytes("page.html", content)  # content that a program fetched itself
    notes = await read_resources(mcp("python server.py"))  # the resources of an MCP server
    line = quoted_at("It rose by a metre.", report.text)  # the line of a model's quotation; 0 if it is not found

| kind | text |
|---|---|
| Markdown, text, code, JSON, CSV, TSV | unchanged, so line numbers are those of the file |
| HTML, DOCX | Markdown with headings, lists and tables; the title of the document is its first heading |
| PDF | plain text with blank lines between paragraphs; the title of the document is its first heading |

HTML, DOCX and PDF need the libraries of the extra `sources`, which are imported on first use. `read_page` and
`read_media` read from the web.

A `TextFile` is a text with its path. `Sources` lists the texts of a folder, and the files that were left out, each with
the reason. A source is a file, a page or a resource that is read as a text.
"""

from graphengine.doors import door

__getattr__, __dir__, __all__ = door(__name__, __file__)
