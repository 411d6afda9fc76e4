-- Runs, their logs, their drivers, and their queues.
--
-- A row of a run's log has the key `runs.key << 32 | seq`: the rows of a run are adjacent in one tree, and no second
-- index is needed. `run` and `seq` are for people who read the database with other tools.
--
-- `sum` is a CRC-32 over the row's place and its text (`checksums.py`), written with the row and checked by every read.
--
-- Long texts are stored once, however many rows hold them (`texts.py`). A row with long texts has "" in their place in
-- its body, and in `texts` where they belong: JSON, [[offset, key], …]. `sum` covers the whole body, texts included.

CREATE TABLE owners (              -- one row for each open store that may drive runs
    id         TEXT PRIMARY KEY,
    host       TEXT NOT NULL,
    pid        INTEGER NOT NULL,
    lock_file  TEXT NOT NULL,      -- a name in the folder of locks; '' where the file system has no locks
    expires_at REAL NOT NULL,      -- epoch seconds
    role       TEXT NOT NULL DEFAULT ''  -- JSON of what a worker takes; '' for an owner that is no worker
) STRICT, WITHOUT ROWID;

CREATE TABLE graph_specs (            -- what a graph looked like, once for each fingerprint
    fingerprint TEXT PRIMARY KEY,
    body        TEXT NOT NULL,     -- JSON
    sum         INTEGER NOT NULL
) STRICT;

CREATE TABLE earlier_graph_specs (    -- what a run's graph was before it changed: its history still needs the graph_spec
    run         INTEGER NOT NULL REFERENCES runs (key),
    fingerprint TEXT NOT NULL,
    PRIMARY KEY (run, fingerprint)
) STRICT, WITHOUT ROWID;

CREATE TABLE runs (
    key         INTEGER PRIMARY KEY,
    id          TEXT NOT NULL UNIQUE,
    graph       TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    status      TEXT NOT NULL,
    created_at  REAL NOT NULL,     -- epoch seconds
    parent      INTEGER REFERENCES runs (key),
    parent_seq  INTEGER NOT NULL,  -- the last step shared with the parent; 0 if none
    fence       INTEGER NOT NULL,  -- grows with every change of driver; 0 while it is queued and has never been driven
    driver      TEXT,              -- owners.id; NULL if nobody drives it
    due_at      REAL,              -- while it waits: when its first timer is due; NULL if there is none
    wanted_at   REAL,              -- since when it needs a driver independently of timers; NULL if it does not
    queue       TEXT NOT NULL DEFAULT 'default',  -- from which workers take it
    priority    INTEGER NOT NULL DEFAULT 0,       -- how urgent it is
    queue_key   TEXT NOT NULL DEFAULT '',         -- for whom it is, such as a tenant; '' if none
    turn        INTEGER NOT NULL DEFAULT 0,       -- its place in its queue, so that keys take turns
    summary     TEXT,              -- JSON, written with each change of status; NULL before the first
    cost_usd    REAL,              -- what its own steps cost, of the summary; NULL if that is not known
    ended_at    REAL,              -- epoch seconds; NULL while it has not ended
    title       TEXT NOT NULL DEFAULT '',         -- what it is about
    user_name   TEXT NOT NULL DEFAULT '',         -- who started it; '' if no user did
    starter     TEXT,              -- the id of the run whose node started it; by id, as the log has it: it can be removed
    root        TEXT,              -- the id of the run at the top of its tree, with which it is stopped; NULL: its own
    depth       INTEGER NOT NULL DEFAULT 0,       -- how many runs are above it
    began_with  TEXT NOT NULL DEFAULT '',         -- its first fingerprint
    deploy      TEXT NOT NULL DEFAULT '',         -- the label of the deploy that began it
    stop_asked  TEXT NOT NULL DEFAULT ''          -- 'stop' or 'cancel' while its tree is being stopped
) STRICT;
CREATE INDEX runs_by_time ON runs (created_at, id);
CREATE INDEX runs_by_graph ON runs (graph, created_at, id);
CREATE INDEX runs_by_key ON runs (queue_key, created_at, id) WHERE queue_key <> '';
CREATE INDEX runs_by_user ON runs (user_name, created_at, id) WHERE user_name <> '';
CREATE INDEX runs_by_starter ON runs (starter, created_at, id) WHERE starter IS NOT NULL;
CREATE INDEX runs_by_driver ON runs (driver) WHERE driver IS NOT NULL;
CREATE INDEX runs_by_parent ON runs (parent) WHERE parent IS NOT NULL;

-- A commit writes each page that it changes as a whole, so a run that starts enters as few indexes as possible. Running
-- are the runs that `runs_by_driver` has, few at a time, and those without a driver.
CREATE INDEX runs_by_status ON runs (status, created_at, id, graph) WHERE status <> 'running';
CREATE INDEX runs_undriven ON runs (created_at, id, graph, status, driver) WHERE status = 'running' AND driver IS NULL;

-- A waiting run is wanted from the time an undelivered message of any kind but 'stop' was posted, a `running` run
-- without a driver from the time it was released. Every post, append, claim and release updates it. Runs whose driver
-- died are found through `runs_by_driver`: a run has a driver only while an owner holds it. So none of these indexes has
-- an entry for an ended run.
CREATE INDEX runs_by_due_at ON runs (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX runs_by_wanted_at ON runs (wanted_at) WHERE wanted_at IS NOT NULL;
CREATE INDEX runs_queued ON runs (queue, priority DESC, turn, key) WHERE fence = 0;
CREATE INDEX runs_queued_by_key ON runs (queue, queue_key, priority DESC, turn, key) WHERE fence = 0;
CREATE INDEX runs_to_resume ON runs (queue, wanted_at) WHERE wanted_at IS NOT NULL AND fence > 0;
CREATE INDEX runs_to_wake ON runs (queue, due_at) WHERE due_at IS NOT NULL;

CREATE TABLE steps (
    id    INTEGER PRIMARY KEY,     -- run << 32 | seq
    at    REAL NOT NULL,           -- epoch seconds
    body  TEXT NOT NULL,           -- JSON
    sum   INTEGER NOT NULL,
    texts TEXT,
    run   INTEGER AS (id >> 32),
    seq   INTEGER AS (id & 4294967295)
) STRICT;
CREATE INDEX steps_with_texts ON steps (id) WHERE texts IS NOT NULL;

CREATE TABLE snapshots (           -- the whole snapshot of a run after the step of the same id
    id    INTEGER PRIMARY KEY,     -- run << 32 | seq
    body  TEXT NOT NULL,           -- JSON
    sum   INTEGER NOT NULL,
    texts TEXT,
    run   INTEGER AS (id >> 32),
    seq   INTEGER AS (id & 4294967295)
) STRICT;
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

CREATE TABLE inbox (               -- a message stays when it is consumed, so that its key is known if it comes again
    id        INTEGER PRIMARY KEY,
    run       INTEGER NOT NULL REFERENCES runs (key),
    key       TEXT NOT NULL,
    kind      TEXT NOT NULL,
    payload   TEXT,                -- JSON; NULL once consumed
    posted_at REAL NOT NULL,       -- epoch seconds
    sum       INTEGER NOT NULL,
    UNIQUE (run, key)
) STRICT;
CREATE INDEX inbox_waiting ON inbox (run, id) WHERE payload IS NOT NULL;

CREATE TABLE tags (                -- words that people mark runs with
    run        INTEGER NOT NULL REFERENCES runs (key),
    tag        TEXT NOT NULL,
    created_at REAL NOT NULL,      -- the run's, so that the runs of a tag are found in order
    PRIMARY KEY (run, tag)
) STRICT, WITHOUT ROWID;
CREATE INDEX tags_by_tag ON tags (tag, created_at, run);

-- The index of the words by which runs are found, `run_words`, is made when the first runs are indexed (`words.py`). All
-- runs up to a key are in it, but for changes of those that are listed here. The same runs are in `run_counts`.
CREATE TABLE words_due (
    run  INTEGER PRIMARY KEY,
    upto INTEGER                   -- of the row 0: the last run that the index has; NULL in the others
) STRICT;

CREATE TABLE run_counts (          -- how many of the runs that the index of words has, of a graph, have a status
    graph  TEXT NOT NULL,
    status TEXT NOT NULL,
    runs   INTEGER NOT NULL,
    PRIMARY KEY (graph, status)
) STRICT, WITHOUT ROWID;

CREATE TABLE trash (               -- keys of runs that were removed and whose steps and snapshots are still to go
    key INTEGER PRIMARY KEY
) STRICT;

CREATE TABLE queues (              -- the limits of queues
    name   TEXT PRIMARY KEY,
    limits TEXT NOT NULL           -- JSON
) STRICT, WITHOUT ROWID;

CREATE TABLE rates (               -- how much of a limit on rates is used up
    queue     TEXT NOT NULL,
    queue_key TEXT NOT NULL,       -- '' for the whole queue
    until     REAL NOT NULL,       -- epoch seconds: when nothing of it is used up any more
    PRIMARY KEY (queue, queue_key)
) STRICT, WITHOUT ROWID;

CREATE TABLE schedules (           -- runs that are started at given times
    name    TEXT PRIMARY KEY,
    body    TEXT NOT NULL,         -- JSON: the times, the graph and its input
    next_at REAL NOT NULL          -- its next time, epoch seconds
) STRICT, WITHOUT ROWID;

CREATE TABLE budget_accounts (     -- what was spent of a budget, and is in flight, in the present window
    budget           TEXT NOT NULL,
    key              TEXT NOT NULL,    -- whose account it is, such as a tenant; '' for all
    begun_at         REAL NOT NULL,    -- when the window began, epoch seconds
    calls_in_flight  INTEGER NOT NULL,
    spent_cost_usd   REAL NOT NULL,
    spent_tokens     REAL NOT NULL,
    spent_calls      REAL NOT NULL,
    held_cost_usd    REAL NOT NULL,    -- what the calls in flight may take, the sum of their rows
    held_tokens      REAL NOT NULL,
    held_calls       REAL NOT NULL,
    unknown_cost_usd INTEGER NOT NULL, -- of how many of them that is not known
    unknown_tokens   INTEGER NOT NULL,
    unknown_calls    INTEGER NOT NULL,
    PRIMARY KEY (budget, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE budget_holds (        -- a call in flight
    budget   TEXT NOT NULL,
    key      TEXT NOT NULL,
    call     TEXT NOT NULL,        -- its idempotency key
    cost_usd REAL,                 -- what it may take; NULL if that is not known
    tokens   REAL,
    calls    REAL,
    PRIMARY KEY (budget, key, call)
) STRICT, WITHOUT ROWID;

CREATE VIEW run_facts AS           -- what a store returns about a run without reading its log
SELECT r.key, r.id, r.graph, r.fingerprint, r.status,
       coalesce(last.id & 4294967295, r.parent_seq) AS seq,
       r.created_at,
       coalesce(last.at, r.created_at) AS updated_at,
       (SELECT p.id FROM runs AS p WHERE p.key = r.parent) AS parent,
       r.parent_seq, r.driver, r.fence,
       (SELECT o.expires_at FROM owners AS o WHERE o.id = r.driver) AS driven_until,
       r.due_at, r.wanted_at,
       (SELECT group_concat(t.tag, char(10)) FROM tags AS t WHERE t.run = r.key) AS tags,
       r.queue, r.priority, r.queue_key, r.summary,
       r.title, r.user_name, r.starter, r.root, r.depth, r.began_with, r.deploy, r.stop_asked, r.ended_at
FROM runs AS r
LEFT JOIN steps AS last ON last.id = (
    SELECT s.id FROM steps AS s
    WHERE s.id > r.key << 32 AND s.id < (r.key + 1) << 32
    ORDER BY s.id DESC LIMIT 1
);
