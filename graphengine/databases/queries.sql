-- The statements by name that both databases share; `statements.Dialect` says how they are completed.

-- name: ids
-- `:end` is the prefix followed by the last character: no text sorts between it and the texts that begin with the prefix.
SELECT id FROM runs WHERE id >= :prefix AND id < :end ORDER BY id LIMIT :limit;

-- name: infos
SELECT {run} FROM run_facts AS f WHERE f.id {among :ids};

-- name: started
SELECT {run} FROM run_facts AS f WHERE f.starter {among :ids} AND f.root IS NOT NULL
    AND f.starter_nonce = coalesce((SELECT s.nonce FROM runs AS s WHERE s.id = f.starter), f.starter_nonce);

-- name: branches
SELECT {run} FROM (
    SELECT c.key FROM runs AS p CROSS JOIN runs AS c WHERE p.id {among :ids} AND c.parent = p.key
) AS page {facts};

-- name: mark_stop
UPDATE runs SET stop_asked = :mark WHERE id = :id AND stop_asked <> 'cancel';

-- name: set_limits
INSERT INTO queues (name, limits) VALUES (:name, :limits) ON CONFLICT (name) DO UPDATE SET limits = excluded.limits;

-- name: drop_limits
DELETE FROM queues WHERE name = :name;

-- name: limits
SELECT name, limits FROM queues;

-- name: queue_counts
SELECT c.queue, CAST(sum(c.queued) AS bigint), CAST(sum(c.driven) AS bigint) FROM (
    SELECT r.queue, count(*) AS queued, 0 AS driven FROM runs AS r WHERE r.fence = 0 GROUP BY 1
    UNION ALL
    SELECT r.queue, 0, count(*) FROM runs AS r WHERE r.driver IS NOT NULL GROUP BY 1
) AS c GROUP BY 1 ORDER BY 1;

-- name: set_role
UPDATE owners SET role = :role WHERE id = :owner;

-- name: keep_schedule
INSERT INTO schedules (name, body, next_at) VALUES (:name, :body, :next_at)
ON CONFLICT (name) DO UPDATE SET body = excluded.body, next_at = excluded.next_at;

-- name: drop_schedule
DELETE FROM schedules WHERE name = :name;

-- name: schedules
SELECT name, body, next_at FROM schedules ORDER BY name;

-- name: move_schedule
UPDATE schedules SET next_at = :next_at WHERE name = :name AND next_at = :seen;
