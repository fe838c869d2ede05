//! The plan against an independent statement of promise 3 and of the rule, over 100,000 random histories.

#![expect(clippy::expect_used, reason = "a test that cannot go on fails")]

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};
use respaldo_core::model::{BackupKind, JobId, Outline, Status, VerificationStatus};
use respaldo_core::retention::{Action, Frozen, Plan, Policy, Reason, plan};
use ulid::Ulid;

const HISTORIES: u64 = 100_000;
const HOUR: i64 = 3_600;

/// Random numbers that are the same in every run (`SplitMix64`).
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % n
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        let n = self.below(all.len() as u64);
        all[usize::try_from(n).expect("an index")]
    }

    /// Six-hour steps of the last weeks, so that equal times are common, some exactly at a limit; now and
    /// then a clock that was ahead.
    fn created(&mut self, now: Timestamp) -> Timestamp {
        let steps = i64::try_from(self.below(4 * 30)).expect("small");
        let hours = if self.one_in(12) { -steps } else { steps * if self.one_in(9) { 40 } else { 6 } };
        now - SignedDuration::from_secs(hours * HOUR)
    }

    fn job(&mut self, id: u64, now: Timestamp) -> Outline {
        use BackupKind::{Manual, Safety, Scheduled, Uploaded};
        use Status::{Cancelled, Deleting, Failed, Queued, Running, Skipped, Succeeded};
        let statuses = [
            Succeeded, Succeeded, Succeeded, Succeeded, Succeeded, Succeeded, Failed, Failed, Cancelled,
            Skipped, Queued, Running, Deleting,
        ];
        let kinds = [Scheduled, Scheduled, Scheduled, Scheduled, Manual, Safety, Uploaded];
        let status = self.one_of(&statuses);
        let created_at = self.created(now);
        let stored = matches!(status, Succeeded | Deleting) && !self.one_in(30);
        let verdicts = [
            None,
            None,
            Some(VerificationStatus::Ok),
            Some(VerificationStatus::Failed),
            Some(VerificationStatus::NotVerified),
        ];
        let kind = self.one_of(&kinds);
        let minutes = i64::try_from(self.below(600)).expect("small");
        let ended = !matches!(status, Queued | Running) && !self.one_in(40);
        Outline {
            id: JobId(Ulid::from_parts(self.below(50), id.into())),
            status,
            kind,
            created_at,
            finished_at: ended.then(|| created_at + SignedDuration::from_mins(minutes)),
            untold: ended && self.one_in(15),
            name: None,
            stored,
            verdict: if stored { self.one_of(&verdicts) } else { None },
            pinned: kind == BackupKind::Safety && !self.one_in(3),
            locked_until: self.one_in(6).then(|| {
                now + SignedDuration::from_hours(24 * (i64::try_from(self.below(10)).expect("below ten") - 5))
            }),
            needed: self.one_in(20),
        }
    }

    fn policy(&mut self) -> Policy {
        Policy {
            retention_days: self.one_of(&[None, Some(1), Some(3), Some(7), Some(15), Some(120)]),
            max_backups: self.one_of(&[None, Some(1), Some(2), Some(3), Some(10)]),
            safety_days: self.one_of(&[1, 7, 30]),
            enabled: !self.one_in(12),
        }
    }
}

fn now() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().expect("an instant")
}

fn removed(plan: &Plan) -> HashSet<JobId> {
    plan.removals().map(|decision| decision.job.id).collect()
}

/// What the promise and the rule say, in their own words.
struct Law<'a> {
    policy: Policy,
    jobs: &'a [Outline],
    now: Timestamp,
}

impl Law<'_> {
    fn counts(&self, job: &Outline) -> bool {
        let of_database = job.kind != BackupKind::Uploaded;
        job.status == Status::Succeeded && job.stored && of_database && job.created_at <= self.now
    }

    fn newer(&self, than: &Outline, such: impl Fn(&Outline) -> bool) -> usize {
        let later = |job: &&Outline| (job.created_at, job.id) > (than.created_at, than.id);
        self.jobs.iter().filter(later).filter(|job| such(job)).count()
    }

    fn older_than(&self, job: &Outline, days: u32) -> bool {
        job.created_at.as_second() + i64::from(days) * 24 * HOUR < self.now.as_second()
    }

    /// The last run: what ended last, before anything that claims to have ended in the future.
    fn last_run(&self) -> Option<&Outline> {
        let mut last: Option<&Outline> = None;
        let ended = |job: &Outline| job.finished_at.unwrap_or(job.created_at);
        for job in self.jobs {
            let ours = matches!(job.kind, BackupKind::Scheduled | BackupKind::Manual);
            if !ours || !matches!(job.status, Status::Succeeded | Status::Failed) {
                continue;
            }
            let later = last.is_none_or(|last| match (ended(last) > self.now, ended(job) > self.now) {
                (true, false) => true,
                (false, true) => false,
                _ => (ended(job), job.id) > (ended(last), last.id),
            });
            if later {
                last = Some(job);
            }
        }
        last
    }

    fn failing(&self) -> bool {
        self.last_run().is_some_and(|run| run.status == Status::Failed)
    }

    /// Whether the rule alone, without the promise, removes it.
    fn rule_removes(&self, job: &Outline) -> bool {
        let scheduled = |job: &Outline| self.counts(job) && job.kind == BackupKind::Scheduled;
        if self.counts(job) && job.kind == BackupKind::Safety {
            return !job.pinned || self.older_than(job, self.policy.safety_days);
        }
        scheduled(job)
            && (self.policy.retention_days.is_some_and(|days| self.older_than(job, days))
                || self.policy.max_backups.is_some_and(|most| self.newer(job, scheduled) >= most as usize))
    }

    /// Whether the promise keeps it, whatever the rule says.
    fn promise_keeps(&self, job: &Outline) -> bool {
        let verified = |job: &Outline| self.counts(job) && job.verdict == Some(VerificationStatus::Ok);
        (self.counts(job) && self.newer(job, |other| self.counts(other)) == 0)
            || (verified(job) && self.newer(job, verified) == 0)
            || !self.policy.enabled
            || self.failing()
            || job.needed
            || job.locked_until.is_some_and(|until| until > self.now)
    }

    fn removes(&self, job: &Outline) -> bool {
        if job.untold {
            return false;
        }
        if matches!(job.status, Status::Failed | Status::Cancelled | Status::Skipped) {
            let days = self.policy.retention_days.unwrap_or(90).max(7);
            let newest = self.newer(job, |job| job.status.is_terminal()) == 0;
            return self.policy.enabled
                && job.kind != BackupKind::Uploaded
                && self.older_than(job, days)
                && self.last_run().is_none_or(|run| run.id != job.id)
                && !newest;
        }
        self.rule_removes(job) && !self.promise_keeps(job)
    }
}

fn histories(mut check: impl FnMut(u64, Policy, Vec<Outline>, &mut Dice)) {
    for seed in 0..HISTORIES {
        let mut dice = Dice(seed);
        let most = if seed % 10 == 0 { 40 } else { 10 };
        let jobs = (0..dice.below(most)).map(|id| dice.job(id, now())).collect();
        let policy = dice.policy();
        check(seed, policy, jobs, &mut dice);
    }
}

#[test]
fn exactly_what_the_rule_removes_and_the_promise_does_not_keep_is_removed() {
    let (mut backups, mut safety, mut records, mut frozen) = (0, 0, 0, 0);
    histories(|seed, policy, jobs, _dice| {
        let law = Law { policy, jobs: &jobs, now: now() };
        let made = plan(&policy, jobs.clone(), now());
        assert_eq!(made.decisions.len(), jobs.len(), "history {seed}");
        for decision in &made.decisions {
            let expected = law.removes(&decision.job);
            assert_eq!(
                decision.action == Action::Remove,
                expected,
                "history {seed}: {decision:?}\n{jobs:#?}"
            );
            safety += usize::from(expected && decision.job.stored && decision.job.kind == BackupKind::Safety);
            backups += usize::from(expected && decision.job.stored);
            records += usize::from(expected && !decision.job.stored);
        }
        let failing = law.failing().then_some(Frozen::LastRunFailed);
        let expected = if policy.enabled { failing } else { Some(Frozen::Disabled) };
        assert_eq!(made.frozen, expected, "history {seed}");
        frozen += usize::from(expected.is_some());
    });
    // The dice do throw what this is about.
    assert!(backups > 5_000 && records > 5_000 && frozen > 10_000, "{backups}, {records}, {frozen}");
    assert!(safety > 5_000 && safety < backups, "{safety}");
}

#[test]
fn the_newest_good_backup_and_the_newest_verified_one_outlive_every_plan() {
    let mut alone = 0;
    histories(|seed, policy, jobs, _dice| {
        let gone = removed(&plan(&policy, jobs.clone(), now()));
        let stays = |such: &dyn Fn(&Outline) -> bool| {
            let newest = jobs.iter().filter(|job| such(job)).max_by_key(|job| (job.created_at, job.id));
            newest.is_none_or(|newest| !gone.contains(&newest.id))
        };
        let good =
            |job: &Outline| job.status == Status::Succeeded && job.stored && job.kind != BackupKind::Uploaded;
        let verified = |job: &Outline| good(job) && job.verdict == Some(VerificationStatus::Ok);
        let come = |job: &Outline| job.created_at <= now();
        assert!(stays(&good) && stays(&|job| good(job) && come(job)), "history {seed}");
        assert!(stays(&verified) && stays(&|job| verified(job) && come(job)), "history {seed}");
        let left = jobs.iter().filter(|job| good(job) && !gone.contains(&job.id)).count();
        alone += usize::from(!gone.is_empty() && left == 1);
    });
    assert!(alone > 1_000, "{alone} histories were cut to one backup");
}

#[test]
fn a_plan_after_its_own_removals_removes_nothing_more() {
    histories(|seed, policy, jobs, _dice| {
        let gone = removed(&plan(&policy, jobs.clone(), now()));
        let left: Vec<Outline> = jobs.into_iter().filter(|job| !gone.contains(&job.id)).collect();
        assert_eq!(removed(&plan(&policy, left, now())), HashSet::new(), "history {seed}");
    });
}

/// Of backups: records follow the days alone, and 90 of them where there is no limit.
#[test]
fn a_longer_policy_never_removes_a_backup_that_a_shorter_one_keeps() {
    let longer = |limit: Option<u32>, dice: &mut Dice| {
        let more = u32::try_from(dice.below(10)).expect("small");
        limit.filter(|_| !dice.one_in(4)).map(|limit| limit + more)
    };
    histories(|seed, policy, jobs, dice| {
        let longer = Policy {
            retention_days: longer(policy.retention_days, dice),
            max_backups: longer(policy.max_backups, dice),
            safety_days: longer(Some(policy.safety_days), dice).unwrap_or(u32::MAX),
            ..policy
        };
        let backups = |policy: &Policy| -> HashSet<JobId> {
            let plan = plan(policy, jobs.clone(), now());
            plan.removals().filter(|decision| decision.job.stored).map(|decision| decision.job.id).collect()
        };
        let (less, more) = (backups(&longer), backups(&policy));
        assert!(less.is_subset(&more), "history {seed}: {policy:?}, {longer:?}");
    });
}

fn days_old(id: u64, days: i64) -> Outline {
    let created_at = now() - SignedDuration::from_hours(24 * days);
    Outline {
        id: JobId(Ulid::from_parts(1, id.into())),
        status: Status::Succeeded,
        kind: BackupKind::Scheduled,
        created_at,
        finished_at: Some(created_at),
        untold: false,
        name: None,
        stored: true,
        verdict: None,
        pinned: false,
        locked_until: None,
        needed: false,
    }
}

fn told(policy: &Policy, jobs: &[Outline], now: Timestamp) -> Vec<String> {
    let plan = plan(policy, jobs.to_vec(), now);
    let line = |action: Action, reason: Reason| format!("{}: {reason}", action.as_str());
    plan.decisions.iter().map(|decision| line(decision.action, decision.reason)).collect()
}

const BOTH: Policy = Policy { retention_days: Some(15), max_backups: Some(3), safety_days: 7, enabled: true };

#[test]
fn each_decision_has_its_reason_in_one_plain_line() {
    let mut jobs: Vec<Outline> =
        [0_u8, 1, 2, 15, 16, 20].map(|days| days_old(99 - u64::from(days), i64::from(days))).into();
    jobs[1].kind = BackupKind::Manual;
    jobs[5].verdict = Some(VerificationStatus::Ok);
    let within = "keep: within the rule";
    let expected = [
        "keep: the newest good backup",
        "keep: manual: kept",
        within,
        within,
        "remove: older than 15 days",
        "keep: the newest verified backup",
    ];
    assert_eq!(told(&BOTH, &jobs, now()), expected);
    jobs[1].kind = BackupKind::Scheduled;
    let told_again = told(&BOTH, &jobs, now());
    assert_eq!(told_again[3], "remove: beyond the newest 3", "exactly 15 days old, and the fourth");
}

#[test]
fn a_safety_backup_goes_when_its_restore_is_confirmed_or_after_its_days() {
    let safety = |id, days, pinned| Outline { kind: BackupKind::Safety, pinned, ..days_old(id, days) };
    let mut jobs = vec![
        safety(9, 0, false),
        safety(8, 7, true),
        safety(7, 8, true),
        safety(6, 1, false),
        days_old(1, 10),
    ];
    let unlimited = Policy { retention_days: None, max_backups: None, ..BOTH };
    let expected = [
        "keep: the newest good backup",
        "remove: its restore was confirmed",
        "keep: it undoes a restore",
        "remove: a safety backup older than 7 days",
        "keep: within the rule",
    ];
    assert_eq!(told(&unlimited, &jobs, now()), expected);
    jobs[2].needed = true;
    jobs[4].status = Status::Failed;
    jobs[4].stored = false;
    let expected = [
        "keep: the newest good backup",
        "keep: frozen: the last run failed",
        "keep: it undoes a restore",
        "locked: a restore or a package that has not ended needs it",
        "keep: the last run",
    ];
    assert_eq!(told(&unlimited, &jobs, now()), expected);
}

#[test]
fn while_the_last_run_failed_or_the_database_is_disabled_all_that_the_rule_would_remove_is_frozen() {
    let mut jobs = vec![days_old(9, 0), days_old(8, 1), days_old(7, 30)];
    (jobs[0].status, jobs[0].stored) = (Status::Failed, false);
    let expected =
        ["keep: the last run", "keep: the newest good backup", "keep: frozen: the last run failed"];
    assert_eq!(told(&BOTH, &jobs, now()), expected);
    let disabled = Policy { enabled: false, ..BOTH };
    assert_eq!(told(&disabled, &jobs[1..], now())[1], "keep: frozen: the database is disabled");
    assert_eq!(told(&BOTH, &jobs[1..], now())[1], "remove: older than 15 days");
}

#[test]
fn a_clock_that_is_years_ahead_leaves_the_newest_good_backup_and_the_newest_verified_one() {
    let mut jobs = vec![days_old(9, 0), days_old(8, 1), days_old(7, 2), days_old(6, 3)];
    jobs[2].verdict = Some(VerificationStatus::Ok);
    let expected = [
        "keep: the newest good backup",
        "remove: older than 15 days",
        "keep: the newest verified backup",
        "remove: older than 15 days",
    ];
    assert_eq!(told(&BOTH, &jobs, now() + SignedDuration::from_hours(24 * 3_650)), expected);
}

/// Else three backups from a day on which the clock was ahead would have every later one removed at once.
#[test]
fn backups_dated_in_the_future_push_nothing_out() {
    let mut jobs: Vec<Outline> = (1..=3).map(|n| days_old(100 + n, -1_000)).collect();
    jobs.extend([days_old(9, 0), days_old(8, 1), days_old(7, 2), days_old(6, 3)]);
    let told = told(&BOTH, &jobs, now());
    assert_eq!(told[..3], ["keep: dated in the future: kept until then"; 3]);
    assert_eq!(
        told[3..6],
        ["keep: the newest good backup", "keep: within the rule", "keep: within the rule"]
    );
    assert_eq!(told[6], "remove: beyond the newest 3");
}

/// 1,440 skipped slots a day must not stay for ever, nor hide why the database is frozen.
#[test]
fn records_of_runs_without_a_backup_go_after_their_time_but_the_last_run_stays() {
    let record = |id, days, status| Outline { status, stored: false, ..days_old(id, days) };
    let jobs = [
        record(9, 100, Status::Skipped),
        record(8, 101, Status::Failed),
        record(7, 102, Status::Skipped),
        record(6, 103, Status::Cancelled),
        days_old(5, 104),
        days_old(4, 105),
    ];
    let unlimited = Policy { retention_days: None, max_backups: None, safety_days: 7, enabled: true };
    let expected = [
        "keep: the newest record",
        "keep: the last run",
        "remove: older than 90 days",
        "remove: older than 90 days",
        "keep: the newest good backup",
        "keep: within the rule",
    ];
    assert_eq!(told(&unlimited, &jobs, now()), expected);
    let a_day = Policy { retention_days: Some(1), ..unlimited };
    assert_eq!(told(&a_day, &jobs, now())[2], "remove: older than 7 days");
    assert_eq!(told(&a_day, &jobs, now())[5], "keep: frozen: the last run failed");
}

#[test]
fn a_backup_that_is_locked_in_storage_is_removed_when_the_lock_has_ended_and_not_before() {
    let until = now() + SignedDuration::from_hours(48);
    let locked = Outline { locked_until: Some(until), ..days_old(1, 20) };
    let jobs = [days_old(2, 1), locked];
    let before = until - SignedDuration::from_secs(1);
    assert_eq!(told(&BOTH, &jobs, before)[1], format!("locked: locked until {until}"));
    assert_eq!(told(&BOTH, &jobs, until)[1], "remove: older than 15 days");
}
