"""The Runner that programs use: the core's Runner, with the extensions that its arguments name."""

from __future__ import annotations

import inspect
import os
import warnings
from typing import TYPE_CHECKING, Any, Final, NoReturn, Unpack, overload

from typing_extensions import TypeVar

from graphengine import __version__
from graphengine.agents.model_routing import Models
from graphengine.agents.replacements import Replacements
from graphengine.api.places import store_at
from graphengine.doors import checked
from graphengine.errors import DefinitionError
from graphengine.executors.of_runner import ExecutorsByName
from graphengine.kernel.extension import CURRENT, Context, GraphDefinition, Run, is_tag
from graphengine.kernel.inside import ChildRuns, OriginRecord, draw_with, missing, shown
from graphengine.migration import Migrations
from graphengine.records.records import Records
from graphengine.worker.admin import Admin

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
    from concurrent.futures import Executor
    from os import PathLike

    from pydantic import PositiveInt

    from graphengine.agents.agent import Agent
    from graphengine.agents.live_events import AgentEvent
    from graphengine.agents.model_routing import GivenModels
    from graphengine.agents.runs import RunOptions
    from graphengine.kernel.extension import Clock, Effects, Extension, Limits, Result, SecondsOrZero, Sizes
    from graphengine.kernel.reader import Snapshot
    from graphengine.kernel.store import Store
    from graphengine.telemetry import Telemetry


S = TypeVar("S")
Out_co = TypeVar("Out_co", covariant=True, default=object)
T = TypeVar("T")
Inputs = TypeVar("Inputs")

_DEPLOY: Final = "GRAPHENGINE_DEPLOY"
_BEGIN: Final = inspect.unwrap(Records.__init__)
"""The `__init__` of the core's Runner, without a check of its arguments, which are already checked here."""


class _AskedOfTheClass(type):
    """The metaclass of `Runner`, which explains mistakes such as `Runner.run_sync(…)`.

    In the OpenAI Agents SDK, `run_sync` is called on the class. Here, the class `Runner` raises the same error with a
    repair as its objects do.
    """

    if not TYPE_CHECKING:  # type checkers know the attributes of the class

        def __getattr__(cls, name: str) -> NoReturn:
            missing(cls, name, "Runner", "Graph")


class Runner(Records, metaclass=_AskedOfTheClass):
    """Drives runs and records them in a store. Use it as an async context manager.

    Args:
        store: The path of a SQLite database, the address of a PostgreSQL database, a Store, or None for memory.
        resources: Ready-made resources that replace the graphs' own, by name; they are neither entered nor closed.
        models: Models that replace agents' own, as objects or names (`"openai:…"`): one for all agents, or a mapping
            whose keys are an agent's name, a node's path (`article/write`), a path and an agent below it
            (`article/writer`), or `*` for all agents; the most specific key wins. A key such as `review_loop:writer`
            applies only in that graph.
        check: Detect nodes that change their input in place.
        threads: The maximum number of sync nodes that run at the same time.
        clock: The clock; tests can pass their own.
        sizes: Size limits of a state, an update, a message and recorded work.
        grace_seconds: How long nodes in flight may take to finish when the runner closes.
        effects: Whether calls with `effect="once"`, `"idempotent"` or `"transaction"` really act. `"act"` lets them
            act. A mapping contains a replacement for each call, by the keys of `models`, the names of functions and
            tools, or the paths of nodes. A call without a replacement is refused with `effect_refused`.
        run_again: Whether a node always runs again after a wait, as after a crash. Otherwise a node may stay suspended
            while a child run works, and may continue at once with a message that has already arrived. With `run_again`,
            two mistakes are logged: recorded work that the node does not request again, and, as `acts_before_wait`, a
            socket, process or file that the node opens again outside its recorded calls. The fixture `runner`, `walk`
            and `graphengine run` set this option.
        executors: Where nodes with `on=` run, by name: any `concurrent.futures.Executor`, which you shut down, or a
            function that makes one, which the Runner shuts down. See `graphengine.executors`.
        telemetry: Makes OpenTelemetry spans and metrics of the runs. By default there is no telemetry.
        extensions: Further objects that act in the runs; see `graphengine.runner.extensions`.
        deploy: The label of this deploy, such as its commit. Each run records the label with which it began. The
            default is the environment variable `GRAPHENGINE_DEPLOY`.

    Example:
        >>> async def main() -> None:
        ...     async with Runner("runs.db") as runner:
        ...         result = await runner.start(count, run_id="first").result()
        ...         print(result.state.n, [step.kind for step in await runner.history("first")])
        >>> asyncio.run(main())
        3 ['started', 'node', 'node', 'node']
    """

    def __init__(  # noqa: PLR0913 - what a whole program's runs share
        self,
        store: str | PathLike[str] | Store | None = None,
        *,
        resources: Mapping[str, object] | None = None,
        models: GivenModels | None = None,
        check: bool = True,
        threads: PositiveInt = 32,
        clock: Clock | None = None,
        sizes: Sizes | None = None,
        grace_seconds: SecondsOrZero = 0.0,
        effects: Effects = "act",
        run_again: bool = False,
        executors: Mapping[str, Executor | Callable[[], Executor]] | None = None,
        telemetry: Telemetry | None = None,
        extensions: Sequence[Extension] = (),
        deploy: str | None = None,
    ) -> None:
        if CURRENT.get() is not None:
            text = (
                "a Runner was created inside a node, so its runs are not child runs of the node's run, and another "
                "attempt of the node starts them again"
            )
            repair = "child = await ctx.start(graph, …); result = await child.result()"
            warnings.warn(f"{text}\n  repair: {repair}", UserWarning, stacklevel=3)
        self._given, children = frozenset(resources or ()), ChildRuns()
        has_executors = bool(extensions) and any(each.executors is not None for each in extensions)
        wings = [type(each).__name__ for each in (*([] if telemetry is None else [telemetry]), *extensions)]
        _BEGIN(
            self,
            _store_of(store),
            resources=resources,
            check=check,
            threads=threads,
            clock=clock,
            sizes=sizes,
            grace_seconds=grace_seconds,
            effects=effects,
            run_again=run_again,
            origin=OriginRecord(version=__version__, deploy=_deploy_of(deploy), wings=wings),
            extensions=(
                Models(models, clock, self._given),
                *(() if executors is None and has_executors else (ExecutorsByName(executors or {}),)),
                Migrations(),
                children,
                *(() if effects == "act" else (Replacements(effects, self._given),)),
                *(() if telemetry is None else (telemetry, *telemetry.beside(extensions))),
                *extensions,
            ),
        )
        children.live_in(self)

    @property
    def admin(self) -> Admin:
        """The operations of operators on the store: schedules, limits of queues, pruning, changing many runs, sums."""
        return Admin(self)

    @overload
    async def run(
        self,
        graph: GraphDefinition[S, Out_co],
        state: S | Mapping[str, object] | None = None,
        /,
        *,
        run_id: str | None = None,
        resume: bool = False,
        limits: Limits | None = None,
        after: str | None = None,
        tags: Iterable[str] | None = None,
    ) -> Result[S, Out_co]: ...
    @overload
    async def run(
        self,
        agent: Agent[T],
        inputs: Mapping[str, object] | str | None = None,
        /,
        *,
        run_id: str | None = None,
        limits: Limits | None = None,
        after: str | None = None,
        chat: str | None = None,
        idempotency_key: str | None = None,
        tags: Iterable[str] | None = None,
        **more: object,
    ) -> T: ...
    @overload
    async def run(
        self, agent: Agent[T, Inputs], inputs: Inputs | str | None = None, /, **options: Unpack[RunOptions]
    ) -> T: ...
    async def run(  # noqa: PLR0913 - the options of a run
        self,
        agent: Any,
        inputs: Any = None,
        /,
        *,
        run_id: str | None = None,
        limits: Limits | None = None,
        after: str | None = None,
        chat: str | None = None,
        idempotency_key: str | None = None,
        tags: Iterable[str] | None = None,
        **more: object,
    ) -> Any:
        """Run one agent as a run of `Graph.of(agent)`, and return its answer; or run a graph, and return its result.

        With a `run_id`, the agent or graph runs only once, however often `run` is called. If a run with this id exists,
        `run` continues it, no matter which process began it, and does not repeat recorded work. If the run has ended,
        `run` returns the answer or result of that run. If another process drives the run, `run` waits until the run
        ends.

        The run continues if the asyncio task that awaits `run` is cancelled, for example by a timeout. Call `stop` to
        end the run.

        Args:
            agent: The agent; or a graph.
            inputs: The inputs of the agent, of the type that its `inputs=` names. Without `inputs=`, a mapping with
                inputs, which may have the same names as options. If the agent reads a single input, a text is enough.
                For a graph, its initial state.
            run_id: The run's id; generated if not given.
            limits: As for `start`.
            after: As for `start`: an earlier run. If the agent has a memory, the conversation of the earlier run is
                continued.
            chat: The key of a conversation, such as a user's id. All turns of the conversation are one run,
                `ge:chat:<key>`, which remembers the turns and waits for the next turn, from any process. Without
                inputs, the call continues the newest turn (or the turn of `idempotency_key`) after a crash or after a
                person has answered.
            idempotency_key: The key of a turn of a conversation. If the same turn is sent again, it is not answered
                again.
            tags: As for `start`.
            more: The inputs of the agent, by name; an agent without a prompt reads `question`. For a graph,
                `resume=True` resumes a run with this id that failed or was stopped. Without `resume=True`, the end of
                such a run is returned or raised. Runs of agents are always resumed.

        Raises:
            InputError: An input is missing, or the agent does not read it.
            RunExists: The run with this id belongs to another graph, or began with another input, which the error
                shows.
            RunWaits: A person must be asked, for example to approve a tool's call. The run waits for the answer. After
                the answer, this call continues the run, with the same `run_id` or `chat`. For a graph, the result says
                that the run waits.
            TurnFailed: A turn of a conversation has finally failed. The conversation can be continued.
            DefinitionError: The run of an agent was stopped or released.
            CompileError: The graph has problems.
            RunFailed: The run failed.

        Example:
            >>> shout = Agent("shout", prompt="Shout {word}", by_rules=lambda word: word.upper())
            >>> async def main() -> None:
            ...     async with Runner() as runner:
            ...         print(await runner.run(shout, word="ho"))
            ...         for _ in range(2):  # one run
            ...             print((await runner.run(count, {"n": 0}, run_id="daily")).state.n)
            ...         print([run.status for run in await runner.runs()])
            >>> asyncio.run(main())
            HO
            3
            3
            ['finished', 'finished']
        """
        if isinstance(agent, GraphDefinition):
            from graphengine.worker.joining import start_or_join  # noqa: PLC0415 - not for runs of agents

            resume = more.pop("resume", False)
            others = {**more, "chat": chat, "idempotency_key": idempotency_key}
            if wrong := sorted(name for name, given in others.items() if given is not None):
                repair = f"pass the fields of the state in one mapping: await runner.run({agent.name}, {{…}}, run_id=…)"
                text = f"{wrong[0]}= is only for runs of an agent, but {agent.name!r} is a graph"
                raise DefinitionError(text, where=shown(agent), repair=repair)
            options: dict[str, Any] = {"run_id": run_id, "limits": limits, "after": after, "tags": tags or ()}
            return await (await start_or_join(self, agent, inputs, resume=bool(resume), **options)).result()
        if not isinstance(self, Runner):  # another library calls `run` on the class, so `self` is the agent
            repair = "async with Runner('runs.db') as runner: answer = await runner.run(agent, 'Hi')"
            raise DefinitionError("run was called on the class Runner, but needs a Runner object", repair=repair)
        from graphengine.agents.runs import agent_call  # noqa: PLC0415 - other runs do not need agents

        options = {"run_id": run_id, "limits": limits, "after": after, "tags": tags, "chat": chat}
        options |= {"idempotency_key": idempotency_key}
        return await agent_call(self, agent, self._given, (inputs, more), options).answer()

    @overload
    def stream(
        self,
        agent: Agent[T],
        inputs: Mapping[str, object] | str | None = None,
        /,
        *,
        run_id: str | None = None,
        limits: Limits | None = None,
        after: str | None = None,
        chat: str | None = None,
        idempotency_key: str | None = None,
        tags: Iterable[str] | None = None,
        **more: object,
    ) -> AsyncGenerator[AgentEvent | T, None]: ...
    @overload
    def stream(
        self, agent: Agent[T, Inputs], inputs: Inputs | str | None = None, /, **options: Unpack[RunOptions]
    ) -> AsyncGenerator[AgentEvent | T, None]: ...
    def stream(  # noqa: PLR0913 - the options of a run
        self,
        agent: Agent[T, Any],
        inputs: object = None,
        /,
        *,
        run_id: str | None = None,
        limits: Limits | None = None,
        after: str | None = None,
        chat: str | None = None,
        idempotency_key: str | None = None,
        tags: Iterable[str] | None = None,
        **more: object,
    ) -> AsyncGenerator[AgentEvent | T, None]:
        """Run one agent as `run` does; yield its live events, and finally its answer.

        The run continues if the caller stops iterating over `stream`. The iteration raises the same errors as `run`.

        Args:
            agent: The agent.
            inputs: As for `run`, like all other arguments.
            run_id: The id of the run.
            limits: Limits of the run.
            after: An earlier run.
            chat: The key of a conversation.
            idempotency_key: The key of a turn of a conversation.
            tags: Tags of the run.
            more: The inputs of the agent, by name.
        """
        from graphengine.agents.runs import agent_call  # noqa: PLC0415 - the same
        from graphengine.agents.streams import Stream  # noqa: PLC0415 - the same

        options = {"run_id": run_id, "limits": limits, "after": after, "tags": tags, "chat": chat}
        options |= {"idempotency_key": idempotency_key}
        return Stream(agent_call(self, agent, self._given, (inputs, more), options).events())

    if not TYPE_CHECKING:  # type checkers report these names themselves

        def __enter__(self) -> NoReturn:
            repair = "write: async with Runner(…) as runner; in a script: with SyncRunner(…) as runner"
            raise DefinitionError("a Runner was entered with `with`, but needs `async with`", repair=repair)

        __exit__ = __enter__

        def __getattr__(self, name: str) -> NoReturn:
            missing(self, name, "Runner", "Graph")


def _store_of(given: Any) -> Store | None:  # noqa: ANN401 - whatever a program takes for a store
    """Return the store for the argument `store=` of a Runner; None for a Runner that keeps its runs in memory.

    Raises:
        DefinitionError: The value is neither a path, an address nor a Store.
    """
    if isinstance(given, (str, os.PathLike)):
        return store_at(given)
    if isinstance(given, type) or (given is not None and not hasattr(given, "open")):
        text = f"Runner({given!r}): the runs must be kept at a path, at an address, or in a Store object"
        raise DefinitionError(text, where="Runner", repair="write Runner('runs.db') or Runner(SQLiteStore('runs.db'))")
    return given  # type: ignore[no-any-return]


def _deploy_of(given: str | None) -> str:
    """Return the label of the program's version, from the argument `deploy=` or from the environment variable.

    Raises:
        DefinitionError: The text cannot be a label.
    """
    label = os.environ.get(_DEPLOY, "") if given is None else given
    if label and not is_tag(label):
        where = f"the environment variable {_DEPLOY}" if given is None else "Runner"
        repair = "write a label of 1 to 100 printable characters, such as deploy='v31'"
        raise DefinitionError(f"deploy={label!r} cannot be the label of a deploy", where=where, repair=repair)
    return label


def _html(result: Result[Any], snapshot: Snapshot | None) -> str:
    from graphengine.render.run_html import html_of  # noqa: PLC0415 - only notebooks need the renderer

    return html_of(result, snapshot)


draw_with(_html)

# Programs receive these from each other, from a node or from a fixture.
for _handed_out in (Runner, Admin, Context, Run):
    checked(_handed_out)


__all__ = ["Admin", "Runner"]
