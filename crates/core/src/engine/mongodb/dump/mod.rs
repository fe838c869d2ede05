//! Dumping a database: what the dump holds, and who makes it.

mod by_tool;
mod fetch;
mod stream;

use bson::Document;
use bson::doc;

use self::fetch::Snapshot;
use super::archive::{Declared, Header, Kind, Metadata, Namespace};
use super::connect::Session;
use super::server::{self, Listed, Server};
use super::tools;
use crate::engine::observe::Observed;
use crate::engine::sink::RawSink;
use crate::engine::source::Source;
use crate::engine::wording::{grouped, one_line};
use crate::fingerprint::Fingerprint;
use crate::model::Consistency;
use crate::{Error, ErrorKind, Result};

const OPERATION: &str = "dump";
/// A batch of documents has about this many bytes; a single document may have 16 MiB.
const BATCH: i64 = 2 << 20;
/// Batches of small documents have this many at most.
const MOST_IN_BATCH: i64 = 10_000;
/// How many documents are asked for where nobody knows how long they are.
const UNKNOWN_BATCH: i64 = 1_000;
/// Servers keep what a snapshot needs for five minutes: larger databases are not tried.
const MOST_IN_SNAPSHOT: u64 = 4 << 30;

/// What a dump holds, in the order in which it is read.
struct Plan {
    header: Header,
    parts: Vec<Part>,
    snapshot: Option<Snapshot>,
}

/// A namespace of the archive, and where its documents are read.
struct Part {
    declared: Declared,
    listed: Option<Listed>,
    /// None: it has no documents of its own.
    read: Option<Read>,
}

/// Where documents are read.
#[derive(Clone)]
struct Read {
    database: String,
    collection: String,
    filter: Option<Document>,
    /// So many documents in a batch.
    batch: u32,
    raw_data: bool,
}

/// Dumps by `mongodump`, or without it.
pub(super) async fn dump(source: &Source, sink: &mut RawSink) -> Result<Observed> {
    let session = Session::open(source).await?;
    let server = server::ask(&session).await?;
    let listed = server::list(&session).await?;
    if let Some(tool) = tools::find(source, tools::DUMP).await {
        source.log.info(format!("server MongoDB {}, tool {}", server.version, tool.version));
        let before = server::chosen(&source.settings, listed.clone())?;
        let observed = by_tool::dump(source, &tool, listed, sink).await?;
        compare(source, &before, &server::list(&session).await?)?;
        return Ok(observed);
    }
    source.log.info(format!("server MongoDB {}, built-in dump", server.version));
    let plan = plan(&session, &server, server::chosen(&source.settings, listed)?).await?;
    let before: Vec<Listed> = plan.parts.iter().filter_map(|part| part.listed.clone()).collect();
    let observed = stream::stream(&session, plan, sink).await?;
    compare(source, &before, &server::list(&session).await?)?;
    Ok(observed)
}

/// What a database holds, users and roles left out.
pub(super) async fn fingerprint(source: &Source) -> Result<Fingerprint> {
    let session = Session::open(source).await?;
    let server = server::ask(&session).await?;
    let listed = server::list(&session).await?;
    let own = |listed: &Listed| !server::is_systems(&listed.name) && !server::is_restores(&listed.name);
    let mut parts = Vec::new();
    for listed in listed.into_iter().filter(own) {
        parts.push(part(&session, &server, listed).await?);
    }
    let plan = Plan { header: header(&server), parts, snapshot: None };
    let mut sink = RawSink::discarding(std::sync::Arc::default());
    Ok(stream::stream(&session, plan, &mut sink).await?.fingerprint)
}

fn header(server: &Server) -> Header {
    Header::new(&server.version, concat!("respaldo ", env!("CARGO_PKG_VERSION")))
}

async fn plan(session: &Session<'_>, server: &Server, listed: Vec<Listed>) -> Result<Plan> {
    let mut parts = Vec::with_capacity(listed.len());
    for listed in listed {
        parts.push(part(session, server, listed).await?);
    }
    if session.source.settings.users_and_roles {
        parts.extend(access(&session.source.settings.database_name)?);
    }
    let snapshot = snapshot(session, server).await?;
    Ok(Plan { header: header(server), parts, snapshot })
}

async fn part(session: &Session<'_>, server: &Server, listed: Listed) -> Result<Part> {
    let database = &session.source.settings.database_name;
    let metadata = Metadata {
        options: listed.options.clone(),
        indexes: server::indexes(session, &listed).await?,
        uuid: listed.uuid.clone(),
        collection_name: Some(listed.name.clone()),
        kind: Some(listed.kind.as_str().to_owned()),
        ..Metadata::new()
    };
    let namespace = Namespace::new(database.clone(), listed.name.clone())?;
    let declared = Declared::new(namespace, listed.kind, &metadata)?;
    let buckets = listed.kind == Kind::TimeSeries && !server.has_raw_data();
    let read = (listed.kind != Kind::View).then(|| Read {
        database: database.clone(),
        collection: if buckets { format!("system.buckets.{}", listed.name) } else { listed.name.clone() },
        filter: None,
        batch: 0,
        raw_data: listed.kind == Kind::TimeSeries && server.has_raw_data(),
    });
    let batch = batch(server::size(session, &listed).await?.average);
    Ok(Part { declared, read: read.map(|read| Read { batch, ..read }), listed: Some(listed) })
}

fn batch(average: i64) -> u32 {
    let documents = if average > 0 { (BATCH / average).clamp(1, MOST_IN_BATCH) } else { UNKNOWN_BATCH };
    u32::try_from(documents).unwrap_or(1)
}

/// The users and roles of a database, which lie in `admin`.
fn access(database: &str) -> Result<Vec<Part>> {
    let own = database == "admin";
    let of = |what: &str, filter: Option<Document>| -> Result<Part> {
        let name = if own { format!("system.{what}") } else { format!("$admin.system.{what}") };
        let read = Read {
            database: "admin".to_owned(),
            collection: format!("system.{what}"),
            filter,
            batch: MOST_IN_BATCH.unsigned_abs().try_into().unwrap_or(1),
            raw_data: false,
        };
        let declared = Declared::bare(Namespace::new(database, name)?);
        Ok(Part { declared, listed: None, read: Some(read) })
    };
    let mine = || (!own).then(|| doc! { "db": database });
    Ok(vec![of("users", mine())?, of("roles", mine())?, of("version", Some(doc! { "_id": "authSchema" }))?])
}

/// Whether all collections can be read as of one time.
async fn snapshot(session: &Session<'_>, server: &Server) -> Result<Option<Snapshot>> {
    let log = &session.source.log;
    if !server.has_snapshots() || session.source.settings.database_name == "admin" {
        log.info("consistency: each collection is read by itself, while others may write");
        return Ok(None);
    }
    if log.attempt() > 1 {
        // What broke the attempt before may have been a snapshot that grew too old.
        log.info("consistency: each collection is read by itself, because an attempt before this one failed");
        return Ok(None);
    }
    let bytes = server::size_bytes(session).await?.unwrap_or_default();
    if bytes > MOST_IN_SNAPSHOT {
        log.info(format!(
            "consistency: each collection is read by itself: {} bytes would take longer than servers keep a snapshot",
            grouped(bytes)
        ));
        return Ok(None);
    }
    Ok(Some(Snapshot::default()))
}

/// What was renamed while the dump was made may be missing from it.
fn compare(source: &Source, before: &[Listed], after: &[Listed]) -> Result<()> {
    for old in before.iter().filter(|old| old.uuid.is_some()) {
        let Some(now) = after.iter().find(|now| now.uuid == old.uuid) else {
            if !after.iter().any(|now| now.name == old.name) {
                source.log.warn(format!("{} was dropped while the dump was made", one_line(&old.name)));
            }
            continue;
        };
        if now.name != old.name {
            let message = format!(
                "{} was renamed to {} while the dump was made",
                one_line(&old.name),
                one_line(&now.name)
            );
            return Err(Error::new(ErrorKind::Conflict, OPERATION, message)
                .with_retryable(true)
                .with_mend("do not rename collections while backups run; it is tried again"));
        }
    }
    Ok(())
}

/// What the whole dump had, once all of it was read.
fn consistency(snapshot: Option<&Snapshot>) -> Consistency {
    if snapshot.is_some_and(Snapshot::held) { Consistency::Snapshot } else { Consistency::PerCollection }
}
