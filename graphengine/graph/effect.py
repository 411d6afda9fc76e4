"""Effects: what a node, a recorded call or a tool does to the world outside, and what follows if its end is unknown.

There is one word for the three: `effect="read"`, `"idempotent"`, `"once"`, or `Once(…)` with options. See
`docs/use/nothing-acts-twice.md`.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, get_args

from msgspec import UNSET, UnsetType

from graphengine.errors import DefinitionError, EffectRefused
from graphengine.state.path import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from graphengine.state.json_values import JsonValue

EffectKind: TypeAlias = Literal["read", "idempotent", "once"]
OnUnknown: TypeAlias = Literal["ask", "fail"]
Effects: TypeAlias = "Mapping[str, Callable[..., object]] | Literal['act']"
"""Whether effects happen: `"act"`, or what is called in their place, by name; any other is refused."""

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

    Its beginning is recorded first. If it began and did not return, because of a crash, a stop, a timeout or an
    exception other than `NotDone`, its end is unknown, and it is not called again before that is settled.

    Args:
        reconcile: Finds out what happened: a function, sync or async, of any of the call's arguments and
            `idempotency_key`. It returns the result of the effect, or raises `NotDone` if it did not happen, so that it
            begins now, or `EffectUnknown` if it cannot tell.
        unknown: What follows if nobody can tell: a question to a person (`"ask"`), who answers with
            `{"result": …}`, `rerun` or `fail`; or the failure `effect_unknown` (`"fail"`).

    Raises:
        DefinitionError: An argument is invalid.

    Example:
        >>> Once(unknown="fail").unknown
        'fail'
    """

    reconcile: Callable[..., object] | None = None
    unknown: OnUnknown = "ask"

    def __post_init__(self) -> None:
        if self.reconcile is not None and not callable(self.reconcile):
            repair = "give a function of the call's arguments"
            raise DefinitionError(f"Once(reconcile={self.reconcile!r})", where="effect", repair=repair)
        if self.unknown not in get_args(OnUnknown):
            raise DefinitionError(f"Once(unknown={self.unknown!r})", where="effect", repair="give 'ask' or 'fail'")

    @property
    def name(self) -> str:
        """The name of `reconcile`."""
        return getattr(self.reconcile, "__name__", repr(self.reconcile))

    def arguments(self, given: Mapping[str, object]) -> Mapping[str, object]:
        """Return those of the given values that `reconcile` takes."""
        parameters = inspect.signature(self.reconcile).parameters if self.reconcile is not None else {}
        if any(each.kind is each.VAR_KEYWORD for each in parameters.values()):
            return given
        return {name: value for name, value in given.items() if name in parameters}

    def lacks(self, given: Collection[str]) -> list[str]:
        """Return the parameters of `reconcile` that have no default and are not among the given names."""
        parameters = inspect.signature(self.reconcile).parameters if self.reconcile is not None else {}
        variadic = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
        needed = [n for n, each in parameters.items() if each.default is each.empty and each.kind not in variadic]
        return [name for name in needed if name not in {*given, KEY_NAME}]


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
    repair = f"did you mean {near!r}?" if near else "give 'read', 'idempotent', 'once' or Once(…)"
    return f"effect={effect!r} is unknown", repair


def checked_effect(effect: Effect | None, where: str) -> Effect | None:
    """Return a valid effect.

    Raises:
        DefinitionError: It is none.
    """
    wrong = wrong_effect(effect)
    if wrong is not None:
        raise DefinitionError(wrong[0], where=where, repair=wrong[1])
    return effect


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


def acting(effect: Effect | None, name: str, effects: Effects, where: str = "") -> Callable[..., object] | None:
    """Return what is called in place of a function that acts outside the run; None if nothing is.

    Args:
        effect: What the function does outside the run.
        name: Its name.
        effects: Whether effects happen.
        where: The node or tool, for the error.

    Raises:
        EffectRefused: Effects do not happen here, and nothing stands in for this one.
    """
    if effects == "act" or kind_of(effect) in (None, "read"):
        return None
    if name in effects:
        return effects[name]
    raise EffectRefused(
        f"{name} was not called: it acts outside the run (effect={kind_of(effect)!r}), and effects are refused here",
        where=where,
        repair=f'give what stands in for it, effects={{"{name}": function}}, or let effects happen: effects="act"',
    )


__all__ = [
    "KEY_NAME",
    "ONCE",
    "WAIT_ELSEWHERE",
    "Effect",
    "EffectKind",
    "Effects",
    "KnowsResults",
    "OnUnknown",
    "Once",
    "acting",
    "checked_effect",
    "kind_of",
    "known_result",
    "once_of",
]
