//! Small texts sealed to recipients, to stand inside JSON.

use std::io::{Read, Write};

use age::armor::{ArmoredReader, ArmoredWriter, Format};

use super::{Identity, Recipient};
use crate::error::{Error, ErrorKind, Result};

/// A short text as an ASCII-armoured `age` file that each of the recipients can open.
///
/// # Errors
/// [`ErrorKind::Internal`](crate::ErrorKind::Internal) when there is no recipient.
pub fn armoured(recipients: &[Recipient], plain: &[u8]) -> Result<String> {
    let told = |e: &dyn std::fmt::Display| Error::internal("seal a text", e);
    let recipients = recipients.iter().map(|recipient| &recipient.0 as &dyn age::Recipient);
    let encryptor = age::Encryptor::with_recipients(recipients).map_err(|e| told(&e))?;
    let mut sealed = Vec::new();
    let armour = ArmoredWriter::wrap_output(&mut sealed, Format::AsciiArmor).map_err(|e| told(&e))?;
    let mut writer = encryptor.wrap_output(armour).map_err(|e| told(&e))?;
    writer.write_all(plain).map_err(|e| told(&e))?;
    writer.finish().and_then(ArmoredWriter::finish).map_err(|e| told(&e))?;
    String::from_utf8(sealed).map_err(|e| told(&e))
}

/// The text that [`armoured`] sealed.
///
/// # Errors
/// `Denied` when none of the identities opens it, `Corrupt` when it is damaged.
pub fn dearmoured(identities: &[Identity], text: &str) -> Result<Vec<u8>> {
    let damaged = |e: &dyn std::fmt::Display| Error::new(ErrorKind::Corrupt, "open a text", e.to_string());
    let decryptor = age::Decryptor::new(ArmoredReader::new(text.as_bytes())).map_err(|e| damaged(&e))?;
    let keys = identities.iter().map(|identity| &identity.0 as &dyn age::Identity);
    let mut reader = match decryptor.decrypt(keys) {
        Err(age::DecryptError::NoMatchingKeys) => {
            return Err(Error::new(ErrorKind::Denied, "open a text", "no age identity here opens it"));
        }
        opened => opened.map_err(|e| damaged(&e))?,
    };
    let mut plain = Vec::new();
    reader.read_to_end(&mut plain).map_err(|e| damaged(&e))?;
    Ok(plain)
}
