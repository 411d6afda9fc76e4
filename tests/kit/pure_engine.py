"""The engine opens no file, whatever a test lets it do: an audit hook of the interpreter looks who opens one.

There is one exception: the text of a user's traceback contains the lines of the user's source files.
"""

import sys
from pathlib import Path
from typing import Final

import graphengine

PACKAGE: Final = str(Path(graphengine.__file__).parent) + "/"
TESTS: Final = str(Path(__file__).parents[1])
BELOW: Final = ("graph/", "schemas/", "state/", "reducers.py", "errors.py")
"""What the engine calls, relative to the package. All else of the package calls the engine."""
TRACEBACKS: Final = "engine/user_frames.py"
OPENED: Final[list[str]] = []
"""Which files the engine has opened in this test, and where."""


def watch(event: str, arguments: tuple[object, ...]) -> None:
    """Note a file that a function of the engine opens, itself or through what it calls.

    Modules that are imported, and code of users such as conditions, may open files. The text of a traceback may too.
    Libraries may open their own data, such as time zones.
    """
    if event != "open" or str(arguments[0]).startswith((sys.base_prefix, sys.prefix)):
        return
    frame = sys._getframe(1)  # noqa: SLF001 - there is no other way to see who calls
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith(("<frozen importlib", TESTS)):
            return
        place = file.removeprefix(PACKAGE)
        if place == TRACEBACKS:
            return
        if place.startswith("engine/"):
            OPENED.append(f"{place} line {frame.f_lineno} opened {arguments[0]}")
            return
        if place != file and not place.startswith(BELOW):
            return
        if frame.f_back is None:
            return
        frame = frame.f_back
