"""Binding: it finds the source of each parameter of a runnable, and the target of its result.

All names are resolved once, at compile time, so that a call at run time only has to read values. A name that cannot be
resolved is a problem with a repair. Binding then continues with the name that was probably meant. In this way one error
contains all problems, and mere consequences of another problem are not reported.

A parameter gets its value from the first of these sources that exists:

    an input      `inputs={"text": "draft"}`: a path of the state, or a function of fields (`Reading`)
    a field       with the name of the parameter, or with the root of its path (`draft.title`)
    the runner    `ctx`, `error`, `state`, a resource by its name, or the connection of a transaction by its type
    its default

The state of an inner graph uses only the first two sources, because the nodes of that graph get the values of the
runner themselves. `writes=` decides where a result goes: to a field, to several fields by key or position, through a
function of the result, or nowhere (`Writer`). Types are compared if both sides have one
(`graphengine.compile.type_fit`). Binding accepts everything that mypy and Pyright accept.

Secret fields may be passed to functions and to secret fields of inner graphs. A prompt, a question, a condition, a
title, an item of a map or `result=` would record them unencrypted. Such readings are refused here, and the problem
names the field.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, is_dataclass, replace
from typing import TYPE_CHECKING, Any, get_args, get_origin

from pydantic import BaseModel
from typing_extensions import is_typeddict

from graphengine.compile.type_fit import can_write, fits, is_mapping
from graphengine.engine.plan import Argument, Call, Each, Fallback, Target, Writer
from graphengine.engine.steps import MAX_OPEN
from graphengine.errors import DefinitionError, Problem
from graphengine.graph.definition import UNSET, Choose, Declared, GraphBody, Node, Options, choose
from graphengine.graph.elsewhere import repair_of_returned, shown
from graphengine.graph.foreign import repair_for
from graphengine.graph.question import HOLE, ask, bad_braces
from graphengine.graph.runnable import FunctionBody, HasBody, HasScope, is_async
from graphengine.graph.transaction import handed_as
from graphengine.state.field import type_name
from graphengine.state.injection import NO_DEFAULT, Injected, Parameter
from graphengine.state.path import Path, did_you_mean, is_path, members, nearest, parse, type_at
from graphengine.state.restored import unrecordable
from graphengine.state.schema import with_items
from graphengine.state.selector import Reading

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from graphengine.engine.plan import Plan
    from graphengine.graph.definition import GraphDefinition, Runnable, Writes
    from graphengine.graph.runnable import Body
    from graphengine.state.schema import StateType

_RESERVED = ("ctx", "error", "state", "result", "ending")
_CONCURRENCY = 16
_TEMPLATED = re.compile(r"([A-Za-z_]\w*)\[(.*[{}].*)\]")


@dataclass
class Binder:
    """Decides where the nodes of a graph read their arguments in the state, and where they write their results.

    Problems are collected, so that compiling a graph reports all of them at once.
    """

    state: StateType[Any]
    resources: frozenset[str]
    compile: Callable[[GraphDefinition[Any], str], Plan[Any] | None]
    problems: list[Problem] = field(default_factory=list)
    unknowns: dict[tuple[str, str], list[int]] = field(default_factory=dict)

    def unknown(self, kind: str, name: str, problem: Problem) -> None:
        """Report that a user's declaration contains a name that does not exist.

        Problems about the same name are merged into one problem at the end.

        Args:
            kind: The kind of name: `node`, or `field` for everything that a parameter can name.
            name: The name.
            problem: The problem to report.
        """
        self.unknowns.setdefault((kind, name), []).append(len(self.problems))
        self.problems.append(problem)

    def report(self, code: str, where: str, message: str, repair: str = "", *, warning: bool = False) -> None:
        """Add a problem."""
        self.problems.append(Problem(code, where, message, repair, warning))

    def types_at(self, path: Path, where: str) -> tuple[object, ...]:
        """Return the types of the values that a path such as `input.country` can have in the state.

        If the path does not exist, report this and return ().
        """
        found = self.state.fields.get(path.root)
        if found is None:
            near = did_you_mean(path.root, self.state.fields)
            self._unknown_field(path, where, f"unknown field {path.text!r}", near)
            return ()
        types, hint = type_at(found.info.annotation, path)
        if not types:
            self._unknown_field(path, where, f"unknown field {path.text!r}", hint)
        return types

    def _unknown_field(self, path: Path, where: str, message: str, repair: str) -> None:
        name = path.text if path.root in self.state.fields else path.root
        self.unknown("field", name, Problem("unknown_field", where, message, repair))

    def _unknown_parameter(self, name: str, where: str, message: str, known: Iterable[str]) -> None:
        repair = repair_for(name, "parameter") or did_you_mean(name, known)
        self.unknown("field", _root_of_name(name), Problem("unknown_parameter", where, message, repair))

    def reading(self, source: object, where: str) -> Reading | None:
        """Parse what a user gave as the source of a value: a path into the state, or a function of fields.

        Return None if it has a problem, which is reported.
        """
        try:
            reading = Reading.of(source)  # type: ignore[arg-type]
        except DefinitionError as error:
            self.report("bad_path", where, error.message, error.repair)
            return None
        return self.checked(reading, where)

    def checked(self, reading: Reading, where: str) -> Reading | None:
        """Check that the source of a value fits the state; for example, that its field exists.

        The source is a path into the state or a function of fields. Returns the source, or None if it has a problem,
        which is reported.
        """
        if reading.path is not None:
            return reading if self.types_at(reading.path, where) else None
        if reading.function is not None:
            self.function(reading.function, where)
        return reading

    def open(self, reading: Reading | None, where: str, repair: str = "") -> None:
        """Check that a value which is recorded or passed on unencrypted is not read from a secret field."""
        for name in sorted(reading.roots & self.state.secrets) if reading is not None else ():
            text = f"the field {name!r} is secret, but its value would be stored or shown here in clear text"
            self.report("secret_field", where, text, repair or "read the field only in a node's function")

    def function(self, injected: Injected, where: str, also: Sequence[str] = ()) -> None:
        """Check a function that the engine calls with fields of the state, such as a condition.

        It must not be async, and its parameters must be fields of the state or one of the names in `also`.
        """
        for text in injected.variadic:
            repair = "write one parameter for each field that the function reads"
            self.report("bad_parameter", where, f"{injected.name} has {text}, which names no field", repair)
        if is_async(injected.function):
            repair = "write the function with def, and do the waiting in a node"
            self.report("bad_function", where, f"{injected.name} is async, but is called here without await", repair)
        for parameter in injected.parameters:
            has_source = parameter.name in self.state.fields or parameter.name in (*also, "state")
            if not has_source and parameter.default is NO_DEFAULT:
                text = f"{injected.name} has the parameter {parameter.name!r}, which is not a field of the state"
                if parameter.name == "ctx":
                    repair = "let a node write the value to a field first, such as the time from ctx.now()"
                    self.report("unknown_parameter", where, text, repair)
                    continue
                self._unknown_parameter(parameter.name, where, text, [*also, *self.state.fields])

    def call(self, body: Body, given: Mapping[str, object] | None, where: str) -> Call:
        """Decide where each argument of a node's body comes from: a declared input, or a field of the state."""
        inner = self.compile(body.graph, where) if isinstance(body, GraphBody) else None
        self._report_body(body, where)
        parameters = self._parameters(body, given or {}, where)
        inputs = self._check_inputs(body, parameters, given or {}, where)
        is_graph = body.kind == "graph"
        bound = [
            None if is_graph and _keeps_default(p, given) else self._argument(p, inputs, where, alone=is_graph)
            for p in parameters
        ]
        arguments = [a for a in bound if isinstance(a, Argument)]
        self._keep_secrets(body, arguments, inner, where)
        extras = tuple(name for name in bound if isinstance(name, str))
        handle = next((p.name for p in parameters if p.name in extras and self._is_handle(p)), "")
        fields = [(a.name, a.reading.path.root) for a in arguments if _is_quick(a) and a.reading.path is not None]
        return Call(
            body,
            body.call,
            body.thread,
            tuple(fields),
            tuple(a for a in arguments if not _is_quick(a)),
            tuple(name for name in extras if name != handle),
            self._list_watched(body, arguments, extras),
            tuple(a.name for a in arguments if a.reading.is_part),
            inner,
            handle=handle,
        )

    def _report_body(self, body: Body, where: str) -> None:
        """Report the problems that an agent or another runnable finds in its settings or in the state of its graph."""
        for code, message, repair in body.problems():
            self.report(code, where, message, repair)
        if isinstance(body, HasScope):
            for code, message, repair, is_warning in body.problems_in(self.state.fields, self.resources):
                self.report(code, where, message, repair, warning=is_warning)

    def _parameters(self, body: Body, inputs: Mapping[str, object], where: str) -> Sequence[Parameter]:
        """Return the parameters of what a node runs, whose values the node has to read.

        An agent without a prompt puts all its inputs into the question, so each declared input counts as one of its
        parameters.
        """
        found = list(body.parameters)
        if not getattr(body, "takes_all", False):  # an agent without a prompt has this attribute
            return found
        found += [Parameter(name, shown=True) for name in inputs if name not in {p.name for p in found}]
        if not found:
            repair = "give the agent a prompt, or the node inputs={'task': 'task'}"
            self.report("reads_nothing", where, f"the agent {body.name!r} has neither a prompt nor inputs", repair)
        return found

    def _check_inputs(
        self, body: Body, parameters: Sequence[Parameter], inputs: Mapping[str, object], where: str
    ) -> Mapping[str, object]:
        """Report inputs that the body has no parameter for, and return the inputs with misspelt names corrected.

        The corrected names let the rest of the compilation continue without further errors about them.
        """
        names = {p.name for p in parameters}
        valid = {*names, *(_root_of_name(name) for name in names)}
        for name in [name for name in inputs if name not in valid]:
            what = "field" if body.kind == "graph" else "parameter"
            text = f"inputs= names {name!r}, but {body.name} has no {what} of this name"
            self.report("unknown_input", where, text, did_you_mean(name, names))
            free = [p.name for p in parameters if p.default is NO_DEFAULT and self._source(p.name, inputs) is None]
            meant = nearest(name, free) or next(iter(free), "")
            inputs = {**inputs, meant: inputs[name]} if meant else inputs
        return inputs

    def _keep_secrets(self, body: Body, arguments: Sequence[Argument], inner: Plan[Any] | None, where: str) -> None:
        """Report a secret that a node passes to an agent, a question or a nested graph without protection for it.

        Prompts and questions are recorded and shown unencrypted. A nested graph may receive a secret if it declares the
        field as secret, too.
        """
        if body.kind not in ("agent", "ask", "graph"):
            return
        for argument in arguments:
            if inner is None or argument.name not in inner.state.secrets:
                repair = "declare the field secret in that graph too" if body.kind == "graph" else ""
                self.open(argument.reading, f"{where}, parameter {argument.name}", repair)

    def _is_handle(self, parameter: Parameter) -> bool:
        """Return whether a parameter receives the connection of the database transaction in which the node runs.

        The annotation of the parameter decides this. A parameter with the name of a resource receives the resource
        instead.
        """
        return parameter.name not in self.resources and handed_as(parameter.annotation) is not None

    def _list_watched(self, body: Body, arguments: Sequence[Argument], extras: Sequence[str]) -> tuple[str, ...]:
        if "state" in extras:
            names = set(self.state.model.model_fields)
        else:
            names = {root for a in arguments if not a.reading.is_part for root in a.reading.roots}
        if body.kind in ("pass", "graph"):
            return ()
        return tuple(sorted(n for n in names if n in self.state.fields and not self.state.fields[n].immutable))

    def _argument(  # noqa: PLR0911 - a case a return
        self, parameter: Parameter, inputs: Mapping[str, object], where: str, *, alone: bool
    ) -> Argument | str | None:
        """Return where the value of a parameter comes from.

        The result is an `Argument` if the value is read from the state or from a declared input. It is the parameter's
        own name if the runner provides the value, such as `ctx` or a resource. It is None if the parameter keeps its
        default, or if there is a problem, which is then reported.

        Args:
            parameter: The parameter.
            inputs: The declared inputs of the node.
            where: The place that a reported problem names.
            alone: True for the parameters of a nested graph. They are the fields of the nested graph's state, and only
                the state of the outer graph can provide their values.
        """
        name = parameter.name
        source = self._source(name, inputs)
        if source is not None:
            reading = self.reading(source, f"{where}, parameter {name}")
            if reading is None:
                return None
            self._agrees(parameter, reading, where)
            return Argument(name, reading, not parameter.allows_none and self._may_be_none(reading))
        if not alone and (name in ("ctx", "error", "state") or name in self.resources):
            if name == "state":
                self._is_state(parameter, where)
            return name
        if not alone and self._is_handle(parameter):
            return name
        if alone and parameter.default is not NO_DEFAULT:
            return None
        if parameter.default is not NO_DEFAULT:
            sources = [*self.state.fields, *self.resources]
            near = difflib.get_close_matches(name, sources, n=1, cutoff=0.8)
            if near:
                self.report(
                    "unused_default",
                    where,
                    f"no field or resource is named {name!r}, so this parameter always has its default",
                    f"did you mean {near[0]!r}?",
                    warning=True,
                )
            return None
        if alone:
            repair = f"add inputs={{{name!r}: 'field'}}, or give the field a default"
            text = f"nothing provides the field {name!r}, which the state of the inner graph requires"
            self.report("unknown_parameter", where, text, repair)
            return None
        known_names = [*self.state.fields, *self.resources, "ctx", "state", "error"]
        self._unknown_parameter(name, where, f"no field or resource provides the parameter {name!r}", known_names)
        return None

    def _source(self, name: str, inputs: Mapping[str, object]) -> object:
        """Return from where a parameter is read: its declared input, or else the field of the state with its name.

        The result is None if there is neither a declared input nor a field.
        """
        if name in inputs:
            return inputs[name]
        root = name.split(".", maxsplit=1)[0].split("[", maxsplit=1)[0]
        if root != name and isinstance(inputs.get(root), str):
            return f"{inputs[root]}{name[len(root) :]}"
        if root in self.state.fields or (root != name and root not in inputs):
            return name
        return None

    def _may_be_none(self, reading: Reading) -> bool:
        if reading.path is None or reading.path.parts:
            return True
        info = self.state.fields[reading.path.root].info
        return info.default is None or any(m in (Any, object, None, type(None)) for m in members(info.annotation))

    def _agrees(self, parameter: Parameter, reading: Reading, where: str) -> None:
        if reading.path is None:
            return
        types, _ = type_at(self.state.fields[reading.path.root].info.annotation, reading.path)
        if types and not fits(types, parameter.annotation):
            have = " | ".join(type_name(t) for t in types)
            text = f"parameter {parameter.name!r} has the type {type_name(parameter.annotation)}, but "
            text += f"the value of {reading.text!r} has the type {have}"
            self.report("type_disagrees", where, text, "change the annotation, or read a field of that type")
        if parameter.shown and any(isinstance(t, type) and issubclass(t, (bytes, bytearray)) for t in types):
            repair = "read a field of type str or Media, or add a node before that decodes the bytes"
            self.report("bytes_in_prompt", where, f"{reading.text!r} has the type bytes, but a prompt is text", repair)

    def _is_state(self, parameter: Parameter, where: str) -> None:
        """Report a parameter for the whole state whose type does not fit what the node receives.

        A node receives a dict if the state is a TypedDict, and an instance of the state's class otherwise. A parameter
        that is declared as the other of the two is reported.
        """
        declared = self.state.declared
        wanted = [get_origin(m) or m for m in members(parameter.annotation)]
        kinds = [kind for kind in wanted if isinstance(kind, type)]
        of_keys = [kind for kind in kinds if issubclass(kind, Mapping)]
        of_fields = [kind for kind in kinds if issubclass(kind, BaseModel) or is_dataclass(kind)]
        if wanted and len(of_fields if is_typeddict(declared) else of_keys) == len(wanted):
            gets = "a dict" if is_typeddict(declared) else f"an instance of {declared.__name__}"
            text = f"parameter 'state' is {type_name(parameter.annotation)}, but the node gets {gets}"
            repair = f"annotate it as {declared.__name__}, or read single fields by parameters that have their names"
            self.report("type_disagrees", where, text, repair)

    def body(self, runnable: Runnable | None, options: Options, where: str) -> Body | None:
        """Convert the runnable that the user gave for a node, such as an agent, to the form that the engine runs.

        The result is None if a node cannot run the object, which is reported. A node with `choose` is not handled here.
        """
        if runnable is None:
            return FunctionBody.of(_do_nothing, thread=False, kind="pass")
        is_uncalled = callable(runnable) and getattr(runnable, "__wrapped__", runnable) in (ask, choose)
        if is_uncalled or (isinstance(runnable, type) and isinstance(runnable, HasBody)):
            name = str(getattr(runnable, "__name__", runnable))
            self.report("not_runnable", where, f"{name} was given without being called", f"call it: {name}(…)")
            return None
        if isinstance(runnable, HasBody):
            return runnable.__body__()
        if callable(runnable):
            return FunctionBody.of(runnable, thread=options.thread)
        repair = "give a function, an Agent, a Graph, ask(…) or choose(…)"
        self.report("not_runnable", where, f"{shown(runnable)} cannot be run by a node", repair)
        return None

    def calls(self, declared: Declared, where: str) -> tuple[Call | None, Reading | None, dict[object, Call]]:
        """Return the body that a node runs, or, for a node that chooses, the selector and the body for each choice.

        A body is returned as a `Call`, which knows where its arguments come from.
        """
        runnable, inputs = declared.runnable, declared.options.sources
        if not isinstance(runnable, Choose):
            body = self.body(runnable, declared.options, where)
            return (None if body is None else self._call_on(body, inputs, where, declared.options)), None, {}
        selector = self.reading(runnable.source, where)
        self.open(selector, where)
        choices: dict[object, Call] = {}
        taken: set[str] = set()
        for value, case in runnable.cases.items():
            place = f"{where}, choice {value!r}"
            own: Mapping[str, object] | None = None
            bare: object = case
            if isinstance(case, Node):
                own, bare = case.sources, case.runnable
                if replace(case, inputs=None) != Node(case.runnable):
                    text = "a case of choose(…) can have inputs=, but no other option"
                    self.report("bad_option", place, text, "give the other options to the node")
            body = self.body(bare, declared.options, place)  # type: ignore[arg-type]
            if body is not None:
                wanted = {part for p in body.parameters for part in (p.name, _root_of_name(p.name))}
                taken |= wanted
                choices[value] = self._call_on(body, _inputs_of_case(inputs, own, wanted), place, declared.options)
        for name in sorted(set(inputs or ()) - taken):
            near = did_you_mean(name, taken)
            # otherwise a pattern may pass its cases more inputs than they need
            likely = near.startswith("did you mean")
            text = f"inputs= names {name!r}, but no case of choose(…) has a parameter of this name"
            self.report("unknown_input", where, text, near, warning=not likely)
        return None, selector, choices

    def _call_on(self, body: Body, given: Mapping[str, object] | None, where: str, options: Options) -> Call:
        """Decide where the arguments of a node's function, agent or graph come from, and record the node's executor.

        The executor, `on=`, runs only functions. An executor for anything else is reported.
        """
        call = self.call(body, given, where)
        if options.on is None:
            return call
        if body.kind != "function":
            text = f"on={options.on!r} applies only to functions, but {body.name} is not a function"
            self.report("bad_option", where, text, "call it from a node without on=")
        return replace(call, on=options.on)

    def each(self, options: Options, where: str) -> Each | None:
        """Read the option `each=` of a node, which names the lists whose items the node processes one by one."""
        if options.each is None:
            return None
        sources: list[tuple[str, Reading, str]] = []
        items: dict[str, object] = {}
        for name, source in options.each.items():
            clash = self._clash(name)
            if clash:
                text = f"an item cannot be named {name!r}, because this is {clash}"
                self.report("name_clash", f"{where}, each", text, "give the item another name")
                continue
            reading = self.reading(source, f"{where}, each {name}")
            self.open(reading, f"{where}, each {name}")
            if reading is None:
                continue
            whole = reading.path.root if reading.path is not None and not reading.path.parts else ""
            sources.append((name, reading, whole))
            items[name] = self._item_type(name, reading, where)
        if len(sources) < len(options.each):
            return None
        lost = [(name, unrecordable(kind)) for name, kind in items.items()]
        for name, kind in lost:
            if kind:
                text = f"{kind} cannot be read back from JSON"
                self.report("not_recordable", f"{where}, each {name}", text, "use another type")
        state = with_items(self.state, items)
        at_a_time = options.concurrency or _CONCURRENCY
        most = options.max_open or max(MAX_OPEN, at_a_time)
        return Each(tuple(sources), state, at_a_time, most, options.on_item_error == "keep")

    @staticmethod
    def unread(each: Each, read: Collection[str]) -> Sequence[str]:
        """Return the names of map items that no argument reads, which is probably a mistake."""
        return [name for name, _, _ in each.sources if name not in read]

    def _clash(self, name: str) -> str:
        """Return why this name cannot be the name of a map item, such as "a field of the state"; "" if it can."""
        if not name.isidentifier():
            return "not an identifier"
        if name in self.state.fields:
            return "a field of the state"
        if name in self.resources:
            return "a resource"
        return "a reserved name" if name in _RESERVED else ""

    def _item_type(self, name: str, reading: Reading, where: str) -> object:
        """Return the type of one item of the list that `each=` names, and report a source that is not a list.

        If the items may have several types, or if the type is not known, the result is Any.
        """
        kinds = [kind for kind in self.state.types_read(reading) if kind is not type(None) and kind is not None]
        items = [_item_of(kind) for kind in kinds]
        found = [item for item in items if item is not None]
        if kinds and not found:
            have = " | ".join(type_name(kind) for kind in kinds)
            repair = "name a list, or give a function of fields that returns one"
            text = f"{reading.text!r} has the type {have}, but each= needs a list"
            self.report("bad_each", f"{where}, each {name}", text, repair)
        return found[0] if len(found) == 1 else Any

    def fallback(self, options: Options, where: str) -> Fallback | None:
        """Decide where the arguments of a node's fallback function come from, or check its fallback value.

        The fallback (`fallback=`) is used when the node fails. The result is None if the node has none, or if the
        fallback has a problem, which is reported.
        """
        if options.fallback is UNSET:
            return None
        given = options.fallback
        if isinstance(given, HasBody) and given.__body__().kind == "agent":
            if getattr(given.__body__(), "messages", ""):
                text = (
                    f"the fallback {given.__body__().name!r} has messages=, but a fallback's messages are not recorded"
                )
                self.report("bad_messages", f"{where}, fallback", text, "remove messages=: agent.but(messages='')")
            return Fallback(call=self.call(given.__body__(), None, f"{where}, fallback"))
        if isinstance(given, (HasBody, Node, Choose)):
            text = f"{type(given).__name__}(…) cannot be a fallback"
            self.report(
                "bad_option", where, text, "give a value, a function or an Agent; for a graph, a failed(…) edge"
            )
            return None
        if not callable(given):
            return Fallback(given)
        body = FunctionBody.of(given, thread=options.thread)
        if isinstance(given, type):
            sources = {*self.state.fields, *self.resources, "ctx", "error", "state"}
            missing = [p.name for p in body.parameters if p.default is NO_DEFAULT and p.name not in sources]
            if missing:
                text = f"the class {given.__name__} is called as a function, but nothing provides {', '.join(missing)}"
                repair = f"give an object: fallback={given.__name__}({', '.join(f'{n}=…' for n in missing)})"
                self.report("bad_option", f"{where}, fallback", text, repair)
                return None
        return Fallback(call=self.call(body, None, f"{where}, fallback"))

    def substitute(self, value: object, writer: Writer, where: str, *, each: bool) -> None:
        """Check that the fixed value in `fallback=` fits the fields to which the node writes.

        The value replaces the result of the node when the node fails.
        """
        found = [(target.field, value) for target in writer.whole if target.key is None]
        if writer.keys is not None and isinstance(value, Mapping):
            found += [(name, part) for name, part in value.items() if name in writer.keys]
            for name in value.keys() - writer.keys:
                near = did_you_mean(str(name), writer.keys)
                text = f"the fallback has the key {name!r}, which is not a field that the node writes"
                self.report("unknown_field", where, text, near)
        for name, part in found:
            field = self.state.fields.get(name)
            wrong = field.mismatch(part, in_map=each) if field is not None else None
            if wrong is not None:
                text = f"the fallback's value does not fit: {wrong.message}"
                self.report("type_disagrees", where, text, wrong.repair)

    def writer(self, writes: Writes | None, where: str, calls: Sequence[Call], each: Each | None = None) -> Writer:
        """Decide to which fields of the state the result of a node is written, and check that they can hold it.

        For a mapped node, this concerns the result of each item.
        """
        writer = self._writer(writes, where, calls, each=each is not None)
        asks = any(call.body.kind == "ask" for call in calls)
        keyed = {target.field for target, _ in writer.parts if target.key is not None}
        for name in sorted(writer.fields & self.state.secrets if writes is not None else ()):
            if each is not None or asks or name in keyed:
                what = "an answer" if asks else "a single key or item"
                text = f"the field {name!r} is secret, but {what} is recorded unencrypted"
                self.report("secret_field", where, text, "write the secret as the whole result of a function")
        if each is not None:
            for name in sorted(writer.fields if writes is not None else ()):
                self._takes_items(name, writer, where, each.sources[0][0])
        messages, also = (
            self._messages(where, calls, each=each is not None),
            self._also(where, calls, each=each is not None),
        )
        return replace(writer, messages=messages, also=also) if messages is not None or also else writer

    def _also(self, where: str, calls: Sequence[Call], *, each: bool) -> frozenset[str]:
        """Return the fields that the tools of a node's agents write, in addition to the fields of the node's result.

        Problems with these fields are reported.
        """
        found: set[str] = set()
        for tool, name, kind in [part for call in calls for part in getattr(call.body, "also_writes", ())]:
            place = f"{where}, {tool}"
            self._takes(kind, tool, self.target(name, place), place)
            field = self.state.fields.get(name)
            found |= {name} if field is not None else set()
            if field is not None and field.secret:
                text = f"the field {name!r} is secret, but a tool's value is recorded unencrypted"
                self.report("secret_field", place, text, "write the secret as the whole result of a function")
            if field is not None and each and field.reducer is None:
                text = f"all items write {name!r} by this tool, so the value of one item would be lost to the next"
                self.report("bad_each", place, text, f"give the field {name!r} a reducer")
        return frozenset(found)

    def _messages(self, where: str, calls: Sequence[Call], *, each: bool) -> Target | None:
        """Return the field of the state in which the conversation of a node's agent is stored (`messages=`).

        The result also says whether new messages are appended, which the field must allow. It is None if no field is
        named.
        """
        names = sorted({name for call in calls if (name := getattr(call.body, "messages", ""))})
        if len(names) > 1:
            text = f"the agents of this node keep their messages in different fields: {' and '.join(names)}"
            self.report("bad_messages", where, text, "give the agents of one node the same field")
        if not names or any(code == "bad_path" for call in calls for code, *_ in call.body.problems()):
            return None
        target = self.target(names[0], f"{where}, messages")
        found = self.state.fields.get(target.field)
        if found is None:
            return None
        kinds = list(members(found.info.annotation))
        if target.key is not None:
            kinds = [item for kind in kinds if get_args(kind) for item in members(get_args(kind)[-1])]
        messages = getattr(calls[0].body, "message_type", Any)
        if not any(_item_of(kind) in (messages, Any) for kind in kinds):
            wanted = "dict[str, list[Message]]" if target.key is not None else "Annotated[list[Message], extend]"
            text = f"messages={names[0]!r} names a field of type {type_name(found.info.annotation)}, not of messages"
            self.report("bad_messages", where, text, f"change the type of the field to {wanted}")
        adds = found.operation == "extend" if target.key is None else found.grows
        if found.operation == "append" or (each and not adds):
            text = f"messages={names[0]!r} gets several messages at once, which the field cannot append"
            plain = "make the field dict[str, list[Message]], without constraints on the dict or its lists"
            self.report(
                "bad_messages", where, text, plain if target.key is not None else "give the field the reducer extend"
            )
        if found.secret and (each or target.key is not None):
            text = f"the field {target.field!r} is secret, but a single key or item is recorded unencrypted"
            self.report("secret_field", where, text, "use a separate field, written as a whole, for the messages")
        return replace(target, adds=adds)

    def _takes_items(self, name: str, writer: Writer, where: str, item: str) -> None:
        """Check that a field can hold the list of results that a mapped node writes, one result for each map item.

        A field with a reducer is not checked, because the reducer combines the results. If the node writes keys of a
        dict field instead, check that the key differs from item to item, as in `totals[{item.name}]`.
        """
        found = self.state.fields.get(name)
        keys = [target for target, _ in writer.parts if target.field == name and target.key is not None]
        for target in keys:
            if not target.pieces:
                text = f"all items would write the same key {name}[{target.key}], so that each replaces the one before"
                self.report("bad_each", where, text, f"put the item in the key: writes='{name}[{{{item}}}]'")
        if found is None or found.reducer is not None or keys:
            return
        if all(_item_of(m) is None for m in members(found.info.annotation)):
            kind = type_name(found.info.annotation)
            text = f"the field {name!r} gets the list of the items' results, but has the type {kind}"
            if is_mapping(found.info.annotation):
                repair = f"write one key per item, '{name}[{{{item}}}]', or make the field a list"
            else:
                repair = "write to a list field, or give the field a reducer"
            self.report("bad_each", where, text, repair)

    def _writer(self, writes: Writes | None, where: str, calls: Sequence[Call], *, each: bool) -> Writer:
        if isinstance(writes, str):
            target = self.target(writes, where)
            for call in calls:
                self._returns(call, target, where, each=each)
            return Writer(((target, None),))
        if writes is None:
            for call in calls:
                self._check_keyed_result(call, where)
            return Writer(keys=frozenset(self.state.fields))
        if isinstance(writes, Mapping):
            parts = [(self.target(t, where), self._result_part(s, where, calls)) for t, s in writes.items()]
            return Writer(tuple(parts))
        for name in writes:
            self.target(name, where)
        for call in calls:
            self._check_named_result(call, list(writes), where)
        return Writer(keys=frozenset(writes))

    def _check_named_result(self, call: Call, names: Sequence[str], where: str) -> None:
        """Check that a node which writes a list of fields (`writes=["a", "b"]`) returns a mapping of these fields.

        A tuple cannot be split into fields, because its values have positions but no names.
        """
        returns = call.body.returns
        if not names or call.body.kind in ("graph", "pass") or any(map(_has_keys, members(returns))):
            return
        text = f"{call.body.name} returns {type_name(returns)}, but writes={names} needs a mapping of these fields"
        shown = ", ".join(f"{name!r}: …" for name in names)
        is_tuple = any((get_origin(kind) or kind) is tuple for kind in members(returns))
        places = ", ".join(f"{name!r}: lambda result: result[{at}]" for at, name in enumerate(names))
        repair = f"return {{{shown}}}" + (f", or take its places: writes={{{places}}}" if is_tuple else "")
        self.report("no_writes", where, text, repair if is_tuple or len(names) > 1 else f"writes={names[0]!r}")

    def _check_keyed_result(self, call: Call, where: str) -> None:
        """Check that the result of a node is a mapping, because its keys must be the names of the fields to write.

        This is so for a node without `writes=`.
        """
        kinds = members(call.body.returns)
        if isinstance(call.body, GraphBody) and call.body.graph.result is None:
            text = f"the graph {call.body.name!r} returns its whole state, but nothing maps it to fields of this graph"
            repair = "give the node writes={'field': 'field of its state'}, or the graph result='field'"
            self.report("no_writes", where, text, repair)
            return
        if kinds == (self.state.declared,) and any(f.reducer is not None for f in self.state.fields.values()):
            text = f"{call.body.name} returns the whole state, so reducers would add each list to itself"
            self.report("returns_state", where, text, "return only the changes: a mapping of fields", warning=True)
        if not any(_has_keys(kind) for kind in kinds):
            text = f"{call.body.name} returns {type_name(call.body.returns)}, but no field is named for the result"
            ours = "give the node writes='field', or return a mapping of fields"
            named = [getattr(get_origin(kind) or kind, "__name__", "") for kind in kinds]
            repair = next(filter(None, map(repair_of_returned, named)), ours)
            self.report("no_writes", where, text, repair)

    def target(self, text: str, where: str) -> Target:
        """Parse the target of a write, such as `total` for a field or `totals[eu]` for one key of a dict field.

        A target with a problem is reported.
        """
        templated = _TEMPLATED.fullmatch(text)
        if templated is not None:
            return self._find_templated_target(templated.group(1), templated.group(2), where)
        try:
            path = parse(text)
        except DefinitionError as error:
            self.report("bad_path", where, f"writes {text!r}, which is not a path", error.repair)
            return Target(text)
        found = self.state.fields.get(path.root)
        if found is None:
            near = did_you_mean(path.root, self.state.fields)
            self._unknown_field(path, where, f"writes unknown field {path.root!r}", near)
        if found is None or not path.parts:
            return Target(path.root)
        kind, key = path.parts[0]
        if len(path.parts) > 1 or kind != "item":
            message = f"writes {text!r}, but a node can write only a whole field or one key of a dict"
            whole = f"write {path.root!r} and return all of it: {path.root}.model_copy(update={{{key!r}: …}})"
            of_dict = len(path.parts) == 1 and is_mapping(found.info.annotation)
            self.report("bad_write", where, message, f"write '{path.root}[{key}]'" if of_dict else whole)
        elif not is_mapping(found.info.annotation):
            message = f"writes {text!r}, but the field {path.root!r} is not a dict"
            self.report("bad_write", where, message, "declare the field as dict[str, …]")
        return Target(path.root, str(key))

    def _find_templated_target(self, name: str, key: str, where: str) -> Target:
        """Parse the target of a write whose key is a template, such as `results[{item.name}]`.

        The parts in braces are paths into the state or the map item. They are replaced by the values when the node
        writes.
        """
        self.target(f"{name}[key]", where)
        place = f"{where}, writes {name}[{key}]"
        for fault, repair in bad_braces(key):
            self.report("bad_path", place, f"the key {fault}", repair)
        pieces: list[str | Reading] = []
        end = 0
        for match in HOLE.finditer(key):
            pieces.append(key[end : match.start()])
            end, hole = match.end(), match.group(1)
            reading = self.reading(hole.strip(), place) if hole is not None and is_path(hole.strip()) else None
            self.open(reading, place)
            pieces.append(reading if reading is not None else match.group()[0])
        return Target(name, key, tuple(piece for piece in (*pieces, key[end:]) if piece != ""))

    def _result_part(self, source: object, where: str, calls: Sequence[Call]) -> Reading | Injected | None:
        if source == ".":
            return None
        if callable(source):
            injected = Injected.of(source)
            ends = any(call.body.kind == "graph" for call in calls)
            self.function(injected, where, also=("result", "ending") if ends else ("result",))
            return injected
        try:
            path = parse(source)  # type: ignore[arg-type]
        except (DefinitionError, TypeError):
            text = f"{source!r} does not name a part of the node's result"
            self.report("bad_write", where, text, "give a path, '.' for the whole result, or a function of result")
            return None
        inside = Path(f"result.{path.text}", "result", (("name", path.root), *path.parts))
        for call in calls:
            types, hint = type_at(call.body.returns, inside)
            if not types and call.body.returns not in (Any, object):
                text = f"takes {path.text!r} from the result of {call.body.name}, which has no such part"
                near = hint.replace("'result.", "'") if hint.startswith("did you mean") else ""
                whole = f"write '.' for the whole result, which is {type_name(call.body.returns)}"
                self.report("unknown_field", where, text, near or whole)
        return Reading(path.text, Path(path.text, path.root, inside.parts), None)

    def _returns(self, call: Call, target: Target, where: str, *, each: bool = False) -> None:
        if call.body.kind == "pass":
            text = "writes= is given, but a node without a runnable has no result"
            self.report("bad_write", where, text, "remove writes=")
        elif call.body.kind != "graph" or call.graph is not None:
            self._takes(call.body.returns, call.body.name, target, where, each=each)

    def _takes(self, returns: object, name: str, target: Target, where: str, *, each: bool = False) -> None:
        """Check that a field accepts the type of value that a node writes to it."""
        found = self.state.fields.get(target.field)
        if found is None or returns in (Any, object):
            return
        annotation = found.info.annotation
        if found.operation == "append" or target.key is not None:
            items = [get_args(m)[-1] if get_args(m) else Any for m in members(annotation)]
            annotation = items[0] if len(items) == 1 else Any
        elif each and found.reducer is None:
            items = [item for m in members(annotation) if (item := _item_of(m)) is not None]
            annotation = items[0] if len(items) == 1 else Any
        elif found.reducer is not None and found.operation is None:
            return
        if not can_write(returns, annotation, found.info.annotation):
            message = f"{name} returns {type_name(returns)}, but the field {target.field!r} takes "
            repair = "write the result to a field of its type"
            if members(returns) in ((None,), (type(None),)):
                message = f"{name} returns None, but the field {target.field!r} takes "
                repair = "return the value; a node that returns None writes nothing, and needs no writes="
            if found.operation == "append":
                repair = f"the reducer append adds one item: return one {type_name(annotation)}, or use extend"
            self.report("type_disagrees", where, message + type_name(annotation), repair)


def _inputs_of_case(
    inputs: Mapping[str, object] | None, own: Mapping[str, object] | None, wanted: Collection[str]
) -> Mapping[str, object] | None:
    """Merge the inputs that a node declares with the `inputs=` of one of its choices, for a node with `choose`.

    Such a node selects one of several bodies in each visit. Inputs of the choice take precedence. Only the names in
    `wanted` are kept. If none are left, the result is None, unless the node or the choice explicitly declares that
    there are no inputs (`inputs={}`).
    """
    found = {name: source for name, source in {**(inputs or {}), **(own or {})}.items() if name in wanted}
    is_empty = any(declared is not None and not declared for declared in (inputs, own))
    return found if found or is_empty else None


def _keeps_default(parameter: Parameter, given: Mapping[str, object] | None) -> bool:
    """Return whether a field of a subgraph keeps its default, because the node's inputs do not set it."""
    return given is not None and parameter.name not in given and parameter.default is not NO_DEFAULT


def _is_quick(argument: Argument) -> bool:
    path = argument.reading.path
    return path is not None and not path.parts and not argument.required


def _item_of(kind: object) -> object | None:
    """Return the type of the items of a list type: `int` for `list[int]`, and Any for a plain `list`.

    Return None if the type is not a list. Other sequences count as lists, but str and bytes do not.
    """
    if kind is Any or kind is object:
        return Any
    origin = get_origin(kind) or kind
    if not (isinstance(origin, type) and issubclass(origin, Sequence)) or issubclass(origin, (str, bytes)):
        return None
    arguments = [argument for argument in get_args(kind) if argument is not Ellipsis]
    return arguments[0] if len(arguments) == 1 else Any


def _root_of_name(name: str) -> str:
    return name.split(".", maxsplit=1)[0].split("[", maxsplit=1)[0]


def _has_keys(kind: object) -> bool:
    origin = get_origin(kind) or kind
    if origin in (Any, object, None, type(None)) or not isinstance(origin, type):
        return True
    return issubclass(origin, (Mapping, BaseModel)) or is_dataclass(origin)


def _do_nothing() -> None:
    """Stand in for the body of a node that runs nothing."""
