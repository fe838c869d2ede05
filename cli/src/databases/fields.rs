//! A database's fields on the command line, each with its type.

use respaldo_core::model::{EngineKind, Settings};
use serde_json::{Map, Value, json};

use crate::failure::{Answer, Failure};

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
    fields.insert(field.to_owned(), read(field, value));
    Ok(())
}

/// The value of the first type that the product's own settings take for the field. What none takes goes to
/// the server as it is: that says what is wrong, and may be newer and know more fields.
fn read(field: &str, value: &str) -> Value {
    let settings = Settings::bare("", EngineKind::Sqlite, "");
    if !settings.to_map().contains_key(field) {
        return serde_json::from_str(value).unwrap_or_else(|_| json!(value));
    }
    let none = (value == "null").then_some(Value::Null);
    let truth = value.parse::<bool>().ok().map(Value::Bool);
    let number = value.parse::<u64>().ok().map(|number| json!(number));
    let list = value.split(',').map(str::trim).filter(|one| !one.is_empty()).collect();
    let read = [none, Some(json!(value)), truth, number, Some(list)].into_iter().flatten();
    let taken =
        |value: &Value| settings.patched(&Map::from_iter([(field.to_owned(), value.clone())])).is_ok();
    read.into_iter().find(taken).unwrap_or_else(|| json!(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_has_the_type_of_its_field() {
        for (text, value) in [
            ("name=null", json!("null")),
            ("name=a=b", json!("a=b")),
            ("schedule=null", Value::Null),
            ("schedule=0 3 * * *", json!("0 3 * * *")),
            ("port=5432", json!(5432)),
            ("max_backups=null", Value::Null),
            ("compression=zstd", json!("zstd")),
            // What is wrong is for the server to say.
            ("port=x", json!("x")),
            ("jitter_seconds=null", json!("null")),
            ("enabled=yes", json!("yes")),
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
    fn what_is_no_field_is_refused_and_a_password_is_sent_elsewhere() {
        for (text, field) in
            [("name", "name"), ("credentials={}", "credentials"), ("password=hunter2", "password")]
        {
            let told = format!("{:?}", assign(&mut Map::new(), text).unwrap_err());
            assert!(told.contains(&format!("String(\"{field}\")")), "{told}");
            assert!(!told.contains("hunter2"), "{told}");
        }
    }
}
