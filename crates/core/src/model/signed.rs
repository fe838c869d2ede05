//! Documents that storage keeps and that carry a signature: readable JSON whose last member is an HMAC over the
//! same bytes with that HMAC's digits replaced by zeros.

use std::ops::Range;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::keyring::MasterKey;
use crate::{Error, ErrorKind, Result};

/// The key of the last member.
const MEMBER: &str = "\"hmac_sha256\": \"";
/// An HMAC-SHA256 in hex.
const DIGITS: usize = 64;

#[derive(Serialize, Deserialize)]
struct Stored<T> {
    #[serde(flatten)]
    document: T,
    hmac_sha256: String,
}

/// A kind of signed document, by its name in messages.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kind(pub(crate) &'static str);

impl Kind {
    /// The bytes to store.
    pub(crate) fn encode<T: Serialize>(self, document: &T, key: &MasterKey) -> Result<Vec<u8>> {
        let stored = Stored { document, hmac_sha256: "0".repeat(DIGITS) };
        let mut text = serde_json::to_string_pretty(&stored)
            .map_err(|error| Error::internal(format!("write a {}", self.0), error))?;
        let digits = self.digits(&text)?;
        let hmac = hex::encode(key.sign(text.as_bytes()));
        text.replace_range(digits, &hmac);
        text.push('\n');
        Ok(text.into_bytes())
    }

    /// Reads what is stored and says whether its HMAC is ours.
    pub(crate) fn decode<T: DeserializeOwned>(self, bytes: &[u8], key: &MasterKey) -> Result<(T, bool)> {
        self.read(bytes, |text, hmac| key.verify(text, hmac))
    }

    /// Reads what is stored without asking whose it is: for whoever has no key.
    pub(crate) fn decode_unchecked<T: DeserializeOwned>(self, bytes: &[u8]) -> Result<T> {
        self.read(bytes, |_, _| false).map(|(document, _)| document)
    }

    fn read<T: DeserializeOwned>(
        self,
        bytes: &[u8],
        verify: impl FnOnce(&[u8], &[u8]) -> bool,
    ) -> Result<(T, bool)> {
        let text = std::str::from_utf8(bytes).map_err(|_| self.corrupt("it is not UTF-8"))?.trim_end();
        let digits = self.digits(text)?;
        let hmac = hex::decode(&text[digits.clone()]).map_err(|_| self.corrupt("its HMAC is not hex"))?;
        let mut unsigned = text.to_owned();
        unsigned.replace_range(digits, &"0".repeat(DIGITS));
        let ours = verify(unsigned.as_bytes(), &hmac);
        let stored: Stored<T> = serde_json::from_str(text)
            .map_err(|error| self.corrupt(&format!("it cannot be read: {error}")))?;
        Ok((stored.document, ours))
    }

    fn digits(self, text: &str) -> Result<Range<usize>> {
        let start = text.rfind(MEMBER).ok_or_else(|| self.corrupt("it ends before its HMAC"))? + MEMBER.len();
        let end = start + DIGITS;
        let closed = text.get(start..end).is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
        if closed && text[end..].trim_end() == "\"\n}" {
            return Ok(start..end);
        }
        Err(self.corrupt("its HMAC is not its last member"))
    }

    /// What is stored cannot be taken at its word.
    pub(crate) fn corrupt(self, what: &str) -> Error {
        Error::new(ErrorKind::Corrupt, format!("read a {}", self.0), what)
    }
}
