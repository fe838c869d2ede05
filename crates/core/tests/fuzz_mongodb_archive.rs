//! Fuzzing what reads archives of `mongodump`. `cargo test` does it for a few seconds, beginning with the corpus in
//! `__fuzz__`; `CONTRIBUTING.md` says how to do it for longer.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use respaldo_core::ErrorKind;
use respaldo_core::engine::mongodb::archive::{ArchiveObserver, Entry, MAGIC, Reader};
use respaldo_core::engine::observe::Observer;

/// Documents by collection, or why it was refused.
fn read(archive: &[u8]) -> respaldo_core::Result<Vec<u64>> {
    let mut reader = Reader::new(archive)?;
    let mut ended = vec![0; reader.declared().len()];
    while let Some(entry) = reader.next()? {
        if let Entry::End { at, documents } = entry {
            ended[at] = documents;
        }
    }
    Ok(ended)
}

fn observe(archive: &[u8], piece: usize) -> respaldo_core::Result<u64> {
    let mut observer = Box::new(ArchiveObserver::new());
    for piece in archive.chunks(piece) {
        observer.feed(piece)?;
    }
    observer.finish().map(|observed| observed.fingerprint.rows())
}

/// Whatever is read: nobody panics, the observer and the reader agree, and no cut of it passes for whole.
fn judge(archive: &[u8]) {
    let whole = read(archive);
    for piece in [1, 3, archive.len().max(1)] {
        let observed = observe(archive, piece);
        assert_eq!(observed.as_ref().err(), whole.as_ref().err());
        assert_eq!(observed.ok(), whole.as_ref().ok().map(|ended| ended.iter().sum()));
    }
    let cut = &archive[..archive.len().saturating_sub(1)];
    if whole.is_ok() {
        assert_eq!(read(cut).unwrap_err().kind(), ErrorKind::Incomplete);
    }
}

#[test]
fn any_bytes() {
    bolero::check!().with_test_time(Duration::from_secs(2)).with_max_len(4096).for_each(|bytes: &[u8]| {
        judge(bytes);
        judge(&[&MAGIC[..], bytes].concat());
    });
}

/// The archives of the fixtures with some bytes changed, taken away or put in.
#[test]
fn damaged_archives() {
    let seeds = [
        include_str!("fixtures/mongodb/written.hex"),
        include_str!("fixtures/mongodb/server-3.4.hex"),
        include_str!("fixtures/mongodb/users-8.3.hex"),
    ]
    .map(|text| {
        let digits = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
        hex::decode(digits.collect::<String>()).unwrap()
    });
    bolero::check!().with_type::<(u8, Vec<(u16, u8, u8)>)>().with_test_time(Duration::from_secs(3)).for_each(
        |(seed, changes)| {
            let mut archive = seeds[usize::from(*seed) % seeds.len()].clone();
            for (at, what, value) in changes {
                let at = usize::from(*at) % archive.len().max(1);
                match what % 4 {
                    0 | 1 if at < archive.len() => archive[at] = *value,
                    2 => archive.truncate(at),
                    _ => archive.insert(at, *value),
                }
            }
            judge(&archive);
        },
    );
}
