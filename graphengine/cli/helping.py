"""What `--help` says beside click's own: examples that work, and what the exit codes of the command mean.

Both stand beside the command itself, and are data: docs/cli.md is made of them, and the tests run every example.
"""

from __future__ import annotations

import inspect
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
    Exit.STOPPED: "it was stopped, by a limit or because somebody asked",
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

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples and the exit codes behind the options."""
        super().format_epilog(ctx, formatter)
        if self.examples:
            with formatter.section("Examples"):
                for line in self.examples:
                    formatter.write(f"{'':>{formatter.current_indent}}{line}\n")
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(int(code)), meaning) for code, meaning in self.exit_codes.items()])


__all__ = ["ALWAYS", "DRIVES", "Command"]
