-- Of two messages that are meant for one place of a run, one is put into its inbox. No table changes, so that versions
-- of format 3 can go on beside this one.

-- Put a message into an inbox, unless it has another one with a key from `p_low` on and before `p_high`. A call that is
-- repeated, as its answer was lost, finds its own message.
CREATE FUNCTION post_alone(
    p_token bigint, p_channel text, p_id text, p_key text, p_kind text, p_payload text, p_sum integer, p_low text,
    p_high text, OUT is_known boolean, OUT is_new boolean
) LANGUAGE plpgsql AS $$
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
