"""What of the documents that commands write tells of runs, steps and errors, as models; see `schemas`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, Field, JsonValue

Status: TypeAlias = Literal["running", "waiting", "finished", "stopped", "failed"]


class Part(BaseModel):
    """A part of a document."""


class Document(Part):
    """What every document has."""

    version: Literal[1] = Field(alias="schema", description="the version of the documents")


class Parent(Part):
    """Where a branch parted from the run it comes from."""

    run_id: str = Field(description="the run")
    seq: int = Field(description="the last step that both share")


class Error(Part):
    """Why something could not be done."""

    code: str = Field(description="its kind, stable")
    message: str = Field(description="what happened, with the values")
    where: str = Field(description='the place; "" where there is none')
    repair: str = Field(description='what to do about it; "" where nobody knows')


class Problem(Error):
    """One finding of compile."""

    warning: bool = Field(description="whether the graph can run all the same")
    file: str | None = Field(description="the file of the declaration, absolute; null where nobody knows")
    line: int | None = Field(description="the line there, from 1")


class Refusal(Error):
    """An error that ended a command."""

    problems: Sequence[Problem] = Field(default=(), description="of a graph that does not compile: everything wrong")


class Failure(Error):
    """What a node or a run failed with."""

    path: str = Field(description="the node")
    attempt: int = Field(description="which attempt it was, from 1")
    traceback: str | None = Field(default=None, description="where the exception came from, if it is recorded")


class Wait(Part):
    """Something that a run waits for."""

    name: str = Field(description="what to answer by: `graphengine answer RUN_ID VALUE --wait NAME`")
    kind: Literal["ask", "receive", "sleep", "pause", "crash"] = Field(description="what for")
    question: str = Field(description="what is asked, in words")
    answer_schema: Mapping[str, Any] | None = Field(
        alias="schema", description="the JSON Schema of the answer; null where none is wanted"
    )
    topic: str | None = Field(description="the topic of the message")
    due_at: float | None = Field(description="when it ends by itself; null for never")


class Usage(Part):
    """What models did."""

    calls: int = Field(description="answers of models, offline ones and failed calls that used something included")
    offline_calls: int = Field(description="how many of them came from rules or a script")
    input_tokens: int = Field(description="tokens of all questions")
    output_tokens: int = Field(description="tokens of all answers")
    cost_usd: float | None = Field(description="US dollars; null where a price is not known")
    cache_read_tokens: int = Field(default=0, description="of the questions' tokens, those read from a cache")
    cache_write_tokens: int = Field(default=0, description="of the questions' tokens, those written to one")
    reasoning_tokens: int = Field(default=0, description="of the answers' tokens, those of thinking")
    priced_usd: float | None = Field(default=None, description="where the cost is null: what known prices come to")
    unknown_calls: int = Field(default=0, description="failed calls of which it is not known what they used")


class Spending(Usage):
    """What one agent spent at one node on one model."""

    agent: str = Field(description='the agent; "" where rules answered for it')
    model: str = Field(description='the model; "" where it is not recorded')
    node: str = Field(description="the node's path")
    inherited: bool = Field(description="whether it was spent before the run branched off")


class Stop(Part):
    """Why a run, or a graph inside one, ended."""

    reason: Literal["end", "failed", "limit", "asked"] = Field(description="which kind of end it is")
    label: str = Field(description="the label of the edge that led there")
    condition: str = Field(description="that edge's condition in words")
    explanation: str = Field(description="what the conditions said, with their values")


class Detail(Part):
    """What only this kind of step tells."""

    choice: JsonValue = Field(default=None, description="node, item: what `choose` picked")
    fallback: bool = Field(default=False, description="node, item: whether its fallback stands in for its result")
    then: str | None = Field(default=None, description="attempt: `fallback`, if that is run next")
    due_at: float | None = Field(default=None, description="attempt: when the next one is due")
    inside: Stop | None = Field(default=None, description="node: how the graph at this node ended")
    cancelled: Sequence[str] = Field(default=(), description="joined: the arms that were still under way")
    count: int | None = Field(default=None, description="mapped: how many items")
    concurrency: int | None = Field(default=None, description="mapped: how many of them at a time")
    writes: Sequence[JsonValue] = Field(default=(), description="item: what it adds to the map's updates")
    graph: str | None = Field(default=None, description="started, entered: the graph that begins")
    name: str | None = Field(default=None, description="recorded: the function that was called")
    value: JsonValue = Field(default=None, description="recorded: what it gave")
    waits: Sequence[Wait] = Field(default=(), description="waiting: what is waited for")
    wait: str | None = Field(default=None, description="answered, refused, node: the name of the wait that is over")
    by: JsonValue = Field(
        default=None,
        description="answered, node: `answer`, `message`, `time` or `default`; recorded: which `agent` asked which "
        "`model`",
    )
    answer: JsonValue = Field(default=None, description="answered, refused, node: what was answered")
    message: str | None = Field(default=None, description="refused: why")
    topic: str | None = Field(default=None, description="message: its topic")
    payload: JsonValue = Field(default=None, description="message: what it says")
    sent: Sequence[JsonValue] = Field(default=(), description="node, item: messages to others, as [topic, payload]")
    emitted: Sequence[JsonValue] = Field(default=(), description="node, item: what it showed and wanted kept")
    said: JsonValue = Field(default=None, description="recorded: what it `sent` and `emitted`")
    unused: JsonValue = Field(default=None, description="node: recorded work that it did not ask for again")
    pause: Sequence[str] = Field(
        default=(), description="started, resumed, branched: the nodes before which the run waits"
    )
    retries: JsonValue = Field(default=None, description="resumed: whether parts that had failed are tried again")
    company: JsonValue = Field(default=None, description="resumed: whether the process drove other runs too")
    crashed: JsonValue = Field(default=None, description="resumed: whether nodes were in flight when a process died")
    changes: Sequence[JsonValue] = Field(default=(), description="resumed, branched: what is new about the graph")
    refit: JsonValue = Field(default=None, description="resumed, branched: what defaults and migrations did, by frame")
    renamed: JsonValue = Field(default=None, description="resumed, branched: nodes that have another name now")
    moved: JsonValue = Field(default=None, description="resumed, branched: frames that go on at another node")
    asks: JsonValue = Field(default=None, description="resumed, branched: frames whose question is asked anew")
    after: str | None = Field(default=None, description="started: the run whose state it begins with")


class Waypoint(Part):
    """A step in short: where it was, and the way it took."""

    seq: int = Field(description="its number in the run, from 1")
    path: str = Field(description="its node, as `article/review`")
    kind: str = Field(description="what happened: `node`, `attempt`, `failed`, `waiting`, …")
    node: str = Field(description='the node\'s name; "" for the run itself')
    visit: int = Field(description="which visit of the node, from 1")
    attempt: int = Field(description="which attempt of the visit, from 1")
    edge: str | None = Field(description="the label of the edge it took")
    targets: Sequence[str] = Field(description="where that leads")


class Step(Waypoint):
    """One recorded step."""

    update: Sequence[JsonValue] = Field(description='operations on fields, as `["set", "draft", "…"]`')
    explanation: JsonValue = Field(description="what the conditions said, with their values")
    error: Failure | None = Field(description="what failed")
    detail: Detail = Field(description="what only this kind of step tells")
    usage: Usage | None = Field(description="what models did for it")
    started_at: float = Field(description="when its work began")
    finished_at: float = Field(description="when it was recorded")


class Run(Document):
    """A run, whole."""

    run_id: str = Field(description="its id")
    graph: str = Field(description="the name of its graph")
    status: Status = Field(description="as of its last step; `running` with no driver was interrupted")
    parent: Parent | None = Field(description="the run it was branched from")
    tags: Sequence[str] = Field(description="the words it is marked with")
    stop: Stop | None = Field(description="why it ended")
    error: Failure | None = Field(description="what it failed with")
    waits: Sequence[Wait] = Field(description="what it waits for")
    state: Mapping[str, JsonValue] = Field(description="its fields")
    output: JsonValue = Field(
        default=None, description="what the graph's `result=` names; not there without one, and never in `show`"
    )
    usage: Usage = Field(description="what models did for it, inherited included")
    inherited: Usage = Field(description="what of that was spent before it branched off")
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
    inherited: Usage = Field(description="what of that was spent before it branched off")
    spending: Sequence[Spending] = Field(description="the same by agent, model and node")


class Answered(Document):
    """An answer that is recorded, of a run that is not gone on with here."""

    run_id: str = Field(description="the run")
    answer: Literal["recorded"] = Field(description="what became of it")
    error: Refusal | None = Field(default=None, description="what kept the run from going on here, if anything did")


class Sent(Document):
    """A message that is sent, to a run that is not gone on with here."""

    run_id: str = Field(description="the run")
    message: Literal["sent"] = Field(description="what became of it")
    error: Refusal | None = Field(default=None, description="what kept the run from going on here, if anything did")


class Stopped(Document):
    """A run that was stopped, or will be."""

    run_id: str = Field(description="the run")
    stop: Literal["asked", "done"] = Field(description="`asked` the process that drives it, or `done`")


class ListedRun(Part):
    """A run in a list."""

    run_id: str = Field(description="its id")
    graph: str = Field(description="the name of its graph")
    status: Status = Field(description="as of its last step; `running` with no driver was interrupted")
    seq: int = Field(description="the number of its last step")
    created_at: float = Field(description="when it began")
    updated_at: float = Field(description="when its last step was recorded")
    parent: Parent | None = Field(description="the run it was branched from")
    tags: Sequence[str] = Field(description="the words it is marked with")
    driver: str | None = Field(description="who drives it now")
    due_at: float | None = Field(description="when its first timer is due")
    waits: Sequence[Wait] = Field(description="what it waits for")


class Runs(Document):
    """Recorded runs, the newest first."""

    runs: Sequence[ListedRun] = Field(description="the runs")


class TreeRun(ListedRun):
    """A run in a tree."""

    after: str | None = Field(description="the run whose state it began with")
    spent: Usage | None = Field(description="what it spent itself; null where it cannot be read")
    spent_in_all: Usage = Field(description="that with all branches below it")


class Tree(Document):
    """Recorded runs, and those they were branched from."""

    runs: Sequence[TreeRun] = Field(description="the runs; `parent` says where each parted")
