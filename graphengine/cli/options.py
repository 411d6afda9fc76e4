"""What commands share: help with examples and exit codes, and the options of several of them.

Examples and exit codes are data of each command: docs/use/cli.md is made of them, and the tests run every example.
"""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from difflib import get_close_matches
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import click

from graphengine.cli import completing
from graphengine.cli.context import Exit
from graphengine.cli.places import database_from

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence

    from graphengine.cli.context import CommandContext
    from graphengine.graph.options import Limits

F = TypeVar("F", bound="Callable[..., Any]")

_NEGATIVE: Final = re.compile(r"-\.?[0-9]")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_LIMITS: Final = ("steps", "tokens", "cost_usd", "seconds")
_UNKNOWN_COST: Final = "unknown_cost"
_ANSWERS: Final = {"yes": True, "true": True, "no": False, "false": False, "none": False}


ALWAYS: Final[Mapping[int, str]] = {
    Exit.FAILED: "an unexpected error, or the output cannot be written",
    Exit.USAGE: "wrong usage, input or graph",
    Exit.STORE: "the database cannot be used",
    Exit.INTERRUPTED: "interrupted",
}
"""The default meaning of exit codes, which a command can override."""

DRIVES: Final[Mapping[int, str]] = {
    Exit.FINISHED: "the run finished",
    Exit.FAILED: "it failed",
    Exit.WAITING: "it waits, for an answer, a message or a time",
    Exit.STOPPED: "it was stopped, by a limit or on request; or released by SIGTERM",
    Exit.DRIVEN: "another process drives it",
}
"""Their meaning for a command that drives a run."""


class Command(click.Command):
    """A command whose help has examples and exit codes.

    Args:
        examples: Commands as they are typed, one per line; a comment after ` # ` explains each.
        exits: The meaning of its exit codes, where it differs from `ALWAYS`.
    """

    def __init__(
        self,
        *args: Any,  # noqa: ANN401 - click's own
        examples: str = "",
        exits: Mapping[int, str] | None = None,
        **options: Any,  # noqa: ANN401 - click's own
    ) -> None:
        super().__init__(*args, **options)
        self.examples: Sequence[str] = inspect.cleandoc(examples).splitlines()
        self.exits: Mapping[int, str] = exits or {Exit.FINISHED: "done"}

    @property
    def exit_codes(self) -> Mapping[int, str]:
        """The meaning of every exit code of the command, in order."""
        reads = any(param.name == "database" for param in self.params)
        always = {code: meaning for code, meaning in ALWAYS.items() if reads or code != Exit.STORE}
        return dict(sorted({**always, **self.exits}.items()))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments of the command; suggest only the closest match for a misspelt option."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            near = get_close_matches(error.option_name, error.possibilities or (), n=1)
            raise click.NoSuchOption(error.option_name, possibilities=near, ctx=ctx) from error

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples and the exit codes after the options."""
        super().format_epilog(ctx, formatter)
        if self.examples:
            with formatter.section("Examples"):
                for line in self.examples:
                    formatter.write(f"{'':>{formatter.current_indent}}{line}\n")
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(int(code)), meaning) for code, meaning in self.exit_codes.items()])


class Choice(click.Choice[str]):
    """One of several words; the error for a misspelt one suggests the closest match."""

    def get_invalid_choice_message(self, value: Any, ctx: click.Context | None) -> str:  # noqa: ANN401 - click's own
        """Return the message for an invalid word."""
        near = get_close_matches(str(value), self.choices, n=1)
        message = super().get_invalid_choice_message(value, ctx)
        return f"{message} Did you mean {near[0]!r}?" if near else message


@dataclass(frozen=True, slots=True)
class Given:
    """The options of every command that drives a run.

    Attributes:
        limits: The limits, each as NAME=NUMBER.
        pauses: The nodes to pause before; None if none was given, so that a run keeps its own.
        output: The file for the result.
        models: The models of agents, each as NAME or WHO=NAME.
    """

    limits: Sequence[str] = ()
    pauses: Sequence[str] | None = None
    output: Path | None = None
    models: Sequence[str] = ()


class _Database(click.Path):
    """A path, or an address: as a path, an address would lose a slash and show its password."""

    def convert(
        self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> str | bytes | os.PathLike[str]:
        """Return the address unchanged; refuse one of another kind before it is converted to a path."""
        if isinstance(value, str) and isinstance(database_from(value), str):
            return value
        return super().convert(value, param, ctx)


def _kept(ctx: click.Context, param: click.Parameter, value: object) -> None:
    """Keep the value of an option in the context."""
    if ctx.obj is not None and param.name is not None:
        setattr(ctx.obj, param.name, value)


run_id = click.argument("run_id", metavar="RUN_ID", shell_complete=completing.runs)
database = click.option(
    "--db",
    "database",
    metavar="PATH|ADDRESS",
    type=_Database(path_type=Path, readable=False),
    expose_value=False,
    callback=_kept,
    help="The database of runs: a file, or postgresql://user@host/database with the password in PGPASSWORD. If not "
    "given, the `db` of [tool.graphengine] in pyproject.toml, else the project's checkpoints/runs.db.",
)
graph = click.option(
    "--graph",
    "reference",
    metavar="FILE[:NAME]",
    shell_complete=completing.graphs,
    help="The run's graph, if it cannot be found by name.",
)
poll = click.option(
    "--poll",
    "poll_seconds",
    metavar="SECONDS",
    type=click.FloatRange(min=0, min_open=True, max=86_400),
    default=1.0,
    show_default=True,
    help="How long to wait before the next poll if no run is due.",
)


def concurrency(default: int) -> Callable[[F], F]:
    """Return the option for the number of runs that a process drives at a time."""
    kind = click.IntRange(min=1)
    return click.option(
        "--concurrency", type=kind, default=default, show_default=True, help="Maximum runs driven at a time."
    )


no_resume = click.option(
    "--no-resume",
    is_flag=True,
    help="Only record it; a worker or a later `resume` continues the run.",
)
no_wait = click.option(
    "--no-wait",
    is_flag=True,
    help="If the run only sleeps, exit with code 3 and leave it to a worker or a later `resume`.",
)
tags = click.option(
    "--tag",
    "tags",
    metavar="NAME",
    multiple=True,
    shell_complete=completing.tags,
    help="Tag the run, for `runs` and `prune`. May be repeated.",
)
model = click.option(
    "--model",
    "models",
    metavar="[WHO=]NAME",
    multiple=True,
    help="The model to use for all agents, or only for WHO, an agent or a node's path. NAME is "
    "anthropic:MODEL, openai:MODEL, openai-chat:MODEL@http://HOST:PORT/v1, recorded:FILE, offline, or a set of models "
    "that the graph's file defines in MODELS. May be repeated.",
)
_output = click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(path_type=Path, readable=False),
    help="Write the result of a finished run to this file: plain text, or JSON for other types.",
)
_limit = click.option(
    "--limit",
    "limits",
    metavar="NAME=NUMBER",
    multiple=True,
    help="Stop at steps=…, tokens=…, cost_usd=… or seconds=…; 'none' removes a limit. With cost_usd, unknown_cost=yes "
    "allows models whose price is unknown.",
)
_pause = click.option(
    "--pause-before",
    "pauses",
    metavar="NODE",
    multiple=True,
    shell_complete=completing.nodes,
    help="Wait before every visit of this node, by path, e.g. article/review, until `graphengine answer` approves it. "
    "May be repeated.",
)


class Age(click.ParamType[float]):
    """A duration such as 30d, 12h, 45m, 90s or 2w, converted to seconds."""

    name = "age"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:  # noqa: ANN401
        """Return the seconds of a duration."""
        found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([smhdw])", str(value))
        if found is None:
            self.fail(f"{value!r}: give a number and s, m, h, d or w, e.g. 30d", param, ctx)
        from graphengine.graph.options import LONGEST_SECONDS

        seconds = float(found[1]) * _SECONDS[found[2]]
        if seconds > LONGEST_SECONDS:
            self.fail(f"{value!r} is too long", param, ctx)
        return seconds


class ValueCommand(Command):
    """A command whose VALUE can be a negative number, which is not an option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments of the command."""
        ctx.ignore_unknown_options = any(_NEGATIVE.match(word) for word in args)
        return super().parse_args(ctx, args)


def common(function: F) -> F:
    """Add `--json` and `--debug`, which `Program.main` reads into the context."""
    for name, text in (("--debug", "Show tracebacks."), ("--json", "Write only JSON to stdout.")):
        function = click.option(name, is_flag=True, expose_value=False, help=text)(function)
    return function


_otel = click.option(
    "--otel",
    is_flag=True,
    expose_value=False,
    callback=_kept,
    help="Export traces and metrics with OpenTelemetry, configured by its OTEL_* variables.",
)
_log_format = click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    expose_value=False,
    callback=_kept,
    help="Write the log to stderr, as text or as a JSON object on each line.",
)
_log_level = click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    expose_value=False,
    callback=_kept,
    help="The lowest level that is logged.  [default with --log-format: info]",
)


def observed(function: F) -> F:
    """Add `--otel`, `--log-format` and `--log-level`, which the context keeps.

    The log is shown from before the command begins until it has returned. The command calls `notices.shown` and
    `observing.telemetry_of`.
    """

    @wraps(function)
    def call(*words: Any, **given: Any) -> object:  # noqa: ANN401 - as click gives them
        context: CommandContext = click.get_current_context().obj
        if not (context.log_format or context.log_level):
            return function(*words, **given)
        from graphengine.cli.observing import logged

        with logged(context):
            return function(*words, **given)

    return _otel(_log_format(_log_level(cast("F", call))))


def driving(function: Callable[..., int]) -> Callable[..., int]:
    """Add the options of every command that drives a run; the command gets them as `given`."""

    @wraps(function)
    def call(
        context: object,
        limits: tuple[str, ...],
        pauses: tuple[str, ...],
        output: Path | None,
        models: tuple[str, ...],
        **rest: Any,  # noqa: ANN401 - the command's own options
    ) -> int:
        return function(context, given=Given(limits, pauses or None, output, models), **rest)

    return model(_limit(_pause(_output(database(observed(common(call)))))))


def limits_from(given: Sequence[str], base: Limits) -> Limits:
    """Return the base limits, updated with the given ones.

    Raises:
        click.BadParameter: A limit is invalid.
    """
    from dataclasses import replace

    named: dict[str, Any] = {}
    for pair in given:
        name, _, text = pair.partition("=")
        if name == _UNKNOWN_COST:
            named[name] = _yes_or_no(name, text)
        elif name in _LIMITS:
            named[name] = _number(name, text)
        else:
            raise click.BadParameter(f"{pair!r}: {_known(name)}", param_hint="--limit")
    return replace(base, **named)


def _known(name: str) -> str:
    """Return a hint for an unknown limit: a similar name, or all names."""
    names = (*_LIMITS, _UNKNOWN_COST)
    near = get_close_matches(name, names, n=1)
    return f"did you mean {near[0]}=…?" if near else f"use one of {', '.join(names)}, e.g. steps=50"


def _number(name: str, text: str) -> float | None:
    if text.lower() == "none":
        return None
    try:
        number = int(text) if name in ("steps", "tokens") else float(text)
    except ValueError:
        number = -1
    if not 0 <= number < float("inf"):
        kind = "whole number" if name in ("steps", "tokens") else "number"
        raise click.BadParameter(f"{name}={text}: give a {kind} of 0 or more, or none", param_hint="--limit")
    return number


def _yes_or_no(name: str, text: str) -> bool:
    if text.lower() not in _ANSWERS:
        raise click.BadParameter(f"{name}={text}: give yes or no", param_hint="--limit")
    return _ANSWERS[text.lower()]
