"""What is read of runs, as structs. `scripts/page_types.py` writes the types of the page's code from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from msgspec import UNSET, UnsetType

from graphengine.kernel.extension import NodeBegan
from graphengine.kernel.store import Status, Summary
from graphengine.records.account import Account
from graphengine.records.base_documents import Document, Error, Part
from graphengine.records.branches import BranchResult
from graphengine.records.json_document import Compared, ListedRun, RunHead
from graphengine.records.result_fields import ResultFields
from graphengine.records.run_diff import Difference
from graphengine.records.runs_below import CountsBelow
from graphengine.records.step_document import Failure, Step
from graphengine.render.place_states import PlaceState
from graphengine.wings import Table


class Drivable(Part):
    """The graphs whose runs can be driven here, and why others cannot."""

    graphs: Sequence[str]
    left_out: Sequence[str]


class Session(Part):
    """What does not change while the server runs, and who reads the page, by their name, "" for the token's holder."""

    version: str
    database: str
    read_only: bool
    drives: Drivable | None
    user: str = ""
    tenant: str | None = None
    rights: Sequence[str] = ()


class Page(Document):
    """A page of the list of runs.

    Attributes:
        runs: The runs.
        next: The run after which the next page begins, as `before`; null if there is none.
        looked_at: How many states were read to find the runs; omitted if the search compares no field of a state.
        unseen: How many runs were not found because they lack a field of the search, which others of their graph have;
            null if no run has the field, omitted if the search names none.
    """

    runs: Sequence[ListedRun]
    next: str | None
    looked_at: int | UnsetType = UNSET
    unseen: int | UnsetType | None = UNSET


class Tables(Part):
    """What wings show below today's numbers."""

    tables: Sequence[Table]


class Numbers(Part):
    """The runs that began in a time; `lost` finished and lost something. Costs are of own steps, as far as known."""

    runs: int
    failed: int
    lost: int
    cost_usd: float
    unknown_costs: int


class Rate(Part):
    """How many of the runs of a version or a day failed."""

    name: str
    runs: int
    failed: int


class NewError(Part):
    """A message of failed runs, without numbers and names in `like`; `example` is the first one as it was.

    `versions` are the graphs and versions that had it, `tenants` whose runs these were, the most first.
    """

    example: str
    like: str
    runs: int
    since: float
    last: float
    versions: Sequence[str]
    tenants: Sequence[str]


class Group(Part):
    """The runs of a graph, version or tenant, or those in which an agent called a model, with what its answers cost.

    Attributes:
        name: What it is called.
        graph: The graph.
        version: Its newest version; "" for a tenant or agent.
        since: When that version had its first run; null if there is no other version to compare.
        today: Its runs of today.
        yesterday: Its runs of yesterday until the same minute.
        now: How many failed of its newest version, or today.
        was: The same of the version before it, or of yesterday.
        errors_off: By how many standard errors the first is above the second.
        verdict: What that is: `new` without a run of yesterday and without another version, `few` under 20 runs,
            `noise` within three standard errors.
        median_seconds: The driven time of its runs that ended today, of half of them at most.
        p95_seconds: The same of 95 %.
        hours: Its runs, and those that failed, in each hour of today.
        error: Its most frequent message of today.
    """

    name: str
    graph: str
    version: str
    since: float | None
    today: Numbers
    yesterday: Numbers
    now: Rate
    was: Rate
    errors_off: float
    verdict: Literal["worse", "better", "noise", "few", "new"]
    median_seconds: float | None
    p95_seconds: float | None
    hours: Sequence[Sequence[int]]
    error: NewError | None


class Groups(Part):
    """The groups: what got worse, then the others, those that cost most first."""

    by: Literal["graph", "version", "tenant", "agent"]
    groups: Sequence[Group]


class Culprit(Part):
    """The graph whose failures got worse the most, by its newest version if there is another one.

    Attributes:
        graph: The graph.
        now: How many runs of its newest version failed, or of all its runs of today.
        was: The same of the version before it, or of yesterday.
        is_version: Whether these are versions.
        error: The most frequent message of those that failed today.
    """

    graph: str
    now: Rate
    was: Rate
    is_version: bool
    error: NewError | None


class RetriedRuns(Part):
    """Runs that failed with one message and were tried again today.

    Attributes:
        graph: Their graph.
        example: The message of one of them.
        like: What their messages have in common.
        runs: How many they are.
        since: When the first of them failed.
        last: When the last of them failed.
        statuses: How many have which status now.
    """

    graph: str
    example: str
    like: str
    runs: int
    since: float
    last: float
    statuses: Mapping[str, int]


class Spender(Part):
    """The agent whose answers cost most today, and in how many runs."""

    name: str
    runs: int
    cost_usd: float


class Today(Document):
    """Today beside yesterday until the same minute.

    Attributes:
        midnight: When today began.
        now: The last moment that counts.
        today: The runs of today.
        yesterday: Those of yesterday until the same minute.
        forecast_usd: What today costs by midnight, if the rest is as yesterday was; null if yesterday cost nothing.
        hours: For each hour the runs of today, those that failed, and the same of yesterday.
        marks: The versions whose first run of the two days was today: when, the graph, and the version.
        groups: The same by graph, version, tenant or agent.
        errors: The messages of today that no run of yesterday had.
        culprit: What most likely broke; null if nothing got worse.
        retried: What had failed and was tried again today, with what became of it.
        dearest: The agent that cost most; null if none cost anything.
        is_cut: Whether there are more runs than are read, so that only those of the last hours count.
    """

    midnight: float
    now: float
    today: Numbers
    yesterday: Numbers
    forecast_usd: float | None
    hours: Sequence[Sequence[int]]
    marks: Sequence[tuple[float, str, str]]
    groups: Groups
    errors: Sequence[NewError]
    culprit: Culprit | None
    retried: Sequence[RetriedRuns]
    dearest: Spender | None
    is_cut: bool


class Line(Part):
    """How a run stands now; `at` are the nodes where it is, or the last message of a conversation that waits.

    `below` has how many runs are below it, and how many of them failed.
    """

    shown: str
    updated_at: float
    summary: Summary | None
    at: Sequence[str]
    below: CountsBelow


class Overview(Part):
    """How many runs there are by status; `bars` have when they began, in so many seconds, and a status.

    `questions` is how many questions to people are open, whatever is searched for.
    """

    statuses: Mapping[str, int]
    questions: int
    width: float
    bars: Sequence[tuple[float, str, int]]


class InResult(Part):
    """A run that has the words of a search in a field of its state, and what stands around the first of them there."""

    run: ListedRun
    field: str
    text: str


class InResults(Part):
    """The newest runs whose state contains the words of a search.

    `looked_at` is the number of runs whose states were searched. `is_cut` is true if there are more runs than that.
    """

    looked_at: int
    found: Sequence[InResult]
    is_cut: bool


class Tally(Part):
    """How many runs a search finds, and how many of them lost something; null if that is not counted."""

    runs: int | None
    lossy: int | None


class Decided(Part):
    """An answer that a person gave.

    Attributes:
        run_id: The run.
        graph: The name of its graph.
        title: What the run is about.
        wait: The name of the question.
        id: Its id; "" if that is not known.
        question: Its text.
        value: The answer.
        by: Who gave it; "" if that is not known.
        at: When.
        reason: Why, in their words.
        is_taken: Whether the run went on with it; else it waits for a worker or a resume.
        status: The status of the run.
        ended: Why the run ended; "" while it has not.
    """

    run_id: str
    graph: str
    title: str
    wait: str
    id: str
    question: str
    value: Any
    by: str
    at: float
    reason: str
    is_taken: bool
    status: Status
    ended: str


class Found(Part):
    """A call that an agent made, and what it returned, both cut if they are long."""

    tool: str
    arguments: Mapping[str, Any]
    text: str
    is_error: bool


class About(Part):
    """What the one who answers a question must know, besides what its graph names.

    Attributes:
        id: The id of the question.
        agent: The agent that asks; "" if a node does.
        said: What that agent was asked, or the last message of a person.
        writes: What the agent wrote beside the call.
        found: The calls that the agent made before, the last ones.
        tool: The tool that it wants to call; "" for none.
        arguments: The arguments of that call.
        words: What the question says besides these.
        differs: Fields of the run's state that distinguish it from others that ask the same.
    """

    id: str
    agent: str = ""
    said: str = ""
    writes: str = ""
    found: Sequence[Found] = ()
    tool: str = ""
    arguments: Mapping[str, Any] = {}
    words: str = ""
    differs: Mapping[str, Any] = {}


class Questions(Document):
    """The runs that ask people something, each with its open questions, and the answers of the last seven days.

    Attributes:
        runs: The runs.
        about: What is to be known of their questions, by run.
        done: The answers.
        answerers: The users who may answer; empty if the server has no users.
        looked_at: The number of runs that were searched for answers; null if all runs were searched.
    """

    runs: Sequence[ListedRun]
    about: Mapping[str, Sequence[About]]
    done: Sequence[Decided]
    answerers: Sequence[str]
    looked_at: int | None


class Row(Part, omit_defaults=True):
    """A step in the trace: its account, and where it is in the picture of the graph.

    Attributes:
        account: What it did.
        spots: The numbers of the nodes that it visits in the picture.
        edges: Those of the edges that it takes.
        compared: The numbers that its conditions compared with numbers, by their paths.
    """

    account: Account
    spots: Sequence[int] = ()
    edges: Sequence[int] = ()
    compared: Mapping[str, float] = {}


class Head(RunHead, tag=False):
    """A run after a step, `at`; its last one is `seq`. `starter` is the run of which a node started it.

    Standings are by the number of the node. `version` is the deploy with which it began, or how its graph's fingerprint
    begins. `about` is what is to be known of its open questions, `is_chat` whether its
    state has a conversation.
    """

    shown: str
    title: str
    driver: str | None
    starter: str | None
    at: int
    seq: int
    began: float
    updated_at: float
    took: float
    fingerprint: str
    standings: Mapping[int, PlaceState]
    version: str
    about: Sequence[About]
    is_chat: bool


class Above(Part):
    """A run above another: a node of it, or of one below it, started that one."""

    run_id: str
    title: str
    graph: str


class Run(Head, tag=False, kw_only=True):
    """A run after a step, with the steps before it, and the commands that act on it.

    `above` are the runs above it, from the top; `branches` those that were branched off from it, the newest first;
    `result` says which fields of its state came of it.
    """

    above: Sequence[Above]
    branches: Sequence[BranchResult]
    rows: Sequence[Row]
    result: ResultFields
    commands: Mapping[str, str]


class State(Document):
    """The state of a run after a step.

    Attributes:
        state: Its fields; secret ones are encrypted.
        inside: Those of the graphs, arms and items inside of it, by their places.
    """

    state: Mapping[str, Any]
    inside: Mapping[str, Mapping[str, Any]]


class Moment(Part, omit_defaults=True):
    """A run just after a step.

    Attributes:
        seq: The step.
        status: Its status then.
        cost_usd: What it had spent on models; null if that is not known.
        standings: Where it was, by the number of the node.
        tokens: How many of its frames were at each node, by its number, but those that others were inside of.
        value: The chosen field, if it changed: null where it is nowhere.
    """

    seq: int
    status: Status
    cost_usd: float | None
    standings: Mapping[int, PlaceState]
    tokens: Mapping[int, int]
    value: Any | UnsetType = UNSET


class Moments(Document):
    """A run after each of some steps that follow each other.

    Attributes:
        fields: The fields that can be chosen: those of the state, and of the graphs and arms inside of it; of more than
            a hundred, those that are in no item of a map.
        field: The one that is chosen; "" for none.
        before: Its value before the first of the steps.
        moments: The run after each step.
    """

    fields: Sequence[str]
    field: str
    before: Any
    moments: Sequence[Moment]


class Tried(Part):
    """An edge that was tried; `why` is what its condition compared."""

    to: str
    label: str
    condition: str
    why: str
    taken: bool


class Decision(Part):
    """A step that chose among the edges of a node.

    Attributes:
        seq: The step.
        visit: The visit of the node.
        how: What became of the edge: an earlier one held, it did not hold itself, or it was taken.
        why: What its condition compared, and by how much a number missed it; or that of the edge that held before it.
        before: The label or target of the edge that held before it; "" if none did.
    """

    seq: int
    visit: int
    how: Literal["earlier", "missed", "taken"]
    why: str
    before: str


class AsIf(Part):
    """A branch in which an edge could be taken.

    Attributes:
        at: After which step it begins.
        path: The state that the update is for.
        update: The fields with which its condition holds; empty if none can be named.
        note: What the update does and does not decide.
    """

    at: int
    path: str
    update: Mapping[str, Any]
    note: str


class WhyNot(Part):
    """Why an edge was not taken.

    Attributes:
        edge: Its number in the picture.
        source: Its node.
        to: Its target.
        label: Its label.
        condition: Its condition in words.
        taken: How often the run took it.
        decisions: The last steps that chose among the edges of its node, the newest first.
        runs: How many of the newest runs of the graph were looked at, the bound on their steps included.
        took: How many of these took it.
        unmapped: How many of them ran on a version without an edge that is declared so.
        as_if: A branch in which it could be taken; null if its node never chose.
    """

    edge: int
    source: str
    to: str
    label: str
    condition: str
    taken: int
    decisions: Sequence[Decision]
    runs: int
    took: int
    unmapped: int
    as_if: AsIf | None


class Said(Part):
    """A text that a model was sent: the instructions, a question, or why its answer was sent back."""

    role: str
    text: str


class Lost(Part):
    """A call of a model that failed, with the question and what came before it."""

    agent: str
    model: str
    asked: Sequence[Said]


class Attempt(Part):
    """An attempt of a visit, with the calls that failed in it."""

    number: int
    seq: int
    took: float | None
    error: Failure | None
    fallback: bool
    lost: Sequence[Lost] = ()


class Call(Part):
    """Recorded work of a visit: a turn of a model, a tool, or a step of its own, with its account."""

    account: Account
    step: Step
    asked: Sequence[Said]


class StepDetails(Document, kw_only=True):
    """Everything about one step; a step of a visit has all attempts and calls of the visit, and its node's agents.

    Attributes:
        account: What it did.
        step: The step.
        waited: How long the run waited before it, in seconds.
        tried: The edges that were tried.
        changes: What it changed of the state.
        attempts: The attempts of the visit.
        calls: The recorded work of the visit.
        agents: The agents of the node.
        commands: The command lines that act on the run after it; none where the reader has no command line.
    """

    account: Account
    step: Step
    waited: float
    tried: Sequence[Tried]
    changes: Sequence[Difference]
    attempts: Sequence[Attempt] = ()
    calls: Sequence[Call] = ()
    agents: Mapping[str, Mapping[str, str]] = {}
    commands: Mapping[str, str] = {}


class Box(Part):
    """A node in a picture; `folded` if it stands for the graph that it is."""

    spot: int | None
    name: str
    shape: str
    folded: bool


class Arrow(Part):
    """An arrow in a picture, with the edges that it shows."""

    edges: Sequence[int]
    to: str


class Picture(Part):
    """The picture of a graph; without `svg`, `trouble` is why it cannot be drawn.

    `legend` is what its signs mean; `nodes` has every node, also those in folded graphs.
    """

    words: str
    legend: Sequence[str]
    boxes: Mapping[str, Box]
    arrows: Mapping[str, Arrow]
    nodes: Mapping[int, str]
    svg: str | UnsetType = UNSET
    trouble: str | UnsetType = UNSET


class Chart(Part):
    """A chart, drawn and in words."""

    svg: str
    words: str


class ComparedRun(Part):
    """What the page compares of a run's steps.

    Attributes:
        parted: The row of its first step that the other run does not have.
        asked: The last step at which each agent was asked, by the agent's name.
        visits: How often each node was visited, by the number of the node.
        edges: How often each edge was taken, by the number of the edge.
    """

    parted: Row | None
    asked: Mapping[str, int]
    visits: Mapping[int, int]
    edges: Mapping[int, int]


class Comparison(Part):
    """Two runs; `same` is whether one picture shows both. The way of each run in `diff` ends after 100 steps."""

    diff: Compared
    heads: Sequence[Head]
    sides: Sequence[ComparedRun]
    same: bool


class Bulked(Document):
    """What was done to many runs, or would be.

    Attributes:
        found: How many runs were named or found.
        runs: How many of them were changed, or would be.
        titles: What some of these are about.
        refused: How many could not be changed, by the reason.
        cost_usd: What those that were changed cost so far, as far as that is known.
        run_ids: Which were changed, or would be: with these, what was looked at is done, and to no other run.
        looked_at: How many states were read to find the runs; omitted if the search compares no field of a state.
        unseen: How many runs were not found because they lack a field of the search, which others of their graph have.
    """

    found: int
    runs: int
    titles: Sequence[str]
    refused: Mapping[str, int]
    cost_usd: float
    run_ids: Sequence[str]
    looked_at: int | UnsetType = UNSET
    unseen: int | UnsetType | None = UNSET


class Previewed(Document):
    """What a branch would begin with.

    Attributes:
        changes: The fields that it would change.
    """

    changes: Sequence[Difference]


class LiveText(Part):
    """A piece of the text of a model call that runs.

    Attributes:
        number: A unique number of the text.
        path: The path of the node.
        agent: The name of the agent.
        at: The position at which the piece begins.
        text: The piece.
    """

    number: int
    path: str
    agent: str
    at: int
    text: str


class Doing(Part):
    """What a run does between two steps, which its stream sends as `now`.

    Attributes:
        nodes: The nodes at work.
        texts: What is new of the texts of the model calls that run.
        trouble: Why the run could not be driven further; null if nothing is wrong.
        here: Whether the run is driven in this process.
    """

    nodes: Sequence[NodeBegan]
    texts: Sequence[LiveText]
    trouble: Error | None
    here: bool


class StartForm(Part):
    """What the form that starts a run shows of a graph.

    Attributes:
        schema: The JSON Schema of the state.
        example: The fields of the example in the graph's file, without secret ones and defaults.
        file: The file of the graph, as it is shown.
    """

    schema: Mapping[str, Any]
    example: Mapping[str, Any]
    file: str


class BranchState(Part):
    """A state that a branch can change.

    Attributes:
        path: The place of the graph, the arm or the item that has the state; "" for the run.
        schema: The JSON Schema of the state.
        values: The fields, without secret ones.
        fields: For each field, the `operation` by which an update changes the field.
        secrets: The names of the secret fields.
    """

    path: str
    schema: Mapping[str, Any]
    values: Mapping[str, Any]
    fields: Mapping[str, Mapping[str, str]]
    secrets: Sequence[str]


class BranchForm(Part):
    """The states that are open at a step, for the form of a branch."""

    states: Sequence[BranchState]


class Unused(Part, rename={"source": "from"}):
    """An edge that no run took."""

    source: str
    to: str
    label: str
    condition: str


class Graph(Part):
    """A graph, as its newest run has it, and what its newest runs took of it."""

    fingerprint: str
    is_changed: bool
    counted: int
    edges: Mapping[int, int]
    visits: Mapping[int, int]
    unused: Sequence[Unused]
    runs: Sequence[ListedRun]
    command: str
