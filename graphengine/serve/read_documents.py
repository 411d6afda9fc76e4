"""The documents and their parts with which servers answer requests that read runs.

`scripts/page_types.py` generates the TypeScript types of the page's code from these structs.
"""

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
    """The graphs whose runs the page can start and resume, and the graphs that it cannot, each with the reason."""

    graphs: Sequence[str]
    left_out: Sequence[str]


class Session(Part):
    """What the inspector page must know about its server and about the user who reads the page.

    `user` is the name of the user; "" for a reader who opened the page with the server's own token. `rights` are the
    rights of this user.
    """

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
        next: The value of the parameter `before` for the next page; null if this is the last page.
        looked_at: How many runs' states were read to find the runs of this page; omitted if the search compares no
            state field.
        unseen: How many runs the search cannot judge, because they lack a searched field that other runs of their graph
            have; null if no run has the field, omitted if the search names no field.
    """

    runs: Sequence[ListedRun]
    next: str | None
    looked_at: int | UnsetType = UNSET
    unseen: int | UnsetType | None = UNSET


class Tables(Part):
    """The tables that extensions of the inspector show below the numbers of today."""

    tables: Sequence[Table]


class Numbers(Part):
    """Numbers about the runs that began in one period, such as today: how many there were, and what they cost.

    `lost` counts runs that finished but lost something, such as a failed item of a map. `cost_usd` is the sum of the
    costs of the runs' own steps that are known, and `unknown_costs` counts the runs whose cost is not known.
    """

    runs: int
    failed: int
    lost: int
    cost_usd: float
    unknown_costs: int


class Rate(Part):
    """How many runs there were, and how many of them failed, for one version of a graph or for one day."""

    name: str
    runs: int
    failed: int


class NewError(Part):
    """A group of runs that failed with similar error messages.

    `like` is the part of the message that all have in common, without the numbers and names that differ. `example` is
    the whole message of the first run. `versions` are the graphs and versions of the runs, and `tenants` are their
    tenants, both sorted by the number of runs.
    """

    example: str
    like: str
    runs: int
    since: float
    last: float
    versions: Sequence[str]
    tenants: Sequence[str]


class Group(Part):
    """The runs of one graph, version, tenant or agent today, compared with its earlier runs.

    For an agent, the runs are those in which the agent called a model, with the costs of its model calls only.

    Attributes:
        name: The name of the graph, version, tenant or agent.
        graph: The graph.
        version: The newest version of the graph; "" for a tenant or agent.
        since: When this version had its first run; null if the graph has no other version to compare with.
        today: The numbers of today's runs.
        yesterday: The numbers of yesterday's runs that began before this time of day.
        now: The number of runs and of failures that are compared: of the newest version, or of today.
        was: The failures that they are compared with: of the version before, or of yesterday.
        errors_off: The number of standard errors by which the failure rate `now` is above the rate `was`.
        verdict: What the comparison shows: `new` if there was no run yesterday and no other version, `few` if there are
            less than 20 runs, `noise` if the difference is within three standard errors.
        median_seconds: The median of the driven times of the runs that ended today.
        p95_seconds: The 95th percentile of these driven times.
        hours: The number of runs, and of failed runs, in each hour of today.
        error: The most frequent error message of today.
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
    """The runs of today in groups. Groups whose failures got worse come first, then the most expensive groups."""

    by: Literal["graph", "version", "tenant", "agent"]
    groups: Sequence[Group]


class Culprit(Part):
    """The graph whose failure rate rose most clearly today, with its failures now and before.

    Attributes:
        graph: The graph.
        now: The failures of the graph's newest version, or of today.
        was: The failures of the version before, or of yesterday.
        is_version: Whether two versions are compared, instead of two days.
        error: The most frequent error message of the runs that failed today.
    """

    graph: str
    now: Rate
    was: Rate
    is_version: bool
    error: NewError | None


class RetriedRuns(Part):
    """A group of runs that failed with similar error messages and were retried today, with their status now.

    Attributes:
        graph: The graph of the runs.
        example: The error message of one of the runs.
        like: The part that all messages have in common.
        runs: The number of runs.
        since: When the first of the runs failed.
        last: When the last of the runs failed.
        statuses: The number of runs by their current status.
    """

    graph: str
    example: str
    like: str
    runs: int
    since: float
    last: float
    statuses: Mapping[str, int]


class Spender(Part):
    """The agent whose model calls cost most today, with their cost and the number of runs that contain them."""

    name: str
    runs: int
    cost_usd: float


class Today(Document):
    """The runs of today, compared with the runs that began yesterday before the same time of day.

    Attributes:
        midnight: When today began.
        now: The time up to which runs are counted.
        today: The numbers of today's runs.
        yesterday: The numbers of yesterday's runs that began before this time of day.
        forecast_usd: The expected cost of the whole day, if the rest of today relates to the rest of yesterday as today
            does to yesterday so far; null if yesterday cost nothing.
        hours: For each hour: today's runs, today's failed runs, yesterday's runs, and yesterday's failed runs.
        marks: The versions of graphs whose first run was today, while another version had run before: the time, the
            graph and the version.
        groups: The comparison by graph, version, tenant or agent.
        errors: Error messages of today that no run of yesterday had.
        culprit: The graph that most likely broke; null if none got worse.
        retried: Runs that had failed and were retried today.
        dearest: The agent that cost most; null if no agent cost anything.
        is_cut: Whether there are too many runs to read, so that only those of the last hours are counted.
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
    """What a run is doing now, for the line of this run in the list of runs.

    `at` lists the nodes at which the run is. For a conversation that waits for the next message, it contains the last
    message instead. `below` counts the child runs, their child runs and so on, and how many of them failed.
    """

    shown: str
    updated_at: float
    summary: Summary | None
    at: Sequence[str]
    below: CountsBelow


class Overview(Part):
    """How many runs a search finds, counted by the runs' status and by the time at which they began.

    The numbers over time are shown as bars. Each of the `bars` has the beginning of an interval of `width` seconds, a
    status, and the number of runs. `questions` counts the open questions to people in all runs, even if the search
    excludes them.
    """

    statuses: Mapping[str, int]
    questions: int
    width: float
    bars: Sequence[tuple[float, str, int]]


class InResult(Part):
    """A run that a search has found because its state contains the searched words.

    `field` is the field of the state that contains the words, and `text` is the text around the first of them.
    """

    run: ListedRun
    field: str
    text: str


class InResults(Part):
    """The newest runs whose state contains the words of a search.

    `looked_at` is the number of runs whose states were searched. `is_cut` is true if there are older runs, or if the
    time was up, so that not all runs were searched.
    """

    looked_at: int
    found: Sequence[InResult]
    is_cut: bool


class Tally(Part):
    """The number of runs that a search finds, and of those with losses; null if counting would take too long."""

    runs: int | None
    lossy: int | None


class Decided(Part):
    """A person's answer to a question of a run.

    Attributes:
        run_id: The id of the run.
        graph: The name of the run's graph.
        title: What the run is about.
        wait: The name of the question in the graph.
        id: The id of the question; "" if it is not known.
        question: The text of the question.
        value: The answer.
        by: The name of the person who answered; "" if it is not known.
        at: When the person answered.
        reason: The reason that the person gave.
        is_taken: Whether the run has used the answer. If not, the run waits for a worker or a resume.
        status: The current status of the run.
        ended: Why the run ended; "" if it has not ended.
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
    """A tool call that an agent made before it asked its question, with the result of the call.

    Long arguments and results are cut.
    """

    tool: str
    arguments: Mapping[str, Any]
    text: str
    is_error: bool


class About(Part):
    """The context that a person needs to answer a question of a run, such as what the agent did before it asked.

    Attributes:
        id: The id of the question.
        agent: The agent that asks; "" if a node asks without an agent.
        said: The question that the agent was given, or the last message of a person to it.
        writes: What the agent wrote together with the tool call.
        found: The last tool calls that the agent made before it asked, with their results.
        tool: The tool that the agent wants to call; "" if the question is not about a call.
        arguments: The arguments of this tool call.
        words: The text of the question, without the parts that other attributes contain.
        differs: Fields of the run's state that distinguish this question from similar questions of other runs.
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
    """The content of the page of open questions: the runs that ask people something, and recent answers.

    The answers are those of the last seven days.

    Attributes:
        runs: The runs.
        about: The context of each run's open questions, by the id of the run.
        done: The answers.
        answerers: The names of the users who may answer; empty if the server has no users.
        looked_at: The number of runs whose logs were searched for answers; null if the logs of all runs were searched.
    """

    runs: Sequence[ListedRun]
    about: Mapping[str, Sequence[About]]
    done: Sequence[Decided]
    answerers: Sequence[str]
    looked_at: int | None


class Row(Part, omit_defaults=True):
    """A row of the trace on a run's page: one step, with the parts of the graph's picture to highlight for it.

    Attributes:
        account: The description of the step.
        spots: The numbers of the picture's nodes that the step visits.
        edges: The numbers of the picture's edges that the step takes.
        compared: The numbers in the state that the conditions of the edges compared with limits, each by its path in
            the state, such as `score`.
    """

    account: Account
    spots: Sequence[int] = ()
    edges: Sequence[int] = ()
    compared: Mapping[str, float] = {}


class Head(RunHead, tag=False):
    """A run as it was directly after the step `at`.

    `seq` is the last step that the run has recorded so far. `starter` is the id of the parent run whose node started
    this run. `standings` describes what the run does at each node, by the number of the node. `version` is the
    deployment with which the run began, or the beginning of its graph's fingerprint. `about` is the context of the open
    questions. `is_chat` is true if the state contains a conversation.
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
    """A run above another run: the parent run whose node started that run, the parent of the parent, and so on."""

    run_id: str
    title: str
    graph: str


class Run(Head, tag=False, kw_only=True):
    """Everything that the page of a run shows about the run as it was after one of its steps.

    `rows` are the steps before. `above` lists the parent runs, from the top. `branches` lists the branches of the run,
    newest first. `result` tells which fields of the state are the run's result. `commands` are command lines for the
    run.
    """

    above: Sequence[Above]
    branches: Sequence[BranchResult]
    rows: Sequence[Row]
    result: ResultFields
    commands: Mapping[str, str]


class State(Document):
    """The state of a run as it was directly after one of its steps.

    Attributes:
        state: The fields of the run's state. Secret fields are encrypted.
        inside: The states of inner graphs, of the arms of forks and of the items of maps. The keys are their places in
            the run.
    """

    state: Mapping[str, Any]
    inside: Mapping[str, Mapping[str, Any]]


class Moment(Part, omit_defaults=True):
    """Where a run was directly after one of its steps: what it did at each node, and its cost until then.

    Attributes:
        seq: The number of the step.
        status: The status of the run after this step.
        cost_usd: The cost of the model calls until then; null if it is not known.
        standings: What the run did at each node. The keys are the numbers of the nodes in the picture.
        tokens: The number of tokens to draw at each node of the picture, by the node's number. A token is a mark for
            one part of the run that works or waits at the node.
        value: The value of the chosen field, if the step changed it; null if the field has no value.
    """

    seq: int
    status: Status
    cost_usd: float | None
    standings: Mapping[int, PlaceState]
    tokens: Mapping[int, int]
    value: Any | UnsetType = UNSET


class Moments(Document):
    """Where a run was after each of several consecutive steps, so that a page can replay these steps.

    Attributes:
        fields: The state fields whose values the reader can follow: of the run's state, and of the states of inner
            graphs, arms and items. If there are more than a hundred, fields of items are left out.
        field: The field that the reader follows; "" if none was chosen.
        before: The value of the followed field before the first of the steps.
        moments: The position after each step.
    """

    fields: Sequence[str]
    field: str
    before: Any
    moments: Sequence[Moment]


class Tried(Part):
    """An edge whose condition was evaluated at a step of a run, with the result of the evaluation.

    `why` contains the values that the condition compared, such as the score and its limit.
    """

    to: str
    label: str
    condition: str
    why: str
    taken: bool


class Decision(Part):
    """A step at which a run chose which edge to take from a node, seen from one edge: was this edge taken, and why?

    Attributes:
        seq: The number of the step.
        visit: The number of the visit to the node.
        how: `taken` if the run took the edge in question; `missed` if the condition of the edge was false; `earlier` if
            the run took another edge that is tried before it.
        why: The values that the edge's condition compared, and how far a number was from the limit; for `earlier`, the
            same for the edge that was taken.
        before: For `earlier`: the label or the target of the edge that was taken. Otherwise "".
    """

    seq: int
    visit: int
    how: Literal["earlier", "missed", "taken"]
    why: str
    before: str


class AsIf(Part):
    """A suggestion to start a branch of a run in which the run would take an edge that it did not take.

    Attributes:
        at: The step after which the branch begins.
        path: The place of the state to change: the run itself, an inner graph or an arm.
        update: The fields and values with which the edge's condition is true; empty if no values can be named.
        note: What the update does, and what it cannot guarantee.
    """

    at: int
    path: str
    update: Mapping[str, Any]
    note: str


class WhyNot(Part):
    """The explanation of why a run did not take a certain edge of its graph.

    Attributes:
        edge: The number of the edge in the picture.
        source: The node at which the edge begins.
        to: The node to which the edge leads.
        label: The label of the edge.
        condition: The condition of the edge, in words.
        taken: How often the run took the edge.
        decisions: The last steps at which the run chose among the node's edges, newest first.
        runs: The number of the graph's newest runs that were examined.
        took: How many of these runs took the edge.
        unmapped: How many of these runs had a version of the graph without this edge.
        as_if: A branch of the run in which the edge would be taken; null if there is no suggestion.
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
    """A text that was sent to a model: instructions, a question, or the reason why the model's answer was rejected."""

    role: str
    text: str


class Lost(Part):
    """A model call that failed. It contains the messages that were sent to the model."""

    agent: str
    model: str
    asked: Sequence[Said]


class Attempt(Part):
    """One attempt of a node during one visit, with the model calls that failed during this attempt."""

    number: int
    seq: int
    took: float | None
    error: Failure | None
    fallback: bool
    lost: Sequence[Lost] = ()


class Call(Part):
    """A call whose result was recorded during a visit to a node: a model's response or a tool's result.

    For a model's response, `asked` contains the new messages that were sent to the model.
    """

    account: Account
    step: Step
    asked: Sequence[Said]


class StepDetails(Document, kw_only=True):
    """Everything that is recorded about one step, and about the visit to a node to which the step belongs.

    Attributes:
        account: The description of the step.
        step: The step.
        waited: The time between this step and the step before, during which the run waited, in seconds.
        tried: The edges whose conditions were evaluated at this step, with the results.
        changes: The changes of the state by this step.
        attempts: All attempts of the visit.
        calls: All recorded results of model calls and tool calls in the visit.
        agents: The settings of the node's agents.
        commands: Command lines for the run as of this step; empty if the reader has no command line.
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
    """A box that shows a node in the picture of a graph.

    `folded` is true if the node contains an inner graph whose nodes the picture does not show.
    """

    spot: int | None
    name: str
    shape: str
    folded: bool


class Arrow(Part):
    """An arrow in a picture, with the numbers of the edges that it stands for."""

    edges: Sequence[int]
    to: str


class Picture(Part):
    """The picture of a graph, as SVG and in words.

    If the graph cannot be drawn, `svg` is missing and `trouble` contains the reason. `legend` explains the symbols.
    `nodes` contains the path of every node by its number, including nodes of folded graphs.
    """

    words: str
    legend: Sequence[str]
    boxes: Mapping[str, Box]
    arrows: Mapping[str, Arrow]
    nodes: Mapping[int, str]
    svg: str | UnsetType = UNSET
    trouble: str | UnsetType = UNSET


class Chart(Part):
    """A chart as SVG, and its content in words."""

    svg: str
    words: str


class ComparedRun(Part):
    """What one of two compared runs did, for the page that shows the two runs side by side.

    Attributes:
        parted: The first step of this run that the other run does not have; null if there is none.
        asked: The last step at which each agent called a model, by the name of the agent.
        visits: How often each node was visited, by the number of the node.
        edges: How often each edge was taken, by the number of the edge.
    """

    parted: Row | None
    asked: Mapping[str, int]
    visits: Mapping[int, int]
    edges: Mapping[int, int]


class Comparison(Part):
    """The comparison of two runs, for the page that shows them side by side.

    `same` is true if one picture can show both runs, because their graphs have the same nodes and edges. The list of
    the steps of each run in `diff` ends after 100 steps.
    """

    diff: Compared
    heads: Sequence[Head]
    sides: Sequence[ComparedRun]
    same: bool


class Bulked(Document):
    """The result of one action on many runs, or of its dry run.

    Attributes:
        found: The number of runs that were selected.
        runs: The number of runs that were changed, or would be changed.
        titles: The titles of some of these runs.
        refused: The number of runs that could not be changed, by the reason.
        cost_usd: The cost of the changed runs so far, as far as it is known.
        run_ids: The ids of the runs that were changed, or would be changed. A second request with these ids changes
            exactly the runs that a dry run showed.
        looked_at: How many states were read to find the runs; omitted if the search compares no field of a state.
        unseen: How many runs could not be found because they lack a field of the search that other runs of their graph
            have; null if no run has the field, omitted if the search names no field.
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
    """A preview of a branch: what its update of the state would change, before the branch is started.

    Attributes:
        changes: The differences between the state of the run and the state with which the branch would begin.
    """

    changes: Sequence[Difference]


class LiveText(Part):
    """A new piece of the text that a model is writing in a run, for a page that already shows the text before it.

    Attributes:
        number: A number that identifies the text. All pieces of one text have the same number.
        path: The path of the node.
        agent: The name of the agent.
        at: The position in the text at which the piece begins.
        text: The piece.
    """

    number: int
    path: str
    agent: str
    at: int
    text: str


class Doing(Part):
    """What happens in a run between two recorded steps. The stream of a run sends it to a page as the event `now`.

    Attributes:
        nodes: The nodes at work.
        texts: The new pieces of the texts that running model calls stream.
        trouble: Why the run could not be driven further; null if nothing is wrong.
        here: Whether the run is driven in the inspector's process.
    """

    nodes: Sequence[NodeBegan]
    texts: Sequence[LiveText]
    trouble: Error | None
    here: bool


class StartForm(Part):
    """The content of the form with which a person starts a run of a graph.

    Attributes:
        schema: The JSON Schema of the state.
        example: The fields of the example in the graph's file, without secret fields and fields with default values.
        file: The file that contains the graph.
    """

    schema: Mapping[str, Any]
    example: Mapping[str, Any]
    file: str


class BranchState(Part):
    """A state that a person can change when they branch a run.

    Attributes:
        path: The place of the inner graph or the arm that has the state; "" for the state of the run.
        schema: The JSON Schema of the state.
        values: The fields, without secret fields.
        fields: For each field, the `operation` by which an update changes the field.
        secrets: The names of the secret fields.
    """

    path: str
    schema: Mapping[str, Any]
    values: Mapping[str, Any]
    fields: Mapping[str, Mapping[str, str]]
    secrets: Sequence[str]


class BranchForm(Part):
    """The states that a person can change when they branch a run at a step."""

    states: Sequence[BranchState]


class Unused(Part, rename={"source": "from"}):
    """An edge that none of the newest runs of its graph took. It may not be needed."""

    source: str
    to: str
    label: str
    condition: str


class Graph(Part):
    """The newest recorded version of a graph, with counts of how often its newest runs took each edge.

    `is_changed` is true if the graph's file differs from this version. `counted` is the number of runs whose edges and
    visits were counted.
    """

    fingerprint: str
    is_changed: bool
    counted: int
    edges: Mapping[int, int]
    visits: Mapping[int, int]
    unused: Sequence[Unused]
    runs: Sequence[ListedRun]
    command: str
