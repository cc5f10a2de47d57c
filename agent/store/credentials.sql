-- What was fetched with a credential of its own is kept apart: a head and builds for each of them.

CREATE TABLE heads (
    repository TEXT    NOT NULL,
    branch     TEXT    NOT NULL,
    credential TEXT    NOT NULL, -- its name; '': those without a name
    head       TEXT    NOT NULL,
    seq        INTEGER NOT NULL,
    checked    INTEGER NOT NULL,
    PRIMARY KEY (repository, branch, credential)
) STRICT, WITHOUT ROWID;
INSERT INTO heads SELECT repository, branch, '', head, seq, checked FROM branches;
DROP TABLE branches;
ALTER TABLE heads RENAME TO branches;

ALTER TABLE builds ADD COLUMN credential TEXT NOT NULL DEFAULT '';
