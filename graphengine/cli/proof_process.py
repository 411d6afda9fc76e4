"""The child process of `graphengine prove`: it loads a graph from one tree of files and tries the failed node of runs.

    python -P -m graphengine.cli.proof_process REQUEST ANSWER

REQUEST is a JSON file that the parent process wrote, and ANSWER is the file that this process writes. The network,
other processes and changes of files are refused before the code of the tree is imported, and until the process ends,
unless the request lets it act. ANSWER is opened before that. The process ends without waiting for threads and without
calling functions that the code registered for its end.
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
    """What the parent process asks for.

    Attributes:
        tree: The folder with the files of the version.
        working: The folder of the working tree, whose files must not be imported if that is another folder.
        folder: The current folder, relative to the tree.
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
    """What came of the runs; `refusal` is the error that kept the graph from being loaded."""

    tried: list[TriedNode] = []
    refusal: Refusal | None = None


def answer_request(request: Path) -> ProofAnswer:
    """Do what a request asks for."""
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
    """Return a folder of imports; one in the working tree is replaced by the same folder of the version's tree."""
    if not path or asked.tree == asked.working or not Path(path).is_relative_to(asked.working):
        return path
    return str(Path(asked.tree, Path(path).relative_to(asked.working)))


def _load_graph(asked: ProofRequest) -> Graph[object]:
    """Return the graph of the version.

    Raises:
        GraphEngineError: There is none, or its modules come from the working tree.
    """
    file = Path(asked.tree, asked.file)
    graph = find(str(file), asked.graph).graph if file.is_file() else find_named(asked.graph, of_run=True).graph
    if asked.tree != asked.working:
        mixed = sorted(name for name, module in sys.modules.items() if _is_of_working_tree(name, module, asked))
        if mixed:
            raise GraphEngineError(
                f"the older code imports {mixed[0]} from the working tree, and not from its own commit",
                where=asked.graph,
                repair="let the project's folder be found by its path, and not by an editable installation",
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
    """Write the answer to a request, and end the process at once."""
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
