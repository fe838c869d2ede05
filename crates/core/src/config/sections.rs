//! The file's sections but for `databases`, and what is documented for a later version.

use serde_json::{Map, Value};

use super::place::{Known, Place};
use super::{
    Build, Config, DEFAULT_JOB_TIMEOUT_HOURS, DEFAULT_LEASE_SECONDS, DEFAULT_MEMORY_BUDGET_MB,
    DEFAULT_PARALLEL_JOBS, DEFAULT_RETENTION_SCHEDULE, DEFAULT_SAFETY_DAYS, DEFAULT_STALL_SECONDS,
    DEFAULT_VERIFY_SCHEDULE, Global, PackageConf, Restore, Server, Stores, Verify, entries, fields, servers,
};
use crate::Result;
use crate::limits::{GIGABYTE, Uploads};
use crate::model::{ObjectLock, PackageFormat};
use crate::retention::RECORD_DAYS;

/// A petabyte: larger numbers are mistakes.
const MOST_GIGABYTES: u32 = 1_000_000;

const ROOT: Known = Known {
    fields: &[
        "global",
        "package-conf",
        "databases",
        "server",
        "catalog",
        "storage",
        "encryption",
        "retention",
        "restore",
        "verify",
        "uploads",
    ],
    later: &["notifications"],
};

const SERVER: Known = Known {
    fields: &[
        "listen",
        "sqlite_roots",
        "run_as",
        "allow_unauthenticated",
        "memory_budget_mb",
        "staging",
        "lease_seconds",
        "stall_seconds",
        "job_timeout_hours",
    ],
    later: &[],
};

const PACKAGE: Known = Known {
    fields: &["schedule", "timezone", "compression", "retention_days", "max_backups", "allow_incomplete"],
    later: &[],
};

const RESTORE: Known = Known { fields: &["allow_superuser", "safety_days"], later: &[] };
const VERIFY: Known = Known { fields: &["policy", "schedule", "timezone", "servers"], later: &[] };
const UPLOADS: Known = Known { fields: &["max_gb", "max_upload_gb"], later: &[] };

const RETENTION: Known = Known { fields: &["schedule", "object_lock"], later: &[] };
const OBJECT_LOCK: Known = Known { fields: &["mode", "days"], later: &[] };

/// The whole file.
pub(super) fn read(root: &Place<'_>, build: Build) -> Result<Config> {
    let root = root.section(&ROOT)?;
    let mut inherited = Map::new();
    let verify = verify(root.some("verify"), &mut inherited)?;
    if let Some(encryption) = root.get("encryption") {
        inherited.insert("encryption".to_owned(), fields::recipients(encryption, true)?.into());
    }
    let identity_file = root.get("encryption").map(fields::identity_file).transpose()?.flatten();
    let global = global(root.get("global"), inherited)?;
    let (retention_schedule, object_lock) = retention(root.get("retention"))?;
    Ok(Config {
        package: root.some("package-conf").map(package).transpose()?,
        retention_schedule,
        object_lock,
        verify,
        databases: match root.get("databases") {
            Some(list) => entries::read(list, &global.settings)?,
            None => Vec::new(),
        },
        server: server(root.get("server"))?,
        restore: restore(root.get("restore"))?,
        identity_file,
        uploads: uploads(root.some("uploads"))?,
        catalog: root.some("catalog").map(|place| url(place, build.catalogs)).transpose()?,
        storage: root.some("storage").map(|place| url(place, build.stores)).transpose()?,
        global,
    })
}

fn global(place: Option<&Place<'_>>, mut inherited: Map<String, Value>) -> Result<Global> {
    let mut max_parallel_jobs = DEFAULT_PARALLEL_JOBS;
    if let Some(place) = place {
        let section = place.section(&fields::GLOBAL)?;
        inherited.extend(fields::settings(&section)?);
        if let Some(number) = section.some("max_parallel_jobs") {
            max_parallel_jobs = number.number(1, 1_000)?;
        }
    }
    Ok(Global { settings: inherited, max_parallel_jobs })
}

fn package(place: &Place<'_>) -> Result<PackageConf> {
    let section = place.section(&PACKAGE)?;
    let number = |name, max| section.some(name).map(|place: &Place<'_>| place.number(1, max)).transpose();
    Ok(PackageConf {
        schedule: section.some("schedule").map(fields::schedule).transpose()?,
        timezone: section.some("timezone").map(fields::timezone).transpose()?,
        compression: match section.some("compression") {
            Some(word) => word.choice(&["zip", "tar.gz"])?.parse()?,
            None => PackageFormat::default(),
        },
        retention_days: number("retention_days", fields::MAX_DAYS)?,
        max_backups: number("max_backups", fields::MAX_KEPT)?,
        allow_incomplete: section.some("allow_incomplete").map(Place::boolean).transpose()?.unwrap_or(false),
    })
}

/// Its schedule and its locks. Without the section, or the field, it runs by default; an empty field turns it off.
fn retention(place: Option<&Place<'_>>) -> Result<(Option<String>, Option<ObjectLock>)> {
    let section = place.map(|place| place.section(&RETENTION)).transpose()?;
    let section = section.as_ref();
    let schedule = match section.and_then(|section| section.get("schedule")) {
        None => Some(DEFAULT_RETENTION_SCHEDULE.to_owned()),
        Some(off) if off.is_null() => None,
        Some(schedule) => Some(fields::schedule(schedule)?),
    };
    let lock = section.and_then(|section| section.some("object_lock"));
    Ok((schedule, lock.map(object_lock).transpose()?))
}

fn object_lock(place: &Place<'_>) -> Result<ObjectLock> {
    let section = place.section(&OBJECT_LOCK)?;
    let missing = |what: &str| place.error(format!("names no {what}; it takes both mode and days"));
    let mode = section.some("mode").ok_or_else(|| missing("mode"))?.choice(&["governance", "compliance"])?;
    let days = section.some("days").ok_or_else(|| missing("days"))?.number(1, fields::MAX_DAYS)?;
    Ok(ObjectLock { mode: mode.parse()?, days })
}

fn restore(place: Option<&Place<'_>>) -> Result<Restore> {
    let mut restore = Restore { allow_superuser: false, safety_days: DEFAULT_SAFETY_DAYS };
    let Some(place) = place else { return Ok(restore) };
    let section = place.section(&RESTORE)?;
    if let Some(allow) = section.some("allow_superuser") {
        restore.allow_superuser = allow.boolean()?;
    }
    if let Some(days) = section.some("safety_days") {
        // Then the restore itself is forgotten.
        restore.safety_days = days.number(1, RECORD_DAYS)?;
    }
    Ok(restore)
}

/// A word is the policy that databases inherit; a mapping says when `daily` and `weekly` have their turn.
fn verify(place: Option<&Place<'_>>, inherited: &mut Map<String, Value>) -> Result<Verify> {
    let mut verify =
        Verify { schedule: Some(DEFAULT_VERIFY_SCHEDULE.to_owned()), timezone: None, servers: Vec::new() };
    let Some(place) = place else { return Ok(verify) };
    if !place.is_mapping() {
        inherited.insert("verify".to_owned(), fields::verify(place)?.into());
        return Ok(verify);
    }
    let section = place.section(&VERIFY)?;
    if let Some(policy) = section.some("policy") {
        inherited.insert("verify".to_owned(), fields::verify(policy)?.into());
    }
    if let Some(schedule) = section.get("schedule") {
        verify.schedule = if schedule.is_null() { None } else { Some(fields::schedule(schedule)?) };
    }
    verify.timezone = section.some("timezone").map(fields::timezone).transpose()?;
    verify.servers = section.some("servers").map(servers::read).transpose()?.unwrap_or_default();
    Ok(verify)
}

fn uploads(place: Option<&Place<'_>>) -> Result<Uploads> {
    let mut uploads = Uploads::default();
    let Some(place) = place else { return Ok(uploads) };
    let section = place.section(&UPLOADS)?;
    for (field, value) in [("max_gb", &mut uploads.most_raw), ("max_upload_gb", &mut uploads.most_sent)] {
        if let Some(number) = section.some(field) {
            *value = u64::from(number.number(1, MOST_GIGABYTES)?) * GIGABYTE;
        }
    }
    Ok(uploads)
}

fn server(place: Option<&Place<'_>>) -> Result<Server> {
    let mut server = Server {
        listen: None,
        sqlite_roots: vec!["data".to_owned()],
        run_as: None,
        allow_unauthenticated: false,
        memory_budget_mb: DEFAULT_MEMORY_BUDGET_MB,
        staging: None,
        lease_seconds: DEFAULT_LEASE_SECONDS,
        stall_seconds: DEFAULT_STALL_SECONDS,
        job_timeout_hours: DEFAULT_JOB_TIMEOUT_HOURS,
    };
    let Some(place) = place else { return Ok(server) };
    let section = place.section(&SERVER)?;
    if let Some(listen) = section.some("listen") {
        let address = listen.text()?.parse();
        server.listen = Some(address.map_err(|_| {
            listen.error("must be an IP address and a port, such as 127.0.0.1:8000 or [::1]:8000")
        })?);
    }
    if let Some(roots) = section.some("sqlite_roots") {
        let roots: Result<Vec<_>> = roots.list()?.iter().map(|root| root.text().map(str::to_owned)).collect();
        server.sqlite_roots = roots?;
    }
    if let Some(user) = section.some("run_as") {
        server.run_as = Some(user.text()?.to_owned());
    }
    if let Some(allow) = section.some("allow_unauthenticated") {
        server.allow_unauthenticated = allow.boolean()?;
    }
    if let Some(budget) = section.some("memory_budget_mb") {
        server.memory_budget_mb = budget.number(32, 1024 * 1024)?;
    }
    if let Some(folder) = section.some("staging") {
        server.staging = Some(folder.text()?.to_owned());
    }
    for (field, value, most) in [
        ("lease_seconds", &mut server.lease_seconds, 3_600),
        ("stall_seconds", &mut server.stall_seconds, 24 * 3_600),
        ("job_timeout_hours", &mut server.job_timeout_hours, 24 * 30),
    ] {
        if let Some(number) = section.some(field) {
            *value = number.number(1, most)?;
        }
    }
    Ok(server)
}

/// A URL that this build can open, without any secret in it.
fn url(place: &Place<'_>, known: Stores) -> Result<String> {
    let schemes = known.here;
    let text = place.text()?;
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err(place.error(format!("must be a URL that begins with {}", spelled(schemes))));
    };
    if let Some(why) = known.why_left_out(scheme) {
        return Err(place.error(why));
    }
    if !schemes.contains(&scheme) {
        return Err(place.error(format!("must begin with {}", spelled(schemes))));
    }
    let (location, query) = rest.split_once('?').unwrap_or((rest, ""));
    let authority = location.split('/').next().unwrap_or_default();
    let telling = |name: &str| {
        ["secret", "password", "token", "access_key", "account_key", "sas", "credential"]
            .iter()
            .any(|word| name.contains(word))
    };
    let named = query.split('&').filter_map(|pair| pair.split('=').next());
    if authority.contains('@') || named.map(str::to_ascii_lowercase).any(|name| telling(&name)) {
        return Err(place.error(
            "holds a key or a password; secrets do not stand in this file: put them into the environment \
             (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY)",
        ));
    }
    Ok(text.to_owned())
}

pub(super) fn spelled(schemes: &[&str]) -> String {
    schemes.iter().map(|scheme| format!("{scheme}://")).collect::<Vec<_>>().join(", ")
}
