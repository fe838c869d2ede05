//! A PostgreSQL database that is backed up.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Stdio};

use serde_json::{Value, json};

use crate::host;
use crate::postgres::Postgres;

/// A database of the server that tests share.
pub struct Source {
    postgres: &'static Postgres,
    /// Its name.
    pub name: String,
}

impl Default for Source {
    fn default() -> Self {
        Self::new()
    }
}

impl Source {
    /// A new database with some rows.
    pub fn new() -> Self {
        let postgres = Postgres::shared();
        let source = Self { postgres, name: postgres.fresh_database("scenario") };
        source.run("CREATE TABLE orders (id int PRIMARY KEY, item text)");
        source.run("INSERT INTO orders SELECT i, 'item ' || i FROM generate_series(1, 1000) AS i");
        source
    }

    /// Runs SQL; answers what psql prints.
    pub fn run(&self, sql: &str) -> String {
        self.postgres.psql(&self.name, sql)
    }

    /// Adds a table of random text of so many megabytes.
    pub fn fill(&self, megabytes: u32) {
        self.run(&format!(
            "CREATE TABLE filler AS SELECT repeat(md5(random()::text), 32) AS text \
             FROM generate_series(1, {megabytes} * 1000)"
        ));
    }

    /// Its content, to be compared.
    pub fn content(&self) -> String {
        self.postgres.dump_normalised(&self.name)
    }

    /// How many orders there are.
    pub fn orders(&self) -> String {
        self.run("SELECT count(*) FROM orders").trim().to_owned()
    }

    /// What registers it, under a name of its own, with further fields.
    pub fn fields(&self, further: Value) -> Value {
        let mut fields = json!({
            "name": host::unique("db"), "engine": "postgres", "host": self.postgres.host(),
            "port": self.postgres.port(), "database_name": self.name,
            "credentials": { "username": self.postgres.user(), "password": self.postgres.password() },
        });
        let Value::Object(further) = further else { panic!("fields are an object") };
        fields.as_object_mut().unwrap().extend(further);
        fields
    }

    /// Keeps everybody from reading its orders, until what is answered is dropped: a dump that begins does not end.
    pub fn hold(&self) -> Hold {
        let mut psql = self.postgres.client("psql", &self.name);
        psql.arg("-qAt").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut psql = psql.spawn().unwrap();
        let sql = b"BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE; SELECT 'held';\n";
        psql.stdin.as_mut().unwrap().write_all(sql).unwrap();
        let mut told = String::new();
        BufReader::new(psql.stdout.take().unwrap()).read_line(&mut told).unwrap();
        assert_eq!(told, "held\n");
        Hold(psql)
    }

    /// The password, which nothing must print.
    pub fn password(&self) -> &str {
        self.postgres.password()
    }
}

/// A lock on a source.
pub struct Hold(Child);

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.postgres.drop_database(&self.name);
        }
    }
}
