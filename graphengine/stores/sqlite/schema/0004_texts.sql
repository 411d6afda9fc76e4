-- Long texts, stored once however many rows hold them (`texts.py`).
--
-- A row with long texts has "" in their place in its body, and in `texts` where they belong: JSON, [[offset, key], …].
-- `sum` covers the whole body, texts included. Rows of older formats have no such texts.

ALTER TABLE steps ADD COLUMN texts TEXT;
ALTER TABLE snapshots ADD COLUMN texts TEXT;
CREATE INDEX steps_with_texts ON steps (id) WHERE texts IS NOT NULL;
CREATE INDEX snapshots_with_texts ON snapshots (id) WHERE texts IS NOT NULL;

CREATE TABLE texts (
    key    INTEGER PRIMARY KEY,
    digest BLOB NOT NULL,          -- of the body
    body   BLOB NOT NULL           -- what is between the quotes of a JSON string, in UTF-8
) STRICT;
CREATE INDEX texts_by_digest ON texts (digest);

CREATE TABLE text_uses (           -- which rows hold a text; the last one that is deleted takes it along
    text INTEGER NOT NULL REFERENCES texts (key),
    row  INTEGER NOT NULL,         -- the id of a step, or of a snapshot, negated
    PRIMARY KEY (text, row)
) STRICT, WITHOUT ROWID;
