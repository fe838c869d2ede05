//! Collations, completed as a mongod writes them down. None is applied: text is compared by its bytes.

use bson::{RawDocument, RawDocumentBuf, rawdoc};

use super::answer::{Answer, Refusal, key};

/// The version of the rules that a mongod of these years has.
const VERSION: &str = "57.1";

/// All fields of a collation; none for `simple`, which is to have no collation.
pub(super) fn complete(given: &RawDocument) -> Answer<Option<RawDocumentBuf>> {
    let locale = given.get_str("locale");
    let locale = locale.map_err(|_| {
        Refusal::new(40414, "Location40414", "BSON field 'collation.locale' is missing but a required field")
    })?;
    if locale == "simple" {
        return Ok(None);
    }
    let defaults = rawdoc! {
        "locale": locale,
        "caseLevel": false,
        "caseFirst": "off",
        "strength": 3,
        "numericOrdering": false,
        "alternate": "non-ignorable",
        "maxVariable": "punct",
        "normalization": false,
        "backwards": false,
        "version": VERSION,
    };
    let unknown =
        given.iter().flatten().find(|(name, _)| defaults.get(name.as_str()).is_ok_and(|v| v.is_none()));
    if let Some((name, _)) = unknown {
        let message = format!("BSON field 'collation.{name}' is an unknown field.");
        return Err(Refusal::new(40415, "Location40415", message));
    }
    if given.get_str("version").is_ok_and(|version| version != VERSION) {
        let message = format!("Requested collation version differs from the one that is known: {VERSION}");
        return Err(Refusal::new(161, "IncompatibleCollationVersion", message));
    }
    let mut full = RawDocumentBuf::new();
    for (name, value) in defaults.iter().flatten() {
        let own = given.get(name.as_str()).ok().flatten();
        full.append(key(name.as_str())?, own.unwrap_or(value));
    }
    Ok(Some(full))
}
