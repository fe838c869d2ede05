//! The system user that scratch servers run as.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use crate::{Error, ErrorKind, Result};

/// Where systems list their users.
const USERS: &str = "/etc/passwd";
/// Has no files and no rights anywhere.
const NOBODY: &str = "nobody";
const FIELD: &str = "server.run_as";

/// A system user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its name.
    pub name: String,
    /// Its number.
    pub uid: u32,
    /// Its group's number.
    pub gid: u32,
}

/// Whom a server shall run as; none: as this process itself, which is not root. As root, it is the wished
/// user, else the first of `usual` that the system has, else `nobody`: servers refuse to run as root.
///
/// # Errors
/// `Config`, with the field `server.run_as`, when the wished user is not there, is root, or cannot be become.
pub fn choose(wish: Option<&str>, usual: &[&str]) -> Result<Option<Account>> {
    let own = rustix::process::geteuid();
    let users = std::fs::read_to_string(USERS).unwrap_or_default();
    judge(own.as_raw(), wish, usual, &users)
}

fn judge(own: u32, wish: Option<&str>, usual: &[&str], users: &str) -> Result<Option<Account>> {
    let refused = |why: String, mend: &str| {
        Error::new(ErrorKind::Config, "choose a user", why).with_field(FIELD).with_mend(mend)
    };
    let Some(wish) = wish else {
        if own != 0 {
            return Ok(None);
        }
        let found = usual.iter().chain([&NOBODY]).find_map(|name| look_up(users, name));
        return found.map(Some).ok_or_else(|| {
            let why =
                format!("servers refuse to run as root, and {USERS} has none of {usual:?} and {NOBODY}");
            refused(why, "name a user that has no rights")
        });
    };
    let account = look_up(users, wish).ok_or_else(|| {
        refused(format!("{USERS} has no user {wish}"), "name a user of this machine, or leave it out")
    })?;
    match (own, account.uid) {
        (0, 0) => Err(refused("servers refuse to run as root".to_owned(), "name a user that has no rights")),
        (0, _) => Ok(Some(account)),
        (own, uid) if own == uid => Ok(None),
        _ => {
            let why = format!("only root may run a server as {wish}, and this process is not root");
            Err(refused(why, "leave it out: servers then run as this process's own user"))
        }
    }
}

/// `name:password:uid:gid:…`
fn look_up(users: &str, name: &str) -> Option<Account> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let found = fields.next()?;
        let (uid, gid) = (fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?);
        (found == name).then(|| Account { name: name.to_owned(), uid, gid })
    })
}

impl Account {
    /// Checks that this user may pass through every folder on the way to `folder`.
    pub(crate) fn reaches(&self, folder: &Path) -> Result<()> {
        for above in folder.ancestors() {
            let told = |e: std::io::Error| {
                Error::new(ErrorKind::Storage, "look at staging", format!("{}: {e}", above.display()))
            };
            let metadata = above.metadata().map_err(told)?;
            let mode = metadata.permissions().mode();
            let passes = if metadata.uid() == self.uid {
                mode & 0o100 != 0
            } else if metadata.gid() == self.gid {
                mode & 0o010 != 0
            } else {
                mode & 0o001 != 0
            };
            if !passes {
                let message = format!(
                    "the user {}, as whom scratch servers run, may not pass through {}",
                    self.name,
                    above.display()
                );
                return Err(Error::new(ErrorKind::Config, "make a scratch server", message)
                    .with_field("server.staging")
                    .with_mend(format!(
                        "chmod o+x {}, or set server.staging to a folder that it reaches",
                        above.display()
                    )));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOME: &str = "root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65533::/:/bin/false\n\
                        postgres:x:101:104::/:/bin/bash\nbroken\n";

    fn chosen(own: u32, wish: Option<&str>, usual: &[&str]) -> Result<Option<String>> {
        judge(own, wish, usual, SOME).map(|account| account.map(|account| account.name))
    }

    #[test]
    fn as_root_a_server_runs_as_the_wished_user_or_as_its_package_s_or_as_nobody() {
        assert_eq!(chosen(0, Some("nobody"), &["postgres"]).unwrap().as_deref(), Some("nobody"));
        assert_eq!(chosen(0, None, &["postgres"]).unwrap().as_deref(), Some("postgres"));
        assert_eq!(chosen(0, None, &["mysql"]).unwrap().as_deref(), Some("nobody"));
        assert_eq!(judge(0, None, &[], SOME).unwrap().unwrap().gid, 65533);
    }

    #[test]
    fn a_user_that_is_root_or_missing_or_cannot_be_become_is_refused_with_the_field() {
        for (own, wish) in [(0, "root"), (0, "nowhere"), (1000, "postgres")] {
            let error = chosen(own, Some(wish), &[]).unwrap_err();
            assert_eq!(error.field(), Some("server.run_as"), "{error}");
            assert!(error.mend().is_some(), "{error}");
        }
        assert!(judge(0, None, &["mysql"], "").is_err());
    }

    #[test]
    fn without_root_a_server_runs_as_this_process_does() {
        assert_eq!(chosen(1000, None, &["postgres"]).unwrap(), None);
        assert_eq!(chosen(101, Some("postgres"), &[]).unwrap(), None);
    }
}
