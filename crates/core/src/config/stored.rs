//! The settings of an installation in its catalog, for hosts that have no file: Lambda functions and workers.
//!
//! What is kept is the file as it was applied last, without its databases (they are records of their own)
//! and without `catalog` and `storage` (a host is told where they are before it can read this). It is sealed
//! under the master key, so that whoever reads the catalog does not learn the installation's hosts and
//! folders, and whoever writes into it cannot loosen them.

use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::{Build, Config, place, sections, yaml};
use crate::app::App;
use crate::keyring::{MasterKey, SealedSecret};
use crate::ports::{Catalog, Document};
use crate::{Error, ErrorKind, Result};

/// The name of the document.
pub const NAME: &str = "settings";
const FORMAT: &str = "respaldo settings";
/// Raised when older versions could misread what is written.
const VERSION: u32 = 1;
const BOUND_TO: &str = "documents/settings";
/// What errors call the document where they would name a file.
const CALLED: &str = "settings of the catalog";
/// What does not belong to the settings that are kept.
const LEFT_OUT: [&str; 3] = ["databases", "catalog", "storage"];
const READ: &str = "read the settings of the catalog";
const APPLY_AGAIN: &str = "run respaldo config apply with the file";

/// The file's sections as they are kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Sections(Map<String, Value>);

/// What writing the sections would do, or did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// There were none yet.
    New,
    /// These sections differ from what was kept.
    Changed(Vec<String>),
    /// Nothing differs.
    Unchanged {
        /// When they were written.
        written_at: Timestamp,
    },
}

/// The document's text. Only `sealed` tells what is set.
#[derive(Serialize, Deserialize)]
struct Envelope {
    format: String,
    version: u32,
    written_by: String,
    written_at: Timestamp,
    /// Of the text that is sealed.
    sha256: String,
    sealed: SealedSecret,
}

impl Sections {
    /// The sections of a file that [`Config::parse_named`] accepts.
    ///
    /// # Errors
    /// `Config` as there; and where a number stands for a text that only the file can tell (`007`).
    pub fn of(file: &str, text: &str, build: impl Into<Build>) -> Result<Self> {
        let build = build.into();
        let config = Config::parse_named(file, text, build)?;
        let root = yaml::load(file, text)?;
        let mut fields = match root.value.to_json() {
            Some(Value::Object(fields)) => fields,
            Some(Value::Null) => Map::new(),
            _ => return Err(unclear(file)),
        };
        fields.retain(|name, _| !LEFT_OUT.contains(&name.as_str()));
        let kept = Self(fields);
        let again = kept.config(build)?;
        let expected = Config { databases: Vec::new(), catalog: None, storage: None, ..config };
        if again == expected { Ok(kept) } else { Err(unclear(file)) }
    }

    /// Gives a field of `global` a value where the file does not: for what comes from the environment.
    #[must_use]
    pub fn with_default(mut self, field: &str, value: &Value) -> Self {
        let global = self.0.entry("global").or_insert_with(|| Value::Object(Map::new()));
        if global.is_null() {
            *global = Value::Object(Map::new());
        }
        if let Value::Object(global) = global {
            global.entry(field).or_insert_with(|| value.clone());
        }
        self
    }

    /// As a configuration without databases. It must never be applied: every database of the catalog would
    /// seem to have left the file.
    ///
    /// # Errors
    /// `Config`, when this version does not know what they hold.
    pub fn config(&self, build: impl Into<Build>) -> Result<Config> {
        let text = self.text();
        let root = yaml::load(CALLED, &text)?;
        sections::read(&place::Place::root(CALLED, &text, &root), build.into())
    }

    fn text(&self) -> String {
        Value::Object(self.0.clone()).to_string()
    }

    /// What differs from other sections, by name.
    fn differing(&self, other: &Self) -> Vec<String> {
        let mut names: Vec<_> = self.0.keys().chain(other.0.keys()).cloned().collect();
        names.sort();
        names.dedup();
        names.retain(|name| self.0.get(name) != other.0.get(name));
        names
    }
}

/// The settings that were applied last; none where nobody has applied any.
///
/// # Errors
/// `Config` for another master key, or for what a newer version wrote; `Corrupt` for damage.
pub async fn read(catalog: &dyn Catalog, key: &MasterKey, build: impl Into<Build>) -> Result<Option<Config>> {
    let build = build.into();
    let Some(document) = catalog.document(NAME).await? else { return Ok(None) };
    let (sections, envelope) = open(&document, key)?;
    let config = sections.config(build).map_err(|error| {
        let mend = format!(
            "they were applied by Respaldo {}: run this version or a newer one, or {APPLY_AGAIN}",
            envelope.written_by
        );
        error.with_mend(mend)
    })?;
    Ok(Some(config))
}

/// What [`write()`] would do.
///
/// # Errors
/// As [`read`].
pub async fn compare(catalog: &dyn Catalog, key: &MasterKey, sections: &Sections) -> Result<Change> {
    let document = catalog.document(NAME).await?;
    document.map_or(Ok(Change::New), |document| change(&document, key, sections))
}

/// Keeps the sections as the installation's settings, unless they are kept already.
///
/// # Errors
/// As [`read`], and `Conflict` when somebody else writes them at the same time.
pub async fn write(app: &App, sections: &Sections) -> Result<Change> {
    let document = app.catalog.document(NAME).await?;
    let change = match &document {
        None => Change::New,
        Some(document) => change(document, &app.key, sections)?,
    };
    if matches!(change, Change::Unchanged { .. }) {
        return Ok(change);
    }
    let text = seal(app, sections)?;
    let revision = document.map_or(0, |document| document.revision);
    app.catalog.put_document(NAME, &text, revision).await.map_err(|error| match error.kind() {
        ErrorKind::Conflict => {
            Error::conflict("apply the config", "somebody else applies settings at the same time")
                .with_retryable(true)
                .with_mend("look at both files, and apply the one that counts")
        }
        _ => error,
    })?;
    Ok(change)
}

fn change(document: &Document, key: &MasterKey, sections: &Sections) -> Result<Change> {
    let (kept, envelope) = open(document, key)?;
    Ok(match sections.differing(&kept) {
        none if none.is_empty() => Change::Unchanged { written_at: envelope.written_at },
        names => Change::Changed(names),
    })
}

fn seal(app: &App, sections: &Sections) -> Result<String> {
    let text = sections.text();
    let mut nonce = [0; 24];
    app.ids.random(&mut nonce);
    let envelope = Envelope {
        format: FORMAT.to_owned(),
        version: VERSION,
        written_by: env!("CARGO_PKG_VERSION").to_owned(),
        written_at: app.now(),
        sha256: hex::encode(Sha256::digest(text.as_bytes())),
        sealed: app.key.seal_secret(BOUND_TO, &SecretString::from(text), nonce)?,
    };
    serde_json::to_string(&envelope).map_err(|error| Error::internal("write the settings", error))
}

/// What the head of every version says.
#[derive(Deserialize)]
struct Head {
    format: String,
    version: u32,
    written_by: String,
}

fn open(document: &Document, key: &MasterKey) -> Result<(Sections, Envelope)> {
    let damaged =
        || Error::new(ErrorKind::Corrupt, READ, "they are not what Respaldo writes").with_mend(APPLY_AGAIN);
    let head: Head = serde_json::from_str(&document.text).map_err(|_| damaged())?;
    if head.format != FORMAT {
        return Err(damaged());
    }
    if head.version > VERSION {
        let why = format!("they were applied by a newer Respaldo ({})", head.written_by);
        return Err(Error::new(ErrorKind::Config, READ, why).with_mend("run that version or a newer one"));
    }
    let envelope: Envelope = serde_json::from_str(&document.text).map_err(|_| damaged())?;
    let text = key.open_secret(BOUND_TO, &envelope.sealed).map_err(|error| match error.kind() {
        ErrorKind::Config => Error::new(ErrorKind::Config, READ, "they were sealed under another master key")
            .with_field("RESPALDO_MASTER_KEY")
            .with_mend("give the master key that this catalog was made with"),
        _ => damaged(),
    })?;
    let fields = serde_json::from_str(text.expose_secret()).map_err(|_| damaged())?;
    Ok((Sections(fields), envelope))
}

fn unclear(file: &str) -> Error {
    let why = "a number stands where a text is meant, and would be kept as another one";
    Error::new(ErrorKind::Config, file, why).with_mend("put it in quotes")
}
