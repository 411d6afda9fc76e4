"""Tables: each row as one statement, such as "Line: North; price: 12 EUR; season: May".

The first cell names what the row is about, the headings of the columns say what the other cells are.
"""

import csv
import re
from collections.abc import Iterator, Sequence

from graphengine.briefs.text.sentences import split
from graphengine.briefs.text.words import count_words

MAX_ROW_WORDS = (
    30  # a longer row becomes a statement for each sentence of its cells: cut later, it would lose its subject
)
_DELIMITERS = ",;\t|"
_NUMBER = re.compile(r"[-+]?[\d.,:/%\s]*\d[\d.,:/%\s]*")


def row_statements(columns: Sequence[str], cells: Sequence[str]) -> list[str]:
    """Return a row as statements: one, or one for each sentence of its cells if it is long or has several.

    Args:
        columns: The headings of the columns; empty if the table has none.
        cells: The cells of the row; those without a letter or digit are left out.

    >>> row_statements(["Line", "Price", "Note"], ["North", "12 EUR", "-"])
    ['Line: North; Price: 12 EUR.']
    """
    named = [*columns, *[""] * (len(cells) - len(columns))]
    filled = [(title, cell) for title, cell in zip(named, cells, strict=False) if any(map(str.isalnum, cell))]
    parts = [f"{title.rstrip(':')}: {cell}".removeprefix(": ").rstrip(".") for title, cell in filled]
    if len(parts) < 2 or not any(map(str.isalpha, "".join(parts))):  # noqa: PLR2004 - a subject and what it has
        return []
    subject = parts[0][:1].upper() + parts[0][1:]
    whole = f"{subject}; {'; '.join(parts[1:])}."
    if len(split(whole)) == 1 and count_words(whole) <= MAX_ROW_WORDS:
        return [whole]
    sentences = (f"{subject}; {sentence.rstrip('.')}." for part in parts[1:] for _, sentence in split(part))
    return [one for one in sentences if count_words(one) <= MAX_ROW_WORDS]


def csv_rows(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of a table of separated values, each with the line on which it begins, from 1."""
    first = text.lstrip("\n").split("\n", 1)[0]
    delimiter = max(_DELIMITERS, key=first.count)
    rows = csv.reader((f"{line}\n" for line in text.split("\n")), delimiter=delimiter)
    line = 1
    while True:
        try:
            cells = next(rows)
        except StopIteration:
            return
        except csv.Error:  # a cell that is longer than the module allows
            cells = []
        if any(cells):
            yield line, [" ".join(cell.split()) for cell in cells]
        line = rows.line_num + 1


def is_heading(cells: Sequence[str]) -> bool:
    """Return whether the first row of a table has the headings of its columns: words in every cell, and no number."""
    return all(cell and not _NUMBER.fullmatch(cell) for cell in cells)
