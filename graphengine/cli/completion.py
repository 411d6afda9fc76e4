"""`graphengine completion` and `graphengine schema`: describe the commands for shells and other programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from graphengine.cli import options

if TYPE_CHECKING:
    from graphengine.cli.context import CommandContext


@options.command(
    "completion",
    examples="""
        graphengine completion bash    # for eval in ~/.bashrc
        graphengine completion fish
    """,
)
@click.argument("shell", metavar="SHELL", type=options.Choice(("bash", "zsh", "fish")))
def completion(context: CommandContext, shell: str) -> int:
    """Print a completion script for bash, zsh or fish.

    The script completes commands, options, graphs, runs, tags and nodes. Install it as follows:

    - For bash, add `eval "$(graphengine completion bash)"` at the end of ~/.bashrc.
    - For zsh, add `eval "$(graphengine completion zsh)"` to ~/.zshrc, after compinit.
    - For fish, run `graphengine completion fish > ~/.config/fish/completions/graphengine.fish`.
    """
    from click.shell_completion import ShellComplete, get_completion_class

    from graphengine.cli.main import COMPLETES, main

    kind = get_completion_class(shell)
    if kind is None:  # pragma: no cover - click has all three
        raise click.UsageError(f"click has no completion for {shell}")
    script = ShellComplete.source(
        kind(main, {}, "graphengine", COMPLETES)
    )  # BashComplete.source would start bash to check its version
    if context.json:
        from graphengine.cli.documents import Script

        context.document(Script(shell=shell, script=script))
    else:
        context.out.write(script.rstrip() + "\n")
    return 0


@options.command(
    "schema",
    examples="""
        graphengine schema              # all documents
        graphengine schema runs
        graphengine schema queues set
    """,
)
@click.argument("name", metavar="[COMMAND]", nargs=-1, shell_complete=lambda ctx, _, word: _complete_command(ctx, word))
def schema(context: CommandContext, name: tuple[str, ...]) -> int:
    """Print the JSON Schema of a command's --json output, or of the output of all commands.

    Some commands write different documents, depending on their options or on failure. The schema of such a command
    accepts any of these documents. Readers should ignore unknown keys, because keys can be added without a new `schema`
    number.
    """
    from graphengine.cli.schemas import schema_of

    context.document(schema_of(" ".join(name) or None))
    return 0


def _complete_command(ctx: click.Context, incomplete: str) -> list[str]:
    """Offer the words that can complete the name of a command, such as `set` after `graphengine schema queues`."""
    from graphengine.cli.main import commands

    typed = " ".join([*(ctx.params["name"] or ()), incomplete])
    word_start = len(typed) - len(incomplete)
    return list(dict.fromkeys(name[word_start:].split()[0] for name in commands() if name.startswith(typed)))
