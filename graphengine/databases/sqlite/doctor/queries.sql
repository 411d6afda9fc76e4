-- The statements that find and repair damage, by name; they can read whole tables.

-- name: run_by_scan
-- Without the index of ids, which can be damaged itself.
SELECT {run} FROM run_facts AS f WHERE key = (SELECT key FROM runs NOT INDEXED WHERE id = ?);

-- name: key_by_scan
SELECT key FROM runs NOT INDEXED WHERE id = ?;

-- name: run_keys
SELECT key FROM runs NOT INDEXED WHERE key > ? ORDER BY key LIMIT 1000;

-- name: next_log
-- Skips from the steps of one run to those of the next: the key, and whether `runs` or `trash` has it.
SELECT id >> 32, (id >> 32) IN (SELECT key FROM runs) OR (id >> 32) IN (SELECT key FROM trash)
FROM steps WHERE id >= ? ORDER BY id LIMIT 1;

-- name: run_snapshots
SELECT id & 4294967295 FROM snapshots WHERE id >= ? << 32 AND id < (? + 1) << 32 ORDER BY id;

-- name: first_message
SELECT posted_at FROM inbox WHERE run = ? AND payload IS NOT NULL AND kind <> 'stop' ORDER BY id LIMIT 1;

-- name: messages
SELECT i.id, i.run, i.key, i.kind, CAST(i.payload AS BLOB), i.sum, r.id
FROM inbox AS i NOT INDEXED JOIN runs AS r ON r.key = i.run WHERE i.payload IS NOT NULL;

-- name: graph_specs
SELECT rowid, fingerprint, CAST(body AS BLOB), sum FROM graph_specs NOT INDEXED;

-- name: codes
SELECT rowid, id, CAST(body AS BLOB), sum FROM codes NOT INDEXED;

-- name: texts
SELECT key, digest, body FROM texts NOT INDEXED;

-- name: texts_held
SELECT id, texts FROM steps WHERE texts IS NOT NULL
UNION ALL SELECT -id, texts FROM snapshots WHERE texts IS NOT NULL;

-- name: has_text_use
SELECT EXISTS (SELECT * FROM text_uses WHERE text = ? AND row = ?);

-- name: wrong_counts
SELECT count(*) FROM (
    SELECT sum(n) AS off FROM (
        SELECT graph, status, -runs AS n FROM run_counts
        UNION ALL SELECT graph, status, 1 FROM runs NOT INDEXED
        WHERE key <= coalesce((SELECT upto FROM words_due WHERE run = 0), 0)
    ) GROUP BY graph, status
) WHERE off <> 0;

-- name: count_again
REPLACE INTO run_counts (graph, status, runs)
SELECT graph, status, sum(n) FROM (
    SELECT graph, status, 0 AS n FROM run_counts
    UNION ALL SELECT graph, status, 1 FROM runs NOT INDEXED
    WHERE key <= coalesce((SELECT upto FROM words_due WHERE run = 0), 0)
) GROUP BY graph, status;

-- name: owners
SELECT id, host, pid, lock_file, expires_at FROM owners;

-- name: drop_snapshot
DELETE FROM snapshots WHERE id = ?;

-- name: drop_message
DELETE FROM inbox WHERE id = ?;

-- name: drop_graph_spec
DELETE FROM graph_specs WHERE rowid = ?;

-- name: drop_code
DELETE FROM codes WHERE rowid = ?;

-- name: restore_run
-- The other facts are corrected from the log once it has a row. A row with this id and no steps lost them to this one.
INSERT OR REPLACE INTO runs (key, id, graph, fingerprint, status, created_at, parent, parent_seq, fence)
SELECT ?, ?, '', '', 'running', (SELECT at FROM steps WHERE id = ?), ?, (? & 4294967295) - 1, 1
WHERE NOT EXISTS (
    SELECT * FROM runs AS r JOIN steps AS s ON s.id > r.key << 32 AND s.id < (r.key + 1) << 32 WHERE r.id = ?
);

-- name: set_identity
UPDATE runs SET id = ?, parent = ?, parent_seq = ? WHERE key = ?;

-- name: set_run
UPDATE runs SET id = :id, graph = :graph, fingerprint = :fingerprint, status = :status, due_at = :due_at,
    wanted_at = :wanted_at, summary = coalesce(:summary, summary), cost_usd = :cost_usd, ended_at = :ended_at,
    title = :title, user_name = coalesce(:user, ''), starter = :starter, root = :root, depth = :depth,
    began_with = :began_with, deploy = :deploy, code = :code, nonce = :nonce, starter_nonce = :starter_nonce,
    root_nonce = :root_nonce
WHERE key = :key;

-- name: set_time
UPDATE steps SET at = ? WHERE id = ?;

-- name: run_gaps
-- The steps that are missing between others, by run.
SELECT id >> 32, before + 1, (id & 4294967295) - 1 FROM (
    SELECT s.id, coalesce(lag(s.id & 4294967295) OVER (PARTITION BY s.id >> 32 ORDER BY s.id),
                          (SELECT parent_seq FROM runs WHERE key = s.id >> 32), 0) AS before
    FROM steps AS s
) WHERE (id & 4294967295) > before + 1;
