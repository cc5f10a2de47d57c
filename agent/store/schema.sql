-- Version 1. Times are milliseconds since the Unix epoch, 0 for "not set". A later version is a
-- file of its own that starts from here: see `migrations` in db.c.

CREATE TABLE deliveries (
    seq         INTEGER PRIMARY KEY, -- never used again: the newest row is never deleted
    forge       TEXT    NOT NULL,
    id          TEXT    NOT NULL,
    received    INTEGER NOT NULL,
    event       TEXT    NOT NULL,
    repository  TEXT    NOT NULL COLLATE NOCASE,
    ref         TEXT    NOT NULL,
    branch      TEXT    NOT NULL,
    object      TEXT    NOT NULL, -- the commit that the payload claims
    pusher      TEXT    NOT NULL,
    body_sha256 BLOB    NOT NULL,
    pending     INTEGER NOT NULL,
    failed      INTEGER NOT NULL,
    reason      TEXT    NOT NULL,
    detail      TEXT    NOT NULL,
    build       INTEGER NOT NULL,
    finished    INTEGER NOT NULL,
    repeated    INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX deliveries_id ON deliveries (id, forge) WHERE repeated = 0;
CREATE INDEX deliveries_pending ON deliveries (repository, branch, seq) WHERE pending = 1;

CREATE TABLE branches (
    repository TEXT    NOT NULL,
    branch     TEXT    NOT NULL,
    head       TEXT    NOT NULL,
    seq        INTEGER NOT NULL,
    checked    INTEGER NOT NULL,
    PRIMARY KEY (repository, branch)
) STRICT, WITHOUT ROWID;

CREATE TABLE builds (
    id         INTEGER PRIMARY KEY AUTOINCREMENT, -- people write them down: never used again
    repository TEXT    NOT NULL,
    branch     TEXT    NOT NULL,
    object     TEXT    NOT NULL, -- the commit
    recipe     TEXT    NOT NULL,
    attempt    INTEGER NOT NULL,
    job        TEXT    NOT NULL,
    image      TEXT    NOT NULL,
    digest     TEXT    NOT NULL,
    state      TEXT    NOT NULL,
    reason     TEXT    NOT NULL,
    detail     TEXT    NOT NULL,
    subject    TEXT    NOT NULL,
    author     TEXT    NOT NULL,
    created    INTEGER NOT NULL,
    started    INTEGER NOT NULL,
    finished   INTEGER NOT NULL,
    fetch_ms   INTEGER NOT NULL,
    context_ms INTEGER NOT NULL,
    kaniko_ms  INTEGER NOT NULL,
    patch_ms   INTEGER NOT NULL,
    patched    INTEGER NOT NULL,
    UNIQUE (object, recipe, attempt)
) STRICT;
CREATE INDEX builds_branch ON builds (repository, branch, id);
-- Deliveries only hint, in any letter case; branches and builds belong to one exact repository.
CREATE INDEX builds_unfinished ON builds (id) WHERE state NOT IN ('done', 'failed', 'superseded');

CREATE TABLE patches (
    id        INTEGER PRIMARY KEY,
    build     INTEGER NOT NULL REFERENCES builds (id) ON DELETE CASCADE,
    namespace TEXT    NOT NULL,
    name      TEXT    NOT NULL,
    old_image TEXT    NOT NULL,
    new_image TEXT    NOT NULL,
    at        INTEGER NOT NULL
) STRICT;
CREATE INDEX patches_build ON patches (build);
