//! One object for people to read: a line for each field that has a value.

use serde_json::Value;
use unicode_width::UnicodeWidthStr as _;

use super::{duration, plain, size, time};

/// The object's fields, those of `first` before all others. Fields that this version does not know are
/// shown too: the server may be newer.
pub(crate) fn card(object: &Value, first: &[&str]) -> String {
    let mut lines = Vec::new();
    let Value::Object(fields) = object else { return String::new() };
    let later = fields.keys().map(String::as_str).filter(|field| !first.contains(field));
    for field in first.iter().copied().chain(later) {
        flatten(field, &object[field], &mut lines);
    }
    let widest = lines.iter().map(|(field, _)| field.width()).max().unwrap_or(0);
    let padded = |field: &str| format!("{field}{}", " ".repeat(widest - field.width()));
    lines.iter().map(|(field, value)| format!("{}  {value}\n", padded(field))).collect()
}

fn flatten(field: &str, value: &Value, lines: &mut Vec<(String, String)>) {
    match value {
        Value::Null => {}
        Value::Object(fields) => {
            for (inner, value) in fields {
                flatten(&format!("{field}.{inner}"), value, lines);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            for (n, item) in items.iter().enumerate() {
                flatten(&format!("{field}[{n}]"), item, lines);
            }
        }
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(|item| worded(field, item)).collect();
            if !items.is_empty() {
                lines.push((plain(field), items.join(", ")));
            }
        }
        value => lines.push((plain(field), worded(field, value))),
    }
}

fn worded(field: &str, value: &Value) -> String {
    match value {
        Value::String(_) if field.ends_with("_at") || field == "at" => time(value),
        Value::String(text) => plain(text),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Number(number) if field.ends_with("_bytes") && number.is_u64() => {
            let bytes = number.as_u64().unwrap_or_default();
            if bytes < 1_000 { size(bytes) } else { format!("{} ({bytes} bytes)", size(bytes)) }
        }
        Value::Number(number) if field == "duration_seconds" => duration(number.as_f64().unwrap_or(f64::NAN)),
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_field_with_a_value_is_a_line_the_known_ones_first() {
        let object = json!({
            "id": 7, "name": "a\u{1b}b", "created_at": "2026-01-02T03:04:05Z", "size_bytes": 2_500,
            "duration_seconds": 2.5, "enabled": true, "error": {"kind": "denied", "mend": null},
            "encryption": [], "tables": ["a", "b"], "host": null, "members": [{"file": "f"}]
        });
        let expected = "\
id                7
name              a\\u{1b}b
created_at        2026-01-02 03:04:05Z
duration_seconds  2.5 s
enabled           yes
error.kind        denied
members[0].file   f
size_bytes        2.5 kB (2500 bytes)
tables            a, b
";
        assert_eq!(card(&object, &["id", "name", "absent"]), expected);
    }
}
