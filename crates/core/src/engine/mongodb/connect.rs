//! A connection by the driver.
//!
//! The password goes into the driver's options as it is; it stands in no connection string and in no error.

use bson::raw::{RawBsonRef, RawDocument, RawDocumentBuf, cstr};
use bson::{Document, doc, rawdoc};
use futures::StreamExt as _;
use mongodb::options::{ClientOptions, Credential};
use mongodb::{Client, Database};
use secrecy::ExposeSecret;

use super::address::{self, AUTH_SOURCE};
use super::explain;
use crate::engine::source::Source;
use crate::engine::wording::one_line;
use crate::{Error, ErrorKind, Result};

/// Milliseconds that a majority of a replica set's members may take for a write.
const REPLICATED_WITHIN: i32 = 300_000;
/// The commands that write.
const WRITES: [&str; 7] =
    ["insert", "delete", "create", "createIndexes", "drop", "renameCollection", "_mergeAuthzCollections"];
/// Connections to one server at most.
const MOST_CONNECTIONS: u32 = 4;

/// A deployment, and a database on it.
pub(super) struct Session<'a> {
    pub(super) source: &'a Source,
    pub(super) client: Client,
    pub(super) database: Database,
}

impl<'a> Session<'a> {
    /// Prepares a connection; nothing is sent before the first command.
    pub(super) async fn open(source: &'a Source) -> Result<Self> {
        let settings = &source.settings;
        let failed = |e: mongodb::error::Error| explain::failed("connect", source, &e);
        let url = address::url(settings)?;
        let mut options = ClientOptions::parse(url).await.map_err(failed)?;
        options.max_pool_size = Some(MOST_CONNECTIONS);
        if let Some(user) = &source.login.username {
            let password = source.login.password.as_ref().map(|password| password.expose_secret().to_owned());
            let auth_source = settings.auth_source.as_deref().unwrap_or(AUTH_SOURCE).to_owned();
            let mut credential = Credential::default();
            credential.username = Some(user.clone());
            credential.password = password;
            credential.source = Some(auth_source);
            options.credential = Some(credential);
        }
        let client = Client::with_options(options).map_err(failed)?;
        let database = client.database(&settings.database_name);
        Ok(Self { source, client, database })
    }

    /// Runs a command on the database.
    pub(super) async fn run(&self, operation: &str, command: Document) -> Result<Document> {
        self.on(&self.database, operation, command).await
    }

    /// Runs a command on `admin`.
    pub(super) async fn admin(&self, operation: &str, command: Document) -> Result<Document> {
        self.on(&self.client.database("admin"), operation, command).await
    }

    async fn on(&self, database: &Database, operation: &str, command: Document) -> Result<Document> {
        let raw = RawDocumentBuf::try_from(&command).map_err(|e| Error::internal(operation, e))?;
        self.send(database, operation, raw).await
    }

    /// Runs a command on the database whose fields are bytes as they came from a server.
    pub(super) async fn run_raw(&self, operation: &str, command: RawDocumentBuf) -> Result<Document> {
        self.send(&self.database, operation, command).await
    }

    async fn send(
        &self,
        database: &Database,
        operation: &str,
        mut command: RawDocumentBuf,
    ) -> Result<Document> {
        if is_write(&command) {
            // What one member alone has taken, the next election may take back.
            command.append(cstr!("writeConcern"), rawdoc! { "w": "majority", "wtimeout": REPLICATED_WITHIN });
        }
        let answer = database.run_raw_command(command).await;
        let answer = answer.map_err(|e| explain::failed(operation, self.source, &e))?;
        replicated(operation, &answer)?;
        Ok(answer)
    }

    /// All documents that a command answers by a cursor, as the server sent them.
    pub(super) async fn all(&self, operation: &str, command: Document) -> Result<Vec<RawDocumentBuf>> {
        let failed = |e: mongodb::error::Error| explain::failed(operation, self.source, &e);
        let mut cursor = self.database.run_cursor_command(command).batch().await.map_err(failed)?;
        let mut all = Vec::new();
        while let Some(batch) = cursor.next().await {
            let batch = batch.map_err(failed)?;
            for value in batch.doc_slices().map_err(failed)? {
                all.push(document(operation, value)?.to_owned());
            }
        }
        Ok(all)
    }

    /// Whether the server answers at all, and takes the login.
    pub(super) async fn ping(&self) -> Result<()> {
        self.run("connect", doc! { "ping": 1 }).await.map(drop)
    }
}

fn is_write(command: &RawDocument) -> bool {
    let first = command.iter().flatten().next();
    first.is_some_and(|(name, _)| WRITES.contains(&name.as_str()))
}

/// An answer that is no error can tell that too few members have taken a write.
fn replicated(operation: &str, answer: &Document) -> Result<()> {
    let Ok(error) = answer.get_document("writeConcernError") else { return Ok(()) };
    let message = one_line(error.get_str("errmsg").unwrap_or("it says nothing"));
    Err(Error::new(ErrorKind::Unavailable, operation, message)
        .with_mend("see whether enough members of the replica set are up"))
}

/// An element of a batch, which is a document.
pub(super) fn document<'d>(
    operation: &str,
    element: bson::error::Result<RawBsonRef<'d>>,
) -> Result<&'d RawDocument> {
    let told = |what: String| {
        Error::new(ErrorKind::Unavailable, operation, format!("the server's answer cannot be read: {what}"))
            .with_mend("see whether something between here and the server changes what it sends")
    };
    match element {
        Ok(RawBsonRef::Document(document)) => Ok(document),
        Ok(other) => Err(told(format!("{:?} is no document", other.element_type()))),
        Err(e) => Err(told(e.to_string())),
    }
}
