//! Restores into a new database, against the command lines that people would type.

use std::time::Instant;

use respaldo_testkit::host::run;

use crate::backup::restore;
use crate::compare::Server;
use crate::report::{Aims, Table};

/// One kind of dump: how it is put back by hand, and by us.
pub struct Case {
    /// As the table says it.
    pub name: &'static str,
    /// The shape of our dump.
    pub format: &'static str,
    /// Makes the file `dump` in the present folder.
    pub dump: &'static str,
    /// Makes the database `$NEW`.
    pub create: &'static str,
    /// Puts `dump` into it.
    pub load: &'static str,
    /// Drops it.
    pub drop: &'static str,
}

/// Rounds of both, in turn; the quickest of each counts.
pub fn compare(server: &dyn Server, database: &str, cases: &[Case], rounds: usize, aims: &mut Aims) {
    let mut table = Table::new(&["what", "seconds", "respaldo, zstd", "ratio"]);
    for case in cases {
        let folder = tempfile::tempdir().unwrap();
        let shell = |line: &str| {
            let mut bash = server.bash(database, line);
            bash.current_dir(folder.path()).env("NEW", "by_hand");
            let begun = Instant::now();
            run(bash, std::io::empty());
            begun.elapsed().as_secs_f64()
        };
        shell(case.dump);
        let (mut by_hand, mut ours) = (f64::MAX, f64::MAX);
        for round in 1..=rounds {
            shell(case.create);
            by_hand = by_hand.min(shell(case.load));
            shell(case.drop);
            let by_hand_now = by_hand;
            let seconds = restore(server, database, case.format, "by_us");
            ours = ours.min(seconds);
            shell(&case.drop.replace("$NEW", "by_us"));
            eprintln!("round {round}, {}: {by_hand_now:.2} s, ours {seconds:.2} s", case.name);
        }
        table.row(&[
            case.name.to_owned(),
            format!("{by_hand:.2}"),
            format!("{ours:.2}"),
            format!("{:.2}", ours / by_hand),
        ]);
        aims.at_most(&format!("restore against {}: wall time", case.name), ours / by_hand, 1.05);
    }
    table.print(&format!("Restores into a new database, best of {rounds}"));
}
