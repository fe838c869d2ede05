//! Cursors, as live as a mongod's: documents that come or go while one is open are seen or missed.

use std::collections::VecDeque;

use bson::raw::cstr;
use bson::{RawArrayBuf, RawDocumentBuf, Uuid, rawdoc};

use super::answer::{Answer, Refusal};
use super::collection::{Collection, Stored};
use super::matching;
use super::state::State;

/// How much a batch holds at most, in bytes; one document alone may be larger.
const MAX_BATCH_BYTES: usize = 16 * 1024 * 1024;
/// How many documents the first batch holds when nobody says.
pub(super) const FIRST_BATCH: usize = 101;

/// Where a cursor reads.
pub(super) enum Plan {
    /// Documents that were there when it was opened.
    Fixed(VecDeque<Stored>),
    /// The collection, in the order of insertion.
    Natural { last: Option<u64>, backwards: bool },
    /// The collection, in the order of `_id`.
    ById { last: Option<Vec<u8>>, backwards: bool },
}

pub(super) struct Cursor {
    pub(super) database: String,
    pub(super) collection: String,
    /// The collection that was opened; none for lists that are no collection's.
    pub(super) uuid: Option<Uuid>,
    pub(super) plan: Plan,
    pub(super) filter: RawDocumentBuf,
    /// How many may still be given.
    pub(super) left: usize,
    /// What every batch is by default.
    pub(super) batch: Option<usize>,
    /// Who opened it: nobody else may read on.
    pub(super) owner: Vec<(String, String)>,
}

impl Cursor {
    /// A cursor over documents that were made for the answer.
    pub(super) fn of(database: &str, collection: &str, documents: Vec<RawDocumentBuf>) -> Self {
        let documents = documents.into_iter().map(Stored::new).collect();
        Self {
            database: database.to_owned(),
            collection: collection.to_owned(),
            uuid: None,
            plan: Plan::Fixed(documents),
            filter: RawDocumentBuf::new(),
            left: usize::MAX,
            batch: None,
            owner: Vec::new(),
        }
    }

    pub(super) fn namespace(&self) -> String {
        format!("{}.{}", self.database, self.collection)
    }

    /// Takes the next documents: at most `most`, at most 16 MiB. With whether there may be more.
    pub(super) fn take(&mut self, state: &State, most: usize) -> Answer<(Vec<Stored>, bool)> {
        let source = self.source(state)?;
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while batch.len() < most && self.left > 0 {
            let Some((document, plan)) = next(&self.plan, source, &self.filter)? else {
                return Ok((batch, false));
            };
            bytes += document.as_bytes().len();
            if !batch.is_empty() && bytes > MAX_BATCH_BYTES {
                return Ok((batch, true));
            }
            match plan {
                Some(plan) => self.plan = plan,
                None => self.drop_first(),
            }
            self.left -= 1;
            batch.push(document);
        }
        // A full batch says nothing of what follows; a mongod finds out with the next one, too.
        Ok((batch, self.left > 0))
    }

    fn drop_first(&mut self) {
        if let Plan::Fixed(documents) = &mut self.plan {
            documents.pop_front();
        }
    }

    fn source<'a>(&self, state: &'a State) -> Answer<Option<&'a Collection>> {
        let Some(uuid) = self.uuid else { return Ok(None) };
        let found = state.databases.values().flat_map(|collections| collections.values());
        let found = found.into_iter().find(|collection| collection.uuid == uuid);
        let gone = || {
            let message =
                format!("collection dropped or renamed between getMore calls: {}", self.namespace());
            Refusal::new(175, "QueryPlanKilled", message)
        };
        found.map(Some).ok_or_else(gone)
    }
}

type Next = Option<(Stored, Option<Plan>)>;

/// The next document that the filter lets pass, and the plan from there on (none: the first is to be removed).
fn next(plan: &Plan, source: Option<&Collection>, filter: &RawDocumentBuf) -> Answer<Next> {
    let passes = |document: &Stored| {
        filter.is_empty().then_some(true).map_or_else(|| matching::matches(filter, document), Ok)
    };
    match (plan, source) {
        (Plan::Fixed(documents), _) => Ok(documents.front().map(|document| (document.clone(), None))),
        (_, None) => Ok(None),
        (Plan::Natural { last, backwards }, Some(source)) => {
            let (mut at, backwards) = (*last, *backwards);
            let step = |at| if backwards { source.before(at) } else { source.after(at) };
            while let Some((place, document)) = step(at) {
                at = Some(place);
                if passes(document)? {
                    return Ok(Some((document.clone(), Some(Plan::Natural { last: at, backwards }))));
                }
            }
            Ok(None)
        }
        (Plan::ById { last, backwards }, Some(source)) => {
            let (mut at, backwards) = (last.clone(), *backwards);
            let step = |at: Option<&[u8]>| if backwards { source.before_id(at) } else { source.after_id(at) };
            while let Some((id, document)) = step(at.as_deref()) {
                at = Some(id);
                if passes(document)? {
                    return Ok(Some((document.clone(), Some(Plan::ById { last: at, backwards }))));
                }
            }
            Ok(None)
        }
    }
}

/// Answers with a cursor's first batch, and keeps the cursor if there may be more.
pub(super) fn open(state: &mut State, mut cursor: Cursor, first: usize, single: bool) -> Answer {
    let (batch, more) = cursor.take(state, first)?;
    let namespace = cursor.namespace();
    let id = if more && !single { state.keep_cursor(cursor) } else { 0 };
    Ok(rawdoc! { "cursor": batch_of(&batch, "firstBatch", id, &namespace), "ok": 1.0 })
}

pub(super) fn batch_of(batch: &[Stored], field: &str, id: i64, namespace: &str) -> RawDocumentBuf {
    let mut documents = RawArrayBuf::new();
    for document in batch {
        documents.push(document.as_ref());
    }
    let field = if field == "firstBatch" { cstr!("firstBatch") } else { cstr!("nextBatch") };
    let mut reply = RawDocumentBuf::new();
    reply.append(field, documents);
    reply.append(cstr!("id"), id);
    reply.append(cstr!("ns"), namespace);
    reply
}
