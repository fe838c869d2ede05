//! What a configuration allows the jobs of an installation.

use std::path::PathBuf;

use jiff::SignedDuration;
use serde_json::Value;

use super::Config;
use crate::limits::{ATTEMPTS, HostLimits, Limits};
use crate::retention::Cron;
use crate::schedule::Schedule;
use crate::{Result, package, verify};

impl Config {
    /// The limits of jobs on a host that stages in `staging`, unless the file names a folder, and compresses
    /// one dump with `threads` threads.
    ///
    /// # Errors
    /// `Config`, naming the schedule that cannot be read.
    pub fn limits(&self, staging: PathBuf, threads: usize) -> Result<Limits> {
        let server = &self.server;
        Ok(Limits {
            max_parallel_jobs: self.global.max_parallel_jobs,
            memory_budget: server.memory_budget_mb as usize * 1024 * 1024,
            threads,
            lease: SignedDuration::from_secs(server.lease_seconds.into()),
            stall: SignedDuration::from_secs(server.stall_seconds.into()),
            job_timeout: SignedDuration::from_hours(server.job_timeout_hours.into()),
            attempts: ATTEMPTS,
            staging: server.staging.as_ref().map_or(staging, PathBuf::from),
            sqlite_roots: server.sqlite_roots.iter().map(PathBuf::from).collect(),
            retention: self.retention_cron()?,
            allow_superuser: self.restore.allow_superuser,
            safety_days: self.restore.safety_days,
            verify: self.verify_cron()?,
            test_servers: self.verify.servers.clone(),
            run_as: server.run_as.clone(),
            uploads: self.uploads,
            package: self.package_policy()?,
            incoming_turn: package::Hourly::default(),
            host: HostLimits::default(),
            object_lock: self.object_lock,
            defaults: self.global.settings.clone(),
        })
    }

    /// The zone that databases inherit.
    fn zone(&self) -> Option<&str> {
        self.global.settings.get("timezone").and_then(Value::as_str)
    }

    /// Its schedule is read in the zone that databases inherit.
    fn retention_cron(&self) -> Result<Option<Cron>> {
        let crontab = self.retention_schedule.as_deref();
        let schedule = crontab.map(|crontab| Schedule::parse(crontab, self.zone())).transpose();
        schedule
            .map(|schedule| schedule.map(Cron::new))
            .map_err(|error| error.with_field("retention.schedule"))
    }

    fn verify_cron(&self) -> Result<Option<verify::Cron>> {
        let zone = self.verify.timezone.as_deref().or(self.zone());
        let crontab = self.verify.schedule.as_deref();
        let schedule = crontab.map(|crontab| Schedule::parse(crontab, zone)).transpose();
        schedule
            .map(|schedule| schedule.map(verify::Cron::new))
            .map_err(|error| error.with_field("verify.schedule"))
    }

    fn package_policy(&self) -> Result<package::Policy> {
        let Some(conf) = &self.package else { return Ok(package::Policy::default()) };
        let zone = conf.timezone.as_deref().or(self.zone());
        let cron = conf.schedule.as_deref().map(|crontab| package::Cron::parse(crontab, zone)).transpose();
        Ok(package::Policy {
            cron: cron.map_err(|error| error.with_field("package-conf.schedule"))?,
            format: conf.compression,
            allow_incomplete: conf.allow_incomplete,
            retention_turn: package::Hourly::default(),
            retention_days: conf.retention_days,
            max_packages: conf.max_backups,
        })
    }
}
