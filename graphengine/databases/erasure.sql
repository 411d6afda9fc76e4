-- What erasing a person deletes besides runs and memories; `memory/erasure.py` runs it.

-- name: notice
DELETE FROM inbox WHERE payload IS NULL AND substr(key, 1, length(CAST(:start AS text))) = :start

-- name: accounts
DELETE FROM budget_holds WHERE key = :user;
DELETE FROM budget_accounts WHERE key = :user
