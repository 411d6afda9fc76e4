-- The statements of the index of words by name; `words.py` runs them.

-- name: exists
SELECT 1 FROM sqlite_schema WHERE name = 'run_words';

-- name: has_fts5
SELECT 1 FROM pragma_module_list WHERE name = 'fts5';

-- name: create
-- The words are those of `words_of`, with blanks between them: `ascii` takes each as it is. Nothing but whole words and
-- their beginnings is searched, so that no positions are kept.
CREATE VIRTUAL TABLE run_words USING fts5 (words, tokenize = 'ascii', detail = none, columnsize = 0);

-- name: upto
SELECT max(upto) FROM words_due WHERE run = 0;

-- name: count_new
INSERT INTO run_counts (graph, status, runs) SELECT graph, status, count(*) FROM runs WHERE key BETWEEN ? AND ? GROUP BY 1, 2
ON CONFLICT (graph, status) DO UPDATE SET runs = runs + excluded.runs;

-- name: count
-- Of some runs, those that are counted, once more or once less.
INSERT INTO run_counts (graph, status, runs)
SELECT r.graph, r.status, ? * count(*) FROM json_each(?) CROSS JOIN runs AS r ON r.key = json_each.value
WHERE r.key <= (SELECT upto FROM words_due WHERE run = 0) GROUP BY 1, 2
ON CONFLICT (graph, status) DO UPDATE SET runs = runs + excluded.runs;

-- name: changed
INSERT INTO words_due (run) VALUES (?) ON CONFLICT (run) DO NOTHING;

-- name: number_due
SELECT count(*) FROM words_due;

-- name: due
SELECT run FROM words_due WHERE run > 0 ORDER BY run LIMIT ?;

-- name: new
SELECT key FROM runs WHERE key > coalesce((SELECT upto FROM words_due WHERE run = 0), 0) ORDER BY key LIMIT ?;

-- name: sources
-- What the words of some runs are taken from: of its first own step, what it begins with.
SELECT r.key, r.parent, r.id, r.graph, (SELECT group_concat(t.tag, char(10)) FROM tags AS t WHERE t.run = r.key),
    r.summary, s.id, CAST(s.body AS BLOB), s.sum, s.texts
FROM json_each(?) AS wanted CROSS JOIN runs AS r ON r.key = wanted.value
LEFT JOIN steps AS s ON s.id = (r.key << 32 | r.parent_seq + 1);

-- name: before_branch
-- The first own steps of the runs that a branch comes from.
WITH RECURSIVE line (key, parent, parent_seq) AS (
    SELECT r.key, r.parent, r.parent_seq FROM runs AS r WHERE r.key = ?
    UNION ALL
    SELECT r.key, r.parent, r.parent_seq FROM line JOIN runs AS r ON r.key = line.parent AND r.key < line.key
)
SELECT s.id, CAST(s.body AS BLOB), s.sum, s.texts FROM line JOIN steps AS s ON s.id = (line.key << 32 | line.parent_seq + 1);

-- name: add
REPLACE INTO run_words (rowid, words) VALUES (?, ?);

-- name: drop
DELETE FROM run_words WHERE rowid IN (SELECT value FROM json_each(?));

-- name: not_due
DELETE FROM words_due WHERE run IN (SELECT value FROM json_each(?));

-- name: keep_upto
INSERT INTO words_due (run, upto) VALUES (0, ?) ON CONFLICT (run) DO UPDATE SET upto = excluded.upto;

-- name: found
-- The keys of the runs with these words, of those whose words in the index are up to date.
SELECT rowid AS run FROM run_words WHERE run_words MATCH :query AND rowid NOT IN (SELECT run FROM words_due)
    AND rowid <= (SELECT upto FROM words_due WHERE run = 0)
UNION ALL SELECT value FROM json_each(:others)

-- name: matches
-- Whether the run `f` is one of them. The index gives all runs with a word at once, since it looks for words that begin
-- so: of a common word it would read as many as there are.
CASE WHEN f.key <= (SELECT upto FROM words_due WHERE run = 0) AND f.key NOT IN (SELECT run FROM words_due)
    THEN NOT EXISTS (
        SELECT * FROM json_each(:sought) AS s
        WHERE instr(' ' || (SELECT w.words FROM run_words AS w WHERE w.rowid = f.key), ' ' || s.value) = 0
    ) ELSE f.key IN (SELECT value FROM json_each(:others)) END

-- name: found_by_field
-- The keys of the runs with one of these values, of each tenant in turn if none is given: the index begins with it.
WITH RECURSIVE each_tenant (tenant) AS (
    SELECT coalesce(:tenant, (SELECT min(tenant) FROM run_fields))
    UNION ALL
    SELECT (SELECT min(w.tenant) FROM run_fields AS w WHERE w.tenant > t.tenant) FROM each_tenant AS t
    WHERE :tenant IS NULL AND t.tenant IS NOT NULL
)
SELECT w.run FROM each_tenant AS t CROSS JOIN json_each(:values_0) AS v
CROSS JOIN run_fields AS w ON w.tenant = t.tenant AND w.field = :field_0 AND w.value = v.value
    AND w.created_at >= coalesce(:begun_after, -1e999) AND w.created_at < coalesce(:begun_before, 1e999)

-- name: found_without_index
SELECT value AS run FROM json_each(:others)
