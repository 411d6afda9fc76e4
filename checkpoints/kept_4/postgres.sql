SET check_function_bodies = false;
SELECT pg_catalog.set_config('search_path', '', false);
CREATE SCHEMA kept_4;
CREATE FUNCTION kept_4.append(p_owner text, p_runs bigint[], p_fences integer[], p_firsts integer[], p_statuses text[], p_dues double precision[], p_summaries text[], p_costs double precision[], p_words text[], p_row_runs bigint[], p_row_seqs integer[], p_row_ats double precision[], p_row_sums integer[], p_row_bodies text[], p_consume_runs bigint[], p_consume_ids bigint[], p_shot_runs bigint[], p_shot_seqs integer[], p_shot_sums integer[], p_shot_bodies text[], p_print_runs bigint[], p_prints text[], p_specs text[], p_spec_sums integer[], p_digests bytea[], p_texts text[], p_use_runs bigint[], p_use_seqs integer[], p_use_places integer[], p_use_shots boolean[], p_uses bytea[]) RETURNS TABLE(run bigint, fence integer, driver text, status text, last integer)
    LANGUAGE plpgsql
    AS $$
#variable_conflict use_column
DECLARE
    good bigint[];
    is_all boolean;
BEGIN
    PERFORM 1 FROM runs AS r WHERE r.key = ANY (p_runs) ORDER BY r.id FOR NO KEY UPDATE;
    SELECT array_agg(b.run) INTO good
    FROM unnest(p_runs, p_fences, p_firsts) AS b (run, fence, first)
    JOIN runs AS r ON r.key = b.run AND r.fence = b.fence AND r.driver = p_owner
    WHERE b.first IS NULL OR b.first = 1 + last_seq(b.run, r.parent_seq);
    is_all := good IS NOT NULL AND cardinality(good) = cardinality(p_runs);
    IF NOT is_all THEN
        good := coalesce(good, '{}');
        RETURN QUERY
        SELECT b.run, r.fence, r.driver, r.status, last_seq(b.run, r.parent_seq)
        FROM unnest(p_runs) AS b (run) LEFT JOIN runs AS r ON r.key = b.run WHERE b.run <> ALL (good);
    END IF;
    IF is_all THEN
        INSERT INTO steps (run, seq, at, sum, body)
        SELECT * FROM unnest(p_row_runs, p_row_seqs, p_row_ats, p_row_sums, p_row_bodies);
    ELSE
        INSERT INTO steps (run, seq, at, sum, body)
        SELECT * FROM unnest(p_row_runs, p_row_seqs, p_row_ats, p_row_sums, p_row_bodies) AS x (run, seq, at, sum, body)
        WHERE x.run = ANY (good);
    END IF;
    IF cardinality(p_consume_runs) > 0 THEN
        UPDATE inbox AS i SET payload = NULL FROM unnest(p_consume_runs, p_consume_ids) AS c (run, id)
        WHERE i.id = c.id AND i.run = c.run AND c.run = ANY (good);
    END IF;
    IF cardinality(p_shot_runs) > 0 THEN
        INSERT INTO snapshots (run, seq, sum, body)
        SELECT * FROM unnest(p_shot_runs, p_shot_seqs, p_shot_sums, p_shot_bodies) AS x (run, seq, sum, body)
        WHERE x.run = ANY (good);
    END IF;
    IF cardinality(p_print_runs) > 0 THEN
        INSERT INTO earlier_graph_specs (run, fingerprint)
        SELECT r.key, r.fingerprint FROM unnest(p_print_runs, p_prints) AS c (run, print) JOIN runs AS r ON r.key = c.run
        WHERE r.fingerprint <> c.print AND c.run = ANY (good) ON CONFLICT DO NOTHING;
        UPDATE runs AS r SET fingerprint = c.print FROM unnest(p_print_runs, p_prints) AS c (run, print)
        WHERE r.key = c.run AND c.run = ANY (good);
        INSERT INTO graph_specs (fingerprint, body, sum)
        SELECT DISTINCT ON (c.print) c.print, c.body, c.sum
        FROM unnest(p_prints, p_specs, p_spec_sums) AS c (print, body, sum)
        WHERE c.body IS NOT NULL ORDER BY c.print ON CONFLICT DO NOTHING;
    END IF;
    IF cardinality(p_uses) > 0 THEN
        PERFORM keep_texts(p_digests, p_texts, array_agg(u.run), array_agg(u.seq), array_agg(u.place),
                           array_agg(u.shot), array_agg(u.digest))
        FROM unnest(p_use_runs, p_use_seqs, p_use_places, p_use_shots, p_uses) AS u (run, seq, place, shot, digest)
        WHERE u.run = ANY (good);
    END IF;
    UPDATE run_words AS w SET ended = as_words(b.words) FROM unnest(p_runs, p_words) AS b (run, words)
    WHERE w.run = b.run AND w.ended <> as_words(b.words) AND b.run = ANY (good);
    -- Few batches change more than the log.
    INSERT INTO run_counts (graph, status, runs)
    SELECT r.graph, c.status, sum(c.runs)
    FROM unnest(p_runs, p_statuses) AS b (run, status) JOIN runs AS r ON r.key = b.run AND r.status <> b.status,
         LATERAL (VALUES (r.status, -1), (b.status, 1)) AS c (status, runs)
    WHERE b.run = ANY (good) GROUP BY 1, 2;
    UPDATE runs AS r SET
        status = b.status,
        driver = CASE b.status WHEN 'running' THEN r.driver END,
        due_at = CASE b.status WHEN 'waiting' THEN b.due END,
        wanted_at = CASE b.status WHEN 'waiting' THEN wanted_since(r.key) END,
        ended_at = ended_at(r.key, b.status),
        summary = coalesce(b.summary, r.summary),
        cost_usd = CASE WHEN b.summary IS NULL THEN r.cost_usd ELSE b.cost_usd END
    FROM unnest(p_runs, p_statuses, p_dues, p_summaries, p_costs) AS b (run, status, due, summary, cost_usd)
    WHERE r.key = b.run AND (b.status <> 'running' OR r.status <> 'running' OR b.summary IS NOT NULL)
        AND b.run = ANY (good);
END $$;
CREATE FUNCTION kept_4.append_last(p_owner text, p_run bigint, p_fence integer, p_seq integer, p_at double precision, p_sum integer, p_body text, p_status text, p_due double precision, p_summary text, p_cost double precision, p_words text) RETURNS boolean
    LANGUAGE plpgsql
    AS $$
DECLARE
    was record;
BEGIN
    SELECT r.parent_seq, r.graph, r.status INTO was FROM runs AS r
    WHERE r.key = p_run AND r.fence = p_fence AND r.driver = p_owner FOR NO KEY UPDATE;
    IF NOT FOUND OR p_seq <> 1 + coalesce(
        (SELECT s.seq FROM steps AS s WHERE s.run = p_run ORDER BY s.seq DESC LIMIT 1), was.parent_seq
    ) THEN
        RETURN false;
    END IF;
    IF was.status <> p_status THEN
        INSERT INTO run_counts (graph, status, runs) VALUES (was.graph, was.status, -1), (was.graph, p_status, 1);
    END IF;
    INSERT INTO steps (run, seq, at, sum, body) VALUES (p_run, p_seq, p_at, p_sum, p_body);
    UPDATE runs AS r SET
        summary = p_summary,
        cost_usd = p_cost,
        ended_at = CASE WHEN p_status NOT IN ('running', 'waiting') THEN p_at END,
        status = p_status,
        driver = CASE p_status WHEN 'running' THEN r.driver END,
        due_at = CASE p_status WHEN 'waiting' THEN p_due END,
        wanted_at = CASE p_status WHEN 'waiting' THEN wanted_since(r.key) END
    WHERE r.key = p_run;
    UPDATE run_words AS w SET ended = as_words(p_words) WHERE w.run = p_run AND w.ended <> as_words(p_words);
    RETURN true;
END $$;
CREATE FUNCTION kept_4.append_under_codes(p_owner text, p_runs bigint[], p_fences integer[], p_firsts integer[], p_statuses text[], p_dues double precision[], p_summaries text[], p_costs double precision[], p_words text[], p_row_runs bigint[], p_row_seqs integer[], p_row_ats double precision[], p_row_sums integer[], p_row_bodies text[], p_consume_runs bigint[], p_consume_ids bigint[], p_shot_runs bigint[], p_shot_seqs integer[], p_shot_sums integer[], p_shot_bodies text[], p_print_runs bigint[], p_prints text[], p_specs text[], p_spec_sums integer[], p_digests bytea[], p_texts text[], p_use_runs bigint[], p_use_seqs integer[], p_use_places integer[], p_use_shots boolean[], p_uses bytea[], p_code_runs bigint[], p_codes text[], p_code_bodies text[], p_code_sums integer[]) RETURNS TABLE(run bigint, fence integer, driver text, status text, last integer)
    LANGUAGE plpgsql
    AS $$
#variable_conflict use_column
DECLARE
    refused bigint[] := '{}';
BEGIN
    FOR run, fence, driver, status, last IN SELECT a.run, a.fence, a.driver, a.status, a.last FROM append(
        p_owner, p_runs, p_fences, p_firsts, p_statuses, p_dues, p_summaries, p_costs, p_words, p_row_runs,
        p_row_seqs, p_row_ats, p_row_sums, p_row_bodies, p_consume_runs, p_consume_ids, p_shot_runs, p_shot_seqs,
        p_shot_sums, p_shot_bodies, p_print_runs, p_prints, p_specs, p_spec_sums, p_digests, p_texts, p_use_runs,
        p_use_seqs, p_use_places, p_use_shots, p_uses
    ) AS a LOOP
        refused := refused || run;
        RETURN NEXT;
    END LOOP;
    INSERT INTO earlier_codes (run, code)
    SELECT r.key, r.code FROM unnest(p_code_runs, p_codes) AS c (run, code) JOIN runs AS r ON r.key = c.run
    WHERE r.code <> c.code AND r.code <> '' AND r.key <> ALL (refused) ON CONFLICT DO NOTHING;
    UPDATE runs AS r SET code = c.code FROM unnest(p_code_runs, p_codes) AS c (run, code)
    WHERE r.key = c.run AND r.key <> ALL (refused);
    PERFORM keep_codes(p_codes, p_code_bodies, p_code_sums);
END $$;
CREATE FUNCTION kept_4.as_words(p_words text) RETURNS tsvector
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT array_to_tsvector(string_to_array(p_words, ' '))
$$;
CREATE FUNCTION kept_4.claim(p_owner text, p_token bigint, p_id text, p_owed integer[], OUT key bigint, OUT fence integer, OUT driven_by text, OUT until double precision, OUT rows bigint, OUT row_bytes bigint, OUT shot_bytes bigint) RETURNS record
    LANGUAGE plpgsql
    AS $$
#variable_conflict use_column
DECLARE
    r runs;
    o owners;
BEGIN
    SELECT * INTO r FROM runs AS x WHERE x.id = p_id FOR NO KEY UPDATE;
    IF NOT FOUND THEN RETURN; END IF;
    key := r.key;
    fence := r.fence;
    IF r.driver IS NOT NULL AND r.token <> p_token THEN
        SELECT * INTO o FROM owners AS x WHERE x.id = r.driver;
        IF FOUND AND (CASE WHEN o.id = p_owner THEN NOT r.fence = ANY (p_owed) ELSE is_alive(o) END) THEN
            driven_by := words_for(o);
            until := o.expires_at;
            RETURN;
        END IF;
    END IF;
    IF r.driver IS NULL OR r.token <> p_token THEN
        fence := r.fence + 1;
        UPDATE runs AS x SET driver = p_owner, fence = r.fence + 1, token = p_token,
            wanted_at = CASE x.status WHEN 'waiting' THEN x.wanted_at END
        WHERE x.key = r.key;
    END IF;
    SELECT t.* INTO rows, row_bytes, shot_bytes FROM tail(r.key, last_seq(r.key, r.parent_seq)) AS t;
END $$;
CREATE FUNCTION kept_4.create_run(p_owner text, p_token bigint, p_id text, p_graph text, p_print text, p_spec text, p_spec_sum integer, p_status text, p_created double precision, p_due double precision, p_parent text, p_parent_seq integer, p_tags text[], p_tag_words text[], p_name_words text, p_words text, p_end_words text, p_seqs integer[], p_ats double precision[], p_sums integer[], p_bodies text[], p_digests bytea[], p_texts text[], p_use_seqs integer[], p_use_places integer[], p_uses bytea[], p_queue text, p_priority integer, p_queue_key text, p_summary text, p_is_queued boolean, p_channel text, p_begun text, OUT outcome text, OUT key bigint, OUT fence integer, OUT rows bigint, OUT row_bytes bigint, OUT shot_bytes bigint) RETURNS record
    LANGUAGE plpgsql
    AS $$
#variable_conflict use_column
DECLARE
    parent runs;
    there runs;
    begun json := p_begun;
BEGIN
    IF p_parent IS NOT NULL THEN
        SELECT * INTO parent FROM runs AS r WHERE r.id = p_parent FOR KEY SHARE;
        IF NOT FOUND THEN
            outcome := 'no_parent';
            RETURN;
        END IF;
        fence := last_seq(parent.key, parent.parent_seq);
        IF p_parent_seq NOT BETWEEN 1 AND fence OR EXISTS (
            SELECT FROM steps AS s WHERE s.run = parent.key AND s.seq = p_parent_seq AND is_removed(s.body)
        ) THEN
            outcome := 'no_step';
            RETURN;
        END IF;
    END IF;
    IF begun ->> 'starter' IS NOT NULL AND NOT EXISTS (SELECT FROM runs AS r WHERE r.id = p_id AND r.token = p_token) THEN
        PERFORM pg_advisory_xact_lock_shared(tree_lock(r)) FROM runs AS r WHERE r.id = begun ->> 'starter';
        SELECT 'stopped ' || s.id INTO outcome FROM stop_over(begun ->> 'starter') AS s;
        IF FOUND THEN RETURN; END IF;
    END IF;
    fence := CASE WHEN p_is_queued THEN 0 ELSE 1 END;
    INSERT INTO runs (id, graph, fingerprint, began_with, status, created_at, due_at, parent, parent_seq, fence, driver,
                      token, queue, priority, queue_key, summary, wanted_at, turn, cost_usd, ended_at,
                      title, user_name, starter, root, depth, deploy, nonce, starter_nonce, root_nonce, code)
    VALUES (p_id, p_graph, p_print, coalesce(begun ->> 'began_with', p_print), p_status, p_created, CASE p_status WHEN 'waiting' THEN p_due END,
            parent.key, p_parent_seq, fence, CASE WHEN NOT p_is_queued THEN p_owner END, p_token,
            p_queue, p_priority, p_queue_key, p_summary, CASE WHEN p_is_queued THEN p_created END,
            CASE WHEN p_is_queued THEN next_turn(p_queue, p_priority, p_queue_key) ELSE 0 END,
            (begun ->> 'cost_usd')::float8, CASE WHEN p_status NOT IN ('running', 'waiting') THEN p_ats[cardinality(p_ats)] END,
            coalesce(begun ->> 'title', ''), coalesce(begun ->> 'user', ''), begun ->> 'starter', begun ->> 'root',
            coalesce((begun ->> 'depth')::integer, 0), coalesce(begun ->> 'deploy', ''),
            coalesce(begun ->> 'nonce', ''), coalesce(begun ->> 'starter_nonce', ''),
            coalesce(begun ->> 'root_nonce', ''), coalesce(begun ->> 'code', ''))
    ON CONFLICT (id) DO NOTHING RETURNING runs.key INTO key;
    IF NOT FOUND THEN
        SELECT * INTO there FROM runs AS r WHERE r.id = p_id;
        outcome := CASE WHEN there.token = p_token THEN 'made' ELSE 'exists' END;
        key := there.key;
        IF outcome = 'made' THEN
            SELECT t.* INTO rows, row_bytes, shot_bytes FROM tail(key, last_seq(key, p_parent_seq)) AS t;
        END IF;
        RETURN;
    END IF;
    INSERT INTO run_counts (graph, status, runs) VALUES (p_graph, p_status, 1);
    INSERT INTO graph_specs (fingerprint, body, sum) VALUES (p_print, p_spec, p_spec_sum) ON CONFLICT DO NOTHING;
    INSERT INTO steps (run, seq, at, sum, body)
        SELECT key, x.* FROM unnest(p_seqs, p_ats, p_sums, p_bodies) AS x (seq, at, sum, body);
    IF cardinality(p_tags) > 0 THEN
        INSERT INTO tags (run, tag, created_at, words) SELECT key, t.tag, p_created, t.words
            FROM unnest(p_tags, p_tag_words) AS t (tag, words) ON CONFLICT DO NOTHING;
    END IF;
    INSERT INTO run_words (run, named, begun, tags, ended) VALUES (
        key, as_words(p_name_words), as_words(p_words) || coalesce((SELECT w.begun FROM run_words AS w WHERE w.run = parent.key), ''),
        as_words(array_to_string(p_tag_words, ' ')), as_words(p_end_words)
    );
    IF cardinality(p_uses) > 0 THEN
        PERFORM keep_texts(p_digests, p_texts, array_agg(key), array_agg(u.seq), array_agg(u.place),
                           array_agg(false), array_agg(u.digest))
        FROM unnest(p_use_seqs, p_use_places, p_uses) AS u (seq, place, digest);
    END IF;
    outcome := 'made';
    IF p_is_queued THEN
        PERFORM pg_notify(p_channel, 'due');
    END IF;
    IF p_parent IS NOT NULL THEN
        INSERT INTO inbox (run, key, kind, sum, posted_at, token, taken_seq)
            SELECT create_run.key, i.key, i.kind, i.sum, i.posted_at, i.token, i.taken_seq FROM inbox AS i
            WHERE i.run = parent.key AND i.key >= 'message ' AND i.key < 'message!' AND i.taken_seq <= p_parent_seq;
        SELECT t.* INTO rows, row_bytes, shot_bytes FROM tail(key, last_seq(key, p_parent_seq)) AS t;
    END IF;
END $$;
CREATE FUNCTION kept_4.dead_drivers(p_owner text) RETURNS TABLE(id text, seen_at double precision)
    LANGUAGE sql
    AS $$
    WITH RECURSIVE drivers (id) AS (
        SELECT min(r.driver) FROM runs AS r WHERE r.driver IS NOT NULL
        UNION ALL
        SELECT (SELECT min(r.driver) FROM runs AS r WHERE r.driver > d.id) FROM drivers AS d WHERE d.id IS NOT NULL
    )
    SELECT d.id, coalesce(o.seen_at, 0) FROM drivers AS d LEFT JOIN owners AS o ON o.id = d.id
    WHERE d.id IS NOT NULL AND d.id <> p_owner AND (o.id IS NULL OR NOT is_alive(o))
$$;
CREATE FUNCTION kept_4.drop_codes() RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM 1 FROM codes AS o
    WHERE NOT EXISTS (SELECT FROM runs AS r WHERE r.code = o.id)
        AND NOT EXISTS (SELECT FROM earlier_codes AS e WHERE e.code = o.id);
    IF FOUND THEN
        LOCK TABLE codes IN EXCLUSIVE MODE;
        DELETE FROM codes AS o
        WHERE NOT EXISTS (SELECT FROM runs AS r WHERE r.code = o.id)
            AND NOT EXISTS (SELECT FROM earlier_codes AS e WHERE e.code = o.id);
    END IF;
END $$;
CREATE FUNCTION kept_4.drop_graph_specs() RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM 1 FROM graph_specs AS o
    WHERE NOT EXISTS (SELECT FROM runs AS r WHERE r.fingerprint = o.fingerprint)
        AND NOT EXISTS (SELECT FROM earlier_graph_specs AS e WHERE e.fingerprint = o.fingerprint);
    IF FOUND THEN
        LOCK TABLE graph_specs IN EXCLUSIVE MODE;
        DELETE FROM graph_specs AS o
        WHERE NOT EXISTS (SELECT FROM runs AS r WHERE r.fingerprint = o.fingerprint)
            AND NOT EXISTS (SELECT FROM earlier_graph_specs AS e WHERE e.fingerprint = o.fingerprint);
    END IF;
END $$;
CREATE FUNCTION kept_4.drop_texts(p_spare bytea[]) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF p_spare IS NOT NULL THEN
        LOCK TABLE texts IN EXCLUSIVE MODE;
        DELETE FROM texts AS t WHERE t.digest = ANY (p_spare)
            AND NOT EXISTS (SELECT FROM text_uses AS u WHERE u.digest = t.digest);
    END IF;
END $$;
CREATE FUNCTION kept_4.due(p_owner text, p_now double precision, p_limit integer, p_graphs text[]) RETURNS TABLE(key bigint, rank integer, since double precision)
    LANGUAGE plpgsql
    AS $$
#variable_conflict use_column
DECLARE
    dead text[];
    ended float8[];
BEGIN
    SELECT coalesce(array_agg(d.id), '{}'), coalesce(array_agg(d.seen_at), '{}') INTO dead, ended
    FROM dead_drivers(p_owner) AS d;
    RETURN QUERY
    WITH found AS (
        (SELECT r.key, 1 AS rank, r.due_at AS since FROM runs AS r
         WHERE r.due_at <= p_now AND (r.driver IS NULL OR r.driver = ANY (dead))
             AND (p_graphs IS NULL OR r.graph = ANY (p_graphs))
         ORDER BY r.due_at, r.key LIMIT p_limit)
        UNION ALL
        (SELECT r.key, 1, r.wanted_at FROM runs AS r
         WHERE r.wanted_at IS NOT NULL AND (r.driver IS NULL OR r.driver = ANY (dead))
             AND (p_graphs IS NULL OR r.graph = ANY (p_graphs))
         ORDER BY r.wanted_at, r.key LIMIT p_limit)
        UNION ALL
        (SELECT r.key, 0, d.seen_at FROM unnest(dead, ended) AS d (id, seen_at)
         JOIN runs AS r ON r.driver = d.id AND r.status = 'running'
         WHERE p_graphs IS NULL OR r.graph = ANY (p_graphs)
         ORDER BY d.seen_at, r.key LIMIT p_limit)
    )
    SELECT f.key, min(f.rank), min(f.since) FROM found AS f GROUP BY f.key ORDER BY 2, 3, 1 LIMIT p_limit;
END $$;
CREATE FUNCTION kept_4.ended_at(p_run bigint, p_status text) RETURNS double precision
    LANGUAGE sql STABLE
    AS $$
    SELECT CASE WHEN p_status NOT IN ('running', 'waiting') THEN
        (SELECT s.at FROM steps AS s WHERE s.run = p_run ORDER BY s.seq DESC LIMIT 1)
    END
$$;
CREATE FUNCTION kept_4.epoch() RETURNS double precision
    LANGUAGE sql
    AS $$
    SELECT extract(epoch FROM clock_timestamp())::float8
$$;
CREATE FUNCTION kept_4.fold_counts() RETURNS trigger
    LANGUAGE plpgsql
    AS $_$
BEGIN
    EXECUTE format('
        WITH gone AS (
            DELETE FROM %1$I.run_counts AS c WHERE c.ctid = ANY (ARRAY(
                SELECT x.ctid FROM %1$I.run_counts AS x WHERE x.graph = $1 LIMIT 512 FOR UPDATE SKIP LOCKED
            ))
            RETURNING c.status, c.runs
        )
        INSERT INTO %1$I.run_counts (graph, status, runs)
            SELECT $1, g.status, sum(g.runs) FROM gone AS g GROUP BY g.status HAVING sum(g.runs) <> 0
    ', TG_TABLE_SCHEMA) USING NEW.graph;
    RETURN NULL;
END $_$;
CREATE TABLE kept_4.owners (
    id text NOT NULL COLLATE pg_catalog."C",
    host text NOT NULL,
    pid integer NOT NULL,
    lock bigint NOT NULL,
    server timestamp with time zone,
    seen_at double precision NOT NULL,
    expires_at double precision NOT NULL,
    role text DEFAULT ''::text NOT NULL
)
WITH (fillfactor='50');
CREATE FUNCTION kept_4.is_alive(o kept_4.owners) RETURNS boolean
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF o.expires_at <= epoch() THEN
        RETURN false;
    END IF;
    IF o.server IS NULL OR o.server <> pg_postmaster_start_time() OR pg_is_in_recovery() THEN
        RETURN true;
    END IF;
    IF pg_try_advisory_lock_shared(o.lock) THEN
        PERFORM pg_advisory_unlock_shared(o.lock);
        RETURN false;
    END IF;
    RETURN true;
END $$;
CREATE FUNCTION kept_4.is_removed(p_body text) RETURNS boolean
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT starts_with(p_body, '{"kind":"removed"') AND octet_length(p_body) < 100
$$;
CREATE FUNCTION kept_4.keep_codes(p_ids text[], p_bodies text[], p_sums integer[]) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF cardinality(p_ids) > 0 THEN
        INSERT INTO codes (id, body, sum)
        SELECT DISTINCT ON (c.id) c.id, c.body, c.sum FROM unnest(p_ids, p_bodies, p_sums) AS c (id, body, sum)
        WHERE c.body IS NOT NULL ORDER BY c.id ON CONFLICT DO NOTHING;
    END IF;
END $$;
CREATE FUNCTION kept_4.keep_fields() RETURNS trigger
    LANGUAGE plpgsql
    AS $_$
DECLARE
    before json;
    fields json;
BEGIN
    IF TG_OP <> 'INSERT' THEN
        before := replace(replace(OLD.summary, '\\', '\u005c'), '\u0000', '')::json -> 'fields';
    END IF;
    IF TG_OP <> 'DELETE' THEN
        fields := replace(replace(NEW.summary, '\\', '\u005c'), '\u0000', '')::json -> 'fields';
    END IF;
    IF before::text IS NOT DISTINCT FROM fields::text THEN
        RETURN NULL;
    END IF;
    IF before IS NOT NULL THEN
        EXECUTE format('DELETE FROM %I.run_fields WHERE run = $1', TG_TABLE_SCHEMA) USING OLD.key;
    END IF;
    IF fields IS NOT NULL THEN
        EXECUTE format(
            'INSERT INTO %I.run_fields (tenant, field, value, created_at, run)
             SELECT $1, f.key, f.value, $2, $3 FROM json_each_text($4) AS f', TG_TABLE_SCHEMA
        ) USING NEW.queue_key, NEW.created_at, NEW.key, fields;
        EXECUTE format(
            'INSERT INTO %1$I.graph_fields (graph, field)
             SELECT $1, f.key FROM json_each_text($2) AS f WHERE NOT EXISTS (
                 SELECT FROM %1$I.graph_fields AS g WHERE g.graph = $1 AND g.field = f.key
             ) ORDER BY f.key ON CONFLICT DO NOTHING', TG_TABLE_SCHEMA
        ) USING NEW.graph, fields;
    END IF;
    RETURN NULL;
END $_$;
CREATE FUNCTION kept_4.keep_texts(p_digests bytea[], p_texts text[], p_runs bigint[], p_seqs integer[], p_places integer[], p_in_snapshots boolean[], p_uses bytea[]) RETURNS void
    LANGUAGE sql
    AS $$
    -- In order of their digests, so that two transactions with the same texts do not wait for each other in a circle.
    INSERT INTO texts (digest, body) SELECT DISTINCT ON (t.digest) t.digest, t.body
        FROM unnest(p_digests, p_texts) AS t (digest, body) ORDER BY t.digest ON CONFLICT DO NOTHING;
    INSERT INTO text_uses (run, seq, place, in_snapshot, digest)
        SELECT * FROM unnest(p_runs, p_seqs, p_places, p_in_snapshots, p_uses);
$$;
CREATE FUNCTION kept_4.last_seq(p_run bigint, p_parent_seq integer) RETURNS integer
    LANGUAGE sql STABLE
    AS $$
    SELECT coalesce((SELECT s.seq FROM steps AS s WHERE s.run = p_run ORDER BY s.seq DESC LIMIT 1), p_parent_seq)
$$;
CREATE FUNCTION kept_4.lineage(p_key bigint, p_upto integer, p_after integer, p_newest integer) RETURNS TABLE(key bigint, id text, low integer, high integer, shot integer)
    LANGUAGE sql STABLE
    AS $$
    WITH RECURSIVE line (key, id, parent, low, high, shot) AS (
        SELECT r.key, r.id, r.parent, r.parent_seq, p_upto,
               (SELECT s.seq FROM snapshots AS s WHERE s.run = r.key AND s.seq <= least(p_upto, p_newest)
                ORDER BY s.seq DESC LIMIT 1)
        FROM runs AS r WHERE r.key = p_key
        UNION ALL
        SELECT r.key, r.id, r.parent, r.parent_seq, least(c.low, c.high),
               (SELECT s.seq FROM snapshots AS s WHERE s.run = r.key AND s.seq <= least(c.low, c.high, p_newest)
                ORDER BY s.seq DESC LIMIT 1)
        FROM line AS c JOIN runs AS r ON r.key = c.parent AND r.key < c.key
        WHERE c.shot IS NULL AND c.low > p_after
    )
    SELECT key, id, low, high, shot FROM line
$$;
CREATE FUNCTION kept_4.next_turn(p_queue text, p_priority integer, p_queue_key text) RETURNS integer
    LANGUAGE sql STABLE
    SET enable_sort TO 'off'
    SET enable_bitmapscan TO 'off'
    AS $$
    SELECT greatest(
        coalesce((SELECT r.turn FROM runs AS r WHERE r.fence = 0 AND r.queue = p_queue AND r.priority = p_priority
                  ORDER BY r.turn LIMIT 1), 0),
        coalesce((SELECT 1 + r.turn FROM runs AS r WHERE r.fence = 0 AND r.queue = p_queue AND r.queue_key = p_queue_key
                  AND r.priority = p_priority ORDER BY r.turn DESC LIMIT 1), 0)
    )
$$;
CREATE FUNCTION kept_4.note_taken() RETURNS trigger
    LANGUAGE plpgsql
    AS $_$
BEGIN
    EXECUTE format('SELECT s.seq FROM %I.steps AS s WHERE s.run = $1 ORDER BY s.seq DESC LIMIT 1', TG_TABLE_SCHEMA)
    INTO NEW.taken_seq USING NEW.run;
    RETURN NEW;
END $_$;
CREATE FUNCTION kept_4.post(p_token bigint, p_channel text, p_id text, p_key text, p_kind text, p_payload text, p_sum integer, OUT is_known boolean, OUT is_new boolean) RETURNS record
    LANGUAGE plpgsql
    AS $$
#variable_conflict use_column
DECLARE
    r runs;
    posted float8 := epoch();
BEGIN
    SELECT * INTO r FROM runs AS x WHERE x.id = p_id FOR NO KEY UPDATE;
    is_known := FOUND;
    is_new := false;
    IF NOT is_known THEN RETURN; END IF;
    INSERT INTO inbox (run, key, kind, payload, sum, posted_at, token)
    VALUES (r.key, p_key, p_kind, p_payload, p_sum, posted, p_token) ON CONFLICT (run, key) DO NOTHING;
    IF NOT FOUND THEN
        SELECT i.token = p_token INTO is_new FROM inbox AS i WHERE i.run = r.key AND i.key = p_key;
        RETURN;
    END IF;
    is_new := true;
    IF r.status = 'waiting' AND p_kind <> 'stop' THEN
        UPDATE runs AS x SET wanted_at = coalesce(x.wanted_at, posted) WHERE x.key = r.key;
    END IF;
    PERFORM pg_notify(p_channel, coalesce(r.driver, 'due'));
END $$;
CREATE FUNCTION kept_4.post_alone(p_token bigint, p_channel text, p_id text, p_key text, p_kind text, p_payload text, p_sum integer, p_low text, p_high text, OUT is_known boolean, OUT is_new boolean) RETURNS record
    LANGUAGE plpgsql
    AS $$
#variable_conflict use_column
DECLARE
    r runs;
BEGIN
    SELECT * INTO r FROM runs AS x WHERE x.id = p_id FOR NO KEY UPDATE;
    is_known := FOUND;
    is_new := false;
    IF NOT is_known OR EXISTS (
        SELECT FROM inbox AS i WHERE i.run = r.key AND i.key >= p_low AND i.key < p_high AND i.token <> p_token
    ) THEN RETURN; END IF;
    SELECT p.is_known, p.is_new INTO is_known, is_new
    FROM post(p_token, p_channel, p_id, p_key, p_kind, p_payload, p_sum) AS p;
END $$;
CREATE FUNCTION kept_4.post_alone(p_token bigint, p_channel text, p_id text, p_key text, p_kind text, p_payload text, p_sum integer, p_low text, p_high text, p_nonce text, OUT is_known boolean, OUT is_new boolean) RETURNS record
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM 1 FROM runs AS x WHERE x.id = p_id AND x.nonce = coalesce(p_nonce, x.nonce) FOR NO KEY UPDATE;
    is_known := FOUND;
    is_new := false;
    IF NOT is_known THEN RETURN; END IF;
    SELECT p.is_known, p.is_new INTO is_known, is_new
    FROM post_alone(p_token, p_channel, p_id, p_key, p_kind, p_payload, p_sum, p_low, p_high) AS p;
END $$;
CREATE FUNCTION kept_4.post_to(p_token bigint, p_channel text, p_id text, p_key text, p_kind text, p_payload text, p_sum integer, p_nonce text, OUT is_known boolean, OUT is_new boolean) RETURNS record
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM 1 FROM runs AS x WHERE x.id = p_id AND x.nonce = p_nonce FOR NO KEY UPDATE;
    is_known := FOUND;
    is_new := false;
    IF NOT is_known THEN RETURN; END IF;
    SELECT p.is_known, p.is_new INTO is_known, is_new
    FROM post(p_token, p_channel, p_id, p_key, p_kind, p_payload, p_sum) AS p;
END $$;
CREATE FUNCTION kept_4.queue_heads(p_names text[], p_now double precision, p_limit integer, p_graphs text[], p_aside text[], p_blocked text[], p_by_key boolean) RETURNS TABLE(key bigint, queue text, queue_key text, priority integer, is_queued boolean, place double precision)
    LANGUAGE plpgsql
    SET enable_sort TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_seqscan TO 'off'
    AS $$
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
CREATE FUNCTION kept_4.read_log(p_id text, p_upto integer, p_after integer, p_newest integer) RETURNS TABLE(kind text, holder text, seq integer, sum integer, place integer, body text)
    LANGUAGE plpgsql STABLE
    AS $$
#variable_conflict use_column
DECLARE
    facts run_facts;
    top integer;
    part record;
    begin_at integer;
    used bytea[] := '{}';
    held bytea[];
BEGIN
    SELECT * INTO facts FROM run_facts AS f WHERE f.id = p_id;
    IF NOT FOUND THEN RETURN; END IF;
    RETURN QUERY SELECT 'f', facts.id, facts.seq, 0, 0, to_json(facts)::text;
    top := least(facts.seq, p_upto);
    FOR part IN SELECT * FROM lineage(facts.key, top, p_after, p_newest) LOOP
        begin_at := greatest(part.low, p_after);
        IF part.shot IS NOT NULL THEN
            begin_at := greatest(begin_at, part.shot);
            RETURN QUERY SELECT 's', part.id, s.seq, s.sum, 0, s.body FROM snapshots AS s
                WHERE s.run = part.key AND s.seq = part.shot;
        END IF;
        RETURN QUERY SELECT 'n', part.id, s.seq, s.sum, 0, s.body FROM steps AS s
            WHERE s.run = part.key AND s.seq > begin_at AND s.seq <= part.high ORDER BY s.seq;
        SELECT array_agg(u.digest) INTO held FROM text_uses AS u
            WHERE u.run = part.key AND (NOT u.in_snapshot AND u.seq > begin_at AND u.seq <= part.high
                                        OR u.in_snapshot AND u.seq = part.shot);
        IF held IS NOT NULL THEN
            used := used || held;
            RETURN QUERY SELECT CASE WHEN u.in_snapshot THEN 'v' ELSE 'u' END, part.id, u.seq, 0, u.place,
                                encode(u.digest, 'hex')
                FROM text_uses AS u
                WHERE u.run = part.key AND (NOT u.in_snapshot AND u.seq > begin_at AND u.seq <= part.high
                                            OR u.in_snapshot AND u.seq = part.shot)
                ORDER BY u.seq, u.place;
        END IF;
    END LOOP;
    IF cardinality(used) > 0 THEN
        RETURN QUERY SELECT 't', encode(t.digest, 'hex'), 0, 0, 0, t.body FROM texts AS t WHERE t.digest = ANY (used);
    END IF;
END $$;
CREATE FUNCTION kept_4.release_run(p_owner text, p_id text, p_fence integer, p_channel text) RETURNS void
    LANGUAGE plpgsql
    AS $$
DECLARE
    was text;
BEGIN
    UPDATE runs SET driver = NULL, wanted_at = CASE status WHEN 'running' THEN epoch() ELSE wanted_at END
    WHERE id = p_id AND fence = p_fence AND driver = p_owner RETURNING status INTO was;
    IF was = 'running' THEN
        PERFORM pg_notify(p_channel, 'due');
    END IF;
END $$;
CREATE FUNCTION kept_4.remove_run(p_owner text, p_token bigint, p_id text, p_nonce text, p_status text, p_seq integer, p_tags text[]) RETURNS text
    LANGUAGE plpgsql
    AS $$
DECLARE
    r runs;
    o owners;
    facts run_facts;
    child text;
BEGIN
    SELECT * INTO r FROM runs AS x WHERE x.id = p_id FOR UPDATE;
    IF NOT FOUND THEN
        PERFORM 1 FROM trash AS t WHERE t.token = p_token AND t.id = p_id;
        RETURN CASE WHEN FOUND THEN '' ELSE 'already removed' END;
    END IF;
    IF r.driver IS NOT NULL THEN
        SELECT * INTO o FROM owners AS x WHERE x.id = r.driver;
        IF FOUND AND (o.id = p_owner OR is_alive(o)) THEN
            RETURN 'driven by ' || words_for(o);
        END IF;
    END IF;
    IF r.status IN ('running', 'waiting') THEN
        RETURN 'it is ' || r.status;
    END IF;
    SELECT * INTO facts FROM run_facts AS x WHERE x.key = r.key;
    IF r.nonce <> p_nonce OR facts.status <> p_status OR facts.seq <> p_seq
        OR (SELECT array_agg(t ORDER BY t) FROM unnest(facts.tags) AS t)
           IS DISTINCT FROM (SELECT array_agg(t ORDER BY t) FROM unnest(p_tags) AS t) THEN
        RETURN 'changed meanwhile';
    END IF;
    SELECT c.id INTO child FROM runs AS c WHERE c.parent = r.key ORDER BY c.key LIMIT 1;
    IF FOUND THEN
        RETURN 'needed by branch ' || child;
    END IF;
    INSERT INTO run_counts (graph, status, runs) VALUES (r.graph, r.status, -1);
    INSERT INTO trash (key, id, token) VALUES (r.key, r.id, p_token);
    DELETE FROM tags AS t WHERE t.run = r.key;
    DELETE FROM run_words AS w WHERE w.run = r.key;
    DELETE FROM earlier_graph_specs AS e WHERE e.run = r.key;
    DELETE FROM earlier_codes AS e WHERE e.run = r.key;
    DELETE FROM runs AS x WHERE x.key = r.key;
    RETURN '';
END $$;
CREATE FUNCTION kept_4.replace_steps(p_run bigint, p_seqs integer[], p_sums integer[], p_bodies text[], p_before integer) RETURNS void
    LANGUAGE plpgsql
    AS $$
DECLARE
    spare bytea[];
BEGIN
    UPDATE steps AS s SET sum = x.sum, body = x.body FROM unnest(p_seqs, p_sums, p_bodies) AS x (seq, sum, body)
    WHERE s.run = p_run AND s.seq = x.seq;
    DELETE FROM snapshots AS s WHERE s.run = p_run AND s.seq < p_before;
    WITH dropped AS (
        DELETE FROM text_uses AS u WHERE u.run = p_run
            AND CASE WHEN u.in_snapshot THEN u.seq < p_before ELSE u.seq = ANY (p_seqs) END RETURNING u.digest
    )
    SELECT array_agg(DISTINCT d.digest) INTO spare FROM dropped AS d;
    PERFORM drop_texts(spare);
END $$;
CREATE FUNCTION kept_4.retire(p_owner text, p_channel text) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM pg_notify(p_channel, p_owner);
    UPDATE runs SET driver = NULL, wanted_at = CASE status WHEN 'running' THEN epoch() ELSE wanted_at END
    WHERE driver = p_owner;
    IF FOUND THEN
        PERFORM pg_notify(p_channel, 'due');
    END IF;
    DELETE FROM owners WHERE id = p_owner;
END $$;
CREATE FUNCTION kept_4.stop_over(p_id text) RETURNS TABLE(id text, mark text)
    LANGUAGE sql STABLE
    AS $$
    WITH RECURSIVE line (id, starter, root, mark, starter_nonce, root_nonce) AS (
        SELECT r.id, r.starter, r.root, r.stop_asked, r.starter_nonce, r.root_nonce FROM runs AS r WHERE r.id = p_id
        UNION
        SELECT r.id, r.starter, r.root, r.stop_asked, r.starter_nonce, r.root_nonce
        FROM line AS l JOIN runs AS r ON r.id IN (l.starter, l.root)
            AND r.nonce = CASE WHEN r.id = l.starter THEN l.starter_nonce ELSE l.root_nonce END
        WHERE l.root IS NOT NULL
    )
    SELECT l.id, l.mark FROM line AS l WHERE l.mark <> '' ORDER BY l.mark LIMIT 1
$$;
CREATE FUNCTION kept_4.sweep(p_rows integer) RETURNS boolean
    LANGUAGE plpgsql
    AS $$
DECLARE
    gone bigint[] := ARRAY(SELECT t.key FROM trash AS t ORDER BY t.key LIMIT p_rows FOR UPDATE);
    count integer;
    spare bytea[];
BEGIN
    IF cardinality(gone) = 0 THEN
        RETURN false;
    END IF;
    DELETE FROM steps AS s WHERE (s.run, s.seq) IN (
        SELECT x.run, x.seq FROM steps AS x WHERE x.run = ANY (gone) ORDER BY x.run, x.seq LIMIT p_rows);
    GET DIAGNOSTICS count = ROW_COUNT;
    IF count = p_rows THEN
        RETURN true;
    END IF;
    DELETE FROM snapshots AS s WHERE s.run = ANY (gone);
    DELETE FROM inbox AS i WHERE i.run = ANY (gone);
    WITH dropped AS (DELETE FROM text_uses AS u WHERE u.run = ANY (gone) RETURNING u.digest)
    SELECT array_agg(DISTINCT d.digest) INTO spare FROM dropped AS d;
    PERFORM drop_texts(spare);
    DELETE FROM trash AS t WHERE t.key = ANY (gone);
    RETURN true;
END $$;
CREATE FUNCTION kept_4.tag_run(p_id text, p_add text[], p_words text[], p_remove text[], OUT is_known boolean, OUT tags text[]) RETURNS record
    LANGUAGE plpgsql
    AS $$
#variable_conflict use_column
DECLARE
    r runs;
BEGIN
    SELECT * INTO r FROM runs AS x WHERE x.id = p_id FOR NO KEY UPDATE;
    is_known := FOUND;
    IF NOT is_known THEN RETURN; END IF;
    DELETE FROM tags AS t WHERE t.run = r.key AND t.tag = ANY (p_remove);
    INSERT INTO tags (run, tag, created_at, words) SELECT r.key, a.tag, r.created_at, a.words
        FROM unnest(p_add, p_words) AS a (tag, words) ON CONFLICT DO NOTHING;
    UPDATE run_words AS w SET tags = as_words(coalesce((SELECT string_agg(t.words, ' ') FROM tags AS t WHERE t.run = r.key), ''))
    WHERE w.run = r.key;
    SELECT coalesce(array_agg(t.tag), '{}') INTO tags FROM tags AS t WHERE t.run = r.key;
END $$;
CREATE FUNCTION kept_4.tail(p_key bigint, p_upto integer, OUT rows bigint, OUT row_bytes bigint, OUT shot_bytes bigint) RETURNS record
    LANGUAGE sql STABLE
    AS $$
    SELECT coalesce(sum(found.rows), 0)::bigint, coalesce(sum(found.row_bytes), 0)::bigint,
           coalesce(sum(found.shot_bytes), 0)::bigint
    FROM lineage(p_key, p_upto, 0, p_upto) AS l, LATERAL (
        SELECT count(*) AS rows, coalesce(sum(octet_length(s.body)), 0)
                   + (SELECT coalesce(sum(octet_length(t.body)), 0) FROM text_uses AS u JOIN texts AS t USING (digest)
                      WHERE u.run = l.key AND NOT u.in_snapshot AND u.seq > coalesce(l.shot, l.low) AND u.seq <= l.high)
                   AS row_bytes,
               (SELECT octet_length(x.body) + (
                    SELECT coalesce(sum(octet_length(t.body)), 0) FROM text_uses AS u JOIN texts AS t USING (digest)
                    WHERE u.run = l.key AND u.in_snapshot AND u.seq = l.shot
                ) FROM snapshots AS x WHERE x.run = l.key AND x.seq = l.shot) AS shot_bytes
        FROM steps AS s WHERE s.run = l.key AND s.seq > coalesce(l.shot, l.low) AND s.seq <= l.high
    ) AS found
$$;
CREATE TABLE kept_4.runs (
    key bigint NOT NULL,
    id text NOT NULL COLLATE pg_catalog."C",
    graph text NOT NULL COLLATE pg_catalog."C",
    fingerprint text NOT NULL COLLATE pg_catalog."C",
    status text NOT NULL COLLATE pg_catalog."C",
    created_at double precision NOT NULL,
    parent bigint,
    parent_seq integer NOT NULL,
    fence integer NOT NULL,
    driver text COLLATE pg_catalog."C",
    token bigint NOT NULL,
    due_at double precision,
    wanted_at double precision,
    queue text NOT NULL COLLATE pg_catalog."C",
    priority integer NOT NULL,
    queue_key text NOT NULL COLLATE pg_catalog."C",
    turn integer NOT NULL,
    summary text,
    cost_usd double precision,
    ended_at double precision,
    title text DEFAULT ''::text NOT NULL,
    user_name text DEFAULT ''::text NOT NULL COLLATE pg_catalog."C",
    starter text COLLATE pg_catalog."C",
    root text COLLATE pg_catalog."C",
    depth integer DEFAULT 0 NOT NULL,
    began_with text DEFAULT ''::text NOT NULL COLLATE pg_catalog."C",
    deploy text DEFAULT ''::text NOT NULL,
    stop_asked text DEFAULT ''::text NOT NULL,
    nonce text DEFAULT ''::text NOT NULL COLLATE pg_catalog."C",
    starter_nonce text DEFAULT ''::text NOT NULL COLLATE pg_catalog."C",
    root_nonce text DEFAULT ''::text NOT NULL COLLATE pg_catalog."C",
    code text DEFAULT ''::text NOT NULL COLLATE pg_catalog."C"
)
WITH (fillfactor='80');
CREATE FUNCTION kept_4.tree_lock(r kept_4.runs) RETURNS bigint
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT hashtextextended(coalesce(r.root, r.id), 0)
$$;
CREATE FUNCTION kept_4.wanted_since(p_run bigint) RETURNS double precision
    LANGUAGE sql STABLE
    AS $$
    SELECT i.posted_at FROM inbox AS i WHERE i.run = p_run AND i.payload IS NOT NULL AND i.kind <> 'stop'
    ORDER BY i.id LIMIT 1
$$;
CREATE FUNCTION kept_4.words_for(o kept_4.owners) RETURNS text
    LANGUAGE sql
    AS $$
    SELECT format('process %s on %s (owner %s)', o.pid, o.host, o.id)
$$;
CREATE TABLE kept_4.budget_accounts (
    budget text NOT NULL COLLATE pg_catalog."C",
    key text NOT NULL COLLATE pg_catalog."C",
    begun_at double precision NOT NULL,
    calls_in_flight integer NOT NULL,
    spent_cost_usd double precision NOT NULL,
    spent_tokens double precision NOT NULL,
    spent_calls double precision NOT NULL,
    held_cost_usd double precision NOT NULL,
    held_tokens double precision NOT NULL,
    held_calls double precision NOT NULL,
    unknown_cost_usd integer NOT NULL,
    unknown_tokens integer NOT NULL,
    unknown_calls integer NOT NULL,
    estimated_cost_usd double precision DEFAULT 0 NOT NULL,
    estimated_tokens double precision DEFAULT 0 NOT NULL,
    calls_of_unknown_use integer DEFAULT 0 NOT NULL
)
WITH (fillfactor='50');
CREATE TABLE kept_4.budget_holds (
    budget text NOT NULL COLLATE pg_catalog."C",
    key text NOT NULL COLLATE pg_catalog."C",
    call text NOT NULL COLLATE pg_catalog."C",
    cost_usd double precision,
    tokens double precision,
    calls double precision,
    run text DEFAULT ''::text NOT NULL COLLATE pg_catalog."C",
    nonce text DEFAULT ''::text NOT NULL COLLATE pg_catalog."C",
    token text DEFAULT ''::text NOT NULL COLLATE pg_catalog."C",
    asked_cost_usd double precision DEFAULT 0 NOT NULL,
    asked_tokens double precision DEFAULT 0 NOT NULL
);
CREATE TABLE kept_4.codes (
    id text NOT NULL COLLATE pg_catalog."C",
    body text NOT NULL,
    sum integer NOT NULL
);
CREATE TABLE kept_4.earlier_codes (
    run bigint NOT NULL,
    code text NOT NULL COLLATE pg_catalog."C"
);
CREATE TABLE kept_4.earlier_graph_specs (
    run bigint NOT NULL,
    fingerprint text NOT NULL COLLATE pg_catalog."C"
);
CREATE TABLE kept_4.graph_fields (
    graph text NOT NULL COLLATE pg_catalog."C",
    field text NOT NULL COLLATE pg_catalog."C"
);
CREATE TABLE kept_4.graph_specs (
    fingerprint text NOT NULL COLLATE pg_catalog."C",
    body text NOT NULL,
    sum integer NOT NULL
);
CREATE TABLE kept_4.inbox (
    id bigint NOT NULL,
    run bigint NOT NULL,
    key text NOT NULL COLLATE pg_catalog."C",
    kind text NOT NULL COLLATE pg_catalog."C",
    payload text,
    sum integer NOT NULL,
    posted_at double precision NOT NULL,
    token bigint NOT NULL,
    taken_seq integer
);
ALTER TABLE kept_4.inbox ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME kept_4.inbox_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE kept_4.memories (
    namespace text NOT NULL COLLATE pg_catalog."C",
    key text NOT NULL COLLATE pg_catalog."C",
    body text NOT NULL,
    words tsvector NOT NULL,
    vector real[],
    updated_at double precision NOT NULL
);
CREATE TABLE kept_4.meta (
    format integer NOT NULL,
    oldest integer NOT NULL
);
CREATE TABLE kept_4.queues (
    name text NOT NULL COLLATE pg_catalog."C",
    limits text NOT NULL
);
CREATE TABLE kept_4.rates (
    queue text NOT NULL COLLATE pg_catalog."C",
    queue_key text NOT NULL COLLATE pg_catalog."C",
    until double precision NOT NULL
);
CREATE TABLE kept_4.run_counts (
    graph text NOT NULL COLLATE pg_catalog."C",
    status text NOT NULL COLLATE pg_catalog."C",
    runs bigint NOT NULL,
    id uuid DEFAULT gen_random_uuid() NOT NULL
);
CREATE TABLE kept_4.steps (
    run bigint NOT NULL,
    at double precision NOT NULL,
    seq integer NOT NULL,
    sum integer NOT NULL,
    body text NOT NULL
);
CREATE TABLE kept_4.tags (
    run bigint NOT NULL,
    tag text NOT NULL COLLATE pg_catalog."C",
    created_at double precision NOT NULL,
    words text NOT NULL
);
CREATE VIEW kept_4.run_facts AS
 SELECT r.key,
    r.id,
    r.graph,
    r.fingerprint,
    r.status,
    COALESCE(last.seq, r.parent_seq) AS seq,
    r.created_at,
    COALESCE(last.at, r.created_at) AS updated_at,
    ( SELECT p.id
           FROM kept_4.runs p
          WHERE (p.key = r.parent)) AS parent,
    r.parent_seq,
    r.driver,
    r.fence,
    r.due_at,
    ( SELECT array_agg(t.tag) AS array_agg
           FROM kept_4.tags t
          WHERE (t.run = r.key)) AS tags,
    COALESCE(( SELECT kept_4.is_alive(o.*) AS is_alive
           FROM kept_4.owners o
          WHERE (o.id = r.driver)), false) AS is_driven,
    r.queue,
    r.priority,
    r.queue_key,
    r.summary,
    r.title,
    r.user_name,
    r.starter,
    r.root,
    r.depth,
    r.began_with,
    r.deploy,
    r.stop_asked,
    r.ended_at,
    r.nonce,
    r.starter_nonce,
    r.root_nonce,
    r.code
   FROM (kept_4.runs r
     LEFT JOIN LATERAL ( SELECT s.seq,
            s.at
           FROM kept_4.steps s
          WHERE (s.run = r.key)
          ORDER BY s.seq DESC
         LIMIT 1) last ON (true));
CREATE TABLE kept_4.run_fields (
    tenant text NOT NULL COLLATE pg_catalog."C",
    field text NOT NULL COLLATE pg_catalog."C",
    value text NOT NULL COLLATE pg_catalog."C",
    created_at double precision NOT NULL,
    run bigint NOT NULL
);
CREATE TABLE kept_4.run_words (
    run bigint NOT NULL,
    named tsvector NOT NULL,
    begun tsvector NOT NULL,
    tags tsvector NOT NULL,
    ended tsvector NOT NULL
);
ALTER TABLE kept_4.runs ALTER COLUMN key ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME kept_4.runs_key_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE kept_4.schedules (
    name text NOT NULL COLLATE pg_catalog."C",
    body text NOT NULL,
    next_at double precision NOT NULL
);
CREATE TABLE kept_4.snapshots (
    run bigint NOT NULL,
    seq integer NOT NULL,
    sum integer NOT NULL,
    body text NOT NULL
);
CREATE TABLE kept_4.text_uses (
    run bigint NOT NULL,
    seq integer NOT NULL,
    place integer NOT NULL,
    in_snapshot boolean NOT NULL,
    digest bytea NOT NULL
);
CREATE TABLE kept_4.texts (
    digest bytea NOT NULL,
    body text NOT NULL
);
CREATE TABLE kept_4.trash (
    key bigint NOT NULL,
    id text NOT NULL COLLATE pg_catalog."C",
    token bigint NOT NULL
);
INSERT INTO kept_4.codes VALUES ('92a1431a8e45', '{"nodes":{"work":"03a5178cde3b"},"types":{},"parameters":{"called":["ctx"],"act":["what"],"go_on":["ctx","done"]}}', 1561472590);
INSERT INTO kept_4.codes VALUES ('4a5490393677', '{"nodes":{"work":"013ec8f984e7"},"types":{},"parameters":{"turns":["ctx","topic"],"go_on":["ctx","done"]}}', -871679392);
INSERT INTO kept_4.codes VALUES ('661d21f15888', '{"nodes":{"work":"b24f4a6e4c10"},"types":{},"parameters":{"publish":["text","idempotency_key"],"act":["what"]}}', -1568832642);
INSERT INTO kept_4.codes VALUES ('edc9d52621a5', '{"nodes":{"listen":"52216f694b35"},"types":{},"parameters":{"listen":["ctx"]}}', -884430362);
INSERT INTO kept_4.codes VALUES ('da9e05a0379a', '{"nodes":{"work":"b57e191db2bb"},"types":{},"parameters":{"heard":["ctx"],"act":["what"]}}', -1786592505);
INSERT INTO kept_4.codes VALUES ('1daef9f99068', '{"nodes":{"work":"575cf151c76c"},"types":{},"parameters":{"slept":["ctx"],"act":["what"]}}', -1446232339);
INSERT INTO kept_4.codes VALUES ('395005d7360f', '{"nodes":{"work":"3165ed00a825"},"types":{"Kept":{"topic":"str, default ''bees''","said":"str, default ''''","items":"list[str], default [''one'', ''two'']","done":"str, default ''''","results":"list[str], default []","messages":"list[Message], extend, default []"}},"parameters":{"parent":["ctx"]}}', -36964409);
INSERT INTO kept_4.codes VALUES ('3228109029a4', '{"nodes":{"work":"04f0fff024a2"},"types":{},"parameters":{"remembered":["ctx","memory"],"go_on":["ctx","done"]}}', -1609019158);
INSERT INTO kept_4.codes VALUES ('a5892cfd549c', '{"nodes":{"work":"0855384e5977"},"types":{},"parameters":{"paid":["ctx"],"found":["idempotency_key"],"pay":["idempotency_key"]}}', 45579950);
INSERT INTO kept_4.codes VALUES ('5d60e0dfbcc0', '{"nodes":{"work":"f2e048d29c7f"},"types":{},"parameters":{"bought":["ctx"],"unclear":[]}}', -1676821043);
INSERT INTO kept_4.codes VALUES ('fd730b538559', '{"nodes":{"work":"6ac192929b03"},"types":{},"parameters":{"shipped":["ctx","topic"],"ship":["item","idempotency_key"],"act":["what"]}}', 552139574);
INSERT INTO kept_4.codes VALUES ('b4818aa30f01', '{"nodes":{"work":"85cbd6829be0"},"types":{},"parameters":{"flaky":["ctx"],"act":["what"]}}', -966865807);
INSERT INTO kept_4.codes VALUES ('f510e50d67d0', '{"nodes":{"work":"2d96fa0b1cae"},"types":{},"parameters":{"delivered":["ctx","item"],"act":["what"],"deliver":["item","idempotency_key"],"go_on":["ctx","done"]}}', -1782394801);
INSERT INTO kept_4.codes VALUES ('9f9ebaffe0b6', '{"nodes":{},"types":{},"parameters":{}}', -2083565002);
INSERT INTO kept_4.graph_fields VALUES ('asked', 'input.topic');
INSERT INTO kept_4.graph_specs VALUES ('fab44a81a72bcf09', '{"format":1,"graph":"asked","version":1,"state":{"topic":"str","said":"str","items":"list[str]","done":"str","results":"list[str]","messages":"list[Message]"},"rules":{"topic":"default ''bees''","said":"default ''''","items":"default [''one'', ''two'']","done":"default ''''","results":"default []","messages":"default []"},"reducers":{"messages":"extend"},"nodes":[{"name":"work","kind":"function","writes":["done"]}],"ways":[{"from":"START","to":"work"},{"from":"work","to":"END"}]}', 1334200819);
INSERT INTO kept_4.graph_specs VALUES ('cf74369c28f500ea', '{"format":1,"graph":"turn","version":1,"state":{"topic":"str","said":"str","items":"list[str]","done":"str","results":"list[str]","messages":"list[Message]"},"rules":{"topic":"default ''bees''","said":"default ''''","items":"default [''one'', ''two'']","done":"default ''''","results":"default []","messages":"default []"},"reducers":{"messages":"extend"},"nodes":[{"name":"work","kind":"function","writes":["done"],"reads":["topic"]}],"ways":[{"from":"START","to":"work"},{"from":"work","to":"END"}]}', -1896915972);
INSERT INTO kept_4.graph_specs VALUES ('43e0efa6b7389af6', '{"format":1,"graph":"tool","version":1,"state":{"topic":"str","said":"str","items":"list[str]","done":"str","results":"list[str]","messages":"list[Message]"},"rules":{"topic":"default ''bees''","said":"default ''''","items":"default [''one'', ''two'']","done":"default ''''","results":"default []","messages":"default []"},"reducers":{"messages":"extend"},"nodes":[{"name":"work","kind":"agent","writes":["done"],"reads":["topic"],"details":{"":{"prompt":"Publish {topic}.","output":"str"}}}],"ways":[{"from":"START","to":"work"},{"from":"work","to":"END"}]}', -1023978531);
INSERT INTO kept_4.graph_specs VALUES ('24bf86fd47e42c1d', '{"format":1,"graph":"talk","version":1,"state":{"topic":"str","said":"str","items":"list[str]","done":"str","results":"list[str]","messages":"list[Message]"},"rules":{"topic":"default ''bees''","said":"default ''''","items":"default [''one'', ''two'']","done":"default ''''","results":"default []","messages":"default []"},"reducers":{"messages":"extend"},"nodes":[{"name":"listen","kind":"function","writes":["said"]},{"name":"reply","kind":"agent","writes":["done","messages"],"reads":["messages","said"],"details":{"":{"prompt":"{said}","output":"str"}}}],"ways":[{"from":"START","to":"listen"},{"from":"listen","to":"END","when":{"is":"==","of":"said","than":"bye"},"label":"said goodbye"},{"from":"listen","to":"reply"},{"from":"reply","to":"listen"}]}', -1665941243);
INSERT INTO kept_4.graph_specs VALUES ('7d08f85b317fb744', '{"format":1,"graph":"message","version":1,"state":{"topic":"str","said":"str","items":"list[str]","done":"str","results":"list[str]","messages":"list[Message]"},"rules":{"topic":"default ''bees''","said":"default ''''","items":"default [''one'', ''two'']","done":"default ''''","results":"default []","messages":"default []"},"reducers":{"messages":"extend"},"nodes":[{"name":"work","kind":"function","writes":["done"]}],"ways":[{"from":"START","to":"work"},{"from":"work","to":"END"}]}', -614218108);
INSERT INTO kept_4.graph_specs VALUES ('3e66b49c8800c33d', '{"format":1,"graph":"sleep","version":1,"state":{"topic":"str","said":"str","items":"list[str]","done":"str","results":"list[str]","messages":"list[Message]"},"rules":{"topic":"default ''bees''","said":"default ''''","items":"default [''one'', ''two'']","done":"default ''''","results":"default []","messages":"default []"},"reducers":{"messages":"extend"},"nodes":[{"name":"work","kind":"function","writes":["done"]}],"ways":[{"from":"START","to":"work"},{"from":"work","to":"END"}]}', 1403987583);
INSERT INTO kept_4.graph_specs VALUES ('ea67e9cb69a01548', '{"format":1,"graph":"child","version":1,"state":{"topic":"str","said":"str","items":"list[str]","done":"str","results":"list[str]","messages":"list[Message]"},"rules":{"topic":"default ''bees''","said":"default ''''","items":"default [''one'', ''two'']","done":"default ''''","results":"default []","messages":"default []"},"reducers":{"messages":"extend"},"nodes":[{"name":"work","kind":"function","writes":["done"]}],"ways":[{"from":"START","to":"work"},{"from":"work","to":"END"}]}', -468406152);
INSERT INTO kept_4.graph_specs VALUES ('247492a5c188e544', '{"format":1,"graph":"short","version":1,"state":{"topic":"str","said":"str","items":"list[str]","done":"str","results":"list[str]","messages":"list[Message]"},"rules":{"topic":"default ''bees''","said":"default ''''","items":"default [''one'', ''two'']","done":"default ''''","results":"default []","messages":"default []"},"reducers":{"messages":"extend"},"nodes":[{"name":"work","kind":"function","writes":["done"],"reads":["topic"]}],"ways":[{"from":"START","to":"work"},{"from":"work","to":"END"}]}', 1854141733);
INSERT INTO kept_4.graph_specs VALUES ('5405f99226c51ea8', '{"format":1,"graph":"memory","version":1,"state":{"topic":"str","said":"str","items":"list[str]","done":"str","results":"list[str]","messages":"list[Message]"},"rules":{"topic":"default ''bees''","said":"default ''''","items":"default [''one'', ''two'']","done":"default ''''","results":"default []","messages":"default []"},"reducers":{"messages":"extend"},"nodes":[{"name":"work","kind":"function","writes":["done"]}],"ways":[{"from":"START","to":"work"},{"from":"work","to":"END"}]}', 325625522);
INSERT INTO kept_4.graph_specs VALUES ('26ddbc2876106385', '{"format":1,"graph":"effect_begun","version":1,"state":{"topic":"str","said":"str","items":"list[str]","done":"str","results":"list[str]","messages":"list[Message]"},"rules":{"topic":"default ''bees''","said":"default ''''","items":"default [''one'', ''two'']","done":"default ''''","results":"default []","messages":"default []"},"reducers":{"messages":"extend"},"nodes":[{"name":"work","kind":"function","writes":["done"]}],"ways":[{"from":"START","to":"work"},{"from":"work","to":"END"}]}', -929606738);
INSERT INTO kept_4.graph_specs VALUES ('718ebc07892a3538', '{"format":1,"graph":"effect_asked","version":1,"state":{"topic":"str","said":"str","items":"list[str]","done":"str","results":"list[str]","messages":"list[Message]"},"rules":{"topic":"default ''bees''","said":"default ''''","items":"default [''one'', ''two'']","done":"default ''''","results":"default []","messages":"default []"},"reducers":{"messages":"extend"},"nodes":[{"name":"work","kind":"function","writes":["done"],"attempts":2}],"ways":[{"from":"START","to":"work"},{"from":"work","to":"END"}]}', -1325205093);
INSERT INTO kept_4.graph_specs VALUES ('afdd7446d4fe0352', '{"format":1,"graph":"key_begun","version":1,"state":{"topic":"str","said":"str","items":"list[str]","done":"str","results":"list[str]","messages":"list[Message]"},"rules":{"topic":"default ''bees''","said":"default ''''","items":"default [''one'', ''two'']","done":"default ''''","results":"default []","messages":"default []"},"reducers":{"messages":"extend"},"nodes":[{"name":"work","kind":"function","writes":["done"],"reads":["topic"]}],"ways":[{"from":"START","to":"work"},{"from":"work","to":"END"}]}', -855536855);
INSERT INTO kept_4.graph_specs VALUES ('6b169ad900700149', '{"format":1,"graph":"retry","version":1,"state":{"topic":"str","said":"str","items":"list[str]","done":"str","results":"list[str]","messages":"list[Message]"},"rules":{"topic":"default ''bees''","said":"default ''''","items":"default [''one'', ''two'']","done":"default ''''","results":"default []","messages":"default []"},"reducers":{"messages":"extend"},"nodes":[{"name":"work","kind":"function","writes":["done"],"attempts":2}],"ways":[{"from":"START","to":"work"},{"from":"work","to":"END"}]}', 1000305673);
INSERT INTO kept_4.graph_specs VALUES ('a3e833854c79009f', '{"format":1,"graph":"items","version":1,"state":{"topic":"str","said":"str","items":"list[str]","done":"str","results":"list[str]","messages":"list[Message]"},"rules":{"topic":"default ''bees''","said":"default ''''","items":"default [''one'', ''two'']","done":"default ''''","results":"default []","messages":"default []"},"reducers":{"messages":"extend"},"nodes":[{"name":"work","kind":"function","writes":["results"],"each":{"item":"items"},"reads":["item"]}],"ways":[{"from":"START","to":"work"},{"from":"work","to":"END"}]}', -478857595);
INSERT INTO kept_4.graph_specs VALUES ('e7b84f23051b7874', '{"format":1,"graph":"batch","version":1,"state":{"topic":"str","said":"str","items":"list[str]","done":"str","results":"list[str]","messages":"list[Message]"},"rules":{"topic":"default ''bees''","said":"default ''''","items":"default [''one'', ''two'']","done":"default ''''","results":"default []","messages":"default []"},"reducers":{"messages":"extend"},"nodes":[{"name":"work","kind":"agent","writes":["results"],"each":{"item":"items"},"reads":["item"],"details":{"":{"prompt":"Count {item}.","output":"str"}}}],"ways":[{"from":"START","to":"work"},{"from":"work","to":"END"}]}', 1162320830);
INSERT INTO kept_4.inbox OVERRIDING SYSTEM VALUE VALUES (1, 4, 'once 9c5ff7ef33436de7', 'message', NULL, -1932676464, 1796069747.386864, 4911340927650461144, 5);
INSERT INTO kept_4.inbox OVERRIDING SYSTEM VALUE VALUES (2, 5, 'once 118d6cdab79fba98', 'message', NULL, -410720140, 1796069747.422355, 855779741499662167, 5);
INSERT INTO kept_4.inbox OVERRIDING SYSTEM VALUE VALUES (3, 7, 'end ge:child:short-31039c8478bfd34d 2.kbfknjj', 'message', NULL, 1904986827, 1796069747.465192, 2464121514493503496, 6);
INSERT INTO kept_4.memories VALUES ('users/ada', 'food', '{"value":"rice","text":"rice"}', '''rice''', NULL, 1796069747.1464484);
INSERT INTO kept_4.memories VALUES ('users/ada', 'drink', '{"value":"tea","text":"tea"}', '''tea''', NULL, 1796069747.4949963);
INSERT INTO kept_4.meta VALUES (7, 6);
INSERT INTO kept_4.run_counts VALUES ('turn', 'running', 1, '7dd21703-760d-47ae-9cb7-5b379538bc0a');
INSERT INTO kept_4.run_counts VALUES ('turn', 'running', -1, '45c54712-3c04-49e6-811a-a6dd883afb35');
INSERT INTO kept_4.run_counts VALUES ('turn', 'waiting', 1, '81eff694-3bf8-4533-9c50-92461a38bced');
INSERT INTO kept_4.run_counts VALUES ('tool', 'running', 1, 'c7a638b5-e943-42ff-8df7-1e3585d55f54');
INSERT INTO kept_4.run_counts VALUES ('tool', 'running', -1, 'd4c4db36-868c-4c95-98c2-4b84e36c977f');
INSERT INTO kept_4.run_counts VALUES ('tool', 'waiting', 1, 'a8ca44f3-0173-40e7-9bfc-7db3285108a3');
INSERT INTO kept_4.run_counts VALUES ('talk', 'running', 1, '53804431-da2b-4862-b848-7fe81a5f6cc9');
INSERT INTO kept_4.run_counts VALUES ('talk', 'running', -1, '95b641c8-52cb-4c95-a4b3-ee6c3ee84035');
INSERT INTO kept_4.run_counts VALUES ('talk', 'waiting', 1, '3bcf3f2b-0ed0-480c-b0ba-c23a32723773');
INSERT INTO kept_4.run_counts VALUES ('talk', 'running', 1, 'dcb27db4-e42d-403b-81e2-554dcef4f5d2');
INSERT INTO kept_4.run_counts VALUES ('talk', 'waiting', -1, '81bcff7d-2f36-4f9e-a144-56c6375787f5');
INSERT INTO kept_4.run_counts VALUES ('talk', 'running', -1, '7714ae7c-841d-44ad-8075-cde981b27fe3');
INSERT INTO kept_4.run_counts VALUES ('talk', 'waiting', 1, '00fa4927-d7ba-4094-b074-fb08dd6cc85b');
INSERT INTO kept_4.run_counts VALUES ('message', 'running', 1, '7f268e72-9926-4c85-acfb-49adf5721db6');
INSERT INTO kept_4.run_counts VALUES ('message', 'running', -1, 'cc5cdf38-1b17-4166-bca7-5b2af489162f');
INSERT INTO kept_4.run_counts VALUES ('message', 'waiting', 1, '664fd88e-5ed6-4546-a630-f19fc413bcb9');
INSERT INTO kept_4.run_counts VALUES ('message', 'running', 1, 'ccd42c26-7d6f-46d6-851e-953cb43c1cad');
INSERT INTO kept_4.run_counts VALUES ('message', 'waiting', -1, '2c852409-2b78-4c02-8d81-55be3b6004b5');
INSERT INTO kept_4.run_counts VALUES ('message', 'running', -1, 'c15d2ec0-9830-4324-b6d7-1fe776ae18f5');
INSERT INTO kept_4.run_counts VALUES ('message', 'waiting', 1, '9a690c98-98cd-49ab-86c1-3d92b31806ac');
INSERT INTO kept_4.run_counts VALUES ('sleep', 'running', 1, '38d433c7-46b9-419b-840d-dda1cfaeff3a');
INSERT INTO kept_4.run_counts VALUES ('sleep', 'running', -1, '052ed89f-34f0-437f-8319-937649a36c19');
INSERT INTO kept_4.run_counts VALUES ('sleep', 'waiting', 1, '2fb76902-e297-4e38-b1b8-06835c07cf33');
INSERT INTO kept_4.run_counts VALUES ('child', 'running', 1, 'c985d67e-7576-4b33-bbcd-eb86fb3e27b7');
INSERT INTO kept_4.run_counts VALUES ('short', 'running', 1, 'e7a6bae3-a4b6-43b9-a2d8-a19c4f8a9ac7');
INSERT INTO kept_4.run_counts VALUES ('short', 'running', -1, 'f6bf312f-314c-473f-9e76-ef34b139b91f');
INSERT INTO kept_4.run_counts VALUES ('short', 'finished', 1, 'ca9a3294-d89f-4939-8326-e8004eeaaea5');
INSERT INTO kept_4.run_counts VALUES ('child', 'running', -1, '8549eb74-f064-4c75-bfa0-45e6a936c7fa');
INSERT INTO kept_4.run_counts VALUES ('child', 'waiting', 1, 'f31b4aa1-e110-4e8b-9462-f01b7c4237dc');
INSERT INTO kept_4.run_counts VALUES ('child', 'running', 1, 'e704ac9f-df49-4bc4-ba7d-0aad3ec1c847');
INSERT INTO kept_4.run_counts VALUES ('child', 'waiting', -1, 'b4d770df-c91a-413c-b14e-a950e6ee4159');
INSERT INTO kept_4.run_counts VALUES ('asked', 'waiting', 2, 'dad21dc0-8932-40b8-aa83-57a33967d03f');
INSERT INTO kept_4.run_counts VALUES ('child', 'running', -1, '3b0a991f-a329-4e38-8cf0-0458cb80adc6');
INSERT INTO kept_4.run_counts VALUES ('child', 'waiting', 1, 'bfb90882-4edd-4ad2-899f-77675513b602');
INSERT INTO kept_4.run_counts VALUES ('memory', 'running', 1, 'a1c8a01a-5ad4-4570-a114-edfee9030483');
INSERT INTO kept_4.run_counts VALUES ('memory', 'running', -1, 'bc6804e5-8484-478d-a789-d987c7af6c48');
INSERT INTO kept_4.run_counts VALUES ('memory', 'waiting', 1, 'b9930083-6a84-4e9c-8629-0b50177d1641');
INSERT INTO kept_4.run_counts VALUES ('effect_begun', 'running', 1, 'a6c74702-653c-45fd-8a26-8637c4c3590c');
INSERT INTO kept_4.run_counts VALUES ('effect_asked', 'waiting', 1, 'c784e77c-ae71-47ba-a5c7-aa24e5e7fe25');
INSERT INTO kept_4.run_counts VALUES ('key_begun', 'running', 1, 'c70bc5a5-a8ff-4753-be39-470d807689d2');
INSERT INTO kept_4.run_counts VALUES ('retry', 'running', 1, '316cc2d2-82bf-4517-bc82-7d8875959d1a');
INSERT INTO kept_4.run_counts VALUES ('items', 'running', 1, 'b8f31a26-7f24-4ca4-b3ad-320da7b95f5e');
INSERT INTO kept_4.run_counts VALUES ('items', 'running', -1, '58e48ac1-785f-4aaf-8f89-2132d970b1c8');
INSERT INTO kept_4.run_counts VALUES ('items', 'waiting', 1, '4b736eeb-f206-49f9-aa01-2bf83508395d');
INSERT INTO kept_4.run_counts VALUES ('batch', 'running', 1, '27e5074c-0608-4448-9b36-97d2840c1fd8');
INSERT INTO kept_4.run_counts VALUES ('batch', 'running', -1, '84cb3170-8d12-4201-8a67-1e4d318f57ce');
INSERT INTO kept_4.run_counts VALUES ('batch', 'waiting', 1, '66a28b83-9927-4a7d-be1e-8386afcc161d');
INSERT INTO kept_4.run_fields VALUES ('', 'input.topic', 'bees', 1800000000, 1);
INSERT INTO kept_4.run_fields VALUES ('', 'input.topic', 'long', 1800000000, 9);
INSERT INTO kept_4.run_words VALUES (1, '''asked'' ''call''', '''bees''', '', '''go'' ''on'' ''work''');
INSERT INTO kept_4.run_words VALUES (2, '''turn''', '''bees''', '', '''go'' ''on'' ''work''');
INSERT INTO kept_4.run_words VALUES (3, '''tool''', '''bees''', '', '''call'' ''editor'' ''may'' ''publish'' ''text'' ''work''');
INSERT INTO kept_4.run_words VALUES (4, '''chat'' ''talk''', '''bees''', '', '''a'' ''for'' ''listen'' ''message'' ''on'' ''said'' ''waits''');
INSERT INTO kept_4.run_words VALUES (5, '''message''', '''bees''', '', '''2'' ''a'' ''for'' ''message'' ''news'' ''on'' ''waits'' ''work''');
INSERT INTO kept_4.run_words VALUES (6, '''sleep''', '''bees''', '', '''waits''');
INSERT INTO kept_4.run_words VALUES (8, '''31039c8478bfd34d'' ''child'' ''ge'' ''short''', '''short''', '', '''otherwise''');
INSERT INTO kept_4.run_words VALUES (9, '''0cfb26d90900304c'' ''asked'' ''child'' ''ge''', '''long''', '', '''go'' ''on'' ''work''');
INSERT INTO kept_4.run_words VALUES (7, '''child''', '''bees''', '', '''0cfb26d90900304c'' ''2'' ''a'' ''asked'' ''child'' ''end'' ''for'' ''ge'' ''message'' ''on'' ''waits'' ''work''');
INSERT INTO kept_4.run_words VALUES (10, '''memory''', '''bees''', '', '''go'' ''on'' ''work''');
INSERT INTO kept_4.run_words VALUES (11, '''begun'' ''effect''', '''bees''', '', '');
INSERT INTO kept_4.run_words VALUES (12, '''asked'' ''effect''', '''bees''', '', '''and'' ''answer'' ''began'' ''did'' ''ended'' ''fail'' ''happen'' ''how'' ''if'' ''in'' ''it'' ''knows'' ''nobody'' ''not'' ''or'' ''rerun'' ''result'' ''unclear'' ''work''');
INSERT INTO kept_4.run_words VALUES (13, '''begun'' ''key''', '''bees''', '', '');
INSERT INTO kept_4.run_words VALUES (14, '''retry''', '''bees''', '', '');
INSERT INTO kept_4.run_words VALUES (15, '''items''', '''bees''', '', '''0'' ''go'' ''on'' ''work''');
INSERT INTO kept_4.run_words VALUES (16, '''batch''', '''bees''', '', '''batch'' ''for'' ''ge5bc4115f4192cd37'' ''kept'' ''model'' ''of'' ''waits''');
INSERT INTO kept_4.runs OVERRIDING SYSTEM VALUE VALUES (1, 'call', 'asked', 'fab44a81a72bcf09', 'waiting', 1800000000, NULL, 0, 1, NULL, 3743071879076597775, NULL, NULL, 'default', 0, '', 0, '{"reason":"work: Go on?","kind":"ask","waits":1,"cost_usd":0.0,"seconds":0.0,"fields":{"input.topic":"bees"}}', 0, NULL, 'bees', '', NULL, NULL, 0, 'fab44a81a72bcf09', '', '', 'glmdimg', '', '', '92a1431a8e45');
INSERT INTO kept_4.runs OVERRIDING SYSTEM VALUE VALUES (2, 'turn', 'turn', 'cf74369c28f500ea', 'waiting', 1800000000, NULL, 0, 1, NULL, 3465623800461478129, NULL, NULL, 'default', 0, '', 0, '{"reason":"work: Go on?","kind":"ask","waits":1,"cost_usd":null,"tokens":18,"seconds":0.0,"agents":{"clerk":null}}', NULL, NULL, 'bees', '', NULL, NULL, 0, 'cf74369c28f500ea', '', '', 'ckaoghl', '', '', '4a5490393677');
INSERT INTO kept_4.runs OVERRIDING SYSTEM VALUE VALUES (6, 'sleep', 'sleep', '3e66b49c8800c33d', 'waiting', 1800000000, NULL, 0, 1, NULL, 8788908334174643744, 1800003600, NULL, 'default', 0, '', 0, '{"reason":"waits","kind":"sleep","waits":1,"cost_usd":0.0,"seconds":0.0}', 0, NULL, 'bees', '', NULL, NULL, 0, '3e66b49c8800c33d', '', '', 'dgkcbii', '', '', '1daef9f99068');
INSERT INTO kept_4.runs OVERRIDING SYSTEM VALUE VALUES (3, 'tool', 'tool', '43e0efa6b7389af6', 'waiting', 1800000000, NULL, 0, 1, NULL, 7609171650358033269, NULL, NULL, 'default', 0, '', 0, '{"reason":"work: May editor call publish({\"text\": \"editor\"})?","kind":"ask","waits":1,"cost_usd":null,"seconds":0.0,"agents":{"editor":null}}', NULL, NULL, 'bees', '', NULL, NULL, 0, '43e0efa6b7389af6', '', '', 'cgijlie', '', '', '661d21f15888');
INSERT INTO kept_4.runs OVERRIDING SYSTEM VALUE VALUES (4, 'chat', 'talk', '24bf86fd47e42c1d', 'waiting', 1800000000, NULL, 0, 2, NULL, 2485679908834017064, NULL, NULL, 'default', 0, '', 0, '{"reason":"listen: waits for a message on ''said''","kind":"receive","waits":1,"cost_usd":0.25,"tokens":18,"visits":2,"seconds":0.0,"agents":{"friend":0.25}}', 0.25, NULL, 'bees', '', NULL, NULL, 0, '24bf86fd47e42c1d', '', '', 'agonomo', '', '', 'edc9d52621a5');
INSERT INTO kept_4.runs OVERRIDING SYSTEM VALUE VALUES (5, 'message', 'message', '7d08f85b317fb744', 'waiting', 1800000000, NULL, 0, 2, NULL, 5980331170421555958, NULL, NULL, 'default', 0, '', 0, '{"reason":"work#2: waits for a message on ''news''","kind":"receive","waits":1,"cost_usd":0.0,"seconds":0.0}', 0, NULL, 'bees', '', NULL, NULL, 0, '7d08f85b317fb744', '', '', 'cjjnpab', '', '', 'da9e05a0379a');
INSERT INTO kept_4.runs OVERRIDING SYSTEM VALUE VALUES (8, 'ge:child:short-31039c8478bfd34d', 'short', '247492a5c188e544', 'finished', 1800000000, NULL, 0, 1, NULL, 6178999354943921839, NULL, NULL, 'default', 0, '', 0, '{"reason":"otherwise","kind":"end","cost_usd":0.0,"visits":1,"seconds":0.0}', 0, 1800000000, 'short', '', 'child', 'child', 1, '247492a5c188e544', '', '', 'kbfknjj', 'ogcjlih', 'ogcjlih', '');
INSERT INTO kept_4.runs OVERRIDING SYSTEM VALUE VALUES (9, 'ge:child:asked-0cfb26d90900304c', 'asked', 'fab44a81a72bcf09', 'waiting', 1800000000, NULL, 0, 1, NULL, 1805289159346439461, NULL, NULL, 'default', 0, '', 0, '{"reason":"work: Go on?","kind":"ask","waits":1,"cost_usd":0.0,"seconds":0.0,"fields":{"input.topic":"long"}}', 0, NULL, 'long', '', 'child', 'child', 1, 'fab44a81a72bcf09', '', '', 'jacklid', 'ogcjlih', 'ogcjlih', '92a1431a8e45');
INSERT INTO kept_4.runs OVERRIDING SYSTEM VALUE VALUES (7, 'child', 'child', 'ea67e9cb69a01548', 'waiting', 1800000000, NULL, 0, 2, NULL, 1598464215863233349, NULL, NULL, 'default', 0, '', 0, '{"reason":"work#2: waits for a message on ''ge:end:ge:child:asked-0cfb26d90900304c''","kind":"receive","waits":1,"cost_usd":0.0,"seconds":0.0}', 0, NULL, 'bees', '', NULL, NULL, 0, 'ea67e9cb69a01548', '', '', 'ogcjlih', '', '', '395005d7360f');
INSERT INTO kept_4.runs OVERRIDING SYSTEM VALUE VALUES (10, 'memory', 'memory', '5405f99226c51ea8', 'waiting', 1800000000, NULL, 0, 1, NULL, 2091874485614485305, NULL, NULL, 'default', 0, '', 0, '{"reason":"work: Go on?","kind":"ask","waits":1,"cost_usd":0.0,"seconds":0.0}', 0, NULL, 'bees', '', NULL, NULL, 0, '5405f99226c51ea8', '', '', 'hkjpodc', '', '', '3228109029a4');
INSERT INTO kept_4.runs OVERRIDING SYSTEM VALUE VALUES (11, 'effect_begun', 'effect_begun', '26ddbc2876106385', 'running', 1800000000, NULL, 0, 1, NULL, 1237888297263991637, NULL, 1796069747.506473, 'default', 0, '', 0, NULL, NULL, NULL, 'bees', '', NULL, NULL, 0, '26ddbc2876106385', '', '', 'iehcekn', '', '', 'a5892cfd549c');
INSERT INTO kept_4.runs OVERRIDING SYSTEM VALUE VALUES (12, 'effect_asked', 'effect_asked', '718ebc07892a3538', 'waiting', 1800000000, NULL, 0, 1, NULL, 8406540437988188618, NULL, NULL, 'default', 0, '', 0, '{"reason":"work: unclear in work began, and nobody knows how it ended. Answer rerun if it did not happen, {\"result\": …} if it did, or fail.","kind":"unknown","waits":1,"cost_usd":0.0,"seconds":0.0,"losses":{"retries":1}}', 0, NULL, 'bees', '', NULL, NULL, 0, '718ebc07892a3538', '', '', 'pmecdnm', '', '', '5d60e0dfbcc0');
INSERT INTO kept_4.runs OVERRIDING SYSTEM VALUE VALUES (13, 'key_begun', 'key_begun', 'afdd7446d4fe0352', 'running', 1800000000, NULL, 0, 1, NULL, 353379397766234396, NULL, 1796069747.522769, 'default', 0, '', 0, NULL, NULL, NULL, 'bees', '', NULL, NULL, 0, 'afdd7446d4fe0352', '', '', 'ndbmooh', '', '', 'fd730b538559');
INSERT INTO kept_4.runs OVERRIDING SYSTEM VALUE VALUES (14, 'retry', 'retry', '6b169ad900700149', 'running', 1800000000, NULL, 0, 1, NULL, 2139307064463002631, NULL, 1796069747.532867, 'default', 0, '', 0, NULL, NULL, NULL, 'bees', '', NULL, NULL, 0, '6b169ad900700149', '', '', 'nffcjmf', '', '', 'b4818aa30f01');
INSERT INTO kept_4.runs OVERRIDING SYSTEM VALUE VALUES (15, 'items', 'items', 'a3e833854c79009f', 'waiting', 1800000000, NULL, 0, 1, NULL, 7025440186521054971, NULL, NULL, 'default', 0, '', 0, '{"reason":"work[0]: Go on?","kind":"ask","waits":2,"cost_usd":0.0,"seconds":0.0}', 0, NULL, 'bees', '', NULL, NULL, 0, 'a3e833854c79009f', '', '', 'eicopkk', '', '', 'f510e50d67d0');
INSERT INTO kept_4.runs OVERRIDING SYSTEM VALUE VALUES (16, 'batch', 'batch', 'e7b84f23051b7874', 'waiting', 1800000000, NULL, 0, 1, NULL, 968276128762469724, 1800000030, NULL, 'default', 0, '', 0, '{"reason":"waits for batch batch ge5bc4115f4192cd37 of kept:model","kind":"sleep","waits":2,"cost_usd":0.0,"seconds":0.0}', 0, NULL, 'bees', '', NULL, NULL, 0, 'e7b84f23051b7874', '', '', 'pclohjd', '', '', '9f9ebaffe0b6');
INSERT INTO kept_4.steps VALUES (1, 1800000000, 1, 660681766, '{"kind":"started","at":1800000000.0,"update":[["set","topic","bees"],["set","said",""],["set","items",["one","two"]],["set","done",""],["set","results",[]],["set","messages",[]]],"data":{"to":["work"],"way":0,"run_id":"call","graph":"asked","fingerprint":"fab44a81a72bcf09","limits":{"visits":1000},"version":1,"origin":{"version":"0.1.0","models":{"*":"object kept:model"},"wings":[]},"nonce":"glmdimg"}}');
INSERT INTO kept_4.steps VALUES (1, 1800000000, 2, -1933459228, '{"kind":"recorded","at":1800000000.0,"node":"work","visit":1,"attempt":1,"began":1800000000.0,"data":{"key":"act|d07e71fc928d6bd6ac|1","name":"act","value":"first done","code":"92a1431a8e45"}}');
INSERT INTO kept_4.steps VALUES (1, 1800000000, 3, 1639389491, '{"kind":"recorded","at":1800000000.0,"node":"work","visit":1,"attempt":1,"began":1800000000.0,"data":{"key":"act|named|1","name":"act","value":"second done"}}');
INSERT INTO kept_4.steps VALUES (1, 1800000000, 4, -293094518, '{"kind":"waiting","at":1800000000.0,"node":"work","visit":1,"attempt":1,"began":1800000000.0,"data":{"waits":{"work":{"kind":"ask","question":"Go on?","schema":{"type":"boolean"},"key":"ask|7ae5a82982928e96bb|1"}}}}');
INSERT INTO kept_4.steps VALUES (2, 1800000000, 1, 2070359383, '{"kind":"started","at":1800000000.0,"update":[["set","topic","bees"],["set","said",""],["set","items",["one","two"]],["set","done",""],["set","results",[]],["set","messages",[]]],"data":{"to":["work"],"way":0,"run_id":"turn","graph":"turn","fingerprint":"cf74369c28f500ea","limits":{"visits":1000},"version":1,"origin":{"version":"0.1.0","models":{"*":"object kept:model"},"wings":[]},"nonce":"ckaoghl"}}');
INSERT INTO kept_4.steps VALUES (2, 1800000000, 2, 2101495857, '{"kind":"recorded","at":1800000000.0,"node":"work","visit":1,"attempt":1,"began":1800000000.0,"data":{"usage":{"calls":1,"offline_calls":0,"input_tokens":0,"output_tokens":0,"cost_usd":null},"key":"agent clerk|bc49a9d66626e4861c|1/turn|1|1","name":"turn","value":{"text":"","stop":"end","calls":[{"id":"call-1","name":"look_up","arguments":"{\"text\": \"clerk\"}"}],"question":"Look up bees."},"by":{"agent":"clerk","model":"kept:model"},"code":"4a5490393677"}}');
INSERT INTO kept_4.steps VALUES (2, 1800000000, 3, -984338939, '{"kind":"recorded","at":1800000000.0,"node":"work","visit":1,"attempt":1,"began":1800000000.0,"data":{"key":"agent clerk|bc49a9d66626e4861c|1/tool look_up|1.0|1","name":"tool look_up","value":{"text":"look up clerk done"}}}');
INSERT INTO kept_4.steps VALUES (2, 1800000000, 4, 686261351, '{"kind":"recorded","at":1800000000.0,"node":"work","visit":1,"attempt":1,"began":1800000000.0,"data":{"usage":{"calls":1,"offline_calls":0,"input_tokens":11,"output_tokens":7,"cost_usd":0.25},"key":"agent clerk|bc49a9d66626e4861c|1/turn|2|1","name":"turn","value":{"text":"clerk has 1 results","stop":"end","input_tokens":11,"output_tokens":7,"cost_usd":0.25},"by":{"agent":"clerk","model":"kept:model"}}}');
INSERT INTO kept_4.steps VALUES (2, 1800000000, 5, -483548280, '{"kind":"waiting","at":1800000000.0,"node":"work","visit":1,"attempt":1,"began":1800000000.0,"data":{"waits":{"work":{"kind":"ask","question":"Go on?","schema":{"type":"boolean"},"key":"ask|7ae5a82982928e96bb|1"}}}}');
INSERT INTO kept_4.steps VALUES (3, 1800000000, 1, 1640982578, '{"kind":"started","at":1800000000.0,"update":[["set","topic","bees"],["set","said",""],["set","items",["one","two"]],["set","done",""],["set","results",[]],["set","messages",[]]],"data":{"to":["work"],"way":0,"run_id":"tool","graph":"tool","fingerprint":"43e0efa6b7389af6","limits":{"visits":1000},"version":1,"origin":{"version":"0.1.0","models":{"*":"object kept:model"},"wings":[]},"nonce":"cgijlie"}}');
INSERT INTO kept_4.steps VALUES (3, 1800000000, 2, 1889146735, '{"kind":"recorded","at":1800000000.0,"node":"work","visit":1,"attempt":1,"began":1800000000.0,"data":{"usage":{"calls":1,"offline_calls":0,"input_tokens":0,"output_tokens":0,"cost_usd":null},"key":"agent editor|bc49a9d66626e4861c|1/turn|1|1","name":"turn","value":{"text":"","stop":"end","calls":[{"id":"call-1","name":"publish","arguments":"{\"text\": \"editor\"}"}],"question":"Publish bees.","inputs":{"topic":"dffc04219983c56487"}},"by":{"agent":"editor","model":"kept:model"},"code":"661d21f15888"}}');
INSERT INTO kept_4.steps VALUES (3, 1800000000, 3, 805180054, '{"kind":"waiting","at":1800000000.0,"node":"work","visit":1,"attempt":1,"began":1800000000.0,"data":{"waits":{"work":{"kind":"ask","question":"May editor call publish({\"text\": \"editor\"})?","schema":{"anyOf":[{"type":"boolean","title":"approve"},{"type":"object","title":"refuse with a reason","properties":{"refuse":{"type":"string","examples":["the reason"]}},"required":["refuse"],"additionalProperties":false},{"type":"object","title":"change the arguments","properties":{"arguments":{"type":"object","properties":{"text":{"type":"string","default":"editor"}},"additionalProperties":false}},"required":["arguments"],"additionalProperties":false}]},"key":"agent editor|bc49a9d66626e4861c|1/ask|b9cc97c338bf7b492e|1"}}}}');
INSERT INTO kept_4.steps VALUES (4, 1800000000, 1, 1059162578, '{"kind":"started","at":1800000000.0,"update":[["set","topic","bees"],["set","said",""],["set","items",["one","two"]],["set","done",""],["set","results",[]],["set","messages",[]]],"data":{"to":["listen"],"way":0,"run_id":"chat","graph":"talk","fingerprint":"24bf86fd47e42c1d","limits":{"visits":1000},"version":1,"origin":{"version":"0.1.0","models":{"*":"object kept:model"},"wings":[]},"nonce":"agonomo"}}');
INSERT INTO kept_4.steps VALUES (4, 1800000000, 2, -104205004, '{"kind":"waiting","at":1800000000.0,"node":"listen","visit":1,"attempt":1,"began":1800000000.0,"data":{"waits":{"listen":{"kind":"receive","question":"a message on ''said''","topic":"said","schema":{"type":"string"},"key":"receive|4fc2aa67b33de0ce72|1"}},"code":"edc9d52621a5"}}');
INSERT INTO kept_4.steps VALUES (4, 1800000000, 3, -2142801958, '{"kind":"resumed","at":1800000000.0,"data":{"limits":{"visits":1000},"fingerprint":"24bf86fd47e42c1d","origin":{"version":"0.1.0","models":{"*":"object kept:model"},"wings":[]}}}');
INSERT INTO kept_4.steps VALUES (4, 1800000000, 4, 689785204, '{"kind":"message","at":1800000000.0,"data":{"topic":"said","payload":"hello"}}');
INSERT INTO kept_4.steps VALUES (4, 1800000000, 5, -1459918470, '{"kind":"answered","at":1800000000.0,"node":"listen","visit":1,"attempt":1,"data":{"wait":"listen","by":"message","answer":{"value":"hello"}}}');
INSERT INTO kept_4.steps VALUES (4, 1800000000, 6, -1163492387, '{"kind":"node","at":1800000000.0,"node":"listen","visit":1,"attempt":1,"began":1800000000.0,"update":[["set","said","hello"]],"data":{"to":["reply"],"way":2,"tests":[[1,"hello"]],"given":["said"]}}');
INSERT INTO kept_4.steps VALUES (4, 1800000000, 7, 2068816682, '{"kind":"recorded","at":1800000000.0,"node":"reply","visit":1,"attempt":1,"began":1800000000.0,"data":{"usage":{"calls":1,"offline_calls":0,"input_tokens":11,"output_tokens":7,"cost_usd":0.25},"key":"agent friend|01e753f9f9745db765|1/turn|1|1","name":"turn","value":{"text":"friend has 0 results","stop":"end","input_tokens":11,"output_tokens":7,"cost_usd":0.25,"question":"hello","inputs":{"messages":"a36f9accd7d3753186","said":"910d5c040e9107bd8d"}},"by":{"agent":"friend","model":"kept:model"}}}');
INSERT INTO kept_4.steps VALUES (4, 1800000000, 8, -1471854255, '{"kind":"node","at":1800000000.0,"node":"reply","visit":1,"attempt":1,"began":1800000000.0,"update":[["set","done","friend has 0 results"],["extend","messages",[{"role":"user","text":"hello","agent":"friend"},{"role":"assistant","text":"friend has 0 results","agent":"friend","tokens":18}]]],"data":{"to":["listen"],"way":3}}');
INSERT INTO kept_4.steps VALUES (4, 1800000000, 9, -1856276445, '{"kind":"waiting","at":1800000000.0,"node":"listen","visit":2,"attempt":1,"began":1800000000.0,"data":{"waits":{"listen":{"kind":"receive","question":"a message on ''said''","topic":"said","schema":{"type":"string"},"key":"receive|4fc2aa67b33de0ce72|1"}}}}');
INSERT INTO kept_4.steps VALUES (5, 1800000000, 1, -1427104678, '{"kind":"started","at":1800000000.0,"update":[["set","topic","bees"],["set","said",""],["set","items",["one","two"]],["set","done",""],["set","results",[]],["set","messages",[]]],"data":{"to":["work"],"way":0,"run_id":"message","graph":"message","fingerprint":"7d08f85b317fb744","limits":{"visits":1000},"version":1,"origin":{"version":"0.1.0","models":{"*":"object kept:model"},"wings":[]},"nonce":"cjjnpab"}}');
INSERT INTO kept_4.steps VALUES (5, 1800000000, 2, -1578596525, '{"kind":"waiting","at":1800000000.0,"node":"work","visit":1,"attempt":1,"began":1800000000.0,"data":{"waits":{"work":{"kind":"receive","question":"a message on ''news''","topic":"news","schema":{"type":"string"},"key":"receive|546069b1c43c88f029|1"}},"code":"da9e05a0379a"}}');
INSERT INTO kept_4.steps VALUES (5, 1800000000, 3, 1668359943, '{"kind":"resumed","at":1800000000.0,"data":{"limits":{"visits":1000},"fingerprint":"7d08f85b317fb744","origin":{"version":"0.1.0","models":{"*":"object kept:model"},"wings":[]}}}');
INSERT INTO kept_4.steps VALUES (5, 1800000000, 4, -776662088, '{"kind":"message","at":1800000000.0,"data":{"topic":"news","payload":"one"}}');
INSERT INTO kept_4.steps VALUES (5, 1800000000, 5, 1040786751, '{"kind":"answered","at":1800000000.0,"node":"work","visit":1,"attempt":1,"data":{"wait":"work","by":"message","answer":{"value":"one"}}}');
INSERT INTO kept_4.steps VALUES (5, 1800000000, 6, -100705701, '{"kind":"recorded","at":1800000000.0,"node":"work","visit":1,"attempt":1,"began":1800000000.0,"data":{"key":"act|393238ec9c16e87f2a|1","name":"act","value":"between done"}}');
INSERT INTO kept_4.steps VALUES (5, 1800000000, 7, -2069826611, '{"kind":"waiting","at":1800000000.0,"node":"work","visit":1,"attempt":1,"began":1800000000.0,"data":{"waits":{"work#2":{"kind":"receive","question":"a message on ''news''","topic":"news","schema":{"type":"string"},"key":"receive|546069b1c43c88f029|2"}}}}');
INSERT INTO kept_4.steps VALUES (6, 1800000000, 1, 404740225, '{"kind":"started","at":1800000000.0,"update":[["set","topic","bees"],["set","said",""],["set","items",["one","two"]],["set","done",""],["set","results",[]],["set","messages",[]]],"data":{"to":["work"],"way":0,"run_id":"sleep","graph":"sleep","fingerprint":"3e66b49c8800c33d","limits":{"visits":1000},"version":1,"origin":{"version":"0.1.0","models":{"*":"object kept:model"},"wings":[]},"nonce":"dgkcbii"}}');
INSERT INTO kept_4.steps VALUES (6, 1800000000, 2, 1107762634, '{"kind":"recorded","at":1800000000.0,"node":"work","visit":1,"attempt":1,"began":1800000000.0,"data":{"key":"act|7e201e54bc54fd13ce|1","name":"act","value":"before the sleep done","code":"1daef9f99068"}}');
INSERT INTO kept_4.steps VALUES (6, 1800000000, 3, -2099006183, '{"kind":"waiting","at":1800000000.0,"node":"work","visit":1,"attempt":1,"began":1800000000.0,"data":{"waits":{"work":{"kind":"sleep","question":"3600 s","due":1800003600.0,"key":"sleep|e29a70a49909029e01|1"}}}}');
INSERT INTO kept_4.steps VALUES (7, 1800000000, 1, 851206265, '{"kind":"started","at":1800000000.0,"update":[["set","topic","bees"],["set","said",""],["set","items",["one","two"]],["set","done",""],["set","results",[]],["set","messages",[]]],"data":{"to":["work"],"way":0,"run_id":"child","graph":"child","fingerprint":"ea67e9cb69a01548","limits":{"visits":1000},"version":1,"origin":{"version":"0.1.0","models":{"*":"object kept:model"},"wings":[]},"nonce":"ogcjlih"}}');
INSERT INTO kept_4.steps VALUES (8, 1800000000, 1, -1851521095, '{"kind":"started","at":1800000000.0,"update":[["set","topic","short"],["set","said",""],["set","items",["one","two"]],["set","done",""],["set","results",[]],["set","messages",[]]],"data":{"to":["work"],"way":0,"run_id":"ge:child:short-31039c8478bfd34d","graph":"short","fingerprint":"247492a5c188e544","limits":{"visits":1000},"version":1,"starter":{"run_id":"child","node":"work","visit":1,"root":"child","nonce":"ogcjlih","root_nonce":"ogcjlih"},"origin":{"version":"0.1.0","models":{"*":"object kept:model"},"wings":[]},"written":["topic"],"nonce":"kbfknjj","key_base":"ge:child:short-89ecd37801b783af"}}');
INSERT INTO kept_4.steps VALUES (7, 1800000000, 2, 2022917981, '{"kind":"recorded","at":1800000000.0,"node":"work","visit":1,"attempt":1,"began":1800000000.0,"data":{"key":"start a run|c5b709320807180566|1","name":"start a run","value":{"run_id":"ge:child:short-31039c8478bfd34d","by":"child"},"code":"395005d7360f"}}');
INSERT INTO kept_4.steps VALUES (8, 1800000000, 2, -1318809294, '{"kind":"node","at":1800000000.0,"node":"work","visit":1,"attempt":1,"began":1800000000.0,"update":[["set","done","child short done"]],"data":{"status":"finished","ending":{"reason":"end","label":"","condition":"","why":"otherwise"},"to":["END"],"way":1}}');
INSERT INTO kept_4.steps VALUES (7, 1800000000, 3, 343296358, '{"kind":"waiting","at":1800000000.0,"node":"work","visit":1,"attempt":1,"began":1800000000.0,"data":{"waits":{"work":{"kind":"receive","question":"the end of run ge:child:short-31039c8478bfd34d","topic":"ge:end:ge:child:short-31039c8478bfd34d","key":"receive|aad41706a5a2ad0998|1","keeps_slot":true,"together":true}}}}');
INSERT INTO kept_4.steps VALUES (7, 1800000000, 4, 45165829, '{"kind":"resumed","at":1800000000.0,"data":{"limits":{"visits":1000},"fingerprint":"ea67e9cb69a01548","origin":{"version":"0.1.0","models":{"*":"object kept:model"},"wings":[]}}}');
INSERT INTO kept_4.steps VALUES (7, 1800000000, 5, 346977995, '{"kind":"message","at":1800000000.0,"data":{"topic":"ge:end:ge:child:short-31039c8478bfd34d","payload":{"run_id":"ge:child:short-31039c8478bfd34d","graph":"short","status":"finished","seq":2},"told":true}}');
INSERT INTO kept_4.steps VALUES (7, 1800000000, 6, -1317844549, '{"kind":"answered","at":1800000000.0,"node":"work","visit":1,"attempt":1,"data":{"wait":"work","by":"message","answer":{"value":{"run_id":"ge:child:short-31039c8478bfd34d","graph":"short","status":"finished","seq":2}}}}');
INSERT INTO kept_4.steps VALUES (7, 1800000000, 7, -353398745, '{"kind":"recorded","at":1800000000.0,"node":"work","visit":1,"attempt":1,"began":1800000000.0,"data":{"key":"child ge:child:short-31039c8478bfd34d|2|1","name":"child ge:child:short-31039c8478bfd34d","value":{"attempt":1,"seq":2,"values":{"topic":"short","said":"","items":["one","two"],"done":"child short done","results":[],"messages":[]},"ending":{"reason":"end","label":"","condition":"","why":"otherwise"},"visits":1,"seconds":0.0,"fingerprint":"247492a5c188e544"}}}');
INSERT INTO kept_4.steps VALUES (9, 1800000000, 1, 510778142, '{"kind":"started","at":1800000000.0,"update":[["set","topic","long"],["set","said",""],["set","items",["one","two"]],["set","done",""],["set","results",[]],["set","messages",[]]],"data":{"to":["work"],"way":0,"run_id":"ge:child:asked-0cfb26d90900304c","graph":"asked","fingerprint":"fab44a81a72bcf09","limits":{"visits":1000},"version":1,"starter":{"run_id":"child","node":"work","visit":1,"root":"child","nonce":"ogcjlih","root_nonce":"ogcjlih"},"origin":{"version":"0.1.0","models":{"*":"object kept:model"},"wings":[]},"written":["topic"],"nonce":"jacklid","key_base":"ge:child:asked-1248abe233cb78d5"}}');
INSERT INTO kept_4.steps VALUES (7, 1800000000, 8, -1112270999, '{"kind":"recorded","at":1800000000.0,"node":"work","visit":1,"attempt":1,"began":1800000000.0,"data":{"key":"start a run|77096a2cf0b7ecb075|1","name":"start a run","value":{"run_id":"ge:child:asked-0cfb26d90900304c","by":"child"}}}');
INSERT INTO kept_4.steps VALUES (9, 1800000000, 2, -579432030, '{"kind":"recorded","at":1800000000.0,"node":"work","visit":1,"attempt":1,"began":1800000000.0,"data":{"key":"act|d07e71fc928d6bd6ac|1","name":"act","value":"first done","code":"92a1431a8e45"}}');
INSERT INTO kept_4.steps VALUES (7, 1800000000, 9, 821676122, '{"kind":"waiting","at":1800000000.0,"node":"work","visit":1,"attempt":1,"began":1800000000.0,"data":{"waits":{"work#2":{"kind":"receive","question":"the end of run ge:child:asked-0cfb26d90900304c","topic":"ge:end:ge:child:asked-0cfb26d90900304c","key":"receive|fa9f60a6beffabaa07|1","keeps_slot":true,"together":true}}}}');
INSERT INTO kept_4.steps VALUES (9, 1800000000, 3, -1709089704, '{"kind":"recorded","at":1800000000.0,"node":"work","visit":1,"attempt":1,"began":1800000000.0,"data":{"key":"act|named|1","name":"act","value":"second done"}}');
INSERT INTO kept_4.steps VALUES (9, 1800000000, 4, 1161281852, '{"kind":"waiting","at":1800000000.0,"node":"work","visit":1,"attempt":1,"began":1800000000.0,"data":{"waits":{"work":{"kind":"ask","question":"Go on?","schema":{"type":"boolean"},"key":"ask|7ae5a82982928e96bb|1"}}}}');
INSERT INTO kept_4.steps VALUES (10, 1800000000, 1, 1863515101, '{"kind":"started","at":1800000000.0,"update":[["set","topic","bees"],["set","said",""],["set","items",["one","two"]],["set","done",""],["set","results",[]],["set","messages",[]]],"data":{"to":["work"],"way":0,"run_id":"memory","graph":"memory","fingerprint":"5405f99226c51ea8","limits":{"visits":1000},"version":1,"origin":{"version":"0.1.0","models":{"*":"object kept:model"},"wings":[]},"nonce":"hkjpodc"}}');
INSERT INTO kept_4.steps VALUES (10, 1800000000, 2, -824023764, '{"kind":"recorded","at":1800000000.0,"node":"work","visit":1,"attempt":1,"began":1800000000.0,"data":{"key":"Memory.put|dd03bb9b5e2a8db84e|1","name":"Memory.put","value":null,"code":"3228109029a4"}}');
INSERT INTO kept_4.steps VALUES (10, 1800000000, 3, 1641408979, '{"kind":"recorded","at":1800000000.0,"node":"work","visit":1,"attempt":1,"began":1800000000.0,"data":{"key":"Memory.get|8f4e9a3a668848fb96|1","name":"Memory.get","value":{"namespace":"users/ada","key":"food","value":"rice","text":"rice","updated_at":1796069747.1464484,"score":0.0}}}');
INSERT INTO kept_4.steps VALUES (10, 1800000000, 4, 1387261465, '{"kind":"waiting","at":1800000000.0,"node":"work","visit":1,"attempt":1,"began":1800000000.0,"data":{"waits":{"work":{"kind":"ask","question":"Go on?","schema":{"type":"boolean"},"key":"ask|7ae5a82982928e96bb|1"}}}}');
INSERT INTO kept_4.steps VALUES (11, 1800000000, 1, -956041569, '{"kind":"started","at":1800000000.0,"update":[["set","topic","bees"],["set","said",""],["set","items",["one","two"]],["set","done",""],["set","results",[]],["set","messages",[]]],"data":{"to":["work"],"way":0,"run_id":"effect_begun","graph":"effect_begun","fingerprint":"26ddbc2876106385","limits":{"visits":1000},"version":1,"origin":{"version":"0.1.0","models":{"*":"object kept:model"},"wings":[]},"nonce":"iehcekn"}}');
INSERT INTO kept_4.steps VALUES (11, 1800000000, 2, 152084779, '{"kind":"begun","at":1800000000.0,"node":"work","visit":1,"attempt":1,"data":{"key":"pay|15b33c85c6cc8cd903|1","name":"pay","idempotency_key":"effect_begun/work:1/pay|15b33c85c6cc8cd903|1","reconcile":"found","code":"a5892cfd549c"}}');
INSERT INTO kept_4.steps VALUES (12, 1800000000, 1, -61343585, '{"kind":"started","at":1800000000.0,"update":[["set","topic","bees"],["set","said",""],["set","items",["one","two"]],["set","done",""],["set","results",[]],["set","messages",[]]],"data":{"to":["work"],"way":0,"run_id":"effect_asked","graph":"effect_asked","fingerprint":"718ebc07892a3538","limits":{"visits":1000},"version":1,"origin":{"version":"0.1.0","models":{"*":"object kept:model"},"wings":[]},"nonce":"pmecdnm"}}');
INSERT INTO kept_4.steps VALUES (12, 1800000000, 2, 1487330536, '{"kind":"begun","at":1800000000.0,"node":"work","visit":1,"attempt":1,"data":{"key":"unclear|15b33c85c6cc8cd903|1","name":"unclear","idempotency_key":"effect_asked/work:1/unclear|15b33c85c6cc8cd903|1","code":"5d60e0dfbcc0"}}');
INSERT INTO kept_4.steps VALUES (12, 1800000000, 3, -94519841, '{"kind":"attempt","at":1800000000.0,"node":"work","visit":1,"attempt":1,"began":1800000000.0,"data":{"error":{"path":"work","kind":"ConnectionError","message":"the connection broke","attempt":1,"traceback":"Traceback (most recent call last):\n  File \"tests/kit/unfinished.py\", line 241, in bought\n    return await ctx.call(unclear, effect=\"once\")\n           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^\n  File \"tests/kit/unfinished.py\", line 236, in unclear\n    raise ConnectionError(\"the connection broke\")\nConnectionError: the connection broke\n","names":["ConnectionError","OSError","Exception","BaseException"]},"chance":0.26029843138636,"keep_results":true,"due_at":1800000000.0}}');
INSERT INTO kept_4.steps VALUES (12, 1800000000, 4, 1002531605, '{"kind":"waiting","at":1800000000.0,"node":"work","visit":1,"attempt":2,"began":1800000000.0,"data":{"waits":{"work":{"kind":"unknown","question":"unclear in work began, and nobody knows how it ended.\nAnswer rerun if it did not happen, {\"result\": …} if it did, or fail.","schema":{"anyOf":[{"enum":["rerun","fail"]},{"type":"object","required":["result"],"maxProperties":1}]},"key":"unknown unclear|15b33c85c6cc8cd903|1|2"}}}}');
INSERT INTO kept_4.steps VALUES (13, 1800000000, 1, -1133791955, '{"kind":"started","at":1800000000.0,"update":[["set","topic","bees"],["set","said",""],["set","items",["one","two"]],["set","done",""],["set","results",[]],["set","messages",[]]],"data":{"to":["work"],"way":0,"run_id":"key_begun","graph":"key_begun","fingerprint":"afdd7446d4fe0352","limits":{"visits":1000},"version":1,"origin":{"version":"0.1.0","models":{"*":"object kept:model"},"wings":[]},"nonce":"ndbmooh"}}');
INSERT INTO kept_4.steps VALUES (13, 1800000000, 2, -1881793331, '{"kind":"begun","at":1800000000.0,"node":"work","visit":1,"attempt":1,"data":{"idempotent":true,"key":"ship|a1fa9018c482ce5fac|1","name":"ship","arguments":{"item":"bees"},"idempotency_key":"key_begun/work:1/ship|a1fa9018c482ce5fac|1","code":"fd730b538559"}}');
INSERT INTO kept_4.steps VALUES (14, 1800000000, 1, 1752826836, '{"kind":"started","at":1800000000.0,"update":[["set","topic","bees"],["set","said",""],["set","items",["one","two"]],["set","done",""],["set","results",[]],["set","messages",[]]],"data":{"to":["work"],"way":0,"run_id":"retry","graph":"retry","fingerprint":"6b169ad900700149","limits":{"visits":1000},"version":1,"origin":{"version":"0.1.0","models":{"*":"object kept:model"},"wings":[]},"nonce":"nffcjmf"}}');
INSERT INTO kept_4.steps VALUES (14, 1800000000, 2, 803006854, '{"kind":"recorded","at":1800000000.0,"node":"work","visit":1,"attempt":1,"began":1800000000.0,"data":{"key":"act|0a06625019964a753f|1","name":"act","value":"before the failure done","code":"b4818aa30f01"}}');
INSERT INTO kept_4.steps VALUES (14, 1800000000, 3, 2011074472, '{"kind":"attempt","at":1800000000.0,"node":"work","visit":1,"attempt":1,"began":1800000000.0,"data":{"error":{"path":"work","kind":"ConnectionError","message":"the bank is down","attempt":1,"traceback":"Traceback (most recent call last):\n  File \"tests/kit/unfinished.py\", line 262, in flaky\n    raise ConnectionError(\"the bank is down\")\nConnectionError: the bank is down\n","names":["ConnectionError","OSError","Exception","BaseException"]},"chance":0.38288007962139337,"keep_results":true,"due_at":1800000030.0}}');
INSERT INTO kept_4.steps VALUES (15, 1800000000, 1, 1293729485, '{"kind":"started","at":1800000000.0,"update":[["set","topic","bees"],["set","said",""],["set","items",["one","two"]],["set","done",""],["set","results",[]],["set","messages",[]]],"data":{"to":["work"],"way":0,"run_id":"items","graph":"items","fingerprint":"a3e833854c79009f","limits":{"visits":1000},"version":1,"origin":{"version":"0.1.0","models":{"*":"object kept:model"},"wings":[]},"nonce":"eicopkk"}}');
INSERT INTO kept_4.steps VALUES (15, 1800000000, 2, 557439556, '{"kind":"mapped","at":1800000000.0,"node":"work","visit":1,"attempt":1,"data":{"count":2,"concurrency":16,"fields":{"item":"items"}}}');
INSERT INTO kept_4.steps VALUES (15, 1800000000, 3, -1242244465, '{"kind":"recorded","at":1800000000.0,"frame":"work[0]","node":"work","visit":1,"attempt":1,"began":1800000000.0,"data":{"key":"act|8db0af13dacf2cb4a0|1","name":"act","value":"pack one done","code":"f510e50d67d0"}}');
INSERT INTO kept_4.steps VALUES (15, 1800000000, 4, 1552877322, '{"kind":"recorded","at":1800000000.0,"frame":"work[1]","node":"work","visit":1,"attempt":1,"began":1800000000.0,"data":{"key":"act|b8be9772ef75d6197d|1","name":"act","value":"pack two done"}}');
INSERT INTO kept_4.steps VALUES (15, 1800000000, 5, -934662091, '{"kind":"waiting","at":1800000000.0,"frame":"work[0]","node":"work","visit":1,"attempt":1,"began":1800000000.0,"data":{"waits":{"work[0]":{"kind":"ask","question":"Go on?","schema":{"type":"boolean"},"key":"ask|7ae5a82982928e96bb|1"}}}}');
INSERT INTO kept_4.steps VALUES (15, 1800000000, 6, 1008428325, '{"kind":"waiting","at":1800000000.0,"frame":"work[1]","node":"work","visit":1,"attempt":1,"began":1800000000.0,"data":{"waits":{"work[1]":{"kind":"ask","question":"Go on?","schema":{"type":"boolean"},"key":"ask|7ae5a82982928e96bb|1"}}}}');
INSERT INTO kept_4.steps VALUES (16, 1800000000, 1, 511966555, '{"kind":"started","at":1800000000.0,"update":[["set","topic","bees"],["set","said",""],["set","items",["one","two"]],["set","done",""],["set","results",[]],["set","messages",[]]],"data":{"to":["work"],"way":0,"run_id":"batch","graph":"batch","fingerprint":"e7b84f23051b7874","limits":{"visits":1000},"version":1,"origin":{"version":"0.1.0","models":{"*":"object kept:model"},"wings":[]},"nonce":"pclohjd"}}');
INSERT INTO kept_4.steps VALUES (16, 1800000000, 2, -1890727457, '{"kind":"mapped","at":1800000000.0,"node":"work","visit":1,"attempt":1,"data":{"count":2,"concurrency":16,"fields":{"item":"items"}}}');
INSERT INTO kept_4.steps VALUES (16, 1800000000, 3, -848564222, '{"kind":"recorded","at":1800000000.0,"frame":"work[0]","node":"work","visit":1,"attempt":1,"began":1800000000.0,"data":{"key":"agent counter|fc521d8422e1e86fac|1/turn|1|1/batch||1","name":"batch","value":{"batch":"ge5bc4115f4192cd37","item":"ge5bc4115f4192cd37_0","at":1796069747.5487094,"size":2},"code":"9f9ebaffe0b6"}}');
INSERT INTO kept_4.steps VALUES (16, 1800000000, 4, 173145087, '{"kind":"recorded","at":1800000000.0,"frame":"work[1]","node":"work","visit":1,"attempt":1,"began":1800000000.0,"data":{"key":"agent counter|0ff75aa494a18fc478|1/turn|1|1/batch||1","name":"batch","value":{"batch":"ge5bc4115f4192cd37","item":"ge5bc4115f4192cd37_1","at":1796069747.5487094,"size":2}}}');
INSERT INTO kept_4.steps VALUES (16, 1800000000, 5, 918540461, '{"kind":"recorded","at":1800000000.0,"frame":"work[0]","node":"work","visit":1,"attempt":1,"began":1800000000.0,"data":{"key":"agent counter|fc521d8422e1e86fac|1/turn|1|1/submitted||1","name":"submitted","value":{"id":"batch ge5bc4115f4192cd37"}}}');
INSERT INTO kept_4.steps VALUES (16, 1800000000, 6, 2146496368, '{"kind":"recorded","at":1800000000.0,"frame":"work[1]","node":"work","visit":1,"attempt":1,"began":1800000000.0,"data":{"key":"agent counter|0ff75aa494a18fc478|1/turn|1|1/submitted||1","name":"submitted","value":{"id":"batch ge5bc4115f4192cd37"}}}');
INSERT INTO kept_4.steps VALUES (16, 1800000000, 7, 1771233445, '{"kind":"waiting","at":1800000000.0,"frame":"work[0]","node":"work","visit":1,"attempt":1,"began":1800000000.0,"data":{"waits":{"work[0]":{"kind":"sleep","question":"batch batch ge5bc4115f4192cd37 of kept:model","due":1800000030.0,"key":"agent counter|fc521d8422e1e86fac|1/turn|1|1/sleep|89db92544cb4216276|1"}}}}');
INSERT INTO kept_4.steps VALUES (16, 1800000000, 8, -1222655453, '{"kind":"waiting","at":1800000000.0,"frame":"work[1]","node":"work","visit":1,"attempt":1,"began":1800000000.0,"data":{"waits":{"work[1]":{"kind":"sleep","question":"batch batch ge5bc4115f4192cd37 of kept:model","due":1800000030.0,"key":"agent counter|0ff75aa494a18fc478|1/turn|1|1/sleep|89db92544cb4216276|1"}}}}');
SELECT pg_catalog.setval('kept_4.inbox_id_seq', 3, true);
SELECT pg_catalog.setval('kept_4.runs_key_seq', 16, true);
ALTER TABLE ONLY kept_4.budget_accounts
    ADD CONSTRAINT budget_accounts_pkey PRIMARY KEY (budget, key);
ALTER TABLE ONLY kept_4.budget_holds
    ADD CONSTRAINT budget_holds_pkey PRIMARY KEY (budget, key, call);
ALTER TABLE ONLY kept_4.codes
    ADD CONSTRAINT codes_pkey PRIMARY KEY (id);
ALTER TABLE ONLY kept_4.earlier_codes
    ADD CONSTRAINT earlier_codes_pkey PRIMARY KEY (run, code);
ALTER TABLE ONLY kept_4.earlier_graph_specs
    ADD CONSTRAINT earlier_graph_specs_pkey PRIMARY KEY (run, fingerprint);
ALTER TABLE ONLY kept_4.graph_fields
    ADD CONSTRAINT graph_fields_pkey PRIMARY KEY (graph, field);
ALTER TABLE ONLY kept_4.graph_specs
    ADD CONSTRAINT graph_specs_pkey PRIMARY KEY (fingerprint);
ALTER TABLE ONLY kept_4.inbox
    ADD CONSTRAINT inbox_pkey PRIMARY KEY (id);
ALTER TABLE ONLY kept_4.inbox
    ADD CONSTRAINT inbox_run_key_key UNIQUE (run, key);
ALTER TABLE ONLY kept_4.memories
    ADD CONSTRAINT memories_pkey PRIMARY KEY (namespace, key);
ALTER TABLE ONLY kept_4.meta
    ADD CONSTRAINT meta_pkey PRIMARY KEY (format);
ALTER TABLE ONLY kept_4.owners
    ADD CONSTRAINT owners_pkey PRIMARY KEY (id);
ALTER TABLE ONLY kept_4.queues
    ADD CONSTRAINT queues_pkey PRIMARY KEY (name);
ALTER TABLE ONLY kept_4.rates
    ADD CONSTRAINT rates_pkey PRIMARY KEY (queue, queue_key);
ALTER TABLE ONLY kept_4.run_counts
    ADD CONSTRAINT run_counts_pkey PRIMARY KEY (id);
ALTER TABLE ONLY kept_4.run_fields
    ADD CONSTRAINT run_fields_pkey PRIMARY KEY (tenant, field, value, created_at, run);
ALTER TABLE ONLY kept_4.run_words
    ADD CONSTRAINT run_words_pkey PRIMARY KEY (run);
ALTER TABLE ONLY kept_4.runs
    ADD CONSTRAINT runs_id_key UNIQUE (id);
ALTER TABLE ONLY kept_4.runs
    ADD CONSTRAINT runs_pkey PRIMARY KEY (key);
ALTER TABLE ONLY kept_4.schedules
    ADD CONSTRAINT schedules_pkey PRIMARY KEY (name);
ALTER TABLE ONLY kept_4.snapshots
    ADD CONSTRAINT snapshots_pkey PRIMARY KEY (run, seq);
ALTER TABLE ONLY kept_4.steps
    ADD CONSTRAINT steps_pkey PRIMARY KEY (run, seq);
ALTER TABLE ONLY kept_4.tags
    ADD CONSTRAINT tags_pkey PRIMARY KEY (run, tag);
ALTER TABLE ONLY kept_4.text_uses
    ADD CONSTRAINT text_uses_pkey PRIMARY KEY (run, in_snapshot, seq, place);
ALTER TABLE ONLY kept_4.texts
    ADD CONSTRAINT texts_pkey PRIMARY KEY (digest);
ALTER TABLE ONLY kept_4.trash
    ADD CONSTRAINT trash_pkey PRIMARY KEY (key);
CREATE INDEX inbox_waiting ON kept_4.inbox USING btree (run, id) WHERE (payload IS NOT NULL);
CREATE INDEX memories_by_words ON kept_4.memories USING gin (words);
CREATE INDEX run_fields_by_run ON kept_4.run_fields USING btree (run, field, value);
CREATE INDEX run_words_found ON kept_4.run_words USING gin (((((named || begun) || tags) || ended))) WITH (gin_pending_list_limit='512');
CREATE INDEX runs_by_driver ON kept_4.runs USING btree (driver) WHERE (driver IS NOT NULL);
CREATE INDEX runs_by_due_at ON kept_4.runs USING btree (due_at) WHERE (due_at IS NOT NULL);
CREATE INDEX runs_by_graph ON kept_4.runs USING btree (graph, created_at, id);
CREATE INDEX runs_by_key ON kept_4.runs USING btree (queue_key, created_at, id) WHERE (queue_key <> ''::text);
CREATE INDEX runs_by_parent ON kept_4.runs USING btree (parent) WHERE (parent IS NOT NULL);
CREATE INDEX runs_by_starter ON kept_4.runs USING btree (starter, created_at, id) WHERE (starter IS NOT NULL);
CREATE INDEX runs_by_status ON kept_4.runs USING btree (status, created_at, id);
CREATE INDEX runs_by_time ON kept_4.runs USING btree (created_at, id);
CREATE INDEX runs_by_user ON kept_4.runs USING btree (user_name, created_at, id) WHERE (user_name <> ''::text);
CREATE INDEX runs_by_wanted_at ON kept_4.runs USING btree (wanted_at) WHERE (wanted_at IS NOT NULL);
CREATE INDEX runs_queued ON kept_4.runs USING btree (queue, priority DESC, turn, key) WHERE (fence = 0);
CREATE INDEX runs_queued_by_key ON kept_4.runs USING btree (queue, queue_key, priority DESC, turn, key) WHERE (fence = 0);
CREATE INDEX runs_to_resume ON kept_4.runs USING btree (queue, priority DESC, wanted_at) WHERE ((wanted_at IS NOT NULL) AND (fence > 0));
CREATE INDEX runs_to_wake ON kept_4.runs USING btree (queue, priority DESC, due_at) WHERE (due_at IS NOT NULL);
CREATE INDEX tags_by_tag ON kept_4.tags USING btree (tag, created_at, run);
CREATE INDEX text_uses_by_digest ON kept_4.text_uses USING btree (digest);
CREATE TRIGGER fields_of_new_run AFTER INSERT ON kept_4.runs FOR EACH ROW WHEN ((strpos(new.summary, '"fields":'::text) > 0)) EXECUTE FUNCTION kept_4.keep_fields();
CREATE TRIGGER fields_of_removed_run AFTER DELETE ON kept_4.runs FOR EACH ROW WHEN ((strpos(old.summary, '"fields":'::text) > 0)) EXECUTE FUNCTION kept_4.keep_fields();
CREATE TRIGGER fields_of_run AFTER UPDATE OF summary ON kept_4.runs FOR EACH ROW WHEN (((strpos(new.summary, '"fields":'::text) > 0) OR (strpos(old.summary, '"fields":'::text) > 0))) EXECUTE FUNCTION kept_4.keep_fields();
CREATE TRIGGER fold_counts AFTER INSERT ON kept_4.run_counts FOR EACH ROW WHEN (((pg_trigger_depth() = 0) AND (random() < ((1.0 / (32)::numeric))::double precision))) EXECUTE FUNCTION kept_4.fold_counts();
CREATE TRIGGER note_taken BEFORE UPDATE OF payload ON kept_4.inbox FOR EACH ROW WHEN (((old.payload IS NOT NULL) AND (new.payload IS NULL))) EXECUTE FUNCTION kept_4.note_taken();
ALTER TABLE ONLY kept_4.runs
    ADD CONSTRAINT runs_parent_fkey FOREIGN KEY (parent) REFERENCES kept_4.runs(key);
