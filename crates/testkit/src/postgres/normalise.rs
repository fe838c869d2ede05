//! Taking out of a plain dump what differs between two dumps of the same database.

/// Removes the dump's own `\restrict` and the `\unrestrict` that ends it, whose tokens are random.
///
/// By position, not by pattern: a function's body may hold such lines, and they must stay.
pub(super) fn without_restrict(dump: &str) -> String {
    let mut lines: Vec<&str> = dump.lines().collect();
    let is_preamble = |line: &&str| line.is_empty() || line.starts_with("--");
    let first = lines.iter().position(|line| !is_preamble(line));
    let opened = first.filter(|at| lines[*at].starts_with(r"\restrict "));
    if let Some(at) = opened {
        lines.remove(at);
        let last = lines.iter().rposition(|line| !line.is_empty());
        if let Some(at) = last.filter(|at| lines[*at].starts_with(r"\unrestrict ")) {
            lines.remove(at);
        }
    }
    lines.join("\n").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_dumps_that_differ_in_their_tokens_become_equal() {
        let dump =
            |token: &str| format!("--\n-- dump\n\n\\restrict {token}\n\nSET x;\n\n\\unrestrict {token}\n\n");
        assert_eq!(without_restrict(&dump("abc")), without_restrict(&dump("def")));
    }

    #[test]
    fn lines_inside_a_function_stay() {
        let dump =
            "--\n\n\\restrict t\n\nAS $$\n\\restrict inner\n\\unrestrict inner\n$$;\n\n\\unrestrict t\n";
        assert_eq!(without_restrict(dump), "--\n\n\nAS $$\n\\restrict inner\n\\unrestrict inner\n$$;");
    }

    #[test]
    fn a_dump_of_an_older_tool_stays_as_it_is() {
        assert_eq!(without_restrict("--\n\nSET x;\n-- complete\n"), "--\n\nSET x;\n-- complete");
    }
}
