//! Backups of MongoDB laid out as dump directories.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use bson::{Document, doc};
use respaldo_core::engine::mongodb::archive::{Declared, Header, Kind, LaidOut, Metadata, Namespace, Writer};
use respaldo_core::model::{Content, EngineKind, Job, Manifest, ManifestContent, Volume};
use respaldo_core::rescue::directory::fetch_directory;
use respaldo_core::seal::{Compression, Digester};
use respaldo_core::{ErrorKind, Result, keys};
use serde_json::{Value, json};

use super::{Place, manifest_key, volume_key, wanted};

/// Puts an archive where the artifact of a backup lies, and a manifest that tells of it, as if it had been dumped.
fn stored(place: &Place, job: &Job, archive: &[u8]) {
    let key = &place.test.app.key;
    let (mut manifest, _) = Manifest::decode(&place.read(&manifest_key(job)), key).unwrap();
    let mut digester = Digester::new();
    digester.update(archive);
    let digests = digester.finish();
    manifest.engine = EngineKind::Mongodb;
    manifest.compression = Compression::None;
    manifest.artifact.size_bytes = archive.len() as u64;
    manifest.artifact.raw_bytes = archive.len() as u64;
    manifest.artifact.md5 = digests.md5_hex();
    manifest.artifact.sha256 = digests.sha256_hex();
    let volume = keys::volume(manifest.database_uid, job.id, manifest.artifact.attempt, &manifest.name, 1);
    manifest.artifact.volumes =
        vec![Volume { key: volume.clone(), size_bytes: archive.len() as u64, sha256: digests.sha256_hex() }];
    manifest.content = ManifestContent::Clear(Content::default());
    fs::remove_file(place.file(&volume)).unwrap();
    place.put(&volume, archive);
    place.put(&manifest_key(job), manifest.encode(key).unwrap());
}

/// A backup whose dump is that archive.
async fn backup_of(place: &Place, archive: &[u8]) -> Job {
    let database = place.sample(json!({})).await;
    let job = place.back_up(&database).await;
    stored(place, &job, archive);
    job
}

async fn lay_out(place: &Place, job: &Job, folder: &Path) -> Result<LaidOut> {
    let found = place.rescue().find(&wanted(&job.id)).await?.artifact(false)?;
    fetch_directory(&place.test.app.storage, &found.manifest, &[], folder).await
}

/// Every file below a folder, with its contents.
fn tree(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                folders.push(entry);
            } else {
                let name = entry.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                files.insert(name, fs::read(entry).unwrap());
            }
        }
    }
    files
}

fn bytes(document: &Document) -> Vec<u8> {
    let mut bytes = Vec::new();
    document.to_writer(&mut bytes).unwrap();
    bytes
}

fn declared(database: &str, collection: &str, kind: Kind) -> Declared {
    let metadata = Metadata { collection_name: Some(collection.to_owned()), ..Metadata::new() };
    Declared::new(Namespace::new(database, collection).unwrap(), kind, &metadata).unwrap()
}

fn archive(declared: &[Declared], documents: &[(usize, Vec<u8>)]) -> Vec<u8> {
    let header = Header { concurrent_collections: 1_000, ..Header::new("7.0.14", "100.10.0") };
    let mut writer = Writer::new(Vec::new(), &header, declared).unwrap();
    for (at, document) in documents {
        writer.document(*at, document).unwrap();
    }
    for at in 0..declared.len() {
        writer.end(at).unwrap();
    }
    writer.finish().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_becomes_the_folder_that_mongodump_would_have_written() {
    let place = Place::on_disk();
    let declared = [
        declared("shop", "orders", Kind::Collection),
        declared("shop", "cheap", Kind::View),
        declared("shop", "weather", Kind::TimeSeries),
        declared("shop", "empty", Kind::Collection),
        Declared::bare(Namespace::new("shop", "$admin.system.users").unwrap()),
        Declared::bare(Namespace::oplog()),
    ];
    let (one, two) = (bytes(&doc! { "_id": 1 }), bytes(&doc! { "_id": "two" }));
    let documents =
        [(0, one.clone()), (2, two.clone()), (0, two.clone()), (4, one.clone()), (5, two.clone())];
    let job = backup_of(&place, &archive(&declared, &documents)).await;
    let folder = tempfile::tempdir().unwrap();
    let dump = folder.path().join("dump");
    let laid_out = lay_out(&place, &job, &dump).await.unwrap();
    assert_eq!(laid_out, LaidOut { collections: 6, documents: 5 });
    let files = tree(&dump);
    let metadata = |name: &str| format!("{{\"indexes\":[],\"collectionName\":\"{name}\"}}").into_bytes();
    let expected: BTreeMap<String, Vec<u8>> = [
        ("oplog.bson", two.clone()),
        ("prelude.json", br#"{"ServerVersion":"7.0.14","ToolVersion":"100.10.0"}"#.to_vec()),
        ("shop/$admin.system.users.bson", one.clone()),
        ("shop/cheap.metadata.json", metadata("cheap")),
        ("shop/empty.bson", Vec::new()),
        ("shop/empty.metadata.json", metadata("empty")),
        ("shop/orders.bson", [one, two.clone()].concat()),
        ("shop/orders.metadata.json", metadata("orders")),
        ("shop/system.buckets.weather.bson", two),
        ("shop/weather.metadata.json", metadata("weather")),
    ]
    .map(|(name, contents)| (name.to_owned(), contents))
    .into();
    assert_eq!(files, expected);
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["dump"], "nothing else stays beside it");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_made_to_lead_out_of_the_folder_stay_in_it() {
    let place = Place::on_disk();
    let names =
        ["a/../../../escaped", "/etc/passwd", "-rf", "\u{202e}evil\n", "x%2F..%2Fy", &"ü/".repeat(80)];
    let declared: Vec<_> = names.map(|name| declared("shop", name, Kind::Collection)).into();
    let documents: Vec<_> =
        (0..names.len()).map(|at| (at, bytes(&doc! { "at": i64::try_from(at).unwrap() }))).collect();
    let job = backup_of(&place, &archive(&declared, &documents)).await;
    let folder = tempfile::tempdir().unwrap();
    let dump = folder.path().join("deep/dump");
    fs::create_dir(folder.path().join("deep")).unwrap();
    lay_out(&place, &job, &dump).await.unwrap();
    let files = tree(folder.path());
    assert_eq!(files.len(), 2 * names.len() + 1);
    assert!(files.keys().all(|name| name.starts_with("deep/dump/shop/") || name == "deep/dump/prelude.json"));
    assert!(files.contains_key("deep/dump/shop/a%2F..%2F..%2F..%2Fescaped.bson"), "{:?}", files.keys());
    let cut: Vec<_> =
        files.keys().filter(|name| name.contains("%24") && name.ends_with(".metadata.json")).collect();
    let [cut] = cut[..] else { panic!("one name is cut: {cut:?}") };
    let metadata: Value = serde_json::from_slice(&files[cut]).unwrap();
    assert_eq!(metadata["collectionName"], names[5], "a cut name is whole in its metadata");
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_of_more_collections_than_files_may_be_open_are_told_apart() {
    let place = Place::on_disk();
    let declared: Vec<_> = (0..300).map(|n| declared("shop", &format!("c{n}"), Kind::Collection)).collect();
    let round = (0..300).map(|at| (at, bytes(&doc! { "at": i32::try_from(at).unwrap() })));
    let documents: Vec<_> = round.clone().chain(round).collect();
    let job = backup_of(&place, &archive(&declared, &documents)).await;
    let folder = tempfile::tempdir().unwrap();
    let dump = folder.path().join("dump");
    assert_eq!(lay_out(&place, &job, &dump).await.unwrap(), LaidOut { collections: 300, documents: 600 });
    let files = tree(&dump);
    for n in 0..300 {
        let document = bytes(&doc! { "at": n });
        assert_eq!(files[&format!("shop/c{n}.bson")], [document.clone(), document].concat());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_is_not_empty_is_left_alone_and_an_empty_one_is_filled() {
    let place = Place::on_disk();
    let job = backup_of(&place, &archive(&[declared("shop", "a", Kind::Collection)], &[])).await;
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("empty")).unwrap();
    fs::create_dir(at("full")).unwrap();
    fs::write(at("full/precious"), "x").unwrap();
    fs::write(at("file"), "x").unwrap();
    symlink(at("empty"), at("link")).unwrap();
    symlink(at("nowhere"), at("dangling")).unwrap();
    for name in ["full", "file", "link", "dangling"] {
        let error = lay_out(&place, &job, &at(name)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "{name}: {error}");
        assert!(error.mend().unwrap().contains("--directory"));
    }
    assert_eq!(lay_out(&place, &job, &at("..")).await.unwrap_err().field(), Some("directory"));
    assert_eq!(tree(&at("full")).len() + tree(&at("empty")).len(), 1, "nothing was written");
    lay_out(&place, &job, &at("empty")).await.unwrap();
    assert_eq!(tree(&at("empty")).len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_an_archive_that_does_not_hold_nothing_appears() {
    let place = Place::on_disk();
    let whole = archive(
        &[declared("shop", "a", Kind::Collection), declared("shop", "b", Kind::Collection)],
        &[(0, bytes(&doc! { "name": "value" }))],
    );
    let folder = tempfile::tempdir().unwrap();
    let dump = folder.path().join("dump");
    let job = backup_of(&place, &whole).await;
    // The artifact's digest agrees in all of these: only the archive's own rules tell.
    let mut flipped = whole.clone();
    let at = whole.windows(5).position(|bytes| bytes == b"value").unwrap();
    flipped[at] ^= 1;
    let cut = &whole[..whole.len() - 70];
    for (archive, kind) in [
        (&flipped[..], ErrorKind::Invalid),
        (cut, ErrorKind::Incomplete),
        (b"-- PostgreSQL database dump", ErrorKind::Invalid),
        (&[&whole[..], b"x"].concat(), ErrorKind::Incomplete),
    ] {
        stored(&place, &job, archive);
        assert_eq!(lay_out(&place, &job, &dump).await.unwrap_err().kind(), kind);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "not even a part of it");
    }
    // And here the digest does.
    stored(&place, &job, &whole);
    place.flip(&volume_key(&job));
    assert_eq!(lay_out(&place, &job, &dump).await.unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_collections_that_want_one_file_are_refused_by_name() {
    let place = Place::on_disk();
    let both = [declared("shop", "x", Kind::TimeSeries), declared("shop", "x", Kind::View)];
    let job = backup_of(&place, &archive(&both, &[])).await;
    let folder = tempfile::tempdir().unwrap();
    let error = lay_out(&place, &job, &folder.path().join("dump")).await.unwrap_err();
    assert!(
        error.message().contains("two collections of the archive would have the file shop/x.metadata.json"),
        "{error}"
    );
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_another_engine_is_told_what_to_do_instead() {
    let place = Place::on_disk();
    let database = place.sample(json!({})).await;
    let job = place.back_up(&database).await;
    let folder = tempfile::tempdir().unwrap();
    let error = lay_out(&place, &job, &folder.path().join("dump")).await.unwrap_err();
    assert_eq!((error.kind(), error.field()), (ErrorKind::Unsupported, Some("directory")));
    assert!(error.message().contains("sqlite") && error.mend().unwrap().contains("--dump"), "{error}");
}
