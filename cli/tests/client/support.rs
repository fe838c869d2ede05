//! A server with small SQLite databases, the command line, and what it says.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use respaldo_testkit::host::command;
use respaldo_testkit::respaldo::Respaldo;
use respaldo_testkit::sqlite;
use serde_json::Value;
use tempfile::TempDir;

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_respaldo");
/// Two databases of the file; the second has no schedule.
const CONFIG: &str = "\
databases:
  - {id: shop, name: The shop, engine: sqlite, database_name: data/shop.db, schedule: '0 3 * * *', retention_days: 30}
  - {id: notes, name: Notes, engine: sqlite, database_name: data/notes.db}
";
/// An id that nothing has.
pub(crate) const NOBODY: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAV";

/// A running server.
pub(crate) struct Scene {
    pub(crate) folder: TempDir,
    pub(crate) respaldo: Respaldo,
}

impl Scene {
    pub(crate) async fn new() -> Self {
        Self::with(&[]).await
    }

    /// With these variables set for the server.
    pub(crate) async fn with(variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("data")).unwrap();
        for name in ["shop", "notes"] {
            sqlite::sample(&folder.path().join(format!("data/{name}.db")));
        }
        let respaldo = Respaldo::new(BINARY, folder.path(), CONFIG);
        let respaldo = variables.iter().fold(respaldo, |respaldo, (name, value)| respaldo.env(name, value));
        Self { respaldo: respaldo.start().await, folder }
    }

    /// The command line, which finds the server by its environment.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = cli(arguments);
        command.env("RESPALDO_URL", self.respaldo.url("")).current_dir(self.folder.path());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Said {
        Said::of(self.command(arguments).output().unwrap())
    }

    /// Runs it and expects success.
    pub(crate) fn done(&self, arguments: &[&str]) -> Said {
        let said = self.run(arguments);
        assert_eq!(said.code, Some(0), "{arguments:?}: {said:?}");
        said
    }

    /// Makes a backup by the command line; answers its record.
    pub(crate) fn back_up(&self, database: &str) -> Value {
        self.done(&["backup", database, "--json", "--quiet"]).json()
    }

    /// The files that backups are stored in.
    pub(crate) fn artifacts(&self) -> Vec<PathBuf> {
        fn files(folder: &std::path::Path) -> Vec<PathBuf> {
            let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
            entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
        }
        let mut found = files(&self.folder.path().join("data/backups/backups"));
        found.retain(|file| file.extension().is_some_and(|end| end == "gz"));
        found
    }
}

/// Locks the second database, so that its dump goes on until this is dropped.
pub(crate) fn lock(scene: &Scene) -> rusqlite::Connection {
    let connection = sqlite::open(&scene.folder.path().join("data/notes.db"));
    connection.execute_batch("PRAGMA journal_mode = DELETE; BEGIN EXCLUSIVE").unwrap();
    connection
}

/// The command line without any setting.
pub(crate) fn cli(arguments: &[&str]) -> Command {
    let mut command = command(BINARY);
    command.args(arguments).stdin(Stdio::null());
    command
}

/// What a command said, and how it ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    pub(crate) fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// Standard output as the one JSON document that it must be.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Standard error as a problem.
    pub(crate) fn problem(&self) -> Value {
        serde_json::from_str(&self.err).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// What differs from run to run, replaced: ids, times, spans, names with times, digests, folders, ports.
pub(crate) fn stable(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(stable).collect(),
        Value::Object(fields) => {
            fields.iter().map(|(field, value)| (field.clone(), stable_field(field, value))).collect()
        }
        value => value.clone(),
    }
}

fn stable_field(field: &str, value: &Value) -> Value {
    match (field, value) {
        (_, Value::Null) => Value::Null,
        ("name" | "location" | "file", Value::String(text)) => {
            // Only artifacts have a time in their name.
            if text.contains("sqlite_") || text.contains("package_") {
                "[name]".into()
            } else {
                value.clone()
            }
        }
        (
            "id" | "backup_id" | "of" | "safety_backup_id" | "undo" | "confirm" | "undone_by" | "md5"
            | "sha256",
            Value::String(_),
        ) => format!("[{field}]").into(),
        ("duration_seconds", Value::Number(_)) => "[seconds]".into(),
        ("size_bytes" | "raw_bytes" | "stored_bytes", Value::Number(number)) if number.as_u64() > Some(0) => {
            "[bytes]".into()
        }
        ("at", Value::String(_)) => "[time]".into(),
        (field, Value::String(_)) if field.ends_with("_at") => "[time]".into(),
        _ => stable(value),
    }
}

/// Human output with ids, times, sizes and spans replaced by as many characters of one kind.
pub(crate) fn masked(text: &str) -> String {
    let mut lines = Vec::new();
    for line in text.lines() {
        let words = line.split(' ').map(|word| {
            let core = word.trim_end_matches([',', ':']);
            let tail = &word[core.len()..];
            let is_id =
                core.len() == 26 && core.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
            let is_digest = matches!(core.len(), 32 | 64) && core.bytes().all(|b| b.is_ascii_hexdigit());
            let is_day = core.len() == 10 && core.as_bytes()[4] == b'-' && core.starts_with("20");
            let is_time = core.len() == 9 && core.ends_with('Z') && core.as_bytes()[2] == b':';
            let is_number = core.parse::<f64>().is_ok() && core.contains('.');
            let is_name = core.contains("sqlite_") || core.contains("package_");
            match () {
                () if is_id => format!("{}{tail}", "I".repeat(26)),
                () if is_digest => format!("{}{tail}", "d".repeat(core.len())),
                () if is_day => format!("YYYY-MM-DD{tail}"),
                () if is_time => format!("HH:MM:SSZ{tail}"),
                () if is_number => format!("{}{tail}", "9".repeat(core.len().min(3))),
                () if is_name => format!("[name]{tail}"),
                () => word.to_owned(),
            }
        });
        let line = words.collect::<Vec<_>>().join(" ");
        // How wide a column is follows from values that differ from run to run.
        let columns = line.split("  ").map(str::trim).filter(|column| !column.is_empty());
        lines.push(columns.collect::<Vec<_>>().join("  "));
    }
    lines.join("\n")
}
