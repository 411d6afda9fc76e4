"""Errors that end at the line of the caller: `ends_at_caller` for every public function and class.

A traceback gains an entry for each frame that the error leaves, so the frames between the caller's line and the check
that raised would be listed below it. A frame that catches an error gains no second entry when it raises it again with a
bare `raise`. So the outermost frame of graphengine catches it, removes the entries so far, its own included, and raises
it again: the next entry is that of the caller.
"""

from __future__ import annotations

import functools
import inspect
import sys
from difflib import get_close_matches
from types import FunctionType, TracebackType
from typing import TYPE_CHECKING, Any, Final, TypeVar

from graphengine.calls.user_frames import has_user_code, is_standard_library
from graphengine.errors import CompileError, DefinitionError, GraphEngineError, InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import FrameType

T = TypeVar("T")

_OWN: Final = __name__.partition(".")[0]
_OF_THE_CALLER: Final = (CompileError, DefinitionError, InputError)
"""Errors that the caller's line explains, so that no frame of graphengine is shown for what caused them either."""

_OPERATORS: Final = "and or rand ror bool lt le gt ge eq ne"
_ENTRIES: Final = frozenset(f"__{name}__" for name in f"init call getattr enter exit aenter aexit {_OPERATORS}".split())


def ends_at_caller(target: T) -> T:
    """Let the tracebacks of graphengine's errors end at the line that called this function, or a method of this class.

    Frames of the user's functions that it called are kept, and so are exceptions that the caller was handling.
    """
    if isinstance(target, type):
        for name, member in list(vars(target).items()):
            if isinstance(member, FunctionType) and (name in _ENTRIES or not name.startswith("_")):
                setattr(target, name, _wrapped(member))
        return target
    return _wrapped(target)  # type: ignore[arg-type, return-value]


def _wrapped(function: Callable[..., Any]) -> Callable[..., Any]:
    if inspect.isasyncgenfunction(function):
        return function  # its body runs in calls of __anext__, of which none is ours

    @functools.wraps(function)
    def call(*args: object, **kwargs: object) -> object:
        before = sys.exception()
        try:
            return function(*args, **kwargs)
        except GraphEngineError as error:
            _cut(error, before)
            raise
        except TypeError as error:
            _explain(error, function, kwargs)
            raise

    @functools.wraps(function)
    async def call_async(*args: object, **kwargs: object) -> object:
        before = sys.exception()
        try:
            return await function(*args, **kwargs)
        except GraphEngineError as error:
            _cut(error, before)
            raise
        except TypeError as error:
            _explain(error, function, kwargs)
            raise

    return call_async if inspect.iscoroutinefunction(function) else call


def _explain(error: TypeError, function: Callable[..., Any], given: Mapping[str, object]) -> None:
    """End an error about unfit arguments at the caller, and add the closest option, as Python 3.13 does."""
    if error.__traceback__ is not None and error.__traceback__.tb_next is None:
        error.__traceback__ = None
    for name in given:
        text = f"{function.__qualname__}() got an unexpected keyword argument {name!r}"
        if not str(error).startswith(text):
            continue
        error.__traceback__ = None
        near = get_close_matches(name, inspect.signature(function).parameters, n=1)
        if near and str(error) == text:
            error.args = (f"{text}. Did you mean {near[0]!r}?",)


def _cut(error: GraphEngineError, before: BaseException | None) -> None:
    """Remove what the engine added to an error: entries of its traceback, and exceptions that only it handled."""
    error.__traceback__ = users_part(error.__traceback__)
    if error.__traceback__ is not None or not isinstance(error, _OF_THE_CALLER):
        return
    cause = error.__cause__
    if cause is not None:
        if not has_user_code(cause):
            cause.__traceback__, cause.__suppress_context__ = None, True
        return
    handled, seen = error.__context__, {id(error)}
    while handled is not None and handled is not before and id(handled) not in seen:
        if users_part(handled.__traceback__) is not None:
            return  # code of the user raised it inside this call
        seen.add(id(handled))
        handled = handled.__context__
    error.__context__, error.__suppress_context__ = before, False


def users_part(entry: TracebackType | None) -> TracebackType | None:
    """Return the entries from the first frame of the user's code on, without those of graphengine; None if none is."""
    kept: list[TracebackType] = []
    while entry is not None:
        frame = entry.tb_frame
        if not _is_own(frame) and (kept or not is_standard_library(frame.f_code.co_filename)):
            kept.append(entry)
        entry = entry.tb_next
    made: TracebackType | None = None
    for each in reversed(kept):
        made = TracebackType(made, each.tb_frame, each.tb_lasti, each.tb_lineno)
    return made


def _is_own(frame: FrameType) -> bool:
    """Return whether a frame is graphengine's, by its module: methods that dataclasses generate have no file."""
    return str(frame.f_globals.get("__name__", "")).partition(".")[0] == _OWN


__all__ = ["ends_at_caller", "users_part"]
