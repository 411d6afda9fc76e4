"""A calculator: arithmetic in decimal numbers, so that 0.1 + 0.2 is 0.3."""

from __future__ import annotations

import ast
import operator
from decimal import Context, Decimal, DecimalException, localcontext
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

DIGITS: Final = 28
MOST_CHARACTERS: Final = 1000
MOST_EXPONENT: Final = 1000
"""The greatest exponent of a power, and the greatest number of digits before the decimal point of a result."""
_BINARY: Final[dict[type[ast.operator], Callable[[Decimal, Decimal], Decimal]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
_FUNCTIONS: Final[dict[str, Callable[..., Decimal]]] = {
    "abs": Decimal.__abs__,
    "exp": Decimal.exp,
    "ln": Decimal.ln,
    "log10": Decimal.log10,
    "max": lambda *values: max(values),
    "mean": lambda *values: sum(values, Decimal(0)) / len(values),
    "min": lambda *values: min(values),
    "round": lambda value, digits=Decimal(0): round(value, int(digits)) + Decimal(0),
    "sqrt": Decimal.sqrt,
    "sum": lambda *values: sum(values, Decimal(0)),
}


def calculate(expression: str) -> str:
    """Calculate an expression exactly, in decimal numbers.

    Args:
        expression: Numbers with + - * / // % ** and parentheses, and abs, exp, ln, log10, max, mean, min, round, sqrt,
            sum, such as `round((57 - 19) / 57 * 100, 1)`. Numbers have no separators of thousands.

    Raises:
        ValueError: The text is not such an expression, or the expression has no result.

    >>> calculate("0.1 + 0.2"), calculate("round((57 - 19) / 57 * 100, 1)")
    ('0.3', '66.7')
    """
    if len(expression) > MOST_CHARACTERS:
        raise ValueError(f"the expression has more than {MOST_CHARACTERS} characters")
    try:
        tree = ast.parse(expression.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise ValueError(f"{expression!r} is not an expression: {error}") from None
    limits = Context(prec=DIGITS, Emax=MOST_EXPONENT, Emin=-MOST_EXPONENT)
    try:
        with localcontext(limits):
            text = f"{_evaluate_node(tree, expression):f}"  # without an exponent
            return text.rstrip("0").rstrip(".") if "." in text else text
    except (DecimalException, ZeroDivisionError, TypeError, OverflowError) as error:
        raise ValueError(f"{expression!r} has no result: {type(error).__name__}") from None


def _evaluate_node(node: ast.expr, text: str) -> Decimal:
    match node:
        case ast.Constant(value=int() | float()) if not isinstance(node.value, bool):
            return Decimal(ast.get_source_segment(text.strip(), node) or str(node.value))
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            return -_evaluate_node(inner, text)
        case ast.UnaryOp(op=ast.UAdd(), operand=inner):
            return _evaluate_node(inner, text)
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in _BINARY:
            return _BINARY[type(sign)](_evaluate_node(left, text), _evaluate_node(right, text))
        case ast.Call(func=ast.Name(id=name), args=given, keywords=[]) if name in _FUNCTIONS and given:
            return _FUNCTIONS[name](*(_evaluate_node(each, text) for each in given))
    part = ast.get_source_segment(text.strip(), node) or type(node).__name__
    raise ValueError(f"{part!r} is not known: use numbers, + - * / // % ** and {', '.join(_FUNCTIONS)}")


__all__ = ["calculate"]
