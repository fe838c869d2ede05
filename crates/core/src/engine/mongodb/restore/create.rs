//! Making collections and views as a dump describes them.

use bson::raw::{CStr, RawBsonRef, RawDocument, RawDocumentBuf, cstr};

use crate::engine::mongodb::connect::Session;
use crate::engine::wording::one_line;
use crate::{Error, ErrorKind, Result};

/// What servers tell of a collection and do not take back: `_id` is always indexed today, and whether record ids
/// are replicated is the server's own affair.
const NOT_TAKEN: [&str; 3] = ["autoIndexId", "recordIdsReplicated", "temp"];
/// What has the server delete documents of an index, a time series or a clustered collection.
pub(super) const EXPIRES: &str = "expireAfterSeconds";

/// Makes a collection, a view or a time series, whose documents `expire` where they did, or do not.
pub(super) async fn collection(
    session: &Session<'_>,
    name: &str,
    options: &RawDocument,
    expire: bool,
) -> Result<()> {
    let mut command = RawDocumentBuf::new();
    command.append(cstr!("create"), name);
    copy(options, &mut command, |key| !NOT_TAKEN.contains(&key) && (expire || key != EXPIRES))?;
    let made = session.run_raw(&format!("make {}", one_line(name)), command).await;
    made.map(drop).map_err(|e| match e.kind() {
        ErrorKind::Internal => {
            e.with_mend("see whether this server's version takes the collection's options")
        }
        _ => e,
    })
}

/// Appends fields as they are, byte for byte.
pub(super) fn copy(from: &RawDocument, to: &mut RawDocumentBuf, keep: impl Fn(&str) -> bool) -> Result<()> {
    for field in from {
        let (key, value) = field.map_err(|e| unreadable(&e))?;
        if keep(key.as_str()) {
            append(to, key, value);
        }
    }
    Ok(())
}

fn append(to: &mut RawDocumentBuf, key: &CStr, value: RawBsonRef<'_>) {
    to.append(key, value);
}

pub(super) fn unreadable(error: &bson::error::Error) -> Error {
    Error::new(ErrorKind::Corrupt, "load the dump", format!("a collection's options cannot be read: {error}"))
}
