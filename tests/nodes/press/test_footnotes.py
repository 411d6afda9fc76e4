"""A published text names titles of sources and no file: citations become footnotes."""

import pytest

from graphengine import TextFile
from graphengine.briefs.publishing.footnotes import titles_of, with_footnotes, without_paths

LOGS = TextFile(path="/home/ann/secret plans/logs.md", text="---\ntitle: The log\n---\n\n# Logs\n\nText.\n")
PAGES = TextFile(path="C:\\Users\\ann\\pages.txt", text="```\n# no title\n```\nA page is torn.\n")
TORN = TextFile(path="notes/torn_pages.md", text="# Torn `pages` [draft]\n\nText.\n")
SOURCES = [LOGS, PAGES, TORN]

TEXT = """A log is written first [logs.md:3] [logs.md:9].
Pages may be torn [C:\\Users\\ann\\pages.txt:4] [torn_pages.md:1].

```sh
cat /home/ann/secret plans/logs.md
x[0:1]
```

See logs [/home/ann/secret(plans)/logs.md:1] [nobody.md:1].

## Sources

- logs.md: `/home/ann/secret plans/logs.md`
- torn_pages.md
"""


def test_titles_come_from_front_matter_headings_or_names() -> None:
    """The title is never a path."""
    assert titles_of(SOURCES) == {LOGS.path: "The log", PAGES.path: "Pages", TORN.path: "Torn pages draft"}


def test_citations_become_footnotes_and_the_list_of_files_goes() -> None:
    """Each source has one note, in order; an unknown file is not named."""
    body, cited = with_footnotes(TEXT, SOURCES)
    assert cited == ["The log", "Pages", "Torn pages draft"]
    assert body.startswith("A log is written first[^1].\nPages may be torn[^2][^3].\n")
    assert body.endswith("[^1]: The log\n[^2]: Pages\n[^3]: Torn pages draft")
    assert "x[0:1]" in body
    for part in ("ann", "logs.md", "pages.txt", "torn_pages", "nobody", "## Sources"):
        assert part not in body.replace("secret(plans)", "")


@pytest.mark.parametrize("text", ["", "No citation.", "x [a, b: 1]"])
def test_a_text_without_citations_stays(text: str) -> None:
    """A text without citations is unchanged and has no notes."""
    assert with_footnotes(text, SOURCES) == (text, [])


def test_a_path_in_running_text_becomes_a_title() -> None:
    """Only whole paths are replaced, not parts of other words."""
    assert without_paths("In notes/torn_pages.md, my_notes/torn_pages.md.", [TORN]) == (
        "In Torn pages draft, my_notes/torn_pages.md."
    )
