"""`graphengine check`: everything that is wrong with a graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from graphengine.cli import options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphengine.cli.session import Session
    from graphengine.errors import Problem


@click.command("check")
@click.argument("reference", metavar="FILE[:NAME]|NAME")
@options.common
@click.pass_obj
def command(session: Session, reference: str) -> int:
    """List everything that is wrong with a graph, and every warning.

    The exit code is 2 if anything keeps it from running, 0 otherwise.
    """
    from graphengine.cli.project import find
    from graphengine.cli.session import Exit
    from graphengine.cli.steps import counted
    from graphengine.document import problems_document
    from graphengine.errors import CompileError

    graph = find(reference).graph
    problems = graph.check()
    errors = [problem for problem in problems if not problem.warning]
    if session.json:
        session.document(
            problems_document(graph.name, problems, CompileError(graph.name, problems) if errors else None)
        )
    else:
        _show(session, problems)
        size = f"{counted(len(graph.nodes), 'node')}, {counted(len(graph.ways), 'way')} out"
        warnings = counted(len(problems) - len(errors), "warning")
        style = "bold red" if errors else "bold yellow" if problems else "bold green"
        session.out.line((graph.name, "bold"), f" ({size}): ", (f"{counted(len(errors), 'error')}, {warnings}", style))
    return Exit.USAGE if errors else Exit.FINISHED


def _show(session: Session, problems: Sequence[Problem]) -> None:
    for problem in problems:
        word, style = ("WARNING", "bold black on yellow") if problem.warning else ("error", "bold red")
        session.out.line((word, style), f" {problem.code}: {problem.message}")
        session.out.line(("  at: ", "dim"), problem.where)
        if problem.repair:
            session.out.line(("  repair: ", "bold"), problem.repair)
