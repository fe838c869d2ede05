//! A database's fields on the command line, each with its type.

use serde_json::{Map, Value, json};

use crate::failure::{Answer, Failure};

/// How a field's text is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Number,
    Truth,
    /// Texts between commas; none for an empty one.
    List,
}

/// Fields, how they are read, and whether `null` (none) is a value of theirs.
const FIELDS: &[(&str, Kind, bool)] = &[
    ("name", Kind::Text, false),
    ("engine", Kind::Text, false),
    ("host", Kind::Text, true),
    ("port", Kind::Number, true),
    ("database_name", Kind::Text, false),
    ("schedule", Kind::Text, true),
    ("timezone", Kind::Text, true),
    ("jitter_seconds", Kind::Number, false),
    ("retention_days", Kind::Number, true),
    ("max_backups", Kind::Number, true),
    ("compression", Kind::Text, false),
    ("format", Kind::Text, false),
    ("encryption", Kind::List, false),
    ("enabled", Kind::Truth, false),
    ("package", Kind::Truth, false),
    ("verify", Kind::Text, false),
    ("runner", Kind::Text, false),
    ("tls", Kind::Text, true),
];

/// Reads `FIELD=VALUE` into `fields`.
///
/// # Errors
/// `Usage`, naming the field.
pub(super) fn assign(fields: &mut Map<String, Value>, text: &str) -> Answer<()> {
    let Some((field, value)) = text.split_once('=') else {
        return Err(Failure::usage(text, "it must be FIELD=VALUE").with_mend("e.g. retention_days=30"));
    };
    if matches!(field, "password" | "credentials" | "credentials.password") {
        let why = "a command line can be read by others: a password does not belong there";
        return Err(Failure::usage(field, why).with_mend("give --password-file FILE or --password-env NAME"));
    }
    if fields.contains_key(field) {
        return Err(Failure::usage(field, "it is given twice"));
    }
    fields.insert(field.to_owned(), read(field, value)?);
    Ok(())
}

fn read(field: &str, value: &str) -> Answer<Value> {
    let known = FIELDS.iter().find(|(name, ..)| *name == field);
    let refused = |what: &str| Failure::usage(field, format!("it must be {what}"));
    match known {
        Some((_, _, true)) if value == "null" => Ok(Value::Null),
        Some((_, Kind::Text, _)) => Ok(json!(value)),
        Some((_, Kind::Number, nullable)) => value
            .parse::<u64>()
            .map(|number| json!(number))
            .map_err(|_| refused(if *nullable { "a whole number, or null" } else { "a whole number" })),
        Some((_, Kind::Truth, _)) => {
            value.parse::<bool>().map(|truth| json!(truth)).map_err(|_| refused("true or false"))
        }
        Some((_, Kind::List, _)) => {
            Ok(value.split(',').map(str::trim).filter(|one| !one.is_empty()).collect())
        }
        // The server may be newer and know it; if not, it says which fields there are.
        None => Ok(serde_json::from_str(value).unwrap_or_else(|_| json!(value))),
    }
}

#[cfg(test)]
mod tests {
    use respaldo_core::model::Settings;

    use super::*;

    #[test]
    fn every_field_of_a_database_is_known_and_null_where_the_product_allows_it() {
        let base = json!({"name": "n", "engine": "sqlite", "database_name": "d"});
        let settings: Settings = serde_json::from_value(base).unwrap();
        let mut fields: Vec<String> = settings.to_map().keys().cloned().collect();
        let mut known: Vec<String> = FIELDS.iter().map(|(name, ..)| (*name).to_owned()).collect();
        fields.sort();
        known.sort();
        assert_eq!(known, fields);
        for (field, _, nullable) in FIELDS {
            let patch = Map::from_iter([((*field).to_owned(), Value::Null)]);
            assert_eq!(settings.patched(&patch).is_ok(), *nullable, "{field}");
        }
    }

    #[test]
    fn a_value_has_the_type_of_its_field() {
        for (text, value) in [
            ("name=null", json!("null")),
            ("name=a=b", json!("a=b")),
            ("schedule=null", Value::Null),
            ("schedule=0 3 * * *", json!("0 3 * * *")),
            ("port=5432", json!(5432)),
            ("max_backups=null", Value::Null),
            ("enabled=false", json!(false)),
            ("encryption=age1x, age1y", json!(["age1x", "age1y"])),
            ("encryption=", json!([])),
            ("new_field=7", json!(7)),
            ("new_field=seven", json!("seven")),
        ] {
            let mut fields = Map::new();
            assign(&mut fields, text).unwrap();
            assert_eq!(fields.values().next(), Some(&value), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_read_names_the_field_and_a_password_is_sent_elsewhere() {
        for (text, field) in [
            ("port=x", "port"),
            ("jitter_seconds=null", "jitter_seconds"),
            ("enabled=yes", "enabled"),
            ("name", "name"),
            ("password=hunter2", "password"),
        ] {
            let told = format!("{:?}", assign(&mut Map::new(), text).unwrap_err());
            assert!(told.contains(&format!("String(\"{field}\")")), "{told}");
            assert!(!told.contains("hunter2"), "{told}");
        }
    }
}
