//! The catalog when it is large, which `crates/sqlite` measures itself.

use std::process::{Command, Stdio};

use crate::report::{Aims, Table};

/// Its lines that an aim is about, and that aim in milliseconds.
const AIMS: [(&str, f64); 4] = [
    ("tick with 10 databases due", 20.0),
    ("page of 100 jobs, in the middle", 10.0),
    ("page of 100 databases", 10.0),
    ("retention plan of a database with 10,000 backups", 50.0),
];

/// Runs the catalog's own measurement and prints what it found.
pub fn measure(aims: &mut Aims) {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // As this program was built: figures count in release only, and a try should not wait for its build.
    let profile = if cfg!(debug_assertions) { "dev" } else { "release" };
    let output = Command::new(cargo)
        .args(["run", "--quiet", "--locked", "--profile", profile])
        .args(["--package", "respaldo-sqlite", "--example", "catalog_speed"])
        // From wherever this was started: the toolchain is chosen by folder.
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success(), "the catalog's measurement failed");
    let text = String::from_utf8(output.stdout).unwrap();
    let size = text.lines().next().expect("its first line is the catalog's size");
    let mut table = Table::new(&["what", "found", "first", "median", "slowest"]);
    let mut judged = 0;
    for line in text.lines() {
        // "WHAT: N found; first A, median B, slowest C"
        let Some((what, figures)) = line.split_once(": ") else { continue };
        let cells: Vec<&str> = figures.split([';', ',']).map(str::trim).collect();
        let [found, first, median, slowest] = cells[..] else { continue };
        let value = |cell: &str| cell.rsplit(' ').next().unwrap_or_default().to_owned();
        table.row(&[
            what.to_owned(),
            found.trim_end_matches(" found").to_owned(),
            value(first),
            value(median),
            value(slowest),
        ]);
        if let Some((_, most)) = AIMS.iter().find(|(aim, _)| *aim == what) {
            aims.at_most(&format!("catalog, {what}: median ms"), milliseconds(&value(median)), *most);
            judged += 1;
        }
    }
    assert_eq!(judged, AIMS.len(), "an aim is about a line that was not printed:\n{text}");
    table.print(&format!("Catalog: {size}"));
}

fn milliseconds(text: &str) -> f64 {
    for (unit, milliseconds) in [("ns", 1e-6), ("µs", 1e-3), ("ms", 1.0), ("s", 1e3)] {
        if let Some(number) = text.strip_suffix(unit) {
            return number.parse::<f64>().unwrap() * milliseconds;
        }
    }
    panic!("{text:?} is no duration");
}
