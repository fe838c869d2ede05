//! Which `psql` and `pg_restore` load a dump.

use super::super::smallest;
use super::survey::{Facts, never};
use crate::Result;
use crate::engine::restore::{Refusal, Target};
use crate::engine::toolbox::Tool;
use crate::model::DumpFormat;

/// The first minor of a major whose `psql` knows `\restrict`; all newer majors do.
const RESTRICT: [(u32, u32); 5] = [(13, 22), (14, 19), (15, 14), (16, 10), (17, 6)];

/// The tools that load a dump.
pub(super) struct Tools {
    pub(super) psql: Tool,
    /// Of custom dumps.
    pub(super) pg_restore: Option<Tool>,
}

impl Tools {
    /// The smallest majors that are as new as the server and as the tool that made the dump; `made_by`
    /// is what the dump itself says of it.
    pub(super) async fn choose(target: &Target, facts: &Facts, made_by: Option<&str>) -> Result<Self> {
        let dump = &target.dump;
        let told = [made_by, dump.tool_version.as_deref(), dump.server_version.as_deref()];
        let least = told.into_iter().flatten().filter_map(major).fold(facts.major(), u32::max);
        let psql = smallest(&target.at, "psql", least).await?;
        let pg_restore = match dump.format {
            DumpFormat::Plain => None,
            DumpFormat::Custom => Some(smallest(&target.at, "pg_restore", least).await?),
        };
        Ok(Self { psql, pg_restore })
    }

    /// Whether this `psql` knows `\restrict`.
    pub(super) fn restricts(&self) -> bool {
        restricts(&self.psql)
    }

    /// Why a dump that is not trusted is not loaded by these.
    pub(super) fn refusal(&self, target: &Target) -> Option<Refusal> {
        (!target.dump.trusted && !self.restricts()).then(|| {
            never(
                format!(
                    "this dump was not made by this installation, and {} cannot be kept from running \
                     commands that it may hold",
                    self.psql.version
                ),
                "install a psql of August 2025 or later",
            )
        })
    }
}

fn restricts(psql: &Tool) -> bool {
    let first = RESTRICT.iter().find(|(major, _)| *major == psql.major);
    match first {
        Some((_, minor)) => numbers(&psql.version).nth(1).is_some_and(|known| known >= *minor),
        None => psql.major > 17,
    }
}

/// The numbers of a version such as `psql (PostgreSQL) 15.18 (Debian …)`.
fn numbers(version: &str) -> impl Iterator<Item = u32> {
    let text = version.split_once(") ").map_or(version, |(_, number)| number);
    text.split(' ').next().unwrap_or_default().split('.').filter_map(|part| part.parse().ok())
}

/// The major of a version such as `15.18 (Debian 15.18-0+deb12u1)`.
pub(super) fn major(version: &str) -> Option<u32> {
    let version = version.trim_start_matches(|c: char| !c.is_ascii_digit());
    let digits: String = version.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_psql_that_knows_restrict_is_told_from_one_that_does_not() {
        let knows = |version: &str| {
            let version = format!("psql (PostgreSQL) {version}");
            let major = super::super::super::major_of(&version).unwrap();
            restricts(&Tool { path: "psql".into(), version, major })
        };
        for version in ["15.14 (Debian 15.14-0+deb12u1)", "15.18", "13.22", "18beta1", "19.0"] {
            assert!(knows(version), "{version}");
        }
        for version in ["15.13 (Debian 15.13-0+deb12u1)", "16.9", "12.99", "9.6.24", "17beta2"] {
            assert!(!knows(version), "{version}");
        }
    }

    #[test]
    fn a_major_is_read_from_what_a_dump_says() {
        assert_eq!(major("15.18 (Debian 15.18-0+deb12u1)"), Some(15));
        assert_eq!(major("pg_dump (PostgreSQL) 16.14"), Some(16));
        assert_eq!(major("unknown"), None);
    }
}
