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
    """A side effect that must not be repeated: if nobody knows how it ended, it is not started again.

    A side effect that is marked with `Once` is recorded twice: when it begins, and when it returns. If it began but did
    not return, nobody knows whether it happened. This is so after a crash, a stop, a timeout, or an exception other
    than `NotDone`. The side effect is then not called again until `reconcile` or a person has found out whether it
    happened.

    Args:
        reconcile: A function, sync or async, that finds out what happened. It can take any of the call's arguments and
            `idempotency_key`. It returns the result of the effect if the effect happened. It raises `NotDone` if the
            effect did not happen, so that the effect begins now, or `EffectUnknown` if it cannot tell.
        unknown: What follows if nobody can tell whether the effect happened. With `"ask"`, the run asks a person, who
            answers with `{"result": …}`, `rerun` or `fail`. With `"fail"`, the node fails with `effect_unknown`.
        settle_seconds: How long the effect may still happen after its process was cut off or suspended, for example
            because a request is under way. When `reconcile` raises `NotDone`, this is believed only after that time.
            Without `settle_seconds`, `NotDone` is believed only if the process is known to be dead or gave the run
            back. Otherwise nobody can tell.

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
            text = f"Once(reconcile={self.reconcile!r}) must be a function that finds out what happened"
            raise DefinitionError(text, where="effect", repair="give a function, as in Once(reconcile=find_payment)")
        if self.unknown not in get_args(OnUnknown):
            text = f"Once(unknown={self.unknown!r}) must be 'ask' or 'fail'"
            repair = "give unknown='ask' to ask a person, or unknown='fail' to let the node fail"
            raise DefinitionError(text, where="effect", repair=repair)
        if self.settle_seconds is not None and self.reconcile is None:
            text = f"settle_seconds={self.settle_seconds!r} is given without reconcile=, so it has no effect"
            repair = "give reconcile= too; settle_seconds= is the time after which its answer NotDone counts"
            raise DefinitionError(text, where="effect", repair=repair)

    @property
    def name(self) -> str:
        """The name of `reconcile`."""
        return getattr(self.reconcile, "__name__", repr(self.reconcile))

    def arguments(self, given: Mapping[str, object]) -> Mapping[str, object]:
        """Return those of the given values that the `reconcile` function takes as parameters."""
        return {name: given[name] for name in taken_by(self.reconcile, given)} if self.reconcile is not None else {}

    def lacks(self, given: Collection[str]) -> list[str]:
        """Return the names of the parameters that `reconcile` requires but that are not in `given`."""
        parameters = signature_of(self.reconcile).parameters if self.reconcile is not None else {}
        variadic = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
        needed = [n for n, each in parameters.items() if each.default is each.empty and each.kind not in variadic]
        return [name for name in needed if name not in {*given, KEY_NAME}]


def taken_by(function: Callable[..., object], names: Iterable[str]) -> list[str]:
    """Return those of the given names that a function accepts as parameters.

    If the parameters of the function cannot be found out, as for some built-in functions, all names are returned.
    """
    try:
        parameters = signature_of(function).parameters
    except (TypeError, ValueError):
        return [*names]
    takes_all = any(each.kind is each.VAR_KEYWORD for each in parameters.values())
    return [name for name in names if takes_all or name in parameters]


Effect: TypeAlias = EffectKind | Once

ONCE: Final = Once()


def once_of(effect: Effect | None) -> Once | None:
    """Return the rules for a side effect that must not be repeated; None if this effect may be repeated."""
    if isinstance(effect, Once):
        return effect
    return ONCE if effect == "once" else None


def kind_of(effect: Effect | None) -> EffectKind | None:
    """Return which kind of side effect the value of `effect=` declares."""
    return "once" if isinstance(effect, Once) else effect


def wrong_effect(effect: object) -> tuple[str, str] | None:
    """Return what is wrong with the value of `effect=`, and how to repair it; None if the value is valid."""
    if effect is None or isinstance(effect, Once) or effect in get_args(EffectKind):
        return None
    near = nearest(effect, get_args(EffectKind)) if isinstance(effect, str) else ""
    repair = f"did you mean {near!r}?" if near else "give 'read', 'idempotent', 'once', 'transaction' or Once(…)"
    return f"effect={effect!r} is not a known kind of effect", repair


def check_effect(effect: Effect | None, where: str) -> Effect | None:
    """Return the value of `effect=` after checking it.

    Raises:
        DefinitionError: The value is not a valid effect.
    """
    wrong = wrong_effect(effect)
    if wrong is not None:
        raise DefinitionError(wrong[0], where=where, repair=wrong[1])
    return effect


def check_tool_effect(effect: Effect | None, where: str) -> Effect | None:
    """Return the value of a tool's `effect=` after checking it.

    Raises:
        DefinitionError: The value is not a valid effect, or is `"transaction"`, which only nodes can have.
    """
    if effect == "transaction":
        text = 'a tool cannot have effect="transaction", which is only for nodes and for ctx.call'
        repair = 'give the tool a parameter ctx, and write inside: await ctx.call(refund, order, effect="transaction")'
        raise DefinitionError(text, where=where, repair=repair)
    return check_effect(effect, where)


class KnowsResults(dict[str, "Callable[..., object]"]):
    """A mapping for `effects=` that answers calls with results of another run, so that no effect happens again.

    A subclass overrides `known` to supply these results.
    """

    def known(self, call: str) -> JsonValue | UnsetType:  # noqa: ARG002 - for those that override it
        """Return the recorded result of a call, so that the call is not made; UNSET if the call must be made.

        Args:
            call: The name of the called function, and what identifies its arguments in the log.

        Raises:
            EffectRefused: The call must not be made.
        """
        return UNSET


def known_result(effects: Effects, call: str) -> JsonValue | UnsetType:
    """Return the result of a call if it is known without making the call; UNSET otherwise."""
    return effects.known(call) if isinstance(effects, KnowsResults) else UNSET


def check_effects(effects: Effects, where: str) -> Effects:
    """Return the value of `effects=`, which decides whether side effects happen, after checking it.

    Raises:
        DefinitionError: The value is neither `"act"` nor a mapping of functions.
    """
    given: object = effects
    if given == "act" or (isinstance(given, Mapping) and all(map(callable, given.values()))):
        return effects
    repair = 'write effects="act", or give a function to call in place of each effect: effects={"pay": function}'
    text = f"effects={given!r}: effects must be 'act' or a mapping from names to functions"
    raise DefinitionError(text, where=where, repair=repair)
