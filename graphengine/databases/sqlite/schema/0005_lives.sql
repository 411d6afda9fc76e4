-- An id can be used again once its run is removed: a run is its id and a nonce. What names a run here names both.
-- `began_with` is '' from now on while the fingerprint is still the first one.

ALTER TABLE runs ADD COLUMN nonce TEXT NOT NULL DEFAULT '';          -- drawn at its start; '' for runs of earlier formats
ALTER TABLE runs ADD COLUMN starter_nonce TEXT NOT NULL DEFAULT '';  -- of the run `starter`
ALTER TABLE runs ADD COLUMN root_nonce TEXT NOT NULL DEFAULT '';     -- of the run `root`
ALTER TABLE runs ADD COLUMN code TEXT NOT NULL DEFAULT '';           -- codes.id: when it was started or last resumed; '' if not known
ALTER TABLE budget_holds ADD COLUMN run TEXT NOT NULL DEFAULT '';    -- the id of the run that calls; '' if not known
ALTER TABLE budget_holds ADD COLUMN nonce TEXT NOT NULL DEFAULT '';  -- its nonce
ALTER TABLE budget_holds ADD COLUMN token TEXT NOT NULL DEFAULT '';  -- drawn for the reservation: a call that is made again has another one
ALTER TABLE budget_holds ADD COLUMN asked_cost_usd REAL NOT NULL DEFAULT 0;  -- what its question costs: counted if it is cut off
ALTER TABLE budget_holds ADD COLUMN asked_tokens REAL NOT NULL DEFAULT 0;
ALTER TABLE budget_accounts ADD COLUMN estimated_cost_usd REAL NOT NULL DEFAULT 0;  -- how much of what was spent is an estimate
ALTER TABLE budget_accounts ADD COLUMN estimated_tokens REAL NOT NULL DEFAULT 0;
ALTER TABLE budget_accounts ADD COLUMN calls_of_unknown_use INTEGER NOT NULL DEFAULT 0;  -- spent calls that may have used more than was counted

ALTER TABLE inbox ADD COLUMN taken_seq INTEGER;  -- the last step when it was consumed, so that a branch knows its key

CREATE TABLE codes (               -- what the code of a graph's nodes was, once for each of its digests
    id   TEXT PRIMARY KEY,
    body TEXT NOT NULL,            -- JSON: see docs/project/formats.md
    sum  INTEGER NOT NULL
) STRICT;

CREATE TABLE earlier_codes (       -- what a run's code was before it was resumed under another one
    run  INTEGER NOT NULL REFERENCES runs (key),
    code TEXT NOT NULL,
    PRIMARY KEY (run, code)
) STRICT, WITHOUT ROWID;

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
       r.queue, r.priority, r.queue_key, r.summary,
       r.title, r.user_name, r.starter, r.root, r.depth,
       iif(r.began_with = '', r.fingerprint, r.began_with) AS began_with, r.deploy, r.stop_asked, r.ended_at,
       r.nonce, r.starter_nonce, r.root_nonce, r.code
FROM runs AS r
LEFT JOIN steps AS last ON last.id = (
    SELECT s.id FROM steps AS s
    WHERE s.id > r.key << 32 AND s.id < (r.key + 1) << 32
    ORDER BY s.id DESC LIMIT 1
);
