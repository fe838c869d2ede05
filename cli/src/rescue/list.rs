//! `respaldo rescue list`: a line for each backup, while they are found.

use std::io::{BufWriter, Write, stdout};

use respaldo_core::rescue::Rescue;
use respaldo_core::rescue::list::{Line, Totals};
use respaldo_core::{Error, ErrorKind, Result};
use serde_json::json;

use super::shown;

pub(super) async fn run(rescue: &Rescue, as_json: bool) -> Result<()> {
    let mut out = BufWriter::new(stdout());
    if as_json {
        json(rescue, &mut out).await?;
    } else {
        text(rescue, &mut out).await?;
    }
    out.flush().map_err(|e| unwritable(&e))
}

/// One object, written while it grows: `backups`, then `totals`.
async fn json(rescue: &Rescue, out: &mut (impl Write + Send)) -> Result<()> {
    let mut separator = "{\"backups\":[\n";
    let totals = rescue
        .list(&mut |line| {
            let line = serde_json::to_string(&line).map_err(|e| Error::internal("list backups", e))?;
            write!(out, "{separator}{line}").map_err(|e| unwritable(&e))?;
            separator = ",\n";
            Ok(())
        })
        .await?;
    refuse_nothing(rescue, &totals).await?;
    let begun = if separator == ",\n" { "" } else { separator };
    let totals = json!(totals);
    writeln!(out, "{begun}\n],\"totals\":{totals}}}").map_err(|e| unwritable(&e))
}

async fn text(rescue: &Rescue, out: &mut (impl Write + Send)) -> Result<()> {
    let mut database = None;
    let totals = rescue
        .list(&mut |line| {
            let mut heading = String::new();
            if database != Some(line.database_uid) {
                database = Some(line.database_uid);
                let name = line.database.as_deref().map_or("(unknown)".to_owned(), shown);
                heading = format!("{name} (database {})\n", line.database_uid);
            }
            writeln!(out, "{heading}  {}", row(&line)).map_err(|e| unwritable(&e))
        })
        .await?;
    refuse_nothing(rescue, &totals).await?;
    for reason in &totals.damaged_definitions {
        writeln!(out, "damaged definition: {}", shown(reason)).map_err(|e| unwritable(&e))?;
    }
    writeln!(out, "{}", summary(rescue, &totals)).map_err(|e| unwritable(&e))
}

/// Of storage that holds nothing it is asked whether it is there at all.
async fn refuse_nothing(rescue: &Rescue, totals: &Totals) -> Result<()> {
    if *totals == Totals::default() { rescue.storage.check().await } else { Ok(()) }
}

fn row(line: &Line) -> String {
    let mut row = line.id.to_string();
    let Some(name) = &line.name else {
        let reason = line.reason.as_deref().unwrap_or("no reason known");
        return format!("{row}  damaged: {}", shown(reason));
    };
    let at = line.created_at.map(|at| at.to_string()).unwrap_or_default();
    let kind = line.kind.map_or("", respaldo_core::model::BackupKind::as_str);
    let sealed = if line.encrypted == Some(true) { "encrypted" } else { "clear" };
    let size = line.size_bytes.unwrap_or_default();
    let state = match &line.reason {
        None => "whole".to_owned(),
        Some(reason) => format!("damaged: {}", shown(reason)),
    };
    let signature = line.signature.unwrap_or_default();
    row += &format!(
        "  {at:24}  {kind:9}  {size:>14}  {sealed:9}  signature {signature:11}  {}  {state}",
        shown(name)
    );
    for note in &line.notes {
        row += &format!("\n    beside it, {}", shown(note));
    }
    row
}

fn summary(rescue: &Rescue, totals: &Totals) -> String {
    let Totals { databases, whole, size_bytes, foreign, damaged, litter, unknown, .. } = totals;
    let mut summary = format!(
        "{whole} whole backups ({size_bytes} bytes) of {databases} databases in {}; {damaged} damaged, {foreign} signed \
         by another key; {litter} attempts that never ended or were superseded, {unknown} objects that are not \
         Respaldo's",
        rescue.storage.location()
    );
    if rescue.key.is_none() {
        summary += "\nsignatures were not checked: set RESPALDO_MASTER_KEY (or _FILE)";
    }
    summary
}

fn unwritable(e: &std::io::Error) -> Error {
    Error::new(ErrorKind::Storage, "print the list", e.to_string())
}
