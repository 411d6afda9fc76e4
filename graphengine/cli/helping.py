"""What `--help` says beside click's own: examples that work, and what the exit codes of the command mean.

Both stand beside the command itself, and are data: docs/use/cli.md is made of them, and the tests run every example.
Below
that: what a misspelt option or word was perhaps meant to be.
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
    Exit.FAILED: "an error nobody foresaw, or its output cannot be written",
    Exit.USAGE: "wrong usage, input or graph",
    Exit.STORE: "the database cannot be used",
    Exit.INTERRUPTED: "interrupted",
}
"""What exit codes mean where a command does not say otherwise."""

DRIVES: Final[Mapping[int, str]] = {
    Exit.FINISHED: "the run finished",
    Exit.FAILED: "it failed",
    Exit.WAITING: "it waits, for an answer, a message or a time",
    Exit.STOPPED: "it was stopped, by a limit or by a caller; or released, by SIGTERM",
    Exit.DRIVEN: "another process drives it",
}
"""What they mean of a command that drives a run."""


class Command(click.Command):
    """A command whose help has examples and exit codes.

    Args:
        examples: Commands as they are typed, one a line; what stands behind ` # ` says what each is for.
        exits: What its exit codes mean, where that is more than `ALWAYS` says.
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
        """What every exit code of the command means, in order."""
        reads = any(param.name == "database" for param in self.params)
        always = {code: told for code, told in ALWAYS.items() if reads or code != Exit.STORE}
        return dict(sorted({**always, **self.exits}.items()))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the words of the command; of the options like a misspelt one only the likest is named."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            near = get_close_matches(error.option_name, error.possibilities or (), n=1)
            raise click.NoSuchOption(error.option_name, possibilities=near, ctx=ctx) from error

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples and the exit codes behind the options."""
        super().format_epilog(ctx, formatter)
        if self.examples:
            with formatter.section("Examples"):
                for line in self.examples:
                    formatter.write(f"{'':>{formatter.current_indent}}{line}\n")
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(int(code)), meaning) for code, meaning in self.exit_codes.items()])


class Choice(click.Choice[str]):
    """One of several words; the one that is likest to a misspelt one is named first."""

    def get_invalid_choice_message(self, value: Any, ctx: click.Context | None) -> str:  # noqa: ANN401 - click's own
        """What is said of a word that is none of them."""
        near = get_close_matches(str(value), self.choices, n=1)
        told = super().get_invalid_choice_message(value, ctx)
        return f"{told} Did you mean {near[0]!r}?" if near else told


__all__ = ["ALWAYS", "DRIVES", "Choice", "Command"]
