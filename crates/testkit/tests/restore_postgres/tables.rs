//! Chosen tables come back with what belongs to them, and nothing else is touched.

use respaldo_core::ErrorKind;
use respaldo_core::model::{DumpFormat, RestoreMode};
use respaldo_testkit::host::unique;
use respaldo_testkit::postgres::Postgres;

use super::support::{assert_same, dump, failed, picture, refusal, restore};

const SHOP: &str = "CREATE SCHEMA shop; CREATE SCHEMA other;
    CREATE TYPE shop.state AS ENUM ('new', 'paid');
    CREATE FUNCTION shop.touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    CREATE TABLE shop.customers (id serial PRIMARY KEY, name text NOT NULL);
    CREATE TABLE shop.\"Order items\" (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer int \
        REFERENCES shop.customers, state shop.state DEFAULT 'new', n int CHECK (n > 0));
    CREATE INDEX by_state ON shop.\"Order items\" (state);
    CREATE STATISTICS shop.both ON id, n FROM shop.\"Order items\";
    CREATE TRIGGER touched BEFORE UPDATE ON shop.\"Order items\" FOR EACH ROW EXECUTE FUNCTION shop.touch();
    ALTER TABLE shop.\"Order items\" ENABLE ROW LEVEL SECURITY;
    CREATE POLICY everybody ON shop.\"Order items\" USING (true);
    COMMENT ON COLUMN shop.\"Order items\".n IS 'how many';
    GRANT SELECT ON shop.\"Order items\" TO PUBLIC;
    CREATE TABLE shop.events (at date) PARTITION BY RANGE (at);
    CREATE TABLE shop.events_2026 PARTITION OF shop.events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
    CREATE INDEX by_day ON shop.events (at);
    CREATE TABLE other.t (a int); CREATE VIEW other.v AS SELECT a FROM other.t;
    INSERT INTO shop.customers (name) VALUES ('a'), ('b');
    INSERT INTO shop.\"Order items\" (customer, n) VALUES (1, 1), (2, 5);
    INSERT INTO shop.events VALUES ('2026-05-05'); INSERT INTO other.t VALUES (1);";

fn shop(server: &Postgres) -> String {
    let database = server.fresh_database("shop");
    server.psql(&database, SHOP);
    database
}

#[tokio::test]
async fn a_chosen_table_comes_back_in_place_whole_and_alone() {
    let server = Postgres::shared();
    let database = shop(server);
    let before = picture(server, &database);
    let bytes = dump(server, &database, DumpFormat::Custom);
    server.psql(
        &database,
        "DELETE FROM shop.\"Order items\"; DROP INDEX shop.by_state; DROP TABLE shop.events;
         ALTER TABLE shop.\"Order items\" DROP COLUMN n; INSERT INTO other.t VALUES (2)",
    );
    let mut restore = restore(server, &database, &bytes, RestoreMode::InPlace);
    restore.target.options.tables = vec!["shop.\"Order items\"".to_owned(), "shop.events".to_owned()];
    restore.target.options.force = true;
    let survey = restore.survey().await;
    assert!(refusal(&survey, "no rows of a table shop.events").forceable && survey.refusals.len() == 1);
    let loaded = restore.load().await.unwrap();
    // The foreign key leans on a table that was not chosen.
    let left_out = "the foreign key Order items Order items_customer_fkey in shop is left out";
    assert!(loaded.warnings.iter().any(|warning| warning.starts_with(left_out)), "{:?}", loaded.warnings);
    assert_eq!(server.psql(&database, "SELECT sum(a) FROM other.t"), "3", "the others stay as they are");
    server.psql(
        &database,
        "DELETE FROM other.t WHERE a = 2; ALTER TABLE shop.\"Order items\" \
         ADD CONSTRAINT \"Order items_customer_fkey\" FOREIGN KEY (customer) REFERENCES shop.customers",
    );
    assert_same(&before, &picture(server, &database));
}

#[tokio::test]
async fn a_chosen_schema_comes_back_in_place() {
    let server = Postgres::shared();
    let database = shop(server);
    let before = picture(server, &database);
    let bytes = dump(server, &database, DumpFormat::Custom);
    server.psql(&database, "DROP TABLE shop.\"Order items\"; CREATE TABLE shop.extra (a int)");
    let mut restore = restore(server, &database, &bytes, RestoreMode::InPlace);
    restore.target.options.tables = vec!["shop.*".to_owned()];
    assert_eq!(restore.survey().await.refusals, []);
    restore.load().await.unwrap();
    assert_same(&before, &picture(server, &database));

    // Something outside of it that would go with it keeps it where it is.
    server.psql(&database, "CREATE VIEW other.customers AS SELECT * FROM shop.customers");
    let before = picture(server, &database);
    let error = failed(restore.load().await);
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    assert_same(&before, &picture(server, &database));
}

#[tokio::test]
async fn what_leans_on_a_chosen_table_keeps_it_where_it_is() {
    let server = Postgres::shared();
    let database = shop(server);
    let bytes = dump(server, &database, DumpFormat::Custom);
    let before = picture(server, &database);
    let mut restore = restore(server, &database, &bytes, RestoreMode::InPlace);
    restore.target.options.tables = vec!["shop.customers".to_owned()];
    let error = failed(restore.load().await);
    assert!(error.kind() == ErrorKind::Conflict && error.mend().unwrap().contains("new database"), "{error}");
    assert_same(&before, &picture(server, &database));
}

#[tokio::test]
async fn a_chosen_table_comes_into_a_new_database_with_what_it_needs() {
    let server = Postgres::shared();
    let database = shop(server);
    let bytes = dump(server, &database, DumpFormat::Custom);
    let copy = unique("few");
    let mut restore = restore(server, &copy, &bytes, RestoreMode::Swap);
    restore.target.options.tables = vec!["shop.\"Order items\"".to_owned(), "shop.events".to_owned()];
    restore.whole().await.unwrap();
    let tables = "SELECT string_agg(relname, ',' ORDER BY relname) FROM pg_class WHERE relkind IN ('r', 'p') \
        AND relnamespace = 'shop'::regnamespace";
    assert_eq!(server.psql(&copy, tables), "Order items,events,events_2026");
    assert_eq!(
        server.psql(&copy, "SELECT state::text || n FROM shop.\"Order items\" ORDER BY n"),
        "new1\nnew5"
    );
    assert_eq!(server.psql(&copy, "SELECT count(*) FROM shop.events"), "1");
}

#[tokio::test]
async fn choices_that_cannot_be_made_are_refused_with_the_nearest_name() {
    let server = Postgres::shared();
    let database = shop(server);
    let mut custom =
        restore(server, &database, &dump(server, &database, DumpFormat::Custom), RestoreMode::Swap);
    custom.target.options.tables = vec!["shop.custmers".to_owned()];
    let survey = custom.survey().await;
    assert!(refusal(&survey, "table shop.custmers").mend.contains("shop.customers"), "{survey:?}");
    assert!(!refusal(&survey, "a swap would put the chosen tables alone").forceable);
    custom.target.options.mode = RestoreMode::InPlace;
    let error = failed(custom.load().await);
    assert_eq!((error.kind(), error.field()), (ErrorKind::Invalid, Some("tables")), "{error}");
    let mut plain =
        restore(server, &database, &dump(server, &database, DumpFormat::Plain), RestoreMode::InPlace);
    plain.target.options.tables = vec!["shop.customers".to_owned()];
    let survey = plain.survey().await;
    assert!(refusal(&survey, "a plain dump cannot be taken apart").mend.contains("custom"));
    assert_eq!(failed(plain.load().await).kind(), ErrorKind::Conflict);
}
