//! The sample is what it says, and the writer writes until it is stopped.

use respaldo_testkit::host;
use respaldo_testkit::sqlite::{self, Writer};

#[test]
fn the_sample_survives_the_stock_tools_dump() {
    let dir = tempfile::tempdir().expect("a folder");
    let (source, copy) = (dir.path().join("source.db"), dir.path().join("copy.db"));
    sqlite::sample(&source);
    let mut backup = host::command("sqlite3");
    backup.arg(&source).arg(format!(".backup '{}'", copy.display()));
    host::run(backup, std::io::empty());
    let expected = sqlite::dump(&source);
    assert!(expected.lines().count() > 10_000);
    assert!(expected == sqlite::dump(&copy), "the copy differs");
    sqlite::open(&copy).execute("UPDATE big SET note = 'x' WHERE id = 9999", []).expect("it can be changed");
    assert!(expected != sqlite::dump(&copy), "a change shows");
}

#[test]
fn a_copy_made_by_vacuum_while_the_writer_writes_is_consistent() {
    let dir = tempfile::tempdir().expect("a folder");
    let (source, copy) = (dir.path().join("source.db"), dir.path().join("copy.db"));
    sqlite::sample(&source);
    let writer = Writer::start(&source);
    writer.wait_for(50);
    let before = writer.committed();
    let target = copy.to_str().expect("a plain path");
    sqlite::open(&source).execute("VACUUM INTO ?1", [target]).expect("it can be copied");
    let copied = Writer::consistent_rows(&copy);
    writer.wait_for(1);
    assert!(copied >= before);
    let committed = writer.stop();
    assert!(copied <= committed);
    assert_eq!(Writer::consistent_rows(&source), committed);
}
