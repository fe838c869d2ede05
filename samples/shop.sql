-- A small shop, to have something to back up in the first minute.
-- samples/shop.db was made of it: sqlite3 samples/shop.db < samples/shop.sql
PRAGMA foreign_keys = ON;
BEGIN;
CREATE TABLE customers (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL,
  email TEXT NOT NULL UNIQUE,
  city TEXT,
  joined_on TEXT NOT NULL
);
CREATE TABLE products (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL,
  price_cents INTEGER NOT NULL CHECK (price_cents > 0),
  stock INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE orders (
  id INTEGER PRIMARY KEY,
  customer_id INTEGER NOT NULL REFERENCES customers,
  ordered_at TEXT NOT NULL,
  note TEXT
);
CREATE TABLE order_lines (
  order_id INTEGER NOT NULL REFERENCES orders,
  product_id INTEGER NOT NULL REFERENCES products,
  quantity INTEGER NOT NULL CHECK (quantity > 0),
  PRIMARY KEY (order_id, product_id)
) WITHOUT ROWID;
CREATE INDEX orders_by_customer ON orders (customer_id, ordered_at);
CREATE VIEW revenue AS
  SELECT c.city, sum(l.quantity * p.price_cents) / 100.0 AS euros
  FROM order_lines l JOIN orders o ON o.id = l.order_id
  JOIN customers c ON c.id = o.customer_id JOIN products p ON p.id = l.product_id
  GROUP BY c.city;
CREATE TRIGGER take_from_stock AFTER INSERT ON order_lines BEGIN
  UPDATE products SET stock = stock - NEW.quantity WHERE id = NEW.product_id;
END;
INSERT INTO products (id, name, price_cents, stock) VALUES
  (1, 'Café de Colombia, 1 kg', 1890, 5000), (2, 'Té verde 東京', 950, 5000), (3, 'Aceite de oliva', 1250, 5000),
  (4, 'Queso manchego', 2475, 5000), (5, 'Jamón ibérico', 8900, 5000), (6, 'Turrón de Jijona', 1120, 5000);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
INSERT INTO customers SELECT i, 'Customer ' || i, 'customer' || i || '@example.com',
  CASE i % 5 WHEN 0 THEN 'Madrid' WHEN 1 THEN 'Sevilla' WHEN 2 THEN 'Bilbao' WHEN 3 THEN 'Málaga' END,
  date('2024-01-01', '+' || i || ' days') FROM n;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
INSERT INTO orders SELECT i, 1 + (i * 7919) % 500, datetime('2025-01-01', '+' || (i * 97) || ' minutes'),
  CASE WHEN i % 40 = 0 THEN 'Please ring twice, it''s the "blue" door' END FROM n;
INSERT INTO order_lines SELECT o.id, p.id, 1 + (o.id * p.id) % 4 FROM orders o JOIN products p ON (o.id + p.id) % 3 = 0;
COMMIT;
