"""The choice of a model for each agent in the runs of one Runner. This module contains an extension of the Runner.

A model in `Runner(models={…})` replaces an agent's own model. If several keys match an agent, the most specific key
wins. From the most specific to the least:

1. `article/write`: the path of a node.
2. `article/writer`: the agent `writer` anywhere below the path `article`.
3. `article/*`: all agents below the path `article`.
4. `writer`: the agent `writer` anywhere.
5. `*`: all agents.

An agent can also be called by the node of another agent, in a tool or for a summary. For such an agent, all keys with
its own name take precedence over the path of that node. A key such as `review_loop:writer` only applies in runs of the
graph `review_loop`.

Every Runner has this extension, because any function can call an agent. Modules that only agents need are imported when
the first agent is called, because importing them would take most of the time of a short command.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import sys
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias, TypeGuard

from graphengine.agents.budget import AgentPlace, AgentsOfRun
from graphengine.errors import CompileError, DefinitionError, InputError, Problem
from graphengine.kernel.extension import Extension, SystemClock, did_you_mean
from graphengine.kernel.inside import ALL, bad_braces, given_over, replacing, without_items

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence
    from types import FunctionType

    from graphengine.agents.agent import Agent
    from graphengine.agents.budget import Opens
    from graphengine.kernel.extension import Clock, OpenRun, Plan
    from graphengine.models.base import Model
    from graphengine.models.errors import ModelUnavailable


_OBJECT: Final = "object "
"""The beginning of the recorded name of a model that was passed as an object.

Only the program that made the object can make it again.
"""


class AsBegun(NamedTuple):
    """The models of a command such as `graphengine worker`, which continues runs that other programs started.

    An agent gets the first of these models that exists:

    1. The model that the command was given.
    2. The model that its run was given last, according to the run's log.
    3. The model of its graph's file.
    4. The agent's own model.

    Attributes:
        given: The models of the command, by the name of an agent, a path or `*`.
        default: The models of each graph's file. Each key begins with the name of the graph.
    """

    given: Mapping[str, Model | str] = {}
    default: Mapping[str, Model | str] = {}


GivenModels: TypeAlias = "Mapping[str, Model | str] | AsBegun | Model | str"
"""Models by agents' names, paths or `*`, or one model for all agents."""
_USERS: Final[Counter[tuple[int, int]]] = Counter()
"""How many Runners of an event loop use a model. The last of them closes the model."""
_DEEPEST: Final = 3
"""How many references deep a function is searched for agents.

An agent is usually a global, a closure variable, or an attribute of one of these. A deeper search would walk through
unrelated objects.
"""


class Models(Extension):
    """Chooses the models of the agents of one Runner, and keeps the tool sources open that these agents use.

    Args:
        given: Models or names of models, by the name of an agent, a path or `*`; see the module. A single model is used
            for all agents.
        clock: The clock of the Runner. Rate limits use the clock of the machine, unless a test passes another clock.
        resources: The names of the Runner's resources; None if the resources of tools are not checked.
    """

    def __init__(
        self, given: GivenModels | None, clock: Clock | None = None, resources: Collection[str] | None = None
    ) -> None:
        self._given = by_agent(given)
        self._resources = resources
        self._as_begun = given if isinstance(given, AsBegun) else None
        self._lacking: dict[str, list[tuple[str, str]]] = {}
        self._unready: dict[str, Plan[Any]] = {}  # graphs of which no new run has been started here yet
        self._clock = None if isinstance(clock, SystemClock) else clock
        self._made: dict[str, Model] = {}
        self._used: dict[int, Model] = {}
        self._sources: dict[int, tuple[Opens, Sequence[Any]]] = {}
        self._opening: dict[int, asyncio.Lock] = {}
        self._chosen: dict[tuple[str, str, str, str | None], Model | str | None] = {}
        for name, model in self._given.items():
            if not is_object(model):
                self._model(
                    model, f"Runner(models={{{name!r}: …}})" if isinstance(given, Mapping) else "Runner(models=…)"
                )

    @property
    def models(self) -> Mapping[str, str]:
        """The names of the models in `Runner(models=…)`, as they are recorded with a run."""
        return {who: model if isinstance(model, str) else _OBJECT + model.name for who, model in self._given.items()}

    def of(
        self, graph: str, place: AgentPlace, own: Model | str | None, begun: Mapping[str, str] | None = None
    ) -> Model:
        """Return the model that an agent uses at this place of a graph: a replacement, or the agent's own model.

        Raises:
            ModelUnavailable: The agent has no model, or the model was an object of the program that started the run.
        """
        agent = place.agent
        chosen = self._find_replacement(graph, place._replace(path=without_items(place.path)), begun)
        if is_object(chosen):
            raise _of_program(agent, chosen)
        wanted = own if chosen is None else chosen
        if wanted is None:
            from graphengine.models.names import no_model  # noqa: PLC0415 - see above

            raise no_model(agent)
        if id(wanted) in self._used:
            return self._used[id(wanted)]
        model = self._model(wanted, f"agent {agent}")
        if id(model) not in self._used:
            self._used[id(model)] = model
            _USERS[_user(model)] += 1
        return model

    def instructions(self, given: Mapping[str, str], graph: str, place: AgentPlace) -> str | None:
        """Return the instructions that replace an agent's own at this place of a graph.

        `given` contains the replacing texts, by the name of an agent or a path. If several keys match, the most
        specific key counts. If no key matches, the result is None, and the agent keeps its own instructions.
        """
        path = without_items(place.path)
        # Instructions for the agent of a node do not apply to other agents that it calls.
        if place.owner not in (None, place.agent):
            given = {key: text for key, text in given.items() if key not in (path, f"{graph}:{path}")}
        return replacing(given, graph, path, place.agent, place.owner)

    def _find_replacement(
        self, graph: str, place: AgentPlace, begun: Mapping[str, str] | None = None
    ) -> Model | str | None:
        """Return the model that `Runner(models=…)` or a command sets for the agent at this place of a graph.

        Returns None if nothing is set for this agent, so that the agent keeps its own model.
        """
        key = (graph, place.path, place.agent, place.owner)
        if self._as_begun is not None:
            before = given_over(self._as_begun.default, begun or {}, graph)
            return replacing(given_over(before, self._given, graph), *key)
        if key not in self._chosen:
            self._chosen[key] = replacing(self._given, *key)
        return self._chosen[key]

    def checked(self, plan: Plan[Any], *, is_queued: bool = False) -> None:
        """Check the agents of a graph before a run of the graph is started or queued.

        A run that is only queued may lack models and resources, because its worker has its own. With `AsBegun`, the
        models are checked when a run is opened, because each run can have other models.

        Raises:
            InputError: A key of `Runner(models=…)` matches nothing in the graph.
            CompileError: An agent has no model, or one of its tools lacks a resource.
        """
        if self._given:
            self.check_names(plan)
        if self._resources is not None and not is_queued and plan.agents:
            refuse_lacking(plan, self._resources)
        if plan.agents and not is_queued:
            self._unready[plan.graph] = plan
        lacking = [] if is_queued or ALL in self._given or not plan.agents else list(_without_model(plan))
        if self._as_begun is None:
            if lacking:
                self._refuse(plan.graph, lacking, {})
        elif not is_queued:
            self._lacking[plan.graph] = lacking

    def _refuse(self, graph: str, lacking: Sequence[tuple[str, str]], begun: Mapping[str, str]) -> None:
        """Raise an error if an agent has neither a model of its own nor one from `Runner(models=…)` or a command."""
        lacking = [
            (path, who) for path, who in lacking if self._find_replacement(graph, AgentPlace(path, who), begun) is None
        ]
        if lacking:
            from graphengine.models.names import no_model  # noqa: PLC0415 - see above

            errors = [(path, no_model(who)) for path, who in lacking]
            problems = [Problem("no_model", f"node {path}", error.message, error.repair) for path, error in errors]
            raise CompileError(graph, problems)

    def _check_set_up(self, plan: Plan[Any], begun: Mapping[str, str]) -> None:
        """Check that the models which every run of a graph calls can be used, before the first step of a run.

        Without this check a run with a missing API key would do the work of earlier nodes and then fail.

        Raises:
            ModelUnavailable: A key or a package is missing.
        """
        for path, agent in _iter_certain_agents(plan):
            wanted = self._find_replacement(plan.graph, AgentPlace(path, agent.name), begun) or agent.model
            if wanted is not None and not is_object(wanted):
                checks: Any = getattr(self._model(wanted, f"agent {agent.name}"), "check_set_up", None)
                if checks is not None:
                    checks()

    def instructed(self, plan: Plan[Any], instructions: Mapping[str, str]) -> None:
        """Check the instructions of `branch(instructions=…)` against the agents of a graph.

        Raises:
            InputError: The graph does not contain the agent, or a text has wrong braces.
        """
        self.check_names(plan, instructions, "branch(instructions=…)")
        for name, text in instructions.items():
            for fault, repair in bad_braces(text):
                message = f"the text for agent {name!r} {fault}"
                raise InputError(message, where="branch(instructions=…)", repair=repair)

    def check_names(
        self, plan: Plan[Any], given: Mapping[str, object] | None = None, where: str = "Runner(models=…)"
    ) -> None:
        """Check that each key of `given` matches an agent or a path of a graph, to find misspelled keys.

        If `given` is None, the keys of `Runner(models=…)` are checked.

        Raises:
            InputError: A key matches nothing in the graph.
        """
        given = self._given if given is None else given
        if set(given) <= {ALL}:
            return
        agents = sorted(set(_agents_of(plan)))
        for name, wanted in unmatched(plan, given, agents):
            repair = did_you_mean(wanted, [*agents, *plan.paths()])
            if not agents:
                repair = (
                    f"leave {name!r} out, as no node is an agent. To name the agents that a function calls, give the "
                    f"name of the function's node: {repair}"
                )
            text = f"the graph {plan.graph!r} has no agent and no node called {name!r}"
            raise InputError(text, where=where, repair=repair)

    async def opened(self, run: OpenRun) -> AgentsOfRun:
        """Check that the models of a run can be used, and return the data that all agents of the run share.

        Raises:
            CompileError: An agent has no model.
            ModelUnavailable: A key or a package is missing.
        """
        origin = run.snapshot.origin
        begun = {} if origin is None else origin.models
        if self._as_begun is not None and not run.is_queued:
            self._refuse(run.graph, self._lacking.get(run.graph, ()), begun)
        if self._unready and run.info is None and run.parent is None and not run.is_queued:
            plan = self._unready.get(run.graph)
            if plan is not None:
                self._check_set_up(plan, begun)
                del self._unready[run.graph]
        return AgentsOfRun(self, self._clock, run.snapshot)

    async def tools_of(self, source: Opens, *, begins: bool = True) -> Sequence[Any]:
        """Return the tools of a source, such as an MCP server. It is opened when it is first needed, and stays open.

        Args:
            source: The source.
            begins: True in the first turn of a call of an agent. In later turns the source is asked again only if its
                tools are known to have changed.
        """
        if id(source) not in self._sources:
            async with self._opening.setdefault(
                id(source), asyncio.Lock()
            ):  # each source has its own lock, so that opening one source does not delay the others
                if id(source) not in self._sources:
                    self._sources[id(source)] = (source, await source.open())
                    return self._sources[id(source)][1]
        relists: Any = source if hasattr(source, "current") else None
        if relists is not None and (begins or relists.is_outdated()):
            self._sources[id(source)] = (source, await relists.current())
        return self._sources[id(source)][1]

    @property
    def is_used(self) -> bool:
        return bool(self._used or self._sources)

    async def closed(self) -> None:
        """Close the tool sources of this Runner, and the models that no other Runner in this event loop uses."""
        async with contextlib.AsyncExitStack() as stack:  # closes all of them, even if closing one raises an error
            for source, _ in self._sources.values():
                stack.push_async_callback(source.close)
            for model in self._used.values():
                _USERS[_user(model)] -= 1
                if not _USERS[_user(model)]:
                    del _USERS[_user(model)]
                    from graphengine.models.base import Closes  # noqa: PLC0415 - see above

                    if isinstance(model, Closes):
                        stack.push_async_callback(model.close)
        self._sources.clear()
        self._used.clear()

    def _model(self, model: Model | str, where: str) -> Model:
        from graphengine.models.names import as_model  # noqa: PLC0415 - see above

        if isinstance(model, str) and model in self._made:
            return self._made[model]
        try:
            created = as_model(model)
        except DefinitionError as error:
            error.where = where
            raise
        if isinstance(model, str):
            self._made[model] = created
        return created


def unmatched(plan: Plan[Any], given: Iterable[str], names: Collection[str]) -> Iterator[tuple[str, str]]:
    """Yield the keys of a dict such as `Runner(models=…)` that match neither a path nor an agent of a graph.

    Each key is yielded with its part after the graph's name: `shop:writer` with `writer`. A key that begins with the
    name of another graph is skipped.
    """
    paths = set(plan.paths())
    for key in given:
        graph, colon, rest = key.partition(":")
        wanted = rest if colon else key
        place, slash, name = wanted.rpartition("/")
        fits = wanted in paths or ((not slash or place in paths) and (name == ALL or name in names))
        if not fits and not (colon and graph != plan.graph):
            yield key, wanted


def by_agent(models: GivenModels | None) -> dict[str, Model | str]:
    """Convert the argument `models=` of a Runner to a dict of models by the name of an agent or a path.

    A single model, which is used for all agents, gets the key `*`.
    """
    if isinstance(models, AsBegun):
        return dict(models.given)
    if models is None or isinstance(models, Mapping):
        return dict(models or {})
    return {ALL: models}


def is_object(model: Model | str | None) -> TypeGuard[str]:
    """Return whether this is the recorded name of a model that a program passed to its Runner as an object."""
    return isinstance(model, str) and model.startswith(_OBJECT)


def _of_program(agent: str, name: str) -> ModelUnavailable:
    from graphengine.models.errors import ModelUnavailable  # noqa: PLC0415 - see above

    message = f"the run started with the model {name.removeprefix(_OBJECT)!r}, an object of the program that started it"
    repair = "name a model, as in --model anthropic:MODEL, or continue the run in the program that started the run"
    return ModelUnavailable(message, where=f"agent {agent}", repair=repair)


def _without_model(plan: Plan[Any], below: str = "") -> Iterator[tuple[str, str]]:
    """Yield each node whose agent has no model of its own, as the path of the node and the name of the agent."""
    for name, node in plan.nodes.items():
        fallback = node.fallback.call if node.fallback is not None else None
        for call in (*node.calls, fallback):
            if call is None:
                continue
            agent = getattr(call.body, "agent", None)
            if call.graph is not None:
                yield from _without_model(call.graph, f"{below}{name}/")
            elif agent is not None and agent.model is None:
                yield f"{below}{name}", agent.name


def _iter_certain_agents(plan: Plan[Any], below: str = "") -> Iterator[tuple[str, Agent[Any, Any]]]:
    """Yield the agents that every run of a graph calls, with the paths of their nodes.

    The edges are followed from START until an edge has a condition. These agents are left out, because a run may do
    without their models:

    - agents with a fallback, or with an edge for their failure,
    - agents with a hook around their model, which may answer in place of the model.
    """
    edges, seen = plan.start, set[str]()
    while edges and edges[0].is_always_taken:
        edge: Any = edges[0]
        arms = [target for target, condition in getattr(edge, "arms", ()) if condition is None and edge.need is None]
        after: str = getattr(edge, "join", "") or getattr(edge, "target", "")
        for name in [*arms, after]:
            node = plan.nodes.get(name) if name not in seen else None
            if node is None or node.call is None or node.fallback is not None or node.failure_edges or node.each:
                continue
            if node.call.graph is not None:
                yield from _iter_certain_agents(node.call.graph, f"{below}{name}/")
            elif (agent := getattr(node.call.body, "agent", None)) is not None and not _has_hook_around_model(agent):
                yield f"{below}{name}", agent
        if after in seen or after not in plan.nodes or plan.nodes[after].failure_edges:
            return
        seen.update((*arms, after))
        edges = plan.nodes[after].edges


def _has_hook_around_model(agent: Agent[Any, Any]) -> bool:
    from graphengine.agents.guards import Hooks  # noqa: PLC0415 - there are agents

    return any(type(hook).around_model is not Hooks.around_model for hook in agent.hooks)


def _user(model: Model) -> tuple[int, int]:
    return id(asyncio.get_running_loop()), id(model)


def _agents_of(plan: Plan[Any]) -> Iterator[str]:
    """Yield the names under which models can be given to the agents of a graph.

    These are the names of the agents, and the names that they use to summarise their conversations.
    """
    for agent in agents_in(plan):
        yield agent.name
        if agent.window is not None and agent.window.model is not None:
            yield f"{agent.name} summary"


def agents_in(plan: Plan[Any]) -> Iterator[Agent[Any, Any]]:
    """Yield the agents that a graph may call.

    These are nodes, fallbacks, and agents to which the graph's functions and resources refer.
    """
    for here in plan.nest:
        for factory in here.resources.values():
            yield from filter(is_agent, reached(factory))
        for node in here.nodes.values():
            fallback = node.fallback.call if node.fallback is not None else None
            for call in (node.call, *node.choices.values(), fallback):
                if call is not None and call.body.kind in ("agent", "function"):
                    yield from filter(is_agent, reached(getattr(call.body, "agent", call.body.call)))


def refuse_lacking(plan: Plan[Any], given: Collection[str]) -> None:
    """Check that each resource that the tools of a graph's agents need is provided.

    `given` contains the names of the Runner's resources.

    Raises:
        CompileError: A tool needs a resource that neither the graph nor the Runner provides.
    """
    problems = list(_find_missing_resources(plan, given))
    if problems:
        raise CompileError(plan.graph, problems)


def _find_missing_resources(plan: Plan[Any], around: Collection[str], below: str = "") -> Iterator[Problem]:
    """Yield a problem for each missing resource of a tool, in this graph and in its subgraphs."""
    given = {*around, *plan.resources}
    for name, node in plan.nodes.items():
        fallback = node.fallback.call if node.fallback is not None else None
        for call in (*node.calls, fallback):
            agent = None if call is None else getattr(call.body, "agent", None)
            if call is not None and call.graph is not None:
                yield from _find_missing_resources(call.graph, given, f"{below}{name}/")
            elif is_agent(agent):
                from graphengine.agents.tool_checks import given_by  # noqa: PLC0415 - there are agents

                for need in agent.__body__().needs(given):
                    near = did_you_mean(need.name, given)
                    repair = near if near.startswith("did you mean") else given_by(need.name)
                    yield Problem("bad_tool", f"node {below}{name}", need.message, repair)


def is_agent(thing: object) -> TypeGuard[Agent[Any, Any]]:
    """Return whether an object is an Agent, without importing the module of agents, which is slow."""
    agents: Any = sys.modules.get("graphengine.agents.agent")
    return agents is not None and isinstance(thing, agents.Agent)


def reached(thing: object, depth: int = 0, seen: set[int] | None = None) -> Iterator[object]:
    """Yield an object and all objects that can be found from it, such as the globals that a function uses.

    Agents that are called inside a function's code, and are not nodes of the graph, are found in this way.
    """
    seen = set() if seen is None else seen
    if id(thing) in seen or depth > _DEEPEST:
        return
    seen.add(id(thing))
    yield thing
    if not is_agent(thing):
        for held in held_by(thing):
            yield from reached(held, depth + 1, seen)
        return
    yield from thing.tools
    tools = (getattr(each, "function", each) for each in thing.tools)
    for function in (thing.prompt, thing.system, thing.check, thing.by_rules, *tools):
        if callable(function):
            yield from reached(function, 0, seen)
    for hook in thing.hooks:
        for held in (hook, type(hook).around_model, type(hook).around_tool):
            yield from reached(held, 0, seen)


def held_by(thing: object) -> Iterable[object]:
    """Return the objects to which an object directly refers, such as the globals that a function uses."""
    if inspect.isfunction(thing):
        return _globals_of(thing)
    if inspect.ismethod(thing):
        return [thing.__func__, thing.__self__]
    if isinstance(thing, dict):
        return thing.values()
    if isinstance(thing, functools.partial):
        thing = (thing.func, *thing.args)
    if isinstance(thing, (list, tuple, set, frozenset)):
        return thing
    if isinstance(thing, type) or inspect.ismodule(thing):
        return ()
    return [*getattr(thing, "__dict__", {}).values(), *([type(thing).__call__] if callable(thing) else [])]


def _globals_of(function: FunctionType) -> Iterator[object]:
    """Yield the objects that the code of a function names: globals, closures, defaults, and attributes of modules.

    The search for agents follows these objects.
    """
    held = inspect.getclosurevars(function)
    for value in (*held.nonlocals.values(), *held.globals.values(), *(function.__defaults__ or ())):
        if inspect.ismodule(value):
            inner = vars(value)
            yield from (inner[name] for name in function.__code__.co_names if name in inner)
        else:
            yield value


__all__ = [
    "ALL",
    "AsBegun",
    "GivenModels",
    "Models",
    "by_agent",
    "held_by",
    "is_agent",
    "is_object",
    "reached",
    "refuse_lacking",
    "replacing",
    "unmatched",
]
