//! Tables that fit their terminal.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::Show;

const GAP: usize = 2;
/// A shortened cell keeps this many columns at least.
const NARROWEST: usize = 8;

/// One column.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    title: &'static str,
    right: bool,
    shrinks: bool,
    optional: bool,
}

impl Column {
    /// A column that always has the width of its longest cell.
    pub(crate) const fn new(title: &'static str) -> Self {
        Self { title, right: false, shrinks: false, optional: false }
    }

    /// Its cells are numbers, which end at the same place.
    pub(crate) const fn right(mut self) -> Self {
        self.right = true;
        self
    }

    /// Its cells may be shortened.
    pub(crate) const fn shrinks(mut self) -> Self {
        self.shrinks = true;
        self
    }

    /// It goes first where there is no room.
    pub(crate) const fn optional(mut self) -> Self {
        self.optional = true;
        self
    }
}

/// One cell: its text, which must be fit for a terminal, and what colour says of it.
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    text: String,
    colour: &'static str,
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self { text, colour: "" }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::from(text.to_owned())
    }
}

impl Cell {
    /// A job's status or a verification's, in its colour.
    pub(crate) fn status(text: String) -> Self {
        let colour = match text.as_str() {
            "succeeded" | "ok" => "32",
            "failed" => "31",
            "queued" | "running" | "deleting" | "not_verified" => "33",
            "cancelled" | "skipped" => "2",
            _ => "",
        };
        Self { text, colour }
    }
}

/// The lines of a table: titles, then rows. Without rows it is empty.
pub(crate) fn table(show: Show, columns: &[Column], rows: &[Vec<Cell>]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let widths = fit(columns, natural(columns, rows), show.width);
    let titles: Vec<Cell> = columns.iter().map(|column| Cell::from(column.title)).collect();
    let lines = std::iter::once(&titles).chain(rows).map(|row| line(columns, row, &widths, show.colour));
    lines.collect()
}

fn natural(columns: &[Column], rows: &[Vec<Cell>]) -> Vec<Option<usize>> {
    let width_of = |n: usize, column: &Column| {
        let cells = rows.iter().filter_map(|row| row.get(n)).map(|cell| cell.text.width());
        cells.chain([column.title.width()]).max().unwrap_or(0)
    };
    columns.iter().enumerate().map(|(n, column)| Some(width_of(n, column))).collect()
}

/// Shortens what may be shortened, then leaves out what may be left out. None: the column is left out.
fn fit(columns: &[Column], mut widths: Vec<Option<usize>>, room: Option<usize>) -> Vec<Option<usize>> {
    let Some(room) = room else { return widths };
    loop {
        let shown = widths.iter().flatten();
        if shown.clone().sum::<usize>() + GAP * shown.count().saturating_sub(1) <= room {
            return widths;
        }
        let widest = (0..columns.len())
            .filter(|n| columns[*n].shrinks)
            .filter_map(|n| widths[n].filter(|width| *width > NARROWEST).map(|width| (width, n)))
            .max();
        let dropped = (0..columns.len()).rfind(|n| columns[*n].optional && widths[*n].is_some());
        match (widest, dropped) {
            (Some((width, n)), _) => widths[n] = Some(width - 1),
            (None, Some(n)) => widths[n] = None,
            (None, None) => return widths,
        }
    }
}

fn line(columns: &[Column], row: &[Cell], widths: &[Option<usize>], colour: bool) -> String {
    let mut line = String::new();
    let shown = columns.iter().zip(row).zip(widths).filter_map(|(pair, width)| Some((pair, (*width)?)));
    for (n, ((column, cell), width)) in shown.enumerate() {
        if n > 0 {
            line.push_str(&" ".repeat(GAP));
        }
        let text = shortened(&cell.text, width);
        let padding = " ".repeat(width - text.width().min(width));
        let painted = if colour && !cell.colour.is_empty() {
            format!("\u{1b}[{}m{text}\u{1b}[0m", cell.colour)
        } else {
            text
        };
        if column.right {
            line.push_str(&padding);
            line.push_str(&painted);
        } else {
            line.push_str(&painted);
            line.push_str(&padding);
        }
    }
    line.truncate(line.trim_end().len());
    line.push('\n');
    line
}

fn shortened(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut short = String::new();
    let mut used = 1;
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used > width {
            break;
        }
        short.push(c);
    }
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const COLUMNS: &[Column] = &[
        Column::new("ID"),
        Column::new("NAME").shrinks(),
        Column::new("SIZE").right(),
        Column::new("NOTE").shrinks().optional(),
    ];

    fn show(width: Option<usize>) -> Show {
        Show { json: false, quiet: false, colour: false, width }
    }

    fn rows(cells: &[[&str; 4]]) -> Vec<Vec<Cell>> {
        cells.iter().map(|row| row.iter().map(|cell| Cell::from(*cell)).collect()).collect()
    }

    #[test]
    fn columns_are_aligned_and_numbers_end_at_the_same_place() {
        let rows = rows(&[["1", "shop", "9 B", "a"], ["12", "商店", "10.0 kB", ""]]);
        let expected = "ID  NAME     SIZE  NOTE\n1   shop      9 B  a\n12  商店  10.0 kB\n";
        assert_eq!(table(show(None), COLUMNS, &rows), expected);
        assert_eq!(table(show(None), COLUMNS, &[]), "");
    }

    #[test]
    fn what_is_too_wide_is_shortened_and_then_left_out() {
        let rows = rows(&[["1", "a name that is long", "9 B", "a note that is longer still"]]);
        assert_eq!(
            table(show(Some(40)), COLUMNS, &rows),
            "ID  NAME            SIZE  NOTE\n1   a name that i…   9 B  a note that i…\n"
        );
        assert_eq!(table(show(Some(20)), COLUMNS, &rows), "ID  NAME      SIZE\n1   a name …   9 B\n");
    }

    #[test]
    fn a_status_has_its_colour_where_colours_are_taken() {
        let row = vec![vec![Cell::status("failed".to_owned())]];
        let painted = table(Show { colour: true, ..show(None) }, &[Column::new("STATUS")], &row);
        assert_eq!(painted, "STATUS\n\u{1b}[31mfailed\u{1b}[0m\n");
    }

    proptest! {
        #[test]
        fn no_line_is_wider_than_the_room_where_that_can_be(
            cells in prop::collection::vec(prop::array::uniform4("[a-z商 ]{0,30}"), 1..5),
            room in 60_usize..120,
        ) {
            let cells: Vec<Vec<Cell>> = cells.iter()
                .map(|row| row.iter().map(|cell| Cell::from(cell.as_str())).collect())
                .collect();
            let fixed = |n: usize| cells.iter().map(|row| row[n].text.width()).max().unwrap_or(0).max(4);
            prop_assume!(fixed(0) + fixed(2) + NARROWEST + 2 * GAP <= room);
            for line in table(show(Some(room)), COLUMNS, &cells).lines() {
                prop_assert!(line.width() <= room, "{line:?} in {room}");
            }
        }
    }
}
