-- The statements of the store by name; `queries.py` reads them. What they call is in `schema/`.

-- name: append
SELECT run, fence, driver, last, status FROM append(
    %s::text, %s::bigint[], %s::integer[], %s::integer[], %s::text[], %s::float8[], %s::text[], %s::float8[], %s::text[],
    %s::bigint[], %s::integer[], %s::float8[], %s::integer[], %s::text[],  %s::bigint[], %s::bigint[],
    %s::bigint[], %s::integer[], %s::integer[], %s::text[],  %s::bigint[], %s::text[], %s::text[], %s::integer[],
    %s::bytea[], %s::text[],  %s::bigint[], %s::integer[], %s::integer[], %s::boolean[], %s::bytea[]
);

-- name: append_under_codes
SELECT run, fence, driver, last, status FROM append_under_codes(
    %s::text, %s::bigint[], %s::integer[], %s::integer[], %s::text[], %s::float8[], %s::text[], %s::float8[], %s::text[],
    %s::bigint[], %s::integer[], %s::float8[], %s::integer[], %s::text[],  %s::bigint[], %s::bigint[],
    %s::bigint[], %s::integer[], %s::integer[], %s::text[],  %s::bigint[], %s::text[], %s::text[], %s::integer[],
    %s::bytea[], %s::text[],  %s::bigint[], %s::integer[], %s::integer[], %s::boolean[], %s::bytea[],
    %s::bigint[], %s::text[], %s::text[], %s::integer[]
);

-- name: append_last
SELECT append_last(
    %s::text, %s::bigint, %s::integer, %s::integer, %s::float8, %s::integer, %s::text, %s::text, %s::float8, %s::text,
    %s::float8, %s::text
);

-- name: append_step
-- One step of a run that stays `running`; no row if nothing was written, for `append` to return why. It needs no
-- function: after a wait for the run's row, the server checks that row anew. The last step is then read as it was
-- before, but a step that was inserted meanwhile has the same primary key. `CASE` keeps the indexes of drivers and of
-- statuses out: a plan made while the table is small would read all runs of the owner ever after.
INSERT INTO steps (run, seq, at, sum, body)
SELECT r.key, %s::integer, %s::float8, %s::integer, %s::text FROM runs AS r
WHERE r.key = %s::bigint AND CASE WHEN r.fence = %s::integer AND r.driver = %s::text AND r.status = 'running' THEN
    %s::integer = 1 + coalesce(
        (SELECT s.seq FROM steps AS s WHERE s.run = r.key ORDER BY s.seq DESC LIMIT 1), r.parent_seq
    )
END
FOR NO KEY UPDATE OF r RETURNING true;

-- name: append_within
-- Steps of a running run, as the last statement of a transaction that a function began: {schema} is named, since the
-- function may search elsewhere. A setting of the transaction shows that it is still the same one. With another level of
-- isolation the last step is not the last one of now: who calls this has written all steps before.
INSERT INTO {schema}.steps (run, seq, at, sum, body)
SELECT r.key, x.seq, x.at, x.sum, x.body
FROM {schema}.runs AS r, unnest(%s::integer[], %s::float8[], %s::integer[], %s::text[]) AS x (seq, at, sum, body)
WHERE r.key = %s::bigint AND CASE
    WHEN r.fence <> %s::integer OR r.driver IS DISTINCT FROM %s::text OR r.status <> 'running' THEN false
    WHEN current_setting('graphengine.transaction', true) IS DISTINCT FROM %s::text THEN false
    WHEN current_setting('transaction_isolation') <> 'read committed' THEN true
    ELSE %s::integer = 1 + coalesce(
        (SELECT s.seq FROM {schema}.steps AS s WHERE s.run = r.key ORDER BY s.seq DESC LIMIT 1), r.parent_seq
    )
END
FOR NO KEY UPDATE OF r RETURNING true;

-- name: texts_within
INSERT INTO {schema}.texts (digest, body) SELECT DISTINCT ON (t.digest) t.digest, t.body
FROM unnest(%s::bytea[], %s::text[]) AS t (digest, body) ORDER BY t.digest ON CONFLICT DO NOTHING;

-- name: text_uses_within
INSERT INTO {schema}.text_uses (run, seq, place, in_snapshot, digest)
SELECT * FROM unnest(%s::bigint[], %s::integer[], %s::integer[], %s::boolean[], %s::bytea[]);

-- name: written
-- How many of these steps are recorded exactly so.
SELECT count(*) FROM unnest(%s::integer[], %s::float8[], %s::integer[]) AS x (seq, at, sum)
JOIN steps AS s ON s.run = %s::bigint AND s.seq = x.seq AND s.at = x.at AND s.sum = x.sum;

-- name: create_many
-- Runs of one step, without a parent, tags and long texts; their graph specs and codes are sent once.
SELECT x.id, c.outcome, c.key, c.fence, c.rows, c.row_bytes, c.shot_bytes
FROM (SELECT %s::text AS owner, %s::text[] AS prints, %s::text[] AS bodies, %s::integer[] AS sums) AS o, unnest(
    %s::integer[], %s::bigint[], %s::text[], %s::text[], %s::text[], %s::float8[], %s::float8[],
    %s::text[], %s::text[], %s::text[], %s::integer[], %s::float8[], %s::integer[], %s::text[],
    %s::text[], %s::integer[], %s::text[], %s::text[], %s::boolean[], %s::text[], %s::text[]
) AS x (graph_spec, token, id, graph, status, created_at, due_at, name_words, words, end_words, seq, at, sum, body,
        queue, priority, key, summary, is_queued, channel, begun), create_run(
    o.owner, x.token, x.id, x.graph, o.prints[x.graph_spec], o.bodies[x.graph_spec], o.sums[x.graph_spec],
    x.status, x.created_at, x.due_at, NULL, 0, '{}', '{}', x.name_words, x.words, x.end_words, ARRAY[x.seq], ARRAY[x.at], ARRAY[x.sum], ARRAY[x.body],
    '{}', '{}', '{}', '{}', '{}', x.queue, x.priority, x.key, x.summary, x.is_queued, x.channel, x.begun
) AS c, keep_codes(%s::text[], %s::text[], %s::integer[]);

-- name: create
SELECT outcome, key, fence, rows, row_bytes, shot_bytes FROM create_run(
    %s::text, %s::bigint, %s::text, %s::text, %s::text, %s::text, %s::integer,
    %s::text, %s::float8, %s::float8, %s::text, %s::integer, %s::text[],
    %s::text[], %s::text, %s::text, %s::text,
    %s::integer[], %s::float8[], %s::integer[], %s::text[],  %s::bytea[], %s::text[], %s::integer[], %s::integer[], %s::bytea[],
    %s::text, %s::integer, %s::text, %s::text, %s::boolean, %s::text, %s::text
), keep_codes(%s::text[], %s::text[], %s::integer[]);

-- name: undriven_summary
SELECT key, summary FROM runs WHERE id = %s::text AND nonce = %s::text AND status = %s::text AND driver IS NULL;

-- name: set_summary
UPDATE runs SET summary = %s::text
WHERE key = %s::bigint AND driver IS NULL AND summary IS NOT DISTINCT FROM %s::text RETURNING true;

-- name: after_starts
-- Returns once the calls of `create_run` have ended that may not have seen a mark: it holds nothing else meanwhile.
SELECT pg_advisory_xact_lock(tree_lock(r)) FROM runs AS r WHERE r.id = %(id)s::text;

-- name: stop_over
SELECT id, mark FROM stop_over(%s::text);

-- name: claim
SELECT key, fence, driven_by, until, rows, row_bytes, shot_bytes FROM claim(%s::text, %s::bigint, %s::text, %s::integer[]);

-- name: release
SELECT release_run(%s::text, %s::text, %s::integer, %s::text);

-- name: release_untold
SELECT release_run(r.driver, r.id, r.fence, %s::text) FROM runs AS r WHERE r.driver = %s::text AND r.token = ANY (%s::bigint[]);

-- name: retire
SELECT retire(%s::text, %s::text);

-- name: post
SELECT is_known, is_new FROM post(%s::bigint, %s::text, %s::text, %s::text, %s::text, %s::text, %s::integer);

-- name: post_alone
SELECT is_known, is_new
FROM post_alone(
    %s::bigint, %s::text, %s::text, %s::text, %s::text, %s::text, %s::integer, %s::text, %s::text, %s::text
);

-- name: post_to
SELECT is_known, is_new FROM post_to(%s::bigint, %s::text, %s::text, %s::text, %s::text, %s::text, %s::integer, %s::text);

-- name: tag
SELECT is_known, tags FROM tag_run(%s::text, %s::text[], %s::text[], %s::text[]);

-- name: remove
SELECT x.id, remove_run(%s::text, %s::bigint, x.id, x.nonce, x.status, x.seq, string_to_array(x.tags, chr(10)))
FROM unnest(%s::text[], %s::text[], %s::text[], %s::integer[], %s::text[]) AS x (id, nonce, status, seq, tags);

-- name: lock
SELECT count(*) FROM (SELECT 1 FROM runs AS r WHERE r.id = ANY (%s::text[]) ORDER BY r.id FOR NO KEY UPDATE) AS locked;

-- name: lock_to_trim
SELECT r.key FROM runs AS r WHERE r.id = %s::text FOR UPDATE;

-- name: trim_at
-- The newest snapshot before the last steps of a run, whose steps no branch needs and none of which began one.
SELECT r.parent_seq + 1, s.seq, t.at, starts_with(t.body, '{"kind":"removed"')
FROM runs AS r JOIN snapshots AS s ON s.run = r.key JOIN steps AS t ON t.run = s.run AND t.seq = s.seq
WHERE r.key = %s::bigint AND s.seq > r.parent_seq + 1 AND s.seq <= last_seq(r.key, r.parent_seq) - %s::bigint
    AND NOT EXISTS (SELECT FROM runs AS c WHERE c.parent = r.key)
    AND NOT EXISTS (SELECT FROM steps AS b WHERE b.run = r.key AND b.seq > r.parent_seq + 1 AND b.seq <= s.seq
                    AND starts_with(b.body, '{"kind":"branched"'))
ORDER BY s.seq DESC LIMIT 1;

-- name: trimmable
SELECT s.seq, s.at FROM steps AS s WHERE s.run = %s::bigint AND s.seq > %s::integer AND s.seq < %s::integer
    AND NOT is_removed(s.body) ORDER BY s.seq DESC LIMIT %s::integer;

-- name: replace_steps
SELECT replace_steps(%s::bigint, %s::integer[], %s::integer[], %s::text[], %s::integer);

-- name: keep_texts
SELECT keep_texts(%s::bytea[], %s::text[], %s::bigint[], %s::integer[], %s::integer[], %s::boolean[], %s::bytea[]);

-- name: sweep
SELECT sweep(%s::integer);

-- name: drop_graph_specs
SELECT drop_graph_specs(), drop_codes();

-- name: register
-- Without a lock at first: until it is taken, only the lease counts.
INSERT INTO owners (id, host, pid, lock, server, seen_at, expires_at)
VALUES (%s::text, %s::text, %s::integer, %s::bigint, NULL, epoch(), epoch() + %s::float8)
ON CONFLICT (id) DO UPDATE SET server = NULL, seen_at = epoch(), expires_at = excluded.expires_at;

-- name: lock_owner
SELECT pg_advisory_lock(%s::bigint);

-- name: locked
UPDATE owners SET server = pg_postmaster_start_time() WHERE id = %s::text;

-- name: renew
UPDATE owners SET seen_at = epoch(), expires_at = epoch() + %s::float8 WHERE id = %s::text;

-- name: dead
SELECT id FROM dead_drivers(%s::text);

-- name: former_lease
SELECT o.id, o.expires_at - epoch() FROM runs AS r LEFT JOIN owners AS o ON o.id = r.driver
WHERE r.id = %s::text;

-- name: forget_owners
-- Those that died long ago, unless runs still name them.
DELETE FROM owners AS o WHERE o.expires_at < epoch() - 3600 AND NOT EXISTS (SELECT FROM runs AS r WHERE r.driver = o.id);

-- name: facts
SELECT {run} FROM run_facts AS f WHERE id = %s;

-- name: facts_of
-- A join with a list of keys would read the last step of every run.
SELECT {run} FROM run_facts AS f WHERE key = ANY (%s::bigint[]);

-- name: log
SELECT kind, holder, seq, sum, place, body FROM read_log(%(id)s::text, %(upto)s::integer, %(after)s::integer, %(newest)s::integer);

-- name: moved
SELECT seen.id FROM unnest(%s::text[], %s::integer[]) AS seen (id, seq)
WHERE seen.seq IS DISTINCT FROM (SELECT last_seq(r.key, r.parent_seq) FROM runs AS r WHERE r.id = seen.id);

-- name: change_token
SELECT pg_current_snapshot()::text;

-- name: counts
SELECT c.graph, c.status, 0::float8, sum(c.runs)::bigint FROM run_counts AS c GROUP BY 1, 2 HAVING sum(c.runs) > 0;

-- name: graph_spec
SELECT body, sum FROM graph_specs WHERE fingerprint = %s;

-- name: code
SELECT body, sum FROM codes WHERE id = %s;

-- name: due
SELECT key FROM due(%s::text, %s::float8, %s::integer, %s::text[]) ORDER BY rank, since, key;

-- name: inbox
SELECT i.id, r.id, i.kind, i.payload, i.sum, r.id, i.key FROM runs AS r JOIN inbox AS i ON i.run = r.key
WHERE r.id = ANY (%s::text[]) AND i.payload IS NOT NULL ORDER BY i.id;

-- name: message_keys
SELECT i.key, CASE WHEN i.payload IS NULL THEN 0 ELSE i.id END FROM runs AS r JOIN inbox AS i ON i.run = r.key
WHERE r.id = %s::text ORDER BY i.id DESC LIMIT %s::bigint;

-- name: ended
SELECT r.id, r.graph, r.status, last_seq(r.key, r.parent_seq), r.created_at, coalesce(r.ended_at, r.created_at),
    (SELECT p.id FROM runs AS p WHERE p.key = r.parent), r.parent_seq, r.starter, r.depth, (
        (SELECT coalesce(sum(octet_length(s.body)), 0) FROM steps AS s WHERE s.run = r.key)
        + (SELECT coalesce(sum(octet_length(s.body)), 0) FROM snapshots AS s WHERE s.run = r.key)
        + (SELECT coalesce(sum(octet_length(i.payload)), 0) FROM inbox AS i WHERE i.run = r.key)
        + (SELECT coalesce(sum(octet_length(t.body)), 0) FROM texts AS t
           WHERE t.digest IN (SELECT u.digest FROM text_uses AS u WHERE u.run = r.key)
               AND NOT EXISTS (SELECT FROM text_uses AS u WHERE u.digest = t.digest AND u.run <> r.key))
    )::bigint,
    EXISTS (SELECT FROM runs AS c WHERE c.parent = r.key), ARRAY(SELECT t.tag FROM tags AS t WHERE t.run = r.key),
    (SELECT o.id FROM owners AS o WHERE o.id = r.driver AND (o.id = %(owner)s::text OR is_alive(o))), r.starter_nonce, r.nonce
FROM runs AS r WHERE r.status = %(status)s::text AND (%(graph)s::text IS NULL OR r.graph = %(graph)s::text)
    AND r.created_at <= %(created_at)s::float8 AND (r.created_at, r.id) < (%(created_at)s::float8, %(id)s::text)
ORDER BY r.created_at DESC, r.id DESC LIMIT %(limit)s;

-- name: has_trash
SELECT EXISTS (SELECT FROM trash);

-- name: bytes
SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint
FROM pg_class AS c WHERE c.relnamespace = %s::text::regnamespace AND c.relkind = 'r';

-- name: tables
SELECT count(*) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = %s;

-- name: own_tables
SELECT c.relname FROM pg_class AS c WHERE c.relnamespace = %s::text::regnamespace AND c.relkind = 'r' ORDER BY 1;

-- name: schema_exists
SELECT count(*) FROM pg_namespace WHERE nspname = %s;

-- name: format
SELECT format, oldest FROM meta;

-- name: count_runs
SELECT count(*) FROM runs;

-- name: ids_after
SELECT id FROM runs WHERE id > %s::text ORDER BY id LIMIT %s;

-- name: shots
SELECT s.seq FROM runs AS r JOIN snapshots AS s ON s.run = r.key WHERE r.id = %s ORDER BY s.seq;

-- name: was_created
-- The run that a repeated call created before, if another process has become its driver since.
SELECT r.key FROM runs AS r JOIN steps AS s ON s.run = r.key
WHERE r.id = %s::text AND r.created_at = %s::float8 AND r.fingerprint = %s::text AND r.fence > %s::integer
    AND s.seq = %s::integer AND s.at = %s::float8 AND s.sum = %s::integer;

-- name: lock_token
SELECT pg_advisory_xact_lock(%s::bigint);

-- name: take_again
-- What a call took whose answer was lost.
SELECT r.key FROM runs AS r WHERE r.driver = %(owner)s::text AND r.token = %(token)s::bigint ORDER BY r.key;

-- name: queues_with_work
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
LEFT JOIN queues AS l ON l.name = f.name
WHERE f.name IS NOT NULL AND (%(queues)s::text[] IS NULL OR f.name = ANY (%(queues)s::text[]));

-- name: lock_limits
-- Workers take from a queue with limits one after the other.
SELECT l.name, l.limits FROM queues AS l WHERE l.name = ANY (%s::text[]) ORDER BY l.name FOR UPDATE;

-- name: driven_of
-- Also the runs of dead owners that are about to be resumed.
SELECT r.queue, r.queue_key, count(*) FROM runs AS r
WHERE r.driver IS NOT NULL AND r.queue = ANY (%(names)s::text[]) AND (
    r.driver <> ALL (%(dead)s::text[])
    OR (r.status = 'running' OR r.wanted_at IS NOT NULL OR r.due_at <= %(now)s::float8)
        AND (%(graphs)s::text[] IS NULL OR r.graph = ANY (%(graphs)s::text[])) AND r.id <> ALL (%(refused)s::text[])
) GROUP BY 1, 2;

-- name: rates_of
SELECT queue, queue_key, until FROM rates WHERE queue = ANY (%s::text[]);

-- name: settings
SELECT name, setting FROM pg_settings WHERE name = ANY (%s::text[]) ORDER BY name;

-- name: sequences
-- Each sequence, the highest number in its rows, and whether this user may read it.
SELECT s.relation, s.name, s.highest, has_sequence_privilege(s.name, 'SELECT')
FROM (
    SELECT 'runs' AS relation, pg_get_serial_sequence('runs', 'key') AS name,
        greatest((SELECT max(key) FROM runs), (SELECT max(key) FROM trash)) AS highest
    UNION ALL
    SELECT 'inbox', pg_get_serial_sequence('inbox', 'id'), (SELECT max(id) FROM inbox)
) AS s;

-- name: move_sequence
SELECT setval(%s::text::regclass, %s::bigint);

-- name: orphans_of
SELECT r.key FROM runs AS r
WHERE r.driver = ANY (%(dead)s::text[])
    AND (r.status = 'running' OR r.wanted_at IS NOT NULL OR r.due_at <= %(now)s::float8)
    AND (%(graphs)s::text[] IS NULL OR r.graph = ANY (%(graphs)s::text[]))
    AND (%(queues)s::text[] IS NULL OR r.queue = ANY (%(queues)s::text[])) AND r.id <> ALL (%(aside)s::text[])
    AND r.queue_key <> ALL (%(paused)s::text[])
    AND NOT EXISTS (SELECT FROM queues AS q WHERE q.name = r.queue AND (q.limits::json ->> 'paused')::boolean)
ORDER BY r.key LIMIT %(limit)s::integer;

-- name: candidates
SELECT key, queue, queue_key, priority, is_queued, place FROM queue_heads(
    %(names)s::text[], %(now)s::float8, %(limit)s::integer, %(graphs)s::text[], %(aside)s::text[], %(blocked)s::text[], %(by_tenant)s::boolean
);

-- name: candidates_by_tenant
-- The first queued runs of each tenant of one queue.
WITH RECURSIVE keys (key) AS (
    SELECT min(r.queue_key) FROM runs AS r WHERE r.fence = 0 AND r.queue = %(queue)s::text
    UNION ALL
    SELECT (SELECT min(r.queue_key) FROM runs AS r WHERE r.fence = 0 AND r.queue = %(queue)s::text AND r.queue_key > k.key)
    FROM keys AS k WHERE k.key IS NOT NULL
)
SELECT c.* FROM keys AS k, LATERAL (
    SELECT r.key, r.queue, r.queue_key, r.priority, true, r.turn::float8 FROM runs AS r
    WHERE r.queue = %(queue)s::text AND r.queue_key = k.key AND r.fence = 0 AND r.driver IS NULL
        AND CASE WHEN %(graphs)s::text[] IS NULL THEN true ELSE r.graph = ANY (%(graphs)s::text[]) END
        AND r.id <> ALL (%(aside)s::text[])
    ORDER BY r.priority DESC, r.turn, r.key LIMIT CASE k.key WHEN '' THEN %(limit)s::integer ELSE %(each)s::integer END
) AS c
WHERE k.key IS NOT NULL AND k.key <> ALL (%(blocked)s::text[])
ORDER BY c.priority DESC, c.turn LIMIT %(limit)s::integer;

-- name: take
-- The rows can have changed since they were found, if they were not locked then.
UPDATE runs AS r SET driver = %(owner)s::text, fence = r.fence + 1, token = %(token)s::bigint,
    wanted_at = CASE r.status WHEN 'waiting' THEN r.wanted_at END
FROM (
    SELECT x.key FROM runs AS x WHERE x.key = ANY (%(keys)s::bigint[]) AND x.driver IS NULL
        AND (x.wanted_at IS NOT NULL OR x.due_at <= %(now)s::float8) FOR NO KEY UPDATE SKIP LOCKED
) AS free
WHERE r.key = free.key RETURNING r.key;

-- name: keep_rate
INSERT INTO rates (queue, queue_key, until) VALUES (%s::text, %s::text, %s::float8)
ON CONFLICT (queue, queue_key) DO UPDATE SET until = excluded.until;

-- name: drop_rates
DELETE FROM rates WHERE queue = ANY (%s::text[]) AND until <= %s::float8;

-- name: tails
SELECT r.key, r.id, r.fence, t.rows, t.row_bytes, t.shot_bytes
FROM runs AS r, LATERAL tail(r.key, last_seq(r.key, r.parent_seq)) AS t WHERE r.key = ANY (%s::bigint[]);

-- name: logs
SELECT x.id, l.kind, l.holder, l.seq, l.sum, l.place, l.body
FROM unnest(%(ids)s::text[]) AS x (id), LATERAL read_log(x.id, %(top)s::integer, 0, %(top)s::integer) AS l;

-- name: owners
SELECT o.id, o.host, o.pid, o.role, (SELECT count(*) FROM runs AS r WHERE r.driver = o.id),
       ARRAY(SELECT r.id FROM runs AS r WHERE r.driver = o.id ORDER BY r.id LIMIT 100)
FROM owners AS o WHERE o.id = %s::text OR is_alive(o);
