"""The models of runs, steps and errors in the documents that commands and the HTTP service write.

See `graphengine.cli.schemas` and `graphengine.service.openapi`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias

from pydantic import BaseModel, Field, JsonValue

Status: TypeAlias = Literal["running", "waiting", "finished", "stopped", "failed"]


class Part(BaseModel):
    """A part of a document."""


class Document(Part):
    """The base of every document."""

    version: Literal[1] = Field(alias="schema", description="the version of the documents")


class Parent(Part):
    """The run that a branch started from, and the step."""

    run_id: str = Field(description="the run")
    seq: int = Field(description="the last step that both share")


class Error(Part):
    """An error."""

    code: str = Field(description="its kind, stable")
    message: str = Field(description="what happened, with the values")
    where: str = Field(description='the location; "" if there is none')
    repair: str = Field(description='how to fix it; "" if unknown')


class Problem(Error):
    """A problem found by compile."""

    warning: bool = Field(description="whether the graph can still run")
    file: str | None = Field(description="the file of the declaration, absolute; null if unknown")
    line: int | None = Field(description="the line there, from 1")


class Refusal(Error):
    """An error that ended a command."""

    problems: Sequence[Problem] = Field(default=(), description="all problems of a graph that does not compile")


class Failure(Error):
    """The error that a node or a run failed with."""

    path: str = Field(description="the node")
    attempt: int = Field(description="which attempt it was, from 1")
    traceback: str | None = Field(default=None, description="where the exception came from, if it is recorded")


class Wait(Part):
    """Something that a run waits for."""

    name: str = Field(description="the name for `graphengine answer RUN_ID VALUE --question NAME`")
    kind: Literal["ask", "receive", "sleep", "pause", "crash"] = Field(description="its kind")
    question: str = Field(description="the question")
    answer_schema: Mapping[str, Any] | None = Field(
        alias="schema", description="the JSON Schema of the answer; null if it takes none"
    )
    topic: str | None = Field(description="the topic of the message")
    due_at: float | None = Field(description="when it ends by itself; null for never")


class Usage(Part):
    """Usage of models."""

    calls: int = Field(description="model calls, including offline ones and failed ones that used tokens")
    offline_calls: int = Field(description="how many of them rules or a script answered")
    input_tokens: int = Field(description="tokens of all requests")
    output_tokens: int = Field(description="tokens of all answers")
    cost_usd: float | None = Field(description="US dollars; null if a price is not known")
    cache_read_tokens: int = Field(default=0, description="the input tokens that were read from a cache")
    cache_write_tokens: int = Field(default=0, description="the input tokens that were written to a cache")
    reasoning_tokens: int = Field(default=0, description="the output tokens of thinking")
    priced_usd: float | None = Field(default=None, description="if the cost is null: the sum of the known prices")
    unknown_calls: int = Field(default=0, description="failed calls whose usage is not known")


class Spending(Usage):
    """What one agent spent at one node on one model."""

    agent: str = Field(description='the agent; "" if rules answered for it')
    model: str = Field(description='the model; "" if it is not recorded')
    node: str = Field(description="the node's path")
    inherited: bool = Field(description="whether it was spent before the run branched off")


class Stop(Part):
    """Why a run, or a graph inside one, ended."""

    reason: Literal["end", "failed", "limit", "asked"] = Field(description="the kind of end")
    label: str = Field(description="the label of the edge that led there")
    condition: str = Field(description="that edge's condition in words")
    explanation: str = Field(description="how the conditions evaluated, with their values")


class Detail(Part):
    """The keys that only some kinds of steps have."""

    choice: JsonValue = Field(default=None, description="node, item: what `choose` picked")
    fallback: bool = Field(default=False, description="node, item: whether its fallback gave the result")
    then: str | None = Field(default=None, description="attempt: `fallback`, if that is run next")
    due_at: float | None = Field(default=None, description="attempt: when the next one is due")
    inside: Stop | None = Field(default=None, description="node: how the graph at this node ended")
    cancelled: Sequence[str] = Field(default=(), description="joined: the arms that were still running")
    count: int | None = Field(default=None, description="mapped: how many items")
    concurrency: int | None = Field(default=None, description="mapped: how many of them run at a time")
    writes: Sequence[JsonValue] = Field(default=(), description="item: what it adds to the map's updates")
    graph: str | None = Field(default=None, description="started, entered: the graph that begins")
    name: str | None = Field(default=None, description="recorded: the function that was called")
    value: JsonValue = Field(default=None, description="recorded: what it returned")
    waits: Sequence[Wait] = Field(default=(), description="waiting: what the run waits for")
    wait: str | None = Field(default=None, description="answered, refused, node: the name of the wait that is over")
    by: JsonValue = Field(
        default=None,
        description="answered, node: `answer`, `message`, `time` or `default`; recorded: which `agent` called which "
        "`model`",
    )
    answer: JsonValue = Field(default=None, description="answered, refused, node: the answer")
    message: str | None = Field(default=None, description="refused: why")
    topic: str | None = Field(default=None, description="message: its topic")
    payload: JsonValue = Field(default=None, description="message: its payload")
    sent: Sequence[JsonValue] = Field(default=(), description="node, item: messages that it sent, as [topic, payload]")
    emitted: Sequence[JsonValue] = Field(default=(), description="node, item: the values it emitted to be recorded")
    said: JsonValue = Field(default=None, description="recorded: what it `sent` and `emitted`")
    unused: JsonValue = Field(default=None, description="node: recorded work that it did not use again")
    refused: JsonValue = Field(
        default=None, description="attempt, failed: recorded work that caused the failure, and is not kept"
    )
    pause: Sequence[str] = Field(
        default=(), description="started, resumed, branched: the nodes before which the run waits"
    )
    retries: JsonValue = Field(default=None, description="resumed: whether failed parts are retried")
    company: JsonValue = Field(default=None, description="resumed: whether the process also drove other runs")
    crashed: JsonValue = Field(default=None, description="resumed: whether nodes were in flight when a process died")
    changes: Sequence[JsonValue] = Field(default=(), description="resumed, branched: changes of the graph")
    refit: JsonValue = Field(
        default=None, description="resumed, branched: updates by defaults and migrations, by frame"
    )
    renamed: JsonValue = Field(default=None, description="resumed, branched: renamed nodes")
    moved: JsonValue = Field(default=None, description="resumed, branched: frames that continue at another node")
    asks: JsonValue = Field(default=None, description="resumed, branched: frames whose question is asked again")
    after: str | None = Field(default=None, description="started: the run whose state it begins with")


class Waypoint(Part):
    """A step in short: its node, and the edge it took."""

    seq: int = Field(description="its number in the run, from 1")
    path: str = Field(description="its node, as `article/review`")
    kind: str = Field(description="what happened: `node`, `attempt`, `failed`, `waiting`, …")
    node: str = Field(description='the node\'s name; "" for the run itself')
    visit: int = Field(description="which visit of the node, from 1")
    attempt: int = Field(description="which attempt of the visit, from 1")
    edge: str | None = Field(description="the label of the edge it took")
    targets: Sequence[str] = Field(description="the nodes that the edge leads to")


class Step(Waypoint):
    """One recorded step."""

    update: Sequence[JsonValue] = Field(description='operations on fields, as `["set", "draft", "…"]`')
    explanation: JsonValue = Field(description="how the conditions evaluated, with their values")
    error: Failure | None = Field(description="the error, if it failed")
    detail: Detail = Field(description="keys of this kind of step")
    usage: Usage | None = Field(description="the usage of models for it")
    started_at: float = Field(description="when its work began")
    finished_at: float = Field(description="when it was recorded")


class Run(Document):
    """A run."""

    run_id: str = Field(description="its id")
    graph: str = Field(description="the name of its graph")
    status: Status = Field(description="as of its last step; `running` with no driver was interrupted")
    parent: Parent | None = Field(description="the run it was branched from")
    tags: Sequence[str] = Field(description="its tags")
    stop: Stop | None = Field(description="why it ended")
    error: Failure | None = Field(description="what it failed with")
    waits: Sequence[Wait] = Field(description="what it waits for")
    state: Mapping[str, JsonValue] = Field(description="its fields")
    output: JsonValue = Field(
        default=None, description="the value of the graph's `result=`; omitted without one, and always in `show`"
    )
    usage: Usage = Field(description="its usage of models, including what it inherited")
    inherited: Usage = Field(description="the part of it that was spent before it branched off")
    spending: Sequence[Spending] = Field(description="the same by agent, model and node")
    steps: Sequence[Step] = Field(description="its steps, those shared with its parents included")


class OneStep(Document):
    """One step of a run."""

    run_id: str = Field(description="the run")
    step: Step = Field(description="the step")


class SpendingOfRun(Document):
    """What a run spent on models."""

    run_id: str = Field(description="the run")
    usage: Usage = Field(description="all of it")
    inherited: Usage = Field(description="the part of it that was spent before it branched off")
    spending: Sequence[Spending] = Field(description="the same by agent, model and node")


class EstimatedAgent(Part):
    """The calls of one agent to one model, as a rehearsal by rules counts them."""

    agent: str = Field(description="the agent")
    model: str = Field(description="its model; offline for rules")
    calls: int = Field(description="its calls")
    input_tokens: int = Field(description="the tokens of its questions, estimated by their length")
    output_tokens: int = Field(description="the tokens of its answers, estimated by the length of the rules' answers")
    cost_usd: float | None = Field(description="their cost; null if it is unknown")
    most_usd: float | None = Field(description="the same if each answer is as long as it may be")


class Estimated(Document):
    """What a run is expected to cost."""

    graph: str = Field(description="the graph")
    agents: Sequence[EstimatedAgent] = Field(description="the calls by agent and model")
    cost_usd: float | None = Field(description="the expected cost; null if it is unknown")
    most_usd: float | None = Field(description="the same if each answer is as long as it may be")
    unknown: str = Field(description="why the cost is unknown, else empty")
    ended: str = Field(description="how the rehearsal ended, as a run's status; empty if there was none")


class Scored(Part):
    """A scorer's judgement of one result."""

    value: float | None = Field(description="from 0 to 1; null if the scorer does not apply, or failed")
    why: str = Field(description="its reason")
    failure: str = Field(default="", description="why it gave none")


class EvaluatedCase(Part):
    """What one version did in one case."""

    case: str = Field(description="the case")
    label: str = Field(description="the label that the graph ended with")
    failure: str = Field(description='why the graph failed; "" if it did not')
    scores: Mapping[str, Scored] = Field(description="the judgements by scorer; all are 0 if the graph failed")
    output: JsonValue = Field(description="the graph's result")
    cost_usd: float | None = Field(description="US dollars without the scorers; null if unknown")
    calls: int = Field(description="model calls of the graph")
    offline_calls: int = Field(description="how many of them rules answered")
    seconds: float = Field(description="from its first step to its last")


class EvaluatedVersion(Part):
    """What one version did in all cases."""

    name: str = Field(description="its name")
    means: Mapping[str, float | None] = Field(description="the mean by scorer; a failed case counts as 0")
    cost_usd: float | None = Field(description="US dollars without the scorers; null if unknown")
    trials: Sequence[EvaluatedCase] = Field(description="in the order of the cases")


class ScoreDifference(Part):
    """How two versions differ in the cases that both have a score in."""

    mean: float = Field(description="the mean of the differences: the graph's score minus the other version's")
    error: float | None = Field(description="the standard error of that mean; null for fewer than two cases")
    better: int = Field(description="in how many cases the graph is better")
    worse: int = Field(description="in how many it is worse")
    equal: int = Field(description="in how many they are equal")


class Evaluated(Document):
    """The report of an evaluation."""

    run_id: str = Field(description="its run")
    graph: str = Field(description="the graph under test")
    scorers: Sequence[str] = Field(description="the scorers")
    subject: EvaluatedVersion = Field(description="what the graph did")
    against: EvaluatedVersion | None = Field(description="what the other version did; null without one")
    differences: Mapping[str, ScoreDifference | None] = Field(description="by scorer; empty without another version")
    scoring_usd: float | None = Field(description="the cost of the scorers; null if unknown")
    below: Sequence[str] = Field(description="the thresholds that the graph does not reach, in words")


class Answered(Document):
    """A recorded answer to a run that is not resumed here."""

    run_id: str = Field(description="the run")
    answer: Literal["recorded"] = Field(description="its outcome")
    error: Refusal | None = Field(default=None, description="why the run could not be resumed here, if it was tried")


class Sent(Document):
    """A sent message to a run that is not resumed here."""

    run_id: str = Field(description="the run")
    message: Literal["sent"] = Field(description="its outcome")
    error: Refusal | None = Field(default=None, description="why the run could not be resumed here, if it was tried")


class Stopped(Document):
    """A run that was stopped, or will be."""

    run_id: str = Field(description="the run")
    stop: Literal["asked", "done"] = Field(
        description="`asked` if the process that drives it was asked to, otherwise `done`"
    )


class RunSummary(Part):
    """What a list shows of a run, as of the last change of its status."""

    reason: str = Field(description="what it waits for, or why it ended, on one line; empty while it runs")
    kind: str = Field(description="the kind of its first wait, or of its end: `end`, `failed`, `limit`, `asked`")
    waits: int = Field(description="how many things it waits for")
    cost_usd: float | None = Field(description="what models cost so far; null if the price of any call is not known")
    tokens: int = Field(description="the tokens of all calls of models")
    visits: int = Field(description="completed node visits")
    seconds: float = Field(description="driven time")


class ListedRun(Part):
    """A run in a list."""

    run_id: str = Field(description="its id")
    graph: str = Field(description="the name of its graph")
    status: Status = Field(description="as of its last step; `running` with no driver was interrupted")
    seq: int = Field(description="the number of its last step")
    created_at: float = Field(description="when it began")
    updated_at: float = Field(description="when its last step was recorded")
    parent: Parent | None = Field(description="the run it was branched from")
    tags: Sequence[str] = Field(description="its tags")
    driver: str | None = Field(description="the process that drives it now")
    due_at: float | None = Field(description="when its first timer is due")
    queue: str = Field(description="the queue from which workers take it")
    priority: int = Field(description="the higher, the sooner it is taken")
    key: str | None = Field(description="its key in the queue, such as a tenant; keys take turns")
    queued: bool = Field(description="whether no process has driven it yet")
    summary: RunSummary | None = Field(description="null before its status first changed")
    waits: Sequence[Wait] = Field(description="what it waits for")


class RunNow(Document, ListedRun):
    """A run as the HTTP service returns it, without its steps."""

    stop: Stop | None = Field(description="why it ended")
    error: Failure | None = Field(description="what it failed with")
    state: Mapping[str, JsonValue] = Field(description="its fields; secret ones are encrypted")
    output: JsonValue = Field(
        default=None, description="the value of the graph's `result=`, once it is finished; omitted without one"
    )
    usage: Usage = Field(description="its usage of models")


class Runs(Document):
    """Recorded runs, the newest first."""

    runs: Sequence[ListedRun] = Field(description="the runs")


class TreeRun(ListedRun):
    """A run in a tree."""

    after: str | None = Field(description="the run whose state it began with")
    spent: Usage | None = Field(description="what it spent itself; null if it cannot be read")
    spent_in_all: Usage = Field(description="that, plus all branches below it")


class Tree(Document):
    """Recorded runs, and the runs they were branched from."""

    runs: Sequence[TreeRun] = Field(description="the runs; `parent` is where each branched off")


class WatchLine(Document):
    """A line of a watched run."""

    run_id: str = Field(description="the run")
    graph: str = Field(description="the name of its graph")


class Stepped(WatchLine):
    """A step was recorded."""

    event: Literal["step"] = Field(description="the kind of this line")
    step: Step = Field(description="the step")


class StatusReported(WatchLine):
    """The status of the run, whenever one of these values changes."""

    # "stands" stays its name in JSON, which recorded documents have and their readers match.
    event: Literal["stands"] = Field(description="the kind of this line")
    status: Status = Field(description="as of the last step")
    driver: str | None = Field(
        description="the process that drives it; null if none does, or if the process of a `running` one has died"
    )
    waits: Sequence[Wait] = Field(description="what it waits for")


class WatchEnded(WatchLine):
    """The run is over, or is no longer watched."""

    event: Literal["ended"] = Field(description="the kind of this line")
    status: Status = Field(description="as of the last step")
    driver: str | None = Field(description="null if no process drives it")
    seq: int = Field(description="its last step")
    stop: Stop | None = Field(description="why it ended")
    error: Failure | None = Field(description="what it failed with")
    waits: Sequence[Wait] = Field(description="what it waits for")
    state: Mapping[str, JsonValue] = Field(description="its fields")
    usage: Usage = Field(description="its usage of models, including what it inherited")


class LiveLine(WatchLine):
    """What happens now and is not recorded."""

    path: str = Field(description="the node")


class Began(LiveLine):
    """An attempt of a node began."""

    event: Literal["began"] = Field(description="the kind of this line")
    node: str = Field(description="the node's name")
    visit: int = Field(description="which visit of the node, from 1")
    attempt: int = Field(description="which attempt of the visit, from 1")
    at: float = Field(description="when it began")
    after: int = Field(description="the number of the last step before it")


class Emitted(LiveLine):
    """A node showed a value with `ctx.emit`."""

    event: Literal["emitted"] = Field(description="the kind of this line")
    data: JsonValue = Field(description="the value")


class OfTurn(LiveLine):
    """What an agent shows in one turn of its model."""

    agent: str = Field(description="the agent")
    call: str = Field(description="the agent's call in its run")
    turn: int = Field(description="the turn of the model in that call, from 1")
    attempt: int = Field(description="the attempt of the node, from 1")


class Text(OfTurn):
    """A piece of a model's answer."""

    event: Literal["text"] = Field(description="the kind of this line")
    text: str = Field(description="the piece")
    skipped: int = Field(description="how many characters before it were left out, for a late watcher")


class Thinking(OfTurn):
    """A piece of a model's thinking."""

    event: Literal["thinking"] = Field(description="the kind of this line")
    text: str = Field(description="the piece")
    skipped: int = Field(description="how many characters before it were left out, for a late watcher")


class Partial(OfTurn):
    """A structured answer as far as it was streamed."""

    event: Literal["partial"] = Field(description="the kind of this line")
    value: JsonValue = Field(description="the value so far, not validated")


class ToolCalled(OfTurn):
    """A tool is called."""

    event: Literal["tool_called"] = Field(description="the kind of this line")
    tool: str = Field(description="the tool")
    id: str = Field(description="the provider's id of the call")
    arguments: str = Field(description="the arguments as the model wrote them, a JSON text")


class ToolReturned(OfTurn):
    """A tool's result."""

    event: Literal["tool_returned"] = Field(description="the kind of this line")
    tool: str = Field(description="the tool")
    id: str = Field(description="the provider's id of the call")
    text: str = Field(description="the result, or the error")
    is_error: bool = Field(description="whether it is an error")


class Reset(OfTurn):
    """What was shown of an answer does not count, and it is made again."""

    event: Literal["reset"] = Field(description="the kind of this line")
    why: str = Field(description="the reason")


class Failed(Document):
    """A command that could not do its work."""

    error: Refusal = Field(description="why")


LIVE: Final = (Began, Emitted, Text, Thinking, Partial, ToolCalled, ToolReturned, Reset)
"""The lines of what happens now; only a process that drives the run has them."""
