"""Rules that import-linter cannot check: no impure calls in the engine, no circles, one place for what has one place.

Runs move only by `Session.commit`; costs are summed by the functions that know of unknown ones; annotations are read by
those that know which cannot be evaluated.

The contracts in pyproject.toml keep impure modules out of graphengine/engine. `datetime` and `uuid` stay
allowed, since values of their types pass through, and `open` needs no import; so the calls are searched for.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import grimp
import networkx as nx
import pytest

from graphengine.wings import BUILT_IN
from tests.kit.syntax import walked
from tests.test_wings import core

CORE = Path(__file__).resolve().parent.parent / "graphengine" / "engine"
FILES = sorted(path.relative_to(CORE).as_posix() for path in CORE.rglob("*.py"))
IMPURE_METHODS = {"now", "utcnow", "today", "uuid1", "uuid4"}
IMPURE_FUNCTIONS = {"open", "print", "input", "uuid1", "uuid4"}


def impure_calls(source: str) -> Iterator[str]:
    """Yield each call in `source` to a clock, to randomness or to the outside world, with its line."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(func=ast.Attribute(attr=name)) if name in IMPURE_METHODS:
                yield f"{name} (line {node.lineno})"
            case ast.Call(func=ast.Name(id=name)) if name in IMPURE_FUNCTIONS:
                yield f"{name} (line {node.lineno})"


@pytest.mark.parametrize("name", FILES)
def test_the_core_depends_on_its_arguments_alone(name: str) -> None:
    """No file of the engine calls a clock, randomness, or a built-in function that reads or writes."""
    assert list(impure_calls((CORE / name).read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import datetime\nat = datetime.datetime.now(datetime.UTC)", ["now (line 2)"]),
        ("text = open('x').read()", ["open (line 1)"]),
        ("at = event.started_at\nnow = at", []),
    ],
    ids=["a clock", "a file", "a time that an event brought"],
)
def test_an_impure_call_is_found_with_its_line(source: str, found: list[str]) -> None:
    """The search names the call and its line, and ignores times that events bring."""
    assert list(impure_calls(source)) == found


ONE_DOOR = {
    "decide": {"engine/session.py"},  # the only door
    "evolve": {
        "serve/branching.py",  # to show what a branch would change, which is not recorded
        "testing/stage.py",  # puts a run that was never recorded before a node
    },
    "fold": {"runner/cached_snapshots.py", "runner/run.py"},  # the steps that another process recorded since
}
"""The modules that can import these. Packages that read logs fold freely."""
READERS = ("databases", "engine", "history", "records", "stores")


def test_only_the_session_moves_a_run() -> None:
    """`Session.commit` alone decides an event and folds the step that it made."""
    package, callers = CORE.parent, {name: set[str]() for name in ONE_DOOR}
    for path in sorted(package.rglob("*.py")):
        place, text = path.relative_to(package), path.read_text("utf-8")
        if not any(name in text for name in ONE_DOOR):
            continue
        names = {node.name for node in ast.walk(ast.parse(text)) if isinstance(node, ast.alias)}
        for name in names & {*ONE_DOOR}:
            if name == "decide" or place.parts[0] not in READERS:
                callers[name].add(place.as_posix())
    assert callers == ONE_DOOR


PARTS = {
    "engine.rules": "the engine dispatches events to the rules, which move frames with the functions of the engine",
}
"""The packages that import the package around them and are imported by it, and why."""


def test_no_circle_of_imports_has_more_than_two_files() -> None:
    """Imports inside functions and for types count too; two packages next to each other never import each other.

    Nor do a package and one inside it, except those in `PARTS`.
    """
    found = grimp.build_graph("graphengine")
    imports = found.find_modules_directly_imported_by
    files: nx.DiGraph[str] = nx.DiGraph([(one, other) for one in found.modules for other in imports(one)])
    assert [sorted(circle) for circle in nx.strongly_connected_components(files) if len(circle) > 2] == []
    ends = [(one.split(".")[1], other.split(".")[1]) for one, other in files.edges if "." in one and "." in other]
    packages: nx.DiGraph[str] = nx.DiGraph([(one, other) for one, other in ends if one != other])
    assert [sorted(circle) for circle in nx.strongly_connected_components(packages) if len(circle) > 1] == []
    folders = {".".join(path.relative_to(CORE.parents[1]).parent.parts) for path in CORE.parent.rglob("__init__.py")}
    homes = {module: module if module in folders else module.rpartition(".")[0] for module in found.modules}
    inward = {(homes[one], homes[other]) for one, other in files.edges if homes[other].startswith(f"{homes[one]}.")}
    outward = {(homes[other], homes[one]) for one, other in files.edges}
    assert {part.partition(".")[2] for whole, part in inward & outward if whole != "graphengine"} == {*PARTS}


FRAME = {"addresses", "api", "cli", "databases", "doors", "output_file", "records", "serve", "wings"}
"""The packages besides the core that are no wings, or go through what all wings say of themselves."""
NAMED = {
    "api.graph": ("agents checks render", "its methods of(), chat(), compile() and render() do what these packages do"),
    "api.runner": ("agents executors migration render telemetry worker", "its arguments say what it makes of them"),
    "cli.driving": ("agents telemetry", "`--model`: agents without a model are named before a worker begins; `--otel`"),
    "cli.inputs": ("agents media", "an input can be a file or a page, which become sources of agents"),
    "cli.models": ("agents models", "`--model`"),
    "cli.observing": ("telemetry", "`--otel`"),
    "cli.progress": ("agents", "the text of agents is shown while it is written"),
    "cli.proof_process": ("testing", "the process in which a command of a wing runs the code of one version"),
    "cli.report": ("agents models", "a run that lacks a model is told how to get one"),
    "cli.show": ("agents", "the calls of agents are shown with their prompts and answers"),
    "serve.approvers": ("agents", "who approved a call of a tool is asked of its agent"),
    "serve.health": ("worker", "a service that drives runs is as well as its worker"),
    "serve.read_documents": ("render", "where a run stands is a word of its picture"),
    "serve.requests": ("render", "how a graph is drawn is asked by the words of pictures"),
    "serve.service.app": ("worker", "a service drives runs as a worker does"),
    "serve.service.following": ("agents", "turns of a chat, for the doors of front ends"),
    "serve.service.front_end": ("agents models", "turns of a chat, for the doors of front ends"),
    "serve.service.server": ("models telemetry worker", "a service drives runs as a worker does, by its arguments"),
    "serve.service.shown": ("agents models", "turns of a chat, for the doors of front ends"),
    "serve.service.text_places": ("agents models", "the field of a text: chats and conversations have their own"),
    "serve.service.turns": ("agents media", "turns of a chat, for the doors of front ends"),
}
"""The modules of the frame that name wings, and why; this list only shrinks."""


def test_the_frame_names_no_wing() -> None:
    """Commands, schemas, options, settings and doors come from `Wing` objects: none is added by an edit of the frame.

    What a wing of ours names as its own, the inspector, and the reads, which draw runs, import what they need.
    """
    package = CORE.parent
    parts = [
        part for wing in BUILT_IN for part in (wing.settings, wing.extension, wing.events, wing.questions, wing.tables)
    ]
    parts += [part for wing in BUILT_IN for each in wing.commands.values() for part in (each.load, each.documents)]
    own = {part.partition(":")[0] for part in (*parts, *(door.module for wing in BUILT_IN for door in wing.doors))}
    named = dict[str, str]()
    for path in sorted(file for folder in ("api", "cli", "serve") for file in (package / folder).rglob("*.py")):
        module = ".".join(path.relative_to(package).with_suffix("").parts)
        if f"graphengine.{module}" in own or module.startswith(("serve.inspector", "serve.reads")):
            continue
        nodes = [node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.ImportFrom)]
        found = {(node.module or "").split(".")[1] for node in nodes if (node.module or "").startswith("graphengine.")}
        if wings := found - core() - FRAME - {"kernel"}:
            named[module] = " ".join(sorted(wings))
    assert named == {module: wings for module, (wings, _) in NAMED.items()}


ASKS = {"signature", "get_type_hints", "get_annotations", "__annotations__", "TypeAliasType", "__value__"}
MODULES = {"annotationlib", "inspect", "typing", "typing_extensions"}
ASK_THEMSELVES = {
    "graphengine/agents/arguments.py": "gives a function that it has made its annotations",
    "graphengine/agents/runs.py": "gives a class that it makes its annotations",
    "graphengine/doors.py": "of our own functions",
    "graphengine/state/declared.py": "a state is refused if a type in it cannot be evaluated, with the reason",
    "graphengine/state/encoded.py": "a type with a name that cannot be evaluated is read by pydantic",
    "graphengine/state/hints.py": "this is the place, also for aliases, which are of one class or of two",
    "graphengine/stores/base.py": "of our own keys",
}
"""The files that ask Python for annotations themselves. All others call `signature_of`, `hints_of` and `unaliased`."""


def asked(source: str) -> set[str]:
    """Return what a file asks Python for annotations with."""
    found = set[str]()
    for node in walked(source, ASKS):
        match node:
            case ast.Attribute(value=ast.Name(id=module), attr=name) if module in MODULES:
                found |= {name} & ASKS
            case ast.Attribute(attr=name) | ast.Constant(value=str(name)) if name in {"__annotations__", "__value__"}:
                found.add(name)
            case ast.ImportFrom(module=str(module), names=names) if module in MODULES:
                found |= {each.name for each in names} & ASKS
    return found


def test_annotations_of_users_are_evaluated_in_one_place() -> None:
    """What cannot be evaluated is unknown, and an alias is its value, whatever modules of a release do with them."""
    root = CORE.parents[1]
    folders = ("graphengine", "graphs", "nodes", "recipes", "scripts")
    files = [path for folder in folders for path in (root / folder).rglob("*.py")]
    found = {path.relative_to(root).as_posix() for path in files if asked(path.read_text("utf-8"))}
    assert found == {*ASK_THEMSELVES}
    assert asked("from inspect import signature\nx = typing.get_type_hints(y)\ngetattr(z, '__annotations__')") == {
        "signature",
        "get_type_hints",
        "__annotations__",
    }


COSTS = {"cost_usd", "priced_usd", "spent_usd", "most_usd"}
SUMS_OF_COSTS = {
    "records/trends.py": "the known part of many runs, beside of how many it is unknown",
    "serve/reads/today.py": "the known part of many runs of one day, beside of how many it is unknown",
    "testing/evaluation/what_if.py": "the known part, for what is left of a budget",
}
"""The files that add or subtract costs themselves. All others call `add_usage`, `spent_since` or `sum_of`."""


def is_cost(node: ast.AST) -> bool:
    """Return whether an expression is a cost, or another value where there is none."""
    match node:
        case ast.Attribute(attr=name) | ast.Subscript(slice=ast.Constant(value=str(name))):
            return name in COSTS
        case ast.Call(func=ast.Attribute(attr="get"), args=[ast.Constant(value=str(name)), *_]):
            return name in COSTS
        case ast.BoolOp(values=[first, *_]):
            return is_cost(first)
    return False


def sums_of_costs(source: str) -> Iterator[int]:
    """Yield the line of each sum or difference of costs."""
    for node in walked(source, COSTS):
        match node:
            case ast.BinOp(left=one, op=ast.Add() | ast.Sub(), right=other) | ast.AugAssign(target=one, value=other):
                parts: list[ast.AST] = [one, other]
            case ast.Call(func=ast.Name(id="sum") | ast.Attribute(attr="fsum"), args=[ast.GeneratorExp(elt=each), *_]):
                parts = [each]
            case _:
                continue
        if any(map(is_cost, parts)):
            yield node.lineno


def test_costs_are_summed_in_one_place() -> None:
    """One unknown cost makes a sum unknown, never less: so there is one function for each kind of sum."""
    package = CORE.parent
    found = {path: [*sums_of_costs(path.read_text("utf-8"))] for path in package.rglob("*.py")}
    assert {path.relative_to(package).as_posix() for path, lines in found.items() if lines} == {*SUMS_OF_COSTS}
    assert [*sums_of_costs("a = sum(x.cost_usd or 0.0 for x in y)\nb = u['cost_usd'] - v\nc = f(1) + u.calls")] == [
        1,
        2,
    ]


SENDS = {
    "agents/chats.py": "`runner.run(agent, chat=…)`, whose first message begins the run, in one transaction",
    "serve/callers_runner.py": "`POST /runs/RUN/messages` and the page, by the key of the request",
    "serve/service/following.py": "`say`, of all doors",
}
"""The files that send messages of people and clients to runs, which an inbox takes once for each key."""


def test_messages_are_delivered_once_by_the_keys_of_inboxes() -> None:
    """Each call has a key: what is sent again is known by it, in whichever process."""
    package, found = CORE.parent, dict[str, list[bool]]()
    for path in (file for folder in ("agents", "serve") for file in sorted((package / folder).rglob("*.py"))):
        for node in walked(path.read_text("utf-8"), {"send"}):
            match node:
                case ast.Call(
                    func=ast.Attribute(attr="send" | "send_alone" | "start_or_send", value=by), keywords=given
                ):
                    if ast.unparse(by).endswith("runner"):
                        has_key = any(each.arg in ("idempotency_key", "key") for each in given)
                        found.setdefault(path.relative_to(package).as_posix(), []).append(has_key)
    assert found.keys() == {*SENDS}
    assert all(all(keys) for keys in found.values())
