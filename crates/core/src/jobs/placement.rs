//! Where a job is worked on: by a worker with a deadline, or on a host that has none. Pure.

use std::fmt;
use std::time::Duration;

use crate::model::{DURATION_BOUNDS, History, Runner};

/// A database grows, and a host may be busier than it was: what took so long before is expected to take this
/// much longer, as a fraction.
const GROWTH: (u32, u32) = (3, 2);
/// Loading takes longer than dumping: rows are checked, and indexes are made.
const LOADING: u32 = 2;
/// An attempt that has less than this part of its margin to work in is not begun.
const LEAST_USEFUL: u32 = 3;

/// What is known when a worker with a deadline is asked to work on a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Question {
    /// How long an attempt may work until it is stopped.
    pub(crate) working_time: Duration,
    /// What is kept for stopping it.
    pub(crate) margin: Duration,
    /// Whether the job has been handed over before, or is of a kind that never begins here.
    pub(crate) needs_long_runner: bool,
    /// How long it will take, where that can be said.
    pub(crate) predicted: Option<Duration>,
    /// What its database says.
    pub(crate) runner: Runner,
}

/// Where a job is worked on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Placement {
    /// By the worker that was asked.
    Here,
    /// On a host without a deadline.
    Elsewhere(Reason),
}

/// Why a job is not begun by a worker with a deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// It never is.
    Always,
    /// Nothing useful can be done before the deadline.
    TooLate {
        /// How long an attempt could work.
        left: Duration,
    },
    /// It would be cut off.
    TooLong {
        /// How long it is expected to take.
        predicted: Duration,
        /// How long an attempt could work.
        left: Duration,
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Always => write!(f, "such a job is always worked on there"),
            Self::TooLate { left } => write!(f, "there are only {} s left here", left.as_secs()),
            Self::TooLong { predicted, left } => {
                let (predicted, left) = (predicted.as_secs(), left.as_secs());
                write!(f, "it is expected to take {predicted} s, and there are {left} s left here")
            }
        }
    }
}

/// Decides where a job is worked on. What nobody can predict is tried here: if it does not end in time, it is
/// handed over then.
pub(crate) fn place(question: &Question) -> Placement {
    let Question { working_time: left, margin, needs_long_runner, predicted, runner } = *question;
    if needs_long_runner {
        return Placement::Elsewhere(Reason::Always);
    }
    if runner == Runner::Lambda {
        return Placement::Here;
    }
    if left < margin / LEAST_USEFUL {
        return Placement::Elsewhere(Reason::TooLate { left });
    }
    match predicted.filter(|predicted| *predicted > left) {
        Some(predicted) => Placement::Elsewhere(Reason::TooLong { predicted, left }),
        None => Placement::Here,
    }
}

/// How long the next backup of a database with this history will take; none before the first success.
pub(crate) fn of_a_backup(history: &History) -> Option<Duration> {
    let last = history.last_success.as_ref().map(|last| Duration::from_millis(last.duration_ms));
    last.into_iter().chain(typical(history)).max().map(growing)
}

/// How long a restore will take: of a backup that took so long to make, after a safety backup that will take
/// so long.
pub(crate) fn of_a_restore(made_in: Option<Duration>, safety: Option<Duration>) -> Option<Duration> {
    let loading = made_in.map(|made_in| growing(made_in.saturating_mul(LOADING)));
    loading.into_iter().chain(safety).reduce(Duration::saturating_add)
}

/// How long a package will take after one that took so long.
pub(crate) fn of_a_package(last: Duration) -> Duration {
    growing(last)
}

fn growing(duration: Duration) -> Duration {
    let (times, by) = GROWTH;
    duration.saturating_mul(times) / by
}

/// What the histogram says of the usual backup: their mean, within the bounds of the bucket where their median
/// lies, so that a few that took a day do not make all others seem long.
fn typical(history: &History) -> Option<Duration> {
    let durations = &history.durations;
    let total: u64 = durations.counts.iter().fold(0, |sum, count| sum.saturating_add(*count));
    let mean = durations.sum_ms.checked_div(total)?;
    let mut below = 0_u64;
    let bucket = durations.counts.iter().position(|count| {
        below = below.saturating_add(*count);
        below >= total.div_ceil(2)
    })?;
    let bound = |index: usize| DURATION_BOUNDS.get(index).map(|seconds| u64::from(*seconds) * 1_000);
    let lower = bucket.checked_sub(1).and_then(bound).unwrap_or(0);
    let upper = bound(bucket).unwrap_or(u64::MAX);
    Some(Duration::from_millis(mean.clamp(lower, upper)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::{Durations, JobId, LastSuccess};

    fn seconds() -> impl Strategy<Value = Duration> {
        (0_u64..4_000_000).prop_map(Duration::from_millis)
    }

    fn runner() -> impl Strategy<Value = Runner> {
        prop_oneof![Just(Runner::Auto), Just(Runner::Lambda), Just(Runner::Fargate)]
    }

    prop_compose! {
        fn question()(
            working_time in seconds(), margin in seconds(), needs_long_runner: bool,
            predicted in proptest::option::of(seconds()), runner in runner(),
        ) -> Question {
            Question { working_time, margin, needs_long_runner, predicted, runner }
        }
    }

    fn history(last_ms: Option<u64>, durations_ms: &[u64]) -> History {
        let mut counts = vec![0; DURATION_BOUNDS.len() + 1];
        for ms in durations_ms {
            let bucket = DURATION_BOUNDS.iter().position(|bound| *ms <= u64::from(*bound) * 1_000);
            counts[bucket.unwrap_or(DURATION_BOUNDS.len())] += 1;
        }
        let last_success = last_ms.map(|duration_ms| LastSuccess {
            id: JobId(ulid::Ulid::nil()),
            created_at: jiff::Timestamp::UNIX_EPOCH,
            finished_at: jiff::Timestamp::UNIX_EPOCH,
            duration_ms,
            size_bytes: 0,
            raw_bytes: 0,
        });
        let durations = Durations { counts, sum_ms: durations_ms.iter().sum() };
        History { durations, last_success, ..History::default() }
    }

    proptest! {
        #[test]
        fn what_needs_the_long_runner_never_begins_here(question in question()) {
            let placed = place(&Question { needs_long_runner: true, ..question });
            prop_assert_eq!(placed, Placement::Elsewhere(Reason::Always));
        }

        #[test]
        fn what_begins_here_is_expected_to_end_here_unless_its_database_insists(question in question()) {
            if place(&question) == Placement::Here && question.runner != Runner::Lambda {
                prop_assert!(question.predicted.is_none_or(|predicted| predicted <= question.working_time));
                prop_assert!(question.working_time >= question.margin / LEAST_USEFUL);
            }
        }

        #[test]
        fn what_fits_with_room_to_spare_begins_here(question in question()) {
            let room = question.predicted.unwrap_or_default() + question.margin;
            let question = Question { needs_long_runner: false, working_time: room, ..question };
            prop_assert_eq!(place(&question), Placement::Here);
        }

        #[test]
        fn more_time_never_sends_a_job_away(question in question(), more in seconds()) {
            if place(&question) == Placement::Here {
                let longer = Question { working_time: question.working_time + more, ..question };
                prop_assert_eq!(place(&longer), Placement::Here);
            }
        }

        #[test]
        fn a_prediction_is_never_shorter_than_the_last_backup_took(
            last in 0_u64..100_000_000, others in proptest::collection::vec(0_u64..100_000_000, 0..20),
        ) {
            let predicted = of_a_backup(&history(Some(last), &others)).unwrap();
            prop_assert!(predicted >= Duration::from_millis(last));
        }

        #[test]
        fn a_prediction_is_never_longer_than_the_longest_with_its_growth(
            durations in proptest::collection::vec(0_u64..200_000_000, 1..20),
        ) {
            let longest = Duration::from_millis(durations.iter().copied().max().unwrap());
            let predicted = of_a_backup(&history(None, &durations)).unwrap();
            prop_assert!(predicted <= growing(longest), "{predicted:?} after {durations:?}");
        }

        #[test]
        fn no_history_makes_it_panic(last: Option<u64>, counts: Vec<u64>, sum_ms: u64) {
            let mut history = history(last, &[]);
            history.durations = Durations { counts, sum_ms };
            let _any = of_a_backup(&history);
        }
    }

    #[test]
    fn nothing_known_predicts_nothing() {
        assert_eq!(of_a_backup(&History::default()), None);
        assert_eq!(of_a_restore(None, None), None);
    }

    #[test]
    fn a_short_last_backup_does_not_hide_that_they_usually_take_long() {
        let usual = [800_000, 820_000, 790_000, 2_000];
        let predicted = of_a_backup(&history(Some(2_000), &usual)).unwrap();
        assert!(predicted > Duration::from_secs(870), "{predicted:?}");
    }

    #[test]
    fn one_that_took_a_day_does_not_make_all_others_seem_long() {
        let usual = [10_000, 10_000, 10_000, 10_000, 86_400_000];
        let predicted = of_a_backup(&history(Some(10_000), &usual)).unwrap();
        assert!(predicted < Duration::from_mins(1), "{predicted:?}");
    }

    #[test]
    fn a_restore_is_expected_to_take_its_safety_backup_too() {
        let (made_in, safety) = (Duration::from_secs(100), Duration::from_secs(7));
        assert_eq!(of_a_restore(Some(made_in), Some(safety)), Some(Duration::from_secs(307)));
        assert_eq!(of_a_restore(None, Some(safety)), Some(safety));
    }
}
