//! Claims: a key held for a value, once.

use aws_sdk_dynamodb::types::ReturnValue;
use jiff::Timestamp;
use respaldo_core::ports::Claim;
use respaldo_core::{Error, ErrorKind, Result};

use super::Dynamo;
use super::attributes::{
    EXPIRES, EXPIRES_AT, Item, Key, NAME, PK, VALUE, WRITE, number, number_in, text, text_of,
};
use super::keys::{CLAIMS, named};
use super::leases::forgotten_at;
use super::packing::{Packed, unpack};
use super::read::{Range, Walk};
use super::write::{Change, Written};

/// A claim that is given up or expires just when it is looked at is tried for so often.
const MOST_ROUNDS: u32 = 16;
/// A page of the list looks at no more than this.
const MOST_OF_A_PAGE: usize = 1_000;

fn key_of(name: &str) -> Key {
    Key::new(CLAIMS, named(name))
}

impl Dynamo {
    pub(super) async fn claim_key(
        &self,
        name: &str,
        value: &str,
        now: Timestamp,
        expires_at: Option<Timestamp>,
    ) -> Result<Option<String>> {
        const OPERATION: &str = "claim a key";
        let packed = Packed::of(value.to_owned())?;
        if !packed.fits() {
            let why = "the value is longer than an item of DynamoDB can hold, also compressed";
            return Err(Error::new(ErrorKind::TooLarge, OPERATION, why));
        }
        for _round in 0..MOST_ROUNDS {
            let change = claim_change(name, packed.clone(), now, expires_at);
            match self.update(OPERATION, &key_of(name), change, ReturnValue::None).await? {
                Written::Done(_) | Written::DoneBefore(_) => return Ok(None),
                Written::Refused(Some(item)) if is_live(&item, now) => return value_of(&item).map(Some),
                Written::Refused(_) => {}
            }
        }
        Err(Self::crowded(OPERATION))
    }

    pub(super) async fn claimed_key(&self, name: &str, now: Timestamp) -> Result<Option<String>> {
        let item = self.get("read a claim", &key_of(name)).await?;
        item.filter(|item| is_live(item, now)).map(|item| value_of(&item)).transpose()
    }

    pub(super) async fn release_key(&self, name: &str, value: &str) -> Result<()> {
        const OPERATION: &str = "release a key";
        let key = key_of(name);
        let Some(item) = self.get(OPERATION, &key).await? else { return Ok(()) };
        if value_of(&item)? != value {
            return Ok(());
        }
        // By the write that was read: nobody compares what was compressed.
        let change = Change::default().when_equal(WRITE, text(text_of(&item, WRITE)?));
        self.remove(OPERATION, &key, change).await.map(|_removed| ())
    }

    pub(super) async fn list_claims(&self, after: Option<&str>, limit: usize) -> Result<Vec<Claim>> {
        const OPERATION: &str = "list claims";
        // Every key begins with "=".
        let range = Range::After(after.map_or_else(|| " ".to_owned(), named));
        let walk = Walk { page: Some(limit.min(MOST_OF_A_PAGE)), ..Walk::table(CLAIMS, range) };
        let (mut found, mut from) = (Vec::new(), None);
        while found.len() < limit {
            let page = self.page(OPERATION, &walk, from).await?;
            for item in &page.items {
                found.push(claim_of(item)?);
            }
            from = page.next;
            if from.is_none() {
                break;
            }
        }
        found.truncate(limit);
        Ok(found)
    }
}

fn claim_of(item: &Item) -> Result<Claim> {
    let expires_at = number_in::<i64>(item, EXPIRES_AT).map(Timestamp::from_millisecond).transpose();
    let expires_at = expires_at.map_err(|error| Error::internal("read a claim", error))?;
    Ok(Claim { key: text_of(item, NAME)?.to_owned(), value: value_of(item)?, expires_at })
}

fn claim_change(name: &str, value: Packed, now: Timestamp, expires_at: Option<Timestamp>) -> Change {
    let mut change = Change::default();
    let (pk, expiry) = (change.name(PK), change.name(EXPIRES_AT));
    let now = change.value(number(now.as_millisecond()));
    change
        .when(format!("(attribute_not_exists({pk}) OR {expiry} <= {now})"))
        .set(NAME, text(name))
        .set(VALUE, value.into_attribute())
        .put(EXPIRES_AT, expires_at.map(|at| number(at.as_millisecond())))
        .put(EXPIRES, expires_at.map(|at| number(forgotten_at(at))))
}

/// A claim without an expiry lives until it is released.
fn is_live(item: &Item, now: Timestamp) -> bool {
    number_in::<i64>(item, EXPIRES_AT).is_none_or(|expiry| expiry > now.as_millisecond())
}

fn value_of(item: &Item) -> Result<String> {
    item.get(VALUE).map(unpack).transpose().map(Option::unwrap_or_default)
}
