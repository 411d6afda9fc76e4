"""Exceptions that are hard to describe: long chains, groups in groups, odd classes, long texts."""

from collections.abc import Callable
from functools import partial

LONGEST_TEXT = 65_536  # characters of a message or a traceback
LINKS = 3000  # several times Python's limit of recursion


class Deaf(Exception):
    """An error that has every attribute, and fails to make each."""

    def __getattr__(self, name: str) -> object:
        message = f"no {name}"
        raise RuntimeError(message)


class Mute(Exception):
    """An error without a text."""

    def __str__(self) -> str:
        message = "no text"
        raise ValueError(message)


def linked(by: str) -> Exception:
    """Return an error at the end of a chain of errors."""
    error = ConnectionError("attempt 0 failed")
    for number in range(1, LINKS):
        before, error = error, ConnectionError(f"attempt {number} failed")
        setattr(error, by, before)
    return error


def nested() -> Exception:
    """Return groups in groups."""
    error: Exception = ValueError("innermost")
    for _ in range(LINKS):
        error = ExceptionGroup("one error", [error])
    return error


def unusual() -> BaseException:
    """Return groups in groups of what is not derived from Exception."""
    error: BaseException = SystemExit("innermost")
    for _ in range(LINKS):
        error = BaseExceptionGroup("one error", [error])
    return error


def circle() -> Exception:
    """Return two errors that caused each other."""
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    return one


ERRORS: dict[str, Callable[[], BaseException]] = {
    "causes": partial(linked, "__cause__"),
    "contexts": partial(linked, "__context__"),
    "groups": nested,
    "base groups": unusual,
    "chain in a group": lambda: ExceptionGroup("some", [ValueError("short"), linked("__cause__")]),
    "circle": circle,
    "deaf": Deaf,
    "mute": Mute,
    "long": lambda: ValueError("A" * 1_000_000),
}
