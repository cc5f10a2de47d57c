-- The images that each service has had. No build is referred to: builds are trimmed sooner.

CREATE TABLE images (
    id        INTEGER PRIMARY KEY,
    uid       TEXT    NOT NULL, -- of the CronJob
    image     TEXT    NOT NULL,
    object    TEXT    NOT NULL, -- the commit
    subject   TEXT    NOT NULL,
    author    TEXT    NOT NULL,
    build     TEXT    NOT NULL, -- as people know it: "b-51"
    at        INTEGER NOT NULL,
    person    TEXT    NOT NULL,
    kind      TEXT    NOT NULL
) STRICT;
CREATE INDEX images_service ON images (uid, id);
