PRAGMA journal_mode = WAL;
PRAGMA user_version = 42;
PRAGMA application_id = 1381192272;
BEGIN;

CREATE TABLE types (
  id INTEGER PRIMARY KEY AUTOINCREMENT, i INTEGER, r REAL, t TEXT, b BLOB, n NUMERIC, anything,
  doubled INTEGER GENERATED ALWAYS AS (i * 2) STORED, shown TEXT GENERATED ALWAYS AS (t || '!') VIRTUAL
);
INSERT INTO types (i, r, t, b, n, anything) VALUES
  (9223372036854775807, 1.7976931348623157e308, 'plain', x'00ff5c0a0d09', 1.5, 'text'),
  (-9223372036854775808, -0.0, '', x'', '12', x'01'),
  (0, 9e999, 'it''s "quoted"; -- no comment', NULL, NULL, 3),
  (NULL, NULL, NULL, NULL, NULL, NULL),
  (1, 0.1, 'naïve 日本語 🙂' || char(10, 13, 9, 0) || 'after nul', randomblob(70000), 'abc', 2.5);

CREATE TABLE "Weird ""name"" Ünï" ("has space" TEXT NOT NULL DEFAULT ';', "select" INTEGER UNIQUE);
INSERT INTO "Weird ""name"" Ünï" VALUES ('a', 1), ('b', NULL), ('c', NULL);

CREATE TABLE without_rowid (a TEXT, b INTEGER, note TEXT, PRIMARY KEY (b DESC, a)) WITHOUT ROWID;
INSERT INTO without_rowid VALUES ('x', 1, 'one'), ('x', 2, NULL), ('y', 1, '');

CREATE TABLE strictly (n INTEGER NOT NULL, t TEXT, any_one ANY) STRICT;
INSERT INTO strictly VALUES (1, 'a', x'00'), (2, NULL, 1.0);

CREATE TABLE empty (id INTEGER PRIMARY KEY, note TEXT CHECK (length(note) < 10) COLLATE NOCASE);

CREATE TABLE parent (id INTEGER PRIMARY KEY);
CREATE TABLE child (id INTEGER PRIMARY KEY, parent_id INTEGER REFERENCES parent ON DELETE CASCADE);
INSERT INTO parent VALUES (1), (2);
INSERT INTO child VALUES (1, 1), (2, 2), (3, NULL);

CREATE TABLE big (id INTEGER PRIMARY KEY, name TEXT NOT NULL, note TEXT);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)
  INSERT INTO big SELECT i, 'name ' || i, CASE WHEN i % 7 = 0 THEN NULL ELSE hex(randomblob(16)) END FROM n;
CREATE INDEX big_name ON big (lower(name)) WHERE note IS NOT NULL;
CREATE VIEW noted AS SELECT id, note AS "the note" FROM big WHERE note IS NOT NULL;

CREATE TABLE audit (what TEXT);
CREATE TRIGGER child_changes AFTER INSERT ON child BEGIN
  INSERT INTO audit VALUES ('insert ' || NEW.id);
END;
CREATE TRIGGER noted_insert INSTEAD OF INSERT ON noted BEGIN
  INSERT INTO big (name, note) VALUES ('by view', NEW."the note");
END;
INSERT INTO child VALUES (4, 1);

COMMIT;
ANALYZE;
