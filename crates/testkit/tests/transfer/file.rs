//! The file itself: what is cut, changed, another's or newer is refused, before anything is written.

use super::*;

async fn refused(file: &[u8]) -> respaldo_core::Error {
    let target = MemoryCatalog::default();
    let error = read_into(&target, file).await.expect_err("the file is refused");
    assert_eq!(content(&target).await, content(&MemoryCatalog::default()).await);
    assert_eq!(target.document(MARKER).await.unwrap(), None, "{error}");
    error
}

async fn small() -> Vec<u8> {
    let source = MemoryCatalog::default();
    source.create_database(NewDatabase(database(1))).await.unwrap();
    source.create_job(&job_without_a_database(1, at(0))).await.unwrap();
    source.claim("k", "v", at(0), None).await.unwrap();
    written(&source).await.0
}

#[tokio::test]
async fn a_file_that_is_cut_anywhere_is_refused_and_nothing_is_written() {
    let file = small().await;
    inspect(&mut Cursor::new(&file), &key()).unwrap();
    for length in 0..file.len() - 1 {
        let error = refused(&file[..length]).await;
        assert!(matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Invalid), "{length}: {error}");
    }
}

#[tokio::test]
async fn a_file_that_is_changed_anywhere_is_refused_and_nothing_is_written() {
    let file = small().await;
    for place in 0..file.len() {
        for bit in [0, 6] {
            let mut changed = file.clone();
            changed[place] ^= 1 << bit;
            refused(&changed).await;
        }
    }
    refused(&[file.as_slice(), b"\n"].concat()).await;
    refused(&[file.as_slice(), file.as_slice()].concat()).await;
    let lines: Vec<_> = file.split_inclusive(|byte| *byte == b'\n').collect();
    assert!(lines.len() >= 5);
    for place in 1..lines.len() - 1 {
        let mut missing = lines.clone();
        missing.remove(place);
        refused(&missing.concat()).await;
        let mut moved = lines.clone();
        moved.swap(place, lines.len() - 1);
        refused(&moved.concat()).await;
    }
}

#[tokio::test]
async fn whoever_changes_a_file_cannot_make_its_end_fit_without_the_key() {
    let source = MemoryCatalog::default();
    source.create_database(NewDatabase(database(1))).await.unwrap();
    let forger = MasterKey::generate([9; 32]);
    let mut file = Vec::new();
    let how = Export { key: &forger, source: String::new(), now: now(), force: false };
    export(&source, how, &mut file).await.unwrap();
    let text = String::from_utf8(file).unwrap();
    let ours = text.replace(&hex::encode(forger.id()), &hex::encode(key().id()));
    assert_ne!(text, ours);
    assert_eq!(refused(ours.as_bytes()).await.kind(), ErrorKind::Corrupt);
}

#[tokio::test]
async fn another_master_key_is_told_from_damage() {
    let file = small().await;
    let other = MasterKey::generate([8; 32]);
    let error = inspect(&mut Cursor::new(&file), &other).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert_eq!(error.field(), Some("RESPALDO_MASTER_KEY"));
}

#[tokio::test]
async fn a_file_of_a_newer_version_is_refused_as_such() {
    let text = String::from_utf8(small().await).unwrap();
    let written_by = format!("\"written_by\":\"{}\"", env!("CARGO_PKG_VERSION"));
    for newer in [
        text.replacen("\"respaldo_export\":1", "\"respaldo_export\":2", 1),
        text.replacen(&written_by, "\"written_by\":\"999.0.0\"", 1),
    ] {
        assert_ne!(newer, text);
        let error = refused(newer.as_bytes()).await;
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.message().contains("newer"), "{error}");
    }
}

#[tokio::test]
async fn other_files_are_no_exports() {
    for other in ["", "\n", "{}", "not json", "\u{0}\u{1}", "{\"respaldo_export\": \"1\"}"] {
        let error = refused(other.as_bytes()).await;
        assert!(error.message().contains("no export"), "{other:?}: {error}");
    }
}

#[tokio::test]
async fn what_no_import_would_read_is_refused_by_the_export() {
    let source = MemoryCatalog::default();
    source.claim("k", &"x".repeat(64 << 20), at(0), None).await.unwrap();
    let key = key();
    let how = Export { key: &key, source: String::new(), now: now(), force: false };
    let error = export(&source, how, &mut std::io::sink()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
}

/// A file whose bytes are others from the second reading on.
struct Changing {
    now: Cursor<Vec<u8>>,
    then: Vec<u8>,
}

impl std::io::Read for Changing {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.now.read(buffer)
    }
}

impl std::io::BufRead for Changing {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        self.now.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.now.consume(amount);
    }
}

impl std::io::Seek for Changing {
    fn seek(&mut self, to: std::io::SeekFrom) -> std::io::Result<u64> {
        self.now = Cursor::new(std::mem::take(&mut self.then));
        self.now.seek(to)
    }
}

#[tokio::test]
async fn what_was_written_from_a_file_that_changed_meanwhile_is_never_taken_for_its_content() {
    let file = small().await;
    let changed = |line: &str| -> String {
        let mut record: serde_json::Value = serde_json::from_str(line).unwrap();
        if let Some(job) = record.get_mut("job") {
            job["fence"] = 99.into();
        }
        record.to_string() + "\n"
    };
    let then: String = std::str::from_utf8(&file).unwrap().lines().map(changed).collect();
    let target = MemoryCatalog::default();
    let mut input = Changing { now: Cursor::new(file.clone()), then: then.into_bytes() };
    let how = Import { key: &key(), now: now(), dry_run: false };
    let error = import(&target, how, &mut input).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    let again = read_into(&target, &file).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Conflict, "{again}");
    refuse_unfinished(&target).await.unwrap_err();
}
