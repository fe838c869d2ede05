//! How keys are made: of numbers and times that sort as text, of names that may be any text.

use jiff::Timestamp;
use respaldo_core::model::{DatabaseId, JobId};
use sha2::{Digest as _, Sha256};

use super::attributes::Key;

/// The due index is spread over this many partitions, so that no one of them has to take every heartbeat. Another number
/// would hide what was written before.
pub(super) const SHARDS: u64 = 8;
/// The sort key of a job's record in its partition.
pub(super) const RECORD: &str = "record";
/// What the sort keys of a job's log begin with.
pub(super) const LOG: &str = "log#";
/// What the sort keys of a record's parts begin with.
pub(super) const PART: &str = "part#";
/// The partition of all databases' records.
pub(super) const DATABASES: &str = "database";
/// The partition of claims.
pub(super) const CLAIMS: &str = "claim";
/// The partition of leases.
pub(super) const LEASES: &str = "lease";
/// The partition of documents.
pub(super) const DOCUMENTS: &str = "document";
/// What [`FAMILY`](super::attributes::FAMILY) holds.
pub(super) const JOBS: &str = "job";

/// Added to milliseconds so that none that jiff knows is negative.
const EPOCH_SHIFT_MS: i64 = 1_000_000_000_000_000;
/// A sort key has at most 1,024 bytes; names longer than this are cut and told apart by their digest.
const LONGEST_NAME_BYTES: usize = 900;

/// Milliseconds since 1970 as text that sorts as they do, negative ones too.
pub(super) fn sortable(millis: i64) -> String {
    format!("{:016}", millis.saturating_add(EPOCH_SHIFT_MS).max(0))
}

/// The milliseconds that [`sortable`] was given.
pub(super) fn millis_of(sortable: &str) -> Option<i64> {
    sortable.get(..16)?.parse::<i64>().ok()?.checked_sub(EPOCH_SHIFT_MS)
}

/// The first whole millisecond that is not before `at`.
pub(super) fn millis_from(at: Timestamp) -> i64 {
    let floor = at.as_nanosecond().div_euclid(1_000_000);
    let rest = at.as_nanosecond().rem_euclid(1_000_000);
    i64::try_from(floor + i128::from(rest > 0)).unwrap_or(i64::MAX)
}

/// Where a job stands in lists.
pub(super) fn place(created_at: Timestamp, id: JobId) -> String {
    format!("{}#{id}", sortable(created_at.as_millisecond()))
}

/// A number from 0 on, as text that sorts as numbers do.
pub(super) fn padded(number: u64) -> String {
    format!("{number:020}")
}

/// The record of a database; none of a number that no database has.
pub(super) fn database(id: DatabaseId) -> Option<Key> {
    let number = u64::try_from(id.0).ok().filter(|number| *number > 0)?;
    Some(Key::new(DATABASES, padded(number)))
}

/// The partition of a database's parts.
pub(super) fn database_parts(id: DatabaseId) -> String {
    format!("{DATABASES}#{id}")
}

pub(super) fn job_partition(id: JobId) -> String {
    format!("{JOBS}#{id}")
}

pub(super) fn job(id: JobId) -> Key {
    Key::new(job_partition(id), RECORD)
}

/// The due index's partition for the thing of this number: ids end in random bits, numbers count up.
pub(super) fn shard(family: &str, number: u64) -> String {
    format!("{family}#{}", number % SHARDS)
}

/// The random half of a job's id, for [`shard`].
pub(super) fn spread(id: JobId) -> u64 {
    u64::try_from(id.0.0 & u128::from(u64::MAX)).unwrap_or(0)
}

/// The sort key of a claim or a lease of this name: any text, the empty one too.
pub(super) fn named(name: &str) -> String {
    let head = cut(name);
    if head.len() == name.len() {
        return format!("={name}");
    }
    let digest = Sha256::digest(name.as_bytes());
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("={head}#{digest}")
}

/// What the sort keys of all names with this prefix begin with. More may begin with it: names are to be looked at.
pub(super) fn named_prefix(prefix: &str) -> String {
    format!("={}", cut(prefix))
}

/// As much of a name as a sort key holds.
fn cut(name: &str) -> &str {
    if name.len() <= LONGEST_NAME_BYTES {
        return name;
    }
    let end = (0..=LONGEST_NAME_BYTES).rev().find(|end| name.is_char_boundary(*end));
    &name[..end.unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn times_sort_as_text_as_they_do_as_numbers(one in any::<i64>(), other in any::<i64>()) {
            let all = [one, other].map(|millis| {
                let (least, most) = (Timestamp::MIN.as_millisecond(), Timestamp::MAX.as_millisecond());
                millis.clamp(least, most)
            });
            prop_assert_eq!(sortable(all[0]).cmp(&sortable(all[1])), all[0].cmp(&all[1]));
            prop_assert_eq!(millis_of(&sortable(all[0])), Some(all[0]));
        }

        #[test]
        fn every_name_is_a_key_that_begins_with_each_of_its_prefixes(name in "\\PC{0,1200}", cut_at in 0..1_200_usize) {
            let key = named(&name);
            prop_assert!((1..=1_024).contains(&key.len()), "{} bytes", key.len());
            let end = (0..=cut_at.min(name.len())).rev().find(|end| name.is_char_boundary(*end)).unwrap();
            prop_assert!(key.starts_with(&named_prefix(&name[..end])));
        }

        #[test]
        fn different_names_have_different_keys(one in "[ab]{895,905}", other in "[ab]{895,905}") {
            prop_assert_eq!(named(&one) == named(&other), one == other);
        }
    }

    #[test]
    fn the_latest_instant_has_a_place_after_it() {
        assert!(sortable(Timestamp::MAX.as_millisecond() + 1) > sortable(Timestamp::MAX.as_millisecond()));
    }
}
