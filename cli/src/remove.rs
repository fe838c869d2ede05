//! Deleting backups or packages: what it means is shown first.

use respaldo_core::model::JobId;
use serde_json::{Value, json};

use crate::client::Client;
use crate::exit::Exit;
use crate::failure::Answer;
use crate::show::{Show, agree, count, document, note, print, size, text, time};

/// Deletes these of `/backups` or `/packages`, once somebody agreed. For programs, each is told as it was;
/// one that somebody reads still, as it is: `deleting`.
pub(crate) async fn remove(client: &Client, kind: &str, ids: &[JobId], yes: bool, show: Show) -> Answer {
    let mut found = Vec::new();
    for (_, id) in ids.iter().enumerate().filter(|(n, id)| !ids[..*n].contains(id)) {
        found.push(client.look(&format!("/{kind}/{id}"), json!({"id": id.to_string()})).await?);
    }
    if !(show.quiet && yes) {
        for object in &found {
            note(&line(object));
        }
    }
    let noun = kind.strip_suffix('s').unwrap_or(kind);
    agree(&format!("Delete {}?", count(found.len() as u64, noun)), yes)?;
    let mut removed = Vec::new();
    for object in found {
        let path = format!("/{kind}/{}", text(&object, "id"));
        let gone = client.delete(&path).await?;
        // Somebody reads it: it goes when they have ended.
        let object = if gone { object } else { client.look(&path, object).await? };
        if !show.json {
            let when = if gone { "Deleted" } else { "Deleted as soon as its readers have ended" };
            print(&format!("{when}: {}\n", text(&object, "id")))?;
        }
        removed.push(object);
    }
    if show.json {
        document(&json!(removed))?;
    }
    Ok(Exit::Done)
}

fn line(object: &Value) -> String {
    let id = text(object, "id");
    if object["status"].is_null() {
        return format!("  {id}  (the key may delete it, not look at it)");
    }
    let bytes = object["size_bytes"].as_u64().map_or_else(String::new, |bytes| format!(", {}", size(bytes)));
    let [kind, status, name] = ["kind", "status", "name"].map(|field| text(object, field));
    format!("  {id}  {kind} {status} of {}{bytes}  {name}", time(&object["created_at"]))
}
