//! An archive laid out as the folder that `mongodump --out` writes and `mongorestore DIR` reads.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read, Write as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use sha1::{Digest as _, Sha1};

use super::reader::{Entry, Reader};
use super::{Declared, Header, Kind};
use crate::error::{Error, ErrorKind, Result};

const OPERATION: &str = "lay an archive out";
/// What the tools tell each other of the server, since 100.12.
const PRELUDE: &str = "prelude.json";
/// So many files are open at once: an archive may mix documents of more collections than a process may open.
const OPEN_AT_ONCE: usize = 48;
/// A longer name is cut, so that the longest ending still fits into a file's name of 255 bytes.
const LONGEST: usize = 238;
/// So much of it stays, in front of `%24` and a hash of the whole.
const KEPT: usize = 208;

/// What was laid out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LaidOut {
    /// Collections, time series and views.
    pub collections: usize,
    /// Documents of all of them.
    pub documents: u64,
}

/// Lays an archive out in a folder that is there and empty: `DATABASE/COLLECTION.bson`,
/// `DATABASE/COLLECTION.metadata.json`, and `prelude.json`. Names are escaped, and cut where they are too long, as
/// `mongodump` does; none leads out of the folder.
///
/// # Errors
/// What the reader answers; `Storage` when a file cannot be written. Files that were written stay.
pub fn lay_out<R: Read>(reader: &mut Reader<R>, root: &Path) -> Result<LaidOut> {
    let mut files = Files { root: root.to_owned(), places: Vec::new(), open: BTreeMap::new() };
    files.write_new(Path::new(PRELUDE), prelude(reader.header()).as_bytes())?;
    let header = reader.header().clone();
    for declared in reader.declared() {
        files.declare(&header, declared)?;
    }
    let mut laid_out = LaidOut { collections: files.places.len(), documents: 0 };
    while let Some(entry) = reader.next()? {
        match entry {
            Entry::Document { at, bytes } => {
                files.append(at, bytes)?;
                laid_out.documents += 1;
            }
            Entry::End { at, .. } => files.close(at)?,
        }
    }
    Ok(laid_out)
}

/// The text of `prelude.json`; where the server's version is not one, the word for an unknown one.
fn prelude(header: &Header) -> String {
    let numbers = header.server_version.split(['-', '+']).next().unwrap_or_default();
    let is_version =
        numbers.split('.').count() == 3 && numbers.split('.').all(|part| part.parse::<u32>().is_ok());
    let server = if is_version { header.server_version.as_str() } else { "unknown" };
    json!({ "ServerVersion": server, "ToolVersion": header.tool_version }).to_string()
}

struct Files {
    root: PathBuf,
    /// Where the documents of each collection go, below the root.
    places: Vec<PathBuf>,
    open: BTreeMap<usize, BufWriter<File>>,
}

impl Files {
    fn declare(&mut self, header: &Header, declared: &Declared) -> Result<()> {
        let namespace = declared.namespace();
        let folder = if namespace.is_oplog() {
            PathBuf::new()
        } else {
            let folder = PathBuf::from(namespace.database());
            match fs::create_dir(self.root.join(&folder)) {
                Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(unwritable(&folder, &e)),
                _ => {}
            }
            folder
        };
        if !declared.json().is_empty() {
            let name = format!("{}.metadata.json", file_name(namespace.collection()));
            self.write_new(&folder.join(name), declared.json().as_bytes())?;
        }
        let data = header.data_namespace(declared)?;
        let place = folder.join(format!("{}.bson", file_name(data.collection())));
        // A view has a file only where it was dumped as a collection.
        if declared.kind() != Kind::View {
            self.write_new(&place, b"")?;
        }
        self.places.push(place);
        Ok(())
    }

    /// Makes a file that is not there yet: two collections never share one.
    fn write_new(&self, place: &Path, contents: &[u8]) -> Result<()> {
        let mut file = File::create_new(self.root.join(place)).map_err(|e| unwritable(place, &e))?;
        file.write_all(contents).map_err(|e| unwritable(place, &e))
    }

    fn append(&mut self, at: usize, document: &[u8]) -> Result<()> {
        let place = &self.places[at];
        if !self.open.contains_key(&at) {
            if self.open.len() == OPEN_AT_ONCE {
                for (at, mut file) in std::mem::take(&mut self.open) {
                    file.flush().map_err(|e| unwritable(&self.places[at], &e))?;
                }
            }
            let file = OpenOptions::new().append(true).create(true).open(self.root.join(place));
            self.open.insert(at, BufWriter::new(file.map_err(|e| unwritable(place, &e))?));
        }
        let written = self.open.get_mut(&at).map_or(Ok(()), |file| file.write_all(document));
        written.map_err(|e| unwritable(place, &e))
    }

    fn close(&mut self, at: usize) -> Result<()> {
        let Some(mut file) = self.open.remove(&at) else { return Ok(()) };
        file.flush().map_err(|e| unwritable(&self.places[at], &e))
    }
}

/// What `mongodump` calls the files of a collection, in front of their endings: escaped as in a query of a URL,
/// and where that is too long, its beginning with a hash of the whole.
fn file_name(collection: &str) -> String {
    // These alone it writes as they are.
    if collection.starts_with("$admin.system.") && !collection.contains('/') {
        return collection.to_owned();
    }
    let mut name = String::new();
    for byte in collection.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                name.push(char::from(byte));
            }
            b' ' => name.push('+'),
            _ => name.push_str(&format!("%{byte:02X}")),
        }
    }
    if name.len() > LONGEST {
        name.truncate(KEPT);
        name.push_str("%24");
        name.push_str(&URL_SAFE_NO_PAD.encode(Sha1::digest(collection)));
    }
    name
}

fn unwritable(place: &Path, e: &io::Error) -> Error {
    if e.kind() == io::ErrorKind::AlreadyExists {
        let message = format!("two collections of the archive would have the file {}", place.display());
        return Error::new(ErrorKind::Invalid, OPERATION, message);
    }
    Error::new(ErrorKind::Storage, OPERATION, format!("{}: {e}", place.display()))
}

#[cfg(test)]
mod tests {
    use super::file_name;

    #[test]
    fn names_are_escaped_as_in_the_query_of_a_url() {
        for (collection, expected) in [
            ("orders.2024-01_x~y", "orders.2024-01_x~y"),
            ("a/../../etc/passwd", "a%2F..%2F..%2Fetc%2Fpasswd"),
            ("50% off + more", "50%25+off+%2B+more"),
            ("ü\n\\:*\u{1}", "%C3%BC%0A%5C%3A%2A%01"),
            ("$cmd", "%24cmd"),
            ("$admin.system.users", "$admin.system.users"),
            ("$admin.system./../x", "%24admin.system.%2F..%2Fx"),
        ] {
            assert_eq!(file_name(collection), expected);
        }
    }

    #[test]
    fn a_name_that_is_too_long_for_a_file_is_cut_and_told_apart_by_a_hash() {
        assert_eq!(file_name(&"a".repeat(238)), "a".repeat(238));
        let long = file_name(&"a".repeat(239));
        // The hash of 239 times the letter a, by sha1sum.
        assert_eq!(long, format!("{}%24{}", "a".repeat(208), "_cMIV897lX9H69gojV5ddCb0Q5Q"));
        assert_eq!(long.len(), 238);
        // An escape may be cut in two: mongorestore takes the whole name from the metadata.
        let cut = file_name(&"ü".repeat(60));
        assert!(cut.starts_with("%C3%BC") && cut[205..].starts_with("C3%"), "{cut}");
        assert_ne!(file_name(&format!("{}b", "a".repeat(240))), file_name(&format!("{}c", "a".repeat(240))));
    }
}
