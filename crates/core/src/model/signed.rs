//! Records in storage that carry this installation's signature: readable JSON whose last member is an HMAC
//! over the same bytes with that HMAC's digits replaced by zeros.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::keyring::MasterKey;
use crate::{Error, ErrorKind, Result};

/// The key of the last member.
const HMAC_MEMBER: &str = "\"hmac_sha256\": \"";
/// An HMAC-SHA256 in hex.
const HMAC_DIGITS: usize = 64;

#[derive(Serialize, Deserialize)]
struct Stored<M> {
    #[serde(flatten)]
    record: M,
    hmac_sha256: String,
}

/// The bytes to store.
pub(super) fn encode(record: &impl Serialize, key: &MasterKey) -> Result<Vec<u8>> {
    let stored = Stored { record, hmac_sha256: "0".repeat(HMAC_DIGITS) };
    let mut text =
        serde_json::to_string_pretty(&stored).map_err(|error| Error::internal("write a manifest", error))?;
    let digits = hmac_digits(&text)?;
    let hmac = hex::encode(key.sign(text.as_bytes()));
    text.replace_range(digits, &hmac);
    text.push('\n');
    Ok(text.into_bytes())
}

/// Reads stored bytes, and says what `verify` says of the signed text and its HMAC.
pub(super) fn decode<M: DeserializeOwned>(
    bytes: &[u8],
    verify: impl FnOnce(&[u8], &[u8]) -> bool,
) -> Result<(M, bool)> {
    let text = std::str::from_utf8(bytes).map_err(|_| corrupt("it is not UTF-8"))?.trim_end();
    let digits = hmac_digits(text)?;
    let hmac = hex::decode(&text[digits.clone()]).map_err(|_| corrupt("its HMAC is not hex"))?;
    let mut unsigned = text.to_owned();
    unsigned.replace_range(digits, &"0".repeat(HMAC_DIGITS));
    let ours = verify(unsigned.as_bytes(), &hmac);
    let stored: Stored<M> =
        serde_json::from_str(text).map_err(|error| corrupt(&format!("it cannot be read: {error}")))?;
    Ok((stored.record, ours))
}

fn hmac_digits(text: &str) -> Result<std::ops::Range<usize>> {
    let start =
        text.rfind(HMAC_MEMBER).ok_or_else(|| corrupt("it ends before its HMAC"))? + HMAC_MEMBER.len();
    let end = start + HMAC_DIGITS;
    let closed = text.get(start..end).is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
    if closed && text[end..].trim_end() == "\"\n}" {
        return Ok(start..end);
    }
    Err(corrupt("its HMAC is not its last member"))
}

pub(super) fn corrupt(what: &str) -> Error {
    Error::new(ErrorKind::Corrupt, "read a manifest", what)
}
