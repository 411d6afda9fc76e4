"""`--model`: the models of agents in the runs of one command.

All commands choose the model of an agent by the same rule. The first of these that exists is used:

1. the model in the option `--model`,
2. the model that the run was given last, as recorded in its log,
3. the model in the set "default" of the graph's file,
4. the agent's own model.

`--model NAME` applies to all agents. `--model WHO=NAME` applies to one agent, to a node's path, or to a path and an
agent below it. A graph file can define named sets of models,

    MODELS = {"anthropic": {"*": "anthropic:claude-…", "writer": "anthropic:claude-…"}}

and `--model anthropic` uses this set. An option for a single agent takes precedence over a set. All options are checked
before anything runs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import closing, suppress
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from urllib.parse import urlsplit

from graphengine.agents.model_routing import ALL, AsBegun, Models
from graphengine.api.graph import Graph
from graphengine.cli.project import GraphFileBroken
from graphengine.errors import DefinitionError, InputError
from graphengine.kernel.inside import given_over
from graphengine.models.errors import ModelUnavailable
from graphengine.models.hiding import struck
from graphengine.models.names import SERVERS, model_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

    from graphengine.cli.project import Found
    from graphengine.kernel.reader import Snapshot
    from graphengine.models.base import Model

Chosen: TypeAlias = "Mapping[str, Model | str]"
"""Models in the form that a Runner accepts."""

_PLACEHOLDER: Final = "placeholder"
"""The name of `graphengine.models.placeholder`, which is not imported here because the import takes long."""
SETS: Final = "MODELS"
"""The variable of a graph file that contains its sets of models."""
DEFAULT: Final = "default"
"""The set that is used if no other model is given."""
_LOCAL: Final = "openai-chat:NAME@http://127.0.0.1:11434/v1"
"""An example of a model on a local server such as Ollama."""
_PATIENCE_SECONDS: Final = 0.3
"""How long to wait for a local server's list of models."""
_MOST_READ: Final = 100_000
_NO_SERVER: Final = (OSError, HTTPException, ValueError, LookupError, TypeError)
"""The errors that occur if no server answers, or if something else answers at the address."""

_IS_NAME: Final = re.compile(r"(anthropic|openai|openai-chat|recorded):")
"""The prefixes of model names that can contain `=`."""


class UnknownAgent(InputError):
    """A graph has no agent and no node with this name."""


def models_for(given: Sequence[str], found: Found) -> Chosen:
    """Return the models that the options `--model` choose for the agents of one graph.

    Args:
        given: The values of `--model`.
        found: The graph and its file, which can define sets of models.

    Raises:
        InputError: A model, an agent or a set does not exist.
        GraphFileBroken: The sets in the file are invalid.
    """
    names_by_agent: dict[str, str] = {}
    for text in given:
        who, name = split(text)
        if who in names_by_agent:
            message = f"the model for {'all agents' if who == ALL else repr(who)} is given twice"
            raise InputError(message, where=_format_model_option(text), repair="leave out one of the two options")
        names_by_agent[who] = name
    sets = sets_of(found.module) if given else {}
    chosen = _select_for_graph(sets.get(names_by_agent.get(ALL, ""), {}), found)
    for who, name in names_by_agent.items():
        if not (who == ALL and name in sets):
            _check_name(who, name, sets)
            chosen[who] = name
    return {_find_agent_or_node(who, found.graph): model for who, model in chosen.items()}


def as_begun(given: Sequence[str], graphs: Mapping[str, Found]) -> AsBegun:
    """Return the models for the runs of several graphs: those of `--model`, and the set `default` of each graph's file.

    Raises:
        InputError: A model or a set does not exist, or no graph has an agent with a given name.
        GraphFileBroken: The sets in a file are invalid.
    """
    default = {
        f"{name}:{_find_agent_or_node(who, found.graph)}": model
        for name, found in graphs.items()
        for who, model in _select_for_graph(sets_of(found.module).get(DEFAULT, {}), found).items()
    }
    return AsBegun(models_for_all(given, graphs), default)


def in_force(models: AsBegun, found: Found, snapshot: Snapshot | None) -> Chosen:
    """Return the model that each agent of a run uses, according to the options, the run and the graph's file.

    For each agent, `--model` comes first, then the model with which the run began, then the set `default` of the
    graph's file.
    """
    graph = found.graph.name
    recorded = {} if snapshot is None or snapshot.origin is None else snapshot.origin.models
    default = given_over({}, models.default, graph)
    return given_over(given_over(default, recorded, graph), models.given, graph)


def placeholders(chosen: Chosen) -> bool:
    """Return whether any agent is answered by the placeholder in place of a model."""
    return any(model == _PLACEHOLDER for model in chosen.values())


def ways_to_a_model(found: Found) -> str:
    """Return options such as `--model anthropic:MODEL`, to suggest them to a user who has chosen no language model."""
    sets = [
        name
        for name, models in sets_of(found.module).items()
        if any(model not in ("rules", _PLACEHOLDER) for model in models.values())
    ]
    sets = sets or ["anthropic:MODEL", "openai:MODEL"]
    return ", ".join(f"--model {name}" for name in [*sets, *_list_local_models()])


def _list_local_models() -> Sequence[str]:
    """Find the model servers that run on this machine, and return one model of each of them as a suggestion.

    The servers are searched at their usual addresses. If no server answers, the result is an example of how to name
    such a model.
    """
    found: list[str] = []
    for address in dict.fromkeys(SERVERS.values()):
        parts = urlsplit(address)
        with suppress(*_NO_SERVER), closing(HTTPConnection(parts.netloc, timeout=_PATIENCE_SECONDS)) as server:
            server.request("GET", f"{parts.path}/models")
            listed = json.loads(server.getresponse().read(_MOST_READ))
            found.append(f"openai-chat:{listed['data'][0]['id']}@{address}")
    return found or [_LOCAL]


def models_for_all(given: Sequence[str], graphs: Mapping[str, Found]) -> Chosen:
    """Return the models that the options `--model` choose, for a command that drives runs of several graphs.

    An option for an agent applies to all graphs that contain this agent.

    Raises:
        InputError: A model does not exist, no graph has an agent with a given name, or one of the graphs lacks a set.
        GraphFileBroken: The sets in a file are invalid.
    """
    chosen: dict[str, Model | str] = {}
    used: set[str] = set()
    for name, found in graphs.items():
        fitting = [text for text in given if _has_agent_or_node(found.graph, split(text)[0])]
        used.update(fitting)
        chosen |= {f"{name}:{who}": model for who, model in models_for(fitting, found).items()}
    for text in given:
        if text not in used:
            _find_agent_or_node(split(text)[0], list(graphs.values())[-1].graph)  # raises the error
    return chosen


def _select_for_graph(chosen: Chosen, found: Found) -> dict[str, Model | str]:
    """Return the models of a set that belong to agents of a certain graph.

    A set gives each agent a model. It is defined in a graph's file.

    All graphs of the file share the sets, although the graphs can have different agents. Models for agents of another
    graph in the file are left out.

    Raises:
        UnknownAgent: No graph of the file has an agent or a node with a name in the set.
    """
    kept: dict[str, Model | str] = {}
    for who, model in chosen.items():
        try:
            _find_agent_or_node(who, found.graph)
        except UnknownAgent:
            if not any(
                _has_agent_or_node(graph, who) for graph in vars(found.module).values() if isinstance(graph, Graph)
            ):
                raise
            continue
        kept[who] = model
    return kept


def _has_agent_or_node(graph: Graph[Any], who: str) -> bool:
    try:
        _find_agent_or_node(who, graph)
    except UnknownAgent:
        return False
    return True


def split(text: str) -> tuple[str, str]:
    """Split a value of `--model`, such as `writer=openai:MODEL`, into the agent or node and the name of the model.

    Without an agent or a node, the model is for all agents.
    """
    who, equals, name = text.partition("=")
    if not equals or _IS_NAME.match(who):
        return ALL, text
    return who.strip(), name


def _find_agent_or_node(who: str, graph: Graph[Any]) -> str:
    """Check that a graph has an agent or a node with this name, and return the name.

    The name of the graph and a colon can stand before the name, and are removed.

    Raises:
        UnknownAgent: The graph has no agent and no node with this name.
    """
    prefix, colon, rest = who.partition(":")
    wanted = rest if colon and prefix == graph.name else who
    try:
        Models({wanted.replace(":", " "): "rules"}).check_names(graph.compile())
    except InputError as error:
        message = f"the graph {graph.name!r} has no agent and no node {who!r}"
        raise UnknownAgent(message, where=_format_model_option(f"{who}=…"), repair=error.repair) from error
    return wanted


def _check_name(who: str, name: str, sets: Mapping[str, Chosen]) -> None:
    """Check that a model with this name exists.

    Raises:
        InputError: The model does not exist.
    """
    try:
        model_of(name)
    except (ModelUnavailable, DefinitionError) as error:
        known_sets = ""
        if ":" not in name and sets:
            known_sets = f"; the graph's file has sets of models named {', '.join(sets)}" + (
                "" if who == ALL else ", which are for all agents"
            )
        where = _format_model_option(name if who == ALL else f"{who}={name}")
        raise InputError(error.message + known_sets, where=where, repair=error.repair) from None


def sets_of(module: ModuleType) -> dict[str, Chosen]:
    """Return the sets of models that a graph's file defines in its variable MODELS.

    Raises:
        GraphFileBroken: MODELS is not a dict of dicts, or contains a model that does not exist.
    """
    sets = getattr(module, SETS, {})
    if not isinstance(sets, Mapping) or not all(isinstance(each, Mapping) for each in sets.values()):
        message = f"{SETS} is not a dict that contains a dict of models for each name"
        repair = f'write {SETS} = {{"cheap": {{"*": "openai:…", "writer": "openai:…"}}}}'
        raise GraphFileBroken(message, where=str(module.__file__), repair=repair)
    found: dict[str, Chosen] = {}
    for name, each in sets.items():
        try:
            Models(each)
        except (ModelUnavailable, DefinitionError) as error:
            message = f"{SETS}[{name!r}]: {error.message}"
            raise GraphFileBroken(message, where=str(module.__file__), repair=error.repair) from error
        found[str(name)] = each
    return found


def _format_model_option(text: str) -> str:
    return f"--model {struck(text)}"


__all__ = [
    "DEFAULT",
    "Chosen",
    "as_begun",
    "in_force",
    "models_for",
    "models_for_all",
    "placeholders",
    "sets_of",
    "split",
    "ways_to_a_model",
]
