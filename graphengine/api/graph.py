"""`Graph`: what users declare, compile, run and draw."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, overload

from typing_extensions import TypeVar

from graphengine.kernel.extension import GraphDefinition
from graphengine.kernel.inside import check_with

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping, Sequence
    from concurrent.futures import Executor
    from os import PathLike

    from networkx import MultiDiGraph

    from graphengine.agents.agent import Agent
    from graphengine.agents.model_routing import GivenModels
    from graphengine.api.runner import Runner
    from graphengine.errors import Problem
    from graphengine.kernel.extension import Checks, Limits, Plan, Result
    from graphengine.kernel.reader import GraphSpec, Step
    from graphengine.kernel.store import Store
    from graphengine.render.looks import Theme
    from graphengine.render.parts import Detail
    from graphengine.render.scopes import Fold

S = TypeVar("S")
Out_co = TypeVar("Out_co", covariant=True, default=object)
T = TypeVar("T")
Inputs = TypeVar("Inputs")


@functools.cache
def _compile_with() -> Callable[[GraphDefinition[S]], Plan[S]]:
    """Return the compiler, which declaring a graph does not need; an `import` in a function takes as long each time."""
    from graphengine.kernel.extension import compiled  # noqa: PLC0415 - see above

    return compiled


@functools.cache
def _runner_class() -> type[Runner]:
    from graphengine.api.runner import Runner  # noqa: PLC0415 - as the compiler

    return Runner


class Graph(GraphDefinition[S, Out_co]):
    """A directed graph of nodes over a typed state.

    Args:
        name: Its name in runs, messages and pictures.
        state: The type of its state: a pydantic model, a TypedDict or a dataclass. A `NotRequired` key begins as an
            empty list, dict or set if its type is one, else it is missing until a node writes it. Models with
            `model_post_init`, dataclasses with `__post_init__` and fields that could not be read back are refused.
        title: What its runs are called in lists, with `{paths}` of the state as it begins: `"Refund {invoice}"`. A run
            of a graph without one is called by the first line of its input's first text.
        result: The field or path that is its result, for an enclosing graph and for `Result.output`.
        resources: Factories of the objects that nodes can take by parameter name. Each takes no arguments, may be async
            and is called once per runner, before the first run that needs it. A context manager is entered, and exited
            when the runner closes; any other object is not closed.
        collect_errors: A `list[Failure]` field with the `append` reducer, to which every survived failure is appended.
        carry_over: The fields that `after=` carries over; all if not given.
        limits: The default limits of its runs: 1,000 visits if not given. As a node of another graph it has only the
            limits given here; reaching one fails the node.
        retention: How long workers keep its runs that have ended; if not given, as the worker's `retention=` says.
        version: A whole number from 1. Raise it with each change that unfinished runs do not fit by themselves.
        migrate: How a run of an older version becomes one of the next, keyed by the older version: a function of the
            recorded fields of this graph's state, or a `Migration`, which can change nodes too. They are called one
            after the other, up to `version`, when such a run is resumed or branched.
        secret_key: The key that encrypts the secret fields of its state (`SecretStr`, `Secret`): text or bytes with at
            least 32 random bytes, such as `secrets.token_urlsafe(32)` returns, or a function without arguments that
            returns it when the graph is compiled. Of several keys the first encrypts, and each can decrypt records.
        search: The fields by which searches find its runs: up to 8 texts, numbers, booleans or dates of the input, as
            in `"input.country"`, and of the result, as in `"output.status"`. An input is the state as the run begins.
            Without `result=`, the result is the final state. The values are kept in clear text beside the log, so
            secret fields are refused.

    Example:
        >>> class Count(BaseModel):
        ...     n: int = 0
        >>> graph = Graph("count", Count)
        >>> def more(n: int) -> int:
        ...     return n + 1
        >>> graph.add_node("more", more, writes="n")
        >>> graph.add_edge(START, "more")
        >>> graph.add_edge("more", END, when=lambda n: n >= 3)
        >>> graph.add_edge("more", "more")
        >>> graph.run_sync().state.n
        3
    """

    @overload
    @classmethod
    def of(cls, agent: Agent[T], *, resources: Mapping[str, Callable[[], object]] | None = None) -> Graph[Any, T]: ...
    @overload
    @classmethod
    def of(
        cls, agent: Agent[T, Inputs], *, resources: Mapping[str, Callable[[], object]] | None = None
    ) -> Graph[Inputs, T]: ...
    @classmethod
    def of(
        cls, agent: Agent[Any, Any], *, resources: Mapping[str, Callable[[], object]] | None = None
    ) -> Graph[Any, Any]:
        """Return the graph of one node that `runner.run(agent, …)` runs, to start, resume, branch or serve its runs.

        Its state has what the agent reads, and `answer`, its result: an instance of a subclass of `inputs=`, if the
        agent has that, which an instance of it begins. An agent without a prompt reads `question`.

        Args:
            agent: The agent.
            resources: Factories of what the agent's tools and functions take by name, as for `Graph`. Its tools get the
                Runner's resources too.

        Raises:
            DefinitionError: The agent reads a field of the name `answer`.

        Example:
            >>> shout = Agent("shout", prompt="Shout {word}", by_rules=lambda word: word.upper())
            >>> Graph.of(shout).run_sync({"word": "ho"}).output
            'HO'
        """
        from graphengine.agents.runs import graph_of_agent  # noqa: PLC0415 - declaring a graph needs no agents

        return graph_of_agent(agent, cls, resources)

    @classmethod
    def chat(
        cls, agent: Agent[T, Any], *, resources: Mapping[str, Callable[[], object]] | None = None
    ) -> Graph[Any, T | None]:
        """Return the graph of conversations with an agent, which `runner.run(agent, …, chat=…)` runs, to serve them.

        Each run is a conversation: it waits for a message, replies, and waits again. Its result is the newest answer.

        Args:
            agent: The agent.
            resources: As for `of`.

        Raises:
            DefinitionError: The agent reads a field of the name `answer` or `turn`.

        Example:
            >>> Graph.chat(Agent("assistant")).name
            'assistant-chat'
        """
        from graphengine.agents.chats import chat_of_agent  # noqa: PLC0415 - declaring a graph needs no agents

        return chat_of_agent(agent, cls.of(agent.but(hand_to=()), resources=resources))

    def compile(self) -> Plan[S]:
        """Check the whole graph and return the plan of its runs, cached until it or a graph inside it changes.

        A loop that nothing forces to end is a warning. What ends one is a cap on visits, a plateau, a bound on time,
        cost or a list that each round appends to, on an exit edge tried before the edges back or as the guard of an
        edge back; or a question or a message that each round waits for.

        Raises:
            CompileError: With every problem, warnings included.
        """
        return _compile_with()(self)

    def check(self) -> Sequence[Problem]:
        """Return every problem and warning, without raising.

        Example:
            >>> graph = Graph("g", Count)
            >>> graph.add_edge(START, "more")
            >>> [problem.code for problem in graph.check()]
            ['unknown_node']
        """
        from graphengine.kernel.inside import problems_of  # noqa: PLC0415 - the same

        return problems_of(self)

    async def run(  # noqa: PLR0913 - the options of a Runner and of its run
        self,
        state: S | Mapping[str, object] | None = None,
        *,
        limits: Limits | None = None,
        store: str | PathLike[str] | Store | None = None,
        run_id: str | None = None,
        models: GivenModels | None = None,
        resources: Mapping[str, object] | None = None,
        executors: Mapping[str, Executor | Callable[[], Executor]] | None = None,
    ) -> Result[S, Out_co]:
        """Run it once, in memory if no store is given. Use `Runner` for several runs, or to answer questions.

        Args:
            state: The initial state, or a mapping of its fields.
            limits: Limits in place of the graph's own.
            store: The path of a SQLite database, the address of a PostgreSQL database, or a Store: the run can be
                inspected, resumed and branched later.
            run_id: The run's id; generated if not given.
            models: Models that replace agents' own, as in `Runner`.
            resources: Ready-made resources that replace the graph's own, by name.
            executors: Where nodes with `on=` run, as in `Runner`.

        Returns:
            The result: `finished`, `stopped` at a limit, or `waiting` for an answer or a message, which can no longer
            arrive if the run is in memory only. A run that only sleeps is waited for.

        Raises:
            CompileError: The graph cannot run.
            InputError: The state is invalid.
            RunExists: A run with this id is recorded.
            RunFailed: The run failed; the error has the result up to the failure.
        """
        plan = _compile_with()(self)
        if plan.warnings:
            from graphengine.api.once import warn  # noqa: PLC0415 - declaring a graph needs no runner

            warn(plan.warnings, self.name)
        async with _runner_class()(store, models=models, resources=resources, executors=executors) as runner:
            return await runner.start(self, state, run_id=run_id, limits=limits).result()

    def run_sync(  # noqa: PLR0913 - the same
        self,
        state: S | Mapping[str, object] | None = None,
        *,
        limits: Limits | None = None,
        store: str | PathLike[str] | Store | None = None,
        run_id: str | None = None,
        models: GivenModels | None = None,
        resources: Mapping[str, object] | None = None,
        executors: Mapping[str, Executor | Callable[[], Executor]] | None = None,
    ) -> Result[S, Out_co]:
        """Run it as `run` does, in a script without an event loop. `SyncRunner` has the methods of a Runner for that.

        Ctrl-C cancels async nodes at once and waits for a sync node's thread, which cannot be cancelled.

        Raises:
            DefinitionError: An event loop is running here, as in a notebook. Also what `run` raises.
        """
        from graphengine.api.once import run_alone  # noqa: PLC0415 - the same

        self.compile()
        run = functools.partial(
            self.run,
            state,
            limits=limits,
            store=store,
            run_id=run_id,
            models=models,
            resources=resources,
            executors=executors,
        )
        return run_alone(run, f"graph {self.name}")

    def render(
        self, path: str | PathLike[str], *, fold: Fold = None, theme: Theme = "auto", detail: Detail = "full"
    ) -> None:
        """Draw it into a file.

        PNG needs the extra `render`, PDF the `dot` program of Graphviz, the others nothing more. An HTML page works
        offline and includes the picture in words. PNG and PDF use the machine's fonts.

        Args:
            path: The file. Its extension selects the format: .svg, .png, .pdf, .html, .dot, .mmd for Mermaid, or .txt
                for text.
            fold: Which inner graphs to draw as one box each: those at this depth or deeper (0: every one), or the
                nodes with these paths, such as `["articles", "desk/article"]`.
            theme: "light", "dark", or "auto": SVG and HTML follow the reader's preference, other formats are light.
            detail: "full", or "brief" for only names and labels, which fits large graphs on a page.

        Raises:
            CompileError: The graph has problems.
            RenderError: The extension, the theme, the detail or a path is unknown, a drawing program is missing, or
                the file cannot be written.
        """
        from graphengine.render import render_graph_spec  # noqa: PLC0415 - declaring a graph needs no renderer

        render_graph_spec(self.compile().graph_spec, path, fold=fold, theme=theme, detail=detail)

    def to_dot(self, *, fold: Fold = None) -> str:
        """Return the picture as DOT text for Graphviz; `fold` is that of `render`.

        Raises:
            CompileError: The graph has problems.
            RenderError: `fold` names an unknown path.
        """
        from graphengine.render import to_dot  # noqa: PLC0415 - the same

        return to_dot(self.compile().graph_spec, fold=fold)

    def to_mermaid(self, *, fold: Fold = None) -> str:
        """Return the picture as a Mermaid flowchart, which GitHub and others draw; `fold` is that of `render`.

        Raises:
            CompileError: The graph has problems.
            RenderError: `fold` names an unknown path.
        """
        from graphengine.render import to_mermaid  # noqa: PLC0415 - the same

        return to_mermaid(self.compile().graph_spec, fold=fold)

    def to_networkx(
        self, steps: Sequence[Step] | None = None, specs: Mapping[str, GraphSpec] | None = None
    ) -> MultiDiGraph[str]:
        """Return it as a networkx graph, for critical paths, dominators and the like.

        Args:
            steps: All steps of a run of it, as from `runner.history(run_id)`, to add what it did; None for no run.
            specs: The specs of the graph under which other steps were recorded, by fingerprint.

        Returns:
            A graph with the attributes that `graphengine.render.network.to_networkx` lists. For the critical path of
            a run, pass the edges that are `taken` and not `back`, with the seconds of their targets, to
            `networkx.dag_longest_path`.

        Raises:
            CompileError: The graph has problems.
            RenderError: The steps are not those of a run.
        """
        from graphengine.render.network import to_networkx  # noqa: PLC0415 - the same

        return to_networkx(self.compile().graph_spec, steps, specs)

    def _repr_mimebundle_(
        self, include: Container[str] | None = None, exclude: Container[str] | None = None
    ) -> dict[str, str]:
        """Return what a notebook shows: the picture if it can be drawn, or the problems of the graph.

        The notebook selects of these what it includes, and not what it excludes.
        """
        from graphengine.render import mimebundle_of  # noqa: PLC0415 - the same

        del include, exclude
        return mimebundle_of(repr(self), lambda: self.compile().graph_spec)


def _checks() -> Checks:
    from graphengine.checks.whole import ALL  # noqa: PLC0415 - declaring a graph needs no checks

    return ALL


check_with(_checks)
