-- Runs are found by fields of their input and result, which their graph declares with `search=`. `runs.summary` has them,
-- as texts by name: all of this can be made anew from there.

CREATE TABLE run_fields (          -- by which fields a run is found
    tenant     TEXT NOT NULL,      -- the run's `queue_key`: '' if none
    field      TEXT NOT NULL,      -- such as 'input.country'
    value      TEXT NOT NULL,
    created_at REAL NOT NULL,      -- the run's
    run        INTEGER NOT NULL REFERENCES runs (key),
    PRIMARY KEY (tenant, field, value, created_at, run)
) STRICT, WITHOUT ROWID;
CREATE INDEX run_fields_by_run ON run_fields (run, field, value);

CREATE TABLE graph_fields (        -- which fields any run of a graph has had: other runs of this graph may lack them
    graph TEXT NOT NULL,
    field TEXT NOT NULL,
    PRIMARY KEY (graph, field)
) STRICT, WITHOUT ROWID;
