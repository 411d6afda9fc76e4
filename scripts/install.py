"""Install this project with an extra, as the Makefile does: a line for each stage; all of pip's output if it fails.

It runs on the interpreter of a new virtual environment, so it imports only the standard library.
"""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_STAGES: Final = {
    "Obtaining ": "preparing the build",
    "Collecting ": "finding and downloading packages",
    "Building wheels ": "building this project",
    "Installing collected packages: ": "installing {count} packages",
}
"""What the first line of each stage begins with in pip's output."""


def stages(lines: Iterable[str]) -> Iterator[str]:
    """Yield the name of each stage of pip's output once, when it begins."""
    waiting = dict(_STAGES)
    for line in lines:
        begin = next((each for each in waiting if line.startswith(each)), None)
        if begin is not None:
            yield waiting.pop(begin).format(count=line.count(",") + 1)


def main(extra: str) -> int:
    """Install the project in this interpreter's environment; return pip's exit code."""
    print(f"Installing durable-graphengine[{extra}] into {sys.prefix}; the first time this takes a minute", flush=True)
    words = ["-m", "pip", "install", "--disable-pip-version-check", "--editable", f".[{extra}]"]
    began, output = time.monotonic(), list[str]()
    with subprocess.Popen(
        [sys.executable, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as pip:
        for stage in stages(_kept(pip.stdout or (), output)):
            print(f"  {time.monotonic() - began:3.0f} s  {stage}", flush=True)
    if pip.returncode:
        sys.stderr.writelines(output)
    else:
        print(f"  {time.monotonic() - began:3.0f} s  ready\n", flush=True)
    return pip.returncode


def _kept(lines: Iterable[str], output: list[str]) -> Iterator[str]:
    """Yield each line after keeping it."""
    for line in lines:
        output.append(line)
        yield line


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
