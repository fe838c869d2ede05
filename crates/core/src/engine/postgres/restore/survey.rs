//! What there is at a target, and what stands in the way of a restore.

use serde::Deserialize;

use super::choose;
use super::session::Session;
use super::sql::{list, text};
use super::tools::{self, Tools};
use crate::Result;
use crate::engine::restore::{Present, Refusal, Survey, Target};
use crate::model::{Ownership, RestoreMode};

/// Databases that everything else on a server leans on.
const TEMPLATES: [&str; 2] = ["template0", "template1"];
/// The database from which others are renamed.
const MAINTENANCE: &str = "postgres";

/// What a server tells of a target.
#[derive(Debug, Deserialize)]
pub(super) struct Facts {
    pub(super) version: String,
    number: u32,
    login: String,
    pub(super) superuser: bool,
    createdb: bool,
    databases: Vec<Known>,
    pub(super) connections: Vec<Connected>,
    slots: Vec<String>,
    subscriptions: Vec<String>,
    prepared: u32,
}

/// A database of the server.
#[derive(Debug, Deserialize)]
struct Known {
    name: String,
    owner: String,
    owned: bool,
    size: Option<u64>,
}

/// Somebody who is connected to the target.
#[derive(Debug, Deserialize)]
pub(super) struct Connected {
    pid: i64,
    user: Option<String>,
    application: String,
    client: Option<String>,
    endable: bool,
}

impl Facts {
    /// Asks from a database that is none of the three.
    pub(super) async fn ask(server: &Session<'_>, target: &Target) -> Result<Self> {
        let names = list(&[target.database_name(), &target.aside, &target.kept]);
        let name = text(target.database_name());
        server
            .ask(&format!(
                "WITH me AS (SELECT oid, rolname, rolsuper, rolcreatedb FROM pg_roles WHERE rolname = current_user),
                 d AS (SELECT * FROM pg_database WHERE datname IN {names})
                 SELECT json_build_object(
                   'version', current_setting('server_version'),
                   'number', current_setting('server_version_num')::int,
                   'login', current_user::text,
                   'superuser', (SELECT rolsuper FROM me), 'createdb', (SELECT rolcreatedb FROM me),
                   'databases', coalesce((SELECT json_agg(json_build_object('name', datname,
                       'owner', pg_get_userbyid(datdba), 'owned', pg_has_role(datdba, 'MEMBER'),
                       'size', CASE WHEN has_database_privilege(oid, 'CONNECT') THEN pg_database_size(oid) END))
                     FROM d), '[]'),
                   'connections', coalesce((SELECT json_agg(json_build_object('pid', a.pid, 'user', a.usename,
                       'application', coalesce(a.application_name, ''), 'client', host(a.client_addr),
                       'endable', me.rolsuper OR a.usesysid = me.oid OR pg_has_role(a.usesysid, 'MEMBER')
                         OR pg_has_role('pg_signal_backend', 'MEMBER')
                           AND NOT coalesce((SELECT rolsuper FROM pg_roles r WHERE r.oid = a.usesysid), true))
                       ORDER BY a.pid)
                     FROM pg_stat_activity a, me WHERE a.datname = {name} AND a.pid <> pg_backend_pid()
                       AND coalesce(to_jsonb(a) ->> 'backend_type', 'client backend') IN
                         ('client backend', 'walsender')), '[]'),
                   'slots', coalesce((SELECT json_agg(slot_name) FROM pg_replication_slots
                     WHERE database = {name}), '[]'),
                   'subscriptions', coalesce((SELECT json_agg(s.subname) FROM pg_subscription s
                     JOIN d ON d.oid = s.subdbid WHERE d.datname = {name}), '[]'),
                   'prepared', (SELECT count(*) FROM pg_prepared_xacts WHERE database = {name}))"
            ))
            .await
    }

    pub(super) fn major(&self) -> u32 {
        self.number / 10_000
    }

    /// Which of the three are there.
    pub(super) fn present(&self, target: &Target) -> Present {
        Present {
            target: self.known(target.database_name()).is_some(),
            aside: self.known(&target.aside).is_some(),
            kept: self.known(&target.kept).is_some(),
        }
    }

    fn known(&self, name: &str) -> Option<&Known> {
        self.databases.iter().find(|database| database.name == name)
    }
}

impl Connected {
    fn line(&self) -> String {
        let Self { pid, user, application, client, .. } = self;
        let user = user.as_deref().unwrap_or("nobody");
        let from = client.as_deref().unwrap_or("the server's own machine");
        let with = if application.is_empty() { String::new() } else { format!(" with {application:?}") };
        format!("pid {pid}: {user}{with} from {from}")
    }
}

/// Who is connected, in one line.
pub(super) fn connected(connections: &[Connected]) -> Option<String> {
    const SHOWN: usize = 3;
    let mut lines: Vec<String> = connections.iter().take(SHOWN).map(Connected::line).collect();
    if let more @ 1.. = connections.len().saturating_sub(SHOWN) {
        lines.push(format!("{more} more"));
    }
    (!lines.is_empty()).then(|| lines.join("; "))
}

/// Looks, and changes nothing.
pub(super) async fn survey(target: &Target) -> Result<Survey> {
    let session = Session::prepare(&target.at)?;
    let facts = Facts::ask(&session.maintenance().await?, target).await?;
    let tools = Tools::choose(target, &facts, None).await;
    let known = facts.known(target.database_name());
    let mut refusals = refusals(target, &facts);
    match &tools {
        Err(error) => refusals.push(never(error.message(), error.mend().unwrap_or_default())),
        Ok(tools) => refusals.extend(tools.refusal(target)),
    }
    Ok(Survey {
        server_version: facts.version.clone(),
        present: facts.present(target),
        size_bytes: known.and_then(|known| known.size),
        connections: facts.connections.iter().map(Connected::line).collect(),
        modes: modes(target.database_name()),
        in_place_is_atomic: true,
        warnings: warnings(target, &facts),
        refusals,
        swap_step: None,
    })
}

fn modes(database: &str) -> Vec<RestoreMode> {
    match database {
        name if TEMPLATES.contains(&name) => Vec::new(),
        MAINTENANCE => vec![RestoreMode::InPlace],
        _ => vec![RestoreMode::Swap, RestoreMode::InPlace],
    }
}

fn warnings(target: &Target, facts: &Facts) -> Vec<String> {
    let mut warnings = Vec::new();
    if target.options.mode == RestoreMode::InPlace && facts.known(target.database_name()).is_some() {
        warnings.push("the database's own settings, grants and comment stay as they are".to_owned());
    }
    if !facts.superuser && target.options.ownership == Ownership::Keep {
        warnings.push(format!(
            "{} is no superuser: owners that it is no member of are refused; ownership none avoids that",
            facts.login
        ));
    }
    warnings
}

/// The first that holds for each reason.
fn refusals(target: &Target, facts: &Facts) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    refusals.extend(wrong_target(target));
    refusals.extend(older_server(target, facts));
    refusals.extend(rights(target, facts));
    refusals.extend(in_the_way(target, facts));
    refusals.extend(choose::refusals(target, facts.known(target.database_name()).is_some()));
    refusals.extend(superuser(target, facts));
    refusals
}

/// A dump that somebody else made, loaded by a login that may do everything on the server.
pub(super) fn superuser(target: &Target, facts: &Facts) -> Option<Refusal> {
    let allowed = target.dump.trusted || target.allow_superuser || target.scratch || !facts.superuser;
    (!allowed).then(|| {
        never(
            format!(
                "this dump was not made by this installation, and {} is a superuser: its SQL could run \
                 programs on the server",
                facts.login
            ),
            "restore as a login that owns the target database alone, or set restore.allow_superuser",
        )
    })
}

fn wrong_target(target: &Target) -> Option<Refusal> {
    let name = target.database_name();
    if TEMPLATES.contains(&name) {
        return Some(never(format!("{name} is what new databases are made from"), "restore into another"));
    }
    let swaps = target.options.mode == RestoreMode::Swap;
    if swaps && name == MAINTENANCE {
        let mend = "restore it with mode in_place, or into another database";
        return Some(never(format!("{name} is the database from which others are renamed"), mend));
    }
    let names = [name, &target.aside, &target.kept];
    let same = swaps && (names[0] == names[1] || names[0] == names[2] || names[1] == names[2]);
    same.then(|| never("target, aside and kept must have different names", "choose another target"))
}

fn older_server(target: &Target, facts: &Facts) -> Option<Refusal> {
    let dumped = tools::major(target.dump.server_version.as_deref()?)?;
    (dumped > facts.major()).then(|| Refusal {
        reason: format!("the dump is of PostgreSQL {dumped}, and the server is the older {}", facts.version),
        mend: format!("restore into a server of PostgreSQL {dumped} or newer"),
        forceable: true,
    })
}

fn rights(target: &Target, facts: &Facts) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    let login = &facts.login;
    let swaps = target.options.mode == RestoreMode::Swap;
    if swaps && !facts.superuser && !facts.createdb {
        refusals.push(never(
            format!("{login} may not create databases, which a swap needs"),
            format!("ALTER ROLE {login} CREATEDB, or restore with mode in_place"),
        ));
    }
    let known = facts.known(target.database_name());
    if let Some(known) = known.filter(|known| !known.owned && !facts.superuser) {
        refusals.push(never(
            format!("{:?} belongs to {}, and {login} is no member of it", known.name, known.owner),
            format!("restore as {} or as a superuser", known.owner),
        ));
    }
    if !swaps && known.is_none() {
        let reason = format!("there is no database {:?} to restore in place", target.database_name());
        refusals.push(never(reason, "restore with mode swap, which makes it"));
    }
    refusals
}

fn in_the_way(target: &Target, facts: &Facts) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    let mut forceable = |reason: String, mend: &str| {
        refusals.push(Refusal { reason, mend: mend.to_owned(), forceable: true });
    };
    if let Some(who) = connected(&facts.connections) {
        forceable(format!("the target is in use by {who}"), "end these connections, or use force");
    }
    let swaps = target.options.mode == RestoreMode::Swap;
    if swaps && !facts.slots.is_empty() {
        let slots = facts.slots.join(", ");
        forceable(
            format!("replication slots belong to the target and would stay with what is kept: {slots}"),
            "restore in place, or set up replication anew after the swap and use force",
        );
    }
    if swaps && !facts.subscriptions.is_empty() {
        let subscriptions = facts.subscriptions.join(", ");
        forceable(
            format!("the target subscribes to others, and would stop to: {subscriptions}"),
            "set up the subscriptions anew after the swap and use force",
        );
    }
    if let (false, Some(subscription)) = (swaps, facts.subscriptions.first()) {
        refusals.push(never(
            format!("the target's subscription {subscription:?} cannot be dropped in a transaction"),
            "drop the subscription first, or restore with mode swap",
        ));
    }
    if facts.prepared > 0 {
        let reason = format!("{} prepared transactions are open in the target", facts.prepared);
        refusals.push(never(
            reason,
            "end them with COMMIT PREPARED or ROLLBACK PREPARED (see pg_prepared_xacts)",
        ));
    }
    let stays = facts.connections.iter().find(|connected| !connected.endable);
    if let Some(stays) = stays.filter(|_| target.options.force) {
        let reason = format!("{} may not end the connection of {}", facts.login, stays.line());
        refusals.push(never(reason, "GRANT pg_signal_backend TO it, or end that connection yourself"));
    }
    refusals
}

/// What no force overrules.
pub(super) fn never(reason: impl Into<String>, mend: impl Into<String>) -> Refusal {
    Refusal { reason: reason.into(), mend: mend.into(), forceable: false }
}
