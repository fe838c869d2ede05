//! Leases: a name held until it expires, under a number that only ever grows.
//!
//! A lease that is given back stays as an item without an expiry, so that the next holder's fence is greater. The table's
//! time to live removes it a day after it would have expired; the first fence of a new item is the time in milliseconds, which
//! is greater than any fence of the item that was there before, because nobody takes a lease a thousand times a second
//! for long.

use aws_sdk_dynamodb::types::ReturnValue;
use jiff::Timestamp;
use respaldo_core::Result;

use super::Dynamo;
use super::attributes::{
    EXPIRES, EXPIRES_AT, FENCE, Key, NAME, OWNER, PK, number, number_in, number_of, text, text_of,
};
use super::keys::{LEASES, named, named_prefix};
use super::read::{Range, Walk};
use super::write::{Change, Written};

/// What expired a day ago may be removed; no two clocks differ so much.
const FORGOTTEN_AFTER_S: i64 = 24 * 60 * 60;
/// As much of the owner's name is kept, for people who look into the table.
const LONGEST_OWNER: usize = 200;

/// The table's time to live, in seconds, of what expires at this time.
pub(super) fn forgotten_at(expires_at: Timestamp) -> i64 {
    expires_at.as_second().saturating_add(FORGOTTEN_AFTER_S)
}

fn key_of(name: &str) -> Key {
    Key::new(LEASES, named(name))
}

impl Dynamo {
    pub(super) async fn take_lease(
        &self,
        name: &str,
        owner: &str,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<Option<u64>> {
        const OPERATION: &str = "take a lease";
        let owner: String = owner.chars().take(LONGEST_OWNER).collect();
        let mut change = Change::default();
        let (pk, expiry, fence) = (change.name(PK), change.name(EXPIRES_AT), change.name(FENCE));
        let first = change.value(number(now.as_millisecond().max(0)));
        let (present, one) = (change.value(number(now.as_millisecond())), change.value(number(1)));
        let change = change
            .when(format!(
                "(attribute_not_exists({pk}) OR attribute_not_exists({expiry}) OR {expiry} <= {present})"
            ))
            .set_to(FENCE, &format!("if_not_exists({fence}, {first}) + {one}"))
            .set(NAME, text(name))
            .set(OWNER, text(owner))
            .set(EXPIRES_AT, number(expires_at.as_millisecond()))
            .set(EXPIRES, number(forgotten_at(expires_at)));
        match self.update(OPERATION, &key_of(name), change, ReturnValue::UpdatedNew).await? {
            Written::Done(item) | Written::DoneBefore(item) => number_of(&item, FENCE).map(Some),
            Written::Refused(_) => Ok(None),
        }
    }

    pub(super) async fn extend_lease(&self, name: &str, fence: u64, expires_at: Timestamp) -> Result<bool> {
        let change = Change::default()
            .when_equal(FENCE, number(fence))
            .when_present(EXPIRES_AT)
            .set(EXPIRES_AT, number(expires_at.as_millisecond()))
            .set(EXPIRES, number(forgotten_at(expires_at)));
        let written = self.update("renew a lease", &key_of(name), change, ReturnValue::None).await?;
        Ok(written.is_done())
    }

    pub(super) async fn give_lease_back(&self, name: &str, fence: u64) -> Result<()> {
        let change = Change::default()
            .when_equal(FENCE, number(fence))
            .when_present(EXPIRES_AT)
            .remove(EXPIRES_AT)
            .remove(OWNER);
        self.update("release a lease", &key_of(name), change, ReturnValue::None).await.map(|_written| ())
    }

    pub(super) async fn leases_alive(&self, prefix: &str, now: Timestamp) -> Result<Vec<String>> {
        const OPERATION: &str = "list leases";
        let range = Range::Prefix(named_prefix(prefix));
        let walk = Walk { only: &[NAME, EXPIRES_AT], ..Walk::table(LEASES, range) };
        let mut alive = Vec::new();
        for item in self.all(OPERATION, &walk).await? {
            let name = text_of(&item, NAME)?;
            let expiry = number_in::<i64>(&item, EXPIRES_AT);
            if name.starts_with(prefix) && expiry.is_some_and(|expiry| expiry > now.as_millisecond()) {
                alive.push(name.to_owned());
            }
        }
        Ok(alive)
    }
}
