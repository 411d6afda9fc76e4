"""Compute digests of the code of nodes, so that a resume can find the nodes whose code has changed.

A deployment can change the code of a node while runs wait. The changed code must not receive a result that was recorded
for a different call. It must also not run before it is known how the unfinished effects of the earlier code ended. An
effect is something that is done outside the run, such as a payment. Therefore a run records the id of its code together
with the first work that one of its nodes records. For each id, the store keeps the digests once, beside the graph spec.

The digest of a node covers the functions of the node, and all functions and classes of the same project that these
functions name, directly or through other functions. It also covers the statements at the top of a module that assign
values to the names that these functions use, such as `AMOUNT = 5` or `parcels = Graph("parcels", Parcel)`. The text of
such a statement counts, and not the value, which can differ between processes.

The digest is computed from syntax trees, which are written in a form that is the same in each release of Python.
Changes of comments, blank lines, docstrings and line numbers do not change the digest.

Code can also change by a value that no such statement contains: `graph(new=True)` decides what the functions inside do.
So the digest also covers the short, simple values of variables of surrounding functions, of defaults of parameters, and
of constants (names in capital letters) that a module imports. Long texts and large numbers are left out, because
addresses, paths and ports differ between processes that run the same code. Variables that functions assign are left out
too, such as counters.

The syntax tree of a function is missing if the function was typed at a prompt, or if its file has changed since the
import. In these cases the digest covers the byte code and the release of Python instead. Byte code differs between
releases, so an upgrade of Python then counts as a change. At worst, a person is asked one question more.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import inspect
import json
import linecache
import sys
import tokenize
from itertools import chain
from pathlib import Path
from types import CellType, CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, cast, runtime_checkable

from graphengine.compile.described_types import described, types_in
from graphengine.engine.phases import BEGUN
from graphengine.engine.plan import Code
from graphengine.engine.snapshot import READY, work_at
from graphengine.engine.steps import own_name, path_of, without_items
from graphengine.engine.user_frames import is_user_code
from graphengine.graph.definition import GraphDefinition
from graphengine.state.hints import hints_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from graphengine.engine.plan import Call, NodePlan, Plan
    from graphengine.engine.snapshot import Snapshot

_MOST_FUNCTIONS: Final = 2_000
"""The digest of a node covers at most this number of functions and classes.

Further functions and classes are left out.
"""
_LARGE: Final = 1_024
"""Numbers from this one on are not part of a digest, because they may be ports."""
_LONG: Final = 20
"""Texts with more characters are not part of a digest, because they may be addresses."""
_UNCOUNTED: Final = ("ctx", "kind", "type_comment", "type_params")
"""Parts of a syntax tree that carry no information, or that exist in some releases of Python only."""


@runtime_checkable
class HasFunctions(Protocol):
    """A node body that calls functions of the user's project, such as an agent that calls its tools.

    If the code of these functions changes, the code of the node counts as changed too.
    """

    @property
    def functions(self) -> Iterable[object]:
        """The functions of the project that the body may call."""
        ...


def code_of(plan: Plan[Any]) -> Code:
    """Return digests of the code of a graph's nodes. When a run is resumed, they show whether its code has changed.

    The result is cached.
    """
    if plan.code is not None:
        return plan.code
    digests: dict[str, list[str]] = {}
    types: dict[str, Mapping[str, str]] = {}
    parameters: dict[str, Sequence[str]] = {}
    for path, node in _nodes_of(plan, ""):
        functions = [function for call in _calls_of(node) for function in _functions_of(call)]
        if functions:
            named, kinds = _project_code(functions)
            made = types_in(kinds)
            types.update(made)
            parameters.update((own_name(each.__qualname__), [*_parameters_of(each)]) for each in named)
            texts = sorted(_source_text(each.__code__) for each in named)
            values = sorted({text for each in named for text in _values_in(each)})
            digests.setdefault(path, []).append(_digest([texts, made, values]))
    for each in plan.nest if digests else ():
        types.update(described(each.state.model).types)
    nodes = {path: found[0] if len(found) == 1 else _digest(found) for path, found in digests.items()}
    body: dict[str, Mapping[str, Any]] = {"nodes": nodes, "types": types, "parameters": parameters}
    code = Code(_digest(body), body)
    object.__setattr__(plan, "code", code)
    return code


def names_in_code(functions: Iterable[object]) -> frozenset[str]:
    """Return the global names and attributes that functions, and the project's functions that they call, use."""
    codes = chain.from_iterable(_codes_in(each.__code__) for each in _project_code(functions)[0])
    return frozenset(chain.from_iterable(each.co_names for each in codes))


def nodes_with_work(snapshot: Snapshot) -> Sequence[str]:
    """Return the paths of those nodes of a run for which it matters whether their code has changed.

    These are nodes that have recorded results, or whose code waits for an answer: they continue with the current code.
    """
    found = [frame for frame in snapshot.frames.values() if frame.recorded_results or frame.phase is not READY]
    found = [frame for frame in found if work_at(frame) or any(asked.key for asked in frame.waits.values())]
    return [*dict.fromkeys(without_items(path_of(frame.id, frame.at)) for frame in found)] if found else ()


def other_code(
    nodes: Sequence[str], before: Mapping[str, Mapping[str, Any]] | None, now: Mapping[str, Mapping[str, Any]]
) -> Sequence[str]:
    """Compare two versions of a graph's code, and return those of the given nodes whose code differs.

    Args:
        nodes: Paths of nodes, with the names that the nodes have in the current graph.
        before: The earlier code, as `Code.body`. None if the earlier code is not known, or if it belonged to another
            graph spec; then all nodes count as changed.
        now: The current code, as `Code.body`.
    """
    if before is None:
        return nodes
    return tuple(node for node in nodes if before["nodes"].get(node) != now["nodes"].get(node, ""))


class TodaysCode:
    """Compares the current code of a graph with the code with which a run recorded its results.

    The checks of unfinished runs before a deploy use the result, because changed code may not fit results that the
    earlier code recorded.

    Args:
        plan: The compiled current graph.
    """

    def __init__(self, plan: Plan[Any]) -> None:
        self._plan = plan
        self._code = code_of(plan)

    def is_other(self, code: str) -> bool:
        """Return whether the current code differs from the code with which the run last recorded something.

        Args:
            code: The id of the code that the run recorded last; "" if it has recorded none, which returns False.
        """
        return bool(code) and code != self._code.id

    def effects_in_flight(
        self, snapshot: Snapshot, before: Mapping[str, Mapping[str, Any]] | None
    ) -> Sequence[tuple[str, str]]:
        """Return the side effects of a run whose outcome is unknown and whose node's code has changed since then.

        A side effect is recorded when it begins and when it ends. If the process died in between, only the beginning is
        recorded, and the effect must be settled before the changed code runs.

        Args:
            snapshot: The snapshot of the run.
            before: The code that the run has recorded, as `Code.body`; None if that code is not known.

        Returns:
            The path of the node and the name of the function for each effect.
        """
        in_flight = [
            (path_of(frame.id, frame.at), memo)
            for frame in snapshot.frames.values()
            for key, memo in frame.recorded_results.items()
            if key.startswith(BEGUN) and memo.id
        ]
        is_same_graph = snapshot.fingerprint == self._plan.fingerprint
        changed = other_code(nodes_with_work(snapshot), before if is_same_graph else None, self._code.body)
        return [(path, memo.name or "") for path, memo in in_flight if memo.recoded or without_items(path) in changed]


def _parameters_of(function: FunctionType) -> Sequence[str]:
    code = function.__code__
    return code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]


def _digest(value: object) -> str:
    body = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(body.encode(), digest_size=6).hexdigest()


def _nodes_of(plan: Plan[Any], prefix: str) -> Iterator[tuple[str, NodePlan]]:
    """Yield the nodes of a graph and of all graphs inside it, each with its path."""
    for name, node in plan.nodes.items():
        yield prefix + name, node
        for call in _calls_of(node):
            if call.graph is not None:
                yield from _nodes_of(call.graph, f"{prefix}{name}/")


def _calls_of(node: NodePlan) -> Iterable[Call]:
    fallback = node.fallback.call if node.fallback is not None else None
    return node.calls if fallback is None else (*node.calls, fallback)


def _functions_of(call: Call) -> Iterable[object]:
    if isinstance(call.body, HasFunctions):
        return call.body.functions
    return (call.body.call,) if call.graph is None and call.body.kind in ("function", "agent") else ()


def _project_code(functions: Iterable[object]) -> tuple[list[FunctionType], list[object]]:
    """Return all functions and classes of the user's project that these functions use, directly or indirectly.

    Libraries are not followed.

    Returns:
        The functions (including `functions` themselves), and the classes together with the types in their hints.
    """
    left, seen, kinds = [*functions], dict[int, object](), dict[int, object]()
    packages = {str(getattr(each, "__module__", "")).partition(".")[0] for each in left} - {"graphengine"}
    own: list[FunctionType] = []
    is_first = len(left)
    while left and len(seen) < _MOST_FUNCTIONS:
        found, is_first = left.pop(0), is_first - 1
        if id(found) in seen:
            continue
        seen[id(found)] = found
        if isinstance(found, functools.partial):
            left.append(found.func)
        elif isinstance(found, type):
            if _is_own(found.__module__, getattr(sys.modules.get(found.__module__), "__file__", None), packages):
                kinds[id(found)] = found
                left += [*map(_function_in, vars(found).values()), *found.__bases__]
        elif isinstance(function := _function_in(found), FunctionType):
            if is_first >= 0 or _is_own(function.__module__, function.__code__.co_filename, packages):
                own.append(function)
                kinds.update((id(hint), hint) for hint in hints_of(function).values())
                left += _list_references(function)
        elif is_first >= 0 and callable(found):
            left += [type(found).__call__, type(found)]
    return own, [*kinds.values()]


def _is_own(module: str | None, file: str | None, packages: Iterable[str]) -> bool:
    """Return whether a module belongs to the user's project, whose changes of code are tracked.

    A module belongs to the project if it is in the same package as the node, or if its file belongs neither to an
    installed package nor to Python itself.
    """
    return (module or "").partition(".")[0] in packages or (file is not None and is_user_code(file))


def _function_in(value: object) -> object:
    if isinstance(value, property):
        return value.fget
    return getattr(inspect.unwrap(cast("Any", value)) if callable(value) else value, "__func__", value)


def _list_references(function: FunctionType) -> Iterator[object]:
    """Yield the functions, classes and other objects that a function uses, so that a search can follow them.

    These are the global names and the variables of surrounding functions that the function reads, the members of
    modules that it uses, and the function inside a wrapper such as a decorator.
    """
    if (wrapped := getattr(function, "__wrapped__", None)) is not None:
        yield wrapped
    code, space = function.__code__, function.__globals__
    names = {*chain.from_iterable(each.co_names for each in _codes_in(code))}
    held = [found for cell in function.__closure__ or () for found in _contents_of(cell)]
    for found in [*held, *(space[name] for name in sorted(names) if name in space)]:
        if isinstance(found, GraphDefinition):  # a graph whose runs the function starts
            yield found.state
        elif isinstance(found, ModuleType):
            yield from (vars(found)[name] for name in sorted(names) if name in vars(found))
        elif callable(found):
            yield found


def _contents_of(cell: CellType) -> Sequence[object]:
    try:
        return [cell.cell_contents]
    except ValueError:
        return ()


def _values_in(function: FunctionType) -> Iterator[str]:
    """Yield the names and values of simple objects on which the code of a function depends, such as its defaults.

    If one of them changes, the code of the function counts as changed.
    """
    code, space = function.__code__, function.__globals__
    module = _read_module(code.co_filename, _read_time(code))
    cells = zip(code.co_freevars, function.__closure__ or (), strict=True)
    held = {name: each for name, cell in cells for each in _contents_of(cell)}
    globals_ = {name for each in _codes_in(code) for name in each.co_names if name.isupper()}
    held.update((name, space[name]) for name in globals_ - module.assigned.keys() if name in space)
    positional, defaults = code.co_varnames[: code.co_argcount], function.__defaults__ or ()
    defaults_by_name = {**dict(zip(positional[::-1], defaults[::-1], strict=False)), **(function.__kwdefaults__ or {})}
    found: Any
    for name, found in (*held.items(), *defaults_by_name.items()):
        is_number = type(found) in (bool, int, float) and abs(found) < _LARGE
        is_text = type(found) is str and found.isidentifier() and len(found) <= _LONG
        if name not in module.changing and (found is None or is_number or is_text):
            yield f"{code.co_name} {name} {found!r}"


def _codes_in(code: CodeType) -> Iterator[CodeType]:
    yield code
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield from _codes_in(each)


def _source_text(code: CodeType) -> str:
    """Return a text that changes whenever the code of a function changes.

    The text consists of the syntax tree of the function and of the statements that set the globals that the function
    uses. So changes of comments and layout do not matter. If the source cannot be read, or has changed since it was
    imported, the text is the byte code with the version of Python.
    """
    return _write_function(code.co_filename, _read_time(code), code)


@functools.lru_cache(maxsize=4096)
def _write_function(file: str, written: int, code: CodeType) -> str:
    """Return the syntax tree of a function as text. The result is cached by the function's file and byte code.

    Functions in two files can have equal byte code, so the byte code alone is not enough.
    """
    module = _read_module(file, written)
    if code in module.codes:
        found = [_write(tree) for tree in module.trees.get((code.co_firstlineno, code.co_name), ())]
        if found:
            names = set(chain.from_iterable(each.co_names for each in _codes_in(code)))
            return "\n".join([*found, *_write_assignments(names, module.assigned)])
    return f"{sys.implementation.cache_tag} {_write_bytes(code)}"


def _write_assignments(names: set[str], assigned: Mapping[str, Sequence[ast.stmt]]) -> list[str]:
    """Return the statements that set these global names of a module, as texts.

    The statements that set names used by these statements are included, and so on.
    """
    left, found = names & assigned.keys(), dict[str, str]()
    while left:
        name = left.pop()
        found[name] = " ".join(map(_write, assigned[name]))
        parts = (part for statement in assigned[name] for part in ast.walk(statement))
        inside = {each.id for each in parts if isinstance(each, ast.Name)}
        left |= (inside & assigned.keys()) - found.keys()
    return [found[name] for name in sorted(found)]


class _Module(NamedTuple):
    """The syntax trees and the byte code of a module, read from the module's source file as it is now.

    Attributes:
        trees: The syntax trees of its functions, by line and name.
        codes: The byte code of its functions.
        assigned: The statements at the top of the module that assign or change the value of a name, by the name.
        changing: The variables outside a function that the function declares with `global` or `nonlocal`.
    """

    trees: Mapping[tuple[int, str], list[ast.AST]] = {}
    codes: frozenset[CodeType] = frozenset()
    assigned: Mapping[str, Sequence[ast.stmt]] = {}
    changing: frozenset[str] = frozenset()


def _read_time(code: CodeType) -> int:
    """Return when the source file of a function was last changed; 0 if there is no file."""
    try:
        return Path(code.co_filename).stat().st_mtime_ns
    except OSError:
        return 0


@functools.lru_cache(maxsize=256)
def _read_module(file: str, written: int) -> _Module:  # noqa: ARG001 - a file that was written again is read again
    try:
        with tokenize.open(file) as opened:
            source = opened.read()
    except (OSError, SyntaxError, UnicodeDecodeError):  # a notebook keeps the source of its cells elsewhere
        source = "".join(linecache.getlines(file))
    try:
        tree = ast.parse(source)
        codes = frozenset(_codes_in(compile(tree, file, "exec", dont_inherit=True)))
    except (SyntaxError, ValueError, RecursionError):
        return _Module()
    assigned: dict[str, list[ast.stmt]] = {}
    for statement in tree.body:
        if isinstance(statement, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            for name in {each.id for target in targets for each in ast.walk(target) if isinstance(each, ast.Name)}:
                assigned.setdefault(name, []).append(statement)
    found: dict[tuple[int, str], list[ast.AST]] = {}
    changing: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            line = min([node.lineno, *(each.lineno for each in node.decorator_list)])
            found.setdefault((line, node.name), []).append(node)
        elif isinstance(node, ast.Lambda):
            found.setdefault((node.lineno, "<lambda>"), []).append(node)
        elif isinstance(node, (ast.Global, ast.Nonlocal)):
            changing.update(node.names)
    return _Module(found, codes, assigned, frozenset(changing))


def _write(value: object) -> str:
    """Convert a syntax tree to a text that is the same on every version of Python, and leave docstrings out.

    Changed code is recognised by this text, so a changed docstring does not count as a change.
    """
    if isinstance(value, list):
        return f"[{' '.join(map(_write, value))}]"
    if not isinstance(value, ast.AST):
        return repr(value)
    fields = dict(ast.iter_fields(value))
    if isinstance(value, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        fields["body"] = value.body[ast.get_docstring(value, clean=False) is not None :]
    if isinstance(value, ast.JoinedStr):
        fields["values"] = _join_texts(value.values)
    parts = [
        f"{name}={_write(part)}" for name, part in fields.items() if part not in (None, []) and name not in _UNCOUNTED
    ]
    return f"{type(value).__name__}({' '.join(parts)})"


def _join_texts(parts: Iterable[ast.expr]) -> list[object]:
    """Join the adjacent constant texts in the syntax tree of an f-string, and drop empty texts.

    Some versions of Python, such as 3.12, split one text into several parts. After joining, the tree is the same on all
    versions.
    """
    joined: list[object] = []
    for part in parts:
        text = part.value if isinstance(part, ast.Constant) else None
        before = joined[-1] if joined else None
        if isinstance(text, str) and isinstance(before, str):
            joined[-1] = before + text
        elif text != "":
            joined.append(part if text is None else text)
    return joined


def _write_bytes(code: CodeType) -> str:
    parts = [
        _write_bytes(each)
        if isinstance(each, CodeType)
        else sorted(map(repr, each))
        if isinstance(each, frozenset)
        else repr(each)
        for each in code.co_consts
    ]
    return f"{code.co_name} {code.co_code.hex()} {code.co_names} {code.co_varnames} {parts}"


__all__ = ["HasFunctions", "code_of", "names_in_code"]
