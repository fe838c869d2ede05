//! What may be done to a catalog, at random.

use proptest::prelude::*;

/// What is done. `stale` works on the record before the last known one.
#[derive(Debug, Clone)]
pub(super) enum Op {
    CreateDatabase {
        uid: u8,
        due: Option<u8>,
    },
    ChangeDatabase {
        nth: u8,
        stale: bool,
        due: Option<u8>,
        definition_stale: bool,
        enabled: bool,
    },
    DeleteDatabase {
        nth: u8,
        stale: bool,
    },
    Databases {
        after: Option<u8>,
        limit: usize,
    },
    DueDatabases {
        until: u8,
        limit: usize,
    },
    CreateJob {
        id: u8,
        database: u8,
        kind: u8,
        at: u8,
    },
    StepJob {
        id: u8,
        stale: bool,
        step: u8,
        at: u8,
    },
    DeleteJob {
        id: u8,
        stale: bool,
    },
    Jobs {
        database: Option<u8>,
        status: Option<u8>,
        kind: Option<u8>,
        since: Option<u8>,
        after: Option<(u8, u8)>,
        limit: usize,
    },
    DueJobs {
        until: u8,
        limit: usize,
    },
    Totals {
        database: Option<u8>,
    },
    AppendLog {
        id: u8,
        lines: u8,
    },
    Log {
        id: u8,
        after: u8,
        limit: usize,
    },
    Claim {
        key: u8,
        value: u8,
        now: u8,
        ttl: Option<u8>,
    },
    ReleaseClaim {
        key: u8,
        value: u8,
    },
    Claims {
        limit: usize,
        now: u8,
    },
    PutDocument {
        name: u8,
        text: u8,
        stale: bool,
    },
    Acquire {
        name: u8,
        now: u8,
        ttl: u8,
    },
    Renew {
        name: u8,
        nth: u8,
        until: u8,
    },
    Release {
        name: u8,
        nth: u8,
    },
    Live {
        prefix: u8,
        now: u8,
    },
}

pub(super) fn op() -> impl Strategy<Value = Op> {
    let few = 0..6_u8;
    let time = 0..20_u8;
    let limit = prop_oneof![1..4_usize, Just(100)];
    let maybe = |strategy: std::ops::Range<u8>| proptest::option::of(strategy);
    prop_oneof![
        2 => (few.clone(), maybe(0..20)).prop_map(|(uid, due)| Op::CreateDatabase { uid, due }),
        2 => (few.clone(), any::<bool>(), maybe(0..20), any::<bool>(), any::<bool>()).prop_map(
            |(nth, stale, due, definition_stale, enabled)| Op::ChangeDatabase { nth, stale, due, definition_stale, enabled }
        ),
        1 => (few.clone(), any::<bool>()).prop_map(|(nth, stale)| Op::DeleteDatabase { nth, stale }),
        1 => (maybe(0..6), limit.clone()).prop_map(|(after, limit)| Op::Databases { after, limit }),
        1 => (time.clone(), limit.clone()).prop_map(|(until, limit)| Op::DueDatabases { until, limit }),
        3 => (few.clone(), 1..3_u8, 0..4_u8, time.clone())
            .prop_map(|(id, database, kind, at)| Op::CreateJob { id, database, kind, at }),
        6 => (few.clone(), proptest::bool::weighted(0.2), 0..8_u8, time.clone())
            .prop_map(|(id, stale, step, at)| Op::StepJob { id, stale, step, at }),
        1 => (few.clone(), any::<bool>()).prop_map(|(id, stale)| Op::DeleteJob { id, stale }),
        2 => (maybe(1..3), maybe(0..5), maybe(0..4), maybe(0..20), proptest::option::of((0..20_u8, 0..6_u8)), limit.clone())
            .prop_map(|(database, status, kind, since, after, limit)| Op::Jobs { database, status, kind, since, after, limit }),
        2 => (time.clone(), limit.clone()).prop_map(|(until, limit)| Op::DueJobs { until, limit }),
        2 => maybe(1..4).prop_map(|database| Op::Totals { database }),
        1 => (few.clone(), 0..4_u8).prop_map(|(id, lines)| Op::AppendLog { id, lines }),
        1 => (few, time.clone(), limit.clone()).prop_map(|(id, after, limit)| Op::Log { id, after, limit }),
        2 => (0..5_u8, 0..3_u8, time.clone(), maybe(0..9))
            .prop_map(|(key, value, now, ttl)| Op::Claim { key, value, now, ttl }),
        1 => (0..5_u8, 0..3_u8).prop_map(|(key, value)| Op::ReleaseClaim { key, value }),
        1 => (limit, time.clone()).prop_map(|(limit, now)| Op::Claims { limit, now }),
        2 => (0..5_u8, 0..3_u8, proptest::bool::weighted(0.2))
            .prop_map(|(name, text, stale)| Op::PutDocument { name, text, stale }),
        2 => (0..5_u8, time.clone(), 0..9_u8).prop_map(|(name, now, ttl)| Op::Acquire { name, now, ttl }),
        1 => (0..5_u8, 0..4_u8, time.clone()).prop_map(|(name, nth, until)| Op::Renew { name, nth, until }),
        1 => (0..5_u8, 0..4_u8).prop_map(|(name, nth)| Op::Release { name, nth }),
        1 => (0..5_u8, time).prop_map(|(prefix, now)| Op::Live { prefix, now }),
    ]
}
