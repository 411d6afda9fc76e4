"""The trees of source files, for tests that look for something in all of the package."""

import ast
from collections.abc import Iterable, Iterator


def walked(source: str, words: Iterable[str]) -> Iterator[ast.AST]:
    """Yield each node of a module; none if no such word is in it: to parse all of the package takes a second."""
    if any(word in source for word in words):
        yield from ast.walk(ast.parse(source))


__all__ = ["walked"]
