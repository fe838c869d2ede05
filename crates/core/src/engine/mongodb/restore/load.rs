//! Loading a dump: aside, or into the target.

use bson::raw::{RawDocumentBuf, cstr};
use bson::{Bson, Document, doc};

use super::places::{Fate, Place, is_partial, mark, places};
use super::reading::{Insert, Prelude, Reading};
use super::{access, by_tool, create, drop_loaded, drop_one, indexes};
use crate::engine::mongodb::Mongodb;
use crate::engine::mongodb::archive::{Kind, Metadata};
use crate::engine::mongodb::connect::Session;
use crate::engine::mongodb::server::{self, Server, whole};
use crate::engine::mongodb::{explain, tools};
use crate::engine::restore::observer_for;
use crate::engine::wording::{grouped, one_line};
use crate::engine::{DumpSource, Loaded, Target};
use crate::model::RestoreMode;
use crate::{Error, Result};

const OPERATION: &str = "load the dump";

/// Loads a dump, by `mongorestore` where it is installed.
pub(super) async fn load(session: &Session<'_>, target: &Target, dump: &DumpSource) -> Result<Loaded> {
    let server = server::ask(session).await?;
    let mut reading = begin(target, dump).await?;
    let Prelude { header, declared } = reading.prelude().await?;
    let mut warnings = Vec::new();
    let places = places(target, &server, &header, &declared, &mut warnings)?;
    let tool = tool(target, &places).await?;
    target.at.log.info(format!(
        "server MongoDB {}, {}",
        server.version,
        tool.as_ref().map_or("built-in restore", |tool| tool.version.as_str())
    ));
    clear(session, target, &places).await?;
    let observed = match &tool {
        Some(tool) => {
            // Its prelude was all that was wanted of it here.
            drop(reading);
            by_tool::load(target, tool, &places, begin_again(dump).await?).await?
        }
        None => built_in(session, &server, reading, &places, (!target.scratch, &mut warnings)).await?,
    };
    if places.iter().any(|place| place.fate == Fate::Access) {
        access::restore(session, target, dump).await?;
    }
    if target.options.mode == RestoreMode::Swap {
        set_mark(session, target, &places).await?;
    }
    Ok(Loaded { observed, warnings })
}

/// The tool that loads the dump; none: what is built in does. A scratch server would delete what has expired since
/// before it is compared, and `mongorestore` cannot be told to leave that out.
async fn tool(target: &Target, places: &[Place<'_>]) -> Result<Option<tools::Installed>> {
    let expires = |metadata: &Metadata| {
        let has = |options: &RawDocumentBuf| options.get(create::EXPIRES).is_ok_and(|given| given.is_some());
        has(&metadata.options) || metadata.indexes.iter().any(has)
    };
    if target.scratch && metadata(places)?.iter().any(expires) {
        return Ok(None);
    }
    Ok(tools::find(&target.at, tools::RESTORE).await)
}

pub(super) async fn begin(target: &Target, dump: &DumpSource) -> Result<Reading> {
    let observer = observer_for(&Mongodb, target);
    let meter = std::sync::Arc::clone(&target.meter);
    Ok(Reading::begin(dump.open().await?, observer, target.dump.raw_bytes, meter))
}

async fn begin_again(dump: &DumpSource) -> Result<crate::engine::Dump> {
    dump.open().await
}

/// Drops what is in the way: what an earlier try left aside, or what the target holds.
async fn clear(session: &Session<'_>, target: &Target, places: &[Place<'_>]) -> Result<()> {
    if target.options.mode == RestoreMode::Swap {
        return drop_loaded(session, target).await;
    }
    let partial = is_partial(target);
    let chosen =
        |name: &str| !partial || places.iter().any(|place| place.is_loaded() && place.collection() == name);
    let mut there = server::list(session).await?;
    // Views first: nothing then refers to a collection that is gone.
    there.sort_by_key(|listed| listed.kind != Kind::View);
    for listed in there {
        let name = listed.name.as_str();
        if name == "system.js" && chosen(name) {
            let all = doc! { "delete": name, "deletes": [{ "q": {}, "limit": 0 }] };
            session.run("clear the stored functions", all).await?;
        } else if !server::is_systems(name) && chosen(name) {
            drop_one(session, name).await?;
        }
    }
    Ok(())
}

async fn built_in(
    session: &Session<'_>,
    server: &Server,
    mut reading: Reading,
    places: &[Place<'_>],
    (expire, warnings): (bool, &mut Vec<String>),
) -> Result<crate::engine::Observed> {
    let metadata = metadata(places)?;
    for (place, metadata) in places.iter().zip(&metadata) {
        let own = place.declared.kind() != Kind::View && place.collection() != "system.js";
        if place.is_loaded() && own {
            create::collection(session, &place.name, &metadata.options, expire).await?;
        }
    }
    reading.go_on(places.iter().map(|place| place.is_loaded().then(|| head(server, place))).collect());
    while let Some(insert) = reading.next().await {
        let name = &places[insert.at].into;
        self::insert(session, name, insert).await?;
    }
    let stamped = reading.stamped();
    if stamped > 0 && !server.takes_empty_timestamps() {
        warnings.push(format!(
            "MongoDB {} puts the time in the place of empty timestamps: {} documents are not as they were dumped",
            server.version,
            grouped(stamped)
        ));
    }
    let observed = reading.end().await?;
    for (place, metadata) in places.iter().zip(&metadata).filter(|(place, _)| place.is_loaded()) {
        match place.declared.kind() {
            Kind::View => create::collection(session, &place.name, &metadata.options, expire).await?,
            _ => indexes::build(session, &place.name, metadata, expire).await?,
        }
    }
    Ok(observed)
}

fn metadata(places: &[Place<'_>]) -> Result<Vec<Metadata>> {
    places.iter().map(|place| Ok(place.declared.metadata()?.unwrap_or_default())).collect()
}

/// The beginning of the commands that insert a collection's documents: as they are, whatever a validator of the
/// collection says of them.
pub(super) fn head(server: &Server, place: &Place<'_>) -> RawDocumentBuf {
    let mut head = RawDocumentBuf::new();
    head.append(cstr!("insert"), place.into.as_str());
    head.append(cstr!("ordered"), true);
    head.append(cstr!("bypassDocumentValidation"), true);
    if server.takes_empty_timestamps() {
        head.append(cstr!("bypassEmptyTsReplacement"), true);
    }
    if place.raw_data {
        head.append(cstr!("rawData"), true);
    }
    head
}

pub(super) async fn insert(session: &Session<'_>, name: &str, insert: Insert) -> Result<()> {
    let operation = format!("{OPERATION}: insert into {}", one_line(name));
    let answer = session.run_raw(&operation, insert.command).await?;
    check(&operation, &answer, insert.documents)
}

/// An answer that is no error can tell of documents that were refused.
pub(super) fn check(operation: &str, answer: &Document, documents: usize) -> Result<()> {
    let first =
        answer.get_array("writeErrors").ok().and_then(|errors| errors.first()).and_then(Bson::as_document);
    if let Some(error) = first {
        let code =
            error.get("code").and_then(whole).and_then(|code| i32::try_from(code).ok()).unwrap_or_default();
        let message = error.get_str("errmsg").unwrap_or("it says nothing");
        return Err(explain::of_code(operation, &one_line(message), code, message));
    }
    let taken = answer.get("n").and_then(whole);
    if taken != i64::try_from(documents).ok() {
        let message = format!("{} of {documents} documents were taken", taken.unwrap_or_default());
        return Err(Error::internal(operation, message));
    }
    Ok(())
}

/// Writes down what was loaded aside, all of it: what the swap exchanges.
async fn set_mark(session: &Session<'_>, target: &Target, places: &[Place<'_>]) -> Result<()> {
    const AT_ONCE: usize = 1_000;
    let name = mark(target);
    session.run("mark what was loaded", doc! { "create": &name }).await?;
    let loaded: Vec<Document> = places
        .iter()
        .filter(|place| place.is_loaded())
        .map(|place| doc! { "_id": place.collection(), "view": place.declared.kind() == Kind::View })
        .collect();
    // The last of it says that it is whole.
    let end = doc! { "_id": "", "count": i64::try_from(loaded.len()).unwrap_or(i64::MAX) };
    for documents in loaded.chunks(AT_ONCE).map(<[Document]>::to_vec).chain([vec![end]]) {
        let count = documents.len();
        let answer =
            session.run("mark what was loaded", doc! { "insert": &name, "documents": documents }).await?;
        check("mark what was loaded", &answer, count)?;
    }
    Ok(())
}
