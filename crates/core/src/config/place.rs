//! A value at its place: its path, its line and column, and what it may be.
//!
//! Errors made here never hold a value of the file, only the names of fields and what is allowed.

use super::suggest::nearest;
use super::yaml::{Node, Tree};
use crate::{Error, ErrorKind, Result};

/// A value with its path (`databases[1].port`).
#[derive(Clone)]
pub(super) struct Place<'a> {
    file: &'a str,
    text: &'a str,
    path: String,
    node: &'a Node,
    /// Where the field's name stands, for a value that is not there.
    key: Option<(u64, u64)>,
}

/// The fields that a section may hold.
pub(super) struct Known {
    /// Fields that are read.
    pub(super) fields: &'static [&'static str],
    /// Fields that are documented and not read yet.
    pub(super) later: &'static [&'static str],
}

/// A mapping whose fields are all known.
pub(super) struct Section<'a> {
    place: Place<'a>,
    fields: Vec<(&'a str, Place<'a>)>,
}

/// What is said of a field that is documented and does not work yet.
const LATER: &str = "documented, but not built yet in this version";

impl<'a> Place<'a> {
    pub(super) fn root(file: &'a str, text: &'a str, node: &'a Node) -> Self {
        Self { file, text, path: String::new(), node, key: None }
    }

    /// An error about this value.
    pub(super) fn error(&self, message: impl Into<String>) -> Error {
        let at = &self.node.referenced;
        let at = match (&self.node.value, self.key) {
            (Tree::Null, Some(key)) => key,
            _ => (at.line(), at.column()),
        };
        self.error_at(at, &self.path, message)
    }

    /// An error of another part, about this value.
    pub(super) fn refused(&self, error: &Error) -> Error {
        let ours = self.error(error.message());
        match error.mend() {
            Some(mend) => ours.with_mend(mend),
            None => ours,
        }
    }

    /// The path and the line, to name this place in an error about another.
    pub(super) fn named(&self) -> String {
        format!("{} (line {})", self.path, self.node.referenced.line())
    }

    fn error_at(&self, (line, column): (u64, u64), path: &str, message: impl Into<String>) -> Error {
        let error = Error::new(ErrorKind::Config, format!("{}:{line}:{column}", self.file), message);
        if path.is_empty() { error } else { error.with_field(path) }
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self.node.value, Tree::Null)
    }

    pub(super) fn is_mapping(&self) -> bool {
        matches!(self.node.value, Tree::Mapping(_))
    }

    /// A mapping with only these fields.
    pub(super) fn section(&self, known: &Known) -> Result<Section<'a>> {
        let entries = match &self.node.value {
            Tree::Mapping(entries) => entries.as_slice(),
            Tree::Null => &[],
            Tree::List(_) => return Err(self.error("must be a mapping of fields, not a list")),
            _ => return Err(self.error("must be a mapping of fields, each on its line as name: value")),
        };
        let mut fields = Vec::with_capacity(entries.len());
        for (key, node) in entries {
            let name = key.value.as_str();
            let at = (key.referenced.line(), key.referenced.column());
            let path = match self.path.as_str() {
                "" => shown(name),
                path => format!("{path}.{}", shown(name)),
            };
            if !known.fields.contains(&name) {
                return Err(self.unknown(known, name, at, &path));
            }
            let place = Place { file: self.file, text: self.text, path, node, key: Some(at) };
            fields.push((name, place));
        }
        Ok(Section { place: self.clone(), fields })
    }

    fn unknown(&self, known: &Known, name: &str, at: (u64, u64), path: &str) -> Error {
        if known.later.contains(&name) {
            return self.error_at(at, path, LATER);
        }
        if let Some(advice) = secret(name).filter(|_| known.fields.contains(&"password_var")) {
            return self.error_at(at, path, advice);
        }
        let all = [known.fields, known.later].concat();
        let message = match nearest(name, &all) {
            Some(near) => format!("there is no such field; did you mean {near}?"),
            None => format!("there is no such field; the fields are {}", known.fields.join(", ")),
        };
        self.error_at(at, path, message)
    }

    /// The items of a list; nothing at all is an empty one.
    pub(super) fn list(&self) -> Result<Vec<Place<'a>>> {
        let items = match &self.node.value {
            Tree::List(items) => items.as_slice(),
            Tree::Null => &[],
            _ => return Err(self.error("must be a list, each item behind a -")),
        };
        let item = |(index, node)| Place { path: format!("{}[{index}]", self.path), node, ..self.clone() };
        Ok(items.iter().enumerate().map(item).collect())
    }

    /// Text that is not empty, on one line. A number stands for how it is written.
    pub(super) fn text(&self) -> Result<&'a str> {
        let text = match &self.node.value {
            Tree::Text(text) => text.as_str(),
            Tree::Whole(_) | Tree::Number => self.written()?,
            Tree::Bool(_) => return Err(self.error("must be text; put it in quotes")),
            _ => return Err(self.error("must be text")),
        };
        if text.trim().is_empty() {
            return Err(self.error("must not be empty"));
        }
        if text.chars().any(char::is_control) {
            return Err(self.error("must be one line, without control characters"));
        }
        Ok(text)
    }

    /// A number as its author wrote it: `007` names another database than `7`.
    fn written(&self) -> Result<&'a str> {
        let span = self.node.defined.span();
        let range = span.byte_offset().zip(span.byte_len()).and_then(|(from, len)| {
            let from = usize::try_from(from).ok()?;
            Some(from..from.checked_add(usize::try_from(len).ok()?)?)
        });
        range
            .and_then(|range| self.text.get(range))
            .ok_or_else(|| self.error("must be text; put it in quotes"))
    }

    /// One of these words.
    pub(super) fn choice(&self, allowed: &[&str]) -> Result<&'a str> {
        match &self.node.value {
            Tree::Text(text) if allowed.contains(&text.as_str()) => Ok(text),
            _ => Err(self.error(format!("must be one of {}", allowed.join(", ")))),
        }
    }

    /// A whole number within these bounds.
    pub(super) fn number(&self, min: u32, max: u32) -> Result<u32> {
        let number = match self.node.value {
            Tree::Whole(number) => u32::try_from(number).ok(),
            _ => None,
        };
        number
            .filter(|number| (min..=max).contains(number))
            .ok_or_else(|| self.error(format!("must be a whole number from {min} to {max}")))
    }

    /// `true` or `false`.
    pub(super) fn boolean(&self) -> Result<bool> {
        match self.node.value {
            Tree::Bool(value) => Ok(value),
            _ => Err(self.error("must be true or false")),
        }
    }
}

impl<'a> Section<'a> {
    /// The field, where the section sets it.
    pub(super) fn get(&self, name: &str) -> Option<&Place<'a>> {
        self.fields.iter().find(|(field, _)| *field == name).map(|(_, place)| place)
    }

    /// The field, where the section sets it to something.
    pub(super) fn some(&self, name: &str) -> Option<&Place<'a>> {
        self.get(name).filter(|place| !place.is_null())
    }

    /// The fields in the file's order.
    pub(super) fn fields(&self) -> impl Iterator<Item = (&'a str, &Place<'a>)> {
        self.fields.iter().map(|(name, place)| (*name, place))
    }

    /// A field that must be there.
    pub(super) fn required(&self, name: &str) -> Result<&Place<'a>> {
        self.get(name).ok_or_else(|| self.place.error(format!("{name} is missing")))
    }

    /// An error about the section as a whole.
    pub(super) fn error(&self, message: impl Into<String>) -> Error {
        self.place.error(message)
    }
}

/// What to say of a field that people put secrets into.
fn secret(name: &str) -> Option<&'static str> {
    match name.to_ascii_lowercase().as_str() {
        "password" | "passwd" | "pass" | "pwd" | "secret" | "credentials" | "token" => Some(
            "secrets do not stand in this file; put the secret into an environment variable and its name \
             into password_var",
        ),
        "username" | "user" | "login" => Some(
            "put the user's name into an environment variable and that variable's name into username_var",
        ),
        "url" | "uri" | "dsn" | "connection_string" => Some(
            "a connection string may hold a secret; use host, port and database_name, with username_var and \
             password_var",
        ),
        _ => None,
    }
}

/// A field's name as errors show it: as it is when it looks like one, else quoted and cut short.
pub(super) fn shown(name: &str) -> String {
    const LONGEST: usize = 40;
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    if !name.is_empty() && name.len() <= LONGEST && name.chars().all(plain) {
        return name.to_owned();
    }
    let short: String = name.chars().take(LONGEST).collect();
    format!("{short:?}{}", if short.len() < name.len() { "…" } else { "" })
}
