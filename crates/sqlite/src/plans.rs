//! No query walks a table: each plan is a search in a named index, in the order it is asked in.

use jiff::Timestamp;
use respaldo_core::model::{BackupKind, DatabaseId, Status};
use respaldo_core::ports::JobFilter;
use rusqlite::Connection;

use crate::{claims, databases, documents, jobs, leases, log, open};

/// Every step of the plan, with every parameter bound to null.
fn plan(connection: &Connection, sql: &str) -> Vec<String> {
    let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let nulls = vec![None::<i64>; statement.parameter_count()];
    let steps = statement.query_map(rusqlite::params_from_iter(nulls), |row| row.get(3)).unwrap();
    steps.collect::<Result<_, _>>().unwrap()
}

fn assert_searches(connection: &Connection, sql: &str, index: &str) {
    let steps = plan(connection, sql);
    assert!(!steps.is_empty(), "{sql}: no plan");
    for step in &steps {
        assert!(!step.starts_with("SCAN") && !step.contains("TEMP B-TREE"), "{sql}: {steps:?}");
    }
    assert!(steps.iter().any(|step| step.contains(index)), "{sql}: {steps:?} without {index}");
}

#[test]
fn records_and_due_queries_search_an_index() {
    let connection = open::memory().unwrap();
    for (sql, index) in [
        (databases::ONE, "INTEGER PRIMARY KEY"),
        (databases::LIST, "INTEGER PRIMARY KEY"),
        (databases::DUE, "databases_due (attention_at<?)"),
        (jobs::ONE, "sqlite_autoindex_jobs_1 (id=?)"),
        (jobs::DUE, "jobs_due (attention_at<?)"),
        (jobs::SUMS, "PRIMARY KEY (scope=?)"),
        (log::LINES, "PRIMARY KEY (job_id=? AND seq>?)"),
        (leases::LIVE, "sqlite_autoindex_leases_1 (name>?)"),
        (leases::FORGET, "leases_by_expiry (expires_at<?)"),
        (claims::ONE, "(key=?)"),
        (claims::FORGET, "claims_by_expiry (expires_at<?)"),
        (claims::LIST, "PRIMARY KEY (key>?)"),
        (documents::ONE, "PRIMARY KEY (name=?)"),
    ] {
        assert_searches(&connection, sql, index);
    }
    for database in [None, Some(DatabaseId(1))] {
        for direction in ["ASC", "DESC"] {
            let sql = jobs::success_sql(database, direction);
            assert_searches(&connection, &sql, "status=?");
            assert!(plan(&connection, &sql)[0].contains("COVERING"), "{sql}");
        }
    }
}

#[test]
fn every_list_of_jobs_walks_one_index_in_its_order_however_its_filters_combine() {
    let connection = open::memory().unwrap();
    let mut seen = 0;
    for bits in 0..128u8 {
        let on = |bit: u8| bits & (1 << bit) != 0;
        let filter = JobFilter {
            database_id: on(0).then_some(DatabaseId(1)),
            status: on(1).then_some(Status::Failed),
            kind: on(2).then_some(BackupKind::Manual),
            since: on(3).then_some(Timestamp::UNIX_EPOCH),
            backups_only: on(5),
            without_database: on(6),
        };
        let sql = jobs::list_sql(&filter, on(4));
        let steps = plan(&connection, &sql);
        assert_eq!(steps.len(), 1, "{sql}: {steps:?}");
        // The unfiltered first page walks its index from the newest entry and stops at the limit.
        let from_the_end = bits % 32 == 0 && !on(6) && steps[0] == "SCAN jobs USING INDEX jobs_by_age";
        assert!(from_the_end || steps[0].starts_with("SEARCH jobs USING INDEX jobs_by_"), "{sql}: {steps:?}");
        for (set, column) in [(on(0) || on(6), "database_id=?"), (on(1), "status=?")] {
            assert_eq!(set, steps[0].contains(column), "{sql}: {steps:?}");
        }
        assert_eq!(on(4), steps[0].contains("(created_at,id)<(?,?)"), "{sql}: {steps:?}");
        seen += 1;
    }
    assert_eq!(seen, 128);
}
