"""`graphengine completion`: the shell completion script."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from graphengine.cli import completing, helping, options

if TYPE_CHECKING:
    from graphengine.cli.session import Session


@click.command(
    "completion",
    cls=helping.Command,
    examples="""
        graphengine completion bash    # for eval in ~/.bashrc
        graphengine completion fish
    """,
)
@click.argument("shell", metavar="SHELL", type=helping.Choice(completing.SHELLS))
@options.common
@click.pass_obj
def command(session: Session, shell: str) -> int:
    """Print a completion script for bash, zsh or fish: commands, options, graphs, runs, tags and nodes.

    For bash, add this at the end of ~/.bashrc: eval "$(graphengine completion bash)". For zsh, add the same with zsh to
    ~/.zshrc, after compinit. For fish: graphengine completion fish > ~/.config/fish/completions/graphengine.fish
    """
    from click.shell_completion import ShellComplete, get_completion_class

    from graphengine.cli.main import COMPLETES, main

    kind = get_completion_class(shell)
    if kind is None:  # pragma: no cover - click has all three
        raise click.UsageError(f"click has no completion for {shell}")
    script = ShellComplete.source(
        kind(main, {}, "graphengine", COMPLETES)
    )  # BashComplete.source would start bash to check its version
    if session.json:
        from graphengine.cli.graph_documents import Script

        session.document(Script(shell=shell, script=script))
    else:
        session.out.write(script.rstrip() + "\n")
    return 0
