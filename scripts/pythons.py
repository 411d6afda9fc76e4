"""Try a built wheel and the core on every Python of this machine: `make pythons`.

`python -m scripts.pythons WHEEL README [--others] [PYTHON …]`. Without a PYTHON it finds those that are there, each
version once: on PATH, and where pyenv and uv put theirs. `--others` leaves out the version that runs this.

Each gets an environment of its own with what an index has. There the README's code runs, its agents answering from a
script, then commands, and last the core's tests, with the tools of constraints.txt.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.kit.contracts import ROOT, TOOLS

PROGRAM = """
import asyncio, inspect, sys, types
from graphengine import Agent, ScriptedModel

answers = ScriptedModel(lambda request: ANSWER)
Agent.run_sync = lambda self, *given, **more: asyncio.run(self.but(model=answers).run(*given, **more))
main = sys.modules["__main__"] = types.ModuleType("__main__")
for block in BLOCKS:
    exec(compile(block, "README.md", "exec"), vars(main))
for name, made in list(vars(main).items()):
    if name.startswith("test_") and inspect.iscoroutinefunction(made):
        asyncio.run(made())
main.forecaster = main.forecaster.but(model=answers)
asyncio.run(main.answer("Does it rain?"))
"""
COMMANDS: tuple[tuple[int, str], ...] = (
    (0, "--help"),
    (0, "new . --from review_loop"),
    (0, "check"),
    (4, "run review_loop --run-id one --limit visits=2"),
    (0, "resume one --limit visits=none"),
    (0, "render one -o one.svg"),
    (0, "doctor"),
)
"""Exit codes and commands, in an empty folder: a bundled workflow is run up to a limit, resumed and drawn."""
PROBE = """
import sys, sysconfig
version, stage = "%d.%d.%d" % sys.version_info[:3], sys.version_info[3]
is_free = sysconfig.get_config_var("Py_GIL_DISABLED")
if sys.version_info >= (3, 11) and sys.implementation.name == "cpython" and not is_free:
    print(version if stage == "final" else version + stage)
"""


class Failed(Exception):
    """A command failed on one of the Pythons. The message contains what the command printed."""


def blocks(readme: Path, language: str) -> list[str]:
    """Return the code blocks of a language in the README."""
    return re.findall(rf"^```{language}\n(.*?)^```", readme.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def interpreters() -> dict[str, str]:
    """Return the supported Pythons of this machine by version, the newest first."""
    home = Path.home()
    folders = [Path(each) for each in os.get_exec_path() if each]
    roots = (
        Path(os.environ.get("PYENV_ROOT", home / ".pyenv")) / "versions",
        home / ".local" / "share" / "uv" / "python",
    )
    folders += [folder for root in roots for folder in sorted(root.glob("*/bin"))]
    found: dict[str, str] = {}
    for python in (each for folder in folders for each in sorted(folder.glob("python3*"))):
        if re.fullmatch(r"python3(\.\d+)?", python.name) and os.access(python, os.X_OK):
            probe = subprocess.run([python, "-Sc", PROBE], capture_output=True, text=True, check=False)
            if probe.returncode == 0 and (version := probe.stdout.strip()):
                found.setdefault(version, str(python))
    return dict(sorted(found.items(), key=lambda each: [*map(int, re.findall(r"\d+", each[0]))], reverse=True))


def expected(words: list[str | Path], where: Path, code: int = 0) -> str:
    """Run a command, check its exit code, and return what it printed.

    Raises:
        Failed: The command ended with another exit code. The message contains what it printed.
    """
    done = subprocess.run(words, cwd=where, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode != code:
        said = " ".join(map(str, words))
        raise Failed(f"{said}: exit code {done.returncode}, not {code}\n{done.stdout}{done.stderr}")
    return done.stdout


def tried(python: str, wheel: Path, readme: Path) -> None:
    """Install the wheel on one Python, run the README's example and the core's tests, and print what passed.

    Raises:
        Failed: A command failed. The message contains what it printed.
    """
    shown = blocks(readme, "text")
    answer = shown[-1].removesuffix("\n")
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder)
        environment = made / "environment"
        # The pip that runs this installs: distributions have a Python without ensurepip.
        subprocess.run([python, "-m", "venv", "--without-pip", environment], check=True)
        installed = environment / "bin" / "python"
        pip: list[str | Path] = [
            sys.executable,
            "-m",
            "pip",
            "--python",
            installed,
            "install",
            "-q",
            "--disable-pip-version-check",
        ]
        expected([*pip, wheel], ROOT)
        version = expected([installed, "-VV"], made).strip()
        program = made / "program.py"
        program.write_text(f"BLOCKS, ANSWER = {blocks(readme, 'python')!r}, {answer!r}\n{PROGRAM}", encoding="utf-8")
        printed = expected([installed, program], made)
        if printed != "".join(shown) + answer:
            raise Failed(f"{version}: the README's code printed {printed!r}")
        print(f"{version}: README's code ran with the wheel", flush=True)
        project = made / "project"
        project.mkdir()
        for code, words in COMMANDS:
            expected([environment / "bin" / "graphengine", *words.split()], project, code)
        print(f"{version}: {len(COMMANDS)} commands ran", flush=True)
        expected([*pip, "-c", "constraints.txt", *TOOLS], ROOT)
        tests = expected([installed, "-m", "scripts.core", "-n", "2", "--dist", "worksteal"], ROOT)
        print(f"{version}: the core's tests, {tests.splitlines()[-1]}", flush=True)


def main(given: list[str]) -> int:
    """Try the named Pythons, or all Pythons of this machine, and return how many of them failed."""
    wheel, readme, *pythons = (each for each in given if each != "--others")
    found = {each: each for each in pythons} or interpreters()
    if "--others" in given:
        found.pop("{}.{}.{}".format(*sys.version_info), None)
    failed = 0
    for python in found.values():
        try:
            tried(python, Path(wheel).resolve(), Path(readme))
        except Failed as error:
            print(f"{python}: {error}", file=sys.stderr, flush=True)
            failed += 1
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
