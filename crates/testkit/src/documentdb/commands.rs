//! The commands, each as a call of a function.

use std::collections::BTreeMap;

use bson::{Bson, Document, RawDocumentBuf, rawdoc};

use super::codes;
use super::psql::Psql;
use crate::not_mongod::Refusal;
use crate::not_mongod::answer::{Answer, Request};

pub(super) struct Commands {
    psql: Psql,
    /// Where cursors go on, by their numbers.
    cursors: BTreeMap<i64, String>,
}

impl Commands {
    pub(super) fn new(psql: Psql) -> Self {
        Self { psql, cursors: BTreeMap::new() }
    }

    pub(super) fn run(&mut self, request: &Request) -> Answer {
        match request.name.as_str() {
            "find" => self.first_page("find", request),
            "aggregate" => self.first_page("aggregate", request),
            "listCollections" => self.first_page("list_collections", request),
            "listIndexes" => self.first_page("list_indexes", request),
            "getMore" => self.next_page(request),
            "killCursors" => Ok(self.kill_cursors(request)),
            "listDatabases" => self.one(&format!("documentdb_api.list_databases({})", spec(request)?)),
            "count" => self.on_database("documentdb_api.count_query", request),
            "create" => self.on_database("documentdb_api.create_collection_view", request),
            "insert" => self.insert(request),
            "createIndexes" => self.create_indexes(request),
            "drop" => self.drop_collection(request),
            "dropDatabase" => self.drop_database(request),
            "renameCollection" => self.rename(request),
            "collStats" => {
                let on = collection(request)?;
                self.one(&format!("documentdb_api.coll_stats({on})"))
            }
            "dbStats" => self.one(&format!("documentdb_api.db_stats({})", text(&request.database))),
            other => Err(Refusal::not_here(&format!("{other} over DocumentDB"))),
        }
    }

    fn first_page(&mut self, what: &str, request: &Request) -> Answer {
        let (database, spec) = (text(&request.database), spec(request)?);
        let sql = format!(
            "SELECT cursorpage, continuation, persistconnection, cursorid \
             FROM documentdb_api.{what}_cursor_first_page({database}, {spec})"
        );
        let row = self.row(&sql)?;
        let [page, continuation, persists, id] = columns(&row);
        let id: i64 = id.parse().unwrap_or_default();
        if persists == "t" && id != 0 {
            return Err(Refusal::not_here("a cursor that is bound to a transaction"));
        }
        self.keep(id, continuation);
        document(page)
    }

    fn next_page(&mut self, request: &Request) -> Answer {
        let id = request.number("getMore")?.unwrap_or_default();
        let lost = || Refusal::new(43, "CursorNotFound", format!("cursor id {id} not found"));
        let continuation = self.cursors.remove(&id).ok_or_else(lost)?;
        let (database, spec) = (text(&request.database), spec(request)?);
        let sql = format!(
            "SELECT cursorpage, continuation \
             FROM documentdb_api.cursor_get_more({database}, {spec}, '{continuation}')"
        );
        let row = self.row(&sql)?;
        let [page, continuation] = columns(&row);
        self.keep(id, continuation);
        document(page)
    }

    fn keep(&mut self, id: i64, continuation: &str) {
        if id != 0 && !continuation.is_empty() {
            self.cursors.insert(id, continuation.to_owned());
        }
    }

    fn kill_cursors(&mut self, request: &Request) -> RawDocumentBuf {
        let named = request.whole().ok().and_then(|whole| Document::try_from(whole).ok());
        for id in named.iter().flat_map(|named| named.get_array("cursors")).flatten() {
            self.cursors.remove(&id.as_i64().unwrap_or_default());
        }
        rawdoc! { "ok": 1.0 }
    }

    fn insert(&mut self, request: &Request) -> Answer {
        let (database, spec) = (text(&request.database), spec(request)?);
        let answer =
            self.one(&format!("(SELECT p_result FROM documentdb_api.insert({database}, {spec}))"))?;
        let broken = |error: bson::error::Error| Refusal::new(8, "UnknownError", error.to_string());
        let mut answer = Document::try_from(answer).map_err(broken)?;
        for error in answer.get_array_mut("writeErrors").into_iter().flatten() {
            if let Bson::Document(error) = error
                && let Ok(packed) = error.get_i32("code")
            {
                error.insert("code", codes::of_packed(packed));
            }
        }
        RawDocumentBuf::try_from(&answer).map_err(broken)
    }

    /// In the foreground; the last argument allows it for collections that hold documents.
    fn create_indexes(&mut self, request: &Request) -> Answer {
        let (database, spec) = (text(&request.database), spec(request)?);
        self.one(&format!(
            "documentdb_api_internal.create_indexes_non_concurrently({database}, {spec}, true)"
        ))
    }

    fn drop_collection(&mut self, request: &Request) -> Answer {
        let on = collection(request)?;
        self.row(&format!("SELECT documentdb_api.drop_collection({on})"))?;
        let namespace = format!("{}.{}", request.database, request.required_collection()?);
        Ok(rawdoc! { "ns": namespace, "ok": 1.0 })
    }

    fn drop_database(&mut self, request: &Request) -> Answer {
        self.row(&format!("SELECT documentdb_api.drop_database({})", text(&request.database)))?;
        Ok(rawdoc! { "ok": 1.0 })
    }

    fn rename(&mut self, request: &Request) -> Answer {
        let whole = |name: &str| request.text(name).and_then(|namespace| namespace.split_once('.'));
        let wrong = || Refusal::new(73, "InvalidNamespace", "a namespace is database.collection");
        let (database, from) = whole("renameCollection").ok_or_else(wrong)?;
        let (other, to) = whole("to").ok_or_else(wrong)?;
        if database != other {
            return Err(Refusal::not_here("a rename between databases"));
        }
        let (database, from, to) = (text(database), text(from), text(to));
        let drops = request.flag("dropTarget");
        self.row(&format!("SELECT documentdb_api.rename_collection({database}, {from}, {to}, {drops})"))?;
        Ok(rawdoc! { "ok": 1.0 })
    }

    fn on_database(&mut self, function: &str, request: &Request) -> Answer {
        let (database, spec) = (text(&request.database), spec(request)?);
        self.one(&format!("{function}({database}, {spec})"))
    }

    /// The document that an expression is.
    fn one(&mut self, expression: &str) -> Answer {
        let row = self.row(&format!("SELECT {expression}"))?;
        document(&row)
    }

    fn row(&mut self, sql: &str) -> Answer<String> {
        Ok(self.psql.query(sql)?.pop().unwrap_or_default())
    }
}

/// What psql printed, column by column; none of them holds a bar.
fn columns<const N: usize>(row: &str) -> [&str; N] {
    let columns: Vec<&str> = row.split('|').collect();
    columns.try_into().unwrap_or_else(|_| panic!("{N} columns were asked for: {row}"))
}

fn spec(request: &Request) -> Answer<String> {
    Ok(format!("'BSONHEX{}'", hex::encode(request.whole()?.as_bytes())))
}

fn collection(request: &Request) -> Answer<String> {
    Ok(format!("{}, {}", text(&request.database), text(request.required_collection()?)))
}

fn text(value: &str) -> String {
    format!("'{}'", value.replace('\'', "''"))
}

fn document(printed: &str) -> Answer {
    let broken =
        |why: String| Refusal::new(8, "UnknownError", format!("DocumentDB's answer is not BSON: {why}"));
    let digits = printed.strip_prefix("BSONHEX").ok_or_else(|| broken(printed.to_owned()))?;
    let bytes = hex::decode(digits).map_err(|error| broken(error.to_string()))?;
    RawDocumentBuf::from_bytes(bytes).map_err(|error| broken(error.to_string()))
}
