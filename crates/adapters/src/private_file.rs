//! Files that hold a key: nobody but their owner may read them.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use respaldo_core::{Error, ErrorKind, Result};
use zeroize::Zeroizing;

const OTHERS: u32 = 0o077;

/// The text of a file of at most `longest` bytes; none when it is not there. `field` is the setting that
/// refusals name.
///
/// # Errors
/// `Config` when others can read it, when it is no such file, or when it cannot be read.
pub(crate) fn read(field: &str, file: &Path, longest: u64) -> Result<Option<Zeroizing<String>>> {
    let unusable = |error: &io::Error| refused(field, format!("{}: {error}", file.display()));
    let metadata = match fs::metadata(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        metadata => metadata.map_err(|error| unusable(&error))?,
    };
    if !metadata.is_file() || metadata.len() > longest {
        return Err(refused(field, format!("{} is not the file of a key", file.display())));
    }
    if metadata.mode() & OTHERS != 0 {
        let why = format!("{} can be read by others (mode {:03o})", file.display(), metadata.mode() & 0o777);
        return Err(refused(field, why).with_mend(format!("chmod 600 {}", file.display())));
    }
    fs::read_to_string(file).map(|text| Some(Zeroizing::new(text))).map_err(|error| unusable(&error))
}

/// Why a key's file cannot be used.
pub(crate) fn refused(field: &str, why: impl Into<String>) -> Error {
    Error::new(ErrorKind::Config, "read a key", why).with_field(field)
}
