-- Records are JSON documents. Beside each stand only the columns that an index or a condition needs;
-- they are derived from the record in one place in the code. `id` and `revision` are the columns'
-- alone: what the document says of them is ignored. Times are whole milliseconds since 1970 (UTC).

CREATE TABLE databases (
    -- AUTOINCREMENT: a number is never used twice, also not after the highest was deleted.
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    uid          TEXT    NOT NULL UNIQUE,
    revision     INTEGER NOT NULL,
    attention_at INTEGER,
    document     TEXT    NOT NULL
) STRICT;

CREATE INDEX databases_due ON databases (attention_at, id) WHERE attention_at IS NOT NULL;

CREATE TABLE jobs (
    id           TEXT    NOT NULL PRIMARY KEY,
    revision     INTEGER NOT NULL,
    database_id  INTEGER NOT NULL,
    status       TEXT    NOT NULL,
    -- Of a job that makes a backup; null for other work.
    backup_kind  TEXT,
    created_at   INTEGER NOT NULL,
    attention_at INTEGER,
    -- Stored bytes while the job is a succeeded backup, else 0.
    size_bytes   INTEGER NOT NULL,
    document     TEXT    NOT NULL
) STRICT;

CREATE INDEX jobs_due ON jobs (attention_at, id) WHERE attention_at IS NOT NULL;

-- One for each way of listing; each ends in the list's order, so that a page is one short walk.
CREATE INDEX jobs_by_age             ON jobs (created_at, id);
CREATE INDEX jobs_by_kind            ON jobs (backup_kind, created_at, id);
CREATE INDEX jobs_by_status          ON jobs (status, created_at, id, backup_kind);
CREATE INDEX jobs_by_status_kind     ON jobs (status, backup_kind, created_at, id);
CREATE INDEX jobs_by_database        ON jobs (database_id, created_at, id, backup_kind);
CREATE INDEX jobs_by_database_status ON jobs (database_id, status, created_at, id, backup_kind);

CREATE TABLE job_log (
    job_id  TEXT    NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    seq     INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    level   TEXT    NOT NULL,
    line    TEXT    NOT NULL,
    PRIMARY KEY (job_id, seq)
) STRICT, WITHOUT ROWID;

-- Sums over backups, kept by the triggers below: counting a million rows would take longer than a
-- page may. `scope` is a database's number, or `all`.
CREATE TABLE backup_totals (
    scope      TEXT    NOT NULL,
    status     TEXT    NOT NULL,
    backups    INTEGER NOT NULL,
    size_bytes INTEGER NOT NULL,
    PRIMARY KEY (scope, status)
) STRICT, WITHOUT ROWID;

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

CREATE TABLE claims (
    key        TEXT NOT NULL PRIMARY KEY,
    value      TEXT NOT NULL,
    expires_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX claims_by_expiry ON claims (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE leases (
    -- AUTOINCREMENT again: fences grow for ever, also when the lease's row is gone.
    fence      INTEGER PRIMARY KEY AUTOINCREMENT,
    name       TEXT    NOT NULL UNIQUE,
    owner      TEXT    NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;

CREATE INDEX leases_by_expiry ON leases (expires_at);

-- What the readiness check writes.
CREATE TABLE probe (
    id     INTEGER PRIMARY KEY CHECK (id = 1),
    writes INTEGER NOT NULL
) STRICT;
