"""Run suites and clients that others wrote against a service on this machine: `python -m tests.suites.run [NAME...]`.

`make suites` installs them first. A suite has lines `PASS` and `FAIL`. What fails is listed in `expected.toml`, with
the clause or the reason; what fails besides, and what is listed and passes, fails the run. So does a suite that cannot
be run, since Node.js or what `make suites` installs is missing, unless `SUITES=optional` is set. The last lines say
what was not run. The kit of A2A is on no index: it is left out, unless `A2A_KIT=FOLDER` says where a checkout of it is.
"""

import difflib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
NODE = next(HERE.glob("node_modules/node-linux-*/bin/node"), HERE / "node")
CONFORMANCE = HERE / "node_modules" / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"
OTHERS = ROOT / ".venv-suites" / "bin" / "python"
TOKEN = "the-token-of-these-suites"  # noqa: S105 - of no real service
SUITES = {
    **{f"mcp-conformance {each}": ("conformance", each) for each in ("2025-06-18", "2025-11-25", "2026-07-28")},
    "mcp-typescript 1": ("node", "mcp.mjs", "1", "mcp"),
    "mcp-typescript 2": ("node", "mcp.mjs", "2", "mcp"),
    **{f"openai and ai-sdk {each}": ("node", "openai.mjs", each, "openai") for each in ("older", "newest")},
    "mcp-servers": ("servers", ""),
    **{each: ("python", each) for each in ("fastmcp", "litellm", "schemathesis", "openapi_client")},
    "generated-clients": ("generated", ""),
    "a2a-kit": ("a2a", ""),
}
A2A_KIT = os.environ.get("A2A_KIT", "")


@contextmanager
def served(flows: str, *doors: str, token: bool = True) -> Iterator[dict[str, str]]:
    """Serve graphs, and yield the addresses."""
    with tempfile.TemporaryDirectory() as folder:
        place = [f"{folder}/runs.db"]
        command = ["-m", "tests.suites.served", *place, str(HERE / flows), *doors]
        if token:
            words = [f"--{door}" for door in doors]
            command = [
                "-m",
                "graphengine",
                "serve",
                str(HERE / flows),
                "--store",
                *place,
                "--port",
                "0",
                "--json",
                *words,
            ]
        env = {**os.environ, "GRAPHENGINE_TOKEN": TOKEN}
        output = Path(folder, "output")  # a pipe would be full after some runs, since each is a line
        with output.open("w") as file:
            process = subprocess.Popen([sys.executable, *command], cwd=ROOT, env=env, stdout=file)
        try:
            while not (lines := output.read_text(encoding="utf-8").splitlines(keepends=True)) or lines[0][-1] != "\n":
                assert process.poll() is None, f"{flows} cannot be served"
                time.sleep(0.05)
            found = json.loads(lines[0])
            yield found["doors"] if token else found
        finally:
            process.terminate()
            process.wait()


def outcome(kind: str, *words: str) -> str:
    """Return what a suite printed."""
    env = {**os.environ, "GRAPHENGINE_TOKEN": TOKEN}
    if kind == "conformance":
        with served("mcp_tools.py", "mcp", token=False) as doors, tempfile.TemporaryDirectory() as folder:
            frozen = "--spec-version" if words[0] < "2025-11" else "--requirements"  # older ones have no list
            place = ["--url", doors["mcp"], frozen, words[0], "-o", folder]
            done = subprocess.run(
                [str(NODE), str(CONFORMANCE), "server", *place], capture_output=True, text=True, check=False
            )
            lines = re.findall(r"^([✓✗]) ([\w-]+): \d+ passed, \d+ failed$", done.stdout, re.MULTILINE)
            return "\n".join(f"{'PASS' if mark == '✓' else 'FAIL'} {name}" for mark, name in lines) or done.stderr
    if kind == "servers":
        command = [sys.executable, "-m", "tests.suites.clients.mcp_servers", str(NODE), str(HERE / "node_modules")]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        return done.stdout + (f"\nFAIL ended with {done.returncode}: {done.stderr[-2000:]}" if done.returncode else "")
    if kind == "a2a":
        return of_the_kit(env)
    if kind == "generated":
        with served("flows.py") as doors:
            places = [str(NODE), str(HERE / "node_modules"), str(OTHERS), doors["http"]]
            command = [sys.executable, "-m", "tests.suites.clients.generated", *places]
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=env)
        return done.stdout + (f"\nFAIL ended with {done.returncode}: {done.stderr[-2000:]}" if done.returncode else "")
    with served("flows.py", "mcp", "openai") as doors:
        command = [str(OTHERS), str(HERE / "clients" / "python_clients.py"), words[0], doors["http"]]
        if kind == "node":
            command = [str(NODE), str(HERE / "clients" / words[0]), *words[1:-1], doors[words[-1]]]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
        return done.stdout + (f"\nFAIL ended with {done.returncode}: {done.stderr[-2000:]}" if done.returncode else "")


def of_the_kit(env: Mapping[str, str]) -> str:
    """Return what the kit of A2A found: installed in an environment of its own, and run in a copy of its folder."""
    with served("a2a_agent.py", "a2a") as doors, tempfile.TemporaryDirectory() as folder:
        kit, python = Path(folder, "kit"), Path(folder, "venv", "bin", "python")
        shutil.copytree(A2A_KIT, kit, ignore=shutil.ignore_patterns(".git", "reports", ".venv"))
        subprocess.run([sys.executable, "-m", "venv", python.parent.parent], check=True)
        subprocess.run([python, "-m", "pip", "install", "-qq", "--disable-pip-version-check", kit], check=True)
        plugin = {"PYTHONPATH": str(HERE / "clients"), "PYTEST_ADDOPTS": "-p a2a_token"}
        command = [str(python), "run_tck.py", "--sut-host", doors["http"], "--transport", "jsonrpc"]
        done = subprocess.run(command, cwd=kit, env={**env, **plugin}, capture_output=True, text=True, check=False)
        report = kit / "reports" / "junitreport.xml"
        if not report.exists():
            return f"{done.stdout}{done.stderr}"
        tree = ElementTree.parse(report)  # noqa: S314 - pytest has just written it
        cases = [case for case in tree.iter("testcase") if case.find("skipped") is None]
        return "\n".join(
            f"PASS {case.get('name')}" if wrong is None else f"FAIL {case.get('name')}: {wrong.get('message')}"
            for case in cases
            for wrong in [case.find("failure") if case.find("error") is None else case.find("error")]
        )


def unknown(names: Sequence[str]) -> list[str]:
    """Return a sentence for each name that no suite has."""
    known = {*SUITES, *(name.split()[0] for name in SUITES)}
    near = {name: difflib.get_close_matches(name, known, 1) for name in names if name not in known}
    return [f"no suite is called {name}: {(found or [', '.join(sorted(known))])[0]}?" for name, found in near.items()]


def main(*names: str) -> int:
    """Run suites, all unless some are named; return the exit code."""
    if wrong_names := unknown(names):
        print("\n".join(wrong_names), file=sys.stderr)
        return 2
    expected = tomllib.loads((HERE / "expected.toml").read_text(encoding="utf-8"))
    wrong, left_out = 0, list[str]()
    for name, (kind, *words) in SUITES.items():
        if names and name not in names and name.split()[0] not in names:
            continue
        if kind == "a2a" and not A2A_KIT:
            print("NOT RUN: a2a-kit, which is on no index: A2A_KIT=FOLDER says where a checkout of it is")
            continue
        if kind != "a2a" and not (OTHERS if kind == "python" else NODE).exists():
            left_out.append(name)
            continue
        began = time.monotonic()
        text = outcome(kind, *words)
        print("".join(f"{line}\n" for line in re.findall(r"^NOT RUN: .+$", text, re.MULTILINE)), end="")
        passed = set(re.findall(r"^PASS (.+)$", text, re.MULTILINE))
        failed = dict(re.findall(r"^FAIL ([^:\n]+)(?:: )?(.*(?:\n(?!PASS|FAIL).*)*)", text, re.MULTILINE))
        known = expected.get(name, {})
        new = {each: why for each, why in failed.items() if each not in known}
        gone = [each for each in known if each in passed]
        count = f"{len(passed)} passed, {len(failed) - len(new)} fail as listed"
        print(f"{name}: {count}, {len(new)} fail besides, in {time.monotonic() - began:.0f} s", flush=True)
        for each, why in new.items():
            print(f"  FAILED {each}: {why.strip()}")
        for each in gone:
            print(f"  PASSES, though it is listed: {each}")
        if not passed:
            print(f"  NOTHING passed: {text[-2000:]}")
        wrong += bool(new or gone or not passed)
    for name in left_out:
        print(f"NOT RUN: {name}, since `make suites` did not install what it needs")
    is_optional = os.environ.get("SUITES") == "optional"
    return min(wrong + bool(left_out and not is_optional), 1)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
