-- Builds may end as filtered, and a delivery may be of one service alone.

DROP INDEX builds_unfinished;
CREATE INDEX builds_unfinished ON builds (id)
    WHERE state NOT IN ('done', 'failed', 'superseded', 'filtered');

ALTER TABLE deliveries ADD COLUMN service TEXT NOT NULL DEFAULT '';
