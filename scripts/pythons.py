"""Install a built wheel on several versions of Python, and run the README's code there: `make pythons`.

`python -m scripts.pythons WHEEL README [PYTHON …]`, by default on the Python that runs it; it needs no other package.
Each gets an environment of its own with what an index has. The agents of the README answer from a script.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

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
asyncio.run(main.ask("Does it rain?"))
"""


def blocks(readme: Path, language: str) -> list[str]:
    """Return the blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", readme.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def tried(python: str, wheel: Path, readme: Path) -> str:
    """Return the version of a Python on which the README's code does what the README shows.

    Raises:
        SystemExit: It does not; the message has what was printed.
    """
    shown = blocks(readme, "text")
    answer = shown[-1].removesuffix("\n")
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder)
        environment = made / "environment"
        subprocess.run([python, "-m", "venv", environment], check=True)
        installed = environment / "bin" / "python"
        subprocess.run([installed, "-m", "pip", "install", "-q", "--disable-pip-version-check", wheel], check=True)
        program = made / "program.py"
        program.write_text(f"BLOCKS, ANSWER = {blocks(readme, 'python')!r}, {answer!r}\n{PROGRAM}", encoding="utf-8")
        done = subprocess.run([installed, program], cwd=made, capture_output=True, text=True, check=False)
        version = subprocess.run([installed, "-VV"], capture_output=True, text=True, check=True).stdout.strip()
        if done.returncode or done.stdout != "".join(shown) + answer:
            raise SystemExit(f"{version}: the README's code printed {done.stdout!r}\n{done.stderr}")
    return version


if __name__ == "__main__":
    given, page, *pythons = sys.argv[1:]
    for each in pythons or [sys.executable]:
        sys.stdout.write(f"{tried(each, Path(given), Path(page))}: README's code ran with the wheel\n")
        sys.stdout.flush()
