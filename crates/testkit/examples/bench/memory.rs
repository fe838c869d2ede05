//! The peak of a backup's memory, whatever the database's size.

use respaldo_testkit::postgres::{Postgres, quoted};

use crate::backup::back_up;
use crate::report::{Aims, Table};

/// What a job may hold, in MiB.
const BUDGET: f64 = 64.0;
/// How far the peaks may lie apart, in MiB: an allocator is no clock.
const SAME: f64 = 6.0;

/// Makes a database four times as large as another.
pub fn quadruple(server: &Postgres, of: &str, name: &str) {
    server.psql("postgres", &format!("CREATE DATABASE {} TEMPLATE {}", quoted(name), quoted(of)));
    for table in ["people", "orders", "messages", "events", "pictures"] {
        for _ in 0..2 {
            server.psql(name, &format!("INSERT INTO {table} SELECT * FROM {table}"));
        }
    }
}

/// Backs up databases of several sizes.
pub fn compare(server: &Postgres, databases: &[(&str, f64)], aims: &mut Aims) {
    let mut table = Table::new(&["dump of about", "gzip: peak MiB over idle", "zstd: peak MiB over idle"]);
    let mut peaks = Vec::new();
    for (database, gigabytes) in databases {
        let mut row = vec![format!("{gigabytes} GB")];
        for compression in ["gzip", "zstd"] {
            let cost = back_up(server, database, compression);
            eprintln!("memory, {database}, {compression}: {:.1} s", cost.seconds);
            let peak = cost.peak_mib.unwrap_or_default();
            row.push(format!("{peak:.1}"));
            peaks.push((compression, peak));
        }
        table.row(&row);
    }
    table.print("Memory");
    for compression in ["gzip", "zstd"] {
        let of = peaks.iter().filter(|(name, _)| *name == compression).map(|(_, peak)| *peak);
        let (most, least) = (of.clone().fold(0.0, f64::max), of.fold(f64::MAX, f64::min));
        aims.at_most(&format!("{compression}: highest peak, MiB over idle"), most, BUDGET);
        aims.at_most(&format!("{compression}: peaks of all sizes apart, MiB"), most - least, SAME);
    }
}
