//! Loading by `mongorestore`.

use super::places::Place;
use super::prefix;
use crate::Result;
use crate::engine::feed::{Feed, feed};
use crate::engine::mongodb::tools::{self, Installed};
use crate::engine::mongodb::{Mongodb, explain};
use crate::engine::process::Invocation;
use crate::engine::restore::observer_for;
use crate::engine::{Dump, Observed, Target};
use crate::model::RestoreMode;

const OPERATION: &str = "load the dump";
/// One document that is refused ends it; documents come in their order; users and roles are not its affair.
const OPTIONS: [&str; 7] = [
    "--archive",
    "--stopOnError",
    "--maintainInsertionOrder",
    "--bypassDocumentValidation",
    "--nsExclude=admin.system.users",
    "--nsExclude=admin.system.roles",
    "--nsExclude=admin.system.version",
];

pub(super) async fn load(
    target: &Target,
    tool: &Installed,
    places: &[Place<'_>],
    dump: Dump,
) -> Result<Observed> {
    let mut invocation: Invocation = tools::invoke(&target.at, tool)?.args(OPTIONS).fed();
    for argument in names(target, places) {
        invocation = invocation.arg(argument);
    }
    let child = invocation.start(target.at.login.redactor(), Some(target.at.log.clone()))?;
    let fed = Feed {
        dump,
        most: target.dump.raw_bytes,
        observer: observer_for(&Mongodb, target),
        filter: None,
        meter: std::sync::Arc::clone(&target.meter),
    };
    feed(child, fed, |ended| explain::ended(OPERATION, &target.at, &ended)).await
}

/// Which namespaces it loads, and under which names.
fn names(target: &Target, places: &[Place<'_>]) -> Vec<String> {
    let Some(from) =
        places.iter().find(|place| place.is_loaded()).map(|place| place.declared.namespace().database())
    else {
        // Nothing of it is wanted; a pattern that nothing fits says so.
        return vec!["--nsInclude=respaldo.nothing".to_owned()];
    };
    let loaded = |place: &&Place<'_>| place.is_loaded();
    let all = places.iter().all(|place| place.is_loaded() || place.declared.namespace().database() != from);
    let mut arguments = if all {
        vec![format!("--nsInclude={}.*", escaped(from))]
    } else {
        let one =
            |place: &Place<'_>| format!("--nsInclude={}.{}", escaped(from), escaped(place.collection()));
        places.iter().filter(loaded).map(one).collect()
    };
    let to = escaped(target.database_name());
    let aside = match target.options.mode {
        RestoreMode::Swap => format!("{}.", prefix(target)),
        RestoreMode::InPlace => String::new(),
    };
    if !aside.is_empty() || from != target.database_name() {
        arguments.push(format!("--nsFrom={}.$collection$", escaped(from)));
        arguments.push(format!("--nsTo={to}.{aside}$collection$"));
    }
    arguments
}

/// A name in a pattern of the tool's.
fn escaped(name: &str) -> String {
    name.replace('\\', "\\\\").replace('*', "\\*").replace('$', "\\$")
}
