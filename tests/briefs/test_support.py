"""Whether a claim says no more than what it cites: tables of sources, claims and verdicts."""

import pytest

from graphengine.briefs.support import FALSE, complaints, repeats

SUPPORTED = [
    # a claim can be its source, or a part of it
    ("A kettle boils water for tea in three minutes.", "A kettle boils water for tea in three minutes."),
    ("A kettle boils water for tea in three minutes.", "A kettle boils water."),
    ("A kettle boils water for tea in three minutes.", "A kettle boils water for tea in 3 min."),
    ("The cache holds 1,000 entries, and the oldest one leaves first.", "The cache holds 1000 entries."),
    ("The cache holds 1 000 entries at a time.", "The cache holds 1,000 entries at a time."),
    ("The archive has 2.5 million photographs of the harbour.", "The archive has 2,500,000 photographs."),
    ("Half of the harvest rots before it reaches the market.", "Half of the harvest rots."),
    ("The bridge carries twenty-five trains each hour.", "The bridge carries 25 trains each hour."),
    ("Prices rose by 4.5% in the second quarter.", "Prices rose by 4.5 percent."),
    ("Prices rose by 4.5 per cent in March.", "Prices rose by 4.5 per cent."),
    ("The lamp burns between 5 and 10 hours.", "The lamp burns between 5 and 10 hours."),
    ("The lamp burns 5\u201310 hours on one charge.", "The lamp burns 5-10 hours."),
    ("Support for Python 3.10 ends in October 2026.", "Support for Python 3.10 ends in 2026."),
    ("The treaty was signed on 2018-03-01 in Vienna.", "The treaty was signed in Vienna on 2018-03-01."),
    ("The treaty was signed on 1 March 2018 in Vienna.", "The treaty was signed in Vienna on 1 March 2018."),
    ("A ticket costs $5.50 for adults.", "A ticket costs $5.50 for adults."),
    # denials that stay denials
    ("The log does not protect against a disk that dies.", "The log doesn't protect against a disk that dies."),
    ("The log cannot protect against a disk that dies.", "The log can't protect against a disk that dies."),
    ("There is no lock on the table while it is read.", "There isn't a lock on the table while it is read."),
    ("A claim without a citation is removed from the brief.", "A claim without a citation is removed."),
    ("Only one writer may append to the log at a time.", "Only one writer may append to the log."),
    ("Only one writer may append to the log at a time.", "Only one writer can append to the log."),
    ("All pages are written, but the index is not updated.", "All pages are written."),
    ("All pages are written, but the index is not updated.", "The index is not updated."),
    ("The gate opens at noon; it never opens on Sundays.", "The gate opens at noon."),
    ("No ferry sails in winter.", "No ferry sails in winter."),
    ("The window holds at least 12 items of history.", "The window holds no fewer than 12 items."),
    ("The window holds at most 12 items of history.", "The window holds no more than twelve items."),
    ("Uploads of up to 20 MB are accepted by the server.", "Uploads of at most 20 MB are accepted."),
    ("Writers wait for up to 30 seconds.", "Writers wait for up to 30 s."),
    # the writer's own common words, inflections, another order
    ("A checkpoint limits both the length of recovery and the size of the log.",
     "Checkpoints limit the length of recovery and the size of the log."),
    ("PostgreSQL changed its behaviour in 2018 for this reason.", "In 2018 PostgreSQL changed its behaviour."),
    ("A heron hunts frogs and small fish.", "Frogs and small fish are hunted by herons."),
    ("The valve closes when the pressure exceeds 3 bar.", "When the pressure exceeds 3 bar, the valve closes."),
    ("Set `retries = 3` in the file `app.toml` for slow networks.", "Set `retries = 3` in `app.toml`."),
    # entries of lists, other scripts
    ("Bread: flour, water, salt and yeast are mixed for 12 minutes", "Flour, water, salt and yeast are mixed."),
    ("Die Hefe hebt den Teig in 45 Minuten.", "Die Hefe hebt den Teig in 45 Minuten."),
    ("\u6f6e\u6c50\u7531\u6708\u7403\u5f15\u8d77\uff0c\u6bcf\u5929\u4e24\u6b21\u3002",
     "\u6f6e\u6c50\u7531\u6708\u7403\u5f15\u8d77\u3002"),
]  # fmt: skip

UNSUPPORTED = [
    # figures
    ("A kettle boils water for tea in three minutes.", "A kettle boils water for tea in thirteen minutes."),
    ("A kettle boils water for tea in three minutes.", "A kettle boils water for tea in 3 hours."),
    ("A kettle boils water for tea in three minutes.", "A kettle boils water for tea in 3 ms."),
    ("The cache holds 1,000 entries.", "The cache holds 10,000 entries."),
    ("The cache holds 1,000 entries.", "The cache holds 1,00 entries."),
    ("The cache holds 1.5 entries a key.", "The cache holds 15 entries a key."),
    ("The cache holds 1.5 entries a key.", "The cache holds 1.05 entries a key."),
    ("The archive has 2.5 million photographs.", "The archive has 2.5 billion photographs."),
    ("The archive has 2.5 million photographs.", "The archive has 2.5 photographs."),
    ("Prices rose by 4.5% in March.", "Prices rose by 45% in March."),
    ("Prices rose by 4.5% in March.", "Prices rose by 4.5 in March."),
    ("Prices rose by 4.5% in March.", "Prices rose by 4.5 times in March."),
    ("The lamp burns between 5 and 10 hours.", "The lamp burns between 5 and 100 hours."),
    ("The lamp burns between 5 and 10 hours.", "The lamp burns between 10 and 5 hours."),
    ("The lamp burns 5\u201310 hours.", "The lamp burns 510 hours."),
    ("Support for Python 3.10 ends in 2026.", "Support for Python 3.1 ends in 2026."),
    ("Support for Python 3.10 ends in 2026.", "Support for Python 3.11 ends in 2026."),
    ("Support for release v1.2.3 ends soon after the conference.", "Support for release v1.2.4 ends soon."),
    ("The treaty was signed on 2018-03-01 in Vienna.", "The treaty was signed on 2018-01-03 in Vienna."),
    ("The treaty was signed on 1 March 2018 in Vienna.", "The treaty was signed on 1 May 2018 in Vienna."),
    ("The treaty was signed on 1 March 2018 in Vienna.", "The treaty was signed on 1 March 2081 in Vienna."),
    ("The pump serves 10 readers and 20 writers.", "The pump serves 20 readers and 10 writers."),
    ("Reads take 10 ms and writes take 20 ms.", "Reads take 20 ms and writes take 10 ms."),
    ("Half of the harvest rots.", "A third of the harvest rots."),
    ("The load doubled within a year of the launch.", "The load tripled within a year of the launch."),
    ("The glacier lost -3 \u00b0C of warmth.", "The glacier lost 3 \u00b0C of warmth."),
    ("A ticket costs $5.50 for adults.", "A ticket costs \u20ac5.50 for adults."),
    ("A page has 8 KB in this format.", "A page has 8 MB in this format."),
    ("A page has 8 kilobytes in this format.", "A page has 16 kilobytes in this format."),
    ("The first flush covers older records.", "The third flush covers older records."),
    ("Two clerks count the ballots.", "One clerk counts the ballots."),
    ("The hall closes at 18:30 on weekdays.", "The hall closes at 19:30 on weekdays."),
    ("Three in five voters stayed at home.", "Four in five voters stayed at home."),
    ("A kettle boils water for tea.", "A kettle boils water for tea in 3 minutes."),
    ("Keys use SHA-256 for their digests.", "Keys use SHA-512 for their digests."),
    # denials
    ("The log protects against a crash of the process.", "The log does not protect against a crash of the process."),
    ("The log protects against a crash of the process.", "The log doesn't protect against a crash of the process."),
    ("The log protects against a crash of the process.", "The log never protects against a crash of the process."),
    ("The log protects against a crash of the process.", "The log cannot protect against a crash of the process."),
    ("The log does not protect against a dying disk.", "The log protects against a dying disk."),
    ("The log doesn't protect against a dying disk.", "The log does protect against a dying disk."),
    ("The log can't protect against a dying disk.", "The log can protect against a dying disk."),
    ("The log hardly protects against a dying disk.", "The log protects against a dying disk."),
    ("The gate never opens on Sundays in winter.", "The gate opens on Sundays in winter."),
    ("The gate does not open on Sundays in winter.", "The gate never opens on Sundays in winter."),
    ("No ferry sails to the island in winter.", "A ferry sails to the island in winter."),
    ("None of the ferries sails in winter.", "All of the ferries sail in winter."),
    ("The boat sails without a crew at night.", "The boat sails with a crew at night."),
    ("The boat sails with a crew at night.", "The boat sails without a crew at night."),
    ("Neither cats nor dogs are admitted to the hall.", "Cats and dogs are admitted to the hall."),
    ("Not only readers but also writers wait for the lock.", "Not readers but also writers wait for the lock."),
    ("Redo records cannot repair a torn page, since they assume an intact page.",
     "Redo records can repair a torn page."),
    # quantifiers, bounds, conditions, modality
    ("Only one writer may append to the log at a time.", "One writer may append to the log at a time."),
    ("Members may borrow books.", "Only members may borrow books."),
    ("Most databases use steal and no-force together.", "All databases use steal and no-force together."),
    ("Some banks charge a fee for transfers.", "Most banks charge a fee for transfers."),
    ("Some banks charge a fee for transfers.", "Banks charge a fee for transfers."),
    ("Few banks charge a fee for transfers.", "Many banks charge a fee for transfers."),
    ("The window holds at least 12 items.", "The window holds at most 12 items."),
    ("The window holds at least 12 items.", "The window holds 12 items."),
    ("The window holds 12 items.", "The window holds at least 12 items."),
    ("The window holds more than 12 items.", "The window holds fewer than 12 items."),
    ("The window holds > 12 items.", "The window holds < 12 items."),
    ("Uploads of up to 20 MB are accepted.", "Uploads of more than 20 MB are accepted."),
    ("Almost all trains stop here at night.", "All trains stop here at night."),
    ("A crash may lose the last transactions.", "A crash loses the last transactions."),
    ("A crash loses the last transactions.", "A crash may lose the last transactions."),
    ("Clients should close their connections.", "Clients must close their connections."),
    ("Locks are taken only if the mode is set.", "Locks are taken."),
    ("Locks are taken unless the mode is set.", "Locks are taken."),
    ("Locks are taken unless the mode is set.", "Locks are taken if the mode is set."),
    ("The log is flushed before the page is written.", "The log is flushed after the page is written."),
    # names, terms, opposites, another sentence
    ("PostgreSQL logs a full image of each page.", "Oracle logs a full image of each page."),
    ("PostgreSQL logs a full image of each page.", "MySQL logs a full image of each page."),
    ("Set `fsync` to `off` for tests of this kind.", "Set `fsync` to `on` for tests of this kind."),
    ("SQLite outlives Berkeley on small machines.", "Berkeley outlives SQLite on small machines."),
    ("The algorithm was published by Mohan in 1992.", "The algorithm was published by Gray in 1992."),
    ("A heron eats frogs and small fish.", "A heron eats squirrels and small fish."),
    ("Frequent checkpoints shorten recovery.", "Frequent checkpoints shorten penguins."),
    ("The older record is kept in the archive.", "The newer record is kept in the archive."),
    ("Writes are faster than reads on this disk.", "Writes are slower than reads on this disk."),
    ("The flag enables the cache of the proxy.", "The flag disables the cache of the proxy."),
    ("The harbour was closed in spring.", "The harbour was opened in spring by the king of Spain and his queen."),
    ("A kettle boils water for tea in three minutes.", "Green tea needs cooler water than black tea does."),
    ("Die Hefe hebt den Teig in 45 Minuten.", "Die Hefe hebt den Teig in 54 Minuten."),
]  # fmt: skip

UNSEEN = [
    (
        "The row | Oslo | 12 | and the row | Bergen | 30 | are in the table.",
        "The row Oslo has 30 in the table.",
    ),  # cells
    ("Reads do not wait and writes do.", "Writes do not wait and reads do."),  # a verb that is left out
    ("A heron eats frogs and small fish.", "Frogs and small fish eat herons."),  # who does what to whom
    (
        "The valve closes slowly under high pressure in winter.",
        "The valve closes rapidly under high pressure in winter.",
    ),
]

NOT_KNOWN_AS_THE_SAME = [
    ("A heron eats frogs and small fish.", "Frogs and small fish are eaten by herons."),  # an irregular verb
    ("The log does not protect against a dying disk.", "A dying disk is beyond what logging can do."),
]


@pytest.mark.parametrize(("passage", "claim"), SUPPORTED)
def test_a_weaker_claim_is_supported(passage: str, claim: str) -> None:
    """Omitted clauses, inflections, and other spellings of figures and denials are allowed."""
    assert complaints(claim, passage) == ()


@pytest.mark.parametrize(("passage", "claim"), UNSUPPORTED)
def test_a_different_claim_is_not_supported(passage: str, claim: str) -> None:
    """Another figure, unit, denial, quantifier, bound or name, or an opposite, makes it another claim."""
    assert complaints(claim, passage)


EXCHANGED = [
    ("Pets are admitted to all rooms, except dogs.", "Pets are admitted to all rooms, including dogs."),
    ("Pets are admitted to all rooms, including dogs.", "Pets are admitted to all rooms, except dogs."),
    ("The Tenant pays late if the Landlord says so.", "The Landlord pays late if the Tenant says so."),
    ("The tenant pays late if the landlord agrees.", "The landlord pays late if the tenant agrees."),
    ("Data is written with zstd and read with gzip.", "Data is written with gzip and read with zstd."),
    ("The default changed from gzip to zstd.", "The default changed from zstd to gzip."),
    ("The exporter writes zstd by default instead of gzip.", "The exporter writes gzip by default."),
    ("Codec: zstd; Ratio: 3.1; Use: archives", "Codec: zstd; Ratio: 3.1; Use: logs"),
]
IN_ANOTHER_ORDER = [
    ("Zstd and gzip archives are read.", "Gzip and zstd archives are read."),
    ("Archives of lz4, gzip and zstd are read.", "Archives of zstd, gzip and lz4 are read."),
    ("Zinc oxide and copper oxide dissolve.", "Copper oxide and zinc oxide dissolve."),
    ("Gzip replaces zstd.", "Zstd is replaced by gzip."),
    ("Bread and rye contain gluten.", "Gluten is in bread and rye."),
    ("Bakers use rye; wheat is for cakes.", "Bakers use wheat for cakes."),
    ("The cat and the dog sleep.", "The dog sleeps."),
    ("In winter the ferry takes lorries, in summer coaches.", "The ferry takes coaches in summer, lorries in winter."),
    ("A mirror sends on the light which a lens collects.", "A lens collects light and a mirror sends it on."),
    ("Note: pumps fail; Cause: rust and salt.", "Note: pumps fail; Cause: rust."),
]


@pytest.mark.parametrize(("passage", "claim"), EXCHANGED)
def test_one_word_in_the_place_of_another_makes_a_claim_false(passage: str, claim: str) -> None:
    """Two names or specific words of a sentence, "except" and "including", a value of another row."""
    assert {one.kind for one in complaints(claim, passage)} & FALSE


@pytest.mark.parametrize(("passage", "claim"), IN_ANOTHER_ORDER)
def test_words_in_another_order_that_say_the_same_are_supported(passage: str, claim: str) -> None:
    """Entries of a list, another voice, clauses in another order."""
    assert complaints(claim, passage) == ()


@pytest.mark.parametrize(("passage", "claim"), UNSEEN)
def test_what_rules_do_not_see(passage: str, claim: str) -> None:
    """These false claims pass, as the documented limits say, as long as there is no rule for them."""
    assert complaints(claim, passage) == ()


@pytest.mark.parametrize(("passage", "claim"), NOT_KNOWN_AS_THE_SAME)
def test_what_rules_do_not_know_to_be_the_same(passage: str, claim: str) -> None:
    """These true claims do not pass, as the documented limits say."""
    assert complaints(claim, passage)


def test_complaints_name_the_mistake() -> None:
    """Each complaint names the figure, the sign or the word."""
    passage = "The cache of PostgreSQL holds at least 1,000 entries."
    (figure,) = complaints("The cache of PostgreSQL holds at least 7,000 entries.", passage)
    assert (figure.kind, figure.text) == ("figure", "has the figure \u201c7,000\u201d, which is not there")
    (sign,) = complaints("The cache of PostgreSQL holds 1,000 entries.", passage)
    assert sign.text == "leaves out \u201cat least\u201d"
    (name,) = complaints("The cache of Oracle holds at least 1,000 entries.", passage)
    assert (name.kind, name.text) == ("term", "brings in \u201cOracle\u201d")


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("Line 1 sends 5 letters a day.", "Line 1 sends 5 letters each day.", True),
        ("Line 1 sends 5 letters a day.", "Line 1 sends 6 letters a day.", False),
        ("Line 1 sends letters by day.", "Line 1 never sends letters by day.", False),
        ("SQLite keeps its log in a file next to the data.", "DuckDB keeps its log in a file next to the data.", False),
    ],
)
def test_sentences_repeat_each_other_only_with_the_same_figures_signs_and_names(
    one: str, other: str, *, is_same: bool
) -> None:
    """Two facts that differ in a digit are two facts."""
    assert repeats(one, other) is is_same
