-- Runs, their logs, their drivers, their queues, and what is kept next to them, in one schema of a PostgreSQL database.
--
-- All tables are made here, by the owner of the schema, so that other roles need no right to create. Each has a primary
-- key: the server refuses to change rows without one once a publication has their table.
--
-- What may be written is decided here, under the row lock of a run, by functions: one call is one round trip, and a
-- batch of hundreds of runs is one call. Each statement in a function sees what was committed before its lock was
-- granted; a single statement would still look at the rows as they were before it waited.
--
-- Every write can be repeated, since a connection can break after the commit and before the answer. What was written is
-- recognised by what only its caller knows: a number drawn for the call (`token`), or the steps themselves.
--
-- A later migration must not change what a function does that an older version calls: it adds another one, so that
-- processes of both versions can work at the same time.

CREATE TABLE meta (
    format integer PRIMARY KEY,        -- the number of the last migration
    oldest integer NOT NULL            -- the oldest format whose code can still use the schema
);

CREATE TABLE owners (                  -- one row for each open store that may drive runs
    id         text COLLATE "C" PRIMARY KEY,
    host       text NOT NULL,
    pid        integer NOT NULL,
    lock       bigint NOT NULL,        -- the advisory lock that its session holds
    server     timestamptz,            -- the start of the server on which it holds the lock; NULL if it holds none yet
    seen_at    double precision NOT NULL,  -- its last renewal, epoch seconds
    expires_at double precision NOT NULL,
    role       text NOT NULL DEFAULT ''    -- JSON of what a worker takes; '' for an owner that is no worker
) WITH (fillfactor = 50);

CREATE TABLE graph_specs (             -- what a graph looked like, once for each fingerprint
    fingerprint text COLLATE "C" PRIMARY KEY,
    body        text NOT NULL,         -- JSON
    sum         integer NOT NULL
);

CREATE TABLE runs (
    key         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id          text COLLATE "C" NOT NULL UNIQUE,
    graph       text COLLATE "C" NOT NULL,
    fingerprint text COLLATE "C" NOT NULL,
    status      text COLLATE "C" NOT NULL,
    created_at  double precision NOT NULL,  -- epoch seconds
    parent      bigint REFERENCES runs (key),
    parent_seq  integer NOT NULL,      -- the last step shared with the parent; 0 if none
    fence       integer NOT NULL,      -- grows with every change of driver; 0 while it is queued and has never been driven
    driver      text COLLATE "C",      -- owners.id; NULL if no process drives it
    token       bigint NOT NULL,       -- of the call that made the driver its driver
    due_at      double precision,      -- while it waits: when its first timer is due
    wanted_at   double precision,      -- since when it needs a driver independently of timers
    queue       text COLLATE "C" NOT NULL,  -- from which workers take it
    priority    integer NOT NULL,      -- how urgent it is
    queue_key   text COLLATE "C" NOT NULL,  -- for whom it is, such as a tenant; '' if none
    turn        integer NOT NULL,      -- its place in its queue, so that keys take turns
    summary     text,                  -- JSON, written with each change of status; NULL before the first
    cost_usd    double precision,      -- what its own steps cost, of the summary; NULL if that is not known
    ended_at    double precision,      -- epoch seconds; NULL while it has not ended
    title       text NOT NULL DEFAULT '',   -- what it is about
    user_name   text COLLATE "C" NOT NULL DEFAULT '',  -- who started it; '' if no user did
    starter     text COLLATE "C",      -- the id of the run whose node started it; by id, as the log has it: it can be removed
    root        text COLLATE "C",      -- the id of the run at the top of its tree, with which it is stopped; NULL: its own
    depth       integer NOT NULL DEFAULT 0, -- how many runs are above it
    began_with  text COLLATE "C" NOT NULL DEFAULT '',  -- its first fingerprint
    deploy      text NOT NULL DEFAULT '',   -- the label of the deploy that began it
    stop_asked  text NOT NULL DEFAULT ''    -- 'stop' or 'cancel' while its tree is being stopped
) WITH (fillfactor = 80);
CREATE INDEX runs_by_time ON runs (created_at, id);
CREATE INDEX runs_by_status ON runs (status, created_at, id);
CREATE INDEX runs_by_graph ON runs (graph, created_at, id);
CREATE INDEX runs_by_key ON runs (queue_key, created_at, id) WHERE queue_key <> '';
CREATE INDEX runs_by_user ON runs (user_name, created_at, id) WHERE user_name <> '';
CREATE INDEX runs_by_starter ON runs (starter, created_at, id) WHERE starter IS NOT NULL;
CREATE INDEX runs_by_driver ON runs (driver) WHERE driver IS NOT NULL;
CREATE INDEX runs_by_due_at ON runs (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX runs_by_wanted_at ON runs (wanted_at) WHERE wanted_at IS NOT NULL;
CREATE INDEX runs_by_parent ON runs (parent) WHERE parent IS NOT NULL;
CREATE INDEX runs_queued ON runs (queue, priority DESC, turn, key) WHERE fence = 0;
CREATE INDEX runs_queued_by_key ON runs (queue, queue_key, priority DESC, turn, key) WHERE fence = 0;
CREATE INDEX runs_to_resume ON runs (queue, wanted_at) WHERE wanted_at IS NOT NULL AND fence > 0;
CREATE INDEX runs_to_wake ON runs (queue, due_at) WHERE due_at IS NOT NULL;

-- `sum` is a CRC-32 over the row's place and its whole text, as a signed integer. The bodies are JSON and not jsonb,
-- which does not know \u0000, writes numbers anew and takes a third more.
CREATE TABLE steps (                   -- no foreign key: only functions write here, under the run's lock
    run  bigint NOT NULL,
    at   double precision NOT NULL,    -- epoch seconds
    seq  integer NOT NULL,
    sum  integer NOT NULL,
    body text NOT NULL,
    PRIMARY KEY (run, seq)
);

CREATE TABLE snapshots (               -- the whole snapshot of a run after a step
    run  bigint NOT NULL,
    seq  integer NOT NULL,
    sum  integer NOT NULL,
    body text NOT NULL,
    PRIMARY KEY (run, seq)
);

CREATE TABLE texts (                   -- long texts, stored once however many rows hold them
    digest bytea PRIMARY KEY,          -- SHA-256 of the body
    body   text NOT NULL
);

CREATE TABLE text_uses (               -- where a text belongs in the body of a row
    run         bigint NOT NULL,
    seq         integer NOT NULL,
    place       integer NOT NULL,      -- the offset in bytes
    in_snapshot boolean NOT NULL,
    digest      bytea NOT NULL,
    PRIMARY KEY (run, in_snapshot, seq, place)
);
CREATE INDEX text_uses_by_digest ON text_uses (digest);

CREATE TABLE inbox (                   -- a message stays when it is consumed, so that its key is known if it comes again
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run       bigint NOT NULL,
    key       text COLLATE "C" NOT NULL,
    kind      text COLLATE "C" NOT NULL,
    payload   text,                    -- JSON; NULL once consumed
    sum       integer NOT NULL,
    posted_at double precision NOT NULL,
    token     bigint NOT NULL,         -- of the call that posted it
    UNIQUE (run, key)
);
CREATE INDEX inbox_waiting ON inbox (run, id) WHERE payload IS NOT NULL;

CREATE TABLE tags (
    run        bigint NOT NULL,
    tag        text COLLATE "C" NOT NULL,
    created_at double precision NOT NULL,   -- the run's, so that the runs of a tag are found in order
    words      text NOT NULL,          -- by which it is found
    PRIMARY KEY (run, tag)
);
CREATE INDEX tags_by_tag ON tags (tag, created_at, run);

CREATE TABLE run_words (               -- by which a run is found; see `stores/words.py`
    run   bigint PRIMARY KEY,
    named tsvector NOT NULL,           -- of its id and graph
    begun tsvector NOT NULL,           -- of what it began with, and the runs before it that it is a branch of
    tags  tsvector NOT NULL,
    ended tsvector NOT NULL            -- of what it waits for, or why it ended
);
-- New words are first kept in a list that each search reads too, hence its size, in KB.
CREATE INDEX run_words_found ON run_words USING gin ((named || begun || tags || ended)) WITH (gin_pending_list_limit = 512);

CREATE FUNCTION as_words(p_words text) RETURNS tsvector LANGUAGE sql IMMUTABLE AS $$
    SELECT array_to_tsvector(string_to_array(p_words, ' '))
$$;

-- How many runs of a graph have a status: the sum of the rows. Each transaction that changes a status adds rows, which
-- no other transaction waits for; about one row in 32 that is added puts those of its graph together, at most 512 of
-- them, which are then one for each status. The key is no number of a sequence: a copy of the rows can be ahead of that.
CREATE TABLE run_counts (
    graph  text COLLATE "C" NOT NULL,
    status text COLLATE "C" NOT NULL,
    runs   bigint NOT NULL,
    id     uuid PRIMARY KEY DEFAULT gen_random_uuid()
);

-- A restore adds rows while no schema is on the search path, so the table is named in full.
CREATE FUNCTION fold_counts() RETURNS trigger LANGUAGE plpgsql AS $$
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
END $$;

CREATE TRIGGER fold_counts AFTER INSERT ON run_counts FOR EACH ROW
WHEN (pg_trigger_depth() = 0 AND random() < 1.0 / 32) EXECUTE FUNCTION fold_counts();

CREATE TABLE trash (                   -- removed runs whose rows are still to go
    key   bigint PRIMARY KEY,
    id    text COLLATE "C" NOT NULL,
    token bigint NOT NULL              -- of the call that removed it
);

CREATE TABLE earlier_graph_specs (     -- what a run's graph was before it changed: its history still needs that
    run         bigint NOT NULL,
    fingerprint text COLLATE "C" NOT NULL,
    PRIMARY KEY (run, fingerprint)
);

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

CREATE TABLE budget_accounts (         -- what was spent of a budget, and is in flight, in the present window
    budget           text COLLATE "C" NOT NULL,
    key              text COLLATE "C" NOT NULL,  -- whose account it is, such as a tenant; '' for all
    begun_at         double precision NOT NULL,  -- when the window began, epoch seconds
    calls_in_flight  integer NOT NULL,
    spent_cost_usd   double precision NOT NULL,
    spent_tokens     double precision NOT NULL,
    spent_calls      double precision NOT NULL,
    held_cost_usd    double precision NOT NULL,  -- what the calls in flight may take, the sum of their rows
    held_tokens      double precision NOT NULL,
    held_calls       double precision NOT NULL,
    unknown_cost_usd integer NOT NULL,           -- of how many of them that is not known
    unknown_tokens   integer NOT NULL,
    unknown_calls    integer NOT NULL,
    PRIMARY KEY (budget, key)
) WITH (fillfactor = 50);

CREATE TABLE budget_holds (            -- a call in flight
    budget   text COLLATE "C" NOT NULL,
    key      text COLLATE "C" NOT NULL,
    call     text COLLATE "C" NOT NULL,    -- its idempotency key
    cost_usd double precision,             -- what it may take; NULL if that is not known
    tokens   double precision,
    calls    double precision,
    PRIMARY KEY (budget, key, call)
);

CREATE TABLE memories (                -- what programs keep across runs, by namespace and key, compared as bytes
    namespace  text COLLATE "C" NOT NULL,
    key        text COLLATE "C" NOT NULL,
    body       text NOT NULL,          -- JSON: the value and the text
    words      tsvector NOT NULL,      -- by which it is found
    vector     real[],                 -- of length 1; NULL if it has none
    updated_at double precision NOT NULL,  -- epoch seconds
    PRIMARY KEY (namespace, key)
);
CREATE INDEX memories_by_words ON memories USING gin (words);

CREATE FUNCTION epoch() RETURNS double precision LANGUAGE sql AS $$
    SELECT extract(epoch FROM clock_timestamp())::float8
$$;

-- An owner is dead when its lease has expired, or when its session has ended: then its advisory lock is free. The lock
-- counts only on the server on which it was taken: after a restart, or on a standby that was promoted, the lease counts
-- until the owner has taken the lock again.
CREATE FUNCTION is_alive(o owners) RETURNS boolean LANGUAGE plpgsql AS $$
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

CREATE FUNCTION words_for(o owners) RETURNS text LANGUAGE sql AS $$
    SELECT format('process %s on %s (owner %s)', o.pid, o.host, o.id)
$$;

CREATE FUNCTION last_seq(p_run bigint, p_parent_seq integer) RETURNS integer LANGUAGE sql STABLE AS $$
    SELECT coalesce((SELECT s.seq FROM steps AS s WHERE s.run = p_run ORDER BY s.seq DESC LIMIT 1), p_parent_seq)
$$;

CREATE VIEW run_facts AS               -- what a store returns about a run without reading its log
SELECT r.key, r.id, r.graph, r.fingerprint, r.status, coalesce(last.seq, r.parent_seq) AS seq, r.created_at,
       coalesce(last.at, r.created_at) AS updated_at,
       (SELECT p.id FROM runs AS p WHERE p.key = r.parent) AS parent, r.parent_seq,
       r.driver, r.fence, r.due_at,
       (SELECT array_agg(t.tag) FROM tags AS t WHERE t.run = r.key) AS tags,
       coalesce((SELECT is_alive(o) FROM owners AS o WHERE o.id = r.driver), false) AS is_driven,
       r.queue, r.priority, r.queue_key, r.summary,
       r.title, r.user_name, r.starter, r.root, r.depth, r.began_with, r.deploy, r.stop_asked, r.ended_at
FROM runs AS r
LEFT JOIN LATERAL (SELECT s.seq, s.at FROM steps AS s WHERE s.run = r.key ORDER BY s.seq DESC LIMIT 1) AS last ON true;

-- The run and its ancestors, each with its part of the log: the steps with low < seq <= high, and the newest snapshot
-- among them that is not after `p_newest`. Ends at the first snapshot if snapshots are requested, or where `p_after` is
-- reached.
CREATE FUNCTION lineage(p_key bigint, p_upto integer, p_after integer, p_newest integer)
RETURNS TABLE (key bigint, id text, low integer, high integer, shot integer) LANGUAGE sql STABLE AS $$
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

-- The log of a run: its facts, the newest snapshot and the steps after it (p_newest < 0: no snapshot), and the texts
-- that these rows hold. One statement, so that all rows are of one moment. Kinds: f facts (JSON), s snapshot, n step,
-- u use of a text (`body` is its digest), t text (`holder` is its digest).
CREATE FUNCTION read_log(p_id text, p_upto integer, p_after integer, p_newest integer)
RETURNS TABLE (kind text, holder text, seq integer, sum integer, place integer, body text) LANGUAGE plpgsql STABLE AS $$
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

-- The steps after the newest snapshot that a load finds, the parents' included, and the bytes of that snapshot.
CREATE FUNCTION tail(p_key bigint, p_upto integer, OUT rows bigint, OUT row_bytes bigint, OUT shot_bytes bigint)
LANGUAGE sql STABLE AS $$
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

-- Whether only its number and time are left of a step, which is shorter than any snapshot.
CREATE FUNCTION is_removed(p_body text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT starts_with(p_body, '{"kind":"removed"') AND octet_length(p_body) < 100
$$;

-- Since when a waiting run is wanted: since its oldest message of any kind but `stop`.
CREATE FUNCTION wanted_since(p_run bigint) RETURNS double precision LANGUAGE sql STABLE AS $$
    SELECT i.posted_at FROM inbox AS i WHERE i.run = p_run AND i.payload IS NOT NULL AND i.kind <> 'stop'
    ORDER BY i.id LIMIT 1
$$;

-- When a run ended: at its last step, if it has a status that says so.
CREATE FUNCTION ended_at(p_run bigint, p_status text) RETURNS double precision LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN p_status NOT IN ('running', 'waiting') THEN
        (SELECT s.at FROM steps AS s WHERE s.run = p_run ORDER BY s.seq DESC LIMIT 1)
    END
$$;

CREATE FUNCTION keep_texts(
    p_digests bytea[], p_texts text[],
    p_runs bigint[], p_seqs integer[], p_places integer[], p_in_snapshots boolean[], p_uses bytea[]
) RETURNS void LANGUAGE sql AS $$
    -- In order of their digests, so that two transactions with the same texts do not wait for each other in a circle.
    INSERT INTO texts (digest, body) SELECT DISTINCT ON (t.digest) t.digest, t.body
        FROM unnest(p_digests, p_texts) AS t (digest, body) ORDER BY t.digest ON CONFLICT DO NOTHING;
    INSERT INTO text_uses (run, seq, place, in_snapshot, digest)
        SELECT * FROM unnest(p_runs, p_seqs, p_places, p_in_snapshots, p_uses);
$$;

-- Batches of many runs, one for each run, each checked by itself. Returns those that were refused: a run has another
-- fence or driver, or its log ends elsewhere (`last`; NULL for a run that does not exist).
CREATE FUNCTION append(
    p_owner text, p_runs bigint[], p_fences integer[], p_firsts integer[], p_statuses text[], p_dues float8[],
    p_summaries text[], p_costs float8[], p_words text[],
    p_row_runs bigint[], p_row_seqs integer[], p_row_ats float8[], p_row_sums integer[], p_row_bodies text[],
    p_consume_runs bigint[], p_consume_ids bigint[],
    p_shot_runs bigint[], p_shot_seqs integer[], p_shot_sums integer[], p_shot_bodies text[],
    p_print_runs bigint[], p_prints text[], p_specs text[], p_spec_sums integer[],
    p_digests bytea[], p_texts text[],
    p_use_runs bigint[], p_use_seqs integer[], p_use_places integer[], p_use_shots boolean[], p_uses bytea[]
) RETURNS TABLE (run bigint, fence integer, driver text, status text, last integer) LANGUAGE plpgsql AS $$
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

-- The same for one step of one run that changes its status; false: `append` returns why not.
CREATE FUNCTION append_last(
    p_owner text, p_run bigint, p_fence integer, p_seq integer, p_at float8, p_sum integer, p_body text,
    p_status text, p_due float8, p_summary text, p_cost float8, p_words text
) RETURNS boolean LANGUAGE plpgsql AS $$
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

-- Those who start a run in a tree hold this lock shared until it is committed; who marks a stop waits for them.
CREATE FUNCTION tree_lock(r runs) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
    SELECT hashtextextended(coalesce(r.root, r.id), 0)
$$;

-- A stop that holds for a run, final ones first: of itself, or of one above it, also past one that was removed.
CREATE FUNCTION stop_over(p_id text) RETURNS TABLE (id text, mark text) LANGUAGE sql STABLE AS $$
    WITH RECURSIVE line (id, starter, root, mark) AS (
        SELECT r.id, r.starter, r.root, r.stop_asked FROM runs AS r WHERE r.id = p_id
        UNION
        SELECT r.id, r.starter, r.root, r.stop_asked FROM line AS l JOIN runs AS r ON r.id IN (l.starter, l.root)
        WHERE l.root IS NOT NULL
    )
    SELECT l.id, l.mark FROM line AS l WHERE l.mark <> '' ORDER BY l.mark LIMIT 1
$$;

-- A new run, driven by its owner, or queued: then it has no driver, and is announced on the channel. `outcome`:
-- made; exists; no_parent; no_step, with the parent's last step in `fence`; stopped, with the run that was stopped.
CREATE FUNCTION create_run(
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
                      title, user_name, starter, root, depth, deploy)
    VALUES (p_id, p_graph, p_print, coalesce(begun ->> 'began_with', p_print), p_status, p_created, CASE p_status WHEN 'waiting' THEN p_due END,
            parent.key, p_parent_seq, fence, CASE WHEN NOT p_is_queued THEN p_owner END, p_token,
            p_queue, p_priority, p_queue_key, p_summary, CASE WHEN p_is_queued THEN p_created END,
            CASE WHEN p_is_queued THEN next_turn(p_queue, p_priority, p_queue_key) ELSE 0 END,
            (begun ->> 'cost_usd')::float8, CASE WHEN p_status NOT IN ('running', 'waiting') THEN p_ats[cardinality(p_ats)] END,
            coalesce(begun ->> 'title', ''), coalesce(begun ->> 'user', ''), begun ->> 'starter', begun ->> 'root',
            coalesce((begun ->> 'depth')::integer, 0), coalesce(begun ->> 'deploy', ''))
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
        SELECT t.* INTO rows, row_bytes, shot_bytes FROM tail(key, last_seq(key, p_parent_seq)) AS t;
    END IF;
END $$;

-- Become the driver of a run, also in place of a dead owner. No row: there is no such run. `driven_by`: a live owner's
-- words, or this owner's own if none of `p_owed`, the fences that it released, is current.
CREATE FUNCTION claim(
    p_owner text, p_token bigint, p_id text, p_owed integer[],
    OUT key bigint, OUT fence integer, OUT driven_by text, OUT until float8,
    OUT rows bigint, OUT row_bytes bigint, OUT shot_bytes bigint
) LANGUAGE plpgsql AS $$
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

-- The channel hears of runs that any process may continue now.
CREATE FUNCTION release_run(p_owner text, p_id text, p_fence integer, p_channel text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    was text;
BEGIN
    UPDATE runs SET driver = NULL, wanted_at = CASE status WHEN 'running' THEN epoch() ELSE wanted_at END
    WHERE id = p_id AND fence = p_fence AND driver = p_owner RETURNING status INTO was;
    IF was = 'running' THEN
        PERFORM pg_notify(p_channel, 'due');
    END IF;
END $$;

-- Delete an owner, and release all that it drives. Its own session hears of it too, and ends.
CREATE FUNCTION retire(p_owner text, p_channel text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify(p_channel, p_owner);
    UPDATE runs SET driver = NULL, wanted_at = CASE status WHEN 'running' THEN epoch() ELSE wanted_at END
    WHERE driver = p_owner;
    IF FOUND THEN
        PERFORM pg_notify(p_channel, 'due');
    END IF;
    DELETE FROM owners WHERE id = p_owner;
END $$;

-- The drivers of runs that are dead, and when they died as far as is known. It skips from one driver to the next in the
-- index, without reading each run.
CREATE FUNCTION dead_drivers(p_owner text) RETURNS TABLE (id text, seen_at float8) LANGUAGE sql AS $$
    WITH RECURSIVE drivers (id) AS (
        SELECT min(r.driver) FROM runs AS r WHERE r.driver IS NOT NULL
        UNION ALL
        SELECT (SELECT min(r.driver) FROM runs AS r WHERE r.driver > d.id) FROM drivers AS d WHERE d.id IS NOT NULL
    )
    SELECT d.id, coalesce(o.seen_at, 0) FROM drivers AS d LEFT JOIN owners AS o ON o.id = d.id
    WHERE d.id IS NOT NULL AND d.id <> p_owner AND (o.id IS NULL OR NOT is_alive(o))
$$;

-- The runs that are due, with their rank: 0 for the runs of a dead owner, 1 for others, then since when.
CREATE FUNCTION due(p_owner text, p_now float8, p_limit integer, p_graphs text[])
RETURNS TABLE (key bigint, rank integer, since float8) LANGUAGE plpgsql AS $$
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

-- Put a message into an inbox. The row lock keeps a run from beginning to wait in parallel, which would miss it. The
-- channel hears for whom it is: the driver, or `due` if any process may resume the run.
CREATE FUNCTION post(
    p_token bigint, p_channel text, p_id text, p_key text, p_kind text, p_payload text, p_sum integer,
    OUT is_known boolean, OUT is_new boolean
) LANGUAGE plpgsql AS $$
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

CREATE FUNCTION tag_run(p_id text, p_add text[], p_words text[], p_remove text[], OUT is_known boolean, OUT tags text[])
LANGUAGE plpgsql AS $$
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

-- Move a run to the trash if it is unchanged and not needed. Returns why it stays; '' if it was removed.
CREATE FUNCTION remove_run(p_owner text, p_token bigint, p_id text, p_status text, p_seq integer, p_tags text[])
RETURNS text LANGUAGE plpgsql AS $$
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
    IF facts.status <> p_status OR facts.seq <> p_seq
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
    DELETE FROM runs AS x WHERE x.key = r.key;
    RETURN '';
END $$;

-- Delete those of some texts that nothing uses. The lock waits for the writers that may just be using one of them, and
-- keeps others out for this short transaction.
CREATE FUNCTION drop_texts(p_spare bytea[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF p_spare IS NOT NULL THEN
        LOCK TABLE texts IN EXCLUSIVE MODE;
        DELETE FROM texts AS t WHERE t.digest = ANY (p_spare)
            AND NOT EXISTS (SELECT FROM text_uses AS u WHERE u.digest = t.digest);
    END IF;
END $$;

-- Delete some rows of removed runs; false once none is left.
CREATE FUNCTION sweep(p_rows integer) RETURNS boolean LANGUAGE plpgsql AS $$
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

-- Write other steps into rows of a run, and delete its snapshots before one of its steps.
CREATE FUNCTION replace_steps(p_run bigint, p_seqs integer[], p_sums integer[], p_bodies text[], p_before integer)
RETURNS void LANGUAGE plpgsql AS $$
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

-- Delete the graph specs that no run needs; the lock waits for the writers that may just be using one.
CREATE FUNCTION drop_graph_specs() RETURNS void LANGUAGE plpgsql AS $$
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
