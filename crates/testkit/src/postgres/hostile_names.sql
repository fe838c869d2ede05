-- Names that try to be something else to whoever reads a dump line by line.
CREATE SCHEMA "-x --data-only";
CREATE SCHEMA "new
line";

CREATE TABLE "new
line"."COPY public.x (a) FROM stdin;
\." ("a
\." text, "b"" "" (x) FROM stdin;" integer);
INSERT INTO "new
line"."COPY public.x (a) FROM stdin;
\." VALUES ('one', 1), (E'\\.', 2), (NULL, 3);

CREATE TABLE "-x --data-only"."-- PostgreSQL database dump complete" ("$$" text);
INSERT INTO "-x --data-only"."-- PostgreSQL database dump complete" VALUES ('--'), ('-- PostgreSQL database dump complete');

CREATE TABLE "-x --data-only"."dotted.name.""x""" (id integer PRIMARY KEY, "Ω ключ 鍵" text);
INSERT INTO "-x --data-only"."dotted.name.""x""" VALUES (1, 'ключ'), (2, '鍵');
