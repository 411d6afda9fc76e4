-- The statements that find and repair damage, by name; they can read whole tables.

-- name: run_by_scan
-- Without the index of ids, which can be damaged itself.
SELECT * FROM run_facts WHERE key = (SELECT key FROM runs NOT INDEXED WHERE id = ?);

-- name: run_keys
SELECT key FROM runs NOT INDEXED WHERE key > ? ORDER BY key LIMIT 1000;

-- name: run_row
SELECT r.id, r.graph, r.fingerprint, r.status, r.created_at, p.id AS parent, r.parent_seq, r.fence, r.driver, r.due_at,
       r.wanted_at, r.parent AS parent_key,
       (SELECT count(*) FROM inbox AS i WHERE i.run = r.key AND i.payload IS NOT NULL AND i.kind <> 'stop') AS wanted
FROM runs AS r LEFT JOIN runs AS p ON p.key = r.parent
WHERE r.key = ?;

-- name: run_steps
SELECT id, at, CAST(body AS BLOB), sum, texts FROM steps WHERE id > ? AND id < ? ORDER BY id;

-- name: run_snapshots
SELECT id FROM snapshots WHERE id >= ? AND id < ? ORDER BY id;

-- name: schema
SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_schema;

-- name: next_log
-- Skips from the steps of one run to those of the next: the key, and whether `runs` and `trash` have it.
SELECT id >> 32, (id >> 32) IN (SELECT key FROM runs), (id >> 32) IN (SELECT key FROM trash)
FROM steps WHERE id >= ? ORDER BY id LIMIT 1;

-- name: snapshots_without_row
SELECT id FROM snapshots
WHERE id >> 32 NOT IN (SELECT key FROM runs) AND id >> 32 NOT IN (SELECT key FROM trash);

-- name: first_of_log
SELECT id, at, CAST(body AS BLOB), sum, texts FROM steps WHERE id > ? AND id < ? ORDER BY id LIMIT 1;

-- name: key_of_run
SELECT key FROM runs WHERE id = ?;

-- name: key_by_scan
SELECT key FROM runs NOT INDEXED WHERE id = ?;

-- name: graph_of
SELECT graph FROM runs WHERE key = ?;

-- name: messages
SELECT i.id, i.run, i.key, i.kind, CAST(i.payload AS BLOB), i.sum, r.id
FROM inbox AS i NOT INDEXED LEFT JOIN runs AS r ON r.key = i.run
WHERE (i.payload IS NOT NULL OR r.key IS NULL) AND i.run NOT IN (SELECT key FROM trash);

-- name: tags_without_run
SELECT tag, run FROM tags WHERE run NOT IN (SELECT key FROM runs) AND run NOT IN (SELECT key FROM trash);

-- name: earlier_outlines_without_run
SELECT DISTINCT run FROM earlier_outlines WHERE run NOT IN (SELECT key FROM runs);

-- name: outlines
SELECT rowid, fingerprint, CAST(body AS BLOB), sum FROM outlines NOT INDEXED;

-- name: missing_outlines
SELECT fingerprint, count(*) FROM runs WHERE fingerprint NOT IN (SELECT fingerprint FROM outlines) GROUP BY fingerprint;

-- name: unused_outlines
SELECT count(*) FROM outlines
WHERE fingerprint NOT IN (SELECT fingerprint FROM runs)
AND fingerprint NOT IN (SELECT fingerprint FROM earlier_outlines);

-- name: texts
SELECT key, digest, body FROM texts NOT INDEXED;

-- name: unused_texts
SELECT key FROM texts AS t NOT INDEXED WHERE NOT EXISTS (SELECT * FROM text_uses AS u WHERE u.text = t.key);

-- name: uses_without_row
SELECT text, row FROM text_uses WHERE NOT CASE WHEN row > 0
    THEN EXISTS (SELECT * FROM steps AS s WHERE s.id = row AND s.texts IS NOT NULL)
    ELSE EXISTS (SELECT * FROM snapshots AS s WHERE s.id = -row AND s.texts IS NOT NULL) END;

-- name: texts_of_steps
SELECT id, texts FROM steps WHERE texts IS NOT NULL;

-- name: texts_of_snapshots
SELECT -id, texts FROM snapshots WHERE texts IS NOT NULL;

-- name: has_text_use
SELECT EXISTS (SELECT * FROM text_uses WHERE text = ? AND row = ?);

-- name: trash
SELECT count(*) FROM trash WHERE key NOT IN (SELECT key FROM runs);

-- name: trash_with_row
SELECT t.key, r.id FROM trash AS t JOIN runs AS r ON r.key = t.key;

-- name: owners
SELECT id, host, pid, lock_file, expires_at FROM owners;

-- name: driven_by
SELECT count(*) FROM runs WHERE driver = ?;

-- name: drivers_without_owner
SELECT driver, count(*) FROM runs WHERE driver IS NOT NULL AND driver NOT IN (SELECT id FROM owners) GROUP BY driver;

-- name: drop_snapshot
DELETE FROM snapshots WHERE id = ?;

-- name: drop_message
DELETE FROM inbox WHERE id = ?;

-- name: drop_tag
DELETE FROM tags WHERE run = ? AND tag = ?;

-- name: drop_outline
DELETE FROM outlines WHERE rowid = ?;

-- name: set_step_time
UPDATE steps SET at = ? WHERE id = ?;

-- name: drop_run_without_steps
DELETE FROM runs WHERE id = ?
AND NOT EXISTS (SELECT * FROM steps WHERE steps.id > runs.key << 32 AND steps.id < (runs.key + 1) << 32);

-- name: restore_run
INSERT INTO runs (key, id, graph, fingerprint, status, created_at, parent, parent_seq, fence, wanted_at)
VALUES (?, ?, ?, ?, 'running', ?, ?, ?, 1, ?);

-- name: set_run
UPDATE runs SET id = ?, graph = ?, fingerprint = ?, status = ?, created_at = ?, parent = ?, parent_seq = ?, fence = ?,
    due_at = ?, wanted_at = ?
WHERE key = ?;

-- name: summary
SELECT summary FROM runs WHERE key = ?;

-- name: set_summary
UPDATE runs SET summary = ? WHERE key = ?;

-- name: first_message
SELECT posted_at FROM inbox WHERE run = ? AND payload IS NOT NULL AND kind <> 'stop' ORDER BY id LIMIT 1;
