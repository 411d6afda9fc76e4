"""DOT laid out and painted: by the `dot` program if it is installed, else by pygraphviz, whose wheels contain Graphviz.

pygraphviz runs in a process of its own, so that output, delays and crashes of the C library do not affect the user's
program, and threads need no lock.
"""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from shutil import which
from typing import TYPE_CHECKING, Literal, TypeAlias

from graphengine.errors import install_command
from graphengine.render.errors import RenderError

if TYPE_CHECKING:
    from collections.abc import Callable

ImageFormat: TypeAlias = Literal["svg", "png", "pdf"]

PNG_DPI = 144
"""Two dots per point, so that text stays sharp on high-resolution screens."""

_TEXT_WORKS = "a .dot or .mmd file needs neither"
_PYGRAPHVIZ = """\
import sys, pygraphviz
source = sys.stdin.buffer.read().decode("utf-8")
sys.stdout.buffer.write(pygraphviz.AGraph(string=source).draw(format=sys.argv[1], prog="dot"))
"""


def paint(dot: str, image_format: ImageFormat) -> bytes:
    """Lay out a graph in DOT and paint it.

    Raises:
        RenderError: No painter is installed, or it failed.
    """
    if image_format == "png":
        dot = dot.replace("graph [", f'graph [dpi="{PNG_DPI}" ', 1)
    return _painter()(dot, image_format)


def _painter() -> Callable[[str, ImageFormat], bytes]:
    if which("dot") is not None:
        return _by_dot
    if find_spec("pygraphviz") is not None:
        return _by_pygraphviz
    raise RenderError(
        "no painter is installed: neither a `dot` program on PATH nor pygraphviz",
        repair=f"{install_command('render')}, or install Graphviz; {_TEXT_WORKS}",
    )


def _by_dot(dot: str, image_format: ImageFormat) -> bytes:
    import graphviz  # noqa: PLC0415 - loaded on first use

    try:
        painted: bytes = graphviz.pipe("dot", image_format, dot.encode(), quiet=True)
    except graphviz.ExecutableNotFound as error:
        raise _failed("dot", str(error)) from error
    except subprocess.CalledProcessError as error:
        raise _failed("dot", _last_line(error.stderr) or f"it ended with {error.returncode}") from error
    return painted


def _by_pygraphviz(dot: str, image_format: ImageFormat) -> bytes:
    # -P: do not import files of the working directory
    command = [sys.executable, "-P", "-c", _PYGRAPHVIZ, image_format]
    try:
        done = subprocess.run(command, input=dot.encode(), capture_output=True, check=False)  # noqa: S603 - our own
    except OSError as error:
        raise _failed("pygraphviz", str(error)) from error
    if done.returncode or not done.stdout:
        raise _failed("pygraphviz", _last_line(done.stderr) or f"it ended with {done.returncode}")
    return done.stdout


def _last_line(stderr: bytes | None) -> str:
    lines = (stderr or b"").decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else ""


def _failed(painter: str, why: str) -> RenderError:
    return RenderError(
        f"{painter} could not paint this: {why}",
        repair=f"fix the installation of {painter}, or use the other of dot and pygraphviz; {_TEXT_WORKS}",
    )
