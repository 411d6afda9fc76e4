"""Agents: a role, a prompt and a type of answer, over a model.

An Agent is a node like a function is: what it reads is named by the `{paths}` of its prompt and by the parameters of
its rule-based stand-in, what it gives is a value of its output type.
"""

from __future__ import annotations

import asyncio
import functools
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Generic, Literal, cast

from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypeVar

from graphengine.body import is_async
from graphengine.errors import BadAnswer, DefinitionError, ModelUnavailable
from graphengine.fieldtype import explain
from graphengine.injection import Injected, Parameter
from graphengine.models.base import Message, Request
from graphengine.models.offline import OfflineModel
from graphengine.paths import parse
from graphengine.prompts import fill, holes, labelled
from graphengine.scope import CURRENT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from graphengine.models.base import Model

T = TypeVar("T", default=str)


@dataclass(frozen=True, slots=True)
class Agent(Generic[T]):
    """Someone with a role who answers prompts with values of one type.

    Args:
        name: What usage and messages call it.
        model: The model that answers: `"offline"`, or an object with the `Model` protocol.
        system: Standing instructions.
        prompt: Text whose `{paths}` name what it reads of the state; without it the inputs go in as labelled blocks.
        output: The type of its answers; text if not given.
        offline: A function that answers by rules where there is no language model. Its parameters name what it reads.

    Example:
        >>> shout = Agent("shout", prompt="Shout: {word}", offline=lambda word: word.upper() + "!")
        >>> asyncio.run(shout.run(word="ho"))
        'HO!'
    """

    name: str
    model: str | Model = "offline"
    system: str = ""
    prompt: str = ""
    output: type[T] = str  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    offline: Callable[..., object] | None = None
    _adapter: TypeAdapter[Any] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_adapter", TypeAdapter(self.output))

    def but(self, **changes: Any) -> Agent[T]:  # noqa: ANN401 - the arguments of Agent
        """A copy with changes."""
        return replace(self, **changes)

    async def run(self, **inputs: object) -> T:
        """Answer once. Inside a node the call counts for the run; alone it uses the agent's own model.

        Args:
            inputs: What the prompt and the stand-in read, by name.

        Raises:
            ModelUnavailable, BadAnswer; whatever the model raises.
        """
        scope = CURRENT.get()
        model = scope.model_for(self.name, self.model) if scope is not None else self._own_model()
        prompt = fill(self.prompt, inputs) if self.prompt else labelled(inputs)
        schema = None if self.output is str else self._adapter.json_schema()
        stand_in = self._stand_in(inputs) if self.offline is not None else None
        asked = Message(role="user", text=prompt, agent=self.name)
        response = await model.answer(Request(self.name, self.system, [asked], schema, stand_in=stand_in))
        if scope is not None:
            scope.paid(response)
        return self._read(response.content)

    def body(self) -> AgentBody[T]:
        """The agent as a node's body."""
        return AgentBody(self)

    def _own_model(self) -> Model:
        if self.model == "offline":
            return OfflineModel()
        if isinstance(self.model, str):
            raise ModelUnavailable(
                f"agent {self.name} wants the model {self.model!r}, which this version cannot reach",
                where=f"agent {self.name}",
                repair="use model='offline' with offline=function, or pass an object with the Model protocol",
            )
        return self.model

    def _stand_in(self, inputs: Mapping[str, object]) -> Callable[[], Any]:
        function = cast("Callable[..., object]", self.offline)
        wanted = Injected.of(function).names

        async def answer() -> object:
            values = {name: value for name, value in inputs.items() if name in wanted}
            if is_async(function):
                return await function(**values)  # type: ignore[misc]
            scope = CURRENT.get()
            call = functools.partial(function, **values)
            return await (scope.blocking(call) if scope is not None else asyncio.to_thread(call))

        return answer

    def _read(self, content: object) -> T:
        try:
            if isinstance(content, str) and self.output is not str:
                return cast("T", self._adapter.validate_json(content))
            return cast("T", self._adapter.validate_python(content))
        except ValidationError as error:
            raise BadAnswer(
                f"the answer is no {getattr(self.output, '__name__', self.output)}: {explain(error)}",
                where=f"agent {self.name}",
                repair="ask for the form in the prompt, or widen the output type",
            ) from error


@dataclass(frozen=True, slots=True)
class AgentBody(Generic[T]):
    """An agent in the form the engine calls."""

    agent: Agent[T]
    kind: Literal["function", "agent", "pass"] = "agent"
    thread: bool = False

    @property
    def name(self) -> str:
        """The agent's name."""
        return self.agent.name

    @property
    def returns(self) -> object:
        """The type of its answers."""
        return self.agent.output

    @property
    def parameters(self) -> Sequence[Parameter]:
        """The paths of its prompt, and what its stand-in takes besides."""
        found = {hole: Parameter(hole) for hole in self._paths()}
        if self.agent.offline is not None:
            for parameter in Injected.of(self.agent.offline).parameters:
                found[parameter.name] = parameter
        return list(found.values())

    def _paths(self) -> list[str]:
        return [hole for hole in holes(self.agent.prompt) if not _bad_hole(hole)]

    async def call(self, **values: object) -> object:
        """Answer once."""
        return await self.agent.run(**values)

    def problems(self) -> Sequence[tuple[str, str, str]]:
        """Holes of the prompt that are no paths, an output type without a JSON Schema."""
        found = [
            ("bad_path", f"the prompt of {self.name} has {{{hole}}}, which is no path", "write {{ and }} for braces")
            for hole in holes(self.agent.prompt)
            if _bad_hole(hole)
        ]
        if self.agent.offline is not None:
            extra = Injected.of(self.agent.offline).variadic
            found += [("bad_parameter", f"{self.name}'s stand-in has {text}", "name each field") for text in extra]
        return found


def _bad_hole(hole: str) -> bool:
    try:
        parse(hole)
    except DefinitionError:
        return True
    return False


__all__ = ["Agent", "AgentBody"]
