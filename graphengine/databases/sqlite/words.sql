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
SELECT rowid FROM run_words WHERE run_words MATCH :query AND rowid NOT IN (SELECT run FROM words_due)
    AND rowid <= (SELECT upto FROM words_due WHERE run = 0)
UNION ALL SELECT value FROM json_each(:others)

-- name: found_among_newest
-- The same of the newest so many runs, whose words are compared one by one. The index gives all runs with a word at once,
-- since it looks for words that begin so: of a common word it would read as many as there are.
SELECT n.run AS rowid FROM (
    SELECT key AS run FROM runs WHERE created_at >= :begun_after AND (created_at, id) < (:created_at, :id)
    ORDER BY created_at DESC, id DESC LIMIT :looked_at
) AS n
WHERE CASE WHEN n.run <= (SELECT upto FROM words_due WHERE run = 0) AND n.run NOT IN (SELECT run FROM words_due)
    THEN NOT EXISTS (
        SELECT * FROM json_each(:sought) AS s
        WHERE instr(' ' || (SELECT w.words FROM run_words AS w WHERE w.rowid = n.run), ' ' || s.value) = 0
    ) ELSE n.run IN (SELECT value FROM json_each(:others)) END

-- name: newest
-- The newest so many runs, whose fields are compared one by one: many runs can have a common value.
SELECT key AS rowid FROM runs WHERE created_at >= :begun_after AND (created_at, id) < (:created_at, :id)
    AND (:tenant IS NULL OR queue_key = :tenant) ORDER BY created_at DESC, id DESC LIMIT :looked_at

-- name: found_by_field
-- The keys of the runs with one of these values, of each tenant in turn if none is given: the index begins with it.
WITH RECURSIVE each_tenant (tenant) AS (
    SELECT coalesce(:tenant, (SELECT min(tenant) FROM run_fields))
    UNION ALL
    SELECT (SELECT min(f.tenant) FROM run_fields AS f WHERE f.tenant > t.tenant) FROM each_tenant AS t
    WHERE :tenant IS NULL AND t.tenant IS NOT NULL
)
SELECT f.run AS rowid FROM each_tenant AS t CROSS JOIN json_each(:values_0) AS v
CROSS JOIN run_fields AS f ON f.tenant = t.tenant AND f.field = :field_0 AND f.value = v.value
    AND f.created_at >= :begun_after AND f.created_at < :begun_before

-- name: found_without_index
SELECT value AS rowid FROM json_each(:others)

-- name: runs
-- It reads every run that matches. `reads.py` puts in by what they are sorted, and where they come from.
SELECT {run} FROM (
    SELECT r.key AS place, …value… AS value FROM …source…
    WHERE (:before IS NULL OR (…value…, r.created_at, r.id) … (
            SELECT …value…, r.created_at, r.id FROM runs AS r WHERE r.id = :before
        )) AND r.created_at >= :begun_after AND r.created_at < :begun_before
        AND (:graph IS NULL OR r.graph = :graph) AND (:status IS NULL OR r.status = :status)
        AND (:tag IS NULL OR EXISTS (SELECT * FROM tags AS t WHERE t.run = r.key AND t.tag = :tag))
        AND (:tenant IS NULL OR r.queue_key = :tenant AND r.queue_key <> '')
        AND (:user IS NULL OR r.user_name = :user AND r.user_name <> '') AND (:starter IS NULL OR r.starter = :starter
        AND r.starter_nonce = coalesce((SELECT s.nonce FROM runs AS s WHERE s.id = :starter), r.starter_nonce))…fields…
    ORDER BY 2 DESC, r.created_at DESC, r.id DESC LIMIT :limit
) CROSS JOIN run_facts AS f ON f.key = place
ORDER BY value DESC, f.created_at DESC, f.id DESC;

-- name: counts
SELECT r.graph, r.status, CAST(r.created_at / :every AS INTEGER) * :every, count(*)
FROM (…found…) AS x CROSS JOIN runs AS r ON r.key = x.rowid
WHERE (:tag IS NULL OR EXISTS (SELECT * FROM tags AS t WHERE t.run = r.key AND t.tag = :tag))
    AND (:tenant IS NULL OR r.queue_key = :tenant)
GROUP BY 1, 2, 3;
