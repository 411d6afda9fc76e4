-- A database of format 5, as the code of that time wrote it: as that of format 4, with a queue and a summary.
BEGIN TRANSACTION;
CREATE TABLE earlier_outlines (    -- what a run's graph was before it changed: its history still needs the outline
    run         INTEGER NOT NULL REFERENCES runs (key),
    fingerprint TEXT NOT NULL,
    PRIMARY KEY (run, fingerprint)
) STRICT, WITHOUT ROWID;
CREATE TABLE inbox (               -- a message stays when it is consumed, so that its key is known if it comes again
    id      INTEGER PRIMARY KEY,
    run     INTEGER NOT NULL REFERENCES runs (key),
    key     TEXT NOT NULL,
    kind    TEXT NOT NULL,
    payload TEXT, posted_at REAL NOT NULL DEFAULT 0, sum INTEGER,                  -- JSON; NULL once consumed
    UNIQUE (run, key)
) STRICT;
INSERT INTO "inbox" VALUES(1,2,'k1','answer','{"ok":true}',300.0,1757449031);
CREATE TABLE outlines (            -- what a graph looked like, once for each fingerprint
    fingerprint TEXT PRIMARY KEY,
    body        TEXT NOT NULL      -- JSON
, sum INTEGER) STRICT;
INSERT INTO "outlines" VALUES('f1','{"nodes":["write"]}',3102305882);
CREATE TABLE owners (              -- one row for each open store that may drive runs
    id         TEXT PRIMARY KEY,
    host       TEXT NOT NULL,
    pid        INTEGER NOT NULL,
    lock_file  TEXT NOT NULL,      -- a name in the folder of locks; '' where the file system has no locks
    expires_at REAL NOT NULL       -- epoch seconds
, role TEXT NOT NULL DEFAULT '') STRICT, WITHOUT ROWID;
CREATE TABLE queues (              -- the limits of queues
    name   TEXT PRIMARY KEY,
    limits TEXT NOT NULL           -- JSON
) STRICT, WITHOUT ROWID;
INSERT INTO "queues" VALUES('mail','{"concurrency":2}');
CREATE TABLE rates (               -- how much of a limit on rates is used up
    queue     TEXT NOT NULL,
    queue_key TEXT NOT NULL,       -- '' for the whole queue
    until     REAL NOT NULL,       -- epoch seconds: when nothing of it is used up any more
    PRIMARY KEY (queue, queue_key)
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
    fence       INTEGER NOT NULL,  -- grows with every change of driver
    driver      TEXT               -- owners.id; NULL if nobody drives it
, due_at REAL, wanted_at REAL, queue TEXT NOT NULL DEFAULT 'default', priority INTEGER NOT NULL DEFAULT 0, queue_key TEXT NOT NULL DEFAULT '', turn INTEGER NOT NULL DEFAULT 0, summary TEXT) STRICT;
INSERT INTO "runs" VALUES(1,'parent','g','f1','finished',100.0,NULL,0,1,NULL,NULL,NULL,'mail',2,'tenant',0,'{"reason":"ok","kind":"end","cost_usd":null,"tokens":7}');
INSERT INTO "runs" VALUES(2,'child','g','f1','waiting',200.0,1,1,1,NULL,400.0,300.0,'default',0,'',0,NULL);
CREATE TABLE schedules (           -- runs that are started at given times
    name    TEXT PRIMARY KEY,
    body    TEXT NOT NULL,         -- JSON: the times, the graph and its input
    next_at REAL NOT NULL          -- its next time, epoch seconds
) STRICT, WITHOUT ROWID;
CREATE TABLE snapshots (           -- the whole snapshot of a run after the step of the same id
    id   INTEGER PRIMARY KEY,      -- run << 32 | seq
    body TEXT NOT NULL,            -- JSON
    run  INTEGER AS (id >> 32),
    seq  INTEGER AS (id & 4294967295)
, sum INTEGER, texts TEXT) STRICT;
INSERT INTO "snapshots" VALUES(4294967298,'{"seq":2}',3938812519,NULL);
CREATE TABLE steps (
    id   INTEGER PRIMARY KEY,      -- run << 32 | seq
    at   REAL NOT NULL,            -- epoch seconds
    body TEXT NOT NULL,            -- JSON
    run  INTEGER AS (id >> 32),
    seq  INTEGER AS (id & 4294967295)
, sum INTEGER, texts TEXT) STRICT;
INSERT INTO "steps" VALUES(4294967297,101.0,'{"kind":"node","at":101.0,"node":"write","visit":1,"attempt":1,"began":100.0,"update":[["set","draft","text"]],"data":{"to":"review","why":"otherwise"}}',1019469622,NULL);
INSERT INTO "steps" VALUES(4294967298,102.0,'{"kind":"node","at":102.0,"node":"write","visit":2,"attempt":1,"began":101.0,"update":[["set","draft",""]],"data":{"to":"review","why":"otherwise"}}',2201507829,'[[103,1]]');
INSERT INTO "steps" VALUES(4294967299,103.0,'{"kind":"node","at":103.0,"node":"write","visit":3,"attempt":1,"began":102.0,"update":[["set","draft",""]],"data":{"to":"review","why":"otherwise"}}',2355359765,'[[103,1]]');
INSERT INTO "steps" VALUES(8589934594,102.0,'{"kind":"node","at":102.0,"node":"write","visit":2,"attempt":1,"began":101.0,"update":[["set","child","text"]],"data":{"to":"review","why":"otherwise"}}',1577915361,NULL);
INSERT INTO "steps" VALUES(8589934595,103.0,'{"kind":"node","at":103.0,"node":"write","visit":3,"attempt":1,"began":102.0,"update":[["set","child","text"]],"data":{"to":"review","why":"otherwise"}}',591911476,NULL);
CREATE TABLE tags (                -- words that people mark runs with
    run        INTEGER NOT NULL REFERENCES runs (key),
    tag        TEXT NOT NULL,
    created_at REAL NOT NULL,      -- the run's, so that the runs of a tag are found in order
    PRIMARY KEY (run, tag)
) STRICT, WITHOUT ROWID;
INSERT INTO "tags" VALUES(1,'kept',100.0);
CREATE TABLE text_uses (           -- which rows hold a text; the last one that is deleted takes it along
    text INTEGER NOT NULL REFERENCES texts (key),
    row  INTEGER NOT NULL,         -- the id of a step, or of a snapshot, negated
    PRIMARY KEY (text, row)
) STRICT, WITHOUT ROWID;
INSERT INTO "text_uses" VALUES(1,4294967298);
INSERT INTO "text_uses" VALUES(1,4294967299);
CREATE TABLE texts (
    key    INTEGER PRIMARY KEY,
    digest BLOB NOT NULL,          -- of the body
    body   BLOB NOT NULL           -- what is between the quotes of a JSON string, in UTF-8
) STRICT;
INSERT INTO "texts" VALUES(1,X'3196FB3C882734825CC5454ED1EBAAD6',X'612076657279206C6F6E672074657874');
CREATE TABLE trash (               -- keys of runs that were removed and whose steps and snapshots are still to go
    key INTEGER PRIMARY KEY
) STRICT;
CREATE INDEX runs_by_time ON runs (created_at, id);
CREATE INDEX runs_by_status ON runs (status, created_at, id);
CREATE INDEX runs_by_graph ON runs (graph, created_at, id, status);
CREATE INDEX runs_by_driver ON runs (driver) WHERE driver IS NOT NULL;
CREATE INDEX inbox_waiting ON inbox (run, id) WHERE payload IS NOT NULL;
CREATE INDEX runs_by_due_at ON runs (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX runs_by_wanted_at ON runs (wanted_at) WHERE wanted_at IS NOT NULL;
CREATE INDEX tags_by_tag ON tags (tag, created_at, run);
CREATE INDEX runs_by_parent ON runs (parent) WHERE parent IS NOT NULL;
CREATE INDEX steps_with_texts ON steps (id) WHERE texts IS NOT NULL;
CREATE INDEX snapshots_with_texts ON snapshots (id) WHERE texts IS NOT NULL;
CREATE INDEX texts_by_digest ON texts (digest);
CREATE INDEX runs_queued ON runs (queue, priority DESC, turn, key) WHERE fence = 0;
CREATE INDEX runs_queued_by_key ON runs (queue, queue_key, priority DESC, turn, key) WHERE fence = 0;
CREATE INDEX runs_to_resume ON runs (queue, wanted_at) WHERE wanted_at IS NOT NULL AND fence > 0;
CREATE INDEX runs_to_wake ON runs (queue, due_at) WHERE due_at IS NOT NULL;
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
       r.queue, r.priority, r.queue_key, r.summary
FROM runs AS r
LEFT JOIN steps AS last ON last.id = (
    SELECT s.id FROM steps AS s
    WHERE s.id > r.key << 32 AND s.id < (r.key + 1) << 32
    ORDER BY s.id DESC LIMIT 1
);
COMMIT;
PRAGMA application_id = 1198678343;
PRAGMA user_version = 5;
