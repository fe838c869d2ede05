//! Small texts sealed to recipients, to stand inside JSON.

use std::io::Write;

use age::armor::{ArmoredWriter, Format};

use super::Recipient;
use crate::error::{Error, Result};

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
