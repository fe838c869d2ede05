//! What these tests have in common.

use bson::{Document, RawDocumentBuf};
use mongodb::error::{Error, ErrorKind, WriteFailure};
use mongodb::options::{ClientOptions, Credential};
use mongodb::{Client, Collection, Database};
use respaldo_testkit::not_mongod::NotMongod;

pub(crate) async fn client(server: &NotMongod) -> Client {
    Client::with_options(options(server).await).unwrap()
}

/// Options of a client that does not wait long for what is not there, and repeats nothing.
pub(crate) async fn options(server: &NotMongod) -> ClientOptions {
    let mut options = ClientOptions::parse(server.url()).await.unwrap();
    options.server_selection_timeout = Some(std::time::Duration::from_secs(5));
    options.retry_reads = Some(false);
    options.retry_writes = Some(false);
    options
}

pub(crate) async fn login(server: &NotMongod, database: &str, user: &str, password: &str) -> Client {
    let credential = Credential::builder()
        .username(user.to_owned())
        .password(password.to_owned())
        .source(database.to_owned());
    let mut options = options(server).await;
    options.credential = Some(credential.build());
    Client::with_options(options).unwrap()
}

pub(crate) async fn shop(server: &NotMongod) -> Database {
    client(server).await.database("shop")
}

pub(crate) async fn collection(server: &NotMongod) -> Collection<RawDocumentBuf> {
    shop(server).await.collection("orders")
}

/// The number of a server's error, whatever shape the driver gives it.
pub(crate) fn code(error: &Error) -> i32 {
    match error.kind.as_ref() {
        ErrorKind::Command(error) => error.code,
        ErrorKind::Write(WriteFailure::WriteError(error)) => error.code,
        ErrorKind::InsertMany(error) => error.write_errors.as_ref().unwrap()[0].code,
        other => panic!("no server said that: {other:?}"),
    }
}

/// Runs a command that is to be refused, and answers with the number.
pub(crate) async fn refused(database: &Database, command: Document) -> i32 {
    let shown = command.to_string();
    match database.run_command(command).await {
        Ok(answer) => panic!("{shown} was answered: {answer}"),
        Err(error) => code(&error),
    }
}

/// Waits until the condition holds, without standing in the driver's way.
pub(crate) async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    };
    let limit = std::time::Duration::from_secs(10);
    tokio::time::timeout(limit, waiting).await.unwrap_or_else(|_| panic!("waited in vain until {what}"));
}
