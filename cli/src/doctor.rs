//! What this machine and this configuration lack: engines' tools, and databases' credentials.

use std::collections::BTreeSet;
use std::env::split_paths;
use std::fs;
use std::io::ErrorKind as Io;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use respaldo_adapters::environment;
use respaldo_adapters::identity;
use respaldo_core::config::{Config, Entry};
use respaldo_core::engine::process::Invocation;
use respaldo_core::engine::{Toolbox, built};
use respaldo_core::model::Credentials;
use respaldo_core::ports::Secrets;
use respaldo_core::redact::Redactor;
use respaldo_core::{Error, ErrorKind, Result};

const CONFIG_FILE: &str = "config.yaml";
const LONGEST_ANSWER: usize = 4096;
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// What an engine needs: the tools' names, and how Debian and Ubuntu call their package.
struct Needs {
    engine: &'static str,
    tools: &'static [&'static str],
    package: &'static str,
    /// Whether a tool that tells this version is its engine's: names are shared.
    fits: fn(&str) -> bool,
    /// What does the tools' work where they are missing.
    instead: Option<&'static str>,
}

const NEEDS: &[Needs] = &[
    Needs {
        engine: "postgres",
        tools: &["pg_dump", "psql"],
        package: "apt-get install postgresql-client",
        fits: any,
        instead: None,
    },
    Needs {
        engine: "mysql",
        tools: &["mysqldump", "mysql"],
        package: "apt-get install mysql-client (Ubuntu, or MySQL's APT repository; MariaDB's does not do)",
        fits: of_mysql,
        instead: None,
    },
    Needs {
        engine: "mariadb",
        tools: &["mariadb-dump", "mariadb"],
        package: "apt-get install mariadb-client",
        fits: of_mariadb,
        instead: None,
    },
    Needs { engine: "sqlite", tools: &[], package: "", fits: any, instead: None },
    Needs {
        engine: "mongodb",
        tools: &["mongodump", "mongorestore"],
        package: "install mongodb-database-tools from MongoDB's own repository",
        fits: any,
        instead: Some("what is built in does its work"),
    },
];

fn any(_version: &str) -> bool {
    true
}

fn of_mariadb(version: &str) -> bool {
    version.contains("MariaDB")
}

fn of_mysql(version: &str) -> bool {
    !of_mariadb(version)
}

/// Lines for people, and whether anything is missing.
#[derive(Debug)]
struct Findings {
    lines: Vec<String>,
    whole: bool,
}

impl Findings {
    fn say(&mut self, line: impl Into<String>) {
        self.lines.push(line.into());
    }

    fn lack(&mut self, line: impl Into<String>) {
        self.lines.push(line.into());
        self.whole = false;
    }
}

/// Prints what is there and what is missing. Fails when something is that a database of the file needs;
/// without a file nobody knows what is needed.
pub(crate) async fn run(file: Option<&Path>) -> anyhow::Result<ExitCode> {
    let path = environment::raw("PATH").unwrap_or_default();
    let toolbox = Toolbox::new(split_paths(&path)).with_distribution_folders();
    println!("respaldo {}", env!("CARGO_PKG_VERSION"));
    let config = read(file)?;
    let found = examine(&toolbox, &respaldo_local_server::secrets()?, config.as_ref()).await;
    found.lines.iter().for_each(|line| println!("{line}"));
    Ok(if found.whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The file that was named, which must be there, or else `config.yaml`, which may be.
fn read(file: Option<&Path>) -> anyhow::Result<Option<(String, Config)>> {
    let path = file.unwrap_or(Path::new(CONFIG_FILE));
    let name = path.display().to_string();
    match fs::read_to_string(path) {
        Ok(text) => {
            Ok(Some((name.clone(), Config::parse_named(&name, &text, respaldo_local_server::BUILD)?)))
        }
        Err(error) if error.kind() == Io::NotFound && file.is_none() => Ok(None),
        Err(error) => Err(error).with_context(|| format!("read {name}")),
    }
}

async fn examine(toolbox: &Toolbox, secrets: &dyn Secrets, config: Option<&(String, Config)>) -> Findings {
    let mut found = Findings { lines: Vec::new(), whole: true };
    let used: Option<BTreeSet<&str>> =
        config.map(|(_, config)| config.databases.iter().map(engine).collect());
    for needs in NEEDS.iter().filter(|needs| built().contains(&needs.engine)) {
        found.say(needs.engine);
        if needs.tools.is_empty() {
            found.say("  ok       built in");
        }
        let needed = is_needed(needs, used.as_ref(), toolbox);
        for tool in needs.tools {
            look_for(toolbox, tool, needs, needed, &mut found).await;
        }
    }
    if let Some((name, config)) = config {
        found.say(format!("{name}: {} databases", config.databases.len()));
        for entry in &config.databases {
            look_at(entry, secrets, &mut found).await;
        }
        look_at_identity(config, secrets, &mut found).await;
    }
    found
}

/// Says whether encrypted backups can be opened, where the file or the environment means them to be.
async fn look_at_identity(config: &Config, secrets: &dyn Secrets, found: &mut Findings) {
    let keys = match (secrets.get(identity::VARIABLE).await, &config.identity_file) {
        (Ok(Some(text)), _) => identity::parse(&text),
        (Ok(None), Some(file)) => identity::read(Path::new(file)),
        (Ok(None), None) => return,
        (Err(error), _) => Err(error),
    };
    match keys {
        Ok(keys) => found.say(format!("  ok       identities that open encrypted backups: {}", keys.len())),
        Err(error) => found.lack(format!("  missing  {error}")),
    }
}

/// Whether nothing else will do. A database that is registered as `mysql` may live on MariaDB, and the
/// other way round: its server decides whose tools dump it.
fn is_needed(needs: &Needs, used: Option<&BTreeSet<&str>>, toolbox: &Toolbox) -> bool {
    let Some(used) = used else { return false };
    match needs.engine {
        "mysql" => used.contains("mysql") && toolbox.find_all("mariadb-dump").is_empty(),
        engine => used.contains(engine),
    }
}

async fn look_for(toolbox: &Toolbox, tool: &str, needs: &Needs, needed: bool, found: &mut Findings) {
    let mut there = false;
    for path in toolbox.find_all(tool) {
        match version(&path).await {
            Ok(version) if (needs.fits)(&version) => {
                there = true;
                found.say(format!("  ok       {version} at {}", path.display()));
            }
            Ok(version) => found.say(format!("  other    {version} at {}", path.display())),
            Err(error) => found.say(format!("  broken   {} ({error})", path.display())),
        }
    }
    if let Some(instead) = needs.instead.filter(|_| !there) {
        found.say(format!("  absent   {tool}: {instead} (or {})", needs.package));
        return;
    }
    let missing = format!("  missing  {tool}: {}", needs.package);
    match (there, needed) {
        (false, true) => found.lack(missing),
        (false, false) => found.say(format!("{missing} (no database here is known to need it)")),
        (true, _) => {}
    }
}

/// Says of a database of the file why it would be held back.
async fn look_at(entry: &Entry, secrets: &dyn Secrets, found: &mut Findings) {
    let (id, engine) = (&entry.config_id, engine(entry));
    let mut lacks = Vec::new();
    if !built().contains(&engine) {
        lacks.push(format!(
            "the engine {engine} is not built yet in this version; built are {}",
            built().join(", ")
        ));
    }
    if let Credentials::Reference { username_var, password_var } = &entry.credentials {
        for name in [username_var, password_var].into_iter().flatten() {
            match secrets.get(name).await {
                Ok(Some(_)) => {}
                Ok(None) => lacks.push(format!("the variable {name} is not set: set it, or {name}_FILE")),
                Err(error) if name.contains(':') => lacks.push(error.to_string()),
                Err(error) => lacks.push(format!("the variable {name} cannot be used: {}", error.message())),
            }
        }
    }
    if lacks.is_empty() {
        found.say(format!("  ok       {id} ({engine})"));
    }
    for lack in lacks {
        found.lack(format!("  missing  {id}: {lack}"));
    }
}

fn engine(entry: &Entry) -> &str {
    entry.settings.get("engine").and_then(|engine| engine.as_str()).unwrap_or_default()
}

async fn version(tool: &Path) -> Result<String> {
    let call = Invocation::new(tool, Path::new("/")).arg("--version");
    let (ended, output) = call.output(Redactor::new([]), LONGEST_ANSWER, LONGEST_WAIT).await?;
    if !ended.status.success() {
        let said = ended.stderr.lines().last().unwrap_or("it said nothing").trim();
        return Err(Error::new(ErrorKind::Tool, "ask for its version", format!("{said} ({})", ended.status)));
    }
    let text = String::from_utf8_lossy(&output);
    Ok(text.lines().next().unwrap_or("no version told").trim().to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use respaldo_testkit::app::MapSecrets;

    use super::*;

    fn config(text: &str) -> (String, Config) {
        ("c.yaml".to_owned(), Config::parse(text).unwrap())
    }

    const POSTGRES: &str = "databases:\n  - {id: pg, name: P, engine: postgres, host: h, database_name: d}\n";
    const SQLITE: &str = "databases:\n  - {id: notes, name: N, engine: sqlite, database_name: data/n.db}\n";

    #[tokio::test]
    async fn a_missing_tool_fails_only_where_a_database_needs_it() {
        let (nothing, secrets) = (Toolbox::default(), MapSecrets::default());
        let needed = examine(&nothing, &secrets, Some(&config(POSTGRES))).await;
        assert!(!needed.whole);
        assert!(needed.lines.contains(&"  missing  pg_dump: apt-get install postgresql-client".to_owned()));
        let spare = examine(&nothing, &secrets, Some(&config(SQLITE))).await;
        assert!(spare.whole, "{spare:?}");
        assert!(spare.lines.iter().any(|line| line.contains("pg_dump") && line.contains("no database")));
        let unknown = examine(&nothing, &secrets, None).await;
        assert!(unknown.whole && unknown.lines.iter().any(|line| line.contains("missing  pg_dump")));
    }

    #[tokio::test]
    async fn a_tool_that_something_built_in_stands_for_is_never_missing() {
        let mongodb = "databases:\n  - {id: m, name: M, engine: mongodb, host: h, database_name: d}\n";
        let found = examine(&Toolbox::default(), &MapSecrets::default(), Some(&config(mongodb))).await;
        assert!(found.whole, "{found:?}");
        let absent = |tool: &str| format!("  absent   {tool}: what is built in does its work");
        for tool in ["mongodump", "mongorestore"] {
            assert!(found.lines.iter().any(|line| line.starts_with(&absent(tool))), "{found:?}");
        }
    }

    #[tokio::test]
    async fn an_identity_file_that_cannot_be_used_is_found_before_a_restore_needs_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("identity.txt");
        let config = config(&format!("encryption: {{identity_file: {}}}\n", file.display()));
        let (nothing, secrets) = (Toolbox::default(), MapSecrets::default());
        let found = examine(&nothing, &secrets, Some(&config)).await;
        assert!(!found.whole && found.lines.last().unwrap().contains("is not there"), "{found:?}");
        secrets.set(identity::VARIABLE, "nonsense");
        let found = examine(&nothing, &secrets, Some(&config)).await;
        assert!(!found.whole && found.lines.last().unwrap().contains("RESPALDO_IDENTITY"), "{found:?}");
    }

    #[tokio::test]
    async fn a_tool_that_cannot_tell_its_version_is_broken_and_does_not_count() {
        let folder = tempfile::tempdir().unwrap();
        for tool in ["pg_dump", "psql"] {
            let path = folder.path().join(tool);
            fs::write(&path, "#!/bin/sh\necho 'cannot open shared object file' >&2\nexit 127\n").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let toolbox = Toolbox::new([folder.path().to_owned()]);
        let found = examine(&toolbox, &MapSecrets::default(), Some(&config(POSTGRES))).await;
        assert!(!found.whole, "{found:?}");
        let told = |part: &str| found.lines.iter().any(|line| line.contains(part));
        assert!(told("  broken   ") && told("cannot open shared object file"), "{found:?}");
        assert!(!told("no version told") && told("  missing  pg_dump"), "{found:?}");
    }
}
