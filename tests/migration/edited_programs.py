"""Programs whose nodes do recorded work, as source text, and edits of that text.

A program is a small graph. Each of its nodes does up to five pieces of recorded work: calls, child runs, questions,
sleeps, conversations of an agent, one after another or at once. `source_of` writes a program as the text of a module.
An edit is what a deployment changes in that text:

- The edits in `KEEPING` keep the meaning: a keyword in place of a position, a written-out default, a new parameter or
  a new field with a default, a renamed class, an inserted wait. Recorded work must be found again.
- The edits in `MOVING` move one call to another place: into a helper function, another call, a tool, a subgraph, a
  child run or another node.
- The edits in `CHANGING` change the meaning: another argument, another function, a removed call.

Each piece has a `ref`, a text that occurs in its arguments, its result and its question, and nowhere else.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal, TypeAlias

Effect: TypeAlias = Literal["once", "idempotent", ""]
VERBS: Final = {"once": "pay", "idempotent": "send", "": "look"}
MODELS: Final = ("Order", "Bill", "Cart", "Person", "Parcel")
"""The classes of arguments. `Order` and `Bill` have the same fields; `Cart` and `Person` contain `Line`."""
FORMS: Final = ("{}", "[{}]", "{{'a': {}}}", "seed.model_copy(update={{'ref': {!r}}})")
"""How a call gives its argument: alone, in a list, in a dict, or as a copy of a model of the state."""


@dataclass(frozen=True)
class Act:
    """A call of a function, as `ctx.call`."""

    ref: str
    effect: Effect = "once"
    model: str = "Order"
    form: int = 0
    key: bool = False
    """Whether the call gives a `key=`."""

    @property
    def kind(self) -> str:
        """The annotation of the argument."""
        return {0: self.model, 1: f"list[{self.model}]", 2: f"dict[str, {self.model}]", 3: "Order"}[self.form]

    @property
    def function(self) -> str:
        """The name of the function."""
        return f"{VERBS[self.effect]}_{self.model.lower() if self.form < 3 else 'order'}_{self.form % 3}"


@dataclass(frozen=True)
class Ask:
    """A question to a person."""

    ref: str


@dataclass(frozen=True)
class Sleep:
    """A sleep of some seconds."""

    seconds: int


@dataclass(frozen=True)
class Child:
    """A child run, whose one node makes a call."""

    act: Act

    @property
    def ref(self) -> str:
        """The text of its call."""
        return self.act.ref


@dataclass(frozen=True)
class Talk:
    """A conversation of an agent, which in each turn calls tools, and then answers."""

    ref: str
    turns: tuple[tuple[Act, ...], ...]
    approve: bool = False
    """Whether a person must agree before a tool is called."""


@dataclass(frozen=True)
class Both:
    """Several sequences of pieces at once."""

    arms: tuple[tuple[Piece, ...], ...]


Piece: TypeAlias = Act | Ask | Sleep | Child | Talk | Both
Kind: TypeAlias = Literal["code", "agent", "subgraph", "map", "effect"]


@dataclass(frozen=True)
class Node:
    """A node: code with pieces, an agent, a subgraph or a map over code, or a function which is an effect itself."""

    kind: Kind
    pieces: tuple[Piece, ...] = ()


@dataclass(frozen=True)
class Edit:
    """A change of the text.

    Attributes:
        kind: What is changed.
        at: Which model or piece, by its name or ref; "" for all.
        more: How: the new field, the wait that is inserted.
    """

    kind: str
    at: str = ""
    more: str = ""

    @property
    def label(self) -> str:
        """The kind, and for a call that is moved or changed: how."""
        return self.more if self.kind in ("move", "change", "migrate") else self.kind


@dataclass(frozen=True)
class Program:
    """A graph whose nodes follow each other."""

    nodes: tuple[Node, ...]
    edits: tuple[Edit, ...] = field(default=())

    def edited(self, *edits: Edit) -> Program:
        """Return the program as a deployment with these edits has it."""
        return replace(self, edits=(*self.edits, *edits))


def acts_in(pieces: Sequence[Piece]) -> Iterator[Act]:
    """Yield the calls among some pieces, those of tools and child runs included."""
    for each in pieces:
        if isinstance(each, Act):
            yield each
        elif isinstance(each, Child):
            yield each.act
        elif isinstance(each, Talk):
            yield from (act for turn in each.turns for act in turn)
        elif isinstance(each, Both):
            yield from (act for arm in each.arms for act in acts_in(arm))


def acts_of(program: Program) -> list[Act]:
    """Return all calls of a program."""
    return [act for node in program.nodes for act in acts_in(node.pieces)]


def classes_of(program: Program) -> list[str]:
    """Return the names of the classes that a program needs, each after those that it contains."""
    models = {act.model for act in acts_of(program)}
    needs = {
        "Line": models & {"Cart", "Person"},
        "Order": True,
        "Receipt": "Cart" in models,
        "Small": any(isinstance(each, Child) for node in program.nodes for each in all_pieces(node.pieces)),
        "State": True,
    }
    return [name for name in CLASSES if needs.get(name, name in models)]


def all_pieces(pieces: Sequence[Piece]) -> Iterator[Piece]:
    """Yield pieces, and those inside of others."""
    for each in pieces:
        yield each
        if isinstance(each, Both):
            yield from (piece for arm in each.arms for piece in all_pieces(arm))


# --- The text ---------------------------------------------------------------------------------------------------------

FIELDS: Final = {
    "text": "note: str = ''",
    "number": "discount: float = 0.0",
    "none": "by: str | None = None",
    "list": "notes: list[str] = []",
    "factory": "codes: list[str] = Field(default_factory=lambda: ['none'])",
    "model": "extra: Extra = Extra()",
}
"""Fields that a model gains."""
CLASSES: Final = {
    "Line": ("BaseModel", "sku: str = 'a'", "count: int = 1"),
    "Order": ("BaseModel", "ref: str = ''", "total: int = 5"),
    "Bill": ("BaseModel", "ref: str = ''", "total: int = 5"),
    "Cart": ("BaseModel", "ref: str = ''", "lines: list[Line] = [Line()]"),
    "Person": ("BaseModel", "ref: str = ''", "home: Line | None = None", "names: dict[str, Line] = {'a': Line()}"),
    "Parcel": ("", "ref: str = ''", "weight: float = 1.5"),
    "Receipt": ("BaseModel", "text: str = ''"),
    "Small": ("BaseModel", "order: Order = Order()", "done: str = ''"),
    "State": ("BaseModel", "seed: Order = Order(ref='seed')"),
}
"""The classes of a program: the base, "" for a dataclass, and the fields."""
HEAD: Final = """\
import asyncio
from dataclasses import dataclass, field
from pydantic import BaseModel, Field
from graphengine import END, START, Agent, Context, Graph, Migration, ScriptedModel, tool


def told(result):
    return result if isinstance(result, str) else result.text
"""


class Text:
    """Writes the text of a program."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.before: list[str] = []  # what stands before the nodes: functions of calls, child graphs, agents
        self.functions: dict[str, str] = {}
        self.number = 0
        self.renamed = {edit.at: edit.more for edit in program.edits if edit.kind == "rename"}

    def find(self, kind: str, at: str) -> Edit | None:
        """Return the edit of a kind that concerns a place."""
        return next((edit for edit in self.program.edits if edit.kind == kind and edit.at in ("", at)), None)

    def module(self) -> str:
        """Return the text of the module."""
        nodes = [self.node(f"n{number}", node) for number, node in enumerate(self.program.nodes, 1)]
        names = [f"n{number}" for number in range(1, len(nodes) + 1)]
        states = [f"{name}: object = ''" for name in names]
        items = [
            f"items_{name}: list[Order] = [Order(ref='{name}i0'), Order(ref='{name}i1')]"
            for name, node in zip(names, self.program.nodes, strict=True)
            if node.kind == "map"
        ]
        told = [
            f"what_{name}: str = '{node.pieces[0].ref}'"
            for name, node in zip(names, self.program.nodes, strict=True)
            if node.kind == "agent" and isinstance(node.pieces[0], Talk)
        ]
        told += [
            f"order_{name}: Order = Order(ref='{name}s')"
            for name, node in zip(names, self.program.nodes, strict=True)
            if node.kind == "effect"
        ]
        parts = [HEAD, self.classes([*states, *items, *told]), *self.functions.values(), *self.before]
        moved = next((edit for edit in self.program.edits if edit.kind == "migrate"), None)
        more = ""
        if moved is not None:
            new = f"m{moved.at[1:]}"
            more = f", version=2, migrate={{1: Migration({moved.more}={{'{moved.at}': '{new}'}})}}"
            nodes = [each.replace(f"graph.add_node('{moved.at}'", f"graph.add_node('{new}'") for each in nodes]
            names = [new if name == moved.at else name for name in names]
        made = [
            f"graph = Graph('program', State{more})",
            *nodes,
            f"graph.add_path(START, {', '.join(map(repr, names))}, END)",
        ]
        return "\n\n\n".join([*parts, "\n".join(made)]) + "\n"

    def classes(self, states: Sequence[str]) -> str:
        """Return the classes that the program needs."""
        found = ["@dataclass\nclass Extra:\n    depth: int = 3"]
        for name in classes_of(self.program):
            base, *fields = CLASSES[name]
            lines = [*fields, *(states if name == "State" else ())]
            for edit in self.program.edits:
                if edit.kind == "gain" and edit.at == name:
                    line = FIELDS[edit.more.rstrip("<")]
                    if not base:
                        line = line.replace("Field(", "field(").replace("= []", "= field(default_factory=list)")
                        line = line.replace("= Extra()", "= field(default_factory=Extra)")
                    lines.insert(0 if edit.more.endswith("<") else len(lines), line)
            head = f"class {name}({base}):" if base else f"@dataclass\nclass {name}:"
            found.append("\n".join([head, *(f"    {line}" for line in lines)]))
        return "\n\n\n".join(found)

    def function(self, act: Act, *, is_tool: bool = False) -> str:
        """Write the function of a call, once, and return its name."""
        name = act.function + "_tool" * is_tool
        verb = VERBS[act.effect]
        parameters = [f"what: {act.kind}", "amount: int = 5", "currency: str = 'EUR'"]
        if self.find("parameter", act.ref) or self.find("parameter", name):
            parameters.append("urgent: bool = False")
        if act.effect == "idempotent":
            parameters.append("idempotency_key: str = ''")
        key = ", idempotency_key" * (act.effect == "idempotent")
        gives = "Receipt" if act.model == "Cart" and not is_tool else "str"
        made = f"await world.act({verb!r}, what, amount{key})"
        made = f"Receipt(text={made})" if gives == "Receipt" else made
        lines = [f"async def {name}({', '.join(parameters)}) -> {gives}:", f'    """{verb}."""', f"    return {made}"]
        if is_tool:
            lines.insert(0, f"@tool(effect={act.effect!r})" if act.effect else "@tool")
        self.functions[name] = "\n".join(lines)
        return name

    def argument(self, act: Act, ref: str | None = None) -> str:
        """Return the argument of a call."""
        ref = act.ref if ref is None else ref
        if act.form == 3:
            return FORMS[3].format(ref)
        return FORMS[act.form].format(f"{act.model}(ref={ref!r})")

    def call(self, act: Act) -> str:
        """Return a call."""
        name = self.function(act)
        argument = self.argument(act)
        if (edit := self.find("keyword", act.ref)) is not None:
            argument = f"what={argument}"
        more = [argument]
        if (edit := self.find("default", act.ref)) is not None:
            more += {"all": ["amount=5", "currency='EUR'"], "one": ["currency='EUR'"]}.get(edit.more, [])
            if edit.more == "position":
                more += ["5", "'EUR'"] if not argument.startswith("what=") else ["amount=5"]
        if self.find("amount", act.ref):
            more.append("amount=6")
        if act.effect:
            more.append(f"effect={act.effect!r}")
        if act.key:
            more.append(f"key={act.ref!r}")
        return f"await ctx.call({name}, {', '.join(more)})"

    def code(self, pieces: Sequence[Piece], ref: str) -> list[str]:
        """Return the lines of code that does some pieces, which append to `got`."""
        lines: list[str] = []
        for number, piece in enumerate(pieces):
            lines += self.inserted(f"{ref}.{number}")
            lines += self.piece(piece, f"{ref}.{number}")
        return lines + self.inserted(f"{ref}.{len(pieces)}")

    def inserted(self, place: str) -> list[str]:
        """Return the wait that an edit inserts at a place."""
        edit = next((each for each in self.program.edits if each.kind == "wait" and each.at == place), None)
        if edit is None:
            return []
        return ["await ctx.ask('inserted?')"] if edit.more == "ask" else [f"await ctx.sleep({edit.more})"]

    def piece(self, piece: Piece, ref: str) -> list[str]:
        """Return the lines of one piece."""
        if isinstance(piece, Act):
            return self.act(piece)
        if isinstance(piece, Ask):
            return [f"got.append(await ctx.ask('{piece.ref}?'))"]
        if isinstance(piece, Sleep):
            return [f"await ctx.sleep({piece.seconds})"]
        if isinstance(piece, Child):
            self.child(piece)
            given = f"{{'order': {self.argument(piece.act)}}}"
            return [
                f"child = await ctx.start(graph_{piece.ref}, {given})",
                "got.append((await child.result()).state.done)",
            ]
        if isinstance(piece, Talk):
            self.agent(piece)
            return [f"got.append(await agent_{piece.ref}.run(what={piece.ref!r}))"]
        names = []
        for number, arm in enumerate(piece.arms):
            self.number += 1
            names.append(f"arm{self.number}")
            lines = [f"async def arm{self.number}():", "    got = []"]
            lines += [f"    {line}" for line in self.code(arm, f"{ref}.{number}")]
            names[-1] = "\n".join([*lines, "    return ' '.join(got)"])
        calls = ", ".join(f"{name.split('(')[0].removeprefix('async def ')}()" for name in names)
        return [*"\n".join(names).split("\n"), f"got += await asyncio.gather({calls})"]

    def act(self, act: Act) -> list[str]:
        """Return the lines of a call, which an edit can move or change."""
        edits = (each for each in self.program.edits if each.kind in ("move", "change") and each.at == act.ref)
        edit, call = next(edits, None), self.call(act)
        if edit is None:
            return [f"got.append(told({call}))"]
        if edit.kind == "move":
            return self.moved(act.ref, edit.more, call)
        if edit.more == "removed":
            return ["pass"]
        if edit.more == "amount":
            return [f"got.append(told({call.replace(', effect=', ', amount=6, effect=')}))"]
        function = self.function(act)
        self.functions[f"other_{function}"] = self.functions[function].replace(function, f"other_{function}")
        return [f"got.append(told({call.replace(function, f'other_{function}', 1)}))"]

    def moved(self, ref: str, where: str, call: str) -> list[str]:
        """Return the lines of a call that has moved."""
        name = f"moved_{ref}"
        if where == "call":
            written = [f"async def {name}() -> str:", f"    return told({call})"]
            if name in self.functions:  # the same call again, behind the first one
                written = []
            self.functions[name] = ""
            return [*written, f"got.append(await ctx.call({name}))"]
        if where == "helper":
            self.before.append(f"async def {name}(ctx, seed):\n    return told({call})")
            return [f"got.append(await {name}(ctx, seed))"]
        if where == "tool":
            self.before.append(
                f"@tool\nasync def {name}(ctx: Context) -> str:\n    'Do it.'\n    seed = Order(ref='seed')\n"
                f"    return told({call})\n\n\n"
                f"agent_{name} = Agent('agent_{name}', prompt='Do {{what}}', tools=[{name}], model=ScriptedModel("
                f"lambda request: world.answer('{name}', [[('{name}', {{}})]], request)))"
            )
            return [f"got.append(await agent_{name}.run(what='{name}'))"]
        self.before.append(
            f"async def deliver_{name}(seed: Order, ctx: Context) -> str:\n    return told({call})\n\n\n"
            f"class Small_{name}(BaseModel):\n    seed: Order = Order()\n    done: str = ''\n\n\n"
            f"graph_{name} = Graph('child_{name}', Small_{name})\n"
            f"graph_{name}.add_node('deliver', deliver_{name}, writes='done')\n"
            f"graph_{name}.add_path(START, 'deliver', END)"
        )
        return [
            f"child = await ctx.start(graph_{name}, {{'seed': seed}})",
            "got.append((await child.result()).state.done)",
        ]

    def child(self, child: Child) -> None:
        """Write the graph of a child run."""
        act = replace(child.act, form=0, model="Order")
        name = self.function(act)
        order = "what=order" if self.find("keyword", act.ref) else "order"
        more = f", effect={act.effect!r}" if act.effect else ""
        written = ", currency='EUR'" if self.find("default", act.ref) else ""
        self.before.append(
            f"async def deliver_{act.ref}(order: Order, ctx: Context) -> str:\n"
            f"    return told(await ctx.call({name}, {order}{written}{more}))\n\n\n"
            f"graph_{act.ref} = Graph('child_{act.ref}', Small)\n"
            f"graph_{act.ref}.add_node('deliver', deliver_{act.ref}, writes='done')\n"
            f"graph_{act.ref}.add_path(START, 'deliver', END)"
        )

    def agent(self, talk: Talk) -> None:
        """Write an agent."""
        tools = {self.function(act, is_tool=True): act for turn in talk.turns for act in turn}
        turns = [[(f"{act.function}_tool", {"what": {"ref": act.ref}}) for act in turn] for turn in talk.turns]
        names = ", ".join(f"tool({name}, approve=True)" if talk.approve else name for name in tools)
        self.before.append(
            f"agent_{talk.ref} = Agent('agent_{talk.ref}', model=ScriptedModel(lambda request: "
            f"world.answer({talk.ref!r}, {turns!r}, request)), prompt='Do {{what}}', tools=[{names}])"
        )

    def node(self, name: str, node: Node) -> str:
        """Write a node, and return the statement that adds it."""
        if node.kind == "agent":
            (talk,) = node.pieces
            assert isinstance(talk, Talk)
            self.agent(talk)
            return f"graph.add_node('{name}', agent_{talk.ref}, inputs={{'what': 'what_{name}'}}, writes='{name}')"
        if node.kind == "effect":
            (act,) = node.pieces
            assert isinstance(act, Act)
            function = self.function(replace(act, form=0, model="Order"))
            given = f"inputs={{'what': 'order_{name}'}}, writes='{name}', effect='once'"
            return f"graph.add_node('{name}', {function}, {given})"
        code = self.code(node.pieces, name)
        parameters = "item: Order, ctx: Context" if node.kind == "map" else "seed: Order, ctx: Context"
        lines = [f"async def do_{name}({parameters}) -> str:", "    got = []", *(f"    {line}" for line in code)]
        text = "\n".join([*lines, "    return ' '.join(got)"])
        if node.kind == "map":
            text = text.replace("(ref='", "(ref=item.ref + '").replace("'ref': '", "'ref': item.ref + '")
            text = text.replace("seed.model_copy", "item.model_copy").replace("ctx.ask('", "ctx.ask(item.ref + '")
            text = text.replace("key='", "key=item.ref + '")
        self.before.append(text)
        inner = any(edit.kind == "inner" and edit.at == name for edit in self.program.edits)
        if node.kind == "code" and not inner:
            return f"graph.add_node('{name}', do_{name}, writes='{name}')"
        if node.kind == "map":
            return f"graph.add_node('{name}', do_{name}, each={{'item': 'items_{name}'}}, writes='{name}')"
        self.before.append(
            f"class Inner_{name}(BaseModel):\n    seed: Order = Order()\n    out: str = ''\n\n\n"
            f"inner_{name} = Graph('inner_{name}', Inner_{name}, result='out')\n"
            f"inner_{name}.add_node('within', do_{name}, writes='out')\n"
            f"inner_{name}.add_path(START, 'within', END)"
        )
        return f"graph.add_node('{name}', inner_{name}, inputs={{'seed': 'seed'}}, writes='{name}')"


def source_of(program: Program) -> str:
    """Return the text of a program."""
    text = Text(program)
    made = text.module()
    for old, new in text.renamed.items():
        made = re.sub(rf"\b{old}\b", new, made)
    return made


KEEPING: Final = ("keyword", "default", "parameter", "gain", "rename", "wait")
MOVES: Final = ("helper", "call", "tool", "child", "moved", "inner")
CHANGES: Final = ("amount", "function", "removed")


# --- Drawing ----------------------------------------------------------------------------------------------------------


class Draw:
    """Draws programs and edits.

    Args:
        seed: The seed.
    """

    def __init__(self, seed: str) -> None:
        self.random = random.Random(seed)  # noqa: S311 - programs of tests
        self.number = 0

    def ref(self, kind: str = "r") -> str:
        """Return a new text."""
        self.number += 1
        return f"{kind}{self.number:02}"

    def act(self, *, plain: bool = False) -> Act:
        """Draw a call. `plain` draws one whose argument is an `Order` alone."""
        effect: Effect = self.random.choices(("once", "idempotent", ""), (5, 3, 2))[0]
        if plain:
            return Act(self.ref(), effect)
        model, form = self.random.choice(MODELS), self.random.choice((0, 0, 0, 1, 2, 3))
        return Act(self.ref(), effect, "Order" if form == 3 else model, form, key=self.random.random() < 0.1)

    def talk(self) -> Talk:
        """Draw a conversation."""
        turns = [
            tuple(self.act(plain=True) for _ in range(self.random.choice((1, 1, 2))))
            for _ in range(self.random.choice((1, 1, 2)))
        ]
        return Talk(self.ref("t"), tuple(turns), approve=self.random.random() < 0.3)

    def piece(self, *, in_map: bool, is_inner: bool = False) -> Piece:
        """Draw a piece."""
        kinds = ["act"] * 6 + ["ask"] * 2 + ["sleep", "child"] + ["talk"] * (not in_map) + ["both"] * 2 * (not is_inner)
        kind = self.random.choice(kinds)
        if kind == "act":
            return self.act()
        if kind == "ask":
            return Ask(self.ref("q"))
        if kind == "sleep":
            return Sleep(self.random.choice((1, 60, 3600)))
        if kind == "child":
            return Child(self.act(plain=True))
        if kind == "talk":
            return self.talk()
        arms = [
            self.pieces(self.random.choice((1, 1, 2)), in_map=in_map, is_inner=True)
            for _ in range(self.random.choice((2, 2, 3)))
        ]
        return Both(tuple(arms))

    def pieces(self, most: int, *, in_map: bool, is_inner: bool = False) -> tuple[Piece, ...]:
        """Draw some pieces."""
        found = [self.piece(in_map=in_map, is_inner=is_inner) for _ in range(most)]
        if self.random.random() < 0.1 and isinstance(found[0], Act):
            found.append(found[0])  # the same call again
        return tuple(found)

    def program(self) -> Program:
        """Draw a program."""
        nodes: list[Node] = []
        for kind in self.random.choices(
            ("code", "agent", "subgraph", "map", "effect"), (6, 1, 1, 1, 1), k=self.random.choice((1, 1, 2))
        ):
            if kind == "agent":
                nodes.append(Node("agent", (self.talk(),)))
            elif kind == "effect":
                nodes.append(Node("effect", (Act("seed"),)))
            else:
                most = self.random.choice((1, 2, 3, 4)) if kind != "map" else self.random.choice((1, 2))
                nodes.append(Node(kind, self.pieces(most, in_map=kind == "map")))
        return Program(tuple(nodes))

    def edits(self, program: Program, kind: str) -> list[Edit]:
        """Draw edits: one of this kind, and sometimes another one that keeps the meaning too."""
        if kind not in KEEPING:
            found = moves_in(program, kind) if kind in MOVES else changes_in(program, kind)
            return [self.random.choice(found)] if found else []
        more = [each for each in KEEPING if each != kind] if self.random.random() < 0.3 else []
        return [self.edit(program, each) for each in (kind, *self.random.sample(more, min(1, len(more))))]

    def edit(self, program: Program, kind: str) -> Edit:
        """Draw an edit of a kind that keeps the meaning."""
        acts = [act.ref for act in acts_of(program)]
        at = self.random.choice(["", *acts])
        if kind in ("keyword", "parameter"):
            return Edit(kind, at)
        if kind == "default":
            return Edit(kind, at, self.random.choice(("all", "one", "position")))
        if kind == "gain":
            return Edit(
                kind,
                self.random.choice(classes_of(program)),
                self.random.choice([*FIELDS]) + self.random.choice(("", "<")),
            )
        if kind == "rename":
            return Edit(kind, self.random.choice(classes_of(program)), "Renamed")
        return Edit("wait", self.random.choice(places_in(program)), self.random.choice(("ask", "0", "60")))


def places_in(program: Program) -> list[str]:
    """Return the places where a wait can be inserted."""

    def below(pieces: Sequence[Piece], ref: str) -> Iterator[str]:
        yield from (f"{ref}.{number}" for number in range(len(pieces) + 1))
        for number, piece in enumerate(pieces):
            if isinstance(piece, Both):
                for at, arm in enumerate(piece.arms):
                    yield from below(arm, f"{ref}.{number}.{at}")

    nodes = [(f"n{number}", node) for number, node in enumerate(program.nodes, 1)]
    return [
        place for name, node in nodes if node.kind not in ("agent", "effect") for place in below(node.pieces, name)
    ] or [""]


def moves_in(program: Program, how: str) -> list[Edit]:
    """Return the edits that move a call, or a node, in a way."""
    codes = [(f"n{number}", node) for number, node in enumerate(program.nodes, 1) if node.kind in ("code", "subgraph")]
    if how == "moved":
        names = [f"n{number}" for number in range(1, len(program.nodes) + 1)]
        return [Edit("migrate", name, "moved") for name in names]
    if how == "inner":
        return [Edit("inner", name) for name, node in codes if node.kind == "code"]
    return [Edit("move", act.ref, how) for _, node in codes for act in own_acts(node.pieces) if act.effect]


def changes_in(program: Program, how: str) -> list[Edit]:
    """Return the edits that change a call in a way. A call with `key=` stays the same call with another amount."""
    return [
        Edit("change", act.ref, how)
        for node in program.nodes
        if node.kind in ("code", "subgraph")
        for act in own_acts(node.pieces)
        if act.effect == "once" and not (act.key and how == "amount")
    ]


def own_acts(pieces: Sequence[Piece]) -> Iterator[Act]:
    """Yield the calls that code makes itself."""
    for each in pieces:
        if isinstance(each, Act):
            yield each
        elif isinstance(each, Both):
            yield from (act for arm in each.arms for act in own_acts(arm))
