"""The command `graphengine prove`, which checks a repair with the recorded runs that failed.

For each failed run, the command runs the node that failed alone on the recorded state: with the code of an older
commit, and with the code of the working tree. The code runs in child processes (`graphengine.cli.proof_process`),
because two versions of a module cannot be imported into one process.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import TYPE_CHECKING, Final, NoReturn

import click

from graphengine.cli import options
from graphengine.errors import GraphEngineError, InputError, StoreError
from graphengine.records.words import counted

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from graphengine.cli.context import CommandContext
    from graphengine.cli.project import Found
    from graphengine.cli.terminal import Channel
    from graphengine.kernel.store import Store
    from graphengine.records.bulk import Bulk
    from graphengine.records.export import Exported
    from graphengine.records.in_common import InCommon
    from graphengine.records.selection import Wanted
    from graphengine.testing.proofs import Proof, TriedNode

_LISTED: Final = 10
_KEPT: Final = 2
"""The number of runs that `--keep` writes."""
_TRIED: Final = 8
"""The number of shortest runs that `--keep` tries once more, without their secrets."""
_DIGITS: Final = 9
"""The number of characters of a commit's name that are shown."""
_GIT: Final = ("git", "-c", "core.hooksPath=/dev/null")


@options.command(
    "prove",
    options.DATABASE,
    examples="""
        graphengine prove review --old v52
        graphengine prove review --old HEAD~1 --keep tests/recorded
        graphengine prove review --old v52 --runs since:1d --retry
    """,
    exits={
        0: "every run goes through under the working tree",
        1: "a run does not go through under the working tree, or the command cannot know it",
    },
)
@click.argument("reference", metavar="GRAPH", shell_complete=options.complete_graphs)
@click.option("--old", metavar="COMMIT", required=True, help="A commit, branch or tag under which the node worked.")
@options.searched
@click.option(
    "--limit", type=click.IntRange(min=1), default=100, show_default=True, help="Take at most this many failed runs."
)
@click.option(
    "--act",
    is_flag=True,
    help="Let the node perform its declared effects, use the network, start processes and change files, once, under the"
    " working tree. Models are refused nevertheless. The run does not know of these effects: a retry of the run"
    " performs them again. Not with --retry.",
)
@click.option(
    "--time-limit",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    default=600,
    show_default=True,
    help="End a child process that takes longer.",
)
@click.option(
    "--retry", is_flag=True, help="Retry the runs that go through under the working tree. Workers drive the runs."
)
@click.option(
    "--keep",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="Write two of the shortest runs as tests to the folder `faults` in the suite FOLDER, without secrets.",
)
def prove(  # noqa: PLR0913 - one for each option
    context: CommandContext,
    *,
    reference: str,
    old: str,
    search: tuple[str, ...],
    limit: int,
    act: bool,
    time_limit: float,
    retry: bool,
    keep: Path | None,
) -> int:
    """Check whether failed runs go through under an older commit and under the working tree.

    The command takes the newest failed runs of GRAPH, and keeps those with the most frequent failure. It replays each
    run up to the node that failed. Then it runs that node alone on the recorded state: once with the code of COMMIT, in
    a git worktree, and once with the code of the working tree. Answers of models and results of calls come from the
    log. No model is called, no effect is performed, and the runs are not changed.

    The code runs in two child processes. There, the network, other processes and changes of files are refused, also
    while modules are imported. With --act, they are allowed in the process of the working tree. A node that does such
    things and does not declare them with `effect=` is refused by name, also with --act. The command cannot know the
    outcome of a refused node, and says so. What a library in C does itself is not refused. Both versions run with the
    packages that are installed now. A process that takes longer than --time-limit is ended.
    """
    from graphengine.cli.project import find
    from graphengine.records.search import wanted_of
    from graphengine.records.selection import Wanted
    from graphengine.testing.proofs import Proof, pair_runs

    if act and retry:
        raise click.UsageError(
            "--act and --retry exclude each other: the retried runs would perform the effects of the trial a second"
            " time"
        )
    found = find(reference)
    context.use(found.file, writes=retry)
    wanted = wanted_of(" ".join(search), Wanted(limit, graph=found.graph.name))
    shared = _compare_runs(context, wanted)
    runs, left = _choose_failed(context, wanted)
    with ExitStack() as stack:
        stack.enter_context(_end_on_signal())
        trees = stack.enter_context(_check_out(found.file, old))
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="graphengine-prove-")))
        trial = _Trial(found, trees, folder, time_limit)
        sides = trial.run(runs, trees.older), trial.run(runs, trees.working, act=act)
        proof = Proof(found.graph.name, old, trees.commit, shared, pair_runs(*sides), left)
        if keep is not None:
            proof.kept = _keep_faults(trial, runs, proof, keep)
    if retry:
        _retry_runs(context, found, proof)
    if context.json:
        context.document(proof)
    else:
        _show_proof(context, proof)
    return 0 if all(each.new.verdict == "passes" for each in proof.runs) else 1


# --- The runs ---------------------------------------------------------------------------------------------------------


def _choose_failed(context: CommandContext, wanted: Wanted) -> tuple[Sequence[Exported], Mapping[str, str]]:
    """Return the failed runs that have the most frequent failure.

    Two failures are the same if the same node failed with the same type of exception. The reasons why other failed runs
    are left out are returned too, by the id of the run.
    """
    from graphengine.records.export import export_run
    from graphengine.records.in_common import classify_failure, find_failing_step
    from graphengine.records.selection import newest

    left: dict[str, str] = {}

    async def load(store: Store) -> Sequence[tuple[tuple[str, str], Exported]]:
        found: list[tuple[tuple[str, str], Exported]] = []
        for info in await newest(store, replace(wanted, status="failed"), compared=False):
            try:
                run = await export_run(store, info.id)
            except StoreError as error:
                left[info.id] = f"its log cannot be read: {error.code}"
                continue
            step = find_failing_step(run.steps)
            if step is None:
                left[info.id] = "no node failed in it"
            else:
                found.append((classify_failure(step), run))
        return found

    found = context.read(load)
    if not found:
        from graphengine.cli.places import shown

        raise InputError(
            f"no failed run of the graph {wanted.graph!r} was found",
            where=shown(context.place.database),
            repair="search for other runs with --runs, or choose another database with --store PATH",
        )
    most = Counter(failure for failure, _ in found).most_common(1)[0][0]
    left |= {run.info.id: "it failed at {} with {}".format(*failure) for failure, run in found if failure != most}
    return [run for failure, run in found if failure == most], left


def _compare_runs(context: CommandContext, wanted: Wanted) -> InCommon:
    """Compare failed runs, and return what they have in common. An unexpected error does not stop the proof.

    Raises:
        GraphEngineError: The runs cannot be read.
    """
    from graphengine.models.hiding import contains_secrets
    from graphengine.records.in_common import InCommon, load_in_common

    try:
        return context.read(lambda store: load_in_common(store, wanted, contains_secrets))
    except GraphEngineError:
        raise
    except Exception as error:  # noqa: BLE001 - whichever it is, the proof does not depend on the comparison
        why = f"what the failed runs have in common is not known: {type(error).__name__}"
        return InCommon(wanted.graph or "", "", "", 0, 0, 0.0, 0.0, [], why, "", is_cut=False)


def _retry_runs(context: CommandContext, found: Found, proof: Proof) -> None:
    """Retry those failed runs that succeed with the code of the working tree, as `graphengine bulk retry` does."""
    from graphengine.api.runner import Runner
    from graphengine.records.bulk import Order, bulk

    passing = [each.run_id for each in proof.runs if each.new.verdict == "passes"]

    async def retry() -> Bulk:
        await context.store.open()
        chosen = await context.store.infos(passing)
        return await bulk(Runner(context.store), Order("retry", None, [found.graph]), chosen, dry_run=False)

    done = context.run(retry())
    proof.retried, proof.refused = done.runs, done.refused


def _keep_faults(trial: _Trial, runs: Sequence[Exported], proof: Proof, folder: Path) -> Sequence[str]:
    """Write up to two of the shortest failed runs to files, with a test that runs their failed nodes.

    Returns the files.

    Secrets are removed first. The runs are then tried once more, without effects. A run is left out if its outcome is
    different or unknown without the secrets, or if its file would still contain a secret.
    """
    from graphengine.cli.suite import describe_unwritable, locate_graph
    from graphengine.models.hiding import contains_secrets
    from graphengine.records.export import to_json_text
    from graphengine.testing.proofs import scrub
    from graphengine.testing.suites import write_faults

    tried = {each.run_id: each for each in proof.runs}

    def rank(run: Exported) -> tuple[bool, bool, int, str]:
        pair = tried[run.info.id]
        return pair.old.verdict != "passes", pair.new.verdict != "passes", len(run.steps), run.info.id

    short = (scrub(run) for run in sorted(runs, key=rank)[:_TRIED])
    scrubbed = [run for run in short if not contains_secrets(to_json_text(run, ""))]  # e.g. a secret in the run's id
    again = trial.run(scrubbed, trial.trees.working)
    same = [
        run
        for run, each in zip(scrubbed, again, strict=True)
        if each.verdict == tried[each.run_id].new.verdict != "unknown"
    ]
    module, name = locate_graph(trial.found)
    place = folder / "faults"
    try:
        return [str(file) for file in write_faults(place, trial.found.graph.name, same[:_KEPT], module, name)]
    except OSError as error:
        raise describe_unwritable(str(place), error) from error


# --- The two versions -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Trees:
    """The folders that contain the two versions of the code, and where the graph is in them.

    Attributes:
        working: The folder of the working tree.
        older: The folder of the worktree with the older commit.
        commit: The full name of the older commit.
        file: The file of the graph, relative to either folder.
        folder: The current folder, relative to either folder.
    """

    working: Path
    older: Path
    commit: str
    file: str
    folder: str


@contextmanager
def _check_out(file: Path, commit: str) -> Generator[_Trees]:
    """Provide a worktree of a commit in a temporary folder, without running hooks of the repository.

    Raises:
        GraphEngineError: The file does not belong to a git repository, or the commit does not exist.
    """
    whole = Path(os.path.realpath(file))
    top = Path(os.path.realpath(_git(whole.parent, "rev-parse", "--show-toplevel")))
    name = _git(top, "rev-parse", "--verify", "--end-of-options", f"{commit}^{{commit}}")
    here = Path(os.path.realpath(Path.cwd()))
    folder = str(here.relative_to(top)) if here.is_relative_to(top) else "."
    with TemporaryDirectory(prefix="graphengine-old-") as place:
        older = Path(os.path.realpath(place), "tree")
        try:
            _git(top, "worktree", "add", "--detach", str(older), name)
            yield _Trees(top, older, name, str(whole.relative_to(top)), folder)
        finally:
            with suppress(GraphEngineError):  # it may not have been made; git forgets a worktree without a folder later
                _git(top, "worktree", "remove", "--force", str(older))


@contextmanager
def _end_on_signal() -> Generator[None]:
    """Inside this `with` block, let the signals SIGTERM and SIGHUP raise an exception, so that the block cleans up.

    As after an error, the child process is ended and the worktree is removed.
    """

    def end(number: int, _: object) -> NoReturn:
        for each in numbers:
            signal.signal(each, signal.SIG_IGN)  # another one must not interrupt the removal
        raise SystemExit(128 + number)

    is_main = threading.current_thread() is threading.main_thread()  # only there may it be set what a signal does
    both = (signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)) if is_main else ()
    numbers = [each for each in dict.fromkeys(both) if signal.getsignal(each) == signal.SIG_DFL]
    for each in numbers:
        signal.signal(each, end)
    try:
        yield
    finally:
        for each in numbers:
            signal.signal(each, signal.SIG_DFL)


def _git(folder: Path, *words: str) -> str:
    """Run a git command and return its output.

    Raises:
        GraphEngineError: The git command failed.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment["GIT_LFS_SKIP_SMUDGE"] = "1"  # no contents are fetched
    command = [*_GIT, "-C", str(folder), *words]
    try:
        return subprocess.run(  # noqa: S603 - git, with words of ours and a checked commit
            command, capture_output=True, text=True, check=True, env=environment
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError) as error:
        why = getattr(error, "stderr", "") or str(error)
        raise GraphEngineError(
            f"git {words[0]} failed: {' '.join(why.split())}",
            where=str(folder),
            repair="name a commit, branch or tag of the git repository that contains the graph's file; a version that"
            " `graphengine` computed because GRAPHENGINE_DEPLOY was not set is not a commit",
            code="git_failed",
        ) from error


@dataclass(frozen=True, slots=True)
class _Trial:
    """Runs the failed nodes of recorded runs again, in one child process for each of two versions of the code."""

    found: Found
    trees: _Trees
    folder: Path
    time_limit: float

    def run(self, runs: Sequence[Exported], tree: Path, *, act: bool = False) -> Sequence[TriedNode]:
        """Return for each failed run whether its failed node succeeds with one version of the code.

        Args:
            runs: The failed runs.
            tree: The folder of the working tree or of the worktree of the older commit.
            act: Whether the nodes may perform effects and use the network.

        Raises:
            GraphEngineError: The code in the tree cannot load the graph, or the process died or took too long.
        """
        import msgspec

        from graphengine import __version__
        from graphengine.cli.proof_process import ProofAnswer, ProofRequest
        from graphengine.records.export import to_json_text

        folder = Path(mkdtemp(dir=self.folder))
        files = [folder / f"run{number}.json" for number in range(len(runs))]
        for file, run in zip(files, runs, strict=True):
            file.write_text(to_json_text(run, __version__), encoding="utf-8")
        trees = self.trees
        places = (str(tree), str(trees.working), trees.folder, trees.file, self.found.graph.name)
        request, answer = folder / "request", folder / "answer"
        request.write_bytes(msgspec.json.encode(ProofRequest(*places, [*map(str, files)], act)))
        which = "your working tree" if tree == trees.working else f"commit {trees.commit[:_DIGITS]}"
        try:
            done = subprocess.run(  # noqa: S603 - this Python, with files of ours
                [sys.executable, "-P", "-m", "graphengine.cli.proof_process", str(request), str(answer)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                check=False,
                env=os.environ | {"PYTHONPATH": _join_import_paths()},
                timeout=self.time_limit,
            )  # any exception ends the process
        except subprocess.TimeoutExpired:
            raise GraphEngineError(
                f"the process with the code of {which} did not end within {self.time_limit:g} s, and was ended",
                where=str(tree),
                repair="pass a larger --time-limit or a smaller --limit, or change the node so that it ends by itself",
                code="proof_failed",
            ) from None
        if not (answer.exists() and answer.stat().st_size):
            last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
            message = f"the process with the code of {which} ended without a result: {last}"
            raise GraphEngineError(message, where=str(tree), code="proof_failed")
        found = msgspec.json.decode(answer.read_bytes(), type=ProofAnswer)
        if found.refusal is not None:
            why = found.refusal
            message = f"the graph of {which} cannot be loaded: {why.message}"
            raise GraphEngineError(message, where=why.where, repair=why.repair, code=why.code)
        return found.tried


def _join_import_paths() -> str:
    """Return PYTHONPATH for the child process, with absolute paths.

    If this package is not installed, the folder of the package is added.
    """
    paths = [str(Path(each).absolute()) for each in os.environ.get("PYTHONPATH", "").split(os.pathsep) if each]
    own = str(Path(__file__).parents[2])
    is_installed = "site-packages" in own or "dist-packages" in own
    return os.pathsep.join(dict.fromkeys([*paths, *([] if is_installed else [own])]))


# --- The report -------------------------------------------------------------------------------------------------------


def _show_proof(context: CommandContext, proof: Proof) -> None:
    out, err = context.out, context.err
    out.line(proof.shared.text)
    if proof.shared.sample:
        out.line((proof.shared.sample, "dim"))
    out.line("")
    _show_side(out, f"under {proof.old} ({proof.commit[:_DIGITS]})", [each.old for each in proof.runs])
    _show_side(out, "under your working tree", [each.new for each in proof.runs])
    if again := sum(each.new.repeats_work and each.new.verdict == "passes" for each in proof.runs):
        text = (
            f"of the runs that go through, {again} failed because of a recorded result, such as a model's answer: a"
            " retry does this work again, and can have another result"
        )
        out.line((text, "dim"))
    for why, number in Counter(proof.left.values()).items():
        out.line((f"left out: {counted(number, 'run')}: {why}", "dim"))
    if proof.retried:
        out.line(f"retried {counted(len(proof.retried), 'run')}; workers with the repaired code drive them")
    for run_id, why in proof.refused.items():
        err.line((run_id, "bold"), f": not retried: {why}")
    for file in proof.kept:
        out.line(f"kept {file}")
    if proof.kept:
        err.line(("test:   ", "dim"), f"pytest {Path(proof.kept[0]).parent}")


def _show_side(out: Channel, version: str, tried: Sequence[TriedNode]) -> None:
    failing = [each for each in tried if each.verdict == "fails"]
    passing = sum(each.verdict == "passes" for each in tried)
    rest = f", {'this one does' if len(failing) == 1 else f'these {len(failing)} do'} not:" if failing else ""
    out.line((f"{version}: {passing} of {len(tried)} go through{rest}", "bold"))
    for each in failing[:_LISTED]:
        out.line(f"  {each.run_id}  {each.why}")
    if len(failing) > _LISTED:
        out.line(f"  and {len(failing) - _LISTED} more; --json has them all")
    unknown = Counter(each.why for each in tried if each.verdict == "unknown")
    for why, number in unknown.most_common(_LISTED):
        out.line(f"  not known for {counted(number, 'run')}: {why}")
    if len(unknown) > _LISTED:
        out.line(f"  and {len(unknown) - _LISTED} more reasons; --json has them all")
