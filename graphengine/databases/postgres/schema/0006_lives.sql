-- An id can be used again once its run is removed: a run is its id and a nonce. What names a run here names both.

ALTER TABLE runs
    ADD COLUMN nonce text COLLATE "C" NOT NULL DEFAULT '',          -- drawn at its start; '' for runs of earlier formats
    ADD COLUMN starter_nonce text COLLATE "C" NOT NULL DEFAULT '',  -- of the run `starter`
    ADD COLUMN root_nonce text COLLATE "C" NOT NULL DEFAULT '',     -- of the run `root`
    ADD COLUMN code text COLLATE "C" NOT NULL DEFAULT '';           -- codes.id: when it was started or last resumed; '' if not known
ALTER TABLE budget_holds
    ADD COLUMN run text COLLATE "C" NOT NULL DEFAULT '',            -- the id of the run that calls; '' if not known
    ADD COLUMN nonce text COLLATE "C" NOT NULL DEFAULT '',          -- its nonce
    ADD COLUMN token text COLLATE "C" NOT NULL DEFAULT '',          -- drawn for the reservation: a call that is made again has another one
    ADD COLUMN asked_cost_usd double precision NOT NULL DEFAULT 0,  -- what its question costs: counted if it is cut off
    ADD COLUMN asked_tokens double precision NOT NULL DEFAULT 0;
ALTER TABLE budget_accounts
    ADD COLUMN estimated_cost_usd double precision NOT NULL DEFAULT 0,  -- how much of what was spent is an estimate
    ADD COLUMN estimated_tokens double precision NOT NULL DEFAULT 0,
    ADD COLUMN calls_of_unknown_use integer NOT NULL DEFAULT 0;         -- spent calls that may have used more than was counted

ALTER TABLE inbox ADD COLUMN taken_seq integer;  -- the last step when it was consumed, so that a branch knows its key

CREATE FUNCTION note_taken() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('SELECT s.seq FROM %I.steps AS s WHERE s.run = $1 ORDER BY s.seq DESC LIMIT 1', TG_TABLE_SCHEMA)
    INTO NEW.taken_seq USING NEW.run;
    RETURN NEW;
END $$;

CREATE TRIGGER note_taken BEFORE UPDATE OF payload ON inbox FOR EACH ROW
WHEN (OLD.payload IS NOT NULL AND NEW.payload IS NULL) EXECUTE FUNCTION note_taken();

CREATE TABLE codes (                   -- what the code of a graph's nodes was, once for each of its digests
    id   text COLLATE "C" PRIMARY KEY,
    body text NOT NULL,                -- JSON: see docs/project/formats.md
    sum  integer NOT NULL
);

CREATE TABLE earlier_codes (           -- what a run's code was before it was resumed under another one
    run  bigint NOT NULL,
    code text COLLATE "C" NOT NULL,
    PRIMARY KEY (run, code)
);

CREATE OR REPLACE VIEW run_facts AS               -- what a store returns about a run without reading its log
SELECT r.key, r.id, r.graph, r.fingerprint, r.status, coalesce(last.seq, r.parent_seq) AS seq, r.created_at,
       coalesce(last.at, r.created_at) AS updated_at,
       (SELECT p.id FROM runs AS p WHERE p.key = r.parent) AS parent, r.parent_seq,
       r.driver, r.fence, r.due_at,
       (SELECT array_agg(t.tag) FROM tags AS t WHERE t.run = r.key) AS tags,
       coalesce((SELECT is_alive(o) FROM owners AS o WHERE o.id = r.driver), false) AS is_driven,
       r.queue, r.priority, r.queue_key, r.summary,
       r.title, r.user_name, r.starter, r.root, r.depth, r.began_with, r.deploy, r.stop_asked, r.ended_at,
       r.nonce, r.starter_nonce, r.root_nonce, r.code
FROM runs AS r
LEFT JOIN LATERAL (SELECT s.seq, s.at FROM steps AS s WHERE s.run = r.key ORDER BY s.seq DESC LIMIT 1) AS last ON true;

-- Keep codes that are not known yet.
CREATE FUNCTION keep_codes(p_ids text[], p_bodies text[], p_sums integer[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF cardinality(p_ids) > 0 THEN
        INSERT INTO codes (id, body, sum)
        SELECT DISTINCT ON (c.id) c.id, c.body, c.sum FROM unnest(p_ids, p_bodies, p_sums) AS c (id, body, sum)
        WHERE c.body IS NOT NULL ORDER BY c.id ON CONFLICT DO NOTHING;
    END IF;
END $$;

-- As `append`, for batches of which some give their run another code.
CREATE FUNCTION append_under_codes(
    p_owner text, p_runs bigint[], p_fences integer[], p_firsts integer[], p_statuses text[], p_dues float8[],
    p_summaries text[], p_costs float8[], p_words text[],
    p_row_runs bigint[], p_row_seqs integer[], p_row_ats float8[], p_row_sums integer[], p_row_bodies text[],
    p_consume_runs bigint[], p_consume_ids bigint[],
    p_shot_runs bigint[], p_shot_seqs integer[], p_shot_sums integer[], p_shot_bodies text[],
    p_print_runs bigint[], p_prints text[], p_specs text[], p_spec_sums integer[],
    p_digests bytea[], p_texts text[],
    p_use_runs bigint[], p_use_seqs integer[], p_use_places integer[], p_use_shots boolean[], p_uses bytea[],
    p_code_runs bigint[], p_codes text[], p_code_bodies text[], p_code_sums integer[]
) RETURNS TABLE (run bigint, fence integer, driver text, status text, last integer) LANGUAGE plpgsql AS $$
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

-- A new run, driven by its owner, or queued: then it has no driver, and is announced on the channel. `outcome`:
-- made; exists; no_parent; no_step, with the parent's last step in `fence`; stopped, with the run that was stopped.
CREATE OR REPLACE FUNCTION create_run(
    p_owner text, p_token bigint, p_id text, p_graph text, p_print text, p_spec text, p_spec_sum integer,
    p_status text, p_created float8, p_due float8, p_parent text, p_parent_seq integer, p_tags text[],
    p_tag_words text[], p_name_words text, p_words text, p_end_words text,
    p_seqs integer[], p_ats float8[], p_sums integer[], p_bodies text[],
    p_digests bytea[], p_texts text[], p_use_seqs integer[], p_use_places integer[], p_uses bytea[],
    p_queue text, p_priority integer, p_queue_key text, p_summary text, p_is_queued boolean, p_channel text, p_begun text,
    OUT outcome text, OUT key bigint, OUT fence integer, OUT rows bigint, OUT row_bytes bigint, OUT shot_bytes bigint
) LANGUAGE plpgsql AS $$
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

-- Move a run to the trash if it is unchanged and not needed. Returns why it stays; '' if it was removed.
DROP FUNCTION remove_run(text, bigint, text, text, integer, text[]);
CREATE FUNCTION remove_run(
    p_owner text, p_token bigint, p_id text, p_nonce text, p_status text, p_seq integer, p_tags text[]
) RETURNS text LANGUAGE plpgsql AS $$
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

-- Delete the codes that no run needs; see `drop_graph_specs`.
CREATE FUNCTION drop_codes() RETURNS void LANGUAGE plpgsql AS $$
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

-- As before, without later runs that have the id of one above it.
CREATE OR REPLACE FUNCTION stop_over(p_id text) RETURNS TABLE (id text, mark text) LANGUAGE sql STABLE AS $$
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

-- Put a message into the inbox of the run with this id and this nonce.
CREATE FUNCTION post_to(
    p_token bigint, p_channel text, p_id text, p_key text, p_kind text, p_payload text, p_sum integer, p_nonce text,
    OUT is_known boolean, OUT is_new boolean
) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM runs AS x WHERE x.id = p_id AND x.nonce = p_nonce FOR NO KEY UPDATE;
    is_known := FOUND;
    is_new := false;
    IF NOT is_known THEN RETURN; END IF;
    SELECT p.is_known, p.is_new INTO is_known, is_new
    FROM post(p_token, p_channel, p_id, p_key, p_kind, p_payload, p_sum) AS p;
END $$;

-- The same as the function with one argument less, for the run with this nonce; NULL for whatever run has the id.
CREATE FUNCTION post_alone(
    p_token bigint, p_channel text, p_id text, p_key text, p_kind text, p_payload text, p_sum integer, p_low text,
    p_high text, p_nonce text, OUT is_known boolean, OUT is_new boolean
) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM runs AS x WHERE x.id = p_id AND x.nonce = coalesce(p_nonce, x.nonce) FOR NO KEY UPDATE;
    is_known := FOUND;
    is_new := false;
    IF NOT is_known THEN RETURN; END IF;
    SELECT p.is_known, p.is_new INTO is_known, is_new
    FROM post_alone(p_token, p_channel, p_id, p_key, p_kind, p_payload, p_sum, p_low, p_high) AS p;
END $$;
