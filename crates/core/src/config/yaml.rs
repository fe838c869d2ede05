//! From text to a tree whose every node knows its line and column.
//!
//! The tree is small on purpose: what a field may hold is decided where the field is read, so that
//! the error can speak of the field. YAML's own errors are put into words here, without any of the
//! file's text in them.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_saphyr::{Error as YamlError, NonFiniteFloatPolicy, Options, Spanned, budget};

use crate::{Error, ErrorKind, Result};

/// A value with where it stands.
pub(super) type Node = Spanned<Tree>;

/// A value. Keys of a mapping are text and each is there once.
#[derive(Debug)]
pub(super) enum Tree {
    Null,
    Bool(bool),
    /// A whole number that is not negative.
    Whole(u64),
    /// Any other number.
    Number,
    Text(String),
    List(Vec<Node>),
    Mapping(Vec<(Spanned<String>, Node)>),
}

impl Tree {
    /// The same without places; none where a number is in it that no field takes.
    pub(super) fn to_json(&self) -> Option<Value> {
        Some(match self {
            Self::Null => Value::Null,
            Self::Bool(value) => (*value).into(),
            Self::Whole(number) => (*number).into(),
            Self::Number => return None,
            Self::Text(text) => text.as_str().into(),
            Self::List(items) => {
                Value::Array(items.iter().map(|item| item.value.to_json()).collect::<Option<_>>()?)
            }
            Self::Mapping(fields) => {
                let field = |(name, node): &(Spanned<String>, Node)| {
                    Some((name.value.clone(), node.value.to_json()?))
                };
                Value::Object(fields.iter().map(field).collect::<Option<_>>()?)
            }
        })
    }
}

/// The text as one tree; an empty file is [`Tree::Null`].
pub(super) fn load(file: &str, text: &str) -> Result<Node> {
    // A zero byte is YAML's end of input to some readers and an error to others.
    if text.contains('\0') {
        return Err(Error::new(ErrorKind::Config, file, "the file has a zero byte: it is not text"));
    }
    serde_saphyr::from_str_with_options(text, options()).map_err(|error| worded(file, &error))
}

fn options() -> Options {
    let mut options = Options::default();
    options.budget = budget! {
        max_depth: 16,
        max_nodes: 500_000,
        max_documents: 16,
        max_total_scalar_bytes: 4 * super::MAX_BYTES,
        // Many databases may share one set of fields; what replay may cost is bounded below.
        enforce_alias_anchor_ratio: false,
    };
    options.alias_limits.max_total_replayed_events = 500_000;
    options.alias_limits.max_replay_stack_depth = 8;
    options.strict_booleans = true;
    options.reject_unsupported_tags = true;
    options.non_finite_float_policy = NonFiniteFloatPolicy::AsString;
    options.with_snippet = false;
    options
}

fn worded(file: &str, error: &YamlError) -> Error {
    let error = error.without_snippet();
    let operation = match error.location() {
        Some(at) if at.line() > 0 => format!("{file}:{}:{}", at.line(), at.column()),
        _ => file.to_owned(),
    };
    Error::new(ErrorKind::Config, operation, words(error))
}

fn words(error: &YamlError) -> String {
    let fixed = match error {
        YamlError::DuplicateMappingKey { key, .. } => {
            return match key {
                Some(key) => format!("{} is there twice", super::place::shown(key)),
                None => "a field is there twice".to_owned(),
            };
        }
        YamlError::ExternalMessage { msg, .. } => {
            // The only words of the parser that repeat the file's own text.
            if msg.starts_with("unexpected character") {
                "a value cannot begin with this character; put it in quotes"
            } else {
                return format!("it is not YAML: {msg}");
            }
        }
        YamlError::MultipleDocuments { .. } => "a second document begins here; the file must be one",
        YamlError::UnknownAnchor { .. } => "there is no anchor of this name before it",
        YamlError::RecursiveReferencesRequireWeakTypes { .. } => "the alias stands inside its own anchor",
        YamlError::MergeValueNotMapOrSeqOfMaps { .. } => "<< takes an alias of a mapping",
        YamlError::UnsupportedTag { .. } => "there is no such tag; tags are not needed here",
        YamlError::Budget { .. }
        | YamlError::AliasReplayLimitExceeded { .. }
        | YamlError::AliasExpansionLimitExceeded { .. }
        | YamlError::AliasReplayStackDepthExceeded { .. } => {
            "the file is nested too deeply, or its aliases grow too large"
        }
        YamlError::InvalidUtf8Input => "the file is not UTF-8 text",
        YamlError::AliasError { error, .. } => return words(error),
        _ => "it is not YAML that can be read here: a field's name must be plain text",
    };
    fixed.to_owned()
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> std::result::Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_bool<E>(self, value: bool) -> std::result::Result<Tree, E> {
        Ok(Tree::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> std::result::Result<Tree, E> {
        Ok(Tree::Whole(value))
    }

    fn visit_i64<E>(self, value: i64) -> std::result::Result<Tree, E> {
        Ok(u64::try_from(value).map_or(Tree::Number, Tree::Whole))
    }

    fn visit_f64<E>(self, _value: f64) -> std::result::Result<Tree, E> {
        Ok(Tree::Number)
    }

    fn visit_str<E>(self, value: &str) -> std::result::Result<Tree, E> {
        Ok(Tree::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> std::result::Result<Tree, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Tree::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> std::result::Result<Tree, A::Error> {
        let mut mapping = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            mapping.push(entry);
        }
        Ok(Tree::Mapping(mapping))
    }
}
