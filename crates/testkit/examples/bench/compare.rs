//! Whole backups of one database, against the command lines that people come from.

use std::fs;
use std::process::Command;
use std::time::Instant;

use respaldo_testkit::host::run;
use serde_json::Value;

use crate::backup::back_up;
use crate::machine::Cpu;
use crate::report::{Aims, Table};

/// A real server, as its command lines and as a backup of ours reach it.
pub trait Server {
    /// The fields of a registration that say which server it is.
    fn address(&self) -> Value;

    /// A user who may read everything, and the password.
    fn login(&self) -> (&str, &str);

    /// A shell's command line with what it takes to reach a database; `$DUMP` dumps it.
    fn bash(&self, database: &str, line: &str) -> Command;

    /// Processor seconds that it has used so far, as far as they count for dumps.
    fn cpu(&self) -> f64;
}

/// What a run cost.
#[derive(Clone, Copy)]
pub struct Cost {
    pub seconds: f64,
    /// Bytes that were stored.
    pub bytes: u64,
    /// Processor seconds of whoever compresses and stores.
    pub cpu: f64,
    /// Processor seconds of the dump tool, where it can be told apart.
    pub tool_cpu: Option<f64>,
    /// Processor seconds of the database's server.
    pub server_cpu: f64,
    /// MiB above the idle process, of ours.
    pub peak_mib: Option<f64>,
}

/// One line of the table.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Run {
    /// The dump tool alone, to nowhere.
    Bare,
    /// The dump tool into a compressor.
    Into(&'static str),
    /// A backup with this compression.
    Ours(&'static str),
}

impl Run {
    /// How the table and the aims call it.
    fn name(self, tool: &str) -> String {
        match self {
            Self::Bare => format!("`{tool} > /dev/null`"),
            Self::Into(compressor) => format!(r"`{tool} \| {compressor}`"),
            Self::Ours(compression) => format!("respaldo, {compression}"),
        }
    }

    fn go(self, server: &dyn Server, database: &str) -> Cost {
        match self {
            Self::Bare => shell(server, database, "$DUMP > /dev/null"),
            Self::Into(compressor) => shell(server, database, &format!("$DUMP | {compressor} > out")),
            Self::Ours(compression) => back_up(server, database, compression),
        }
    }
}

/// Runs a command line in a folder of its own; what it stores is called `out`.
fn shell(server: &dyn Server, database: &str, line: &str) -> Cost {
    let folder = tempfile::tempdir().unwrap();
    let mut bash = server.bash(database, line);
    bash.current_dir(folder.path());
    let (server_before, before) = (server.cpu(), Cpu::of("self"));
    let begun = Instant::now();
    run(bash, std::io::empty());
    let seconds = begun.elapsed().as_secs_f64();
    let cpu = Cpu::of("self").since(before).children;
    let server_cpu = server.cpu() - server_before;
    let bytes = fs::metadata(folder.path().join("out")).map_or(0, |metadata| metadata.len());
    Cost { seconds, bytes, cpu, tool_cpu: None, server_cpu, peak_mib: None }
}

/// What is compared: a server's database, its dump tool, and the runs in the order of a round.
pub struct Comparison<'a> {
    /// As the table's title says it.
    pub name: &'a str,
    pub tool: &'a str,
    pub server: &'a dyn Server,
    pub database: &'a str,
    pub runs: &'a [Run],
}

impl Comparison<'_> {
    /// Rounds of all runs, so that what disturbs the machine disturbs each; the quickest of each counts.
    pub fn measure(&self, rounds: usize, aims: &mut Aims) {
        let counted = run(self.server.bash(self.database, "$DUMP | wc -c"), std::io::empty()).stdout;
        let raw: f64 = String::from_utf8_lossy(&counted).trim().parse().unwrap();
        let mut best: Vec<Option<Cost>> = vec![None; self.runs.len()];
        for round in 1..=rounds {
            for (what, best) in self.runs.iter().zip(&mut best) {
                let cost = what.go(self.server, self.database);
                eprintln!("round {round}, {}: {:.2} s", what.name(self.tool), cost.seconds);
                if best.is_none_or(|best| cost.seconds < best.seconds) {
                    *best = Some(cost);
                }
            }
        }
        let best: Vec<Cost> = best.into_iter().map(|cost| cost.expect("there was a round")).collect();
        self.print(&best, raw, rounds);
        self.judge(&best, aims);
    }

    fn judge(&self, best: &[Cost], aims: &mut Aims) {
        let of = |run: Run| {
            let place = self.runs.iter().position(|other| *other == run);
            best[place.expect("the aims' runs are among them")]
        };
        let tool = self.tool;
        let (bare, piped) = (of(Run::Bare), of(Run::Into("gzip -6")));
        let (gzip, zstd) = (of(Run::Ours("gzip")), of(Run::Ours("zstd")));
        aims.at_least(
            &format!(r"gzip backup against `{tool} \| gzip -6`: times faster"),
            piped.seconds / gzip.seconds,
            5.0,
        );
        aims.at_most(
            &format!(r"gzip artifact against `{tool} \| gzip -6`: size"),
            gzip.bytes as f64 / piped.bytes as f64,
            1.0,
        );
        aims.at_most(
            &format!("zstd backup against bare `{tool}`: wall time"),
            zstd.seconds / bare.seconds,
            1.2,
        );
    }

    fn print(&self, costs: &[Cost], raw: f64, rounds: usize) {
        let tool_cpu = format!("CPU s, our `{}`", self.tool);
        let mut table = Table::new(&[
            "what",
            "seconds",
            "stored MB",
            "ratio",
            "CPU s, ours or the pipeline's",
            &tool_cpu,
            "CPU s, server",
            "peak MiB over idle",
        ]);
        for (what, cost) in self.runs.iter().zip(costs) {
            let or_none =
                |value: Option<f64>, digits| value.map_or("-".to_owned(), |v| format!("{v:.digits$}"));
            let stored = (cost.bytes > 0).then(|| cost.bytes as f64 / 1e6);
            table.row(&[
                what.name(self.tool),
                format!("{:.2}", cost.seconds),
                or_none(stored, 0),
                or_none(stored.map(|stored| raw / 1e6 / stored), 2),
                format!("{:.2}", cost.cpu),
                or_none(cost.tool_cpu, 2),
                format!("{:.2}", cost.server_cpu),
                or_none(cost.peak_mib, 0),
            ]);
        }
        table.print(&format!("{}: {:.0} MB of dump, best of {rounds}", self.name, raw / 1e6));
    }
}
