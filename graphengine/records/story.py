"""Build the story of a run as a JSON document: its input, its steps, its result, its cost and its losses.

A story is shown as one HTML file for people who have never seen the graph. `graphengine.render.story` writes the file,
and the code of the inspector's page arranges the document in it. The document contains only text that is shown: names
are turned into words, long values are cut, and fields that are declared secret are left out. The story of two runs also
contains the differences between them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from msgspec import UNSET

from graphengine.history.usage import Usage  # noqa: TC001 - msgspec reads it too
from graphengine.kernel.extension import END, FAIL, clipped
from graphengine.kernel.inside import OTHERWISE, InForce, compared, load_specs, reasons_of, why_of
from graphengine.kernel.reader import (
    Answered,
    Message,
    Recorded,
    load_snapshot,
    losses_of,
    outcome_of,
    show,
    status_of,
    usage_from,
    waits_of,
)
from graphengine.records.account import TROUBLES, Account, account_of, account_of_step, safe_line
from graphengine.records.base_documents import Document, Part
from graphengine.records.json_document import Compared, Spending, diff_document, spending_document
from graphengine.records.now import load_now
from graphengine.records.readable import (
    BRIEF,
    WHOLE,
    as_words,
    cut_fields,
    cut_value,
    heading,
    in_brief,
    json_in,
    node_words,
    path_words,
    says_something,
)
from graphengine.records.result_fields import ResultFields, find_value, result_fields
from graphengine.records.run_diff import Difference, diff
from graphengine.records.runs_below import runs_below
from graphengine.records.spending import SpentBelow, load_spent_below, own_usage, spending
from graphengine.records.step_queries import ops_of
from graphengine.records.visits import Visits
from graphengine.records.work_records import CallRecord, TurnRecord, work_record
from graphengine.schemas.walking import resolve_reference, variants
from graphengine.schemas.words import in_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from graphengine.kernel.extension import JsonValue
    from graphengine.kernel.reader import EdgeSpec, Frame, GraphSpec, Snapshot, Step, Wait, WaitRecord
    from graphengine.kernel.store import RunInfo, Store
    from graphengine.records.visit_tree import Entry

CallAsked: TypeAlias = "Callable[[Frame, WaitRecord], tuple[str, str, Mapping[str, JsonValue]] | None]"
"""A function that returns the agent, the tool and the arguments of the tool call that a question is about.

The function returns None if the question is not about a tool call.
"""

_LINE: Final = 130
"""The maximum number of characters of the reasons for an edge. Other texts of a step may be twice as long."""
_FIRST, _LAST = 250, 150
"""How many steps from the beginning and from the end of a long run are shown."""
_CHAT: Final = "ge:chat:"
_WHOLE_TITLE: Final = 190
"""A title with more characters was cut: it contains at most 200 characters from the beginning of a longer text."""
_WRAPPED: Final = re.compile(r"^<(\w+)>\n?(.*?)\n?</\1>$", re.DOTALL)
"""A question inside the tags with which agents receive it."""
_SAID: Final = 40
"""The maximum number of messages of a conversation that are shown."""
_DIFFERENCES: Final = 16
_OF_CHATS: Final = ("turn", "messages", "answer", "question")
_FAILED: Final = 8
_ROOT: Final = re.compile(r"[.\[]")
"""What separates the field of a path from the rest."""
_ASIDE: Final = ("started", "removed", "begun")
"""Kinds of steps that are left out, because they do not explain how a run came to its result."""


# --- The document ----------------------------------------------------------------------------------------------------


class StoryFields(Part):
    """Some fields of the state under a title, as a story shows them.

    Attributes:
        title: The title.
        name: The name of the most important field; "" if no field is more important than the others.
        lead: The value of this field.
        rest: The other fields.
    """

    title: str
    name: str = ""
    lead: Any = None
    rest: Mapping[str, Any] = {}


class Saying(Part):
    """One entry of a conversation: a message of a person or an agent, or a tool call.

    Attributes:
        role: `user`, `assistant` or `tool`.
        text: The text of the message, or the tool call in words.
        who: The name of the agent; "" for a person and for a tool.
        value: The message or the result of the tool, if it is a JSON object or list; otherwise null.
    """

    role: str
    text: str
    who: str = ""
    value: Any = None


class StoryQuestion(Part):
    """What a run waits for: a question to a person, a message or a time.

    Attributes:
        name: The name of the wait, in words.
        kind: The kind of the wait.
        text: The question.
        due_at: When the question times out, epoch seconds; null for never.
        facts: The values that a person needs to answer the question.
        proposed: The proposed changes. Each contains the name of a field, its old value and its proposed value.
        answers: The possible answers. Each contains the name of a field or "", the values that fit, and a description.
    """

    name: str
    kind: str
    text: str
    due_at: float | None = None
    facts: Mapping[str, Any] = {}
    proposed: Sequence[tuple[str, Any, Any]] = ()
    answers: Sequence[tuple[str, str, str]] = ()


class StoryRun(Part):
    """The story of one run: its input, its steps in words, its result, its cost and its losses.

    Attributes:
        run_id: The id of the run.
        graph: The name of the run's graph, in words.
        title: The title of the run.
        created_at: When the run began, epoch seconds.
        status: The status of the run.
        took: How many seconds a process drove the run.
        visits: How many visits of nodes the run made.
        usage: The usage of models in the run's own steps.
        inherited: The usage of models in the steps that the run shares with its parent.
        losses: The number of failed items, retries, fallbacks and other losses, by kind.
        label: The label with which the run ended.
        why: The reason for the end of the run.
        awaited: What the run waits for: the kinds of its open waits.
        below: The cost of the child runs, and how many of them failed.
        failed: The failed child runs, at any depth, each with its title and the reason.
        error: The node that failed and the message; null if the run did not fail.
        questions: The open questions.
        question: The input of the run.
        said: The messages of a conversation; null if the run is not a conversation.
        earlier: How many earlier messages are left out.
        answer: The result that the graph declares, or the fields that were written last.
        besides: The other fields that nodes wrote.
        accounts: The descriptions of the steps.
        left_out: How many steps in the middle of the run are left out.
        numbers: The numbers that conditions compared last, by their paths in words.
        spent: The cost of models in the run's own steps.
        picture: A picture of the graph with the path that the run took, as SVG.
    """

    run_id: str
    graph: str
    title: str
    created_at: float
    status: str
    took: float
    visits: int
    usage: Usage
    inherited: Usage
    losses: Mapping[str, int]
    label: str = ""
    why: str = ""
    awaited: Sequence[str] = ()
    below: SpentBelow | None = None
    failed: Sequence[tuple[str, str]] = ()
    error: tuple[str, str] | None = None
    questions: Sequence[StoryQuestion] = ()
    question: StoryFields | None = None
    said: Sequence[Saying] | None = None
    earlier: int = 0
    answer: StoryFields | None = None
    besides: StoryFields | None = None
    accounts: Sequence[Account] = ()
    left_out: int = 0
    numbers: Mapping[str, float] = {}
    spent: Sequence[Spending] = ()
    picture: str = ""


class Story(Document):
    """The story of one run, or of two runs that are compared.

    Attributes:
        command: The command line that writes this story.
        written: When the story was written.
        runs: The runs.
        compared: The differences between two runs; null in the story of one run.
        parted_after: The last visit that two runs share, in words.
        shared_visits: How many visits two runs share.
    """

    command: str
    written: str
    runs: Sequence[StoryRun]
    compared: Compared | None = None
    parted_after: str = ""
    shared_visits: int = 0


# --- Reading runs ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ReadRun:
    """A run as read from the store, with everything that is needed to tell its story.

    This is its row, its last snapshot, its steps and its graph specs. Questions whose answer is stored but not yet in
    the log count as answered in the snapshot.
    """

    info: RunInfo
    snapshot: Snapshot
    steps: Sequence[Step]
    specs: Mapping[str, GraphSpec]

    @property
    def title(self) -> str:
        """The title of the run, as people see it.

        If the stored title was cut in the middle of a word, that word is left out.
        """
        title = self.info.title
        if len(title) > _WHOLE_TITLE and " " in title:
            return f"{title.rpartition(' ')[0].rstrip(' ,;:')} …"
        return title or heading(self.info.id.removeprefix(_CHAT))

    @property
    def end(self) -> Step | None:
        """The step with which the run ended; None if the run has not ended."""
        found = (step for step in reversed(self.steps) if not step.frame and {END, FAIL} & {*outcome_of(step).to})
        return next(found, None)


async def read_run(store: Store, run_id: str) -> ReadRun:
    """Read everything that a story needs of a run.

    Raises:
        UnknownRun: The run does not exist.
        StoreError: The store cannot be read, or the log of the run is damaged.
    """
    info, steps, snapshot = await store.info(run_id), await store.steps(run_id), await load_now(store, run_id)
    return ReadRun(info, snapshot, steps, await load_specs(store, steps, snapshot.fingerprint))


async def story_of_run(store: Store, run: ReadRun, call_asked: CallAsked) -> StoryRun:
    """Tell the story of a run. The caller adds the picture.

    Args:
        store: The store of the run.
        run: The run.
        call_asked: A function that returns the tool call that a question asks to approve, or None.

    Raises:
        UnknownRun: The run does not exist.
        StoreError: The store cannot be read, or the log of the run is damaged.
    """
    found, values = await _begin_story(store, run), run.snapshot.root.values
    given = await _load_input(store, run)
    waits = {each.id: each for each in waits_of(run.snapshot) if each.answered is None}
    waits = waits if found.status == "waiting" else {}
    found.awaited = [*dict.fromkeys(wait.kind for wait in waits.values())]
    result = result_fields(run.snapshot, run.steps)
    final = {name: each for name, each in values.items() if name in result.written or given.get(name) != each}
    messages = _messages_in(values)
    if messages is None:
        asked = _choose_fields(given)
        found.question = _fields_of("The question", asked, asked)
    else:
        found.graph = found.graph.removesuffix("-chat")
        is_over = all(wait.kind == "receive" for wait in waits.values())
        found.said, found.earlier = _conversation(run, messages, is_over=is_over), max(0, len(messages) - _SAID)
        waits = {key: wait for key, wait in waits.items() if wait.kind != "receive"}
        final = {name: value for name, value in final.items() if name not in _OF_CHATS}
        found.accounts = [each for each in found.accounts if each.kind != "message" and each.ended_by != "message"]
    _tell_result(found, result, values, final)
    found.questions = _tell_questions(run.snapshot, waits, call_asked)
    _cut_middle(found)
    below = await load_spent_below(store, run.info.id)
    if below.runs:
        found.below = below
        failed = (await runs_below(store, [run.info.id])).failed(run.info.id) if below.failed else ()
        reasons = [clipped(each.summary.reason if each.summary is not None else "", BRIEF) for each in failed]
        told = [*zip((each.title or each.id for each in failed), reasons, strict=True)]
        more = [(f"and {len(failed) - _FAILED} more", "")] if len(failed) > _FAILED else []
        found.failed = [*told[:_FAILED], *more]
    return found


async def _load_input(store: Store, run: ReadRun) -> dict[str, Any]:
    """Return the input of a run, by the names of the fields.

    For a branch, this is the input of its parent, with the changes with which the branch was started.
    """
    begun = [step for step in run.steps if step.kind in ("started", "branched") and not step.frame]
    given = {op[1]: op[-1] for step in begun for op in ops_of(step)}
    added = {op[1] for step in begun for op in ops_of(step) if op[0] != "set"}
    if added:  # The branch added these values to fields of its parent, so the whole values must be read from the state.
        state = (await load_snapshot(store, run.info.id, begun[-1].seq)).root.values
        given |= {name: state[name] for name in added & state.keys()}
    return given


async def story_of_two(store: Store, *runs: ReadRun) -> tuple[Sequence[StoryRun], Compared, str, int]:
    """Tell the stories of two runs from the point at which they diverge, and compare the runs.

    Returns:
        The stories without pictures, the comparison, the last shared visit in words, and the number of shared visits.

    Raises:
        UnknownRun: One of the runs does not exist.
        StoreError: The store cannot be read, or the log of a run is damaged.
    """
    first, second = (run.info.id for run in runs)
    found = diff_document(await diff(store, first, second))
    shared = found.shared.seq if found.shared is not None else 0
    told = [await _begin_story(store, run, shared) for run in runs]
    for one in told:
        one.accounts = [each for each in one.accounts if each.targets or each.tone in TROUBLES]
    for one, side in zip(told, (found.first, found.second), strict=True):
        _cut_middle(one, side.parted_at)
    changes = [*found.second.changed, *(Difference(each.path, each.after, each.before) for each in found.first.changed)]
    found.differences = _cut_differences([each for each in found.differences if each not in changes])
    for side in (found.first, found.second):
        side.begins, side.way = None if side.begins is None else (), ()
        side.changed = _cut_differences(side.changed)
    visits = [step for step in runs[0].steps if step.seq <= shared and step.kind == "node"]
    return told, found, node_words(visits[-1].path, visits[-1].visit) if visits else "", len(visits)


def _cut_middle(run: StoryRun, parted_at: int | None = None) -> None:
    """Shorten the story of a long run: leave out steps in the middle, and count them in `left_out`.

    If two runs are compared, `parted_at` is the step at which they take different paths. This step is kept.
    """
    if len(run.accounts) > _FIRST + _LAST:
        kept = [each for each in run.accounts[_FIRST:-_LAST] if each.seq == parted_at]
        run.left_out = len(run.accounts) - _FIRST - _LAST - len(kept)
        run.accounts = [*run.accounts[:_FIRST], *kept, *run.accounts[-_LAST:]]


def _cut_differences(found: Sequence[Difference]) -> list[Difference]:
    """Convert differences between two states to the form that a story shows, and leave out all but the first ones.

    The paths and values are written in words.
    """
    more = [Difference(f"And {len(found) - _DIFFERENCES} more", None, None)] if len(found) > _DIFFERENCES else []
    shown = [
        (heading(path_words(each.path)), cut_value(each.before), cut_value(each.after)) for each in found[:_DIFFERENCES]
    ]
    return [*(Difference(*each) for each in shown), *more]


async def _begin_story(store: Store, run: ReadRun, after: int = 0) -> StoryRun:
    """Build the parts that every story contains, whether one run is told or two runs are compared.

    Args:
        store: The store that has the run.
        run: The run.
        after: The number of the last step that the other run shares. Only later steps are described.
    """
    info, snapshot, end, why = run.info, run.snapshot, run.end, ""
    specs = {name: _word_conditions(spec) for name, spec in run.specs.items()}
    force, whys, numbers = InForce(specs), dict[int, Sequence[str]](), dict[str, float]()
    for step in run.steps:
        ways = force.ways(step)
        whys[step.seq] = _reasons(step, ways)
        numbers = dict(compared(outcome_of(step), ways)) or numbers
        if step is end and snapshot.ending is not None:
            why = "; ".join(_reasons(step, ways, is_taken=True))
    entries, failure = Visits.of(run.steps, specs=run.specs).entries, snapshot.failure
    message = clipped(f"{failure.kind}: {show(failure.message)}", WHOLE) if failure is not None else ""
    return StoryRun(
        run_id=info.id,
        graph=heading(info.graph),
        title=run.title,
        created_at=info.created_at,
        status=status_of(info),
        took=snapshot.elapsed_seconds,
        visits=snapshot.steps,
        usage=usage_from(await own_usage(store, info, snapshot)),
        inherited=usage_from(snapshot.inherited),
        losses=losses_of(snapshot.usage, snapshot.losses),
        label=heading(snapshot.ending.label) if snapshot.ending is not None else "",
        why=why,
        error=None if failure is None else (node_words(failure.path), message),
        accounts=[
            _tell_account(each, whys[each.step.seq])
            for each in entries
            if each.step.seq > after and each.step.kind not in _ASIDE
        ],
        numbers=numbers,
        spent=spending_document(
            each for each in spending(run.steps, max(after, info.parent_seq)) if not each.inherited
        ),
    )


def _reasons(step: Step, ways: Sequence[EdgeSpec], *, is_taken: bool = False) -> Sequence[str]:
    """Return in sentences why a step took its edge, and why it did not take the other edges.

    With `is_taken`, the sentences explain only the edge that was taken.
    """
    outcome = outcome_of(step)
    found = [each for each in reasons_of(outcome, ways) if each.words != OTHERWISE]
    taken = [each for each in found if each.held and not each.arm]
    if is_taken:
        return [said for each in taken for said in each.plain]
    if not outcome.tests and not outcome.arms:
        return [why for why in [why_of(outcome, ways)] if why != OTHERWISE]
    found = [each for each in found if each.arm or each in taken or not (taken or _fails(ways, each.way))]
    return [f"{node_words(each.arm)}: {said}" if each.arm else said for each in found for said in each.plain]


def _fails(ways: Sequence[EdgeSpec], way: int) -> bool:
    """Return whether an edge ends the run as failed.

    If a run went on, its story does not explain why it did not take such an edge.
    """
    return 0 <= way < len(ways) and ways[way].get("to") == FAIL


def _word_conditions(part: Any) -> Any:  # noqa: ANN401 - a spec, or a part of it
    """Return a copy of a graph spec in which conditions name fields in plain words.

    The copy is used for sentences about edges.
    """
    if isinstance(part, list):
        return [_word_conditions(each) for each in part]
    if not isinstance(part, dict):
        return part
    made = {name: _word_conditions(each) for name, each in part.items()}
    return {**made, "of": _quantity(part["of"])} if {"is", "of"} <= part.keys() else made


def _quantity(of: Any) -> Any:  # noqa: ANN401 - of a condition
    if isinstance(of, str):
        return path_words(of)
    return {name: _quantity(each) if name == "length" else as_words(str(each)) for name, each in of.items()}


def _tell_account(entry: Entry, whys: Sequence[str]) -> Account:
    """Describe a step for a story, with its values in words.

    Reasons for the edge that do not fit on the line are left out.
    """
    facts, kept = entry.step.data, list[str]()
    for each in whys:
        said = safe_line(each, _LINE)
        if kept and len("; ".join([*kept, said])) > _LINE:
            break
        kept.append(said)
    made = account_of(entry, "; ".join(kept), limit=2 * _LINE, why_limit=2 * _LINE)
    record = work_record(facts) if isinstance(facts, Recorded) else None
    if isinstance(record, TurnRecord):
        calls = [f"{as_words(call.name)} ({in_brief(call.arguments, 80)})" for call in record.calls]
        made.said = "; ".join(filter(None, [in_brief(record.text, _LINE), *calls])) or made.said
    elif isinstance(record, CallRecord):
        made.said = in_brief(record.text, _LINE)
    elif isinstance(facts, Answered) and facts.answer is not None:
        made.said = in_brief(None if facts.answer.value is UNSET else facts.answer.value)
    elif made.said:
        made.said = in_brief(made.said, _LINE)
    made.sent = ()
    return made


def _choose_fields(values: Mapping[str, JsonValue], last: Sequence[str] = ()) -> dict[str, JsonValue]:
    """Return the fields that are not empty. A field that is False counts as empty unless `last` contains its name."""
    return {name: each for name, each in values.items() if says_something(each) and (each is not False or name in last)}


def _fields_of(title: str, values: Mapping[str, JsonValue], first: Iterable[str]) -> StoryFields:
    """Put fields of the state together under a title, with the most important field first.

    The most important field is the first one in `first` whose value is a text.
    """
    lead = next(
        (name for name in first if isinstance(text := values.get(name), str) and isinstance(json_in(text), str)), ""
    )
    rest = {name: value for name, value in values.items() if name != lead and value != values.get(lead)}
    return StoryFields(title, as_words(lead), clipped(str(values.get(lead, "")), WHOLE), cut_fields(rest))


def _tell_result(
    found: StoryRun, result: ResultFields, values: Mapping[str, JsonValue], changed: Mapping[str, JsonValue]
) -> None:
    is_over, root = found.status == "finished", _ROOT.split(result.declared)[0]
    if root and found.said is None and (is_over or root in changed):
        title, declared = "The answer" if is_over else "The answer so far", result.declared
        found.answer = StoryFields(title, path_words(declared), cut_value(find_value(values, declared)[1]))
        shown = [root]
    else:
        shown = [name for name in result.written if name in changed]
        last = _choose_fields({name: changed[name] for name in shown}, shown)
        found.answer = _fields_of("Written last", last, last)
    rest = _choose_fields({name: each for name, each in changed.items() if name not in shown}, result.written)
    found.besides = _fields_of("Other fields that were written", rest, ())


# --- What it waits for -----------------------------------------------------------------------------------------------


def _tell_questions(snapshot: Snapshot, waits: Mapping[str, Wait], call_asked: CallAsked) -> list[StoryQuestion]:
    """Describe what the run waits for, with the values and the tool call that a person must see before answering."""
    found: list[StoryQuestion] = []
    for frame in snapshot.frames.values():
        for record in frame.waits.values():
            wait = waits.get(record.id)
            if wait is None:
                continue
            facts = {path_words(name): each for name, each in wait.facts.items()}
            text = clipped(wait.question, WHOLE)
            question = StoryQuestion(node_words(wait.name), wait.kind, text, wait.due_at, cut_fields(facts))
            call = call_asked(frame, record)
            if call is not None:
                question.text = f"May {as_words(call[0])} call {as_words(call[1])}?"
                arguments = {**call[2], **_default_arguments(wait)}
                question.facts = cut_fields({**arguments, **facts, **arguments})
            if wait.proposed is not UNSET:
                question.proposed = _proposed(wait.proposed, None if wait.old is UNSET else wait.old)
            question.answers = _possible_answers(wait.schema or {})
            found.append(question)
    return found


def _default_arguments(wait: Wait) -> dict[str, JsonValue]:
    """Return the arguments of the tool call that a question asks a person to approve.

    They are the default values in the schema of the answer, so that the person can change them.
    """
    forms = [each.get("properties", {}).get("arguments", {}) for each in (wait.schema or {}).get("anyOf", ())]
    every = [each for form in forms for each in form.get("properties", {}).items()]
    return {name: each["default"] for name, each in every if "default" in each}


def _proposed(proposed: JsonValue, was: JsonValue) -> list[tuple[str, Any, Any]]:
    """Return the changes of the state that a question proposes: each field's name, old value and new value."""
    old, now = ({} if each is None else each if isinstance(each, Mapping) else {"": each} for each in (was, proposed))
    names = dict.fromkeys([*old, *now])
    shown = [[cut_value(each.get(name)) for name in names] for each in (old, now)]
    return [*zip(map(heading, names), *shown, strict=True)]


def _possible_answers(schema: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """List the possible answers to a question: the type of a simple answer, or the fields of a form.

    The fields of a form come with their descriptions.
    """
    every = [each for each in variants(schema, schema) if each and each.get("type") != "null"]
    simple = [each for each in every if not isinstance(each.get("properties"), Mapping)]
    if simple:
        return [("", in_words(each, schema), "") for each in simple]
    fields = [(name, resolve_reference(each, schema)) for one in every for name, each in one["properties"].items()]
    return [
        (str(each.get("title") or heading(name)), in_words(each, schema), str(each.get("description", "")))
        for name, each in fields
    ]


# --- Conversations ---------------------------------------------------------------------------------------------------


def _messages_in(values: Mapping[str, JsonValue]) -> Sequence[Mapping[str, Any]] | None:
    """Return the messages of a conversation from a run's state; None if the run is not a conversation."""
    for value in values.values():
        said = [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []
        if any(each.get("role") in ("user", "assistant") and "text" in each for each in said):
            return said
    return None


def _conversation(run: ReadRun, messages: Sequence[Mapping[str, Any]], *, is_over: bool) -> list[Saying]:
    """Return the last messages and tool calls of a conversation, as a story shows them.

    Messages of a turn that has not ended are not in the state yet. They are read from the steps.
    """
    results = {each.get("call_id"): each for each in messages if each.get("role") == "tool"}
    found: list[Saying] = []
    for each in messages[-_SAID:]:
        if each.get("role") in ("user", "assistant"):
            found.append(_saying(str(each["role"]), str(each.get("text", "")), str(each.get("agent", ""))))
        for call in each.get("calls", ()):
            came = results.get(call.get("id"), {})
            text, is_error = str(came.get("text", "")), bool(came.get("is_error"))
            found.append(_did(str(call.get("name")), call.get("arguments", ""), text, has_failed=is_error))
    said = [*found, *(() if is_over else _last_turn(run))]
    return [each for each in said if each.text.strip() or each.value is not None]


def _last_turn(run: ReadRun) -> Iterator[Saying]:
    """Yield the last message that a conversation received, and the answers and tool calls that followed."""
    begins = next((step for step in reversed(run.steps) if isinstance(step.data, Message)), None)
    if begins is None or not isinstance(begins.data, Message):
        return
    payload: Any = begins.data.payload
    given = payload.get("given", {}) if isinstance(payload, Mapping) else {"": payload}
    yield from (_saying("user", text, "") for text in given.values() if isinstance(text, str))
    for step in run.steps[begins.seq :]:
        record = work_record(step.data) if isinstance(step.data, Recorded) else None
        account = account_of_step(step)
        if isinstance(record, TurnRecord):
            yield _saying("assistant", record.text, account.agent)
        elif isinstance(record, CallRecord):
            name = account.name.removeprefix("tool ")
            yield _did(name, record.arguments or "", record.text, has_failed=record.error)


def _saying(role: str, text: str, agent: str) -> Saying:
    said, who = cut_value(_WRAPPED.sub(r"\2", text.strip())), as_words(agent) if role == "assistant" else ""
    return Saying(role, said, who) if isinstance(said, str) else Saying(role, "", who, said)


def _did(name: str, arguments: str, result: str, *, has_failed: bool) -> Saying:
    given = f" ({in_brief(arguments)})" if arguments and arguments != "{}" else ""
    found = json_in(result)
    if isinstance(found, Mapping) and not has_failed and len(found) > 1:
        return Saying("tool", f"{as_words(name)}{given}", value=cut_value(found))
    came = f"{' failed:' if has_failed else ' →'} {in_brief(result)}" if result else ""
    return Saying("tool", f"{as_words(name)}{given}{came}")


__all__ = ["CallAsked", "ReadRun", "Story", "StoryRun", "read_run", "story_of_run", "story_of_two"]
