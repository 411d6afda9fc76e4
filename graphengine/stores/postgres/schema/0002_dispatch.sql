-- Queues, summaries, and schedules. No function or view of the previous format changes, so that its processes continue.
--
-- `runs.queue`, `runs.priority`, `runs.queue_key` ('' if none): from which queue workers take the run, how urgent it is,
-- and for whom it is, such as a tenant.
-- `runs.turn`: the place of a run in its queue, so that keys take turns. A run is queued, and has never been driven,
-- while its fence is 0.
-- `runs.summary`: JSON, written with each change of status: why the run ended or what it waits for, and its costs. NULL
-- before its first change, and if a process of the previous format wrote it.
-- `owners.role`: JSON of what a worker takes; '' for an owner that is no worker.

ALTER TABLE runs ADD COLUMN queue text COLLATE "C" NOT NULL DEFAULT 'default';
ALTER TABLE runs ADD COLUMN priority integer NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN queue_key text COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN turn integer NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN summary text;
ALTER TABLE owners ADD COLUMN role text NOT NULL DEFAULT '';

CREATE TABLE queues (                  -- the limits of queues
    name   text COLLATE "C" PRIMARY KEY,
    limits text NOT NULL               -- JSON
);

CREATE TABLE rates (                   -- how much of a limit on rates is used up
    queue     text COLLATE "C" NOT NULL,
    queue_key text COLLATE "C" NOT NULL,   -- '' for the whole queue
    until     double precision NOT NULL,   -- epoch seconds: when nothing of it is used up any more
    PRIMARY KEY (queue, queue_key)
);

CREATE TABLE schedules (               -- runs that are started at given times
    name    text COLLATE "C" PRIMARY KEY,
    body    text NOT NULL,             -- JSON: the times, the graph and its input
    next_at double precision NOT NULL  -- its next time, epoch seconds
);

CREATE INDEX runs_queued ON runs (queue, priority DESC, turn, key) WHERE fence = 0;
CREATE INDEX runs_queued_by_key ON runs (queue, queue_key, priority DESC, turn, key) WHERE fence = 0;
CREATE INDEX runs_to_resume ON runs (queue, wanted_at) WHERE wanted_at IS NOT NULL AND fence > 0;
CREATE INDEX runs_to_wake ON runs (queue, due_at) WHERE due_at IS NOT NULL;

CREATE VIEW run_rows AS                -- as `run_facts`, with the columns that it has not
SELECT r.key, r.id, r.graph, r.fingerprint, r.status, coalesce(last.seq, r.parent_seq) AS seq, r.created_at,
       coalesce(last.at, r.created_at) AS updated_at,
       (SELECT p.id FROM runs AS p WHERE p.key = r.parent) AS parent, r.parent_seq,
       r.driver, r.fence, r.due_at,
       (SELECT array_agg(t.tag) FROM tags AS t WHERE t.run = r.key) AS tags,
       coalesce((SELECT is_alive(o) FROM owners AS o WHERE o.id = r.driver), false) AS is_driven,
       r.queue, r.priority, r.queue_key, r.summary
FROM runs AS r
LEFT JOIN LATERAL (SELECT s.seq, s.at FROM steps AS s WHERE s.run = r.key ORDER BY s.seq DESC LIMIT 1) AS last ON true;

-- As `append`, with the summaries of the runs whose status changes.
CREATE FUNCTION append_and_sum(
    p_owner text, p_runs bigint[], p_fences integer[], p_firsts integer[], p_statuses text[], p_dues float8[],
    p_row_runs bigint[], p_row_seqs integer[], p_row_ats float8[], p_row_sums integer[], p_row_bodies text[],
    p_consume_runs bigint[], p_consume_ids bigint[],
    p_shot_runs bigint[], p_shot_seqs integer[], p_shot_sums integer[], p_shot_bodies text[],
    p_print_runs bigint[], p_prints text[], p_outlines text[], p_outline_sums integer[],
    p_digests bytea[], p_texts text[],
    p_use_runs bigint[], p_use_seqs integer[], p_use_places integer[], p_use_shots boolean[], p_uses bytea[],
    p_summary_runs bigint[], p_summaries text[]
) RETURNS TABLE (run bigint, fence integer, driver text, status text, last integer) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    refused bigint[] := '{}';
BEGIN
    FOR run, fence, driver, status, last IN SELECT * FROM append(
        p_owner, p_runs, p_fences, p_firsts, p_statuses, p_dues,
        p_row_runs, p_row_seqs, p_row_ats, p_row_sums, p_row_bodies, p_consume_runs, p_consume_ids,
        p_shot_runs, p_shot_seqs, p_shot_sums, p_shot_bodies, p_print_runs, p_prints, p_outlines, p_outline_sums,
        p_digests, p_texts, p_use_runs, p_use_seqs, p_use_places, p_use_shots, p_uses
    ) LOOP
        refused := refused || run;
        RETURN NEXT;
    END LOOP;
    UPDATE runs AS r SET summary = s.summary FROM unnest(p_summary_runs, p_summaries) AS s (run, summary)
    WHERE r.key = s.run AND s.run <> ALL (refused);
END $$;

-- As `append_one`, with the summary of a run whose status changes.
CREATE FUNCTION append_last(
    p_owner text, p_run bigint, p_fence integer, p_seq integer, p_at float8, p_sum integer, p_body text,
    p_status text, p_due float8, p_summary text
) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF NOT append_one(p_owner, p_run, p_fence, p_seq, p_at, p_sum, p_body, p_status, p_due) THEN
        RETURN false;
    END IF;
    UPDATE runs AS r SET summary = p_summary WHERE r.key = p_run;
    RETURN true;
END $$;

-- The turn of a new run in its queue: one after the last of its key, but not before those whose turn it is now.
CREATE FUNCTION next_turn(p_queue text, p_priority integer, p_queue_key text) RETURNS integer LANGUAGE sql STABLE
SET enable_sort = off SET enable_bitmapscan = off AS $$
    SELECT greatest(
        coalesce((SELECT r.turn FROM runs AS r WHERE r.fence = 0 AND r.queue = p_queue AND r.priority = p_priority
                  ORDER BY r.turn LIMIT 1), 0),
        coalesce((SELECT 1 + r.turn FROM runs AS r WHERE r.fence = 0 AND r.queue = p_queue AND r.queue_key = p_queue_key
                  AND r.priority = p_priority ORDER BY r.turn DESC LIMIT 1), 0)
    )
$$;

-- As `create_run`, with the columns of this format. A queued run has no driver, and is announced on the channel.
CREATE FUNCTION create_in_queue(
    p_owner text, p_token bigint, p_id text, p_graph text, p_print text, p_outline text, p_outline_sum integer,
    p_status text, p_created float8, p_due float8, p_parent text, p_parent_seq integer, p_tags text[],
    p_seqs integer[], p_ats float8[], p_sums integer[], p_bodies text[],
    p_digests bytea[], p_texts text[], p_use_seqs integer[], p_use_places integer[], p_uses bytea[],
    p_queue text, p_priority integer, p_queue_key text, p_summary text, p_is_queued boolean, p_channel text,
    OUT outcome text, OUT key bigint, OUT fence integer, OUT rows bigint, OUT row_bytes bigint, OUT shot_bytes bigint
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    SELECT c.* INTO outcome, key, fence, rows, row_bytes, shot_bytes FROM create_run(
        p_owner, p_token, p_id, p_graph, p_print, p_outline, p_outline_sum, p_status, p_created, p_due, p_parent,
        p_parent_seq, p_tags, p_seqs, p_ats, p_sums, p_bodies, p_digests, p_texts, p_use_seqs, p_use_places, p_uses
    ) AS c;
    IF outcome <> 'made' THEN
        RETURN;
    END IF;
    IF NOT p_is_queued THEN
        UPDATE runs AS r SET queue = p_queue, priority = p_priority, queue_key = p_queue_key, summary = p_summary
        WHERE r.key = create_in_queue.key;
        RETURN;
    END IF;
    -- Not if the call is repeated: a worker can have taken the run since.
    UPDATE runs AS r SET queue = p_queue, priority = p_priority, queue_key = p_queue_key, summary = p_summary,
        turn = next_turn(p_queue, p_priority, p_queue_key), driver = NULL, fence = 0, wanted_at = p_created
    WHERE r.key = create_in_queue.key AND r.token = p_token AND r.driver = p_owner AND r.fence = 1;
    fence := 0;
    PERFORM pg_notify(p_channel, 'due');
END $$;

-- The first runs of each queue that no process drives: those that messages or releases made due, those whose time has
-- come, and queued ones unless these are read by key. Rows that another call has locked are left to it.
--
-- No plan but reading the indexes from their beginning is fast when many runs are queued, so others are made dear, and
-- `CASE` keeps the index of graphs out.
CREATE FUNCTION queue_heads(
    p_names text[], p_now float8, p_limit integer, p_graphs text[], p_aside text[], p_blocked text[], p_by_key boolean
) RETURNS TABLE (key bigint, queue text, queue_key text, priority integer, is_queued boolean, place float8)
LANGUAGE plpgsql SET enable_sort = off SET enable_bitmapscan = off SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY p_names LOOP
        RETURN QUERY
        SELECT r.key, r.queue, r.queue_key, r.priority, false, r.wanted_at FROM runs AS r
        WHERE r.queue = name AND r.wanted_at IS NOT NULL AND r.fence > 0 AND r.driver IS NULL
            AND CASE WHEN p_graphs IS NULL THEN true ELSE r.graph = ANY (p_graphs) END
            AND r.id <> ALL (p_aside) AND r.queue_key <> ALL (p_blocked)
        ORDER BY r.wanted_at LIMIT p_limit FOR NO KEY UPDATE SKIP LOCKED;
        RETURN QUERY
        SELECT r.key, r.queue, r.queue_key, r.priority, false, r.due_at FROM runs AS r
        WHERE r.queue = name AND r.due_at <= p_now AND r.wanted_at IS NULL AND r.driver IS NULL
            AND CASE WHEN p_graphs IS NULL THEN true ELSE r.graph = ANY (p_graphs) END
            AND r.id <> ALL (p_aside) AND r.queue_key <> ALL (p_blocked)
        ORDER BY r.due_at LIMIT p_limit FOR NO KEY UPDATE SKIP LOCKED;
        IF NOT p_by_key THEN
            RETURN QUERY
            SELECT r.key, r.queue, r.queue_key, r.priority, true, r.turn::float8 FROM runs AS r
            WHERE r.queue = name AND r.fence = 0 AND r.driver IS NULL
                AND CASE WHEN p_graphs IS NULL THEN true ELSE r.graph = ANY (p_graphs) END AND r.id <> ALL (p_aside)
            ORDER BY r.priority DESC, r.turn, r.key LIMIT p_limit FOR NO KEY UPDATE SKIP LOCKED;
        END IF;
    END LOOP;
END $$;
