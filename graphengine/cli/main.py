"""The `graphengine` program: its commands by name, and what happens around each command.

`--help` imports only click; each command is imported when it is used. Commands of other packages are only searched for
by `--help`, by completions, and for a name that is not one of our commands: see `graphengine.wings`.

Every command runs inside `Program.main`. This method reserves stdout for one document under `--json`, and turns every
exception into a short text or one JSON document, and an exit code.
"""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack, closing, nullcontext, redirect_stderr
from io import StringIO
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, NoReturn, cast

import click

from graphengine import __version__
from graphengine.cli.context import CommandContext, Exit, Interrupted, exit_code_of, unexpected
from graphengine.cli.terminal import Channel, reserved_stdout
from graphengine.errors import GraphEngineError
from graphengine.wings import BUILT_IN, Command, WingBroken, guarded, load, others

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from click.shell_completion import CompletionItem

    from graphengine.wings import Wing

SECTIONS: Final = {
    "Define": {
        "new": ("new", "Create a project that runs and passes its tests."),
        "graphs": ("graphs", "List the graphs of the project."),
    },
    "Run": {
        "run": ("run", "Run a graph and record every step."),
        "resume": ("run", "Resume a run after a crash, a stop, a failure, a reached limit or an answer."),
        "answer": ("answer", "Answer a run's question, and resume the run."),
        "send": ("answer", "Send a message to a run, and resume the run if it waits."),
        "branch": ("run", "Start a new run from a step of another run."),
        "stop": ("run", "Stop a run that waits, or that another process drives, at its next safe point."),
    },
    "Look": {
        "runs": ("runs", "List the recorded runs."),
        "show": ("show", "Show a run: its steps, state and cost."),
        "watch": ("watch", "Follow a run live while another process drives it."),
        "diff": ("diff", "Show where two runs diverge, and how they differ."),
        "replay": ("replay", "Replay recorded runs on the current graph, and show the differences."),
    },
    "Operate": {
        "tag": ("runs", "Add tags to a run, or remove tags from it."),
        "bulk": ("bulk", "Stop, resume, retry, answer, tag or prune all runs that a search finds."),
        "export": ("export", "Export a run to a JSON file."),
        "import": ("export", "Import exported runs into a database."),
        "prune": ("prune", "Remove old runs, and free disk space."),
        "backup": ("backup", "Copy a database while runs are driven, and check the copy."),
        "doctor": ("doctor", "Check a database for faults, and repair it."),
        "schema": ("completion", "Print the JSON Schema of a command's --json output."),
        "completion": ("completion", "Print a shell completion script."),
    },
}
"""The commands that do not belong to a wing, by section of `--help`.

Each command has the module that contains its function, and a description.
"""


def _and_of(wings: Iterable[Wing], before: Mapping[str, Command]) -> Mapping[str, Command]:
    """Add the commands of wings (extensions of graphengine) to the commands in `before`.

    A command can name another command in `after`, and is then listed behind it. Otherwise it is listed at the end.
    """
    names, added = list(before), {name: each for wing in wings for name, each in wing.commands.items()}
    for name, each in added.items():
        names.insert(names.index(each.after) + 1 if each.after in names else len(names), name)
    return {name: added[name] if name in added else before[name] for name in names}


COMMANDS: Final = _and_of(
    BUILT_IN,
    {
        name: Command(
            f"graphengine.cli.{module}:{name.replace(' ', '_').replace('import', 'import_')}", about, "", heading
        )
        for heading, section in SECTIONS.items()
        for name, (module, about) in section.items()
    },
)
"""All commands of this package."""

GROUPS: Final = {word: about for wing in BUILT_IN for word, about in wing.groups.items()}
"""The first words of commands that consist of two words, each with a description of the group."""

DRIVING: Final = ("run", "resume", "branch", "eval")
"""The commands that drive a run."""

PAGED: Final = ("graphs", "check", "runs", "show", "diff", "replay", "doctor", "schema")
"""The commands whose output is shown in a pager if it is longer than the terminal."""

COMPLETES: Final = "_GRAPHENGINE_COMPLETE"
"""The environment variable with which a shell requests completions."""

_NOTHING_YET: Final = "the command was interrupted before the run began; nothing was recorded"


def commands() -> Mapping[str, Command]:
    """Return all commands by name, including the commands of other packages."""
    usable: list[Wing] = []
    for wing in others().values():
        with guarded(wing):
            if taken := wing.commands.keys() & COMMANDS:
                raise ValueError(f"graphengine already has a command named {', '.join(sorted(taken))}")
            usable.append(wing)
    return _and_of(usable, COMMANDS)


def _collect_command_groups() -> Mapping[str, str]:
    return GROUPS | {word: about for wing in others().values() for word, about in wing.groups.items()}


class Program(click.Group):
    """The program `graphengine`, as a group of commands.

    The module of a command is only imported when the command is used, so that the program starts quickly.
    """

    prefix = ""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(self._texts(commands()))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command; return None if there is no such command.

        Raises:
            WingBroken: The command belongs to another package, and cannot be imported.
        """
        del ctx
        name = self.prefix + cmd_name
        if name in COMMANDS:
            return cast("click.Command", load(COMMANDS[name].load))
        groups = GROUPS if name in GROUPS else _collect_command_groups()
        if name in groups:
            group = Program(cmd_name, help=groups[name])
            group.prefix = f"{name} "
            return group
        return _of_another(name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the user named. For an unknown command, the error suggests a similar name."""
        name, known = args[0], list(self._texts(COMMANDS))
        if name not in known:
            known = self.list_commands(ctx)
        if name not in known and not name.startswith("-") and not ctx.resilient_parsing:
            from difflib import get_close_matches

            from graphengine.cli.options import find_slip
            from graphengine.kernel.inside import repair_for

            near = find_slip(name, known) or next(iter(get_close_matches(name, known, n=1)), "")
            hint = f"did you mean {near!r}?" if near else f"the commands are {', '.join(known)}"
            words = "-".join(word for word in args[:2] if word.isidentifier())  # `flow-run cancel` means `cancel`
            asked = (repair_for(each, "command", own=known) for each in (words, name) if each)
            if not self.prefix and (foreign := next(filter(None, asked), "")):
                hint = f"here: {foreign}"
            ctx.fail(f"No such command {name!r}; {hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands for `--help`, without importing their modules."""
        del ctx
        known = commands()
        for heading in dict.fromkeys(each.section for each in known.values()):
            texts = self._texts({name: each for name, each in known.items() if each.section == heading})
            if texts:
                with formatter.section("Commands" if self.prefix else heading):
                    formatter.write_dl(list(texts.items()))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the names of commands that complete a word, without importing the commands' modules."""
        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        from click.shell_completion import CompletionItem

        found = self._texts(commands()).items()
        return [CompletionItem(name, help=text) for name, text in found if name.startswith(incomplete)]

    def _texts(self, among: Mapping[str, Command]) -> dict[str, str]:
        """Return the words that can follow some words of a command line, each with its description, for completion.

        `prefix` is "" for the words after `graphengine`. For the words of a group such as `queues`, it is `queues` and
        a blank.
        """
        found: dict[str, str] = {}
        for name, command in among.items():
            if name.startswith(self.prefix):
                word, _, more = name.removeprefix(self.prefix).partition(" ")
                found[word] = (
                    (GROUPS.get(word) or _collect_command_groups().get(word, command.about)) if more else command.about
                )
        return found

    def main(self, *args: Any, **options: Any) -> NoReturn:  # noqa: ANN401 - click's own
        """Run the command line, and exit with the exit code of the command."""
        given = options.pop("args", None) if not args else args[0]
        options.update(zip(("prog_name", "complete_var"), args[1:], strict=False))
        words: list[str] = [str(word) for word in (sys.argv[1:] if given is None else given)]
        options["standalone_mode"] = False
        options["complete_var"] = COMPLETES
        if COMPLETES in os.environ:
            self._complete(words, options)
        flags = set(words[: words.index("--")] if "--" in words else words)
        with ExitStack() as stack:
            wants_json = "--json" in flags
            is_reserved = wants_json or words[:1] == ["mcp"]  # the stdout of this command belongs to a protocol
            stdout = stack.enter_context(reserved_stdout()) if is_reserved else sys.stdout
            out, err = Channel(stdout, must_arrive=True), Channel(sys.stderr, must_arrive=False)
            context = CommandContext(out, err, json=wants_json, debug="--debug" in flags, words=words)
            if "--log-format=json" in flags or ("--log-format", "json") in pairwise(words):
                context.log_format = "json"  # set early, so that errors about the options are logged as JSON too
            code = self._run_guarded(context, words, options)
        sys.exit(int(code))

    def _complete(self, words: Sequence[str], options: dict[str, Any]) -> NoReturn:
        """Answer a shell's request for completions.

        Errors are not shown, because they would appear in the line that the user is typing.
        """
        try:
            silent = Channel(None, must_arrive=False)
            with (
                redirect_stderr(StringIO()),
                closing(CommandContext(silent, silent, json=False, debug=False)) as context,
            ):
                super().main(args=words, obj=context, **options)
        except Exception:  # noqa: BLE001 - as above
            sys.exit(Exit.FAILED)
        sys.exit(Exit.FINISHED)

    def _run_guarded(self, context: CommandContext, words: Sequence[str], options: dict[str, Any]) -> int:
        try:
            with closing(context), context.out.paged() if {*words[:1]} & {*PAGED} else nullcontext():
                found = super().main(args=words, obj=context, **options)
        except click.ClickException as error:
            return _report_misuse(context, error)
        except (click.Abort, KeyboardInterrupt):
            is_early = not context.has_driven and next(iter(words), "") in DRIVING
            context.fail(Interrupted(_NOTHING_YET if is_early else "the command was interrupted"))
            return Exit.INTERRUPTED
        except GraphEngineError as error:
            return _fail_command(context, error)
        except Exception as error:  # noqa: BLE001 - the last line of defence: no traceback without --debug
            return _fail_command(context, unexpected(error))
        return found if isinstance(found, int) else Exit.FINISHED


def _of_another(name: str) -> click.Command | None:
    """Import a command of another package; return None if there is no such command.

    Raises:
        WingBroken: The command cannot be imported, or is not a command of click.
    """
    if name not in commands():
        return None
    reference, repair = commands()[name].load, "repair or uninstall the package that adds this command to graphengine"
    try:
        found = load(reference)
    except Exception as error:
        message = f"the command cannot be loaded from {reference!r}: {type(error).__name__}: {error}"
        raise WingBroken(message, where=f"graphengine {name}", repair=repair) from error
    if not isinstance(found, click.Command):
        message = f"{reference!r} must be a command of click, and is {found!r}"
        raise WingBroken(message, where=f"graphengine {name}", repair=repair)
    return found


def _fail_command(context: CommandContext, error: GraphEngineError) -> int:
    try:
        context.fail(error)
    except GraphEngineError as failure:
        context.show(failure)
    return exit_code_of(error)


def _report_misuse(context: CommandContext, error: click.ClickException) -> int:
    if not context.json and context.log_format != "json":
        error.show(file=sys.stderr)
        return Exit.USAGE
    ctx = error.ctx if isinstance(error, click.UsageError) else None
    where = ctx.command_path if ctx is not None else ""
    repair = f"see `{where} --help`" if where else ""
    context.fail(GraphEngineError(error.format_message(), where=where, repair=repair, code="usage"))
    return Exit.USAGE


@click.group(
    cls=Program,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Exit codes: 0 the run finished or the command is done, 1 the run failed or replays differently, "
    "2 the usage, the input or the graph is wrong, 3 the run waits, 4 the run was stopped, "
    "5 the database cannot be used, 6 another process drives the run, 7 a worker lost its lease, "
    "130 the command was interrupted.",
)
@click.version_option(__version__, prog_name="graphengine")
def main() -> None:
    """Run workflows of agents that are defined as graphs, and inspect, resume, branch and draw their runs."""
