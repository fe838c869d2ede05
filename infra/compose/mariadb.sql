-- A shop to try Respaldo on, in the database that the image makes. It is made once, when the volume is.
CREATE TABLE products (
    id int AUTO_INCREMENT PRIMARY KEY,
    name varchar(80) NOT NULL,
    price decimal(10, 2) NOT NULL
) CHARACTER SET utf8mb4;
INSERT INTO products (name, price) SELECT CONCAT('producto ', seq), seq / 3 FROM seq_1_to_1000;
CREATE VIEW cheap AS SELECT * FROM products WHERE price < 10;
