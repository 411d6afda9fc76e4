"""The digests of the code of nodes: what changes them, and what does not."""

import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent
from types import ModuleType
from typing import Any

import pytest

from graphengine.compile.code import code_of
from graphengine.compile.compiler import compiled
from graphengine.runner.call_records import DoesNotFit, Shapes, bind_arguments, digest_of_call

PROGRAM = '''
from pydantic import BaseModel
from graphengine import END, START, Context, Graph

class Order(BaseModel):
    id: int = 1

class Shop(BaseModel):
    order: Order = Order()
    out: str = ""
    other: str = ""

def rate(order):
    """The rate."""
    return 5

def count():
    global CALLS
    CALLS += 1

RATE = 5
RATE += 1
PRICES = {1: 5}
PRICES["a"] = 1
PORT = 8123
CALLS = 0
calls = 0

def pay(order: Order) -> str:
    # a comment
    return f"paid {rate(order)} {RATE} {PRICES} {PORT} {CALLS} {calls}"

def seller(is_loud, file="/var/lib/shop.db"):
    path = file
    async def sell(order: Order, ctx: Context) -> str:
        return await ctx.call(pay, order, effect="once")[: 5 if is_loud and path else 4]
    return sell

sell = seller(False)

def thank(order: Order) -> str:
    return "thanks"

shop = Graph("shop", Shop)
shop.add_node("sell", sell, writes="out")
shop.add_node("thank", thank, writes="other")
shop.add_path(START, "sell", "thank", END)
'''


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the folder of a project of its own."""
    return tmp_path


def load(folder: Path, source: str) -> ModuleType:
    """Import a program as a deployment would: each source is another file of another process."""
    file = folder / f"program{len([*folder.iterdir()])}.py"
    file.write_text(dedent(source))
    found = importlib.util.spec_from_file_location(file.stem, file)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules[file.stem] = module
    found.loader.exec_module(module)
    return module


def body_of(folder: Path, source: str) -> Mapping[str, Mapping[str, Any]]:
    """Return what is recorded about the code of a program."""
    return code_of(compiled(load(folder, source).shop)).body


UNCHANGED = {
    "a comment": ("# a comment", "# another comment"),
    "a docstring": ('"""The rate."""', '"""How much it costs."""'),
    "blank lines": ("    return 5", "\n\n\n    return 5"),
    "a line above": ("class Order", "import math\n\nclass Order"),
    "a long text around it": ("/var/lib/shop.db", "/var/lib/other_shop.db"),
    "quotes": ('return "thanks"', "return 'thanks'"),
}
CHANGED = {
    "the function of the node": ('effect="once")', 'effect="once") + "!"'),
    "a function that it calls": ('f"paid', 'f"has paid'),
    "a function that this one calls": ("return 5", "return 6"),
    "a constant that it names": ("RATE = 5", "RATE = 6"),
    "a change of a constant": ('PRICES["a"] = 1', 'PRICES["a"] = 2'),
    "the first value of a constant that changes": ("PRICES = {1: 5}", "PRICES = {1: 6}"),
    "an addition to a constant": ("RATE += 1", "RATE += 2"),
    "a value around it": ("seller(False)", "seller(True)"),
    "a default": ("rate(order)", "rate(order, twice=False)"),
    "a type that it names": ("id: int = 1", 'id: int = 1\n    note: str = ""'),
}


@pytest.mark.parametrize("change", UNCHANGED)
def test_what_says_nothing_does_not_count(folder: Path, change: str) -> None:
    """Comments, docstrings, blank lines and the place in the file do not change the digest of any node."""
    assert body_of(folder, PROGRAM) == body_of(folder, PROGRAM.replace(*UNCHANGED[change]))


@pytest.mark.parametrize("change", CHANGED)
def test_the_code_that_a_node_names_counts(folder: Path, change: str) -> None:
    """A change of the node's function, or of what it names, changes its digest; that of another node stays."""
    before, after = body_of(folder, PROGRAM), body_of(folder, PROGRAM.replace(*CHANGED[change]))
    assert before["nodes"]["sell"] != after["nodes"]["sell"]
    assert change == "a type that it names" or before["nodes"]["thank"] == after["nodes"]["thank"]


def test_the_body_has_types_and_parameters(folder: Path) -> None:
    """The fields of the types that the code names, and the parameters of its functions, are kept with the digests."""
    body = body_of(folder, PROGRAM)
    assert body["types"] == {"Order": {"id": "int, default 1"}}
    assert body["parameters"] == {
        "sell": ["order", "ctx"],
        "pay": ["order"],
        "rate": ["order"],
        "thank": ["order"],
    }


def test_code_without_a_source_has_a_digest(folder: Path) -> None:
    """A function that was made by `exec` is known by its byte code, and the same text has the same digest."""
    spaces: list[dict[str, Any]] = [{"__name__": "prompt"}, {"__name__": "prompt"}, {"__name__": "prompt"}]
    for space, source in zip(spaces, (PROGRAM, PROGRAM, PROGRAM.replace("return 5", "return 6")), strict=True):
        exec(source, space)  # noqa: S102 - as a prompt does
    first, second, third = (code_of(compiled(space["shop"])).body["nodes"]["sell"] for space in spaces)
    assert first == second
    assert first != third


def test_a_file_that_changed_since_its_import_is_not_read(folder: Path) -> None:
    """A process that runs older code than its file has now does not take the digest of the newer code."""
    module = load(folder, PROGRAM)
    Path(str(module.__file__)).write_text(PROGRAM.replace("return 5", "return 6"))
    assert (
        code_of(compiled(module.shop)).body["nodes"]
        != body_of(folder, PROGRAM.replace("return 5", "return 6"))["nodes"]
    )


def test_a_new_field_with_its_default_is_left_out(folder: Path) -> None:
    """In the form of earlier code, a value has its digest of then; another value of the new field does not fit."""
    then, now = load(folder, PROGRAM), load(folder, PROGRAM.replace("id: int = 1", 'id: int = 1\n    note: str = ""'))
    shapes = Shapes(code_of(compiled(then.shop)).body, code_of(compiled(now.shop)).body)
    recorded = digest_of_call("pay", *bind_arguments(then.pay, (then.Order(id=7),), {}))
    given = bind_arguments(now.pay, (now.Order(id=7),), {}, shapes)
    assert digest_of_call("pay", *given, shapes) == recorded
    assert digest_of_call("pay", *given) != recorded
    with pytest.raises(DoesNotFit, match="note"):
        digest_of_call("pay", (now.Order(id=7, note="!"),), {}, shapes)


class Table:
    """Compares itself with other values item by item, so that the comparison has no truth, as arrays do."""

    def __eq__(self, other: object) -> bool:
        """Refuse to say."""
        raise ValueError(other)

    __hash__ = None  # type: ignore[assignment]


def test_a_value_that_cannot_be_compared_is_not_the_default(folder: Path) -> None:
    """An array in a new parameter or field is not its default. `False` is not the default 0 either."""
    more = PROGRAM.replace("pay(order: Order)", "pay(order: Order, weights: object = None, most: int = 0)")
    more = more.replace("id: int = 1", "id: int = 1\n    extra: object = None")
    then, now = load(folder, PROGRAM), load(folder, more)
    shapes = Shapes(code_of(compiled(then.shop)).body, code_of(compiled(now.shop)).body)
    table, order = Table(), now.Order(id=7)
    assert bind_arguments(now.pay, (order,), {}, shapes)[1] == {"order": order}
    assert bind_arguments(now.pay, (order, table, False), {}, shapes)[1].keys() == {"order", "weights", "most"}
    with pytest.raises(DoesNotFit, match="extra"):
        shapes.narrow(now.Order(id=7, extra=table))


def test_a_default_that_cannot_be_made_is_no_default(folder: Path) -> None:
    """A new field whose function for the default raises does not fit, and the default of an old one is not made."""
    made = "id: int = 1\n    at: int = Field(default_factory=lambda: 1 // 0)"
    program = f"from pydantic import Field\n{PROGRAM}"
    then, now = (
        load(folder, program),
        load(folder, program.replace("id: int = 1", made).replace("Order()", "Order(at=1)")),
    )
    shapes = Shapes(code_of(compiled(then.shop)).body, code_of(compiled(now.shop)).body)
    with pytest.raises(DoesNotFit, match="at"):
        shapes.narrow(now.Order(at=1))
    both = Shapes(code_of(compiled(now.shop)).body, code_of(compiled(now.shop)).body)
    assert both.narrow(now.Order(at=1)) == {"id": 1, "at": 1}


def test_a_renamed_class_counts_as_the_one_of_before(folder: Path) -> None:
    """A class that is gone and one that is new, with the same fields, are one class if no other class fits."""
    then, now = load(folder, PROGRAM), load(folder, PROGRAM.replace("Order", "Sale"))
    shapes = Shapes(code_of(compiled(then.shop)).body, code_of(compiled(now.shop)).body)
    recorded = digest_of_call("pay", *bind_arguments(then.pay, (then.Order(id=7),), {}))
    assert digest_of_call("pay", *bind_arguments(now.pay, (now.Sale(id=7),), {}, shapes), shapes) == recorded


def test_what_tells_values_apart_is_never_left_out(folder: Path) -> None:
    """A new field whose type is a Literal is not left out, though it has its default: it may be a discriminator."""
    literal = PROGRAM.replace("id: int = 1", "id: int = 1\n    kind: Literal['card'] = 'card'")
    then, now = load(folder, PROGRAM), load(folder, f"from typing import Literal\n{literal}")
    shapes = Shapes(code_of(compiled(then.shop)).body, code_of(compiled(now.shop)).body)
    with pytest.raises(DoesNotFit, match="kind"):
        digest_of_call("pay", (now.Order(id=7),), {}, shapes)


def test_a_changed_default_is_another_call() -> None:
    """The default of a parameter identifies the call: what another default would do is not taken for it."""

    def euros(amount: int, currency: str = "EUR") -> None: ...
    def dollars(amount: int, currency: str = "USD") -> None: ...

    assert bind_arguments(euros, (5,), {}) == bind_arguments(euros, (), {"currency": "EUR", "amount": 5})
    assert bind_arguments(euros, (5,), {}) != bind_arguments(dollars, (5,), {})
