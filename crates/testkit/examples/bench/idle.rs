//! What a backup costs while its server thinks and no byte comes.

use crate::backup::back_up;
use crate::mariadb::Mariadb;
use crate::report::{Aims, Table};

/// How long the server thinks, in seconds.
const THINKS: u64 = 20;
/// A hundredth of one core, in processor seconds for each minute.
const MOST: f64 = 0.6;

/// Backs a small database up at once, and again while a lock keeps its last table from being read: then the
/// tool waits in the middle of its dump, and the backup with it.
pub fn measure(server: &Mariadb, database: &str, aims: &mut Aims) {
    let quick = back_up(server, database, "zstd");
    let slow = server.locked(database, "pictures", THINKS, || back_up(server, database, "zstd"));
    let waited = slow.seconds - quick.seconds;
    assert!(waited > THINKS as f64 / 2.0, "the lock kept nobody waiting: {waited:.1} s");
    let mut table = Table::new(&["backup", "seconds", "CPU s"]);
    for (what, cost) in [("at once", quick), ("with a server that thinks", slow)] {
        table.row(&[what.to_owned(), format!("{:.2}", cost.seconds), format!("{:.2}", cost.cpu)]);
    }
    table.print("Waiting");
    let minute = (slow.cpu - quick.cpu).max(0.0) * 60.0 / waited;
    aims.at_most("a minute of waiting: processor seconds", minute, MOST);
}
