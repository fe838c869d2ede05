//! Artifact names: `{engine}_{dbname}_{YYYYMMDD}_{HHMMSS}` in UTC, and the honest extension.

use std::fmt::Write;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::backup::{Backup, BackupKind};
use super::database::{DumpFormat, EngineKind};
use super::package::PackageFormat;
use crate::seal::Compression;

/// File systems refuse names beyond 255 bytes; this leaves room for time, suffix and extensions.
const LONGEST_COMPONENT: usize = 120;

/// A database's name made fit for a file name and an object key: letters, digits, `-`, `_` and `.`
/// stay, a leading `.` or `-` does not, and every other character becomes `_`.
///
/// Two names may become one; the catalog makes the artifact's whole name unique.
pub fn safe_component(text: &str) -> String {
    let mut safe = String::new();
    for character in text.chars() {
        if safe.len() + character.len_utf8() > LONGEST_COMPONENT {
            break;
        }
        let keep = character.is_alphanumeric() || matches!(character, '_' | '.' | '-');
        let leading = safe.is_empty() && matches!(character, '.' | '-');
        safe.push(if keep && !leading { character } else { '_' });
    }
    if safe.is_empty() { "_".to_owned() } else { safe }
}

/// The name without extension.
pub fn artifact_stem(backup: &Backup, started: Timestamp) -> String {
    let prefix = if backup.kind == BackupKind::Safety { "safety_" } else { "" };
    let time = started.to_zoned(TimeZone::UTC).strftime("%Y%m%d_%H%M%S");
    format!("{prefix}{}_{}_{time}", backup.engine, safe_component(&backup.database_name))
}

/// What the bytes are, outermost last: `.sql.gz`, `.dump.zst`, `.db.gz.age`.
pub fn artifact_extension(backup: &Backup) -> String {
    let mut extension = match (backup.engine, backup.format) {
        (EngineKind::Postgres, DumpFormat::Custom) => "dump",
        (EngineKind::Sqlite, _) => "db",
        (EngineKind::Mongodb, _) => "archive",
        (EngineKind::Neo4j, _) => "cypher",
        (EngineKind::Oracle, _) => "dmp",
        _ => "sql",
    }
    .to_owned();
    match backup.compression {
        Compression::Gzip => extension.push_str(".gz"),
        Compression::Zstd => extension.push_str(".zst"),
        Compression::None => {}
    }
    if !backup.encryption.is_empty() {
        extension.push_str(".age");
    }
    extension
}

/// The name of a package's archive; `nth` as in [`artifact_name`].
pub fn package_name(format: PackageFormat, started: Timestamp, nth: u32) -> String {
    let time = started.to_zoned(TimeZone::UTC).strftime("%Y%m%d_%H%M%S");
    let namesake = if nth > 1 { format!("-{nth}") } else { String::new() };
    format!("package_{time}{namesake}.{format}")
}

/// The whole name; `nth` is 1 for the first try and grows while the catalog already knows the name.
pub fn artifact_name(backup: &Backup, started: Timestamp, nth: u32) -> String {
    let mut name = artifact_stem(backup, started);
    if nth > 1 {
        let _infallible = write!(name, "-{nth}");
    }
    format!("{name}.{}", artifact_extension(backup))
}
