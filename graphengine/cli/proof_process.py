"""The child process of `graphengine prove`. It runs the failed nodes of runs with one version of the code.

    python -P -m graphengine.cli.proof_process REQUEST ANSWER

REQUEST is a JSON file that the parent process wrote, and ANSWER is the file that this process writes. Before the code
of the version is imported, this process begins to refuse the use of the network, the start of other processes, and
changes of files. It refuses them until it ends, unless the request allows the nodes to act. ANSWER is opened before
that, because it could not be opened afterwards. The process ends without waiting for threads, and without calling
functions that the code registered with `atexit`, because these could act outside too.
"""

from __future__ import annotations

import asyncio
import os
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from msgspec import Struct, json

from graphengine.cli.project import find, find_named
from graphengine.errors import GraphEngineError
from graphengine.records.base_documents import Refusal, refusal_of
from graphengine.testing.outside import refuse_until_exit
from graphengine.testing.proofs import TriedNode, try_failed_node

if TYPE_CHECKING:
    from graphengine.api.graph import Graph


class ProofRequest(Struct):
    """The request with which the command `prove` asks its child process to try failed runs with a version of the code.

    Attributes:
        tree: The folder with the files of the version that is tried: the working tree, or a worktree of a commit.
        working: The folder of the working tree. If `tree` is another folder, no file of the working tree may be
            imported.
        folder: The current folder of the parent process, relative to the tree.
        file: The file of the graph, relative to the tree.
        graph: The name of the graph.
        runs: The files of the exported runs.
        act: Whether effects and the network are allowed.
    """

    tree: str
    working: str
    folder: str
    file: str
    graph: str
    runs: list[str]
    act: bool


class ProofAnswer(Struct):
    """The result of each run, or in `refusal` the error because of which the graph could not be loaded."""

    tried: list[TriedNode] = []
    refusal: Refusal | None = None


def answer_request(request: Path) -> ProofAnswer:
    """Load the graph that the parent process names in its request, and run the failed node of each failed run."""
    asked = json.decode(request.read_bytes(), type=ProofRequest)
    sys.dont_write_bytecode = True
    folder = Path(asked.tree, asked.folder)
    os.chdir(folder if folder.is_dir() else asked.tree)
    sys.path[:] = [_move_path(each, asked) for each in sys.path]
    if not asked.act:
        refuse_until_exit()
    try:
        graph = _load_graph(asked)
        return ProofAnswer([asyncio.run(try_failed_node(graph, run, act=asked.act)) for run in asked.runs])
    except GraphEngineError as error:
        return ProofAnswer(refusal=refusal_of(error))


def _move_path(path: str, asked: ProofRequest) -> str:
    """Return an entry for `sys.path`. The older commit's own folder replaces a folder in the working tree."""
    if not path or asked.tree == asked.working or not Path(path).is_relative_to(asked.working):
        return path
    return str(Path(asked.tree, Path(path).relative_to(asked.working)))


def _load_graph(asked: ProofRequest) -> Graph[object]:
    """Load the graph from the version of the code that is tried.

    Raises:
        GraphEngineError: The version has no such graph, or the older code imported modules from the working tree.
    """
    file = Path(asked.tree, asked.file)
    graph = find(str(file), asked.graph).graph if file.is_file() else find_named(asked.graph, of_run=True).graph
    if asked.tree != asked.working:
        mixed = sorted(name for name, module in sys.modules.items() if _is_of_working_tree(name, module, asked))
        if mixed:
            raise GraphEngineError(
                f"the older code imports the module {mixed[0]!r} from the working tree, and not from the older commit",
                where=asked.graph,
                repair="uninstall the editable installation of the project, so that Python finds modules by their path",
                code="mixed_versions",
            )
    return graph


def _is_of_working_tree(name: str, module: object, asked: ProofRequest) -> bool:
    file = getattr(module, "__file__", None)
    is_ours = name.partition(".")[0] == "graphengine"
    if is_ours or not isinstance(file, str) or "site-packages" in file:  # an environment may lie in the tree
        return False
    return Path(file).is_relative_to(asked.working) and not Path(file).is_relative_to(asked.tree)


def _answer_and_exit(request: Path, answer: Path) -> NoReturn:
    """Handle a request of the parent process, write the answer to a file, and end this process at once.

    Ending at once skips the cleanup of the tried code, such as its exit handlers.
    """
    code = 1
    try:
        with answer.open("wb", buffering=0) as file:
            file.write(json.encode(answer_request(request)))
        code = 0
    except BaseException:  # noqa: BLE001 - the parent process shows the last line
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _answer_and_exit(Path(sys.argv[1]), Path(sys.argv[2]))
