-- Runs that were driven before are found by their priority too, as those of a queue that were not. No table changes, so
-- that versions of format 3 can go on beside this one.
DROP INDEX runs_to_resume;
DROP INDEX runs_to_wake;
CREATE INDEX runs_to_resume ON runs (queue, priority DESC, wanted_at) WHERE wanted_at IS NOT NULL AND fence > 0;
CREATE INDEX runs_to_wake ON runs (queue, priority DESC, due_at) WHERE due_at IS NOT NULL;

-- As before, but for priorities: the runs whose time has come are looked for under one after the other. A run whose time
-- came before its message is one of these.
CREATE OR REPLACE FUNCTION queue_heads(
    p_names text[], p_now float8, p_limit integer, p_graphs text[], p_aside text[], p_blocked text[], p_by_key boolean
) RETURNS TABLE (key bigint, queue text, queue_key text, priority integer, is_queued boolean, place float8)
LANGUAGE plpgsql SET enable_sort = off SET enable_bitmapscan = off SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
    name text;
    current integer;
    left_over integer;
    found_now integer;
BEGIN
    FOREACH name IN ARRAY p_names LOOP
        RETURN QUERY
        SELECT r.key, r.queue, r.queue_key, r.priority, false, r.wanted_at FROM runs AS r
        WHERE r.queue = name AND r.wanted_at IS NOT NULL AND r.fence > 0 AND r.driver IS NULL
            AND (r.due_at IS NULL OR r.due_at >= r.wanted_at OR r.due_at > p_now)
            AND CASE WHEN p_graphs IS NULL THEN true ELSE r.graph = ANY (p_graphs) END
            AND r.id <> ALL (p_aside) AND r.queue_key <> ALL (p_blocked)
        ORDER BY r.priority DESC, r.wanted_at LIMIT p_limit FOR NO KEY UPDATE SKIP LOCKED;
        left_over := p_limit;
        SELECT max(r.priority) INTO current FROM runs AS r WHERE r.queue = name AND r.due_at IS NOT NULL;
        WHILE current IS NOT NULL AND left_over > 0 LOOP
            RETURN QUERY
            SELECT r.key, r.queue, r.queue_key, r.priority, false, r.due_at FROM runs AS r
            WHERE r.queue = name AND r.priority = current AND r.due_at <= p_now AND r.driver IS NULL
                AND (r.wanted_at IS NULL OR (r.due_at < r.wanted_at AND r.fence > 0))
                AND CASE WHEN p_graphs IS NULL THEN true ELSE r.graph = ANY (p_graphs) END
                AND r.id <> ALL (p_aside) AND r.queue_key <> ALL (p_blocked)
            ORDER BY r.due_at LIMIT left_over FOR NO KEY UPDATE SKIP LOCKED;
            GET DIAGNOSTICS found_now = ROW_COUNT;
            left_over := left_over - found_now;
            SELECT max(r.priority) INTO current FROM runs AS r
            WHERE r.queue = name AND r.due_at IS NOT NULL AND r.priority < current;
        END LOOP;
        IF NOT p_by_key THEN
            RETURN QUERY
            SELECT r.key, r.queue, r.queue_key, r.priority, true, r.turn::float8 FROM runs AS r
            WHERE r.queue = name AND r.fence = 0 AND r.driver IS NULL
                AND CASE WHEN p_graphs IS NULL THEN true ELSE r.graph = ANY (p_graphs) END AND r.id <> ALL (p_aside)
            ORDER BY r.priority DESC, r.turn, r.key LIMIT p_limit FOR NO KEY UPDATE SKIP LOCKED;
        END IF;
    END LOOP;
END $$;
