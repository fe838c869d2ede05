//! Watching a dump go by.

use crate::error::Result;
use crate::fingerprint::Fingerprint;
use crate::model::Consistency;

/// Watches a dump's raw bytes as they stream past: is it whole, and what is in it?
///
/// The bytes may be cut anywhere. An observer's memory is bounded by the number of tables, never by
/// the size of a row or of the dump. It never panics, whatever it is fed.
pub trait Observer: Send {
    /// Takes the next bytes.
    ///
    /// Err means that these bytes can no dump of this engine hold; from then on every call answers
    /// the same error.
    fn feed(&mut self, bytes: &[u8]) -> Result<()>;

    /// The end of the stream: Err of kind [`Incomplete`](crate::ErrorKind::Incomplete) unless the
    /// engine's completeness rule held.
    fn finish(self: Box<Self>) -> Result<Observed>;
}

/// What a whole dump turned out to hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observed {
    /// Rows and hash of every table whose data the dump holds, empty tables included.
    pub fingerprint: Fingerprint,
    /// The server's version as the dump's header tells it, such as `15.18 (Debian 15.18-0+deb12u1)`.
    pub server_version: Option<String>,
    /// The dump tool's version, told by the header in the same way.
    pub tool_version: Option<String>,
    /// What the dump saw of its source while others wrote, where the engine knows.
    pub consistency: Option<Consistency>,
}
