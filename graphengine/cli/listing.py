"""`graphengine list`: the graphs of the current project, with one line each."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

import click

from graphengine.cli import helping, options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphengine.cli.project import Listed
    from graphengine.cli.session import Session
    from graphengine.history.json_document import Document


@click.command(
    "list",
    cls=helping.Command,
    examples="""
        graphengine list
        graphengine list --json
    """,
    exits={0: "listed", 2: "a file cannot be run, or there is no project; or wrong usage"},
)
@options.common
@click.pass_obj
def command(session: Session) -> int:
    """List the graphs of the project, which `graphengine run NAME` finds by name.

    They are the graphs in the folders listed in pyproject.toml under [tool.graphengine] graphs, except those that are
    nodes of other graphs in the same file. Each is described by the first sentence of its file. If a file has several
    graphs, this sentence describes the graph named after the file, and the others refer to that graph. Files that
    cannot be run are listed on stderr, and the exit code is then 2.
    """
    from graphengine.cli.project import list_graphs
    from graphengine.cli.session import Exit

    found = list_graphs()
    if session.json:
        session.document(_document(found))
    else:
        _show(session, found)
    return Exit.USAGE if any(each.error is not None for each in found) else Exit.FINISHED


def about(each: Listed, name: str) -> str:
    """Return the description of a graph: the first sentence of its file, or the main graph of that file."""
    if name != each.file.stem and any(graph.name == each.file.stem for graph in each.graphs):
        return f"Next to {each.file.stem}, in {each.file.as_posix()}."
    return first_sentence(each.module.__doc__ or "") if each.module is not None else ""


def first_sentence(text: str) -> str:
    """Return the first sentence of a docstring, on one line; "" if it is empty.

    Only a full stop before a capital letter ends it, so that `END.` of code or `v1.2` do not.
    """
    paragraph = " ".join(inspect.cleandoc(text).partition("\n\n")[0].split())
    words = paragraph.split(" ")
    for place, word in enumerate(words[:-1]):
        if word.endswith((".", "!", "?")) and words[place + 1][:1].isupper():
            return " ".join(words[: place + 1])
    return paragraph


def _document(found: Sequence[Listed]) -> Document:
    from graphengine.cli.graph_documents import Broken, Graphs, ListedGraph
    from graphengine.history.json_document import refusal_of

    broken = [Broken(file=str(each.file), error=refusal_of(each.error)) for each in found if each.error]
    graphs = [
        ListedGraph(
            name=graph.name,
            file=str(each.file),
            about=about(each, graph.name),
            nodes=len(graph.nodes),
            example=hasattr(each.module, "example"),
            models=sorted(getattr(each.module, "MODELS", {})),
            input=graph.state.model_json_schema(),
        )
        for each in found
        if each.module is not None
        for graph in each.graphs
    ]
    return Graphs(graphs=graphs, broken=broken)


def _show(session: Session, found: Sequence[Listed]) -> None:
    from rich.cells import cell_len

    from graphengine.cli.tables import wrapped

    rows = [(graph.name, about(each, graph.name)) for each in found for graph in each.graphs]
    width = max((cell_len(name) for name, _ in rows), default=0)
    columns = session.out.columns
    for name, text in rows:
        lines = wrapped(text, columns - width - 2) if columns is not None else [text]
        session.out.line((name, "bold"), " " * (width - cell_len(name) + 2), lines[0] if lines else "")
        for line in lines[1:]:
            session.out.line(" " * (width + 2), line)
    for each in found:
        if each.error is not None:
            session.show(each.error)
    if not rows:
        session.err.line("no graph found in the folders of [tool.graphengine] graphs")
