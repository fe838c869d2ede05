//! What a command is asked, and what it answers.

use bson::raw::{CStr, cstr};
use bson::{RawArrayBuf, RawBsonRef, RawDocument, RawDocumentBuf, rawdoc};

use super::wire::Message;

/// A command's answer.
pub(crate) type Answer<T = RawDocumentBuf> = Result<T, Refusal>;

/// An error as a server says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// MongoDB's number, such as 11000.
    pub code: i32,
    /// MongoDB's word for the number, such as `DuplicateKey`.
    pub name: String,
    /// What a person reads.
    pub message: String,
    /// Error labels, such as `RetryableWriteError`.
    pub labels: Vec<String>,
}

impl Refusal {
    /// An error without labels.
    pub fn new(code: i32, name: &str, message: impl Into<String>) -> Self {
        Self { code, name: name.to_owned(), message: message.into(), labels: Vec::new() }
    }

    /// With a label.
    pub fn label(mut self, label: &str) -> Self {
        self.labels.push(label.to_owned());
        self
    }

    pub(super) fn bad_value(message: impl Into<String>) -> Self {
        Self::new(2, "BadValue", message)
    }

    pub(super) fn not_found(namespace: &str) -> Self {
        Self::new(26, "NamespaceNotFound", format!("ns not found {namespace}"))
    }

    /// What a mongod could do and this fixture does not: loud, so that no test rests on it unawares.
    pub(crate) fn not_here(what: &str) -> Self {
        Self::new(238, "NotImplemented", format!("not_mongod does not evaluate this: {what}"))
    }

    pub(super) fn reply(&self) -> RawDocumentBuf {
        let mut reply = rawdoc! {
            "ok": 0.0, "errmsg": self.message.as_str(), "code": self.code, "codeName": self.name.as_str(),
        };
        if !self.labels.is_empty() {
            let mut labels = RawArrayBuf::new();
            self.labels.iter().for_each(|label| labels.push(label.as_str()));
            reply.append(cstr!("errorLabels"), labels);
        }
        reply
    }
}

/// Fields that every command may have.
const GENERIC: [&str; 16] = [
    "$db",
    "lsid",
    "txnNumber",
    "$clusterTime",
    "$readPreference",
    "readConcern",
    "writeConcern",
    "comment",
    "maxTimeMS",
    "apiVersion",
    "apiStrict",
    "apiDeprecationErrors",
    "autocommit",
    "startTransaction",
    "stmtId",
    "help",
];

/// A command.
pub(crate) struct Request {
    pub(crate) name: String,
    pub(crate) database: String,
    body: RawDocumentBuf,
    sequences: Vec<(String, Vec<RawDocumentBuf>)>,
}

impl Request {
    pub(super) fn new(message: &Message) -> Answer<Self> {
        let first = message.body.iter().next().and_then(Result::ok);
        let (name, _) = first.ok_or_else(|| Refusal::new(59, "CommandNotFound", "no such command: ''"))?;
        let name = name.as_str().to_owned();
        let database = message.body.get_str("$db").map(str::to_owned);
        let database = database
            .map_err(|_| Refusal::new(40571, "Location40571", "OP_MSG requests require a $db argument"))?;
        Ok(Self { name, database, body: message.body.clone(), sequences: message.sequences.clone() })
    }

    /// A command of a test's own.
    pub(super) fn of(database: &str, command: &RawDocument) -> Self {
        let name =
            command.iter().flatten().next().map(|(name, _)| name.as_str().to_owned()).unwrap_or_default();
        Self { name, database: database.to_owned(), body: command.to_owned(), sequences: Vec::new() }
    }

    /// The command's own value: what stands first.
    pub(super) fn subject(&self) -> Option<RawBsonRef<'_>> {
        self.get(&self.name)
    }

    /// The collection that the command is about, if its first value is text.
    pub(super) fn collection(&self) -> Option<&str> {
        self.subject().and_then(RawBsonRef::as_str)
    }

    pub(crate) fn required_collection(&self) -> Answer<&str> {
        let collection = self.collection().filter(|name| !name.is_empty());
        collection.ok_or_else(|| {
            Refusal::new(73, "InvalidNamespace", "collection name has invalid type or is empty")
        })
    }

    pub(super) fn get(&self, field: &str) -> Option<RawBsonRef<'_>> {
        self.body.get(field).ok().flatten().filter(|value| !matches!(value, RawBsonRef::Null))
    }

    pub(crate) fn text(&self, field: &str) -> Option<&str> {
        self.get(field).and_then(RawBsonRef::as_str)
    }

    pub(super) fn document(&self, field: &str) -> Option<&RawDocument> {
        self.get(field).and_then(RawBsonRef::as_document)
    }

    pub(crate) fn flag(&self, field: &str) -> bool {
        self.get(field).is_some_and(truth)
    }

    pub(crate) fn number(&self, field: &str) -> Answer<Option<i64>> {
        let Some(value) = self.get(field) else { return Ok(None) };
        let wrong = || Refusal::new(14, "TypeMismatch", format!("{field} must be a number"));
        whole_number(value).map(Some).ok_or_else(wrong)
    }

    /// The documents of a field, whether they came in a section of their own or in an array.
    pub(super) fn documents(&self, field: &str) -> Answer<Vec<RawDocumentBuf>> {
        let wrong = || Refusal::new(14, "TypeMismatch", format!("{field} must be an array of documents"));
        if let Some((_, documents)) = self.sequences.iter().find(|(name, _)| name == field) {
            return Ok(documents.clone());
        }
        let Some(array) = self.get(field).and_then(RawBsonRef::as_array) else { return Err(wrong()) };
        let document = |value: RawBsonRef<'_>| value.as_document().map(ToOwned::to_owned).ok_or_else(wrong);
        array.into_iter().map(|value| value.map_err(|_| wrong()).and_then(document)).collect()
    }

    /// Refuses fields that are not named here, as a mongod does.
    pub(super) fn only(&self, allowed: &[&str]) -> Answer<()> {
        for element in &self.body {
            let (name, _) = element.map_err(|error| Refusal::new(22, "InvalidBSON", error.to_string()))?;
            let name = name.as_str();
            if name != self.name && !allowed.contains(&name) && !GENERIC.contains(&name) {
                let message = format!("BSON field '{}.{name}' is an unknown field.", self.name);
                return Err(Refusal::new(40415, "Location40415", message));
            }
        }
        Ok(())
    }

    /// The command as one document: what came in sections of its own as arrays, without fields that every command
    /// may have.
    pub(crate) fn whole(&self) -> Answer<RawDocumentBuf> {
        let mut whole = RawDocumentBuf::new();
        for element in &self.body {
            let (name, value) =
                element.map_err(|error| Refusal::new(22, "InvalidBSON", error.to_string()))?;
            if !GENERIC.contains(&name.as_str()) {
                whole.append(name, value);
            }
        }
        for (name, documents) in &self.sequences {
            let mut array = RawArrayBuf::new();
            for document in documents {
                array.push(document.as_ref());
            }
            whole.append(key(name)?, array);
        }
        Ok(whole)
    }

    pub(super) fn body(&self) -> &RawDocument {
        &self.body
    }
}

pub(super) fn truth(value: RawBsonRef<'_>) -> bool {
    match value {
        RawBsonRef::Boolean(yes) => yes,
        RawBsonRef::Null | RawBsonRef::Undefined => false,
        other => whole_number(other).is_none_or(|number| number != 0),
    }
}

/// A number of any type, without its fraction.
#[expect(clippy::cast_possible_truncation, reason = "that is what whole means")]
pub(super) fn whole_number(value: RawBsonRef<'_>) -> Option<i64> {
    match value {
        RawBsonRef::Int32(number) => Some(number.into()),
        RawBsonRef::Int64(number) => Some(number),
        RawBsonRef::Double(number) => Some(number as i64),
        _ => None,
    }
}

/// Whether a field is that text.
pub(super) fn says(document: &RawDocument, field: &str, text: &str) -> bool {
    document.get_str(field).is_ok_and(|found| found == text)
}

/// A document with one more field.
pub(super) fn with<'a>(
    mut document: RawDocumentBuf,
    key: &CStr,
    value: impl Into<RawBsonRef<'a>>,
) -> RawDocumentBuf {
    document.append(key, value.into());
    document
}

/// A key from a name that was read from BSON, where no NUL can be.
pub(super) fn key(name: &str) -> Answer<&CStr> {
    name.try_into().map_err(|_| Refusal::bad_value("a name must not contain NUL"))
}
