//! What a restore, its undo and its confirmation would do, for people to read.

use serde_json::{Value, json};

use crate::show::{plain, size, text};

/// The plan for people to read.
pub(super) fn lines(plan: &Value) -> String {
    let target = &plan["target"];
    let there = match (target["exists"].as_bool(), target["size_bytes"].as_u64()) {
        (Some(true), Some(bytes)) => format!("{} there now", size(bytes)),
        (Some(true), None) => "there is something now".to_owned(),
        _ => "new".to_owned(),
    };
    let mut lines = vec![
        format!(
            "backup    {} ({}), as of {}",
            text(plan, "backup_id"),
            text(plan, "name"),
            text(plan, "created_at")
        ),
        format!("into      {} (database {}, {there})", text(target, "database_name"), target["database_id"]),
        format!("mode      {}", text(plan, "mode")),
    ];
    let all = |field: &str| plan[field].as_array().cloned().unwrap_or_default();
    let texts = |field: &str| all(field).iter().filter_map(Value::as_str).map(plain).collect::<Vec<_>>();
    let tables = texts("tables");
    if !tables.is_empty() {
        lines.push(format!("only      {}", tables.join(", ")));
    }
    lines.extend(texts("steps").iter().enumerate().map(|(n, step)| format!("step {}    {step}", n + 1)));
    lines.push(format!("undone by {}", text(plan, "undo")));
    lines.extend(texts("connections").iter().map(|connection| format!("connected {connection}")));
    lines.extend(texts("warnings").iter().map(|warning| format!("warning   {warning}")));
    for refusal in all("refusals") {
        let force = if refusal["forceable"] == json!(true) { "; --force overrules this" } else { "" };
        lines.push(format!("in the way: {}", text(&refusal, "reason")));
        lines.push(format!("  to mend it: {}{force}", text(&refusal, "mend")));
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// What an undo is asked with.
pub(super) fn undo_question(job: &Value) -> String {
    let result = &job["result"];
    let by = if result["kept_database"].is_string() {
        format!("exchanging it with {}", text(result, "kept_database"))
    } else {
        format!("restoring safety backup {}", text(result, "safety_backup_id"))
    };
    format!("Undo restore {} of {} by {by}?", text(job, "id"), text(result, "target"))
}

/// What a confirmation is asked with.
pub(super) fn confirm_question(job: &Value) -> String {
    let result = &job["result"];
    let mut lost = Vec::new();
    if result["kept_database"].is_string() {
        lost.push(format!("database {} is dropped", text(result, "kept_database")));
    }
    if result["safety_backup_id"].is_string() {
        lost.push(format!("safety backup {} is left to retention", text(result, "safety_backup_id")));
    }
    let lost = if lost.is_empty() { "nothing is left to let go".to_owned() } else { lost.join(", ") };
    format!("Confirm restore {} of {}: {lost}?", text(job, "id"), text(result, "target"))
}
