//! Sealing and opening are each other's inverse, and damage does not pass.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::io::Read;

use proptest::prelude::*;
use respaldo_core::seal::{
    Compression, DigestReader, Encryption, Envelope, Identity, Origin, Piece, SealPlan, Sealed, open,
    read_error, seal,
};
use respaldo_core::{ErrorKind, Result};

const COMPRESSIONS: [Compression; 3] = [Compression::Gzip, Compression::Zstd, Compression::None];

fn plan(compression: Compression, recipients: &[Identity]) -> SealPlan {
    let recipients = recipients.iter().map(Identity::recipient).collect();
    SealPlan { compression, recipients, threads: 2, memory: SealPlan::LEAST_MEMORY }
}

fn sealed_in_chunks<'a>(plan: SealPlan, chunks: impl Iterator<Item = &'a [u8]>) -> (Vec<u8>, Sealed) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let (mut writer, mut reader) = seal(plan).unwrap();
        let write = async {
            for chunk in chunks {
                writer.write(chunk).await.unwrap();
            }
            writer.finish().await.unwrap();
        };
        let read = async {
            let mut stored = Vec::new();
            loop {
                match reader.next().await.unwrap() {
                    Piece::Data(bytes) => stored.extend_from_slice(&bytes),
                    Piece::End(sealed) => break (stored, sealed),
                }
            }
        };
        tokio::join!(write, read).1
    })
}

fn sealed(plan: SealPlan, raw: &[u8]) -> (Vec<u8>, Sealed) {
    sealed_in_chunks(plan, std::iter::once(raw))
}

fn envelope(compression: Compression, identities: &[Identity]) -> Envelope {
    let encryption = if identities.is_empty() { Encryption::None } else { Encryption::Age };
    Envelope { compression, encryption, origin: Origin::Sealed }
}

fn opened(envelope: Envelope, identities: &[Identity], stored: &[u8]) -> Result<Vec<u8>> {
    let mut raw = Vec::new();
    open(envelope, identities, stored)?.read_to_end(&mut raw).map_err(|e| read_error(&e))?;
    Ok(raw)
}

/// Text of several blocks, in part repetitive and in part not.
fn sample(bytes: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut text = Vec::with_capacity(bytes + 64);
    while text.len() < bytes {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        text.extend_from_slice(format!("INSERT INTO t VALUES ({}, 'abc');\n", state >> 33).as_bytes());
    }
    text.truncate(bytes);
    text
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_was_sealed_opens_to_the_same_bytes(
        seed: Vec<u8>,
        repeats in 0_usize..3000,
        chunk in 1_usize..300_000,
        compression in prop::sample::select(&COMPRESSIONS[..]),
        encrypted: bool,
        threads in 1_usize..4,
    ) {
        let raw = seed.repeat(repeats);
        let identities = if encrypted { vec![Identity::generate()] } else { Vec::new() };
        let plan = SealPlan { threads, memory: 8 << 20, ..plan(compression, &identities) };
        let (stored, sealed) = sealed_in_chunks(plan, raw.chunks(chunk));

        prop_assert_eq!(sealed.raw_bytes, raw.len() as u64);
        let mut reader = DigestReader::new(stored.as_slice());
        std::io::copy(&mut reader, &mut std::io::sink()).unwrap();
        prop_assert_eq!(reader.digests(), sealed.stored);
        prop_assert!(opened(envelope(compression, &identities), &identities, &stored).unwrap() == raw);
    }

    #[test]
    fn arbitrary_bytes_are_refused_and_never_panic(
        bytes: Vec<u8>,
        compression in prop::sample::select(&[Compression::Gzip, Compression::Zstd][..]),
        encrypted: bool,
    ) {
        let identities = if encrypted { vec![Identity::generate()] } else { Vec::new() };
        prop_assert!(opened(envelope(compression, &identities), &identities, &bytes).is_err());
    }
}

#[test]
fn blocks_leave_in_the_dumps_order_however_fast_each_compresses() {
    let mut raw = sample(9 << 20);
    for block in (0..raw.len()).step_by(1 << 20) {
        let end = (block + (1 << 19)).min(raw.len());
        raw[block..end].fill(b'x');
    }
    for compression in COMPRESSIONS {
        let (stored, _) = sealed(SealPlan { threads: 3, memory: 16 << 20, ..plan(compression, &[]) }, &raw);
        assert!(opened(envelope(compression, &[]), &[], &stored).unwrap() == raw, "{compression}");
    }
}

#[test]
fn without_encryption_the_same_dump_gives_the_same_bytes() {
    let raw = sample(3 << 20);
    for compression in COMPRESSIONS {
        assert!(
            sealed(plan(compression, &[]), &raw) == sealed(plan(compression, &[]), &raw),
            "{compression}"
        );
    }
}

#[test]
fn a_cut_anywhere_is_an_error_even_between_two_members() {
    let raw = sample(200_000);
    for compression in COMPRESSIONS {
        for identities in [Vec::new(), vec![Identity::generate()]] {
            if compression == Compression::None && identities.is_empty() {
                continue;
            }
            let (stored, _) = sealed(plan(compression, &identities), &raw);
            let step = stored.len() / 500 + 1;
            let near_the_end = stored.len().saturating_sub(100)..stored.len();
            for length in (0..stored.len()).step_by(step).chain(near_the_end) {
                let error = opened(envelope(compression, &identities), &identities, &stored[..length])
                    .expect_err("a cut artifact opened as if it were whole");
                assert_eq!(error.kind(), ErrorKind::Corrupt, "{compression} cut at {length}: {error}");
            }
        }
    }
}

#[test]
fn a_cut_at_every_member_boundary_is_an_error() {
    let raw = sample(3 << 20);
    let (stored, _) = sealed(plan(Compression::Gzip, &[]), &raw);
    let header = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
    let boundaries: Vec<usize> =
        stored.windows(10).enumerate().filter(|(_, w)| *w == header).map(|(i, _)| i).collect();
    assert!(boundaries.len() > 4, "{boundaries:?}");
    for at in boundaries {
        let error = opened(envelope(Compression::Gzip, &[]), &[], &stored[..at]).unwrap_err();
        assert!(error.message().contains("end mark"), "{error}");
    }
}

/// Gzip and zstd have a few bits without meaning, and some bytes can say the same thing differently;
/// there a flip changes nothing of the dump, and the digest is what notices. Nowhere may it pass as
/// other content.
#[test]
fn a_flipped_bit_anywhere_is_an_error_or_changes_nothing_but_the_digest() {
    for compression in COMPRESSIONS {
        for (identities, bytes) in [(Vec::new(), 30_000), (vec![Identity::generate()], 5_000)] {
            let raw = sample(bytes);
            let encrypted = !identities.is_empty();
            if compression == Compression::None && !encrypted {
                continue;
            }
            let (stored, _) = sealed(plan(compression, &identities), &raw);
            let mut harmless = 0;
            for at in 0..stored.len() {
                let mut flipped = stored.clone();
                flipped[at] ^= 1 << (at % 8);
                if let Ok(content) = opened(envelope(compression, &identities), &identities, &flipped) {
                    assert!(content == raw, "{compression}: byte {at} flipped into other content");
                    harmless += 1;
                }
            }
            assert!(!encrypted || harmless == 0, "{harmless} flips passed age");
            assert!(
                harmless * 100 < stored.len(),
                "{compression}: {harmless} of {} flips pass",
                stored.len()
            );
        }
    }
}

#[test]
fn what_follows_the_end_is_an_error() {
    let raw = sample(1000);
    for (compression, identities) in [
        (Compression::Gzip, Vec::new()),
        (Compression::Zstd, Vec::new()),
        (Compression::None, vec![Identity::generate()]),
        (Compression::Gzip, vec![Identity::generate()]),
    ] {
        let (mut stored, _) = sealed(plan(compression, &identities), &raw);
        let again = stored.clone();
        stored.extend_from_slice(&again);
        assert!(
            opened(envelope(compression, &identities), &identities, &stored).is_err(),
            "{compression} twice"
        );
        stored.truncate(again.len());
        stored.push(0);
        assert!(
            opened(envelope(compression, &identities), &identities, &stored).is_err(),
            "{compression} and 0"
        );
    }
}

#[test]
fn every_recipient_opens_it_and_nobody_else_does() {
    let (first, second, stranger) = (Identity::generate(), Identity::generate(), Identity::generate());
    let (stored, _) = sealed(plan(Compression::Gzip, &[first.clone(), second.clone()]), b"dump");
    let envelope = envelope(Compression::Gzip, std::slice::from_ref(&first));
    for identities in [vec![first], vec![second.clone()], vec![stranger.clone(), second]] {
        assert_eq!(opened(envelope, &identities, &stored).unwrap(), b"dump");
    }
    for identities in [vec![stranger], Vec::new()] {
        let error = opened(envelope, &identities, &stored).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied);
        assert_eq!(error.field(), Some("encryption.identity_file"));
    }
}

#[test]
fn an_endless_age_header_is_refused_and_not_collected() {
    let endless = b"age-encryption.org/v1\n".chain(std::io::repeat(b'a'));
    let envelope = envelope(Compression::None, &[Identity::generate()]);
    let error = open(envelope, &[Identity::generate()], endless).err().expect("an endless header was read");
    assert_eq!(error.kind(), ErrorKind::Corrupt);
}

#[test]
fn a_readers_own_error_comes_out_as_it_was() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            let error = respaldo_core::Error::new(ErrorKind::Timeout, "read the object", "no byte for 60 s");
            Err(std::io::Error::other(error))
        }
    }
    for compression in COMPRESSIONS {
        let mut reader = open(envelope(compression, &[]), &[], Broken).unwrap();
        let error = read_error(&reader.read(&mut [0; 10]).unwrap_err());
        assert_eq!(error.kind(), ErrorKind::Timeout, "{compression}");
    }
}
