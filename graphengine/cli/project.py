"""Find graphs: by file, or by name through a project's `[tool.graphengine] graphs`.

The file of a graph is run as a module. The name of the module is the file's path in the project's folder, and this
folder is on `sys.path`. No bytecode is written, and the file must not start a run. If the name is taken, the module
gets a unique name, so that two files never replace each other.
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

from graphengine.cli.places import graph_files, naming, project_of, setting, settings_of
from graphengine.errors import CompileError, DefinitionError, GraphEngineError, GraphNotFound
from graphengine.kernel.extension import Extension, did_you_mean
from graphengine.kernel.inside import HasBody, RunAtImport, importing, nearest
from graphengine.wings import BUILT_IN, ProjectBroken, WingBroken, left_out, wings
from graphengine.wings import load as load_part

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence
    from types import CodeType, ModuleType

    from graphengine.api.graph import Graph
    from graphengine.wings import Wing


class GraphFileBroken(GraphEngineError):
    """The file of a graph cannot be read or run."""

    code = "graph_file_broken"


@dataclass(frozen=True, slots=True)
class Found:
    """A graph and where it was found.

    Attributes:
        graph: The graph.
        file: The file, as it was named or found.
        module: The module that was made by running the file.
        reference: The value of `--graph` with which a suggested command finds the graph; "" if its name is enough.
    """

    graph: Graph[Any]
    file: Path
    module: ModuleType
    reference: str


def find(reference: str, name: str = "") -> Found:
    """Find the graph that the user named, as FILE, FILE:NAME or NAME.

    Args:
        reference: The user's argument.
        name: The graph's name, if it is known from a run. It selects a graph if a file contains several.

    Raises:
        GraphNotFound: The file or the name does not exist, the file contains no graph, or it contains several.
        GraphFileBroken: The file cannot be run.
    """
    file, inner = _split_reference(reference)
    if file is None:
        return find_named(reference)
    module = load(file)
    graph = _select_graph(module, file, inner, name)
    return Found(graph, file, module, "" if _is_found_by_name(graph, file) else reference)


def file_of(reference: str | None) -> Path | None:
    """Return the file in a reference of the form FILE or FILE:NAME; None if the reference is only a name, or None."""
    return _split_reference(reference)[0] if reference else None


def graph_of(name: str, reference: str | None) -> Found:
    """Find the graph of a recorded run.

    Args:
        name: The recorded name of the graph.
        reference: The value of `--graph`, if the option is given.

    Raises:
        GraphNotFound: The graph does not exist; see `find`.
        GraphFileBroken: The file of the graph cannot be run.
    """
    return find(reference, name) if reference else find_named(name, of_run=True)


def find_named(name: str, *, of_run: bool = False) -> Found:
    """Find a graph of the current project by its name.

    Args:
        name: The graph's name. If `of_run` is False, also the name of a file with one graph, without its suffix.
        of_run: Whether a run recorded the name, so that the name is exact.

    Raises:
        GraphNotFound: No graph has this name, or graphs in two files have it. The error also lists files that cannot be
            run.
    """
    root = project_of(Path.cwd())
    unread: list[str] = []
    other_names: list[str] = []
    remaining = sorted(graph_files(root) if root is not None else [], key=lambda file: file.stem != name)
    while remaining:
        file = remaining.pop(0)
        try:
            module = load(file)
        except GraphFileBroken as error:
            if file.stem == name:
                raise
            unread.append(f"{_near_path(file)} ({error.message})")
            continue
        graphs = list(dict(graphs_of(module)).values())
        wanted = [graph for graph in graphs if graph.name == name]
        if not wanted and file.stem == name and len(graphs) == 1 and not of_run:
            wanted = graphs
        if wanted:
            others, is_named = naming(wanted[0].name, remaining), wanted[0].name == name
            same = _find_same_names([Listed(file, module, wanted[:1]), *map(list_file, others)]) if is_named else {}
            if name in same:
                raise same[name][1]
            return Found(wanted[0], file, module, "" if is_named or not others else _near_path(file))
        other_names += [graph.name for graph in graphs]
    raise _build_unknown_name_error(name, root, other_names, unread, of_run=of_run)


@dataclass(frozen=True, slots=True)
class Listed:
    """A graph file of the current project: its graphs, or the error that keeps the file or a graph from being run."""

    file: Path
    module: ModuleType | None = None
    graphs: Sequence[Graph[Any]] = ()
    error: GraphEngineError | None = None


def list_graphs() -> list[Listed]:
    """Return the graph files of the current project by name, each with the graphs that are not nodes of others.

    If one file imports a graph from another file, only the other file lists the graph. If graphs in two files have the
    same name, an entry with an error follows at the end.

    Raises:
        GraphNotFound: There is no project, or the project names no folder of graphs.
        ProjectBroken: The pyproject.toml is invalid.
    """
    root = project_of(Path.cwd())
    files = graph_files(root) if root is not None else []
    if root is None or not files:
        no_project, no_file = (
            "there is no pyproject.toml in this folder or above it",
            "the project has no file with graphs",
        )
        message = no_project if root is None else no_file
        repair = 'list folders with graphs in pyproject.toml: [tool.graphengine] graphs = ["folder"]'
        if root is None:
            repair += "; or create a project: graphengine new PATH"
        elif not (folders := setting(root, "graphs")):
            repair += "; or name the file: graphengine run FILE.py, graphengine check FILE.py"
        else:
            message = f"the folders in graphs = {folders} of [tool.graphengine] contain no Python file"
            repair = "list folders that contain Python files with graphs"
        raise GraphNotFound(message, where=str(root or Path.cwd()), repair=repair)
    found: list[Listed] = []
    for file in files:
        listed = list_file(file)
        own = [graph for graph in listed.graphs if not is_imported(graph, listed, set(map(str, files)))]
        found.append(replace(listed, file=file.relative_to(root), graphs=own))
    return [*found, *(Listed(file, error=error) for file, error in _find_same_names(found).values())]


def is_imported(graph: Graph[Any], listed: Listed, files: Collection[str] | None = None) -> bool:
    """Return whether a file only imports this graph, so that the graph is defined in another module.

    If `files` is given, only imports from these files count.
    """
    defined = None if graph.origin is None else graph.origin.file
    if listed.module is None or defined in (None, listed.module.__file__) or (files and defined not in files):
        return False
    others = [each for each in [*sys.modules.values()] if getattr(each, "__file__", None) == defined]
    return any(value is graph for other in others for value in vars(other).values())


def _find_same_names(files: Iterable[Listed]) -> dict[str, tuple[Path, GraphNotFound]]:
    """Find graphs of the same name in different files.

    Returns the file of the later graph, with an error that names both places, by the name of the graph.
    """
    first_places: dict[str, tuple[Path, Graph[Any]]] = {}
    found: dict[str, tuple[Path, GraphNotFound]] = {}
    for listed in files:
        for graph in listed.graphs:
            file, before = first_places.setdefault(graph.name, (listed.file, graph))
            first, second = before.origin, graph.origin
            if file == listed.file or first is None or second is None or first == second:
                continue
            places = [f"{_near_path(Path(each.file))}:{each.line}" for each in (first, second)]
            message = f"two graphs are named {graph.name!r}, at {' and '.join(places)}; their names must be different, "
            message += "because a run records only the name of its graph"
            repair = "rename one of the two graphs, or name the file of the graph that you mean: --graph FILE"
            found[graph.name] = listed.file, GraphNotFound(message, where=places[1], repair=repair, code="same_name")
    return found


def list_file(file: Path) -> Listed:
    """Run a graph's file, and return the graphs in it that are not nodes of others, or the error if it cannot be run.

    Raises:
        GraphNotFound: The file does not exist.
    """
    try:
        module = load(file)
    except GraphFileBroken as error:
        return Listed(file, error=error)
    return Listed(file, module, _drop_nested([graph for _, graph in graphs_of(module)]))


def graphs_to_drive(references: Sequence[str]) -> tuple[dict[str, Found], list[str]]:
    """Return the graphs whose runs a command drives: those of the given files, or else those of the current project.

    Graphs of the project are left out if they do not compile, if their file cannot be run, or if graphs in two files
    have the same name.

    Returns:
        The graphs by name; and for each graph that is left out, a message with the reason.

    Raises:
        GraphNotFound: There is no graph.
        GraphEngineError: A given graph cannot be used.
    """
    graphs: dict[str, Found] = {}
    for reference in references:
        file, inner = _split_reference(reference)
        for found in (_load_all_graphs(file) if file is not None and not inner else ()) or [find(reference)]:
            found.graph.compile()
            if graphs.setdefault(found.graph.name, found).graph is not found.graph:
                message = f"two graphs are named {found.graph.name!r}, and a run records only the name of its graph"
                repair = "rename one of the two graphs, or use a database and a worker for each of them"
                raise GraphNotFound(message, where=reference, repair=repair, code="same_name")
    unread = [] if references else _add_project_graphs(graphs)
    if not graphs:
        message = "there is no graph whose runs can be driven" + (f": {'; '.join(unread)}" if unread else "")
        repair = (
            'name files with --graph FILE, or list folders in pyproject.toml: [tool.graphengine] graphs = ["folder"]'
        )
        raise GraphNotFound(message, where=str(project_of(Path.cwd()) or Path.cwd()), repair=repair)
    return graphs, unread


def _load_all_graphs(file: Path) -> list[Found]:
    module = load(file)
    return [Found(graph, file, module, "") for _, graph in graphs_of(module)]


def _format_first_problem(error: GraphEngineError) -> str:
    """Format an error on one line. If a graph does not compile, only its first problem is named."""
    if isinstance(error, CompileError):
        first = next(problem for problem in error.problems if not problem.warning)
        return f"{first.where}: {first.message}; see `graphengine check`"
    return error.message.splitlines()[0]


def _add_project_graphs(graphs: dict[str, Found]) -> list[str]:
    """Add the graphs of the current project to `graphs`. Return a message about each graph that cannot be used."""
    root = project_of(Path.cwd())
    unread: list[str] = []
    listed: list[Listed] = []
    for file in graph_files(root) if root is not None else ():
        try:
            found = _load_all_graphs(file)
        except GraphEngineError as error:
            unread.append(f"the file {_near_path(file)} is left out: {error.message}")
            continue
        listed.append(Listed(file, graphs=_drop_nested([each.graph for each in found])))
        for each in found:
            graph = each.graph
            try:
                graph.compile()
            except GraphEngineError as error:
                why = _format_first_problem(error)
                unread.append(f"the graph {graph.name!r} of {_near_path(file)} is left out: {why}")
                continue
            if graph.name not in graphs or file.stem == graph.name:
                graphs[graph.name] = each
    for name, (_, same) in _find_same_names(listed).items():
        graphs.pop(name, None)
        unread.append(f"the graph {name!r} is left out: {same.message}")
    return unread


def load(file: Path) -> ModuleType:
    """Run a graph's file, and return the module.

    If another module has already imported the file, its module is returned.

    Raises:
        GraphNotFound: The file does not exist.
        GraphFileBroken: The file cannot be read, or raises an error.
    """
    path = Path(os.path.abspath(file))  # noqa: PTH100 - keep links: the project is found along the path that the user gave
    if not path.is_file():
        what = (
            f"{_near_path(file)} is a folder, not a file"
            if path.is_dir()
            else f"the file {_near_path(file)} does not exist"
        )
        near = get_close_matches(path.stem, [each.stem for each in path.parent.glob("*.py")], n=1)
        repair = (
            f"did you mean {file.with_name(near[0] + '.py')}?" if near else "name a Python file that defines a graph"
        )
        raise GraphNotFound(what, where=str(file), repair=repair)
    root = project_of(path.parent) or path.parent
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    name = _module_name(path, root)
    present = sys.modules.get(name)
    if present is not None and not isinstance(present.__loader__, _Loader):
        return present  # another module has already imported the file
    spec = importlib.util.spec_from_file_location(name, path, loader=_Loader(name, str(path)))
    if spec is None or spec.loader is None:
        raise GraphFileBroken("Python cannot load the file as a module", where=str(path))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        with importing():
            spec.loader.exec_module(module)
    except BaseException as error:
        sys.modules.pop(name, None)
        if isinstance(error, KeyboardInterrupt):
            raise
        raise _build_broken_file_error(error, path) from error
    return module


def graphs_of(module: ModuleType) -> Iterator[tuple[str, Graph[Any]]]:
    """Yield the graphs that the variables of a module contain, each once, with the name of its variable."""
    from graphengine.api.graph import Graph

    seen: set[int] = set()
    for variable, value in list(vars(module).items()):
        if isinstance(value, Graph) and id(value) not in seen:
            seen.add(id(value))
            yield variable, value


class _Loader(importlib.machinery.SourceFileLoader):
    """A loader that runs a Python file from its source. It neither reads nor writes bytecode files."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


def _module_name(path: Path, root: Path) -> str:
    """Choose the module name of a graph's file, such as `graphs.review` for `graphs/review.py`.

    Nodes of the project can import the file under this name. If the name is taken or invalid, the result is a unique
    name.
    """
    parts = path.relative_to(root).with_suffix("").parts
    natural = ".".join(parts)
    present = sys.modules.get(natural)
    is_free = present is None or getattr(present, "__file__", None) == str(path)
    if all(part.isidentifier() for part in parts) and parts[0] not in sys.stdlib_module_names and is_free:
        return natural
    return f"{path.stem}_{hashlib.sha256(os.fsencode(path)).hexdigest()[:8]}"


def _split_reference(reference: str) -> tuple[Path | None, str]:
    """Split a reference of the form FILE:NAME into the file and the name. The file is None if only a name is given."""
    before, colon, name = reference.rpartition(":")
    if colon and (before.endswith(".py") or Path(before).is_file()):
        return Path(before), name
    is_file = reference.endswith(".py") or "/" in reference or os.sep in reference or Path(reference).is_file()
    return (Path(reference), "") if is_file else (None, "")


def _select_graph(module: ModuleType, file: Path, inner: str, name: str) -> Graph[Any]:
    graphs = dict(graphs_of(module))
    where = _near_path(file)
    if not graphs:
        repair = f"define a graph at the top level of the file, as graph = {_suggest_graph(module, name)}"
        raise GraphNotFound(f"the file {where} defines no graph", where=where, repair=repair)
    if inner:
        wanted = [g for v, g in graphs.items() if v == inner] or [g for g in graphs.values() if g.name == inner]
    elif name and len(graphs) > 1:
        wanted = [g for g in graphs.values() if g.name == name]
    else:
        wanted = _drop_nested(list(graphs.values()))
    if len(wanted) == 1:
        return wanted[0]
    listed = ", ".join(f"{where}:{variable}" for variable in graphs)
    if inner:
        message, repair = f"the file {where} defines no graph {inner!r}", f"use one of its graphs: {listed}"
        raise GraphNotFound(message, where=where, repair=repair)
    message = f"the file {where} defines {len(graphs)} graphs, so a name must choose between them"
    raise GraphNotFound(message, where=where, repair=f"use one of {listed}")


def _suggest_graph(module: ModuleType, name: str) -> str:
    """Return code to suggest to a user whose file contains agents, but no graph. The code makes a graph of an agent.

    The agent is the one with the name `name`, or else one that hands over to other agents, or else any agent.
    """
    bodies = {
        variable: value.__body__()
        for variable, value in vars(module).items()
        if isinstance(value, HasBody) and not isinstance(value, type)
    }
    agents = {variable: getattr(body, "agent", None) for variable, body in bodies.items() if body.kind == "agent"}
    others = {variable: getattr(agent, "hand_to", ()) for variable, agent in agents.items()}
    named = [each for each in agents if bodies[each].name == name]
    talking = [each for each in agents if any(not isinstance(other, str) for other in others[each])]
    found = next(iter(named or talking or agents), "")
    if not found:
        return 'Graph("name", State)'
    if others[found]:
        return f"Graph.chat({found}), the graph of its conversations"
    return f"Graph.of({found}), the graph of its runs"


def _drop_nested(graphs: list[Graph[Any]]) -> list[Graph[Any]]:
    """Return the graphs that are not nodes of another one of these graphs. The graphs need not compile."""
    inside: list[Graph[Any]] = []
    for graph in graphs:
        inside += _iter_inner_graphs(graph, {id(graph)})
    names = {graph.name for graph in inside}
    return [graph for graph in graphs if graph.name not in names] or graphs


def _iter_inner_graphs(graph: Graph[Any], seen: set[int]) -> Iterator[Graph[Any]]:
    """Yield the graphs that are nested in a graph at any depth, each once."""
    from graphengine.api.graph import Graph
    from graphengine.kernel.extension import Choose, Node

    remaining: list[object] = [declared.runnable for declared in graph.nodes]
    while remaining:
        runnable = remaining.pop()
        if isinstance(runnable, Node):
            remaining.append(runnable.runnable)
        elif isinstance(runnable, Choose):
            remaining += runnable.cases.values()
        elif isinstance(runnable, Graph) and id(runnable) not in seen:
            seen.add(id(runnable))
            yield runnable
            remaining += [declared.runnable for declared in runnable.nodes]


def _is_found_by_name(graph: Graph[Any], file: Path) -> bool:
    """Return whether a command finds this graph by its name alone. A suggested command then need not name the file."""
    root = project_of(Path.cwd())
    if root is None or file.stem != graph.name:
        return False
    files = graph_files(root)
    same = [*(each for each in files if each.stem == graph.name), *naming(graph.name, files)]
    return {each.resolve() for each in same} == {file.resolve()}


def _build_unknown_name_error(
    name: str, root: Path | None, known: Sequence[str], unread: Sequence[str], *, of_run: bool
) -> GraphNotFound:
    message = f"the graph {name!r} of the run was not found" if of_run else f"there is no graph {name!r}"
    if unread:
        message += "; these files cannot be read: " + "; ".join(unread)
    direct = "name the graph's file, as " + ("--graph FILE[:NAME]" if of_run else "FILE.py or FILE.py:NAME")
    if root is None:
        where = f"{Path.cwd()} and above it, where there is no pyproject.toml"
        return GraphNotFound(message, where=where, repair=direct)
    near = did_you_mean(name, known)
    repair = direct + (f"; {near}" if near else "")
    return GraphNotFound(message, where=f"[tool.graphengine] graphs of {root / 'pyproject.toml'}", repair=repair)


def _build_broken_file_error(error: BaseException, path: Path) -> GraphEngineError:
    """Return the error for a graph's file that raised an exception, with the line of the file and a repair."""
    if isinstance(error, SyntaxError) and error.filename is not None:
        return GraphFileBroken(
            f"{type(error).__name__}: {error.msg}",
            where=f"{error.filename}:{error.lineno}",
            repair=f"fix this line: {(error.text or '').strip()}" if error.text else "fix the file",
        )
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    if own and isinstance(error, RunAtImport):
        return GraphFileBroken(error.message, where=f"{path}:{own[0].lineno}", repair=error.repair)
    where = f"{path}:{own[-1].lineno}" if own else str(path)
    if isinstance(error, GraphEngineError):
        repair = error.repair + (f" ({error.where})" if error.where else "")
        if isinstance(error, CompileError):  # the error lists the problems
            repair = "fix each of these problems, and run the command again"
        prefix = "this definition cannot be used: " if isinstance(error, DefinitionError) else ""
        return GraphFileBroken(prefix + error.message, where=where, repair=repair.strip())
    text = " ".join(str(error).split())
    if isinstance(error, SystemExit):
        return GraphFileBroken(
            f"the file ends the program when it is imported: SystemExit: {text}",
            where=where,
            repair='put code that only a script should run below if __name__ == "__main__":',
        )
    line = own[-1].line if own else ""
    repair = f"fix this line: {line}" if line else "fix the file"
    if isinstance(error, ModuleNotFoundError):
        repair = "install the missing package, or put the file into the project that contains the missing module"
    elif isinstance(error, ImportError):
        name = text.partition("cannot import name '")[2].partition("'")[0]
        near = nearest(name, dir(sys.modules.get(error.name or "")))
        repair = f"did you mean {near!r}?" if near else repair
    return GraphFileBroken(f"{type(error).__name__}: {text}".rstrip(": "), where=where, repair=repair)


def _near_path(path: Path) -> str:
    """Return a path in the form that is shorter for the user: relative to the current folder if it is inside."""
    try:
        return str(path.relative_to(Path.cwd())) if path.is_absolute() else str(path)
    except ValueError:
        return str(path)


# --- wings ---


def extensions_of(file: Path | None = None) -> Sequence[Extension]:
    """Return the extensions that act in the runs of a project.

    They come from the bundled wings for which the project has settings, and from the wings of other packages that the
    project names. If a named wing cannot be used, an error is raised, because the project relies on the wing.

    Args:
        file: A graph's file; None for the current project.

    Raises:
        ProjectBroken: The settings of a wing cannot be used, `wings` is not a list of names, or a wing is not
            installed.
        WingBroken: A wing cannot be used.
    """
    ours = [wing for wing in BUILT_IN if wing.extension and settings_of(wing.name, file).table is not None]
    extensions = (_extension_of(wing, file) for wing in (*ours, *_iter_named_wings(file)))
    return [each for each in extensions if each is not None]


def _iter_named_wings(file: Path | None) -> Iterator[Wing]:
    """Yield the wings of other packages that a project names in `[tool.graphengine] wings` and that have an extension.

    Raises:
        ProjectBroken: `wings` is not a list of names, or a wing is not installed.
        WingBroken: A wing cannot be used.
    """
    found, root = settings_of("wings", file)
    if root is None or found is None:
        return
    place, known = str(root / "pyproject.toml"), {wing.name: wing for wing in wings()}
    if not (isinstance(found, list) and all(isinstance(each, str) for each in found)):
        repair = 'write [tool.graphengine] and below it wings = ["name"]'
        raise ProjectBroken(f"the setting wings is {found!r}, and not a list of names", where=place, repair=repair)
    for name in found:
        if reason := left_out(name):
            message = f"the plugin (wing) {name!r} cannot be used: {reason}"
            repair = "repair the package of the plugin, or remove its name from [tool.graphengine] wings"
            raise WingBroken(message, where=place, repair=repair)
        if name not in known:
            repair = did_you_mean(name, known) or f"install the package of the plugin (wing) {name!r}"
            raise ProjectBroken(
                f"[tool.graphengine] wings contains {name!r}, and no installed package has a plugin (wing) so named",
                where=place,
                repair=repair,
            )
        if known[name] not in BUILT_IN and known[name].extension:
            yield known[name]


def _extension_of(wing: Wing, file: Path | None) -> Extension | None:
    """Create the extension of a wing from the project's settings; None if these settings need no extension.

    Raises:
        ProjectBroken: The settings cannot be used.
        GraphEngineError: The settings cannot be used; the wing raised this error.
        WingBroken: The extension cannot be made.
    """
    try:
        found = load_part(wing.extension)(settings_of(wing.name, file))
    except GraphEngineError:
        raise
    except Exception as error:
        message = f"{wing.extension} of the plugin (wing) {wing.name!r} failed: {type(error).__name__}: {error}"
        raise WingBroken(message, where="[tool.graphengine] wings") from error
    if found is None or isinstance(found, Extension):
        return found
    raise WingBroken(f"{wing.extension} of the plugin (wing) {wing.name!r} returned {found!r}, and not an Extension")
