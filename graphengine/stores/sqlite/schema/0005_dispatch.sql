-- Queues, summaries, and schedules.
--
-- `runs.queue`, `runs.priority`, `runs.queue_key` ('' if none): from which queue workers take the run, how urgent it is,
-- and for whom it is, such as a tenant.
-- `runs.turn`: the place of a run in its queue, so that keys take turns: see `queues.py`. A run is queued, and has never
-- been driven, while its fence is 0.
-- `runs.summary`: JSON, written with each change of status: why the run ended or what it waits for, and its costs. NULL
-- before its first change, and in rows of older formats.
-- `owners.role`: JSON of what a worker takes; '' for an owner that is no worker.

ALTER TABLE runs ADD COLUMN queue TEXT NOT NULL DEFAULT 'default';
ALTER TABLE runs ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN queue_key TEXT NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN turn INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN summary TEXT;
ALTER TABLE owners ADD COLUMN role TEXT NOT NULL DEFAULT '';

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

CREATE INDEX runs_queued ON runs (queue, priority DESC, turn, key) WHERE fence = 0;
CREATE INDEX runs_queued_by_key ON runs (queue, queue_key, priority DESC, turn, key) WHERE fence = 0;
CREATE INDEX runs_to_resume ON runs (queue, wanted_at) WHERE wanted_at IS NOT NULL AND fence > 0;
CREATE INDEX runs_to_wake ON runs (queue, due_at) WHERE due_at IS NOT NULL;

DROP VIEW run_facts;
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
