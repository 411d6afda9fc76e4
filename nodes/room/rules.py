"""The roles of a writers' room by rules: each reads the premise and the other views, and renews its own.

They do the mechanical part of the work: the people and things in the premise, the order of its events, the length of
parts, repetitions, what an earlier episode must have shown, who knows what from when on. They invent no story: what a
scene needs beyond the premise, they request. Each view follows only from the premise and the views of the previous
round; decisions are kept, so that the views become stable after a few rounds.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from math import ceil

from nodes.room.notes import COLD_OPEN, Note, Table, act, places, write_view
from nodes.room.premise import Premise, read_premise
from nodes.text.timing import split_minutes, when_acts_end
from nodes.text.words import likeness, share_within, stems, word_list, words

BEAT_MINUTES = 3.0  # the time that a beat needs; beats that do not fit are cut
SAME = 0.6  # beats at least this similar are repetitions
COVERED = 0.5  # a beat with this share of a duty's words fulfils it
CLEAR_WORDS = 25  # a longer logline is unclear
SEASON = ((0.34, "doors open: set up more than you settle"), (0.67, "doors swing: what was sure is in doubt"))
LATE, LAST = "doors close: nobody goes back to where they were", "the last door: settle what the season asked"
HOOKS = ("who else knows of it?", "what will {other} do about it?", "whom can {lead} still trust?")
LAST_HOOK = "what is left to {lead} after this?"
_STANDARDS = word_list("standards_words.txt")
_NAME = re.compile(r"(?<![.!?:] )(?<!^)\b[A-Z][a-z]{2,}\b")
_KNOWING = frozenset(stems("discovers learns finds realises suspects uncovers overhears sees hears notices knows"))

Rule = Callable[..., str]


def run_the_show(premise: str, tone: str, acts: int, views: Mapping[str, str]) -> str:
    """Return the showrunner's view: the theme, the place in the season, and decisions on the others' proposals."""
    read, table = read_premise(premise), Table.of(views)
    notes = [
        Note("THROUGHLINE", f"{_up(read.lead)} has to live with this, or act on it: {read.central}."),
        Note("TONE", tone),
        Note("ARC", _season(read)),
        *(Note("ARC", f"The season wants it: {duty}.") for duty in read.duties),
        Note(
            "PIVOT", f"{_up(read.lead)} makes a choice and says it to nobody: act on it, or be silent.", _middle(acts)
        ),
        *table.of_kind("ADD", "KEEP", "AGREE", "SETTLE"),
    ]
    notes += [
        Note("ADD", f"A step for the season, in a scene of its own: {duty}.", act(acts))
        for duty in read.duties
        if table.of_kind("BEAT") and not _is_done(duty, table.of_kind("BEAT", "ADD"))
    ]
    for cut in table.of_kind("CUT"):
        if not table.has("KEEP", cut) and not table.has("AGREE", cut):
            needed = any(_is_done(duty, [cut]) for duty in read.duties)
            notes.append(Note("KEEP" if needed else "AGREE", cut.text, cut.place))
    settled = [note.text for note in table.of_kind("SETTLE")]
    notes += [
        Note("SETTLE", f"Stays unchanged for now: {flag.text}")
        for flag in table.of_kind("FLAG")
        if not any(flag.text in text for text in settled)
    ]
    return write_view(notes)


def write_beats(premise: str, acts: int, views: Mapping[str, str]) -> str:
    """Return the staff writer's view: beats from the premise, with the others' additions and without the cuts."""
    read, table = read_premise(premise), Table.of(views)
    *beats, climax = [Note("BEAT", text, place) for place, text in first_beats(read, acts)]
    beats += [Note("BEAT", coming_back(note), act(acts)) for note in table.of_kind("CALLBACK")]
    beats += [Note("BEAT", note.text, note.place) for note in table.of_kind("PIVOT", "ADD")]
    off_screen = {note.text.lower() for note in table.of_kind("STANDARDS")}
    kept = [
        Note("BEAT", f"{beat.text} (off screen)" if _rude(beat.text) & off_screen else beat.text, beat.place)
        for beat in [*beats, climax]
        if not table.is_cut(beat)
    ]
    order = places(acts)
    return write_view(sorted(kept, key=lambda beat: order.index(beat.place) if beat.place in order else len(order)))


def edit(premise: str, minutes: int, acts: int, views: Mapping[str, str]) -> str:
    """Return the script editor's view: minutes for each part, cuts, and the question at the end of each act."""
    read, table = read_premise(premise), Table.of(views)
    beats = table.of_kind("BEAT")
    cuts = [cut for cut in table.of_kind("CUT") if not table.has("KEEP", cut)]
    cuts += [Note("CUT", beat.text, beat.place) for beat in _too_much(read, table, beats, minutes, acts)]
    left = [beat for beat in beats if not any(cut.is_about(beat) for cut in cuts)]
    counts = [sum(beat.place == place for beat in left) for place in places(acts)]
    spans = split_minutes(minutes, counts)
    notes = [Note("TIME", f"{span} minutes", place) for place, span in zip(places(acts), spans, strict=True)]
    for number in range(1, acts + 1):
        last = [beat for beat in left if beat.place == act(number)][-1:]
        hook = LAST_HOOK if number == acts else HOOKS[(number - 1) % len(HOOKS)]
        notes += [Note("QUESTION", f"{_up(hook.format(lead=read.lead, other=read.other))}", act(number)) for _ in last]
    return write_view([*notes, *cuts])


def keep_continuity(premise: str, acts: int, views: Mapping[str, str]) -> str:
    """Return the continuity supervisor's view: facts, doubts, callbacks, and who knows what from which act on."""
    read, table = read_premise(premise), Table.of(views)
    notes = [Note("FACT", f"{event}.") for event in read.events]
    notes += [Note("FACT", f"People: {', '.join(read.people)}.")] if read.people else []
    notes += [Note("FLAG", f"{doubt}.") for doubt in read.doubts]
    before = f", in episode 1 to {read.number - 1}" if read.number and read.number > 1 else ""
    notes += [
        Note("CALLBACK", f"{when}: find what was shown of it{before}, a thing or a word, and use it again.")
        for when in read.past
    ]
    beats = table.of_kind("BEAT")
    if _KNOWING & set(stems(read.central)):
        known = next((beat for beat in beats if beat.place != COLD_OPEN and _mentions(beat.text, read.central)), None)
        until = f"; {read.other} must not act on it before act {max(acts - 1, 1)}" if read.people[1:] else ""
        notes += [Note("KNOWS", f"{_up(read.lead)} knows from here on{until}.", known.place)] if known else []
    known_words = {word.lower() for word in words(premise)}
    for beat in beats:
        new = [name for name in _NAME.findall(beat.text) if name.lower() not in known_words]
        notes += [
            Note("FLAG", f"{name} is not in the premise: new, or known from an earlier episode?", beat.place)
            for name in dict.fromkeys(new)
        ]
    return write_view(notes)


def note_for_the_network(premise: str, minutes: int, acts: int, views: Mapping[str, str]) -> str:
    """Return the network executive's view: a logline, the breaks, and what standards will ask about."""
    read, table = read_premise(premise), Table.of(views)
    short = " ".join(read.central.split()[:CLEAR_WORDS])
    notes = [
        Note("LOGLINE", f"{short}." if short == read.central else f"{short}\u2026 (say it in {CLEAR_WORDS} words)")
    ]
    ends = when_acts_end(_times(table, acts) or split_minutes(minutes, [0] * (acts + 1)))
    for number in range(1, acts):
        hooked = any(note.place == act(number) for note in table.of_kind("QUESTION"))
        want = "it has its question" if hooked else "it needs a question that brings people back"
        notes.append(Note("BREAK", f"after minute {ends[number]}: {want}.", act(number)))
    texts = [premise, *(beat.text for beat in table.of_kind("BEAT"))]
    notes += [Note("STANDARDS", word) for word in dict.fromkeys(word for text in texts for word in sorted(_rude(text)))]
    return write_view(notes)


def coming_back(callback: Note) -> str:
    """Return the beat that a callback asks for."""
    return f"{_up(callback.text.partition(':')[0].rstrip('.'))} comes back: a thing or a word means something else now."


def first_beats(read: Premise, acts: int) -> list[tuple[str, str]]:
    """Return beats with their places, from the premise alone: its events in order, and a task for each act."""
    lead, other = _up(read.lead), read.other
    opening = f"A glimpse of {read.past[0]}, without a word of explanation." if read.past else ""
    beats = [(COLD_OPEN, opening or f"{lead} before it begins: what there is to lose is in the picture.")]
    for at, event in enumerate(read.events):
        beats.append((act(at * acts // len(read.events) + 1), f"{_up(event)}."))
    further = f"{lead} goes a step further, and there are fewer ways back."
    jobs = {number: further for number in range(1, acts + 1) if act(number) not in {place for place, _ in beats}}
    jobs |= {
        1: f"{lead} sees what it would mean if this were true.",
        ceil(acts / 2): f"{lead} looks for proof, and pays for it.",
        max(acts - 1, 1): f"{_up(other)} notices that something has changed, and moves first.",
        acts: f"{lead} does what cannot be taken back.",
    }
    return beats + [(act(number), job) for number, job in sorted(jobs.items())]


def _too_much(read: Premise, table: Table, beats: Sequence[Note], minutes: int, acts: int) -> list[Note]:
    """Return the beats to cut: repetitions, and the least connected ones of parts with too little time."""
    open_beats = [beat for beat in beats if not table.has("CUT", beat)]
    cuts: list[Note] = []
    for at, beat in enumerate(open_beats):
        others = [other for other in open_beats[:at] if other not in cuts]
        if any(likeness(stems(beat.text), stems(other.text)) >= SAME for other in others):
            cuts.append(beat)
    bound = stems(" ".join([*read.events, *read.duties, *read.past]))
    fixed = {note.key for note in table.of_kind("PIVOT", "ADD")}
    spans = dict(zip(places(acts), split_minutes(minutes, [0] * (acts + 1)), strict=True))
    for place, span in spans.items():
        here = [beat for beat in open_beats if beat.place == place and beat not in cuts]
        spare = sorted(
            (beat for beat in here if beat.key not in fixed),
            key=lambda beat: share_within(stems(beat.text), bound),
        )
        cuts += spare[: max(0, len(here) - max(1, int(span / BEAT_MINUTES)))]
    return [cut for cut in cuts if not table.has("KEEP", cut)]


def _times(table: Table, acts: int) -> list[int]:
    """Return the minutes of each part in the views, or nothing if some part has none."""
    timed = {note.place: re.match(r"\d+", note.text) for note in table.of_kind("TIME")}
    spans = [int(found[0]) if (found := timed.get(place)) else 0 for place in places(acts)]
    return spans if all(spans) else []


def _season(read: Premise) -> str:
    if read.number is None or not read.of:
        return ""
    share = read.number / read.of
    where = next((text for until, text in SEASON if share <= until), LATE if share < 1 else LAST)
    return f"{read.episode}: {where}."


def _is_done(duty: str, notes: Sequence[Note]) -> bool:
    return any(share_within(stems(duty), stems(note.text)) >= COVERED for note in notes)


def _mentions(beat: str, event: str) -> bool:
    return share_within(stems(event), stems(beat)) >= COVERED


def _rude(text: str) -> set[str]:
    return {word.lower() for word in words(text)} & _STANDARDS


def _middle(acts: int) -> str:
    return act(ceil(acts / 2))


def _up(text: str) -> str:
    return text[:1].upper() + text[1:]
