"""The parameters of requests and the members of posted bodies, checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from graphengine.kernel import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.datastructures import QueryParams

_LENGTH: Final = 500
_TAGS: Final = 50
_SEQ: Final = 1 << 32


class BadQuery(InputError):
    """A parameter of a request is invalid."""

    code = "bad_query"


class Query:
    """The parameters of a request, checked."""

    def __init__(self, given: QueryParams) -> None:
        self._given = given

    @property
    def key(self) -> str:
        """All parameters as one text."""
        return str(self._given)

    def text(self, name: str) -> str | None:
        """Return a text; None if there is none."""
        found = self.texts(name)
        return found[0] if found and found[0] else None

    def texts(self, name: str) -> list[str]:
        """Return all texts of this name."""
        found = self._given.getlist(name)
        if any(len(text) > _LENGTH for text in found):
            raise BadQuery(f"{name} has more than {_LENGTH} characters", where=name, repair="give a shorter text")
        return found

    def id(self, name: str = "id") -> str:
        """Return the id of a run."""
        found = self.text(name)
        if found is None:
            raise BadQuery(f"{name} is missing", where=name, repair=f"add {name}=… to the address")
        return found

    def seq(self, name: str) -> int | None:
        """Return a step's number; None if there is none."""
        found = self.number(name)
        if found is not None and not 0 <= found < _SEQ:
            raise BadQuery(f"{name} is not the number of a step", where=name, repair="give a whole number from 0")
        return None if found is None else int(found)

    def number(self, name: str) -> float | None:
        """Return a number that is not infinite; None if there is none."""
        try:
            found = float(self._given[name]) if self._given.get(name) else None
        except ValueError:
            found = float("nan")
        if found is not None and not abs(found) < float("inf"):
            raise BadQuery(f"{name} is not a number", where=name, repair=f"leave {name} out, or give a number")
        return found

    def one_of(self, name: str, words: Sequence[str]) -> str | None:
        """Return one of these words; None if there is none."""
        found = self._given.get(name) or None
        if found is not None and found not in words:
            text = f"{name} must be one of {', '.join(words)}"
            raise BadQuery(text, where=name, repair=f"leave {name} out, or give one of these")
        return found


def text_of(body: Mapping[str, Any], name: str) -> str:
    """Return a text of a body.

    Raises:
        InputError: It is missing, empty or too long.
    """
    found = body.get(name)
    if not isinstance(found, str) or not 0 < len(found) <= _LENGTH:
        repair = f'give {{"{name}": "a text"}} in the body'
        raise InputError(f"{name} must be a text of 1 to {_LENGTH} characters", where=name, repair=repair)
    return found


def flag_of(body: Mapping[str, Any], name: str) -> bool:
    """Return true or false of a body; false if it is missing.

    Raises:
        InputError: It is something else.
    """
    found = body.get(name, False)
    if not isinstance(found, bool):
        raise InputError(f"{name} must be true or false", where=name, repair="leave it out for false")
    return found


def texts_of(body: Mapping[str, Any], name: str, most: int = _TAGS) -> list[str]:
    """Return a list of texts of a body; empty if it has none.

    Raises:
        InputError: It is something else, or too long.
    """
    found = body.get(name, [])
    if not isinstance(found, list) or len(found) > most:
        repair = "give the others in another request" if isinstance(found, list) else "leave it out for none"
        raise InputError(f"{name} must be a list of at most {most} texts", where=name, repair=repair)
    return [text_of({name: each}, name) for each in found]


__all__ = ["BadQuery", "Query", "flag_of", "text_of", "texts_of"]
