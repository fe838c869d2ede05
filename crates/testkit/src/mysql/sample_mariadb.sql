CREATE SEQUENCE seq_1 START 5 INCREMENT 3 MAXVALUE 1000 NOCACHE;
SELECT NEXTVAL(seq_1) INTO @used;
CREATE TABLE versioned (a int) WITH SYSTEM VERSIONING;
INSERT INTO versioned VALUES (1), (2);
UPDATE versioned SET a = 3 WHERE a = 1;
DELETE FROM versioned WHERE a = 2;
CREATE TABLE versioned_by_name (
  a int, began timestamp(6) GENERATED ALWAYS AS ROW START INVISIBLE,
  ended timestamp(6) GENERATED ALWAYS AS ROW END INVISIBLE, PERIOD FOR SYSTEM_TIME (began, ended)
) WITH SYSTEM VERSIONING;
INSERT INTO versioned_by_name VALUES (1);
UPDATE versioned_by_name SET a = 2;
CREATE TABLE mariadb_types (u uuid, i6 inet6, i4 inet4, hidden int INVISIBLE DEFAULT 3, com text COMPRESSED);
INSERT INTO mariadb_types (u, i6, i4, com) VALUES ('12ad8563-e59b-11f1-8eb3-02fc00000001', '::1', '10.0.0.1', 'x''y');
CREATE TABLE aria_one (a int) ENGINE=Aria;
INSERT INTO aria_one VALUES (1);
