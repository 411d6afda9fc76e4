-- The statements of the accounts of budgets by name; `accounts.py` runs them.

-- name: lock
-- Only for PostgreSQL. Two transactions that both add an account must wait for each other, so the name of the account is
-- locked. In SQLite, a transaction that writes is alone.
SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || :budget::text || '/' || :key::text, 2))

-- name: find
SELECT a.budget, a.key, a.begun_at, a.calls_in_flight, a.spent_cost_usd, a.spent_tokens, a.spent_calls,
    a.held_cost_usd, a.held_tokens, a.held_calls, a.unknown_cost_usd, a.unknown_tokens, a.unknown_calls,
    a.estimated_cost_usd, a.estimated_tokens, a.calls_of_unknown_use,
    h.call, h.run, h.nonce, h.token, h.cost_usd, h.tokens, h.calls, h.asked_cost_usd, h.asked_tokens
FROM budget_accounts AS a
LEFT JOIN budget_holds AS h ON h.budget = a.budget AND h.key = a.key AND h.call = :call
WHERE a.budget = :budget AND a.key = :key

-- name: keep
INSERT INTO budget_accounts (
    budget, key, begun_at, calls_in_flight, spent_cost_usd, spent_tokens, spent_calls,
    held_cost_usd, held_tokens, held_calls, unknown_cost_usd, unknown_tokens, unknown_calls,
    estimated_cost_usd, estimated_tokens, calls_of_unknown_use
) VALUES (
    :budget, :key, :begun_at, :calls_in_flight, :spent_cost_usd, :spent_tokens, :spent_calls,
    :held_cost_usd, :held_tokens, :held_calls, :unknown_cost_usd, :unknown_tokens, :unknown_calls,
    :estimated_cost_usd, :estimated_tokens, :calls_of_unknown_use
) ON CONFLICT (budget, key) DO UPDATE SET
    begun_at = excluded.begun_at, calls_in_flight = excluded.calls_in_flight,
    spent_cost_usd = excluded.spent_cost_usd, spent_tokens = excluded.spent_tokens, spent_calls = excluded.spent_calls,
    held_cost_usd = excluded.held_cost_usd, held_tokens = excluded.held_tokens, held_calls = excluded.held_calls,
    unknown_cost_usd = excluded.unknown_cost_usd, unknown_tokens = excluded.unknown_tokens,
    unknown_calls = excluded.unknown_calls,
    estimated_cost_usd = excluded.estimated_cost_usd, estimated_tokens = excluded.estimated_tokens,
    calls_of_unknown_use = excluded.calls_of_unknown_use

-- name: hold
INSERT INTO budget_holds (budget, key, call, run, nonce, token, cost_usd, tokens, calls, asked_cost_usd, asked_tokens)
VALUES (
    :budget, :key, :call, :run, :nonce, :token,
    :cost_usd, :tokens, :calls, :asked_cost_usd, :asked_tokens
) ON CONFLICT (budget, key, call) DO UPDATE SET
    run = excluded.run, nonce = excluded.nonce, token = excluded.token,
    cost_usd = excluded.cost_usd, tokens = excluded.tokens, calls = excluded.calls,
    asked_cost_usd = excluded.asked_cost_usd, asked_tokens = excluded.asked_tokens

-- name: holds
SELECT call, run, nonce, token, cost_usd, tokens, calls, asked_cost_usd, asked_tokens
FROM budget_holds WHERE budget = :budget AND key = :key ORDER BY call

-- name: holds_of_run
SELECT budget, key, call, run, nonce, token, cost_usd, tokens, calls, asked_cost_usd, asked_tokens
FROM budget_holds WHERE run = :run AND nonce = :nonce ORDER BY budget, key, call

-- name: drop_hold
DELETE FROM budget_holds WHERE budget = :budget AND key = :key AND call = :call

-- name: drop_holds
DELETE FROM budget_holds WHERE budget = :budget AND key = :key

-- name: page
SELECT budget, key, begun_at, calls_in_flight, spent_cost_usd, spent_tokens, spent_calls,
    held_cost_usd, held_tokens, held_calls, unknown_cost_usd, unknown_tokens, unknown_calls,
    estimated_cost_usd, estimated_tokens, calls_of_unknown_use
FROM budget_accounts WHERE (budget, key) > (:budget, :key) ORDER BY budget, key LIMIT :limit
