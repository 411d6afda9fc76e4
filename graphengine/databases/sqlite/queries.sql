-- The statements of the store by name; `queries.py` reads them. Parameters are `?`, in the order of the statement.

-- name: run_facts
SELECT {run} FROM run_facts AS f WHERE id = ?;

-- name: moved
SELECT seen.key FROM json_each(?) AS seen
WHERE seen.value IS NOT (SELECT f.seq FROM run_facts AS f WHERE f.id = seen.key);

-- name: change_token
-- Changes when another connection commits.
PRAGMA data_version;

-- name: counts
SELECT graph, status, 0, sum(runs) FROM (
    SELECT graph, status, runs FROM run_counts
    UNION ALL SELECT graph, status, 1 FROM runs WHERE key > coalesce((SELECT upto FROM words_due WHERE run = 0), 0)
) GROUP BY 1, 2 HAVING sum(runs) > 0;

-- name: id_of
-- From the row itself: `run_facts` takes the id from the index that the run was found by.
SELECT id FROM runs WHERE key = ?;

-- name: graph_spec
SELECT CAST(body AS BLOB), sum FROM graph_specs WHERE fingerprint = ?;

-- name: has_graph_spec
SELECT 1 FROM graph_specs WHERE fingerprint = ?;

-- name: code
SELECT CAST(body AS BLOB), sum FROM codes WHERE id = ?;

-- name: keep_code
INSERT INTO codes (id, body, sum) VALUES (?, ?, ?) ON CONFLICT (id) DO NOTHING;

-- name: keep_graph_spec
INSERT INTO graph_specs (fingerprint, body, sum) VALUES (?, ?, ?) ON CONFLICT (fingerprint) DO NOTHING;

-- name: stop_over
-- Along the runs above, also past one that was removed: each knows the root too.
WITH RECURSIVE line (id, starter, root, mark, starter_nonce, root_nonce) AS (
    SELECT r.id, r.starter, r.root, r.stop_asked, r.starter_nonce, r.root_nonce FROM runs AS r WHERE r.id = ?
    UNION
    SELECT r.id, r.starter, r.root, r.stop_asked, r.starter_nonce, r.root_nonce
    FROM line JOIN runs AS r ON r.id IN (line.starter, line.root)
        AND r.nonce = iif(r.id = line.starter, line.starter_nonce, line.root_nonce)
    WHERE line.root IS NOT NULL
)
SELECT id, mark FROM line WHERE mark <> '' ORDER BY mark LIMIT 1;

-- name: add_run
-- The key is above those of removed runs whose rows are not deleted yet, and of all that the index of words has had.
-- Adds no row if the id is taken.
INSERT INTO runs (key, id, graph, fingerprint, began_with, status, created_at, due_at, parent, parent_seq, fence, driver,
                  summary, cost_usd, ended_at, title, deploy, code, nonce, queue, priority, queue_key, user_name)
VALUES (
    1 + max(coalesce((SELECT max(key) FROM runs), 0), coalesce((SELECT max(key) FROM trash), 0),
            coalesce((SELECT upto FROM words_due WHERE run = 0), 0)),
    ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?,
    ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?
) ON CONFLICT (id) DO NOTHING;

-- name: set_starter
UPDATE runs SET starter = ?, root = ?, depth = ?, starter_nonce = ?, root_nonce = ? WHERE key = ?;

-- name: enqueue
-- Its turn is one after the last of its tenant, but not before those whose turn it is now.
UPDATE runs SET driver = NULL, fence = 0, wanted_at = ?, turn = max(
    coalesce((SELECT r.turn FROM runs AS r WHERE r.fence = 0 AND r.queue = runs.queue AND r.priority = runs.priority
              ORDER BY r.turn LIMIT 1), 0),
    coalesce((SELECT 1 + r.turn FROM runs AS r WHERE r.fence = 0 AND r.queue = runs.queue
              AND r.queue_key = runs.queue_key AND r.priority = runs.priority ORDER BY r.turn DESC LIMIT 1), 0)
) WHERE key = ?;

-- name: add_tag
INSERT INTO tags (run, tag, created_at) SELECT key, ?, created_at FROM runs WHERE key = ?
ON CONFLICT (run, tag) DO NOTHING;

-- name: add_fields
-- From the summary in the run's row. The rows of a run that has these fields already stay as they are.
INSERT INTO run_fields (tenant, field, value, created_at, run)
SELECT r.queue_key, json_each.key, json_each.value, r.created_at, r.key
FROM runs AS r CROSS JOIN json_each(r.summary, '$.fields') WHERE r.key = ?
ON CONFLICT DO NOTHING;

-- name: add_graph_fields
INSERT INTO graph_fields (graph, field)
SELECT r.graph, json_each.key FROM runs AS r CROSS JOIN json_each(r.summary, '$.fields') WHERE r.key = ?
ON CONFLICT (graph, field) DO NOTHING;

-- name: undriven_summary
SELECT key, summary FROM runs WHERE id = ? AND nonce = ? AND status = ? AND driver IS NULL;

-- name: set_summary
UPDATE runs SET summary = ? WHERE key = ?;

-- name: drop_fields
DELETE FROM run_fields WHERE run IN (SELECT value FROM json_each(?));

-- name: drop_tag
DELETE FROM tags WHERE run = ? AND tag = ?;

-- name: tags
SELECT tag FROM tags WHERE run = ?;

-- name: driving
-- What an append must check: the run's driver and fence, and where its log ends.
SELECT fence, driver, status, parent_seq, r.id,
       (SELECT s.id FROM steps AS s WHERE s.id > r.key << 32 AND s.id < (r.key + 1) << 32
        ORDER BY s.id DESC LIMIT 1)
FROM runs AS r WHERE r.key = ?;

-- name: add_step
INSERT INTO steps (id, at, body, sum, texts) VALUES (?, ?, CAST(? AS TEXT), ?, ?);

-- name: add_next_step
-- Fails, since the time is NULL, unless the run has this driver, fence and status, and this step before it. A status
-- of NULL is any. A SELECT in place of VALUES would go through a temporary table.
INSERT INTO steps (id, at, body, sum, texts) VALUES (?, (
    SELECT ? FROM runs AS r
    WHERE r.key = ? AND r.id = ? AND r.fence = ? AND r.driver = ? AND r.status = coalesce(?, r.status)
      AND EXISTS (SELECT 1 FROM steps AS s WHERE s.id = ?)
), CAST(? AS TEXT), ?, ?);

-- name: add_snapshot
INSERT INTO snapshots (id, body, sum, texts) VALUES (?, CAST(? AS TEXT), ?, ?);

-- name: key_of_text
SELECT key FROM texts WHERE digest = ? AND body = ?;

-- name: add_text
INSERT INTO texts (digest, body) VALUES (?, ?);

-- name: use_text
INSERT INTO text_uses (text, row) VALUES (?, ?) ON CONFLICT (text, row) DO NOTHING;

-- name: text
SELECT body FROM texts WHERE key = ?;

-- name: drop_text_use
DELETE FROM text_uses WHERE text = ? AND row = ?;

-- name: drop_unused_text
DELETE FROM texts WHERE key = ? AND NOT EXISTS (SELECT * FROM text_uses WHERE text = key);

-- name: set_status
-- Any status but 'waiting', which is given twice, as the summary is; the last one but the key is the time of the last
-- step, NULL if it is not known.
UPDATE runs SET status = ?, driver = ?, due_at = NULL, wanted_at = NULL,
    summary = coalesce(?, summary), cost_usd = iif(? IS NULL, cost_usd, ?),
    ended_at = CASE WHEN ? <> 'running' THEN coalesce(?, (
        SELECT s.at FROM steps AS s WHERE s.id > key << 32 AND s.id < (key + 1) << 32 ORDER BY s.id DESC LIMIT 1
    )) END
WHERE key = ?;

-- name: set_waiting
-- The summary is given twice.
-- Messages posted before the run began to wait count too.
UPDATE runs SET status = 'waiting', driver = NULL, due_at = ?, ended_at = NULL,
    summary = coalesce(?, summary), cost_usd = iif(? IS NULL, cost_usd, ?),
    wanted_at = (SELECT i.posted_at FROM inbox AS i
                 WHERE i.run = runs.key AND i.payload IS NOT NULL AND i.kind <> 'stop' ORDER BY i.id LIMIT 1)
WHERE key = ?;

-- name: keep_earlier_graph_spec
INSERT INTO earlier_graph_specs (run, fingerprint) SELECT key, fingerprint FROM runs WHERE key = ? AND fingerprint <> ?
ON CONFLICT (run, fingerprint) DO NOTHING;

-- name: set_fingerprint
UPDATE runs SET began_with = iif(began_with = '', fingerprint, began_with), fingerprint = ? WHERE key = ?;

-- name: keep_earlier_code
INSERT INTO earlier_codes (run, code) SELECT key, code FROM runs WHERE key = ? AND code <> ? AND code <> ''
ON CONFLICT (run, code) DO NOTHING;

-- name: set_code
UPDATE runs SET code = ? WHERE key = ?;

-- name: set_driver
UPDATE runs SET driver = ?, fence = ?, wanted_at = CASE status WHEN 'waiting' THEN wanted_at END WHERE key = ?;

-- name: release
UPDATE runs SET driver = NULL, wanted_at = CASE status WHEN 'running' THEN ? ELSE wanted_at END
WHERE id = ? AND fence = ? AND driver = ?;

-- name: release_all
UPDATE runs SET driver = NULL, wanted_at = CASE status WHEN 'running' THEN ? ELSE wanted_at END WHERE driver = ?;

-- name: due_timers
SELECT {run} FROM run_facts AS f WHERE due_at <= ? ORDER BY due_at, key;

-- name: wanted_runs
SELECT {run} FROM run_facts AS f WHERE wanted_at IS NOT NULL ORDER BY wanted_at, key;

-- name: running_of
SELECT {run} FROM run_facts AS f WHERE driver = ? AND status = 'running' ORDER BY key;

-- name: drivers
-- The drivers of runs, alive or dead, and when their leases end. It skips from one driver to the next in the index,
-- without reading each run.
WITH RECURSIVE drivers (id) AS (
    SELECT min(r.driver) FROM runs AS r WHERE r.driver IS NOT NULL
    UNION ALL
    -- Queried twice: in a damaged index the next entry can be an earlier one again.
    SELECT (SELECT min(r.driver) FROM runs AS r WHERE r.driver > drivers.id) FROM drivers
    WHERE (SELECT min(r.driver) FROM runs AS r WHERE r.driver > drivers.id) > drivers.id
)
SELECT drivers.id, (SELECT o.expires_at FROM owners AS o WHERE o.id = drivers.id)
FROM drivers WHERE drivers.id IS NOT NULL;

-- name: owner
SELECT id, host, pid, lock_file, expires_at FROM owners WHERE id = ?;

-- name: keep_owner
INSERT INTO owners (id, host, pid, lock_file, expires_at) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET expires_at = excluded.expires_at;

-- name: drop_owner
DELETE FROM owners WHERE id = ?;

-- name: lineage
-- The run and its ancestors, each with its part of the log: the steps with low < seq <= high, and the newest snapshot
-- among them that is not after `newest`. Ends at the first snapshot if snapshots are requested, or where `after` is
-- reached. Also ends if a parent is not older than its child, so that a damaged row cannot cause an endless loop.
WITH RECURSIVE lineage (key, parent, low, high, shot) AS (
    SELECT r.key, r.parent, r.parent_seq, :upto,
           CASE WHEN :snapshots THEN
               (SELECT s.id & 4294967295 FROM snapshots AS s
                WHERE s.id > r.key << 32 AND s.id <= (r.key << 32) + min(:upto, :newest)
                ORDER BY s.id DESC LIMIT 1)
           END
    FROM runs AS r WHERE r.key = :key
    UNION ALL
    SELECT r.key, r.parent, r.parent_seq, min(child.low, child.high),
           CASE WHEN :snapshots THEN
               (SELECT s.id & 4294967295 FROM snapshots AS s
                WHERE s.id > r.key << 32 AND s.id <= (r.key << 32) + min(child.low, child.high, :newest)
                ORDER BY s.id DESC LIMIT 1)
           END
    FROM lineage AS child JOIN runs AS r ON r.key = child.parent AND r.key < child.key
    WHERE child.shot IS NULL AND child.low > :after
)
SELECT key, low, high, shot FROM lineage;

-- name: first_step
-- The first step of a run's own log, with the facts of its row that the step records too.
SELECT CAST(s.body AS BLOB), s.sum, s.id, r.id, r.graph, r.parent_seq, (SELECT p.id FROM runs AS p WHERE p.key = r.parent),
       s.texts
FROM steps AS s LEFT JOIN runs AS r ON r.key = s.id >> 32
WHERE s.id = (SELECT f.id FROM steps AS f WHERE f.id > ? << 32 AND f.id < (? + 1) << 32 ORDER BY f.id LIMIT 1);

-- name: branched_as
SELECT EXISTS (
    SELECT * FROM steps WHERE id > ? << 32 AND id < (? + 1) << 32
    AND substr(body, 1, 18) = '{"kind":"branched"' AND json_extract(body, '$.data.run_id') = ?
);

-- name: snapshot
SELECT CAST(body AS BLOB), sum, texts FROM snapshots WHERE id = ?;

-- name: steps
SELECT id, CAST(body AS BLOB), sum, texts FROM steps WHERE id > ? AND id <= ? ORDER BY id;

-- name: snapshot_bytes
SELECT length(CAST(body AS BLOB)) + coalesce((
    SELECT sum(length(t.body)) FROM json_each(texts) JOIN texts AS t ON t.key = json_extract(json_each.value, '$[1]')
), 0) FROM snapshots WHERE id = ?;

-- name: steps_bytes
SELECT count(*), coalesce(sum(length(CAST(body AS BLOB)) + CASE WHEN texts IS NULL THEN 0 ELSE (
    SELECT coalesce(sum(length(t.body)), 0)
    FROM json_each(texts) JOIN texts AS t ON t.key = json_extract(json_each.value, '$[1]')
) END), 0) FROM steps WHERE id > ? AND id <= ?;

-- name: post
INSERT INTO inbox (run, key, kind, payload, posted_at, sum) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (run, key) DO NOTHING;

-- name: has_messages
SELECT 1 FROM inbox WHERE run = ? AND key >= ? AND key < ? LIMIT 1;

-- name: want
UPDATE runs SET wanted_at = coalesce(wanted_at, ?) WHERE key = ? AND status = 'waiting';

-- name: inbox
SELECT inbox.id, runs.id, inbox.kind, CAST(inbox.payload AS BLOB), inbox.sum, inbox.run, inbox.key
FROM runs JOIN inbox ON inbox.run = runs.key
WHERE runs.id IN (SELECT value FROM json_each(?)) AND inbox.payload IS NOT NULL
ORDER BY inbox.id;

-- name: message_keys
-- The reader sorts them: those of one run are few.
SELECT inbox.key, inbox.id, inbox.payload IS NOT NULL FROM runs JOIN inbox ON inbox.run = runs.key
WHERE runs.id = ?;

-- name: consume
UPDATE inbox SET payload = NULL, taken_seq = (
    SELECT s.id & 4294967295 FROM steps AS s WHERE s.id > inbox.run << 32 AND s.id < (inbox.run + 1) << 32
    ORDER BY s.id DESC LIMIT 1
) WHERE id = ? AND run = ?;

-- name: take_keys_over
-- A branch knows the keys of the messages that it has from its parent: those that had been taken at its first step.
INSERT INTO inbox (run, key, kind, posted_at, sum, taken_seq)
SELECT ?, key, kind, posted_at, sum, taken_seq FROM inbox
WHERE run = ? AND key >= 'message ' AND key < 'message!' AND taken_seq <= ?;

-- name: ended
-- A size is the bytes of its own steps, snapshots and messages, and of the texts that no other run holds. What no run of
-- the page has, within its lowest and its highest key, is not looked up for each of them.
WITH page (low, high) AS MATERIALIZED (
    SELECT min(key), max(key) FROM (
        SELECT r.key FROM runs AS r WHERE r.status = :status AND r.status <> 'running'
            AND (:graph IS NULL OR r.graph = :graph) AND (r.created_at, r.id) < (:created_at, :id)
        ORDER BY r.created_at DESC, r.id DESC LIMIT :limit
    )
)
SELECT r.id, r.graph,
    coalesce((SELECT s.id & 4294967295 FROM steps AS s WHERE s.id > r.key << 32 AND s.id < (r.key + 1) << 32
              ORDER BY s.id DESC LIMIT 1), r.parent_seq),
    r.created_at, coalesce(r.ended_at, r.created_at),
    iif(r.parent IS NULL, NULL, (SELECT p.id FROM runs AS p WHERE p.key = r.parent)), r.parent_seq, r.starter, r.depth,
    (SELECT coalesce(sum(length(CAST(body AS BLOB))), 0) FROM steps WHERE id > r.key << 32 AND id < (r.key + 1) << 32)
     + iif((SELECT EXISTS (SELECT * FROM page JOIN snapshots AS s ON s.id > low << 32 AND s.id < (high + 1) << 32)),
        (SELECT coalesce(sum(length(CAST(body AS BLOB))), 0) FROM snapshots
         WHERE id > r.key << 32 AND id < (r.key + 1) << 32), 0)
     + iif((SELECT EXISTS (SELECT * FROM page JOIN inbox AS i ON i.run BETWEEN low AND high)),
        (SELECT coalesce(sum(length(CAST(payload AS BLOB))), 0) FROM inbox WHERE run = r.key), 0)
     + iif((SELECT EXISTS (SELECT * FROM page JOIN steps AS s ON s.id > low << 32 AND s.id < (high + 1) << 32
                           WHERE s.texts IS NOT NULL)
                OR EXISTS (SELECT * FROM page JOIN snapshots AS s ON s.id > low << 32 AND s.id < (high + 1) << 32
                           WHERE s.texts IS NOT NULL)),
        (SELECT coalesce(sum(length(t.body)), 0) FROM texts AS t WHERE t.key IN (
            SELECT json_extract(json_each.value, '$[1]') FROM steps AS s, json_each(iif(json_valid(s.texts), s.texts, '[]'))
            WHERE s.id > r.key << 32 AND s.id < (r.key + 1) << 32 AND s.texts IS NOT NULL
            UNION ALL
            SELECT json_extract(json_each.value, '$[1]') FROM snapshots AS s, json_each(iif(json_valid(s.texts), s.texts, '[]'))
            WHERE s.id > r.key << 32 AND s.id < (r.key + 1) << 32 AND s.texts IS NOT NULL
        ) AND NOT EXISTS (SELECT * FROM text_uses AS u WHERE u.text = t.key AND abs(u.row) >> 32 <> r.key)), 0),
    iif((SELECT EXISTS (SELECT * FROM page JOIN runs AS c ON c.parent BETWEEN low AND high)),
        EXISTS (SELECT * FROM runs AS c WHERE c.parent = r.key), 0),
    iif((SELECT EXISTS (SELECT * FROM page JOIN tags AS t ON t.run BETWEEN low AND high)),
        (SELECT group_concat(t.tag, char(10)) FROM tags AS t WHERE t.run = r.key), NULL), r.driver, r.starter_nonce,
    r.nonce
FROM runs AS r WHERE r.status = :status AND r.status <> 'running' AND (:graph IS NULL OR r.graph = :graph)
    AND (r.created_at, r.id) < (:created_at, :id)
ORDER BY r.created_at DESC, r.id DESC LIMIT :limit;

-- name: to_remove
SELECT json_each.key, r.key, r.status,
    coalesce((SELECT s.id & 4294967295 FROM steps AS s WHERE s.id > r.key << 32 AND s.id < (r.key + 1) << 32
              ORDER BY s.id DESC LIMIT 1), r.parent_seq),
    (SELECT group_concat(t.tag, char(10)) FROM tags AS t WHERE t.run = r.key), r.driver,
    EXISTS (SELECT * FROM runs AS c WHERE c.parent = r.key), r.nonce
FROM json_each(?) CROSS JOIN runs AS r ON r.id = json_each.value;

-- name: branches_of
SELECT key, id FROM runs WHERE parent = ? ORDER BY key;

-- name: trash_runs
INSERT INTO trash (key) SELECT value FROM json_each(?);

-- name: drop_runs
DELETE FROM runs WHERE key IN (SELECT value FROM json_each(?));

-- name: drop_tags
DELETE FROM tags WHERE run IN (SELECT value FROM json_each(?));

-- name: drop_earlier_graph_specs
DELETE FROM earlier_graph_specs WHERE run IN (SELECT value FROM json_each(?));

-- name: drop_earlier_codes
DELETE FROM earlier_codes WHERE run IN (SELECT value FROM json_each(?));

-- name: has_trash
SELECT EXISTS (SELECT * FROM trash WHERE key NOT IN (SELECT key FROM runs));

-- name: some_trash
-- The first removed runs: never an existing run, even if a damaged row says so.
SELECT key FROM trash WHERE key NOT IN (SELECT key FROM runs) ORDER BY key LIMIT ?;

-- name: trim_at
-- The newest snapshot among these rows of a run, whose steps no branch needs and none of which began one.
SELECT s.id, CAST(s.body AS BLOB), s.sum, s.texts, t.at, substr(t.body, 1, 17) = '{"kind":"removed"', t.texts
FROM snapshots AS s JOIN steps AS t ON t.id = s.id
WHERE s.id > :low AND s.id <= :high AND NOT EXISTS (SELECT * FROM runs WHERE parent = :low >> 32)
    AND NOT EXISTS (SELECT * FROM steps AS b WHERE b.id > :low AND b.id <= s.id AND substr(b.body, 1, 18) = '{"kind":"branched"')
ORDER BY s.id DESC LIMIT 1;

-- name: trimmable
-- What is left of a removed step is shorter than any snapshot.
SELECT id, at, texts FROM steps
WHERE id > :low AND id < :high AND NOT (substr(body, 1, 17) = '{"kind":"removed"' AND length(body) < 100)
ORDER BY id DESC LIMIT :limit;

-- name: is_removed
SELECT 1 FROM steps WHERE id = ? AND substr(body, 1, 17) = '{"kind":"removed"' AND length(body) < 100;

-- name: replace_step
UPDATE steps SET body = CAST(? AS TEXT), sum = ?, texts = ? WHERE id = ?;

-- name: drop_snapshots
DELETE FROM snapshots WHERE id > :low AND id < :high RETURNING id, texts;

-- name: texts_of_steps
SELECT s.id, s.texts FROM json_each(:keys) AS gone CROSS JOIN steps AS s INDEXED BY steps_with_texts
ON s.id > gone.value << 32 AND s.id < (gone.value + 1) << 32 WHERE s.texts IS NOT NULL LIMIT :rows;

-- name: drop_rows_of_steps
DELETE FROM steps WHERE id IN (SELECT value FROM json_each(?));

-- name: sweep_steps
DELETE FROM steps WHERE id IN (
    SELECT s.id FROM json_each(:keys) AS gone
    CROSS JOIN steps AS s ON s.id > gone.value << 32 AND s.id < (gone.value + 1) << 32 LIMIT :rows
);

-- name: texts_of_snapshots
SELECT s.id, s.texts FROM json_each(:keys) AS gone CROSS JOIN snapshots AS s INDEXED BY snapshots_with_texts
ON s.id > gone.value << 32 AND s.id < (gone.value + 1) << 32 WHERE s.texts IS NOT NULL LIMIT :rows;

-- name: drop_rows_of_snapshots
DELETE FROM snapshots WHERE id IN (SELECT value FROM json_each(?));

-- name: sweep_snapshots
DELETE FROM snapshots WHERE id IN (
    SELECT s.id FROM json_each(:keys) AS gone
    CROSS JOIN snapshots AS s ON s.id > gone.value << 32 AND s.id < (gone.value + 1) << 32 LIMIT :rows
);

-- name: sweep_inbox
DELETE FROM inbox WHERE id IN (
    SELECT i.id FROM json_each(:keys) AS gone CROSS JOIN inbox AS i ON i.run = gone.value LIMIT :rows
);

-- name: swept
DELETE FROM trash WHERE key IN (SELECT value FROM json_each(?));

-- name: has_spare_specs
SELECT EXISTS (
    SELECT * FROM graph_specs WHERE fingerprint NOT IN (SELECT fingerprint FROM runs)
        AND fingerprint NOT IN (SELECT fingerprint FROM earlier_graph_specs)
), EXISTS (SELECT * FROM codes WHERE id NOT IN (SELECT code FROM runs) AND id NOT IN (SELECT code FROM earlier_codes));

-- name: drop_graph_specs
DELETE FROM graph_specs WHERE fingerprint NOT IN (SELECT fingerprint FROM runs)
    AND fingerprint NOT IN (SELECT fingerprint FROM earlier_graph_specs);

-- name: drop_codes
DELETE FROM codes WHERE id NOT IN (SELECT code FROM runs) AND id NOT IN (SELECT code FROM earlier_codes);

-- name: queues_with_work
-- It skips from one queue to the next in each index, without reading each run.
WITH RECURSIVE
queued (name) AS (
    SELECT min(r.queue) FROM runs AS r WHERE r.fence = 0
    UNION ALL SELECT (SELECT min(r.queue) FROM runs AS r WHERE r.fence = 0 AND r.queue > q.name)
    FROM queued AS q WHERE q.name IS NOT NULL
),
wanted (name) AS (
    SELECT min(r.queue) FROM runs AS r WHERE r.wanted_at IS NOT NULL AND r.fence > 0
    UNION ALL SELECT (SELECT min(r.queue) FROM runs AS r WHERE r.wanted_at IS NOT NULL AND r.fence > 0 AND r.queue > q.name)
    FROM wanted AS q WHERE q.name IS NOT NULL
),
timed (name) AS (
    SELECT min(r.queue) FROM runs AS r WHERE r.due_at IS NOT NULL
    UNION ALL SELECT (SELECT min(r.queue) FROM runs AS r WHERE r.due_at IS NOT NULL AND r.queue > q.name)
    FROM timed AS q WHERE q.name IS NOT NULL
)
SELECT f.name, l.limits FROM (SELECT name FROM queued UNION SELECT name FROM wanted UNION SELECT name FROM timed) AS f
LEFT JOIN queues AS l ON l.name = f.name WHERE f.name IS NOT NULL;

-- name: driven_of
SELECT r.queue, r.queue_key, r.driver, count(*) FROM runs AS r INDEXED BY runs_by_driver
WHERE r.driver IS NOT NULL GROUP BY 1, 2, 3;

-- name: rates_of
SELECT queue, queue_key, until FROM rates WHERE queue = ?;

-- name: keep_rate
INSERT INTO rates (queue, queue_key, until) VALUES (?, ?, ?)
ON CONFLICT (queue, queue_key) DO UPDATE SET until = excluded.until;

-- name: drop_rates
DELETE FROM rates WHERE queue = ? AND until <= ?;

-- name: wanted_of_queue
-- A run whose time came before its message is one of the timed.
SELECT r.key, r.queue, r.queue_key, r.priority, 0, r.wanted_at, r.graph, r.id, r.driver FROM runs AS r
WHERE r.queue = :queue AND r.wanted_at IS NOT NULL AND r.fence > 0
    AND (r.due_at IS NULL OR r.due_at >= r.wanted_at OR r.due_at > :now)
ORDER BY r.priority DESC, r.wanted_at;

-- name: priorities_of_timed
WITH RECURSIVE priorities (priority) AS (
    SELECT max(r.priority) FROM runs AS r WHERE r.queue = :queue AND r.due_at IS NOT NULL
    UNION ALL
    SELECT (SELECT max(r.priority) FROM runs AS r WHERE r.queue = :queue AND r.due_at IS NOT NULL AND r.priority < p.priority)
    FROM priorities AS p WHERE p.priority IS NOT NULL
)
SELECT priority FROM priorities WHERE priority IS NOT NULL;

-- name: timed_of_priority
SELECT r.key, r.queue, r.queue_key, r.priority, 0, r.due_at, r.graph, r.id, r.driver FROM runs AS r
WHERE r.queue = ? AND r.priority = ? AND r.due_at <= ?
    AND (r.wanted_at IS NULL OR (r.due_at < r.wanted_at AND r.fence > 0))
ORDER BY r.due_at;

-- name: queued_of_queue
SELECT r.key, r.queue, r.queue_key, r.priority, 1, r.turn, r.graph, r.id, r.driver FROM runs AS r
WHERE r.queue = ? AND r.fence = 0 ORDER BY r.priority DESC, r.turn, r.key;

-- name: tenants_of_queue
WITH RECURSIVE keys (key) AS (
    SELECT min(r.queue_key) FROM runs AS r WHERE r.fence = 0 AND r.queue = :queue
    UNION ALL
    SELECT (SELECT min(r.queue_key) FROM runs AS r WHERE r.fence = 0 AND r.queue = :queue AND r.queue_key > k.key)
    FROM keys AS k WHERE k.key IS NOT NULL
)
SELECT key FROM keys WHERE key IS NOT NULL;

-- name: queued_of_tenant
SELECT r.key, r.queue, r.queue_key, r.priority, 1, r.turn, r.graph, r.id, r.driver FROM runs AS r
WHERE r.queue = ? AND r.queue_key = ? AND r.fence = 0 ORDER BY r.priority DESC, r.turn, r.key;

-- name: facts_of_driver
SELECT {run} FROM run_facts AS f WHERE driver = ? ORDER BY key;

-- name: facts_of
SELECT {run} FROM run_facts AS f WHERE key = ?;

-- name: owners
SELECT id, host, pid, expires_at, role FROM owners;

-- name: driven_by
SELECT id FROM runs WHERE driver = ? ORDER BY id;
