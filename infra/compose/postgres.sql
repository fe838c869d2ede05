-- Databases to try Respaldo on. They are made once, when the volume is.
CREATE TABLE customers (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    since timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer bigint NOT NULL REFERENCES customers,
    amount numeric(12, 2) NOT NULL
);
INSERT INTO customers (name) SELECT 'customer ' || n FROM generate_series(1, 1000) AS n;
INSERT INTO orders (customer, amount) SELECT 1 + n % 1000, n / 7.0 FROM generate_series(1, 10000) AS n;

CREATE DATABASE testdb;
\connect testdb
CREATE TABLE notes (id int PRIMARY KEY, body text);
INSERT INTO notes SELECT n, repeat('note ', n) FROM generate_series(1, 100) AS n;
