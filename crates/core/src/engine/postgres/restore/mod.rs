//! How `PostgreSQL` dumps are put back.
//!
//! `load` feeds `psql`: a plain dump as it is, an archive through `pg_restore`, both through the filter of
//! [`script`]. A swap loads into a new database made like the target, and the two exchange names in one
//! transaction; in place, one transaction drops everything and loads, and commits when the dump was found
//! whole to its last byte.

mod aside;
mod choose;
mod clear;
mod explain;
mod load;
mod rows_end;
mod script;
mod session;
mod sql;
mod survey;
mod swap;
mod tokens;
mod tools;

use std::fs::File;
use std::io::Read;

use async_trait::async_trait;
use tokio::time::Instant;

use self::choose::Choice;
pub use self::explain::MISSING_EXTENSION;
use self::script::{Rules, guarded};
use self::session::{QUESTION, READING, Session};
use self::survey::Facts;
use self::tools::Tools;
use super::Postgres;
use crate::engine::observe::Observed;
use crate::engine::restore::{DumpSource, Loaded, Refusal, Restorer, Survey, Target};
use crate::model::{DumpFormat, Ownership, RestoreMode};
use crate::{Error, ErrorKind, Result};

const LOAD: &str = "restore";

#[async_trait]
impl Restorer for Postgres {
    fn keeps(&self) -> bool {
        true
    }

    async fn survey(&self, target: &Target) -> Result<Survey> {
        survey::survey(target).await
    }

    async fn load(&self, target: &Target, dump: &DumpSource) -> Result<Loaded> {
        // Building an index gives no bytes for as long as it takes.
        let _hold = target.meter.hold();
        let session = Session::prepare(&target.at)?;
        let server = session.maintenance().await?;
        let facts = Facts::ask(&server, target).await?;
        let (choice, tools) = prepare(target, &facts, dump).await?;
        let mut warnings = choice.as_ref().map(|choice| choice.warnings.clone()).unwrap_or_default();
        let (into, observed) = match target.options.mode {
            RestoreMode::Swap => {
                let made = aside::make(&server, target).await?;
                let into = session.at(&target.aside);
                let rules = rules(target, &tools, String::new(), false)?;
                let observed = fill(&into, &tools, target, dump, rules, choice.as_ref()).await?;
                made.finish(&server, &target.aside).await?;
                (into, observed)
            }
            RestoreMode::InPlace => {
                if target.options.force {
                    server.run(&aside::end_connections(&[target.database_name()]), QUESTION).await?;
                }
                let prelude = guarded(&choice.as_ref().map_or_else(clear::everything, Choice::clear));
                let rules = rules(target, &tools, prelude, true)?;
                let observed = fill(&session, &tools, target, dump, rules, choice.as_ref()).await?;
                (session, observed)
            }
        };
        if choice.is_none() {
            check(&into, &observed).await?;
        }
        warnings.extend(analyze(&into, target).await);
        Ok(Loaded { observed, warnings })
    }

    async fn swap(&self, target: &Target) -> Result<()> {
        let session = Session::prepare(&target.at)?;
        swap::swap(&session.maintenance().await?, target).await
    }

    async fn drop_aside(&self, target: &Target) -> Result<()> {
        let session = Session::prepare(&target.at)?;
        // Nobody but us knows it: who is connected is a loader that was left behind.
        aside::drop_database(&session.maintenance().await?, &target.aside, true).await
    }

    async fn drop_kept(&self, target: &Target) -> Result<()> {
        let session = Session::prepare(&target.at)?;
        aside::drop_database(&session.maintenance().await?, &target.kept, target.options.force).await
    }
}

/// What is loaded, and with what; refused where a survey would have refused for good.
async fn prepare(target: &Target, facts: &Facts, dump: &DumpSource) -> Result<(Option<Choice>, Tools)> {
    target.at.log.info(format!("server {}", facts.version));
    refuse(survey::superuser(target, facts))?;
    let (contents, made_by) = match target.dump.format {
        DumpFormat::Plain => (None, None),
        DumpFormat::Custom => {
            let (contents, made_by) = load::contents(dump).await?;
            (Some(contents), made_by)
        }
    };
    let tools = Tools::choose(target, facts, made_by.as_deref()).await?;
    refuse(tools.refusal(target))?;
    let tables = &target.options.tables;
    if tables.is_empty() {
        return Ok((None, tools));
    }
    let refusals = choose::refusals(target, facts.present(target).target);
    refuse(refusals.into_iter().find(|refusal| !refusal.forceable))?;
    let alone = target.options.mode == RestoreMode::Swap;
    let choice = contents.map(|contents| choose::choose(contents, tables, alone));
    if let Some(unknown) = choice.as_ref().and_then(|choice| choice.unknown.as_ref()) {
        return Err(Error::invalid("tables", format!("the dump holds no table {unknown}")));
    }
    Ok((choice, tools))
}

fn refuse(refusal: Option<Refusal>) -> Result<()> {
    refusal.map_or(Ok(()), |refusal| Err(Error::conflict(LOAD, refusal.reason).with_mend(refusal.mend)))
}

fn rules(target: &Target, tools: &Tools, prelude: String, single: bool) -> Result<Rules> {
    Ok(Rules {
        restrict: tools.restricts().then(key).transpose()?,
        // Within a transaction no statement makes or drops a database, of whatever function it is part.
        single: single || !target.dump.trusted,
        trusted: target.dump.trusted,
        ownerless: target.options.ownership == Ownership::None,
        scratch: target.scratch,
        prelude,
    })
}

/// A key that no dump can know: from the system and not from a port, because nobody may foresee it.
fn key() -> Result<String> {
    let mut bytes = [0; 24];
    let drawn = File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
    drawn.map_err(|e| Error::internal("draw a key", e))?;
    Ok(hex::encode(bytes))
}

async fn fill(
    session: &Session<'_>,
    tools: &Tools,
    target: &Target,
    dump: &DumpSource,
    rules: Rules,
    choice: Option<&Choice>,
) -> Result<Observed> {
    target.at.log.info(format!("loading with {}", tools.psql.version));
    match target.dump.format {
        DumpFormat::Plain => load::plain(session, tools, target, dump, rules).await,
        DumpFormat::Custom => load::custom(session, tools, target, dump, rules, choice).await,
    }
}

/// Every table whose rows the dump held is there.
async fn check(session: &Session<'_>, observed: &Observed) -> Result<()> {
    // Names in another encoding are shown with their bytes escaped, and cannot be asked for.
    let names: Vec<&str> =
        observed.fingerprint.0.keys().map(String::as_str).filter(|name| !name.contains("\\x")).collect();
    if names.is_empty() {
        return Ok(());
    }
    let query = format!(
        "SELECT coalesce(json_agg(n), '[]') FROM unnest(ARRAY{}) AS n WHERE to_regclass(n) IS NULL",
        sql::array(&names)
    );
    let missing: Vec<String> = session.ask(&query).await?;
    let Some(first) = missing.first() else { return Ok(()) };
    let message = format!("table {first:?} is not there after loading, nor are {} more", missing.len() - 1);
    Err(Error::new(ErrorKind::Incomplete, LOAD, message))
}

/// Without statistics the first queries after a restore are planned badly; what a failure to gather them
/// means is said, because the data are whole.
async fn analyze(session: &Session<'_>, target: &Target) -> Option<String> {
    if target.scratch {
        return None;
    }
    let start = Instant::now();
    match session.run("ANALYZE", READING).await {
        Ok(_) => {
            target.at.log.info(format!("ANALYZE took {} ms", start.elapsed().as_millis()));
            None
        }
        Err(e) => Some(format!("the planner has no statistics, run ANALYZE: {}", e.message())),
    }
}
