-- The history of runs, which outlives Jobs and pods.

CREATE TABLE runs (
    id            INTEGER PRIMARY KEY,
    uid           TEXT    NOT NULL UNIQUE, -- of the Job
    namespace     TEXT    NOT NULL,
    service       TEXT    NOT NULL,
    name          TEXT    NOT NULL,
    kind          TEXT    NOT NULL,
    requested_by  TEXT    NOT NULL,
    object        TEXT    NOT NULL, -- the commit
    image         TEXT    NOT NULL,
    state         TEXT    NOT NULL,
    reason        TEXT    NOT NULL,
    exit_code     INTEGER NOT NULL, -- -1: none
    max_attempts  INTEGER NOT NULL,
    created       INTEGER NOT NULL,
    scheduled_for INTEGER NOT NULL,
    started       INTEGER NOT NULL,
    finished      INTEGER NOT NULL, -- 0: it is not over
    log           TEXT    NOT NULL,
    log_bytes     INTEGER NOT NULL, -- on disk, of all its logs that are at their end
    open          INTEGER NOT NULL, -- something of it may still change
    attempts      TEXT    NOT NULL  -- JSON: see agent/runs/record.h
) STRICT;
CREATE INDEX runs_service ON runs (namespace, service, created);
CREATE INDEX runs_name ON runs (namespace, service, name);
CREATE INDEX runs_finished ON runs (namespace, service, finished) WHERE finished > 0;
CREATE INDEX runs_usual ON runs (namespace, service, finished, started) WHERE state = 'succeeded';
CREATE INDEX runs_open ON runs (namespace, service) WHERE open = 1;
CREATE INDEX runs_age ON runs (finished) WHERE open = 0;
CREATE INDEX runs_logs ON runs (finished, log_bytes) WHERE log_bytes > 0;
-- Which commit a run's image is of.
CREATE INDEX patches_image ON patches (namespace, name, new_image);

-- What a service was from then on: why a time passed without a run.
CREATE TABLE service_states (
    namespace TEXT    NOT NULL,
    service   TEXT    NOT NULL,
    at        INTEGER NOT NULL,
    state     TEXT    NOT NULL,
    schedule  TEXT    NOT NULL,
    time_zone TEXT    NOT NULL,
    PRIMARY KEY (namespace, service, at)
) STRICT, WITHOUT ROWID;

-- When an agent with this store was there to see.
CREATE TABLE watches (
    started INTEGER PRIMARY KEY,
    seen    INTEGER NOT NULL
) STRICT;
