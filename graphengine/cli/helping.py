"""Additions to click's `--help`: runnable examples, the meaning of exit codes, and hints for misspelt words.

Examples and exit codes are data of each command: docs/use/cli.md is made of them, and the tests run every example.
"""

from __future__ import annotations

import inspect
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final

import click

from graphengine.cli.session import Exit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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


__all__ = ["ALWAYS", "DRIVES", "Choice", "Command"]
