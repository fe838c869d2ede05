-- A job may work on no single database, as a package does: its `database_id` is null. SQLite cannot take NOT NULL
-- from a column, so the table is written anew, and with it the log, whose foreign key follows a table's renaming.
-- In the documents the two fields of the database become one that may be missing.

ALTER TABLE jobs RENAME TO jobs_before;

CREATE TABLE jobs (
    id           TEXT    NOT NULL PRIMARY KEY,
    revision     INTEGER NOT NULL,
    -- Null for work on several databases.
    database_id  INTEGER,
    status       TEXT    NOT NULL,
    -- Of a job that makes a backup; null for other work.
    backup_kind  TEXT,
    created_at   INTEGER NOT NULL,
    attention_at INTEGER,
    -- Stored bytes while the job is a succeeded backup, else 0.
    size_bytes   INTEGER NOT NULL,
    document     TEXT    NOT NULL
) STRICT;

INSERT INTO jobs (id, revision, database_id, status, backup_kind, created_at, attention_at, size_bytes, document)
SELECT id, revision, database_id, status, backup_kind, created_at, attention_at, size_bytes,
       json_set(
           json_remove(document, '$.database_id', '$.database_uid'),
           '$.database',
           json_object('id', document ->> '$.database_id', 'uid', document ->> '$.database_uid'))
FROM jobs_before;

CREATE TABLE job_log_after (
    job_id  TEXT    NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    seq     INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    level   TEXT    NOT NULL,
    line    TEXT    NOT NULL,
    PRIMARY KEY (job_id, seq)
) STRICT, WITHOUT ROWID;

INSERT INTO job_log_after SELECT * FROM job_log;
DROP TABLE job_log;
ALTER TABLE job_log_after RENAME TO job_log;

-- Its indexes and triggers go with it; the sums stay as they are.
DROP TABLE jobs_before;

CREATE INDEX jobs_due ON jobs (attention_at, id) WHERE attention_at IS NOT NULL;

-- One for each way of listing; each ends in the list's order, so that a page is one short walk.
CREATE INDEX jobs_by_age             ON jobs (created_at, id);
CREATE INDEX jobs_by_kind            ON jobs (backup_kind, created_at, id);
CREATE INDEX jobs_by_status          ON jobs (status, created_at, id, backup_kind);
CREATE INDEX jobs_by_status_kind     ON jobs (status, backup_kind, created_at, id);
CREATE INDEX jobs_by_database        ON jobs (database_id, created_at, id, backup_kind);
CREATE INDEX jobs_by_database_status ON jobs (database_id, status, created_at, id, backup_kind);

CREATE TRIGGER backup_totals_insert AFTER INSERT ON jobs WHEN NEW.backup_kind IS NOT NULL
BEGIN
    INSERT INTO backup_totals (scope, status, backups, size_bytes)
    SELECT column1, NEW.status, 1, NEW.size_bytes
    FROM (VALUES ('all'), (CAST(NEW.database_id AS TEXT)))
    WHERE true
    ON CONFLICT DO UPDATE SET backups = backups + 1, size_bytes = size_bytes + excluded.size_bytes;
END;

CREATE TRIGGER backup_totals_delete AFTER DELETE ON jobs WHEN OLD.backup_kind IS NOT NULL
BEGIN
    UPDATE backup_totals SET backups = backups - 1, size_bytes = size_bytes - OLD.size_bytes
    WHERE scope IN ('all', CAST(OLD.database_id AS TEXT)) AND status = OLD.status;
    DELETE FROM backup_totals
    WHERE scope = CAST(OLD.database_id AS TEXT) AND status = OLD.status AND backups = 0;
END;

-- A heartbeat changes none of these, so it costs no trigger.
CREATE TRIGGER backup_totals_update AFTER UPDATE ON jobs
WHEN OLD.status IS NOT NEW.status OR OLD.size_bytes IS NOT NEW.size_bytes
  OR OLD.database_id IS NOT NEW.database_id OR OLD.backup_kind IS NOT NEW.backup_kind
BEGIN
    UPDATE backup_totals SET backups = backups - 1, size_bytes = size_bytes - OLD.size_bytes
    WHERE OLD.backup_kind IS NOT NULL
      AND scope IN ('all', CAST(OLD.database_id AS TEXT)) AND status = OLD.status;
    DELETE FROM backup_totals
    WHERE scope = CAST(OLD.database_id AS TEXT) AND status = OLD.status AND backups = 0;
    INSERT INTO backup_totals (scope, status, backups, size_bytes)
    SELECT column1, NEW.status, 1, NEW.size_bytes
    FROM (VALUES ('all'), (CAST(NEW.database_id AS TEXT)))
    WHERE NEW.backup_kind IS NOT NULL
    ON CONFLICT DO UPDATE SET backups = backups + 1, size_bytes = size_bytes + excluded.size_bytes;
END;
