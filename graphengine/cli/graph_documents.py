"""The documents of commands about projects, graphs and servers under `--json`; `graphengine.cli.schemas` lists them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import UNSET, UnsetType

from graphengine.errors import Problem
from graphengine.history.step_document import Document, Error, Part


class Made(Document):
    """A project that was created.

    Attributes:
        path: Its folder, absolute.
        name: Its name in pyproject.toml.
        files: Its files, relative to the folder.
        next: The commands to run next.
    """

    path: str
    name: str
    files: Sequence[str]
    next: Sequence[str]


class ListedGraph(Part):
    """A graph of the project.

    Attributes:
        name: Its name.
        file: Its file, relative to the project's folder.
        about: The first sentence of its file.
        nodes: How many nodes it has.
        example: Whether it runs without input.
        models: The sets of models in its file.
        input: The JSON Schema of its state.
    """

    name: str
    file: str
    about: str
    nodes: int
    example: bool
    models: Sequence[str]
    input: Mapping[str, Any]


class Broken(Part):
    """A file that cannot be run.

    Attributes:
        file: The file.
        error: The reason.
    """

    file: str
    error: Error


class Graphs(Document):
    """The graphs of a project.

    Attributes:
        graphs: In order of their files.
        broken: Files that cannot be run.
    """

    graphs: Sequence[ListedGraph]
    broken: Sequence[Broken]


class CheckedGraph(Part):
    """A graph and its problems.

    Attributes:
        name: Its name.
        file: Its file, as given or relative to the project's folder.
        problems: Errors and warnings, in the order they were found.
    """

    name: str
    file: str
    problems: Sequence[Problem]


class BrokenLine(Broken):
    """A file that cannot be run, and the line.

    Attributes:
        line: The line of the error, from 1; null if unknown.
    """

    line: int | None


class Checked(Document):
    """The problems of graphs.

    Attributes:
        errors: The number of errors.
        warnings: The number of warnings.
        graphs: The checked graphs.
        broken: Files that cannot be run.
    """

    errors: int
    warnings: int
    graphs: Sequence[CheckedGraph]
    broken: Sequence[BrokenLine]


class Drawn(Document):
    """A picture that was drawn.

    Attributes:
        file: The file.
    """

    file: str


class Script(Document):
    """A shell completion script.

    Attributes:
        shell: The shell.
        script: The script.
    """

    shell: str
    script: str


class Serving(Document):
    """A service that answers requests until it is stopped.

    Attributes:
        url: Its address.
        database: The database of its runs.
        graphs: The graphs whose runs it starts.
        queue: The queue of the runs that it starts.
        token: The token, if it was generated; null if it was given.
    """

    url: str
    database: str
    graphs: Sequence[str]
    queue: str
    token: str | None


class Inspected(Document):
    """A local page that is served until Ctrl-C.

    Attributes:
        url: The page, with the token that opens it.
        database: The database that it shows.
        read_only: Whether it writes nothing.
    """

    url: str
    database: str
    read_only: bool


class EstimatedAgent(Part):
    """The calls of one agent to one model, as a rehearsal by rules counts them.

    Attributes:
        agent: The agent.
        model: Its model; offline for rules.
        calls: Its calls.
        input_tokens: The tokens of its questions, estimated by their length.
        output_tokens: The tokens of its answers, estimated by the rules' answers; of placeholders, the most allowed.
        cost_usd: Their cost; null if it is unknown, as it is where placeholders stood in for the answers.
        most_usd: The same if each answer is as long as it may be.
    """

    agent: str
    model: str
    calls: int
    input_tokens: int
    output_tokens: int
    cost_usd: float | None
    most_usd: float | None


class Estimated(Document):
    """What a run is expected to cost.

    Attributes:
        graph: The graph.
        agents: The calls by agent and model.
        cost_usd: The expected cost; null if it is unknown for any agent.
        most_usd: The same if each answer is as long as it may be.
        unknown: Why not even the most is known, else empty.
        ended: How the rehearsal ended, as a run's status; empty if there was none.
    """

    graph: str
    agents: Sequence[EstimatedAgent]
    cost_usd: float | None
    most_usd: float | None
    unknown: str
    ended: str


class Scored(Part):
    """A scorer's judgement of one result.

    Attributes:
        value: From 0 to 1; null if the scorer does not apply, or failed.
        why: Its reason.
        failure: Why it gave none.
    """

    value: float | None
    why: str
    failure: str | UnsetType = UNSET


class EvaluatedCase(Part):
    """What one version did in one case.

    Attributes:
        case: The case.
        label: The label that the graph ended with.
        failure: Why the graph failed; "" if it did not.
        scores: The judgements by scorer; all are 0 if the graph failed.
        output: The graph's result.
        cost_usd: US dollars without the scorers; null if unknown.
        calls: Model calls of the graph.
        offline_calls: How many of them rules answered.
        seconds: From its first step to its last.
    """

    case: str
    label: str
    failure: str
    scores: Mapping[str, Scored]
    output: Any
    cost_usd: float | None
    calls: int
    offline_calls: int
    seconds: float


class EvaluatedVersion(Part):
    """What one version did in all cases.

    Attributes:
        name: Its name.
        means: The mean by scorer; a failed case counts as 0.
        cost_usd: US dollars without the scorers; null if unknown.
        trials: In the order of the cases.
    """

    name: str
    means: Mapping[str, float | None]
    cost_usd: float | None
    trials: Sequence[EvaluatedCase]


class ScoreDifference(Part):
    """How two versions differ in the cases that both have a score in.

    Attributes:
        mean: The mean of the differences: the graph's score minus the other version's.
        error: The standard error of that mean; null for fewer than two cases.
        better: In how many cases the graph is better.
        worse: In how many it is worse.
        equal: In how many they are equal.
    """

    mean: float
    error: float | None
    better: int
    worse: int
    equal: int


class Evaluated(Document):
    """The report of an evaluation.

    Attributes:
        run_id: Its run.
        graph: The graph under test.
        scorers: The scorers.
        subject: What the graph did.
        against: What the other version did; null without one.
        differences: By scorer; empty without another version.
        scoring_usd: The cost of the scorers; null if unknown.
        below: The thresholds that the graph does not reach, in words.
    """

    run_id: str
    graph: str
    scorers: Sequence[str]
    subject: EvaluatedVersion
    against: EvaluatedVersion | None
    differences: Mapping[str, ScoreDifference | None]
    scoring_usd: float | None
    below: Sequence[str]
