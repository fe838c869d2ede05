//! What is sealed opens with stock tools, and what stock tools made opens as foreign.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]
#![expect(clippy::disallowed_methods, reason = "stock tools are what is tested here")]

use std::io::{Read, Write};
use std::process::{Command, Stdio};

use respaldo_core::seal::{Compression, Encryption, Envelope, Identity, Origin, Piece, SealPlan, open, seal};
use secrecy::ExposeSecret;

/// Runs a tool of the system on `input` and gives what it prints.
fn piped(tool: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new(tool)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| {
            panic!("this test needs the stock tool {tool:?} on PATH (apt-get install {tool}): {e}")
        });
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input));
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{tool}: {}: {said}", output.status);
        assert!(said.is_empty(), "{tool} complains: {said}");
        output.stdout
    })
}

async fn sealed(compression: Compression, identity: Option<&Identity>, raw: Vec<u8>) -> Vec<u8> {
    let recipients = identity.map(Identity::recipient).into_iter().collect();
    let (mut writer, mut reader) =
        seal(SealPlan { compression, recipients, threads: 2, memory: 8 << 20 }).unwrap();
    let writing = tokio::spawn(async move {
        writer.write(&raw).await.unwrap();
        writer.finish().await.unwrap();
    });
    let mut stored = Vec::new();
    while let Piece::Data(bytes) = reader.next().await.unwrap() {
        stored.extend_from_slice(&bytes);
    }
    writing.await.unwrap();
    stored
}

fn dumps() -> [Vec<u8>; 4] {
    let numbers: String = (0..300_000_u64)
        .flat_map(|n| [n.to_string(), "\t".to_owned(), (n * 7919 % 10007).to_string()])
        .collect();
    let noise = (0..2_500_000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    [Vec::new(), b"one line\n".to_vec(), numbers.into_bytes(), noise]
}

#[tokio::test]
async fn gunzip_and_zstd_open_what_is_sealed() {
    for raw in dumps() {
        let gzip = sealed(Compression::Gzip, None, raw.clone()).await;
        assert!(piped("gzip", &["-dc"], &gzip) == raw);
        let zstd = sealed(Compression::Zstd, None, raw.clone()).await;
        assert!(piped("zstd", &["-dcq"], &zstd) == raw);
    }
}

#[tokio::test]
async fn age_opens_what_is_sealed_and_then_so_do_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("identity.txt");
    let identity = Identity::generate();
    std::fs::write(&file, identity.to_secret_string().expose_secret()).unwrap();
    let age = |stored: &[u8]| piped("age", &["-d", "-i", file.to_str().unwrap()], stored);
    for raw in dumps() {
        let plain = sealed(Compression::None, Some(&identity), raw.clone()).await;
        assert!(age(&plain) == raw);
        let gzip = sealed(Compression::Gzip, Some(&identity), raw.clone()).await;
        assert!(piped("gzip", &["-dc"], &age(&gzip)) == raw);
        let zstd = sealed(Compression::Zstd, Some(&identity), raw.clone()).await;
        assert!(piped("zstd", &["-dcq"], &age(&zstd)) == raw);
    }
}

#[test]
fn what_stock_tools_made_opens_as_foreign() {
    let identity = Identity::generate();
    let recipient = identity.recipient().to_string();
    for raw in dumps() {
        for (compression, tool, arguments) in
            [(Compression::Gzip, "gzip", vec!["-c"]), (Compression::Zstd, "zstd", vec!["-cq"])]
        {
            let compressed = piped(tool, &arguments, &raw);
            let encrypted = piped("age", &["-r", &recipient], &compressed);
            for (stored, encryption) in [(compressed, Encryption::None), (encrypted, Encryption::Age)] {
                let envelope = Envelope { compression, encryption, origin: Origin::Foreign };
                let mut content = Vec::new();
                let identities = std::slice::from_ref(&identity);
                open(envelope, identities, stored.as_slice()).unwrap().read_to_end(&mut content).unwrap();
                assert!(content == raw, "{tool}, {encryption:?}");
            }
        }
    }
}
