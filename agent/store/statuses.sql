-- What the forge is told of a commit, for each service that it is built for.

CREATE TABLE statuses (
    repository TEXT    NOT NULL,
    object     TEXT    NOT NULL, -- the commit
    namespace  TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    url        TEXT    NOT NULL, -- as the service has it: it chooses the forge
    branch     TEXT    NOT NULL,
    build      INTEGER NOT NULL REFERENCES builds (id) ON DELETE CASCADE,
    state      TEXT    NOT NULL,
    detail     TEXT    NOT NULL,
    told       INTEGER NOT NULL, -- the forge knows it as it is here
    sent       INTEGER NOT NULL, -- how often the forge was told of this commit and service
    tries      INTEGER NOT NULL, -- that failed since it last changed
    due        INTEGER NOT NULL,
    error      TEXT    NOT NULL,
    PRIMARY KEY (repository, object, namespace, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX statuses_due ON statuses (due) WHERE told = 0;
CREATE INDEX statuses_pending ON statuses (build) WHERE state = 'pending';
CREATE INDEX statuses_build ON statuses (build);
