//! The template as AWS would see it: after the transformation that makes plain resources of SAM's.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use respaldo_testkit::host;
use serde_json::{Map, Value};

/// The six functions: their names in the template. In small letters they are the code's.
pub(crate) const FUNCTIONS: [&str; 6] = ["Register", "Dump", "Restore", "Verify", "Retention", "Package"];

/// A template of plain resources.
#[derive(Clone)]
pub(crate) struct Template(pub(crate) Value);

/// The project's folder.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// The template as it is written.
pub(crate) fn written() -> PathBuf {
    root().join("infra/template.yaml")
}

/// What AWS makes of a written template.
///
/// # Errors
/// What the transformation says of one that is none.
pub(crate) fn transform(path: &Path) -> Result<Value, String> {
    let mut command = host::command(host::installed_tool("checks", "python"));
    command.arg(root().join("scripts/transform-template")).arg(path);
    let output = command.output().unwrap();
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    Ok(serde_json::from_slice(&output.stdout).unwrap())
}

impl Template {
    /// The project's.
    pub(crate) fn ours() -> Self {
        static OURS: OnceLock<Value> = OnceLock::new();
        Self(OURS.get_or_init(|| transform(&written()).unwrap()).clone())
    }

    /// Changed in one place, which must be there.
    pub(crate) fn with(mut self, pointer: &str, value: Value) -> Self {
        *self.0.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer} is not there")) = value;
        self
    }

    /// Without what stands in one place.
    pub(crate) fn without(mut self, parent: &str, name: &str) -> Self {
        let removed = self.0.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(name);
        assert!(removed.is_some(), "{parent}/{name} is not there");
        self
    }

    pub(crate) fn resources(&self) -> &Map<String, Value> {
        self.0["Resources"].as_object().unwrap()
    }

    /// Name and properties of every resource of a kind, such as `SQS::Queue`.
    pub(crate) fn of<'a>(&'a self, kind: &str) -> Vec<(&'a str, &'a Value)> {
        let kind = format!("AWS::{kind}");
        let is_one = |resource: &&Value| resource["Type"] == kind.as_str();
        let all = self.resources().iter().filter(|(_, resource)| is_one(resource));
        all.map(|(name, resource)| (name.as_str(), &resource["Properties"])).collect()
    }

    /// A resource's properties.
    pub(crate) fn properties(&self, name: &str) -> &Value {
        &self.0["Resources"][name]["Properties"]
    }

    /// A parameter's default.
    pub(crate) fn default_of(&self, parameter: &str) -> &Value {
        &self.0["Parameters"][parameter]["Default"]
    }
}

/// A value as people write it: `!GetAtt Queue.Arn` is `Queue`, and so is `!Ref Queue`.
pub(crate) fn shown(value: &Value) -> String {
    let Some((kind, inner)) = value.as_object().and_then(|object| object.iter().next()) else {
        return match value {
            Value::String(text) => text.clone(),
            Value::Array(all) => all.iter().map(shown).collect::<Vec<_>>().join(", "),
            other => other.to_string(),
        };
    };
    match (kind.as_str(), inner) {
        ("Ref", Value::String(name)) => name.clone(),
        ("Fn::GetAtt", Value::Array(path)) => path[0].as_str().unwrap().to_owned(),
        ("Fn::GetAtt", Value::String(path)) => path.split('.').next().unwrap().to_owned(),
        ("Fn::Sub", Value::String(text)) => text.clone(),
        ("Fn::Split", Value::Array(split)) => shown(&split[1]),
        ("Fn::If", Value::Array(choice)) if shown(&choice[2]) == "AWS::NoValue" => {
            format!("{} (if {})", shown(&choice[1]), shown(&choice[0]))
        }
        ("Fn::If", Value::Array(choice)) => {
            format!("{} (if {}) or {}", shown(&choice[1]), shown(&choice[0]), shown(&choice[2]))
        }
        _ => value.to_string(),
    }
}

/// One or many: templates write either.
pub(crate) fn list(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(all) => all.iter().collect(),
        Value::Null => Vec::new(),
        one => vec![one],
    }
}
