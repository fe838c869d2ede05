//! Dumping by `mongodump`.

use super::{OPERATION, server};
use crate::Result;
use crate::engine::mongodb::archive::ArchiveObserver;
use crate::engine::mongodb::explain;
use crate::engine::mongodb::server::Listed;
use crate::engine::mongodb::tools::{self, Installed};
use crate::engine::observe::Observed;
use crate::engine::process::{self, Invocation};
use crate::engine::sink::RawSink;
use crate::engine::source::Source;
use crate::model::{Consistency, Settings};

/// What `mongodump` takes of `admin`, and what is no collection of anybody's.
const ACCESS: [&str; 3] = ["system.users", "system.roles", "system.version"];

pub(super) async fn dump(
    source: &Source,
    tool: &Installed,
    listed: Vec<Listed>,
    sink: &mut RawSink,
) -> Result<Observed> {
    let all: Vec<String> = listed.iter().map(|listed| listed.name.clone()).collect();
    let chosen = server::chosen(&source.settings, listed)?;
    let chosen: Vec<&str> = chosen.iter().map(|listed| listed.name.as_str()).collect();
    source.log.info("consistency: each collection is read by itself, while others may write");
    let mut invocation = tools::invoke(source, tool)?.arg("--archive");
    invocation = invocation.arg(format!("--db={}", source.settings.database_name));
    for argument in choice(&source.settings, &all, &chosen) {
        invocation = invocation.arg(argument);
    }
    let observed = run(source, invocation, sink).await?;
    Ok(Observed { consistency: Some(Consistency::PerCollection), ..observed })
}

async fn run(source: &Source, invocation: Invocation, sink: &mut RawSink) -> Result<Observed> {
    let child = invocation.start(source.login.redactor(), Some(source.log.clone()))?;
    let observer = Box::new(ArchiveObserver::new());
    process::stream(child, observer, sink, |ended| explain::ended(OPERATION, source, &ended)).await
}

/// `mongodump` takes one collection, or all but some. (One that somebody makes meanwhile is then taken too.)
fn choice(settings: &Settings, all: &[String], chosen: &[&str]) -> Vec<String> {
    let mut arguments = Vec::new();
    match (&settings.collections[..], chosen) {
        ([], _) => {
            if settings.database_name == "admin" && !settings.users_and_roles {
                arguments.extend(ACCESS.map(|name| format!("--excludeCollection={name}")));
            }
            arguments.push(format!("--excludeCollectionsWithPrefix={}", server::RESTORES));
        }
        (_, [one]) => arguments.push(format!("--collection={one}")),
        _ => {
            let others =
                all.iter().filter(|name| !chosen.contains(&name.as_str()) && !server::is_systems(name));
            arguments.extend(others.map(|name| format!("--excludeCollection={name}")));
        }
    }
    if settings.users_and_roles && settings.database_name != "admin" {
        arguments.push("--dumpDbUsersAndRoles".to_owned());
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::EngineKind;

    #[test]
    fn chosen_collections_become_the_tool_s_words() {
        let all: Vec<String> = ["a", "b", "c"].map(str::to_owned).to_vec();
        let mut settings = Settings::bare("n", EngineKind::Mongodb, "d");
        let prefix = "--excludeCollectionsWithPrefix=respaldo_loading_";
        assert_eq!(choice(&settings, &all, &["a", "b", "c"]), [prefix]);
        settings.users_and_roles = true;
        assert_eq!(choice(&settings, &all, &["a", "b", "c"]), [prefix, "--dumpDbUsersAndRoles"]);
        settings.users_and_roles = false;
        settings.collections = vec!["a".to_owned()];
        assert_eq!(choice(&settings, &all, &["a"]), ["--collection=a"]);
        settings.collections = vec!["a".to_owned(), "c".to_owned()];
        assert_eq!(choice(&settings, &all, &["a", "c"]), ["--excludeCollection=b"]);
    }
}
