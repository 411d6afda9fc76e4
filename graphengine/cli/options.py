"""The parts that commands share: help with examples and exit codes, and the options of several commands.

Examples and exit codes are data of each command. The page docs/use/cli.md is generated from them, and the tests run
every example.
"""

from __future__ import annotations

import inspect
import re
from contextlib import suppress
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from graphengine.cli.context import Exit
from graphengine.cli.places import database_from
from graphengine.errors import GraphEngineError

if TYPE_CHECKING:
    import os
    from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from click.shell_completion import CompletionItem

    from graphengine.cli.context import CommandContext
    from graphengine.kernel.extension import Limits
    from graphengine.kernel.store import RunInfo, Store

F = TypeVar("F", bound="Callable[..., Any]")

_NEGATIVE: Final = re.compile(r"-\.?[0-9]")
_WHOLE: Final = ("visits", "tokens", "depth")
_LIMITS: Final = ("visits", "tokens", "cost_usd", "seconds", "depth")
_DIGITS: Final = 18
_CLOSE: Final = 0.8
"""How similar a word must be to a known word, from 0 to 1, to count as a misspelling of this word."""
_UNKNOWN_COST: Final = "unknown_cost"
_ANSWERS: Final = {"yes": True, "true": True, "no": False, "false": False, "none": False}


ALWAYS: Final[Mapping[int, str]] = {
    Exit.FAILED: "an unexpected error occurred, or the output cannot be written",
    Exit.USAGE: "the options, the input or the graph are wrong",
    Exit.STORE: "the database cannot be used",
    Exit.INTERRUPTED: "the command was interrupted",
}
"""The default meanings of exit codes, which a command can override."""

DRIVES: Final[Mapping[int, str]] = {
    Exit.FINISHED: "the run finished",
    Exit.FAILED: "the run failed",
    Exit.WAITING: "the run waits for an answer, a message or a time",
    Exit.STOPPED: "the run was stopped by a limit or on request, or it was cancelled, or SIGTERM released it",
    Exit.DRIVEN: "another process drives the run",
}
"""The meanings of exit codes for a command that drives a run."""


class Command(click.Command):
    """A command of the command line whose help also contains examples and the meaning of exit codes.

    Args:
        examples: Commands as they are typed, one per line; a comment after ` # ` explains each.
        exits: What exit codes of this command mean, if they differ from the meanings that most commands share
            (`ALWAYS`).
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
        """The meaning of each exit code of the command, in ascending order."""
        reads = any(param.name == "database" for param in self.params)
        always = {code: meaning for code, meaning in ALWAYS.items() if reads or code != Exit.STORE}
        return dict(sorted({**always, **self.exits}.items()))

    def _list_suggested(self) -> Sequence[str]:
        """Return the options that an error message may suggest in place of a misspelt option.

        The option `--yes` is left out, because it skips a confirmation.
        """
        own = [name for param in self.params for name in (*param.opts, *param.secondary_opts)]
        return [name for name in own if name.startswith("--") and name != "--yes"] + ["--help"]

    def _find_foreign(self, commands: str, option: str) -> str:
        """Return what to write instead of an option that the user knows from another tool, such as LangGraph's program.

        A table lists such options. Its entries for this command come first. An entry for all commands applies only if
        this command has the option that the entry suggests. Returns "" if there is no entry, for example because the
        user misspelt an option of this command.
        """
        from graphengine.kernel.inside import repair_for

        own = self._list_suggested()
        general = re.findall(r"--\S+(?: \w+)?$", repair_for(option, "option", own=own), re.MULTILINE)
        usable = dict.fromkeys(each for each in general if each.split()[0] in own)
        return repair_for(commands + option, "option", own=own) or " or ".join(usable)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the words of the command line after the command's name. For an unknown option, suggest another."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            option, commands, around = error.option_name, "", ctx
            while around.parent is not None:
                commands, around = f"{around.info_name} {commands}", around.parent
            if foreign := self._find_foreign(commands, option):
                raise click.UsageError(f"{error.message} Here: {foreign}", ctx) from error
            if error.option_name == "--graph" and any(param.name == "run_id" for param in self.params):
                text = f"{error.message} This command reads the record of a run, which needs no graph."
                raise click.UsageError(text, ctx) from error
            own, possible = self._list_suggested(), error.possibilities or ()
            near = find_slip(option, own) or next(iter(get_close_matches(option, possible, n=1)), "")
            raise click.NoSuchOption(option, possibilities=[near] if near in own else [], ctx=ctx) from error
        except click.UsageError as error:
            extra = re.findall(r"[^\s()]+=[^\s()]*", error.message)
            if not extra or all(param.name != "pairs" for param in self.params):
                raise
            inputs = " ".join(f"--input {pair}" for pair in extra)
            raise click.UsageError(f"{error.message}. Inputs are options: {inputs}", ctx) from error

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's own
        """Run the command. With `--log-format` or `--log-level`, write the log to stderr meanwhile."""
        context: CommandContext = ctx.obj
        if not (context.log_format or context.log_level):
            return super().invoke(ctx)
        from graphengine.cli.observing import logged

        with logged(context):
            return super().invoke(ctx)

    @property
    def paragraphs(self) -> Sequence[Sequence[str]]:
        """The help of the command as a list of paragraphs, each of which is a list of strings.

        A paragraph of text is one string. A list has one string for each item. In the docstring, an item begins with `-
        `.
        """
        parts = inspect.cleandoc(self.help or "").split("\n\n")
        split = [re.split(r"\n(?=- )", part) if part.startswith("- ") else [part] for part in parts]
        return [[" ".join(text.split()) for text in texts] for texts in split]

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the paragraphs of the help. Each item of a list begins on a line of its own."""
        del ctx
        for texts in self.paragraphs:
            formatter.write_paragraph()
            for text in texts:
                first = " " * (formatter.current_indent + 2)
                others = f"{first}  " if text.startswith("- ") else first
                formatter.write(f"{click.wrap_text(text, formatter.width, first, others)}\n")

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_epilog(ctx, formatter)
        if self.examples:
            with formatter.section("Examples"):
                for line in self.examples:
                    formatter.write(f"{'':>{formatter.current_indent}}{line}\n")
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(int(code)), meaning) for code, meaning in self.exit_codes.items()])


def find_slip(name: str, own: Collection[str]) -> str:
    """Return the command or option that the user probably meant by a misspelt word; "" if no name is similar.

    >>> find_slip("shows", ["show", "stop"]), find_slip("--dry_run", ["--dry-run"]), find_slip("exp", ["export"])
    ('show', '--dry-run', 'export')
    """
    typed = name.replace("_", "-") if name.startswith("-") else name
    longer = [each for each in own if each.startswith(typed)]
    return next(iter(get_close_matches(typed, own, n=1, cutoff=_CLOSE) or (longer if len(longer) == 1 else ())), "")


class Choice(click.Choice):  # type: ignore[type-arg]  # click before 8.2 takes none
    """The type of an option that accepts one of several words.

    For a misspelt word, the error suggests the closest word.
    """

    def get_invalid_choice_message(self, value: Any, ctx: click.Context | None) -> str:  # noqa: ANN401 - click's own
        near = get_close_matches(str(value), self.choices, n=1)
        message = super().get_invalid_choice_message(value, ctx)
        return f"{message} Did you mean {near[0]!r}?" if near else message


# --- completions: no user code is run; on an error, nothing is offered, since output would break the line typed ---

_GRAPH: Final = re.compile(r"""\bGraph(?:\[[^\]]*\])?\(\s*["']([\w-]+)["']""")
_NODE: Final = re.compile(r"""\.add_node\(\s*["']([\w-]+)["']""")
_PLAIN: Final = re.compile(r"[\w.:@%+=/-]+")
"""Words that need no quotes in a shell. Other words are not offered, because bash would insert them without quotes."""
_RUNS: Final = 100
"""The number of newest runs that are offered, or whose tags are offered."""


def complete_graphs(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete an argument with the project's graphs, or with files if the word begins like a path."""
    names = complete_graph_names(ctx, param, incomplete)
    is_path = "/" in incomplete or incomplete.startswith(".") or not names
    return _complete_file(incomplete) if is_path else names


def complete_graph_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete an argument with the names of the project's graphs."""
    del ctx, param
    texts = dict(_iter_graph_texts())
    found = {*texts, *(name for text in texts.values() for name in _GRAPH.findall(text))}
    return [_build_completion(name) for name in sorted(found) if name.startswith(incomplete) and _PLAIN.fullmatch(name)]


def complete_runs(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete an argument with the ids of runs, and show the graph and the status of each run.

    If the word is still empty, the newest runs are offered.
    """
    del param

    async def named(store: Store) -> Sequence[RunInfo]:
        found = await store.infos(await store.ids(incomplete, limit=_RUNS))
        return sorted(found, key=lambda info: info.created_at, reverse=True)

    found = _read_for_completion(ctx, named if incomplete else _load_newest)
    return [
        _build_completion(info.id, help=f"{info.graph} ({info.status})") for info in found if _PLAIN.fullmatch(info.id)
    ]


def complete_runs_or_graphs(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete an argument that names a run or a graph."""
    found = complete_runs(ctx, param, incomplete) if incomplete else []
    return [*(item for item in complete_graphs(ctx, param, incomplete) if item.type == "plain" or not found), *found]


def complete_runs_or_files(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete an argument with the ids of runs, or with files if no run matches."""
    return complete_runs(ctx, param, incomplete) or _complete_file(incomplete)


def complete_tags(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete an option with the tags of the newest runs."""
    del param
    found = {tag for info in _read_for_completion(ctx, _load_newest) for tag in info.tags}
    return [_build_completion(tag) for tag in sorted(found) if tag.startswith(incomplete)]


def complete_search(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete a search with its filters and their values, such as `status:failed`.

    Bash splits `status:fa` into three words at the colon. The filter's name and the colon are then already among the
    words before the current word, or the current word is `:`.
    """
    from graphengine.records.selection import STATUSES

    words_before = [*(ctx.params.get("words") or ()), *([":"] if incomplete == ":" else [])]
    is_split = len(words_before) > 1 and words_before[-1] == ":"
    name, colon, value_start = incomplete.partition(":")
    if is_split:
        name, colon, value_start = words_before[-2], ":", incomplete.lstrip(":")
    values: dict[str, Callable[[], Iterable[str]]] = {
        "status": lambda: STATUSES,
        "graph": lambda: (str(item.value) for item in complete_graph_names(ctx, param, value_start)),
        "tag": lambda: (str(item.value) for item in complete_tags(ctx, param, value_start)),
        "since": lambda: ("1h", "1d", "7d", "30d"),
    }
    return [
        _build_completion(value if is_split else f"{kind}:{value}")
        for kind, known in values.items()
        if kind == name or (not colon and kind.startswith(name))
        for value in known()
        if value.startswith(value_start) and _PLAIN.fullmatch(value)
    ]


def complete_nodes(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete an option with the nodes in the project's graph files."""
    del ctx, param
    found = {name for _, text in _iter_graph_texts() for name in _NODE.findall(text)}
    return [_build_completion(name) for name in sorted(found) if name.startswith(incomplete)]


def _build_completion(value: str, type: str = "plain", help: str | None = None) -> CompletionItem:  # noqa: A002 - click's names
    from click.shell_completion import CompletionItem

    return CompletionItem(value, type, help)


def _complete_file(incomplete: str) -> list[CompletionItem]:
    return [_build_completion(incomplete, type="file")]


def _iter_graph_texts() -> Iterator[tuple[str, str]]:
    from graphengine.cli.places import graph_files, project_of

    with suppress(GraphEngineError, OSError):
        root = project_of(Path.cwd())
        for file in graph_files(root) if root is not None else ():
            yield file.stem, file.read_text(encoding="utf-8", errors="replace")


async def _load_newest(store: Store) -> Sequence[RunInfo]:
    return await store.runs(limit=_RUNS)


def _read_for_completion(
    ctx: click.Context, reading: Callable[[Store], Awaitable[Sequence[RunInfo]]]
) -> Sequence[RunInfo]:
    """Return the runs to offer as completions, which the function `reading` finds in the command's database.

    If the database cannot be read, return no runs: an error message would appear in the line that the user is typing.
    """
    try:
        found: Sequence[RunInfo] = ctx.obj.read(reading)
    except (GraphEngineError, OSError):
        return []
    return found


# --- shared options ---


class _Database(click.Path):
    """The type of `--store`: a path, or the address of a database server.

    An address must not be converted to a path. As a path, it would lose a slash, and messages would show its password.
    """

    def convert(
        self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> str | bytes | os.PathLike[str]:
        """Convert a path to a Path, and return an address unchanged. An address of an unknown kind is refused."""
        found = database_from(value) if isinstance(value, str) else value
        return found if isinstance(found, str) else super().convert(found, param, ctx)


def _keep_option(ctx: click.Context, param: click.Parameter, value: object) -> None:
    if ctx.obj is not None and param.name is not None:
        setattr(ctx.obj, param.name, value)


def _make_kept_option(*names: str, **given: Any) -> click.Option:  # noqa: ANN401 - click's own
    """Return an option whose value is stored in the CommandContext, and is not passed to the command's function."""
    return click.Option(names, expose_value=False, callback=_keep_option, **given)


run_id = click.argument("run_id", metavar="RUN_ID", shell_complete=complete_runs)


def _database(help: str) -> click.Option:  # noqa: A002 - click's name
    kind = _Database(path_type=Path, readable=False)
    return _make_kept_option("--store", "database", metavar="PATH|ADDRESS", type=kind, help=help)


DATABASE: Final = _database(
    "The database that contains the runs. It is a file, or an address such as postgresql://user@host/database, whose "
    "password is in PGPASSWORD. By default, the database is the `store` of [tool.graphengine] in pyproject.toml, or "
    "else checkpoints/runs.db in the project."
)
CHECKED_DATABASE: Final = _database(
    "Check also whether the unfinished runs in this database fit the graphs. The command only reads the database, "
    "except with --accept."
)
graph = click.option(
    "--graph",
    "reference",
    metavar="FILE[:NAME]",
    shell_complete=complete_graphs,
    help="The file that defines the run's graph. Give this option if the graph cannot be found by its name.",
)
poll = click.option(
    "--poll",
    "poll_seconds",
    metavar="SECONDS",
    type=click.FloatRange(min=0, min_open=True, max=86_400),
    default=1.0,
    show_default=True,
    help="How many seconds to wait before looking for due runs again, if no run was due.",
)


def graphs(what: str) -> Callable[[F], F]:
    """Return the option `--graph`, which can be repeated. `what` is the first sentence of its help."""
    text = f"{what}. May be repeated. By default, the command uses all graphs of the project."
    given: Any = {"metavar": "FILE[:NAME]", "multiple": True, "shell_complete": complete_graphs, "help": text}
    return click.option("--graph", "references", **given)


def concurrency(default: int) -> Callable[[F], F]:
    """Return the option `--concurrency`, which limits how many runs a process drives at a time."""
    kind = click.IntRange(min=1)
    return click.option(
        "--concurrency",
        type=kind,
        default=default,
        show_default=True,
        help="The most runs that this process drives at a time.",
    )


users = click.option(
    "--users",
    "users_file",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False, readable=False),
    help="The file that lists the users with their tenants and rights. `graphengine users` writes this file.",
)
no_resume = click.option(
    "--no-resume",
    is_flag=True,
    help="Only record the answer or the message. A worker or a later `resume` continues the run.",
)
no_wait = click.option(
    "--no-wait",
    is_flag=True,
    help="If the run only sleeps, exit with code 3. A worker or a later `resume` then continues the run.",
)
tags = click.option(
    "--tag",
    "tags",
    metavar="NAME",
    multiple=True,
    shell_complete=complete_tags,
    help="Add this tag to the run. `runs` and `prune` can select runs by tag. May be repeated.",
)
searched = click.option(
    "--runs",
    "search",
    metavar="WORDS",
    multiple=True,
    help="Take the runs that match these words and filters, as in `graphengine runs`, e.g. 'graph:review since:7d'.",
)
instructions = click.option(
    "--instructions",
    metavar="WHO=TEXT|@FILE",
    multiple=True,
    help="Replace the standing instructions of WHO, which is an agent or a node's path. The branch records the"
    " new instructions. May be repeated.",
)
MODEL: Final = _make_kept_option(
    "--model",
    "models",
    metavar="[WHO=]NAME",
    multiple=True,
    help="The model of all agents, or only of WHO, which is an agent or a node's path. NAME is "
    "anthropic:MODEL, openai:MODEL, openai-chat:MODEL@http://HOST:PORT/v1, recorded:FILE, rules, "
    "placeholder, or a set of models that the graph's file defines in MODELS. May be repeated.",
)
_OUTPUT: Final = _make_kept_option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(path_type=Path, readable=False),
    help="Write the result of a finished run to this file. A text is written as it is, and other results are "
    "written as JSON.",
)
_LIMIT: Final = _make_kept_option(
    "--limit",
    "limits",
    metavar="NAME=NUMBER",
    multiple=True,
    help="Stop the run at visits=…, tokens=…, cost_usd=… or seconds=…. The value 'none' removes a limit. With "
    "cost_usd, unknown_cost=yes allows models whose price is unknown. depth=… is different: it limits how"
    " many levels of child runs nodes can start. May be repeated.",
)
_PAUSE: Final = _make_kept_option(
    "--pause-before",
    "pauses",
    metavar="NODE",
    multiple=True,
    shell_complete=complete_nodes,
    help="Wait before every visit of this node until `graphengine answer` approves the visit. NODE is a path, "
    "e.g. article/review. May be repeated.",
)


class Age(click.ParamType):  # type: ignore[type-arg]  # click before 8.4 takes none
    """The type of an option that accepts a duration such as 30d, 12h, 45m, 90s or 2w, and converts it to seconds."""

    name = "age"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:  # noqa: ANN401
        from graphengine.records.search import seconds_of

        seconds = seconds_of(str(value))
        if seconds is None:
            self.fail(f"{value!r} is not a time: give a number and a unit (s, m, h, d or w), e.g. 30d", param, ctx)
        from graphengine.kernel.extension import is_seconds

        if not is_seconds(seconds, zero=True):
            self.fail(f"{value!r} is too long: give a shorter time", param, ctx)
        return seconds


class At(click.ParamType):  # type: ignore[type-arg]  # click before 8.4 takes none
    """The type of an option that names a step: by its number, or by a node and the node's visit, such as review:2."""

    name = "step"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | tuple[str, int]:  # noqa: ANN401
        """Convert `5` to the number of a step, or `review:2` to the path of a node and the number of its visit."""
        node, _, number = str(value).rpartition(":")
        if not number.isdecimal() or len(number) > _DIGITS:
            steps = "the number of a step (step 1 is the input), or a node and its visit, e.g. review:2"
            self.fail(f"{value!r} is not a step: give {steps}", param, ctx)
        return (node, int(number)) if node else int(number)


class ValueCommand(Command):
    """A command whose argument VALUE may be a negative number, such as -5, which must not be taken for an option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments of the command, and accept words such as -5 as values."""
        ctx.ignore_unknown_options = any(_NEGATIVE.match(word) for word in args)
        return super().parse_args(ctx, args)


_OTEL: Final = _make_kept_option(
    "--otel",
    is_flag=True,
    help="Export traces and metrics with OpenTelemetry. The OTEL_* environment variables configure the export.",
)
_LOG_FORMAT: Final = _make_kept_option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    help="Write the log to stderr, as text or as one JSON object per line.",
)
_LOG_LEVEL: Final = _make_kept_option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    help="Log messages of this level and above.  [default with --log-format: info]",
)


OBSERVED: Final = (_OTEL, _LOG_FORMAT, _LOG_LEVEL)
"""The options of a command that calls `observing.observed`."""
DRIVING: Final = (MODEL, _LIMIT, _PAUSE, _OUTPUT, DATABASE, *OBSERVED)
"""The options of a command that drives a run."""
_COMMON: Final = (
    click.Option(["--json"], is_flag=True, expose_value=False, help="Write only JSON to stdout."),
    click.Option(["--debug"], is_flag=True, expose_value=False, help="Show tracebacks."),
)
"""The options of every command, which `Program.main` reads."""


def command(
    name: str,
    *shared: click.Option,
    examples: str,
    exits: Mapping[int, str] | None = None,
    cls: type[Command] = Command,
) -> Callable[[Callable[..., int]], Command]:
    """Return a decorator that turns a function into a command. The function gets the context as its first argument.

    Args:
        name: The name of the command.
        shared: Options of several commands, after the command's own options. Their values are stored in the context.
        examples: Commands as they are typed, one per line; a comment after ` # ` explains each.
        exits: The meanings of exit codes that differ from the default meanings in `ALWAYS`.
        cls: The class of the command.
    """

    def made(function: Callable[..., int]) -> Command:
        found = click.command(name, cls=cls, examples=examples, exits=exits)(click.pass_obj(function))
        found.params += [*shared, *_COMMON]
        return found

    return made


def limits_from(given: Sequence[str], base: Limits) -> Limits:
    """Apply the values of `--limit` to the limits in `base`, and return the result.

    Limits that the option does not name keep their value.

    Raises:
        click.BadParameter: A limit is invalid.
    """
    limits: dict[str, Any] = {}
    for pair in given:
        name, _, text = pair.partition("=")
        if name == _UNKNOWN_COST:
            if text.lower() not in _ANSWERS:
                raise click.BadParameter(f"{name}={text} is not an answer: give yes or no", param_hint="--limit")
            limits[name] = _ANSWERS[text.lower()]
        elif name in _LIMITS:
            limits[name] = _parse_limit(name, text)
        else:
            names = (*_LIMITS, _UNKNOWN_COST)
            near = ["visits"] if name == "steps" else get_close_matches(name, names, n=1)
            hint = f"did you mean {near[0]}=…?" if near else f"use one of {', '.join(names)}, e.g. visits=50"
            raise click.BadParameter(f"{pair!r} is not a limit: {hint}", param_hint="--limit")
    return replace(base, **limits)


def _parse_limit(name: str, text: str) -> float | None:
    if text.lower() == "none":
        return None
    try:
        number = int(text) if name in _WHOLE else float(text)
    except ValueError:
        number = -1
    if not 0 <= number < float("inf"):
        kind = "whole number" if name in _WHOLE else "number"
        hint = f"give a {kind} of 0 or more, or 'none' for no limit"
        raise click.BadParameter(f"{name}={text} is not a limit: {hint}", param_hint="--limit")
    return number
