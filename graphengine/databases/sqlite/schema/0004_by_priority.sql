-- Runs that were driven before are found by their priority too, as those of a queue that were not.
DROP INDEX runs_to_resume;
DROP INDEX runs_to_wake;
CREATE INDEX runs_to_resume ON runs (queue, priority DESC, wanted_at) WHERE wanted_at IS NOT NULL AND fence > 0;
CREATE INDEX runs_to_wake ON runs (queue, priority DESC, due_at) WHERE due_at IS NOT NULL;
