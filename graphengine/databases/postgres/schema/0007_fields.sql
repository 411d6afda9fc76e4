-- Runs are found by fields of their input and result, which their graph declares with `search=`. `runs.summary` has them,
-- as texts by name. Triggers keep these tables, whatever writes or removes a run.

CREATE TABLE run_fields (                  -- by which fields a run is found
    tenant     text COLLATE "C" NOT NULL,  -- the run's `queue_key`: '' if none
    field      text COLLATE "C" NOT NULL,  -- such as 'input.country'
    value      text COLLATE "C" NOT NULL,
    created_at double precision NOT NULL,  -- the run's
    run        bigint NOT NULL,            -- runs.key
    PRIMARY KEY (tenant, field, value, created_at, run)
);
CREATE INDEX run_fields_by_run ON run_fields (run, field, value);

CREATE TABLE graph_fields (                -- which fields any run of a graph has had: other runs of this graph may lack them
    graph text COLLATE "C" NOT NULL,
    field text COLLATE "C" NOT NULL,
    PRIMARY KEY (graph, field)
);

-- A reason can have a NUL, as `\u0000`, which PostgreSQL cannot decode; no field has one. So it is left out, after each
-- escaped backslash is written otherwise: in `\\u0000` the `u` stands for itself.
CREATE FUNCTION keep_fields() RETURNS trigger LANGUAGE plpgsql AS $$
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
END $$;

CREATE TRIGGER fields_of_new_run AFTER INSERT ON runs FOR EACH ROW
WHEN (strpos(NEW.summary, '"fields":') > 0) EXECUTE FUNCTION keep_fields();
CREATE TRIGGER fields_of_run AFTER UPDATE OF summary ON runs FOR EACH ROW
WHEN (strpos(NEW.summary, '"fields":') > 0 OR strpos(OLD.summary, '"fields":') > 0) EXECUTE FUNCTION keep_fields();
CREATE TRIGGER fields_of_removed_run AFTER DELETE ON runs FOR EACH ROW
WHEN (strpos(OLD.summary, '"fields":') > 0) EXECUTE FUNCTION keep_fields();
