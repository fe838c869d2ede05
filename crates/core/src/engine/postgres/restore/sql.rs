//! Names and values as SQL takes them, whatever they hold.

/// A name.
pub(super) fn name(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A value, spelled so that it means the same whatever `standard_conforming_strings` says.
pub(super) fn text(value: &str) -> String {
    format!("E'{}'", value.replace('\\', "\\\\").replace('\'', "''"))
}

/// Values in parentheses, for `IN`.
pub(super) fn list(values: &[&str]) -> String {
    let values: Vec<String> = values.iter().map(|value| text(value)).collect();
    format!("({})", values.join(", "))
}

/// Values in brackets, for `ARRAY`.
pub(super) fn array(values: &[&str]) -> String {
    let values: Vec<String> = values.iter().map(|value| text(value)).collect();
    format!("[{}]", values.join(", "))
}

/// A block of PL/pgSQL.
pub(super) fn block(body: &str) -> String {
    format!("DO {};\n", text(body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_ends_a_name_or_a_value_early() {
        assert_eq!(name("a\"b"), "\"a\"\"b\"");
        assert_eq!(text(r"a'b\'c"), r"E'a''b\\''c'");
        assert_eq!(list(&["a", "b"]), "(E'a', E'b')");
    }
}
