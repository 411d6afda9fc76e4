"""Write docs/use/cli.md from the commands: their help, options, examples, exit codes and documents.

Run it when a command changed; tests/cli/test_cli_page.py holds the page against what would be written.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin

import click
from pydantic import BaseModel

from graphengine.cli.helping import Command
from graphengine.cli.main import COMMANDS, main
from graphengine.cli.schemas import DOCUMENTS, Failed
from graphengine.cli.session import Exit
from graphengine.history.export_file import RunFile

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = Path(__file__).resolve().parents[1] / "docs" / "use" / "cli.md"

HEAD = """\
<!-- Written by scripts/cli_docs.py from the commands themselves; change them, and run it again. -->

# The command line

`graphengine COMMAND --help` says in a terminal what stands here. [The guide](guide.md#command-line) tells how graphs
are found, how input is written and where runs are kept.

Every command takes `--json` and `--debug`. With `--json` it writes one JSON document to stdout and nothing else there
(`worker` one on each line); what a person wants to know goes to stderr. [Documents](#documents) tells every key, and
`graphengine schema COMMAND` prints the JSON Schema. Without `--debug` no error shows a traceback. Colours are left out
where `NO_COLOR` is set and where no terminal reads them.

`graphengine completion bash` (or `zsh`, `fish`) prints what completes commands, options, graphs, runs, tags and nodes:
put `eval "$(graphengine completion bash)"` at the end of `~/.bashrc`.
"""

EXITS = {
    Exit.FINISHED: "finished, or done",
    Exit.FAILED: "the run failed; `replay`: decided otherwise; `doctor`: a fault remains, or something is lost",
    Exit.USAGE: "wrong usage, input or graph",
    Exit.WAITING: "the run waits; or an answer or message was recorded and the run could not be gone on with here",
    Exit.STOPPED: "stopped, by a limit or because somebody asked",
    Exit.STORE: "the database",
    Exit.DRIVEN: "another process drives the run",
    Exit.INTERRUPTED: "interrupted",
}

DOCUMENTS_HEAD = """\
## Documents

Every document has `schema`, 1 for now, which rises when a reader of the old documents would be wrong about new ones.
More keys may come without that: a reader should let pass what it does not know. Times are epoch seconds. Keys marked
with * are there only where the words beside them apply. A command that could not do its work writes
[`Failed`](#failed).
"""


def page() -> str:
    """The whole page."""
    parts = [HEAD, _exit_codes(), *(_command(name) for name in COMMANDS), DOCUMENTS_HEAD, *_models()]
    return "\n".join(part.rstrip() + "\n" for part in parts)


def _exit_codes() -> str:
    rows = "\n".join(f"| {int(code)} | {EXITS[code]} |" for code in Exit)
    return (
        f"## Exit codes\n\n| exit code | meaning |\n|---|---|\n{rows}\n\nWhat they mean of one command is told with it."
    )


def _command(name: str) -> str:
    context = click.Context(main, info_name="graphengine")
    command = main.get_command(context, name)
    if not isinstance(command, Command):
        message = f"{name} is no {Command.__name__} of graphengine.cli.helping"
        raise TypeError(message)
    own = click.Context(command, info_name=name, parent=context)
    usage = " ".join(command.collect_usage_pieces(own))
    blocks = [
        f"## graphengine {name}",
        f"```text\ngraphengine {name} {usage}\n```",
        "\n\n".join(" ".join(part.split()) for part in inspect.cleandoc(command.help or "").split("\n\n")),
        _options(command, own),
        "```console\n" + "\n".join(f"$ {line}" for line in command.examples) + "\n```",
        "Exit codes: " + "; ".join(f"{int(code)} {told}" for code, told in command.exit_codes.items()) + ".",
        _written(name),
    ]
    return "\n\n".join(block for block in blocks if block)


def _options(command: click.Command, context: click.Context) -> str:
    everywhere = ("--json", "--debug", "--help")
    records = [
        param.get_help_record(context)
        for param in command.get_params(context)
        if isinstance(param, click.Option) and not set(param.opts) & set(everywhere)
    ]
    rows = [f"| `{record[0]}` | {_cell(record[1])} |" for record in records if record is not None]
    return "\n".join(["| option | meaning |", "|---|---|", *rows]) if rows else ""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _written(name: str) -> str:
    kinds = DOCUMENTS.get(name)
    if kinds is None:
        return "It writes a JSON Schema, with and without `--json`."
    told = [f"{_link(kind.model)}{f' {kind.when}' if kind.when else ''}" for kind in kinds]
    return f"`--json` writes {'; '.join(told)}."


def _link(model: type[BaseModel]) -> str:
    if model is RunFile:
        return "the run's file"
    return f"[`{model.__name__}`](#{model.__name__.lower()})"


def _models() -> Iterator[str]:
    """The documents in order of the commands, each before its parts that were not told yet."""
    roots: list[type[BaseModel]] = [kind.model for kinds in DOCUMENTS.values() for kind in kinds]
    seen: dict[type[BaseModel], None] = {}
    roots.append(Failed)
    for root in roots:
        _collect(root, seen)
    for model in seen:
        rows = "\n".join(_row(name, model) for name in model.model_fields if name != "version")
        yield f"### {model.__name__}\n\n{inspect.getdoc(model)}\n\n| key | type | meaning |\n|---|---|---|\n{rows}\n"


def _collect(model: type[BaseModel], seen: dict[type[BaseModel], None]) -> None:
    if model in seen or model is RunFile:
        return
    seen[model] = None
    for info in model.model_fields.values():
        for part in _parts(info.annotation):
            _collect(part, seen)


def _parts(annotation: Any) -> Iterator[type[BaseModel]]:  # noqa: ANN401 - any annotation
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _parts(argument)


def _row(name: str, model: type[BaseModel]) -> str:
    info = model.model_fields[name]
    mark = "" if info.is_required() else "*"
    return f"| `{info.alias or name}`{mark} | {_type(info.annotation)} | {_cell(info.description or '')} |"


def _type(annotation: Any) -> str:  # noqa: ANN401, PLR0911 - any annotation, and one answer for each kind
    """An annotation as a reader of JSON would say it."""
    arguments = get_args(annotation)
    origin = get_origin(annotation)
    if annotation is None or annotation is type(None):
        return "null"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return _link(annotation)
    if origin is Union or type(annotation).__name__ == "UnionType":
        return " or ".join(_type(argument) for argument in arguments)
    if re.search(r"Literal\[", repr(annotation)) and origin is not None and not isinstance(origin, type):
        return ", ".join(f"`{argument}`" for argument in arguments)
    name = getattr(origin, "__name__", getattr(annotation, "__name__", ""))
    if name == "Sequence":
        return f"list of {_type(arguments[0])}"
    if name == "Mapping":
        return "object"
    return {"str": "text", "int": "whole number", "float": "number", "bool": "true or false"}.get(name, "any")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"written: {PAGE}")
