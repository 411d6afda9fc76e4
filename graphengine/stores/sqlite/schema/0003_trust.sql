-- Checksums, to detect damaged rows; tags; and runs whose rows are being removed.
--
-- `sum` is a CRC-32 over the row's place and its text (`checksums.py`), written with the row and checked by every read.
-- NULL in rows of older formats, which had no checksums.

ALTER TABLE steps ADD COLUMN sum INTEGER;
ALTER TABLE snapshots ADD COLUMN sum INTEGER;
ALTER TABLE outlines ADD COLUMN sum INTEGER;
ALTER TABLE inbox ADD COLUMN sum INTEGER;

CREATE TABLE tags (                -- words that people mark runs with
    run        INTEGER NOT NULL REFERENCES runs (key),
    tag        TEXT NOT NULL,
    created_at REAL NOT NULL,      -- the run's, so that the runs of a tag are found in order
    PRIMARY KEY (run, tag)
) STRICT, WITHOUT ROWID;
CREATE INDEX tags_by_tag ON tags (tag, created_at, run);

CREATE TABLE trash (               -- keys of runs that were removed and whose steps and snapshots are still to go
    key INTEGER PRIMARY KEY
) STRICT;

CREATE TABLE earlier_outlines (    -- what a run's graph was before it changed: its history still needs the outline
    run         INTEGER NOT NULL REFERENCES runs (key),
    fingerprint TEXT NOT NULL,
    PRIMARY KEY (run, fingerprint)
) STRICT, WITHOUT ROWID;

CREATE INDEX runs_by_parent ON runs (parent) WHERE parent IS NOT NULL;

DROP VIEW run_facts;
CREATE VIEW run_facts AS           -- what a store tells of a run without reading its log
SELECT r.key, r.id, r.graph, r.fingerprint, r.status,
       coalesce(last.id & 4294967295, r.parent_seq) AS seq,
       r.created_at,
       coalesce(last.at, r.created_at) AS updated_at,
       (SELECT p.id FROM runs AS p WHERE p.key = r.parent) AS parent,
       r.parent_seq, r.driver, r.fence,
       (SELECT o.expires_at FROM owners AS o WHERE o.id = r.driver) AS driven_until,
       r.due_at, r.wanted_at,
       (SELECT group_concat(t.tag, char(10)) FROM tags AS t WHERE t.run = r.key) AS tags
FROM runs AS r
LEFT JOIN steps AS last ON last.id = (
    SELECT s.id FROM steps AS s
    WHERE s.id > r.key << 32 AND s.id < (r.key + 1) << 32
    ORDER BY s.id DESC LIMIT 1
);
