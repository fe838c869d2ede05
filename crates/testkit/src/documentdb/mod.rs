//! MongoDB's wire protocol over Microsoft's `DocumentDB` extension of PostgreSQL 18; it is **not mongod**.
//!
//! The connection, `hello`, `buildInfo` and scripted faults are [`not_mongod`](crate::not_mongod)'s. Documents, indexes
//! and validators are `DocumentDB`'s: each command becomes a call of one of its functions, and its answer goes back as
//! it is. So indexes are really built, unique ones refuse duplicates, and validators judge documents.
//!
//! # What it is not
//! What `DocumentDB` 1.0 cannot do it refuses: capped, clustered and time-series collections, collations (also of
//! indexes), hidden indexes.
//! - Text indexes are listed in a mongod's form (`_fts`), and what is given in that form becomes a plain index.
//! - Documents have no order of insertion; `$natural` is taken and means nothing.
//! - Indexes are built in the foreground, all of a command in one transaction; the TTL job does not run.
//! - It tells a `storageEngine` of its own with most indexes, and takes it back.
//! - The version told is the fixture's. `create` of a collection that is there with the same options succeeds.
//! - Its error numbers are told as a mongod's where the tests meet them (`codes.rs`); others are 8 (`UnknownError`).
//! - Commands that are not in `commands.rs` are refused with code 238; so are sorted reads, whose cursors are bound to
//!   a transaction, and renames between databases. Users, roles, sessions and snapshots there are none.
//! - Commands run one at a time.

mod codes;
mod commands;
mod psql;

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use bson::{RawDocument, RawDocumentBuf, rawdoc};

use crate::host;
use crate::not_mongod::answer::{Answer, Request};
use crate::not_mongod::{Backend, NotMongod, Refusal};
use crate::postgres::Postgres;
use commands::Commands;
use psql::Psql;

/// In the data directory, where servers look for relative names.
const PASSWORD_FILE: &str = "respaldo.pgpass";

/// The extension connects to its own server to make collections.
const SETTINGS: [&str; 6] = [
    "documentdb.localhost_connection_string=host=127.0.0.1 passfile=respaldo.pgpass",
    "shared_preload_libraries=pg_cron,pg_documentdb_core,pg_documentdb",
    "cron.database_name=postgres",
    "cron.launch_active_jobs=off",
    "documentdb.enableSchemaValidation=on",
    "documentdb.enableBypassDocumentValidation=on",
];

/// The server; it ends with this value.
pub struct DocumentDb {
    wire: NotMongod,
    _postgres: Postgres,
}

impl DocumentDb {
    /// Starts one, which takes about two seconds; none, with a line that says so, where it is not installed.
    pub fn start() -> Option<Self> {
        let Some(bin) = bin_dir() else {
            eprintln!("SKIPPED: DocumentDB is not here: see scripts/install-test-dependencies");
            return None;
        };
        let postgres = Postgres::start_in(bin, &SETTINGS);
        let_in(&postgres);
        postgres.psql("postgres", "SET client_min_messages = error; CREATE EXTENSION documentdb CASCADE");
        let commands = Commands::new(Psql::start(&postgres));
        let wire = NotMongod::builder().start_before(Box::new(Served(Mutex::new(commands))));
        Some(Self { wire, _postgres: postgres })
    }

    /// The port on 127.0.0.1 of MongoDB's protocol.
    pub fn port(&self) -> u16 {
        self.wire.port()
    }

    /// Runs a command without the wire.
    ///
    /// Panics when it is refused.
    pub fn run(&self, database: &str, command: &RawDocument) -> RawDocumentBuf {
        self.wire.run(database, command)
    }

    /// The same; the refusal is the answer.
    pub fn try_run(&self, database: &str, command: &RawDocument) -> Result<RawDocumentBuf, Refusal> {
        self.wire.try_run(database, command)
    }

    /// How many commands of that name came.
    pub fn count(&self, command: &str) -> usize {
        self.wire.count(command)
    }

    /// The documents of a collection, as many as fit into one batch, in the order of their bytes.
    pub fn documents(&self, database: &str, collection: &str) -> Vec<RawDocumentBuf> {
        let find = rawdoc! { "find": collection, "batchSize": 10_000 };
        let mut documents = first_batch(&self.run(database, &find));
        documents.sort_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
        documents
    }

    /// Its indexes, as `listIndexes` shows them.
    pub fn indexes(&self, database: &str, collection: &str) -> Vec<RawDocumentBuf> {
        first_batch(&self.run(database, &rawdoc! { "listIndexes": collection, "cursor": {} }))
    }

    /// The collections of a database with their options, by name.
    pub fn collections(&self, database: &str) -> Vec<(String, RawDocumentBuf)> {
        let listed = first_batch(&self.run(database, &rawdoc! { "listCollections": 1, "cursor": {} }));
        let read = |entry: &RawDocumentBuf| {
            let options = entry.get_document("options").map(RawDocument::to_owned).unwrap_or_default();
            (entry.get_str("name").expect("it has a name").to_owned(), options)
        };
        let mut collections: Vec<_> = listed.iter().map(read).collect();
        collections.sort_by(|a, b| a.0.cmp(&b.0));
        collections
    }
}

/// Gives the server the password to itself.
fn let_in(postgres: &Postgres) {
    let file = postgres.data_dir().join(PASSWORD_FILE);
    let mut options = fs::OpenOptions::new();
    let opened = options.write(true).create_new(true).mode(0o600).open(&file);
    let line = format!("*:*:*:*:{}\n", postgres.password());
    opened.and_then(|mut opened| opened.write_all(line.as_bytes())).expect("the folder is ours");
    host::give_away(&file);
}

fn bin_dir() -> Option<PathBuf> {
    let dir = host::test_servers_dir().join("documentdb/bin");
    dir.join("postgres").exists().then(|| dir.canonicalize().expect("the folder was just seen"))
}

fn first_batch(answer: &RawDocument) -> Vec<RawDocumentBuf> {
    let cursor = answer.get_document("cursor").expect("the answer is a cursor");
    assert!(matches!(cursor.get_i64("id"), Ok(0)), "not all came at once");
    let batch = cursor.get_array("firstBatch").expect("a cursor begins with a batch");
    let document = |value: bson::error::Result<bson::RawBsonRef<'_>>| {
        value.ok().and_then(bson::RawBsonRef::as_document).expect("a batch is of documents").to_owned()
    };
    batch.into_iter().map(document).collect()
}

struct Served(Mutex<Commands>);

impl Backend for Served {
    fn answer(&self, request: &Request) -> Option<Answer> {
        const THE_FIXTURES: [&str; 8] = [
            "hello",
            "isMaster",
            "ismaster",
            "ping",
            "buildInfo",
            "buildinfo",
            "startSession",
            "endSessions",
        ];
        if THE_FIXTURES.contains(&request.name.as_str()) {
            return None;
        }
        Some(self.0.lock().unwrap_or_else(PoisonError::into_inner).run(request))
    }
}
