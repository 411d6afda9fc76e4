-- The statements of the store by name; `queries.py` reads them. What they call is in `schema/`.

-- name: append
SELECT run, fence, driver, last, status FROM append(
    %b, %b, %b, %b, %b, %b,  %b, %b, %b, %b, %b,  %b, %b,  %b, %b, %b, %b,  %b, %b, %b, %b,  %b, %b,  %b, %b, %b, %b, %b
);

-- name: append_and_sum
SELECT run, fence, driver, last, status FROM append_and_sum(
    %b, %b, %b, %b, %b, %b,  %b, %b, %b, %b, %b,  %b, %b,  %b, %b, %b, %b,  %b, %b, %b, %b,  %b, %b,  %b, %b, %b, %b, %b,
    %b, %b
);

-- name: append_last
SELECT append_last(
    %s::text, %s::bigint, %s::integer, %s::integer, %s::float8, %s::integer, %s::text, %s::text, %s::float8, %s::text
);

-- name: append_one
SELECT append_one(%s::text, %s::bigint, %s::integer, %s::integer, %s::float8, %s::integer, %s::text, %s::text, %s::float8);

-- name: written
-- How many of these steps are recorded exactly so.
SELECT count(*) FROM unnest(%b::integer[], %b::float8[], %b::integer[]) AS x (seq, at, sum)
JOIN steps AS s ON s.run = %s::bigint AND s.seq = x.seq AND s.at = x.at AND s.sum = x.sum;

-- name: create
SELECT outcome, key, fence, rows, row_bytes, shot_bytes FROM create_run(
    %s::text, %s::bigint, %s::text, %s::text, %s::text, %s::text, %s::integer,
    %s::text, %s::float8, %s::float8, %s::text, %s::integer, %b,
    %b, %b, %b, %b,  %b, %b, %b, %b, %b
);

-- name: create_in_queue
SELECT outcome, key, fence, rows, row_bytes, shot_bytes FROM create_in_queue(
    %s::text, %s::bigint, %s::text, %s::text, %s::text, %s::text, %s::integer,
    %s::text, %s::float8, %s::float8, %s::text, %s::integer, %b,
    %b, %b, %b, %b,  %b, %b, %b, %b, %b,
    %s::text, %s::integer, %s::text, %s::text, %s::boolean, %s::text
);

-- name: claim
SELECT key, fence, driven_by, until, rows, row_bytes, shot_bytes FROM claim(%s::text, %s::bigint, %s::text, %b);

-- name: release
SELECT release_run(%s::text, %s::text, %s::integer, %s::text);

-- name: retire
SELECT retire(%s::text, %s::text);

-- name: post
SELECT is_known, is_new FROM post(%s::bigint, %s::text, %s::text, %s::text, %s::text, %s::text, %s::integer);

-- name: tag
SELECT is_known, tags FROM tag_run(%s::text, %b, %b);

-- name: remove
SELECT remove_run(%s::text, %s::bigint, %s::text, %s::text, %s::integer, %b);

-- name: lock
SELECT count(*) FROM (SELECT 1 FROM runs AS r WHERE r.id = ANY (%b) ORDER BY r.id FOR NO KEY UPDATE) AS locked;

-- name: sweep
SELECT sweep(%s::integer);

-- name: drop_outlines
SELECT drop_outlines();

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

-- name: forget_owners
-- Those that died long ago, unless runs still name them.
DELETE FROM owners AS o WHERE o.expires_at < epoch() - 3600 AND NOT EXISTS (SELECT FROM runs AS r WHERE r.driver = o.id);

-- name: facts
SELECT * FROM run_rows WHERE id = %s;

-- name: facts_of
SELECT f.* FROM unnest(%b::bigint[]) WITH ORDINALITY AS k (key, place) JOIN run_rows AS f ON f.key = k.key ORDER BY k.place;

-- name: seqs
SELECT r.id, last_seq(r.key, r.parent_seq) FROM runs AS r WHERE r.id = ANY (%b);

-- name: ids
-- No text sorts between those that begin with the prefix and the prefix followed by the last character.
SELECT id FROM runs WHERE id >= %(prefix)s::text AND id < %(prefix)s::text || chr(1114111) ORDER BY id LIMIT %(limit)s;

-- name: log
-- Also what the facts of the log do not have (kind q), as JSON.
SELECT kind, holder, seq, sum, place, body FROM read_log(%(id)s::text, %(upto)s::integer, %(after)s::integer, %(newest)s::integer)
UNION ALL
SELECT 'q', r.id, 0, 0, 0, json_build_array(r.queue, r.priority, r.queue_key, r.summary)::text FROM runs AS r WHERE r.id = %(id)s::text;

-- name: infos
SELECT * FROM run_rows WHERE id = ANY (%b);

-- name: pulse
SELECT pg_current_snapshot()::text;

-- name: counts
SELECT r.graph, r.status, coalesce(floor(r.created_at / %(every)s::float8) * %(every)s::float8, 0) AS since, count(*)
FROM runs AS r
WHERE (%(text)s::text IS NULL OR strpos(r.id, %(text)s::text) > 0)
    AND (%(tag)s::text IS NULL OR EXISTS (SELECT FROM tags AS t WHERE t.run = r.key AND t.tag = %(tag)s::text))
GROUP BY 1, 2, 3;

-- name: branches
SELECT f.* FROM run_rows AS f
WHERE f.key IN (SELECT c.key FROM runs AS p JOIN runs AS c ON c.parent = p.key WHERE p.id = ANY (%b)) ORDER BY f.key;

-- name: outline
SELECT body, sum FROM outlines WHERE fingerprint = %s;

-- name: due
SELECT key FROM due(%s::text, %s::float8, %s::integer, %b::text[]) ORDER BY rank, since, key;

-- name: inbox
SELECT i.id, r.id, i.kind, i.payload, i.sum, i.key FROM runs AS r JOIN inbox AS i ON i.run = r.key
WHERE r.id = ANY (%b) AND i.payload IS NOT NULL ORDER BY i.id;

-- name: weigh
SELECT r.id, (
    (SELECT coalesce(sum(octet_length(s.body)), 0) FROM steps AS s WHERE s.run = r.key)
    + (SELECT coalesce(sum(octet_length(s.body)), 0) FROM snapshots AS s WHERE s.run = r.key)
    + (SELECT coalesce(sum(octet_length(i.payload)), 0) FROM inbox AS i WHERE i.run = r.key)
    + (SELECT coalesce(sum(octet_length(t.body)), 0) FROM texts AS t
       WHERE t.digest IN (SELECT u.digest FROM text_uses AS u WHERE u.run = r.key)
           AND NOT EXISTS (SELECT FROM text_uses AS u WHERE u.digest = t.digest AND u.run <> r.key))
)::bigint
FROM runs AS r WHERE r.id = ANY (%b);

-- name: has_trash
SELECT EXISTS (SELECT FROM trash);

-- name: bytes
SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint
FROM pg_class AS c WHERE c.relnamespace = %s::text::regnamespace AND c.relkind = 'r';

-- name: tables
SELECT count(*) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = %s;

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
