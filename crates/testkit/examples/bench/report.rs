//! What the program prints: markdown, so that it can be put into `docs/benchmarks.md` as it is.

/// A table of text.
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(head: &[&str]) -> Self {
        Self { rows: vec![head.iter().map(|&cell| cell.to_owned()).collect()] }
    }

    pub fn row(&mut self, cells: &[String]) {
        self.rows.push(cells.to_vec());
    }

    pub fn print(&self, title: &str) {
        println!("\n### {title}\n");
        for (number, row) in self.rows.iter().enumerate() {
            println!("| {} |", row.join(" | "));
            if number == 0 {
                println!("|{}", " --- |".repeat(row.len()));
            }
        }
    }
}

/// What was wished for, and whether it came true.
pub struct Aims(Vec<(String, String, String, bool)>);

impl Aims {
    pub fn new() -> Self {
        Self(Vec::new())
    }

    pub fn at_least(&mut self, what: &str, measured: f64, least: f64) {
        self.0.push((what.to_owned(), format!("{measured:.2}"), format!("≥ {least}"), measured >= least));
    }

    pub fn at_most(&mut self, what: &str, measured: f64, most: f64) {
        self.0.push((what.to_owned(), format!("{measured:.2}"), format!("≤ {most}"), measured <= most));
    }

    pub fn print(&self) {
        let mut table = Table::new(&["aim", "measured", "wanted", ""]);
        for (what, measured, wanted, met) in &self.0 {
            let met = if *met { "met" } else { "**not met**" };
            table.row(&[what.clone(), measured.clone(), wanted.clone(), met.to_owned()]);
        }
        table.print("Aims");
    }
}
