//! One restore of a target at a time, whoever asked for it: a database may be registered twice.
//!
//! The target is claimed in the catalog in a job's name. Nobody gives a claim back: that of a job which has ended
//! counts for nothing, so that no crash leaves a target locked.

use std::path::{Path, PathBuf};

use jiff::SignedDuration;
use sha2::{Digest as _, Sha256};

use crate::app::App;
use crate::jobs;
use crate::model::{EngineKind, JobId, Settings};
use crate::{Error, Result};

/// No restore works for longer; then a claim that nobody asked about is swept.
const LONGEST: SignedDuration = SignedDuration::from_hours(24 * 90);

/// Claims a target for a job; false while an older claim's job has not ended.
pub(super) async fn take(app: &App, settings: &Settings, target: &str, job: JobId) -> Result<bool> {
    let (key, mine, now) = (key(settings, target), job.to_string(), app.now());
    for _ in 0..jobs::MOST_CONFLICTS {
        let Some(holder) = app.catalog.claim(&key, &mine, now, Some(now + LONGEST)).await? else {
            return Ok(true);
        };
        if holder == mine {
            return Ok(true);
        }
        if !has_ended(app, &holder).await? {
            return Ok(false);
        }
        app.catalog.release_claim(&key, &holder).await?;
    }
    Err(Error::conflict("take a restore's turn", "its target is claimed anew all the time")
        .with_retryable(true))
}

async fn has_ended(app: &App, holder: &str) -> Result<bool> {
    let Ok(id) = holder.parse::<JobId>() else { return Ok(true) };
    Ok(app.catalog.job(id).await?.is_none_or(|job| job.status.is_terminal()))
}

/// The same for all names of one kind of server at one address; hashed, because a path may be longer than a key.
fn key(settings: &Settings, target: &str) -> String {
    let engine = match settings.engine {
        EngineKind::Mariadb => EngineKind::Mysql,
        other => other,
    };
    let host = settings.host.as_deref().unwrap_or_default().to_lowercase();
    let host = if matches!(host.as_str(), "localhost" | "::1" | "[::1]") { "127.0.0.1" } else { &host };
    let port = settings.port.or(engine.default_port()).unwrap_or_default();
    let file = (engine == EngineKind::Sqlite).then(|| real(Path::new(target)));
    let target = file.as_ref().map_or(target.into(), |file| file.to_string_lossy());
    let place = serde_json::json!([engine.as_str(), host, port, target]);
    format!("restore-target/{}", hex::encode(Sha256::digest(place.to_string())))
}

/// One file has one path, however it is written and whatever links lead to it, also before it is there. Where
/// even its folder cannot be looked at, the engine says why.
fn real(path: &Path) -> PathBuf {
    let beside = || Some(path.parent()?.canonicalize().ok()?.join(path.file_name()?));
    path.canonicalize().ok().or_else(beside).unwrap_or_else(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_file_has_one_key_however_its_path_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let [file, link] = ["shop.db", "link.db"].map(|name| folder.path().join(name));
        let detour = folder.path().join(".").join("shop.db");
        let key = |path: &Path| {
            let path = path.to_str().unwrap();
            super::key(&Settings::bare("a", EngineKind::Sqlite, path), path)
        };
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let before = key(&file);
        std::fs::write(&file, "").unwrap();
        assert_eq!(key(&file), before, "a restore may make the file");
        assert_eq!(key(&link), before);
        assert_eq!(key(&detour), before);
        assert_ne!(key(&folder.path().join("other.db")), before);
    }

    #[test]
    fn two_registrations_of_one_database_have_one_key() {
        let mysql =
            Settings { host: Some("localhost".to_owned()), ..Settings::bare("a", EngineKind::Mysql, "shop") };
        let mariadb = Settings {
            host: Some("127.0.0.1".to_owned()),
            port: Some(3306),
            ..Settings::bare("b", EngineKind::Mariadb, "shop")
        };
        assert_eq!(key(&mysql, "shop"), key(&mariadb, "shop"));
        assert_ne!(key(&mysql, "shop"), key(&mysql, "shop2"));
        let elsewhere = Settings { port: Some(3307), ..mysql.clone() };
        assert_ne!(key(&mysql, "shop"), key(&elsewhere, "shop"));
    }
}
