//! Which engines' tools are on this machine.

use std::env::split_paths;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use respaldo_adapters::environment;
use respaldo_core::Result;
use respaldo_core::engine::process::Invocation;
use respaldo_core::engine::{Toolbox, built};
use respaldo_core::redact::Redactor;

const LONGEST_ANSWER: usize = 4096;
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// What an engine needs: the tools' names, and how Debian and Ubuntu call their package.
struct Needs {
    engine: &'static str,
    tools: &'static [&'static str],
    package: &'static str,
    /// Whether a tool that tells this version is its engine's: names are shared.
    fits: fn(&str) -> bool,
}

const NEEDS: &[Needs] = &[
    Needs { engine: "postgres", tools: &["pg_dump", "psql"], package: "postgresql-client", fits: any },
    Needs {
        engine: "mysql",
        tools: &["mysqldump", "mysql"],
        package: "mysql-client (Ubuntu, or MySQL's APT repository; MariaDB's does not do)",
        fits: of_mysql,
    },
    Needs {
        engine: "mariadb",
        tools: &["mariadb-dump", "mariadb"],
        package: "mariadb-client",
        fits: of_mariadb,
    },
    Needs { engine: "sqlite", tools: &[], package: "", fits: any },
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

/// Prints what is there and what is missing. Fails when a tool of an engine of this build is missing.
pub(crate) async fn run() -> Result<ExitCode> {
    let path = environment::raw("PATH").unwrap_or_default();
    let toolbox = Toolbox::new(split_paths(&path)).with_distribution_folders();
    println!("respaldo {}", env!("CARGO_PKG_VERSION"));
    let mut whole = true;
    for needs in NEEDS.iter().filter(|needs| built().contains(&needs.engine)) {
        println!("{}", needs.engine);
        if needs.tools.is_empty() {
            println!("  ok       built in");
        }
        for tool in needs.tools {
            whole &= report(&toolbox, tool, needs).await;
        }
    }
    Ok(if whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn report(toolbox: &Toolbox, tool: &str, needs: &Needs) -> bool {
    let mut found = false;
    for path in toolbox.find_all(tool) {
        match version(&path).await {
            Ok(version) if (needs.fits)(&version) => {
                found = true;
                println!("  ok       {version} at {}", path.display());
            }
            Ok(version) => println!("  other    {version} at {}", path.display()),
            Err(error) => {
                found = true;
                println!("  broken   {} ({error})", path.display());
            }
        }
    }
    if !found {
        println!("  missing  {tool}: apt-get install {}", needs.package);
    }
    found
}

async fn version(tool: &Path) -> Result<String> {
    let call = Invocation::new(tool, Path::new("/")).arg("--version");
    let (_, output) = call.output(Redactor::new([]), LONGEST_ANSWER, LONGEST_WAIT).await?;
    let text = String::from_utf8_lossy(&output);
    Ok(text.lines().next().unwrap_or("no version told").trim().to_owned())
}
