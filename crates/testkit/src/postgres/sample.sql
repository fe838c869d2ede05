-- A database that holds one of everything a dump and its readers may trip over.
CREATE SCHEMA app;
CREATE SCHEMA "Ünï côdé";
CREATE SCHEMA "select";

CREATE TYPE app.mood AS ENUM ('sad', 'so-so', 'it''s "fine"', 'ünhappy');
CREATE DOMAIN app.positive AS integer CHECK (VALUE > 0);
CREATE TYPE app.address AS (street text, "Zip Code" text);
CREATE COLLATION app.bytewise (provider = libc, locale = 'C');

-- Function bodies that look like parts of a dump.
CREATE FUNCTION app.looks_like_a_dump() RETURNS text LANGUAGE plpgsql AS $body$
BEGIN
  RETURN $inner$
COPY public.x (a) FROM stdin;
1	one
\.
\restrict inner
\unrestrict x
--
-- PostgreSQL database dump complete
--
$inner$;
END
$body$;
CREATE FUNCTION app.quoted_body() RETURNS text LANGUAGE sql AS '
SELECT ''it''''s; \. '' || E''\\.''
-- $$ ; ''
';
CREATE FUNCTION app.standard_body(a integer, b integer DEFAULT 2) RETURNS integer
  LANGUAGE sql IMMUTABLE RETURN a + b;
CREATE PROCEDURE app.does_nothing() LANGUAGE plpgsql AS $$ BEGIN NULL; END $$;
CREATE AGGREGATE app.joined(text) (SFUNC = textcat, STYPE = text, INITCOND = '');

CREATE TABLE app.types (
  id integer GENERATED ALWAYS AS IDENTITY (START WITH 7 INCREMENT BY 3) PRIMARY KEY,
  label text COLLATE app.bytewise,
  mood app.mood DEFAULT 'sad',
  size app.positive,
  home app.address,
  doubled integer GENERATED ALWAYS AS (size * 2) STORED,
  amount numeric(20, 5),
  ratio double precision,
  flag boolean,
  letter "char",
  code character(5),
  raw bytea,
  at timestamp with time zone,
  local timestamp,
  day date,
  span interval,
  tags text[],
  grid integer[][],
  doc jsonb,
  text_doc json,
  key uuid,
  net inet,
  bits bit varying(16),
  place point,
  valid tstzrange,
  many int4multirange,
  words tsvector
);
INSERT INTO app.types (label, mood, size, home, amount, ratio, flag, letter, code, raw, at, local, day, span,
  tags, grid, doc, text_doc, key, net, bits, place, valid, many, words) VALUES
('plain', 'so-so', 1, ROW('Main St', '012'), 1.5, 0.1, true, 'x', 'ab', '\x00ff5c0a0d09', '2026-03-29 02:30:00+01',
  '2026-03-29 02:30:00', '2026-02-28', '1 year 2 mons 3 days 04:05:06.789', '{a,"b c","d\"e",NULL,""}',
  '{{1,2},{3,4}}', '{"k": [1, null, "é\n"]}', '{"b":1, "a":  2}', '00000000-0000-0000-0000-000000000001',
  '10.0.0.0/8', B'1010', '(1.5,-2)', '[2026-01-01 00:00:00+00,infinity)', '{[1,3),[5,8)}', 'a:1 fat:2'),
('extremes', 'it''s "fine"', 2147483647 / 2, NULL, 'NaN', 'NaN', false, '\', '', '\x', 'infinity', '-infinity',
  '0044-03-15 BC', '-1 mons', '{}', NULL, 'null', '[]', NULL, '::1', B'', NULL, 'empty', '{}', ''),
('floats', 'ünhappy', 3, ROW(NULL, ''), -0.00001, 1.7976931348623157e308, NULL, NULL, NULL, NULL, NULL, NULL,
  NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO app.types DEFAULT VALUES;

CREATE TABLE app.texts (id integer PRIMARY KEY, body text);
INSERT INTO app.texts VALUES
(1, ''), (2, NULL), (3, ' '), (4, E'\\'), (5, E'\\\\'), (6, E'\\.'), (7, E'\\N'), (8, E'tab\there'),
(9, E'line\nbreak'), (10, E'carriage\rreturn'), (11, E'\r\n'), (12, E'\b\f\v'), (13, 'naïve 日本語 🙂'),
(14, E'a\n\\.\nb'), (15, 'COPY public.x (a) FROM stdin;'), (16, E'\nCOPY app.texts (id, body) FROM stdin;\n'),
(17, '-- PostgreSQL database dump complete'), (18, E'\\unrestrict x'), (19, E'\u0001\u007f'), (20, '"'),
(21, ''''), (22, '$$'), (23, E'\\n'), (24, repeat('long ', 40000)), (25, E'trailing\\');

-- A single text column: its empty string is an empty line, its end mark is escaped.
CREATE TABLE app.single (only_one text);
INSERT INTO app.single VALUES (''), (E'\\.'), (NULL), ('.'), ('');

CREATE TABLE app.no_columns ();
INSERT INTO app.no_columns DEFAULT VALUES;
INSERT INTO app.no_columns DEFAULT VALUES;
CREATE TABLE app.empty (id bigserial PRIMARY KEY, note text);
CREATE UNLOGGED TABLE app.unlogged (n integer);
INSERT INTO app.unlogged VALUES (1), (2);

CREATE TABLE "Ünï côdé"."Tàble ""quoted"" 'name'" (
  "Order" integer PRIMARY KEY, "has space" text NOT NULL, "semi;colon" text DEFAULT ';', "per%cent" text
);
INSERT INTO "Ünï côdé"."Tàble ""quoted"" 'name'" VALUES (1, 'a', DEFAULT, '%s'), (2, 'b', 'c', NULL);
CREATE TABLE "select"."from" ("where" integer, dropped integer, "group" text);
ALTER TABLE "select"."from" DROP COLUMN dropped;
INSERT INTO "select"."from" VALUES (1, 'x'), (NULL, NULL);

CREATE TABLE app.measurements (taken date NOT NULL, place text NOT NULL, value numeric, PRIMARY KEY (taken, place))
  PARTITION BY RANGE (taken);
CREATE TABLE app.measurements_2025 PARTITION OF app.measurements FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE app.measurements_2026 PARTITION OF app.measurements FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')
  PARTITION BY LIST (place);
CREATE TABLE app.measurements_2026_a PARTITION OF app.measurements_2026 FOR VALUES IN ('a');
CREATE TABLE app.measurements_rest PARTITION OF app.measurements DEFAULT;
INSERT INTO app.measurements VALUES ('2025-06-01', 'a', 1), ('2026-06-01', 'a', 2), ('1999-01-01', 'b', NULL);

CREATE TABLE app.parent (id integer PRIMARY KEY, name text);
CREATE TABLE app.child (extra text) INHERITS (app.parent);
INSERT INTO app.parent VALUES (1, 'parent');
INSERT INTO app.child VALUES (2, 'child', 'more');

-- Two tables that refer to each other.
CREATE TABLE app.hen (id integer PRIMARY KEY, egg_id integer);
CREATE TABLE app.egg (id integer PRIMARY KEY, hen_id integer REFERENCES app.hen DEFERRABLE INITIALLY DEFERRED);
INSERT INTO app.hen VALUES (1, 1);
INSERT INTO app.egg VALUES (1, 1);
ALTER TABLE app.hen ADD FOREIGN KEY (egg_id) REFERENCES app.egg DEFERRABLE;

CREATE TABLE app.big (
  id integer GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, name text NOT NULL, note text, at timestamptz
);
INSERT INTO app.big (name, note, at)
  SELECT 'name ' || n, CASE WHEN n % 7 = 0 THEN NULL ELSE md5(n::text) END,
    timestamptz '2026-01-01 00:00:00+00' + n * interval '1 minute'
  FROM generate_series(1, 10000) AS n;
CREATE INDEX big_name ON app.big (lower(name)) WHERE note IS NOT NULL;
CREATE STATISTICS app.big_both (dependencies) ON id, name FROM app.big;

CREATE TABLE app.bookings (room integer, during tstzrange, EXCLUDE USING gist (during WITH &&));
INSERT INTO app.bookings VALUES (1, '[2026-01-01 00:00+00,2026-01-02 00:00+00)');

CREATE SEQUENCE app.odd START 5 INCREMENT BY -2 MINVALUE -100 MAXVALUE 5 CYCLE CACHE 3;
SELECT nextval('app.odd') \g /dev/null
CREATE SEQUENCE app.never_used AS smallint;
SELECT setval('app.empty_id_seq', 41, false) \g /dev/null

CREATE VIEW app.notes AS SELECT id, note AS "the note" FROM app.big WHERE note IS NOT NULL WITH CHECK OPTION;
CREATE VIEW app.over_view AS SELECT count(*) AS n FROM app.notes;
CREATE MATERIALIZED VIEW app.counted AS SELECT count(*) AS n, max(id) AS top FROM app.big;
CREATE UNIQUE INDEX counted_n ON app.counted (n);
CREATE MATERIALIZED VIEW app.not_filled AS SELECT 1 AS one WITH NO DATA;

CREATE TABLE app.audit (what text, at_id integer);
CREATE FUNCTION app.note_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO app.audit VALUES (TG_OP, NEW.id);
  RETURN NEW;
END
$$;
-- A restore that fires this trigger while loading shows extra rows in app.audit.
CREATE TRIGGER "notes changes" AFTER INSERT OR UPDATE ON app.texts
  FOR EACH ROW EXECUTE FUNCTION app.note_change();
UPDATE app.texts SET body = 'updated' WHERE id = 3;
CREATE RULE ignore_deletes AS ON DELETE TO app.audit DO INSTEAD NOTHING;

ALTER TABLE app.parent ENABLE ROW LEVEL SECURITY;
CREATE POLICY "only small" ON app.parent FOR SELECT USING (id < 100);
GRANT SELECT ON app.texts TO PUBLIC;
REVOKE ALL ON FUNCTION app.quoted_body() FROM PUBLIC;

SELECT lo_from_bytea(424242, decode(repeat('00ff5c0a', 5000), 'hex')) \g /dev/null
SELECT lo_from_bytea(424243, '') \g /dev/null
SELECT lo_from_bytea(424244, convert_to(E'text; COPY x FROM stdin;\n\\.\n', 'UTF8')) \g /dev/null
COMMENT ON LARGE OBJECT 424242 IS 'twenty thousand bytes';

COMMENT ON SCHEMA app IS 'It''s "quoted";
COPY public.x (a) FROM stdin;
\.
-- and $$ has lines';
COMMENT ON TABLE "Ünï côdé"."Tàble ""quoted"" 'name'" IS E'back\\slash\tand tab';
COMMENT ON COLUMN app.types.label IS '';
COMMENT ON COLUMN app.types.mood IS 'how it ''feels''';
COMMENT ON FUNCTION app.looks_like_a_dump() IS E'\\unrestrict x';
