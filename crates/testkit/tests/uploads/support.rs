//! Files, packed as people pack them, and how they are sent.

use bytes::Bytes;
use futures::stream;
use respaldo_core::engine::mongodb::archive::{Declared, Header, Kind, Metadata, Namespace, Writer};
use respaldo_core::model::{Database, Job};
use respaldo_core::upload::{self, Received, Request};
use respaldo_core::{Error, Result};
use respaldo_testkit::app::TestApp;
use respaldo_testkit::host::{command, run};
use serde_json::json;

pub(crate) const PLAIN: &[u8] = include_bytes!("../../../core/tests/fixtures/postgres/plain-16.sql");
pub(crate) const CUSTOM: &[u8] = include_bytes!("../../../core/tests/fixtures/postgres/custom-16.dump");
pub(crate) const CLOSED: &[u8] = include_bytes!("../../../core/tests/fixtures/postgres/compressed-15.dump");
pub(crate) const MARIADB: &[u8] = include_bytes!("../../../core/tests/fixtures/mysql/mariadb-10.11.sql");
pub(crate) const MYSQL: &[u8] = include_bytes!("../../../core/tests/fixtures/mysql/mysql-9.7.sql");

/// An archive of MongoDB with three documents in one collection, by our own writer.
pub(crate) fn mongodb() -> Vec<u8> {
    let orders = Namespace::new("shop", "orders").unwrap();
    let declared = [Declared::new(orders, Kind::Collection, &Metadata::new()).unwrap()];
    let mut writer = Writer::new(Vec::new(), &Header::new("7.0.14", "100.10.0"), &declared).unwrap();
    for _ in 0..3 {
        writer.document(0, &[5, 0, 0, 0, 0]).unwrap();
    }
    writer.end(0).unwrap();
    writer.finish().unwrap()
}

/// A registered database whose server nobody asks.
pub(crate) async fn unasked(test: &TestApp, engine: &str) -> Database {
    test.register(json!({
        "name": engine, "engine": engine, "host": "127.0.0.1", "port": 1, "database_name": "shop",
        "compression": "zstd",
    }))
    .await
}

pub(crate) fn request(database: &Database) -> Request {
    Request { id: None, database: database.id, filename: Some("shop.sql".to_owned()), length: None }
}

/// Sends a file in pieces of that length.
pub(crate) async fn send_in(
    test: &TestApp,
    database: &Database,
    file: &[u8],
    piece: usize,
) -> Result<Received> {
    let pieces: Vec<Result<Bytes>> =
        file.chunks(piece).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    Box::pin(upload::receive(&test.app, request(database), stream::iter(pieces))).await
}

pub(crate) async fn send(test: &TestApp, database: &Database, file: &[u8]) -> Result<Received> {
    send_in(test, database, file, 16 * 1024).await
}

pub(crate) async fn refused(test: &TestApp, database: &Database, file: &[u8]) -> Error {
    match send(test, database, file).await {
        Ok(received) => panic!("it was taken: {:?}", received.job),
        Err(error) => error,
    }
}

/// What a packer makes of a file.
pub(crate) fn packed(packer: &[&str], file: &[u8]) -> Vec<u8> {
    let mut packing = command(packer[0]);
    packing.args(&packer[1..]);
    run(packing, file).stdout
}

/// The file in two members, as parallel packers write it.
pub(crate) fn in_members(packer: &[&str], file: &[u8]) -> Vec<u8> {
    let (first, second) = file.split_at(file.len() / 3);
    [packed(packer, first), packed(packer, second)].concat()
}

pub(crate) async fn log_of(test: &TestApp, job: &Job) -> String {
    let lines = test.catalog.log(job.id, 0, 1_000).await.unwrap();
    lines.into_iter().map(|entry| entry.line + "\n").collect()
}
