-- What erasing a person deletes besides runs and memories; `erasure.py` runs it.

-- name: notice
DELETE FROM inbox WHERE payload IS NULL AND starts_with(key, %(start)s)

-- name: accounts
DELETE FROM budget_holds WHERE key = %(user)s;
DELETE FROM budget_accounts WHERE key = %(user)s
