//! Building indexes as a dump describes them.
//!
//! The fields of an index go to the server as they were told, but for two: the namespace that old servers told with
//! it, and a version that no server makes any more. Options that the server does not know are ignored by it, on
//! request. (`mongorestore` does the same, and makes every index anew in the newest version unless it is told not to.)

use bson::raw::{RawArrayBuf, RawBsonRef, RawDocument, RawDocumentBuf, cstr};
use bson::rawdoc;

use super::create::{EXPIRES, copy, unreadable};
use crate::Result;
use crate::engine::mongodb::archive::Metadata;
use crate::engine::mongodb::connect::Session;
use crate::engine::wording::one_line;

/// The version of indexes that servers make only if it is asked for. They make the newest of themselves, and some
/// deployments refuse to be asked for it (the smallest of Atlas).
const ASKED_FOR: i64 = 1;

/// Builds all indexes of a collection but that of `_id`, which is there.
///
/// Where nothing shall `expire`, documents stay that an index would have the server delete.
pub(super) async fn build(
    session: &Session<'_>,
    collection: &str,
    metadata: &Metadata,
    expire: bool,
) -> Result<()> {
    let wanted = wanted(metadata, expire)?;
    if wanted.is_empty() {
        return Ok(());
    }
    let mut indexes = RawArrayBuf::new();
    for index in wanted {
        indexes.push(index);
    }
    let mut command = RawDocumentBuf::new();
    command.append(cstr!("createIndexes"), collection);
    command.append(cstr!("indexes"), indexes);
    command.append(cstr!("ignoreUnknownIndexOptions"), true);
    let operation = format!("build the indexes of {}", one_line(collection));
    session.run_raw(&operation, command).await.map(drop)
}

fn wanted(metadata: &Metadata, expire: bool) -> Result<Vec<RawDocumentBuf>> {
    let collated = metadata
        .options
        .get_document("collation")
        .is_ok_and(|collation| collation.get_str("locale").is_ok_and(|locale| locale != "simple"));
    let mut wanted = Vec::new();
    for index in metadata.indexes.iter().filter(|index| !is_made_with_collection(index)) {
        let mut spec = RawDocumentBuf::new();
        let version = index.get("v").ok().flatten().and_then(number);
        let old = version == Some(ASKED_FOR);
        // Old indexes never have a collation, and are refused with the word for none.
        let simple =
            index.get_document("collation").is_ok_and(|c| c.get_str("locale").is_ok_and(|l| l == "simple"));
        copy(index, &mut spec, |key| match key {
            "ns" => false,
            "v" => old,
            "collation" => !(old && simple),
            EXPIRES => expire,
            _ => true,
        })?;
        let own = index.get("collation").map_err(|e| unreadable(&e))?.is_some();
        if collated && !own && !old {
            // Without the word it would take the collection's.
            spec.append(cstr!("collation"), rawdoc! { "locale": "simple" });
        }
        wanted.push(spec);
    }
    Ok(wanted)
}

fn number(value: RawBsonRef<'_>) -> Option<i64> {
    match value {
        RawBsonRef::Int32(number) => Some(i64::from(number)),
        RawBsonRef::Int64(number) => Some(number),
        RawBsonRef::Double(1.0) => Some(1),
        RawBsonRef::Double(2.0) => Some(2),
        _ => None,
    }
}

/// The index of `_id`, also where the collection is clustered by it.
fn is_made_with_collection(index: &RawDocument) -> bool {
    let clustered = matches!(index.get("clustered"), Ok(Some(RawBsonRef::Boolean(true))));
    let key = index.get_document("key").ok();
    let mut fields = key.into_iter().flat_map(|key| key.iter().flatten());
    let by_id = fields.next().is_some_and(|(key, value)| key.as_str() == "_id" && number(value) == Some(1));
    clustered || by_id && fields.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn specs(options: RawDocumentBuf, indexes: Vec<RawDocumentBuf>) -> Vec<RawDocumentBuf> {
        wanted(&Metadata { options, indexes, ..Metadata::new() }, true).unwrap()
    }

    #[test]
    fn the_index_of_id_is_left_to_the_server_and_others_keep_their_fields_in_order() {
        let indexes = vec![
            rawdoc! { "v": 2, "key": { "_id": 1 }, "name": "_id_" },
            rawdoc! { "v": 1, "key": { "b": -1, "a": 1.0 }, "name": "x", "ns": "d.c", "background": true },
            rawdoc! { "v": 0, "key": { "c": 1 }, "name": "y" },
            rawdoc! { "v": 2, "key": { "_id": "hashed" }, "name": "_id_hashed" },
            rawdoc! { "v": 2, "key": { "_id": 1 }, "name": "c", "unique": true, "clustered": true },
        ];
        let expected = [
            rawdoc! { "v": 1, "key": { "b": -1, "a": 1.0 }, "name": "x", "background": true },
            rawdoc! { "key": { "c": 1 }, "name": "y" },
            rawdoc! { "key": { "_id": "hashed" }, "name": "_id_hashed" },
        ];
        assert_eq!(specs(RawDocumentBuf::new(), indexes), expected);
    }

    #[test]
    fn an_index_without_collation_keeps_none_in_a_collection_that_has_one() {
        let indexes = vec![
            rawdoc! { "key": { "a": 1 }, "name": "a" },
            rawdoc! { "key": { "b": 1 }, "name": "b", "collation": { "locale": "es" } },
        ];
        let expected = [
            rawdoc! { "key": { "a": 1 }, "name": "a", "collation": { "locale": "simple" } },
            indexes[1].clone(),
        ];
        assert_eq!(specs(rawdoc! { "collation": { "locale": "es" } }, indexes), expected);
    }

    /// Servers refuse version 1 together with any collation, and newer ones tell the simple one all the same.
    #[test]
    fn an_index_of_version_1_is_built_without_the_word_for_no_collation() {
        let told = rawdoc! { "v": 1, "key": { "a": 1 }, "name": "a", "collation": { "locale": "simple" } };
        let plain = rawdoc! { "v": 1, "key": { "a": 1 }, "name": "a" };
        for given in [told, plain.clone()] {
            for options in [RawDocumentBuf::new(), rawdoc! { "collation": { "locale": "es" } }] {
                assert_eq!(specs(options, vec![given.clone()]), std::slice::from_ref(&plain));
            }
        }
    }
}
