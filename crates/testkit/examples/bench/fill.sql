-- A database as applications have them, the same at every run. {mb} is the size of its dump in MB.
--
-- Nothing random is used but hashes of the rows' numbers. Texts are slices, at hashed places, of one pool
-- of prose that is larger than any compressor's window, so that none finds the same sentence twice.
SET jit = off;
SET max_parallel_workers_per_gather = 0;
SET work_mem = '256MB';

CREATE FUNCTION pick(n bigint, seed bigint, below bigint) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (hashint8extended(n, seed) & 9223372036854775807) % below;

-- 8,000 words of one to four syllables; the squares below make the first ones frequent.
CREATE TABLE words AS
SELECT n, string_agg(syllables[1 + pick(n * 8 + k, 1, 48)], '' ORDER BY k) AS word
FROM generate_series(0, 7999) n,
    generate_series(1, 1 + (n > 40)::int + pick(n, 2, 2 + (n > 900)::int)::int) k,
    string_to_array('an,be,ca,de,ent,fo,ga,hi,in,jo,ka,la,me,no,or,pre,qui,re,se,ti,un,ver,wa,xi,yo,za,ing,'
        'tion,ble,com,der,est,ful,gra,her,ist,ly,man,ness,ous,pla,ri,ster,tra,ure,vi,wor,th', ',') syllables
GROUP BY n;

CREATE TABLE pool (prose bytea);
ALTER TABLE pool ALTER prose SET STORAGE EXTERNAL;
INSERT INTO pool
SELECT convert_to(string_agg(word || CASE pick(i, 4, 14) WHEN 0 THEN '. ' WHEN 1 THEN ', ' ELSE ' ' END,
    '' ORDER BY i), 'UTF8')
FROM (SELECT i, pick(i, 3, 2000) AS root FROM generate_series(1, 1000000) i) places
    JOIN words ON n = root * root / 2000 * root / 500;

CREATE FUNCTION prose(pool bytea, n bigint, seed bigint, length int) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN convert_from(substr(pool, 1 + pick(n, seed, 7000000)::int, length), 'UTF8');

CREATE TABLE people AS
SELECT id, md5('person' || id)::uuid AS public_id, initcap(given.word) AS given, initcap(family.word) AS family,
    given.word || '.' || family.word || pick(id, 12, 1000) || '@' || host.word || '.example' AS email,
    CASE WHEN pick(id, 13, 3) > 0 THEN '+34 6' || lpad(pick(id, 14, 100000000)::text, 8, '0') END AS phone,
    date '1940-01-01' + pick(id, 15, 24000)::int AS born,
    pick(id, 16, 20) > 0 AS active,
    CASE WHEN pick(id, 17, 4) = 0 THEN prose(pool.prose, id, 18, 40 + pick(id, 19, 120)::int) END AS remark,
    timestamptz '2021-03-01 00:00Z' + id * interval '211 seconds' + pick(id, 20, 211000000) * interval '1 microsecond' AS joined_at
FROM pool, generate_series(1, {mb} * 600) id
    JOIN words given ON given.n = 50 + pick(id, 10, 400)
    JOIN words family ON family.n = 500 + pick(id, 11, 4000)
    JOIN words host ON host.n = 60 + pick(id, 9, 30)
ORDER BY id;

CREATE TABLE orders AS
SELECT id, 1 + pick(id, 30, {mb} * 600) AS person_id,
    md5('order' || id) AS token,
    (ARRAY['new', 'paid', 'packed', 'sent', 'sent', 'delivered', 'delivered', 'returned'])[1 + pick(id, 31, 8)] AS status,
    (ARRAY['EUR', 'EUR', 'EUR', 'USD', 'MXN'])[1 + pick(id, 32, 5)] AS currency,
    (pick(id, 33, 2000000) / 100.0)::numeric(12, 2) AS amount,
    CASE WHEN pick(id, 34, 5) = 0 THEN (pick(id, 35, 2000) / 10000.0)::numeric(5, 4) END AS discount,
    1 + pick(id, 36, 9) AS pieces,
    (pick(id, 37, 180000000) / 1e6 - 90)::float8 AS latitude,
    timestamptz '2024-01-01 00:00Z' + id * interval '19 seconds' + pick(id, 38, 19000000) * interval '1 microsecond' AS ordered_at,
    CASE WHEN pick(id, 39, 3) > 0 THEN timestamptz '2024-01-03 00:00Z' + (id + pick(id, 40, 40000)) * interval '19 seconds' END AS sent_at
FROM generate_series(1, {mb} * 2000) id;

CREATE TABLE messages AS
SELECT id, 1 + pick(id, 50, {mb} * 600) AS person_id,
    (ARRAY['es', 'es', 'en', 'pt'])[1 + pick(id, 51, 4)] AS language,
    initcap(prose(pool.prose, id, 52, 20 + pick(id, 53, 40)::int)) AS subject,
    prose(pool.prose, id, 54, 100 + (pick(id, 55, 40) * pick(id, 56, 40))::int) AS body,
    pick(id, 57, 6) AS stars
FROM pool, generate_series(1, {mb} * 680) id;

CREATE TABLE events AS
SELECT id, jsonb_build_object('kind', (ARRAY['view', 'view', 'view', 'search', 'click', 'buy', 'login'])[1 + pick(id, 70, 7)],
    'session', md5('session' || id / 5)::uuid, 'person', 1 + pick(id / 5, 71, {mb} * 600),
    'path', '/' || a.word || '/' || b.word || '/' || pick(id, 74, 100000),
    'duration_ms', pick(id, 75, 40000), 'agent', jsonb_build_object('os', (ARRAY['android', 'ios', 'linux', 'windows'])[1 + pick(id / 5, 76, 4)],
    'version', pick(id / 5, 77, 20) || '.' || pick(id / 5, 78, 10), 'mobile', pick(id / 5, 76, 4) < 2),
    'scores', jsonb_build_array(pick(id, 79, 1000) / 1000.0::float8, pick(id, 80, 1000) / 1000.0::float8)) AS document
FROM generate_series(1, {mb} * 900) id
    JOIN words a ON a.n = pick(id, 72, 90)
    JOIN words b ON b.n = pick(id, 73, 8000)
ORDER BY id;

CREATE TABLE pictures AS
SELECT id, sha256(int8send(id)) AS digest, prose(pool.prose, id, 90, 30) AS caption, thumbnail
FROM pool, generate_series(1, {mb} * 45) id,
    LATERAL (SELECT string_agg(sha256(int8send(id * 40 + k)), ''::bytea) AS thumbnail
        FROM generate_series(1, 12 + pick(id, 91, 12)::int) k) hashes;

DROP TABLE words, pool;
DROP FUNCTION prose;
DROP FUNCTION pick;
