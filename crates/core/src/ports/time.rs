//! Time and identity, so that tests can hold both still.

use jiff::Timestamp;
use ulid::Ulid;

/// Tells the time. Timers (heartbeats, stalls) use `tokio::time`; what is *recorded* comes from here.
pub trait Clock: Send + Sync {
    /// The present instant, in whole milliseconds: what every catalog can store without loss.
    fn now(&self) -> Timestamp;
}

/// Makes identifiers.
pub trait Ids: Send + Sync {
    /// A new id whose time part is the given instant.
    fn ulid(&self, at: Timestamp) -> Ulid;

    /// Fresh random bytes, for nonces and keys.
    fn random(&self, bytes: &mut [u8]);
}
