-- The database of fill.sql, in MariaDB's words. {mb} is the size of its dump in MB.
--
-- The session's random numbers begin with the same seeds at every run. Slices of the pool are cheap because it
-- is ASCII and the one row of a table: the server reads it once in a statement.
SET NAMES utf8mb4, time_zone = '+00:00', foreign_key_checks = 0, unique_checks = 0;
SET group_concat_max_len = 64000000, join_cache_level = 0, optimizer_switch = 'derived_merge=off';
SET rand_seed1 = 20240101, rand_seed2 = 98765432;

-- 8,000 words of one to four syllables; the squares below make the first ones frequent.
CREATE TABLE words (n int PRIMARY KEY, word varchar(40) CHARACTER SET ascii NOT NULL)
SELECT s.n, group_concat(elt(1 + floor(rand() * 48),
    'an', 'be', 'ca', 'de', 'ent', 'fo', 'ga', 'hi', 'in', 'jo', 'ka', 'la', 'me', 'no', 'or', 'pre', 'qui', 're',
    'se', 'ti', 'un', 'ver', 'wa', 'xi', 'yo', 'za', 'ing', 'tion', 'ble', 'com', 'der', 'est', 'ful', 'gra', 'her',
    'ist', 'ly', 'man', 'ness', 'ous', 'pla', 'ri', 'ster', 'tra', 'ure', 'vi', 'wor', 'th') SEPARATOR '') AS word
FROM (SELECT seq - 1 AS n, 1 + (seq > 41) + floor(rand() * (2 + (seq > 901))) AS syllables FROM seq_1_to_8000) s
    JOIN seq_1_to_4 k ON k.seq <= s.syllables
GROUP BY s.n;

CREATE TABLE places (i int PRIMARY KEY, n int NOT NULL)
SELECT seq AS i, floor(pow(rand(), 2) * 8000) AS n FROM seq_1_to_1000000;

CREATE TABLE pool (
    id int PRIMARY KEY, list longtext CHARACTER SET ascii NOT NULL, prose longtext CHARACTER SET ascii NOT NULL
)
SELECT 1 AS id, group_concat(word SEPARATOR ' ') AS list,
    group_concat(word, coalesce(elt(1 + floor(rand() * 14), '. ', ', '), ' ') SEPARATOR '') AS prose
FROM places STRAIGHT_JOIN words USING (n);

CREATE TABLE people (
    id bigint PRIMARY KEY, public_id char(36) NOT NULL, given varchar(40) NOT NULL, family varchar(40) NOT NULL,
    email varchar(200) NOT NULL, phone varchar(20), born date NOT NULL, active boolean NOT NULL, remark text,
    joined_at timestamp(6) NOT NULL
)
SELECT seq AS id, insert(insert(insert(insert(md5(concat('person', seq)), 9, 0, '-'), 14, 0, '-'), 19, 0, '-'), 24, 0, '-') AS public_id,
    @given := substring_index(substring_index(substr(list, 1 + floor(rand() * 7000000), 60), ' ', 2), ' ', -1) AS given,
    @family := substring_index(substring_index(substr(list, 1 + floor(rand() * 7000000), 60), ' ', 2), ' ', -1) AS family,
    concat(@given, '.', @family, floor(rand() * 1000), '@',
        substring_index(substring_index(substr(list, 1 + floor(rand() * 900), 60), ' ', 2), ' ', -1), '.example') AS email,
    if(rand() < 0.67, concat('+34 6', lpad(floor(rand() * 100000000), 8, '0')), NULL) AS phone,
    date '1940-01-01' + INTERVAL floor(rand() * 24000) DAY AS born,
    rand() < 0.95 AS active,
    if(rand() < 0.25, substr(prose, 1 + floor(rand() * 7000000), 40 + floor(rand() * 120)), NULL) AS remark,
    timestamp '2021-03-01 00:00:00' + INTERVAL seq * 211 SECOND + INTERVAL floor(rand() * 211000000) MICROSECOND AS joined_at
FROM pool STRAIGHT_JOIN (SELECT seq FROM seq_1_to_{people}) numbers WHERE pool.id = 1;

CREATE TABLE orders (
    id bigint PRIMARY KEY, person_id bigint NOT NULL, token char(32) NOT NULL, status varchar(20) NOT NULL,
    currency char(3) NOT NULL, amount decimal(12, 2) NOT NULL, discount decimal(5, 4), pieces int NOT NULL,
    latitude double NOT NULL, ordered_at datetime(6) NOT NULL, sent_at datetime
)
SELECT seq AS id, 1 + floor(rand() * {people}) AS person_id, md5(concat('order', seq)) AS token,
    elt(1 + floor(rand() * 8), 'new', 'paid', 'packed', 'sent', 'sent', 'delivered', 'delivered', 'returned') AS status,
    elt(1 + floor(rand() * 5), 'EUR', 'EUR', 'EUR', 'USD', 'MXN') AS currency,
    floor(rand() * 2000000) / 100 AS amount,
    if(rand() < 0.2, floor(rand() * 2000) / 10000, NULL) AS discount,
    1 + floor(rand() * 9) AS pieces,
    floor(rand() * 180000000) / 1e6 - 90 AS latitude,
    timestamp '2024-01-01 00:00:00' + INTERVAL seq * 19 SECOND + INTERVAL floor(rand() * 19000000) MICROSECOND AS ordered_at,
    if(rand() < 0.67, timestamp '2024-01-03 00:00:00' + INTERVAL (seq + floor(rand() * 40000)) * 19 SECOND, NULL) AS sent_at
FROM seq_1_to_{orders};

CREATE TABLE messages (
    id bigint PRIMARY KEY, person_id bigint NOT NULL, language char(2) NOT NULL, subject varchar(100) NOT NULL,
    body text NOT NULL, stars tinyint NOT NULL
)
SELECT seq AS id, 1 + floor(rand() * {people}) AS person_id,
    elt(1 + floor(rand() * 4), 'es', 'es', 'en', 'pt') AS language,
    substr(prose, 1 + floor(rand() * 7000000), 20 + floor(rand() * 40)) AS subject,
    substr(prose, 1 + floor(rand() * 7000000), 100 + floor(rand() * 40) * floor(rand() * 40)) AS body,
    floor(rand() * 6) AS stars
FROM pool STRAIGHT_JOIN (SELECT seq FROM seq_1_to_{messages}) numbers WHERE pool.id = 1;

CREATE TABLE events (id bigint PRIMARY KEY, document json NOT NULL)
SELECT seq AS id, json_object(
    'kind', elt(1 + floor(rand() * 7), 'view', 'view', 'view', 'search', 'click', 'buy', 'login'),
    'session', md5(concat('session', seq DIV 5)), 'person', 1 + floor(rand() * {people}),
    'path', convert(concat('/',
        substring_index(substring_index(substr(list, 1 + floor(rand() * 600), 60), ' ', 2), ' ', -1), '/',
        substring_index(substring_index(substr(list, 1 + floor(rand() * 7000000), 60), ' ', 2), ' ', -1), '/',
        floor(rand() * 100000)) USING utf8mb4),
    'duration_ms', floor(rand() * 40000),
    'agent', json_object('os', elt(1 + crc32(seq DIV 5) % 4, 'android', 'ios', 'linux', 'windows'),
        'version', concat(crc32(seq DIV 5) % 20, '.', crc32(seq DIV 5) % 10),
        'mobile', crc32(seq DIV 5) % 4 < 2),
    'scores', json_array(floor(rand() * 1000) / 1e3, floor(rand() * 1000) / 1e3)) AS document
FROM pool STRAIGHT_JOIN (SELECT seq FROM seq_1_to_{events}) numbers WHERE pool.id = 1;

CREATE TABLE pictures (
    id bigint PRIMARY KEY, digest binary(32) NOT NULL, caption varchar(60) NOT NULL, thumbnail blob NOT NULL
)
SELECT seq AS id, unhex(sha2(seq, 256)) AS digest, substr(prose, 1 + floor(rand() * 7000000), 30) AS caption,
    substr(unhex(concat(
        sha2(seq * 3, 512), sha2(seq * 5, 512), sha2(seq * 7, 512), sha2(seq * 11, 512), sha2(seq * 13, 512),
        sha2(seq * 17, 512), sha2(seq * 19, 512), sha2(seq * 23, 512), sha2(seq * 29, 512), sha2(seq * 31, 512),
        sha2(seq * 37, 512), sha2(seq * 41, 512)
    )), 1, 416 + 32 * floor(rand() * 12)) AS thumbnail
FROM pool STRAIGHT_JOIN (SELECT seq FROM seq_1_to_{pictures}) numbers WHERE pool.id = 1;

DROP TABLE words, places, pool;
