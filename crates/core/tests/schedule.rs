//! Schedules against the calendar: gaps, folds, names, refusals, and a brute-force scan.

#![expect(clippy::expect_used, reason = "a test that cannot go on fails")]

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use respaldo_core::schedule::Schedule;
use rstest::rstest;

fn at(text: &str) -> Timestamp {
    text.parse().expect("a timestamp")
}

/// The next `count` slots after `from`, as local times with their offset.
fn slots(cron: &str, zone: &str, from: &str, count: usize) -> Vec<String> {
    let schedule = Schedule::parse(cron, Some(zone)).expect("a schedule");
    let zone = TimeZone::get(zone).expect("a zone");
    let mut t = at(from);
    let mut found = Vec::new();
    for _ in 0..count {
        t = schedule.next_after(t);
        let local = t.to_zoned(zone.clone());
        found.push(local.strftime("%m-%d %H:%M%:z").to_string());
    }
    found
}

#[rstest]
#[case::hour_gap("30 2 * * *", "Europe/Madrid", "2026-03-28T00:00:00Z",
    &["03-28 02:30+01:00", "03-29 03:00+02:00", "03-30 02:30+02:00"])]
#[case::hour_fold("30 2 * * *", "Europe/Madrid", "2026-10-24T00:00:00Z",
    &["10-24 02:30+02:00", "10-25 02:30+02:00", "10-26 02:30+01:00"])]
#[case::new_york_gap("0 2 * * *", "America/New_York", "2026-03-08T00:00:00Z",
    &["03-08 03:00-04:00", "03-09 02:00-04:00"])]
#[case::new_york_fold("30 1 * * *", "America/New_York", "2026-11-01T00:00:00Z",
    &["11-01 01:30-04:00", "11-02 01:30-05:00"])]
#[case::half_hour_gap("15 2 * * *", "Australia/Lord_Howe", "2026-10-02T18:00:00Z",
    &["10-04 02:30+11:00", "10-05 02:15+11:00"])]
#[case::half_hour_fold("45 1 * * *", "Australia/Lord_Howe", "2026-04-04T00:00:00Z",
    &["04-05 01:45+11:00", "04-06 01:45+10:30"])]
#[case::midnight_gap("0 0 * * *", "America/Sao_Paulo", "2018-11-03T12:00:00Z",
    &["11-04 01:00-02:00", "11-05 00:00-02:00"])]
#[case::midnight_gap_on_its_weekday("0 0 * * SUN", "America/Sao_Paulo", "2018-11-03T12:00:00Z",
    &["11-04 01:00-02:00", "11-11 00:00-02:00"])]
#[case::midnight_fold("30 23 * * *", "America/Sao_Paulo", "2018-02-17T12:00:00Z",
    &["02-17 23:30-02:00", "02-18 23:30-03:00"])]
#[case::ramadan_begins("30 2 * * *", "Africa/Casablanca", "2025-02-22T12:00:00Z",
    &["02-23 02:30+01:00", "02-24 02:30+00:00"])]
#[case::ramadan_ends("30 2 * * *", "Africa/Casablanca", "2025-04-05T12:00:00Z",
    &["04-06 03:00+01:00", "04-07 02:30+01:00"])]
#[case::tehran_gap_at_midnight("0 0 * * *", "Asia/Tehran", "2022-03-21T12:00:00Z",
    &["03-22 01:00+04:30", "03-23 00:00+04:30"])]
#[case::tehran_without_changes("0 0 * * *", "Asia/Tehran", "2023-03-21T12:00:00Z",
    &["03-22 00:00+03:30", "03-23 00:00+03:30"])]
#[case::a_skipped_day("0 5 * * *", "Pacific/Apia", "2011-12-29T12:00:00Z",
    &["12-29 05:00-10:00", "12-31 00:00+14:00", "12-31 05:00+14:00"])]
#[case::several_fixed_times_in_one_gap("0,20,40 2 * * *", "Europe/Madrid", "2026-03-29T00:00:00Z",
    &["03-29 03:00+02:00", "03-30 02:00+02:00"])]
#[case::a_list_of_hours_is_fixed("0 2,14 * * *", "Europe/Madrid", "2026-10-25T00:10:00Z",
    &["10-25 14:00+01:00", "10-26 02:00+01:00"])]
fn fixed_times_run_once_a_day_across_a_change(
    #[case] cron: &str,
    #[case] zone: &str,
    #[case] from: &str,
    #[case] expected: &[&str],
) {
    assert_eq!(slots(cron, zone, from, expected.len()), expected);
}

#[rstest]
#[case::fold("0 * * * *", "Europe/Madrid", "2026-10-24T23:30:00Z",
    &["10-25 02:00+02:00", "10-25 02:00+01:00", "10-25 03:00+01:00"])]
#[case::gap("*/30 * * * *", "Europe/Madrid", "2026-03-29T00:20:00Z",
    &["03-29 01:30+01:00", "03-29 03:00+02:00", "03-29 03:30+02:00"])]
#[case::hour_that_does_not_exist("*/30 2 * * *", "Europe/Madrid", "2026-03-28T12:00:00Z",
    &["03-30 02:00+02:00"])]
#[case::half_hour_fold("*/30 1-2 * * *", "Australia/Lord_Howe", "2026-04-04T13:00:00Z",
    &["04-05 01:00+11:00", "04-05 01:30+11:00", "04-05 01:30+10:30", "04-05 02:00+10:30"])]
#[case::half_hour_gap("*/15 * * * *", "Australia/Lord_Howe", "2026-10-03T15:20:00Z",
    &["10-04 02:30+11:00", "10-04 02:45+11:00"])]
fn wildcards_follow_elapsed_time(
    #[case] cron: &str,
    #[case] zone: &str,
    #[case] from: &str,
    #[case] expected: &[&str],
) {
    assert_eq!(slots(cron, zone, from, expected.len()), expected);
}

#[rstest]
#[case("0 5 * * 1", "2026-11-20T00:00:00Z", "2026-11-23T05:00:00Z")]
#[case("0 5 * * MON", "2026-11-20T00:00:00Z", "2026-11-23T05:00:00Z")]
#[case("0 5 * * 0", "2026-11-20T00:00:00Z", "2026-11-22T05:00:00Z")]
#[case("0 5 * * 7", "2026-11-20T00:00:00Z", "2026-11-22T05:00:00Z")]
#[case("0 5 * * fri-sun", "2026-11-20T06:00:00Z", "2026-11-21T05:00:00Z")]
#[case("0 5 1 jan *", "2026-11-20T00:00:00Z", "2027-01-01T05:00:00Z")]
#[case("0 0 L * *", "2027-02-01T00:00:00Z", "2027-02-28T00:00:00Z")]
#[case("0 0 L 12 *", "2026-11-20T00:00:00Z", "2026-12-31T00:00:00Z")]
#[case("0 0 * * 5L", "2026-11-20T00:00:00Z", "2026-11-27T00:00:00Z")]
#[case("0 0 * * MON#1", "2026-11-20T00:00:00Z", "2026-12-07T00:00:00Z")]
#[case("0 0 29 2 *", "2026-11-20T00:00:00Z", "2028-02-29T00:00:00Z")]
#[case::either_day_matches("0 0 13 * 5", "2026-11-20T00:00:01Z", "2026-11-27T00:00:00Z")]
#[case::a_stepped_star_narrows("0 0 */2 * MON", "2026-11-24T00:00:00Z", "2026-12-07T00:00:00Z")]
#[case("@hourly", "2026-11-20T00:30:00Z", "2026-11-20T01:00:00Z")]
#[case("@daily", "2026-11-20T00:30:00Z", "2026-11-21T00:00:00Z")]
#[case("@midnight", "2026-11-20T00:30:00Z", "2026-11-21T00:00:00Z")]
#[case("@weekly", "2026-11-20T00:30:00Z", "2026-11-22T00:00:00Z")]
#[case("@Monthly", "2026-11-20T00:30:00Z", "2026-12-01T00:00:00Z")]
#[case("@yearly", "2026-11-20T00:30:00Z", "2027-01-01T00:00:00Z")]
#[case("@annually", "2026-11-20T00:30:00Z", "2027-01-01T00:00:00Z")]
#[case::never_the_instant_itself("0 5 * * *", "2026-11-20T05:00:00Z", "2026-11-21T05:00:00Z")]
#[case::nor_one_before_a_fraction("0 5 * * *", "2026-11-20T04:59:59.999Z", "2026-11-20T05:00:00Z")]
fn a_crontab_reads_as_cron_reads_it(#[case] cron: &str, #[case] from: &str, #[case] expected: &str) {
    assert_eq!(Schedule::parse(cron, None).expect("a schedule").next_after(at(from)), at(expected));
}

#[rstest]
#[case("0 0 30 2 *")]
#[case("0 0 31 4,6,9,11 *")]
#[case("0 0 31W 2 *")]
fn what_never_fires_is_refused_at_once(#[case] cron: &str) {
    let error = Schedule::parse(cron, None).expect_err("refused");
    assert_eq!(error.message(), "it never fires: no day is ever like that");
    assert_eq!(error.field(), Some("schedule"));
}

#[test]
fn what_is_no_crontab_is_refused_in_words() {
    let refused: Vec<String> = [
        "",
        "* * * *",
        "0 0 0 * * *",
        "0 0 0 * * * 2027",
        "@reboot",
        "@fortnightly",
        "60 * * * *",
        "0 24 * * *",
        "0 0 0 * *",
        "0 0 * 13 *",
        "0 0 * JANUARY *",
        "JAN 0 * * *",
        "0 0 * * 8",
        "0 0 * * MONDAY",
        "0 0 * * FRI-TUE",
        "1,,2 * * * *",
        ", * * * *",
        "*/0 * * * *",
        "5/15 * * * *",
        "-1 * * * *",
        "+1 * * * *",
        "0 0 ? * *",
        "0 0 * * MON#6",
        "0 0 * * */8",
        "0 0 * * L",
        "0 0 32W * *",
        "0 0 * * ١",
        "0 0 * * * ; rm",
    ]
    .iter()
    .map(|cron| format!("{cron:18} {}", Schedule::parse(cron, None).expect_err(cron)))
    .collect();
    insta::assert_snapshot!(refused.join("\n"));
}

#[rstest]
#[case("Europe/Madird")]
#[case("CEST+2")]
#[case("Etc/Unknown")]
#[case("../etc/passwd")]
#[case("")]
fn an_unknown_zone_is_refused_by_its_field(#[case] zone: &str) {
    let error = Schedule::parse("@daily", Some(zone)).expect_err("refused");
    assert_eq!(error.field(), Some("timezone"));
}

fn field(max: u32, min: u32) -> impl Strategy<Value = String> {
    prop_oneof![
        3 => Just("*".to_owned()),
        3 => (min..=max).prop_map(|n| n.to_string()),
        1 => (1..=max.min(20)).prop_map(|n| format!("*/{n}")),
        1 => (min..=max, min..=max).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b))),
        1 => (min..=max, min..=max).prop_map(|(a, b)| format!("{a},{b}")),
    ]
}

fn cron() -> impl Strategy<Value = String> {
    (field(59, 0), field(23, 0), field(28, 1), field(12, 1), field(7, 0))
        .prop_map(|(m, h, dom, month, dow)| format!("{m} {h} {dom} {month} {dow}"))
}

fn instant() -> impl Strategy<Value = Timestamp> {
    (1_400_000_000i64..1_900_000_000).prop_map(|s| Timestamp::from_second(s).expect("in range"))
}

fn zone() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "UTC",
        "Europe/Madrid",
        "America/New_York",
        "Australia/Lord_Howe",
        "America/Sao_Paulo",
        "Africa/Casablanca",
        "Asia/Tehran",
        "Pacific/Apia",
        "America/St_Johns",
    ])
}

/// A crontab field by brute force, told from its text alone.
fn holds(field: &str, value: u32, min: u32) -> bool {
    field.split(',').any(|item| {
        let (range, step) = item.split_once('/').map_or((item, 1), |(r, s)| (r, s.parse().expect("a step")));
        let (from, to) = match range.split_once('-') {
            _ if range == "*" => (min, u32::MAX),
            Some((from, to)) => (from.parse().expect("from"), to.parse().expect("to")),
            None => (range.parse().expect("n"), range.parse().expect("n")),
        };
        (from..=to).contains(&value) && (value - from).is_multiple_of(step)
    })
}

fn matches(cron: &str, local: jiff::civil::DateTime) -> bool {
    let f: Vec<&str> = cron.split(' ').collect();
    let number = |n: i8| u32::try_from(n).expect("not negative");
    let sunday = number(local.weekday().to_sunday_zero_offset());
    let dom = holds(f[2], number(local.day()), 1);
    let dow = holds(f[4], sunday, 0) || (sunday == 0 && holds(f[4], 7, 0));
    let day = if f[2].starts_with('*') || f[4].starts_with('*') { dom && dow } else { dom || dow };
    holds(f[0], number(local.minute()), 0)
        && holds(f[1], number(local.hour()), 0)
        && day
        && holds(f[3], number(local.month()), 1)
}

const SCANNED_MINUTES: i64 = 3 * 24 * 60;

/// The first minute after `t` whose local time matches, within the scanned days.
fn scan(cron: &str, zone: &TimeZone, t: Timestamp) -> Option<Timestamp> {
    let first = t.as_second().div_euclid(60) + 1;
    (first..first + SCANNED_MINUTES)
        .map(|minute| Timestamp::from_second(minute * 60).expect("in range"))
        .find(|minute| matches(cron, zone.to_datetime(*minute)))
}

proptest! {
    #[test]
    fn slots_grow_and_shorter_steps_find_the_same(
        cron in cron(), zone in zone(), t in instant(), part in 0.0f64..1.0
    ) {
        let schedule = Schedule::parse(&cron, Some(zone)).expect("a schedule");
        let next = schedule.next_after(t);
        prop_assert!(next > t);
        prop_assert!(schedule.next_after(next) > next);
        let between = t + next.duration_since(t).mul_f64(part);
        let between = between.min(next - SignedDuration::from_nanos(1));
        prop_assert_eq!(schedule.next_after(between), next);
    }

    #[test]
    fn a_scan_of_every_minute_agrees_where_clocks_never_change(
        cron in cron(), t in instant(),
        zone in prop::sample::select(vec!["UTC", "Etc/GMT+7", "Asia/Kolkata", "Asia/Kathmandu"]),
    ) {
        let schedule = Schedule::parse(&cron, Some(zone)).expect("a schedule");
        let zone = TimeZone::get(zone).expect("a zone");
        let next = schedule.next_after(t);
        match scan(&cron, &zone, t) {
            Some(found) => prop_assert_eq!(next, found),
            None => prop_assert!(next > t + SignedDuration::from_mins(SCANNED_MINUTES)),
        }
    }

    #[test]
    fn wildcards_agree_with_a_scan_across_changes(
        cron in (field(59, 0), "[*]|[*]/[2-9]").prop_map(|(m, h)| format!("{m} {h} * * *")),
        zone in zone(), t in instant(), near in any::<bool>(), seconds in 0i64..200_000,
    ) {
        let schedule = Schedule::parse(&cron, Some(zone)).expect("a schedule");
        let zone = TimeZone::get(zone).expect("a zone");
        let change = zone.following(t).next().filter(|_| near);
        let t = change.map_or(t, |change| change.timestamp() - SignedDuration::from_secs(seconds));
        prop_assert_eq!(Some(schedule.next_after(t)), scan(&cron, &zone, t));
    }

    #[test]
    fn a_fixed_daily_time_runs_once_for_each_local_day(
        hour in 0u32..24, minute in 0u32..60, zone in zone().prop_filter("no day is skipped", |z| *z != "Pacific/Apia"),
        t in instant()
    ) {
        let schedule = Schedule::parse(&format!("{minute} {hour} * * *"), Some(zone)).expect("a schedule");
        let zone = TimeZone::get(zone).expect("a zone");
        let mut slot = schedule.next_after(t);
        for _ in 0..370 {
            let next = schedule.next_after(slot);
            prop_assert_eq!(zone.to_datetime(next).date(), zone.to_datetime(slot).date().tomorrow().expect("a day"));
            slot = next;
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in "[-*/,0-9LW#?@A-Za-z ]{0,24}", zone in "[A-Za-z/_+0-9-]{0,16}") {
        if let Ok(schedule) = Schedule::parse(&text, None) {
            prop_assert!(schedule.next_after(Timestamp::UNIX_EPOCH) > Timestamp::UNIX_EPOCH);
        }
        let _refused_or_not = Schedule::parse("@daily", Some(&zone));
    }
}

#[test]
fn the_ends_of_time_are_answered() {
    let schedule = Schedule::parse("0 5 * * *", Some("Europe/Madrid")).expect("a schedule");
    assert_eq!(schedule.next_after(Timestamp::MAX), Timestamp::MAX);
    assert!(schedule.next_after(Timestamp::MIN) > Timestamp::MIN);
}
