//! The account that loads dumps of unknown origin: it may do everything in one database and nothing
//! elsewhere, whatever the SQL that it is given.
//!
//! Its name follows from the database's, so that the next try finds it. It is dropped after the load, unless
//! the dump left views, routines, triggers or events: those run as the account that made them, and would not
//! run without it. Then it stays, locked, and they may still do nothing beyond their database.

use std::fmt::Write as _;
use std::io::Read;
use std::os::unix::fs::DirBuilderExt;

use sha2::{Digest, Sha256};

use super::session::Session;
use super::state::{self, State, quoted};
use crate::engine::mysql::grants;
use crate::engine::mysql::tools::Family;
use crate::engine::source::{ResolvedLogin, Source};
use crate::engine::{Refusal, Target};
use crate::ports::SecretString;
use crate::{Error, ErrorKind, Result};

/// What a dump needs in its own database.
const PRIVILEGES: &str = "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, REFERENCES, INDEX, ALTER, \
    CREATE TEMPORARY TABLES, LOCK TABLES, EXECUTE, CREATE VIEW, SHOW VIEW, CREATE ROUTINE, ALTER ROUTINE, EVENT, TRIGGER";
const OPERATION: &str = "make an account for the load";

/// Who loads a dump.
pub(super) enum Loader {
    /// The registered login.
    Login,
    /// An account of the load's own.
    Limited(Box<Source>),
}

/// Whether a dump of unknown origin can be kept to its target here; else what stands in the way.
pub(super) fn refusal(state: &State, target: &Target) -> Option<Refusal> {
    let allowed = target.dump.trusted || target.allow_superuser;
    if allowed || is_limited(state, target) || may_make(state, target) {
        return None;
    }
    Some(Refusal {
        reason: "the dump is not one of this installation's, and the user may neither make an account that is \
                 limited to the target, nor is it limited itself"
            .to_owned(),
        mend: "GRANT CREATE USER ON *.* and ALL ON the target WITH GRANT OPTION TO the user, or restore as a user \
               that has privileges on the target only, or set restore.allow_superuser"
            .to_owned(),
        forceable: false,
    })
}

/// Whether the login itself may touch nothing but the restore's databases.
fn is_limited(state: &State, target: &Target) -> bool {
    grants::only_on(&state.grants, &[target.database_name(), &target.aside, &target.kept])
}

fn may_make(state: &State, target: &Target) -> bool {
    let grants = &state.grants;
    grants::has_roles(grants)
        || grants::holds_everywhere(grants, &["CREATE USER"])
            && grants::may_grant(grants, super::into(target))
}

/// Makes what is needed to load into that database.
pub(super) async fn prepare(session: &Session<'_>, into: &str) -> Result<Loader> {
    let target = session.target;
    if let Some(refusal) = refusal(&session.state, target) {
        return Err(Error::new(ErrorKind::Denied, OPERATION, refusal.reason).with_mend(refusal.mend));
    }
    let makes = may_make(&session.state, target) && !is_limited(&session.state, target);
    if target.dump.trusted || !makes {
        return Ok(Loader::Login);
    }
    let (name, password) = (name(into), password()?);
    let account = account(&name);
    // A database in a grant is a pattern.
    let pattern = quoted(into).replace('\\', "\\\\").replace('_', "\\_").replace('%', "\\%");
    let orders = [
        format!("DROP USER IF EXISTS {account}"),
        format!("CREATE USER {account} IDENTIFIED BY {}", state::text(&password)),
        format!("GRANT {PRIVILEGES} ON {pattern}.* TO {account}"),
    ];
    session.order(OPERATION, &orders).await?;
    let staging = target.at.staging.join("limited");
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&staging)
        .map_err(|e| Error::new(ErrorKind::Storage, OPERATION, e.to_string()))?;
    Ok(Loader::Limited(Box::new(Source {
        settings: target.at.settings.clone(),
        login: ResolvedLogin { username: Some(name), password: Some(SecretString::from(password)) },
        toolbox: std::sync::Arc::clone(&target.at.toolbox),
        staging,
        sqlite_roots: vec![],
        log: target.at.log.clone(),
    })))
}

/// Drops the account, or locks it where something runs as it; then says so.
pub(super) async fn close(session: &Session<'_>, loader: &Loader, into: &str) -> Result<Option<String>> {
    if matches!(loader, Loader::Login) {
        return Ok(None);
    }
    let left = session.state.schema(into).map(state::Schema::bound).unwrap_or_default();
    if left.is_empty() {
        discard(session, into).await?;
        return Ok(None);
    }
    let name = name(into);
    // Before it, an account cannot be locked; nobody knows its password.
    let locks = session.state.family == Family::Mysql || session.state.series >= (10, 4);
    let orders: &[String] = &[format!("ALTER USER {} ACCOUNT LOCK", account(&name))];
    session.order("lock the load's account", if locks { orders } else { &[] }).await?;
    Ok(Some(format!(
        "{} of the dump run as the account {name}, which may touch nothing but {into} and is locked: do not drop it",
        left.join(", ")
    )))
}

/// Closes it behind a load that failed, whose error says more than what goes wrong now: the next try drops what
/// stays.
pub(super) async fn give_up(session: &mut Session<'_>, loader: &Loader, into: &str) {
    if matches!(loader, Loader::Login) {
        return;
    }
    let closed = match session.refresh().await {
        Ok(()) => close(session, loader, into).await,
        Err(error) => Err(error),
    };
    if let Err(error) = closed {
        let line = format!("the account {} stays until the restore is tried again: {error}", name(into));
        session.target.at.log.warn(line);
    }
}

/// Drops the account, if one can have been made.
pub(super) async fn discard(session: &Session<'_>, into: &str) -> Result<()> {
    if session.target.dump.trusted || !may_make(&session.state, session.target) {
        return Ok(());
    }
    session.order("drop the load's account", &[format!("DROP USER IF EXISTS {}", account(&name(into)))]).await
}

/// MySQL takes 32 characters.
fn name(into: &str) -> String {
    let digest = Sha256::digest(into.as_bytes());
    format!("respaldo_{}", hex::encode(&digest[..10]))
}

fn account(name: &str) -> String {
    format!("{}@'%'", state::text(name))
}

/// 192 bits that the system made, and a character of every class that a server may ask for.
fn password() -> Result<String> {
    let mut bytes = [0; 24];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut random| random.read_exact(&mut bytes))
        .map_err(|e| Error::internal(OPERATION, e))?;
    let mut password = String::from("Aa1!");
    for byte in bytes {
        // Writing to a string cannot fail.
        let _written = write!(password, "{byte:02x}");
    }
    Ok(password)
}
