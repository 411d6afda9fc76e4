"""What is read from a premise by the form of its words."""

from pathlib import Path

import pytest

from nodes.room.premise import EVENT_WORDS, MAX_EVENTS, MAX_PEOPLE, Premise, read_premise
from nodes.text.words import count_words

TEXTS = Path(__file__).parents[1] / "texts"
PILOT = (
    "Premise: Harbour pilot Nora Quist learns that her brother Tom sold the charts that sank the ferry nine years ago. "
    "The inquiry reopens on Monday, and Tom is its first witness. Episode 4 of 6. Must bring the fraud to the surface."
)


def test_a_premise_is_taken_apart() -> None:
    """Events, people, the turn, the past, the season's aims, and the place in the season."""
    assert read_premise(PILOT) == Premise(
        events=(
            "Harbour pilot Nora Quist learns that her brother Tom sold the charts that sank the ferry nine years ago",
            "The inquiry reopens on Monday",
            "Tom is its first witness",
        ),
        central=(
            "Harbour pilot Nora Quist learns that her brother Tom sold the charts that sank the ferry nine years ago"
        ),
        people=("Nora Quist", "Tom", "the witness"),
        duties=("bring the fraud to the surface",),
        past=("nine years ago",),
        number=4,
        of=6,
    )


@pytest.mark.parametrize(
    ("text", "people"),
    [
        ("our detective discovers her mentor faked evidence", ("the detective", "the mentor")),
        ("Mara hides the letter from the old landlord.", ("Mara", "the landlord")),
        ("Quist lies. Nora Quist knows.", ("Nora Quist",)),
        ("Lena's ex-husband is kidnapped; only her son saw it.", ("Lena", "the ex-husband", "the son")),
        ("the robots refuse to work", ("the robots",)),
        ("On Monday the rain stops.", ()),
        ("Heist", ()),
        ("Der Kommissar sucht Anna.", ("Der Kommissar", "Anna")),
    ],
)
def test_people_are_names_and_persons_by_what_they_are(text: str, people: tuple[str, ...]) -> None:
    """They are in order of appearance, each with the fullest name; days are not people."""
    assert read_premise(text).people == people


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("A storm. Episode 6 of 8.", (6, 8), "Episode 6 of 8"),
        ("S2E6: a storm", (6, None), "Episode 6"),
        ("Ein Sturm. Folge 3 von 6.", (3, 6), "Episode 3 of 6"),
        ("嵐が来る。第6話。", (6, None), "Episode 6"),
        ("A storm of 6 hours", (None, None), ""),
    ],
)
def test_the_place_in_the_season_is_found_and_is_no_event(
    text: str, place: tuple[int | None, int | None], words: str
) -> None:
    """Several spellings are recognised."""
    read = read_premise(text)
    assert ((read.number, read.of), read.episode) == (place, words)
    assert len(read.events) == 1


@pytest.mark.parametrize(
    ("text", "doubt"),
    [
        ("A storm. Episode 9 of 8.", "episode 9 of a season of 8"),
        ("She left two years ago. He died five years ago.", "two years ago, five years ago"),
        ("Anna calls Marah. Mara answers Anna.", "Marah and Mara: two people, or one name in two spellings"),
        ("Karl was killed in the fire. Karl opens the door.", "Karl is dead, and does something later"),
    ],
)
def test_possible_contradictions_are_reported(text: str, doubt: str) -> None:
    """There is one doubt, with the words concerned."""
    (found,) = read_premise(text).doubts
    assert doubt in found


@pytest.mark.parametrize("text", [PILOT, "Ann met Ben two years ago. Two years ago he left.", "Ann died. Ben lives."])
def test_what_does_not_is_not(text: str) -> None:
    """A repeated time, and a death with no later act, are not contradictions."""
    assert read_premise(text).doubts == ()


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("our detective discovers her mentor faked evidence years ago", "Faked Evidence"),
        (PILOT, "Ferry"),
        ("Nothing happens. A secret heist. They went home.", "Secret Heist"),
        ("...", "Untitled"),
    ],
)
def test_a_title_is_words_of_the_central_event(text: str, title: str) -> None:
    """The words are adjacent, without people and times."""
    assert read_premise(text).title == title


@pytest.mark.parametrize(
    "text",
    ["x", "...", "Heist", "刑事は師匠が証拠を捏造したことを知る", "word " * 5000, "- \n- \n", "", "\n", "Episode 3."],
)
def test_anything_is_read(text: str) -> None:
    """There is an event, a title, and a main person."""
    read = read_premise(text)
    assert read.events
    assert read.central in read.events
    assert read.title
    assert (read.lead, read.other) == ("the lead", "the other side")
    assert all(count_words(event) <= EVENT_WORDS for event in read.events)


@pytest.mark.parametrize("file", sorted(TEXTS.iterdir()), ids=lambda file: file.name)
def test_of_a_long_text_the_central_sentences_are_kept(file: Path) -> None:
    """They stay in order, with the first among them, and their number is limited."""
    text = file.read_text("utf-8")
    read = read_premise(text)
    assert 1 <= len(read.events) <= MAX_EVENTS
    assert len(read.people) <= MAX_PEOPLE
    plain = " ".join(text.split())
    places = [plain.find(event[:60]) for event in read.events]
    found = [place for place in places if place >= 0]  # clauses over several lines of markup are not found
    assert found == sorted(found)


def test_of_many_sentences_those_that_belong_together_stay() -> None:
    """A sentence that shares no words is dropped first."""
    asides = ["Bread bakes slowly.", "Cats sleep upstairs.", "Snow covers roofs.", "Music plays outside."]
    story = [f"The inquiry asks pilot {n} about the stolen harbour charts of the ferry." for n in "ABCDEFGHIJ"]
    read = read_premise(" ".join([*story[:3], *asides, *story[3:]]))
    assert len(read.events) == MAX_EVENTS
    assert len(set(read.events) & {one.rstrip(".") for one in story}) == 10
