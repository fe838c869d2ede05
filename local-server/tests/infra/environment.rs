//! What the template tells the functions and the worker, and how: by the names that the code reads, and no secret in clear.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::template::{FUNCTIONS, Template, list, root, shown};

/// Names whose values are secret: only where to find them may be told.
const SECRET: [&str; 5] = [
    "RESPALDO_MASTER_KEY",
    "RESPALDO_IDENTITY",
    "ADMIN_API_KEY",
    "BACKUP_RESTORE_API_KEY",
    "BACKUP_DELETE_API_KEY",
];

fn of_function<'a>(template: &'a Template, name: &str) -> BTreeMap<&'a str, &'a Value> {
    let variables = template.properties(name)["Environment"]["Variables"].as_object().unwrap();
    variables.iter().map(|(name, value)| (name.as_str(), value)).collect()
}

fn container(template: &Template) -> &Value {
    &template.properties("WorkerTask")["ContainerDefinitions"][0]
}

/// The worker's; values show under which condition they are there.
fn of_the_worker(template: &Template) -> BTreeMap<String, String> {
    let pair = |variable: &Value| match &variable["Fn::If"] {
        Value::Array(choice) => {
            (shown(&choice[1]["Name"]), format!("{} (if {})", shown(&choice[1]["Value"]), shown(&choice[0])))
        }
        _ => (shown(&variable["Name"]), shown(&variable["Value"])),
    };
    list(&container(template)["Environment"]).into_iter().map(pair).collect()
}

/// What is wrong with names that are secret.
fn in_clear(template: &Template) -> Vec<String> {
    let mut faults = Vec::new();
    for function in FUNCTIONS {
        for (name, value) in of_function(template, function) {
            if SECRET.contains(&name) {
                faults.push(format!("{function}: {name} in clear"));
            }
            let reference = shown(value).starts_with("secretsmanager:${SecretPrefix}");
            if name.ends_with("_FROM") && !reference {
                faults.push(format!("{function}: {name} refers to {}", shown(value)));
            }
        }
    }
    let worker = of_the_worker(template);
    faults.extend(
        SECRET
            .iter()
            .filter(|name| worker.contains_key(**name))
            .map(|name| format!("worker: {name} in clear")),
    );
    faults
}

#[test]
fn functions_and_worker_are_told_what_was_decided() {
    let template = Template::ours();
    let common = of_function(&template, "Register");
    let mut text = String::from("all functions\n");
    for (name, value) in &common {
        writeln!(text, "  {name}={}", shown(value)).unwrap();
    }
    for function in FUNCTIONS {
        let own = of_function(&template, function);
        assert!(common.iter().all(|(name, value)| own.get(name) == Some(value)), "{function} is told less");
        for (name, value) in own.iter().filter(|(name, _)| !common.contains_key(*name)) {
            writeln!(text, "{function}\n  {name}={}", shown(value)).unwrap();
        }
    }
    text += "worker\n";
    for (name, value) in of_the_worker(&template) {
        writeln!(text, "  {name}={value}").unwrap();
    }
    insta::assert_snapshot!(text);
}

/// The text of every source that is part of what is deployed.
fn sources(folder: &Path, text: &mut String) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let (path, name) = (entry.path(), entry.file_name());
        if path.is_dir() && !["tests", "testkit", "examples"].iter().any(|other| name == *other) {
            sources(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn every_variable_is_one_that_the_code_reads() {
    let mut code = String::new();
    for folder in ["crates", "local-server", "cli"] {
        sources(&root().join(folder), &mut code);
    }
    let template = Template::ours();
    let mut told: BTreeSet<String> = of_the_worker(&template).into_keys().collect();
    for function in FUNCTIONS {
        told.extend(of_function(&template, function).into_keys().map(str::to_owned));
    }
    // It is read by the library that logs.
    assert!(told.remove("RUST_LOG") && told.len() > 15, "the variables are not found");
    let reads = |name: &str| code.contains(&format!("\"{}\"", name.strip_suffix("_FROM").unwrap_or(name)));
    assert!(!reads("NO_SUCH_VARIABLE"));
    let unread: Vec<&String> = told.iter().filter(|name| !reads(name)).collect();
    assert!(unread.is_empty(), "nobody reads {unread:?}");
}

#[test]
fn what_is_secret_is_told_by_reference_only() {
    let ours = Template::ours();
    assert_eq!(in_clear(&ours), [""; 0]);
    let variables = "/Resources/Dump/Properties/Environment/Variables";
    let mut clear = ours.clone();
    clear.0.pointer_mut(variables).unwrap()["ADMIN_API_KEY"] = json!("hunter2");
    assert_eq!(in_clear(&clear), ["Dump: ADMIN_API_KEY in clear"]);
    let elsewhere = ours.with(&format!("{variables}/RESPALDO_MASTER_KEY_FROM"), json!("ssm:key"));
    assert_eq!(in_clear(&elsewhere), ["Dump: RESPALDO_MASTER_KEY_FROM refers to ssm:key"]);
}

#[test]
fn no_parameter_is_a_secret() {
    let template = Template::ours();
    let parameters = template.0["Parameters"].as_object().unwrap();
    assert!(parameters.len() > 15, "the parameters are not found");
    for (name, parameter) in parameters {
        assert!(parameter["NoEcho"].is_null(), "{name} hides something: it belongs into a store of secrets");
        assert!(
            parameter["Description"].is_string() && !parameter["Default"].is_null(),
            "{name} has no sane default"
        );
    }
}

#[test]
fn the_worker_is_the_functions_image_unprivileged_with_a_read_only_root() {
    let template = Template::ours();
    let worker = container(&template);
    let image = shown(&worker["Image"]);
    for name in ["Dump", "Restore", "Verify"] {
        assert_eq!(shown(&template.properties(name)["Code"]["ImageUri"]), image);
        let entry = format!("/usr/local/bin/respaldo-{}", name.to_lowercase());
        assert_eq!(template.properties(name)["ImageConfig"]["EntryPoint"], json!([entry]));
    }
    for name in ["Register", "Retention", "Package"] {
        let code = template.properties(name)["Code"]["S3Key"].as_str().unwrap();
        assert_eq!(code, format!("{}.zip", name.to_lowercase()));
        assert_eq!(template.properties(name)["Runtime"], "provided.al2023");
        assert_eq!(template.properties(name)["Handler"], "bootstrap");
    }
    assert_eq!(worker["Command"], json!(["worker"]));
    assert_eq!(worker["Name"], "worker");
    assert_eq!(worker["User"], "10001:10001");
    assert_eq!((&worker["ReadonlyRootFilesystem"], &worker["Privileged"]), (&json!(true), &json!(false)));
}
