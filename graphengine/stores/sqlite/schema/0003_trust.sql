-- Checksums, so that a damaged row is told from a true one; tags; and runs whose rows are being removed.
--
-- `sum` is a CRC-32 over the row's place and its text (`sums.py`), written with the row and looked at by every read.
-- NULL in rows of older formats, which had none.

ALTER TABLE steps ADD COLUMN sum INTEGER;
ALTER TABLE snapshots ADD COLUMN sum INTEGER;
ALTER TABLE outlines ADD COLUMN sum INTEGER;
ALTER TABLE inbox ADD COLUMN sum INTEGER;

CREATE TABLE tags (                -- words that people mark runs with
    run INTEGER NOT NULL REFERENCES runs (key),
    tag TEXT NOT NULL,
    PRIMARY KEY (run, tag)
) STRICT, WITHOUT ROWID;
CREATE INDEX tags_by_tag ON tags (tag, run);

CREATE TABLE trash (               -- keys of runs that were removed and whose steps and snapshots are still to go
    key INTEGER PRIMARY KEY
) STRICT;
