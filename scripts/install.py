"""Install this project, as the Makefile does: a line for each stage; all of pip's output if it fails.

    python scripts/install.py inspect,render
    python scripts/install.py --group dev

The first adds extras, the second what a dependency group of pyproject.toml lists. It runs on the interpreter of a new
virtual environment, so it imports only the standard library; the pip there can be older than 25.1, the first that reads
dependency groups itself.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

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
    """Yield the name of each stage of an installation once, when the stage begins in pip's output."""
    waiting = dict(_STAGES)
    for line in lines:
        begin = next((each for each in waiting if line.startswith(each)), None)
        if begin is not None:
            yield waiting.pop(begin).format(count=line.count(",") + 1)


def grouped(group: str) -> tuple[str, list[str]]:
    """Return the extras of this project that a dependency group lists, in brackets, and the group's other requirements.

    No group of this project includes another group. The extras are needed in this form for `--editable .[extras]`: pip
    23 would take a second requirement `durable-graphengine[mcp]` for a different project.
    """
    content: dict[str, Any] = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))
    own = content["project"]["name"]
    lines: list[str] = content["dependency-groups"][group]
    extras = "".join(line.removeprefix(own) for line in lines if line.startswith(own))
    return extras, [line for line in lines if not line.startswith(own)]


def main(extras: str, group: str) -> int:
    """Install the project in this interpreter's environment; return pip's exit code."""
    what = f"the group {group}" if group else f"durable-graphengine[{extras}]"
    print(f"Installing {what} into {sys.prefix}; the first time this takes a minute", flush=True)
    added, more = grouped(group) if group else (f"[{extras}]", [])
    words = ["-m", "pip", "install", "--disable-pip-version-check", "--editable", f".{added}", *more]
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
    """Yield each line of pip's output, and also add it to `output`, which is printed if pip fails."""
    for line in lines:
        output.append(line)
        yield line


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Install this project in this interpreter's environment.")
    either = parser.add_mutually_exclusive_group(required=True)
    either.add_argument("extras", nargs="?", default="", help="extras of the package, such as inspect,render")
    either.add_argument("--group", default="", help="a dependency group of pyproject.toml, such as dev")
    given = parser.parse_args()
    sys.exit(main(given.extras, given.group))
