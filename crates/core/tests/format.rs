//! `docs/format.md` says what is stored: its examples are taken from the page itself and recomputed
//! with code that shares nothing with the product's but SHA-256.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use respaldo_core::databases::Definition;
use respaldo_core::engine::mongodb::archive::{ArchiveObserver, Declared, Header, Namespace, Writer};
use respaldo_core::engine::mysql::DumpObserver;
use respaldo_core::engine::observe::Observer as _;
use respaldo_core::engine::postgres::{LARGE_OBJECTS, PlainObserver};
use respaldo_core::fingerprint::Fingerprint;
use respaldo_core::keyring::MasterKey;
use respaldo_core::keys;
use respaldo_core::model::{Credentials, Manifest, ManifestContent};
use respaldo_core::ports::ExposeSecret as _;
use respaldo_core::seal::{Compression, Piece, SealPlan, seal};
use sha2::{Digest as _, Sha256};

const PAGE: &str = include_str!("../../../docs/format.md");

/// The fenced block under the page's marker of that name.
fn example(name: &str) -> &'static str {
    let marker = format!("<!-- example: {name} -->\n```");
    let (_, after) = PAGE.split_once(&marker).unwrap_or_else(|| panic!("the page has no example {name}"));
    let (_, block) = after.split_once('\n').unwrap();
    &block[..=block.find("\n```").unwrap()]
}

fn bytes_of(hex: &str) -> Vec<u8> {
    hex::decode(hex.split_whitespace().collect::<String>()).unwrap()
}

fn value_of(name: &str) -> &'static str {
    let line = example("keys").lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().last().unwrap()
}

fn master_key() -> MasterKey {
    MasterKey::from_base64(value_of("master key")).unwrap()
}

/// HMAC-SHA256 as RFC 2104 has it, for keys of at most one block.
fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let padded = |with: u8| {
        let mut block = [with; 64];
        block.iter_mut().zip(key).for_each(|(pad, byte)| *pad ^= byte);
        block
    };
    let inner = Sha256::new().chain_update(padded(0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(padded(0x5c)).chain_update(inner).finalize().to_vec()
}

/// One block of HKDF-SHA256 as RFC 5869 has it, without salt.
fn hkdf(secret: &[u8], info: &str) -> Vec<u8> {
    let extracted = hmac(&[0; 32], secret);
    hmac(&extracted, &[info.as_bytes(), &[1]].concat())
}

/// The hash of a table of these rows, as the page describes it.
fn table_hash(rows: &[Vec<u8>]) -> String {
    let sum = rows.iter().fold(0_u128, |sum, row| {
        let digest = Sha256::digest(row);
        let low = digest[..16].iter().rev().fold(0_u128, |value, byte| value << 8 | u128::from(*byte));
        sum.wrapping_add(low)
    });
    format!("{sum:032x}")
}

fn manifest() -> Manifest {
    let (manifest, ours) = Manifest::decode(example("manifest").as_bytes(), &master_key()).unwrap();
    assert!(ours, "the page's manifest is signed with the page's key");
    manifest
}

#[test]
fn the_manifest_s_signature_follows_from_the_page_alone() {
    let master: Vec<u8> = (0..32).collect();
    let key = hkdf(&master, "respaldo manifest v1");
    assert_eq!(hex::encode(&key), value_of("manifest key"));
    let text = example("manifest").trim_end();
    let member = "\"hmac_sha256\": \"";
    let start = text.rfind(member).unwrap() + member.len();
    let (digits, end) = text[start..].split_at(64);
    assert_eq!(end, "\"\n}");
    let unsigned = format!("{}{}{end}", &text[..start], "0".repeat(64));
    assert_eq!(hex::encode(hmac(&key, unsigned.as_bytes())), digits);
}

#[test]
fn the_page_s_manifest_is_what_this_version_writes_byte_for_byte() {
    let written = manifest().encode(&master_key()).unwrap();
    assert_eq!(String::from_utf8(written).unwrap(), example("manifest"));
}

#[test]
fn every_member_of_the_manifest_is_explained() {
    let text: serde_json::Value = serde_json::from_str(example("manifest")).unwrap();
    let (_, explained) = PAGE.split_once("| member | meaning |").unwrap();
    let explained = &explained[..explained.find("\n\n").unwrap()];
    for member in text.as_object().unwrap().keys().filter(|member| *member != "artifact") {
        assert!(explained.contains(&format!("`{member}`")), "{member} is not explained");
    }
    for member in text["artifact"].as_object().unwrap().keys() {
        assert!(explained.contains(&format!("`artifact.{member}`")), "artifact.{member} is not explained");
    }
}

#[test]
fn one_changed_byte_and_the_manifest_is_not_ours() {
    let text = example("manifest").replace("\"rows\": 2", "\"rows\": 3");
    assert!(!Manifest::decode(text.as_bytes(), &master_key()).unwrap().1);
    let cut = &example("manifest")[..600];
    assert!(Manifest::decode(cut.as_bytes(), &master_key()).is_err());
}

#[test]
fn the_manifest_s_keys_are_the_page_s_layout() {
    let manifest = manifest();
    let (database, backup) = (manifest.database_uid, manifest.backup_id);
    let key = &manifest.artifact.volumes[0].key;
    assert_eq!(*key, format!("backups/{database}/{backup}/1/{}", manifest.name));
    assert_eq!(*key, keys::volume(database, backup, 1, &manifest.name, 1));
    assert_eq!(format!("{key}.002"), keys::volume(database, backup, 1, &manifest.name, 2));
    assert_eq!(format!("{key}.1000"), keys::volume(database, backup, 1, &manifest.name, 1_000));
    assert_eq!(keys::manifest(database, backup, 1), format!("backups/{database}/{backup}/1/manifest.json"));
    assert_eq!(keys::definition(database), format!("databases/{database}.json"));
}

#[test]
fn the_sqlite_rows_hash_to_the_manifest_s_fingerprint() {
    let integer = |value: i64| [vec![1], value.to_le_bytes().to_vec()].concat();
    let sized = |kind: u8, data: &[u8]| [&[kind], &(data.len() as u64).to_le_bytes()[..], data].concat();
    let first = [integer(1), sized(3, b"Ana"), [vec![2], 12.5_f64.to_le_bytes().to_vec()].concat(), vec![0]];
    let second = [integer(2), sized(3, "Bruño".as_bytes()), vec![0], sized(4, b"\x00\xff")];
    let rows = [first.concat(), second.concat()];
    assert_eq!(rows[0], bytes_of(example("sqlite row")));

    let ManifestContent::Clear(content) = manifest().content else { panic!("it is not sealed") };
    let told = serde_json::to_value(&content.fingerprint).unwrap();
    let expected = serde_json::json!({
        "customers": {"rows": 2, "hash": table_hash(&rows)},
        "notes": {"rows": 0, "hash": table_hash(&[])},
    });
    assert_eq!(told, expected);
}

#[test]
fn the_sqlite_rows_are_those_of_the_page_s_database() {
    let connection = rusqlite::Connection::open_in_memory().unwrap();
    connection.execute_batch(example("sqlite database")).unwrap();
    let read = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, String>(0)).unwrap();
    let all = "SELECT group_concat(quote(id) || ' ' || quote(name) || ' ' || quote(balance) || ' ' || quote(photo), ';') FROM customers";
    assert_eq!(read(all), "1 'Ana' 12.5 NULL;2 'Bruño' NULL X'00FF'");
    assert_eq!(read("SELECT cast(count(*) AS TEXT) FROM notes"), "0");
}

#[test]
fn copy_rows_and_large_objects_hash_as_the_page_says() {
    let rows: Vec<Vec<u8>> = example("copy rows").lines().map(|line| line.as_bytes().to_vec()).collect();
    let object = [&b"\x00\xff"[..], &16401_u32.to_le_bytes()].concat();
    let hashes: Vec<&str> = example("copy hashes").lines().collect();
    assert_eq!(table_hash(&rows), hashes[0]);
    assert_eq!(table_hash(&[object]), hashes[1]);

    let dump = format!(
        "COPY public.customers (id, name, note) FROM stdin;\n{}\\.\n\n\
         BEGIN;\nSELECT pg_catalog.lo_open('16401', 131072);\n\
         SELECT pg_catalog.lowrite(0, '\\x00ff');\nSELECT pg_catalog.lo_close(0);\nCOMMIT;\n\n\
         --\n-- PostgreSQL database dump complete\n--\n\n",
        example("copy rows")
    );
    let mut observer = PlainObserver::new();
    observer.feed(dump.as_bytes()).unwrap();
    let mut observed = Box::new(observer).finish().unwrap().fingerprint;
    let shown =
        |fingerprint: &mut Fingerprint, table: &str| format!("{:032x}", fingerprint.table(table).hash);
    assert_eq!(shown(&mut observed, "public.customers"), hashes[0]);
    assert_eq!(shown(&mut observed, LARGE_OBJECTS), hashes[1]);
}

#[test]
fn rows_of_inserts_hash_as_the_page_says() {
    let statement = example("insert rows");
    let (_, values) = statement.split_once("VALUES\n").unwrap();
    let row = |line: &str| line.trim_start_matches('(').trim_end_matches([',', ';', ')']).as_bytes().to_vec();
    let rows: Vec<Vec<u8>> = values.lines().map(row).collect();
    let hash = example("insert hash").trim();
    assert_eq!(table_hash(&rows), hash);

    let end = "/*!40111 SET SQL_NOTES=@OLD_SQL_NOTES */;\n\n-- Dump completed on 2026-11-21 11:08:25\n";
    for statement in [statement.to_owned(), statement.trim_end().replace('\n', " ") + "\n"] {
        let mut observer = DumpObserver::new();
        observer.feed(format!("LOCK TABLES `no``ne` WRITE;\n{statement}{end}").as_bytes()).unwrap();
        let found = Box::new(observer).finish().unwrap().fingerprint;
        assert_eq!(format!("{:032x}", found.0["customers"].hash), hash);
        assert_eq!(found.0["no`ne"].rows, 0);
    }
}

#[test]
fn documents_hash_as_the_page_says() {
    let rows: Vec<Vec<u8>> = example("documents").lines().map(|line| hex::decode(line).unwrap()).collect();
    let hash = example("documents hash").trim();
    assert_eq!(table_hash(&rows), hash);
    let namespace = Namespace::new("shop", "customers").unwrap();
    let declared = [Declared::bare(namespace)];
    let mut writer = Writer::new(Vec::new(), &Header::new("7.0.14", "x"), &declared).unwrap();
    for row in &rows {
        writer.document(0, row).unwrap();
    }
    writer.end(0).unwrap();
    let mut observer = ArchiveObserver::new();
    observer.feed(&writer.finish().unwrap()).unwrap();
    let found = Box::new(observer).finish().unwrap().fingerprint;
    assert_eq!(format!("{:032x}", found.0["customers"].hash), hash);
}

#[test]
fn the_definition_is_what_this_version_writes_and_its_secret_opens() {
    let (definition, ours) = Definition::decode(example("definition").as_bytes(), &master_key()).unwrap();
    let written = String::from_utf8(definition.encode(&master_key()).unwrap()).unwrap();
    assert_eq!(written, example("definition"));
    assert!(ours);
    let Credentials::Sealed { secret } = &definition.credentials else { panic!("it is sealed") };
    let place = format!("databases/{}/credentials", definition.uid);
    let opened = master_key().open_secret(&place, secret).unwrap();
    assert_eq!(opened.expose_secret(), r#"{"username":"u","password":"very secret"}"#);
}

async fn sealed_empty(compression: Compression) -> Vec<u8> {
    let plan = SealPlan { compression, recipients: Vec::new(), threads: 2, memory: SealPlan::LEAST_MEMORY };
    let (writer, mut reader) = seal(plan).unwrap();
    writer.finish().await.unwrap();
    let mut stored = Vec::new();
    while let Piece::Data(bytes) = reader.next().await.unwrap() {
        stored.extend_from_slice(&bytes);
    }
    stored
}

#[tokio::test]
async fn an_empty_dump_is_the_end_mark_alone() {
    assert_eq!(sealed_empty(Compression::Gzip).await, bytes_of(example("gzip end mark")));
    assert_eq!(sealed_empty(Compression::Zstd).await, bytes_of(example("zstd end mark")));
    assert!(sealed_empty(Compression::None).await.is_empty());
}
