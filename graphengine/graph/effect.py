"""Effects: what a node, a recorded call or a tool does to the world outside, and what follows if its end is unknown.

There is one word for the three: `effect="read"`, `"idempotent"`, `"once"`, `Once(…)` with options, or `"transaction"`,
which `graph/transaction.py` is about. See `docs/use/nothing-acts-twice.md`.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, get_args

from msgspec import UNSET, UnsetType

from graphengine.errors import DefinitionError
from graphengine.graph.ranges import SecondsOrZero  # noqa: TC001 - the door reads it
from graphengine.state.hints import signature_of
from graphengine.state.path import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from graphengine.state.json_values import JsonValue

EffectKind: TypeAlias = Literal["read", "idempotent", "once", "transaction"]
OnUnknown: TypeAlias = Literal["ask", "fail"]
Effects: TypeAlias = "Mapping[str, Callable[..., object]] | Literal['act']"
"""Whether effects happen: `"act"`, or what is called in their place, by name or path; any other is refused."""

KEY_NAME: Final = "idempotency_key"
"""The parameter that gets the key of the call."""
WAIT_ELSEWHERE: Final = (
    'ask in a node before: add_node("approve", ask("…", bool)); or wait in a node without effect=, and act in it with '
    'await ctx.call(act, effect="once")'
)
"""The repair for a node that is an effect and waits."""


@dataclass(frozen=True, slots=True)
class Once:
    """An effect that must not be repeated: it begins at most once without somebody knowing how it ended.

    The beginning of the effect is recorded before the effect begins. If the effect began and did not return (because of
    a crash, a stop, a timeout, or an exception other than `NotDone`), nobody knows whether it happened. It is then not
    called again before that question is settled.

    Args:
        reconcile: Finds out what happened: a function, sync or async, of any of the call's arguments and
            `idempotency_key`. It returns the result of the effect, or raises `NotDone` if it did not happen, so that it
            begins now, or `EffectUnknown` if it cannot tell.
        unknown: What follows if nobody can tell: a question to a person (`"ask"`), who answers with
            `{"result": …}`, `rerun` or `fail`; or the failure `effect_unknown` (`"fail"`).
        settle_seconds: How long after a process was cut off, or suspended, what it had begun may still happen: as long
            as a request can be under way. `NotDone` counts after that. If it is not given, `NotDone` counts only if
            that process is known to be dead, or gave the run back; else nobody can tell.

    Raises:
        DefinitionError: An argument is invalid.

    Example:
        >>> Once(unknown="fail").unknown
        'fail'
    """

    reconcile: Callable[..., object] | None = None
    unknown: OnUnknown = "ask"
    settle_seconds: SecondsOrZero | None = None

    def __post_init__(self) -> None:
        if self.reconcile is not None and not callable(self.reconcile):
            raise DefinitionError(
                f"Once(reconcile={self.reconcile!r}) is not valid", where="effect", repair="give a function"
            )
        if self.unknown not in get_args(OnUnknown):
            raise DefinitionError(
                f"Once(unknown={self.unknown!r}) is not valid", where="effect", repair="give 'ask' or 'fail'"
            )
        if self.settle_seconds is not None and self.reconcile is None:
            text = "Once has settle_seconds= without reconcile="
            raise DefinitionError(text, where="effect", repair="give reconcile=, whose NotDone counts after that")

    @property
    def name(self) -> str:
        """The name of `reconcile`."""
        return getattr(self.reconcile, "__name__", repr(self.reconcile))

    def arguments(self, given: Mapping[str, object]) -> Mapping[str, object]:
        """Return those of the given values that `reconcile` takes."""
        return {name: given[name] for name in taken_by(self.reconcile, given)} if self.reconcile is not None else {}

    def lacks(self, given: Collection[str]) -> list[str]:
        """Return the parameters of `reconcile` that have no default and are not among the given names."""
        parameters = signature_of(self.reconcile).parameters if self.reconcile is not None else {}
        variadic = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
        needed = [n for n, each in parameters.items() if each.default is each.empty and each.kind not in variadic]
        return [name for name in needed if name not in {*given, KEY_NAME}]


def taken_by(function: Callable[..., object], names: Iterable[str]) -> list[str]:
    """Return those of these names that a function takes as parameters; all if its parameters cannot be read."""
    try:
        parameters = signature_of(function).parameters
    except (TypeError, ValueError):
        return [*names]
    takes_all = any(each.kind is each.VAR_KEYWORD for each in parameters.values())
    return [name for name in names if takes_all or name in parameters]


Effect: TypeAlias = EffectKind | Once

ONCE: Final = Once()


def once_of(effect: Effect | None) -> Once | None:
    """Return how an effect is treated that must not be repeated; None if it may be."""
    if isinstance(effect, Once):
        return effect
    return ONCE if effect == "once" else None


def kind_of(effect: Effect | None) -> EffectKind | None:
    """Return the kind of an effect."""
    return "once" if isinstance(effect, Once) else effect


def wrong_effect(effect: object) -> tuple[str, str] | None:
    """Return what is wrong with the value of `effect=`, and the repair; None if it is valid."""
    if effect is None or isinstance(effect, Once) or effect in get_args(EffectKind):
        return None
    near = nearest(effect, get_args(EffectKind)) if isinstance(effect, str) else ""
    repair = f"did you mean {near!r}?" if near else "give 'read', 'idempotent', 'once', 'transaction' or Once(…)"
    return f"effect={effect!r} is unknown", repair


def check_effect(effect: Effect | None, where: str) -> Effect | None:
    """Return a valid effect.

    Raises:
        DefinitionError: It is none.
    """
    wrong = wrong_effect(effect)
    if wrong is not None:
        raise DefinitionError(wrong[0], where=where, repair=wrong[1])
    return effect


def check_tool_effect(effect: Effect | None, where: str) -> Effect | None:
    """Return a valid effect of a tool.

    Raises:
        DefinitionError: It is none, or a transaction: a tool calls what is to be done in one.
    """
    if effect == "transaction":
        text = 'effect="transaction" is for a node or a ctx.call, not for a tool'
        repair = 'let the tool take ctx, and do it inside: await ctx.call(refund, order, effect="transaction")'
        raise DefinitionError(text, where=where, repair=repair)
    return check_effect(effect, where)


class KnowsResults(dict[str, "Callable[..., object]"]):
    """What is called in place of effects, by name, and what calls returned in another run; override `known`."""

    def known(self, call: str) -> JsonValue | UnsetType:  # noqa: ARG002 - for those that override it
        """Return the record of a call's result; UNSET if the call is to be made.

        Args:
            call: The name of what is called, and what identifies its arguments in the log.

        Raises:
            EffectRefused: The call must not be made.
        """
        return UNSET


def known_result(effects: Effects, call: str) -> JsonValue | UnsetType:
    """Return the record of a call's result that is known without making the call; UNSET if none is."""
    return effects.known(call) if isinstance(effects, KnowsResults) else UNSET


def check_effects(effects: Effects, where: str) -> Effects:
    """Return whether effects happen, if that is said in a valid form.

    Raises:
        DefinitionError: It is not.
    """
    given: object = effects
    if given == "act" or (isinstance(given, Mapping) and all(map(callable, given.values()))):
        return effects
    repair = 'give "act", or a mapping of what is called in place of each: effects={"pay": function}'
    raise DefinitionError(f"effects={given!r} does not say what happens", where=where, repair=repair)
