//! What these tests have in common.

use bson::RawDocumentBuf;
use mongodb::options::ClientOptions;
use mongodb::{Client, Collection};
use respaldo_testkit::not_mongod::NotMongod;

pub(crate) async fn client(server: &NotMongod) -> Client {
    Client::with_options(ClientOptions::parse(server.url()).await.unwrap()).unwrap()
}

pub(crate) async fn collection(server: &NotMongod) -> Collection<RawDocumentBuf> {
    client(server).await.database("shop").collection("orders")
}

/// The number of a server's error, whatever shape the driver gives it.
pub(crate) fn code(error: &mongodb::error::Error) -> i32 {
    use mongodb::error::{ErrorKind, WriteFailure};
    match error.kind.as_ref() {
        ErrorKind::Command(error) => error.code,
        ErrorKind::Write(WriteFailure::WriteError(error)) => error.code,
        ErrorKind::InsertMany(error) => error.write_errors.as_ref().unwrap()[0].code,
        other => panic!("no server said that: {other:?}"),
    }
}
