-- Texts that the installation keeps under a name, such as its settings.

CREATE TABLE documents (
    name     TEXT    NOT NULL PRIMARY KEY,
    revision INTEGER NOT NULL,
    text     TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
