"""Run programs in forks of a process that has loaded the package, so that a program costs hundredths of a second.

For programs whose own life and death matter, and not how Python starts: most of the time of a process is imports. Each
test process has one server, which has opened nothing and has one thread. For each line of its stdin, an `Order`, it
forks a child, which runs the program as `python PROGRAM` or `python -m MODULE` would, and writes how the child ended.
"""

import gc
import importlib
import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple, TextIO
from weakref import finalize

ROOT: Final = Path(__file__).resolve().parents[2]
SECONDS: Final = 60
"""A program that takes longer is killed by SIGALRM."""
LOADED: Final = ("graphengine.agents", "graphengine.cli.driving", "graphengine.cli.main", "graphengine.stores.sqlite")


class Order(NamedTuple):
    """What to run.

    Attributes:
        program: A file, or the name of a module.
        words: Its arguments.
        folder: The current folder.
        variables: All environment variables.
        loads: Modules that the server imports first, for this program and all later ones.
    """

    program: str
    words: Sequence[str]
    folder: str
    variables: Mapping[str, str]
    loads: Sequence[str] = ()


def run(
    program: Path | str,
    *words: str,
    folder: Path | None = None,
    variables: Mapping[str, str] | None = None,
    loads: Sequence[str] = (),
) -> "subprocess.CompletedProcess[str]":
    """Run a program to its end or its death; the arguments are as in `Order`, `variables` are set as well."""
    given = {**os.environ, "PYTHONPATH": str(ROOT), **(variables or {})}
    order = Order(str(program), words, str(folder or Path.cwd()), given, loads)
    server = _server()
    assert server.stdin is not None
    assert server.stdout is not None
    server.stdin.write(json.dumps(order) + "\n")
    server.stdin.flush()
    answer = server.stdout.readline()
    assert answer, f"the server of forks ended at {order.program}"
    code, output, errors = json.loads(answer)
    return subprocess.CompletedProcess([order.program, *words], code, output, errors)


@cache
def _server() -> "subprocess.Popen[str]":
    variables = {**os.environ, "PYTHONPATH": str(ROOT)}
    words = [sys.executable, __file__]
    server = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=variables, text=True)
    finalize(server, server.communicate)
    return server


def _serve() -> None:
    """Fork a child for each order. Only a child returns, after its program."""
    for name in LOADED:
        importlib.import_module(name)
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        order = Order(*json.loads(line))
        for name in order.loads:
            importlib.import_module(name)
        gc.freeze()  # a child then copies fewer pages
        with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
            child = os.fork()
            if child == 0:
                _live(order, output, errors)
                return
            _, status = os.waitpid(child, 0)
            texts = [_text(file) for file in (output, errors)]
        answers.write(json.dumps([os.waitstatus_to_exitcode(status), *texts]) + "\n")
        answers.flush()


def _text(file: TextIO) -> str:
    file.seek(0)
    return file.read()


def _live(order: Order, output: TextIO, errors: TextIO) -> None:
    """Run a program in this process, a child."""
    signal.alarm(SECONDS)
    with open(os.devnull, encoding="utf-8") as nothing:  # noqa: PTH123 - a file descriptor is needed
        os.dup2(nothing.fileno(), 0)
    os.dup2(output.fileno(), 1)
    os.dup2(errors.fileno(), 2)
    os.environ.clear()
    os.environ.update(order.variables)
    os.chdir(order.folder)
    if order.program.endswith(".py"):
        sys.argv[:] = [order.program, *order.words]
        sys.path[0] = str(Path(order.program).parent)
        runpy.run_path(order.program, run_name="__main__")
    else:
        sys.argv[:] = ["-m", *order.words]
        sys.path[0] = order.folder
        runpy.run_module(order.program, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _serve()
