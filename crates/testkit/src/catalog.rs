//! The catalog's contract: what every implementation of the port must keep, and a model of it.
//!
//! # Holding an implementation to it
//! Write a [`Store`] over a fresh, empty place of your kind, and put one line into a test file:
//!
//! ```ignore
//! respaldo_testkit::catalog_contract!(my_store); // async fn my_store() -> impl Store
//! ```
//!
//! It expands to one test for each promise below, so that a failure names what was broken, and one
//! that plays random operations against [`MemoryCatalog`] and the implementation and compares every
//! answer. A new promise is a `pub async fn` in one of the files here, and its name in
//! [`catalog_contract!`](crate::catalog_contract).
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a broken promise panics: that is how a test fails"
)]

use std::sync::Arc;

use async_trait::async_trait;
use respaldo_core::ports::Catalog;
use respaldo_core::{ErrorKind, Result};

mod agreement;
mod claims;
pub mod content;
mod databases;
mod documents;
mod hostile;
mod jobs;
mod leases;
mod lists;
mod log;
mod memory;
pub mod sample;
mod totals;

pub use agreement::{CASES, any_sequence_of_operations_answers_as_the_model_does};
pub use claims::*;
pub use databases::*;
pub use documents::*;
pub use hostile::*;
pub use jobs::*;
pub use leases::*;
pub use lists::*;
pub use log::*;
pub use memory::{MemoryCatalog, MemoryStore};
pub use totals::*;

/// A place that holds one catalog's records.
#[async_trait]
pub trait Store: Send + Sync {
    /// One more handle on the same records, as another process would have it, also after all
    /// earlier handles are gone.
    async fn open(&self) -> Arc<dyn Catalog>;
}

/// Expands to the contract's tests over the stores that the given `async fn` makes. The calling crate
/// needs `tokio` with `macros` and `rt-multi-thread`.
#[macro_export]
macro_rules! catalog_contract {
    ($make:expr) => {
        $crate::catalog_contract! { $make, $crate::catalog::CASES }
    };
    // For a store that takes long to answer: with fewer random sequences.
    ($make:expr, $cases:expr) => {
        $crate::catalog_contract! { @tests $make;
            a_catalog_that_works_says_so
            a_database_is_read_back_as_written
            database_numbers_grow_and_are_never_used_twice_also_after_a_reopen
            many_databases_created_at_once_have_numbers_of_their_own
            a_uid_is_registered_once
            a_database_is_restored_under_its_own_number_and_later_numbers_are_greater
            a_number_or_uid_that_is_taken_is_not_restored
            databases_are_listed_by_number_in_pages
            a_stale_database_is_neither_changed_nor_deleted
            of_concurrent_changes_to_a_database_exactly_one_wins
            due_databases_are_those_that_ask_for_attention_earliest_first
            a_job_is_read_back_as_written
            of_many_who_create_the_same_job_exactly_one_did
            a_stale_job_is_neither_changed_nor_deleted
            of_concurrent_changes_to_a_job_exactly_one_wins
            a_job_without_a_database_is_listed_among_such
            due_jobs_follow_every_transition
            due_jobs_come_earliest_first_and_no_more_than_asked
            jobs_are_listed_newest_first_also_those_of_one_millisecond
            pages_stay_complete_while_jobs_arrive
            filters_combine_with_each_other_and_with_pages
            what_waits_or_runs_is_told_of_one_database_and_of_all
            outlines_tell_what_the_jobs_themselves_tell
            a_log_keeps_its_order_and_is_read_in_pages
            lines_appended_at_once_each_have_a_place
            a_log_goes_with_its_job
            totals_equal_a_recount_after_every_change
            a_claim_is_given_to_the_first_and_tells_the_others_its_value
            of_many_who_claim_at_once_exactly_one_gets_it
            an_expired_claim_counts_as_absent
            a_claim_is_released_only_by_its_value
            a_claim_is_read_without_taking_it
            claims_are_listed_by_key_in_pages
            a_document_is_read_back_as_written
            a_stale_document_is_not_written
            of_concurrent_writers_of_a_document_exactly_one_wins
            a_lease_has_one_holder_until_it_expires
            of_many_who_want_a_lease_exactly_one_gets_it
            fences_grow_also_after_release_expiry_and_reopen
            a_lease_that_was_taken_over_is_not_renewed_nor_released_by_its_old_holder
            live_leases_are_listed_by_a_prefix_that_means_nothing_else
            any_text_is_kept_byte_for_byte
            confirmed_writes_are_there_after_a_reopen
        }

        #[test]
        fn any_sequence_of_operations_answers_as_the_model_does() {
            $crate::catalog::any_sequence_of_operations_answers_as_the_model_does($cases, || $make());
        }
    };
    (@tests $make:expr; $($promise:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $promise() {
                let store = $make().await;
                $crate::catalog::$promise(&store).await;
            }
        )*
    };
}

/// `check` succeeds, repeatedly and from several handles.
pub async fn a_catalog_that_works_says_so(store: &dyn Store) {
    let (one, other) = (store.open().await, store.open().await);
    for catalog in [&one, &other, &one] {
        catalog.check().await.unwrap();
    }
}

/// Asserts that a write was refused because it was based on a stale read.
fn assert_conflict<T: std::fmt::Debug>(result: Result<T>, what: &str) {
    let error = result.expect_err(what);
    assert_eq!(error.kind(), ErrorKind::Conflict, "{what}: {error}");
    assert!(!error.is_retryable(), "{what}: repeating a stale write cannot help: {error}");
}

#[cfg(test)]
mod tests {
    use super::MemoryStore;

    #[expect(clippy::unused_async, reason = "the contract's factories are async")]
    async fn model() -> MemoryStore {
        MemoryStore::default()
    }

    // The suite must hold for the model, or it promises something that the port does not.
    catalog_contract!(model);

    #[test]
    fn every_promise_is_in_the_list() {
        let list = include_str!("catalog.rs");
        let mut promises = 0;
        for file in [
            list,
            include_str!("catalog/claims.rs"),
            include_str!("catalog/databases.rs"),
            include_str!("catalog/documents.rs"),
            include_str!("catalog/hostile.rs"),
            include_str!("catalog/jobs.rs"),
            include_str!("catalog/leases.rs"),
            include_str!("catalog/lists.rs"),
            include_str!("catalog/log.rs"),
            include_str!("catalog/totals.rs"),
        ] {
            for line in file.lines().filter_map(|line| line.strip_prefix("pub async fn ")) {
                let name = line.split('(').next().unwrap();
                assert!(list.contains(&format!("            {name}\n")), "{name} is not in the list");
                promises += 1;
            }
        }
        let is_listed = |line: &&str| {
            line.strip_prefix("            ").is_some_and(|name| {
                !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c == '_')
            })
        };
        assert_eq!(promises, list.lines().filter(is_listed).count(), "a file of promises is not read here");
    }
}
