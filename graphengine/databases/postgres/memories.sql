-- The statements of memories by name; `memories.py` runs them. Those of one name are separated at the ends of lines.

-- name: put
INSERT INTO memories (namespace, key, body, words, vector, updated_at)
VALUES (%(namespace)s, %(key)s, %(body)s, array_to_tsvector(string_to_array(%(words)s, ' ')), %(vector)s::real[],
        %(updated_at)s)
ON CONFLICT (namespace, key) DO UPDATE SET
    body = excluded.body, words = excluded.words, vector = excluded.vector, updated_at = excluded.updated_at

-- name: get
SELECT namespace, key, body, updated_at, 0.0::float8 FROM memories WHERE namespace = %(namespace)s AND key = %(key)s

-- name: delete
DELETE FROM memories WHERE namespace = %(namespace)s AND key = %(key)s

-- name: clear
DELETE FROM memories WHERE namespace = %(namespace)s OR (namespace >= %(low)s AND namespace < %(high)s)

-- name: page
SELECT namespace, key, body, updated_at, 0.0::float8 FROM memories
WHERE (namespace = %(namespace)s OR (namespace >= %(low)s AND namespace < %(high)s))
    AND (namespace, key) > (%(after_namespace)s, %(after_key)s)
ORDER BY namespace, key LIMIT %(limit)s

-- name: by_words
SELECT namespace, key, body, updated_at, ts_rank(words, %(query)s::tsquery)::float8 AS score FROM memories
WHERE words @@ %(query)s::tsquery AND (namespace = %(namespace)s OR (namespace >= %(low)s AND namespace < %(high)s))
ORDER BY score DESC, updated_at DESC, namespace, key LIMIT %(limit)s

-- name: vector_schema
-- Where the extension pgvector is, if the database has it: the search path does not lead there.
SELECT quote_ident(n.nspname) FROM pg_extension AS e JOIN pg_namespace AS n ON n.oid = e.extnamespace
WHERE e.extname = 'vector'

-- name: by_meaning
SELECT namespace, key, body, updated_at,
    (SELECT sum(a * b) FROM unnest(vector, %(vector)s::real[]) AS pairs (a, b))::float8 AS score
FROM memories
WHERE (namespace = %(namespace)s OR (namespace >= %(low)s AND namespace < %(high)s))
    AND cardinality(vector) = cardinality(%(vector)s::real[])
ORDER BY score DESC, namespace, key LIMIT %(limit)s
