CREATE TABLE mysql_types (
  v vector(3), hidden int DEFAULT 3 INVISIBLE, c varchar(10) COLLATE utf8mb4_0900_as_cs CHECK (c <> ';'),
  made json DEFAULT (JSON_ARRAY(1, ';')), KEY ((UPPER(c)))
);
INSERT INTO mysql_types (v, c) VALUES (to_vector('[1,2,3]'), 'x''y');
