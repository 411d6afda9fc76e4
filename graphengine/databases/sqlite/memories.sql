-- The statements of memories by name; `memories.py` runs them. Those of one name are separated at the ends of lines.

-- name: exist
SELECT 1 FROM sqlite_schema WHERE name = 'memory_words'

-- name: create
-- `body` has the value and the text as JSON, `vector` numbers of 4 bytes each, of length 1.
CREATE TABLE IF NOT EXISTS memories (
    id INTEGER PRIMARY KEY,
    namespace TEXT NOT NULL,
    key TEXT NOT NULL,
    body TEXT NOT NULL,
    words TEXT NOT NULL,
    vector BLOB,
    updated_at REAL NOT NULL,
    UNIQUE (namespace, key)
);
-- It has no words of its own but reads those of the table; no trigger keeps it up to date, as a database with triggers
-- is refused. So what leaves the table is deleted from it first, with the same words.
CREATE VIRTUAL TABLE IF NOT EXISTS memory_words USING fts5 (
    words, content = 'memories', content_rowid = 'id', tokenize = 'unicode61 remove_diacritics 0'
);

-- name: put
INSERT INTO memory_words (memory_words, rowid, words)
SELECT 'delete', id, words FROM memories WHERE namespace = :namespace AND key = :key;
INSERT INTO memories (namespace, key, body, words, vector, updated_at)
VALUES (:namespace, :key, :body, :words, :vector, :updated_at)
ON CONFLICT (namespace, key) DO UPDATE SET
    body = excluded.body, words = excluded.words, vector = excluded.vector, updated_at = excluded.updated_at;
INSERT INTO memory_words (rowid, words)
SELECT id, words FROM memories WHERE namespace = :namespace AND key = :key

-- name: get
SELECT namespace, key, body, updated_at, 0.0 FROM memories WHERE namespace = :namespace AND key = :key

-- name: delete
INSERT INTO memory_words (memory_words, rowid, words)
SELECT 'delete', id, words FROM memories WHERE namespace = :namespace AND key = :key;
DELETE FROM memories WHERE namespace = :namespace AND key = :key

-- name: clear
INSERT INTO memory_words (memory_words, rowid, words)
SELECT 'delete', id, words FROM memories WHERE namespace = :namespace OR (namespace >= :low AND namespace < :high);
DELETE FROM memories WHERE namespace = :namespace OR (namespace >= :low AND namespace < :high)

-- name: page
SELECT namespace, key, body, updated_at, 0.0 FROM memories
WHERE (namespace = :namespace OR (namespace >= :low AND namespace < :high))
    AND (namespace, key) > (:after_namespace, :after_key)
ORDER BY namespace, key LIMIT :limit

-- name: by_words
-- bm25 is negative, and less for what fits better. The rows with the words are looked up, and not the other way round.
SELECT m.namespace, m.key, m.body, m.updated_at, -bm25(memory_words) AS score
FROM memory_words CROSS JOIN memories AS m ON m.id = memory_words.rowid
WHERE memory_words MATCH :query AND (m.namespace = :namespace OR (m.namespace >= :low AND m.namespace < :high))
ORDER BY score DESC, m.updated_at DESC, m.id LIMIT :limit

-- name: by_meaning
WITH found AS MATERIALIZED (
    SELECT id, cosine(vector) AS score FROM memories
    WHERE (namespace = :namespace OR (namespace >= :low AND namespace < :high)) AND length(vector) = length(:vector)
    ORDER BY score DESC, id LIMIT :limit
)
SELECT m.namespace, m.key, m.body, m.updated_at, f.score FROM found AS f CROSS JOIN memories AS m ON m.id = f.id
ORDER BY f.score DESC, m.id
