//! The machine, and what the kernel counts.

use std::fs;

use respaldo_testkit::host::{command, run};

/// The kernel counts processor time in hundredths of a second.
const TICKS: f64 = 100.0;

/// Processor seconds, in user space and in the kernel together.
#[derive(Clone, Copy)]
pub struct Cpu {
    /// Of the process itself.
    pub own: f64,
    /// Of its children that have ended.
    pub children: f64,
}

impl Cpu {
    /// What a process has used so far; `self` is this one.
    pub fn of(process: &str) -> Self {
        let text = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
        // The name before may hold anything.
        let fields: Vec<f64> = text[text.rfind(')').unwrap() + 1..]
            .split_ascii_whitespace()
            .map(|field| field.parse().unwrap_or(0.0))
            .collect();
        Self { own: (fields[11] + fields[12]) / TICKS, children: (fields[13] + fields[14]) / TICKS }
    }

    /// What was used since `earlier`.
    pub fn since(self, earlier: Self) -> Self {
        Self { own: self.own - earlier.own, children: self.children - earlier.children }
    }
}

/// A field of this process's status, in MiB.
pub fn memory_mib(field: &str) -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_ascii_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

/// One line about the machine, and one about the tools.
pub fn print() {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown");
    let memory = fs::read_to_string("/proc/meminfo").unwrap();
    let kib: f64 = memory.split_ascii_whitespace().nth(1).unwrap().parse().unwrap();
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let load = fs::read_to_string("/proc/loadavg").unwrap();
    println!(
        "Machine: {}, {cores} cores, {:.0} GiB of memory, Linux {}; load when it began {}.",
        model.trim_start_matches([' ', '\t', ':']),
        kib / 1024.0 / 1024.0,
        kernel.trim(),
        load.split_ascii_whitespace().next().unwrap(),
    );
    let tools = ["gzip", "zstd"].map(version).join("; ");
    println!("Tools: {tools}; respaldo {}.", env!("CARGO_PKG_VERSION"));
}

fn version(tool: &str) -> String {
    let mut asked = command(tool);
    asked.arg("--version");
    let output = run(asked, std::io::empty());
    String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or(tool).trim_matches(['*', ' ']).to_owned()
}
