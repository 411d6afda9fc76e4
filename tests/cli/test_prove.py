"""`graphengine prove`: in a repository with an old and a new commit, and a repair in the working tree."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from graphengine import Runner
from graphengine.cli.main import main
from graphengine.cli.project import load
from graphengine.runner import RunFailed
from tests.kit.workers import let_work

SHOP = """
import os

from pydantic import BaseModel

from graphengine import END, START, Agent, Context, Graph, ScriptedModel
from rates import rate_of


class Order(BaseModel):
    number: int
    country: str
    note: str = ""
    price: str = ""
    total: float = 0.0


async def fetch(number: int) -> float:
    with open("fetched.txt", "a") as file:
        file.write("x")
    return number * 10.0


async def charge(ctx: Context, number: int, country: str) -> float:
    net = await ctx.call(fetch, number)
    return net * (1 + rate_of(country))


model = ScriptedModel(lambda request: "ten francs")
graph = Graph("shop", Order)
graph.add_node("price", Agent("pricer", prompt="Price {number}.", model=model), writes="price")
graph.add_node("charge", charge, writes="total")
graph.add_path(START, "price", "charge", END)
"""
OLD = "def rate_of(country):\n    return {'CH': 0.1, 'DE': 0.2, 'NO': 0.3}[country]\n"
NEW = "def rate_of(country):\n    return {'DE': 0.2}[country]\n"
REPAIRED = "def rate_of(country):\n    return {'DE': 0.2, 'CH': 0.1}[country]\n"
PROJECT = '[project]\nname = "shop"\n\n[tool.graphengine]\ngraphs = ["flows"]\nstore = "runs.db"\n'


def git(folder: Path, *words: str) -> str:
    """Return what git prints in a repository."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    who = ["-c", "user.name=Ann", "-c", "user.email=ann@example.com", "-c", "commit.gpgsign=false"]
    done = subprocess.run(
        ["git", *who, *words], cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def call(*words: str) -> tuple[int, str, str]:
    """Return exit code, stdout and stderr of a command."""
    done = CliRunner().invoke(main, [*words])
    return done.exit_code, done.stdout, done.stderr


def document(*words: str) -> Any:
    """Return what a command writes under --json."""
    code, out, err = call(*words, "--json")
    assert out, err
    return {"code": code, **json.loads(out)}


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Yield a repository whose tag v1 works and whose newest commit does not, with 24 runs of that commit."""
    root = tmp_path / "shop"
    (root / "flows").mkdir(parents=True)
    for name, text in {"pyproject.toml": PROJECT, "flows/shop.py": SHOP, "rates.py": OLD}.items():
        (root / name).write_text(text)
    (root / ".gitignore").write_text("runs.db*\nfetched.txt\n__pycache__\n")
    git(root, "init", "-q")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "old")
    git(root, "tag", "v1")
    (root / "rates.py").write_text(NEW)
    git(root, "commit", "-qam", "new")
    monkeypatch.chdir(root)
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = {*sys.modules}
    orders = [{"number": each, "country": ["DE", "DE", "CH", "DE"][each % 4]} for each in range(24)]
    record(root, [*orders, {"number": 24, "country": "NO"}, {"number": 25, "country": "NO"}])
    yield root
    for name in {*sys.modules} - before:
        if name in ("rates", "flows", "flows.shop"):
            del sys.modules[name]


def record(root: Path, orders: list[dict[str, Any]], **options: Any) -> None:
    """Record a run for each order, with options of its start."""

    async def run() -> None:
        graph = load(root / "flows" / "shop.py").graph
        async with Runner(root / "runs.db") as runner:
            for each in orders:
                with suppress(RunFailed):
                    await runner.start(graph, each, **{"run_id": f"r{each['number']}", **options}).result()

    asyncio.run(run())


def forget() -> None:
    """Let the next command import the code as it is now."""
    for name in ("rates", "flows", "flows.shop"):
        sys.modules.pop(name, None)


def drive_queued(root: Path, number: int) -> dict[str, str]:
    """Let a worker drive so many runs with the code of the working tree; return the status of each run."""
    forget()

    async def run() -> dict[str, str]:
        async with Runner(root / "runs.db") as runner:
            await let_work(runner, number, load(root / "flows" / "shop.py").graph)
            return {info.id: info.status for info in await runner.runs(limit=100)}

    return asyncio.run(run())


def test_a_proof_says_which_runs_go_through(shop: Path) -> None:
    """Under both versions, without a call of a model or of a function whose result is recorded, and without changes."""
    (shop / "rates.py").write_text(REPAIRED)
    forget()
    fetched, runs = (shop / "fetched.txt").read_text(), (shop / "runs.db").read_bytes()
    code, out, _ = call("prove", "shop", "--old", "v1")
    lines = out.splitlines()
    assert code == 1
    assert lines[0] == "at charge, 8 of 8 failed had country = one of CH, NO; of the 18 others that came there, none"
    commit = git(shop, "rev-parse", "v1")[:9]
    assert lines[3:] == [
        f"under v1 ({commit}): 8 of 8 go through",
        "under your working tree: 6 of 8 go through, these 2 do not:",
        "  r25  KeyError: 'NO'",
        "  r24  KeyError: 'NO'",
    ]
    assert (shop / "fetched.txt").read_text() == fetched
    assert (shop / "runs.db").read_bytes() == runs
    assert git(shop, "worktree", "list").count("\n") == 0
    assert git(shop, "status", "--porcelain") == "M rates.py"


def test_the_runs_that_go_through_are_retried_and_end_as_foretold(shop: Path) -> None:
    """Those that do not go through are left as they are."""
    (shop / "rates.py").write_text(REPAIRED)
    forget()
    proof = document("prove", "shop", "--old", "v1", "--retry")
    foretold = {each["run_id"]: each["new"]["verdict"] for each in proof["runs"]}
    assert sorted(proof["retried"]) == sorted(name for name, verdict in foretold.items() if verdict == "passes")
    assert (len(proof["retried"]), proof["refused"]) == (6, {})
    ended = drive_queued(shop, 6)
    assert {name: ended[name] for name in foretold} == {
        name: "finished" if verdict == "passes" else "failed" for name, verdict in foretold.items()
    }


def test_two_of_the_shortest_runs_are_kept_without_secrets(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As tests that fail with the fault, and pass with the repair."""
    monkeypatch.setenv("BANK_API_KEY", "hunter22hunter")
    change(shop, '"shop", Order)', '"shop", Order, search=["input.note"])')
    orders = [{"number": each, "country": "CH", "note": "key hunter22hunter"} for each in (1000, 1001)]
    record(shop, orders, tags=["hunter22hunter"], tenant="hunter22hunter")
    record(shop, orders[:1], run_id="hunter22hunter")
    (shop / "rates.py").write_text(REPAIRED)
    forget()
    words = ("prove", "shop", "--old", "v1", "--runs", "error:CH", "--keep", "recorded", "--limit", "3")
    code, out, err = call(*words)
    folder = shop / "recorded" / "faults"
    assert code == 0, err
    assert sorted(file.name for file in folder.iterdir()) == ["r1000.json", "r1001.json", "test_faults_shop.py"]
    assert b"hunter22" not in b"".join(file.read_bytes() + bytes(file) for file in folder.iterdir())
    assert f"kept {folder.relative_to(shop) / 'r1000.json'}" in out
    kept = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder)]

    def passes() -> bool:
        paths = os.pathsep.join([str(shop), *filter(None, [os.environ.get("PYTHONPATH")])])
        done = subprocess.run(kept, cwd=shop, capture_output=True, check=False, env={**os.environ, "PYTHONPATH": paths})
        return done.returncode == 0

    assert passes()
    (shop / "rates.py").write_text(NEW)
    assert not passes()


def change(root: Path, old: str, new: str) -> None:
    """Change the program of the working tree."""
    file = root / "flows" / "shop.py"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    forget()


SENDS = """
    import socket
    getattr(socket, "create_" + "connection")(("127.0.0.1", PORT), 5).close()
    return net"""


def test_the_network_is_refused_unless_the_node_may_act(shop: Path) -> None:
    """A connection that the check of the code does not see is refused when it begins; the older code is unaffected.

    With --act, there is one connection: the older version does not act, and neither does the trial of runs to keep.
    """
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        change(shop, "    return net *", SENDS.replace("PORT", str(server.getsockname()[1])) + " *")
        (shop / "rates.py").write_text(OLD)
        proof = document("prove", "shop", "--old", "v1", "--limit", "2")
        with pytest.raises(BlockingIOError):
            server.accept()
        assert proof["code"] == 1
        assert [each["old"]["verdict"] for each in proof["runs"]] == ["passes"] * 2
        assert {each["new"]["why"] for each in proof["runs"]} == {
            "charge would use the network (socket.getaddrinfo 127.0.0.1), which is refused without --act"
        }
        words = ("prove", "shop", "--old", "HEAD", "--limit", "1", "--act", "--keep", "recorded")
        git(shop, "commit", "-qam", "sends")
        proof = document(*words)
        assert (proof["runs"][0]["new"]["verdict"], proof["runs"][0]["old"]["verdict"]) == ("passes", "unknown")
        assert proof["kept"] == []
        server.accept()[0].close()
        with pytest.raises(BlockingIOError):
            server.accept()


def test_a_trial_that_acts_retries_nothing(shop: Path) -> None:
    """A retried run does not know of the trial's effects and would perform them again, so the command refuses both."""
    code, _, err = call("prove", "shop", "--old", "v1", "--act", "--retry")
    assert code == 2
    assert "the retried runs would perform the effects of the trial a second time" in " ".join(err.split())


def test_what_cannot_be_known_is_said(shop: Path) -> None:
    """An unknown commit, a graph that cannot be loaded, a folder that is a file, and no failed runs end the command."""
    code, _, err = call("prove", "shop", "--old", "v9")
    assert (code, "git_failed" in err, "name a commit" in err) == (2, True, True)
    assert "because GRAPHENGINE_DEPLOY was not set is not a commit" in " ".join(err.split())
    code, _, err = call("prove", "shop", "--old", "v1", "--runs", "error:nonsense")
    assert (code, "no failed run of the graph 'shop' was found" in err) == (2, True)
    code, _, err = call("prove", "shop", "--old", "v1", "--limit", "1", "--keep", "pyproject.toml")
    assert "error suite_unwritable: the folder pyproject.toml/faults cannot be written" in err
    (shop / "rates.py").write_text("rate_of = None +\n")
    git(shop, "commit", "-qam", "broken")
    (shop / "rates.py").write_text(REPAIRED)
    forget()
    code, _, err = call("prove", "shop", "--old", "HEAD")
    commit = git(shop, "rev-parse", "HEAD")[:9]
    assert (code, f"the graph of commit {commit} cannot be loaded" in err) == (2, True)
    assert git(shop, "worktree", "list").count("\n") == 0


def test_code_of_the_working_tree_is_not_taken_for_older_code(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of imports in the working tree is replaced by the same folder of the commit."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(shop), os.environ.get("PYTHONPATH")])))
    (shop / "rates.py").write_text("def rate_of(country):\n    raise ValueError(country)\n")
    forget()
    proof = document("prove", "shop", "--old", "v1", "--limit", "1")
    (run,) = proof["runs"]
    assert (run["old"]["verdict"], run["new"]["verdict"]) == ("passes", "fails")


def test_a_fault_of_the_comparison_does_not_stop_the_proof(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The proof says that what the runs have in common is not known."""

    async def compare(*_: object) -> None:
        raise RecursionError

    monkeypatch.setattr("graphengine.records.in_common.load_in_common", compare)
    proof = document("prove", "shop", "--old", "v1", "--limit", "1")
    assert proof["shared"]["text"] == "what the failed runs have in common is not known: RecursionError"
    assert proof["runs"][0]["old"]["verdict"] == "passes"


LINGERS = """
    import atexit, os, threading
    atexit.register(lambda: os.system("touch " + {folder!r} + "/atexit"))
    def wait():
        threading.main_thread().join()
        open({folder!r} + "/thread", "w")
    threading.Thread(target=wait).start()
    return net"""


def test_what_a_node_leaves_behind_does_not_act(shop: Path, tmp_path: Path) -> None:
    """Neither a thread that waits for the end of the process, nor a function that is called at the end."""
    folder = tmp_path / "outside"
    folder.mkdir()
    change(shop, "    return net *", LINGERS.format(folder=str(folder)) + " *")
    (shop / "rates.py").write_text(OLD)
    proof = document("prove", "shop", "--old", "v1", "--limit", "1")
    assert (proof["code"], proof["runs"][0]["new"]["verdict"]) == (0, "passes")
    assert not [*folder.iterdir()]


def test_a_module_that_changes_files_is_refused(shop: Path) -> None:
    """While it is imported, as while a node runs."""
    change(shop, "model = ", 'open("imported.txt", "w").close()\nmodel = ')
    (shop / "rates.py").write_text(OLD)
    code, _, err = call("prove", "shop", "--old", "v1", "--limit", "1")
    assert (
        code,
        "refused, because code must not act outside the process here: write the file imported.txt" in err,
    ) == (2, True)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the signals and the pipe are of POSIX")
def test_a_signal_ends_the_child_and_removes_the_folders(shop: Path, tmp_path: Path) -> None:
    """The node reads from a pipe that the test holds open; no process reads from the pipe after the signal."""
    pipe, folder = tmp_path / "pipe", tmp_path / "folder"
    folder.mkdir()
    os.mkfifo(pipe)
    change(shop, "    return net *", f"    open({str(pipe)!r}).read()\n    return net *")
    words = [sys.executable, "-m", "graphengine", "prove", "shop", "--old", "v1", "--limit", "1"]
    environment = {**os.environ, "TMPDIR": str(folder)}
    with (
        subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as command,
        suppress(BrokenPipeError),
        pipe.open("w") as held,  # which waits until the node reads
    ):
        command.terminate()
        assert command.wait() == 128 + signal.SIGTERM
        with pytest.raises(BrokenPipeError):
            print("x", file=held, flush=True)
    assert not [*folder.iterdir()]
    assert git(shop, "worktree", "list").count("\n") == 0


def test_a_process_that_takes_too_long_is_ended(shop: Path) -> None:
    """The limit is an option."""
    code, _, err = call("prove", "shop", "--old", "v1", "--limit", "1", "--time-limit", "0.01")
    assert (code, "did not end within 0.01 s, and was ended" in err) == (2, True)
    assert git(shop, "worktree", "list").count("\n") == 0
