//! The small ports, as a test holds them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use respaldo_core::Result;
use respaldo_core::model::Job;
use respaldo_core::ports::{Clock, Doorbell, Event, Events, Ids, SecretString, Secrets};
use ulid::Ulid;

use crate::host;

/// Real time, plus what the test added; or the time at which the test has stopped it.
#[derive(Debug, Default)]
pub struct TestClock {
    ahead_ms: AtomicI64,
    stopped_at_ms: Mutex<Option<i64>>,
}

impl TestClock {
    /// Moves the clock, to and fro.
    pub fn advance(&self, by: SignedDuration) {
        let ms = i64::try_from(by.as_millis()).expect("a duration of a test");
        match &mut *self.stopped() {
            Some(at) => *at += ms,
            None => drop(self.ahead_ms.fetch_add(ms, Ordering::SeqCst)),
        }
    }

    /// Stops the clock at an instant; it moves only when it is moved.
    pub fn stop_at(&self, at: Timestamp) {
        *self.stopped() = Some(at.as_millisecond());
    }

    fn stopped(&self) -> MutexGuard<'_, Option<i64>> {
        self.stopped_at_ms.lock().expect("no holder panics")
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        let running = || host::now_ms() + self.ahead_ms.load(Ordering::SeqCst);
        let ms = self.stopped().unwrap_or_else(running);
        Timestamp::from_millisecond(ms).expect("a time of this age")
    }
}

/// Ids that differ, and random bytes that do too.
#[derive(Debug, Default)]
pub struct CountingIds {
    next: AtomicU64,
}

impl Ids for CountingIds {
    fn ulid(&self, at: Timestamp) -> Ulid {
        let ms = u64::try_from(at.as_millisecond()).expect("a time after 1970");
        Ulid::from_parts(ms, u128::from(self.next.fetch_add(1, Ordering::SeqCst)))
    }

    fn random(&self, bytes: &mut [u8]) {
        let seed = self.next.fetch_add(1, Ordering::SeqCst).to_le_bytes();
        bytes.iter_mut().zip(seed.iter().cycle()).for_each(|(byte, seed)| *byte = *seed);
    }
}

/// Variables that a test sets.
#[derive(Debug, Default)]
pub struct MapSecrets {
    values: Mutex<HashMap<String, String>>,
}

impl MapSecrets {
    /// Sets a variable.
    pub fn set(&self, name: &str, value: &str) {
        self.values.lock().expect("no holder panics").insert(name.to_owned(), value.to_owned());
    }
}

#[async_trait]
impl Secrets for MapSecrets {
    async fn get(&self, name: &str) -> Result<Option<SecretString>> {
        Ok(self.values.lock().expect("no holder panics").get(name).cloned().map(SecretString::from))
    }
}

/// A doorbell that nobody hears: the test runs jobs itself.
#[derive(Debug)]
pub struct SilentDoorbell;

#[async_trait]
impl Doorbell for SilentDoorbell {
    async fn ring(&self, _job: &Job) -> Result<()> {
        Ok(())
    }
}

/// Keeps every event.
#[derive(Debug, Default)]
pub struct RecordedEvents {
    events: Mutex<Vec<Event>>,
}

impl RecordedEvents {
    /// The events so far.
    pub fn all(&self) -> Vec<Event> {
        self.events.lock().expect("no holder panics").clone()
    }
}

#[async_trait]
impl Events for RecordedEvents {
    async fn publish(&self, event: Event) -> Result<()> {
        self.events.lock().expect("no holder panics").push(event);
        Ok(())
    }
}
