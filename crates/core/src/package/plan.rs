//! Which backups a package is made of.

use crate::app::App;
use crate::model::{Artifact, Database, DatabaseId, Job, LeftOut, Member, Outline};
use crate::retention::heirs;
use crate::{Error, Result};

/// How many databases are read at once.
const PAGE: usize = 1_000;

/// Of which databases a package is wanted; none: of those whose policy says `package: true`.
pub type Wanted = Option<Vec<DatabaseId>>;

/// What a package would be made of now.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// One for each database that has a good backup, by the database's number.
    pub chosen: Vec<Chosen>,
    /// The databases that have none.
    pub missing: Vec<LeftOut>,
}

/// The backup of one database.
#[derive(Debug, Clone)]
pub struct Chosen {
    /// What it will be in the package.
    pub member: Member,
    pub(super) artifact: Artifact,
}

/// Chooses the newest good backup of each database that is wanted. Changes nothing.
///
/// # Errors
/// When the catalog cannot be read.
pub async fn plan(app: &App, wanted: &Wanted) -> Result<Plan> {
    let mut plan = Plan::default();
    for database in databases_of(app, wanted, &mut plan.missing).await? {
        match newest_good(app, &database).await? {
            Some(job) => plan.chosen.push(Chosen::of(&database, &job)?),
            None => plan.missing.push(LeftOut {
                database_id: database.id,
                database: database.settings.name.clone(),
                reason: "it has no good backup yet".to_owned(),
            }),
        }
    }
    Ok(plan)
}

async fn databases_of(app: &App, wanted: &Wanted, missing: &mut Vec<LeftOut>) -> Result<Vec<Database>> {
    if let Some(ids) = wanted {
        let mut ids = ids.clone();
        ids.sort_unstable();
        ids.dedup();
        let mut found = Vec::with_capacity(ids.len());
        for id in ids {
            match app.catalog.database(id).await? {
                Some(database) => found.push(database),
                None => missing.push(LeftOut {
                    database_id: id,
                    database: format!("database {id}"),
                    reason: "it is not registered any more".to_owned(),
                }),
            }
        }
        return Ok(found);
    }
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = app.catalog.databases(after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(found) };
        after = Some(last.id);
        found.extend(page.into_iter().filter(|database| database.settings.package));
    }
}

/// The newest good backup whose time has come; where there is no other, one whose time has not.
async fn newest_good(app: &App, database: &Database) -> Result<Option<Job>> {
    Ok(heirs::newest(app, database.id, Outline::is_good).await?.pop())
}

impl Chosen {
    fn of(database: &Database, job: &Job) -> Result<Self> {
        let backup = job.backup()?;
        let (Some(artifact), Some(name)) = (&backup.artifact, &backup.name) else {
            return Err(Error::internal("plan a package", format!("backup {} names no artifact", job.id)));
        };
        let member = Member {
            database_id: database.id,
            config_id: database.config_id.clone(),
            database: database.settings.name.clone(),
            engine: backup.engine,
            backup_id: job.id,
            backup_created_at: job.created_at,
            file: name.clone(),
            size_bytes: artifact.size_bytes,
            sha256: artifact.sha256.clone(),
            offset: 0,
        };
        Ok(Self { member, artifact: artifact.clone() })
    }

    /// The same database as one that is left out.
    pub(super) fn left_out(&self, reason: &str) -> LeftOut {
        LeftOut {
            database_id: self.member.database_id,
            database: self.member.database.clone(),
            reason: reason.to_owned(),
        }
    }
}

impl Plan {
    /// The stored bytes of all members together.
    pub fn size_bytes(&self) -> u64 {
        self.chosen.iter().map(|chosen| chosen.member.size_bytes).sum()
    }
}
