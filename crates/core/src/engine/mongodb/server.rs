//! What the server tells of itself and of a database's collections.

use bson::raw::{RawBsonRef, RawDocument, RawDocumentBuf};
use bson::{Bson, doc};

use super::archive::Kind;
use super::connect::Session;
use crate::engine::wording::one_line;
use crate::model::Settings;
use crate::{Error, ErrorKind, Result};

/// A version's numbers.
pub(super) type Version = (u32, u32, u32);

/// A server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) version: String,
    pub(super) numbers: Version,
    /// Whether it is a member of a replica set.
    pub(super) in_set: bool,
    /// Whether it is the router of a sharded cluster.
    pub(super) is_router: bool,
}

/// A collection as the server lists it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Listed {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) options: RawDocumentBuf,
    /// In hexadecimal digits.
    pub(super) uuid: Option<String>,
}

/// How many documents a collection has, and how long they are, as far as the server tells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) documents: i64,
    pub(super) average: i64,
}

impl Server {
    /// Whether it can insert a timestamp of zeros as it is; others put the time in its place.
    pub(super) fn takes_empty_timestamps(&self) -> bool {
        match self.numbers {
            (8.., _, _) => true,
            (7, 0, patch) => patch >= 13,
            (6, 0, patch) => patch >= 17,
            (5, 0, patch) => patch >= 29,
            _ => false,
        }
    }

    /// Whether time-series collections have no view before their buckets.
    pub(super) fn has_raw_data(&self) -> bool {
        self.numbers >= (8, 3, 0)
    }

    /// Whether all collections can be read as they were at one time.
    pub(super) fn has_snapshots(&self) -> bool {
        (self.in_set || self.is_router) && self.numbers >= (5, 0, 0)
    }
}

/// Asks the server what it is.
pub(super) async fn ask(session: &Session<'_>) -> Result<Server> {
    session.ping().await?;
    let hello = match session.admin("connect", doc! { "hello": 1 }).await {
        // Servers before 4.4.2 know it by its old name alone.
        Err(e) if e.message().contains("no such command") => {
            session.admin("connect", doc! { "isMaster": 1 }).await?
        }
        hello => hello?,
    };
    let built = session.admin("connect", doc! { "buildInfo": 1 }).await?;
    let version = built.get_str("version").unwrap_or_default().to_owned();
    let numbers = numbers(&version).ok_or_else(|| {
        Error::new(ErrorKind::Unavailable, "connect", "the server's answer is not MongoDB's")
            .with_retryable(false)
            .with_mend("check host and port")
    })?;
    let is_router = hello.get_str("msg").is_ok_and(|message| message == "isdbgrid");
    Ok(Server { version, numbers, in_set: hello.contains_key("setName"), is_router })
}

/// The first three numbers of a version.
pub(super) fn numbers(version: &str) -> Option<Version> {
    let mut parts = version.split(['.', '-', '+']).map(str::parse::<u32>);
    let major = parts.next()?.ok()?;
    let mut next = || parts.next().and_then(Result::ok).unwrap_or_default();
    Some((major, next(), next()))
}

/// The database's size in bytes, where the user may ask.
pub(super) async fn size_bytes(session: &Session<'_>) -> Result<Option<u64>> {
    let stats = match session.run("ask for the size", doc! { "dbStats": 1 }).await {
        Ok(stats) => stats,
        Err(e) if e.kind() == ErrorKind::Denied => return Ok(None),
        Err(e) => return Err(e),
    };
    let number = |name: &str| stats.get(name).and_then(whole).unwrap_or_default();
    Ok(u64::try_from(number("dataSize") + number("indexSize")).ok())
}

/// A number of whatever type, cut to a whole one.
#[expect(clippy::cast_possible_truncation, reason = "sizes beyond 2^63 are no sizes")]
pub(super) fn whole(value: &Bson) -> Option<i64> {
    match value {
        Bson::Int32(number) => Some(i64::from(*number)),
        Bson::Int64(number) => Some(*number),
        Bson::Double(number) if number.is_finite() => Some(*number as i64),
        _ => None,
    }
}

/// All that the database holds, by name, the server's own included.
pub(super) async fn list(session: &Session<'_>) -> Result<Vec<Listed>> {
    let command = doc! { "listCollections": 1, "cursor": {} };
    let answer = session.all("list the collections", command).await?;
    let mut listed: Vec<Listed> = answer.iter().filter_map(|entry| read(entry)).collect();
    listed.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(listed)
}

fn read(entry: &RawDocument) -> Option<Listed> {
    let kind = match entry.get_str("type").unwrap_or("collection") {
        "view" => Kind::View,
        "timeseries" => Kind::TimeSeries,
        _ => Kind::Collection,
    };
    let uuid = match entry.get_document("info").and_then(|info| info.get("uuid")) {
        Ok(Some(RawBsonRef::Binary(uuid))) => Some(hex::encode(uuid.bytes)),
        _ => None,
    };
    let options = entry.get_document("options").map(RawDocument::to_owned).unwrap_or_default();
    Some(Listed { name: entry.get_str("name").ok()?.to_owned(), kind, options, uuid })
}

/// A collection's indexes, as the server describes them.
pub(super) async fn indexes(session: &Session<'_>, listed: &Listed) -> Result<Vec<RawDocumentBuf>> {
    if listed.kind == Kind::View {
        return Ok(Vec::new());
    }
    let command = doc! { "listIndexes": &listed.name, "cursor": {} };
    match session.all("list the indexes", command).await {
        // Dropped since it was listed; reading it will tell.
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        answer => answer,
    }
}

/// How large a collection is, where the server tells.
pub(super) async fn size(session: &Session<'_>, listed: &Listed) -> Result<Size> {
    if listed.kind != Kind::Collection {
        return Ok(Size::default());
    }
    match session.run("ask for a collection's size", doc! { "collStats": &listed.name }).await {
        Ok(stats) => {
            let number = |name: &str| stats.get(name).and_then(whole).unwrap_or_default().max(0);
            Ok(Size { documents: number("count"), average: number("avgObjSize") })
        }
        Err(e) if matches!(e.kind(), ErrorKind::Denied | ErrorKind::NotFound) => Ok(Size::default()),
        Err(e) => Err(e),
    }
}

/// Whether a collection is the server's own, which no dump holds: all of `system.` but stored functions, and
/// names that the server has always kept for itself.
pub(super) fn is_systems(name: &str) -> bool {
    name.starts_with("system.") && name != "system.js" || name.contains('$')
}

/// What of the list a dump holds: what was chosen, or else all that is not the server's own and no restore's.
///
/// # Errors
/// `NotFound` for a chosen collection that is not there.
pub(super) fn chosen(settings: &Settings, listed: Vec<Listed>) -> Result<Vec<Listed>> {
    let own = |listed: &Listed| is_systems(&listed.name) || is_restores(&listed.name);
    let there: Vec<Listed> = listed.into_iter().filter(|listed| !own(listed)).collect();
    if settings.collections.is_empty() {
        return Ok(there);
    }
    let missing = |name: &&String| !there.iter().any(|listed| listed.name == **name);
    let missing: Vec<String> =
        settings.collections.iter().filter(missing).map(|name| one_line(name)).collect();
    if !missing.is_empty() {
        let message = format!("{} has no such collections: {}", settings.database_name, missing.join(", "));
        return Err(Error::new(ErrorKind::NotFound, "list the collections", message)
            .with_field("collections")
            .with_mend("take them out of collections"));
    }
    Ok(there.into_iter().filter(|listed| settings.collections.contains(&listed.name)).collect())
}

/// What collections of a restore under way are called, before the part that follows from its id.
pub(super) const RESTORES: &str = "respaldo_loading_";

/// Whether a collection is being loaded by a restore.
pub(super) fn is_restores(name: &str) -> bool {
    name.starts_with(RESTORES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::EngineKind;

    fn listed(name: &str) -> Listed {
        Listed { name: name.to_owned(), kind: Kind::Collection, options: RawDocumentBuf::new(), uuid: None }
    }

    #[test]
    fn versions_are_read_by_their_numbers() {
        assert_eq!(numbers("7.0.14"), Some((7, 0, 14)));
        assert_eq!(numbers("8.2.0-rc1"), Some((8, 2, 0)));
        assert_eq!(numbers("5"), Some((5, 0, 0)));
        assert_eq!(numbers("PostgreSQL"), None);
    }

    #[test]
    fn a_dump_holds_what_was_chosen_and_nothing_of_the_server_s_own() {
        let names =
            ["a", "b.system.c", "respaldo_loading_x.a", "system.buckets.t", "system.js", "system.views"];
        let all = || names.iter().map(|name| listed(name)).collect();
        let settings = Settings::bare("n", EngineKind::Mongodb, "d");
        let held = chosen(&settings, all()).unwrap();
        assert_eq!(
            held.iter().map(|l| l.name.as_str()).collect::<Vec<_>>(),
            ["a", "b.system.c", "system.js"]
        );
        let one = Settings { collections: vec!["a".to_owned()], ..settings.clone() };
        assert_eq!(chosen(&one, all()).unwrap(), [listed("a")]);
        let gone = Settings { collections: vec!["a".to_owned(), "z".to_owned()], ..settings };
        let error = chosen(&gone, all()).unwrap_err();
        assert_eq!((error.kind(), error.field()), (ErrorKind::NotFound, Some("collections")));
    }
}
