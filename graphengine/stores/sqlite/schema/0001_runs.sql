-- Runs, their logs, and their drivers.
--
-- A row of a run's log has the key `runs.key << 32 | seq`: the rows of a run are adjacent in one tree, and no second
-- index is needed. `run` and `seq` are for people who read the database with other tools.

CREATE TABLE owners (              -- one row for each open store that may drive runs
    id         TEXT PRIMARY KEY,
    host       TEXT NOT NULL,
    pid        INTEGER NOT NULL,
    lock_file  TEXT NOT NULL,      -- a name in the folder of locks; '' where the file system has no locks
    expires_at REAL NOT NULL       -- epoch seconds
) STRICT, WITHOUT ROWID;

CREATE TABLE outlines (            -- what a graph looked like, once for each fingerprint
    fingerprint TEXT PRIMARY KEY,
    body        TEXT NOT NULL      -- JSON
) STRICT;

CREATE TABLE runs (
    key         INTEGER PRIMARY KEY,
    id          TEXT NOT NULL UNIQUE,
    graph       TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    status      TEXT NOT NULL,
    created_at  REAL NOT NULL,     -- epoch seconds
    parent      INTEGER REFERENCES runs (key),
    parent_seq  INTEGER NOT NULL,  -- the last step shared with the parent; 0 if none
    fence       INTEGER NOT NULL,  -- grows with every change of driver
    driver      TEXT               -- owners.id; NULL if nobody drives it
) STRICT;
CREATE INDEX runs_by_time ON runs (created_at, id);
CREATE INDEX runs_by_status ON runs (status, created_at, id);
CREATE INDEX runs_by_graph ON runs (graph, created_at, id, status);
CREATE INDEX runs_by_driver ON runs (driver) WHERE driver IS NOT NULL;

CREATE TABLE steps (
    id   INTEGER PRIMARY KEY,      -- run << 32 | seq
    at   REAL NOT NULL,            -- epoch seconds
    body TEXT NOT NULL,            -- JSON
    run  INTEGER AS (id >> 32),
    seq  INTEGER AS (id & 4294967295)
) STRICT;

CREATE TABLE snapshots (           -- the whole snapshot of a run after the step of the same id
    id   INTEGER PRIMARY KEY,      -- run << 32 | seq
    body TEXT NOT NULL,            -- JSON
    run  INTEGER AS (id >> 32),
    seq  INTEGER AS (id & 4294967295)
) STRICT;

CREATE TABLE inbox (               -- a message stays when it is consumed, so that its key is known if it comes again
    id      INTEGER PRIMARY KEY,
    run     INTEGER NOT NULL REFERENCES runs (key),
    key     TEXT NOT NULL,
    kind    TEXT NOT NULL,
    payload TEXT,                  -- JSON; NULL once consumed
    UNIQUE (run, key)
) STRICT;
CREATE INDEX inbox_waiting ON inbox (run, id) WHERE payload IS NOT NULL;

CREATE VIEW run_facts AS           -- what a store tells of a run without reading its log
SELECT r.key, r.id, r.graph, r.fingerprint, r.status,
       coalesce(last.id & 4294967295, r.parent_seq) AS seq,
       r.created_at,
       coalesce(last.at, r.created_at) AS updated_at,
       (SELECT p.id FROM runs AS p WHERE p.key = r.parent) AS parent,
       r.parent_seq, r.driver, r.fence,
       (SELECT o.expires_at FROM owners AS o WHERE o.id = r.driver) AS driven_until
FROM runs AS r
LEFT JOIN steps AS last ON last.id = (
    SELECT s.id FROM steps AS s
    WHERE s.id > r.key << 32 AND s.id < (r.key + 1) << 32
    ORDER BY s.id DESC LIMIT 1
);
