//! Why a command did not do what was asked: what people read, what programs read, and the exit code.

use respaldo_core::{Error, ErrorKind};
use serde_json::{Map, Value, json};

use crate::exit::Exit;
use crate::show::{note, text};

/// What a command that asks a server comes to.
pub(crate) type Answer<T = Exit> = Result<T, Failure>;

/// A refusal, as problem+json and as an exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    problem: Map<String, Value>,
    /// What to do, said to somebody at a command line.
    mend: Option<String>,
}

impl Failure {
    /// A failure of this side: `slug` names its kind as the API's problems are named.
    pub(crate) fn new(exit: Exit, slug: &str, title: &str, detail: impl Into<String>) -> Self {
        let mut problem = Map::new();
        problem.insert("type".to_owned(), json!(format!("/problems/{slug}")));
        problem.insert("title".to_owned(), json!(title));
        problem.insert("detail".to_owned(), json!(detail.into()));
        problem.insert("retryable".to_owned(), json!(exit == Exit::Unreachable));
        Self { exit, problem, mend: None }
    }

    /// A command line or a value on this side that cannot be meant.
    pub(crate) fn usage(field: &str, detail: impl Into<String>) -> Self {
        let mut failure = Self::new(Exit::Usage, "invalid", "A value was refused", detail);
        failure.problem.insert("field".to_owned(), json!(field));
        failure
    }

    /// An answer that Respaldo does not give.
    pub(crate) fn foreign(base: &str, what: impl Into<String>) -> Self {
        let detail = format!("{base} answered, and not as Respaldo does: {}", what.into());
        Self::new(Exit::Unreachable, "foreign", "This is no server of Respaldo's", detail)
            .with_retryable(false)
            .with_mend("check the address: --server or RESPALDO_URL")
    }

    /// Says whether the same can succeed later.
    pub(crate) fn with_retryable(mut self, retryable: bool) -> Self {
        self.problem.insert("retryable".to_owned(), json!(retryable));
        self
    }

    /// What the server refused, in its own words.
    pub(crate) fn of_problem(status: u16, problem: Map<String, Value>) -> Self {
        let mend = matches!(status, 401 | 403)
            .then(|| "set RESPALDO_KEY, or --key-file FILE, to a key that opens this".to_owned());
        Self { exit: Exit::of_status(status), problem, mend }
    }

    /// Says what to do about it.
    pub(crate) fn with_mend(mut self, mend: impl Into<String>) -> Self {
        let mend = mend.into();
        self.problem.insert("mend".to_owned(), json!(mend));
        self.mend = Some(mend);
        self
    }

    /// How the process ends.
    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }

    /// Whether asking again can help.
    pub(crate) fn is_absence(&self) -> bool {
        self.exit == Exit::Unreachable && self.problem.get("retryable") == Some(&Value::Bool(true))
    }

    /// Tells it on standard error.
    pub(crate) fn tell(&self, as_json: bool) {
        if as_json {
            note(&crate::show::json_text(&Value::Object(self.problem.clone())));
        } else {
            note(&self.lines());
        }
    }

    fn lines(&self) -> String {
        let problem = Value::Object(self.problem.clone());
        let parts = ["title", "field", "detail"].map(|field| text(&problem, field));
        let parts: Vec<&str> = parts.iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
        let mend = self.mend.clone().unwrap_or_else(|| text(&problem, "mend"));
        let mend = if mend.is_empty() { mend } else { format!("\n  to mend it: {mend}") };
        format!("respaldo: {}{mend}", parts.join(": "))
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let (exit, title) = match error.kind() {
            ErrorKind::Config | ErrorKind::Invalid => (Exit::Usage, "A value was refused"),
            ErrorKind::NotFound => (Exit::NotFound, "It does not exist"),
            ErrorKind::Conflict => (Exit::Conflict, "Its state forbids it"),
            ErrorKind::Unavailable | ErrorKind::Timeout => (Exit::Unreachable, "It cannot be reached now"),
            ErrorKind::Corrupt => (Exit::Failed, "These are not the bytes that were stored"),
            _ => (Exit::Failed, "It could not be done"),
        };
        let mut failure = Self::new(exit, error.kind().as_str(), title, error.message());
        if let Some(field) = error.field() {
            failure.problem.insert("field".to_owned(), json!(field));
        }
        match error.mend() {
            Some(mend) => failure.with_mend(mend),
            None => failure,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_cannot_steer_the_terminal() {
        let problem =
            json!({"title": "No", "detail": "no \u{1b}[2Jway", "field": "a\nb", "mend": "\u{7}try"});
        let Value::Object(problem) = problem else { panic!("an object") };
        let lines = Failure::of_problem(422, problem).lines();
        assert!(!lines.chars().any(|c| c.is_control() && c != '\n'), "{lines:?}");
        assert_eq!(lines, "respaldo: No: a\\nb: no \\u{1b}[2Jway\n  to mend it: \\u{7}try");
    }

    #[test]
    fn a_refused_key_is_mended_in_the_words_of_a_command_line() {
        let Value::Object(problem) = json!({"title": "T", "detail": "d", "mend": "send X-Admin-Key"}) else {
            panic!("an object")
        };
        assert!(Failure::of_problem(401, problem).lines().contains("RESPALDO_KEY"));
    }

    #[test]
    fn a_mend_is_told_to_programs_too() {
        let failure = Failure::usage("--since", "it is no time").with_mend("write 7d");
        assert_eq!(Value::Object(failure.problem)["mend"], "write 7d");
    }
}
