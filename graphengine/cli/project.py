"""Finding graphs: by file, or by name through a project's `[tool.graphengine] graphs`.

A graph's file is run as a module under the name it has below its project's folder, with that folder on `sys.path`;
no bytecode of it is written, and it may start no run. Another file of that name gets a name of its own, so that two
never stand for each other.
"""

from __future__ import annotations

import hashlib
import importlib.machinery
import importlib.util
import os
import sys
import traceback
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphengine.calls.import_guard import RunAtImport, importing
from graphengine.cli.folders import graph_files, project_of
from graphengine.errors import DefinitionError, GraphEngineError, GraphNotFound

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import CodeType, ModuleType

    from graphengine.graph.graph import Graph


class GraphFileBroken(GraphEngineError):
    """A graph's file cannot be read or run."""

    code = "graph_file_broken"


@dataclass(frozen=True, slots=True)
class Found:
    """A graph and where it was found.

    Attributes:
        file: Its file, as it was named or found.
        module: What running the file gave.
        reference: How to name it to `--graph`; "" where its name alone is enough to find it from here.
    """

    graph: Graph[Any]
    file: Path
    module: ModuleType
    reference: str


def find(reference: str, name: str = "") -> Found:
    """The graph of FILE, FILE:NAME or NAME.

    Args:
        reference: What the user gave.
        name: The graph's name, if a run tells it: picks one where a file has several.

    Raises:
        GraphNotFound: No such file or name, no graph in it, or several.
        GraphFileBroken: The file cannot be run.
    """
    file, inner = _parts(reference)
    if file is None:
        return find_named(reference)
    module = load(file)
    graph = _only_graph(module, file, inner, name)
    return Found(graph, file, module, "" if _is_found_by_name(graph, file) else reference)


def file_of(reference: str | None) -> Path | None:
    """The file that FILE or FILE:NAME names; None where it is a name alone, or nothing."""
    return _parts(reference)[0] if reference else None


def graph_of(name: str, reference: str | None) -> Found:
    """The graph of a recorded run.

    Args:
        name: What the run says its graph is called.
        reference: Where the user says it is.

    Raises:
        GraphNotFound, GraphFileBroken: As for `find`.
    """
    return find(reference, name) if reference else find_named(name, of_run=True)


def find_named(name: str, *, of_run: bool = False) -> Found:
    """The graph of this name in the present project.

    Args:
        name: The graph's name; a file's name without its ending will do if that has one graph, and no run asks.
        of_run: Whether a run asks, which knows the exact name.

    Raises:
        GraphNotFound: There is none; what kept a file from being looked at is told.
    """
    root = project_of(Path.cwd())
    files = graph_files(root) if root is not None else []
    unread: list[str] = []
    known: list[str] = []
    for file in sorted(files, key=lambda file: file.stem != name):
        try:
            module = load(file)
        except GraphFileBroken as error:
            if file.stem == name:
                raise
            unread.append(f"{_shown(file)} ({error.message})")
            continue
        graphs = list(dict(graphs_of(module)).values())
        wanted = [graph for graph in graphs if graph.name == name]
        if not wanted and file.stem == name and len(graphs) == 1 and not of_run:
            wanted = graphs
        if wanted:
            return Found(wanted[0], file, module, "")
        known += [graph.name for graph in graphs]
    raise _unknown_name(name, root, known, unread, of_run=of_run)


@dataclass(frozen=True, slots=True)
class Listed:
    """A file of the present project's graphs: the graphs it offers, or what keeps it from being run."""

    file: Path
    module: ModuleType | None = None
    graphs: Sequence[Graph[Any]] = ()
    error: GraphFileBroken | None = None


def list_graphs() -> list[Listed]:
    """The files of the present project's graphs, in order of name, each with its graphs but those inside others.

    Raises:
        GraphNotFound: There is no project, or it names no folder of graphs.
        ProjectBroken: Its pyproject.toml cannot be understood.
    """
    root = project_of(Path.cwd())
    files = graph_files(root) if root is not None else []
    if root is None or not files:
        told = "there is no pyproject.toml here or above" if root is None else "the project names no file with graphs"
        repair = 'name folders in pyproject.toml: [tool.graphengine] graphs = ["folder"]'
        if root is None:
            repair += "; or begin a project: graphengine new PATH"
        raise GraphNotFound(told, where=str(root or Path.cwd()), repair=repair)
    found: list[Listed] = []
    for file in files:
        listed = listed_file(file)
        elsewhere = {file.stem for file in files} - {file.stem}  # imported from the file that is called after it
        offered = [graph for graph in listed.graphs if graph.name not in elsewhere]
        found.append(replace(listed, file=file.relative_to(root), graphs=offered))
    return found


def listed_file(file: Path) -> Listed:
    """A file with its graphs but those inside others, or what keeps it from being run.

    Raises:
        GraphNotFound: There is no such file.
    """
    try:
        module = load(file)
    except GraphFileBroken as error:
        return Listed(file, error=error)
    return Listed(file, module, _outermost([graph for _, graph in graphs_of(module)]))


@dataclass(frozen=True, slots=True)
class ToDrive:
    """The graphs whose runs a worker drives, by name, and why others are not among them."""

    found: Mapping[str, Found]
    unread: Sequence[str]

    @property
    def graphs(self) -> Mapping[str, Graph[Any]]:
        """The graphs alone."""
        return {name: found.graph for name, found in self.found.items()}


def graphs_to_drive(references: Sequence[str]) -> ToDrive:
    """The graphs of these files, or of the present project where none is named.

    Of the project's graphs those that do not compile, and those of files that cannot be run, are left out and told. Of
    two with one name that counts which a command about a run would find.

    Raises:
        GraphNotFound: There is none at all.
        GraphEngineError: One of those that were named cannot be used.
    """
    graphs: dict[str, Found] = {}
    for reference in references:
        for found in _graphs_at(reference):
            found.graph.compile()
            if graphs.setdefault(found.graph.name, found).graph is not found.graph:
                told = f"two graphs are called {found.graph.name!r}, and a run knows its graph by name"
                raise GraphNotFound(told, where=reference, repair="drive them in two databases, by two workers")
    unread = [] if references else _add_project(graphs)
    if not graphs:
        told = "there is no graph whose runs could be driven" + (f": {'; '.join(unread)}" if unread else "")
        repair = 'name files with --graph FILE, or folders in pyproject.toml: [tool.graphengine] graphs = ["folder"]'
        raise GraphNotFound(told, where=str(project_of(Path.cwd()) or Path.cwd()), repair=repair)
    return ToDrive(graphs, unread)


def _graphs_at(reference: str) -> list[Found]:
    """The graph of FILE:NAME or NAME, or all graphs of FILE."""
    file, inner = _parts(reference)
    found = [] if file is None or inner else _all_of(file)
    return found or [find(reference)]


def _all_of(file: Path) -> list[Found]:
    module = load(file)
    return [Found(graph, file, module, "") for _, graph in graphs_of(module)]


def _add_project(graphs: dict[str, Found]) -> list[str]:
    """Add the graphs of the present project; gives what cannot be used, and why."""
    root = project_of(Path.cwd())
    unread: list[str] = []
    named: set[str] = set()  # graphs of the files that are called after them
    for file in graph_files(root) if root is not None else ():
        try:
            found = _all_of(file)
        except GraphEngineError as error:
            unread.append(f"{_shown(file)} is left out: {error.message}")
            continue
        for each in found:
            graph = each.graph
            try:
                graph.compile()
            except GraphEngineError as error:
                unread.append(f"{graph.name} of {_shown(file)} is left out: {error.message.splitlines()[0]}")
                continue
            if graph.name not in graphs or (file.stem == graph.name and graph.name not in named):
                graphs[graph.name] = each
            if file.stem == graph.name:
                named.add(graph.name)
    return unread


def load(file: Path) -> ModuleType:
    """Run a graph's file as a module.

    Raises:
        GraphNotFound: There is no such file.
        GraphFileBroken: It cannot be read, or raises.
    """
    path = Path(os.path.abspath(file))  # noqa: PTH100 - links stay: a project is where its user sees it
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        near = get_close_matches(path.stem, [each.stem for each in path.parent.glob("*.py")], n=1)
        repair = f"did you mean {file.with_name(near[0] + '.py')}?" if near else "name a graph's Python file"
        raise GraphNotFound(f"the file {_shown(file)} {what}", where=str(file), repair=repair)
    root = project_of(path.parent) or path.parent
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    name = _module_name(path, root)
    present = sys.modules.get(name)
    if present is not None and not isinstance(present.__loader__, _Loader):
        return present  # the same file, imported already by another module
    spec = importlib.util.spec_from_file_location(name, path, loader=_Loader(name, str(path)))
    if spec is None or spec.loader is None:
        raise GraphFileBroken("the file cannot be loaded", where=str(path))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        with importing():
            spec.loader.exec_module(module)
    except BaseException as error:
        sys.modules.pop(name, None)
        if isinstance(error, KeyboardInterrupt):
            raise
        raise _broken(error, path) from error
    return module


def graphs_of(module: ModuleType) -> Iterator[tuple[str, Graph[Any]]]:
    """The graphs of a module, each once, with the name of the variable that holds it."""
    from graphengine.graph.graph import Graph

    seen: set[int] = set()
    for variable, value in list(vars(module).items()):
        if isinstance(value, Graph) and id(value) not in seen:
            seen.add(id(value))
            yield variable, value


class _Loader(importlib.machinery.SourceFileLoader):
    """Runs a file from its source, and keeps nothing."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


def _module_name(path: Path, root: Path) -> str:
    """The name it would be imported by from its project's folder, unless that is taken by something else."""
    parts = path.relative_to(root).with_suffix("").parts
    natural = ".".join(parts)
    present = sys.modules.get(natural)
    is_free = present is None or getattr(present, "__file__", None) == str(path)
    if all(part.isidentifier() for part in parts) and parts[0] not in sys.stdlib_module_names and is_free:
        return natural
    return f"{path.stem}_{hashlib.sha256(os.fsencode(path)).hexdigest()[:8]}"


def _parts(reference: str) -> tuple[Path | None, str]:
    """The file and the name in it; no file where a name alone was given."""
    before, colon, name = reference.rpartition(":")
    if colon and (before.endswith(".py") or Path(before).is_file()):
        return Path(before), name
    is_file = reference.endswith(".py") or "/" in reference or os.sep in reference or Path(reference).is_file()
    return (Path(reference), "") if is_file else (None, "")


def _only_graph(module: ModuleType, file: Path, inner: str, name: str) -> Graph[Any]:
    graphs = dict(graphs_of(module))
    where = _shown(file)
    if not graphs:
        raise GraphNotFound(
            f"{where} has no graph",
            where=where,
            repair='make one at the top level of the file, as graph = Graph("name", State)',
        )
    if inner:
        wanted = [g for v, g in graphs.items() if v == inner] or [g for g in graphs.values() if g.name == inner]
    elif name and len(graphs) > 1:
        wanted = [g for g in graphs.values() if g.name == name]
    else:
        wanted = _outermost(list(graphs.values()))
    if len(wanted) == 1:
        return wanted[0]
    listed = ", ".join(f"{where}:{variable}" for variable in graphs)
    if inner:
        raise GraphNotFound(f"{where} has no graph {inner!r}", where=where, repair=f"it has {listed}")
    raise GraphNotFound(f"{where} has {len(graphs)} graphs", where=where, repair=f"name one of {listed}")


def _outermost(graphs: list[Graph[Any]]) -> list[Graph[Any]]:
    """Those that are no node of another one, as they are declared: whether they compile does not matter."""
    inside: list[Graph[Any]] = []
    for graph in graphs:
        inside += _nodes_of(graph, {id(graph)})
    names = {graph.name for graph in inside}
    return [graph for graph in graphs if graph.name not in names] or graphs


def _nodes_of(graph: Graph[Any], seen: set[int]) -> Iterator[Graph[Any]]:
    """The graphs that are nodes of a graph, and those inside them, each once."""
    from graphengine.graph.graph import Choose, Graph, Node

    left: list[object] = [declared.runnable for declared in graph.nodes]
    while left:
        runnable = left.pop()
        if isinstance(runnable, Node):
            left.append(runnable.runnable)
        elif isinstance(runnable, Choose):
            left += runnable.cases.values()
        elif isinstance(runnable, Graph) and id(runnable) not in seen:
            seen.add(id(runnable))
            yield runnable
            left += [declared.runnable for declared in runnable.nodes]


def _is_found_by_name(graph: Graph[Any], file: Path) -> bool:
    """Whether a later command, started in the same folder, finds the graph by its name alone, without doubt."""
    root = project_of(Path.cwd())
    if root is None or file.stem != graph.name:
        return False
    path = file.resolve()
    same = [each for each in graph_files(root) if each.stem == graph.name]
    return len(same) == 1 and same[0].resolve() == path


def _unknown_name(
    name: str, root: Path | None, known: Sequence[str], unread: Sequence[str], *, of_run: bool
) -> GraphNotFound:
    from graphengine.state.path import did_you_mean

    told = f"the run is of graph {name!r}, and no such graph was found" if of_run else f"there is no graph {name!r}"
    if unread:
        told += "; not readable: " + "; ".join(unread)
    direct = "give its file: --graph FILE[:NAME]" if of_run else "name its file: FILE.py or FILE.py:NAME"
    if root is None:
        where = f"{Path.cwd()} and above it, where there is no pyproject.toml"
        return GraphNotFound(told, where=where, repair=direct)
    near = did_you_mean(name, known)
    repair = direct + (f"; {near}" if near else "")
    return GraphNotFound(told, where=f"[tool.graphengine] graphs of {root / 'pyproject.toml'}", repair=repair)


def _broken(error: BaseException, path: Path) -> GraphEngineError:
    """What is said of a file that cannot be run: the error, and the line of the file it came from."""
    if isinstance(error, SyntaxError) and error.filename is not None:
        return GraphFileBroken(
            f"{type(error).__name__}: {error.msg}",
            where=f"{error.filename}:{error.lineno}",
            repair=f"mend this line: {(error.text or '').strip()}" if error.text else "mend the file",
        )
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    if own and isinstance(error, RunAtImport):
        return GraphFileBroken(error.message, where=f"{path}:{own[0].lineno}", repair=error.repair)
    where = f"{path}:{own[-1].lineno}" if own else str(path)
    if isinstance(error, GraphEngineError):
        repair = error.repair + (f" ({error.where})" if error.where else "")
        said = "this definition cannot be used: " if isinstance(error, DefinitionError) else ""
        return GraphFileBroken(said + error.message, where=where, repair=repair.strip())
    text = " ".join(str(error).split())
    if isinstance(error, SystemExit):
        return GraphFileBroken(
            f"the file ends the program when it is imported: SystemExit: {text}",
            where=where,
            repair='put what only a script does below if __name__ == "__main__":',
        )
    line = own[-1].line if own else ""
    mend = f"mend this line: {line}" if line else "mend the file"
    repair = "install it, or put the file into a project" if isinstance(error, ImportError) else mend
    return GraphFileBroken(f"{type(error).__name__}: {text}".rstrip(": "), where=where, repair=repair)


def _shown(path: Path) -> str:
    """The path as short as it is understood from here."""
    try:
        return str(path.relative_to(Path.cwd())) if path.is_absolute() else str(path)
    except ValueError:
        return str(path)
