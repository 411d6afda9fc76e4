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
    """Return the function that compiles a graph.

    The compiler is imported late, because declaring a graph does not need it. The result is cached, because an `import`
    statement in a function takes time at each call.
    """
    from graphengine.kernel.extension import compiled  # noqa: PLC0415 - see above

    return compiled


@functools.cache
def _runner_class() -> type[Runner]:
    from graphengine.api.runner import Runner  # noqa: PLC0415 - as the compiler

    return Runner


class Graph(GraphDefinition[S, Out_co]):
    """A directed graph of nodes over a typed state.

    Args:
        name: The graph's name in runs, messages and pictures.
        state: The type of the state: a pydantic model, a TypedDict or a dataclass. A `NotRequired` key begins as an
            empty list, dict or set if its type is one of these; otherwise the key is missing until a node writes it.
            Models with `model_post_init`, dataclasses with `__post_init__` and fields that could not be read back are
            refused.
        title: What the graph's runs are called in lists: a text such as `"Refund {invoice}"`, with `{paths}` of the
            initial state. Without a title, a run is called by the first line of the first text in its input.
        result: The field or path whose value is the result of a run, for an enclosing graph and for `Result.output`.
        resources: Factories of the objects that nodes can take by parameter name. Each factory takes no arguments, may
            be async, and is called once per runner, before the first run that needs the object. A context manager is
            entered, and exited when the runner closes. Any other object is not closed.
        collect_errors: A field of the type `list[Failure]` with the reducer `append`. Each failure that a run survives
            is appended to the field.
        carry_over: The fields that `after=` carries over from an earlier run; by default all fields.
        limits: The default limits of the graph's runs; 1,000 visits if not given. As a node of another graph, the graph
            has only the limits given here, and reaching a limit fails the node.
        retention: How long workers keep runs of the graph that have ended. By default the worker's `retention=`
            decides.
        version: A whole number from 1. Raise the number with each change of the graph to which unfinished runs have to
            be adapted with `migrate=`.
        migrate: How a run of an older version becomes a run of the next version, by the older version: a function of
            the recorded fields of the state, or a `Migration`, which can change nodes, too. When such a run is resumed
            or branched, these are called one after another, up to `version`.
        secret_key: The key that encrypts the secret fields of the state (`SecretStr`, `Secret`): text or bytes with at
            least 32 random bytes, such as `secrets.token_urlsafe(32)` returns, or a function without arguments that
            returns the key when the graph is compiled. Of several keys the first encrypts, and each can decrypt
            records.
        search: The fields by which searches find the graph's runs: up to 8 texts, numbers, booleans or dates of the
            input, such as `"input.country"`, and of the result, such as `"output.status"`. The input is the state as
            the run begins. Without `result=`, the result is the final state. The values are kept in clear text beside
            the log, so secret fields are refused.

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
        """Return the graph that runs one agent, so that its runs can be started, resumed, branched or served.

        `Graph.of(agent)` is the graph that `runner.run(agent, …)` runs. The state of the graph contains the inputs of
        the agent, and the field `answer` with the result. If the agent has `inputs=`, the type of the state is a
        subclass of that type, and a run may begin with an instance of the type. If the agent has no prompt, the state
        contains the field `question`, which the agent reads.

        Args:
            agent: The agent.
            resources: Factories of the resources that the agent's tools and functions read by name, as for `Graph`. The
                tools can use the Runner's resources, too.

        Raises:
            DefinitionError: The agent reads a field named `answer`.

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
        """Return the graph of conversations with an agent, for example to serve them.

        `Graph.chat(agent)` is the graph that `runner.run(agent, …, chat=…)` runs. Each run of the graph is one
        conversation: the run waits for a message, replies, and waits for the next message. The result of the run is the
        newest reply.

        Args:
            agent: The agent.
            resources: Factories of resources for the agent's tools and functions, as for `Graph.of`.

        Raises:
            DefinitionError: The agent reads a field named `answer` or `turn`.

        Example:
            >>> Graph.chat(Agent("assistant")).name
            'assistant-chat'
        """
        from graphengine.agents.chats import chat_of_agent  # noqa: PLC0415 - declaring a graph needs no agents

        return chat_of_agent(agent, cls.of(agent.but(hand_to=()), resources=resources))

    def compile(self) -> Plan[S]:
        """Check the whole graph, and return the plan by which runs are driven.

        `compile` keeps the plan, and returns it again until the graph or a graph inside it changes.

        `compile` reports a loop that may never end as a warning. A loop ends if it has one of these conditions, either
        on an edge that leaves the loop and is tried before the edges back, or on an edge back:

        - a limit on the number of visits, or a plateau,
        - a bound on time, on cost, or on a list to which each round appends.

        A loop is also not reported if each round of the loop waits for an answer or a message.

        Raises:
            CompileError: The graph has problems. The error lists all of them, and the warnings.
        """
        return _compile_with()(self)

    def check(self) -> Sequence[Problem]:
        """Return all problems and warnings of the graph, without raising an error.

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
        """Run the graph once. To make several runs or to answer questions of a run, use a `Runner`.

        Args:
            state: The initial state, or a mapping of its fields.
            limits: Limits that replace the graph's own.
            store: The path of a SQLite database, the address of a PostgreSQL database, or a Store, in which the run can
                be inspected, resumed and branched later. By default the run is kept in memory only.
            run_id: The run's id; generated if not given.
            models: Models that replace agents' own, as in `Runner`.
            resources: Ready-made resources that replace the graph's own, by name.
            executors: Where nodes with `on=` run, as in `Runner`.

        Returns:
            The result of the run, which has finished, was stopped at a limit, or waits for an answer or a message. A
            run that waits and is kept in memory only cannot be continued, because the answer or message can no longer
            reach it. If the run only sleeps, `run` returns after the sleep.

        Raises:
            CompileError: The graph cannot run.
            InputError: The state is invalid.
            RunExists: A run with this id is recorded.
            RunFailed: The run failed. The error contains the result up to the failure.
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
        """Run the graph once, as `run` does, in a script without an event loop.

        Use a `SyncRunner` for such scripts if you need other methods of a Runner. Ctrl-C cancels async nodes at once.
        If a sync node is running, Ctrl-C takes effect when that node has ended, because its thread cannot be cancelled.

        Raises:
            DefinitionError: An event loop is already running here, as in a notebook. The errors of `run` are raised as
                well.
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
        """Draw the graph into a file.

        `render` chooses the format by the ending of the path. PNG needs the extra `render`, PDF needs the program `dot`
        of Graphviz, and the other formats need nothing more. An HTML page works offline and includes a description of
        the picture. PNG and PDF use the fonts of the machine.

        Args:
            path: The file. Its extension selects the format: .svg, .png, .pdf, .html, .dot, .mmd for Mermaid, or .txt
                for text.
            fold: Which inner graphs to draw as one box each: those at this depth or deeper (0 for all of them), or the
                nodes with these paths, such as `["articles", "desk/article"]`.
            theme: "light", "dark", or "auto". With "auto", SVG and HTML follow the reader's preference, and other
                formats are light.
            detail: "full", or "brief" for only names and labels, which fits large graphs on a page.

        Raises:
            CompileError: The graph has problems.
            RenderError: The extension, the theme, the detail or a path is unknown, a drawing program is missing, or the
                file cannot be written.
        """
        from graphengine.render import render_graph_spec  # noqa: PLC0415 - declaring a graph needs no renderer

        render_graph_spec(self.compile().graph_spec, path, fold=fold, theme=theme, detail=detail)

    def to_dot(self, *, fold: Fold = None) -> str:
        """Return the picture of the graph as DOT text for Graphviz. `fold` has the same meaning as in `render`.

        Raises:
            CompileError: The graph has problems.
            RenderError: `fold` names an unknown path.
        """
        from graphengine.render import to_dot  # noqa: PLC0415 - the same

        return to_dot(self.compile().graph_spec, fold=fold)

    def to_mermaid(self, *, fold: Fold = None) -> str:
        """Return the picture of the graph as a Mermaid flowchart, which GitHub and other tools draw.

        `fold` has the same meaning as in `render`.

        Raises:
            CompileError: The graph has problems.
            RenderError: `fold` names an unknown path.
        """
        from graphengine.render import to_mermaid  # noqa: PLC0415 - the same

        return to_mermaid(self.compile().graph_spec, fold=fold)

    def to_networkx(
        self, steps: Sequence[Step] | None = None, specs: Mapping[str, GraphSpec] | None = None
    ) -> MultiDiGraph[str]:
        """Return the graph as a networkx graph, for algorithms such as critical paths and dominators.

        Args:
            steps: All steps of a run of the graph, as from `runner.history(run_id)`, to add what the run did; None for
                no run.
            specs: The specs of the graph under which other steps were recorded, by fingerprint.

        Returns:
            A graph with the attributes that `graphengine.render.network.to_networkx` lists. For the critical path of a
            run, pass the edges that are `taken` and not `back`, with the seconds of their targets, to
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
        """Return what a Jupyter notebook shows for the graph: its picture, or its problems if it cannot be drawn."""
        from graphengine.render import mimebundle_of  # noqa: PLC0415 - the same

        del include, exclude
        return mimebundle_of(repr(self), lambda: self.compile().graph_spec)


def _checks() -> Checks:
    from graphengine.checks.whole import ALL  # noqa: PLC0415 - declaring a graph needs no checks

    return ALL


check_with(_checks)
