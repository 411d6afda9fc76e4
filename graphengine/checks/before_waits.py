"""The check for code that acts outside the run before a wait: after the wait, the node runs again from its start.

The source of a node is read in the order in which it runs, with both branches of each `if` and two rounds of each loop.
Each action outside the run is remembered until the next wait. A wait is `ctx.ask`, `ctx.receive`, `ctx.sleep`,
`ctx.sleep_until` or the result of a child run, and after it the node would repeat the action. Functions inside the
node, functions of the project that the node calls, and functions to which it gives its `ctx` are read at the place of
the call.

Names are looked up in the globals, the closure, the bound object and the resources of the node. Therefore an alias of
an import or an attribute of a client is recognised by the object that it is. No code of the user is run.
"""

from __future__ import annotations

import ast
import builtins
import functools
import inspect
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, Final, Literal

from graphengine.checks.outside_acts import find_deed, find_qualified_name
from graphengine.checks.waits import function_of, outermost_of
from graphengine.errors import Problem
from graphengine.kernel.extension import hints_of
from graphengine.kernel.inside import source_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from graphengine.kernel.extension import Call, Compiling

_WAITS: Final = ("ctx.ask", "ctx.receive", "ctx.sleep", "ctx.sleep_until", "child.result")
_UNKNOWN: Final = object()
_DEEPEST: Final = 4
"""How many nested calls are read at most."""
_GATHERS: Final = frozenset(
    [f"asyncio.{name}" for name in ("as_completed", "create_task", "ensure_future", "gather", "shield", "wait")]
    + ["asyncio.wait_for", "functools.partial"]
    + ["map", "filter", "zip", "enumerate", "list", "tuple", "set", "sorted", "reversed"]
)
"""Functions whose result is known or awaited if their arguments are. Each is given by its package and its own name."""
_HARMLESS: Final = frozenset(
    ["contextlib.suppress", "contextlib.nullcontext", "asyncio.taskgroups.TaskGroup", "warnings.catch_warnings"]
)
"""Context managers that may be left at a wait and entered again after it."""
_SAME: Final = {
    "AsyncFor": "For",
    "AsyncFunctionDef": "FunctionDef",
    "AsyncWith": "With",
    "Continue": "Break",
    "DictComp": "ListComp",
    "GeneratorExp": "ListComp",
    "Raise": "Return",
    "SetComp": "ListComp",
    "TryStar": "Try",
}
"""Kinds of syntax that are read in the same way as another kind."""
_INSIDE: Final = {"ListComp": "elt", "SetComp": "elt", "GeneratorExp": "elt", "Starred": "value", "NamedExpr": "value"}
"""The part of each kind of expression that is awaited together with the expression."""
_OF_PART: Final = {**_INSIDE, "Await": "value", "Subscript": "value", "DictComp": "value", "BinOp": "left"}
"""The part of each kind of expression from which the value of the whole expression is known."""
_OF_PARTS: Final = {"List": "elts", "Tuple": "elts", "Set": "elts", "Dict": "values", "BoolOp": "values"}
"""The parts of each kind of expression that has all of its parts, or whose value is the value of a part."""
_FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_LONGEST: Final = 60
"""How many characters of an expression a message shows at most."""
_TWICE: Final = "does so again after {}, which starts the node again from its beginning"
_ANOTHER: Final = "gets another value after {}, which starts the node again from its beginning"
_ENDED: Final = "does so already when {} begins, since a wait ends the node and starts it again from its beginning"
_REPAIR: Final = (
    "put what must happen once into await ctx.call(function, …), or into a node of its own before this one; "
    'add_node(…, effect="idempotent") or "read" says that all of the node may be repeated'
)
_REPAIR_VALUE: Final = "take it from ctx.now(), ctx.random or ctx.idempotency_key, or record it: await ctx.call(uuid4)"
_REPAIR_AROUND: Final = (
    "begin it after the wait, in await ctx.call(function, …), or let nodes before and after this one begin and end it"
)


@dataclass(frozen=True, slots=True)
class _Value:
    """What is known about the value of an expression in a node's source code, without running the code.

    Attributes:
        kind: `context` for the `ctx` of the node; `ours` for a value that `ctx` or graphengine returned; `child` for
            one or several child runs; `clock` for a time that was taken after `since` waits; "" for any other value.
        name: The qualified name, as in `graphengine.checks.outside_acts`; "" if the name is unknown.
        owner: The object itself, if it exists before the node runs.
        of: The class of which the value is an instance.
        code: The function inside the node that is the value.
        scope: The names that this function can use.
        since: How many waits were read before the time of a `clock` was taken.
    """

    kind: Literal["context", "ours", "child", "clock", ""] = ""
    name: str = ""
    owner: object = _UNKNOWN
    of: object = None
    code: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | None = None
    scope: _Scope | None = None
    since: int = 0

    @classmethod
    def of_object(cls, owner: object, name: str = "") -> _Value:
        name = name or find_qualified_name(owner)
        return replace(cls.of_name(name), owner=owner, of=type(owner) if name.endswith("()") else None)

    @classmethod
    def of_name(cls, name: str) -> _Value:
        return cls("ours" if name.startswith("graphengine.") else "", name)

    def attribute(self, name: str) -> _Value:
        if self.kind == "context":
            return _Value("ours", f"ctx.{name}")
        if self.kind == "child":
            return _Value("ours", "child.result") if name == "result" else self
        if self.kind:
            return _Value(self.kind, f"{self.name}.{name}")
        owner = self.owner if self.owner is not _UNKNOWN else self.of
        found = _UNKNOWN if owner is None else inspect.getattr_static(owner, name, _UNKNOWN)
        if type(found) in (staticmethod, classmethod):
            found = found.__func__  # type: ignore[union-attr]  # either has it
        if found is _UNKNOWN or hasattr(type(found), "__set__"):  # a property, or a slot
            return _Value.of_name(f"{self.name}.{name}" if self.name else "")
        has_name = issubclass(type(found), ModuleType | type | FunctionType) or not callable(found)
        return _Value.of_object(found, "" if has_name else f"{self.name}.{name}")


@dataclass(slots=True)
class _Scope:
    """The names that code in a node's function can use: of variables, of surrounding functions and of the module."""

    names: dict[str, _Value] = field(default_factory=dict)
    given: Mapping[str, object] = field(default_factory=dict)

    def find(self, name: str) -> _Value:
        if name in self.names:
            return self.names[name]
        found = self.given.get(name, getattr(builtins, name, _UNKNOWN))
        return _Value() if found is _UNKNOWN else _Value.of_object(found)


@dataclass(frozen=True, slots=True)
class _EarlyAct:
    """An act before a wait in a node's function, such as sending a request, which would be repeated after the wait.

    A function starts again from its beginning when a wait ends, so it would send the request twice.

    Attributes:
        line: The line of the act.
        words: A description of the act.
        outcome: What the wait does to the act, for example that the act happens twice.
        repair: How to avoid this.
    """

    line: int
    words: str
    outcome: str = _TWICE
    repair: str = _REPAIR


def acts_before_waits(found: Compiling) -> Iterator[Problem]:
    """Warn about node functions that act outside the run before they wait, because the act is repeated after the wait.

    There is no warning if `effect=` says how the act may be repeated.
    """
    for name, node in found.nodes.items():
        for body in (call.body for call in node.calls if node.effect is None and call.body.kind == "function"):
            yield from _find_acts(f"node {name}", body.name, body.call, found.graph.resources)


def find_undeclared_acts(calls: Iterable[Call], resources: Mapping[str, object]) -> Sequence[str]:
    """Describe the acts outside the run, such as sending a request, that functions of a node without `effect=` perform.

    Only acts that the source code shows are found.

    Args:
        calls: What the node may run.
        resources: The resources of the graph, by name, with what makes them.
    """
    found: list[str] = []
    for call in calls:
        function = function_of(call.body.call) if call.body.kind == "function" else None
        reader = _read_function(function, call.body.call, resources) if function is not None else None
        if reader is not None:
            found += [f"{call.body.name} {words} in line {line}" for line, words in sorted(reader.deeds)]
    return found


def _find_acts(where: str, name: str, call: object, resources: Mapping[str, object]) -> Iterator[Problem]:
    for function in _list_functions(call):
        reader, source = _read_function(function, call, resources), source_of(function)
        if reader is not None and source is not None and reader.found:
            (act, (wait, line)), *others = sorted(reader.found.items(), key=lambda each: each[0].line)
            lines = sorted({other.line for other, _ in others} - {act.line})
            more = f" (and does such a thing in line {', '.join(map(str, lines))})" if lines else ""
            text = f"{name} {act.words} in line {act.line}{more}, and {act.outcome.format(f'{wait} in line {line}')}"
            yield Problem("acts_before_wait", where, text, act.repair, warning=True, file=source[1].file, line=act.line)
            return


def _list_functions(call: object) -> Iterator[FunctionType]:
    """Yield the function of a node, and then the functions of the project that decorators put around it, inside out."""
    function = function_of(call)
    if function is not None:
        yield function
    outer = outermost_of(call)
    for each in reversed((outer, *_list_wrapped(outer))):
        if isinstance(each, FunctionType) and each is not function and _is_of_project(each):
            yield each


def _list_wrapped(function: object) -> Sequence[object]:
    """Return the functions around which decorators put a function, from the outside to the inside."""
    inner = getattr(function, "__wrapped__", None)
    return () if inner is None else (inner, *_list_wrapped(inner))


def _read_function(function: FunctionType, call: object, resources: Mapping[str, object]) -> _NodeReader | None:
    """Read the source of a node's function, to find out what it does; None if the source is not available.

    Args:
        function: The function to read: the function of the node, or a function that a decorator put around it.
        call: What the node calls.
        resources: The resources of the graph, by name, with what makes them.
    """
    source = source_of(function)
    if source is None or not isinstance(source[0], _FUNCTIONS):
        return None
    bound = {"ctx": _Value("context"), **{each: _know_resource(factory) for each, factory in resources.items()}}
    owner = getattr(call, "__self__", None if isinstance(call, FunctionType | functools.partial) else call)
    if owner is not None and (first := source[0].args.args[:1]):
        bound[first[0].arg] = _Value.of_object(owner)
    reader = _NodeReader(source[0].lineno - source[1].line, _list_wrapped(function), bound)
    reader.read(source[0], _Scope(given=_list_globals(function)), bound)
    return reader


def _know_resource(factory: object) -> _Value:
    """Return what is known about a resource that a node's source uses: its class, if the declaration shows it.

    The class is the factory itself, or the annotated return type of the factory.
    """
    resource_type = factory if isinstance(factory, type) else hints_of(factory).get("return")
    return (
        _Value("", f"{find_qualified_name(resource_type)}()", of=resource_type)
        if isinstance(resource_type, type)
        else _Value()
    )


def _list_globals(function: FunctionType) -> Mapping[str, object]:
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=False)
    return {**function.__globals__, **{name: cell.cell_contents for name, cell in cells if _is_set(cell)}}


def _is_set(cell: Any) -> bool:  # noqa: ANN401 - a cell
    try:
        cell.cell_contents  # noqa: B018 - an empty one raises
    except ValueError:
        return False
    return True


def _is_of_project(function: FunctionType) -> bool:
    root, file = function.__module__.partition(".")[0], function.__code__.co_filename
    return root not in sys.stdlib_module_names and root != "graphengine" and "-packages" not in file


class _NodeReader(ast.NodeVisitor):
    """Reads the source of a node's function in the order in which it runs, to find acts that come before a wait.

    An act is something outside the run, such as sending a request. It would be repeated, because the function runs
    again from its beginning after the wait.

    Attributes:
        found: The actions before a wait, each with the wait and the line of the wait.
        pending: The actions so far on some path that leads to the present place.
        waits: How many waits have been read so far.
        deeds: The line and the words of each call that acts, whether a wait follows or not.

    Args:
        offset: The difference between the lines of the syntax tree and the lines of the file.
        wrapped: The functions around which decorators put this function.
        given: The arguments that the functions in `wrapped` get, as far as they are known.
    """

    def __init__(self, offset: int, wrapped: Sequence[object] = (), given: Mapping[str, _Value] | None = None) -> None:
        self._wrapped, self._given = wrapped, given or {}
        self.found: dict[_EarlyAct, tuple[str, int]] = {}
        self.pending: dict[_EarlyAct, None] = {}
        self.waits = 0
        self.deeds: set[tuple[int, str]] = set()
        self._last = ("", 0)
        self._scope = _Scope()
        self._offset = offset
        # the line in the node that calls the function being read, if that function is elsewhere
        self._at: int | None = None
        self._is_over = False
        self._jumps: list[dict[_EarlyAct, None]] = [{}]
        self._reading: list[ast.AST] = []

    def read(self, code: ast.AST, scope: _Scope, bound: Mapping[str, _Value]) -> None:
        """Read the source of a function at the place where the node calls it, to find its acts and waits.

        `bound` contains what is known about the arguments of the call, by parameter. A function that calls itself is
        read only once.
        """
        if len(self._reading) >= _DEEPEST or any(code is each for each in self._reading):
            return
        before = self._scope, self._is_over, self._jumps
        self._jumps = [{}]
        self._reading.append(code)
        self._enter(code, scope, bound)
        body = code.body  # type: ignore[attr-defined]
        self._block(body) if isinstance(body, list) else self.visit(body)
        self._reading.pop()
        self._scope, self._is_over, self._jumps = before

    def _enter(self, code: ast.AST, scope: _Scope, bound: Mapping[str, _Value]) -> None:
        """Begin to read the source of a function: make its parameters and the names in `scope` known.

        Names in the code that is read afterwards can then be resolved.
        """
        self._scope = _Scope({**scope.names}, scope.given)
        arguments: ast.arguments = code.args  # type: ignore[attr-defined]  # a function
        for each in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
            self._scope.names[each.arg] = bound.get(each.arg) or self._instance(each.annotation)

    # --- what happens ------------------------------------------------------------------------------------------------

    def _line(self, node: ast.AST) -> int:
        return self._at if self._at is not None else node.lineno - self._offset  # type: ignore[attr-defined]

    def _act(self, node: ast.AST, words: str) -> None:
        self.pending[_EarlyAct(self._line(node), words)] = None

    def _wait(self, node: ast.AST, wait: str) -> None:
        self.waits, self._last = self.waits + 1, (wait, self._line(node))
        for act in self.pending:
            self.found.setdefault(act, self._last)

    @contextmanager
    def _around(self, node: ast.AST, words: str) -> Iterator[None]:
        """Report an act at the end of a block, such as leaving a `with` block, if the code inside the block waits.

        A wait ends the node's function, which later starts again from its beginning. The act would therefore happen
        already when the wait begins. Nothing is reported if `words`, the description of the act, is "".
        """
        before = self.waits
        yield  # an error here would be a fault of this check, so nothing is cleaned up
        if self.waits > before and words:
            self.found[_EarlyAct(self._line(node), words, _ENDED, _REPAIR_AROUND)] = self._last

    def visit(self, node: ast.AST) -> None:
        kind = type(node).__name__
        getattr(self, f"visit_{_SAME.get(kind, kind)}", self.generic_visit)(node)

    # --- statements --------------------------------------------------------------------------------------------------

    def _block(self, statements: Sequence[ast.stmt]) -> None:
        self._is_over = False
        for each in statements:
            self.visit(each)
            if self._is_over:
                break

    def _branches(self, *blocks: Sequence[ast.stmt]) -> None:
        """Read blocks of a node's source of which only one runs, such as the blocks after `if` and `else`.

        Acts in any of these blocks count as done before the code after the blocks. A block that leaves the function by
        `return`, `raise` or the like is an exception, because no code follows it.
        """
        before, after, is_over = self.pending, dict[_EarlyAct, None](), True
        for block in blocks:
            self.pending = {**before}
            self._block(block)
            if not self._is_over:
                after, is_over = {**after, **self.pending}, False
        self.pending, self._is_over = after, is_over

    def visit_If(self, node: ast.If) -> None:
        self.visit(node.test)
        self._branches(node.body, node.orelse)

    def visit_Match(self, node: ast.Match) -> None:
        self.visit(node.subject)
        self._branches(*(case.body for case in node.cases), [])

    def visit_While(self, node: ast.While) -> None:
        self._loop(node, [node.test])

    def visit_For(self, node: ast.For | ast.AsyncFor) -> None:
        self.visit(node.iter)
        if isinstance(node, ast.AsyncFor) and not self._is_known(node.iter):
            self._act(node, f"iterates over {_short_text(node.iter)}")
        self._bind(node.target, self._value(node.iter))
        self._loop(node, [])

    def _loop(self, node: ast.For | ast.AsyncFor | ast.While, tests: Sequence[ast.expr]) -> None:
        """Read the body of a loop twice, because an act in one round comes before a wait in the next round."""
        before = {**self.pending}
        for _ in range(2):
            self._jumps.append({})
            for test in tests:
                self.visit(test)
            self._block(node.body)
            jumps = self._jumps.pop()
            self.pending = {**before, **jumps, **({} if self._is_over else self.pending)}
            before = {**self.pending}
        self._block(node.orelse)
        self._is_over = False

    def visit_Break(self, node: ast.Break | ast.Continue) -> None:  # noqa: ARG002 - of the visitor
        self._jumps[-1].update(self.pending)
        self._is_over = True

    def visit_Return(self, node: ast.Return | ast.Raise) -> None:
        self.generic_visit(node)
        self._is_over = True

    def visit_Try(self, node: ast.Try | ast.TryStar) -> None:
        ends = [
            *node.finalbody,
            *(each for handler in node.handlers if _takes_a_wait(handler) for each in handler.body),
        ]
        deed = next(filter(self._does, ends), None)
        before = {**self.pending}
        with self._around(deed or node, f"runs {_short_text(deed)} at the end of a try" if deed is not None else ""):
            self._block([*node.body, *node.orelse])
            after, is_over = self.pending, self._is_over
            self.pending = {**before, **after}
            if node.handlers:
                self._branches(*(handler.body for handler in node.handlers))
                is_over, after = is_over and self._is_over, {**after, **self.pending}
        self.pending = after
        self._block(node.finalbody)
        self._is_over = self._is_over or is_over

    def _does(self, statement: ast.stmt) -> bool:
        """Return whether a statement in a node's source may have an effect: it changes an object or calls unknown code.

        Writing to the log and calling methods of `ctx` do not count.
        """
        parts = list(ast.walk(statement))
        values = [self._value(each.func) for each in parts if isinstance(each, ast.Call)]
        sets = any(
            isinstance(each, ast.Attribute | ast.Subscript) and not isinstance(each.ctx, ast.Load) for each in parts
        )
        quiet = ("logging.", "asyncio.", "builtins.print")
        return sets or any(not (each.kind or each.name.startswith(quiet)) for each in values)

    def visit_With(self, node: ast.With | ast.AsyncWith) -> None:
        words = ""
        for item in node.items:
            self.visit(item.context_expr)
            found = self._value(item.context_expr)
            if not found.kind and found.name.removesuffix("()") not in _HARMLESS:
                words = f"leaves the context manager {_short_text(item.context_expr)}"
                if isinstance(node, ast.AsyncWith) and not found.name.startswith("asyncio."):
                    self._act(node, f"enters {_short_text(item.context_expr)}")
            if item.optional_vars is not None:
                self._bind(item.optional_vars, found)
        with self._around(node, words):
            self._block(node.body)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._scope.names[node.name] = _Value(code=node, scope=self._scope)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        """Skip class definitions inside a node's function, because defining a class does not run its methods."""

    def visit_Import(self, node: ast.Import) -> None:
        for each in node.names:
            module = each.name if each.asname else each.name.partition(".")[0]
            owner = sys.modules.get(module, _UNKNOWN)
            self._scope.names[each.asname or module] = _Value("", module, owner)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        module = _Value("", node.module or "", sys.modules.get(node.module or "", _UNKNOWN))
        for each in node.names:
            self._scope.names[each.asname or each.name] = module.attribute(each.name)

    def visit_Assign(self, node: ast.Assign) -> None:
        self.visit(node.value)
        for target in node.targets:
            self._bind(target, self._value(node.value), node.value)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)
            self._bind(node.target, self._value(node.value))

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self.visit(node.value)
        self._bind(node.target, self._value(node.value))

    def _bind(self, target: ast.expr, value: _Value, source: ast.expr | None = None) -> None:
        if isinstance(target, ast.Name):
            self._scope.names[target.id] = value
        elif isinstance(target, ast.Tuple | ast.List):
            parts = source.elts if isinstance(source, ast.Tuple | ast.List) else []
            for number, each in enumerate(target.elts):
                is_split = len(parts) == len(target.elts)
                self._bind(each, self._value(parts[number]) if is_split else value)
        elif isinstance(target, ast.Starred):
            self._bind(target.value, value)

    # --- expressions -------------------------------------------------------------------------------------------------

    def visit_Name(self, node: ast.Name) -> None:
        value = self._scope.names.get(node.id)
        if isinstance(node.ctx, ast.Load) and value is not None and value.kind == "clock" and self.waits > value.since:
            words = f"uses {node.id}, a time from before a wait,"
            self.found[_EarlyAct(self._line(node), words, _ANOTHER, _REPAIR_VALUE)] = self._last

    def visit_Lambda(self, node: ast.Lambda) -> None:
        """Skip a lambda in a node's function until it is called."""

    def visit_ListComp(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp) -> None:
        for part in node.generators:
            self.visit(part.iter)
            if part.is_async and not self._is_known(part.iter):
                self._act(node, f"iterates over {_short_text(part.iter)}")
            self._bind(part.target, self._value(part.iter))
        parts = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        for each in [*(test for part in node.generators for test in part.ifs), *parts] * 2:
            self.visit(each)

    def visit_Await(self, node: ast.Await) -> None:
        before = self.waits
        self.visit(node.value)
        if not self._is_known(node.value):
            self._act(node, f"awaits {_short_text(node.value)}")
            if self.waits > before:  # things that are awaited together start before a wait among them ends the node
                self.found.setdefault([*self.pending][-1], self._last)

    def visit_Call(self, node: ast.Call) -> None:
        func = self._value(node.func)
        self.visit(node.func)
        gathers = _gathers(func)
        arguments = [*node.args, *(each.value for each in node.keywords)]
        for each in arguments * (1 + gathers):  # the action of one argument can come before the wait of another
            self.visit(each)
        if func.kind:
            if func.name in _WAITS:
                self._wait(node, func.name)
            elif func.name.startswith("ctx.") or not self._hands_context(arguments):
                return
        if gathers or self._hands_context(arguments):
            for part in arguments:
                self._read_code(node, self._value(part), ())
            if func.name.endswith(("create_task", "ensure_future")) and not self._is_known(node):
                self._act(node, f"begins {_short_text(node.args[0] if node.args else node)}")
        if isinstance(func.of, type):
            func = func.attribute("__call__")
        if func.code is not None or isinstance(func.owner, FunctionType):
            self._read_code(node, func, node.args, {each.arg: self._value(each.value) for each in node.keywords})
        self._note_deed(node, func)

    def _note_deed(self, node: ast.Call, func: _Value) -> None:
        makes = isinstance(func.owner, type) or (func.owner is _UNKNOWN and func.name.rpartition(".")[2][:1].isupper())
        deed = "" if func.kind or func.code is not None else find_deed(func.name, node, makes=makes)
        if deed == "acts":
            self.deeds.add((self._line(node), f"calls {_short_text(node)}"))
            self._act(node, f"calls {_short_text(node)}")
        elif deed == "value":
            self.pending[_EarlyAct(self._line(node), f"takes {_short_text(node)}", _ANOTHER, _REPAIR_VALUE)] = None

    def _read_code(
        self, node: ast.Call, func: _Value, given: Sequence[ast.expr], named: Mapping[str | None, _Value] | None = None
    ) -> None:
        """Read the source of a function that a node calls, if the node or the user's project defines the function."""
        code, scope, at, offset = func.code, func.scope, self._at, self._offset
        if code is None and isinstance(func.owner, FunctionType) and _is_of_project(func.owner):
            is_async = inspect.iscoroutinefunction(func.owner)
            handed = [*map(self._value, given), *(named or {}).values(), *self._list_wrapped(func).values()]
            if is_async and not any(each.kind == "context" for each in handed):
                return  # the await of the call is reported instead
            source = source_of(func.owner)
            if source is None or not isinstance(source[0], _FUNCTIONS):
                return
            code, scope, self._at = source[0], _Scope(given=_list_globals(func.owner)), self._line(node)
        if code is not None and scope is not None:
            names = [each.arg for each in (*code.args.posonlyargs, *code.args.args)]
            values = [*map(self._value, given)]
            if names[:1] in (["self"], ["cls"]) and len(values) < len(names):
                values.insert(0, self._value(node.func.value if isinstance(node.func, ast.Attribute) else node.func))
            by_name = {str(name): value for name, value in (named or {}).items()}
            bound = {**dict(zip(names, values, strict=False)), **by_name, **self._list_wrapped(func)}
            self.read(code, scope, bound)
        self._at, self._offset = at, offset

    def _list_wrapped(self, func: _Value) -> Mapping[str, _Value]:
        """Return the known arguments of a function that a decorator calls; empty for any other function."""
        return self._given if any(func.owner is each for each in self._wrapped) else {}

    # --- what is known of values -------------------------------------------------------------------------------------

    def _instance(self, annotation: ast.expr | None) -> _Value:
        if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
            try:
                annotation = ast.parse(annotation.value, mode="eval").body
            except SyntaxError:
                return _Value()
        found = self._value(annotation) if annotation is not None else _Value()
        if found.name == "graphengine.runner.context.Context":
            return _Value("context")
        return replace(found, name=f"{found.name}()", owner=_UNKNOWN, of=found.owner) if found.name else _Value()

    def _value(self, node: ast.expr) -> _Value:
        kind = type(node).__name__
        if kind in _OF_PART:
            return self._value(getattr(node, _OF_PART[kind]))
        if kind in _OF_PARTS or isinstance(node, ast.IfExp):
            return self._join(
                [node.body, node.orelse] if isinstance(node, ast.IfExp) else getattr(node, _OF_PARTS[kind])
            )
        if isinstance(node, ast.Name):
            return self._scope.find(node.id)
        if isinstance(node, ast.Attribute):
            return self._attribute(self._value(node.value), node.attr)
        if isinstance(node, ast.Call):
            return self._result(node)
        return _Value(code=node, scope=self._scope) if isinstance(node, ast.Lambda) else _Value()

    def _attribute(self, value: _Value, name: str) -> _Value:
        """Return what is known about an attribute of an object in a node's source.

        If the class belongs to the user's project, an assignment to the attribute in its `__init__` is taken into
        account.
        """
        begin = inspect.getattr_static(value.of, "__init__", None) if isinstance(value.of, type) else None
        source = source_of(begin) if isinstance(begin, FunctionType) and _is_of_project(begin) else None
        found = value.attribute(name)
        if found.owner is not _UNKNOWN or value.kind or source is None or begin is None:
            return found
        reader = _NodeReader(0)
        reader._enter(source[0], _Scope(given=_list_globals(begin)), {})
        assigned = [each for each in ast.walk(source[0]) if isinstance(each, ast.Assign | ast.AnnAssign)]
        targets = [
            (part, each.value)
            for each in assigned
            for part in getattr(each, "targets", [getattr(each, "target", None)])
        ]
        values = [value for part, value in targets if isinstance(part, ast.Attribute) and part.attr == name and value]
        return reader._value(values[0]) if values else found

    def _join(self, nodes: Sequence[ast.expr]) -> _Value:
        """Return what is known about the value of an expression like `a if c else b`, which can be one of several.

        Only what is true of all of these values is returned.
        """
        values = [self._value(each) for each in nodes]
        if all(each.kind in ("ours", "child") for each in values):
            return _Value("child" if any(each.kind == "child" for each in values) else "ours")
        return values[0] if all(each == values[0] for each in values) else _Value()

    def _result(self, node: ast.Call) -> _Value:
        func = self._value(node.func)
        arguments = [*node.args, *(each.value for each in node.keywords)]
        if func.kind == "child" or func.name == "ctx.start":
            return _Value("child")
        if _gathers(func) and not func.kind:
            parts = [each for each in node.args if not isinstance(each, ast.Constant)]
            return self._join(parts[:1] if func.name.endswith("partial") else parts)
        if func.kind or func.code is not None or self._hands_context(arguments):
            return _Value("ours")
        if isinstance(func.owner, type):
            return _Value("", f"{func.name}()", of=func.owner)
        if find_deed(func.name, node, makes=False) == "clock":
            return _Value("clock", since=self.waits)
        return _Value("", f"{func.name}()" if func.name else "")

    def _hands_context(self, given: Sequence[ast.expr]) -> bool:
        """Return whether a call in a node's source passes `ctx` on, so that the called function can record and wait.

        This includes passing a method of `ctx`, or a function that uses `ctx`.
        """
        for each in given:
            value = self._value(each)
            if value.kind == "context" or (value.name.startswith("ctx.") and not isinstance(each, ast.Call)):
                return True
            names = (part.id for part in ast.walk(value.code) if isinstance(part, ast.Name)) if value.code else ()
            if value.scope is not None and any(value.scope.find(name).kind == "context" for name in names):
                return True
        return False

    def _is_known(self, node: ast.expr) -> bool:
        """Return whether the check may ignore that a node's source awaits this expression.

        The expression either is harmless, or awaits code that the check examines separately, such as a function of the
        user's project.
        """
        kind = type(node).__name__
        if kind in _INSIDE or isinstance(node, ast.List | ast.Tuple):
            parts = [getattr(node, _INSIDE[kind])] if kind in _INSIDE else getattr(node, _OF_PARTS[kind])
            return all(map(self._is_known, parts))
        if not isinstance(node, ast.Call):
            return self._value(node).kind in ("ours", "child")
        func = self._value(node.func)
        arguments = [*node.args, *(each.value for each in node.keywords)]
        is_read = func.code is not None or bool(self._list_wrapped(func))
        if func.kind in ("ours", "child") or is_read or self._hands_context(arguments):
            return True
        if _gathers(func):
            return all(map(self._is_known, node.args if func.name.endswith("gather") else node.args[:1]))
        if not (func.name or node.args) and isinstance(node.func, ast.Attribute) and node.func.attr == "wait":
            return True  # the `wait` of an asyncio.Event or of a process
        return func.name.startswith("asyncio.") and find_deed(func.name, node, makes=False) == ""


def _gathers(func: _Value) -> bool:
    """Return whether a function passes its arguments on, as `asyncio.gather` does."""
    root, _, rest = func.name.partition(".")
    name = rest.rpartition(".")[2]
    return (name if root == "builtins" else f"{root}.{name}") in _GATHERS


def _takes_a_wait(handler: ast.ExceptHandler) -> bool:
    """Return whether an `except` clause would catch the exception with which a wait ends the node's function."""
    kinds = [] if handler.type is None else [ast.unparse(each).rpartition(".")[2] for each in _kinds(handler.type)]
    return handler.type is None or bool({*kinds} & {"BaseException", "CancelledError"})


def _kinds(node: ast.expr) -> Sequence[ast.expr]:
    return node.elts if isinstance(node, ast.Tuple) else [node]


def _short_text(node: ast.AST) -> str:
    """Return the source of an expression in short form, for a message: a call is shown as `function(…)`."""
    if isinstance(node, ast.Expr | ast.Await):
        return _short_text(node.value)
    text = f"{ast.unparse(node.func)}(…)" if isinstance(node, ast.Call) else ast.unparse(node)
    return text if len(text) <= _LONGEST and "\n" not in text else f"{text.splitlines()[0][: _LONGEST - 1]}…"


__all__ = ["acts_before_waits", "find_undeclared_acts"]
