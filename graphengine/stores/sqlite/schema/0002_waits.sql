-- Runs that wait, and how to find the runs that are due to be resumed.
--
-- `runs.due_at`: while a run waits, when its first timer is due, epoch seconds; NULL if there is none.
-- `runs.wanted_at`: since when a run needs a driver independently of timers, epoch seconds; NULL if it does not. A
-- waiting run needs one from the time an undelivered message of any kind but 'stop' was posted, a `running` run without
-- a driver from the time it was released. Every post, append, claim and release updates it.
-- `inbox.posted_at`: epoch seconds.
--
-- Runs whose driver died are found through `runs_by_driver`: a run has a driver only while an owner holds it. So none
-- of the three indexes has an entry for an ended run.

ALTER TABLE runs ADD COLUMN due_at REAL;
ALTER TABLE runs ADD COLUMN wanted_at REAL;
ALTER TABLE inbox ADD COLUMN posted_at REAL NOT NULL DEFAULT 0;

DROP VIEW run_facts;
CREATE VIEW run_facts AS           -- what a store tells of a run without reading its log
SELECT r.key, r.id, r.graph, r.fingerprint, r.status,
       coalesce(last.id & 4294967295, r.parent_seq) AS seq,
       r.created_at,
       coalesce(last.at, r.created_at) AS updated_at,
       (SELECT p.id FROM runs AS p WHERE p.key = r.parent) AS parent,
       r.parent_seq, r.driver, r.fence,
       (SELECT o.expires_at FROM owners AS o WHERE o.id = r.driver) AS driven_until,
       r.due_at, r.wanted_at
FROM runs AS r
LEFT JOIN steps AS last ON last.id = (
    SELECT s.id FROM steps AS s
    WHERE s.id > r.key << 32 AND s.id < (r.key + 1) << 32
    ORDER BY s.id DESC LIMIT 1
);

-- The times of old messages and releases were not recorded: the run's last step is the nearest known time.
UPDATE inbox SET posted_at = (SELECT f.updated_at FROM run_facts AS f WHERE f.key = inbox.run)
WHERE payload IS NOT NULL;
UPDATE runs SET wanted_at = (SELECT f.updated_at FROM run_facts AS f WHERE f.key = runs.key)
WHERE status = 'running' AND driver IS NULL
   OR status = 'waiting' AND EXISTS (
      SELECT * FROM inbox AS i WHERE i.run = runs.key AND i.payload IS NOT NULL AND i.kind <> 'stop'
   );

CREATE INDEX runs_by_due_at ON runs (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX runs_by_wanted_at ON runs (wanted_at) WHERE wanted_at IS NOT NULL;
