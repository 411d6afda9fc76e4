"""Areas: the topics by which facts are grouped.

The headings of the sources are the best names. If a source has none, or only one, its sentences are grouped by its key
terms instead.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import PurePath

from graphengine.briefs.text.passages import Statement
from graphengine.briefs.text.words import mentions, stem_sequence

ENOUGH_AREAS = 3  # with fewer in a file, its next deeper headings are tried
MIN_STATEMENTS = 2  # an area with a single statement is too thin
MAX_TERM_AREAS = 5
OTHER_AREA = "Further points"


def name_areas(statements: Sequence[Statement], key_terms: Sequence[str]) -> list[str]:
    """Return for each statement the name of its area.

    Args:
        statements: The statements of all sources, in order.
        key_terms: Terms to group statements by if the headings do not help, the most important first.
    """
    by_file: dict[str, list[int]] = {}
    for at, statement in enumerate(statements):
        by_file.setdefault(statement.file, []).append(at)
    names = [""] * len(statements)
    for file, places in by_file.items():
        found = _by_headings([statements[at].headings for at in places])
        for at, name in zip(places, found, strict=True):
            names[at] = name or _title(statements[at], file)
    if len(set(names)) < ENOUGH_AREAS:
        grouped = _by_terms(statements, key_terms)
        names = grouped if len(set(grouped)) > len(set(names)) else names
    return _unambiguous(names, statements)


def _by_headings(paths: Sequence[tuple[str, ...]]) -> list[str]:
    """Cut heading paths at the shallowest depth that gives enough areas, or at the one that gives the most."""
    deepest = max((len(path) for path in paths), default=0)
    best, best_count = [""] * len(paths), (0, 0)
    for depth in range(deepest):
        names = [path[min(depth, len(path) - 1)] if path else "" for path in paths]
        sizes = Counter(name for name in names if name)
        count = sum(size >= MIN_STATEMENTS for size in sizes.values())
        if (count, len(sizes)) > best_count:
            best, best_count = names, (count, len(sizes))
        if count >= ENOUGH_AREAS:
            break
    return best


def _by_terms(statements: Sequence[Statement], key_terms: Sequence[str]) -> list[str]:
    texts = [stem_sequence(statement.text) for statement in statements]
    names = [""] * len(statements)
    used = 0
    for term in key_terms:
        members = [at for at, text in enumerate(texts) if not names[at] and mentions(text, term)]
        if MIN_STATEMENTS <= len(members) <= max(MIN_STATEMENTS, len(statements) // 2) and used < MAX_TERM_AREAS:
            used += 1
            for at in members:
                names[at] = term[:1].upper() + term[1:]
    return [name or OTHER_AREA for name in names]


def _title(statement: Statement, file: str) -> str:
    return statement.headings[0] if statement.headings else PurePath(file).stem.replace("_", " ").capitalize()


def _unambiguous(names: Sequence[str], statements: Sequence[Statement]) -> list[str]:
    """Distinguish areas of the same name in different files ("Overview") by the titles of the files."""
    files: dict[str, list[str]] = {}
    for name, statement in zip(names, statements, strict=True):
        if statement.file not in files.setdefault(name, []):
            files[name].append(statement.file)
    shared = {name for name, holders in files.items() if len(holders) > 1 and name != OTHER_AREA}
    return [
        f"{name} ({title})" if name in shared and (title := _title(statement, statement.file)) != name else name
        for name, statement in zip(names, statements, strict=True)
    ]
