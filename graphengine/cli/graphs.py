"""`graphengine graphs`: list the graphs of a project, each on one line."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from graphengine.cli import options
from graphengine.cli.context import Exit
from graphengine.cli.terminal import wrapped

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from graphengine.cli.context import CommandContext
    from graphengine.cli.project import Listed
    from graphengine.errors import GraphEngineError
    from graphengine.records.base_documents import Broken, Document


@options.command(
    "graphs",
    examples="""
        graphengine graphs
        graphengine graphs --json
    """,
    exits={
        0: "the graphs are listed",
        2: "a file cannot be run, two graphs have the same name, there is no project, or the usage is wrong",
    },
)
def graphs(context: CommandContext) -> int:
    """List the graphs of the project, which `graphengine run NAME` finds by name.

    The command searches for graphs in the folders that pyproject.toml lists under [tool.graphengine] graphs. It leaves
    out graphs that are nodes of other graphs in the same file.

    The description of a graph is the first sentence of its file. If a file defines several graphs, the sentence
    describes the graph that is named after the file, and the descriptions of the other graphs refer to that graph.

    If a file of graphs cannot be run, or if graphs of two files have the same name, the command says so on stderr and
    exits with code 2.
    """
    from graphengine.cli.project import list_graphs

    found = list_graphs()
    if context.json:
        context.document(_list_document(found))
    else:
        rows = [(graph.name, about(each, graph.name)) for each in found for graph in each.graphs]
        show_described(context, rows)
        for each in found:
            if each.error is not None:
                context.show(each.error)
        if not rows:
            context.err.line("no graph was found in the folders that [tool.graphengine] graphs in pyproject.toml lists")
    return Exit.USAGE if any(each.error is not None for each in found) else Exit.FINISHED


def about(each: Listed, name: str) -> str:
    """Return the description of a graph in a list: the first sentence of its file.

    A file with several graphs describes the graph that is named after the file. The others are described as `Next to
    REVIEW, in graphs/REVIEW.py.`
    """
    if name != each.file.stem and any(graph.name == each.file.stem for graph in each.graphs):
        return f"Next to {each.file.stem}, in {each.file.as_posix()}."
    return first_sentence(each.module.__doc__ or "") if each.module is not None else ""


def first_sentence(text: str) -> str:
    """Return the first sentence of a docstring, on one line; "" if the docstring is empty.

    A sentence only ends at a full stop before a capital letter, so that `END.` in code or `v1.2` do not end it.
    """
    paragraph = " ".join(inspect.cleandoc(text).partition("\n\n")[0].split())
    words = paragraph.split(" ")
    for place, word in enumerate(words[:-1]):
        if word.endswith((".", "!", "?")) and words[place + 1][:1].isupper():
            return " ".join(words[: place + 1])
    return paragraph


def _list_document(found: Sequence[Listed]) -> Document:
    from graphengine.cli.documents import Graphs, ListedGraph

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
    return Graphs(graphs=graphs, broken=[broken(each.file, each.error) for each in found if each.error])


def broken(file: Path, error: GraphEngineError) -> Broken:
    """Return the JSON document about a graph's file that cannot be run."""
    from graphengine.records.base_documents import Broken, refusal_of

    return Broken(file=str(file), line=file_and_line(error)[1], error=refusal_of(error))


def file_and_line(error: GraphEngineError) -> tuple[str, int | None]:
    """Split a text such as `graphs/review.py:12`, the location of an error, into the file and the line.

    The line is None if the location contains only a file.
    """
    file, _, line = error.where.rpartition(":")
    return (file, int(line)) if line.isdigit() else (error.where, None)


def show_described(context: CommandContext, rows: Sequence[tuple[str, str]]) -> None:
    """Show a list of names with a description beside each name. On a terminal, the descriptions are wrapped."""
    from rich.cells import cell_len

    width = max((cell_len(name) for name, _ in rows), default=0)
    columns = context.out.columns
    for name, text in rows:
        lines = wrapped(text, columns - width - 2) if columns is not None else [text]
        context.out.line((name, "bold"), " " * (width - cell_len(name) + 2), lines[0] if lines else "")
        for line in lines[1:]:
            context.out.line(" " * (width + 2), line)
