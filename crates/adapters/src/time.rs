//! The system's clock, and ids and nonces from the system's random numbers.
#![expect(clippy::disallowed_methods, reason = "this is the place that reads the system's clock")]

use jiff::Timestamp;
use rand::Rng as _;
use respaldo_core::ports::{Clock, Ids};
use ulid::Ulid;

/// The system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let now = Timestamp::now();
        // Whole milliseconds; a clock within jiff's range stays within it.
        Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
    }
}

/// Ids and nonces from a generator that the system seeds.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemIds;

impl Ids for SystemIds {
    fn ulid(&self, at: Timestamp) -> Ulid {
        let mut random = [0; 16];
        self.random(&mut random);
        Ulid::from_parts(u64::try_from(at.as_millisecond()).unwrap_or(0), u128::from_be_bytes(random))
    }

    fn random(&self, bytes: &mut [u8]) {
        rand::rng().fill_bytes(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_tells_whole_milliseconds() {
        assert_eq!(SystemClock.now().as_nanosecond() % 1_000_000, 0);
    }

    #[test]
    fn an_id_holds_its_instant_and_never_comes_twice() {
        let at = Timestamp::from_millisecond(1_700_000_000_123).unwrap();
        let (one, other) = (SystemIds.ulid(at), SystemIds.ulid(at));
        assert_eq!(one.timestamp_ms(), 1_700_000_000_123);
        assert_ne!(one, other);
    }
}
