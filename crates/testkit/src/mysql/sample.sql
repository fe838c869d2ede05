-- Everything that a dump may trip over, for both makers.
CREATE TABLE empty_one (id int PRIMARY KEY);
CREATE TABLE numbers (
  id bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY,
  tiny tinyint, small smallint, medium mediumint, whole int, huge bigint unsigned, exact decimal(65,30),
  one bit(1), many bit(64), approximate float, precise double
);
INSERT INTO numbers (tiny, small, medium, whole, huge, exact, one, many, approximate, precise) VALUES
  (-128, -32768, -8388608, -2147483648, 18446744073709551615, -12345678901234567890123456789012345.000000000000000000000000000001,
   b'1', x'ffffffffffffffff', 1.5, 1.7976931348623157e308),
  (127, 32767, 8388607, 2147483647, 0, 0, b'0', 0, -0.25, 2.2250738585072014e-308),
  (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO numbers (id, precise) VALUES (18446744073709551614, 0.1);
CREATE TABLE times (
  id int PRIMARY KEY, d date, t time(6), dt datetime(6), ts timestamp(6) NULL, y year
);
INSERT INTO times VALUES
  (1, '1000-01-01', '-838:59:59', '9999-12-31 23:59:59.999999', '2038-01-19 03:14:07.999999', 1901),
  (2, '2020-02-29', '00:00:00.000001', '2020-03-29 02:30:00', '1970-01-01 05:30:01', 2155),
  (3, NULL, NULL, NULL, NULL, NULL);
CREATE TABLE texts (
  id int PRIMARY KEY, c char(10), v varchar(200), latin varchar(50) CHARACTER SET latin1, tx longtext,
  e enum('a','b''c','d\\e',''), s set('x','y'), j json
) CHARACTER SET utf8mb4;
INSERT INTO texts VALUES
  (1, 'x', 'it''s; (-- Dump completed\n', 'Señor', 'emoji 😀 \\ \' " ` \0 \Z \r\n ), (1,2);', 'b''c', 'x,y',
   '{"a": "b\\"c\'", "n": [1, 2.5, null, true]}'),
  (2, '', '', '', '', '', '', '[]'),
  (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
  (4, 'NULL', '\\N', 'NULL', '/* */ DELIMITER ;;', 'd\\e', 'y', '"😀"');
CREATE TABLE bytes (id int PRIMARY KEY, b binary(4), vb varbinary(300), bl longblob);
INSERT INTO bytes VALUES (0, '', '', ''), (1, 'a\0b', '\0\n\r\Z\'"\\', NULL), (2, NULL, NULL, x'00ff27');
INSERT INTO bytes
  WITH RECURSIVE byte (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM byte WHERE n < 255)
  SELECT 100 + n, UNHEX(REPEAT(LPAD(HEX(n), 2, '0'), 4)), UNHEX(LPAD(HEX(n), 2, '0')),
    UNHEX(CONCAT(LPAD(HEX(n), 2, '0'), '27', LPAD(HEX(255 - n), 2, '0'))) FROM byte;
CREATE TABLE places (id int PRIMARY KEY, g geometry, p point NOT NULL, SPATIAL INDEX (p));
INSERT INTO places VALUES
  (1, ST_GeomFromText('POLYGON((0 0,10 0,10 10,0 10,0 0))'), ST_GeomFromText('POINT(1 2)')),
  (2, NULL, ST_GeomFromText('POINT(-1.5 2e10)'));
CREATE TABLE computed (
  a int PRIMARY KEY, virtual_one int AS (a + 1) VIRTUAL, stored_one varchar(20) AS (CONCAT('"', a, '\'')) STORED, b int DEFAULT 7,
  KEY (virtual_one)
);
INSERT INTO computed (a) VALUES (1), (2), (3);
CREATE TABLE `we``ird; name (x) -- y` (`a``b (` int, `VALUES` int, `sp ace'"` int COMMENT 'it''s; "\\');
INSERT INTO `we``ird; name (x) -- y` VALUES (1, 3, NULL), (2, 3, 4);
CREATE TABLE `東京 ñ` (`größe` int);
INSERT INTO `東京 ñ` VALUES (1);
CREATE TABLE parent (id int PRIMARY KEY);
CREATE TABLE a_child (id int PRIMARY KEY, parent int, FOREIGN KEY (parent) REFERENCES parent (id) ON DELETE CASCADE);
INSERT INTO parent VALUES (1), (2);
INSERT INTO a_child VALUES (1, 1), (2, NULL);
CREATE TABLE parts (id int NOT NULL, at date NOT NULL, PRIMARY KEY (id, at))
  PARTITION BY RANGE (YEAR(at)) (PARTITION old VALUES LESS THAN (2020), PARTITION new VALUES LESS THAN MAXVALUE);
INSERT INTO parts VALUES (1, '2019-01-01'), (2, '2021-01-01');
CREATE TABLE not_transactional (a int, FULLTEXT KEY (t), t text) ENGINE=MyISAM;
INSERT INTO not_transactional VALUES (1, 'one'), (2, NULL);
CREATE TABLE big (id int PRIMARY KEY AUTO_INCREMENT, filler varchar(200));
INSERT INTO big (filler)
  WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100)
  SELECT REPEAT(SHA2(a.i * 100 + b.i, 256), 2) FROM n a, n b;
CREATE VIEW view_1 AS SELECT id, v, 'INSERT INTO `x` VALUES (1);' AS `it's` FROM texts;
CREATE VIEW a_view_of_views AS SELECT * FROM view_1 WHERE v <> ';';
DELIMITER ;;
CREATE FUNCTION f_1(a int) RETURNS varchar(100) CHARACTER SET utf8mb4 DETERMINISTIC BEGIN
-- it's "one
# Dump completed `
-- Dump completed on 2020-01-01  1:02:03
INSERT INTO empty_one VALUES (1);
/*!40111 SET SQL_NOTES=@OLD_SQL_NOTES */;
-- Dump completed
/* ' */
RETURN 'INSERT INTO `numbers` VALUES (1);';
END;;
SET sql_mode = 'NO_BACKSLASH_ESCAPES';;
CREATE PROCEDURE p_1() SELECT '\', "\", 'INSERT INTO `x` VALUES (1);';;
SET sql_mode = 'ANSI_QUOTES';;
CREATE PROCEDURE p_2() SELECT "id" AS "it's `;" FROM "parent";;
SET sql_mode = DEFAULT;;
CREATE TRIGGER tr_1 BEFORE INSERT ON empty_one FOR EACH ROW BEGIN SET NEW.id = NEW.id + 1; END;;
CREATE DEFINER = 'somebody'@'else where' TRIGGER tr_2 AFTER DELETE ON empty_one FOR EACH ROW
  INSERT INTO parent VALUES (LENGTH(';;') + 100);;
CREATE EVENT ev ON SCHEDULE EVERY 1 DAY STARTS '2030-01-01' COMMENT 'DELIMITER ;'
  DO BEGIN DELETE FROM empty_one WHERE id = '\\;'; END;;
DELIMITER ;
